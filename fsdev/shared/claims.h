/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Claims on inodes: only work on the same inode waits, whatever the owner of a
 * claim waits for. No lock is held while a claim is. Any thread.
 */
#ifndef FSDEV_SHARED_CLAIMS_H
#define FSDEV_SHARED_CLAIMS_H

/* The owner's memory */
typedef struct FsClaim {
    uint64_t dev;
    uint64_t ino;
    struct FsClaim *next;
} FsClaim;

/* All zero at first */
typedef struct FsClaims {
    GMutex lock;
    GCond fewer;
    unsigned waiting;
    FsClaim *all;
} FsClaims;

/*
 * Claims the inode of @claim. If it is claimed already, waits for that, or
 * returns false unless @wait.
 */
bool fs_claims_take(FsClaims *c, FsClaim *claim, bool wait);
void fs_claims_drop(FsClaims *c, FsClaim *claim);

#endif /* FSDEV_SHARED_CLAIMS_H */
