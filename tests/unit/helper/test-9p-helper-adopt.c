/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * ADOPT: an inode that a client found itself becomes a handle of
 * virtfs-proxy-helper, if it belongs to the export.
 */
#include "qemu/osdep.h"
#include <fcntl.h>
#include "proxy-fixture.h"
#include "proxy-proc.h"

#define FIRST   (PROXY_ADOPTED | 1)
#define SECOND  (PROXY_ADOPTED | 2)

/* A file in the directory that the helper donated to the client */
static int find(ProxyFixture *f, const char *path)
{
    int fd = openat(f->c->root_fd, path, O_PATH | O_NOFOLLOW | O_CLOEXEC);

    g_assert_cmpint(fd, >=, 0);
    return fd;
}

static void adopt(ProxyFixture *f, const char *path, uint64_t handle)
{
    int fd = find(f, path);

    pc_adopt(f->c, handle, fd);
    close(fd);
}

static int call(ProxyFixture *f, unsigned type, const PcArgs *args)
{
    pc_begin(f->c);
    pc_put_request(f->c, type, args);
    return pc_call(f->c, type);
}

/* Attributes by a handle: 0 and *@ino, or -errno */
static int getattr(ProxyFixture *f, uint64_t handle, uint64_t *ino)
{
    PcArgs args = { .handle = handle };
    int ret = call(f, PROXY_GETATTR, &args);
    FsAttr attr;

    if (ret == 0) {
        proxy_get_attr(&f->c->in, &attr);
        *ino = attr.ino;
    }
    return ret;
}

static void expect_unknown(ProxyFixture *f, uint64_t handle)
{
    uint64_t ino;

    g_assert_cmpint(getattr(f, handle, &ino), ==, -EBADF);
}

static void expect_is(ProxyFixture *f, uint64_t handle, const char *name)
{
    struct stat st;
    uint64_t ino = 0;

    pf_stat(f, name, &st);
    g_assert_cmpint(getattr(f, handle, &ino), ==, 0);
    g_assert_cmpint(ino, ==, st.st_ino);
}

/* Every use of a handle */
static void test_use(ProxyFixture *f, gconstpointer opaque)
{
    FsSetAttr set = { .valid = FS_SET_MODE, .mode = 0640 };
    PcArgs args = { .handle = FIRST, .set = &set };
    struct stat st;
    char text[8];
    PcNode node;

    g_assert_true(f->c->features & PROXY_FEATURE_ADOPT);
    adopt(f, "file", FIRST);
    expect_is(f, FIRST, "file");
    g_assert_cmpint(call(f, PROXY_SETATTR, &args), ==, 0);
    pf_stat(f, "file", &st);
    g_assert_cmpint(st.st_mode & 07777, ==, 0640);
    args.flags = O_RDONLY;
    g_assert_cmpint(call(f, PROXY_OPEN, &args), ==, 0);
    g_assert_cmpint(f->c->nfds, ==, 1);
    g_assert_cmpint(read(f->c->fds[0], text, sizeof(text)), ==, 5);
    close(f->c->fds[0]);

    adopt(f, "dir", SECOND);
    args = (PcArgs) { .handle = SECOND, .name = "new", .other_name = "",
                      .mode = S_IFDIR | 0755 };
    g_assert_cmpint(call(f, PROXY_MAKE, &args), ==, 0);
    g_assert_true(pf_exists(f, "dir/new"));
    g_assert_cmpint(pc_walk1(f->c, SECOND, "new", &node, NULL), ==, 0);
    expect_is(f, node.handle, "dir/new");
    close(node.fd);
    args = (PcArgs) { .handle = FIRST, .other = SECOND, .name = "link" };
    g_assert_cmpint(call(f, PROXY_LINK, &args), ==, 0);
    args = (PcArgs) { .handle = SECOND, .name = "link", .other = FIRST };
    g_assert_cmpint(call(f, PROXY_UNLINK, &args), ==, 0);
    args = (PcArgs) { .handle = SECOND, .name = "new", .other = FIRST,
                      .flags = 1 };
    g_assert_cmpint(call(f, PROXY_UNLINK, &args), ==, -ESTALE);
}

/* A descriptor that may not come ends the connection. */
static void expect_refused(ProxyFixture *f, int fd)
{
    ProxyClient *c = pc_open(f->dir, NULL);

    g_assert_cmpint(fd, >=, 0);
    pc_adopt(c, FIRST, fd);
    close(fd);
    pc_expect_broken(c);
}

/* The same for a file that another helper's descriptor of the root leads to */
static void expect_inner_refused(ProxyFixture *f, const char *path, int flags)
{
    expect_refused(f, openat(f->c->root_fd, path, flags));
}

