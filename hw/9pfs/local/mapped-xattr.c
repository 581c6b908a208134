/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Security model mapped-xattr: the guest's view is in extended attributes of
 * the host file (mapped.h).
 *
 *     user.virtfs.uid     u32     all little endian
 *     user.virtfs.gid     u32
 *     user.virtfs.mode    u32     with type bits
 *     user.virtfs.rdev    u64     device nodes
 *     user.virtfs.system.posix_acl_access, user.virtfs.system.posix_acl_default
 *                                 the guest's ACLs
 *
 * A special file or link gets these attributes before it gets its name, where
 * the file system can do that. So no process sees the regular file that stands
 * for it without them.
 *
 * The attributes are independent: if one is missing or has the wrong size, or
 * the host does not let QEMU read it, the host file's value counts.
 *
 * The guest's kernel enforces the guest's ACLs, not QEMU. But QEMU keeps mode
 * and access ACL consistent and lets new files inherit (acl(5)), as the kernel
 * does for its own file systems. Linux's client does the same if it is mounted
 * with posixacl (it sets the mode before an ACL, the ACL after a mode, and both
 * on a new file), and otherwise does nothing. To do it twice has no further
 * effect.
 */
#include "qemu/osdep.h"
#include "qemu/bswap.h"
#include "mapped.h"

#define XATTR_UID       FS_XATTR_VIEW "uid"
#define XATTR_GID       FS_XATTR_VIEW "gid"
#define XATTR_MODE      FS_XATTR_VIEW "mode"
#define XATTR_RDEV      FS_XATTR_VIEW "rdev"
#define XATTR_ACCESS    FS_XATTR_VIEW FS_ACL_ACCESS
#define XATTR_DEFAULT   FS_XATTR_VIEW FS_ACL_DEFAULT

static int claim_view(const LocalInode *inode, LocalKeys *k)
{
    int ret;

    *k = (LocalKeys) { };
    ret = local_keys_add_handle(k, inode->handle, false);
    if (ret == 0) {
        local_keys_claim(k);
    }
    return ret;
}

static bool mapped_reserved(const char *name)
{
    return false;
}

/* 1 if the attribute is readable and has @size bytes, 0 if not. */
static int get_number(const LocalHost *lh, int node, const char *name,
                      uint64_t *value, size_t size)
{
    uint8_t buf[8];
    ssize_t len = hostfs_getxattr(&lh->host, node, name, buf, size);

    switch (len) {
    case -ENODATA:
    case -EOPNOTSUPP:
    case -ERANGE:
    case -EACCES:
    case -EPERM:
        return 0;
    }
    if (len < 0) {
        return len;
    }
    if ((size_t)len != size) {
        return 0;
    }
    *value = size == 8 ? ldq_le_p(buf) : (uint32_t)ldl_le_p(buf);
    return 1;
}

static int get_u32(const LocalHost *lh, int node, const char *name,
                   uint32_t *value, uint32_t bit, LocalView *view)
{
    uint64_t number = 0;
    int ret = get_number(lh, node, name, &number, 4);

    if (ret > 0) {
        *value = number;
        view->valid |= bit;
    }
    return MIN(ret, 0);
}

/* The view of an inode whose mode on the host is @mode */
static int get_view(const LocalHost *lh, int node, uint32_t mode,
                    LocalView *view)
{
    uint32_t type;
    int ret;

    view->valid = 0;
    if (!S_ISREG(mode) && !S_ISDIR(mode)) {
        return 0;               /* xattr(7): these have no user.* */
    }
    ret = get_u32(lh, node, XATTR_UID, &view->uid, LOCAL_VIEW_UID, view);
    if (ret == 0) {
        ret = get_u32(lh, node, XATTR_GID, &view->gid, LOCAL_VIEW_GID, view);
    }
    if (ret == 0) {
        ret = get_u32(lh, node, XATTR_MODE, &view->mode, LOCAL_VIEW_MODE,
                      view);
    }
    if (ret < 0) {
        return ret;
    }
    type = local_view_type(view, mode);
    if (type == S_IFCHR || type == S_IFBLK) {
        ret = get_number(lh, node, XATTR_RDEV, &view->rdev, 8);
        if (ret > 0) {
            view->valid |= LOCAL_VIEW_RDEV;
        }
    }
    return MIN(ret, 0);
}

