/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * QEMU's end of the proxy channel: how messages go out and come in.
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
 * With a ring (fsdev/shared/ring.h) the same bytes go through shared memory
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
 */
#include "qemu/osdep.h"
#include <sys/socket.h>
#include "qemu/atomic.h"
#include "qemu/defer-call.h"
#include "channel-internal.h"
#include "hw/9pfs/trace.h"

#define FORGET_DELAY_MS     5

/* How often the ring is read in a row, before others get their turn */
#define RING_ROUNDS         16

/*
 * Errors from here on are the kernel's own, and mean other things to a guest's
 * kernel than that a file was not found (include/linux/errno.h of Linux).
 */
#define KERNEL_ERRNO        512
#define MAX_ERRNO           4095

static void proxy_set_socket_handler(ProxyChannel *ch);

/*
 * Sending
 */

void proxy_out_reserve(ProxyChannel *ch, size_t size)
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

void proxy_out_forgets(ProxyChannel *ch)
{
    size_t size = PROXY_HEADER_SIZE + 2 + PROXY_FORGET_MAX * 12;
    guint pos = 0;

    while (pos < ch->forgets->len) {
        guint n = MIN(ch->forgets->len - pos, PROXY_FORGET_MAX);
        ProxyHeader header = { .type = PROXY_FORGET };
        MarshalWriter w;

        proxy_out_reserve(ch, size);
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
    ssize_t n = proxy_send_fds(ch->fd, buf, bytes, ch->out_fds,
                               ch->n_out_fds, MSG_DONTWAIT);

    if (n > 0) {
        proxy_close_fds(ch->out_fds, ch->n_out_fds);
        ch->n_out_fds = 0;
    }
    return n;
}

void proxy_flush_later(ProxyChannel *ch)
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
        /* unix(7): other processes of this user, too, have them sent. */
        proxy_flush_later(ch);
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
    proxy_slots_hand_on(ch);
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
            proxy_flush_later(ch);
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
    proxy_slots_hand_on(ch);
}

void proxy_flush(void *opaque)
{
    ProxyChannel *ch = opaque;

    if (ch->broken) {
        return;
    }
    if (ch->forgets->len) {
        proxy_out_forgets(ch);
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
        proxy_out_forgets(ch);
    }
    proxy_out_reserve(ch, size);
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
        proxy_flush_later(ch);
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
    return PROXY_IN_SIZE - in->end;
}

ssize_t proxy_recv(ProxyChannel *ch)
{
    ProxyStream *in = &ch->in;
    size_t room = stream_room(in);
    int fds[PROXY_MAX_FDS];
    unsigned i, count;
    bool excess;
    ssize_t n = proxy_recv_fds(ch->fd, in->buf + in->end, room, MSG_DONTWAIT,
                               fds, &count, &excess);

    if (n < 0) {
        return n;
    }
    in->end += n;
    for (i = 0; i < count; i++) {
        if (in->nfds < PROXY_FDS_MAX) {
            in->fds[in->nfds++] = fds[i];
        } else {
            close(fds[i]);
            excess = true;
        }
    }
    return excess ? -EPROTO : n;
}

int proxy_next_message(ProxyStream *in, ProxyHeader *h)
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

int proxy_take_message(ProxyStream *in, const ProxyHeader *h,
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

/* The answer to a request that was abandoned: nobody wants what it brings. */
static void proxy_discard(ProxyChannel *ch, ProxyRequest *req)
{
    MarshalReader *r = &req->r;
    unsigned attrs = 0;
    FsAttr attr;

    proxy_close_fds(req->fds, req->nfds);
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
        uint32_t slot = h.tag & (PROXY_SLOTS_MAX - 1);
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
        proxy_slot_put(ch, slot);
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
void proxy_ring_ready(void *opaque)
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

void proxy_set_handlers(ProxyChannel *ch)
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

void proxy_clear_handlers(ProxyChannel *ch)
{
    aio_set_fd_handler(ch->ctx, ch->fd, NULL, NULL, NULL, NULL, NULL);
    if (ch->rings) {
        aio_set_fd_handler(ch->ctx, ch->rings->bell, NULL, NULL, NULL, NULL,
                           NULL);
    }
}
