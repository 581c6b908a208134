/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * QEMU's end of the proxy channel against a peer that may do anything.
 *
 * The test holds the helper's end of a socket pair and plays the helper by
 * hand, because what matters here is what no real helper does: bad messages,
 * lost descriptors, odd cuts. Everything runs in one thread: what the peer
 * says is put into the socket, and aio_poll() lets the channel read it.
 *
 * With PROXY_PEER_RING in the environment requests and replies without
 * descriptors go through shared memory instead.
 */
#include "qemu/osdep.h"
#include "block/aio.h"
#include "qapi/error.h"
#include "qemu/bswap.h"
#include "qemu/defer-call.h"
#include "qemu/main-loop.h"
#include "qemu/sockets.h"
#include "hw/9pfs/proxy/channel.h"
#include "proxy-peer.h"

#define MAX_IN_FLIGHT   PEER_MAX_IN_FLIGHT


static const FsAttr root = {
    .mode = S_IFDIR | 0755, .dev = 1, .ino = 2, .nlink = 2,
};
static AioContext *ctx;

typedef struct Test {
    ProxyChannel *ch;
    int peer;
    int fds_before;
} Test;

/* A GETATTR, or whatever a test makes of it, in a coroutine of its own */
typedef struct Call {
    FsCall call;
    Test *t;
    ProxyType type;
    uint64_t handle;
    size_t extra;               /* bytes of request */
    unsigned take_fds;
    int fd;
    uint64_t answer;            /* u64 of the reply */
    int ret;
    bool done;
} Call;

/* A reply of error and, without one, @answer; returns its size. */
static size_t put_reply(uint8_t *buf, ProxyType type, uint32_t tag,
                        unsigned nfds, uint32_t error, uint64_t answer)
{
    ProxyHeader h = { .type = type | PROXY_REPLY, .tag = tag, .nfds = nfds };
    MarshalWriter w;

    marshal_writer_init(&w, buf, 64);
    marshal_reserve(&w, PROXY_HEADER_SIZE);
    marshal_put_u32(&w, error);
    if (!error) {
        marshal_put_u64(&w, answer);
    }
    h.size = marshal_size(&w);
    proxy_header_put(&h, buf);
    return h.size;
}

static void peer_reply(Test *t, ProxyType type, uint32_t tag, uint32_t error,
                       uint64_t answer)
{
    uint8_t buf[64];
    size_t size = put_reply(buf, type, tag, 0, error, answer);

    peer_send(t->peer, buf, size, NULL, 0);
}

/*
 * Setting up
 */

static void setup_pair(Test *t, int sv[2])
{
    t->fds_before = open_fds();
    g_assert_cmpint(qemu_socketpair(AF_UNIX, SOCK_STREAM, 0, sv), ==, 0);
    t->peer = sv[1];
    t->ch = NULL;
}

/* The peer's part of a greeting with a ring: HELLO, then RING */
typedef struct Greeter {
    int peer;
    uint32_t features;
    uint32_t error;             /* of RING */
    bool no_ring;               /* none comes */
} Greeter;

static void *greeter_thread(void *opaque)
{
    Greeter *g = opaque;
    uint8_t hello[1024], said[PROXY_HELLO_SIZE];
    size_t size = put_hello(hello, sizeof(hello), PROXY_VERSION,
                            PROXY_ROOT_HANDLE, 0, &root);

    g_assert_cmpint(recv(g->peer, said, sizeof(said), MSG_WAITALL), ==,
                    sizeof(said));
    stl_le_p(hello + PROXY_HEADER_SIZE + 4 + 4, g->features);
    peer_send(g->peer, hello, size, NULL, 0);
    if (!g->no_ring) {
        peer_agree_ring(g->peer, g->error);
    }
    return NULL;
}

static ProxyChannel *greet(Test *t, int fd, Greeter *g, OnOffAuto ring,
                           Error **errp)
{
    ProxyChannel *ch;
    GThread *thread;

    g->peer = t->peer;
    thread = g_thread_new("greeter", greeter_thread, g);
    ch = proxy_channel_new(ctx, "test", fd, true, ring, errp);
    g_thread_join(thread);
    return ch;
}

static void setup_ring(Test *t)
{
    Greeter g = { .features = PROXY_FEATURE_RING };
    int sv[2];

    setup_pair(t, sv);
    t->ch = greet(t, sv[0], &g, ON_OFF_AUTO_ON, &error_abort);
    g_assert_nonnull(peer_rings);
    g_assert_true(proxy_channel_hello(t->ch)->ring);
}

static void setup(Test *t)
{
    Greeter g = { .no_ring = true };
    int sv[2];

    if (g_getenv("PROXY_PEER_RING")) {
        setup_ring(t);
        return;
    }
    setup_pair(t, sv);
    t->ch = greet(t, sv[0], &g, ON_OFF_AUTO_AUTO, &error_abort);
    g_assert_false(proxy_channel_hello(t->ch)->ring);
}

static void finish(Test *t)
{
    proxy_channel_free(t->ch);
    if (t->peer >= 0) {
        peer_close(&t->peer);
    }
    g_assert_cmpint(open_fds(), ==, t->fds_before);
}