/* The helper adopts only inodes of the export, found by its descriptors. */
static void test_outside(ProxyFixture *f, gconstpointer opaque)
{
    g_autofree char *secret = g_build_filename(f->tmp, "secret", NULL);
    g_autofree char *file = g_build_filename(f->dir, "file", NULL);
    int pipes[2];
    ProxyClient *c;

    expect_refused(f, open("/", O_PATH));
    expect_refused(f, open("/etc/passwd", O_PATH));
    expect_refused(f, open("/proc/self", O_PATH));
    expect_refused(f, open("/dev/null", O_PATH));
    expect_refused(f, open("/dev/null", O_RDWR));
    expect_refused(f, open(secret, O_PATH));
    /* The same file by another mount, which may belong to another process. */
    expect_refused(f, open(file, O_PATH));
    expect_refused(f, open(f->dir, O_PATH));
    expect_inner_refused(f, "file", O_PATH);
    expect_inner_refused(f, "file", O_RDONLY);
    expect_refused(f, socket(AF_UNIX, SOCK_STREAM, 0));
    g_assert_cmpint(pipe(pipes), ==, 0);
    expect_refused(f, pipes[0]);
    expect_refused(f, pipes[1]);

    /* An open file does not prove any permission. */
    c = pc_open(f->dir, NULL);
    pipes[0] = openat(c->root_fd, "file", O_RDONLY);
    pc_adopt(c, FIRST, pipes[0]);
    close(pipes[0]);
    pc_expect_broken(c);

    /* Up from the root is the root. */
    adopt(f, "..", FIRST);
    expect_is(f, FIRST, ".");
    adopt(f, "../../..", SECOND);
    expect_is(f, SECOND, ".");
}

/* The helper adopts a link itself, not its target. */
static void test_link(ProxyFixture *f, gconstpointer opaque)
{
    PcArgs args = { .handle = FIRST, .flags = O_RDONLY };

    adopt(f, "up", FIRST);
    g_assert_cmpint(call(f, PROXY_OPEN, &args), ==, -ELOOP);
    g_assert_cmpint(call(f, PROXY_READLINK, &args), ==, 0);
    g_assert_cmpstr(marshal_get_str(&f->c->in, NULL), ==, "../secret");
}

/* An inode that has a handle already: each reference goes back separately. */
static void test_references(ProxyFixture *f, gconstpointer opaque)
{
    PcNode node;

    g_assert_cmpint(pc_walk(f->c, "file", &node, NULL), ==, 0);
    close(node.fd);
    adopt(f, "file", FIRST);
    pc_forget(f->c, node.handle, 1);
    expect_is(f, FIRST, "file");
    expect_is(f, node.handle, "file");
    /* Known to be the client's, so it is not donated again */
    g_assert_cmpint(pc_walk(f->c, "file", &node, NULL), ==, 0);
    g_assert_cmpint(node.fd, ==, -1);

    pc_forget(f->c, FIRST, 1000);
    expect_unknown(f, FIRST);
    expect_is(f, node.handle, "file");
    pc_forget(f->c, node.handle, 1);
    expect_unknown(f, node.handle);

    /* More given back than there were, and an adopted handle without any */
    adopt(f, "file", FIRST);
    g_assert_cmpint(pc_walk(f->c, "file", &node, NULL), ==, 0);
    pc_forget(f->c, node.handle, 1000);
    expect_unknown(f, FIRST);
    pc_forget(f->c, FIRST, 1);
    adopt(f, "file", FIRST);
    expect_is(f, FIRST, "file");

    /* The root is not given back. */
    adopt(f, ".", SECOND);
    pc_forget(f->c, SECOND, 1);
    expect_unknown(f, SECOND);
    expect_is(f, PROXY_ROOT_HANDLE, ".");
}

static void test_gone(ProxyFixture *f, gconstpointer opaque)
{
    FsSetAttr set = { .valid = FS_SET_MODE, .mode = 0604 };
    PcArgs args = { .handle = FIRST, .set = &set };
    g_autofree char *path = g_build_filename(f->dir, "file", NULL);
    int fd = find(f, "file");
    struct stat st;

    g_assert_cmpint(unlink(path), ==, 0);
    pc_adopt(f->c, FIRST, fd);
    g_assert_cmpint(call(f, PROXY_SETATTR, &args), ==, 0);
    g_assert_cmpint(fstat(fd, &st), ==, 0);
    g_assert_cmpint(st.st_mode & 07777, ==, 0604);
    close(fd);
}

static void test_same_number(ProxyFixture *f, gconstpointer opaque)
{
    ProxyClient *c = pc_open(f->dir, NULL);
    int fd = openat(c->root_fd, "file", O_PATH);

    g_assert_cmpint(fd, >=, 0);
    pc_adopt(c, FIRST, fd);
    pc_adopt(c, FIRST, fd);
    close(fd);
    pc_expect_broken(c);
}

