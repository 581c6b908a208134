/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Tests of QEMU's end of the proxy channel with requests and replies in shared
 * memory, against a peer that may do anything to the memory.
 */
#include "qemu/osdep.h"
#include "block/aio.h"
#include "qapi/error.h"
#include "qemu/atomic.h"
#include "qemu/bswap.h"
#include "qemu/defer-call.h"
#include "qemu/sockets.h"
#include "channel-fixture.h"

/* Whether there is one, and what is said if there has to be */
static void test_ring_greeting(void)
{
    static const struct {
        uint32_t features;
        uint32_t error;
        OnOffAuto ring;
        bool asked;             /* RING is sent */
        const char *says;       /* the error, if it is one */
    } cases[] = {
        { 0, 0, ON_OFF_AUTO_OFF, false },
        { 0, 0, ON_OFF_AUTO_AUTO, false },
        { 0, 0, ON_OFF_AUTO_ON, false, "ring=on: the helper has no ring" },
        { PROXY_FEATURE_RING, 0, ON_OFF_AUTO_OFF, false },
        { PROXY_FEATURE_RING, 0, ON_OFF_AUTO_ON, true },
        { PROXY_FEATURE_RING, 0, ON_OFF_AUTO_AUTO, true },
        { PROXY_FEATURE_RING, ENOMEM, ON_OFF_AUTO_AUTO, true },
        { PROXY_FEATURE_RING, EINVAL, ON_OFF_AUTO_ON, true,
          "ring=on: the helper cannot use the ring: Invalid argument" },
    };
    size_t i;

    for (i = 0; i < ARRAY_SIZE(cases); i++) {
        ChannelGreeter g = {
            .features = cases[i].features, .error = cases[i].error,
            .no_ring = !cases[i].asked,
        };
        Error *err = NULL;
        ChannelTest t;
        int sv[2];

        channel_setup_pair(&t, sv);
        t.ch = channel_greet(&t, sv[0], &g, cases[i].ring, &err);
        if (cases[i].says) {
            g_assert_null(t.ch);
            g_assert_cmpstr(error_get_pretty(err), ==, cases[i].says);
            error_free(err);
            peer_close(&t.peer);
            expect_open_fds(t.fds_before);
        } else {
            bool ring = cases[i].asked && !cases[i].error;

            g_assert_null(err);
            g_assert_cmpint(proxy_channel_hello(t.ch)->ring, ==, ring);
            g_assert_cmpint(peer_rings != NULL, ==, ring);
            channel_one_call(&t);
            channel_finish(&t);
        }
    }
}

/* Anything but an answer to RING */
static void *bad_ring_thread(void *opaque)
{
    ChannelGreeter *g = opaque;

    g->no_ring = true;
    channel_greeter_thread(g);
    switch (g->error) {
    case 0:
        shutdown(g->peer, SHUT_WR);
        break;
    case 1:
        peer_send(g->peer, "what?", 5, NULL, 0);
        shutdown(g->peer, SHUT_WR);
        break;
    case 2:                     /* another type's reply */
        peer_send(g->peer, "\x10\0\0\0\x04\x80\0\0\0\0\0\0\0\0\0\0", 16,
                  NULL, 0);
        break;
    case 3:                     /* another tag */
        peer_send(g->peer, "\x10\0\0\0\x12\x80\0\0\1\0\0\0\0\0\0\0", 16,
                  NULL, 0);
        break;
    case 4:                     /* more than it has to be */
        peer_send(g->peer, "\x11\0\0\0\x12\x80\0\0\0\0\0\0\0\0\0\0\0", 17,
                  NULL, 0);
        break;
    }
    return NULL;
}

static void test_ring_bad_answer(void)
{
    uint32_t i;

    for (i = 0; i < 5; i++) {
        ChannelGreeter g = { .features = PROXY_FEATURE_RING, .error = i };
        Error *err = NULL;
        GThread *thread;
        ChannelTest t;
        int sv[2];

        channel_setup_pair(&t, sv);
        g.peer = t.peer;
        thread = g_thread_new("greeter", bad_ring_thread, &g);
        t.ch = proxy_channel_new(channel_ctx, "test", sv[0], true,
                                 ON_OFF_AUTO_ON, &err);
        g_thread_join(thread);
        g_assert_null(t.ch);
        g_assert_nonnull(err);
        error_free(err);
        peer_close(&t.peer);
        expect_open_fds(t.fds_before);
    }
}

