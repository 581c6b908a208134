/*
 * qemu_virtfs_restart.h: helpers of filesystems with driver 'proxy' that die
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#pragma once

#include "qemu_conf.h"

/* Reacts to an event of QEMU's: fsdev @id has lost its helper for a @reason, or
 * has found one again (NULL). Writes that to the domain's log, and has the next
 * helper started, if the filesystem says so. Needs no job, and does not wait. */
void
qemuVirtFSRestartHandleEvent(virQEMUDriver *driver,
                             virDomainObj *vm,
                             const char *id,
                             const char *reason);

/* Does the same for helpers that ended while libvirtd did not run. */
void
qemuVirtFSRestartReconnect(virDomainObj *vm);

/* Lets no more helpers be started again, because libvirtd ends, and waits for
 * the threads that do it. */
void
qemuVirtFSRestartStop(void);
