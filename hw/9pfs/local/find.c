/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * How the local driver finds an inode again whose descriptor the budget has
 * closed.
 *
 * Theory of operation. There are two ways:
 *
 * - By its name in a directory. The directory is a node too, and may have to be
 *   found first, and so on up to the nearest open one: the root is always open.
 *   A guest can nest directories without bound, so the way up is a loop. As
 *   long as the kernel has all the names in its cache, nothing is quicker, so
 *   the export's thread tries this first (find_try()).
 * - By its file handle, where the file system has file handles and this process
 *   may use them (open_by_handle_at(2) needs CAP_DAC_READ_SEARCH). The driver
 *   prefers this to a lookup of names that may wait.
 *
 * Where the first attempt fails, the thread pool goes all the way in one piece
 * (find_work()): from a file handle or an open directory down along copies of
 * the names.
 *
 * The inode that it finds must have the node's device and inode number, and the
 * node's time of birth if that is known, because a file system reuses the
 * numbers of deleted files. Otherwise the node is stale, and the error is
 * ESTALE, as on any network file system in Linux.
 *
 * Of a node that a migration brought, neither name nor handle is trusted: only
 * the thread pool looks for it, and finds it only where a walk of the guest
 * would, with the type that it had.
 *
 * A name may be wrong. The host may rename files without QEMU's knowledge. And
 * while a rename by the guest is under way, the old and the new name may both
 * be wrong: a lookup that fails waits for the rename and tries again
 * (find_again()).
 */
#include "qemu/osdep.h"
#include "hw/9pfs/fs/walk.h"
#include "node.h"

/* Steps that the export's thread tries before the thread pool takes over */
#define TRY_STEPS           16
/* Rounds in which renames may get in the way */
#define FIND_TRIES          64

typedef struct FindStep {
    FsEntry *entry;             /* a reference */
    LocalNode *node;            /* the node it must be; a reference */
    uint64_t born;              /* or 0 */
    bool restored;              /* FsNode.restored */
    char *name;                 /* the entry's name at the start */
    FsNode *parent;             /* likewise; only to compare: no reference */
} FindStep;

/* The way from the nearest node that is open or has a handle to the target */
typedef struct Find {
    LocalFs *lf;
    LocalNode *start;           /* a reference; pinned if it is open */
    struct file_handle *saved_handle;   /* copy of the start's; or NULL */
    bool foreign;               /* it came with a migration */
    GArray *steps;              /* FindStep, from the target up */
    /* Results of find_work() */
    int failed;                 /* a step's index; steps->len: start; or -1 */
    int fd;
    int parent_fd;              /* of the node above, or -1 */
} Find;

static void find_end(Find *f)
{
    unsigned i;

    for (i = 0; i < f->steps->len; i++) {
        FindStep *s = &g_array_index(f->steps, FindStep, i);

        fs_entry_put(s->entry);
        fs_node_unref(&s->node->node);
        g_free(s->name);
    }
    g_array_free(f->steps, true);
    g_free(f->saved_handle);
    if (f->start) {
        if (!f->saved_handle) {
            host_fd_unpin(&f->start->path_fd);
        }
        fs_node_unref(&f->start->node);
    }
}

/* Gathers the way to @n. False if there is none. */
static bool find_gather(Find *f, LocalNode *n)
{
    *f = (Find) {
        .lf = local_fs(&n->node),
        .steps = g_array_new(false, false, sizeof(FindStep)),
        .failed = -1,
        .fd = -1,
        .parent_fd = -1,
    };
    while (n->path_fd.fd < 0 && !n->saved_handle) {
        FsEntry *entry = fs_node_where(&n->node);
        FindStep s;

        if (!entry || n->node.detached) {
            return false;
        }
        s.born = local_node_born(n);
        s.restored = n->node.restored;
        s.entry = fs_entry_ref(entry);
        s.node = local_node(fs_node_ref(&n->node));
        s.name = g_strdup(entry->name);
        s.parent = entry->parent;
        g_array_append_val(f->steps, s);
        n = local_node(entry->parent);
    }
    fs_node_ref(&n->node);
    f->start = n;
    if (n->path_fd.fd >= 0) {
        host_fd_pin(&n->path_fd);
    } else {
        f->saved_handle = file_handle_copy(n->saved_handle);
        f->foreign = n->node.restored;
    }
    return true;
}

