/*
 * qemu_virtfs_proxy.h: helper processes of filesystems with driver 'proxy'
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#pragma once

#include "qemu_conf.h"
#include "qemu_domain.h"

/* Starts the helper of @fs; how QEMU reaches it is then in the private data of
 * @fs. @vm is unlocked while the helper gets ready. Returns 0, or -1 with an
 * error reported and nothing left; the domain may have ended. */
int
qemuVirtFSProxyStart(virQEMUDriver *driver,
                     virDomainObj *vm,
                     virDomainFSDef *fs)
    G_NO_INLINE;

/* Starts the next helper of @fs, in place of one that has died, for a QEMU that
 * knows its socket. @vm is unlocked in the meantime. Returns 0, or -1 with an
 * error reported; the domain may have ended, or @fs be gone. */
int
qemuVirtFSProxyRestart(virQEMUDriver *driver,
                       virDomainObj *vm,
                       virDomainFSDef *fs);

/* Ends the helper of @fs, if it still runs; keeps the last error. */
void
qemuVirtFSProxyStop(virDomainObj *vm,
                    virDomainFSDef *fs);

/* Ends all helpers of a domain that ends: also those of filesystems that a
 * libvirtd attached and did not live to write down; keeps the last error. */
void
qemuVirtFSProxyStopAll(virQEMUDriver *driver,
                       virDomainObj *vm);

/* Moves the helper of @fs to the place of the domain's emulator, if the domain
 * has one. Returns 0, or -1 with an error reported. */
int
qemuVirtFSProxySetupCgroup(virDomainObj *vm,
                           virDomainFSDef *fs);

/* The filesystem that has these private data, if the domain still runs with it,
 * or NULL. */
virDomainFSDef *
qemuVirtFSProxyFind(virDomainObj *vm,
                    qemuDomainFSPrivate *fspriv);

/* Whether a helper of @fs that dies is replaced */
bool
qemuVirtFSProxyPersists(virDomainFSDef *fs);

/* Whether the helper that libvirt has started runs */
bool
qemuVirtFSProxyRuns(virDomainObj *vm,
                    virDomainFSDef *fs);

/* Lets nobody wait for a helper any more, because libvirtd ends. */
void
qemuVirtFSProxyEnd(void);

/* Whether that is so */
bool
qemuVirtFSProxyEnding(void);
