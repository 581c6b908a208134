/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The steps of a conversion in place that copy and drop the views of mapped
 * models.
 */
#include "qemu/osdep.h"
#include "convert-views.h"
#include "make.h"

/* Copying: c->other is the new model. */

/* Another name of a file whose view was copied: 1 if it is done, 0 or -errno */
static int put_link(Convert *c, const MappedEntry *e)
{
    const LocalHost *to = &c->other;
    const char *path;
    MappedEntry first;
    int ret;

    path = to->model->share_view ? mapped_links_meet(c->links, &e->host,
                                                     e->path) : NULL;
    if (!path) {
        return 0;
    }
    ret = mapped_entry_find(c->s, path, &first);
    if (ret < 0) {
        return ret;
    }
    ret = to->model->share_view(to, &first.inode, &first.host, e->inode.dir,
                                e->inode.name);
    mapped_entry_free(&first);
    return ret < 0 ? ret : 1;
}

static int get_view(const MappedEntry *e, FsView *view)
{
    const LocalHost *lh = &e->share->lh;
    uint32_t type;
    int ret;

    if (mapped_model_is_host(lh->model)) {
        *view = (FsView) {
            .valid = FS_VIEW_UID | FS_VIEW_GID | FS_VIEW_MODE |
                     FS_VIEW_RDEV,
            .uid = e->attr.uid, .gid = e->attr.gid, .mode = e->attr.mode,
            .rdev = e->attr.rdev,
        };
        type = e->attr.mode & S_IFMT;
    } else {
        ret = lh->model->get_view(lh, &e->inode, &e->host, view);
        if (ret < 0) {
            return ret;
        }
        type = fs_view_type(view, e->host.mode);
    }
    if (type != S_IFCHR && type != S_IFBLK) {
        view->valid &= ~FS_VIEW_RDEV;
    }
    return 0;
}

static int put_view(Convert *c, const MappedEntry *e)
{
    const LocalHost *to = &c->other;
    FsView view;
    int ret = get_view(e, &view);

    /* Of an earlier try, or of other days */
    if (ret == 0) {
        ret = to->model->drop_view(to, &e->inode);
    }
    if (ret == 0 && view.valid) {
        ret = put_link(c, e);
        if (ret == 0) {
            ret = to->model->put_view(to, &e->inode, &view);
        }
    }
    if (ret == 0 && (S_ISREG(e->attr.mode) || S_ISDIR(e->attr.mode))) {
        ret = convert_put_acls(c, e);
    }
    return MIN(ret, 0);
}

/*
 * A link or special file of the host's can have no attributes. Between the
 * mapped models it stays one, and the guest sees it as it is.
 */
static TreeNext put_visit(const MappedEntry *e, void *opaque)
{
    Convert *c = opaque;
    int ret = 0;

    if (convert_is_plain(c, e) || (mapped_model_is_host(e->share->lh.model) &&
                  c->other.model->needs_name)) {
        ret = put_view(c, e);
    }
    if (ret < 0) {
        mapped_problem(e->share, e->path, ret, "cannot convert it");
    }
    return TREE_ON;
}

static void put_leave(const MappedEntry *dir, void *opaque)
{
    mapped_restore_time(dir);
}

const TreeOps convert_put_views_ops = {
    .visit = put_visit, .leave = put_leave, .any_thread = true,
};

/* Completing: here, c->other is the share's own model. */

static int fill_view(Convert *c, const MappedEntry *e)
{
    const LocalHost *lh = &e->share->lh;
    FsView view, change = {
        .uid = e->attr.uid, .gid = e->attr.gid, .mode = e->attr.mode,
    };
    int ret = lh->model->get_view(lh, &e->inode, &e->host, &view);

    change.valid = (FS_VIEW_UID | FS_VIEW_GID | FS_VIEW_MODE) &
                   ~view.valid;
    if (ret == 0 && !view.valid) {
        ret = put_link(c, e);
    }
    if (ret == 0 && change.valid) {
        ret = lh->model->put_view(lh, &e->inode, &change);
    }
    return MIN(ret, 0);
}

static TreeNext fill_visit(const MappedEntry *e, void *opaque)
{
    Convert *c = opaque;
    int ret = 0;

    if (convert_is_plain(c, e)) {
        ret = fill_view(c, e);
    }
    if (ret < 0) {
        mapped_problem(e->share, e->path, ret, "cannot convert it");
    }
    return TREE_ON;
}

const TreeOps convert_fill_views_ops = {
    .visit = fill_visit, .leave = put_leave, .any_thread = true,
};

/* Dropping: here, c->other is the old model, and the share has the new one. */

static TreeNext drop_visit(const MappedEntry *e, void *opaque)
{
    Convert *c = opaque;
    int ret = 0;

    if (convert_is_plain(c, e) && !c->other.model->drop_dir) {
        ret = c->other.model->drop_view(&c->other, &e->inode);
    }
    if (ret < 0) {
        mapped_problem(e->share, e->path, ret, "cannot remove what the old "
                       "model kept of it");
    }
    return TREE_ON;
}

static void drop_leave(const MappedEntry *dir, void *opaque)
{
    Convert *c = opaque;
    int ret = 0;

    if (c->other.model->drop_dir) {
        ret = c->other.model->drop_dir(&c->other, dir->inode.handle);
        mapped_restore_time(dir);
    }
    if (ret == -ENOTEMPTY) {
        mapped_problem(dir->share, dir->path, 0, "in the place of the old "
                       "model's metadata is a directory with files in it: move "
                       "it away, and start again");
    } else if (ret < 0) {
        mapped_problem(dir->share, dir->path, ret, "cannot remove what the "
                       "old model kept in it");
    }
}

const TreeOps convert_drop_views_ops = {
    .visit = drop_visit, .leave = drop_leave, .any_thread = true,
};
