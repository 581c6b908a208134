/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Tests of the proxy driver after it lost its helper: how it finds nodes again,
 * the end of requests that were in flight, and a wrong next helper. The test
 * plays the helpers by hand on a listening socket. The qtests have the real
 * helpers, except one that makes a forbidden system call, which is here.
 */
#include "qemu/osdep.h"
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include "block/aio.h"
#include "qemu/ctype.h"
#include "qemu/cutils.h"
#include "qemu/main-loop.h"
#include "qemu/sockets.h"
#include "fsdev/shared/hostfs.h"
#include "tests/unit/helper/force-call.h"
#include "driver-fixture.h"

/* For what must come */
#define PATIENCE_US     (PEER_PATIENCE_MS * INT64_C(1000))

typedef struct Test {
    DriverTest d;
    int listener;
    FsAttr root;                /* in the next HELLO */
    uint32_t features;          /* likewise */
} Test;

/*
 * Helpers by hand
 */

/* Takes the driver's HELLO and answers it. */
static void say_hello(Test *t)
{
    uint8_t buf[1024], said[PROXY_HELLO_SIZE];
    size_t size = put_hello(buf, sizeof(buf), PROXY_VERSION, PROXY_ROOT_HANDLE,
                            0, &t->root);

    /* After error and version */
    stl_le_p(buf + PROXY_HEADER_SIZE + 8, t->features);
    g_assert_cmpint(recv(t->d.peer, said, sizeof(said), MSG_WAITALL), ==,
                    sizeof(said));
    peer_send(t->d.peer, buf, size, NULL, 0);
}

/* The first one, which the driver waits for */
static gpointer first_helper(gpointer opaque)
{
    Test *t = opaque;

    t->d.peer = accept(t->listener, NULL, NULL);
    g_assert_cmpint(t->d.peer, >=, 0);
    say_hello(t);
    return NULL;
}

static bool is_ready(int fd)
{
    struct pollfd pfd = { .fd = fd, .events = POLLIN };

    return poll(&pfd, 1, 0) > 0;
}

/* Takes the next connection, without a HELLO. */
static void take_connection(Test *t)
{
    gint64 end = g_get_monotonic_time() + PATIENCE_US;

    while (!is_ready(t->listener)) {
        g_assert_cmpint(g_get_monotonic_time(), <, end);
        if (!aio_poll(qemu_get_aio_context(), false)) {
            g_usleep(100);
        }
    }
    t->d.peer = accept(t->listener, NULL, NULL);
    g_assert_cmpint(t->d.peer, >=, 0);
}

static void lose(Test *t)
{
    unsigned want = t->d.lost + 1;

    close(t->d.peer);
    t->d.peer = -1;
    driver_wait_number(&t->d.lost, want);
}

static void reconnect(Test *t)
{
    unsigned want = t->d.reconnected + 1;

    take_connection(t);
    g_assert_true(peer_wait(t->d.peer, PEER_PATIENCE_MS));
    say_hello(t);
    driver_wait_number(&t->d.reconnected, want);
}

static void setup(Test *t, FsdevOnDisconnect on_disconnect)
{
    g_autofree char *path = g_build_filename(folder, "socket", NULL);
    struct sockaddr_un addr = { .sun_family = AF_UNIX };
    FsdevProxyOptions o = {
        .socket = path,
        .has_donate = true,
        .has_protocol = true,
        .protocol = PROXY_VERSION,
        .has_reconnect = true,
        .reconnect = 1,
        .has_on_disconnect = true,
        .on_disconnect = on_disconnect,
    };
    GThread *thread;

    *t = (Test) {
        .root = { .mode = S_IFDIR | 0755, .dev = 1, .ino = 2, .nlink = 2 },
    };
    driver_test_start(&t->d);
    unlink(path);
    t->listener = qemu_socket(AF_UNIX, SOCK_STREAM, 0);
    g_assert_cmpint(strlen(path), <, sizeof(addr.sun_path));
    strcpy(addr.sun_path, path);
    g_assert_cmpint(bind(t->listener, (struct sockaddr *)&addr, sizeof(addr)),
                    ==, 0);
    g_assert_cmpint(listen(t->listener, 5), ==, 0);

    thread = g_thread_new("helper", first_helper, t);
    driver_test_open(&t->d, &o);
    g_thread_join(thread);
}

static void finish(Test *t)
{
    close(t->listener);
    driver_test_finish(&t->d);
}

