/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * File operations on the host: attributes.
 *
 * statx(2), fchownat(2) and utimensat(2) act on a handle itself if the name is
 * empty. Before Linux 6.6, chmod(2) has no such form; it goes through the magic
 * link of the handle.
 */
#include "qemu/osdep.h"
#include "hostfs-internal.h"
#include "special-file.h"
#include "xattr-names.h"
#include <sys/xattr.h>

static struct timespec get_time(const struct statx_timestamp *t)
{
    return (struct timespec) { .tv_sec = t->tv_sec, .tv_nsec = t->tv_nsec };
}

static int read_attr(int fd, int flags, FsAttr *attr)
{
    struct statx stx;

    if (statx(fd, "", AT_EMPTY_PATH | AT_NO_AUTOMOUNT | flags,
              STATX_BASIC_STATS | STATX_BTIME, &stx) < 0) {
        return -errno;
    }

    memset(attr, 0, sizeof(*attr));
    attr->mode = stx.stx_mode;
    attr->uid = stx.stx_uid;
    attr->gid = stx.stx_gid;
    attr->dev = makedev(stx.stx_dev_major, stx.stx_dev_minor);
    attr->ino = stx.stx_ino;
    attr->nlink = stx.stx_nlink;
    attr->rdev = makedev(stx.stx_rdev_major, stx.stx_rdev_minor);
    attr->size = stx.stx_size;
    attr->blksize = stx.stx_blksize;
    attr->blocks = stx.stx_blocks;
    attr->atime = get_time(&stx.stx_atime);
    attr->mtime = get_time(&stx.stx_mtime);
    attr->ctime = get_time(&stx.stx_ctime);
    if (stx.stx_mask & STATX_BTIME) {
        attr->btime = get_time(&stx.stx_btime);
        attr->valid |= FS_ATTR_BTIME;
    }
    return 0;
}

int hostfs_getattr_flags(int fd, int flags, FsAttr *attr)
{
    int number, ret;

    do {
        number = g_atomic_int_get(&hostfs_access_number);
        ret = read_attr(fd, flags, attr);
    } while (ret == 0 && !hostfs_access_hide(number, attr));
    return ret;
}

int hostfs_getattr(int fd, FsAttr *attr)
{
    return hostfs_getattr_flags(fd, 0, attr);
}

int hostfs_view(const HostFs *hfs, int node, FsAttr *attr)
{
    int ret = hostfs_getattr(node, attr);

    return ret < 0 ? ret : special_file_see(hfs, node, attr);
}

int hostfs_peek(int fd, FsAttr *attr)
{
    return hostfs_getattr_flags(fd, AT_STATX_DONT_SYNC, attr);
}

/*
 * The kernel takes file capabilities away at each chown(2), even at one that
 * changes no id. Without any there is nothing to do, so that set-id bits stay.
 */
int hostfs_drop_capability(const HostFs *hfs, int node)
{
    HostAccess access = { .fd = node };
    HostFdName name;
    int ret;

    if (getxattr(hostfs_fd_name(hfs, node, name), FS_XATTR_CAPS, NULL,
                 0) < 0) {
        return errno == ENODATA || errno == EOPNOTSUPP ? 0 : -errno;
    }
    hostfs_access_lock(hfs, &access);
    ret = fchownat(node, "", -1, -1, AT_EMPTY_PATH) < 0 ? -errno : 0;
    hostfs_access_unlock(hfs, &access);
    return ret;
}

int hostfs_set_owner(const HostFs *hfs, int node, uint32_t uid, uint32_t gid)
{
    HostAccess access = { .fd = node };
    int ret;

    if (uid == (uint32_t)-1 && gid == (uint32_t)-1) {
        return 0;
    }
    hostfs_access_lock(hfs, &access);
    ret = fchownat(node, "", uid, gid, AT_EMPTY_PATH) < 0 ? -errno : 0;
    hostfs_access_unlock(hfs, &access);
    /* EINVAL: an id that this user namespace does not have */
    if (hfs->ignore_chown_failure &&
        (ret == -EPERM || ret == -EINVAL || ret == -EOPNOTSUPP)) {
        return hostfs_drop_capability(hfs, node);
    }
    return ret;
}

