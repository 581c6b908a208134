/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Tests of the proxy driver against a helper that contradicts itself, and with
 * all options for a helper that cannot work.
 *
 * The test plays the helper by hand (proxy-peer.h) on the other end of a
 * socket pair that the driver takes with sock_fd. The qtests use a real one.
 */
#include "qemu/osdep.h"
#include <sys/resource.h>
#include <sys/un.h>
#include "qapi/error.h"
#include "qemu/cutils.h"
#include "qemu/module.h"
#include "qemu/sockets.h"
#include "fsdev/shared/hostfs.h"
#include "hw/9pfs/proxy/node.h"
#include "../shared/hung-fuse.h"
#include "driver-fixture.h"

static void setup(DriverTest *t, bool donate)
{
    driver_test_helper(t, donate, 0);
}

static int open_node(DriverTest *t, FsNode *node, FsFile **file, int fd)
{
    return driver_open_node(t, node, O_RDWR, file, fd);
}

static void expect_forget(DriverTest *t, uint64_t handle, uint32_t count)
{
    uint8_t payload[4096];
    ProxyHeader h = peer_recv(t->peer, payload, sizeof(payload));

    g_assert_cmpuint(h.type, ==, PROXY_FORGET);
    g_assert_cmpuint(h.size, ==, PROXY_HEADER_SIZE + 2 + 12);
    g_assert_cmpuint(lduw_le_p(payload), ==, 1);
    g_assert_cmpuint(ldq_le_p(payload + 2), ==, handle);
    g_assert_cmpuint(ldl_le_p(payload + 10), ==, count);
}

/*
 * Donated descriptors
 */

static void test_donation(void)
{
    int fd = make_file("a", O_PATH);
    FsNode *node, *again;
    FsAttr attr;
    DriverOp op = { };
    DriverTest t;
    int i;

    setup(&t, true);
    driver_fd_attr(fd, &attr);
    g_assert_cmpint(driver_walk(&t, &node, &attr, 7, fd), ==, 0);

    /* No message, and ids through the map: the host's 0 is not in it */
    op_start(&op, run_getattr, node);
    g_assert_true(op.done);
    g_assert_cmpint(op.ret, ==, 0);
    g_assert_cmpuint(op.attr.ino, ==, attr.ino);
    g_assert_cmpuint(op.attr.uid, ==,
                     geteuid() >= PEER_UID_OUTSIDE &&
                     geteuid() < PEER_UID_OUTSIDE + 65536
                     ? geteuid() - PEER_UID_OUTSIDE : 65534);
    g_assert_cmpuint(op.attr.gid, ==, attr.gid);

    /* All references go back at once, with the last */
    for (i = 0; i < 3; i++) {
        g_assert_cmpint(driver_walk(&t, &again, &attr, 7, -1), ==, 0);
        g_assert_true(again == node);
        fs_node_unref(again);
    }
    g_assert_false(peer_wait(t.peer, 20));
    fs_node_unref(node);
    expect_forget(&t, 7, 4);
    driver_test_finish(&t);
    close(fd);
}

/* Descriptors that are not what they should be: asked for by message */
static void test_donation_bad(void)
{
    int good = make_file("a", O_PATH);
    int bad[] = { make_file("b", O_PATH), make_file("a", O_RDONLY) };
    FsNode *node;
    FsAttr attr;
    DriverTest t;
    int i;

    driver_fd_attr(good, &attr);
    for (i = 0; i < ARRAY_SIZE(bad); i++) {
        DriverOp op = { };

        setup(&t, true);
        g_assert_cmpint(driver_walk(&t, &node, &attr, 7, bad[i]), ==, 0);
        op_start(&op, run_getattr, node);
        attr.size = 4242;
        driver_reply_attr(&t, PROXY_GETATTR, &attr, 0, -1);
        op_wait(&op);
        g_assert_cmpint(op.ret, ==, 0);
        g_assert_cmpuint(op.attr.size, ==, 4242);
        fs_node_unref(node);
        driver_test_finish(&t);
    }
    close(bad[0]);
    close(bad[1]);
    close(good);
}

