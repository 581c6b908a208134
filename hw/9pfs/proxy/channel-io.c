/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * QEMU's end of the proxy channel: how bytes and descriptors go out and come
 * in.
 *
 * Theory of operation. Callers marshal requests straight into one out buffer.
 * Requests made in one section of deferred calls (util/defer-call.c: a
 * virtqueue kick, a batch of replies, a batch of thread pool completions) leave
 * together in one send when the section ends; outside of any section they leave
 * at once. Bytes that the socket does not take wait for its write handler.
 *
 * One recvmsg reads as many replies as have come. QEMU parses each in place:
 * the read handler enters the request's coroutine, which unmarshals from the in
 * buffer before it yields again, so nothing is copied or allocated. Descriptors
 * queue in the order they came; messages take theirs in order. Descriptors that
 * go out are duplicates, because callers do not wait until QEMU has sent them.
 *
 * With a ring (fsdev/shared/ring.h) the same bytes go through shared memory.
 * The socket then carries only QEMU's descriptors, replies with descriptors,
 * and replies for which the ring has no room; so replies come from two streams.
 * QEMU's bell is a pipe. Its handler reads the ring, not the pipe, to learn of
 * replies. A helper that rings without end only keeps the event loop from
 * sleeping. Nor can the helper make QEMU wait: the pipe ends on QEMU's side do
 * not block, and no other process can change that. While an event loop polls
 * (IOThreads do), it reads the ring, and the helper does not ring the bell.
 */
#include "qemu/osdep.h"
#include <sys/socket.h>
#include "qemu/atomic.h"
#include "qemu/defer-call.h"
#include "channel-internal.h"
#include "hw/9pfs/trace.h"

/* For a flush that may wait a little: FORGETs, or a socket that is full */
#define FLUSH_DELAY_MS      5

/* How often QEMU reads the ring in a row before other handlers run */
#define RING_ROUNDS         16

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

void proxy_out_begin(ProxyRequest *req, size_t header, size_t payload)
{
    ProxyChannel *ch = req->ch;

    proxy_out_reserve(ch, header + payload);
    marshal_writer_init(&req->w, ch->out + ch->out_end, header + payload);
    marshal_reserve(&req->w, header);
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
    timer_mod(ch->flush_timer,
              qemu_clock_get_ms(QEMU_CLOCK_REALTIME) + FLUSH_DELAY_MS);
}

static void break_ring(ProxyChannel *ch)
{
    proxy_break(ch, "the helper put impossible counts into shared memory");
}

/*
 * With a ring: sends the descriptors of the messages in the out buffer, with
 * one byte that has no meaning. False if the messages must not go out yet.
 */
static bool ring_send_fds(ProxyChannel *ch)
{
    ssize_t n;

    do {
        n = ch->n_out_fds ? send_some(ch, "", 1) : 0;
    } while (n < 0 && errno == EINTR);
    if (n < 0 && errno == ETOOMANYREFS) {
        /* unix(7): the limit is for all processes of this user. */
        proxy_flush_later(ch);
        return false;
    } else if (n < 0 && errno != EAGAIN) {
        proxy_gone(ch, errno);
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
            proxy_gone(ch, -ret);
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
            proxy_gone(ch, errno);
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
        ch->codec->put_forgets(ch);
    }
    if (!ch->out_waits) {
        proxy_send(ch);
    }
}

/* The socket's write handler */
static void proxy_writable(void *opaque)
{
    ProxyChannel *ch = opaque;

    if (!ch->broken) {
        proxy_send(ch);
    }
}

/*
 * Receiving
 */

/* Makes room for at least the rest of a message. Returns the room in bytes. */
static size_t stream_room(ProxyStream *in)
{
    if (in->end > PROXY_MAX_MESSAGE) {
        memmove(in->buf, in->buf + in->start, in->end - in->start);
        in->end -= in->start;
        in->start = 0;
    }
    return PROXY_IN_SIZE - in->end;
}

/*
 * Whether @fd is of a file: an O_PATH descriptor, or an open one of any type.
 * (Whether it is the right file, its request finds out.) A socket is none, nor
 * is what the kernel makes without a file system. Does not wait for a file
 * system.
 */
static bool fd_is_file(int fd)
{
    int flags = fcntl(fd, F_GETFL);
    struct statx stx;

    if (flags < 0) {
        return false;
    } else if (flags & O_PATH) {
        return true;
    }
    if (statx(fd, "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC, STATX_TYPE,
              &stx) < 0) {
        return false;
    }
    return (stx.stx_mode & S_IFMT) && !S_ISSOCK(stx.stx_mode);
}

ssize_t proxy_recv(ProxyChannel *ch)
{
    ProxyStream *in = &ch->in;
    size_t room = stream_room(in);
    int fds[PROXY_MAX_FDS];
    unsigned i, count;
    bool excess, strange = false;
    ssize_t n;

    if (in->n_refused) {
        return -EPROTO;
    }
    n = proxy_recv_fds(ch->fd, in->buf + in->end, room, MSG_DONTWAIT, fds,
                       &count, &excess);
    if (n < 0) {
        return n;
    }
    in->end += n;
    for (i = 0; i < count; i++) {
        if (!strange && in->nfds < PROXY_FDS_MAX && fd_is_file(fds[i])) {
            in->fds[in->nfds++] = fds[i];
        } else {
            strange = true;
            in->refused[in->n_refused++] = fds[i];
        }
    }
    if (strange) {
        return -EPROTO;
    }
    if (excess && ch->codec->tolerates_lost_fds) {
        in->fds_lost = true;
        excess = false;
    }
    return excess ? -EPROTO : n;
}

/*
 * Takes all replies in the ring, then lets the helper ring the bell for the
 * next one.
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

/* The bell rang, or would ring if the event loop did not poll. */
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

/* The event loop polls once more afterwards, and sees the latest replies. */
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
        ring_receive(ch);       /* replies from before the helper went away */
    }
    if (n == -EPROTO) {
        proxy_break(ch, "lost descriptors from the helper: it sent too many, "
                    "or not of files, or this process may open no more");
    } else if (n <= 0) {
        proxy_gone(ch, -n);
    } else {
        trace_proxy_received(ch->id, n);
        defer_call_begin();
        proxy_dispatch(ch, &ch->in);
        /*
         * Descriptors may come ahead of their messages, but no more of them
         * than the replies to all requests in flight can bring.
         */
        if (ch->in.nfds > (ch->n_slots - ch->n_free) * PROXY_REPLY_FDS_MAX) {
            proxy_break(ch, "the helper sent descriptors without a message");
        }
        defer_call_end();
    }
}

/* The helper's hint in shared memory saves a polling event loop a poll(2). */
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
