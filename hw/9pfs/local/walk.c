/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The local driver's walk: from name to name.
 *
 * Where the kernel has a name in its cache it is looked up without waiting,
 * here; from the first one on that it has not, the walk goes on in the thread
 * pool.
 *
 * The pool's answer may be late: the guest can have changed a directory, by
 * another request, after the walk found a name in it and before the walk gets
 * to know. Entries are to be right, so such a walk is done again.
 */
#include "qemu/osdep.h"
#include "block/thread-pool.h"
#include "local.h"

/* Rounds of a walk in a directory that changes all the time */
#define WALK_TRIES          4

typedef struct StepsWork {
    const LocalHost *host;
    int from;
    const char *const *names;
    unsigned n;
    bool up;                    /* the name is "..": the attributes are raw */
    FsAttr *attr;
    int fd[FS_WALK_MAX];
    unsigned walked;
} StepsWork;

static int steps_work(void *opaque)
{
    StepsWork *s = opaque;
    int dir = s->walked ? s->fd[s->walked - 1] : s->from;

    while (s->walked < s->n) {
        const char *name = s->names[s->walked];
        FsAttr *attr = &s->attr[s->walked];
        unsigned tries = WALK_TRIES;
        int fd, ret;

        do {
            LocalInode inode = { .dir = dir, .name = name, .kept = -1 };

            fd = hostfs_step(&s->host->host, dir, name, HOST_WAIT_POOL, attr);
            if (fd < 0) {
                return fd;
            }
            inode.handle = fd;
            ret = s->up ? 0 : s->host->model->getattr(s->host, &inode, attr);
            if (ret < 0) {
                close(fd);
            }
            /* The name means something else already */
        } while (ret == -ESTALE && --tries);
        if (ret < 0) {
            return ret;
        }
        s->fd[s->walked++] = fd;
        dir = fd;
    }
    return 0;
}

/* A walk on its way */
typedef struct Way {
    LocalFs *lf;
    LocalNode *at;              /* a reference, */
    LocalNode *above;           /* and the one before, or NULL: unknown */
    uint32_t since;             /* LocalFs.changes at the start */
    bool waited;
    bool raced;                 /* a directory on it changed meanwhile */
} Way;

static void way_clear(Way *way)
{
    fs_node_unref(&way->at->node);
    if (way->above) {
        fs_node_unref(&way->above->node);
    }
}

/* The next one is @next, with a reference that is taken over. */
static void way_step(Way *way, LocalNode *next, bool up)
{
    way->raced |= local_dir_changed_since(way->at, way->since);
    if (way->above) {
        fs_node_unref(&way->above->node);
    }
    way->above = way->at;
    if (up) {
        fs_node_unref(&way->at->node);
        way->above = NULL;
    }
    way->at = next;
}

/* One step without waiting, if that can be: else -EAGAIN. */
static int coroutine_fn step_try(Way *way, const char *name, FsAttr *attr)
{
    LocalFs *lf = way->lf;
    LocalInode inode = { .dir = -1, .kept = -1 };
    HostWait wait = local_wait(way->at, HOST_WORK_LOOKUP);
    int ret;

    if (lf->host.model->needs_name || wait == HOST_WAIT_POOL) {
        return -EAGAIN;
    }
    ret = local_node_find(way->at);
    if (ret < 0) {
        return ret;
    }
    inode.handle = hostfs_step(&lf->host.host,
                               host_fd_use(&way->at->handle), name, wait,
                               attr);
    if (inode.handle < 0) {
        /* Room for descriptors is made there as well: local_run() */
        return inode.handle == -EMFILE ? -EAGAIN : inode.handle;
    }
    if (host_dev_learn(&lf->devs, inode.handle, attr->dev) >=
        HOST_DEV_STORAGE) {
        ret = lf->host.model->getattr(&lf->host, &inode, attr);
    } else {
        ret = -EAGAIN;
    }
    if (ret < 0) {
        close(inode.handle);
        return ret;
    }
    way_step(way, local_node_accept(lf, inode.handle, attr, way->at, name,
                                    way->since), false);
    return 0;
}