/* One where none was to be */
static void test_donation_unwanted(void)
{
    int fd = make_file("a", O_PATH);
    FsNode *node;
    FsAttr attr;
    DriverTest t;

    setup(&t, false);
    driver_fd_attr(fd, &attr);
    g_assert_cmpint(driver_walk(&t, &node, &attr, 7, -1), ==, 0);
    fs_node_unref(node);
    expect_forget(&t, 7, 1);
    driver_test_finish(&t);
    close(fd);
}

/* Beyond the budget the ones used least recently are closed */
static void test_budget(void)
{
    struct rlimit low = { .rlim_cur = 128, .rlim_max = 128 };
    FsNode *nodes[100];
    FsFile *files[96];
    FsAttr attr[100];
    DriverOp op = { };
    DriverTest t;
    int i, before, most, fd;

    /* The limit cannot be raised again: this test is the last */
    g_assert_cmpint(setrlimit(RLIMIT_NOFILE, &low), ==, 0);
    setup(&t, true);
    before = open_fds();
    for (i = 0; i < ARRAY_SIZE(nodes); i++) {
        g_autofree char *name = g_strdup_printf("many%d", i);

        fd = make_file(name, O_PATH);
        driver_fd_attr(fd, &attr[i]);
        g_assert_cmpint(driver_walk(&t, &nodes[i], &attr[i], 100 + i, fd),
                        ==, 0);
        close(fd);
        /* The first is in use all the time */
        op_start(&op, run_getattr, nodes[0]);
        g_assert_true(op.done);
    }
    most = open_fds() - before;
    g_assert_cmpint(most, <=, 64);
    g_assert_cmpint(most, >=, 60);
    op_start(&op, run_getattr, nodes[1]);
    driver_reply_attr(&t, PROXY_GETATTR, &attr[1], 0, -1);
    op_wait(&op);
    g_assert_cmpint(op.ret, ==, 0);

    /* Open files come in place of them, up to three quarters */
    fd = make_file("many0", O_RDONLY);
    for (i = 0; i < ARRAY_SIZE(files); i++) {
        g_assert_cmpint(open_node(&t, nodes[0], &files[i], fd), ==, 0);
    }
    close(fd);
    /* The root's is one of those that were closed. */
    g_assert_cmpint(open_fds() - before, ==, ARRAY_SIZE(files) - 1);
    op.flags = O_RDWR;
    op_start(&op, run_open, nodes[0]);
    g_assert_true(op.done);
    g_assert_cmpint(op.ret, ==, -ENFILE);

    for (i = 0; i < ARRAY_SIZE(files); i++) {
        files[i]->flags = O_RDONLY;     /* closed at once */
        fs_file_unref(files[i]);
    }
    for (i = 0; i < ARRAY_SIZE(nodes); i++) {
        fs_node_unref(nodes[i]);
    }
    driver_test_finish(&t);
}

/*
 * Contradictions
 */

static void test_other_handle(void)
{
    int fd = make_file("a", O_PATH);
    FsNode *node, *other;
    FsAttr attr;
    DriverTest t;

    setup(&t, true);
    driver_fd_attr(fd, &attr);
    g_assert_cmpint(driver_walk(&t, &node, &attr, 7, fd), ==, 0);
    g_assert_cmpint(driver_walk(&t, &other, &attr, 8, fd), ==, -EIO);
    expect_forget(&t, 8, 1);
    /* Its type is fixed */
    attr.mode = S_IFDIR | 0755;
    g_assert_cmpint(driver_walk(&t, &other, &attr, 7, -1), ==, -EIO);
    expect_forget(&t, 7, 1);
    fs_node_unref(node);
    expect_forget(&t, 7, 1);
    driver_test_finish(&t);
    close(fd);
}

static void test_type(void)
{
    int fd = make_file("a", O_PATH);
    FsNode *node;
    FsAttr attr;
    DriverOp op = { };
    DriverTest t;

    setup(&t, false);
    driver_fd_attr(fd, &attr);
    g_assert_cmpint(driver_walk(&t, &node, &attr, 7, -1), ==, 0);
    op_start(&op, run_getattr, node);
    attr.mode = S_IFLNK | 0777;
    driver_reply_attr(&t, PROXY_GETATTR, &attr, 0, -1);
    op_wait(&op);
    g_assert_cmpint(op.ret, ==, -EIO);
    fs_node_unref(node);

    /* No type at all is no attribute: the end of the channel */
    attr.mode = 0644;
    g_assert_cmpint(driver_walk(&t, &node, &attr, 9, -1), ==, -EIO);
    op_start(&op, run_getattr, t.fs.root);
    g_assert_true(op.done);
    g_assert_cmpint(op.ret, ==, -EIO);
    driver_test_finish(&t);
    close(fd);
}

