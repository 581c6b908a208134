/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Tests of the file operations on the host that find, open and describe
 * inodes, on a real file system: in TMPDIR.
 */
#include "qemu/osdep.h"
#include "hostfs-fixture.h"
#include <linux/fs.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/statvfs.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>

static void make_tree(Fixture *f)
{
    g_assert_cmpint(mkdirat(f->export, "a", 0755), ==, 0);
    g_assert_cmpint(mkdirat(f->export, "a/b", 0755), ==, 0);
    g_assert_cmpint(mkdirat(f->export, "a/b/c", 0755), ==, 0);
    put_file(f->export, "a/file", "text");
}

static uint64_t ino_of(int dir, const char *name)
{
    struct stat st;

    g_assert_cmpint(fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW), ==, 0);
    return st.st_ino;
}

static void test_init(Fixture *f)
{
    HostFs fs;

    put_file(f->export, "file", "");
    assert_error(hostfs_init(&fs, openat(f->export, "file",
                                         O_PATH | O_CLOEXEC),
                             "/proc/self/fd/"), ENOTDIR);
    g_assert_cmpint(fs.root, ==, -1);
    assert_error(hostfs_init(&fs, -1, ""), EBADF);
    assert_error(hostfs_init(&fs, openat(f->export, ".",
                                         O_PATH | O_CLOEXEC),
                             "/a/folder/that/cannot/be/meant/here/"),
                 ENAMETOOLONG);
    g_assert_cmpuint(f->fs.root_ino, ==, ino_of(f->export, "."));
}

static void test_walk(Fixture *f)
{
    const char *names[] = { "a", "b", "c" };
    HostWalk walk;
    FsAttr attr;
    unsigned n;

    make_tree(f);
    for (n = 1; n <= 3; n++) {
        assert_ok(hostfs_walk(&f->fs, f->fs.root, names, n, &walk));
        g_assert_cmpuint(walk.walked, ==, n);
        g_assert_cmpuint(walk.attr[0].ino, ==, ino_of(f->export, "a"));
        if (n == 1) {
            g_assert_cmpint(walk.parent, ==, -1);
        } else {
            assert_ok(hostfs_getattr(walk.parent, &attr));
            g_assert_cmpuint(attr.ino, ==, walk.attr[n - 2].ino);
            close(walk.parent);
        }
        assert_ok(hostfs_getattr(walk.node, &attr));
        g_assert_cmpuint(attr.ino, ==, walk.attr[n - 1].ino);
        g_assert_cmphex(fcntl(walk.node, F_GETFL) & O_PATH, ==, O_PATH);
        g_assert_cmpint(fcntl(walk.node, F_GETFD), ==, FD_CLOEXEC);
        close(walk.node);
    }
    g_assert_cmpuint(walk.attr[2].ino, ==, ino_of(f->export, "a/b/c"));

    assert_error(hostfs_walk(&f->fs, f->fs.root, names, 0, &walk), EINVAL);
}

/* As many names as a message may have, and one more */
static void test_walk_long(Fixture *f)
{
    const char *names[FS_WALK_MAX + 1];
    HostWalk walk;
    unsigned i;
    int dir = dup(f->export);

    for (i = 0; i <= FS_WALK_MAX; i++) {
        int next;

        names[i] = "deep";
        g_assert_cmpint(mkdirat(dir, "deep", 0755), ==, 0);
        next = openat(dir, "deep", O_PATH | O_CLOEXEC);
        close(dir);
        dir = next;
        g_assert_cmpint(dir, >=, 0);
    }
    close(dir);

    assert_ok(hostfs_walk(&f->fs, f->fs.root, names, FS_WALK_MAX, &walk));
    g_assert_cmpuint(walk.walked, ==, FS_WALK_MAX);
    for (i = 1; i < FS_WALK_MAX; i++) {
        g_assert_cmpuint(walk.attr[i].ino, !=, walk.attr[i - 1].ino);
    }
    close(walk.node);
    close(walk.parent);
    assert_error(hostfs_walk(&f->fs, f->fs.root, names, FS_WALK_MAX + 1,
                             &walk), EINVAL);
}

static void test_walk_partial(Fixture *f)
{
    const char *names[] = { "a", "b", "none", "c" };
    const char *through[] = { "a", "file", "c" };
    HostWalk walk;

    make_tree(f);
    assert_error(hostfs_walk(&f->fs, f->fs.root, names, 4, &walk), ENOENT);
    g_assert_cmpuint(walk.walked, ==, 2);
    g_assert_cmpuint(walk.attr[1].ino, ==, ino_of(f->export, "a/b"));
    g_assert_cmpint(walk.node, ==, -1);
    g_assert_cmpint(walk.parent, ==, -1);

    assert_error(hostfs_walk(&f->fs, f->fs.root, through, 3, &walk), ENOTDIR);
    g_assert_cmpuint(walk.walked, ==, 2);
    through[2] = "..";
    assert_error(hostfs_walk(&f->fs, f->fs.root, through, 3, &walk), ENOTDIR);
    assert_error(hostfs_walk(&f->fs, f->fs.root, names + 2, 1, &walk), ENOENT);
    g_assert_cmpuint(walk.walked, ==, 0);
}

static void assert_name(Fixture *f, const char *name, int err)
{
    const char *names[] = { name };
    HostWalk walk;
    int ret = hostfs_walk(&f->fs, f->fs.root, names, 1, &walk);

    g_assert_cmpint(ret, ==, -err);
    if (ret == 0) {
        close(walk.node);
    }
}

