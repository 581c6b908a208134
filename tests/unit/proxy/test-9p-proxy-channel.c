/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Tests of QEMU's end of the proxy channel: the greeting, and good requests and
 * replies, against a peer that chooses when and how it answers.
 */
#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qemu/bswap.h"
#include "qemu/defer-call.h"
#include "qemu/sockets.h"
#include "channel-fixture.h"

/*
 * HELLO
 */

static void test_hello(void)
{
    uint8_t hello[1024];
    uint32_t said[PROXY_HELLO_SIZE / 4];
    ProxyHello *h;
    ChannelTest t;
    size_t size;
    int sv[2], fd = open("/", O_PATH | O_DIRECTORY);

    channel_setup_pair(&t, sv);
    size = put_hello(hello, sizeof(hello), PROXY_VERSION, PROXY_ROOT_HANDLE, 1,
                     &channel_root);
    peer_send(t.peer, hello, size, &fd, 1);
    t.ch = proxy_channel_new(channel_ctx, "test", sv[0], true, ON_OFF_AUTO_OFF,
                             &error_abort);
    g_assert_cmpint(recv(t.peer, said, sizeof(said), 0), ==, sizeof(said));
    g_assert_cmphex(said[0], ==, PROXY_HELLO_TYPE);
    g_assert_cmpuint(said[1], ==, 8);
    g_assert_cmpuint(le32_to_cpu(said[2]), ==, 2);
    g_assert_cmpuint(le32_to_cpu(said[3]), ==, PROXY_HELLO_AGAIN);

    h = proxy_channel_hello(t.ch);
    g_assert_cmpuint(h->pid, ==, 4711);
    g_assert_cmpuint(h->n_uids, ==, 1);
    g_assert_cmpuint(h->uids[0].outside, ==, 100000);
    g_assert_cmpuint(h->n_gids, ==, 0);
    g_assert_cmpint(h->root_fd, >=, 0);
    g_assert_true(fcntl(h->root_fd, F_GETFD) & FD_CLOEXEC);
    channel_finish(&t);
    close(fd);
}

/* The error that HELLO ends with when the peer says @buf and closes. */
static void hello_fails(const void *buf, size_t size, const char *error)
{
    Error *err = NULL;
    ChannelTest t;
    int sv[2];

    channel_setup_pair(&t, sv);
    if (size) {
        peer_send(t.peer, buf, size, NULL, 0);
    }
    shutdown(t.peer, SHUT_WR);
    t.ch = proxy_channel_new(channel_ctx, "test", sv[0], false,
                             ON_OFF_AUTO_AUTO, &err);
    g_assert_null(t.ch);
    g_assert_nonnull(err);
    if (!strstr(error_get_pretty(err), error)) {
        g_error("'%s' instead of '%s'", error_get_pretty(err), error);
    }
    error_free(err);
    close(t.peer);
    expect_open_fds(t.fds_before);
}

static void test_hello_bad(void)
{
    uint8_t hello[1024] = { };
    size_t size, i;

    hello_fails("", 0, "closed the connection");
    hello_fails("HTTP/1.0 400 Bad Request\r\n", 26,
                "does not speak protocol version 2");
    /* A version 1 reply: type and size, host byte order */
    hello_fails("\x06\0\0\0\x04\0\0\0\xea\xff\xff\xff", 12,
                "does not speak protocol version 2");
    size = put_hello(hello, sizeof(hello), 3, PROXY_ROOT_HANDLE, 0,
                     &channel_root);
    hello_fails(hello, size, "protocol version 3");
    size = put_hello(hello, sizeof(hello), PROXY_VERSION, 7, 0, &channel_root);
    hello_fails(hello, size, "malformed");
    size = put_reply(hello, PROXY_HELLO, 0, 0, EPROTONOSUPPORT, 0);
    hello_fails(hello, size, "refuses");

    /* Every cut, with the size in the header as it was and as it is */
    size = put_hello(hello, sizeof(hello), PROXY_VERSION, PROXY_ROOT_HANDLE,
                     0, &channel_root);
    for (i = 1; i < size; i++) {
        hello_fails(hello, i, "closed the connection");
    }
    for (i = PROXY_HEADER_SIZE + 8; i < size; i++) {
        stl_le_p(hello, i);
        hello_fails(hello, i, "malformed");
    }
    /* Something after it */
    stl_le_p(hello, size + 1);
    hello_fails(hello, size + 1, "malformed");
    stl_le_p(hello, size);
    hello_fails(hello, size + 1, "malformed");
}

