/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Saves the session of a virtio-9p device, and the requests that the device has
 * taken off the queue and not put back: see migrate.c.
 */
#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qemu/iov.h"
#include "hw/virtio/virtio.h"
#include "system/runstate.h"
#include "migrate-internal.h"

static void save_block(void *opaque, const void *block, size_t size)
{
    QEMUFile *f = opaque;

    qemu_put_be32(f, size);
    qemu_put_buffer(f, block, size);
}

static void save_end(QEMUFile *f)
{
    qemu_put_be32(f, 0);
}

static void save_buffers(MarshalWriter *w, const hwaddr *addr,
                         const struct iovec *iov, unsigned num)
{
    unsigned i;

    for (i = 0; i < num; i++) {
        marshal_put_u64(w, addr[i]);
        marshal_put_u32(w, iov[i].iov_len);
    }
}

/*
 * The reply, because the guest's memory may have been saved before the driver
 * put file data there: @head of the server, and the rest.
 */
static void save_reply(QEMUFile *f, const VirtQueueElement *elem,
                       const void *head, size_t head_size, size_t total)
{
    g_autofree uint8_t *piece = g_malloc(1 + REPLY_PIECE);
    size_t done, size, ready;

    piece[0] = RECORD_REPLY;
    for (done = 0; done < total; done += size) {
        size = MIN(total - done, REPLY_PIECE);
        ready = done < head_size ? MIN(head_size - done, size) : 0;
        memcpy(piece + 1, head + done, ready);
        iov_to_buf(elem->in_sg, elem->in_num, done + ready, piece + 1 + ready,
                   size - ready);
        save_block(f, piece, 1 + size);
    }
}

static void save_request(void *opaque, void *request, const void *reply,
                         size_t reply_size, size_t total)
{
    QEMUFile *f = opaque;
    const VirtQueueElement *elem = request;
    g_autofree void *buf = g_malloc(REQUEST_RECORD_MAX);
    MarshalWriter w;

    marshal_writer_init(&w, buf, REQUEST_RECORD_MAX);
    marshal_put_u8(&w, RECORD_REQUEST);
    marshal_put_u32(&w, elem->index);
    marshal_put_u32(&w, elem->ndescs);
    marshal_put_u8(&w, !reply ? REQUEST_PARKED :
                       total ? REQUEST_ANSWERED : REQUEST_FLUSHED);
    marshal_put_u32(&w, reply ? total : 0);
    marshal_put_u32(&w, elem->out_num);
    marshal_put_u32(&w, elem->in_num);
    save_buffers(&w, elem->out_addr, elem->out_sg, elem->out_num);
    save_buffers(&w, elem->in_addr, elem->in_sg, elem->in_num);
    save_block(f, buf, marshal_size(&w));
    if (reply) {
        save_reply(f, elem, reply, reply_size, total);
    }
}

static void save_count(void *opaque, void *request, const void *reply,
                       size_t reply_size, size_t total)
{
    (*(unsigned *)opaque)++;
}

/*
 * The base does not save which of the elements in use are done, with
 * VIRTIO_F_IN_ORDER.
 */
static bool save_check_order(V9fsVirtioState *v, Error **errp)
{
    unsigned requests = 0;

    p9_server_save_requests(v->server, save_count, &requests);
    if (requests && virtio_vdev_has_feature(VIRTIO_DEVICE(v),
                                            VIRTIO_F_IN_ORDER)) {
        error_setg(errp, "virtio-9p: mount_tag '%s': the guest waits for %u "
                   "requests, which cannot be saved with property 'in_order'",
                   v->tag, requests);
        return false;
    }
    return true;
}

/* Adds realized devices to the list, which then has references to them. */
static int save_find(Object *obj, void *list)
{
    V9fsVirtioState *v =
        (V9fsVirtioState *)object_dynamic_cast(obj, TYPE_VIRTIO_9P);

    if (v && v->server) {
        g_ptr_array_add(list, object_ref(obj));
    }
    return 0;
}

static bool save_park(V9fsVirtioState *v, Error **errp)
{
    /* Meanwhile other events are served: the device may be gone. */
    return !v->server || !p9_server_has_session(v->server) ||
           (p9_server_park(v->server, errp) && save_check_order(v, errp));
}

bool virtio_9p_save_begin(Error **errp)
{
    g_autoptr(GPtrArray) all = g_ptr_array_new_with_free_func(object_unref);
    unsigned i;

    object_child_foreach_recursive(object_get_root(), save_find, all);
    for (i = 0; i < all->len; i++) {
        if (!save_park(g_ptr_array_index(all, i), errp)) {
            return false;
        }
    }
    return true;
}

bool virtio_9p_save_session(V9fsVirtioState *v, QEMUFile *f, Error **errp)
{
    if (!p9_server_save(v->server, runstate_check(RUN_STATE_FINISH_MIGRATE),
                        save_block, f, errp)) {
        return false;
    }
    save_end(f);
    p9_server_save_requests(v->server, save_request, f);
    save_end(f);
    return true;
}
