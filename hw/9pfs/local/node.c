/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Nodes of the local driver.
 *
 * Theory of operation. A node has an O_PATH descriptor of its inode, which the
 * budget (host/fd-budget.h) may close. Then the inode has to be found again when
 * it is needed:
 *
 * - by its name in a directory, which is a node too and may have to be found
 *   first, and so on up to the nearest directory that is open: the root's
 *   handle always is. All intermediate directories of a walk are nodes for
 *   this. A guest can nest them without bound, so the way up is a loop.
 *   While the kernel has all the names in its cache nothing is quicker.
 * - else, before waiting for names, by its file handle, where the process may
 *   use those (open_by_handle_at(2) wants CAP_DAC_READ_SEARCH) and the file
 *   system has them;
 *
 * What is found must have the device and inode number that the node has, and
 * the time of its birth where that is known: an inode number may be given to
 * another file once its first one is gone. Otherwise the node is stale: ESTALE
 * is what Linux says of such an inode on any network file system.
 *
 * Names are entries of the export (fs/node.c: how a node comes to one). The
 * host may rename files behind our back, and then one turns out to be wrong.
 * While a rename by the guest is under way, a name may be wrong on either side
 * of it: whoever does not find an inode then waits for the rename to be over,
 * and tries again.
 *
 * When the last name is removed the handle has to stay open: it is kept, in
 * the terms of host/fd-budget.h. The same holds for an inode that nobody could
 * find again for other reasons, which is seen when it is about to be closed.
 */
#include "qemu/osdep.h"
#include "block/thread-pool.h"
#include "hw/9pfs/fs/walk.h"
#include "node.h"

/* Steps that are tried here before the thread pool is asked */
#define TRY_STEPS           16
/* Rounds in which others take the descriptors that were made free */
#define RUN_TRIES           4
/* Rounds in which renames may get into the way of finding an inode */
#define FIND_TRIES          64
/*
 * Names
 */

LocalNode *local_node_named(LocalNode *dir, const char *name)
{
    FsNode *node = fs_entry_node(&dir->node, name);

    return node ? local_node(node) : NULL;
}

bool local_node_last_name(LocalNode *n, LocalNode *dir, const char *name)
{
    return fs_node_has_no_name_but(&n->node, &dir->node, name);
}

void local_node_unnamed(LocalNode *n, LocalNode *dir, const char *name,
                        int kept)
{
    FsEntry *entry = fs_entry_find(dir->node.fs, &dir->node, name);

    if (entry) {
        if (entry->node == &n->node) {
            fs_entry_gone(entry);
        }
        fs_entry_put(entry);
    }
    if (fs_node_where(&n->node)) {
        if (kept >= 0) {
            close(kept);
        }
        return;
    }
    host_fd_keep(&n->handle);
    if (kept >= 0 && (n->kept >= 0 || host_files_add() < 0)) {
        close(kept);
    } else if (kept >= 0) {
        n->kept = kept;
    }
}

void local_node_linked(LocalNode *n, LocalNode *dir, const char *name)
{
    if (!fs_node_where(&n->node)) {
        fs_node_set_where(&n->node, fs_entry_get(n->node.fs, &dir->node, name,
                                             &n->node));
        host_fd_unkeep(&n->handle);
    }
}

void local_dir_changed(LocalNode *dir)
{
    LocalFs *lf = local_fs(&dir->node);

    dir->changed = ++lf->changes;
}

bool local_dir_changed_since(const LocalNode *dir, uint32_t since)
{
    return dir->changed && (int32_t)(dir->changed - since) > 0;
}

/*
 * Identity
 */

/*
 * The birth that the node's inode must have, or 0 if it is not known. File
 * servers may let anybody set it, so there it is no proof.
 */
static uint64_t known_birth(const LocalNode *n)
{
    return local_wait(n, HOST_WORK_STAT) == HOST_WAIT_NEVER ? n->born : 0;
}

/* Whether @attr is of the node's inode. Any thread: the node is held. */
static bool is_it(const LocalNode *n, uint64_t born, const FsAttr *attr)
{
    return attr->dev == n->node.dev && attr->ino == n->node.ino &&
           (!born || !fs_attr_born(attr) || fs_attr_born(attr) == born);
}

