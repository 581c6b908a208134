/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Tests of the proxy driver on file servers that refuse one of the two: the
 * helper, which has no open file, or QEMU, which is another user. The other one
 * then does the work. The test plays the helper (proxy-peer.h).
 */
#include "qemu/osdep.h"
#include <sys/mount.h>
#include "fsdev/shared/hostfs.h"
#include "../shared/test-fuse.h"
#include "driver-fixture.h"

/*
 * A file server that knows a file by its names alone
 */

static int truncate_nameless(DriverTest *t, FsFile *file, uint64_t size)
{
    ProxyHeader h = { .type = PROXY_SETATTR | PROXY_REPLY };
    uint8_t buf[PROXY_HEADER_SIZE + 4];
    DriverOp op = {
        .file = file,
        .set = { .valid = FS_SET_SIZE | FS_SET_MTIME | FS_SET_CTIME,
                 .size = size },
    };

    op_start(&op, run_setattr, file->node);
    h.tag = driver_expect(t, PROXY_SETATTR);
    h.size = sizeof(buf);
    proxy_header_put(&h, buf);
    stl_le_p(buf + PROXY_HEADER_SIZE, ESTALE);
    peer_send(t->peer, buf, sizeof(buf), NULL, 0);
    return op_wait(&op);
}

/*
 * QEMU truncates what it has open for writing, which leaves nothing for the
 * helper to change.
 */
static void test_truncate_nameless(void)
{
    int fd = make_file("a", O_PATH);
    int good = make_file("a", O_RDWR);
    FsNode *node;
    FsFile *file;
    FsAttr attr;
    DriverTest t;

    g_assert_cmpint(write(good, "text", 4), ==, 4);
    driver_test_helper(&t, true, 0);
    driver_fd_attr(fd, &attr);
    g_assert_cmpint(driver_walk(&t, &node, &attr, 7, fd), ==, 0);
    g_assert_cmpint(driver_open_node(&t, node, O_RDWR, &file, good), ==, 0);
    g_assert_cmpint(truncate_nameless(&t, file, 2), ==, 0);
    driver_fd_attr(fd, &attr);
    g_assert_cmpuint(attr.size, ==, 2);
    file->flags = O_RDONLY;
    g_assert_cmpint(truncate_nameless(&t, file, 1), ==, -ESTALE);
    driver_fd_attr(fd, &attr);
    g_assert_cmpuint(attr.size, ==, 2);
    fs_file_unref(file);
    fs_node_unref(node);
    driver_test_finish(&t);
    close(fd);
    close(good);
}

/*
 * A file server that asks at each read of a directory who reads it, and refuses
 * QEMU
 */

#define OWNER   1234

static bool put_name(void *opaque, const FsDirent *entry)
{
    g_string_append_printf(opaque, "%s ", entry->name);
    return true;
}

static void coroutine_fn run_readdir(DriverOp *op)
{
    op->ret = proxy->readdir(&op->call, op->file, op->size, put_name,
                             (void *)op->value);
}

/* Answers a READDIR: @n times an entry, and @extra bytes */
static void reply_readdir(DriverTest *t, const char *name, uint64_t next,
                          unsigned n, unsigned extra)
{
    ProxyHeader h = { .type = PROXY_READDIR | PROXY_REPLY,
                      .tag = driver_expect(t, PROXY_READDIR) };
    static uint8_t buf[PROXY_MAX_MESSAGE];
    MarshalWriter w;

    marshal_writer_init(&w, buf, sizeof(buf));
    marshal_reserve(&w, PROXY_HEADER_SIZE);
    marshal_put_u32(&w, 0);
    while (n--) {
        marshal_put_u64(&w, 5);
        marshal_put_u64(&w, next);
        marshal_put_u8(&w, DT_REG);
        marshal_put_str(&w, name);
    }
    while (extra--) {
        marshal_put_u8(&w, 0);
    }
    g_assert_true(marshal_fits(&w));
    h.size = marshal_size(&w);
    proxy_header_put(&h, buf);
    peer_send(t->peer, buf, h.size, NULL, 0);
}

static void refuse_readdir(DriverTest *t, int error)
{
    ProxyHeader h = { .type = PROXY_READDIR | PROXY_REPLY,
                      .tag = driver_expect(t, PROXY_READDIR) };
    uint8_t buf[PROXY_HEADER_SIZE + 4];

    h.size = sizeof(buf);
    proxy_header_put(&h, buf);
    stl_le_p(buf + PROXY_HEADER_SIZE, error);
    peer_send(t->peer, buf, sizeof(buf), NULL, 0);
}

typedef struct Refused {
    DriverTest t;
    FsNode *node;
    FsFile *file;
    GString *names;
    DriverOp op;
} Refused;

