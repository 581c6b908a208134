/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Tests of the local driver on a real directory: nodes that outlive their
 * descriptors, and names that change.
 */
#include "qemu/osdep.h"
#include <sys/resource.h>
#include "hw/9pfs/host/file.h"
#include "local-fixture.h"

/*
 * Nodes without handles
 */

/* As many nodes as there are, and few descriptors */
static void test_budget(void)
{
    enum { DIRS = 20, FILES = 100 };
    FsNode *nodes[DIRS * FILES];
    uint64_t inos[DIRS * FILES];
    int before = open_fds();
    int i, d, closed = 0;
    Test t;

    setup(&t);
    for (d = 0; d < DIRS; d++) {
        g_autofree char *dir = g_strdup_printf("d%d", d);

        put_dir(&t, dir);
        for (i = 0; i < FILES; i++) {
            g_autofree char *name = g_strdup_printf("d%d/%d", d, i);

            put_file(&t, name);
            inos[d * FILES + i] = ino_of(&t, name);
            nodes[d * FILES + i] = walk(&t, name);
            g_assert_cmpint(open_fds() - before, <, FEW_FDS * 3 / 4);
        }
    }
    for (i = 0; i < ARRAY_SIZE(nodes); i++) {
        closed += is_closed(nodes[i]);
    }
    g_assert_cmpint(closed, >, ARRAY_SIZE(nodes) - FEW_FDS / 2 - 1);
    /* In order, and all over the place */
    for (i = 0; i < ARRAY_SIZE(nodes); i++) {
        assert_ino(nodes[i], inos[i]);
    }
    for (i = 0; i < ARRAY_SIZE(nodes); i++) {
        int k = i * 1237 % ARRAY_SIZE(nodes);

        assert_ino(nodes[k], inos[k]);
        g_assert_cmpint(open_fds() - before, <, FEW_FDS * 3 / 4);
    }
    for (i = 0; i < ARRAY_SIZE(nodes); i++) {
        fs_node_unref(nodes[i]);
    }
    finish(&t);
}

/* Open files have the room of handles, until there is none */
static void test_files(void)
{
    FsFile *files[FEW_FDS];
    FsNode *node;
    Op op = { .flags = O_RDONLY };
    Test t;
    int n;

    setup(&t);
    put_file(&t, "f");
    node = op.node = walk(&t, "f");
    for (n = 0; n < FEW_FDS && op_run(&op, run_open) == 0; n++) {
        files[n] = op.file;
    }
    g_assert_cmpint(op.ret, ==, -ENFILE);
    g_assert_cmpint(n, >=, FEW_FDS / 2);
    op.file = NULL;
    while (n) {
        fs_file_unref(files[--n]);
    }
    g_assert_cmpint(op_run(&op, run_open), ==, 0);
    /* The open file is as good as a handle */
    squeeze();
    g_assert_true(is_closed(node));
    g_assert_cmpint(op_run(&op, run_getattr), ==, 0);
    g_assert_true(is_closed(node));
    g_assert_cmpuint(op.attr.ino, ==, ino_of(&t, "f"));
    fs_file_unref(op.file);
    fs_node_unref(node);
    finish(&t);
}

/* Other parts of the process have the rest of the descriptors. */
static void test_no_fds(void)
{
    int fds[FEW_FDS], n, i;
    FsNode *nodes[20];
    Test t;

    setup(&t);
    for (i = 0; i < ARRAY_SIZE(nodes); i++) {
        g_autofree char *name = g_strdup_printf("%d", i);

        put_file(&t, name);
    }
    for (i = 0; i < ARRAY_SIZE(nodes) / 2; i++) {
        g_autofree char *name = g_strdup_printf("%d", i);

        nodes[i] = walk(&t, name);
    }
    for (n = 0; n < FEW_FDS; n++) {
        fds[n] = dup(t.fd);
        if (fds[n] < 0) {
            break;
        }
    }
    g_assert_cmpint(n, <, FEW_FDS);
    for (; i < ARRAY_SIZE(nodes); i++) {
        g_autofree char *name = g_strdup_printf("%d", i);

        nodes[i] = walk(&t, name);
    }
    for (i = 0; i < ARRAY_SIZE(nodes); i++) {
        g_autofree char *name = g_strdup_printf("%d", i);

        assert_content(nodes[i], name);
        fs_node_unref(nodes[i]);
    }
    while (n) {
        close(fds[--n]);
    }
    finish(&t);
}

