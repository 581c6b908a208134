/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The proxy driver with a helper that speaks protocol version 1, if this build
 * has it.
 */
#ifndef HW_9PFS_PROXY_V1_PROXY_V1_H
#define HW_9PFS_PROXY_V1_PROXY_V1_H

#include "hw/9pfs/fs/export.h"
#include "hw/9pfs/proxy/channel.h"
#include "hw/9pfs/proxy/launch.h"

#ifdef CONFIG_VIRTFS_PROXY_V1

/*
 * The protocol version to speak over @channel, which is only prepared: that of
 * @opts, or else the helper's. Blocks while it asks the helper. -1 with an
 * error.
 */
int proxy_v1_version(const FsdevProxyOptions *opts, ProxyChannel *channel,
                     Error **errp);

/* Greets the helper in version 1. Blocks; any thread */
bool proxy_v1_greet_export(const FsdevProxyOptions *opts,
                           ProxyChannel *channel, Error **errp);

/*
 * The rest of FsDriver.open, for version 1: takes over @peer and @channel, and
 * puts its own driver into @fs.
 */
void proxy_v1_open_export(FsExport *fs, const FsdevProxyOptions *opts,
                          ProxyPeer *peer, ProxyChannel *channel);

#else

/* proxy_launch() refuses version 1. */
static inline int proxy_v1_version(const FsdevProxyOptions *opts,
                                   ProxyChannel *channel, Error **errp)
{
    return PROXY_VERSION;
}

static inline bool proxy_v1_greet_export(const FsdevProxyOptions *opts,
                                         ProxyChannel *channel, Error **errp)
{
    g_assert_not_reached();
}

static inline void proxy_v1_open_export(FsExport *fs,
                                        const FsdevProxyOptions *opts,
                                        ProxyPeer *peer, ProxyChannel *channel)
{
    g_assert_not_reached();
}

#endif

#endif /* HW_9PFS_PROXY_V1_PROXY_V1_H */
