/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Fragment: pieces for a file of libvirt (edits.toml). */

/* graft: include */
#include "qemu_virtfs_restart.h"

/* graft: event */
static void
qemuProcessHandleFsdevHelper(qemuMonitor *mon G_GNUC_UNUSED,
                             virDomainObj *vm,
                             const char *id,
                             const char *reason)
{
    char **words = g_new0(char *, 3);

    words[0] = g_strdup(id);
    words[1] = g_strdup(reason);

    qemuProcessEventSubmit(vm, QEMU_PROCESS_EVENT_FSDEV_HELPER, 0, 0, words);
}

/* graft: callback */
    .domainFsdevHelper = qemuProcessHandleFsdevHelper,

/* graft: reconnect */
    qemuVirtFSRestartReconnect(obj);

/* graft: snapshot */
                         asyncJob, snapshot ? NULL : incoming, *fd, path, snapshot,
