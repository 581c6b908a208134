/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Behaviour of extended attributes, and of POSIX ACLs, which the guest sets as
 * such.
 */
#include "qemu/osdep.h"
#include <sys/xattr.h>
#include "qemu/bswap.h"
#include "virtio-9p-behaviour.h"

#define VALUE_MAX       65536       /* of setxattr(2) */
#define PIECE           4000
#define ACL_ACCESS      "system.posix_acl_access"
#define ACL_DEFAULT     "system.posix_acl_default"

/* linux/posix_acl_xattr.h: version 2, then tag, permissions, id for each */
enum {
    ACL_USER_OBJ = 1, ACL_USER = 2, ACL_GROUP_OBJ = 4, ACL_MASK = 16,
    ACL_OTHER = 32,
};

static void value_is(Test *t, uint32_t fid, const char *name,
                     const void *value, uint32_t size)
{
    g_autofree char *buf = g_malloc(VALUE_MAX);
    uint32_t got = VALUE_MAX;

    ok(take_xattr(t, fid, name, buf, &got));
    g_assert_cmpmem(buf, got, value, size);
}

static void no_value(Test *t, uint32_t fid, const char *name)
{
    fails(p9c_xattrwalk(t->c, fid, 999, name, NULL), ENODATA);
}

static void host_value_is(Test *t, const char *file, const char *name,
                          const void *value, size_t size)
{
    g_autofree char *path = host_path(t, file);
    g_autofree char *buf = g_malloc(VALUE_MAX);
    ssize_t got = lgetxattr(path, name, buf, VALUE_MAX);

    g_assert_cmpint(got, >=, 0);
    g_assert_cmpmem(buf, got, value, size);
}

static void test_xattr(Test *t)
{
    g_autofree char *path = NULL;
    uint32_t n;

    if (!host_has_xattrs(t)) {
        return;
    }
    make_file(t, ROOT, "f", "");
    path = host_path(t, "f");
    ok(walk(t, ROOT, 1, "f"));
    g_assert_false(lists_xattr(t, 1, "user.test"));
    no_value(t, 1, "user.test");

    /* In pieces */
    ok(walk(t, 1, 2, ""));
    ok(p9c_xattrcreate(t->c, 2, "user.test", 5, 0));
    write_all(t, 2, 0, "val");
    write_all(t, 2, 3, "ue");
    ok(clunk(t, 2));
    host_value_is(t, "f", "user.test", "value", 5);
    value_is(t, 1, "user.test", "value", 5);
    ok(p9c_xattrwalk(t->c, 1, 2, "user.test", NULL));
    read_is(t, 2, 3, "ue");
    read_is(t, 2, 5, "");
    ok(clunk(t, 2));
    g_assert_true(lists_xattr(t, 1, "user.test"));
    /* The guest sees an attribute that the host sets. */
    g_assert_cmpint(setxattr(path, "user.host", "x", 1, 0), ==, 0);
    value_is(t, 1, "user.host", "x", 1);
    g_assert_true(lists_xattr(t, 1, "user.host"));

    /* Flags of setxattr(2) */
    fails(put_xattr(t, 1, "user.test", "x", 1, XATTR_CREATE), EEXIST);
    fails(put_xattr(t, 1, "user.none", "x", 1, XATTR_REPLACE), ENODATA);
    value_is(t, 1, "user.test", "value", 5);
    no_value(t, 1, "user.none");
    ok(put_xattr(t, 1, "user.new", "x", 1, XATTR_CREATE));
    ok(put_xattr(t, 1, "user.test", "replaced", 8, XATTR_REPLACE));
    value_is(t, 1, "user.test", "replaced", 8);

    /* An empty value; with XATTR_REPLACE it is Linux' way to remove one. */
    ok(put_xattr(t, 1, "user.test", NULL, 0, 0));
    value_is(t, 1, "user.test", "", 0);
    host_value_is(t, "f", "user.test", "", 0);
    ok(put_xattr(t, 1, "user.test", NULL, 0, XATTR_REPLACE));
    no_value(t, 1, "user.test");
    g_assert_false(lists_xattr(t, 1, "user.test"));
    fails(put_xattr(t, 1, "user.test", NULL, 0, XATTR_REPLACE), ENODATA);

    /* Attributes of a directory, of the root and of an open file */
    ok(make_dir(t, ROOT, "d", 0755));
    ok(walk(t, ROOT, 3, "d"));
    ok(put_xattr(t, 3, "user.test", "dir", 3, 0));
    host_value_is(t, "d", "user.test", "dir", 3);
    ok(put_xattr(t, ROOT, "user.test", "root", 4, 0));
    value_is(t, ROOT, "user.test", "root", 4);
    ok(put_xattr(t, ROOT, "user.test", NULL, 0, XATTR_REPLACE));
    ok(walk(t, ROOT, 4, "f"));
    ok(open_fid(t, 4, P9C_O_RDWR));
    value_is(t, 4, "user.new", "x", 1);
    fails(p9c_xattrcreate(t->c, 4, "user.test", 1, 0), EBADF);
    ok(p9c_write(t->c, 4, 0, "x", 1, &n));
}

