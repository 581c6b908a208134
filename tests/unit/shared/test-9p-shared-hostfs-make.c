/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Tests of the file operations on the host that make objects: the objects,
 * their owner and mode, and the state after a failed step.
 */
#include "qemu/osdep.h"
#include "fuse-fixture.h"
#include "make-fixture.h"
#include <sched.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>

static void test_create(Fixture *f)
{
    static const uint32_t modes[] = { 0644, 0, 0777, 0200, 06755, S_ISVTX };
    mode_t old_umask = umask(0);
    FsAttr attr;
    unsigned i;

    for (i = 0; i < G_N_ELEMENTS(modes); i++) {
        g_autofree char *name = g_strdup_printf("file%u", i);
        FsMakeArgs make = mine(name, S_IFREG | modes[i]);

        /* Neither the umask matters, nor whether the mode lets one open it. */
        umask(i % 2 ? 077 : 0);
        assert_ok(try_create(f, f->fs.root, &make,
                             i % 2 ? O_RDONLY : O_RDWR | O_APPEND, &attr));
        g_assert_cmphex(attr.mode, ==, S_IFREG | modes[i]);
        g_assert_cmpuint(attr.uid, ==, geteuid());
        g_assert_cmpuint(attr.gid, ==, getegid());
        g_assert_cmpuint(attr.size, ==, 0);
        g_assert_cmpuint(attr.nlink, ==, 1);
        g_assert_cmpuint(attr_of(f, name).ino, ==, attr.ino);
    }
    umask(old_umask);
}

static void test_create_bad(Fixture *f)
{
    FsMakeArgs make = mine("x", S_IFREG | 0644);
    g_autofree char *longer = g_strnfill(NAME_MAX + 1, 'n');
    FsAttr attr;
    int node, file;

    make.mode = S_IFIFO | 0644;
    assert_error(try_create(f, f->fs.root, &make, O_RDWR, &attr), EINVAL);
    make.mode = S_IFREG | 0644;
    assert_error(try_create(f, f->fs.root, &make, O_DIRECTORY, &attr),
                 EINVAL);
    make.name = "";
    assert_error(try_create(f, f->fs.root, &make, O_RDWR, &attr), ENOENT);
    make.name = "../outside/x";
    assert_error(try_create(f, f->fs.root, &make, O_RDWR, &attr), ENOENT);
    make.name = "..";
    assert_error(try_create(f, f->fs.root, &make, O_RDWR, &attr), EINVAL);
    make.name = ".";
    assert_error(try_create(f, f->fs.root, &make, O_RDWR, &attr), EINVAL);
    make.name = longer;
    assert_error(try_create(f, f->fs.root, &make, O_RDWR, &attr),
                 ENAMETOOLONG);
    g_assert_cmpuint(count_entries(f->export), ==, 0);

    make.name = "x";
    put_file(f->export, "file", "");
    file = node_of(f, "file");
    assert_error(try_create(f, file, &make, O_RDWR, &attr), ENOTDIR);
    close(file);

    g_assert_cmpint(mkdirat(f->export, "gone", 0755), ==, 0);
    node = node_of(f, "gone");
    g_assert_cmpint(unlinkat(f->export, "gone", AT_REMOVEDIR), ==, 0);
    assert_error(try_create(f, node, &make, O_RDWR, &attr), ENOENT);
    close(node);
}

/* What a guest may not choose is not passed on: it would make no name. */
static void test_create_flags(Fixture *f)
{
    FsMakeArgs make = mine("x", S_IFREG | 0644);
    FsAttr attr;

    assert_ok(try_create(f, f->fs.root, &make,
                         O_RDWR | O_PATH | O_DIRECT | O_NONBLOCK |
                         O_NOFOLLOW | O_NOATIME | (__O_TMPFILE & ~O_DIRECTORY),
                         &attr));
    g_assert_cmpuint(attr_of(f, "x").ino, ==, attr.ino);
}

