/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The tests of the local driver stand on this: an export of a real directory,
 * the driver's operations on it, and ways to be short of descriptors.
 *
 * A test calls the driver as the server does, and has the server's part in
 * entries. Nodes whose descriptors are closed are found again by file handle or
 * by name; if the process may open by file handle, those tests run both ways.
 */
#ifndef TESTS_UNIT_LOCAL_FIXTURE_H
#define TESTS_UNIT_LOCAL_FIXTURE_H

#include "hw/9pfs/local/node.h"

/* RLIMIT_NOFILE of the tests that are short of descriptors */
#define FEW_FDS         64

extern const FsDriver *local;
extern char *folder;            /* for the exports */

typedef struct Test {
    char *dir;
    int fd;                     /* of it, for the host's part */
    FsExport fs;
} Test;

void setup(Test *t);
void setup_model(Test *t, FsdevSecurityModel model);
/* The same with an option of migrations */
void setup_migration(Test *t, FsdevSecurityModel model,
                     FsdevMigration migration);
/* Another export of the directory of @first, for finish_again() */
void setup_again(Test *t, const Test *first, FsdevSecurityModel model,
                 FsdevMigration migration);
void finish_again(Test *t);
/* Everything that the test had must be freed: only the root is left. */
void finish(Test *t);
/* From now on the share counts as one on a file system of that kind. */
void set_kind(Test *t, HostDevKind kind);

/* On the host */
void put_file(Test *t, const char *name);
void put_dir(Test *t, const char *name);
uint64_t ino_of(Test *t, const char *name);
int open_fds(void);

/* An operation, in a coroutine */
typedef struct Op Op;
struct Op {
    void coroutine_fn (*run)(Op *op);
    FsCall call;
    FsNode *node;
    FsNode *other;
    const char *names[FS_WALK_MAX];
    unsigned n;
    int flags;
    FsMakeArgs make;
    FsSetAttr set;
    FsWalk walk;
    FsFile *file;
    FsAttr attr;
    uint8_t *value;
    size_t size;
    uint64_t gen;
    int ret;
    bool done;
};

void op_start(Op *op, void coroutine_fn (*run)(Op *op));
int op_wait(Op *op);
int op_run(Op *op, void coroutine_fn (*run)(Op *op));

void coroutine_fn run_walk(Op *op);
void coroutine_fn run_getattr(Op *op);
void coroutine_fn run_setattr(Op *op);
void coroutine_fn run_readlink(Op *op);
void coroutine_fn run_generation(Op *op);
void coroutine_fn run_open(Op *op);
void coroutine_fn run_make(Op *op);
void coroutine_fn run_create(Op *op);
void coroutine_fn run_link(Op *op);
void coroutine_fn run_getxattr(Op *op);
void coroutine_fn run_setxattr(Op *op);
void coroutine_fn run_rename(Op *op);
void coroutine_fn run_unlink(Op *op);

/* A walk of names with "/" between them; its error, with names found in *n */
int try_walk(FsNode *from, const char *path, FsNode **node, unsigned *n);
FsNode *walk_from(FsNode *from, const char *path);
FsNode *walk(Test *t, const char *path);
int getattr(FsNode *node, FsAttr *attr);
int rename_(FsNode *dir, const char *name, FsNode *to, const char *as);
int unlink_(FsNode *dir, const char *name, bool rmdir);
/* The names in @dir, read @room at a time */
GHashTable *list(FsNode *dir, unsigned room);

void assert_ino(FsNode *node, uint64_t ino);
/* Reads at most 15 bytes, as a string. */
void assert_content(FsNode *node, const char *text);

/*
 * Closes every descriptor of a node that can be closed: others are used more
 * recently.
 */
void squeeze(void);
bool is_closed(FsNode *node);

/*
 * Adds a test that has few descriptors, with file handles and without. Such
 * tests come last, as an ordinary user cannot raise the limit again.
 */
void add_both(const char *name, void (*test)(void));

/* main(): @add_tests adds tests to GTest. */
int local_test_main(int *argc, char ***argv, void (*add_tests)(void));

#endif /* TESTS_UNIT_LOCAL_FIXTURE_H */
