/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The guest's view of a file: see view.h.
 */
#include "qemu/osdep.h"
#include "view.h"

#define NO_ID                   ((uint32_t)-1)

uint32_t fs_view_type(const FsView *view, uint32_t host)
{
    if (!(view->valid & FS_VIEW_MODE) || !S_ISREG(host)) {
        return host & S_IFMT;
    }
    switch (view->mode & S_IFMT) {
    case S_IFLNK:
    case S_IFIFO:
    case S_IFSOCK:
    case S_IFCHR:
    case S_IFBLK:
        return view->mode & S_IFMT;
    default:
        return S_IFREG;
    }
}

void fs_view_apply(const FsView *view, FsAttr *attr)
{
    uint32_t type = fs_view_type(view, attr->mode);

    if (view->valid & FS_VIEW_UID) {
        attr->uid = view->uid;
    }
    if (view->valid & FS_VIEW_GID) {
        attr->gid = view->gid;
    }
    if (type != (attr->mode & S_IFMT) && type != S_IFLNK) {
        /* A device or fifo has no size, whatever the host file contains. */
        attr->size = 0;
        attr->blocks = 0;
    }
    if ((type == S_IFCHR || type == S_IFBLK) && S_ISREG(attr->mode)) {
        attr->rdev = view->valid & FS_VIEW_RDEV ? view->rdev : 0;
    }
    if (view->valid & FS_VIEW_MODE) {
        attr->mode = type | (view->mode & 07777);
    }
}

void fs_view_of_new(FsView *view, const FsMakeArgs *make)
{
    uint32_t type = make->mode & S_IFMT;

    *view = (FsView) {
        .valid = FS_VIEW_MODE,
        .uid = make->uid,
        .gid = make->gid,
        /* mknod(2): no type means a regular file */
        .mode = (type ? type : S_IFREG) | (make->mode & 07777),
    };
    if (type == S_IFLNK) {
        view->mode = S_IFLNK | 0777;
    }
    if (make->uid != NO_ID) {
        view->valid |= FS_VIEW_UID;
    }
    if (make->gid != NO_ID) {
        view->valid |= FS_VIEW_GID;
    }
    if (type == S_IFCHR || type == S_IFBLK) {
        view->valid |= FS_VIEW_RDEV;
        view->rdev = make->rdev;
    }
}

void fs_view_change(FsView *change, const FsSetAttr *set,
                    const FsAttr *attr)
{
    uint32_t mode = attr->mode;

    *change = (FsView) { .uid = set->uid, .gid = set->gid };
    if ((set->valid & FS_SET_UID) && set->uid != NO_ID) {
        change->valid |= FS_VIEW_UID;
    }
    if ((set->valid & FS_SET_GID) && set->gid != NO_ID) {
        change->valid |= FS_VIEW_GID;
    }

    if (set->valid & FS_SET_MODE) {
        mode = (mode & S_IFMT) | (set->mode & 07777);
        change->valid |= FS_VIEW_MODE;
    } else if ((set->valid & (FS_SET_UID | FS_SET_GID)) && !S_ISDIR(mode)) {
        /* chown(2): without S_IXGRP, S_ISGID is no set-group-id bit */
        mode &= ~(S_ISUID | (mode & S_IXGRP ? S_ISGID : 0));
        if (mode != attr->mode) {
            change->valid |= FS_VIEW_MODE;
        }
    }
    change->mode = mode;
}
