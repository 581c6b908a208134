/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Which extended attributes a guest may use (shared/xattr-names.h).
 */
#include "qemu/osdep.h"
#include "fsdev/shared/xattr-names.h"

static const FsXattrNames usual;
static const FsXattrNames with_caps = { .file_caps = true };
static const FsXattrNames elsewhere = { .others = true };

/* fs_xattr_to_host() of names that are the host's, too */
static int check(const char *name, const FsXattrNames *names)
{
    FsXattrName host;
    int ret = fs_xattr_to_host(names, name, host);

    if (ret == 0) {
        g_assert_cmpstr(host, ==, name);
    }
    return ret;
}

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
        g_assert_cmpint(check(cases[i].name, &usual), ==, cases[i].ret);
        /* File capabilities are one name more. */
        g_assert_cmpint(check(cases[i].name, &with_caps), ==,
                        g_str_equal(cases[i].name, FS_XATTR_CAPS)
                        ? 0 : cases[i].ret);
        g_assert_cmpint(check(cases[i].name, &elsewhere), ==,
                        *cases[i].name ? 0 : -ERANGE);
    }
    g_assert_cmpint(check(name, &usual), ==, -ERANGE);
    memcpy(name, "user.", 5);
    g_assert_cmpint(check(name, &usual), ==, -ERANGE);
    name[FS_XATTR_NAME_MAX] = '\0';
    g_assert_cmpint(check(name, &usual), ==, 0);
    memcpy(name, "trust", 5);
    g_assert_cmpint(check(name, &usual), ==, -EOPNOTSUPP);
}

static void filter(const FsXattrNames *names, const char *list, size_t len,
                   const char *expected, size_t expected_len)
{
    /* Exactly as long, for the sanitizer */
    g_autofree char *copy = g_memdup2(list, len);

    g_assert_cmpuint(fs_xattr_list_to_guest(names, copy, len), ==,
                     expected_len);
    g_assert_cmpmem(copy, expected_len, expected, expected_len);
}

#define FILTER(list, expected) \
    filter(&usual, list, sizeof(list) - 1, expected, sizeof(expected) - 1)

static void test_list(void)
{
    filter(&usual, NULL, 0, NULL, 0);
    FILTER("user.a\0", "user.a\0");
    FILTER("security.capability\0", "");
    FILTER("security.capability\0user.a\0trusted.b\0system.posix_acl_access\0"
           "user.virtfs.uid\0user.virtfs\0",
           "user.a\0system.posix_acl_access\0user.virtfs\0");
    FILTER("user.a\0user.virtfs.uid\0user.b\0", "user.a\0user.b\0");
    filter(&with_caps, FS_XATTR_CAPS "\0security.x", sizeof(FS_XATTR_CAPS) + 11,
           FS_XATTR_CAPS, sizeof(FS_XATTR_CAPS));
    /* Lists that no kernel returns, but that a helper might send */
    FILTER("\0\0\0", "");
    FILTER("\0user.a\0\0", "user.a\0");
    FILTER("user.a", "");
    FILTER("user.a\0user.b", "user.a\0");
    FILTER("user.a\0security.", "user.a\0");
    filter(&elsewhere, "trusted.a\0\0user.virtfs.b\0", 25,
           "trusted.a\0user.virtfs.b\0", 24);
}

/* With rules: what they decide, what is left, and what stays closed */
static void test_rules(void)
{
    static const struct {
        const char *name;
        const char *host;       /* NULL: -EOPNOTSUPP */
    } cases[] = {
        { "trusted.x", "user.g.trusted.x" },
        { "user.x", "user.x" },
        { "system.posix_acl_access", "system.posix_acl_access" },
        { "security.selinux", "security.selinux" },
        { "security.x", NULL },
        { "user.g.trusted.x", NULL }, { "user.g.", NULL },
        { "user.G.trusted.x", NULL }, { "user.g", "user.g" },
        { "user.virtfs.uid", NULL }, { "user.VIRTFS.uid", NULL },
        { "mode", NULL }, { "uid", NULL },
        { "user.virtfs2", "user.virtfs2" },
    };
    g_autofree char *why = NULL;
    FsXattrMap *map = fs_xattr_map_parse(
        ":prefix:all:trusted.:user.g.: :prefix:all:mode:user.virtfs.:"
        ":ok:all:security.selinux:security.selinux:"
        ":ok:all:user.virtfs:user.virtfs:", &why);
    static const char list[] =
        "user.g.trusted.a\0user.b\0user.g.c\0trusted.d\0user.virtfs.mode\0"
        "security.selinux\0";
    static const char guest[] = "trusted.a\0user.b\0security.selinux\0";
    FsXattrNames names = { .map = map };
    FsXattrName host;
    unsigned i;

    g_assert_nonnull(map);
    for (i = 0; i < G_N_ELEMENTS(cases); i++) {
        int ret = fs_xattr_to_host(&names, cases[i].name, host);

        g_test_message("'%s'", cases[i].name);
        if (cases[i].host) {
            g_assert_cmpint(ret, ==, 0);
            g_assert_cmpstr(host, ==, cases[i].host);
        } else {
            g_assert_cmpint(ret, ==, -EOPNOTSUPP);
        }
    }
    filter(&names, list, sizeof(list) - 1, guest, sizeof(guest) - 1);
    fs_xattr_map_free(map);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/9p/xattr-names/check", test_check);
    g_test_add_func("/9p/xattr-names/list", test_list);
    g_test_add_func("/9p/xattr-names/rules", test_rules);
    return g_test_run();
}
