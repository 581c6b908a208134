/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Fragment: pieces for a file of libvirt (edits.toml). */

/* graft: include */
#include "qemu_virtfs_proxy.h"

/* graft: event */
static void
processFsdevHelperEvent(virQEMUDriver *driver,
                        virDomainObj *vm,
                        char **words)
{
    /* Not VIR_JOB_MODIFY, which a migration or a dump keeps away until the
     * event is lost. The definition stays as it is. */
    if (virDomainObjBeginJob(vm, VIR_JOB_QUERY) < 0)
        return;

    if (virDomainObjIsActive(vm))
        qemuVirtFSProxyHandleEvent(driver, vm, words[0], words[1]);

    virDomainObjEndJob(vm);
}

/* graft: event-type */
        break;
    case QEMU_PROCESS_EVENT_FSDEV_HELPER:
        processFsdevHelperEvent(driver, vm, processEvent->data);