/* Whether a restored node's inode has the type that it had for the guest */
static bool has_type(const LocalNode *n, const FsAttr *attr)
{
    return (attr->mode & S_IFMT) == n->node.type;
}

/* In the thread pool: opens the start by its file handle, or -errno. */
static int find_open_handle(Find *f)
{
    FsAttr attr;
    int fd = file_handle_open(&f->lf->handles, f->saved_handle, f->foreign,
                              &attr);

    if (fd >= 0 && (!local_node_is(f->start, 0, &attr) ||
                    (f->foreign && !has_type(f->start, &attr)))) {
        close(fd);
        return -ESTALE;
    }
    return fd;
}

/* In the thread pool: opens the step's node in @dir, or -errno. */
static int find_open_step(const Find *f, const FindStep *s, int dir)
{
    const LocalHost *host = &f->lf->host;
    LocalInode inode = { .dir = dir, .name = s->name, .kept = -1 };
    FsAttr attr;
    int ret = 0;

    inode.handle = hostfs_step(&host->host, dir, s->name, HOST_WAIT_POOL,
                               &attr);
    if (inode.handle < 0) {
        return inode.handle;
    }
    if (s->restored) {
        /* Also refuses names that the model hides. */
        ret = host->model->getattr(host, &inode, &attr);
    }
    if (ret == 0 && (!local_node_is(s->node, s->born, &attr) ||
                     (s->restored && !has_type(s->node, &attr)))) {
        ret = -ESTALE;
    }
    if (ret < 0) {
        close(inode.handle);
        return ret;
    }
    return inode.handle;
}

static int find_work(void *opaque)
{
    Find *f = opaque;
    int above = -1;             /* the directory of cur, if opened here */
    int start, cur, i;

    if (f->saved_handle) {
        start = find_open_handle(f);
        if (start < 0) {
            f->failed = f->steps->len;
            return start;
        }
    } else {
        start = f->start->path_fd.fd;
    }

    cur = start;
    for (i = f->steps->len - 1; i >= 0; i--) {
        FindStep *s = &g_array_index(f->steps, FindStep, i);
        int fd = find_open_step(f, s, cur);

        if (above >= 0) {
            close(above);
        }
        above = cur == start && !f->saved_handle ? -1 : cur;
        if (fd < 0) {
            if (above >= 0) {
                close(above);
            }
            f->failed = i;
            return fd;
        }
        cur = fd;
    }
    f->fd = cur;
    f->parent_fd = above;
    return 0;
}

/*
 * Finding without waiting. The nodes that it finds are pinned until the end, so
 * that the budget does not close one of them to make room for the next.
 */
typedef struct FindTry {
    LocalNode *found[TRY_STEPS];
    unsigned n;
} FindTry;

static bool find_try_ready(FsNode *node, void *opaque)
{
    return local_node(node)->path_fd.fd >= 0;
}

static int coroutine_fn find_try_step(FsEntry *entry, void *opaque)
{
    LocalNode *dir = local_node(entry->parent);
    LocalNode *n = local_node(entry->node);
    FindTry *t = opaque;
    FsAttr attr;
    int fd;

    if (n->node.restored ||
        local_wait(dir, HOST_WORK_LOOKUP) == HOST_WAIT_POOL) {
        return -EAGAIN;
    }
    fd = hostfs_step(&local_fs(&n->node)->host.host, host_fd_use(&dir->path_fd),
                     entry->name, HOST_WAIT_TRY_FIRST, &attr);
    if (fd < 0) {
        return -EAGAIN;
    }
    if (!local_node_is(n, local_node_born(n), &attr) ||
        !host_dev_known_at(&local_fs(&n->node)->devs, fd, attr.dev)) {
        /* Let the thread pool decide. */
        host_pool_close(fd);
        return -EAGAIN;
    }
    host_fd_pin(&n->path_fd);
    local_node_set_fd(n, fd);
    t->found[t->n++] = n;
    return 0;
}

