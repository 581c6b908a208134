/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The virtio-9p device: a virtqueue of 9p requests. virtio 1.2 has no chapter
 * on it; the layout is that of Linux' uapi/linux/virtio_9p.h.
 *
 * The base's PCI and CCW devices include this header by its name, embed the
 * device's state, and call it V9fsVirtioState. That alone is why this file
 * stands above its folder, and why the type's name is unlike the others.
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
    bool direct;                /* whether kicks are direct, then */
    AioContext *ctx;            /* the IOThread's, or the main loop's */
    VMChangeStateEntry *vm_state;

    /* Of the export's thread, which is that of ctx */
    VirtQueue *vq;
    struct P9Server *server;
    QEMUBH *notify_bh;          /* one notification for several replies */
    QEMUBH *kick_bh;            /* looks for requests */
    bool in_kick;               /* requests are taken; it notifies at the end */
    bool notify_pending;        /* replies the guest was not notified of yet */
    bool resetting;
    bool stopped;               /* the VM: no requests are taken */
    bool irqfd;                 /* an IOThread notifies by descriptor */

    /* Of the main thread, with an IOThread (virtio/iothread.c) */
    bool ioeventfd;
    bool ioeventfd_changing;
    QEMUBH *main_bh;            /* notifies, or reports a broken device */
    const char *broken_why;     /* set by the IOThread before main_bh runs */
};

/*
 * Whether the device's bus supports an IOThread: false with an error. Main
 * thread.
 */
bool virtio_9p_iothread_check(V9fsVirtioState *v, Error **errp);

/* Turn ioeventfd on and off: 0 or -errno. Main thread. */
int virtio_9p_iothread_start(V9fsVirtioState *v);
void virtio_9p_iothread_stop(V9fsVirtioState *v);

/* Notifies the guest. IOThread. */
void virtio_9p_iothread_notify(V9fsVirtioState *v);

/*
 * Whether the caller is not in the thread that takes requests. If so, that
 * thread takes them soon. Any thread.
 */
bool virtio_9p_iothread_elsewhere(V9fsVirtioState *v);

#endif /* HW_9PFS_VIRTIO_9P_H */
