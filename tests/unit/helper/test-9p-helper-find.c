/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Tests of virtfs-proxy-helper with --file-handles: what a client finds by file
 * handles of the host (FIND), and what it does not find, whatever it sends.
 * Each test runs in each sandbox.
 */
#include "qemu/osdep.h"
#include <sched.h>
#include <sys/mount.h>
#include <sys/statvfs.h>
#include <glib/gstdio.h>
#include "fsdev/shared/file-handle.h"
#include "proxy-calls.h"

typedef struct file_handle FileHandle;

static const char *const in_namespace[] = { "--file-handles=on", NULL };
static const char *const in_chroot[] = {
    "--file-handles=on", "--sandbox=chroot", NULL,
};
static const char *const in_none[] = {
    "--file-handles=on", "--sandbox=none", NULL,
};
static const char *const readonly[] = {
    "--file-handles=on", "--readonly", NULL,
};

/* In the export */
static const char *const all_names[] = {
    "file", "dir", "dir/sub", "dir/sub/deep", "up", "root", "link",
};

/*
 * Client and host
 */

/* Sends @size bytes, of which the message has @sent. */
static int find_bytes(ProxyClient *c, int type, const void *bytes, size_t size,
                      size_t sent, PcNode *node, FsAttr *attr)
{
    MarshalWriter *w = pc_begin(c);
    unsigned next = 0;
    int ret;

    marshal_put_u32(w, type);
    marshal_put_u32(w, size);
    marshal_put_bytes(w, bytes, sent);
    ret = pc_call(c, PROXY_FIND);
    if (ret == 0) {
        proxy_get_attr(&c->in, attr);
        pc_get_node(c, node, &next);
        g_assert_true(marshal_done(&c->in));
        g_assert_cmpuint(c->nfds, ==, next);
    }
    return ret;
}

static int find(ProxyFixture *f, const FileHandle *fh, PcNode *node,
                FsAttr *attr)
{
    return find_bytes(f->c, fh->handle_type, fh->f_handle, fh->handle_bytes,
                      fh->handle_bytes, node, attr);
}

/* Finds @fh, which must be of the inode that @st is of; and forgets it. */
static void assert_found(ProxyFixture *f, const FileHandle *fh,
                         const struct stat *st)
{
    struct stat own;
    PcNode node;
    FsAttr attr;

    g_assert_cmpint(find(f, fh, &node, &attr), ==, 0);
    g_assert_cmpuint(attr.ino, ==, st->st_ino);
    g_assert_cmpuint(attr.dev, ==, st->st_dev);
    g_assert_cmpuint(attr.mode, ==, st->st_mode);
    g_assert_cmpint(node.fd, >=, 0);
    g_assert_true(fcntl(node.fd, F_GETFL) & O_PATH);
    g_assert_cmpint(fstat(node.fd, &own), ==, 0);
    g_assert_cmpuint(own.st_ino, ==, st->st_ino);
    close(node.fd);
    pc_forget(f->c, node.handle, 1);
}

static void assert_not_found(ProxyFixture *f, const FileHandle *fh)
{
    PcNode node;
    FsAttr attr;

    g_assert_cmpint(find(f, fh, &node, &attr), ==, -ESTALE);
}

/* The path of @name, which is relative to the export */
static char *path_of(const ProxyFixture *f, const char *name)
{
    return g_build_filename(f->dir, name, NULL);
}

static FileHandle *handle_at(const char *path, struct stat *st)
{
    int fd = open(path, O_PATH | O_NOFOLLOW | O_CLOEXEC);
    FileHandle *fh;

    g_assert_cmpint(fd, >=, 0);
    g_assert_cmpint(fstat(fd, st), ==, 0);
    fh = file_handle_get(fd, FILE_HANDLE_ANY_MOUNT);
    g_assert_nonnull(fh);
    close(fd);
    return fh;
}

static FileHandle *handle_of(const ProxyFixture *f, const char *name,
                             struct stat *st)
{
    g_autofree char *path = path_of(f, name);

    return handle_at(path, st);
}

static int open_host(const ProxyFixture *f, const char *name)
{
    g_autofree char *path = path_of(f, name);
    int fd = open(path, O_RDONLY | O_CLOEXEC);

    g_assert_cmpint(fd, >=, 0);
    return fd;
}

