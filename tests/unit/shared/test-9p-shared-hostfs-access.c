/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Tests of the file operations on the host where an owner's own mode bits are
 * in the way (HostFs.own_access), on a real file system: in TMPDIR. All of it
 * runs as an ordinary user: nobody, if root started the test.
 */
#include "qemu/osdep.h"
#include "hostfs-fixture.h"
#include <sys/xattr.h>

/* Turns of the tests in which several threads want the same bits */
#define TURNS       2000

static uint32_t mode_of(int dir, const char *name)
{
    struct stat st;

    g_assert_cmpint(fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW), ==, 0);
    return st.st_mode & 07777;
}

static void set_mode(int dir, const char *name, mode_t mode)
{
    g_assert_cmpint(fchmodat(dir, name, mode, 0), ==, 0);
}

/*
 * DIR/export/d with a file, a folder and a link; @mode is d's in the end.
 * Handles of d and the file, from before.
 */
static void make_locked(Fixture *f, mode_t mode, int *dir, int *file)
{
    f->fs.own_access = true;
    g_assert_cmpint(mkdirat(f->export, "d", 0700), ==, 0);
    g_assert_cmpint(mkdirat(f->export, "other", 0700), ==, 0);
    g_assert_cmpint(mkdirat(f->export, "d/sub", 0700), ==, 0);
    g_assert_cmpint(symlinkat("file", f->export, "d/link"), ==, 0);
    put_file(f->export, "d/file", "text");
    *dir = node_of(f, "d");
    *file = node_of(f, "d/file");
    set_mode(f->export, "d", mode);
}

static void open_child(Fixture *f)
{
    static const int flags[] = {
        O_RDONLY, O_WRONLY, O_RDWR, O_RDONLY | O_TRUNC, O_WRONLY | O_APPEND,
        O_RDWR | O_DIRECT,
    };
    static const mode_t modes[] = { 0, 0077, 0200, 0400, 0100, 01055 };
    unsigned i, j;
    int node, fd;

    put_file(f->export, "file", "text");
    node = node_of(f, "file");
    set_mode(f->export, "file", 0);
    assert_error(hostfs_open(&f->fs, node, O_RDONLY), EACCES);

    f->fs.own_access = true;
    for (i = 0; i < G_N_ELEMENTS(modes); i++) {
        for (j = 0; j < G_N_ELEMENTS(flags); j++) {
            set_mode(f->export, "file", modes[i]);
            fd = hostfs_open(&f->fs, node, flags[j]);
            g_assert_cmpint(fd, >=, 0);
            g_assert_cmphex(mode_of(f->export, "file"), ==, modes[i]);
            /* What was open stays so. */
            if ((flags[j] & O_ACCMODE) != O_RDONLY) {
                g_assert_cmpint(ftruncate(fd, 5), ==, 0);
            }
            close(fd);
        }
    }
    close(node);
}

static void test_open(Fixture *f)
{
    as_user(f, open_child);
}