/* A directory above is renamed, by the guest */
static void test_rename_above(void)
{
    FsNode *node, *dir, *entry_of;
    FsEntry *entry;
    uint64_t ino;
    Test t;

    setup(&t);
    put_dir(&t, "a");
    put_dir(&t, "a/b");
    put_dir(&t, "a/b/c");
    put_file(&t, "a/b/c/f");
    put_dir(&t, "z");
    ino = ino_of(&t, "a/b/c/f");
    node = walk(&t, "a/b/c/f");
    dir = walk(&t, "z");

    squeeze();
    g_assert_true(is_closed(node));
    g_assert_cmpint(rename_(t.fs.root, "a", t.fs.root, "y"), ==, 0);
    squeeze();
    assert_ino(node, ino);
    g_assert_cmpint(rename_(t.fs.root, "y", dir, "x"), ==, 0);
    squeeze();
    assert_ino(node, ino);
    /* The file itself, with an entry that a fid would hold */
    entry_of = walk(&t, "z/x/b/c");
    entry = fs_entry_get(&t.fs, entry_of, "f", node);
    g_assert_cmpint(rename_(entry_of, "f", t.fs.root, "g"), ==, 0);
    g_assert_true(fs_entry_is(entry, t.fs.root, "g"));
    squeeze();
    assert_ino(node, ino);
    assert_content(node, "a/b/c/f");
    fs_entry_put(entry);
    fs_node_unref(entry_of);
    fs_node_unref(node);
    fs_node_unref(dir);
    finish(&t);
}

/* The same by the host: found by a newer name, or not at all */
static void test_rename_behind(void)
{
    FsNode *node, *again;
    FsEntry *entry;
    uint64_t ino;
    FsAttr attr;
    Test t;
    bool memo;

    setup(&t);
    memo = local_fs(t.fs.root)->handles.mount_fd >= 0;
    put_dir(&t, "a");
    put_file(&t, "a/f");
    ino = ino_of(&t, "a/f");
    node = walk(&t, "a/f");
    squeeze();
    g_assert_cmpint(renameat(t.fd, "a", t.fd, "b"), ==, 0);
    put_dir(&t, "a");
    put_file(&t, "a/f");
    if (memo) {
        assert_ino(node, ino);
    } else {
        g_assert_cmpint(getattr(node, &attr), ==, -ESTALE);
        /* Nothing is lost by that */
        g_assert_cmpint(getattr(node, &attr), ==, -ESTALE);
    }
    again = walk(&t, "b/f");
    g_assert_true(again == node);
    fs_node_unref(again);
    squeeze();
    assert_ino(node, ino);

    /* Another name that is held */
    again = walk(&t, "b");
    entry = fs_entry_get(&t.fs, again, "g", node);
    fs_node_unref(again);
    squeeze();
    g_assert_cmpint(renameat(t.fd, "b/f", t.fd, "b/g"), ==, 0);
    assert_ino(node, ino);
    fs_entry_put(entry);
    fs_node_unref(node);
    finish(&t);
}

/* The host moved the file of a rename, which must not wait for itself. */
static void test_rename_stale(void)
{
    FsNode *over, *dir;
    uint64_t ino;
    Test t;
    bool memo;

    setup(&t);
    memo = local_fs(t.fs.root)->handles.mount_fd >= 0;
    put_file(&t, "f");
    put_file(&t, "over");
    put_dir(&t, "dir");
    put_file(&t, "dir/g");
    over = walk(&t, "over");
    dir = walk(&t, "dir");
    squeeze();
    g_assert_cmpint(renameat(t.fd, "over", t.fd, "else"), ==, 0);
    put_file(&t, "over");
    g_assert_cmpint(renameat(t.fd, "dir", t.fd, "moved"), ==, 0);
    ino = ino_of(&t, "f");

    g_assert_cmpint(rename_(t.fs.root, "f", t.fs.root, "over"), ==, 0);
    g_assert_cmpuint(ino_of(&t, "over"), ==, ino);
    g_assert_cmpint(rename_(dir, "g", t.fs.root, "g"), ==, memo ? 0 : -ESTALE);
    g_assert_cmpint(rename_(t.fs.root, "over", dir, "h"), ==,
                    memo ? 0 : -ESTALE);
    g_assert_true(fs_entries_current(&t.fs));
    fs_node_unref(over);
    fs_node_unref(dir);
    finish(&t);
}