static void test_create_existing(Fixture *f)
{
    g_autofree char *secret = g_strconcat(f->dir, "/outside/secret", NULL);
    FsMakeArgs make = mine("file", S_IFREG | 0600);
    FsAttr before, attr;

    put_file(f->export, "file", "text");
    g_assert_cmpint(symlinkat(secret, f->export, "link"), ==, 0);
    g_assert_cmpint(symlinkat("nowhere", f->export, "dangling"), ==, 0);
    g_assert_cmpint(mkfifoat(f->export, "fifo", 0666), ==, 0);
    g_assert_cmpint(mkdirat(f->export, "dir", 0755), ==, 0);
    before = attr_of(f, "file");

    assert_error(try_create(f, f->fs.root, &make, O_RDWR | O_EXCL, &attr),
                 EEXIST);
    assert_ok(try_create(f, f->fs.root, &make, O_RDWR, &attr));
    g_assert_cmpuint(attr.ino, ==, before.ino);
    g_assert_cmpuint(attr.size, ==, 4);
    g_assert_cmphex(attr.mode, ==, S_IFREG | 0644);
    assert_ok(try_create(f, f->fs.root, &make, O_WRONLY | O_TRUNC, &attr));
    g_assert_cmpuint(attr.ino, ==, before.ino);
    g_assert_cmpuint(attr.size, ==, 0);

    make.name = "link";
    assert_error(try_create(f, f->fs.root, &make, O_WRONLY | O_TRUNC, &attr),
                 ELOOP);
    assert_error(try_create(f, f->fs.root, &make, O_RDWR | O_EXCL, &attr),
                 EEXIST);
    make.name = "dangling";
    assert_error(try_create(f, f->fs.root, &make, O_RDWR, &attr), ELOOP);
    make.name = "fifo";
    assert_error(try_create(f, f->fs.root, &make, O_RDWR, &attr), ENXIO);
    make.name = "dir";
    assert_error(try_create(f, f->fs.root, &make, O_RDWR, &attr), EISDIR);
    assert_error(try_create(f, f->fs.root, &make, O_RDONLY, &attr), EISDIR);
    assert_missing(f->export, "nowhere");
    g_assert_cmpuint(count_entries(f->export), ==, 5);
}

static void test_make(Fixture *f)
{
    static const struct {
        const char *name;
        uint32_t mode;
    } objects[] = {
        { "dir", S_IFDIR | 0751 },
        { "dir-bits", S_IFDIR | 01777 },
        { "dir-none", S_IFDIR },
        { "fifo", S_IFIFO | 0622 },
        { "socket", S_IFSOCK | 0666 },
        { "file", S_IFREG | 04711 },
    };
    mode_t old_umask = umask(0077);
    FsMakeArgs make;
    FsAttr attr;
    char buf[16];
    unsigned i;
    int node;

    for (i = 0; i < G_N_ELEMENTS(objects); i++) {
        make = mine(objects[i].name, objects[i].mode);
        assert_ok(try_make(f, f->fs.root, &make, &attr));
        g_assert_cmphex(attr.mode, ==, objects[i].mode);
        g_assert_cmpuint(attr.uid, ==, geteuid());
        g_assert_cmpuint(attr_of(f, objects[i].name).ino, ==, attr.ino);
        assert_error(try_make(f, f->fs.root, &make, &attr), EEXIST);
    }
    umask(old_umask);

    make = mine("typeless", 0640);
    assert_ok(try_make(f, f->fs.root, &make, &attr));
    g_assert_cmphex(attr.mode, ==, S_IFREG | 0640);

    make = mine("link", S_IFLNK | 0777);
    assert_ok(try_make(f, f->fs.root, &make, &attr));
    g_assert_cmphex(attr.mode, ==, S_IFLNK | 0777);
    node = node_of(f, "link");
    assert_ok(hostfs_readlink(node, buf, sizeof(buf)));
    g_assert_cmpstr(buf, ==, "target");
    close(node);
}

