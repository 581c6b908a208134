/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The proxy driver from end to end: 9P2000.L messages through a virtio-9p
 * device, QEMU, and the real helper that QEMU starts, to files in a folder of
 * the host, where each test looks at what came of them.
 *
 * Each test has a QEMU, a helper and a folder of its own; the folder is in the
 * current one, which so decides on what file system the tests work.
 */
#include "qemu/osdep.h"
#include <sys/vfs.h>
#include <sys/xattr.h>
#include "libqtest.h"
#include "libqtest-single.h"
#include "qemu/module.h"
#include "qemu/units.h"
#include "libqos/qgraph.h"
#include "libqos/virtio-9p-client.h"

#define ROOT        P9C_ROOT
#define MSIZE       (512 * KiB)
#define IO_MAX      (MSIZE - 24)

typedef struct Case Case;

typedef struct Test {
    const Case *cs;
    char *dir;                  /* the export; absolute */
    P9Client *c;
} Test;

/* Results of messages: 0 or a Linux errno */
#define ok(call)            g_assert_cmpint(call, ==, 0)
#define fails(call, error)  g_assert_cmpint(call, ==, error)

/*
 * Messages in the form that most tests need them
 */

/*
 * A session of the guest's root, which is whoever runs the test: root itself,
 * or an ordinary user, whom the helper maps to it.
 */
static void session(Test *t)
{
    ok(p9c_version(t->c, MSIZE, P9C_VERSION, NULL, NULL));
    ok(p9c_attach(t->c, ROOT, 0, NULL));
}

static int walk(Test *t, uint32_t fid, uint32_t newfid, const char *path)
{
    return p9c_walk_to(t->c, fid, newfid, path);
}

static int open_fid(Test *t, uint32_t fid, uint32_t flags)
{
    return p9c_lopen(t->c, fid, flags, NULL, NULL);
}

static int create(Test *t, uint32_t fid, const char *name, uint32_t flags,
                  uint32_t mode)
{
    return p9c_lcreate(t->c, fid, name, flags, mode, 0, NULL, NULL);
}

static int getattr(Test *t, uint32_t fid, P9CAttr *attr)
{
    return p9c_getattr(t->c, fid, P9C_GETATTR_BASIC, attr);
}

static int setattr(Test *t, uint32_t fid, P9CSetAttr set)
{
    return p9c_setattr(t->c, fid, &set);
}

static int make_dir(Test *t, uint32_t fid, const char *name, uint32_t mode)
{
    return p9c_mkdir(t->c, fid, name, mode, 0, NULL);
}

static int make_node(Test *t, uint32_t fid, const char *name, uint32_t mode)
{
    return p9c_mknod(t->c, fid, name, mode, 0, 0, 0, NULL);
}

static int make_symlink(Test *t, uint32_t fid, const char *name,
                       const char *target)
{
    return p9c_symlink(t->c, fid, name, target, 0, NULL);
}

static int unlinkat_fid(Test *t, uint32_t fid, const char *name,
                        uint32_t flags)
{
    return p9c_unlinkat(t->c, fid, name, flags);
}

static void write_all(Test *t, uint32_t fid, uint64_t offset, const char *data)
{
    uint32_t n;

    ok(p9c_write(t->c, fid, offset, data, strlen(data), &n));
    g_assert_cmpuint(n, ==, strlen(data));
}

/* A Tread of up to 64 bytes at @offset must give exactly @data. */
static void read_is(Test *t, uint32_t fid, uint64_t offset, const char *data)
{
    char buf[64];
    uint32_t n;

    ok(p9c_read(t->c, fid, offset, sizeof(buf), buf, &n));
    g_assert_cmpmem(buf, n, data, strlen(data));
}

static void readlink_is(Test *t, uint32_t fid, const char *expected)
{
    g_autofree char *target = NULL;

    ok(p9c_readlink(t->c, fid, &target));
    g_assert_cmpstr(target, ==, expected);
}

/*
 * The host's side
 */

static char *host_path(Test *t, const char *name)
{
    return g_build_filename(t->dir, name, NULL);
}

static void host_write(Test *t, const char *name, const char *data)
{
    g_autofree char *path = host_path(t, name);
    /* In place: the same inode */
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0644);

    g_assert_cmpint(fd, >=, 0);
    g_assert_cmpint(write(fd, data, strlen(data)), ==, strlen(data));
    close(fd);
}

static void host_is(Test *t, const char *name, const char *data)
{
    g_autofree char *path = host_path(t, name);
    g_autofree char *got = NULL;
    size_t len;

    g_assert_true(g_file_get_contents(path, &got, &len, NULL));
    g_assert_cmpmem(got, len, data, strlen(data));
}

static void host_mkdir(Test *t, const char *name)
{
    g_autofree char *path = host_path(t, name);

    g_assert_cmpint(mkdir(path, 0755), ==, 0);
}

static void host_symlink(Test *t, const char *target, const char *name)
{
    g_autofree char *path = host_path(t, name);

    g_assert_cmpint(symlink(target, path), ==, 0);
}

static void host_unlink(Test *t, const char *name)
{
    g_autofree char *path = host_path(t, name);

    g_assert_cmpint(unlink(path), ==, 0);
}

static struct stat host_stat(Test *t, const char *name)
{
    g_autofree char *path = host_path(t, name);
    struct stat st;

    g_assert_cmpint(lstat(path, &st), ==, 0);
    return st;
}

static bool host_has(Test *t, const char *name)
{
    g_autofree char *path = host_path(t, name);
    struct stat st;

    return lstat(path, &st) == 0;
}

/* The fid means the inode that has this name on the host. */
static void same_inode(Test *t, uint32_t fid, const char *name)
{
    struct stat st = host_stat(t, name);
    P9CAttr a, b;

    ok(getattr(t, fid, &a));
    g_assert_cmphex(a.mode, ==, st.st_mode);
    g_assert_cmpuint(a.ctime_sec, ==, st.st_ctim.tv_sec);
    g_assert_cmpuint(a.ctime_nsec, ==, st.st_ctim.tv_nsec);
    /* ... and so does one that is walked to it */
    ok(walk(t, ROOT, 0x5a5a, strcmp(name, ".") ? name : ""));
    ok(getattr(t, 0x5a5a, &b));
    g_assert_cmpuint(a.qid.path, ==, b.qid.path);
    ok(p9c_clunk(t->c, 0x5a5a));
}

/*
 * The session, and walking
 */

