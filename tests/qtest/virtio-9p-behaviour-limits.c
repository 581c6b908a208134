/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Limits: sizes of messages, lengths and bytes of names, depth of directories,
 * extended attributes, offsets, descriptors, and requests in flight. A request
 * beyond a limit gets a specific error, and the session goes on.
 */
#include "qemu/osdep.h"
#include <sys/xattr.h>
#include "virtio-9p-behaviour.h"
#include "virtio-9p-host.h"

#define MSIZE_MIN   4096
#define MSIZE_MAX   (1 * MiB)
#define RREAD       (P9C_HEADER + 4)        /* bytes that are not data */
#define TWRITE      (P9C_HEADER + 16)
#define DEPTH       4200
#define MANY_FIDS   1000

/* A new file in the root, open as @fid */
static int new_file(Test *t, uint32_t fid, const char *name)
{
    ok(walk(t, ROOT, fid, ""));
    return create(t, fid, name, P9C_O_RDWR, 0644);
}

static P9CAttr fid_attr(Test *t, uint32_t fid)
{
    P9CAttr attr;

    ok(getattr(t, fid, &attr));
    return attr;
}

/*
 * Sizes of messages
 */

/* Every message with the smallest msize, at its largest size */
static void test_msize_min(Test *t)
{
    static const uint8_t data[MSIZE_MIN];
    g_autofree char *target = g_strnfill(4000, 't');
    g_autofree char *longer = g_strnfill(PATH_MAX - 1, 't');
    g_autofree char *name = g_strnfill(NAME_MAX, 'n');
    g_autofree char *path = NULL;
    g_autofree char *got = NULL;
    g_autoptr(GPtrArray) entries = NULL;
    const char *names[P9C_WALK_MAX];
    P9CSetAttr set = { .valid = P9C_SETATTR_SIZE, .size = 5 };
    P9CLock lock = { .type = P9C_LOCK_WRLCK, .client_id = "guest" };
    P9CStatfs st;
    uint8_t buf[MSIZE_MIN], status;
    uint32_t n, iounit;
    unsigned i;

    fails(p9c_version(t->c, MSIZE_MIN - 1, P9C_VERSION, NULL, NULL), EMSGSIZE);
    session_msize(t, MSIZE_MIN);

    ok(new_file(t, 1, "file"));
    ok(p9c_write(t->c, 1, 0, data, MSIZE_MIN - TWRITE, &n));
    g_assert_cmpuint(n, ==, MSIZE_MIN - TWRITE);
    fails(p9c_write(t->c, 1, 0, data, MSIZE_MIN - TWRITE + 1, &n), EMSGSIZE);
    ok(p9c_write(t->c, 1, MSIZE_MIN, data, 1, &n));
    ok(p9c_read(t->c, 1, 0, MSIZE_MIN - RREAD, buf, &n));
    g_assert_cmpuint(n, ==, MSIZE_MIN - RREAD);
    ok(p9c_fsync(t->c, 1, true));
    ok(p9c_setattr(t->c, 1, &set));
    g_assert_cmpuint(fid_attr(t, 1).size, ==, 5);
    ok(p9c_lock(t->c, 1, &lock, &status));
    g_assert_cmpuint(status, ==, P9C_LOCK_SUCCESS);
    ok(p9c_getlock(t->c, 1, &lock));
    g_free((char *)lock.client_id);
    ok(clunk(t, 1));
    ok(walk(t, ROOT, 1, "file"));
    ok(p9c_lopen(t->c, 1, P9C_O_RDONLY, NULL, &iounit));
    g_assert_cmpuint(iounit, <=, MSIZE_MIN - RREAD);
    ok(p9c_statfs(t->c, ROOT, &st));
    ok(p9c_flush(t->c, 4711));

    ok(make_dir(t, ROOT, "dir", 0755));
    ok(make_node(t, ROOT, "fifo", S_IFIFO | 0644, 0, 0));
    ok(p9c_link(t->c, ROOT, 1, name));
    ok(p9c_renameat(t->c, ROOT, "fifo", ROOT, "pipe"));
    ok(walk(t, ROOT, 2, "pipe"));
    ok(p9c_rename(t->c, 2, ROOT, "tube"));
    ok(p9c_remove(t->c, 2));
    ok(p9c_unlinkat(t->c, ROOT, "dir", P9C_AT_REMOVEDIR));

    ok(walk(t, ROOT, 3, ""));
    ok(open_fid(t, 3, P9C_O_DIRECTORY));
    entries = p9c_readdir_all(t->c, 3, MSIZE_MIN - RREAD);
    g_assert_nonnull(p9c_dirent_find(entries, name));
    g_assert_nonnull(p9c_dirent_find(entries, "file"));

    if (has(t, HAS_XATTRS)) {
        ok(put_xattr(t, 1, "user.test", data, 2000, 0));
        n = sizeof(buf) - RREAD;
        ok(take_xattr(t, 1, "user.test", buf, &n));
        g_assert_cmpmem(buf, n, data, 2000);
    }

    /* A target that just fits, is too long for a request, or for a reply */
    ok(make_symlink(t, ROOT, "link", target));
    ok(walk(t, ROOT, 4, "link"));
    ok(p9c_readlink(t->c, 4, &got));
    g_assert_cmpstr(got, ==, target);
    fails(make_symlink(t, ROOT, "link2", longer), EMSGSIZE);
    if (has(t, HAS_SAME)) {
        path = host_path(t, "link2");
        g_assert_cmpint(symlink(longer, path), ==, 0);
        ok(walk(t, ROOT, 5, "link2"));
        fails(p9c_readlink(t->c, 5, NULL), EMSGSIZE);
        ok(clunk(t, 5));
    }
    for (i = 0; i < P9C_WALK_MAX; i++) {
        names[i] = name;
    }
    fails(p9c_walk(t->c, ROOT, 6, names, P9C_WALK_MAX, NULL, NULL), EMSGSIZE);
    assert_alive(t);
}

