/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Tests of the security model mapped-xattr of the local driver: its attributes
 * as a host process may have written them, and the guest's ACLs. Each change of
 * these is made to ACLs of the host as well, with the same result.
 */
#include "qemu/osdep.h"
#include "mapped-fixture.h"
#include <sys/xattr.h>

static void test_xattr_bytes(void)
{
    FsAttr attr;

    put_file(fix->export, "file", "text");
    host_setxattr("file", "user.virtfs.uid", "\x01\x02\x03\x04", 4);
    assert_seen("file", host_stat("file").st_mode, 0x04030201, getegid());
    host_setxattr("file", "user.virtfs.gid", "\xfe\xff\xff\xff", 4);
    host_setxattr("file", "user.virtfs.mode", "\xa4\x21\0\0", 4);
    host_setxattr("file", "user.virtfs.rdev", "\x34\x12\0\0\0\0\0\0", 8);
    assert_seen("file", S_IFCHR | 0644, 0x04030201, 0xfffffffe);
    attr = see("file");
    g_assert_cmphex(attr.rdev, ==, 0x1234);
    g_assert_cmpuint(attr.size, ==, 0);

    /* Not of their size: as if they were not there */
    host_setxattr("file", "user.virtfs.uid", "\x01\x02\x03", 3);
    host_setxattr("file", "user.virtfs.rdev", "\x34\x12\0\0\0\0\0\0\0", 9);
    assert_seen("file", S_IFCHR | 0644, geteuid(), 0xfffffffe);
    g_assert_cmphex(see("file").rdev, ==, 0);
    host_setxattr("file", "user.virtfs.gid", "", 0);
    host_setxattr("file", "user.virtfs.mode", "\xa4\x21\0\0\0", 5);
    assert_seen("file", host_stat("file").st_mode, geteuid(), getegid());
    g_assert_cmpuint(see("file").size, ==, 4);

    /* A type that cannot be: the host's. No type: only permissions. */
    host_setxattr("file", "user.virtfs.mode", "\x7f\x40\0\0", 4);
    assert_seen("file", S_IFREG | 0177, geteuid(), getegid());
    host_setxattr("file", "user.virtfs.mode", "\x7f\x00\0\0", 4);
    assert_seen("file", S_IFREG | 0177, geteuid(), getegid());
    host_setxattr("file", "user.virtfs.mode", "\xff\xff\xff\xff", 4);
    assert_seen("file", S_IFREG | 07777, geteuid(), getegid());
    g_assert_cmpint(mkdirat(fix->export, "dir", 0700), ==, 0);
    host_setxattr("dir", "user.virtfs.mode", "\x7f\xa0\0\0", 4);
    assert_seen("dir", S_IFDIR | 0177, geteuid(), getegid());

    /* These cannot have a view of their own. */
    g_assert_cmpint(symlinkat("t", fix->export, "link"), ==, 0);
    assert_error(try_chown("link", 1, 2), EPERM);
}

/* ACLs: the same is done to the host's own, and comes to the same. */

static const AclEntry acl_minimal[ACL_MAX] = {
    { 1, 6, NO_ID }, { 4, 4, NO_ID }, { 32, 1, NO_ID },
};
static const AclEntry acl_user[ACL_MAX] = {
    { 1, 7, NO_ID }, { 2, 5, 1000 }, { 4, 1, NO_ID }, { 16, 6, NO_ID },
    { 32, 2, NO_ID },
};
static const AclEntry acl_mask[ACL_MAX] = {
    { 1, 7, NO_ID }, { 4, 5, NO_ID }, { 16, 3, NO_ID }, { 32, 0, NO_ID },
};
static const AclEntry acl_many[ACL_MAX] = {
    { 1, 6, NO_ID }, { 2, 7, 10 }, { 2, 1, 11 }, { 4, 7, NO_ID },
    { 8, 4, 10 }, { 16, 7, NO_ID }, { 32, 5, NO_ID },
};
static const AclEntry *const acls[] = {
    acl_minimal, acl_user, acl_mask, acl_many,
};

