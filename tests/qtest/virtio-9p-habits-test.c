/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Bad habits of file systems and file servers below the export: the guest gets
 * what a program of the host gets there. Nothing half-made stays, nothing stays
 * open, and once the server is right again, so is the share.
 */
#include "qemu/osdep.h"
#include <sys/xattr.h>
#include "libqtest-single.h"
#include "libqos/qgraph.h"
#include "qemu/module.h"
#include "virtio-9p-habits.h"

/* No operation makes as many requests. */
#define REQUESTS_MAX    200
/* How late answers come */
#define SLOW_MS         100
#define TRIES           20
#define ACL             "system.posix_acl_access"

/* What there is before an operation, and what the guest sees after it */
typedef struct Expect {
    char *before;
    char *names_before;         /* on the host */
    char *after;
} Expect;

static Expect expect(Habits *h, const HabitsOp *op)
{
    Expect e;

    habits_begin(h);
    e.before = habits_view(h);
    e.names_before = habits_names(h);
    ok(op->run(h));
    e.after = habits_view(h);
    habits_finish(h);
    return e;
}

static void expect_free(Expect *e)
{
    g_free(e->before);
    g_free(e->names_before);
    g_free(e->after);
}

/*
 * One try of @op, of which the @n-th request fails. False if there were not so
 * many.
 */
static bool fail_once(Habits *h, const HabitsOp *op, unsigned n, int error,
                      const Expect *e)
{
    g_autofree char *after = NULL, *again = NULL, *names_after = NULL;
    bool failed;
    int ret;

    habits_begin(h);
    test_fuse_fail_nth(h->fuse, n, error);
    ret = op->run(h);
    failed = test_fuse_failed(h->fuse);
    test_fuse_fail_nth(h->fuse, 0, 0);
    p9c_clunk(h->c, HABITS_NEW);

    after = habits_view(h);
    names_after = habits_names(h);
    g_test_message("%s, request %u: %s", op->name, n, strerror(ret));
    if (ret == 0) {
        g_assert_cmpstr(after, ==, e->after);
    } else {
        g_assert_cmpint(ret, ==, error);
        if (!op->steps) {
            g_assert_cmpstr(after, ==, e->before);
        }
        g_assert_cmpstr(names_after, ==, e->names_before);
        ok(op->run(h));
        p9c_clunk(h->c, HABITS_NEW);
        again = habits_view(h);
        g_assert_cmpstr(again, ==, e->after);
    }
    habits_finish(h);
    return failed;
}

/* Of each operation, each request to the server fails once. */
static void nth(const HabitsPlace *place, int error)
{
    unsigned i, n;
    Habits h;

    if (!habits_start(&h, place, 0)) {
        return;
    }
    for (i = 0; i < habits_ops_num; i++) {
        const HabitsOp *op = &habits_ops[i];
        Expect e = expect(&h, op);

        for (n = 1; fail_once(&h, op, n, error, &e); n++) {
            g_assert_cmpuint(n, <, REQUESTS_MAX);
        }
        expect_free(&e);
    }
    habits_end(&h);
}

static void test_eio(void *obj, void *data, QGuestAllocator *alloc)
{
    nth(data, EIO);
}

static void test_stale_once(void *obj, void *data, QGuestAllocator *alloc)
{
    nth(data, ESTALE);
}

/*
 * A kind of request fails each time: with the server's error, whatever that is,
 * for the guest. Requests are those of a share with the host's owners.
 */
