/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Security model mapped-file: the guest's view is in text files beside the
 * host file (mapped-folder.h), for file systems without extended attributes.
 *
 * A metadata file that is missing (or is no regular file, or is too long)
 * leaves everything to the host file.
 *
 * Metadata belongs to an inode, but its place is given by a name. So names and
 * metadata change together, under a lock of the export. The metadata files of
 * hard links are hard links, too, so a change of metadata writes the file in
 * place. A new name never takes over a metadata file that is still there: that
 * one may be linked to another file's metadata.
 */
#include "qemu/osdep.h"
#include "mapped-folder.h"
#include "mapped-text.h"

/* -ENOENT if @attr, found in @dir, belongs to the model and not to the guest */
static int check_guests(const LocalHost *lh, int dir, const FsAttr *attr)
{
    int ret = local_metadata_is_own(lh, dir, attr);

    return ret > 0 ? -ENOENT : ret;
}

/*
 * Checks a new name of the inode @attr in @dir: -EACCES if the file system
 * takes the name for one of the model's own, which did not exist before.
 */
static int check_new(const LocalHost *lh, int dir, const FsAttr *attr)
{
    int ret = check_guests(lh, dir, attr);

    return ret == -ENOENT ? -EACCES : ret;
}

/*
 * -ESTALE if the inode's name means something else, or nothing; -ENOENT if the
 * inode is the model's own.
 */
static int check_name(const LocalHost *lh, const LocalInode *inode,
                      const FsAttr *host)
{
    FsAttr named;
    int fd;

    fd = hostfs_step(&lh->host, inode->dir, inode->name, HOST_WAIT_POOL,
                     &named);
    if (fd < 0) {
        return fd == -ENOENT || fd == -ENOTDIR ? -ESTALE : fd;
    }
    close(fd);
    if (named.dev != host->dev || named.ino != host->ino) {
        return -ESTALE;
    }
    return check_guests(lh, inode->dir, host);
}

/*
 * Opens the metadata of an inode with the attributes @host. -ENOENT if there
 * is none; -ESTALE, with @make, if the inode has no place for metadata.
 */
static int open_of_inode(const LocalHost *lh, const LocalInode *inode,
                         const FsAttr *host, int flags, bool make)
{
    int folder, fd;

    if (inode->name) {
        folder = local_metadata_open_folder(lh, inode->dir, make);
        if (folder < 0) {
            return folder;
        }
        fd = local_metadata_open(lh, folder, inode->name, flags, make);
        close(folder);
        return fd;
    }
    if (host->dev == lh->host.root_dev && host->ino == lh->host.root_ino) {
        return local_metadata_open(lh, inode->handle, LOCAL_METADATA_ROOT,
                                   flags, make);
    }
    if (inode->kept >= 0) {
        fd = fcntl(inode->kept, F_DUPFD_CLOEXEC, 0);
        return fd < 0 ? -errno : fd;
    }
    return make ? -ESTALE : -ENOENT;
}

/* Views. The caller holds the lock. */

/* Turns @host, the host's attributes, into those that the guest sees. */
static int apply_view(const LocalHost *lh, const LocalInode *inode,
                      FsAttr *host, LocalView *view)
{
    int fd, ret;

    view->valid = 0;
    ret = inode->name ? check_name(lh, inode, host) : 0;
    if (ret < 0) {
        return ret;
    }
    fd = open_of_inode(lh, inode, host, O_RDONLY, false);
    if (fd < 0) {
        return local_metadata_is_absence(fd) ? 0 : fd;
    }
    ret = local_metadata_read(fd, view);
    close(fd);
    if (ret == 0) {
        local_view_apply(view, host);
    }
    return ret;
}

static void merge_view(LocalView *view, const LocalView *change)
{
    view->valid |= change->valid;
    if (change->valid & LOCAL_VIEW_UID) {
        view->uid = change->uid;
    }
    if (change->valid & LOCAL_VIEW_GID) {
        view->gid = change->gid;
    }
    if (change->valid & LOCAL_VIEW_MODE) {
        view->mode = change->mode;
    }
}

static int set_view(const LocalHost *lh, const LocalInode *inode,
                    const FsSetAttr *set)
{
    LocalView view, change;
    FsAttr host, attr;
    int fd, ret;

    ret = hostfs_getattr(inode->handle, &host);
    if (ret < 0) {
        return ret;
    }
    attr = host;
    ret = apply_view(lh, inode, &attr, &view);
    if (ret < 0) {
        return ret;
    }
    local_view_change(&change, set, &attr);
    merge_view(&view, &change);

    fd = open_of_inode(lh, inode, &host, O_RDWR, true);
    if (fd < 0) {
        return fd;
    }
    ret = local_metadata_write(fd, &view);
    close(fd);
    return ret;
}

/* Operations */

static int mapped_getattr(const LocalHost *lh, const LocalInode *inode,
                          FsAttr *attr)
{
    LocalView view;
    int ret;

    g_rw_lock_reader_lock(local_mapped_lock(lh));
    ret = apply_view(lh, inode, attr, &view);
    g_rw_lock_reader_unlock(local_mapped_lock(lh));
    return ret;
}