static void coroutine_fn call_entry(void *opaque)
{
    Call *c = opaque;
    ProxyRequest req;

    c->fd = -1;
    c->ret = proxy_begin(c->t->ch, &c->call, &req, c->type, c->extra);
    if (c->ret == 0) {
        marshal_put_u64(&req.w, c->handle);
        if (c->extra) {
            memset(marshal_reserve(&req.w, c->extra), 'x', c->extra);
        }
        c->ret = proxy_call(&req);
    }
    if (c->ret == 0) {
        c->answer = marshal_get_u64(&req.r);
        if (c->take_fds) {
            c->fd = proxy_take_fd(&req);
        }
        c->ret = proxy_finish(&req);
    }
    c->done = true;
}

static void call_start(Test *t, Call *c, ProxyType type, uint64_t handle)
{
    c->t = t;
    c->type = type;
    c->handle = handle;
    c->done = false;
    qemu_coroutine_enter(qemu_coroutine_create(call_entry, c));
}

static void call_wait(Call *c)
{
    gint64 end = g_get_monotonic_time() + PEER_PATIENCE_MS * INT64_C(1000);

    while (!c->done && g_get_monotonic_time() < end) {
        if (!aio_poll(ctx, false)) {
            g_usleep(100);
        }
    }
    g_assert_true(c->done);
}

/*
 * HELLO
 */

static void test_hello(void)
{
    uint8_t hello[1024];
    uint32_t said[PROXY_HELLO_SIZE / 4];
    ProxyHello *h;
    Test t;
    int sv[2], fd = open("/", O_PATH | O_DIRECTORY);

    setup_pair(&t, sv);
    peer_send(t.peer, hello, put_hello(hello, sizeof(hello), PROXY_VERSION,
                                   PROXY_ROOT_HANDLE, 1, &root), &fd, 1);
    t.ch = proxy_channel_new(ctx, "test", sv[0], true, ON_OFF_AUTO_OFF,
                             &error_abort);
    g_assert_cmpint(recv(t.peer, said, sizeof(said), 0), ==, sizeof(said));
    g_assert_cmphex(said[0], ==, PROXY_HELLO_TYPE);
    g_assert_cmpuint(said[1], ==, 8);
    g_assert_cmpuint(le32_to_cpu(said[2]), ==, 2);
    g_assert_cmpuint(le32_to_cpu(said[3]), ==, 0);

    h = proxy_channel_hello(t.ch);
    g_assert_cmpuint(h->pid, ==, 4711);
    g_assert_cmpuint(h->n_uids, ==, 1);
    g_assert_cmpuint(h->uids[0].outside, ==, 100000);
    g_assert_cmpuint(h->n_gids, ==, 0);
    g_assert_cmpint(h->root_fd, >=, 0);
    g_assert_true(fcntl(h->root_fd, F_GETFD) & FD_CLOEXEC);
    finish(&t);
    close(fd);
}

/* The error that HELLO ends with when the peer says @buf and closes. */
static void hello_fails(const void *buf, size_t size, const char *error)
{
    Error *err = NULL;
    Test t;
    int sv[2];

    setup_pair(&t, sv);
    if (size) {
        peer_send(t.peer, buf, size, NULL, 0);
    }
    shutdown(t.peer, SHUT_WR);
    t.ch = proxy_channel_new(ctx, "test", sv[0], false, ON_OFF_AUTO_AUTO,
                             &err);
    g_assert_null(t.ch);
    g_assert_nonnull(err);
    if (!strstr(error_get_pretty(err), error)) {
        g_error("'%s' instead of '%s'", error_get_pretty(err), error);
    }
    error_free(err);
    close(t.peer);
    g_assert_cmpint(open_fds(), ==, t.fds_before);
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
    size = put_hello(hello, sizeof(hello), 3, PROXY_ROOT_HANDLE, 0, &root);
    hello_fails(hello, size, "protocol version 3");
    size = put_hello(hello, sizeof(hello), PROXY_VERSION, 7, 0, &root);
    hello_fails(hello, size, "malformed");
    size = put_reply(hello, PROXY_HELLO, 0, 0, EPROTONOSUPPORT, 0);
    hello_fails(hello, size, "refuses");

    /* Every cut, with the size in the header as it was and as it is */
    size = put_hello(hello, sizeof(hello), PROXY_VERSION, PROXY_ROOT_HANDLE,
                     0, &root);
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
                         PROXY_ROOT_HANDLE, 0, &root);
        stl_le_p(hello + PROXY_HEADER_SIZE + 4 + lies[i].at, lies[i].value);
        hello_fails(hello, size, "malformed");
    }
    /* It says that it donates, and does not; and it must not */
    size = put_hello(hello, sizeof(hello), PROXY_VERSION, PROXY_ROOT_HANDLE,
                     1, &root);
    hello_fails(hello, size, "does not speak protocol version 2");
    stw_le_p(hello + 6, 0);
    hello_fails(hello, size, "malformed");
}

