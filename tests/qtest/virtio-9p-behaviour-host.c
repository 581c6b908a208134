/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Features that depend on the host's file system: O_DIRECT, generations of
 * inodes, offsets in directories, and the rights of QEMU as the owner of files.
 * If the file system of the current folder has a feature, the guest has it;
 * otherwise no request fails.
 */
#include "qemu/osdep.h"
#include <linux/fs.h>
#include <sys/ioctl.h>
#include "virtio-9p-behaviour.h"
#include "virtio-9p-host.h"

#define O_DIRECT_WIRE   000040000u
#define O_NOATIME_WIRE  0001000000
#define GETATTR_GEN     0x00001000ull
#define GETATTR_VERSION 0x00002000ull
#define BLOCK           4096
#define STAYING         2000        /* entries that stay */
#define COMING          4           /* that come and go between two reads */

/*
 * O_DIRECT
 */

/* Whether the current folder's file system supports it */
static bool host_has_direct(Test *t)
{
    g_autofree char *path = host_path(t, "probe");
    int fd = open(path, O_RDWR | O_CREAT | O_DIRECT, 0600);
    bool there = fd >= 0;

    if (there) {
        close(fd);
    } else {
        g_assert_cmpint(errno, ==, EINVAL);
    }
    unlink(path);
    return there;
}

static bool is_direct(Test *t, const char *name)
{
    g_autofree char *path = host_path(t, name);
    int flags = p9_host_open_flags(path);

    g_assert_cmpint(flags, >=, 0);
    return flags & O_DIRECT;
}

/* A block each way; its data is aligned, in a descriptor of its own. */
static void direct_io(Test *t, uint32_t fid, uint64_t offset)
{
    uint32_t out[] = { P9C_HEADER + 16, BLOCK };
    uint32_t in[] = { P9C_HEADER + 4, BLOCK };
    g_autofree uint8_t *data = g_malloc(BLOCK);
    unsigned i;
    P9Call *call;

    for (i = 0; i < BLOCK; i++) {
        data[i] = g_test_rand_int();
    }
    call = p9c_write_call(t->c, fid, offset, data, BLOCK);
    p9c_submit_chain(call, out, 2, in, 1);
    ok(p9c_wait(call));
    g_assert_cmpuint(p9c_get_u32(call), ==, BLOCK);
    p9c_call_end(call);

    call = p9c_read_call(t->c, fid, offset, BLOCK);
    p9c_submit_chain(call, out, 1, in, 2);
    ok(p9c_wait(call));
    g_assert_cmpuint(p9c_get_u32(call), ==, BLOCK);
    g_assert_cmpmem(p9c_get_bytes(call, BLOCK), BLOCK, data, BLOCK);
    p9c_call_end(call);
}

static void test_direct(Test *t)
{
    bool there = host_has_direct(t);
    const char data[] = "not a block, and not where one begins";
    char back[sizeof(data)];
    uint32_t n;

    g_test_message("O_DIRECT %s", there ? "works here" : "does not work here");
    /* Made with it, and opened with it */
    ok(walk(t, ROOT, 1, ""));
    ok(create(t, 1, "file", P9C_O_RDWR | O_DIRECT_WIRE, 0644));
    g_assert_cmpint(is_direct(t, "file"), ==, there);
    direct_io(t, 1, 0);
    g_assert_cmpint(is_direct(t, "file"), ==, there);
    ok(clunk(t, 1));
    ok(walk(t, ROOT, 1, "file"));
    ok(open_fid(t, 1, P9C_O_RDWR | O_DIRECT_WIRE));
    g_assert_cmpint(is_direct(t, "file"), ==, there);
    direct_io(t, 1, BLOCK);
    g_assert_cmpint(is_direct(t, "file"), ==, there);

    /* I/O that O_DIRECT does not allow works all the same. */
    ok(p9c_write(t->c, 1, 17, data, sizeof(data), &n));
    g_assert_cmpuint(n, ==, sizeof(data));
    ok(p9c_read(t->c, 1, 17, sizeof(data), back, &n));
    g_assert_cmpmem(back, n, data, sizeof(data));
    g_test_message("O_DIRECT is %s after unaligned I/O",
                   is_direct(t, "file") ? "on" : "off");
    direct_io(t, 1, 2 * BLOCK);
    ok(p9c_read(t->c, 1, 17, sizeof(data), back, &n));
    g_assert_cmpmem(back, n, data, sizeof(data));
    /* A directory ignores the flag. */
    ok(walk(t, ROOT, 2, ""));
    ok(open_fid(t, 2, P9C_O_RDONLY | O_DIRECT_WIRE));
}

