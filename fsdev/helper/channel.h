/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The helper's end of the proxy channel: whole messages in and out of the
 * socket or of shared memory (framing: shared/proto.h). The caller must see
 * to it that one thread at a time receives; several may send.
 *
 * A function that returns bool returns true if the channel goes on, unless it
 * says otherwise. False is the end of the channel, which the function has
 * noted and, if it is an error, logged: the caller only stops.
 *
 * Descriptors. The channel takes only those that a message may bring
 * (channel_take_fds()). Any other ends the channel as it arrives: kept, it
 * might be the client's own end of the connection, without which the helper
 * does not learn that the client is gone; and close(2) of it might wait. So the
 * channel closes refused ones only in channel_close().
 */
#ifndef FSDEV_HELPER_CHANNEL_H
#define FSDEV_HELPER_CHANNEL_H

#include "fsdev/shared/proto.h"
#include "fsdev/shared/ring.h"
#include <pthread.h>

typedef enum ChannelEnd {
    CHANNEL_OPEN,
    CHANNEL_CLOSED,             /* by QEMU */
    CHANNEL_BROKEN,             /* by a breach of the protocol, or an error */
} ChannelEnd;

typedef struct Channel {
    int fd;
    pthread_mutex_t send;       /* one message goes out at a time */
    pthread_mutex_t state;      /* guards ended */
    ChannelEnd ended;
    uint8_t *buf;               /* arrived bytes that were not taken yet; the
                                   receiving thread's */
    size_t start;
    size_t end;
    uint64_t mount;             /* ADOPTs may bring inodes on it; or 0 */
    bool first;                 /* a RING may come, with its descriptors */
    int fds[2 * PROXY_ADOPT_MAX];       /* arrived descriptors, likewise */
    unsigned nfds;
    int refused[PROXY_MAX_FDS]; /* those that ended the channel */
    unsigned n_refused;
    int seen[PROXY_MAX_FDS];    /* likewise, before they were received; "send"
                                   guards them */
    unsigned n_seen;
    unsigned share;             /* descriptors that may be unread (unread.h) */
    unsigned unread;            /* those that may be; "send" guards it, and: */
    int unread_memory;          /* at the last look at the reader */
    int64_t idle;               /* since when it has read nothing, us */
    bool peeks;                 /* the kernel can look at the unreceived */
    int64_t deadline;           /* for the next byte, ms (monotonic); or 0 */
    ProxyRings *rings;          /* or NULL; constant while threads run. The
                                   receiving thread owns rings->requests;
                                   "send" guards rings->replies */
    uint32_t sent;              /* replies through the socket, with rings;
                                   "send" guards it */
} Channel;

/* @fd: a connected UNIX stream socket, blocking. */
void channel_init(Channel *c, int fd);

/* Releases all but what may take long. No thread may use it any more. */
void channel_destroy(Channel *c);

/*
 * After that: closes the socket and the refused descriptors, which may wait for
 * as long as the client or its file system likes. While the client has
 * descriptors unread, the socket stays open (unread.h).
 */
void channel_close(Channel *c);

/*
 * Reads QEMU's HELLO, which must be there within @ms, unless that is 0.
 * *@version is 1 if the first message is a request of protocol version 1
 * instead, which stays in the channel for channel_peek().
 */
bool channel_hello(Channel *c, unsigned ms, uint32_t *version,
                   uint32_t *flags);

/*
 * Before HELLO's reply: from here on QEMU may send descriptors, of a RING, and
 * with ADOPTs those of inodes on @mount. 0: no ADOPT may come.
 */
void channel_take_fds(Channel *c, uint64_t mount);

/*
 * Waits for the first request after HELLO's reply. Carries a RING out and
 * answers it; leaves another request for channel_receive(). Call this before
 * any other thread uses the channel.
 */
bool channel_offer_ring(Channel *c);

/* Whether a whole request has arrived, so channel_receive() will not wait. */
bool channel_has_request(Channel *c);

/*
 * Waits for a request, checks its header, and copies its payload to @payload
 * (PROXY_MAX_MESSAGE bytes). *@fd is the descriptor that came with it, an
 * inode's for ADOPT, which the caller owns, or -1 if its type has none. One
 * thread at a time may call this.
 */
bool channel_receive(Channel *c, ProxyHeader *h, uint8_t *payload, int *fd);

/*
 * For another framing: waits for @size bytes (at most PROXY_MAX_MESSAGE), and
 * returns them without taking them. They stay valid until the next call that
 * receives. NULL at the end of the channel.
 */
const uint8_t *channel_peek(Channel *c, size_t size);

/* Takes @size bytes that channel_peek() returned. */
void channel_skip(Channel *c, size_t size);

/*
 * Sends @size bytes, of whole messages, with @nfds (up to PROXY_MAX_FDS)
 * descriptors that belong to them, up to three to a message, and stay the
 * caller's. May block for as long as QEMU does not read.
 */
bool channel_send(Channel *c, const void *buf, size_t size, const int *fds,
                  unsigned nfds);

/*
 * For a breach of the protocol by QEMU, or an error, which the message
 * describes: logs it and ends the channel, for all threads.
 */
void channel_break(Channel *c, const char *fmt, ...) G_GNUC_PRINTF(2, 3);

ChannelEnd channel_ended(Channel *c);

#endif /* FSDEV_HELPER_CHANNEL_H */
