/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The local driver's operations that change names: making, linking, renaming
 * and removing.
 *
 * An inode may lose its last name while its node is in use. Nothing can find it
 * again after that, so the driver opens it first, and leaves it open; likewise
 * the file in which the security model keeps data under that name
 * (LocalModel.keep).
 */
#include "qemu/osdep.h"
#include "hw/9pfs/host/file.h"
#include "local.h"

typedef struct MakeWork {
    const LocalHost *host;
    int dir;
    const FsMakeArgs *make;
    int flags;
    int node;
    FsAttr *attr;
} MakeWork;

static int create_work(void *opaque)
{
    MakeWork *m = opaque;

    return m->host->model->create(m->host, m->dir, m->make, m->flags,
                                  &m->node, m->attr);
}

int coroutine_fn local_create(FsCall *call, FsNode *dir,
                              const FsMakeArgs *make, int flags,
                              FsNode **node, FsFile **file,
                              FsAttr *attr)
{
    LocalFs *lf = local_fs(dir);
    LocalNode *d = local_node(dir);
    MakeWork m = {
        .host = &lf->host, .make = make, .flags = flags, .node = -1,
        .attr = attr,
    };
    uint32_t since = lf->changes;
    HostDevKind kind;
    int ret;

    if (local_hidden(lf, make->name)) {
        return -EACCES;
    }
    ret = host_files_add();
    if (ret < 0) {
        return ret;
    }
    ret = m.dir = local_node_pin(d);
    if (ret >= 0) {
        ret = local_run(dir->dev, create_work, &m);
        local_node_unpin(d);
    }
    if (ret < 0) {
        host_files_remove();
        return ret;
    }
    kind = host_dev_learn(&lf->devs, m.node, attr->dev);
    *node = &local_node_accept(lf, m.node, attr, d, make->name, since)->node;
    *file = host_file_new(*node, ret, flags, lf->writeout, kind);
    local_dir_changed(d);
    return 0;
}

static int make_work(void *opaque)
{
    MakeWork *m = opaque;

    return m->host->model->make(m->host, m->dir, m->make, m->attr);
}

int coroutine_fn local_make(FsCall *call, FsNode *dir,
                            const FsMakeArgs *make, FsAttr *attr)
{
    LocalNode *d = local_node(dir);
    MakeWork m = { .host = &local_fs(dir)->host, .make = make, .attr = attr };
    int ret;

    if (local_hidden(local_fs(dir), make->name)) {
        return -EACCES;
    }
    ret = m.dir = local_node_pin(d);
    if (ret < 0) {
        return ret;
    }
    ret = local_run(dir->dev, make_work, &m);
    local_node_unpin(d);
    local_dir_changed(d);
    return ret;
}

typedef struct LinkWork {
    LocalWork w;
    int dir;
    const char *name;
} LinkWork;

static int link_work(void *opaque)
{
    LinkWork *l = opaque;

    return l->w.host->model->link(l->w.host, &l->w.hold.inode, l->dir,
                                  l->name);
}

int coroutine_fn local_link(FsCall *call, FsNode *node,
                            FsNode *dir, const char *name)
{
    LinkWork l = { .name = name };
    LocalNode *d = local_node(dir);
    int ret;

    if (local_hidden(local_fs(dir), name)) {
        return -EACCES;
    }
    ret = l.dir = local_node_pin(d);
    if (ret < 0) {
        return ret;
    }
    l.w.dir = d;
    ret = local_run_held(&l.w, local_node(node), -1, link_work);
    local_node_unpin(d);
    if (ret == 0) {
        local_node_linked(local_node(node), d, name);
        local_dir_changed(d);
    }
    return ret;
}

/*
 * The inode that is about to lose a name. Its node may have to do with
 * descriptors alone afterwards.
 */
typedef struct Victim {
    LocalNode *n;               /* pinned, with a reference; or NULL */
    LocalInode inode;
    bool keep;                  /* call LocalModel.keep */
    int kept;
} Victim;

static void coroutine_fn victim_hold(Victim *v, LocalNode *dir,
                                     const char *name)
{
    LocalFs *lf = local_fs(&dir->node);
    int fd;

    *v = (Victim) {
        .n = local_node_named(dir, name),
        .inode = { .handle = -1, .dir = -1, .kept = -1 },
        .kept = -1,
    };
    if (!v->n) {
        return;
    }
    fd = local_node_pin(v->n);
    if (fd < 0) {
        /* By now the name means another inode. */
        fs_node_unref(&v->n->node);
        v->n = NULL;
        return;
    }
    v->inode.handle = fd;
    v->inode.name = name;
    v->keep = lf->host.model->keep &&
              local_node_last_name(v->n, dir, name);
}

/*
 * Before the name goes; @dir: an O_PATH descriptor. Any thread; may block.
 * Without what is kept under the name, the name goes all the same.
 */
