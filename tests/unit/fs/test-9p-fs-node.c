/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Tests of an export's tables of nodes and entries (hw/9pfs/fs/node.h), with a
 * driver that only counts what it frees.
 */
#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qemu/coroutine.h"
#include "qemu/main-loop.h"
#include "hw/9pfs/fs/call.h"
#include "hw/9pfs/fs/export.h"

/* Too deep for a stack of 8 MiB with a frame per level */
#define DEEP            300000

static unsigned nodes_freed;
static unsigned files_freed;

static void node_free(FsNode *node)
{
    nodes_freed++;
    g_free(node);
}

static void file_free(FsFile *file)
{
    files_freed++;
    g_free(file);
}

static const FsDriver driver = {
    .type = FSDEV_DRIVER_SYNTH,
    .node_free = node_free,
    .file_free = file_free,
};

static FsNode *make_node(FsExport *fs, uint64_t ino, uint32_t type)
{
    const FsAttr attr = { .dev = 7, .ino = ino, .mode = type | 0644 };
    FsNode *node = g_new0(FsNode, 1);

    fs_node_init(node, fs, &attr);
    return node;
}

static void setup(FsExport *fs)
{
    const FsdevOptions opts = { .fsdriver = FSDEV_DRIVER_SYNTH };

    *fs = (FsExport) { .id = (char *)"test", .driver = &driver };
    g_assert_true(fs_export_init(fs, &opts, &error_abort));
    fs->root = make_node(fs, 1, S_IFDIR);
    nodes_freed = 0;
    files_freed = 0;
}

/* Nothing but the root is left. */
static void finish(FsExport *fs)
{
    g_assert_cmpuint(fs_nodes_count(&fs->nodes), ==, 1);
    g_assert_cmpuint(fs_nodes_count_entries(&fs->nodes), ==, 0);
    g_assert_cmpuint(fs->nodes.open_files, ==, 0);
    fs_node_unref(fs->root);
    g_assert_cmpuint(fs_nodes_count(&fs->nodes), ==, 0);
    fs_export_release(fs);
}

static void test_find(void)
{
    FsExport fs;
    FsNode *node, *other;

    setup(&fs);
    g_assert_null(fs_node_find(&fs, 7, 2));
    node = make_node(&fs, 2, S_IFREG);
    g_assert_true(fs_node_find(&fs, 7, 2) == node);
    g_assert_cmpuint(node->refs, ==, 2);
    g_assert_null(fs_node_find(&fs, 8, 2));
    fs_node_unref(node);
    g_assert_cmpuint(nodes_freed, ==, 0);

    /* The number goes to another inode while the old one is held. */
    fs_node_detach(node);
    fs_node_detach(node);
    g_assert_null(fs_node_find(&fs, 7, 2));
    other = make_node(&fs, 2, S_IFDIR);
    fs_node_unref(node);
    g_assert_cmpuint(nodes_freed, ==, 1);
    g_assert_true(fs_node_find(&fs, 7, 2) == other);
    fs_node_unref(other);
    fs_node_unref(other);
    g_assert_cmpuint(nodes_freed, ==, 2);
    finish(&fs);
}

static void test_files(void)
{
    FsFile *file = g_new0(FsFile, 1);
    FsExport fs;
    FsNode *node;

    setup(&fs);
    node = make_node(&fs, 2, S_IFREG);
    fs_file_init(file, node, O_RDWR);
    g_assert_cmpuint(fs.nodes.open_files, ==, 1);
    fs_node_unref(node);
    g_assert_cmpuint(nodes_freed, ==, 0);
    fs_file_unref(fs_file_ref(file));
    g_assert_cmpuint(files_freed, ==, 0);
    fs_file_unref(file);
    g_assert_cmpuint(files_freed, ==, 1);
    g_assert_cmpuint(nodes_freed, ==, 1);
    finish(&fs);
}

