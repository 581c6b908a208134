/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Which extended attributes virtfs-proxy-helper serves: the real program over a
 * real socket, in both versions of the protocol. A client that QEMU does not
 * restrain gets, sets, lists and removes names of each kind.
 */
#include "qemu/osdep.h"
#include "proxy-calls.h"
#include "proxy-client-v1.h"
#include <linux/capability.h>
#include <sys/xattr.h>

#define VALUE   "ab"            /* as p1_put_request() sets */

/* What a program gets that may change its user; root alone sets it. */
static const struct vfs_cap_data capability = {
    .magic_etc = GUINT32_TO_LE(VFS_CAP_REVISION_2 | VFS_CAP_FLAGS_EFFECTIVE),
    .data[0].permitted = GUINT32_TO_LE(1u << CAP_SETUID),
};

static const char *const refused[] = {
    "security.capability", "security.selinux", "security.x", "security.",
    "trusted.x", "trusted.overlay.opaque", "user.virtfs.x", "user.virtfs.",
    "user.virtfs.uid", "user.virtfs.system.posix_acl_access",
    "system.nfs4_acl", "system.posix_acl", "system.x", "other.x", "user.",
    "user", "User.x", "USER.virtfs.x", " user.x", ".",
};

/* File capabilities: refused[0], served by a helper with SETFCAP */
static bool serves_capability;

static const char *const served[] = {
    "user.x", "user.virtfs", "user.virtfsx", "user.security.capability",
};

/* One request on "file", in either version: 0 or more, or -errno */
typedef struct Version {
    int (*get)(ProxyFixture *f, const char *name);
    int (*set)(ProxyFixture *f, const char *name);
    int (*remove)(ProxyFixture *f, const char *name);
    /* Puts the list into @buf and returns its length. */
    size_t (*list)(ProxyFixture *f, char *buf, size_t size);
} Version;

static int get_2(ProxyFixture *f, const char *name)
{
    return call_getxattr(f->c, node_of(f, "file"), false, name);
}

static int set_2(ProxyFixture *f, const char *name)
{
    return call_setxattr(f->c, node_of(f, "file"), name, 0, VALUE, 2);
}

static int remove_2(ProxyFixture *f, const char *name)
{
    return call_removexattr(f->c, node_of(f, "file"), name);
}

static size_t list_2(ProxyFixture *f, char *buf, size_t size)
{
    uint32_t len;

    g_assert_cmpint(call_getxattr(f->c, node_of(f, "file"), true, ""), ==, 0);
    len = marshal_get_u32(&f->c->in);
    g_assert_cmpuint(len, <=, size);
    memcpy(buf, marshal_get_bytes(&f->c->in, len), len);
    g_assert_true(marshal_done(&f->c->in));
    return len;
}

static const Version version_2 = { get_2, set_2, remove_2, list_2 };

static int call_1(ProxyFixture *f, uint32_t type, const char *name,
                  uint64_t size, char *buf)
{
    g_autofree ProxyClientV1 *p = g_new0(ProxyClientV1, 1);
    P1Args args = { .path = "//file", .other = name, .size = size };
    int ret;

    p->c = f->c;
    p1_put_request(p, type, &args);
    ret = p1_call(p, type);
    if (buf && ret >= 0) {
        /* A value, even if it is as long as a status */
        ret = marshal_get_u16(&p->r);
        g_assert_cmpuint(ret, <=, size);
        memcpy(buf, marshal_get_bytes(&p->r, ret), ret);
        g_assert_true(marshal_done(&p->r));
    }
    return ret;
}

static int get_1(ProxyFixture *f, const char *name)
{
    int len = call_1(f, PROXY_V1_LGETXATTR, name, 0, NULL);
    char buf[64];

    if (len > 0) {
        g_assert_cmpint(call_1(f, PROXY_V1_LGETXATTR, name, 64, buf), ==, len);
    }
    return len;
}

static int set_1(ProxyFixture *f, const char *name)
{
    return call_1(f, PROXY_V1_LSETXATTR, name, 0, NULL);
}

static int remove_1(ProxyFixture *f, const char *name)
{
    return call_1(f, PROXY_V1_LREMOVEXATTR, name, 0, NULL);
}

/* The length that comes without the list must be the list's. */
static size_t list_1(ProxyFixture *f, char *buf, size_t size)
{
    int len = call_1(f, PROXY_V1_LLISTXATTR, NULL, 0, NULL);

    g_assert_cmpint(len, >=, 0);
    if (len == 0) {
        return 0;
    }
    g_assert_cmpint(call_1(f, PROXY_V1_LLISTXATTR, NULL, len - 1, buf), ==,
                    -ERANGE);
    g_assert_cmpint(call_1(f, PROXY_V1_LLISTXATTR, NULL, len, buf), ==, len);
    return len;
}

