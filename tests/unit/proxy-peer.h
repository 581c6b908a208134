/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The helper's end of a proxy channel, played by hand: what the tests of
 * QEMU's end put into the socket and take out of it. Single-threaded: whoever
 * waits here lets QEMU's end run with aio_poll().
 */
#ifndef TESTS_PROXY_PEER_H
#define TESTS_PROXY_PEER_H

#include "qemu/osdep.h"
#include <poll.h>
#include <sys/socket.h>
#include "block/aio.h"
#include "fsdev/proxy-proto.h"
#include "qemu/main-loop.h"

/* What put_hello() grants */
#define PEER_MAX_IN_FLIGHT  4
#define PEER_PID            4711
/* Its id map of uids: 0 is this one, and so on; gids are the host's own */
#define PEER_UID_OUTSIDE    100000
/* For what must come, also on a machine that is busy with something else */
#define PEER_PATIENCE_MS    60000

static inline int open_fds(void)
{
    GDir *dir = g_dir_open("/proc/self/fd", 0, NULL);
    int n = 0;

    g_assert_nonnull(dir);
    while (g_dir_read_name(dir)) {
        n++;
    }
    g_dir_close(dir);
    return n;
}

static inline void peer_send(int peer, const void *buf, size_t size,
                             const int *fds, unsigned nfds)
{
    union {
        char buf[CMSG_SPACE(PROXY_MAX_FDS * sizeof(int))];
        struct cmsghdr align;
    } control = { };
    struct iovec iov = { .iov_base = (void *)buf, .iov_len = size };
    struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };

    if (nfds) {
        struct cmsghdr *cmsg;

        msg.msg_control = control.buf;
        msg.msg_controllen = CMSG_SPACE(nfds * sizeof(int));
        cmsg = CMSG_FIRSTHDR(&msg);
        cmsg->cmsg_level = SOL_SOCKET;
        cmsg->cmsg_type = SCM_RIGHTS;
        cmsg->cmsg_len = CMSG_LEN(nfds * sizeof(int));
        memcpy(CMSG_DATA(cmsg), fds, nfds * sizeof(int));
    }
    g_assert_cmpint(sendmsg(peer, &msg, MSG_NOSIGNAL), ==, size);
}

/* Whether bytes come within @ms; the channel runs meanwhile. */
static inline bool peer_wait(int peer, int ms)
{
    gint64 end = g_get_monotonic_time() + ms * INT64_C(1000);
    struct pollfd pfd = { .fd = peer, .events = POLLIN };

    do {
        while (aio_poll(qemu_get_aio_context(), false)) {
            /* again */
        }
        if (poll(&pfd, 1, 1) > 0) {
            return true;
        }
    } while (g_get_monotonic_time() < end);
    return false;
}

/* The next request whole; its header, with the payload in @payload. */
static inline ProxyHeader peer_recv(int peer, void *payload, size_t room)
{
    uint8_t head[PROXY_HEADER_SIZE];
    ProxyHeader h;

    g_assert_true(peer_wait(peer, PEER_PATIENCE_MS));
    g_assert_cmpint(recv(peer, head, sizeof(head), MSG_WAITALL), ==,
                    sizeof(head));
    proxy_header_get(&h, head);
    g_assert_cmpuint(h.size, <=, PROXY_HEADER_SIZE + room);
    g_assert_cmpuint(h.nfds, ==, 0);
    for (size_t got = 0; got < h.size - PROXY_HEADER_SIZE; ) {
        ssize_t n;

        g_assert_true(peer_wait(peer, PEER_PATIENCE_MS));
        n = recv(peer, (char *)payload + got,
                 h.size - PROXY_HEADER_SIZE - got, 0);
        g_assert_cmpint(n, >, 0);
        got += n;
    }
    return h;
}

/*
 * HELLO's reply, with its only descriptor to be sent along if @donated. Returns
 * its size.
 */
static inline size_t put_hello(uint8_t *buf, size_t room, uint32_t version,
                               uint64_t handle, uint8_t donated,
                               const FsAttr *root)
{
    ProxyHeader h = { .type = PROXY_HELLO | PROXY_REPLY, .nfds = donated };
    ProxyIdRange ids = { .outside = PEER_UID_OUTSIDE, .count = 65536 };
    MarshalWriter w;

    marshal_writer_init(&w, buf, room);
    marshal_reserve(&w, PROXY_HEADER_SIZE);
    marshal_put_u32(&w, 0);
    marshal_put_u32(&w, version);
    marshal_put_u32(&w, 0);
    marshal_put_u32(&w, PROXY_MAX_MESSAGE);
    marshal_put_u32(&w, PEER_MAX_IN_FLIGHT);
    marshal_put_u32(&w, PEER_PID);
    marshal_put_u64(&w, handle);
    marshal_put_u8(&w, donated);
    proxy_put_attr(&w, root);
    proxy_put_idmap(&w, &ids, 1);
    proxy_put_idmap(&w, NULL, 0);
    g_assert_true(marshal_fits(&w));
    h.size = marshal_size(&w);
    proxy_header_put(&h, buf);
    return h.size;
}

#endif /* TESTS_PROXY_PEER_H */
