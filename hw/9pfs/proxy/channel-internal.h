/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The inside of QEMU's end of the proxy channel. channel.c has requests, their
 * slots and the channel's life; channel-io.c moves bytes and descriptors;
 * channel-hello.c opens the connection. A codec knows how the messages of one
 * protocol version look: codec.c for version 2, proxy-v1/codec.c for version 1.
 *
 * Call everything from the channel's current AioContext unless noted otherwise.
 */
#ifndef HW_9PFS_PROXY_CHANNEL_INTERNAL_H
#define HW_9PFS_PROXY_CHANNEL_INTERNAL_H

#include "block/aio.h"
#include "fsdev/shared/ring.h"
#include "channel.h"

/* Room in an in buffer: always enough for the rest of a message */
#define PROXY_IN_SIZE       (2 * PROXY_MAX_MESSAGE)

/* Payload beside SETXATTR's value: 16 names, or a name and a target */
#define PROXY_PAYLOAD_MAX   (16 * 1024)

/* QEMU's own limit of requests in flight; a power of 2, for the tags */
#define PROXY_SLOTS_MAX     1024

/* Descriptors of one recvmsg(2), and of a message that it read in part */
#define PROXY_FDS_MAX       (2 * PROXY_MAX_FDS)

/* Descriptors that one reply may bring */
#define PROXY_REPLY_FDS_MAX 2

typedef struct ProxyForget {
    uint64_t handle;
    uint32_t count;
} ProxyForget;

/* Replies that came through the socket, or through the ring */
typedef struct ProxyStream {
    uint8_t *buf;               /* of PROXY_IN_SIZE bytes */
    size_t start;               /* not yet parsed: start up to end */
    size_t end;
    int fds[PROXY_FDS_MAX];     /* of messages not yet parsed */
    unsigned nfds;
    bool fds_lost;              /* some were cut off: tolerates_lost_fds */
    int refused[PROXY_MAX_FDS]; /* those that broke the channel */
    unsigned n_refused;
} ProxyStream;

typedef struct ProxyCodec {
    /*
     * Whether a whole reply is at the start of @in: 1, 0, or -EPROTO if the
     * bytes cannot be a reply. @req is the oldest request without a reply. Any
     * thread.
     */
    int (*whole)(const ProxyStream *in, const ProxyRequest *req);
    /*
     * Moves the next whole reply from @in to its request, and sets req->ret.
     * NULL if there is none, or if it broke the channel.
     */
    ProxyRequest *(*take)(ProxyChannel *ch, ProxyStream *in);
    /* Gives back the descriptors and handles in an abandoned call's reply. */
    void (*discard)(ProxyChannel *ch, ProxyRequest *req);
    /* Puts all FORGETs into the out buffer, if the channel has any. */
    void (*put_forgets)(ProxyChannel *ch);

    /* A request keeps its slot after the reply, until it puts the slot back. */
    bool keeps_slot;
    /* A descriptor that was cut off fails its request, not the channel. */
    bool tolerates_lost_fds;

    /* Errors of the greeting: helper closes, or speaks another protocol */
    const char *closed;
    const char *unknown;
} ProxyCodec;

struct ProxyChannel {
    AioContext *ctx;
    char *id;
    const ProxyCodec *codec;
    int fd;                     /* -1 once broken */
    bool broken;
    bool told;                  /* the helper said why it cannot start */
    bool ended;                 /* all requests failed, @lost was called */
    char *why;
    QEMUBH *broken_bh;
    ProxyLost *lost;            /* or NULL */
    void *lost_opaque;
    ProxyHello hello;

    uint8_t *out;
    size_t out_size;
    size_t out_start;           /* unsent: out_start up to out_end */
    size_t out_end;
    bool out_waits;             /* for the write handler */
    int out_fds[PROXY_ADOPT_MAX];       /* duplicates, for unsent messages */
    unsigned n_out_fds;

    ProxyStream in;             /* from the socket */

    ProxyRings *rings;          /* or NULL */
    ProxyStream ring_in;        /* from the ring of replies */
    QEMUBH *ring_bh;            /* reads the ring without a bell */
    EventNotifier bell;         /* rings->bell for the event loop */
    bool fds_wait;              /* out_fds, for the write handler */
    bool polling;               /* the event loop polls the ring */
    uint32_t socket_seen;       /* mem->socket at the last read */

