/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * QEMU's end of the proxy channel: HELLO, and the agreement on a ring. A
 * greeting blocks until the helper answers (HELLO_TIMEOUT_MS per answer at
 * most), and may run in any thread.
 */
#include "qemu/osdep.h"
#include <poll.h>
#include <sys/socket.h>
#include "qapi/error.h"
#include "qemu/bswap.h"
#include "channel-internal.h"

/* A helper that QEMU starts sets up its sandbox before it answers */
#define HELLO_TIMEOUT_MS    15000

/*
 * HELLO
 */

static void hello_closed(ProxyChannel *ch, Error **errp)
{
    error_setg(errp, "%s", ch->codec->closed);
}

static void hello_unknown(ProxyChannel *ch, Error **errp)
{
    error_setg(errp, "%s", ch->codec->unknown);
}

/*
 * Whether a helper that cannot start has said why (proto.h), which it does
 * before it knows the version of the protocol; with that as the error.
 */
static bool hello_failure(ProxyChannel *ch, Error **errp)
{
    const size_t head = PROXY_HEADER_SIZE + sizeof(uint32_t);
    const char *at = (const char *)ch->in.buf + ch->in.start;
    size_t len = ch->in.end - ch->in.start;
    g_autofree char *text = NULL;
    g_autofree char *valid = NULL;
    ProxyHeader h;
    char *p;

    if (len < head) {
        return false;
    }
    proxy_header_get(&h, at);
    if (h.type != (PROXY_HELLO | PROXY_REPLY) || h.tag || h.nfds ||
        h.size <= head || h.size > PROXY_FAILURE_MAX || len < h.size ||
        ldl_le_p(at + PROXY_HEADER_SIZE) == 0) {
        return false;
    }
    text = g_strndup(at + head, h.size - head);
    for (p = text; *p; p++) {
        *p = g_ascii_iscntrl(*p) ? '?' : *p;
    }
    valid = g_utf8_make_valid(text, -1);
    error_setg(errp, "%s", valid);
    ch->told = true;
    return true;
}

bool proxy_channel_told(const ProxyChannel *ch)
{
    return ch->told;
}

/* The helper has closed the socket. It may have said why, even before. */
static void hello_end(ProxyChannel *ch, Error **errp)
{
    if (proxy_recv(ch) < 0 || !hello_failure(ch, errp)) {
        hello_closed(ch, errp);
    }
}

bool proxy_hello_send(ProxyChannel *ch, const void *buf, size_t size,
                      Error **errp)
{
    ssize_t n;

    do {
        n = send(ch->fd, buf, size, MSG_NOSIGNAL | MSG_DONTWAIT);
    } while (n < 0 && errno == EINTR);
    if (n < 0 && (errno == EPIPE || errno == ECONNRESET)) {
        hello_end(ch, errp);
        return false;
    } else if (n != (ssize_t)size) {
        error_setg_errno(errp, n < 0 ? errno : EIO,
                         "cannot send to the helper");
        return false;
    }
    return true;
}

bool proxy_hello_wait(ProxyChannel *ch, const ProxyRequest *req, Error **errp)
{
    int64_t deadline = g_get_monotonic_time() / 1000 + HELLO_TIMEOUT_MS;
    int ret;

    while ((ret = ch->codec->whole(&ch->in, req)) == 0) {
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
        if (n > 0 && hello_failure(ch, errp)) {
            return false;
        } else if (n == 0 || n == -ECONNRESET) {
            hello_closed(ch, errp);
            return false;
        } else if (n == -EPROTO) {
            ret = n;
            break;
        } else if (n < 0 && n != -EAGAIN) {
            error_setg_errno(errp, -n, "cannot receive from the helper");
            return false;
        }
    }
    if (ret < 0) {
        hello_unknown(ch, errp);
        return false;
    }
    return true;
}

static bool hello_send(ProxyChannel *ch, bool donate, Error **errp)
{
    uint32_t hello[PROXY_HELLO_SIZE / 4] = {
        PROXY_HELLO_TYPE,
        PROXY_HELLO_SIZE - 8,
        cpu_to_le32(PROXY_VERSION),
        cpu_to_le32(PROXY_HELLO_AGAIN |
                    (donate ? 0 : PROXY_HELLO_NO_DONATE)),
    };

    return proxy_hello_send(ch, hello, sizeof(hello), errp);
}