static void test_entries(void)
{
    FsEntry *a, *again, *moved;
    FsNode *node, *other;
    FsExport fs;

    setup(&fs);
    node = make_node(&fs, 2, S_IFREG);
    other = make_node(&fs, 3, S_IFREG);
    g_assert_null(fs_entry_find(&fs, fs.root, "a"));
    g_assert_null(fs_entry_node(fs.root, "a"));
    a = fs_entry_get(&fs, fs.root, "a", node);
    again = fs_entry_get(&fs, fs.root, "a", node);
    g_assert_true(a == again);
    g_assert_true(fs_entry_is(a, fs.root, "a"));
    g_assert_false(fs_entry_is(a, fs.root, "b"));
    g_assert_false(fs_entry_is(a, node, "a"));
    g_assert_true(fs_entry_node(fs.root, "a") == node);
    fs_node_unref(node);
    fs_entry_put(again);

    /* Another file has the name now: holders of the entry can see that. */
    moved = fs_entry_get(&fs, fs.root, "a", other);
    g_assert_true(moved != a);
    g_assert_true(a->gone);
    g_assert_false(fs_entry_is(a, fs.root, "a"));
    g_assert_true(fs_node_any_entry(node) == NULL);
    g_assert_true(fs_node_any_entry(other) == moved);

    /* A rename moves the entry for all, and takes the place of another. */
    again = fs_entry_get(&fs, fs.root, "b", node);
    fs_entry_move(moved, fs.root, "b");
    g_assert_true(again->gone);
    g_assert_true(fs_entry_is(moved, fs.root, "b"));
    g_assert_null(fs_entry_find(&fs, fs.root, "a"));
    fs_entry_move(moved, fs.root, "b");
    g_assert_true(fs_entry_is(moved, fs.root, "b"));
    g_assert_cmpuint(fs_nodes_count_entries(&fs.nodes), ==, 1);

    fs_entry_put(a);
    fs_entry_put(again);
    fs_node_unref(node);
    /* Freed nodes leave their entries, which then mean none. */
    fs_node_unref(other);
    g_assert_true(moved->gone);
    g_assert_null(moved->node);
    fs_entry_put(moved);
    finish(&fs);
}

static void test_names(void)
{
    FsEntry *a, *b;
    FsExport fs;
    FsNode *node;

    setup(&fs);
    node = make_node(&fs, 2, S_IFREG);
    g_assert_null(fs_node_where(node));
    g_assert_true(fs_node_has_no_name_but(node, fs.root, "a"));
    a = fs_entry_get(&fs, fs.root, "a", node);
    g_assert_true(fs_node_has_no_name_but(node, fs.root, "a"));
    g_assert_false(fs_node_has_no_name_but(node, fs.root, "b"));
    g_assert_false(fs_node_has_other_entry(node, a));
    b = fs_entry_get(&fs, fs.root, "b", node);
    g_assert_false(fs_node_has_no_name_but(node, fs.root, "a"));
    g_assert_true(fs_node_has_other_entry(node, a));
    g_assert_true(fs_node_has_other_entry(node, b));

    /* A name that is gone is replaced by one that is known. */
    fs_node_init_where(node, fs_entry_ref(a));
    g_assert_true(fs_node_where(node) == a);
    fs_entry_gone(a);
    g_assert_true(fs_node_where(node) == b);
    fs_entry_gone(b);
    g_assert_null(fs_node_where(node));
    g_assert_null(fs_node_where(fs.root));

    fs_entry_put(a);
    fs_entry_put(b);
    fs_node_unref(node);
    finish(&fs);
}

