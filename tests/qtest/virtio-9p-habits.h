/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A share with a file system of bad habits (test-fuse.h) in it, and what a
 * guest does there: the tests of habits stand on this.
 *
 * The share has a file "other" of its own, and the file system on "fuse".
 */
#ifndef TESTS_VIRTIO_9P_HABITS_H
#define TESTS_VIRTIO_9P_HABITS_H

#include "libqos/virtio-9p-client.h"
#include "virtio-9p-machine.h"
#include "../unit/shared/test-fuse.h"

typedef enum HabitsModel {
    HABITS_HOST,                /* the guest sees the host's owners and modes */
    HABITS_XATTR,               /* they are in extended attributes */
    HABITS_FILE,                /* they are in files */
} HabitsModel;

typedef struct HabitsPlace {
    const char *name;
    const char *fsdev;          /* "%s" is the folder */
    HabitsModel model;
    bool rootless;              /* the helper's user is VIRTFS_TEST_USER */
} HabitsPlace;

typedef struct Habits {
    const HabitsPlace *place;
    P9Machine m;
    char *share;
    char *at;                   /* of the file system, on the host */
    char *rootless;             /* a folder with a rootless helper, or NULL */
    TestFuse *fuse;
    QVirtio9PPCI *dev;
    P9Client *c;
    unsigned descriptors;       /* with nothing in use */
} Habits;

/* Fids of a session */
enum {
    HABITS_FUSE = 10,           /* the file system's root */
    HABITS_FILE_FID,            /* a file ("text") with the xattr user.x */
    HABITS_OPEN,                /* the same, open for both */
    HABITS_SUB,                 /* a directory with a file "inner" */
    HABITS_OPEN_SUB,            /* the same, open */
    HABITS_LINK,                /* a symbolic link to file */
    HABITS_OTHER,               /* the file that is not in the file system */
    HABITS_NEW,                 /* for what an operation makes */
    HABITS_LAST,
};

/* What a guest does: 0 or an errno. It may use HABITS_NEW. */
typedef struct HabitsOp {
    const char *name;
    int (*run)(Habits *h);
    /* The host does it in several steps, and the guest can see some alone. */
    bool steps;
} HabitsOp;

extern const HabitsOp habits_ops[];
extern const unsigned habits_ops_num;

const HabitsOp *habits_op(const char *name);

/* False if this process may not mount it: it says so. */
bool habits_start(Habits *h, const HabitsPlace *place, unsigned habits);
void habits_end(Habits *h);

/* Begins a session, makes the files, and gets the fids. */
void habits_begin(Habits *h);
/* Ends it, and removes all files. No descriptor may be left. */
void habits_finish(Habits *h);

/* Everything that the guest sees in the file system; to be freed */
char *habits_view(Habits *h);
/* Names on the host in the file system; to be freed */
char *habits_names(Habits *h);

#endif
