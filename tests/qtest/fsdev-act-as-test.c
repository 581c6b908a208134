/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A helper that works on files as the guest's users (act-as=guest): QEMU tells
 * it with each request which user asks, and does nothing itself that the user
 * might not. Without the capabilities that pass over permissions, the host
 * looks at ids alone, as a file server does.
 */
#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qemu/module.h"
#include "qobject/qjson.h"
#include "fsdev-qmp.h"
#include "virtio-9p-move.h"

#define ALICE   1234
#define BOB     4321

/* The fids of their roots */
#define AS_ALICE    11
#define AS_BOB      12

#define POWERLESS   "-dac_override:-dac_read_search:-fowner:-chown"

/* The host's file or directory @name, of @uid and its group */
static void put(const char *dir, const char *name, mode_t mode, uid_t uid)
{
    g_autofree char *path = g_build_filename(dir, name, NULL);

    if (S_ISDIR(mode)) {
        g_assert_cmpint(mkdir(path, 0), ==, 0);
    } else {
        g_assert_true(g_file_set_contents(path, "text", -1, NULL));
    }
    g_assert_cmpint(chown(path, uid, uid), ==, 0);
    g_assert_cmpint(chmod(path, mode & 07777), ==, 0);
}

/* False: the test is skipped. */
static bool has_users(void)
{
    if (geteuid() != 0) {
        g_test_skip("only root has more than one user");
        return false;
    }
    return true;
}

/* Likewise */
static bool start(Test *t)
{
    g_autofree char *json = NULL;
    g_autoptr(QDict) info = NULL;
    QDict *helper;

    if (!has_users()) {
        return false;
    }
    fsdev_start(t, "");
    g_assert_cmpint(chmod(t->dir, 0755), ==, 0);
    put(t->dir, "home", S_IFDIR | 0700, ALICE);
    json = g_strdup_printf(
        ADD("'fsdriver': 'proxy', 'id': 'a', 'path': '%s',"
            "'act-as': 'guest', 'modcaps': '" POWERLESS "'"), t->dir);
    qtest_qmp_assert_success(t->m.qts, "%p",
                             qobject_from_json(json, &error_abort));
    info = fsdev_query(t, "a");
    helper = qdict_get_qdict(info, "helper");
    g_assert_true(fsdev_has_word(helper, "features", "users"));
    g_assert_true(fsdev_has_word(helper, "features", "donate"));
    g_assert_false(fsdev_has_word(helper, "features", "adopt"));
    fsdev_plug(t, "a");
    ok(p9c_attach(t->c, AS_ALICE, ALICE, NULL));
    ok(p9c_attach(t->c, AS_BOB, BOB, NULL));
    return true;
}

static void stop(Test *t)
{
    ok(p9c_clunk(t->c, AS_ALICE));
    ok(p9c_clunk(t->c, AS_BOB));
    fsdev_unplug_in_order(t);
    fsdev_del(t, "a");
    fsdev_end(t);
}