/*
 * O_NOATIME
 */

static bool is_noatime(Test *t, const char *name)
{
    g_autofree char *path = host_path(t, name);
    int flags = p9_host_open_flags(path);

    g_assert_cmpint(flags, >=, 0);
    return flags & O_NOATIME;
}

static void make_old(Test *t, const char *name, struct timespec old)
{
    g_autofree char *path = host_path(t, name);
    struct timespec times[] = { old, old };

    g_assert_cmpint(utimensat(AT_FDCWD, path, times, 0), ==, 0);
}

static void atime_stays(Test *t, const char *name, struct timespec old)
{
    g_assert_cmpint(host_stat(t, name).st_atim.tv_sec, ==, old.tv_sec);
}

static void test_noatime(Test *t)
{
    const struct timespec old = { .tv_sec = 1000000000 };
    g_autofree char *other = NULL;

    make_file(t, ROOT, "file", "data");
    ok(make_dir(t, ROOT, "dir", 0755));
    make_old(t, "file", old);
    make_old(t, "dir", old);
    ok(walk(t, ROOT, 1, "file"));
    ok(open_fid(t, 1, P9C_O_RDONLY | O_NOATIME_WIRE));
    g_assert_true(is_noatime(t, "file"));
    read_is(t, 1, 0, "data");
    atime_stays(t, "file", old);
    ok(clunk(t, 1));
    ok(walk(t, ROOT, 1, "dir"));
    ok(open_fid(t, 1, P9C_O_DIRECTORY | O_NOATIME_WIRE));
    g_assert_true(is_noatime(t, "dir"));
    ok(p9c_readdir(t->c, 1, 0, 1000, NULL, NULL));
    atime_stays(t, "dir", old);
    ok(clunk(t, 1));

    /* With O_DIRECT, which goes when the host refuses it */
    ok(walk(t, ROOT, 1, "file"));
    ok(open_fid(t, 1, P9C_O_RDONLY | O_NOATIME_WIRE | O_DIRECT_WIRE));
    read_is(t, 1, 1, "ata");
    g_assert_true(is_noatime(t, "file"));
    ok(clunk(t, 1));

    /* Made, or opened by name */
    ok(walk(t, ROOT, 1, ""));
    ok(create(t, 1, "file", P9C_O_RDWR | O_NOATIME_WIRE, 0644));
    g_assert_true(is_noatime(t, "file"));
    ok(clunk(t, 1));
    ok(walk(t, ROOT, 1, ""));
    ok(create(t, 1, "new", P9C_O_RDWR | O_NOATIME_WIRE, 0644));
    g_assert_true(is_noatime(t, "new"));
    ok(clunk(t, 1));

    /* Where the host says EPERM, the file opens without it. */
    if (!geteuid()) {
        host_write(t, "other", "data");
        other = host_path(t, "other");
        g_assert_cmpint(chown(other, 4321, 4321), ==, 0);
        g_assert_cmpint(chmod(other, 0644), ==, 0);
        ok(walk(t, ROOT, 1, "other"));
        ok(open_fid(t, 1, P9C_O_RDONLY | O_NOATIME_WIRE));
        read_is(t, 1, 0, "data");
        if (has(t, HAS_USER)) {
            g_assert_false(is_noatime(t, "other"));
        }
    }
}

/*
 * Generations
 */

static void generation_is(Test *t, uint32_t fid, const char *name, bool open)
{
    g_autofree char *path = host_path(t, name);
    const uint64_t mask = P9C_GETATTR_ALL & ~P9C_GETATTR_BASIC;
    unsigned int host = 0;
    int fd = openat(AT_FDCWD, path, O_RDONLY);
    bool there = ioctl(fd, FS_IOC_GETVERSION, &host) == 0;
    bool told = there && (open || has(t, HAS_LOCAL));
    P9CAttr attr;

    g_assert_cmpint(fd, >=, 0);
    close(fd);
    if (!there) {
        g_test_message("%s has no generation here", name);
    }
    ok(p9c_getattr(t->c, fid, P9C_GETATTR_ALL, &attr));
    g_assert_cmphex(attr.valid & GETATTR_GEN, ==, told ? GETATTR_GEN : 0);
    g_assert_cmphex(attr.valid & GETATTR_VERSION, ==, 0);
    g_assert_cmphex(attr.gen, ==, told ? host : 0);
    g_assert_cmphex(attr.data_version, ==, 0);
    ok(p9c_getattr(t->c, fid, mask, &attr));
    g_assert_cmphex(attr.valid & ~mask, ==, 0);
    g_assert_cmphex(attr.gen, ==, told ? host : 0);
    /* Not requested, so not valid */
    ok(p9c_getattr(t->c, fid, P9C_GETATTR_BASIC, &attr));
    g_assert_cmphex(attr.valid, ==, P9C_GETATTR_BASIC);
}