static void test_ring_counts(void)
{
    static const uint32_t off[] = {
        PROXY_RING_SIZE + 1, 2 * PROXY_RING_SIZE, 0x80000000, UINT32_MAX,
    };
    size_t i;

    for (i = 0; i < 2 * ARRAY_SIZE(off); i++) {
        ChannelCall c = { };
        ChannelTest t;

        channel_setup_ring(&t);
        if (i & 1) {
            channel_one_call(&t);
        }
        /* More replies than there can be; it meets them when the bell rings */
        channel_call_start(&t, &c, PROXY_GETATTR, 1);
        qatomic_set(&peer_rings->mem->replies.head,
                    peer_rings->replies.at + off[i / 2]);
        proxy_rings_ring(peer_rings);
        channel_all_fail(&t, &c, 1);
        channel_finish(&t);

        /* More taken than was put in, or less than was there; when it sends */
        channel_setup_ring(&t);
        if (i & 1) {
            channel_one_call(&t);
        }
        c.done = false;
        qatomic_set(&peer_rings->mem->requests.tail,
                    peer_rings->requests.at - off[i / 2]);
        channel_call_start(&t, &c, PROXY_GETATTR, 1);
        channel_all_fail(&t, &c, 1);
        channel_finish(&t);
    }
}

/* The peer changes our own counts and flags. */
static void test_ring_own_counts(void)
{
    ChannelTest t;
    int i;

    channel_setup_ring(&t);
    for (i = 0; i < 100; i++) {
        ProxyRingMemory *mem = peer_rings->mem;

        qatomic_set(&mem->requests.full, i & 1);
        qatomic_set(&mem->replies.full, i & 1);
        qatomic_set(&mem->requests.asleep, UINT32_MAX);
        qatomic_set(&mem->socket, i * 99);
        channel_one_call(&t);
        proxy_rings_ring(peer_rings);
    }
    qatomic_set(&peer_rings->mem->requests.head, 12345);
    channel_one_call(&t);
    g_assert_cmpuint(peer_waiting(t.peer), ==, 0);
    channel_finish(&t);
}

static void test_ring_noise(void)
{
    int round, i;

    for (round = 0; round < 50; round++) {
        uint8_t noise[2048];
        ChannelCall c = { };
        ChannelTest t;

        channel_setup_ring(&t);
        for (i = 0; i < sizeof(noise); i++) {
            noise[i] = g_test_rand_int();
        }
        if (round & 1) {
            /* Well framed, and with the tag of the request */
            ProxyHeader h = {
                .size = g_test_rand_int_range(PROXY_HEADER_SIZE + 4, 2048),
                .type = PROXY_GETATTR | PROXY_REPLY, .tag = 1024,
            };

            proxy_header_put(&h, noise);
        }
        channel_call_start(&t, &c, PROXY_GETATTR, 1);
        peer_send(t.peer, noise, sizeof(noise), NULL, 0);
        channel_all_fail(&t, &c, 1);
        channel_finish(&t);
    }
}

/* A bell that rings all the time, for nothing */
static void test_ring_flood(void)
{
    ChannelCall c = { };
    uint64_t handle;
    ProxyHeader h;
    ChannelTest t;
    int i;

    channel_setup_ring(&t);
    /* Its end of the pipe may block or not, as it likes. */
    g_assert_cmpint(fcntl(peer_rings->their_bell, F_SETFL, O_NONBLOCK), ==, 0);
    channel_call_start(&t, &c, PROXY_GETATTR, 1);
    for (i = 0; i < 100000; i++) {
        proxy_rings_ring(peer_rings);
    }
    h = peer_recv(t.peer, &handle, sizeof(handle));
    for (i = 0; i < 1000; i++) {
        proxy_rings_ring(peer_rings);
        aio_poll(channel_ctx, false);
        g_assert_false(c.done);
    }
    peer_reply(&t, PROXY_GETATTR, h.tag, 0, 4);
    channel_call_wait(&c);
    g_assert_cmpint(c.ret, ==, 0);
    /* Nor does a bell that is not taken back make it wait. */
    for (i = 0; i < 70000; i++) {
        c.done = false;
        qatomic_set(&peer_rings->mem->requests.asleep, 1);
        channel_call_start(&t, &c, PROXY_GETATTR, 1);
        while (!peer_waiting(t.peer)) {
            aio_poll(channel_ctx, false);
        }
        h = peer_recv(t.peer, &handle, sizeof(handle));
        peer_reply(&t, PROXY_GETATTR, h.tag, 0, 4);
        channel_call_wait(&c);
    }
    channel_finish(&t);
}

