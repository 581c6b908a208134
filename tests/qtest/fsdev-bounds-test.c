/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What one guest can make QEMU hold (docs/system/virtfs-security.rst): fids,
 * nodes, open files, blocks of directories and extended attributes, each up to
 * its limit, what happens at the limit, and how much memory it takes; and the
 * limit of descriptors, which QEMU raises for this.
 *
 * Each test has a QEMU and a folder of its own.
 */
#include "qemu/osdep.h"
#include <sys/resource.h>
#include "qapi/error.h"
#include "qemu/module.h"
#include "qemu/units.h"
#include "qobject/qjson.h"
#include "fsdev-qmp.h"

/* The manual's figures, in bytes */
#define PER_FID         256
#define PER_NODE        1024
#define PER_OPEN_FILE   1024
#define PER_XATTR       (64 * KiB + 512)
#define DIR_BLOCKS      (64 * 32 * KiB)
#define PER_REQUEST     (128 * KiB)

/* An export with these limits beside the driver's own options */
static void start(Test *t, const char *driver, const char *limits)
{
    g_autofree char *command = NULL;

    fsdev_start(t, "");
    if (!strcmp(driver, "synth")) {
        command = g_strdup_printf(ADD("'fsdriver': 'synth', 'id': 'a', %s"),
                                  limits);
    } else {
        command = g_strdup_printf(ADD("'fsdriver': '%s', 'id': 'a', %s, "
                                      "'path': '%s' %s"), driver, limits,
                                  t->dir, strcmp(driver, "local") ? "" :
                                  ", 'security_model': 'mapped-xattr'");
    }
    qtest_qmp_assert_success(t->m.qts, "%p",
                             qobject_from_json(command, &error_abort));
    fsdev_plug(t, "a");
}

static void end(Test *t)
{
    fsdev_unplug_in_order(t);
    fsdev_end(t);
}

static int64_t figure(Test *t, const char *key)
{
    g_autoptr(QDict) info = fsdev_query(t, "a");

    return qdict_get_int(info, key);
}

/* As many fids as the export may have, of which the root's is one */
static void test_fids(void *obj, void *data, QGuestAllocator *alloc)
{
    enum { MAX = 10 };
    unsigned i;
    Test t;

    start(&t, data, "'max-fids': 10");
    g_assert_cmpint(figure(&t, "fids"), ==, 1);
    g_assert_cmpint(figure(&t, "max-fids"), ==, MAX);
    for (i = 1; i < MAX; i++) {
        ok(p9c_walk_to(t.c, ROOT, 100 + i, ""));
    }
    g_assert_cmpint(figure(&t, "fids"), ==, MAX);
    fails(p9c_walk_to(t.c, ROOT, 1, ""), ENFILE);
    fails(p9c_attach(t.c, 1, 0, NULL), ENFILE);
    fails(p9c_xattrwalk(t.c, ROOT, 1, "", NULL), ENFILE);
    /* A walk onto itself needs no more. */
    ok(p9c_walk_to(t.c, 101, 101, ""));
    ok(p9c_lopen(t.c, 101, P9C_O_RDONLY, NULL, NULL));
    ok(p9c_clunk(t.c, 101));
    ok(p9c_walk_to(t.c, ROOT, 1, ""));
    fails(p9c_walk_to(t.c, ROOT, 2, ""), ENFILE);

    /* Another session begins with none. */
    p9c_session(t.c);
    g_assert_cmpint(figure(&t, "fids"), ==, 1);
    ok(p9c_walk_to(t.c, ROOT, 1, ""));
    end(&t);
}

static void lock_it(Test *t, uint32_t fid, int error)
{
    P9CLock lock = { .type = P9C_LOCK_WRLCK, .proc_id = 7,
                     .client_id = (char *)"guest" };
    uint8_t status;

    g_assert_cmpint(p9c_lock(t->c, fid, &lock, &status), ==, error);
}

