/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The helper's end of the proxy channel: see channel.h.
 *
 * One recvmsg(2) reads all that has arrived, so requests that left together
 * cost one system call. Memory is bounded: there is one buffer here, and each
 * thread has its own. A thread takes a request only to work on it, and takes
 * none while it cannot send its replies.
 *
 * With a ring (shared/ring.h), all requests come through it. The receiving
 * thread waits at the bell, which ends when QEMU does, and at the socket, where
 * descriptors arrive. They must not stay there: one of them may be what keeps
 * the bell or the socket from ending. The thread does not spin before it
 * sleeps, because QEMU's thread and this one run on the guest's processors. No
 * read of the bell waits: a client that is gone may have left a bell that is
 * empty again, and does not end. channel-send.c sends the replies.
 */
#include "qemu/osdep.h"
#include "channel-internal.h"
#include "log.h"
#include "received.h"
#include "unread.h"
#include "fsdev/shared/proto-v1.h"
#include <poll.h>
#include <sys/socket.h>

#define BUFFER_SIZE     (2 * PROXY_MAX_MESSAGE)

void channel_init(Channel *c, int fd)
{
    const int zero = 0;

    *c = (Channel) {
        .fd = fd, .buf = g_malloc(BUFFER_SIZE), .share = unread_begin(),
    };
    pthread_mutex_init(&c->send, NULL);
    pthread_mutex_init(&c->state, NULL);
    proxy_pass_fds(fd, false);
    c->peeks = setsockopt(fd, SOL_SOCKET, SO_PEEK_OFF, &zero, sizeof(zero)) ==
               0;
}

void channel_take_fds(Channel *c, uint64_t mount)
{
    c->mount = mount;
    c->first = true;
    proxy_pass_fds(c->fd, true);
}

/* All of them are of a kind that a message brings: this does not wait. */
static void close_fds(Channel *c)
{
    while (c->nfds) {
        close(c->fds[--c->nfds]);
    }
}

void channel_destroy(Channel *c)
{
    if (c->rings) {
        proxy_rings_free(c->rings);
    }
    close_fds(c);
    shutdown(c->fd, SHUT_RDWR);
    g_free(c->buf);
    pthread_mutex_destroy(&c->send);
    pthread_mutex_destroy(&c->state);
}

void channel_close(Channel *c)
{
    while (c->n_refused) {
        close(c->refused[--c->n_refused]);
    }
    while (c->n_seen) {
        close(c->seen[--c->n_seen]);
    }
    unread_end(c->fd, c->share, c->unread);
}

/* Makes room at the end of the buffer. */
static void move_down(Channel *c)
{
    if (c->start) {
        memmove(c->buf, c->buf + c->start, c->end - c->start);
        c->end -= c->start;
        c->start = 0;
    }
}

/* QEMU has closed its end. */
static void note_eof(Channel *c)
{
    if (c->end > 0) {
        channel_break(c, "it ended within a message");
    } else {
        channel_note_end(c, CHANNEL_CLOSED);
    }
}

/*
 * Takes what is in the ring, without waiting, to c->end. Returns how much, or
 * -EPROTO.
 */
static ssize_t ring_take(Channel *c)
{
    ssize_t len;

    move_down(c);
    len = proxy_ring_read(&c->rings->requests, c->buf + c->end,
                          BUFFER_SIZE - c->end);
    if (len > 0) {
        c->end += len;
        if (proxy_ring_wakes_producer(&c->rings->requests)) {
            channel_ring_bell(c);
        }
    }
    return len;
}

/*
 * One recvmsg(2). Returns the number of bytes, 0 at the end of the stream,
 * -errno, or -EPROTO if descriptors came that may not come.
 */
static ssize_t receive_some(Channel *c, void *buf, size_t size, int flags)
{
    int fds[PROXY_MAX_FDS];
    unsigned i, n;
    bool excess;
    ssize_t len = proxy_recv_fds(c->fd, buf, size, flags, fds, &n, &excess);

    for (i = 0; i < n; i++) {
        if (!excess && c->nfds < G_N_ELEMENTS(c->fds) &&
            channel_may_bring(c, fds[i])) {
            c->fds[c->nfds++] = fds[i];
        } else {
            excess = true;
            if (c->n_refused < G_N_ELEMENTS(c->refused)) {
                c->refused[c->n_refused++] = fds[i];
            }
        }
    }
    return excess ? -EPROTO : len;
}

