/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The proxy driver in protocol version 1 (fsdev/shared/proto-v1.h): what it sends,
 * and what it makes of a helper that says nothing, too much or nonsense.
 *
 * The test plays that helper by hand on the other end of a socket pair. The
 * last tests are with real ones: that of this build, and Debian 12's if
 * VIRTFS_OLD_HELPER names it and we are root.
 */
#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qemu/cutils.h"
#include "qemu/module.h"
#include "qemu/sockets.h"
#include "fsdev/shared/hostfs.h"
#include "fsdev/shared/proto-v1.h"
#include "hw/9pfs/fs/export.h"
#include "proxy-peer.h"

static const FsDriver *proxy;
static char *folder;

typedef struct Test {
    FsExport fs;
    int peer;
    int fds_before;
    const char *lost;           /* FsExport.on_helper told of it */
    Notifier on_helper;
} Test;

static char *in_folder(const char *name)
{
    return g_build_filename(folder, name, NULL);
}

/*
 * The helper
 */

/* A reply's bytes as they are */
static void say(int peer, const void *bytes, size_t size, int fd)
{
    peer_send(peer, bytes, size, &fd, fd >= 0);
}

static void say_status(int peer, uint32_t type, int32_t value)
{
    uint32_t reply[] = { type, 4, value };

    say(peer, reply, sizeof(reply), -1);
}

static size_t put_attr(uint8_t *buf, const struct stat *st, uint32_t mode)
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

static struct stat host_stat(const char *name)
{
    g_autofree char *path = in_folder(name);
    struct stat st;

    g_assert_cmpint(lstat(path, &st), ==, 0);
    return st;
}

static void say_attr(int peer, const char *name)
{
    struct stat st = host_stat(name);
    uint8_t buf[256];

    say(peer, buf, put_attr(buf, &st, st.st_mode), -1);
}

/* A request, with its payload to be read */
typedef struct Heard {
    uint32_t type;
    MarshalReader r;
    uint8_t payload[PROXY_V1_MAX_PAYLOAD];
} Heard;

static void hear(int peer, Heard *h)
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

static void expect_path(Heard *h, const char *path)
{
    g_assert_cmpstr(marshal_get_str(&h->r, NULL), ==, path);
}

/* A request that has no more than a path */
static void expect(Test *t, uint32_t type, const char *path)
{
    g_autofree Heard *h = g_new(Heard, 1);

    hear(t->peer, h);
    g_assert_cmpuint(h->type, ==, type);
    expect_path(h, path);
    g_assert_true(marshal_done(&h->r));
}

/* LSTAT of @name, answered as it is on the host */
static void expect_lstat(Test *t, const char *path)
{
    expect(t, PROXY_V1_LSTAT, path);
    say_attr(t->peer, path + 1);
}

/* Whether a request with more in it comes next; its reader. */
static MarshalReader *expect_more(Test *t, Heard *h, uint32_t type,
                                  const char *path)
{
    hear(t->peer, h);
    g_assert_cmpuint(h->type, ==, type);
    expect_path(h, path);
    return &h->r;
}

/*
 * The export
 */

static void helper_event(Notifier *n, void *data)
{
    Test *t = container_of(n, Test, on_helper);
    FsHelperEvent *event = data;

    g_assert_true(event->fs == &t->fs);
    g_assert_false(event->reconnected);
    t->lost = "lost";
}

/* What a helper is asked while the export is made, in a thread of its own */
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
        say_status(g->peer, PROXY_V1_ERROR, -EOPNOTSUPP);
    }
    greeter_hear(g->peer, PROXY_V1_LSTAT, "\1\0/", 3);
    say_attr(g->peer, ".");
    return NULL;
}

static void start(Test *t, bool ask)
{
    char number[16];
    FsdevOptions opts = {
        .fsdriver = FSDEV_DRIVER_PROXY,
        .id = (char *)"test",
        .u.proxy = { .sock_fd = number, .has_protocol = !ask, .protocol = 1 },
    };
    Greeter greeter = { .asked = ask };
    GThread *thread;
    int sv[2];

    *t = (Test) { .fds_before = open_fds() };
    g_assert_cmpint(qemu_socketpair(AF_UNIX, SOCK_STREAM, 0, sv), ==, 0);
    t->peer = greeter.peer = sv[1];
    snprintf(number, sizeof(number), "%d", sv[0]);
    t->fs.id = (char *)"test";
    t->fs.driver = proxy;
    t->on_helper.notify = helper_event;
    notifier_list_add(&t->fs.on_helper, &t->on_helper);
    thread = g_thread_new("helper", greeter_run, &greeter);
    g_assert_true(proxy->open(&t->fs, &opts, &error_abort));
    g_thread_join(thread);
    g_assert_true(t->fs.driver != proxy);
}

