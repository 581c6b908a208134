/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Behaviour of locks, and of requests that wait, when the guest goes on in
 * another QEMU. Nobody may take a lock that the guest has in the meantime.
 */
#include "qemu/osdep.h"
#include "qemu/atomic.h"
#include "libqtest-single.h"
#include "libqos/qgraph.h"
#include "virtio-9p-behaviour-move.h"
#include "virtio-9p-host.h"

/* For a lock to become the guest's alone again, or to be given up */
#define SETTLE_US   (5 * G_USEC_PER_SEC)
#define POLL_US     10000

static int lock_as(Test *t, uint32_t fid, uint32_t process, uint8_t type,
                   uint64_t start, uint64_t length)
{
    P9CLock l = {
        .type = type, .start = start, .length = length, .proc_id = process,
        .client_id = "qtest",
    };
    uint8_t status;

    ok(p9c_lock(t->c, fid, &l, &status));
    return status;
}

static int host_lock(int fd, short type, uint64_t start, uint64_t length)
{
    struct flock fl = {
        .l_type = type, .l_whence = SEEK_SET,
        .l_start = start, .l_len = length,
    };

    return fcntl(fd, F_OFD_SETLK, &fl) < 0 ? errno : 0;
}

/* The host cannot lock there even for reading, soon and from then on. */
static void becomes_exclusive(int fd, uint64_t start, uint64_t length)
{
    gint64 end = g_get_monotonic_time() + SETTLE_US;

    while (host_lock(fd, F_RDLCK, start, length) == 0) {
        ok(host_lock(fd, F_UNLCK, start, length));
        g_assert_cmpint(g_get_monotonic_time(), <, end);
        g_usleep(POLL_US);
    }
    fails(host_lock(fd, F_RDLCK, start, length), EAGAIN);
}

static int open_on_host(Test *t, const char *name)
{
    g_autofree char *path = host_path(t, name);
    int fd = open(path, O_RDWR);

    g_assert_cmpint(fd, >=, 0);
    return fd;
}

/*
 * Somebody on the host who wants the guest's locks
 */

typedef struct Rival {
    GThread *thread;
    int fd;
    bool stop;                  /* atomic */
    unsigned tried;
} Rival;

static gpointer want(gpointer opaque)
{
    Rival *rival = opaque;

    while (!qatomic_read(&rival->stop)) {
        fails(host_lock(rival->fd, F_WRLCK, 0, 10), EAGAIN);
        fails(host_lock(rival->fd, F_WRLCK, 20, 10), EAGAIN);
        rival->tried++;
        g_usleep(100);
    }
    return NULL;
}

static void rival_start(Rival *rival, Test *t)
{
    rival->stop = false;
    rival->fd = open_on_host(t, "f");
    rival->thread = g_thread_new("rival", want, rival);
}

static void rival_end(Rival *rival)
{
    qatomic_set(&rival->stop, true);
    g_thread_join(rival->thread);
    g_assert_cmpuint(rival->tried, >, 0);
    close(rival->fd);
}

/*
 * Locks
 */

/* Two processes of the guest have locks on one file, by a fid each. */
static int take_locks(Test *t)
{
    host_write(t, "f", "");
    ok(walk(t, ROOT, 1, "f"));
    ok(open_fid(t, 1, P9C_O_RDWR));
    ok(walk(t, ROOT, 2, "f"));
    ok(open_fid(t, 2, P9C_O_RDWR));
    g_assert_cmpint(lock_as(t, 1, 100, P9C_LOCK_WRLCK, 0, 10), ==,
                    P9C_LOCK_SUCCESS);
    g_assert_cmpint(lock_as(t, 1, 100, P9C_LOCK_RDLCK, 20, 10), ==,
                    P9C_LOCK_SUCCESS);
    g_assert_cmpint(lock_as(t, 2, 200, P9C_LOCK_WRLCK, 40, 0), ==,
                    P9C_LOCK_SUCCESS);
    return open_on_host(t, "f");
}

/* They have them, for the host and for each other. */
static void have_locks(Test *t, int fd)
{
    P9CLock l = { .type = P9C_LOCK_WRLCK, .start = 5, .length = 1,
                  .proc_id = 200, .client_id = "qtest" };

    becomes_exclusive(fd, 0, 10);
    becomes_exclusive(fd, 1000, 1);
    fails(host_lock(fd, F_WRLCK, 20, 10), EAGAIN);
    ok(host_lock(fd, F_RDLCK, 20, 10));
    ok(host_lock(fd, F_WRLCK, 10, 10));
    ok(host_lock(fd, F_UNLCK, 0, 0));
    ok(p9c_getlock(t->c, 2, &l));
    g_assert_cmpuint(l.type, ==, P9C_LOCK_WRLCK);
    g_assert_cmpuint(l.start, ==, 0);
    g_assert_cmpuint(l.length, ==, 10);
    g_assert_cmpuint(l.proc_id, ==, 100);
    g_assert_cmpstr(l.client_id, ==, "qtest");
    g_free((char *)l.client_id);
    g_assert_cmpint(lock_as(t, 1, 100, P9C_LOCK_WRLCK, 45, 1), ==,
                    P9C_LOCK_BLOCKED);
}

