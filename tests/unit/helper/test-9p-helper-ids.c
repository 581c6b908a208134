/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Tests of virtfs-proxy-helper: squashing and translation of ids, by the real
 * program over a real socket, in both versions of the protocol.
 */
#include "qemu/osdep.h"
#include "proxy-calls.h"
#include "proxy-client-v1.h"
#include "fsdev/shared/acl.h"
#include <sys/socket.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>

/* A uid without a name and without subordinate ids */
#define LONELY_UID      54321

static bool skip_unless_root(void)
{
    if (geteuid() != 0) {
        g_test_skip("requires root");
        return true;
    }
    return false;
}

/* Starts a helper with @options, if root runs the test. */
static bool begin(ProxyFixture *f, gconstpointer options)
{
    bool skip = skip_unless_root();

    f->c = pc_open(f->dir, skip ? NULL : options);
    return !skip;
}

static void expect_owner(const ProxyFixture *f, const char *name, uint32_t uid,
                         uint32_t gid)
{
    struct stat st;

    pf_stat(f, name, &st);
    g_assert_cmpuint(st.st_uid, ==, uid);
    g_assert_cmpuint(st.st_gid, ==, gid);
}

static void host_chown(const ProxyFixture *f, const char *name, uint32_t uid,
                       uint32_t gid)
{
    g_autofree char *path = g_build_filename(f->dir, name, NULL);

    g_assert_cmpint(lchown(path, uid, gid), ==, 0);
}

/* What the guest sees of @name, by a walk and by GETATTR */
static void expect_seen(ProxyFixture *f, const char *name, uint32_t uid,
                        uint32_t gid)
{
    FsAttr walked, got;
    PcNode node;

    g_assert_cmpint(pc_walk(f->c, name, &node, &walked), ==, 0);
    if (node.fd >= 0) {
        close(node.fd);
    }
    g_assert_cmpuint(walked.uid, ==, uid);
    g_assert_cmpuint(walked.gid, ==, gid);
    g_assert_cmpint(call_handle(f->c, PROXY_GETATTR, node.handle), ==, 0);
    proxy_get_attr(&f->c->in, &got);
    g_assert_cmpuint(got.uid, ==, uid);
    g_assert_cmpuint(got.gid, ==, gid);
}

/* Makes @name with the mode's type as user and group @id: 0 or -errno. */
static int make(ProxyFixture *f, const char *name, uint32_t mode, uint32_t id)
{
    PcArgs args = {
        .handle = PROXY_ROOT_HANDLE, .name = name, .mode = mode, .id = id,
        .flags = O_WRONLY | O_EXCL, .other_name = "target",
    };
    unsigned type = S_ISREG(mode) ? PROXY_CREATE : PROXY_MAKE;
    FsAttr attr;
    unsigned i;
    int ret;

    pc_put_request(f->c, type, &args);
    ret = pc_call(f->c, type);
    if (ret == 0) {
        proxy_get_attr(&f->c->in, &attr);
        for (i = 0; i < f->c->nfds; i++) {
            close(f->c->fds[i]);
        }
        /* The reply has what GETATTR has. */
        expect_seen(f, name, attr.uid, attr.gid);
    } else {
        g_assert_false(pf_exists(f, name));
    }
    return ret;
}

static const uint32_t types[] = {
    S_IFREG | 0644, S_IFDIR | 0755, S_IFIFO | 0644, S_IFSOCK | 0644,
    S_IFLNK | 0777, S_IFCHR | 0600,
};

/* Makes an object of each type as @id, which is @uid and @gid on the host. */
static void expect_made(ProxyFixture *f, uint32_t id, uint32_t uid,
                        uint32_t gid, uint32_t seen_uid, uint32_t seen_gid)
{
    unsigned i;

    for (i = 0; i < G_N_ELEMENTS(types); i++) {
        g_autofree char *name = g_strdup_printf("new-%u-%u", id, i);

        g_assert_cmpint(make(f, name, types[i], id), ==, 0);
        expect_owner(f, name, uid, gid);
        expect_seen(f, name, seen_uid, seen_gid);
    }
}