static void finish(Test *t)
{
    /* The root is what is left */
    g_assert_cmpuint(fs_nodes_count(&t->fs.nodes), ==, 1);
    notifier_remove(&t->on_helper);
    t->fs.driver->close(&t->fs);
    close(t->peer);
    g_assert_cmpint(open_fds(), ==, t->fds_before);
}

/*
 * Operations, each in a coroutine
 */

typedef struct Op {
    void coroutine_fn (*run)(struct Op *op);
    FsCall call;
    FsNode *node;
    FsNode *dir;
    const char *names[3];
    unsigned n;
    int flags;
    FsSetAttr set;
    FsMakeArgs make;
    const void *value;
    size_t size;
    FsWalk walk;
    FsFile *file;
    FsAttr attr;
    int ret;
    bool done;
} Op;

static const FsDriver *driver(Op *op)
{
    return op->node->fs->driver;
}

static void coroutine_fn run_walk(Op *op)
{
    op->ret = driver(op)->walk(&op->call, op->node, op->names, op->n,
                               &op->walk);
}

static void coroutine_fn run_getattr(Op *op)
{
    op->ret = driver(op)->getattr(&op->call, op->node, op->file, &op->attr);
}

static void coroutine_fn run_setattr(Op *op)
{
    op->ret = driver(op)->setattr(&op->call, op->node, NULL, &op->set);
}

static void coroutine_fn run_open(Op *op)
{
    op->ret = driver(op)->open_file(&op->call, op->node, op->flags, &op->file);
}

static void coroutine_fn run_create(Op *op)
{
    op->ret = driver(op)->create(&op->call, op->node, &op->make, op->flags,
                                 &op->dir, &op->file, &op->attr);
}

static void coroutine_fn run_make(Op *op)
{
    op->ret = driver(op)->make(&op->call, op->node, &op->make, &op->attr);
}

static void coroutine_fn run_rename(Op *op)
{
    op->ret = driver(op)->rename(&op->call, op->node, op->names[0],
                                 op->dir, op->names[1]);
}

static void coroutine_fn run_unlink(Op *op)
{
    op->ret = driver(op)->unlink(&op->call, op->node, op->names[0],
                                 op->flags, op->dir);
}

static void coroutine_fn run_setxattr(Op *op)
{
    op->ret = driver(op)->setxattr(&op->call, op->node, op->names[0],
                                   op->value, op->size, 0);
}

static void coroutine_fn run_getxattr(Op *op)
{
    op->ret = driver(op)->getxattr(&op->call, op->node, op->names[0],
                                   (uint8_t **)&op->value, &op->size);
}

static void coroutine_fn op_entry(void *opaque)
{
    Op *op = opaque;

    op->run(op);
    op->done = true;
}

static void op_start(Op *op, void coroutine_fn (*run)(Op *op), FsNode *node)
{
    op->run = run;
    op->node = node;
    op->done = false;
    qemu_coroutine_enter(qemu_coroutine_create(op_entry, op));
}

static int op_wait(Op *op)
{
    gint64 end = g_get_monotonic_time() + PEER_PATIENCE_MS * INT64_C(1000);

    while (!op->done && g_get_monotonic_time() < end) {
        if (!aio_poll(qemu_get_aio_context(), false)) {
            g_usleep(100);
        }
    }
    g_assert_true(op->done);
    return op->ret;
}

/* Walks to one name in the root; the played helper says what the host has. */
static FsNode *walk_to(Test *t, const char *name)
{
    g_autofree char *path = g_strconcat("/", name, NULL);
    Op op = { .names = { name }, .n = 1 };

    op_start(&op, run_walk, t->fs.root);
    expect_lstat(t, path);
    g_assert_cmpint(op_wait(&op), ==, 0);
    g_assert_true(op.walk.parent == t->fs.root);
    fs_node_unref(op.walk.parent);
    return op.walk.node;
}

static void make_file(const char *name)
{
    g_autofree char *path = in_folder(name);

    g_assert_true(g_file_set_contents(path, "text", -1, NULL));
}

/*
 * What is sent
 */

static void test_choose(void)
{
    Test t;

    start(&t, true);
    finish(&t);
    start(&t, false);
    finish(&t);
}