/* A directory that moves below itself on the host makes no circle here. */
static void test_circle(void)
{
    FsNode *up, *down;
    FsExport fs;

    setup(&fs);
    up = make_node(&fs, 2, S_IFDIR);
    down = make_node(&fs, 3, S_IFDIR);
    fs_node_init_where(up, fs_entry_get(&fs, fs.root, "up", up));
    fs_node_init_where(down, fs_entry_get(&fs, up, "down", down));

    fs_node_set_where(up, fs_entry_get(&fs, down, "up", up));
    g_assert_true(fs_node_where(up)->parent == down);
    g_assert_null(fs_node_where(down));

    /* Into itself, and the root anywhere: neither is taken. */
    fs_node_set_where(down, fs_entry_get(&fs, down, "self", down));
    g_assert_null(fs_node_where(down));
    fs_node_set_where(fs.root, fs_entry_get(&fs, up, "root", fs.root));
    g_assert_null(fs.root->where);

    fs_node_unref(up);
    fs_node_unref(down);
    finish(&fs);
}

/* Each node holds the one above it: the last unref frees all, in a loop. */
static void test_deep(void)
{
    FsNode *at, *below;
    FsExport fs;
    unsigned i;

    setup(&fs);
    at = fs_node_ref(fs.root);
    for (i = 0; i < DEEP; i++) {
        below = make_node(&fs, i + 2, S_IFDIR);
        fs_node_init_where(below, fs_entry_get(&fs, at, "d", below));
        fs_node_unref(at);
        at = below;
    }
    g_assert_cmpuint(fs_nodes_count(&fs.nodes), ==, DEEP + 1);
    fs_node_unref(at);
    g_assert_cmpuint(nodes_freed, ==, DEEP);
    finish(&fs);
}

typedef struct Waiter {
    FsExport *fs;
    FsCall call;
    int waited;
    bool done;
} Waiter;

static void coroutine_fn wait_co(void *opaque)
{
    Waiter *waiter = opaque;

    fs_call_begin(&waiter->call);
    waiter->waited = fs_rename_wait(waiter->fs);
    fs_call_end(&waiter->call);
    waiter->done = true;
}

static void coroutine_fn end_co(void *opaque)
{
    fs_names_end(opaque);
}

static void test_rename_wait(void)
{
    FsExport fs;
    Waiter idle = { .fs = &fs };
    Waiter busy = { .fs = &fs };

    setup(&fs);
    qemu_coroutine_enter(qemu_coroutine_create(wait_co, &idle));
    g_assert_true(idle.done);
    g_assert_cmpint(idle.waited, ==, 0);

    fs_names_begin(&fs);
    fs_names_begin(&fs);
    g_assert_false(fs_entries_current(&fs));
    qemu_coroutine_enter(qemu_coroutine_create(wait_co, &busy));
    g_assert_false(busy.done);
    qemu_coroutine_enter(qemu_coroutine_create(end_co, &fs));
    while (!busy.done) {
        main_loop_wait(false);
    }
    g_assert_cmpint(busy.waited, ==, 1);
    g_assert_false(fs_entries_current(&fs));
    qemu_coroutine_enter(qemu_coroutine_create(end_co, &fs));
    g_assert_true(fs_entries_current(&fs));
    finish(&fs);
}

/* A call that is cancelled before, during, or after the change of names */
static void test_rename_cancel(void)
{
    enum { BEFORE, DURING, AFTER, WHEN_END };
    FsExport fs;
    unsigned when;

    for (when = BEFORE; when < WHEN_END; when++) {
        Waiter waiter = { .fs = &fs }, other = { .fs = &fs };

        setup(&fs);
        fs_names_begin(&fs);
        if (when == BEFORE) {
            fs_call_cancel(&waiter.call);
        }
        qemu_coroutine_enter(qemu_coroutine_create(wait_co, &other));
        qemu_coroutine_enter(qemu_coroutine_create(wait_co, &waiter));
        if (when == DURING) {
            fs_call_cancel(&waiter.call);
        }
        g_assert_true(waiter.done == (when != AFTER));
        g_assert_false(other.done);
        qemu_coroutine_enter(qemu_coroutine_create(end_co, &fs));
        if (when == AFTER) {
            fs_call_cancel(&waiter.call);
        }
        while (!waiter.done || !other.done) {
            main_loop_wait(false);
        }
        g_assert_cmpint(waiter.waited, ==, when == AFTER ? 1 : -EINTR);
        g_assert_cmpint(other.waited, ==, 1);
        finish(&fs);
    }
}

