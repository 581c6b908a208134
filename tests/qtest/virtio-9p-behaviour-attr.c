/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Behaviour of attributes: the values that the guest sees, and their changes.
 */
#include "qemu/osdep.h"
#include <sys/vfs.h>
#include "virtio-9p-behaviour.h"

#define GETATTR_BTIME   0x00000800ull

#define BOTH_TIMES  (P9C_SETATTR_ATIME | P9C_SETATTR_ATIME_SET | \
                     P9C_SETATTR_MTIME | P9C_SETATTR_MTIME_SET)

static void attr_is(Test *t, const P9CAttr *a, const char *name)
{
    struct stat st = host_stat(t, name);
    HostView view = host_view(t, name);

    g_assert_cmphex(a->mode, ==, view.mode);
    if (has(t, HAS_VIEW) || t->host_uid == 0) {
        g_assert_cmpuint(a->uid, ==, view.uid);
        g_assert_cmpuint(a->gid, ==, view.gid);
    }
    g_assert_cmpuint(a->nlink, ==, view.nlink);
    g_assert_cmpuint(a->size, ==, st.st_size);
    g_assert_cmpuint(a->blksize, ==, st.st_blksize);
    g_assert_cmpuint(a->blocks, ==, st.st_blocks);
    g_assert_cmpint(a->atime_sec, ==, st.st_atim.tv_sec);
    g_assert_cmpint(a->atime_nsec, ==, st.st_atim.tv_nsec);
    g_assert_cmpint(a->mtime_sec, ==, st.st_mtim.tv_sec);
    g_assert_cmpint(a->mtime_nsec, ==, st.st_mtim.tv_nsec);
    g_assert_cmpint(a->ctime_sec, ==, st.st_ctim.tv_sec);
    g_assert_cmpint(a->ctime_nsec, ==, st.st_ctim.tv_nsec);
}

static void test_getattr(Test *t)
{
    g_autofree char *path = host_path(t, "made");
    static const char *const names[] = { "made", "d", "l", "host" };
    struct statx stx;
    P9CAttr a, b;
    int i;

    make_file(t, ROOT, "made", "hello");
    ok(make_dir(t, ROOT, "d", 0751));
    ok(make_symlink(t, ROOT, "l", "made"));
    host_write(t, "host", "the host's");
    for (i = 0; i < ARRAY_SIZE(names); i++) {
        ok(walk(t, ROOT, 10 + i, names[i]));
        ok(p9c_getattr(t->c, 10 + i, P9C_GETATTR_ALL, &a));
        g_assert_cmphex(a.valid & P9C_GETATTR_BASIC, ==, P9C_GETATTR_BASIC);
        attr_is(t, &a, names[i]);
        /* An open fid gives the same values. */
        if (S_ISREG(a.mode)) {
            ok(open_fid(t, 10 + i, P9C_O_RDONLY));
            ok(p9c_getattr(t->c, 10 + i, P9C_GETATTR_ALL, &b));
            g_assert_cmphex(a.mode, ==, b.mode);
            g_assert_cmpuint(a.qid.path, ==, b.qid.path);
            attr_is(t, &b, names[i]);
        }
    }
    /* The time of creation, if the host knows it */
    ok(p9c_getattr(t->c, 10, P9C_GETATTR_ALL, &a));
    g_assert_cmpint(statx(AT_FDCWD, path, 0, STATX_BTIME, &stx), ==, 0);
    if (stx.stx_mask & STATX_BTIME) {
        g_assert_cmphex(a.valid & GETATTR_BTIME, !=, 0);
        g_assert_cmpint(a.btime_sec, ==, stx.stx_btime.tv_sec);
        g_assert_cmpint(a.btime_nsec, ==, stx.stx_btime.tv_nsec);
    } else {
        g_assert_cmphex(a.valid & GETATTR_BTIME, ==, 0);
    }
    /* Only the requested fields are valid. */
    ok(p9c_getattr(t->c, 10, 1, &a));
    g_assert_cmphex(a.valid, ==, 1);
    ok(p9c_getattr(t->c, 10, 0, &a));
    g_assert_cmphex(a.valid, ==, 0);
    /* The guest sees a change by the host at once. */
    ok(getattr(t, 13, &a));
    host_write(t, "host", "longer than before");
    ok(getattr(t, 13, &b));
    g_assert_cmpuint(b.size, ==, 18);
    g_assert_cmpuint(a.qid.path, ==, b.qid.path);
    ok(p9c_getattr(t->c, ROOT, P9C_GETATTR_ALL, &a));
    attr_is(t, &a, ".");
}