/* Paths are put together from names, and follow a rename. */
static void test_paths(void)
{
    g_autofree char *dir = in_folder("d");
    g_autofree char *moved = in_folder("e");
    FsEntry *d, *f;
    FsNode *dir_node, *file_node;
    Op op = { .names = { "d", "f" }, .n = 2 };
    Test t;

    g_assert_cmpint(mkdir(dir, 0755), ==, 0);
    make_file("d/f");
    start(&t, false);
    op_start(&op, run_walk, t.fs.root);
    expect_lstat(&t, "/d");
    expect_lstat(&t, "/d/f");
    g_assert_cmpint(op_wait(&op), ==, 0);
    file_node = op.walk.node;
    dir_node = op.walk.parent;
    d = fs_entry_get(&t.fs, t.fs.root, "d", dir_node);
    f = fs_entry_get(&t.fs, dir_node, "f", file_node);

    /* What the server does with entries */
    op = (Op) { .names = { "d", "e" }, .dir = t.fs.root };
    op_start(&op, run_rename, t.fs.root);
    expect_lstat(&t, "/d");
    expect(&t, PROXY_V1_LSTAT, "/e");
    say_status(t.peer, PROXY_V1_ERROR, -ENOENT);
    {
        g_autofree Heard *h = g_new(Heard, 1);

        expect_more(&t, h, PROXY_V1_RENAME, "/d");
        expect_path(h, "/e");
        g_assert_true(marshal_done(&h->r));
    }
    g_assert_cmpint(rename(dir, moved), ==, 0);
    say_status(t.peer, PROXY_V1_SUCCESS, 0);
    g_assert_cmpint(op_wait(&op), ==, 0);
    fs_entry_move(d, t.fs.root, "e");

    op = (Op) { };
    op_start(&op, run_getattr, file_node);
    expect_lstat(&t, "/e/f");
    g_assert_cmpint(op_wait(&op), ==, 0);
    g_assert_cmpuint(op.attr.size, ==, 4);

    /* Another inode by that name: not what is meant */
    make_file("e/other");
    op_start(&op, run_getattr, file_node);
    expect(&t, PROXY_V1_LSTAT, "/e/f");
    say_attr(t.peer, "e/other");
    g_assert_cmpint(op_wait(&op), ==, -ESTALE);

    fs_entry_put(f);
    fs_entry_put(d);
    fs_node_unref(file_node);
    fs_node_unref(dir_node);
    finish(&t);
}

/* ".." and links: a path never has them in its middle */
static void test_walk(void)
{
    g_autofree char *link = in_folder("link");
    Op op = { .names = { "link", "f" }, .n = 2 };
    Test t;

    g_assert_cmpint(symlink("/", link), ==, 0);
    start(&t, false);
    op_start(&op, run_walk, t.fs.root);
    expect_lstat(&t, "/link");
    g_assert_cmpint(op_wait(&op), ==, -ENOTDIR);
    g_assert_cmpuint(op.walk.walked, ==, 1);

    op = (Op) { .names = { ".." }, .n = 1 };
    op_start(&op, run_walk, t.fs.root);
    expect_lstat(&t, "/");
    g_assert_cmpint(op_wait(&op), ==, 0);
    g_assert_true(op.walk.node == t.fs.root);
    g_assert_null(op.walk.parent);
    fs_node_unref(op.walk.node);
    finish(&t);
}

static void test_long_path(void)
{
    g_autofree char *name = g_strnfill(NAME_MAX, 'x');
    FsNode *nodes[16];
    struct stat st;
    Test t;
    int i;

    start(&t, false);
    st = host_stat(".");
    for (i = 0; i < 16; i++) {
        Op op = { .names = { name }, .n = 1 };
        g_autofree Heard *h = g_new(Heard, 1);
        uint8_t buf[256];

        op_start(&op, run_walk, i ? nodes[i - 1] : t.fs.root);
        if (i > 0) {            /* is it still the directory above */
            hear(t.peer, h);
            st.st_ino = 1000 + i - 1;
            say(t.peer, buf, put_attr(buf, &st, S_IFDIR | 0755), -1);
        }
        if (i < 15) {
            hear(t.peer, h);
            st.st_ino = 1000 + i;
            say(t.peer, buf, put_attr(buf, &st, S_IFDIR | 0755), -1);
            g_assert_cmpint(op_wait(&op), ==, 0);
            fs_node_unref(op.walk.parent);
            nodes[i] = op.walk.node;
        } else {
            /* 16 * 256 is one too many */
            g_assert_cmpint(op_wait(&op), ==, -ENAMETOOLONG);
            g_assert_false(peer_wait(t.peer, 10));
        }
    }
    for (i = 0; i < 15; i++) {
        fs_node_unref(nodes[i]);
    }
    finish(&t);
}

