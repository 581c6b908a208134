/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * 9P2000.u on the synth driver: the session, errors, malformed messages, and
 * the tree. virtio-9p-behaviour-dotu.c tests the messages on files.
 */
#include "qemu/osdep.h"
#include "qemu/module.h"
#include "libqos/qgraph.h"
#include "libqos/virtio-9p-dotu.h"
#include "standard-headers/linux/virtio_config.h"

#define ROOT        P9C_ROOT
#define MSIZE       P9C_MSIZE

typedef struct Test {
    QVirtio9P *v9p;
    P9Client *c;
} Test;

static int walk(Test *t, uint32_t fid, uint32_t newfid, const char *path)
{
    return p9c_walk_to(t->c, fid, newfid, path);
}

static int open_fid(Test *t, uint32_t fid, uint8_t mode)
{
    return p9c_open(t->c, fid, mode, NULL, NULL);
}

static int create(Test *t, uint32_t fid, const char *name, uint32_t perm,
                  uint8_t mode, const char *extension)
{
    return p9c_create(t->c, fid, name, perm, mode, extension, NULL);
}

static int read_err(Test *t, uint32_t fid)
{
    char byte;

    return p9c_read(t->c, fid, 0, 1, &byte, NULL);
}

static int write_err(Test *t, uint32_t fid)
{
    return p9c_write(t->c, fid, 0, "x", 1, NULL);
}

static void assert_alive(Test *t)
{
    ok(p9c_stat(t->c, ROOT, NULL));
}

/*
 * The session (on synth)
 */

/* Begins a 9P2000.u session again at the end. */
static void version_is(Test *t, const char *asked, const char *answer)
{
    g_autofree char *version = NULL;

    ok(p9c_version(t->c, MSIZE, asked, NULL, &version));
    g_assert_cmpstr(version, ==, answer);
    p9c_session_u(t->c, MSIZE, 0);
    assert_alive(t);
}

static void test_version(Test *t)
{
    g_autofree char *version = NULL;
    uint32_t msize;

    version_is(t, "9P2000.u", "9P2000.u");
    version_is(t, "9P2000.L", "9P2000.L");
    version_is(t, "9P2000", "unknown");
    version_is(t, "9P2000.U", "unknown");
    version_is(t, "9P2000.u.x", "unknown");
    version_is(t, "9P2000.ux", "unknown");

    /* An msize that is too small; after that there is no session. */
    fails(p9c_version(t->c, 4095, P9C_VERSION_U, NULL, NULL), EMSGSIZE);
    fails(p9c_attach(t->c, ROOT, 0, NULL), EPROTO);
    ok(p9c_version(t->c, UINT32_MAX, P9C_VERSION_U, &msize, &version));
    g_assert_cmpuint(msize, <=, 1024 * 1024);

    /* A new session of the other dialect starts without fids. */
    p9c_session_u(t->c, MSIZE, 0);
    ok(walk(t, ROOT, 1, "LOPEN"));
    p9c_session(t->c);
    fails(p9c_getattr(t->c, 1, P9C_GETATTR_BASIC, NULL), ENOENT);
    ok(p9c_getattr(t->c, ROOT, P9C_GETATTR_BASIC, NULL));
    p9c_session_u(t->c, MSIZE, 0);
    fails(p9c_stat(t->c, 1, NULL), ENOENT);

    /* A malformed Tversion leaves the session as it was. */
    p9c_refused(p9c_request(t->c, P9C_TVERSION, PUT(U32(MSIZE))), EINVAL);
    assert_alive(t);
}

/* The server must not know these messages. */
static void refused(Test *t, const uint8_t *types, unsigned num)
{
    unsigned i;

    for (i = 0; i < num; i++) {
        P9Call *call = p9c_call(t->c, types[i]);

        p9c_put(call, PUT(U32(ROOT), U64(0)));
        p9c_refused(call, EOPNOTSUPP);
    }
}