int hostfs_set_mode(const HostFs *hfs, int node, uint32_t mode)
{
    HostAccess access = { .fd = node };
    HostFdName name;
    int ret;

    hostfs_access_lock(hfs, &access);
    ret = fchmodat(AT_FDCWD, hostfs_fd_name(hfs, node, name), mode & 07777,
                   0) < 0 ? -errno : 0;
    hostfs_access_unlock(hfs, &access);
    return ret;
}

/*
 * truncate(2) waits for the holder of a lease. To open the file and to set the
 * size then comes to the same, but hostfs_open() does not wait.
 */
static int set_size(const HostFs *hfs, int node, int file, uint64_t size)
{
    int fd = file;
    int ret;

    if (size > INT64_MAX) {
        return -EFBIG;
    }
    if (fd < 0) {
        fd = hostfs_open(hfs, node, O_WRONLY);
        if (fd < 0) {
            /* As truncate(2) answers for what is no regular file */
            return fd == -ENXIO || fd == -ELOOP ? -EINVAL : fd;
        }
    }
    ret = ftruncate(fd, size) < 0 ? -errno : 0;
    if (fd != file) {
        close(fd);
    }
    return ret;
}

/*
 * A change of the mode that the host refuses to the user whom hostfs works for,
 * as it is another's file. But when a user writes to such a file, the kernel
 * takes set-id bits away, and a guest's kernel asks for that in the name of the
 * user. So if the change does only that, and the user may write to the file,
 * the owner makes it.
 */
static int drop_set_id(const HostFs *hfs, int node, uint32_t mode)
{
    struct stat st;
    int ret;

    if (fstat(node, &st) < 0) {
        return -errno;
    }
    if (!S_ISREG(st.st_mode) || (mode & ~st.st_mode & 07777) ||
        ((st.st_mode & ~mode) & 07777 & ~(S_ISUID | S_ISGID))) {
        return -EPERM;
    }
    ret = hfs->making->owner_begin(node, st.st_uid, st.st_gid);
    if (ret < 0) {
        return ret;
    }
    /* A change of the size may have taken them away already. */
    if ((st.st_mode & 07777) != (mode & 07777)) {
        ret = hostfs_set_mode(hfs, node, mode);
    }
    return hfs->making->owner_end() ? ret : -EPERM;
}

/*
 * Does not try symbolic links: Linux before 6.6 may change the mode of one and
 * fail nonetheless.
 */
static int change_mode(const HostFs *hfs, int node, uint32_t mode)
{
    struct stat st;
    uint32_t set;
    int ret;

    if (fstat(node, &st) < 0) {
        return -errno;
    }
    if (S_ISLNK(st.st_mode)) {
        return -EOPNOTSUPP;
    }
    set = mode;
    if ((mode & S_ISGID) && hfs->making &&
        !hfs->making->may_set_gid(st.st_gid)) {
        set &= ~S_ISGID;
    }
    ret = hostfs_set_mode(hfs, node, set);
    return (ret == -EPERM || ret == -EACCES) && hfs->making
           ? drop_set_id(hfs, node, mode) : ret;
}

static int set_times(int node, const struct timespec times[2])
{
    return utimensat(node, "", times, AT_EMPTY_PATH) < 0 ? -errno : 0;
}

static struct timespec new_time(bool change, bool given,
                                const struct timespec *time)
{
    if (!change) {
        return (struct timespec) { .tv_nsec = UTIME_OMIT };
    }
    return given ? *time : (struct timespec) { .tv_nsec = UTIME_NOW };
}

/*
 * Moves the ctime to now and changes nothing else. A chown(2) that changes no
 * id would clear set-id bits and file capabilities; setting the inode's own
 * atime does not.
 */
