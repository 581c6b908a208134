/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Random 9P2000.L messages, many at once, through a virtio-9p device. Most are
 * valid, some are not. The test flushes them and resets the device while they
 * are in flight, and stops the helper of the proxy driver, or kills it so that
 * QEMU starts another. Each message must come back, and the device must serve a
 * new session in the end.
 *
 * The environment variables P9_STORM_SECONDS and P9_STORM_SEED set the duration
 * and the seed of the messages. The result of a message also depends on timing,
 * so a seed does not repeat every failure.
 */
#include "qemu/osdep.h"
#include "libqtest-single.h"
#include "qemu/module.h"
#include "libqos/qgraph.h"
#include "virtio-9p-host.h"

#define SECONDS         2
#define CALLS           40          /* in flight */
#define FIDS            48
#define MSIZE           8192
#define PATIENCE_US     (60 * G_USEC_PER_SEC)

typedef struct Storm {
    P9Client *c;
    GRand *rand;
    P9Call *calls[CALLS];
    uint32_t new_fid[CALLS];        /* that the call makes, or 0 */
    bool made[FIDS];
    uint32_t last_new;
    unsigned long sent;
    unsigned long answers;          /* replies with more than an error */
} Storm;

static unsigned pick(Storm *s, unsigned n)
{
    return g_rand_int_range(s->rand, 0, n);
}

static bool one_in(Storm *s, unsigned n)
{
    return pick(s, n) == 0;
}

/* Usually one that exists */
static uint32_t a_fid(Storm *s)
{
    unsigned i, fid = P9C_ROOT;

    if (one_in(s, 3)) {
        return P9C_ROOT;
    }
    for (i = 0; i < 10; i++) {
        fid = 1 + pick(s, FIDS - 1);
        if (s->made[fid]) {
            break;
        }
    }
    return one_in(s, 40) ? P9C_NOFID : fid;
}

static uint32_t new_fid(Storm *s)
{
    uint32_t fid;
    unsigned i;

    for (i = 0; i < 10; i++) {
        fid = 1 + pick(s, FIDS - 1);
        if (!s->made[fid]) {
            break;
        }
    }
    s->last_new = fid;
    return one_in(s, 40) ? P9C_NOFID : fid;
}

/* The first fid of a message; the root's fid must stay the root. */
static uint32_t first_fid(Storm *s, uint8_t type)
{
    uint32_t fid = type == P9C_TATTACH ? new_fid(s) : a_fid(s);

    switch (type) {
    case P9C_TCLUNK:
    case P9C_TREMOVE:
        if (fid < FIDS) {
            s->made[fid] = false;
        }
        /* fall through */
    case P9C_TLOPEN:
    case P9C_TLCREATE:
    case P9C_TXATTRCREATE:
        return fid == P9C_ROOT ? 1 + pick(s, FIDS - 1) : fid;
    default:
        return fid;
    }
}

static const char *a_name(Storm *s)
{
    static const char *const names[] = {
        "a", "b", "c", "d", "e", "a", "b", "c", "d", "e",
        "FLUSH", "WRITE", "LOPEN", "ReadDirDir", "WALK0", "stat", "..",
    };
    static const char *const odd[] = { "", ".", "a/b", "/", NULL };
    static char huge[300];
    const char *name;

    if (!one_in(s, 20)) {
        return names[pick(s, ARRAY_SIZE(names))];
    }
    name = odd[pick(s, ARRAY_SIZE(odd))];
    if (!name) {
        memset(huge, 'n', sizeof(huge) - 1);
        name = huge;
    }
    return name;
}

static uint64_t a_number(Storm *s)
{
    static const uint64_t odd[] = {
        INT64_MAX, UINT64_MAX, UINT32_MAX, 1ull << 63, 65536, 65537,
    };

    return one_in(s, 10) ? odd[pick(s, ARRAY_SIZE(odd))] : pick(s, 10000);
}

static void put_names(Storm *s, P9Call *call)
{
    unsigned n = one_in(s, 4) ? pick(s, 4) : pick(s, 2);

    p9c_put_u16(call, n);
    while (n--) {
        p9c_put_str(call, a_name(s));
    }
}

