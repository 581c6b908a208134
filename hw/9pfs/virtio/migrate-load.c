/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Loads the requests of a virtio-9p device, and puts them into its queue: see
 * migrate.c.
 *
 * A stream can have any contents. Numbers are checked before they are used;
 * addresses are the guest's, as those in its rings, and are mapped in the same
 * way. Requests that do not get into the queue are freed with an error, or when
 * the device is reset.
 */
#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qapi/qapi-commands-virtio.h"
#include "qemu/iov.h"
#include "hw/virtio/virtio.h"
#include "system/dma.h"
#include "hw/9pfs/fs/context.h"
#include "migrate-internal.h"

typedef struct LoadedRequest {
    V9fsVirtioState *v;
    VirtQueueElement *elem;     /* its buffers are mapped */
    uint8_t how;
    uint32_t total;
    uint32_t done;              /* bytes of the reply in guest memory */
} LoadedRequest;

/* Requests of a stream, until the queue takes them */
struct V9fsLoad {
    GPtrArray *requests;        /* of LoadedRequest */
};

/* As virtqueue_pop() makes them: freed as one */
static VirtQueueElement *element_new(unsigned out_num, unsigned in_num)
{
    size_t num = out_num + in_num;
    VirtQueueElement *elem;

    QEMU_BUILD_BUG_ON(sizeof(*elem) % __alignof__(hwaddr));
    QEMU_BUILD_BUG_ON(sizeof(hwaddr) % __alignof__(struct iovec));
    elem = g_malloc0(sizeof(*elem) + num * (sizeof(hwaddr) +
                                            sizeof(struct iovec)));
    elem->out_addr = (void *)(elem + 1);
    elem->in_addr = elem->out_addr + out_num;
    elem->out_sg = (void *)(elem->in_addr + in_num);
    elem->in_sg = elem->out_sg + out_num;
    return elem;
}

/* Those that are mapped are counted. Nothing was written. */
static void element_free(VirtIODevice *vdev, VirtQueueElement *elem)
{
    unsigned i;

    for (i = 0; i < elem->out_num; i++) {
        dma_memory_unmap(vdev->dma_as, elem->out_sg[i].iov_base,
                         elem->out_sg[i].iov_len, DMA_DIRECTION_TO_DEVICE, 0);
    }
    for (i = 0; i < elem->in_num; i++) {
        dma_memory_unmap(vdev->dma_as, elem->in_sg[i].iov_base,
                         elem->in_sg[i].iov_len, DMA_DIRECTION_FROM_DEVICE, 0);
    }
    g_free(elem);
}

static void loaded_request_free(void *opaque)
{
    LoadedRequest *r = opaque;

    if (r->elem) {
        element_free(VIRTIO_DEVICE(r->v), r->elem);
    }
    g_free(r);
}

void virtio_9p_load_begin(V9fsVirtioState *v)
{
    virtio_9p_load_drop(v);
    v->load = g_new0(V9fsLoad, 1);
    v->load->requests = g_ptr_array_new_with_free_func(loaded_request_free);
}

void virtio_9p_load_drop(V9fsVirtioState *v)
{
    if (v->load) {
        g_ptr_array_unref(v->load->requests);
        g_free(v->load);
        v->load = NULL;
    }
}

/* Reads @num buffers and maps them; *@done counts these. */
static bool load_buffers(VirtIODevice *vdev, MarshalReader *r, hwaddr *addr,
                         struct iovec *iov, unsigned num, DMADirection dir,
                         unsigned *done)
{
    dma_addr_t len;
    uint32_t size;
    void *base;

    for (*done = 0; *done < num; (*done)++) {
        addr[*done] = marshal_get_u64(r);
        size = marshal_get_u32(r);
        len = size;
        base = size ? dma_memory_map(vdev->dma_as, addr[*done], &len, dir,
                                     MEMTXATTRS_UNSPECIFIED) : NULL;
        if (!base) {
            return false;
        }
        if (len != size) {
            dma_memory_unmap(vdev->dma_as, base, len, dir, 0);
            return false;
        }
        iov[*done].iov_base = base;
        iov[*done].iov_len = len;
    }
    return true;
}

/* A record of a request, after its type */
static bool load_request(V9fsVirtioState *v, MarshalReader *r, Error **errp)
{
    VirtIODevice *vdev = VIRTIO_DEVICE(v);
    VirtQueueElement *elem;
    LoadedRequest *req = g_new0(LoadedRequest, 1);
    uint32_t index, ndescs, out_num, in_num;

    req->v = v;
    g_ptr_array_add(v->load->requests, req);
    index = marshal_get_u32(r);
    ndescs = marshal_get_u32(r);
    req->how = marshal_get_u8(r);
    req->total = marshal_get_u32(r);
    out_num = marshal_get_u32(r);
    in_num = marshal_get_u32(r);
    if (!marshal_ok(r) || out_num > VIRTQUEUE_MAX_SIZE ||
        in_num > VIRTQUEUE_MAX_SIZE - out_num ||
        marshal_left(r) != (out_num + in_num) * REQUEST_BUFFER ||
        index > UINT16_MAX || ndescs == 0 || ndescs > VIRTQUEUE_MAX_SIZE ||
        req->how > REQUEST_ANSWERED ||
        (req->how == REQUEST_ANSWERED) != (req->total > 0)) {
        error_setg(errp, "a request is malformed");
        return false;
    }
    if (v->load->requests->len > VIRTQUEUE_MAX_SIZE) {
        error_setg(errp, "there are too many requests");
        return false;
    }
    req->elem = elem = element_new(out_num, in_num);
    elem->index = index;
    elem->ndescs = ndescs;
    if (!load_buffers(vdev, r, elem->out_addr, elem->out_sg, out_num,
                      DMA_DIRECTION_TO_DEVICE, &elem->out_num) ||
        !load_buffers(vdev, r, elem->in_addr, elem->in_sg, in_num,
                      DMA_DIRECTION_FROM_DEVICE, &elem->in_num)) {
        error_setg(errp, "a request has buffers outside of the guest's memory");
        return false;
    }
    if (req->total > iov_size(elem->in_sg, elem->in_num)) {
        error_setg(errp, "a request has no room for its reply");
        return false;
    }
    return true;
}

