/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Squashing and translation of ids (shared/id-translate.h).
 */
#include "qemu/osdep.h"
#include "fsdev/shared/id-translate.h"

#define NO_PLACE        IDMAP_NONE

static unsigned warnings;
static uint32_t warned_of;

static void no_place(void *opaque, const char *kind, uint32_t id)
{
    g_assert_true(opaque == &warnings);
    g_assert_cmpstr(kind, ==, "user");
    warnings++;
    warned_of = id;
}

static IdTranslate *new_translate(IdSquash squash, const char *uid,
                                  const char *gid)
{
    IdTranslate *t = g_new(IdTranslate, 1);

    id_translate_init(t);
    t->squash = squash;
    if (uid) {
        g_assert_null(id_translate_add(&t->user, uid));
    }
    if (gid) {
        g_assert_null(id_translate_add(&t->group, gid));
    }
    return t;
}

static uint32_t user_to_host(IdTranslate *t, uint32_t id)
{
    int ret = id_translate_uid(t, id, &id);

    g_assert_true(ret == 0 || ret == -EINVAL);
    return ret < 0 ? NO_PLACE : id;
}

static uint32_t group_to_host(IdTranslate *t, uint32_t id)
{
    int ret = id_translate_gid(t, id, &id);

    g_assert_true(ret == 0 || ret == -EINVAL);
    return ret < 0 ? NO_PLACE : id;
}

static void expect_seen(const IdTranslate *t, uint32_t uid, uint32_t gid,
                        uint32_t seen_uid, uint32_t seen_gid)
{
    FsAttr attr = { .uid = uid, .gid = gid };

    id_translate_attr_to_guest(t, &attr);
    g_assert_cmpuint(attr.uid, ==, seen_uid);
    g_assert_cmpuint(attr.gid, ==, seen_gid);
}

static void test_none(void)
{
    FsMakeArgs make = { .uid = 1, .gid = 2 };
    FsSetAttr set = { .valid = FS_SET_ALL, .uid = 3, .gid = 4 };

    g_assert_cmpuint(user_to_host(NULL, 5), ==, 5);
    g_assert_cmpuint(group_to_host(NULL, 6), ==, 6);
    g_assert_cmpint(id_translate_make(NULL, &make), ==, 0);
    g_assert_cmpint(id_translate_set(NULL, &set), ==, 0);
    g_assert_cmpuint(make.uid, ==, 1);
    g_assert_cmpuint(set.gid, ==, 4);
    expect_seen(NULL, 7, 8, 7, 8);
}

static void test_ranges(void)
{
    g_autofree IdTranslate *t = new_translate(
        ID_SQUASH_NONE, "0:1000:1,:10:2000:90:", NULL);
    FsSetAttr set = { .valid = FS_SET_UID, .uid = 10, .gid = 10 };
    FsMakeArgs make = { .uid = 99, .gid = 99 };
    unsigned n;

    g_assert_cmpuint(user_to_host(t, 0), ==, 1000);
    g_assert_cmpuint(user_to_host(t, 10), ==, 2000);
    g_assert_cmpuint(user_to_host(t, 99), ==, 2089);
    g_assert_cmpuint(user_to_host(t, 1), ==, NO_PLACE);
    g_assert_cmpuint(user_to_host(t, 100), ==, NO_PLACE);
    g_assert_cmpuint(user_to_host(t, 65534), ==, NO_PLACE);
    g_assert_cmpuint(user_to_host(t, 4294967294), ==, NO_PLACE);
    /* Groups have no ranges. */
    g_assert_cmpuint(group_to_host(t, 100), ==, 100);
    g_assert_true(id_translate_has(t, &t->user));
    g_assert_false(id_translate_has(t, &t->group));

    expect_seen(t, 1000, 1000, 0, 1000);
    expect_seen(t, 2089, 0, 99, 0);
    expect_seen(t, 0, 0, 65534, 0);
    expect_seen(t, 2090, 0, 65534, 0);
    expect_seen(t, 4294967294, 0, 65534, 0);

    g_assert_cmpint(id_translate_make(t, &make), ==, 0);
    g_assert_cmpuint(make.uid, ==, 2089);
    g_assert_cmpuint(make.gid, ==, 99);
    g_assert_cmpint(id_translate_set(t, &set), ==, 0);
    g_assert_cmpuint(set.uid, ==, 2000);
    /* What a change does not set needs no place. */
    set = (FsSetAttr) { .valid = FS_SET_MODE, .uid = 5 };
    g_assert_cmpint(id_translate_set(t, &set), ==, 0);
    g_assert_cmpuint(set.uid, ==, 5);
    set.valid |= FS_SET_UID;
    g_assert_cmpint(id_translate_set(t, &set), ==, -EINVAL);

    id_translate_shown(&t->user, &n);
    g_assert_cmpuint(n, ==, 2);
}