static void test_generation(Test *t)
{
    P9CAttr attr;

    ok(walk(t, ROOT, 1, ""));
    ok(create(t, 1, "file", P9C_O_WRONLY, 0600));
    generation_is(t, 1, "file", true);
    ok(clunk(t, 1));
    ok(walk(t, ROOT, 1, "file"));
    generation_is(t, 1, "file", false);
    ok(open_fid(t, 1, P9C_O_RDONLY));
    generation_is(t, 1, "file", true);
    /* Once QEMU knows it, all fids have it. */
    ok(walk(t, ROOT, 5, "file"));
    generation_is(t, 5, "file", true);
    ok(make_dir(t, ROOT, "dir", 0755));
    ok(walk(t, ROOT, 2, "dir"));
    generation_is(t, 2, "dir", false);
    generation_is(t, ROOT, ".", false);

    ok(make_node(t, ROOT, "fifo", S_IFIFO | 0600, 0, 0));
    ok(make_symlink(t, ROOT, "link", "file"));
    ok(walk(t, ROOT, 3, "fifo"));
    ok(walk(t, ROOT, 4, "link"));
    ok(p9c_getattr(t->c, 4, P9C_GETATTR_ALL, &attr));
    g_assert_cmphex(attr.mode & S_IFMT, ==, S_IFLNK);
    ok(p9c_getattr(t->c, 3, P9C_GETATTR_ALL, &attr));
    g_assert_cmphex(attr.mode & S_IFMT, ==, S_IFIFO);

    /* A file that only a fid keeps */
    ok(p9c_unlinkat(t->c, ROOT, "file", 0));
    ok(p9c_getattr(t->c, 1, P9C_GETATTR_ALL, &attr));
    g_assert_cmpuint(attr.nlink, ==, 0);
}

/*
 * Directories
 */

static char *stay_name(unsigned i)
{
    return g_strdup_printf("entry-that-stays-%u", i);
}

/* The guest and the host remove some entries and add others. */
static void come_and_go(Test *t, unsigned *serial)
{
    unsigned i;

    for (i = 0; i < COMING; i++) {
        g_autofree char *come = g_strdup_printf("c%u", *serial + COMING);
        g_autofree char *go = g_strdup_printf("c%u", *serial);

        if (*serial % 2) {
            g_autofree char *path = host_path(t, come);

            g_assert_cmpint(mkdir(path, 0700), ==, 0);
        } else {
            ok(make_dir(t, ROOT, come, 0700));
        }
        p9c_unlinkat(t->c, ROOT, go, P9C_AT_REMOVEDIR);
        (*serial)++;
    }
}

/*
 * Reads the directory to its end from @offset, @count bytes at a time, and
 * counts how often each entry that stays is seen.
 */
static void read_rest(Test *t, uint32_t fid, uint64_t offset, uint32_t count,
                      unsigned *serial, unsigned *seen)
{
    bool end = false;
    unsigned i;

    while (!end) {
        g_autoptr(GPtrArray) entries = NULL;

        ok(p9c_readdir(t->c, fid, offset, count, &entries, NULL));
        end = entries->len == 0;
        for (i = 0; i < entries->len; i++) {
            const P9CDirent *entry = entries->pdata[i];
            unsigned n;

            if (sscanf(entry->name, "entry-that-stays-%u", &n) == 1) {
                g_assert_cmpuint(n, <, STAYING);
                seen[n]++;
            }
            offset = entry->offset;
        }
        come_and_go(t, serial);
    }
}