static void test_mode(Test *t)
{
    static const uint32_t modes[] = { 0, 07777, 01777, 02755, 04751, 0600 };
    int i;

    make_file(t, ROOT, "f", "data");
    ok(make_dir(t, ROOT, "d", 0755));
    ok(make_symlink(t, ROOT, "l", "f"));
    ok(walk(t, ROOT, 1, "f"));
    ok(walk(t, ROOT, 2, "d"));
    ok(walk(t, ROOT, 3, "l"));
    for (i = 0; i < ARRAY_SIZE(modes); i++) {
        /* The type bits of a mode are ignored. */
        ok(set_mode(t, 1, S_IFDIR | modes[i]));
        ok(set_mode(t, 2, modes[i]));
        g_assert_cmphex(attr_of(t, "f").mode, ==, S_IFREG | modes[i]);
        g_assert_cmphex(attr_of(t, "d").mode, ==, S_IFDIR | modes[i]);
        host_mode_is(t, "f", S_IFREG | modes[i]);
        host_mode_is(t, "d", S_IFDIR | modes[i]);
        /* The guest's root still has full access. */
        content_is(t, "f", "data");
        make_file(t, 2, "x", "y");
        content_is(t, "d/x", "y");
        ok(p9c_unlinkat(t->c, 2, "x", 0));
    }
    fails(set_mode(t, 3, 0600), EOPNOTSUPP);
    host_mode_is(t, "l", S_IFLNK | 0777);
    /* The root of the export is a directory like any other. */
    ok(set_mode(t, ROOT, 0750));
    g_assert_cmphex(attr_of(t, "").mode, ==, S_IFDIR | 0750);
    host_mode_is(t, ".", S_IFDIR | 0750);
}

static int set_owner(Test *t, uint32_t fid, uint32_t uid, uint32_t gid)
{
    return setattr(t, fid, (P9CSetAttr) {
        .valid = P9C_SETATTR_UID | P9C_SETATTR_GID, .uid = uid, .gid = gid,
    });
}

static void owner_is(Test *t, const char *name, uint32_t uid, uint32_t gid)
{
    P9CAttr a = attr_of(t, name);
    HostView view = host_view(t, *name ? name : ".");

    g_assert_cmpuint(a.uid, ==, uid);
    g_assert_cmpuint(a.gid, ==, gid);
    g_assert_cmpuint(view.uid, ==, uid);
    g_assert_cmpuint(view.gid, ==, gid);
}

