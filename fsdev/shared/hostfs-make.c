/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * File operations on the host that change directories.
 *
 * A new object goes through three states. It first has no permissions and
 * belongs to this process; then it gets its owner; then its mode. No process
 * can open it before. It gets the owner and group of the request, even if a
 * set-group-id directory or the file system would choose others. If a step
 * fails, hostfs removes the object again. Who acts as the guest's user instead
 * makes an object in one step, as that user (HostFs.making).
 *
 * Compared with an object that the guest's user would make on the host:
 *  - Owner, group and mode are those of the request. The guest must ask for the
 *    group of a set-group-id directory, as a Linux client does; a directory
 *    made in one becomes one here.
 *  - Default ACLs come out the same (mode_in()). With one the host applies no
 *    umask; whether the guest does is its client's business (acl(5)).
 *  - Quota: the file system charges the inode to this process' user first, and
 *    to the owner once it has that uid. If the owner has no quota left, that
 *    step fails with EDQUOT and nothing stays. If this process' user has none
 *    left, no guest user can make files. Later writes are charged to the owner.
 *  - A security label is the one that this process' objects get there.
 *  - Until the object has its owner, other processes of this process' user
 *    could change its mode. A helper that serves several users should run as a
 *    user that runs nothing else.
 *
 * If another process may write to the directory, a name can come to mean
 * another object at any time. hostfs opens a regular file in the call that
 * makes it, so the descriptor is that file's. For everything else it looks a
 * handle up afterwards, and changes the object only if that looks newly made
 * (is_fresh()). So no other object gets its owner or mode changed.
 */
#include "qemu/osdep.h"
#include "acl.h"
#include "hostfs-internal.h"
#include "special-file.h"
#include <sys/sysmacros.h>
#include <sys/xattr.h>

/* Rounds of "exists" and "does not exist" that may be a coincidence */
#define CREATE_TRIES            16

/* A default ACL of up to 32 entries needs no allocation. */
#define ACL_FEW_SIZE            (4 + 32 * 8)

/*
 * The mode that a new object in @dir gets when open(2) and the like ask for
 * @mode: a default ACL limits it (acl(5), "object creation"). The kernel has
 * put the ACL's entries on the object already. The object was made with no
 * permissions, so the entries of the mask, the owner and others are empty. A
 * chmod(2) with this mode sets them as if the object had been made with @mode.
 */
static int mode_in(const HostFs *hfs, int dir, uint32_t mode, uint32_t *result)
{
    g_autofree uint8_t *large = NULL;
    uint8_t small[ACL_FEW_SIZE];
    HostFdName name;
    uint8_t *acl = small;
    ssize_t size;

    hostfs_fd_name(hfs, dir, name);
    size = getxattr(name, FS_ACL_DEFAULT, small, sizeof(small));
    if (size < 0 && errno == ERANGE) {
        acl = large = g_try_malloc(FS_XATTR_MAX);
        if (!large) {
            return -ENOMEM;
        }
        size = getxattr(name, FS_ACL_DEFAULT, large, FS_XATTR_MAX);
    }
    if (size < 0 && errno != ENODATA && errno != EOPNOTSUPP) {
        return -errno;
    }
    *result = size < 0 ? mode : fs_acl_limit(acl, size, mode);
    return 0;
}

/*
 * Only what the kernel has of the inode: another file system may be mounted on
 * the name, whose server must not be asked.
 */
static int stat_name(const HostFs *hfs, int dir, const char *name,
                     struct statx *stx)
{
    HostAccess access[] = { { .fd = dir, .bits = S_IXUSR } };
    int ret;

    do {
        ret = statx(dir, name, AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT |
                    AT_STATX_DONT_SYNC, STATX_BASIC_STATS, stx) < 0
              ? -errno : 0;
    } while (hostfs_access_again(hfs, &ret, access, 1));
    return ret;
}

/*
 * 0 if @name in @dir is the inode of @fd, -ESTALE if it is another one. Puts
 * the inode's type into @type.
 */
static int check_name(const HostFs *hfs, int dir, const char *name, int fd,
                      mode_t *type)
{
    struct statx named, own;
    int ret;

    if (statx(fd, "", AT_EMPTY_PATH | AT_NO_AUTOMOUNT | AT_STATX_DONT_SYNC,
              STATX_TYPE | STATX_INO, &own) < 0) {
        return -errno;
    }
    *type = own.stx_mode & S_IFMT;
    ret = stat_name(hfs, dir, name, &named);
    if (ret < 0) {
        return ret;
    }
    return own.stx_ino == named.stx_ino &&
           own.stx_dev_major == named.stx_dev_major &&
           own.stx_dev_minor == named.stx_dev_minor ? 0 : -ESTALE;
}