/* The file handle of @fd, if that can be opened in the root's mount. */
static struct file_handle *get_memo(LocalFs *lf, int fd)
{
    union {
        struct file_handle fh;
        char space[sizeof(struct file_handle) + MAX_HANDLE_SZ];
    } u;
    int mount_id;

    u.fh.handle_bytes = MAX_HANDLE_SZ;
    if (lf->mount_fd < 0 ||
        name_to_handle_at(fd, "", &u.fh, &mount_id, AT_EMPTY_PATH) < 0 ||
        mount_id != lf->mount_id) {
        return NULL;
    }
    return g_memdup2(&u, sizeof(u.fh) + u.fh.handle_bytes);
}

void local_probe_handles(LocalFs *lf)
{
    g_autofree struct file_handle *memo = NULL;
    struct file_handle none = { .handle_bytes = 0 };
    int fd;

    lf->mount_fd = -1;
    /* Does not fit, and so it tells only the mount. */
    if (name_to_handle_at(lf->host.host.root, "", &none, &lf->mount_id,
                          AT_EMPTY_PATH) == 0 || errno != EOVERFLOW) {
        return;
    }
    lf->mount_fd = openat(lf->host.host.root, ".",
                          O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (lf->mount_fd < 0) {
        return;
    }
    memo = get_memo(lf, lf->host.host.root);
    fd = memo ? open_by_handle_at(lf->mount_fd, memo, O_PATH | O_CLOEXEC) : -1;
    if (fd < 0) {
        close(lf->mount_fd);
        lf->mount_fd = -1;
    } else {
        close(fd);
    }
}

/*
 * The handle is about to be closed for the budget: what may be lost by that is
 * remembered, or, if there is nothing to be remembered, it is to stay.
 */
static void node_evict(HostFd *h)
{
    LocalNode *n = container_of(h, LocalNode, handle);
    struct statx stx;

    if (statx(h->fd, "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC, STATX_NLINK,
              &stx) == 0 && stx.stx_nlink == 0 && host_fd_keep(h)) {
        return;
    }
    n->memo = get_memo(local_fs(&n->node), h->fd);
    if (!n->memo && !fs_node_any_entry(&n->node)) {
        host_fd_keep(h);
    }
}

static void set_handle(LocalNode *n, int fd)
{
    host_fd_set(&n->handle, fd);
    g_clear_pointer(&n->memo, g_free);
}

/*
 * Nodes
 */

static LocalNode *node_new(LocalFs *lf, int fd, const FsAttr *attr)
{
    LocalNode *n = g_new0(LocalNode, 1);

    host_fd_init(&n->handle, node_evict);
    n->kept = -1;
    n->born = fs_attr_born(attr);
    fs_node_init(&n->node, lf->fs, attr);
    set_handle(n, fd);
    return n;
}

LocalNode *local_node_root(LocalFs *lf, int fd, const FsAttr *attr)
{
    LocalNode *n = node_new(lf, fd, attr);

    host_fd_pin(&n->handle);
    return n;
}

void local_node_free(FsNode *node)
{
    LocalNode *n = local_node(node);

    host_fd_drop(&n->handle);
    if (n->kept >= 0) {
        close(n->kept);
        host_files_remove();
    }
    g_free(n->memo);
    g_free(n);
}

LocalNode *local_node_accept(LocalFs *lf, int fd, const FsAttr *attr,
                             LocalNode *dir, const char *name,
                             uint32_t since)
{
    FsNode *found = fs_node_find(lf->fs, attr->dev, attr->ino);
    LocalNode *n = NULL;
    FsEntry *where;
    bool is_new;

    if (found) {
        n = local_node(found);
        /*
         * Another type is another file, or it was made another one behind our
         * back in a mapped share. While the handle is open it is the same.
         */
        if (found != lf->fs->root &&
            (found->type != (attr->mode & S_IFMT) ||
             (n->handle.fd < 0 && !is_it(n, known_birth(n), attr)))) {
            fs_node_detach(found);
            fs_node_unref(found);
            n = NULL;
        } else if (n->handle.fd < 0) {
            set_handle(n, fd);
        } else {
            host_fd_use(&n->handle);
            close(fd);
        }
    }
    is_new = !n;
    if (is_new) {
        n = node_new(lf, fd, attr);
    }
    if (!dir || found == lf->fs->root) {
        return n;
    }

    where = is_new ? NULL : fs_node_where(&n->node);
    if (is_new) {
        fs_node_init_where(&n->node,
                           fs_entry_get(lf->fs, &dir->node, name, &n->node));
    } else if (!where) {
        fs_node_set_where(&n->node,
                      fs_entry_get(lf->fs, &dir->node, name, &n->node));
        host_fd_unkeep(&n->handle);
    } else if (S_ISDIR(n->node.type) &&
               !fs_entry_is(where, &dir->node, name) &&
               fs_entries_current(lf->fs) && !local_dir_changed_since(dir, since)) {
        /* A directory has one name, and this is it now. */
        fs_node_set_where(&n->node,
                      fs_entry_get(lf->fs, &dir->node, name, &n->node));
    }
    return n;
}

/*
 * Finding again
 */

typedef struct FindStep {
    FsEntry *entry;             /* a reference */
    LocalNode *node;            /* what it must be; a reference */
    uint64_t born;              /* or 0 */
    char *name;                 /* as the entry has it at first, */
    FsNode *parent;             /* likewise; no reference: to compare */
} FindStep;

/* The way from the nearest node that can be opened down to the one sought */
typedef struct Find {
    LocalFs *lf;
    LocalNode *start;           /* a reference; pinned if it has a handle */
    struct file_handle *memo;   /* a copy of the start's, or NULL */
    GArray *steps;              /* FindStep, from the end to the start */
    /* From the thread pool */
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
            host_fd_unpin(&f->start->handle);
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
    while (n->handle.fd < 0 && !n->memo) {
        FsEntry *entry = fs_node_where(&n->node);
        FindStep s;

        if (!entry || n->node.detached) {
            return false;
        }
        s.born = known_birth(n);
        s.entry = fs_entry_ref(entry);
        s.node = local_node(fs_node_ref(&n->node));
        s.name = g_strdup(entry->name);
        s.parent = entry->parent;
        g_array_append_val(f->steps, s);
        n = local_node(entry->parent);
    }
    fs_node_ref(&n->node);
    f->start = n;
    if (n->handle.fd >= 0) {
        host_fd_pin(&n->handle);
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
    if (ret == 0 && !is_it(f->start, 0, &attr)) {
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
        start = f->start->handle.fd;
    }

    cur = start;
    for (i = f->steps->len - 1; i >= 0; i--) {
        FindStep *s = &g_array_index(f->steps, FindStep, i);
        int fd = hostfs_step(&f->lf->host.host, cur, s->name, HOST_WAIT_POOL,
                             &attr);

        if (fd >= 0 && !is_it(s->node, s->born, &attr)) {
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
    return local_node(node)->handle.fd >= 0;
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
    fd = hostfs_step(&local_fs(&n->node)->host.host, host_fd_use(&dir->handle),
                     entry->name, HOST_WAIT_TRY_FIRST, &attr);
    if (fd < 0) {
        return -EAGAIN;
    }
    if (!is_it(n, known_birth(n), &attr)) {
        /* The thread pool has the last word. */
        close(fd);
        return -EAGAIN;
    }
    host_fd_pin(&n->handle);
    set_handle(n, fd);
    t->found[t->n++] = n;
    return 0;
}

/* Whether @n has its handle now; if not, some of the way may be done. */
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
        host_fd_unpin(&t.found[--t.n]->handle);
    }
    return done;
}

/* Takes over a descriptor of @n's that was found. */
static void find_take(LocalNode *n, int fd)
{
    if (fd >= 0 && n->handle.fd < 0) {
        set_handle(n, fd);
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
        /* Not by file handle; if it was forgotten meanwhile, so much better */
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

/* The node is pinned, so that it keeps what it gets. */
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
            /* Its directory as well, for what else is in there */
            find_take(f.steps->len > 1
                      ? g_array_index(f.steps, FindStep, 1).node
                      : f.start, f.parent_fd);
        }
        find_end(&f);
        if (n->handle.fd >= 0) {
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

    if (host_fd_use(&n->handle) < 0) {
        host_fd_pin(&n->handle);
        ret = find_node(n);
        host_fd_unpin(&n->handle);
    }
    return ret;
}

int coroutine_fn local_node_pin(LocalNode *n)
{
    int ret = local_node_find(n);

    if (ret < 0) {
        return ret;
    }
    host_fd_pin(&n->handle);
    return n->handle.fd;
}

void local_node_unpin(LocalNode *n)
{
    host_fd_unpin(&n->handle);
}

/*
 * Holding
 */

int coroutine_fn local_run(HostWait wait, ThreadPoolFunc *func, void *opaque)
{
    unsigned tries = RUN_TRIES;
    int ret;

    do {
        ret = host_run(wait, func, opaque);
    } while (ret == -EMFILE && --tries && host_fds_relieve());
    return ret;
}

int coroutine_fn local_run_open(HostWait wait, ThreadPoolFunc *func,
                                void *opaque, int *flags)
{
    int ret;

    if (wait == HOST_WAIT_NEVER) {
        *flags |= O_NONBLOCK;
    }
    ret = local_run(wait, func, opaque);
    if (wait == HOST_WAIT_NEVER && ret == -EAGAIN) {
        *flags &= ~O_NONBLOCK;
        ret = local_run(HOST_WAIT_POOL, func, opaque);
    }
    return ret;
}

#define HOLD_TRIES          16

/* Directory and name for the hold: 0, or -errno of finding the directory. */
static int coroutine_fn hold_name(LocalHold *hold, LocalNode *n)
{
    unsigned tries;
    FsEntry *entry;
    LocalNode *dir;
    int ret = 0;

    for (tries = 0; tries < HOLD_TRIES; tries++) {
        entry = fs_node_where(&n->node);
        if (!entry) {
            return 0;
        }
        dir = local_node(fs_node_ref(entry->parent));
        ret = local_node_pin(dir);
        entry = fs_node_where(&n->node);
        if (ret >= 0 && entry && entry->parent == &dir->node) {
            hold->dir = dir;
            hold->name = g_strdup(entry->name);
            hold->inode.dir = ret;
            hold->inode.name = hold->name;
            return 0;
        }
        if (ret >= 0) {
            local_node_unpin(dir);
        }
        fs_node_unref(&dir->node);
        if (ret < 0) {
            break;
        }
    }
    return ret < 0 ? ret : -ESTALE;
}

int coroutine_fn local_hold(LocalHold *hold, LocalNode *n, int file)
{
    LocalFs *lf = local_fs(&n->node);
    int ret;

    hold->inode = (LocalInode) { .handle = file, .dir = -1, .kept = -1 };
    hold->node = NULL;
    hold->dir = NULL;
    hold->name = NULL;
    if (n->handle.fd >= 0 || file < 0) {
        ret = local_node_pin(n);
        if (ret < 0) {
            return ret;
        }
        hold->node = n;
        hold->inode.handle = ret;
    }
    if (lf->host.model->needs_name && !hold->nameless) {
        ret = hold_name(hold, n);
        if (ret < 0 && ret != -ESTALE) {
            local_release(hold, n, ret);
            return ret;
        }
    }
    if (!hold->name) {
        hold->inode.kept = n->kept;
    }
    return 0;
}

bool coroutine_fn local_release(LocalHold *hold, LocalNode *n, int ret)
{
    bool stale = ret == -ESTALE && hold->name && ++hold->tries < HOLD_TRIES;
    FsEntry *entry = fs_node_where(&n->node);
    bool changed = !entry || !hold->dir ||
                   !fs_entry_is(entry, &hold->dir->node, hold->name);

    if (hold->node) {
        local_node_unpin(hold->node);
    }
    if (hold->dir) {
        local_node_unpin(hold->dir);
        fs_node_unref(&hold->dir->node);
    }
    g_free(hold->name);
    if (stale && !fs_rename_wait(n->node.fs) && !changed) {
        /* The host knows it by another name: only the inode itself is left. */
        hold->nameless = true;
    }
    return stale;
}
