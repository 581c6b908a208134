/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The virtio-9p device: a virtqueue of 9p requests. virtio 1.2 has no chapter
 * on it; the layout is that of Linux' uapi/linux/virtio_9p.h.
 *
 * The base's PCI and CCW devices include this header by its name, embed the
 * device's state, and call it V9fsVirtioState. For that reason alone this file
 * is above the folder virtio/, and the type's name is unlike the others.
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
typedef struct V9fsLoad V9fsLoad;

struct V9fsVirtioState {
    VirtIODevice parent_obj;
    char *fsdev_id;             /* property fsdev */
    char *tag;                  /* property mount_tag */
    IOThread *iothread;         /* property iothread, or NULL */
    OnOffAuto direct_kick;      /* property direct-kick */
    bool direct;                /* whether kicks are direct, as decided */
    AioContext *ctx;            /* the IOThread's, or the main loop's */
    VMChangeStateEntry *vm_state;
    V9fsLoad *load;             /* its state, on its way in (migrate-load.c) */

    /* Of the export's thread, which is that of ctx */
    VirtQueue *vq;
    struct P9Server *server;
    QEMUBH *notify_bh;          /* one notification for several replies */
    QEMUBH *kick_bh;            /* looks for requests */
    bool in_kick;               /* takes requests, and notifies at the end */
    bool notify_pending;        /* the guest does not know of all replies */
    bool resetting;
    bool stopped;               /* the VM is: the device takes no requests */
    bool irqfd;                 /* an IOThread notifies by descriptor */

    /* Of the main thread, for a device with an IOThread (virtio/iothread.c) */
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

/*
 * Turn ioeventfd on and off: 0 or -errno. Main thread, or a vCPU's with the big
 * lock.
 */
int virtio_9p_iothread_start(V9fsVirtioState *v);
void virtio_9p_iothread_stop(V9fsVirtioState *v);

/* Notifies the guest. IOThread. */
void virtio_9p_iothread_notify(V9fsVirtioState *v);

/*
 * Returns whether an IOThread takes the requests, and the caller is not in it.
 * If so, the IOThread looks for requests soon. Any thread.
 */
bool virtio_9p_iothread_elsewhere(V9fsVirtioState *v);

#endif /* HW_9PFS_VIRTIO_9P_H */
