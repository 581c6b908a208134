/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The proxy driver's link to its helper: a channel, and after that one broke
 * the next, if the options say so.
 *
 * An operation that needs the helper is a loop, as it may have to begin anew
 * with another helper:
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
 * A helper that is there again: the driver looks whether it serves what the
 * first one did, and takes what it wants from @hello. The link's number is the
 * new helper's already.
 */
typedef bool ProxyFound(FsExport *fs, ProxyHello *hello, Error **errp);

/* Takes over the first @peer and its @channel. */
ProxyLink *proxy_link_new(FsExport *fs, const FsdevProxyOptions *opts,
                          bool readonly, ProxyPeer *peer,
                          ProxyChannel *channel, ProxyFound *found);

/* No operation may be under way. */
void proxy_link_free(ProxyLink *l);

/* The channel of now, or the last one */
ProxyChannel *proxy_link_channel(const ProxyLink *l);

/* The export goes to another context: FsDriver.detach and attach */
void proxy_link_detach(ProxyLink *l);
void proxy_link_attach(ProxyLink *l);

/*
 * Process id of the helper, if it was started and has not ended, else 0. Main
 * thread.
 */
pid_t proxy_link_process(const ProxyLink *l);

/* How many there were before it: a handle belongs to one of them. */
uint32_t proxy_link_number(const ProxyLink *l);

/* Whether there may be another: nodes then have to be found again. */
bool proxy_link_reconnects(const ProxyLink *l);

typedef struct ProxyTry {
    ProxyLink *link;
    FsCall *call;
    uint32_t number;
    bool begun;
    bool idle;                  /* there was no helper when it was made */
    /* Afterwards: an earlier try may have done what was asked for. */
    bool doubt;
} ProxyTry;

/*
 * Whether to make a try: the first, or another because the channel broke in
 * the last one, which ended with *@ret. Waits for a helper if the options say
 * so. When it returns false *@ret is what the operation ends with.
 */
bool coroutine_fn proxy_try(ProxyTry *t, int *ret);

#endif /* HW_9PFS_PROXY_LINK_H */