/* The largest msize, and data that fills it */
static void test_msize_max(Test *t)
{
    g_autofree uint8_t *data = g_malloc(MSIZE_MAX);
    g_autofree uint8_t *back = g_malloc(MSIZE_MAX);
    uint32_t msize, n, i;

    ok(p9c_version(t->c, UINT32_MAX, P9C_VERSION, &msize, NULL));
    g_assert_cmpuint(msize, ==, MSIZE_MAX);
    session_msize(t, msize);
    for (i = 0; i < MSIZE_MAX; i++) {
        data[i] = g_test_rand_int();
    }
    ok(new_file(t, 1, "file"));
    ok(p9c_write(t->c, 1, 0, data, msize - TWRITE, &n));
    g_assert_cmpuint(n, ==, msize - TWRITE);
    fails(p9c_write(t->c, 1, 0, data, msize - TWRITE + 1, &n), EMSGSIZE);
    ok(p9c_write(t->c, 1, msize - TWRITE, data + msize - TWRITE, TWRITE, &n));
    /* One byte less: libqos gives 16 bits of a length, which must not be 0. */
    ok(p9c_read(t->c, 1, 0, msize - RREAD - 1, back, &n));
    g_assert_cmpuint(n, ==, msize - RREAD - 1);
    g_assert_cmpmem(data, n, back, n);
    assert_alive(t);
}

/*
 * Tread and Twrite
 */

/* A Tread with any count: it returns what is there and fits. */
static uint32_t read_count(Test *t, uint32_t fid, uint64_t offset,
                           uint32_t count, int expect)
{
    P9Call *call = p9c_read_call(t->c, fid, offset, count);
    uint32_t n = 0;

    p9c_submit(call);
    fails(p9c_wait(call), expect);
    if (!expect) {
        n = p9c_get_u32(call);
        g_assert_cmpuint(n, ==, p9c_get_left(call));
        p9c_get_bytes(call, n);
    }
    p9c_call_end(call);
    return n;
}

