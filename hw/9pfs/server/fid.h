/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Fids, the client's names for files.
 */
#ifndef HW_9PFS_SERVER_FID_H
#define HW_9PFS_SERVER_FID_H

#include "hw/9pfs/fs/export.h"
#include "9p.h"

typedef struct P9LockUse P9LockUse;
typedef struct P9Xattr P9Xattr;

/* Where the last Tread of a directory ended in 9P2000.u */
typedef struct P9DirPos {
    uint64_t end;               /* in bytes */
    uint64_t next;              /* the driver's offset there */
} P9DirPos;

/*
 * One fid. What it stands for never changes but for being opened: a walk onto
 * itself, Tlcreate and Txattrcreate put a new P9Fid into its place. So an
 * operation that holds a reference may use node and entry as long as it takes.
 */
typedef struct P9Fid {
    P9Server *s;
    uint32_t id;
    uint32_t refs;
    uint32_t uid;               /* Tattach's n_uname */
    bool clunked;               /* no longer in the table */
    bool remove_on_clunk;       /* ORCLOSE of 9P2000.u */
    FsNode *node;               /* holds a reference */
    FsEntry *entry;             /* NULL: the root, or its name is not known */
    FsFile *file;               /* once open */
    P9Xattr *xattr;             /* it is an extended attribute, not a file */
    P9DirPos *dir_pos;          /* of a directory in 9P2000.u that was read */
    QLIST_HEAD(, P9LockUse) locks;
} P9Fid;

/*
 * A fid that is not in the table yet, with one reference; takes references
 * on @node and on @entry, if there is one.
 */
P9Fid *p9_fid_new(P9Server *s, uint32_t id, uint32_t uid,
                  FsNode *node, FsEntry *entry);
P9Fid *p9_fid_ref(P9Fid *fid);
void p9_fid_put(P9Fid *fid);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(P9Fid, p9_fid_put)

/* With a reference for the caller; NULL if there is none of that number. */
P9Fid *p9_fid_get(P9Server *s, uint32_t id);
/* The same, for a file: NULL for an extended attribute as well. */
P9Fid *p9_fid_get_attached(P9Server *s, uint32_t id);

/* Whether a fid of that number may be made: 0 or -EBADF. */
int p9_fid_check_new(P9Server *s, uint32_t id);

/*
 * Makes the fid known; the table takes a reference. -EBADF when the number is
 * in use or is NOFID, -ENFILE when there are too many fids, -EBUSY when the
 * guest may not mount now, because it is about to be migrated.
 */
int coroutine_fn p9_fid_insert(P9Fid *fid);

/* Puts @fid in the place of @old; -EBADF when that was clunked meanwhile. */
int p9_fid_replace(P9Fid *old, P9Fid *fid);

/*
 * Takes the fid out of the table and drops its locks. False when somebody
 * else did already.
 */
bool p9_fid_remove(P9Fid *fid);

/* Removes all. */
void p9_fids_clear(P9Server *s);

void p9_fids_init(P9Server *s);
void p9_fids_destroy(P9Server *s);

#endif /* HW_9PFS_SERVER_FID_H */
