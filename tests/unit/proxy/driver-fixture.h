/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Code that the tests of the proxy driver share: an export with a peer that
 * plays the helper (proxy-peer.h), a folder for files, and the driver's
 * operations, each in a coroutine.
 */
#ifndef TESTS_PROXY_DRIVER_FIXTURE_H
#define TESTS_PROXY_DRIVER_FIXTURE_H

#include "hw/9pfs/fs/export.h"
#include "proxy-peer.h"

/* The driver that the registry knows as `proxy` */
extern const FsDriver *proxy;
/* The test's folder on the host */
extern char *folder;

/* One export */
typedef struct DriverTest {
    FsExport fs;
    Notifier on_helper;
    int peer;                   /* the helper's end; -1: none */
    int fds_before;
    unsigned lost;              /* helpers, as events have it */
    unsigned reconnected;
} DriverTest;

/* The first thing that a test program does */
void driver_test_init(int *argc, char ***argv);

/* Makes and removes the folder. */
void driver_folder_make(void);
void driver_folder_remove(void);

char *in_folder(const char *name);
/* Makes a file there, and returns a descriptor opened with @flags. */
int make_file(const char *name, int flags);

/* Begins a test, before there is a helper. */
void driver_test_start(DriverTest *t);
/* A socket pair: the peer's end in t->peer, the other's number in @number */
void driver_test_socket(DriverTest *t, char number[16]);
/* Opens the export, with the options that this fixture always sets. */
void driver_test_open(DriverTest *t, FsdevProxyOptions *o);
/* Closes it. The root must be the last node, and no descriptor left. */
void driver_test_finish(DriverTest *t);

/* Runs QEMU's side until *@number is @want. */
void driver_wait_number(const unsigned *number, unsigned want);

/* An operation, with its arguments and results */
typedef struct DriverOp {
    void coroutine_fn (*run)(struct DriverOp *op);
    FsCall call;
    FsNode *node;
    FsNode *dir;                /* another node: see the operations */
    const char *names[3];
    unsigned n;                 /* of names, for a walk */
    int flags;
    FsSetAttr set;
    FsMakeArgs make;
    const void *value;          /* of an extended attribute */
    size_t size;
    FsWalk walk;
    FsFile *file;
    FsAttr attr;
    int ret;
    unsigned done;
} DriverOp;

void coroutine_fn run_walk(DriverOp *op);
/* In these two, @file may be NULL. */
void coroutine_fn run_getattr(DriverOp *op);
void coroutine_fn run_setattr(DriverOp *op);
void coroutine_fn run_open(DriverOp *op);
/* In @node; the new node is in @dir. */
void coroutine_fn run_create(DriverOp *op);
void coroutine_fn run_make(DriverOp *op);
/* names[0] in @dir becomes a name of @node. */
void coroutine_fn run_link(DriverOp *op);
/* names[0] in @node becomes names[1] in @dir. */
void coroutine_fn run_rename(DriverOp *op);
/* names[0] in @node, which must be @dir if that is not NULL; @flags: rmdir */
void coroutine_fn run_unlink(DriverOp *op);
void coroutine_fn run_setxattr(DriverOp *op);
void coroutine_fn run_getxattr(DriverOp *op);

void op_start(DriverOp *op, void coroutine_fn (*run)(DriverOp *op),
              FsNode *node);
/* Runs QEMU's side until the operation is over: its result. */
int op_wait(DriverOp *op);

/*
 * The helper's part
 */

/*
 * driver_test_start(), and an export whose helper sends the descriptors of
 * nodes (@donate) and has @features.
 */
void driver_test_helper(DriverTest *t, bool donate, uint32_t features);

void driver_fd_attr(int fd, FsAttr *attr);

/* The request that must come next, whatever was forgotten; its tag. */
uint32_t driver_expect(DriverTest *t, ProxyType type);

/*
 * Answers the next request, of @type, with @attr and, if it is a WALK, a node
 * with @handle and, unless it is -1, the descriptor @fd.
 */
void driver_reply_attr(DriverTest *t, ProxyType type, const FsAttr *attr,
                       uint64_t handle, int fd);

/* Walks from the root to a node that the helper describes in this way. */
int driver_walk(DriverTest *t, FsNode **node, const FsAttr *attr,
                uint64_t handle, int fd);

/* Opens the node; the helper sends @fd. */
int driver_open_node(DriverTest *t, FsNode *node, int flags, FsFile **file,
                     int fd);

#endif /* TESTS_PROXY_DRIVER_FIXTURE_H */
