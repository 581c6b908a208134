/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Tests of the local driver on a real directory: its operations, those that
 * need no other thread, and the options that it refuses.
 */
#include "qemu/osdep.h"
#include "qapi/error.h"
#include "hw/9pfs/host/file.h"
#include "local-fixture.h"

/*
 * Walking
 */

static void check_walk(bool slow)
{
    FsNode *node, *dir, *file, *up = NULL;
    unsigned n;
    Test t;

    setup(&t);
    if (slow) {
        set_kind(&t, HOST_DEV_REMOTE);
    }
    put_dir(&t, "a");
    put_dir(&t, "a/b");
    put_dir(&t, "a/b/c");
    put_file(&t, "a/b/c/f");
    g_assert_cmpint(symlinkat("b", t.fd, "a/link"), ==, 0);

    file = walk(&t, "a/b/c/f");
    assert_ino(file, ino_of(&t, "a/b/c/f"));
    g_assert_cmpuint(file->type, ==, S_IFREG);
    dir = walk(&t, "a/b");
    node = walk_from(dir, "c/f");
    g_assert_true(node == file);
    fs_node_unref(node);

    /* Upwards; the root stays */
    node = walk(&t, "..");
    g_assert_true(node == t.fs.root);
    fs_node_unref(node);
    node = walk(&t, "../a/../../a/b/c/..");
    g_assert_true(node == dir);
    fs_node_unref(node);

    /* As far as it goes */
    g_assert_cmpint(try_walk(t.fs.root, "a/b/x/y", &up, &n), ==, -ENOENT);
    g_assert_cmpuint(n, ==, 2);
    g_assert_cmpint(try_walk(t.fs.root, "x/b", &up, &n), ==, -ENOENT);
    g_assert_cmpuint(n, ==, 0);
    g_assert_cmpint(try_walk(t.fs.root, "a/b/c/f/x", &up, &n), ==, -ENOTDIR);
    g_assert_cmpuint(n, ==, 4);
    g_assert_cmpint(try_walk(t.fs.root, "a/b/c/f/..", &up, &n), ==, -ENOTDIR);
    g_assert_cmpuint(n, ==, 4);
    g_assert_cmpint(try_walk(t.fs.root, "a/link/c", &up, &n), ==, -ENOTDIR);
    g_assert_cmpuint(n, ==, 2);
    g_assert_cmpint(try_walk(t.fs.root, "a/../x/a", &up, &n), ==, -ENOENT);
    g_assert_cmpuint(n, ==, 2);
    g_assert_cmpint(try_walk(file, "x", &up, &n), ==, -ENOTDIR);
    g_assert_cmpuint(n, ==, 0);

    node = walk(&t, "a/link");
    g_assert_cmpuint(node->type, ==, S_IFLNK);
    fs_node_unref(node);
    fs_node_unref(file);
    fs_node_unref(dir);
    finish(&t);
}

static void test_walk(void)
{
    check_walk(false);
}

static void test_walk_slow(void)
{
    check_walk(true);
}

/* 16 names, all of them new to the driver */
static void test_walk_long(void)
{
    g_autoptr(GString) path = g_string_new("d");
    FsNode *node;
    Test t;
    int i;

    setup(&t);
    set_kind(&t, HOST_DEV_REMOTE);
    put_dir(&t, path->str);
    for (i = 1; i < FS_WALK_MAX; i++) {
        g_string_append(path, "/d");
        put_dir(&t, path->str);
    }
    node = walk(&t, path->str);
    g_assert_cmpuint(fs_nodes_count(&t.fs.nodes), ==, FS_WALK_MAX + 1);
    assert_ino(node, ino_of(&t, path->str));
    fs_node_unref(node);
    finish(&t);
}

/*
 * Making and opening
 */

