/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A session on its way in: what was read of the stream so far.
 */
#ifndef HW_9PFS_SERVER_STATE_IN_H
#define HW_9PFS_SERVER_STATE_IN_H

#include "jobs.h"
#include "lock-owner.h"
#include "state.h"

/* A host device of the source */
typedef struct LoadDev {
    uint64_t dev;               /* here */
    bool known;                 /* it is here, too */
} LoadDev;

typedef struct LoadNode {
    FsNode *node;               /* a reference; NULL: it cannot be here */
    FsEntry *entry;             /* one that means it, or NULL; no reference */
    char *path;                 /* for messages if there is no node; or NULL */
    bool stale;                 /* it was missing at the source already */
    bool old;                   /* another session has it */
    bool placed;                /* has the entry by which it is found */
    bool is_parent;             /* has entries in it */
    bool used;                  /* is open or has locks */
    bool lost;                  /* a lost fid means it (P9Fid.lost), */
    bool alive;                 /* another fid does */
    uint32_t user;              /* as whom it is looked up (FsCall.user) */
} LoadNode;

typedef struct LoadAttach {
    P9Attach *attach;           /* a reference */
    bool lost;
} LoadAttach;

/* A file to open */
typedef struct LoadOpen {
    P9Fid *fid;                 /* a reference */
    int flags;                  /* the host's */
    int fsync_error;
} LoadOpen;

struct P9StateLoad {
    P9Server *s;
    bool occupied;              /* a session was there at the start */
    unsigned resets;            /* P9Server.resets at the start */
    int64_t deadline;
    Error *err;

    /* Of the stream */
    bool begun;                 /* SESSION was read */
    bool ended;                 /* END was read */
    uint64_t records;
    P9Dialect dialect;
    uint32_t msize;
    GArray *devs;               /* of LoadDev; 0: the root's */
    uint64_t root_dev;          /* at the source */
    bool same_devs;             /* numbers are those of the source */
    bool qid_next;
    unsigned long *qids_used[2];    /* bitmaps of prefixes and of singles */
    GArray *nodes;              /* of LoadNode; 0: the root */
    GHashTable *known;          /* the FsNodes of nodes -> number */
    unsigned paths;             /* LoadNode.path that are set */
    GPtrArray *entries;         /* of FsEntry or NULL; references */
    GArray *attaches;           /* of LoadAttach */
    P9Fid *fid;                 /* the last record's; it may become an xattr */
    bool in_owner;              /* the last record is of a lock's owner */
    P9LockOwner *owner;         /* NULL: its file cannot be here */
    GArray *opens;              /* of LoadOpen */
    char *find_dev;             /* path on the last device, to be looked up */

    /* Of finding */
    bool strict;                /* a missing file is an error */
    bool postcopy;              /* the source has given the guest up */
    GHashTable *reported;       /* missing nodes */
    unsigned missing;           /* files */
};

/* The node of that number, or NULL */
static inline LoadNode *load_node_at(const P9StateLoad *l, uint32_t i)
{
    return i < l->nodes->len ? &g_array_index(l->nodes, LoadNode, i) : NULL;
}

#endif /* HW_9PFS_SERVER_STATE_IN_H */
