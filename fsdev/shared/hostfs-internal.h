/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Functions that the files of hostfs share among themselves.
 */
#ifndef FSDEV_SHARED_HOSTFS_INTERNAL_H
#define FSDEV_SHARED_HOSTFS_INTERNAL_H

#include "claims.h"
#include "hostfs.h"

/* The name of a descriptor's magic link: HostFs.fd_prefix and a number */
#define HOSTFS_PREFIX_MAX       32
typedef char HostFdName[HOSTFS_PREFIX_MAX + 12];

/*
 * Writes the name of @fd's magic link to @name and returns it. The caller must
 * look it up from AT_FDCWD and follow it. It leads to the inode itself: if the
 * inode is a symbolic link, the kernel does not follow that one.
 */
static inline const char *hostfs_fd_name(const HostFs *hfs, int fd,
                                         HostFdName name)
{
    snprintf(name, sizeof(HostFdName), "%s%d", hfs->fd_prefix, fd);
    return name;
}

#define HOSTFS_HANDLE_FLAGS     (O_PATH | O_NOFOLLOW | O_CLOEXEC)

/*
 * A handle of the inode that @name, a single component other than "..", means
 * in @dir. If it is a symbolic link, the handle is that of the link. @resolve
 * is for openat2(2), besides what is always there.
 */
int hostfs_lookup(const HostFs *hfs, int dir, const char *name,
                  uint64_t resolve);

/* The same, without a second try */
int hostfs_open_handle(int dir, const char *name, uint64_t resolve);

/* hostfs_getattr() with more flags for statx(2) */
int hostfs_getattr_flags(int fd, int flags, FsAttr *attr);

/*
 * Sets owner and group of a handle; -1 leaves one as it is (chown(2)). Follows
 * HostFs.ignore_chown_failure.
 */
int hostfs_set_owner(const HostFs *hfs, int node, uint32_t uid, uint32_t gid);

/* Sets the permission bits (07777) of a handle, which must be no symlink. */
int hostfs_set_mode(const HostFs *hfs, int node, uint32_t mode);

/*
 * hostfs_getxattr() and hostfs_setxattr() of names that do not come from a
 * peer, so HostFs.guest_xattrs does not matter
 */
ssize_t hostfs_get_any_xattr(const HostFs *hfs, int node, const char *name,
                             void *buf, size_t size);
int hostfs_set_any_xattr(const HostFs *hfs, int node, const char *name,
                         const void *value, size_t size, int flags);

/*
 * Around a change of a file's content that must not take its set-id bits away,
 * and around changes of its mode and owner. With HostFs.loses_set_id or making,
 * one of these at a time works on the inode of @node. With loses_set_id,
 * hostfs_set_id_keep() puts bits back that have gone since the begin; call it
 * only after a change of content.
 */
typedef struct HostSetId {
    bool held;
    mode_t mode;
    FsClaim claim;
} HostSetId;

int hostfs_set_id_begin(const HostFs *hfs, int node, HostSetId *s);
void hostfs_set_id_keep(const HostFs *hfs, int node, const HostSetId *s);
void hostfs_set_id_end(HostSetId *s);

/*
 * For HostFs.own_access (hostfs-access.c): an inode that an operation acts on,
 * and the bits of S_IRWXU that it needs there.
 */
typedef struct HostAccess {
    int fd;                     /* any descriptor of the inode, or -1 */
    mode_t bits;
    bool held;                  /* in the first element: bits are added now */
    /* Of hostfs-access.c alone */
    bool changed;               /* the inode has the added bits */
    mode_t added;               /* bits to hide for now */
    FsClaim claim;
} HostAccess;

/*
 * For the loop around an operation that returned @ret: whether to repeat it,
 * because it has the permissions now. If it got some, the next call takes them
 * back. With HostFs.at_once, -EACCES becomes -EAGAIN.
 *
 *     HostAccess access[] = { { .fd = dir, .bits = S_IXUSR } };
 *     do {
 *         ret = operation(dir);
 *     } while (hostfs_access_again(hfs, &ret, access, 1));
 *
 * The loop may make system calls, but not call other functions of hostfs.
 */
bool hostfs_access_retry(const HostFs *hfs, int ret, HostAccess *access,
                         unsigned n);

static inline bool hostfs_access_again(const HostFs *hfs, int *ret,
                                       HostAccess *access, unsigned n)
{
    if (hfs->at_once && *ret == -EACCES) {
        *ret = -EAGAIN;
        return false;
    }
    return hfs->own_access && (*ret == -EACCES || access->held) &&
           hostfs_access_retry(hfs, *ret, access, n);
}

/* Around a lasting change of the mode of @access's inode; bits do not matter */
void hostfs_access_lock(const HostFs *hfs, HostAccess *access);
void hostfs_access_unlock(const HostFs *hfs, HostAccess *access);

/*
 * After reading attributes: hides the bits in attr->mode that an operation has
 * added for now. @number is hostfs_access_number from before the reading. False
 * if it has changed, so the caller must read them again.
 */
extern int hostfs_access_number;
bool hostfs_access_hide_slow(int number, FsAttr *attr);

static inline bool hostfs_access_hide(int number, FsAttr *attr)
{
    return (!(number & 1) &&
            g_atomic_int_get(&hostfs_access_number) == number) ||
           hostfs_access_hide_slow(number, attr);
}

#endif /* FSDEV_SHARED_HOSTFS_INTERNAL_H */