/* Both times with the nanoseconds that are theirs */
static void test_times(void)
{
    g_autofree Heard *h = g_new(Heard, 1);
    MarshalReader *r;
    FsNode *node;
    Op op = { .set = {
        .valid = FS_SET_ATIME | FS_SET_ATIME_SET |
                 FS_SET_MTIME | FS_SET_MTIME_SET,
        .atime = { 11, 22 }, .mtime = { 33, 44 },
    } };
    Test t;

    make_file("f");
    start(&t, false);
    node = walk_to(&t, "f");
    op_start(&op, run_setattr, node);
    expect_lstat(&t, "/f");
    r = expect_more(&t, h, PROXY_V1_UTIME, "/f");
    g_assert_cmpuint(marshal_get_u64(r), ==, 11);
    g_assert_cmpuint(marshal_get_u64(r), ==, 22);
    g_assert_cmpuint(marshal_get_u64(r), ==, 33);
    g_assert_cmpuint(marshal_get_u64(r), ==, 44);
    g_assert_true(marshal_done(r));
    say_status(t.peer, PROXY_V1_SUCCESS, 0);
    g_assert_cmpint(op_wait(&op), ==, 0);

    op.set.valid = FS_SET_MTIME;
    op_start(&op, run_setattr, node);
    expect_lstat(&t, "/f");
    r = expect_more(&t, h, PROXY_V1_UTIME, "/f");
    marshal_get_u64(r);
    g_assert_cmpuint(marshal_get_u64(r), ==, UTIME_OMIT);
    marshal_get_u64(r);
    g_assert_cmpuint(marshal_get_u64(r), ==, UTIME_NOW);
    say_status(t.peer, PROXY_V1_ERROR, -EROFS);
    g_assert_cmpint(op_wait(&op), ==, -EROFS);
    fs_node_unref(node);
    finish(&t);
}

/* CHMOD and TRUNCATE would follow the link. */
static void test_link_change(void)
{
    g_autofree char *link = in_folder("l");
    FsNode *node;
    Op op = { .set = { .valid = FS_SET_MODE, .mode = 0666 } };
    Test t;

    g_assert_cmpint(symlink("f", link), ==, 0);
    start(&t, false);
    node = walk_to(&t, "l");
    op_start(&op, run_setattr, node);
    expect_lstat(&t, "/l");
    g_assert_cmpint(op_wait(&op), ==, -EOPNOTSUPP);

    /* A file that the host made a link of is another inode */
    fs_node_unref(node);
    make_file("f");
    node = walk_to(&t, "f");
    op_start(&op, run_setattr, node);
    expect(&t, PROXY_V1_LSTAT, "/f");
    say_attr(t.peer, "l");
    g_assert_cmpint(op_wait(&op), ==, -ESTALE);
    g_assert_false(peer_wait(t.peer, 10));

    /* Nor is one opened. */
    op = (Op) { .flags = O_RDWR };
    op_start(&op, run_open, node);
    expect(&t, PROXY_V1_LSTAT, "/f");
    say_attr(t.peer, "l");
    g_assert_cmpint(op_wait(&op), ==, -ESTALE);
    fs_node_unref(node);
    finish(&t);
}

/* The size is that of the value which comes along. */
static void test_xattr(void)
{
    g_autofree Heard *h = g_new(Heard, 1);
    g_autofree char *large = g_malloc0(PROXY_V1_MAX_PAYLOAD);
    uint32_t value[] = { PROXY_V1_SUCCESS, 2 + 5 };
    uint8_t reply[PROXY_V1_HEADER_SIZE + 2 + 5] = "        \5\0value";
    MarshalReader *r;
    FsNode *node;
    Op op = { .names = { "user.x" }, .value = "value", .size = 5 };
    Test t;

    make_file("f");
    start(&t, false);
    node = walk_to(&t, "f");
    op_start(&op, run_setxattr, node);
    expect_lstat(&t, "/f");
    r = expect_more(&t, h, PROXY_V1_LSETXATTR, "/f");
    expect_path(h, "user.x");
    expect_path(h, "value");
    g_assert_cmpuint(marshal_get_u32(r), ==, 5);
    g_assert_cmpuint(marshal_get_u32(r), ==, 0);
    g_assert_true(marshal_done(r));
    say_status(t.peer, PROXY_V1_SUCCESS, 0);
    g_assert_cmpint(op_wait(&op), ==, 0);

    op.value = large;
    op.size = PROXY_V1_MAX_PAYLOAD;
    op_start(&op, run_setxattr, node);
    expect_lstat(&t, "/f");
    g_assert_cmpint(op_wait(&op), ==, -E2BIG);

    /* It got shorter between its length and itself; and far too long */
    op.value = NULL;
    op_start(&op, run_getxattr, node);
    expect_lstat(&t, "/f");
    hear(t.peer, h);
    g_assert_cmpuint(h->type, ==, PROXY_V1_LGETXATTR);
    say_status(t.peer, PROXY_V1_SUCCESS, 7);
    hear(t.peer, h);
    g_assert_cmpuint(marshal_get_u32(&h->r), ==, 7);
    memcpy(reply, value, sizeof(value));
    say(t.peer, reply, sizeof(reply), -1);
    g_assert_cmpint(op_wait(&op), ==, 0);
    g_assert_cmpmem(op.value, op.size, "value", 5);
    g_free((void *)op.value);

    op.value = NULL;
    op_start(&op, run_getxattr, node);
    expect_lstat(&t, "/f");
    hear(t.peer, h);
    say_status(t.peer, PROXY_V1_SUCCESS, 3);
    hear(t.peer, h);
    say(t.peer, reply, sizeof(reply), -1);
    g_assert_cmpint(op_wait(&op), ==, -EIO);
    g_assert_null(op.value);
    op_start(&op, run_getxattr, node);
    expect_lstat(&t, "/f");
    hear(t.peer, h);
    say_status(t.peer, PROXY_V1_SUCCESS, INT32_MAX);
    g_assert_cmpint(op_wait(&op), ==, -E2BIG);
    g_assert_null(t.lost);
    fs_node_unref(node);
    finish(&t);
}

