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

/*
 * Puts the first name to look up on the path to @node into *@first: NULL if
 * @node is ready. Returns -ESTALE if no path is known.
 */
static int first_step(const FsFinder *finder, FsNode *node, void *opaque,
                      FsEntry **first)
{
    unsigned n = 0;

    *first = NULL;
    while (!finder->ready(node, opaque)) {
        bool too_long = finder->max && n++ == finder->max;

        *first = node->detached || too_long ? NULL : fs_node_where(node);
        if (!*first) {
            return -ESTALE;
        }
        node = (*first)->parent;
    }
    return 0;
}

int coroutine_fn fs_find_again(const FsFinder *finder, FsNode *node,
                               void *opaque)
{
    FsEntry *first;
    int ret;

    do {
        ret = first_step(finder, node, opaque, &first);
        if (ret == 0 && first) {
            ret = finder->step(first, opaque);
        }
    } while (ret == 0 && first);
    return ret;
}
