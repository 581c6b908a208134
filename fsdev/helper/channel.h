/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The helper's end of the proxy channel: whole messages in and out of the
 * socket or of shared memory (framing: shared/proto.h). One thread at a time
 * receives, which is the caller's care; several may send.
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
    uint8_t *buf;               /* what came and was not taken yet: theirs
                                   whose turn it is to receive */
    size_t start;
    size_t end;
    bool takes_fds;             /* QEMU may send descriptors */
    int fds[2 * PROXY_ADOPT_MAX];       /* came and were not taken, likewise */
    unsigned nfds;
    ProxyRings *rings;          /* or NULL; does not change while threads run.
                                   Requests: theirs whose turn it is to receive;
                                   replies: under "send" */
    uint32_t sent;              /* through the socket, with rings; likewise */
} Channel;

/* @fd: a connected UNIX stream socket, blocking. */
void channel_init(Channel *c, int fd);

/* Closes it; no thread uses it any more. */
void channel_destroy(Channel *c);

/*
 * Reads QEMU's HELLO. *@version 1 means that there was none, but a request of
 * protocol version 1, which channel_receive_v1() gives. False if the connection
 * ended or was something else, which has been logged.
 */
bool channel_hello(Channel *c, uint32_t *version, uint32_t *flags);

/*
 * Waits for the first request after HELLO's reply. If that is RING it is
 * carried out and answered; others are for channel_receive(). False at the end
 * of the channel. Before any other thread uses it.
 */
bool channel_offer_ring(Channel *c);

/* Whether a whole request is there, so channel_receive() does not wait. */
bool channel_has_request(Channel *c);

/*
 * Waits for a request; its header is checked, its payload is copied to
 * @payload (PROXY_MAX_MESSAGE bytes), and *@fd is the caller's descriptor that
 * came with it, or -1 if none has to. One thread does so at a time. False at
 * the end of the channel.
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
 * descriptors that belong to them and stay the caller's. May block for as long
 * as QEMU does not read. False at the end of the channel.
 */
bool channel_send(Channel *c, const void *buf, size_t size, const int *fds,
                  unsigned nfds);

/*
 * QEMU has broken the protocol, as the message says: it is logged and the
 * connection closed, which ends all threads' receive and send.
 */
void channel_break(Channel *c, const char *fmt, ...) G_GNUC_PRINTF(2, 3);

ChannelEnd channel_ended(Channel *c);

#endif /* FSDEV_HELPER_CHANNEL_H */
