/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Limits of the 9p server, on exports with real files: sizes of messages,
 * lengths and bytes of names, depth of directories, extended attributes,
 * offsets, and how many requests there can be at once. What is past a limit
 * gets an error that says so, and the session goes on.
 *
 * Each case runs for each driver, on the file system of the current folder.
 */
#include "qemu/osdep.h"
#include <sys/xattr.h>
#include "libqtest-single.h"
#include "qemu/module.h"
#include "qemu/units.h"
#include "virtio-9p-host.h"

#define ROOT        P9C_ROOT
#define MSIZE_MIN   4096
#define MSIZE_MAX   (1 * MiB)
#define RREAD       (P9C_HEADER + 4)        /* bytes that are not data */
#define TWRITE      (P9C_HEADER + 16)
#define XATTR_MAX   65536
#define DEPTH       4200
#define MANY_FIDS   3000

typedef struct Driver {
    const char *name;
    const char *fsdev;
    bool helper;
    bool mapped;                /* links are files on the host */
} Driver;

static const Driver drivers[] = {
#ifdef CONFIG_VIRTFS_PROXY_HELPER
    { "proxy", "proxy,path=%s,max_xattr=4", true },
#endif
    { "local", "local,path=%s,security_model=none,max_xattr=4" },
    { "mapped-xattr", "local,path=%s,security_model=mapped-xattr,max_xattr=4",
      .mapped = true },
    { "mapped-file", "local,path=%s,security_model=mapped-file,max_xattr=4",
      .mapped = true },
};

typedef struct Test {
    const Driver *driver;
    void (*run)(struct Test *t);
    char *dir;                  /* the export; absolute */
    QVirtio9P *v9p;
    P9Client *c;
} Test;

/* Results of messages: 0 or a Linux errno */
#define ok(call)            g_assert_cmpint(call, ==, 0)
#define fails(call, error)  g_assert_cmpint(call, ==, error)

static char *host_path(Test *t, const char *name)
{
    return g_build_filename(t->dir, name, NULL);
}

static bool host_has(Test *t, const char *name)
{
    g_autofree char *path = host_path(t, name);
    struct stat st;

    return lstat(path, &st) == 0;
}

static int walk(Test *t, uint32_t fid, uint32_t newfid, const char *path)
{
    return p9c_walk_to(t->c, fid, newfid, path);
}

/* A new file in the root, open as @fid */
static int create(Test *t, uint32_t fid, const char *name, uint32_t flags)
{
    ok(walk(t, ROOT, fid, ""));
    return p9c_lcreate(t->c, fid, name, flags, 0644, 0, NULL, NULL);
}

static P9CAttr attr_of(Test *t, uint32_t fid)
{
    P9CAttr attr;

    ok(p9c_getattr(t->c, fid, P9C_GETATTR_BASIC, &attr));
    return attr;
}

static void assert_alive(Test *t)
{
    g_assert_false(p9c_needs_reset(t->c));
    g_assert_cmphex(attr_of(t, ROOT).mode & S_IFMT, ==, S_IFDIR);
}

/*
 * Sizes of messages
 */

static void set_xattr(Test *t, uint32_t fid, const void *value, uint32_t size,
                      int expect)
{
    const uint32_t most = MSIZE_MIN - TWRITE;
    const uint32_t tmp = 0x7a;
    uint32_t at, n, part;

    ok(walk(t, fid, tmp, ""));
    ok(p9c_xattrcreate(t->c, tmp, "user.x", size, 0));
    for (at = 0; at < size; at += n) {
        part = MIN(size - at, most);
        ok(p9c_write(t->c, tmp, at, value + at, part, &n));
        g_assert_cmpuint(n, ==, part);
    }
    fails(p9c_clunk(t->c, tmp), expect);
}

static void xattr_is(Test *t, uint32_t fid, const uint8_t *value,
                     uint32_t size)
{
    const uint32_t most = MSIZE_MIN - RREAD;
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
    ok(p9c_clunk(t->c, tmp));
}