static void reply_list(DriverTest *t, const char *names, size_t size)
{
    ProxyHeader h = { .type = PROXY_GETXATTR | PROXY_REPLY,
                      .tag = driver_expect(t, PROXY_GETXATTR) };
    uint8_t buf[64];
    MarshalWriter w;

    marshal_writer_init(&w, buf, sizeof(buf));
    marshal_reserve(&w, PROXY_HEADER_SIZE);
    marshal_put_u32(&w, 0);
    marshal_put_u32(&w, size);
    marshal_put_bytes(&w, names, size);
    h.size = marshal_size(&w);
    proxy_header_put(&h, buf);
    peer_send(t->peer, buf, h.size, NULL, 0);
}

/* Lists of attributes' names: each must end. */
static void test_list(void)
{
    static const char names[] = "user.a\0user.b";
    int fd = make_file("a", O_PATH);
    DriverOp op = { };
    FsNode *node;
    FsAttr attr;
    DriverTest t;

    setup(&t, true);
    driver_fd_attr(fd, &attr);
    g_assert_cmpint(driver_walk(&t, &node, &attr, 7, fd), ==, 0);
    op_start(&op, run_getxattr, node);
    reply_list(&t, names, sizeof(names));
    g_assert_cmpint(op_wait(&op), ==, 0);
    g_assert_cmpmem(op.value, op.size, names, sizeof(names));
    g_free((void *)op.value);
    g_assert_cmpuint(t.lost, ==, 0);

    op.value = NULL;
    op_start(&op, run_getxattr, node);
    reply_list(&t, names, sizeof(names) - 1);
    g_assert_cmpint(op_wait(&op), ==, -EIO);
    g_assert_null(op.value);
    driver_wait_number(&t.lost, 1);
    fs_node_unref(node);
    driver_test_finish(&t);
    close(fd);
}

/* Open files: of the inode, and for I/O */
static void test_open(void)
{
    g_autofree char *fifo = in_folder("fifo");
    int fd = make_file("a", O_PATH);
    int bad[4];
    FsNode *node;
    FsFile *file;
    FsAttr attr;
    DriverTest t;
    int i, good;

    g_assert_cmpint(mkfifo(fifo, 0600), ==, 0);
    bad[0] = make_file("b", O_RDWR);
    bad[1] = open(fifo, O_RDWR | O_NONBLOCK);
    bad[2] = open("/dev/zero", O_RDWR);
    bad[3] = make_file("a", O_PATH);
    good = make_file("a", O_RDWR);

    setup(&t, true);
    driver_fd_attr(fd, &attr);
    g_assert_cmpint(driver_walk(&t, &node, &attr, 7, fd), ==, 0);
    for (i = 0; i < ARRAY_SIZE(bad); i++) {
        int fds = open_fds();

        g_assert_cmpint(open_node(&t, node, &file, bad[i]), ==, -EIO);
        expect_open_fds(fds);
        close(bad[i]);
    }
    t.fds_before -= ARRAY_SIZE(bad);
    g_assert_cmpint(open_node(&t, node, &file, good), ==, 0);
    g_assert_true(file->node == node);
    file->flags = O_RDONLY;     /* closed at once, so that it is counted */
    fs_file_unref(file);
    fs_node_unref(node);
    driver_test_finish(&t);
    close(fd);
    close(good);
}

/*
 * A file server that does not answer: QEMU's thread does not ask it what it
 * should know of the helper's descriptors, or to close them.
 */

typedef struct Hung {
    DriverTest t;
    char *path;
    HungFuse *fuse;
    FsNode *node;
    int fd;                     /* of the node */
} Hung;