static void test_walk_names(Fixture *f)
{
    g_autofree char *longest = g_strnfill(NAME_MAX, 'n');
    g_autofree char *longer = g_strnfill(NAME_MAX + 1, 'n');
    g_autofree char *path = g_strconcat("/", f->dir, "/outside", NULL);
    unsigned byte;

    make_tree(f);
    assert_name(f, "", ENOENT);
    assert_name(f, ".", ENOENT);
    assert_name(f, "/", ENOENT);
    assert_name(f, "a/b", ENOENT);
    assert_name(f, "a/", ENOENT);
    assert_name(f, "/a", ENOENT);
    assert_name(f, "../outside", ENOENT);
    assert_name(f, "a/../../outside", ENOENT);
    assert_name(f, path, ENOENT);
    assert_name(f, "...", ENOENT);
    assert_name(f, longer, ENAMETOOLONG);
    assert_name(f, longest, ENOENT);
    put_file(f->export, longest, "");
    assert_name(f, longest, 0);

    for (byte = 1; byte < 256; byte++) {
        char name[] = { 'x', byte, '\0' };

        if (byte != '/') {
            put_file(f->export, name, "");
            assert_name(f, name, 0);
        }
    }
}

/* A link is found itself, and is no way to anywhere. */
static void test_walk_links(Fixture *f)
{
    g_autofree char *secret = g_strconcat(f->dir, "/outside/secret", NULL);
    g_autofree char *up = g_strconcat(f->dir, "/outside", NULL);

    make_tree(f);
    g_assert_cmpint(symlinkat(up, f->export, "abs"), ==, 0);
    g_assert_cmpint(symlinkat("../outside", f->export, "rel"), ==, 0);
    g_assert_cmpint(symlinkat(secret, f->export, "a/secret"), ==, 0);
    g_assert_cmpint(symlinkat("b", f->export, "a/inside"), ==, 0);
    g_assert_cmpint(symlinkat("/proc/self/root", f->export, "magic"), ==, 0);
    g_assert_cmpint(symlinkat("loop", f->export, "loop"), ==, 0);

    g_assert_cmphex(attr_of(f, "abs").mode & S_IFMT, ==, S_IFLNK);
    g_assert_cmphex(attr_of(f, "rel").mode & S_IFMT, ==, S_IFLNK);
    g_assert_cmphex(attr_of(f, "a/secret").mode & S_IFMT, ==, S_IFLNK);
    g_assert_cmphex(attr_of(f, "magic").mode & S_IFMT, ==, S_IFLNK);
    g_assert_cmphex(attr_of(f, "loop").mode & S_IFMT, ==, S_IFLNK);

    assert_error(try_walk(f, "abs/secret"), ENOTDIR);
    assert_error(try_walk(f, "rel/secret"), ENOTDIR);
    assert_error(try_walk(f, "rel/.."), ENOTDIR);
    assert_error(try_walk(f, "a/inside/c"), ENOTDIR);
    assert_error(try_walk(f, "magic/etc"), ENOTDIR);
    assert_error(try_walk(f, "loop/x"), ENOTDIR);
}

static void test_walk_up(Fixture *f)
{
    uint64_t root = f->fs.root_ino;

    make_tree(f);
    g_assert_cmpuint(attr_of(f, "..").ino, ==, root);
    g_assert_cmpuint(attr_of(f, "../../..").ino, ==, root);
    g_assert_cmpuint(attr_of(f, "a/..").ino, ==, root);
    g_assert_cmpuint(attr_of(f, "a/b/c/..").ino, ==, ino_of(f->export, "a/b"));
    g_assert_cmpuint(attr_of(f, "a/b/c/../../..").ino, ==, root);
    g_assert_cmpuint(attr_of(f, "a/b/../../../../a/b").ino, ==,
                     ino_of(f->export, "a/b"));
    assert_error(try_walk(f, "../outside"), ENOENT);
    assert_error(try_walk(f, "a/../../outside"), ENOENT);
}

/* What ".." gives for the parent: none if it comes last. */
static void test_walk_up_parent(Fixture *f)
{
    const char *last[] = { "a", ".." };
    const char *before[] = { "a", "..", "a" };
    HostWalk walk;
    FsAttr attr;

    make_tree(f);
    assert_ok(hostfs_walk(&f->fs, f->fs.root, last, 2, &walk));
    g_assert_cmpint(walk.parent, ==, -1);
    close(walk.node);

    assert_ok(hostfs_walk(&f->fs, f->fs.root, before, 3, &walk));
    assert_ok(hostfs_getattr(walk.parent, &attr));
    g_assert_cmpuint(attr.ino, ==, f->fs.root_ino);
    close(walk.parent);
    close(walk.node);
}