static void test_create(void)
{
    Op op = { .flags = O_CREAT | O_RDWR };
    FsNode *first;
    FsFile *file;
    Test t;

    setup(&t);
    op.node = t.fs.root;
    op.make = (FsMakeArgs) { .name = "f", .mode = S_IFREG | 0640,
                         .uid = geteuid(), .gid = getegid() };
    g_assert_cmpint(op_run(&op, run_create), ==, 0);
    first = op.other;
    file = op.file;
    g_assert_cmpuint(op.attr.ino, ==, ino_of(&t, "f"));
    g_assert_cmpuint(op.attr.mode, ==, S_IFREG | 0640);
    g_assert_cmpint(write(container_of(file, HostFile, file)->fd, "hello", 5),
                    ==, 5);
    assert_content(first, "hello");

    /* What is there already */
    g_assert_cmpint(op_run(&op, run_create), ==, 0);
    g_assert_true(op.other == first);
    fs_node_unref(op.other);
    fs_file_unref(op.file);
    op.flags |= O_EXCL;
    g_assert_cmpint(op_run(&op, run_create), ==, -EEXIST);

    op.make.mode = S_IFIFO | 0600;
    op.make.name = "fifo";
    g_assert_cmpint(op_run(&op, run_make), ==, 0);
    op.other = walk(&t, "fifo");
    g_assert_cmpuint(op.other->type, ==, S_IFIFO);
    op.node = op.other;
    op.flags = O_RDWR;
    g_assert_cmpint(op_run(&op, run_open), ==, -ENXIO);
    fs_node_unref(op.other);

    /* Size by the open file; generation, or that there is none */
    op = (Op) { .node = first, .file = file,
                .set = { .valid = FS_SET_SIZE, .size = 3 } };
    g_assert_cmpint(op_run(&op, run_setattr), ==, 0);
    assert_content(first, "hel");
    if (op_run(&op, run_generation) == 0) {
        uint64_t gen = op.gen;

        op.gen = ~gen;
        g_assert_cmpint(op_run(&op, run_generation), ==, 0);
        g_assert_cmpuint(op.gen, ==, gen);
    } else {
        g_assert_cmpint(op.ret, ==, -EOPNOTSUPP);
    }
    fs_file_unref(file);
    fs_node_unref(first);
    finish(&t);
}

static void test_readonly(void)
{
    FsdevOptions opts = {
        .fsdriver = FSDEV_DRIVER_LOCAL,
        .id = (char *)"test",
        .u.local = { .security_model = FSDEV_SECURITY_MODEL_NONE },
    };
    Op op = { .names = { "f", "g" } };
    Test t;

    setup(&t);
    put_file(&t, "f");
    local->close(&t.fs);
    t.fs = (FsExport) { .id = (char *)"test", .driver = local,
                        .readonly = true };
    opts.u.local.path = t.dir;
    g_assert_true(local->open(&t.fs, &opts, &error_abort));

    op.node = op.other = t.fs.root;
    g_assert_cmpint(op_run(&op, run_rename), ==, -EROFS);
    op.other = NULL;
    g_assert_cmpint(op_run(&op, run_unlink), ==, -EROFS);
    op.make = (FsMakeArgs) { .name = "n", .mode = S_IFDIR | 0700 };
    g_assert_cmpint(op_run(&op, run_make), ==, -EROFS);
    op.node = walk(&t, "f");
    op.flags = O_RDWR;
    g_assert_cmpint(op_run(&op, run_open), ==, -EROFS);
    assert_content(op.node, "f");
    fs_node_unref(op.node);
    finish(&t);
}

static void test_xattr(void)
{
    static const size_t sizes[] = { 0, 1, 255, 256, 257, 2000 };
    Op op = { .names = { "user.test" } };
    uint8_t value[2000];
    FsNode *node;
    Test t;
    int i;

    setup(&t);
    put_file(&t, "f");
    node = op.node = walk(&t, "f");
    memset(value, 'v', sizeof(value));
    g_assert_cmpint(op_run(&op, run_getxattr), <, 0);
    for (i = 0; i < ARRAY_SIZE(sizes); i++) {
        op.value = value;
        op.size = sizes[i];
        if (op_run(&op, run_setxattr) == -EOPNOTSUPP) {
            g_test_skip("no user.* attributes on this file system");
            break;
        }
        g_assert_cmpint(op.ret, ==, 0);
        op.value = NULL;
        g_assert_cmpint(op_run(&op, run_getxattr), ==, 0);
        g_assert_nonnull(op.value);
        g_assert_cmpmem(op.value, op.size, value, sizes[i]);
        g_free(op.value);
    }
    op.names[0] = NULL;
    g_assert_cmpint(op_run(&op, run_getxattr), ==, 0);
    g_assert_nonnull(op.value);
    g_free(op.value);
    fs_node_unref(node);
    finish(&t);
}

static void test_readdir(void)
{
    enum { FILES = 3000 };
    g_autoptr(GHashTable) names = NULL;
    FsNode *dir;
    Test t;
    int i;

    setup(&t);
    put_dir(&t, "d");
    for (i = 0; i < FILES; i++) {
        g_autofree char *name = g_strdup_printf("d/%d-with-a-longer-name", i);

        put_file(&t, name);
    }
    dir = walk(&t, "d");
    names = list(dir, 77);
    g_assert_cmpuint(g_hash_table_size(names), ==, FILES + 2);
    for (i = 0; i < FILES; i++) {
        g_autofree char *name = g_strdup_printf("%d-with-a-longer-name", i);

        g_assert_true(g_hash_table_contains(names, name));
    }
    fs_node_unref(dir);
    finish(&t);
}

