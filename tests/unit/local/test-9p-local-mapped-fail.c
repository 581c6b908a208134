/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Tests of the mapped security models of the local driver, on a real directory
 * (in TMPDIR): operations that fail half-way, and several threads at once.
 */
#include "qemu/osdep.h"
#include "mapped-fixture.h"
#include "tests/unit/shared/fuse-fixture.h"
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>

/* What each of several threads has to get done, and for how long it tries */
#define TURNS       100
#define TURN_TIME   (5 * G_USEC_PER_SEC)

/* Threads: a directory comes and goes, and so does a file in it. */

static gint files_made;
static gint dirs_removed;

static bool want_turn(gint64 until)
{
    return (g_atomic_int_get(&files_made) < TURNS ||
            g_atomic_int_get(&dirs_removed) < TURNS) &&
           g_get_monotonic_time() < until;
}

static void *churn_dir(void *until)
{
    FsMakeArgs dir = guest_make("d", S_IFDIR | 0700);
    FsAttr attr;
    int ret;

    while (want_turn(*(gint64 *)until)) {
        ret = model->unlink(&lh, lh.host.root, "d", true, -1);
        if (ret < 0) {
            g_assert_cmpint(ret, ==, -ENOTEMPTY);
        } else {
            g_atomic_int_inc(&dirs_removed);
            assert_ok(model->make(&lh, lh.host.root, &dir, &attr));
        }
        g_usleep(50);
    }
    return NULL;
}

static void *churn_file(void *until)
{
    FsMakeArgs file = guest_make("f", S_IFIFO | 0631);
    LocalInode inode = { .name = "f", .kept = -1 };
    FsAttr attr;
    int ret;

    while (want_turn(*(gint64 *)until)) {
        inode.dir = hostfs_step(&lh.host, lh.host.root, "d", HOST_WAIT_POOL,
                                &attr);
        if (inode.dir < 0) {
            g_assert_cmpint(inode.dir, ==, -ENOENT);
            continue;
        }
        ret = model->make(&lh, inode.dir, &file, &attr);
        if (ret < 0) {
            /* ENOENT: it has been removed */
            g_assert_cmpint(ret, ==, -ENOENT);
        } else {
            g_atomic_int_inc(&files_made);
            inode.handle = hostfs_step(&lh.host, inode.dir, "f", HOST_WAIT_POOL,
                                       &attr);
            g_assert_cmpint(inode.handle, >=, 0);
            assert_ok(try_see(&inode, &attr));
            g_assert_cmphex(attr.mode, ==, S_IFIFO | 0631);
            g_assert_cmpuint(attr.uid, ==, GUEST_UID);
            close(inode.handle);
            assert_ok(model->unlink(&lh, inode.dir, "f", false, -1));
        }
        close(inode.dir);
    }
    return NULL;
}

static void test_threads(void)
{
    gint64 until = g_get_monotonic_time() + TURN_TIME;
    GThread *dirs, *files;

    files_made = dirs_removed = 0;
    make("d", S_IFDIR | 0700);
    dirs = g_thread_new("dirs", churn_dir, &until);
    files = g_thread_new("files", churn_file, &until);
    g_thread_join(dirs);
    g_thread_join(files);
    g_test_message("%d files made, %d directories removed", files_made,
                   dirs_removed);
    g_assert_cmpint(files_made, >, 0);
    g_assert_cmpint(dirs_removed, >, 0);
    assert_seen("d", S_IFDIR | 0700, GUEST_UID, GUEST_GID);
    assert_ok(try_unlink("", "d", true));
}

/* A look-up of a special file finds that, or nothing. */

static void *look_at_it(void *until)
{
    LocalInode inode = { .dir = lh.host.root, .name = "new", .kept = -1 };
    unsigned seen = 0;
    FsAttr attr;

    while (want_turn(*(gint64 *)until)) {
        inode.handle = hostfs_step(&lh.host, lh.host.root, "new",
                                   HOST_WAIT_POOL, &attr);
        if (inode.handle < 0) {
            g_assert_cmpint(inode.handle, ==, -ENOENT);
            continue;
        }
        if (model->getattr(&lh, &inode, &attr) == 0) {
            g_assert_cmphex(attr.mode, ==, S_IFCHR | 0604);
            g_assert_cmpuint(attr.uid, ==, GUEST_UID);
            g_assert_cmpuint(attr.gid, ==, GUEST_GID);
            g_assert_cmpuint(attr.rdev, ==, makedev(1, 3));
            g_atomic_int_inc(&files_made);
            seen++;
        }
        close(inode.handle);
    }
    return GUINT_TO_POINTER(seen);
}