/* A directory that somebody moved out while a guest was in it */
static void test_walk_moved_out(Fixture *f)
{
    const char *up[] = { "..", ".." };
    HostWalk walk;
    int b, c;

    make_tree(f);
    b = node_of(f, "a/b");
    c = node_of(f, "a/b/c");
    assert_ok(hostfs_walk(&f->fs, b, up, 1, &walk));
    close(walk.node);

    g_assert_cmpint(renameat(f->export, "a/b", f->outside, "b"), ==, 0);
    assert_error(hostfs_walk(&f->fs, b, up, 1, &walk), ENOENT);
    assert_error(hostfs_walk(&f->fs, c, up, 1, &walk), ENOENT);
    assert_error(hostfs_walk(&f->fs, c, up, 2, &walk), ENOENT);
    g_assert_cmpuint(walk.walked, ==, 0);

    /* And back */
    g_assert_cmpint(renameat(f->outside, "b", f->export, "b"), ==, 0);
    assert_ok(hostfs_walk(&f->fs, c, up, 2, &walk));
    g_assert_cmpuint(walk.attr[1].ino, ==, f->fs.root_ino);
    close(walk.node);
    close(b);
    close(c);
}

/* The export's root itself may be moved, or be the host's root. */
static void test_walk_root_moved(Fixture *f)
{
    HostFs fs;
    HostWalk walk;
    const char *up[] = { "..", "..", ".." };

    make_tree(f);
    g_assert_cmpint(mkdirat(f->top, "elsewhere", 0755), ==, 0);
    g_assert_cmpint(renameat(f->top, "export", f->top, "elsewhere/export"),
                    ==, 0);
    g_assert_cmpuint(attr_of(f, "a/b/../../..").ino, ==, f->fs.root_ino);
    g_assert_cmpint(renameat(f->top, "elsewhere/export", f->top, "export"),
                    ==, 0);

    assert_ok(hostfs_init(&fs, open("/", O_PATH | O_CLOEXEC),
                          "/proc/self/fd/"));
    assert_ok(hostfs_walk(&fs, f->fs.root, up, 3, &walk));
    close(walk.node);
    hostfs_destroy(&fs);
}

/* A directory that was removed while a guest was in it */
static void test_walk_removed(Fixture *f)
{
    const char *names[] = { "x" };
    HostWalk walk;
    int c;

    make_tree(f);
    c = node_of(f, "a/b/c");
    g_assert_cmpint(unlinkat(f->export, "a/b/c", AT_REMOVEDIR), ==, 0);
    assert_error(hostfs_walk(&f->fs, c, names, 1, &walk), ENOENT);
    close(c);
}

static bool try_mount(const char *source, int dir, const char *name,
                      const char *type, unsigned long flags)
{
    g_autofree char *target = g_strdup_printf("/proc/self/fd/%d/%s", dir,
                                              name);

    return mount(source, target, type, flags, NULL) == 0;
}

static void unshare_mounts(Fixture *f)
{
    g_autofree char *export = g_strconcat(f->dir, "/export", NULL);

    /* What was opened before stays in the name space of before. */
    if (unshare(CLONE_NEWNS) < 0) {
        g_assert_cmpint(errno, ==, EPERM);
        _exit(CHILD_SKIPS);
    }
    hostfs_destroy(&f->fs);
    close(f->export);
    f->export = open(export, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    g_assert_cmpint(f->export, >=, 0);
    assert_ok(hostfs_init(&f->fs, open(export, O_PATH | O_CLOEXEC),
                          "/proc/self/fd/"));
    g_assert_cmpint(mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL), ==,
                    0);
}

static void mounts_child(Fixture *f)
{
    g_autofree char *self = NULL;
    FsAttr attr;

    unshare_mounts(f);
    self = g_strdup_printf("/proc/self/fd/%d", f->export);

    /* A mount point in the export belongs to it. */
    g_assert_true(try_mount("none", f->export, "a/b", "tmpfs", 0));
    g_assert_cmpint(mkdirat(f->export, "a/b/in", 0755), ==, 0);
    attr = attr_of(f, "a/b/in");
    g_assert_cmpuint(attr.dev, !=, f->fs.root_dev);
    g_assert_cmpuint(attr_of(f, "a/b/in/../../..").ino, ==, f->fs.root_ino);
    g_assert_cmpuint(attr_of(f, "a/b/..").ino, ==, ino_of(f->export, "a"));

    /* The root, and a directory's own parent, mounted inside once more */
    g_assert_true(try_mount(self, f->export, "again", NULL, MS_BIND));
    g_assert_cmpuint(attr_of(f, "again/a/..").ino, ==, f->fs.root_ino);
    g_assert_cmpuint(attr_of(f, "again/..").ino, ==, f->fs.root_ino);
    g_free(self);
    self = g_strdup_printf("/proc/self/fd/%d/outer", f->export);
    g_assert_true(try_mount(self, f->export, "outer/inner", NULL, MS_BIND));
    g_assert_cmpuint(attr_of(f, "outer/inner/inner/../../..").ino, ==,
                     f->fs.root_ino);

    /* Magic links that are really there */
    g_assert_true(try_mount("proc", f->export, "proc", "proc", 0));
    assert_ok(try_walk(f, "proc/1/root"));
    assert_error(try_walk(f, "proc/1/root/etc"), ENOTDIR);
    assert_error(try_walk(f, "proc/self/root"), ENOTDIR);
    assert_error(try_walk(f, "proc/1/cwd/.."), ENOTDIR);
}

static void test_walk_mounts(Fixture *f)
{
    if (!need_root("mounts in a mount name space of its own")) {
        return;
    }
    make_tree(f);
    g_assert_cmpint(mkdirat(f->export, "again", 0755), ==, 0);
    g_assert_cmpint(mkdirat(f->export, "proc", 0755), ==, 0);
    g_assert_cmpint(mkdirat(f->export, "outer", 0755), ==, 0);
    g_assert_cmpint(mkdirat(f->export, "outer/inner", 0755), ==, 0);
    in_child(f, mounts_child);
}