/* One number of HELLO's that cannot be */
static void test_hello_lies(void)
{
    static const struct {
        size_t at;              /* in the payload, after the error */
        uint32_t value;
    } lies[] = {
        { 8, 0 },               /* max_message */
        { 8, PROXY_HEADER_SIZE },
        { 12, 0 },              /* max_in_flight */
        { 20, 0 },              /* handle */
        { 29 + 4, S_IFREG | 0644 },     /* mode of the root */
        { 29 + 4, 0 },
        { 181, PROXY_IDMAP_MAX + 1 },   /* ranges of ids */
        { 181, 0xffff },
        { 183 + 8, 0 },         /* a range of no ids, */
        { 183 + 8, UINT32_MAX },        /* and one beyond 32 bits */
    };
    uint8_t hello[1024];
    size_t size, i;

    for (i = 0; i < ARRAY_SIZE(lies); i++) {
        size = put_hello(hello, sizeof(hello), PROXY_VERSION,
                         PROXY_ROOT_HANDLE, 0, &channel_root);
        stl_le_p(hello + PROXY_HEADER_SIZE + 4 + lies[i].at, lies[i].value);
        hello_fails(hello, size, "malformed");
    }
    /* It says that it donates, and does not; and it must not */
    size = put_hello(hello, sizeof(hello), PROXY_VERSION, PROXY_ROOT_HANDLE,
                     1, &channel_root);
    hello_fails(hello, size, "does not speak protocol version 2");
    stw_le_p(hello + 6, 0);
    hello_fails(hello, size, "malformed");
}

/* Limits beyond what QEMU has: its own hold. */
static void test_hello_huge(void)
{
    uint8_t hello[1024], said[PROXY_HELLO_SIZE];
    size_t size = put_hello(hello, sizeof(hello), PROXY_VERSION,
                            PROXY_ROOT_HANDLE, 0, &channel_root);
    ChannelCall *c = g_new0(ChannelCall, 1025);
    int sv[2], i;
    ChannelTest t;

    stl_le_p(hello + PROXY_HEADER_SIZE + 4 + 4, UINT32_MAX);    /* features */
    stl_le_p(hello + PROXY_HEADER_SIZE + 4 + 8, UINT32_MAX);
    stl_le_p(hello + PROXY_HEADER_SIZE + 4 + 12, UINT32_MAX);
    channel_setup_pair(&t, sv);
    peer_send(t.peer, hello, size, NULL, 0);
    t.ch = proxy_channel_new(channel_ctx, "test", sv[0], true, ON_OFF_AUTO_OFF,
                             &error_abort);
    g_assert_cmpint(recv(t.peer, said, sizeof(said), 0), ==, sizeof(said));
    for (i = 0; i < 1025; i++) {
        channel_call_start(&t, &c[i], PROXY_GETATTR, i);
        g_assert_true(!c[i].call.on_cancel == (i < 1024));
    }
    peer_close(&t.peer);
    for (i = 0; i < 1025; i++) {
        channel_call_wait(&c[i]);
        g_assert_cmpint(c[i].ret, ==, -EIO);
    }
    channel_finish(&t);
    g_free(c);
}

/*
 * Requests
 */