static void test_version(Test *t)
{
    ok(walk(t, ROOT, 1, ""));
    /* A new session has no fids */
    ok(p9c_version(t->c, MSIZE, P9C_VERSION, NULL, NULL));
    fails(getattr(t, 1, NULL), EBADF);
    ok(p9c_attach(t->c, ROOT, 0, NULL));
    ok(getattr(t, ROOT, NULL));
}

static void test_walk(Test *t)
{
    host_mkdir(t, "d");
    host_mkdir(t, "d/e");
    host_write(t, "d/e/f", "x");
    ok(walk(t, ROOT, 1, "d/e/f"));
    same_inode(t, 1, "d/e/f");
    ok(walk(t, ROOT, 2, "d/../d/e/.."));
    same_inode(t, 2, "d");
    ok(walk(t, 2, 5, "e"));
    same_inode(t, 5, "d/e");
    /* The root has nothing above */
    ok(walk(t, ROOT, 3, "../../.."));
    same_inode(t, 3, ".");
    fails(walk(t, ROOT, 4, "no/e"), ENOENT);
    fails(walk(t, 1, 4, "x"), ENOTDIR);
    /* Found in part: no fid is made */
    fails(walk(t, ROOT, 4, "d/no"), ENOENT);
    fails(getattr(t, 4, NULL), EBADF);
    ok(p9c_clunk(t->c, 1));
    fails(getattr(t, 1, NULL), EBADF);
}

/* A link is never followed, wherever it leads */
static void test_symlink_escape(Test *t)
{
    host_symlink(t, "/etc", "out");
    host_symlink(t, "../../../../etc/passwd", "passwd");
    host_mkdir(t, "d");
    host_symlink(t, "d", "in");
    fails(walk(t, ROOT, 1, "out/passwd"), ENOENT);
    fails(walk(t, ROOT, 1, "in/x"), ENOENT);
    ok(walk(t, ROOT, 1, "passwd"));
    fails(open_fid(t, 1, P9C_O_RDONLY), ELOOP);
    readlink_is(t, 1, "../../../../etc/passwd");
    ok(walk(t, ROOT, 2, ""));
    fails(create(t, 2, "passwd", P9C_O_RDWR, 0644), ELOOP);
    ok(walk(t, ROOT, 3, "out"));
    fails(make_dir(t, 3, "x", 0755), ENOTDIR);
}

/*
 * Attributes
 */

static void test_getattr(Test *t)
{
    struct stat st;
    P9CAttr a;

    host_write(t, "f", "hello");
    ok(walk(t, ROOT, 1, "f"));
    ok(getattr(t, 1, &a));
    st = host_stat(t, "f");
    g_assert_cmphex(a.mode, ==, st.st_mode);
    g_assert_cmpuint(a.size, ==, 5);
    g_assert_cmpuint(a.nlink, ==, 1);
    g_assert_cmpuint(a.blocks, ==, st.st_blocks);
    g_assert_cmpuint(a.atime_sec, ==, st.st_atim.tv_sec);
    g_assert_cmpuint(a.mtime_sec, ==, st.st_mtim.tv_sec);
    g_assert_cmpuint(a.mtime_nsec, ==, st.st_mtim.tv_nsec);
    g_assert_cmpuint(a.ctime_nsec, ==, st.st_ctim.tv_nsec);
    /* The user's own, so the guest's root's */
    g_assert_cmpuint(a.uid, ==, 0);
    g_assert_cmpuint(a.gid, ==, 0);
    /* What the host changes is seen at once */
    host_write(t, "f", "longer than before");
    ok(getattr(t, 1, &a));
    g_assert_cmpuint(a.size, ==, 18);
}

static void test_setattr(Test *t)
{
    struct stat st;
    P9CSetAttr set;
    time_t now = time(NULL);

    host_write(t, "f", "0123456789");
    ok(walk(t, ROOT, 1, "f"));

    set = (P9CSetAttr) { .valid = P9C_SETATTR_MODE, .mode = 04751 };
    ok(p9c_setattr(t->c, 1, &set));
    st = host_stat(t, "f");
    g_assert_cmphex(st.st_mode, ==, S_IFREG | 04751);

    set = (P9CSetAttr) { .valid = P9C_SETATTR_SIZE, .size = 4 };
    ok(p9c_setattr(t->c, 1, &set));
    st = host_stat(t, "f");
    g_assert_cmpuint(st.st_size, ==, 4);
    set.size = 1 << 20;
    ok(p9c_setattr(t->c, 1, &set));
    st = host_stat(t, "f");
    g_assert_cmpuint(st.st_size, ==, 1 << 20);

    set = (P9CSetAttr) {
        .valid = P9C_SETATTR_ATIME | P9C_SETATTR_ATIME_SET | P9C_SETATTR_MTIME |
                 P9C_SETATTR_MTIME_SET,
        .atime_sec = 1000000000, .atime_nsec = 123456789,
        .mtime_sec = 1500000000, .mtime_nsec = 987654321,
    };
    ok(p9c_setattr(t->c, 1, &set));
    st = host_stat(t, "f");
    g_assert_cmpint(st.st_atim.tv_sec, ==, 1000000000);
    g_assert_cmpint(st.st_mtim.tv_sec, ==, 1500000000);
    g_assert_cmpint(st.st_mtim.tv_nsec, ==, 987654321);
    /* One to now leaves the other */
    set = (P9CSetAttr) { .valid = P9C_SETATTR_MTIME };
    ok(p9c_setattr(t->c, 1, &set));
    st = host_stat(t, "f");
    g_assert_cmpint(st.st_atim.tv_sec, ==, 1000000000);
    g_assert_cmpint(st.st_mtim.tv_sec, >=, now - 1);

    if (geteuid() == 0) {
        set = (P9CSetAttr) { .valid = P9C_SETATTR_UID, .uid = 1234 };
        ok(p9c_setattr(t->c, 1, &set));
        st = host_stat(t, "f");
        g_assert_cmpuint(st.st_uid, ==, 1234);
        g_assert_cmpuint(st.st_gid, ==, getegid());
        g_assert_cmphex(st.st_mode & 07000, ==, 0);     /* chown(2) */
        set = (P9CSetAttr) {
            .valid = P9C_SETATTR_GID | P9C_SETATTR_MODE | P9C_SETATTR_SIZE,
            .gid = 77, .mode = 0600, .size = 1,
        };
        ok(p9c_setattr(t->c, 1, &set));
        st = host_stat(t, "f");
        g_assert_cmpuint(st.st_uid, ==, 1234);
        g_assert_cmpuint(st.st_gid, ==, 77);
        g_assert_cmphex(st.st_mode, ==, S_IFREG | 0600);
        g_assert_cmpuint(st.st_size, ==, 1);
    }

    /* A link's own owner and times, never those of what it names */
    host_symlink(t, "f", "l");
    ok(walk(t, ROOT, 2, "l"));
    set = (P9CSetAttr) {
        .valid = P9C_SETATTR_MTIME | P9C_SETATTR_MTIME_SET, .mtime_sec = 42,
    };
    ok(p9c_setattr(t->c, 2, &set));
    st = host_stat(t, "l");
    g_assert_cmpint(st.st_mtim.tv_sec, ==, 42);
    st = host_stat(t, "f");
    g_assert_cmpint(st.st_mtim.tv_sec, !=, 42);
}