/* As many open files and directories as the export may have */
static void test_open(void *obj, void *data, QGuestAllocator *alloc)
{
    enum { MAX = 5 };
    g_autofree char *made = NULL;
    unsigned i;
    Test t;

    start(&t, data, "'max-open-files': 5");
    g_assert_cmpint(figure(&t, "max-open-files"), ==, MAX);
    made = g_build_filename(t.dir, "made", NULL);
    ok(p9c_walk_to(t.c, ROOT, 1, ""));
    ok(p9c_lcreate(t.c, 1, "f", P9C_O_RDWR, 0600, 0, NULL, NULL));
    for (i = 2; i < MAX; i++) {
        ok(p9c_walk_to(t.c, ROOT, i, i % 2 ? "f" : ""));
        ok(p9c_lopen(t.c, i, P9C_O_RDONLY, NULL, NULL));
    }
    /* The owner of a lock has an open file of its own. */
    lock_it(&t, 1, 0);
    g_assert_cmpint(figure(&t, "open-files"), ==, MAX);

    ok(p9c_walk_to(t.c, ROOT, 100, ""));
    fails(p9c_lopen(t.c, 100, P9C_O_RDONLY, NULL, NULL), ENFILE);
    fails(p9c_lcreate(t.c, 100, "made", P9C_O_RDWR, 0600, 0, NULL, NULL),
          ENFILE);
    fails(p9c_mknod(t.c, 100, "made", S_IFREG | 0600, 0, 0, 0, NULL), ENFILE);
    g_assert_cmpint(access(made, F_OK), ==, -1);
    /* What is open works, and so does all that needs no open file. */
    ok(p9c_write(t.c, 1, 0, "x", 1, NULL));
    ok(p9c_mkdir(t.c, 100, "dir", 0700, 0, NULL));
    ok(p9c_clunk(t.c, 2));
    ok(p9c_lopen(t.c, 100, P9C_O_RDONLY, NULL, NULL));
    ok(p9c_walk_to(t.c, ROOT, 101, "f"));
    fails(p9c_lopen(t.c, 101, P9C_O_RDONLY, NULL, NULL), ENFILE);
    ok(p9c_clunk(t.c, 1));      /* and with it the lock's */
    ok(p9c_lopen(t.c, 101, P9C_O_RDWR, NULL, NULL));
    lock_it(&t, 101, 0);
    g_assert_cmpint(figure(&t, "open-files"), ==, MAX);
    end(&t);
}

/* Goes down by @n new directories with that name; one fid stays. */
static int go_down(Test *t, const char *name, unsigned n, unsigned *depth)
{
    uint32_t fid = 1;
    int ret;

    ok(p9c_walk_to(t->c, ROOT, fid, ""));
    for (*depth = 0; *depth < n; ++*depth) {
        ok(p9c_mkdir(t->c, fid, name, 0700, 0, NULL));
        ret = p9c_walk_to(t->c, fid, 3 - fid, name);
        if (ret) {
            return ret;
        }
        ok(p9c_clunk(t->c, fid));
        fid = 3 - fid;
    }
    return 0;
}

/*
 * One fid of a directory far below the root makes QEMU know all directories on
 * the way.
 */
static void test_nodes(void *obj, void *data, QGuestAllocator *alloc)
{
    enum { MAX = 2 * 8 + 1024 };
    unsigned depth;
    Test t;

    start(&t, data, "'max-fids': 8");
    fails(go_down(&t, "d", MAX + 50, &depth), ENFILE);
    g_assert_cmpint(figure(&t, "nodes"), ==, MAX);
    g_assert_cmpuint(depth, ==, MAX - 1);
    fails(p9c_walk_to(t.c, ROOT, 5, "d"), ENFILE);
    ok(p9c_walk_to(t.c, ROOT, 5, ""));
    fails(p9c_lcreate(t.c, 5, "f", P9C_O_RDWR, 0600, 0, NULL, NULL), ENFILE);

    /* Without that fid there is room again. */
    p9c_session(t.c);
    g_assert_cmpint(figure(&t, "nodes"), ==, 1);
    ok(p9c_walk_to(t.c, ROOT, 5, "d"));
    end(&t);
}

