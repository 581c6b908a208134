/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Tests of virtfs-proxy-helper with protocol version 1 (shared/proto-v1.h):
 * the real program over a real socket, each request in good and bad form.
 */
#include "qemu/osdep.h"
#include "proxy-client-v1.h"
#include <glib/gstdio.h>
#include <sys/socket.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>
#include <sys/xattr.h>

typedef struct Test {
    char *dir;
    ProxyClientV1 p;
} Test;

static void setup(Test *t, gconstpointer opaque)
{
    const char *const *options = opaque;

    t->dir = g_dir_make_tmp("test-9p-v1-XXXXXX", NULL);
    g_assert_nonnull(t->dir);
    g_assert_cmpint(chmod(t->dir, 0777), ==, 0);
    t->p.c = pc_start(t->dir, PC_NOBODY, options);
}

static void teardown(Test *t, gconstpointer opaque)
{
    const char *argv[] = { "rm", "-rf", t->dir, NULL };

    if (t->p.c) {
        g_assert_cmpint(pc_close(t->p.c), ==, 0);
    }
    g_assert_true(g_spawn_sync(NULL, (char **)argv, NULL,
                               G_SPAWN_SEARCH_PATH, NULL, NULL, NULL, NULL,
                               NULL, NULL));
    g_free(t->dir);
}

static char *host(Test *t, const char *name)
{
    return g_build_filename(t->dir, name, NULL);
}

static MarshalWriter *begin(Test *t)
{
    return p1_begin(&t->p);
}

static int call(Test *t, uint32_t type)
{
    return p1_call(&t->p, type);
}

static int path_call(Test *t, uint32_t type, const char *path)
{
    marshal_put_str(begin(t), path);
    return call(t, type);
}

static int two_paths(Test *t, uint32_t type, const char *a, const char *b)
{
    MarshalWriter *w = begin(t);

    marshal_put_str(w, a);
    marshal_put_str(w, b);
    return call(t, type);
}

static int open_path(Test *t, const char *path, uint32_t flags)
{
    MarshalWriter *w = begin(t);

    marshal_put_str(w, path);
    marshal_put_u32(w, flags);
    return call(t, PROXY_V1_OPEN);
}

static int create(Test *t, const char *path, uint32_t flags, uint32_t mode,
                  uint32_t id)
{
    MarshalWriter *w = begin(t);

    marshal_put_str(w, path);
    marshal_put_u32(w, flags);
    marshal_put_u32(w, mode);
    marshal_put_u32(w, id);
    marshal_put_u32(w, id);
    return call(t, PROXY_V1_CREATE);
}

static int make(Test *t, uint32_t type, const char *path, uint32_t mode,
                uint32_t id)
{
    MarshalWriter *w = begin(t);

    marshal_put_u32(w, id);
    marshal_put_u32(w, id);
    marshal_put_str(w, path);
    marshal_put_u32(w, mode);
    if (type == PROXY_V1_MKNOD) {
        marshal_put_u64(w, 0);
    }
    return call(t, type);
}

static int make_link(Test *t, const char *target, const char *path)
{
    MarshalWriter *w = begin(t);

    marshal_put_u32(w, 0);
    marshal_put_u32(w, 0);
    marshal_put_str(w, target);
    marshal_put_str(w, path);
    return call(t, PROXY_V1_SYMLINK);
}