static int mapped_setattr(const LocalHost *lh, const LocalInode *inode,
                          int file, const FsSetAttr *set)
{
    FsAttr attr;
    int ret;

    ret = hostfs_getattr(inode->handle, &attr);
    if (ret == 0) {
        ret = mapped_getattr(lh, inode, &attr);
    }
    if (ret == 0) {
        ret = local_mapped_set_size(lh, inode, file, set, &attr);
    }
    if (ret == 0 && (set->valid & (FS_SET_MODE | FS_SET_UID | FS_SET_GID))) {
        g_rw_lock_writer_lock(local_mapped_lock(lh));
        ret = set_view(lh, inode, set);
        g_rw_lock_writer_unlock(local_mapped_lock(lh));
    }
    if (ret == 0) {
        ret = local_mapped_set_times(lh, inode, set, false);
    }
    return ret;
}

static int make_new_locked(const LocalHost *lh, int dir, const FsMakeArgs *make,
                           int flags, int *fd, FsAttr *attr)
{
    int node = local_mapped_make_host(lh, dir, make, flags, fd, NULL);
    LocalView view;
    int ret;

    if (node < 0) {
        return node;
    }
    local_view_of_new(&view, make);
    ret = hostfs_getattr(node, attr);
    if (ret == 0) {
        ret = check_new(lh, dir, attr);
    }
    if (ret == 0) {
        ret = local_metadata_put(lh, dir, make->name, &view);
    }
    if (ret < 0) {
        local_mapped_unmake_host(lh, dir, make, node);
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

static int make_new(const LocalHost *lh, int dir, const FsMakeArgs *make,
                    int flags, int *fd, FsAttr *attr)
{
    int ret;

    g_rw_lock_writer_lock(local_mapped_lock(lh));
    ret = make_new_locked(lh, dir, make, flags, fd, attr);
    g_rw_lock_writer_unlock(local_mapped_lock(lh));
    return ret;
}

static int link_locked(const LocalHost *lh, const LocalInode *inode,
                       int dir, const char *name)
{
    FsAttr attr;
    int fd, ret;

    ret = hostfs_getattr(inode->handle, &attr);
    if (ret == 0 && inode->name) {
        ret = check_name(lh, inode, &attr);
    }
    if (ret == 0) {
        ret = hostfs_link(&lh->host, inode->handle, dir, name);
    }
    if (ret < 0) {
        return ret;
    }
    ret = check_new(lh, dir, &attr);
    if (ret == 0) {
        ret = fd = open_of_inode(lh, inode, &attr, O_RDWR, true);
    }
    if (ret >= 0) {
        ret = local_metadata_link(lh, fd, dir, name);
        close(fd);
    }
    if (ret < 0) {
        hostfs_unlink(&lh->host, dir, name, false, inode->handle);
    }
    return ret;
}

static int mapped_link(const LocalHost *lh, const LocalInode *inode,
                       int dir, const char *name)
{
    int ret;

    g_rw_lock_writer_lock(local_mapped_lock(lh));
    ret = link_locked(lh, inode, dir, name);
    g_rw_lock_writer_unlock(local_mapped_lock(lh));
    return ret;
}

/*
 * Looks at the target of a rename of @old. If both are directories, clears the
 * target's metadata, which would keep rename(2) from replacing it.
 */
static int prepare_target(const LocalHost *lh, const FsAttr *old,
                          int newdir, const char *newname,
                          bool *exists, bool *same)
{
    FsAttr target;
    int node, ret = 0;

    node = hostfs_step(&lh->host, newdir, newname, HOST_WAIT_POOL, &target);
    *exists = node >= 0;
    *same = false;
    if (node < 0) {
        return node == -ENOENT ? 0 : node;
    }
    ret = check_new(lh, newdir, &target);
    if (ret < 0) {
        close(node);
        return ret;
    }
    if (target.dev == old->dev && target.ino == old->ino) {
        *same = true;
    } else if (S_ISDIR(target.mode) && S_ISDIR(old->mode)) {
        ret = local_metadata_clear(lh, node);
    }
    close(node);
    return ret;
}

static int rename_locked(const LocalHost *lh,
                         int olddir, const char *oldname,
                         int newdir, const char *newname)
{
    bool exists, same;
    FsAttr old;
    int from = -1;
    int to = -1;
    int ret;

    ret = hostfs_step(&lh->host, olddir, oldname, HOST_WAIT_POOL, &old);
    if (ret < 0) {
        return ret;
    }
    close(ret);
    ret = check_guests(lh, olddir, &old);
    if (ret < 0) {
        return ret;
    }
    ret = prepare_target(lh, &old, newdir, newname, &exists, &same);
    if (ret < 0 || same) {
        /* rename(2): two links to the same file both stay */
        return ret < 0 ? ret : hostfs_rename(&lh->host, olddir, oldname,
                                             newdir, newname);
    }

    /* Do as much as can fail before changing anything. */
    ret = local_metadata_find(lh, olddir, oldname, &from);
    if (ret == 0) {
        to = local_metadata_open_folder(lh, newdir, from >= 0);
        if (to < 0 && (from >= 0 || !local_metadata_is_absence(to))) {
            ret = to;
        }
    }
    if (ret == 0) {
        ret = hostfs_rename(&lh->host, olddir, oldname, newdir, newname);
    }
    if (ret == 0) {
        ret = check_new(lh, newdir, &old);
        if (ret == 0) {
            ret = local_metadata_rename(lh, from, oldname, to, newname);
        }
        if (ret < 0 && !exists) {
            hostfs_rename(&lh->host, newdir, newname, olddir, oldname);
        }
    }
    if (from >= 0) {
        close(from);
    }
    if (to >= 0) {
        close(to);
    }
    return ret;
}

static int mapped_rename(const LocalHost *lh, int olddir, const char *oldname,
                         int newdir, const char *newname)
{
    int ret;

    if (lh->host.readonly) {
        return -EROFS;
    }
    g_rw_lock_writer_lock(local_mapped_lock(lh));
    ret = rename_locked(lh, olddir, oldname, newdir, newname);
    g_rw_lock_writer_unlock(local_mapped_lock(lh));
    return ret;
}

/*
 * Before unlink(2) or rmdir(2) of @name: clears the metadata of a directory,
 * which must be @expect unless that is -1.
 */
static int prepare_unlink(const LocalHost *lh, int dir, const char *name,
                          bool rmdir, int expect)
{
    FsAttr attr, expected;
    int node, ret;

    ret = node = hostfs_step(&lh->host, dir, name, HOST_WAIT_POOL, &attr);
    if (ret < 0) {
        return ret;
    }
    ret = check_guests(lh, dir, &attr);
    if (ret < 0 || !rmdir) {
        close(node);
        return ret;
    }
    if (expect >= 0) {
        ret = hostfs_getattr(expect, &expected);
        if (ret == 0 && (attr.dev != expected.dev ||
                         attr.ino != expected.ino)) {
            ret = -ESTALE;
        }
    }
    if (ret == 0) {
        ret = S_ISDIR(attr.mode) ? local_metadata_clear(lh, node) : -ENOTDIR;
    }
    close(node);
    return ret;
}

static int mapped_unlink(const LocalHost *lh, int dir, const char *name,
                         bool rmdir, int expect)
{
    int folder;
    int ret = 0;

    if (lh->host.readonly) {
        return -EROFS;
    }
    g_rw_lock_writer_lock(local_mapped_lock(lh));
    folder = local_metadata_open_folder(lh, dir, false);
    if (folder < 0 && !local_metadata_is_absence(folder)) {
        ret = folder;
    }
    if (ret == 0) {
        ret = prepare_unlink(lh, dir, name, rmdir, expect);
    }
    if (ret == 0) {
        ret = hostfs_unlink(&lh->host, dir, name, rmdir, expect);
    }
    if (ret == 0 && folder >= 0) {
        local_metadata_remove(lh, folder, name);
    }
    g_rw_lock_writer_unlock(local_mapped_lock(lh));
    if (folder >= 0) {
        close(folder);
    }
    return ret;
}

static int mapped_keep(const LocalHost *lh, const LocalInode *inode)
{
    FsAttr attr;
    int ret;

    g_rw_lock_writer_lock(local_mapped_lock(lh));
    ret = hostfs_getattr(inode->handle, &attr);
    if (ret == 0 && inode->name) {
        ret = check_name(lh, inode, &attr);
    }
    if (ret == 0) {
        ret = open_of_inode(lh, inode, &attr, O_RDWR, true);
    }
    g_rw_lock_writer_unlock(local_mapped_lock(lh));
    return ret;
}

/* Extended attributes are the host file's. There are no ACLs. */
static int check_xattr(const char *name)
{
    return g_str_equal(name, FS_ACL_ACCESS) ||
           g_str_equal(name, FS_ACL_DEFAULT) ? -EOPNOTSUPP : 0;
}

static ssize_t mapped_getxattr(const LocalHost *lh, const LocalInode *inode,
                               const char *name, void *buf, size_t size)
{
    int ret;

    if (!name) {
        return local_mapped_list(lh, inode->handle, false, buf, size);
    }
    ret = check_xattr(name);
    return ret < 0 ? ret : hostfs_getxattr(&lh->host, inode->handle, name,
                                           buf, size);
}

static int mapped_setxattr(const LocalHost *lh, const LocalInode *inode,
                           const char *name, const void *value, size_t size,
                           int flags)
{
    int ret = check_xattr(name);

    return ret < 0 ? ret : hostfs_setxattr(&lh->host, inode->handle, name,
                                           value, size, flags);
}

static int mapped_removexattr(const LocalHost *lh, const LocalInode *inode,
                              const char *name)
{
    int ret = check_xattr(name);

    return ret < 0 ? ret : hostfs_removexattr(&lh->host, inode->handle,
                                              name);
}

const LocalModel local_model_mapped_file = {
    .needs_name = true,
    .hides_types = true,
    .open = local_mapped_open,
    .close = local_mapped_close,
    .reserved = local_metadata_reserved,
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
    .keep = mapped_keep,
};
