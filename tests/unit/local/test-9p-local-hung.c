/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Tests of the local driver with a file system that does not answer below an
 * export: the export's thread must not wait for it, whether it finds it by a
 * name, or in place of one in memory that had the same device number, or takes
 * it for one on storage.
 */
#include "qemu/osdep.h"
#include "qemu/main-loop.h"
#include "../shared/hung-fuse.h"
#include "local-fixture.h"
#include <sys/mount.h>

/* Mounts until the number comes again: others mount, too. */
#define TRIES           100
/* Seconds for an operation to reach the server */
#define PATIENCE        10

static dev_t dev_of(const char *path)
{
    struct stat st;

    g_assert_cmpint(stat(path, &st), ==, 0);
    return st.st_dev;
}

static bool mount_memory(const char *path)
{
    if (mount("none", path, "tmpfs", 0, NULL) < 0) {
        g_autofree char *why = g_strdup_printf("cannot mount here: %s",
                                               strerror(errno));
        g_test_skip(why);
        return false;
    }
    return true;
}

/* The hung file system on @path, with the number @dev; NULL skips the test. */
static HungFuse *mount_as(const char *path, dev_t dev)
{
    unsigned i;

    for (i = 0; i < TRIES; i++) {
        HungFuse *h = hung_fuse_start_or_skip(path);

        if (!h || dev_of(path) == dev) {
            return h;
        }
        hung_fuse_end(h);
    }
    g_test_skip("the kernel does not use the number again");
    return NULL;
}

/* Starts the operation, which must not hold this thread up. */
static void start_in_time(Op *op, void coroutine_fn (*run)(Op *op),
                          HungFuse *h)
{
    HungWatch *w = hung_fuse_watch(h);

    op_start(op, run);
    g_assert_true(hung_fuse_in_time(w));
}

/* A thread closes the last descriptor there. */
static void unmount(const char *path)
{
    gint64 end = g_get_monotonic_time() + 10 * G_USEC_PER_SEC;
    int ret;

    while ((ret = umount(path)) < 0 && errno == EBUSY &&
           g_get_monotonic_time() < end) {
        g_usleep(1000);
    }
    g_assert_cmpint(ret, ==, 0);
}

static void test_remount(void)
{
    g_autofree char *path = NULL;
    FsNode *dir, *again;
    HungFuse *h;
    FsAttr attr;
    dev_t dev;
    Op op;
    Test t;

    setup(&t);
    set_kind(&t, HOST_DEV_MEMORY);
    path = g_strconcat(t.dir, "/there", NULL);
    put_dir(&t, "there");
    if (!mount_memory(path)) {
        finish(&t);
        return;
    }
    dev = dev_of(path);
    dir = walk(&t, "there");
    g_assert_cmpint(getattr(dir, &attr), ==, 0);
    g_assert_cmpint(host_dev_kind(&local_fs(dir)->devs, dev), ==,
                    HOST_DEV_MEMORY);
    fs_node_unref(dir);
    unmount(path);

    h = mount_as(path, dev);
    if (h) {
        again = walk(&t, "there");
        g_assert_cmpint(host_dev_kind(&local_fs(again)->devs, dev), ==,
                        HOST_DEV_REMOTE);
        hung_fuse_hang(h, FUSE_GETATTR, HUNG_ALL);
        op = (Op) { .node = again };
        start_in_time(&op, run_getattr, h);
        g_assert_false(op.done);
        g_assert_true(hung_fuse_wait(h, 1));
        hung_fuse_end(h);
        g_assert_cmpint(op_wait(&op), <, 0);
        fs_node_unref(again);
    }
    g_assert_cmpint(rmdir(path), ==, 0);
    finish(&t);
}

/*
 * What a disk may be slow to read, with a file system that counts as one on
 * storage: the kernel has names and attributes, but no targets and no views.
 */
