/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Limits of I/O (throttling.* of -fsdev): they slow down reads and writes, in
 * order, and nothing else. Requests that wait can be flushed and do not delay a
 * reset.
 *
 * The host may be busy, so the tests only check that no request is too fast.
 * Where a request must be waiting, its turn is hours away.
 */
#include "qemu/osdep.h"
#include "libqtest-single.h"
#include "qemu/module.h"
#include "libqos/qgraph.h"
#include "libqos/virtio-9p-client.h"

#define FID_WRITE   1
#define FID_READ    2
#define FID_DIR     3
#define COUNT       4096
#define CALLS       6

/* The synth driver reads and writes any count at once. */
static P9Client *session(QVirtio9P *v9p)
{
    P9Client *c = p9c_new(v9p);

    p9c_session(c);
    g_assert_cmpint(p9c_walk_to(c, P9C_ROOT, FID_WRITE, "WRITE"), ==, 0);
    g_assert_cmpint(p9c_lopen(c, FID_WRITE, P9C_O_WRONLY, NULL, NULL), ==, 0);
    g_assert_cmpint(p9c_walk_to(c, P9C_ROOT, FID_READ, "stat/xattr_count"),
                    ==, 0);
    g_assert_cmpint(p9c_lopen(c, FID_READ, P9C_O_RDONLY, NULL, NULL), ==, 0);
    return c;
}

static P9Call *send_write(P9Client *c)
{
    static const uint8_t data[COUNT];
    P9Call *call = p9c_write_call(c, FID_WRITE, 0, data, COUNT);

    p9c_submit(call);
    return call;
}

static P9Call *send_read(P9Client *c)
{
    P9Call *call = p9c_read_call(c, FID_READ, 0, COUNT);

    p9c_submit(call);
    return call;
}

static void end_call(P9Call *call)
{
    g_assert_cmpint(p9c_wait(call), ==, 0);
    p9c_call_drop(call);
}

/*
 * Ends CALLS calls, which must come back in order: microseconds since @start,
 * which is before the first was sent
 */
static int64_t end_in_order(P9Call **calls, int64_t start)
{
    int64_t took;
    unsigned i;

    for (i = 0; i < CALLS; i++) {
        g_assert_cmpint(p9c_wait(calls[i]), ==, 0);
        if (i > 0) {
            g_assert_cmpuint(p9c_done_order(calls[i]), >,
                             p9c_done_order(calls[i - 1]));
        }
    }
    took = g_get_monotonic_time() - start;
    for (i = 0; i < CALLS; i++) {
        end_call(calls[i]);
    }
    return took;
}

/*
 * A limit lets a tenth of a second's worth through at once, and another call if
 * no more than that is outstanding. Here these are two calls; each further one
 * waits for another 0.1 s.
 */
#define EXPECTED_US ((CALLS - 2) * 100 * 1000)

/* QEMU's clock may be slightly ahead: its timers count in ms. */
#define SLACK_US    (30 * 1000)

static void check_rate(QVirtio9P *v9p, P9Call *(*send)(P9Client *c))
{
    P9Client *c = session(v9p);
    int64_t start = g_get_monotonic_time();
    P9Call *calls[CALLS];
    unsigned i;

    for (i = 0; i < CALLS; i++) {
        calls[i] = send(c);
    }
    g_assert_cmpint(end_in_order(calls, start), >=, EXPECTED_US - SLACK_US);
    p9c_free(c);
}

static void test_write_rate(void *obj, void *data, QGuestAllocator *alloc)
{
    check_rate(obj, send_write);
}

static void test_read_rate(void *obj, void *data, QGuestAllocator *alloc)
{
    check_rate(obj, send_read);
}

/* Reads and writes share a limit, and each direction stays in order. */
static void test_total_rate(void *obj, void *data, QGuestAllocator *alloc)
{
    P9Client *c = session(obj);
    int64_t start = g_get_monotonic_time();
    P9Call *reads[CALLS / 2], *writes[CALLS / 2];
    unsigned i;

    for (i = 0; i < CALLS / 2; i++) {
        reads[i] = send_read(c);
        writes[i] = send_write(c);
    }
    for (i = 0; i < CALLS / 2; i++) {
        g_assert_cmpint(p9c_wait(reads[i]), ==, 0);
        g_assert_cmpint(p9c_wait(writes[i]), ==, 0);
        if (i > 0) {
            g_assert_cmpuint(p9c_done_order(reads[i]), >,
                             p9c_done_order(reads[i - 1]));
            g_assert_cmpuint(p9c_done_order(writes[i]), >,
                             p9c_done_order(writes[i - 1]));
        }
    }
    g_assert_cmpint(g_get_monotonic_time() - start, >=,
                    EXPECTED_US - SLACK_US);
    for (i = 0; i < CALLS / 2; i++) {
        end_call(reads[i]);
        end_call(writes[i]);
    }
    p9c_free(c);
}

