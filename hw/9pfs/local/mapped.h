/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The mapped security models share this: the guest's view of a file, which is
 * kept beside the file, and the host's files that stand for the guest's.
 *
 * On the host there are only directories and regular files, which belong to
 * QEMU. A regular file stands for the guest's regular file, or for a symbolic
 * link (whose target is its content), a fifo, a socket or a device. Owner,
 * group, mode with type, and device number are the view's; all else (times,
 * size, links, content) is the host file's own. What the view lacks is the
 * host's, too: a file that a host user puts into the share shows as it is.
 */
#ifndef HW_9PFS_LOCAL_MAPPED_H
#define HW_9PFS_LOCAL_MAPPED_H

#include "fsdev/shared/acl.h"
#include "model.h"

/* LocalModel.open and .close: LocalHost.priv is a lock of the export. */
int local_mapped_open(LocalHost *lh);
void local_mapped_close(LocalHost *lh);
GRWLock *local_mapped_lock(const LocalHost *lh);

/* LocalView.valid */
#define LOCAL_VIEW_UID          (1u << 0)
#define LOCAL_VIEW_GID          (1u << 1)
#define LOCAL_VIEW_MODE         (1u << 2)
#define LOCAL_VIEW_RDEV         (1u << 3)

typedef struct LocalView {
    uint32_t valid;             /* LOCAL_VIEW_*; the others are undefined */
    uint32_t uid;
    uint32_t gid;
    uint32_t mode;              /* with type bits, as st_mode */
    uint64_t rdev;              /* as st_rdev */
} LocalView;

/*
 * The type that the guest sees of a host file of mode @host. A view's type
 * counts only where the host has a regular file, and cannot make a directory
 * of it.
 */
uint32_t local_view_type(const LocalView *view, uint32_t host);

/* Turns the host's attributes into those that the guest sees. */
void local_view_apply(const LocalView *view, FsAttr *attr);

/* The view of a new object. -1 as an id leaves that to the host. */
void local_view_of_new(LocalView *view, const FsMakeArgs *make);

/*
 * The effect of a change of owner, group and mode on the view of a file that
 * the guest sees as @attr: *@change is valid where the view changes. A new
 * owner or group clears the set-id bits as in chown(2), unless @set gives a
 * mode.
 */
void local_view_change(LocalView *change, const FsSetAttr *set,
                       const FsAttr *attr);

/*
 * Around that, the parts of a change that are the host file's own. The first
 * checks all of it against what the guest sees and sets the size; the second
 * sets the times, and where there are none to set moves the ctime, unless
 * something else did (@moved). Errors as hostfs_setattr().
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
 * Makes the host's part of a new object: a directory, or a regular file that
 * holds the target if it is a link. Returns a handle, and unless it is a
 * directory (or @fd is NULL) the open file in *@fd. -EEXIST if there is
 * something already.
 *
 * With @unnamed, an object whose type the guest must see as another one is made
 * without a name, if the file system can do that, so that no process sees the
 * host's type; *@unnamed says so. The caller names it (hostfs_link()) once it
 * has its view.
 */
int local_mapped_make_host(const LocalHost *lh, int dir, const FsMakeArgs *make,
                           int flags, int *fd, bool *unnamed);

/* Takes it back, unless the name means something else by now. */
void local_mapped_unmake_host(const LocalHost *lh, int dir,
                              const FsMakeArgs *make, int node);

/* LocalModel.create and .make, by means of LocalModel.make_new */
int local_mapped_create(const LocalHost *lh, int dir, const FsMakeArgs *make,
                        int flags, int *node, FsAttr *attr);
int local_mapped_make(const LocalHost *lh, int dir, const FsMakeArgs *make,
                      FsAttr *attr);

/*
 * Extended attributes under which the models keep the guest's view and ACLs:
 * never the guest's to name.
 */
#define LOCAL_MAPPED_PREFIX     "user.virtfs."

/*
 * The list of a host file's attributes without those, and without the host's
 * own ACLs, into @buf as hostfs_getxattr(). With @acls it has the guest's ACLs
 * (LOCAL_MAPPED_PREFIX and the ACL's name) by the guest's name.
 */
ssize_t local_mapped_list(const LocalHost *lh, int node, bool acls,
                          void *buf, size_t size);

#endif /* HW_9PFS_LOCAL_MAPPED_H */
