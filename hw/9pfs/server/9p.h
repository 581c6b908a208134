/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The 9p server as a transport sees it.
 *
 * A transport takes a request off its queue, describes its bytes and the room
 * for the reply as scatter lists in guest memory, and submits it; the server
 * gives it back through ops->done, with the length of the reply, from the same
 * call or later, in any order. Requests are made and submitted, and ops called,
 * in the AioContext that the server was made for. Whoever makes, resets, stops
 * and frees servers is the main thread (or has the big lock), and waits until
 * that was done over there.
 */
#ifndef HW_9PFS_SERVER_9P_H
#define HW_9PFS_SERVER_9P_H

#include "hw/9pfs/fs/export.h"

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

/*
 * A server that runs in @ctx: see fs_export_join(), which it does, for @owner,
 * and why it may fail.
 */
P9Server *p9_server_new(FsExport *fs, AioContext *ctx, const char *owner,
                        const P9TransportOps *ops, void *opaque, Error **errp);

/* Ends all requests (see p9_server_reset) and all fids. */
void p9_server_free(P9Server *s);

/*
 * Cancels every request, waits until each has come back through ops->done
 * with length 0, and clunks all fids: for device reset and unplug. Requests
 * that a driver's peer does not answer are given up after some seconds.
 */
void p9_server_reset(P9Server *s);

/*
 * The VM stops: guest memory must not change any more until p9_server_cont().
 * Waits for those requests that file data is being moved for; the others go on
 * and do not come back through ops->done before. A stopped server may be reset.
 */
void p9_server_stop(P9Server *s);
void p9_server_cont(P9Server *s);

/* The pointer given to p9_server_new() */
void *p9_server_opaque(P9Server *s);

/*
 * A request for a transport to fill in: @elem is the transport's, @out the
 * bytes of the request, @in the room for the reply. The arrays must live
 * until ops->done. The server keeps requests for use again. @more: there are
 * others to be submitted at once.
 */
P9Request *p9_request_new(P9Server *s);
void p9_request_submit(P9Request *req, void *elem,
                       struct iovec *out, unsigned out_num,
                       struct iovec *in, unsigned in_num, bool more);
void *p9_request_elem(P9Request *req);
P9Server *p9_request_server(P9Request *req);
void p9_request_free(P9Request *req);

#endif /* HW_9PFS_SERVER_9P_H */
