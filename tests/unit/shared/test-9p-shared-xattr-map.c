/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Rules that map the names of extended attributes (shared/xattr-map.h).
 */
#include "qemu/osdep.h"
#include "fsdev/shared/xattr-map.h"

static FsXattrMap *parse(const char *text)
{
    g_autofree char *why = NULL;
    FsXattrMap *map = fs_xattr_map_parse(text, &why);

    g_test_message("%s: %s", text, why ?: "good");
    g_assert_nonnull(map);
    return map;
}

static void test_bad(void)
{
    static const struct {
        const char *text;
        const char *why;
    } cases[] = {
        { "", "'': there is no rule" },
        { " \n", "there is no rule" },
        { ":", "separator is missing" },
        { ":ok:all::", "separator is missing" },
        { ":prefix:all:a:user.b", "separator is missing" },
        { "/ok:all:::/", "separator is missing" },
        { ":nothing:all:::", "its type is none of" },
        { "::all:::", "its type is none of" },
        { ":ok:guest:::", "its scope is none of" },
        { ":ok::::", "its scope is none of" },
        { ":prefix:all:a::", "must begin with 'user.'" },
        { ":prefix:all:a:user.:", "must begin with 'user.'" },
        { ":prefix:all:a:trusted.b:", "must begin with 'user.'" },
        { ":map::x:", "must begin with 'user.'" },
        { ":map:a:", "separator is missing" },
        { ":map::user.x.: :ok:all:::", "':ok:all:::': 'map' must be the last" },
        { ":ok:all::: x", "'x': it is too short" },
        /* user.security.capability and security.capability meet. */
        { ":prefix:all:user.:user.g.: :prefix:all:security.:user.g.user.:",
          "':prefix:all:security.:user.g.user.:': with an earlier rule" },
        { ":prefix:all:security.:user.g.user.: :prefix:all:user.:user.g.:",
          "':prefix:all:user.:user.g.:': with an earlier rule" },
        { ":prefix:client::user.g.: :prefix:client:trusted.:user.G.user.a:",
          "with an earlier rule" },
        { ":prefix:all:user.:user.g.: :prefix:all:user.x.:user.g.u:"
          ":prefix:all:er.:user.g.us:", "':prefix:all:er.:user.g.us:'" },
    };
    g_autofree char *xs = g_strnfill(FS_XATTR_NAME_MAX, 'x');
    g_autofree char *long_name = g_strdup_printf(":ok:all:%s:x:", xs);
    GString *many = g_string_new(NULL);
    unsigned i;

    for (i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autofree char *why = NULL;

        g_assert_null(fs_xattr_map_parse(cases[i].text, &why));
        g_test_message("%s: %s", cases[i].text, why);
        g_assert_nonnull(strstr(why, cases[i].why));
    }
    for (i = 0; i < 2; i++) {
        g_autofree char *why = NULL;

        g_assert_null(fs_xattr_map_parse(i ? many->str : long_name, &why));
        g_assert_nonnull(strstr(why, i ? "more than 64 rules"
                                       : "so long a name"));
        while (many->len < 65 * strlen(":ok:all:::")) {
            g_string_append(many, ":ok:all:::");
        }
    }
    g_string_free(many, TRUE);
}

static const char rules[] =
    ":prefix:all:trusted.:user.virtiofs.:\n"
    "/prefix/client/security.capability/user.virtiofs./"
    "  :prefix:server:security.:user.virtiofs.:"
    ":bad:all:user.no.:user.no.:"
    ":unsupported:client:user.un.::"
    ":bad:server::user.hid:"
    ":ok:all:security.selinux:security.selinux:";