/* The peer's bells end, or its socket: in each way it is gone. */
static void test_ring_gone(void)
{
    int way;

    for (way = 0; way < 4; way++) {
        ChannelCall c[2] = { };
        uint64_t handle;
        ProxyHeader h;
        ChannelTest t;

        channel_setup_ring(&t);
        channel_call_start(&t, &c[0], PROXY_GETATTR, 1);
        channel_call_start(&t, &c[1], PROXY_GETATTR, 2);
        h = peer_recv(t.peer, &handle, sizeof(handle));
        /* What it has said by then counts. */
        peer_reply(&t, PROXY_GETATTR, h.tag, 0, 4);
        if (way & 1) {
            shutdown(t.peer, SHUT_RDWR);
        }
        if (way & 2) {
            close(t.peer);
            t.peer = -1;
        }
        if (way != 1) {
            g_clear_pointer(&peer_rings, proxy_rings_free);
        }
        channel_call_wait(&c[0]);
        g_assert_cmpint(c[0].ret, ==, 0);
        channel_all_fail(&t, &c[1], 1);
        g_clear_pointer(&peer_rings, proxy_rings_free);
        channel_finish(&t);
    }
}

/* Replies with descriptors, and what the ring had no room for */
static void test_ring_socket(void)
{
    ChannelCall c[3] = { };
    uint64_t handle;
    uint8_t buf[64];
    ProxyRings *rings;
    int i, fd;
    ChannelTest t;

    channel_setup_ring(&t);
    rings = peer_rings;
    fd = open("/dev/null", O_RDONLY);
    for (i = 0; i < 3; i++) {
        ProxyHeader h;
        ProxyType type = i == 1 ? PROXY_OPEN : PROXY_GETATTR;
        size_t size;

        c[i].take_fds = i == 1;
        channel_call_start(&t, &c[i], type, i);
        h = peer_recv(t.peer, &handle, sizeof(handle));
        size = put_reply(buf, type, h.tag, i == 1, 0, i);
        peer_rings = i == 2 ? NULL : rings;
        peer_send(t.peer, buf, size, &fd, i == 1);
        peer_rings = rings;
        channel_call_wait(&c[i]);
        g_assert_cmpint(c[i].ret, ==, 0);
        g_assert_cmpuint(c[i].answer, ==, i);
    }
    close(c[1].fd);
    close(fd);
    channel_finish(&t);
}

/* One in the ring that says it has a descriptor: none can have come there. */
static void test_ring_fd(void)
{
    ChannelCall c = { .take_fds = 1 };
    uint8_t buf[64];
    uint64_t handle;
    ProxyHeader h;
    size_t size;
    ChannelTest t;

    channel_setup_ring(&t);
    channel_call_start(&t, &c, PROXY_OPEN, 1);
    h = peer_recv(t.peer, &handle, sizeof(handle));
    size = put_reply(buf, PROXY_OPEN, h.tag, 1, 0, 0);
    peer_send(t.peer, buf, size, NULL, 0);
    channel_all_fail(&t, &c, 1);
    channel_finish(&t);
}

