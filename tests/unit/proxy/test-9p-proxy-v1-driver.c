/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Tests of the proxy driver in protocol version 1 (fsdev/shared/proto-v1.h):
 * its requests, and its use of the answers.
 *
 * The last tests use real helpers: that of this build, and Debian 12's if
 * VIRTFS_OLD_HELPER names it and root runs the test.
 */
#include "qemu/osdep.h"
#include "block/aio.h"
#include "hw/9pfs/host/fd-budget.h"
#include "qapi/error.h"
#include "qemu/main-loop.h"
#include "v1-fixture.h"

/*
 * What is sent
 */

static void test_choose(void)
{
    DriverTest t;

    v1_start(&t, true);
    driver_test_finish(&t);
    v1_start(&t, false);
    driver_test_finish(&t);
}

typedef struct Visit {
    FsExport *fs;
    bool relieved;
} Visit;

/* As fs/context.c, moves the export in and out; closes some in between. */
static void *visit_thread(void *opaque)
{
    Visit *v = opaque;

    if (v->fs->driver->enter) {
        v->fs->driver->enter(v->fs);
    }
    v->fs->driver->attach(v->fs);
    v->relieved = host_fds_relieve();
    v->fs->driver->detach(v->fs);
    return NULL;
}

/* In an IOThread, the export does not close the main thread's descriptors. */
static void test_other_thread(void)
{
    AioContext *ctx = aio_context_new(&error_abort);
    HostFd of_main;
    DriverTest t;
    Visit v = { .fs = &t.fs };

    v1_start(&t, false);
    host_fd_init(&of_main, NULL);
    host_fd_set(&of_main, open("/", O_PATH | O_CLOEXEC));

    t.fs.driver->detach(&t.fs);
    t.fs.ctx_owner = (char *)"other";
    t.fs.ctx = ctx;
    g_thread_join(g_thread_new("other", visit_thread, &v));
    t.fs.ctx_owner = NULL;
    t.fs.ctx = qemu_get_aio_context();
    if (t.fs.driver->enter) {
        t.fs.driver->enter(&t.fs);
    }
    t.fs.driver->attach(&t.fs);

    g_assert_false(v.relieved);
    g_assert_cmpint(of_main.fd, >=, 0);
    host_fd_drop(&of_main);
    driver_test_finish(&t);
    aio_context_unref(ctx);
}

/* Paths are put together from names, and follow a rename. */
static void test_paths(void)
{
    g_autofree char *dir = in_folder("d");
    g_autofree char *moved = in_folder("e");
    FsEntry *d, *f;
    FsNode *dir_node, *file_node;
    DriverOp op = { .names = { "d", "f" }, .n = 2 };
    DriverTest t;

    g_assert_cmpint(mkdir(dir, 0755), ==, 0);
    v1_make_file("d/f");
    v1_start(&t, false);
    op_start(&op, run_walk, t.fs.root);
    v1_expect_lstat(&t, "/d");
    v1_expect_lstat(&t, "/d/f");
    g_assert_cmpint(op_wait(&op), ==, 0);
    file_node = op.walk.node;
    dir_node = op.walk.parent;
    d = fs_entry_get(&t.fs, t.fs.root, "d", dir_node);
    f = fs_entry_get(&t.fs, dir_node, "f", file_node);

    op = (DriverOp) { .names = { "d", "e" }, .dir = t.fs.root };
    op_start(&op, run_rename, t.fs.root);
    v1_expect_lstat(&t, "/d");
    v1_expect(&t, PROXY_V1_LSTAT, "/e");
    v1_send_status(t.peer, PROXY_V1_ERROR, -ENOENT);
    {
        g_autofree V1Request *h = g_new(V1Request, 1);

        v1_expect_more(&t, h, PROXY_V1_RENAME, "/d");
        v1_expect_path(h, "/e");
        g_assert_true(marshal_done(&h->r));
    }
    g_assert_cmpint(rename(dir, moved), ==, 0);
    v1_send_status(t.peer, PROXY_V1_SUCCESS, 0);
    g_assert_cmpint(op_wait(&op), ==, 0);
    g_assert_true(fs_entry_is(d, t.fs.root, "e"));

    op = (DriverOp) { };
    op_start(&op, run_getattr, file_node);
    v1_expect_lstat(&t, "/e/f");
    g_assert_cmpint(op_wait(&op), ==, 0);
    g_assert_cmpuint(op.attr.size, ==, 4);

    /* Another inode by that name: not what is meant */
    v1_make_file("e/other");
    op_start(&op, run_getattr, file_node);
    v1_expect(&t, PROXY_V1_LSTAT, "/e/f");
    v1_send_attr(t.peer, "e/other");
    g_assert_cmpint(op_wait(&op), ==, -ESTALE);

    fs_entry_put(f);
    fs_entry_put(d);
    fs_node_unref(file_node);
    fs_node_unref(dir_node);
    driver_test_finish(&t);
}