/* LSTAT: mode, and the rest in *st */
static int lstat_path(Test *t, const char *path, struct stat *st)
{
    MarshalReader *r = &t->p.r;
    int ret = path_call(t, PROXY_V1_LSTAT, path);

    if (ret < 0) {
        return ret;
    }
    memset(st, 0, sizeof(*st));
    st->st_dev = marshal_get_u64(r);
    st->st_ino = marshal_get_u64(r);
    st->st_nlink = marshal_get_u64(r);
    st->st_mode = marshal_get_u32(r);
    st->st_uid = marshal_get_u32(r);
    st->st_gid = marshal_get_u32(r);
    st->st_rdev = marshal_get_u64(r);
    st->st_size = marshal_get_u64(r);
    st->st_blksize = marshal_get_u64(r);
    st->st_blocks = marshal_get_u64(r);
    st->st_atim.tv_sec = marshal_get_u64(r);
    st->st_atim.tv_nsec = marshal_get_u64(r);
    st->st_mtim.tv_sec = marshal_get_u64(r);
    st->st_mtim.tv_nsec = marshal_get_u64(r);
    st->st_ctim.tv_sec = marshal_get_u64(r);
    st->st_ctim.tv_nsec = marshal_get_u64(r);
    g_assert_true(marshal_done(r));
    return 0;
}

/* The owner for new files: an ordinary user may have only the own id */
static uint32_t other_id(void)
{
    return geteuid() == 0 ? 1234 : 0;
}

static void test_files(Test *t, gconstpointer opaque)
{
    g_autofree char *path = host(t, "file");
    struct stat st, its;
    char text[8];
    int fd;

    fd = create(t, "//file", O_RDWR | O_CREAT | O_EXCL, 0640, other_id());
    g_assert_cmpint(fd, >=, 0);
    g_assert_cmpint(write(fd, "content", 7), ==, 7);
    close(fd);
    g_assert_cmpint(lstat(path, &st), ==, 0);
    g_assert_cmpint(st.st_mode, ==, S_IFREG | 0640);
    if (geteuid() == 0) {
        g_assert_cmpint(st.st_uid, ==, 1234);
    }
    g_assert_cmpint(create(t, "//file", O_RDWR | O_CREAT | O_EXCL, 0600, 0),
                    ==, -EEXIST);
    g_assert_cmpint(create(t, "//none/file", O_RDWR | O_CREAT, 0600, 0), ==,
                    -ENOENT);
    g_assert_cmpint(create(t, "//x", O_RDWR | O_CREAT, 0600, -1), ==,
                    -EINVAL);

    fd = open_path(t, "./file", O_RDONLY);
    g_assert_cmpint(fd, >=, 0);
    g_assert_cmpint(read(fd, text, sizeof(text)), ==, 7);
    close(fd);
    g_assert_cmpint(open_path(t, "//none", O_RDONLY), ==, -ENOENT);
    g_assert_cmpint(open_path(t, "//file", O_RDONLY | O_DIRECTORY), ==,
                    -ENOTDIR);

    g_assert_cmpint(lstat_path(t, "//file", &its), ==, 0);
    g_assert_cmpint(its.st_dev, ==, st.st_dev);
    g_assert_cmpint(its.st_ino, ==, st.st_ino);
    g_assert_cmpint(its.st_nlink, ==, 1);
    g_assert_cmpint(its.st_mode, ==, st.st_mode);
    g_assert_cmpint(its.st_uid, ==, other_id());
    g_assert_cmpint(its.st_size, ==, 7);
    g_assert_cmpint(its.st_blksize, ==, st.st_blksize);
    g_assert_cmpint(its.st_blocks, ==, st.st_blocks);
    g_assert_cmpint(its.st_mtim.tv_sec, ==, st.st_mtim.tv_sec);
    g_assert_cmpint(its.st_mtim.tv_nsec, ==, st.st_mtim.tv_nsec);
    g_assert_cmpint(lstat_path(t, "//none", &its), ==, -ENOENT);
}