static int remove_name(const HostFs *hfs, int dir, const char *name,
                       bool rmdir)
{
    HostAccess access[] = { { .fd = dir, .bits = S_IWUSR | S_IXUSR } };
    int ret;

    do {
        ret = unlinkat(dir, name, rmdir ? AT_REMOVEDIR : 0) < 0 ? -errno : 0;
    } while (hostfs_access_again(hfs, &ret, access, 1));
    return ret;
}

/* Removes a new object, if @name is still the inode of @fd. */
static void unmake(const HostFs *hfs, int dir, const char *name, int fd)
{
    mode_t type;

    if (check_name(hfs, dir, name, fd, &type) == 0) {
        remove_name(hfs, dir, name, S_ISDIR(type));
    }
}

/* The owner of what this thread makes */
static uint32_t own_uid(const HostFs *hfs)
{
    return hfs->acting_uid ? hfs->acting_uid() : geteuid();
}

/* Whether the file system chooses the object's owner. */
static bool keeps_owner(const HostFs *hfs, const FsMakeArgs *make)
{
    return hfs->making ||
           (make->uid == (uint32_t)-1 && make->gid == (uint32_t)-1);
}

/* Gives a new object in @dir its owner. */
static int give_owner(const HostFs *hfs, int dir, const FsMakeArgs *make,
                      int node)
{
    struct stat st;

    if (hfs->new_owner == HOST_OWNER_SELF || !keeps_owner(hfs, make)) {
        return hostfs_set_owner(hfs, node, make->uid, make->gid);
    }
    if (hfs->new_owner == HOST_OWNER_GIVEN) {
        return hostfs_set_owner(hfs, node, hfs->new_uid, hfs->new_gid);
    }
    return fstat(dir, &st) < 0 ? -errno
           : hostfs_set_owner(hfs, node, st.st_uid, st.st_gid);
}

/* Sets owner and mode of a new object, whose handle is @node. */
static int give(const HostFs *hfs, int dir, const FsMakeArgs *make, int node,
                const FsAttr *fresh)
{
    uint32_t mode;
    int ret;

    if (hfs->making) {
        return 0;
    }
    ret = give_owner(hfs, dir, make, node);
    if (ret < 0 || S_ISLNK(fresh->mode)) {
        return ret;
    }
    ret = mode_in(hfs, dir, make->mode & 07777, &mode);
    if (ret < 0) {
        return ret;
    }
    if (S_ISDIR(fresh->mode)) {
        /* mkdir(2): inherited from the directory above */
        mode |= fresh->mode & S_ISGID;
    }
    ret = hostfs_set_mode(hfs, node, mode);
    if (ret == -EPERM && keeps_owner(hfs, make)) {
        /* We own it, so the file system has no such modes (vfat). */
        return 0;
    }
    return ret;
}

static int check_make(const HostFs *hfs, const FsMakeArgs *make)
{
    int ret = fs_name_check(make->name);

    if (ret < 0) {
        return ret;
    }
    return hfs->readonly ? -EROFS : 0;
}

/*
 * Begins the call that makes an object in @dir, with *@mode; after 0,
 * making_end() comes next. The object gets its own mode later, unless it is
 * made in one step.
 */
static int making_begin(const HostFs *hfs, int dir, const FsMakeArgs *make,
                        uint32_t *mode)
{
    *mode = make->mode & S_IFMT;
    if (!hfs->making) {
        return 0;
    }
    *mode = make->mode;
    return hfs->making->begin(dir, make->gid, mode);
}

static void making_end(const HostFs *hfs)
{
    if (hfs->making) {
        hfs->making->end();
    }
}

static bool makes_regular(const FsMakeArgs *make)
{
    uint32_t type = make->mode & S_IFMT;

    /* mknod(2): no type means a regular file */
    return type == S_IFREG || type == 0;
}

/* Sets O_DIRECT, if the file system has it (fcntl(2)). */
static void set_direct(int fd)
{
    int flags = fcntl(fd, F_GETFL);

    if (flags >= 0) {
        fcntl(fd, F_SETFL, flags | O_DIRECT);
    }
}

/*
 * A new regular file: returns it open, with a handle in *@node. Sets O_DIRECT
 * afterwards, because an open(2) that fails for it may have made the file.
 */
