/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * QEMU's end of the proxy channel in protocol version 1
 * (fsdev/shared/proto-v1.h): requests as coroutine calls. proxy/channel.h has
 * the channel's life.
 *
 * The channel has a single slot. An operation gets it with proxy_v1_begin() and
 * keeps it over as many requests as it needs, until proxy_v1_end(), so that no
 * other operation's request comes between two of them.
 *
 *     ret = proxy_v1_begin(ch, call, &req);
 *     if (ret < 0) {
 *         return ret;
 *     }
 *     marshal_put_str(proxy_v1_request(&req), path);
 *     ret = proxy_v1_response(&req, PROXY_V1_GETVERSION);
 *     if (ret == 0) {
 *         gen = marshal_get_u64(&req.r);
 *         ret = proxy_v1_check(&req);
 *     }
 *     proxy_v1_end(&req);
 *
 * Call everything from the channel's current AioContext unless noted
 * otherwise.
 */
#ifndef HW_9PFS_PROXY_V1_CODEC_H
#define HW_9PFS_PROXY_V1_CODEC_H

#include "fsdev/shared/proto-v1.h"
#include "hw/9pfs/proxy/channel.h"

/*
 * Asks the helper for its protocol version, over a channel that is only
 * prepared (proxy_channel_prepare()). Blocks until the answer comes, some
 * seconds at most. Returns a version of 1 or more, or -1 with an error.
 */
int proxy_v1_probe(ProxyChannel *ch, Error **errp);

/*
 * As proxy_channel_greet(), for version 1: asks for the root's attributes. It
 * blocks, some seconds at most.
 */
bool proxy_v1_greet(ProxyChannel *ch, Error **errp);

/*
 * Waits for the slot: 0 once the operation has it, -EINTR if the call was
 * cancelled before, -EIO if the helper is gone.
 */
int coroutine_fn proxy_v1_begin(ProxyChannel *ch, FsCall *call,
                                ProxyRequest *req);
void proxy_v1_end(ProxyRequest *req);

/* Begins a request, for its payload. Do not yield until you send it. */
MarshalWriter *proxy_v1_request(ProxyRequest *req);

/*
 * These send the request as @type and wait for the reply, also if the call is
 * cancelled, because the helper may have begun. They return the helper's
 * -errno; -EIO if the helper is gone or the call is abandoned; -ENAMETOOLONG if
 * the request is too long.
 *
 * proxy_v1_status() returns 0 or a length. After proxy_v1_response() the caller
 * reads the payload from req->r, before it yields, and calls proxy_v1_check():
 * -EIO, with a message, if the payload did not have the expected form.
 * proxy_v1_descriptor() returns a descriptor, which the caller closes.
 */
int coroutine_fn proxy_v1_status(ProxyRequest *req, ProxyV1Type type);
int coroutine_fn proxy_v1_response(ProxyRequest *req, ProxyV1Type type);
int proxy_v1_check(ProxyRequest *req);
int coroutine_fn proxy_v1_descriptor(ProxyRequest *req, ProxyV1Type type);

/* Reads LSTAT's payload; impossible values make the reader bad. */
void proxy_v1_get_attr(MarshalReader *r, FsAttr *attr);

#endif /* HW_9PFS_PROXY_V1_CODEC_H */