static void test_errors(void *obj, void *data, QGuestAllocator *alloc)
{
    static const struct {
        const char *op;
        unsigned opcode;
        unsigned models;        /* in which the operation needs it */
    } kinds[] = {
#define ALL     (1u << HABITS_HOST | 1u << HABITS_XATTR | 1u << HABITS_FILE)
        { "lookup", FUSE_LOOKUP, ALL },
        { "getattr", FUSE_GETATTR, ALL },
        { "getattr-open", FUSE_GETATTR, ALL },
        { "chmod", FUSE_SETATTR, 1u << HABITS_HOST },
        { "chmod", FUSE_SETXATTR, 1u << HABITS_XATTR },
        { "chmod", FUSE_WRITE, 1u << HABITS_FILE },
        { "utimes", FUSE_SETATTR, ALL },
        { "truncate", FUSE_SETATTR, ALL },
        { "truncate-open", FUSE_SETATTR, ALL },
        { "open", FUSE_OPEN, ALL },
        { "read", FUSE_READ, ALL },
        { "write", FUSE_WRITE, ALL },
        { "fsync", FUSE_FSYNC, ALL },
        { "readdir", FUSE_READDIR, ALL },
        { "statfs", FUSE_STATFS, ALL },
        { "readlink", FUSE_READLINK, 1u << HABITS_HOST },
        { "create", FUSE_CREATE, ALL },
        { "mkdir", FUSE_MKDIR, ALL },
        { "mkfifo", FUSE_MKNOD, 1u << HABITS_HOST },
        { "mkfifo", FUSE_CREATE, 1u << HABITS_XATTR | 1u << HABITS_FILE },
        { "symlink", FUSE_SYMLINK, 1u << HABITS_HOST },
        { "link", FUSE_LINK, ALL },
        { "rename", FUSE_RENAME, ALL },
        { "unlink", FUSE_UNLINK, ALL },
        { "rmdir", FUSE_RMDIR, ALL },
        { "getxattr", FUSE_GETXATTR, ALL },
        { "setxattr", FUSE_SETXATTR, ALL },
        { "listxattr", FUSE_LISTXATTR, ALL },
        { "removexattr", FUSE_REMOVEXATTR, ALL },
#undef ALL
    };
    static const int errors[] = { EIO, ESTALE, ENOSPC, EDQUOT, EROFS, EPERM };
    const HabitsPlace *place = data;
    unsigned i, j;
    Habits h;

    if (!habits_start(&h, place, 0)) {
        return;
    }
    for (i = 0; i < ARRAY_SIZE(kinds); i++) {
        const HabitsOp *op = habits_op(kinds[i].op);

        if (!(kinds[i].models & (1u << place->model))) {
            continue;
        }
        for (j = 0; j < ARRAY_SIZE(errors); j++) {
            g_autofree char *before = NULL, *after = NULL;

            g_test_message("%s: %s", op->name, strerror(errors[j]));
            habits_begin(&h);
            before = habits_view(&h);
            test_fuse_fail(h.fuse, kinds[i].opcode, errors[j]);
            fails(op->run(&h), errors[j]);
            test_fuse_fail(h.fuse, kinds[i].opcode, 0);
            p9c_clunk(h.c, HABITS_NEW);
            after = habits_view(&h);
            g_assert_cmpstr(after, ==, before);
            ok(op->run(&h));
            habits_finish(&h);
        }
    }
    habits_end(&h);
}

/* The share's own file: how long it takes */
static gint64 other_us(Habits *h)
{
    gint64 start = g_get_monotonic_time();
    P9Client *c = h->c;

    ok(p9c_walk_to(c, P9C_ROOT, HABITS_LAST, "other"));
    ok(p9c_lopen(c, HABITS_LAST, P9C_O_RDWR, NULL, NULL));
    ok(p9c_read(c, HABITS_LAST, 0, 4, (char[4]) { 0 }, NULL));
    ok(p9c_clunk(c, HABITS_LAST));
    ok(p9c_getattr(c, HABITS_OTHER, P9C_GETATTR_BASIC, NULL));
    return g_get_monotonic_time() - start;
}

/* Each answer comes late: they are right, and other files do not wait. */
static void test_slow(void *obj, void *data, QGuestAllocator *alloc)
{
    static const char *const slow_ops[] = {
        "lookup", "getattr", "chmod", "open", "read", "write", "readdir",
        "create", "mkdir", "symlink", "link", "rename-over", "unlink",
    };
    unsigned i, tries = 0;
    gint64 best;
    P9Call *call;
    Habits h;

    if (!habits_start(&h, data, 0)) {
        return;
    }
    for (i = 0; i < ARRAY_SIZE(slow_ops); i++) {
        const HabitsOp *op = habits_op(slow_ops[i]);
        Expect e = expect(&h, op);
        g_autofree char *view = NULL;

        habits_begin(&h);
        test_fuse_delay(h.fuse, SLOW_MS);
        ok(op->run(&h));
        test_fuse_delay(h.fuse, 0);
        view = habits_view(&h);
        g_assert_cmpstr(view, ==, e.after);
        habits_finish(&h);
        expect_free(&e);
    }
    habits_begin(&h);
    test_fuse_delay(h.fuse, SLOW_MS);
    do {
        /* A busy machine makes a try slow, a wait for the server all. */
        call = p9c_getattr_call(h.c, HABITS_FILE_FID);
        p9c_submit(call);
        best = other_us(&h);
        ok(p9c_wait(call));
        p9c_call_drop(call);
    } while (best >= SLOW_MS * 1000 / 2 && ++tries < TRIES);
    g_assert_cmpint(best, <, SLOW_MS * 1000 / 2);
    test_fuse_delay(h.fuse, 0);
    habits_finish(&h);
    habits_end(&h);
}

