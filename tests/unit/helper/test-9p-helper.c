/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Tests of virtfs-proxy-helper's messages: every one, asking for what is right
 * and for what is wrong, by way of the real program and a real socket. What
 * breaks the protocol is test-9p-helper-bad's; how the helper starts and what
 * it may do, test-9p-helper-start's.
 */
#include "qemu/osdep.h"
#include "proxy-fixture.h"
#include "proxy-proc.h"
#include <glib/gstdio.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>

/* Owners for new files: others than the user only where that is possible */
#define GUEST_UID       (geteuid() == 0 ? 1234 : 0)
#define GUEST_GID       (geteuid() == 0 ? 4321 : 0)

static uint64_t node_of(ProxyFixture *f, const char *path)
{
    PcNode node;

    g_assert_cmpint(pc_walk(f->c, path, &node, NULL), ==, 0);
    if (node.fd >= 0) {
        close(node.fd);
    }
    return node.handle;
}

static int call_handle(ProxyClient *c, unsigned type, uint64_t handle)
{
    marshal_put_u64(pc_begin(c), handle);
    return pc_call(c, type);
}

static int call_open(ProxyClient *c, uint64_t handle, int flags, int *fd)
{
    MarshalWriter *w = pc_begin(c);
    int ret;

    marshal_put_u64(w, handle);
    marshal_put_u32(w, flags);
    ret = pc_call(c, PROXY_OPEN);
    if (ret == 0) {
        g_assert_cmpint(c->nfds, ==, 1);
        g_assert_true(marshal_done(&c->in));
        *fd = c->fds[0];
    }
    return ret;
}

static int call_create(ProxyClient *c, uint64_t dir, const char *name,
                       int flags, uint32_t mode, FsAttr *attr, PcNode *node,
                       int *fd)
{
    MarshalWriter *w = pc_begin(c);
    unsigned next = 0;
    int ret;

    marshal_put_u64(w, dir);
    marshal_put_str(w, name);
    marshal_put_u32(w, flags);
    marshal_put_u32(w, mode);
    marshal_put_u32(w, GUEST_UID);
    marshal_put_u32(w, GUEST_GID);
    ret = pc_call(c, PROXY_CREATE);
    if (ret == 0) {
        proxy_get_attr(&c->in, attr);
        pc_get_node(c, node, &next);
        g_assert_true(marshal_done(&c->in));
        g_assert_cmpint(c->nfds, ==, next + 1);
        *fd = c->fds[next];
    }
    return ret;
}

static int call_make(ProxyClient *c, uint64_t dir, const char *name,
                     uint32_t mode, uint64_t rdev, const char *target,
                     FsAttr *attr)
{
    MarshalWriter *w = pc_begin(c);
    int ret;

    marshal_put_u64(w, dir);
    marshal_put_str(w, name);
    marshal_put_u32(w, mode);
    marshal_put_u32(w, GUEST_UID);
    marshal_put_u32(w, GUEST_GID);
    marshal_put_u64(w, rdev);
    marshal_put_str(w, target);
    ret = pc_call(c, PROXY_MAKE);
    if (ret == 0) {
        proxy_get_attr(&c->in, attr);
        g_assert_true(marshal_done(&c->in));
    }
    return ret;
}

static int call_link(ProxyClient *c, uint64_t node, uint64_t dir,
                     const char *name)
{
    MarshalWriter *w = pc_begin(c);

    marshal_put_u64(w, node);
    marshal_put_u64(w, dir);
    marshal_put_str(w, name);
    return pc_call(c, PROXY_LINK);
}

static int call_rename(ProxyClient *c, uint64_t old_dir, const char *old_name,
                       uint64_t new_dir, const char *new_name)
{
    MarshalWriter *w = pc_begin(c);

    marshal_put_u64(w, old_dir);
    marshal_put_str(w, old_name);
    marshal_put_u64(w, new_dir);
    marshal_put_str(w, new_name);
    return pc_call(c, PROXY_RENAME);
}

static int call_unlink(ProxyClient *c, uint64_t dir, const char *name,
                       bool rmdir, uint64_t expect)
{
    MarshalWriter *w = pc_begin(c);

    marshal_put_u64(w, dir);
    marshal_put_str(w, name);
    marshal_put_u8(w, rmdir);
    marshal_put_u64(w, expect);
    return pc_call(c, PROXY_UNLINK);
}

static int call_setattr(ProxyClient *c, uint64_t node, const FsSetAttr *set)
{
    MarshalWriter *w = pc_begin(c);

    marshal_put_u64(w, node);
    proxy_put_setattr(w, set);
    return pc_call(c, PROXY_SETATTR);
}

static int call_getxattr(ProxyClient *c, uint64_t node, bool list,
                         const char *name)
{
    MarshalWriter *w = pc_begin(c);

    marshal_put_u64(w, node);
    marshal_put_u8(w, list);
    marshal_put_str(w, name);
    return pc_call(c, PROXY_GETXATTR);
}

static int call_setxattr(ProxyClient *c, uint64_t node, const char *name,
                         uint32_t flags, const void *value, size_t size)
{
    MarshalWriter *w = pc_begin(c);

    marshal_put_u64(w, node);
    marshal_put_str(w, name);
    marshal_put_u32(w, flags);
    marshal_put_u32(w, size);
    marshal_put_bytes(w, value, size);
    return pc_call(c, PROXY_SETXATTR);
}

static int call_removexattr(ProxyClient *c, uint64_t node, const char *name)
{
    MarshalWriter *w = pc_begin(c);

    marshal_put_u64(w, node);
    marshal_put_str(w, name);
    return pc_call(c, PROXY_REMOVEXATTR);
}

static void test_hello(ProxyFixture *f, gconstpointer opaque)
{
    struct stat st, donated;

    pf_stat(f, ".", &st);
    g_assert_cmpint(f->c->root_attr.ino, ==, st.st_ino);
    g_assert_cmpint(f->c->root_attr.dev, ==, st.st_dev);
    g_assert_cmpint(f->c->features, ==,
                    PROXY_FEATURE_ADOPT | PROXY_FEATURE_RING);
    g_assert_cmpint(f->c->root_fd, >=, 0);
    g_assert_cmpint(fstat(f->c->root_fd, &donated), ==, 0);
    g_assert_cmpint(donated.st_ino, ==, st.st_ino);
    g_assert_true(fcntl(f->c->root_fd, F_GETFL) & O_PATH);
    /* That process is there, and nobody's own pid namespace's number 1 */
    g_assert_cmpint(f->c->server_pid, >, 1);
    if (geteuid() == 0) {
        g_assert_cmpint(f->c->n_uid, ==, 0);
        g_assert_cmpint(f->c->n_gid, ==, 0);
    }
}