/* Limits beyond what QEMU has: its own hold. */
static void test_hello_huge(void)
{
    uint8_t hello[1024], said[PROXY_HELLO_SIZE];
    size_t size = put_hello(hello, sizeof(hello), PROXY_VERSION,
                            PROXY_ROOT_HANDLE, 0, &root);
    Call *c = g_new0(Call, 1025);
    int sv[2], i;
    Test t;

    stl_le_p(hello + PROXY_HEADER_SIZE + 4 + 4, UINT32_MAX);    /* features */
    stl_le_p(hello + PROXY_HEADER_SIZE + 4 + 8, UINT32_MAX);
    stl_le_p(hello + PROXY_HEADER_SIZE + 4 + 12, UINT32_MAX);
    setup_pair(&t, sv);
    peer_send(t.peer, hello, size, NULL, 0);
    t.ch = proxy_channel_new(ctx, "test", sv[0], true, ON_OFF_AUTO_OFF,
                             &error_abort);
    g_assert_cmpint(recv(t.peer, said, sizeof(said), 0), ==, sizeof(said));
    for (i = 0; i < 1025; i++) {
        call_start(&t, &c[i], PROXY_GETATTR, i);
        g_assert_true(!c[i].call.on_cancel == (i < 1024));
    }
    peer_close(&t.peer);
    for (i = 0; i < 1025; i++) {
        call_wait(&c[i]);
        g_assert_cmpint(c[i].ret, ==, -EIO);
    }
    finish(&t);
    g_free(c);
}

/*
 * Requests
 */

/* What is made in one section leaves together, and any order of replies does */
static void test_batch(void)
{
    Call c[MAX_IN_FLIGHT] = { };
    ProxyHeader h[MAX_IN_FLIGHT];
    uint8_t buf[MAX_IN_FLIGHT * 64];
    uint64_t handle;
    size_t size = 0;
    Test t;
    int i;

    setup(&t);
    defer_call_begin();
    for (i = 0; i < MAX_IN_FLIGHT; i++) {
        call_start(&t, &c[i], PROXY_GETATTR, 100 + i);
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
        call_wait(&c[i]);
        if (i == 1) {
            g_assert_cmpint(c[i].ret, ==, -ENOENT);
        } else {
            g_assert_cmpint(c[i].ret, ==, 0);
            g_assert_cmpuint(c[i].answer, ==, 1000 + i);
        }
    }
    finish(&t);
}

/* Beyond the helper's limit calls wait in order, and can be cancelled */
static void test_limit(void)
{
    Call c[MAX_IN_FLIGHT + 3] = { };
    uint64_t handle;
    ProxyHeader h;
    Test t;
    int i;

    setup(&t);
    for (i = 0; i < ARRAY_SIZE(c); i++) {
        call_start(&t, &c[i], PROXY_GETATTR, i);
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
        call_wait(&c[i]);
        g_assert_cmpint(c[i].ret, ==, 0);
        g_assert_cmpuint(c[i].answer, ==, i);
    }
    finish(&t);
}

/* A cancelled call that the helper has keeps waiting for its reply */
static void test_cancel_sent(void)
{
    Call c = { };
    uint64_t handle;
    ProxyHeader h;
    Test t;

    setup(&t);
    call_start(&t, &c, PROXY_GETATTR, 1);
    c.call.cancelled = true;
    h = peer_recv(t.peer, &handle, sizeof(handle));
    g_assert_false(c.done);
    peer_reply(&t, PROXY_GETATTR, h.tag, 0, 5);
    call_wait(&c);
    g_assert_cmpint(c.ret, ==, 0);

    /* One that was cancelled before is not begun */
    call_start(&t, &c, PROXY_GETATTR, 1);
    g_assert_true(c.done);
    g_assert_cmpint(c.ret, ==, -EINTR);
    finish(&t);
}

/*
 * An abandoned call ends at once. Its slot stays taken, and when the reply
 * comes after all, nothing that it brings is kept.
 */
static void test_abandon(void)
{
    uint8_t buf[1024], payload[256];
    Call c[MAX_IN_FLIGHT + 2] = { };
    ProxyHeader h, reply = { .type = PROXY_CREATE | PROXY_REPLY, .nfds = 2 };
    MarshalWriter w;
    uint32_t last;
    int fds[2], before;
    Test t;
    int i;

    setup(&t);
    g_assert_cmpint(pipe(fds), ==, 0);
    for (i = 0; i < MAX_IN_FLIGHT; i++) {
        call_start(&t, &c[i], PROXY_CREATE, i);
        h = peer_recv(t.peer, payload, sizeof(payload));
        reply.tag = i == 0 ? h.tag : reply.tag;
        last = h.tag;
        c[i].call.on_abandon(&c[i].call, c[i].call.on_abandon_opaque);
        g_assert_true(c[i].done);
        g_assert_cmpint(c[i].ret, ==, -EIO);
        g_assert_null(c[i].call.on_abandon);
    }
    call_start(&t, &c[i], PROXY_GETATTR, 7);
    g_assert_false(peer_wait(t.peer, 50));

    marshal_writer_init(&w, buf, sizeof(buf));
    marshal_reserve(&w, PROXY_HEADER_SIZE);
    marshal_put_u32(&w, 0);
    proxy_put_attr(&w, &root);
    marshal_put_u64(&w, 42);
    marshal_put_u8(&w, 1);
    reply.size = marshal_size(&w);
    proxy_header_put(&reply, buf);
    before = open_fds();
    peer_send(t.peer, buf, reply.size, fds, 2);

    /* The FORGET leaves before the one that waited */
    while (!peer_wait(t.peer, 0)) {
        aio_poll(ctx, true);
    }
    h = peer_recv(t.peer, payload, sizeof(payload));
    g_assert_cmpuint(h.type, ==, PROXY_FORGET);
    g_assert_cmpuint(lduw_le_p(payload), ==, 1);
    g_assert_cmpuint(ldq_le_p(payload + 2), ==, 42);
    h = peer_recv(t.peer, payload, sizeof(payload));
    g_assert_cmpuint(h.type, ==, PROXY_GETATTR);
    peer_reply(&t, PROXY_GETATTR, h.tag, 0, 8);
    call_wait(&c[i]);
    g_assert_cmpuint(c[i].answer, ==, 8);
    g_assert_cmpint(open_fds(), ==, before);

    /* An error, and then the end with the rest still abandoned */
    peer_reply(&t, PROXY_CREATE, last, ENOSPC, 0);
    call_start(&t, &c[i + 1], PROXY_GETATTR, 7);
    h = peer_recv(t.peer, payload, sizeof(payload));
    peer_reply(&t, PROXY_GETATTR, h.tag, 0, 9);
    call_wait(&c[i + 1]);
    g_assert_cmpuint(c[i + 1].answer, ==, 9);
    close(fds[0]);
    close(fds[1]);
    finish(&t);
}