/*
 * A Twrite with count @count and @bytes of data. Its header has the size @size;
 * 0 stands for its real length.
 */
static int write_count(Test *t, uint32_t fid, uint32_t count, uint32_t bytes,
                       uint32_t size)
{
    static const uint8_t data[64];
    P9Call *call = p9c_call(t->c, P9C_TWRITE);
    int ret;

    p9c_put(call, PUT(U32(fid), U64(0), U32(count), DATA(data, bytes)));
    if (size) {
        p9c_set_size(call, size);
    }
    p9c_submit(call);
    ret = p9c_wait(call);
    if (!ret) {
        g_assert_cmpuint(p9c_get_u32(call), ==, count);
    }
    p9c_call_end(call);
    return ret;
}

static void test_counts(Test *t)
{
    static const uint32_t counts[] = {
        P9C_MSIZE - RREAD, P9C_MSIZE, 65536, INT32_MAX, UINT32_MAX,
    };
    static const uint8_t data[P9C_MSIZE];
    const uint32_t most = P9C_MSIZE - RREAD;
    P9CSetAttr set = { .valid = P9C_SETATTR_SIZE, .size = 100000 };
    unsigned i;
    uint32_t n;

    ok(new_file(t, 1, "file"));
    ok(p9c_setattr(t->c, 1, &set));
    for (i = 0; i < ARRAY_SIZE(counts); i++) {
        g_assert_cmpuint(read_count(t, 1, 0, counts[i], 0), ==, most);
        g_assert_cmpuint(read_count(t, 1, 99990, counts[i], 0), ==, 10);
        g_assert_cmpuint(read_count(t, 1, 100000, counts[i], 0), ==, 0);
    }
    g_assert_cmpuint(read_count(t, 1, 0, 0, 0), ==, 0);

    /* Linux before 4.19 leaves the data out of the header's size. */
    ok(write_count(t, 1, 10, 10, TWRITE));
    fails(write_count(t, 1, 11, 10, TWRITE), EINVAL);
    fails(write_count(t, 1, 10, 10, TWRITE + 9), EINVAL);
    fails(write_count(t, 1, 65536, 10, 0), EINVAL);
    fails(write_count(t, 1, UINT32_MAX, 10, 0), EINVAL);
    fails(write_count(t, 1, UINT32_MAX - TWRITE + 1, 0, 0), EINVAL);
    fails(write_count(t, 1, 11, 10, 0), EINVAL);
    fails(write_count(t, 1, 9, 10, 0), EINVAL);
    fails(write_count(t, 1, 1, 0, 0), EINVAL);
    ok(write_count(t, 1, 0, 0, 0));
    ok(write_count(t, 1, 10, 10, 0));
    fails(p9c_write(t->c, 1, 0, data, sizeof(data), &n), EMSGSIZE);
    g_assert_cmpuint(fid_attr(t, 1).size, ==, 100000);
    assert_alive(t);
}

/* The host's result of a write at that offset: 0 or an errno */
static int host_pwrite(Test *t, uint64_t offset)
{
    g_autofree char *path = host_path(t, "same");
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    int ret;

    g_assert_cmpint(fd, >=, 0);
    ret = pwrite(fd, "ab", 2, offset) == 2 ? 0 : errno;
    close(fd);
    return ret;
}

