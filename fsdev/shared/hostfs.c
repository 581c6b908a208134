/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * File operations on the host: the context, single names, and opening inodes.
 *
 * hostfs looks each name up in a held directory, one component at a time, so
 * there is no path that another process could swap for a link. openat2(2) also
 * refuses links. With O_PATH and O_NOFOLLOW, the last component may still be a
 * link, which gives a handle of the link itself. Lookups cross mount points
 * inside the export: they are a part of it.
 */
#include "qemu/osdep.h"
#include "hostfs-internal.h"
#include <linux/fs.h>
#include <linux/openat2.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <sys/vfs.h>

/* openat2(2) may return EAGAIN because of a rename elsewhere: try again */
#define LOOKUP_TRIES    16

int hostfs_init(HostFs *hfs, int root, const char *fd_prefix)
{
    struct statx stx;
    struct stat st;
    int ret = 0;

    memset(hfs, 0, sizeof(*hfs));
    hfs->root = root;
    hfs->fd_prefix = fd_prefix;

    if (strlen(fd_prefix) > HOSTFS_PREFIX_MAX) {
        ret = -ENAMETOOLONG;
    } else if (fstat(root, &st) < 0) {
        ret = -errno;
    } else if (!S_ISDIR(st.st_mode)) {
        ret = -ENOTDIR;
    }
    if (ret < 0) {
        hostfs_destroy(hfs);
        return ret;
    }

    hfs->root_dev = st.st_dev;
    hfs->root_ino = st.st_ino;
    if (statx(root, "", AT_EMPTY_PATH | AT_NO_AUTOMOUNT, STATX_MNT_ID,
              &stx) == 0 && (stx.stx_mask & STATX_MNT_ID) &&
        (stx.stx_attributes & STATX_ATTR_MOUNT_ROOT)) {
        hfs->own_mount = stx.stx_mnt_id;
    }
    return 0;
}

void hostfs_destroy(HostFs *hfs)
{
    if (hfs->root >= 0) {
        close(hfs->root);
        hfs->root = -1;
    }
}

int hostfs_open_handle(int dir, const char *name, uint64_t resolve)
{
    struct open_how how = {
        .flags = HOSTFS_HANDLE_FLAGS,
        .resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS |
                   RESOLVE_NO_MAGICLINKS | resolve,
    };
    /* glibc has no wrapper */
    int fd = syscall(SYS_openat2, dir, name, &how, sizeof(how));

    return fd < 0 ? -errno : fd;
}

int hostfs_lookup(const HostFs *hfs, int dir, const char *name)
{
    HostAccess access[] = { { .fd = dir, .bits = S_IXUSR } };
    int tries = LOOKUP_TRIES;
    int fd;

    do {
        fd = hostfs_open_handle(dir, name, 0);
    } while ((fd == -EAGAIN && --tries) ||
             hostfs_access_again(hfs, fd, access, 1));
    return fd;
}

int hostfs_place(int fd, HostPlace *place)
{
    struct statx stx;

    if (statx(fd, "", AT_EMPTY_PATH | AT_NO_AUTOMOUNT | AT_STATX_DONT_SYNC,
              STATX_INO | STATX_MNT_ID, &stx) < 0) {
        return -errno;
    }
    place->dev = makedev(stx.stx_dev_major, stx.stx_dev_minor);
    place->ino = stx.stx_ino;
    place->mount = stx.stx_mask & STATX_MNT_ID ? stx.stx_mnt_id : 0;
    return 0;
}

/* readlinkat(2): an empty name means the handle itself (Linux 2.6.39). */
int hostfs_readlink(int node, char *buf, size_t size)
{
    ssize_t len;

    if (size == 0) {
        return -ENAMETOOLONG;
    }
    len = readlinkat(node, "", buf, size);
    if (len < 0) {
        /* With an empty name, ENOENT means that it is no link. */
        return errno == ENOENT ? -EINVAL : -errno;
    }
    if ((size_t)len == size) {
        return -ENAMETOOLONG;
    }
    buf[len] = '\0';
    return 0;
}

