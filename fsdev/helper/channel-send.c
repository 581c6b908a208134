/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The sending side of the helper's end of the proxy channel: see channel.h.
 *
 * With a ring, replies go through it if they have no descriptors and fit,
 * otherwise through the socket, so no thread waits for room in the ring. No
 * write of QEMU's bell waits: a client that is gone may have left a full one,
 * which another process could still read.
 *
 * A thread that waits for QEMU to read the socket looks now and then at the
 * descriptors that have arrived meanwhile, without taking them (MSG_PEEK). If
 * QEMU's own end of the socket were among them, the socket would never end.
 *
 * QEMU has few descriptors unread at a time (unread.h). At that limit a thread
 * waits until QEMU has read all. If one call has more, they leave in groups,
 * with a byte each.
 *
 * A client that has shut down its sending end and does not read has gone, even
 * if its process keeps the connection.
 */
#include "qemu/osdep.h"
#include "qemu/atomic.h"
#include "channel-internal.h"
#include "unread.h"
#include <poll.h>
#include <sys/socket.h>

/* Attempts to send descriptors, 1 ms apart */
#define SEND_TRIES      5000
/* How long a thread waits for QEMU to read, until it looks at descriptors */
#define LOOK_MS         100
/* How long one that has nothing more to say may read nothing */
#define IDLE_MS         300
/* Between looks at whether it has read all */
#define READ_MS         1

void channel_ring_bell(Channel *c)
{
    static char ring;
    struct iovec iov = { &ring, 1 };

    /* Like write(2), but does not wait, whatever the pipe's flags are */
    while (vmsplice(c->rings->their_bell, &iov, 1, SPLICE_F_NONBLOCK) < 0 &&
           errno == EINTR) {
        /* again */
    }
}

/*
 * Looks at the descriptors that have arrived since the last look, and ends the
 * channel if one is among them that no message may bring. With c->send.
 */
static void look_at_fds(Channel *c)
{
    int fds[PROXY_MAX_FDS];
    char bytes[4096];
    unsigned i, n;
    bool bad = false;

    while (!bad && c->peeks && channel_ended(c) == CHANNEL_OPEN &&
           proxy_recv_fds(c->fd, bytes, sizeof(bytes),
                          MSG_PEEK | MSG_DONTWAIT, fds, &n, &bad) > 0) {
        for (i = 0; i < n; i++) {
            if (channel_may_bring(c, fds[i])) {
                close(fds[i]);
            } else {
                bad = true;
                c->seen[c->n_seen++] = fds[i];
            }
        }
        if (bad) {
            channel_break_excess(c);
        }
    }
}

/* Each LOOK_MS that a thread waits for QEMU to read */
static void look_at_reader(Channel *c)
{
    struct pollfd pfd = { .fd = c->fd, .events = POLLRDHUP };
    int memory = unread_memory(c->fd);
    int64_t now = g_get_monotonic_time();

    if (memory != c->unread_memory || poll(&pfd, 1, 0) <= 0) {
        c->unread_memory = memory;
        c->idle = now;
    } else if (now - c->idle >= IDLE_MS * 1000) {
        channel_break(c, "the client sends no more and does not read");
    }
    look_at_fds(c);
}

/* Waits until QEMU has read some of what was sent, or has gone. */
static void wait_for_reader(Channel *c)
{
    struct pollfd pfd = { .fd = c->fd, .events = POLLOUT };

    if (poll(&pfd, 1, LOOK_MS) == 0) {
        look_at_reader(c);
    }
}

/*
 * Waits until QEMU may be sent one of @n descriptors, or has gone. Returns how
 * many.
 */
static unsigned wait_for_share(Channel *c, unsigned n)
{
    struct pollfd pfd = { .fd = c->fd };
    int64_t look = g_get_monotonic_time() + LOOK_MS * 1000;

    for (;;) {
        if (c->unread + n > c->share / 2 && !unread_memory(c->fd)) {
            c->unread = 0;
        }
        if (c->unread < c->share) {
            return MIN(n, c->share - c->unread);
        }
        if (g_get_monotonic_time() >= look) {
            look_at_reader(c);
            look += LOOK_MS * 1000;
        }
        /* The peer's end, or ours: sendmsg(2) fails. */
        if (poll(&pfd, 1, READ_MS) > 0) {
            return n;
        }
    }
}

/*
 * Sends some with sendmsg(2), descriptors with the first byte. Returns the
 * bytes sent.
 *
 * Other processes of the user may have descriptors in flight, too, up to the
 * limit for all (unix(7)). Then waits a while until some have arrived.
 */
static ssize_t send_some(Channel *c, const void *buf, size_t size,
                         const int *fds, unsigned nfds)
{
    unsigned tries;
    ssize_t len;

    for (tries = 0; ; ) {
        len = proxy_send_fds(c->fd, buf, size, fds, nfds, MSG_DONTWAIT);
        if (len < 0 && errno == ETOOMANYREFS && tries++ < SEND_TRIES) {
            poll(NULL, 0, 1);
        } else if (len < 0 && errno == EAGAIN) {
            wait_for_reader(c);
        } else if (len >= 0 || errno != EINTR) {
            return len;
        }
    }
}

/*
 * Sends all or nothing through the ring: 1 or 0, or -EPROTO if it is broken.
 */
static int ring_send(Channel *c, const void *buf, size_t size)
{
    ssize_t room = proxy_ring_room(&c->rings->replies);

    if (room < 0) {
        return room;
    } else if (room < (ssize_t)size) {
        return 0;
    }
    proxy_ring_write(&c->rings->replies, buf, size);
    if (proxy_ring_wakes_consumer(&c->rings->replies)) {
        channel_ring_bell(c);
    }
    return 1;
}

bool channel_send(Channel *c, const void *buf, size_t size, const int *fds,
                  unsigned nfds)
{
    const uint8_t *p = buf;
    bool ok = true;
    ssize_t len;
    unsigned n;
    int ret;

    pthread_mutex_lock(&c->send);
    if (c->rings && nfds == 0) {
        ret = ring_send(c, buf, size);
        if (ret == 1) {
            size = 0;
        } else if (ret < 0) {
            channel_break_ring(c);
            pthread_mutex_unlock(&c->send);
            return false;
        }
    }
    while (size) {
        n = nfds ? wait_for_share(c, nfds) : 0;
        len = send_some(c, p, n < nfds ? 1 : size, fds, n);
        if (len < 0) {
            ok = false;
            break;
        }
        c->unread += n;
        p += len;
        size -= len;
        fds += n;
        nfds -= n;
        if (c->rings) {
            qatomic_set(&c->rings->mem->socket, ++c->sent);
        }
    }
    if (!ok && errno != EPIPE && errno != ECONNRESET) {
        channel_break(c, "sending: %s", strerror(errno));
    } else if (!ok) {
        channel_note_end(c, CHANNEL_CLOSED);
        shutdown(c->fd, SHUT_RDWR);
    }
    pthread_mutex_unlock(&c->send);
    return ok;
}
