/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Squashing and translation of ids (squash=, translate-uid= and so on), with
 * the drivers local and proxy, with and without the descriptors by which QEMU
 * does without the helper: what the guest and the host see.
 */
#include "qemu/osdep.h"
#include <sys/xattr.h>
#include "qapi/error.h"
#include "qemu/bswap.h"
#include "qemu/module.h"
#include "qobject/qjson.h"
#include "fsdev-qmp.h"

#define ACL     "system.posix_acl_access"

/* A root fid of a user other than 0 */
#define UFID    1

static const char *const translate =
    "'translate-uid': '0:100000:1000,to-host:5000:1:1,to-guest:6000:2:1',"
    "'translate-gid': '0:110000:1000'";

/* Starts with the share of @driver with @ids, and a user 5. Needs root. */
static bool start(Test *t, const char *driver, const char *ids)
{
    g_autofree char *json = NULL;

    if (geteuid() != 0) {
        g_test_skip("requires root");
        return false;
    }
    fsdev_start(t, "");
    json = g_strdup_printf(ADD("'id': 'a', 'path': '%s', %s, 'fsdriver': %s"),
                           t->dir, ids, driver);
    qtest_qmp_assert_success(t->m.qts, "%p",
                             qobject_from_json(json, &error_abort));
    fsdev_plug(t, "a");
    ok(p9c_attach(t->c, UFID, 5, NULL));
    return true;
}

static void end(Test *t)
{
    ok(p9c_clunk(t->c, UFID));
    fsdev_unplug_in_order(t);
    fsdev_del(t, "a");
    fsdev_end(t);
}

static void expect_host(Test *t, const char *name, uint32_t uid, uint32_t gid)
{
    g_autofree char *path = g_build_filename(t->dir, name, NULL);
    struct stat st;

    g_assert_cmpint(lstat(path, &st), ==, 0);
    g_assert_cmpuint(st.st_uid, ==, uid);
    g_assert_cmpuint(st.st_gid, ==, gid);
}

static void host_chown(Test *t, const char *name, uint32_t uid, uint32_t gid)
{
    g_autofree char *path = g_build_filename(t->dir, name, NULL);

    g_assert_cmpint(lchown(path, uid, gid), ==, 0);
}

static void expect_fid(Test *t, uint32_t fid, uint32_t uid, uint32_t gid)
{
    P9CAttr attr;

    ok(p9c_getattr(t->c, fid, P9C_GETATTR_BASIC, &attr));
    g_assert_cmpuint(attr.uid, ==, uid);
    g_assert_cmpuint(attr.gid, ==, gid);
}

/* What the guest sees after it looked the name up anew */
static void expect_seen(Test *t, const char *name, uint32_t uid, uint32_t gid)
{
    ok(p9c_walk_to(t->c, ROOT, 2, name));
    expect_fid(t, 2, uid, gid);
    ok(p9c_clunk(t->c, 2));
}

/* Makes one of each as user 5 with the group @gid. Leaves fid 3 open. */
static void make_all(Test *t, uint32_t gid)
{
    ok(p9c_walk_to(t->c, UFID, 3, ""));
    ok(p9c_lcreate(t->c, 3, "file", P9C_O_RDWR, 0644, gid, NULL, NULL));
    ok(p9c_mkdir(t->c, UFID, "dir", 0755, gid, NULL));
    ok(p9c_mknod(t->c, UFID, "fifo", S_IFIFO | 0644, 0, 0, gid, NULL));
    ok(p9c_symlink(t->c, UFID, "link", "x", gid, NULL));
}

static int change(Test *t, const char *name, uint32_t uid, uint32_t gid)
{
    P9CSetAttr set = {
        .valid = P9C_SETATTR_UID | P9C_SETATTR_GID, .uid = uid, .gid = gid,
    };
    int ret;

    ok(p9c_walk_to(t->c, ROOT, 4, name));
    ret = p9c_setattr(t->c, 4, &set);
    ok(p9c_clunk(t->c, 4));
    return ret;
}

static const char *const made[] = { "file", "dir", "fifo", "link" };

