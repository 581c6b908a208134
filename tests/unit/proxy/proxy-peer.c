/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The helper's end of a proxy channel, played by hand: see proxy-peer.h.
 */
#include "qemu/osdep.h"
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include "block/aio.h"
#include "qemu/atomic.h"
#include "qemu/main-loop.h"
#include "hw/9pfs/proxy/channel.h"
#include "proxy-peer.h"

ProxyRings *peer_rings;

int open_fds(void)
{
    gint64 end = g_get_monotonic_time() + PEER_PATIENCE_MS * INT64_C(1000);
    GDir *dir;
    int n = 0;

    /* QEMU closes what it does not know in threads. */
    while (proxy_closing()) {
        g_assert_cmpint(g_get_monotonic_time(), <, end);
        g_usleep(100);
    }
    dir = g_dir_open("/proc/self/fd", 0, NULL);
    g_assert_nonnull(dir);
    while (g_dir_read_name(dir)) {
        n++;
    }
    g_dir_close(dir);
    return n;
}

void expect_open_fds(int n)
{
    int ms;

    for (ms = 0; open_fds() != n && ms < PEER_PATIENCE_MS; ms++) {
        g_usleep(1000);
    }
    g_assert_cmpint(open_fds(), ==, n);
}

void peer_send(int peer, const void *buf, size_t size, const int *fds,
               unsigned nfds)
{
    if (peer_rings && nfds == 0) {
        g_assert_cmpint(proxy_ring_write(&peer_rings->replies, buf, size), ==,
                        size);
        if (proxy_ring_wakes_consumer(&peer_rings->replies)) {
            g_assert_cmpint(proxy_rings_ring(peer_rings), ==, 0);
        }
        return;
    }
    g_assert_cmpint(proxy_send_fds(peer, buf, size, fds, nfds, 0), ==, size);
}

size_t peer_waiting(int peer)
{
    int n;

    if (peer_rings) {
        return qatomic_read(&peer_rings->requests.control->head) -
               peer_rings->requests.at;
    }
    g_assert_cmpint(ioctl(peer, FIONREAD, &n), ==, 0);
    return n;
}

bool peer_wait(int peer, int ms)
{
    gint64 end = g_get_monotonic_time() + ms * INT64_C(1000);
    struct pollfd pfd = { .fd = peer, .events = POLLIN };

    do {
        while (aio_poll(qemu_get_aio_context(), false)) {
            /* again */
        }
        if (peer_rings ? peer_waiting(peer) : poll(&pfd, 1, 1) > 0) {
            return true;
        }
        g_usleep(peer_rings ? 100 : 0);
    } while (g_get_monotonic_time() < end);
    return false;
}

size_t peer_read(int peer, void *buf, size_t size)
{
    ssize_t n;

    g_assert_true(peer_wait(peer, PEER_PATIENCE_MS));
    if (peer_rings) {
        n = proxy_ring_read(&peer_rings->requests, buf, size);
        if (proxy_ring_wakes_producer(&peer_rings->requests)) {
            g_assert_cmpint(proxy_rings_ring(peer_rings), ==, 0);
        }
    } else {
        n = recv(peer, buf, size, 0);
    }
    g_assert_cmpint(n, >, 0);
    return n;
}

ProxyHeader peer_recv(int peer, void *payload, size_t room)
{
    uint8_t head[PROXY_HEADER_SIZE];
    ProxyHeader h;
    size_t got;

    for (got = 0; got < sizeof(head); ) {
        got += peer_read(peer, head + got, sizeof(head) - got);
    }
    proxy_header_get(&h, head);
    g_assert_cmpuint(h.size, <=, PROXY_HEADER_SIZE + room);
    g_assert_cmpuint(h.nfds, ==, 0);
    for (got = 0; got < h.size - PROXY_HEADER_SIZE; ) {
        got += peer_read(peer, (char *)payload + got,
                         h.size - PROXY_HEADER_SIZE - got);
    }
    return h;
}

void peer_close(int *peer)
{
    g_clear_pointer(&peer_rings, proxy_rings_free);
    close(*peer);
    *peer = -1;
}

void peer_agree_ring(int peer, uint32_t error)
{
    union {
        char buf[CMSG_SPACE(PROXY_RING_FDS * sizeof(int))];
        struct cmsghdr align;
    } control;
    uint8_t buf[PROXY_HEADER_SIZE + 4];
    struct iovec iov = { .iov_base = buf, .iov_len = sizeof(buf) };
    struct msghdr msg = {
        .msg_iov = &iov,
        .msg_iovlen = 1,
        .msg_control = control.buf,
        .msg_controllen = sizeof(control.buf),
    };
    struct cmsghdr *cmsg;
    int fds[PROXY_RING_FDS];
    ProxyRings *rings;
    MarshalWriter w;
    ProxyHeader h;

    g_assert_cmpint(recvmsg(peer, &msg, MSG_CMSG_CLOEXEC), ==,
                    PROXY_HEADER_SIZE);
    proxy_header_get(&h, buf);
    g_assert_cmpuint(h.type, ==, PROXY_RING);
    g_assert_cmpuint(h.size, ==, PROXY_HEADER_SIZE);
    g_assert_cmpuint(h.nfds, ==, PROXY_RING_FDS);
    cmsg = CMSG_FIRSTHDR(&msg);
    g_assert_nonnull(cmsg);
    g_assert_cmpuint(cmsg->cmsg_len, ==, CMSG_LEN(sizeof(fds)));
    memcpy(fds, CMSG_DATA(cmsg), sizeof(fds));

    g_assert_cmpint(proxy_rings_new(&rings, fds[0], fds[1], fds[2]), ==, 0);
    close(fds[0]);
    h = (ProxyHeader) {
        .size = sizeof(buf), .type = PROXY_RING | PROXY_REPLY, .tag = h.tag,
    };
    proxy_header_put(&h, buf);
    marshal_writer_init(&w, buf + PROXY_HEADER_SIZE, 4);
    marshal_put_u32(&w, error);
    peer_send(peer, buf, sizeof(buf), NULL, 0);
    if (error) {
        proxy_rings_free(rings);
    } else {
        peer_rings = rings;
    }
}

size_t put_hello(uint8_t *buf, size_t room, uint32_t version, uint64_t handle,
                 uint8_t donated, const FsAttr *root)
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
