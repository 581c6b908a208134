/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * How the proxy driver reaches its helper: it starts one, or connects to one.
 */
#ifndef HW_9PFS_PROXY_LAUNCH_H
#define HW_9PFS_PROXY_LAUNCH_H

#include "qapi/qapi-types-fsdev.h"

/* The helper at the other end; also when somebody else started it. */
typedef struct ProxyPeer ProxyPeer;

/*
 * Connects as @opts says and puts the socket, the caller's to close, into
 * *@sock. @id is the fsdev's; @readonly is for a helper that is started.
 * Errors name the option and its value.
 */
ProxyPeer *proxy_launch(const char *id, const FsdevProxyOptions *opts,
                        bool readonly, int *sock, Error **errp);

/*
 * The same while the VM runs: does not wait for a helper that takes no
 * connection, but fails then.
 */
ProxyPeer *proxy_launch_again(const char *id, const FsdevProxyOptions *opts,
                              bool readonly, int *sock, Error **errp);

/*
 * The HELLO with the helper failed with *@errp, and the socket is closed:
 * adds what became of a helper that was started, and whose it was. Frees
 * @peer.
 */
void proxy_launch_failed(ProxyPeer *peer, Error **errp);

/* Process id of a helper that was started and has not ended yet, else 0 */
pid_t proxy_launch_process(const ProxyPeer *peer);

/*
 * Leaves the helper: one that was started ends because its socket was closed,
 * and is waited for in the background. Frees @peer.
 */
void proxy_launch_done(ProxyPeer *peer);

/* The same for one that was lost: what became of it will be told. */
void proxy_launch_lost(ProxyPeer *peer);

#endif /* HW_9PFS_PROXY_LAUNCH_H */