/* The guest's g/@path is as the host's h/@path. */
static void assert_same_acl(const char *path)
{
    static const char *const names[] = { FS_ACL_ACCESS, FS_ACL_DEFAULT };
    g_autofree char *guest = g_strconcat("g/", path, NULL);
    g_autofree char *host = g_strconcat("h/", path, NULL);
    uint8_t gbuf[512], hbuf[512];
    char list[512];
    unsigned i;

    g_assert_cmphex(see(guest).mode, ==, host_stat(host).st_mode);
    for (i = 0; i < 2; i++) {
        ssize_t glen = try_getxattr(guest, names[i], gbuf, sizeof(gbuf));
        ssize_t hlen = host_getxattr(host, names[i], hbuf, sizeof(hbuf));
        ssize_t len = try_getxattr(guest, NULL, list, sizeof(list));
        bool listed = false;
        char *p;

        g_assert_cmpint(glen, ==, hlen);
        if (hlen > 0) {
            g_assert_cmpmem(gbuf, glen, hbuf, hlen);
        }
        g_assert_cmpint(len, >=, 0);
        for (p = list; p < list + len; p += strlen(p) + 1) {
            listed |= g_str_equal(p, names[i]);
            g_assert_false(g_str_has_prefix(p, FS_XATTR_VIEW));
        }
        g_assert_cmpint(listed, ==, hlen > 0);
    }
}

/* setxattr(2) on both, which comes to the same */
static void set_both(const char *path, const char *name, const uint8_t *value,
                     size_t size)
{
    g_autofree char *guest = g_strconcat("g/", path, NULL);
    g_autofree char *h = g_strconcat("h/", path, NULL);
    g_autofree char *host = host_path(h);
    int want = setxattr(host, name, value, size, 0) < 0 ? -errno : 0;

    g_assert_cmpint(try_setxattr(guest, name, value, size), ==, want);
    assert_same_acl(path);
}

static void chmod_both(const char *path, uint32_t mode)
{
    g_autofree char *guest = g_strconcat("g/", path, NULL);
    g_autofree char *host = g_strconcat("h/", path, NULL);

    g_assert_cmpint(fchmodat(fix->export, host, mode, 0), ==, 0);
    assert_ok(try_chmod(guest, mode));
    assert_same_acl(path);
}

static void make_both(const char *path, uint32_t mode)
{
    g_autofree char *guest = g_strconcat("g/", path, NULL);
    g_autofree char *host = g_strconcat("h/", path, NULL);
    FsAttr attr;

    if (S_ISDIR(mode)) {
        g_assert_cmpint(mkdirat(fix->export, host, mode & 07777), ==, 0);
    } else {
        g_assert_cmpint(mknodat(fix->export, host, mode, 0), ==, 0);
    }
    assert_ok(try_make(guest, mode, &attr));
    g_assert_cmphex(attr.mode, ==, host_stat(host).st_mode);
    assert_same_acl(path);
}

/* The folders g and h, or false if the host has no ACLs there */
static bool start_acls(void)
{
    uint8_t acl[256];
    size_t size = acl_bytes(acl_user, acl);

    umask(0);
    make("g", S_IFDIR | 0755);
    g_assert_cmpint(mkdirat(fix->export, "h", 0755), ==, 0);
    {
        g_autofree char *host = host_path("h");

        if (setxattr(host, FS_ACL_ACCESS, acl, size, 0) < 0) {
            g_assert_cmpint(errno, ==, EOPNOTSUPP);
            g_test_skip("no POSIX ACLs on the file system of TMPDIR");
            return false;
        }
        g_assert_cmpint(removexattr(host, FS_ACL_ACCESS), ==, 0);
        g_assert_cmpint(chmod(host, 0755), ==, 0);
    }
    return true;
}

