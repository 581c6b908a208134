/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * QEMU's end of the proxy channel (fsdev/shared/proto.h): requests to the
 * helper as coroutine calls.
 *
 * A call is made in three steps:
 *
 *     ret = proxy_begin(ch, call, &req, PROXY_GETATTR, 0);
 *     if (ret < 0) {
 *         return ret;
 *     }
 *     marshal_put_u64(&req.w, handle);
 *     ret = proxy_call(&req);
 *     if (ret < 0) {
 *         return ret;
 *     }
 *     proxy_get_attr(&req.r, attr);
 *     return proxy_finish(&req);
 *
 * req.w and req.r lie in the channel's own buffers: the coroutine must not
 * yield between proxy_begin() and proxy_call(), nor between proxy_call() and
 * proxy_finish().
 *
 * proxy-v1/codec.h has these calls for protocol version 1.
 *
 * Call everything from the channel's current AioContext unless noted
 * otherwise.
 */
#ifndef HW_9PFS_PROXY_CHANNEL_H
#define HW_9PFS_PROXY_CHANNEL_H

#include "fsdev/shared/proto.h"
#include "hw/9pfs/fs/export.h"
#include "qapi/qapi-types-common.h"

typedef struct ProxyChannel ProxyChannel;

/* One request; lives on the caller's stack. */
typedef struct ProxyRequest {
    MarshalWriter w;            /* for the payload, after proxy_begin() */
    MarshalReader r;            /* payload after error[4], after proxy_call() */

    /* The rest belongs to the channel */
    ProxyChannel *ch;
    FsCall *call;
    Coroutine *co;              /* NULL: abandoned */
    unsigned type;              /* in the numbers of its protocol version */
    uint32_t slot;
    int ret;
    bool done;                  /* no reply and no slot is awaited */
    int fds[PROXY_MESSAGE_FDS];
    unsigned nfds;
    unsigned fds_taken;
    bool fds_lost;              /* version 1: this process had no room */
    QTAILQ_ENTRY(ProxyRequest) next;
} ProxyRequest;

/* What the helper said of itself in its HELLO */
typedef struct ProxyHello {
    uint32_t features;          /* PROXY_FEATURE_* */
    uint32_t max_message;       /* bytes that it takes in one message */
    uint32_t max_in_flight;
    uint32_t pid;
    bool donates;               /* whether it donated its root */
    bool ring;                  /* messages go through shared memory */
    int root_fd;                /* that, or -1; the driver takes it */
    FsAttr root;
    ProxyIdRange *uids;
    unsigned n_uids;
    ProxyIdRange *gids;
    unsigned n_gids;
} ProxyHello;

/*
 * Says HELLO over the connected stream socket @fd and waits some seconds for
 * the answer. The channel owns @fd from here on, also on failure. @id is the
 * fsdev's, for messages. @ring: whether messages should go through shared
 * memory; with "on" it is an error if the helper cannot.
 */
ProxyChannel *proxy_channel_new(AioContext *ctx, const char *id, int fd,
                                bool donate, OnOffAuto ring, Error **errp);

/*
 * The same in three steps, because the second may take seconds: it may run in
 * any thread, and proxy_channel_hurry() makes it fail at once. After failure
 * the channel can only be freed.
 */
ProxyChannel *proxy_channel_prepare(AioContext *ctx, const char *id, int fd);
bool proxy_channel_greet(ProxyChannel *ch, bool donate, OnOffAuto ring,
                         Error **errp);
void proxy_channel_serve(ProxyChannel *ch);
void proxy_channel_hurry(ProxyChannel *ch);

/*
 * Moves the channel to another context: detach it in the old one, then attach
 * it in any thread while no other uses it. Only abandoned requests may be
 * under way. A new channel is attached.
 */
void proxy_channel_detach(ProxyChannel *ch);
void proxy_channel_attach(ProxyChannel *ch, AioContext *ctx);

/*
 * The channel calls @lost once, in its context, when the helper is gone or
 * broke the protocol, after all requests under way have ended. @lost must not
 * free the channel.
 */
typedef void ProxyLost(void *opaque, const char *why);
void proxy_channel_on_lost(ProxyChannel *ch, ProxyLost *lost, void *opaque);

/* Whether no request can be made any more */
bool proxy_channel_broken(const ProxyChannel *ch);

/* Only abandoned requests may be under way. */
void proxy_channel_free(ProxyChannel *ch);

ProxyHello *proxy_channel_hello(ProxyChannel *ch);

/*
 * Gets a slot among the requests in flight, waiting for one if necessary, and
 * sets up req->w for a payload of fixed parts, names and @extra bytes more.
 * -EINTR if the call was cancelled while it waited, -EIO if the helper is gone.
 */
int coroutine_fn proxy_begin(ProxyChannel *ch, FsCall *call, ProxyRequest *req,
                             ProxyType type, size_t extra);

/*
 * Sends the request and waits for its reply, also if the call is cancelled:
 * the helper may have begun. Returns the reply's error (-errno), in which case
 * the request is over; -EIO when the helper is gone or the call is abandoned,
 * -E2BIG for a message longer than the helper takes.
 */
int coroutine_fn proxy_call(ProxyRequest *req);

/* The reply's next descriptor; if it has none the reply is bad, and -1. */
int proxy_take_fd(ProxyRequest *req);

/*
 * Ends a request whose reply was read: 0, or -EIO if the reply was malformed,
 * longer than what was read, or brought more descriptors than were taken. A
 * bad reply closes the channel.
 */
int proxy_finish(ProxyRequest *req);

/* proxy_call() and proxy_finish() of a request whose reply is empty */
int coroutine_fn proxy_call_empty(ProxyRequest *req);

/*
 * Gives the helper @fd, which stays the caller's, as the handle @handle
 * (PROXY_ADOPTED), before any later request. False if it cannot go out now.
 */
bool proxy_adopt(ProxyChannel *ch, uint64_t handle, int fd);

/* The next FORGET gives @count references to @handle back. */
void proxy_forget(ProxyChannel *ch, uint64_t handle, uint32_t count);

#endif /* HW_9PFS_PROXY_CHANNEL_H */
