/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The end of requests. All of it belongs to the export's thread.
 */
#ifndef HW_9PFS_SERVER_END_H
#define HW_9PFS_SERVER_END_H

#include "request.h"

/*
 * Detached requests that a guest may have. Each has a coroutine with its stack.
 * Beyond that a Tflush waits, and new requests fail with EBUSY.
 */
#define P9_DETACHED_MAX     1024

/* The message's name, for people */
const char *p9_request_name(const P9Request *req);

/* The transport itself is broken (P9TransportOps). */
void p9_request_broken(P9Request *req, const char *why);

/*
 * Whether a request that ends with @ret has no reply: the guest flushed it, or
 * reset the device.
 */
bool p9_request_is_flushed(const P9Request *req, int ret);

/* Replies with the handler's result, and gives the request back. */
void p9_request_end(P9Request *req, int ret);

/*
 * Ends a request that was cancelled some time ago and still runs: the driver's
 * peer or the host's kernel does not answer. False if that is not possible now.
 * Not in a coroutine.
 */
bool p9_request_give_up(P9Request *req);
/* The same for all requests; their number */
unsigned p9_requests_give_up(P9Server *s);

/*
 * A coroutine that s->detached counts has ended. The last one of a server that
 * was freed has it destroyed.
 */
void p9_server_late(P9Server *s);

#endif /* HW_9PFS_SERVER_END_H */
