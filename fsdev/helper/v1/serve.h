/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Serving a client of protocol version 1, a QEMU before 9.2: the one way into
 * this folder. The rest of the helper knows version 1 only by its frames, to
 * tell a client's version (channel_hello()).
 */
#ifndef FSDEV_HELPER_V1_SERVE_H
#define FSDEV_HELPER_V1_SERVE_H

#include "fsdev/helper/channel.h"
#include "fsdev/shared/hostfs.h"

#ifdef CONFIG_VIRTFS_PROXY_V1

/*
 * Serves the connection until it ends. channel_hello() must have found version
 * 1; it left the first request in the channel.
 */
void serve_v1(Channel *c, const HostFs *fs);

#else

static inline void serve_v1(Channel *c, const HostFs *fs)
{
    channel_break(c, "the client speaks protocol version 1, which this build "
                  "does not support");
}

#endif

#endif /* FSDEV_HELPER_V1_SERVE_H */