static const struct SlowDisk {
    const char *path;
    FsdevSecurityModel model;
    unsigned opcode;
    void coroutine_fn (*run)(Op *op);
    const char *node;
    const char *name;           /* for a walk */
} slow_disks[] = {
    { "/9p/local/hung/storage/readlink", FSDEV_SECURITY_MODEL_PASSTHROUGH,
      FUSE_READLINK, run_readlink, "there/link" },
    { "/9p/local/hung/storage/getattr", FSDEV_SECURITY_MODEL_MAPPED_XATTR,
      FUSE_GETXATTR, run_getattr, "there/file" },
    { "/9p/local/hung/storage/walk", FSDEV_SECURITY_MODEL_MAPPED_XATTR,
      FUSE_GETXATTR, run_walk, "there", "file" },
};

static void test_slow_disk(gconstpointer opaque)
{
    const struct SlowDisk *d = opaque;
    g_autofree char *path = NULL;
    uint8_t buf[16];
    HungFuse *h;
    Test t;
    Op op = { .names = { d->name }, .n = 1, .value = buf,
              .size = sizeof(buf) };

    setup_model(&t, d->model);
    path = g_strconcat(t.dir, "/there", NULL);
    put_dir(&t, "there");
    h = hung_fuse_start_or_skip(path);
    if (h) {
        hung_fuse_cache(h, 60);
        host_dev_note(&local_fs(t.fs.root)->devs, dev_of(path),
                      HOST_DEV_STORAGE);
        fs_node_unref(walk(&t, "there/file"));
        op.node = walk(&t, d->node);
        hung_fuse_hang(h, d->opcode, HUNG_ALL);
        start_in_time(&op, d->run, h);
        g_assert_false(op.done);
        g_assert_true(hung_fuse_wait(h, 1));
        hung_fuse_answer(h);
        g_assert_cmpint(op_wait(&op), ==, 0);
        if (op.walk.node) {
            fs_node_unref(op.walk.parent);
            fs_node_unref(op.walk.node);
        }
        fs_node_unref(op.node);
        hung_fuse_end(h);
    }
    g_assert_cmpint(rmdir(path), ==, 0);
    finish(&t);
}

/* Operations that name the mount point, or something below it */
static const struct {
    void coroutine_fn (*run)(Op *op);
    Op op;
} by_name[] = {
    { run_walk, { .names = { "there" }, .n = 1 } },
    { run_walk, { .names = { "there", "file" }, .n = 2 } },
    { run_walk, { .names = { "there", ".." }, .n = 2 } },
    { run_create, { .flags = O_RDWR,
                    .make = { .name = "there", .mode = S_IFREG | 0644 } } },
    { run_make, { .make = { .name = "there", .mode = S_IFDIR | 0755 } } },
    { run_make, { .make = { .name = "there", .mode = S_IFIFO | 0644 } } },
    { run_rename, { .names = { "there", "moved" } } },
    { run_rename, { .names = { "plain", "there" } } },
    { run_unlink, { .names = { "there" }, .flags = true } },
    { run_unlink, { .names = { "there" } } },
};

static void test_names(gconstpointer opaque)
{
    g_autofree char *path = NULL;
    HungFuse *h;
    unsigned i;
    Test t;

    for (i = 0; i < G_N_ELEMENTS(by_name); i++) {
        Op op = by_name[i].op;

        setup_model(&t, GPOINTER_TO_UINT(opaque));
        set_kind(&t, HOST_DEV_MEMORY);
        g_free(path);
        path = g_strconcat(t.dir, "/there", NULL);
        put_dir(&t, "there");
        put_file(&t, "plain");
        h = hung_fuse_start_or_skip(path);
        if (h) {
            hung_fuse_hang(h, FUSE_GETATTR, HUNG_ALL);
            hung_fuse_hang(h, FUSE_GETXATTR, HUNG_ALL);
            hung_fuse_hang(h, FUSE_LOOKUP, HUNG_ALL);
            op.node = op.other = t.fs.root;
            start_in_time(&op, by_name[i].run, h);
            hung_fuse_answer(h);
            op_wait(&op);
            if (op.walk.node) {
                fs_node_unref(op.walk.node);
            }
            if (op.walk.parent) {
                fs_node_unref(op.walk.parent);
            }
            hung_fuse_end(h);
        }
        g_assert_cmpint(rmdir(path), ==, 0);
        finish(&t);
    }
}