/* Returns whether @n is open now. If not, part of the way may be done. */
static bool coroutine_fn find_try(LocalNode *n)
{
    static const FsFinder finder = {
        .ready = find_try_ready,
        .step = find_try_step,
        .max = TRY_STEPS,
    };
    FindTry t = { };
    bool done = fs_find_again(&finder, &n->node, &t) == 0;

    while (t.n) {
        host_fd_unpin(&t.found[--t.n]->path_fd);
    }
    return done;
}

/* Takes over @fd, a descriptor of @n's inode, or -1. */
static void coroutine_fn find_take(LocalNode *n, int fd)
{
    if (fd >= 0) {
        host_dev_learn(&local_fs(&n->node)->devs, fd, n->node.dev);
    }
    if (fd >= 0 && n->path_fd.fd < 0) {
        local_node_set_fd(n, fd);
    } else if (fd >= 0) {
        close(fd);
    }
}

/*
 * Takes over @fd for the node of that step, or -1. Returns false if the kind of
 * the node's file system, and so its time of birth, was not known when the way
 * was gathered: then look again.
 */
static bool coroutine_fn find_take_step(Find *f, unsigned step, int fd)
{
    FindStep *s = &g_array_index(f->steps, FindStep, step);

    if (fd >= 0 && s->restored) {
        host_dev_learn(&f->lf->devs, fd, s->node->node.dev);
        if (local_node_born(s->node) != s->born) {
            host_pool_close(fd);
            return false;
        }
    }
    find_take(s->node, fd);
    return true;
}

/*
 * The way ended at step @f->failed with *@ret. Returns whether there may be
 * another way.
 */
static bool coroutine_fn find_again(Find *f, int *ret)
{
    FindStep *s;
    int waited;

    if (f->failed == (int)f->steps->len) {
        /* The handle did not work; another round may have dropped it. */
        g_clear_pointer(&f->start->saved_handle, g_free);
        return true;
    }
    if (*ret != -ENOENT && *ret != -ENOTDIR && *ret != -ESTALE) {
        return false;
    }
    waited = fs_rename_wait(f->lf->fs);
    if (waited < 0) {
        *ret = waited;
        return false;
    } else if (waited) {
        return true;
    }
    s = &g_array_index(f->steps, FindStep, f->failed);
    if (s->entry->gone || s->entry->parent != s->parent ||
        strcmp(s->entry->name, s->name)) {
        return true;
    }
    if (fs_node_has_other_entry(&s->node->node, s->entry)) {
        fs_entry_gone(s->entry);
        return true;
    }
    return false;
}

/* The caller has pinned the node, so that it keeps the new descriptor. */
static int coroutine_fn find_node(LocalNode *n)
{
    unsigned tries;
    bool again;
    Find f;
    int ret;

    for (tries = 0; tries < FIND_TRIES; tries++) {
        if (find_try(n)) {
            return 0;
        }
        if (!find_gather(&f, n)) {
            find_end(&f);
            return -ESTALE;
        }
        ret = local_run(f.start->node.dev, find_work, &f);
        again = false;
        if (ret < 0) {
            again = find_again(&f, &ret);
        } else if (f.steps->len == 0) {
            find_take(n, f.fd);
        } else {
            again = !find_take_step(&f, 0, f.fd);
            /* Keep the directory open, too, for other names in it. */
            if (f.steps->len > 1) {
                find_take_step(&f, 1, f.parent_fd);
            } else {
                find_take(f.start, f.parent_fd);
            }
        }
        find_end(&f);
        if (n->path_fd.fd >= 0) {
            return 0;
        }
        if (!again) {
            return ret == -ENOENT || ret == -ENOTDIR ? -ESTALE : ret;
        }
    }
    return -ESTALE;
}

int coroutine_fn local_node_find(LocalNode *n)
{
    int ret = 0;

    if (host_fd_use(&n->path_fd) < 0) {
        host_fd_pin(&n->path_fd);
        ret = find_node(n);
        host_fd_unpin(&n->path_fd);
    }
    return ret;
}

int coroutine_fn local_node_pin(LocalNode *n)
{
    int ret = local_node_find(n);

    if (ret < 0) {
        return ret;
    }
    host_fd_pin(&n->path_fd);
    return n->path_fd.fd;
}

void local_node_unpin(LocalNode *n)
{
    host_fd_unpin(&n->path_fd);
}
