/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Tests of the budget of descriptors, with real descriptors and a low
 * RLIMIT_NOFILE: which descriptor it closes for another, which one stays, and
 * how two threads share it.
 */
#include "qemu/osdep.h"
#include <sys/resource.h>
#include "block/aio.h"
#include "qapi/error.h"
#include "qemu/main-loop.h"
#include "qemu/thread.h"
#include "hw/9pfs/fs/export.h"
#include "hw/9pfs/host/fd-budget.h"

/* RLIMIT_NOFILE, and the parts of it that fd-budget.c names */
#define LIMIT       80
#define MAX_NODES   (LIMIT / 2)
#define MAX_ALL     (LIMIT - LIMIT / 4)

/* How many host_fds_relieve() closes at most is more than all of them. */
#define MANY        (MAX_NODES + 8)

static const FsExport export;
static HostFd fds[MANY];
static HostFd *evicted[MANY];
static unsigned n_evicted;
static HostFd *to_keep;         /* evict() keeps this one */

static void evict(HostFd *h)
{
    /* Whatever depends on the descriptor can still be asked for. */
    g_assert_cmpint(fcntl(h->fd, F_GETFD), >=, 0);
    evicted[n_evicted++] = h;
    if (h == to_keep) {
        g_assert_true(host_fd_keep(h));
    }
}

static int open_one(void)
{
    int fd = open("/dev/null", O_PATH | O_CLOEXEC);

    g_assert_cmpint(fd, >=, 0);
    return fd;
}

static void open_range(unsigned from, unsigned to)
{
    unsigned i;

    for (i = from; i < to; i++) {
        host_fd_set(&fds[i], open_one());
    }
}

static unsigned count_open(unsigned from, unsigned to)
{
    unsigned i, n = 0;

    for (i = from; i < to; i++) {
        n += fds[i].fd >= 0;
    }
    return n;
}

static void assert_figures(unsigned handles, unsigned files)
{
    FsdevDescriptors *info = host_fds_info();

    g_assert_cmpuint(info->handles, ==, handles);
    g_assert_cmpuint(info->files, ==, files);
    qapi_free_FsdevDescriptors(info);
}

static unsigned count_closed(void)
{
    FsdevDescriptors *info = host_fds_info();
    unsigned closed = info->closed;

    qapi_free_FsdevDescriptors(info);
    return closed;
}

static void begin(void)
{
    unsigned i;

    for (i = 0; i < MANY; i++) {
        host_fd_init(&fds[i], evict);
    }
    n_evicted = 0;
    to_keep = NULL;
    assert_figures(0, 0);
}

static void end(void)
{
    unsigned i;

    for (i = 0; i < MANY; i++) {
        host_fd_drop(&fds[i]);
    }
    assert_figures(0, 0);
}

static void test_limits(void)
{
    struct rlimit limit;
    FsdevDescriptors *info;

    g_assert_cmpint(getrlimit(RLIMIT_NOFILE, &limit), ==, 0);
    g_assert_cmpuint(limit.rlim_cur, ==, LIMIT);    /* raised: see main() */
    host_fds_add_export(&export);
    info = host_fds_info();
    g_assert_cmpuint(info->handles_max, ==, MAX_NODES);
    g_assert_cmpuint(info->max, ==, MAX_ALL);
    qapi_free_FsdevDescriptors(info);
}