/* What is made in one section leaves together, and any order of replies does */
static void test_batch(void)
{
    ChannelCall c[MAX_IN_FLIGHT] = { };
    ProxyHeader h[MAX_IN_FLIGHT];
    uint8_t buf[MAX_IN_FLIGHT * 64];
    uint64_t handle;
    size_t size = 0;
    ChannelTest t;
    int i;

    channel_setup(&t);
    defer_call_begin();
    for (i = 0; i < MAX_IN_FLIGHT; i++) {
        channel_call_start(&t, &c[i], PROXY_GETATTR, 100 + i);
    }
    g_assert_cmpuint(peer_waiting(t.peer), ==, 0);
    defer_call_end();
    g_assert_cmpuint(peer_waiting(t.peer), ==,
                     MAX_IN_FLIGHT * (PROXY_HEADER_SIZE + 8));

    for (i = 0; i < MAX_IN_FLIGHT; i++) {
        h[i] = peer_recv(t.peer, &handle, sizeof(handle));
        g_assert_cmpuint(h[i].type, ==, PROXY_GETATTR);
        g_assert_cmpuint(le64_to_cpu(handle), ==, 100 + i);
    }
    for (i = MAX_IN_FLIGHT - 1; i >= 0; i--) {
        size += put_reply(buf + size, PROXY_GETATTR, h[i].tag, 0,
                          i == 1 ? ENOENT : 0, 1000 + i);
    }
    peer_send(t.peer, buf, size, NULL, 0);
    for (i = 0; i < MAX_IN_FLIGHT; i++) {
        channel_call_wait(&c[i]);
        if (i == 1) {
            g_assert_cmpint(c[i].ret, ==, -ENOENT);
        } else {
            g_assert_cmpint(c[i].ret, ==, 0);
            g_assert_cmpuint(c[i].answer, ==, 1000 + i);
        }
    }
    channel_finish(&t);
}

/* Beyond the helper's limit calls wait in order, and can be cancelled */
static void test_limit(void)
{
    ChannelCall c[MAX_IN_FLIGHT + 3] = { };
    uint64_t handle;
    ProxyHeader h;
    ChannelTest t;
    int i;

    channel_setup(&t);
    for (i = 0; i < ARRAY_SIZE(c); i++) {
        channel_call_start(&t, &c[i], PROXY_GETATTR, i);
    }
    c[MAX_IN_FLIGHT].call.cancelled = true;
    c[MAX_IN_FLIGHT].call.on_cancel(&c[MAX_IN_FLIGHT].call,
                                    c[MAX_IN_FLIGHT].call.on_cancel_opaque);
    g_assert_true(c[MAX_IN_FLIGHT].done);
    g_assert_cmpint(c[MAX_IN_FLIGHT].ret, ==, -EINTR);
    /* On its way: nothing to give up on */
    g_assert_null(c[0].call.on_cancel);

    for (i = 0; i < ARRAY_SIZE(c); i++) {
        if (i == MAX_IN_FLIGHT) {
            continue;
        }
        h = peer_recv(t.peer, &handle, sizeof(handle));
        g_assert_cmpuint(le64_to_cpu(handle), ==, i);
        if (i == 0) {
            /* The others of the first four are there, no fifth is */
            g_assert_cmpuint(peer_waiting(t.peer), ==,
                             (MAX_IN_FLIGHT - 1) * (PROXY_HEADER_SIZE + 8));
        }
        peer_reply(&t, PROXY_GETATTR, h.tag, 0, i);
        channel_call_wait(&c[i]);
        g_assert_cmpint(c[i].ret, ==, 0);
        g_assert_cmpuint(c[i].answer, ==, i);
    }
    channel_finish(&t);
}

/* A cancelled call that the helper has keeps waiting for its reply */
static void test_cancel_sent(void)
{
    ChannelCall c = { };
    uint64_t handle;
    ProxyHeader h;
    ChannelTest t;

    channel_setup(&t);
    channel_call_start(&t, &c, PROXY_GETATTR, 1);
    c.call.cancelled = true;
    h = peer_recv(t.peer, &handle, sizeof(handle));
    g_assert_false(c.done);
    peer_reply(&t, PROXY_GETATTR, h.tag, 0, 5);
    channel_call_wait(&c);
    g_assert_cmpint(c.ret, ==, 0);

    /* One that was cancelled before is not begun */
    channel_call_start(&t, &c, PROXY_GETATTR, 1);
    g_assert_true(c.done);
    g_assert_cmpint(c.ret, ==, -EINTR);
    channel_finish(&t);
}

/*
 * An abandoned call ends at once. Its slot stays taken, and when the reply
 * comes after all, nothing that it brings is kept.
 */