/* Replies in single bytes */
static void test_pieces(void)
{
    uint8_t buf[64];
    uint64_t handle;
    Call c = { };
    ProxyHeader h;
    size_t size, i;
    Test t;

    setup(&t);
    call_start(&t, &c, PROXY_GETATTR, 1);
    h = peer_recv(t.peer, &handle, sizeof(handle));
    size = put_reply(buf, PROXY_GETATTR, h.tag, 0, 0, 77);
    for (i = 0; i < size; i++) {
        g_assert_false(c.done);
        peer_send(t.peer, buf + i, 1, NULL, 0);
        while (aio_poll(ctx, false)) {
            /* again */
        }
    }
    call_wait(&c);
    g_assert_cmpint(c.ret, ==, 0);
    g_assert_cmpuint(c.answer, ==, 77);
    finish(&t);
}

/* More than the socket takes at once, to a peer that reads late */
static void test_backpressure(void)
{
    g_autofree uint8_t *payload = g_malloc(PROXY_MAX_MESSAGE);
    Call c[64] = { };
    ProxyHeader h;
    Test t;
    int i;

    setup(&t);
    for (i = 0; i < ARRAY_SIZE(c); i++) {
        c[i].extra = 100000;
        call_start(&t, &c[i], PROXY_SETXATTR, i);
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
        call_wait(&c[i]);
        g_assert_cmpint(c[i].ret, ==, 0);
    }

    /* What the helper does not take is not sent, and its place is free again */
    c[0].extra = PROXY_MAX_MESSAGE;
    for (i = 0; i < 2 * MAX_IN_FLIGHT; i++) {
        call_start(&t, &c[0], PROXY_SETXATTR, 0);
        g_assert_true(c[0].done);
        g_assert_cmpint(c[0].ret, ==, -E2BIG);
    }
    g_assert_false(peer_wait(t.peer, 5));
    finish(&t);
}

/*
 * A peer that answers what it did not read, as it can guess the tags, does not
 * have requests pile up here: they wait, and can be given up.
 */
static void test_guessed(void)
{
    Call c[40] = { };
    uint32_t serial = 1;
    size_t i, waits = 0;
    Test t;

    setup(&t);
    for (i = 0; i < ARRAY_SIZE(c); i++) {
        c[i].extra = 100000;
        call_start(&t, &c[i], PROXY_SETXATTR, i);
        if (c[i].call.on_cancel) {
            waits++;
            continue;
        }
        g_assert_cmpuint(waits, ==, 0);
        /* Slots are handed out from the first on, and one is in use. */
        peer_reply(&t, PROXY_SETXATTR, serial++ * 1024, 0, 7);
        call_wait(&c[i]);
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
        call_wait(&c[i]);
        g_assert_cmpint(c[i].ret, ==, i < ARRAY_SIZE(c) - waits ? 0 : -EIO);
    }
    finish(&t);
}

/* Errors that only the kernel may see */
static void test_kernel_errno(void)
{
    static const int errors[] = { 1, 511, 512, 4095 };
    uint64_t handle;
    Test t;
    int i;

    setup(&t);
    for (i = 0; i < ARRAY_SIZE(errors); i++) {
        Call c = { };
        ProxyHeader h;

        call_start(&t, &c, PROXY_GETATTR, 1);
        h = peer_recv(t.peer, &handle, sizeof(handle));
        peer_reply(&t, PROXY_GETATTR, h.tag, errors[i], 0);
        call_wait(&c);
        g_assert_cmpint(c.ret, ==, errors[i] < 512 ? -errors[i] : -EIO);
    }
    finish(&t);
}