static void test_translate(void *obj, void *data, QGuestAllocator *alloc)
{
    unsigned i;
    Test t;

    if (!start(&t, data, translate)) {
        return;
    }
    make_all(&t, 7);
    for (i = 0; i < ARRAY_SIZE(made); i++) {
        expect_host(&t, made[i], 100005, 110007);
        expect_seen(&t, made[i], 5, 7);
    }
    fails(p9c_mkdir(t.c, UFID, "bad", 0755, 1000, NULL), EINVAL);
    fails(p9c_symlink(t.c, UFID, "bad", "x", 65534, NULL), EINVAL);
    ok(p9c_walk_to(t.c, UFID, 5, ""));
    fails(p9c_lcreate(t.c, 5, "bad", P9C_O_RDWR, 0644, 1000, NULL, NULL),
          EINVAL);
    fails(p9c_walk_to(t.c, ROOT, 6, "bad"), ENOENT);

    ok(change(&t, "dir", 8, 9));
    expect_host(&t, "dir", 100008, 110009);
    expect_seen(&t, "dir", 8, 9);
    fails(change(&t, "dir", 1000, 9), EINVAL);
    fails(change(&t, "dir", 6000, 9), EINVAL);
    expect_host(&t, "dir", 100008, 110009);

    /* One way, and the host's users who have none */
    ok(change(&t, "dir", 5000, 9));
    expect_host(&t, "dir", 1, 110009);
    expect_seen(&t, "dir", 65534, 9);
    host_chown(&t, "dir", 2, 2);
    expect_seen(&t, "dir", 6000, 65534);

    /* An open file, with and without a name */
    host_chown(&t, "file", 100010, 110011);
    expect_fid(&t, 3, 10, 11);
    ok(p9c_unlinkat(t.c, ROOT, "file", 0));
    expect_fid(&t, 3, 10, 11);
    ok(p9c_clunk(t.c, 3));
    ok(p9c_clunk(t.c, 5));
    end(&t);
}

static void test_squash(void *obj, void *data, QGuestAllocator *alloc)
{
    unsigned i;
    Test t;

    if (!start(&t, data, "'squash': 'all', 'anon-uid': 4000")) {
        return;
    }
    make_all(&t, 7);
    ok(p9c_mkdir(t.c, ROOT, "roots", 0755, 0, NULL));
    expect_host(&t, "roots", 4000, 65534);
    for (i = 0; i < ARRAY_SIZE(made); i++) {
        expect_host(&t, made[i], 4000, 65534);
        expect_seen(&t, made[i], 4000, 65534);
    }
    ok(change(&t, "dir", 0, 9));
    expect_host(&t, "dir", 4000, 65534);
    host_chown(&t, "dir", 0, 3);
    expect_seen(&t, "dir", 0, 3);
    ok(p9c_clunk(t.c, 3));
    end(&t);
}

static void test_squash_root(void *obj, void *data, QGuestAllocator *alloc)
{
    Test t;

    if (!start(&t, data, "'squash': 'root', 'anon-gid': 4001, "
               "'translate-uid': '0:100000:1000'")) {
        return;
    }
    ok(p9c_mkdir(t.c, ROOT, "roots", 0755, 0, NULL));
    ok(p9c_mkdir(t.c, UFID, "users", 0755, 6, NULL));
    expect_host(&t, "roots", 65534, 4001);
    expect_seen(&t, "roots", 65534, 4001);
    expect_host(&t, "users", 100005, 6);
    expect_seen(&t, "users", 5, 6);
    end(&t);
}

/* As an ordinary user, whose helper has a user namespace */
static void test_rootless(void *obj, void *data, QGuestAllocator *alloc)
{
    g_autofree char *json = NULL;
    unsigned i;
    Test t;

    if (geteuid() == 0) {
        g_test_skip("requires an ordinary user");
        return;
    }
    fsdev_start(&t, "");
    json = g_strdup_printf(
        ADD("'id': 'a', 'path': '%s', 'squash': 'all', 'anon-uid': %u,"
            "'anon-gid': %u, 'fsdriver': 'proxy'%s"), t.dir, geteuid(),
        getegid(), (const char *)data);
    qtest_qmp_assert_success(t.m.qts, "%p",
                             qobject_from_json(json, &error_abort));
    fsdev_plug(&t, "a");
    ok(p9c_attach(t.c, UFID, 5, NULL));
    expect_seen(&t, "", geteuid(), getegid());
    make_all(&t, 7);
    expect_fid(&t, 3, geteuid(), getegid());
    for (i = 0; i < ARRAY_SIZE(made); i++) {
        expect_host(&t, made[i], geteuid(), getegid());
        expect_seen(&t, made[i], geteuid(), getegid());
    }
    ok(change(&t, "dir", 0, 4711));
    expect_host(&t, "dir", geteuid(), getegid());
    ok(p9c_clunk(t.c, 3));
    end(&t);
}

/* An ACL with an entry for the user @uid and one for the group @gid */
static void fill_acl(uint8_t acl[52], uint32_t uid, uint32_t gid)
{
    static const uint8_t tags[] = { 0x01, 0x02, 0x04, 0x08, 0x10, 0x20 };
    unsigned i;

    memset(acl, 0, 52);
    acl[0] = 2;
    for (i = 0; i < ARRAY_SIZE(tags); i++) {
        acl[4 + 8 * i] = tags[i];
        acl[6 + 8 * i] = 7;
        stl_le_p(acl + 8 + 8 * i, tags[i] == 0x02 ? uid :
                 tags[i] == 0x08 ? gid : UINT32_MAX);
    }
}

static int set_acl(Test *t, const uint8_t acl[52])
{
    uint32_t n;
    int ret;

    ok(p9c_walk_to(t->c, ROOT, 4, "dir"));
    ok(p9c_xattrcreate(t->c, 4, ACL, 52, 0));
    ok(p9c_write(t->c, 4, 0, acl, 52, &n));
    ret = p9c_clunk(t->c, 4);
    return ret;
}

