/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Tests of the local driver with a file system that does not answer, mounted in
 * place of one in memory that had the same device number: the export's thread
 * must not wait for it.
 */
#include "qemu/osdep.h"
#include "../shared/hung-fuse.h"
#include "local-fixture.h"
#include <sys/mount.h>

/* Mounts until the number comes again: others mount, too. */
#define TRIES           100
/* Seconds after which a test that waits is ended */
#define PATIENCE        30

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

/* The operation does not hold the thread up, and ends with the server. */
static void op_waits(Op *op, void coroutine_fn (*run)(Op *op))
{
    alarm(PATIENCE);
    op_start(op, run);
    alarm(0);
    g_assert_false(op->done);
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
    g_assert_cmpint(umount(path), ==, 0);

    h = mount_as(path, dev);
    if (h) {
        again = walk(&t, "there");
        g_assert_cmpint(host_dev_kind(&local_fs(again)->devs, dev), ==,
                        HOST_DEV_REMOTE);
        hung_fuse_hang(h, FUSE_GETATTR, HUNG_ALL);
        op = (Op) { .node = again };
        op_waits(&op, run_getattr);
        g_assert_true(hung_fuse_wait(h, 1));
        hung_fuse_end(h);
        g_assert_cmpint(op_wait(&op), <, 0);
        fs_node_unref(again);
    }
    g_assert_cmpint(rmdir(path), ==, 0);
    finish(&t);
}

static void add_tests(void)
{
    g_test_add_func("/9p/local/hung/remount", test_remount);
}

int main(int argc, char **argv)
{
    return local_test_main(&argc, &argv, add_tests);
}