static int put_u32(const LocalHost *lh, int node, const char *name,
                   uint32_t value)
{
    uint8_t buf[4];

    stl_le_p(buf, value);
    return hostfs_setxattr(&lh->host, node, name, buf, sizeof(buf), 0);
}

/* Writes the valid part of @view, with the mode and its type first. */
static int put_view(const LocalHost *lh, int node, const LocalView *view)
{
    uint8_t rdev[8];
    int ret = 0;

    if (view->valid & LOCAL_VIEW_MODE) {
        ret = put_u32(lh, node, XATTR_MODE, view->mode);
    }
    if (ret == 0 && (view->valid & LOCAL_VIEW_UID)) {
        ret = put_u32(lh, node, XATTR_UID, view->uid);
    }
    if (ret == 0 && (view->valid & LOCAL_VIEW_GID)) {
        ret = put_u32(lh, node, XATTR_GID, view->gid);
    }
    if (ret == 0 && (view->valid & LOCAL_VIEW_RDEV)) {
        stq_le_p(rdev, view->rdev);
        ret = hostfs_setxattr(&lh->host, node, XATTR_RDEV, rdev,
                              sizeof(rdev), 0);
    }
    return ret;
}

static int mapped_getattr(const LocalHost *lh, const LocalInode *inode,
                          FsAttr *attr)
{
    LocalView view;
    int ret = get_view(lh, inode->handle, attr->mode, &view);

    if (ret == 0) {
        local_view_apply(&view, attr);
    }
    return ret;
}

/* The attributes as the guest sees them */
static int get_attr(const LocalHost *lh, const LocalInode *inode,
                    FsAttr *attr)
{
    int ret = hostfs_getattr(inode->handle, attr);

    return ret < 0 ? ret : mapped_getattr(lh, inode, attr);
}

/*
 * One of the guest's ACLs, as new memory in *@acl; returns its length, or 0 if
 * there is no valid ACL.
 */
static ssize_t get_acl(const LocalHost *lh, int node, const char *name,
                       uint8_t **acl)
{
    g_autofree uint8_t *large = NULL;
    uint8_t small[512];
    uint8_t *buf = small;
    ssize_t len;

    *acl = NULL;
    len = hostfs_getxattr(&lh->host, node, name, small, sizeof(small));
    if (len == -ERANGE) {
        buf = large = g_try_malloc(FS_XATTR_MAX);
        if (!large) {
            return -ENOMEM;
        }
        len = hostfs_getxattr(&lh->host, node, name, large, FS_XATTR_MAX);
    }
    if (len == -ENODATA || len == -EOPNOTSUPP || len == -EACCES ||
        len == -EPERM) {
        return 0;
    }
    if (len < 0) {
        return len;
    }
    if (fs_acl_is_empty(len) || fs_acl_check(buf, len) < 0) {
        return 0;
    }
    *acl = g_memdup2(buf, len);
    return len;
}

/* Adapts the access ACL to a new mode, as posix_acl_chmod() in Linux. */
static int chmod_acl(const LocalHost *lh, int node, uint32_t mode)
{
    g_autofree uint8_t *acl = NULL;
    ssize_t len = get_acl(lh, node, XATTR_ACCESS, &acl);

    if (len <= 0) {
        return len;
    }
    fs_acl_chmod(acl, len, mode);
    return hostfs_setxattr(&lh->host, node, XATTR_ACCESS, acl, len, 0);
}

static int set_view(const LocalHost *lh, const LocalInode *inode,
                    const FsSetAttr *set, const FsAttr *attr)
{
    LocalView change;
    int ret;

    local_view_change(&change, set, attr);
    ret = put_view(lh, inode->handle, &change);
    if (ret == 0 && (set->valid & FS_SET_MODE)) {
        ret = chmod_acl(lh, inode->handle, change.mode);
    }
    return ret;
}

