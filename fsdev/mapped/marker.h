/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The mark of a share that is being converted in place from one model to
 * another: an attribute of its root, which no guest sees.
 *
 *     user.virtfs.convert     "copy FROM TO" or "drop FROM TO"
 *
 * In the first step, the share is whole for the model FROM, and in the second,
 * for the model TO. FROM and TO are names as --model has them. If one of them
 * is passthrough or proxy, owner=UID:GID follows, who has the files with the
 * mapped model, also if somebody else goes on; and the ids that owners have on
 * the host (host-ids.h): whoever goes on must have the same.
 */
#ifndef FSDEV_MAPPED_MARKER_H
#define FSDEV_MAPPED_MARKER_H

#include "fsdev/shared/xattr-names.h"
#include "models.h"

/* The conversion's own name in the root of a share */
#define MAPPED_STAGING  ".virtfs_convert"

typedef enum MarkerStep {
    MARKER_NONE,
    MARKER_COPY,
    MARKER_DROP,
} MarkerStep;

typedef struct Marker {
    MarkerStep step;
    const LocalModel *from;
    const LocalModel *to;
    char *ids;                  /* NULL: not known, or without meaning */
    /* Whose the files are on the host with the mapped model; if known */
    bool has_owner;
    uint32_t owner_uid;
    uint32_t owner_gid;
} Marker;

#define MAPPED_MARK     FS_XATTR_VIEW "convert"

/* Reads the mark: 0 or -errno; -EINVAL if it makes no sense. */
int mapped_marker_get(const HostFs *hfs, Marker *m);

void mapped_marker_clear(Marker *m);

/*
 * The mark of a new share which a conversion has begun (convert-copy.c): the
 * file MAPPED_STAGING of the root, with the name of the model, and the system's
 * boot id as the kernel gives it.
 *
 * The model; NULL if there is no such file, or a guest's. *@empty: the file is
 * there, but has no name yet. *@same_boot: the system has not crashed since.
 */
const LocalModel *mapped_copy_mark(const LocalHost *lh, bool *empty,
                                   bool *same_boot);
/* The content of such a mark */
char *mapped_copy_mark_text(const LocalModel *model);

/*
 * Writes or (MARKER_NONE) removes it, with all that was written before on the
 * root's file system.
 */
int mapped_marker_set(const HostFs *hfs, const Marker *m);

/*
 * The ids that a conversion of these models has in this process, as Marker.ids;
 * NULL if they do not count
 */
char *mapped_marker_ids(const Marker *m);

/* Whether one of the models is the host's, and so owners change there */
bool mapped_marker_has_host(const Marker *m);

/* The model that the share is whole for */
const LocalModel *mapped_marker_model(const Marker *m);

#endif /* FSDEV_MAPPED_MARKER_H */