static void test_users(void *obj, void *data, QGuestAllocator *alloc)
{
    g_autofree char *path = NULL;
    struct stat st;
    uint32_t n;
    Test t;

    if (!start(&t)) {
        return;
    }
    /* Alice makes a file, which is in QEMU's memory afterwards. */
    ok(p9c_walk_to(t.c, AS_ALICE, 1, "home"));
    ok(p9c_lcreate(t.c, 1, "f", P9C_O_RDWR, 0600, BOB, NULL, NULL));
    ok(p9c_write(t.c, 1, 0, "text", 4, &n));
    path = g_build_filename(t.dir, "home", "f", NULL);
    g_assert_cmpint(stat(path, &st), ==, 0);
    g_assert_cmpuint(st.st_uid, ==, ALICE);
    g_assert_cmpuint(st.st_gid, ==, BOB);
    ok(p9c_clunk(t.c, 1));

    /* Bob may not look it up, nor the guest's root. */
    ok(p9c_walk_to(t.c, ROOT, 2, "home"));
    fails(p9c_walk_to(t.c, 2, 3, "f"), EACCES);
    ok(p9c_clunk(t.c, 2));
    ok(p9c_walk_to(t.c, AS_BOB, 2, "home"));
    fails(p9c_walk_to(t.c, 2, 3, "f"), EACCES);
    fails(p9c_mkdir(t.c, 2, "d", 0700, BOB, NULL), EACCES);
    fails(p9c_lopen(t.c, 2, P9C_O_DIRECTORY, NULL, NULL), EACCES);
    fails(p9c_unlinkat(t.c, 2, "f", 0), EACCES);
    fails(p9c_chmod(t.c, 2, 0777), EPERM);
    ok(p9c_clunk(t.c, 2));

    ok(p9c_walk_to(t.c, AS_ALICE, 1, "home/f"));
    ok(p9c_chmod(t.c, 1, 0640));
    ok(p9c_lopen(t.c, 1, P9C_O_RDONLY, NULL, NULL));
    ok(p9c_clunk(t.c, 1));
    stop(&t);
}

/* No message forgets whose it is: the helper refuses one that does. */
static void test_messages(void *obj, void *data, QGuestAllocator *alloc)
{
    const P9CSetAttr owner = { .valid = P9C_SETATTR_GID, .gid = 65534 };
    g_autofree char *target = NULL;
    P9CStatfs st;
    uint64_t size;
    uint32_t n;
    Test t;

    if (!start(&t)) {
        return;
    }
    ok(p9c_walk_to(t.c, AS_ALICE, 1, "home"));
    ok(p9c_mkdir(t.c, 1, "d", 0700, ALICE, NULL));
    ok(p9c_mknod(t.c, 1, "p", S_IFIFO | 0600, 0, 0, ALICE, NULL));
    ok(p9c_symlink(t.c, 1, "l", "target", ALICE, NULL));
    ok(p9c_walk_to(t.c, 1, 2, "l"));
    ok(p9c_readlink(t.c, 2, &target));
    ok(p9c_link(t.c, 1, 2, "m"));
    ok(p9c_renameat(t.c, 1, "m", 1, "n"));
    ok(p9c_unlinkat(t.c, 1, "n", 0));
    ok(p9c_walk_to(t.c, 1, 3, "d"));
    ok(p9c_rename(t.c, 2, 3, "l"));
    ok(p9c_remove(t.c, 2));
    ok(p9c_statfs(t.c, 3, &st));
    ok(p9c_setattr(t.c, 3, &owner));
    ok(p9c_getattr(t.c, 3, P9C_GETATTR_ALL, NULL));
    ok(p9c_xattrcreate(t.c, 3, "user.a", 4, 0));
    ok(p9c_write(t.c, 3, 0, "text", 4, &n));
    ok(p9c_clunk(t.c, 3));
    ok(p9c_walk_to(t.c, 1, 3, "d"));
    ok(p9c_xattrwalk(t.c, 3, 4, "user.a", &size));
    g_assert_cmpuint(size, ==, 4);
    ok(p9c_clunk(t.c, 4));
    ok(p9c_lopen(t.c, 3, P9C_O_DIRECTORY, NULL, NULL));
    g_ptr_array_unref(p9c_readdir_all(t.c, 3, 4096));
    ok(p9c_fsync(t.c, 3, false));
    ok(p9c_clunk(t.c, 3));
    ok(p9c_clunk(t.c, 1));
    stop(&t);
}

static uint8_t lock_as(P9Client *c, uint32_t fid, uint8_t type, int error)
{
    const P9CLock l = { .type = type, .length = 4, .client_id = "qtest" };
    uint8_t status = P9C_LOCK_BLOCKED;
    int ret = p9c_lock(c, fid, &l, &status);

    g_assert_cmpint(ret, ==, error);
    return status;
}