static void test_directories(Test *t, gconstpointer opaque)
{
    g_autofree char *path = host(t, "dir");
    struct stat st;
    int fd;

    g_assert_cmpint(make(t, PROXY_V1_MKDIR, "//dir", 0750, 0), ==, 0);
    g_assert_cmpint(lstat(path, &st), ==, 0);
    g_assert_cmpint(st.st_mode, ==, S_IFDIR | 0750);
    g_assert_cmpint(make(t, PROXY_V1_MKDIR, "//dir", 0750, 0), ==, -EEXIST);
    g_assert_cmpint(make(t, PROXY_V1_MKDIR, "/", 0750, 0), ==, -EEXIST);
    g_assert_cmpint(make(t, PROXY_V1_MKDIR, "//dir/sub", 0700, 0), ==, 0);
    g_assert_cmpint(make(t, PROXY_V1_MKNOD, "//dir/fifo", S_IFIFO | 0600, 0),
                    ==, 0);
    g_assert_cmpint(make(t, PROXY_V1_MKNOD, "//dir/file", S_IFREG | 0600, 0),
                    ==, 0);
    g_assert_cmpint(make(t, PROXY_V1_MKNOD, "//dir/d", S_IFDIR | 0600, 0), ==,
                    -EINVAL);
    fd = open_path(t, "//dir", O_RDONLY | O_DIRECTORY);
    g_assert_cmpint(fd, >=, 0);
    close(fd);
    /* The helper opens no fifo for the guest. */
    g_assert_cmpint(open_path(t, "//dir/fifo", O_RDONLY), ==, -ENXIO);

    g_assert_cmpint(path_call(t, PROXY_V1_REMOVE, "//dir"), ==, -ENOTEMPTY);
    g_assert_cmpint(path_call(t, PROXY_V1_REMOVE, "//dir/fifo"), ==, 0);
    g_assert_cmpint(path_call(t, PROXY_V1_REMOVE, "//dir/sub"), ==, 0);
    g_assert_cmpint(two_paths(t, PROXY_V1_RENAME, "//dir/file", "//file"), ==,
                    0);
    g_assert_cmpint(path_call(t, PROXY_V1_REMOVE, "//dir"), ==, 0);
    g_assert_cmpint(path_call(t, PROXY_V1_REMOVE, "//dir"), ==, -ENOENT);
    g_assert_cmpint(path_call(t, PROXY_V1_REMOVE, "/"), ==, -EBUSY);
    g_assert_cmpint(two_paths(t, PROXY_V1_RENAME, "/", "//x"), ==, -EBUSY);
    g_assert_cmpint(lstat_path(t, "/", &st), ==, 0);
}

static void test_links(Test *t, gconstpointer opaque)
{
    g_autofree char *path = host(t, "link");
    g_autofree char *target = NULL;
    struct stat st;
    MarshalWriter *w;
    const char *text;

    g_assert_cmpint(make(t, PROXY_V1_MKNOD, "//file", S_IFREG | 0600, 0), ==,
                    0);
    g_assert_cmpint(two_paths(t, PROXY_V1_LINK, "//file", "//hard"), ==, 0);
    g_assert_cmpint(lstat_path(t, "//hard", &st), ==, 0);
    g_assert_cmpint(st.st_nlink, ==, 2);
    g_assert_cmpint(two_paths(t, PROXY_V1_LINK, "//none", "//x"), ==, -ENOENT);

    g_assert_cmpint(make_link(t, "some/where", "//link"), ==, 0);
    target = g_file_read_link(path, NULL);
    g_assert_cmpstr(target, ==, "some/where");
    w = begin(t);
    marshal_put_str(w, "//link");
    marshal_put_u32(w, PATH_MAX);
    call(t, PROXY_V1_READLINK);
    text = marshal_get_str(&t->p.r, NULL);
    g_assert_cmpstr(text, ==, "some/where");
    g_assert_true(marshal_done(&t->p.r));
    w = begin(t);
    marshal_put_str(w, "//file");
    marshal_put_u32(w, PATH_MAX);
    g_assert_cmpint(call(t, PROXY_V1_READLINK), ==, -EINVAL);
}

