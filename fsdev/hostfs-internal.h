/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What the files of hostfs share among themselves.
 */
#ifndef FSDEV_HOSTFS_INTERNAL_H
#define FSDEV_HOSTFS_INTERNAL_H

#include "fsdev/hostfs.h"

/* The name of a descriptor's magic link: HostFs.fd_prefix and a number */
#define HOSTFS_PREFIX_MAX       32
typedef char HostFdName[HOSTFS_PREFIX_MAX + 12];

/*
 * Writes the name of @fd's magic link to @name and returns it. It is to be
 * looked up from AT_FDCWD and followed, and leads to the inode itself: even
 * if that is a symbolic link, which is not followed in turn.
 */
const char *hostfs_fd_name(const HostFs *fs, int fd, HostFdName name);

/*
 * A handle of what @name, a single component other than "..", means in @dir.
 * A symbolic link gives a handle of the link.
 */
int hostfs_lookup(int dir, const char *name);

/*
 * Sets owner and group of a handle; -1 leaves one as it is (chown(2)). Minds
 * HostFs.ignore_chown_failure.
 */
int hostfs_set_owner(const HostFs *fs, int node, uint32_t uid, uint32_t gid);

/* Sets the permission bits (07777) of a handle; it must be no symlink's. */
int hostfs_set_mode(const HostFs *fs, int node, uint32_t mode);

#endif /* FSDEV_HOSTFS_INTERNAL_H */