/* Begins to read the directory @path. */
static void refused_start(Refused *r, const char *path, uint32_t features)
{
    int fd = open(path, O_PATH | O_DIRECTORY);
    int dir = open(path, O_RDONLY | O_DIRECTORY);
    FsAttr attr;

    g_assert_cmpint(dir, >=, 0);
    driver_fd_attr(fd, &attr);
    driver_test_helper(&r->t, true, features);
    /* These two go meanwhile. */
    r->t.fds_before -= 2;
    g_assert_cmpint(driver_walk(&r->t, &r->node, &attr, 7, fd), ==, 0);
    g_assert_cmpint(driver_open_node(&r->t, r->node, O_RDONLY | O_DIRECTORY,
                               &r->file, dir), ==, 0);
    close(fd);
    close(dir);
    r->names = g_string_new(NULL);
    r->op = (DriverOp) { .file = r->file, .value = r->names };
    op_start(&r->op, run_readdir, r->node);
}

static void refused_finish(Refused *r)
{
    g_string_free(r->names, true);
    fs_file_unref(r->file);
    fs_node_unref(r->node);
    driver_test_finish(&r->t);
}

/* What is no entry, by the kernel's rules, ends the connection. */
static void bad_entries(const char *path)
{
    g_autofree char *longer = g_strnfill(PATH_MAX, 'x');
    const struct {
        const char *name;
        unsigned n, extra;
    } bad[] = {
        { "", 1, 0 }, { "a/b", 1, 0 }, { longer, 1, 0 }, { "a", 1, 1 },
        { "a", PROXY_READDIR_MAX / 24 + 1, 0 }, { "a", 0, 1 },
    };
    unsigned i;
    Refused r;

    for (i = 0; i < G_N_ELEMENTS(bad); i++) {
        refused_start(&r, path, PROXY_FEATURE_READDIR);
        reply_readdir(&r.t, bad[i].name, 1, bad[i].n, bad[i].extra);
        g_assert_cmpint(op_wait(&r.op), ==, -EIO);
        g_assert_cmpstr(r.names->str, ==, "");
        driver_wait_number(&r.t.lost, 1);
        refused_finish(&r);
    }
}

/*
 * What the kernel lets through of a file server does not: names that are longer
 * than others allow, and an offset that no one can come back to. And as many
 * entries as fit.
 */
static void odd_entries(const char *path)
{
    g_autofree char *name = g_strnfill(PATH_MAX - 1, 'x');
    Refused r;

    refused_start(&r, path, PROXY_FEATURE_READDIR);
    reply_readdir(&r.t, name, 1, 1, 0);
    reply_readdir(&r.t, "a", 2, PROXY_READDIR_MAX / 24, 0);
    reply_readdir(&r.t, "b", UINT64_MAX, 1, 0);
    refuse_readdir(&r.t, EINVAL);
    g_assert_cmpint(op_wait(&r.op), ==, 0);
    g_assert_cmpuint(r.names->len, ==,
                     PATH_MAX + PROXY_READDIR_MAX / 24 * 2 + 2);
    g_assert_true(g_str_has_suffix(r.names->str, "a b "));
    g_assert_cmpuint(r.t.lost, ==, 0);
    refused_finish(&r);
}

static void test_readdir(void)
{
    g_autofree char *mnt = in_folder("fold");
    g_autofree char *path = g_build_filename(mnt, "d", NULL);
    Refused r;

    g_assert_cmpint(mkdir(mnt, 0755), ==, 0);
    if (!test_fuse_start(mnt, TEST_FUSE_OWNERS)) {
        g_test_skip("this user may not mount a FUSE file system");
        g_assert_cmpint(rmdir(mnt), ==, 0);
        return;
    }
    g_assert_cmpint(mkdir(path, 0755), ==, 0);
    g_assert_cmpint(chown(path, OWNER, OWNER), ==, 0);

    refused_start(&r, path, PROXY_FEATURE_READDIR);
    reply_readdir(&r.t, "a", 1, 1, 0);
    reply_readdir(&r.t, "b", INT64_MAX, 1, 0);
    reply_readdir(&r.t, NULL, 0, 0, 0);
    g_assert_cmpint(op_wait(&r.op), ==, 0);
    g_assert_cmpstr(r.names->str, ==, "a b ");
    refused_finish(&r);

    /* The user whom the helper asks for may not read it either. */
    refused_start(&r, path, PROXY_FEATURE_READDIR);
    refuse_readdir(&r.t, EACCES);
    g_assert_cmpint(op_wait(&r.op), ==, -EACCES);
    refused_finish(&r);

    /* A helper that does not know the message */
    refused_start(&r, path, 0);
    g_assert_cmpint(op_wait(&r.op), ==, -EACCES);
    refused_finish(&r);

    bad_entries(path);
    odd_entries(path);
    g_assert_cmpint(umount2(mnt, MNT_DETACH), ==, 0);
    g_assert_cmpint(waitpid(-1, NULL, 0), >, 0);    /* its server */
    g_assert_cmpint(rmdir(mnt), ==, 0);
}

int main(int argc, char **argv)
{
    int ret;

    driver_test_init(&argc, &argv);
    driver_folder_make();
    g_test_add_func("/proxy-refused/truncate", test_truncate_nameless);
    g_test_add_func("/proxy-refused/readdir", test_readdir);
    ret = g_test_run();
    driver_folder_remove();
    return ret;
}