/* Links that an old helper would have followed */
static void test_escapes(Test *t, gconstpointer opaque)
{
    g_autofree char *secret = g_dir_make_tmp("test-9p-v1-out-XXXXXX", NULL);
    g_autofree char *file = g_build_filename(secret, "file", NULL);
    g_autofree char *link = host(t, "out");
    g_autofree char *deep = host(t, "deep");
    g_autofree char *deep_link = g_build_filename(deep, "out", NULL);
    static const char *const paths[] = {
        "//out/file", "//deep/out/file", "//out", "//out/../file",
        "//..//../etc/passwd", "//deep/../../../etc/passwd", "/etc/passwd",
    };
    struct stat st, now;
    MarshalWriter *w;
    unsigned i;

    g_assert_true(g_file_set_contents(file, "secret", -1, NULL));
    g_assert_cmpint(chmod(file, 0600), ==, 0);
    g_assert_cmpint(lstat(file, &st), ==, 0);
    g_assert_cmpint(symlink(secret, link), ==, 0);
    g_assert_cmpint(g_mkdir(deep, 0777), ==, 0);
    g_assert_cmpint(symlink(secret, deep_link), ==, 0);

    for (i = 0; i < G_N_ELEMENTS(paths); i++) {
        g_test_message("%s", paths[i]);
        g_assert_cmpint(open_path(t, paths[i], O_RDWR), <, 0);
        g_assert_cmpint(open_path(t, paths[i], O_RDONLY | O_DIRECTORY), <, 0);
        w = begin(t);
        marshal_put_str(w, paths[i]);
        marshal_put_u32(w, 0777);
        g_assert_cmpint(call(t, PROXY_V1_CHMOD), <, 0);
        w = begin(t);
        marshal_put_str(w, paths[i]);
        marshal_put_u64(w, 0);
        g_assert_cmpint(call(t, PROXY_V1_TRUNCATE), <, 0);
    }
    g_assert_cmpint(create(t, "//out/new", O_RDWR | O_CREAT, 0600, 0), <, 0);
    g_assert_cmpint(path_call(t, PROXY_V1_REMOVE, "//out/file"), <, 0);
    g_assert_cmpint(two_paths(t, PROXY_V1_RENAME, "//deep", "//out/deep"), <,
                    0);
    g_assert_cmpint(two_paths(t, PROXY_V1_LINK, "//out/file", "//mine"), <, 0);
    /* The link itself is the guest's. */
    g_assert_cmpint(lstat_path(t, "//out", &now), ==, 0);
    g_assert_true(S_ISLNK(now.st_mode));
    /* ".." at the root stays there. */
    g_assert_cmpint(lstat_path(t, "//../deep/..//../out", &now), ==, 0);
    g_assert_true(S_ISLNK(now.st_mode));

    g_assert_cmpint(lstat(file, &now), ==, 0);
    g_assert_cmpint(now.st_mode, ==, st.st_mode);
    g_assert_cmpint(now.st_size, ==, st.st_size);
    g_assert_cmpint(now.st_ctim.tv_nsec, ==, st.st_ctim.tv_nsec);
    unlink(file);
    g_assert_cmpint(rmdir(secret), ==, 0);
}

static int utime(Test *t, uint64_t asec, uint64_t ansec, uint64_t msec,
                 uint64_t mnsec)
{
    MarshalWriter *w = begin(t);

    marshal_put_str(w, "//file");
    marshal_put_u64(w, asec);
    marshal_put_u64(w, ansec);
    marshal_put_u64(w, msec);
    marshal_put_u64(w, mnsec);
    return call(t, PROXY_V1_UTIME);
}