static void test_no_donation(ProxyFixture *f, gconstpointer opaque)
{
    PcNode node;
    FsAttr attr;
    int fd;

    f->c = pc_start(f->dir, PC_NOBODY, NULL);
    pc_hello(f->c, PROXY_HELLO_NO_DONATE);
    g_assert_cmpint(f->c->root_fd, ==, -1);
    g_assert_cmpint(pc_walk(f->c, "dir/sub", &node, NULL), ==, 0);
    g_assert_cmpint(node.fd, ==, -1);
    /* Open files are given nevertheless. */
    g_assert_cmpint(call_create(f->c, PROXY_ROOT_HANDLE, "new", O_RDWR, 0644,
                                &attr, &node, &fd), ==, 0);
    g_assert_cmpint(node.fd, ==, -1);
    g_assert_cmpint(write(fd, "x", 1), ==, 1);
    close(fd);
}

static void test_walk(ProxyFixture *f, gconstpointer opaque)
{
    ProxyClient *c = f->c;
    struct stat sub, dir, donated;
    PcNode node, parent;
    unsigned next = 0;
    MarshalWriter *w;
    FsAttr attr[3];
    unsigned i;

    pf_stat(f, "dir", &dir);
    pf_stat(f, "dir/sub", &sub);
    w = pc_begin(c);
    marshal_put_u64(w, PROXY_ROOT_HANDLE);
    marshal_put_u16(w, 2);
    marshal_put_str(w, "dir");
    marshal_put_str(w, "sub");
    g_assert_cmpint(pc_call(c, PROXY_WALK), ==, 0);
    g_assert_cmpint(marshal_get_u16(&c->in), ==, 2);
    proxy_get_attr(&c->in, &attr[0]);
    proxy_get_attr(&c->in, &attr[1]);
    pc_get_node(c, &node, &next);
    pc_get_node(c, &parent, &next);
    g_assert_true(marshal_done(&c->in));
    g_assert_cmpint(next, ==, 2);
    g_assert_cmpint(c->nfds, ==, 2);
    g_assert_cmpint(attr[0].ino, ==, dir.st_ino);
    g_assert_cmpint(attr[1].ino, ==, sub.st_ino);
    g_assert_cmpint(fstat(node.fd, &donated), ==, 0);
    g_assert_cmpint(donated.st_ino, ==, sub.st_ino);
    g_assert_cmpint(fstat(parent.fd, &donated), ==, 0);
    g_assert_cmpint(donated.st_ino, ==, dir.st_ino);
    close(node.fd);
    close(parent.fd);

    /* A second time: the same handles, and nothing donated */
    w = pc_begin(c);
    marshal_put_u64(w, parent.handle);
    marshal_put_u16(w, 3);
    marshal_put_str(w, "sub");
    marshal_put_str(w, "..");
    marshal_put_str(w, "..");
    g_assert_cmpint(pc_call(c, PROXY_WALK), ==, 0);
    g_assert_cmpint(marshal_get_u16(&c->in), ==, 3);
    for (i = 0; i < 3; i++) {
        proxy_get_attr(&c->in, &attr[i]);
    }
    next = 0;
    pc_get_node(c, &node, &next);
    pc_get_node(c, &parent, &next);
    g_assert_cmpint(node.handle, ==, PROXY_ROOT_HANDLE);
    g_assert_cmpint(parent.handle, ==, 0);
    g_assert_cmpint(c->nfds, ==, 0);

    /* Not all found: how many were; the first not found: its error */
    w = pc_begin(c);
    marshal_put_u64(w, PROXY_ROOT_HANDLE);
    marshal_put_u16(w, 2);
    marshal_put_str(w, "dir");
    marshal_put_str(w, "none");
    g_assert_cmpint(pc_call(c, PROXY_WALK), ==, 0);
    g_assert_cmpint(marshal_get_u16(&c->in), ==, 1);
    proxy_get_attr(&c->in, &attr[0]);
    g_assert_true(marshal_done(&c->in));
    g_assert_cmpint(pc_walk(c, "none", &node, NULL), ==, -ENOENT);
    g_assert_cmpint(pc_walk(c, "file/x", &node, NULL), ==, -ENOENT);
    g_assert_cmpint(pc_walk1(c, node_of(f, "file"), "x", &node, NULL), ==,
                    -ENOTDIR);

    /* ".." stays in the export */
    g_assert_cmpint(pc_walk(c, "..", &node, &attr[0]), ==, 0);
    g_assert_cmpint(node.handle, ==, PROXY_ROOT_HANDLE);
    g_assert_cmpint(pc_walk(c, "../secret", &node, NULL), ==, -ENOENT);
}

static void test_walk_same_inode(ProxyFixture *f, gconstpointer opaque)
{
    uint64_t file = node_of(f, "file");
    PcNode again;

    g_assert_cmpint(call_link(f->c, file, PROXY_ROOT_HANDLE, "hard"), ==, 0);
    g_assert_cmpint(pc_walk(f->c, "hard", &again, NULL), ==, 0);
    g_assert_cmpint(again.handle, ==, file);
    g_assert_cmpint(again.fd, ==, -1);
}

static void test_forget(ProxyFixture *f, gconstpointer opaque)
{
    ProxyClient *c = f->c;
    PcNode first, again;

    g_assert_cmpint(pc_walk(c, "file", &first, NULL), ==, 0);
    g_assert_cmpint(first.fd, >=, 0);
    close(first.fd);
    g_assert_cmpint(pc_walk(c, "file", &again, NULL), ==, 0);

    /* Two references were given. */
    pc_forget(c, first.handle, 1);
    g_assert_cmpint(call_handle(c, PROXY_GETATTR, first.handle), ==, 0);
    pc_forget(c, first.handle, 1);
    while (call_handle(c, PROXY_GETATTR, first.handle) == 0) {
        g_usleep(100);          /* FORGET has no reply; the test times out */
    }
    g_assert_cmpint(call_handle(c, PROXY_GETATTR, first.handle), ==, -EBADF);

    /*
     * Found again: donated again, and the stale handle means nothing. (It can
     * be the same while the thread that replied last is not done with it.)
     */
    for (;;) {
        g_assert_cmpint(pc_walk(c, "file", &again, NULL), ==, 0);
        g_assert_cmpint(again.fd, >=, 0);
        close(again.fd);
        if (again.handle != first.handle) {
            break;
        }
        pc_forget(c, again.handle, 1);
        while (call_handle(c, PROXY_GETATTR, again.handle) == 0) {
            g_usleep(100);
        }
        g_usleep(1000);
    }
    g_assert_cmpint(call_handle(c, PROXY_GETATTR, first.handle), ==, -EBADF);

    /* The root stays; what was never given, or too much, does no harm. */
    pc_forget(c, PROXY_ROOT_HANDLE, 1);
    pc_forget(c, 0, 1);
    pc_forget(c, UINT64_MAX, UINT32_MAX);
    pc_forget(c, again.handle, UINT32_MAX);
    g_assert_cmpint(call_handle(c, PROXY_GETATTR, PROXY_ROOT_HANDLE), ==, 0);
}