    /* NULL: free. A request without coroutine is abandoned, on the heap. */
    ProxyRequest **slots;
    uint32_t *free_slots;
    uint32_t n_slots;
    uint32_t n_free;
    uint32_t serial;
    uint32_t *tags;             /* by slot */
    QTAILQ_HEAD(, ProxyRequest) waiting;    /* for a slot */

    GArray *forgets;            /* of ProxyForget */
    QEMUTimer *flush_timer;     /* proxy_flush_later() */
};

/*
 * channel.c
 */

/* Breaks the channel; the message says why. */
void G_GNUC_PRINTF(2, 3) proxy_break(ProxyChannel *ch, const char *fmt, ...);
/* The same for a lost connection; @err: errno, or 0 at its regular end */
void proxy_gone(ProxyChannel *ch, int err);

/*
 * Gets a slot, waiting for one if necessary. -EINTR if the call was cancelled
 * while it waited, -EIO if the helper is gone.
 */
int coroutine_fn proxy_slot_get(ProxyChannel *ch, FsCall *call,
                                ProxyRequest *req);
/* Frees the slot. */
void proxy_slot_put(ProxyChannel *ch, uint32_t slot);
/* Hands free slots, if there are any, to the requests that wait. */
void proxy_slots_hand_on(ProxyChannel *ch);

/*
 * Sends the out buffer, which ends with the request, and waits for the reply:
 * returns the req->ret that the codec set, or -EIO.
 */
int coroutine_fn proxy_exchange(ProxyRequest *req);

/* Wakes the requests whose replies are in @in. */
void proxy_dispatch(ProxyChannel *ch, ProxyStream *in);

/* Closes those that are not -1. Any thread. */
void proxy_close_fds(int *fds, unsigned n);
/*
 * The same for descriptors of files that the helper sent and nobody uses: does
 * not wait for their servers.
 */
void proxy_close_files(const int *fds, unsigned n);
/*
 * The same for what may be anything, in a thread of its own: close(2) may wait
 * for as long as the helper likes.
 */
void proxy_close_strange_fds(const int *fds, unsigned n);

/*
 * channel-io.c
 */

/* Makes room for @size bytes at the end of the out buffer. */
void proxy_out_reserve(ProxyChannel *ch, size_t size);
/* Sets up req->w there, for @header bytes and at most @payload bytes more. */
void proxy_out_begin(ProxyRequest *req, size_t header, size_t payload);
/* Sends as much of the out buffer as fits; @opaque: the channel */
void proxy_flush(void *opaque);
/* Does the same in a few milliseconds. */
void proxy_flush_later(ProxyChannel *ch);

/*
 * Reads from the socket into its in buffer and the queue of descriptors. Does
 * not block; any thread before the channel serves. Returns the bytes read, 0 at
 * the end of the stream, or -errno; -EPROTO if descriptors were cut off, are
 * too many, or are not of files. One could be the helper's own end of the
 * connection, without which QEMU does not learn that the helper is gone.
 */
ssize_t proxy_recv(ProxyChannel *ch);

/* The event loop's handlers for the socket and, with a ring, for the bell */
void proxy_set_handlers(ProxyChannel *ch);
void proxy_clear_handlers(ProxyChannel *ch);
/* Reads the ring, and sends if there is room now; @opaque: the channel */
void proxy_ring_ready(void *opaque);

/*
 * channel-hello.c: before the channel serves, in any thread
 */

/* Sends a message; fails if the socket does not take it at once. */
bool proxy_hello_send(ProxyChannel *ch, const void *buf, size_t size,
                      Error **errp);
/* Waits for a whole reply to @req in the in buffer, some seconds at most. */
bool proxy_hello_wait(ProxyChannel *ch, const ProxyRequest *req, Error **errp);

/*
 * codec.c
 */

extern const ProxyCodec proxy_codec;

/*
 * Moves the whole message at the start of @in to @req, even if it is not the
 * reply to that. -EPROTO if it is malformed. Any thread.
 */
int proxy_take_message(ProxyStream *in, ProxyHeader *h, ProxyRequest *req);

#endif /* HW_9PFS_PROXY_CHANNEL_INTERNAL_H */
