/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Behaviour of locks on open files: between processes of the guest, between the
 * guest and the host, locks that wait, and the limits of their number.
 */
#include "qemu/osdep.h"
#include <sys/resource.h>
#include "virtio-9p-behaviour.h"

#define LOCK_WAITERS    32      /* the server's limit */

static const P9CLock any_lock = { .proc_id = 1, .client_id = "qtest" };

/* The status of a Tlock by that process, which does not wait */
static int lock_as(Test *t, uint32_t fid, uint32_t process, uint8_t type,
                   uint64_t start, uint64_t length)
{
    P9CLock l = any_lock;
    uint8_t status;

    l.type = type;
    l.start = start;
    l.length = length;
    l.proc_id = process;
    ok(p9c_lock(t->c, fid, &l, &status));
    return status;
}

static int lock(Test *t, uint32_t fid, uint8_t type, uint64_t start,
                uint64_t length)
{
    return lock_as(t, fid, any_lock.proc_id, type, start, length);
}

/* The same by a process on the host: 0 or the errno */
static int host_lock(int fd, short type, uint64_t start, uint64_t length)
{
    struct flock fl = {
        .l_type = type, .l_whence = SEEK_SET,
        .l_start = start, .l_len = length,
    };

    return fcntl(fd, F_OFD_SETLK, &fl) < 0 ? errno : 0;
}

/* The lock that conflicts with such a lock by that process, from Tgetlock */
static P9CLock in_the_way(Test *t, uint32_t fid, uint32_t process,
                          uint8_t type, uint64_t start, uint64_t length)
{
    P9CLock l = any_lock;

    l.type = type;
    l.start = start;
    l.length = length;
    l.proc_id = process;
    ok(p9c_getlock(t->c, fid, &l));
    g_free((char *)l.client_id);
    l.client_id = NULL;
    return l;
}

static int lock_setup(Test *t)
{
    g_autofree char *path = host_path(t, "f");
    int fd;

    host_write(t, "f", "");
    ok(walk(t, ROOT, 1, "f"));
    ok(open_fid(t, 1, P9C_O_RDWR));
    fd = open(path, O_RDWR);
    g_assert_cmpint(fd, >=, 0);
    return fd;
}

static void test_lock(Test *t)
{
    int fd = lock_setup(t);
    P9CLock l;

    /* The host's lock blocks the guest's. */
    ok(host_lock(fd, F_WRLCK, 10, 10));
    g_assert_cmpint(lock(t, 1, P9C_LOCK_WRLCK, 15, 1), ==, P9C_LOCK_BLOCKED);
    l = in_the_way(t, 1, 1, P9C_LOCK_WRLCK, 15, 1);
    g_assert_cmpuint(l.type, ==, P9C_LOCK_WRLCK);
    g_assert_cmpuint(l.start, ==, 10);
    g_assert_cmpuint(l.length, ==, 10);
    /* Linux' client asks with this type about any lock. */
    l = in_the_way(t, 1, 1, P9C_LOCK_UNLCK, 15, 0);
    g_assert_cmpuint(l.type, ==, P9C_LOCK_WRLCK);
    g_assert_cmpuint(l.start, ==, 10);
    l = in_the_way(t, 1, 1, P9C_LOCK_WRLCK, 20, 0);
    g_assert_cmpuint(l.type, ==, P9C_LOCK_UNLCK);

    /* The guest's lock blocks the host's until the guest releases it. */
    g_assert_cmpint(lock(t, 1, P9C_LOCK_WRLCK, 20, 0), ==, P9C_LOCK_SUCCESS);
    fails(host_lock(fd, F_RDLCK, 1000, 1), EAGAIN);
    g_assert_cmpint(lock(t, 1, P9C_LOCK_UNLCK, 20, 0), ==, P9C_LOCK_SUCCESS);
    ok(host_lock(fd, F_RDLCK, 1000, 1));
    g_assert_cmpint(lock(t, 1, P9C_LOCK_RDLCK, 1000, 1), ==,
                    P9C_LOCK_SUCCESS);

    /* A clunk releases it before its reply. */
    g_assert_cmpint(lock(t, 1, P9C_LOCK_WRLCK, 30, 1), ==, P9C_LOCK_SUCCESS);
    ok(clunk(t, 1));
    ok(host_lock(fd, F_WRLCK, 30, 1));
    close(fd);
}