static void test_xattr_refused(Test *t)
{
    g_autofree char *longest = g_strnfill(255, 'x');
    g_autofree char *longer = g_strnfill(256, 'x');
    uint32_t n;

    if (!host_has_xattrs(t)) {
        return;
    }
    make_file(t, ROOT, "f", "");
    ok(walk(t, ROOT, 1, "f"));
    fails(p9c_xattrwalk(t->c, 1, 2, longer, NULL), ERANGE);
    fails(put_xattr(t, 1, longer, "x", 1, 0), ERANGE);
    fails(put_xattr(t, 1, "", "x", 1, 0), ERANGE);
    fails(put_xattr(t, 1, "user.x", "x", 1, 4), EINVAL);
    fails(put_xattr(t, 1, "user.x", "x", VALUE_MAX + 1, 0), E2BIG);
    ok(walk(t, 1, 2, ""));
    fails(p9c_xattrcreate(t->c, 2, "user.x", UINT64_MAX, 0), E2BIG);
    ok(clunk(t, 2));
    fails(put_xattr(t, 1, longest, "x", 1, 0), EOPNOTSUPP);
    memcpy(longest, "user.", 5);
    ok(put_xattr(t, 1, longest, "x", 1, 0));
    value_is(t, 1, longest, "x", 1);

    /* An incomplete value */
    ok(walk(t, 1, 2, ""));
    ok(p9c_xattrcreate(t->c, 2, "user.half", 10, 0));
    write_all(t, 2, 0, "01234");
    /* More data than announced, and data after a hole */
    fails(p9c_write(t->c, 2, 10, "x", 1, &n), ENOSPC);
    fails(p9c_write(t->c, 2, 5, "567890", 6, &n), ENOSPC);
    fails(p9c_write(t->c, 2, INT64_MAX - 1, "x", 1, &n), ENOSPC);
    fails(p9c_write(t->c, 2, UINT64_MAX, "x", 1, &n), EINVAL);
    fails(p9c_write(t->c, 2, 6, "x", 1, &n), EINVAL);
    fails(clunk(t, 2), EINVAL);
    fails(clunk(t, 2), ENOENT);
    no_value(t, 1, "user.half");
    /* The session ends before the value is complete. */
    ok(walk(t, 1, 2, ""));
    ok(p9c_xattrcreate(t->c, 2, "user.half", 10, 0));
    session(t);
    ok(walk(t, ROOT, 1, "f"));
    no_value(t, 1, "user.half");
    /* A link has no user attributes, and never shows those of its target. */
    ok(make_symlink(t, ROOT, "l", "f"));
    ok(walk(t, ROOT, 3, "l"));
    g_assert_cmpint(put_xattr(t, 3, "user.test", "x", 1, 0), !=, EEXIST);
    no_value(t, 1, "user.test");
}

/* Sets user.x in pieces; the Tclunk must give @expect. */
static void set_pieces(Test *t, uint32_t fid, const void *value, uint32_t size,
                       int expect)
{
    const uint32_t most = PIECE;
    const uint32_t tmp = 0x7a;
    uint32_t at, n, part;

    ok(walk(t, fid, tmp, ""));
    ok(p9c_xattrcreate(t->c, tmp, "user.x", size, 0));
    for (at = 0; at < size; at += n) {
        part = MIN(size - at, most);
        ok(p9c_write(t->c, tmp, at, value + at, part, &n));
        g_assert_cmpuint(n, ==, part);
    }
    fails(clunk(t, tmp), expect);
}

