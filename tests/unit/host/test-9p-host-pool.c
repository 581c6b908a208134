/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Tests of QEMU's threads for work that may block: work that hangs leaves
 * threads to other file systems and to block devices, what waits can be
 * cancelled, and repeated tries pause.
 */
#include "qemu/osdep.h"
#include "block/aio.h"
#include "block/thread-pool.h"
#include "qapi/error.h"
#include "qemu/main-loop.h"
#include "fsdev/shared/thread-budget.h"
#include "hw/9pfs/fs/call.h"
#include "hw/9pfs/host/fd-budget.h"
#include "hw/9pfs/host/pool.h"

#define HUNG        1000
#define OTHER       1001
#define JOBS        300
/* What one file system may have: fsdev/shared/thread-budget.h */
#define SHARE       43

static GMutex gate;             /* held: work on HUNG does not return */
static int working;             /* atomic */

typedef struct Job {
    uint64_t dev;
    FsCall call;
    int ret;
    bool done;
} Job;

static int hung_work(void *opaque)
{
    qatomic_inc(&working);
    g_mutex_lock(&gate);
    g_mutex_unlock(&gate);
    qatomic_dec(&working);
    return 7;
}

static int quick_work(void *opaque)
{
    return 8;
}

static void coroutine_fn job_entry(void *opaque)
{
    Job *job = opaque;

    fs_call_begin(&job->call);
    job->ret = job->dev == HUNG ? host_pool_run(HUNG, hung_work, job)
                                : host_pool_run(job->dev, quick_work, job);
    fs_call_end(&job->call);
    job->done = true;
}

static void coroutine_fn block_entry(void *opaque)
{
    Job *job = opaque;

    job->ret = thread_pool_submit_co(quick_work, job);
    job->done = true;
}

static void start(Job *job, uint64_t dev)
{
    *job = (Job) { .dev = dev };
    qemu_coroutine_enter(qemu_coroutine_create(job_entry, job));
}

static void wait_for(Job *job)
{
    gint64 end = g_get_monotonic_time() + 60 * G_USEC_PER_SEC;

    while (!job->done && g_get_monotonic_time() < end) {
        if (!aio_poll(qemu_get_aio_context(), false)) {
            g_usleep(50);
        }
    }
    g_assert_true(job->done);
}

static void wait_working(int n)
{
    gint64 end = g_get_monotonic_time() + 60 * G_USEC_PER_SEC;

    while (qatomic_read(&working) != n && g_get_monotonic_time() < end) {
        aio_poll(qemu_get_aio_context(), false);
        g_usleep(50);
    }
    g_assert_cmpint(qatomic_read(&working), ==, n);
}

static void test_hung(void)
{
    g_autofree Job *jobs = g_new0(Job, JOBS);
    Job other, block = { };
    unsigned i;

    g_mutex_lock(&gate);
    for (i = 0; i < JOBS; i++) {
        start(&jobs[i], HUNG);
    }
    wait_working(SHARE);
    for (i = 0; i < JOBS; i++) {
        start(&other, OTHER + i % 3);
        wait_for(&other);
        g_assert_cmpint(other.ret, ==, 8);
    }
    qemu_coroutine_enter(qemu_coroutine_create(block_entry, &block));
    wait_for(&block);
    g_assert_cmpint(block.ret, ==, 8);
    g_assert_cmpint(qatomic_read(&working), ==, SHARE);

    /* What waits ends at once; what works does not. */
    for (i = 0; i < JOBS; i += 2) {
        fs_call_cancel(&jobs[i].call);
        g_assert_true(jobs[i].done == (i >= SHARE));
    }
    g_mutex_unlock(&gate);
    for (i = 0; i < JOBS; i++) {
        wait_for(&jobs[i]);
        g_assert_cmpint(jobs[i].ret, ==, i < SHARE || i % 2 ? 7 : -EINTR);
    }
}

/* Work that comes to another file system, when it may */
static int crossing_work(void *opaque)
{
    int *may = opaque;

    qatomic_inc(&working);
    while (!qatomic_read(may)) {
        g_usleep(100);
    }
    g_assert_true(thread_budget_cross(OTHER));
    g_mutex_lock(&gate);
    g_mutex_unlock(&gate);
    qatomic_dec(&working);
    return 0;
}

/*
 * The share that it leaves is there for what waits, although no work ends. When
 * two threads have crossed, half of the free ones are enough for one more.
 */