/* A file whose name is gone, in each way in which it can go */
static void test_unlinked(void)
{
    FsNode *removed, *over, *dir, *behind, *name_left;
    Op op = { };
    FsEntry *entry;
    uint64_t ino;
    FsAttr attr;
    Test t;

    setup(&t);
    put_file(&t, "removed");
    put_file(&t, "over");
    put_file(&t, "new");
    put_file(&t, "behind");
    put_file(&t, "one");
    g_assert_cmpint(linkat(t.fd, "one", t.fd, "two", 0), ==, 0);
    put_dir(&t, "dir");
    removed = walk(&t, "removed");
    over = walk(&t, "over");
    behind = walk(&t, "behind");
    dir = walk(&t, "dir");
    name_left = walk(&t, "one");
    entry = fs_entry_get(&t.fs, t.fs.root, "two", name_left);
    ino = ino_of(&t, "one");
    g_assert_true(walk(&t, "two") == name_left);
    fs_node_unref(name_left);

    squeeze();
    g_assert_cmpint(unlink_(t.fs.root, "removed", false), ==, 0);
    g_assert_cmpint(rename_(t.fs.root, "new", t.fs.root, "over"), ==, 0);
    g_assert_cmpint(unlink_(t.fs.root, "dir", true), ==, 0);
    g_assert_cmpint(unlink_(t.fs.root, "one", false), ==, 0);
    assert_ino(behind, ino_of(&t, "behind"));
    g_assert_cmpint(unlinkat(t.fd, "behind", 0), ==, 0);
    squeeze();

    g_assert_cmpint(getattr(removed, &attr), ==, 0);
    g_assert_cmpuint(attr.nlink, ==, 0);
    assert_content(removed, "removed");
    g_assert_cmpint(getattr(over, &attr), ==, 0);
    g_assert_cmpuint(attr.nlink, ==, 0);
    assert_content(over, "over");
    g_assert_cmpint(getattr(behind, &attr), ==, 0);
    g_assert_cmpuint(attr.nlink, ==, 0);
    assert_content(behind, "behind");
    g_assert_cmpint(getattr(dir, &attr), ==, 0);
    g_assert_true(S_ISDIR(attr.mode));
    g_assert_true(is_closed(name_left));
    assert_ino(name_left, ino);
    assert_content(name_left, "one");

    /* They can be changed as any other */
    op.node = removed;
    op.set = (FsSetAttr) { .valid = FS_SET_MODE | FS_SET_SIZE, .mode = 0400,
                           .size = 2 };
    g_assert_cmpint(op_run(&op, run_setattr), ==, 0);
    g_assert_cmpint(getattr(removed, &attr), ==, 0);
    g_assert_cmpuint(attr.mode, ==, S_IFREG | 0400);
    g_assert_cmpuint(attr.size, ==, 2);

    /* A name that is known to be another one's now is not removed */
    op = (Op) { .node = t.fs.root, .names = { "over" }, .other = over };
    g_assert_cmpint(op_run(&op, run_unlink), ==, -ESTALE);

    fs_entry_put(entry);
    fs_node_unref(removed);
    fs_node_unref(over);
    fs_node_unref(behind);
    fs_node_unref(dir);
    fs_node_unref(name_left);
    finish(&t);
}