/* The next request must be of @type, and about @handle; its tag */
static uint32_t expect(Test *t, ProxyType type, uint64_t handle)
{
    uint8_t payload[4096];
    ProxyHeader h = peer_recv(t->d.peer, payload, sizeof(payload));

    g_assert_cmpstr(proxy_type_name(h.type), ==, proxy_type_name(type));
    if (type == PROXY_FORGET) {
        g_assert_cmpuint(lduw_le_p(payload), ==, 1);
        g_assert_cmpuint(ldq_le_p(payload + 2), ==, handle);
    } else {
        g_assert_cmpuint(ldq_le_p(payload), ==, handle);
    }
    return h.tag;
}

static void reply(Test *t, ProxyType type, uint32_t tag, int error,
                  const FsAttr *attr, uint64_t handle)
{
    ProxyHeader h = { .type = type | PROXY_REPLY, .tag = tag };
    uint8_t buf[512];
    MarshalWriter w;

    marshal_writer_init(&w, buf, sizeof(buf));
    marshal_reserve(&w, PROXY_HEADER_SIZE);
    marshal_put_u32(&w, error);
    if (!error && type == PROXY_WALK) {
        marshal_put_u16(&w, 1);
    }
    if (!error && attr) {
        proxy_put_attr(&w, attr);
    }
    if (!error && type == PROXY_WALK) {
        marshal_put_u64(&w, handle);
        marshal_put_u8(&w, 0);
        marshal_put_u64(&w, 0);     /* parent: where the walk began */
        marshal_put_u8(&w, 0);
    }
    g_assert_true(marshal_fits(&w));
    h.size = marshal_size(&w);
    proxy_header_put(&h, buf);
    peer_send(t->d.peer, buf, h.size, NULL, 0);
}

static void answer_walk(Test *t, uint64_t dir, int error, const FsAttr *attr,
                        uint64_t handle)
{
    reply(t, PROXY_WALK, expect(t, PROXY_WALK, dir), error, attr, handle);
}

static void answer_getattr(Test *t, uint64_t handle, const FsAttr *attr)
{
    reply(t, PROXY_GETATTR, expect(t, PROXY_GETATTR, handle), 0, attr, 0);
}

static FsNode *walk(Test *t, FsNode *dir, uint64_t dir_handle,
                    const char *name, const FsAttr *attr, uint64_t handle)
{
    DriverOp op = { .names = { name }, .n = 1 };

    op_start(&op, run_walk, dir);
    answer_walk(t, dir_handle, 0, attr, handle);
    g_assert_cmpint(op_wait(&op), ==, 0);
    fs_node_unref(op.walk.parent);
    return op.walk.node;
}

static const FsAttr file_attr = {
    .valid = FS_ATTR_BTIME, .mode = S_IFREG | 0644, .dev = 1, .ino = 10,
    .nlink = 1, .btime.tv_sec = 1000,
};
static const FsAttr dir_attr = {
    .mode = S_IFDIR | 0755, .dev = 1, .ino = 11, .nlink = 2,
};

/*
 * Reconnecting
 */

/* Requests fail while there is no helper; the next one comes in time. */
static void test_events(void)
{
    gint64 start = g_get_monotonic_time();
    unsigned tries = 0;
    DriverOp op = { };
    Test t;

    setup(&t, FSDEV_ON_DISCONNECT_EIO);
    lose(&t);
    op_start(&op, run_getattr, t.d.fs.root);
    g_assert_true(op.done);
    g_assert_cmpint(op.ret, ==, -EIO);
    g_assert_cmpuint(t.d.reconnected, ==, 0);
    reconnect(&t);
    /* No sooner than a second after the first one */
    g_assert_cmpint(g_get_monotonic_time() - start, >, G_USEC_PER_SEC * 9 / 10);

    op_start(&op, run_getattr, t.d.fs.root);
    answer_getattr(&t, PROXY_ROOT_HANDLE, &t.root);
    g_assert_cmpint(op_wait(&op), ==, 0);

    /*
     * It served for long: QEMU looks for the next one at once. On a busy
     * machine that may be late, but not each time.
     */
    do {
        g_assert_cmpint(tries++, <, 20);
        g_usleep(G_USEC_PER_SEC + G_USEC_PER_SEC / 10);
        start = g_get_monotonic_time();
        lose(&t);
        reconnect(&t);
    } while (g_get_monotonic_time() - start >= G_USEC_PER_SEC / 2);
    g_assert_cmpuint(t.d.lost, ==, 1 + tries);
    finish(&t);
}