/* As many of the names as are found, in the thread pool: how many, or -errno */
static int coroutine_fn steps_run(Way *way, const char *const *names,
                                      unsigned n, bool up, FsAttr *attr,
                                      unsigned *walked)
{
    LocalFs *lf = way->lf;
    LocalNode *from = local_node(fs_node_ref(&way->at->node));
    StepsWork s = {
        .host = &lf->host,
        .names = names,
        .n = n,
        .up = up,
        .attr = attr,
    };
    unsigned i;
    int ret;

    way->waited = true;
    ret = s.from = local_node_pin(from);
    if (ret >= 0) {
        ret = local_run(HOST_WAIT_POOL, steps_work, &s);
        local_node_unpin(from);
    }
    for (i = 0; i < s.walked; i++) {
        host_dev_learn(&lf->devs, s.fd[i], attr[i].dev);
    }
    for (i = 0; i < s.walked; i++) {
        way_step(way, up ? local_node_accept(lf, s.fd[i], &attr[i], NULL, NULL,
                                             way->since)
                         : local_node_accept(lf, s.fd[i], &attr[i], way->at,
                                             names[i], way->since), up);
    }
    /* What was not found may be there now, too */
    way->raced |= local_dir_changed_since(way->at, way->since);
    *walked += s.walked;
    fs_node_unref(&from->node);
    return ret;
}

/* The directory above, which is the root's own in case of the root */
static int coroutine_fn step_up(FsCall *call, Way *way, FsAttr *attr,
                                unsigned *walked)
{
    const char *const up = "..";
    int ret = 0;

    if (&way->at->node == way->lf->fs->root) {
        way_step(way, local_node(fs_node_ref(&way->at->node)), true);
        ++*walked;
    } else {
        ret = steps_run(way, &up, 1, true, attr, walked);
    }
    if (ret == 0) {
        ret = local_getattr(call, &way->at->node, NULL, attr);
        if (ret < 0) {
            --*walked;
        }
    }
    return ret;
}

static int coroutine_fn walk_once(FsCall *call, Way *way,
                                  const char *const *names, unsigned n,
                                  FsAttr *attr, unsigned *walked)
{
    LocalFs *lf = way->lf;
    int ret = 0;

    while (ret == 0 && *walked < n) {
        unsigned i = *walked, len;

        if (!S_ISDIR(way->at->node.type)) {
            return -ENOTDIR;
        }
        if (!strcmp(names[i], "..")) {
            ret = step_up(call, way, &attr[i], walked);
            continue;
        }
        if (local_hidden(lf, names[i])) {
            return -ENOENT;
        }
        ret = step_try(way, names[i], &attr[i]);
        if (ret == 0) {
            ++*walked;
        } else if (ret == -EAGAIN) {
            len = 1;
            while (i + len < n && strcmp(names[i + len], "..") &&
                   !local_hidden(lf, names[i + len])) {
                len++;
            }
            ret = steps_run(way, &names[i], len, false, &attr[i], walked);
        }
    }
    return ret;
}

int coroutine_fn local_walk(FsCall *call, FsNode *dir,
                            const char *const *names, unsigned n,
                            FsWalk *walk)
{
    unsigned tries = WALK_TRIES;
    Way way;
    int ret;

    walk->node = walk->parent = NULL;
    while (true) {
        way = (Way) { .lf = local_fs(dir), .at = local_node(fs_node_ref(dir)) };
        way.since = way.lf->changes;
        walk->walked = 0;
        ret = walk_once(call, &way, names, n, walk->attr, &walk->walked);
        if (!way.waited || !way.raced || --tries == 0) {
            break;
        }
        way_clear(&way);
    }
    if (ret == 0) {
        walk->node = fs_node_ref(&way.at->node);
        if (way.above) {
            walk->parent = fs_node_ref(&way.above->node);
        }
    }
    way_clear(&way);
    return ret;
}