static void test_one_way(void)
{
    g_autofree IdTranslate *t = new_translate(
        ID_SQUASH_NONE, "to-host:0:1000:10,to-host:50:1000:1",
        "to-guest:0:1000:10,to-guest:0:2000:1");
    unsigned n;

    g_assert_cmpuint(user_to_host(t, 9), ==, 1009);
    g_assert_cmpuint(user_to_host(t, 50), ==, 1000);
    g_assert_cmpuint(user_to_host(t, 10), ==, NO_PLACE);
    expect_seen(t, 1009, 1009, 1009, 9);
    expect_seen(t, 5, 2000, 5, 0);
    expect_seen(t, 5, 5, 5, 65534);
    g_assert_cmpuint(group_to_host(t, 9), ==, 9);

    id_translate_shown(&t->user, &n);
    g_assert_cmpuint(n, ==, 0);
    id_translate_shown(&t->group, &n);
    g_assert_cmpuint(n, ==, 2);
}

static void test_squash(void)
{
    g_autofree IdTranslate *root = new_translate(ID_SQUASH_ROOT, NULL, NULL);
    g_autofree IdTranslate *both = new_translate(ID_SQUASH_ROOT,
                                                 "0:1000:10,99:7:1", NULL);
    g_autofree IdTranslate *all = new_translate(ID_SQUASH_ALL, "0:1000:10",
                                                NULL);

    g_assert_cmpuint(user_to_host(root, 0), ==, 65534);
    g_assert_cmpuint(group_to_host(root, 0), ==, 65534);
    g_assert_cmpuint(user_to_host(root, 1), ==, 1);
    expect_seen(root, 0, 5, 0, 5);

    /* The squash comes first; an anonymous id is the host's already. */
    both->user.anon = 5;
    g_assert_cmpuint(user_to_host(both, 0), ==, 5);
    g_assert_cmpuint(user_to_host(both, 1), ==, 1001);
    g_assert_cmpuint(user_to_host(both, 10), ==, NO_PLACE);
    expect_seen(both, 1000, 3, 0, 3);
    expect_seen(both, 7, 3, 99, 3);
    expect_seen(both, 5, 3, 65534, 3);

    all->user.anon = 5;
    all->group.anon = 6;
    g_assert_cmpuint(user_to_host(all, 0), ==, 5);
    g_assert_cmpuint(user_to_host(all, 77777), ==, 5);
    g_assert_cmpuint(group_to_host(all, 77777), ==, 6);
    expect_seen(all, 1003, 1003, 3, 1003);
    /* None is none. */
    g_assert_cmpuint(user_to_host(all, IDMAP_NONE), ==, IDMAP_NONE);
}

