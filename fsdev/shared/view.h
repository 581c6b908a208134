/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The guest's view of a file, where it differs from what the host has: owner,
 * group, mode with type, and device number. The local driver's mapped models
 * keep all of it beside the file; the helper keeps a device's
 * (special-file.h). Where a view lacks a value, the host's counts.
 *
 * In extended attributes of the host file, it is
 *
 *     user.virtfs.uid     u32     all little endian
 *     user.virtfs.gid     u32
 *     user.virtfs.mode    u32     with type bits
 *     user.virtfs.rdev    u64     device nodes
 *
 * The attributes are independent: if one is missing or has the wrong size, or
 * the host does not let this process read it, the view lacks the value; but see
 * HostFs.strict_views.
 */
#ifndef FSDEV_SHARED_VIEW_H
#define FSDEV_SHARED_VIEW_H

#include "hostfs.h"
#include "xattr-names.h"

#define FS_XATTR_UID       FS_XATTR_VIEW "uid"
#define FS_XATTR_GID       FS_XATTR_VIEW "gid"
#define FS_XATTR_MODE      FS_XATTR_VIEW "mode"
#define FS_XATTR_RDEV      FS_XATTR_VIEW "rdev"

/* FsView.valid */
#define FS_VIEW_UID             (1u << 0)
#define FS_VIEW_GID             (1u << 1)
#define FS_VIEW_MODE            (1u << 2)
#define FS_VIEW_RDEV            (1u << 3)

typedef struct FsView {
    uint32_t valid;             /* FS_VIEW_*; other fields are undefined */
    uint32_t uid;
    uint32_t gid;
    uint32_t mode;              /* with type bits, as st_mode */
    uint64_t rdev;              /* as st_rdev */
} FsView;

/*
 * The type that the guest sees for a host file of mode @host. A view's type
 * counts only where the host has a regular file, and cannot turn that into a
 * directory.
 */
uint32_t fs_view_type(const FsView *view, uint32_t host);

/* Turns the host's attributes into those that the guest sees. */
void fs_view_apply(const FsView *view, FsAttr *attr);

/* The view of a new object. An id of -1 leaves the id to the host. */
void fs_view_of_new(FsView *view, const FsMakeArgs *make);

/*
 * Puts the effect of @set's owner, group and mode on the view into *@change,
 * for a file that the guest sees as @attr. The fields that change are valid. A
 * new owner or group clears the set-id bits as in chown(2), unless @set has a
 * mode.
 */
void fs_view_change(FsView *change, const FsSetAttr *set, const FsAttr *attr);

/*
 * Reads the view in the attributes of @node, whose mode on the host is @mode:
 * those values of @wanted (FS_VIEW_*) that it has. FS_VIEW_RDEV is read only
 * for devices. May block. Returns 0 or -errno.
 */
int fs_view_get(const HostFs *hfs, int node, uint32_t mode, uint32_t wanted,
                FsView *view);

/*
 * Writes the valid part of @view, the mode last: its type makes a device of the
 * file.
 */
int fs_view_put(const HostFs *hfs, int node, const FsView *view);

#endif /* FSDEV_SHARED_VIEW_H */
