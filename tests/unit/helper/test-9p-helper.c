/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Tests of virtfs-proxy-helper's messages: each of them with good and with bad
 * arguments, through the real program and a real socket. Breaches of the
 * protocol are in test-9p-helper-bad.c; the helper's privilege is in
 * test-9p-helper-start.c.
 */
#include "qemu/osdep.h"
#include "proxy-calls.h"
#include <glib/gstdio.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>

static const char *const readonly_options[] = { "--readonly", NULL };
static const char *const host_files[] = { "--special-files=host", NULL };

static void test_hello(ProxyFixture *f, gconstpointer opaque)
{
    struct stat st, donated;

    pf_stat(f, ".", &st);
    g_assert_cmpint(f->c->root_attr.ino, ==, st.st_ino);
    g_assert_cmpint(f->c->root_attr.dev, ==, st.st_dev);
    g_assert_cmpint(f->c->features, ==,
                    PROXY_FEATURE_ADOPT | PROXY_FEATURE_RING |
                    PROXY_FEATURE_WRITE | PROXY_FEATURE_READDIR |
                    (geteuid() ? PROXY_FEATURE_MAPS_DEVICES |
                                  PROXY_FEATURE_TYPES : 0));
    g_assert_cmpint(f->c->root_fd, >=, 0);
    g_assert_cmpint(fstat(f->c->root_fd, &donated), ==, 0);
    g_assert_cmpint(donated.st_ino, ==, st.st_ino);
    g_assert_true(fcntl(f->c->root_fd, F_GETFL) & O_PATH);
    /* That process exists, and is not number 1 of its own PID namespace. */
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
    /* The helper passes open files nevertheless. */
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

    /* A second time: the same handles, and no donation */
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

    /* A partial walk returns a count; if the first name fails, its error */
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

    /* The root stays; unknown handles and surplus counts do no harm. */
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
    g_assert_cmpint(call_open(c, node_of(f, "dir"), O_ACCMODE, &fd), ==,
                    -EISDIR);
    g_assert_cmpint(call_open(c, file, O_ACCMODE, &fd), ==, 0);
    g_assert_cmphex(fcntl(fd, F_GETFL) & O_ACCMODE, ==, O_ACCMODE);
    close(fd);

    /* Opening a fifo would wait; sockets and devices are refused, too. */
    g_assert_cmpint(call_make(c, PROXY_ROOT_HANDLE, "fifo", S_IFIFO | 0600, 0,
                              "", &attr), ==, 0);
    g_assert_cmpint(call_open(c, node_of(f, "fifo"), O_RDONLY, &fd), ==,
                    -ENXIO);

    /* The helper drops flags that a guest may not use, such as O_PATH. */
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

    /* Neither through a link to the outside, nor onto one */
    g_assert_cmpint(call_create(c, PROXY_ROOT_HANDLE, "up", O_RDWR | O_TRUNC,
                                0644, &attr, &node, &fd), <, 0);
    pf_stat(f, "../secret", &st);
    g_assert_cmpint(st.st_size, ==, 7);
}

/* An owner of -1 is refused: the file would be the helper's. */
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
    /* A link's own inode, not its target */
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
    /* The handle still means the file. */
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
    /* Unlinked, and still accessible by its handle */
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

    /* A link has none, and its target is not used. */
    g_assert_cmpint(call_setxattr(c, node_of(f, "up"), "user.x", 0, "v", 1),
                    ==, -EPERM);
}

/* Each bad name in each request that has a name */
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

    /* A donated descriptor is on the read-only mount, too. */
    magic = g_strdup_printf("/proc/self/fd/%d/n", c->root_fd);
    g_assert_cmpint(g_mkdir(magic, 0700), ==, -1);
    g_assert_cmpint(errno, ==, EROFS);
}

int main(int argc, char **argv)
{
    pf_init(&argc, &argv, "/9p-helper");

    pf_add("hello", NULL, test_hello);
    pf_add_made("no-donation", NULL, test_no_donation);
    pf_add("walk", NULL, test_walk);
    pf_add("walk/same-inode", NULL, test_walk_same_inode);
    pf_add("forget", NULL, test_forget);
    pf_add("unknown-handles", NULL, test_unknown_handles);
    pf_add("getattr", NULL, test_getattr);
    pf_add("setattr", NULL, test_setattr);
    pf_add("readlink", NULL, test_readlink);
    pf_add("statfs", NULL, test_statfs);
    pf_add("open", NULL, test_open);
    pf_add("create", NULL, test_create);
    pf_add("create/bad-owner", NULL, test_create_bad_owner);
    pf_add("make", host_files, test_make);
    pf_add("link", NULL, test_link);
    pf_add("rename", NULL, test_rename);
    pf_add("unlink", NULL, test_unlink);
    pf_add("xattr", NULL, test_xattr);
    pf_add("bad-names", NULL, test_bad_names);
    pf_add("readonly", readonly_options, test_readonly);
    return g_test_run();
}
