/*
 * qemu_virtfs_proxy.h: helper processes of filesystems with driver 'proxy'
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#pragma once

#include "qemu_conf.h"
#include "vircgroup.h"

/* Starts the helper of @fs; how QEMU reaches it is then in the private data of
 * @fs. Returns 0, or -1 with an error reported and nothing left. */
int
qemuVirtFSProxyStart(virQEMUDriver *driver,
                     virDomainObj *vm,
                     virDomainFSDef *fs)
    G_NO_INLINE;

/* Ends the helper of @fs, if it still runs; keeps the last error. */
void
qemuVirtFSProxyStop(virDomainObj *vm,
                    virDomainFSDef *fs);

/* Ends all helpers of a domain that ends: also those of filesystems that a
 * libvirtd attached and did not live to write down; keeps the last error. */
void
qemuVirtFSProxyStopAll(virQEMUDriver *driver,
                       virDomainObj *vm);

/* Moves the helper of @fs to @cgroup, which may be NULL. Returns 0, or -1 with
 * an error reported. */
int
qemuVirtFSProxySetupCgroup(virDomainObj *vm,
                           virDomainFSDef *fs,
                           virCgroup *cgroup);

/* Reacts to an event of QEMU's, in a job: fsdev @id has lost its helper for a
 * @reason, or has found one again (NULL). Writes that to the domain's log, and
 * starts the next helper, if the filesystem says so. With an empty @reason,
 * only does the latter. */
void
qemuVirtFSProxyHandleEvent(virQEMUDriver *driver,
                           virDomainObj *vm,
                           const char *id,
                           const char *reason);

/* Does the same for helpers that ended while libvirtd did not run. */
void
qemuVirtFSProxyReconnect(virQEMUDriver *driver,
                         virDomainObj *vm);