static void test_bad(void)
{
    static const struct {
        const char *text, *why;
    } bad[] = {
        { "", "'' is not GUEST:HOST:COUNT" },
        { "0:1", "'0:1' is not GUEST:HOST:COUNT, three numbers, with " },
        { "0:1:1,", "'' is not GUEST" },
        { "0:1:-1", "'0:1:-1' is not" },
        { "both:0:1:1", "'both:0:1:1' is not" },
        { "to-host:to-guest:0:1:1", "'to-host:to-guest:0:1:1' is not" },
        { "to-host:", "'to-host:' is not" },
        { "0:1:0", "'0:1:0' has no ids" },
        { "0:4294967295:1", "'0:4294967295:1' goes beyond" },
        { "1:0:4294967295", "'1:0:4294967295' goes beyond" },
        { "0:10:5,4:20:1", "'4:20:1' overlaps" },
        { "0:10:5,20:14:1", "'20:14:1' overlaps" },
        { "to-host:0:10:5,4:20:1", "'4:20:1' overlaps" },
        { "0:10:5,to-guest:20:14:1", "'to-guest:20:14:1' overlaps" },
    };
    g_autofree IdTranslate *many = new_translate(ID_SQUASH_NONE, NULL, NULL);
    g_autofree char *why = NULL;
    unsigned i;

    for (i = 0; i < G_N_ELEMENTS(bad); i++) {
        g_autofree IdTranslate *t = new_translate(ID_SQUASH_NONE, NULL, NULL);
        g_autofree char *got = id_translate_add(&t->user, bad[i].text);

        g_assert_nonnull(got);
        g_assert_true(g_str_has_prefix(got, bad[i].why));
    }
    for (i = 0; i < PROXY_IDMAP_MAX; i++) {
        g_autofree char *text = g_strdup_printf("%u:%u:1", i, i);

        g_assert_null(id_translate_add(&many->user, text));
    }
    why = id_translate_add(&many->user, "to-guest:1000:1000:1");
    g_assert_cmpstr(why, ==, "'to-guest:1000:1000:1' is one more than the 340 "
                    "ranges that a map may have");
}

/* Only one way is ambiguous on either side. */
static void test_overlap(void)
{
    static const char *const good[] = {
        "to-host:0:10:5,to-host:5:10:5", "to-guest:0:10:5,to-guest:0:20:5",
        "to-host:0:10:5,to-guest:0:10:5", "0:10:5,to-host:5:10:5",
        "to-guest:0:20:1,0:10:5", "0:0:4294967295",
    };
    unsigned i;

    for (i = 0; i < G_N_ELEMENTS(good); i++) {
        g_free(new_translate(ID_SQUASH_NONE, good[i], NULL));
    }
}

/* Each line names the id, and there is an end to them. */
static void test_warning(void)
{
    g_autofree IdTranslate *t = new_translate(ID_SQUASH_NONE, "0:0:1", NULL);
    unsigned i;

    t->no_place = no_place;
    t->opaque = &warnings;
    g_assert_cmpuint(user_to_host(t, 0), ==, 0);
    g_assert_cmpuint(warnings, ==, 0);
    g_assert_cmpuint(user_to_host(t, 71), ==, NO_PLACE);
    g_assert_cmpuint(warnings, ==, 1);
    g_assert_cmpuint(warned_of, ==, 71);
    g_assert_cmpuint(user_to_host(t, 71), ==, NO_PLACE);
    g_assert_cmpuint(warnings, ==, 1);
    for (i = 0; i < 1000; i++) {
        g_assert_cmpuint(user_to_host(t, 71 + i), ==, NO_PLACE);
    }
    g_assert_cmpuint(warnings, ==, 16);
}

/* An ACL: u::rwx, u:1:rwx, u:7:r-x, g::r--, g:1:rwx, m::rwx, o::--- */
static const uint8_t acl[] = {
    2, 0, 0, 0,
    0x01, 0, 7, 0, 255, 255, 255, 255,
    0x02, 0, 7, 0, 1, 0, 0, 0,
    0x02, 0, 5, 0, 7, 0, 0, 0,
    0x04, 0, 4, 0, 255, 255, 255, 255,
    0x08, 0, 7, 0, 1, 0, 0, 0,
    0x10, 0, 7, 0, 255, 255, 255, 255,
    0x20, 0, 0, 0, 255, 255, 255, 255,
};

