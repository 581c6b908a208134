/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Shares of the proxy driver: see proxy-model.h. The host's operations with
 * other ids, as the kernel does it where the helper is in a user namespace, and
 * with the helper's devices.
 */
#include "qemu/osdep.h"
#include "fsdev/shared/acl.h"
#include "fsdev/shared/special-file.h"
#include "fsdev/shared/view.h"
#include "host-ids.h"
#include "proxy-model.h"

IdMaps mapped_ids;
MappedDevices mapped_devices;

static uint32_t uid_outside(uint32_t id)
{
    return mapped_ids.n_uid ? idmap_outside(mapped_ids.uid, mapped_ids.n_uid,
                                            id) : id;
}

static uint32_t gid_outside(uint32_t id)
{
    return mapped_ids.n_gid ? idmap_outside(mapped_ids.gid, mapped_ids.n_gid,
                                            id) : id;
}

static uint32_t uid_inside(uint32_t id)
{
    return mapped_ids.n_uid ? idmap_inside(mapped_ids.uid, mapped_ids.n_uid,
                                           id) : id;
}

static uint32_t gid_inside(uint32_t id)
{
    return mapped_ids.n_gid ? idmap_inside(mapped_ids.gid, mapped_ids.n_gid,
                                           id) : id;
}

bool mapped_ids_have(uint32_t uid, uint32_t gid)
{
    uid = uid_outside(uid);
    gid = gid_outside(gid);
    return uid != IDMAP_NONE && gid != IDMAP_NONE && mapped_ids_exist(uid, gid);
}

bool mapped_ids_may_give(const LocalModel *model, uint32_t uid, uint32_t gid)
{
    return model == &mapped_model_proxy
           ? mapped_may_give(uid_outside(uid), gid_outside(gid))
           : mapped_may_give(uid, gid);
}

bool mapped_ids_can_give(const LocalModel *model, uint32_t uid, uint32_t gid)
{
    return mapped_ids_may_give(model, uid, gid) &&
           (model == &mapped_model_proxy ? mapped_ids_have(uid, gid)
                                         : mapped_ids_exist(uid, gid));
}

void mapped_ids_own(const LocalModel *model, uint32_t *uid, uint32_t *gid)
{
    bool proxy = model == &mapped_model_proxy;

    *uid = proxy ? uid_inside(geteuid()) : geteuid();
    *gid = proxy ? gid_inside(getegid()) : getegid();
}

/* Maps an owner of the guest's in place; one that is IDMAP_NONE stays. */
static int owner_outside(uint32_t *uid, uint32_t *gid)
{
    bool had_uid = *uid != IDMAP_NONE;
    bool had_gid = *gid != IDMAP_NONE;

    *uid = had_uid ? uid_outside(*uid) : *uid;
    *gid = had_gid ? gid_outside(*gid) : *gid;
    return (had_uid && *uid == IDMAP_NONE) || (had_gid && *gid == IDMAP_NONE)
           ? -EINVAL : 0;
}

static void owner_inside(FsAttr *attr)
{
    attr->uid = uid_inside(attr->uid);
    attr->gid = gid_inside(attr->gid);
}

static bool acl_outside(void *unused, bool group, uint32_t *id)
{
    *id = group ? gid_outside(*id) : uid_outside(*id);
    return *id != IDMAP_NONE;
}

static bool acl_inside(void *unused, bool group, uint32_t *id)
{
    *id = group ? gid_inside(*id) : uid_inside(*id);
    return *id != IDMAP_NONE;
}

bool mapped_devices_stand_in(void)
{
    return mapped_devices == MAPPED_DEVICES_MAPPED ||
           (mapped_devices == MAPPED_DEVICES_USUAL &&
            (mapped_ids.n_uid || mapped_ids.n_gid || geteuid() != 0 ||
             !mapped_ids_are_hosts()));
}

bool mapped_is_helpers_device(const LocalHost *lh, const LocalInode *inode,
                              const FsAttr *host)
{
    uint32_t type;
    FsView view;

    if (!special_file_maybe(host->mode, host->size) ||
        fs_view_get(&lh->host, inode->handle, host->mode, FS_VIEW_UID |
                    FS_VIEW_GID | FS_VIEW_MODE, &view) < 0) {
        return false;
    }
    type = fs_view_type(&view, host->mode);
    return (type == S_IFCHR || type == S_IFBLK) &&
           !(view.valid & (FS_VIEW_UID | FS_VIEW_GID));
}