static void test_statfs(Test *t)
{
    struct statfs st;
    P9CStatfs got;

    g_assert_cmpint(statfs(t->dir, &st), ==, 0);
    ok(p9c_statfs(t->c, ROOT, &got));
    g_assert_cmphex(got.type, ==, (uint32_t)st.f_type);
    g_assert_cmpuint(got.blocks, ==, st.f_blocks);
    g_assert_cmpuint(got.namelen, ==, st.f_namelen);
}

/*
 * Data
 */

static void test_read_write(Test *t)
{
    char buf[64];
    uint32_t n;

    ok(walk(t, ROOT, 1, ""));
    ok(create(t, 1, "new", P9C_O_RDWR, 0640));
    write_all(t, 1, 0, "hello world");
    write_all(t, 1, 6, "earth");
    read_is(t, 1, 0, "hello earth");
    ok(p9c_read(t->c, 1, 4, 3, buf, &n));
    g_assert_cmpmem(buf, n, "o e", 3);
    read_is(t, 1, 11, "");
    read_is(t, 1, 1 << 30, "");
    ok(p9c_fsync(t->c, 1, 0));
    ok(p9c_fsync(t->c, 1, 1));
    host_is(t, "new", "hello earth");

    /* Beyond the end: a hole */
    write_all(t, 1, 100000, "x");
    ok(p9c_read(t->c, 1, 50000, 4, buf, &n));
    g_assert_cmpmem(buf, n, "\0\0\0\0", 4);

    /* What the fid is not open for */
    ok(walk(t, ROOT, 2, "new"));
    fails(p9c_read(t->c, 2, 0, 1, buf, &n), EBADF);
    ok(open_fid(t, 2, P9C_O_RDONLY));
    fails(p9c_write(t->c, 2, 0, "x", 1, &n), EBADF);
    ok(walk(t, ROOT, 3, "new"));
    ok(open_fid(t, 3, P9C_O_WRONLY | P9C_O_TRUNC));
    fails(p9c_read(t->c, 3, 0, 1, buf, &n), EBADF);
    ok(p9c_read(t->c, 2, 0, 1, buf, &n));
    g_assert_cmpuint(n, ==, 0);
}

/* Much data in large pieces, with odd offsets */
static void test_big(Test *t)
{
    size_t size = 3 * MiB + 12345, pos;
    g_autofree char *data = g_malloc(size), *back = g_malloc(size);
    g_autofree char *path = host_path(t, "big");
    g_autofree char *host = NULL;
    uint32_t n, piece = 400 * KiB + 7;
    size_t len;

    for (pos = 0; pos < size; pos++) {
        data[pos] = g_test_rand_int();
    }
    ok(walk(t, ROOT, 1, ""));
    ok(create(t, 1, "big", P9C_O_RDWR, 0600));
    for (pos = 0; pos < size; pos += n) {
        ok(p9c_write(t->c, 1, pos, data + pos, MIN(piece, size - pos), &n));
        g_assert_cmpuint(n, ==, MIN(piece, size - pos));
    }
    for (pos = 0; pos < size; pos += n) {
        ok(p9c_read(t->c, 1, pos, piece, back + pos, &n));
        g_assert_cmpuint(n, ==, MIN(piece, size - pos));
    }
    g_assert_cmpmem(back, size, data, size);
    g_assert_true(g_file_get_contents(path, &host, &len, NULL));
    g_assert_cmpmem(host, len, data, size);
}

static void test_open_flags(Test *t)
{
    host_write(t, "f", "abc");
    host_mkdir(t, "d");
    ok(walk(t, ROOT, 1, "f"));
    ok(open_fid(t, 1, P9C_O_WRONLY | P9C_O_APPEND));
    write_all(t, 1, 0, "def");
    host_is(t, "f", "abcdef");
    fails(open_fid(t, 1, P9C_O_RDONLY), EBADF);        /* it is open */

    ok(walk(t, ROOT, 2, "d"));
    fails(open_fid(t, 2, P9C_O_RDWR), EISDIR);
    ok(open_fid(t, 2, P9C_O_RDONLY));
    ok(walk(t, ROOT, 3, ""));
    fails(create(t, 3, "f", P9C_O_RDWR | P9C_O_EXCL, 0600), EEXIST);
    ok(create(t, 3, "f", P9C_O_RDWR, 0600));
    ok(walk(t, ROOT, 4, ""));
    fails(create(t, 4, "../x", P9C_O_RDWR, 0600), ENOENT);
    fails(create(t, 4, "", P9C_O_RDWR, 0600), ENOENT);

    /* A fifo is the guest's own: nobody waits for its other end */
    ok(make_node(t, 4, "p", S_IFIFO | 0600));
    ok(walk(t, ROOT, 5, "p"));
    fails(open_fid(t, 5, P9C_O_RDONLY), ENXIO);
}

/* writeout=immediate: the data is there all the same */
static void test_writeout(Test *t)
{
    ok(walk(t, ROOT, 1, ""));
    ok(create(t, 1, "f", P9C_O_RDWR, 0600));
    write_all(t, 1, 0, "data");
    host_is(t, "f", "data");
}

/*
 * Directories
 */

#define MANY    1000