static void dir_child(Fixture *f)
{
    static const mode_t modes[] = { 0, 0077, 0200, 0400, 0600, 01000 };
    FsMakeArgs make = { .name = "made", .mode = S_IFREG | 0640,
                        .uid = geteuid(), .gid = getegid() };
    FsMakeArgs folder = make, link = make;
    FsAttr attr;
    HostWalk walk;
    unsigned i;
    int dir, file, other, node, fd;
    const char *up[] = { "sub", "..", ".." };

    make_locked(f, 0, &dir, &file);
    folder.mode = S_IFDIR | 02750;
    folder.name = "folder";
    link.mode = S_IFLNK | 0777;
    link.name = "target";
    link.target = "anywhere";
    other = node_of(f, "other");

    f->fs.own_access = false;
    assert_error(try_walk(f, "d/file"), EACCES);
    f->fs.own_access = true;
    for (i = 0; i < G_N_ELEMENTS(modes); i++) {
        set_mode(f->export, "d", modes[i]);
        assert_ok(try_walk(f, "d/file"));
        assert_ok(try_walk(f, "d/sub/.."));
        assert_error(hostfs_step(&f->fs, dir, "file", HOST_WAIT_TRY_FIRST,
                                 &attr), EAGAIN);
        assert_error(try_walk(f, "d/none"), ENOENT);
        assert_ok(hostfs_walk(&f->fs, dir, up, 3, &walk));
        close(walk.node);

        fd = hostfs_open(&f->fs, dir, O_RDONLY | O_DIRECTORY);
        g_assert_cmpint(fd, >=, 0);
        close(fd);

        fd = hostfs_create(&f->fs, dir, &make, O_RDWR | O_EXCL, &node, &attr);
        g_assert_cmpint(fd, >=, 0);
        g_assert_cmphex(attr.mode, ==, S_IFREG | 0640);
        close(fd);
        close(node);
        /* The same for what exists */
        fd = hostfs_create(&f->fs, dir, &make, O_WRONLY, &node, &attr);
        g_assert_cmpint(fd, >=, 0);
        close(fd);
        close(node);
        assert_ok(hostfs_make(&f->fs, dir, &folder, &attr));
        g_assert_cmphex(attr.mode, ==, S_IFDIR | 02750);
        assert_ok(hostfs_make(&f->fs, dir, &link, &attr));

        assert_ok(hostfs_link(&f->fs, file, dir, "hard"));
        assert_ok(hostfs_rename(&f->fs, dir, "hard", dir, "hard2"));
        assert_ok(hostfs_rename(&f->fs, dir, "hard2", other, "hard"));
        assert_ok(hostfs_rename(&f->fs, other, "hard", dir, "hard"));
        assert_error(hostfs_unlink(&f->fs, dir, "made", false, file), ESTALE);
        assert_ok(hostfs_unlink(&f->fs, dir, "hard", false, file));
        assert_ok(hostfs_unlink(&f->fs, dir, "made", false, -1));
        assert_ok(hostfs_unlink(&f->fs, dir, "target", false, -1));
        assert_ok(hostfs_unlink(&f->fs, dir, "folder", true, -1));
        g_assert_cmphex(mode_of(f->export, "d"), ==, modes[i]);
        g_assert_cmphex(mode_of(f->export, "other"), ==, 0700);
        g_assert_cmphex(mode_of(f->export, "."), ==, 0755);
    }
    set_mode(f->export, "d", 0700);
    g_assert_cmphex(mode_of(f->export, "d/sub"), ==, 0700);
    g_assert_cmphex(mode_of(f->export, "d/file"), ==, 0644);
    close(dir);
    close(file);
    close(other);
}

static void test_dir(Fixture *f)
{
    as_user(f, dir_child);
}

/* Three at once: a folder that moves must let its ".." be changed. */
static void rename_child(Fixture *f)
{
    int dir, file, other;

    make_locked(f, 0700, &dir, &file);
    other = node_of(f, "other");
    set_mode(f->export, "d/sub", 0);
    set_mode(f->export, "d", 0);
    set_mode(f->export, "other", 0);
    f->fs.own_access = false;
    assert_error(hostfs_rename(&f->fs, dir, "sub", other, "sub"), EACCES);
    f->fs.own_access = true;
    assert_ok(hostfs_rename(&f->fs, dir, "sub", other, "sub"));
    assert_error(hostfs_rename(&f->fs, dir, "sub", other, "sub"), ENOENT);
    g_assert_cmphex(mode_of(f->export, "d"), ==, 0);
    g_assert_cmphex(mode_of(f->export, "other"), ==, 0);
    set_mode(f->export, "other", 0700);
    g_assert_cmphex(mode_of(f->export, "other/sub"), ==, 0);
    close(dir);
    close(file);
    close(other);
}

static void test_rename(Fixture *f)
{
    as_user(f, rename_child);
}

