/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Which extended attributes a guest may use: those of user.* without
 * user.virtfs.*, and POSIX ACLs (virtio-9p-behaviour-xattr.c). And that what a
 * guest does to a program takes its file capabilities away.
 */
#include "qemu/osdep.h"
#include <linux/capability.h>
#include <sys/xattr.h>
#include "virtio-9p-behaviour-dotu.h"

#define CAPABILITY      "security.capability"
#define ACL_ACCESS      "system.posix_acl_access"
#define ACL_DEFAULT     "system.posix_acl_default"

/* A program with this may change its user. */
static const struct vfs_cap_data capability = {
    .magic_etc = GUINT32_TO_LE(VFS_CAP_REVISION_2 | VFS_CAP_FLAGS_EFFECTIVE),
    .data[0].permitted = GUINT32_TO_LE(1u << CAP_SETUID),
};

static bool host_set(const char *path, const char *name)
{
    bool caps = g_str_equal(name, CAPABILITY);

    return setxattr(path, name, caps ? (void *)&capability : "host",
                    caps ? XATTR_CAPS_SZ_2 : 4, 0) == 0;
}

/* The guest cannot use the name, whether the host has the attribute or not. */
static void name_is_refused(Test *t, const char *path, const char *name)
{
    bool there = host_set(path, name);
    char before[64], after[64];
    ssize_t len = getxattr(path, name, before, sizeof(before));

    g_test_message("'%s'%s", name, there ? ", which the host has" : "");
    g_assert_cmpint(len >= 0, ==, there);
    fails(p9c_xattrwalk(t->c, 1, 2, name, NULL), EOPNOTSUPP);
    fails(put_xattr(t, 1, name, "guest", 5, 0), EOPNOTSUPP);
    fails(put_xattr(t, 1, name, "guest", 5, XATTR_CREATE), EOPNOTSUPP);
    fails(put_xattr(t, 1, name, "guest", 5, XATTR_REPLACE), EOPNOTSUPP);
    fails(put_xattr(t, 1, name, NULL, 0, 0), EOPNOTSUPP);
    fails(put_xattr(t, 1, name, NULL, 0, XATTR_REPLACE), EOPNOTSUPP);
    g_assert_false(lists_xattr(t, 1, name));
    if (there) {
        g_assert_cmpint(getxattr(path, name, after, sizeof(after)), ==, len);
        g_assert_cmpmem(before, len, after, len);
    } else {
        g_assert_cmpint(getxattr(path, name, after, sizeof(after)), ==, -1);
    }
}

static void name_is_served(Test *t, const char *path, const char *name)
{
    char value[16];
    uint32_t size = sizeof(value);

    g_test_message("'%s'", name);
    ok(put_xattr(t, 1, name, "guest", 5, XATTR_CREATE));
    g_assert_cmpint(getxattr(path, name, value, sizeof(value)), ==, 5);
    ok(take_xattr(t, 1, name, value, &size));
    g_assert_cmpmem(value, size, "guest", 5);
    g_assert_true(lists_xattr(t, 1, name));
    ok(put_xattr(t, 1, name, NULL, 0, XATTR_REPLACE));
    fails(p9c_xattrwalk(t->c, 1, 2, name, NULL), ENODATA);
    g_assert_false(lists_xattr(t, 1, name));
}

/* The list must have exactly this one name, in the size that was announced. */
static void list_is(Test *t, uint32_t fid, const char *name)
{
    uint32_t size = 4096;
    char list[4096];

    ok(take_xattr(t, fid, "", list, &size));
    g_assert_cmpmem(list, size, name, strlen(name) + 1);
}

static void test_names(Test *t)
{
    static const char *const refused[] = {
        CAPABILITY, "security.selinux", "security.ima", "security.x",
        "security.", "trusted.x", "trusted.overlay.opaque", "user.virtfs.x",
        "user.virtfs.", "system.nfs4_acl", "system.posix_acl", "system.x",
        "other.x", "user.", "user", "User.x", "USER.virtfs.x", " user.x", ".",
        "virtfs-protocol-2",
    };
    static const char *const served[] = {
        "user.x", "user.virtfs", "user.virtfsx", "user.security.capability",
        "user. ", "user..",
    };
    g_autofree char *name = g_strnfill(256, 'x');
    g_autofree char *path = host_path(t, "f");
    unsigned i;

    if (!host_has_xattrs(t)) {
        return;
    }
    make_file(t, ROOT, "f", "");
    ok(walk(t, ROOT, 1, "f"));
    for (i = 0; i < ARRAY_SIZE(refused); i++) {
        name_is_refused(t, path, refused[i]);
    }
    for (i = 0; i < ARRAY_SIZE(served); i++) {
        name_is_served(t, path, served[i]);
    }
    ok(put_xattr(t, 1, "user.x", "guest", 5, 0));
    list_is(t, 1, "user.x");

    /* Longest and longer names */
    memcpy(name, "user.", 5);
    fails(p9c_xattrwalk(t->c, 1, 2, name, NULL), ERANGE);
    fails(put_xattr(t, 1, name, "x", 1, 0), ERANGE);
    memcpy(name, "trust", 5);
    fails(put_xattr(t, 1, name, "x", 1, 0), ERANGE);
    name[255] = '\0';
    name_is_refused(t, path, name);
    memcpy(name, "user.", 5);
    name_is_served(t, path, name);
}

