/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The inside of QEMU's end of the proxy channel: channel.c has requests
 * and their slots, channel-io.c has them sent and takes replies apart,
 * channel-hello.c opens the connection.
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

/* Our own limit to requests in flight; a power of 2, for the tags */
#define PROXY_SLOTS_MAX     1024

/* Descriptors of one sendmsg, and those of a message cut off by its end */
#define PROXY_FDS_MAX       (2 * PROXY_MAX_FDS)

typedef struct ProxyForget {
    uint64_t handle;
    uint32_t count;
} ProxyForget;

/* Replies that came, by one of the ways that there are */
typedef struct ProxyStream {
    uint8_t *buf;               /* of PROXY_IN_SIZE bytes */
    size_t start;               /* not taken apart: start up to end */
    size_t end;
    int fds[PROXY_FDS_MAX];     /* came with messages not taken apart yet */
    unsigned nfds;
} ProxyStream;

struct ProxyChannel {
    AioContext *ctx;
    char *id;
    int fd;                     /* -1 once broken */
    bool broken;
    bool told;                  /* those who wait and @lost */
    char *why;
    QEMUBH *broken_bh;
    ProxyLost *lost;            /* to be told of it, or NULL */
    void *lost_opaque;
    ProxyHello hello;

    uint8_t *out;
    size_t out_size;
    size_t out_start;           /* to be sent: out_start up to out_end */
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
    bool polling;               /* it looks into the ring by itself */
    uint32_t socket_seen;       /* the memory's count, when we last read */

    /* NULL: free. Those without coroutine are abandoned, and our own. */
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

/* The helper is gone, or made nonsense, as the message says. */
void G_GNUC_PRINTF(2, 3) proxy_break(ProxyChannel *ch, const char *fmt, ...);
/* @err: errno, or 0 if it just closed the connection */
void proxy_gone(ProxyChannel *ch, int err);

/* Ends the wait of a request's coroutine. */
void proxy_wake(ProxyRequest *req, int ret);

/* The slot is free. */
void proxy_slot_put(ProxyChannel *ch, uint32_t slot);
/* Some may be free for those who wait. */
void proxy_slots_hand_on(ProxyChannel *ch);

/* Those that are not -1 */
void proxy_close_fds(int *fds, unsigned n);

/*
 * channel-io.c
 */

/* Makes room for @size bytes at the end of the out buffer. */
void proxy_out_reserve(ProxyChannel *ch, size_t size);
/* Puts all FORGETs there. */
void proxy_out_forgets(ProxyChannel *ch);
/* Sends what is there, as far as it goes; @opaque: the channel */
void proxy_flush(void *opaque);
/* The same in a few milliseconds */
void proxy_flush_later(ProxyChannel *ch);

/*
 * Reads what there is into the socket's in buffer and the queue of descriptors.
 * Bytes read, 0 at the end of the stream, -errno; -EPROTO when descriptors were
 * cut off or are too many.
 */
ssize_t proxy_recv(ProxyChannel *ch);
/*
 * Whether a whole message is at the start of the in buffer; its header then
 * is in *@h. -EPROTO if it says something impossible.
 */
int proxy_next_message(ProxyStream *in, ProxyHeader *h);
/* Takes it off the buffer, into @req. -EPROTO if it is malformed. */
int proxy_take_message(ProxyStream *in, const ProxyHeader *h,
                       ProxyRequest *req);

/* Those of the event loop, for the socket, and the bell if there is one */
void proxy_set_handlers(ProxyChannel *ch);
void proxy_clear_handlers(ProxyChannel *ch);
/* Looks into the ring; @opaque: the channel */
void proxy_ring_ready(void *opaque);

#endif /* HW_9PFS_PROXY_CHANNEL_INTERNAL_H */
