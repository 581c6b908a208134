/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Tests of QEMU's end of the proxy channel against a peer that goes away, or
 * that sends bad replies and descriptors.
 */
#include "qemu/osdep.h"
#include "qemu/bswap.h"
#include "qapi/error.h"
#include "../shared/hung-fuse.h"
#include "channel-fixture.h"
#include <netinet/in.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

static void test_gone(void)
{
    ChannelCall c[MAX_IN_FLIGHT + 2] = { };
    ChannelTest t;
    int i;

    channel_setup(&t);
    for (i = 0; i < ARRAY_SIZE(c); i++) {
        channel_call_start(&t, &c[i], PROXY_GETATTR, i);
    }
    peer_close(&t.peer);
    channel_all_fail(&t, c, ARRAY_SIZE(c));
    channel_finish(&t);

    /* Met when sending */
    channel_setup(&t);
    peer_close(&t.peer);
    channel_call_start(&t, &c[0], PROXY_GETATTR, 0);
    g_assert_false(c[0].done);
    channel_all_fail(&t, c, 1);
    channel_finish(&t);
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
    ChannelCall c[2] = { };
    uint64_t handle;
    uint8_t buf[64] = { };
    ProxyHeader h;
    size_t size;
    int i, fds[2];
    ChannelTest t;

    fds[0] = open("/", O_PATH);
    fds[1] = open("/", O_PATH);
    channel_setup(&t);
    channel_call_start(&t, &c[0], PROXY_GETATTR, 1);
    h = peer_recv(t.peer, &handle, sizeof(handle));
    size = put_reply(buf, PROXY_GETATTR, h.tag, 0, bad->error, 0);
    size += bad->more;
    stl_le_p(buf, size + bad->size_add);
    stw_le_p(buf + 4, lduw_le_p(buf + 4) ^ bad->type_xor);
    stw_le_p(buf + 6, bad->says_fds);
    stl_le_p(buf + 8, h.tag ^ bad->tag_xor);
    if (bad->times == 2) {
        /* The second is the bad one, and another call is the victim */
        channel_call_start(&t, &c[1], PROXY_GETATTR, 1);
        peer_recv(t.peer, &handle, sizeof(handle));
        peer_send(t.peer, buf, size, NULL, 0);
        channel_call_wait(&c[0]);
        g_assert_cmpint(c[0].ret, ==, 0);
        c[0] = c[1];
        peer_send(t.peer, buf, size, NULL, 0);
        channel_all_fail(&t, &c[1], 1);
    } else {
        peer_send(t.peer, buf, size, fds, bad->sends_fds);
        channel_all_fail(&t, c, 1);
    }
    /* It hung up */
    g_assert_cmpint(recv(t.peer, buf, sizeof(buf), 0), <=, 0);
    channel_finish(&t);
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
    ChannelCall c = { };
    ProxyHeader h;
    size_t i;
    ChannelTest t;

    for (i = 0; i < ARRAY_SIZE(fds); i++) {
        fds[i] = STDERR_FILENO;
    }
    channel_setup(&t);
    channel_call_start(&t, &c, PROXY_GETATTR, 1);
    h = peer_recv(t.peer, &handle, sizeof(handle));
    put_reply(buf, PROXY_GETATTR, h.tag, 0, 0, 0);
    for (i = 0; i < 3; i++) {
        peer_send(t.peer, buf + i, 1, fds, ARRAY_SIZE(fds));
    }
    channel_all_fail(&t, &c, 1);
    channel_finish(&t);
}

/* More descriptors than all replies can need */
static void test_fd_excess(void)
{
    uint8_t buf[64];
    uint64_t handle;
    ChannelCall c = { .take_fds = 1 };
    int fds[2];
    ProxyHeader h;
    size_t size;
    ChannelTest t;

    fds[0] = fds[1] = open("/", O_RDONLY | O_DIRECTORY);
    channel_setup(&t);
    channel_call_start(&t, &c, PROXY_OPEN, 1);
    h = peer_recv(t.peer, &handle, sizeof(handle));
    size = put_reply(buf, PROXY_OPEN, h.tag, 1, 0, 0);
    peer_send(t.peer, buf, size, fds, 2);
    channel_call_wait(&c);
    g_assert_cmpint(c.ret, ==, 0);
    close(c.fd);
    channel_all_fail(&t, NULL, 0);
    channel_finish(&t);
    close(fds[0]);
}

/*
 * Descriptors that are not of files
 */

typedef enum Strange {
    OWN_END,                    /* of the connection: it never ends, held */
    LINGER,                     /* close(2) of it waits */
    EVENT,
} Strange;

static const char *const strange_names[] = {
    "own-end", "linger", "event",
};

#define LINGER_S        20