static void attr_child(Fixture *f)
{
    FsSetAttr set = { .valid = FS_SET_SIZE, .size = 2 };
    FsAttr before, after;
    uint64_t gen;
    char buf[16];
    int node;

    put_file(f->export, "file", "text");
    node = node_of(f, "file");
    set_mode(f->export, "file", 0);
    assert_error(hostfs_setattr(&f->fs, node, -1, &set), EACCES);

    /* Reading changes nothing: the ctime is the same as before. */
    f->fs.own_access = true;
    before = attr_of(f, "file");
    assert_error(hostfs_generation(&f->fs, node, &gen), EOPNOTSUPP);
    after = attr_of(f, "file");
    g_assert_cmpmem(&before, sizeof(before), &after, sizeof(after));

    assert_ok(hostfs_setattr(&f->fs, node, -1, &set));
    g_assert_cmphex(mode_of(f->export, "file"), ==, 0);
    g_assert_cmpuint(attr_of(f, "file").size, ==, 2);

    if (hostfs_setxattr(&f->fs, node, "user.x", "1", 1, 0) != -EOPNOTSUPP) {
        assert_ok(hostfs_setxattr(&f->fs, node, "user.x", "value", 5, 0));
        g_assert_cmpint(hostfs_getxattr(&f->fs, node, "user.x", buf, 16), ==,
                        5);
        g_assert_cmpint(hostfs_getxattr(&f->fs, node, NULL, NULL, 0), >=, 7);
        assert_ok(hostfs_removexattr(&f->fs, node, "user.x"));
        assert_error(hostfs_removexattr(&f->fs, node, "user.x"), ENODATA);
        g_assert_cmphex(mode_of(f->export, "file"), ==, 0);
    }
    close(node);
}

static void test_attr(Fixture *f)
{
    as_user(f, attr_child);
}

/* Bits that must stay, and a new mode that must not be lost */
static void keep_child(Fixture *f)
{
    FsSetAttr set = { .valid = FS_SET_MODE, .mode = 06040 };
    int node, fd;

    put_file(f->export, "file", "text");
    node = node_of(f, "file");
    f->fs.own_access = true;
    assert_ok(hostfs_setattr(&f->fs, node, -1, &set));
    fd = hostfs_open(&f->fs, node, O_RDONLY);
    g_assert_cmpint(fd, >=, 0);
    close(fd);
    g_assert_cmphex(mode_of(f->export, "file"), ==, 06040);
    /* truncate(2) takes set-id bits away: they do not come back. */
    set.mode = 04070;
    assert_ok(hostfs_setattr(&f->fs, node, -1, &set));
    set.valid = FS_SET_SIZE;
    set.size = 1;
    assert_ok(hostfs_setattr(&f->fs, node, -1, &set));
    g_assert_cmphex(mode_of(f->export, "file"), ==, 0070);
    close(node);
}

static void test_keep(Fixture *f)
{
    as_user(f, keep_child);
}

static void others_child(Fixture *f)
{
    FsSetAttr set = { .valid = FS_SET_SIZE };
    int node, dir;
    FsAttr attr;
    FsMakeArgs make = { .name = "x", .mode = S_IFIFO, .uid = geteuid(),
                    .gid = getegid() };

    f->fs.own_access = true;
    node = node_of(f, "roots");
    dir = node_of(f, "closed");
    assert_error(hostfs_open(&f->fs, node, O_RDONLY), EACCES);
    assert_error(hostfs_setattr(&f->fs, node, -1, &set), EACCES);
    assert_error(try_walk(f, "closed/in"), EACCES);
    assert_error(hostfs_make(&f->fs, dir, &make, &attr), EACCES);
    assert_error(hostfs_unlink(&f->fs, dir, "in", false, -1), EACCES);
    assert_error(hostfs_rename(&f->fs, dir, "in", f->fs.root, "in"), EACCES);

    /* Nothing is lacking that an owner could give: the group is not ours. */
    node = node_of(f, "group");
    assert_error(hostfs_open(&f->fs, node, O_RDONLY), EACCES);
    g_assert_cmphex(mode_of(f->export, "group"), ==, 02010);
}

