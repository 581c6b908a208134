/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Tests of the mapped security models of the local driver, on a real directory
 * (in TMPDIR): the guest's view, and the bytes on the disk that stand for it.
 * The two models differ only in the format of these.
 */
#include "qemu/osdep.h"
#include "mapped-fixture.h"
#include <sched.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>

static void test_make(void)
{
    static const struct {
        const char *name;
        uint32_t mode;
        uint32_t seen;
    } objects[] = {
        { "reg", S_IFREG | 06751, S_IFREG | 06751 },
        { "none", 0644, S_IFREG | 0644 },
        { "zero", S_IFREG, S_IFREG },
        { "dir", S_IFDIR | 01777, S_IFDIR | 01777 },
        { "locked", S_IFDIR, S_IFDIR },
        { "link", S_IFLNK | 0600, S_IFLNK | 0777 },
        { "fifo", S_IFIFO | 0622, S_IFIFO | 0622 },
        { "sock", S_IFSOCK | 0666, S_IFSOCK | 0666 },
        { "chr", S_IFCHR | 0600, S_IFCHR | 0600 },
        { "blk", S_IFBLK | 0660, S_IFBLK | 0660 },
    };
    uint64_t rdev = makedev(1, 3);
    mode_t old = umask(0);
    unsigned i;

    for (i = 0; i < G_N_ELEMENTS(objects); i++) {
        const char *name = objects[i].name;
        uint32_t seen = objects[i].seen;
        bool dir = S_ISDIR(seen);
        bool dev = S_ISCHR(seen) || S_ISBLK(seen);
        struct stat st;
        FsAttr attr;

        umask(i % 2 ? 0777 : 0);
        assert_ok(try_make(name, objects[i].mode, &attr));
        umask(0);
        g_assert_cmphex(attr.mode, ==, seen);
        g_assert_cmpuint(attr.uid, ==, GUEST_UID);
        g_assert_cmpuint(attr.gid, ==, GUEST_GID);
        g_assert_cmpuint(attr.rdev, ==, dev ? rdev : 0);
        if (!dir) {
            g_assert_cmpuint(attr.size, ==, S_ISLNK(seen) ? 8 : 0);
            g_assert_cmpuint(attr.nlink, ==, 1);
        }
        g_assert_cmpuint(see(name).ino, ==, attr.ino);
        g_assert_cmpuint(see(name).rdev, ==, attr.rdev);
        g_assert_cmpuint(see(name).size, ==, attr.size);
        assert_seen(name, seen, GUEST_UID, GUEST_GID);
        assert_stored("", name, seen, GUEST_UID, GUEST_GID,
                      dev ? &rdev : NULL);

        st = host_stat(name);
        g_assert_cmphex(st.st_mode, ==,
                        dir ? S_IFDIR | DMODE : S_IFREG | FMODE);
        g_assert_cmpuint(st.st_uid, ==, geteuid());
        if (!dir) {
            assert_file(fix->export, name, S_ISLNK(seen) ? "to/there" : "");
        }
        assert_error(try_make(name, objects[i].mode, NULL), EEXIST);
        assert_stored("", name, seen, GUEST_UID, GUEST_GID,
                      dev ? &rdev : NULL);
    }
    if (is_file) {
        struct stat st = host_stat(META);

        g_assert_cmphex(st.st_mode, ==, S_IFDIR | 0700);
        st = host_stat(META "/reg");
        g_assert_cmphex(st.st_mode, ==, S_IFREG | 0600);
    }
    umask(old);
}