static void test_offsets(Test *t)
{
    static const uint64_t offsets[] = {
        UINT32_MAX, (4ull << 30) + 9, 1ull << 40, 1ull << 43, 1ull << 44,
        1ull << 62, INT64_MAX - 100, INT64_MAX - 2,
    };
    P9CSetAttr set = { .valid = P9C_SETATTR_SIZE };
    char buf[4];
    uint32_t n;
    unsigned i;
    int host;

    ok(new_file(t, 1, "file"));
    for (i = 0; i < ARRAY_SIZE(offsets); i++) {
        host = host_pwrite(t, offsets[i]);
        fails(p9c_write(t->c, 1, offsets[i], "ab", 2, &n), host);
        if (host == 0) {
            g_assert_cmpuint(fid_attr(t, 1).size, ==, offsets[i] + 2);
            ok(p9c_read(t->c, 1, offsets[i], 4, buf, &n));
            g_assert_cmpmem(buf, n, "ab", 2);
            ok(p9c_read(t->c, 1, offsets[i] - 2, 2, buf, &n));
            g_assert_cmpmem(buf, n, "\0", 2);
        } else {
            ok(p9c_read(t->c, 1, offsets[i], 2, buf, &n));
            g_assert_cmpuint(n, ==, 0);
        }
    }
    g_assert_cmpuint(fid_attr(t, 1).blocks, <=, 1024);

    fails(p9c_write(t->c, 1, INT64_MAX - 1, "ab", 2, &n), EFBIG);
    fails(p9c_write(t->c, 1, INT64_MAX, "ab", 2, &n), EFBIG);
    fails(p9c_write(t->c, 1, 1ull << 63, "ab", 2, &n), EINVAL);
    fails(p9c_write(t->c, 1, UINT64_MAX, "ab", 2, &n), EINVAL);
    set.size = 0;
    ok(p9c_setattr(t->c, 1, &set));
    g_assert_cmpuint(read_count(t, 1, INT64_MAX, 100, 0), ==, 0);
    g_assert_cmpuint(read_count(t, 1, INT64_MAX - 1, UINT32_MAX, 0), ==, 0);
    read_count(t, 1, 1ull << 63, 100, EINVAL);
    read_count(t, 1, UINT64_MAX, UINT32_MAX, EINVAL);
    set.size = 1ull << 63;
    fails(p9c_setattr(t->c, 1, &set), EFBIG);
    set.size = UINT64_MAX;
    fails(p9c_setattr(t->c, 1, &set), EFBIG);

    ok(walk(t, ROOT, 2, ""));
    ok(open_fid(t, 2, P9C_O_RDONLY));
    fails(p9c_readdir(t->c, 2, 1ull << 63, 4096, NULL, NULL), EINVAL);
    fails(p9c_readdir(t->c, 2, UINT64_MAX, 4096, NULL, NULL), EINVAL);
    assert_alive(t);
}

/*
 * Names
 */

static void test_walk_count(Test *t)
{
    const char *names[P9C_WALK_MAX + 1];
    P9CQid qids[P9C_WALK_MAX + 1];
    unsigned i, walked;

    ok(walk(t, ROOT, 1, ""));
    for (i = 0; i <= P9C_WALK_MAX; i++) {
        names[i] = "d";
        ok(make_dir(t, 1, "d", 0755));
        ok(walk(t, 1, 1, "d"));
    }
    ok(p9c_walk(t->c, ROOT, 2, names, P9C_WALK_MAX, &walked, qids));
    g_assert_cmpuint(walked, ==, P9C_WALK_MAX);
    ok(walk(t, 2, 2, "d"));
    g_assert_cmphex(fid_attr(t, 1).qid.path, ==, fid_attr(t, 2).qid.path);
    fails(p9c_walk(t->c, ROOT, 3, names, P9C_WALK_MAX + 1, NULL, NULL),
          EINVAL);
    fails(clunk(t, 3), ENOENT);
    assert_alive(t);
}