static void test_lock(Test *t)
{
    int fd = take_locks(t);
    Rival rival = { };

    have_locks(t, fd);
    rival_start(&rival, t);
    move(t);
    have_locks(t, fd);
    move(t);
    rival_end(&rival);
    have_locks(t, fd);
    /* A clunk of the fid by which a process locked ends its locks. */
    ok(clunk(t, 2));
    ok(host_lock(fd, F_WRLCK, 40, 0));
    ok(host_lock(fd, F_UNLCK, 40, 0));
    g_assert_cmpint(lock_as(t, 1, 100, P9C_LOCK_UNLCK, 0, 0), ==,
                    P9C_LOCK_SUCCESS);
    ok(host_lock(fd, F_WRLCK, 0, 0));
    close(fd);
}

/* The guest goes on before the destination has its memory. */
static void test_postcopy(Test *t)
{
    QTestState *to = p9_move_new(t->cmd_line, NULL);
    int fd = take_locks(t);
    Rival rival = { };

    rival_start(&rival, t);
    if (p9_move_postcopy(global_qtest, to)) {
        qtest_quit(global_qtest);
        move_arrived(t, to);
        rival_end(&rival);
        have_locks(t, fd);
    } else {
        rival_end(&rival);
        qtest_quit(to);
        g_test_skip("the host does not allow postcopy migration");
    }
    close(fd);
}

static void lock_file(Test *t, const char *mode)
{
    g_autofree char *folder = p9_host_make_folder();
    g_autofree char *path = g_build_filename(folder, "state", NULL);
    int fd = take_locks(t);
    g_autofree char *error = NULL;
    gint64 end = g_get_monotonic_time() + SETTLE_US;
    QTestState *to;

    p9_move_set_mode(global_qtest, mode);
    error = p9_move_save(global_qtest, path);
    g_assert_cmpstr(error, ==, NULL);
    while (host_lock(fd, F_WRLCK, 0, 0)) {
        g_assert_cmpint(g_get_monotonic_time(), <, end);
        g_usleep(POLL_US);
    }
    ok(host_lock(fd, F_UNLCK, 0, 0));
    qtest_quit(global_qtest);
    to = p9_move_new(t->cmd_line, NULL);
    p9_move_set_mode(to, mode);
    error = p9_move_load_stopped(to, path);
    if (!error && !p9_move_runs(to)) {
        qtest_qmp_assert_success(to, "{'execute': 'cont'}");
    }
    g_assert_cmpstr(error, ==, NULL);
    /* The next test may have this QEMU. */
    p9_move_set_mode(to, "normal");
    move_arrived(t, to);
    have_locks(t, fd);
    close(fd);
    p9_host_remove(folder);
}

/* A saved guest has no locks; it takes them again when it is restored. */
static void test_lock_file(Test *t)
{
    lock_file(t, "normal");
}

/* The same when the host's kernel or QEMU is about to be exchanged */
static void test_lock_reboot(Test *t)
{
    lock_file(t, "cpr-reboot");
}

/* Moves the guest to a QEMU that cannot take it. */
static void move_fails(Test *t)
{
    g_autofree char *folder = p9_host_make_folder();
    g_autofree char *options = move_other_folder(t, folder);
    QTestState *to = p9_move_new(options, "/dev/null");
    g_autofree char *error = p9_move(global_qtest, to);

    g_assert_nonnull(error);
    qtest_quit(to);
    p9_host_remove(folder);
}

/* The source goes on, and has its locks. */
static void test_lock_failed(Test *t)
{
    int fd = take_locks(t);
    Rival rival = { };

    rival_start(&rival, t);
    move_fails(t);
    rival_end(&rival);
    have_locks(t, fd);
    close(fd);
}

/* It has them, too, while the guest stands still. */
static void test_lock_failed_stopped(Test *t)
{
    int fd = take_locks(t);

    qtest_qmp_assert_success(global_qtest, "{'execute': 'stop'}");
    move_fails(t);
    becomes_exclusive(fd, 0, 10);
    becomes_exclusive(fd, 1000, 1);
    qtest_qmp_assert_success(global_qtest, "{'execute': 'cont'}");
    have_locks(t, fd);
    close(fd);
}

/*
 * Requests
 */

static P9Call *send_lock(Test *t, uint32_t fid)
{
    P9Call *call = lock_call(t, fid);

    p9c_submit(call);
    p9c_pause(t->c);
    g_assert_false(p9c_is_done(call));
    return call;
}