static void test_make_bad(void)
{
    g_autofree char *longer = g_strnfill(NAME_MAX + 1, 'n');
    g_autofree char *longest = g_strnfill(NAME_MAX, 'n');
    g_autofree char *target = g_strnfill(PATH_MAX, 't');
    FsMakeArgs bad = guest_make("x", S_IFLNK | 0777);
    FsAttr attr;

    assert_error(try_make(longer, S_IFREG | 0644, NULL), ENAMETOOLONG);
    assert_error(try_make("..", S_IFDIR | 0755, NULL), EINVAL);
    assert_error(try_make("x", 0170000 | 0644, NULL), EINVAL);
    bad.target = NULL;
    assert_error(model->make(&lh, lh.host.root, &bad, &attr), EINVAL);
    bad.target = "";
    assert_error(model->make(&lh, lh.host.root, &bad, &attr), ENOENT);
    bad.target = target;
    assert_error(model->make(&lh, lh.host.root, &bad, &attr), ENAMETOOLONG);
    bad.name = "a/b";
    bad.target = "t";
    assert_error(model->make(&lh, lh.host.root, &bad, &attr), ENOENT);
    g_assert_cmpuint(count_entries(fix->export), ==, 0);

    make(longest, S_IFREG | 0600);
    assert_seen(longest, S_IFREG | 0600, GUEST_UID, GUEST_GID);

    lh.host.readonly = true;
    assert_error(try_make("ro", S_IFREG | 0600, NULL), EROFS);
    assert_error(try_chmod(longest, 0644), EROFS);
    assert_error(try_unlink("", longest, false), EROFS);
    assert_error(try_rename("", longest, "", "ro"), EROFS);
    assert_error(try_link(longest, "ro"), EROFS);
    lh.host.readonly = false;
    assert_missing(fix->export, "ro");
}

static void test_create(void)
{
    FsAttr attr, before;

    assert_ok(try_create("file", S_IFREG | 0600, O_RDWR, &before));
    g_assert_cmphex(before.mode, ==, S_IFREG | 0600);
    g_assert_cmpuint(before.uid, ==, GUEST_UID);
    assert_stored("", "file", S_IFREG | 0600, GUEST_UID, GUEST_GID, NULL);
    assert_ok(try_set("file", (FsSetAttr) { .valid = FS_SET_SIZE,
                                            .size = 9 }));

    /* It stays as it is. */
    assert_error(try_create("file", 0777, O_RDWR | O_EXCL, &attr), EEXIST);
    assert_ok(try_create("file", 0777, O_RDONLY, &attr));
    g_assert_cmpuint(attr.ino, ==, before.ino);
    g_assert_cmphex(attr.mode, ==, S_IFREG | 0600);
    g_assert_cmpuint(attr.size, ==, 9);
    assert_ok(try_create("file", 0777, O_WRONLY | O_TRUNC, &attr));
    g_assert_cmpuint(attr.ino, ==, before.ino);
    g_assert_cmphex(attr.mode, ==, S_IFREG | 0600);
    g_assert_cmpuint(attr.size, ==, 0);

    make("dir", S_IFDIR | 0755);
    make("link", S_IFLNK | 0777);
    make("fifo", S_IFIFO | 0666);
    assert_error(try_create("dir", 0600, O_RDWR, &attr), EISDIR);
    assert_error(try_create("link", 0600, O_RDWR | O_TRUNC, &attr), ELOOP);
    assert_error(try_create("fifo", 0600, O_RDWR, &attr), ENXIO);
    assert_file(fix->export, "link", "to/there");
    assert_error(try_create("x", S_IFIFO | 0600, O_RDWR, &attr), EINVAL);
    assert_missing(fix->export, "x");
}

/* Files that the host put there */
static void test_plain(void)
{
    g_autofree char *secret = g_strconcat(fix->dir, "/outside/secret", NULL);
    char buf[PATH_MAX];
    FsAttr attr;

    put_file(fix->export, "file", "text");
    g_assert_cmpint(fchmodat(fix->export, "file", 0751, 0), ==, 0);
    g_assert_cmpint(mkdirat(fix->export, "dir", 0700), ==, 0);
    g_assert_cmpint(mkfifoat(fix->export, "fifo", 0600), ==, 0);
    g_assert_cmpint(symlinkat(secret, fix->export, "link"), ==, 0);

    assert_seen("file", S_IFREG | 0751, geteuid(), getegid());
    g_assert_cmpuint(see("file").size, ==, 4);
    assert_seen("dir", S_IFDIR | 0700, geteuid(), getegid());
    assert_seen("fifo", S_IFIFO | host_stat("fifo").st_mode, geteuid(),
                getegid());
    attr = see("link");
    g_assert_cmphex(attr.mode & S_IFMT, ==, S_IFLNK);
    g_assert_cmpuint(attr.size, ==, strlen(secret));
    assert_ok(try_readlink("link", buf, sizeof(buf)));
    g_assert_cmpstr(buf, ==, secret);
    assert_error(try_readlink("file", buf, sizeof(buf)), EINVAL);
    assert_error(try_create("link", 0600, O_RDWR | O_TRUNC, &attr), ELOOP);
    assert_error(try_create("fifo", 0600, O_RDWR, &attr), ENXIO);

    /* Only what the guest changes is its own thereafter. */
    assert_ok(try_set("file", (FsSetAttr) { .valid = FS_SET_UID,
                                            .uid = GUEST_UID }));
    assert_seen("file", S_IFREG | 0751, GUEST_UID, getegid());
    g_assert_cmpint(fchmodat(fix->export, "file", 0700, 0), ==, 0);
    assert_seen("file", S_IFREG | 0700, GUEST_UID, getegid());
    assert_ok(try_chmod("dir", 02711));
    assert_seen("dir", S_IFDIR | 02711, geteuid(), getegid());
    g_assert_cmphex(host_stat("dir").st_mode, ==, S_IFDIR | 0700);
    g_assert_cmphex(host_stat("file").st_mode, ==, S_IFREG | 0700);
}

