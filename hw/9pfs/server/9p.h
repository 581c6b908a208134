/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The 9p server as a transport sees it.
 *
 * A transport takes a request off its queue, describes its bytes and the room
 * for the reply as scatter lists in guest memory, and submits it. The server
 * gives it back through ops->done with the length of the reply: from the same
 * call or later, in any order.
 *
 * Functions on a P9Request, and ops, run in the export's thread, which is that
 * of the AioContext given to p9_server_new(). The main thread (or a thread with
 * the big lock) makes, resets, stops and frees servers; these functions do
 * their work in the export's context and wait for it.
 */
#ifndef HW_9PFS_SERVER_9P_H
#define HW_9PFS_SERVER_9P_H

#include "hw/9pfs/fs/export.h"

typedef struct P9Server P9Server;
typedef struct P9Request P9Request;

typedef struct P9TransportOps {
    /*
     * The request has ended: @len bytes of reply are in its scatter list. 0
     * means that it was flushed before it did anything, or that the server was
     * reset. The transport frees it with p9_request_free().
     */
    void (*done)(P9Request *req, size_t len);
    /*
     * The transport itself is broken (a request shorter than a header, no
     * room for the shortest error): @req has ended without a reply. The device
     * must stop until it is reset. The transport frees @req. @why is for the
     * log.
     */
    void (*broken)(P9Request *req, const char *why);
} P9TransportOps;

/*
 * Makes a server that runs in @ctx. It joins the export with fs_export_join(),
 * which explains @owner and may fail.
 */
P9Server *p9_server_new(FsExport *fs, AioContext *ctx, const char *owner,
                        const P9TransportOps *ops, void *opaque, Error **errp);

/*
 * Ends all requests (see p9_server_reset) and all fids. The host's kernel may
 * still work for some of them: until that is over, the export counts as in use,
 * and @keep, if it is not NULL, is referenced, because it runs the context.
 */
void p9_server_free(P9Server *s, Object *keep);

/*
 * Cancels every request, waits until each has come back through ops->done
 * with length 0, and clunks all fids: for device reset and unplug. After a
 * second it gives up on requests that the host's kernel or a driver's peer does
 * not answer.
 */
void p9_server_reset(P9Server *s);

/*
 * The VM stops: guest memory must not change until p9_server_cont(). Waits for
 * requests whose file data is in flight. The others continue, and come back
 * through ops->done after p9_server_cont(). A stopped server may be reset.
 */
void p9_server_stop(P9Server *s);
void p9_server_cont(P9Server *s);

/*
 * Brings all requests to rest, so that they can be saved, while the VM stands
 * still: asks those that still run to end. One that did nothing yet starts
 * again at p9_server_cont(), here or where the VM goes on; the others get their
 * replies then. Waits for some seconds. Returns false with an error that names
 * the fsdev and a request that does not end; all go on with p9_server_cont().
 * Main thread, or one with the big lock.
 */
bool p9_server_park(P9Server *s, Error **errp);

/*
 * Calls @fn for each request, all at rest, in the order in which they are to
 * be restored. With @reply NULL, the request starts again. Else its reply has
 * @total bytes: the first @reply_size at @reply, and the others in guest
 * memory. 0 bytes mean that the guest flushed the request. As above.
 */
typedef void P9SaveRequest(void *opaque, void *elem, const void *reply,
                           size_t reply_size, size_t total);
void p9_server_save_requests(P9Server *s, P9SaveRequest *fn, void *opaque);

/* The pointer given to p9_server_new() */
void *p9_server_opaque(P9Server *s);

/*
 * A new request, and its submission: @elem belongs to the transport, @out has
 * the bytes of the request, and @in is the room for the reply. The arrays must
 * stay until ops->done or ops->broken. @more: the transport is about to submit
 * another request. The server reuses requests that were freed.
 */
P9Request *p9_request_new(P9Server *s);
void p9_request_submit(P9Request *req, void *elem,
                       struct iovec *out, unsigned out_num,
                       struct iovec *in, unsigned in_num, bool more);
/*
 * As p9_request_submit(), for a request that was saved: it stays at rest until
 * p9_server_cont(). @parked: it starts again then. Else its reply, of @total
 * bytes, is in guest memory.
 */
void p9_request_restore(P9Request *req, void *elem,
                        struct iovec *out, unsigned out_num,
                        struct iovec *in, unsigned in_num,
                        bool parked, size_t total);
void *p9_request_elem(P9Request *req);
P9Server *p9_request_server(P9Request *req);
void p9_request_free(P9Request *req);

#endif /* HW_9PFS_SERVER_9P_H */
