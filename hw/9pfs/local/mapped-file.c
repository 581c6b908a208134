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
 * metadata change together, while the operation has claimed the directories.
 * The metadata files of hard links are hard links, too, so a change of metadata
 * writes the file in place, and claims the inode. Who reads metadata, shares
 * both claims. A new name never takes over a metadata file that is still there:
 * that one may be linked to another file's metadata.
 *
 * A claim must not last while another file system is asked than that of the
 * claimed inodes. So the operations look first what is mounted on a name: what
 * must be known of that inode they find out before the claim, and they do not
 * try to change the name, which the kernel keeps as it is.
 */
#include "qemu/osdep.h"
#include "mapped-check.h"
#include "mapped-folder.h"
#include "mapped-text.h"

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
    return local_metadata_check_guests(lh, inode->dir, host);
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

/*
 * Claims the view of an inode with the attributes @host, to read it if @shared,
 * else to change it. The inode's name means the inode then (check_name()), or
 * the error is of that.
 */
static int claim_view(const LocalHost *lh, const LocalInode *inode,
                      const FsAttr *host, bool shared, LocalKeys *k)
{
    bool mounted = inode->name && hostfs_is_mount(inode->dir, inode->name);
    HostPlace dir = { .dev = host->dev };
    int ret = inode->name ? hostfs_place(inode->dir, &dir) : 0;

    if (ret == 0 && mounted) {
        ret = check_name(lh, inode, host);
    }
    if (ret < 0) {
        return ret;
    }
    *k = (LocalKeys) { };
    if (mounted && dir.dev != host->dev) {
        /* It has no other name with the same metadata. */
        local_keys_add(k, dir.dev, dir.ino, shared);
        local_keys_claim(k);
        return 0;
    }
    local_keys_add(k, host->dev, host->ino, shared);
    if (inode->name) {
        local_keys_add(k, dir.dev, dir.ino, true);
    }
    local_keys_claim(k);
    if (inode->name && !mounted) {
        ret = check_name(lh, inode, host);
        if (ret < 0) {
            local_keys_drop(k);
        }
    }
    return ret;
}

/* Views, which the caller has claimed */

/* The folder of metadata is no sub-directory that the guest could see. */
static void uncount_folder(const LocalHost *lh, const LocalInode *inode,
                           FsAttr *attr)
{
    int fd;

    /* Some file systems do not count sub-directories. */
    if (S_ISDIR(attr->mode) && attr->nlink > 2) {
        fd = local_metadata_open_folder(lh, inode->handle, false);
        if (fd >= 0) {
            close(fd);
            attr->nlink--;
        }
    }
}

/* Turns @host, the host's attributes, into those that the guest sees. */
static int apply_view(const LocalHost *lh, const LocalInode *inode,
                      FsAttr *host, FsView *view)
{
    int fd, ret;

    view->valid = 0;
    fd = open_of_inode(lh, inode, host, O_RDONLY, false);
    if (fd < 0) {
        return local_metadata_is_absence(lh, fd) ? 0 : fd;
    }
    ret = local_metadata_read(fd, view);
    close(fd);
    if (ret == 0) {
        fs_view_apply(view, host);
    }
    return ret;
}

static void merge_view(FsView *view, const FsView *change)
{
    view->valid |= change->valid;
    if (change->valid & FS_VIEW_UID) {
        view->uid = change->uid;
    }
    if (change->valid & FS_VIEW_GID) {
        view->gid = change->gid;
    }
    if (change->valid & FS_VIEW_MODE) {
        view->mode = change->mode;
    }
    if (change->valid & FS_VIEW_RDEV) {
        view->rdev = change->rdev;
    }
}

/* Stores the inode's @view with @change. */
static int change_view(const LocalHost *lh, const LocalInode *inode,
                       const FsAttr *host, FsView *view,
                       const FsView *change)
{
    int fd = open_of_inode(lh, inode, host, O_RDWR, true);
    int ret;

    if (fd < 0) {
        return fd;
    }
    merge_view(view, change);
    ret = local_metadata_write(fd, view);
    return local_metadata_close(fd, ret);
}