static void expect_refused(ProxyFixture *f, uint32_t id)
{
    unsigned i;

    for (i = 0; i < G_N_ELEMENTS(types); i++) {
        g_assert_cmpint(make(f, "refused", types[i], id), ==, -EINVAL);
    }
}

static int change_owner(ProxyFixture *f, const char *name, uint32_t uid,
                        uint32_t gid)
{
    FsSetAttr set = {
        .valid = (uid != UINT32_MAX ? FS_SET_UID : 0) |
                 (gid != UINT32_MAX ? FS_SET_GID : 0),
        .uid = uid, .gid = gid,
    };

    return call_setattr(f->c, node_of(f, name), &set);
}

static void test_both_ways(ProxyFixture *f, gconstpointer options)
{
    ProxyClient *c;

    if (!begin(f, options)) {
        return;
    }
    c = f->c;
    g_assert_cmpuint(c->root_attr.uid, ==, 65534);
    g_assert_cmpuint(c->n_uid, ==, 2);
    g_assert_cmpuint(c->uid_map[0].inside, ==, 0);
    g_assert_cmpuint(c->uid_map[0].outside, ==, 100000);
    g_assert_cmpuint(c->uid_map[0].count, ==, 1000);
    g_assert_cmpuint(c->uid_map[1].inside, ==, 5000);
    g_assert_cmpuint(c->uid_map[1].outside, ==, 200000);
    g_assert_cmpuint(c->n_gid, ==, 1);
    g_assert_cmpuint(c->gid_map[0].outside, ==, 110000);

    expect_made(f, 5, 100005, 110005, 5, 5);
    expect_refused(f, 1000);
    expect_refused(f, 65534);
    expect_refused(f, UINT32_MAX);

    g_assert_cmpint(change_owner(f, "file", 7, 8), ==, 0);
    expect_owner(f, "file", 100007, 110008);
    expect_seen(f, "file", 7, 8);
    g_assert_cmpint(change_owner(f, "file", UINT32_MAX, 9), ==, 0);
    expect_owner(f, "file", 100007, 110009);
    g_assert_cmpint(change_owner(f, "file", 5000, 8), ==, -EINVAL);
    g_assert_cmpint(change_owner(f, "file", 7, 2000), ==, -EINVAL);
    expect_owner(f, "file", 100007, 110009);

    /* One way each */
    g_assert_cmpint(change_owner(f, "file", 6000, UINT32_MAX), ==, 0);
    expect_owner(f, "file", 300000, 110009);
    expect_seen(f, "file", 65534, 9);
    host_chown(f, "file", 200000, 0);
    expect_seen(f, "file", 5000, 65534);
    host_chown(f, "file", 0, 111000);
    expect_seen(f, "file", 65534, 65534);
}

static void test_squash_root(ProxyFixture *f, gconstpointer options)
{
    if (!begin(f, options)) {
        return;
    }
    g_assert_cmpuint(f->c->n_uid, ==, 0);
    g_assert_cmpuint(f->c->n_gid, ==, 0);
    g_assert_cmpuint(f->c->root_attr.uid, ==, 0);
    expect_made(f, 0, 65534, 4321, 65534, 4321);
    expect_made(f, 1, 1, 1, 1, 1);
    g_assert_cmpint(change_owner(f, "file", 0, 0), ==, 0);
    expect_seen(f, "file", 65534, 4321);
    host_chown(f, "file", 0, 0);
    expect_seen(f, "file", 0, 0);
}

static void test_squash_all(ProxyFixture *f, gconstpointer options)
{
    if (!begin(f, options)) {
        return;
    }
    expect_made(f, 0, 1234, 65534, 1234, 65534);
    expect_made(f, 77, 1234, 65534, 1234, 65534);
    g_assert_cmpint(change_owner(f, "file", 5, 5), ==, 0);
    expect_owner(f, "file", 1234, 65534);
}

/* Root is squashed, others are translated, and the guest sees them so. */
static void test_squash_translate(ProxyFixture *f, gconstpointer options)
{
    if (!begin(f, options)) {
        return;
    }
    expect_made(f, 0, 500, 65534, 0, 65534);
    expect_made(f, 5, 505, 5, 5, 5);
    expect_refused(f, 10);
    host_chown(f, "file", 9, 9);
    expect_seen(f, "file", 65534, 9);
}