static int touch_ctime(int node)
{
    struct timespec times[2];
    struct stat st;

    if (fstat(node, &st) < 0) {
        return -errno;
    }
    times[0] = st.st_atim;
    times[1] = (struct timespec) { .tv_nsec = UTIME_OMIT };
    return set_times(node, times);
}

/*
 * The last part of a change: times, or the ctime alone if nothing else has
 * @moved it
 */
static int change_times(int node, const FsSetAttr *set, bool moved)
{
    uint32_t valid = set->valid;
    struct timespec times[2] = {
        new_time(valid & FS_SET_ATIME, valid & FS_SET_ATIME_SET, &set->atime),
        new_time(valid & FS_SET_MTIME, valid & FS_SET_MTIME_SET, &set->mtime),
    };

    if (valid & (FS_SET_ATIME | FS_SET_MTIME)) {
        return set_times(node, times);
    }
    return (valid & FS_SET_CTIME) && !moved ? touch_ctime(node) : 0;
}

/* A guest may not send UTIME_NOW and UTIME_OMIT. */
static bool bad_time(const struct timespec *time)
{
    return time->tv_nsec < 0 || time->tv_nsec > 999999999;
}

static int change_owner(const HostFs *hfs, int node, const FsSetAttr *set)
{
    return hostfs_set_owner(hfs, node,
                            set->valid & FS_SET_UID ? set->uid : (uint32_t)-1,
                            set->valid & FS_SET_GID ? set->gid : (uint32_t)-1);
}

static int check_setattr(const HostFs *hfs, const FsSetAttr *set)
{
    uint32_t valid = set->valid;

    if ((valid & ~FS_SET_ALL) ||
        ((valid & FS_SET_ATIME) && (valid & FS_SET_ATIME_SET) &&
         bad_time(&set->atime)) ||
        ((valid & FS_SET_MTIME) && (valid & FS_SET_MTIME_SET) &&
         bad_time(&set->mtime))) {
        return -EINVAL;
    }
    return hfs->readonly && valid ? -EROFS : 0;
}

/* The change of a file that stands for a device */
static int set_device(const HostFs *hfs, int node, const FsSetAttr *set)
{
    FsAttr attr;
    int ret = hostfs_view(hfs, node, &attr);

    if (ret == 0 && (set->valid & FS_SET_SIZE)) {
        ret = -EINVAL;          /* truncate(2) */
    }
    if (ret == 0) {
        ret = change_owner(hfs, node, set);
    }
    if (ret == 0) {
        ret = special_file_set_mode(hfs, node, set, &attr);
    }
    /* A mode may be the old one, of which the host sees nothing. */
    return ret < 0 ? ret : change_times(node, set, false);
}

int hostfs_setattr(const HostFs *hfs, int node, int file, const FsSetAttr *set)
{
    uint32_t valid = set->valid;
    FsSetAttr rest = *set;
    HostSetId set_id = { };
    int ret = check_setattr(hfs, set);

    if (ret == 0) {
        ret = special_file_is(hfs, node);
    }
    if (ret > 0) {
        return set_device(hfs, node, set);
    }
    if (ret == 0 &&
        (valid & (FS_SET_SIZE | FS_SET_MODE | FS_SET_UID | FS_SET_GID))) {
        ret = hostfs_set_id_begin(hfs, node, &set_id);
    }
    if (ret == 0 && (valid & FS_SET_SIZE)) {
        ret = set_size(hfs, node, file, set->size);
        hostfs_set_id_keep(hfs, node, &set_id);
        rest.valid = fs_set_after_truncate(valid);
    }
    if (ret == 0) {
        ret = change_owner(hfs, node, set);
    }
    if (ret == 0 && (valid & FS_SET_MODE)) {
        ret = change_mode(hfs, node, set->mode);
    }
    hostfs_set_id_end(&set_id);
    /* Every other change moves the ctime anyway. */
    return ret < 0 ? ret
                   : change_times(node, &rest,
                                  valid & (FS_SET_UID | FS_SET_GID |
                                           FS_SET_MODE));
}