/* The file that QEMU opens for a lock is the user's, too. */
static void test_locks(void *obj, void *data, QGuestAllocator *alloc)
{
    P9CLock l = { .type = P9C_LOCK_WRLCK, .length = 4, .client_id = "other" };
    Test t;

    if (!start(&t)) {
        return;
    }
    put(t.dir, "roots", S_IFREG | 0644, 0);
    put(t.dir, "home/alices", S_IFREG | 0600, ALICE);

    ok(p9c_walk_to(t.c, AS_ALICE, 1, "home/alices"));
    ok(p9c_lopen(t.c, 1, P9C_O_RDWR, NULL, NULL));
    g_assert_cmpint(lock_as(t.c, 1, P9C_LOCK_WRLCK, 0), ==, P9C_LOCK_SUCCESS);
    ok(p9c_getlock(t.c, 1, &l));
    g_assert_cmpint(l.type, ==, P9C_LOCK_WRLCK);
    g_free((char *)l.client_id);
    ok(p9c_clunk(t.c, 1));

    /* Bob may not write there, so he may not keep others from it. */
    ok(p9c_walk_to(t.c, AS_BOB, 1, "roots"));
    ok(p9c_lopen(t.c, 1, P9C_O_RDONLY, NULL, NULL));
    g_assert_cmpint(lock_as(t.c, 1, P9C_LOCK_RDLCK, 0), ==, P9C_LOCK_SUCCESS);
    lock_as(t.c, 1, P9C_LOCK_WRLCK, EBADF);
    ok(p9c_clunk(t.c, 1));
    stop(&t);
}

/* What is open can be written and truncated, whatever its mode is by then. */
static void test_open(void *obj, void *data, QGuestAllocator *alloc)
{
    const P9CSetAttr cut = { .valid = P9C_SETATTR_SIZE, .size = 2 };
    const P9CSetAttr cut_and_mode = {
        .valid = P9C_SETATTR_SIZE | P9C_SETATTR_MODE, .size = 1, .mode = 0440,
    };
    g_autofree char *path = NULL;
    struct stat st;
    uint32_t n;
    Test t;

    if (!start(&t)) {
        return;
    }
    path = g_build_filename(t.dir, "home", "f", NULL);
    ok(p9c_walk_to(t.c, AS_ALICE, 1, "home"));
    ok(p9c_lcreate(t.c, 1, "f", P9C_O_RDWR, 0400, ALICE, NULL, NULL));
    ok(p9c_write(t.c, 1, 0, "text", 4, &n));
    ok(p9c_setattr(t.c, 1, &cut));
    g_assert_cmpint(stat(path, &st), ==, 0);
    g_assert_cmpint(st.st_size, ==, 2);
    ok(p9c_setattr(t.c, 1, &cut_and_mode));
    g_assert_cmpint(stat(path, &st), ==, 0);
    g_assert_cmpint(st.st_size, ==, 1);
    g_assert_cmphex(st.st_mode, ==, S_IFREG | 0440);
    /* Writes to files with such bits go through the helper. */
    ok(p9c_chmod(t.c, 1, 04600));
    ok(p9c_write(t.c, 1, 0, "more", 4, &n));
    ok(p9c_chmod(t.c, 1, 04400));
    ok(p9c_write(t.c, 1, 4, "more", 4, &n));
    g_assert_cmpint(stat(path, &st), ==, 0);
    g_assert_cmpint(st.st_size, ==, 8);

    /* Another fid on it, which is open for reading, cannot. */
    ok(p9c_walk_to(t.c, AS_ALICE, 2, "home/f"));
    ok(p9c_lopen(t.c, 2, P9C_O_RDONLY, NULL, NULL));
    fails(p9c_setattr(t.c, 2, &cut), EACCES);
    ok(p9c_clunk(t.c, 2));
    ok(p9c_clunk(t.c, 1));
    stop(&t);
}

#define SLOT        5

static int host_lock(const char *dir, const char *name)
{
    g_autofree char *path = g_build_filename(dir, name, NULL);
    struct flock fl = { .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_len = 4 };
    int fd = open(path, O_RDWR | O_CLOEXEC);
    int ret;

    g_assert_cmpint(fd, >=, 0);
    ret = fcntl(fd, F_OFD_SETLK, &fl) < 0 ? errno : 0;
    close(fd);
    return ret;
}