static void test_unknown_handles(ProxyFixture *f, gconstpointer opaque)
{
    static const uint64_t bad[] = {
        0, 2, 1000, UINT32_MAX, 1ull << 32 | 1, UINT64_MAX,
    };
    FsSetAttr set = { .valid = FS_SET_MODE };
    ProxyClient *c = f->c;
    PcNode node;
    FsAttr attr;
    unsigned i;
    int fd;

    for (i = 0; i < G_N_ELEMENTS(bad); i++) {
        uint64_t h = bad[i];

        g_assert_cmpint(pc_walk1(c, h, "file", &node, NULL), ==, -EBADF);
        g_assert_cmpint(call_handle(c, PROXY_GETATTR, h), ==, -EBADF);
        g_assert_cmpint(call_handle(c, PROXY_READLINK, h), ==, -EBADF);
        g_assert_cmpint(call_handle(c, PROXY_STATFS, h), ==, -EBADF);
        g_assert_cmpint(call_setattr(c, h, &set), ==, -EBADF);
        g_assert_cmpint(call_open(c, h, O_RDONLY, &fd), ==, -EBADF);
        g_assert_cmpint(call_create(c, h, "n", O_RDWR, 0600, &attr, &node,
                                    &fd), ==, -EBADF);
        g_assert_cmpint(call_make(c, h, "n", S_IFDIR, 0, "", &attr), ==,
                        -EBADF);
        g_assert_cmpint(call_link(c, h, PROXY_ROOT_HANDLE, "n"), ==, -EBADF);
        g_assert_cmpint(call_link(c, PROXY_ROOT_HANDLE, h, "n"), ==, -EBADF);
        g_assert_cmpint(call_rename(c, h, "a", PROXY_ROOT_HANDLE, "b"), ==,
                        -EBADF);
        g_assert_cmpint(call_rename(c, PROXY_ROOT_HANDLE, "a", h, "b"), ==,
                        -EBADF);
        g_assert_cmpint(call_unlink(c, h, "file", false, 0), ==, -EBADF);
        if (h) {
            g_assert_cmpint(call_unlink(c, PROXY_ROOT_HANDLE, "file", false,
                                        h), ==, -EBADF);
        }
        g_assert_cmpint(call_getxattr(c, h, true, ""), ==, -EBADF);
        g_assert_cmpint(call_setxattr(c, h, "user.x", 0, "", 0), ==, -EBADF);
        g_assert_cmpint(call_removexattr(c, h, "user.x"), ==, -EBADF);
    }
    g_assert_true(pf_exists(f, "file"));
}

static void test_getattr(ProxyFixture *f, gconstpointer opaque)
{
    struct stat st;
    FsAttr attr;

    pf_stat(f, "file", &st);
    g_assert_cmpint(call_handle(f->c, PROXY_GETATTR, node_of(f, "file")), ==,
                    0);
    proxy_get_attr(&f->c->in, &attr);
    g_assert_true(marshal_done(&f->c->in));
    g_assert_cmpint(attr.ino, ==, st.st_ino);
    g_assert_cmpint(attr.mode, ==, st.st_mode);
    g_assert_cmpint(attr.size, ==, 5);
    g_assert_cmpint(attr.mtime.tv_nsec, ==, st.st_mtim.tv_nsec);
}

static void test_setattr(ProxyFixture *f, gconstpointer opaque)
{
    uint64_t file = node_of(f, "file");
    uint64_t link = node_of(f, "up");
    FsSetAttr set = {
        .valid = FS_SET_MODE | FS_SET_UID | FS_SET_GID | FS_SET_SIZE |
                 FS_SET_MTIME | FS_SET_MTIME_SET,
        .mode = 0640,
        .uid = GUEST_UID,
        .gid = GUEST_GID,
        .size = 2,
        .mtime = { 1000, 42 },
    };
    struct stat st, before;

    g_assert_cmpint(call_setattr(f->c, file, &set), ==, 0);
    pf_stat(f, "file", &st);
    g_assert_cmpint(st.st_mode, ==, S_IFREG | 0640);
    g_assert_cmpint(st.st_size, ==, 2);
    g_assert_cmpint(st.st_mtim.tv_sec, ==, 1000);
    g_assert_cmpint(st.st_mtim.tv_nsec, ==, 42);
    if (geteuid() == 0) {
        g_assert_cmpint(st.st_uid, ==, GUEST_UID);
        g_assert_cmpint(st.st_gid, ==, GUEST_GID);
    }

    /* A link is not followed. */
    pf_stat(f, "../secret", &before);
    set.valid = FS_SET_MODE;
    g_assert_cmpint(call_setattr(f->c, link, &set), ==, -EOPNOTSUPP);
    set.valid = FS_SET_SIZE;
    g_assert_cmpint(call_setattr(f->c, link, &set), <, 0);
    pf_stat(f, "../secret", &st);
    g_assert_cmpint(st.st_mode, ==, before.st_mode);
    g_assert_cmpint(st.st_size, ==, before.st_size);

    set.valid = 1u << 20;
    g_assert_cmpint(call_setattr(f->c, file, &set), ==, -EINVAL);
    set.valid = FS_SET_MTIME | FS_SET_MTIME_SET;
    set.mtime.tv_nsec = 1000000000;
    g_assert_cmpint(call_setattr(f->c, file, &set), ==, -EINVAL);
    set.valid = FS_SET_SIZE;
    set.size = UINT64_MAX;
    g_assert_cmpint(call_setattr(f->c, file, &set), ==, -EFBIG);
}

static void test_readlink(ProxyFixture *f, gconstpointer opaque)
{
    g_assert_cmpint(call_handle(f->c, PROXY_READLINK, node_of(f, "up")), ==,
                    0);
    g_assert_cmpstr(marshal_get_str(&f->c->in, NULL), ==, "../secret");
    g_assert_true(marshal_done(&f->c->in));
    g_assert_cmpint(call_handle(f->c, PROXY_READLINK, node_of(f, "file")), ==,
                    -EINVAL);
}

