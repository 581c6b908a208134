/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * QEMU's end of the proxy channel: see fsdev/proxy-proto.h for the protocol.
 *
 * Theory of operation. Requests are marshalled straight into one out buffer
 * and leave together in one send when the section of deferred calls ends that
 * they were made in (util/defer-call.c: a virtqueue kick, a batch of replies,
 * a batch of thread pool completions), or at once outside of any. What the
 * socket does not take waits for its write handler.
 *
 * One recvmsg reads as many replies as have come. Each is taken apart where it
 * lies: its coroutine is entered right from the read handler and unmarshals
 * from the in buffer before it yields again, so nothing is copied or allocated.
 * Descriptors queue in the order they came; messages take theirs in order.
 * Those that go out are duplicates, for nobody waits until they have gone.
 *
 * A request in flight has a slot, and its tag is the slot's number and, above
 * that, a serial number, so that a reply to an earlier user of the slot is not
 * taken for this one's. There are as many slots as the helper allows; callers
 * beyond that queue and get a freed slot handed on in order; so do they while
 * the helper is too slow to take what is sent. Only in this queue can a call
 * be cancelled: once a request is in the out buffer it is on its
 * way, and what it does to files must be known. Only a device that is reset
 * does not care; then a call that the helper leaves without an answer is
 * abandoned. Its slot stays taken until the answer comes after all, and what
 * that brings is given back.
 *
 * With a ring (fsdev/proxy-ring.h) the same bytes go through shared memory
 * instead of the socket, but for replies with descriptors, and others that the
 * helper has no room for; so there are two streams that replies come from. Our
 * bell is a pipe. What it rings for is looked up in the ring, not in the pipe,
 * and a helper that rings without end keeps the event loop from sleeping, but
 * from nothing else. Nor can it make us wait: both ends of pipes that we use do
 * not block, which is ours to decide alone, as nobody else has them. An event
 * loop that polls (IOThreads do) looks at the ring, and the helper rings no
 * bell meanwhile.
 *
 * FORGETs leave before the next request, or a few milliseconds later when none
 * come: the helper's handles keep deleted files on the disk.
 *
 * The helper is not trusted. A message that is not what it has to be closes
 * the channel: one error message, -EIO for every request under way (from a
 * bottom half, because this may happen inside any of their coroutines) and at
 * once for every later one. A helper that goes away has the same effect.
 */
#include "qemu/osdep.h"
#include <poll.h>
#include <sys/socket.h>
#include "block/aio.h"
#include "qapi/error.h"
#include "qemu/atomic.h"
#include "qemu/defer-call.h"
#include "qemu/error-report.h"
#include "fsdev/proxy-ring.h"
#include "proxy-channel.h"
#include "trace.h"

/* Room in the in buffer: always enough for what is left of a message */
#define IN_SIZE             (2 * PROXY_MAX_MESSAGE)
#define OUT_SIZE            (64 * 1024)

/*
 * Bytes that wait to be sent, beyond which no request is begun. A helper that
 * does not read could answer nonetheless: tags can be guessed.
 */
#define OUT_MAX             (1024 * 1024)

/* Payload beside SETXATTR's value: 16 names, or a name and a target */
#define PAYLOAD_MAX         (16 * 1024)

/* Our own limit to requests in flight; a power of 2, for the tags */
#define SLOTS_MAX           1024

/* Descriptors of one sendmsg, and those of a message cut off by its end */
#define FDS_MAX             (2 * PROXY_MAX_FDS)

/* A started helper sets up its sandbox before it answers */
#define HELLO_TIMEOUT_MS    15000

#define FORGET_DELAY_MS     5

/* How often the ring is read in a row, before others get their turn */
#define RING_ROUNDS         16

/*
 * Errors from here on are the kernel's own, and mean other things to a guest's
 * kernel than that a file was not found (include/linux/errno.h of Linux).
 */
#define KERNEL_ERRNO        512
#define MAX_ERRNO           4095

typedef struct ProxyForget {
    uint64_t handle;
    uint32_t count;
} ProxyForget;