static void test_abandon(void)
{
    uint8_t buf[1024], payload[256];
    ChannelCall c[MAX_IN_FLIGHT + 2] = { };
    ProxyHeader h, reply = { .type = PROXY_CREATE | PROXY_REPLY, .nfds = 2 };
    MarshalWriter w;
    uint32_t last;
    int fds[2], before;
    ChannelTest t;
    int i;

    channel_setup(&t);
    g_assert_cmpint(pipe(fds), ==, 0);
    for (i = 0; i < MAX_IN_FLIGHT; i++) {
        channel_call_start(&t, &c[i], PROXY_CREATE, i);
        h = peer_recv(t.peer, payload, sizeof(payload));
        reply.tag = i == 0 ? h.tag : reply.tag;
        last = h.tag;
        c[i].call.on_abandon(&c[i].call, c[i].call.on_abandon_opaque);
        g_assert_true(c[i].done);
        g_assert_cmpint(c[i].ret, ==, -EIO);
        g_assert_null(c[i].call.on_abandon);
    }
    channel_call_start(&t, &c[i], PROXY_GETATTR, 7);
    g_assert_false(peer_wait(t.peer, 50));

    marshal_writer_init(&w, buf, sizeof(buf));
    marshal_reserve(&w, PROXY_HEADER_SIZE);
    marshal_put_u32(&w, 0);
    proxy_put_attr(&w, &channel_root);
    marshal_put_u64(&w, 42);
    marshal_put_u8(&w, 1);
    reply.size = marshal_size(&w);
    proxy_header_put(&reply, buf);
    before = open_fds();
    peer_send(t.peer, buf, reply.size, fds, 2);

    /* The FORGET leaves before the one that waited */
    while (!peer_wait(t.peer, 0)) {
        aio_poll(channel_ctx, true);
    }
    h = peer_recv(t.peer, payload, sizeof(payload));
    g_assert_cmpuint(h.type, ==, PROXY_FORGET);
    g_assert_cmpuint(lduw_le_p(payload), ==, 1);
    g_assert_cmpuint(ldq_le_p(payload + 2), ==, 42);
    h = peer_recv(t.peer, payload, sizeof(payload));
    g_assert_cmpuint(h.type, ==, PROXY_GETATTR);
    peer_reply(&t, PROXY_GETATTR, h.tag, 0, 8);
    channel_call_wait(&c[i]);
    g_assert_cmpuint(c[i].answer, ==, 8);
    expect_open_fds(before);

    /* An error, and then the end with the rest still abandoned */
    peer_reply(&t, PROXY_CREATE, last, ENOSPC, 0);
    channel_call_start(&t, &c[i + 1], PROXY_GETATTR, 7);
    h = peer_recv(t.peer, payload, sizeof(payload));
    peer_reply(&t, PROXY_GETATTR, h.tag, 0, 9);
    channel_call_wait(&c[i + 1]);
    g_assert_cmpuint(c[i + 1].answer, ==, 9);
    close(fds[0]);
    close(fds[1]);
    channel_finish(&t);
}

/* Replies in single bytes */
static void test_pieces(void)
{
    uint8_t buf[64];
    uint64_t handle;
    ChannelCall c = { };
    ProxyHeader h;
    size_t size, i;
    ChannelTest t;

    channel_setup(&t);
    channel_call_start(&t, &c, PROXY_GETATTR, 1);
    h = peer_recv(t.peer, &handle, sizeof(handle));
    size = put_reply(buf, PROXY_GETATTR, h.tag, 0, 0, 77);
    for (i = 0; i < size; i++) {
        g_assert_false(c.done);
        peer_send(t.peer, buf + i, 1, NULL, 0);
        while (aio_poll(channel_ctx, false)) {
            /* again */
        }
    }
    channel_call_wait(&c);
    g_assert_cmpint(c.ret, ==, 0);
    g_assert_cmpuint(c.answer, ==, 77);
    channel_finish(&t);
}