static void walk_denied_child(Fixture *f)
{
    assert_error(try_walk(f, "a/b"), EACCES);
    assert_ok(try_walk(f, "a"));
}

static void test_walk_denied(Fixture *f)
{
    make_tree(f);
    g_assert_cmpint(fchmodat(f->export, "a", 0600, 0), ==, 0);
    as_user(f, walk_denied_child);
}

static void test_getattr(Fixture *f)
{
    static const char *const names[] = { "a", "a/file", "link", "fifo" };
    unsigned i;

    make_tree(f);
    g_assert_cmpint(symlinkat("target", f->export, "link"), ==, 0);
    g_assert_cmpint(mkfifoat(f->export, "fifo", 0640), ==, 0);
    g_assert_cmpint(linkat(f->export, "a/file", f->export, "hard", 0), ==, 0);

    for (i = 0; i < G_N_ELEMENTS(names); i++) {
        FsAttr attr = attr_of(f, names[i]);
        struct stat st;

        g_assert_cmpint(fstatat(f->export, names[i], &st,
                                AT_SYMLINK_NOFOLLOW), ==, 0);
        g_assert_cmphex(attr.mode, ==, st.st_mode);
        g_assert_cmpuint(attr.uid, ==, st.st_uid);
        g_assert_cmpuint(attr.gid, ==, st.st_gid);
        g_assert_cmphex(attr.dev, ==, st.st_dev);
        g_assert_cmpuint(attr.ino, ==, st.st_ino);
        g_assert_cmpuint(attr.nlink, ==, st.st_nlink);
        g_assert_cmphex(attr.rdev, ==, st.st_rdev);
        g_assert_cmpuint(attr.size, ==, st.st_size);
        g_assert_cmpuint(attr.blksize, ==, st.st_blksize);
        g_assert_cmpuint(attr.blocks, ==, st.st_blocks);
        g_assert_cmpint(attr.mtime.tv_sec, ==, st.st_mtim.tv_sec);
        g_assert_cmpint(attr.mtime.tv_nsec, ==, st.st_mtim.tv_nsec);
        g_assert_cmpint(attr.ctime.tv_nsec, ==, st.st_ctim.tv_nsec);
        g_assert_cmpint(attr.atime.tv_nsec, ==, st.st_atim.tv_nsec);
        if (attr.valid & FS_ATTR_BTIME) {
            g_assert_cmpint(attr.btime.tv_sec, >, 0);
        }
    }
    g_assert_cmpuint(attr_of(f, "a/file").nlink, ==, 2);
    g_assert_cmpuint(attr_of(f, "a/file").size, ==, 4);

    {
        FsAttr attr;

        assert_error(hostfs_getattr(-1, &attr), EBADF);
        assert_ok(hostfs_getattr(f->export, &attr));
        g_assert_cmpuint(attr.ino, ==, f->fs.root_ino);
    }
}

static void test_getattr_device(Fixture *f)
{
    FsAttr attr;

    if (!need_root("makes a device node")) {
        return;
    }
    g_assert_cmpint(mknodat(f->export, "dev", S_IFCHR | 0600,
                            makedev(300, 70000)), ==, 0);
    attr = attr_of(f, "dev");
    g_assert_cmphex(attr.rdev, ==, makedev(300, 70000));
    g_assert_cmphex(attr.mode, ==, S_IFCHR | 0600);
}

static void test_readlink(Fixture *f)
{
    g_autofree char *longest = g_strnfill(PATH_MAX - 1, 't');
    char buf[PATH_MAX];
    int node;

    g_assert_cmpint(symlinkat("target", f->export, "link"), ==, 0);
    node = node_of(f, "link");
    assert_ok(hostfs_readlink(node, buf, sizeof(buf)));
    g_assert_cmpstr(buf, ==, "target");
    assert_ok(hostfs_readlink(node, buf, 7));
    g_assert_cmpstr(buf, ==, "target");
    assert_error(hostfs_readlink(node, buf, 6), ENAMETOOLONG);
    assert_error(hostfs_readlink(node, buf, 0), ENAMETOOLONG);
    close(node);

    if (symlinkat(longest, f->export, "long") == 0) {
        node = node_of(f, "long");
        assert_ok(hostfs_readlink(node, buf, sizeof(buf)));
        g_assert_cmpstr(buf, ==, longest);
        close(node);
    } else {
        /* ext4 with blocks of 1 KiB */
        g_assert_cmpint(errno, ==, ENAMETOOLONG);
    }

    put_file(f->export, "file", "");
    node = node_of(f, "file");
    assert_error(hostfs_readlink(node, buf, sizeof(buf)), EINVAL);
    close(node);
    assert_error(hostfs_readlink(f->fs.root, buf, sizeof(buf)), EINVAL);
}

static void test_statfs(Fixture *f)
{
    struct statvfs host;
    FsStatfs st;

    assert_ok(hostfs_statfs(f->fs.root, &st));
    g_assert_cmpint(fstatvfs(f->export, &host), ==, 0);
    g_assert_cmpuint(st.bsize, ==, host.f_bsize);
    g_assert_cmpuint(st.blocks, ==, host.f_blocks);
    g_assert_cmpuint(st.files, ==, host.f_files);
    g_assert_cmpuint(st.namelen, ==, host.f_namemax);
    g_assert_cmphex(st.fsid, ==, host.f_fsid);
    g_assert_cmpuint(st.bfree, <=, st.blocks);
    g_assert_cmphex(st.type, !=, 0);
    assert_error(hostfs_statfs(-1, &st), EBADF);
}

