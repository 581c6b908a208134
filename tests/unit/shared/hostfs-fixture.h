/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The fixture of the tests of hostfs: a new folder on a real file system with
 * an export in it, and beside the export files that must stay as they are.
 *
 *     DIR/export                  empty; the test's
 *     DIR/outside/secret          must not change, and stay alone
 *
 * After each test the fixture checks that nothing outside changed and that
 * no descriptor was left open.
 */
#ifndef TESTS_UNIT_HOSTFS_FIXTURE_H
#define TESTS_UNIT_HOSTFS_FIXTURE_H

#include "fsdev/shared/hostfs.h"

typedef struct Fixture {
    char *dir;
    int top;                    /* DIR */
    int export;                 /* DIR/export, opened for reading */
    int outside;                /* DIR/outside, likewise */
    HostFs fs;
    unsigned fds;               /* descriptors that were open before */
} Fixture;

/* An ordinary user for tests that start as root */
#define OTHER_ID        65534

typedef void FixtureTest(Fixture *f);

/* Registers a test; its path starts with /9p/hostfs/. */
void hostfs_test(const char *name, FixtureTest *test);

/* Exit status of a child's test that may not do what it must */
#define CHILD_SKIPS     77

/*
 * Runs @test in a process of its own, as an ordinary user who owns the
 * export. The process shares nothing but the files.
 */
void as_user(Fixture *f, FixtureTest *test);

/* The same, but as the test's user. */
void in_child(Fixture *f, FixtureTest *test);

/* Skips the test unless it runs as root; @why is the reason. */
bool need_root(const char *why);

/* Makes a regular file holding @text in the real directory @dir. */
void put_file(int dir, const char *name, const char *text);

/* Whether @name in @dir is a regular file that holds @text. */
void assert_file(int dir, const char *name, const char *text);
void assert_missing(int dir, const char *name);

/* Handle of what a walk of names, with "/" between them, finds from the root */
int node_of(Fixture *f, const char *path);

/* What such a walk comes to: 0 or -errno */
int try_walk(Fixture *f, const char *path);

/* Attributes of such */
FsAttr attr_of(Fixture *f, const char *path);

/* hostfs_walk_known() for a caller that knows nothing of what is above */
static inline int hostfs_walk(const HostFs *hfs, int from,
                              const char *const *names, unsigned n,
                              HostWalk *walk)
{
    return hostfs_walk_known(hfs, from, NULL, names, n, walk);
}

/* How many entries a directory has. */
unsigned count_entries(int dir);

/* Makes a/b/c and a/file ("text") in the export. */
void make_tree(Fixture *f);

/* The inode number of @name in the real directory @dir */
uint64_t ino_of(int dir, const char *name);

/* Mounts a file system; false if that is not allowed. */
bool try_mount(const char *source, int dir, const char *name,
                      const char *type, unsigned long flags);

/* In a child: enters a mount namespace of its own, or skips the test. */
void unshare_mounts(Fixture *f);

#define assert_ok(call)  g_assert_cmpint((call), ==, 0)
#define assert_error(call, err) g_assert_cmpint((call), ==, -(err))

#endif