static int hung_fd(const Hung *h, const char *name, int flags)
{
    g_autofree char *path = g_build_filename(h->path, name, NULL);
    int fd = open(path, flags);

    g_assert_cmpint(fd, >=, 0);
    return fd;
}

/*
 * A node of @name on the file system, whose attributes the kernel does not
 * keep. False if the test is skipped.
 */
static bool hung_setup(Hung *h, const char *name)
{
    HungWatch *w;
    FsAttr attr;

    setup(&h->t, true);
    h->path = in_folder("hung");
    g_assert_cmpint(mkdir(h->path, 0755), ==, 0);
    h->fuse = hung_fuse_start_or_skip(h->path);
    if (!h->fuse) {
        g_assert_cmpint(rmdir(h->path), ==, 0);
        g_free(h->path);
        driver_test_finish(&h->t);
        return false;
    }
    h->fd = hung_fd(h, name, O_PATH | O_NOFOLLOW);
    driver_fd_attr(h->fd, &attr);
    hung_fuse_hang(h->fuse, FUSE_GETATTR, HUNG_ALL);
    w = hung_fuse_watch(h->fuse);
    g_assert_cmpint(driver_walk(&h->t, &h->node, &attr, 7, h->fd), ==, 0);
    g_assert_true(hung_fuse_in_time(w));
    return true;
}

static void hung_finish(Hung *h)
{
    hung_fuse_answer(h->fuse);
    fs_node_unref(h->node);
    close(h->fd);
    hung_fuse_end(h->fuse);
    driver_test_finish(&h->t);
    g_assert_cmpint(rmdir(h->path), ==, 0);
    g_free(h->path);
}

static void test_hung_open(void)
{
    int good, other;
    HungWatch *w;
    FsFile *file;
    Hung h;

    if (!hung_setup(&h, "file")) {
        return;
    }
    good = hung_fd(&h, "file", O_RDWR);
    w = hung_fuse_watch(h.fuse);
    g_assert_cmpint(open_node(&h.t, h.node, &file, good), ==, 0);
    g_assert_true(hung_fuse_in_time(w));
    fs_file_unref(file);

    other = hung_fd(&h, "other", O_RDWR);
    hung_fuse_hang(h.fuse, FUSE_FLUSH, HUNG_ALL);
    w = hung_fuse_watch(h.fuse);
    g_assert_cmpint(open_node(&h.t, h.node, &file, other), ==, -EIO);
    g_assert_true(hung_fuse_in_time(w));
    g_assert_true(hung_fuse_wait(h.fuse, 1));
    hung_fuse_answer(h.fuse);
    close(good);
    close(other);
    hung_finish(&h);
}

static void coroutine_fn run_readlink(DriverOp *op)
{
    op->ret = proxy->readlink(&op->call, op->node, (char *)op->value,
                              op->size);
}

/* On storage, a link's target may be slow to read: the helper reads it. */
static void test_slow_link(void)
{
    uint8_t reply[PROXY_HEADER_SIZE + 64];
    ProxyHeader head = { .type = PROXY_READLINK | PROXY_REPLY };
    char target[16];
    DriverOp op = { .value = target, .size = sizeof(target) };
    MarshalWriter w;
    HungWatch *watch;
    Hung h;

    if (!hung_setup(&h, "link")) {
        return;
    }
    hung_fuse_answer(h.fuse);
    host_dev_note(&proxy_fs(h.node)->devs, h.node->dev, HOST_DEV_STORAGE);
    hung_fuse_hang(h.fuse, FUSE_READLINK, HUNG_ALL);
    watch = hung_fuse_watch(h.fuse);
    op_start(&op, run_readlink, h.node);
    g_assert_true(hung_fuse_in_time(watch));

    head.tag = driver_expect(&h.t, PROXY_READLINK);
    marshal_writer_init(&w, reply, sizeof(reply));
    marshal_reserve(&w, PROXY_HEADER_SIZE);
    marshal_put_u32(&w, 0);
    marshal_put_str(&w, "target");
    head.size = marshal_size(&w);
    proxy_header_put(&head, reply);
    peer_send(h.t.peer, reply, head.size, NULL, 0);
    g_assert_cmpint(op_wait(&op), ==, 0);
    g_assert_cmpstr(target, ==, "target");
    hung_finish(&h);
}