/*
 * ACLs
 */

#define ENTRY(tag, perm, id) \
    (tag), 0, (perm), 0, (id) & 255, (id) >> 8 & 255, (id) >> 16 & 255, \
    (id) >> 24 & 255

static void fill_acl(uint8_t acl[60], uint32_t uid, uint32_t gid)
{
    const uint8_t bytes[60] = {
        2, 0, 0, 0,
        ENTRY(0x01, 7, UINT32_MAX), ENTRY(0x02, 7, uid),
        ENTRY(0x02, 5, uid + 1), ENTRY(0x04, 5, UINT32_MAX),
        ENTRY(0x08, 7, gid), ENTRY(0x10, 7, UINT32_MAX),
        ENTRY(0x20, 5, UINT32_MAX),
    };

    memcpy(acl, bytes, sizeof(bytes));
}

static void expect_host_acl(ProxyFixture *f, const char *name,
                            const char *xattr, uint32_t uid, uint32_t gid)
{
    g_autofree char *path = g_build_filename(f->dir, name, NULL);
    uint8_t want[60], got[100];
    ssize_t len = getxattr(path, xattr, got, sizeof(got));

    fill_acl(want, uid, gid);
    g_assert_cmpint(len, ==, sizeof(want));
    g_assert_cmpmem(got, len, want, sizeof(want));
}

static void expect_guest_acl(ProxyFixture *f, const char *name,
                             const char *xattr, uint32_t uid, uint32_t uid1,
                             uint32_t gid)
{
    uint8_t want[60];
    uint32_t len;

    fill_acl(want, uid, gid);
    want[24] = uid1;
    want[25] = uid1 >> 8;
    want[26] = uid1 >> 16;
    g_assert_cmpint(call_getxattr(f->c, node_of(f, name), false, xattr), ==,
                    0);
    len = marshal_get_u32(&f->c->in);
    g_assert_cmpmem(marshal_get_bytes(&f->c->in, len), len, want,
                    sizeof(want));
}

static void test_acl(ProxyFixture *f, gconstpointer options)
{
    static const char *const names[] = { FS_ACL_ACCESS, FS_ACL_DEFAULT };
    g_autofree char *path = g_build_filename(f->dir, "dir", NULL);
    uint8_t acl[60];
    unsigned i;

    if (!begin(f, options)) {
        return;
    }
    fill_acl(acl, 1, 1);
    if (setxattr(path, FS_ACL_DEFAULT, acl, sizeof(acl), 0) < 0) {
        g_test_skip("no ACLs in the temporary directory");
        return;
    }
    for (i = 0; i < G_N_ELEMENTS(names); i++) {
        fill_acl(acl, 5, 6);
        g_assert_cmpint(call_setxattr(f->c, node_of(f, "dir"), names[i], 0,
                                      acl, sizeof(acl)), ==, 0);
        expect_host_acl(f, "dir", names[i], 100005, 110006);
        expect_guest_acl(f, "dir", names[i], 5, 6, 6);

        fill_acl(acl, 999, 6);          /* and 1000 */
        g_assert_cmpint(call_setxattr(f->c, node_of(f, "dir"), names[i], 0,
                                      acl, sizeof(acl)), ==, -EINVAL);
        fill_acl(acl, 5, 1000);
        g_assert_cmpint(call_setxattr(f->c, node_of(f, "dir"), names[i], 0,
                                      acl, sizeof(acl)), ==, -EINVAL);
        expect_host_acl(f, "dir", names[i], 100005, 110006);

        fill_acl(acl, 100999, 5);
        g_assert_cmpint(setxattr(path, names[i], acl, sizeof(acl), 0), ==, 0);
        expect_guest_acl(f, "dir", names[i], 999, 65534, 65534);
    }
    /* A new file inherits entries, whose ids are the host's already. */
    fill_acl(acl, 5, 6);
    g_assert_cmpint(call_setxattr(f->c, node_of(f, "dir"), FS_ACL_DEFAULT, 0,
                                  acl, sizeof(acl)), ==, 0);
    pc_put_request(f->c, PROXY_MAKE, &(PcArgs) {
        .handle = node_of(f, "dir"), .name = "new", .mode = S_IFIFO | 0777,
        .id = 3, .other_name = "" });
    g_assert_cmpint(pc_call(f->c, PROXY_MAKE), ==, 0);
    expect_host_acl(f, "dir/new", FS_ACL_ACCESS, 100005, 110006);
    expect_guest_acl(f, "dir/new", FS_ACL_ACCESS, 5, 6, 6);

    /* Other values stay as they are. */
    g_assert_cmpint(call_setxattr(f->c, node_of(f, "dir"), "user.x", 0, acl,
                                  sizeof(acl)), ==, 0);
    expect_host_acl(f, "dir", "user.x", 5, 6);
    expect_guest_acl(f, "dir", "user.x", 5, 6, 6);
}