/* Every message with the least msize, and as large as it then may be */
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
    p9c_session_msize(t->c, MSIZE_MIN);

    ok(create(t, 1, "file", P9C_O_RDWR));
    ok(p9c_write(t->c, 1, 0, data, MSIZE_MIN - TWRITE, &n));
    g_assert_cmpuint(n, ==, MSIZE_MIN - TWRITE);
    fails(p9c_write(t->c, 1, 0, data, MSIZE_MIN - TWRITE + 1, &n), EMSGSIZE);
    ok(p9c_write(t->c, 1, MSIZE_MIN, data, 1, &n));
    ok(p9c_read(t->c, 1, 0, MSIZE_MIN - RREAD, buf, &n));
    g_assert_cmpuint(n, ==, MSIZE_MIN - RREAD);
    ok(p9c_fsync(t->c, 1, true));
    ok(p9c_setattr(t->c, 1, &set));
    g_assert_cmpuint(attr_of(t, 1).size, ==, 5);
    ok(p9c_lock(t->c, 1, &lock, &status));
    g_assert_cmpuint(status, ==, P9C_LOCK_SUCCESS);
    ok(p9c_getlock(t->c, 1, &lock));
    g_free((char *)lock.client_id);
    ok(p9c_clunk(t->c, 1));
    ok(walk(t, ROOT, 1, "file"));
    ok(p9c_lopen(t->c, 1, P9C_O_RDONLY, NULL, &iounit));
    g_assert_cmpuint(iounit, <=, MSIZE_MIN - RREAD);
    ok(p9c_statfs(t->c, ROOT, &st));
    ok(p9c_flush(t->c, 4711));

    ok(p9c_mkdir(t->c, ROOT, "dir", 0755, 0, NULL));
    ok(p9c_mknod(t->c, ROOT, "fifo", S_IFIFO | 0644, 0, 0, 0, NULL));
    ok(p9c_link(t->c, ROOT, 1, name));
    ok(p9c_renameat(t->c, ROOT, "fifo", ROOT, "pipe"));
    ok(walk(t, ROOT, 2, "pipe"));
    ok(p9c_rename(t->c, 2, ROOT, "tube"));
    ok(p9c_remove(t->c, 2));
    ok(p9c_unlinkat(t->c, ROOT, "dir", P9C_AT_REMOVEDIR));

    ok(walk(t, ROOT, 3, ""));
    ok(p9c_lopen(t->c, 3, P9C_O_RDONLY | P9C_O_DIRECTORY, NULL, NULL));
    entries = p9c_readdir_all(t->c, 3, MSIZE_MIN - RREAD);
    g_assert_nonnull(p9c_dirent_find(entries, name));
    g_assert_nonnull(p9c_dirent_find(entries, "file"));

    set_xattr(t, 1, data, 2000, 0);
    xattr_is(t, 1, data, 2000);

    /* Just fits; does not fit into a request; into a reply */
    ok(p9c_symlink(t->c, ROOT, "link", target, 0, NULL));
    ok(walk(t, ROOT, 4, "link"));
    ok(p9c_readlink(t->c, 4, &got));
    g_assert_cmpstr(got, ==, target);
    fails(p9c_symlink(t->c, ROOT, "link2", longer, 0, NULL), EMSGSIZE);
    if (!t->driver->mapped) {
        path = host_path(t, "link2");
        g_assert_cmpint(symlink(longer, path), ==, 0);
        ok(walk(t, ROOT, 5, "link2"));
        fails(p9c_readlink(t->c, 5, NULL), EMSGSIZE);
        ok(p9c_clunk(t->c, 5));
    }
    for (i = 0; i < P9C_WALK_MAX; i++) {
        names[i] = name;
    }
    fails(p9c_walk(t->c, ROOT, 6, names, P9C_WALK_MAX, NULL, NULL), EMSGSIZE);
    assert_alive(t);
}

