/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Tests of the file operations on the host that change directories: what they
 * make, whose it is, what is left when a step fails, and what somebody who
 * swaps names at the same time can make of it (nothing).
 */
#include "qemu/osdep.h"
#include "hostfs-fixture.h"
#include <sched.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>

#ifndef RENAME_EXCHANGE
#define RENAME_EXCHANGE (1 << 1)
#endif

#define ACL_DEFAULT     "system.posix_acl_default"
#define ACL_ACCESS      "system.posix_acl_access"

/* Rounds of a race */
#define RACES           20000

static FsMakeArgs mine(const char *name, uint32_t mode)
{
    return (FsMakeArgs) { .name = name, .mode = mode, .uid = geteuid(),
                      .gid = getegid(), .target = "target" };
}

/* Creates a file and closes it; its attributes, or the error as ino. */
static int try_create(Fixture *f, int dir, const FsMakeArgs *make, int flags,
                      FsAttr *attr)
{
    FsAttr opened, handle;
    int node = 99;
    int fd = hostfs_create(&f->fs, dir, make, flags, &node, attr);

    if (fd < 0) {
        g_assert_cmpint(node, ==, -1);
        return fd;
    }
    assert_ok(hostfs_getattr(fd, &opened));
    assert_ok(hostfs_getattr(node, &handle));
    g_assert_cmpuint(opened.ino, ==, attr->ino);
    g_assert_cmpuint(handle.ino, ==, attr->ino);
    g_assert_cmphex(fcntl(node, F_GETFL) & O_PATH, ==, O_PATH);
    g_assert_cmphex(fcntl(fd, F_GETFL) & (O_ACCMODE | O_APPEND), ==,
                    flags & (O_ACCMODE | O_APPEND));
    g_assert_cmpint(fcntl(fd, F_GETFD), ==, FD_CLOEXEC);
    g_assert_cmpint(fcntl(node, F_GETFD), ==, FD_CLOEXEC);
    close(node);
    close(fd);
    return 0;
}

static int try_make(Fixture *f, int dir, const FsMakeArgs *make, FsAttr *attr)
{
    FsAttr unused;

    return hostfs_make(&f->fs, dir, make, attr ? attr : &unused);
}

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
    assert_error(try_create(f, f->fs.root, &make, O_ACCMODE, &attr), EINVAL);
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

typedef struct AclEntry {
    uint16_t tag;
    uint16_t perm;
    uint32_t id;
} AclEntry;

static size_t acl_bytes(const AclEntry *entries, unsigned n, uint8_t *buf)
{
    unsigned i;

    memcpy(buf, "\2\0\0\0", 4);
    for (i = 0; i < n; i++) {
        uint8_t *p = buf + 4 + 8 * i;

        p[0] = entries[i].tag;
        p[1] = 0;
        p[2] = entries[i].perm;
        p[3] = 0;
        p[4] = entries[i].id;
        p[5] = entries[i].id >> 8;
        p[6] = entries[i].id >> 16;
        p[7] = entries[i].id >> 24;
    }
    return 4 + 8 * n;
}

/* Two names have the same mode and the same ACLs. */
static void assert_same_acl(Fixture *f, const char *ours, const char *theirs)
{
    static const char *const names[] = { ACL_ACCESS, ACL_DEFAULT };
    int a = node_of(f, ours);
    int b = node_of(f, theirs);
    unsigned i;

    g_assert_cmphex(attr_of(f, ours).mode, ==, attr_of(f, theirs).mode);
    for (i = 0; i < G_N_ELEMENTS(names); i++) {
        char buf[2][1024];
        ssize_t len[2] = {
            hostfs_getxattr(&f->fs, a, names[i], buf[0], sizeof(buf[0])),
            hostfs_getxattr(&f->fs, b, names[i], buf[1], sizeof(buf[1])),
        };

        g_assert_cmpint(len[0], ==, len[1]);
        if (len[0] > 0) {
            g_assert_cmpmem(buf[0], len[0], buf[1], len[1]);
        }
    }
    close(a);
    close(b);
}

