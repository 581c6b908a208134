/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The owners of byte range locks: see lock.c.
 */
#ifndef HW_9PFS_SERVER_LOCK_OWNER_H
#define HW_9PFS_SERVER_LOCK_OWNER_H

#include "qemu/coroutine.h"
#include "internal.h"
#include "lock-ranges.h"

/* Limit of owners: each has a host descriptor */
#define P9_LOCK_OWNERS_MAX      4096
/* Limit of locked ranges, of all owners together */
#define P9_LOCK_RANGES_MAX      16384
/* Linux sends its node name, which has at most 64 bytes. */
#define P9_LOCK_CLIENT_ID_MAX   255

typedef struct P9LockOwner {
    P9Server *s;
    FsNode *node;               /* holds a reference */
    uint32_t proc_id;
    char *client_id;
    FsFile *file;               /* NULL while a session is loaded */
    int access;                 /* to open it with, during that */
    uint32_t refs;              /* one while it is in the table */
    uint32_t busy;              /* operations that use it now */
    bool dropped;               /* no longer in the table */
    bool weak;                  /* the host has less than ranges */
    CoMutex mutex;              /* around one operation on the open file */
    GArray *ranges;             /* of P9LockRange; NULL before the first */
    QLIST_HEAD(, P9LockUse) uses;
} P9LockOwner;

/* An owner has placed a lock through a fid. */
struct P9LockUse {
    P9LockOwner *owner;
    P9Fid *fid;
    QLIST_ENTRY(P9LockUse) by_owner;
    QLIST_ENTRY(P9LockUse) by_fid;
};

/* The owner, without a reference, or NULL */
P9LockOwner *p9_lock_owner_find(P9Server *s, FsNode *node, uint32_t proc_id,
                                const char *client_id);

/*
 * A new owner, without an open file; the table has the only reference. There is
 * no such owner, and fewer than P9_LOCK_OWNERS_MAX.
 */
P9LockOwner *p9_lock_owner_new(P9Server *s, FsNode *node, uint32_t proc_id,
                               const char *client_id);

/*
 * Opens the file for an owner: for both reading and writing if possible, since
 * locks of both kinds may follow, else for @access, as a fid has it open.
 */
int coroutine_fn p9_lock_open(FsCall *call, FsNode *node, int access,
                              FsFile **file);

/* Drops a reference. */
void p9_lock_owner_put(P9LockOwner *o);

/*
 * Ends the owner, which is in the table. Its locks end with the last reference
 * to its open file.
 */
void p9_lock_owner_drop(P9LockOwner *o);

/* The owner has placed a lock through @fid, and ends with it. */
void p9_lock_owner_add_use(P9LockOwner *o, P9Fid *fid);

#endif /* HW_9PFS_SERVER_LOCK_OWNER_H */