/* Locks of two processes of the guest conflict; those of one never do. */
static void test_lock_owners(Test *t)
{
    int fd = lock_setup(t);
    P9CLock l;

    ok(walk(t, ROOT, 2, "f"));
    ok(open_fid(t, 2, P9C_O_RDWR));
    g_assert_cmpint(lock_as(t, 1, 100, P9C_LOCK_WRLCK, 0, 10), ==,
                    P9C_LOCK_SUCCESS);
    g_assert_cmpint(lock_as(t, 2, 200, P9C_LOCK_WRLCK, 5, 10), ==,
                    P9C_LOCK_BLOCKED);
    g_assert_cmpint(lock_as(t, 2, 200, P9C_LOCK_RDLCK, 0, 0), ==,
                    P9C_LOCK_BLOCKED);
    l = in_the_way(t, 2, 200, P9C_LOCK_RDLCK, 5, 10);
    g_assert_cmpuint(l.type, ==, P9C_LOCK_WRLCK);
    g_assert_cmpuint(l.start, ==, 0);
    g_assert_cmpuint(l.length, ==, 10);
    g_assert_cmpuint(l.proc_id, ==, 100);
    /* The bytes beside it are free. */
    g_assert_cmpint(lock_as(t, 2, 200, P9C_LOCK_WRLCK, 10, 10), ==,
                    P9C_LOCK_SUCCESS);
    g_assert_cmpint(lock_as(t, 1, 100, P9C_LOCK_WRLCK, 0, 0), ==,
                    P9C_LOCK_BLOCKED);
    /* The same process by another fid */
    g_assert_cmpint(lock_as(t, 2, 100, P9C_LOCK_RDLCK, 0, 10), ==,
                    P9C_LOCK_SUCCESS);
    /* The lock is a shared one now. */
    g_assert_cmpint(lock_as(t, 2, 200, P9C_LOCK_RDLCK, 0, 10), ==,
                    P9C_LOCK_SUCCESS);
    g_assert_cmpint(lock_as(t, 2, 200, P9C_LOCK_WRLCK, 0, 10), ==,
                    P9C_LOCK_BLOCKED);
    g_assert_cmpint(lock_as(t, 1, 100, P9C_LOCK_UNLCK, 0, 0), ==,
                    P9C_LOCK_SUCCESS);
    g_assert_cmpint(lock_as(t, 2, 200, P9C_LOCK_WRLCK, 0, 10), ==,
                    P9C_LOCK_SUCCESS);
    fails(host_lock(fd, F_RDLCK, 0, 1), EAGAIN);
    /* A new session starts without locks. */
    session(t);
    ok(host_lock(fd, F_WRLCK, 0, 0));
    close(fd);
}

/* Who is in the way, for Linux' client: it asks with UNLCK. */
static int in_clients_way(Test *t, uint32_t fid, uint32_t process,
                          uint64_t start, uint64_t length)
{
    return in_the_way(t, fid, process, P9C_LOCK_UNLCK, start, length).type;
}

/*
 * A client asks about the locks of others: it has found no obstacle among its
 * own. If it has locks there all the same, the question is about reading.
 */
