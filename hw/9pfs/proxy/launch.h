/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * How the proxy driver reaches its helper: it starts one or connects to one.
 *
 * Call everything from the main thread.
 */
#ifndef HW_9PFS_PROXY_LAUNCH_H
#define HW_9PFS_PROXY_LAUNCH_H

#include "launch-options.h"

/* The helper at the other end, whether or not QEMU started it */
typedef struct ProxyPeer ProxyPeer;

/*
 * Connects as @opts say and puts the socket into *@sock; the caller closes it.
 * May take some seconds; a coroutine yields for that time. @id is the fsdev's;
 * @wanted is for a helper that QEMU starts. Errors name the option and its
 * value.
 */
ProxyPeer *proxy_launch(const char *id, const FsdevProxyOptions *opts,
                        const ProxyWanted *wanted, int *sock, Error **errp);

/* The same while the VM runs: fails if it would have to wait to connect. */
ProxyPeer *proxy_launch_again(const char *id, const FsdevProxyOptions *opts,
                              const ProxyWanted *wanted, int *sock,
                              Error **errp);

/*
 * Call it after HELLO failed with *@errp, when the socket is closed. Adds the
 * option that led to the helper to the error; if QEMU started the helper and it
 * failed, the error becomes how the helper ended, unless the helper @told the
 * error (proxy_channel_told()). Waits until the helper has
 * ended, or kills it after some seconds; a coroutine yields for that time.
 * Frees @peer.
 */
void proxy_launch_failed(ProxyPeer *peer, bool told, Error **errp);

/*
 * Runs @fn, which may wait, in a thread of the pool if the caller is a
 * coroutine, else here. Returns what it returns.
 */
int proxy_launch_run(int (*fn)(void *opaque), void *opaque);

/* The socket is closed: another export may use what it was connected to. */
void proxy_launch_closed(ProxyPeer *peer);

/* Process id of a helper that QEMU started and that has not ended, else 0 */
pid_t proxy_launch_process(const ProxyPeer *peer);

/*
 * Leaves the helper, whose socket the caller has closed or soon closes. A
 * helper that QEMU started ends then; QEMU waits for this in the background and
 * kills the helper after some seconds. Frees @peer.
 */
void proxy_launch_done(ProxyPeer *peer);

/* The same after QEMU lost the helper; an error report says how it ended. */
void proxy_launch_lost(ProxyPeer *peer);

#endif /* HW_9PFS_PROXY_LAUNCH_H */
