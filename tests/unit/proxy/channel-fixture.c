/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Code that the tests of QEMU's end of the proxy channel share: see
 * channel-fixture.h.
 */
#include "qemu/osdep.h"
#include "block/aio.h"
#include "qapi/error.h"
#include "qemu/bswap.h"
#include "qemu/main-loop.h"
#include "qemu/sockets.h"
#include "channel-fixture.h"

const FsAttr channel_root = {
    .mode = S_IFDIR | 0755, .dev = 1, .ino = 2, .nlink = 2,
};
AioContext *channel_ctx;

size_t put_reply(uint8_t *buf, ProxyType type, uint32_t tag, unsigned nfds,
                 uint32_t error, uint64_t answer)
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

void peer_reply(ChannelTest *t, ProxyType type, uint32_t tag, uint32_t error,
                uint64_t answer)
{
    uint8_t buf[64];
    size_t size = put_reply(buf, type, tag, 0, error, answer);

    peer_send(t->peer, buf, size, NULL, 0);
}

/*
 * Setting up
 */

void channel_setup_pair(ChannelTest *t, int sv[2])
{
    t->fds_before = open_fds();
    g_assert_cmpint(qemu_socketpair(AF_UNIX, SOCK_STREAM, 0, sv), ==, 0);
    t->peer = sv[1];
    t->ch = NULL;
}

void *channel_greeter_thread(void *opaque)
{
    ChannelGreeter *g = opaque;
    uint8_t hello[1024], said[PROXY_HELLO_SIZE];
    size_t size = put_hello(hello, sizeof(hello), PROXY_VERSION,
                            PROXY_ROOT_HANDLE, 0, &channel_root);

    g_assert_cmpint(recv(g->peer, said, sizeof(said), MSG_WAITALL), ==,
                    sizeof(said));
    stl_le_p(hello + PROXY_HEADER_SIZE + 4 + 4, g->features);
    peer_send(g->peer, hello, size, NULL, 0);
    if (!g->no_ring) {
        peer_agree_ring(g->peer, g->error);
    }
    return NULL;
}

ProxyChannel *channel_greet(ChannelTest *t, int fd, ChannelGreeter *g,
                            OnOffAuto ring, Error **errp)
{
    ProxyChannel *ch;
    GThread *thread;

    g->peer = t->peer;
    thread = g_thread_new("greeter", channel_greeter_thread, g);
    ch = proxy_channel_new(channel_ctx, "test", fd, true, ring, errp);
    g_thread_join(thread);
    return ch;
}

void channel_setup_ring(ChannelTest *t)
{
    ChannelGreeter g = { .features = PROXY_FEATURE_RING };
    int sv[2];

    channel_setup_pair(t, sv);
    t->ch = channel_greet(t, sv[0], &g, ON_OFF_AUTO_ON, &error_abort);
    g_assert_nonnull(peer_rings);
    g_assert_true(proxy_channel_hello(t->ch)->ring);
}

void channel_setup(ChannelTest *t)
{
    ChannelGreeter g = { .no_ring = true };
    int sv[2];

    if (g_getenv("PROXY_PEER_RING")) {
        channel_setup_ring(t);
        return;
    }
    channel_setup_pair(t, sv);
    t->ch = channel_greet(t, sv[0], &g, ON_OFF_AUTO_AUTO, &error_abort);
    g_assert_false(proxy_channel_hello(t->ch)->ring);
}

void channel_finish(ChannelTest *t)
{
    proxy_channel_free(t->ch);
    if (t->peer >= 0) {
        peer_close(&t->peer);
    }
    expect_open_fds(t->fds_before);
}

static void coroutine_fn call_entry(void *opaque)
{
    ChannelCall *c = opaque;
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

void channel_call_start(ChannelTest *t, ChannelCall *c, ProxyType type,
                        uint64_t handle)
{
    c->t = t;
    c->type = type;
    c->handle = handle;
    c->done = false;
    qemu_coroutine_enter(qemu_coroutine_create(call_entry, c));
}

void channel_call_wait(ChannelCall *c)
{
    gint64 end = g_get_monotonic_time() + PEER_PATIENCE_MS * INT64_C(1000);

    while (!c->done && g_get_monotonic_time() < end) {
        if (!aio_poll(channel_ctx, false)) {
            g_usleep(100);
        }
    }
    g_assert_true(c->done);
}

void channel_all_fail(ChannelTest *t, ChannelCall *c, unsigned n)
{
    ChannelCall late = { };
    unsigned i;

    for (i = 0; i < n; i++) {
        channel_call_wait(&c[i]);
        g_assert_cmpint(c[i].ret, ==, -EIO);
    }
    channel_call_start(t, &late, PROXY_GETATTR, 1);
    g_assert_true(late.done);
    g_assert_cmpint(late.ret, ==, -EIO);
    proxy_forget(t->ch, 1, 1);
}

void channel_one_call(ChannelTest *t)
{
    uint64_t handle;
    ChannelCall c = { };
    ProxyHeader h;

    channel_call_start(t, &c, PROXY_GETATTR, 1);
    h = peer_recv(t->peer, &handle, sizeof(handle));
    peer_reply(t, PROXY_GETATTR, h.tag, 0, 4);
    channel_call_wait(&c);
    g_assert_cmpint(c.ret, ==, 0);
    g_assert_cmpuint(c.answer, ==, 4);
}

/* The handler that cannot be polled */
static void never_ready(void *opaque)
{
    g_assert_not_reached();
}

void channel_allow_polling(bool allow)
{
    static int fds[2] = { -1, -1 };

    if (fds[0] < 0) {
        g_assert_cmpint(pipe2(fds, O_CLOEXEC), ==, 0);
    }
    aio_set_fd_handler(channel_ctx, fds[0], allow ? NULL : never_ready, NULL,
                       NULL, NULL, NULL);
}

void channel_test_init(int *argc, char ***argv)
{
    g_test_init(argc, argv, NULL);
    signal(SIGPIPE, SIG_IGN);
    alarm(300);                 /* nothing in here takes that long */
    qemu_init_main_loop(&error_abort);
    channel_ctx = qemu_get_aio_context();
    channel_allow_polling(false);
}
