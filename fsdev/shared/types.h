/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * File system objects in the types that the 9p server, its drivers, the proxy
 * channel and the helper share.
 *
 * User and group ids in these structures are the guest's, unless a function
 * says otherwise. Errors are negative errno values throughout.
 */
#ifndef FSDEV_SHARED_TYPES_H
#define FSDEV_SHARED_TYPES_H

#include "qemu/osdep.h"
#include <sys/stat.h>

/* FsAttr.valid: members that some host file systems do not have */
#define FS_ATTR_BTIME           (1u << 0)
#define FS_ATTR_GEN             (1u << 1)
#define FS_ATTR_DATA_VERSION    (1u << 2)

/* Attributes of an inode, as statx(2) reports them */
typedef struct FsAttr {
    uint32_t valid;             /* FS_ATTR_*; the others are always valid */
    uint32_t mode;              /* type and permission bits, as st_mode */
    uint64_t dev;               /* host device, as st_dev */
    uint64_t ino;
    uint64_t nlink;
    uint32_t gid;
    uint32_t uid;
    uint64_t rdev;              /* as st_rdev, for device nodes */
    uint64_t size;              /* bytes */
    uint64_t blksize;           /* bytes, best size for I/O */
    uint64_t blocks;            /* of 512 bytes */
    struct timespec atime;
    struct timespec mtime;
    struct timespec ctime;
    struct timespec btime;
    uint64_t gen;
    uint64_t data_version;
} FsAttr;

/*
 * FsSetAttr.valid: the changes to make. The numbers are those of Tsetattr's
 * valid mask (9P2000.L), so the server passes them on.
 */
#define FS_SET_MODE             0x00000001u
#define FS_SET_UID              0x00000002u
#define FS_SET_GID              0x00000004u
#define FS_SET_SIZE             0x00000008u
#define FS_SET_ATIME            0x00000010u     /* to now; see ATIME_SET */
#define FS_SET_MTIME            0x00000020u
#define FS_SET_CTIME            0x00000040u     /* to now */
#define FS_SET_ATIME_SET        0x00000080u     /* ATIME to @atime instead */
#define FS_SET_MTIME_SET        0x00000100u
#define FS_SET_ALL              0x000001ffu

/* A whole change of attributes, made in one driver operation */
typedef struct FsSetAttr {
    uint32_t valid;             /* FS_SET_* */
    uint32_t mode;              /* permission bits, 07777 */
    uint32_t uid;
    uint32_t gid;
    uint64_t size;
    struct timespec atime;
    struct timespec mtime;
} FsSetAttr;

/*
 * What is left of the change @valid after ftruncate(2), which moves mtime and
 * ctime even if the size stays. Who is not the owner may move atime and mtime
 * together, and neither of them alone (utimensat(2)).
 */
static inline uint32_t fs_set_after_truncate(uint32_t valid)
{
    valid &= ~(FS_SET_SIZE | FS_SET_CTIME);
    return valid & (FS_SET_MTIME_SET | FS_SET_ATIME) ? valid
                                                     : valid & ~FS_SET_MTIME;
}

/* A new object: its name, type and owner */
typedef struct FsMakeArgs {
    const char *name;           /* in its directory; see fs_name_check() */
    uint32_t mode;              /* type (S_IFMT) and permission bits */
    uint32_t uid;
    uint32_t gid;
    uint64_t rdev;              /* S_IFCHR and S_IFBLK */
    const char *target;         /* S_IFLNK */
} FsMakeArgs;

typedef struct FsStatfs {
    uint64_t type;              /* magic number, as statfs(2) */
    uint64_t bsize;
    uint64_t blocks;
    uint64_t bfree;
    uint64_t bavail;
    uint64_t files;
    uint64_t ffree;
    uint64_t fsid;
    uint64_t namelen;
} FsStatfs;

/* A directory entry on its way to the caller */
typedef struct FsDirent {
    uint64_t ino;
    uint64_t next;              /* offset to resume after this entry */
    unsigned char type;         /* DT_* */
    const char *name;
    size_t namelen;
} FsDirent;

/* Names in one walk (MAXWELEM of 9P) */
#define FS_WALK_MAX             16

/* Linux' limit for a value and for the list of names (xattr(7)) */
#define FS_XATTR_MAX            65536

/*
 * Checks that @name may be the name of a directory entry: not empty, not "." or
 * "..", no slash, at most NAME_MAX bytes. Returns 0, -EINVAL (for "." and "..",
 * as rmdir(2) does), -ENOENT (empty, or with a slash) or -ENAMETOOLONG.
 */
static inline int fs_name_check(const char *name)
{
    size_t len = strlen(name);

    if (len == 0 || strchr(name, '/')) {
        return -ENOENT;
    }
    if (name[0] == '.' && (len == 1 || (len == 2 && name[1] == '.'))) {
        return -EINVAL;
    }
    return len > NAME_MAX ? -ENAMETOOLONG : 0;
}

/* Whether the type bits of @mode are those of a known type. */
static inline bool fs_mode_is_valid(uint32_t mode)
{
    switch (mode & S_IFMT) {
    case S_IFREG:
    case S_IFDIR:
    case S_IFLNK:
    case S_IFIFO:
    case S_IFSOCK:
    case S_IFCHR:
    case S_IFBLK:
        return true;
    default:
        return false;
    }
}

#endif /* FSDEV_SHARED_TYPES_H */