static void test_lru(void)
{
    unsigned closed = count_closed();
    int gone;

    begin();
    open_range(0, MAX_NODES);
    g_assert_cmpuint(n_evicted, ==, 0);
    assert_figures(MAX_NODES, 0);

    /* The first was used, so the second is the least recently used. */
    g_assert_cmpint(host_fd_use(&fds[0]), ==, fds[0].fd);
    gone = fds[1].fd;
    open_range(MAX_NODES, MAX_NODES + 1);
    g_assert_cmpuint(n_evicted, ==, 1);
    g_assert_true(evicted[0] == &fds[1]);
    g_assert_cmpint(fds[1].fd, ==, -1);
    g_assert_cmpint(host_fd_use(&fds[1]), ==, -1);
    g_assert_cmpint(fcntl(gone, F_GETFD), ==, -1);
    assert_figures(MAX_NODES, 0);

    open_range(MAX_NODES + 1, MAX_NODES + 3);
    g_assert_cmpuint(n_evicted, ==, 3);
    g_assert_true(evicted[1] == &fds[2]);
    g_assert_true(evicted[2] == &fds[3]);
    g_assert_cmpint(fds[0].fd, >=, 0);
    g_assert_cmpuint(count_closed(), ==, closed + 3);

    /* Got again, and with room for it nothing else goes. */
    host_fd_drop(&fds[4]);
    host_fd_set(&fds[1], open_one());
    g_assert_cmpuint(n_evicted, ==, 3);
    g_assert_cmpuint(count_closed(), ==, closed + 3);
    end();
}

static void test_pins(void)
{
    begin();
    /* A pin holds a descriptor that comes later. */
    host_fd_pin(&fds[0]);
    open_range(0, MAX_NODES);
    host_fd_pin(&fds[1]);
    host_fd_pin(&fds[1]);
    open_range(MAX_NODES, MAX_NODES + 2);
    g_assert_cmpuint(n_evicted, ==, 2);
    g_assert_true(evicted[0] == &fds[2]);
    g_assert_true(evicted[1] == &fds[3]);

    /* The last unpin counts as a use. */
    host_fd_unpin(&fds[0]);
    host_fd_unpin(&fds[1]);
    open_range(2, 3);
    g_assert_true(evicted[2] == &fds[4]);
    host_fd_unpin(&fds[1]);
    open_range(3, 4);
    g_assert_true(evicted[3] == &fds[5]);
    g_assert_cmpint(fds[0].fd, >=, 0);
    g_assert_cmpint(fds[1].fd, >=, 0);
    end();
}

/* With all of them pinned there are too many, until they are unpinned. */
static void test_pins_all(void)
{
    unsigned i;

    begin();
    for (i = 0; i < MAX_NODES + 2; i++) {
        host_fd_pin(&fds[i]);
        open_range(i, i + 1);
    }
    g_assert_cmpuint(n_evicted, ==, 0);
    assert_figures(MAX_NODES + 2, 0);
    g_assert_false(host_fds_relieve());

    host_fd_unpin(&fds[7]);     /* not closed by its own unpin */
    g_assert_cmpint(fds[7].fd, >=, 0);
    host_fd_unpin(&fds[8]);
    g_assert_cmpuint(n_evicted, ==, 1);
    g_assert_true(evicted[0] == &fds[7]);
    host_fd_unpin(&fds[9]);
    g_assert_true(evicted[1] == &fds[8]);
    host_fd_unpin(&fds[10]);
    g_assert_cmpuint(n_evicted, ==, 2);
    assert_figures(MAX_NODES, 0);
    for (i = 0; i < MAX_NODES + 2; i++) {
        if (fds[i].pins) {
            host_fd_unpin(&fds[i]);
        }
    }
    g_assert_cmpuint(n_evicted, ==, 2);
    end();
}

