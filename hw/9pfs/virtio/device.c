/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The virtio-9p device: carries requests from its virtqueue to the 9p server,
 * and replies back.
 *
 * The guest kicks the queue once for any number of requests. The device takes
 * all of them, a bounded number at a time. It notifies the guest once, at the
 * end, of all requests that the server answers at once, without waiting for a
 * driver. A bottom half notifies of later replies, again once for all that come
 * together.
 *
 * One of three threads takes the requests of a kick:
 *
 * - the thread of the vCPU that kicks, with the big lock (property
 *   direct-kick, or no ioeventfd): replies that come at once are there before
 *   the guest's processor continues, and no thread has to be woken;
 * - the main thread, if the kick is an ioeventfd: with KVM that costs the guest
 *   least;
 * - an IOThread (iothread.c).
 *
 * A request that waits for a driver continues in the main thread in the first
 * two cases, and in the IOThread in the third: in the export's thread.
 *
 * While the VM is stopped, the device takes no request, and the server sends no
 * reply back.
 *
 * The config space has the tag by which a guest mounts. Its integers have the
 * guest's byte order on a legacy device, so this file is built for each target.
 */
#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qemu/defer-call.h"
#include "qemu/main-loop.h"
#include "qemu/module.h"
#include "hw/qdev-properties.h"
#include "hw/virtio/virtio-access.h"
#include "hw/9pfs/compat.h"
#include "hw/9pfs/virtio-9p.h"
#include "system/kvm.h"
#include "system/runstate.h"
#include "standard-headers/linux/virtio_9p.h"
#include "fsdev/registry/registry.h"
#include "hw/9pfs/server/9p.h"
#include "hw/9pfs/fs/context.h"
#include "hw/9pfs/trace.h"
#include "migrate.h"

/* Descriptors. virtio_add_queue() of QEMU 10.0.13 makes 1024 in any case. */
#define QUEUE_SIZE      128

/*
 * The config space that a modern PCI device shows is 4096 bytes
 * (virtio-pci.c), two of which are the length.
 */
#define MOUNT_TAG_MAX   4094

/* The base class' own functions */
static int (*virtio_start_ioeventfd)(VirtIODevice *vdev);
static void (*virtio_stop_ioeventfd)(VirtIODevice *vdev);

/*
 * The guest chooses where rings and buffers are, and may choose the registers
 * of the device itself. A write there could reset the device in the middle of
 * its work. While the transport counts as busy, it ignores such writes. Returns
 * the state before, for virtio_9p_unguard().
 *
 * An IOThread cannot use this, because the transport would ignore the guest's
 * own accesses as well.
 */
static bool virtio_9p_guard(V9fsVirtioState *v)
{
    DeviceState *transport = qdev_get_parent_bus(DEVICE(v))->parent;
    bool was;

    if (v->iothread) {
        return false;
    }
    was = transport->mem_reentrancy_guard.engaged_in_io;
    transport->mem_reentrancy_guard.engaged_in_io = true;
    return was;
}

static void virtio_9p_unguard(V9fsVirtioState *v, bool was)
{
    DeviceState *transport = qdev_get_parent_bus(DEVICE(v))->parent;

    if (!v->iothread) {
        transport->mem_reentrancy_guard.engaged_in_io = was;
    }
}

static void virtio_9p_notify_guest(V9fsVirtioState *v)
{
    if (v->notify_pending) {
        v->notify_pending = false;
        trace_virtio_9p_notify(v);
        if (v->iothread) {
            virtio_9p_iothread_notify(v);
        } else {
            virtio_notify(VIRTIO_DEVICE(v), v->vq);
        }
    }
}

static void virtio_9p_notify_bh(void *opaque)
{
    virtio_9p_notify_guest(opaque);
}

/* The work of an IOThread's device that needs the big lock. Main thread. */
static void virtio_9p_main_bh(void *opaque)
{
    V9fsVirtioState *v = opaque;
    const char *why = qatomic_read(&v->broken_why);

    if (why) {
        virtio_error(VIRTIO_DEVICE(v), "virtio-9p: mount_tag '%s': %s",
                     v->tag, why);
    }
    virtio_notify(VIRTIO_DEVICE(v), v->vq);
}

