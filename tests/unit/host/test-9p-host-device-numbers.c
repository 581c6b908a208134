/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Tests of whether work on a file system may wait, and of the thread in which
 * it runs then.
 * (test-9p-host-file.c has the kinds of real file systems.)
 */
#include "qemu/osdep.h"
#include "block/aio.h"
#include "qapi/error.h"
#include "qemu/main-loop.h"
#include "hw/9pfs/host/device-numbers.h"

enum { REMOTE = 1, STORAGE, MEMORY, UNKNOWN };

static void test_wait(void)
{
    static const struct {
        uint64_t dev;
        HostWait stat, read, lookup, any;
    } expected[] = {
        { REMOTE, HOST_WAIT_POOL, HOST_WAIT_POOL, HOST_WAIT_POOL,
          HOST_WAIT_POOL },
        { STORAGE, HOST_WAIT_NEVER, HOST_WAIT_POOL, HOST_WAIT_TRY_FIRST,
          HOST_WAIT_POOL },
        { MEMORY, HOST_WAIT_NEVER, HOST_WAIT_NEVER, HOST_WAIT_TRY_FIRST,
          HOST_WAIT_POOL },
        { UNKNOWN, HOST_WAIT_POOL, HOST_WAIT_POOL, HOST_WAIT_POOL,
          HOST_WAIT_POOL },
    };
    HostDevs devs = { };
    unsigned i;

    host_dev_note(&devs, REMOTE, HOST_DEV_REMOTE);
    host_dev_note(&devs, STORAGE, HOST_DEV_STORAGE);
    host_dev_note(&devs, MEMORY, HOST_DEV_MEMORY);
    for (i = 0; i < G_N_ELEMENTS(expected); i++) {
        uint64_t dev = expected[i].dev;

        g_assert_cmpint(host_dev_wait(&devs, dev, HOST_WORK_STAT), ==,
                        expected[i].stat);
        g_assert_cmpint(host_dev_wait(&devs, dev, HOST_WORK_READ), ==,
                        expected[i].read);
        g_assert_cmpint(host_dev_wait(&devs, dev, HOST_WORK_LOOKUP), ==,
                        expected[i].lookup);
        g_assert_cmpint(host_dev_wait(&devs, dev, HOST_WORK_ANY), ==,
                        expected[i].any);
    }
    host_devs_destroy(&devs);
}

typedef struct Run {
    HostWait wait;
    GThread *thread;            /* in which the work ran */
    int ret;
    bool done;
} Run;

static int work(void *opaque)
{
    Run *run = opaque;

    run->thread = g_thread_self();
    return -ENXIO;
}

static void coroutine_fn run_co(void *opaque)
{
    Run *run = opaque;

    run->ret = host_run(STORAGE, run->wait, work, run);
    run->done = true;
}

static void test_run(void)
{
    static const HostWait waits[] = {
        HOST_WAIT_NEVER, HOST_WAIT_TRY_FIRST, HOST_WAIT_POOL,
    };
    unsigned i;

    for (i = 0; i < G_N_ELEMENTS(waits); i++) {
        bool never = waits[i] == HOST_WAIT_NEVER;
        Run run = { .wait = waits[i] };

        qemu_coroutine_enter(qemu_coroutine_create(run_co, &run));
        g_assert_cmpint(run.done, ==, never);
        while (!run.done) {
            aio_poll(qemu_get_aio_context(), true);
        }
        g_assert_cmpint(run.ret, ==, -ENXIO);
        g_assert_cmpint(run.thread == g_thread_self(), ==, never);
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    qemu_init_main_loop(&error_abort);

    g_test_add_func("/device-numbers/wait", test_wait);
    g_test_add_func("/device-numbers/run", test_run);
    return g_test_run();
}
