/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The proxy driver loses its helper and gets another: the fate of the guest's
 * requests without a helper, and of its fids with the new one. QEMU starts the
 * helpers, or the test starts and ends one that listens on a socket.
 */
#include "qemu/osdep.h"
#include <sys/wait.h>
#include "libqtest-single.h"
#include "qemu/module.h"
#include "qemu/units.h"
#include "virtio-9p-host.h"

#define ROOT        P9C_ROOT
#define MSIZE       (64 * KiB)
#define PATIENCE_US (60 * G_USEC_PER_SEC)
#define POLL_US     20000

typedef struct Test {
    void (*run)(struct Test *t);
    char *dir;                  /* the export; absolute */
    char *socket;               /* of a helper of the test's own, or NULL */
    GPid helper;
    gint64 start;               /* time of QEMU's start */
    P9Client *c;
} Test;

static int walk(Test *t, uint32_t fid, uint32_t newfid, const char *path)
{
    return p9c_walk_to(t->c, fid, newfid, path);
}

static int open_fid(Test *t, uint32_t fid)
{
    return p9c_lopen(t->c, fid, P9C_O_RDWR, NULL, NULL);
}

static int create(Test *t, uint32_t fid, const char *name)
{
    ok(walk(t, ROOT, fid, ""));
    return p9c_lcreate(t->c, fid, name, P9C_O_RDWR, 0644, 0, NULL, NULL);
}

static void put(Test *t, uint32_t fid, const char *data)
{
    uint32_t n;

    ok(p9c_write(t->c, fid, 0, data, strlen(data), &n));
    g_assert_cmpuint(n, ==, strlen(data));
}

static void read_is(Test *t, uint32_t fid, const char *data)
{
    char buf[64];
    uint32_t n;

    ok(p9c_read(t->c, fid, 0, sizeof(buf), buf, &n));
    g_assert_cmpmem(buf, n, data, strlen(data));
}

/*
 * The host's side
 */

static char *host_path(Test *t, const char *name)
{
    return g_build_filename(t->dir, name, NULL);
}

static void host_write(Test *t, const char *name, const char *data)
{
    g_autofree char *path = host_path(t, name);
    GError *err = NULL;

    g_file_set_contents(path, data, -1, &err);
    g_assert_no_error(err);
}

static void host_mkdir(Test *t, const char *name)
{
    g_autofree char *path = host_path(t, name);

    g_assert_cmpint(mkdir(path, 0755), ==, 0);
}

static void host_rename(Test *t, const char *from, const char *to)
{
    g_autofree char *old = host_path(t, from);
    g_autofree char *new = host_path(t, to);

    g_assert_cmpint(rename(old, new), ==, 0);
}

static void host_unlink(Test *t, const char *name)
{
    g_autofree char *path = host_path(t, name);

    g_assert_cmpint(unlink(path), ==, 0);
}

static void host_is(Test *t, const char *name, const char *data)
{
    g_autofree char *path = host_path(t, name);
    g_autofree char *text = NULL;

    g_assert_true(g_file_get_contents(path, &text, NULL, NULL));
    g_assert_cmpstr(text, ==, data);
}

/*
 * Helpers
 */

static void wait_for(bool (*done)(Test *t), Test *t)
{
    gint64 end = g_get_monotonic_time() + PATIENCE_US;

    while (!done(t)) {
        g_assert_cmpint(g_get_monotonic_time(), <, end);
        g_usleep(POLL_US);
    }
}

static bool serves(Test *t)
{
    int ret = p9c_unlinkat(t->c, ROOT, "nonesuch", 0);

    if (ret != ENOENT) {
        g_assert_cmpint(ret, ==, EIO);
    }
    return ret == ENOENT;
}

static bool socket_there(Test *t)
{
    return g_file_test(t->socket, G_FILE_TEST_EXISTS);
}

/* Starts a helper of the test's own, which serves @dir. */
static void start_helper(Test *t, const char *dir)
{
    unlink(t->socket);
    t->helper = p9_host_helper_by_socket(dir, t->socket);
    wait_for(socket_there, t);
}

static void end_helper(Test *t)
{
    g_assert_cmpint(kill(t->helper, SIGTERM), ==, 0);
    g_assert_cmpint(waitpid(t->helper, NULL, 0), ==, t->helper);
    t->helper = 0;
}

/*
 * Nodes and files
 */