static void test_readdir(Test *t)
{
    g_autoptr(GHashTable) seen = g_hash_table_new_full(g_str_hash, g_str_equal,
                                                       g_free, NULL);
    g_autoptr(GPtrArray) all = NULL, middle = NULL, again = NULL;
    P9CDirent *third, *fourth;
    int i;

    host_mkdir(t, "d");
    for (i = 0; i < MANY; i++) {
        g_autofree char *name = g_strdup_printf("d/a-file-with-number-%d", i);

        host_write(t, name, "");
    }
    ok(walk(t, ROOT, 1, "d"));
    ok(open_fid(t, 1, P9C_O_RDONLY | P9C_O_DIRECTORY));
    all = p9c_readdir_all(t->c, 1, 3000);
    g_assert_cmpint(all->len, ==, MANY + 2);
    for (i = 0; i < all->len; i++) {
        P9CDirent *e = g_ptr_array_index(all, i);

        /* Each comes once */
        g_assert_true(g_hash_table_add(seen, g_strdup(e->name)));
    }
    g_assert_nonnull(p9c_dirent_find(all, "."));
    g_assert_nonnull(p9c_dirent_find(all, ".."));
    g_assert_nonnull(p9c_dirent_find(all, "a-file-with-number-999"));

    /* From the middle again, and from the start, where a new one shows */
    third = g_ptr_array_index(all, 2);
    ok(p9c_readdir(t->c, 1, third->offset, 3000, &middle, NULL));
    g_assert_cmpint(middle->len, >, 0);
    fourth = g_ptr_array_index(middle, 0);
    third = g_ptr_array_index(all, 3);
    g_assert_cmpstr(third->name, ==, fourth->name);
    host_write(t, "d/another", "");
    again = p9c_readdir_all(t->c, 1, IO_MAX);
    g_assert_cmpint(again->len, ==, MANY + 3);

    /* Not even one fits; not a directory; not open */
    fails(p9c_readdir(t->c, 1, 0, 10, NULL, NULL), EINVAL);
    ok(walk(t, ROOT, 2, "d/another"));
    fails(p9c_readdir(t->c, 2, 0, 1000, NULL, NULL), ENOTDIR);
    ok(walk(t, ROOT, 3, "d"));
    fails(p9c_readdir(t->c, 3, 0, 1000, NULL, NULL), EBADF);
}

static void test_make(Test *t)
{
    g_autofree char *path = NULL;
    char target[64];
    ssize_t n;
    struct stat st;

    ok(make_dir(t, ROOT, "d", 01775));
    st = host_stat(t, "d");
    g_assert_cmphex(st.st_mode, ==, S_IFDIR | 01775);
    fails(make_dir(t, ROOT, "d", 0755), EEXIST);
    fails(make_dir(t, ROOT, "..", 0755), EEXIST);
    ok(walk(t, ROOT, 1, "d"));
    ok(make_node(t, 1, "fifo", S_IFIFO | 0622));
    st = host_stat(t, "d/fifo");
    g_assert_cmphex(st.st_mode, ==, S_IFIFO | 0622);
    ok(make_node(t, 1, "plain", S_IFREG | 0600));
    st = host_stat(t, "d/plain");
    g_assert_cmphex(st.st_mode, ==, S_IFREG | 0600);
    ok(make_symlink(t, 1, "link", "../some where/else"));
    path = host_path(t, "d/link");
    n = readlink(path, target, sizeof(target));
    g_assert_cmpmem(target, n, "../some where/else", 18);
    ok(walk(t, 1, 2, "link"));
    readlink_is(t, 2, "../some where/else");
    fails(p9c_readlink(t->c, 1, NULL), EINVAL);
}

/*
 * Names
 */

static void test_link(Test *t)
{
    struct stat st;
    P9CAttr a;

    host_write(t, "a", "x");
    host_mkdir(t, "d");
    ok(walk(t, ROOT, 1, "a"));
    ok(walk(t, ROOT, 2, "d"));
    ok(p9c_link(t->c, 2, 1, "b"));
    st = host_stat(t, "d/b");
    g_assert_cmpuint(st.st_nlink, ==, 2);
    same_inode(t, 1, "d/b");
    ok(getattr(t, 1, &a));
    g_assert_cmpuint(a.nlink, ==, 2);
    fails(p9c_link(t->c, 2, 1, "b"), EEXIST);
    fails(p9c_link(t->c, ROOT, 2, "e"), EPERM);     /* a directory: link(2) */

    /* Two fids, two names, one file: removing one name leaves the other */
    ok(walk(t, 2, 3, "b"));
    ok(p9c_remove(t->c, 3));
    g_assert_false(host_has(t, "d/b"));
    g_assert_true(host_has(t, "a"));
    fails(getattr(t, 3, NULL), EBADF);          /* clunked */
    ok(getattr(t, 1, &a));
    g_assert_cmpuint(a.nlink, ==, 1);
}

static void test_rename(Test *t)
{
    host_mkdir(t, "d");
    host_mkdir(t, "d/e");
    host_mkdir(t, "z");
    host_write(t, "d/e/f", "one");
    host_write(t, "g", "two");
    ok(walk(t, ROOT, 1, "d"));
    ok(walk(t, ROOT, 2, "d/e"));
    ok(walk(t, ROOT, 3, "d/e/f"));
    ok(walk(t, ROOT, 4, "z"));
    ok(walk(t, ROOT, 5, "g"));
    ok(walk(t, ROOT, 6, "g"));
    ok(open_fid(t, 6, P9C_O_RDWR));

    /* Trename, then a directory above fids: they keep their meaning */
    ok(p9c_rename(t->c, 3, 2, "h"));
    g_assert_true(host_has(t, "d/e/h"));
    ok(p9c_renameat(t->c, ROOT, "d", 4, "dd"));
    g_assert_true(host_has(t, "z/dd/e/h"));
    same_inode(t, 3, "z/dd/e/h");
    ok(walk(t, 2, 10, "h"));
    ok(make_dir(t, 2, "below", 0700));
    g_assert_true(host_has(t, "z/dd/e/below"));
    ok(walk(t, 2, 11, ".."));
    same_inode(t, 11, "z/dd");

    /* Over an open file: its fid still has the old one */
    ok(p9c_renameat(t->c, 2, "h", ROOT, "g"));
    host_is(t, "g", "one");
    read_is(t, 6, 0, "two");
    write_all(t, 6, 0, "TWO");
    read_is(t, 6, 0, "TWO");
    same_inode(t, 3, "g");

    fails(p9c_renameat(t->c, ROOT, "no", ROOT, "x"), ENOENT);
    fails(p9c_renameat(t->c, ROOT, "z", 4, "in-itself"), EINVAL);
    fails(p9c_renameat(t->c, ROOT, "g", ROOT, "z"), EISDIR);
    fails(p9c_renameat(t->c, ROOT, "..", ROOT, "x"), EINVAL);
    fails(p9c_renameat(t->c, ROOT, "g", ROOT, "a/b"), ENOENT);
}