/* For user 0 and another group: made closed, for group 0, and given away */
static void test_other_group(void)
{
    g_autofree Heard *h = g_new(Heard, 1);
    g_autofree char *path = in_folder("made");
    MarshalReader *r = &h->r;
    Op op = { .make = { .name = "made", .mode = S_IFDIR | 02775, .gid = 77 } };
    Test t;

    start(&t, false);
    op_start(&op, run_make, t.fs.root);
    hear(t.peer, h);
    g_assert_cmpuint(h->type, ==, PROXY_V1_MKDIR);
    g_assert_cmpuint(marshal_get_u32(r), ==, 0);
    g_assert_cmpuint(marshal_get_u32(r), ==, 0);
    expect_path(h, "/made");
    g_assert_cmphex(marshal_get_u32(r), ==, 0705);
    g_assert_cmpint(mkdir(path, 0755), ==, 0);
    say_status(t.peer, PROXY_V1_SUCCESS, 0);
    expect_more(&t, h, PROXY_V1_CHOWN, "/made");
    g_assert_cmpuint(marshal_get_u32(r), ==, UINT32_MAX);
    g_assert_cmpuint(marshal_get_u32(r), ==, 77);
    say_status(t.peer, PROXY_V1_SUCCESS, 0);
    expect_more(&t, h, PROXY_V1_CHMOD, "/made");
    g_assert_cmphex(marshal_get_u32(r), ==, 02775);
    say_status(t.peer, PROXY_V1_SUCCESS, 0);
    expect_lstat(&t, "/made");
    g_assert_cmpint(op_wait(&op), ==, 0);
    finish(&t);
}

/*
 * Opening
 */

/* What comes of opening f when the helper answers so */
static int open_answer(Test *t, FsNode *node, int32_t value, int fd,
                       FsFile **file)
{
    g_autofree Heard *h = g_new(Heard, 1);
    Op op = { .flags = O_RDWR | O_TRUNC };
    uint32_t flags;

    op_start(&op, run_open, node);
    expect_lstat(t, "/f");
    flags = marshal_get_u32(expect_more(t, h, PROXY_V1_OPEN, "/f"));
    g_assert_cmphex(flags & (O_NOFOLLOW | O_NONBLOCK), ==,
                    O_NOFOLLOW | O_NONBLOCK);
    g_assert_cmphex(flags & (O_CREAT | O_TRUNC), ==, 0);
    say(t->peer, &value, sizeof(value), fd);
    op_wait(&op);
    *file = op.file;
    return op.ret;
}

static int host_open(const char *name, int flags)
{
    g_autofree char *path = in_folder(name);
    int fd = open(path, flags);

    g_assert_cmpint(fd, >=, 0);
    return fd;
}

