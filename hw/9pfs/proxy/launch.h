/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * How the proxy driver reaches its helper: it starts one or connects to one.
 */
#ifndef HW_9PFS_PROXY_LAUNCH_H
#define HW_9PFS_PROXY_LAUNCH_H

#include "qapi/qapi-types-fsdev.h"

/* The helper at the other end, whether or not QEMU started it */
typedef struct ProxyPeer ProxyPeer;

/*
 * Connects as @opts say and puts the socket, the caller's to close, into
 * *@sock. @id is the fsdev's; @readonly is for a helper that QEMU starts.
 * Errors name the option and its value.
 */
ProxyPeer *proxy_launch(const char *id, const FsdevProxyOptions *opts,
                        bool readonly, int *sock, Error **errp);

/* The same while the VM runs: fails if it would have to wait. */
ProxyPeer *proxy_launch_again(const char *id, const FsdevProxyOptions *opts,
                              bool readonly, int *sock, Error **errp);

/*
 * Call it when the HELLO with the helper failed with *@errp and the socket is
 * closed: it adds the option that led to the helper, and how a helper that QEMU
 * started has ended. Frees @peer.
 */
void proxy_launch_failed(ProxyPeer *peer, Error **errp);

/* Process id of a helper that QEMU started and that has not ended, else 0 */
pid_t proxy_launch_process(const ProxyPeer *peer);

/*
 * Leaves the helper. One that QEMU started ends because its socket was closed,
 * and QEMU waits for its end in the background. Frees @peer.
 */
void proxy_launch_done(ProxyPeer *peer);

/* The same after losing the helper: a message says how it ended. */
void proxy_launch_lost(ProxyPeer *peer);

#endif /* HW_9PFS_PROXY_LAUNCH_H */