static void assert_open(Fixture *f, const char *path, int flags, int err)
{
    int node = node_of(f, path);
    int fd = hostfs_open(&f->fs, node, flags);

    if (err) {
        g_assert_cmpint(fd, ==, -err);
    } else {
        int got;

        g_assert_cmpint(fd, >=, 0);
        got = fcntl(fd, F_GETFL);
        g_assert_cmphex(got & (O_ACCMODE | O_APPEND | O_PATH | O_NONBLOCK),
                        ==, flags & (O_ACCMODE | O_APPEND));
        g_assert_cmpint(fcntl(fd, F_GETFD), ==, FD_CLOEXEC);
        close(fd);
    }
    close(node);
}

static void test_open(Fixture *f)
{
    make_tree(f);
    g_assert_cmpint(symlinkat("a/file", f->export, "link"), ==, 0);
    g_assert_cmpint(mkfifoat(f->export, "fifo", 0666), ==, 0);

    assert_open(f, "a/file", O_RDONLY, 0);
    assert_open(f, "a/file", O_WRONLY, 0);
    assert_open(f, "a/file", O_RDWR | O_APPEND | O_SYNC, 0);
    assert_open(f, "a/file", O_RDWR | O_NONBLOCK | O_NOFOLLOW, 0);
    assert_open(f, "a/file", O_ACCMODE, EINVAL);
    assert_open(f, "a/file", O_DIRECTORY, ENOTDIR);
    /* What a guest has no say in is dropped. */
    assert_open(f, "a/file", O_RDWR | O_CREAT | O_EXCL | O_ASYNC, 0);
    assert_open(f, "a/file", O_RDONLY | O_PATH, 0);
    assert_open(f, "a/b", O_RDWR | __O_TMPFILE, EISDIR);
    g_assert_cmpuint(count_entries(f->export), ==, 3);
    assert_file(f->export, "a/file", "text");

    assert_open(f, "a", O_RDONLY, 0);
    assert_open(f, "a", O_RDONLY | O_DIRECTORY, 0);
    assert_open(f, "a", O_WRONLY, EISDIR);
    assert_open(f, "a", O_RDWR | O_DIRECTORY, EISDIR);
    assert_open(f, "a", O_RDONLY | O_TRUNC, EISDIR);

    assert_open(f, "link", O_RDONLY, ELOOP);
    assert_open(f, "link", O_WRONLY | O_TRUNC, ELOOP);
    assert_open(f, "fifo", O_RDONLY, ENXIO);
    assert_open(f, "fifo", O_WRONLY, ENXIO);
    assert_open(f, "fifo", O_RDWR | O_NONBLOCK, ENXIO);

    assert_open(f, "a/file", O_WRONLY | O_TRUNC, 0);
    assert_file(f->export, "a/file", "");
    assert_error(hostfs_open(&f->fs, -1, O_RDONLY), EBADF);
}

/* O_DIRECT where the file system has it, and no error where it does not */
static void open_direct(Fixture *f, bool none)
{
    FsMakeArgs make = { .name = "new", .mode = 0640, .uid = geteuid(),
                    .gid = getegid() };
    FsAttr attr;
    int has, node, fd, i;

    make_tree(f);
    fd = openat(f->export, "a/file", O_RDONLY | O_DIRECT | O_CLOEXEC);
    has = fd >= 0 ? O_DIRECT : 0;
    if (fd >= 0) {
        close(fd);
    } else {
        g_assert_cmpint(errno, ==, EINVAL);
    }
    g_assert_false(none && has);
    g_test_message("%s O_DIRECT", has ? "with" : "without");

    node = node_of(f, "a/file");
    fd = hostfs_open(&f->fs, node, O_WRONLY | O_DIRECT | O_TRUNC | O_APPEND);
    g_assert_cmpint(fd, >=, 0);
    g_assert_cmphex(fcntl(fd, F_GETFL) & (O_ACCMODE | O_APPEND | O_DIRECT),
                    ==, O_WRONLY | O_APPEND | has);
    close(fd);
    close(node);
    g_assert_cmpuint(attr_of(f, "a/file").size, ==, 0);

    /* Made, and opened because it exists */
    for (i = 0; i < 2; i++) {
        fd = hostfs_create(&f->fs, f->fs.root, &make, O_RDWR | O_DIRECT,
                           &node, &attr);
        g_assert_cmpint(fd, >=, 0);
        g_assert_cmphex(fcntl(fd, F_GETFL) & O_DIRECT, ==, has);
        close(fd);
        close(node);
    }
    assert_open(f, "a", O_RDONLY | O_DIRECT | O_DIRECTORY, 0);
}

static void test_open_direct(Fixture *f)
{
    open_direct(f, false);
}

static void open_no_direct_child(Fixture *f)
{
    g_autofree char *export = g_strconcat(f->dir, "/export", NULL);

    unshare_mounts(f);
    g_assert_true(try_mount("none", f->export, ".", "ramfs", 0));
    hostfs_destroy(&f->fs);
    f->export = open(export, O_RDONLY | O_DIRECTORY);
    g_assert_cmpint(f->export, >=, 0);
    assert_ok(hostfs_init(&f->fs, openat(f->export, ".", O_PATH),
                          "/proc/self/fd/"));
    open_direct(f, true);
}