/*
 * Waits for the reply to @req and takes it. The tag must be 0, because no other
 * request is under way. *@ok: whether the rest of the reply is well formed.
 */
static bool hello_recv(ProxyChannel *ch, ProxyRequest *req, bool *ok,
                       Error **errp)
{
    ProxyHeader h;

    if (!proxy_hello_wait(ch, req, errp)) {
        return false;
    }
    *ok = proxy_take_message(&ch->in, &h, req) == 0;
    if (h.type != (req->type | PROXY_REPLY) || h.tag != 0) {
        if (*ok) {
            proxy_close_files(req->fds, req->nfds);
        }
        hello_unknown(ch, errp);
        return false;
    }
    return true;
}

static bool hello_parse(ProxyChannel *ch, bool donate, Error **errp)
{
    ProxyHello *hello = &ch->hello;
    ProxyRequest req = { .type = PROXY_HELLO };
    MarshalReader *r = &req.r;
    uint32_t version;
    uint64_t handle;
    uint8_t donated;
    bool ok;

    if (!hello_recv(ch, &req, &ok, errp)) {
        return false;
    }
    if (!ok) {
        hello_unknown(ch, errp);
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
        proxy_close_files(req.fds, req.nfds);
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
        hello->max_message < PROXY_HEADER_SIZE + PROXY_PAYLOAD_MAX ||
        ch->in.start != ch->in.end || ch->in.nfds) {
        error_setg(errp, "the helper's HELLO is malformed");
        proxy_close_files(req.fds + req.fds_taken, req.nfds - req.fds_taken);
        return false;
    }
    return true;
}

/*
 * RING
 */

/*
 * Makes the memory and the bells. The descriptors in @theirs are for the
 * helper; the caller closes them.
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
    error_setg_errno(errp, -ret, "cannot set up memory shared with the "
                     "helper");
    proxy_close_fds(theirs, PROXY_RING_FDS);
    proxy_close_fds(&requests[1], 1);
    proxy_close_fds(&replies[0], 1);
    return NULL;
}

static bool ring_request(ProxyChannel *ch, const int *fds, Error **errp)
{
    ProxyHeader header = {
        .size = PROXY_HEADER_SIZE, .type = PROXY_RING, .nfds = PROXY_RING_FDS,
    };
    uint8_t buf[PROXY_HEADER_SIZE];
    ssize_t n;

    proxy_header_put(&header, buf);
    do {
        n = proxy_send_fds(ch->fd, buf, sizeof(buf), fds, PROXY_RING_FDS,
                           MSG_DONTWAIT);
    } while (n < 0 && errno == EINTR);
    if (n != sizeof(buf)) {
        error_setg_errno(errp, n < 0 ? errno : EIO,
                         "cannot send to the helper");
        return false;
    }
    return true;
}

/*
 * Asks the helper to use the ring of @fds. *@ret: 0, or the helper's -errno. If
 * the helper refuses, the channel works without a ring.
 */
static bool ring_agree(ProxyChannel *ch, const int *fds, int *ret,
                       Error **errp)
{
    ProxyRequest req = { .type = PROXY_RING };
    bool ok;

    if (!ring_request(ch, fds, errp) || !hello_recv(ch, &req, &ok, errp)) {
        return false;
    }
    if (!ok || !marshal_done(&req.r) ||
        ch->in.start != ch->in.end || ch->in.nfds) {
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
    proxy_close_fds(theirs, PROXY_RING_FDS);
    if (ok && ret == 0) {
        ch->rings = rings;
        ch->ring_in.buf = g_malloc(PROXY_IN_SIZE);
        ch->hello.ring = true;
        return true;
    }
    proxy_rings_free(rings);
    if (ok && ring == ON_OFF_AUTO_ON) {
        error_setg_errno(errp, -ret, "ring=on: the helper cannot use the ring");
        return false;
    }
    return ok;
}

/*
 * Greeting
 */

bool proxy_channel_greet(ProxyChannel *ch, bool donate, OnOffAuto ring,
                         Error **errp)
{
    ch->codec = &proxy_codec;
    return hello_send(ch, donate, errp) && hello_parse(ch, donate, errp) &&
           ring_setup(ch, ring, errp);
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