/* What belongs to others stays shut. */
static void test_others(Fixture *f)
{
    if (!need_root("files of two users")) {
        return;
    }
    put_file(f->export, "roots", "text");
    set_mode(f->export, "roots", 0600);
    put_file(f->export, "group", "text");
    g_assert_cmpint(fchownat(f->export, "group", OTHER_ID, 4242, 0), ==, 0);
    set_mode(f->export, "group", 02010);
    g_assert_cmpint(mkdirat(f->export, "closed", 0700), ==, 0);
    put_file(f->export, "closed/in", "");
    as_user(f, others_child);
    assert_file(f->export, "roots", "text");
    g_assert_cmphex(mode_of(f->export, "roots"), ==, 0600);
    g_assert_cmphex(mode_of(f->export, "closed"), ==, 0700);
}

typedef struct Work {
    Fixture *f;
    int dir;
    int file;
    gint stop;
} Work;

static gpointer open_thread(gpointer opaque)
{
    Work *w = opaque;
    unsigned i;
    int fd;

    for (i = 0; i < TURNS; i++) {
        fd = hostfs_open(&w->f->fs, w->file, i & 1 ? O_RDONLY : O_WRONLY);
        g_assert_cmpint(fd, >=, 0);
        close(fd);
    }
    return NULL;
}

static gpointer walk_thread(gpointer opaque)
{
    Work *w = opaque;
    FsAttr attr;
    unsigned i;
    int fd;

    for (i = 0; i < TURNS; i++) {
        fd = hostfs_step(&w->f->fs, w->dir, "file", HOST_WAIT_POOL, &attr);
        g_assert_cmpint(fd, >=, 0);
        g_assert_cmphex(attr.mode & S_IRWXU, ==, 0);
        close(fd);
    }
    return NULL;
}

/* Changes, all the time, the mode to which bits are added */
static gpointer chmod_thread(gpointer opaque)
{
    Work *w = opaque;
    FsSetAttr set = { .valid = FS_SET_MODE };
    FsAttr attr;
    unsigned i;

    for (i = 0; i < TURNS; i++) {
        set.mode = i % 64;
        assert_ok(hostfs_setattr(&w->f->fs, w->file, -1, &set));
        assert_ok(hostfs_getattr(w->file, &attr));
        g_assert_cmphex(attr.mode, ==, S_IFREG | set.mode);
    }
    return NULL;
}

/* A thread that reads attributes never sees the bits. */
static gpointer look_thread(gpointer opaque)
{
    Work *w = opaque;
    FsAttr attr;

    while (!g_atomic_int_get(&w->stop)) {
        assert_ok(hostfs_getattr(w->file, &attr));
        g_assert_cmphex(attr.mode & S_IRWXU, ==, 0);
        assert_ok(hostfs_getattr(w->dir, &attr));
        g_assert_cmphex(attr.mode, ==, S_IFDIR | 0050);
    }
    return NULL;
}

static void threads_child(Fixture *f)
{
    static GThreadFunc const work[] = {
        open_thread, open_thread, walk_thread, walk_thread, chmod_thread,
    };
    GThread *threads[G_N_ELEMENTS(work)], *look;
    Work w = { .f = f };
    FsSetAttr set = { .valid = FS_SET_MODE };
    unsigned i;

    make_locked(f, 0050, &w.dir, &w.file);
    assert_ok(hostfs_setattr(&f->fs, w.file, -1, &set));
    for (i = 0; i < G_N_ELEMENTS(work); i++) {
        threads[i] = g_thread_new("work", work[i], &w);
    }
    look = g_thread_new("look", look_thread, &w);
    for (i = 0; i < G_N_ELEMENTS(work); i++) {
        g_thread_join(threads[i]);
    }
    g_atomic_int_set(&w.stop, 1);
    g_thread_join(look);
    g_assert_cmphex(mode_of(f->export, "d"), ==, 0050);
    close(w.dir);
    close(w.file);
}

static void test_threads(Fixture *f)
{
    as_user(f, threads_child);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);

    hostfs_test("access/open", test_open);
    hostfs_test("access/dir", test_dir);
    hostfs_test("access/rename", test_rename);
    hostfs_test("access/attr", test_attr);
    hostfs_test("access/keep", test_keep);
    hostfs_test("access/others", test_others);
    hostfs_test("access/threads", test_threads);

    return g_test_run();
}