static const Version version_1 = { get_1, set_1, remove_1, list_1 };

/* Sets the attribute as the host; false if the host refuses. */
static bool host_set(const char *path, const char *name)
{
    bool caps = g_str_equal(name, "security.capability");

    return setxattr(path, name, caps ? (void *)&capability : "host",
                    caps ? XATTR_CAPS_SZ_2 : 4, 0) == 0;
}

static void test_refused(ProxyFixture *f, const Version *v, const char *path,
                         const char *name)
{
    bool there = host_set(path, name);
    char before[64], after[64];
    ssize_t len = getxattr(path, name, before, sizeof(before));

    g_assert_cmpint(len >= 0, ==, there);
    g_test_message("'%s'%s", name, there ? ", which the host has" : "");
    g_assert_cmpint(v->get(f, name), ==, -EOPNOTSUPP);
    g_assert_cmpint(v->set(f, name), ==, -EOPNOTSUPP);
    g_assert_cmpint(v->remove(f, name), ==, -EOPNOTSUPP);
    if (there) {
        g_assert_cmpint(getxattr(path, name, after, sizeof(after)), ==, len);
        g_assert_cmpmem(before, len, after, len);
    } else {
        g_assert_cmpint(getxattr(path, name, after, sizeof(after)), ==, -1);
    }
}

/* The helper gets and removes what the host has set, as root alone can. */
static void test_capability(ProxyFixture *f, const Version *v,
                            const char *path)
{
    bool there = host_set(path, refused[0]);
    char list[1024];

    g_assert_cmpint(there, ==, geteuid() == 0);
    if (there) {
        g_assert_cmpint(v->get(f, refused[0]), >=, 0);
        g_assert_cmpuint(v->list(f, list, sizeof(list)), >,
                         sizeof("security.capability"));
        g_assert_cmpint(v->remove(f, refused[0]), ==, 0);
    }
    g_assert_cmpint(v->get(f, refused[0]), ==, -ENODATA);
    /* The kernel looks at the value. */
    g_assert_cmpint(v->set(f, refused[0]), ==, -EINVAL);
    g_assert_cmpint(getxattr(path, refused[0], NULL, 0), ==, -1);
}

static void test_list(ProxyFixture *f, const Version *v)
{
    char list[1024];
    size_t len = v->list(f, list, sizeof(list));
    unsigned i, seen = 0;
    char *name;

    for (name = list; name < list + len; name += strlen(name) + 1) {
        g_test_message("listed: '%s'", name);
        for (i = 0; i < G_N_ELEMENTS(served); i++) {
            if (g_str_equal(name, served[i])) {
                break;
            }
        }
        g_assert_cmpuint(i, <, G_N_ELEMENTS(served));
        seen++;
    }
    g_assert_cmpuint(seen, ==, G_N_ELEMENTS(served));
}

static void test_names(ProxyFixture *f, const Version *v)
{
    g_autofree char *path = g_build_filename(f->dir, "file", NULL);
    g_autofree char *name = g_strnfill(256, 'x');
    unsigned i;

    if (setxattr(path, "user.x", "", 0, 0) < 0) {
        g_test_skip("no user.* xattrs in the temporary directory");
        return;
    }
    g_assert_cmpint(chown(path, -1, -1), ==, 0);
    for (i = serves_capability; i < G_N_ELEMENTS(refused); i++) {
        test_refused(f, v, path, refused[i]);
    }
    if (serves_capability) {
        test_capability(f, v, path);
    }
    for (i = 0; i < G_N_ELEMENTS(served); i++) {
        g_test_message("'%s'", served[i]);
        g_assert_cmpint(v->set(f, served[i]), ==, 0);
        g_assert_cmpint(v->get(f, served[i]), >=, 0);
    }
    test_list(f, v);
    for (i = 0; i < G_N_ELEMENTS(served); i++) {
        g_assert_cmpint(v->remove(f, served[i]), ==, 0);
        g_assert_cmpint(v->get(f, served[i]), ==, -ENODATA);
    }

    /* Longest and longer names */
    memcpy(name, "user.", 5);
    g_assert_cmpint(v->set(f, name), ==, -ERANGE);
    g_assert_cmpint(v->get(f, name), ==, -ERANGE);
    g_assert_cmpint(v->remove(f, name), ==, -ERANGE);
    name[255] = '\0';
    g_assert_cmpint(v->set(f, name), ==, 0);
    g_assert_cmpint(v->get(f, name), >=, 0);
    g_assert_cmpint(v->remove(f, name), ==, 0);
    memcpy(name, "securi", 6);
    g_assert_cmpint(v->set(f, name), ==, -EOPNOTSUPP);
    g_assert_cmpint(v->set(f, ""), ==, -ERANGE);
    g_assert_cmpint(v->get(f, ""), ==, -ERANGE);
    g_assert_cmpint(v->remove(f, ""), ==, -ERANGE);
}

