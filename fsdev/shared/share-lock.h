/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Locks that tell programs which directories are exports in use, and which ones
 * a program changes behind the servers' backs.
 *
 * The locks are read locks on bytes of the directory itself (F_OFD_SETLK of
 * fcntl(2): a directory cannot have others). They end with the descriptor. A
 * read lock keeps nobody out by itself, so each side sets its own first and
 * then looks for those that it cannot bear. If two do so at once, both may
 * find the other's; neither ever misses it.
 *
 *     SHARE_USED           a server serves the directory, or a program reads it
 *     SHARE_CHANGED        a program changes all below it
 *     SHARE_CHANGED_BELOW  a program changes something below it
 *
 * All who use a directory share SHARE_USED: several QEMUs may serve it. Who may
 * not read a directory cannot lock it; nor where the file system has no locks.
 * The kernel's NFS client keeps locks on directories to itself, so they hold
 * among the programs of one machine there.
 */
#ifndef FSDEV_SHARED_SHARE_LOCK_H
#define FSDEV_SHARED_SHARE_LOCK_H

#include "qemu/osdep.h"

typedef enum ShareLockByte {
    SHARE_USED,
    SHARE_CHANGED,
    SHARE_CHANGED_BELOW,
} ShareLockByte;

/* Descriptors that hold locks; all zero: none */
typedef struct ShareLock {
    int *fd;
    unsigned n;
} ShareLock;

/*
 * For a server, or a program that reads: locks the directory @dir (any
 * descriptor of it) as used. Returns 0, -EBUSY if a program changes it or one
 * above it, or another -errno: then it could not be locked, and nobody knows.
 *
 * What is above is what ".." leads to: a server in a mount of its own has
 * nothing there, and asks before it enters that.
 */
int share_lock_use(ShareLock *lock, int dir);

/*
 * For a program that changes things in the directory @dir. -EBUSY: the
 * directory or one above it is in use, or changed by another program; so
 * *@where gets its number of levels above.
 */
int share_lock_change(ShareLock *lock, int dir, unsigned *where);

/* Whether somebody else uses or changes @fd, a directory opened for reading */
bool share_is_locked(int fd, ShareLockByte byte);

void share_unlock(ShareLock *lock);

#endif /* FSDEV_SHARED_SHARE_LOCK_H */