static void test_lock_client(Test *t)
{
    int fd = lock_setup(t);
    P9CLock l = any_lock;
    uint8_t status;

    ok(walk(t, ROOT, 2, "f"));
    ok(open_fid(t, 2, P9C_O_RDWR));
    g_assert_cmpint(lock_as(t, 1, 100, P9C_LOCK_RDLCK, 10, 10), ==,
                    P9C_LOCK_SUCCESS);
    g_assert_cmpint(in_clients_way(t, 2, 200, 0, 0), ==, P9C_LOCK_UNLCK);
    g_assert_cmpint(in_clients_way(t, 2, 200, 19, 1), ==, P9C_LOCK_UNLCK);
    /* Two of its processes, and a third one */
    g_assert_cmpint(lock_as(t, 2, 200, P9C_LOCK_RDLCK, 0, 0), ==,
                    P9C_LOCK_SUCCESS);
    g_assert_cmpint(in_clients_way(t, 1, 100, 0, 0), ==, P9C_LOCK_UNLCK);
    g_assert_cmpint(in_clients_way(t, 2, 200, 0, 0), ==, P9C_LOCK_UNLCK);
    g_assert_cmpint(in_clients_way(t, 2, 300, 0, 0), ==, P9C_LOCK_UNLCK);
    /* Other questions have their usual answers. */
    l = in_the_way(t, 2, 200, P9C_LOCK_WRLCK, 0, 0);
    g_assert_cmpint(l.type, ==, P9C_LOCK_RDLCK);
    g_assert_cmpuint(l.proc_id, ==, 100);
    l = in_the_way(t, 2, 200, P9C_LOCK_RDLCK, 0, 0);
    g_assert_cmpint(l.type, ==, P9C_LOCK_UNLCK);

    /* The host's lock for reading is none for a reader, either. */
    g_assert_cmpint(lock_as(t, 2, 200, P9C_LOCK_UNLCK, 0, 0), ==,
                    P9C_LOCK_SUCCESS);
    ok(host_lock(fd, F_RDLCK, 15, 20));
    g_assert_cmpint(in_clients_way(t, 2, 200, 0, 0), ==, P9C_LOCK_UNLCK);
    g_assert_cmpint(in_clients_way(t, 2, 200, 20, 1), ==, P9C_LOCK_RDLCK);
    ok(host_lock(fd, F_WRLCK, 20, 15));
    l = in_the_way(t, 2, 200, P9C_LOCK_UNLCK, 0, 0);
    g_assert_cmpint(l.type, ==, P9C_LOCK_WRLCK);
    g_assert_cmpuint(l.start, ==, 20);
    g_assert_cmpuint(l.length, ==, 15);
    ok(host_lock(fd, F_UNLCK, 0, 0));

    /* flock(2): the client keeps it apart, and the server does not know. */
    g_assert_cmpint(lock_as(t, 1, 100, P9C_LOCK_WRLCK, 0, 0), ==,
                    P9C_LOCK_SUCCESS);
    g_assert_cmpint(in_clients_way(t, 2, 200, 5, 1), ==, P9C_LOCK_UNLCK);
    /* Another client */
    l = (P9CLock) { .type = P9C_LOCK_UNLCK, .proc_id = 200,
                    .client_id = "another" };
    ok(p9c_getlock(t->c, 2, &l));
    g_assert_cmpint(l.type, ==, P9C_LOCK_WRLCK);
    g_assert_cmpuint(l.proc_id, ==, 100);
    g_assert_cmpstr(l.client_id, ==, any_lock.client_id);
    g_free((char *)l.client_id);
    l = (P9CLock) { .type = P9C_LOCK_RDLCK, .proc_id = 100,
                    .client_id = "another" };
    ok(p9c_lock(t->c, 2, &l, &status));
    g_assert_cmpint(status, ==, P9C_LOCK_BLOCKED);
    close(fd);
}

static P9Call *send_lock(Test *t, uint32_t fid)
{
    P9Call *call = lock_call(t, fid);

    p9c_submit(call);
    return call;
}

