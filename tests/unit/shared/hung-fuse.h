/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A FUSE file system for tests whose server does not answer what the test
 * chooses. It holds, as root's,
 *
 *     file, other         regular files ("text")
 *     dir/inner           the same in a directory
 *     link                a symbolic link to file
 *
 * The server is a process of its own. It goes, and the file system with it,
 * when the test ends it or dies; calls that wait then fail.
 */
#ifndef TESTS_UNIT_HUNG_FUSE_H
#define TESTS_UNIT_HUNG_FUSE_H

#include <linux/fuse.h>

typedef struct HungFuse HungFuse;

/* The inode numbers */
enum {
    HUNG_ROOT = FUSE_ROOT_ID,
    HUNG_FILE,
    HUNG_OTHER,
    HUNG_DIR,
    HUNG_INNER,
    HUNG_LINK,
    HUNG_ALL = 0,               /* for hung_fuse_hang(): any inode */
};

/*
 * Mounts the file system on the directory @path; it answers everything. NULL
 * with errno if this process may not mount it.
 */
HungFuse *hung_fuse_start(const char *path);

/* The same; says so and skips the test if this process may not mount it. */
HungFuse *hung_fuse_start_or_skip(const char *path);

/*
 * The same, on a disk (fuseblk): the close(2) that ends such a file system asks
 * the server (FUSE_DESTROY), as one that ends another on a disk writes to it.
 */
HungFuse *hung_fuse_start_disk_or_skip(const char *path);

/* Aborts what waits, and unmounts. */
void hung_fuse_end(HungFuse *h);

/*
 * From now on the server does not answer @opcode (FUSE_GETATTR and the like)
 * for @ino, or HUNG_ALL. Opcodes add up, inodes do not.
 */
void hung_fuse_hang(HungFuse *h, unsigned opcode, uint64_t ino);

/* Answers what waits, and all that comes from now on. */
void hung_fuse_answer(HungFuse *h);

/* How long the kernel may keep attributes and names: 0 at first, so none */
void hung_fuse_cache(HungFuse *h, unsigned seconds);

/* How many requests wait, and how many of @opcode have come */
unsigned hung_fuse_waiting(HungFuse *h);
unsigned hung_fuse_count(HungFuse *h, unsigned opcode);

/* Waits until @n requests wait; false if that takes more than ten seconds */
bool hung_fuse_wait(HungFuse *h, unsigned n);

/*
 * Around what must not wait for the server. If it does, the server answers
 * after ten seconds, and hung_fuse_in_time() returns false.
 */
typedef struct HungWatch HungWatch;

HungWatch *hung_fuse_watch(HungFuse *h);
bool hung_fuse_in_time(HungWatch *w);

#endif
