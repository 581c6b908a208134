/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * See mapped-fixture.h.
 */
#include "qemu/osdep.h"
#include "qemu/bswap.h"
#include "mapped-fixture.h"
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>

Fixture *fix;
LocalHost lh;
const LocalModel *model;
bool is_file;

/* The export as the guest sees it */

/* What @path in the export is to calls that take no descriptor */
char *host_path(const char *path)
{
    return g_strdup_printf("/proc/self/fd/%d/%s", fix->export, path);
}

/* What @path is, with "/" between names; "" is the root. */
LocalInode find(const char *path)
{
    const char *slash = strrchr(path, '/');
    LocalInode inode = { .dir = -1, .kept = -1 };
    g_autofree char *dir = NULL;

    if (path[0] == '\0') {
        inode.handle = fcntl(lh.host.root, F_DUPFD_CLOEXEC, 0);
        return inode;
    }
    inode.handle = node_of(fix, path);
    inode.name = slash ? slash + 1 : path;
    if (slash) {
        dir = g_strndup(path, slash - path);
        inode.dir = node_of(fix, dir);
    } else {
        inode.dir = fcntl(lh.host.root, F_DUPFD_CLOEXEC, 0);
    }
    return inode;
}

void drop(LocalInode *inode)
{
    close(inode->handle);
    if (inode->dir >= 0) {
        close(inode->dir);
    }
    if (inode->kept >= 0) {
        close(inode->kept);
    }
}

int try_see(const LocalInode *inode, FsAttr *attr)
{
    assert_ok(hostfs_getattr(inode->handle, attr));
    return model->getattr(&lh, inode, attr);
}

FsAttr see(const char *path)
{
    LocalInode inode = find(path);
    FsAttr attr;

    assert_ok(try_see(&inode, &attr));
    drop(&inode);
    return attr;
}

void assert_seen(const char *path, uint32_t mode, uint32_t uid,
                 uint32_t gid)
{
    FsAttr attr = see(path);

    g_assert_cmphex(attr.mode, ==, mode);
    g_assert_cmpuint(attr.uid, ==, uid);
    g_assert_cmpuint(attr.gid, ==, gid);
}

FsMakeArgs guest_make(const char *name, uint32_t mode)
{
    return (FsMakeArgs) {
        .name = name, .mode = mode, .uid = GUEST_UID, .gid = GUEST_GID,
        .rdev = S_ISCHR(mode) || S_ISBLK(mode) ? makedev(1, 3) : 0,
        .target = S_ISLNK(mode) ? "to/there" : NULL,
    };
}

/* Makes @path, with the ids above. */
int try_make(const char *path, uint32_t mode, FsAttr *attr)
{
    const char *slash = strrchr(path, '/');
    FsMakeArgs make = guest_make(slash ? slash + 1 : path, mode);
    g_autofree char *dir = slash ? g_strndup(path, slash - path)
                                 : g_strdup("");
    LocalInode above = find(dir);
    FsAttr unused;
    int ret;

    ret = model->make(&lh, above.handle, &make, attr ? attr : &unused);
    drop(&above);
    return ret;
}

void make(const char *path, uint32_t mode)
{
    assert_ok(try_make(path, mode, NULL));
}

int try_create(const char *name, uint32_t mode, int flags,
               FsAttr *attr)
{
    FsMakeArgs make = guest_make(name, mode);
    FsAttr opened, handle;
    int node = 99;
    int fd = model->create(&lh, lh.host.root, &make, flags, &node, attr);

    if (fd < 0) {
        g_assert_cmpint(node, ==, -1);
        return fd;
    }
    assert_ok(hostfs_getattr(fd, &opened));
    assert_ok(hostfs_getattr(node, &handle));
    g_assert_cmpuint(opened.ino, ==, attr->ino);
    g_assert_cmpuint(handle.ino, ==, attr->ino);
    g_assert_cmphex(fcntl(fd, F_GETFL) & O_ACCMODE, ==, flags & O_ACCMODE);
    g_assert_cmphex(fcntl(node, F_GETFL) & O_PATH, ==, O_PATH);
    close(fd);
    close(node);
    return 0;
}

