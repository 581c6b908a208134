/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What the files of test-fuse.h have in common. Test and server share the
 * memory of TestFuse: the file system, and what the test chooses.
 */
#ifndef TESTS_UNIT_TEST_FUSE_INTERNAL_H
#define TESTS_UNIT_TEST_FUSE_INTERNAL_H

#include "test-fuse.h"

#define NODES           16384
#define NAMES           512
#define XATTRS          4096
#define XATTR_MAX       64
#define OPCODES         64

typedef struct Node {
    struct fuse_attr attr;      /* mode 0: never used */
    bool lost;                  /* its last name has gone */
    char data[TEST_FUSE_DATA];
} Node;

typedef struct Xattr {
    uint64_t node;              /* 0: none */
    char name[NAME_MAX + 1];
    char value[XATTR_MAX];
    size_t size;
} Xattr;

typedef struct Name {
    uint64_t dir, node;         /* 0: none */
    char text[NAME_MAX + 1];
} Name;

/* Inodes and names are two tables. A node's place is never used again. */
struct TestFuse {
    char path[PATH_MAX];
    pid_t server;
    unsigned habits;
    /* The numbers of nodes for the kernel: see test_fuse_number() */
    uint64_t shift;
    bool mirror;
    /* What the test chooses */
    int error[OPCODES];
    unsigned nth;
    int nth_error;
    unsigned delay_ms;
    /* What it asks for */
    unsigned count[OPCODES];
    unsigned open_files;
    /* The file system */
    uint64_t nodes;             /* the last place in use */
    Node node[NODES];
    Name name[NAMES];
    Xattr xattr[XATTRS];
};

/* The name @text in @dir, or NULL */
Name *test_fuse_find(TestFuse *f, uint64_t dir, const char *text);
bool test_fuse_is_empty(TestFuse *f, uint64_t dir);
/* Gives a node another name: 0 or an errno */
int test_fuse_add(TestFuse *f, uint64_t dir, const char *text, uint64_t node);
void test_fuse_drop(TestFuse *f, Name *name);

/* The number that the kernel knows the node by, which is in that place */
uint64_t test_fuse_number(TestFuse *f, uint64_t node);
/* The reverse: 0 if there is no such node */
uint64_t test_fuse_place(TestFuse *f, uint64_t number);
struct fuse_attr test_fuse_attr(TestFuse *f, uint64_t node);

/* The server: answers requests from @fuse until there is no mount. */
G_NORETURN void test_fuse_serve(TestFuse *f, int fuse, pid_t test);

#endif