static void make_files(Test *t)
{
    host_write(t, "f", "data");
    host_mkdir(t, "a");
    host_mkdir(t, "a/b");
    host_mkdir(t, "a/b/c");
    host_mkdir(t, "a/b/c/d");
    host_write(t, "a/b/c/d/deep", "deep");
    host_write(t, "replaced", "old");
    host_write(t, "removed", "");
    host_write(t, "old", "renamed");
    host_write(t, "moved", "");
    host_write(t, "first", "linked");
}

enum {
    FID_F = 1,
    FID_OPEN,                   /* f, open */
    FID_DEEP,                   /* by one walk of five names */
    FID_DEEP_DIR,               /* in steps */
    FID_REPLACED,
    FID_REMOVED,
    FID_RENAMED,                /* by the guest */
    FID_MOVED,                  /* by the host, while there was no helper */
    FID_UNLINKED,               /* while it was open */
    FID_LINKED,                 /* keeps a name when the first is removed */
    FID_LINKED2,
    FID_MADE,                   /* by Tlcreate */
    FID_NEW,
};

static void make_fids(Test *t)
{
    ok(walk(t, ROOT, FID_F, "f"));
    ok(walk(t, ROOT, FID_OPEN, "f"));
    ok(open_fid(t, FID_OPEN));
    ok(walk(t, ROOT, FID_DEEP, "a/b/c/d/deep"));
    ok(walk(t, ROOT, FID_DEEP_DIR, "a/b"));
    ok(walk(t, FID_DEEP_DIR, FID_DEEP_DIR, "c"));
    ok(walk(t, ROOT, FID_REPLACED, "replaced"));
    ok(walk(t, ROOT, FID_REMOVED, "removed"));
    ok(walk(t, ROOT, FID_RENAMED, "old"));
    ok(p9c_renameat(t->c, ROOT, "old", FID_DEEP_DIR, "new"));
    ok(walk(t, ROOT, FID_MOVED, "moved"));
    ok(create(t, FID_UNLINKED, "unlinked"));
    put(t, FID_UNLINKED, "still");
    ok(p9c_unlinkat(t->c, ROOT, "unlinked", 0));
    ok(walk(t, ROOT, FID_LINKED, "first"));
    ok(p9c_link(t->c, ROOT, FID_LINKED, "second"));
    ok(walk(t, ROOT, FID_LINKED2, "second"));
    ok(create(t, FID_MADE, "made"));
}

static void change_host(Test *t)
{
    host_write(t, "other", "another");
    host_rename(t, "other", "replaced");
    host_unlink(t, "removed");
    host_rename(t, "moved", "elsewhere");
    host_unlink(t, "first");
}

/* Open files work without a helper. */
static void check_open(Test *t)
{
    P9CAttr a;

    put(t, FID_OPEN, "DATA");
    read_is(t, FID_OPEN, "DATA");
    ok(p9c_fsync(t->c, FID_OPEN, false));
    ok(p9c_getattr(t->c, FID_OPEN, P9C_GETATTR_BASIC, &a));
    g_assert_cmpuint(a.size, ==, 4);
    read_is(t, FID_UNLINKED, "still");
    put(t, FID_MADE, "made");
    host_is(t, "f", "DATA");
}

static void check_fids(Test *t, uint32_t fid)
{
    /* QEMU finds these again, from the root or from a node found before. */
    ok(walk(t, FID_DEEP, fid, ""));
    ok(open_fid(t, fid));
    read_is(t, fid, "deep");
    ok(create(t, fid + 1, "fresh"));
    ok(p9c_unlinkat(t->c, ROOT, "fresh", 0));
    ok(walk(t, FID_DEEP_DIR, fid + 2, "d/deep"));
    ok(p9c_chmod(t->c, FID_F, 0600));
    ok(p9c_chmod(t->c, FID_MADE, 0600));
    ok(p9c_chmod(t->c, FID_OPEN, 0600));
    ok(walk(t, FID_RENAMED, fid + 3, ""));
    ok(open_fid(t, fid + 3));
    read_is(t, fid + 3, "renamed");
    ok(p9c_chmod(t->c, FID_LINKED, 0600));
    check_open(t);

    /* QEMU cannot find these. */
    fails(p9c_chmod(t->c, FID_REPLACED, 0600), ESTALE);
    fails(p9c_chmod(t->c, FID_REMOVED, 0600), ESTALE);
    fails(p9c_chmod(t->c, FID_UNLINKED, 0600), ESTALE);
    fails(p9c_chmod(t->c, FID_MOVED, 0600), ESTALE);
    /* A walk to the new name makes the old fid work again. */
    ok(walk(t, ROOT, fid + 4, "elsewhere"));
    ok(p9c_chmod(t->c, FID_MOVED, 0600));
    ok(walk(t, ROOT, fid + 5, "replaced"));
    ok(open_fid(t, fid + 5));
    read_is(t, fid + 5, "another");
    host_is(t, "replaced", "another");
}