int try_set(const char *path, FsSetAttr set)
{
    LocalInode inode = find(path);
    int ret = model->setattr(&lh, &inode, -1, &set);

    drop(&inode);
    return ret;
}

int try_chmod(const char *path, uint32_t mode)
{
    return try_set(path, (FsSetAttr) { .valid = FS_SET_MODE, .mode = mode });
}

int try_chown(const char *path, uint32_t uid, uint32_t gid)
{
    return try_set(path, (FsSetAttr) { .valid = FS_SET_UID | FS_SET_GID,
                                       .uid = uid, .gid = gid });
}

int try_link(const char *path, const char *newpath)
{
    const char *slash = strrchr(newpath, '/');
    g_autofree char *dir = slash ? g_strndup(newpath, slash - newpath)
                                 : g_strdup("");
    LocalInode inode = find(path);
    LocalInode above = find(dir);
    int ret;

    ret = model->link(&lh, &inode, above.handle, slash ? slash + 1 : newpath);
    drop(&inode);
    drop(&above);
    return ret;
}

/* Directories are "" or a path of names. */
int try_rename(const char *olddir, const char *oldname,
               const char *newdir, const char *newname)
{
    LocalInode from = find(olddir);
    LocalInode to = find(newdir);
    int ret = model->rename(&lh, from.handle, oldname, to.handle, newname);

    drop(&from);
    drop(&to);
    return ret;
}

int try_unlink(const char *dir, const char *name, bool rmdir)
{
    LocalInode above = find(dir);
    int ret = model->unlink(&lh, above.handle, name, rmdir, -1);

    drop(&above);
    return ret;
}

int try_readlink(const char *path, char *buf, size_t size)
{
    LocalInode inode = find(path);
    int ret = model->readlink(&lh, &inode, buf, size);

    drop(&inode);
    return ret;
}

int try_setxattr(const char *path, const char *name,
                 const void *value, size_t size)
{
    LocalInode inode = find(path);
    int ret = model->setxattr(&lh, &inode, name, value, size, 0);

    drop(&inode);
    return ret;
}

int try_removexattr(const char *path, const char *name)
{
    LocalInode inode = find(path);
    int ret = model->removexattr(&lh, &inode, name);

    drop(&inode);
    return ret;
}

ssize_t try_getxattr(const char *path, const char *name, void *buf,
                     size_t size)
{
    LocalInode inode = find(path);
    ssize_t ret = model->getxattr(&lh, &inode, name, buf, size);

    drop(&inode);
    return ret;
}

/* The export as the host has it */

struct stat host_stat(const char *path)
{
    struct stat st;

    g_assert_cmpint(fstatat(fix->export, path, &st, AT_SYMLINK_NOFOLLOW),
                    ==, 0);
    return st;
}

void host_setxattr(const char *path, const char *name,
                   const void *value, size_t size)
{
    g_autofree char *host = host_path(path);

    g_assert_cmpint(lsetxattr(host, name, value, size, 0), ==, 0);
}

ssize_t host_getxattr(const char *path, const char *name, void *buf,
                      size_t size)
{
    g_autofree char *host = host_path(path);
    ssize_t len = lgetxattr(host, name, buf, size);

    return len < 0 ? -errno : len;
}

void assert_xattr(const char *path, const char *name,
                  const void *value, size_t size)
{
    uint8_t buf[512];
    ssize_t len = host_getxattr(path, name, buf, sizeof(buf));

    g_assert_cmpint(len, ==, size);
    g_assert_cmpmem(buf, len, value, size);
}

