/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Regular files of the host that stand for devices: see special-file.h.
 */
#include "qemu/osdep.h"
#include "special-file.h"
#include "view.h"

/* What the attributes have of a device */
#define DEVICE_VIEW     (FS_VIEW_MODE | FS_VIEW_RDEV)

int special_file_see(const HostFs *hfs, int node, FsAttr *attr)
{
    uint32_t type;
    FsView view;
    int ret;

    if (!hfs->maps_devices || !special_file_maybe(attr->mode, attr->size)) {
        return 0;
    }
    ret = fs_view_get(hfs, node, attr->mode, DEVICE_VIEW, &view);
    type = ret < 0 ? 0 : fs_view_type(&view, attr->mode);
    if (type == S_IFCHR || type == S_IFBLK) {
        fs_view_apply(&view, attr);
    }
    return ret;
}

int special_file_is(const HostFs *hfs, int node)
{
    FsAttr attr = { };
    struct stat st;
    int ret;

    if (!hfs->maps_devices) {
        return 0;
    }
    if (fstat(node, &st) < 0) {
        return -errno;
    }
    attr.mode = st.st_mode;
    attr.size = st.st_size;
    ret = special_file_see(hfs, node, &attr);
    return ret < 0 ? ret : S_ISCHR(attr.mode) || S_ISBLK(attr.mode);
}

unsigned char special_file_entry_type(int dir, const char *name,
                                      unsigned char type)
{
    struct statx stx;

    if (type != DT_REG ||
        (statx(dir, name, AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT |
               AT_STATX_DONT_SYNC, STATX_TYPE | STATX_MODE | STATX_SIZE,
               &stx) == 0 &&
         !special_file_maybe(stx.stx_mode, stx.stx_size))) {
        return type;
    }
    return DT_UNKNOWN;
}

int special_file_dress(const HostFs *hfs, int node, const FsMakeArgs *make,
                       uint32_t mode)
{
    FsView view;

    fs_view_of_new(&view, make);
    view.valid = DEVICE_VIEW;
    view.mode = (make->mode & S_IFMT) | (mode & 07777);
    return fs_view_put(hfs, node, &view);
}

int special_file_set_mode(const HostFs *hfs, int node, const FsSetAttr *set,
                          const FsAttr *attr)
{
    FsView change;

    fs_view_change(&change, set, attr);
    change.valid &= FS_VIEW_MODE;
    return fs_view_put(hfs, node, &change);
}