static int set_view(const LocalHost *lh, const LocalInode *inode,
                    const FsAttr *host, const FsSetAttr *set)
{
    FsView view, change;
    FsAttr attr = *host;
    int ret = apply_view(lh, inode, &attr, &view);

    if (ret < 0) {
        return ret;
    }
    fs_view_change(&change, set, &attr);
    return change_view(lh, inode, host, &view, &change);
}

/* Operations */

static int mapped_getattr(const LocalHost *lh, const LocalInode *inode,
                          FsAttr *attr)
{
    FsView view;
    LocalKeys k;
    int ret = claim_view(lh, inode, attr, true, &k);

    if (ret == 0) {
        ret = apply_view(lh, inode, attr, &view);
        local_keys_drop(&k);
    }
    if (ret == 0) {
        uncount_folder(lh, inode, attr);
    }
    return ret;
}

static int mapped_setattr(const LocalHost *lh, const LocalInode *inode,
                          int file, const FsSetAttr *set)
{
    FsAttr host, attr;
    LocalKeys k;
    int ret;

    ret = hostfs_getattr(inode->handle, &host);
    if (ret == 0) {
        attr = host;
        ret = mapped_getattr(lh, inode, &attr);
    }
    if (ret == 0) {
        ret = local_mapped_set_size(lh, inode, file, set, &attr);
    }
    if (ret == 0 && (set->valid & (FS_SET_MODE | FS_SET_UID | FS_SET_GID))) {
        ret = claim_view(lh, inode, &host, false, &k);
        if (ret == 0) {
            ret = set_view(lh, inode, &host, set);
            local_keys_drop(&k);
        }
    }
    if (ret == 0) {
        ret = local_mapped_set_times(lh, inode, set, false);
    }
    return ret;
}

