/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Tests of virtfs-proxy-helper: what it writes or truncates keeps its set-id
 * bits, and what it gives another owner does not. Each test runs with a helper
 * of root's, which the kernel allows that, and with one in a user namespace,
 * which puts the bits back.
 */
#include "qemu/osdep.h"
#include "proxy-fixture.h"
#include <sys/xattr.h>

#define ROUNDS      500

static void make_file(ProxyFixture *f, const char *name, mode_t mode)
{
    g_autofree char *path = g_build_filename(f->dir, name, NULL);

    pf_put_file(f, name, "text");
    if (f->c->n_uid) {
        g_assert_cmpint(chown(path, f->c->uid_map[0].outside,
                              f->c->gid_map[0].outside), ==, 0);
    }
    g_assert_cmpint(chmod(path, mode), ==, 0);
}

static void expect_mode(ProxyFixture *f, const char *name, mode_t mode)
{
    struct stat st;

    pf_stat(f, name, &st);
    g_test_message("%s has mode %o, wanted %o", name, st.st_mode & 07777, mode);
    g_assert_cmphex(st.st_mode & 07777, ==, mode);
}

static uint64_t handle_of(ProxyFixture *f, const char *name)
{
    FsAttr attr;
    PcNode node;

    g_assert_cmpint(pc_walk(f->c, name, &node, &attr), ==, 0);
    if (node.fd >= 0) {
        close(node.fd);
    }
    return node.handle;
}

static void put_write(ProxyClient *c, uint64_t handle, uint32_t flags,
                      uint64_t offset, const char *data)
{
    MarshalWriter *w = pc_begin(c);

    marshal_put_u64(w, handle);
    marshal_put_u32(w, flags);
    marshal_put_u64(w, offset);
    marshal_put_u32(w, strlen(data));
    marshal_put_bytes(w, data, strlen(data));
}

/* The bytes written, or -errno */
static int try_write(ProxyFixture *f, uint64_t handle, uint32_t flags,
                     uint64_t offset, const char *data)
{
    int ret;

    put_write(f->c, handle, flags, offset, data);
    ret = pc_call(f->c, PROXY_WRITE);
    return ret < 0 ? ret : (int)marshal_get_u32(&f->c->in);
}

static int try_set(ProxyFixture *f, uint64_t handle, FsSetAttr set)
{
    PcArgs args = { .handle = handle, .set = &set };

    pc_put_request(f->c, PROXY_SETATTR, &args);
    return pc_call(f->c, PROXY_SETATTR);
}

/* The owner may not read each file, but the helper may open it. */
static void expect_content(ProxyFixture *f, const char *name, const char *text)
{
    PcArgs args = { .handle = handle_of(f, name), .flags = O_RDONLY };
    size_t size = strlen(text) + 1;
    g_autofree char *got = g_malloc0(size + 1);

    pc_put_request(f->c, PROXY_OPEN, &args);
    g_assert_cmpint(pc_call(f->c, PROXY_OPEN), ==, 0);
    g_assert_cmpint(pread(f->c->fds[0], got, size, 0), ==, size - 1);
    close(f->c->fds[0]);
    g_assert_cmpstr(got, ==, text);
}

static const mode_t modes[] = { 04755, 02755, 06755, 06644, 04600, 02070 };

static void test_write(ProxyFixture *f, gconstpointer unused)
{
    unsigned i;

    for (i = 0; i < G_N_ELEMENTS(modes); i++) {
        g_autofree char *name = g_strdup_printf("%o", modes[i]);
        uint64_t handle;

        make_file(f, name, modes[i]);
        handle = handle_of(f, name);
        g_assert_cmpint(try_write(f, handle, 0, 1, "EX"), ==, 2);
        expect_mode(f, name, modes[i]);
        g_assert_cmpint(try_write(f, handle, O_APPEND, 0, "more"), ==, 4);
        expect_mode(f, name, modes[i]);
        g_assert_cmpint(try_write(f, handle, O_SYNC | O_TRUNC | O_RDONLY, 0,
                                  "t"), ==, 1);
        expect_mode(f, name, modes[i]);
        expect_content(f, name, "tEXtmore");
    }
}

static void test_truncate(ProxyFixture *f, gconstpointer unused)
{
    unsigned i;

    for (i = 0; i < G_N_ELEMENTS(modes); i++) {
        g_autofree char *name = g_strdup_printf("%o", modes[i]);
        PcArgs args = { .flags = O_WRONLY | O_TRUNC };
        const FsSetAttr size = { .valid = FS_SET_SIZE, .size = 2 };
        FsSetAttr both = { .valid = FS_SET_SIZE | FS_SET_MODE, .mode = 0755 };

        make_file(f, name, modes[i]);
        args.handle = handle_of(f, name);
        g_assert_cmpint(try_set(f, args.handle, size), ==, 0);
        expect_mode(f, name, modes[i]);
        expect_content(f, name, "te");
        pc_put_request(f->c, PROXY_OPEN, &args);
        g_assert_cmpint(pc_call(f->c, PROXY_OPEN), ==, 0);
        close(f->c->fds[0]);
        expect_mode(f, name, modes[i]);
        expect_content(f, name, "");
        /* As a guest's kernel asks, for a user who may not keep them */
        g_assert_cmpint(try_set(f, args.handle, both), ==, 0);
        expect_mode(f, name, 0755);
    }
}