static void test_nodes(Test *t)
{
    int walked, changed;
    unsigned i;

    make_files(t);
    make_fids(t);
    p9_host_signal_helpers(SIGKILL);
    /* Not yet: QEMU starts a helper at most every five seconds. */
    changed = p9c_chmod(t->c, FID_F, 0600);
    walked = walk(t, ROOT, 900, "f");
    if (g_get_monotonic_time() - t->start < 5 * G_USEC_PER_SEC) {
        fails(walked, EIO);
        fails(changed, EIO);
    }
    if (!walked) {
        ok(p9c_clunk(t->c, 900));
    }
    check_open(t);
    change_host(t);
    wait_for(serves, t);
    check_fids(t, FID_NEW);

    for (i = 0; i < 2; i++) {
        p9_host_signal_helpers(SIGKILL);
        check_open(t);
        wait_for(serves, t);
        ok(p9c_chmod(t->c, FID_DEEP, 0600));
        ok(p9c_chmod(t->c, FID_LINKED, 0600));
        fails(p9c_chmod(t->c, FID_UNLINKED, 0600), ESTALE);
    }
    /* A new session, too */
    p9c_reset(t->c);
    p9c_session_msize(t->c, MSIZE);
    ok(walk(t, ROOT, FID_DEEP, "a/b/c/d/deep"));
    ok(open_fid(t, FID_DEEP));
    read_is(t, FID_DEEP, "deep");
}

/*
 * Waiting
 */

static P9Call *submitted(P9Call *call)
{
    p9c_submit(call);
    return call;
}

static P9Call *submit_mkdir(Test *t, const char *name)
{
    return submitted(p9c_mkdir_call(t->c, ROOT, name, 0755, 0));
}

static void end_call(P9Call *call, int error)
{
    fails(p9c_wait(call), error);
    p9c_call_drop(call);
}

/* Requests that a helper received and never answered */
static void test_wait(Test *t)
{
    P9Call *calls[3];
    unsigned i;

    make_files(t);
    make_fids(t);
    p9_host_signal_helpers(SIGSTOP);
    calls[0] = submitted(p9c_walk_call(t->c, ROOT, 100, "f"));
    calls[1] = submit_mkdir(t, "dir");
    calls[2] = submitted(p9c_request(t->c, P9C_TUNLINKAT,
                                     PUT(U32(ROOT), STR("removed"), U32(0))));
    p9c_pause(t->c);
    p9_host_signal_helpers(SIGKILL);
    p9c_pause(t->c);
    for (i = 0; i < ARRAY_SIZE(calls); i++) {
        end_call(calls[i], 0);
    }
    check_open(t);
    fails(p9c_mkdir(t->c, ROOT, "dir", 0755, 0, NULL), EEXIST);
    fails(walk(t, ROOT, 101, "removed"), ENOENT);
    ok(p9c_chmod(t->c, FID_DEEP, 0600));
}

/*
 * The test ends and starts a helper on a socket. While there is none, the guest
 * can flush requests and reset the device.
 */
static void test_socket(Test *t)
{
    g_autofree char *other = host_path(t, "a");
    P9Call *calls[2];
    P9CAttr a;

    make_files(t);
    make_fids(t);
    end_helper(t);
    change_host(t);
    calls[0] = submit_mkdir(t, "first");
    /* From here on QEMU knows that it lost the helper. */
    qtest_qmp_eventwait(global_qtest, "FSDEV_HELPER_LOST");
    calls[1] = submit_mkdir(t, "dir");
    p9c_pause(t->c);
    g_assert_false(p9c_is_done(calls[0]));
    g_assert_false(p9c_is_done(calls[1]));
    check_open(t);
    /* Works by descriptor, without a helper */
    ok(p9c_getattr(t->c, FID_F, P9C_GETATTR_BASIC, &a));

    ok(p9c_flush(t->c, p9c_call_tag(calls[1])));
    p9c_call_end(calls[1]);

    /* QEMU rejects a helper that serves another folder. */
    start_helper(t, other);
    g_usleep(2500 * 1000);
    g_assert_false(p9c_is_done(calls[0]));
    end_helper(t);

    start_helper(t, t->dir);
    end_call(calls[0], 0);
    /* The flushed request had no effect. */
    fails(walk(t, ROOT, 101, "dir"), ENOENT);
    check_fids(t, 200);

    end_helper(t);
    calls[0] = submit_mkdir(t, "first");
    p9c_pause(t->c);
    p9c_reset(t->c);
    p9c_call_end(calls[0]);
    start_helper(t, t->dir);
    p9c_session_msize(t->c, MSIZE);
    wait_for(serves, t);
}