/*
 * What waits for the server, and what goes on elsewhere meanwhile. Names of the
 * slow operation are below the mount point, or of that itself.
 */
static const struct {
    const char *name;
    unsigned opcode;
    const char *node;
    void coroutine_fn (*run)(Op *op);
    Op op;
    bool may_end;               /* the kernel may refuse it by itself */
    const char *other;          /* NULL: as node */
} slow[] = {
    { "getattr", FUSE_GETATTR, "there/file", run_getattr },
    { "setattr", FUSE_GETATTR, "there/file", run_setattr,
      { .set = { .valid = FS_SET_MODE, .mode = 0600 } } },
    { "root", FUSE_GETATTR, "there", run_setattr,
      { .set = { .valid = FS_SET_MODE, .mode = 0700 } } },
    { "mkdir", FUSE_MKDIR, "there", run_make,
      { .make = { .name = "new", .mode = S_IFDIR | 0755 } } },
    { "rename", FUSE_LOOKUP, "there/dir", run_rename,
      { .names = { "inner", "moved" } } },
    { "link", FUSE_LOOKUP, "plain", run_link, { .names = { "new" } },
      .other = "there/dir" },
    { "rename-mount", FUSE_GETATTR, "", run_rename,
      { .names = { "plain", "there" } }, true },
    { "unlink", FUSE_LOOKUP, "there/dir", run_unlink,
      { .names = { "inner" } } },
    { "rmdir-mount", FUSE_GETATTR, "", run_unlink,
      { .names = { "there" }, .flags = true }, true },
}, quick[] = {
    { "walk", 0, "", run_walk, { .names = { "plain" }, .n = 1 } },
    { "getattr", 0, "plain", run_getattr },
    { "chmod", 0, "plain", run_setattr,
      { .set = { .valid = FS_SET_MODE, .mode = 0600 } } },
    { "create", 0, "", run_create,
      { .flags = O_RDWR, .make = { "a", S_IFREG | 0644, -1, -1 } } },
    { "mkdir", 0, "", run_make, { .make = { "d", S_IFDIR | 0755, -1, -1 } } },
    { "link", 0, "plain", run_link, { .names = { "linked" } } },
    { "rename", 0, "", run_rename, { .names = { "linked", "b" } } },
    { "replace", 0, "", run_rename, { .names = { "d", "empty" } } },
    { "unlink", 0, "", run_unlink, { .names = { "b" } } },
    { "rmdir", 0, "", run_unlink,
      { .names = { "empty" }, .flags = true } },
};

/* A node for an operation; the caller has a reference. */
static FsNode *node_at(Test *t, const char *path)
{
    return *path ? walk(t, path) : fs_node_ref(t->fs.root);
}

static void end_op(Op *op)
{
    FsNode *const nodes[] = { op->walk.node, op->walk.parent, op->node };
    unsigned i;

    if (op->file) {
        fs_node_unref(op->other);
        fs_file_unref(op->file);
    }
    for (i = 0; i < G_N_ELEMENTS(nodes); i++) {
        if (nodes[i]) {
            fs_node_unref(nodes[i]);
        }
    }
}