/* By name, from the top, and each once */
static void test_found(void)
{
    DriverOp op = { };
    FsNode *dir, *file;
    Test t;

    setup(&t, FSDEV_ON_DISCONNECT_EIO);
    dir = walk(&t, t.d.fs.root, PROXY_ROOT_HANDLE, "d", &dir_attr, 5);
    file = walk(&t, dir, 5, "x", &file_attr, 6);
    lose(&t);
    reconnect(&t);
    op_start(&op, run_getattr, file);
    answer_walk(&t, PROXY_ROOT_HANDLE, 0, &dir_attr, 50);
    answer_walk(&t, 50, 0, &file_attr, 60);
    answer_getattr(&t, 60, &file_attr);
    g_assert_cmpint(op_wait(&op), ==, 0);
    op_start(&op, run_getattr, file);
    answer_getattr(&t, 60, &file_attr);
    g_assert_cmpint(op_wait(&op), ==, 0);
    /* References of the first helper's handles are over. */
    fs_node_unref(file);
    expect(&t, PROXY_FORGET, 60);

    lose(&t);
    fs_node_unref(dir);
    reconnect(&t);
    g_assert_false(peer_wait(t.d.peer, 50));
    finish(&t);
}

/* What is not there, or another inode */
static void test_stale(void)
{
    FsAttr other = file_attr, reused = file_attr, special = file_attr;
    FsNode *node;
    Test t;
    int i;

    other.ino = 12;
    reused.btime.tv_sec = 2000;
    special.mode = S_IFIFO | 0644;
    for (i = 0; i < 4; i++) {
        const FsAttr *now[] = { NULL, &other, &reused, &special };
        DriverOp op = { };

        setup(&t, FSDEV_ON_DISCONNECT_EIO);
        node = walk(&t, t.d.fs.root, PROXY_ROOT_HANDLE, "x", &file_attr, 6);
        lose(&t);
        reconnect(&t);
        op_start(&op, run_getattr, node);
        answer_walk(&t, PROXY_ROOT_HANDLE, now[i] ? 0 : ENOENT, now[i], 60);
        g_assert_cmpint(op_wait(&op), ==, -ESTALE);
        if (now[i]) {
            expect(&t, PROXY_FORGET, 60);
        }
        /* And it stays so, without a question */
        op_start(&op, run_getattr, node);
        g_assert_true(op.done);
        g_assert_cmpint(op.ret, ==, -ESTALE);
        fs_node_unref(node);
        finish(&t);
    }
}

/* The driver does not take the next helper. */
static void expect_refusal(Test *t)
{
    uint8_t end;

    take_connection(t);
    g_assert_true(peer_wait(t->d.peer, PEER_PATIENCE_MS));
    say_hello(t);
    g_assert_true(peer_wait(t->d.peer, PEER_PATIENCE_MS));
    g_assert_cmpint(recv(t->d.peer, &end, 1, 0), ==, 0);
    g_assert_cmpuint(t->d.reconnected, ==, 0);
    close(t->d.peer);
}

/* The next helper serves something else, then the right thing. */
static void test_other_root(void)
{
    Test t;

    setup(&t, FSDEV_ON_DISCONNECT_EIO);
    lose(&t);
    t.root.ino++;
    expect_refusal(&t);
    t.root.ino--;
    reconnect(&t);
    finish(&t);
}

/* migration=handles: the next helper opens no file handles, then one does. */
static void test_no_file_handles(void)
{
    Test t;

    setup(&t, FSDEV_ON_DISCONNECT_EIO);
    t.d.fs.migration = FSDEV_MIGRATION_HANDLES;
    lose(&t);
    expect_refusal(&t);
    t.features = PROXY_FEATURE_FIND;
    reconnect(&t);
    finish(&t);
}

/* A silent helper keeps no request waiting, and the export can end. */
static void test_silent(void)
{
    DriverOp op = { };
    gint64 start;
    Test t;

    setup(&t, FSDEV_ON_DISCONNECT_EIO);
    lose(&t);
    take_connection(&t);
    op_start(&op, run_getattr, t.d.fs.root);
    g_assert_true(op.done);
    g_assert_cmpint(op.ret, ==, -EIO);
    start = g_get_monotonic_time();
    finish(&t);
    /* Far less than the driver waits for a HELLO */
    g_assert_cmpint(g_get_monotonic_time() - start, <, 8 * G_USEC_PER_SEC);
}