/* The server forgets all its numbers: old fids are stale, names are not. */
static void test_stale(void *obj, void *data, QGuestAllocator *alloc)
{
    g_autofree char *before = NULL, *after = NULL;
    Habits h;

    if (!habits_start(&h, data, 0)) {
        return;
    }
    habits_begin(&h);
    before = habits_view(&h);
    test_fuse_renumber(h.fuse);
    fails(p9c_getattr(h.c, HABITS_FILE_FID, P9C_GETATTR_BASIC, NULL), ESTALE);
    fails(p9c_getattr(h.c, HABITS_OPEN, P9C_GETATTR_BASIC, NULL), ESTALE);
    fails(p9c_read(h.c, HABITS_OPEN, 0, 4, (char[4]) { 0 }, NULL), ESTALE);
    fails(p9c_write(h.c, HABITS_OPEN, 0, "lost", 4, NULL), ESTALE);
    fails(p9c_fsync(h.c, HABITS_OPEN, false), ESTALE);
    fails(p9c_chmod(h.c, HABITS_FILE_FID, 0600), ESTALE);
    fails(p9c_mkdir(h.c, HABITS_SUB, "new", 0700, 0, NULL), ESTALE);
    fails(p9c_walk_to(h.c, HABITS_SUB, HABITS_NEW, "inner"), ESTALE);
    fails(p9c_readdir(h.c, HABITS_OPEN_SUB, 0, 4000, NULL, NULL), ESTALE);
    other_us(&h);
    /* By name all is there, as before. */
    after = habits_view(&h);
    g_assert_cmpstr(after, ==, before);
    ok(p9c_walk_to(h.c, HABITS_FUSE, HABITS_NEW, "file"));
    ok(p9c_chmod(h.c, HABITS_NEW, 0600));
    ok(p9c_lopen(h.c, HABITS_NEW, P9C_O_RDWR, NULL, NULL));
    ok(p9c_write(h.c, HABITS_NEW, 0, "new", 3, NULL));
    ok(p9c_clunk(h.c, HABITS_NEW));
    habits_finish(&h);
    habits_end(&h);
}

/* The host unmounts it and mounts it again; files change their numbers. */
static void test_remount(void *obj, void *data, QGuestAllocator *alloc)
{
    g_autofree char *before = NULL, *after = NULL;
    uint32_t fid;
    int ret;
    Habits h;

    if (!habits_start(&h, data, 0)) {
        return;
    }
    habits_begin(&h);
    before = habits_view(&h);
    test_fuse_remount(h.fuse);
    for (fid = HABITS_FUSE; fid < HABITS_OTHER; fid++) {
        ret = p9c_getattr(h.c, fid, P9C_GETATTR_BASIC, NULL);
        g_test_message("fid %u: %s", fid, strerror(ret));
        g_assert_true(ret == ENOTCONN || ret == ESTALE);
    }
    fails(p9c_read(h.c, HABITS_OPEN, 0, 4, (char[4]) { 0 }, NULL), ENOTCONN);
    fails(p9c_write(h.c, HABITS_OPEN, 0, "lost", 4, NULL), ENOTCONN);
    other_us(&h);
    ok(p9c_clunk(h.c, HABITS_FUSE));
    ok(p9c_walk_to(h.c, P9C_ROOT, HABITS_FUSE, "fuse"));
    after = habits_view(&h);
    g_assert_cmpstr(after, ==, before);
    habits_finish(&h);
    habits_end(&h);
}

/* What getxattr(2) of a file that has no ACL says on the host */
static int host_acl_error(Habits *h)
{
    g_autofree char *file = g_build_filename(h->at, "file", NULL);

    g_assert_cmpint(getxattr(file, ACL, NULL, 0), ==, -1);
    return errno;
}

/*
 * No extended attributes: none of the guest's, and in a share that keeps owners
 * there nothing can be made. All else works.
 */