/* Whether @set changes a value that the view has */
static bool view_differs(const FsSetAttr *set, const FsAttr *attr)
{
    return ((set->valid & FS_SET_MODE) &&
            (set->mode & 07777) != (attr->mode & 07777)) ||
           ((set->valid & FS_SET_UID) && set->uid != attr->uid) ||
           ((set->valid & FS_SET_GID) && set->gid != attr->gid);
}

static int mapped_setattr(const LocalHost *lh, const LocalInode *inode,
                          int file, const FsSetAttr *set)
{
    bool changes = set->valid & (FS_SET_MODE | FS_SET_UID | FS_SET_GID);
    LocalKeys k;
    FsAttr attr;
    int ret;

    ret = changes ? claim_view(inode, &k) : 0;
    if (ret < 0) {
        return ret;
    }
    ret = get_attr(lh, inode, &attr);
    if (ret == 0) {
        ret = local_mapped_set_size(lh, inode, file, set, &attr);
    }
    if (ret == 0 && changes) {
        ret = set_view(lh, inode, set, &attr);
    }
    if (changes) {
        local_keys_drop(&k);
    }
    if (ret == 0) {
        /* Setting an xattr moves the ctime; on ext4, only a new value does. */
        ret = local_mapped_set_times(lh, inode, set, view_differs(set, &attr));
    }
    return ret;
}

/*
 * Lets a new object inherit the default ACL of its directory, which limits the
 * mode, as posix_acl_create() in Linux.
 */
static int inherit_acl(const LocalHost *lh, int dir, int node,
                       LocalView *view)
{
    g_autofree uint8_t *acl = NULL;
    ssize_t len;
    int ret = 0;

    if (S_ISLNK(view->mode)) {
        return 0;
    }
    len = get_acl(lh, dir, XATTR_DEFAULT, &acl);
    if (len <= 0) {
        return len;
    }
    if (S_ISDIR(view->mode)) {
        ret = hostfs_setxattr(&lh->host, node, XATTR_DEFAULT, acl, len, 0);
    }
    if (ret == 0 && !fs_acl_inherit(acl, len, &view->mode)) {
        ret = hostfs_setxattr(&lh->host, node, XATTR_ACCESS, acl, len, 0);
    }
    return ret;
}

static int make_new(const LocalHost *lh, int dir, const FsMakeArgs *make,
                    int flags, int *fd, FsAttr *attr)
{
    LocalView view;
    bool unnamed;
    int node, ret;

    node = local_mapped_make_host(lh, dir, make, flags, fd, &unnamed);
    if (node < 0) {
        return node;
    }
    local_view_of_new(&view, make);
    ret = inherit_acl(lh, dir, node, &view);
    if (ret == 0) {
        ret = put_view(lh, node, &view);
    }
    if (ret == 0 && unnamed) {
        ret = hostfs_link(&lh->host, node, dir, make->name);
        unnamed = ret < 0;
    }
    if (ret == 0) {
        ret = hostfs_getattr(node, attr);
    }
    if (ret < 0) {
        if (!unnamed) {
            local_mapped_unmake_host(lh, dir, make, node);
        }
        if (fd && *fd >= 0) {
            close(*fd);
            *fd = -1;
        }
        close(node);
        return ret;
    }
    local_view_apply(&view, attr);
    return node;
}

static int mapped_link(const LocalHost *lh, const LocalInode *inode,
                       int dir, const char *name)
{
    return hostfs_link(&lh->host, inode->handle, dir, name);
}

static int mapped_rename(const LocalHost *lh, int olddir, const char *oldname,
                         int newdir, const char *newname)
{
    return hostfs_rename(&lh->host, olddir, oldname, newdir, newname);
}

static int mapped_unlink(const LocalHost *lh, int dir, const char *name,
                         bool rmdir, int expect)
{
    return hostfs_unlink(&lh->host, dir, name, rmdir, expect);
}

/* Where one of the guest's ACLs is kept, or NULL for other names */
static const char *acl_name(const char *name)
{
    return g_str_equal(name, FS_ACL_ACCESS) ? XATTR_ACCESS :
           g_str_equal(name, FS_ACL_DEFAULT) ? XATTR_DEFAULT : NULL;
}

