/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Tests of the proxy driver with real helpers: a node of one export is saved
 * and restored in another one of the same directory, as by a migration. Nodes
 * are found by name, so each has one. The test has the loader's part in
 * entries.
 */
#include "qemu/osdep.h"
#include "qapi/error.h"
#include "fsdev/shared/hostfs.h"
#include "hw/9pfs/host/file.h"
#include "driver-fixture.h"

/* The two ends of a migration */
typedef struct Pair {
    DriverTest from;
    DriverTest to;
} Pair;

static void open_end(DriverTest *t, bool donate)
{
    FsdevProxyOptions o = {
        .path = folder, .helper = getenv("VIRTFS_PROXY_HELPER"),
        .has_donate = true, .donate = donate,
        .has_protocol = true, .protocol = 2,
        /* QEMU looks at a ring in other ways when its loop sleeps. */
        .has_ring = true, .ring = ON_OFF_AUTO_OFF,
    };

    driver_test_start(t);
    t->fs.migration = FSDEV_MIGRATION_AUTO;
    driver_test_open(t, &o);
}

static void close_end(DriverTest *t)
{
    g_assert_cmpuint(fs_nodes_count(&t->fs.nodes), ==, 1);
    g_assert_cmpuint(fs_nodes_count_entries(&t->fs.nodes), ==, 0);
    notifier_remove(&t->on_helper);
    proxy->close(&t->fs);
}

static void start(Pair *p, bool donate)
{
    open_end(&p->from, donate);
    open_end(&p->to, donate);
}

static void end(Pair *p)
{
    close_end(&p->to);
    close_end(&p->from);
}

/* The folder's file or directory of that name; removes what was there. */
static void put(const char *name, const char *content)
{
    g_autofree char *path = in_folder(name);

    remove(path);
    if (content) {
        g_assert_true(g_file_set_contents(path, content, -1, NULL));
    } else {
        g_assert_cmpint(mkdir(path, 0755), ==, 0);
    }
}

static void rename_on_host(const char *name, const char *as)
{
    g_autofree char *from = in_folder(name);
    g_autofree char *to = in_folder(as);

    g_assert_cmpint(rename(from, to), ==, 0);
}

static void remove_on_host(const char *name)
{
    g_autofree char *path = in_folder(name);

    g_assert_cmpint(remove(path), ==, 0);
}

/* Up to three names with "/" between them */
static FsNode *walk_from(FsNode *dir, const char *path)
{
    g_auto(GStrv) names = g_strsplit(path, "/", 3);
    DriverOp op = { };

    for (; names[op.n]; op.n++) {
        op.names[op.n] = names[op.n];
    }
    op_start(&op, run_walk, dir);
    g_assert_cmpint(op_wait(&op), ==, 0);
    fs_node_unref(op.walk.parent);
    return op.walk.node;
}

static FsNode *walk(DriverTest *t, const char *path)
{
    return walk_from(t->fs.root, path);
}

static int getattr(FsNode *node, FsAttr *attr)
{
    DriverOp op = { };

    op_start(&op, run_getattr, node);
    op_wait(&op);
    *attr = op.attr;
    return op.ret;
}

static void assert_stale(FsNode *node)
{
    FsAttr attr;

    g_assert_cmpint(getattr(node, &attr), ==, -ESTALE);
    g_assert_cmpint(getattr(node, &attr), ==, -ESTALE);
}

static void assert_content(FsNode *node, const char *content)
{
    DriverOp op = { .flags = O_RDONLY };
    char buf[16] = "";

    op_start(&op, run_open, node);
    g_assert_cmpint(op_wait(&op), ==, 0);
    g_assert_cmpint(pread(host_file_fd(op.file), buf, sizeof(buf) - 1, 0), ==,
                    strlen(content));
    g_assert_cmpstr(buf, ==, content);
    fs_file_unref(op.file);
}

static FsNodeState save(FsNode *node)
{
    FsNodeState state = {
        .dev = node->dev, .ino = node->ino, .type = node->type,
    };

    proxy->save_node(node, &state);
    return state;
}

/* The state as a node of @t, which is @name in @dir unless that is NULL */
static FsNode *restore_at(DriverTest *t, const FsNodeState *state,
                          FsNode *dir, const char *name)
{
    FsNode *node = proxy->restore_node(&t->fs, state);

    g_assert_nonnull(node);
    if (dir) {
        fs_node_set_where(node, fs_entry_get(&t->fs, dir, name, node));
    }
    return node;
}

/* The node of the other end for @node, which must have names up to the root */
static FsNode *move(Pair *p, FsNode *node)
{
    FsEntry *where = fs_node_where(node);
    FsNodeState state = save(node);
    g_autoptr(FsNode) dir = NULL;
    FsNode *moved;

    if (node == p->from.fs.root) {
        return fs_node_ref(p->to.fs.root);
    }
    g_assert_nonnull(where);
    moved = fs_node_find(&p->to.fs, node->dev, node->ino);
    if (moved) {
        return moved;
    }
    dir = move(p, where->parent);
    return restore_at(&p->to, &state, dir, where->name);
}

