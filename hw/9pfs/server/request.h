/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Requests: their buffers, their replies, and the lists they are in.
 *
 * All of it belongs to the export's thread unless noted otherwise.
 */
#ifndef HW_9PFS_SERVER_REQUEST_H
#define HW_9PFS_SERVER_REQUEST_H

#include "internal.h"

/* Frees a request that is in no list. */
void p9_request_destroy(P9Request *req);

/* Sets up the server's lists of requests. Main thread. */
void p9_requests_init(P9Server *s);
/* Frees spare requests; no request is under way. Main thread. */
void p9_requests_destroy(P9Server *s);

/*
 * Makes @req a request that is under way; the arguments are those of
 * p9_request_submit(). p9_request_leave() ends that: @req is in no list any
 * more, and is ready to go back to the transport.
 */
void p9_request_enter(P9Request *req, void *elem,
                      struct iovec *out, unsigned out_num,
                      struct iovec *in, unsigned in_num, bool more);
void p9_request_leave(P9Request *req);

/*
 * Copies @size bytes of the message after its header out of guest memory,
 * and starts to read them with req->r.
 */
void p9_request_copy(P9Request *req, size_t size);

/* Puts req->tag into use; no other request has it. */
void p9_request_set_tag(P9Request *req);
/* The request under way with that tag, or NULL */
P9Request *p9_request_find(P9Server *s, uint16_t tag);

/* Asks the request's operation to stop. It may end at once. */
void p9_request_cancel(P9Request *req);

/*
 * The handler has done something that the client must learn about, so the
 * request gets its reply. If only p9_server_park() asked it to stop, it goes
 * on.
 */
void p9_request_commit(P9Request *req);

/*
 * Whether a request that ended with @ret did nothing, because p9_server_park()
 * asked it to stop: it must start again.
 */
bool p9_request_must_restart(const P9Request *req, int ret);

/* Bytes that the whole reply may have */
size_t p9_request_room(const P9Request *req);

/*
 * @bytes of the message from @offset on, or of the room for the reply, as a
 * scatter list of the request's own, which the caller may change.
 */
struct iovec *p9_request_out_iov(P9Request *req, size_t offset, size_t bytes,
                                 unsigned *num);
struct iovec *p9_request_in_iov(P9Request *req, size_t offset, size_t bytes,
                                unsigned *num);

/*
 * Makes room for a reply of @size bytes after the header. Call it before
 * anything is put into req->w.
 */
void p9_reply_reserve(P9Request *req, size_t size);

/*
 * Completes the reply in req->reply, and returns its size; *@head gets the
 * number of bytes in req->reply, and the others are in guest memory already.
 * *@ret is the result of the handler; it changes if the reply becomes an error
 * after all. Returns 0 when not even an error fits. It may be called again.
 */
size_t p9_reply_build(P9Request *req, int *ret, size_t *head);

/* The same, and writes the reply to guest memory. */
size_t p9_reply_write(P9Request *req, int *ret);

/* The errno that a reply gives to the client, whatever @ret of a driver is */
uint32_t p9_reply_errno(int ret);

/*
 * Begin and end go around a driver operation that writes to guest memory.
 * Begin waits while the VM is stopped. It returns -EINTR if the request was
 * cancelled during the wait, or is detached, and then the caller must not call
 * end. While the operation waits for the host, it may give the memory up
 * (fs_call_memory_put()).
 */
int coroutine_fn p9_move_begin(P9Request *req);
void p9_move_end(P9Request *req);
/* The VM continues: wakes all requests that wait in p9_move_begin(). */
void p9_moves_wake(P9Server *s);

/*
 * Returns whether the reply of a finished request must wait, because the VM is
 * stopped. If so, the request is at rest: in s->held with @ret, its result, or
 * parked, if it must start again.
 */
bool p9_request_hold(P9Request *req, int ret);

/*
 * Waits until *@count, one of the counts in P9Server, is 0. Returns false
 * if that takes longer than @seconds (0: no limit). Main thread, or the
 * export's thread; it serves its other bottom halves while it waits. A
 * coroutine of the main thread yields instead.
 */
bool coroutine_mixed_fn p9_requests_wait(P9Server *s, const unsigned *count,
                                         unsigned seconds);

#endif /* HW_9PFS_SERVER_REQUEST_H */