/* The lock that waits waits on, for one of the guest or of the host. */
static void test_lock_wait(Test *t)
{
    P9Call *call, *flushed;
    int fd = take_locks(t);

    call = send_lock(t, 2);
    move(t);
    p9c_pause(t->c);
    g_assert_false(p9c_is_done(call));
    g_assert_cmpint(lock_as(t, 1, 100, P9C_LOCK_UNLCK, 0, 0), ==,
                    P9C_LOCK_SUCCESS);
    g_assert_false(p9c_is_done(call));
    g_assert_cmpint(lock_as(t, 2, 200, P9C_LOCK_UNLCK, 0, 0), ==,
                    P9C_LOCK_SUCCESS);
    ok(p9c_wait(call));
    g_assert_cmpuint(p9c_get_u8(call), ==, P9C_LOCK_SUCCESS);
    p9c_call_end(call);
    fails(host_lock(fd, F_RDLCK, 0, 0), EAGAIN);
    ok(clunk(t, 2));

    ok(host_lock(fd, F_WRLCK, 0, 1));
    flushed = send_lock(t, 1);
    move(t);
    p9c_pause(t->c);
    g_assert_false(p9c_is_done(flushed));
    ok(p9c_flush(t->c, p9c_call_tag(flushed)));
    p9c_wait_flushed(flushed);
    p9c_call_end(flushed);
    ok(host_lock(fd, F_WRLCK, 0, 0));
    close(fd);
}

/* The guest learns at the destination what the source did for it. */
static void test_held(Test *t)
{
    int fd = take_locks(t);
    P9Call *calls[3];
    unsigned i;

    ok(host_lock(fd, F_WRLCK, 10, 5));
    g_assert_cmpint(lock_as(t, 1, 100, P9C_LOCK_UNLCK, 0, 0), ==,
                    P9C_LOCK_SUCCESS);
    g_assert_cmpint(lock_as(t, 2, 200, P9C_LOCK_UNLCK, 0, 0), ==,
                    P9C_LOCK_SUCCESS);
    calls[0] = send_lock(t, 1);
    qtest_qmp_assert_success(global_qtest, "{'execute': 'stop'}");
    ok(host_lock(fd, F_UNLCK, 0, 0));
    /* It has the lock now, or will ask for it again at the destination. */
    g_usleep(100 * 1000);
    /* These stay in the queue until then. */
    calls[1] = p9c_mkdir_call(t->c, ROOT, "dir", 0755, t->gid);
    calls[2] = p9c_read_call(t->c, 2, 0, 10);
    for (i = 1; i < ARRAY_SIZE(calls); i++) {
        p9c_submit(calls[i]);
    }
    g_assert_false(host_has(t, "dir"));

    {
        g_autofree char *folder = p9_host_make_folder();
        g_autofree char *path = g_build_filename(folder, "state", NULL);
        g_autofree char *error = p9_move_save(global_qtest, path);
        QTestState *to;

        g_assert_cmpstr(error, ==, NULL);
        qtest_quit(global_qtest);
        to = p9_move_new(t->cmd_line, NULL);
        error = p9_move_load_stopped(to, path);
        g_assert_cmpstr(error, ==, NULL);
        move_arrived(t, to);
        p9_host_remove(folder);
    }
    p9c_pause(t->c);
    for (i = 0; i < ARRAY_SIZE(calls); i++) {
        g_assert_false(p9c_is_done(calls[i]));
    }
    g_assert_false(host_has(t, "dir"));
    qtest_qmp_assert_success(global_qtest, "{'execute': 'cont'}");
    for (i = 0; i < ARRAY_SIZE(calls); i++) {
        ok(p9c_wait(calls[i]));
        p9c_call_drop(calls[i]);
    }
    g_assert_true(host_has(t, "dir"));
    becomes_exclusive(fd, 0, 0);
    close(fd);
}

const Case behaviour_move_lock[] = {
    { "move-lock", test_lock, HAS_HOST | HAS_MOVES, CASE_PCI | CASE_ANYBODY },
    { "move-lock-file", test_lock_file, HAS_HOST | HAS_MOVES,
      CASE_PCI | CASE_ANYBODY },
    { "move-lock-reboot", test_lock_reboot, HAS_HOST | HAS_MOVES,
      CASE_PCI | CASE_ANYBODY },
    { "move-lock-failed", test_lock_failed, HAS_HOST | HAS_MOVES,
      CASE_PCI | CASE_ANYBODY },
    { "move-lock-failed-stopped", test_lock_failed_stopped,
      HAS_HOST | HAS_MOVES, CASE_PCI | CASE_ANYBODY },
    { "move-postcopy", test_postcopy, HAS_HOST | HAS_MOVES,
      CASE_PCI | CASE_ANYBODY },
    { "move-lock-wait", test_lock_wait, HAS_HOST | HAS_MOVES,
      CASE_PCI | CASE_ANYBODY },
    { "move-held", test_held, HAS_HOST | HAS_MOVES, CASE_PCI | CASE_ANYBODY },
    { NULL }
};