/* Export's thread, as the next */
static void virtio_9p_done(P9Request *req, size_t len)
{
    V9fsVirtioState *v = p9_server_opaque(p9_request_server(req));
    VirtQueueElement *elem = p9_request_elem(req);
    bool was = virtio_9p_guard(v);

    if (v->resetting) {
        /* The rings are not the device's any more. */
        virtqueue_detach_element(v->vq, elem, len);
    } else {
        virtqueue_push(v->vq, elem, len);
        v->notify_pending = true;
        if (!v->in_kick) {
            qemu_bh_schedule(v->notify_bh);
        }
    }
    virtio_9p_unguard(v, was);
    g_free(elem);
    p9_request_free(req);
}

static void virtio_9p_broken(P9Request *req, const char *why)
{
    V9fsVirtioState *v = p9_server_opaque(p9_request_server(req));
    VirtQueueElement *elem = p9_request_elem(req);
    bool was = virtio_9p_guard(v);

    if (v->iothread) {
        VIRTIO_DEVICE(v)->broken = true;
        qatomic_set(&v->broken_why, why);
        qemu_bh_schedule(v->main_bh);
    } else {
        virtio_error(VIRTIO_DEVICE(v), "virtio-9p: mount_tag '%s': %s",
                     v->tag, why);
    }
    virtqueue_detach_element(v->vq, elem, 0);
    virtio_9p_unguard(v, was);
    g_free(elem);
    p9_request_free(req);
}

static const P9TransportOps virtio_9p_transport = {
    .done = virtio_9p_done,
    .broken = virtio_9p_broken,
};

static void virtio_9p_take(V9fsVirtioState *v)
{
    VirtIODevice *vdev = VIRTIO_DEVICE(v);
    VirtQueue *vq = v->vq;
    VirtQueueElement *elem;
    unsigned requests = 0;
    bool was;

    if (v->resetting || v->in_kick || v->stopped) {
        /* Each state ends with another look at the queue, or a new queue. */
        return;
    }
    v->in_kick = true;
    was = virtio_9p_guard(v);
    /* A driver with a helper sends all messages together at the end. */
    defer_call_begin();
    do {
        virtio_queue_set_notification(vq, 0);
        while (requests < VIRTIO_9P_TAKE_MAX && !vdev->broken &&
               (elem = virtqueue_pop(vq, sizeof(VirtQueueElement)))) {
            requests++;
            p9_request_submit(p9_request_new(v->server), elem,
                              elem->out_sg, elem->out_num,
                              elem->in_sg, elem->in_num,
                              !virtio_queue_empty(vq));
        }
        if (requests == VIRTIO_9P_TAKE_MAX) {
            /* The queue needs no kick until the bottom half runs. */
            qemu_bh_schedule(v->kick_bh);
            break;
        }
        virtio_queue_set_notification(vq, 1);
    } while (!vdev->broken && !virtio_queue_empty(vq));
    defer_call_end();
    v->in_kick = false;
    trace_virtio_9p_kick(v, requests);
    virtio_9p_notify_guest(v);
    virtio_9p_unguard(v, was);
}

static void virtio_9p_handle_output(VirtIODevice *vdev, VirtQueue *vq)
{
    V9fsVirtioState *v = VIRTIO_9P(vdev);

    if (!virtio_9p_iothread_elsewhere(v)) {
        virtio_9p_take(v);
    }
}

static void virtio_9p_kick_bh(void *opaque)
{
    virtio_9p_take(opaque);
}

static int virtio_9p_start_ioeventfd(VirtIODevice *vdev)
{
    V9fsVirtioState *v = VIRTIO_9P(vdev);

    if (v->direct) {
        /* No ioeventfd, but take the requests that are in the queue already. */
        qemu_bh_schedule(v->kick_bh);
        return 0;
    }
    return v->iothread ? virtio_9p_iothread_start(v)
                       : virtio_start_ioeventfd(vdev);
}

static void virtio_9p_stop_ioeventfd(VirtIODevice *vdev)
{
    V9fsVirtioState *v = VIRTIO_9P(vdev);

    if (v->iothread) {
        virtio_9p_iothread_stop(v);
    } else if (!v->direct) {
        virtio_stop_ioeventfd(vdev);
    }
}

/* The device always has a mount tag. */
static uint64_t virtio_9p_get_features(VirtIODevice *vdev, uint64_t features,
                                       Error **errp)
{
    return features | BIT_ULL(VIRTIO_9P_MOUNT_TAG);
}

static void virtio_9p_get_config(VirtIODevice *vdev, uint8_t *config)
{
    const char *tag = VIRTIO_9P(vdev)->tag;
    size_t len = strlen(tag);

    virtio_stw_p(vdev, config + offsetof(struct virtio_9p_config, tag_len),
                 len);
    memcpy(config + offsetof(struct virtio_9p_config, tag), tag, len);
}