static void put_lock(Storm *s, P9Call *call, bool flags)
{
    p9c_put_u8(call, pick(s, 4));
    if (flags) {
        p9c_put_u32(call, pick(s, 4));
    }
    p9c_put_u64(call, a_number(s));
    p9c_put_u64(call, a_number(s));
    p9c_put_u32(call, pick(s, 4));
    p9c_put_str(call, one_in(s, 2) ? "guest" : "other");
}

static void put_data(Storm *s, P9Call *call)
{
    static uint8_t data[MSIZE];
    uint32_t size = pick(s, one_in(s, 4) ? 6000 : 64);

    memset(data, pick(s, 2), size);
    p9c_put_u64(call, a_number(s));
    p9c_put_u32(call, size);
    p9c_put_bytes(call, data, size);
}

static const uint32_t open_flags[] = {
    P9C_O_RDONLY, P9C_O_RDWR, P9C_O_WRONLY, P9C_O_RDWR | P9C_O_TRUNC,
    P9C_O_RDWR | P9C_O_APPEND, P9C_O_DIRECTORY, P9C_O_RDWR | P9C_O_EXCL,
    010000 | P9C_O_RDWR, UINT32_MAX,
};

/* The fields after the first fid, of messages that open or make a file */
static bool put_opening(Storm *s, P9Call *call, uint8_t type)
{
    switch (type) {
    case P9C_TLOPEN:
        p9c_put_u32(call, open_flags[pick(s, ARRAY_SIZE(open_flags))]);
        break;
    case P9C_TLCREATE:
        p9c_put_str(call, a_name(s));
        p9c_put_u32(call, open_flags[pick(s, ARRAY_SIZE(open_flags))]);
        p9c_put_u32(call, pick(s, 01000));
        p9c_put_u32(call, 0);
        break;
    case P9C_TSYMLINK:
        p9c_put_str(call, a_name(s));
        p9c_put_str(call, a_name(s));
        p9c_put_u32(call, 0);
        break;
    case P9C_TMKNOD:
        p9c_put_str(call, a_name(s));
        p9c_put_u32(call, pick(s, 0200000));
        p9c_put_u32(call, pick(s, 2));
        p9c_put_u32(call, pick(s, 4));
        p9c_put_u32(call, 0);
        break;
    case P9C_TMKDIR:
        p9c_put_str(call, a_name(s));
        p9c_put_u32(call, 0700);
        p9c_put_u32(call, 0);
        break;
    default:
        return false;
    }
    return true;
}

/* The same of all messages */
static void put_rest(Storm *s, P9Call *call, uint8_t type)
{
    unsigned i;

    if (put_opening(s, call, type)) {
        return;
    }
    switch (type) {
    case P9C_TRENAME:
        p9c_put_u32(call, a_fid(s));
        p9c_put_str(call, a_name(s));
        break;
    case P9C_TLINK:
        p9c_put_u32(call, a_fid(s));
        p9c_put_str(call, a_name(s));
        break;
    case P9C_TRENAMEAT:
        p9c_put_str(call, a_name(s));
        p9c_put_u32(call, a_fid(s));
        p9c_put_str(call, a_name(s));
        break;
    case P9C_TUNLINKAT:
        p9c_put_str(call, a_name(s));
        p9c_put_u32(call, one_in(s, 2) ? P9C_AT_REMOVEDIR : 0);
        break;
    case P9C_TGETATTR:
        p9c_put_u64(call, P9C_GETATTR_ALL);
        break;
    case P9C_TSETATTR:
        p9c_put_u32(call, pick(s, 0x400));
        p9c_put_u32(call, 0600 + pick(s, 0200));
        p9c_put_u32(call, 0);
        p9c_put_u32(call, 0);
        p9c_put_u64(call, pick(s, 10000));
        for (i = 0; i < 4; i++) {
            p9c_put_u64(call, a_number(s));
        }
        break;
    case P9C_TXATTRWALK:
        p9c_put_u32(call, new_fid(s));
        p9c_put_str(call, one_in(s, 2) ? "" : "user.a");
        break;
    case P9C_TXATTRCREATE:
        p9c_put_str(call, one_in(s, 10) ? a_name(s) : "user.a");
        p9c_put_u64(call, one_in(s, 10) ? a_number(s) : pick(s, 64));
        p9c_put_u32(call, pick(s, 4));
        break;
    case P9C_TREADDIR:
    case P9C_TREAD:
        p9c_put_u64(call, one_in(s, 2) ? 0 : a_number(s));
        p9c_put_u32(call, one_in(s, 4) ? a_number(s) : 4096);
        break;
    case P9C_TWRITE:
        put_data(s, call);
        break;
    case P9C_TFSYNC:
        p9c_put_u32(call, pick(s, 2));
        break;
    case P9C_TLOCK:
    case P9C_TGETLOCK:
        put_lock(s, call, type == P9C_TLOCK);
        break;
    case P9C_TWALK:
        p9c_put_u32(call, new_fid(s));
        put_names(s, call);
        break;
    case P9C_TATTACH:
        p9c_put_u32(call, P9C_NOFID);
        p9c_put_str(call, "root");
        p9c_put_str(call, "");
        p9c_put_u32(call, 0);
        break;
    default:
        break;
    }
}