/* Uses up a limit of one byte or operation per second: the next one waits. */
static void use_up(P9Client *c)
{
    end_call(send_write(c));
}

/* Only the data of files waits, in the limited direction. */
static void test_others(void *obj, void *data, QGuestAllocator *alloc)
{
    P9Client *c = session(obj);
    GPtrArray *entries;
    P9Call *waiting;
    uint32_t got;

    use_up(c);
    waiting = send_write(c);
    end_call(send_read(c));
    g_assert_cmpint(p9c_getattr(c, FID_WRITE, P9C_GETATTR_BASIC, NULL), ==, 0);
    g_assert_cmpint(p9c_walk_to(c, P9C_ROOT, FID_DIR, ""), ==, 0);
    g_assert_cmpint(p9c_lopen(c, FID_DIR, P9C_O_RDONLY, NULL, NULL), ==, 0);
    entries = p9c_readdir_all(c, FID_DIR, COUNT);
    g_assert_nonnull(p9c_dirent_find(entries, "WRITE"));
    g_ptr_array_unref(entries);
    /* Twrite of an xattr's value has no limit. */
    g_assert_cmpint(p9c_walk_to(c, P9C_ROOT, 10, "WRITE"), ==, 0);
    g_assert_cmpint(p9c_xattrcreate(c, 10, "user.a", 3, 0), ==, 0);
    g_assert_cmpint(p9c_write(c, 10, 0, "abc", 3, &got), ==, 0);
    g_assert_cmpuint(got, ==, 3);
    g_assert_cmpint(p9c_clunk(c, 10), ==, 0);
    g_assert_false(p9c_is_done(waiting));
    g_assert_cmpint(p9c_flush(c, p9c_call_tag(waiting)), ==, 0);
    p9c_wait_flushed(waiting);
    p9c_call_end(waiting);
    p9c_free(c);
}

/* Flushes of the first, last and middle requests; the others still wait. */
static void test_flush(void *obj, void *data, QGuestAllocator *alloc)
{
    static const unsigned order[CALLS] = { 0, CALLS - 1, 2, 1, 4, 3 };
    P9Client *c = session(obj);
    P9Call *calls[CALLS];
    unsigned i, j;

    use_up(c);
    for (i = 0; i < CALLS; i++) {
        calls[i] = i % 3 == 2 ? send_read(c) : send_write(c);
    }
    for (i = 0; i < CALLS; i++) {
        for (j = i; j < CALLS; j++) {
            g_assert_false(p9c_is_done(calls[order[j]]));
        }
        g_assert_cmpint(p9c_flush(c, p9c_call_tag(calls[order[i]])), ==, 0);
        p9c_wait_flushed(calls[order[i]]);
    }
    for (i = 0; i < CALLS; i++) {
        p9c_call_end(calls[i]);
    }
    p9c_free(c);
}

/*
 * The VM stops while requests wait, and their time comes: neither they nor new
 * ones may come back before the VM continues.
 */
static void test_stop(void *obj, void *data, QGuestAllocator *alloc)
{
    QVirtio9P *v9p = obj;
    QTestState *qts = global_qtest;
    P9Client *c = session(v9p);
    P9Call *calls[CALLS];
    unsigned i, done;

    for (i = 0; i < CALLS; i++) {
        calls[i] = i % 2 ? send_read(c) : send_write(c);
    }
    qtest_qmp_assert_success(qts, "{'execute': 'stop'}");
    for (i = done = 0; i < CALLS; i++) {
        done += p9c_is_done(calls[i]);
    }
    /* On a busy host this may be all of them. */
    g_usleep(G_USEC_PER_SEC);
    for (i = 0; i < CALLS; i++) {
        done -= p9c_is_done(calls[i]);
    }
    g_assert_cmpuint(done, ==, 0);
    qtest_qmp_assert_success(qts, "{'execute': 'cont'}");
    for (i = 0; i < CALLS; i++) {
        end_call(calls[i]);
    }

    /* A reset while the VM is stopped */
    for (i = 0; i < CALLS; i++) {
        calls[i] = i % 2 ? send_read(c) : send_write(c);
    }
    qtest_qmp_assert_success(qts, "{'execute': 'stop'}");
    p9c_reset(c);
    for (i = 0; i < CALLS; i++) {
        p9c_call_end(calls[i]);
    }
    qtest_qmp_assert_success(qts, "{'execute': 'cont'}");
    p9c_session(c);
    p9c_free(c);
}