/* A lock waits until the host releases its own, or until a flush. */
static void test_lock_wait(Test *t)
{
    int fd = lock_setup(t);
    P9Call *call;

    ok(host_lock(fd, F_WRLCK, 0, 0));
    call = send_lock(t, 1);
    p9c_pause(t->c);
    g_assert_false(p9c_is_done(call));
    ok(p9c_flush(t->c, p9c_call_tag(call)));
    p9c_wait_flushed(call);
    p9c_call_end(call);

    call = send_lock(t, 1);
    p9c_pause(t->c);
    g_assert_false(p9c_is_done(call));
    ok(host_lock(fd, F_UNLCK, 0, 0));
    ok(p9c_wait(call));
    g_assert_cmpuint(p9c_get_u8(call), ==, P9C_LOCK_SUCCESS);
    p9c_call_end(call);
    fails(host_lock(fd, F_RDLCK, 0, 0), EAGAIN);
    close(fd);
}

/* Tlock and Tgetlock must both refuse this lock. */
static void lock_fails(Test *t, uint32_t fid, P9CLock lock, int error)
{
    lock.proc_id = 1;
    lock.client_id = lock.client_id ?: "qtest";
    fails(p9c_lock(t->c, fid, &lock, NULL), error);
    fails(p9c_getlock(t->c, fid, &lock), error);
}

static void test_lock_refused(Test *t)
{
    g_autofree char *longest = g_strnfill(255, 'c');
    g_autofree char *longer = g_strnfill(256, 'c');
    P9CLock l = any_lock;
    uint8_t status;
    int fd = lock_setup(t);

    lock_fails(t, 1, (P9CLock) { .type = 3 }, EINVAL);
    lock_fails(t, 1, (P9CLock) { .type = 255 }, EINVAL);
    lock_fails(t, 1, (P9CLock) { .start = 1ull << 63 }, EINVAL);
    lock_fails(t, 1, (P9CLock) { .length = 1ull << 63 }, EINVAL);
    lock_fails(t, 1, (P9CLock) { .start = INT64_MAX, .length = 2 }, EINVAL);
    lock_fails(t, 1, (P9CLock) { .client_id = longer }, EINVAL);
    lock_fails(t, 99, (P9CLock) { .type = 0 }, ENOENT);
    /* A fid that is not open, and a directory */
    ok(walk(t, ROOT, 2, "f"));
    lock_fails(t, 2, (P9CLock) { .type = 0 }, EBADF);
    ok(walk(t, ROOT, 3, ""));
    ok(open_fid(t, 3, P9C_O_DIRECTORY));
    lock_fails(t, 3, (P9CLock) { .type = 0 }, EINVAL);
    ok(host_lock(fd, F_WRLCK, 0, 0));
    ok(host_lock(fd, F_UNLCK, 0, 0));

    /* The last byte, and a client id of the greatest length */
    l.client_id = longest;
    l.start = INT64_MAX;
    l.length = 1;
    ok(p9c_lock(t->c, 1, &l, &status));
    g_assert_cmpint(status, ==, P9C_LOCK_SUCCESS);
    fails(host_lock(fd, F_WRLCK, INT64_MAX, 1), EAGAIN);
    ok(host_lock(fd, F_WRLCK, 0, INT64_MAX));
    /* Tgetlock names the owner by that id. */
    l.client_id = "another";
    l.type = P9C_LOCK_WRLCK;
    ok(p9c_getlock(t->c, 1, &l));
    g_assert_cmpint(l.type, ==, P9C_LOCK_RDLCK);
    g_assert_cmpuint(l.start, ==, INT64_MAX);
    g_assert_cmpstr(l.client_id, ==, longest);
    g_free((char *)l.client_id);
    close(fd);
}

/*
 * Each owner of locks costs the host a descriptor, so their number has a limit.
 * At the limit the owners can still lock, and an owner that ends makes room.
 */