/* Descriptors go to the messages in order, though they came together */
static void test_descriptors(void)
{
    Call c[2] = { };
    ProxyHeader h[2];
    uint64_t handle;
    uint8_t buf[128];
    size_t size;
    int i, fds[2];
    struct stat st;
    Test t;

    fds[0] = open("/dev/null", O_RDONLY);
    fds[1] = open("/dev/zero", O_RDONLY);
    setup(&t);
    for (i = 0; i < 2; i++) {
        c[i].take_fds = 1;
        call_start(&t, &c[i], PROXY_OPEN, i);
        h[i] = peer_recv(t.peer, &handle, sizeof(handle));
    }
    size = put_reply(buf, PROXY_OPEN, h[1].tag, 1, 0, 0);
    size += put_reply(buf + size, PROXY_OPEN, h[0].tag, 1, 0, 0);
    peer_send(t.peer, buf, size, fds, 2);
    for (i = 0; i < 2; i++) {
        call_wait(&c[i]);
        g_assert_cmpint(c[i].ret, ==, 0);
        g_assert_cmpint(fstat(c[i].fd, &st), ==, 0);
        /* null is 1:3 and zero 1:5 (devices.txt of Linux) */
        g_assert_cmpuint(minor(st.st_rdev), ==, i == 0 ? 5 : 3);
        g_assert_true(fcntl(c[i].fd, F_GETFD) & FD_CLOEXEC);
        close(c[i].fd);
    }
    finish(&t);
    close(fds[0]);
    close(fds[1]);
}

static void test_forget(void)
{
    uint8_t payload[2 + PROXY_FORGET_MAX * 12];
    Call c = { };
    ProxyHeader h;
    Test t;
    int i;

    setup(&t);
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
    call_start(&t, &c, PROXY_GETATTR, 1);
    h = peer_recv(t.peer, payload, sizeof(payload));
    g_assert_cmpuint(h.type, ==, PROXY_FORGET);
    g_assert_cmpuint(lduw_le_p(payload), ==, PROXY_FORGET_MAX);
    h = peer_recv(t.peer, payload, sizeof(payload));
    g_assert_cmpuint(lduw_le_p(payload), ==, 1);
    g_assert_cmpuint(ldq_le_p(payload + 2), ==, PROXY_FORGET_MAX);
    h = peer_recv(t.peer, payload, sizeof(payload));
    g_assert_cmpuint(h.type, ==, PROXY_GETATTR);
    peer_reply(&t, PROXY_GETATTR, h.tag, 0, 0);
    call_wait(&c);
    finish(&t);
}

/*
 * The end
 */

static void all_fail(Test *t, Call *c, unsigned n)
{
    Call late = { };
    unsigned i;

    for (i = 0; i < n; i++) {
        call_wait(&c[i]);
        g_assert_cmpint(c[i].ret, ==, -EIO);
    }
    call_start(t, &late, PROXY_GETATTR, 1);
    g_assert_true(late.done);
    g_assert_cmpint(late.ret, ==, -EIO);
    proxy_forget(t->ch, 1, 1);
}

static void test_gone(void)
{
    Call c[MAX_IN_FLIGHT + 2] = { };
    Test t;
    int i;

    setup(&t);
    for (i = 0; i < ARRAY_SIZE(c); i++) {
        call_start(&t, &c[i], PROXY_GETATTR, i);
    }
    peer_close(&t.peer);
    all_fail(&t, c, ARRAY_SIZE(c));
    finish(&t);

    /* Met when sending */
    setup(&t);
    peer_close(&t.peer);
    call_start(&t, &c[0], PROXY_GETATTR, 0);
    g_assert_false(c[0].done);
    all_fail(&t, c, 1);
    finish(&t);
}

typedef struct BadReply {
    const char *name;
    uint32_t size_add;          /* to the size that it says */
    uint32_t more;              /* bytes after it, counted in its size */
    uint16_t type_xor;
    uint32_t tag_xor;
    unsigned says_fds;
    unsigned sends_fds;
    uint32_t error;
    unsigned times;
} BadReply;

static const BadReply bad_replies[] = {
    { "short", .size_add = -9 },
    { "no-error", .size_add = -12 },
    { "below-header", .size_add = -19 },
    { "huge", .size_add = PROXY_MAX_MESSAGE },
    { "huger", .size_add = 0x80000000 },
    { "longer", .more = 1 },
    { "not-a-reply", .type_xor = PROXY_REPLY },
    { "other-type", .type_xor = PROXY_GETATTR ^ PROXY_STATFS },
    { "no-type", .type_xor = 0x7f00 },
    { "tag-free-slot", .tag_xor = 1 },
    { "tag-no-slot", .tag_xor = 512 },
    { "tag-serial", .tag_xor = 1024 },
    { "twice", .times = 2 },
    { "fds-missing", .says_fds = 1 },
    { "fds-unsaid", .says_fds = 2, .sends_fds = 2 },
    { "fds-65535", .says_fds = 65535, .sends_fds = 1 },
    { "error-range", .error = 4096 },
    { "error-minus", .error = -EIO },
    { "error-more", .error = EIO, .more = 4 },
};

