/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Fragment: pieces for a file of libvirt (edits.toml). */

/* graft: include */
#include "qemu_virtfs_proxy.h"

/* graft: event */
void
qemuProcessSubmitFsdevHelper(virDomainObj *vm,
                             const char *id,
                             const char *reason)
{
    char **words = g_new0(char *, 3);

    words[0] = g_strdup(id);
    words[1] = g_strdup(reason);

    /* without the lock of @vm, for which libvirtd's event loop must not wait */
    qemuProcessEventSubmit(vm, QEMU_PROCESS_EVENT_FSDEV_HELPER, 0, 0, words);
}


static void
qemuProcessHandleFsdevHelper(qemuMonitor *mon G_GNUC_UNUSED,
                             virDomainObj *vm,
                             const char *id,
                             const char *reason)
{
    qemuProcessSubmitFsdevHelper(vm, id, reason);
}

/* graft: callback */
    .domainFsdevHelper = qemuProcessHandleFsdevHelper,

/* graft: reconnect */
    qemuVirtFSProxyReconnect(driver, obj);

/* graft: snapshot */
                         asyncJob, snapshot ? NULL : incoming, *fd, path, snapshot,
