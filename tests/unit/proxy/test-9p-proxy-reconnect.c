/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The proxy driver after it lost its helper: how nodes are found again, what
 * becomes of requests that were under way, and a next helper that is not what
 * it should be. The test plays the helpers by hand on a listening socket; what
 * real ones do is for the qtests, but for one that makes a system call that it
 * may not make.
 */
#include "qemu/osdep.h"
#include <sys/un.h>
#include "qapi/error.h"
#include "qemu/ctype.h"
#include "qemu/cutils.h"
#include "qemu/module.h"
#include "qemu/sockets.h"
#include "fsdev/shared/hostfs.h"
#include "hw/9pfs/fs/export.h"
#include "tests/unit/helper/force-call.h"
#include "proxy-peer.h"

/* For what must come */
#define PATIENCE_US     (PEER_PATIENCE_MS * INT64_C(1000))

static const FsDriver *proxy;
static char *folder;

typedef struct Test {
    FsExport fs;
    Notifier notifier;
    int listener;
    int peer;                   /* the connection there is */
    FsAttr root;                /* that the next HELLO tells of */
    unsigned lost;
    unsigned found;
    int fds_before;
} Test;

/*
 * Helpers by hand
 */

/* Takes the driver's HELLO and answers it. */
static void say_hello(Test *t)
{
    uint8_t buf[1024], said[PROXY_HELLO_SIZE];

    g_assert_cmpint(recv(t->peer, said, sizeof(said), MSG_WAITALL), ==,
                    sizeof(said));
    peer_send(t->peer, buf,
              put_hello(buf, sizeof(buf), PROXY_VERSION, PROXY_ROOT_HANDLE, 0,
                        &t->root), NULL, 0);
}

/* The first one, which the driver waits for */
static gpointer first_helper(gpointer opaque)
{
    Test *t = opaque;

    t->peer = accept(t->listener, NULL, NULL);
    g_assert_cmpint(t->peer, >=, 0);
    say_hello(t);
    return NULL;
}

static void on_helper(Notifier *n, void *data)
{
    Test *t = container_of(n, Test, notifier);
    FsHelperEvent *event = data;

    g_assert_true(event->fs == &t->fs);
    if (event->reconnected) {
        g_assert_null(event->why);
        t->found++;
    } else {
        g_assert_nonnull(strstr(event->why, "the helper"));
        t->lost++;
    }
    g_assert_cmpuint(t->lost - t->found, <=, 1);
}

static bool is_ready(int fd)
{
    struct pollfd pfd = { .fd = fd, .events = POLLIN };

    return poll(&pfd, 1, 0) > 0;
}

/* Runs the driver until @number is @want. */
static void wait_number(const unsigned *number, unsigned want)
{
    gint64 end = g_get_monotonic_time() + PATIENCE_US;

    while (*number != want) {
        g_assert_cmpint(g_get_monotonic_time(), <, end);
        if (!aio_poll(qemu_get_aio_context(), false)) {
            g_usleep(100);
        }
    }
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
    t->peer = accept(t->listener, NULL, NULL);
    g_assert_cmpint(t->peer, >=, 0);
}

static void lose(Test *t)
{
    unsigned want = t->lost + 1;

    close(t->peer);
    t->peer = -1;
    wait_number(&t->lost, want);
}

static void find(Test *t)
{
    unsigned want = t->found + 1;

    take_connection(t);
    g_assert_true(peer_wait(t->peer, PEER_PATIENCE_MS));
    say_hello(t);
    wait_number(&t->found, want);
}

static void setup(Test *t, FsdevOnDisconnect on_disconnect)
{
    g_autofree char *path = g_build_filename(folder, "socket", NULL);
    struct sockaddr_un addr = { .sun_family = AF_UNIX };
    FsdevOptions opts = {
        .fsdriver = FSDEV_DRIVER_PROXY,
        .id = (char *)"test",
        .u.proxy = {
            .socket = path,
            .has_donate = true,
            .has_protocol = true,
            .protocol = PROXY_VERSION,
            .has_reconnect = true,
            .reconnect = 1,
            .has_on_disconnect = true,
            .on_disconnect = on_disconnect,
        },
    };
    GThread *thread;

    /* The thread pool's come and go */
    *t = (Test) {
        .fds_before = open_fds(),
        .peer = -1,
        .root = { .mode = S_IFDIR | 0755, .dev = 1, .ino = 2, .nlink = 2 },
    };
    unlink(path);
    t->listener = qemu_socket(AF_UNIX, SOCK_STREAM, 0);
    g_assert_cmpint(strlen(path), <, sizeof(addr.sun_path));
    strcpy(addr.sun_path, path);
    g_assert_cmpint(bind(t->listener, (struct sockaddr *)&addr, sizeof(addr)),
                    ==, 0);
    g_assert_cmpint(listen(t->listener, 5), ==, 0);

    t->fs.id = (char *)"test";
    t->fs.driver = proxy;
    thread = g_thread_new("helper", first_helper, t);
    g_assert_true(proxy->open(&t->fs, &opts, &error_abort));
    g_thread_join(thread);
    t->notifier.notify = on_helper;
    notifier_list_add(&t->fs.on_helper, &t->notifier);
}