/* Descriptors arrive together, and each ADOPT takes its own. */
static void test_together(ProxyFixture *f, gconstpointer opaque)
{
    uint8_t buf[PROXY_ADOPT_MAX * (PROXY_HEADER_SIZE + 8)];
    ProxyHeader h = {
        .size = PROXY_HEADER_SIZE + 8, .type = PROXY_ADOPT, .nfds = 1,
    };
    int fds[PROXY_ADOPT_MAX];
    MarshalWriter w;
    unsigned i;

    for (i = 0; i < PROXY_ADOPT_MAX; i++) {
        g_autofree char *name = g_strdup_printf("t%u", i);

        pf_put_file(f, name, "");
        fds[i] = find(f, name);
        proxy_header_put(&h, buf + i * h.size);
        marshal_writer_init(&w, buf + i * h.size + PROXY_HEADER_SIZE, 8);
        marshal_put_u64(&w, FIRST + i);
    }
    pc_send_fds(f->c, buf, sizeof(buf), fds, PROXY_ADOPT_MAX);
    for (i = 0; i < PROXY_ADOPT_MAX; i++) {
        g_autofree char *name = g_strdup_printf("t%u", i);

        close(fds[i]);
        expect_is(f, FIRST + i, name);
    }
}

/* Up to the limit: the others are unknown, and those below it work. */
static void test_full(ProxyFixture *f, gconstpointer opaque)
{
    enum { LIMIT = 512 };
    unsigned i, first = 0;
    uint64_t ino;

    pc_max_files = LIMIT;
    f->c = pc_open(f->dir, NULL);
    pc_max_files = 0;
    for (i = 0; i < LIMIT; i++) {
        g_autofree char *name = g_strdup_printf("f%u", i);

        pf_put_file(f, name, "");
        adopt(f, name, FIRST + i);
        if (getattr(f, FIRST + i, &ino) < 0) {
            first = first ?: i;
        }
    }
    g_assert_cmpint(first, >, LIMIT / 4);
    expect_is(f, FIRST, "f0");
    expect_unknown(f, FIRST + LIMIT - 1);

    /* One inode under many numbers */
    pc_forget(f->c, FIRST, 1);
    for (i = 0; i < 2 * LIMIT; i++) {
        adopt(f, "f1", SECOND + LIMIT + i);
    }
    expect_unknown(f, SECOND + LIMIT + 2 * LIMIT - 1);
    expect_is(f, SECOND, "f1");
}

static void test_no_leak(ProxyFixture *f, gconstpointer opaque)
{
    unsigned before, i;

    if (geteuid() != 0) {
        g_test_skip("needs root to look at the helper's descriptors");
        return;
    }
    before = pp_open_files(f->c->server_pid);
    for (i = 0; i < 100; i++) {
        adopt(f, "dir/sub/deep", FIRST);
        adopt(f, "dir/sub/deep", SECOND);
        expect_is(f, SECOND, "dir/sub/deep");
        pc_forget(f->c, FIRST, 1);
        pc_forget(f->c, SECOND, 1);
        expect_unknown(f, FIRST);
    }
    while (pp_open_files(f->c->server_pid) > before) {
        g_usleep(1000);         /* FORGET has no reply; the test times out */
    }
}

/* With a mount that is not the helper's own */
static void test_not_offered(ProxyFixture *f, gconstpointer opaque)
{
    static const char *const none[] = { "--sandbox=none", NULL };
    ProxyClient *c = pc_open(f->dir, none);
    int fd = openat(c->root_fd, "file", O_PATH);

    g_assert_false(c->features & PROXY_FEATURE_ADOPT);
    if (!c->rings) {
        pc_adopt(c, FIRST, fd);
        pc_expect_broken(c);
    } else if (proxy_send_fds(c->fd, "", 1, &fd, 1, 0) == 1) {
        pc_expect_broken(c);
    } else {
        /* Linux 6.16: nothing leaves. */
        g_assert_cmpint(errno, ==, EPERM);
        g_assert_cmpint(pc_close(c), ==, 0);
    }
    close(fd);
}

int main(int argc, char **argv)
{
    pf_init(&argc, &argv, "/9p/helper/adopt");

    pf_add("use", NULL, test_use);
    pf_add("outside", NULL, test_outside);
    pf_add("link", NULL, test_link);
    pf_add("references", NULL, test_references);
    pf_add("gone", NULL, test_gone);
    pf_add_made("same-number", NULL, test_same_number);
    pf_add("together", NULL, test_together);
    pf_add_made("full", NULL, test_full);
    pf_add("no-leak", NULL, test_no_leak);
    pf_add_made("not-offered", NULL, test_not_offered);
    return g_test_run();
}