static void test_names(void)
{
    static const struct {
        const char *name;
        int ret;
        const char *other;
    } to_host[] = {
        { "trusted.a", 1, "user.virtiofs.trusted.a" },
        { "trusted.", 1, "user.virtiofs.trusted." },
        { "security.capability", 1, "user.virtiofs.security.capability" },
        { "security.selinux", 1, "security.selinux" },
        { "security.other", 0 },
        { "user.no.x", -EPERM }, { "user.un.x", -EOPNOTSUPP },
        { "user.x", 0 }, { "", 0 },
    }, to_guest[] = {
        { "user.virtiofs.trusted.a", 1, "trusted.a" },
        { "user.virtiofs.security.x", 1, "security.x" },
        { "user.virtiofs.x", 0 }, { "user.virtiofs.", 0 },
        { "user.no.x", -1 }, { "user.hidden", -1 },
        { "user.un.x", 0 }, { "trusted.a", 0 },
        { "security.selinux", 1, "security.selinux" },
    };
    FsXattrMap *map = parse(rules);
    const char *guest;
    FsXattrName host;
    unsigned i;

    for (i = 0; i < G_N_ELEMENTS(to_host); i++) {
        g_test_message("'%s'", to_host[i].name);
        g_assert_cmpint(fs_xattr_map_to_host(map, to_host[i].name, host), ==,
                        to_host[i].ret);
        if (to_host[i].ret > 0) {
            g_assert_cmpstr(host, ==, to_host[i].other);
        }
    }
    for (i = 0; i < G_N_ELEMENTS(to_guest); i++) {
        g_test_message("'%s'", to_guest[i].name);
        g_assert_cmpint(fs_xattr_map_to_guest(map, to_guest[i].name, &guest),
                        ==, to_guest[i].ret);
        if (to_guest[i].ret > 0) {
            g_assert_cmpstr(guest, ==, to_guest[i].other);
        }
    }
    g_assert_true(fs_xattr_map_owns(map, "user.virtiofs.x"));
    g_assert_true(fs_xattr_map_owns(map, "user.VirtioFS.x"));
    g_assert_false(fs_xattr_map_owns(map, "user.virtiofs"));
    g_assert_false(fs_xattr_map_owns(map, "user.no.x"));
    fs_xattr_map_free(map);
}

/* Rules that look alike, but send no two names to one */
static void test_apart(void)
{
    static const char *const good[] = {
        ":prefix:all:trusted.:user.g.: :prefix:all:security.:user.g.:",
        ":prefix:all:trusted.:user.g.: :prefix:all:trusted.x:user.g.:",
        ":prefix:all:trusted.:user.g.: :prefix:all:security.:user.g.user.:",
        ":prefix:client:user.:user.g.: :prefix:server:security.:user.g.user.:",
        ":prefix:all::user.g.: :prefix:all:security.:user.h.:",
    };
    unsigned i;

    for (i = 0; i < G_N_ELEMENTS(good); i++) {
        fs_xattr_map_free(parse(good[i]));
    }
}

/* The host's form of a name is longer, and must be one, too. */
static void test_long(void)
{
    g_autofree char *name = g_strnfill(FS_XATTR_NAME_MAX - 7, 'x');
    FsXattrMap *map = parse(":prefix:all::user.g.:");
    FsXattrName host;

    g_assert_cmpint(fs_xattr_map_to_host(map, name, host), ==, 1);
    g_assert_cmpuint(strlen(host), ==, FS_XATTR_NAME_MAX);
    name = g_realloc(name, FS_XATTR_NAME_MAX);
    strcat(name, "x");
    g_assert_cmpint(fs_xattr_map_to_host(map, name, host), ==, -ERANGE);
    fs_xattr_map_free(map);
}

/* "map", with and without a key */
static void test_map(void)
{
    FsXattrMap *map = parse(":map::user.g.:");
    const char *guest;
    FsXattrName host;

    g_assert_cmpint(fs_xattr_map_to_host(map, "user.a", host), ==, 1);
    g_assert_cmpstr(host, ==, "user.g.user.a");
    g_assert_cmpint(fs_xattr_map_to_guest(map, "user.g.user.a", &guest), ==,
                    1);
    g_assert_cmpstr(guest, ==, "user.a");
    g_assert_cmpint(fs_xattr_map_to_guest(map, "user.g.", &guest), ==, -1);
    g_assert_cmpint(fs_xattr_map_to_guest(map, "user.a", &guest), ==, -1);
    fs_xattr_map_free(map);

    map = parse(":map:trusted.:user.g.:");
    g_assert_cmpint(fs_xattr_map_to_host(map, "trusted.a", host), ==, 1);
    g_assert_cmpint(fs_xattr_map_to_host(map, "user.g.a", host), ==, -EPERM);
    g_assert_cmpint(fs_xattr_map_to_host(map, "user.a", host), ==, 0);
    g_assert_cmpint(fs_xattr_map_to_guest(map, "user.g.a", &guest), ==, -1);
    g_assert_cmpint(fs_xattr_map_to_guest(map, "user.a", &guest), ==, 0);
    fs_xattr_map_free(map);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/9p/xattr-map/bad", test_bad);
    g_test_add_func("/9p/xattr-map/names", test_names);
    g_test_add_func("/9p/xattr-map/apart", test_apart);
    g_test_add_func("/9p/xattr-map/long", test_long);
    g_test_add_func("/9p/xattr-map/map", test_map);
    return g_test_run();
}
