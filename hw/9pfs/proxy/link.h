/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The proxy driver's link to its helper: a channel and, after that one broke,
 * the next, if the options say so.
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
 * as the first one, and takes what it wants from @hello. The link's epoch is
 * the new helper's already.
 */
typedef bool ProxyReconnected(FsExport *fs, ProxyHello *hello, Error **errp);

/*
 * Takes over the first @peer and its @channel. @reconnected may be NULL if
 * @opts do not ask for reconnection.
 */
ProxyLink *proxy_link_new(FsExport *fs, const FsdevProxyOptions *opts,
                          bool readonly, ProxyPeer *peer,
                          ProxyChannel *channel,
                          ProxyReconnected *reconnected);

/* No operation may be under way. */
void proxy_link_free(ProxyLink *l);

/* The present channel, or the last one */
ProxyChannel *proxy_link_channel(const ProxyLink *l);

/* FsDriver.detach and attach: the export moves to another context */
void proxy_link_detach(ProxyLink *l);
void proxy_link_attach(ProxyLink *l);

/*
 * Process id of the helper, if QEMU started it and it has not ended, else 0.
 * Call it from the main thread.
 */
pid_t proxy_link_process(const ProxyLink *l);

/* How many helpers came before the present one: handles belong to one epoch. */
uint32_t proxy_link_epoch(const ProxyLink *l);

/* Whether another helper may come: nodes then have to be found again. */
bool proxy_link_reconnects(const ProxyLink *l);

typedef struct ProxyTry {
    ProxyLink *link;
    FsCall *call;
    uint32_t helper_epoch;
    bool begun;
    bool idle;                  /* there was no helper when it was made */
    /* Afterwards: whether an earlier try may have done the operation */
    bool doubt;
} ProxyTry;

/*
 * Whether to make a try: the first, or another because the channel broke in
 * the last one, which ended with *@ret. Waits for a helper if the options say
 * so. When it returns false, *@ret is the operation's result.
 */
bool coroutine_fn proxy_try(ProxyTry *t, int *ret);

#endif /* HW_9PFS_PROXY_LINK_H */