/*
 * Waiting
 */

static void cancel(DriverOp *op)
{
    fs_call_cancel(&op->call);
}

static void test_wait(void)
{
    DriverOp sent = { }, late = { }, given_up = { }, given_up_sent = { };
    Test t;

    setup(&t, FSDEV_ON_DISCONNECT_WAIT);
    op_start(&sent, run_getattr, t.d.fs.root);
    expect(&t, PROXY_GETATTR, PROXY_ROOT_HANDLE);
    op_start(&given_up_sent, run_getattr, t.d.fs.root);
    expect(&t, PROXY_GETATTR, PROXY_ROOT_HANDLE);
    lose(&t);
    op_start(&late, run_getattr, t.d.fs.root);
    op_start(&given_up, run_getattr, t.d.fs.root);
    g_assert_false(sent.done || late.done || given_up.done ||
                   given_up_sent.done);
    /* Nothing was done, or QEMU does not know */
    cancel(&given_up);
    g_assert_cmpint(op_wait(&given_up), ==, -EINTR);
    cancel(&given_up_sent);
    g_assert_cmpint(op_wait(&given_up_sent), ==, -EIO);

    reconnect(&t);
    answer_getattr(&t, PROXY_ROOT_HANDLE, &t.root);
    answer_getattr(&t, PROXY_ROOT_HANDLE, &t.root);
    g_assert_cmpint(op_wait(&sent), ==, 0);
    g_assert_cmpint(op_wait(&late), ==, 0);

    /* A helper's EIO is an answer. */
    op_start(&sent, run_getattr, t.d.fs.root);
    reply(&t, PROXY_GETATTR, expect(&t, PROXY_GETATTR, PROXY_ROOT_HANDLE),
          EIO, NULL, 0);
    g_assert_cmpint(op_wait(&sent), ==, -EIO);
    finish(&t);
}

/*
 * The second try may meet what the lost helper did: its error is none, if the
 * name is what the operation asked for.
 */
static void doubt(ProxyType type, int error, const FsAttr *is, int want)
{
    DriverOp op = { .names = { "y" } };
    uint64_t handle = type == PROXY_LINK ? 6 : PROXY_ROOT_HANDLE;
    FsNode *node;
    FsEntry *entry;
    Test t;

    setup(&t, FSDEV_ON_DISCONNECT_WAIT);
    node = walk(&t, t.d.fs.root, PROXY_ROOT_HANDLE, "x", &file_attr, 6);
    entry = fs_entry_get(&t.d.fs, t.d.fs.root, "x", node);
    switch (type) {
    case PROXY_UNLINK:
        op_start(&op, run_unlink, t.d.fs.root);
        break;
    case PROXY_RENAME:
        op.names[0] = "x";
        op.names[1] = "y";
        op.dir = t.d.fs.root;
        op_start(&op, run_rename, t.d.fs.root);
        break;
    case PROXY_LINK:
        op.dir = t.d.fs.root;
        op_start(&op, run_link, node);
        break;
    default:
        op.make = (FsMakeArgs) { .name = "y", .mode = S_IFDIR | 0755 };
        op_start(&op, run_make, t.d.fs.root);
        break;
    }
    expect(&t, type, handle);
    lose(&t);
    reconnect(&t);
    if (type == PROXY_LINK) {
        answer_walk(&t, PROXY_ROOT_HANDLE, 0, &file_attr, 60);
        handle = 60;
    }
    reply(&t, type, expect(&t, type, handle), error, NULL, 0);
    if (is) {
        answer_walk(&t, PROXY_ROOT_HANDLE, 0, is, is == &file_attr ? 60 : 61);
    }
    g_assert_cmpint(op_wait(&op), ==, want);
    fs_entry_put(entry);
    fs_node_unref(node);
    finish(&t);
}

static void test_doubt(void)
{
    FsAttr other = file_attr;

    other.ino = 12;
    doubt(PROXY_UNLINK, ENOENT, NULL, 0);
    doubt(PROXY_UNLINK, EACCES, NULL, -EACCES);
    doubt(PROXY_RENAME, ENOENT, &file_attr, 0);
    doubt(PROXY_RENAME, ENOENT, &other, -ENOENT);
    doubt(PROXY_RENAME, EACCES, NULL, -EACCES);
    doubt(PROXY_LINK, EEXIST, &file_attr, 0);
    doubt(PROXY_LINK, EEXIST, &other, -EEXIST);
    doubt(PROXY_MAKE, EEXIST, NULL, -EEXIST);
}

