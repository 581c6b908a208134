/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Tests of the file operations on the host that change attributes, on a real
 * file system: in TMPDIR.
 */
#include "qemu/osdep.h"
#include "hostfs-fixture.h"

static void test_set_size(Fixture *f)
{
    FsSetAttr set = { .valid = FS_SET_SIZE };
    int node;

    make_tree(f);
    g_assert_cmpint(mkfifoat(f->export, "fifo", 0666), ==, 0);
    g_assert_cmpint(symlinkat("a/file", f->export, "link"), ==, 0);

    node = node_of(f, "a/file");
    set.size = 1ull << 33;
    assert_ok(hostfs_setattr(&f->fs, node, -1, &set));
    g_assert_cmpuint(attr_of(f, "a/file").size, ==, 1ull << 33);
    set.size = 3;
    assert_ok(hostfs_setattr(&f->fs, node, -1, &set));
    assert_file(f->export, "a/file", "tex");
    set.size = 1ull << 63;
    assert_error(hostfs_setattr(&f->fs, node, -1, &set), EFBIG);
    set.size = UINT64_MAX;
    assert_error(hostfs_setattr(&f->fs, node, -1, &set), EFBIG);
    close(node);

    set.size = 0;
    node = node_of(f, "a");
    assert_error(hostfs_setattr(&f->fs, node, -1, &set), EISDIR);
    close(node);
    node = node_of(f, "fifo");
    assert_error(hostfs_setattr(&f->fs, node, -1, &set), EINVAL);
    close(node);
    node = node_of(f, "link");
    assert_error(hostfs_setattr(&f->fs, node, -1, &set), EINVAL);
    close(node);
    assert_file(f->export, "a/file", "tex");
}

static void test_set_mode(Fixture *f)
{
    FsSetAttr set = { .valid = FS_SET_MODE };
    static const uint32_t modes[] = { 0, 0644, 0777, 06755, 01777, 04000 };
    unsigned i;
    int file, dir, node;

    make_tree(f);
    g_assert_cmpint(symlinkat("a/file", f->export, "link"), ==, 0);
    g_assert_cmpint(mkfifoat(f->export, "fifo", 0666), ==, 0);
    file = node_of(f, "a/file");
    dir = node_of(f, "a");
    for (i = 0; i < G_N_ELEMENTS(modes); i++) {
        set.mode = modes[i];
        assert_ok(hostfs_setattr(&f->fs, file, -1, &set));
        assert_ok(hostfs_setattr(&f->fs, dir, -1, &set));
        g_assert_cmphex(attr_of(f, "a").mode, ==, S_IFDIR | modes[i]);
        set.mode = 0755;
        assert_ok(hostfs_setattr(&f->fs, dir, -1, &set));
        g_assert_cmphex(attr_of(f, "a/file").mode, ==, S_IFREG | modes[i]);
    }
    /* The type that a guest's mode may hold means nothing. */
    set.mode = S_IFDIR | 0640;
    assert_ok(hostfs_setattr(&f->fs, file, -1, &set));
    g_assert_cmphex(attr_of(f, "a/file").mode, ==, S_IFREG | 0640);
    close(file);
    close(dir);

    node = node_of(f, "fifo");
    assert_ok(hostfs_setattr(&f->fs, node, -1, &set));
    g_assert_cmphex(attr_of(f, "fifo").mode, ==, S_IFIFO | 0640);
    close(node);

    set.mode = 0600;
    node = node_of(f, "link");
    assert_error(hostfs_setattr(&f->fs, node, -1, &set), EOPNOTSUPP);
    close(node);
    g_assert_cmphex(attr_of(f, "link").mode, ==, S_IFLNK | 0777);
    g_assert_cmphex(attr_of(f, "a/file").mode, ==, S_IFREG | 0640);
}

static void assert_times(Fixture *f, const char *path, int64_t asec,
                         long ansec, int64_t msec, long mnsec)
{
    FsAttr attr = attr_of(f, path);

    g_assert_cmpint(attr.atime.tv_sec, ==, asec);
    g_assert_cmpint(attr.atime.tv_nsec, ==, ansec);
    g_assert_cmpint(attr.mtime.tv_sec, ==, msec);
    g_assert_cmpint(attr.mtime.tv_nsec, ==, mnsec);
}

