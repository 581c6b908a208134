/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Claims on inodes: only work on the same inode waits, whatever the owner of a
 * claim waits for. No lock is held while a claim is. Any thread.
 *
 * An owner claims all its inodes at once, so that two owners never wait for
 * each other. It must not claim more before it drops them.
 */
#ifndef FSDEV_SHARED_CLAIMS_H
#define FSDEV_SHARED_CLAIMS_H

/* The owner's memory */
typedef struct FsClaim {
    uint64_t dev;
    uint64_t ino;
    bool shared;                /* with others that are shared */
    struct FsClaim *more;       /* of the same owner, or NULL */
    struct FsClaim *next;
} FsClaim;

/* All zero at first */
typedef struct FsClaims {
    GMutex lock;                /* for @all, and what an owner keeps with it */
    GCond fewer;
    unsigned waiting;
    FsClaim *all;
} FsClaims;

/*
 * Claims the inodes of @own, a list by FsClaim.more, which may name an inode
 * twice. Waits as long as another owner has one of them.
 */
void fs_claims_take(FsClaims *c, FsClaim *own);
void fs_claims_drop(FsClaims *c, FsClaim *own);

#endif /* FSDEV_SHARED_CLAIMS_H */