/*
 * The lost helper renamed a directory over another one. The second try finds
 * it by the new name, as it looks for the other one; its old entry moves.
 */
static void test_doubt_directory(void)
{
    DriverOp op = { .names = { "x", "y" } };
    FsAttr other = dir_attr;
    FsNode *node, *victim;
    FsEntry *entry;
    Test t;

    other.ino = 12;
    setup(&t, FSDEV_ON_DISCONNECT_WAIT);
    node = walk(&t, t.d.fs.root, PROXY_ROOT_HANDLE, "x", &dir_attr, 6);
    victim = walk(&t, t.d.fs.root, PROXY_ROOT_HANDLE, "y", &other, 7);
    entry = fs_entry_get(&t.d.fs, t.d.fs.root, "x", node);
    op.dir = t.d.fs.root;
    op_start(&op, run_rename, t.d.fs.root);
    expect(&t, PROXY_RENAME, PROXY_ROOT_HANDLE);
    lose(&t);
    reconnect(&t);
    answer_walk(&t, PROXY_ROOT_HANDLE, 0, &dir_attr, 60);
    reply(&t, PROXY_RENAME, expect(&t, PROXY_RENAME, PROXY_ROOT_HANDLE),
          ENOENT, NULL, 0);
    answer_walk(&t, PROXY_ROOT_HANDLE, 0, &dir_attr, 60);
    g_assert_cmpint(op_wait(&op), ==, 0);
    g_assert_true(fs_entry_is(entry, t.d.fs.root, "y"));
    fs_entry_put(entry);
    fs_node_unref(node);
    fs_node_unref(victim);
    finish(&t);
}

/*
 * A name is not there, because a rename may have moved it whose reply does not
 * come. The operation waits for that, and can be cancelled.
 */
static void test_cancel_during_rename(void)
{
    DriverOp rename = { .names = { "a", "b" } }, op = { };
    FsNode *node;
    uint32_t tag;
    Test t;

    setup(&t, FSDEV_ON_DISCONNECT_WAIT);
    node = walk(&t, t.d.fs.root, PROXY_ROOT_HANDLE, "x", &file_attr, 6);
    lose(&t);
    reconnect(&t);
    rename.dir = t.d.fs.root;
    op_start(&rename, run_rename, t.d.fs.root);
    tag = expect(&t, PROXY_RENAME, PROXY_ROOT_HANDLE);
    op_start(&op, run_getattr, node);
    answer_walk(&t, PROXY_ROOT_HANDLE, ENOENT, NULL, 0);
    while (aio_poll(qemu_get_aio_context(), false)) {
        /* the reply */
    }
    g_assert_false(op.done);
    cancel(&op);
    g_assert_true(op.done);
    g_assert_cmpint(op.ret, ==, -EINTR);
    reply(&t, PROXY_RENAME, tag, 0, NULL, 0);
    g_assert_cmpint(op_wait(&rename), ==, 0);
    fs_node_unref(node);
    finish(&t);
}

/*
 * The second helper does not find the old name, and the third one does not find
 * the directory: to look for it does not wait for this very rename.
 */
static void test_rename_lost_twice(void)
{
    DriverOp op = { .names = { "x", "y" } };
    FsNode *dir, *node;
    FsEntry *entry;
    Test t;

    setup(&t, FSDEV_ON_DISCONNECT_WAIT);
    dir = walk(&t, t.d.fs.root, PROXY_ROOT_HANDLE, "d", &dir_attr, 5);
    node = walk(&t, dir, 5, "x", &file_attr, 6);
    entry = fs_entry_get(&t.d.fs, dir, "x", node);
    op.dir = dir;
    op_start(&op, run_rename, dir);
    expect(&t, PROXY_RENAME, 5);
    lose(&t);
    reconnect(&t);
    answer_walk(&t, PROXY_ROOT_HANDLE, 0, &dir_attr, 50);
    reply(&t, PROXY_RENAME, expect(&t, PROXY_RENAME, 50), ENOENT, NULL, 0);
    expect(&t, PROXY_WALK, 50);
    lose(&t);
    reconnect(&t);
    answer_walk(&t, PROXY_ROOT_HANDLE, ENOENT, NULL, 0);
    g_assert_cmpint(op_wait(&op), ==, -ENOENT);
    g_assert_true(fs_entry_is(entry, dir, "x"));
    fs_entry_put(entry);
    fs_node_unref(node);
    fs_node_unref(dir);
    finish(&t);
}

