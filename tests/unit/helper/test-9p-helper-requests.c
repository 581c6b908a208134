/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Tests of how the helper closes the files that it opened for QEMU
 * (fsdev/helper/requests.h): it needs a thread of the budget for that, and a
 * file whose file system has its share waits until there is one.
 */
#include "qemu/osdep.h"
#include "fsdev/helper/requests.h"

#define THREADS     52
#define SHARE       17          /* of THREADS for the first file system */
#define PLACES      64
#define DEV         7
#define OTHER       8

static HelperExport export;

static void begin(void)
{
    export = (HelperExport) { .budget = thread_budget_new(THREADS) };
    export.to_close = to_close_new(export.budget, PLACES);
}

static void end(void)
{
    to_close_waiting(export.to_close);
    g_assert_cmpuint(to_close_count(export.to_close), ==, 0);
    to_close_free(export.to_close);
    thread_budget_free(export.budget);
}

static bool is_open(int fd)
{
    return fcntl(fd, F_GETFD) >= 0;
}

/* Ends a request that has opened a file on @dev. Returns the descriptor. */
static int finish_open(uint64_t dev)
{
    int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    Request rq = { .export = &export, .opened = fd, .dev = dev };

    g_assert_cmpint(fd, >=, 0);
    g_assert_true(to_close_reserve(export.to_close));
    request_finish(&rq);
    return fd;
}

/* Ends a request on @dev that has opened nothing. */
static void finish_other(uint64_t dev)
{
    Request rq = { .export = &export, .opened = -1, .dev = dev };

    request_finish(&rq);
}

static void hold_share(uint64_t dev)
{
    unsigned i;

    for (i = 0; i < SHARE; i++) {
        g_assert_true(thread_budget_take(export.budget, dev));
    }
    g_assert_false(thread_budget_take(export.budget, dev));
}

static void give_share_back(uint64_t dev)
{
    unsigned i;

    for (i = 0; i < SHARE; i++) {
        thread_budget_put(export.budget, dev);
    }
}

/* Without others, a file is closed at once. */
static void test_at_once(void)
{
    begin();
    g_assert_false(is_open(finish_open(DEV)));
    end();
}

/*
 * The requests that hold the share open no file themselves. When they end, the
 * files that waited are closed, whatever request ends next.
 */
static void test_waits(void)
{
    static const uint64_t next[] = { DEV, OTHER };
    unsigned i, j;

    for (i = 0; i < G_N_ELEMENTS(next); i++) {
        int fds[PLACES];

        begin();
        hold_share(DEV);
        for (j = 0; j < G_N_ELEMENTS(fds); j++) {
            g_assert_false(is_open(finish_open(OTHER)));
            fds[j] = finish_open(DEV);
            g_assert_true(is_open(fds[j]));
        }
        finish_other(next[i]);
        g_assert_true(is_open(fds[0]));
        give_share_back(DEV);
        finish_other(next[i]);
        for (j = 0; j < G_N_ELEMENTS(fds); j++) {
            g_assert_false(is_open(fds[j]));
        }
        end();
    }
}

/* Files that still wait at the end of the session are closed then. */
static void test_end(void)
{
    int fd;

    begin();
    hold_share(DEV);
    fd = finish_open(DEV);
    g_assert_true(is_open(fd));
    give_share_back(DEV);
    end();
    g_assert_false(is_open(fd));
}

/* Opens the root. Its request ends while the file system has its share. */
static int open_root(HelperExport *session, uint64_t dev)
{
    uint8_t in[12], out[64];
    Request rq = { .export = session, .opened = -1 };
    MarshalWriter w;
    int ret;

    marshal_writer_init(&w, in, sizeof(in));
    marshal_put_u64(&w, PROXY_ROOT_HANDLE);
    marshal_put_u32(&w, O_RDONLY | O_DIRECTORY);
    marshal_reader_init(&rq.in, in, sizeof(in));
    marshal_writer_init(&rq.out, out, sizeof(out));
    ret = request_execute(&rq, PROXY_OPEN);
    g_assert_true(ret < 0 || is_open(rq.opened));
    hold_share(dev);
    request_finish(&rq);
    give_share_back(dev);
    return ret;
}

/*
 * Files of one client after the other that wait: all sessions together have as
 * many as there are places. Until one is closed, the next client gets EAGAIN.
 */
static void test_sessions(void)
{
    enum { SESSIONS = 4 };
    HelperExport sessions[SESSIONS];
    unsigned i, n = 0;
    FsAttr attr;
    int root, ret;

    begin();
    root = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
    g_assert_cmpint(hostfs_init(&export.fs, root, "/proc/self/fd/"), ==, 0);
    g_assert_cmpint(hostfs_getattr(root, &attr), ==, 0);
    for (i = 0; i < SESSIONS; i++) {
        sessions[i] = export;
        sessions[i].handles = handles_new(10, root, attr.dev, attr.ino);
        while ((ret = open_root(&sessions[i], attr.dev)) == 0) {
            n++;
        }
        g_assert_cmpint(ret, ==, -EAGAIN);
    }
    g_assert_cmpuint(n, ==, PLACES);
    g_assert_cmpuint(to_close_count(export.to_close), ==, PLACES);
    finish_other(attr.dev);
    g_assert_cmpuint(to_close_count(export.to_close), ==, 0);
    g_assert_cmpint(open_root(&sessions[0], attr.dev), ==, 0);
    for (i = 0; i < SESSIONS; i++) {
        handles_free(sessions[i].handles);
    }
    end();
    close(root);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/9p-helper-requests/close/at-once", test_at_once);
    g_test_add_func("/9p-helper-requests/close/waits", test_waits);
    g_test_add_func("/9p-helper-requests/close/end", test_end);
    g_test_add_func("/9p-helper-requests/close/sessions", test_sessions);
    return g_test_run();
}
