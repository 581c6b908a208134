/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Code that the tests of the proxy driver share: see driver-fixture.h.
 */
#include "qemu/osdep.h"
#include "block/aio.h"
#include "qapi/error.h"
#include "qemu/cutils.h"
#include "qemu/main-loop.h"
#include "qemu/module.h"
#include "qemu/sockets.h"
#include "fsdev/shared/hostfs.h"
#include "driver-fixture.h"

const FsDriver *proxy;
char *folder;

void driver_test_init(int *argc, char ***argv)
{
    g_test_init(argc, argv, NULL);
    /* As in QEMU: os_setup_early_signal_handling() */
    signal(SIGPIPE, SIG_IGN);
    alarm(300);                 /* nothing in here takes that long */
    qemu_init_exec_dir((*argv)[0]);
    qemu_init_main_loop(&error_abort);
    module_call_init(MODULE_INIT_QOM);
    proxy = fs_driver_find(FSDEV_DRIVER_PROXY);
    g_assert_nonnull(proxy);
}

/*
 * The folder
 */

void driver_folder_make(void)
{
    folder = g_dir_make_tmp("proxy-driver-XXXXXX", NULL);
    g_assert_nonnull(folder);
}

void driver_folder_remove(void)
{
    const char *argv[] = { "rm", "-rf", folder, NULL };

    g_assert_true(g_spawn_sync(NULL, (char **)argv, NULL, G_SPAWN_SEARCH_PATH,
                               NULL, NULL, NULL, NULL, NULL, NULL));
    g_clear_pointer(&folder, g_free);
}

char *in_folder(const char *name)
{
    return g_build_filename(folder, name, NULL);
}

int make_file(const char *name, int flags)
{
    g_autofree char *path = in_folder(name);
    int fd = open(path, O_CREAT | O_RDWR, 0640);

    g_assert_cmpint(fd, >=, 0);
    close(fd);
    fd = open(path, flags);
    g_assert_cmpint(fd, >=, 0);
    return fd;
}

/*
 * The export
 */

static void helper_event(Notifier *n, void *data)
{
    DriverTest *t = container_of(n, DriverTest, on_helper);
    FsHelperEvent *event = data;

    g_assert_true(event->fs == &t->fs);
    if (event->reconnected) {
        g_assert_null(event->why);
        t->reconnected++;
    } else {
        g_assert_nonnull(strstr(event->why, "the helper"));
        t->lost++;
    }
    g_assert_cmpuint(t->lost - t->reconnected, <=, 1);
}

void driver_test_start(DriverTest *t)
{
    *t = (DriverTest) { .fds_before = open_fds(), .peer = -1 };
    t->fs.id = (char *)"test";
    t->fs.driver = proxy;
    t->on_helper.notify = helper_event;
    notifier_list_add(&t->fs.on_helper, &t->on_helper);
}

void driver_test_socket(DriverTest *t, char number[16])
{
    int sv[2];

    g_assert_cmpint(qemu_socketpair(AF_UNIX, SOCK_STREAM, 0, sv), ==, 0);
    t->peer = sv[1];
    snprintf(number, 16, "%d", sv[0]);
}

void driver_test_open(DriverTest *t, FsdevProxyOptions *o)
{
    FsdevOptions opts = {
        .fsdriver = FSDEV_DRIVER_PROXY, .id = t->fs.id, .u.proxy = *o,
    };

    g_assert_true(proxy->open(&t->fs, &opts, &error_abort));
    g_assert_nonnull(t->fs.root);
}

void driver_test_finish(DriverTest *t)
{
    g_assert_cmpuint(fs_nodes_count(&t->fs.nodes), ==, 1);
    notifier_remove(&t->on_helper);
    t->fs.driver->close(&t->fs);
    if (t->peer >= 0) {
        close(t->peer);
    }
    expect_open_fds(t->fds_before);
}

void driver_wait_number(const unsigned *number, unsigned want)
{
    gint64 end = g_get_monotonic_time() + PEER_PATIENCE_MS * INT64_C(1000);

    while (*number != want) {
        g_assert_cmpint(g_get_monotonic_time(), <, end);
        if (!aio_poll(qemu_get_aio_context(), false)) {
            g_usleep(100);
        }
    }
}

/*
 * Operations
 */

static const FsDriver *driver(DriverOp *op)
{
    return op->node->fs->driver;
}

void coroutine_fn run_walk(DriverOp *op)
{
    op->ret = driver(op)->walk(&op->call, op->node, op->names, op->n,
                               &op->walk);
}

void coroutine_fn run_getattr(DriverOp *op)
{
    op->ret = driver(op)->getattr(&op->call, op->node, op->file, &op->attr);
}

void coroutine_fn run_setattr(DriverOp *op)
{
    op->ret = driver(op)->setattr(&op->call, op->node, op->file,
                                  &op->set);
}

void coroutine_fn run_open(DriverOp *op)
{
    op->ret = driver(op)->open_file(&op->call, op->node, op->flags, &op->file);
}

void coroutine_fn run_create(DriverOp *op)
{
    op->ret = driver(op)->create(&op->call, op->node, &op->make, op->flags,
                                 &op->dir, &op->file, &op->attr);
}

void coroutine_fn run_make(DriverOp *op)
{
    op->ret = driver(op)->make(&op->call, op->node, &op->make, &op->attr);
}