static void test_make_bad(Fixture *f)
{
    g_autofree char *longer = g_strnfill(NAME_MAX + 1, 'n');
    g_autofree char *target = g_strnfill(PATH_MAX, 't');
    static const uint32_t types[] = { S_IFDIR, S_IFLNK, S_IFIFO, S_IFSOCK,
                                      S_IFREG, S_IFCHR };
    FsMakeArgs make;
    unsigned i;

    for (i = 0; i < G_N_ELEMENTS(types); i++) {
        make = mine("", types[i]);
        assert_error(try_make(f, f->fs.root, &make, NULL), ENOENT);
        make.name = "../outside/x";
        assert_error(try_make(f, f->fs.root, &make, NULL), ENOENT);
        make.name = "x/";
        assert_error(try_make(f, f->fs.root, &make, NULL), ENOENT);
        make.name = "..";
        assert_error(try_make(f, f->fs.root, &make, NULL), EINVAL);
        make.name = longer;
        assert_error(try_make(f, f->fs.root, &make, NULL), ENAMETOOLONG);
    }
    make = mine("x", S_IFMT);
    assert_error(try_make(f, f->fs.root, &make, NULL), EINVAL);
    make = mine("x", S_IFLNK);
    make.target = NULL;
    assert_error(try_make(f, f->fs.root, &make, NULL), EINVAL);
    make.target = "";
    assert_error(try_make(f, f->fs.root, &make, NULL), ENOENT);
    make.target = target;
    assert_error(try_make(f, f->fs.root, &make, NULL), ENAMETOOLONG);
    g_assert_cmpuint(count_entries(f->export), ==, 0);
}

static void test_make_owner(Fixture *f)
{
    static const uint32_t types[] = { S_IFDIR, S_IFLNK, S_IFIFO, S_IFSOCK,
                                      S_IFREG, S_IFCHR, S_IFBLK };
    FsMakeArgs make = { .mode = S_IFREG | 06755, .uid = 1234, .gid = 2345,
                    .name = "created", .target = "t",
                    .rdev = makedev(300, 70000) };
    FsAttr attr;
    unsigned i;

    if (!need_root("makes files of other owners, and device nodes")) {
        return;
    }
    assert_ok(try_create(f, f->fs.root, &make, O_RDWR | O_EXCL, &attr));
    g_assert_cmpuint(attr.uid, ==, 1234);
    g_assert_cmpuint(attr.gid, ==, 2345);
    g_assert_cmphex(attr.mode, ==, S_IFREG | 06755);

    for (i = 0; i < G_N_ELEMENTS(types); i++) {
        g_autofree char *name = g_strdup_printf("made%u", i);
        bool device = types[i] == S_IFCHR || types[i] == S_IFBLK;

        make.name = name;
        make.mode = types[i] | 06751;
        assert_ok(try_make(f, f->fs.root, &make, &attr));
        g_assert_cmpuint(attr.uid, ==, 1234);
        g_assert_cmpuint(attr.gid, ==, 2345);
        g_assert_cmphex(attr.mode, ==, types[i] |
                        (types[i] == S_IFLNK ? 0777 : 06751));
        g_assert_cmphex(attr.rdev, ==, device ? make.rdev : 0);
    }

    /* Not a number that the kernel has */
    make.name = "huge";
    make.mode = S_IFCHR;
    make.rdev = UINT64_MAX;
    assert_error(try_make(f, f->fs.root, &make, &attr), EINVAL);
    assert_missing(f->export, "huge");
}

/* The request's group holds; a directory passes the bit on (mkdir(2)). */
static void test_set_gid_dir(Fixture *f)
{
    FsMakeArgs make = { .name = "file", .mode = S_IFREG | 0644, .uid = 1234,
                    .gid = 100 };
    FsAttr attr;
    int dir;

    if (!need_root("a set-group-id directory of another group")) {
        return;
    }
    g_assert_cmpint(mkdirat(f->export, "dir", 0755), ==, 0);
    g_assert_cmpint(fchownat(f->export, "dir", 0, 2345, 0), ==, 0);
    g_assert_cmpint(fchmodat(f->export, "dir", 02775, 0), ==, 0);
    dir = node_of(f, "dir");

    assert_ok(try_create(f, dir, &make, O_RDWR, &attr));
    g_assert_cmpuint(attr.gid, ==, 100);
    g_assert_cmphex(attr.mode, ==, S_IFREG | 0644);
    make.name = "sub";
    make.mode = S_IFDIR | 0755;
    assert_ok(try_make(f, dir, &make, &attr));
    g_assert_cmpuint(attr.gid, ==, 100);
    g_assert_cmphex(attr.mode, ==, S_IFDIR | 02755);
    close(dir);
}