static void pieces_are(Test *t, uint32_t fid, const uint8_t *value,
                       uint32_t size)
{
    const uint32_t most = PIECE;
    g_autofree uint8_t *buf = g_malloc(most);
    const uint32_t tmp = 0x7b;
    uint64_t has;
    uint32_t at, n;

    ok(p9c_xattrwalk(t->c, fid, tmp, "user.x", &has));
    g_assert_cmpuint(has, ==, size);
    for (at = 0; at < size; at += n) {
        ok(p9c_read(t->c, tmp, at, most, buf, &n));
        g_assert_cmpuint(n, ==, MIN(size - at, most));
        g_assert_cmpmem(buf, n, value + at, n);
    }
    ok(p9c_read(t->c, tmp, size, most, buf, &n));
    g_assert_cmpuint(n, ==, 0);
    ok(clunk(t, tmp));
}

/* Values from none to Linux' limit, in pieces; the host decides which fit. */
static void test_xattr_sizes(Test *t)
{
    static const uint32_t sizes[] = { 0, 1, 255, 4000, VALUE_MAX };
    g_autofree uint8_t *value = g_malloc(VALUE_MAX);
    g_autofree char *same = host_path(t, "same");
    unsigned i;
    int host;

    if (!host_has_xattrs(t)) {
        return;
    }
    for (i = 0; i < VALUE_MAX; i++) {
        value[i] = g_test_rand_int();
    }
    host_write(t, "same", "");
    make_file(t, ROOT, "f", "");
    ok(walk(t, ROOT, 1, "f"));
    for (i = 0; i < ARRAY_SIZE(sizes); i++) {
        /* Free the space of the previous value. */
        removexattr(same, "user.x");
        host = setxattr(same, "user.x", value, sizes[i], 0) < 0 ? errno : 0;
        set_pieces(t, 1, value, sizes[i], host);
        if (host == 0) {
            pieces_are(t, 1, value, sizes[i]);
            host_value_is(t, "f", "user.x", value, sizes[i]);
        } else {
            g_test_message("%u bytes: %s", sizes[i], strerror(host));
        }
    }
}

/* So many attributes that their list exceeds a small buffer */
static void test_xattr_many(Test *t)
{
    int i;

    if (!host_has_xattrs(t)) {
        return;
    }
    make_file(t, ROOT, "f", "");
    ok(walk(t, ROOT, 1, "f"));
    for (i = 0; i < 100; i++) {
        g_autofree char *name = g_strdup_printf("user.number-%d", i);
        int err = put_xattr(t, 1, name, name, strlen(name), 0);

        if (err) {
            fails(err, ENOSPC);
            g_test_skip("no room for many xattrs on this file system");
            return;
        }
    }
    for (i = 0; i < 100; i++) {
        g_autofree char *name = g_strdup_printf("user.number-%d", i);

        g_assert_true(lists_xattr(t, 1, name));
        value_is(t, 1, name, name, strlen(name));
    }
}

/* max_xattr=4 counts fids of both kinds, and every end gives a place back. */
static void test_max_xattr(Test *t)
{
    unsigned round, i;

    if (!host_has_xattrs(t)) {
        return;
    }
    make_file(t, ROOT, "file", "");
    ok(walk(t, ROOT, 1, "file"));
    for (round = 0; round < 3; round++) {
        for (i = 0; i < 4; i++) {
            ok(walk(t, ROOT, 10 + i, "file"));
            if (i & 1) {
                ok(p9c_xattrcreate(t->c, 10 + i, "user.x", 5, 0));
            } else {
                ok(p9c_xattrwalk(t->c, 10 + i, 20 + i, "", NULL));
            }
        }
        fails(p9c_xattrwalk(t->c, 1, 30, "", NULL), ENOSPC);
        ok(walk(t, ROOT, 31, "file"));
        fails(p9c_xattrcreate(t->c, 31, "user.x", 5, 0), ENOSPC);
        /* A failed Txattrwalk takes no place. */
        ok(clunk(t, 20));
        fails(p9c_xattrwalk(t->c, 1, 30, "user.none", NULL), ENODATA);
        fails(p9c_xattrwalk(t->c, 1, 30, "user.none", NULL), ENODATA);
        ok(p9c_xattrwalk(t->c, 1, 30, "", NULL));
        fails(p9c_xattrwalk(t->c, 1, 32, "", NULL), ENOSPC);
        /* A new session gives all places back. */
        session(t);
        ok(walk(t, ROOT, 1, "file"));
    }
    assert_alive(t);
}

/*
 * ACLs
 */

typedef struct Acl {
    uint8_t data[64];
    uint32_t size;
} Acl;

static void acl_add(Acl *acl, uint16_t tag, uint16_t perm, uint32_t id)
{
    if (acl->size == 0) {
        stl_le_p(acl->data, 2);
        acl->size = 4;
    }
    stw_le_p(acl->data + acl->size, tag);
    stw_le_p(acl->data + acl->size + 2, perm);
    stl_le_p(acl->data + acl->size + 4, id);
    acl->size += 8;
}