static void test_statfs(ProxyFixture *f, gconstpointer opaque)
{
    FsStatfs st;

    g_assert_cmpint(call_handle(f->c, PROXY_STATFS, PROXY_ROOT_HANDLE), ==,
                    0);
    proxy_get_statfs(&f->c->in, &st);
    g_assert_true(marshal_done(&f->c->in));
    g_assert_cmpint(st.bsize, >, 0);
    g_assert_cmpint(st.namelen, >, 0);
}

static void test_open(ProxyFixture *f, gconstpointer opaque)
{
    ProxyClient *c = f->c;
    uint64_t file = node_of(f, "file");
    struct stat st;
    FsAttr attr;
    char buf[16];
    int fd;

    g_assert_cmpint(call_open(c, file, O_RDWR, &fd), ==, 0);
    g_assert_cmpint(pread(fd, buf, sizeof(buf), 0), ==, 5);
    g_assert_cmpint(pwrite(fd, "world", 5, 5), ==, 5);
    close(fd);
    g_assert_cmpint(call_open(c, file, O_RDONLY, &fd), ==, 0);
    g_assert_cmpint(write(fd, "x", 1), ==, -1);
    g_assert_cmpint(pread(fd, buf, sizeof(buf), 0), ==, 10);
    close(fd);
    g_assert_cmpint(call_open(c, file, O_WRONLY | O_TRUNC, &fd), ==, 0);
    close(fd);
    pf_stat(f, "file", &st);
    g_assert_cmpint(st.st_size, ==, 0);

    g_assert_cmpint(call_open(c, node_of(f, "dir"), O_RDONLY | O_DIRECTORY,
                              &fd), ==, 0);
    close(fd);
    g_assert_cmpint(call_open(c, node_of(f, "dir"), O_RDWR, &fd), ==,
                    -EISDIR);
    g_assert_cmpint(call_open(c, file, O_RDONLY | O_DIRECTORY, &fd), ==,
                    -ENOTDIR);
    g_assert_cmpint(call_open(c, node_of(f, "up"), O_RDONLY, &fd), ==,
                    -ELOOP);
    g_assert_cmpint(call_open(c, file, O_ACCMODE, &fd), ==, -EINVAL);

    /* Opening a fifo would wait; a socket and a device are no files. */
    g_assert_cmpint(call_make(c, PROXY_ROOT_HANDLE, "fifo", S_IFIFO | 0600, 0,
                              "", &attr), ==, 0);
    g_assert_cmpint(call_open(c, node_of(f, "fifo"), O_RDONLY, &fd), ==,
                    -ENXIO);

    /* Flags that are not for a guest are dropped: O_PATH would be one. */
    g_assert_cmpint(call_open(c, file, O_RDONLY | O_PATH | O_CREAT | O_ASYNC,
                              &fd), ==, 0);
    g_assert_cmpint(fcntl(fd, F_GETFL) & (O_PATH | O_ASYNC), ==, 0);
    close(fd);
}

static void test_create(ProxyFixture *f, gconstpointer opaque)
{
    ProxyClient *c = f->c;
    PcNode node, again;
    struct stat st;
    FsAttr attr;
    int fd;

    g_assert_cmpint(call_create(c, PROXY_ROOT_HANDLE, "new", O_RDWR | O_EXCL,
                                06755, &attr, &node, &fd), ==, 0);
    pf_stat(f, "new", &st);
    g_assert_cmpint(st.st_mode, ==, S_IFREG | 06755);
    g_assert_cmpint(attr.mode, ==, st.st_mode);
    g_assert_cmpint(attr.ino, ==, st.st_ino);
    if (geteuid() == 0) {
        g_assert_cmpint(st.st_uid, ==, GUEST_UID);
        g_assert_cmpint(st.st_gid, ==, GUEST_GID);
    }
    g_assert_cmpint(write(fd, "x", 1), ==, 1);
    g_assert_cmpint(fstat(node.fd, &st), ==, 0);
    g_assert_cmpint(attr.ino, ==, st.st_ino);
    g_assert_true(fcntl(node.fd, F_GETFL) & O_PATH);
    g_assert_false(fcntl(fd, F_GETFL) & O_PATH);
    close(node.fd);
    close(fd);

    g_assert_cmpint(call_create(c, PROXY_ROOT_HANDLE, "new", O_RDWR | O_EXCL,
                                0644, &attr, &again, &fd), ==, -EEXIST);
    g_assert_cmpint(call_create(c, PROXY_ROOT_HANDLE, "new", O_RDWR, 0644,
                                &attr, &again, &fd), ==, 0);
    g_assert_cmpint(again.handle, ==, node.handle);
    g_assert_cmpint(again.fd, ==, -1);
    g_assert_cmpint(attr.size, ==, 1);
    close(fd);

    g_assert_cmpint(call_create(c, PROXY_ROOT_HANDLE, "d", O_RDWR,
                                S_IFDIR | 0700, &attr, &node, &fd), ==,
                    -EINVAL);
    g_assert_cmpint(call_create(c, node_of(f, "file"), "x", O_RDWR, 0644,
                                &attr, &node, &fd), ==, -ENOTDIR);
    g_assert_cmpint(call_create(c, node_of(f, "link"), "x", O_RDWR, 0644,
                                &attr, &node, &fd), ==, -ENOTDIR);

    /* Through a link to the outside, or onto one: neither */
    g_assert_cmpint(call_create(c, PROXY_ROOT_HANDLE, "up", O_RDWR | O_TRUNC,
                                0644, &attr, &node, &fd), <, 0);
    pf_stat(f, "../secret", &st);
    g_assert_cmpint(st.st_size, ==, 7);
}

/* No owner "as it is": the file would be the helper's. */
static void test_create_bad_owner(ProxyFixture *f, gconstpointer opaque)
{
    MarshalWriter *w = pc_begin(f->c);

    marshal_put_u64(w, PROXY_ROOT_HANDLE);
    marshal_put_str(w, "new");
    marshal_put_u32(w, O_RDWR);
    marshal_put_u32(w, 0644);
    marshal_put_u32(w, -1);
    marshal_put_u32(w, 0);
    g_assert_cmpint(pc_call(f->c, PROXY_CREATE), ==, -EINVAL);
    g_assert_false(pf_exists(f, "new"));
}

