/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Tests of the local driver with a mapped security model: the model's own
 * names, and views that stay with nodes when names change.
 */
#include "qemu/osdep.h"
#include <sys/xattr.h>
#include "qemu/bswap.h"
#include "local-fixture.h"
#include "../shared/slow-close.h"

/*
 * Mapped models
 */

#define GUEST_UID       1234

/* By the guest: GUEST_UID's, with mode 0640 */
static int make_(FsNode *dir, const char *name, uint32_t type,
                 const char *target)
{
    Op op = { .node = dir, .make = { .name = name, .mode = type | 0640,
                                     .uid = GUEST_UID, .gid = 5,
                                     .target = target } };

    return op_run(&op, run_make);
}

static void assert_mapped(FsNode *node, uint32_t type)
{
    FsAttr attr;

    g_assert_cmpint(getattr(node, &attr), ==, 0);
    g_assert_cmpuint(attr.uid, ==, GUEST_UID);
    g_assert_cmpuint(attr.gid, ==, 5);
    g_assert_cmpuint(attr.mode & S_IFMT, ==, type);
}

/* The model's own names: neither seen nor made nor removed */
static void test_reserved(void)
{
    static const char *const own[] = {
        ".virtfs_metadata", ".virtfs_metadata_root",
    };
    g_autoptr(GHashTable) names = NULL;
    FsNode *dir, *file, *none = NULL;
    unsigned n;
    Test t;
    int i;

    setup_model(&t, FSDEV_SECURITY_MODEL_MAPPED_FILE);
    g_assert_cmpint(make_(t.fs.root, "dir", S_IFDIR, NULL), ==, 0);
    dir = walk(&t, "dir");
    g_assert_cmpint(make_(dir, "f", S_IFREG, NULL), ==, 0);
    file = walk(&t, "dir/f");
    assert_mapped(file, S_IFREG);
    g_assert_cmpint(faccessat(t.fd, "dir/.virtfs_metadata/f", F_OK, 0), ==, 0);

    for (i = 0; i < ARRAY_SIZE(own); i++) {
        g_autofree char *below = g_strdup_printf("dir/%s/f", own[i]);
        Op op = { .node = dir, .names = { own[i] } };

        g_assert_cmpint(try_walk(t.fs.root, below, &none, &n), ==, -ENOENT);
        g_assert_cmpuint(n, ==, 1);
        g_assert_cmpint(try_walk(dir, own[i], &none, &n), ==, -ENOENT);
        g_assert_cmpint(unlink_(dir, own[i], true), ==, -ENOENT);
        g_assert_cmpint(rename_(dir, own[i], dir, "x"), ==, -ENOENT);
        g_assert_cmpint(rename_(dir, "f", dir, own[i]), ==, -EACCES);
        g_assert_cmpint(make_(dir, own[i], S_IFDIR, NULL), ==, -EACCES);
        op.make = (FsMakeArgs) { .name = own[i], .mode = S_IFREG | 0600 };
        op.flags = O_CREAT | O_RDWR;
        g_assert_cmpint(op_run(&op, run_create), ==, -EACCES);
        op.node = file;
        op.other = dir;
        g_assert_cmpint(op_run(&op, run_link), ==, -EACCES);
    }
    names = list(dir, 10);
    g_assert_cmpuint(g_hash_table_size(names), ==, 3);
    g_assert_true(g_hash_table_contains(names, "f"));

    fs_node_unref(file);
    fs_node_unref(dir);
    finish(&t);
}

/* Attributes kept by name move with the name, and are there without one. */
static void mapped(FsdevSecurityModel model)
{
    FsNode *file, *link, *dir, *over, *behind;
    Op op = { };
    char target[16];
    FsAttr attr;
    Test t;

    setup_model(&t, model);
    if (make_(t.fs.root, "dir", S_IFDIR, NULL) == -EOPNOTSUPP) {
        g_test_skip("no user.* attributes on this file system");
        finish(&t);
        return;
    }
    dir = walk(&t, "dir");
    g_assert_cmpint(make_(dir, "file", S_IFREG, NULL), ==, 0);
    g_assert_cmpint(make_(dir, "over", S_IFREG, NULL), ==, 0);
    g_assert_cmpint(make_(dir, "behind", S_IFREG, NULL), ==, 0);
    g_assert_cmpint(make_(dir, "link", S_IFLNK, "target"), ==, 0);
    file = walk(&t, "dir/file");
    over = walk(&t, "dir/over");
    behind = walk(&t, "dir/behind");
    link = walk(&t, "dir/link");
    squeeze();
    assert_mapped(file, S_IFREG);
    assert_mapped(link, S_IFLNK);
    assert_mapped(dir, S_IFDIR);

    g_assert_cmpint(rename_(t.fs.root, "dir", t.fs.root, "new"), ==, 0);
    squeeze();
    assert_mapped(file, S_IFREG);
    g_assert_cmpint(local_node(link)->path_fd.fd, <, 0);
    assert_mapped(link, S_IFLNK);
    op.node = link;
    op.flags = O_RDONLY;
    g_assert_cmpint(op_run(&op, run_open), ==, -ELOOP);
    op.value = (uint8_t *)target;
    op.size = sizeof(target);
    g_assert_cmpint(op_run(&op, run_readlink), ==, 0);
    g_assert_cmpstr(target, ==, "target");

    /* Without a name */
    g_assert_cmpint(rename_(dir, "file", dir, "over"), ==, 0);
    squeeze();
    assert_mapped(over, S_IFREG);
    assert_mapped(file, S_IFREG);
    g_assert_cmpint(unlink_(dir, "over", false), ==, 0);
    g_assert_cmpint(unlink_(dir, "link", false), ==, 0);
    squeeze();
    assert_mapped(file, S_IFREG);
    assert_mapped(link, S_IFLNK);

    /* The host takes the name away: the inode at least is there */
    assert_mapped(behind, S_IFREG);
    g_assert_cmpint(renameat(t.fd, "new/behind", t.fd, "behind"), ==, 0);
    g_assert_cmpint(getattr(behind, &attr), ==, 0);
    g_assert_cmpuint(attr.ino, ==, ino_of(&t, "behind"));

    fs_node_unref(file);
    fs_node_unref(over);
    fs_node_unref(behind);
    fs_node_unref(link);
    fs_node_unref(dir);
    finish(&t);
}

