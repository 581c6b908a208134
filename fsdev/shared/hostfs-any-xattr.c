/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * File operations on the host: extended attributes, of any name.
 *
 * They go through the handle's magic link. The kernel follows that to the inode
 * and no further, so it uses a symbolic link's own attributes and opens no
 * device. The kernel decides which names an inode may have (xattr(7): no
 * user.* on links and special files).
 */
#include "qemu/osdep.h"
#include "hostfs-internal.h"
#include <sys/xattr.h>

/*
 * By the descriptor itself, if that may be an open file; -EBADF if it is none,
 * or not open
 */
static int get_by_fd(const HostFs *hfs, int node, const char *name,
                     void *buf, size_t size)
{
    int len = -1;

    errno = EBADF;
    if (hfs->open_handles) {
        len = name ? fgetxattr(node, name, buf, size)
                   : flistxattr(node, buf, size);
    }
    return len < 0 ? -errno : len;
}

/* xattr(7): reading a user.* attribute needs permission to read the file. */
ssize_t hostfs_get_any_xattr(const HostFs *hfs, int node, const char *name,
                             void *buf, size_t size)
{
    HostAccess access[] = { { .fd = node, .bits = S_IRUSR } };
    HostFdName link;
    int len;

    size = MIN(size, FS_XATTR_MAX);
    len = get_by_fd(hfs, node, name, buf, size);
    if (len != -EBADF && len != -EACCES) {
        return len;
    }
    hostfs_fd_name(hfs, node, link);
    do {
        if (name) {
            len = getxattr(link, name, buf, size);
        } else {
            len = listxattr(link, buf, size);
        }
        len = len < 0 ? -errno : len;
    } while (hostfs_access_again(hfs, &len, access, 1));
    return len;
}

int hostfs_set_any_xattr(const HostFs *hfs, int node, const char *name,
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
    } while (hostfs_access_again(hfs, &ret, access, 1));
    return ret;
}