/*
 * With a ring: receives descriptors. QEMU sends them before it puts their
 * requests into the ring, each group with a byte that has no meaning.
 */
static bool fetch_fds(Channel *c)
{
    char nothing[16];
    ssize_t len = receive_some(c, nothing, sizeof(nothing), MSG_DONTWAIT);

    if (len == -EPROTO) {
        channel_break_excess(c);
    } else if (len == 0 || len == -ECONNRESET) {
        note_eof(c);
    } else if (len < 0 && len != -EAGAIN) {
        channel_break(c, "receiving: %s", strerror(-len));
    }
    return len > 0 || len == -EAGAIN;
}

/* Takes the bell back: the number of bytes, 0 at its end, or -errno. */
static ssize_t take_bell(Channel *c)
{
    char rung[64];
    struct iovec iov = { rung, sizeof(rung) };
    ssize_t len;

    /* Like read(2), but does not wait, whatever the pipe's flags are */
    do {
        len = vmsplice(c->rings->bell, &iov, 1, SPLICE_F_NONBLOCK);
    } while (len < 0 && errno == EINTR);
    return len < 0 ? -errno : len;
}

/* Waits for the bell or for descriptors. False at the end of the channel. */
static bool ring_wait(Channel *c)
{
    struct pollfd pfds[] = {
        { .fd = c->rings->bell, .events = POLLIN },
        { .fd = c->fd, .events = POLLIN },
    };
    ssize_t len;

    if (poll(pfds, G_N_ELEMENTS(pfds), -1) < 0) {
        if (errno != EINTR) {
            channel_break(c, "waiting for requests: %s", strerror(errno));
        }
        return errno == EINTR;
    }
    if (pfds[0].revents) {
        len = take_bell(c);
        if (len < 0 && len != -EAGAIN) {
            channel_break(c, "waiting for requests: %s", strerror(-len));
            return false;
        } else if (len == 0 && !proxy_ring_pending(&c->rings->requests)) {
            note_eof(c);
            return false;
        }
        return true;
    }
    return proxy_ring_pending(&c->rings->requests) || fetch_fds(c);
}

/* fill() for a ring */
static bool ring_fill(Channel *c)
{
    ProxyRing *requests = &c->rings->requests;
    ssize_t len;
    bool ok;

    while ((len = ring_take(c)) == 0) {
        if (!proxy_ring_sleep(requests)) {
            continue;
        }
        ok = ring_wait(c);
        proxy_ring_awake(requests);
        if (!ok) {
            return false;
        }
    }
    if (len < 0) {
        channel_break_ring(c);
    }
    return len > 0;
}

/* Waits until bytes arrive, or the deadline has passed. */
static bool wait_in_time(Channel *c)
{
    struct pollfd pfd = { .fd = c->fd, .events = POLLIN };
    int64_t left;

    do {
        left = c->deadline - g_get_monotonic_time() / 1000;
        if (left <= 0) {
            channel_break(c, "the client says nothing");
            return false;
        }
    } while (poll(&pfd, 1, left) <= 0);
    return true;
}

/* Reads what has arrived to c->end. False at the end of the channel. */
static bool fill(Channel *c)
{
    ssize_t len;

    if (c->rings) {
        return ring_fill(c);
    }
    if (c->deadline && !wait_in_time(c)) {
        return false;
    }
    move_down(c);
    len = receive_some(c, c->buf + c->end, BUFFER_SIZE - c->end, 0);
    if (len > 0) {
        c->end += len;
        return true;
    }
    /* ECONNRESET: QEMU closed the socket with replies unread. */
    if (len == 0 || len == -ECONNRESET) {
        note_eof(c);
    } else if (len == -EPROTO) {
        channel_break_excess(c);
    } else {
        channel_break(c, "receiving: %s", strerror(-len));
    }
    return false;
}

/* Waits until c->start has @size bytes, which is at most PROXY_MAX_MESSAGE. */
static bool need(Channel *c, size_t size)
{
    while (c->end - c->start < size) {
        if (!fill(c)) {
            return false;
        }
    }
    return true;
}