static void test_make(ProxyFixture *f, gconstpointer opaque)
{
    static const uint32_t types[] = { S_IFDIR, S_IFIFO, S_IFSOCK, S_IFREG };
    struct stat st;
    FsAttr attr;
    unsigned i;

    for (i = 0; i < G_N_ELEMENTS(types); i++) {
        g_autofree char *name = g_strdup_printf("made%u", i);

        g_assert_cmpint(call_make(f->c, PROXY_ROOT_HANDLE, name,
                                  types[i] | 0750, 0, "", &attr), ==, 0);
        pf_stat(f, name, &st);
        g_assert_cmpint(st.st_mode, ==, types[i] | 0750);
        g_assert_cmpint(attr.mode, ==, st.st_mode);
        g_assert_cmpint(attr.ino, ==, st.st_ino);
        if (geteuid() == 0) {
            g_assert_cmpint(st.st_uid, ==, GUEST_UID);
            g_assert_cmpint(st.st_gid, ==, GUEST_GID);
        }
        g_assert_cmpint(call_make(f->c, PROXY_ROOT_HANDLE, name,
                                  types[i] | 0750, 0, "", &attr), ==,
                        -EEXIST);
    }

    g_assert_cmpint(call_make(f->c, PROXY_ROOT_HANDLE, "l", S_IFLNK | 0777, 0,
                              "/etc/passwd", &attr), ==, 0);
    pf_stat(f, "l", &st);
    g_assert_true(S_ISLNK(st.st_mode));

    /* The helper has no CAP_MKNOD. */
    g_assert_cmpint(call_make(f->c, PROXY_ROOT_HANDLE, "c", S_IFCHR | 0666,
                              makedev(1, 3), "", &attr), ==, -EPERM);
    g_assert_cmpint(call_make(f->c, PROXY_ROOT_HANDLE, "b", S_IFBLK | 0666,
                              makedev(8, 0), "", &attr), ==, -EPERM);
    g_assert_false(pf_exists(f, "c"));
    g_assert_false(pf_exists(f, "b"));
    g_assert_cmpint(call_make(f->c, PROXY_ROOT_HANDLE, "?", 0170000, 0, "",
                              &attr), ==, -EINVAL);
}

static void test_link(ProxyFixture *f, gconstpointer opaque)
{
    struct stat st;

    g_assert_cmpint(call_link(f->c, node_of(f, "file"), node_of(f, "dir"),
                              "hard"), ==, 0);
    pf_stat(f, "dir/hard", &st);
    g_assert_cmpint(st.st_nlink, ==, 2);
    g_assert_cmpint(call_link(f->c, node_of(f, "file"), node_of(f, "dir"),
                              "hard"), ==, -EEXIST);
    g_assert_cmpint(call_link(f->c, node_of(f, "dir"), PROXY_ROOT_HANDLE,
                              "d"), ==, -EPERM);
    /* A link's own inode, not what it leads to */
    g_assert_cmpint(call_link(f->c, node_of(f, "up"), PROXY_ROOT_HANDLE,
                              "up2"), ==, 0);
    pf_stat(f, "up2", &st);
    g_assert_true(S_ISLNK(st.st_mode));
}

static void test_rename(ProxyFixture *f, gconstpointer opaque)
{
    uint64_t file = node_of(f, "file");
    struct stat st;
    FsAttr attr;

    g_assert_cmpint(call_rename(f->c, PROXY_ROOT_HANDLE, "file",
                                node_of(f, "dir"), "moved"), ==, 0);
    g_assert_false(pf_exists(f, "file"));
    pf_stat(f, "dir/moved", &st);
    /* The handle is still the file's. */
    g_assert_cmpint(call_handle(f->c, PROXY_GETATTR, file), ==, 0);
    proxy_get_attr(&f->c->in, &attr);
    g_assert_cmpint(attr.ino, ==, st.st_ino);
    g_assert_cmpint(call_rename(f->c, PROXY_ROOT_HANDLE, "none",
                                PROXY_ROOT_HANDLE, "x"), ==, -ENOENT);
    g_assert_cmpint(call_rename(f->c, PROXY_ROOT_HANDLE, "dir",
                                node_of(f, "dir"), "x"), ==, -EINVAL);
}

static void test_unlink(ProxyFixture *f, gconstpointer opaque)
{
    uint64_t file = node_of(f, "file");
    uint64_t other = node_of(f, "dir/sub/deep");
    int fd;

    g_assert_cmpint(call_unlink(f->c, PROXY_ROOT_HANDLE, "file", false,
                                other), ==, -ESTALE);
    g_assert_true(pf_exists(f, "file"));
    g_assert_cmpint(call_unlink(f->c, PROXY_ROOT_HANDLE, "file", true, 0), ==,
                    -ENOTDIR);
    g_assert_cmpint(call_unlink(f->c, PROXY_ROOT_HANDLE, "file", false,
                                file), ==, 0);
    g_assert_false(pf_exists(f, "file"));
    /* Unlinked, and still there for who has its handle */
    g_assert_cmpint(call_open(f->c, file, O_RDWR, &fd), ==, 0);
    close(fd);

    g_assert_cmpint(call_unlink(f->c, PROXY_ROOT_HANDLE, "dir", false, 0), ==,
                    -EISDIR);
    g_assert_cmpint(call_unlink(f->c, PROXY_ROOT_HANDLE, "dir", true, 0), ==,
                    -ENOTEMPTY);
    g_assert_cmpint(call_unlink(f->c, PROXY_ROOT_HANDLE, "up", false, 0), ==,
                    0);
    g_assert_true(pf_exists(f, "../secret"));
}

static void test_xattr(ProxyFixture *f, gconstpointer opaque)
{
    g_autofree char *large = g_malloc(FS_XATTR_MAX + 1);
    uint64_t file = node_of(f, "file");
    ProxyClient *c = f->c;
    int ret;

    ret = call_setxattr(c, file, "user.x", 0, "value", 5);
    if (ret == -EOPNOTSUPP) {
        g_test_skip("no user.* xattrs in the temporary directory");
        return;
    }
    g_assert_cmpint(ret, ==, 0);
    g_assert_cmpint(call_getxattr(c, file, false, "user.x"), ==, 0);
    g_assert_cmpint(marshal_get_u32(&c->in), ==, 5);
    g_assert_cmpint(memcmp(marshal_get_bytes(&c->in, 5), "value", 5), ==, 0);
    g_assert_true(marshal_done(&c->in));
    g_assert_cmpint(call_getxattr(c, file, true, ""), ==, 0);
    g_assert_cmpint(marshal_get_u32(&c->in), >=, 7);
    g_assert_nonnull(memmem(c->in.pos, marshal_left(&c->in), "user.x", 7));

    g_assert_cmpint(call_setxattr(c, file, "user.x", XATTR_CREATE, "", 0), ==,
                    -EEXIST);
    g_assert_cmpint(call_setxattr(c, file, "user.y", XATTR_REPLACE, "", 0),
                    ==, -ENODATA);
    g_assert_cmpint(call_setxattr(c, file, "user.y", 8, "", 0), ==, -EINVAL);
    memset(large, 'x', FS_XATTR_MAX + 1);
    g_assert_cmpint(call_setxattr(c, file, "user.y", 0, large,
                                  FS_XATTR_MAX + 1), ==, -E2BIG);
    g_assert_cmpint(call_getxattr(c, file, true, "user.x"), ==, -EINVAL);
    g_assert_cmpint(call_getxattr(c, file, false, "user.none"), ==, -ENODATA);
    g_assert_cmpint(call_removexattr(c, file, "user.x"), ==, 0);
    g_assert_cmpint(call_removexattr(c, file, "user.x"), ==, -ENODATA);

    /* A link has none, and what it leads to is not meant. */
    g_assert_cmpint(call_setxattr(c, node_of(f, "up"), "user.x", 0, "v", 1),
                    ==, -EPERM);
}