static void test_root(void)
{
    struct stat st;

    g_assert_cmpint(fstat(fix->export, &st), ==, 0);
    assert_seen("", st.st_mode, st.st_uid, st.st_gid);
    assert_ok(try_chown("", GUEST_UID, GUEST_GID));
    assert_ok(try_chmod("", 01755));
    assert_seen("", S_IFDIR | 01755, GUEST_UID, GUEST_GID);
    if (is_file) {
        assert_file(fix->export, META_ROOT, "virtfs.uid=1234567\n"
                    "virtfs.gid=7654321\nvirtfs.mode=17389\n");
        assert_missing(fix->export, META);
    } else {
        assert_xattr("", "user.virtfs.mode", "\xed\x43\0\0", 4);
        assert_xattr("", "user.virtfs.uid", "\x87\xd6\x12\0", 4);
        assert_xattr("", "user.virtfs.gid", "\xb1\xcb\x74\0", 4);
    }
    g_assert_cmphex(host_stat(".").st_mode, ==, st.st_mode);
}

static bool later(struct timespec a, struct timespec b)
{
    return a.tv_sec != b.tv_sec ? a.tv_sec > b.tv_sec : a.tv_nsec > b.tv_nsec;
}

static void test_setattr(void)
{
    FsSetAttr times = {
        .valid = FS_SET_ATIME | FS_SET_ATIME_SET |
                 FS_SET_MTIME | FS_SET_MTIME_SET,
        .atime = { .tv_sec = 111, .tv_nsec = 222 },
        .mtime = { .tv_sec = 333, .tv_nsec = 444 },
    };
    FsAttr before, attr;

    make("file", S_IFREG | 0644);
    before = see("file");
    g_usleep(20000);
    assert_ok(try_chmod("file", 07777));
    attr = see("file");
    g_assert_true(later(attr.ctime, before.ctime));
    g_assert_false(later(attr.mtime, before.mtime));
    assert_stored("", "file", S_IFREG | 07777, GUEST_UID, GUEST_GID, NULL);

    /* chown(2) */
    assert_ok(try_chown("file", 5, 6));
    assert_seen("file", S_IFREG | 01777, 5, 6);
    assert_ok(try_chmod("file", 06745));
    assert_ok(try_chown("file", -1, -1));
    assert_seen("file", S_IFREG | 02745, 5, 6);
    assert_ok(try_set("file", (FsSetAttr) {
        .valid = FS_SET_GID | FS_SET_MODE, .gid = 0, .mode = 06755,
    }));
    assert_seen("file", S_IFREG | 06755, 5, 0);
    make("dir", S_IFDIR | 06755);
    assert_ok(try_chown("dir", 8, UINT32_MAX - 1));
    assert_seen("dir", S_IFDIR | 06755, 8, UINT32_MAX - 1);

    before = see("file");
    g_usleep(20000);
    assert_ok(try_set("file", (FsSetAttr) { .valid = FS_SET_SIZE,
                                            .size = 12345 }));
    attr = see("file");
    g_assert_cmpuint(attr.size, ==, 12345);
    g_assert_true(later(attr.mtime, before.mtime));
    assert_ok(try_set("file", times));
    attr = see("file");
    g_assert_cmpint(attr.atime.tv_sec, ==, 111);
    g_assert_cmpint(attr.atime.tv_nsec, ==, 222);
    g_assert_cmpint(attr.mtime.tv_sec, ==, 333);
    g_assert_cmpint(attr.mtime.tv_nsec, ==, 444);

    before = attr;
    g_usleep(20000);
    assert_ok(try_set("file", (FsSetAttr) { .valid = FS_SET_CTIME }));
    attr = see("file");
    g_assert_true(later(attr.ctime, before.ctime));
    g_assert_cmpint(attr.mtime.tv_sec, ==, 333);

    /* All at once; the rest of the file is not in the way of a chmod. */
    times.valid = FS_SET_ALL & ~FS_SET_CTIME;
    times.mode = 0400;
    times.uid = 1;
    times.gid = 2;
    times.size = 3;
    assert_ok(try_set("file", times));
    assert_seen("file", S_IFREG | 0400, 1, 2);
    attr = see("file");
    g_assert_cmpuint(attr.size, ==, 3);
    g_assert_cmpint(attr.mtime.tv_sec, ==, 333);

    times.valid = 1u << 20;
    assert_error(try_set("file", times), EINVAL);
}

