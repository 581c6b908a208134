/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * File operations on the host: extended attributes.
 *
 * They go through the handle's magic link. The kernel follows that to the inode
 * and no further, so it uses a symbolic link's own attributes and opens no
 * device. The kernel decides which names an inode may have (xattr(7): no
 * user.* on links and special files).
 */
#include "qemu/osdep.h"
#include "hostfs-internal.h"
#include <sys/xattr.h>

/* xattr(7): reading a user.* attribute needs permission to read the file. */
ssize_t hostfs_getxattr(const HostFs *hfs, int node, const char *name,
                        void *buf, size_t size)
{
    HostAccess access[] = { { .fd = node, .bits = S_IRUSR } };
    HostFdName link;
    ssize_t len;

    hostfs_fd_name(hfs, node, link);
    size = MIN(size, FS_XATTR_MAX);
    do {
        if (name) {
            len = getxattr(link, name, buf, size);
        } else {
            len = listxattr(link, buf, size);
        }
        len = len < 0 ? -errno : len;
    } while (hostfs_access_again(hfs, len, access, 1));
    return len;
}

int hostfs_setxattr(const HostFs *hfs, int node, const char *name,
                    const void *value, size_t size, int flags)
{
    HostAccess access[] = { { .fd = node, .bits = S_IWUSR } };
    HostFdName link;
    int ret;

    if (hfs->readonly) {
        return -EROFS;
    }
    if (size > FS_XATTR_MAX) {
        return -E2BIG;
    }
    hostfs_fd_name(hfs, node, link);
    do {
        ret = setxattr(link, name, value, size, flags) < 0 ? -errno : 0;
    } while (hostfs_access_again(hfs, ret, access, 1));
    return ret;
}

int hostfs_removexattr(const HostFs *hfs, int node, const char *name)
{
    HostAccess access[] = { { .fd = node, .bits = S_IWUSR } };
    HostFdName link;
    int ret;

    if (hfs->readonly) {
        return -EROFS;
    }
    hostfs_fd_name(hfs, node, link);
    do {
        ret = removexattr(link, name) < 0 ? -errno : 0;
    } while (hostfs_access_again(hfs, ret, access, 1));
    return ret;
}
