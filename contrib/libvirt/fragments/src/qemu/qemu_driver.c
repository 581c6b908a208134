/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Fragment: pieces for a file of libvirt (edits.toml). */

/* graft: include */
#include "qemu_virtfs_restart.h"

/* graft: event */
static void
processFsdevHelperEvent(virQEMUDriver *driver,
                        virDomainObj *vm,
                        char **words)
{
    /* No job: a domain may not have one to give away until the event is lost.
     * This does not unlock @vm, and does not change its definition. */
    if (virDomainObjIsActive(vm))
        qemuVirtFSRestartHandleEvent(driver, vm, words[0], words[1]);
}

/* graft: stop */
    qemuVirtFSRestartStop();

/* graft: event-type */
        break;
    case QEMU_PROCESS_EVENT_FSDEV_HELPER:
        processFsdevHelperEvent(driver, vm, processEvent->data);