/* As many locked ranges as the host's kernel shall spend memory for */
static void test_locks(void *obj, void *data, QGuestAllocator *alloc)
{
    enum { MAX = 16384 };
    P9CLock lock = { .type = P9C_LOCK_WRLCK, .length = 1, .proc_id = 7,
                     .client_id = (char *)"guest" };
    uint8_t status;
    unsigned i;
    Test t;

    start(&t, data, "'max-fids': 10");
    ok(p9c_walk_to(t.c, ROOT, 1, ""));
    ok(p9c_lcreate(t.c, 1, "f", P9C_O_RDWR, 0600, 0, NULL, NULL));
    for (i = 0; i < MAX; i++) {
        lock.start = 2 * i;
        ok(p9c_lock(t.c, 1, &lock, &status));
        g_assert_cmpint(status, ==, P9C_LOCK_SUCCESS);
    }
    lock.start = 2 * MAX + 2;
    fails(p9c_lock(t.c, 1, &lock, &status), ENOLCK);
    lock.proc_id = 8;
    fails(p9c_lock(t.c, 1, &lock, &status), ENOLCK);
    lock.proc_id = 7;
    /* A lock that makes one range of two needs no room, and gives some. */
    lock.start = 1;
    ok(p9c_lock(t.c, 1, &lock, &status));
    lock.start = 2 * MAX + 2;
    ok(p9c_lock(t.c, 1, &lock, &status));
    fails((lock.start += 2, p9c_lock(t.c, 1, &lock, &status)), ENOLCK);
    /* The end of all locks of a process is always possible. */
    lock.type = P9C_LOCK_UNLCK;
    lock.start = lock.length = 0;
    ok(p9c_lock(t.c, 1, &lock, &status));
    lock.type = P9C_LOCK_WRLCK;
    lock.proc_id = 8;
    ok(p9c_lock(t.c, 1, &lock, &status));
    end(&t);
}

/*
 * Memory
 */

/* QEMU's own memory in bytes, without files that it maps */
static size_t memory(Test *t)
{
    g_autofree char *path = g_strdup_printf("/proc/%d/status",
                                            (int)qtest_pid(t->m.qts));
    g_autofree char *text = NULL;
    const char *line;

    g_assert_true(g_file_get_contents(path, &text, NULL, NULL));
    line = strstr(text, "RssAnon:");
    g_assert_nonnull(line);
    return strtoull(line + strlen("RssAnon:"), NULL, 10) * KiB;
}

/* It may not have grown by more than @most since it was *@before. */
static void check_growth(Test *t, const char *what, size_t *before, size_t most)
{
    size_t now = memory(t);

    g_test_message("%s: %zd KiB, the figure is %zu KiB", what,
                   (ssize_t)(now - *before) / (ssize_t)KiB, most / KiB);
    g_assert_cmpint((ssize_t)(now - *before), <=, most + MiB);
    *before = now;
}

static void fill_folder(Test *t, unsigned files)
{
    g_autofree char *name = g_strnfill(250, 'n');
    unsigned i;

    for (i = 0; i < files; i++) {
        g_autofree char *path = g_strdup_printf("%s/%s%05u", t->dir, name, i);
        int fd = open(path, O_CREAT | O_WRONLY, 0600);

        g_assert_cmpint(fd, >=, 0);
        close(fd);
    }
}

/* Requests under way: each waits for a lock, with all that it has. */
static void check_requests(Test *t)
{
    enum { MANY = 30 };
    P9CLock lock = { .type = P9C_LOCK_WRLCK, .client_id = (char *)"guest" };
    size_t before;
    P9Call *calls[MANY];
    uint8_t status;
    unsigned i;

    ok(p9c_lock(t->c, 1, &lock, &status));
    before = memory(t);
    for (i = 0; i < MANY; i++) {
        P9CLock wait = { .type = P9C_LOCK_RDLCK, .flags = P9C_LOCK_BLOCK,
                         .proc_id = i + 1, .client_id = (char *)"guest" };

        calls[i] = p9c_lock_call(t->c, 1, &wait);
        p9c_submit(calls[i]);
    }
    while (figure(t, "in-flight") < MANY) {
        g_usleep(1000);
    }
    check_growth(t, "requests", &before, MANY * PER_REQUEST);
    lock.type = P9C_LOCK_UNLCK;
    ok(p9c_lock(t->c, 1, &lock, &status));
    for (i = 0; i < MANY; i++) {
        ok(p9c_wait(calls[i]));
        p9c_call_drop(calls[i]);
    }
}

