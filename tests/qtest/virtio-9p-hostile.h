/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A helper that lies (virtio-9p-hostile-test.c): the relay that tells the lies,
 * and the lies.
 *
 * The relay is a thread of the test between QEMU and a real helper. All
 * messages pass through it, and it changes nothing until the test sets a lie.
 * Then it changes the next reply of the lie's type or the descriptors of that
 * reply, or sends a message without a request.
 */
#ifndef TESTS_VIRTIO_9P_HOSTILE_H
#define TESTS_VIRTIO_9P_HOSTILE_H

#include "fsdev/shared/proto.h"

/* A reply on its way from the helper, for a lie to change */
typedef struct Reply {
    uint8_t buf[2 * PROXY_MAX_MESSAGE];
    size_t size;
    int fds[PROXY_MAX_FDS];
    unsigned nfds;
    bool hang_up;               /* close the channel after this */
} Reply;

typedef struct Lie {
    const char *name;
    ProxyType type;             /* of the reply that the lie changes */
    void (*tell)(Reply *r, const struct Lie *lie);
    uint64_t arg;
    int error;                  /* of the 9P message, or 0 */
    bool ends;                  /* it ends the channel */
    bool later;                 /* QEMU sees it with the next reply */
} Lie;

typedef struct Relay {
    GThread *thread;
    int qemu;                   /* to QEMU */
    int qemu_end;               /* QEMU's end, for QEMU to inherit */
    int helper;
    pid_t pid;
    const Lie *lie;             /* the next one, or NULL; atomic */
    Reply reply;
} Relay;

/* Starts a helper for @dir, and the relay between it and qemu_end. */
void relay_start(Relay *relay, const char *dir);
/* Ends both; the helper must end with success. */
void relay_stop(Relay *relay);

/* The folder that the helper serves, with the files of make_files() */
extern const char *lie_share;

/* The helper gives no reply. */
extern const Lie lie_silence;
/* The walk finds an inode with new numbers. */
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