static void test_no_xattrs(void *obj, void *data, QGuestAllocator *alloc)
{
    const HabitsPlace *place = data;
    bool makes = place->model != HABITS_XATTR;
    g_autofree char *names = NULL;
    P9CAttr attr;
    P9Client *c;
    Habits h;

    if (!habits_start(&h, place, TEST_FUSE_NO_XATTRS)) {
        return;
    }
    c = h.c;
    ok(p9c_walk_to(c, P9C_ROOT, HABITS_FUSE, "fuse"));
    fails(p9c_mkdir(c, HABITS_FUSE, "dir", 0750, 5, NULL),
          makes ? 0 : EOPNOTSUPP);
    fails(p9c_symlink(c, HABITS_FUSE, "link", "file", 5, NULL),
          makes ? 0 : EOPNOTSUPP);
    fails(p9c_mknod(c, HABITS_FUSE, "fifo", S_IFIFO | 0640, 0, 0, 5, NULL),
          makes ? 0 : EOPNOTSUPP);
    ok(p9c_walk_to(c, HABITS_FUSE, HABITS_NEW, ""));
    fails(p9c_lcreate(c, HABITS_NEW, "file", P9C_O_RDWR, 0640, 5, NULL, NULL),
          makes ? 0 : EOPNOTSUPP);
    ok(p9c_clunk(c, HABITS_NEW));
    names = habits_names(&h);
    if (!makes) {
        g_autofree char *file = g_build_filename(h.at, "file", NULL);

        g_assert_cmpstr(names, ==, "");
        g_assert_true(g_file_set_contents(file, "text", 4, NULL));
    }
    ok(p9c_walk_to(c, HABITS_FUSE, HABITS_FILE_FID, "file"));
    ok(p9c_getattr(c, HABITS_FILE_FID, P9C_GETATTR_BASIC, &attr));
    fails(p9c_chmod(c, HABITS_FILE_FID, 0604), makes ? 0 : EOPNOTSUPP);
    if (makes) {
        g_assert_cmphex(attr.mode, ==, S_IFREG | 0640);
        g_assert_cmpuint(attr.gid, ==, 5);
        ok(p9c_getattr(c, HABITS_FILE_FID, P9C_GETATTR_BASIC, &attr));
        g_assert_cmphex(attr.mode, ==, S_IFREG | 0604);
    }
    fails(habits_op("setxattr")->run(&h), EOPNOTSUPP);
    fails(habits_op("getxattr")->run(&h), EOPNOTSUPP);
    fails(habits_op("removexattr")->run(&h), EOPNOTSUPP);
    fails(p9c_xattrwalk(c, HABITS_FILE_FID, HABITS_NEW, ACL, NULL),
          place->model == HABITS_HOST ? host_acl_error(&h) : EOPNOTSUPP);
    g_clear_pointer(&names, g_free);
    habits_finish(&h);
    names = habits_names(&h);
    g_assert_cmpstr(names, ==, "");
    habits_end(&h);
}

/* All operations, on a file system with these habits */
static void works(const HabitsPlace *place, unsigned habits, const char *not,
                  int error)
{
    unsigned i;
    Habits h;

    if (!habits_start(&h, place, habits)) {
        return;
    }
    for (i = 0; i < habits_ops_num; i++) {
        const HabitsOp *op = &habits_ops[i];
        g_autofree char *names = NULL;
        bool fine = g_strcmp0(op->name, not) != 0;

        g_test_message("%s", op->name);
        habits_begin(&h);
        names = habits_names(&h);
        fails(op->run(&h), fine ? 0 : error);
        if (!fine) {
            g_autofree char *after = habits_names(&h);

            g_assert_cmpstr(after, ==, names);
        }
        habits_finish(&h);
    }
    habits_end(&h);
}

static void test_no_links(void *obj, void *data, QGuestAllocator *alloc)
{
    works(data, TEST_FUSE_NO_LINKS, "link", EPERM);
}

static void test_tmpfile(void *obj, void *data, QGuestAllocator *alloc)
{
    works(data, TEST_FUSE_TMPFILE, NULL, 0);
}

/* A file can be without a name, but then never gets one. */
static void test_tmpfile_no_links(void *obj, void *data,
                                  QGuestAllocator *alloc)
{
    works(data, TEST_FUSE_TMPFILE | TEST_FUSE_NO_LINKS, "link", EPERM);
}

