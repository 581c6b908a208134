/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The inside of QEMU's end of the proxy channel. channel.c has requests, their
 * slots and the channel's life; channel-io.c moves bytes and descriptors;
 * channel-hello.c opens the connection. A codec knows how the messages of one
 * protocol version look: codec.c for version 2, proxy-v1/codec.c for version 1.
 */
#ifndef HW_9PFS_PROXY_CHANNEL_INTERNAL_H
#define HW_9PFS_PROXY_CHANNEL_INTERNAL_H

#include "block/aio.h"
#include "fsdev/shared/ring.h"
#include "channel.h"

/* Room in an in buffer: always enough for what is left of a message */
#define PROXY_IN_SIZE       (2 * PROXY_MAX_MESSAGE)

/* Payload beside SETXATTR's value: 16 names, or a name and a target */
#define PROXY_PAYLOAD_MAX   (16 * 1024)

/* QEMU's own limit to requests in flight; a power of 2, for the tags */
#define PROXY_SLOTS_MAX     1024

/* Descriptors of one sendmsg, and those of a message cut off by its end */
#define PROXY_FDS_MAX       (2 * PROXY_MAX_FDS)

/* Descriptors that one reply may bring */
#define PROXY_REPLY_FDS_MAX 2

typedef struct ProxyForget {
    uint64_t handle;
    uint32_t count;
} ProxyForget;

/* Replies that came from the socket, or from the ring */
typedef struct ProxyStream {
    uint8_t *buf;               /* of PROXY_IN_SIZE bytes */
    size_t start;               /* not taken apart: start up to end */
    size_t end;
    int fds[PROXY_FDS_MAX];     /* came with messages not taken apart yet */
    unsigned nfds;
    bool fds_lost;              /* some were cut off, which the codec spares */
} ProxyStream;

typedef struct ProxyCodec {
    /*
     * Whether a whole reply is at the start of @in: 1, 0, or -EPROTO if it can
     * be none. @req is the oldest request that has no reply.
     */
    int (*whole)(const ProxyStream *in, const ProxyRequest *req);
    /*
     * Takes the next whole reply off @in, into its request, with req->ret. NULL
     * if there is none, or the channel broke.
     */
    ProxyRequest *(*take)(ProxyChannel *ch, ProxyStream *in);
    /* Gives back what the reply to an abandoned request brought. */
    void (*discard)(ProxyChannel *ch, ProxyRequest *req);
    /* Puts all FORGETs into the out buffer, if the channel has any. */
    void (*put_forgets)(ProxyChannel *ch);

    /* A slot serves several requests, until its owner puts it back. */
    bool keeps_slot;
    /* A descriptor that was cut off fails its request, not the channel. */
    bool spares_fds;

    /* Errors of the greeting: the helper closes, or speaks another language */
    const char *closed;
    const char *unknown;
} ProxyCodec;

struct ProxyChannel {
    AioContext *ctx;
    char *id;
    const ProxyCodec *codec;
    int fd;                     /* -1 once broken */
    bool broken;
    bool ended;                 /* waiting requests failed, @lost was called */
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
    int out_fds[PROXY_ADOPT_MAX];       /* ours, for messages among these */
    unsigned n_out_fds;

    ProxyStream in;             /* from the socket */

    ProxyRings *rings;          /* or NULL */
    ProxyStream ring_in;        /* from the ring of replies */
    QEMUBH *ring_bh;            /* to look into it without a bell */
    EventNotifier bell;         /* rings->bell, for the event loop */
    bool fds_wait;              /* for the socket's write handler */
    bool polling;               /* the event loop looks into the ring itself */
    uint32_t socket_seen;       /* the memory's count at the last read */

    /* NULL: free. Those without coroutine are abandoned, and on the heap. */
    ProxyRequest **slots;
    uint32_t *free_slots;
    uint32_t n_slots;
    uint32_t n_free;
    uint32_t serial;
    uint32_t *tags;             /* by slot */
    QTAILQ_HEAD(, ProxyRequest) waiting;    /* for a slot */

    GArray *forgets;            /* of ProxyForget */
    QEMUTimer *forget_timer;
};

/*
 * channel.c
 */

/* The helper is gone, or broke the protocol, as the message says. */
void G_GNUC_PRINTF(2, 3) proxy_break(ProxyChannel *ch, const char *fmt, ...);
/* @err: errno, or 0 if the helper just closed the connection */
void proxy_gone(ProxyChannel *ch, int err);

/*
 * Gets a slot, waiting for one if necessary. -EINTR if the call was cancelled
 * while it waited, -EIO if the helper is gone.
 */
int coroutine_fn proxy_slot_get(ProxyChannel *ch, FsCall *call,
                                ProxyRequest *req);
/* The slot is free. */
void proxy_slot_put(ProxyChannel *ch, uint32_t slot);
/* Some may be free for requests that wait. */
void proxy_slots_hand_on(ProxyChannel *ch);

/*
 * Sends the out buffer, which ends with the request, and waits for its reply:
 * what the codec found it to be, or -EIO.
 */
int coroutine_fn proxy_exchange(ProxyRequest *req);

/* Wakes the requests whose replies are in @in. */
void proxy_dispatch(ProxyChannel *ch, ProxyStream *in);

/* Closes those that are not -1. */
void proxy_close_fds(int *fds, unsigned n);

/*
 * channel-io.c
 */

/* Makes room for @size bytes at the end of the out buffer. */
void proxy_out_reserve(ProxyChannel *ch, size_t size);
/* Sets up req->w there, with @header bytes in front of @payload at most. */
void proxy_out_begin(ProxyRequest *req, size_t header, size_t payload);
/* Sends the out buffer, as far as it goes; @opaque: the channel */
void proxy_flush(void *opaque);
/* The same in a few milliseconds */
void proxy_flush_later(ProxyChannel *ch);

/*
 * Reads what there is into the socket's in buffer and the queue of descriptors.
 * Bytes read, 0 at the end of the stream, -errno; -EPROTO when descriptors were
 * cut off or are too many.
 */
ssize_t proxy_recv(ProxyChannel *ch);

/* The event loop's handlers, for the socket, and the bell if there is one */
void proxy_set_handlers(ProxyChannel *ch);
void proxy_clear_handlers(ProxyChannel *ch);
/* Looks into the ring; @opaque: the channel */
void proxy_ring_ready(void *opaque);

/*
 * channel-hello.c
 */

/* Sends a first message. It and its reply may block for some seconds. */
bool proxy_hello_send(ProxyChannel *ch, const void *buf, size_t size,
                      Error **errp);
/* Waits until a whole reply to @req is in the in buffer. */
bool proxy_hello_wait(ProxyChannel *ch, const ProxyRequest *req, Error **errp);

/*
 * codec.c
 */

extern const ProxyCodec proxy_codec;

/*
 * Takes the whole message at the start of @in into @req, whatever it was asked
 * for. -EPROTO if it is malformed.
 */
int proxy_take_message(ProxyStream *in, ProxyHeader *h, ProxyRequest *req);

#endif /* HW_9PFS_PROXY_CHANNEL_INTERNAL_H */