static int make_regular(const HostFs *hfs, int dir, const FsMakeArgs *make,
                        int flags, int *node, FsAttr *attr)
{
    HostAccess access[] = { { .fd = dir, .bits = S_IWUSR | S_IXUSR } };
    HostFdName name;
    uint32_t mode;
    int fd, ret;

    *node = -1;
    ret = making_begin(hfs, dir, make, &mode);
    if (ret < 0) {
        return ret;
    }
    do {
        fd = openat(dir, make->name, (flags & ~O_DIRECT) | O_CREAT | O_EXCL |
                    O_NOFOLLOW | O_CLOEXEC | O_NOCTTY, mode & 07777);
        fd = fd < 0 ? -errno : fd;
    } while (hostfs_access_again(hfs, &fd, access, 1));
    making_end(hfs);
    if (fd < 0) {
        return fd;
    }
    if (flags & O_DIRECT) {
        set_direct(fd);
    }

    *node = openat(AT_FDCWD, hostfs_fd_name(hfs, fd, name),
                   O_PATH | O_CLOEXEC);
    ret = *node < 0 ? -errno : hostfs_getattr(*node, attr);
    if (ret == 0) {
        ret = give(hfs, dir, make, *node, attr);
    }
    if (ret == 0) {
        ret = hostfs_getattr(*node, attr);
    }
    if (ret < 0) {
        unmake(hfs, dir, make->name, fd);
        if (*node >= 0) {
            close(*node);
            *node = -1;
        }
        close(fd);
        return ret;
    }
    return fd;
}

int hostfs_create_unnamed(const HostFs *hfs, int dir, uint32_t mode,
                          int *node)
{
    const FsMakeArgs make = { .mode = S_IFREG | mode, .uid = -1, .gid = -1 };
    HostAccess access[] = { { .fd = dir, .bits = S_IWUSR | S_IXUSR } };
    HostFdName name;
    struct stat st;
    FsAttr attr;
    int fd, ret;

    *node = -1;
    if (hfs->readonly) {
        return -EROFS;
    }
    do {
        fd = openat(dir, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0);
        fd = fd < 0 ? -errno : fd;
    } while (hostfs_access_again(hfs, &fd, access, 1));
    if (fd == -EPERM && fstat(dir, &st) == 0 && st.st_nlink == 0) {
        return -ENOENT;         /* ext4's EPERM for a removed directory */
    }
    if (fd < 0) {
        return fd == -EISDIR ? -EOPNOTSUPP : fd;
    }

    *node = openat(AT_FDCWD, hostfs_fd_name(hfs, fd, name),
                   O_PATH | O_CLOEXEC);
    ret = *node < 0 ? -errno : hostfs_getattr(*node, &attr);
    if (ret == 0) {
        ret = give(hfs, dir, &make, *node, &attr);
    }
    if (ret < 0) {
        if (*node >= 0) {
            close(*node);
            *node = -1;
        }
        close(fd);
        return ret;
    }
    return fd;
}

/* Opens an existing object, if it is a regular file. */
static int open_existing(const HostFs *hfs, int dir, const char *name,
                         int flags, int *node, FsAttr *attr)
{
    int fd = -1;
    int ret;

    *node = hostfs_lookup(hfs, dir, name, 0);
    if (*node < 0) {
        return *node;
    }
    ret = hostfs_getattr(*node, attr);
    if (ret == 0 && S_ISDIR(attr->mode)) {
        ret = -EISDIR;
    }
    if (ret == 0) {
        ret = fd = hostfs_open(hfs, *node, flags);
    }
    if (fd >= 0 && (flags & O_TRUNC)) {
        ret = hostfs_getattr(*node, attr);
    }
    if (ret < 0) {
        if (fd >= 0) {
            close(fd);
        }
        close(*node);
        *node = -1;
        return ret;
    }
    return fd;
}

int hostfs_create(const HostFs *hfs, int dir, const FsMakeArgs *make, int flags,
                  int *node, FsAttr *attr)
{
    int allowed = flags & HOSTFS_OPEN_FLAGS & ~O_NOFOLLOW;
    int tries = CREATE_TRIES;
    int ret;

    *node = -1;
    ret = check_make(hfs, make);
    if (ret < 0) {
        return ret;
    }
    if (!makes_regular(make) || (flags & O_DIRECTORY)) {
        return -EINVAL;
    }

    do {
        ret = make_regular(hfs, dir, make, allowed & ~O_NONBLOCK, node, attr);
        if (ret == -EEXIST && !(flags & O_EXCL)) {
            ret = open_existing(hfs, dir, make->name, allowed, node, attr);
        } else {
            break;
        }
        /* -ENOENT: another process has just removed it, so make it. */
    } while (ret == -ENOENT && --tries);
    return ret;
}

