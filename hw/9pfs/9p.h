/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The 9p server as a transport sees it.
 *
 * A transport takes a request off its queue, describes its bytes and the room
 * for the reply as scatter lists in guest memory, and submits it; the server
 * gives it back through ops->done, with the length of the reply, from the same
 * call or later, in any order. Everything runs in the AioContext in which the
 * server was made.
 */
#ifndef HW_9PFS_9P_H
#define HW_9PFS_9P_H

#include "fsdriver.h"

typedef struct P9Server P9Server;
typedef struct P9Request P9Request;

typedef struct P9TransportOps {
    /*
     * The request is over: @len bytes of reply are in its scatter list, 0 for
     * a request that was flushed. It may be freed with p9_request_free().
     */
    void (*done)(P9Request *req, size_t len);
    /*
     * The transport itself is broken (a request shorter than a header, no
     * room for the shortest error): @req gets no reply. The device stops
     * until it is reset. @why is for the log.
     */
    void (*broken)(P9Request *req, const char *why);
} P9TransportOps;

/* @fs gets one more user. */
P9Server *p9_server_new(FsExport *fs, const P9TransportOps *ops, void *opaque);

/* Ends all requests (see p9_server_reset) and all fids. */
void p9_server_free(P9Server *s);

/*
 * Cancels every request, waits until each has come back through ops->done
 * with length 0, and clunks all fids: for device reset and unplug. Requests
 * that a driver's peer does not answer are given up after some seconds.
 */
void p9_server_reset(P9Server *s);

/* The pointer given to p9_server_new() */
void *p9_server_opaque(P9Server *s);

/*
 * A request for a transport to fill in: @elem is the transport's, @out the
 * bytes of the request, @in the room for the reply. The arrays must live
 * until ops->done. The server keeps requests for use again.
 */
P9Request *p9_request_new(P9Server *s);
void p9_request_submit(P9Request *req, void *elem,
                       struct iovec *out, unsigned out_num,
                       struct iovec *in, unsigned in_num);
void *p9_request_elem(P9Request *req);
P9Server *p9_request_server(P9Request *req);
void p9_request_free(P9Request *req);

#endif /* HW_9PFS_9P_H */