/* A TCP socket with more unsent data than its peer takes; *@peer is that. */
static int linger_socket(int *peer)
{
    struct linger linger = { .l_onoff = 1, .l_linger = LINGER_S };
    struct sockaddr_in addr = {
        .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
    };
    g_autofree char *data = g_malloc0(65536);
    socklen_t len = sizeof(addr);
    int listener = socket(AF_INET, SOCK_STREAM, 0);
    int fd = socket(AF_INET, SOCK_STREAM, 0);

    g_assert_cmpint(bind(listener, (struct sockaddr *)&addr, len), ==, 0);
    g_assert_cmpint(listen(listener, 1), ==, 0);
    getsockname(listener, (struct sockaddr *)&addr, &len);
    g_assert_cmpint(connect(fd, (struct sockaddr *)&addr, len), ==, 0);
    *peer = accept(listener, NULL, NULL);
    close(listener);
    while (send(fd, data, 65536, MSG_DONTWAIT) > 0) {
        /* more */
    }
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger));
    return fd;
}

static int strange_fd(const ChannelTest *t, Strange what, int *peer)
{
    switch (what) {
    case OWN_END:
        return dup(t->peer);
    case LINGER:
        return linger_socket(peer);
    case EVENT:
        return eventfd(0, 0);
    }
    g_assert_not_reached();
}

/*
 * The helper sends it with a part of a reply, and is gone. All calls fail at
 * once, and nothing in QEMU waits.
 */
static void test_strange_fd(const void *opaque)
{
    Strange what = GPOINTER_TO_INT(opaque);
    gint64 start = g_get_monotonic_time();
    ChannelCall c = { .take_fds = 1 };
    uint64_t handle;
    int peer = -1;
    ChannelTest t;
    int fd;

    channel_setup(&t);
    channel_call_start(&t, &c, PROXY_OPEN, 1);
    peer_recv(t.peer, &handle, sizeof(handle));
    fd = strange_fd(&t, what, &peer);
    g_assert_cmpint(fd, >=, 0);
    g_assert_cmpint(proxy_send_fds(t.peer, "", 1, &fd, 1, 0), ==, 1);
    close(fd);
    /* With a ring, its bell would tell the end: this is about the socket. */
    if (what != OWN_END || !peer_rings) {
        peer_close(&t.peer);
    }
    channel_all_fail(&t, &c, 1);
    g_assert_cmpint(g_get_monotonic_time() - start, <,
                    LINGER_S / 2 * G_USEC_PER_SEC);
    if (peer >= 0) {
        close(peer);            /* which ends the wait */
    }
    channel_finish(&t);
}

/*
 * A helper that cannot start
 */

static const struct {
    const char *text;           /* or NULL: as long as can be */
    const char *says;           /* or NULL: as text */
    uint32_t error;
    uint16_t type;
    uint32_t tag;
    int size_add;               /* to the size that it says */
} failures[] = {
    { "--path x: No such file", NULL, EIO },
    { "two\nlines\x1b[m\x7f", "two?lines?[m?", EIO },
    { "\xff", "\xef\xbf\xbd", EIO },
    { "x", NULL, 0xffffffff },
    { NULL, NULL, EIO },
    { "", "protocol version", EIO },
    { "x", "malformed|closed|version", 0 },
    { "x", "closed|unknown|version", EIO, PROXY_GETATTR },
    { "x", "closed|unknown|version", EIO, 0, 7 },
    { "x", "closed|unknown|version", EIO, 0, 0, 1 },
    { "x", "closed|unknown|version", EIO, 0, 0, 2000 },
    { "x", "closed|unknown|version", EIO, 0, 0, -8 },
};

static void test_failure(const void *opaque)
{
    const typeof(failures[0]) *f = opaque;
    const size_t head = PROXY_HEADER_SIZE + 4;
    g_autofree char *longest = g_strnfill(PROXY_FAILURE_MAX - head, 'x');
    const char *text = f->text ?: longest;
    const char *says = f->says ?: text;
    g_auto(GStrv) either = g_strsplit(says, "|", -1);
    uint8_t buf[PROXY_FAILURE_MAX] = { };
    bool told = !f->size_add && !f->type && !f->tag && f->error && *text;
    size_t size = head + strlen(text);
    ProxyChannel *ch;
    Error *err = NULL;
    bool found = false;
    int sv[2], i;

    stl_le_p(buf, size + f->size_add);
    stw_le_p(buf + 4, f->type ?: PROXY_HELLO | PROXY_REPLY);
    stl_le_p(buf + 8, f->tag);
    stl_le_p(buf + PROXY_HEADER_SIZE, f->error);
    memcpy(buf + head, text, strlen(text));
    /* It is gone before QEMU greets it, or while QEMU waits. */
    g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sv),
                    ==, 0);
    g_assert_cmpint(send(sv[1], buf, size, MSG_NOSIGNAL), ==, size);
    shutdown(sv[1], SHUT_WR);
    if (told) {
        close(sv[1]);
    }
    ch = proxy_channel_prepare(channel_ctx, "test", sv[0]);
    g_assert_false(proxy_channel_greet(ch, true, ON_OFF_AUTO_AUTO, &err));
    for (i = 0; either[i]; i++) {
        found |= strstr(error_get_pretty(err), either[i]) != NULL;
    }
    if (!found || (told && strcmp(error_get_pretty(err), says))) {
        g_error("'%s' instead of '%s'", error_get_pretty(err), says);
    }
    g_assert_cmpint(proxy_channel_told(ch), ==, told);
    error_free(err);
    proxy_channel_free(ch);
    if (!told) {
        close(sv[1]);
    }
}