static void test_open(void)
{
    int good, bad[3];
    struct stat st;
    FsNode *node;
    FsFile *file;
    Op op = { };
    Test t;
    int i;

    make_file("f");
    make_file("other");
    start(&t, false);
    node = walk_to(&t, "f");
    bad[0] = host_open("other", O_RDWR);
    bad[1] = host_open("f", O_PATH);
    bad[2] = open("/dev/zero", O_RDWR);
    good = host_open("f", O_RDWR | O_NONBLOCK);
    for (i = 0; i < ARRAY_SIZE(bad); i++) {
        int fds = open_fds();

        g_assert_cmpint(open_answer(&t, node, INT32_MAX, bad[i], &file), ==,
                        -ESTALE);
        g_assert_cmpint(open_fds(), ==, fds);
    }
    for (i = 0; i < ARRAY_SIZE(bad); i++) {
        close(bad[i]);
    }
    /* Nothing was cut off, neither there nor here. */
    g_assert_cmpint(host_stat("other").st_size, ==, 4);
    g_assert_cmpint(host_stat("f").st_size, ==, 4);
    g_assert_cmpint(open_answer(&t, node, -EACCES, -1, &file), ==, -EACCES);
    g_assert_cmpint(open_answer(&t, node, -517, -1, &file), ==, -EIO);

    g_assert_cmpint(open_answer(&t, node, INT32_MAX, good, &file), ==, 0);
    g_assert_true(file->node == node);
    g_assert_cmpint(host_stat("f").st_size, ==, 0);
    g_assert_cmphex(fcntl(good, F_GETFL) & O_NONBLOCK, ==, 0);
    close(good);

    /* Attributes then need no message, for whoever asks. */
    op_start(&op, run_getattr, node);
    g_assert_true(op.done);
    g_assert_cmpint(op.ret, ==, 0);
    st = host_stat("f");
    g_assert_cmpuint(op.attr.ino, ==, st.st_ino);
    file->flags = O_RDONLY;     /* closed at once, so that it is counted */
    fs_file_unref(file);
    fs_node_unref(node);
    finish(&t);
}

/*
 * Turns
 */

static void test_turns(void)
{
    Op one = { }, two = { }, three = { };
    FsNode *node;
    Test t;

    make_file("f");
    start(&t, false);
    node = walk_to(&t, "f");
    op_start(&one, run_getattr, node);
    op_start(&two, run_getattr, node);
    op_start(&three, run_getattr, node);
    expect(&t, PROXY_V1_LSTAT, "/f");
    g_assert_false(peer_wait(t.peer, 20));

    /* Who waits can be cancelled, whose turn it is cannot. */
    fs_call_cancel(&two.call);
    g_assert_cmpint(op_wait(&two), ==, -EINTR);
    fs_call_cancel(&one.call);
    g_assert_false(one.done);
    say_attr(t.peer, "f");
    g_assert_cmpint(op_wait(&one), ==, 0);
    expect_lstat(&t, "/f");
    g_assert_cmpint(op_wait(&three), ==, 0);
    g_assert_cmpuint(three.attr.size, ==, 4);
    fs_node_unref(node);
    finish(&t);
}

/* An answer that nobody waits for any more is not another one's. */
static void test_abandon(void)
{
    Op one = { .flags = O_RDWR }, two = { };
    g_autofree Heard *h = g_new(Heard, 1);
    int32_t comes = INT32_MAX;
    FsNode *node;
    int fd, fds;
    Test t;

    make_file("f");
    start(&t, false);
    node = walk_to(&t, "f");
    fd = host_open("f", O_RDWR);
    fds = open_fds();
    op_start(&one, run_open, node);
    expect_lstat(&t, "/f");
    expect_more(&t, h, PROXY_V1_OPEN, "/f");
    fs_call_cancel(&one.call);
    g_assert_true(fs_call_abandon(&one.call));
    g_assert_cmpint(op_wait(&one), ==, -EIO);

    op_start(&two, run_getattr, node);
    g_assert_false(peer_wait(t.peer, 20));
    say(t.peer, &comes, sizeof(comes), fd);
    expect_lstat(&t, "/f");
    g_assert_cmpint(op_wait(&two), ==, 0);
    g_assert_cmpint(open_fds(), ==, fds);
    g_assert_null(t.lost);
    close(fd);
    fs_node_unref(node);
    finish(&t);
}

/*
 * Helpers that are not to be trusted
 */