/*
 * What is made under a default ACL ends up as if open(2), mkdir(2) and mknod(2)
 * had made it with that mode: the kernel itself is asked.
 */
static void test_default_acl(Fixture *f)
{
    static const AclEntry plain[] = {
        { 0x01, 6, -1 }, { 0x04, 5, -1 }, { 0x20, 4, -1 },
    };
    static const AclEntry extended[] = {
        { 0x01, 7, -1 }, { 0x02, 7, 1234 }, { 0x04, 5, -1 },
        { 0x08, 6, 2345 }, { 0x10, 6, -1 }, { 0x20, 1, -1 },
    };
    static const uint32_t modes[] = { 0777, 0666, 0640, 0, 0077, 04751 };
    AclEntry many[200];
    uint8_t buf[4 + 8 * G_N_ELEMENTS(many)];
    mode_t old_umask;
    unsigned i, kind, count = 0;

    for (i = 0; i < G_N_ELEMENTS(many); i++) {
        many[i] = (AclEntry) { 0x02, 4, 1000 + i };
    }
    many[0] = extended[0];
    many[G_N_ELEMENTS(many) - 3] = extended[2];
    many[G_N_ELEMENTS(many) - 2] = extended[4];
    many[G_N_ELEMENTS(many) - 1] = extended[5];

    old_umask = umask(0);
    for (kind = 0; kind < 3; kind++) {
        size_t size = kind == 0 ? acl_bytes(plain, 3, buf) :
                      kind == 1 ? acl_bytes(extended, 6, buf) :
                      acl_bytes(many, G_N_ELEMENTS(many), buf);

        if (fsetxattr(f->export, ACL_DEFAULT, buf, size, 0) < 0) {
            if (kind == 2 && errno == ENOSPC) {
                continue;           /* ext4 keeps them in one block */
            }
            g_assert_cmpint(errno, ==, EOPNOTSUPP);
            g_test_skip("the file system of TMPDIR has no POSIX ACLs");
            break;
        }
        for (i = 0; i < G_N_ELEMENTS(modes); i++) {
            static const char *const theirs[] = { "f", "d", "p" };
            static const char *const ours[] = { "of", "od", "op" };
            FsMakeArgs make = mine("of", S_IFREG | modes[i]);
            FsAttr attr;
            unsigned j;

            close(openat(f->export, "f", O_CREAT | O_RDWR | O_CLOEXEC,
                         modes[i]));
            g_assert_cmpint(mkdirat(f->export, "d", modes[i] & 0777), ==, 0);
            g_assert_cmpint(mknodat(f->export, "p", S_IFIFO | modes[i], 0),
                            ==, 0);
            assert_ok(try_create(f, f->fs.root, &make, O_RDWR, &attr));
            make = mine("od", S_IFDIR | (modes[i] & 0777));
            assert_ok(try_make(f, f->fs.root, &make, NULL));
            make = mine("op", S_IFIFO | modes[i]);
            assert_ok(try_make(f, f->fs.root, &make, NULL));
            for (j = 0; j < 3; j++) {
                assert_same_acl(f, ours[j], theirs[j]);
                g_assert_cmpint(unlinkat(f->export, ours[j],
                                         j == 1 ? AT_REMOVEDIR : 0), ==, 0);
                g_assert_cmpint(unlinkat(f->export, theirs[j],
                                         j == 1 ? AT_REMOVEDIR : 0), ==, 0);
                count++;
            }
        }
    }
    umask(old_umask);
    g_test_message("%u objects compared", count);
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

#define USER            1234
#define USER_GROUP      1235
#define DIR_GROUP       2345

/* Makes a file, a directory, a fifo and a link with the kernel's own calls. */
static void make_locally(int dir, uint32_t mode)
{
    if (openat(dir, "f", O_CREAT | O_EXCL | O_RDWR, mode) < 0 ||
        mkdirat(dir, "d", mode) < 0 ||
        mknodat(dir, "p", S_IFIFO | mode, 0) < 0 ||
        symlinkat("target", dir, "l") < 0) {
        _exit(1);
    }
}

/*
 * Becomes the user, with no way back, and without libc, which would tell all
 * threads
 */
static void become_user(void)
{
    if (syscall(SYS_setgroups, 0, NULL) < 0 ||
        syscall(SYS_setresgid, USER_GROUP, USER_GROUP, USER_GROUP) < 0 ||
        syscall(SYS_setresuid, USER, USER, USER) < 0) {
        _exit(1);
    }
}

static void wait_good(pid_t pid)
{
    int status;

    g_assert_cmpint(waitpid(pid, &status, 0), ==, pid);
    g_assert_true(WIFEXITED(status));
    g_assert_cmpint(WEXITSTATUS(status), ==, 0);
}

static void assert_same_owner(Fixture *f, const char *ours, const char *theirs)
{
    FsAttr a = attr_of(f, ours);
    FsAttr b = attr_of(f, theirs);

    g_assert_cmpuint(a.uid, ==, b.uid);
    g_assert_cmpuint(a.gid, ==, b.gid);
    g_assert_cmphex(a.mode, ==, b.mode);
}

/*
 * Everything lands as if the user had made it on the host, in a directory that
 * is plain, set-group-id, with a default ACL, or both. The group is the one
 * that a Linux client names: the user's, or the set-group-id directory's.
 */
static void test_like_local(Fixture *f)
{
    static const AclEntry acl[] = {
        { 0x01, 7, -1 }, { 0x02, 7, 4321 }, { 0x04, 7, -1 }, { 0x10, 7, -1 },
        { 0x20, 5, -1 },
    };
    static const uint32_t modes[] = { 0777, 0664, 0600, 0 };
    static const char *const names[] = { "f", "d", "p", "l" };
    uint8_t buf[4 + 8 * G_N_ELEMENTS(acl)];
    size_t size = acl_bytes(acl, G_N_ELEMENTS(acl), buf);
    mode_t old_umask;
    unsigned kind, i, j;
    pid_t pid;

    if (!need_root("a local user to compare with")) {
        return;
    }
    old_umask = umask(0);
    for (kind = 0; kind < 4; kind++) {
        for (i = 0; i < G_N_ELEMENTS(modes); i++) {
            uint32_t gid = kind & 1 ? DIR_GROUP : USER_GROUP;
            FsMakeArgs make[] = {
                { .name = "of", .mode = S_IFREG | modes[i] },
                { .name = "od", .mode = S_IFDIR | modes[i] },
                { .name = "op", .mode = S_IFIFO | modes[i] },
                { .name = "ol", .mode = S_IFLNK | 0777, .target = "target" },
            };
            int dir;

            g_assert_cmpint(mkdirat(f->export, "dir", 0777), ==, 0);
            g_assert_cmpint(fchownat(f->export, "dir", 0, DIR_GROUP, 0), ==, 0);
            g_assert_cmpint(fchmodat(f->export, "dir",
                                     kind & 1 ? 02777 : 0777, 0), ==, 0);
            dir = openat(f->export, "dir", O_RDONLY | O_CLOEXEC);
            if (kind & 2 && fsetxattr(dir, ACL_DEFAULT, buf, size, 0) < 0) {
                g_assert_cmpint(errno, ==, EOPNOTSUPP);
                g_test_skip("the file system of TMPDIR has no POSIX ACLs");
                close(dir);
                umask(old_umask);
                return;
            }
            pid = fork();
            if (pid == 0) {
                become_user();
                make_locally(dir, modes[i]);
                _exit(0);
            }
            wait_good(pid);
            for (j = 0; j < G_N_ELEMENTS(make); j++) {
                g_autofree char *ours = g_strdup_printf("dir/o%s", names[j]);
                g_autofree char *theirs = g_strdup_printf("dir/%s", names[j]);

                make[j].uid = USER;
                make[j].gid = gid;
                if (j == 0) {
                    FsAttr attr;

                    assert_ok(try_create(f, dir, &make[j], O_RDWR, &attr));
                } else {
                    assert_ok(try_make(f, dir, &make[j], NULL));
                }
                assert_same_owner(f, ours, theirs);
                if (j < 3) {
                    assert_same_acl(f, ours, theirs);
                }
                g_assert_cmpint(unlinkat(f->export, ours, j == 1 ?
                                         AT_REMOVEDIR : 0), ==, 0);
                g_assert_cmpint(unlinkat(f->export, theirs, j == 1 ?
                                         AT_REMOVEDIR : 0), ==, 0);
            }
            close(dir);
            g_assert_cmpint(unlinkat(f->export, "dir", AT_REMOVEDIR), ==, 0);
        }
    }
    umask(old_umask);
}

/* A process of the user tries to get in, for as long as it lives. */
static G_NORETURN void intrude(int dir)
{
    become_user();
    for (;;) {
        if (openat(dir, "f", O_RDWR | O_NONBLOCK) >= 0 ||
            openat(dir, "f", O_RDONLY | O_NONBLOCK) >= 0 ||
            openat(dir, "d", O_RDONLY | O_DIRECTORY) >= 0 ||
            openat(dir, "d/x", O_CREAT | O_RDWR, 0600) >= 0 ||
            openat(dir, "p", O_RDONLY | O_NONBLOCK) >= 0 ||
            fchmodat(dir, "f", 0666, 0) == 0 ||
            fchmodat(dir, "d", 0777, 0) == 0) {
            _exit(3);
        }
    }
}

/*
 * Nobody opens a new object before it has its owner and mode, also where a
 * default ACL would let him: these are another user's, of mode 0600.
 */
static void test_never_open(Fixture *f)
{
    static const AclEntry acl[] = {
        { 0x01, 7, -1 }, { 0x02, 7, USER }, { 0x04, 7, -1 }, { 0x10, 7, -1 },
        { 0x20, 7, -1 },
    };
    uint8_t buf[4 + 8 * G_N_ELEMENTS(acl)];
    size_t size = acl_bytes(acl, G_N_ELEMENTS(acl), buf);
    FsMakeArgs make[] = {
        { .name = "f", .mode = S_IFREG | 0600, .uid = 2000, .gid = 2000 },
        { .name = "d", .mode = S_IFDIR | 0700, .uid = 2000, .gid = 2000 },
        { .name = "p", .mode = S_IFIFO | 0600, .uid = 2000, .gid = 2000 },
    };
    mode_t old_umask;
    unsigned i, j;
    int status;
    pid_t pid;

    if (!need_root("a local user who wants to get in")) {
        return;
    }
    old_umask = umask(0);
    g_assert_cmpint(fchmod(f->export, 0755), ==, 0);
    if (fsetxattr(f->export, ACL_DEFAULT, buf, size, 0) < 0) {
        g_assert_cmpint(errno, ==, EOPNOTSUPP);
    }
    pid = fork();
    if (pid == 0) {
        intrude(f->export);
    }
    for (i = 0; i < 3000; i++) {
        for (j = 0; j < G_N_ELEMENTS(make); j++) {
            FsAttr attr;

            if (j == 0) {
                assert_ok(try_create(f, f->fs.root, &make[j], O_RDWR, &attr));
            } else {
                assert_ok(try_make(f, f->fs.root, &make[j], NULL));
            }
        }
        for (j = 0; j < G_N_ELEMENTS(make); j++) {
            g_assert_cmpint(unlinkat(f->export, make[j].name, j == 1 ?
                                     AT_REMOVEDIR : 0), ==, 0);
        }
    }
    g_assert_cmpint(kill(pid, SIGKILL), ==, 0);
    g_assert_cmpint(waitpid(pid, &status, 0), ==, pid);
    g_assert_true(WIFSIGNALED(status));         /* and not status 3 */
    umask(old_umask);
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

static void test_link(Fixture *f)
{
    FsMakeArgs make = mine("created", S_IFREG | 0600);
    FsAttr attr;
    int file, link, fifo, dir, node, fd;

    put_file(f->export, "file", "text");
    g_assert_cmpint(symlinkat("file", f->export, "link"), ==, 0);
    g_assert_cmpint(mkfifoat(f->export, "fifo", 0666), ==, 0);
    g_assert_cmpint(mkdirat(f->export, "dir", 0755), ==, 0);
    file = node_of(f, "file");
    link = node_of(f, "link");
    fifo = node_of(f, "fifo");
    dir = node_of(f, "dir");

    assert_ok(hostfs_link(&f->fs, file, dir, "file2"));
    g_assert_cmpuint(attr_of(f, "dir/file2").ino, ==, attr_of(f, "file").ino);
    g_assert_cmpuint(attr_of(f, "file").nlink, ==, 2);
    assert_ok(hostfs_link(&f->fs, link, dir, "link2"));
    g_assert_cmpuint(attr_of(f, "dir/link2").ino, ==, attr_of(f, "link").ino);
    assert_ok(hostfs_link(&f->fs, fifo, dir, "fifo2"));
    g_assert_cmpuint(attr_of(f, "fifo").nlink, ==, 2);

    assert_error(hostfs_link(&f->fs, dir, dir, "dir2"), EPERM);
    assert_error(hostfs_link(&f->fs, file, dir, "file2"), EEXIST);
    assert_error(hostfs_link(&f->fs, file, dir, ""), ENOENT);
    assert_error(hostfs_link(&f->fs, file, dir, "../../outside/x"), ENOENT);
    assert_error(hostfs_link(&f->fs, file, dir, ".."), EINVAL);
    assert_error(hostfs_link(&f->fs, file, file, "x"), ENOTDIR);

    /* By handle of something that was just made, and of what is no more */
    fd = hostfs_create(&f->fs, f->fs.root, &make, O_RDWR, &node, &attr);
    g_assert_cmpint(fd, >=, 0);
    assert_ok(hostfs_link(&f->fs, node, dir, "created2"));
    assert_ok(hostfs_link(&f->fs, fd, dir, "created3"));
    g_assert_cmpuint(attr_of(f, "dir/created3").ino, ==, attr.ino);
    g_assert_cmpint(unlinkat(f->export, "created", 0), ==, 0);
    g_assert_cmpint(unlinkat(f->export, "dir/created2", 0), ==, 0);
    g_assert_cmpint(unlinkat(f->export, "dir/created3", 0), ==, 0);
    assert_error(hostfs_link(&f->fs, node, dir, "created4"), ENOENT);
    close(node);
    close(fd);

    close(file);
    close(link);
    close(fifo);
    close(dir);
}

static void test_rename(Fixture *f)
{
    g_autofree char *longer = g_strnfill(NAME_MAX + 1, 'n');
    int root = f->fs.root;
    FsAttr attr;
    int file, dir;

    put_file(f->export, "file", "text");
    put_file(f->export, "other", "more");
    g_assert_cmpint(mkdirat(f->export, "dir", 0755), ==, 0);
    g_assert_cmpint(mkdirat(f->export, "full", 0755), ==, 0);
    put_file(f->export, "full/x", "");
    g_assert_cmpint(symlinkat("../outside", f->export, "link"), ==, 0);
    file = node_of(f, "file");
    dir = node_of(f, "dir");

    assert_ok(hostfs_rename(&f->fs, root, "file", dir, "moved"));
    assert_missing(f->export, "file");
    assert_file(f->export, "dir/moved", "text");
    assert_ok(hostfs_rename(&f->fs, root, "other", dir, "moved"));
    assert_file(f->export, "dir/moved", "more");
    assert_ok(hostfs_getattr(file, &attr));
    g_assert_cmpuint(attr.nlink, ==, 0);
    assert_ok(hostfs_rename(&f->fs, root, "link", dir, "link"));
    g_assert_cmphex(attr_of(f, "dir/link").mode & S_IFMT, ==, S_IFLNK);

    assert_error(hostfs_rename(&f->fs, root, "none", root, "x"), ENOENT);
    assert_error(hostfs_rename(&f->fs, root, "dir", root, "full"), ENOTEMPTY);
    assert_error(hostfs_rename(&f->fs, dir, "moved", root, "full"), EISDIR);
    assert_error(hostfs_rename(&f->fs, root, "full", dir, "moved"), ENOTDIR);
    assert_error(hostfs_rename(&f->fs, root, "dir", dir, "sub"), EINVAL);
    assert_error(hostfs_rename(&f->fs, root, "full", file, "x"), ENOTDIR);

    assert_error(hostfs_rename(&f->fs, root, "full", root,
                               "../outside/x"), ENOENT);
    assert_error(hostfs_rename(&f->fs, root, "../outside/secret", root, "x"),
                 ENOENT);
    assert_error(hostfs_rename(&f->fs, root, "..", root, "x"), EINVAL);
    assert_error(hostfs_rename(&f->fs, dir, "moved", root, ".."), EINVAL);
    assert_error(hostfs_rename(&f->fs, dir, "moved", root, "."), EINVAL);
    assert_error(hostfs_rename(&f->fs, dir, "moved", root, ""), ENOENT);
    assert_error(hostfs_rename(&f->fs, dir, "", root, "x"), ENOENT);
    assert_error(hostfs_rename(&f->fs, dir, "moved", root, longer),
                 ENAMETOOLONG);
    assert_file(f->export, "dir/moved", "more");
    close(file);
    close(dir);
}

static void test_unlink(Fixture *f)
{
    g_autofree char *secret = g_strconcat(f->dir, "/outside/secret", NULL);
    int root = f->fs.root;
    int one, two, dir;

    put_file(f->export, "one", "1");
    put_file(f->export, "two", "2");
    g_assert_cmpint(mkdirat(f->export, "dir", 0755), ==, 0);
    g_assert_cmpint(mkdirat(f->export, "full", 0755), ==, 0);
    put_file(f->export, "full/x", "");
    g_assert_cmpint(symlinkat(secret, f->export, "link"), ==, 0);
    one = node_of(f, "one");
    two = node_of(f, "two");
    dir = node_of(f, "dir");

    assert_error(hostfs_unlink(&f->fs, root, "one", false, two), ESTALE);
    assert_error(hostfs_unlink(&f->fs, root, "none", false, two), ENOENT);
    assert_error(hostfs_unlink(&f->fs, root, "full", true, dir), ESTALE);
    assert_error(hostfs_unlink(&f->fs, root, "one", true, -1), ENOTDIR);
    assert_error(hostfs_unlink(&f->fs, root, "dir", false, -1), EISDIR);
    assert_error(hostfs_unlink(&f->fs, root, "full", true, -1), ENOTEMPTY);
    assert_error(hostfs_unlink(&f->fs, root, "full/x", false, -1), ENOENT);
    assert_error(hostfs_unlink(&f->fs, root, "../outside/secret", false, -1),
                 ENOENT);
    assert_error(hostfs_unlink(&f->fs, root, "..", true, -1), EINVAL);
    assert_error(hostfs_unlink(&f->fs, root, ".", true, -1), EINVAL);
    assert_error(hostfs_unlink(&f->fs, root, "", false, -1), ENOENT);
    g_assert_cmpuint(count_entries(f->export), ==, 5);

    assert_ok(hostfs_unlink(&f->fs, root, "one", false, one));
    assert_missing(f->export, "one");
    assert_ok(hostfs_unlink(&f->fs, root, "two", false, -1));
    assert_ok(hostfs_unlink(&f->fs, root, "dir", true, dir));
    assert_ok(hostfs_unlink(&f->fs, root, "link", false, -1));
    g_assert_cmpuint(count_entries(f->export), ==, 1);
    close(one);
    close(two);
    close(dir);
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

/* Somebody on the host who swaps two names as fast as they can */
typedef struct Swapper {
    pthread_t thread;
    pthread_mutex_t pause;      /* held: no name is swapped */
    int dir;
    const char *one;
    const char *two;
    bool stop;
    uint64_t swaps;
} Swapper;

static void *swap_names(void *opaque)
{
    Swapper *s = opaque;

    while (!__atomic_load_n(&s->stop, __ATOMIC_RELAXED)) {
        pthread_mutex_lock(&s->pause);
        if (syscall(SYS_renameat2, s->dir, s->one, s->dir, s->two,
                    RENAME_EXCHANGE) == 0) {
            s->swaps++;
        }
        pthread_mutex_unlock(&s->pause);
        sched_yield();
    }
    return NULL;
}

static void start_swapping(Swapper *s, int dir, const char *one,
                           const char *two)
{
    *s = (Swapper) { .dir = dir, .one = one, .two = two };
    pthread_mutex_init(&s->pause, NULL);
    g_assert_cmpint(pthread_create(&s->thread, NULL, swap_names, s), ==, 0);
}

static void stop_swapping(Swapper *s)
{
    __atomic_store_n(&s->stop, true, __ATOMIC_RELAXED);
    pthread_join(s->thread, NULL);
    pthread_mutex_destroy(&s->pause);
    g_assert_cmpuint(s->swaps, >, 0);
}

/* A directory that becomes a link to another outside, and back */
static void test_race_dir(Fixture *f)
{
    const char *names[] = { "d", "file" };
    uint64_t inside, found = 0, link = 0, wrong = 0;
    Swapper s;
    unsigned i;

    g_assert_cmpint(mkdirat(f->export, "d", 0755), ==, 0);
    put_file(f->export, "d/file", "text");
    g_assert_cmpint(symlinkat("../outside", f->export, "l"), ==, 0);
    /* The same name outside: a walk that followed the link would find it. */
    g_assert_cmpint(renameat(f->outside, "secret", f->outside, "file"), ==, 0);
    inside = attr_of(f, "d/file").ino;

    start_swapping(&s, f->export, "d", "l");
    for (i = 0; i < RACES; i++) {
        FsMakeArgs make = mine("made", S_IFREG | 0600);
        HostWalk walk;
        FsAttr attr;
        int ret;

        ret = hostfs_walk(&f->fs, f->fs.root, names, 2, &walk);
        if (ret < 0) {
            g_assert_cmpint(ret, ==, -ENOTDIR);
            link++;
            continue;
        }
        found++;
        wrong += walk.attr[1].ino != inside;

        /* Here d is a directory for sure, and stays it by its handle. */
        assert_ok(try_create(f, walk.parent, &make, O_RDWR | O_TRUNC, &attr));
        assert_ok(hostfs_unlink(&f->fs, walk.parent, "made", false, -1));
        close(walk.node);
        close(walk.parent);
    }
    stop_swapping(&s);
    g_test_message("found %" PRIu64 ", link %" PRIu64 ", swaps %" PRIu64,
                   found, link, s.swaps);
    g_assert_cmpuint(wrong, ==, 0);
    g_assert_cmpuint(found, >, 0);
    g_assert_cmpuint(link, >, 0);
    g_assert_cmpint(renameat(f->outside, "file", f->outside, "secret"), ==, 0);
}

/* A file that becomes a link to another outside, and back */
static void test_race_file(Fixture *f)
{
    FsMakeArgs make = mine("file", S_IFREG | 0600);
    uint64_t opened = 0, link = 0;
    Swapper s;
    unsigned i;

    put_file(f->export, "file", "text");
    g_assert_cmpint(symlinkat("../outside/secret", f->export, "l"), ==, 0);

    start_swapping(&s, f->export, "file", "l");
    for (i = 0; i < RACES; i++) {
        FsAttr attr;
        int ret = try_create(f, f->fs.root, &make, O_RDWR | O_TRUNC, &attr);

        if (ret < 0) {
            g_assert_cmpint(ret, ==, -ELOOP);
            link++;
        } else {
            opened++;
        }
    }
    stop_swapping(&s);
    g_assert_cmpuint(opened, >, 0);
    g_assert_cmpuint(link, >, 0);
}

/*
 * Names of new objects that come to mean an old one just when they were made:
 * that must not change hands.
 */
static void test_race_fresh(Fixture *f)
{
    static const uint32_t types[] = { S_IFDIR, S_IFIFO };
    uint64_t made = 0, stale = 0;
    unsigned i, kind;

    if (!need_root("makes files of other owners")) {
        return;
    }
    for (kind = 0; kind < G_N_ELEMENTS(types); kind++) {
        FsMakeArgs make = { .name = "new", .mode = types[kind] | 0777,
                        .uid = 1234, .gid = 2345 };
        FsMakeArgs old = { .name = "victim", .mode = types[kind] | 0700 };
        int rmdir = types[kind] == S_IFDIR ? AT_REMOVEDIR : 0;
        struct stat st;
        FsAttr victim;
        Swapper s;

        assert_ok(try_make(f, f->fs.root, &old, &victim));
        start_swapping(&s, f->export, "new", "victim");
        for (i = 0; i < RACES / 2; i++) {
            int ret = try_make(f, f->fs.root, &make, NULL);

            if (ret < 0) {
                g_assert_cmpint(ret, ==, -ESTALE);
                stale++;
            } else {
                made++;
            }

            pthread_mutex_lock(&s.pause);
            g_assert_cmpint(fstatat(f->export, "new", &st,
                                    AT_SYMLINK_NOFOLLOW), ==, 0);
            if (st.st_ino == victim.ino) {
                g_assert_cmpint(syscall(SYS_renameat2, f->export, "new",
                                        f->export, "victim",
                                        RENAME_EXCHANGE), ==, 0);
            }
            g_assert_cmpint(unlinkat(f->export, "new", rmdir), ==, 0);
            g_assert_cmpint(fstatat(f->export, "victim", &st,
                                    AT_SYMLINK_NOFOLLOW), ==, 0);
            g_assert_cmpuint(st.st_ino, ==, victim.ino);
            g_assert_cmpuint(st.st_uid, ==, 0);
            g_assert_cmpuint(st.st_gid, ==, 0);
            g_assert_cmphex(st.st_mode, ==, types[kind] | 0700);
            pthread_mutex_unlock(&s.pause);
        }
        stop_swapping(&s);
        g_assert_cmpint(unlinkat(f->export, "victim", rmdir), ==, 0);
    }
    g_test_message("made %" PRIu64 ", stale %" PRIu64, made, stale);
    g_assert_cmpuint(made, >, 0);
    if (stale == 0) {
        /* With one processor, a swap may never come just then. */
        g_test_skip("no name was swapped at the right moment");
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
    hostfs_test("make/default-acl", test_default_acl);
    hostfs_test("make/like-local", test_like_local);
    hostfs_test("make/never-open", test_never_open);
    hostfs_test("make/owner-denied", test_owner_denied);
    hostfs_test("make/dir-denied", test_dir_denied);
    hostfs_test("make/no-descriptors", test_no_descriptors);
    hostfs_test("link", test_link);
    hostfs_test("rename", test_rename);
    hostfs_test("unlink", test_unlink);
    hostfs_test("make/readonly", test_readonly);
    hostfs_test("race/dir", test_race_dir);
    hostfs_test("race/file", test_race_file);
    hostfs_test("race/fresh", test_race_fresh);

    return g_test_run();
}