/*
 * A real helper
 */

/* The only child of a process */
static pid_t child_of(pid_t pid)
{
    g_autofree char *path = g_strdup_printf("/proc/%d/task/%d/children",
                                            (int)pid, (int)pid);
    g_autofree char *text = NULL;

    g_assert_true(g_file_get_contents(path, &text, NULL, NULL));
    g_assert_cmpint(atoi(text), >, 0);
    return atoi(text);
}

/* The thread of the process that sleeps in the system call @nr, or 0 */
static pid_t thread_in(pid_t pid, long nr)
{
    g_autofree char *tasks = g_strdup_printf("/proc/%d/task", (int)pid);
    GDir *dir = g_dir_open(tasks, 0, NULL);
    const char *name;
    pid_t tid = 0;

    g_assert_nonnull(dir);
    while (!tid && (name = g_dir_read_name(dir))) {
        g_autofree char *path = g_build_filename(tasks, name, "syscall", NULL);
        g_autofree char *text = NULL;

        /* proc_pid_syscall(5): its number, or a word */
        if (g_file_get_contents(path, &text, NULL, NULL) &&
            qemu_isdigit(text[0]) && atol(text) == nr) {
            tid = atoi(name);
        }
    }
    g_dir_close(dir);
    return tid;
}

/* Waits for the message about the helper, too. */
static void force_and_wait(void)
{
    FsdevProxyOptions o = {
        .path = folder,
        .helper = getenv("VIRTFS_PROXY_HELPER"),
        /* It waits in recvmsg(2) then. */
        .has_ring = true,
        .ring = ON_OFF_AUTO_OFF,
    };
    gint64 end = g_get_monotonic_time() + PATIENCE_US;
    pid_t supervisor, thread;
    DriverTest t;

    driver_test_start(&t);
    driver_test_open(&t, &o);
    supervisor = child_of(getpid());
    while (!(thread = thread_in(child_of(supervisor), __NR_recvmsg))) {
        g_assert_cmpint(g_get_monotonic_time(), <, end);
        g_usleep(1000);
    }
    force_call(thread, __NR_recvmsg, __NR_getppid);
    driver_wait_number(&t.lost, 1);
    /* QEMU reports the helper's end when it has reaped it. */
    while (kill(supervisor, 0) == 0) {
        g_assert_cmpint(g_get_monotonic_time(), <, end);
        main_loop_wait(true);
        g_usleep(1000);
    }
    proxy->close(&t.fs);
}

static void test_forbidden_call(void)
{
    const char *why = getenv("VIRTFS_PROXY_HELPER")
        ? cannot_force_call() : "$VIRTFS_PROXY_HELPER is not set";

    if (why) {
        g_test_skip(why);
        return;
    }
    if (g_test_subprocess()) {
        force_and_wait();
        return;
    }
    g_test_trap_subprocess(NULL, PATIENCE_US, 0);
    g_test_trap_assert_passed();
    g_test_trap_assert_stderr("*fsdev 'test': helper (process*killed by "
                              "signal 31 (Bad system call), because it made "
                              "a forbidden system call*");
}

int main(int argc, char **argv)
{
    int ret;

    driver_test_init(&argc, &argv);
    driver_folder_make();
    g_test_add_func("/proxy-reconnect/events", test_events);
    g_test_add_func("/proxy-reconnect/found", test_found);
    g_test_add_func("/proxy-reconnect/stale", test_stale);
    g_test_add_func("/proxy-reconnect/other-root", test_other_root);
    g_test_add_func("/proxy-reconnect/no-file-handles",
                    test_no_file_handles);
    g_test_add_func("/proxy-reconnect/silent", test_silent);
    g_test_add_func("/proxy-reconnect/wait", test_wait);
    g_test_add_func("/proxy-reconnect/doubt", test_doubt);
    g_test_add_func("/proxy-reconnect/doubt-directory", test_doubt_directory);
    g_test_add_func("/proxy-reconnect/cancel-during-rename",
                    test_cancel_during_rename);
    g_test_add_func("/proxy-reconnect/rename-lost-twice",
                    test_rename_lost_twice);
    g_test_add_func("/proxy-reconnect/forbidden-call", test_forbidden_call);
    ret = g_test_run();
    driver_folder_remove();
    return ret;
}