static void test_bad_reply(const void *opaque)
{
    const BadReply *bad = opaque;
    Call c[2] = { };
    uint64_t handle;
    uint8_t buf[64] = { };
    ProxyHeader h;
    size_t size;
    int i, fds[2];
    Test t;

    fds[0] = open("/", O_PATH);
    fds[1] = open("/", O_PATH);
    setup(&t);
    call_start(&t, &c[0], PROXY_GETATTR, 1);
    h = peer_recv(t.peer, &handle, sizeof(handle));
    size = put_reply(buf, PROXY_GETATTR, h.tag, 0, bad->error, 0);
    size += bad->more;
    stl_le_p(buf, size + bad->size_add);
    stw_le_p(buf + 4, lduw_le_p(buf + 4) ^ bad->type_xor);
    stw_le_p(buf + 6, bad->says_fds);
    stl_le_p(buf + 8, h.tag ^ bad->tag_xor);
    if (bad->times == 2) {
        /* The second is the bad one, and another call is the victim */
        call_start(&t, &c[1], PROXY_GETATTR, 1);
        peer_recv(t.peer, &handle, sizeof(handle));
        peer_send(t.peer, buf, size, NULL, 0);
        call_wait(&c[0]);
        g_assert_cmpint(c[0].ret, ==, 0);
        c[0] = c[1];
        peer_send(t.peer, buf, size, NULL, 0);
        all_fail(&t, &c[1], 1);
    } else {
        peer_send(t.peer, buf, size, fds, bad->sends_fds);
        all_fail(&t, c, 1);
    }
    /* It hung up */
    g_assert_cmpint(recv(t.peer, buf, sizeof(buf), 0), <=, 0);
    finish(&t);
    for (i = 0; i < 2; i++) {
        close(fds[i]);
    }
}

/* Descriptors that no message takes */
static void test_fd_flood(void)
{
    int fds[PROXY_MAX_FDS];
    uint8_t buf[64];
    uint64_t handle;
    Call c = { };
    ProxyHeader h;
    size_t i;
    Test t;

    for (i = 0; i < ARRAY_SIZE(fds); i++) {
        fds[i] = STDERR_FILENO;
    }
    setup(&t);
    call_start(&t, &c, PROXY_GETATTR, 1);
    h = peer_recv(t.peer, &handle, sizeof(handle));
    put_reply(buf, PROXY_GETATTR, h.tag, 0, 0, 0);
    for (i = 0; i < 3; i++) {
        peer_send(t.peer, buf + i, 1, fds, ARRAY_SIZE(fds));
    }
    all_fail(&t, &c, 1);
    finish(&t);
}

/* One that nobody can be waiting for */
static void test_fd_excess(void)
{
    uint8_t buf[64];
    uint64_t handle;
    Call c = { .take_fds = 1 };
    int fds[2] = { STDERR_FILENO, STDERR_FILENO };
    ProxyHeader h;
    size_t size;
    Test t;

    setup(&t);
    call_start(&t, &c, PROXY_OPEN, 1);
    h = peer_recv(t.peer, &handle, sizeof(handle));
    size = put_reply(buf, PROXY_OPEN, h.tag, 1, 0, 0);
    peer_send(t.peer, buf, size, fds, 2);
    call_wait(&c);
    g_assert_cmpint(c.ret, ==, 0);
    close(c.fd);
    all_fail(&t, NULL, 0);
    finish(&t);
}

/*
 * Shared memory
 */

/* A call that is answered, and nothing else is wrong */
static void one_call(Test *t)
{
    uint64_t handle;
    Call c = { };
    ProxyHeader h;

    call_start(t, &c, PROXY_GETATTR, 1);
    h = peer_recv(t->peer, &handle, sizeof(handle));
    peer_reply(t, PROXY_GETATTR, h.tag, 0, 4);
    call_wait(&c);
    g_assert_cmpint(c.ret, ==, 0);
    g_assert_cmpuint(c.answer, ==, 4);
}

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
          "ring=on: the helper cannot use it: Invalid argument" },
    };
    size_t i;

    for (i = 0; i < ARRAY_SIZE(cases); i++) {
        Greeter g = {
            .features = cases[i].features, .error = cases[i].error,
            .no_ring = !cases[i].asked,
        };
        Error *err = NULL;
        Test t;
        int sv[2];

        setup_pair(&t, sv);
        t.ch = greet(&t, sv[0], &g, cases[i].ring, &err);
        if (cases[i].says) {
            g_assert_null(t.ch);
            g_assert_cmpstr(error_get_pretty(err), ==, cases[i].says);
            error_free(err);
            peer_close(&t.peer);
            g_assert_cmpint(open_fds(), ==, t.fds_before);
        } else {
            bool ring = cases[i].asked && !cases[i].error;

            g_assert_null(err);
            g_assert_cmpint(proxy_channel_hello(t.ch)->ring, ==, ring);
            g_assert_cmpint(peer_rings != NULL, ==, ring);
            one_call(&t);
            finish(&t);
        }
    }
}

/* Anything but an answer to RING */
static void *bad_ring_thread(void *opaque)
{
    Greeter *g = opaque;

    g->no_ring = true;
    greeter_thread(g);
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
        Greeter g = { .features = PROXY_FEATURE_RING, .error = i };
        Error *err = NULL;
        GThread *thread;
        Test t;
        int sv[2];

        setup_pair(&t, sv);
        g.peer = t.peer;
        thread = g_thread_new("greeter", bad_ring_thread, &g);
        t.ch = proxy_channel_new(ctx, "test", sv[0], true, ON_OFF_AUTO_ON,
                                 &err);
        g_thread_join(thread);
        g_assert_null(t.ch);
        g_assert_nonnull(err);
        error_free(err);
        peer_close(&t.peer);
        g_assert_cmpint(open_fds(), ==, t.fds_before);
    }
}

