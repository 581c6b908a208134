/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Which extended attributes a guest may use (shared/xattr-names.h).
 */
#include "qemu/osdep.h"
#include "fsdev/shared/xattr-names.h"

static void test_check(void)
{
    static const struct {
        const char *name;
        int ret;
    } cases[] = {
        { "user.x", 0 }, { "user..", 0 }, { "user.virtfs", 0 },
        { "user.virtfsx", 0 }, { "user.Virtfs", 0 }, { "user.\xff\n", 0 },
        { "user.security.capability", 0 }, { "user.user.virtfs.x", 0 },
        { "system.posix_acl_access", 0 }, { "system.posix_acl_default", 0 },
        { "", -ERANGE },
        { "user", -EOPNOTSUPP }, { "user.", -EOPNOTSUPP },
        { "userx.x", -EOPNOTSUPP }, { "User.x", -EOPNOTSUPP },
        { "USER.x", -EOPNOTSUPP }, { " user.x", -EOPNOTSUPP },
        { ".user.x", -EOPNOTSUPP }, { "user/x", -EOPNOTSUPP },
        { "user.virtfs.", -EOPNOTSUPP }, { "user.virtfs.uid", -EOPNOTSUPP },
        { "user.Virtfs.uid", -EOPNOTSUPP }, { "user.VIRTFS.", -EOPNOTSUPP },
        { "user.virtfs.system.posix_acl_access", -EOPNOTSUPP },
        { "security.capability", -EOPNOTSUPP },
        { "security.selinux", -EOPNOTSUPP }, { "security.", -EOPNOTSUPP },
        { "trusted.x", -EOPNOTSUPP },
        { "trusted.overlay.opaque", -EOPNOTSUPP },
        { "system.", -EOPNOTSUPP }, { "system.nfs4_acl", -EOPNOTSUPP },
        { "system.posix_acl", -EOPNOTSUPP },
        { "system.posix_acl_access.", -EOPNOTSUPP },
        { "System.posix_acl_access", -EOPNOTSUPP },
        { "other.x", -EOPNOTSUPP }, { ".", -EOPNOTSUPP },
    };
    g_autofree char *name = g_strnfill(FS_XATTR_NAME_MAX + 1, 'x');
    unsigned i;

    for (i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_test_message("'%s'", cases[i].name);
        g_assert_cmpint(fs_xattr_name_check(cases[i].name, false), ==,
                        cases[i].ret);
        /* File capabilities are one name more. */
        g_assert_cmpint(fs_xattr_name_check(cases[i].name, true), ==,
                        g_str_equal(cases[i].name, FS_XATTR_CAPS)
                        ? 0 : cases[i].ret);
    }
    g_assert_cmpint(fs_xattr_name_check(name, false), ==, -ERANGE);
    memcpy(name, "user.", 5);
    g_assert_cmpint(fs_xattr_name_check(name, false), ==, -ERANGE);
    name[FS_XATTR_NAME_MAX] = '\0';
    g_assert_cmpint(fs_xattr_name_check(name, false), ==, 0);
    memcpy(name, "trust", 5);
    g_assert_cmpint(fs_xattr_name_check(name, false), ==, -EOPNOTSUPP);
}

static void filter(bool file_caps, const char *list, size_t len,
                   const char *expected, size_t expected_len)
{
    /* Exactly as long, for the sanitizer */
    g_autofree char *copy = g_memdup2(list, len);

    g_assert_cmpuint(fs_xattr_list_filter(copy, len, file_caps), ==,
                     expected_len);
    g_assert_cmpmem(copy, expected_len, expected, expected_len);
}

#define FILTER(list, expected) \
    filter(false, list, sizeof(list) - 1, expected, sizeof(expected) - 1)

static void test_list(void)
{
    filter(false, NULL, 0, NULL, 0);
    FILTER("user.a\0", "user.a\0");
    FILTER("security.capability\0", "");
    FILTER("security.capability\0user.a\0trusted.b\0system.posix_acl_access\0"
           "user.virtfs.uid\0user.virtfs\0",
           "user.a\0system.posix_acl_access\0user.virtfs\0");
    FILTER("user.a\0user.virtfs.uid\0user.b\0", "user.a\0user.b\0");
    filter(true, FS_XATTR_CAPS "\0security.x", sizeof(FS_XATTR_CAPS) + 11,
           FS_XATTR_CAPS, sizeof(FS_XATTR_CAPS));
    /* Lists that no kernel returns, but that a helper might send */
    FILTER("\0\0\0", "");
    FILTER("\0user.a\0\0", "user.a\0");
    FILTER("user.a", "");
    FILTER("user.a\0user.b", "user.a\0");
    FILTER("user.a\0security.", "user.a\0");
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/9p/xattr-names/check", test_check);
    g_test_add_func("/9p/xattr-names/list", test_list);
    return g_test_run();
}