static void test_cross(void)
{
    Job jobs[SHARE];
    int may = 0;
    unsigned i;

    g_mutex_lock(&gate);
    host_pool_post(HUNG, crossing_work, &may);
    host_pool_post(HUNG, crossing_work, &may);
    for (i = 0; i < SHARE; i++) {
        start(&jobs[i], HUNG);
    }
    wait_working(SHARE);
    qatomic_set(&may, 1);
    wait_working(SHARE + 1);
    g_mutex_unlock(&gate);
    for (i = 0; i < SHARE; i++) {
        wait_for(&jobs[i]);
        g_assert_cmpint(jobs[i].ret, ==, 7);
    }
    wait_working(0);
}

/* Work that no coroutine waits for */
static int posted_work(void *opaque)
{
    qatomic_inc((int *)opaque);
    return 0;
}

static void test_post(void)
{
    Job jobs[SHARE];
    int count = 0;
    unsigned i;

    g_mutex_lock(&gate);
    for (i = 0; i < SHARE; i++) {
        start(&jobs[i], HUNG);
    }
    wait_working(SHARE);
    for (i = 0; i < JOBS; i++) {
        host_pool_post(HUNG, posted_work, &count);
    }
    g_assert_cmpint(qatomic_read(&count), ==, 0);
    g_mutex_unlock(&gate);
    for (i = 0; i < SHARE; i++) {
        wait_for(&jobs[i]);
    }
    while (qatomic_read(&count) < JOBS) {
        g_usleep(100);          /* the test times out */
    }
}

static bool is_open(int fd)
{
    return fcntl(fd, F_GETFD) >= 0;
}

/*
 * The last descriptor of a file that has a name, on a file system that is held,
 * is closed at once. Otherwise a thread closes it; here all that it may have
 * are at work.
 */
static void test_close(void)
{
    static const struct {
        bool named, held;
    } cases[] = { { true, true }, { true, false }, { false, true } };
    g_autofree char *path = NULL;
    struct stat st;
    unsigned i, k;

    for (k = 0; k < ARRAY_SIZE(cases); k++) {
        int file = g_file_open_tmp("test-9p-pool-XXXXXX", &path, NULL);
        int fd = open(path, O_PATH | O_CLOEXEC);
        HostFd h;

        g_assert_cmpint(fstat(fd, &st), ==, 0);
        close(file);
        if (!cases[k].named) {
            g_assert_cmpint(unlink(path), ==, 0);
        }
        /* Two exports hold it, and one lets go. */
        host_pool_hold_dev(st.st_dev);
        host_pool_hold_dev(st.st_dev);
        host_pool_release_dev(st.st_dev);
        if (!cases[k].held) {
            host_pool_release_dev(st.st_dev);
        }
        g_mutex_lock(&gate);
        for (i = 0; i < SHARE; i++) {
            host_pool_post(st.st_dev, hung_work, NULL);
        }
        wait_working(SHARE);
        host_fd_init(&h, NULL);
        host_fd_set(&h, fd);
        fd = h.fd;
        host_fd_drop(&h);
        g_assert_cmpint(h.fd, ==, -1);
        g_assert_true(is_open(fd) == !(cases[k].named && cases[k].held));
        g_mutex_unlock(&gate);
        while (is_open(fd)) {
            g_usleep(100);      /* the test times out */
        }
        wait_working(0);
        if (cases[k].held) {
            host_pool_release_dev(st.st_dev);
        }
        unlink(path);
        g_free(g_steal_pointer(&path));
    }
}

/* The rest of a try that fails until it is cancelled */
static void coroutine_fn again_entry(void *opaque)
{
    Job *job = opaque;
    HostAgain again = { };

    fs_call_begin(&job->call);
    job->ret = -EAGAIN;
    while (host_again(&again, &job->ret)) {
        job->dev++;
    }
    fs_call_end(&job->call);
    job->done = true;
}

static void test_again(void)
{
    Job job = { };
    gint64 end = g_get_monotonic_time() + G_USEC_PER_SEC / 2;

    qemu_coroutine_enter(qemu_coroutine_create(again_entry, &job));
    while (g_get_monotonic_time() < end) {
        aio_poll(qemu_get_aio_context(), false);
        g_usleep(50);
    }
    g_assert_false(job.done);
    g_assert_cmpuint(job.dev, >, 1);
    g_assert_cmpuint(job.dev, <, 20);
    fs_call_cancel(&job.call);
    wait_for(&job);
    g_assert_cmpint(job.ret, ==, -EINTR);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    qemu_init_main_loop(&error_abort);
    g_test_add_func("/9p/host-pool/hung", test_hung);
    g_test_add_func("/9p/host-pool/cross", test_cross);
    g_test_add_func("/9p/host-pool/post", test_post);
    g_test_add_func("/9p/host-pool/close", test_close);
    g_test_add_func("/9p/host-pool/again", test_again);
    return g_test_run();
}