/* The last name that was known goes, and there is another one yet */
static void test_linked(void)
{
    Op op = { .names = { "two" } };
    FsEntry *two, *three;
    FsNode *node, *again;
    uint64_t ino;
    Test t;

    setup(&t);
    put_file(&t, "one");
    ino = ino_of(&t, "one");
    node = walk(&t, "one");
    op.node = node;
    op.other = t.fs.root;
    g_assert_cmpint(op_run(&op, run_link), ==, 0);
    g_assert_cmpint(unlink_(t.fs.root, "one", false), ==, 0);
    squeeze();
    g_assert_false(is_closed(node));
    assert_ino(node, ino);
    again = walk(&t, "two");
    g_assert_true(again == node);
    fs_node_unref(again);
    squeeze();
    g_assert_true(is_closed(node));
    assert_ino(node, ino);

    /* rename(2) leaves two names of one file alone */
    op.names[0] = "three";
    g_assert_cmpint(op_run(&op, run_link), ==, 0);
    two = fs_entry_get(&t.fs, t.fs.root, "two", node);
    three = fs_entry_get(&t.fs, t.fs.root, "three", node);
    g_assert_cmpint(rename_(t.fs.root, "three", t.fs.root, "two"), ==, 0);
    g_assert_false(two->gone);
    g_assert_false(three->gone);
    fs_entry_put(two);
    fs_entry_put(three);
    fs_node_unref(node);
    finish(&t);
}

/* Makes @name anew until it has the inode number @ino, if it ever does. */
static bool reuse_ino(Test *t, const char *name, bool dir, uint64_t ino)
{
    int i;

    for (i = 0; i < 200; i++) {
        g_autofree char *spare = g_strdup_printf("spare%d", i);

        if (dir) {
            put_dir(t, name);
        } else {
            put_file(t, name);
        }
        if (ino_of(t, name) == ino) {
            return true;
        }
        g_assert_cmpint(renameat(t->fd, name, t->fd, spare), ==, 0);
    }
    g_test_skip("the file system does not use inode numbers again");
    return false;
}

/* Another file got the inode number while the handle was closed */
static void reused(bool dir)
{
    FsNode *old, *new;
    struct statx stx;
    uint64_t ino;
    FsAttr attr;
    Test t;

    setup(&t);
    put_file(&t, "f");
    ino = ino_of(&t, "f");
    g_assert_cmpint(statx(t.fd, "f", 0, STATX_BTIME, &stx), ==, 0);
    old = walk(&t, "f");
    squeeze();
    g_assert_true(is_closed(old));
    g_assert_cmpint(unlinkat(t.fd, "f", 0), ==, 0);
    if (!dir && !(stx.stx_mask & STATX_BTIME)) {
        g_test_skip("the file system does not know when files were made");
    } else if (reuse_ino(&t, "f", dir, ino)) {
        new = walk(&t, "f");
        g_assert_true(new != old);
        g_assert_true(old->detached);
        g_assert_false(new->detached);
        assert_ino(new, ino);
        g_assert_cmpint(getattr(old, &attr), ==, -ESTALE);
        fs_node_unref(new);
    }
    fs_node_unref(old);
    finish(&t);
}

static void test_reused_type(void)
{
    reused(true);
}

static void test_reused_same_type(void)
{
    reused(false);
}

/* Deeper than any stack, and than there are descriptors */
static void test_deep(void)
{
    enum { LEVELS = 5000 };
    FsNode *node, *next;
    uint64_t ino = 0;
    FsAttr attr;
    int at, i, fd;
    Test t;

    setup(&t);
    node = fs_node_ref(t.fs.root);
    at = dup(t.fd);
    for (i = 0; i < LEVELS; i++) {
        g_assert_cmpint(mkdirat(at, "d", 0755), ==, 0);
        fd = openat(at, "d", O_PATH);
        g_assert_cmpint(fd, >=, 0);
        close(at);
        at = fd;
        if (i % 10 == 9) {
            next = walk_from(node, "d/d/d/d/d/d/d/d/d/d");
            fs_node_unref(node);
            node = next;
        }
    }
    g_assert_cmpint(hostfs_getattr(at, &attr), ==, 0);
    ino = attr.ino;
    close(at);
    g_assert_cmpuint(fs_nodes_count(&t.fs.nodes), ==, LEVELS + 1);
    squeeze();
    assert_ino(node, ino);
    /* Above it, too, with a name that changed at the top */
    g_assert_cmpint(rename_(t.fs.root, "d", t.fs.root, "e"), ==, 0);
    squeeze();
    assert_ino(node, ino);
    fs_node_unref(node);
    finish(&t);
}

/*
 * The host reverses the order of directories: the upper one is below now.
 * References that run in a circle would leave nodes behind. finish() looks for
 * those after each stage, because the next stage may correct them.
 */
