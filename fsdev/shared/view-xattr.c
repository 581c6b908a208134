/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The guest's view of a file in the extended attributes of the host file: see
 * view.h.
 */
#include "qemu/osdep.h"
#include "hostfs-internal.h"
#include "view.h"

/* The longest value */
#define VALUE_MAX       8

/*
 * What it means that the host does not let this process read an attribute: 0,
 * or -EACCES if that counts. Without an attribute of that name the answer would
 * be the same, but the list tells.
 */
static int check_denied(const HostFs *hfs, int node, const char *wanted)
{
    g_autofree char *names = NULL;
    ssize_t len;
    char *name;

    if (!hfs->strict_views) {
        return 0;
    }
    names = g_malloc(FS_XATTR_MAX + 1);
    len = hostfs_get_any_xattr(hfs, node, NULL, names, FS_XATTR_MAX);
    if (len < 0) {
        return len;
    }
    names[len] = '\0';
    for (name = names; name < names + len; name += strlen(name) + 1) {
        if (g_str_equal(name, wanted)) {
            return -EACCES;
        }
    }
    return 0;
}

/* 1 if the attribute is readable and has @size bytes, 0 if not. */
static int get_number(const HostFs *hfs, int node, const char *name,
                      uint64_t *value, size_t size)
{
    uint8_t buf[VALUE_MAX];
    ssize_t len = hostfs_get_any_xattr(hfs, node, name, buf, size);

    switch (len) {
    case -ENODATA:
    case -EOPNOTSUPP:
    case -ERANGE:
        return 0;
    case -EACCES:
    case -EPERM:
        return check_denied(hfs, node, name);
    }
    if (len < 0) {
        return len;
    }
    if ((size_t)len != size) {
        return 0;
    }
    *value = 0;
    while (size--) {
        *value = *value << 8 | buf[size];
    }
    return 1;
}

static int put_number(const HostFs *hfs, int node, const char *name,
                      uint64_t value, size_t size)
{
    uint8_t buf[VALUE_MAX];
    unsigned i;

    for (i = 0; i < size; i++) {
        buf[i] = value >> 8 * i;
    }
    return hostfs_set_any_xattr(hfs, node, name, buf, size, 0);
}

static int get_u32(const HostFs *hfs, int node, const char *name,
                   uint32_t *value, uint32_t bit, FsView *view)
{
    uint64_t number = 0;
    int ret = get_number(hfs, node, name, &number, sizeof(*value));

    if (ret > 0) {
        *value = number;
        view->valid |= bit;
    }
    return MIN(ret, 0);
}

int fs_view_get(const HostFs *hfs, int node, uint32_t mode, uint32_t wanted,
                FsView *view)
{
    uint32_t type;
    int ret = 0;

    view->valid = 0;
    if (!S_ISREG(mode) && !S_ISDIR(mode)) {
        return 0;               /* xattr(7): these have no user.* */
    }
    if (wanted & FS_VIEW_UID) {
        ret = get_u32(hfs, node, FS_XATTR_UID, &view->uid, FS_VIEW_UID, view);
    }
    if (ret == 0 && (wanted & FS_VIEW_GID)) {
        ret = get_u32(hfs, node, FS_XATTR_GID, &view->gid, FS_VIEW_GID, view);
    }
    if (ret == 0 && (wanted & FS_VIEW_MODE)) {
        ret = get_u32(hfs, node, FS_XATTR_MODE, &view->mode, FS_VIEW_MODE,
                      view);
    }
    if (ret < 0) {
        return ret;
    }
    type = fs_view_type(view, mode);
    if ((wanted & FS_VIEW_RDEV) && (type == S_IFCHR || type == S_IFBLK)) {
        ret = get_number(hfs, node, FS_XATTR_RDEV, &view->rdev,
                         sizeof(view->rdev));
        if (ret > 0) {
            view->valid |= FS_VIEW_RDEV;
        }
    }
    return MIN(ret, 0);
}

int fs_view_put(const HostFs *hfs, int node, const FsView *view)
{
    int ret = 0;

    /* The mode makes a device of the file, so the number is there first. */
    if (view->valid & FS_VIEW_RDEV) {
        ret = put_number(hfs, node, FS_XATTR_RDEV, view->rdev,
                         sizeof(view->rdev));
    }
    if (ret == 0 && (view->valid & FS_VIEW_UID)) {
        ret = put_number(hfs, node, FS_XATTR_UID, view->uid, sizeof(view->uid));
    }
    if (ret == 0 && (view->valid & FS_VIEW_GID)) {
        ret = put_number(hfs, node, FS_XATTR_GID, view->gid, sizeof(view->gid));
    }
    if (ret == 0 && (view->valid & FS_VIEW_MODE)) {
        ret = put_number(hfs, node, FS_XATTR_MODE, view->mode,
                         sizeof(view->mode));
    }
    return ret;
}
