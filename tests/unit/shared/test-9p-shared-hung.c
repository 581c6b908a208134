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

    g_assert_cmpint(mkdirat(f->export, "fuse", 0777), ==, 0);
    g_assert_cmpint(fchmodat(f->export, "fuse", 0777, 0), ==, 0);
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

/* A change of attributes in a thread of its own */
typedef struct Change {
    const HostFs *fs;
    int node;
    FsSetAttr set;
    gint done;
    GThread *thread;
} Change;

static gpointer change_thread(gpointer opaque)
{
    Change *c = opaque;

    hostfs_setattr(c->fs, c->node, -1, &c->set);
    g_atomic_int_set(&c->done, 1);
    return NULL;
}

/* Whether it ends in time */
static bool change_ends(Change *c)
{
    unsigned ms;

    c->thread = g_thread_new("change", change_thread, c);
    for (ms = 0; ms < 5000 && !g_atomic_int_get(&c->done); ms++) {
        g_usleep(1000);
    }
    return g_atomic_int_get(&c->done);
}

/*
 * A change on a file system that does not answer holds up no change elsewhere:
 * neither in the same export nor in another one of the process.
 */
static void test_change(Fixture *f)
{
    static const FsSetAttr sets[] = {
        { .valid = FS_SET_MODE, .mode = 0600 },
        { .valid = FS_SET_UID | FS_SET_GID },
        { .valid = FS_SET_SIZE, .size = 1 },
        { .valid = FS_SET_MTIME },
    };
    HungFuse *h = mount_hung(f);
    HostFs other = f->fs;
    int hung, free_file, plain;
    unsigned i, j;

    if (!h) {
        return;
    }
    put_file(f->export, "plain", "text");
    hung = node_of(f, "fuse/file");
    free_file = node_of(f, "fuse/other");
    plain = node_of(f, "plain");
    f->fs.own_access = other.own_access = true;
    hung_fuse_hang(h, FUSE_SETATTR, HUNG_FILE);

    for (i = 0; i < G_N_ELEMENTS(sets); i++) {
        Change waits = { .fs = &f->fs, .node = hung, .set = sets[i] };

        waits.thread = g_thread_new("waits", change_thread, &waits);
        g_assert_true(hung_fuse_wait(h, 1));
        for (j = 0; j < G_N_ELEMENTS(sets); j++) {
            Change elsewhere[] = {
                { .fs = &f->fs, .node = plain, .set = sets[j] },
                { .fs = &other, .node = plain, .set = sets[j] },
                { .fs = &f->fs, .node = free_file, .set = sets[j] },
            };
            unsigned k;

            for (k = 0; k < G_N_ELEMENTS(elsewhere); k++) {
                g_assert_true(change_ends(&elsewhere[k]));
                g_thread_join(elsewhere[k].thread);
            }
        }
        g_assert_false(g_atomic_int_get(&waits.done));
        hung_fuse_answer(h);
        g_thread_join(waits.thread);
        hung_fuse_hang(h, FUSE_SETATTR, HUNG_FILE);
    }
    hung_fuse_end(h);
    close(hung);
    close(free_file);
    close(plain);
    g_assert_cmpint(unlinkat(f->export, "fuse", AT_REMOVEDIR), ==, 0);
}

/*
 * Renames from a directory that its owner may not use, to the file system that
 * does not answer, or of that itself: it is not asked, so what needs the same
 * directory does not wait.
 */
static HungFuse *for_child;

static void rename_child(Fixture *f)
{
    HungFuse *h = for_child;
    HungWatch *w;
    FsAttr attr;
    int from, to, fd;
    int across, mounted;

    f->fs.own_access = true;
    g_assert_cmpint(mkdirat(f->export, "from", 0700), ==, 0);
    put_file(f->export, "from/file", "text");
    from = node_of(f, "from");
    to = node_of(f, "fuse");
    g_assert_cmpint(fchmodat(f->export, "from", 0, 0), ==, 0);
    g_assert_cmpint(fchmodat(f->export, ".", 0, 0), ==, 0);

    hung_fuse_hang(h, FUSE_GETATTR, HUNG_ALL);
    w = hung_fuse_watch(h);
    across = hostfs_rename(&f->fs, from, "file", to, "file");
    mounted = hostfs_rename(&f->fs, f->fs.root, "fuse", from, "fuse");
    fd = hostfs_step(&f->fs, from, "file", HOST_WAIT_POOL, &attr);
    g_assert_true(hung_fuse_in_time(w));
    assert_error(across, EXDEV);
    assert_error(mounted, EBUSY);
    g_assert_cmpint(fd, >=, 0);
    close(fd);
    close(from);
    close(to);
}

static void test_rename(Fixture *f)
{
    for_child = mount_hung(f);
    if (for_child) {
        as_user(f, rename_child);
        hung_fuse_end(for_child);
        g_assert_cmpint(fchmodat(f->export, ".", 0755, 0), ==, 0);
        g_assert_cmpint(unlinkat(f->export, "fuse", AT_REMOVEDIR), ==, 0);
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);

    hostfs_test("hung/server", test_server);
    hostfs_test("hung/change", test_change);
    hostfs_test("hung/rename", test_rename);
    return g_test_run();
}