static void test_dialect(Test *t)
{
    static const uint8_t of_l[] = {
        P9C_TSTATFS, P9C_TLOPEN, P9C_TLCREATE, P9C_TSYMLINK, P9C_TMKNOD,
        P9C_TRENAME, P9C_TREADLINK, P9C_TGETATTR, P9C_TSETATTR,
        P9C_TXATTRWALK, P9C_TXATTRCREATE, P9C_TREADDIR, P9C_TFSYNC,
        P9C_TLOCK, P9C_TGETLOCK, P9C_TLINK, P9C_TMKDIR, P9C_TRENAMEAT,
        P9C_TUNLINKAT,
    };
    static const uint8_t of_u[] = {
        P9C_TOPEN, P9C_TCREATE, P9C_TSTAT, P9C_TWSTAT,
    };
    static const uint8_t of_none[] = {
        0, 1, P9C_TLERROR, P9C_TAUTH, P9C_RERROR - 1, 128, 254,
    };

    refused(t, of_l, ARRAY_SIZE(of_l));
    refused(t, of_none, ARRAY_SIZE(of_none));
    assert_alive(t);
    p9c_session(t->c);
    refused(t, of_u, ARRAY_SIZE(of_u));
    refused(t, of_none, ARRAY_SIZE(of_none));
    ok(p9c_getattr(t->c, ROOT, P9C_GETATTR_BASIC, NULL));
    /* 9P2000.L does not read directories with Tread. */
    ok(walk(t, ROOT, 1, "ReadDirDir"));
    ok(p9c_lopen(t->c, 1, P9C_O_RDONLY, NULL, NULL));
    fails(read_err(t, 1), EISDIR);
}

/* Rerror: size[4] Rerror tag[2] ename[s] errno[4]; the text may be cut. */
static void test_error(Test *t)
{
    static const char *const name[] = { "nothing" };
    const char *text = strerror(ENOENT);
    P9Call *call;
    uint32_t room;

    for (room = P9C_HEADER + 6; room < P9C_HEADER + 6 + strlen(text) + 3;
         room++) {
        g_autofree char *cut = g_strndup(text, room - P9C_HEADER - 6);

        call = p9c_clunk_call(t->c, 999);
        p9c_submit_room(call, room);
        g_assert_cmpint(p9c_wait(call), ==, ENOENT);
        g_assert_cmpstr(p9c_error_text(call), ==, cut);
        p9c_call_end(call);
    }
    /* A different error has a different text. */
    fails(p9c_walk(t->c, ROOT, 1, name, 1, NULL, NULL), ENOENT);
    call = p9c_call(t->c, P9C_TSTATFS);
    p9c_submit(call);
    g_assert_cmpint(p9c_wait(call), ==, EOPNOTSUPP);
    g_assert_cmpstr(p9c_error_text(call), ==, strerror(EOPNOTSUPP));
    p9c_call_end(call);

    if (!(t->v9p->vdev->features & (1ull << VIRTIO_F_VERSION_1))) {
        return;                 /* a legacy device cannot report a failure */
    }
    call = p9c_clunk_call(t->c, 999);
    p9c_submit_room(call, P9C_HEADER + 6 - 1);
    p9c_pause(t->c);
    g_assert_false(p9c_is_done(call));
    g_assert_true(p9c_needs_reset(t->c));
    p9c_reset(t->c);
    p9c_call_end(call);
    p9c_session_u(t->c, MSIZE, 0);
    assert_alive(t);
}

/*
 * Messages that are too short or too long; they change nothing
 */

static P9Call *open_call(Test *t)
{
    return p9c_open_call(t->c, 1, P9C_OREAD);
}

static P9Call *create_call(Test *t)
{
    return p9c_create_call(t->c, ROOT, "new", 0644, P9C_OREAD, "");
}

static P9Call *stat_call(Test *t)
{
    return p9c_stat_call(t->c, 1);
}

/* All fields "don't touch", with @outer and @inner added to the two sizes */
static P9Call *wstat_call(Test *t, int outer, int inner)
{
    P9Call *call = p9c_call(t->c, P9C_TWSTAT);
    uint8_t fields[61];

    memset(fields, 0xff, sizeof(fields));
    /* Five empty strings, before the last three numbers */
    memset(fields + sizeof(fields) - 3 * 4 - 5 * 2, 0, 5 * 2);
    p9c_put(call, PUT(U32(1), U16(2 + sizeof(fields) + outer),
                      U16(sizeof(fields) + inner),
                      DATA(fields, sizeof(fields))));
    return call;
}