static void test_unlink(Test *t)
{
    P9CAttr a;

    host_write(t, "f", "data");
    host_mkdir(t, "d");
    host_symlink(t, "d", "l");
    ok(walk(t, ROOT, 1, "f"));
    ok(walk(t, ROOT, 2, "f"));
    ok(open_fid(t, 2, P9C_O_RDWR));

    fails(unlinkat_fid(t, ROOT, "f", P9C_AT_REMOVEDIR), ENOTDIR);
    fails(unlinkat_fid(t, ROOT, "d", 0), EISDIR);
    fails(unlinkat_fid(t, ROOT, ".", P9C_AT_REMOVEDIR), EINVAL);
    ok(unlinkat_fid(t, ROOT, "f", 0));
    g_assert_false(host_has(t, "f"));
    fails(unlinkat_fid(t, ROOT, "f", 0), ENOENT);

    /* Both fids still mean the file */
    ok(getattr(t, 1, &a));
    g_assert_cmpuint(a.nlink, ==, 0);
    g_assert_cmpuint(a.size, ==, 4);
    ok(getattr(t, 2, &a));
    g_assert_cmpuint(a.nlink, ==, 0);
    read_is(t, 2, 0, "data");
    write_all(t, 2, 4, "more");
    ok(setattr(t, 1, (P9CSetAttr) { .valid = P9C_SETATTR_MODE, .mode = 0400 }));
    ok(getattr(t, 2, &a));
    g_assert_cmphex(a.mode, ==, S_IFREG | 0400);
    g_assert_cmpuint(a.size, ==, 8);
    /* ... and can be opened again */
    ok(open_fid(t, 1, P9C_O_RDONLY));
    read_is(t, 1, 0, "datamore");
    ok(p9c_clunk(t->c, 1));
    ok(p9c_clunk(t->c, 2));

    ok(unlinkat_fid(t, ROOT, "l", 0));
    g_assert_true(host_has(t, "d"));
    host_write(t, "d/x", "");
    fails(unlinkat_fid(t, ROOT, "d", P9C_AT_REMOVEDIR), ENOTEMPTY);
    host_unlink(t, "d/x");
    ok(unlinkat_fid(t, ROOT, "d", P9C_AT_REMOVEDIR));
    g_assert_false(host_has(t, "d"));
}

/* Tremove means the file of the fid, not whatever has its old name now */
static void test_remove(Test *t)
{
    host_write(t, "a", "a");
    host_mkdir(t, "d");
    ok(walk(t, ROOT, 1, "a"));
    ok(walk(t, ROOT, 2, "a"));
    ok(p9c_renameat(t->c, ROOT, "a", ROOT, "b"));
    host_write(t, "a", "other");
    ok(p9c_remove(t->c, 1));
    g_assert_false(host_has(t, "b"));
    g_assert_true(host_has(t, "a"));
    /* The file is gone; the fid is clunked all the same */
    g_assert_cmpuint(p9c_remove(t->c, 2), !=, 0);
    fails(getattr(t, 2, NULL), EBADF);
    g_assert_true(host_has(t, "a"));

    ok(walk(t, ROOT, 3, "d"));
    ok(p9c_remove(t->c, 3));
    g_assert_false(host_has(t, "d"));
}

/*
 * Extended attributes
 */

static void test_xattr(Test *t)
{
    g_autofree char *path = NULL;
    g_autofree char *big = g_malloc(65536);
    g_autofree char *back = g_malloc(65536);
    char buf[1024];
    uint64_t size;
    uint32_t n;

    host_write(t, "f", "");
    path = host_path(t, "f");
    if (setxattr(path, "user.probe", "", 0, 0) < 0) {
        g_test_skip("no user xattrs on this file system");
        return;
    }
    removexattr(path, "user.probe");
    ok(walk(t, ROOT, 1, "f"));

    /* create, read, list */
    ok(walk(t, 1, 2, ""));
    ok(p9c_xattrcreate(t->c, 2, "user.test", 5, 0));
    write_all(t, 2, 0, "val");
    write_all(t, 2, 3, "ue");
    ok(p9c_clunk(t->c, 2));
    g_assert_cmpint(getxattr(path, "user.test", buf, sizeof(buf)), ==, 5);
    g_assert_cmpmem(buf, 5, "value", 5);
    ok(p9c_xattrwalk(t->c, 1, 2, "user.test", &size));
    g_assert_cmpuint(size, ==, 5);
    read_is(t, 2, 0, "value");
    ok(p9c_clunk(t->c, 2));
    ok(p9c_xattrwalk(t->c, 1, 2, "", &size));
    ok(p9c_read(t->c, 2, 0, sizeof(buf), buf, &n));
    g_assert_cmpuint(n, ==, size);
    g_assert_nonnull(memmem(buf, n, "user.test", 10));
    ok(p9c_clunk(t->c, 2));

    /* Flags of setxattr(2) */
    ok(walk(t, 1, 2, ""));
    ok(p9c_xattrcreate(t->c, 2, "user.test", 1, XATTR_CREATE));
    write_all(t, 2, 0, "x");
    fails(p9c_clunk(t->c, 2), EEXIST);
    ok(walk(t, 1, 2, ""));
    ok(p9c_xattrcreate(t->c, 2, "user.none", 1, XATTR_REPLACE));
    write_all(t, 2, 0, "x");
    fails(p9c_clunk(t->c, 2), ENODATA);

    /* Empty is a value, and with XATTR_REPLACE Linux' way to remove it */
    ok(walk(t, 1, 2, ""));
    ok(p9c_xattrcreate(t->c, 2, "user.test", 0, 0));
    ok(p9c_clunk(t->c, 2));
    g_assert_cmpint(getxattr(path, "user.test", buf, sizeof(buf)), ==, 0);
    ok(walk(t, 1, 2, ""));
    ok(p9c_xattrcreate(t->c, 2, "user.test", 0, XATTR_REPLACE));
    ok(p9c_clunk(t->c, 2));
    g_assert_cmpint(getxattr(path, "user.test", buf, sizeof(buf)), ==, -1);
    g_assert_cmpint(errno, ==, ENODATA);
    fails(p9c_xattrwalk(t->c, 1, 2, "user.test", &size), ENODATA);

    /* The largest, where the file system has such */
    memset(big, 'b', 65536);
    if (setxattr(path, "user.probe", big, 65536, 0) == 0) {
        removexattr(path, "user.probe");
        ok(walk(t, 1, 2, ""));
        ok(p9c_xattrcreate(t->c, 2, "user.big", 65536, 0));
        ok(p9c_write(t->c, 2, 0, big, 65536, &n));
        g_assert_cmpuint(n, ==, 65536);
        ok(p9c_clunk(t->c, 2));
        g_assert_cmpint(getxattr(path, "user.big", back, 65536), ==, 65536);
        g_assert_cmpmem(back, 65536, big, 65536);
        ok(p9c_xattrwalk(t->c, 1, 2, "user.big", &size));
        g_assert_cmpuint(size, ==, 65536);
        memset(back, 0, 65536);
        ok(p9c_read(t->c, 2, 0, 65536, back, &n));
        g_assert_cmpmem(back, n, big, 65536);
        ok(p9c_clunk(t->c, 2));
    } else {
        g_test_message("no xattr of 64 KiB on this file system");
    }
    ok(walk(t, 1, 2, ""));
    g_assert_cmpuint(p9c_xattrcreate(t->c, 2, "user.huge", 65537, 0), !=, 0);
}