/*
 * Options
 */

static void open_fails(FsdevLocalOptions *o, const char *error)
{
    FsdevOptions opts = {
        .fsdriver = FSDEV_DRIVER_LOCAL, .id = (char *)"test", .u.local = *o,
    };
    FsExport fs = { .id = (char *)"test", .driver = local };
    Error *err = NULL;
    int fds = open_fds();

    g_assert_false(local->open(&fs, &opts, &err));
    g_assert_nonnull(err);
    if (!strstr(error_get_pretty(err), error)) {
        g_error("'%s' instead of '%s'", error_get_pretty(err), error);
    }
    error_free(err);
    g_assert_cmpint(open_fds(), ==, fds);
}

#define FAILS(error, ...) \
    open_fails(&(FsdevLocalOptions) { __VA_ARGS__ }, error)

static void test_options(void)
{
    g_autofree char *file = g_build_filename(folder, "file", NULL);
    int fd = open(file, O_CREAT | O_WRONLY, 0600);

    g_assert_cmpint(fd, >=, 0);
    close(fd);
    FAILS("path ''", .path = (char *)"");
    FAILS("path '/nowhere': No such file", .path = (char *)"/nowhere");
    FAILS("is not a directory", .path = file);
    FAILS("fmode=0644: only with", .path = folder, .has_fmode = true,
          .fmode = 0644);
    FAILS("dmode=0755: only with", .path = folder, .has_dmode = true,
          .dmode = 0755, .security_model = FSDEV_SECURITY_MODEL_NONE);
    FAILS("fmode=01644: permission bits", .path = folder, .has_fmode = true,
          .fmode = 01644, .security_model = FSDEV_SECURITY_MODEL_MAPPED);
    FAILS("dmode=010000: permission bits", .path = folder, .has_dmode = true,
          .dmode = 010000,
          .security_model = FSDEV_SECURITY_MODEL_MAPPED_FILE);
    g_assert_cmpint(unlink(file), ==, 0);
}

/*
 * In memory only
 */

/* Without the event loop, so without another thread */
static int op_at_once(Op *op, void coroutine_fn (*run)(Op *op))
{
    op_start(op, run);
    g_assert_true(op->done);
    return op->ret;
}

/* In another thread */
static int op_elsewhere(Op *op, void coroutine_fn (*run)(Op *op))
{
    op_start(op, run);
    g_assert_false(op->done);
    return op_wait(op);
}

/*
 * In memory, what takes no lock of an inode happens at once, unless the model
 * needs names.
 */
static void at_once(FsdevSecurityModel model)
{
    int (*look)(Op *op, void coroutine_fn (*run)(Op *op)) =
        model == FSDEV_SECURITY_MODEL_MAPPED_FILE ? op_elsewhere : op_at_once;
    FsNode *file;
    Test t;
    Op op = { };

    setup_model(&t, model);
    set_kind(&t, HOST_DEV_MEMORY);

    op = (Op) { .node = t.fs.root, .flags = O_RDWR | O_EXCL,
                .make = { .name = "f", .mode = S_IFREG | 0644,
                          .uid = geteuid(), .gid = getegid() } };
    g_assert_cmpint(op_elsewhere(&op, run_create), ==, 0);
    fs_file_unref(op.file);
    file = op.other;
    op = (Op) { .node = file, .set = { .valid = FS_SET_MODE, .mode = 0600 } };
    g_assert_cmpint(op_elsewhere(&op, run_setattr), ==, 0);
    g_assert_cmpint(look(&op, run_getattr), ==, 0);
    g_assert_cmphex(op.attr.mode, ==, S_IFREG | 0600);
    op = (Op) { .node = file, .names = { "user.a" },
                .value = (uint8_t *)"v", .size = 1 };
    g_assert_cmpint(op_elsewhere(&op, run_setxattr), ==, 0);
    g_assert_cmpint(look(&op, run_getxattr), ==, 0);
    g_assert_cmpmem(op.value, op.size, "v", 1);
    g_free(op.value);
    op = (Op) { .node = file, .flags = O_RDWR };
    g_assert_cmpint(op_at_once(&op, run_open), ==, 0);
    fs_file_unref(op.file);
    op.flags |= O_TRUNC;
    g_assert_cmpint(op_elsewhere(&op, run_open), ==, 0);
    fs_file_unref(op.file);
    op = (Op) { .node = t.fs.root, .names = { "f" }, .n = 1 };
    g_assert_cmpint(look(&op, run_walk), ==, 0);
    fs_node_unref(op.walk.node);
    fs_node_unref(op.walk.parent);

    op = (Op) { .node = t.fs.root,
                .make = { .name = "d", .mode = S_IFDIR | 0755,
                          .uid = geteuid(), .gid = getegid() } };
    g_assert_cmpint(op_elsewhere(&op, run_make), ==, 0);
    op = (Op) { .node = file, .other = t.fs.root, .names = { "g" } };
    g_assert_cmpint(op_elsewhere(&op, run_link), ==, 0);
    op = (Op) { .node = t.fs.root, .other = t.fs.root,
                .names = { "g", "h" } };
    g_assert_cmpint(op_elsewhere(&op, run_rename), ==, 0);
    op = (Op) { .node = t.fs.root, .names = { "h" } };
    g_assert_cmpint(op_elsewhere(&op, run_unlink), ==, 0);
    op = (Op) { .node = t.fs.root, .names = { "d" }, .flags = true };
    g_assert_cmpint(op_elsewhere(&op, run_unlink), ==, 0);
    fs_node_unref(file);
    finish(&t);
}