static void test_set_times(Fixture *f)
{
    FsSetAttr set = {
        .valid = FS_SET_ATIME | FS_SET_ATIME_SET |
                 FS_SET_MTIME | FS_SET_MTIME_SET,
        .atime = { 1000000001, 123456789 },
        .mtime = { 5000000000, 999999999 },
    };
    int64_t now;
    FsAttr attr;
    int node, link;

    make_tree(f);
    g_assert_cmpint(symlinkat("a/file", f->export, "link"), ==, 0);
    node = node_of(f, "a/file");
    link = node_of(f, "link");

    assert_ok(hostfs_setattr(&f->fs, node, -1, &set));
    assert_times(f, "a/file", 1000000001, 123456789, 5000000000, 999999999);

    set.valid = FS_SET_MTIME | FS_SET_MTIME_SET;
    set.mtime = (struct timespec) { -7, 1 };
    assert_ok(hostfs_setattr(&f->fs, node, -1, &set));
    assert_times(f, "a/file", 1000000001, 123456789, -7, 1);

    set.valid = FS_SET_ATIME | FS_SET_ATIME_SET;
    set.atime = (struct timespec) { 0, 0 };
    assert_ok(hostfs_setattr(&f->fs, node, -1, &set));
    assert_times(f, "a/file", 0, 0, -7, 1);

    /* A link's own times, and not its target's */
    set.atime.tv_sec = 42;
    assert_ok(hostfs_setattr(&f->fs, link, -1, &set));
    g_assert_cmpint(attr_of(f, "link").atime.tv_sec, ==, 42);
    assert_times(f, "a/file", 0, 0, -7, 1);

    now = g_get_real_time() / G_USEC_PER_SEC;
    set.valid = FS_SET_ATIME;
    assert_ok(hostfs_setattr(&f->fs, node, -1, &set));
    attr = attr_of(f, "a/file");
    g_assert_cmpint(attr.atime.tv_sec, >=, now - 1);
    g_assert_cmpint(attr.mtime.tv_sec, ==, -7);
    set.valid = FS_SET_MTIME;
    assert_ok(hostfs_setattr(&f->fs, node, -1, &set));
    g_assert_cmpint(attr_of(f, "a/file").mtime.tv_sec, >=, now - 1);

    /* Alone, they are no change. */
    attr = attr_of(f, "a/file");
    set.valid = FS_SET_ATIME_SET | FS_SET_MTIME_SET;
    assert_ok(hostfs_setattr(&f->fs, node, -1, &set));
    assert_times(f, "a/file", attr.atime.tv_sec, attr.atime.tv_nsec,
                 attr.mtime.tv_sec, attr.mtime.tv_nsec);
    close(node);
    close(link);
}

static void test_set_bad(Fixture *f)
{
    static const long bad[] = { -1, 1000000000, UTIME_NOW, UTIME_OMIT,
                                LONG_MAX };
    FsSetAttr set = { .valid = FS_SET_ALL + 1 };
    FsAttr before, after;
    unsigned i;
    int node;

    make_tree(f);
    node = node_of(f, "a/file");
    before = attr_of(f, "a/file");
    assert_error(hostfs_setattr(&f->fs, node, -1, &set), EINVAL);
    for (i = 0; i < G_N_ELEMENTS(bad); i++) {
        set.atime.tv_nsec = set.mtime.tv_nsec = bad[i];
        set.valid = FS_SET_ATIME | FS_SET_ATIME_SET | FS_SET_SIZE;
        assert_error(hostfs_setattr(&f->fs, node, -1, &set), EINVAL);
        set.valid = FS_SET_MTIME | FS_SET_MTIME_SET | FS_SET_SIZE;
        assert_error(hostfs_setattr(&f->fs, node, -1, &set), EINVAL);
    }
    set.valid = 0;
    assert_ok(hostfs_setattr(&f->fs, node, -1, &set));
    after = attr_of(f, "a/file");
    g_assert_cmpmem(&before, sizeof(before), &after, sizeof(after));
    set.valid = FS_SET_MODE;
    assert_error(hostfs_setattr(&f->fs, -1, -1, &set), EBADF);
    close(node);
}

/* Times of files advance in steps: at most 10 ms, the kernel's slowest tick. */
static void wait_for_tick(void)
{
    g_usleep(25 * 1000);
}

