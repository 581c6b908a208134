/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Tests of the cursor of a walk, with its references, and of the loop that
 * finds a node again by names.
 */
#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qemu/main-loop.h"
#include "hw/9pfs/fs/export.h"
#include "hw/9pfs/fs/walk.h"

#define DEPTH   8
#define LOOKS_MAX   4

static void node_free(FsNode *node)
{
    g_free(node);
}

static const FsDriver driver = { .node_free = node_free };

/* A root and one directory below the other: nodes[i] is named "i". */
static FsExport fs;
static FsNode *nodes[DEPTH];

static void setup(void)
{
    unsigned i;

    fs = (FsExport) { .driver = &driver };
    fs_nodes_init(&fs.nodes);
    for (i = 0; i < DEPTH; i++) {
        FsAttr attr = { .dev = 1, .ino = i + 1, .mode = S_IFDIR };

        nodes[i] = g_new0(FsNode, 1);
        fs_node_init(nodes[i], &fs, &attr);
        if (i == 0) {
            fs.root = nodes[0];
        } else {
            g_autofree char *name = g_strdup_printf("%u", i);

            fs_node_init_where(nodes[i], fs_entry_get(&fs, nodes[i - 1], name,
                                                      nodes[i]));
        }
    }
}

/* Nothing but the test's own references is left. */
static void finish(void)
{
    unsigned i;

    for (i = DEPTH; i-- > 0; ) {
        fs_node_unref(nodes[i]);
    }
    g_assert_cmpuint(fs_nodes_count(&fs.nodes), ==, 0);
    g_assert_cmpuint(fs_nodes_count_entries(&fs.nodes), ==, 0);
    fs_nodes_destroy(&fs.nodes);
}

static void assert_at(const FsWalker *w, unsigned done, FsNode *at,
                      FsNode *above)
{
    g_assert_cmpuint(w->done, ==, done);
    g_assert_true(w->at == at);
    g_assert_true(w->above == above);
}

static void test_walker(void)
{
    FsWalk walk = { };
    FsWalker w;

    setup();
    fs_walker_start(&w, nodes[0]);
    assert_at(&w, 0, nodes[0], NULL);
    fs_walker_down(&w, fs_node_ref(nodes[1]));
    assert_at(&w, 1, nodes[1], nodes[0]);
    fs_walker_down(&w, fs_node_ref(nodes[2]));
    assert_at(&w, 2, nodes[2], nodes[1]);
    fs_walker_up(&w, fs_node_ref(nodes[1]));
    assert_at(&w, 3, nodes[1], NULL);
    fs_walker_jump(&w, 3, fs_node_ref(nodes[3]), fs_node_ref(nodes[4]));
    assert_at(&w, 6, nodes[4], nodes[3]);

    g_assert_cmpint(fs_walker_end(&w, 0, &walk), ==, 0);
    g_assert_cmpuint(walk.walked, ==, 6);
    g_assert_true(walk.node == nodes[4]);
    g_assert_true(walk.parent == nodes[3]);
    fs_node_unref(walk.node);
    fs_node_unref(walk.parent);

    fs_walker_start(&w, nodes[0]);
    fs_walker_down(&w, fs_node_ref(nodes[1]));
    g_assert_cmpint(fs_walker_end(&w, -ENOENT, &walk), ==, -ENOENT);
    g_assert_cmpuint(walk.walked, ==, 1);
    g_assert_null(walk.node);
    g_assert_null(walk.parent);
    finish();
}

typedef struct Find {
    FsFinder finder;
    FsNode *node;
    bool ready[DEPTH];
    unsigned fails_at;          /* the step to this node, or 0 */
    unsigned again_at;          /* is asked for twice, or 0 */
    unsigned looks;             /* at nodes, whether they are ready */
    GString *steps;
    int ret;
} Find;

static bool find_ready(FsNode *node, void *opaque)
{
    Find *f = opaque;

    f->looks++;
    return f->ready[node->ino - 1];
}

static int coroutine_fn find_step(FsEntry *entry, void *opaque)
{
    unsigned i = entry->node->ino - 1;
    Find *f = opaque;

    g_assert_true(f->ready[entry->parent->ino - 1]);
    g_string_append(f->steps, entry->name);
    if (i == f->fails_at) {
        return -EACCES;
    }
    if (i == f->again_at) {
        f->again_at = 0;
    } else {
        f->ready[i] = true;
    }
    return 0;
}

static void coroutine_fn find_co(void *opaque)
{
    Find *f = opaque;

    f->finder.ready = find_ready;
    f->finder.step = find_step;
    f->ret = fs_find_again(&f->finder, f->node, f);
}

/* From the root, and another node that is ready unless it is 0 */
static void find(Find f, unsigned ready, int ret, const char *steps)
{
    f.steps = g_string_new(NULL);
    f.ready[0] = true;
    f.ready[ready] = true;
    qemu_coroutine_enter(qemu_coroutine_create(find_co, &f));
    g_assert_cmpint(f.ret, ==, ret);
    g_assert_cmpstr(f.steps->str, ==, steps);
    /* So many for each node, not for each node above each node */
    g_assert_cmpuint(f.looks, <=, LOOKS_MAX * DEPTH);
    g_string_free(f.steps, true);
}

static void test_find(void)
{
    setup();
    find((Find) { .node = nodes[0] }, 0, 0, "");
    find((Find) { .node = nodes[7] }, 7, 0, "");
    find((Find) { .node = nodes[7] }, 0, 0, "1234567");
    find((Find) { .node = nodes[7] }, 4, 0, "567");
    find((Find) { .node = nodes[4], .again_at = 2 }, 0, 0, "12234");
    find((Find) { .node = nodes[4], .fails_at = 3 }, 0, -EACCES, "123");
    find((Find) { .node = nodes[7], .finder.max = 7 }, 0, 0, "1234567");
    find((Find) { .node = nodes[7], .finder.max = 6 }, 0, -ESTALE, "");
    find((Find) { .node = nodes[7], .finder.max = 6 }, 1, 0, "234567");

    /* A name on the way is gone, and then a node. */
    fs_entry_gone(fs_node_where(nodes[5]));
    find((Find) { .node = nodes[7] }, 0, -ESTALE, "");
    find((Find) { .node = nodes[7] }, 5, 0, "67");
    fs_node_detach(nodes[6]);
    find((Find) { .node = nodes[7] }, 5, -ESTALE, "");
    finish();
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    qemu_init_main_loop(&error_abort);

    g_test_add_func("/fs/walk/walker", test_walker);
    g_test_add_func("/fs/walk/find", test_find);
    return g_test_run();
}