static ssize_t mapped_getxattr(const LocalHost *lh, const LocalInode *inode,
                               const char *name, void *buf, size_t size)
{
    const char *acl;

    if (!name) {
        return local_mapped_list(lh, inode->handle, true, buf, size);
    }
    acl = acl_name(name);
    return hostfs_getxattr(&lh->host, inode->handle, acl ? acl : name,
                           buf, size);
}

/* In Linux, removexattr(2) of an ACL that does not exist is no error. */
static int remove_acl(const LocalHost *lh, int node, const char *kept)
{
    int ret = hostfs_removexattr(&lh->host, node, kept);

    return ret == -ENODATA ? 0 : ret;
}

/* Adapts the mode to the access ACL, and stores the ACL if it says more. */
static int set_access_acl(const LocalHost *lh, const LocalInode *inode,
                          const void *acl, size_t size)
{
    LocalView change = { .valid = LOCAL_VIEW_MODE };
    LocalKeys k;
    FsAttr attr;
    bool minimal;
    int ret = claim_view(inode, &k);

    if (ret < 0) {
        return ret;
    }
    ret = get_attr(lh, inode, &attr);
    if (ret == 0 && S_ISLNK(attr.mode)) {
        ret = -EOPNOTSUPP;
    }
    if (ret == 0) {
        change.mode = attr.mode;
        minimal = fs_acl_to_mode(acl, size, &change.mode);
        ret = minimal ? remove_acl(lh, inode->handle, XATTR_ACCESS)
                      : hostfs_setxattr(&lh->host, inode->handle,
                                        XATTR_ACCESS, acl, size, 0);
    }
    if (ret == 0 && change.mode != attr.mode) {
        ret = put_view(lh, inode->handle, &change);
    }
    local_keys_drop(&k);
    return ret;
}

/* As setxattr(2), which ignores its flags and removes the ACL if it is empty */
static int set_acl(const LocalHost *lh, const LocalInode *inode,
                   const char *kept, const void *acl, size_t size)
{
    FsAttr attr;
    int ret;

    ret = fs_acl_check(acl, size);
    if (ret < 0) {
        return ret;
    }
    if (fs_acl_is_empty(size)) {
        return remove_acl(lh, inode->handle, kept);
    }
    if (g_str_equal(kept, XATTR_ACCESS)) {
        return set_access_acl(lh, inode, acl, size);
    }
    ret = hostfs_getattr(inode->handle, &attr);
    if (ret < 0) {
        return ret;
    }
    if (!S_ISDIR(attr.mode)) {
        return -EACCES;         /* set_posix_acl() in Linux */
    }
    return hostfs_setxattr(&lh->host, inode->handle, kept, acl, size, 0);
}

static int mapped_setxattr(const LocalHost *lh, const LocalInode *inode,
                           const char *name, const void *value, size_t size,
                           int flags)
{
    const char *acl = acl_name(name);

    if (acl) {
        return set_acl(lh, inode, acl, value, size);
    }
    return hostfs_setxattr(&lh->host, inode->handle, name, value, size,
                           flags);
}

static int mapped_removexattr(const LocalHost *lh, const LocalInode *inode,
                              const char *name)
{
    const char *acl = acl_name(name);

    if (acl) {
        return remove_acl(lh, inode->handle, acl);
    }
    return hostfs_removexattr(&lh->host, inode->handle, name);
}

const LocalModel local_model_mapped_xattr = {
    .hides_types = true,
    .reserved = mapped_reserved,
    .getattr = mapped_getattr,
    .setattr = mapped_setattr,
    .readlink = local_mapped_readlink,
    .create = local_mapped_create,
    .make = local_mapped_make,
    .make_new = make_new,
    .link = mapped_link,
    .rename = mapped_rename,
    .unlink = mapped_unlink,
    .getxattr = mapped_getxattr,
    .setxattr = mapped_setxattr,
    .removexattr = mapped_removexattr,
};