static void test_open_no_direct(Fixture *f)
{
    if (!need_root("mounts a ramfs in a mount name space of its own")) {
        return;
    }
    in_child(f, open_no_direct_child);
    g_assert_cmpuint(count_entries(f->export), ==, 0);
}

static void test_step(Fixture *f)
{
    FsAttr attr, same;
    int cached, a, up;

    make_tree(f);
    a = hostfs_step(&f->fs, f->fs.root, "a", HOST_WAIT_POOL, &attr);
    g_assert_cmpint(a, >=, 0);
    g_assert_cmpuint(attr.ino, ==, ino_of(f->export, "a"));

    /* Just looked up, so it is in the cache of a kernel that can tell */
    cached = hostfs_step(&f->fs, f->fs.root, "a", HOST_WAIT_TRY_FIRST, &same);
    if (cached == -EAGAIN) {
        g_test_message("nothing comes from the cache here");
    } else {
        g_assert_cmpint(cached, >=, 0);
        g_assert_cmpmem(&attr, sizeof(attr), &same, sizeof(same));
        g_assert_cmpint(fcntl(cached, F_GETFD), ==, FD_CLOEXEC);
        close(cached);
    }
    cached = hostfs_step(&f->fs, a, "none", HOST_WAIT_TRY_FIRST, &same);
    g_assert_true(cached == -ENOENT || cached == -EAGAIN);
    assert_error(hostfs_step(&f->fs, a, "none", HOST_WAIT_POOL, &same), ENOENT);
    assert_error(hostfs_step(&f->fs, a, "file/x", HOST_WAIT_TRY_FIRST, &same),
                 ENOENT);
    assert_error(hostfs_step(&f->fs, a, ".", HOST_WAIT_TRY_FIRST, &same),
                 ENOENT);

    assert_error(hostfs_step(&f->fs, a, "..", HOST_WAIT_TRY_FIRST, &same),
                 EAGAIN);
    up = hostfs_step(&f->fs, a, "..", HOST_WAIT_POOL, &attr);
    g_assert_cmpint(up, >=, 0);
    g_assert_cmpuint(attr.ino, ==, f->fs.root_ino);
    close(up);
    close(a);
}

static void test_generation(Fixture *f)
{
    uint64_t gen = UINT64_MAX, again;
    long host = 0;
    int file, dir, fifo, link, fd, ret;

    make_tree(f);
    g_assert_cmpint(mkfifoat(f->export, "fifo", 0666), ==, 0);
    g_assert_cmpint(symlinkat("a", f->export, "link"), ==, 0);
    file = node_of(f, "a/file");
    dir = node_of(f, "a");
    fifo = node_of(f, "fifo");
    link = node_of(f, "link");

    assert_error(hostfs_generation(&f->fs, fifo, &gen), EOPNOTSUPP);
    assert_error(hostfs_generation(&f->fs, link, &gen), EOPNOTSUPP);
    assert_error(hostfs_generation(&f->fs, -1, &gen), EBADF);
    g_assert_cmphex(gen, ==, UINT64_MAX);

    fd = openat(f->export, "a/file", O_RDONLY | O_CLOEXEC);
    ret = ioctl(fd, FS_IOC_GETVERSION, &host);
    close(fd);
    if (ret < 0) {
        assert_error(hostfs_generation(&f->fs, file, &gen), EOPNOTSUPP);
        g_test_message("TMPDIR's file system has no generations");
    } else {
        assert_ok(hostfs_generation(&f->fs, file, &gen));
        g_assert_cmphex(gen, ==, (uint32_t)host);
        assert_ok(hostfs_generation(&f->fs, file, &again));
        g_assert_cmphex(gen, ==, again);
        assert_ok(hostfs_generation(&f->fs, dir, &again));
    }
    close(file);
    close(dir);
    close(fifo);
    close(link);
}

static void test_open_device(Fixture *f)
{
    if (!need_root("makes a device node")) {
        return;
    }
    g_assert_cmpint(mknodat(f->export, "null", S_IFCHR | 0666, makedev(1, 3)),
                    ==, 0);
    assert_open(f, "null", O_RDONLY, ENXIO);
    assert_open(f, "null", O_WRONLY, ENXIO);
}

static void open_user_child(Fixture *f)
{
    assert_open(f, "a/file", O_RDONLY, 0);
    assert_open(f, "a/file", O_RDONLY | O_NOATIME, EPERM);
    assert_open(f, "a/file", O_WRONLY, EACCES);
    assert_open(f, "a/file", O_RDONLY | O_TRUNC, EACCES);
}

static void test_open_user(Fixture *f)
{
    if (!need_root("a file of somebody else")) {
        return;
    }
    make_tree(f);
    as_user(f, open_user_child);
    assert_file(f->export, "a/file", "text");
}

