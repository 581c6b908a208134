/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The proxy driver's link to its helper: a channel and, if the options ask for
 * it, another channel after the first one broke.
 *
 * Call from the export's thread unless noted otherwise.
 *
 * An operation that needs the helper is a loop, because it may have to begin
 * again with another helper:
 *
 *     ProxyTry t = { .link = link, .call = call };
 *
 *     while (proxy_try(&t, &ret)) {
 *         ret = ...;
 *     }
 *     return ret;
 */
#ifndef HW_9PFS_PROXY_LINK_H
#define HW_9PFS_PROXY_LINK_H

#include "channel.h"
#include "launch.h"

typedef struct ProxyLink ProxyLink;

/*
 * There is another helper: the driver checks that it serves the same directory
 * as the first one, and takes the root's descriptor from @hello. The link's
 * epoch is already the new helper's. Runs in the export's context.
 */
typedef bool ProxyReconnected(FsExport *fs, ProxyHello *hello, Error **errp);

/*
 * Takes over the first @peer and its @channel. @reconnected may be NULL if
 * @opts do not ask for reconnection. Main thread.
 */
ProxyLink *proxy_link_new(FsExport *fs, const FsdevProxyOptions *opts,
                          const ProxyWanted *wanted, ProxyPeer *peer,
                          ProxyChannel *channel,
                          ProxyReconnected *reconnected);

/* No operation may be under way. Main thread. */
void proxy_link_free(ProxyLink *l);

/* The present channel, or the last one */
ProxyChannel *proxy_link_channel(const ProxyLink *l);

/* FsDriver.detach, in the old context, and attach, in the main thread */
void proxy_link_detach(ProxyLink *l);
void proxy_link_attach(ProxyLink *l);

/*
 * Process id of the helper, if QEMU started it and it has not ended, else 0.
 * Main thread.
 */
pid_t proxy_link_process(const ProxyLink *l);

/* The number of helpers before the present one: each handle has one epoch. */
uint32_t proxy_link_epoch(const ProxyLink *l);

/* Whether another helper may come, after which nodes must be found again */
bool proxy_link_reconnects(const ProxyLink *l);

typedef struct ProxyTry {
    ProxyLink *link;
    FsCall *call;
    uint32_t helper_epoch;
    bool begun;
    bool idle;                  /* the channel was broken when it began */
    /* Result: whether an earlier try may have done the operation */
    bool doubt;
} ProxyTry;

/*
 * Whether to make a try: the first, or another because the last one ended with
 * *@ret when the channel broke, and the options ask to wait for a helper. When
 * it returns false, *@ret is the operation's result.
 */
bool coroutine_fn proxy_try(ProxyTry *t, int *ret);

#endif /* HW_9PFS_PROXY_LINK_H */