/* What is on the disk for @dir/@name; @rdev: of a device node */
void assert_stored(const char *dir, const char *name, uint32_t mode,
                   uint32_t uid, uint32_t gid, const uint64_t *rdev)
{
    g_autofree char *path = g_strconcat(dir, *dir ? "/" : "", name, NULL);
    g_autofree char *meta = NULL;
    g_autoptr(GString) text = g_string_new(NULL);
    uint8_t bytes[8];

    if (!is_file) {
        bytes[0] = mode;
        bytes[1] = mode >> 8;
        bytes[2] = mode >> 16;
        bytes[3] = mode >> 24;
        assert_xattr(path, "user.virtfs.mode", bytes, 4);
        stl_le_p(bytes, uid);
        assert_xattr(path, "user.virtfs.uid", bytes, 4);
        stl_le_p(bytes, gid);
        assert_xattr(path, "user.virtfs.gid", bytes, 4);
        if (rdev) {
            stq_le_p(bytes, *rdev);
            assert_xattr(path, "user.virtfs.rdev", bytes, 8);
        } else {
            g_assert_cmpint(host_getxattr(path, "user.virtfs.rdev", bytes, 8),
                            ==, -ENODATA);
        }
        return;
    }
    g_string_printf(text, "virtfs.uid=%u\nvirtfs.gid=%u\nvirtfs.mode=%u\n",
                    uid, gid, mode);
    if (rdev) {
        g_string_append_printf(text, "virtfs.rdev=%llu\n",
                               (unsigned long long)*rdev);
    }
    meta = g_strconcat(dir, *dir ? "/" : "", META "/", name, NULL);
    assert_file(fix->export, meta, text->str);
}

void assert_no_metadata(const char *dir, const char *name)
{
    g_autofree char *meta = g_strconcat(dir, *dir ? "/" : "", META "/", name,
                                        NULL);

    if (is_file) {
        assert_missing(fix->export, meta);
    }
}

/* A metadata file with this text, or any other; its folder is made. */
void put_metadata(const char *name, const char *text)
{
    g_autofree char *meta = g_strconcat(META "/", name, NULL);

    mkdirat(fix->export, META, 0700);
    unlinkat(fix->export, meta, 0);
    put_file(fix->export, meta, text);
}

size_t acl_bytes(const AclEntry *acl, uint8_t *buf)
{
    uint8_t *p = buf + 4;

    stl_le_p(buf, 2);
    for (; acl->tag; acl++, p += 8) {
        stw_le_p(p, acl->tag);
        stw_le_p(p + 2, acl->perm);
        stl_le_p(p + 4, acl->id);
    }
    return p - buf;
}

/* Running them */

static void start(Fixture *f, const LocalModel *m)
{
    fix = f;
    model = m;
    is_file = m == &local_model_mapped_file;
    lh = (LocalHost) {
        .host = f->fs, .model = m, .fmode = FMODE, .dmode = DMODE,
    };
    lh.host.own_access = true;
}

/* Whether the model can do its work here; mapped-file needs nothing. */
bool usable(Fixture *f, const LocalModel *m)
{
    if (m == &local_model_mapped_xattr &&
        fsetxattr(f->export, "user.test", "x", 1, 0) < 0) {
        g_test_skip("no user.* attributes on the file system of TMPDIR");
        return false;
    }
    fremovexattr(f->export, "user.test");
    return true;
}

void run(Fixture *f, const LocalModel *m, MappedTest *test)
{
    start(f, m);
    test();
}

void fail_to_store(void)
{
    static const uint32_t modes[] = {
        S_IFREG | 0644, S_IFDIR | 0755, S_IFIFO | 0600, S_IFLNK,
    };
    FsAttr attr;
    unsigned i;

    for (i = 0; i < G_N_ELEMENTS(modes); i++) {
        g_assert_cmpint(try_make("x", modes[i], NULL), <, 0);
        assert_missing(fix->export, "x");
        assert_no_metadata("", "x");
    }
    g_assert_cmpint(try_create("x", 0644, O_RDWR, &attr), <, 0);
    assert_missing(fix->export, "x");
}

void forbid_call(unsigned nr, uint32_t bits, int error)
{
    const size_t arg = offsetof(struct seccomp_data, args[2]) +
                       (HOST_BIG_ENDIAN ? 4 : 0);
    struct sock_filter filter[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, nr, 0, 3),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, arg),
        BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, bits, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | error),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    const struct sock_fprog program = {
        .len = G_N_ELEMENTS(filter), .filter = filter,
    };

    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ||
        prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) < 0) {
        _exit(CHILD_SKIPS);
    }
}