static void test_setattr_special(void)
{
    FsSetAttr size = { .valid = FS_SET_SIZE, .size = 100 };
    char buf[64];

    make("link", S_IFLNK | 0777);
    make("chr", S_IFCHR | 0600);
    make("dir", S_IFDIR | 0700);
    assert_error(try_set("link", size), EINVAL);
    assert_error(try_set("chr", size), EINVAL);
    assert_error(try_set("dir", size), EISDIR);
    assert_error(try_chmod("link", 0644), EOPNOTSUPP);
    assert_ok(try_chown("link", 3, 4));
    assert_seen("link", S_IFLNK | 0777, 3, 4);
    assert_ok(try_readlink("link", buf, sizeof(buf)));
    g_assert_cmpstr(buf, ==, "to/there");
    assert_ok(try_chmod("chr", 0666));
    assert_seen("chr", S_IFCHR | 0666, GUEST_UID, GUEST_GID);
    g_assert_cmpuint(see("chr").rdev, ==, makedev(1, 3));
}

static void test_readlink(void)
{
    g_autofree char *target = g_strnfill(PATH_MAX - 1, 't');
    FsMakeArgs longest = guest_make("long", S_IFLNK);
    char buf[2 * PATH_MAX];
    FsAttr attr;

    longest.target = target;
    assert_ok(model->make(&lh, lh.host.root, &longest, &attr));
    g_assert_cmpuint(attr.size, ==, PATH_MAX - 1);
    assert_ok(try_readlink("long", buf, sizeof(buf)));
    g_assert_cmpstr(buf, ==, target);
    assert_error(try_readlink("long", buf, PATH_MAX - 1), ENAMETOOLONG);

    /* Any content that the host wrote into it */
    {
        g_autofree char *path = host_path("long");

        g_assert_cmpint(truncate(path, 1ull << 40), ==, 0);
    }
    assert_error(try_readlink("long", buf, sizeof(buf)), ENAMETOOLONG);
}

static void test_link(void)
{
    FsAttr attr;

    make("a", S_IFREG | 0600);
    make("dir", S_IFDIR | 0700);
    make("sym", S_IFLNK);
    assert_ok(try_link("a", "b"));
    assert_ok(try_link("a", "dir/c"));
    assert_ok(try_link("sym", "sym2"));
    assert_error(try_link("a", "sym"), EEXIST);
    assert_error(try_link("a", "a"), EEXIST);
    assert_error(try_link("dir", "dir2"), EPERM);
    assert_seen("sym", S_IFLNK | 0777, GUEST_UID, GUEST_GID);

    attr = see("dir/c");
    g_assert_cmpuint(attr.nlink, ==, 3);
    g_assert_cmpuint(see("a").ino, ==, attr.ino);
    assert_ok(try_chmod("b", 0444));
    assert_ok(try_chown("dir/c", 1, 2));
    assert_seen("a", S_IFREG | 0444, 1, 2);
    assert_seen("b", S_IFREG | 0444, 1, 2);
    assert_seen("dir/c", S_IFREG | 0444, 1, 2);
    assert_seen("sym2", S_IFLNK | 0777, GUEST_UID, GUEST_GID);

    assert_ok(try_unlink("", "a", false));
    assert_no_metadata("", "a");
    assert_seen("b", S_IFREG | 0444, 1, 2);
    assert_ok(try_chmod("b", 0600));
    assert_seen("dir/c", S_IFREG | 0600, 1, 2);

    /* A file without a view: its names share what comes later. */
    put_file(fix->export, "plain", "");
    assert_ok(try_link("plain", "plain2"));
    assert_seen("plain2", host_stat("plain").st_mode, geteuid(), getegid());
    assert_ok(try_chown("plain", 1, 2));
    assert_seen("plain2", host_stat("plain").st_mode, 1, 2);
}