/* ".." and links: a path never has them in its middle */
static void test_walk(void)
{
    g_autofree char *link = in_folder("link");
    DriverOp op = { .names = { "link", "f" }, .n = 2 };
    DriverTest t;

    g_assert_cmpint(symlink("/", link), ==, 0);
    v1_start(&t, false);
    op_start(&op, run_walk, t.fs.root);
    v1_expect_lstat(&t, "/link");
    g_assert_cmpint(op_wait(&op), ==, -ENOTDIR);
    g_assert_cmpuint(op.walk.walked, ==, 1);

    op = (DriverOp) { .names = { ".." }, .n = 1 };
    op_start(&op, run_walk, t.fs.root);
    v1_expect_lstat(&t, "/");
    g_assert_cmpint(op_wait(&op), ==, 0);
    g_assert_true(op.walk.node == t.fs.root);
    g_assert_null(op.walk.parent);
    fs_node_unref(op.walk.node);
    driver_test_finish(&t);
}

static void test_long_path(void)
{
    g_autofree char *name = g_strnfill(NAME_MAX, 'x');
    FsNode *nodes[16];
    struct stat st;
    DriverTest t;
    int i;

    v1_start(&t, false);
    st = v1_host_stat(".");
    for (i = 0; i < 16; i++) {
        DriverOp op = { .names = { name }, .n = 1 };
        g_autofree V1Request *h = g_new(V1Request, 1);
        uint8_t buf[256];

        op_start(&op, run_walk, i ? nodes[i - 1] : t.fs.root);
        if (i > 0) {            /* is it still the directory above */
            v1_recv(t.peer, h);
            st.st_ino = 1000 + i - 1;
            v1_send(t.peer, buf, v1_put_attr(buf, &st, S_IFDIR | 0755), -1);
        }
        if (i < 15) {
            v1_recv(t.peer, h);
            st.st_ino = 1000 + i;
            v1_send(t.peer, buf, v1_put_attr(buf, &st, S_IFDIR | 0755), -1);
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
    driver_test_finish(&t);
}

/* Both times with the nanoseconds that are theirs */
static void test_times(void)
{
    g_autofree V1Request *h = g_new(V1Request, 1);
    MarshalReader *r;
    FsNode *node;
    DriverOp op = { .set = {
        .valid = FS_SET_ATIME | FS_SET_ATIME_SET |
                 FS_SET_MTIME | FS_SET_MTIME_SET,
        .atime = { 11, 22 }, .mtime = { 33, 44 },
    } };
    DriverTest t;

    v1_make_file("f");
    v1_start(&t, false);
    node = v1_walk_to(&t, "f");
    op_start(&op, run_setattr, node);
    v1_expect_lstat(&t, "/f");
    r = v1_expect_more(&t, h, PROXY_V1_UTIME, "/f");
    g_assert_cmpuint(marshal_get_u64(r), ==, 11);
    g_assert_cmpuint(marshal_get_u64(r), ==, 22);
    g_assert_cmpuint(marshal_get_u64(r), ==, 33);
    g_assert_cmpuint(marshal_get_u64(r), ==, 44);
    g_assert_true(marshal_done(r));
    v1_send_status(t.peer, PROXY_V1_SUCCESS, 0);
    g_assert_cmpint(op_wait(&op), ==, 0);

    op.set.valid = FS_SET_MTIME;
    op_start(&op, run_setattr, node);
    v1_expect_lstat(&t, "/f");
    r = v1_expect_more(&t, h, PROXY_V1_UTIME, "/f");
    marshal_get_u64(r);
    g_assert_cmpuint(marshal_get_u64(r), ==, UTIME_OMIT);
    marshal_get_u64(r);
    g_assert_cmpuint(marshal_get_u64(r), ==, UTIME_NOW);
    v1_send_status(t.peer, PROXY_V1_ERROR, -EROFS);
    g_assert_cmpint(op_wait(&op), ==, -EROFS);
    fs_node_unref(node);
    driver_test_finish(&t);
}

/* CHMOD and TRUNCATE would follow the link. */
static void test_link_change(void)
{
    g_autofree char *link = in_folder("l");
    FsNode *node;
    DriverOp op = { .set = { .valid = FS_SET_MODE, .mode = 0666 } };
    DriverTest t;

    g_assert_cmpint(symlink("f", link), ==, 0);
    v1_start(&t, false);
    node = v1_walk_to(&t, "l");
    op_start(&op, run_setattr, node);
    v1_expect_lstat(&t, "/l");
    g_assert_cmpint(op_wait(&op), ==, -EOPNOTSUPP);

    /* A file that the host made a link of is another inode */
    fs_node_unref(node);
    v1_make_file("f");
    node = v1_walk_to(&t, "f");
    op_start(&op, run_setattr, node);
    v1_expect(&t, PROXY_V1_LSTAT, "/f");
    v1_send_attr(t.peer, "l");
    g_assert_cmpint(op_wait(&op), ==, -ESTALE);
    g_assert_false(peer_wait(t.peer, 10));

    /* Nor is one opened. */
    op = (DriverOp) { .flags = O_RDWR };
    op_start(&op, run_open, node);
    v1_expect(&t, PROXY_V1_LSTAT, "/f");
    v1_send_attr(t.peer, "l");
    g_assert_cmpint(op_wait(&op), ==, -ESTALE);
    fs_node_unref(node);
    driver_test_finish(&t);
}

/* The size is that of the value which comes along. */
static void test_xattr(void)
{
    g_autofree V1Request *h = g_new(V1Request, 1);
    g_autofree char *large = g_malloc0(PROXY_V1_MAX_PAYLOAD);
    uint32_t value[] = { PROXY_V1_SUCCESS, 2 + 5 };
    uint8_t reply[PROXY_V1_HEADER_SIZE + 2 + 5] = "        \5\0value";
    MarshalReader *r;
    FsNode *node;
    DriverOp op = { .names = { "user.x" }, .value = "value", .size = 5 };
    DriverTest t;

    v1_make_file("f");
    v1_start(&t, false);
    node = v1_walk_to(&t, "f");
    op_start(&op, run_setxattr, node);
    v1_expect_lstat(&t, "/f");
    r = v1_expect_more(&t, h, PROXY_V1_LSETXATTR, "/f");
    v1_expect_path(h, "user.x");
    v1_expect_path(h, "value");
    g_assert_cmpuint(marshal_get_u32(r), ==, 5);
    g_assert_cmpuint(marshal_get_u32(r), ==, 0);
    g_assert_true(marshal_done(r));
    v1_send_status(t.peer, PROXY_V1_SUCCESS, 0);
    g_assert_cmpint(op_wait(&op), ==, 0);

    op.value = large;
    op.size = PROXY_V1_MAX_PAYLOAD;
    op_start(&op, run_setxattr, node);
    v1_expect_lstat(&t, "/f");
    g_assert_cmpint(op_wait(&op), ==, -E2BIG);

    /* It got shorter between its length and itself; and far too long */
    op.value = NULL;
    op_start(&op, run_getxattr, node);
    v1_expect_lstat(&t, "/f");
    v1_recv(t.peer, h);
    g_assert_cmpuint(h->type, ==, PROXY_V1_LGETXATTR);
    v1_send_status(t.peer, PROXY_V1_SUCCESS, 7);
    v1_recv(t.peer, h);
    g_assert_cmpuint(marshal_get_u32(&h->r), ==, 7);
    memcpy(reply, value, sizeof(value));
    v1_send(t.peer, reply, sizeof(reply), -1);
    g_assert_cmpint(op_wait(&op), ==, 0);
    g_assert_cmpmem(op.value, op.size, "value", 5);
    g_free((void *)op.value);

    op.value = NULL;
    op_start(&op, run_getxattr, node);
    v1_expect_lstat(&t, "/f");
    v1_recv(t.peer, h);
    v1_send_status(t.peer, PROXY_V1_SUCCESS, 3);
    v1_recv(t.peer, h);
    v1_send(t.peer, reply, sizeof(reply), -1);
    g_assert_cmpint(op_wait(&op), ==, -EIO);
    g_assert_null(op.value);
    op_start(&op, run_getxattr, node);
    v1_expect_lstat(&t, "/f");
    v1_recv(t.peer, h);
    v1_send_status(t.peer, PROXY_V1_SUCCESS, INT32_MAX);
    g_assert_cmpint(op_wait(&op), ==, -E2BIG);
    g_assert_cmpuint(t.lost, ==, 0);
    fs_node_unref(node);
    driver_test_finish(&t);
}

/* For user 0 and another group: made closed, for group 0, and given away */
static void test_other_group(void)
{
    g_autofree V1Request *h = g_new(V1Request, 1);
    g_autofree char *path = in_folder("made");
    MarshalReader *r = &h->r;
    DriverOp op = {
        .make = { .name = "made", .mode = S_IFDIR | 02775, .gid = 77 },
    };
    DriverTest t;

    v1_start(&t, false);
    op_start(&op, run_make, t.fs.root);
    v1_recv(t.peer, h);
    g_assert_cmpuint(h->type, ==, PROXY_V1_MKDIR);
    g_assert_cmpuint(marshal_get_u32(r), ==, 0);
    g_assert_cmpuint(marshal_get_u32(r), ==, 0);
    v1_expect_path(h, "/made");
    g_assert_cmphex(marshal_get_u32(r), ==, 0705);
    g_assert_cmpint(mkdir(path, 0755), ==, 0);
    v1_send_status(t.peer, PROXY_V1_SUCCESS, 0);
    v1_expect_more(&t, h, PROXY_V1_CHOWN, "/made");
    g_assert_cmpuint(marshal_get_u32(r), ==, UINT32_MAX);
    g_assert_cmpuint(marshal_get_u32(r), ==, 77);
    v1_send_status(t.peer, PROXY_V1_SUCCESS, 0);
    v1_expect_more(&t, h, PROXY_V1_CHMOD, "/made");
    g_assert_cmphex(marshal_get_u32(r), ==, 02775);
    v1_send_status(t.peer, PROXY_V1_SUCCESS, 0);
    v1_expect_lstat(&t, "/made");
    g_assert_cmpint(op_wait(&op), ==, 0);
    driver_test_finish(&t);
}

/*
 * Opening
 */

/* What comes of opening f when the helper answers so */
static int open_answer(DriverTest *t, FsNode *node, int32_t value, int fd,
                       FsFile **file)
{
    g_autofree V1Request *h = g_new(V1Request, 1);
    DriverOp op = { .flags = O_RDWR | O_TRUNC };
    uint32_t flags;

    op_start(&op, run_open, node);
    v1_expect_lstat(t, "/f");
    flags = marshal_get_u32(v1_expect_more(t, h, PROXY_V1_OPEN, "/f"));
    g_assert_cmphex(flags & (O_NOFOLLOW | O_NONBLOCK), ==,
                    O_NOFOLLOW | O_NONBLOCK);
    g_assert_cmphex(flags & (O_CREAT | O_TRUNC), ==, 0);
    v1_send(t->peer, &value, sizeof(value), fd);
    op_wait(&op);
    *file = op.file;
    return op.ret;
}

static void test_open(void)
{
    int good, bad[3];
    struct stat st;
    FsNode *node;
    FsFile *file;
    DriverOp op = { };
    DriverTest t;
    int i;

    v1_make_file("f");
    v1_make_file("other");
    v1_start(&t, false);
    node = v1_walk_to(&t, "f");
    bad[0] = v1_host_open("other", O_RDWR);
    bad[1] = v1_host_open("f", O_PATH);
    bad[2] = open("/dev/zero", O_RDWR);
    good = v1_host_open("f", O_RDWR | O_NONBLOCK);
    for (i = 0; i < ARRAY_SIZE(bad); i++) {
        int fds = open_fds();

        g_assert_cmpint(open_answer(&t, node, INT32_MAX, bad[i], &file), ==,
                        -ESTALE);
        expect_open_fds(fds);
    }
    for (i = 0; i < ARRAY_SIZE(bad); i++) {
        close(bad[i]);
    }
    /* Nothing was cut off, neither there nor here. */
    g_assert_cmpint(v1_host_stat("other").st_size, ==, 4);
    g_assert_cmpint(v1_host_stat("f").st_size, ==, 4);
    g_assert_cmpint(open_answer(&t, node, -EACCES, -1, &file), ==, -EACCES);
    g_assert_cmpint(open_answer(&t, node, -517, -1, &file), ==, -EIO);

    g_assert_cmpint(open_answer(&t, node, INT32_MAX, good, &file), ==, 0);
    g_assert_true(file->node == node);
    g_assert_cmpint(v1_host_stat("f").st_size, ==, 0);
    g_assert_cmphex(fcntl(good, F_GETFL) & O_NONBLOCK, ==, 0);
    close(good);

    /* The open file gives the attributes, without a message. */
    op_start(&op, run_getattr, node);
    g_assert_true(op.done);
    g_assert_cmpint(op.ret, ==, 0);
    st = v1_host_stat("f");
    g_assert_cmpuint(op.attr.ino, ==, st.st_ino);
    file->flags = O_RDONLY;     /* closed at once, so that it is counted */
    fs_file_unref(file);
    fs_node_unref(node);
    driver_test_finish(&t);
}

/*
 * Real ones
 */

static void test_real(const char *helper)
{
    g_autofree char *dir = in_folder("real");
    g_autofree char *file = g_build_filename(dir, "f", NULL);
    FsdevProxyOptions o = {
        .path = dir, .helper = (char *)helper,
        .has_protocol = true, .protocol = 1,
    };
    uid_t uid = geteuid() == 0 ? 4711 : 0;
    struct stat st;
    FsNode *node;
    DriverTest t;
    DriverOp op = {
        .make = { .name = "f", .mode = S_IFREG | 0640, .uid = uid,
                  .gid = uid },
        .flags = O_RDWR | O_CREAT | O_EXCL,
    };

    g_assert_cmpint(mkdir(dir, 0755), ==, 0);
    g_assert_cmpint(chmod(folder, 0755), ==, 0);
    driver_test_start(&t);
    driver_test_open(&t, &o);
    op_start(&op, run_create, t.fs.root);
    g_assert_cmpint(op_wait(&op), ==, 0);
    node = op.dir;
    g_assert_cmpint(lstat(file, &st), ==, 0);
    g_assert_cmphex(st.st_mode, ==, S_IFREG | 0640);
    g_assert_cmpuint(st.st_uid, ==, geteuid() == 0 ? uid : geteuid());
    g_assert_cmpuint(op.attr.uid, ==, uid);
    g_assert_cmpuint(op.attr.ino, ==, st.st_ino);
    fs_file_unref(op.file);

    op = (DriverOp) { .set = {
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

    op = (DriverOp) { .names = { "f" }, .dir = node, .flags = true };
    op_start(&op, run_unlink, t.fs.root);
    g_assert_cmpint(op_wait(&op), ==, -ENOTDIR);
    op.flags = false;
    op_start(&op, run_unlink, t.fs.root);
    g_assert_cmpint(op_wait(&op), ==, 0);
    g_assert_cmpint(lstat(file, &st), ==, -1);
    op_start(&op, run_getattr, node);
    g_assert_cmpint(op_wait(&op), ==, -ESTALE);
    fs_node_unref(node);
    t.fs.driver->close(&t.fs);
    g_assert_cmpint(rmdir(dir), ==, 0);
}

static void test_real_own(void)
{
    test_real(g_getenv("VIRTFS_PROXY_HELPER"));
}

static void test_real_old(void)
{
    test_real(g_getenv("VIRTFS_OLD_HELPER"));
}

int main(int argc, char **argv)
{
    driver_test_init(&argc, &argv);
    v1_add_test("choose", test_choose);
    v1_add_test("other-thread", test_other_thread);
    v1_add_test("paths", test_paths);
    v1_add_test("walk", test_walk);
    v1_add_test("long-path", test_long_path);
    v1_add_test("times", test_times);
    v1_add_test("link-change", test_link_change);
    v1_add_test("xattr", test_xattr);
    v1_add_test("other-group", test_other_group);
    v1_add_test("open", test_open);
    if (g_getenv("VIRTFS_PROXY_HELPER")) {
        v1_add_test("real/own", test_real_own);
    }
    if (g_getenv("VIRTFS_OLD_HELPER") && geteuid() == 0) {
        v1_add_test("real/old", test_real_old);
    }
    return g_test_run();
}