static void coroutine_fn rename_end_co(void *opaque)
{
    fs_rename_end(opaque, 0);
}

/* A rename from "a" to @to, after which both names are known for one node */
static void test_rename_same(void)
{
    static const struct {
        mode_t type;
        const char *to;
        bool moves;
    } cases[] = {
        { S_IFREG, "b", false },    /* hard links */
        { S_IFDIR, "b", true },     /* a lookup found it before the rename */
        { S_IFDIR, "a", false },
    };
    unsigned i;

    for (i = 0; i < ARRAY_SIZE(cases); i++) {
        FsRename r = { };
        FsEntry *from, *to;
        FsExport fs;
        FsNode *node;

        setup(&fs);
        node = make_node(&fs, 2, cases[i].type);
        from = fs_entry_get(&fs, fs.root, "a", node);
        to = fs_entry_get(&fs, fs.root, cases[i].to, node);
        fs_rename_begin(&r, fs.root, "a", fs.root, cases[i].to);
        g_assert_false(fs_entries_current(&fs));
        qemu_coroutine_enter(qemu_coroutine_create(rename_end_co, &r));
        g_assert_true(fs_entries_current(&fs));
        g_assert_true(fs_entry_is(from, fs.root,
                                  cases[i].moves ? cases[i].to : "a"));
        g_assert_true(to->gone == cases[i].moves);
        fs_entry_put(from);
        fs_entry_put(to);
        fs_node_unref(node);
        finish(&fs);
    }
}

static void test_born(void)
{
    FsAttr attr = { .btime = { .tv_sec = 2, .tv_nsec = 3 } };

    g_assert_cmpuint(fs_attr_born(&attr), ==, 0);
    attr.valid = FS_ATTR_BTIME;
    g_assert_cmpuint(fs_attr_born(&attr), ==, 2000000003);
}

static void path_is(FsNode *node, size_t max, const char *want)
{
    g_autofree char *path = fs_node_path(node, max);

    g_assert_cmpstr(path, ==, want);
}

static void test_path(void)
{
    FsNode *dir, *node, *alone;
    FsEntry *a, *b;
    FsExport fs;

    setup(&fs);
    dir = make_node(&fs, 2, S_IFDIR);
    node = make_node(&fs, 3, S_IFREG);
    alone = make_node(&fs, 4, S_IFREG);
    a = fs_entry_get(&fs, fs.root, "dir", dir);
    b = fs_entry_get(&fs, dir, "file", node);
    path_is(fs.root, 0, "");
    path_is(dir, 3, "dir");
    path_is(dir, 2, NULL);
    path_is(node, 8, "dir/file");
    path_is(node, 7, NULL);
    path_is(node, 4, NULL);
    path_is(node, 100, "dir/file");
    path_is(alone, 100, NULL);
    fs_entry_gone(a);
    path_is(node, 100, NULL);
    fs_entry_put(b);
    fs_entry_put(a);
    fs_node_unref(alone);
    fs_node_unref(node);
    fs_node_unref(dir);
    finish(&fs);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    qemu_init_main_loop(&error_abort);
    g_test_add_func("/fs/node/find", test_find);
    g_test_add_func("/fs/node/files", test_files);
    g_test_add_func("/fs/node/entries", test_entries);
    g_test_add_func("/fs/node/names", test_names);
    g_test_add_func("/fs/node/circle", test_circle);
    g_test_add_func("/fs/node/deep", test_deep);
    g_test_add_func("/fs/node/rename-wait", test_rename_wait);
    g_test_add_func("/fs/node/rename-cancel", test_rename_cancel);
    g_test_add_func("/fs/node/rename-same", test_rename_same);
    g_test_add_func("/fs/node/born", test_born);
    g_test_add_func("/fs/node/path", test_path);
    return g_test_run();
}
