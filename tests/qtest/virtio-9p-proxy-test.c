/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The proxy driver's own behaviour: when its helper dies or is silent, without
 * asking it, and with options that it refuses. virtio-9p-behaviour.h tests it
 * on files.
 *
 * Each test has a QEMU, a helper and a folder of its own.
 */
#include "qemu/osdep.h"
#include "libqtest.h"
#include "libqtest-single.h"
#include "qobject/qdict.h"
#include "qemu/module.h"
#include "qemu/units.h"
#include "virtio-9p-host.h"
#include <linux/magic.h>
#include <sys/vfs.h>

#define ROOT        P9C_ROOT
#define MSIZE       (512 * KiB)
#define FEW_FDS     128

typedef struct Test {
    void (*run)(struct Test *t);
    char *dir;                  /* the export; absolute */
    P9Client *c;
} Test;

/*
 * A session of the guest's root. On the host that is the user who runs the
 * test: root, or an ordinary user, whom the helper maps to root.
 */
static void session(Test *t)
{
    ok(p9c_version(t->c, MSIZE, P9C_VERSION, NULL, NULL));
    ok(p9c_attach(t->c, ROOT, 0, NULL));
}

static int walk(Test *t, uint32_t fid, uint32_t newfid, const char *path)
{
    return p9c_walk_to(t->c, fid, newfid, path);
}

static int open_fid(Test *t, uint32_t fid, uint32_t flags)
{
    return p9c_lopen(t->c, fid, flags, NULL, NULL);
}

static int make_dir(Test *t, uint32_t fid, const char *name, uint32_t mode)
{
    return p9c_mkdir(t->c, fid, name, mode, 0, NULL);
}

static void write_all(Test *t, uint32_t fid, uint64_t offset, const char *data)
{
    uint32_t n;

    ok(p9c_write(t->c, fid, offset, data, strlen(data), &n));
    g_assert_cmpuint(n, ==, strlen(data));
}

/* A Tread of up to 64 bytes at @offset must return exactly @data. */
static void read_is(Test *t, uint32_t fid, uint64_t offset, const char *data)
{
    char buf[64];
    uint32_t n;

    ok(p9c_read(t->c, fid, offset, sizeof(buf), buf, &n));
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
    /* In place, so the inode stays the same */
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0644);

    g_assert_cmpint(fd, >=, 0);
    g_assert_cmpint(write(fd, data, strlen(data)), ==, strlen(data));
    close(fd);
}

/*
 * The helper
 */

/* Waits until QEMU has taken @n requests from the queue that it cannot end. */
static void wait_in_flight(int n)
{
    gint64 start = g_get_monotonic_time();

    while (true) {
        g_autoptr(QDict) info = p9_host_query();

        if (qdict_get_int(info, "in-flight") >= n) {
            break;
        }
        g_assert_cmpint(g_get_monotonic_time() - start, <, P9C_TIMEOUT_US);
        g_usleep(1000);
    }
}

/*
 * A silent helper cannot prevent a reset of the device, and serves again when
 * it continues.
 */
static void test_helper_silent(Test *t)
{
    gint64 start;
    int i;

    host_write(t, "f", "data");
    p9_host_signal_helpers(SIGSTOP);
    for (i = 0; i < 8; i++) {
        g_autofree char *name = g_strdup_printf("new%d", i);

        ok(walk(t, ROOT, 100 + i, ""));
        p9c_submit(p9c_lcreate_call(t->c, 100 + i, name, P9C_O_RDWR, 0600,
                                    0));
    }
    wait_in_flight(i);
    start = g_get_monotonic_time();
    p9c_reset(t->c);
    g_assert_cmpint(g_get_monotonic_time() - start, <, P9C_TIMEOUT_US);
    session(t);
    p9_host_signal_helpers(SIGCONT);

    start = g_get_monotonic_time();
    while (walk(t, ROOT, 1, "new7") == ENOENT) {
        g_assert_cmpint(g_get_monotonic_time() - start, <, P9C_TIMEOUT_US);
        g_usleep(1000);
    }
    ok(walk(t, ROOT, 2, "f"));
    ok(open_fid(t, 2, P9C_O_RDONLY));
    read_is(t, 2, 0, "data");
}

/*
 * A flushed request does not wait for a silent helper for ever: it ends with an
 * error, because its result is unknown, and then comes the Rflush.
 */
