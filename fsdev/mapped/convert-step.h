/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What the steps of virtfs-mapped convert share (convert.c). A step has a
 * TreeOps, with a Convert as its opaque, and the walk is by the model that the
 * share is whole for.
 */
#ifndef FSDEV_MAPPED_CONVERT_STEP_H
#define FSDEV_MAPPED_CONVERT_STEP_H

#include "links.h"
#include "marker.h"
#include "options.h"
#include "tree.h"

typedef struct Convert {
    const MappedOptions *o;
    MappedShare *s;
    bool in_place;
    bool unsure;                /* the share does not tell its model */
    bool gives_away;            /* files, which this user may not */
    bool has_old;               /* ... but has what only the old one makes */
    Marker marker;
    /* The share with the model that the walk does not use */
    LocalHost other;
    MappedLinks *links;         /* of the present walk */
    int staging;                /* the folder MAPPED_STAGING, or -1 */
    size_t files;
    GMutex staging_lock;        /* who uses the folder */
    const TreeOps *ops;         /* of the present walk */
    GArray *places;             /* of each file system that was met */
    GMutex places_lock;
} Convert;

/* Files that are made in @s from now on belong to this user. */
void convert_use_owner(MappedShare *s, uint32_t uid, uint32_t gid);

/*
 * The file systems that the conversion changes, which are those of the files
 * that its walks meet (any thread): convert_sync() writes all that was changed
 * there to the disk. 0 or -errno
 */
void convert_meet(Convert *c, const MappedEntry *e);
int convert_sync(Convert *c);
void convert_forget(Convert *c);

/*
 * Whether a file is the same inode for all models: a regular file or a
 * directory, but for a helper's device
 */
bool convert_is_plain(const Convert *c, const MappedEntry *e);

/* Copies ACLs to the model of c->other, if both have them: 0 or -errno. */
int convert_put_acls(const Convert *c, const MappedEntry *e);

#endif /* FSDEV_MAPPED_CONVERT_STEP_H */