/* The last request, or NULL. Its reply may not be whole. */
static LoadedRequest *load_last(V9fsVirtioState *v)
{
    GPtrArray *requests = v->load->requests;

    return requests->len ? g_ptr_array_index(requests, requests->len - 1)
                         : NULL;
}

/*
 * Bytes of a reply: the guest, which will read them there, does not run yet.
 */
static bool load_reply(V9fsVirtioState *v, MarshalReader *r, Error **errp)
{
    LoadedRequest *req = load_last(v);
    size_t size = marshal_left(r);

    if (!req || size == 0 || size > req->total - req->done) {
        error_setg(errp, "a reply has more bytes than it should");
        return false;
    }
    iov_from_buf(req->elem->in_sg, req->elem->in_num, req->done,
                 marshal_get_bytes(r, size), size);
    req->done += size;
    return true;
}

/* Whether the last request, if there is one, has its whole reply */
bool virtio_9p_load_end(V9fsVirtioState *v, Error **errp)
{
    LoadedRequest *last = load_last(v);

    if (last && last->done < last->total) {
        error_setg(errp, "a reply has fewer bytes than it should");
        return false;
    }
    return true;
}

bool virtio_9p_load_record(V9fsVirtioState *v, void *block, size_t size,
                           Error **errp)
{
    MarshalReader r;
    uint8_t type;

    marshal_reader_init(&r, block, size);
    type = marshal_get_u8(&r);
    switch (type) {
    case RECORD_REQUEST:
        return virtio_9p_load_end(v, errp) && load_request(v, &r, errp);
    case RECORD_REPLY:
        return load_reply(v, &r, errp);
    default:
        error_setg(errp, "a record has the unknown type %u", type);
        return false;
    }
}

/*
 * The queue takes requests
 */

/* Descriptors or elements that the queue has given to the device */
static unsigned queue_in_use(V9fsVirtioState *v)
{
    g_autofree char *path = object_get_canonical_path(OBJECT(v));
    g_autoptr(VirtQueueStatus) status =
        qmp_x_query_virtio_queue_status(path, 0, NULL);

    return status ? status->inuse : 0;
}

/*
 * The requests must be those that the queue counts. A broken device's queue
 * gets nothing back, and counts differently.
 */
static bool queue_check(V9fsVirtioState *v, Error **errp)
{
    VirtIODevice *vdev = VIRTIO_DEVICE(v);
    bool packed = virtio_vdev_has_feature(vdev, VIRTIO_F_RING_PACKED);
    GPtrArray *requests = v->load->requests;
    unsigned size = virtio_queue_get_num(vdev, 0);
    unsigned used = 0;
    LoadedRequest *req;
    unsigned i;

    for (i = 0; i < requests->len; i++) {
        req = g_ptr_array_index(requests, i);
        used += packed ? req->elem->ndescs : 1;
        if (req->elem->ndescs > size || used > size) {
            error_setg(errp, "there are more requests than a queue of %u has "
                       "room for", size);
            return false;
        }
        /* The index is a number of the guest's own in a packed queue. */
        if (!packed && req->elem->index >= size) {
            error_setg(errp, "a request has the index %u, in a queue of %u",
                       req->elem->index, size);
            return false;
        }
    }
    if (used && virtio_vdev_has_feature(vdev, VIRTIO_F_IN_ORDER)) {
        error_setg(errp, "there are requests, with property 'in_order'");
        return false;
    }
    if (!vdev->broken && used != queue_in_use(v)) {
        error_setg(errp, "%u requests came, and the queue has %u", used,
                   queue_in_use(v));
        return false;
    }
    return true;
}

/* Export's thread */
static void queue_restore(void *opaque)
{
    V9fsVirtioState *v = opaque;
    GPtrArray *requests = v->load->requests;
    VirtQueueElement *elem;
    LoadedRequest *req;
    unsigned i;

    v->stopped = true;
    for (i = 0; i < requests->len; i++) {
        req = g_ptr_array_index(requests, i);
        elem = g_steal_pointer(&req->elem);
        p9_request_restore(p9_request_new(v->server), elem,
                           elem->out_sg, elem->out_num,
                           elem->in_sg, elem->in_num,
                           req->how == REQUEST_PARKED, req->total);
    }
}

bool virtio_9p_load_queue(V9fsVirtioState *v, Error **errp)
{
    bool ok = queue_check(v, errp);

    if (ok) {
        fs_context_run(v->ctx, queue_restore, v);
    }
    virtio_9p_load_drop(v);
    return ok;
}