static void test_owner(ProxyFixture *f, gconstpointer unused)
{
    FsSetAttr set = { .valid = FS_SET_UID | FS_SET_SIZE, .size = 1 };
    uint64_t handle;

    make_file(f, "prog", 06755);
    handle = handle_of(f, "prog");
    g_assert_cmpint(try_set(f, handle, set), ==, 0);
    expect_mode(f, "prog", 0755);
}

/* What a written file could do must not be what it may. */
static void test_capability(ProxyFixture *f, gconstpointer unused)
{
    static const uint8_t cap[] = {
        1, 0, 0, 2, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
    };
    g_autofree char *path = g_build_filename(f->dir, "prog", NULL);
    uint64_t handle;

    make_file(f, "prog", 04755);
    if (setxattr(path, "security.capability", cap, sizeof(cap), 0) < 0) {
        g_test_skip("no file capabilities here");
        return;
    }
    handle = handle_of(f, "prog");
    g_assert_cmpint(try_write(f, handle, 0, 0, "x"), ==, 1);
    expect_mode(f, "prog", 04755);
    g_assert_cmpint(getxattr(path, "security.capability", NULL, 0), ==, -1);
    g_assert_cmpint(errno, ==, ENODATA);
}

static void test_bad(ProxyFixture *f, gconstpointer unused)
{
    g_autofree char *most = g_strnfill(PROXY_WRITE_MAX, 'w');
    g_autofree char *more = g_strnfill(PROXY_WRITE_MAX + 1, 'w');
    uint64_t handle = handle_of(f, "file");

    g_assert_cmpint(try_write(f, handle, 0, 0, more), ==, -EINVAL);
    g_assert_cmpint(try_write(f, handle, 0, INT64_MAX, "x"), ==, -EFBIG);
    g_assert_cmpint(try_write(f, handle, 0, UINT64_MAX, "x"), ==, -EFBIG);
    g_assert_cmpint(try_write(f, PROXY_ROOT_HANDLE, 0, 0, "x"), ==, -EISDIR);
    g_assert_cmpint(try_write(f, handle_of(f, "link"), 0, 0, "x"), ==, -ELOOP);
    g_assert_cmpint(try_write(f, 4711, 0, 0, "x"), ==, -EBADF);
    expect_content(f, "file", "hello");
    g_assert_cmpint(try_write(f, handle, 0, 0, ""), ==, 0);
    g_assert_cmpint(try_write(f, handle, 0, 0, most), ==, PROXY_WRITE_MAX);
    expect_content(f, "file", most);
}

/* A change of the mode and a write at once: the mode is as changed. */
static void test_at_once(ProxyFixture *f, gconstpointer unused)
{
    FsSetAttr set = { .valid = FS_SET_MODE };
    PcArgs args = { .set = &set };
    ProxyHeader h;
    unsigned i, j;

    make_file(f, "prog", 06755);
    args.handle = handle_of(f, "prog");
    for (i = 0; i < ROUNDS; i++) {
        set.mode = i & 1 ? 06755 : i & 2 ? 0700 : 04711;
        for (j = 0; j < 3; j++) {
            put_write(f->c, args.handle, 0, j, "w");
            pc_send(f->c, PROXY_WRITE);
            if (j == i % 3) {
                pc_put_request(f->c, PROXY_SETATTR, &args);
                pc_send(f->c, PROXY_SETATTR);
            }
        }
        for (j = 0; j < 4; j++) {
            g_assert_cmpint(pc_receive(f->c, &h), ==, 0);
        }
        expect_mode(f, "prog", set.mode);
    }
}

static void test_readonly(ProxyFixture *f, gconstpointer unused)
{
    g_assert_cmpint(try_write(f, handle_of(f, "file"), 0, 0, "x"), ==, -EROFS);
}

static const char *const options[] = { "--threads=4", NULL };
/* Root's helper in a user namespace: as an ordinary user's */
static const char *const userns[] = {
    "--threads=4", "--uid-map=0:300000:1000", "--gid-map=0:300000:1000", NULL
};
static const char *const readonly[] = { "--readonly", NULL };

int main(int argc, char **argv)
{
    static const struct {
        const char *name;
        ProxyTest *test;
    } tests[] = {
        { "write", test_write },
        { "truncate", test_truncate },
        { "owner", test_owner },
        { "capability", test_capability },
        { "at-once", test_at_once },
    };
    unsigned i;

    pf_init(&argc, &argv, "/helper-set-id");
    for (i = 0; i < G_N_ELEMENTS(tests); i++) {
        pf_add(tests[i].name, options, tests[i].test);
    }
    pf_add("bad", options, test_bad);
    pf_add("readonly", readonly, test_readonly);
    if (geteuid() == 0) {
        for (i = 0; i < G_N_ELEMENTS(tests); i++) {
            g_autofree char *name = g_strdup_printf("userns/%s",
                                                    tests[i].name);

            pf_add(name, userns, tests[i].test);
        }
    }
    return g_test_run();
}