static void test_acl(void)
{
    g_autofree IdTranslate *t = new_translate(
        ID_SQUASH_NONE, "0:66048:10", NULL);
    uint8_t mine[sizeof(acl)], want[sizeof(acl)];
    size_t cut;

    memcpy(mine, acl, sizeof(acl));
    memcpy(want, acl, sizeof(acl));
    memcpy(want + 16, "\x01\x02\x01\0", 4);
    memcpy(want + 24, "\x07\x02\x01\0", 4);
    g_assert_cmpint(id_translate_acl(t, mine, sizeof(mine)), ==, 0);
    g_assert_cmpmem(mine, sizeof(mine), want, sizeof(want));
    id_translate_acl_to_guest(t, mine, sizeof(mine));
    g_assert_cmpmem(mine, sizeof(mine), acl, sizeof(acl));

    /* What has no place */
    mine[24] = 11;
    g_assert_cmpint(id_translate_acl(t, mine, sizeof(mine)), ==, -EINVAL);
    memcpy(mine, acl, sizeof(acl));
    id_translate_acl_to_guest(t, mine, sizeof(mine));
    memcpy(want, acl, sizeof(acl));
    memcpy(want + 16, "\xfe\xff\0\0", 4);
    memcpy(want + 24, "\xfe\xff\0\0", 4);
    g_assert_cmpmem(mine, sizeof(mine), want, sizeof(want));

    /* Any bytes, of any length */
    for (cut = 0; cut <= sizeof(acl); cut++) {
        g_autofree uint8_t *part = g_memdup2(acl, cut);

        g_assert_cmpint(id_translate_acl(t, part, cut), ==, 0);
        id_translate_acl_to_guest(t, part, cut);
        if (cut) {
            g_assert_cmpmem(part, cut, acl, cut);
        }
    }
    memcpy(mine, acl, sizeof(acl));
    mine[0] = 3;
    memcpy(want, mine, sizeof(mine));
    g_assert_cmpint(id_translate_acl(t, mine, sizeof(mine)), ==, 0);
    g_assert_cmpmem(mine, sizeof(mine), want, sizeof(want));
    g_assert_cmpint(id_translate_acl(NULL, mine, sizeof(mine)), ==, 0);
    id_translate_acl_to_guest(NULL, mine, sizeof(mine));
}

/* A namespace in which 0 is the host's 1000, and 1 to 65535 are 100000 on */
static const IdMaps subordinate = {
    .uid = { { 0, 1000, 1 }, { 1, 100000, 65535 } }, .n_uid = 2,
    .gid = { { 0, 1000, 1 } }, .n_gid = 1,
};

