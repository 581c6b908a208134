/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * QEMU's end of the proxy channel: the messages of protocol version 1.
 *
 * Theory of operation. Version 1 has no tags, so QEMU can match a reply only if
 * a single request is under way. The channel therefore has one slot, which an
 * operation keeps until it is over; the others wait for it in the order they
 * came. An abandoned operation loses the slot, which becomes free when the
 * reply has come and QEMU has discarded it.
 *
 * A reply has exactly the bytes that its header says, or four if the request
 * asks for a descriptor, and the helper sends nothing unasked. Anything else
 * breaks the channel. A malformed payload in a well-formed reply fails only its
 * own request, unless the request asked for a descriptor.
 */
#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qemu/error-report.h"
#include "hw/9pfs/host/fd-budget.h"
#include "hw/9pfs/proxy/channel-internal.h"
#include "codec.h"
#include "hw/9pfs/trace.h"

#define MESSAGE_MAX         (PROXY_V1_HEADER_SIZE + PROXY_V1_MAX_PAYLOAD)

static bool brings_fd(unsigned type)
{
    return type == PROXY_V1_OPEN || type == PROXY_V1_CREATE;
}

/*
 * Replies
 */

static uint32_t get_host_u32(const uint8_t *buf)
{
    uint32_t value;

    memcpy(&value, buf, sizeof(value));
    return value;
}

/* ProxyCodec.whole */
static int proxy_v1_whole(const ProxyStream *in, const ProxyRequest *req)
{
    bool wants_fd = brings_fd(req->type);
    const uint8_t *buf = in->buf + in->start;
    size_t have = in->end - in->start;
    size_t need = wants_fd ? sizeof(int32_t) : PROXY_V1_HEADER_SIZE;

    if (in->nfds > wants_fd || (in->fds_lost && !wants_fd)) {
        return -EPROTO;
    }
    if (!wants_fd && have >= need) {
        uint32_t type = get_host_u32(buf);
        uint32_t size = get_host_u32(buf + 4);

        if (size > PROXY_V1_MAX_PAYLOAD ||
            (type != PROXY_V1_SUCCESS && type != PROXY_V1_ERROR) ||
            (type == PROXY_V1_ERROR && size != sizeof(int32_t))) {
            return -EPROTO;
        }
        need += size;
    }
    return have > need ? -EPROTO : have == need;
}

/* Moves the reply, which is the whole stream, to its request. */
static void take_reply(ProxyStream *in, ProxyRequest *req)
{
    marshal_reader_init(&req->r, in->buf + in->start, in->end - in->start);
    req->ret = 0;
    req->nfds = in->nfds;
    req->fds_taken = 0;
    req->fds_lost = in->fds_lost;
    memcpy(req->fds, in->fds, in->nfds * sizeof(in->fds[0]));
    in->nfds = 0;
    in->fds_lost = false;
    in->start = in->end = 0;
}

/* ProxyCodec.take */
static ProxyRequest *proxy_v1_take(ProxyChannel *ch, ProxyStream *in)
{
    ProxyRequest *req = ch->slots[0];
    size_t size = in->end - in->start;
    int whole;

    if (size == 0) {
        return NULL;
    }
    if (!req || req->done) {
        proxy_break(ch, "the helper sent a reply without a request");
        return NULL;
    }
    whole = proxy_v1_whole(in, req);
    if (whole < 0) {
        proxy_break(ch, "the helper sent a malformed reply (%zu bytes)", size);
    }
    if (whole <= 0) {
        return NULL;
    }
    trace_proxy_v1_reply(ch->id, size, brings_fd(req->type));
    take_reply(in, req);
    return req;
}

/* ProxyCodec.discard */
static void proxy_v1_discard(ProxyChannel *ch, ProxyRequest *req)
{
    proxy_close_files(req->fds, req->nfds);
}