static P9Call *wstat_plain_call(Test *t)
{
    return wstat_call(t, 0, 0);
}

static void test_malformed(Test *t)
{
    static P9Call *(*const messages[])(Test *t) = {
        open_call, create_call, stat_call, wstat_plain_call,
    };
    static const int sizes[][2] = {
        { 1, 0 }, { -1, 0 }, { 0, 1 }, { 0, -1 }, { 1, 1 }, { -1, -1 },
        { -63, 0 }, { 0, -61 }, { -63, -61 }, { 1000, 1000 },
    };
    P9Call *call;
    size_t cut, whole;
    unsigned i;

    ok(walk(t, ROOT, 1, "LOPEN"));
    for (i = 0; i < ARRAY_SIZE(messages); i++) {
        static const size_t lengths[] = {
            4 + 1, 4 + 2 + 3 + 4 + 1 + 2, 4, 4 + 2 + 2 + 61,
        };

        whole = P9C_HEADER + lengths[i];
        for (cut = P9C_HEADER; cut < whole; cut++) {
            call = messages[i](t);
            p9c_truncate(call, cut);
            p9c_refused(call, EINVAL);
        }
        call = messages[i](t);
        p9c_put_u8(call, 0);
        p9c_refused(call, EINVAL);
    }
    for (i = 0; i < ARRAY_SIZE(sizes); i++) {
        call = wstat_call(t, sizes[i][0], sizes[i][1]);
        p9c_refused(call, EINVAL);
    }
    /* With the right sizes */
    call = wstat_call(t, 0, 0);
    ok(p9c_finish(call, NULL));

    /* Unknown fids */
    fails(open_fid(t, 9, P9C_OREAD), ENOENT);
    fails(create(t, 9, "new", 0644, P9C_OREAD, ""), ENOENT);
    fails(p9c_stat(t->c, 9, NULL), ENOENT);
    fails(p9c_wstat(t->c, 9, &p9c_stat_blank), ENOENT);
    fails(create(t, 1, "new", 0644, P9C_OREAD, ""), ENOTDIR);
    ok(open_fid(t, 1, P9C_OREAD));
}

/* The server does nothing for a request whose reply does not fit. */
static void test_small_room(Test *t)
{
    P9Call *call;

    ok(walk(t, ROOT, 1, "LOPEN"));
    call = open_call(t);
    p9c_submit_room(call, P9C_HEADER + 13 + 4 - 1);
    g_assert_cmpint(p9c_wait(call), ==, EMSGSIZE);
    p9c_call_end(call);
    ok(open_fid(t, 1, P9C_OREAD));

    /* The name "LOPEN", and "0" for user and group */
    call = stat_call(t);
    p9c_submit_room(call, P9C_HEADER + 2 + 63 + 5 + 2 - 1);
    g_assert_cmpint(p9c_wait(call), ==, EMSGSIZE);
    p9c_call_end(call);
    call = stat_call(t);
    p9c_submit_room(call, P9C_HEADER + 2 + 63 + 5 + 2);
    ok(p9c_wait(call));
    p9c_get_bytes(call, 2 + 63 + 5 + 2);
    p9c_call_end(call);
}