/*
 * Locks
 */

static const P9CLock any_lock = { .proc_id = 1, .client_id = "qtest" };

/* The status that a Tlock without waiting answers */
static int lock(Test *t, uint32_t fid, uint8_t type, uint64_t start,
                uint64_t length)
{
    P9CLock l = any_lock;
    uint8_t status;

    l.type = type;
    l.start = start;
    l.length = length;
    ok(p9c_lock(t->c, fid, &l, &status));
    return status;
}

/* The same of a process on the host: 0 or the errno */
static int host_lock(int fd, short type, uint64_t start, uint64_t length)
{
    struct flock fl = {
        .l_type = type, .l_whence = SEEK_SET,
        .l_start = start, .l_len = length,
    };

    return fcntl(fd, F_OFD_SETLK, &fl) < 0 ? errno : 0;
}

static int lock_setup(Test *t)
{
    g_autofree char *path = host_path(t, "f");
    int fd;

    host_write(t, "f", "");
    ok(walk(t, ROOT, 1, "f"));
    ok(open_fid(t, 1, P9C_O_RDWR));
    fd = open(path, O_RDWR);
    g_assert_cmpint(fd, >=, 0);
    return fd;
}

static void test_lock(Test *t)
{
    int fd = lock_setup(t);
    P9CLock l = any_lock;

    /* The host's lock is in the guest's way */
    ok(host_lock(fd, F_WRLCK, 10, 10));
    g_assert_cmpint(lock(t, 1, P9C_LOCK_WRLCK, 15, 1), ==, P9C_LOCK_BLOCKED);
    l.type = P9C_LOCK_WRLCK;
    l.start = 15;
    l.length = 1;
    ok(p9c_getlock(t->c, 1, &l));
    g_assert_cmpuint(l.type, ==, P9C_LOCK_WRLCK);
    g_assert_cmpuint(l.start, ==, 10);
    g_assert_cmpuint(l.length, ==, 10);
    g_free((char *)l.client_id);
    /* Linux' client asks like this, about whatever lock there is */
    l = any_lock;
    l.type = P9C_LOCK_UNLCK;
    l.start = 15;
    ok(p9c_getlock(t->c, 1, &l));
    g_assert_cmpuint(l.type, ==, P9C_LOCK_WRLCK);
    g_assert_cmpuint(l.start, ==, 10);
    g_free((char *)l.client_id);
    l = any_lock;
    l.type = P9C_LOCK_WRLCK;
    l.start = 20;
    ok(p9c_getlock(t->c, 1, &l));
    g_assert_cmpuint(l.type, ==, P9C_LOCK_UNLCK);
    g_free((char *)l.client_id);

    /* The guest's is in the host's way, until it is given up */
    g_assert_cmpint(lock(t, 1, P9C_LOCK_WRLCK, 20, 0), ==, P9C_LOCK_SUCCESS);
    fails(host_lock(fd, F_RDLCK, 1000, 1), EAGAIN);
    g_assert_cmpint(lock(t, 1, P9C_LOCK_UNLCK, 20, 0), ==, P9C_LOCK_SUCCESS);
    ok(host_lock(fd, F_RDLCK, 1000, 1));
    g_assert_cmpint(lock(t, 1, P9C_LOCK_RDLCK, 1000, 1), ==,
                    P9C_LOCK_SUCCESS);

    /* ... and a clunk gives it up, before it is answered */
    g_assert_cmpint(lock(t, 1, P9C_LOCK_WRLCK, 30, 1), ==, P9C_LOCK_SUCCESS);
    ok(p9c_clunk(t->c, 1));
    ok(host_lock(fd, F_WRLCK, 30, 1));
    close(fd);
}

static P9Call *lock_call(Test *t, uint32_t fid)
{
    P9Call *call = p9c_call(t->c, P9C_TLOCK);

    p9c_put_u32(call, fid);
    p9c_put_u8(call, P9C_LOCK_WRLCK);
    p9c_put_u32(call, P9C_LOCK_BLOCK);
    p9c_put_u64(call, 0);
    p9c_put_u64(call, 0);
    p9c_put_u32(call, 1);
    p9c_put_str(call, "qtest");
    p9c_submit(call);
    return call;
}

/* A lock that waits: for the host to give its own up, or until a flush */
static void test_lock_wait(Test *t)
{
    int fd = lock_setup(t);
    P9Call *call;

    ok(host_lock(fd, F_WRLCK, 0, 0));
    call = lock_call(t, 1);
    p9c_pause(t->c);
    g_assert_false(p9c_is_done(call));
    ok(p9c_flush(t->c, p9c_call_tag(call)));
    p9c_wait_flushed(call);
    p9c_call_end(call);

    call = lock_call(t, 1);
    p9c_pause(t->c);
    g_assert_false(p9c_is_done(call));
    ok(host_lock(fd, F_UNLCK, 0, 0));
    ok(p9c_wait(call));
    g_assert_cmpuint(p9c_get_u8(call), ==, P9C_LOCK_SUCCESS);
    p9c_call_end(call);
    fails(host_lock(fd, F_RDLCK, 0, 0), EAGAIN);
    close(fd);
}

/*
 * Refusals
 */