static void test_flush_silent(Test *t)
{
    P9Call *make = p9c_mkdir_call(t->c, ROOT, "d", 0700, 0);
    P9Call *flush = p9c_flush_call(t->c, p9c_call_tag(make));
    gint64 start = g_get_monotonic_time();

    p9_host_signal_helpers(SIGSTOP);
    p9c_submit(make);
    p9c_submit(flush);
    /* A request that needs no helper gets its reply. */
    ok(p9c_getattr(t->c, ROOT, P9C_GETATTR_BASIC, NULL));
    g_assert_false(p9c_is_done(make));
    while (!p9c_is_done(flush)) {
        g_assert_cmpint(g_get_monotonic_time() - start, <,
                        P9C_TIMEOUT_US);
        g_usleep(10000);
    }
    ok(p9c_wait(flush));
    fails(p9c_wait(make), EIO);
    g_assert_cmpuint(p9c_done_order(make), <, p9c_done_order(flush));
    p9c_call_end(make);
    p9c_call_end(flush);
    p9_host_signal_helpers(SIGCONT);
    ok(make_dir(t, ROOT, "e", 0700));
    ok(walk(t, ROOT, 1, "e"));
}

/* Whether QEMU looks up names and opens files of this export itself */
static bool in_memory(Test *t)
{
    struct statfs st;

    g_assert_cmpint(statfs(t->dir, &st), ==, 0);
    return st.f_type == TMPFS_MAGIC;
}

/* Requests that QEMU serves alone, while the helper is stopped */
static void test_names_here(Test *t)
{
    P9CAttr a;

    if (!in_memory(t)) {
        g_test_skip("the export is on a disk, where QEMU asks the helper");
        return;
    }
    ok(make_dir(t, ROOT, "d", 0755));
    host_write(t, "d/f", "data");
    p9_host_signal_helpers(SIGSTOP);
    ok(walk(t, ROOT, 1, "d/f"));
    ok(p9c_getattr(t->c, 1, P9C_GETATTR_BASIC, &a));
    g_assert_cmpuint(a.size, ==, 4);
    fails(walk(t, 1, 2, "below"), ENOTDIR);
    ok(walk(t, 1, 2, ""));
    ok(open_fid(t, 2, P9C_O_RDWR));
    read_is(t, 2, 0, "data");
    write_all(t, 2, 0, "DATA");
    ok(p9c_clunk(t->c, 2));
    p9_host_signal_helpers(SIGCONT);

    /* A name that is in no cache takes the directory's lock. */
    fails(walk(t, ROOT, 2, "d/nonesuch"), ENOENT);
    /* The helper can act on files that QEMU found. */
    ok(p9c_chmod(t->c, 1, 0604));
    ok(p9c_getattr(t->c, 1, P9C_GETATTR_BASIC, &a));
    g_assert_cmphex(a.mode & 07777, ==, 0604);
    ok(walk(t, ROOT, 2, "d"));
    ok(make_dir(t, 2, "e", 0755));
    ok(p9c_unlinkat(t->c, 2, "f", 0));
    /* Even without a name */
    ok(walk(t, ROOT, 3, "d/e"));
    ok(p9c_unlinkat(t->c, 2, "e", P9C_AT_REMOVEDIR));
    ok(p9c_chmod(t->c, 3, 0700));
    ok(p9c_chmod(t->c, 1, 0600));
    ok(p9c_getattr(t->c, 1, P9C_GETATTR_BASIC, &a));
    g_assert_cmphex(a.mode & 07777, ==, 0600);
    g_assert_cmpuint(a.nlink, ==, 0);
    /* Even if another file has its name */
    host_write(t, "d/g", "old");
    ok(walk(t, ROOT, 4, "d/g"));
    ok(p9c_unlinkat(t->c, 2, "g", 0));
    host_write(t, "d/g", "new");
    ok(walk(t, ROOT, 5, "d/g"));
    ok(p9c_chmod(t->c, 4, 0640));
    ok(p9c_getattr(t->c, 5, P9C_GETATTR_BASIC, &a));
    g_assert_cmphex(a.mode & 07777, ==, 0644);
}

/*
 * The budget closes descriptors of nodes. QEMU reopens them without the helper,
 * and those of the directories above them.
 */
static void test_found_here(Test *t)
{
    g_autofree char *dir = host_path(t, "d/e");
    unsigned files = 3 * FEW_FDS;
    unsigned i, tries;
    P9CAttr a;

    if (!in_memory(t)) {
        g_test_skip("the export is on a disk, where QEMU asks the helper");
        return;
    }
    g_assert_cmpint(g_mkdir_with_parents(dir, 0755), ==, 0);
    for (i = 0; i < files; i++) {
        g_autofree char *name = g_strdup_printf("d/e/%u", i);

        host_write(t, name, "data");
    }
    p9_host_signal_helpers(SIGSTOP);
    ok(walk(t, ROOT, 1, "d"));
    ok(walk(t, 1, 2, "e"));
    for (i = 0; i < files; i++) {
        g_autofree char *name = g_strdup_printf("%u", i);

        ok(walk(t, 2, 100 + i, name));
    }
    for (tries = 0; tries < 2; tries++) {
        for (i = 0; i < files; i++) {
            ok(p9c_getattr(t->c, 100 + i, P9C_GETATTR_BASIC, &a));
            g_assert_cmpuint(a.size, ==, 4);
        }
        ok(walk(t, 1, 3, "e/0"));
        ok(open_fid(t, 3, P9C_O_RDONLY));
        read_is(t, 3, 0, "data");
        ok(p9c_clunk(t->c, 3));
        ok(walk(t, ROOT, 3, "d/e/1"));
        ok(p9c_clunk(t->c, 3));
    }
    p9_host_signal_helpers(SIGCONT);

    /* After a rename the helper must find the file. */
    ok(p9c_renameat(t->c, 2, "0", ROOT, "f"));
    ok(p9c_unlinkat(t->c, 2, "1", 0));
    for (i = 0; i < 2; i++) {
        ok(p9c_getattr(t->c, 100 + i, P9C_GETATTR_BASIC, &a));
        g_assert_cmpuint(a.nlink, ==, 1 - i);
        g_assert_cmpuint(a.size, ==, 4);
    }
}