/* The file that is open has no name left, and the server knows no other way. */
static void test_forgets(void *obj, void *data, QGuestAllocator *alloc)
{
    uint32_t got;
    char buf[8];
    P9Client *c;
    Habits h;

    if (!habits_start(&h, data, TEST_FUSE_FORGETS)) {
        return;
    }
    c = h.c;
    habits_begin(&h);
    ok(p9c_unlinkat(c, HABITS_FUSE, "file", 0));
    ok(p9c_write(c, HABITS_OPEN, 4, "more", 4, NULL));
    ok(p9c_read(c, HABITS_OPEN, 0, sizeof(buf), buf, &got));
    g_assert_cmpmem(buf, got, "textmore", 8);
    ok(habits_op("truncate-open")->run(&h));
    ok(p9c_read(c, HABITS_OPEN, 0, sizeof(buf), buf, &got));
    g_assert_cmpmem(buf, got, "t", 1);
    ok(p9c_fsync(c, HABITS_OPEN, false));
    fails(habits_op("getxattr")->run(&h), ESTALE);
    fails(habits_op("setxattr")->run(&h), ESTALE);
    fails(p9c_getattr(c, HABITS_OPEN, P9C_GETATTR_BASIC, NULL), ESTALE);
    fails(p9c_chmod(c, HABITS_OPEN, 0600), ESTALE);
    fails(habits_op("open")->run(&h), ESTALE);
    habits_finish(&h);
    habits_end(&h);
}

/* What the kernel kept cannot be written: the next fsync(2) says so, once. */
static void test_writeback(void *obj, void *data, QGuestAllocator *alloc)
{
    const HabitsPlace *place = data;
    static const char *const makes[] = { "symlink", "mkfifo", "create" };
    unsigned i;
    Habits h;

    if (!habits_start(&h, place, TEST_FUSE_WRITEBACK)) {
        return;
    }
    habits_begin(&h);
    test_fuse_fail(h.fuse, FUSE_WRITE, EDQUOT);
    ok(habits_op("write")->run(&h));
    fails(p9c_fsync(h.c, HABITS_OPEN, false), EDQUOT);
    ok(p9c_fsync(h.c, HABITS_OPEN, false));
    test_fuse_fail(h.fuse, FUSE_WRITE, 0);
    ok(habits_op("write")->run(&h));
    ok(p9c_fsync(h.c, HABITS_OPEN, false));
    habits_finish(&h);

    /*
     * What a model of the guest's owners writes itself. Of all errors, close(2)
     * reports this one as it is.
     */
    for (i = 0; place->model != HABITS_HOST && i < ARRAY_SIZE(makes); i++) {
        const HabitsOp *op = habits_op(makes[i]);
        g_autofree char *before = NULL, *after = NULL;

        if (place->model == HABITS_XATTR && !g_str_equal(op->name, "symlink")) {
            continue;
        }
        habits_begin(&h);
        before = habits_names(&h);
        test_fuse_fail(h.fuse, FUSE_WRITE, ENOSPC);
        fails(op->run(&h), ENOSPC);
        test_fuse_fail(h.fuse, FUSE_WRITE, 0);
        after = habits_names(&h);
        g_assert_cmpstr(after, ==, before);
        p9c_clunk(h.c, HABITS_NEW);
        ok(op->run(&h));
        habits_finish(&h);
    }
    if (place->model == HABITS_FILE) {
        habits_begin(&h);
        test_fuse_fail(h.fuse, FUSE_WRITE, ENOSPC);
        fails(habits_op("chown")->run(&h), ENOSPC);
        test_fuse_fail(h.fuse, FUSE_WRITE, 0);
        ok(habits_op("chown")->run(&h));
        habits_finish(&h);
    }
    habits_end(&h);
}

static const HabitsPlace places[] = {
    { "local", "local,path=%s,security_model=passthrough", HABITS_HOST },
    { "local-mapped", "local,path=%s,security_model=mapped-xattr",
      HABITS_XATTR },
    { "local-mapped-file", "local,path=%s,security_model=mapped-file",
      HABITS_FILE },
#ifdef CONFIG_VIRTFS_PROXY_HELPER
    { "proxy", "proxy,path=%s", HABITS_HOST },
    { "proxy-rootless", "proxy,path=%s", HABITS_HOST, .rootless = true },
#endif
};

static void register_tests(void)
{
    static const P9MachineTest tests[] = {
        { "eio", test_eio },
        { "stale-once", test_stale_once },
        { "errors", test_errors },
        { "slow", test_slow },
        { "stale", test_stale },
        { "remount", test_remount },
        { "no-xattrs", test_no_xattrs },
        { "no-links", test_no_links },
        { "tmpfile", test_tmpfile },
        { "tmpfile-no-links", test_tmpfile_no_links },
        { "forgets", test_forgets },
        { "writeback", test_writeback },
    };
    const char *arch = qtest_get_arch();
    unsigned i;

    if (strcmp(arch, "x86_64") && strcmp(arch, "i386")) {
        return;
    }
    for (i = 0; i < ARRAY_SIZE(places); i++) {
        p9_machine_tests("habits", places[i].name, &places[i], tests,
                         ARRAY_SIZE(tests));
    }
}
libqos_init(register_tests);
