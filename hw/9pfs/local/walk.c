/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The local driver's walk: from name to name.
 *
 * The export's thread looks a name up without waiting if the kernel has it in
 * its cache, unless the security model has to read more than that. From the
 * first name that is not in the cache, the walk continues in the thread pool.
 *
 * The pool's answer may be out of date: another request of the guest may change
 * a directory after the pool found a name in it and before the export's thread
 * gets the answer. Entries must be right, so such a walk starts again.
 */
#include "qemu/osdep.h"
#include "hw/9pfs/fs/walk.h"
#include "local.h"

/* Rounds of a walk in a directory that changes all the time */
#define WALK_TRIES          4

typedef struct StepsWork {
    const LocalHost *host;
    int from;
    const char *const *names;
    unsigned n;
    bool up;                    /* the name is "..": host's attributes */
    /* With up: the directory in which a walk found the one where we are */
    const LocalNode *above;     /* NULL: not known */
    uint64_t above_born;
    FsAttr *attr;
    int fd[FS_WALK_MAX];
    unsigned walked;
} StepsWork;

static bool is_above(void *opaque, const HostPlace *dir, const FsAttr *above)
{
    const StepsWork *s = opaque;

    return s->above && local_node_is(s->above, s->above_born, above);
}

static int steps_work(void *opaque)
{
    StepsWork *s = opaque;
    const HostKnown known = { .is_above = is_above, .opaque = s };
    const HostFs *host = &s->host->host;
    int dir = s->walked ? s->fd[s->walked - 1] : s->from;

    while (s->walked < s->n) {
        const char *name = s->names[s->walked];
        FsAttr *attr = &s->attr[s->walked];
        unsigned tries = WALK_TRIES;
        int fd, ret;

        do {
            LocalInode inode = { .dir = dir, .name = name, .kept = -1 };

            fd = s->up ? hostfs_step_up(host, dir, &known, attr)
                       : hostfs_step(host, dir, name, HOST_WAIT_POOL, attr);
            if (fd < 0) {
                return fd;
            }
            inode.handle = fd;
            ret = s->up ? 0 : s->host->model->getattr(s->host, &inode, attr);
            if (ret < 0) {
                close(fd);
            }
            /* By now the name means another inode. */
        } while (ret == -ESTALE && --tries);
        if (ret < 0) {
            return ret;
        }
        s->fd[s->walked++] = fd;
        dir = fd;
    }
    return 0;
}

typedef struct LocalWalk {
    FsWalker walker;
    LocalFs *lf;
    uint32_t since;             /* LocalFs.changes at the start */
    bool waited;
    bool raced;                 /* a directory on the way changed since */
} LocalWalk;

static LocalNode *walk_at(const LocalWalk *w)
{
    return local_node(w->walker.at);
}

/* The walk leaves a directory, or does not find a name in it. */
static void walk_check_race(LocalWalk *w)
{
    w->raced |= local_dir_changed_since(walk_at(w), w->since);
}

/* Goes on to @next, whose reference it takes over. */
static void walk_step(LocalWalk *w, LocalNode *next, bool up)
{
    walk_check_race(w);
    if (up) {
        fs_walker_up(&w->walker, &next->node);
    } else {
        fs_walker_down(&w->walker, &next->node);
    }
}

/* One step without waiting; -EAGAIN if it might have to wait. */
static int coroutine_fn step_try(LocalWalk *w, const char *name, FsAttr *attr)
{
    LocalInode inode = { .dir = -1, .kept = -1 };
    LocalNode *dir = walk_at(w);
    LocalFs *lf = w->lf;
    HostWork work = local_view_work(lf);
    int ret;

    if (lf->host.model->needs_name ||
        local_wait(dir, HOST_WORK_LOOKUP) == HOST_WAIT_POOL ||
        local_wait(dir, work) == HOST_WAIT_POOL) {
        return -EAGAIN;
    }
    ret = local_node_find(dir);
    if (ret < 0) {
        return ret;
    }
    if (local_wait(dir, HOST_WORK_LOOKUP) == HOST_WAIT_POOL) {
        return -EAGAIN;
    }
    inode.handle = hostfs_step(&lf->now.host, host_fd_use(&dir->path_fd), name,
                               HOST_WAIT_TRY_FIRST, attr);
    if (inode.handle < 0) {
        /* In the thread pool, local_run() makes room for descriptors. */
        return inode.handle == -EMFILE ? -EAGAIN : inode.handle;
    }
    host_dev_learn(&lf->devs, inode.handle, attr->dev);
    if (host_dev_wait(&lf->devs, attr->dev, work) == HOST_WAIT_NEVER) {
        ret = lf->host.model->getattr(&lf->now, &inode, attr);
    } else {
        ret = -EAGAIN;
    }
    if (ret < 0) {
        host_pool_close(inode.handle);
        return ret;
    }
    walk_step(w, local_node_accept(lf, inode.handle, attr, dir, name,
                                   w->since), false);
    return 0;
}