static void rename_host(const ProxyFixture *f, const char *from,
                        const char *to)
{
    g_autofree char *a = path_of(f, from);
    g_autofree char *b = path_of(f, to);

    g_assert_cmpint(rename(a, b), ==, 0);
}

static void unlink_host(const ProxyFixture *f, const char *name)
{
    g_autofree char *path = path_of(f, name);

    g_assert_cmpint(unlink(path), ==, 0);
}

/* Whether the helper must find files without a name */
static bool finds_nameless(gconstpointer options)
{
    return options != in_chroot;
}

/*
 * In the export
 */

static void test_found(ProxyFixture *f, gconstpointer unused)
{
    unsigned i;

    g_assert_true(f->c->features & PROXY_FEATURE_FIND);
    for (i = 0; i < G_N_ELEMENTS(all_names); i++) {
        struct stat st;
        g_autofree FileHandle *fh = handle_of(f, all_names[i], &st);

        assert_found(f, fh, &st);
        assert_found(f, fh, &st);
    }
}

/* A walk and a file handle lead to the same node, which works. */
static void test_same_node(ProxyFixture *f, gconstpointer unused)
{
    struct stat st;
    g_autofree FileHandle *fh = handle_of(f, "dir/sub/deep", &st);
    PcNode node, walked;
    char buf[8] = "";
    FsAttr attr;
    int fd;

    g_assert_cmpint(find(f, fh, &node, &attr), ==, 0);
    g_assert_cmpint(pc_walk(f->c, "dir/sub/deep", &walked, &attr), ==, 0);
    g_assert_cmpuint(walked.handle, ==, node.handle);
    g_assert_cmpint(walked.fd, ==, -1);
    g_assert_cmpint(call_open(f->c, node.handle, O_RDONLY, &fd), ==, 0);
    g_assert_cmpint(read(fd, buf, sizeof(buf)), ==, 4);
    g_assert_cmpstr(buf, ==, "deep");
    close(fd);
    close(node.fd);
}

/* Files and directories above them that the host renames */
static void test_renamed(ProxyFixture *f, gconstpointer unused)
{
    struct stat file, deep;
    g_autofree FileHandle *file_fh = handle_of(f, "file", &file);
    g_autofree FileHandle *deep_fh = handle_of(f, "dir/sub/deep", &deep);

    rename_host(f, "file", "dir/other");
    assert_found(f, file_fh, &file);
    rename_host(f, "dir", "renamed");
    assert_found(f, deep_fh, &deep);
    assert_found(f, file_fh, &file);
    /* Out of the export, and back */
    rename_host(f, "renamed", "../renamed");
    assert_not_found(f, deep_fh);
    assert_not_found(f, file_fh);
    rename_host(f, "../renamed", "back");
    assert_found(f, deep_fh, &deep);
    rename_host(f, "back/sub/deep", "../deep");
    assert_not_found(f, deep_fh);
}

/* A name like that of a removed file */
static void test_odd_name(ProxyFixture *f, gconstpointer unused)
{
    struct stat st;
    g_autofree FileHandle *fh = NULL;

    pf_put_file(f, "x (deleted)", "x");
    fh = handle_of(f, "x (deleted)", &st);
    assert_found(f, fh, &st);
}

static void test_nameless(ProxyFixture *f, gconstpointer options)
{
    static const char *const names[] = { "file", "dir/sub/deep" };
    unsigned i;

    for (i = 0; i < G_N_ELEMENTS(names); i++) {
        struct stat st;
        g_autofree FileHandle *fh = handle_of(f, names[i], &st);
        int fd = open_host(f, names[i]);

        unlink_host(f, names[i]);
        if (finds_nameless(options)) {
            assert_found(f, fh, &st);
        } else {
            assert_not_found(f, fh);
        }
        close(fd);
    }
}

/* Removed, and nobody has it open */
static void test_gone(ProxyFixture *f, gconstpointer unused)
{
    struct stat st;
    g_autofree FileHandle *file = handle_of(f, "file", &st);
    g_autofree FileHandle *dir = NULL;
    g_autofree char *path = path_of(f, "empty");

    pf_put_dir(f, "empty");
    dir = handle_of(f, "empty", &st);
    unlink_host(f, "file");
    g_assert_cmpint(rmdir(path), ==, 0);
    assert_not_found(f, file);
    assert_not_found(f, dir);
    /* Another file may have its number. */
    pf_put_file(f, "file", "new");
    assert_not_found(f, file);
}

