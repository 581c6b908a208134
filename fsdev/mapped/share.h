/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A share, opened with the model that its guest's QEMU would use, and one
 * file in it as the guest sees that.
 *
 * The code that serves the models (hw/9pfs/local/model.h) does the work; it
 * reaches files by single names in directories that are held open, so a link
 * in the share leads nowhere. All functions may block, and return -errno.
 */
#ifndef FSDEV_MAPPED_SHARE_H
#define FSDEV_MAPPED_SHARE_H

#include "hw/9pfs/local/mapped-check.h"
#include "fsdev/shared/share-lock.h"
#include "models.h"
#include "print.h"
#include "text.h"

typedef enum ShareUse {
    SHARE_READS,
    SHARE_CHANGES,
} ShareUse;

typedef struct MappedShare {
    LocalHost lh;
    /*
     * While it is converted, the model that it is not whole for: the names of
     * that and of the conversion (marker.h) are hidden, too; or NULL
     */
    const LocalModel *other;
    bool unfinished;            /* a conversion has yet to make some of it */
    char *name;                 /* of the root, as the user named it */
    ShareLock lock;
    bool live;
    bool opens_files;           /* mapped_entry_open() opens regular files */
    int cwd;                    /* where the user is */
    unsigned threads;           /* that a walk may have (tree.h) */
    unsigned problems;          /* that were reported */
} MappedShare;

/* A file of the share; its descriptors belong to the entry. */
typedef struct MappedEntry {
    MappedShare *share;
    LocalInode inode;
    const char *path;           /* from the root, "." for that one */
    bool is_open;               /* the handle is a file open for reading */
    bool is_blind;              /* opening found it, but not what is kept */
    FsAttr host;
    FsAttr attr;                /* as the guest sees it */
} MappedEntry;

/*
 * Opens the directory @dir as a share. With @model NULL, the share itself must
 * tell its model. With @live, others may use the share. Says what is wrong and
 * returns false if it cannot.
 */
bool mapped_share_open(MappedShare *s, const char *dir,
                       const LocalModel *model, ShareUse use, bool live);
void mapped_share_close(MappedShare *s);

/*
 * The mapped model whose metadata the share has, as far as the root and the
 * first names in it tell; NULL if there is none, or (*@both) that of two.
 */
const LocalModel *mapped_share_tells(const MappedShare *s, bool *both);

/*
 * Whether the share's metadata is that of its model, or there is none; false
 * with a message
 */
bool mapped_share_agrees(MappedShare *s);

/* Whether a name is a model's own, and not the guest's */
bool mapped_reserved(const MappedShare *s, const char *name);

/*
 * Whether a QEMU or a helper serves @dir, any descriptor of a directory of the
 * share, and this program may not change anything there.
 */
bool mapped_dir_is_served(const MappedShare *s, int dir);

/* Reads the attributes of @e, whose inode is open. */
int mapped_entry_see(MappedEntry *e);

/*
 * Opens @name in the directory @dir and looks at it; -ENOENT if the guest has
 * no such name there. @e->inode borrows @dir and @name.
 */
int mapped_entry_open(MappedShare *s, int dir, const char *name,
                      const char *path, MappedEntry *e);
void mapped_entry_close(MappedEntry *e);

/*
 * Opens the file at @path, names with slashes between, as the guest finds it;
 * "." is the root. mapped_entry_free() frees it. -EBUSY if the share is to be
 * changed, and a directory on the way is served (mapped_dir_is_served()).
 */
int mapped_entry_find(MappedShare *s, const char *path, MappedEntry *e);
void mapped_entry_free(MappedEntry *e);

/* A problem: @e could not be opened or found at @path, with the error @err. */
void mapped_entry_complain(MappedShare *s, const MappedEntry *e,
                           const char *path, int err);

/*
 * A message on stderr, one line: the file (@path may be NULL), what is wrong,
 * and the system's reason (@err: a negative errno value, or 0).
 */
void mapped_say(const MappedShare *s, const char *path, int err,
                const char *fmt, ...) G_GNUC_PRINTF(4, 5);
/* The same, and the exit status will be 1. */
void mapped_problem(MappedShare *s, const char *path, int err,
                    const char *fmt, ...) G_GNUC_PRINTF(4, 5);

#endif /* FSDEV_MAPPED_SHARE_H */