/* Names that end within the string, or lie about their length */
static void test_names_malformed(Test *t)
{
    static const char name[] = "user.x\0security.capability";

    make_file(t, ROOT, "f", "");
    ok(walk(t, ROOT, 1, "f"));
    p9c_refused(p9c_request(t->c, P9C_TXATTRWALK,
                            PUT(U32(1), U32(2), U16(sizeof(name) - 1),
                                DATA(name, sizeof(name) - 1))), EINVAL);
    p9c_refused(p9c_request(t->c, P9C_TXATTRWALK,
                            PUT(U32(1), U32(2), U16(6),
                                DATA(name, sizeof(name) - 1))), EINVAL);
    p9c_refused(p9c_request(t->c, P9C_TXATTRCREATE,
                            PUT(U32(1), U16(7), DATA(name, 7), U64(1), U32(0))),
                EINVAL);
    assert_alive(t);
}

/* ACLs of the host: the mapped models never show them. */
static void test_names_acl(Test *t)
{
    /* Version 2; user::rw- user:1:rw- group::r-- mask::rw- other::r-- */
    static const uint8_t acl[] = {
        2, 0, 0, 0,
        1, 0, 6, 0, 0xff, 0xff, 0xff, 0xff, 2, 0, 6, 0, 1, 0, 0, 0,
        4, 0, 4, 0, 0xff, 0xff, 0xff, 0xff, 16, 0, 6, 0, 0xff, 0xff, 0xff, 0xff,
        32, 0, 4, 0, 0xff, 0xff, 0xff, 0xff,
    };
    const char *const names[] = { ACL_ACCESS, ACL_DEFAULT };
    g_autofree char *path = host_path(t, "d");
    bool shown = !has(t, HAS_VIEW);
    unsigned i;

    if (!host_has_xattrs(t)) {
        return;
    }
    ok(make_dir(t, ROOT, "d", 0755));
    ok(walk(t, ROOT, 1, "d"));
    for (i = 0; i < ARRAY_SIZE(names); i++) {
        if (setxattr(path, names[i], acl, sizeof(acl), 0) < 0) {
            g_test_skip("no POSIX ACLs on this file system");
            return;
        }
        fails(p9c_xattrwalk(t->c, 1, 2, names[i], NULL),
              shown ? 0 : has(t, HAS_VIEW_XATTR) ? ENODATA : EOPNOTSUPP);
        g_assert_cmpint(lists_xattr(t, 1, names[i]), ==, shown);
        if (shown) {
            ok(clunk(t, 2));
        }
        /* What the guest removes is its own. */
        fails(put_xattr(t, 1, names[i], NULL, 0, XATTR_REPLACE),
              has(t, HAS_VIEW_FILE) ? EOPNOTSUPP : 0);
        g_assert_cmpint(getxattr(path, names[i], NULL, 0), ==,
                        shown ? -1 : (int)sizeof(acl));
    }
}

/*
 * File capabilities
 */

/* Gives the host's file f a capability; the guest then acts. */
static void give_capability(Test *t)
{
    g_autofree char *path = host_path(t, "f");

    g_assert_true(host_set(path, CAPABILITY));
}

static void capability_is_gone(Test *t, const char *after)
{
    g_autofree char *path = host_path(t, "f");
    ssize_t len = getxattr(path, CAPABILITY, NULL, 0);
    int err = errno;

    g_test_message("after %s: %zd", after, len);
    g_assert_cmpint(len, ==, -1);
    g_assert_cmpint(err, ==, ENODATA);
}