static void test_changes(Test *t, gconstpointer opaque)
{
    g_autofree char *path = host(t, "file");
    MarshalWriter *w;
    struct stat st;

    g_assert_cmpint(make(t, PROXY_V1_MKNOD, "//file", S_IFREG | 0600, 0), ==,
                    0);
    /* In this order: in a user namespace truncate(2) clears set-id bits. */
    w = begin(t);
    marshal_put_str(w, "//file");
    marshal_put_u64(w, 12345);
    g_assert_cmpint(call(t, PROXY_V1_TRUNCATE), ==, 0);
    w = begin(t);
    marshal_put_str(w, "//file");
    marshal_put_u32(w, 04711);
    g_assert_cmpint(call(t, PROXY_V1_CHMOD), ==, 0);
    g_assert_cmpint(utime(t, 1000, 111, 2000, 222), ==, 0);
    g_assert_cmpint(lstat(path, &st), ==, 0);
    g_assert_cmpint(st.st_size, ==, 12345);
    g_assert_cmpint(st.st_mode & 07777, ==, 04711);
    g_assert_cmpint(st.st_atim.tv_sec, ==, 1000);
    g_assert_cmpint(st.st_atim.tv_nsec, ==, 111);
    g_assert_cmpint(st.st_mtim.tv_sec, ==, 2000);
    g_assert_cmpint(st.st_mtim.tv_nsec, ==, 222);

    g_assert_cmpint(utime(t, 0, UTIME_NOW, 5, UTIME_OMIT), ==, 0);
    g_assert_cmpint(lstat(path, &st), ==, 0);
    g_assert_cmpint(st.st_atim.tv_sec, >, 1000000);
    g_assert_cmpint(st.st_mtim.tv_sec, ==, 2000);
    g_assert_cmpint(utime(t, 1, 1000000000, 1, 0), ==, -EINVAL);

    w = begin(t);
    marshal_put_str(w, "//file");
    marshal_put_u32(w, other_id());
    marshal_put_u32(w, -1);
    g_assert_cmpint(call(t, PROXY_V1_CHOWN), ==, 0);
    g_assert_cmpint(lstat_path(t, "//file", &st), ==, 0);
    g_assert_cmpint(st.st_uid, ==, other_id());
    g_assert_cmpint(st.st_gid, ==, 0);
}

/* A request for a file with a lease fails at once; the client tries again. */
static void test_lease(Test *t, gconstpointer opaque)
{
    g_autofree char *path = host(t, "file");
    MarshalWriter *w;
    struct stat st;
    int lease, fd;
    unsigned i;

    g_assert_true(g_file_set_contents(path, "content", 7, NULL));
    g_assert_cmpint(chmod(path, 0666), ==, 0);
    lease = open(path, O_RDONLY | O_CLOEXEC);
    for (i = 0; i < 4; i++) {
        bool held = i % 2 == 0;

        if (held) {
            /* After that, the helper has the file open no more. */
            g_assert_cmpint(lstat_path(t, "//file", &st), ==, 0);
        }
        if (lease < 0 ||
            fcntl(lease, F_SETLEASE, held ? F_RDLCK : F_UNLCK) < 0) {
            g_test_skip("no lease on this file is possible");
            break;
        }
        if (i < 2) {
            fd = open_path(t, "//file", O_RDWR);
            if (held) {
                g_assert_cmpint(fd, ==, -EAGAIN);
            } else {
                g_assert_cmpint(fd, >=, 0);
                close(fd);
            }
        } else {
            w = begin(t);
            marshal_put_str(w, "//file");
            marshal_put_u64(w, 321);
            g_assert_cmpint(call(t, PROXY_V1_TRUNCATE), ==,
                            held ? -EAGAIN : 0);
            g_assert_cmpint(stat(path, &st), ==, 0);
            g_assert_cmpint(st.st_size, ==, held ? 7 : 321);
        }
    }
    close(lease);
}