/* More than the socket takes at once, to a peer that reads late */
static void test_backpressure(void)
{
    g_autofree uint8_t *payload = g_malloc(PROXY_MAX_MESSAGE);
    ChannelCall c[64] = { };
    ProxyHeader h;
    ChannelTest t;
    int i;

    channel_setup(&t);
    for (i = 0; i < ARRAY_SIZE(c); i++) {
        c[i].extra = 100000;
        channel_call_start(&t, &c[i], PROXY_SETXATTR, i);
    }
    for (i = 0; i < ARRAY_SIZE(c); i++) {
        h = peer_recv(t.peer, payload, PROXY_MAX_MESSAGE);
        g_assert_cmpuint(h.size, ==, PROXY_HEADER_SIZE + 8 + 100000);
        g_assert_cmpuint(ldq_le_p(payload), ==, i);
        g_assert_cmpint(payload[8], ==, 'x');
        g_assert_cmpint(payload[8 + 99999], ==, 'x');
        peer_reply(&t, PROXY_SETXATTR, h.tag, 0, i);
    }
    for (i = 0; i < ARRAY_SIZE(c); i++) {
        channel_call_wait(&c[i]);
        g_assert_cmpint(c[i].ret, ==, 0);
    }

    /* What the helper does not take is not sent, and its place is free again */
    c[0].extra = PROXY_MAX_MESSAGE;
    for (i = 0; i < 2 * MAX_IN_FLIGHT; i++) {
        channel_call_start(&t, &c[0], PROXY_SETXATTR, 0);
        g_assert_true(c[0].done);
        g_assert_cmpint(c[0].ret, ==, -E2BIG);
    }
    g_assert_false(peer_wait(t.peer, 5));
    channel_finish(&t);
}

/*
 * A peer that answers what it did not read, as it can guess the tags, does not
 * have requests pile up here: they wait, and can be given up.
 */
static void test_guessed(void)
{
    ChannelCall c[40] = { };
    uint32_t serial = 1;
    size_t i, waits = 0;
    ChannelTest t;

    channel_setup(&t);
    for (i = 0; i < ARRAY_SIZE(c); i++) {
        c[i].extra = 100000;
        channel_call_start(&t, &c[i], PROXY_SETXATTR, i);
        if (c[i].call.on_cancel) {
            waits++;
            continue;
        }
        g_assert_cmpuint(waits, ==, 0);
        /* Slots are handed out from the first on, and one is in use. */
        peer_reply(&t, PROXY_SETXATTR, serial++ * 1024, 0, 7);
        channel_call_wait(&c[i]);
        g_assert_cmpint(c[i].ret, ==, 0);
    }
    /* Less than what OUT_MAX has room for is on its way, and in the socket */
    g_assert_cmpuint(waits, >, 20);
    i = ARRAY_SIZE(c) - 1;
    c[i].call.cancelled = true;
    c[i].call.on_cancel(&c[i].call, c[i].call.on_cancel_opaque);
    g_assert_true(c[i].done);
    g_assert_cmpint(c[i].ret, ==, -EINTR);
    peer_close(&t.peer);
    for (i = 0; i < ARRAY_SIZE(c) - 1; i++) {
        channel_call_wait(&c[i]);
        g_assert_cmpint(c[i].ret, ==, i < ARRAY_SIZE(c) - waits ? 0 : -EIO);
    }
    channel_finish(&t);
}

/* Errors that only the kernel may see */
static void test_kernel_errno(void)
{
    static const int errors[] = { 1, 511, 512, 4095 };
    uint64_t handle;
    ChannelTest t;
    int i;

    channel_setup(&t);
    for (i = 0; i < ARRAY_SIZE(errors); i++) {
        ChannelCall c = { };
        ProxyHeader h;

        channel_call_start(&t, &c, PROXY_GETATTR, 1);
        h = peer_recv(t.peer, &handle, sizeof(handle));
        peer_reply(&t, PROXY_GETATTR, h.tag, errors[i], 0);
        channel_call_wait(&c);
        g_assert_cmpint(c.ret, ==, errors[i] < 512 ? -errors[i] : -EIO);
    }
    channel_finish(&t);
}