/* No name is needed for anything but for a name. */
static void test_unlinked(Fixture *f)
{
    FsSetAttr set = { .valid = FS_SET_SIZE | FS_SET_MODE, .size = 2,
                      .mode = 0600 };
    char buf[8];
    FsAttr attr;
    int node, fd;

    put_file(f->export, "file", "text");
    node = node_of(f, "file");
    g_assert_cmpint(unlinkat(f->export, "file", 0), ==, 0);

    fd = hostfs_open(&f->fs, node, O_RDWR);
    g_assert_cmpint(fd, >=, 0);
    g_assert_cmpint(read(fd, buf, sizeof(buf)), ==, 4);
    assert_ok(hostfs_setattr(&f->fs, node, -1, &set));
    assert_ok(hostfs_getattr(node, &attr));
    g_assert_cmpuint(attr.size, ==, 2);
    g_assert_cmpuint(attr.nlink, ==, 0);
    g_assert_cmphex(attr.mode, ==, S_IFREG | 0600);
    set.size = 7;
    assert_ok(hostfs_setattr(&f->fs, node, fd, &set));
    assert_ok(hostfs_getattr(fd, &attr));
    g_assert_cmpuint(attr.size, ==, 7);
    close(fd);
    close(node);
}

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

static void test_readonly(Fixture *f)
{
    static const uint32_t changes[] = {
        FS_SET_MODE, FS_SET_UID, FS_SET_GID, FS_SET_SIZE, FS_SET_ATIME,
        FS_SET_MTIME, FS_SET_CTIME,
    };
    FsSetAttr set = { .valid = 0 };
    FsAttr before, after;
    unsigned i;
    int node;

    make_tree(f);
    f->fs.readonly = true;
    node = node_of(f, "a/file");
    before = attr_of(f, "a/file");
    assert_ok(hostfs_setattr(&f->fs, node, -1, &set));
    for (i = 0; i < G_N_ELEMENTS(changes); i++) {
        set.valid = changes[i];
        assert_error(hostfs_setattr(&f->fs, node, -1, &set), EROFS);
    }
    assert_error(hostfs_setxattr(&f->fs, node, "user.x", "1", 1, 0), EROFS);
    assert_error(hostfs_removexattr(&f->fs, node, "user.x"), EROFS);
    close(node);

    assert_open(f, "a/file", O_WRONLY, EROFS);
    assert_open(f, "a/file", O_RDWR, EROFS);
    assert_open(f, "a/file", O_RDONLY | O_TRUNC, EROFS);
    assert_open(f, "a/file", O_RDONLY, 0);
    assert_open(f, "a", O_RDONLY, 0);
    after = attr_of(f, "a/file");
    g_assert_cmpmem(&before, sizeof(before), &after, sizeof(after));
}

/* Whether TMPDIR has user.* attributes; skips the test if not. */
static bool need_xattrs(Fixture *f)
{
    if (fsetxattr(f->export, "user.probe", "", 0, 0) < 0) {
        g_assert_cmpint(errno, ==, EOPNOTSUPP);
        g_test_skip("the file system of TMPDIR has no user xattrs");
        return false;
    }
    g_assert_cmpint(fremovexattr(f->export, "user.probe"), ==, 0);
    return true;
}

static void test_xattr(Fixture *f)
{
    g_autofree char *large = g_strnfill(FS_XATTR_MAX + 1, 'v');
    g_autofree char *name = g_strnfill(256, 'n');
    char buf[256];
    int node;

    if (!need_xattrs(f)) {
        return;
    }
    put_file(f->export, "file", "");
    node = node_of(f, "file");

    assert_error(hostfs_getxattr(&f->fs, node, "user.a", buf, 256), ENODATA);
    assert_error(hostfs_removexattr(&f->fs, node, "user.a"), ENODATA);
    assert_error(hostfs_setxattr(&f->fs, node, "user.a", "1", 1,
                                 XATTR_REPLACE), ENODATA);
    assert_ok(hostfs_setxattr(&f->fs, node, "user.a", "v\0lue", 5, 0));
    assert_error(hostfs_setxattr(&f->fs, node, "user.a", "1", 1,
                                 XATTR_CREATE), EEXIST);
    assert_ok(hostfs_setxattr(&f->fs, node, "user.empty", NULL, 0, 0));

    g_assert_cmpint(hostfs_getxattr(&f->fs, node, "user.a", buf, 256), ==, 5);
    g_assert_cmpmem(buf, 5, "v\0lue", 5);
    g_assert_cmpint(hostfs_getxattr(&f->fs, node, "user.a", NULL, 0), ==, 5);
    assert_error(hostfs_getxattr(&f->fs, node, "user.a", buf, 4), ERANGE);
    g_assert_cmpint(hostfs_getxattr(&f->fs, node, "user.empty", buf, 256),
                    ==, 0);

    g_assert_cmpint(hostfs_getxattr(&f->fs, node, NULL, NULL, 0), >=, 18);
    g_assert_cmpint(hostfs_getxattr(&f->fs, node, NULL, buf, 256), >=, 18);
    assert_error(hostfs_getxattr(&f->fs, node, NULL, buf, 1), ERANGE);

    assert_ok(hostfs_removexattr(&f->fs, node, "user.a"));
    assert_error(hostfs_getxattr(&f->fs, node, "user.a", buf, 256), ENODATA);

    assert_error(hostfs_setxattr(&f->fs, node, "user.l", large,
                                 FS_XATTR_MAX + 1, 0), E2BIG);
    assert_error(hostfs_setxattr(&f->fs, node, "", "1", 1, 0), ERANGE);
    assert_error(hostfs_setxattr(&f->fs, node, name, "1", 1, 0), ERANGE);
    assert_error(hostfs_setxattr(&f->fs, node, "none.x", "1", 1, 0),
                 EOPNOTSUPP);
    assert_error(hostfs_setxattr(&f->fs, node, "user.x", "1", 1, 64), EINVAL);
    close(node);
}

