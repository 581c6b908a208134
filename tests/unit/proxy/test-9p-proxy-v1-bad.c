/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Tests of the proxy driver in protocol version 1: one operation after the
 * other, and helpers that send no reply, too long a reply, or nonsense.
 */
#include "qemu/osdep.h"
#include <sys/socket.h>
#include "block/aio.h"
#include "qemu/main-loop.h"
#include "v1-fixture.h"

/*
 * The slot
 */

static void test_slot(void)
{
    DriverOp one = { }, two = { }, three = { };
    FsNode *node;
    DriverTest t;

    v1_make_file("f");
    v1_start(&t, false);
    node = v1_walk_to(&t, "f");
    op_start(&one, run_getattr, node);
    op_start(&two, run_getattr, node);
    op_start(&three, run_getattr, node);
    v1_expect(&t, PROXY_V1_LSTAT, "/f");
    g_assert_false(peer_wait(t.peer, 20));

    /* A call that waits can be cancelled; one that has the slot cannot. */
    fs_call_cancel(&two.call);
    g_assert_cmpint(op_wait(&two), ==, -EINTR);
    fs_call_cancel(&one.call);
    g_assert_false(one.done);
    v1_send_attr(t.peer, "f");
    g_assert_cmpint(op_wait(&one), ==, 0);
    v1_expect_lstat(&t, "/f");
    g_assert_cmpint(op_wait(&three), ==, 0);
    g_assert_cmpuint(three.attr.size, ==, 4);
    fs_node_unref(node);
    driver_test_finish(&t);
}

/* The reply to an abandoned request goes to no other. */
static void test_abandon(void)
{
    DriverOp one = { .flags = O_RDWR }, two = { };
    g_autofree V1Request *h = g_new(V1Request, 1);
    int32_t comes = INT32_MAX;
    FsNode *node;
    int fd, fds;
    DriverTest t;

    v1_make_file("f");
    v1_start(&t, false);
    node = v1_walk_to(&t, "f");
    fd = v1_host_open("f", O_RDWR);
    fds = open_fds();
    op_start(&one, run_open, node);
    v1_expect_lstat(&t, "/f");
    v1_expect_more(&t, h, PROXY_V1_OPEN, "/f");
    fs_call_cancel(&one.call);
    g_assert_true(fs_call_abandon(&one.call));
    g_assert_cmpint(op_wait(&one), ==, -EIO);

    op_start(&two, run_getattr, node);
    g_assert_false(peer_wait(t.peer, 20));
    v1_send(t.peer, &comes, sizeof(comes), fd);
    v1_expect_lstat(&t, "/f");
    g_assert_cmpint(op_wait(&two), ==, 0);
    expect_open_fds(fds);
    g_assert_cmpuint(t.lost, ==, 0);
    close(fd);
    fs_node_unref(node);
    driver_test_finish(&t);
}

/*
 * Replies that are not what they should be
 */

/* Nonsense in a good frame fails its request, and no more. */
static void test_nonsense(void)
{
    struct stat st;
    uint8_t buf[256];
    size_t size;
    FsNode *node;
    DriverOp op = { };
    DriverTest t;
    int i;

    v1_make_file("f");
    v1_start(&t, false);
    node = v1_walk_to(&t, "f");
    st = v1_host_stat("f");
    for (i = 0; i < 5; i++) {
        op_start(&op, run_getattr, node);
        v1_expect(&t, PROXY_V1_LSTAT, "/f");
        size = v1_put_attr(buf, &st, i == 0 ? 0644 : st.st_mode);
        if (i == 1) {
            size = 8 + 115;     /* too short; too long */
            buf[4] = 115;
        } else if (i == 2) {
            size = 8 + 117;
            buf[4] = 117;
            buf[124] = 0;
        } else if (i == 3) {
            memset(buf + 8 + 76, 0xff, 8);  /* nanoseconds */
        }
        v1_send(t.peer, buf, size, -1);
        g_assert_cmpint(op_wait(&op), ==, i < 4 ? -EIO : 0);
    }
    /* Errors that are none */
    op_start(&op, run_getattr, node);
    v1_expect(&t, PROXY_V1_LSTAT, "/f");
    v1_send_status(t.peer, PROXY_V1_ERROR, 5);
    g_assert_cmpint(op_wait(&op), ==, -EIO);
    op_start(&op, run_getattr, node);
    v1_expect(&t, PROXY_V1_LSTAT, "/f");
    v1_send_status(t.peer, PROXY_V1_ERROR, INT32_MIN);
    g_assert_cmpint(op_wait(&op), ==, -EIO);
    g_assert_cmpuint(t.lost, ==, 0);
    fs_node_unref(node);
    driver_test_finish(&t);
}