static void test_keep(void)
{
    unsigned i, n = MAX_NODES / 2;

    begin();
    g_assert_false(host_fd_keep(&fds[0]));      /* no descriptor */
    open_range(0, MAX_NODES);
    for (i = 0; i < n; i++) {
        g_assert_true(host_fd_keep(&fds[i]));
    }
    g_assert_true(host_fd_keep(&fds[0]));       /* it is */
    g_assert_false(host_fd_keep(&fds[n]));      /* too many */
    assert_figures(MAX_NODES - n, n);

    /* What is kept stays, and leaves room for others. */
    open_range(MAX_NODES, MANY);
    g_assert_cmpuint(n_evicted, ==, 0);
    assert_figures(MANY - n, n);
    g_assert_true(host_fds_relieve());
    g_assert_cmpuint(count_open(0, n), ==, n);
    g_assert_cmpuint(count_open(n, MANY), ==, 0);
    g_assert_false(host_fds_relieve());

    /* It goes as any other again. */
    host_fd_unkeep(&fds[0]);
    host_fd_unkeep(&fds[0]);
    assert_figures(1, n - 1);
    n_evicted = 0;
    g_assert_true(host_fds_relieve());
    g_assert_cmpuint(n_evicted, ==, 1);
    g_assert_true(evicted[0] == &fds[0]);

    host_fd_drop(&fds[1]);
    assert_figures(0, n - 2);
    end();
}

/* The owner keeps the one that is about to be closed: the next one goes. */
static void test_keep_evicted(void)
{
    begin();
    open_range(0, MAX_NODES);
    to_keep = &fds[0];
    open_range(MAX_NODES, MAX_NODES + 2);
    g_assert_cmpint(fds[0].fd, >=, 0);
    g_assert_true(fds[0].kept);
    g_assert_cmpint(fds[1].fd, ==, -1);
    g_assert_cmpuint(n_evicted, ==, 2);
    assert_figures(MAX_NODES, 1);
    end();
}

static void test_files(void)
{
    unsigned i, room = MAX_ALL - MAX_NODES;

    begin();
    open_range(0, MAX_NODES);
    for (i = 0; i < room; i++) {
        g_assert_cmpint(host_files_add(), ==, 0);
    }
    g_assert_cmpuint(n_evicted, ==, 0);
    /* More files make fewer nodes' descriptors, down to none. */
    for (; i < MAX_ALL; i++) {
        g_assert_cmpint(host_files_add(), ==, 0);
        g_assert_cmpuint(n_evicted, ==, i + 1 - room);
        assert_figures(MAX_ALL - i - 1, i + 1);
    }
    g_assert_cmpuint(count_open(0, MANY), ==, 0);
    g_assert_cmpint(host_files_add(), ==, -ENFILE);

    /* One may be open, as it is in use, but it cannot be kept. */
    open_range(0, 1);
    g_assert_cmpint(fds[0].fd, >=, 0);
    g_assert_false(host_fd_keep(&fds[0]));
    host_files_remove();
    g_assert_cmpint(host_files_add(), ==, 0);
    for (i = 0; i < MAX_ALL; i++) {
        host_files_remove();
    }
    end();
}

static void test_relieve(void)
{
    begin();
    g_assert_false(host_fds_relieve());
    open_range(0, 10);
    host_fd_pin(&fds[3]);
    g_assert_true(host_fds_relieve());
    g_assert_cmpuint(n_evicted, ==, 9);
    g_assert_cmpuint(count_open(0, 10), ==, 1);
    g_assert_false(host_fds_relieve());
    host_fd_unpin(&fds[3]);
    end();
}

/*
 * Two threads: exports in an IOThread's place, with one descriptor per node.
 */

typedef struct Worker {
    AioContext *ctx;
    GThread *thread;
    QemuSemaphore done;
    void (*fn)(void *opaque);
    void *opaque;
    bool stop;
} Worker;

static Worker worker;

static void *worker_thread(void *opaque)
{
    qemu_set_current_aio_context(worker.ctx);
    while (!qatomic_read(&worker.stop)) {
        aio_poll(worker.ctx, true);
    }
    return NULL;
}

static void worker_bh(void *opaque)
{
    worker.fn(worker.opaque);
    qemu_sem_post(&worker.done);
}

/* Runs @fn in the worker, while this thread only waits. */
static void in_worker(void (*fn)(void *opaque), void *opaque)
{
    worker.fn = fn;
    worker.opaque = opaque;
    aio_bh_schedule_oneshot(worker.ctx, worker_bh, NULL);
    qemu_sem_wait(&worker.done);
}

