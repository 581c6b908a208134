/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A FUSE file system in memory for tests, with the bad habits of file systems
 * and file servers: a test chooses some at the start and changes others
 * meanwhile.
 *
 * It has regular files, directories and symbolic links, with modes, owners and
 * extended attributes; there are no checks of access but those of
 * TEST_FUSE_OWNERS. A file has at most TEST_FUSE_DATA bytes (ENOSPC). The
 * kernel may keep nothing, so that each lookup comes to the server. That is a
 * process of its own. It goes, and the file system with it, when the test ends
 * it, or with the test's process.
 */
#ifndef TESTS_UNIT_TEST_FUSE_H
#define TESTS_UNIT_TEST_FUSE_H

#include <linux/fuse.h>

#define TEST_FUSE_DATA          512

/*
 * Habits
 */

/*
 * It ignores case as directories with FS_CASEFOLD_FL, vfat and others do: a
 * name has many spellings. Beside ASCII letters, U+017F (long s) stands for s,
 * and U+00AD (soft hyphen) for nothing. A directory lists the spelling that a
 * name was made with.
 */
#define TEST_FUSE_FOLD          (1u << 0)
/* It keeps no S_ISVTX of files. */
#define TEST_FUSE_NO_STICKY     (1u << 1)
/*
 * It looks at the ids in each request, as file servers do, and says no sooner:
 * FUSE_ACCESS is not there. Beside root and the owner of a directory, only whom
 * its mode lets write may change what is in it (EACCES), and only root and the
 * owner of a file may change its attributes. Only root gives files away
 * (EPERM). Only the owner of a directory, whoever has opened it, may read it
 * (EACCES).
 */
#define TEST_FUSE_OWNERS        (1u << 2)
/* It makes a directory and then refuses to (EACCES). */
#define TEST_FUSE_LATE          (1u << 3)
/* It has no extended attributes. */
#define TEST_FUSE_NO_XATTRS     (1u << 4)
/* It has no hard links (EPERM). */
#define TEST_FUSE_NO_LINKS      (1u << 5)
/* It makes files without a name (O_TMPFILE). */
#define TEST_FUSE_TMPFILE       (1u << 6)
/*
 * It forgets a file with its last name. Who has it open reads, writes and
 * truncates it; all else gets ESTALE.
 */
#define TEST_FUSE_FORGETS       (1u << 7)
/*
 * The kernel keeps what is written until fsync(2) or close(2), which then fail
 * if the server refuses it.
 */
#define TEST_FUSE_WRITEBACK     (1u << 8)

typedef struct TestFuse TestFuse;

/*
 * Mounts the file system on the directory @path: NULL with errno if this
 * process may not do that.
 */
TestFuse *test_fuse_start(const char *path, unsigned habits);

/* The same; says so and skips the test if this process may not mount it. */
TestFuse *test_fuse_start_or_skip(const char *path, unsigned habits);

/*
 * Unmounts the file system and mounts it again: the same names, but each file
 * has a number that another had before. Who has something open of the old mount
 * gets ENOTCONN.
 */
void test_fuse_remount(TestFuse *f);

/* Unmounts the file system, and waits until the server has ended. */
void test_fuse_end(TestFuse *f);

/*
 * From now on requests of that kind (FUSE_GETATTR and the like) fail with
 * @error; 0: they no longer do.
 */
void test_fuse_fail(TestFuse *f, unsigned opcode, int error);

/*
 * Only the @n-th request from now on, of any kind, fails with @error; 0: none.
 * test_fuse_failed() says whether it has come.
 */
void test_fuse_fail_nth(TestFuse *f, unsigned n, int error);
bool test_fuse_failed(TestFuse *f);

/* From now on each answer comes that late. */
void test_fuse_delay(TestFuse *f, unsigned ms);

/*
 * Everything but the root gets another number, which nothing had before. All
 * that knows the old ones gets ESTALE, open files, too.
 */
void test_fuse_renumber(TestFuse *f);

/* How many requests of that kind have come */
unsigned test_fuse_count(TestFuse *f, unsigned opcode);

/* Open files and directories, in all processes */
unsigned test_fuse_open_files(TestFuse *f);

/* The names of all that is there, with "/" and sorted; to be freed */
char **test_fuse_names(TestFuse *f);

#endif