/* Descriptors leave through the socket before their messages can be read. */
static void test_ring_adopt(void)
{
    struct stat st, here;
    ProxyHeader h;
    uint64_t handle;
    uint8_t byte;
    union {
        char buf[CMSG_SPACE(PROXY_ADOPT_MAX * sizeof(int))];
        struct cmsghdr align;
    } control;
    struct iovec iov = { &byte, 1 };
    struct msghdr msg = {
        .msg_iov = &iov,
        .msg_iovlen = 1,
        .msg_control = control.buf,
        .msg_controllen = sizeof(control.buf),
    };
    int fd = open("/", O_PATH), got[2], i;
    uint8_t head[PROXY_HEADER_SIZE];
    ChannelTest t;

    g_assert_cmpint(fstat(fd, &here), ==, 0);
    channel_setup_ring(&t);
    defer_call_begin();
    g_assert_true(proxy_adopt(t.ch, PROXY_ADOPTED | 5, fd));
    g_assert_true(proxy_adopt(t.ch, PROXY_ADOPTED | 6, fd));
    g_assert_cmpuint(peer_waiting(t.peer), ==, 0);
    defer_call_end();
    g_assert_cmpuint(peer_waiting(t.peer), ==, 2 * (PROXY_HEADER_SIZE + 8));
    g_assert_cmpint(recvmsg(t.peer, &msg, MSG_DONTWAIT | MSG_CMSG_CLOEXEC), ==,
                    1);
    g_assert_cmpuint(CMSG_FIRSTHDR(&msg)->cmsg_len, ==, CMSG_LEN(sizeof(got)));
    memcpy(got, CMSG_DATA(CMSG_FIRSTHDR(&msg)), sizeof(got));
    for (i = 0; i < 2; i++) {
        g_assert_cmpint(fstat(got[i], &st), ==, 0);
        g_assert_cmpuint(st.st_ino, ==, here.st_ino);
        close(got[i]);
        g_assert_cmpuint(peer_read(t.peer, head, sizeof(head)), ==,
                         sizeof(head));
        proxy_header_get(&h, head);
        g_assert_cmpuint(h.type, ==, PROXY_ADOPT);
        g_assert_cmpuint(h.nfds, ==, 1);
        g_assert_cmpuint(peer_read(t.peer, &handle, 8), ==, 8);
        g_assert_cmpuint(le64_to_cpu(handle), ==, PROXY_ADOPTED | (5 + i));
    }
    channel_one_call(&t);
    channel_finish(&t);
    close(fd);
}

/*
 * As many as the socket takes without being read: then adopting is refused, or
 * waits, and goes on when there is room.
 */
static void test_ring_adopt_many(void)
{
    unsigned refused = 0, i, n = 0;
    int fd = open("/", O_PATH);
    uint8_t msg[PROXY_HEADER_SIZE + 8];
    char byte;
    ChannelCall c = { };
    ChannelTest t;

    channel_setup_ring(&t);
    for (i = 0; i < 3000 && !refused; i++) {
        if (!proxy_adopt(t.ch, PROXY_ADOPTED | i, fd)) {
            refused++;
        }
        while (peer_waiting(t.peer)) {
            peer_read(t.peer, msg, sizeof(msg));
        }
    }
    g_assert_cmpuint(refused, ==, 1);
    channel_call_start(&t, &c, PROXY_GETATTR, 1);
    g_assert_false(peer_wait(t.peer, 20));
    while (recv(t.peer, &byte, 1, MSG_DONTWAIT) == 1) {
        n++;                    /* the kernel closes what came with it */
    }
    g_assert_cmpuint(n, >, 10);
    for (i = 0; i < 2; i++) {
        ProxyHeader h;

        g_assert_true(peer_wait(t.peer, PEER_PATIENCE_MS));
        g_assert_cmpuint(peer_read(t.peer, msg, sizeof(msg)), ==, sizeof(msg));
        proxy_header_get(&h, msg);
        if (h.type == PROXY_GETATTR) {
            peer_reply(&t, PROXY_GETATTR, h.tag, 0, 3);
            break;
        }
        g_assert_cmpuint(h.type, ==, PROXY_ADOPT);
    }
    channel_call_wait(&c);
    g_assert_cmpint(c.ret, ==, 0);
    channel_finish(&t);
    close(fd);
}

/* A reply, without a bell, while the channel has no AioContext */
static void test_ring_moves(void)
{
    ChannelTest t;
    int i;

    channel_setup_ring(&t);
    for (i = 0; i < 10; i++) {
        uint64_t handle;
        ChannelCall c = { };
        ProxyHeader h;

        channel_call_start(&t, &c, PROXY_GETATTR, 1);
        h = peer_recv(t.peer, &handle, sizeof(handle));
        proxy_channel_detach(t.ch);
        qatomic_set(&peer_rings->mem->replies.asleep, 0);
        peer_reply(&t, PROXY_GETATTR, h.tag, 0, 4);
        proxy_channel_attach(t.ch, channel_ctx);
        channel_call_wait(&c);
        g_assert_cmpint(c.ret, ==, 0);
    }
    channel_finish(&t);
}