/* An owner that cannot be set: nothing stays behind. */
static void owner_denied_child(Fixture *f)
{
    static const uint32_t types[] = { S_IFDIR, S_IFLNK, S_IFIFO, S_IFSOCK,
                                      S_IFREG };
    FsMakeArgs make = mine("x", S_IFREG | 0640);
    FsAttr attr;
    unsigned i;

    make.uid = 0;
    assert_error(try_create(f, f->fs.root, &make, O_RDWR, &attr), EPERM);
    assert_missing(f->export, "x");
    for (i = 0; i < G_N_ELEMENTS(types); i++) {
        make.mode = types[i] | 0640;
        assert_error(try_make(f, f->fs.root, &make, NULL), EPERM);
        assert_missing(f->export, "x");
    }
    g_assert_cmpuint(count_entries(f->export), ==, 0);

    /* What was there before is not taken for ours. */
    put_file(f->export, "x", "text");
    for (i = 0; i < G_N_ELEMENTS(types); i++) {
        make.mode = types[i] | 0640;
        assert_error(try_make(f, f->fs.root, &make, NULL), EEXIST);
    }
    assert_file(f->export, "x", "text");

    f->fs.ignore_chown_failure = true;
    make.name = "created";
    make.mode = S_IFREG | 0640;
    assert_ok(try_create(f, f->fs.root, &make, O_RDWR, &attr));
    g_assert_cmpuint(attr.uid, ==, geteuid());
    g_assert_cmphex(attr.mode, ==, S_IFREG | 0640);
    for (i = 0; i < G_N_ELEMENTS(types); i++) {
        g_autofree char *name = g_strdup_printf("made%u", i);

        make.name = name;
        make.mode = types[i] | 0640;
        assert_ok(try_make(f, f->fs.root, &make, &attr));
        g_assert_cmpuint(attr.uid, ==, geteuid());
        if (types[i] != S_IFLNK) {
            g_assert_cmphex(attr.mode, ==, types[i] | 0640);
        }
    }
}

static void test_owner_denied(Fixture *f)
{
    as_user(f, owner_denied_child);
}

static void dir_denied_child(Fixture *f)
{
    FsMakeArgs make = mine("x", S_IFREG | 0640);
    FsAttr attr;
    int dir = node_of(f, "dir");

    assert_error(try_create(f, dir, &make, O_RDWR, &attr), EACCES);
    make.mode = S_IFDIR | 0755;
    assert_error(try_make(f, dir, &make, NULL), EACCES);
    assert_error(hostfs_unlink(&f->fs, dir, "file", false, -1), EACCES);
    assert_error(hostfs_rename(&f->fs, dir, "file", dir, "y"), EACCES);
}

static void test_dir_denied(Fixture *f)
{
    g_assert_cmpint(mkdirat(f->export, "dir", 0555), ==, 0);
    if (geteuid() == 0) {
        put_file(f->export, "dir/file", "text");
    } else {
        g_assert_cmpint(fchmodat(f->export, "dir", 0755, 0), ==, 0);
        put_file(f->export, "dir/file", "text");
        g_assert_cmpint(fchmodat(f->export, "dir", 0555, 0), ==, 0);
    }
    as_user(f, dir_denied_child);
    assert_file(f->export, "dir/file", "text");
}

/* Descriptors run out in the middle: at each step in turn. */
static void no_descriptors_child(Fixture *f)
{
    FsMakeArgs file = mine("file", S_IFREG | 0640);
    FsMakeArgs dir = mine("dir", S_IFDIR | 0750);
    struct rlimit limit;
    unsigned failed = 0;
    FsAttr attr;
    int lowest = dup(f->export);
    int more;

    close(lowest);
    g_assert_cmpint(getrlimit(RLIMIT_NOFILE, &limit), ==, 0);
    for (more = 0; more < 4; more++) {
        int fd, node;

        limit.rlim_cur = lowest + more;
        g_assert_cmpint(setrlimit(RLIMIT_NOFILE, &limit), ==, 0);

        fd = hostfs_create(&f->fs, f->fs.root, &file, O_RDWR, &node, &attr);
        if (fd >= 0) {
            close(fd);
            close(node);
            g_assert_cmpint(unlinkat(f->export, "file", 0), ==, 0);
        } else {
            g_assert_cmpint(fd, ==, -EMFILE);
            g_assert_cmpint(node, ==, -1);
            assert_missing(f->export, "file");
            failed++;
        }
    }
    g_assert_cmpuint(failed, ==, 2);

    /* A directory needs one for its handle. */
    limit.rlim_cur = lowest;
    g_assert_cmpint(setrlimit(RLIMIT_NOFILE, &limit), ==, 0);
    assert_error(try_make(f, f->fs.root, &dir, NULL), EMFILE);
    assert_missing(f->export, "dir");
    g_assert_cmpint(dup(f->export), ==, -1);
}