static const ProxyCodec proxy_v1_codec = {
    .whole = proxy_v1_whole,
    .take = proxy_v1_take,
    .discard = proxy_v1_discard,
    .keeps_slot = true,
    .tolerates_lost_fds = true,
    .closed = "the helper closed the connection",
    .unknown = "the helper answered with an unknown protocol version",
};

/* Turns the helper's error into one that a guest may see. */
static int clean_error(int32_t value)
{
    return value < 0 && value > -PROXY_KERNEL_ERRNO ? value : -EIO;
}

/* Result of a reply without descriptor; req->r is left at the payload. */
static int reply_result(ProxyRequest *req)
{
    uint32_t type = marshal_get_u32(&req->r);

    marshal_get_u32(&req->r);   /* the size, which was checked */
    return type == PROXY_V1_ERROR ? clean_error(marshal_get_u32(&req->r)) : 0;
}

static void get_time(MarshalReader *r, struct timespec *time)
{
    uint64_t nsec;

    time->tv_sec = marshal_get_u64(r);
    nsec = marshal_get_u64(r);
    if (nsec > 999999999) {
        marshal_fail(r);
    }
    time->tv_nsec = nsec;
}

void proxy_v1_get_attr(MarshalReader *r, FsAttr *attr)
{
    memset(attr, 0, sizeof(*attr));
    attr->dev = marshal_get_u64(r);
    attr->ino = marshal_get_u64(r);
    attr->nlink = marshal_get_u64(r);
    attr->mode = marshal_get_u32(r);
    attr->uid = marshal_get_u32(r);
    attr->gid = marshal_get_u32(r);
    attr->rdev = marshal_get_u64(r);
    attr->size = marshal_get_u64(r);
    attr->blksize = marshal_get_u64(r);
    attr->blocks = marshal_get_u64(r);
    get_time(r, &attr->atime);
    get_time(r, &attr->mtime);
    get_time(r, &attr->ctime);

    if (!fs_mode_is_valid(attr->mode)) {
        marshal_fail(r);
    }
}

/*
 * Requests
 */

int coroutine_fn proxy_v1_begin(ProxyChannel *ch, FsCall *call,
                                ProxyRequest *req)
{
    return proxy_slot_get(ch, call, req);
}

/* Whether the request has the slot: not if abandoned, or the channel broke */
static bool has_slot(const ProxyRequest *req)
{
    return req->ch->slots[req->slot] == req;
}

void proxy_v1_end(ProxyRequest *req)
{
    if (has_slot(req)) {
        proxy_slot_put(req->ch, req->slot);
    }
}

MarshalWriter *proxy_v1_request(ProxyRequest *req)
{
    proxy_out_begin(req, PROXY_V1_HEADER_SIZE, PROXY_V1_MAX_PAYLOAD);
    return &req->w;
}

/* Finishes the request in the out buffer, and returns its size. */
static size_t put_header(ProxyRequest *req, ProxyV1Type type)
{
    ProxyChannel *ch = req->ch;
    size_t size = marshal_size(&req->w);
    uint32_t head[] = { type, size - PROXY_V1_HEADER_SIZE };

    /* In host byte order */
    memcpy(ch->out + ch->out_end, head, sizeof(head));
    req->type = type;
    return size;
}

/* Sends the request and waits for the reply: 0; -EIO if there is none. */
static int coroutine_fn exchange(ProxyRequest *req, ProxyV1Type type)
{
    ProxyChannel *ch = req->ch;
    size_t size;

    if (!has_slot(req) || ch->broken) {
        return -EIO;
    }
    if (!marshal_fits(&req->w)) {
        return -ENAMETOOLONG;
    }
    size = put_header(req, type);
    ch->out_end += size;
    trace_proxy_v1_request(ch->id, type, size);
    return proxy_exchange(req);
}

int coroutine_fn proxy_v1_response(ProxyRequest *req, ProxyV1Type type)
{
    int ret = exchange(req, type);

    return ret < 0 ? ret : reply_result(req);
}

static void report_malformed(ProxyRequest *req)
{
    error_report_once("fsdev '%s': the helper sent a malformed reply to a "
                      "request of type %u", req->ch->id, req->type);
}

