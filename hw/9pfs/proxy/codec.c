/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * QEMU's end of the proxy channel: the messages of protocol version 2. See
 * fsdev/shared/proto.h.
 *
 * A request's tag is the number of its slot and, in the bits above, a serial
 * number, so that QEMU does not mistake a reply to an earlier request in the
 * same slot for this one's.
 *
 * FORGETs leave before the next request, or after a few milliseconds if there
 * is none: the helper's handles keep deleted files on the disk.
 */
#include "qemu/osdep.h"
#include "qemu/defer-call.h"
#include "channel-internal.h"
#include "hw/9pfs/trace.h"

/* user[4], PROXY_FEATURE_USERS */
#define USER_SIZE   4

/*
 * Requests
 */

/* ProxyCodec.put_forgets */
static void put_forgets(ProxyChannel *ch)
{
    size_t size = PROXY_HEADER_SIZE + 2 + PROXY_FORGET_MAX * 12;
    guint pos = 0;

    while (pos < ch->forgets->len) {
        guint n = MIN(ch->forgets->len - pos, PROXY_FORGET_MAX);
        ProxyHeader header = { .type = PROXY_FORGET };
        MarshalWriter w;

        proxy_out_reserve(ch, size);
        marshal_writer_init(&w, ch->out + ch->out_end, size);
        marshal_reserve(&w, PROXY_HEADER_SIZE);
        marshal_put_u16(&w, n);
        for (; n > 0; n--, pos++) {
            ProxyForget *f = &g_array_index(ch->forgets, ProxyForget, pos);

            marshal_put_u64(&w, f->handle);
            marshal_put_u32(&w, f->count);
        }
        header.size = marshal_size(&w);
        proxy_header_put(&header, ch->out + ch->out_end);
        ch->out_end += header.size;
        trace_proxy_forget(ch->id, (header.size - PROXY_HEADER_SIZE) / 12,
                           header.size);
    }
    g_array_set_size(ch->forgets, 0);
    timer_del(ch->flush_timer);
}

int coroutine_fn proxy_begin(ProxyChannel *ch, FsCall *call, ProxyRequest *req,
                             ProxyType type, size_t extra)
{
    int ret;

    req->type = type;
    ret = proxy_slot_get(ch, call, req);
    if (ret < 0) {
        return ret;
    }
    if (ch->forgets->len) {
        /* First, so that the helper donates a forgotten node anew. */
        put_forgets(ch);
    }
    proxy_out_begin(req, PROXY_HEADER_SIZE,
                    PROXY_PAYLOAD_MAX + USER_SIZE + extra);
    if (ch->hello.features & PROXY_FEATURE_USERS) {
        marshal_put_u32(&req->w, call->user);
    }
    return 0;
}

int coroutine_fn proxy_call(ProxyRequest *req)
{
    ProxyChannel *ch = req->ch;
    size_t size = marshal_size(&req->w);
    ProxyHeader header = { .size = size, .type = req->type };

    if (!marshal_fits(&req->w) || size > ch->hello.max_message) {
        proxy_slot_put(ch, req->slot);
        return -E2BIG;
    }
    header.tag = (++ch->serial * PROXY_SLOTS_MAX) | req->slot;
    ch->tags[req->slot] = header.tag;
    proxy_header_put(&header, ch->out + ch->out_end);
    ch->out_end += size;
    trace_proxy_request(ch->id, header.tag, proxy_type_name(req->type), size);
    return proxy_exchange(req);
}

int proxy_take_fd(ProxyRequest *req)
{
    if (req->fds_taken == req->nfds) {
        marshal_fail(&req->r);
        return -1;
    }
    return req->fds[req->fds_taken++];
}

int proxy_finish(ProxyRequest *req)
{
    unsigned rest = req->nfds - req->fds_taken;

    if (marshal_done(&req->r) && rest == 0) {
        return 0;
    }
    proxy_close_files(req->fds + req->fds_taken, rest);
    req->fds_taken = req->nfds;
    proxy_break(req->ch, "the helper sent a malformed %s reply",
                proxy_type_name(req->type));
    return -EIO;
}

int coroutine_fn proxy_call_empty(ProxyRequest *req)
{
    int ret = proxy_call(req);

    return ret < 0 ? ret : proxy_finish(req);
}

/*
 * Messages without a reply
 */

void proxy_forget(ProxyChannel *ch, uint64_t handle, uint32_t count)
{
    ProxyForget f = { .handle = handle, .count = count };

    if (ch->broken) {
        return;
    }
    if (ch->forgets->len == 0) {
        proxy_flush_later(ch);
    }
    g_array_append_val(ch->forgets, f);
}

bool proxy_adopt(ProxyChannel *ch, uint64_t handle, int fd)
{
    size_t size = PROXY_HEADER_SIZE + 8;
    ProxyHeader header = { .size = size, .type = PROXY_ADOPT, .nfds = 1 };
    MarshalWriter w;
    int copy;

    if (ch->n_out_fds == PROXY_ADOPT_MAX) {
        proxy_flush(ch);
    }
    /* The helper limits how many descriptors may precede their messages. */
    if (ch->n_out_fds == PROXY_ADOPT_MAX || ch->out_waits || ch->broken) {
        return false;
    }
    copy = fcntl(fd, F_DUPFD_CLOEXEC, 0);
    if (copy < 0) {
        return false;
    }
    if (ch->forgets->len) {
        put_forgets(ch);
    }
    proxy_out_reserve(ch, size);
    proxy_header_put(&header, ch->out + ch->out_end);
    marshal_writer_init(&w, ch->out + ch->out_end, size);
    marshal_reserve(&w, PROXY_HEADER_SIZE);
    marshal_put_u64(&w, handle);
    ch->out_end += size;
    ch->out_fds[ch->n_out_fds++] = copy;
    trace_proxy_adopt(ch->id, handle);
    defer_call(proxy_flush, ch);
    return true;
}

