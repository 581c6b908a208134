/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Security model mapped-xattr: the guest's view is in extended attributes of
 * the host file (mapped.h, and fsdev/shared/view.h for their names and form).
 * The guest's ACLs are in user.virtfs.system.posix_acl_access and
 * user.virtfs.system.posix_acl_default.
 *
 * A special file or link gets these attributes before it gets its name, where
 * the file system can do that. So no process sees the regular file that stands
 * for it without them.
 *
 * The guest's kernel enforces the guest's ACLs, not QEMU. But QEMU keeps mode
 * and access ACL consistent and lets new files inherit (acl(5)), as the kernel
 * does for its own file systems. Linux's client does the same if it is mounted
 * with posixacl (it sets the mode before an ACL, the ACL after a mode, and both
 * on a new file), and otherwise does nothing. To do it twice has no further
 * effect.
 */
#include "qemu/osdep.h"
#include "mapped-check.h"

#define VIEW_ALL        (FS_VIEW_UID | FS_VIEW_GID | FS_VIEW_MODE | \
                         FS_VIEW_RDEV)
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

static int mapped_getattr(const LocalHost *lh, const LocalInode *inode,
                          FsAttr *attr)
{
    FsView view;
    int ret = fs_view_get(&lh->host, inode->handle, attr->mode, VIEW_ALL,
                          &view);

    if (ret == 0) {
        fs_view_apply(&view, attr);
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
    FsView change;
    int ret = 0;

    fs_view_change(&change, set, attr);
    if ((attr->mode & ~change.mode & (S_ISUID | S_ISGID)) &&
        (change.valid & (FS_VIEW_UID | FS_VIEW_GID))) {
        /* A new owner must not have a program with the old bits. */
        FsView without = {
            .valid = FS_VIEW_MODE,
            .mode = change.mode & ~(S_ISUID | S_ISGID),
        };

        ret = fs_view_put(&lh->host, inode->handle, &without);
    }
    if (ret == 0) {
        ret = fs_view_put(&lh->host, inode->handle, &change);
    }
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
                       FsView *view)
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

/*
 * Makes it without a name at first, unless *@links is false. Makes that false
 * if it could have no name because there are no hard links.
 */
static int make_once(const LocalHost *lh, int dir, const FsMakeArgs *make,
                     int flags, int *fd, FsAttr *attr, bool *links)
{
    bool unnamed = false;
    FsView view;
    int node, ret;

    node = local_mapped_make_host(lh, dir, make, flags, fd,
                                  *links ? &unnamed : NULL);
    if (node < 0) {
        return node;
    }
    fs_view_of_new(&view, make);
    ret = inherit_acl(lh, dir, node, &view);
    if (ret == 0) {
        ret = fs_view_put(&lh->host, node, &view);
    }
    if (ret == 0 && unnamed) {
        ret = hostfs_link(&lh->host, node, dir, make->name);
        unnamed = ret < 0;
        *links = !hostfs_has_no_links(ret);
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
    fs_view_apply(&view, attr);
    return node;
}

static int make_new(const LocalHost *lh, int dir, const FsMakeArgs *make,
                    int flags, int *fd, FsAttr *attr)
{
    bool links = true;
    int node = make_once(lh, dir, make, flags, fd, attr, &links);

    return links ? node : make_once(lh, dir, make, flags, fd, attr, &links);
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
    FsView change = { .valid = FS_VIEW_MODE };
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
        ret = fs_view_put(&lh->host, inode->handle, &change);
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

/* Programs that look after a share */

static int mapped_put_view(const LocalHost *lh, const LocalInode *inode,
                           const FsView *view)
{
    LocalKeys k;
    int ret = claim_view(inode, &k);

    if (ret == 0) {
        ret = fs_view_put(&lh->host, inode->handle, view);
        local_keys_drop(&k);
    }
    return ret;
}

static int mapped_get_view(const LocalHost *lh, const LocalInode *inode,
                           const FsAttr *host, FsView *view)
{
    return fs_view_get(&lh->host, inode->handle, host->mode, VIEW_ALL, view);
}

static int mapped_drop_view(const LocalHost *lh, const LocalInode *inode)
{
    static const char *const names[] = {
        XATTR_ACCESS, XATTR_DEFAULT, FS_XATTR_RDEV, FS_XATTR_UID, FS_XATTR_GID,
        FS_XATTR_MODE,             /* the type goes last */
    };
    unsigned i;
    int ret = 0;

    for (i = 0; i < G_N_ELEMENTS(names) && ret == 0; i++) {
        ret = hostfs_removexattr(&lh->host, inode->handle, names[i]);
        if (ret == -ENODATA || ret == -EOPNOTSUPP) {
            ret = 0;
        }
    }
    return ret;
}

/* A number of the wrong size becomes the one that counts without it. */
static void check_number(const LocalHost *lh, const LocalInode *inode,
                         const char *name, ssize_t len, const FsAttr *host,
                         LocalCheck *c)
{
    bool is_rdev = g_str_equal(name, FS_XATTR_RDEV);
    ssize_t size = is_rdev ? 8 : 4;
    g_autofree char *what = NULL;
    g_autofree char *cure = NULL;
    FsView view = {
        .uid = host->uid, .gid = host->gid, .mode = host->mode,
    };
    uint32_t value;
    int ret = 0;

    if (len == size) {
        return;
    }
    value = g_str_equal(name, FS_XATTR_UID) ? host->uid :
            g_str_equal(name, FS_XATTR_GID) ? host->gid : host->mode;
    what = g_strdup_printf("attribute %s has %zd bytes in place of %zd",
                           name, len, size);
    if (is_rdev) {
        cure = g_strdup("it is removed; the device's number is lost");
    } else {
        cure = g_strdup_printf(g_str_equal(name, FS_XATTR_MODE)
                               ? "it becomes 0%o, the host's, which the guest "
                                 "sees now; the old value is lost"
                               : "it becomes %u, the host's, which the guest "
                                 "sees now; the old value is lost", value);
    }
    if (c->repair) {
        view.valid = g_str_equal(name, FS_XATTR_UID) ? FS_VIEW_UID :
                     g_str_equal(name, FS_XATTR_GID) ? FS_VIEW_GID :
                     FS_VIEW_MODE;
        ret = is_rdev ? hostfs_removexattr(&lh->host, inode->handle, name)
                      : fs_view_put(&lh->host, inode->handle, &view);
    }
    local_check_fault(c, NULL, what, cure, ret);
}

static void check_acl(const LocalHost *lh, const LocalInode *inode,
                      const char *name, const uint8_t *acl, ssize_t len,
                      const FsAttr *host, LocalCheck *c)
{
    bool misplaced = g_str_equal(name, XATTR_DEFAULT) && !S_ISDIR(host->mode);
    g_autofree char *what = NULL;
    int ret = 0;

    if (!misplaced && fs_acl_check(acl, len) == 0 && !fs_acl_is_empty(len)) {
        return;
    }
    what = g_strdup_printf("attribute %s %s", name, misplaced
                           ? "on what is no directory" : "is no valid ACL");
    if (c->repair) {
        ret = hostfs_removexattr(&lh->host, inode->handle, name);
    }
    local_check_fault(c, NULL, what, "it is removed; that ACL is lost", ret);
}

static int check_attribute(const LocalHost *lh, const LocalInode *inode,
                           const char *name, uint8_t *value,
                           const FsAttr *host, LocalCheck *c)
{
    g_autofree char *what = NULL;
    ssize_t len;

    len = hostfs_getxattr(&lh->host, inode->handle, name, value,
                          FS_XATTR_MAX);
    if (len < 0) {
        return len;
    }
    if (g_str_equal(name, FS_XATTR_UID) || g_str_equal(name, FS_XATTR_GID) ||
        g_str_equal(name, FS_XATTR_MODE) || g_str_equal(name, FS_XATTR_RDEV)) {
        check_number(lh, inode, name, len, host, c);
    } else if (g_str_equal(name, XATTR_ACCESS) ||
               g_str_equal(name, XATTR_DEFAULT)) {
        check_acl(lh, inode, name, value, len, host, c);
    } else {
        what = g_strdup_printf("attribute %s has no meaning", name);
        local_check_fault(c, NULL, what, NULL, 0);
    }
    return 0;
}

static int mapped_check(const LocalHost *lh, const LocalInode *inode,
                        const FsAttr *host, LocalCheck *c)
{
    g_autofree char *names = g_malloc(FS_XATTR_MAX + 1);
    g_autofree uint8_t *value = g_malloc(FS_XATTR_MAX);
    FsView view;
    ssize_t len;
    char *name;
    int ret = 0;

    if (!S_ISREG(host->mode) && !S_ISDIR(host->mode)) {
        return 0;
    }
    len = hostfs_getxattr(&lh->host, inode->handle, NULL, names, FS_XATTR_MAX);
    if (len < 0) {
        return len;
    }
    names[len] = '\0';
    for (name = names; ret == 0 && name < names + len;
         name += strlen(name) + 1) {
        if (g_str_has_prefix(name, FS_XATTR_VIEW)) {
            ret = check_attribute(lh, inode, name, value, host, c);
        }
    }
    if (ret == 0) {
        ret = fs_view_get(&lh->host, inode->handle, host->mode, VIEW_ALL,
                          &view);
    }
    if (ret == 0) {
        local_check_view(lh, inode, host, &view, c);
    }
    return ret;
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
    .get_view = mapped_get_view,
    .drop_view = mapped_drop_view,
    .put_view = mapped_put_view,
    .check = mapped_check,
};
