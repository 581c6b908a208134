/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Tests of the local driver in a directory that is deeper than any path.
 */
#include "qemu/osdep.h"
#include "../shared/deep-dir.h"
#include "local-fixture.h"

#define TURNS   5

/* The node that @n names further down, one walk for every 16 */
static FsNode *go_down(FsNode *from, unsigned n)
{
    FsNode *at = fs_node_ref(from);

    while (n) {
        g_autoptr(GString) path = g_string_new(DEEP_NAME);
        unsigned count = MIN(n, FS_WALK_MAX), i;
        FsNode *next;

        for (i = 1; i < count; i++) {
            g_string_append(path, "/" DEEP_NAME);
        }
        next = walk_from(at, path->str);
        fs_node_unref(at);
        at = next;
        n -= count;
    }
    return at;
}

static gint64 time_up(FsNode *from, FsNode **top)
{
    g_autoptr(GString) path = g_string_new("..");
    gint64 start;
    unsigned i;

    for (i = 1; i < FS_WALK_MAX; i++) {
        g_string_append(path, "/..");
    }
    start = g_get_monotonic_time();
    *top = walk_from(from, path->str);
    return g_get_monotonic_time() - start;
}

static void test_up(void)
{
    gint64 near[TURNS], deep[TURNS];
    FsNode *shallow, *above, *bottom, *top;
    unsigned i;
    Test t;

    setup(&t);
    deep_make(t.fd);
    shallow = go_down(t.fs.root, 10);
    above = go_down(t.fs.root, DEEP_LEVELS - FS_WALK_MAX);
    bottom = go_down(above, FS_WALK_MAX);
    for (i = 0; i < TURNS; i++) {
        near[i] = time_up(shallow, &top);
        g_assert_true(top == t.fs.root);
        fs_node_unref(top);
        deep[i] = time_up(bottom, &top);
        g_assert_true(top == above);
        fs_node_unref(top);
    }
    deep_compare("local", near, deep, TURNS);
    fs_node_unref(shallow);
    fs_node_unref(above);
    fs_node_unref(bottom);
    deep_remove(t.fd);
    finish(&t);
}

static void add_tests(void)
{
    g_test_add_func("/9p/local/deep/up", test_up);
}

int main(int argc, char **argv)
{
    return local_test_main(&argc, &argv, add_tests);
}