/*
 * While a reset waits, other events are served: the guest may kick, too.
 * Export's thread.
 */
static void virtio_9p_reset_begin(void *opaque)
{
    V9fsVirtioState *v = opaque;

    v->resetting = true;
    v->notify_pending = false;
    qemu_bh_cancel(v->notify_bh);
}

static void virtio_9p_reset_end(void *opaque)
{
    V9fsVirtioState *v = opaque;

    v->resetting = false;
    if (v->main_bh) {
        qemu_bh_cancel(v->main_bh);
        qatomic_set(&v->broken_why, NULL);
    }
}

static void virtio_9p_reset(VirtIODevice *vdev)
{
    V9fsVirtioState *v = VIRTIO_9P(vdev);

    virtio_9p_load_drop(v);
    fs_context_run(v->ctx, virtio_9p_reset_begin, v);
    p9_server_reset(v->server);
    fs_context_run(v->ctx, virtio_9p_reset_end, v);
}

/* The device has one queue, and the session ends with it. */
static void virtio_9p_queue_reset(VirtIODevice *vdev, uint32_t queue)
{
    virtio_9p_reset(vdev);
}

/* Export's thread, as the next */
static void virtio_9p_vm_stopped(void *opaque)
{
    V9fsVirtioState *v = opaque;

    v->stopped = true;
}

static void virtio_9p_vm_runs(void *opaque)
{
    V9fsVirtioState *v = opaque;

    v->stopped = false;
    qemu_bh_schedule(v->kick_bh);
}

/* Main thread */
static void virtio_9p_vm_change(void *opaque, bool running, RunState state)
{
    V9fsVirtioState *v = opaque;

    if (running) {
        p9_server_cont(v->server);
        fs_context_run(v->ctx, virtio_9p_vm_runs, v);
    } else {
        fs_context_run(v->ctx, virtio_9p_vm_stopped, v);
        p9_server_stop(v->server);
    }
}

static void virtio_9p_device_realize(DeviceState *dev, Error **errp)
{
    VirtIODevice *vdev = VIRTIO_DEVICE(dev);
    V9fsVirtioState *v = VIRTIO_9P(dev);
    g_autofree char *owner = NULL;
    struct FsExport *fs;

    if (!v->fsdev_id) {
        error_setg(errp, "virtio-9p: property 'fsdev' is missing: the id of "
                   "an -fsdev option");
        return;
    }
    fs = fsdev_find(v->fsdev_id);
    if (!fs) {
        error_setg(errp, "virtio-9p: property 'fsdev': there is no fsdev with "
                   "id '%s'", v->fsdev_id);
        return;
    }
    if (!v->tag || !v->tag[0]) {
        error_setg(errp, "virtio-9p: property 'mount_tag' is %s: the guest "
                   "mounts fsdev '%s' by it",
                   v->tag ? "empty" : "missing", v->fsdev_id);
        return;
    }
    if (strlen(v->tag) > MOUNT_TAG_MAX) {
        error_setg(errp, "virtio-9p: property 'mount_tag' has %zu bytes, at "
                   "most %d are possible", strlen(v->tag), MOUNT_TAG_MAX);
        return;
    }

    if (v->iothread) {
        if (v->direct_kick == ON_OFF_AUTO_ON) {
            error_setg(errp, "virtio-9p: property 'direct-kick' cannot be "
                       "combined with 'iothread': the IOThread takes the "
                       "requests");
            return;
        }
        if (!virtio_9p_iothread_check(v, errp)) {
            return;
        }
        owner = iothread_get_id(v->iothread);
        v->ctx = iothread_get_aio_context(v->iothread);
    } else {
        v->ctx = qemu_get_aio_context();
    }
    v->direct = v->direct_kick == ON_OFF_AUTO_ON ||
                (v->direct_kick == ON_OFF_AUTO_AUTO &&
                 !v->iothread && !kvm_enabled());
    v->server = p9_server_new(fs, v->ctx, owner, &virtio_9p_transport, v,
                              errp);
    if (!v->server) {
        return;
    }

    virtio_init(vdev, VIRTIO_ID_9P,
                offsetof(struct virtio_9p_config, tag) + strlen(v->tag));
    v->vq = virtio_add_queue(vdev, QUEUE_SIZE, virtio_9p_handle_output);
    if (v->iothread) {
        v->notify_bh = aio_bh_new(v->ctx, virtio_9p_notify_bh, v);
        v->main_bh = virtio_bh_new_guarded(dev, virtio_9p_main_bh, v);
    } else {
        v->notify_bh = virtio_bh_new_guarded(dev, virtio_9p_notify_bh, v);
    }
    v->kick_bh = aio_bh_new(v->ctx, virtio_9p_kick_bh, v);
    v->vm_state = p9_add_vm_change_state_handler(dev, virtio_9p_vm_change, v);
    /*
     * With indirect descriptors each descriptor can be a request. To make a
     * coroutine that is not in the pool takes longer than most requests do.
     */
    qemu_coroutine_inc_pool_size(VIRTQUEUE_MAX_SIZE);
}