/*
 * Reaching the helper
 */

static void launch_fails(FsdevProxyOptions *o, const char *error)
{
    FsdevOptions opts = {
        .fsdriver = FSDEV_DRIVER_PROXY, .id = (char *)"test", .u.proxy = *o,
    };
    FsExport fs = { .id = (char *)"test", .driver = proxy };
    Error *err = NULL;
    int fds = open_fds();

    g_assert_false(proxy->open(&fs, &opts, &err));
    g_assert_nonnull(err);
    if (!strstr(error_get_pretty(err), error)) {
        g_error("'%s' instead of '%s'", error_get_pretty(err), error);
    }
    error_free(err);
    expect_open_fds(fds);
    /* No process is left */
    g_assert_cmpint(waitpid(-1, NULL, WNOHANG), ==, -1);
    g_assert_cmpint(errno, ==, ECHILD);
}

#define FAILS(error, ...) \
    launch_fails(&(FsdevProxyOptions) { __VA_ARGS__ }, error)

static void test_options(void)
{
    char *file = in_folder("file");

    close(make_file("file", O_PATH));
    FAILS("one of path, socket and sock_fd", .path = NULL);
    FAILS("path 'p' and socket 's'", .path = (char *)"p",
          .socket = (char *)"s");
    FAILS("path 'p' and sock_fd '9'", .path = (char *)"p",
          .sock_fd = (char *)"9");
    FAILS("socket 's' and sock_fd '9'", .socket = (char *)"s",
          .sock_fd = (char *)"9");
    FAILS("helper 'h' and socket 's'", .socket = (char *)"s",
          .helper = (char *)"h");
    FAILS("path '/nowhere': No such file", .path = (char *)"/nowhere");
    FAILS("is not a directory", .path = file);
    FAILS("path ''", .path = (char *)"");
    FAILS("helper '/nowhere': No such file", .path = folder,
          .helper = (char *)"/nowhere");
    g_free(file);
}

static void write_script(const char *path, const char *text)
{
    g_assert_true(g_file_set_contents(path, text, -1, NULL));
    g_assert_cmpint(chmod(path, 0755), ==, 0);
}

static void test_start(void)
{
    g_autofree char *script = in_folder("script");
    g_autofree char *said = in_folder("said");
    g_autofree char *text = NULL;
    g_autofree char *got = NULL;

    FAILS("exit status 1", .path = folder, .helper = (char *)"/bin/false");
    FAILS("closed the connection", .path = folder,
          .helper = (char *)"/bin/true");
    write_script(script, "#!/bin/sh\nkill -TERM $$\n");
    FAILS("killed by signal 15", .path = folder, .helper = script);
    write_script(script, "not a program\n");
    FAILS("cannot start helper", .path = folder, .helper = script);
    /* It stays, or sending to it would fail first */
    write_script(script, "#!/bin/sh\necho this is all nonsense >&3\n"
                 "exec cat <&3 >/dev/null\n");
#ifdef CONFIG_VIRTFS_PROXY_V1
    FAILS("an unknown protocol version", .path = folder, .helper = script);
    FAILS("an unknown protocol version", .path = folder, .helper = script,
          .has_protocol = true, .protocol = 1);
#else
    FAILS("does not speak protocol version 2", .path = folder,
          .helper = script);
    FAILS("protocol '1': this build of QEMU has no protocol version 1",
          .path = folder, .helper = script,
          .has_protocol = true, .protocol = 1);
#endif
    FAILS("does not speak protocol version 2", .path = folder,
          .helper = script, .has_protocol = true, .protocol = 2);
    FAILS("protocol '3': must be 1 or 2", .path = folder,
          .helper = script, .has_protocol = true, .protocol = 3);

    /* What it is started with: arguments, descriptors, signals */
    text = g_strdup_printf(
        "#!/bin/sh\n"
        "exec 9>'%s'\n"
        "printf '%%s ' \"$@\" >&9\n"
        "test /proc/self/fd/0 -ef /dev/null && echo stdin null >&9\n"
        "test /proc/self/fd/1 -ef /dev/null && echo stdout null >&9\n"
        "(exec ls /proc/self/fd) >&9 9>&-\n"
        "(exec grep -E 'Sig(Blk|Ign)' /proc/self/status) >&9 9>&-\n", said);
    write_script(script, text);
    FAILS("closed the connection", .path = folder, .helper = script);
    g_assert_true(g_file_get_contents(said, &got, NULL, NULL));
    g_free(text);
    /* 4 is the directory that ls reads */
    text = g_strdup_printf("-n -p %s -f 3 stdin null\nstdout null\n"
                           "0\n1\n2\n3\n4\n"
                           "SigBlk:\t0000000000000000\n"
                           "SigIgn:\t0000000000000000\n", folder);
    g_assert_cmpstr(got, ==, text);
}