/* Descriptors go to the messages in order, though they came together */
static void test_descriptors(void)
{
    ChannelCall c[2] = { };
    ProxyHeader h[2];
    uint64_t handle;
    uint8_t buf[128];
    size_t size;
    int i, fds[2];
    struct stat st;
    ChannelTest t;

    fds[0] = open("/dev/null", O_RDONLY);
    fds[1] = open("/dev/zero", O_RDONLY);
    channel_setup(&t);
    for (i = 0; i < 2; i++) {
        c[i].take_fds = 1;
        channel_call_start(&t, &c[i], PROXY_OPEN, i);
        h[i] = peer_recv(t.peer, &handle, sizeof(handle));
    }
    size = put_reply(buf, PROXY_OPEN, h[1].tag, 1, 0, 0);
    size += put_reply(buf + size, PROXY_OPEN, h[0].tag, 1, 0, 0);
    peer_send(t.peer, buf, size, fds, 2);
    for (i = 0; i < 2; i++) {
        channel_call_wait(&c[i]);
        g_assert_cmpint(c[i].ret, ==, 0);
        g_assert_cmpint(fstat(c[i].fd, &st), ==, 0);
        /* null is 1:3 and zero 1:5 (devices.txt of Linux) */
        g_assert_cmpuint(minor(st.st_rdev), ==, i == 0 ? 5 : 3);
        g_assert_true(fcntl(c[i].fd, F_GETFD) & FD_CLOEXEC);
        close(c[i].fd);
    }
    channel_finish(&t);
    close(fds[0]);
    close(fds[1]);
}

static void test_forget(void)
{
    uint8_t payload[2 + PROXY_FORGET_MAX * 12];
    ChannelCall c = { };
    ProxyHeader h;
    ChannelTest t;
    int i;

    channel_setup(&t);
    /* By themselves, after a while */
    proxy_forget(t.ch, 5, 3);
    proxy_forget(t.ch, 6, 1);
    h = peer_recv(t.peer, payload, sizeof(payload));
    g_assert_cmpuint(h.type, ==, PROXY_FORGET);
    g_assert_cmpuint(h.size, ==, PROXY_HEADER_SIZE + 2 + 2 * 12);
    g_assert_cmpuint(lduw_le_p(payload), ==, 2);
    g_assert_cmpuint(ldq_le_p(payload + 2), ==, 5);
    g_assert_cmpuint(ldl_le_p(payload + 10), ==, 3);
    g_assert_cmpuint(ldq_le_p(payload + 14), ==, 6);

    /* Before the next request, in messages of the greatest length */
    for (i = 0; i < PROXY_FORGET_MAX + 1; i++) {
        proxy_forget(t.ch, i, 1);
    }
    channel_call_start(&t, &c, PROXY_GETATTR, 1);
    h = peer_recv(t.peer, payload, sizeof(payload));
    g_assert_cmpuint(h.type, ==, PROXY_FORGET);
    g_assert_cmpuint(lduw_le_p(payload), ==, PROXY_FORGET_MAX);
    h = peer_recv(t.peer, payload, sizeof(payload));
    g_assert_cmpuint(lduw_le_p(payload), ==, 1);
    g_assert_cmpuint(ldq_le_p(payload + 2), ==, PROXY_FORGET_MAX);
    h = peer_recv(t.peer, payload, sizeof(payload));
    g_assert_cmpuint(h.type, ==, PROXY_GETATTR);
    peer_reply(&t, PROXY_GETATTR, h.tag, 0, 0);
    channel_call_wait(&c);
    channel_finish(&t);
}

int main(int argc, char **argv)
{
    channel_test_init(&argc, &argv);
    g_test_add_func("/proxy-channel/hello", test_hello);
    g_test_add_func("/proxy-channel/hello-bad", test_hello_bad);
    g_test_add_func("/proxy-channel/hello-lies", test_hello_lies);
    g_test_add_func("/proxy-channel/hello-huge", test_hello_huge);
    g_test_add_func("/proxy-channel/batch", test_batch);
    g_test_add_func("/proxy-channel/limit", test_limit);
    g_test_add_func("/proxy-channel/cancel-sent", test_cancel_sent);
    g_test_add_func("/proxy-channel/abandon", test_abandon);
    g_test_add_func("/proxy-channel/pieces", test_pieces);
    g_test_add_func("/proxy-channel/backpressure", test_backpressure);
    g_test_add_func("/proxy-channel/guessed", test_guessed);
    g_test_add_func("/proxy-channel/kernel-errno", test_kernel_errno);
    g_test_add_func("/proxy-channel/descriptors", test_descriptors);
    g_test_add_func("/proxy-channel/forget", test_forget);
    return g_test_run();
}
