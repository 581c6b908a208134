/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * File operations on the host: opening an inode for I/O, by the magic link of
 * its handle; and reading directories.
 */
#include "qemu/osdep.h"
#include "hostfs-internal.h"
#include "special-file.h"
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>

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
        ret = special_file_is(hfs, node);
        if (ret != 0) {
            return ret < 0 ? ret : -ENXIO;
        }
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

/* Linux has closed the descriptor even if it says EINTR (close(2)). */
int hostfs_close_written(int fd)
{
    return close(fd) < 0 && errno != EINTR ? -errno : 0;
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
    ret = hostfs_close_written(fd);
    return len < 0 || ret == 0 ? len : ret;
}

/*
 * Directories
 */

/* linux_dirent64 of getdents64(2): ino[8] off[8] reclen[2] type[1] name */
#define DIRENT_OFF          8
#define DIRENT_RECLEN       16
#define DIRENT_NAME         19

size_t hostfs_dirent_get(const uint8_t *p, FsDirent *entry)
{
    uint16_t size;

    memcpy(&entry->ino, p, sizeof(entry->ino));
    memcpy(&entry->next, p + DIRENT_OFF, sizeof(entry->next));
    memcpy(&size, p + DIRENT_RECLEN, sizeof(size));
    entry->type = p[HOSTFS_DIRENT_TYPE];
    entry->name = (const char *)p + DIRENT_NAME;
    entry->namelen = strlen(entry->name);
    return size;
}

size_t hostfs_dirent_put(uint8_t *p, size_t size, const FsDirent *entry)
{
    uint16_t need = ROUND_UP(DIRENT_NAME + entry->namelen + 1, 8);

    if (need > size) {
        return 0;
    }
    memcpy(p, &entry->ino, sizeof(entry->ino));
    memcpy(p + DIRENT_OFF, &entry->next, sizeof(entry->next));
    memcpy(p + DIRENT_RECLEN, &need, sizeof(need));
    p[HOSTFS_DIRENT_TYPE] = entry->type;
    memcpy(p + DIRENT_NAME, entry->name, entry->namelen);
    p[DIRENT_NAME + entry->namelen] = '\0';
    return need;
}

ssize_t hostfs_getdents(int fd, uint8_t *buf, size_t size, bool *end)
{
    size_t len = 0;
    ssize_t n;

    do {
        n = syscall(SYS_getdents64, fd, buf + len, size - len);
        if (n < 0) {
            *end = false;
            return len ? len : -errno;
        }
        len += n;
    } while (n > 0 && len < size / 2);
    *end = n == 0;
    return len;
}

ssize_t hostfs_readdir(const HostFs *hfs, int node, uint64_t offset,
                       uint8_t *buf, size_t size)
{
    bool end;
    ssize_t ret;
    int fd;

    if (offset > INT64_MAX) {
        return -EINVAL;
    }
    fd = hostfs_open(hfs, node, O_RDONLY | O_DIRECTORY);
    if (fd < 0) {
        return fd;
    }
    ret = lseek(fd, offset, SEEK_SET) < 0 ? -errno
        : hostfs_getdents(fd, buf, size, &end);
    close(fd);
    return ret;
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
