/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The handles that QEMU has: numbers for the O_PATH descriptors that the
 * helper holds.
 *
 * One handle stands for one inode, however many walks lead to it. It counts
 * the references that replies give to QEMU and FORGET gives back, and apart
 * from these the requests that use it now. Its descriptor is closed when both
 * counts are zero. An inode cannot vanish while its descriptor is held, so
 * device and inode number identify it.
 *
 * A handle has the number of a slot and the slot's generation, which counts
 * how often the slot was used before. So a handle that QEMU forgot, or never
 * had, does not mean another inode. After 2^31 uses the count begins again.
 *
 * All functions are thread-safe.
 */
#ifndef FSDEV_HELPER_HANDLES_H
#define FSDEV_HELPER_HANDLES_H

#include "qemu/osdep.h"

typedef struct Handles Handles;

/* Memory for each handle, at most */
#define HANDLE_BYTES    320
/* After handles_forget_all(), for each that is in use */
#define HANDLE_BYTES_LEFT       (5 * 1024)

/*
 * A table for at most @max inodes, with @root as PROXY_ROOT_HANDLE. The root
 * keeps one reference for ever. @root stays the caller's.
 */
Handles *handles_new(unsigned max, int root, uint64_t dev, uint64_t ino);

/*
 * For a test, before the first inode is added: all slots are as if they had
 * been used almost as often as a generation can count.
 */
void handles_begin_late(Handles *t);

/* Closes all handles except the root. None may be in use. */
void handles_free(Handles *t);

/*
 * The descriptor of *@handle. Replaces an adopted number in *@handle by the
 * table's own; the caller may use the descriptor until handles_put() of that.
 * -EBADF if QEMU has no reference to such a handle. *@dev, unless @dev is NULL,
 * gets the inode's device number.
 */
int handles_get(Handles *t, uint64_t *handle, uint64_t *dev);

/* Ends the use that handles_get() or handles_add() began. */
void handles_put(Handles *t, uint64_t handle);

typedef struct NewHandle {
    uint64_t handle;
    int fd;                     /* valid until handles_put() */
    bool first;                 /* QEMU had no reference to the inode */
} NewHandle;

/*
 * Counts a reference to the inode @dev, @ino with the descriptor @fd, whose
 * ownership passes in any case. -EMFILE if the table is full, the budget for
 * its memory is used up (memory.h), or QEMU is gone; -ENOMEM if there is no
 * memory.
 */
int handles_add(Handles *t, int fd, uint64_t dev, uint64_t ino,
                NewHandle *new);

/*
 * A walk found the directory @handle in the directory @parent; both are in use.
 * The table remembers it as long as it has @parent.
 */
void handles_set_parent(Handles *t, uint64_t handle, uint64_t parent);

/* Whether the inode @dev, @ino was last found in @above_dev, @above_ino */
bool handles_know_above(Handles *t, uint64_t dev, uint64_t ino,
                        uint64_t above_dev, uint64_t above_ino);

/*
 * Makes @handle, which QEMU chose (PROXY_ADOPTED), one reference to the inode
 * @dev, @ino with the descriptor @fd, whose ownership passes in any case.
 * As handles_add(), and -EEXIST if @handle exists already.
 */
int handles_adopt(Handles *t, uint64_t handle, int fd, uint64_t dev,
                  uint64_t ino);

/*
 * QEMU is gone: takes all references back, and closes the descriptors that no
 * request uses, which may wait for the file system. The table takes no inode
 * from here on, so the last requests that want one fail.
 */
void handles_forget_all(Handles *t);

/* Whether the table would refuse a new inode: check this before making one. */
bool handles_full(Handles *t);

/*
 * Takes @count references back, or the only one of an adopted handle. Ignores
 * surplus references and unknown handles: a FORGET has no reply that could say
 * so. Returns the descriptor if it is no longer needed, otherwise -1. The
 * caller must close it, which may wait for the file system.
 */
int handles_forget(Handles *t, uint64_t handle, uint32_t count);

#endif /* FSDEV_HELPER_HANDLES_H */
