/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Paths from node to node: see walk.h.
 */
#include "qemu/osdep.h"
#include "walk.h"

void fs_walker_start(FsWalker *w, FsNode *dir)
{
    *w = (FsWalker) { .at = fs_node_ref(dir) };
}

void fs_walker_jump(FsWalker *w, unsigned n, FsNode *above, FsNode *next)
{
    fs_walker_clear(w);
    w->above = above;
    w->at = next;
    w->done += n;
}

void fs_walker_down(FsWalker *w, FsNode *next)
{
    fs_walker_jump(w, 1, fs_node_ref(w->at), next);
}

void fs_walker_up(FsWalker *w, FsNode *next)
{
    fs_walker_jump(w, 1, NULL, next);
}

void fs_walker_clear(FsWalker *w)
{
    g_clear_pointer(&w->above, fs_node_unref);
    g_clear_pointer(&w->at, fs_node_unref);
}

int fs_walker_end(FsWalker *w, int ret, FsWalk *walk)
{
    walk->walked = w->done;
    walk->node = walk->parent = NULL;
    if (ret == 0) {
        walk->node = g_steal_pointer(&w->at);
        walk->parent = g_steal_pointer(&w->above);
    }
    fs_walker_clear(w);
    return ret;
}

/* The nodes that are not ready on the path to a node, from the node up */
typedef GPtrArray FindPath;

static void path_cut(FindPath *path, unsigned n)
{
    while (path->len > n) {
        fs_node_unref(g_ptr_array_steal_index(path, path->len - 1));
    }
}

/* Fills @path, which is empty. Returns -ESTALE if no path is known. */
static int path_gather(FindPath *path, const FsFinder *finder, FsNode *node,
                       void *opaque)
{
    while (!finder->ready(node, opaque)) {
        bool too_long = finder->max && path->len == finder->max;
        FsEntry *entry = node->detached || too_long ? NULL
                                                    : fs_node_where(node);

        if (!entry) {
            return -ESTALE;
        }
        g_ptr_array_add(path, fs_node_ref(node));
        node = entry->parent;
    }
    return 0;
}

/*
 * One step on the path: 0, -errno, or 1 if it has changed in between. @path
 * becomes shorter when its last node is ready.
 */
static int coroutine_fn path_step(FindPath *path, const FsFinder *finder,
                                  void *opaque)
{
    FsNode *next = g_ptr_array_index(path, path->len - 1);
    FsEntry *entry;

    if (finder->ready(next, opaque)) {
        path_cut(path, path->len - 1);
        return 0;
    }
    entry = next->detached ? NULL : fs_node_where(next);
    if (!entry || !finder->ready(entry->parent, opaque)) {
        return 1;
    }
    return finder->step(entry, opaque);
}

/* Looks at each node of the path a few times, however deep it is. */
int coroutine_fn fs_find_again(const FsFinder *finder, FsNode *node,
                               void *opaque)
{
    FindPath *path = g_ptr_array_new();
    int ret;

    do {
        ret = path_gather(path, finder, node, opaque);
        while (ret == 0 && path->len) {
            ret = path_step(path, finder, opaque);
        }
        path_cut(path, 0);
    } while (ret > 0);
    g_ptr_array_free(path, true);
    return ret;
}