/* The greatest msize that there is, and data that fills it */
static void test_msize_max(Test *t)
{
    g_autofree uint8_t *data = g_malloc(MSIZE_MAX);
    g_autofree uint8_t *back = g_malloc(MSIZE_MAX);
    uint32_t msize, n, i;

    ok(p9c_version(t->c, UINT32_MAX, P9C_VERSION, &msize, NULL));
    g_assert_cmpuint(msize, ==, MSIZE_MAX);
    p9c_session_msize(t->c, msize);
    for (i = 0; i < MSIZE_MAX; i++) {
        data[i] = g_test_rand_int();
    }
    ok(create(t, 1, "file", P9C_O_RDWR));
    ok(p9c_write(t->c, 1, 0, data, msize - TWRITE, &n));
    g_assert_cmpuint(n, ==, msize - TWRITE);
    fails(p9c_write(t->c, 1, 0, data, msize - TWRITE + 1, &n), EMSGSIZE);
    ok(p9c_write(t->c, 1, msize - TWRITE, data + msize - TWRITE, TWRITE, &n));
    /* One less: of its length libqos tells 16 bits, which must not be 0. */
    ok(p9c_read(t->c, 1, 0, msize - RREAD - 1, back, &n));
    g_assert_cmpuint(n, ==, msize - RREAD - 1);
    g_assert_cmpmem(data, n, back, n);
    assert_alive(t);
}

/*
 * Tread and Twrite
 */

/* A Tread with any count: as much as there is and fits */
static uint32_t read_count(Test *t, uint32_t fid, uint64_t offset,
                           uint32_t count, int expect)
{
    P9Call *call = p9c_call(t->c, P9C_TREAD);
    uint32_t n = 0;

    p9c_put_u32(call, fid);
    p9c_put_u64(call, offset);
    p9c_put_u32(call, count);
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

/* A Twrite that says @count and has @bytes of data */
static int write_count(Test *t, uint32_t fid, uint32_t count, uint32_t bytes)
{
    static const uint8_t data[64];
    P9Call *call = p9c_call(t->c, P9C_TWRITE);
    int ret;

    p9c_put_u32(call, fid);
    p9c_put_u64(call, 0);
    p9c_put_u32(call, count);
    p9c_put_bytes(call, data, bytes);
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

    ok(create(t, 1, "file", P9C_O_RDWR));
    ok(p9c_setattr(t->c, 1, &set));
    for (i = 0; i < ARRAY_SIZE(counts); i++) {
        g_assert_cmpuint(read_count(t, 1, 0, counts[i], 0), ==, most);
        g_assert_cmpuint(read_count(t, 1, 99990, counts[i], 0), ==, 10);
        g_assert_cmpuint(read_count(t, 1, 100000, counts[i], 0), ==, 0);
    }
    g_assert_cmpuint(read_count(t, 1, 0, 0, 0), ==, 0);

    fails(write_count(t, 1, 65536, 10), EINVAL);
    fails(write_count(t, 1, UINT32_MAX, 10), EINVAL);
    fails(write_count(t, 1, UINT32_MAX - TWRITE + 1, 0), EINVAL);
    fails(write_count(t, 1, 11, 10), EINVAL);
    fails(write_count(t, 1, 9, 10), EINVAL);
    fails(write_count(t, 1, 1, 0), EINVAL);
    ok(write_count(t, 1, 0, 0));
    ok(write_count(t, 1, 10, 10));
    fails(p9c_write(t->c, 1, 0, data, sizeof(data), &n), EMSGSIZE);
    g_assert_cmpuint(attr_of(t, 1).size, ==, 100000);
    assert_alive(t);
}

/* What the host says to a write there: 0 or an errno */
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

    ok(create(t, 1, "file", P9C_O_RDWR));
    for (i = 0; i < ARRAY_SIZE(offsets); i++) {
        host = host_pwrite(t, offsets[i]);
        fails(p9c_write(t->c, 1, offsets[i], "ab", 2, &n), host);
        if (host == 0) {
            g_assert_cmpuint(attr_of(t, 1).size, ==, offsets[i] + 2);
            ok(p9c_read(t->c, 1, offsets[i], 4, buf, &n));
            g_assert_cmpmem(buf, n, "ab", 2);
            ok(p9c_read(t->c, 1, offsets[i] - 2, 2, buf, &n));
            g_assert_cmpmem(buf, n, "\0", 2);
        } else {
            ok(p9c_read(t->c, 1, offsets[i], 2, buf, &n));
            g_assert_cmpuint(n, ==, 0);
        }
    }
    g_assert_cmpuint(attr_of(t, 1).blocks, <=, 1024);

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
    ok(p9c_lopen(t->c, 2, P9C_O_RDONLY, NULL, NULL));
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
        ok(p9c_mkdir(t->c, 1, "d", 0755, 0, NULL));
        ok(walk(t, 1, 1, "d"));
    }
    ok(p9c_walk(t->c, ROOT, 2, names, P9C_WALK_MAX, &walked, qids));
    g_assert_cmpuint(walked, ==, P9C_WALK_MAX);
    ok(walk(t, 2, 2, "d"));
    g_assert_cmphex(attr_of(t, 1).qid.path, ==, attr_of(t, 2).qid.path);
    fails(p9c_walk(t->c, ROOT, 3, names, P9C_WALK_MAX + 1, NULL, NULL),
          EINVAL);
    fails(p9c_clunk(t->c, 3), EBADF);
    assert_alive(t);
}