/* Nonsense in a good frame fails its request, and no more. */
static void test_nonsense(void)
{
    struct stat st;
    uint8_t buf[256];
    size_t size;
    FsNode *node;
    Op op = { };
    Test t;
    int i;

    make_file("f");
    start(&t, false);
    node = walk_to(&t, "f");
    st = host_stat("f");
    for (i = 0; i < 5; i++) {
        op_start(&op, run_getattr, node);
        expect(&t, PROXY_V1_LSTAT, "/f");
        size = put_attr(buf, &st, i == 0 ? 0644 : st.st_mode);
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
        say(t.peer, buf, size, -1);
        g_assert_cmpint(op_wait(&op), ==, i < 4 ? -EIO : 0);
    }
    /* Errors that are none */
    op_start(&op, run_getattr, node);
    expect(&t, PROXY_V1_LSTAT, "/f");
    say_status(t.peer, PROXY_V1_ERROR, 5);
    g_assert_cmpint(op_wait(&op), ==, -EIO);
    op_start(&op, run_getattr, node);
    expect(&t, PROXY_V1_LSTAT, "/f");
    say_status(t.peer, PROXY_V1_ERROR, INT32_MIN);
    g_assert_cmpint(op_wait(&op), ==, -EIO);
    g_assert_null(t.lost);
    fs_node_unref(node);
    finish(&t);
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
    g_autofree Heard *h = g_new(Heard, 1);
    const Bad *bad = opaque;
    Op op = { .flags = O_RDONLY }, waits = { }, late = { };
    int fds[2];
    FsNode *node;
    Test t;

    make_file("f");
    start(&t, false);
    node = walk_to(&t, "f");
    fds[0] = host_open("f", O_RDONLY);
    fds[1] = host_open("f", O_RDONLY);
    op_start(&op, bad->open ? run_open : run_getattr, node);
    op_start(&waits, run_getattr, node);
    if (bad->open) {
        expect_lstat(&t, "/f");
        expect_more(&t, h, PROXY_V1_OPEN, "/f");
    } else {
        expect(&t, PROXY_V1_LSTAT, "/f");
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
    g_assert_nonnull(t.lost);
    fs_node_unref(node);
    finish(&t);
}

/* What nobody asked for */
static void test_unasked(void)
{
    Op op = { };
    Test t;

    start(&t, false);
    say_status(t.peer, PROXY_V1_SUCCESS, 0);
    while (!t.lost) {
        aio_poll(qemu_get_aio_context(), true);
    }
    op_start(&op, run_getattr, t.fs.root);
    g_assert_cmpint(op_wait(&op), ==, -EIO);
    finish(&t);
}

/* An answer that comes in pieces */
static void test_pieces(void)
{
    struct stat st;
    uint8_t buf[256];
    size_t size, i;
    FsNode *node;
    Op op = { };
    Test t;

    make_file("f");
    start(&t, false);
    node = walk_to(&t, "f");
    st = host_stat("f");
    size = put_attr(buf, &st, st.st_mode);
    op_start(&op, run_getattr, node);
    expect(&t, PROXY_V1_LSTAT, "/f");
    for (i = 0; i < size; i++) {
        g_assert_false(op.done);
        say(t.peer, buf + i, 1, -1);
        aio_poll(qemu_get_aio_context(), false);
    }
    g_assert_cmpint(op_wait(&op), ==, 0);
    fs_node_unref(node);
    finish(&t);
}

/*
 * Real ones
 */

static void test_real(gconstpointer helper)
{
    g_autofree char *dir = in_folder("real");
    g_autofree char *file = g_build_filename(dir, "f", NULL);
    FsdevOptions opts = {
        .fsdriver = FSDEV_DRIVER_PROXY,
        .id = (char *)"test",
        .u.proxy = { .path = dir, .helper = (char *)helper,
                     .has_protocol = true, .protocol = 1 },
    };
    FsExport fs = { .id = (char *)"test", .driver = proxy };
    uid_t uid = geteuid() == 0 ? 4711 : 0;
    struct stat st;
    FsNode *node;
    Op op = {
        .make = { .name = "f", .mode = S_IFREG | 0640, .uid = uid,
                  .gid = uid },
        .flags = O_RDWR | O_CREAT | O_EXCL,
    };

    g_assert_cmpint(mkdir(dir, 0755), ==, 0);
    g_assert_cmpint(chmod(folder, 0755), ==, 0);
    g_assert_true(proxy->open(&fs, &opts, &error_abort));
    op_start(&op, run_create, fs.root);
    g_assert_cmpint(op_wait(&op), ==, 0);
    node = op.dir;
    g_assert_cmpint(lstat(file, &st), ==, 0);
    g_assert_cmphex(st.st_mode, ==, S_IFREG | 0640);
    g_assert_cmpuint(st.st_uid, ==, geteuid() == 0 ? uid : geteuid());
    g_assert_cmpuint(op.attr.uid, ==, uid);
    g_assert_cmpuint(op.attr.ino, ==, st.st_ino);
    fs_file_unref(op.file);

    op = (Op) { .set = {
        .valid = FS_SET_SIZE | FS_SET_MODE | FS_SET_ATIME | FS_SET_ATIME_SET |
                 FS_SET_MTIME | FS_SET_MTIME_SET,
        .size = 4321, .mode = 0604, .atime = { 5, 6 }, .mtime = { 7, 8 },
    } };
    op_start(&op, run_setattr, node);
    g_assert_cmpint(op_wait(&op), ==, 0);
    op_start(&op, run_getattr, node);
    g_assert_cmpint(op_wait(&op), ==, 0);
    g_assert_cmpint(lstat(file, &st), ==, 0);
    g_assert_cmphex(st.st_mode, ==, S_IFREG | 0604);
    g_assert_cmpuint(op.attr.size, ==, 4321);
    g_assert_cmpint(st.st_size, ==, 4321);
    g_assert_cmpint(st.st_atim.tv_sec, ==, 5);
    g_assert_cmpint(st.st_atim.tv_nsec, ==, 6);
    g_assert_cmpint(st.st_mtim.tv_sec, ==, 7);
    g_assert_cmpint(st.st_mtim.tv_nsec, ==, 8);

    op = (Op) { .names = { "f" }, .dir = node, .flags = true };
    op_start(&op, run_unlink, fs.root);
    g_assert_cmpint(op_wait(&op), ==, -ENOTDIR);
    op.flags = false;
    op_start(&op, run_unlink, fs.root);
    g_assert_cmpint(op_wait(&op), ==, 0);
    g_assert_cmpint(lstat(file, &st), ==, -1);
    op_start(&op, run_getattr, node);
    g_assert_cmpint(op_wait(&op), ==, -ESTALE);
    fs_node_unref(node);
    fs.driver->close(&fs);
    g_assert_cmpint(rmdir(dir), ==, 0);
}

static void in_new_folder(gconstpointer opaque)
{
    void (*test)(void) = opaque;
    const char *argv[] = { "rm", "-rf", NULL, NULL };

    folder = g_dir_make_tmp("proxy-driver-v1-XXXXXX", NULL);
    g_assert_nonnull(folder);
    argv[2] = folder;
    test();
    g_assert_true(g_spawn_sync(NULL, (char **)argv, NULL, G_SPAWN_SEARCH_PATH,
                               NULL, NULL, NULL, NULL, NULL, NULL));
    g_free(folder);
}

static const Bad *bad_now;
static const char *helper_now;

static void run_bad_now(void)
{
    test_bad(bad_now);
}

static void run_bad(gconstpointer opaque)
{
    bad_now = opaque;
    in_new_folder(run_bad_now);
}

static void run_real_now(void)
{
    test_real(helper_now);
}

static void run_real(gconstpointer opaque)
{
    helper_now = opaque;
    in_new_folder(run_real_now);
}

int main(int argc, char **argv)
{
    static const struct {
        const char *name;
        void (*run)(void);
    } tests[] = {
        { "choose", test_choose },
        { "paths", test_paths },
        { "walk", test_walk },
        { "long-path", test_long_path },
        { "times", test_times },
        { "link-change", test_link_change },
        { "xattr", test_xattr },
        { "other-group", test_other_group },
        { "open", test_open },
        { "turns", test_turns },
        { "abandon", test_abandon },
        { "nonsense", test_nonsense },
        { "unasked", test_unasked },
        { "pieces", test_pieces },
    };
    const char *helper = g_getenv("VIRTFS_PROXY_HELPER");
    const char *old = g_getenv("VIRTFS_OLD_HELPER");
    unsigned i;

    g_test_init(&argc, &argv, NULL);
    signal(SIGPIPE, SIG_IGN);
    alarm(300);                 /* nothing in here takes that long */
    qemu_init_main_loop(&error_fatal);
    module_call_init(MODULE_INIT_QOM);
    proxy = fs_driver_find(FSDEV_DRIVER_PROXY);
    g_assert_nonnull(proxy);
    for (i = 0; i < G_N_ELEMENTS(tests); i++) {
        g_autofree char *name = g_strconcat("/proxy-driver-v1/",
                                            tests[i].name, NULL);

        g_test_add_data_func(name, tests[i].run, in_new_folder);
    }
    for (i = 0; i < G_N_ELEMENTS(bads); i++) {
        g_autofree char *name = g_strconcat("/proxy-driver-v1/bad/",
                                            bads[i].name, NULL);

        g_test_add_data_func(name, &bads[i], run_bad);
    }
    if (helper) {
        g_test_add_data_func("/proxy-driver-v1/real/own", helper, run_real);
    }
    if (old && geteuid() == 0) {
        g_test_add_data_func("/proxy-driver-v1/real/old", old, run_real);
    }
    return g_test_run();
}