static void test_at_once(void)
{
    Op op = { .names = { "none" }, .n = 1 };
    Test t;

    at_once(FSDEV_SECURITY_MODEL_PASSTHROUGH);

    /* The directory's lock decides about names that are in no cache. */
    setup(&t);
    set_kind(&t, HOST_DEV_MEMORY);
    op.node = t.fs.root;
    g_assert_cmpint(op_elsewhere(&op, run_walk), ==, -ENOENT);
    finish(&t);
}

static void test_at_once_mapped_xattr(void)
{
    at_once(FSDEV_SECURITY_MODEL_MAPPED_XATTR);
}

static void test_at_once_mapped_file(void)
{
    at_once(FSDEV_SECURITY_MODEL_MAPPED_FILE);
}

/* An open that waits for a lease does so in another thread (fcntl(2)). */
static void test_lease(void)
{
    Op op = { .flags = O_RDWR };
    Op cut = { .set = { .valid = FS_SET_SIZE } };
    Op again = { .flags = O_RDWR,
                 .make = { .name = "f", .mode = S_IFREG | 0644,
                           .uid = geteuid(), .gid = getegid() } };
    Op *ops[] = { &op, &cut, &again };
    void coroutine_fn (*run[])(Op *) = { run_open, run_setattr, run_create };
    unsigned i;
    Test t;

    setup(&t);
    set_kind(&t, HOST_DEV_MEMORY);
    put_file(&t, "f");
    op.node = cut.node = walk(&t, "f");
    again.node = t.fs.root;
    signal(SIGIO, SIG_IGN);
    for (i = 0; i < G_N_ELEMENTS(ops); i++) {
        int holder = openat(t.fd, "f", O_RDONLY);

        if (fcntl(holder, F_SETLEASE, F_RDLCK) < 0) {
            g_test_skip("the file system has no leases");
            close(holder);
            break;
        }
        op_start(ops[i], run[i]);
        g_assert_false(ops[i]->done);
        g_assert_cmpint(fcntl(holder, F_SETLEASE, F_UNLCK), ==, 0);
        close(holder);
        g_assert_cmpint(op_wait(ops[i]), ==, 0);
        if (ops[i]->file) {
            g_assert_cmphex(fcntl(container_of(ops[i]->file, HostFile,
                                               file)->fd, F_GETFL) &
                            O_NONBLOCK, ==, 0);
            fs_file_unref(ops[i]->file);
        }
    }
    if (again.other) {
        fs_node_unref(again.other);
    }
    fs_node_unref(op.node);
    finish(&t);
}

static void add_tests(void)
{
    g_test_add_func("/local-driver/at-once", test_at_once);
    g_test_add_func("/local-driver/at-once-mapped-xattr",
                    test_at_once_mapped_xattr);
    g_test_add_func("/local-driver/at-once-mapped-file",
                    test_at_once_mapped_file);
    g_test_add_func("/local-driver/lease", test_lease);
    g_test_add_func("/local-driver/walk", test_walk);
    g_test_add_func("/local-driver/walk-slow", test_walk_slow);
    g_test_add_func("/local-driver/walk-long", test_walk_long);
    g_test_add_func("/local-driver/create", test_create);
    g_test_add_func("/local-driver/readonly", test_readonly);
    g_test_add_func("/local-driver/xattr", test_xattr);
    g_test_add_func("/local-driver/readdir", test_readdir);
    g_test_add_func("/local-driver/options", test_options);
}

int main(int argc, char **argv)
{
    return local_test_main(&argc, &argv, add_tests);
}