static void found(bool donate)
{
    FsNode *file, *dir, *moved, *other;
    FsAttr attr;
    Pair p;

    put("d", NULL);
    put("d/e", NULL);
    put("d/e/f", "text");
    start(&p, donate);
    file = walk(&p.from, "d/e/f");
    dir = fs_node_ref(fs_node_where(file)->parent);
    moved = move(&p, file);
    g_assert_cmpint(getattr(moved, &attr), ==, 0);
    g_assert_cmpuint(attr.ino, ==, file->ino);
    assert_content(moved, "text");
    other = walk(&p.to, "d/e/f");
    g_assert_true(other == moved);
    fs_node_unref(other);
    fs_node_unref(moved);

    /* A walk from a directory that was never used before */
    moved = move(&p, dir);
    other = walk_from(moved, "f");
    assert_content(other, "text");
    fs_node_unref(other);
    fs_node_unref(moved);

    /* A file that the guest makes has a name, too. */
    {
        DriverOp op = { .flags = O_RDWR, .make = {
            .name = "made", .mode = S_IFREG | 0600, .uid = getuid(),
            .gid = getgid() } };

        op_start(&op, run_create, dir);
        g_assert_cmpint(op_wait(&op), ==, 0);
        fs_file_unref(op.file);
        moved = move(&p, op.dir);
        assert_content(moved, "");
        fs_node_unref(moved);
        fs_node_unref(op.dir);
    }
    remove_on_host("d/e/made");
    fs_node_unref(dir);
    fs_node_unref(file);
    end(&p);
    remove_on_host("d/e/f");
    remove_on_host("d/e");
    remove_on_host("d");
}

static void test_found(void)
{
    found(true);
    found(false);
}

/* A file that lost its name, and got another one from the guest */
static void test_linked(void)
{
    DriverOp op = { .names = { "y" } };
    FsNode *file, *moved;
    FsEntry *entry;
    Pair p;

    put("x", "text");
    start(&p, true);
    file = walk(&p.from, "x");
    op.dir = p.from.fs.root;
    op_start(&op, run_link, file);
    g_assert_cmpint(op_wait(&op), ==, 0);
    op = (DriverOp) { .names = { "x" } };
    entry = fs_entry_find(&p.from.fs, p.from.fs.root, "x");
    op_start(&op, run_unlink, p.from.fs.root);
    g_assert_cmpint(op_wait(&op), ==, 0);
    fs_entry_gone(entry);
    fs_entry_put(entry);
    op = (DriverOp) { .names = { "z" }, .dir = p.from.fs.root };
    op_start(&op, run_link, file);
    g_assert_cmpint(op_wait(&op), ==, 0);
    moved = move(&p, file);
    assert_content(moved, "text");
    fs_node_unref(moved);
    fs_node_unref(file);
    end(&p);
    remove_on_host("y");
    remove_on_host("z");
}

static void stale(bool donate)
{
    FsNodeState state;
    FsNode *file, *moved;
    Pair p;

    put("x", "text");
    put("y", "other");
    start(&p, donate);
    file = walk(&p.from, "x");

    /* Renamed on the host: nothing leads to it. */
    moved = move(&p, file);
    rename_on_host("x", "z");
    assert_stale(moved);
    fs_node_unref(moved);

    /* Another file has its name. */
    rename_on_host("y", "x");
    moved = move(&p, file);
    assert_stale(moved);
    fs_node_unref(moved);
    fs_node_unref(file);

    /* Another type, or another file with its number */
    file = walk(&p.from, "z");
    state = save(file);
    state.type = S_IFDIR;
    moved = restore_at(&p.to, &state, p.to.fs.root, "z");
    assert_stale(moved);
    fs_node_unref(moved);
    state = save(file);
    if (state.born) {
        state.born--;
        moved = restore_at(&p.to, &state, p.to.fs.root, "z");
        assert_stale(moved);
        fs_node_unref(moved);
    }

    /* No name */
    state = save(file);
    moved = restore_at(&p.to, &state, NULL, NULL);
    assert_stale(moved);
    fs_node_unref(moved);
    fs_node_unref(file);
    end(&p);
    remove_on_host("x");
    remove_on_host("z");
}

static void test_stale(void)
{
    stale(true);
    stale(false);
}

int main(int argc, char **argv)
{
    int ret;

    driver_test_init(&argc, &argv);
    driver_folder_make();
    g_test_add_func("/proxy-restore/found", test_found);
    g_test_add_func("/proxy-restore/linked", test_linked);
    g_test_add_func("/proxy-restore/stale", test_stale);
    ret = g_test_run();
    driver_folder_remove();
    return ret;
}