static void test_rename(void)
{
    make("d1", S_IFDIR | 0700);
    make("d2", S_IFDIR | 0711);
    make("d1/file", S_IFREG | 0600);
    make("d1/sym", S_IFLNK);
    make("over", S_IFREG | 0123);

    assert_ok(try_rename("d1", "file", "d2", "moved"));
    assert_seen("d2/moved", S_IFREG | 0600, GUEST_UID, GUEST_GID);
    assert_no_metadata("d1", "file");
    assert_ok(try_rename("d1", "sym", "", "over"));
    assert_seen("over", S_IFLNK | 0777, GUEST_UID, GUEST_GID);
    assert_no_metadata("d1", "sym");
    assert_stored("", "over", S_IFLNK | 0777, GUEST_UID, GUEST_GID, NULL);

    /* One without a view: that of the other is not its. */
    put_file(fix->export, "plain", "");
    assert_ok(try_rename("", "plain", "", "over"));
    assert_seen("over", host_stat("over").st_mode, geteuid(), getegid());
    assert_no_metadata("", "over");

    /* Directories: over an empty one, that once was not */
    make("d3", S_IFDIR | 0755);
    make("d3/x", S_IFREG | 0600);
    assert_ok(try_unlink("d3", "x", false));
    assert_ok(try_rename("", "d2", "", "d3"));
    assert_seen("d3", S_IFDIR | 0711, GUEST_UID, GUEST_GID);
    assert_seen("d3/moved", S_IFREG | 0600, GUEST_UID, GUEST_GID);
    assert_no_metadata("", "d2");
    assert_error(try_rename("", "d1", "", "d3"), ENOTEMPTY);
    assert_seen("d3/moved", S_IFREG | 0600, GUEST_UID, GUEST_GID);
    assert_error(try_rename("", "d3", "", "over"), ENOTDIR);
    assert_error(try_rename("", "over", "", "d1"), EISDIR);
    assert_error(try_rename("", "none", "", "d1"), ENOENT);
    assert_error(try_rename("", "d3", "d3", "self"), EINVAL);
    assert_seen("d1", S_IFDIR | 0700, GUEST_UID, GUEST_GID);
    assert_seen("d3", S_IFDIR | 0711, GUEST_UID, GUEST_GID);

    /* rename(2): nothing happens to links of the same file. */
    assert_ok(try_link("d3/moved", "same"));
    assert_ok(try_rename("d3", "moved", "", "same"));
    assert_ok(try_rename("d3", "moved", "d3", "moved"));
    assert_seen("d3/moved", S_IFREG | 0600, GUEST_UID, GUEST_GID);
    assert_seen("same", S_IFREG | 0600, GUEST_UID, GUEST_GID);
}