static void test_memory(void *obj, void *data, QGuestAllocator *alloc)
{
    enum { FIDS = 3000, OPEN = 400, XATTRS = 100,
           NODES = 2 * FIDS + 1024 };
    g_autofree char *name = g_strnfill(250, 'n');
    g_autofree char *value = g_malloc0(4 * KiB);
    g_autofree char *attr = g_strdup_printf("user.%s", name);
    unsigned depth, i, at, fid = 1000;
    size_t before;
    Test t;

#ifdef QEMU_SANITIZE_ADDRESS
    g_test_skip("the sanitizer needs memory of its own");
    return;
#endif
    start(&t, data, "'max-fids': 3000, 'max-open-files': 400, "
          "'max_xattr': 100");
    fill_folder(&t, FIDS);
    /* Everything once, so that threads, buffers and coroutines are there */
    ok(p9c_walk_to(t.c, ROOT, 1, ""));
    ok(p9c_lopen(t.c, 1, P9C_O_RDONLY, NULL, NULL));
    ok(p9c_readdir(t.c, 1, 0, 1000, NULL, NULL));
    p9c_session(t.c);

    ok(p9c_walk_to(t.c, ROOT, 1, ""));
    ok(p9c_lcreate(t.c, 1, "f", P9C_O_RDWR, 0600, 0, NULL, NULL));
    check_requests(&t);
    p9c_session(t.c);

    before = memory(&t);
    for (i = 0; i < OPEN; i++) {
        ok(p9c_walk_to(t.c, ROOT, ++fid, ""));
        ok(p9c_lopen(t.c, fid, P9C_O_RDONLY, NULL, NULL));
        ok(p9c_readdir(t.c, fid, 0, 1000, NULL, NULL));
    }
    check_growth(&t, "directories", &before, OPEN * (PER_FID + PER_OPEN_FILE) +
                 DIR_BLOCKS);

    for (i = 0; i < XATTRS; i++) {
        ok(p9c_walk_to(t.c, ROOT, ++fid, ""));
        ok(p9c_xattrcreate(t.c, fid, attr, 64 * KiB, 0));
        for (at = 0; at < 64 * KiB; at += 4 * KiB) {
            ok(p9c_write(t.c, fid, at, value, 4 * KiB, NULL));
        }
    }
    fails(p9c_xattrwalk(t.c, ROOT, 1, "", NULL), ENOSPC);
    check_growth(&t, "attributes", &before, XATTRS * (PER_FID + PER_XATTR));

    for (i = OPEN + XATTRS; i < FIDS - 2; i++) {
        g_autofree char *file = g_strdup_printf("%s%05u", name, i);

        ok(p9c_walk_to(t.c, ROOT, ++fid, file));
    }
    check_growth(&t, "fids", &before, (i - OPEN - XATTRS) *
                 (PER_FID + PER_NODE));

    ok(p9c_clunk(t.c, fid));
    fails(go_down(&t, name, NODES, &depth), ENFILE);
    g_assert_cmpint(figure(&t, "nodes"), >=, NODES);
    g_assert_cmpint(figure(&t, "fids"), ==, FIDS - 1);
    check_growth(&t, "nodes", &before, depth * PER_NODE);
    end(&t);
}

/*
 * The limit of descriptors
 */

/* The soft limit of QEMU's descriptors */
static unsigned soft_limit(Test *t)
{
    struct rlimit now;

    g_assert_cmpint(prlimit(qtest_pid(t->m.qts), RLIMIT_NOFILE, NULL, &now),
                    ==, 0);
    return now.rlim_cur;
}