/* Replies that came, by one of the ways that there are */
typedef struct ProxyStream {
    uint8_t *buf;               /* of IN_SIZE bytes */
    size_t start;               /* not taken apart: start up to end */
    size_t end;
    int fds[FDS_MAX];           /* came with messages not taken apart yet */
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

static void proxy_set_socket_handler(ProxyChannel *ch);
static void proxy_clear_handlers(ProxyChannel *ch);

/*
 * Failure
 */

/* Those that are not -1 */
static void close_fds(int *fds, unsigned n)
{
    unsigned i;

    for (i = 0; i < n; i++) {
        if (fds[i] >= 0) {
            close(fds[i]);
        }
    }
}

static void proxy_disconnect(ProxyChannel *ch)
{
    if (ch->fd >= 0) {
        proxy_clear_handlers(ch);
        close(ch->fd);
        ch->fd = -1;
        g_clear_pointer(&ch->rings, proxy_rings_free);
    }
    close_fds(ch->in.fds, ch->in.nfds);
    ch->in.nfds = 0;
    close_fds(ch->out_fds, ch->n_out_fds);
    ch->n_out_fds = 0;
}

static void G_GNUC_PRINTF(2, 3)
proxy_break(ProxyChannel *ch, const char *fmt, ...)
{
    g_autofree char *why = NULL;
    va_list ap;

    if (ch->broken) {
        return;
    }
    va_start(ap, fmt);
    why = g_strdup_vprintf(fmt, ap);
    va_end(ap);
    error_report("fsdev '%s': %s", ch->id, why);
    trace_proxy_lost(ch->id, why);

    ch->broken = true;
    ch->why = g_steal_pointer(&why);
    proxy_disconnect(ch);
    qemu_bh_schedule(ch->broken_bh);
}

static void proxy_gone(ProxyChannel *ch, int err)
{
    if (err) {
        proxy_break(ch, "the helper went away: %s", strerror(err));
    } else {
        proxy_break(ch, "the helper went away");
    }
}

static void proxy_wake(ProxyRequest *req, int ret)
{
    req->call->on_abandon = NULL;
    req->ret = ret;
    req->done = true;
    aio_co_wake(req->co);
}

/* Ends the wait of the first request in the queue for a slot. */
static ProxyRequest *waiting_pop(ProxyChannel *ch)
{
    ProxyRequest *req = QTAILQ_FIRST(&ch->waiting);

    if (req) {
        QTAILQ_REMOVE(&ch->waiting, req, next);
        req->call->on_cancel = NULL;
    }
    return req;
}

static void proxy_broken_bh(void *opaque)
{
    ProxyChannel *ch = opaque;
    ProxyRequest *req;
    uint32_t i;

    ch->told = true;
    for (i = 0; i < ch->n_slots; i++) {
        req = ch->slots[i];
        ch->slots[i] = NULL;
        if (req && req->co) {
            proxy_wake(req, -EIO);
        } else {
            g_free(req);
        }
    }
    while ((req = waiting_pop(ch))) {
        proxy_wake(req, -EIO);
    }
    if (ch->lost) {
        ch->lost(ch->lost_opaque, ch->why);
    }
}

void proxy_channel_on_lost(ProxyChannel *ch, ProxyLost *lost, void *opaque)
{
    ch->lost = lost;
    ch->lost_opaque = opaque;
}

bool proxy_channel_broken(const ProxyChannel *ch)
{
    return ch->broken;
}

/*
 * Slots
 */

/* Whether another request may be begun */
static bool slot_free(const ProxyChannel *ch)
{
    return ch->n_free > 0 && ch->out_end - ch->out_start <= OUT_MAX;
}

static void slot_take(ProxyChannel *ch, ProxyRequest *req)
{
    req->slot = ch->free_slots[--ch->n_free];
    ch->slots[req->slot] = req;
}

/* Some may be free for those who wait. */
static void slots_hand_on(ProxyChannel *ch)
{
    ProxyRequest *req;

    while (slot_free(ch) && (req = waiting_pop(ch))) {
        slot_take(ch, req);
        proxy_wake(req, 0);
    }
}

/*
 * Sending
 */

static void out_reserve(ProxyChannel *ch, size_t size)
{
    if (ch->out_start == ch->out_end) {
        ch->out_start = ch->out_end = 0;
    }
    if (ch->out_size - ch->out_end >= size) {
        return;
    }
    memmove(ch->out, ch->out + ch->out_start, ch->out_end - ch->out_start);
    ch->out_end -= ch->out_start;
    ch->out_start = 0;
    if (ch->out_size - ch->out_end < size) {
        ch->out_size = MAX(2 * ch->out_size, ch->out_end + size);
        ch->out = g_realloc(ch->out, ch->out_size);
    }
}

static void out_forgets(ProxyChannel *ch)
{
    size_t size = PROXY_HEADER_SIZE + 2 + PROXY_FORGET_MAX * 12;
    guint pos = 0;

    while (pos < ch->forgets->len) {
        guint n = MIN(ch->forgets->len - pos, PROXY_FORGET_MAX);
        ProxyHeader header = { .type = PROXY_FORGET };
        MarshalWriter w;

        out_reserve(ch, size);
        marshal_writer_init(&w, ch->out + ch->out_end, size);
        marshal_reserve(&w, PROXY_HEADER_SIZE);
        marshal_put_u16(&w, n);
        for (; n > 0; n--, pos++) {
            ProxyForget *f = &g_array_index(ch->forgets, ProxyForget, pos);

            marshal_put_u64(&w, f->handle);
            marshal_put_u32(&w, f->count);
        }
        header.size = marshal_size(&w);
        proxy_header_put(&header, ch->out + ch->out_end);
        ch->out_end += header.size;
        trace_proxy_forget(ch->id, (header.size - PROXY_HEADER_SIZE) / 12,
                           header.size);
    }
    g_array_set_size(ch->forgets, 0);
    timer_del(ch->forget_timer);
}

/* One sendmsg(2); the descriptors go with the first byte. */
static ssize_t send_some(ProxyChannel *ch, const void *buf, size_t bytes)
{
    union {
        char buf[CMSG_SPACE(PROXY_ADOPT_MAX * sizeof(int))];
        struct cmsghdr align;
    } control;
    struct iovec iov = { (void *)buf, bytes };
    struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };
    size_t size = ch->n_out_fds * sizeof(int);
    struct cmsghdr *cmsg;
    ssize_t n;

    if (size) {
        msg.msg_control = control.buf;
        msg.msg_controllen = CMSG_SPACE(size);
        cmsg = CMSG_FIRSTHDR(&msg);
        cmsg->cmsg_level = SOL_SOCKET;
        cmsg->cmsg_type = SCM_RIGHTS;
        cmsg->cmsg_len = CMSG_LEN(size);
        memcpy(CMSG_DATA(cmsg), ch->out_fds, size);
    }
    n = sendmsg(ch->fd, &msg, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (n > 0) {
        close_fds(ch->out_fds, ch->n_out_fds);
        ch->n_out_fds = 0;
    }
    return n;
}

/* unix(7): other processes of this user, too, have descriptors sent. */
static void try_later(ProxyChannel *ch)
{
    timer_mod(ch->forget_timer,
              qemu_clock_get_ms(QEMU_CLOCK_REALTIME) + FORGET_DELAY_MS);
}

static void break_ring(ProxyChannel *ch)
{
    proxy_break(ch, "the helper put impossible counts into shared memory");
}

/*
 * With a ring: sends the descriptors of what is in the out buffer, with a byte
 * that says nothing. False if that cannot go out before.
 */
static bool ring_send_fds(ProxyChannel *ch)
{
    ssize_t n;

    do {
        n = ch->n_out_fds ? send_some(ch, "", 1) : 0;
    } while (n < 0 && errno == EINTR);
    if (n < 0 && errno == ETOOMANYREFS) {
        try_later(ch);
        return false;
    } else if (n < 0 && errno != EAGAIN) {
        proxy_gone(ch, errno == EPIPE || errno == ECONNRESET ? 0 : errno);
        return false;
    }
    if ((n < 0) != ch->fds_wait) {
        ch->fds_wait = n < 0;
        proxy_set_socket_handler(ch);
    }
    ch->out_waits = n < 0;
    return n >= 0;
}

static void ring_send(ProxyChannel *ch)
{
    ProxyRing *requests = &ch->rings->requests;
    size_t before = ch->out_start;
    ssize_t n;
    int ret;

    if (!ring_send_fds(ch)) {
        return;
    }
    while (ch->out_start < ch->out_end && !ch->out_waits) {
        n = proxy_ring_write(requests, ch->out + ch->out_start,
                             ch->out_end - ch->out_start);
        ret = n ? n : proxy_ring_wait_room(requests);
        if (ret < 0) {
            break_ring(ch);
            return;
        }
        ch->out_start += n;
        ch->out_waits = ret == 0;
    }
    if (ch->out_start == before) {
        return;
    }
    trace_proxy_sent(ch->id, ch->out_start - before);
    if (proxy_ring_wakes_consumer(requests)) {
        ret = proxy_rings_ring(ch->rings);
        if (ret < 0) {
            proxy_gone(ch, ret == -EPIPE ? 0 : -ret);
            return;
        }
    }
    slots_hand_on(ch);
}

static void proxy_send(ProxyChannel *ch)
{
    bool waits = false;
    ssize_t n;

    if (ch->rings) {
        ring_send(ch);
        return;
    }
    while (ch->out_start < ch->out_end) {
        n = send_some(ch, ch->out + ch->out_start,
                      ch->out_end - ch->out_start);
        if (n >= 0) {
            trace_proxy_sent(ch->id, n);
            ch->out_start += n;
        } else if (errno == EAGAIN) {
            waits = true;
            break;
        } else if (errno == ETOOMANYREFS) {
            try_later(ch);
            break;
        } else if (errno != EINTR) {
            /* EPIPE says no more than that it is gone */
            proxy_gone(ch, errno == EPIPE || errno == ECONNRESET ? 0 : errno);
            return;
        }
    }
    if (waits != ch->out_waits) {
        ch->out_waits = waits;
        proxy_set_socket_handler(ch);
    }
    slots_hand_on(ch);
}

static void proxy_flush(void *opaque)
{
    ProxyChannel *ch = opaque;

    if (ch->broken) {
        return;
    }
    if (ch->forgets->len) {
        out_forgets(ch);
    }
    if (!ch->out_waits) {
        proxy_send(ch);
    }
}

static void proxy_writable(void *opaque)
{
    ProxyChannel *ch = opaque;

    if (!ch->broken) {
        proxy_send(ch);
    }
}

bool proxy_adopt(ProxyChannel *ch, uint64_t handle, int fd)
{
    size_t size = PROXY_HEADER_SIZE + 8;
    ProxyHeader header = { .size = size, .type = PROXY_ADOPT, .nfds = 1 };
    MarshalWriter w;
    int copy;

    if (ch->n_out_fds == PROXY_ADOPT_MAX) {
        proxy_flush(ch);
    }
    /* What the helper has before their messages is not to become more. */
    if (ch->n_out_fds == PROXY_ADOPT_MAX || ch->out_waits || ch->broken) {
        return false;
    }
    copy = fcntl(fd, F_DUPFD_CLOEXEC, 0);
    if (copy < 0) {
        return false;
    }
    if (ch->forgets->len) {
        out_forgets(ch);
    }
    out_reserve(ch, size);
    proxy_header_put(&header, ch->out + ch->out_end);
    marshal_writer_init(&w, ch->out + ch->out_end, size);
    marshal_reserve(&w, PROXY_HEADER_SIZE);
    marshal_put_u64(&w, handle);
    ch->out_end += size;
    ch->out_fds[ch->n_out_fds++] = copy;
    trace_proxy_adopt(ch->id, handle);
    defer_call(proxy_flush, ch);
    return true;
}

void proxy_forget(ProxyChannel *ch, uint64_t handle, uint32_t count)
{
    ProxyForget f = { .handle = handle, .count = count };

    if (ch->broken) {
        return;
    }
    if (ch->forgets->len == 0) {
        timer_mod(ch->forget_timer,
                  qemu_clock_get_ms(QEMU_CLOCK_REALTIME) + FORGET_DELAY_MS);
    }
    g_array_append_val(ch->forgets, f);
}

/*
 * Receiving
 */

#define REPLY_FDS_MAX       2

/* Descriptors that a reply may bring: to the nodes and the file in it */
static unsigned reply_max_fds(unsigned type)
{
    switch (type) {
    case PROXY_HELLO:
    case PROXY_OPEN:
        return 1;
    case PROXY_WALK:
    case PROXY_CREATE:
        return REPLY_FDS_MAX;
    default:
        return 0;
    }
}

/* Makes room for what is left of a message, at least. Returns how much. */
static size_t stream_room(ProxyStream *in)
{
    if (in->end > PROXY_MAX_MESSAGE) {
        memmove(in->buf, in->buf + in->start, in->end - in->start);
        in->end -= in->start;
        in->start = 0;
    }
    return IN_SIZE - in->end;
}

/*
 * Reads what there is into the in buffer and the queue of descriptors. Bytes
 * read, 0 at the end of the stream, -errno; -EPROTO when descriptors were cut
 * off or are too many.
 */
static ssize_t proxy_recv(ProxyChannel *ch)
{
    union {
        char buf[CMSG_SPACE(PROXY_MAX_FDS * sizeof(int))];
        struct cmsghdr align;
    } control;
    struct iovec iov;
    struct msghdr msg = {
        .msg_iov = &iov,
        .msg_iovlen = 1,
        .msg_control = control.buf,
        .msg_controllen = sizeof(control.buf),
    };
    ProxyStream *in = &ch->in;
    struct cmsghdr *cmsg;
    bool excess = false;
    ssize_t n;

    iov.iov_len = stream_room(in);
    iov.iov_base = in->buf + in->end;
    do {
        n = recvmsg(ch->fd, &msg, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    } while (n < 0 && errno == EINTR);
    if (n < 0) {
        return -errno;
    }
    in->end += n;

    for (cmsg = CMSG_FIRSTHDR(&msg); cmsg; cmsg = CMSG_NXTHDR(&msg, cmsg)) {
        unsigned i, count;

        if (cmsg->cmsg_level != SOL_SOCKET || cmsg->cmsg_type != SCM_RIGHTS) {
            continue;
        }
        count = (cmsg->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        for (i = 0; i < count; i++) {
            int fd;

            memcpy(&fd, CMSG_DATA(cmsg) + i * sizeof(int), sizeof(int));
            if (in->nfds < FDS_MAX) {
                in->fds[in->nfds++] = fd;
            } else {
                close(fd);
                excess = true;
            }
        }
    }
    return excess || (msg.msg_flags & MSG_CTRUNC) ? -EPROTO : n;
}

/*
 * Whether a whole message is at the start of the in buffer; its header then
 * is in *@h. -EPROTO if it says something impossible.
 */
static int proxy_next_message(ProxyStream *in, ProxyHeader *h)
{
    size_t have = in->end - in->start;

    if (have < PROXY_HEADER_SIZE) {
        return 0;
    }
    proxy_header_get(h, in->buf + in->start);
    if (h->size < PROXY_HEADER_SIZE + 4 || h->size > PROXY_MAX_MESSAGE ||
        !(h->type & PROXY_REPLY) ||
        h->nfds > reply_max_fds(h->type & ~PROXY_REPLY)) {
        return -EPROTO;
    }
    if (have < h->size) {
        return 0;
    }
    return h->nfds <= in->nfds ? 1 : -EPROTO;
}

/* Takes the message off the buffer, into @req. -EPROTO if it is malformed. */
static int proxy_take_message(ProxyStream *in, const ProxyHeader *h,
                              ProxyRequest *req)
{
    uint32_t err;

    marshal_reader_init(&req->r, in->buf + in->start + PROXY_HEADER_SIZE,
                        h->size - PROXY_HEADER_SIZE);
    err = marshal_get_u32(&req->r);
    if (err >= KERNEL_ERRNO && err <= MAX_ERRNO) {
        err = EIO;
    }
    if (err && (err > MAX_ERRNO || h->nfds || !marshal_done(&req->r))) {
        return -EPROTO;
    }
    req->ret = -(int)err;
    req->nfds = h->nfds;
    req->fds_taken = 0;
    memcpy(req->fds, in->fds, h->nfds * sizeof(in->fds[0]));
    in->nfds -= h->nfds;
    memmove(in->fds, in->fds + h->nfds, in->nfds * sizeof(in->fds[0]));

    in->start += h->size;
    if (in->start == in->end) {
        in->start = in->end = 0;
    }
    return 0;
}

static void slot_put(ProxyChannel *ch, uint32_t slot)
{
    ch->slots[slot] = NULL;
    ch->free_slots[ch->n_free++] = slot;
    slots_hand_on(ch);
}

/* The answer to a request that was abandoned: nobody wants what it brings. */
static void proxy_discard(ProxyChannel *ch, ProxyRequest *req)
{
    MarshalReader *r = &req->r;
    unsigned attrs = 0;
    FsAttr attr;

    close_fds(req->fds, req->nfds);
    if (req->type == PROXY_WALK) {
        attrs = MIN(marshal_get_u16(r), FS_WALK_MAX);
    } else if (req->type == PROXY_CREATE) {
        attrs = 1;
    }
    if (attrs) {
        while (attrs--) {
            proxy_get_attr(r, &attr);
        }
        while (marshal_left(r)) {
            uint64_t handle = marshal_get_u64(r);

            marshal_get_u8(r);
            if (marshal_ok(r) && handle && handle != PROXY_ROOT_HANDLE) {
                proxy_forget(ch, handle, 1);
            }
        }
    }
    g_free(req);
}

static void proxy_dispatch(ProxyChannel *ch, ProxyStream *in)
{
    ProxyHeader h;
    int ret;

    while (!ch->broken && (ret = proxy_next_message(in, &h)) != 0) {
        uint32_t slot = h.tag & (SLOTS_MAX - 1);
        unsigned type = h.type & ~PROXY_REPLY;
        ProxyRequest *req;

        if (ret < 0) {
            proxy_break(ch, "the helper sent a malformed message "
                        "(type %s, %" PRIu32 " bytes, %u descriptors)",
                        proxy_type_name(type), h.size, h.nfds);
            return;
        }
        req = slot < ch->n_slots ? ch->slots[slot] : NULL;
        if (!req || h.tag != ch->tags[slot] || req->type != type) {
            proxy_break(ch, "the helper answered a request that was not "
                        "made (type %s, tag %" PRIu32 ")",
                        proxy_type_name(type), h.tag);
            return;
        }
        if (proxy_take_message(in, &h, req) < 0) {
            proxy_break(ch, "the helper sent a malformed error reply "
                        "(type %s)", proxy_type_name(type));
            return;
        }
        if (trace_event_get_state_backends(TRACE_PROXY_REPLY)) {
            trace_proxy_reply(ch->id, h.tag, proxy_type_name(type), req->ret,
                              req->ret < 0 ? g_strerror(-req->ret) : "ok",
                              h.size, h.nfds);
        }
        ch->slots[slot] = NULL;
        ch->tags[slot] = 0;
        if (req->co) {
            proxy_wake(req, req->ret);
        } else {
            proxy_discard(ch, req);
        }
        slot_put(ch, slot);
    }
}

/*
 * Takes all replies that are in the ring, and lets the helper ring the bell for
 * the next.
 */
static void ring_receive(ProxyChannel *ch)
{
    ProxyStream *in = &ch->ring_in;
    unsigned rounds;
    ssize_t n;

    for (rounds = 0; rounds < RING_ROUNDS; rounds++) {
        n = stream_room(in);
        n = proxy_ring_read(&ch->rings->replies, in->buf + in->end, n);
        if (n < 0) {
            break_ring(ch);
            return;
        } else if (n == 0) {
            if (ch->polling || proxy_ring_sleep(&ch->rings->replies)) {
                return;
            }
            continue;
        }
        trace_proxy_received(ch->id, n);
        in->end += n;
        defer_call_begin();
        proxy_dispatch(ch, in);
        defer_call_end();
        if (ch->broken) {
            return;
        }
    }
    qemu_bh_schedule(ch->ring_bh);
}

/* The bell rang, or would ring if we did not poll. */
static void proxy_ring_ready(void *opaque)
{
    ProxyChannel *ch = opaque;

    if (ch->rings) {
        ring_receive(ch);
    }
    if (!ch->broken && ch->out_waits) {
        proxy_send(ch);
    }
}

static void proxy_bell(EventNotifier *bell)
{
    ProxyChannel *ch = container_of(bell, ProxyChannel, bell);
    char rung[256];
    ssize_t n = read(ch->rings->bell, rung, sizeof(rung));
    int err = errno;

    proxy_ring_ready(ch);
    if (n == 0 && !ch->broken) {
        proxy_gone(ch, 0);
    } else if (n < 0 && err != EAGAIN && err != EINTR && !ch->broken) {
        proxy_gone(ch, err);
    }
}

static bool proxy_bell_poll(void *opaque)
{
    ProxyChannel *ch = container_of(opaque, ProxyChannel, bell);

    return proxy_ring_pending(&ch->rings->replies) ||
           (ch->out_waits && proxy_ring_room(&ch->rings->requests) != 0);
}

static void proxy_bell_poll_ready(EventNotifier *bell)
{
    proxy_ring_ready(container_of(bell, ProxyChannel, bell));
}

static void proxy_bell_poll_begin(EventNotifier *bell)
{
    ProxyChannel *ch = container_of(bell, ProxyChannel, bell);

    ch->polling = true;
    proxy_ring_awake(&ch->rings->replies);
}

/* What came meanwhile the event loop sees, which polls once more. */
static void proxy_bell_poll_end(EventNotifier *bell)
{
    ProxyChannel *ch = container_of(bell, ProxyChannel, bell);

    ch->polling = false;
    proxy_ring_sleep(&ch->rings->replies);
}

static void proxy_readable(void *opaque)
{
    ProxyChannel *ch = opaque;
    ssize_t n;

    if (ch->rings) {
        ch->socket_seen = qatomic_read(&ch->rings->mem->socket);
    }
    n = proxy_recv(ch);
    if (n == -EAGAIN) {
        return;
    }
    if (n <= 0 && ch->rings) {
        ring_receive(ch);       /* what it said before it went away */
    }
    if (n == -EPROTO) {
        proxy_break(ch, "descriptors from the helper were lost: it sent too "
                    "many, or this process may open no more");
    } else if (n <= 0) {
        proxy_gone(ch, n == -ECONNRESET ? 0 : -n);
    } else {
        trace_proxy_received(ch->id, n);
        defer_call_begin();
        proxy_dispatch(ch, &ch->in);
        /*
         * Those of messages that are still to come may have come with earlier
         * ones, but no more than can be answered.
         */
        if (ch->in.nfds > (ch->n_slots - ch->n_free) * REPLY_FDS_MAX) {
            proxy_break(ch, "the helper sent descriptors without a message");
        }
        defer_call_end();
    }
}

/* A hint of the helper's, for an event loop that would rather not ask */
static bool proxy_socket_poll(void *opaque)
{
    ProxyChannel *ch = opaque;

    return qatomic_read(&ch->rings->mem->socket) != ch->socket_seen;
}

static void proxy_set_socket_handler(ProxyChannel *ch)
{
    bool waits = ch->rings ? ch->fds_wait : ch->out_waits;

    aio_set_fd_handler(ch->ctx, ch->fd, proxy_readable,
                       waits ? proxy_writable : NULL,
                       ch->rings ? proxy_socket_poll : NULL, proxy_readable,
                       ch);
}

static void proxy_set_handlers(ProxyChannel *ch)
{
    proxy_set_socket_handler(ch);
    if (ch->rings) {
        event_notifier_init_fd(&ch->bell, ch->rings->bell);
        aio_set_event_notifier(ch->ctx, &ch->bell, proxy_bell, proxy_bell_poll,
                               proxy_bell_poll_ready);
        aio_set_event_notifier_poll(ch->ctx, &ch->bell, proxy_bell_poll_begin,
                                    proxy_bell_poll_end);
        ch->polling = false;
        qemu_bh_schedule(ch->ring_bh);
    }
}

static void proxy_clear_handlers(ProxyChannel *ch)
{
    aio_set_fd_handler(ch->ctx, ch->fd, NULL, NULL, NULL, NULL, NULL);
    if (ch->rings) {
        aio_set_fd_handler(ch->ctx, ch->rings->bell, NULL, NULL, NULL, NULL,
                           NULL);
    }
}

/*
 * Calls
 */

static void proxy_cancel_waiting(FsCall *call, void *opaque)
{
    ProxyRequest *req = opaque;

    QTAILQ_REMOVE(&req->ch->waiting, req, next);
    call->on_cancel = NULL;
    proxy_wake(req, -EINTR);
}

static void proxy_abandon(FsCall *call, void *opaque)
{
    ProxyRequest *req = opaque;
    ProxyChannel *ch = req->ch;
    ProxyRequest *left = g_new0(ProxyRequest, 1);

    left->type = req->type;
    ch->slots[req->slot] = left;
    proxy_wake(req, -EIO);
}

static int coroutine_fn slot_get(ProxyChannel *ch, FsCall *call,
                                 ProxyRequest *req)
{
    if (slot_free(ch) && QTAILQ_EMPTY(&ch->waiting)) {
        slot_take(ch, req);
        return 0;
    }
    req->done = false;
    QTAILQ_INSERT_TAIL(&ch->waiting, req, next);
    call->on_cancel = proxy_cancel_waiting;
    call->on_cancel_opaque = req;
    while (!req->done) {
        qemu_coroutine_yield();
    }
    if (req->ret == 0 && ch->broken) {
        /* It broke after the slot was handed on, before we ran */
        ch->slots[req->slot] = NULL;
        return -EIO;
    }
    return req->ret;
}

int coroutine_fn proxy_begin(ProxyChannel *ch, FsCall *call, ProxyRequest *req,
                             ProxyType type, size_t extra)
{
    size_t size = PROXY_HEADER_SIZE + PAYLOAD_MAX + extra;
    int ret;

    if (ch->broken) {
        return -EIO;
    }
    if (call->cancelled) {
        return -EINTR;
    }
    req->ch = ch;
    req->call = call;
    req->co = qemu_coroutine_self();
    req->type = type;
    req->nfds = req->fds_taken = 0;
    ret = slot_get(ch, call, req);
    if (ret < 0) {
        return ret;
    }
    if (ch->forgets->len) {
        out_forgets(ch);        /* that what is found again is donated again */
    }
    out_reserve(ch, size);
    marshal_writer_init(&req->w, ch->out + ch->out_end, size);
    marshal_reserve(&req->w, PROXY_HEADER_SIZE);
    return 0;
}

int coroutine_fn proxy_call(ProxyRequest *req)
{
    ProxyChannel *ch = req->ch;
    size_t size = marshal_size(&req->w);
    ProxyHeader header = { .size = size, .type = req->type };

    if (!marshal_fits(&req->w) || size > ch->hello.max_message) {
        slot_put(ch, req->slot);
        return -E2BIG;
    }
    header.tag = (++ch->serial * SLOTS_MAX) | req->slot;
    ch->tags[req->slot] = header.tag;
    proxy_header_put(&header, ch->out + ch->out_end);
    ch->out_end += size;
    trace_proxy_request(ch->id, header.tag, proxy_type_name(req->type), size);

    req->done = false;
    req->call->on_abandon = proxy_abandon;
    req->call->on_abandon_opaque = req;
    defer_call(proxy_flush, ch);
    while (!req->done) {
        qemu_coroutine_yield();
    }
    return req->ret;
}

int proxy_take_fd(ProxyRequest *req)
{
    if (req->fds_taken == req->nfds) {
        req->r.bad = true;
        return -1;
    }
    return req->fds[req->fds_taken++];
}

int proxy_finish(ProxyRequest *req)
{
    unsigned rest = req->nfds - req->fds_taken;

    if (marshal_done(&req->r) && rest == 0) {
        return 0;
    }
    close_fds(req->fds + req->fds_taken, rest);
    req->fds_taken = req->nfds;
    proxy_break(req->ch, "the helper sent a malformed %s reply",
                proxy_type_name(req->type));
    return -EIO;
}

/*
 * HELLO
 */

static void hello_closed(Error **errp)
{
    error_setg(errp, "the helper closed the connection: it does not speak "
               "protocol version %d, or cannot serve", PROXY_VERSION);
}

static bool hello_send(ProxyChannel *ch, bool donate, Error **errp)
{
    uint32_t hello[PROXY_HELLO_SIZE / 4] = {
        PROXY_HELLO_TYPE,
        PROXY_HELLO_SIZE - 8,
        cpu_to_le32(PROXY_VERSION),
        cpu_to_le32(donate ? 0 : PROXY_HELLO_NO_DONATE),
    };
    ssize_t n;

    do {
        n = send(ch->fd, hello, sizeof(hello), MSG_NOSIGNAL | MSG_DONTWAIT);
    } while (n < 0 && errno == EINTR);
    if (n < 0 && (errno == EPIPE || errno == ECONNRESET)) {
        hello_closed(errp);
        return false;
    } else if (n != sizeof(hello)) {
        error_setg_errno(errp, n < 0 ? errno : EIO,
                         "cannot send to the helper");
        return false;
    }
    return true;
}

/*
 * Waits until the whole reply of @type is in the in buffer; its tag is 0, as
 * long as no requests are under way.
 */
static bool hello_recv(ProxyChannel *ch, ProxyType type, ProxyHeader *h,
                       Error **errp)
{
    int64_t deadline = g_get_monotonic_time() / 1000 + HELLO_TIMEOUT_MS;
    int ret;

    while ((ret = proxy_next_message(&ch->in, h)) == 0) {
        struct pollfd pfd = { .fd = ch->fd, .events = POLLIN };
        int64_t left = deadline - g_get_monotonic_time() / 1000;
        ssize_t n;

        if (left <= 0) {
            error_setg(errp, "the helper did not answer within %d seconds",
                       HELLO_TIMEOUT_MS / 1000);
            return false;
        }
        if (poll(&pfd, 1, left) <= 0) {
            continue;
        }
        n = proxy_recv(ch);
        if (n == 0 || n == -ECONNRESET) {
            hello_closed(errp);
            return false;
        } else if (n == -EPROTO) {
            ret = n;
            break;
        } else if (n < 0 && n != -EAGAIN) {
            error_setg_errno(errp, -n, "cannot receive from the helper");
            return false;
        }
    }
    if (ret < 0 || h->type != (type | PROXY_REPLY) || h->tag != 0) {
        error_setg(errp, "the helper does not speak protocol version %d",
                   PROXY_VERSION);
        return false;
    }
    return true;
}

static bool hello_parse(ProxyChannel *ch, const ProxyHeader *h, bool donate,
                        Error **errp)
{
    ProxyHello *hello = &ch->hello;
    ProxyRequest req = { .type = PROXY_HELLO };
    MarshalReader *r = &req.r;
    uint32_t version;
    uint64_t handle;
    uint8_t donated;

    if (proxy_take_message(&ch->in, h, &req) < 0) {
        error_setg(errp, "the helper does not speak protocol version %d",
                   PROXY_VERSION);
        return false;
    }
    if (req.ret < 0) {
        error_setg_errno(errp, -req.ret,
                         "the helper refuses protocol version %d",
                         PROXY_VERSION);
        return false;
    }
    version = marshal_get_u32(r);
    if (version != PROXY_VERSION) {
        error_setg(errp, "the helper speaks protocol version %" PRIu32
                   ", not %d", version, PROXY_VERSION);
        close_fds(req.fds, req.nfds);
        return false;
    }
    hello->features = marshal_get_u32(r);
    hello->max_message = marshal_get_u32(r);
    hello->max_in_flight = marshal_get_u32(r);
    hello->pid = marshal_get_u32(r);
    handle = marshal_get_u64(r);
    donated = marshal_get_u8(r);
    proxy_get_attr(r, &hello->root);
    hello->uids = proxy_get_idmap(r, &hello->n_uids);
    hello->gids = proxy_get_idmap(r, &hello->n_gids);
    hello->donates = donated;
    if (donated) {
        hello->root_fd = proxy_take_fd(&req);
    }
    if (!marshal_done(r) || req.fds_taken != req.nfds ||
        donated > donate || handle != PROXY_ROOT_HANDLE ||
        !S_ISDIR(hello->root.mode) || hello->max_in_flight == 0 ||
        hello->max_message < PROXY_HEADER_SIZE + PAYLOAD_MAX ||
        ch->in.start != ch->in.end || ch->in.nfds) {
        error_setg(errp, "the helper's HELLO is malformed");
        close_fds(req.fds + req.fds_taken, req.nfds - req.fds_taken);
        return false;
    }
    return true;
}

/*
 * RING
 */

/*
 * Makes the memory and the bells. Those in @theirs are for the helper, and the
 * caller's to close.
 */
static ProxyRings *ring_make(int theirs[PROXY_RING_FDS], Error **errp)
{
    int requests[2] = { -1, -1 }, replies[2] = { -1, -1 };
    int memory = proxy_ring_make_memory();
    ProxyRings *rings;
    int ret;

    if (memory < 0) {
        ret = memory;
    } else if (pipe2(requests, O_CLOEXEC) < 0 ||
               pipe2(replies, O_CLOEXEC) < 0 ||
               fcntl(requests[1], F_SETFL, O_NONBLOCK) < 0 ||
               fcntl(replies[0], F_SETFL, O_NONBLOCK) < 0) {
        ret = -errno;
    } else {
        ret = proxy_rings_new(&rings, memory, replies[0], requests[1]);
    }
    theirs[0] = memory;
    theirs[1] = requests[0];
    theirs[2] = replies[1];
    if (ret == 0) {
        return rings;
    }
    error_setg_errno(errp, -ret, "no memory to share with the helper");
    close_fds(theirs, PROXY_RING_FDS);
    close_fds(&requests[1], 1);
    close_fds(&replies[0], 1);
    return NULL;
}

static bool ring_request(ProxyChannel *ch, const int *fds, Error **errp)
{
    ProxyHeader header = {
        .size = PROXY_HEADER_SIZE, .type = PROXY_RING, .nfds = PROXY_RING_FDS,
    };
    uint8_t buf[PROXY_HEADER_SIZE];
    union {
        char buf[CMSG_SPACE(PROXY_RING_FDS * sizeof(int))];
        struct cmsghdr align;
    } control = { };
    struct iovec iov = { buf, sizeof(buf) };
    struct msghdr msg = {
        .msg_iov = &iov,
        .msg_iovlen = 1,
        .msg_control = control.buf,
        .msg_controllen = sizeof(control.buf),
    };
    struct cmsghdr *cmsg = CMSG_FIRSTHDR(&msg);
    ssize_t n;

    proxy_header_put(&header, buf);
    cmsg->cmsg_level = SOL_SOCKET;
    cmsg->cmsg_type = SCM_RIGHTS;
    cmsg->cmsg_len = CMSG_LEN(PROXY_RING_FDS * sizeof(int));
    memcpy(CMSG_DATA(cmsg), fds, PROXY_RING_FDS * sizeof(int));
    do {
        n = sendmsg(ch->fd, &msg, MSG_NOSIGNAL | MSG_DONTWAIT);
    } while (n < 0 && errno == EINTR);
    if (n != sizeof(buf)) {
        error_setg_errno(errp, n < 0 ? errno : EIO,
                         "cannot send to the helper");
        return false;
    }
    return true;
}

/*
 * Asks the helper to use @rings. -errno if it would rather not, which is no
 * failure of the channel's.
 */
static bool ring_agree(ProxyChannel *ch, const int *fds, int *ret,
                       Error **errp)
{
    ProxyRequest req = { .type = PROXY_RING };
    ProxyHeader h;

    if (!ring_request(ch, fds, errp) ||
        !hello_recv(ch, PROXY_RING, &h, errp)) {
        return false;
    }
    if (proxy_take_message(&ch->in, &h, &req) < 0 ||
        !marshal_done(&req.r) || ch->in.start != ch->in.end || ch->in.nfds) {
        error_setg(errp, "the helper's answer to RING is malformed");
        return false;
    }
    *ret = req.ret;
    return true;
}

static bool ring_setup(ProxyChannel *ch, OnOffAuto ring, Error **errp)
{
    Error *err = NULL;
    int theirs[PROXY_RING_FDS];
    ProxyRings *rings;
    bool ok;
    int ret;

    if (ring == ON_OFF_AUTO_OFF) {
        return true;
    }
    if (!(ch->hello.features & PROXY_FEATURE_RING)) {
        if (ring == ON_OFF_AUTO_ON) {
            error_setg(errp, "ring=on: the helper has no ring");
        }
        return ring != ON_OFF_AUTO_ON;
    }
    rings = ring_make(theirs, &err);
    if (!rings) {
        if (ring == ON_OFF_AUTO_ON) {
            error_propagate_prepend(errp, err, "ring=on: ");
            return false;
        }
        error_free(err);
        return true;
    }
    ok = ring_agree(ch, theirs, &ret, errp);
    close_fds(theirs, PROXY_RING_FDS);
    if (ok && ret == 0) {
        ch->rings = rings;
        ch->ring_in.buf = g_malloc(IN_SIZE);
        ch->hello.ring = true;
        return true;
    }
    proxy_rings_free(rings);
    if (ok && ring == ON_OFF_AUTO_ON) {
        error_setg_errno(errp, -ret, "ring=on: the helper cannot use it");
        return false;
    }
    return ok;
}

static void proxy_setup_slots(ProxyChannel *ch)
{
    uint32_t i;

    ch->n_slots = MIN(ch->hello.max_in_flight, SLOTS_MAX);
    ch->slots = g_new0(ProxyRequest *, ch->n_slots);
    ch->tags = g_new0(uint32_t, ch->n_slots);
    ch->free_slots = g_new(uint32_t, ch->n_slots);
    for (i = 0; i < ch->n_slots; i++) {
        ch->free_slots[i] = ch->n_slots - 1 - i;
    }
    ch->n_free = ch->n_slots;
}

ProxyChannel *proxy_channel_prepare(AioContext *ctx, const char *id, int fd)
{
    ProxyChannel *ch = g_new0(ProxyChannel, 1);

    ch->id = g_strdup(id);
    ch->fd = fd;
    ch->hello.root_fd = -1;
    ch->out_size = OUT_SIZE;
    ch->out = g_malloc(ch->out_size);
    ch->in.buf = g_malloc(IN_SIZE);
    ch->forgets = g_array_new(false, false, sizeof(ProxyForget));
    QTAILQ_INIT(&ch->waiting);
    proxy_channel_attach(ch, ctx);
    return ch;
}

void proxy_channel_attach(ProxyChannel *ch, AioContext *ctx)
{
    ch->ctx = ctx;
    ch->forget_timer = aio_timer_new(ctx, QEMU_CLOCK_REALTIME, SCALE_MS,
                                     proxy_flush, ch);
    ch->broken_bh = aio_bh_new(ctx, proxy_broken_bh, ch);
    ch->ring_bh = aio_bh_new(ctx, proxy_ring_ready, ch);
    if (ch->broken && !ch->told) {
        qemu_bh_schedule(ch->broken_bh);
    }
    if (ch->forgets->len) {
        timer_mod(ch->forget_timer,
                  qemu_clock_get_ms(QEMU_CLOCK_REALTIME) + FORGET_DELAY_MS);
    }
    if (ch->slots && !ch->broken) {
        proxy_set_handlers(ch);
    }
}

void proxy_channel_detach(ProxyChannel *ch)
{
    if (ch->slots && !ch->broken) {
        proxy_clear_handlers(ch);
    }
    qemu_bh_delete(ch->broken_bh);
    qemu_bh_delete(ch->ring_bh);
    ch->broken_bh = ch->ring_bh = NULL;
    timer_free(ch->forget_timer);
    ch->forget_timer = NULL;
    ch->ctx = NULL;
}

bool proxy_channel_greet(ProxyChannel *ch, bool donate, OnOffAuto ring,
                         Error **errp)
{
    ProxyHeader h;

    return hello_send(ch, donate, errp) &&
           hello_recv(ch, PROXY_HELLO, &h, errp) &&
           hello_parse(ch, &h, donate, errp) && ring_setup(ch, ring, errp);
}

void proxy_channel_hurry(ProxyChannel *ch)
{
    shutdown(ch->fd, SHUT_RDWR);
}

void proxy_channel_serve(ProxyChannel *ch)
{
    const ProxyHello *hello = &ch->hello;

    trace_proxy_hello(ch->id, hello->pid, hello->features, hello->max_message,
                      hello->max_in_flight);
    proxy_setup_slots(ch);
    proxy_set_handlers(ch);
}

ProxyChannel *proxy_channel_new(AioContext *ctx, const char *id, int fd,
                                bool donate, OnOffAuto ring, Error **errp)
{
    ProxyChannel *ch = proxy_channel_prepare(ctx, id, fd);

    if (!proxy_channel_greet(ch, donate, ring, errp)) {
        proxy_channel_free(ch);
        return NULL;
    }
    proxy_channel_serve(ch);
    return ch;
}

void proxy_channel_free(ProxyChannel *ch)
{
    uint32_t i;

    proxy_disconnect(ch);
    for (i = 0; i < ch->n_slots; i++) {
        g_free(ch->slots[i]);   /* was abandoned */
    }
    if (ch->hello.root_fd >= 0) {
        close(ch->hello.root_fd);
    }
    qemu_bh_delete(ch->broken_bh);
    qemu_bh_delete(ch->ring_bh);
    timer_free(ch->forget_timer);
    g_array_free(ch->forgets, true);
    g_free(ch->hello.uids);
    g_free(ch->hello.gids);
    g_free(ch->slots);
    g_free(ch->tags);
    g_free(ch->free_slots);
    g_free(ch->out);
    g_free(ch->in.buf);
    g_free(ch->ring_in.buf);
    g_free(ch->why);
    g_free(ch->id);
    g_free(ch);
}

ProxyHello *proxy_channel_hello(ProxyChannel *ch)
{
    return &ch->hello;
}
