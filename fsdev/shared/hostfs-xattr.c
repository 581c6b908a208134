/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * File operations on the host: the extended attributes that a guest names.
 */
#include "qemu/osdep.h"
#include "acl.h"
#include "hostfs-internal.h"
#include "id-translate.h"
#include "special-file.h"
#include "xattr-names.h"
#include <sys/xattr.h>

/*
 * The host's form of a name that @node may have, in @host. A file that stands
 * for a device has none for the guest: the host would take an ACL for the
 * file's own.
 */
static int check_name(const HostFs *hfs, int node, const char *name,
                      FsXattrName host)
{
    static const FsXattrNames all = { .others = true };
    int ret = fs_xattr_to_host(hfs->guest_xattrs ?: &all, name, host);

    if (ret == 0) {
        ret = special_file_is(hfs, node);
    }
    return ret > 0 ? -EOPNOTSUPP : ret;
}

/* The names that a guest may use. The buffer must hold all names at first. */
static ssize_t list_for_guest(const HostFs *hfs, int node,
                              void *buf, size_t size)
{
    g_autofree char *all = g_try_malloc(FS_XATTR_MAX);
    ssize_t len = special_file_is(hfs, node);

    if (len != 0) {
        return MIN(len, 0);     /* a device's list is empty */
    }
    if (!all) {
        return -ENOMEM;
    }
    len = hostfs_get_any_xattr(hfs, node, NULL, all, FS_XATTR_MAX);
    if (len < 0) {
        return len;
    }
    len = fs_xattr_list_to_guest(hfs->guest_xattrs, all, len);
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
    FsXattrName host;
    ssize_t len;

    if (!name && hfs->guest_xattrs) {
        return list_for_guest(hfs, node, buf, size);
    }
    len = name ? check_name(hfs, node, name, host) : 0;
    if (len == 0) {
        len = hostfs_get_any_xattr(hfs, node, name ? host : NULL, buf, size);
    }
    if (len > 0 && size && name && fs_acl_is_name(host)) {
        id_translate_acl_to_guest(hfs->ids, buf, len);
    }
    return len;
}

/* Sets an ACL with the guest's ids. */
static int set_acl(const HostFs *hfs, int node, const char *name,
                   const void *value, size_t size, int flags)
{
    g_autofree void *acl = NULL;
    int ret;

    if (size > FS_XATTR_MAX) {
        return -E2BIG;
    }
    acl = g_try_malloc(MAX(size, 1));
    if (!acl) {
        return -ENOMEM;
    }
    memcpy(acl, value, size);
    ret = id_translate_acl(hfs->ids, acl, size);
    return ret < 0 ? ret
                   : hostfs_set_any_xattr(hfs, node, name, acl, size, flags);
}

int hostfs_setxattr(const HostFs *hfs, int node, const char *name,
                    const void *value, size_t size, int flags)
{
    FsXattrName host;
    int ret = check_name(hfs, node, name, host);

    if (ret < 0) {
        return ret;
    }
    if (hfs->ids && fs_acl_is_name(host)) {
        return set_acl(hfs, node, host, value, size, flags);
    }
    return hostfs_set_any_xattr(hfs, node, host, value, size, flags);
}

int hostfs_removexattr(const HostFs *hfs, int node, const char *name)
{
    HostAccess access[] = { { .fd = node, .bits = S_IWUSR } };
    FsXattrName host;
    HostFdName link;
    int ret;

    ret = check_name(hfs, node, name, host);
    if (ret < 0) {
        return ret;
    }
    if (hfs->readonly) {
        return -EROFS;
    }
    hostfs_fd_name(hfs, node, link);
    do {
        ret = removexattr(link, host) < 0 ? -errno : 0;
    } while (hostfs_access_again(hfs, &ret, access, 1));
    return ret;
}