int proxy_v1_check(ProxyRequest *req)
{
    if (marshal_done(&req->r)) {
        return 0;
    }
    report_malformed(req);
    return -EIO;
}

int coroutine_fn proxy_v1_status(ProxyRequest *req, ProxyV1Type type)
{
    int ret = proxy_v1_response(req, type);
    int32_t value;

    if (ret < 0) {
        return ret;
    }
    value = marshal_get_u32(&req->r);
    ret = proxy_v1_check(req);
    if (ret < 0) {
        return ret;
    }
    return value < 0 ? clean_error(value) : value;
}

int coroutine_fn proxy_v1_descriptor(ProxyRequest *req, ProxyV1Type type)
{
    int ret = exchange(req, type);
    int32_t value;

    if (ret < 0) {
        return ret;
    }
    value = marshal_get_u32(&req->r);
    if (value == PROXY_V1_FD_COMES && req->nfds) {
        return req->fds[0];
    }
    if (value == PROXY_V1_FD_COMES && req->fds_lost) {
        host_fds_relieve();
        return -EMFILE;
    }
    if (value >= 0 || req->nfds) {
        proxy_close_files(req->fds, req->nfds);
        proxy_break(req->ch, "the helper sent a malformed reply to a request "
                    "of type %d", type);
        return -EIO;
    }
    return clean_error(value);
}

/*
 * Greeting
 */

/* Sends a request and waits for its reply before the channel serves. Blocks. */
static bool greet_exchange(ProxyRequest *req, ProxyV1Type type, Error **errp)
{
    ProxyChannel *ch = req->ch;
    size_t size = put_header(req, type);

    if (!proxy_hello_send(ch, ch->out + ch->out_end, size, errp) ||
        !proxy_hello_wait(ch, req, errp)) {
        return false;
    }
    take_reply(&ch->in, req);
    return true;
}

int proxy_v1_probe(ProxyChannel *ch, Error **errp)
{
    ProxyRequest req = { .ch = ch };
    MarshalWriter *w = proxy_v1_request(&req);
    int version;

    ch->codec = &proxy_v1_codec;
    marshal_put_u32(w, 0);
    marshal_put_str(w, "/");
    marshal_put_str(w, PROXY_V1_PROBE);
    assert(marshal_size(w) == PROXY_V1_HEADER_SIZE + PROXY_V1_PROBE_SIZE);
    if (!greet_exchange(&req, PROXY_V1_LGETXATTR, errp)) {
        return -1;
    }
    if (reply_result(&req) < 0) {
        return 1;
    }
    version = marshal_get_u32(&req.r);
    if (!marshal_done(&req.r) || version < 1) {
        error_setg(errp, "the helper does not say which protocol version it "
                   "speaks");
        return -1;
    }
    return version;
}

bool proxy_v1_greet(ProxyChannel *ch, Error **errp)
{
    ProxyHello *hello = &ch->hello;
    ProxyRequest req = { .ch = ch };
    int ret;

#if HOST_BIG_ENDIAN
    /* Version 1 has the host's byte order; the marshaller is little endian. */
    error_setg(errp, "protocol version 1 needs a little-endian host");
    return false;
#endif
    ch->codec = &proxy_v1_codec;
    marshal_put_str(proxy_v1_request(&req), "/");
    if (!greet_exchange(&req, PROXY_V1_LSTAT, errp)) {
        return false;
    }
    ret = reply_result(&req);
    if (ret < 0) {
        error_setg_errno(errp, -ret, "the helper cannot read the attributes "
                         "of its export");
        return false;
    }
    proxy_v1_get_attr(&req.r, &hello->root);
    if (!marshal_done(&req.r) || !S_ISDIR(hello->root.mode)) {
        error_setg(errp, "the helper's export is not a directory");
        return false;
    }
    hello->max_message = MESSAGE_MAX;
    hello->max_in_flight = 1;
    return true;
}
