/*
 * qemu_virtfs_helper.h: which program helps a filesystem with driver 'proxy'
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#pragma once

#include "domain_conf.h"

#define QEMU_VIRTFS_HELPER_NAME "virtfs-proxy-helper"

/* Finds the helper of @fs, if the domain does not name it: one that a file
 * describes, or the one that belongs to the domain's @emulator. @privileged: for
 * the system instance, which takes none that another user than root can change.
 * The path is then in the private data of @fs. It is not in the definition: who
 * reads that, on this host or another, or when the domain is restored, would
 * take it for one that the domain names. Returns 0, or -1 with an error
 * reported. */
int
qemuVirtFSHelperPrepareDomain(virDomainFSDef *fs,
                              const char *emulator,
                              bool privileged);

/* The path of the helper of @fs: the domain names it, or libvirt has found it. */
const char *
qemuVirtFSHelperPath(virDomainFSDef *fs);

/* lstat(2) of a file or folder on the way to a helper. Returns 0, or -1 with
 * errno set. */
int
qemuVirtFSHelperLook(const char *path,
                     struct stat *status)
    G_NO_INLINE;