/* All messages with a name, at the greatest length and beyond */
static void test_name_lengths(Test *t)
{
    g_autofree char *most = g_strnfill(NAME_MAX, 'm');
    g_autofree char *more = g_strnfill(NAME_MAX + 1, 'm');
    g_autofree char *huge = g_strnfill(P9C_MSIZE - 100, 'h');
    const char *bad[] = { more, huge };
    unsigned i;

    ok(new_file(t, 1, "file"));
    ok(walk(t, ROOT, 2, "file"));
    for (i = 0; i < ARRAY_SIZE(bad); i++) {
        fails(new_file(t, 3, bad[i]), ENAMETOOLONG);
        ok(clunk(t, 3));
        fails(walk(t, ROOT, 3, bad[i]), ENAMETOOLONG);
        fails(make_dir(t, ROOT, bad[i], 0755), ENAMETOOLONG);
        fails(make_node(t, ROOT, bad[i], S_IFIFO, 0, 0),
              ENAMETOOLONG);
        fails(make_symlink(t, ROOT, bad[i], "x"), ENAMETOOLONG);
        fails(p9c_link(t->c, ROOT, 2, bad[i]), ENAMETOOLONG);
        fails(p9c_rename(t->c, 2, ROOT, bad[i]), ENAMETOOLONG);
        fails(p9c_renameat(t->c, ROOT, "file", ROOT, bad[i]), ENAMETOOLONG);
        fails(p9c_renameat(t->c, ROOT, bad[i], ROOT, "x"), ENAMETOOLONG);
        fails(p9c_unlinkat(t->c, ROOT, bad[i], 0), ENAMETOOLONG);
    }

    ok(new_file(t, 3, most));
    ok(clunk(t, 3));
    ok(walk(t, ROOT, 3, most));
    ok(p9c_remove(t->c, 3));
    ok(make_dir(t, ROOT, most, 0755));
    ok(p9c_unlinkat(t->c, ROOT, most, P9C_AT_REMOVEDIR));
    ok(make_node(t, ROOT, most, S_IFIFO | 0600, 0, 0));
    ok(p9c_unlinkat(t->c, ROOT, most, 0));
    ok(make_symlink(t, ROOT, most, "x"));
    ok(p9c_unlinkat(t->c, ROOT, most, 0));
    ok(p9c_link(t->c, ROOT, 2, most));
    ok(p9c_unlinkat(t->c, ROOT, most, 0));
    ok(p9c_rename(t->c, 2, ROOT, most));
    ok(p9c_renameat(t->c, ROOT, most, ROOT, "file"));
    ok(p9c_renameat(t->c, ROOT, "file", ROOT, most));
    g_assert_true(host_has(t, most));
    assert_alive(t);
}

/* Names may contain every byte except "/" and NUL, and stay unchanged. */
static void test_name_bytes(Test *t)
{
    static const char *const odd[] = {
        "a\nb", "\xff\xfe", "\xc3", "\xed\xa0\x80", " ", "-rf", "...", "..a",
        "%s%n", "*", "\"'`$(x)", "\x7f\x1b[2J", "a,b=c", "\\", "~",
    };
    g_autoptr(GPtrArray) entries = NULL;
    g_autoptr(GPtrArray) names = g_ptr_array_new_with_free_func(g_free);
    P9Call *call;
    unsigned i;

    for (i = 1; i < 256; i++) {
        if (i != '/') {
            g_ptr_array_add(names, g_strdup_printf("%c%cx", i, i));
        }
    }
    for (i = 0; i < ARRAY_SIZE(odd); i++) {
        g_ptr_array_add(names, g_strdup(odd[i]));
    }
    for (i = 0; i < names->len; i++) {
        const char *name = names->pdata[i];

        ok(make_dir(t, ROOT, name, 0755));
        g_assert_true(host_has(t, name));
    }
    ok(walk(t, ROOT, 1, ""));
    ok(open_fid(t, 1, P9C_O_RDONLY));
    entries = p9c_readdir_all(t->c, 1, 4096);
    g_assert_cmpuint(entries->len, ==, names->len + 2);
    for (i = 0; i < names->len; i++) {
        const char *name = names->pdata[i];

        g_assert_nonnull(p9c_dirent_find(entries, name));
        ok(p9c_walk(t->c, ROOT, 2, &name, 1, NULL, NULL));
        ok(p9c_rename(t->c, 2, ROOT, "other"));
        ok(p9c_renameat(t->c, ROOT, "other", ROOT, name));
        ok(p9c_remove(t->c, 2));
        g_assert_false(host_has(t, name));
    }

    /* A NUL within a name, and at its end */
    for (i = 1; i < 3; i++) {
        call = p9c_request(t->c, P9C_TMKDIR,
                           PUT(U32(ROOT), U16(3),
                               DATA(i == 1 ? "a\0b" : "ab\0", 3), U32(0755),
                               U32(0)));
        p9c_refused(call, EINVAL);
    }
    g_assert_false(host_has(t, "a"));
    g_assert_false(host_has(t, "ab"));
    assert_alive(t);
}

