/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Ways from node to node: a walk's, and the one on which a node is found again.
 *
 * FsDriver.walk goes from name to name. An FsWalker is the driver's cursor: the
 * node that it has reached, and the directory above, each with a reference.
 *
 * A driver that cannot hold a descriptor or a handle of each node finds some
 * again by their names: fs_find_again() takes the way down to one.
 */
#ifndef HW_9PFS_FS_WALK_H
#define HW_9PFS_FS_WALK_H

#include "node.h"

typedef struct FsWalker {
    FsNode *at;                 /* a reference */
    FsNode *above;              /* likewise; NULL at the start and after ".." */
    unsigned done;              /* names */
} FsWalker;

void fs_walker_start(FsWalker *w, FsNode *dir);

/* The next name is @next's, whose reference is taken over. */
void fs_walker_down(FsWalker *w, FsNode *next);
/* It is "..", and @next is the directory above. */
void fs_walker_up(FsWalker *w, FsNode *next);
/*
 * The next @n names lead to @next in @above (NULL after ".."); both references
 * are taken over.
 */
void fs_walker_jump(FsWalker *w, unsigned n, FsNode *above, FsNode *next);

/*
 * The walk ends with @ret, which this function returns: if it is 0, @walk gets
 * the references, and in any case the number of names.
 */
int fs_walker_end(FsWalker *w, int ret, FsWalk *walk);
/* Drops the references. */
void fs_walker_clear(FsWalker *w);

/* How a driver finds nodes again by name */
typedef struct FsFinder {
    /* Whether @node can be used, so that it need not be found */
    bool (*ready)(FsNode *node, void *opaque);
    /*
     * Makes the node of @entry ready. Its directory is. Returns 0 when this
     * succeeded, or when it is worth another look because names have changed;
     * else -errno. @entry is no reference.
     */
    int coroutine_fn (*step)(FsEntry *entry, void *opaque);
    unsigned max;               /* names on the way to a node; 0: no limit */
} FsFinder;

/*
 * Makes @node ready: from the nearest directory above that is, one step after
 * the other. -ESTALE when a name on the way is not known, or there are more
 * than finder->max.
 */
int coroutine_fn fs_find_again(const FsFinder *finder, FsNode *node,
                               void *opaque);

#endif /* HW_9PFS_FS_WALK_H */
