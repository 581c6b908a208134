/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * QEMU's end of the proxy channel in protocol version 1 (fsdev/shared/proto-v1.h):
 * one request at a time, as coroutine calls.
 *
 * An operation gets its turn with proxy_v1_begin() and keeps it over as many
 * requests as it needs, until proxy_v1_end(). So nobody else's request comes
 * between two of them.
 *
 *     ret = proxy_v1_begin(ch, call, &turn);
 *     if (ret < 0) {
 *         return ret;
 *     }
 *     marshal_put_str(proxy_v1_request(&turn), path);
 *     ret = proxy_v1_response(&turn, PROXY_V1_GETVERSION);
 *     if (ret == 0) {
 *         gen = marshal_get_u64(&turn.r);
 *         ret = proxy_v1_check(&turn);
 *     }
 *     proxy_v1_end(&turn);
 *
 * Everything runs in the AioContext that the channel was made for, but what
 * says that it blocks.
 */
#ifndef HW_9PFS_PROXY_V1_CHANNEL_H
#define HW_9PFS_PROXY_V1_CHANNEL_H

#include "fsdev/shared/marshal.h"
#include "fsdev/shared/proto-v1.h"
#include "hw/9pfs/fs/export.h"

typedef struct ProxyV1Channel ProxyV1Channel;

/* One operation's turn; lives on the caller's stack. */
typedef struct ProxyV1Turn {
    MarshalWriter w;            /* payload, after proxy_v1_request() */
    MarshalReader r;            /* payload, after proxy_v1_response() */

    /* The rest is the channel's */
    ProxyV1Channel *ch;
    FsCall *call;
    Coroutine *co;
    ProxyV1Type type;
    int ret;
    bool done;
    bool lost;                  /* it was abandoned, or the helper is gone */
    QTAILQ_ENTRY(ProxyV1Turn) next;
} ProxyV1Turn;

/*
 * Asks the helper at the other end of @sock for its protocol version, which is
 * 1 or more, and waits some seconds for the answer. It blocks. -1 with an
 * error.
 */
int proxy_v1_probe(int sock, Error **errp);

/*
 * A channel over the connected stream socket @sock, which is its own from here
 * on even if that fails, to a helper of version 1. @id is the fsdev's, for
 * messages. Asks for the root's attributes, and blocks meanwhile. @on_broken is
 * called with @opaque and the reason when the helper is lost.
 */
ProxyV1Channel *proxy_v1_channel_new(AioContext *ctx, const char *id, int sock,
                                  FsAttr *root,
                                  void (*on_broken)(void *opaque,
                                                    const char *why),
                                  void *opaque, Error **errp);

/*
 * The channel goes to another context: detached in the old one, attached in any
 * thread when nobody else has it. Nobody may have a turn or wait for one. A new
 * channel is attached.
 */
void proxy_v1_channel_detach(ProxyV1Channel *ch);
void proxy_v1_channel_attach(ProxyV1Channel *ch, AioContext *ctx);

/* Nobody may have a turn or wait for one. */
void proxy_v1_channel_free(ProxyV1Channel *ch);

/*
 * Waits for a turn: 0 when it came, -EINTR if the call was cancelled before,
 * -EIO if the helper is gone.
 */
int coroutine_fn proxy_v1_begin(ProxyV1Channel *ch, FsCall *call,
                              ProxyV1Turn *turn);
void proxy_v1_end(ProxyV1Turn *turn);

/* Begins a request: where its payload goes. No yield until it is sent. */
MarshalWriter *proxy_v1_request(ProxyV1Turn *turn);

/*
 * These send what was begun, as @type, and wait for the reply, also if the call
 * is cancelled: the helper may have begun. -errno is what the helper said, or
 * -EIO when it is gone or the call is abandoned, -ENAMETOOLONG for a request
 * that is too long.
 *
 * A status is 0 or a length. After a response its payload is in turn->r until
 * the next request, to be read and then checked: -EIO if it was not what it
 * should be, which is told of. The descriptor is the caller's.
 */
int coroutine_fn proxy_v1_status(ProxyV1Turn *turn, ProxyV1Type type);
int coroutine_fn proxy_v1_response(ProxyV1Turn *turn, ProxyV1Type type);
int proxy_v1_check(ProxyV1Turn *turn);
int coroutine_fn proxy_v1_descriptor(ProxyV1Turn *turn, ProxyV1Type type);

/* LSTAT's payload; what cannot be makes the reader bad. */
void proxy_v1_get_attr(MarshalReader *r, FsAttr *attr);

#endif /* HW_9PFS_PROXY_V1_CHANNEL_H */