static void finish(Test *t)
{
    g_assert_cmpuint(fs_nodes_count(&t->fs.nodes), ==, 1);
    proxy->close(&t->fs);
    if (t->peer >= 0) {
        close(t->peer);
    }
    close(t->listener);
    g_assert_cmpint(open_fds(), ==, t->fds_before);
}

/*
 * Operations, each in a coroutine
 */

typedef struct Op {
    void coroutine_fn (*run)(struct Op *op);
    FsCall call;
    FsNode *node;
    FsNode *dir;                /* for names */
    const char *name;
    FsWalk walk;
    FsAttr attr;
    int ret;
    unsigned done;
} Op;

static void coroutine_fn run_walk(Op *op)
{
    op->ret = proxy->walk(&op->call, op->dir, &op->name, 1, &op->walk);
}

static void coroutine_fn run_getattr(Op *op)
{
    op->ret = proxy->getattr(&op->call, op->node, NULL, &op->attr);
}

static void coroutine_fn run_link(Op *op)
{
    op->ret = proxy->link(&op->call, op->node, op->dir, op->name);
}

static void coroutine_fn run_unlink(Op *op)
{
    op->ret = proxy->unlink(&op->call, op->dir, op->name, false, NULL);
}

static void coroutine_fn run_rename(Op *op)
{
    op->ret = proxy->rename(&op->call, op->dir, "x", op->dir, op->name);
}

static void coroutine_fn run_mkdir(Op *op)
{
    FsMakeArgs make = { .name = op->name, .mode = S_IFDIR | 0755 };

    op->ret = proxy->make(&op->call, op->dir, &make, &op->attr);
}

static void coroutine_fn op_entry(void *opaque)
{
    Op *op = opaque;

    op->run(op);
    op->done = 1;
}

static void op_start(Op *op, void coroutine_fn (*run)(Op *op))
{
    op->run = run;
    op->done = 0;
    qemu_coroutine_enter(qemu_coroutine_create(op_entry, op));
}

static void op_ends(Op *op, int ret)
{
    wait_number(&op->done, 1);
    g_assert_cmpint(op->ret, ==, ret);
}

/* The next request must be of @type, and about @handle; its tag */
static uint32_t expect(Test *t, ProxyType type, uint64_t handle)
{
    uint8_t payload[4096];
    ProxyHeader h = peer_recv(t->peer, payload, sizeof(payload));

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
    peer_send(t->peer, buf, h.size, NULL, 0);
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
    Op op = { .dir = dir, .name = name };

    op_start(&op, run_walk);
    answer_walk(t, dir_handle, 0, attr, handle);
    op_ends(&op, 0);
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
 * Finding
 */

/* Requests fail while there is no helper; the next one is there in time. */
static void test_events(void)
{
    gint64 start = g_get_monotonic_time();
    unsigned tries = 0;
    Op op = { };
    Test t;

    setup(&t, FSDEV_ON_DISCONNECT_EIO);
    op.node = t.fs.root;
    lose(&t);
    op_start(&op, run_getattr);
    g_assert_true(op.done);
    g_assert_cmpint(op.ret, ==, -EIO);
    g_assert_cmpuint(t.found, ==, 0);
    find(&t);
    /* No sooner than a second after the first one was looked for */
    g_assert_cmpint(g_get_monotonic_time() - start, >, G_USEC_PER_SEC * 9 / 10);

    op_start(&op, run_getattr);
    answer_getattr(&t, PROXY_ROOT_HANDLE, &t.root);
    op_ends(&op, 0);

    /*
     * It served for long: the next one is looked for at once. Where something
     * else keeps the machine busy that may be late, but not each time.
     */
    do {
        g_assert_cmpint(tries++, <, 20);
        g_usleep(G_USEC_PER_SEC + G_USEC_PER_SEC / 10);
        start = g_get_monotonic_time();
        lose(&t);
        find(&t);
    } while (g_get_monotonic_time() - start >= G_USEC_PER_SEC / 2);
    g_assert_cmpuint(t.lost, ==, 1 + tries);
    finish(&t);
}

/* By name, from the top, and each once */
static void test_found(void)
{
    Op op = { };
    FsNode *dir, *file;
    Test t;

    setup(&t, FSDEV_ON_DISCONNECT_EIO);
    dir = walk(&t, t.fs.root, PROXY_ROOT_HANDLE, "d", &dir_attr, 5);
    file = walk(&t, dir, 5, "x", &file_attr, 6);
    lose(&t);
    find(&t);
    op.node = file;
    op_start(&op, run_getattr);
    answer_walk(&t, PROXY_ROOT_HANDLE, 0, &dir_attr, 50);
    answer_walk(&t, 50, 0, &file_attr, 60);
    answer_getattr(&t, 60, &file_attr);
    op_ends(&op, 0);
    op_start(&op, run_getattr);
    answer_getattr(&t, 60, &file_attr);
    op_ends(&op, 0);
    /* References of the first helper's handles are over. */
    fs_node_unref(file);
    expect(&t, PROXY_FORGET, 60);

    lose(&t);
    fs_node_unref(dir);
    find(&t);
    g_assert_false(peer_wait(t.peer, 50));
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
        Op op = { };

        setup(&t, FSDEV_ON_DISCONNECT_EIO);
        node = walk(&t, t.fs.root, PROXY_ROOT_HANDLE, "x", &file_attr, 6);
        lose(&t);
        find(&t);
        op.node = node;
        op_start(&op, run_getattr);
        answer_walk(&t, PROXY_ROOT_HANDLE, now[i] ? 0 : ENOENT, now[i], 60);
        op_ends(&op, -ESTALE);
        if (now[i]) {
            expect(&t, PROXY_FORGET, 60);
        }
        /* And it stays so, without a question */
        op_start(&op, run_getattr);
        g_assert_true(op.done);
        g_assert_cmpint(op.ret, ==, -ESTALE);
        fs_node_unref(node);
        finish(&t);
    }
}