/* All messages that take one, with a name of the greatest length and longer */
static void test_name_lengths(Test *t)
{
    g_autofree char *most = g_strnfill(NAME_MAX, 'm');
    g_autofree char *more = g_strnfill(NAME_MAX + 1, 'm');
    g_autofree char *huge = g_strnfill(P9C_MSIZE - 100, 'h');
    const char *bad[] = { more, huge };
    unsigned i;

    ok(create(t, 1, "file", P9C_O_RDWR));
    ok(walk(t, ROOT, 2, "file"));
    for (i = 0; i < ARRAY_SIZE(bad); i++) {
        fails(create(t, 3, bad[i], P9C_O_RDWR), ENAMETOOLONG);
        ok(p9c_clunk(t->c, 3));
        fails(walk(t, ROOT, 3, bad[i]), ENAMETOOLONG);
        fails(p9c_mkdir(t->c, ROOT, bad[i], 0755, 0, NULL), ENAMETOOLONG);
        fails(p9c_mknod(t->c, ROOT, bad[i], S_IFIFO, 0, 0, 0, NULL),
              ENAMETOOLONG);
        fails(p9c_symlink(t->c, ROOT, bad[i], "x", 0, NULL), ENAMETOOLONG);
        fails(p9c_link(t->c, ROOT, 2, bad[i]), ENAMETOOLONG);
        fails(p9c_rename(t->c, 2, ROOT, bad[i]), ENAMETOOLONG);
        fails(p9c_renameat(t->c, ROOT, "file", ROOT, bad[i]), ENAMETOOLONG);
        fails(p9c_renameat(t->c, ROOT, bad[i], ROOT, "x"), ENAMETOOLONG);
        fails(p9c_unlinkat(t->c, ROOT, bad[i], 0), ENAMETOOLONG);
    }

    ok(create(t, 3, most, P9C_O_RDWR));
    ok(p9c_clunk(t->c, 3));
    ok(walk(t, ROOT, 3, most));
    ok(p9c_remove(t->c, 3));
    ok(p9c_mkdir(t->c, ROOT, most, 0755, 0, NULL));
    ok(p9c_unlinkat(t->c, ROOT, most, P9C_AT_REMOVEDIR));
    ok(p9c_mknod(t->c, ROOT, most, S_IFIFO | 0600, 0, 0, 0, NULL));
    ok(p9c_unlinkat(t->c, ROOT, most, 0));
    ok(p9c_symlink(t->c, ROOT, most, "x", 0, NULL));
    ok(p9c_unlinkat(t->c, ROOT, most, 0));
    ok(p9c_link(t->c, ROOT, 2, most));
    ok(p9c_unlinkat(t->c, ROOT, most, 0));
    ok(p9c_rename(t->c, 2, ROOT, most));
    ok(p9c_renameat(t->c, ROOT, most, ROOT, "file"));
    ok(p9c_renameat(t->c, ROOT, "file", ROOT, most));
    g_assert_true(host_has(t, most));
    assert_alive(t);
}