/* Whether the request with @head is the probe; waits for the rest of it. */
static bool is_probe(Channel *c, const uint32_t head[2])
{
    uint8_t probe[PROXY_V1_PROBE_SIZE];
    MarshalWriter w;

    marshal_writer_init(&w, probe, sizeof(probe));
    marshal_put_u32(&w, 0);
    marshal_put_str(&w, "/");
    marshal_put_str(&w, PROXY_V1_PROBE);
    return head[0] == PROXY_V1_LGETXATTR && head[1] == sizeof(probe) &&
           need(c, PROXY_V1_HEADER_SIZE + sizeof(probe)) &&
           memcmp(c->buf + c->start + PROXY_V1_HEADER_SIZE, probe,
                  sizeof(probe)) == 0;
}

/*
 * Waits for the first request, and answers probes before it.
 */
static bool first_request(Channel *c, uint32_t head[2])
{
    static const uint32_t answer[] = { PROXY_V1_SUCCESS, 4, PROXY_VERSION };

    while (need(c, PROXY_V1_HEADER_SIZE)) {
        memcpy(head, c->buf + c->start, PROXY_V1_HEADER_SIZE);
        if (!is_probe(c, head)) {
            return channel_ended(c) == CHANNEL_OPEN;
        }
        c->start += PROXY_V1_HEADER_SIZE + head[1];
        if (!channel_send(c, answer, sizeof(answer), NULL, 0)) {
            return false;
        }
    }
    return false;
}

/* channel_hello() without the deadline */
static bool read_hello(Channel *c, uint32_t *version, uint32_t *flags)
{
    uint32_t head[2];           /* in host byte order, as in version 1 */
    MarshalReader r;

    if (!first_request(c, head)) {
        return false;
    }
    /* v1's integers are in host byte order, the marshaller's little endian. */
    if (G_BYTE_ORDER == G_LITTLE_ENDIAN &&
        head[0] >= PROXY_V1_OPEN && head[0] < PROXY_V1_TYPE_END) {
        *version = 1;
        return true;
    }
    if (head[0] != PROXY_HELLO_TYPE) {
        channel_break(c, "the first message, of type %u, belongs to no "
                      "protocol version", head[0]);
        return false;
    }
    if (head[1] != PROXY_HELLO_SIZE - sizeof(head)) {
        channel_break(c, "a HELLO with a payload of %u bytes", head[1]);
        return false;
    }
    if (!need(c, PROXY_HELLO_SIZE)) {
        return false;
    }
    marshal_reader_init(&r, c->buf + c->start + sizeof(head), head[1]);
    *version = marshal_get_u32(&r);
    *flags = marshal_get_u32(&r);
    c->start += PROXY_HELLO_SIZE;
    if (*version < PROXY_VERSION) {
        channel_break(c, "a HELLO of protocol version %u", *version);
        return false;
    }
    return true;
}

bool channel_hello(Channel *c, unsigned ms, uint32_t *version,
                   uint32_t *flags)
{
    bool ok;

    c->deadline = ms ? g_get_monotonic_time() / 1000 + ms : 0;
    ok = read_hello(c, version, flags);
    c->deadline = 0;
    return ok;
}

/* Checks a request that is not the first one after HELLO. */
static bool check_header(Channel *c, const ProxyHeader *h)
{
    const ProxyTypeInfo *info = proxy_type_info(h->type);

    if (!info) {
        channel_break(c, "unknown message type %u", h->type);
    } else if (info->flags & PROXY_TYPE_ONCE) {
        channel_break(c, "%s after another request", info->name);
    } else if (h->size < PROXY_HEADER_SIZE || h->size > PROXY_MAX_MESSAGE) {
        channel_break(c, "%s of %u bytes", info->name, h->size);
    } else if (h->nfds != info->nfds) {
        channel_break(c, "%s with %u descriptors", info->name, h->nfds);
    } else {
        return true;
    }
    return false;
}

static bool has_whole_request(const Channel *c)
{
    size_t have = c->end - c->start;
    ProxyHeader h;

    if (have < PROXY_HEADER_SIZE) {
        return false;
    }
    proxy_header_get(&h, c->buf + c->start);
    return h.size <= have;
}

bool channel_has_request(Channel *c)
{
    /* channel_receive() finds and reports impossible counts. */
    return has_whole_request(c) ||
           (c->rings && ring_take(c) > 0 && has_whole_request(c));
}

/* Takes the first descriptor that has arrived. */
static int take_fd(Channel *c)
{
    int fd = c->fds[0];

    memmove(c->fds, c->fds + 1, --c->nfds * sizeof(c->fds[0]));
    return fd;
}

