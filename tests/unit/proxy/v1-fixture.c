/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Code that the tests of the proxy driver in protocol version 1 share: see
 * v1-fixture.h.
 */
#include "qemu/osdep.h"
#include <sys/socket.h>
#include "v1-fixture.h"

void v1_send(int peer, const void *bytes, size_t size, int fd)
{
    peer_send(peer, bytes, size, &fd, fd >= 0);
}

void v1_send_status(int peer, uint32_t type, int32_t value)
{
    uint32_t reply[] = { type, 4, value };

    v1_send(peer, reply, sizeof(reply), -1);
}

size_t v1_put_attr(uint8_t *buf, const struct stat *st, uint32_t mode)
{
    uint32_t head[] = { PROXY_V1_SUCCESS, 116 };
    MarshalWriter w;

    memcpy(buf, head, sizeof(head));
    marshal_writer_init(&w, buf + PROXY_V1_HEADER_SIZE, 116);
    marshal_put_u64(&w, st->st_dev);
    marshal_put_u64(&w, st->st_ino);
    marshal_put_u64(&w, st->st_nlink);
    marshal_put_u32(&w, mode);
    marshal_put_u32(&w, st->st_uid);
    marshal_put_u32(&w, st->st_gid);
    marshal_put_u64(&w, st->st_rdev);
    marshal_put_u64(&w, st->st_size);
    marshal_put_u64(&w, st->st_blksize);
    marshal_put_u64(&w, st->st_blocks);
    marshal_put_u64(&w, st->st_atim.tv_sec);
    marshal_put_u64(&w, st->st_atim.tv_nsec);
    marshal_put_u64(&w, st->st_mtim.tv_sec);
    marshal_put_u64(&w, st->st_mtim.tv_nsec);
    marshal_put_u64(&w, st->st_ctim.tv_sec);
    marshal_put_u64(&w, st->st_ctim.tv_nsec);
    g_assert_true(marshal_fits(&w) && marshal_size(&w) == 116);
    return PROXY_V1_HEADER_SIZE + 116;
}

struct stat v1_host_stat(const char *name)
{
    g_autofree char *path = in_folder(name);
    struct stat st;

    g_assert_cmpint(lstat(path, &st), ==, 0);
    return st;
}

void v1_send_attr(int peer, const char *name)
{
    struct stat st = v1_host_stat(name);
    uint8_t buf[256];

    v1_send(peer, buf, v1_put_attr(buf, &st, st.st_mode), -1);
}

void v1_recv(int peer, V1Request *h)
{
    uint32_t head[2];
    size_t got = 0;
    ssize_t n;

    g_assert_true(peer_wait(peer, PEER_PATIENCE_MS));
    g_assert_cmpint(recv(peer, head, sizeof(head), MSG_WAITALL), ==,
                    sizeof(head));
    g_assert_cmpuint(head[1], <=, sizeof(h->payload));
    while (got < head[1]) {
        g_assert_true(peer_wait(peer, PEER_PATIENCE_MS));
        n = recv(peer, h->payload + got, head[1] - got, 0);
        g_assert_cmpint(n, >, 0);
        got += n;
    }
    h->type = head[0];
    marshal_reader_init(&h->r, h->payload, head[1]);
}

void v1_expect_path(V1Request *h, const char *path)
{
    g_assert_cmpstr(marshal_get_str(&h->r, NULL), ==, path);
}

void v1_expect(DriverTest *t, uint32_t type, const char *path)
{
    g_autofree V1Request *h = g_new(V1Request, 1);

    v1_recv(t->peer, h);
    g_assert_cmpuint(h->type, ==, type);
    v1_expect_path(h, path);
    g_assert_true(marshal_done(&h->r));
}

void v1_expect_lstat(DriverTest *t, const char *path)
{
    v1_expect(t, PROXY_V1_LSTAT, path);
    v1_send_attr(t->peer, path + 1);
}

MarshalReader *v1_expect_more(DriverTest *t, V1Request *h, uint32_t type,
                              const char *path)
{
    v1_recv(t->peer, h);
    g_assert_cmpuint(h->type, ==, type);
    v1_expect_path(h, path);
    return &h->r;
}

/* What a helper hears while the export opens, in a thread of its own */
typedef struct Greeter {
    int peer;
    bool asked;                 /* for its version */
} Greeter;

static void greeter_hear(int peer, uint32_t type, const char *payload,
                         size_t size)
{
    uint32_t head[2];
    char buf[64];

    g_assert_cmpint(recv(peer, head, sizeof(head), MSG_WAITALL), ==,
                    sizeof(head));
    g_assert_cmpuint(head[0], ==, type);
    g_assert_cmpuint(head[1], ==, size);
    g_assert_cmpuint(size, <=, sizeof(buf));
    g_assert_cmpint(recv(peer, buf, size, MSG_WAITALL), ==, size);
    g_assert_cmpmem(buf, size, payload, size);
}

static gpointer greeter_run(gpointer opaque)
{
    static const char probe[] = "\0\0\0\0\1\0/\21\0" PROXY_V1_PROBE;
    Greeter *g = opaque;

    if (g->asked) {
        greeter_hear(g->peer, PROXY_V1_LGETXATTR, probe, sizeof(probe) - 1);
        v1_send_status(g->peer, PROXY_V1_ERROR, -EOPNOTSUPP);
    }
    greeter_hear(g->peer, PROXY_V1_LSTAT, "\1\0/", 3);
    v1_send_attr(g->peer, ".");
    return NULL;
}

void v1_start(DriverTest *t, bool ask)
{
    char number[16];
    FsdevProxyOptions o = {
        .sock_fd = number, .has_protocol = !ask, .protocol = 1,
    };
    Greeter greeter = { .asked = ask };
    GThread *thread;

    driver_test_start(t);
    driver_test_socket(t, number);
    greeter.peer = t->peer;
    thread = g_thread_new("helper", greeter_run, &greeter);
    driver_test_open(t, &o);
    g_thread_join(thread);
    g_assert_true(t->fs.driver != proxy);
}

FsNode *v1_walk_to(DriverTest *t, const char *name)
{
    g_autofree char *path = g_strconcat("/", name, NULL);
    DriverOp op = { .names = { name }, .n = 1 };

    op_start(&op, run_walk, t->fs.root);
    v1_expect_lstat(t, path);
    g_assert_cmpint(op_wait(&op), ==, 0);
    g_assert_true(op.walk.parent == t->fs.root);
    fs_node_unref(op.walk.parent);
    return op.walk.node;
}

void v1_make_file(const char *name)
{
    g_autofree char *path = in_folder(name);

    g_assert_true(g_file_set_contents(path, "text", -1, NULL));
}

int v1_host_open(const char *name, int flags)
{
    g_autofree char *path = in_folder(name);
    int fd = open(path, flags);

    g_assert_cmpint(fd, >=, 0);
    return fd;
}

static void v1_in_new_folder(gconstpointer opaque)
{
    void (*test)(void) = opaque;

    driver_folder_make();
    test();
    driver_folder_remove();
}

void v1_add_test(const char *name, void (*test)(void))
{
    g_autofree char *path = g_strconcat("/proxy-driver-v1/", name, NULL);

    g_test_add_data_func(path, test, v1_in_new_folder);
}