/* The host makes directories so deep that no path reaches them. */
static void host_make_deep(Test *t)
{
    int fd = open(t->dir, O_DIRECTORY | O_RDONLY);
    unsigned i;

    for (i = 0; i < DEPTH; i++) {
        int below;

        g_assert_cmpint(fd, >=, 0);
        g_assert_cmpint(mkdirat(fd, "dd", 0755), ==, 0);
        below = openat(fd, "dd", O_DIRECTORY | O_RDONLY);
        if (t->host_uid != geteuid()) {
            g_assert_cmpint(fchown(below, t->host_uid, t->host_gid), ==, 0);
        }
        close(fd);
        fd = below;
    }
    close(fd);
}

/* Directories deeper than the length limit of a path */
static void test_depth(Test *t)
{
    const char *down[P9C_WALK_MAX], *up[P9C_WALK_MAX];
    uint64_t above = 0;
    unsigned i, n, walked;

    host_make_deep(t);
    for (i = 0; i < P9C_WALK_MAX; i++) {
        down[i] = "dd";
        up[i] = "..";
    }
    ok(walk(t, ROOT, 1, ""));
    for (i = 0; i < DEPTH; i += n) {
        n = MIN(P9C_WALK_MAX, DEPTH - i);
        if (i + P9C_WALK_MAX >= DEPTH) {
            above = fid_attr(t, 1).qid.path;
            ok(walk(t, 1, 2, ""));
        }
        ok(p9c_walk(t->c, 1, 1, down, n, &walked, NULL));
        g_assert_cmpuint(walked, ==, n);
    }

    /* Down there everything works as further up. */
    make_file(t, 1, "file", "deep");
    ok(make_dir(t, 1, "below", 0700));
    ok(walk(t, 1, 3, "file"));
    ok(set_mode(t, 3, 0604));
    ok(p9c_renameat(t->c, 1, "file", ROOT, "file"));
    g_assert_true(host_has(t, "file"));
    same_inode(t, 3, "file");
    ok(p9c_unlinkat(t->c, 1, "below", P9C_AT_REMOVEDIR));
    ok(p9c_walk(t->c, 1, 4, up, n, &walked, NULL));
    g_assert_cmpuint(walked, ==, n);
    g_assert_cmphex(fid_attr(t, 4).qid.path, ==, above);

    /* Remove the deepest directories, by fid and by name. */
    ok(p9c_remove(t->c, 1));
    fails(p9c_walk(t->c, 2, 5, down, n, &walked, NULL), 0);
    g_assert_cmpuint(walked, ==, n - 1);
    ok(p9c_walk(t->c, 2, 5, down, n - 2, NULL, NULL));
    ok(p9c_unlinkat(t->c, 5, "dd", P9C_AT_REMOVEDIR));
    assert_alive(t);
}

/*
 * Fids
 */