int hostfs_statfs(int node, FsStatfs *st)
{
    struct statfs host;
    uint32_t id[2];

    G_STATIC_ASSERT(sizeof(host.f_fsid) == sizeof(id));

    if (fstatfs(node, &host) < 0) {
        return -errno;
    }
    /* Two numbers whose names are not portable: see statfs(2) */
    memcpy(id, &host.f_fsid, sizeof(id));

    st->type = host.f_type;
    st->bsize = host.f_bsize;
    st->blocks = host.f_blocks;
    st->bfree = host.f_bfree;
    st->bavail = host.f_bavail;
    st->files = host.f_files;
    st->ffree = host.f_ffree;
    st->fsid = (uint64_t)id[1] << 32 | id[0];
    st->namelen = host.f_namelen;
    return 0;
}

/* Opens the inode itself, by the handle's magic link. */
static int reopen(const HostFs *hfs, int node, int flags)
{
    HostAccess access[] = { { .fd = node } };
    HostFdName name;
    int fd;

    if ((flags & O_ACCMODE) != O_WRONLY) {
        access[0].bits |= S_IRUSR;
    }
    if ((flags & O_ACCMODE) != O_RDONLY || (flags & O_TRUNC)) {
        access[0].bits |= S_IWUSR;
    }
    hostfs_fd_name(hfs, node, name);
    do {
        fd = openat(AT_FDCWD, name, flags | O_CLOEXEC | O_NOCTTY);
        fd = fd < 0 ? -errno : fd;
    } while (hostfs_access_again(hfs, fd, access, 1));
    if (fd >= 0 && (flags & O_NONBLOCK)) {
        fcntl(fd, F_SETFL, flags & ~(O_NONBLOCK | O_ACCMODE | O_TRUNC));
    }
    return fd;
}

/*
 * For regular files and directories, O_NONBLOCK only means to fail instead of
 * waiting for a lease break. O_NOATIME fails with EPERM as open(2) says; Linux
 * applications expect that and try again. O_DIRECT is a hint: EINVAL means
 * that the file system does not have it, and then open(2) truncated nothing.
 */
int hostfs_open(const HostFs *hfs, int node, int flags)
{
    struct stat st;
    int fd;

    flags &= HOSTFS_OPEN_FLAGS & ~O_NOFOLLOW;
    if ((flags & O_ACCMODE) == O_ACCMODE) {
        return -EINVAL;
    }

    /* The handle holds the inode, so its type cannot change before the open. */
    if (fstat(node, &st) < 0) {
        return -errno;
    }
    if (S_ISLNK(st.st_mode)) {
        return -ELOOP;
    }
    if ((flags & O_DIRECTORY) && !S_ISDIR(st.st_mode)) {
        return -ENOTDIR;
    }
    if (S_ISDIR(st.st_mode)) {
        if ((flags & O_ACCMODE) != O_RDONLY || (flags & O_TRUNC)) {
            return -EISDIR;
        }
        flags &= ~(O_DIRECT | O_NONBLOCK);
    } else if (!S_ISREG(st.st_mode)) {
        return -ENXIO;
    }
    if (hfs->readonly &&
        ((flags & O_ACCMODE) != O_RDONLY || (flags & O_TRUNC))) {
        return -EROFS;
    }

    fd = reopen(hfs, node, flags);
    if (fd == -EINVAL && (flags & O_DIRECT)) {
        fd = reopen(hfs, node, flags & ~O_DIRECT);
    }
    return fd;
}

/*
 * The kernel copies an int, although the type of the request says long
 * (ioctl_iflags(2), BUGS). O_NONBLOCK avoids waiting for a lease break. This
 * adds no permissions (own_access), which would change the ctime of an inode
 * that a guest only looks at.
 */
int hostfs_generation(const HostFs *hfs, int node, uint64_t *gen)
{
    unsigned int number = 0;
    HostFdName name;
    struct stat st;
    int fd, ret;

    if (fstat(node, &st) < 0) {
        return -errno;
    }
    if (!S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode)) {
        return -EOPNOTSUPP;
    }
    fd = openat(AT_FDCWD, hostfs_fd_name(hfs, node, name),
                O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    if (fd < 0) {
        /* A generation that we may not read is as good as none. */
        return -EOPNOTSUPP;
    }
    ret = ioctl(fd, FS_IOC_GETVERSION, &number) < 0 ? -EOPNOTSUPP : 0;
    close(fd);
    if (ret == 0) {
        *gen = number;
    }
    return ret;
}
