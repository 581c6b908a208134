/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Paths from node to node: those of walks, and those on which the driver finds
 * nodes again.
 *
 * FsDriver.walk goes from name to name. An FsWalker is the driver's cursor: the
 * node that it has reached, and the directory above, each with a reference.
 *
 * A driver that cannot hold a descriptor or a handle of each node finds some
 * nodes again by their names: fs_find_again() walks down to one.
 */
#ifndef HW_9PFS_FS_WALK_H
#define HW_9PFS_FS_WALK_H

#include "node.h"

typedef struct FsWalker {
    FsNode *at;                 /* a reference */
    FsNode *above;              /* a reference, or NULL: at the start and
                                   after ".." */
    unsigned done;              /* names walked */
} FsWalker;

void fs_walker_start(FsWalker *w, FsNode *dir);

/* The next name is that of @next. The walker takes the reference over. */
void fs_walker_down(FsWalker *w, FsNode *next);
/* The next name is "..", and @next is the directory above. Likewise. */
void fs_walker_up(FsWalker *w, FsNode *next);
/*
 * The next @n names lead to @next in @above (NULL after ".."). The walker takes
 * both references over.
 */
void fs_walker_jump(FsWalker *w, unsigned n, FsNode *above, FsNode *next);

/*
 * The walk ends with @ret, which this function returns. @walk gets the number
 * of names, and if @ret is 0 also the references.
 */
int fs_walker_end(FsWalker *w, int ret, FsWalk *walk);
/* Drops the references. */
void fs_walker_clear(FsWalker *w);

/* How a driver finds nodes again by name */
typedef struct FsFinder {
    /* Whether @node can be used as it is */
    bool (*ready)(FsNode *node, void *opaque);
    /*
     * Makes the node of @entry ready, in a directory that is ready. Returns 0
     * on success, and also when names have changed, so that another look is
     * worthwhile; else -errno. @entry is no reference.
     */
    int coroutine_fn (*step)(FsEntry *entry, void *opaque);
    unsigned max;               /* names on the path to a node; 0: no limit */
} FsFinder;

/*
 * Makes @node ready, step by step, starting in the nearest directory above that
 * is ready. Returns -ESTALE if a name on the path is not known, or if there are
 * more names than finder->max.
 */
int coroutine_fn fs_find_again(const FsFinder *finder, FsNode *node,
                               void *opaque);

#endif /* HW_9PFS_FS_WALK_H */