/* While slow[i] waits, no operation elsewhere does. */
static void check_elsewhere(Test *t, unsigned i, HungFuse *h)
{
    gint64 end = g_get_monotonic_time() + PATIENCE * G_USEC_PER_SEC;
    Op waits = slow[i].op;
    FsNode *other;
    unsigned j;

    g_test_message("%s", slow[i].name);
    waits.node = node_at(t, slow[i].node);
    other = node_at(t, slow[i].other ? slow[i].other : slow[i].node);
    waits.other = slow[i].run == run_unlink ? NULL : other;
    hung_fuse_hang(h, slow[i].opcode, HUNG_ALL);
    start_in_time(&waits, slow[i].run, h);
    while (!waits.done && !hung_fuse_waiting(h)) {
        g_assert_cmpint(g_get_monotonic_time(), <, end);
        if (!aio_poll(qemu_get_aio_context(), false)) {
            g_usleep(50);
        }
    }
    g_assert_true(!waits.done || slow[i].may_end);
    for (j = 0; j < G_N_ELEMENTS(quick); j++) {
        Op op = quick[j].op;

        g_test_message("- %s", quick[j].name);
        op.node = node_at(t, quick[j].node);
        op.other = quick[j].run == run_unlink ? NULL : t->fs.root;
        start_in_time(&op, quick[j].run, h);
        g_assert_cmpint(op_wait(&op), >=, 0);
        end_op(&op);
    }
    g_assert_true(hung_fuse_waiting(h) >= 1 || slow[i].may_end);
    hung_fuse_answer(h);
    op_wait(&waits);
    end_op(&waits);
    fs_node_unref(other);
}

static const struct ViewTest {
    const char *path;
    FsdevSecurityModel model;
    HostDevKind kind;
} views[] = {
    { "/9p/local/hung/view/passthrough/memory",
      FSDEV_SECURITY_MODEL_PASSTHROUGH, HOST_DEV_MEMORY },
    { "/9p/local/hung/view/mapped-xattr/memory",
      FSDEV_SECURITY_MODEL_MAPPED_XATTR, HOST_DEV_MEMORY },
    { "/9p/local/hung/view/mapped-xattr/storage",
      FSDEV_SECURITY_MODEL_MAPPED_XATTR, HOST_DEV_STORAGE },
    { "/9p/local/hung/view/mapped-file/memory",
      FSDEV_SECURITY_MODEL_MAPPED_FILE, HOST_DEV_MEMORY },
    { "/9p/local/hung/view/mapped-file/storage",
      FSDEV_SECURITY_MODEL_MAPPED_FILE, HOST_DEV_STORAGE },
};

static void test_view(gconstpointer opaque)
{
    const struct ViewTest *v = opaque;
    g_autofree char *path = NULL;
    HungFuse *h;
    unsigned i;
    Test t;

    for (i = 0; i < G_N_ELEMENTS(slow); i++) {
        setup_model(&t, v->model);
        set_kind(&t, v->kind);
        g_free(path);
        path = g_strconcat(t.dir, "/there", NULL);
        put_dir(&t, "there");
        put_dir(&t, "empty");
        put_file(&t, "plain");
        h = hung_fuse_start_or_skip(path);
        if (h) {
            check_elsewhere(&t, i, h);
            hung_fuse_end(h);
        }
        g_assert_cmpint(rmdir(path), ==, 0);
        finish(&t);
    }
}

static void add_tests(void)
{
    unsigned i;

    for (i = 0; i < G_N_ELEMENTS(slow_disks); i++) {
        g_test_add_data_func(slow_disks[i].path, &slow_disks[i],
                             test_slow_disk);
    }
    for (i = 0; i < G_N_ELEMENTS(views); i++) {
        g_test_add_data_func(views[i].path, &views[i], test_view);
    }
    g_test_add_data_func("/9p/local/hung/names/passthrough",
                         GUINT_TO_POINTER(FSDEV_SECURITY_MODEL_PASSTHROUGH),
                         test_names);
    g_test_add_data_func("/9p/local/hung/names/mapped-xattr",
                         GUINT_TO_POINTER(FSDEV_SECURITY_MODEL_MAPPED_XATTR),
                         test_names);
    g_test_add_data_func("/9p/local/hung/names/mapped-file",
                         GUINT_TO_POINTER(FSDEV_SECURITY_MODEL_MAPPED_FILE),
                         test_names);
    g_test_add_func("/9p/local/hung/remount", test_remount);
}

int main(int argc, char **argv)
{
    return local_test_main(&argc, &argv, add_tests);
}