static void test_set_ctime(Fixture *f)
{
    FsSetAttr set = { .valid = FS_SET_CTIME };
    static const char *const names[] = { "a/file", "a", "link", "fifo" };
    unsigned i;

    make_tree(f);
    g_assert_cmpint(symlinkat("a/file", f->export, "link"), ==, 0);
    g_assert_cmpint(mkfifoat(f->export, "fifo", 0666), ==, 0);
    g_assert_cmpint(fchmodat(f->export, "a/file", 06755, 0), ==, 0);
    wait_for_tick();

    for (i = 0; i < G_N_ELEMENTS(names); i++) {
        int node = node_of(f, names[i]);
        FsAttr before, after;

        assert_ok(hostfs_getattr(node, &before));
        assert_ok(hostfs_setattr(&f->fs, node, -1, &set));
        assert_ok(hostfs_getattr(node, &after));
        g_assert_true(after.ctime.tv_sec > before.ctime.tv_sec ||
                      (after.ctime.tv_sec == before.ctime.tv_sec &&
                       after.ctime.tv_nsec > before.ctime.tv_nsec));
        after.ctime = before.ctime;
        g_assert_cmpmem(&before, sizeof(before), &after, sizeof(after));
        close(node);
    }
}

static void test_set_owner(Fixture *f)
{
    FsSetAttr set = { .valid = FS_SET_UID, .uid = 1234, .gid = 2345,
                      .mode = 06755 };
    FsAttr attr;
    int node;

    if (!need_root("sets owners")) {
        return;
    }
    make_tree(f);
    g_assert_cmpint(symlinkat("a/file", f->export, "link"), ==, 0);
    g_assert_cmpint(fchmodat(f->export, "a/file", 06755, 0), ==, 0);
    node = node_of(f, "a/file");

    assert_ok(hostfs_setattr(&f->fs, node, -1, &set));
    attr = attr_of(f, "a/file");
    g_assert_cmpuint(attr.uid, ==, 1234);
    g_assert_cmpuint(attr.gid, ==, 0);
    g_assert_cmphex(attr.mode, ==, S_IFREG | 0755);

    set.valid = FS_SET_GID | FS_SET_MODE;
    assert_ok(hostfs_setattr(&f->fs, node, -1, &set));
    attr = attr_of(f, "a/file");
    g_assert_cmpuint(attr.uid, ==, 1234);
    g_assert_cmpuint(attr.gid, ==, 2345);
    g_assert_cmphex(attr.mode, ==, S_IFREG | 06755);
    close(node);

    node = node_of(f, "link");
    set.valid = FS_SET_UID | FS_SET_GID;
    set.uid = 4294967294u;
    assert_ok(hostfs_setattr(&f->fs, node, -1, &set));
    close(node);
    g_assert_cmpuint(attr_of(f, "link").uid, ==, 4294967294u);
    g_assert_cmpuint(attr_of(f, "a/file").uid, ==, 1234);
}

static void owner_denied_child(Fixture *f)
{
    FsSetAttr set = {
        .valid = FS_SET_UID | FS_SET_MODE | FS_SET_SIZE,
        .uid = 0, .mode = 0600, .size = 1,
    };
    FsAttr attr;
    int node;

    put_file(f->export, "own", "text");
    node = node_of(f, "own");
    /* The parts before the error are done, those after it are not. */
    assert_error(hostfs_setattr(&f->fs, node, -1, &set), EPERM);
    assert_ok(hostfs_getattr(node, &attr));
    g_assert_cmpuint(attr.size, ==, 1);
    g_assert_cmphex(attr.mode, ==, S_IFREG | 0644);
    g_assert_cmpuint(attr.uid, ==, geteuid());

    f->fs.ignore_chown_failure = true;
    assert_ok(hostfs_setattr(&f->fs, node, -1, &set));
    assert_ok(hostfs_getattr(node, &attr));
    g_assert_cmphex(attr.mode, ==, S_IFREG | 0600);
    g_assert_cmpuint(attr.uid, ==, geteuid());
    close(node);
}

static void test_owner_denied(Fixture *f)
{
    as_user(f, owner_denied_child);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);

    hostfs_test("setattr/size", test_set_size);
    hostfs_test("setattr/mode", test_set_mode);
    hostfs_test("setattr/times", test_set_times);
    hostfs_test("setattr/bad", test_set_bad);
    hostfs_test("setattr/ctime", test_set_ctime);
    hostfs_test("setattr/owner", test_set_owner);
    hostfs_test("setattr/owner-denied", test_owner_denied);
    return g_test_run();
}