static void test_whole(void)
{
    gint64 until = g_get_monotonic_time() + TURN_TIME;
    FsMakeArgs chr = guest_make("new", S_IFCHR | 0604);
    GThread *thread;
    FsAttr attr;
    int node, fd;

    fd = hostfs_create_unnamed(&lh.host, lh.host.root, 0600, &node);
    if (fd < 0) {
        g_assert_cmpint(fd, ==, -EOPNOTSUPP);
        g_test_skip("no O_TMPFILE on the file system of TMPDIR");
        return;
    }
    close(fd);
    close(node);

    /* dirs_removed: how often it was made */
    files_made = dirs_removed = 0;
    thread = g_thread_new("look", look_at_it, &until);
    while (want_turn(until)) {
        assert_ok(model->make(&lh, lh.host.root, &chr, &attr));
        assert_error(model->make(&lh, lh.host.root, &chr, &attr), EEXIST);
        assert_ok(model->unlink(&lh, lh.host.root, "new", false, -1));
        g_atomic_int_inc(&dirs_removed);
    }
    g_assert_cmpuint(GPOINTER_TO_UINT(g_thread_join(thread)), >, 0);
    g_assert_cmpuint(count_entries(fix->export), ==, is_file ? 1 : 0);
}

/* From now on only so many more descriptors can be opened. */
static struct rlimit limit_fds(unsigned more)
{
    struct rlimit old, limit;
    int lowest = dup(fix->export);

    g_assert_cmpint(lowest, >=, 0);
    close(lowest);
    g_assert_cmpint(getrlimit(RLIMIT_NOFILE, &old), ==, 0);
    limit = old;
    limit.rlim_cur = lowest + more;
    g_assert_cmpint(setrlimit(RLIMIT_NOFILE, &limit), ==, 0);
    return old;
}

/*
 * Each operation with no descriptor left, with one, with two, and so on: until
 * it succeeds, it has no visible effect.
 */

enum { MAKE, MAKEDIR, MAKELINK, CREATE, LINK, RENAME, OVER, CHMOD, UNLINK,
       RMDIR, OPERATIONS };

/*
 * @operation on @old, which is "old" in @from, and on @to. Returns a descriptor
 * for CREATE, with another in *@node.
 */
static int few_fds_do(unsigned operation, const LocalInode *old, int from,
                      int to, int *node)
{
    FsMakeArgs file = guest_make("new", S_IFREG | 0600);
    FsMakeArgs dir = guest_make("new", S_IFDIR | 0700);
    FsMakeArgs sym = guest_make("new", S_IFLNK);
    FsSetAttr set = { .valid = FS_SET_MODE, .mode = 0111 };
    FsAttr attr;

    switch (operation) {
    case MAKE:
        return model->make(&lh, to, &file, &attr);
    case MAKEDIR:
        return model->make(&lh, to, &dir, &attr);
    case MAKELINK:
        return model->make(&lh, to, &sym, &attr);
    case CREATE:
        return model->create(&lh, to, &file, O_RDWR, node, &attr);
    case LINK:
        return model->link(&lh, old, to, "new");
    case RENAME:
        return model->rename(&lh, from, "old", to, "new");
    case OVER:
        return model->rename(&lh, from, "old", to, "over");
    case CHMOD:
        return model->setattr(&lh, old, -1, &set);
    default:
        return model->unlink(&lh, from, "old", operation == RMDIR, old->handle);
    }
}

/* The operation succeeded; @mode is that of the old file. */
static void few_fds_check(unsigned operation, uint32_t mode)
{
    switch (operation) {
    case MAKE:
    case CREATE:
        assert_seen("b/new", S_IFREG | 0600, GUEST_UID, GUEST_GID);
        break;
    case MAKEDIR:
        assert_seen("b/new", S_IFDIR | 0700, GUEST_UID, GUEST_GID);
        break;
    case MAKELINK:
        assert_seen("b/new", S_IFLNK | 0777, GUEST_UID, GUEST_GID);
        break;
    case LINK:
    case RENAME:
        assert_seen("b/new", mode, GUEST_UID, GUEST_GID);
        break;
    case OVER:
        assert_seen("b/over", mode, GUEST_UID, GUEST_GID);
        break;
    case CHMOD:
        assert_seen("a/old", S_IFREG | 0111, GUEST_UID, GUEST_GID);
        break;
    default:
        assert_missing(fix->export, "a/old");
        assert_no_metadata("a", "old");
        break;
    }
}