static void test_helper_killed(Test *t)
{
    P9CAttr a;

    host_write(t, "f", "data");
    ok(walk(t, ROOT, 1, "f"));
    ok(walk(t, ROOT, 2, "f"));
    ok(open_fid(t, 2, P9C_O_RDWR));
    p9_host_signal_helpers(SIGKILL);

    /* Requests to the helper fail; those on descriptors work. */
    fails(make_dir(t, ROOT, "d", 0700), EIO);
    fails(walk(t, ROOT, 3, "f"), EIO);
    fails(open_fid(t, 1, P9C_O_RDONLY), EIO);
    read_is(t, 2, 0, "data");
    write_all(t, 2, 0, "DATA");
    ok(p9c_getattr(t->c, 2, P9C_GETATTR_BASIC, &a));
    g_assert_cmpuint(a.size, ==, 4);
    ok(p9c_clunk(t->c, 2));
    ok(p9c_clunk(t->c, 1));

    /* A new session still gets its root. */
    session(t);
    fails(walk(t, ROOT, 1, "f"), EIO);
    qtest_qmp_assert_success(global_qtest, "{ 'execute': 'query-status' }");
}

/*
 * Options that QEMU refuses at its start
 */

static void test_options(Test *t)
{
    g_autofree char *file = host_path(t, "f");
    g_autofree char *opts = g_strdup_printf("proxy,id=x,path=%s", file);

    host_write(t, "f", "");
    p9_host_start_fails(opts, "is not a directory");
    p9_host_start_fails("proxy,id=x,path=/nowhere/at/all",
                        "'/nowhere/at/all'");
    p9_host_start_fails("proxy,id=x", "path, socket and sock_fd");
    p9_host_start_fails("proxy,id=x,socket=s,sock_fd=5", "socket 's'");
    p9_host_start_fails("proxy,id=x,socket=s,sock_fd=5", "sock_fd '5'");
    p9_host_start_fails("proxy,id=x,socket=/nowhere/s", "socket '/nowhere/s'");
    p9_host_start_fails("proxy,id=x,sock_fd=-1", "sock_fd '-1'");
    p9_host_start_fails("proxy,id=x,sock_fd=999", "sock_fd '999'");
    p9_host_start_fails("proxy,id=x,path=/,helper=/bin/false",
                        "exit status 1");
    p9_host_start_fails("proxy,id=x,path=/,writeout=never", "never");
    p9_host_start_fails("proxy,id=x,path=/,nonsense=1", "nonsense");
}

/*
 * Running
 */

static const struct Case {
    const char *name;
    void (*run)(Test *t);
    unsigned fds;               /* QEMU's limit, or 0 */
} cases[] = {
    { "helper-killed", test_helper_killed },
    { "names-here", test_names_here },
    { "found-here", test_found_here, FEW_FDS },
    { "helper-silent", test_helper_silent },
    { "flush-silent", test_flush_silent },
    { "options", test_options },
};

static void *before(GString *cmd_line, void *arg)
{
    const struct Case *cs = arg;
    Test *t = g_new0(Test, 1);

    t->run = cs->run;
    t->dir = p9_host_folder(cmd_line, "proxy,path=%s");
    if (cs->fds) {
        p9_host_limit_descriptors(cmd_line, cs->fds);
    }
    g_test_queue_free(t);
    return t;
}

static void run(void *obj, void *data, QGuestAllocator *alloc)
{
    Test *t = data;

    p9_host_unlimit_descriptors();
    t->c = p9c_new(obj);
    session(t);
    t->run(t);
    p9c_free(t->c);
}

static void virtio_9p_proxy_register(void)
{
    int i;

    for (i = 0; i < ARRAY_SIZE(cases); i++) {
        QOSGraphTestOptions opts = {
            .arg = (void *)&cases[i],
            .before = before,
        };
        g_autofree char *name = g_strdup_printf("proxy/%s", cases[i].name);

        qvirtio_9p_add_test(name, "virtio-9p", run, &opts);
    }
}

libqos_init(virtio_9p_proxy_register);