/* The destination has each user's rights, and none of the guest's root. */
static void test_move(void *obj, void *data, QGuestAllocator *alloc)
{
    g_autofree char *dir = NULL;
    g_autofree char *options = NULL;
    g_autofree char *args = NULL;
    g_autofree char *error = NULL;
    QTestState *to;
    char buf[4];
    uint32_t n;
    Test t;

    if (!has_users()) {
        return;
    }
    dir = p9_host_make_folder();
    g_assert_cmpint(chmod(dir, 0755), ==, 0);
    put(dir, "home", S_IFDIR | 0700, ALICE);
    put(dir, "home/sub", S_IFDIR | 0700, ALICE);
    put(dir, "home/sub/open", S_IFREG | 0600, ALICE);
    put(dir, "home/sub/shut", S_IFREG | 0600, ALICE);
    options = g_strdup_printf("-fsdev proxy,id=share,path=%s,act-as=guest,"
                              "modcaps=" POWERLESS " -m 128M "
                              "-device virtio-9p-pci,fsdev=share,"
                              "mount_tag=tag,addr=" stringify(SLOT), dir);
    p9_machine_start(&t.m, options);
    t.dev = qvirtio_9p_pci_new(t.m.bus, &t.m.alloc, QPCI_DEVFN(SLOT, 0));
    t.c = p9c_new(&t.dev->v9p);
    p9c_session(t.c);
    ok(p9c_attach(t.c, AS_ALICE, ALICE, NULL));
    ok(p9c_attach(t.c, AS_BOB, BOB, NULL));
    ok(p9c_walk_to(t.c, AS_ALICE, 1, "home/sub/open"));
    ok(p9c_lopen(t.c, 1, P9C_O_RDWR, NULL, NULL));
    g_assert_cmpint(lock_as(t.c, 1, P9C_LOCK_WRLCK, 0), ==, P9C_LOCK_SUCCESS);
    ok(p9c_walk_to(t.c, AS_ALICE, 2, "home/sub/shut"));
    ok(p9c_walk_to(t.c, AS_BOB, 3, "home"));

    args = g_strdup_printf("-machine pc -nodefaults %s", options);
    to = p9_move_new(args, NULL);
    error = p9_move(t.m.qts, to);
    g_assert_cmpstr(error, ==, NULL);
    p9_machine_move(&t.m, to);
    p9_move_client(t.c, &t.dev->v9p);

    ok(p9c_write(t.c, 1, 0, "more", 4, &n));
    ok(p9c_read(t.c, 1, 0, 4, buf, &n));
    g_assert_cmpmem(buf, n, "more", 4);
    g_assert_cmpint(host_lock(dir, "home/sub/open"), ==, EAGAIN);
    ok(p9c_lopen(t.c, 2, P9C_O_RDWR, NULL, NULL));
    fails(p9c_walk_to(t.c, 3, 4, "sub"), EACCES);
    ok(p9c_walk_to(t.c, ROOT, 4, "home"));
    fails(p9c_walk_to(t.c, 4, 5, "sub"), EACCES);

    p9c_free(t.c);
    qvirtio_9p_pci_free(t.dev);
    p9_machine_end(&t.m);
    p9_host_remove(dir);
}

static void register_tests(void)
{
    static const struct {
        const char *name;
        QOSTestFunc fn;
    } tests[] = {
        { "act-as/users", test_users },
        { "act-as/messages", test_messages },
        { "act-as/locks", test_locks },
        { "act-as/open", test_open },
        { "act-as/move", test_move },
    };
    unsigned i;

    for (i = 0; i < ARRAY_SIZE(tests); i++) {
        qos_add_test(tests[i].name, "virtio-9p-pci", tests[i].fn, NULL);
    }
}
libqos_init(register_tests);
