/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What a walk through a share calls (tree.h).
 */
#ifndef FSDEV_MAPPED_TREE_OPS_H
#define FSDEV_MAPPED_TREE_OPS_H

#include "share.h"

typedef enum TreeNext {
    TREE_ON,
    TREE_SKIP,                  /* a directory: do not go into it */
    TREE_STOP,                  /* end the walk */
} TreeNext;

/* Entries are valid for the time of one call. */
typedef struct TreeOps {
    /* Each file, the start first */
    TreeNext (*visit)(const MappedEntry *e, void *opaque);
    /* Before the names of a directory; or NULL */
    TreeNext (*enter)(const MappedEntry *dir, void *opaque);
    /* After all that is in a directory; or NULL */
    void (*leave)(const MappedEntry *dir, void *opaque);
    /* Visit all names of a directory before going into one of them. */
    bool list_first;
    /*
     * MappedShare.threads may visit files that have one name and are no
     * directories, several at once, before and after files that are visited
     * earlier or later otherwise. All else is as with one thread, and so are
     * the output and its order.
     */
    bool any_thread;
} TreeOps;

#endif /* FSDEV_MAPPED_TREE_OPS_H */
