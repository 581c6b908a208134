/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The common part of the mapped security models: the guest's view of a file,
 * which the model keeps beside the file, and the host's files that stand for
 * the guest's. All of it may block; any thread.
 *
 * On the host there are only directories and regular files, which belong to
 * QEMU. A regular file stands for the guest's regular file, or for a symbolic
 * link (whose target is its content), a fifo, a socket or a device. Owner,
 * group, mode with type, and device number come from the view; all else (times,
 * size, links, content) is the host file's own. Where the view lacks a value,
 * the host file's counts: the guest sees a file that a host user puts into the
 * share as it is on the host.
 */
#ifndef HW_9PFS_LOCAL_MAPPED_H
#define HW_9PFS_LOCAL_MAPPED_H

#include "fsdev/shared/acl.h"
#include "fsdev/shared/claims.h"
#include "fsdev/shared/view.h"
#include "fsdev/shared/xattr-names.h"
#include "model.h"

/*
 * The inodes of which a function reads one part of a view to write another, or
 * brings names and views up to date. A call on a file system may wait, so only
 * work on the same inodes waits for it: the function claims them all at once.
 * Claims are not for one export alone, as exports may overlap.
 */
typedef struct LocalKeys {
    FsClaim key[4];
    unsigned n;
} LocalKeys;

/* Others may have the inode at the same time if all have it @shared. */
void local_keys_add(LocalKeys *k, uint64_t dev, uint64_t ino, bool shared);
int local_keys_add_handle(LocalKeys *k, int fd, bool shared);

/* Waits for another thread that has one of the inodes. */
void local_keys_claim(LocalKeys *k);
void local_keys_drop(LocalKeys *k);

/*
 * The parts of @set that change the host file itself. Call the first before the
 * view changes, the second afterwards. The first checks @set against @attr, the
 * attributes that the guest sees, sets the size, and lets a new owner or group
 * take file capabilities away. The second sets the times; if @set has none, it
 * moves the ctime, unless a change already did (@moved). Errors as
 * hostfs_setattr().
 */
int local_mapped_set_size(const LocalHost *lh, const LocalInode *inode,
                          int file, const FsSetAttr *set,
                          const FsAttr *attr);
int local_mapped_set_times(const LocalHost *lh, const LocalInode *inode,
                           const FsSetAttr *set, bool moved);

/* LocalModel.readlink: the content of a file that the view calls a link */
int local_mapped_readlink(const LocalHost *lh, const LocalInode *inode,
                          char *buf, size_t size);

/*
 * Makes the host's part of a new object: a directory, or a regular file, which
 * holds the target if the object is a link. Returns an O_PATH descriptor, and
 * unless it is a directory (or @fd is NULL) the open file in *@fd. -EEXIST if
 * the name exists already.
 *
 * With @unnamed, an object whose type differs between host and guest gets no
 * name yet, if the file system can do that, so that no process sees the host's
 * type; *@unnamed is true then. The caller names it (hostfs_link()) once it has
 * its view.
 */
int local_mapped_make_host(const LocalHost *lh, int dir, const FsMakeArgs *make,
                           int flags, int *fd, bool *unnamed);

/* Removes the object again, unless the name now means another one. */
void local_mapped_unmake_host(const LocalHost *lh, int dir,
                              const FsMakeArgs *make, int node);

/* LocalModel.create and .make, by means of LocalModel.make_new */
int local_mapped_create(const LocalHost *lh, int dir, const FsMakeArgs *make,
                        int flags, int *node, FsAttr *attr);
int local_mapped_make(const LocalHost *lh, int dir, const FsMakeArgs *make,
                      FsAttr *attr);

/*
 * Puts the names of a host file's extended attributes into @buf, as
 * hostfs_getxattr() does, without those of FS_XATTR_VIEW and without the host's
 * own ACLs. With @acls, the guest's ACLs (FS_XATTR_VIEW and the ACL's name) are
 * in the list under the guest's names.
 */
ssize_t local_mapped_list(const LocalHost *lh, int node, bool acls,
                          void *buf, size_t size);

#endif /* HW_9PFS_LOCAL_MAPPED_H */