/* Never those of a link's target, and what the kernel says to special files */
static void test_xattr_special(Fixture *f)
{
    char buf[16];
    int link, fifo;

    if (!need_xattrs(f)) {
        return;
    }
    put_file(f->export, "file", "");
    g_assert_cmpint(symlinkat("file", f->export, "link"), ==, 0);
    g_assert_cmpint(mkfifoat(f->export, "fifo", 0666), ==, 0);
    link = node_of(f, "file");
    assert_ok(hostfs_setxattr(&f->fs, link, "user.x", "target's", 8, 0));
    close(link);

    link = node_of(f, "link");
    fifo = node_of(f, "fifo");
    assert_error(hostfs_getxattr(&f->fs, link, "user.x", buf, 16), ENODATA);
    assert_error(hostfs_setxattr(&f->fs, link, "user.x", "1", 1, 0), EPERM);
    assert_error(hostfs_removexattr(&f->fs, link, "user.x"), EPERM);
    assert_error(hostfs_getxattr(&f->fs, fifo, "user.x", buf, 16), ENODATA);
    assert_error(hostfs_setxattr(&f->fs, fifo, "user.x", "1", 1, 0), EPERM);

    if (geteuid() == 0 &&
        hostfs_setxattr(&f->fs, link, "trusted.x", "own", 3, 0) == 0) {
        int file = node_of(f, "file");

        g_assert_cmpint(hostfs_getxattr(&f->fs, link, "trusted.x", buf, 16),
                        ==, 3);
        assert_error(hostfs_getxattr(&f->fs, file, "trusted.x", buf, 16),
                     ENODATA);
        close(file);
    }
    close(link);
    close(fifo);
}

/* Names of magic links without a /proc in front: as in the helper's sandbox */
static void no_proc_child(Fixture *f)
{
    FsMakeArgs make = { .name = "made", .mode = 0640, .uid = geteuid(),
                    .gid = getegid() };
    FsSetAttr set = { .valid = FS_SET_SIZE | FS_SET_MODE, .size = 1,
                      .mode = 0600 };
    FsAttr attr;
    int node, file, fd;

    g_assert_cmpint(chdir("/proc/self/fd"), ==, 0);
    f->fs.fd_prefix = "";
    file = node_of(f, "a/file");
    fd = hostfs_open(&f->fs, file, O_RDWR);
    g_assert_cmpint(fd, >=, 0);
    close(fd);
    assert_ok(hostfs_setattr(&f->fs, file, -1, &set));
    assert_ok(hostfs_link(&f->fs, file, f->fs.root, "hard"));
    assert_error(hostfs_removexattr(&f->fs, file, "user.none"), ENODATA);
    fd = hostfs_create(&f->fs, f->fs.root, &make, O_RDWR | O_EXCL, &node,
                       &attr);
    g_assert_cmpint(fd, >=, 0);
    g_assert_cmphex(attr.mode, ==, S_IFREG | 0640);
    g_assert_cmpuint(attr_of(f, "hard").size, ==, 1);
}

static void test_no_proc(Fixture *f)
{
    make_tree(f);
    if (need_xattrs(f)) {
        in_child(f, no_proc_child);
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);

    hostfs_test("init", test_init);
    hostfs_test("walk/found", test_walk);
    hostfs_test("walk/long", test_walk_long);
    hostfs_test("walk/partial", test_walk_partial);
    hostfs_test("walk/names", test_walk_names);
    hostfs_test("walk/links", test_walk_links);
    hostfs_test("walk/up", test_walk_up);
    hostfs_test("walk/up-parent", test_walk_up_parent);
    hostfs_test("walk/moved-out", test_walk_moved_out);
    hostfs_test("walk/root-moved", test_walk_root_moved);
    hostfs_test("walk/removed", test_walk_removed);
    hostfs_test("walk/mounts", test_walk_mounts);
    hostfs_test("walk/denied", test_walk_denied);
    hostfs_test("walk/step", test_step);
    hostfs_test("generation", test_generation);
    hostfs_test("getattr/all", test_getattr);
    hostfs_test("getattr/device", test_getattr_device);
    hostfs_test("readlink", test_readlink);
    hostfs_test("statfs", test_statfs);
    hostfs_test("open/types-and-flags", test_open);
    hostfs_test("open/device", test_open_device);
    hostfs_test("open/direct", test_open_direct);
    hostfs_test("open/no-direct", test_open_no_direct);
    hostfs_test("open/user", test_open_user);
    hostfs_test("unlinked", test_unlinked);
    hostfs_test("setattr/size", test_set_size);
    hostfs_test("setattr/mode", test_set_mode);
    hostfs_test("setattr/times", test_set_times);
    hostfs_test("setattr/bad", test_set_bad);
    hostfs_test("setattr/ctime", test_set_ctime);
    hostfs_test("setattr/owner", test_set_owner);
    hostfs_test("setattr/owner-denied", test_owner_denied);
    hostfs_test("readonly", test_readonly);
    hostfs_test("xattr/all", test_xattr);
    hostfs_test("xattr/special", test_xattr_special);
    hostfs_test("no-proc", test_no_proc);

    return g_test_run();
}