static void test_readonly(Test *t)
{
    struct stat before, after;

    host_write(t, "f", "data");
    before = host_stat(t, "f");
    ok(walk(t, ROOT, 1, "f"));
    ok(walk(t, ROOT, 2, "f"));
    ok(walk(t, ROOT, 3, ""));
    fails(open_fid(t, 1, P9C_O_RDWR), EROFS);
    fails(open_fid(t, 1, P9C_O_RDONLY | P9C_O_TRUNC), EROFS);
    fails(create(t, 3, "x", P9C_O_RDWR, 0600), EROFS);
    fails(make_dir(t, ROOT, "x", 0700), EROFS);
    fails(make_node(t, ROOT, "x", S_IFIFO | 0600), EROFS);
    fails(make_symlink(t, ROOT, "x", "y"), EROFS);
    fails(p9c_link(t->c, ROOT, 1, "x"), EROFS);
    fails(p9c_renameat(t->c, ROOT, "f", ROOT, "x"), EROFS);
    fails(unlinkat_fid(t, ROOT, "f", 0), EROFS);
    fails(setattr(t, 1, (P9CSetAttr) { .valid = P9C_SETATTR_MODE, .mode = 0 }),
        EROFS);
    fails(p9c_remove(t->c, 2), EROFS);
    ok(open_fid(t, 1, P9C_O_RDONLY));
    read_is(t, 1, 0, "data");
    after = host_stat(t, "f");
    g_assert_cmphex(before.st_mode, ==, after.st_mode);
    g_assert_false(host_has(t, "x"));
}

/*
 * The helper
 */

/* Sends @sig to all processes that descend from @parent: how many. */
static int signal_children(int parent, int sig)
{
    GDir *dir = g_dir_open("/proc", 0, NULL);
    const char *name;
    int n = 0;

    g_assert_nonnull(dir);
    while ((name = g_dir_read_name(dir))) {
        g_autofree char *path = g_strdup_printf("/proc/%s/stat", name);
        g_autofree char *stat = NULL;
        const char *after;
        char state;
        int ppid;

        if (!g_ascii_isdigit(name[0]) ||
            !g_file_get_contents(path, &stat, NULL, NULL)) {
            continue;
        }
        /* pid (name) state ppid: proc_pid_stat(5) */
        after = strrchr(stat, ')');
        g_assert_nonnull(after);
        g_assert_cmpint(sscanf(after, ") %c %d", &state, &ppid), ==, 2);
        if (ppid == parent && state != 'Z') {
            n += signal_children(atoi(name), sig) + 1;
            g_assert_cmpint(kill(atoi(name), sig), ==, 0);
        }
    }
    g_dir_close(dir);
    return n;
}

/*
 * A helper that answers nothing cannot keep the device from being reset, and
 * serves on when it is awake again.
 */
static void test_helper_silent(Test *t)
{
    gint64 start;
    int i;

    host_write(t, "f", "data");
    g_assert_cmpint(signal_children(qtest_pid(global_qtest), SIGSTOP), >=, 1);
    for (i = 0; i < 8; i++) {
        P9Call *call = p9c_call(t->c, P9C_TLCREATE);
        g_autofree char *name = g_strdup_printf("new%d", i);

        ok(walk(t, ROOT, 100 + i, ""));
        p9c_put_u32(call, 100 + i);
        p9c_put_str(call, name);
        p9c_put_u32(call, P9C_O_RDWR);
        p9c_put_u32(call, 0600);
        p9c_put_u32(call, 0);
        p9c_submit(call);
    }
    start = g_get_monotonic_time();
    p9c_reset(t->c);
    g_assert_cmpint(g_get_monotonic_time() - start, <, 30 * G_USEC_PER_SEC);
    session(t);
    g_assert_cmpint(signal_children(qtest_pid(global_qtest), SIGCONT), >=, 1);

    ok(walk(t, ROOT, 1, "new7"));
    ok(walk(t, ROOT, 2, "f"));
    ok(open_fid(t, 2, P9C_O_RDONLY));
    read_is(t, 2, 0, "data");
}

static void test_helper_killed(Test *t)
{
    P9CAttr a;

    host_write(t, "f", "data");
    ok(walk(t, ROOT, 1, "f"));
    ok(walk(t, ROOT, 2, "f"));
    ok(open_fid(t, 2, P9C_O_RDWR));
    g_assert_cmpint(signal_children(qtest_pid(global_qtest), SIGKILL), >=, 1);

    /* What needs the helper fails, what has a descriptor goes on */
    fails(walk(t, ROOT, 3, "f"), EIO);
    fails(make_dir(t, ROOT, "d", 0700), EIO);
    fails(open_fid(t, 1, P9C_O_RDONLY), EIO);
    read_is(t, 2, 0, "data");
    write_all(t, 2, 0, "DATA");
    ok(getattr(t, 2, &a));
    ok(p9c_clunk(t->c, 2));
    ok(p9c_clunk(t->c, 1));

    /* A new session still has its root */
    session(t);
    fails(walk(t, ROOT, 1, "f"), EIO);
    qtest_qmp_assert_success(global_qtest, "{ 'execute': 'query-status' }");
}
/*
 * Many requests at once
 */

#define PARALLEL    32

static void test_parallel(Test *t)
{
    P9Call *calls[PARALLEL];
    int i;

    for (i = 0; i < PARALLEL; i++) {
        g_autofree char *name = g_strdup_printf("f%d", i);

        host_write(t, name, name);
    }
    for (i = 0; i < PARALLEL; i++) {
        g_autofree char *name = g_strdup_printf("f%d", i);

        calls[i] = p9c_call(t->c, P9C_TWALK);
        p9c_put_u32(calls[i], ROOT);
        p9c_put_u32(calls[i], 100 + i);
        p9c_put_u16(calls[i], 1);
        p9c_put_str(calls[i], name);
        p9c_submit(calls[i]);
    }
    for (i = 0; i < PARALLEL; i++) {
        ok(p9c_wait(calls[i]));
        g_assert_cmpuint(p9c_get_u16(calls[i]), ==, 1);
        p9c_get_qid(calls[i]);
        p9c_call_end(calls[i]);
    }
    for (i = 0; i < PARALLEL; i++) {
        g_autofree char *name = g_strdup_printf("f%d", i);

        ok(open_fid(t, 100 + i, P9C_O_RDONLY));
        read_is(t, 100 + i, 0, name);
    }
}