static void test_fids(Test *t)
{
    static const char *const name[] = { "file" };
    static const uint32_t unknown[] = { 7, INT32_MAX, 0xfffffffeu, P9C_NOFID };
    uint64_t size;
    unsigned i;

    ok(new_file(t, 1, "file"));
    /* In use */
    fails(p9c_walk(t->c, ROOT, 1, name, 1, NULL, NULL), EBADF);
    fails(walk(t, ROOT, 1, ""), EBADF);
    fails(p9c_attach(t->c, 1, 0, NULL), EBADF);
    fails(p9c_attach(t->c, ROOT, 0, NULL), EBADF);
    fails(p9c_xattrwalk(t->c, 1, ROOT, "", &size), EBADF);
    /* NOFID, which is not in use but invalid */
    fails(p9c_walk(t->c, ROOT, P9C_NOFID, name, 1, NULL, NULL), EBADF);
    fails(p9c_attach(t->c, P9C_NOFID, 0, NULL), EBADF);
    fails(p9c_xattrwalk(t->c, 1, P9C_NOFID, "", &size), EBADF);
    for (i = 0; i < ARRAY_SIZE(unknown); i++) {
        fails(walk(t, unknown[i], 9, ""), ENOENT);
        fails(clunk(t, unknown[i]), ENOENT);
        fails(p9c_renameat(t->c, ROOT, "file", unknown[i], "x"), ENOENT);
        fails(p9c_link(t->c, ROOT, unknown[i], "x"), ENOENT);
    }
    /* Any other number is valid. */
    ok(walk(t, ROOT, 0xfffffffeu, "file"));
    ok(walk(t, ROOT, 0x80000000u, "file"));
    ok(clunk(t, 0xfffffffeu));
    ok(clunk(t, 0x80000000u));
    assert_alive(t);
}

/* One inode is one node for any number of fids. */
static void test_many_fids(Test *t)
{
    unsigned before = p9_host_descriptors();
    unsigned i;

    ok(new_file(t, 1, "file"));
    for (i = 0; i < MANY_FIDS; i++) {
        ok(walk(t, ROOT, 100 + i, "file"));
    }
    g_assert_cmpuint(p9_host_descriptors(), <, before + 20);
    for (i = 0; i < MANY_FIDS; i += 100) {
        g_assert_cmphex(fid_attr(t, 100 + i).mode, ==,
                        fid_attr(t, 1).mode);
    }
    session(t);
    p9_host_wait_descriptors(before);
}

/*
 * More files than QEMU may have handles for, with a fid on each. QEMU closes
 * handles and finds the inodes again, even if their names have changed. It
 * cannot close open files, so at their limit it answers ENFILE. The same limit
 * holds for a helper, which has a descriptor for each of QEMU's handles.
 */