/* Reopens a file without a name by its node, and the node holds it. */
static void test_nameless_kept(ProxyFixture *f, gconstpointer options)
{
    struct stat st;
    g_autofree FileHandle *fh = handle_of(f, "file", &st);
    int fd = open_host(f, "file");
    char buf[8] = "";
    PcNode node;
    FsAttr attr;

    unlink_host(f, "file");
    if (finds_nameless(options)) {
        g_assert_cmpint(find(f, fh, &node, &attr), ==, 0);
        close(fd);
        close(node.fd);
        g_assert_cmpint(call_open(f->c, node.handle, O_RDONLY, &fd), ==, 0);
        g_assert_cmpint(read(fd, buf, sizeof(buf)), ==, 5);
        g_assert_cmpstr(buf, ==, "hello");
    }
    close(fd);
}

/*
 * Outside
 */

static void test_outside(ProxyFixture *f, gconstpointer unused)
{
    static const char *const names[] = { "../secret", "..", "../.." };
    struct stat st;
    unsigned i;

    for (i = 0; i < G_N_ELEMENTS(names); i++) {
        g_autofree FileHandle *fh = handle_of(f, names[i], &st);

        assert_not_found(f, fh);
    }
    {
        g_autofree FileHandle *fh = handle_at("/etc/passwd", &st);
        g_autofree FileHandle *slash = handle_at("/", &st);

        assert_not_found(f, fh);
        assert_not_found(f, slash);
    }
    /* It has a name inside and one outside. */
    {
        g_autofree char *secret = path_of(f, "../secret");
        g_autofree char *link = path_of(f, "secret");
        g_autofree FileHandle *fh = handle_at(secret, &st);
        PcNode node;
        FsAttr attr;
        int ret;

        g_assert_cmpint(linkat(AT_FDCWD, secret, AT_FDCWD, link, 0), ==, 0);
        ret = find(f, fh, &node, &attr);
        g_assert_true(ret == 0 || ret == -ESTALE);
        if (ret == 0) {
            close(node.fd);
        }
        unlink_host(f, "secret");
        assert_not_found(f, fh);
    }
}

/* Makes directories of all these names in the export. */
static void make_path(const ProxyFixture *f, const char *path)
{
    g_autofree char *within = path_of(f, path);

    g_assert_cmpint(g_mkdir_with_parents(within, 0755), ==, 0);
}

/*
 * A file outside without a name, in a directory whose path the guest has made
 * in the export: the whole path, and all that may be one from the root of the
 * file system.
 */
static void test_outside_nameless(ProxyFixture *f, gconstpointer unused)
{
    g_autofree char *outside = g_build_filename(f->tmp, "outside", NULL);
    struct stat st;
    g_autofree FileHandle *fh = NULL;
    const char *at;
    int fd;

    g_assert_cmpint(g_mkdir(outside, 0755), ==, 0);
    pf_put_file(f, "../outside/f", "secret");
    for (at = outside; at; at = strchr(at + 1, '/')) {
        make_path(f, at);
    }
    fh = handle_of(f, "../outside/f", &st);
    assert_not_found(f, fh);
    fd = open_host(f, "../outside/f");
    unlink_host(f, "../outside/f");
    assert_not_found(f, fh);
    close(fd);

    /* It was in the export, and was moved before it was removed. */
    g_free(fh);
    fh = handle_of(f, "file", &st);
    fd = open_host(f, "file");
    rename_host(f, "file", "../outside/f");
    unlink_host(f, "../outside/f");
    assert_not_found(f, fh);
    close(fd);
}

/* The same as with a name: the directory is not the one that it was in. */
static void test_nameless_elsewhere(ProxyFixture *f, gconstpointer unused)
{
    struct stat st;
    g_autofree FileHandle *fh = handle_of(f, "dir/sub/deep", &st);
    int fd = open_host(f, "dir/sub/deep");

    unlink_host(f, "dir/sub/deep");
    rename_host(f, "dir/sub", "../sub");
    pf_put_dir(f, "dir/sub");
    assert_not_found(f, fh);
    close(fd);
}

/*
 * What lies below a mount point, and what is mounted there, since before the
 * helper started
 */