static void test_ring_counts(void)
{
    static const uint32_t off[] = {
        PROXY_RING_SIZE + 1, 2 * PROXY_RING_SIZE, 0x80000000, UINT32_MAX,
    };
    size_t i;

    for (i = 0; i < 2 * ARRAY_SIZE(off); i++) {
        Call c = { };
        Test t;

        setup_ring(&t);
        if (i & 1) {
            one_call(&t);
        }
        /* More replies than there can be; it meets them when the bell rings */
        call_start(&t, &c, PROXY_GETATTR, 1);
        qatomic_set(&peer_rings->mem->replies.head,
                    peer_rings->replies.at + off[i / 2]);
        proxy_rings_ring(peer_rings);
        all_fail(&t, &c, 1);
        finish(&t);

        /* More taken than was put in, or less than was there; when it sends */
        setup_ring(&t);
        if (i & 1) {
            one_call(&t);
        }
        c.done = false;
        qatomic_set(&peer_rings->mem->requests.tail,
                    peer_rings->requests.at - off[i / 2]);
        call_start(&t, &c, PROXY_GETATTR, 1);
        all_fail(&t, &c, 1);
        finish(&t);
    }
}

/* Our own counts and flags, changed behind our back */
static void test_ring_own_counts(void)
{
    Test t;
    int i;

    setup_ring(&t);
    for (i = 0; i < 100; i++) {
        ProxyRingMemory *mem = peer_rings->mem;

        qatomic_set(&mem->requests.full, i & 1);
        qatomic_set(&mem->replies.full, i & 1);
        qatomic_set(&mem->requests.asleep, UINT32_MAX);
        qatomic_set(&mem->socket, i * 99);
        one_call(&t);
        proxy_rings_ring(peer_rings);
    }
    qatomic_set(&peer_rings->mem->requests.head, 12345);
    one_call(&t);
    g_assert_cmpuint(peer_waiting(t.peer), ==, 0);
    finish(&t);
}

static void test_ring_noise(void)
{
    int round, i;

    for (round = 0; round < 50; round++) {
        uint8_t noise[2048];
        Call c = { };
        Test t;

        setup_ring(&t);
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
        call_start(&t, &c, PROXY_GETATTR, 1);
        peer_send(t.peer, noise, sizeof(noise), NULL, 0);
        all_fail(&t, &c, 1);
        finish(&t);
    }
}

/* A bell that rings all the time, for nothing */
static void test_ring_flood(void)
{
    Call c = { };
    uint64_t handle;
    ProxyHeader h;
    Test t;
    int i;

    setup_ring(&t);
    /* Its end of the pipe may block or not, as it likes. */
    g_assert_cmpint(fcntl(peer_rings->their_bell, F_SETFL, O_NONBLOCK), ==, 0);
    call_start(&t, &c, PROXY_GETATTR, 1);
    for (i = 0; i < 100000; i++) {
        proxy_rings_ring(peer_rings);
    }
    h = peer_recv(t.peer, &handle, sizeof(handle));
    for (i = 0; i < 1000; i++) {
        proxy_rings_ring(peer_rings);
        aio_poll(ctx, false);
        g_assert_false(c.done);
    }
    peer_reply(&t, PROXY_GETATTR, h.tag, 0, 4);
    call_wait(&c);
    g_assert_cmpint(c.ret, ==, 0);
    /* Nor does a bell that is not taken back make it wait. */
    for (i = 0; i < 70000; i++) {
        c.done = false;
        qatomic_set(&peer_rings->mem->requests.asleep, 1);
        call_start(&t, &c, PROXY_GETATTR, 1);
        while (!peer_waiting(t.peer)) {
            aio_poll(ctx, false);
        }
        h = peer_recv(t.peer, &handle, sizeof(handle));
        peer_reply(&t, PROXY_GETATTR, h.tag, 0, 4);
        call_wait(&c);
    }
    finish(&t);
}

/* The peer's bells end, or its socket: in each way it is gone. */
static void test_ring_gone(void)
{
    int way;

    for (way = 0; way < 4; way++) {
        Call c[2] = { };
        uint64_t handle;
        ProxyHeader h;
        Test t;

        setup_ring(&t);
        call_start(&t, &c[0], PROXY_GETATTR, 1);
        call_start(&t, &c[1], PROXY_GETATTR, 2);
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
        call_wait(&c[0]);
        g_assert_cmpint(c[0].ret, ==, 0);
        all_fail(&t, &c[1], 1);
        g_clear_pointer(&peer_rings, proxy_rings_free);
        finish(&t);
    }
}

/* Replies with descriptors, and what the ring had no room for */
static void test_ring_socket(void)
{
    Call c[3] = { };
    uint64_t handle;
    uint8_t buf[64];
    ProxyRings *rings;
    int i, fd;
    Test t;

    setup_ring(&t);
    rings = peer_rings;
    fd = open("/dev/null", O_RDONLY);
    for (i = 0; i < 3; i++) {
        ProxyHeader h;
        ProxyType type = i == 1 ? PROXY_OPEN : PROXY_GETATTR;
        size_t size;

        c[i].take_fds = i == 1;
        call_start(&t, &c[i], type, i);
        h = peer_recv(t.peer, &handle, sizeof(handle));
        size = put_reply(buf, type, h.tag, i == 1, 0, i);
        peer_rings = i == 2 ? NULL : rings;
        peer_send(t.peer, buf, size, &fd, i == 1);
        peer_rings = rings;
        call_wait(&c[i]);
        g_assert_cmpint(c[i].ret, ==, 0);
        g_assert_cmpuint(c[i].answer, ==, i);
    }
    close(c[1].fd);
    close(fd);
    finish(&t);
}

