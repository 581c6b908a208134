/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The virtio-9p device's state for migration and snapshots. Main thread, or one
 * with the big lock.
 */
#ifndef HW_9PFS_VIRTIO_MIGRATE_H
#define HW_9PFS_VIRTIO_MIGRATE_H

#include "hw/9pfs/virtio-9p.h"
#include "migration/vmstate.h"

/* VirtioDeviceClass.vmsd: the session, as a subsection */
extern const VMStateDescription virtio_9p_session_vmstate;

/* Before a device is saved: all requests come to rest. 0 or -errno. */
int virtio_9p_pre_save(void *opaque);

/* VirtioDeviceClass.post_load: the queue takes its requests. 0 or -errno. */
int virtio_9p_post_load(VirtIODevice *vdev);

/* Forgets requests that were loaded and did not get into the queue. */
void virtio_9p_load_drop(V9fsVirtioState *v);

#endif /* HW_9PFS_VIRTIO_MIGRATE_H */