/* One try of make_bare() */
static int make_once(int dir, const FsMakeArgs *make, uint32_t mode)
{
    int ret;

    switch (mode & S_IFMT) {
    case S_IFDIR:
        ret = mkdirat(dir, make->name, mode & 07777);
        break;
    case S_IFLNK:
        if (!make->target) {
            return -EINVAL;
        }
        ret = symlinkat(make->target, dir, make->name);
        break;
    case S_IFCHR:
    case S_IFBLK:
        ret = mknodat(dir, make->name, mode, make->rdev);
        break;
    case S_IFIFO:
    case S_IFSOCK:
        ret = mknodat(dir, make->name, mode, 0);
        break;
    default:
        return -EINVAL;
    }
    return ret < 0 ? -errno : 0;
}

/*
 * Makes an object that is no regular file, with no permissions unless it is
 * made in one step.
 */
static int make_bare(const HostFs *hfs, int dir, const FsMakeArgs *make)
{
    HostAccess access[] = { { .fd = dir, .bits = S_IWUSR | S_IXUSR } };
    uint32_t mode;
    int ret = making_begin(hfs, dir, make, &mode);

    if (ret < 0) {
        return ret;
    }
    do {
        ret = make_once(dir, make, mode);
    } while (hostfs_access_again(hfs, &ret, access, 1));
    making_end(hfs);
    return ret;
}

/*
 * Whether an inode is as make_bare() left it. On file systems that keep neither
 * owner nor mode, such as vfat, no inode is.
 */
static bool is_fresh(const HostFs *hfs, const FsMakeArgs *make,
                     const FsAttr *attr)
{
    uint32_t perm = S_ISLNK(attr->mode) ? 0 : attr->mode & 0777;

    return (attr->mode & S_IFMT) == (make->mode & S_IFMT) &&
           (perm == 0 || hfs->making) && attr->uid == own_uid(hfs) &&
           (S_ISDIR(attr->mode) || attr->nlink == 1);
}

/*
 * Removes the object that make_bare() made if it is impossible to get a handle
 * of it or to look at that: too many descriptors are open, or a file server
 * failed.
 */
static void unmake_unseen(const HostFs *hfs, int dir, const FsMakeArgs *make)
{
    struct statx stx;

    if (stat_name(hfs, dir, make->name, &stx) == 0) {
        FsAttr attr = {
            .mode = stx.stx_mode, .uid = stx.stx_uid, .nlink = stx.stx_nlink,
        };

        if (is_fresh(hfs, make, &attr)) {
            remove_name(hfs, dir, make->name, S_ISDIR(stx.stx_mode));
        }
    }
}

/* Whether an inode needs no change, or none that is required. */
static bool is_good_enough(const HostFs *hfs, const FsMakeArgs *make,
                           const FsAttr *attr)
{
    return (attr->mode & S_IFMT) == (make->mode & S_IFMT) &&
           (hfs->ignore_chown_failure || keeps_owner(hfs, make) ||
            (attr->uid == make->uid && attr->gid == make->gid));
}

/*
 * The view and the owner of a file that stands for a device. -EPERM if the file
 * is none afterwards, as mknod(2) if the file system has no such nodes.
 */
static int give_device(const HostFs *hfs, int dir, const FsMakeArgs *make,
                       int node)
{
    uint32_t mode;
    int ret = mode_in(hfs, dir, make->mode & 07777, &mode);

    if (ret == 0) {
        ret = special_file_dress(hfs, node, make, mode);
    }
    if (ret == 0) {
        ret = hostfs_set_owner(hfs, node, make->uid, make->gid);
    }
    if (ret == 0) {
        ret = special_file_is(hfs, node);
    }
    return ret < 0 ? ret : ret > 0 ? 0 : -EPERM;
}

/* Where no file can be without a name, it is an empty file for a moment. */
static int make_device_by_name(const HostFs *hfs, int dir,
                               const FsMakeArgs *make, int *node)
{
    const FsMakeArgs file = {
        .name = make->name, .mode = SPECIAL_FILE_MODE, .uid = -1, .gid = -1,
    };
    FsAttr attr;
    int ret;
    int fd = make_regular(hfs, dir, &file, O_WRONLY, node, &attr);

    if (fd < 0) {
        return fd;
    }
    ret = give_device(hfs, dir, make, *node);
    if (ret < 0) {
        unmake(hfs, dir, make->name, fd);
    }
    close(fd);
    return ret;
}