/* One in the ring that says it has a descriptor: none can have come there. */
static void test_ring_fd(void)
{
    Call c = { .take_fds = 1 };
    uint8_t buf[64];
    uint64_t handle;
    ProxyHeader h;
    size_t size;
    Test t;

    setup_ring(&t);
    call_start(&t, &c, PROXY_OPEN, 1);
    h = peer_recv(t.peer, &handle, sizeof(handle));
    size = put_reply(buf, PROXY_OPEN, h.tag, 1, 0, 0);
    peer_send(t.peer, buf, size, NULL, 0);
    all_fail(&t, &c, 1);
    finish(&t);
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
    Test t;

    g_assert_cmpint(fstat(fd, &here), ==, 0);
    setup_ring(&t);
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
    one_call(&t);
    finish(&t);
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
    Call c = { };
    Test t;

    setup_ring(&t);
    for (i = 0; i < 3000 && !refused; i++) {
        if (!proxy_adopt(t.ch, PROXY_ADOPTED | i, fd)) {
            refused++;
        }
        while (peer_waiting(t.peer)) {
            peer_read(t.peer, msg, sizeof(msg));
        }
    }
    g_assert_cmpuint(refused, ==, 1);
    call_start(&t, &c, PROXY_GETATTR, 1);
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
    call_wait(&c);
    g_assert_cmpint(c.ret, ==, 0);
    finish(&t);
    close(fd);
}

/* A reply that comes while nobody has the channel, which rings no bell */
static void test_ring_moves(void)
{
    Test t;
    int i;

    setup_ring(&t);
    for (i = 0; i < 10; i++) {
        uint64_t handle;
        Call c = { };
        ProxyHeader h;

        call_start(&t, &c, PROXY_GETATTR, 1);
        h = peer_recv(t.peer, &handle, sizeof(handle));
        proxy_channel_detach(t.ch);
        qatomic_set(&peer_rings->mem->replies.asleep, 0);
        peer_reply(&t, PROXY_GETATTR, h.tag, 0, 4);
        proxy_channel_attach(t.ch, ctx);
        call_wait(&c);
        g_assert_cmpint(c.ret, ==, 0);
    }
    finish(&t);
}

/* A peer in a thread of its own, that answers, and sleeps at its bell */
static void *echo_thread(void *opaque)
{
    Test *t = opaque;
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
 * An event loop all of whose handlers can be polled makes no system call when
 * it is not to block, as the tests ask of it: so there is one that cannot be.
 */
static void never_ready(void *opaque)
{
    g_assert_not_reached();
}

static void allow_polling(bool allow)
{
    static int fds[2] = { -1, -1 };

    if (fds[0] < 0) {
        g_assert_cmpint(pipe2(fds, O_CLOEXEC), ==, 0);
    }
    aio_set_fd_handler(ctx, fds[0], allow ? NULL : never_ready, NULL, NULL,
                       NULL, NULL);
}

/*
 * No wakeup is lost between two that sleep all the time: with the event loop
 * that only waits, and with one that looks before for so many nanoseconds.
 */
static void test_ring_echo(const void *opaque)
{
    int64_t poll_ns = *(const int64_t *)opaque;
    GThread *thread;
    Test t;
    int i, j;

    allow_polling(true);
    aio_context_set_poll_params(ctx, poll_ns, 0, 0, &error_abort);
    setup_ring(&t);
    thread = g_thread_new("echo", echo_thread, &t);
    for (i = 0; i < 5000; i++) {
        Call c[MAX_IN_FLIGHT] = { };

        for (j = 0; j <= i % MAX_IN_FLIGHT; j++) {
            call_start(&t, &c[j], PROXY_GETATTR, i + j);
        }
        for (j = 0; j <= i % MAX_IN_FLIGHT; j++) {
            while (!c[j].done) {
                aio_poll(ctx, true);
            }
            g_assert_cmpint(c[j].ret, ==, 0);
            g_assert_cmpuint(c[j].answer, ==, i + j + 1);
        }
    }
    proxy_channel_free(t.ch);
    g_thread_join(thread);
    peer_close(&t.peer);
    g_assert_cmpint(open_fds(), ==, t.fds_before);
    aio_context_set_poll_params(ctx, 0, 0, 0, &error_abort);
    allow_polling(false);
}

int main(int argc, char **argv)
{
    static const int64_t poll_ns[] = { 0, 1000, 1000000 };
    int i;

    g_test_init(&argc, &argv, NULL);
    signal(SIGPIPE, SIG_IGN);
    alarm(300);                 /* nothing in here takes that long */
    qemu_init_main_loop(&error_abort);
    ctx = qemu_get_aio_context();
    allow_polling(false);

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
    g_test_add_func("/proxy-channel/gone", test_gone);
    g_test_add_func("/proxy-channel/fd-flood", test_fd_flood);
    g_test_add_func("/proxy-channel/fd-excess", test_fd_excess);
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
    for (i = 0; i < ARRAY_SIZE(bad_replies); i++) {
        g_autofree char *path = g_strdup_printf("/proxy-channel/bad/%s",
                                                bad_replies[i].name);

        g_test_add_data_func(path, &bad_replies[i], test_bad_reply);
    }
    return g_test_run();
}
