/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The steps of a conversion in place that change the host's own files, from or
 * to passthrough and proxy.
 *
 * A regular file or a directory is the same inode before and after; it gets
 * another owner, mode and ACLs. A link or a special file is another inode. That
 * one is made in the staging folder, and takes the name in one rename(2).
 *
 * All names of such an inode must come to mean one new inode, also if the
 * program is killed in between, or turned round. So while the conversion lasts,
 * the staging folder has both of them: each by a name that the other's device
 * and inode numbers make.
 *
 *     .virtfs_convert/new             the inode that is being made
 *     .virtfs_convert/DEV-INO         what takes the place of inode INO
 */
#include "qemu/osdep.h"
#include <dirent.h>
#include "convert-host.h"
#include "data.h"
#include "make.h"

#define NEW             "new"
#define PARTNER_MAX     64

/* The staging folder */

static int open_staging(Convert *c)
{
    const HostFs *hfs = &c->s->lh.host;
    const FsMakeArgs make = {
        .name = MAPPED_STAGING, .mode = S_IFDIR | 0700, .uid = -1, .gid = -1,
    };
    FsAttr attr;
    int fd, ret;

    if (c->staging >= 0) {
        return c->staging;
    }
    ret = hostfs_make(hfs, hfs->root, &make, &attr);
    if (ret < 0 && ret != -EEXIST) {
        return ret;
    }
    fd = hostfs_step(hfs, hfs->root, MAPPED_STAGING, HOST_WAIT_POOL, &attr);
    if (fd >= 0 && !S_ISDIR(attr.mode)) {
        close(fd);
        return -ENOTDIR;
    }
    c->staging = fd;
    return fd;
}

int convert_clear_staging(Convert *c)
{
    const HostFs *hfs = &c->s->lh.host;
    FsSetAttr set = { .valid = FS_SET_MTIME | FS_SET_MTIME_SET };
    FsAttr attr;
    struct dirent *d;
    int ret = 0;
    DIR *list;
    int fd = hostfs_step(hfs, hfs->root, MAPPED_STAGING, HOST_WAIT_POOL,
                         &attr);

    if (fd < 0) {
        return fd == -ENOENT ? 0 : fd;
    }
    ret = hostfs_getattr(hfs->root, &attr);
    if (ret == 0) {
        ret = hostfs_open(hfs, fd, O_RDONLY | O_DIRECTORY);
    }
    list = ret < 0 ? NULL : fdopendir(ret);
    while (list && ret >= 0 && (d = readdir(list))) {
        if (fs_name_check(d->d_name) == 0) {
            ret = hostfs_unlink(hfs, fd, d->d_name, false, -1);
        }
    }
    if (list) {
        closedir(list);
    }
    close(fd);
    if (ret >= 0) {
        ret = hostfs_unlink(hfs, hfs->root, MAPPED_STAGING, true, -1);
    }
    if (ret == 0) {
        set.mtime = attr.mtime;
        ret = hostfs_setattr(hfs, hfs->root, -1, &set);
    }
    return ret;
}

static void partner_name(char *name, const FsAttr *attr)
{
    snprintf(name, PARTNER_MAX, "%" PRIx64 "-%" PRIx64, attr->dev, attr->ino);
}

/* Gives an inode the name NEW in the staging folder; 0 if it has no partner */
static int name_partner(Convert *c, const MappedEntry *e)
{
    const HostFs *hfs = &c->s->lh.host;
    char name[PARTNER_MAX];
    FsAttr attr;
    int node, ret;

    if (e->host.nlink < 2) {
        return 0;
    }
    partner_name(name, &e->host);
    node = hostfs_step(hfs, c->staging, name, HOST_WAIT_POOL, &attr);
    if (node < 0) {
        return node == -ENOENT ? 0 : node;
    }
    ret = hostfs_link(hfs, node, c->staging, NEW);
    close(node);
    return ret < 0 ? ret : 1;
}

/* Makes the inode with the name NEW the partner of @e, and @e its partner. */
static int keep_partner(Convert *c, const MappedEntry *e)
{
    const HostFs *hfs = &c->s->lh.host;
    char name[PARTNER_MAX];
    FsAttr attr;
    int node, ret;

    node = hostfs_step(hfs, c->staging, NEW, HOST_WAIT_POOL, &attr);
    if (node < 0 || e->host.nlink < 2) {
        if (node >= 0) {
            close(node);
        }
        return MIN(node, 0);
    }
    partner_name(name, &e->host);
    ret = hostfs_link(hfs, node, c->staging, name);
    close(node);
    if (ret == 0 || ret == -EEXIST) {
        partner_name(name, &attr);
        ret = hostfs_link(hfs, e->inode.handle, c->staging, name);
    }
    return ret == -EEXIST ? 0 : ret;
}

