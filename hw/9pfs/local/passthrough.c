/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * security_model=passthrough and none: the guest sees files as the host has
 * them, so these only call the operations of fsdev/shared/hostfs.h. The two
 * models differ only in HostFs.ignore_chown_failure.
 */
#include "qemu/osdep.h"
#include "model.h"

static bool pass_reserved(const char *name)
{
    return false;
}

static int pass_getattr(const LocalHost *lh, const LocalInode *inode,
                        FsAttr *attr)
{
    return 0;
}

static int pass_setattr(const LocalHost *lh, const LocalInode *inode,
                        int file, const FsSetAttr *set)
{
    return hostfs_setattr(&lh->host, inode->handle, file, set);
}

static int pass_readlink(const LocalHost *lh, const LocalInode *inode,
                         char *buf, size_t size)
{
    return hostfs_readlink(inode->handle, buf, size);
}

static int pass_create(const LocalHost *lh, int dir, const FsMakeArgs *make,
                       int flags, int *node, FsAttr *attr)
{
    return hostfs_create(&lh->host, dir, make, flags, node, attr);
}

static int pass_make(const LocalHost *lh, int dir, const FsMakeArgs *make,
                     FsAttr *attr)
{
    return hostfs_make(&lh->host, dir, make, attr);
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
