/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Locks on exports: see share-lock.h.
 */
#include "qemu/osdep.h"
#include <sys/stat.h>
#include "share-lock.h"

/* Directories above one; more than a path can name */
#define ABOVE_MAX       PATH_MAX

static int set_lock(int fd, ShareLockByte byte)
{
    struct flock lock = {
        .l_type = F_RDLCK, .l_whence = SEEK_SET, .l_start = byte, .l_len = 1,
    };

    return RETRY_ON_EINTR(fcntl(fd, F_OFD_SETLK, &lock)) < 0 ? -errno : 0;
}

bool share_is_locked(int fd, ShareLockByte byte)
{
    struct flock lock = {
        .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = byte, .l_len = 1,
    };

    return RETRY_ON_EINTR(fcntl(fd, F_OFD_GETLK, &lock)) == 0 &&
           lock.l_type != F_UNLCK;
}

/* Opens the directory @name of @dir, for reading if this process may. */
static int open_dir(int dir, const char *name, bool *readable)
{
    int fd = openat(dir, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    *readable = fd >= 0;
    if (fd < 0 && errno == EACCES) {
        fd = openat(dir, name, O_PATH | O_DIRECTORY | O_CLOEXEC);
    }
    return fd < 0 ? -errno : fd;
}

static void keep(ShareLock *lock, int fd)
{
    lock->fd = g_renew(int, lock->fd, lock->n + 1);
    lock->fd[lock->n++] = fd;
}

static bool is_same_dir(int a, int b)
{
    struct stat s, t;

    return fstat(a, &s) == 0 && fstat(b, &t) == 0 &&
           s.st_dev == t.st_dev && s.st_ino == t.st_ino;
}

/*
 * Locks the directories above @dir on @byte, unless that is negative, and looks
 * there for the locks that @bad has as bits. Those that this process may not
 * read count for nothing. Without a lock there, it keeps no descriptor: those
 * of a server lead nowhere out of the export.
 */
static int lock_above(ShareLock *lock, int dir, int byte, unsigned bad,
                      unsigned *where)
{
    int at = fcntl(dir, F_DUPFD_CLOEXEC, 0);
    unsigned level, i;
    int ret = 0;

    for (level = 1; at >= 0 && ret == 0 && level < ABOVE_MAX; level++) {
        bool readable;
        int up = open_dir(at, "..", &readable);

        if (up < 0 || is_same_dir(at, up)) {
            if (up >= 0) {
                close(up);
            }
            break;
        }
        close(at);
        at = fcntl(up, F_DUPFD_CLOEXEC, 0);
        if (readable && byte >= 0) {
            set_lock(up, byte);
        }
        for (i = 0; readable && i <= SHARE_CHANGED_BELOW; i++) {
            if ((bad & (1u << i)) && share_is_locked(up, i)) {
                *where = level;
                ret = -EBUSY;
            }
        }
        if (byte >= 0) {
            keep(lock, up);
        } else {
            close(up);
        }
    }
    if (at >= 0) {
        close(at);
    }
    return ret;
}

static int lock_dir(ShareLock *lock, int dir, ShareLockByte byte, unsigned bad)
{
    bool readable;
    unsigned i;
    int ret;
    int fd = open_dir(dir, ".", &readable);

    if (fd < 0) {
        return fd;
    }
    keep(lock, fd);
    ret = readable ? set_lock(fd, byte) : -EACCES;
    for (i = 0; ret == 0 && i <= SHARE_CHANGED_BELOW; i++) {
        if ((bad & (1u << i)) && share_is_locked(fd, i)) {
            ret = -EBUSY;
        }
    }
    return ret;
}

int share_lock_use(ShareLock *lock, int dir)
{
    unsigned where;
    int ret;

    *lock = (ShareLock) { };
    ret = lock_dir(lock, dir, SHARE_USED,
                   1u << SHARE_CHANGED | 1u << SHARE_CHANGED_BELOW);
    if (ret == 0) {
        ret = lock_above(lock, dir, -1, 1u << SHARE_CHANGED, &where);
    }
    if (ret < 0) {
        share_unlock(lock);
    }
    return ret;
}

int share_lock_change(ShareLock *lock, int dir, unsigned *where)
{
    int ret;

    *lock = (ShareLock) { };
    *where = 0;
    ret = lock_dir(lock, dir, SHARE_CHANGED,
                   1u << SHARE_USED | 1u << SHARE_CHANGED |
                   1u << SHARE_CHANGED_BELOW);
    if (ret == 0) {
        ret = lock_above(lock, dir, SHARE_CHANGED_BELOW,
                         1u << SHARE_USED | 1u << SHARE_CHANGED, where);
    }
    if (ret < 0) {
        share_unlock(lock);
    }
    return ret;
}

void share_unlock(ShareLock *lock)
{
    unsigned i;

    for (i = 0; i < lock->n; i++) {
        close(lock->fd[i]);
    }
    g_free(lock->fd);
    *lock = (ShareLock) { };
}