/* The guest's name is another one than the host's, which the value is for. */
static void test_acl_renamed(ProxyFixture *f, gconstpointer options)
{
    uint8_t acl[60];

    if (!begin(f, options)) {
        return;
    }
    fill_acl(acl, 5, 6);
    g_assert_cmpint(call_setxattr(f->c, node_of(f, "dir"), FS_ACL_ACCESS, 0,
                                  acl, sizeof(acl)), ==, 0);
    expect_host_acl(f, "dir", "user.acl." FS_ACL_ACCESS, 5, 6);
    expect_guest_acl(f, "dir", FS_ACL_ACCESS, 5, 6, 6);
}

/*
 * A user namespace
 */

/* An ordinary user's helper: the host's ids are those outside. */
static void test_rootless(ProxyFixture *f, gconstpointer unused)
{
    uid_t uid = geteuid() ?: LONELY_UID;
    gid_t gid = geteuid() ? getegid() : LONELY_UID;
    g_autofree char *anon_uid = g_strdup_printf("--anon-uid=%u", uid);
    g_autofree char *anon_gid = g_strdup_printf("--anon-gid=%u", gid);
    const char *options[] = {
        "--squash=all", anon_uid, anon_gid, "--special-files=mapped", NULL,
    };
    unsigned i;

    host_chown(f, "", uid, gid);
    host_chown(f, "../", uid, gid);
    host_chown(f, "file", uid, gid);
    f->c = pc_start(f->dir, geteuid() ? PC_NOBODY : uid, options);
    pc_hello(f->c, 0);
    g_assert_cmpuint(f->c->root_attr.uid, ==, uid);
    for (i = 0; i < f->c->n_uid && f->c->uid_map[i].outside != uid; i++) {
        /* the next */
    }
    g_assert_cmpuint(i, <, f->c->n_uid);
    g_assert_cmpuint(f->c->uid_map[i].inside, ==, uid);

    expect_made(f, 0, uid, gid, uid, gid);
    expect_made(f, 4242, uid, gid, uid, gid);
    g_assert_cmpint(change_owner(f, "file", 5, 5), ==, 0);
    expect_owner(f, "file", uid, gid);
    if (geteuid() == 0) {
        host_chown(f, "file", 0, 0);
        expect_seen(f, "file", 65534, 65534);
    }
}

/*
 * Version 1
 */

static int call_1(ProxyClientV1 *p, uint32_t type, P1Args args)
{
    p1_put_request(p, type, &args);
    return p1_call(p, type);
}

static void expect_seen_1(ProxyClientV1 *p, const char *path, uint32_t uid,
                          uint32_t gid)
{
    g_assert_cmpint(call_1(p, PROXY_V1_LSTAT, (P1Args) { .path = path }), ==,
                    0);
    marshal_get_u64(&p->r);
    marshal_get_u64(&p->r);
    marshal_get_u64(&p->r);
    marshal_get_u32(&p->r);
    g_assert_cmpuint(marshal_get_u32(&p->r), ==, uid);
    g_assert_cmpuint(marshal_get_u32(&p->r), ==, gid);
}