static void test_unlink(void)
{
    LocalInode file, other;

    make("dir", S_IFDIR | 0700);
    make("dir/sub", S_IFDIR | 0755);
    make("dir/file", S_IFREG | 0600);
    make("dir/fifo", S_IFIFO | 0600);
    assert_error(try_unlink("", "dir", true), ENOTEMPTY);
    assert_seen("dir/file", S_IFREG | 0600, GUEST_UID, GUEST_GID);
    assert_seen("dir/sub", S_IFDIR | 0755, GUEST_UID, GUEST_GID);
    assert_error(try_unlink("", "dir", false), EISDIR);
    assert_seen("dir", S_IFDIR | 0700, GUEST_UID, GUEST_GID);
    assert_error(try_unlink("dir", "file", true), ENOTDIR);
    assert_error(try_unlink("dir", "none", false), ENOENT);
    assert_error(try_unlink("dir", "none", true), ENOENT);

    file = find("dir/file");
    other = find("dir/fifo");
    assert_error(model->unlink(&lh, file.dir, "file", false, other.handle),
                 ESTALE);
    assert_error(model->unlink(&lh, file.dir, "sub", true, other.handle),
                 ESTALE);
    assert_seen("dir/file", S_IFREG | 0600, GUEST_UID, GUEST_GID);
    assert_ok(model->unlink(&lh, file.dir, "file", false, file.handle));
    drop(&file);
    drop(&other);
    assert_no_metadata("dir", "file");

    /* Nothing of the old one for the next of the name */
    put_file(fix->export, "dir/file", "");
    assert_seen("dir/file", host_stat("dir/file").st_mode, geteuid(),
                getegid());
    assert_ok(try_unlink("dir", "file", false));
    assert_ok(try_unlink("dir", "fifo", false));
    assert_ok(try_unlink("dir", "sub", true));
    assert_ok(try_unlink("", "dir", true));
    assert_missing(fix->export, "dir");
    assert_no_metadata("", "dir");
}

/* An inode that has no name any more, and one whose name means another */
static void test_orphan(void)
{
    static const FsSetAttr chmod = { .valid = FS_SET_MODE, .mode = 0111 };
    LocalInode inode;
    FsAttr attr;
    int kept;

    make("file", S_IFREG | 0640);
    inode = find("file");
    if (is_file) {
        inode.kept = model->keep(&lh, &inode);
        g_assert_cmpint(inode.kept, >=, 0);
    }
    assert_ok(try_unlink("", "file", false));
    make("file", S_IFREG | 0666);
    if (is_file) {
        assert_error(try_see(&inode, &attr), ESTALE);
        assert_error(model->setattr(&lh, &inode, -1, &chmod), ESTALE);
    }

    close(inode.dir);
    inode.dir = -1;
    inode.name = NULL;
    assert_ok(try_see(&inode, &attr));
    g_assert_cmphex(attr.mode, ==, S_IFREG | 0640);
    g_assert_cmpuint(attr.uid, ==, GUEST_UID);
    g_assert_cmpuint(attr.nlink, ==, 0);
    assert_ok(model->setattr(&lh, &inode, -1, &chmod));
    assert_ok(try_see(&inode, &attr));
    g_assert_cmphex(attr.mode, ==, S_IFREG | 0111);
    assert_seen("file", S_IFREG | 0666, GUEST_UID, GUEST_GID);
    assert_error(model->link(&lh, &inode, lh.host.root, "again"), ENOENT);

    if (is_file) {
        /* Nothing was kept: as on the host, and nowhere to write to */
        kept = inode.kept;
        inode.kept = -1;
        assert_ok(try_see(&inode, &attr));
        g_assert_cmphex(attr.mode, ==, S_IFREG | FMODE);
        assert_error(model->setattr(&lh, &inode, -1, &chmod), ESTALE);
        inode.kept = kept;
    }
    drop(&inode);

    /* A file without a view can get one afterwards, and a directory, too. */
    put_file(fix->export, "plain", "");
    make("dir", S_IFDIR | 0700);
    for (kept = 0; kept < 2; kept++) {
        const char *name = kept ? "dir" : "plain";

        inode = find(name);
        if (is_file) {
            inode.kept = model->keep(&lh, &inode);
            g_assert_cmpint(inode.kept, >=, 0);
        }
        assert_ok(try_unlink("", name, kept));
        close(inode.dir);
        inode.dir = -1;
        inode.name = NULL;
        assert_ok(model->setattr(&lh, &inode, -1, &chmod));
        assert_ok(try_see(&inode, &attr));
        g_assert_cmphex(attr.mode, ==, (kept ? S_IFDIR : S_IFREG) | 0111);
        drop(&inode);
        assert_no_metadata("", name);
    }
}