static int replace_alone(Convert *c, const MappedEntry *e,
                         int (*make)(Convert *c, const MappedEntry *e))
{
    const HostFs *hfs = &c->s->lh.host;
    int ret = open_staging(c);

    if (ret >= 0) {
        ret = hostfs_unlink(hfs, c->staging, NEW, false, -1);
    }
    if (ret < 0 && ret != -ENOENT) {
        return ret;
    }
    ret = name_partner(c, e);
    if (ret == 0) {
        ret = make(c, e);
    }
    if (ret >= 0) {
        ret = keep_partner(c, e);
    }
    return ret < 0 ? ret : hostfs_rename(hfs, c->staging, NEW, e->inode.dir,
                                         e->inode.name);
}

/*
 * Puts another inode in the place of @e; @make makes it, with the name NEW in
 * the staging folder. One at a time has that name.
 */
static int replace(Convert *c, const MappedEntry *e,
                   int (*make)(Convert *c, const MappedEntry *e))
{
    int ret;

    g_mutex_lock(&c->staging_lock);
    ret = replace_alone(c, e, make);
    g_mutex_unlock(&c->staging_lock);
    return ret;
}

/* The host's files become the guest's: c->other is the new model. */

static int drop_acls(const MappedEntry *e)
{
    const HostFs *hfs = &e->share->lh.host;
    unsigned i;
    int ret = 0;

    for (i = 0; ret == 0 && i < G_N_ELEMENTS(mapped_acl_names); i++) {
        ret = hostfs_removexattr(hfs, e->inode.handle, mapped_acl_names[i]);
        if (ret == -ENODATA || ret == -EOPNOTSUPP) {
            ret = 0;
        }
    }
    return ret;
}

static int put_same(Convert *c, const MappedEntry *e)
{
    const FsSetAttr set = {
        .valid = FS_SET_UID | FS_SET_GID | FS_SET_MODE,
        .uid = e->attr.uid, .gid = e->attr.gid, .mode = e->attr.mode & 07777,
    };
    int ret = drop_acls(e);

    if (ret == 0) {
        ret = c->other.model->setattr(&c->other, &e->inode, -1, &set);
    }
    return ret < 0 ? ret : convert_put_acls(c, e);
}

static int make_special(Convert *c, const MappedEntry *e)
{
    const LocalHost *lh = &e->share->lh;
    char target[PATH_MAX + 1];
    const FsMakeArgs make = {
        .name = NEW, .mode = e->attr.mode, .uid = e->attr.uid,
        .gid = e->attr.gid, .rdev = e->attr.rdev, .target = target,
    };
    MappedEntry made = { .share = e->share, .path = e->path };
    int ret = 0;

    if (S_ISLNK(e->attr.mode)) {
        ret = lh->model->readlink(lh, &e->inode, target, sizeof(target));
    }
    if (ret == 0) {
        ret = c->other.model->make(&c->other, c->staging, &make, &made.attr);
    }
    if (ret == 0) {
        ret = made.inode.handle = hostfs_step(&lh->host, c->staging, NEW,
                                              HOST_WAIT_POOL, &made.host);
    }
    if (ret >= 0) {
        mapped_set_mtime(&made, &e->attr.mtime);
        mapped_entry_close(&made);
    }
    return MIN(ret, 0);
}

/*
 * The host's own link or special file, such as one that replaced another before
 * this program was killed: it stays, with what a view says.
 */
static int put_view_on_special(Convert *c, const MappedEntry *e)
{
    const LocalHost *lh = &e->share->lh;
    FsView view = { };
    FsSetAttr set = { };
    int ret = lh->model->get_view(lh, &e->inode, &e->host, &view);

    set.valid = (view.valid & FS_VIEW_UID ? FS_SET_UID : 0) |
                (view.valid & FS_VIEW_GID ? FS_SET_GID : 0) |
                (view.valid & FS_VIEW_MODE && !S_ISLNK(e->host.mode)
                 ? FS_SET_MODE : 0);
    set.uid = view.uid;
    set.gid = view.gid;
    set.mode = view.mode & 07777;
    return ret < 0 || !set.valid ? ret
           : c->other.model->setattr(&c->other, &e->inode, -1, &set);
}