static void test_v1(ProxyFixture *f, gconstpointer options)
{
    g_autofree ProxyClientV1 *p = g_new0(ProxyClientV1, 1);
    int fd;

    if (!HELPER_HAS_V1 || skip_unless_root()) {
        f->c = pc_open(f->dir, NULL);
        return;
    }
    p->c = f->c = pc_start(f->dir, PC_NOBODY, options);
    g_assert_cmpint(call_1(p, PROXY_V1_MKDIR, (P1Args) {
        .path = "//new", .mode = 0755, .id = 5 }), ==, 0);
    expect_owner(f, "new", 100005, 110005);
    expect_seen_1(p, "//new", 5, 5);
    g_assert_cmpint(call_1(p, PROXY_V1_MKNOD, (P1Args) {
        .path = "//fifo", .mode = S_IFIFO | 0644, .id = 1000 }), ==, -EINVAL);
    g_assert_false(pf_exists(f, "fifo"));
    fd = call_1(p, PROXY_V1_CREATE, (P1Args) {
        .path = "//new/file", .mode = 0644, .id = 6, .flags = O_WRONLY });
    g_assert_cmpint(fd, >=, 0);
    close(fd);
    expect_owner(f, "new/file", 100006, 110006);
    g_assert_cmpint(call_1(p, PROXY_V1_CHOWN, (P1Args) {
        .path = "//file", .id = 7 }), ==, 0);
    expect_owner(f, "file", 100007, 110007);
    g_assert_cmpint(call_1(p, PROXY_V1_CHOWN, (P1Args) {
        .path = "//file", .id = 1000 }), ==, -EINVAL);
    host_chown(f, "file", 0, 0);
    expect_seen_1(p, "//file", 65534, 65534);
}

/* Without a group, an object gets that of a set-group-id directory. */
static void test_v1_no_group(ProxyFixture *f, gconstpointer options)
{
    g_autofree ProxyClientV1 *p = g_new0(ProxyClientV1, 1);
    g_autofree char *path = g_build_filename(f->dir, "dir", NULL);
    MarshalWriter *w;

    if (!HELPER_HAS_V1 || skip_unless_root()) {
        f->c = pc_open(f->dir, NULL);
        return;
    }
    p->c = f->c = pc_start(f->dir, PC_NOBODY, options);
    host_chown(f, "dir", 0, 77);
    g_assert_cmpint(chmod(path, 02755), ==, 0);
    w = p1_begin(p);
    marshal_put_u32(w, 5);
    marshal_put_u32(w, UINT32_MAX);
    marshal_put_str(w, "//dir/new");
    marshal_put_u32(w, 0755);
    g_assert_cmpint(p1_call(p, PROXY_V1_MKDIR), ==, 0);
    expect_owner(f, "dir/new", 100005, 77);
    w = p1_begin(p);
    marshal_put_u32(w, 5);
    marshal_put_u32(w, UINT32_MAX);
    marshal_put_str(w, "//new");
    marshal_put_u32(w, 0755);
    g_assert_cmpint(p1_call(p, PROXY_V1_MKDIR), ==, 0);
    expect_owner(f, "new", 100005, 110000);
}

/*
 * Messages
 */

/* One line names the id that has no place. */
static void test_log(ProxyFixture *f, gconstpointer unused)
{
    g_autofree char *range = g_strdup_printf("--translate-gid=0:%u:1",
                                             getegid());
    const char *args[] = {
        "-n", "-f", G_STRINGIFY(PC_SOCK_FD), "-p", f->dir, range, NULL,
    };
    int sock[2], output[2];
    char text[1024] = "";
    size_t len = 0;
    ssize_t n;

    g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sock),
                    ==, 0);
    g_assert_cmpint(pipe2(output, O_CLOEXEC), ==, 0);
    f->c = pc_new(sock[0], pc_spawn(args, PC_NOBODY, sock[1], output[1]));
    close(sock[1]);
    close(output[1]);
    pc_hello(f->c, 0);
    g_assert_cmpint(change_owner(f, "file", UINT32_MAX, 4711), ==, -EINVAL);
    g_assert_cmpint(pc_close(f->c), ==, 0);
    while ((n = read(output[0], text + len, sizeof(text) - 1 - len)) > 0) {
        len += n;
    }
    close(output[0]);
    g_assert_nonnull(strstr(text, "the guest's group id 4711 has no place on "
                            "the host (--translate-gid)"));
    f->c = pc_open(f->dir, NULL);
}