static void test_no_descriptors(Fixture *f)
{
    in_child(f, no_descriptors_child);
}

static void test_readonly(Fixture *f)
{
    FsMakeArgs make = mine("x", S_IFREG | 0640);
    static const uint32_t types[] = { S_IFDIR, S_IFLNK, S_IFIFO, S_IFSOCK,
                                      S_IFREG };
    FsAttr attr;
    unsigned i;
    int file;

    put_file(f->export, "file", "text");
    file = node_of(f, "file");
    f->fs.readonly = true;

    assert_error(try_create(f, f->fs.root, &make, O_RDONLY, &attr), EROFS);
    for (i = 0; i < G_N_ELEMENTS(types); i++) {
        make.mode = types[i] | 0640;
        assert_error(try_make(f, f->fs.root, &make, NULL), EROFS);
    }
    assert_error(hostfs_link(&f->fs, file, f->fs.root, "x"), EROFS);
    assert_error(hostfs_rename(&f->fs, f->fs.root, "file", f->fs.root, "x"),
                 EROFS);
    assert_error(hostfs_unlink(&f->fs, f->fs.root, "file", false, -1), EROFS);
    g_assert_cmpuint(count_entries(f->export), ==, 1);
    close(file);
}

static bool counts_bad_closes;
static unsigned bad_closes;

/* Stands before the C library's: the code under test closes through it. */
int close(int fd)
{
    int ret = syscall(SYS_close, fd);

    bad_closes += counts_bad_closes && ret < 0 && errno == EBADF;
    return ret;
}

/*
 * A device that is a file, where a file without a name gets none, so it is made
 * by name. Each request of it fails once: no name is left then, and each
 * descriptor is closed once.
 */
static void device_by_name(Fixture *f)
{
    TestFuse *fuse = export_test_fuse(f, TEST_FUSE_TMPFILE |
                                         TEST_FUSE_NO_LINKS);
    FsMakeArgs make = mine("device", S_IFCHR | 0640);
    int fds = open("/proc/self/fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    unsigned before = count_entries(fds), n = 0;
    bool failed;
    FsAttr attr;
    int ret;

    f->fs.maps_devices = true;
    make.rdev = makedev(1, 3);
    counts_bad_closes = true;
    do {
        test_fuse_fail_nth(fuse, ++n, ENOSPC);
        ret = try_make(f, f->fs.root, &make, &attr);
        failed = test_fuse_failed(fuse);
        test_fuse_fail_nth(fuse, 0, 0);
        g_test_message("request %u: %d", n, ret);
        g_assert_cmpuint(bad_closes, ==, 0);
        g_assert_cmpuint(count_entries(fds), ==, before);
        if (ret < 0) {
            assert_error(ret, ENOSPC);
            assert_missing(f->export, "device");
        } else {
            g_assert_cmpuint(attr.rdev, ==, makedev(1, 3));
            assert_ok(unlinkat(f->export, "device", 0));
        }
    } while (failed);
    g_assert_cmpuint(n, >, 5);
}

static void test_device_by_name(Fixture *f)
{
    if (need_root("it mounts a file system")) {
        in_child(f, device_by_name);
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);

    hostfs_test("create/new", test_create);
    hostfs_test("create/bad", test_create_bad);
    hostfs_test("create/flags", test_create_flags);
    hostfs_test("create/existing", test_create_existing);
    hostfs_test("make/all", test_make);
    hostfs_test("make/bad", test_make_bad);
    hostfs_test("make/owner", test_make_owner);
    hostfs_test("make/set-gid-dir", test_set_gid_dir);
    hostfs_test("make/owner-denied", test_owner_denied);
    hostfs_test("make/dir-denied", test_dir_denied);
    hostfs_test("make/no-descriptors", test_no_descriptors);
    hostfs_test("make/readonly", test_readonly);
    hostfs_test("make/device-by-name", test_device_by_name);
    return g_test_run();
}