/*
 * Replies
 */

/* Descriptors that a reply may bring: those of its nodes and its open file */
static unsigned reply_max_fds(unsigned type)
{
    switch (type) {
    case PROXY_HELLO:
    case PROXY_OPEN:
    case PROXY_FIND:
        return 1;
    case PROXY_WALK:
    case PROXY_CREATE:
        return PROXY_REPLY_FDS_MAX;
    default:
        return 0;
    }
}

/*
 * Whether a whole message is at the start of the stream: 1 or 0. Its header
 * goes into *@h. -EPROTO if the header is impossible.
 */
static int next_message(const ProxyStream *in, ProxyHeader *h)
{
    size_t have = in->end - in->start;

    if (have < PROXY_HEADER_SIZE) {
        return 0;
    }
    proxy_header_get(h, in->buf + in->start);
    if (h->size < PROXY_HEADER_SIZE + 4 || h->size > PROXY_MAX_MESSAGE ||
        !(h->type & PROXY_REPLY) ||
        h->nfds > reply_max_fds(h->type & ~PROXY_REPLY)) {
        return -EPROTO;
    }
    if (have < h->size) {
        return 0;
    }
    return h->nfds <= in->nfds ? 1 : -EPROTO;
}

/* Moves the message with the header @h from the stream to @req. */
static int take_message(ProxyStream *in, const ProxyHeader *h,
                        ProxyRequest *req)
{
    uint32_t err;

    marshal_reader_init(&req->r, in->buf + in->start + PROXY_HEADER_SIZE,
                        h->size - PROXY_HEADER_SIZE);
    err = marshal_get_u32(&req->r);
    if (err >= PROXY_KERNEL_ERRNO && err <= PROXY_MAX_ERRNO) {
        err = EIO;
    }
    if (err &&
        (err > PROXY_MAX_ERRNO || h->nfds || !marshal_done(&req->r))) {
        return -EPROTO;
    }
    req->ret = -(int)err;
    req->nfds = h->nfds;
    req->fds_taken = 0;
    memcpy(req->fds, in->fds, h->nfds * sizeof(in->fds[0]));
    in->nfds -= h->nfds;
    memmove(in->fds, in->fds + h->nfds, in->nfds * sizeof(in->fds[0]));

    in->start += h->size;
    if (in->start == in->end) {
        in->start = in->end = 0;
    }
    return 0;
}

int proxy_take_message(ProxyStream *in, ProxyHeader *h, ProxyRequest *req)
{
    proxy_header_get(h, in->buf + in->start);
    return take_message(in, h, req);
}

/* ProxyCodec.whole */
static int proxy_whole(const ProxyStream *in, const ProxyRequest *req)
{
    ProxyHeader h;

    return next_message(in, &h);
}

/* ProxyCodec.take */
static ProxyRequest *proxy_take(ProxyChannel *ch, ProxyStream *in)
{
    ProxyHeader h;
    ProxyRequest *req;
    uint32_t slot;
    unsigned type;
    int ret = next_message(in, &h);

    if (ret == 0) {
        return NULL;
    }
    slot = h.tag & (PROXY_SLOTS_MAX - 1);
    type = h.type & ~PROXY_REPLY;
    if (ret < 0) {
        proxy_break(ch, "the helper sent a malformed message "
                    "(type %s, %" PRIu32 " bytes, %u descriptors)",
                    proxy_type_name(type), h.size, h.nfds);
        return NULL;
    }
    req = slot < ch->n_slots ? ch->slots[slot] : NULL;
    if (!req || h.tag != ch->tags[slot] || req->type != type) {
        proxy_break(ch, "the helper answered a request that was not made "
                    "(type %s, tag %" PRIu32 ")", proxy_type_name(type), h.tag);
        return NULL;
    }
    if (take_message(in, &h, req) < 0) {
        proxy_break(ch, "the helper sent a malformed error reply (type %s)",
                    proxy_type_name(type));
        return NULL;
    }
    if (trace_event_get_state_backends(TRACE_PROXY_REPLY)) {
        trace_proxy_reply(ch->id, h.tag, proxy_type_name(type), req->ret,
                          req->ret < 0 ? g_strerror(-req->ret) : "ok",
                          h.size, h.nfds);
    }
    ch->tags[slot] = 0;
    return req;
}

/* ProxyCodec.discard: closes descriptors and gives back handles. */
static void proxy_discard(ProxyChannel *ch, ProxyRequest *req)
{
    MarshalReader *r = &req->r;
    unsigned attrs = 0;
    FsAttr attr;

    proxy_close_files(req->fds, req->nfds);
    if (req->type == PROXY_WALK) {
        attrs = MIN(marshal_get_u16(r), FS_WALK_MAX);
    } else if (req->type == PROXY_CREATE || req->type == PROXY_FIND) {
        attrs = 1;
    }
    if (attrs) {
        while (attrs--) {
            proxy_get_attr(r, &attr);
        }
        while (marshal_left(r)) {
            uint64_t handle = marshal_get_u64(r);

            marshal_get_u8(r);
            if (marshal_ok(r) && handle && handle != PROXY_ROOT_HANDLE) {
                proxy_forget(ch, handle, 1);
            }
        }
    }
}

const ProxyCodec proxy_codec = {
    .whole = proxy_whole,
    .take = proxy_take,
    .discard = proxy_discard,
    .put_forgets = put_forgets,
    .closed = "the helper closed the connection: it does not speak protocol "
              "version " stringify(PROXY_VERSION) ", or cannot serve",
    .unknown = "the helper does not speak protocol version "
               stringify(PROXY_VERSION),
};