static void test_owner(Test *t)
{
    make_file(t, ROOT, "f", "data");
    ok(make_dir(t, ROOT, "d", 0755));
    ok(make_symlink(t, ROOT, "l", "f"));
    ok(walk(t, ROOT, 1, "f"));
    ok(walk(t, ROOT, 2, "d"));
    ok(walk(t, ROOT, 3, "l"));
    ok(setattr(t, 1, (P9CSetAttr) { .valid = P9C_SETATTR_UID, .uid = 1234 }));
    owner_is(t, "f", 1234, t->gid);
    ok(setattr(t, 1, (P9CSetAttr) { .valid = P9C_SETATTR_GID, .gid = 77 }));
    owner_is(t, "f", 1234, 77);
    ok(set_owner(t, 2, 1000, 2000));
    owner_is(t, "d", 1000, 2000);
    /* The owner of the link, not of its target */
    ok(set_owner(t, 3, 5, 6));
    owner_is(t, "l", 5, 6);
    owner_is(t, "f", 1234, 77);
    fails(set_owner(t, 1, -1, 0), EINVAL);
    fails(set_owner(t, 1, 0, -1), EINVAL);
    owner_is(t, "f", 1234, 77);
    /* A user's session makes files of that user, with the group it sends. */
    ok(p9c_attach(t->c, 9, 1000, NULL));
    ok(p9c_lcreate(t->c, 9, "mine", P9C_O_RDWR | P9C_O_EXCL, 0600, 2001, NULL,
                   NULL));
    owner_is(t, "mine", 1000, 2001);
    ok(p9c_attach(t->c, 10, 1000, NULL));
    ok(p9c_mkdir(t->c, 10, "my-dir", 0700, 2001, NULL));
    ok(p9c_symlink(t->c, 10, "my-link", "x", 2001, NULL));
    ok(p9c_mknod(t->c, 10, "my-fifo", S_IFIFO | 0600, 0, 0, 2001, NULL));
    owner_is(t, "my-dir", 1000, 2001);
    owner_is(t, "my-link", 1000, 2001);
    owner_is(t, "my-fifo", 1000, 2001);
    /* The guest's root has full access to them. */
    ok(walk(t, ROOT, 11, "mine"));
    ok(open_fid(t, 11, P9C_O_RDWR));
    ok(set_mode(t, 11, 0640));
    host_mode_is(t, "mine", S_IFREG | 0640);
    ok(set_owner(t, ROOT, 3, 4));
    owner_is(t, "", 3, 4);
}

/* The owner of new files when Tattach has a user name and no number */
static void test_attach_names(Test *t)
{
    static const struct {
        const char *uname;
        uint32_t uid;
    } names[] = {
        { "root", 0 }, { "0", 0 }, { "1234", 1234 }, { "4294967294", -2 },
        { "4294967295", 65534 }, { "bob", 65534 }, { "", 65534 },
        { "12x", 65534 }, { "99999999999", 65534 },
    };
    unsigned i;

    for (i = 0; i < ARRAY_SIZE(names); i++) {
        g_autofree char *name = g_strdup_printf("d%u", i);

        ok(p9c_rpc(t->c, P9C_TATTACH,
                   PUT(U32(10 + i), U32(P9C_NOFID), STR(names[i].uname),
                       STR(""), U32(P9C_NOUID)),
                   GET(TO_QID(NULL))));
        ok(p9c_mkdir(t->c, 10 + i, name, 0700, 5, NULL));
        owner_is(t, name, names[i].uid, 5);
    }
}

/* chown(2) clears set-id bits of regular files only. */
static void test_set_id(Test *t)
{
    make_file(t, ROOT, "f", "");
    ok(make_dir(t, ROOT, "d", 0755));
    ok(walk(t, ROOT, 1, "f"));
    ok(walk(t, ROOT, 2, "d"));
    ok(set_mode(t, 1, 06755));
    ok(set_owner(t, 1, 1, 1));
    host_mode_is(t, "f", S_IFREG | 0755);
    ok(set_mode(t, 1, 06755));
    ok(setattr(t, 1, (P9CSetAttr) { .valid = P9C_SETATTR_GID, .gid = 2 }));
    host_mode_is(t, "f", S_IFREG | 0755);
    g_assert_cmphex(attr_of(t, "f").mode, ==, S_IFREG | 0755);
    /* Without the group's execute bit it means mandatory locking: kept. */
    ok(set_mode(t, 1, 03744));
    ok(set_owner(t, 1, 3, 3));
    host_mode_is(t, "f", S_IFREG | 03744);
    /* A mode that comes with the owner wins. */
    ok(setattr(t, 1, (P9CSetAttr) {
        .valid = P9C_SETATTR_UID | P9C_SETATTR_MODE, .uid = 4, .mode = 04711,
    }));
    host_mode_is(t, "f", S_IFREG | 04711);
    /* A directory keeps them. */
    ok(set_mode(t, 2, 07775));
    ok(set_owner(t, 2, 1, 1));
    host_mode_is(t, "d", S_IFDIR | 07775);
    g_assert_cmphex(attr_of(t, "d").mode, ==, S_IFDIR | 07775);
}