static void test_statfs(Test *t, gconstpointer opaque)
{
    MarshalReader *r = &t->p.r;
    struct statfs st;
    unsigned i;

    g_assert_cmpint(statfs(t->dir, &st), ==, 0);
    path_call(t, PROXY_V1_STATFS, "/");
    g_assert_cmpuint(marshal_left(r), ==, 11 * 8);
    g_assert_cmpuint(marshal_get_u64(r), ==, (uint64_t)st.f_type);
    g_assert_cmpuint(marshal_get_u64(r), ==, st.f_bsize);
    g_assert_cmpuint(marshal_get_u64(r), ==, st.f_blocks);
    for (i = 0; i < 4; i++) {
        marshal_get_u64(r);
    }
    g_assert_cmpuint(marshal_get_u64(r), <=, UINT32_MAX);
    g_assert_cmpuint(marshal_get_u64(r), <=, UINT32_MAX);
    g_assert_cmpuint(marshal_get_u64(r), ==, st.f_namelen);

    g_assert_cmpint(path_call(t, PROXY_V1_GETVERSION, "//none"), ==, -ENOENT);
    path_call(t, PROXY_V1_GETVERSION, "/");
    g_assert_cmpuint(marshal_left(r), ==, 8);
}

static int set_xattr(Test *t, const char *value, uint16_t len, uint32_t size,
                     uint32_t flags)
{
    MarshalWriter *w = begin(t);

    marshal_put_str(w, "//file");
    marshal_put_str(w, "user.name");
    marshal_put_strn(w, value, len);
    marshal_put_u32(w, size);
    marshal_put_u32(w, flags);
    return call(t, PROXY_V1_LSETXATTR);
}

static int get_xattr(Test *t, uint32_t size)
{
    MarshalWriter *w = begin(t);

    marshal_put_u32(w, size);
    marshal_put_str(w, "//file");
    marshal_put_str(w, "user.name");
    return call(t, PROXY_V1_LGETXATTR);
}

static void test_xattrs(Test *t, gconstpointer opaque)
{
    g_autofree char *path = host(t, "file");
    MarshalWriter *w;
    uint16_t len;

    g_assert_true(g_file_set_contents(path, "x", -1, NULL));
    if (setxattr(path, "user.try", "", 0, 0) < 0) {
        g_test_skip("no user.* attributes on the file system of TMPDIR");
        return;
    }
    g_assert_cmpint(removexattr(path, "user.try"), ==, 0);
    g_assert_cmpint(set_xattr(t, "va\0ue", 5, 5, XATTR_CREATE), ==, 0);
    g_assert_cmpint(set_xattr(t, "va\0ue", 5, 5, XATTR_CREATE), ==, -EEXIST);
    g_assert_cmpint(get_xattr(t, 0), ==, 5);
    get_xattr(t, 100);
    len = marshal_get_u16(&t->p.r);
    g_assert_cmpint(len, ==, 5);
    g_assert_cmpint(memcmp(marshal_get_bytes(&t->p.r, len), "va\0ue", 5), ==,
                    0);
    g_assert_cmpint(get_xattr(t, 3), ==, -ERANGE);
    w = begin(t);
    marshal_put_u32(w, 100);
    marshal_put_str(w, "//file");
    call(t, PROXY_V1_LLISTXATTR);
    len = marshal_get_u16(&t->p.r);
    g_assert_cmpint(len, ==, sizeof("user.name"));
    /* A size beyond the value: the old helper read past its end. */
    g_assert_cmpint(set_xattr(t, "abc", 3, 4, 0), ==, -EINVAL);
    g_assert_cmpint(set_xattr(t, "abc", 3, UINT32_MAX, 0), ==, -EINVAL);
    g_assert_cmpint(set_xattr(t, "abc", 3, 3, 99), ==, -EINVAL);
    g_assert_cmpint(get_xattr(t, 0), ==, 5);
    g_assert_cmpint(two_paths(t, PROXY_V1_LREMOVEXATTR, "//file", "user.name"),
                    ==, 0);
    g_assert_cmpint(get_xattr(t, 0), ==, -ENODATA);
}

