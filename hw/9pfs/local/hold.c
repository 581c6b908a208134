/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The local driver holds an inode for work that may run in the thread pool: the
 * inode's descriptor stays open until the work is done. If the security model
 * needs a name, the descriptor of a directory that has the name stays open,
 * too. The name may change before the model uses it; then the driver repeats
 * the work.
 */
#include "qemu/osdep.h"
#include "local.h"

#define HOLD_TRIES          16

/* Holds directory and name, if there are any. -ESTALE if they keep changing. */
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

/*
 * Whether the name in @hold means another inode on the host now, or nothing. A
 * file server's own -ESTALE says nothing about that.
 */
static bool has_lost_name(const LocalHost *lh, const LocalHold *hold)
{
    FsAttr named, own;
    int fd = hostfs_step(&lh->host, hold->inode.dir, hold->name,
                         HOST_WAIT_POOL, &named);

    if (fd < 0) {
        return fd == -ENOENT || fd == -ENOTDIR;
    }
    close(fd);
    return hostfs_getattr(hold->inode.handle, &own) == 0 &&
           (named.dev != own.dev || named.ino != own.ino);
}

/*
 * Ends the hold. Returns whether to try again after the model returned *@ret:
 * after -ESTALE, because the name may have changed. If the name has not changed
 * here, the host renamed the file, and the next hold does without a name; or a
 * file server has lost the file for a moment, or for good.
 */
static bool coroutine_fn hold_end(LocalHold *hold, LocalNode *n, int *ret)
{
    bool stale = *ret == -ESTALE && hold->name && ++hold->tries < HOLD_TRIES;
    FsEntry *entry = fs_node_where(&n->node);
    bool changed = !entry || !hold->dir ||
                   !fs_entry_is(entry, &hold->dir->node, hold->name);
    int waited;

    if (hold->node) {
        local_node_unpin(hold->node);
    }
    if (hold->dir) {
        local_node_unpin(hold->dir);
        fs_node_unref(&hold->dir->node);
    }
    g_free(hold->name);
    if (!stale) {
        return false;
    }
    waited = fs_rename_wait(n->node.fs);
    if (waited < 0) {
        *ret = waited;
    } else if (!waited && !changed) {
        hold->nameless = hold->lost_name;
        return hold->nameless || hold->tries == 1;
    }
    return waited >= 0;
}

/*
 * @file is a descriptor to use if the node has none, or -1; it must stay open
 * as long as the hold. @hold is zero before the first time.
 */
static int coroutine_fn hold_begin(LocalHold *hold, LocalNode *n, int file)
{
    LocalFs *lf = local_fs(&n->node);
    int ret;

    hold->inode = (LocalInode) { .handle = file, .dir = -1, .kept = -1 };
    hold->node = NULL;
    hold->dir = NULL;
    hold->name = NULL;
    if (n->path_fd.fd >= 0 || file < 0) {
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
            hold_end(hold, n, &ret);
            return ret;
        }
    }
    if (!hold->name) {
        hold->inode.kept = n->kept;
    }
    return 0;
}

typedef struct HeldWork {
    LocalWork *w;
    ThreadPoolFunc *func;
} HeldWork;

static int run_held(void *opaque)
{
    HeldWork *h = opaque;
    LocalHold *hold = &h->w->hold;
    int ret = h->func(h->w);

    hold->lost_name = ret == -ESTALE && hold->name &&
                      has_lost_name(h->w->host, hold);
    return ret;
}

int coroutine_fn local_run_held(LocalWork *w, LocalNode *n, int file,
                                ThreadPoolFunc *func)
{
    HeldWork h = { w, func };
    LocalNode *slow;
    int ret;

    w->host = &local_fs(&n->node)->host;
    do {
        ret = hold_begin(&w->hold, n, file);
        if (ret < 0) {
            return ret;
        }
        slow = local_node_slower(local_node_slower(n, w->hold.dir), w->dir);
        ret = local_run(slow->node.dev, run_held, &h);
    } while (hold_end(&w->hold, n, &ret));
    return ret;
}
