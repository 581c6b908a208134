/*
 * qemu_virtfs_helper.h: which program helps a filesystem with driver 'proxy'
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#pragma once

#include "domain_conf.h"

#define QEMU_VIRTFS_HELPER_NAME "virtfs-proxy-helper"

/* Completes @fs in a live definition: the path of its helper, which is one that
 * a file describes, or the one that belongs to the domain's @emulator.
 * @privileged: for the system instance, which takes none that another user than
 * root can change. Returns 0, or -1 with an error reported. */
int
qemuVirtFSHelperPrepareDomain(virDomainFSDef *fs,
                              const char *emulator,
                              bool privileged);

/* lstat(2) of a file or folder on the way to a helper. Returns 0, or -1 with
 * errno set. */
int
qemuVirtFSHelperLook(const char *path,
                     struct stat *status)
    G_NO_INLINE;