bool channel_receive(Channel *c, ProxyHeader *h, uint8_t *payload, int *fd)
{
    if (channel_ended(c) != CHANNEL_OPEN || !need(c, PROXY_HEADER_SIZE)) {
        return false;
    }
    proxy_header_get(h, c->buf + c->start);
    if (!check_header(c, h) || !need(c, h->size)) {
        return false;
    }
    if (c->nfds < h->nfds && c->rings && !fetch_fds(c)) {
        return false;
    }
    if (c->nfds < h->nfds) {
        channel_break(c, "%s without its descriptor",
                      proxy_type_name(h->type));
        return false;
    }
    *fd = h->nfds ? take_fd(c) : -1;
    memcpy(payload, c->buf + c->start + PROXY_HEADER_SIZE,
           h->size - PROXY_HEADER_SIZE);
    c->start += h->size;
    return true;
}

const uint8_t *channel_peek(Channel *c, size_t size)
{
    return channel_ended(c) == CHANNEL_OPEN && need(c, size)
           ? c->buf + c->start : NULL;
}

void channel_skip(Channel *c, size_t size)
{
    c->start += size;
}

/*
 * Makes the rings from the descriptors in c->fds. 0, or -errno; -EPROTO if they
 * are not those of a RING. With both bells of one pipe, the helper would keep
 * its own bell from ending.
 */
static int make_rings(Channel *c, ProxyRings **rings)
{
    uint64_t bell, their_bell;
    int ret;

    if (!received_is_memory(c->fds[0]) ||
        !received_is_pipe(c->fds[1], O_RDONLY, &bell) ||
        !received_is_pipe(c->fds[2], O_WRONLY, &their_bell) ||
        bell == their_bell) {
        return -EPROTO;
    }
    ret = proxy_rings_new(rings, c->fds[0], c->fds[1], c->fds[2]);
    if (ret == 0) {
        c->nfds = 1;            /* the rings own the bells now */
    }
    return ret == -EINVAL ? -EPROTO : ret;
}

/*
 * After the first request's header has come: from now on only ADOPTs bring
 * descriptors. Whether those that are here are such.
 */
static bool only_adopts_bring_fds(Channel *c)
{
    unsigned i;

    c->first = false;
    if (!c->mount) {
        proxy_pass_fds(c->fd, false);
    }
    for (i = 0; i < c->nfds; i++) {
        if (!channel_may_bring(c, c->fds[i])) {
            channel_break_excess(c);
            return false;
        }
    }
    return true;
}

bool channel_offer_ring(Channel *c)
{
    uint8_t reply[PROXY_HEADER_SIZE + 4];
    ProxyHeader h;
    MarshalWriter w;
    ProxyRings *rings = NULL;
    int ret;

    if (!need(c, PROXY_HEADER_SIZE)) {
        return false;
    }
    proxy_header_get(&h, c->buf + c->start);
    if (h.type != PROXY_RING) {
        return only_adopts_bring_fds(c);
    }
    if (h.size != PROXY_HEADER_SIZE || h.nfds != PROXY_RING_FDS ||
        c->nfds != PROXY_RING_FDS ||
        c->end - c->start != PROXY_HEADER_SIZE) {
        channel_break(c, "RING of %u bytes with %u descriptors, of which %u "
                      "came, and %zu bytes after it", h.size, h.nfds, c->nfds,
                      c->end - c->start - PROXY_HEADER_SIZE);
        return false;
    }
    c->start = c->end = 0;
    ret = make_rings(c, &rings);
    if (ret == -EPROTO) {
        channel_break(c, "RING with descriptors of the wrong kind");
        return false;
    }
    close_fds(c);
    only_adopts_bring_fds(c);

    h = (ProxyHeader) {
        .size = sizeof(reply), .type = PROXY_RING | PROXY_REPLY, .tag = h.tag,
    };
    proxy_header_put(&h, reply);
    marshal_writer_init(&w, reply + PROXY_HEADER_SIZE, 4);
    marshal_put_u32(&w, -ret);
    if (!channel_send(c, reply, sizeof(reply), NULL, 0)) {
        if (rings) {
            proxy_rings_free(rings);
        }
        return false;
    }
    if (ret == 0) {
        c->rings = rings;
        log_line(LOG_LEVEL_INFO, "requests come through shared memory");
    } else {
        log_line(LOG_LEVEL_WARNING, "cannot use shared memory for requests: %s",
                 strerror(-ret));
    }
    return true;
}
