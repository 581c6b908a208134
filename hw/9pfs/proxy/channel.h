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

    /* The channel's own */
    ProxyChannel *ch;
    FsCall *call;
    Coroutine *co;              /* NULL: abandoned */
    unsigned type;              /* in the numbers of its protocol version */
    uint32_t slot;
    int ret;
    bool done;                  /* it waits neither for a slot nor a reply */
    int fds[PROXY_MESSAGE_FDS];
    unsigned nfds;
    unsigned fds_taken;
    bool fds_lost;              /* version 1: this process had no room */
    QTAILQ_ENTRY(ProxyRequest) next;
} ProxyRequest;

/* The helper's description of itself in its HELLO */
typedef struct ProxyHello {
    uint32_t features;          /* PROXY_FEATURE_* */
    uint32_t max_message;       /* bytes that it takes in one message */
    uint32_t max_in_flight;
    uint32_t pid;
    bool donates;               /* it donated its root */
    bool ring;                  /* messages go through shared memory */
    int root_fd;                /* O_PATH, or -1; the driver takes it */
    FsAttr root;
    ProxyIdRange *uids;
    unsigned n_uids;
    ProxyIdRange *gids;
    unsigned n_gids;
} ProxyHello;

/*
 * Sends HELLO over the connected stream socket @fd and waits some seconds for
 * the answer. The channel takes over @fd, also on failure. @id is the fsdev's,
 * for messages. @ring: whether messages go through shared memory; with "on" it
 * is an error if the helper cannot do that.
 */
ProxyChannel *proxy_channel_new(AioContext *ctx, const char *id, int fd,
                                bool donate, OnOffAuto ring, Error **errp);

/*
 * The same in three steps: prepare, greet, serve. Greet may take seconds, so it
 * may run in any thread; proxy_channel_hurry(), from another thread, makes it
 * fail at once. After a failure the caller can only free the channel.
 */
ProxyChannel *proxy_channel_prepare(AioContext *ctx, const char *id, int fd);
bool proxy_channel_greet(ProxyChannel *ch, bool donate, OnOffAuto ring,
                         Error **errp);
/* After a failure: whether its error is what the helper itself said */
bool proxy_channel_told(const ProxyChannel *ch);
void proxy_channel_serve(ProxyChannel *ch);
void proxy_channel_hurry(ProxyChannel *ch);

/*
 * Moves the channel to another context: detach it in the old one (or, before it
 * serves, in any thread), then attach it in any thread. No other thread may use
 * the channel in between, and only abandoned requests may be under way. A new
 * channel is attached.
 */
void proxy_channel_detach(ProxyChannel *ch);
void proxy_channel_attach(ProxyChannel *ch, AioContext *ctx);

/*
 * When the helper is gone or broke the protocol, the channel calls @lost once,
 * in the channel's context, after it has ended all requests under way. @lost
 * must not free the channel.
 */
typedef void ProxyLost(void *opaque, const char *why);
void proxy_channel_on_lost(ProxyChannel *ch, ProxyLost *lost, void *opaque);

/* Whether the channel is broken: every request fails from now on */
bool proxy_channel_broken(const ProxyChannel *ch);

/* Frees the channel. Only abandoned requests may be under way. */
void proxy_channel_free(ProxyChannel *ch);

/* How many threads still close the sockets of freed channels. Any thread. */
unsigned proxy_closing(void);

ProxyHello *proxy_channel_hello(ProxyChannel *ch);

/*
 * Gets a slot among the requests in flight, waiting for one if necessary, and
 * sets up req->w for a payload of fixed parts, names and @extra more bytes.
 * -EINTR if the call was cancelled while it waited, -EIO if the helper is gone.
 */
int coroutine_fn proxy_begin(ProxyChannel *ch, FsCall *call, ProxyRequest *req,
                             ProxyType type, size_t extra);

/*
 * Sends the request and waits for its reply, also if the call is cancelled,
 * because the helper may have begun. Returns 0, or -errno if the request is
 * over: the reply's error, -EIO if the helper is gone or the call is abandoned,
 * -E2BIG if the message is longer than the helper takes.
 */
int coroutine_fn proxy_call(ProxyRequest *req);

/* The reply's next descriptor; if there is none, -1, and the reply is bad. */
int proxy_take_fd(ProxyRequest *req);

/*
 * Ends a request after the caller has read its reply: 0, or -EIO if the reply
 * was malformed, had more bytes than the caller read, or brought more
 * descriptors than the caller took. A bad reply breaks the channel.
 */
int proxy_finish(ProxyRequest *req);

/* proxy_call() and proxy_finish() of a request whose reply is empty */
int coroutine_fn proxy_call_empty(ProxyRequest *req);

/*
 * Sends ADOPT: the helper gets a duplicate of @fd as the handle @handle
 * (PROXY_ADOPTED), before any later request. False if QEMU cannot send it now.
 */
bool proxy_adopt(ProxyChannel *ch, uint64_t handle, int fd);

/* Gives @count references to @handle back, with the next FORGET. */
void proxy_forget(ProxyChannel *ch, uint64_t handle, uint32_t count);

#endif /* HW_9PFS_PROXY_CHANNEL_H */
