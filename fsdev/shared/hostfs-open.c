/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * File operations on the host: opening an inode for I/O, by the magic link of
 * its handle.
 */
#include "qemu/osdep.h"
#include "hostfs-internal.h"
#include <linux/fs.h>
#include <sys/ioctl.h>

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
    } while (hostfs_access_again(hfs, &fd, access, 1));
    if (fd >= 0 && (flags & O_NONBLOCK)) {
        fcntl(fd, F_SETFL, flags & ~(O_NONBLOCK | O_ACCMODE | O_TRUNC));
    }
    return fd;
}

/*
 * For regular files, O_NONBLOCK only means to fail instead of waiting until the
 * holder of a lease gives it up, or the kernel takes it away
 * (/proc/sys/fs/lease-break-time). The open still asks the holder. O_NOATIME
 * and O_DIRECT are hints, and go where the host refuses them: the first with
 * EPERM if the file is another user's (the guest's kernel knows its own users
 * and has allowed it), the second with EINVAL if the file system does not have
 * it. In both cases open(2) truncated nothing.
 * An access mode of O_ACCMODE is Linux' own: it asks for both permissions, and
 * the descriptor does neither.
 */
int hostfs_open(const HostFs *hfs, int node, int flags)
{
    HostSetId set_id = { };
    struct stat st;
    int fd, ret;

    flags &= HOSTFS_OPEN_FLAGS & ~(O_NOFOLLOW | O_NONBLOCK);

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
        flags &= ~O_DIRECT;
    } else if (S_ISREG(st.st_mode)) {
        flags |= O_NONBLOCK;
    } else {
        return -ENXIO;
    }
    if (hfs->readonly &&
        ((flags & O_ACCMODE) != O_RDONLY || (flags & O_TRUNC))) {
        return -EROFS;
    }

    ret = flags & O_TRUNC ? hostfs_set_id_begin(hfs, node, &set_id) : 0;
    if (ret < 0) {
        return ret;
    }
    fd = reopen(hfs, node, flags);
    if (fd == -EPERM && (flags & O_NOATIME)) {
        flags &= ~O_NOATIME;
        fd = reopen(hfs, node, flags);
    }
    if (fd == -EINVAL && (flags & O_DIRECT)) {
        fd = reopen(hfs, node, flags & ~O_DIRECT);
    }
    if (fd >= 0) {
        hostfs_set_id_keep(hfs, node, &set_id);
    }
    hostfs_set_id_end(&set_id);
    return fd;
}

ssize_t hostfs_write(const HostFs *hfs, int node, int flags, const void *buf,
                     size_t size, uint64_t offset)
{
    HostSetId set_id;
    ssize_t len;
    int fd, ret;

    if (offset > INT64_MAX || size > INT64_MAX - offset) {
        return -EFBIG;
    }
    fd = hostfs_open(hfs, node,
                     O_WRONLY | (flags & (O_APPEND | O_DSYNC | O_SYNC)));
    if (fd < 0) {
        return fd;
    }
    ret = hostfs_set_id_begin(hfs, node, &set_id);
    if (ret < 0) {
        close(fd);
        return ret;
    }
    len = RETRY_ON_EINTR(pwrite(fd, buf, size, offset));
    len = len < 0 ? -errno : len;
    hostfs_set_id_keep(hfs, node, &set_id);
    hostfs_set_id_end(&set_id);
    close(fd);
    return len;
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
