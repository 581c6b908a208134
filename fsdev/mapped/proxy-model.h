/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Shares of the proxy driver: files are as with passthrough, but if the helper
 * maps ids (fsdev/shared/idmap.h), they have other owners on the host than the
 * guest sees, and other ids in their ACLs. Devices may be files that stand for
 * them (fsdev/shared/special-file.h).
 */
#ifndef FSDEV_MAPPED_PROXY_MODEL_H
#define FSDEV_MAPPED_PROXY_MODEL_H

#include "fsdev/shared/idmap.h"
#include "hw/9pfs/local/model.h"

extern LocalModel mapped_model_proxy;        /* constant after the start */

/*
 * The maps of this process, which the model uses; empty ones map each id to
 * itself. An id that has no place in a map is IDMAP_NONE for the guest, and
 * an operation with such an id of the guest's fails with -EINVAL.
 */
extern IdMaps mapped_ids;

/* What devices of such a share are on the host: the helper's --special-files */
typedef enum MappedDevices {
    /*
     * Those that stand for devices count. New ones are such files where this
     * process may not make devices, or has ids that are mapped: as the helper
     * of an ordinary user does it.
     */
    MAPPED_DEVICES_USUAL,
    MAPPED_DEVICES_HOST,
    MAPPED_DEVICES_MAPPED,
} MappedDevices;

extern MappedDevices mapped_devices;
/* Whether new devices are files that stand for them. Any thread */
bool mapped_devices_stand_in(void);

/*
 * Whether the inode of @host, its attributes on the host, is a file of a
 * helper's that stands for a device. One of the model mapped-xattr has an owner
 * beside it, and a helper's does not.
 */
bool mapped_is_helpers_device(const LocalHost *lh, const LocalInode *inode,
                              const FsAttr *host);
/* Sets the number of such a file. */
int mapped_set_device(const LocalHost *lh, const LocalInode *inode,
                      uint64_t rdev);

/* Whether files of these owners of the guest's can be */
bool mapped_ids_have(uint32_t uid, uint32_t gid);
/* Whether this process can make such files, of a model of the host's */
bool mapped_ids_can_give(const LocalModel *model, uint32_t uid, uint32_t gid);
/* The guest's ids of this process' own files; IDMAP_NONE if it has none */
void mapped_ids_own(const LocalModel *model, uint32_t *uid, uint32_t *gid);
/* mapped_may_give() for files of the guest's, of a model of the host's */
bool mapped_ids_may_give(const LocalModel *model, uint32_t uid, uint32_t gid);

#endif /* FSDEV_MAPPED_PROXY_MODEL_H */