static int put_file(Convert *c, const MappedEntry *e)
{
    if (S_ISREG(e->attr.mode) || S_ISDIR(e->attr.mode)) {
        return put_same(c, e);
    }
    return convert_is_plain(c, e) ? replace(c, e, make_special)
                               : put_view_on_special(c, e);
}

static TreeNext put_visit(const MappedEntry *e, void *opaque)
{
    Convert *c = opaque;
    int ret = put_file(c, e);

    if (ret < 0) {
        mapped_problem(e->share, e->path, ret, "cannot convert it");
    }
    return TREE_ON;
}

static void restore_leave(const MappedEntry *dir, void *opaque)
{
    mapped_restore_time(dir);
}

const TreeOps convert_put_host_ops = {
    .visit = put_visit, .leave = restore_leave, .any_thread = true,
};

/*
 * The host's files come to stand for the guest's: here, c->other is the old
 * model, and the share has the new one.
 */

static int take_same(Convert *c, const MappedEntry *e)
{
    const LocalHost *lh = &e->share->lh;
    const FsSetAttr set = {
        .valid = FS_SET_UID | FS_SET_GID | FS_SET_MODE,
        .uid = c->marker.owner_uid, .gid = c->marker.owner_gid,
        .mode = S_ISDIR(e->host.mode) ? lh->dmode : lh->fmode,
    };
    int ret = drop_acls(e);

    return ret < 0 ? ret : hostfs_setattr(&lh->host, e->inode.handle, -1,
                                          &set);
}

/* What the guest sees of a link or a special file that has no view */
static int view_of_special(Convert *c, const MappedEntry *e, FsView *view)
{
    FsMakeArgs make = { };
    FsAttr attr = e->host;
    int ret = c->other.model->getattr(&c->other, &e->inode, &attr);

    make.mode = attr.mode;
    make.rdev = attr.rdev;
    make.uid = attr.uid;
    make.gid = attr.gid;
    fs_view_of_new(view, &make);
    return ret;
}

/*
 * The link will be gone when a file with its target has its name. So that one
 * is on the disk before.
 */
static int write_target(Convert *c, const MappedEntry *e, int fd)
{
    char target[PATH_MAX + 1];
    int ret;

    if (!S_ISLNK(e->host.mode)) {
        return 0;
    }
    ret = hostfs_readlink(e->inode.handle, target, sizeof(target));
    if (ret == 0 && (!mapped_write_all(fd, target, strlen(target), 0) ||
                     fsync(fd) < 0)) {
        ret = -errno;
    }
    return ret;
}

static int make_stand_in(Convert *c, const MappedEntry *e)
{
    const LocalHost *lh = &e->share->lh;
    const FsMakeArgs make = {
        .name = NEW, .mode = S_IFREG | lh->fmode,
        .uid = c->marker.owner_uid, .gid = c->marker.owner_gid,
    };
    MappedEntry made = { .share = e->share, .path = e->path };
    FsView view;
    int fd, closed, ret;

    fd = hostfs_create(&lh->host, c->staging, &make, O_RDWR | O_EXCL,
                       &made.inode.handle, &made.host);
    if (fd < 0) {
        return fd;
    }
    ret = write_target(c, e, fd);
    /* A view that goes by the name is there already. */
    if (ret == 0 && !lh->model->needs_name) {
        ret = view_of_special(c, e, &view);
        if (ret == 0) {
            ret = lh->model->put_view(lh, &made.inode, &view);
        }
    }
    closed = hostfs_close_written(fd);
    ret = ret < 0 ? ret : closed;
    if (ret == 0) {
        mapped_set_mtime(&made, &e->host.mtime);
    }
    mapped_entry_close(&made);
    return ret;
}

static TreeNext take_visit(const MappedEntry *e, void *opaque)
{
    Convert *c = opaque;
    int ret = convert_is_plain(c, e)
              ? take_same(c, e) : replace(c, e, make_stand_in);

    if (ret < 0) {
        mapped_problem(e->share, e->path, ret, "cannot take it from its "
                       "owner");
    }
    return TREE_ON;
}

const TreeOps convert_take_host_ops = {
    .visit = take_visit, .leave = restore_leave, .any_thread = true,
};