static void test_size(Test *t)
{
    P9CSetAttr set = { .valid = P9C_SETATTR_SIZE };
    char buf[16];
    uint32_t n;

    make_file(t, ROOT, "f", "0123456789");
    ok(make_dir(t, ROOT, "d", 0755));
    ok(make_symlink(t, ROOT, "l", "f"));
    ok(walk(t, ROOT, 1, "f"));
    set.size = 4;
    ok(p9c_setattr(t->c, 1, &set));
    host_is(t, "f", "0123");
    set.size = 1 << 20;
    ok(p9c_setattr(t->c, 1, &set));
    g_assert_cmpuint(host_stat(t, "f").st_size, ==, 1 << 20);
    g_assert_cmpuint(attr_of(t, "f").size, ==, 1 << 20);
    /* With an open fid; the added bytes are zeroes. */
    ok(open_fid(t, 1, P9C_O_RDWR));
    set.size = 6;
    ok(p9c_setattr(t->c, 1, &set));
    ok(p9c_read(t->c, 1, 0, sizeof(buf), buf, &n));
    g_assert_cmpmem(buf, n, "0123\0\0", 6);
    /* The fid's access mode does not matter: truncate(2) */
    ok(walk(t, ROOT, 2, "f"));
    ok(open_fid(t, 2, P9C_O_RDONLY));
    set.size = 3;
    ok(p9c_setattr(t->c, 2, &set));
    host_is(t, "f", "012");
    set.size = (uint64_t)INT64_MAX + 1;
    fails(p9c_setattr(t->c, 1, &set), EFBIG);
    set.size = 0;
    ok(walk(t, ROOT, 3, "d"));
    fails(p9c_setattr(t->c, 3, &set), EISDIR);
    ok(walk(t, ROOT, 4, "l"));
    fails(p9c_setattr(t->c, 4, &set), EINVAL);
    host_is(t, "f", "012");
}

static void times_are(Test *t, const char *name, int64_t atime,
                      uint32_t atime_nsec, int64_t mtime, uint32_t mtime_nsec)
{
    struct stat st = host_stat(t, name);
    P9CAttr a = attr_of(t, name);

    g_assert_cmpint(st.st_atim.tv_sec, ==, atime);
    g_assert_cmpint(st.st_atim.tv_nsec, ==, atime_nsec);
    g_assert_cmpint(st.st_mtim.tv_sec, ==, mtime);
    g_assert_cmpint(st.st_mtim.tv_nsec, ==, mtime_nsec);
    g_assert_cmpint(a.atime_sec, ==, atime);
    g_assert_cmpint(a.atime_nsec, ==, atime_nsec);
    g_assert_cmpint(a.mtime_sec, ==, mtime);
    g_assert_cmpint(a.mtime_nsec, ==, mtime_nsec);
}