/* Makes a file that stands for a device (special-file.h). */
static int make_device(const HostFs *hfs, int dir, const FsMakeArgs *make,
                       FsAttr *attr)
{
    int node = -1;
    bool unnamed = true;
    int ret;
    int fd = hostfs_create_unnamed(hfs, dir, SPECIAL_FILE_MODE & 07777,
                                   &node);

    if (fd < 0) {
        ret = fd;
        unnamed = fd != -EOPNOTSUPP;
    } else {
        ret = give_device(hfs, dir, make, node);
        if (ret == 0) {
            ret = hostfs_link(hfs, node, dir, make->name);
            unnamed = !hostfs_has_no_links(ret);
        }
        close(fd);
    }
    if (!unnamed) {
        if (node >= 0) {
            close(node);
        }
        ret = make_device_by_name(hfs, dir, make, &node);
    }
    if (ret == 0) {
        ret = hostfs_view(hfs, node, attr);
        if (ret < 0) {
            unmake(hfs, dir, make->name, node);
        } else if ((attr->mode & S_IFMT) != (make->mode & S_IFMT)) {
            ret = -ESTALE;      /* a host user has changed it since */
        }
    }
    if (node >= 0) {
        close(node);
    }
    return ret;
}

int hostfs_make(const HostFs *hfs, int dir, const FsMakeArgs *make,
                FsAttr *attr)
{
    int fd, node, ret;

    ret = check_make(hfs, make);
    if (ret < 0) {
        return ret;
    }
    if (makes_regular(make)) {
        fd = make_regular(hfs, dir, make, O_WRONLY, &node, attr);
        if (fd < 0) {
            return fd;
        }
        close(node);
        close(fd);
        return 0;
    }

    if (hfs->maps_devices && (S_ISCHR(make->mode) || S_ISBLK(make->mode))) {
        return make_device(hfs, dir, make, attr);
    }
    ret = make_bare(hfs, dir, make);
    if (ret < 0) {
        return ret;
    }
    node = hostfs_lookup(hfs, dir, make->name, 0);
    if (node < 0) {
        unmake_unseen(hfs, dir, make);
        return node;
    }
    ret = hostfs_getattr(node, attr);
    if (ret < 0) {
        unmake_unseen(hfs, dir, make);
    } else if (is_fresh(hfs, make, attr)) {
        ret = give(hfs, dir, make, node, attr);
        if (ret == 0) {
            ret = hostfs_getattr(node, attr);
        }
        if (ret < 0) {
            unmake(hfs, dir, make->name, node);
        }
    } else if (!is_good_enough(hfs, make, attr)) {
        ret = -ESTALE;
    }
    close(node);
    return ret;
}

/*
 * linkat(2) with AT_EMPTY_PATH would need CAP_DAC_READ_SEARCH; the magic link
 * does not. Following it does not follow a node that is a symbolic link. An
 * inode without a name left gives ENOENT.
 */
int hostfs_link(const HostFs *hfs, int node, int dir, const char *name)
{
    HostAccess access[] = { { .fd = dir, .bits = S_IWUSR | S_IXUSR } };
    HostFdName link;
    int ret = fs_name_check(name);

    if (ret < 0) {
        return ret;
    }
    if (hfs->readonly) {
        return -EROFS;
    }
    hostfs_fd_name(hfs, node, link);
    do {
        ret = linkat(AT_FDCWD, link, dir, name, AT_SYMLINK_FOLLOW) < 0 ?
              -errno : 0;
    } while (hostfs_access_again(hfs, &ret, access, 1));
    return ret;
}

/*
 * Linux has no call that removes a name only while it means a certain inode,
 * so @expect protects against earlier changes, not against concurrent ones.
 */
int hostfs_unlink(const HostFs *hfs, int dir, const char *name, bool rmdir,
                  int expect)
{
    mode_t type;
    int ret = fs_name_check(name);

    if (ret < 0) {
        return ret;
    }
    if (hfs->readonly) {
        return -EROFS;
    }
    if (expect >= 0) {
        ret = check_name(hfs, dir, name, expect, &type);
        if (ret < 0) {
            return ret;
        }
    }
    return remove_name(hfs, dir, name, rmdir);
}

void hostfs_unmake(const HostFs *hfs, int dir, const char *name,
                   const FsAttr *made)
{
    struct statx stx;

    if (stat_name(hfs, dir, name, &stx) == 0 && stx.stx_ino == made->ino &&
        makedev(stx.stx_dev_major, stx.stx_dev_minor) == made->dev) {
        remove_name(hfs, dir, name, S_ISDIR(stx.stx_mode));
    }
}
