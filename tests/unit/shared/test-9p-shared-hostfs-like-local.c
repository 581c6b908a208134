/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Tests of new objects on the host: they come out as if the guest's user had
 * made them there, default ACLs included, and no user can open them before.
 */
#include "qemu/osdep.h"
#include "make-fixture.h"
#include <sched.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>

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
 * No process opens a new object before it has its owner and mode, also where a
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

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);

    hostfs_test("make/default-acl", test_default_acl);
    hostfs_test("make/like-local", test_like_local);
    hostfs_test("make/never-open", test_never_open);
    return g_test_run();
}