static void test_acl_access(void)
{
    static const uint32_t modes[] = { 0, 0777, 0640, 04751, 0070 };
    mode_t old = umask(0);
    uint8_t acl[256];
    unsigned i, j, k;

    if (!start_acls()) {
        umask(old);
        return;
    }
    make_both("file", S_IFREG | 04644);
    make_both("dir", S_IFDIR | 01711);
    make_both("fifo", S_IFIFO | 0600);
    for (k = 0; k < 3; k++) {
        const char *path = k == 0 ? "file" : k == 1 ? "dir" : "fifo";

        for (i = 0; i < G_N_ELEMENTS(acls); i++) {
            set_both(path, FS_ACL_ACCESS, acl, acl_bytes(acls[i], acl));
            for (j = 0; j < G_N_ELEMENTS(modes); j++) {
                chmod_both(path, modes[j]);
            }
        }
        /* Taking it away leaves the mode; twice is no error. */
        set_both(path, FS_ACL_ACCESS, acl, acl_bytes(acl_user, acl));
        set_both(path, FS_ACL_ACCESS, NULL, 0);
        set_both(path, FS_ACL_ACCESS, NULL, 0);
        set_both(path, FS_ACL_ACCESS, acl, acl_bytes(acl_mask, acl));
        set_both(path, FS_ACL_ACCESS, acl, 4);
    }
    {
        g_autofree char *host = host_path("h/file");

        set_both("file", FS_ACL_ACCESS, acl, acl_bytes(acl_user, acl));
        for (i = 0; i < 2; i++) {
            g_assert_cmpint(removexattr(host, FS_ACL_ACCESS), ==, 0);
            assert_ok(try_removexattr("g/file", FS_ACL_ACCESS));
            assert_same_acl("file");
        }
    }

    make("g/link", S_IFLNK);
    assert_error(try_setxattr("g/link", FS_ACL_ACCESS, acl,
                              acl_bytes(acl_user, acl)), EOPNOTSUPP);
    umask(old);
}

static void test_acl_bad(void)
{
    static const AclEntry bad[][ACL_MAX] = {
        { { 1, 7, NO_ID }, { 4, 5, NO_ID } },
        { { 1, 7, NO_ID }, { 32, 5, NO_ID } },
        { { 4, 7, NO_ID }, { 32, 5, NO_ID } },
        { { 1, 7, NO_ID }, { 2, 5, 10 }, { 4, 5, NO_ID }, { 32, 5, NO_ID } },
        { { 1, 7, NO_ID }, { 4, 5, NO_ID }, { 4, 5, NO_ID },
          { 32, 5, NO_ID } },
        { { 1, 8, NO_ID }, { 4, 5, NO_ID }, { 32, 5, NO_ID } },
        { { 1, 7, NO_ID }, { 4, 5, NO_ID }, { 64, 5, NO_ID } },
        { { 4, 7, NO_ID }, { 1, 5, NO_ID }, { 32, 5, NO_ID } },
        { { 1, 7, NO_ID }, { 4, 5, NO_ID }, { 32, 5, NO_ID },
          { 16, 5, NO_ID } },
        { { 1, 7, NO_ID }, { 2, 5, NO_ID }, { 4, 5, NO_ID }, { 16, 5, NO_ID },
          { 32, 5, NO_ID } },
    };
    mode_t old = umask(0);
    uint8_t acl[256];
    size_t size;
    unsigned i;

    if (!start_acls()) {
        umask(old);
        return;
    }
    make_both("file", S_IFREG | 0644);
    make_both("dir", S_IFDIR | 0755);
    for (i = 0; i < G_N_ELEMENTS(bad); i++) {
        size = acl_bytes(bad[i], acl);
        g_assert_cmpint(try_setxattr("g/file", FS_ACL_ACCESS, acl, size),
                        ==, -EINVAL);
        set_both("file", FS_ACL_ACCESS, acl, size);
        set_both("dir", FS_ACL_DEFAULT, acl, size);
    }
    size = acl_bytes(acl_user, acl);
    set_both("file", FS_ACL_ACCESS, acl, size - 1);
    set_both("file", FS_ACL_ACCESS, acl, 3);
    set_both("file", FS_ACL_ACCESS, acl, 5);
    set_both("file", FS_ACL_DEFAULT, acl, size);
    set_both("file", FS_ACL_DEFAULT, NULL, 0);
    acl[0] = 1;
    set_both("file", FS_ACL_ACCESS, acl, size);

    /* A value on the disk that is no ACL is ignored. */
    host_setxattr("g/file", "user.virtfs.system.posix_acl_access",
                  "\2\0\0\0\1\0\7", 7);
    host_setxattr("g/dir", "user.virtfs.system.posix_acl_default",
                  "\2\0\0\0\1\0\7\0\0\0\0\0", 12);
    assert_ok(try_chmod("g/file", 0600));
    assert_seen("g/file", S_IFREG | 0600, GUEST_UID, GUEST_GID);
    make("g/dir/file", S_IFREG | 0666);
    assert_seen("g/dir/file", S_IFREG | 0666, GUEST_UID, GUEST_GID);
    umask(old);
}