/* An ACL with an entry for that user, and that mask */
static Acl acl_of(uint32_t id, uint16_t mask)
{
    Acl acl = { .size = 0 };

    acl_add(&acl, ACL_USER_OBJ, 6, -1);
    acl_add(&acl, ACL_USER, 7, id);
    acl_add(&acl, ACL_GROUP_OBJ, 4, -1);
    acl_add(&acl, ACL_MASK, mask, -1);
    acl_add(&acl, ACL_OTHER, 0, -1);
    return acl;
}

static bool host_has_acls(Test *t)
{
    Acl acl = acl_of(1, 7);

    if (setxattr(t->dir, ACL_ACCESS, acl.data, acl.size, 0) < 0) {
        g_test_skip("no POSIX ACLs on this file system");
        return false;
    }
    removexattr(t->dir, ACL_ACCESS);
    g_assert_cmpint(chmod(t->dir, 0755), ==, 0);
    return true;
}

/* The host's name of the guest's ACL */
static char *host_acl(Test *t, const char *name)
{
    return g_strconcat(has(t, HAS_VIEW) ? "user.virtfs." : "", name, NULL);
}

static void test_acl(Test *t)
{
    Acl acl = acl_of(1000, 5);
    Acl minimal = { .size = 0 };
    g_autofree char *access = host_acl(t, ACL_ACCESS);
    g_autofree char *path = NULL;

    if (has(t, HAS_VIEW) ? !host_has_xattrs(t) : !host_has_acls(t)) {
        return;
    }
    make_file(t, ROOT, "f", "");
    path = host_path(t, "f");
    ok(walk(t, ROOT, 1, "f"));
    no_value(t, 1, ACL_ACCESS);
    ok(put_xattr(t, 1, ACL_ACCESS, acl.data, acl.size, 0));
    value_is(t, 1, ACL_ACCESS, acl.data, acl.size);
    host_value_is(t, "f", access, acl.data, acl.size);
    g_assert_true(lists_xattr(t, 1, ACL_ACCESS));
    g_assert_false(lists_xattr(t, 1, "user.virtfs." ACL_ACCESS));
    if (has(t, HAS_VIEW)) {
        g_assert_cmpint(getxattr(path, ACL_ACCESS, NULL, 0), ==, -1);
    }
    /* The mode's group bits are the mask now, and a chmod sets the mask. */
    g_assert_cmphex(attr_of(t, "f").mode, ==, S_IFREG | 0650);
    host_mode_is(t, "f", S_IFREG | 0650);
    ok(set_mode(t, 1, 0620));
    acl = acl_of(1000, 2);
    value_is(t, 1, ACL_ACCESS, acl.data, acl.size);

    /* An ACL that equals a mode is stored as the mode only. */
    acl_add(&minimal, ACL_USER_OBJ, 7, -1);
    acl_add(&minimal, ACL_GROUP_OBJ, 1, -1);
    acl_add(&minimal, ACL_OTHER, 1, -1);
    ok(put_xattr(t, 1, ACL_ACCESS, minimal.data, minimal.size, 0));
    g_assert_cmphex(attr_of(t, "f").mode, ==, S_IFREG | 0711);
    no_value(t, 1, ACL_ACCESS);

    /* Invalid ACLs change nothing; then the ACL is removed. */
    acl = acl_of(1000, 7);
    ok(put_xattr(t, 1, ACL_ACCESS, acl.data, acl.size, 0));
    fails(put_xattr(t, 1, ACL_ACCESS, acl.data, acl.size - 8, 0), EINVAL);
    fails(put_xattr(t, 1, ACL_ACCESS, acl.data, acl.size - 1, 0), EINVAL);
    value_is(t, 1, ACL_ACCESS, acl.data, acl.size);
    ok(put_xattr(t, 1, ACL_ACCESS, NULL, 0, XATTR_REPLACE));
    no_value(t, 1, ACL_ACCESS);
    g_assert_false(lists_xattr(t, 1, ACL_ACCESS));
    g_assert_cmphex(attr_of(t, "f").mode, ==, S_IFREG | 0670);
}