static void test_lock_many(Test *t)
{
    enum { OWNERS = 4096 };
    P9CLock l = any_lock;
    struct rlimit files;
    uint8_t status;
    unsigned i;
    int fd;

    g_assert_cmpint(getrlimit(RLIMIT_NOFILE, &files), ==, 0);
    if (files.rlim_max < 2 * OWNERS) {
        g_test_skip("RLIMIT_NOFILE is too low for that many locks");
        return;
    }
    fd = lock_setup(t);
    for (i = 0; i < OWNERS; i++) {
        g_assert_cmpint(lock_as(t, 1, 1 + i, P9C_LOCK_RDLCK, i, 1), ==,
                        P9C_LOCK_SUCCESS);
    }
    l.proc_id = 1 + OWNERS;
    l.length = 1;
    fails(p9c_lock(t->c, 1, &l, NULL), ENOLCK);
    g_assert_cmpint(lock_as(t, 1, OWNERS, P9C_LOCK_WRLCK, OWNERS, 1), ==,
                    P9C_LOCK_SUCCESS);
    fails(host_lock(fd, F_WRLCK, 0, 1), EAGAIN);
    fails(host_lock(fd, F_RDLCK, OWNERS, 1), EAGAIN);

    g_assert_cmpint(lock_as(t, 1, 1, P9C_LOCK_UNLCK, 0, 0), ==,
                    P9C_LOCK_SUCCESS);
    ok(p9c_lock(t->c, 1, &l, &status));
    g_assert_cmpint(status, ==, P9C_LOCK_SUCCESS);
    fails(p9c_lock(t->c, 1, &any_lock, NULL), ENOLCK);

    ok(clunk(t, 1));
    ok(host_lock(fd, F_WRLCK, 0, 0));
    close(fd);
}

/* Waits until one of the calls is done: its index */
static int wait_any(P9Call **calls, int n)
{
    gint64 start = g_get_monotonic_time();
    int i;

    while (g_get_monotonic_time() - start < P9C_TIMEOUT_US) {
        for (i = 0; i < n; i++) {
            if (p9c_is_done(calls[i])) {
                return i;
            }
        }
        g_usleep(1000);
    }
    g_error("none of %d requests was answered", n);
}

/*
 * At most LOCK_WAITERS may wait for a lock; one more gets "blocked". Which call
 * that is depends on the order in which the threads take them.
 */
static void test_lock_waiters(Test *t)
{
    P9Call *calls[LOCK_WAITERS + 1];
    int fd = lock_setup(t);
    int i, refused;

    ok(host_lock(fd, F_WRLCK, 0, 0));
    for (i = 0; i <= LOCK_WAITERS; i++) {
        calls[i] = send_lock(t, 1);
    }
    refused = wait_any(calls, LOCK_WAITERS + 1);
    ok(p9c_wait(calls[refused]));
    g_assert_cmpuint(p9c_get_u8(calls[refused]), ==, P9C_LOCK_BLOCKED);
    for (i = 0; i <= LOCK_WAITERS; i++) {
        g_assert_cmpint(p9c_is_done(calls[i]), ==, i == refused);
    }
    /* A clunk of the fid ends the calls that wait. */
    ok(clunk(t, 1));
    for (i = 0; i <= LOCK_WAITERS; i++) {
        if (i != refused) {
            fails(p9c_wait(calls[i]), EBADF);
        }
    }
    for (i = 0; i <= LOCK_WAITERS; i++) {
        p9c_call_end(calls[i]);
    }
    ok(host_lock(fd, F_UNLCK, 0, 0));
    ok(host_lock(fd, F_WRLCK, 0, 0));
    close(fd);
}

const Case behaviour_lock[] = {
    { "lock", test_lock, HAS_HOST },
    { "lock-owners", test_lock_owners, HAS_HOST, CASE_ANYBODY },
    { "lock-client", test_lock_client, HAS_HOST, CASE_ANYBODY },
    { "lock-wait", test_lock_wait, HAS_HOST, CASE_ANYBODY },
    { "lock-refused", test_lock_refused, HAS_HOST, CASE_ANYBODY },
    { "lock-waiters", test_lock_waiters, HAS_HOST, CASE_ANYBODY },
    { "lock-many", test_lock_many, HAS_HOST, CASE_ANYBODY },
    { NULL }
};