static void test_mapped_xattr(void)
{
    mapped(FSDEV_SECURITY_MODEL_MAPPED_XATTR);
}

static void test_mapped_file(void)
{
    mapped(FSDEV_SECURITY_MODEL_MAPPED_FILE);
}

/* A host process says that a file is another kind of file. */
static void test_retyped(void)
{
    const uint32_t fifo = cpu_to_le32(S_IFIFO | 0600);
    FsNode *file, *again;
    FsAttr attr;
    Test t;
    int fd;

    setup_model(&t, FSDEV_SECURITY_MODEL_MAPPED_XATTR);
    if (make_(t.fs.root, "f", S_IFREG, NULL) == -EOPNOTSUPP) {
        g_test_skip("no user.* attributes on this file system");
        finish(&t);
        return;
    }
    file = walk(&t, "f");
    fd = openat(t.fd, "f", O_RDONLY);
    g_assert_cmpint(fsetxattr(fd, "user.virtfs.mode", &fifo, sizeof(fifo), 0),
                    ==, 0);
    close(fd);
    again = walk(&t, "f");
    g_assert_true(again != file);
    g_assert_cmpuint(again->type, ==, S_IFIFO);
    g_assert_true(file->detached);
    g_assert_cmpint(getattr(file, &attr), ==, -ESTALE);
    g_assert_cmpint(getattr(again, &attr), ==, 0);
    fs_node_unref(file);
    fs_node_unref(again);
    finish(&t);
}

/* A file's own name changes while its attributes, kept by it, are asked for */
static void test_mapped_race(void)
{
    enum { ROUNDS = 300, GETS = 8 };
    static const char *const as[] = { "one", "two", "three" };
    Op get[GETS], change;
    FsNode *node;
    Test t;
    int i, k;

    setup_model(&t, FSDEV_SECURITY_MODEL_MAPPED_FILE);
    g_assert_cmpint(make_(t.fs.root, as[0], S_IFREG, NULL), ==, 0);
    node = walk(&t, as[0]);
    for (k = 0; k <= ROUNDS; k++) {
        change = (Op) { .node = t.fs.root, .names = { as[k % 3],
                                                      as[(k + 1) % 3] } };
        if (k < ROUNDS) {
            change.other = t.fs.root;
        }
        op_start(&change, k < ROUNDS ? run_rename : run_unlink);
        for (i = 0; i < GETS; i++) {
            get[i] = (Op) { .node = node };
            op_start(&get[i], run_getattr);
        }
        for (i = 0; i < GETS; i++) {
            g_assert_cmpint(op_wait(&get[i]), ==, 0);
            g_assert_cmpuint(get[i].attr.uid, ==, GUEST_UID);
        }
        g_assert_cmpint(op_wait(&change), ==, 0);
    }
    assert_mapped(node, S_IFREG);
    fs_node_unref(node);
    finish(&t);
}

/*
 * The view of a file without a name goes with its node. Nothing waits for the
 * close(2) of the view's own file, whose name is gone, too.
 */
static void test_kept_slowly(void)
{
    FsNode *file;
    gint64 start;
    Test t;
    int peer;

    setup_model(&t, FSDEV_SECURITY_MODEL_MAPPED_FILE);
    g_assert_cmpint(make_(t.fs.root, "file", S_IFREG, NULL), ==, 0);
    file = walk(&t, "file");
    g_assert_cmpint(unlink_(t.fs.root, "file", false), ==, 0);
    assert_mapped(file, S_IFREG);
    g_assert_cmpint(local_node(file)->kept, >=, 0);
    peer = slow_close_make(local_node(file)->kept, 5);
    start = g_get_monotonic_time();
    fs_node_unref(file);
    g_assert_cmpint(g_get_monotonic_time() - start, <, 2 * G_USEC_PER_SEC);
    close(peer);
    finish(&t);
}

static void add_tests(void)
{
    g_test_add_func("/local-driver/reserved", test_reserved);
    g_test_add_func("/local-driver/retyped", test_retyped);
    g_test_add_func("/local-driver/kept-slowly", test_kept_slowly);
    add_both("mapped-xattr", test_mapped_xattr);
    add_both("mapped-file", test_mapped_file);
    add_both("mapped-race", test_mapped_race);
}

int main(int argc, char **argv)
{
    return local_test_main(&argc, &argv, add_tests);
}
