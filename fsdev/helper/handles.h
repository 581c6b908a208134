/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The handles that QEMU has: numbers for the O_PATH descriptors that the
 * helper holds.
 *
 * One handle stands for one inode, however often it was walked to. It counts
 * the references that replies gave to QEMU and FORGET gave back, and apart
 * from those the requests that use it now: its descriptor is closed when both
 * are none. An inode cannot go away while its descriptor is held, so device
 * and inode number name it.
 *
 * A handle is the number of a slot and how often that slot was used before,
 * so one that was forgotten, or never given, does not mean another inode.
 *
 * All functions are thread-safe.
 */
#ifndef FSDEV_HELPER_HANDLES_H
#define FSDEV_HELPER_HANDLES_H

#include "qemu/osdep.h"

typedef struct Handles Handles;

/*
 * A table for at most @max inodes, with @root as PROXY_ROOT_HANDLE. That one
 * has a reference that is never given back. @root stays the caller's.
 */
Handles *handles_new(unsigned max, int root, uint64_t dev, uint64_t ino);

/* Closes all handles but @root; none is in use. */
void handles_free(Handles *t);

/*
 * The descriptor of *@handle, to be used until handles_put() of what *@handle
 * is then. -EBADF if QEMU has no reference to such a handle.
 */
int handles_get(Handles *t, uint64_t *handle);

/* Ends the use that handles_get() or handles_add() began. */
void handles_put(Handles *t, uint64_t handle);

typedef struct NewHandle {
    uint64_t handle;
    int fd;                     /* to be used until handles_put() */
    bool first;                 /* QEMU had no reference to the inode */
} NewHandle;

/*
 * Counts a reference to the inode @dev, @ino, whose descriptor @fd is; @fd is
 * the table's from here on, or closed. -EMFILE if the table is full.
 */
int handles_add(Handles *t, int fd, uint64_t dev, uint64_t ino,
                NewHandle *new);

/*
 * Makes @handle, which QEMU chose (PROXY_ADOPTED), one reference to the inode
 * @dev, @ino, whose descriptor @fd is; @fd is the table's from here on, or
 * closed. -EMFILE if the table is full, -EEXIST if there is such a handle.
 */
int handles_adopt(Handles *t, uint64_t handle, int fd, uint64_t dev,
                  uint64_t ino);

/* Whether a new inode would be refused: to be asked before one is made. */
bool handles_full(Handles *t);

/*
 * Takes @count references back, or the one of a handle that was adopted. More
 * than there are, or an unknown handle, is ignored: there is no reply to say so
 * in. Returns the descriptor if nobody needs it any more, for the caller to
 * close: that may wait for the file system. Else -1.
 */
int handles_forget(Handles *t, uint64_t handle, uint32_t count);

#endif /* FSDEV_HELPER_HANDLES_H */