/*
 * HELLO is wrong, and brings a file whose server does not answer: QEMU does not
 * wait for it, though close(2) does.
 */
static const struct {
    const char *name;
    uint32_t version;
    uint16_t type;
    uint64_t handle;
    bool donated;
} bad_hellos[] = {
    { "version", 3 },
    { "type", PROXY_VERSION, PROXY_GETATTR | PROXY_REPLY },
    { "excess", PROXY_VERSION },
    { "donated", PROXY_VERSION, .handle = 7, .donated = true },
};

static void test_bad_hello(const void *opaque)
{
    const typeof(bad_hellos[0]) *b = opaque;
    g_autofree char *dir = g_dir_make_tmp("hello-XXXXXX", NULL);
    g_autofree char *path = g_build_filename(dir, "file", NULL);
    HungFuse *fuse = hung_fuse_start_or_skip(dir);
    uint8_t hello[1024] = { };
    Error *err = NULL;
    HungWatch *w;
    ChannelTest t;
    int fd, sv[2];
    size_t size;

    if (!fuse) {
        rmdir(dir);
        return;
    }
    fd = open(path, O_RDWR);
    g_assert_cmpint(fd, >=, 0);
    channel_setup_pair(&t, sv);
    size = put_hello(hello, sizeof(hello), b->version,
                     b->handle ?: PROXY_ROOT_HANDLE, b->donated,
                     &channel_root);
    stw_le_p(hello + 4, b->type ?: PROXY_HELLO | PROXY_REPLY);
    stw_le_p(hello + 6, 1);     /* descriptors */
    peer_send(t.peer, hello, size, &fd, 1);
    hung_fuse_hang(fuse, FUSE_FLUSH, HUNG_ALL);
    w = hung_fuse_watch(fuse);
    t.ch = proxy_channel_new(channel_ctx, "test", sv[0], true,
                             ON_OFF_AUTO_AUTO, &err);
    g_assert_true(hung_fuse_in_time(w));
    g_assert_null(t.ch);
    error_free_or_abort(&err);
    g_assert_true(hung_fuse_wait(fuse, 1));
    hung_fuse_answer(fuse);
    close(t.peer);
    expect_open_fds(t.fds_before);
    close(fd);
    hung_fuse_end(fuse);
    g_assert_cmpint(rmdir(dir), ==, 0);
}

int main(int argc, char **argv)
{
    int i;

    channel_test_init(&argc, &argv);
    g_test_add_func("/proxy-channel/gone", test_gone);
    g_test_add_func("/proxy-channel/fd-flood", test_fd_flood);
    g_test_add_func("/proxy-channel/fd-excess", test_fd_excess);

    for (i = 0; i < ARRAY_SIZE(strange_names); i++) {
        g_autofree char *path = g_strdup_printf("/proxy-channel/strange/%s",
                                                strange_names[i]);

        g_test_add_data_func(path, GINT_TO_POINTER(i), test_strange_fd);
    }
    for (i = 0; i < ARRAY_SIZE(bad_replies); i++) {
        g_autofree char *path = g_strdup_printf("/proxy-channel/bad/%s",
                                                bad_replies[i].name);

        g_test_add_data_func(path, &bad_replies[i], test_bad_reply);
    }
    for (i = 0; i < ARRAY_SIZE(bad_hellos); i++) {
        g_autofree char *path = g_strdup_printf("/proxy-channel/bad-hello/%s",
                                                bad_hellos[i].name);

        g_test_add_data_func(path, &bad_hellos[i], test_bad_hello);
    }
    for (i = 0; i < ARRAY_SIZE(failures); i++) {
        g_autofree char *path = g_strdup_printf("/proxy-channel/failure/%d",
                                                i);

        g_test_add_data_func(path, &failures[i], test_failure);
    }
    return g_test_run();
}