/* Every byte but "/" and NUL is a name's; what a name is stays as it is. */
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

        ok(p9c_mkdir(t->c, ROOT, name, 0755, 0, NULL));
        g_assert_true(host_has(t, name));
    }
    ok(walk(t, ROOT, 1, ""));
    ok(p9c_lopen(t->c, 1, P9C_O_RDONLY, NULL, NULL));
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

    /* A NUL, which no name has: at its end, and within */
    for (i = 1; i < 3; i++) {
        call = p9c_call(t->c, P9C_TMKDIR);
        p9c_put_u32(call, ROOT);
        p9c_put_u16(call, 3);
        p9c_put_bytes(call, i == 1 ? "a\0b" : "ab\0", 3);
        p9c_put_u32(call, 0755);
        p9c_put_u32(call, 0);
        p9c_submit(call);
        fails(p9c_wait(call), EINVAL);
        p9c_call_end(call);
    }
    g_assert_false(host_has(t, "a"));
    g_assert_false(host_has(t, "ab"));
    assert_alive(t);
}

/* Directories in directories, more than a path may have bytes */
static void test_depth(Test *t)
{
    const char *down[P9C_WALK_MAX], *up[P9C_WALK_MAX];
    uint64_t above = 0, last;
    unsigned i, n, walked;

    for (i = 0; i < P9C_WALK_MAX; i++) {
        down[i] = "dd";
        up[i] = "..";
    }
    ok(walk(t, ROOT, 1, ""));
    for (i = 0; i < DEPTH; i++) {
        ok(p9c_mkdir(t->c, 1, "dd", 0755, 0, NULL));
        ok(walk(t, 1, 1, "dd"));
        if (i == DEPTH - P9C_WALK_MAX - 1) {
            above = attr_of(t, 1).qid.path;
        }
    }
    last = attr_of(t, 1).qid.path;

    ok(walk(t, ROOT, 2, ""));
    for (i = 0; i < DEPTH; i += n) {
        n = MIN(P9C_WALK_MAX, DEPTH - i);
        ok(p9c_walk(t->c, 2, 2, down, n, &walked, NULL));
        g_assert_cmpuint(walked, ==, n);
    }
    g_assert_cmphex(attr_of(t, 2).qid.path, ==, last);

    ok(p9c_lcreate(t->c, 2, "file", P9C_O_RDWR, 0600, 0, NULL, NULL));
    ok(p9c_write(t->c, 2, 0, "deep", 4, NULL));
    ok(p9c_renameat(t->c, 1, "file", ROOT, "file"));
    g_assert_true(host_has(t, "file"));
    ok(p9c_walk(t->c, 1, 3, up, P9C_WALK_MAX, &walked, NULL));
    g_assert_cmpuint(walked, ==, P9C_WALK_MAX);
    g_assert_cmphex(attr_of(t, 3).qid.path, ==, above);

    /* And away with the end of it, by names and by fids */
    ok(p9c_remove(t->c, 1));
    ok(p9c_walk(t->c, 3, 4, down, P9C_WALK_MAX - 1, NULL, NULL));
    ok(p9c_remove(t->c, 4));
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

    ok(create(t, 1, "file", P9C_O_RDWR));
    /* In use */
    fails(p9c_walk(t->c, ROOT, 1, name, 1, NULL, NULL), EBADF);
    fails(walk(t, ROOT, 1, ""), EBADF);
    fails(p9c_attach(t->c, 1, 0, NULL), EBADF);
    fails(p9c_attach(t->c, ROOT, 0, NULL), EBADF);
    fails(p9c_xattrwalk(t->c, 1, ROOT, "", &size), EBADF);
    /* The one that is none, though it is not in use */
    fails(p9c_walk(t->c, ROOT, P9C_NOFID, name, 1, NULL, NULL), EBADF);
    fails(p9c_attach(t->c, P9C_NOFID, 0, NULL), EBADF);
    fails(p9c_xattrwalk(t->c, 1, P9C_NOFID, "", &size), EBADF);
    for (i = 0; i < ARRAY_SIZE(unknown); i++) {
        fails(walk(t, unknown[i], 9, ""), EBADF);
        fails(p9c_clunk(t->c, unknown[i]), EBADF);
        fails(p9c_renameat(t->c, ROOT, "file", unknown[i], "x"), EBADF);
        fails(p9c_link(t->c, ROOT, unknown[i], "x"), EBADF);
    }
    /* Any other number will do */
    ok(walk(t, ROOT, 0xfffffffeu, "file"));
    ok(walk(t, ROOT, 0x80000000u, "file"));
    ok(p9c_clunk(t->c, 0xfffffffeu));
    ok(p9c_clunk(t->c, 0x80000000u));
    assert_alive(t);
}