static P9Call *a_call(Storm *s)
{
    static const uint8_t types[] = {
        P9C_TWALK, P9C_TWALK, P9C_TWALK, P9C_TWALK, P9C_TWALK, P9C_TWALK,
        P9C_TWALK, P9C_TWALK, P9C_TWALK, P9C_TWALK, P9C_TWALK, P9C_TWALK,
        P9C_TLOPEN, P9C_TLOPEN, P9C_TLCREATE, P9C_TLCREATE, P9C_TCLUNK,
        P9C_TCLUNK, P9C_TCLUNK, P9C_TREMOVE, P9C_TREAD, P9C_TREAD, P9C_TWRITE,
        P9C_TWRITE, P9C_TREADDIR, P9C_TGETATTR, P9C_TSETATTR, P9C_TSTATFS,
        P9C_TREADLINK, P9C_TSYMLINK, P9C_TMKNOD, P9C_TMKDIR, P9C_TRENAME,
        P9C_TRENAMEAT, P9C_TUNLINKAT, P9C_TLINK, P9C_TXATTRWALK,
        P9C_TXATTRCREATE, P9C_TFSYNC, P9C_TLOCK, P9C_TLOCK, P9C_TGETLOCK,
        P9C_TATTACH, P9C_TAUTH,
    };
    uint8_t type = types[pick(s, ARRAY_SIZE(types))];
    P9Call *call = p9c_call(s->c, type);

    p9c_put_u32(call, first_fid(s, type));
    put_rest(s, call, type);
    if (one_in(s, 50)) {
        p9c_truncate(call, P9C_HEADER + pick(s, 4));
    }
    if (one_in(s, 50)) {
        p9c_set_size(call, a_number(s));
    }
    return call;
}

static P9Call *a_flush(Storm *s)
{
    P9Call *old = s->calls[pick(s, CALLS)];

    return p9c_flush_call(s->c, old ? p9c_call_tag(old) : pick(s, 65536));
}

static void end_call(Storm *s, unsigned i)
{
    P9Call *call = s->calls[i];
    size_t left = p9c_get_left(call);

    s->answers += left > 4;
    if (left && left != 4) {        /* no error */
        s->made[s->new_fid[i]] = true;
    }
    p9c_get_bytes(call, left);
    p9c_call_end(call);
    s->calls[i] = NULL;
}

static void submit(Storm *s, unsigned i, P9Call *call)
{
    s->calls[i] = call;
    s->new_fid[i] = s->last_new;
    s->last_new = 0;
    s->sent++;
    if (one_in(s, 10)) {
        p9c_submit_room(call, 11 + pick(s, 200));
    } else {
        p9c_submit(call);
    }
}

/* All calls come back, if necessary after a flush. */
static void finish_calls(Storm *s)
{
    gint64 end = g_get_monotonic_time() + PATIENCE_US;
    unsigned i;

    for (i = 0; i < CALLS; i++) {
        if (s->calls[i] && !p9c_is_done(s->calls[i])) {
            ok(p9c_flush(s->c, p9c_call_tag(s->calls[i])));
        }
    }
    for (i = 0; i < CALLS; i++) {
        while (s->calls[i] && !p9c_is_done(s->calls[i])) {
            g_assert_cmpint(g_get_monotonic_time(), <, end);
            g_usleep(100);
        }
        if (s->calls[i]) {
            end_call(s, i);
        }
    }
}