/* The same of a program that QEMU starts */
static unsigned child_limit(Test *t)
{
    g_autofree char *path = g_build_filename(t->dir, "limit", NULL);
    g_autofree char *uri = g_strdup_printf("exec:ulimit -Sn > %s; "
                                           "cat > /dev/null", path);
    g_autofree char *text = NULL;

    qtest_qmp_assert_success(t->m.qts, "{'execute': 'migrate', 'arguments': {"
                             "'uri': %s}}", uri);
    qtest_qmp_eventwait(t->m.qts, "STOP");
    g_assert_true(g_file_get_contents(path, &text, NULL, NULL));
    return atoi(text);
}

/*
 * Exports raise QEMU's limit only while they are there, and the programs that
 * QEMU starts have the old one.
 */
static void test_limit(void *obj, void *data, QGuestAllocator *alloc)
{
    enum { SOFT = 300 };
    struct rlimit old, low;
    unsigned before;
    Test t;

    g_assert_cmpint(getrlimit(RLIMIT_NOFILE, &old), ==, 0);
    low = old;
    low.rlim_cur = SOFT;
    g_assert_cmpint(setrlimit(RLIMIT_NOFILE, &low), ==, 0);
    fsdev_start(&t, "");
    g_assert_cmpint(setrlimit(RLIMIT_NOFILE, &old), ==, 0);
    /* QEMU's start may have raised it as far as possible. */
    before = soft_limit(&t);
    fsdev_add_local(&t, "a");
    g_assert_cmpuint(soft_limit(&t), <=, MAX(before, 4096));
    g_assert_cmpuint(child_limit(&t), ==, SOFT);
    fsdev_del(&t, "a");
    g_assert_cmpuint(soft_limit(&t), ==, before);
    fsdev_end(&t);
}

/* QEMU and its helper go on when a file may not become larger. */
static void test_file_size(void *obj, void *data, QGuestAllocator *alloc)
{
    struct rlimit old, low;
    P9CSetAttr set = { .valid = P9C_SETATTR_SIZE, .size = 128 * KiB };
    Test t;

    g_assert_cmpint(getrlimit(RLIMIT_FSIZE, &old), ==, 0);
    low = old;
    low.rlim_cur = 64 * KiB;
    g_assert_cmpint(setrlimit(RLIMIT_FSIZE, &low), ==, 0);
    start(&t, data, "'max-fids': 10");
    g_assert_cmpint(setrlimit(RLIMIT_FSIZE, &old), ==, 0);
    ok(p9c_walk_to(t.c, ROOT, 1, ""));
    ok(p9c_lcreate(t.c, 1, "f", P9C_O_RDWR, 0600, 0, NULL, NULL));
    ok(p9c_write(t.c, 1, 64 * KiB - 1, "x", 1, NULL));
    fails(p9c_write(t.c, 1, 64 * KiB, "x", 1, NULL), EFBIG);
    fails(p9c_setattr(t.c, 1, &set), EFBIG);
    ok(p9c_write(t.c, 1, 0, "x", 1, NULL));
    end(&t);
}

static void register_tests(void)
{
    static const char *const drivers[] = {
        "local",
#ifdef CONFIG_VIRTFS_PROXY_HELPER
        "proxy",
#endif
    };
    static const struct {
        const char *name;
        void (*fn)(void *obj, void *data, QGuestAllocator *alloc);
    } tests[] = {
        { "fids", test_fids },
        { "open", test_open },
        { "nodes", test_nodes },
        { "locks", test_locks },
        { "memory", test_memory },
        { "file-size", test_file_size },
    };
    QOSGraphTestOptions opts = { };
    unsigned i, j;

    for (i = 0; i < ARRAY_SIZE(drivers); i++) {
        opts.arg = (void *)drivers[i];
        for (j = 0; j < ARRAY_SIZE(tests); j++) {
            g_autofree char *name = g_strdup_printf("bounds/%s/%s",
                                                    tests[j].name, drivers[i]);

            qos_add_test(name, "virtio-9p-pci", tests[j].fn, &opts);
        }
    }
    qos_add_test("bounds/limit", "virtio-9p-pci", test_limit, NULL);
    opts.arg = (void *)"synth";
    qos_add_test("bounds/fids/synth", "virtio-9p-pci", test_fids, &opts);
}
libqos_init(register_tests);