/* More than there are descriptors, if there were one for each */
static void test_many_fids(Test *t)
{
    unsigned before = p9_host_descriptors();
    unsigned i;

    ok(create(t, 1, "file", P9C_O_RDWR));
    for (i = 0; i < MANY_FIDS; i++) {
        ok(walk(t, ROOT, 100 + i, "file"));
    }
    /* One inode is one node, whatever the number of fids. */
    g_assert_cmpuint(p9_host_descriptors(), <, before + 20);
    for (i = 0; i < MANY_FIDS; i += 100) {
        g_assert_cmphex(attr_of(t, 100 + i).mode, ==,
                        attr_of(t, 1).mode);
    }
    p9c_session(t->c);
    p9_host_wait_descriptors(before);
}

/*
 * Extended attributes
 */

static void test_xattr_sizes(Test *t)
{
    static const uint32_t sizes[] = { 0, 1, 255, 4000, XATTR_MAX };
    g_autofree uint8_t *value = g_malloc(XATTR_MAX + 1);
    g_autofree char *same = host_path(t, "same");
    g_autofree char *name = g_strnfill(256, 'n');
    unsigned i;
    int host;

    memcpy(name, "user.", 5);
    for (i = 0; i < XATTR_MAX + 1; i++) {
        value[i] = g_test_rand_int();
    }
    g_assert_true(g_file_set_contents(same, "", 0, NULL));
    ok(create(t, 1, "file", P9C_O_RDWR));
    for (i = 0; i < ARRAY_SIZE(sizes); i++) {
        /* Nothing of the previous one's space is to count. */
        removexattr(same, "user.x");
        host = setxattr(same, "user.x", value, sizes[i], 0) < 0 ? errno : 0;
        if (host == EOPNOTSUPP) {
            g_test_skip("the current folder's file system has no user xattrs");
            return;
        }
        set_xattr(t, 1, value, sizes[i], host);
        if (host == 0) {
            xattr_is(t, 1, value, sizes[i]);
        } else {
            g_test_message("%u bytes: %s", sizes[i], strerror(host));
        }
    }

    ok(walk(t, ROOT, 2, "file"));
    fails(p9c_xattrcreate(t->c, 2, "user.x", XATTR_MAX + 1, 0), E2BIG);
    fails(p9c_xattrcreate(t->c, 2, "user.x", UINT64_MAX, 0), E2BIG);
    fails(p9c_xattrcreate(t->c, 2, name, 1, 0), ERANGE);
    fails(p9c_xattrcreate(t->c, 2, "", 1, 0), ERANGE);
    fails(p9c_xattrcreate(t->c, 2, "user.x", 1, 4), EINVAL);
    fails(p9c_xattrwalk(t->c, 2, 3, name, NULL), ERANGE);
    fails(p9c_xattrwalk(t->c, 2, 3, "user.none", NULL), ENODATA);
    fails(p9c_clunk(t->c, 3), EBADF);

    /* More than was announced, and with a hole */
    ok(p9c_xattrcreate(t->c, 2, "user.y", 10, 0));
    fails(p9c_write(t->c, 2, 0, value, 11, NULL), ENOSPC);
    fails(p9c_write(t->c, 2, 1, value, 5, NULL), EINVAL);
    fails(p9c_write(t->c, 2, UINT64_MAX, value, 1, NULL), EINVAL);
    fails(p9c_write(t->c, 2, INT64_MAX - 1, value, 1, NULL), ENOSPC);
    ok(p9c_write(t->c, 2, 0, value, 5, NULL));
    fails(p9c_clunk(t->c, 2), EINVAL);
    fails(p9c_xattrwalk(t->c, 1, 3, "user.y", NULL), ENODATA);
    assert_alive(t);
}

