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
#include "xattr-names.h"
#include <sys/xattr.h>

static int check_name(const HostFs *hfs, const char *name)
{
    return hfs->guest_xattrs ? fs_xattr_name_check(name, hfs->file_caps) : 0;
}

/* xattr(7): reading a user.* attribute needs permission to read the file. */
static ssize_t get_xattr(const HostFs *hfs, int node, const char *name,
                         void *buf, size_t size)
{
    HostAccess access[] = { { .fd = node, .bits = S_IRUSR } };
    HostFdName link;
    int len;

    hostfs_fd_name(hfs, node, link);
    size = MIN(size, FS_XATTR_MAX);
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

/* The names that a guest may use. The buffer must hold all names at first. */
static ssize_t list_for_guest(const HostFs *hfs, int node,
                              void *buf, size_t size)
{
    g_autofree char *all = g_try_malloc(FS_XATTR_MAX);
    ssize_t len;

    if (!all) {
        return -ENOMEM;
    }
    len = get_xattr(hfs, node, NULL, all, FS_XATTR_MAX);
    if (len < 0) {
        return len;
    }
    len = fs_xattr_list_filter(all, len, hfs->file_caps);
    if (size == 0) {
        return len;
    }
    if ((size_t)len > size) {
        return -ERANGE;
    }
    memcpy(buf, all, len);
    return len;
}

ssize_t hostfs_getxattr(const HostFs *hfs, int node, const char *name,
                        void *buf, size_t size)
{
    int ret;

    if (!name && hfs->guest_xattrs) {
        return list_for_guest(hfs, node, buf, size);
    }
    ret = name ? check_name(hfs, name) : 0;
    return ret < 0 ? ret : get_xattr(hfs, node, name, buf, size);
}

int hostfs_setxattr(const HostFs *hfs, int node, const char *name,
                    const void *value, size_t size, int flags)
{
    HostAccess access[] = { { .fd = node, .bits = S_IWUSR } };
    HostFdName link;
    int ret;

    ret = check_name(hfs, name);
    if (ret < 0) {
        return ret;
    }
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

int hostfs_removexattr(const HostFs *hfs, int node, const char *name)
{
    HostAccess access[] = { { .fd = node, .bits = S_IWUSR } };
    HostFdName link;
    int ret;

    ret = check_name(hfs, name);
    if (ret < 0) {
        return ret;
    }
    if (hfs->readonly) {
        return -EROFS;
    }
    hostfs_fd_name(hfs, node, link);
    do {
        ret = removexattr(link, name) < 0 ? -errno : 0;
    } while (hostfs_access_again(hfs, &ret, access, 1));
    return ret;
}