/* Each entry that stays appears exactly once. */
static void test_readdir(Test *t)
{
    static const uint32_t counts[] = { 1000, 4000, 8000 };
    unsigned seen[STAYING], serial = 0;
    g_autoptr(GPtrArray) entries = NULL;
    unsigned i, j;

    for (i = 0; i < STAYING; i++) {
        g_autofree char *name = stay_name(i);
        g_autofree char *path = host_path(t, name);

        g_assert_cmpint(mkdir(path, 0700), ==, 0);
    }
    ok(walk(t, ROOT, 1, ""));
    ok(open_fid(t, 1, P9C_O_RDONLY));
    ok(walk(t, ROOT, 2, ""));
    ok(open_fid(t, 2, P9C_O_RDONLY));
    for (i = 0; i < ARRAY_SIZE(counts); i++) {
        memset(seen, 0, sizeof(seen));
        read_rest(t, 1, 0, counts[i], &serial, seen);
        for (j = 0; j < STAYING; j++) {
            g_assert_cmpuint(seen[j], ==, 1);
        }
    }

    /* From an older offset, which another fid got */
    ok(p9c_readdir(t->c, 2, 0, 4000, &entries, NULL));
    g_assert_cmpuint(entries->len, >, 10);
    memset(seen, 0, sizeof(seen));
    for (i = 0; i < entries->len; i++) {
        const P9CDirent *entry = entries->pdata[i];
        unsigned n;

        if (sscanf(entry->name, "entry-that-stays-%u", &n) == 1) {
            seen[n]++;
        }
    }
    come_and_go(t, &serial);
    read_rest(t, 1, ((P9CDirent *)entries->pdata[entries->len - 1])->offset,
              1000, &serial, seen);
    for (j = 0; j < STAYING; j++) {
        g_assert_cmpuint(seen[j], ==, 1);
    }
}

/*
 * Permissions
 */

static uint32_t host_mode(Test *t, const char *name)
{
    g_autofree char *path = host_path(t, name);
    struct stat st;

    g_assert_cmpint(lstat(path, &st), ==, 0);
    g_assert_cmpuint(st.st_uid, ==, t->host_uid);
    return st.st_mode & 07777;
}

/* Removes all permissions on the host. */
static void host_lock(Test *t, const char *name)
{
    g_autofree char *path = host_path(t, name);

    g_assert_cmpint(chmod(path, 0), ==, 0);
}

/*
 * QEMU is an ordinary user and owns files without permissions. The guest's root
 * has full access to them.
 */
static void test_own_files(Test *t)
{
    P9CSetAttr set = { .valid = P9C_SETATTR_SIZE, .size = 2 };
    g_autoptr(GPtrArray) entries = NULL;
    char buf[8];
    P9CAttr attr;
    uint32_t n;

    ok(make_dir(t, ROOT, "d", 0755));
    ok(walk(t, ROOT, 1, "d"));
    ok(create(t, 1, "f", P9C_O_RDWR, 0644));
    ok(p9c_write(t->c, 1, 0, "text", 4, &n));
    host_lock(t, "d/f");
    ok(walk(t, ROOT, 2, "d"));
    host_lock(t, "d");

    ok(walk(t, ROOT, 3, "d/f"));
    ok(walk(t, 2, 4, "f"));
    ok(p9c_setattr(t->c, 4, &set));
    ok(open_fid(t, 3, P9C_O_RDWR));
    ok(p9c_read(t->c, 3, 0, 8, buf, &n));
    g_assert_cmpmem(buf, n, "te", 2);
    ok(walk(t, ROOT, 5, "d"));
    ok(open_fid(t, 5, P9C_O_RDONLY));
    entries = p9c_readdir_all(t->c, 5, 4096);
    g_assert_nonnull(p9c_dirent_find(entries, "f"));
    ok(p9c_renameat(t->c, 2, "f", 2, "g"));
    ok(p9c_link(t->c, 2, 4, "h"));
    ok(make_dir(t, 2, "sub", 0700));
    ok(p9c_unlinkat(t->c, 2, "sub", P9C_AT_REMOVEDIR));
    ok(p9c_unlinkat(t->c, 2, "g", 0));
    ok(walk(t, 2, 6, "h"));
    ok(getattr(t, 6, &attr));
    g_assert_cmpuint(attr.size, ==, 2);

    g_assert_cmphex(host_mode(t, "d"), ==, 0);
    g_assert_cmpint(p9c_walk_to(t->c, 6, 7, ".."), ==, ENOTDIR);
    ok(p9c_unlinkat(t->c, 2, "h", 0));
    ok(p9c_unlinkat(t->c, ROOT, "d", P9C_AT_REMOVEDIR));
}

const Case behaviour_host[] = {
    { "direct", test_direct, HAS_HOST, CASE_SMALL | CASE_ANYBODY },
    { "open-noatime", test_noatime, HAS_HOST, CASE_SHORT },
    { "generation", test_generation, HAS_HOST, CASE_SMALL },
    { "readdir-come-and-go", test_readdir, HAS_HOST,
      CASE_SMALL | CASE_ANYBODY },
    { "own-files", test_own_files, HAS_USER },
    { NULL }
};