/* A file made in a directory with a default ACL inherits it. */
static void test_acl_default(Test *t)
{
    Acl acl = acl_of(1000, 7);
    Acl inherited = acl;
    g_autofree char *name = host_acl(t, ACL_DEFAULT);

    if (has(t, HAS_VIEW) ? !host_has_xattrs(t) : !host_has_acls(t)) {
        return;
    }
    ok(make_dir(t, ROOT, "d", 0755));
    make_file(t, ROOT, "f", "");
    ok(walk(t, ROOT, 1, "d"));
    ok(walk(t, ROOT, 2, "f"));
    fails(put_xattr(t, 2, ACL_DEFAULT, acl.data, acl.size, 0), EACCES);
    ok(put_xattr(t, 1, ACL_DEFAULT, acl.data, acl.size, 0));
    value_is(t, 1, ACL_DEFAULT, acl.data, acl.size);
    host_value_is(t, "d", name, acl.data, acl.size);
    g_assert_true(lists_xattr(t, 1, ACL_DEFAULT));
    g_assert_cmphex(attr_of(t, "d").mode, ==, S_IFDIR | 0755);

    ok(make_dir(t, 1, "below", 0777));
    ok(walk(t, 1, 3, "below"));
    value_is(t, 3, ACL_DEFAULT, acl.data, acl.size);
    value_is(t, 3, ACL_ACCESS, acl.data, acl.size);
    g_assert_cmphex(attr_of(t, "d/below").mode, ==, S_IFDIR | 0670);
    ok(walk(t, 1, 4, ""));
    ok(create(t, 4, "file", P9C_O_RDWR | P9C_O_EXCL, 0644));
    no_value(t, 4, ACL_DEFAULT);
    /* USER_OBJ 6, MASK 7 & 4, OTHER 0 */
    inherited = acl_of(1000, 4);
    value_is(t, 4, ACL_ACCESS, inherited.data, inherited.size);
    g_assert_cmphex(attr_of(t, "d/file").mode, ==, S_IFREG | 0640);
    host_mode_is(t, "d/file", S_IFREG | 0640);
    ok(put_xattr(t, 1, ACL_DEFAULT, NULL, 0, XATTR_REPLACE));
    no_value(t, 1, ACL_DEFAULT);
}

/* The guest cannot use the names under which a mapped model stores its view. */
static void test_xattr_hidden(Test *t)
{
    static const char *const names[] = {
        "user.virtfs.uid", "user.virtfs.gid", "user.virtfs.mode",
        "user.virtfs.rdev", "user.virtfs.system.posix_acl_access",
        "user.virtfs.anything",
    };
    HostView before, after;
    int i;

    if (!host_has_xattrs(t)) {
        return;
    }
    make_file(t, ROOT, "f", "");
    ok(walk(t, ROOT, 1, "f"));
    ok(set_mode(t, 1, 0604));
    before = host_view(t, "f");
    for (i = 0; i < ARRAY_SIZE(names); i++) {
        g_assert_false(lists_xattr(t, 1, names[i]));
        fails(p9c_xattrwalk(t->c, 1, 999, names[i], NULL), EOPNOTSUPP);
        fails(put_xattr(t, 1, names[i], "\0\0\0", 4, 0), EOPNOTSUPP);
        fails(put_xattr(t, 1, names[i], NULL, 0, XATTR_REPLACE), EOPNOTSUPP);
        g_assert_false(lists_xattr(t, 1, names[i]));
    }
    after = host_view(t, "f");
    g_assert_cmpmem(&before, sizeof(before), &after, sizeof(after));
    g_assert_cmphex(attr_of(t, "f").mode, ==, S_IFREG | 0604);
    /* The guest can use a name that only begins alike. */
    ok(put_xattr(t, 1, "user.virtfsx", "x", 1, 0));
    g_assert_true(lists_xattr(t, 1, "user.virtfsx"));
}

const Case behaviour_xattr[] = {
    { "xattr", test_xattr, HAS_HOST | HAS_XATTRS },
    { "xattr-refused", test_xattr_refused, HAS_HOST | HAS_XATTRS },
    { "xattr-sizes", test_xattr_sizes, HAS_HOST | HAS_XATTRS | HAS_HANDLES },
    { "xattr-many", test_xattr_many, HAS_HOST | HAS_XATTRS, CASE_ANYBODY },
    { "xattr-hidden", test_xattr_hidden, HAS_VIEW | HAS_XATTRS, CASE_SHORT },
    { "acl", test_acl, HAS_ACLS },
    { "acl-default", test_acl_default, HAS_ACLS },
    { "max-xattr", test_max_xattr, HAS_HOST | HAS_XATTRS,
      CASE_ANYBODY, ",max_xattr=4" },
    { NULL }
};