static void test_mounts(ProxyFixture *f, gconstpointer options)
{
    struct stat st;
    g_autofree FileHandle *deep = handle_of(f, "dir/sub/deep", &st);
    g_autofree FileHandle *nameless = NULL;
    g_autofree FileHandle *other = NULL;
    g_autofree char *sub = path_of(f, "dir/sub");
    int fd;

    pf_put_file(f, "dir/sub/removed", "x");
    nameless = handle_of(f, "dir/sub/removed", &st);
    fd = open_host(f, "dir/sub/removed");
    unlink_host(f, "dir/sub/removed");
    g_assert_cmpint(mount("t", sub, "tmpfs", 0, "mode=755"), ==, 0);
    pf_put_file(f, "dir/sub/deep", "other");
    other = handle_of(f, "dir/sub/deep", &st);
    f->c = pc_open(f->dir, options);
    assert_not_found(f, deep);
    assert_not_found(f, nameless);
    assert_not_found(f, other);
    g_assert_cmpint(pc_close(f->c), ==, 0);
    f->c = NULL;
    g_assert_cmpint(umount2(sub, MNT_DETACH), ==, 0);
    close(fd);
}

/*
 * A file system that is mounted read-only inside, and writable elsewhere in the
 * export: the handle gives no more than a walk.
 */
static void test_readonly_mount(ProxyFixture *f, gconstpointer options)
{
    struct stat st;
    g_autofree FileHandle *deep = handle_of(f, "dir/sub/deep", &st);
    g_autofree char *sub = path_of(f, "dir/sub");
    struct statvfs vfs;
    PcNode node;
    FsAttr attr;
    int fd;

    g_assert_cmpint(mount(sub, sub, NULL, MS_BIND, NULL), ==, 0);
    g_assert_cmpint(mount(NULL, sub, NULL, MS_BIND | MS_REMOUNT | MS_RDONLY,
                          NULL), ==, 0);
    f->c = pc_open(f->dir, options);
    g_assert_cmpint(find(f, deep, &node, &attr), ==, 0);
    g_assert_cmpint(fstatvfs(node.fd, &vfs), ==, 0);
    g_assert_true(vfs.f_flag & ST_RDONLY);
    g_assert_cmpint(call_open(f->c, node.handle, O_RDWR, &fd), ==, -EROFS);
    close(node.fd);
    g_assert_cmpint(pc_close(f->c), ==, 0);
    f->c = NULL;
    g_assert_cmpint(umount2(sub, MNT_DETACH), ==, 0);
}

/* What lies in the directory that the export is mounted on */
static void test_mounted_on(ProxyFixture *f, gconstpointer options)
{
    struct stat st;
    g_autofree FileHandle *named = handle_of(f, "dir/sub/deep", &st);
    g_autofree FileHandle *nameless = handle_of(f, "file", &st);
    g_autofree char *other = path_of(f, "../other");
    int fd = open_host(f, "file");

    unlink_host(f, "file");
    pf_put_dir(f, "../other");
    g_assert_cmpint(mount(other, f->dir, NULL, MS_BIND, NULL), ==, 0);
    f->c = pc_open(f->dir, options);
    assert_not_found(f, named);
    assert_not_found(f, nameless);
    g_assert_cmpint(pc_close(f->c), ==, 0);
    f->c = NULL;
    g_assert_cmpint(umount2(f->dir, MNT_DETACH), ==, 0);
    close(fd);
}

