/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * How the local driver finds an inode again whose descriptor the budget has
 * closed.
 *
 * Theory of operation. There are two ways:
 *
 * - By its name in a directory. The directory is a node too, and may have to be
 *   found first, and so on up to the nearest one that is open: the root always
 *   is. A guest can nest directories without bound, so the way up is a loop. As
 *   long as the kernel has all the names in its cache nothing is quicker, so
 *   this is tried first, in this thread (find_try()).
 * - By its file handle, where the file system has those and this process may
 *   use them (open_by_handle_at(2) needs CAP_DAC_READ_SEARCH). This goes before
 *   names that have to be waited for.
 *
 * The second, or else the names, take the thread pool (find_work()), which goes
 * all the way at once on copies of the names.
 *
 * The inode that is found must have the node's device and inode number, and its
 * time of birth where that is known: a file system gives the number of a file
 * that is gone to another. Otherwise the node is stale, and the error is
 * ESTALE, as for such an inode on any network file system in Linux.
 *
 * A name may be wrong. The host may rename files without this process knowing.
 * And while a rename by the guest is under way, a name may be wrong on either
 * side of it: a lookup that fails waits for the rename and tries again
 * (find_again()).
 */
#include "qemu/osdep.h"
#include "block/thread-pool.h"
#include "hw/9pfs/fs/walk.h"
#include "node.h"

/* Steps that are tried here before the thread pool is asked */
#define TRY_STEPS           16
/* Rounds in which renames may get into the way of finding an inode */
#define FIND_TRIES          64

typedef struct FindStep {
    FsEntry *entry;             /* a reference */
    LocalNode *node;            /* the node it must be; a reference */
    uint64_t born;              /* or 0 */
    char *name;                 /* as the entry has it at first, */
    FsNode *parent;             /* likewise; no reference: to compare */
} FindStep;

/* The way from the nearest node that can be opened down to the one sought */
typedef struct Find {
    LocalFs *lf;
    LocalNode *start;           /* a reference; pinned if it is open */
    struct file_handle *memo;   /* a copy of the start's, or NULL */
    GArray *steps;              /* FindStep, from the end to the start */
    /* Results of find_work() */
    int failed;                 /* step, steps->len: the start; or -1 */
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
    g_free(f->memo);
    if (f->start) {
        if (!f->memo) {
            host_fd_unpin(&f->start->path_fd);
        }
        fs_node_unref(&f->start->node);
    }
}

/* False if there is no way. */
static bool find_gather(Find *f, LocalNode *n)
{
    *f = (Find) {
        .lf = local_fs(&n->node),
        .steps = g_array_new(false, false, sizeof(FindStep)),
        .failed = -1,
        .fd = -1,
        .parent_fd = -1,
    };
    while (n->path_fd.fd < 0 && !n->memo) {
        FsEntry *entry = fs_node_where(&n->node);
        FindStep s;

        if (!entry || n->node.detached) {
            return false;
        }
        s.born = local_node_born(n);
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
        f->memo = g_memdup2(n->memo,
                            sizeof(*n->memo) + n->memo->handle_bytes);
    }
    return true;
}

/* The start by its file handle: descriptor or -errno. In the thread pool. */
static int find_open_memo(Find *f)
{
    int fd = open_by_handle_at(f->lf->mount_fd, f->memo, O_PATH | O_CLOEXEC);
    FsAttr attr;
    int ret;

    if (fd < 0) {
        return -errno;
    }
    ret = hostfs_getattr(fd, &attr);
    if (ret == 0 && !local_node_is(f->start, 0, &attr)) {
        ret = -ESTALE;
    }
    if (ret < 0) {
        close(fd);
        return ret;
    }
    return fd;
}

static int find_work(void *opaque)
{
    Find *f = opaque;
    int above = -1;             /* the directory of cur, if it is ours */
    int start, cur, i;
    FsAttr attr;

    if (f->memo) {
        start = find_open_memo(f);
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
        int fd = hostfs_step(&f->lf->host.host, cur, s->name, HOST_WAIT_POOL,
                             &attr);

        if (fd >= 0 && !local_node_is(s->node, s->born, &attr)) {
            close(fd);
            fd = -ESTALE;
        }
        if (above >= 0) {
            close(above);
        }
        above = cur == start && !f->memo ? -1 : cur;
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
 * Finding without waiting. Nodes that were found are pinned until the end, so
 * that the budget does not close one for the next.
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

    if (local_wait(dir, HOST_WORK_LOOKUP) == HOST_WAIT_POOL) {
        return -EAGAIN;
    }
    fd = hostfs_step(&local_fs(&n->node)->host.host, host_fd_use(&dir->path_fd),
                     entry->name, HOST_WAIT_TRY_FIRST, &attr);
    if (fd < 0) {
        return -EAGAIN;
    }
    if (!local_node_is(n, local_node_born(n), &attr)) {
        /* The thread pool has the last word. */
        close(fd);
        return -EAGAIN;
    }
    host_fd_pin(&n->path_fd);
    local_node_set_fd(n, fd);
    t->found[t->n++] = n;
    return 0;
}

/* Whether @n is open now; if not, some of the way may be done. */
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

/* Takes over a descriptor of @n's that was found. */
static void find_take(LocalNode *n, int fd)
{
    if (fd >= 0 && n->path_fd.fd < 0) {
        local_node_set_fd(n, fd);
    } else if (fd >= 0) {
        close(fd);
    }
}

/*
 * The way came to an end at step @f->failed because of @ret: whether there may
 * be another one.
 */
static bool coroutine_fn find_again(Find *f, int ret)
{
    FindStep *s;

    if (f->failed == (int)f->steps->len) {
        /* Not by file handle, which another round may have dropped already. */
        g_clear_pointer(&f->start->memo, g_free);
        return true;
    }
    if (ret != -ENOENT && ret != -ENOTDIR && ret != -ESTALE) {
        return false;
    }
    if (fs_rename_wait(f->lf->fs)) {
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

/* The node is pinned, so that it keeps its descriptor. */
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
        ret = local_run(HOST_WAIT_POOL, find_work, &f);
        again = false;
        if (ret < 0) {
            again = find_again(&f, ret);
        } else if (f.steps->len == 0) {
            find_take(n, f.fd);
        } else {
            find_take(n, f.fd);
            /* Its directory as well, for other names in it */
            find_take(f.steps->len > 1
                      ? g_array_index(f.steps, FindStep, 1).node
                      : f.start, f.parent_fd);
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