static void expect_acl(Test *t, uint32_t uid, uint32_t gid)
{
    uint8_t want[52], got[100];
    uint64_t size;
    uint32_t len;

    fill_acl(want, uid, gid);
    ok(p9c_walk_to(t->c, ROOT, 4, "dir"));
    ok(p9c_xattrwalk(t->c, 4, 5, ACL, &size));
    ok(p9c_read(t->c, 5, 0, sizeof(got), got, &len));
    g_assert_cmpmem(got, len, want, sizeof(want));
    ok(p9c_clunk(t->c, 5));
    ok(p9c_clunk(t->c, 4));
}

static void test_acl(void *obj, void *data, QGuestAllocator *alloc)
{
    g_autofree char *path = NULL;
    uint8_t acl[52], got[100];
    ssize_t len;
    Test t;

    if (!start(&t, data, translate)) {
        return;
    }
    ok(p9c_mkdir(t.c, ROOT, "dir", 0755, 0, NULL));
    path = g_build_filename(t.dir, "dir", NULL);
    fill_acl(acl, 100009, 110010);
    if (setxattr(path, ACL, acl, sizeof(acl), 0) < 0) {
        g_test_skip("no ACLs in this file system");
    } else {
        expect_acl(&t, 9, 10);
        fill_acl(acl, 5, 6);
        ok(set_acl(&t, acl));
        fill_acl(acl, 100005, 110006);
        len = getxattr(path, ACL, got, sizeof(got));
        g_assert_cmpmem(got, len, acl, sizeof(acl));
        expect_acl(&t, 5, 6);
        fill_acl(acl, 6000, 6);
        fails(set_acl(&t, acl), EINVAL);
        expect_acl(&t, 5, 6);
        fill_acl(acl, 2, 2);
        g_assert_cmpint(setxattr(path, ACL, acl, sizeof(acl), 0), ==, 0);
        expect_acl(&t, 6000, 65534);
    }
    end(&t);
}

/* What local refuses; fsdev-helper-options-test.c has it for proxy. */
static void test_wrong(void *obj, void *data, QGuestAllocator *alloc)
{
    static const struct {
        const char *model, *ids, *says;
    } cases[] = {
        { "mapped", "'squash': 'root'", "squash 'root': only with "
          "security_model=passthrough or none" },
        { "mapped-file", "'translate-gid': '0:1:1'", "translate-gid '0:1:1': "
          "only with security_model=passthrough or none" },
        { "passthrough", "'anon-gid': 5", "anon-gid '5': only with squash" },
        { "none", "'squash': 'all', 'anon-uid': 4294967295",
          "anon-uid '4294967295': the last id is 4294967294" },
        { "none", "'translate-uid': '0:1:1,0:2:1'", "translate-uid "
          "'0:1:1,0:2:1': '0:2:1' overlaps with an earlier range" },
    };
    unsigned i;
    Test t;

    fsdev_start(&t, "");
    for (i = 0; i < ARRAY_SIZE(cases); i++) {
        g_autofree char *json = g_strdup_printf(
            ADD("'fsdriver': 'local', 'id': 'x', 'path': '%s', "
                "'security_model': '%s', %s"), t.dir, cases[i].model,
            cases[i].ids);

        fsdev_refused(&t, json, cases[i].says);
    }
    fsdev_end(&t);
}

static void register_tests(void)
{
    static const struct {
        const char *name;
        const char *json;
    } drivers[] = {
        { "passthrough", "'local', 'security_model': 'passthrough'" },
        { "none", "'local', 'security_model': 'none'" },
        { "proxy", "'proxy'" },
        { "proxy-asked", "'proxy', 'donate': false" },
        { "proxy-v1", "'proxy', 'protocol': 1" },
    };
    static const P9MachineTest tests[] = {
        { "translate", test_translate },
        { "squash", test_squash },
        { "squash-root", test_squash_root },
        { "acl", test_acl },
    };
    static char donated[] = "", asked[] = ", 'donate': false";
    QOSGraphTestOptions with = { .arg = donated };
    QOSGraphTestOptions without = { .arg = asked };
    unsigned i;

    qos_add_test("ids/rootless", "virtio-9p-pci", test_rootless, &with);
    qos_add_test("ids/rootless/asked", "virtio-9p-pci", test_rootless,
                 &without);
    for (i = 0; i < ARRAY_SIZE(drivers); i++) {
        if (g_str_equal(drivers[i].name, "proxy-v1")) {
#ifndef CONFIG_VIRTFS_PROXY_V1
            continue;
#endif
        }
        p9_machine_tests("ids", drivers[i].name, drivers[i].json, tests,
                         ARRAY_SIZE(tests));
    }
    qos_add_test("ids/wrong", "virtio-9p-pci", test_wrong, NULL);
}
libqos_init(register_tests);