typedef struct Bad {
    const char *name;
    bool open;                  /* in answer to OPEN, not LSTAT */
    uint32_t bytes[4];
    size_t size;                /* 0: it closes the connection */
    unsigned fds;
} Bad;

static const Bad bads[] = {
    { "type", false, { 2, 4, 0 }, 12 },
    { "size", false, { PROXY_V1_SUCCESS, PROXY_V1_MAX_PAYLOAD + 1 }, 8 },
    { "error-size", false, { PROXY_V1_ERROR, 8 }, 8 },
    { "excess", false, { PROXY_V1_ERROR, 4, -1, 1 }, 13 },
    { "descriptor", false, { PROXY_V1_ERROR, 4, -1 }, 12, 1 },
    { "gone", false },
    { "open-none", true, { INT32_MAX }, 4 },
    { "open-two", true, { INT32_MAX }, 4, 2 },
    { "open-error-with", true, { -1 }, 4, 1 },
    { "open-value", true, { 0 }, 4 },
    { "open-excess", true, { -1, 0 }, 5 },
    { "open-gone", true },
};

/* The end of the channel, for all that are under way and that come */
static void test_bad(gconstpointer opaque)
{
    g_autofree V1Request *h = g_new(V1Request, 1);
    const Bad *bad = opaque;
    DriverOp op = { .flags = O_RDONLY }, waits = { }, late = { };
    int fds[2];
    FsNode *node;
    DriverTest t;

    v1_make_file("f");
    v1_start(&t, false);
    node = v1_walk_to(&t, "f");
    fds[0] = v1_host_open("f", O_RDONLY);
    fds[1] = v1_host_open("f", O_RDONLY);
    op_start(&op, bad->open ? run_open : run_getattr, node);
    op_start(&waits, run_getattr, node);
    if (bad->open) {
        v1_expect_lstat(&t, "/f");
        v1_expect_more(&t, h, PROXY_V1_OPEN, "/f");
    } else {
        v1_expect(&t, PROXY_V1_LSTAT, "/f");
    }
    if (bad->size) {
        peer_send(t.peer, bad->bytes, bad->size, fds, bad->fds);
    } else {
        shutdown(t.peer, SHUT_RDWR);
    }
    close(fds[0]);
    close(fds[1]);
    g_assert_cmpint(op_wait(&op), ==, -EIO);
    g_assert_cmpint(op_wait(&waits), ==, -EIO);
    op_start(&late, run_getattr, node);
    g_assert_true(late.done);
    g_assert_cmpint(late.ret, ==, -EIO);
    g_assert_cmpuint(t.lost, ==, 1);
    fs_node_unref(node);
    driver_test_finish(&t);
}

/* A reply without a request */
static void test_unasked(void)
{
    DriverOp op = { };
    DriverTest t;

    v1_start(&t, false);
    v1_send_status(t.peer, PROXY_V1_SUCCESS, 0);
    while (!t.lost) {
        aio_poll(qemu_get_aio_context(), true);
    }
    op_start(&op, run_getattr, t.fs.root);
    g_assert_cmpint(op_wait(&op), ==, -EIO);
    driver_test_finish(&t);
}

/* An answer that comes in pieces */
static void test_pieces(void)
{
    struct stat st;
    uint8_t buf[256];
    size_t size, i;
    FsNode *node;
    DriverOp op = { };
    DriverTest t;

    v1_make_file("f");
    v1_start(&t, false);
    node = v1_walk_to(&t, "f");
    st = v1_host_stat("f");
    size = v1_put_attr(buf, &st, st.st_mode);
    op_start(&op, run_getattr, node);
    v1_expect(&t, PROXY_V1_LSTAT, "/f");
    for (i = 0; i < size; i++) {
        g_assert_false(op.done);
        v1_send(t.peer, buf + i, 1, -1);
        aio_poll(qemu_get_aio_context(), false);
    }
    g_assert_cmpint(op_wait(&op), ==, 0);
    fs_node_unref(node);
    driver_test_finish(&t);
}

static void run_bad(gconstpointer bad)
{
    driver_folder_make();
    test_bad(bad);
    driver_folder_remove();
}

int main(int argc, char **argv)
{
    unsigned i;

    driver_test_init(&argc, &argv);
    v1_add_test("turns", test_slot);
    v1_add_test("abandon", test_abandon);
    v1_add_test("nonsense", test_nonsense);
    v1_add_test("unasked", test_unasked);
    v1_add_test("pieces", test_pieces);
    for (i = 0; i < G_N_ELEMENTS(bads); i++) {
        g_autofree char *name = g_strconcat("/proxy-driver-v1/bad/",
                                            bads[i].name, NULL);

        g_test_add_data_func(name, &bads[i], run_bad);
    }
    return g_test_run();
}
