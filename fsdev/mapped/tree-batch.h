/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The part of a walk (tree.h) that several threads do: they visit files that
 * are no directories, some names of one directory at a time.
 */
#ifndef FSDEV_MAPPED_TREE_BATCH_H
#define FSDEV_MAPPED_TREE_BATCH_H

#include "tree-ops.h"

typedef struct Batches Batches;

/* *@files counts those that were visited. */
Batches *mapped_batches_new(MappedShare *share, const TreeOps *ops,
                            void *opaque, uint64_t *files);

/* A name in the directory @dir, whose path is @path */
void mapped_batches_add(Batches *b, int dir, const char *path,
                        const char *name);
/* The names so far come before what the walk itself does now. */
void mapped_batches_send(Batches *b);
/* Calls TreeOps.leave after all visits that were sent. */
void mapped_batches_leave(Batches *b, const MappedEntry *dir);

/* Whether a visit has ended the walk */
bool mapped_batches_stopped(const Batches *b);
/* Waits for all visits, then the same */
bool mapped_batches_free(Batches *b);

/* mapped_entry_open() in a walk, with a message if it cannot */
bool mapped_tree_open(MappedShare *s, int dir, const char *name,
                      const char *path, MappedEntry *e);

#endif /* FSDEV_MAPPED_TREE_BATCH_H */