/* A peer in a thread of its own, that answers, and sleeps at its bell */
static void *echo_thread(void *opaque)
{
    ChannelTest *t = opaque;
    ProxyRing *requests = &peer_rings->requests;
    uint8_t msg[PROXY_HEADER_SIZE + 8];
    size_t got = 0;
    ProxyHeader h;
    char rung[16];
    ssize_t n;

    for (;;) {
        n = proxy_ring_read(requests, msg + got, sizeof(msg) - got);
        g_assert_cmpint(n, >=, 0);
        if (n == 0 && proxy_ring_sleep(requests)) {
            if (read(peer_rings->bell, rung, sizeof(rung)) == 0) {
                return NULL;
            }
            proxy_ring_awake(requests);
        }
        got += n;
        if (got == sizeof(msg)) {
            proxy_header_get(&h, msg);
            peer_reply(t, PROXY_GETATTR, h.tag, 0, ldq_le_p(msg + 12) + 1);
            got = 0;
        }
    }
}

/*
 * No wakeup is lost between two that sleep all the time: with the event loop
 * that only waits, and with one that looks before for so many nanoseconds.
 */
static void test_ring_echo(const void *opaque)
{
    int64_t poll_ns = *(const int64_t *)opaque;
    GThread *thread;
    ChannelTest t;
    int i, j;

    channel_allow_polling(true);
    aio_context_set_poll_params(channel_ctx, poll_ns, 0, 0, &error_abort);
    channel_setup_ring(&t);
    thread = g_thread_new("echo", echo_thread, &t);
    for (i = 0; i < 5000; i++) {
        ChannelCall c[MAX_IN_FLIGHT] = { };

        for (j = 0; j <= i % MAX_IN_FLIGHT; j++) {
            channel_call_start(&t, &c[j], PROXY_GETATTR, i + j);
        }
        for (j = 0; j <= i % MAX_IN_FLIGHT; j++) {
            while (!c[j].done) {
                aio_poll(channel_ctx, true);
            }
            g_assert_cmpint(c[j].ret, ==, 0);
            g_assert_cmpuint(c[j].answer, ==, i + j + 1);
        }
    }
    proxy_channel_free(t.ch);
    g_thread_join(thread);
    peer_close(&t.peer);
    expect_open_fds(t.fds_before);
    aio_context_set_poll_params(channel_ctx, 0, 0, 0, &error_abort);
    channel_allow_polling(false);
}

int main(int argc, char **argv)
{
    static const int64_t poll_ns[] = { 0, 1000, 1000000 };
    int i;

    channel_test_init(&argc, &argv);
    g_test_add_func("/proxy-channel/ring/greeting", test_ring_greeting);
    g_test_add_func("/proxy-channel/ring/bad-answer", test_ring_bad_answer);
    g_test_add_func("/proxy-channel/ring/counts", test_ring_counts);
    g_test_add_func("/proxy-channel/ring/own-counts", test_ring_own_counts);
    g_test_add_func("/proxy-channel/ring/noise", test_ring_noise);
    g_test_add_func("/proxy-channel/ring/flood", test_ring_flood);
    g_test_add_func("/proxy-channel/ring/gone", test_ring_gone);
    g_test_add_func("/proxy-channel/ring/socket", test_ring_socket);
    g_test_add_func("/proxy-channel/ring/fd", test_ring_fd);
    g_test_add_func("/proxy-channel/ring/adopt", test_ring_adopt);
    g_test_add_func("/proxy-channel/ring/adopt-many", test_ring_adopt_many);
    g_test_add_func("/proxy-channel/ring/moves", test_ring_moves);

    for (i = 0; i < ARRAY_SIZE(poll_ns); i++) {
        g_autofree char *path = g_strdup_printf("/proxy-channel/ring/echo/%d",
                                                (int)poll_ns[i]);

        g_test_add_data_func(path, &poll_ns[i], test_ring_echo);
    }
    return g_test_run();
}