/* A program's file of the export that never had a name */
static void test_tmpfile(ProxyFixture *f, gconstpointer unused)
{
    int fd = open(f->dir, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    g_autofree FileHandle *fh = NULL;

    if (fd < 0) {
        g_test_skip("the file system has no O_TMPFILE");
        return;
    }
    fh = file_handle_get(fd, FILE_HANDLE_ANY_MOUNT);
    g_assert_nonnull(fh);
    assert_not_found(f, fh);
    close(fd);
}

/*
 * Bytes
 */

static bool is_in_export(const ProxyFixture *f, uint64_t ino)
{
    unsigned i;

    for (i = 0; i < G_N_ELEMENTS(all_names); i++) {
        struct stat st;

        pf_stat(f, all_names[i], &st);
        if (st.st_ino == ino) {
            return true;
        }
    }
    return false;
}

static void test_garbage(ProxyFixture *f, gconstpointer unused)
{
    struct stat st;
    g_autofree FileHandle *fh = handle_of(f, "file", &st);
    uint8_t bytes[256];
    PcNode node;
    FsAttr attr;
    unsigned i, k;
    int ret;

    for (i = 0; i < 2000; i++) {
        int type = i % 2 ? g_test_rand_int() : fh->handle_type;
        size_t size = i % 3 ? g_test_rand_int_range(0, sizeof(bytes))
                            : fh->handle_bytes;

        memset(bytes, 0, sizeof(bytes));
        memcpy(bytes, fh->f_handle, fh->handle_bytes);
        for (k = 0; k < i % 5; k++) {
            bytes[g_test_rand_int_range(0, MAX(size, 1))] = g_test_rand_int();
        }
        ret = find_bytes(f->c, type, bytes, size, size, &node, &attr);
        if (ret == 0) {
            g_assert_cmpuint(attr.dev, ==, st.st_dev);
            g_assert_true(is_in_export(f, attr.ino));
            g_assert_cmpint(node.fd, >=, 0);
            close(node.fd);
            pc_forget(f->c, node.handle, 1);
        } else {
            g_assert_cmpint(ret, ==, -ESTALE);
        }
    }
    /* The longest that the kernel has, and longer */
    memset(bytes, 0xff, sizeof(bytes));
    g_assert_cmpint(find_bytes(f->c, 1, bytes, MAX_HANDLE_SZ, MAX_HANDLE_SZ,
                               &node, &attr), ==, -ESTALE);
    g_assert_cmpint(find_bytes(f->c, 1, bytes, MAX_HANDLE_SZ + 1,
                               MAX_HANDLE_SZ + 1, &node, &attr), ==, -ESTALE);
    g_assert_cmpint(find_bytes(f->c, 1, bytes, 0, 0, &node, &attr), ==,
                    -ESTALE);
    assert_found(f, fh, &st);
}

/* A size that is not that of the bytes ends the connection. */
static void test_malformed(ProxyFixture *f, gconstpointer options)
{
    static const struct {
        size_t size;
        size_t sent;
    } sizes[] = {
        { 8, 7 }, { 8, 9 }, { 0, 1 }, { 0xffffffff, 64 }, { 0x80000000, 0 },
    };
    const uint8_t bytes[64] = { 0 };
    unsigned i;

    for (i = 0; i < G_N_ELEMENTS(sizes); i++) {
        ProxyClient *c = pc_open(f->dir, options);
        MarshalWriter *w = pc_begin(c);

        marshal_put_u32(w, 1);
        marshal_put_u32(w, sizes[i].size);
        marshal_put_bytes(w, bytes, sizes[i].sent);
        pc_send(c, PROXY_FIND);
        pc_expect_broken(c);
    }
}

/*
 * Helpers that may not
 */

/* The client cannot have what the helper does not announce. */
static void expect_no_find(ProxyFixture *f, const char *const *options)
{
    struct stat st;
    g_autofree FileHandle *fh = handle_of(f, "file", &st);
    ProxyClient *c = pc_open(f->dir, options);
    MarshalWriter *w = pc_begin(c);

    g_assert_false(c->features & PROXY_FEATURE_FIND);
    marshal_put_u32(w, fh->handle_type);
    marshal_put_u32(w, fh->handle_bytes);
    marshal_put_bytes(w, fh->f_handle, fh->handle_bytes);
    pc_send(c, PROXY_FIND);
    pc_expect_broken(c);
}

static void test_not_asked(ProxyFixture *f, gconstpointer unused)
{
    static const char *const none[] = { NULL };
    static const char *const off[] = { "--file-handles=off", NULL };
    static const char *const no_cap[] = {
        "--file-handles=auto", "--modcaps=-dac_read_search", NULL,
    };
    static const char *const mapped[] = {
        "--file-handles=auto", "--uid-map=0:7001:10", "--gid-map=0:7001:10",
        NULL,
    };

    expect_no_find(f, none);
    expect_no_find(f, off);
    expect_no_find(f, no_cap);
    expect_no_find(f, mapped);
}

/* The helper says why it does not start. */
static void expect_refusal(const char *dir, const char *option, uid_t uid,
                           const char *why)
{
    const char *args[] = { "-n", "-p", dir, "-f", "3", "--file-handles=on",
                           option, NULL };
    g_autofree char *text = NULL;
    int fds[2];

    g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds),
                    ==, 0);
    g_assert_cmpint(pc_run(args, uid, fds[1], &text), ==, 1);
    close(fds[0]);
    close(fds[1]);
    if (!strstr(text, why) && !strstr(text, "cannot make a user namespace")) {
        g_error("no '%s': '%s'", why, text);
    }
}