static void reset(Storm *s)
{
    memset(s->calls, 0, sizeof(s->calls));
    memset(s->made, 0, sizeof(s->made));
    p9c_reset(s->c);
    p9c_session_msize(s->c, MSIZE);
}

static int64_t setting(const char *name, int64_t value)
{
    const char *text = getenv(name);

    return text ? g_ascii_strtoll(text, NULL, 10) : value;
}

/*
 * With @signals the helper is sometimes stopped, and killed at the end; with
 * @kills it is killed again and again.
 */
static void storm(P9Client *c, bool signals, bool kills)
{
    int64_t seconds = setting("P9_STORM_SECONDS", SECONDS);
    uint32_t seed = setting("P9_STORM_SEED", g_test_rand_int());
    gint64 start = g_get_monotonic_time();
    gint64 end = start + seconds * G_USEC_PER_SEC;
    Storm s = { .c = c, .rand = g_rand_new_with_seed(seed) };
    bool stopped = false;

    g_test_message("P9_STORM_SEED=%" PRIu32, seed);
    p9c_session_msize(c, MSIZE);
    while (g_get_monotonic_time() < end) {
        unsigned i = pick(&s, CALLS);

        if (signals && one_in(&s, stopped ? 100 : 400)) {
            stopped = !stopped;
            p9_host_signal_helpers(stopped ? SIGSTOP : SIGCONT);
        }
        if (kills && one_in(&s, 400)) {
            p9_host_signal_helpers(SIGKILL);
        }
        if (s.calls[i]) {
            if (p9c_is_done(s.calls[i])) {
                end_call(&s, i);
            }
            continue;
        }
        submit(&s, i, one_in(&s, 8) ? a_flush(&s) : a_call(&s));
        if (!stopped && one_in(&s, 1500)) {
            reset(&s);
        }
    }
    if (signals) {
        p9_host_signal_helpers(SIGCONT);
        p9_host_signal_helpers(SIGKILL);
    }
    finish_calls(&s);
    g_test_message("%lu messages, %lu answers with data", s.sent, s.answers);
    g_assert_cmpuint(s.answers, >, 0);

    reset(&s);
    qtest_qmp_assert_success(global_qtest, "{ 'execute': 'query-status' }");
    g_rand_free(s.rand);
}

static void test_calm(void *obj, void *data, QGuestAllocator *alloc)
{
    P9Client *c = p9c_new(obj);

    storm(c, false, false);
    p9c_free(c);
}

#ifdef CONFIG_VIRTFS_PROXY_HELPER
static void test_signals(void *obj, void *data, QGuestAllocator *alloc)
{
    P9Client *c = p9c_new(obj);

    storm(c, true, false);
    p9c_free(c);
}

static void test_kills(void *obj, void *data, QGuestAllocator *alloc)
{
    P9Client *c = p9c_new(obj);

    storm(c, false, true);
    p9c_free(c);
}

static void *before_proxy(GString *cmd_line, void *arg)
{
    p9_host_folder(cmd_line, arg);
    return arg;
}
#endif

static void virtio_9p_storm_register(void)
{
#ifdef CONFIG_VIRTFS_PROXY_HELPER
    QOSGraphTestOptions opts = {
        .before = before_proxy,
        .arg = (void *)"proxy,path=%s",
    };

    qvirtio_9p_add_test("storm/proxy", "virtio-9p", test_calm, &opts);
    qvirtio_9p_add_test("storm/signals", "virtio-9p", test_signals, &opts);
    opts.arg = (void *)"proxy,path=%s,reconnect=1,on-disconnect=wait";
    qvirtio_9p_add_test("storm/kills", "virtio-9p", test_kills, &opts);
#endif
    qvirtio_9p_add_test("storm/synth", "virtio-9p", test_calm, NULL);
}

libqos_init(virtio_9p_storm_register);