/* Walks as many of the names as exist, in the thread pool. */
static int coroutine_fn steps_run(LocalWalk *w, const char *const *names,
                                  unsigned n, bool up, FsAttr *attr)
{
    LocalFs *lf = w->lf;
    LocalNode *from = local_node(fs_node_ref(w->walker.at));
    LocalNode *above = NULL;
    StepsWork s = {
        .host = &lf->host,
        .names = names,
        .n = n,
        .up = up,
        .attr = attr,
    };
    FsEntry *where = up ? fs_node_where(&from->node) : NULL;
    unsigned i;
    int ret;

    if (where) {
        s.above = above = local_node(fs_node_ref(where->parent));
        s.above_born = local_node_born(above);
    }
    w->waited = true;
    ret = s.from = local_node_pin(from);
    if (ret >= 0) {
        ret = local_run(from->node.dev, steps_work, &s);
        local_node_unpin(from);
    }
    for (i = 0; i < s.walked; i++) {
        host_dev_learn(&lf->devs, s.fd[i], attr[i].dev);
    }
    for (i = 0; i < s.walked; i++) {
        walk_step(w, up ? local_node_accept(lf, s.fd[i], &attr[i], NULL, NULL,
                                            w->since)
                        : local_node_accept(lf, s.fd[i], &attr[i], walk_at(w),
                                            names[i], w->since), up);
    }
    /* By now a name that was not found may exist, too. */
    walk_check_race(w);
    if (above) {
        fs_node_unref(&above->node);
    }
    fs_node_unref(&from->node);
    return ret;
}

/* To the directory above; the root's is the root itself. */
static int coroutine_fn step_up(FsCall *call, LocalWalk *w, FsAttr *attr)
{
    const char *const up = "..";
    int ret = 0;

    if (w->walker.at == w->lf->fs->root) {
        walk_step(w, local_node(fs_node_ref(w->walker.at)), true);
    } else {
        ret = steps_run(w, &up, 1, true, attr);
    }
    if (ret == 0) {
        ret = local_getattr(call, w->walker.at, NULL, attr);
        if (ret < 0) {
            w->walker.done--;
        }
    }
    return ret;
}

static int coroutine_fn walk_once(FsCall *call, LocalWalk *w,
                                  const char *const *names, unsigned n,
                                  FsAttr *attr)
{
    LocalFs *lf = w->lf;
    int ret = 0;

    while (ret == 0 && w->walker.done < n) {
        unsigned i = w->walker.done, len;

        if (!S_ISDIR(w->walker.at->type)) {
            return -ENOTDIR;
        }
        if (!strcmp(names[i], "..")) {
            ret = step_up(call, w, &attr[i]);
            continue;
        }
        if (local_hidden(lf, names[i])) {
            return -ENOENT;
        }
        ret = step_try(w, names[i], &attr[i]);
        if (ret == -EAGAIN) {
            len = 1;
            while (i + len < n && strcmp(names[i + len], "..") &&
                   !local_hidden(lf, names[i + len])) {
                len++;
            }
            ret = steps_run(w, &names[i], len, false, &attr[i]);
        }
    }
    return ret;
}

int coroutine_fn local_walk(FsCall *call, FsNode *dir,
                            const char *const *names, unsigned n,
                            FsWalk *walk)
{
    LocalFs *lf = local_fs(dir);
    unsigned tries = WALK_TRIES;
    LocalWalk w;
    int ret;

    while (true) {
        w = (LocalWalk) { .lf = lf, .since = lf->changes };
        fs_walker_start(&w.walker, dir);
        ret = walk_once(call, &w, names, n, walk->attr);
        if (!w.waited || !w.raced || --tries == 0) {
            return fs_walker_end(&w.walker, ret, walk);
        }
        fs_walker_clear(&w.walker);
    }
}
