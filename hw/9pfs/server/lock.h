/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The table of byte range locks' owners, and of requests that wait for a lock;
 * see lock.c.
 */
#ifndef HW_9PFS_SERVER_LOCK_H
#define HW_9PFS_SERVER_LOCK_H

#include "fid.h"

typedef struct P9LockWaiter P9LockWaiter;
typedef struct P9LockTask P9LockTask;           /* lock-state.c */

typedef struct P9LockTable {
    GHashTable *owners;
    QLIST_HEAD(, P9LockWaiter) waiters;
    unsigned waiting;
    unsigned ranges;            /* locked ranges of all owners */
    bool leaving;               /* shared, for a session that goes elsewhere */
    P9LockTask *task;           /* takes or gives up locks; or NULL */
} P9LockTable;

void p9_locks_init(P9LockTable *locks);
void p9_locks_destroy(P9LockTable *locks);

/* The fid was clunked: ends all owners that placed locks through it. */
void p9_locks_drop_fid(P9Fid *fid);

#endif /* HW_9PFS_SERVER_LOCK_H */