/* What the helper was asked for is answered, and then the flush is */
static void test_flush(Test *t)
{
    P9Call *make = p9c_call(t->c, P9C_TMKDIR);
    P9Call *flush = p9c_call(t->c, P9C_TFLUSH);

    p9c_put_u32(make, ROOT);
    p9c_put_str(make, "d");
    p9c_put_u32(make, 0700);
    p9c_put_u32(make, 0);
    p9c_put_u16(flush, p9c_call_tag(make));
    p9c_submit(make);
    p9c_submit(flush);
    ok(p9c_wait(flush));
    ok(p9c_wait(make));
    g_assert_cmpuint(p9c_done_order(make), <, p9c_done_order(flush));
    p9c_get_qid(make);
    p9c_call_end(make);
    p9c_call_end(flush);
    g_assert_true(host_has(t, "d"));
}

/* A reset in the midst of requests ends them, and the device works again */
static void test_reset(Test *t)
{
    int i;

    host_write(t, "f", "data");
    for (i = 0; i < PARALLEL; i++) {
        P9Call *call = p9c_call(t->c, P9C_TWALK);

        p9c_put_u32(call, ROOT);
        p9c_put_u32(call, 100 + i);
        p9c_put_u16(call, 1);
        p9c_put_str(call, "f");
        p9c_submit(call);
    }
    p9c_reset(t->c);
    session(t);
    ok(walk(t, ROOT, 1, "f"));
    ok(open_fid(t, 1, P9C_O_RDONLY));
    read_is(t, 1, 0, "data");
}

/*
 * Refusals at the start
 */

static void start_fails(const char *fsdev, const char *error)
{
    const char *argv[] = {
        "timeout", "30", getenv("QTEST_QEMU_BINARY"), "-machine", "none",
        "-nodefaults", "-display", "none", "-fsdev", fsdev, NULL,
    };
    g_autofree char *errors = NULL;
    GError *err = NULL;
    int status;

    g_spawn_sync(NULL, (char **)argv, NULL, G_SPAWN_SEARCH_PATH, NULL, NULL,
                 NULL, &errors, &status, &err);
    g_assert_no_error(err);
    g_assert_true(WIFEXITED(status));
    g_assert_cmpint(WEXITSTATUS(status), ==, 1);
    if (!strstr(errors, error)) {
        g_error("%s: '%s' instead of '%s'", fsdev, errors, error);
    }
}

static void test_options(Test *t)
{
    g_autofree char *file = host_path(t, "f");
    g_autofree char *opts = g_strdup_printf("proxy,id=x,path=%s", file);

    host_write(t, "f", "");
    start_fails(opts, "is not a directory");
    start_fails("proxy,id=x,path=/nowhere/at/all", "'/nowhere/at/all'");
    start_fails("proxy,id=x", "path, socket and sock_fd");
    start_fails("proxy,id=x,socket=s,sock_fd=5", "socket 's'");
    start_fails("proxy,id=x,socket=s,sock_fd=5", "sock_fd '5'");
    start_fails("proxy,id=x,socket=/nowhere/s", "socket '/nowhere/s'");
    start_fails("proxy,id=x,sock_fd=-1", "sock_fd '-1'");
    start_fails("proxy,id=x,sock_fd=999", "sock_fd '999'");
    start_fails("proxy,id=x,path=/,helper=/bin/false", "exit status 1");
    start_fails("proxy,id=x,path=/,writeout=never", "never");
    start_fails("proxy,id=x,path=/,nonsense=1", "nonsense");
}

/*
 * Running
 */

struct Case {
    const char *name;
    void (*run)(Test *t);
    const char *opts;           /* of -fsdev, beyond the path */
};

static const Case cases[] = {
    { "version", test_version },
    { "walk", test_walk },
    { "symlink-escape", test_symlink_escape },
    { "getattr", test_getattr },
    { "setattr", test_setattr },
    { "statfs", test_statfs },
    { "read-write", test_read_write },
    { "big", test_big },
    { "open-flags", test_open_flags },
    { "writeout", test_writeout, ",writeout=immediate" },
    { "readdir", test_readdir },
    { "make", test_make },
    { "link", test_link },
    { "rename", test_rename },
    { "unlink", test_unlink },
    { "remove", test_remove },
    { "xattr", test_xattr },
    { "lock", test_lock },
    { "lock-wait", test_lock_wait },
    { "readonly", test_readonly, ",readonly=on" },
    { "parallel", test_parallel },
    { "flush", test_flush },
    { "reset", test_reset },
    { "helper-killed", test_helper_killed },
    { "helper-silent", test_helper_silent },
    { "options", test_options },
    /* Without donated descriptors everything is a message, to the same end */
    { "donate-off/walk", test_walk, ",donate=off" },
    { "donate-off/getattr", test_getattr, ",donate=off" },
    { "donate-off/statfs", test_statfs, ",donate=off" },
    { "donate-off/make", test_make, ",donate=off" },
    { "donate-off/rename", test_rename, ",donate=off" },
    { "donate-off/unlink", test_unlink, ",donate=off" },
};

static void folder_remove(void *opaque)
{
    Test *t = opaque;
    const char *argv[] = { "rm", "-rf", "--", t->dir, NULL };

    g_spawn_sync(NULL, (char **)argv, NULL, G_SPAWN_SEARCH_PATH, NULL, NULL,
                 NULL, NULL, NULL, NULL);
    g_free(t->dir);
    g_free(t);
}

static void *before(GString *cmd_line, void *arg)
{
    const Case *cs = arg;
    Test *t = g_new0(Test, 1);
    g_autofree char *name = g_strdup("qtest-9p-proxy-XXXXXX");
    g_autofree char *cwd = g_get_current_dir();
    g_autofree char *fsdev = NULL;

    g_assert_nonnull(g_mkdtemp_full(name, 0755));
    t->cs = cs;
    t->dir = g_build_filename(cwd, name, NULL);
    /* Relative: the folder above may have blanks in its name */
    fsdev = g_strdup_printf("proxy,path=%s%s", name, cs->opts ?: "");
    qvirtio_9p_set_fsdev(cmd_line, fsdev);
    g_test_queue_destroy(folder_remove, t);
    return t;
}

static void run(void *obj, void *data, QGuestAllocator *alloc)
{
    Test *t = data;

    t->c = p9c_new(obj);
    session(t);
    t->cs->run(t);
    p9c_free(t->c);
}

static void virtio_9p_proxy_register(void)
{
    int i;

    for (i = 0; i < ARRAY_SIZE(cases); i++) {
        QOSGraphTestOptions opts = {
            .arg = (void *)&cases[i],
            .before = before,
        };
        g_autofree char *name = g_strdup_printf("proxy/%s", cases[i].name);

        qos_add_test(name, "virtio-9p", run, &opts);
    }
}

libqos_init(virtio_9p_proxy_register);
