/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Walking a share as its guest sees it, names in order of their bytes.
 *
 * What a walk holds in memory are the names of one directory, and of those
 * above it. It goes down by descriptors, of which it holds some hundred at
 * most, so a tree may be deeper than any path.
 */
#ifndef FSDEV_MAPPED_TREE_H
#define FSDEV_MAPPED_TREE_H

#include "tree-ops.h"

/*
 * Walks from @start on, and reports what it cannot read. False if the walk
 * ended early.
 */
bool mapped_tree_walk(const MappedEntry *start, const TreeOps *ops,
                      void *opaque);

#endif /* FSDEV_MAPPED_TREE_H */