static void test_acl_default(void)
{
    static const uint32_t modes[] = { 0777, 0600, 0053, 0 };
    static const uint32_t types[] = { S_IFREG, S_IFDIR, S_IFIFO };
    mode_t old = umask(0);
    uint8_t acl[256];
    unsigned i, j, k;

    if (!start_acls()) {
        umask(old);
        return;
    }
    for (i = 0; i < G_N_ELEMENTS(acls); i++) {
        g_autofree char *dir = g_strdup_printf("d%u", i);

        make_both(dir, S_IFDIR | 0755);
        set_both(dir, FS_ACL_DEFAULT, acl, acl_bytes(acls[i], acl));
        chmod_both(dir, 0700);
        for (j = 0; j < G_N_ELEMENTS(modes); j++) {
            for (k = 0; k < G_N_ELEMENTS(types); k++) {
                g_autofree char *path = g_strdup_printf("d%u/%u-%u", i, j, k);

                make_both(path, types[k] | modes[j]);
            }
        }
        set_both(dir, FS_ACL_DEFAULT, NULL, 0);
        set_both(dir, FS_ACL_DEFAULT, NULL, 0);
    }
    make("g/d0/link", S_IFLNK);
    assert_seen("g/d0/link", S_IFLNK | 0777, GUEST_UID, GUEST_GID);

    /* On the disk, under its name */
    set_both("d1", FS_ACL_ACCESS, acl, acl_bytes(acl_many, acl));
    assert_xattr("g/d1", "user.virtfs.system.posix_acl_access", acl,
                 acl_bytes(acl_many, acl));
    set_both("d1", FS_ACL_DEFAULT, acl, acl_bytes(acl_user, acl));
    assert_xattr("g/d1", "user.virtfs.system.posix_acl_default", acl,
                 acl_bytes(acl_user, acl));
    g_assert_cmpint(host_getxattr("g/d1", FS_ACL_DEFAULT, NULL, 0), ==,
                    -ENODATA);
    umask(old);
}

/* ACLs that the host has for the same files are none of the guest's. */
static void test_acl_host(void)
{
    mode_t old = umask(0);
    uint8_t acl[256];
    size_t size = acl_bytes(acl_user, acl);

    if (!start_acls()) {
        umask(old);
        return;
    }
    make("g/dir", S_IFDIR | 0711);
    host_setxattr("g/dir", FS_ACL_ACCESS, acl, size);
    host_setxattr("g/dir", FS_ACL_DEFAULT, acl, size);
    assert_error(try_getxattr("g/dir", FS_ACL_ACCESS, acl, sizeof(acl)),
                 ENODATA);
    assert_error(try_getxattr("g/dir", FS_ACL_DEFAULT, acl, sizeof(acl)),
                 ENODATA);
    g_assert_cmpint(try_getxattr("g/dir", NULL, acl, sizeof(acl)), ==, 0);
    assert_ok(try_chmod("g/dir", 0700));
    assert_ok(try_removexattr("g/dir", FS_ACL_ACCESS));
    assert_seen("g/dir", S_IFDIR | 0700, GUEST_UID, GUEST_GID);
    assert_xattr("g/dir", FS_ACL_ACCESS, acl, acl_bytes(acl_user, acl));

    /* They do limit what the host file gets, but not what the guest sees. */
    make("g/dir/file", S_IFREG | 0666);
    assert_seen("g/dir/file", S_IFREG | 0666, GUEST_UID, GUEST_GID);
    g_assert_cmpint(try_getxattr("g/dir/file", NULL, acl, sizeof(acl)), ==, 0);
    umask(old);
}

XATTR_TEST(test_xattr_bytes)
XATTR_TEST(test_acl_access)
XATTR_TEST(test_acl_bad)
XATTR_TEST(test_acl_default)
XATTR_TEST(test_acl_host)

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);

    ADD_XATTR("bytes", test_xattr_bytes);
    ADD_XATTR("acl/access", test_acl_access);
    ADD_XATTR("acl/bad", test_acl_bad);
    ADD_XATTR("acl/default", test_acl_default);
    ADD_XATTR("acl/host", test_acl_host);
    return g_test_run();
}