/* max_xattr=4: for fids of both kinds, given back whatever becomes of them */
static void test_max_xattr(Test *t)
{
    unsigned round, i;

    ok(create(t, 1, "file", P9C_O_RDWR));
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
        /* An error gives the place back at once. */
        ok(p9c_clunk(t->c, 20));
        fails(p9c_xattrwalk(t->c, 1, 30, "user.none", NULL), ENODATA);
        fails(p9c_xattrwalk(t->c, 1, 30, "user.none", NULL), ENODATA);
        ok(p9c_xattrwalk(t->c, 1, 30, "", NULL));
        fails(p9c_xattrwalk(t->c, 1, 32, "", NULL), ENOSPC);
        /* So does a new session. */
        p9c_session(t->c);
        ok(walk(t, ROOT, 1, "file"));
    }
    assert_alive(t);
}

/*
 * Requests at once
 */

/* As many as the queue has room for; for a while nobody answers. */
static void test_in_flight(Test *t)
{
    unsigned n = t->v9p->vq->size / 2;
    g_autofree P9Call **calls = g_new(P9Call *, n);
    unsigned round, i, left;

    ok(create(t, 1, "file", P9C_O_RDWR));
    for (round = 0; round < 3; round++) {
        if (t->driver->helper) {
            p9_host_signal_helpers(SIGSTOP);
        }
        for (i = 0; i < n; i++) {
            calls[i] = p9c_call(t->c, P9C_TWALK);
            p9c_put_u32(calls[i], ROOT);
            p9c_put_u32(calls[i], 100 + i);
            p9c_put_u16(calls[i], 1);
            p9c_put_str(calls[i], i % 3 ? "file" : "none");
            p9c_submit(calls[i]);
        }
        if (t->driver->helper) {
            p9c_pause(t->c);
            p9_host_signal_helpers(SIGCONT);
        }
        for (i = 0; i < n; i++) {
            fails(p9c_wait(calls[i]), i % 3 ? 0 : ENOENT);
            left = p9c_get_left(calls[i]);
            p9c_get_bytes(calls[i], left);
            p9c_call_end(calls[i]);
            fails(p9c_clunk(t->c, 100 + i), i % 3 ? 0 : EBADF);
        }
    }
    assert_alive(t);
}

static const struct {
    const char *name;
    void (*run)(Test *t);
} cases[] = {
    { "msize-min", test_msize_min },
    { "msize-max", test_msize_max },
    { "counts", test_counts },
    { "offsets", test_offsets },
    { "walk-count", test_walk_count },
    { "name-lengths", test_name_lengths },
    { "name-bytes", test_name_bytes },
    { "depth", test_depth },
    { "fids", test_fids },
    { "many-fids", test_many_fids },
    { "xattr-sizes", test_xattr_sizes },
    { "max-xattr", test_max_xattr },
    { "in-flight", test_in_flight },
};

static void *before(GString *cmd_line, void *arg)
{
    Test *t = arg;

    t->dir = p9_host_folder(cmd_line, t->driver->fsdev);
    return t;
}

static void run(void *obj, void *data, QGuestAllocator *alloc)
{
    Test *t = data;

    t->v9p = obj;
    t->c = p9c_new(obj);
    p9c_session(t->c);
    t->run(t);
    p9c_free(t->c);
}

static void virtio_9p_limits_register(void)
{
    static Test tests[ARRAY_SIZE(drivers)][ARRAY_SIZE(cases)];
    unsigned d, i;

    for (d = 0; d < ARRAY_SIZE(drivers); d++) {
        for (i = 0; i < ARRAY_SIZE(cases); i++) {
            Test *t = &tests[d][i];
            QOSGraphTestOptions opts = { .arg = t, .before = before };
            g_autofree char *name = g_strdup_printf("limits/%s/%s",
                                                    drivers[d].name,
                                                    cases[i].name);

            t->driver = &drivers[d];
            t->run = cases[i].run;
            qos_add_test(name, "virtio-9p", run, &opts);
        }
    }
}

libqos_init(virtio_9p_limits_register);
