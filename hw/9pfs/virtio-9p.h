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
#include "system/iothread.h"

#define TYPE_VIRTIO_9P "virtio-9p-device"
OBJECT_DECLARE_SIMPLE_TYPE(V9fsVirtioState, VIRTIO_9P)

/*
 * Requests taken in one go. A guest may add more as fast as the device answers
 * them; after this many the thread serves its other event sources first.
 */
#define VIRTIO_9P_TAKE_MAX  128

struct P9Server;

struct V9fsVirtioState {
    VirtIODevice parent_obj;
    char *fsdev_id;             /* property fsdev */
    char *tag;                  /* property mount_tag */
    IOThread *iothread;         /* property iothread, or NULL */
    OnOffAuto direct_kick;      /* property direct-kick */
    bool direct;                /* what that comes to */
    AioContext *ctx;            /* its, or the main loop's */
    VMChangeStateEntry *vm_state;

    /* In that context */
    VirtQueue *vq;
    struct P9Server *server;
    QEMUBH *notify_bh;          /* one notification for what completed */
    QEMUBH *kick_bh;            /* looks for requests */
    bool in_kick;               /* taking requests: it notifies at the end */
    bool notify_pending;        /* something completed, the guest knows not */
    bool resetting;
    bool stopped;               /* the VM: no requests are taken */
    bool irqfd;                 /* an IOThread's notifications go by fd */

    /* In the main thread, with an IOThread (virtio/iothread.c) */
    bool ioeventfd;
    bool ioeventfd_changing;
    QEMUBH *main_bh;            /* notifies, or tells that it is broken */
    const char *broken_why;     /* set before that */
};

/* Whether the device's bus can do it: false with an error */
bool virtio_9p_iothread_check(V9fsVirtioState *v, Error **errp);

/* ioeventfd is turned on and off: 0 or -errno */
int virtio_9p_iothread_start(V9fsVirtioState *v);
void virtio_9p_iothread_stop(V9fsVirtioState *v);

/* Notifies the guest, from the IOThread. */
void virtio_9p_iothread_notify(V9fsVirtioState *v);

/*
 * Whether this is not the thread to take requests in; then they are taken in
 * the right one soon.
 */
bool virtio_9p_iothread_elsewhere(V9fsVirtioState *v);

#endif /* HW_9PFS_VIRTIO_9P_H */