static void test_capability_data(Test *t)
{
    static const uint32_t trunc[] = {
        P9C_O_WRONLY | P9C_O_TRUNC, P9C_O_RDWR | P9C_O_TRUNC,
    };
    unsigned i;

    make_file(t, ROOT, "f", "program");
    if (geteuid() != 0) {
        g_test_skip("needs root, which gives a file capabilities");
        return;
    }
    ok(walk(t, ROOT, 1, "f"));
    ok(open_fid(t, 1, P9C_O_RDWR));
    give_capability(t);
    write_all(t, 1, 0, "x");
    capability_is_gone(t, "a write");
    give_capability(t);
    write_all(t, 1, 100, "x");
    capability_is_gone(t, "a write beyond the end");
    give_capability(t);
    ok(setattr(t, 1, (P9CSetAttr) { .valid = P9C_SETATTR_SIZE, .size = 3 }));
    capability_is_gone(t, "ftruncate");
    ok(clunk(t, 1));

    ok(walk(t, ROOT, 1, "f"));
    give_capability(t);
    ok(setattr(t, 1, (P9CSetAttr) { .valid = P9C_SETATTR_SIZE, .size = 9 }));
    capability_is_gone(t, "truncate");
    for (i = 0; i < ARRAY_SIZE(trunc); i++) {
        ok(walk(t, ROOT, 2, "f"));
        give_capability(t);
        ok(open_fid(t, 2, trunc[i]));
        capability_is_gone(t, "an open with O_TRUNC");
        ok(clunk(t, 2));
    }
    ok(walk(t, ROOT, 2, "f"));
    ok(open_fid(t, 2, P9C_O_WRONLY | P9C_O_APPEND));
    give_capability(t);
    write_all(t, 2, 0, "x");
    capability_is_gone(t, "a write with O_APPEND");
    ok(clunk(t, 2));
    ok(walk(t, ROOT, 2, ""));
    give_capability(t);
    ok(create(t, 2, "f", P9C_O_RDWR | P9C_O_TRUNC, 0600));
    capability_is_gone(t, "a create of the file that exists");
}

static void test_capability_owner(Test *t)
{
    P9CSetAttr set = {
        .valid = P9C_SETATTR_UID | P9C_SETATTR_GID, .uid = t->uid,
        .gid = t->gid,
    };
    bool gives = has(t, HAS_OWNERS) ||
                 strstr(t->cmd_line, "security_model=none");

    make_file(t, ROOT, "f", "program");
    if (geteuid() != 0) {
        g_test_skip("needs root, which gives a file capabilities");
        return;
    }
    ok(walk(t, ROOT, 1, "f"));
    give_capability(t);
    ok(setattr(t, 1, set));
    capability_is_gone(t, "a chown to the same owner");
    give_capability(t);
    set.valid = P9C_SETATTR_GID;
    ok(setattr(t, 1, set));
    capability_is_gone(t, "a chgrp");
    if (!gives) {
        return;
    }
    give_capability(t);
    set.valid = P9C_SETATTR_UID;
    set.uid = 1234;
    ok(setattr(t, 1, set));
    capability_is_gone(t, "a chown");
    give_capability(t);
    set.valid |= P9C_SETATTR_MODE;
    set.mode = 0755;
    ok(setattr(t, 1, set));
    capability_is_gone(t, "a chown with a mode");
    /* The host's other attributes stay. */
    g_assert_cmphex(attr_of(t, "f").mode, ==, S_IFREG | 0755);
}

/* 9P2000.u: it has no messages for attributes, but others that change files. */
static void test_capability_dotu(Test *t)
{
    ok(make_only_u(t, "f", 0600, ""));
    ok(walk(t, ROOT, 1, "f"));
    g_assert_cmpint(p9c_xattrwalk(t->c, 1, 2, "user.x", NULL), !=, 0);
    g_assert_cmpint(p9c_xattrwalk(t->c, 1, 2, CAPABILITY, NULL), !=, 0);
    g_assert_cmpint(p9c_xattrcreate(t->c, 1, "user.x", 1, 0), !=, 0);
    g_assert_cmpint(p9c_xattrcreate(t->c, 1, CAPABILITY, 1, 0), !=, 0);
    if (geteuid() != 0) {
        g_test_skip("needs root, which gives a file capabilities");
        return;
    }
    give_capability(t);
    ok(wstat_u(t, 1, stat_with(st->length = 9)));
    capability_is_gone(t, "a Twstat of the length");
    give_capability(t);
    ok(wstat_u(t, 1, stat_with(st->n_gid = t->gid)));
    capability_is_gone(t, "a Twstat of the group");
    give_capability(t);
    ok(open_u(t, 1, P9C_ORDWR | P9C_OTRUNC));
    capability_is_gone(t, "a Topen with OTRUNC");
    give_capability(t);
    write_all(t, 1, 0, "x");
    capability_is_gone(t, "a write");
    give_capability(t);
    ok(wstat_u(t, 1, stat_with(st->length = 0)));
    capability_is_gone(t, "a Twstat of the length by an open fid");
}

const Case behaviour_xattr_names[] = {
    { "xattr-names", test_names, HAS_HOST | HAS_XATTRS, CASE_SHORT },
    { "xattr-names-malformed", test_names_malformed, HAS_HOST, CASE_ANYBODY },
    { "xattr-names-acl", test_names_acl, HAS_HOST | HAS_XATTRS },
    { "capability-data", test_capability_data, HAS_HOST },
    { "capability-owner", test_capability_owner, HAS_HOST },
    { "capability-dotu", test_capability_dotu, HAS_HOST, CASE_DOTU },
    { NULL }
};