/* Requests behind a flushed one go on, in order. */
static void test_flush_goes_on(void *obj, void *data, QGuestAllocator *alloc)
{
    P9Client *c = session(obj);
    P9Call *calls[5];
    unsigned i;

    for (i = 0; i < ARRAY_SIZE(calls); i++) {
        calls[i] = send_write(c);
    }
    /*
     * The first goes at once, the others after 1, 2, 3 and 4 seconds: time
     * enough for the flush, even on a busy machine.
     */
    g_assert_cmpint(p9c_flush(c, p9c_call_tag(calls[3])), ==, 0);
    g_assert_cmpint(p9c_wait(calls[4]), ==, 0);
    for (i = 0; i < 3; i++) {
        g_assert_cmpint(p9c_wait(calls[i]), ==, 0);
        g_assert_cmpuint(p9c_done_order(calls[i]), <,
                         p9c_done_order(calls[4]));
    }
    p9c_wait_flushed(calls[3]);
    p9c_call_end(calls[3]);
    for (i = 0; i < ARRAY_SIZE(calls); i++) {
        if (i != 3) {
            end_call(calls[i]);
        }
    }
    p9c_free(c);
}

/* A reset ends all waiting requests, and the device works as before. */
static void test_reset(void *obj, void *data, QGuestAllocator *alloc)
{
    P9Client *c = session(obj);
    unsigned i;

    use_up(c);
    for (i = 0; i < CALLS; i++) {
        send_write(c);
        send_read(c);
    }
    p9c_reset(c);
    p9c_session(c);
    g_assert_cmpint(p9c_getattr(c, P9C_ROOT, P9C_GETATTR_BASIC, NULL), ==, 0);
    p9c_free(c);
}

/* A new session ends them, too; a clunk of their fid does not. */
static void test_version(void *obj, void *data, QGuestAllocator *alloc)
{
    P9Client *c = session(obj);
    P9Call *calls[2];
    unsigned i;

    use_up(c);
    calls[0] = send_write(c);
    calls[1] = send_write(c);
    g_assert_cmpint(p9c_clunk(c, FID_WRITE), ==, 0);
    g_assert_false(p9c_is_done(calls[0]));
    p9c_session(c);
    for (i = 0; i < ARRAY_SIZE(calls); i++) {
        p9c_wait_flushed(calls[i]);
        p9c_call_end(calls[i]);
    }
    p9c_free(c);
}

static void *before(GString *cmd_line, void *arg)
{
    g_autofree char *opts = g_strdup_printf("synth,%s", (char *)arg);

    qvirtio_9p_set_fsdev(cmd_line, opts);
    return arg;
}

static void register_tests(void)
{
    static const struct {
        const char *name;
        QOSTestFunc function;
        const char *limits;
    } tests[] = {
        { "write-rate", test_write_rate, "throttling.bps-write=40960" },
        { "read-rate", test_read_rate, "throttling.bps-read=40960" },
        { "total-rate", test_total_rate, "throttling.bps-total=40960" },
        { "operations", test_write_rate, "throttling.iops-write=10" },
        { "read-operations", test_read_rate, "throttling.iops-read=10" },
        { "total-operations", test_total_rate, "throttling.iops-total=10" },
        { "operation-size", test_write_rate,
          "throttling.iops-total=20,throttling.iops-size=2048" },
        { "others", test_others, "throttling.bps-write=1" },
        { "flush", test_flush, "throttling.bps-total=1" },
        { "flush-goes-on", test_flush_goes_on, "throttling.bps-write=4096" },
        { "reset", test_reset, "throttling.bps-total=1" },
        { "version", test_version, "throttling.bps-write=1" },
        { "stop", test_stop, "throttling.iops-total=2" },
    };
    unsigned i;

    for (i = 0; i < ARRAY_SIZE(tests); i++) {
        QOSGraphTestOptions opts = {
            .before = before,
            .arg = (void *)tests[i].limits,
        };
        g_autofree char *name = g_strdup_printf("throttle/%s", tests[i].name);

        qvirtio_9p_add_test(name, "virtio-9p", tests[i].function, &opts);
    }
}
libqos_init(register_tests);