static void test_few_fds(void)
{
    unsigned operation, more;
    LocalInode from, to;
    int node;

    make("a", S_IFDIR | 0700);
    make("b", S_IFDIR | 0700);
    from = find("a");
    to = find("b");
    for (operation = 0; operation < OPERATIONS; operation++) {
        uint32_t mode = operation == RMDIR ? S_IFDIR | 0755 : S_IFREG | 0644;
        LocalInode old;
        int ret;

        make("a/old", mode);
        make("b/over", S_IFREG | 0666);
        if (operation == RMDIR) {
            make("a/old/x", S_IFREG | 0666);
            assert_ok(try_unlink("a/old", "x", false));
        }
        old = find("a/old");
        for (more = 0; ; more++) {
            struct rlimit limit = limit_fds(more);

            ret = few_fds_do(operation, &old, from.handle, to.handle, &node);
            g_assert_cmpint(setrlimit(RLIMIT_NOFILE, &limit), ==, 0);
            if (ret >= 0) {
                break;
            }
            g_assert_cmpint(ret, ==, -EMFILE);
            assert_missing(fix->export, "b/new");
            assert_no_metadata("b", "new");
            assert_seen("a/old", mode, GUEST_UID, GUEST_GID);
            assert_seen("b/over", S_IFREG | 0666, GUEST_UID, GUEST_GID);
            g_assert_cmpuint(more, <, 20);
        }
        if (ret > 0) {
            close(ret);
            close(node);
        }
        few_fds_check(operation, mode);
        drop(&old);
        if (operation <= RENAME) {
            assert_ok(try_unlink("b", "new", operation == MAKEDIR));
        }
        if (operation <= LINK || operation == CHMOD) {
            assert_ok(try_unlink("a", "old", false));
        }
        assert_ok(try_unlink("b", "over", false));
    }
    drop(&from);
    drop(&to);
}

BOTH_TEST(test_threads)
BOTH_TEST(test_few_fds)
BOTH_TEST(test_whole)

static void make_without_modes(void)
{
    static const uint32_t modes[] = {
        S_IFREG | 0644, S_IFDIR | 0755, S_IFIFO | 0600, S_IFLNK | 0777,
    };
    FsMakeArgs real = { .name = "p", .mode = S_IFREG | 0644 };
    FsAttr attr;
    unsigned i;

    for (i = 0; i < G_N_ELEMENTS(modes); i++) {
        g_autofree char *name = g_strdup_printf("%u", i);

        make(name, modes[i]);
        assert_stored("", name, modes[i], GUEST_UID, GUEST_GID, NULL);
        assert_ok(try_chown(name, 1, 2));
        assert_seen(name, modes[i], 1, 2);
    }
    /* Not so where the owner is the guest's */
    assert_error(hostfs_make(&lh.host, lh.host.root, &real, &attr), EPERM);
    assert_missing(fix->export, "p");
}

/* One without modes of its own, as vfat: chmod(2) fails, even for the owner. */
static void no_modes(Fixture *f)
{
    forbid_call(SYS_fchmodat, 0777, EPERM);
    g_assert_cmpint(fchmodat(f->export, ".", 0755, 0), ==, -1);
    run(f, &local_model_mapped_file, make_without_modes);
}

static void test_no_modes(Fixture *f)
{
    if (need_root("it works on files that no user has permission for")) {
        in_child(f, no_modes);
    }
}

/* No byte can be written to any file. */
static void no_space(Fixture *f)
{
    static const struct rlimit none = { .rlim_cur = 0, .rlim_max = 0 };

    signal(SIGXFSZ, SIG_IGN);
    g_assert_cmpint(setrlimit(RLIMIT_FSIZE, &none), ==, 0);
    run(f, &local_model_mapped_file, fail_to_store);
}

static void test_no_space(Fixture *f)
{
    in_child(f, no_space);
}

/*
 * A chown that takes the set-id bits fails at each of its steps: the new owner
 * never has a file with the old bits.
 */

static TestFuse *fuse;

static void half_chown(void)
{
    static const uint32_t modes[] = { 04755, 02755, 06755 };
    const FsSetAttr chown = {
        .valid = FS_SET_UID | FS_SET_GID, .uid = 2, .gid = 2,
    };
    LocalInode inode;
    unsigned i, n;
    FsAttr attr;
    bool failed;

    make("f", S_IFREG | 0755);
    for (i = 0; i < ARRAY_SIZE(modes); i++) {
        n = 0;
        do {
            assert_ok(try_chown("f", 1, 1));
            assert_ok(try_chmod("f", modes[i]));
            inode = find("f");
            test_fuse_fail_nth(fuse, ++n, EIO);
            model->setattr(&lh, &inode, -1, &chown);
            failed = test_fuse_failed(fuse);
            test_fuse_fail_nth(fuse, 0, 0);
            drop(&inode);
            attr = see("f");
            g_assert_true((attr.uid == 1 && attr.gid == 1) ||
                          !(attr.mode & 06000));
        } while (failed);
        g_assert_cmpuint(n, >, 3);
        assert_seen("f", S_IFREG | 0755, 2, 2);
    }
    assert_ok(try_unlink("", "f", false));
}

static void half_chown_child(Fixture *f)
{
    fuse = export_test_fuse(f, 0);
    run(f, &local_model_mapped_xattr, half_chown);
    run(f, &local_model_mapped_file, half_chown);
}

static void test_half_chown(Fixture *f)
{
    if (need_root("it mounts a file system")) {
        in_child(f, half_chown_child);
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);

    hostfs_test("mapped/half-chown", test_half_chown);
    ADD_BOTH("threads", test_threads);
    ADD_BOTH("few-fds", test_few_fds);
    ADD_BOTH("whole", test_whole);
    hostfs_test("mapped-file/no-modes", test_no_modes);
    hostfs_test("mapped-file/no-space", test_no_space);
    return g_test_run();
}