/* The host as the helper has it */
static HostFs helpers_host(const LocalHost *lh)
{
    HostFs hfs = lh->host;

    hfs.maps_devices = mapped_devices != MAPPED_DEVICES_HOST;
    return hfs;
}

static int proxy_getattr(const LocalHost *lh, const LocalInode *inode,
                         FsAttr *attr)
{
    HostFs hfs = helpers_host(lh);
    int ret = special_file_see(&hfs, inode->handle, attr);

    if (ret == 0) {
        owner_inside(attr);
    }
    return ret;
}

static int proxy_setattr(const LocalHost *lh, const LocalInode *inode,
                         int file, const FsSetAttr *set)
{
    HostFs hfs = helpers_host(lh);
    FsSetAttr host = *set;
    int ret;

    if (!(set->valid & FS_SET_UID)) {
        host.uid = IDMAP_NONE;
    }
    if (!(set->valid & FS_SET_GID)) {
        host.gid = IDMAP_NONE;
    }
    ret = owner_outside(&host.uid, &host.gid);
    return ret < 0 ? ret : hostfs_setattr(&hfs, inode->handle, file, &host);
}

static int proxy_create(const LocalHost *lh, int dir, const FsMakeArgs *make,
                        int flags, int *node, FsAttr *attr)
{
    FsMakeArgs host = *make;
    int ret = owner_outside(&host.uid, &host.gid);

    if (ret == 0) {
        ret = hostfs_create(&lh->host, dir, &host, flags, node, attr);
    }
    if (ret >= 0) {
        owner_inside(attr);
    }
    return ret;
}

static int proxy_make(const LocalHost *lh, int dir, const FsMakeArgs *make,
                      FsAttr *attr)
{
    HostFs hfs = helpers_host(lh);
    FsMakeArgs host = *make;
    int ret = owner_outside(&host.uid, &host.gid);

    hfs.maps_devices = mapped_devices_stand_in();
    if (ret == 0) {
        ret = hostfs_make(&hfs, dir, &host, attr);
    }
    if (ret == 0) {
        owner_inside(attr);
    }
    return ret;
}

static ssize_t proxy_getxattr(const LocalHost *lh, const LocalInode *inode,
                              const char *name, void *buf, size_t size)
{
    HostFs hfs = helpers_host(lh);
    ssize_t len = hostfs_getxattr(&hfs, inode->handle, name, buf, size);

    if (name && size && len > 0 && fs_acl_is_name(name) &&
        !fs_acl_change_ids(buf, len, acl_inside, NULL)) {
        return -EINVAL;
    }
    return len;
}

static int proxy_setxattr(const LocalHost *lh, const LocalInode *inode,
                          const char *name, const void *value, size_t size,
                          int flags)
{
    HostFs hfs = helpers_host(lh);
    g_autofree uint8_t *acl = NULL;

    if (fs_acl_is_name(name)) {
        acl = g_memdup2(value, size);
        if (!fs_acl_change_ids(acl, size, acl_outside, NULL)) {
            return -EINVAL;
        }
    }
    return hostfs_setxattr(&hfs, inode->handle, name, acl ?: value, size,
                           flags);
}

int mapped_set_device(const LocalHost *lh, const LocalInode *inode,
                      uint64_t rdev)
{
    const FsView view = { .valid = FS_VIEW_RDEV, .rdev = rdev };

    return fs_view_put(&lh->host, inode->handle, &view);
}

LocalModel mapped_model_proxy;

static void __attribute__((constructor)) proxy_init(void)
{
    LocalModel *m = &mapped_model_proxy;

    *m = local_model_passthrough;
    m->getattr = proxy_getattr;
    m->setattr = proxy_setattr;
    m->create = proxy_create;
    m->make = proxy_make;
    m->getxattr = proxy_getxattr;
    m->setxattr = proxy_setxattr;
}
