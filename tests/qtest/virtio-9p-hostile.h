/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A helper that lies (virtio-9p-hostile-test.c): the relay that tells the lies,
 * and the lies.
 *
 * The relay is a thread of the test between QEMU and a real helper. Both speak
 * through it, and it changes nothing until the test sets a lie. The next reply
 * of the lie's type then gets changed, or its descriptors, or the relay sends
 * something that QEMU did not ask for.
 */
#ifndef TESTS_VIRTIO_9P_HOSTILE_H
#define TESTS_VIRTIO_9P_HOSTILE_H

#include "fsdev/proxy-proto.h"

/* A reply on its way from the helper, for a lie to change */
typedef struct Reply {
    uint8_t buf[2 * PROXY_MAX_MESSAGE];
    size_t size;
    int fds[PROXY_MAX_FDS];
    unsigned nfds;
    bool hang_up;               /* after that */
} Reply;

typedef struct Lie {
    const char *name;
    ProxyType type;             /* of the reply that it is told in */
    void (*tell)(Reply *r, const struct Lie *lie);
    uint64_t arg;
    int error;                  /* of the 9P message; 0: it goes well */
    bool ends;                  /* the channel */
    bool later;                 /* QEMU learns of it with one more reply */
} Lie;

typedef struct Relay {
    GThread *thread;
    int qemu;                   /* to QEMU */
    int qemu_end;               /* QEMU's own end, until it has it */
    int helper;
    pid_t pid;
    const Lie *lie;             /* to be told next, or NULL; atomic */
    Reply reply;
} Relay;

/* Starts a helper for @dir, and the relay between it and qemu_end. */
void relay_start(Relay *relay, const char *dir);
/* Ends both; the helper must have no failure to report. */
void relay_stop(Relay *relay);

/* The folder that the helper serves, with the files of make_files() */
extern const char *lie_share;

/* The helper gives no reply. */
extern const Lie lie_silence;
/* The walk finds an inode that has not been seen before. */
extern const Lie lie_inode;

/*
 * Tables that end with a lie without a name. The lies of the first two do not
 * end the channel; each of the others does. QEMU asks for the messages of the
 * "asked" ones only with donate=off.
 */
extern const Lie lies_harmless[];
extern const Lie lies_harmless_asked[];
extern const Lie lies_end[];
extern const Lie lies_end_asked[];

#endif