static void worker_stop(void *opaque)
{
    qatomic_set(&worker.stop, true);
}

static void worker_begin(void)
{
    worker.stop = false;
    worker.ctx = aio_context_new(&error_abort);
    qemu_sem_init(&worker.done, 0);
    worker.thread = g_thread_new("worker", worker_thread, NULL);
}

static void worker_end(void)
{
    in_worker(worker_stop, NULL);
    g_thread_join(worker.thread);
    qemu_sem_destroy(&worker.done);
    aio_context_unref(worker.ctx);
}

typedef struct TestNode {
    FsNode node;
    HostFd *h;
} TestNode;

static HostFd *fd_of(FsNode *node)
{
    return container_of(node, TestNode, node)->h;
}

static void node_free(FsNode *node)
{
    host_fd_drop(fd_of(node));
    g_free(node);
}

static const FsDriver driver = { .node_free = node_free };

/* An export whose nodes have @n of the descriptors, from @from on */
typedef struct TestExport {
    FsExport fs;
    FsNode *nodes[MANY];
    unsigned n;
} TestExport;

static void export_begin(TestExport *e, unsigned from, unsigned n)
{
    unsigned i;

    *e = (TestExport) {
        .fs = { .driver = &driver, .ctx = worker.ctx },
        .n = n,
    };
    fs_nodes_init(&e->fs.nodes);
    for (i = 0; i < n; i++) {
        FsAttr attr = { .dev = 1, .ino = i + 1, .mode = S_IFREG };
        TestNode *node = g_new0(TestNode, 1);

        node->h = &fds[from + i];
        fs_node_init(&node->node, &e->fs, &attr);
        e->nodes[i] = &node->node;
    }
}

/* As fs/context.c moves an export: out of this thread, and into the worker */
static void export_enter(void *opaque)
{
    TestExport *e = opaque;

    e->fs.ctx_owner = (char *)"worker";
    host_fds_enter(&e->fs, fd_of);
}

static void export_leave(void *opaque)
{
    TestExport *e = opaque;

    host_fds_leave(&e->fs, fd_of);
    e->fs.ctx_owner = NULL;
}

static void export_end(TestExport *e)
{
    unsigned i;

    in_worker(export_leave, e);
    host_fds_enter(&e->fs, fd_of);
    for (i = 0; i < e->n; i++) {
        fs_node_unref(e->nodes[i]);
    }
    fs_nodes_destroy(&e->fs.nodes);
}

/* Opens the descriptor in the worker. */
static void open_in_worker(void *opaque)
{
    host_fd_set(opaque, open_one());
}

static void use_in_worker(void *opaque)
{
    unsigned i;

    for (i = 0; i < MAX_NODES; i++) {
        host_fd_use(&fds[i]);
    }
}

static void nothing(void *opaque)
{
}

/* The worker has less than its part: it asks the main thread to close some. */
static void test_asks_main(void)
{
    enum { OTHERS = 2 };
    TestExport e;

    begin();
    worker_begin();
    export_begin(&e, MAX_NODES, OTHERS);
    host_fds_leave(&e.fs, fd_of);
    in_worker(export_enter, &e);

    open_range(0, MAX_NODES);
    in_worker(open_in_worker, &fds[MAX_NODES]);
    in_worker(open_in_worker, &fds[MAX_NODES + 1]);
    /* Only its own thread closes a descriptor. */
    g_assert_cmpuint(n_evicted, ==, 0);
    assert_figures(MAX_NODES + OTHERS, 0);

    while (aio_poll(qemu_get_aio_context(), false)) {
    }
    /* The main thread keeps its part, which is half: the last used ones. */
    g_assert_cmpuint(count_open(0, MAX_NODES / 2), ==, 0);
    g_assert_cmpuint(count_open(MAX_NODES / 2, MAX_NODES), ==, MAX_NODES / 2);
    g_assert_cmpuint(count_open(MAX_NODES, MAX_NODES + OTHERS), ==, OTHERS);
    g_assert_true(evicted[0] == &fds[0]);
    g_assert_cmpuint(n_evicted, ==, MAX_NODES / 2);

    export_end(&e);
    worker_end();
    end();
}