static void test_namespace(void)
{
    g_autofree IdTranslate *t = new_translate(
        ID_SQUASH_NONE, "500:1000:1,0:100000:10,to-host:900:5:1", NULL);
    g_autofree IdTranslate *all = new_translate(ID_SQUASH_ALL, NULL, NULL);
    const ProxyIdRange *shown;
    unsigned n;

    g_assert_null(id_translate_enter(t, &subordinate));
    g_assert_cmpuint(user_to_host(t, 500), ==, 0);
    g_assert_cmpuint(user_to_host(t, 0), ==, 1);
    g_assert_cmpuint(user_to_host(t, 9), ==, 10);
    g_assert_cmpuint(user_to_host(t, 10), ==, NO_PLACE);
    /* The namespace does not have the host's 5. */
    g_assert_cmpuint(user_to_host(t, 900), ==, NO_PLACE);
    expect_seen(t, 0, 0, 500, 0);
    expect_seen(t, 10, 5, 9, 5);
    expect_seen(t, 11, 5, 65534, 5);
    expect_seen(t, 65534, 5, 65534, 5);
    shown = id_translate_shown(&t->user, &n);
    g_assert_cmpuint(idmap_inside(shown, n, 1000), ==, 500);
    g_assert_cmpuint(idmap_inside(shown, n, 100009), ==, 9);
    g_assert_cmpuint(idmap_inside(shown, n, 100010), ==, IDMAP_NONE);

    /* With a squash alone, the guest sees the host's ids, and both ways. */
    all->user.anon = all->group.anon = 1000;
    g_assert_null(id_translate_enter(all, &subordinate));
    g_assert_cmpuint(user_to_host(all, 3), ==, 0);
    g_assert_cmpuint(group_to_host(all, 3), ==, 0);
    expect_seen(all, 0, 0, 1000, 1000);
    expect_seen(all, 2, 1, 100001, 65534);
    /* How the kernel shows what the namespace does not have */
    expect_seen(all, 65534, 65534, 65534, 65534);
    expect_seen(all, 65535, 0, 165534, 1000);
    shown = id_translate_shown(&all->user, &n);
    g_assert_cmpuint(n, ==, 3);
    g_assert_cmpuint(idmap_inside(shown, n, 1000), ==, 1000);
    g_assert_cmpuint(idmap_inside(shown, n, 165532), ==, 165532);
    g_assert_cmpuint(idmap_inside(shown, n, 165533), ==, IDMAP_NONE);
    g_assert_cmpuint(idmap_inside(shown, n, 165534), ==, 165534);
    g_assert_cmpuint(idmap_inside(shown, n, 165535), ==, IDMAP_NONE);
}

static void test_bad_namespace(void)
{
    static const struct {
        IdSquash squash;
        const char *uid, *why;
    } bad[] = {
        { ID_SQUASH_ALL, NULL, "the host's user id 65534 is not in the "
          "helper's user namespace; name another with --anon-uid" },
        { ID_SQUASH_NONE, "0:5:10", "no range of user ids has one of the "
          "host's that is in the helper's user namespace" },
        { ID_SQUASH_NONE, "0:1000:1,to-guest:9:2000:1", NULL },
        { ID_SQUASH_NONE, "to-host:0:1000:1,to-guest:9:2000:1",
          "no range of user ids has one" },
    };
    static IdMaps many = { .n_uid = PROXY_IDMAP_MAX };
    g_autofree IdTranslate *two = new_translate(
        ID_SQUASH_NONE, "to-host:0:0:1000,to-host:2000:0:1000", NULL);
    g_autofree char *why = NULL;
    unsigned i;

    for (i = 0; i < G_N_ELEMENTS(bad); i++) {
        g_autofree IdTranslate *t = new_translate(bad[i].squash, bad[i].uid,
                                                  NULL);
        g_autofree char *got = id_translate_enter(t, &subordinate);

        g_assert_true(bad[i].why ? got && g_str_has_prefix(got, bad[i].why)
                                 : !got);
    }
    for (i = 0; i < PROXY_IDMAP_MAX; i++) {
        many.uid[i] = (ProxyIdRange) { 2 * i, 2 * i, 1 };
    }
    why = id_translate_enter(two, &many);
    g_assert_cmpstr(why, ==, "the ranges of user ids and those of the user "
                    "namespace together are more than 340");
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/9p/id-translate/none", test_none);
    g_test_add_func("/9p/id-translate/ranges", test_ranges);
    g_test_add_func("/9p/id-translate/one-way", test_one_way);
    g_test_add_func("/9p/id-translate/squash", test_squash);
    g_test_add_func("/9p/id-translate/bad", test_bad);
    g_test_add_func("/9p/id-translate/overlap", test_overlap);
    g_test_add_func("/9p/id-translate/warning", test_warning);
    g_test_add_func("/9p/id-translate/acl", test_acl);
    g_test_add_func("/9p/id-translate/namespace", test_namespace);
    g_test_add_func("/9p/id-translate/namespace/bad", test_bad_namespace);
    return g_test_run();
}