/* The server keeps the guest from names of FS_XATTR_VIEW. */
static void test_hidden_xattr(void)
{
    g_autofree char *value = g_strnfill(300, 'v');
    char buf[512];

    make("file", S_IFREG | 0640);
    host_setxattr("file", "user.virtfs.system.posix_acl_other", "x", 1);
    assert_seen("file", S_IFREG | 0640, GUEST_UID, GUEST_GID);

    assert_ok(try_setxattr("file", "user.a", value, 300));
    assert_ok(try_setxattr("file", "user.virtfs", "", 0));
    g_assert_cmpint(try_getxattr("file", "user.a", buf, sizeof(buf)), ==, 300);
    g_assert_cmpint(try_getxattr("file", "user.a", NULL, 0), ==, 300);
    assert_error(try_getxattr("file", "user.a", buf, 10), ERANGE);
    g_assert_cmpint(try_getxattr("file", NULL, NULL, 0), ==, 19);
    g_assert_cmpint(try_getxattr("file", NULL, buf, 19), ==, 19);
    assert_error(try_getxattr("file", NULL, buf, 18), ERANGE);
    if (buf[5] == 'a') {
        g_assert_cmpmem(buf, 19, "user.a\0user.virtfs", 19);
    } else {
        g_assert_cmpmem(buf, 19, "user.virtfs\0user.a", 19);
    }
    assert_xattr("file", "user.a", value, 300);
}

BOTH_TEST(test_make)
BOTH_TEST(test_make_bad)
BOTH_TEST(test_create)
BOTH_TEST(test_plain)
BOTH_TEST(test_root)
BOTH_TEST(test_setattr)
BOTH_TEST(test_setattr_special)
BOTH_TEST(test_readlink)
BOTH_TEST(test_link)
BOTH_TEST(test_rename)
BOTH_TEST(test_unlink)
BOTH_TEST(test_orphan)
XATTR_TEST(test_hidden_xattr)

static void test_hidden_xattr_file(Fixture *f)
{
    if (usable(f, &local_model_mapped_xattr)) {
        run(f, &local_model_mapped_file, test_hidden_xattr);
    }
}

/* A file system without extended attributes; only root can mount one. */
static void no_xattrs(Fixture *f)
{
    g_autofree char *export = g_strconcat(f->dir, "/export", NULL);

    if (unshare(CLONE_NEWNS) < 0 ||
        mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
        mount("none", export, "ramfs", 0, NULL) < 0) {
        _exit(CHILD_SKIPS);
    }
    f->export = open(export, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    g_assert_cmpint(f->export, >=, 0);
    assert_ok(hostfs_init(&f->fs, open(export, O_PATH | O_CLOEXEC),
                          "/proc/self/fd/"));
    run(f, &local_model_mapped_xattr, fail_to_store);
    g_assert_cmpuint(count_entries(f->export), ==, 0);
    run(f, &local_model_mapped_file, test_make);
}

static void test_no_xattrs(Fixture *f)
{
    if (need_root("it mounts a file system")) {
        in_child(f, no_xattrs);
    }
}

/* A file system without O_TMPFILE */
static void no_tmpfile(Fixture *f)
{
    int node;

    forbid_call(SYS_openat, O_TMPFILE & ~O_DIRECTORY, EOPNOTSUPP);
    assert_error(hostfs_create_unnamed(&f->fs, f->fs.root, 0600, &node),
                 EOPNOTSUPP);
    run(f, &local_model_mapped_xattr, test_make);
}

static void test_no_tmpfile(Fixture *f)
{
    if (usable(f, &local_model_mapped_xattr)) {
        in_child(f, no_tmpfile);
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);

    ADD_BOTH("make", test_make);
    ADD_BOTH("make-bad", test_make_bad);
    ADD_BOTH("create", test_create);
    ADD_BOTH("plain", test_plain);
    ADD_BOTH("root", test_root);
    ADD_BOTH("setattr", test_setattr);
    ADD_BOTH("setattr-special", test_setattr_special);
    ADD_BOTH("readlink", test_readlink);
    ADD_BOTH("link", test_link);
    ADD_BOTH("rename", test_rename);
    ADD_BOTH("unlink", test_unlink);
    ADD_BOTH("orphan", test_orphan);
    ADD_XATTR("hidden", test_hidden_xattr);
    hostfs_test("mapped-file/hidden", test_hidden_xattr_file);
    hostfs_test("mapped-xattr/no-xattrs", test_no_xattrs);
    hostfs_test("mapped-xattr/no-tmpfile", test_no_tmpfile);
    return g_test_run();
}