static void test_refused(ProxyFixture *f, gconstpointer unused)
{
    g_assert_cmpint(chmod(f->tmp, 0755), ==, 0);
    expect_refusal(f->dir, "--modcaps=-dac_read_search", PC_NOBODY,
                   "--file-handles=on: the helper may not open file handles");
    expect_refusal(f->dir, NULL, 7001,
                   "--file-handles=on: the helper may not open file handles");
    expect_refusal("/proc", NULL, PC_NOBODY,
                   "--file-handles=on: the directory's file system has none");
}

/* Without donation there is the handle alone. */
static void test_no_donation(ProxyFixture *f, gconstpointer options)
{
    struct stat st;
    g_autofree FileHandle *fh = handle_of(f, "file", &st);
    ProxyClient *c = pc_start(f->dir, PC_NOBODY, options);
    PcNode node;
    FsAttr attr;

    pc_hello(c, PROXY_HELLO_NO_DONATE);
    g_assert_cmpint(find_bytes(c, fh->handle_type, fh->f_handle,
                               fh->handle_bytes, fh->handle_bytes, &node,
                               &attr), ==, 0);
    g_assert_cmpint(node.fd, ==, -1);
    g_assert_cmpuint(attr.ino, ==, st.st_ino);
    g_assert_cmpint(pc_close(c), ==, 0);
}

static void add_all(const char *name, ProxyTest *test,
                    void (*add)(const char *, const char *const *,
                                ProxyTest *))
{
    g_autofree char *chroot = g_strconcat("chroot/", name, NULL);
    g_autofree char *none = g_strconcat("none/", name, NULL);
    g_autofree char *ro = g_strconcat("readonly/", name, NULL);

    add(name, in_namespace, test);
    add(chroot, in_chroot, test);
    add(none, in_none, test);
    add(ro, readonly, test);
}

static bool can_have_handles(void)
{
    int fd = open(g_get_tmp_dir(), O_PATH | O_CLOEXEC);
    FileHandles fh;
    bool can = geteuid() == 0 && file_handles_probe(&fh, fd) == 0;

    if (can) {
        file_handles_close(&fh);
    }
    close(fd);
    return can;
}

static void test_none(void)
{
    g_test_skip("needs root, and a file system with file handles in "
                "the folder for temporary files");
}

int main(int argc, char **argv)
{
    pf_init(&argc, &argv, "/9p-helper-find");
    if (!can_have_handles()) {
        g_test_add_func("/9p-helper-find/all", test_none);
        return g_test_run();
    }
    /* Mounts of the tests are theirs alone. */
    g_assert_cmpint(unshare(CLONE_NEWNS), ==, 0);
    g_assert_cmpint(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL), ==, 0);
    add_all("found", test_found, pf_add);
    add_all("same-node", test_same_node, pf_add);
    add_all("renamed", test_renamed, pf_add);
    add_all("odd-name", test_odd_name, pf_add);
    add_all("nameless", test_nameless, pf_add);
    add_all("nameless/kept", test_nameless_kept, pf_add);
    add_all("nameless/elsewhere", test_nameless_elsewhere, pf_add);
    add_all("gone", test_gone, pf_add);
    add_all("outside", test_outside, pf_add);
    add_all("outside/nameless", test_outside_nameless, pf_add);
    add_all("mounts", test_mounts, pf_add_made);
    add_all("mounts/readonly", test_readonly_mount, pf_add_made);
    add_all("mounts/on", test_mounted_on, pf_add_made);
    add_all("tmpfile", test_tmpfile, pf_add);
    add_all("garbage", test_garbage, pf_add);
    add_all("malformed", test_malformed, pf_add);
    add_all("no-donation", test_no_donation, pf_add);
    pf_add_made("not-asked", NULL, test_not_asked);
    pf_add_made("refused", NULL, test_refused);
    return g_test_run();
}