static int make_claimed(const LocalHost *lh, int dir, const FsMakeArgs *make,
                        int flags, int *fd, FsAttr *attr)
{
    int node = local_mapped_make_host(lh, dir, make, flags, fd, NULL);
    FsView view;
    int ret;

    if (node < 0) {
        return node;
    }
    fs_view_of_new(&view, make);
    ret = hostfs_getattr(node, attr);
    if (ret == 0) {
        ret = local_metadata_check_new(lh, dir, attr);
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
    fs_view_apply(&view, attr);
    return node;
}

/* Whether @name may be new in @dir, as far as the names of mounts go */
static int check_free(int dir, const char *name)
{
    int ret = fs_name_check(name);

    return ret == 0 && hostfs_is_mount(dir, name) ? -EEXIST : ret;
}

static int make_new(const LocalHost *lh, int dir, const FsMakeArgs *make,
                    int flags, int *fd, FsAttr *attr)
{
    LocalKeys k = { };
    int ret = check_free(dir, make->name);

    if (ret == 0) {
        ret = local_keys_add_handle(&k, dir, false);
    }
    if (ret == 0) {
        local_keys_claim(&k);
        ret = make_claimed(lh, dir, make, flags, fd, attr);
        local_keys_drop(&k);
    }
    return ret;
}

static int link_claimed(const LocalHost *lh, const LocalInode *inode,
                        const FsAttr *attr, int dir, const char *name)
{
    int ret = 0;
    int fd = -1;

    if (inode->name) {
        ret = check_name(lh, inode, attr);
    }
    if (ret == 0) {
        ret = hostfs_link(&lh->host, inode->handle, dir, name);
    }
    if (ret < 0) {
        return ret;
    }
    ret = local_metadata_check_new(lh, dir, attr);
    if (ret == 0) {
        ret = fd = open_of_inode(lh, inode, attr, O_RDWR, true);
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
    HostPlace from, to;
    LocalKeys k = { };
    FsAttr attr;
    int ret;

    ret = hostfs_getattr(inode->handle, &attr);
    if (ret == 0) {
        ret = hostfs_place(inode->handle, &from);
    }
    if (ret == 0) {
        ret = hostfs_place(dir, &to);
    }
    if (ret == 0 && (S_ISDIR(attr.mode) || from.mount != to.mount)) {
        /* link(2) refuses it. */
        return hostfs_link(&lh->host, inode->handle, dir, name);
    }
    if (ret == 0) {
        ret = check_free(dir, name);
    }
    if (ret < 0) {
        return ret;
    }
    local_keys_add(&k, attr.dev, attr.ino, false);
    local_keys_add(&k, to.dev, to.ino, false);
    ret = inode->name ? local_keys_add_handle(&k, inode->dir, true) : 0;
    if (ret == 0) {
        local_keys_claim(&k);
        ret = link_claimed(lh, inode, &attr, dir, name);
        local_keys_drop(&k);
    }
    return ret;
}

static int mapped_keep(const LocalHost *lh, const LocalInode *inode)
{
    FsAttr attr;
    LocalKeys k;
    int ret;

    ret = hostfs_getattr(inode->handle, &attr);
    if (ret == 0) {
        ret = claim_view(lh, inode, &attr, false, &k);
    }
    if (ret == 0) {
        ret = open_of_inode(lh, inode, &attr, O_RDWR, true);
        local_keys_drop(&k);
    }
    return ret;
}

/* Extended attributes are the host file's. There are no ACLs. */
static int check_xattr(const char *name)
{
    return fs_acl_is_name(name) ? -EOPNOTSUPP : 0;
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

/* Programs that look after a share */

static int put_view(const LocalHost *lh, const LocalInode *inode,
                    const FsAttr *host, const FsView *change)
{
    FsAttr attr = *host;
    FsView view;
    int ret = apply_view(lh, inode, &attr, &view);

    return ret < 0 ? ret : change_view(lh, inode, host, &view, change);
}

static int mapped_put_view(const LocalHost *lh, const LocalInode *inode,
                           const FsView *view)
{
    LocalKeys k;
    FsAttr host;
    int ret;

    ret = hostfs_getattr(inode->handle, &host);
    if (ret == 0) {
        ret = claim_view(lh, inode, &host, false, &k);
    }
    if (ret == 0) {
        ret = put_view(lh, inode, &host, view);
        local_keys_drop(&k);
    }
    return ret;
}

static int mapped_get_view(const LocalHost *lh, const LocalInode *inode,
                           const FsAttr *host, FsView *view)
{
    FsAttr attr = *host;

    return apply_view(lh, inode, &attr, view);
}

static int mapped_drop_view(const LocalHost *lh, const LocalInode *inode)
{
    int folder, ret;

    if (!inode->name) {
        return local_metadata_remove(lh, inode->handle, LOCAL_METADATA_ROOT);
    }
    folder = local_metadata_open_folder(lh, inode->dir, false);
    if (folder < 0) {
        return folder == -ENOENT ? 0 : folder;
    }
    ret = local_metadata_remove(lh, folder, inode->name);
    close(folder);
    return ret;
}

static int mapped_share_view(const LocalHost *lh, const LocalInode *inode,
                             const FsAttr *host, int dir, const char *name)
{
    int fd = open_of_inode(lh, inode, host, O_RDWR, true);
    int ret;

    if (fd < 0) {
        return fd;
    }
    ret = local_metadata_link(lh, fd, dir, name);
    close(fd);
    return ret;
}

/* What is in the place of the metadata @name in @folder */
static int check_place(const LocalHost *lh, int folder, const char *name,
                       const FsAttr *host, LocalCheck *c)
{
    g_autofree char *what = NULL;
    FsAttr meta;
    int ret = 0;
    int node = hostfs_step(&lh->host, folder, name, HOST_WAIT_POOL, &meta);

    if (node < 0) {
        return node;
    }
    close(node);
    if (S_ISREG(meta.mode)) {
        if (!local_check_same_link(c, host, &meta)) {
            local_check_fault(c, NULL, "the file has other names, whose "
                              "metadata is another file", NULL, 0);
        }
        return 0;
    }
    what = g_strdup_printf("in place of its metadata is a %s",
                           S_ISDIR(meta.mode) ? "directory" :
                           S_ISLNK(meta.mode) ? "symbolic link" :
                           "special file");
    if (local_metadata_is_full_dir(lh, folder, name)) {
        local_check_fault(c, NULL, "in place of its metadata is a directory "
                          "with files in it: move it away", NULL, 0);
        return -ENOENT;
    }
    if (c->repair) {
        ret = local_metadata_remove(lh, folder, name);
    }
    local_check_fault(c, NULL, what, "it is removed; the guest sees the host's "
                      "owner and mode, as now", ret);
    return -ENOENT;
}

static char *text_faults(unsigned faults)
{
    static const char *const texts[] = {
        "is too long", "is empty", "has a NUL byte",
        "has a line without a valid number", "has a line of unknown meaning",
        "has two lines for one value",
    };
    GString *what = g_string_new("its metadata");
    const char *comma = " ";
    unsigned i;

    for (i = 0; i < G_N_ELEMENTS(texts); i++) {
        if (faults & (1u << i)) {
            g_string_append_printf(what, "%s%s", comma, texts[i]);
            comma = ", ";
        }
    }
    return g_string_free(what, false);
}

static int check_text(const LocalHost *lh, int folder, const char *name,
                      FsView *view, LocalCheck *c)
{
    g_autofree char *what = NULL;
    unsigned faults;
    int fd, ret;

    ret = fd = local_metadata_open(lh, folder, name, O_RDONLY, false);
    if (fd >= 0) {
        ret = local_metadata_read_check(fd, view, &faults);
        close(fd);
    }
    if (ret < 0 || !faults) {
        return ret;
    }
    if (c->repair && !view->valid) {
        ret = local_metadata_remove(lh, folder, name);
    } else if (c->repair) {
        ret = fd = local_metadata_open(lh, folder, name, O_RDWR, false);
        if (fd >= 0) {
            ret = local_metadata_close(fd, local_metadata_write(fd, view));
        }
    }
    what = text_faults(faults);
    local_check_fault(c, NULL, what, view->valid
                      ? "it is written again with what the guest sees; the "
                        "rest is lost"
                      : "it is removed; the guest sees the host's owner and "
                        "mode, as now", ret);
    return 0;
}

static int mapped_check(const LocalHost *lh, const LocalInode *inode,
                        const FsAttr *host, LocalCheck *c)
{
    const char *name = inode->name ? inode->name : LOCAL_METADATA_ROOT;
    FsView view = { };
    int folder, ret;

    folder = inode->name ? local_metadata_open_folder(lh, inode->dir, false)
                         : fcntl(inode->handle, F_DUPFD_CLOEXEC, 0);
    if (folder < 0) {
        ret = folder;
    } else {
        ret = check_place(lh, folder, name, host, c);
        if (ret == 0) {
            ret = check_text(lh, folder, name, &view, c);
        }
        close(folder);
    }
    if (ret == -ENOENT || ret == -ENOTDIR) {
        ret = 0;
    }
    if (ret == 0) {
        local_check_view(lh, inode, host, &view, c);
    }
    return ret;
}

const LocalModel local_model_mapped_file = {
    .needs_name = true,
    .hides_types = true,
    .reserved = local_metadata_reserved,
    .getattr = mapped_getattr,
    .setattr = mapped_setattr,
    .readlink = local_mapped_readlink,
    .create = local_mapped_create,
    .make = local_mapped_make,
    .make_new = make_new,
    .link = mapped_link,
    .rename = local_metadata_rename_name,
    .unlink = local_metadata_unlink_name,
    .getxattr = mapped_getxattr,
    .setxattr = mapped_setxattr,
    .removexattr = mapped_removexattr,
    .keep = mapped_keep,
    .get_view = mapped_get_view,
    .drop_view = mapped_drop_view,
    .drop_dir = local_metadata_drop_dir,
    .share_view = mapped_share_view,
    .put_view = mapped_put_view,
    .check = mapped_check,
    .check_dir = local_metadata_check_dir,
};