/* The next helper serves something else, then the right thing. */
static void test_other_root(void)
{
    uint8_t end;
    Test t;

    setup(&t, FSDEV_ON_DISCONNECT_EIO);
    lose(&t);
    t.root.ino++;
    take_connection(&t);
    g_assert_true(peer_wait(t.peer, PEER_PATIENCE_MS));
    say_hello(&t);
    g_assert_true(peer_wait(t.peer, PEER_PATIENCE_MS));
    g_assert_cmpint(recv(t.peer, &end, 1, 0), ==, 0);
    g_assert_cmpuint(t.found, ==, 0);
    close(t.peer);
    t.root.ino--;
    find(&t);
    finish(&t);
}

/* A helper that says nothing keeps nobody waiting, and an export can end. */
static void test_silent(void)
{
    Op op = { };
    gint64 start;
    Test t;

    setup(&t, FSDEV_ON_DISCONNECT_EIO);
    lose(&t);
    take_connection(&t);
    op.node = t.fs.root;
    op_start(&op, run_getattr);
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

static void cancel(Op *op)
{
    fs_call_cancel(&op->call);
}

static void test_wait(void)
{
    Op sent = { }, late = { }, given_up = { }, given_up_sent = { };
    Test t;

    setup(&t, FSDEV_ON_DISCONNECT_WAIT);
    sent.node = late.node = given_up.node = given_up_sent.node = t.fs.root;
    op_start(&sent, run_getattr);
    expect(&t, PROXY_GETATTR, PROXY_ROOT_HANDLE);
    op_start(&given_up_sent, run_getattr);
    expect(&t, PROXY_GETATTR, PROXY_ROOT_HANDLE);
    lose(&t);
    op_start(&late, run_getattr);
    op_start(&given_up, run_getattr);
    g_assert_false(sent.done || late.done || given_up.done ||
                   given_up_sent.done);
    /* Nothing was done, or nobody knows */
    cancel(&given_up);
    op_ends(&given_up, -EINTR);
    cancel(&given_up_sent);
    op_ends(&given_up_sent, -EIO);

    find(&t);
    answer_getattr(&t, PROXY_ROOT_HANDLE, &t.root);
    answer_getattr(&t, PROXY_ROOT_HANDLE, &t.root);
    op_ends(&sent, 0);
    op_ends(&late, 0);

    /* A helper's EIO is an answer. */
    op_start(&sent, run_getattr);
    reply(&t, PROXY_GETATTR, expect(&t, PROXY_GETATTR, PROXY_ROOT_HANDLE),
          EIO, NULL, 0);
    op_ends(&sent, -EIO);
    finish(&t);
}

/*
 * What the lost helper did may be met: an error of the second try is none, if
 * the name is what was asked for.
 */
static void doubt(void coroutine_fn (*run)(Op *op), ProxyType type, int error,
                  const FsAttr *is, int want)
{
    Op op = { .name = "y" };
    uint64_t handle;
    FsEntry *entry;
    Test t;

    setup(&t, FSDEV_ON_DISCONNECT_WAIT);
    op.dir = t.fs.root;
    op.node = walk(&t, t.fs.root, PROXY_ROOT_HANDLE, "x", &file_attr, 6);
    entry = fs_entry_get(&t.fs, t.fs.root, "x", op.node);
    handle = type == PROXY_LINK ? 6 : PROXY_ROOT_HANDLE;
    op_start(&op, run);
    expect(&t, type, handle);
    lose(&t);
    find(&t);
    if (type == PROXY_LINK) {
        answer_walk(&t, PROXY_ROOT_HANDLE, 0, &file_attr, 60);
        handle = 60;
    }
    reply(&t, type, expect(&t, type, handle), error, NULL, 0);
    if (is) {
        answer_walk(&t, PROXY_ROOT_HANDLE, 0, is, is == &file_attr ? 60 : 61);
    }
    op_ends(&op, want);
    fs_entry_put(entry);
    fs_node_unref(op.node);
    finish(&t);
}

static void test_doubt(void)
{
    FsAttr other = file_attr;

    other.ino = 12;
    doubt(run_unlink, PROXY_UNLINK, ENOENT, NULL, 0);
    doubt(run_unlink, PROXY_UNLINK, EACCES, NULL, -EACCES);
    doubt(run_rename, PROXY_RENAME, ENOENT, &file_attr, 0);
    doubt(run_rename, PROXY_RENAME, ENOENT, &other, -ENOENT);
    doubt(run_rename, PROXY_RENAME, EACCES, NULL, -EACCES);
    doubt(run_link, PROXY_LINK, EEXIST, &file_attr, 0);
    doubt(run_link, PROXY_LINK, EEXIST, &other, -EEXIST);
    doubt(run_mkdir, PROXY_MAKE, EEXIST, NULL, -EEXIST);
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

/* Waits for what it says of the helper, too. */
static void force_and_wait(void)
{
    FsdevOptions opts = {
        .fsdriver = FSDEV_DRIVER_PROXY,
        .id = (char *)"test",
        .u.proxy = {
            .path = folder,
            .helper = getenv("VIRTFS_PROXY_HELPER"),
            /* It waits in recvmsg(2) then. */
            .has_ring = true,
            .ring = ON_OFF_AUTO_OFF,
        },
    };
    gint64 end = g_get_monotonic_time() + PATIENCE_US;
    Test t = { .fs = { .id = (char *)"test", .driver = proxy } };
    pid_t supervisor, thread;

    g_assert_true(proxy->open(&t.fs, &opts, &error_abort));
    t.notifier.notify = on_helper;
    notifier_list_add(&t.fs.on_helper, &t.notifier);
    supervisor = child_of(getpid());
    while (!(thread = thread_in(child_of(supervisor), __NR_recvmsg))) {
        g_assert_cmpint(g_get_monotonic_time(), <, end);
        g_usleep(1000);
    }
    force_call(thread, __NR_recvmsg, __NR_getppid);
    wait_number(&t.lost, 1);
    /* Reaped: that is when it is told */
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
    g_autofree char *rm = NULL;
    int ret;

    g_test_init(&argc, &argv, NULL);
    signal(SIGPIPE, SIG_IGN);
    alarm(300);                 /* nothing in here takes that long */
    qemu_init_exec_dir(argv[0]);
    qemu_init_main_loop(&error_abort);
    module_call_init(MODULE_INIT_QOM);
    proxy = fs_driver_find(FSDEV_DRIVER_PROXY);
    g_assert_nonnull(proxy);
    folder = g_dir_make_tmp("proxy-reconnect-XXXXXX", NULL);
    g_assert_nonnull(folder);

    g_test_add_func("/proxy-reconnect/events", test_events);
    g_test_add_func("/proxy-reconnect/found", test_found);
    g_test_add_func("/proxy-reconnect/stale", test_stale);
    g_test_add_func("/proxy-reconnect/other-root", test_other_root);
    g_test_add_func("/proxy-reconnect/silent", test_silent);
    g_test_add_func("/proxy-reconnect/wait", test_wait);
    g_test_add_func("/proxy-reconnect/doubt", test_doubt);
    g_test_add_func("/proxy-reconnect/forbidden-call", test_forbidden_call);
    ret = g_test_run();

    rm = g_strdup_printf("rm -rf '%s'", folder);
    if (system(rm) != 0) {
        g_printerr("cannot remove %s\n", folder);
    }
    g_free(folder);
    return ret;
}