/* In v->ctx, where nothing calls the device after this */
static void virtio_9p_end(void *opaque)
{
    V9fsVirtioState *v = opaque;

    v->resetting = true;
    qemu_bh_delete(v->kick_bh);
    qemu_bh_delete(v->notify_bh);
    v->kick_bh = v->notify_bh = NULL;
}

static void virtio_9p_device_unrealize(DeviceState *dev)
{
    VirtIODevice *vdev = VIRTIO_DEVICE(dev);
    V9fsVirtioState *v = VIRTIO_9P(dev);

    qemu_del_vm_change_state_handler(v->vm_state);
    virtio_9p_load_drop(v);
    fs_context_run(v->ctx, virtio_9p_reset_begin, v);
    p9_server_free(v->server, v->iothread ? OBJECT(v->iothread) : NULL);
    v->server = NULL;
    fs_context_run(v->ctx, virtio_9p_end, v);
    if (v->main_bh) {
        qemu_bh_delete(v->main_bh);
        v->main_bh = NULL;
    }
    v->resetting = false;
    qemu_coroutine_dec_pool_size(VIRTQUEUE_MAX_SIZE);
    virtio_delete_queue(v->vq);
    virtio_cleanup(vdev);
}

/* The session is in the middle of what all virtio devices have: migrate.c. */
static const VMStateDescription virtio_9p_vmstate = {
    .name = "virtio-9p",
    .version_id = 1,
    .minimum_version_id = 1,
    .pre_save = virtio_9p_pre_save,
    .fields = (const VMStateField[]) { VMSTATE_VIRTIO_DEVICE,
                                       VMSTATE_END_OF_LIST() },
};

static const Property virtio_9p_props[] = {
    DEFINE_PROP_STRING("fsdev", V9fsVirtioState, fsdev_id),
    DEFINE_PROP_STRING("mount_tag", V9fsVirtioState, tag),
    DEFINE_PROP_LINK("iothread", V9fsVirtioState, iothread, TYPE_IOTHREAD,
                     IOThread *),
    DEFINE_PROP_ON_OFF_AUTO("direct-kick", V9fsVirtioState, direct_kick,
                            ON_OFF_AUTO_AUTO),
};

static void virtio_9p_class_init(ObjectClass *oc, P9ClassData *data)
{
    DeviceClass *device = DEVICE_CLASS(oc);
    VirtioDeviceClass *virtio = VIRTIO_DEVICE_CLASS(oc);

    virtio->realize = virtio_9p_device_realize;
    virtio->unrealize = virtio_9p_device_unrealize;
    virtio->reset = virtio_9p_reset;
    virtio->queue_reset = virtio_9p_queue_reset;
    virtio_start_ioeventfd = virtio->start_ioeventfd;
    virtio_stop_ioeventfd = virtio->stop_ioeventfd;
    virtio->start_ioeventfd = virtio_9p_start_ioeventfd;
    virtio->stop_ioeventfd = virtio_9p_stop_ioeventfd;
    virtio->get_config = virtio_9p_get_config;
    virtio->get_features = virtio_9p_get_features;
    virtio->vmsd = &virtio_9p_session_vmstate;
    virtio->post_load = virtio_9p_post_load;

    device->vmsd = &virtio_9p_vmstate;
    device_class_set_props(device, virtio_9p_props);
    set_bit(DEVICE_CATEGORY_STORAGE, device->categories);
}

static const TypeInfo virtio_9p_types[] = {
    {
        .name = TYPE_VIRTIO_9P,
        .parent = TYPE_VIRTIO_DEVICE,
        .class_init = virtio_9p_class_init,
        .instance_size = sizeof(V9fsVirtioState),
    },
};

DEFINE_TYPES(virtio_9p_types)