static void circle(int stages)
{
    FsEntry *ea = NULL, *eb = NULL;
    FsNode *a, *b, *again;
    uint64_t ino_a, ino_b;
    Test t;

    setup(&t);
    put_dir(&t, "a");
    put_dir(&t, "a/b");
    ino_a = ino_of(&t, "a");
    ino_b = ino_of(&t, "a/b");
    a = walk(&t, "a");
    b = walk_from(a, "b");

    /* By the host alone, seen by walking */
    g_assert_cmpint(renameat(t.fd, "a/b", t.fd, "b"), ==, 0);
    g_assert_cmpint(renameat(t.fd, "a", t.fd, "b/a"), ==, 0);
    again = walk_from(b, "a");
    g_assert_true(again == a);
    fs_node_unref(again);

    if (stages > 1) {
        again = walk(&t, "b");
        g_assert_true(again == b);
        fs_node_unref(again);
        squeeze();
        assert_ino(a, ino_a);
        assert_ino(b, ino_b);

        /* The host takes them apart, and the guest puts one into the other */
        g_assert_cmpint(renameat(t.fd, "b/a", t.fd, "a"), ==, 0);
        if (stages > 2) {
            /* With entries that fids hold */
            eb = fs_entry_get(&t.fs, t.fs.root, "b", b);
            ea = fs_entry_get(&t.fs, t.fs.root, "a", a);
        }
        g_assert_cmpint(rename_(t.fs.root, "b", a, "b"), ==, 0);
    }
    if (stages > 2) {
        g_assert_true(fs_entry_is(eb, a, "b"));
        squeeze();
        assert_ino(a, ino_a);
        assert_ino(b, ino_b);
    }
    if (ea) {
        fs_entry_put(ea);
        fs_entry_put(eb);
    }
    fs_node_unref(a);
    fs_node_unref(b);
    finish(&t);
}

static void test_circle(void)
{
    circle(1);
    circle(2);
    circle(3);
}

/* Files are found while directories above them are being renamed. */
static void test_rename_race(void)
{
    enum { ROUNDS = 300, FILES = 8 };
    static const char *const as[] = { "one", "two", "three" };
    FsNode *nodes[FILES];
    uint64_t inos[FILES];
    Op ren = { .done = true };
    Op get[FILES] = { };
    Test t;
    int i, k;

    setup(&t);
    put_dir(&t, "one");
    put_dir(&t, "one/d");
    for (i = 0; i < FILES; i++) {
        g_autofree char *name = g_strdup_printf("one/d/%d", i);

        put_file(&t, name);
        inos[i] = ino_of(&t, name);
        nodes[i] = walk(&t, name);
    }
    for (k = 0; k < ROUNDS; k++) {
        /* The rename first, so that it is on its way when they start */
        ren = (Op) { .node = t.fs.root, .other = t.fs.root,
                     .names = { as[k % 3], as[(k + 1) % 3] } };
        squeeze();
        op_start(&ren, run_rename);
        for (i = 0; i < FILES; i++) {
            get[i] = (Op) { .node = nodes[i] };
            op_start(&get[i], run_getattr);
        }
        for (i = 0; i < FILES; i++) {
            g_assert_cmpint(op_wait(&get[i]), ==, 0);
            g_assert_cmpuint(get[i].attr.ino, ==, inos[i]);
        }
        g_assert_cmpint(op_wait(&ren), ==, 0);
    }
    for (i = 0; i < FILES; i++) {
        fs_node_unref(nodes[i]);
    }
    finish(&t);
}

static void add_tests(void)
{
    add_both("budget", test_budget);
    add_both("files", test_files);
    add_both("no-fds", test_no_fds);
    add_both("rename-above", test_rename_above);
    add_both("rename-behind", test_rename_behind);
    add_both("rename-stale", test_rename_stale);
    add_both("unlinked", test_unlinked);
    add_both("linked", test_linked);
    add_both("reused-type", test_reused_type);
    add_both("reused-same-type", test_reused_same_type);
    add_both("deep", test_deep);
    add_both("circle", test_circle);
    add_both("rename-race", test_rename_race);
}

int main(int argc, char **argv)
{
    return local_test_main(&argc, &argv, add_tests);
}