/* The tree of the synth driver */
static void test_tree(Test *t)
{
    g_autoptr(GPtrArray) all = NULL;
    g_autoptr(GPtrArray) few = NULL;
    P9CStat *st;
    uint32_t n, none;
    unsigned i;

    p9c_stat_is(t->c, ROOT, P9C_QTDIR, P9C_DMDIR | 0755, 0, "/", NULL);
    ok(walk(t, ROOT, 1, "WALK0/WALK1"));
    p9c_stat_is(t->c, 1, P9C_QTDIR, P9C_DMDIR | 0700, 0, "WALK1", NULL);
    /* "..": the walk does not give the name. */
    ok(walk(t, 1, 2, ".."));
    p9c_stat_is(t->c, 2, P9C_QTDIR, P9C_DMDIR | 0700, 0, NULL, NULL);
    ok(walk(t, ROOT, 3, "stat/xattr_count"));
    p9c_stat_is(t->c, 3, P9C_QTFILE, 0444, 8, "xattr_count", "");

    ok(walk(t, ROOT, 4, "ReadDirDir"));
    ok(open_fid(t, 4, P9C_OREAD));
    all = p9c_read_dir_all(t->c, 4, 4000);
    g_assert_cmpuint(all->len, ==, 100);
    for (i = 0; i < 100; i++) {
        g_autofree char *name = g_strdup_printf("ReadDirFile%u", i);

        st = p9c_stat_find(all, name);
        g_assert_nonnull(st);
        g_assert_cmphex(st->qid.type, ==, P9C_QTFILE);
        g_assert_cmpstr(st->uid, ==, "0");
        g_assert_cmpuint(st->n_uid, ==, 0);
    }
    g_assert_null(p9c_stat_find(all, "."));
    g_assert_null(p9c_stat_find(all, ".."));

    /* A read goes on where the last one ended, or starts again at 0. */
    ok(p9c_read_dir(t->c, 4, 0, 500, &few, &n));
    g_assert_cmpuint(few->len, >, 1);
    fails(p9c_read_dir(t->c, 4, n - 1, 500, NULL, NULL), EINVAL);
    fails(p9c_read_dir(t->c, 4, n + 1, 500, NULL, NULL), EINVAL);
    fails(p9c_read_dir(t->c, 4, 1, 500, NULL, NULL), EINVAL);
    fails(p9c_read_dir(t->c, 4, UINT64_MAX, 500, NULL, NULL), EINVAL);
    ok(p9c_read_dir(t->c, 4, n, 500, NULL, NULL));
    ok(p9c_read_dir(t->c, 4, 0, 500, NULL, NULL));
    /* Not even one stat fits: this is an error, not the end. */
    fails(p9c_read_dir(t->c, 4, 0, 40, NULL, NULL), EINVAL);
    ok(p9c_read_dir(t->c, 4, 0, 80, NULL, &n));
    g_assert_cmpuint(n, >, 0);
    /*
     * A count that is less than the last one may be the rest of a client's
     * buffer. Then nothing is read, and the same place can be read again.
     */
    ok(p9c_read_dir(t->c, 4, n, 40, NULL, &none));
    g_assert_cmpuint(none, ==, 0);
    ok(p9c_read_dir(t->c, 4, n, 0, NULL, &none));
    g_assert_cmpuint(none, ==, 0);
    fails(p9c_read_dir(t->c, 4, n, 40, NULL, NULL), EINVAL);
    fails(p9c_read_dir(t->c, 4, n, 41, NULL, NULL), EINVAL);
    ok(p9c_read_dir(t->c, 4, n, 80, NULL, &none));
    g_assert_cmpuint(none, >, 0);
    /* A fid that is not open, and a write to a directory */
    ok(walk(t, ROOT, 5, "ReadDirDir"));
    fails(read_err(t, 5), EBADF);
    fails(write_err(t, 4), EISDIR);
}

static void run(void *obj, void *data, QGuestAllocator *alloc)
{
    void (**test)(Test *t) = data;
    Test t = { .v9p = obj, .c = p9c_new(obj) };

    p9c_session_u(t.c, MSIZE, 0);
    (*test)(&t);
    p9c_free(t.c);
}

static void virtio_9p_dotu_register(void)
{
    static struct {
        const char *name;
        void (*test)(Test *t);
    } tests[] = {
        { "version", test_version },
        { "dialect", test_dialect },
        { "error", test_error },
        { "malformed", test_malformed },
        { "small-room", test_small_room },
        { "tree", test_tree },
    };
    unsigned i;

    for (i = 0; i < ARRAY_SIZE(tests); i++) {
        QOSGraphTestOptions opts = { .arg = &tests[i].test };
        g_autofree char *name = g_strdup_printf("dotu/%s", tests[i].name);

        qvirtio_9p_add_test(name, "virtio-9p", run, &opts);
    }
}

libqos_init(virtio_9p_dotu_register);