/* The same the other way round */
static void test_asks_worker(void)
{
    TestExport e;

    begin();
    worker_begin();
    open_range(0, MAX_NODES);
    export_begin(&e, 0, MAX_NODES);
    host_fds_leave(&e.fs, fd_of);
    g_assert_false(host_fds_relieve());     /* they are between two threads */
    in_worker(export_enter, &e);
    g_assert_false(host_fds_relieve());     /* and now the worker's */
    assert_figures(MAX_NODES, 0);
    /* The move does not keep their order. */
    in_worker(use_in_worker, NULL);

    open_range(MAX_NODES, MAX_NODES + 1);
    /* It was asked: bottom halves that are due together run newest first. */
    in_worker(nothing, NULL);
    in_worker(nothing, NULL);
    g_assert_cmpuint(n_evicted, ==, MAX_NODES / 2);
    g_assert_cmpuint(count_open(0, MAX_NODES / 2), ==, 0);
    g_assert_cmpint(fds[MAX_NODES].fd, >=, 0);

    /* It comes back to this thread, and so does the whole budget. */
    export_end(&e);
    worker_end();
    g_assert_cmpuint(count_open(0, MAX_NODES), ==, 0);
    assert_figures(1, 0);
    n_evicted = 0;
    open_range(0, MAX_NODES - 1);
    g_assert_cmpuint(n_evicted, ==, 0);
    end();
}

/* A thread that has more than its part closes its own at once. */
static void test_closes_own(void)
{
    TestExport e;
    unsigned i;

    begin();
    worker_begin();
    export_begin(&e, MAX_NODES / 2, MANY - MAX_NODES / 2);
    host_fds_leave(&e.fs, fd_of);
    in_worker(export_enter, &e);
    open_range(0, MAX_NODES / 2);
    for (i = MAX_NODES / 2; i < MANY; i++) {
        in_worker(open_in_worker, &fds[i]);
    }
    while (aio_poll(qemu_get_aio_context(), false)) {
    }
    g_assert_cmpuint(count_open(0, MAX_NODES / 2), ==, MAX_NODES / 2);
    g_assert_cmpuint(n_evicted, ==, MANY - MAX_NODES);
    g_assert_true(evicted[0] == &fds[MAX_NODES / 2]);
    assert_figures(MAX_NODES, 0);
    export_end(&e);
    worker_end();
    end();
}

int main(int argc, char **argv)
{
    struct rlimit limit = { .rlim_cur = LIMIT - 16, .rlim_max = LIMIT };

    g_test_init(&argc, &argv, NULL);
    qemu_init_main_loop(&error_abort);
    g_assert_cmpint(setrlimit(RLIMIT_NOFILE, &limit), ==, 0);
    host_fds_add_export(&export);

    g_test_add_func("/fd-budget/limits", test_limits);
    g_test_add_func("/fd-budget/lru", test_lru);
    g_test_add_func("/fd-budget/pins", test_pins);
    g_test_add_func("/fd-budget/pins-all", test_pins_all);
    g_test_add_func("/fd-budget/keep", test_keep);
    g_test_add_func("/fd-budget/keep-evicted", test_keep_evicted);
    g_test_add_func("/fd-budget/files", test_files);
    g_test_add_func("/fd-budget/relieve", test_relieve);
    g_test_add_func("/fd-budget/threads/asks-main", test_asks_main);
    g_test_add_func("/fd-budget/threads/asks-worker", test_asks_worker);
    g_test_add_func("/fd-budget/threads/closes-own", test_closes_own);
    return g_test_run();
}
