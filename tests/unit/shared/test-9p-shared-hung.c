/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Tests of the file operations on the host below whose export lies a file
 * system whose server does not answer.
 */
#include "qemu/osdep.h"
#include "hostfs-fixture.h"
#include "hung-fuse.h"

/* The FUSE file system on the export's folder "fuse" */
static HungFuse *mount_hung(Fixture *f)
{
    g_autofree char *path = g_strconcat(f->dir, "/export/fuse", NULL);

    g_assert_cmpint(mkdirat(f->export, "fuse", 0755), ==, 0);
    return hung_fuse_start_or_skip(path);
}

static gpointer stat_thread(gpointer opaque)
{
    FsAttr attr;

    return GINT_TO_POINTER(hostfs_getattr(GPOINTER_TO_INT(opaque), &attr));
}

/* The file system itself: it answers, does not answer, and goes. */
static void test_server(Fixture *f)
{
    HungFuse *h = mount_hung(f);
    GThread *thread;
    int file, other;
    FsAttr attr;

    if (!h) {
        return;
    }
    assert_file(f->export, "fuse/file", "text");
    assert_file(f->export, "fuse/dir/inner", "text");
    g_assert_cmpuint(count_entries(f->export), ==, 1);
    file = node_of(f, "fuse/file");
    other = node_of(f, "fuse/other");
    hung_fuse_hang(h, FUSE_GETATTR, HUNG_FILE);
    thread = g_thread_new("stat", stat_thread, GINT_TO_POINTER(file));
    g_assert_true(hung_fuse_wait(h, 1));
    assert_ok(hostfs_getattr(other, &attr));
    g_assert_cmpuint(hung_fuse_waiting(h), ==, 1);
    g_assert_cmpuint(hung_fuse_count(h, FUSE_GETATTR), >=, 2);

    hung_fuse_end(h);
    g_assert_cmpint(GPOINTER_TO_INT(g_thread_join(thread)), <, 0);
    close(file);
    close(other);
    g_assert_cmpint(unlinkat(f->export, "fuse", AT_REMOVEDIR), ==, 0);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);

    hostfs_test("hung/server", test_server);
    return g_test_run();
}