/* Each way to give a name, with each bad one */
static void test_bad_names(ProxyFixture *f, gconstpointer opaque)
{
    g_autofree char *too_long = g_strnfill(NAME_MAX + 1, 'n');
    const char *bad[] = { "", ".", "..", "a/b", "/", "../secret", too_long };
    uint64_t file = node_of(f, "file");
    ProxyClient *c = f->c;
    PcNode node;
    FsAttr attr;
    unsigned i;
    int fd;

    for (i = 0; i < G_N_ELEMENTS(bad); i++) {
        const char *n = bad[i];

        if (!g_str_equal(n, "..")) {
            g_assert_cmpint(pc_walk1(c, PROXY_ROOT_HANDLE, n, &node, NULL), <,
                            0);
        }
        g_assert_cmpint(call_create(c, PROXY_ROOT_HANDLE, n, O_RDWR, 0600,
                                    &attr, &node, &fd), <, 0);
        g_assert_cmpint(call_make(c, PROXY_ROOT_HANDLE, n, S_IFDIR | 0700, 0,
                                  "", &attr), <, 0);
        g_assert_cmpint(call_link(c, file, PROXY_ROOT_HANDLE, n), <, 0);
        g_assert_cmpint(call_rename(c, PROXY_ROOT_HANDLE, "file",
                                    PROXY_ROOT_HANDLE, n), <, 0);
        g_assert_cmpint(call_rename(c, PROXY_ROOT_HANDLE, n,
                                    PROXY_ROOT_HANDLE, "new"), <, 0);
        g_assert_cmpint(call_unlink(c, PROXY_ROOT_HANDLE, n, false, 0), <, 0);
        g_assert_cmpint(call_unlink(c, PROXY_ROOT_HANDLE, n, true, 0), <, 0);
    }
    g_assert_true(pf_exists(f, "file"));
    g_assert_true(pf_exists(f, "../secret"));
    g_assert_false(pf_exists(f, "new"));
}

/* No link is followed by a walk: not to the outside, not to the inside. */
static void test_links_not_followed(ProxyFixture *f, gconstpointer opaque)
{
    PcNode node;
    FsAttr attr;

    g_assert_cmpint(pc_walk(f->c, "up", &node, &attr), ==, 0);
    g_assert_true(S_ISLNK(attr.mode));
    g_assert_cmpint(pc_walk1(f->c, node.handle, "x", &node, NULL), ==,
                    -ENOTDIR);
    g_assert_cmpint(pc_walk(f->c, "link/sub", &node, NULL), ==, -ENOENT);
    g_assert_cmpint(pc_walk(f->c, "root/file", &node, NULL), ==, -ENOENT);
}

typedef struct Swap {
    char *a;
    char *b;
    int stop;
} Swap;

static void *swap_thread(void *opaque)
{
    Swap *s = opaque;

    while (!g_atomic_int_get(&s->stop)) {
        g_assert_cmpint(renameat2(AT_FDCWD, s->a, AT_FDCWD, s->b,
                                  RENAME_EXCHANGE), ==, 0);
    }
    return NULL;
}

/* A name that is now a directory and now a link to another directory */
static void test_swap(ProxyFixture *f, gconstpointer opaque)
{
    Swap swap = {
        .a = g_build_filename(f->dir, "here", NULL),
        .b = g_build_filename(f->dir, "there", NULL),
    };
    unsigned found = 0, not_found = 0;
    struct stat mine;
    GThread *thread;
    PcNode node;
    FsAttr attr;
    unsigned i;

    pf_put_dir(f, "here");
    pf_put_file(f, "here/deep", "mine");
    pf_put_link(f, "dir/sub", "there");
    pf_stat(f, "here/deep", &mine);
    thread = g_thread_new("swap", swap_thread, &swap);
    for (i = 0; i < 100000 && (i < 3000 || !found || !not_found); i++) {
        if (pc_walk(f->c, "here/deep", &node, &attr) == 0) {
            g_assert_cmpint(attr.ino, ==, mine.st_ino);
            if (node.fd >= 0) {
                close(node.fd);
            }
            found++;
        } else {
            not_found++;
        }
    }
    g_atomic_int_set(&swap.stop, 1);
    g_thread_join(thread);
    g_free(swap.a);
    g_free(swap.b);
    g_assert_cmpint(found, >, 0);
    g_assert_cmpint(not_found, >, 0);
}

static void test_readonly(ProxyFixture *f, gconstpointer opaque)
{
    FsSetAttr set = { .valid = FS_SET_MODE, .mode = 0777 };
    uint64_t file = node_of(f, "file");
    ProxyClient *c = f->c;
    g_autofree char *magic = NULL;
    PcNode node;
    FsAttr attr;
    int fd;

    g_assert_cmpint(c->features & PROXY_FEATURE_READONLY, !=, 0);
    g_assert_cmpint(call_open(c, file, O_RDONLY, &fd), ==, 0);
    close(fd);
    g_assert_cmpint(call_open(c, file, O_RDWR, &fd), ==, -EROFS);
    g_assert_cmpint(call_setattr(c, file, &set), ==, -EROFS);
    g_assert_cmpint(call_create(c, PROXY_ROOT_HANDLE, "n", O_RDWR, 0600,
                                &attr, &node, &fd), ==, -EROFS);
    g_assert_cmpint(call_make(c, PROXY_ROOT_HANDLE, "n", S_IFDIR | 0700, 0,
                              "", &attr), ==, -EROFS);
    g_assert_cmpint(call_link(c, file, PROXY_ROOT_HANDLE, "n"), ==, -EROFS);
    g_assert_cmpint(call_rename(c, PROXY_ROOT_HANDLE, "file",
                                PROXY_ROOT_HANDLE, "n"), ==, -EROFS);
    g_assert_cmpint(call_unlink(c, PROXY_ROOT_HANDLE, "file", false, 0), ==,
                    -EROFS);
    g_assert_cmpint(call_setxattr(c, file, "user.x", 0, "", 0), ==, -EROFS);
    g_assert_cmpint(call_removexattr(c, file, "user.x"), ==, -EROFS);

    /* A donated descriptor is of the read-only mount: no way around. */
    magic = g_strdup_printf("/proc/self/fd/%d/n", c->root_fd);
    g_assert_cmpint(g_mkdir(magic, 0700), ==, -1);
    g_assert_cmpint(errno, ==, EROFS);
}