static void test_budget(Test *t)
{
    unsigned files = FEW_FDS * 2;
    unsigned i, opened, tries;
    int err = 0;

    host_mkdir(t, "d");
    for (i = 0; i < files; i++) {
        g_autofree char *name = g_strdup_printf("d/%u", i);

        host_write(t, name, name);
    }
    ok(walk(t, ROOT, 1, "d"));
    for (i = 0; i < files; i++) {
        g_autofree char *name = g_strdup_printf("%u", i);

        ok(walk(t, 1, 100 + i, name));
    }
    g_assert_cmpuint(p9_host_descriptors(), <, 2 * FEW_FDS);

    /* A file with a new name, or without one, is still the same file. */
    ok(make_dir(t, ROOT, "new", 0755));
    ok(walk(t, ROOT, 2, "new"));
    ok(p9c_renameat(t->c, ROOT, "d", 2, "e"));
    ok(p9c_renameat(t->c, 1, "7", 1, "seven"));
    ok(p9c_unlinkat(t->c, 1, "3", 0));
    ok(p9c_unlinkat(t->c, 1, "5", 0));
    for (i = 0; i < files; i++) {
        g_autofree char *data = g_strdup_printf("d/%u", i);
        P9CAttr attr = fid_attr(t, 100 + i);

        g_assert_cmpuint(attr.size, ==, strlen(data));
        g_assert_cmpuint(attr.nlink, ==, i != 3 && i != 5);
        if (i % 10 == 3 || i == 5) {
            ok(walk(t, 100 + i, 3, ""));
            ok(open_fid(t, 3, P9C_O_RDWR));
            read_is(t, 3, 0, data);
            ok(clunk(t, 3));
        }
    }
    same_inode(t, 107, "new/e/seven");

    /* Open files up to the limit; twice, because a clunk makes room. */
    for (tries = 0; tries < 2; tries++) {
        for (opened = 0; opened < FEW_FDS; opened++) {
            ok(walk(t, 100 + opened % files, 5000 + opened, ""));
            err = open_fid(t, 5000 + opened, P9C_O_RDONLY);
            if (err) {
                break;
            }
        }
        fails(err, ENFILE);
        g_assert_cmpuint(opened, >=, FEW_FDS / 4);
        ok(clunk(t, 5000 + opened));
        /* Everything else goes on. */
        for (i = 0; i < files; i += 9) {
            fid_attr(t, 100 + i);
        }
        read_is(t, 5000, 0, "d/0");
        while (opened) {
            ok(clunk(t, 5000 + --opened));
        }
    }
    ok(make_dir(t, 1, "more", 0700));
    assert_alive(t);
}

/*
 * Requests at once
 */

/* As many as the queue has room for; a stopped helper delays the replies. */
static void test_in_flight(Test *t)
{
    unsigned n = t->v9p->vq->size / 2;
    g_autofree P9Call **calls = g_new(P9Call *, n);
    unsigned round, i, left;

    ok(new_file(t, 1, "file"));
    for (round = 0; round < 2; round++) {
        if (has(t, HAS_HELPER)) {
            p9_host_signal_helpers(SIGSTOP);
        }
        for (i = 0; i < n; i++) {
            calls[i] = p9c_walk_call(t->c, ROOT, 100 + i,
                                     i % 3 ? "file" : "none");
            p9c_submit(calls[i]);
        }
        if (has(t, HAS_HELPER)) {
            p9c_pause(t->c);
            p9_host_signal_helpers(SIGCONT);
        }
        for (i = 0; i < n; i++) {
            fails(p9c_wait(calls[i]), i % 3 ? 0 : ENOENT);
            left = p9c_get_left(calls[i]);
            p9c_get_bytes(calls[i], left);
            p9c_call_end(calls[i]);
            fails(clunk(t, 100 + i), i % 3 ? 0 : ENOENT);
        }
    }
    assert_alive(t);
}

const Case behaviour_limits[] = {
    { "msize-min", test_msize_min, HAS_HOST, CASE_ANYBODY },
    { "msize-max", test_msize_max, HAS_HOST, CASE_ANYBODY },
    { "counts", test_counts, HAS_HOST, CASE_SMALL | CASE_ANYBODY },
    { "offsets", test_offsets, HAS_HOST, CASE_SMALL | CASE_ANYBODY },
    { "walk-count", test_walk_count, HAS_HOST, CASE_ANYBODY },
    { "name-lengths", test_name_lengths, HAS_HOST, CASE_SMALL | CASE_ANYBODY },
    { "name-bytes", test_name_bytes, HAS_HOST, CASE_ANYBODY },
    { "depth", test_depth, HAS_HOST | HAS_HANDLES, CASE_ANYBODY },
    { "fids", test_fids, HAS_HOST, CASE_ANYBODY },
    { "many-fids", test_many_fids, HAS_HOST, CASE_ANYBODY },
    { "budget", test_budget, HAS_HOST | HAS_HANDLES, CASE_FEW_FDS },
    { "in-flight", test_in_flight, HAS_HOST, CASE_SMALL | CASE_ANYBODY },
    { NULL }
};
