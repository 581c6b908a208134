/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Rules that map the names of a guest's extended attributes (xattr-map=), with
 * the drivers local and proxy: what the guest and the host see.
 */
#include "qemu/osdep.h"
#include <sys/xattr.h>
#include "qapi/error.h"
#include "qemu/module.h"
#include "qobject/qjson.h"
#include "fsdev-qmp.h"

#define RULES   ":prefix:all:trusted.:user.virtiofs.:" \
                ":prefix:all:security.:user.virtiofs.:" \
                ":bad:all:user.no:user.no:"

static QDict *add(Test *t, const char *driver, const char *rules)
{
    g_autofree char *json = g_strdup_printf(
        ADD("'id': 'a', 'path': '%s', 'xattr-map': '%s', 'fsdriver': %s"),
        t->dir, rules, driver);

    return qtest_qmp(t->m.qts, "%p", qobject_from_json(json, &error_abort));
}

/* Sets the attribute @name of "f" to "ab", and an errno of that */
static int set(Test *t, const char *name)
{
    uint32_t fid = 3, n;
    int ret;

    ok(p9c_walk_to(t->c, ROOT, fid, "f"));
    ret = p9c_xattrcreate(t->c, fid, name, 2, 0);
    if (ret == 0) {
        ok(p9c_write(t->c, fid, 0, "ab", 2, &n));
    }
    return ret ?: p9c_clunk(t->c, fid);
}

/* The value of the attribute, or the list, in @buf, and an errno of that */
static int get(Test *t, const char *name, char *buf, uint32_t size,
               uint32_t *len)
{
    uint64_t whole;
    int ret;

    ok(p9c_walk_to(t->c, ROOT, 4, "f"));
    ret = p9c_xattrwalk(t->c, 4, 5, name, &whole);
    if (ret == 0) {
        g_assert_cmpuint(whole, <=, size);
        ok(p9c_read(t->c, 5, 0, size, buf, len));
        ok(p9c_clunk(t->c, 5));
    }
    ok(p9c_clunk(t->c, 4));
    return ret;
}

static void check(Test *t, const char *path)
{
    char buf[512];
    uint32_t len;

    ok(set(t, "trusted.overlay.opaque"));
    ok(set(t, "security.capability"));
    ok(set(t, "user.x"));
    g_assert_cmpint(getxattr(path, "user.virtiofs.security.capability", buf,
                             sizeof(buf)), ==, 2);
    ok(get(t, "security.capability", buf, sizeof(buf), &len));
    g_assert_cmpmem(buf, len, "ab", 2);
    ok(get(t, "", buf, sizeof(buf), &len));
    g_assert_nonnull(memmem(buf, len, "security.capability", 20));
    g_assert_nonnull(memmem(buf, len, "trusted.overlay.opaque", 23));
    g_assert_null(memmem(buf, len, "virt", 4));
    fails(get(t, "user.no", buf, sizeof(buf), &len), EPERM);
    fails(get(t, "user.virtiofs.security.capability", buf, sizeof(buf), &len),
          EOPNOTSUPP);
    fails(get(t, "system.x", buf, sizeof(buf), &len), EOPNOTSUPP);
}

static void test_driver(void *obj, void *data, QGuestAllocator *alloc)
{
    g_autoptr(QDict) answer = NULL;
    g_autofree char *path = NULL;
    Test t;

    fsdev_start(&t, "");
    path = g_build_filename(t.dir, "f", NULL);
    g_assert_true(g_file_set_contents(path, "text", -1, NULL));
    answer = add(&t, data, RULES);
    g_assert_true(qdict_haskey(answer, "return"));
    fsdev_plug(&t, "a");
    check(&t, path);
    fsdev_unplug_in_order(&t);
    fsdev_del(&t, "a");
    fsdev_end(&t);
}

static void test_wrong(void *obj, void *data, QGuestAllocator *alloc)
{
    g_autoptr(QDict) answer = NULL;
    QDict *error;
    Test t;

    fsdev_start(&t, "");
    answer = add(&t, data, ":ok:all:a:b: :x:");
    error = qdict_get_qdict(answer, "error");
    g_assert_nonnull(error);
    g_assert_cmpstr(qdict_get_str(error, "desc"), ==,
                    "xattr-map: ':x:': it is too short, or its last separator "
                    "is missing");
    fsdev_end(&t);
}

static void register_tests(void)
{
    static const struct {
        const char *name;
        const char *json;
    } drivers[] = {
        { "passthrough", "'local', 'security_model': 'passthrough'" },
        { "mapped-xattr", "'local', 'security_model': 'mapped-xattr'" },
        { "proxy", "'proxy'" },
        { "proxy-asked", "'proxy', 'donate': false" },
    };
    unsigned i;

    for (i = 0; i < ARRAY_SIZE(drivers); i++) {
        g_autofree char *name = g_strdup_printf("xattr-map/%s",
                                                drivers[i].name);
        g_autofree char *wrong = g_strdup_printf("xattr-map/%s/wrong",
                                                 drivers[i].name);
        QOSGraphTestOptions opts = { .arg = (void *)drivers[i].json };

        qos_add_test(name, "virtio-9p-pci", test_driver, &opts);
        qos_add_test(wrong, "virtio-9p-pci", test_wrong, &opts);
    }
}
libqos_init(register_tests);