/*
 * Ending a helper
 */

static bool one_child(Test *t)
{
    return p9_host_children() == 1;
}

/* QEMU kills a helper that does not end when its socket closes. */
static void test_stuck(Test *t)
{
    make_files(t);
    g_assert_true(one_child(t));
    qtest_qmp_assert_success(global_qtest, "{ 'execute': 'fsdev-add', "
                             "'arguments': { 'fsdriver': 'proxy', "
                             "'id': 'more', 'path': %s } }", t->dir);
    g_assert_cmpint(p9_host_children(), ==, 2);
    p9_host_signal_helpers(SIGSTOP);
    qtest_qmp_assert_success(global_qtest, "{ 'execute': 'fsdev-del', "
                             "'arguments': { 'id': 'more' } }");
    wait_for(one_child, t);
    p9_host_signal_helpers(SIGCONT);
    g_assert_true(serves(t));
}

/*
 * Options
 */

static void test_options(Test *t)
{
    p9_host_start_fails("proxy,id=x,sock_fd=9,reconnect=1",
                        "reconnect '1' and sock_fd '9' exclude each other");
    p9_host_start_fails("proxy,id=x,path=/,on-disconnect=wait",
                        "on-disconnect 'wait' requires reconnect");
    p9_host_start_fails("proxy,id=x,path=/,reconnect=1,on-disconnect=maybe",
                        "'maybe', only: eio, wait");
    p9_host_start_fails("proxy,id=x,path=/,reconnect=soon", "reconnect");
    p9_host_start_fails("proxy,id=x,path=/,reconnect=-1", "reconnect");
    p9_host_start_fails("local,id=x,path=/,security_model=none,reconnect=1",
                        "reconnect");
}

/*
 * Running
 */

typedef struct Case {
    const char *name;
    const char *fsdev;
    bool socket;
    void (*run)(Test *t);
} Case;

static const Case cases[] = {
    { "nodes", "proxy,path=%s,reconnect=5", false, test_nodes },
    { "nodes-asked", "proxy,path=%s,reconnect=5,donate=off", false,
      test_nodes },
    { "wait", "proxy,path=%s,reconnect=1,on-disconnect=wait", false,
      test_wait },
    { "socket", "proxy,socket=%s-socket,reconnect=1,on-disconnect=wait", true,
      test_socket },
    { "stuck", "proxy,path=%s", false, test_stuck },
    { "options", "proxy,path=%s", false, test_options },
};

static void *before(GString *cmd_line, void *arg)
{
    const Case *a_case = arg;
    Test *t = g_new0(Test, 1);

    t->run = a_case->run;
    t->start = g_get_monotonic_time();
    t->dir = p9_host_folder(cmd_line, a_case->fsdev);
    if (a_case->socket) {
        t->socket = g_strconcat(t->dir, "-socket", NULL);
        start_helper(t, t->dir);
    }
    return t;
}

static void run(void *obj, void *data, QGuestAllocator *alloc)
{
    Test *t = data;

    t->c = p9c_new(obj);
    p9c_session_msize(t->c, MSIZE);
    t->run(t);
    p9c_free(t->c);
    if (t->helper) {
        end_helper(t);
    }
    if (t->socket) {
        unlink(t->socket);
    }
    g_free(t->socket);
    g_free(t);
}

static void virtio_9p_reconnect_register(void)
{
    int i;

    for (i = 0; i < ARRAY_SIZE(cases); i++) {
        QOSGraphTestOptions opts = {
            .arg = (void *)&cases[i],
            .before = before,
        };
        g_autofree char *name = g_strdup_printf("reconnect/%s",
                                                cases[i].name);

        qvirtio_9p_add_test(name, "virtio-9p", run, &opts);
    }
}

libqos_init(virtio_9p_reconnect_register);