/* Malformed payloads: an error, and the helper serves the next request. */
static void test_bad_payloads(Test *t, gconstpointer opaque)
{
    static const uint8_t junk[64] = { [0 ... 63] = 0xff };
    struct stat st;
    unsigned type, size;

    for (type = PROXY_V1_OPEN; type < PROXY_V1_TYPE_END; type++) {
        for (size = 0; size < sizeof(junk); size += 3) {
            marshal_put_bytes(begin(t), junk, size);
            g_assert_cmpint(call(t, type), ==, -EINVAL);
        }
    }
    /* A path with a NUL, an empty one, one that is too long */
    marshal_put_strn(begin(t), "a\0b", 3);
    g_assert_cmpint(call(t, PROXY_V1_LSTAT), ==, -EINVAL);
    g_assert_cmpint(lstat_path(t, "", &st), ==, 0);
    /* As QEMU sends it for the root: the final NUL counts. */
    marshal_put_strn(begin(t), "/", 2);
    g_assert_cmpint(call(t, PROXY_V1_LSTAT), ==, 0);
    marshal_put_strn(begin(t), "/\0", 3);
    g_assert_cmpint(call(t, PROXY_V1_LSTAT), ==, -EINVAL);
    marshal_put_strn(begin(t), memset(t->p.in, 'x', 300), 300);
    g_assert_cmpint(call(t, PROXY_V1_LSTAT), ==, -ENAMETOOLONG);
}

static void expect_closed(Test *t)
{
    char byte;

    g_assert_cmpint(recv(t->p.c->fd, &byte, 1, 0), ==, 0);
    g_assert_cmpint(pc_close(t->p.c), ==, 1);
    t->p.c = NULL;
}

static void test_bad_type(Test *t, gconstpointer opaque)
{
    uint32_t head[2] = { PROXY_V1_TYPE_END, 0 };
    struct stat st;

    g_assert_cmpint(lstat_path(t, "/", &st), ==, 0);
    g_assert_true(pc_send_raw(t->p.c, head, sizeof(head)));
    expect_closed(t);
}

static void test_bad_size(Test *t, gconstpointer opaque)
{
    uint32_t head[2] = { PROXY_V1_LSTAT, PROXY_V1_MAX_PAYLOAD + 1 };

    g_assert_true(pc_send_raw(t->p.c, head, sizeof(head)));
    expect_closed(t);
}

static int make_dir(Test *t, const char *path, uint32_t uid, uint32_t gid)
{
    MarshalWriter *w = begin(t);

    marshal_put_u32(w, uid);
    marshal_put_u32(w, gid);
    marshal_put_str(w, path);
    marshal_put_u32(w, 0755);
    return call(t, PROXY_V1_MKDIR);
}

/* No group, as an old QEMU sends with 9P2000.u: root's, or the directory's */
static void test_no_group(Test *t, gconstpointer opaque)
{
    struct stat st;
    MarshalWriter *w;

    g_assert_cmpint(make_dir(t, "//d", 0, -1), ==, 0);
    g_assert_cmpint(lstat_path(t, "//d", &st), ==, 0);
    g_assert_cmpint(st.st_gid, ==, 0);
    w = begin(t);
    marshal_put_str(w, "//d");
    marshal_put_u32(w, -1);
    marshal_put_u32(w, other_id());
    g_assert_cmpint(call(t, PROXY_V1_CHOWN), ==, 0);
    w = begin(t);
    marshal_put_str(w, "//d");
    marshal_put_u32(w, 02755);
    g_assert_cmpint(call(t, PROXY_V1_CHMOD), ==, 0);
    g_assert_cmpint(make_dir(t, "//d/d", 0, -1), ==, 0);
    g_assert_cmpint(lstat_path(t, "//d/d", &st), ==, 0);
    g_assert_cmpint(st.st_gid, ==, other_id());
    g_assert_cmpint(make_dir(t, "//x", -1, 0), ==, -EINVAL);
}