void coroutine_fn run_link(DriverOp *op)
{
    op->ret = driver(op)->link(&op->call, op->node, op->dir, op->names[0]);
}

void coroutine_fn run_rename(DriverOp *op)
{
    op->ret = driver(op)->rename(&op->call, op->node, op->names[0],
                                 op->dir, op->names[1]);
}

void coroutine_fn run_unlink(DriverOp *op)
{
    op->ret = driver(op)->unlink(&op->call, op->node, op->names[0],
                                 op->flags, op->dir);
}

void coroutine_fn run_setxattr(DriverOp *op)
{
    op->ret = driver(op)->setxattr(&op->call, op->node, op->names[0],
                                   op->value, op->size, 0);
}

void coroutine_fn run_getxattr(DriverOp *op)
{
    op->ret = driver(op)->getxattr(&op->call, op->node, op->names[0],
                                   (uint8_t **)&op->value, &op->size);
}

static void coroutine_fn op_entry(void *opaque)
{
    DriverOp *op = opaque;

    fs_call_begin(&op->call);
    op->run(op);
    fs_call_end(&op->call);
    op->done = 1;
}

void op_start(DriverOp *op, void coroutine_fn (*run)(DriverOp *op),
              FsNode *node)
{
    op->run = run;
    op->node = node;
    op->done = 0;
    qemu_coroutine_enter(qemu_coroutine_create(op_entry, op));
}

int op_wait(DriverOp *op)
{
    driver_wait_number(&op->done, 1);
    return op->ret;
}

/*
 * The helper's part
 */

void driver_fd_attr(int fd, FsAttr *attr)
{
    g_assert_cmpint(hostfs_getattr(fd, attr), ==, 0);
}

void driver_test_helper(DriverTest *t, bool donate, uint32_t features)
{
    char number[16];
    FsdevProxyOptions o = {
        .sock_fd = number, .has_donate = true, .donate = donate,
        .has_protocol = true, .protocol = 2,
    };
    uint8_t buf[1024], said[PROXY_HELLO_SIZE];
    FsAttr root;
    size_t size;
    int fd;

    driver_test_start(t);
    driver_test_socket(t, number);
    fd = open(folder, O_PATH | O_DIRECTORY);
    driver_fd_attr(fd, &root);
    size = put_hello(buf, sizeof(buf), PROXY_VERSION, PROXY_ROOT_HANDLE,
                     donate, &root);
    /* After error[4] and version[4] */
    stl_le_p(buf + PROXY_HEADER_SIZE + 8, features);
    peer_send(t->peer, buf, size, &fd, donate);
    close(fd);
    driver_test_open(t, &o);
    g_assert_cmpint(recv(t->peer, said, sizeof(said), 0), ==, sizeof(said));
}

uint32_t driver_expect(DriverTest *t, ProxyType type)
{
    uint8_t payload[4096];
    ProxyHeader h;

    do {
        h = peer_recv(t->peer, payload, sizeof(payload));
    } while (h.type == PROXY_FORGET);
    g_assert_cmpuint(h.type, ==, type);
    return h.tag;
}

void driver_reply_attr(DriverTest *t, ProxyType type, const FsAttr *attr,
                       uint64_t handle, int fd)
{
    ProxyHeader h = { .type = type | PROXY_REPLY,
                      .tag = driver_expect(t, type), .nfds = fd >= 0 };
    uint8_t buf[512];
    MarshalWriter w;

    marshal_writer_init(&w, buf, sizeof(buf));
    marshal_reserve(&w, PROXY_HEADER_SIZE);
    marshal_put_u32(&w, 0);
    if (type == PROXY_WALK) {
        marshal_put_u16(&w, 1);
    }
    proxy_put_attr(&w, attr);
    if (type == PROXY_WALK) {
        marshal_put_u64(&w, handle);
        marshal_put_u8(&w, fd >= 0);
        marshal_put_u64(&w, 0);     /* parent: where the walk began */
        marshal_put_u8(&w, 0);
    }
    g_assert_true(marshal_fits(&w));
    h.size = marshal_size(&w);
    proxy_header_put(&h, buf);
    peer_send(t->peer, buf, h.size, &fd, fd >= 0);
}

int driver_walk(DriverTest *t, FsNode **node, const FsAttr *attr,
                uint64_t handle, int fd)
{
    DriverOp op = { .names = { "x" }, .n = 1 };

    op_start(&op, run_walk, t->fs.root);
    driver_reply_attr(t, PROXY_WALK, attr, handle, fd);
    op_wait(&op);
    if (op.ret == 0) {
        g_assert_true(op.walk.parent == t->fs.root);
        fs_node_unref(op.walk.parent);
        *node = op.walk.node;
    }
    return op.ret;
}

int driver_open_node(DriverTest *t, FsNode *node, int flags, FsFile **file,
                     int fd)
{
    ProxyHeader h = { .type = PROXY_OPEN | PROXY_REPLY, .nfds = 1 };
    uint8_t buf[PROXY_HEADER_SIZE + 4] = { };
    DriverOp op = { .flags = flags };

    op_start(&op, run_open, node);
    h.tag = driver_expect(t, PROXY_OPEN);
    h.size = sizeof(buf);
    proxy_header_put(&h, buf);
    peer_send(t->peer, buf, sizeof(buf), &fd, 1);
    op_wait(&op);
    *file = op.file;
    return op.ret;
}