static void victim_keep(Victim *v, const LocalHost *host, int dir)
{
    if (v->keep) {
        v->inode.dir = dir;
        v->kept = host->model->keep(host, &v->inode);
    }
}

static void victim_release(Victim *v, LocalNode *dir, const char *name,
                           bool gone)
{
    if (!v->n) {
        return;
    }
    if (gone) {
        local_node_unnamed(v->n, dir, name, v->kept);
    } else if (v->kept >= 0) {
        host_pool_close(v->kept);
    }
    local_node_unpin(v->n);
    fs_node_unref(&v->n->node);
}

typedef struct RenameWork {
    const LocalHost *host;
    int olddir;
    const char *oldname;
    int newdir;
    const char *newname;
    Victim over;
} RenameWork;

static int rename_work(void *opaque)
{
    RenameWork *r = opaque;

    victim_keep(&r->over, r->host, r->newdir);
    return r->host->model->rename(r->host, r->olddir, r->oldname,
                                  r->newdir, r->newname);
}

/* Pins all nodes of the rename: 0, or -errno with nothing pinned. */
static int coroutine_fn rename_hold(RenameWork *r, LocalNode *from,
                                    LocalNode *to)
{
    r->olddir = local_node_pin(from);
    if (r->olddir < 0) {
        return r->olddir;
    }
    r->newdir = local_node_pin(to);
    if (r->newdir < 0) {
        local_node_unpin(from);
        return r->newdir;
    }
    victim_hold(&r->over, to, r->newname);
    return 0;
}

int coroutine_fn local_rename(FsCall *call,
                              FsNode *olddir, const char *oldname,
                              FsNode *newdir, const char *newname)
{
    LocalFs *lf = local_fs(olddir);
    LocalNode *from = local_node(olddir);
    LocalNode *to = local_node(newdir);
    RenameWork r = {
        .host = &lf->host, .oldname = oldname, .newname = newname,
    };
    FsRename rename = { };
    LocalNode *moved, *slow;
    int ret;

    if (local_hidden(lf, oldname)) {
        return -ENOENT;
    }
    if (local_hidden(lf, newname)) {
        return -EACCES;
    }
    ret = rename_hold(&r, from, to);
    if (ret < 0) {
        return ret;
    }
    fs_rename_begin(&rename, olddir, oldname, newdir, newname);
    slow = local_node_slower(local_node_slower(from, to), r.over.n);
    ret = host_pool_run(slow->node.dev, rename_work, &r);
    moved = local_node_named(from, oldname);
    if (ret == 0) {
        local_dir_changed(from);
        local_dir_changed(to);
    }
    /* rename(2) does nothing to two names of the same inode */
    victim_release(&r.over, to, newname, ret == 0 && r.over.n != moved);
    if (moved) {
        fs_node_unref(&moved->node);
    }
    fs_rename_end(&rename, ret);
    local_node_unpin(to);
    local_node_unpin(from);
    return ret;
}

typedef struct UnlinkWork {
    const LocalHost *host;
    int dir;
    const char *name;
    bool rmdir;
    int expect;
    Victim victim;
} UnlinkWork;

static int unlink_work(void *opaque)
{
    UnlinkWork *u = opaque;

    victim_keep(&u->victim, u->host, u->dir);
    return u->host->model->unlink(u->host, u->dir, u->name, u->rmdir,
                                  u->expect);
}

int coroutine_fn local_unlink(FsCall *call, FsNode *dir,
                              const char *name, bool rmdir,
                              FsNode *expect)
{
    LocalFs *lf = local_fs(dir);
    LocalNode *d = local_node(dir);
    LocalNode *e = expect ? local_node(expect) : NULL;
    UnlinkWork u = {
        .host = &lf->host, .name = name, .rmdir = rmdir, .expect = -1,
    };
    int ret;

    if (local_hidden(lf, name)) {
        return -ENOENT;
    }
    ret = u.dir = local_node_pin(d);
    if (ret < 0) {
        return ret;
    }
    if (e) {
        ret = u.expect = local_node_pin(e);
        if (ret < 0) {
            local_node_unpin(d);
            return ret;
        }
    }
    victim_hold(&u.victim, d, name);
    /*
     * A model with needs_name must not look for the file by its entry while
     * the name is gone already and the entry is not.
     */
    fs_names_begin(lf->fs);
    ret = host_pool_run(local_node_slower(d, u.victim.n)->node.dev,
                        unlink_work, &u);
    if (ret == 0) {
        local_dir_changed(d);
    }
    victim_release(&u.victim, d, name, ret == 0);
    fs_names_end(lf->fs);
    if (e) {
        local_node_unpin(e);
    }
    local_node_unpin(d);
    return ret;
}