static void test_bad_options(ProxyFixture *f, gconstpointer unused)
{
    static const struct {
        const char *options[3];
        const char *error;
    } bad[] = {
        { { "--squash=x" }, "--squash x: not one of root, all" },
        { { "--anon-uid=5" }, "--anon-uid and --anon-gid: only with" },
        { { "--translate-uid=0:1:1", "--anon-gid=5" },
          "--anon-uid and --anon-gid: only with --squash" },
        { { "--squash=all", "--anon-uid=no such" },
          "--anon-uid no such: no such user" },
        { { "--translate-uid=0:1" }, "--translate-uid 0:1: '0:1' is not "
          "GUEST:HOST:COUNT" },
        { { "--translate-gid=0:10:5", "--translate-gid=to-host:4:3:1" },
          "--translate-gid to-host:4:3:1: 'to-host:4:3:1' overlaps" },
        { { "--squash=all", "--uid-map=0:1000000:10" },
          "--uid-map: not with --squash or --translate-uid" },
        { { "--translate-uid=0:1:1", "--gid-map=0:1000000:10" },
          "--gid-map: not with --squash" },
    };
    unsigned i;

    for (i = 0; i < G_N_ELEMENTS(bad); i++) {
        pf_refuses(f, bad[i].options, bad[i].error);
    }
    f->c = pc_open(f->dir, NULL);
}

/* The anonymous user must be one that the helper's namespace has. */
static void test_bad_rootless(ProxyFixture *f, gconstpointer unused)
{
    const char *args[] = {
        "-n", "-f", G_STRINGIFY(PC_SOCK_FD), "-p", f->dir, "--squash=all",
        NULL,
    };
    g_autofree char *text = NULL;
    int sock[2];

    if (!skip_unless_root()) {
        host_chown(f, "../", LONELY_UID, LONELY_UID);
        g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0,
                                   sock), ==, 0);
        g_assert_cmpint(pc_run(args, LONELY_UID, sock[1], &text), ==,
                        EXIT_FAILURE);
        close(sock[0]);
        close(sock[1]);
        g_assert_nonnull(strstr(text, "the host's user id 65534 is not in the "
                                "helper's user namespace; name another with "
                                "--anon-uid"));
    }
    f->c = pc_open(f->dir, NULL);
}

#define TRANSLATE \
    "--translate-uid=0:100000:1000,to-guest:5000:200000:1", \
    "--translate-uid=to-host:6000:300000:1", \
    "--translate-gid=0:110000:1000"

int main(int argc, char **argv)
{
    static const char *const translate[] = {
        TRANSLATE, "--modcaps=+mknod", NULL
    };
    static const char *const mapped[] = {
        TRANSLATE, "--special-files=mapped", NULL
    };
    static const char *const renamed[] = {
        TRANSLATE, "--xattr-map=:prefix:all:system.:user.acl.:", NULL
    };
    static const char *const squash_root[] = {
        "--squash=root", "--anon-gid=4321", "--modcaps=+mknod", NULL
    };
    static const char *const squash_all[] = {
        "--anon-uid=1234", "--squash=all", "--modcaps=+mknod", NULL
    };
    static const char *const both[] = {
        "--squash=root", "--anon-uid=500", "--translate-uid=0:500:10",
        "--modcaps=+mknod", NULL
    };

    pf_init(&argc, &argv, "/9p/helper/ids");
    pf_add_made("both-ways", translate, test_both_ways);
    pf_add_made("both-ways/mapped", mapped, test_both_ways);
    pf_add_made("squash/root", squash_root, test_squash_root);
    pf_add_made("squash/all", squash_all, test_squash_all);
    pf_add_made("squash/translate", both, test_squash_translate);
    pf_add_made("acl", translate, test_acl);
    pf_add_made("acl/renamed", renamed, test_acl_renamed);
    pf_add_made("rootless", NULL, test_rootless);
    pf_add_made("rootless/bad", NULL, test_bad_rootless);
    pf_add_made("v1", translate, test_v1);
    pf_add_made("v1/no-group", translate, test_v1_no_group);
    pf_add_made("log", NULL, test_log);
    pf_add_made("bad-options", NULL, test_bad_options);
    return g_test_run();
}