static void test_socket(void)
{
    g_autofree char *path = in_folder("socket");
    g_autofree char *file = in_folder("file");
    g_autofree char *longer = g_strnfill(108, 'x');
    struct sockaddr_un addr = { .sun_family = AF_UNIX };
    int fd = qemu_socket(AF_UNIX, SOCK_STREAM, 0);

    close(make_file("file", O_PATH));
    FAILS("longer than 107 bytes", .socket = longer);
    FAILS("socket ''", .socket = (char *)"");
    FAILS("No such file", .socket = path);
    FAILS("Connection refused", .socket = file);
    pstrcpy(addr.sun_path, sizeof(addr.sun_path), path);
    g_assert_cmpint(bind(fd, (struct sockaddr *)&addr, sizeof(addr)), ==, 0);
    FAILS("Connection refused", .socket = path);
    close(fd);
    FAILS("Connection refused", .socket = path);
}

static void test_sock_fd(void)
{
    char number[16];
    int fd, sv[2];

    FAILS("sock_fd '-1': it must be at least 3", .sock_fd = (char *)"-1");
    FAILS("sock_fd '0': it must be at least 3", .sock_fd = (char *)"0");
    FAILS("sock_fd '' is not", .sock_fd = (char *)"");
    FAILS("sock_fd '5x' is not", .sock_fd = (char *)"5x");
    FAILS("sock_fd '99999999999' is not", .sock_fd = (char *)"99999999999");
    FAILS("sock_fd '987' is not an open", .sock_fd = (char *)"987");

    fd = open("/dev/null", O_RDWR);
    snprintf(number, sizeof(number), "%d", fd);
    FAILS("is not a UNIX stream socket", .sock_fd = number);
    close(fd);
    fd = qemu_socket(AF_INET, SOCK_STREAM, 0);
    FAILS("is not a UNIX stream socket", .sock_fd = number);
    close(fd);
    g_assert_cmpint(qemu_socketpair(AF_UNIX, SOCK_DGRAM, 0, sv), ==, 0);
    snprintf(number, sizeof(number), "%d", sv[0]);
    FAILS("is not a UNIX stream socket", .sock_fd = number);
    close(sv[0]);
    close(sv[1]);
    fd = qemu_socket(AF_UNIX, SOCK_STREAM, 0);
    snprintf(number, sizeof(number), "%d", fd);
    FAILS("is not connected", .sock_fd = number);
    close(fd);
}

int main(int argc, char **argv)
{
    int ret;

    driver_test_init(&argc, &argv);
    driver_folder_make();
    g_test_add_func("/proxy-driver/donation", test_donation);
    g_test_add_func("/proxy-driver/donation-bad", test_donation_bad);
    g_test_add_func("/proxy-driver/donation-unwanted", test_donation_unwanted);
    g_test_add_func("/proxy-driver/other-handle", test_other_handle);
    g_test_add_func("/proxy-driver/type", test_type);
    g_test_add_func("/proxy-driver/list", test_list);
    g_test_add_func("/proxy-driver/open", test_open);
    g_test_add_func("/proxy-driver/hung-open", test_hung_open);
    g_test_add_func("/proxy-driver/slow-link", test_slow_link);
    g_test_add_func("/proxy-driver/options", test_options);
    g_test_add_func("/proxy-driver/start", test_start);
    g_test_add_func("/proxy-driver/socket", test_socket);
    g_test_add_func("/proxy-driver/sock-fd", test_sock_fd);
    g_test_add_func("/proxy-driver/budget", test_budget);
    ret = g_test_run();
    driver_folder_remove();
    return ret;
}