static int probe(Test *t)
{
    MarshalWriter *w = begin(t);

    marshal_put_u32(w, 0);
    marshal_put_str(w, "/");
    marshal_put_str(w, PROXY_V1_PROBE);
    return call(t, PROXY_V1_LGETXATTR);
}

/* The helper answers the probe with its version, and goes on as before. */
static void test_probe(Test *t, gconstpointer opaque)
{
    struct stat st;

    g_assert_cmpint(probe(t), ==, PROXY_VERSION);
    g_assert_cmpint(probe(t), ==, PROXY_VERSION);
    g_assert_cmpint(lstat_path(t, "/", &st), ==, 0);
    g_assert_true(S_ISDIR(st.st_mode));
    /* From here on the probe's name is a name like any other. */
    g_assert_cmpint(probe(t), ==, -EOPNOTSUPP);
    g_assert_cmpint(lstat_path(t, "/", &st), ==, 0);
}

static void test_probe_hello(Test *t, gconstpointer opaque)
{
    FsAttr attr;

    g_assert_cmpint(probe(t), ==, PROXY_VERSION);
    pc_hello(t->p.c, 0);
    marshal_put_u64(pc_begin(t->p.c), PROXY_ROOT_HANDLE);
    g_assert_cmpint(pc_call(t->p.c, PROXY_GETATTR), ==, 0);
    proxy_get_attr(&t->p.c->in, &attr);
    g_assert_true(marshal_done(&t->p.c->in));
    g_assert_true(S_ISDIR(attr.mode));
}

/* A request that only resembles the probe is one of version 1. */
static void test_probe_like(Test *t, gconstpointer opaque)
{
    MarshalWriter *w = begin(t);

    marshal_put_u32(w, 1);
    marshal_put_str(w, "/");
    marshal_put_str(w, PROXY_V1_PROBE);
    g_assert_cmpint(call(t, PROXY_V1_LGETXATTR), ==, -EOPNOTSUPP);
    g_assert_cmpint(probe(t), ==, -EOPNOTSUPP);
}

static void test_readonly(Test *t, gconstpointer opaque)
{
    struct stat st;

    g_assert_cmpint(lstat_path(t, "/", &st), ==, 0);
    g_assert_cmpint(make(t, PROXY_V1_MKDIR, "//dir", 0750, 0), ==, -EROFS);
    g_assert_cmpint(create(t, "//x", O_RDWR | O_CREAT, 0600, 0), ==, -EROFS);
    g_assert_cmpint(path_call(t, PROXY_V1_REMOVE, "//x"), ==, -EROFS);
}

int main(int argc, char **argv)
{
    static const char *const readonly[] = { "--readonly", NULL };
    static const struct {
        const char *name;
        void (*run)(Test *t, gconstpointer opaque);
        const char *const *options;
    } tests[] = {
        { "files", test_files },
        { "directories", test_directories },
        { "links", test_links },
        { "escapes", test_escapes },
        { "changes", test_changes },
        { "lease", test_lease },
        { "statfs", test_statfs },
        { "xattrs", test_xattrs },
        { "bad-payloads", test_bad_payloads },
        { "bad-type", test_bad_type },
        { "bad-size", test_bad_size },
        { "no-group", test_no_group },
        { "probe", test_probe },
        { "probe-hello", test_probe_hello },
        { "probe-like", test_probe_like },
        { "readonly", test_readonly, readonly },
    };
    unsigned i;

    g_test_init(&argc, &argv, NULL);
    umask(022);
    signal(SIGPIPE, SIG_IGN);
    signal(SIGIO, SIG_IGN);     /* which tells that a lease is wanted back */
    alarm(300);                 /* nothing in here takes that long */
    for (i = 0; i < G_N_ELEMENTS(tests); i++) {
        g_autofree char *name = g_strconcat("/9p-helper-v1/", tests[i].name,
                                            NULL);

        g_test_add(name, Test, tests[i].options, setup, tests[i].run,
                   teardown);
    }
    return g_test_run();
}
