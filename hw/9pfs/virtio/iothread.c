/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The virtio-9p device with an IOThread (property iothread).
 *
 * The queue, the server and everything below it run in the IOThread's
 * AioContext (v->ctx). While ioeventfd is on, the guest's kick is an event of
 * the host notifier, which is attached to that context, and the guest notifier
 * takes notifications back. Neither needs the big lock. While ioeventfd is off
 * (before the guest's driver is ready, while the VM is stopped, or because
 * setting it up failed), kicks arrive in the thread of a vCPU or in the main
 * thread. A bottom half then passes them to the IOThread, and another one
 * passes notifications back.
 *
 * The main thread, or a thread with the big lock, turns ioeventfd on and off,
 * and resets and removes the device. It has the IOThread's context make changes
 * to the device, and waits for them. So two threads never use the same part of
 * V9fsVirtioState at once, except for fields that are set while there are no
 * kicks.
 *
 * A guest can make the IOThread write to the device's registers by putting a
 * ring or buffer there. The IOThread takes the big lock for that write, and may
 * then reset the device itself. fs_context_run() calls its function directly in
 * that case.
 */
#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qemu/error-report.h"
#include "qemu/main-loop.h"
#include "hw/virtio/virtio-bus.h"
#include "hw/9pfs/compat.h"
#include "hw/9pfs/virtio-9p.h"
#include "hw/9pfs/fs/context.h"

bool virtio_9p_iothread_check(V9fsVirtioState *v, Error **errp)
{
    BusState *bus = qdev_get_parent_bus(DEVICE(v));
    VirtioBusClass *k = VIRTIO_BUS_GET_CLASS(bus);

    if (!k->set_guest_notifiers || !k->ioeventfd_assign) {
        error_setg(errp, "virtio-9p: property 'iothread': the device's bus "
                   "has no notifiers");
        return false;
    }
    if (!virtio_device_ioeventfd_enabled(VIRTIO_DEVICE(v))) {
        error_setg(errp, "virtio-9p: property 'iothread' needs ioeventfd, "
                   "which is off");
        return false;
    }
    return true;
}

/* IOThread, as the next */
static void iothread_attach(void *opaque)
{
    V9fsVirtioState *v = opaque;

    v->irqfd = true;
    /* This counts as a kick, too. */
    virtio_queue_aio_attach_host_notifier(v->vq, v->ctx);
}

static void iothread_detach(void *opaque)
{
    V9fsVirtioState *v = opaque;

    virtio_queue_aio_detach_host_notifier(v->vq, v->ctx);
    v->irqfd = false;
}

int virtio_9p_iothread_start(V9fsVirtioState *v)
{
    BusState *bus = qdev_get_parent_bus(DEVICE(v));
    VirtioBusClass *k = VIRTIO_BUS_GET_CLASS(bus);
    int ret;

    if (v->ioeventfd || v->ioeventfd_changing) {
        return 0;
    }
    v->ioeventfd_changing = true;
    ret = k->set_guest_notifiers(bus->parent, 1, true);
    if (ret == 0) {
        ret = virtio_bus_set_host_notifier(VIRTIO_BUS(bus), 0, true);
        if (ret < 0) {
            k->set_guest_notifiers(bus->parent, 1, false);
        }
    }
    if (ret == 0) {
        v->ioeventfd = true;
        fs_context_run(v->ctx, iothread_attach, v);
    } else {
        error_report("virtio-9p: mount_tag '%s': cannot set up notifiers for "
                     "the IOThread: %s", v->tag, strerror(-ret));
        ret = -ENOSYS;
    }
    v->ioeventfd_changing = false;
    return ret;
}

void virtio_9p_iothread_stop(V9fsVirtioState *v)
{
    BusState *bus = qdev_get_parent_bus(DEVICE(v));
    VirtioBusClass *k = VIRTIO_BUS_GET_CLASS(bus);

    if (!v->ioeventfd || v->ioeventfd_changing) {
        return;
    }
    v->ioeventfd_changing = true;
    fs_context_run(v->ctx, iothread_detach, v);
    virtio_bus_set_host_notifier(VIRTIO_BUS(bus), 0, false);
    /* Kicks not yet seen go to virtio_9p_handle_output() now. */
    virtio_bus_cleanup_host_notifier(VIRTIO_BUS(bus), 0);
    k->set_guest_notifiers(bus->parent, 1, false);
    v->ioeventfd = false;
    v->ioeventfd_changing = false;
}

void virtio_9p_iothread_notify(V9fsVirtioState *v)
{
    if (v->irqfd) {
        p9_virtio_notify_irqfd(VIRTIO_DEVICE(v), v->vq);
    } else {
        qemu_bh_schedule(v->main_bh);
    }
}

bool virtio_9p_iothread_elsewhere(V9fsVirtioState *v)
{
    if (!v->iothread || qemu_get_current_aio_context() == v->ctx) {
        return false;
    }
    qemu_bh_schedule(v->kick_bh);
    return true;
}
