/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Tests of the file operations on the host that open and describe inodes, on a
 * real file system: in TMPDIR.
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

static void assert_noatime(Fixture *f, int flags, bool there)
{
    int node = node_of(f, "a/file");
    int fd = hostfs_open(&f->fs, node, O_RDONLY | flags);

    g_assert_cmpint(fd, >=, 0);
    g_assert_cmphex(fcntl(fd, F_GETFL) & O_NOATIME, ==, there ? O_NOATIME : 0);
    close(fd);
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
    assert_open(f, "a/file", O_ACCMODE, 0);
    assert_open(f, "a/b", O_ACCMODE, EISDIR);
    assert_open(f, "a/file", O_DIRECTORY, ENOTDIR);
    /* Flags that a guest may not choose are dropped. */
    assert_open(f, "a/file", O_RDWR | O_CREAT | O_EXCL | O_ASYNC, 0);
    assert_open(f, "a/file", O_RDONLY | O_PATH, 0);
    assert_noatime(f, 0, false);
    assert_noatime(f, O_NOATIME, true);
    assert_noatime(f, O_NOATIME | O_DIRECT, true);
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
    /* As the file is another user's, the host refuses it. */
    assert_noatime(f, O_NOATIME, false);
    assert_noatime(f, O_NOATIME | O_DIRECT, false);
    assert_open(f, "a/file", O_WRONLY | O_NOATIME, EACCES);
    assert_open(f, "a/file", O_WRONLY, EACCES);
    assert_open(f, "a/file", O_RDONLY | O_TRUNC, EACCES);
}

static void test_open_user(Fixture *f)
{
    if (!need_root("a file of another user")) {
        return;
    }
    make_tree(f);
    as_user(f, open_user_child);
    assert_file(f->export, "a/file", "text");
}

/* Only operations on names need a name. */
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
    hostfs_test("readonly", test_readonly);
    hostfs_test("xattr/all", test_xattr);
    hostfs_test("xattr/special", test_xattr_special);
    hostfs_test("no-proc", test_no_proc);
    return g_test_run();
}
