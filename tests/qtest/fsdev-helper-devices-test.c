/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Devices of a guest that a helper keeps as regular files of the host
 * (special-files=mapped): what the guest and the host see, with and without
 * the descriptors by which QEMU does without the helper.
 */
#include "qemu/osdep.h"
#include <sys/sysmacros.h>
#include "qapi/error.h"
#include "qemu/module.h"
#include "qobject/qjson.h"
#include "fsdev-qmp.h"

/* The host's mode of a file that stands for a device */
#define MARK    01000

/* Where the test makes its names */
#define DFID    1

/* Files of a directory that takes several blocks */
#define MANY    600

static void start(Test *t, const char *more)
{
    g_autofree char *json = NULL;
    g_autoptr(QDict) info = NULL;

    fsdev_start(t, "");
    json = g_strdup_printf(
        ADD("'fsdriver': 'proxy', 'id': 'a', 'path': '%s',"
            "'special-files': 'mapped'%s"), t->dir, more);
    qtest_qmp_assert_success(t->m.qts, "%p",
                             qobject_from_json(json, &error_abort));
    info = fsdev_query(t, "a");
    g_assert_true(fsdev_has_word(qdict_get_qdict(info, "helper"), "features",
                                 "mapped-special-files"));
    fsdev_plug(t, "a");
    ok(p9c_walk_to(t->c, ROOT, DFID, ""));
}

static void end(Test *t)
{
    ok(p9c_clunk(t->c, DFID));
    fsdev_unplug_in_order(t);
    fsdev_del(t, "a");
    fsdev_end(t);
}

/* Entries of make_many(): the first and the last ones, and a few */
static bool is_device(unsigned i)
{
    return i < 5 || i >= MANY - 5 || i % 150 == 0;
}

/* What the guest sees after it looked the name up anew */
static P9CAttr seen(Test *t, const char *name)
{
    uint32_t fid = 2;
    P9CAttr attr;

    ok(p9c_walk_to(t->c, ROOT, fid, name));
    ok(p9c_getattr(t->c, fid, P9C_GETATTR_BASIC, &attr));
    ok(p9c_clunk(t->c, fid));
    return attr;
}

static void host_stat(Test *t, const char *name, struct stat *st)
{
    g_autofree char *path = g_build_filename(t->dir, name, NULL);

    g_assert_cmpint(lstat(path, st), ==, 0);
}

static void check_types(Test *t)
{
    g_autoptr(GPtrArray) entries = NULL;

    ok(p9c_walk_to(t->c, ROOT, 3, ""));
    ok(p9c_lopen(t->c, 3, P9C_O_DIRECTORY, NULL, NULL));
    entries = p9c_readdir_all(t->c, 3, 4096);
    g_assert_cmpint(p9c_dirent_find(entries, "tty")->type, ==, DT_CHR);
    g_assert_cmpint(p9c_dirent_find(entries, "disk")->type, ==, DT_BLK);
    g_assert_cmpint(p9c_dirent_find(entries, "marked")->type, ==, DT_REG);
    g_assert_cmpint(p9c_dirent_find(entries, "empty")->type, ==, DT_REG);
    g_assert_cmpint(p9c_dirent_find(entries, "fifo")->type, ==, DT_FIFO);
    ok(p9c_clunk(t->c, 3));
}

static void make_all(Test *t)
{
    uint32_t fid = 4;

    ok(p9c_mknod(t->c, DFID, "tty", S_IFCHR | 0620, 5, 1, 0, NULL));
    ok(p9c_mknod(t->c, DFID, "disk", S_IFBLK | 0660, 8, 17, 0, NULL));
    ok(p9c_mknod(t->c, DFID, "fifo", S_IFIFO | 0640, 0, 0, 0, NULL));
    ok(p9c_mknod(t->c, DFID, "empty", S_IFREG | 0644, 0, 0, 0, NULL));
    ok(p9c_mknod(t->c, DFID, "marked", S_IFREG | 0644, 0, 0, 0, NULL));
    ok(p9c_walk_to(t->c, ROOT, fid, "marked"));
    ok(p9c_chmod(t->c, fid, MARK));
    ok(p9c_lopen(t->c, fid, P9C_O_RDWR, NULL, NULL));
    ok(p9c_clunk(t->c, fid));
}

static void check_all(Test *t)
{
    struct stat st;
    P9CAttr attr;

    attr = seen(t, "tty");
    g_assert_cmphex(attr.mode, ==, S_IFCHR | 0620);
    g_assert_cmphex(attr.rdev, ==, makedev(5, 1));
    attr = seen(t, "disk");
    g_assert_cmphex(attr.mode, ==, S_IFBLK | 0660);
    g_assert_cmphex(attr.rdev, ==, makedev(8, 17));
    g_assert_cmphex(seen(t, "marked").mode, ==, S_IFREG | MARK);
    g_assert_cmphex(seen(t, "empty").mode, ==, S_IFREG | 0644);
    host_stat(t, "tty", &st);
    g_assert_cmphex(st.st_mode, ==, S_IFREG | MARK);
    host_stat(t, "fifo", &st);
    g_assert_cmphex(st.st_mode, ==, S_IFIFO | 0640);
}