static void test_times(Test *t)
{
    P9CSetAttr set = {
        .valid = BOTH_TIMES,
        .atime_sec = 1000000000, .atime_nsec = 123456789,
        .mtime_sec = 1500000000, .mtime_nsec = 987654321,
    };
    time_t now = time(NULL);
    struct stat before, after;

    make_file(t, ROOT, "f", "");
    ok(make_dir(t, ROOT, "d", 0755));
    ok(make_symlink(t, ROOT, "l", "f"));
    ok(walk(t, ROOT, 1, "f"));
    ok(walk(t, ROOT, 2, "d"));
    ok(walk(t, ROOT, 3, "l"));
    ok(p9c_setattr(t->c, 1, &set));
    times_are(t, "f", 1000000000, 123456789, 1500000000, 987654321);
    ok(p9c_setattr(t->c, 2, &set));
    times_are(t, "d", 1000000000, 123456789, 1500000000, 987654321);

    /* Only one of the times */
    set.valid = P9C_SETATTR_ATIME | P9C_SETATTR_ATIME_SET;
    set.atime_sec = 5;
    set.atime_nsec = 0;
    ok(p9c_setattr(t->c, 1, &set));
    times_are(t, "f", 5, 0, 1500000000, 987654321);
    set.valid = P9C_SETATTR_MTIME | P9C_SETATTR_MTIME_SET;
    set.mtime_sec = 6;
    ok(p9c_setattr(t->c, 1, &set));
    times_are(t, "f", 5, 0, 6, 987654321);
    /* One to the current time; the other stays. */
    set.valid = P9C_SETATTR_MTIME;
    ok(p9c_setattr(t->c, 1, &set));
    after = host_stat(t, "f");
    g_assert_cmpint(after.st_atim.tv_sec, ==, 5);
    g_assert_cmpint(after.st_mtim.tv_sec, >=, now - 1);
    set.valid = P9C_SETATTR_ATIME;
    ok(p9c_setattr(t->c, 1, &set));
    after = host_stat(t, "f");
    g_assert_cmpint(after.st_atim.tv_sec, >=, now - 1);
    /* A time without its bit is not set; invalid times are refused. */
    set.valid = P9C_SETATTR_ATIME_SET | P9C_SETATTR_MTIME_SET;
    before = host_stat(t, "f");
    ok(p9c_setattr(t->c, 1, &set));
    after = host_stat(t, "f");
    g_assert_cmpint(before.st_atim.tv_nsec, ==, after.st_atim.tv_nsec);
    g_assert_cmpint(before.st_mtim.tv_nsec, ==, after.st_mtim.tv_nsec);
    set.valid = BOTH_TIMES;
    set.atime_nsec = 1000000000;
    fails(p9c_setattr(t->c, 1, &set), EINVAL);
    set.atime_nsec = 0x3fffffff;            /* UTIME_NOW */
    fails(p9c_setattr(t->c, 1, &set), EINVAL);
    set.atime_nsec = 0;
    set.mtime_nsec = 0x3ffffffe;            /* UTIME_OMIT */
    fails(p9c_setattr(t->c, 1, &set), EINVAL);
    set.mtime_nsec = UINT64_MAX;
    fails(p9c_setattr(t->c, 1, &set), EINVAL);
    /* The times of the link, not of its target */
    set.mtime_sec = 42;
    set.mtime_nsec = 0;
    ok(p9c_setattr(t->c, 3, &set));
    g_assert_cmpint(host_stat(t, "l").st_mtim.tv_sec, ==, 42);
    g_assert_cmpint(attr_of(t, "l").mtime_sec, ==, 42);
    g_assert_cmpint(host_stat(t, "f").st_mtim.tv_sec, !=, 42);
    /* Before 1970 */
    set.mtime_sec = -1000;
    ok(p9c_setattr(t->c, 1, &set));
    g_assert_cmpint(host_stat(t, "f").st_mtim.tv_sec, ==, -1000);
    g_assert_cmpint((int64_t)attr_of(t, "f").mtime_sec, ==, -1000);
}

/* Whether @set moves the ctime: this may take a tick of the host's clock. */
static bool ctime_moves(Test *t, uint32_t fid, P9CSetAttr set)
{
    P9CAttr before, after;
    int i;

    ok(getattr(t, fid, &before));
    for (i = 0; i < 200; i++) {
        ok(p9c_setattr(t->c, fid, &set));
        ok(getattr(t, fid, &after));
        if (after.ctime_sec != before.ctime_sec ||
            after.ctime_nsec != before.ctime_nsec) {
            return true;
        }
        g_usleep(1000);
    }
    return false;
}