static void test_pipelined(ProxyFixture *f, gconstpointer opaque)
{
    enum { N = 1000 };
    g_autofree bool *seen = g_new0(bool, N);
    ProxyClient *c = f->c;
    ProxyHeader h;
    FsAttr attr;
    unsigned sent, got = 0;

    for (sent = 0; sent < N; sent++) {
        marshal_put_u64(pc_begin(c), PROXY_ROOT_HANDLE);
        g_assert_cmpint(pc_send(c, PROXY_GETATTR), ==, sent + 1);
        /* Some stay in flight until all are sent. */
        while (got + 200 < sent || (sent == N - 1 && got < N)) {
            g_assert_cmpint(pc_receive(c, &h), ==, 0);
            g_assert_cmpint(h.type, ==, PROXY_GETATTR | PROXY_REPLY);
            g_assert_cmpint(h.tag, >=, 1);
            g_assert_cmpint(h.tag, <=, N);
            g_assert_false(seen[h.tag - 1]);
            seen[h.tag - 1] = true;
            proxy_get_attr(&c->in, &attr);
            g_assert_cmpint(attr.ino, ==, c->root_attr.ino);
            got++;
        }
    }
    g_assert_cmpint(got, ==, N);
}

/* Handles come and go under requests that use them. */
static void test_forget_in_use(ProxyFixture *f, gconstpointer opaque)
{
    enum { ROUNDS = 500 };
    ProxyClient *c = f->c;
    struct stat deep;
    ProxyHeader h;
    FsAttr attr;
    PcNode node;
    unsigned i, k;
    int ret;

    pf_stat(f, "dir/sub/deep", &deep);
    for (i = 0; i < ROUNDS; i++) {
        g_assert_cmpint(pc_walk(c, "dir/sub/deep", &node, NULL), ==, 0);
        if (node.fd >= 0) {
            close(node.fd);
        }
        for (k = 0; k < 4; k++) {
            marshal_put_u64(pc_begin(c), node.handle);
            pc_send(c, PROXY_GETATTR);
            if (k == 1) {
                pc_forget(c, node.handle, 1);
            }
        }
        for (k = 0; k < 4; k++) {
            ret = pc_receive(c, &h);
            if (ret == 0) {
                proxy_get_attr(&c->in, &attr);
                g_assert_cmpint(attr.ino, ==, deep.st_ino);
            } else {
                g_assert_cmpint(ret, ==, -EBADF);
            }
        }
    }
}

/*
 * With as many handles as there can be no more are given; those that were work
 * on, and some of them given back make room again.
 */
static void test_many_handles(ProxyFixture *f, gconstpointer opaque)
{
    enum { LIMIT = 512 };
    uint64_t handles[LIMIT];
    unsigned i, n = 0;
    PcNode node;
    int ret = 0;
    FsAttr attr;
    int fd;

    for (i = 0; i < LIMIT; i++) {
        g_autofree char *name = g_strdup_printf("f%u", i);

        pf_put_file(f, name, "");
    }
    pc_max_files = LIMIT;
    f->c = pc_open(f->dir, NULL);
    pc_max_files = 0;

    for (i = 0; i < LIMIT; i++) {
        g_autofree char *name = g_strdup_printf("f%u", i);

        ret = pc_walk(f->c, name, &node, NULL);
        if (ret < 0) {
            break;
        }
        handles[n++] = node.handle;
        close(node.fd);
    }
    g_assert_cmpint(ret, ==, -EMFILE);
    g_assert_cmpint(n, >, LIMIT / 2);
    g_assert_cmpint(call_handle(f->c, PROXY_GETATTR, handles[0]), ==, 0);
    g_assert_cmpint(call_open(f->c, handles[0], O_RDONLY, &fd), ==, 0);
    close(fd);
    g_assert_cmpint(call_create(f->c, PROXY_ROOT_HANDLE, "new", O_RDWR, 0600,
                                &attr, &node, &fd), ==, -EMFILE);

    for (i = 0; i < n; i++) {
        pc_forget(f->c, handles[i], 1);
    }
    while (pc_walk(f->c, "f511", &node, NULL) == -EMFILE) {
        g_usleep(1000);         /* FORGET has no reply; the test times out */
    }
    close(node.fd);
    g_assert_cmpint(call_open(f->c, node.handle, O_RDONLY, &fd), ==, 0);
    close(fd);
}

/* Whatever is walked, made and opened: no descriptor is left behind. */
static void test_no_leak(ProxyFixture *f, gconstpointer opaque)
{
    unsigned before, i;
    FsAttr attr;
    PcNode node;
    int fd;

    if (geteuid() != 0) {
        g_test_skip("needs root to look at the helper's descriptors");
        return;
    }
    before = pp_open_files(f->c->server_pid);
    for (i = 0; i < 100; i++) {
        g_autofree char *name = g_strdup_printf("n%u", i);

        g_assert_cmpint(pc_walk(f->c, "dir/sub/deep", &node, NULL), ==, 0);
        if (node.fd >= 0) {
            close(node.fd);
        }
        g_assert_cmpint(call_open(f->c, node.handle, O_RDONLY, &fd), ==, 0);
        close(fd);
        pc_forget(f->c, node.handle, 1);
        pc_walk(f->c, "dir/sub/none/x", &node, NULL);
        g_assert_cmpint(call_create(f->c, PROXY_ROOT_HANDLE, name, O_RDWR,
                                    0600, &attr, &node, &fd), ==, 0);
        close(node.fd);
        close(fd);
        pc_forget(f->c, node.handle, 1);
        g_assert_cmpint(call_create(f->c, PROXY_ROOT_HANDLE, name,
                                    O_RDWR | O_EXCL, 0600, &attr, &node,
                                    &fd), ==, -EEXIST);
        g_assert_cmpint(call_unlink(f->c, PROXY_ROOT_HANDLE, name, false, 0),
                        ==, 0);
    }
    while (pp_open_files(f->c->server_pid) > before) {
        g_usleep(1000);
    }
}

/* Resident memory of a process, KiB */
static unsigned memory_of(uint32_t pid)
{
    g_autofree char *path = g_strdup_printf("/proc/%u/status", pid);
    g_autofree char *text = NULL;
    const char *at;

    g_assert_true(g_file_get_contents(path, &text, NULL, NULL));
    at = strstr(text, "VmRSS:");
    g_assert_nonnull(at);
    return strtoul(at + 6, NULL, 10);
}

