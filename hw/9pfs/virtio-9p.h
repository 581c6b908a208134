/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The virtio-9p device: a virtqueue of 9p requests (virtio 1.2 has no chapter
 * on it; the layout is Linux' uapi/linux/virtio_9p.h). Bus front ends embed
 * V9fsVirtioState.
 */
#ifndef HW_9PFS_VIRTIO_9P_H
#define HW_9PFS_VIRTIO_9P_H

#include "hw/virtio/virtio.h"
#include "qom/object.h"

#define TYPE_VIRTIO_9P "virtio-9p-device"
OBJECT_DECLARE_SIMPLE_TYPE(V9fsVirtioState, VIRTIO_9P)

struct P9Server;

struct V9fsVirtioState {
    VirtIODevice parent_obj;
    VirtQueue *vq;
    struct P9Server *server;
    QEMUBH *notify_bh;          /* one notification for what completed */
    bool in_kick;               /* taking requests: it notifies at the end */
    bool notify_pending;        /* something completed, the guest knows not */
    bool resetting;
    char *fsdev_id;             /* property fsdev */
    char *tag;                  /* property mount_tag */
};

#endif /* HW_9PFS_VIRTIO_9P_H */
