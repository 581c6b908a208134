/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * security_model=passthrough and none: the guest sees files as the host has
 * them, but for ids that the user had translated, so these only call the
 * operations of fsdev/shared/hostfs.h. The two models differ only in
 * HostFs.ignore_chown_failure.
 */
#include "qemu/osdep.h"
#include "fsdev/shared/id-translate.h"
#include "model.h"

static bool pass_reserved(const char *name)
{
    return false;
}

static int pass_getattr(const LocalHost *lh, const LocalInode *inode,
                        FsAttr *attr)
{
    id_translate_attr_to_guest(lh->host.ids, attr);
    return 0;
}

static int pass_setattr(const LocalHost *lh, const LocalInode *inode,
                        int file, const FsSetAttr *set)
{
    FsSetAttr change = *set;
    int ret = id_translate_set(lh->host.ids, &change);

    return ret < 0 ? ret
                   : hostfs_setattr(&lh->host, inode->handle, file, &change);
}

static int pass_readlink(const LocalHost *lh, const LocalInode *inode,
                         char *buf, size_t size)
{
    return hostfs_readlink(inode->handle, buf, size);
}

static int pass_create(const LocalHost *lh, int dir, const FsMakeArgs *make,
                       int flags, int *node, FsAttr *attr)
{
    FsMakeArgs args = *make;
    int ret = id_translate_make(lh->host.ids, &args);

    *node = -1;
    if (ret == 0) {
        ret = hostfs_create(&lh->host, dir, &args, flags, node, attr);
    }
    if (ret >= 0) {
        id_translate_attr_to_guest(lh->host.ids, attr);
    }
    return ret;
}

static int pass_make(const LocalHost *lh, int dir, const FsMakeArgs *make,
                     FsAttr *attr)
{
    FsMakeArgs args = *make;
    int ret = id_translate_make(lh->host.ids, &args);

    if (ret == 0) {
        ret = hostfs_make(&lh->host, dir, &args, attr);
    }
    if (ret == 0) {
        id_translate_attr_to_guest(lh->host.ids, attr);
    }
    return ret;
}

static int pass_link(const LocalHost *lh, const LocalInode *inode,
                     int dir, const char *name)
{
    return hostfs_link(&lh->host, inode->handle, dir, name);
}

static int pass_rename(const LocalHost *lh, int olddir, const char *oldname,
                       int newdir, const char *newname)
{
    return hostfs_rename(&lh->host, olddir, oldname, newdir, newname);
}

static int pass_unlink(const LocalHost *lh, int dir, const char *name,
                       bool rmdir, int expect)
{
    return hostfs_unlink(&lh->host, dir, name, rmdir, expect);
}

static ssize_t pass_getxattr(const LocalHost *lh, const LocalInode *inode,
                             const char *name, void *buf, size_t size)
{
    return hostfs_getxattr(&lh->host, inode->handle, name, buf, size);
}

static int pass_setxattr(const LocalHost *lh, const LocalInode *inode,
                         const char *name, const void *value, size_t size,
                         int flags)
{
    return hostfs_setxattr(&lh->host, inode->handle, name, value, size,
                           flags);
}

static int pass_removexattr(const LocalHost *lh, const LocalInode *inode,
                            const char *name)
{
    return hostfs_removexattr(&lh->host, inode->handle, name);
}

const LocalModel local_model_passthrough = {
    .reserved = pass_reserved,
    .getattr = pass_getattr,
    .setattr = pass_setattr,
    .readlink = pass_readlink,
    .create = pass_create,
    .make = pass_make,
    .link = pass_link,
    .rename = pass_rename,
    .unlink = pass_unlink,
    .getxattr = pass_getxattr,
    .setxattr = pass_setxattr,
    .removexattr = pass_removexattr,
};