/* A client that asks and never reads: the helper stops taking, no more. */
static void test_never_read(ProxyFixture *f, gconstpointer opaque)
{
    uint8_t msg[PROXY_HEADER_SIZE + 8] = { 0 };
    ProxyHeader h = { .size = sizeof(msg), .type = PROXY_GETATTR };
    MarshalWriter w;
    uint64_t sent = 0;
    unsigned idle = 0;
    size_t len;

    proxy_header_put(&h, msg);
    marshal_writer_init(&w, msg + PROXY_HEADER_SIZE, 8);
    marshal_put_u64(&w, PROXY_ROOT_HANDLE);
    while (sent < 64 * 1024 * 1024 && idle < 30) {
        len = pc_send_now(f->c, msg + sent % sizeof(msg),
                          sizeof(msg) - sent % sizeof(msg));
        sent += len;
        idle = len ? 0 : idle + 1;
        g_usleep(len ? 0 : 10000);
    }
    g_assert_cmpint(sent, <, 64 * 1024 * 1024);
    g_assert_cmpint(memory_of(f->c->server_pid), <, 64 * 1024);

    /* It ends with us all the same. */
    pc_close(g_steal_pointer(&f->c));
}

/* A client that sends no more, but reads, gets all replies. */
static void test_half_closed(ProxyFixture *f, gconstpointer opaque)
{
    ProxyHeader h;
    unsigned i;

    for (i = 0; i < 50; i++) {
        marshal_put_u64(pc_begin(f->c), PROXY_ROOT_HANDLE);
        pc_send(f->c, PROXY_GETATTR);
    }
    pc_end_requests(f->c);
    for (i = 0; i < 50; i++) {
        g_assert_cmpint(pc_receive(f->c, &h), ==, 0);
    }
}

/* The largest message there is: taken whole, found wrong, answered */
static void test_largest(ProxyFixture *f, gconstpointer opaque)
{
    size_t size = PROXY_MAX_MESSAGE - PROXY_HEADER_SIZE - 8 - 8 - 4 - 4;
    g_autofree char *value = g_malloc0(size);

    g_assert_cmpint(call_setxattr(f->c, PROXY_ROOT_HANDLE, "user.x", 0, value,
                                  size), ==, -E2BIG);
}

/* A message that comes byte by byte is a message. */
static void test_slow_message(ProxyFixture *f, gconstpointer opaque)
{
    ProxyHeader h;
    unsigned i;

    marshal_put_u64(pc_begin(f->c), PROXY_ROOT_HANDLE);
    h = (ProxyHeader) { PROXY_HEADER_SIZE + 8, PROXY_GETATTR, 0, 77 };
    proxy_header_put(&h, f->c->out_buf);
    for (i = 0; i < PROXY_HEADER_SIZE + 8; i++) {
        pc_send_raw(f->c, f->c->out_buf + i, 1);
        g_usleep(1000);
    }
    g_assert_cmpint(pc_receive(f->c, &h), ==, 0);
    g_assert_cmpint(h.tag, ==, 77);
}

/* A limit that the helper inherits is an error, and not its end. */
static void test_file_size_limit(ProxyFixture *f, gconstpointer opaque)
{
    FsSetAttr set = { .valid = FS_SET_SIZE, .size = 2 * 1024 * 1024 };
    struct rlimit old, limit;
    uint64_t file;

    g_assert_cmpint(getrlimit(RLIMIT_FSIZE, &old), ==, 0);
    limit = (struct rlimit) { 1024 * 1024, old.rlim_max };
    g_assert_cmpint(setrlimit(RLIMIT_FSIZE, &limit), ==, 0);
    f->c = pc_open(f->dir, NULL);
    g_assert_cmpint(setrlimit(RLIMIT_FSIZE, &old), ==, 0);

    file = node_of(f, "file");
    g_assert_cmpint(call_setattr(f->c, file, &set), ==, -EFBIG);
    set.size = 1024;
    g_assert_cmpint(call_setattr(f->c, file, &set), ==, 0);
}

static const char *const readonly_options[] = { "--readonly", NULL };
static const char *const one_thread[] = { "--threads", "1", NULL };
static const char *const many_threads[] = { "--threads", "64", NULL };

static void add(const char *name, const char *const *options,
                void (*test)(ProxyFixture *, gconstpointer))
{
    g_autofree char *path = g_strdup_printf("/9p-helper/%s", name);

    g_test_add(path, ProxyFixture, options, pf_setup, test, pf_teardown);
}

static void add_own(const char *name,
                    void (*test)(ProxyFixture *, gconstpointer))
{
    g_autofree char *path = g_strdup_printf("/9p-helper/%s", name);

    g_test_add(path, ProxyFixture, NULL, pf_make, test, pf_teardown);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    umask(022);
    signal(SIGPIPE, SIG_IGN);
    alarm(300);                 /* nothing in here takes that long */

    add("hello", NULL, test_hello);
    add_own("no-donation", test_no_donation);
    add("walk", NULL, test_walk);
    add("walk/same-inode", NULL, test_walk_same_inode);
    add("forget", NULL, test_forget);
    add("unknown-handles", NULL, test_unknown_handles);
    add("getattr", NULL, test_getattr);
    add_own("file-size-limit", test_file_size_limit);
    add("setattr", NULL, test_setattr);
    add("readlink", NULL, test_readlink);
    add("statfs", NULL, test_statfs);
    add("open", NULL, test_open);
    add("create", NULL, test_create);
    add("create/bad-owner", NULL, test_create_bad_owner);
    add("make", NULL, test_make);
    add("link", NULL, test_link);
    add("rename", NULL, test_rename);
    add("unlink", NULL, test_unlink);
    add("xattr", NULL, test_xattr);
    add("bad-names", NULL, test_bad_names);
    add("links-not-followed", NULL, test_links_not_followed);
    add("swap", NULL, test_swap);
    add("readonly", readonly_options, test_readonly);
    add("pipelined", NULL, test_pipelined);
    add("pipelined/one-thread", one_thread, test_pipelined);
    add("pipelined/many-threads", many_threads, test_pipelined);
    add("forget-in-use", many_threads, test_forget_in_use);
    add_own("many-handles", test_many_handles);
    add("no-leak", NULL, test_no_leak);
    add("never-read", NULL, test_never_read);
    add("half-closed", NULL, test_half_closed);
    add("largest", NULL, test_largest);
    add("slow-message", NULL, test_slow_message);
    return g_test_run();
}