static void test_devices(void *obj, void *data, QGuestAllocator *alloc)
{
    uint32_t fid = 5;
    uint64_t size;
    Test t;

    start(&t, data);
    make_all(&t);
    check_all(&t);
    check_types(&t);

    ok(p9c_walk_to(t.c, ROOT, fid, "tty"));
    ok(p9c_chmod(t.c, fid, 0666));
    g_assert_cmphex(seen(&t, "tty").mode, ==, S_IFCHR | 0666);
    fails(p9c_xattrwalk(t.c, fid, 6, "user.virtfs.mode", &size), EOPNOTSUPP);
    fails(p9c_lopen(t.c, fid, P9C_O_RDONLY, NULL, NULL), ENXIO);
    ok(p9c_clunk(t.c, fid));
    end(&t);
}

/* Devices at the beginning and end of a directory, and a few more */
static void make_many(Test *t)
{
    unsigned i;

    for (i = 0; i < MANY; i++) {
        g_autofree char *name = g_strdup_printf("%0200u", i);

        ok(p9c_mknod(t->c, DFID, name, is_device(i) ? S_IFCHR | 0600 :
                     S_IFREG | 0600, 0, 0, 0, NULL));
    }
    ok(p9c_walk_to(t->c, ROOT, 3, ""));
    ok(p9c_lopen(t->c, 3, P9C_O_DIRECTORY, NULL, NULL));
}

/*
 * A directory of several blocks (HOST_DIR_BLOCK): each entry once, with its
 * type, however small the replies are, and again in a second pass.
 */
static void test_many(void *obj, void *data, QGuestAllocator *alloc)
{
    static const uint32_t sizes[] = { 700, 8192, 100000 };
    unsigned i, k;
    Test t;

    start(&t, data);
    make_many(&t);
    for (k = 0; k < 2 * G_N_ELEMENTS(sizes); k++) {
        g_autoptr(GPtrArray) entries = p9c_readdir_all(t.c, 3, sizes[k / 2]);

        /* With . and .. */
        g_assert_cmpuint(entries->len, ==, MANY + 2);
        for (i = 0; i < MANY; i++) {
            g_autofree char *name = g_strdup_printf("%0200u", i);

            g_assert_cmpint(p9c_dirent_find(entries, name)->type, ==,
                            is_device(i) ? DT_CHR : DT_REG);
        }
    }
    ok(p9c_clunk(t.c, 3));
    end(&t);
}

/* The helper dies while the guest lists: the open directory has the rest. */
static void test_lost(void *obj, void *data, QGuestAllocator *alloc)
{
    g_autoptr(GPtrArray) before = NULL, after = NULL;
    unsigned i;
    Test t;

    start(&t, data);
    make_many(&t);
    before = p9c_readdir_all(t.c, 3, 700);
    p9_host_signal_helpers(SIGKILL);
    after = p9c_readdir_all(t.c, 3, 700);
    g_assert_cmpuint(after->len, ==, before->len);
    for (i = 0; i < MANY; i++) {
        g_autofree char *name = g_strdup_printf("%0200u", i);

        g_assert_cmpint(p9c_dirent_find(after, name)->type, ==,
                        is_device(i) ? DT_UNKNOWN : DT_REG);
    }
    ok(p9c_clunk(t.c, 3));
    end(&t);
}

/* The host makes a file of the device while the guest has it in use. */
static void test_retyped(void *obj, void *data, QGuestAllocator *alloc)
{
    g_autofree char *path = NULL;
    uint32_t fid = 5;
    P9CAttr attr;
    Test t;

    start(&t, data);
    ok(p9c_mknod(t.c, DFID, "d", S_IFCHR | 0600, 1, 3, 0, NULL));
    ok(p9c_walk_to(t.c, ROOT, fid, "d"));
    path = g_build_filename(t.dir, "d", NULL);
    g_assert_cmpint(chmod(path, 0644), ==, 0);
    g_assert_cmphex(seen(&t, "d").mode, ==, S_IFREG | 0644);
    fails(p9c_getattr(t.c, fid, P9C_GETATTR_BASIC, &attr), ESTALE);
    ok(p9c_clunk(t.c, fid));

    ok(p9c_walk_to(t.c, ROOT, fid, "d"));
    g_assert_cmpint(chmod(path, MARK), ==, 0);
    fails(p9c_getattr(t.c, fid, P9C_GETATTR_BASIC, &attr), ESTALE);
    ok(p9c_clunk(t.c, fid));
    attr = seen(&t, "d");
    g_assert_cmphex(attr.mode, ==, S_IFCHR | 0600);
    g_assert_cmphex(attr.rdev, ==, makedev(1, 3));
    end(&t);
}

static void register_tests(void)
{
    static char donated[] = "", asked[] = ", 'donate': false";
    QOSGraphTestOptions with = { .arg = donated };
    QOSGraphTestOptions without = { .arg = asked };

    qos_add_test("helper-devices/all", "virtio-9p-pci", test_devices, &with);
    qos_add_test("helper-devices/all/asked", "virtio-9p-pci", test_devices,
                 &without);
    qos_add_test("helper-devices/many", "virtio-9p-pci", test_many, &with);
    qos_add_test("helper-devices/many/asked", "virtio-9p-pci", test_many,
                 &without);
    qos_add_test("helper-devices/lost", "virtio-9p-pci", test_lost, &with);
    qos_add_test("helper-devices/retyped", "virtio-9p-pci", test_retyped,
                 &with);
    qos_add_test("helper-devices/retyped/asked", "virtio-9p-pci", test_retyped,
                 &without);
}
libqos_init(register_tests);
