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
    op->ret = driver(op)->setattr(&op->call, op->node, NULL, &op->set);
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