static void test_ctime(Test *t)
{
    P9CAttr before, after;

    make_file(t, ROOT, "f", "data");
    ok(walk(t, ROOT, 1, "f"));
    ok(set_mode(t, 1, 04755));
    ok(getattr(t, 1, &before));
    /* The ctime bit alone changes nothing else. */
    g_assert_true(ctime_moves(t, 1, (P9CSetAttr) {
        .valid = P9C_SETATTR_CTIME,
    }));
    ok(getattr(t, 1, &after));
    g_assert_cmphex(after.mode, ==, before.mode);
    g_assert_cmpuint(after.uid, ==, before.uid);
    g_assert_cmpuint(after.size, ==, before.size);
    g_assert_cmpint(after.mtime_sec, ==, before.mtime_sec);
    g_assert_cmpint(after.mtime_nsec, ==, before.mtime_nsec);
    g_assert_cmpint(after.atime_nsec, ==, before.atime_nsec);
    /* Every other change moves it. */
    g_assert_true(ctime_moves(t, 1, (P9CSetAttr) {
        .valid = P9C_SETATTR_MODE, .mode = 0640,
    }));
    g_assert_true(ctime_moves(t, 1, (P9CSetAttr) {
        .valid = P9C_SETATTR_SIZE, .size = 1,
    }));
    g_assert_true(ctime_moves(t, 1, (P9CSetAttr) {
        .valid = P9C_SETATTR_UID, .uid = t->uid,
    }));
    same_inode(t, 1, "f");
}

static void test_together(Test *t)
{
    P9CSetAttr set = {
        .valid = P9C_SETATTR_MODE | P9C_SETATTR_SIZE | BOTH_TIMES |
                 P9C_SETATTR_CTIME,
        .mode = 0604, .size = 2, .atime_sec = 1, .mtime_sec = 2,
        .mtime_nsec = 3, .uid = 12, .gid = 34,
    };
    uint32_t mode = 0604;

    make_file(t, ROOT, "f", "data");
    ok(walk(t, ROOT, 1, "f"));
    if (has(t, HAS_OWNERS)) {
        set.valid |= P9C_SETATTR_UID | P9C_SETATTR_GID;
        set.mode = mode = 06711;
    }
    ok(p9c_setattr(t->c, 1, &set));
    times_are(t, "f", 1, 0, 2, 3);
    host_is(t, "f", "da");
    host_mode_is(t, "f", S_IFREG | mode);
    g_assert_cmphex(attr_of(t, "f").mode, ==, S_IFREG | mode);
    if (has(t, HAS_OWNERS)) {
        owner_is(t, "f", 12, 34);
    }
    /* No bits, an unknown bit, and an unknown fid */
    set.valid = 0;
    ok(p9c_setattr(t->c, 1, &set));
    set.valid = 0x80000000;
    fails(p9c_setattr(t->c, 1, &set), EINVAL);
    fails(p9c_setattr(t->c, 99, &set), ENOENT);
}

static void test_statfs(Test *t)
{
    struct statfs st;
    P9CStatfs got;

    make_file(t, ROOT, "f", "");
    ok(walk(t, ROOT, 1, "f"));
    g_assert_cmpint(statfs(t->dir, &st), ==, 0);
    ok(p9c_statfs(t->c, ROOT, &got));
    g_assert_cmphex(got.type, ==, (uint32_t)st.f_type);
    g_assert_cmpuint(got.bsize, ==, st.f_bsize);
    g_assert_cmpuint(got.blocks, ==, st.f_blocks);
    g_assert_cmpuint(got.files, ==, st.f_files);
    g_assert_cmpuint(got.namelen, ==, st.f_namelen);
    ok(p9c_statfs(t->c, 1, &got));
    g_assert_cmpuint(got.blocks, ==, st.f_blocks);
    fails(p9c_statfs(t->c, 99, &got), ENOENT);
}

const Case behaviour_attr[] = {
    { "getattr", test_getattr, HAS_HOST },
    { "setattr-mode", test_mode, HAS_HOST },
    { "setattr-owner", test_owner, HAS_HOST | HAS_OWNERS },
    { "attach-names", test_attach_names, HAS_HOST | HAS_OWNERS },
    { "setattr-set-id", test_set_id, HAS_HOST | HAS_OWNERS },
    { "setattr-size", test_size, HAS_HOST },
    { "setattr-times", test_times, HAS_HOST },
    { "setattr-ctime", test_ctime, HAS_HOST },
    { "setattr-together", test_together, HAS_HOST },
    { "statfs", test_statfs, HAS_HOST },
    { NULL }
};