/* Rules: what the host trusts is kept under names that it does not. */
static void test_mapped(ProxyFixture *f, const Version *v)
{
    static const char *const names[] = {
        "trusted.x", "trusted.overlay.opaque", "security.capability",
        "security.selinux",
    };
    g_autofree char *path = g_build_filename(f->dir, "file", NULL);
    char list[1024], value[8];
    size_t len;
    unsigned i;

    if (setxattr(path, "user.x", "", 0, 0) < 0) {
        g_test_skip("no user.* xattrs in the temporary directory");
        return;
    }
    for (i = 0; i < G_N_ELEMENTS(names); i++) {
        g_autofree char *kept = g_strconcat("user.virtiofs.", names[i], NULL);

        g_test_message("'%s'", names[i]);
        g_assert_cmpint(v->get(f, names[i]), ==, -ENODATA);
        g_assert_cmpint(v->set(f, names[i]), ==, 0);
        g_assert_cmpint(v->get(f, names[i]), >=, 0);
        g_assert_cmpint(getxattr(path, names[i], value, sizeof(value)), ==,
                        -1);
        g_assert_cmpint(getxattr(path, kept, value, sizeof(value)), ==, 2);
        g_assert_cmpmem(value, 2, VALUE, 2);
        g_assert_cmpint(v->get(f, kept), ==, -EOPNOTSUPP);
        g_assert_cmpint(v->set(f, kept), ==, -EOPNOTSUPP);
        g_assert_cmpint(v->remove(f, kept), ==, -EOPNOTSUPP);
    }
    g_assert_cmpint(v->set(f, "user.virtfs.mode"), ==, -EOPNOTSUPP);
    g_assert_cmpint(v->set(f, "system.x"), ==, -EOPNOTSUPP);
    len = v->list(f, list, sizeof(list));
    g_assert_cmpuint(len, ==, sizeof("user.x") + sizeof("trusted.x") +
                     sizeof("trusted.overlay.opaque") +
                     sizeof("security.capability") +
                     sizeof("security.selinux"));
    g_assert_nonnull(memmem(list, len, "trusted.overlay.opaque", 23));
    g_assert_null(memmem(list, len, "virtiofs", 8));
    for (i = 0; i < G_N_ELEMENTS(names); i++) {
        g_assert_cmpint(v->remove(f, names[i]), ==, 0);
    }
    g_assert_cmpint(listxattr(path, list, sizeof(list)), >=, 7);
    g_assert_null(memmem(list, sizeof(list), "virtiofs", 8));
}

static const char *const mapped[] = {
    "--xattr-map=:prefix:all:trusted.:user.virtiofs.:"
    ":prefix:all:security.:user.virtiofs.:", NULL
};

static void test_mapped_2(ProxyFixture *f, gconstpointer unused)
{
    test_mapped(f, &version_2);
}

static void test_mapped_1(ProxyFixture *f, gconstpointer options)
{
    if (!HELPER_HAS_V1) {
        g_test_skip("the helper has no protocol version 1");
        return;
    }
    f->c = pc_start(f->dir, PC_NOBODY, options);
    test_mapped(f, &version_1);
}

static const char *const usual[] = { NULL };
/* All capabilities that a user can give a helper */
static const char *const setfcap[] = { "--modcaps=+setfcap", NULL };

static void test_version_2(ProxyFixture *f, gconstpointer options)
{
    serves_capability = options == setfcap;
    test_names(f, &version_2);
}

static void test_version_1(ProxyFixture *f, gconstpointer options)
{
    if (!HELPER_HAS_V1) {
        g_test_skip("the helper has no protocol version 1");
        return;
    }
    serves_capability = options == setfcap;
    f->c = pc_start(f->dir, PC_NOBODY, options);
    test_names(f, &version_1);
}

int main(int argc, char **argv)
{
    pf_init(&argc, &argv, "/9p/helper/xattr");
    pf_add("version-2", usual, test_version_2);
    pf_add("version-2/setfcap", setfcap, test_version_2);
    pf_add_made("version-1", usual, test_version_1);
    pf_add_made("version-1/setfcap", setfcap, test_version_1);
    pf_add("version-2/mapped", mapped, test_mapped_2);
    pf_add_made("version-1/mapped", mapped, test_mapped_1);
    return g_test_run();
}
