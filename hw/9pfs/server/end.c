/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The end of requests: the reply, the figures for query-fsdevs, and requests
 * that end before their coroutines do.
 */
#include "qemu/osdep.h"
#include "qemu/main-loop.h"
#include "qemu/timer.h"
#include "end.h"
#include "trace.h"
#include "hw/9pfs/trace.h"

const char *p9_request_name(const P9Request *req)
{
    return req->name ? req->name : "unknown";
}

void p9_request_broken(P9Request *req, const char *why)
{
    P9Server *s = req->s;

    p9_request_leave(req);
    trace_p9_request_broken(s, why);
    s->ops->broken(req, why);
}

/* Counts the request for query-fsdevs, and returns the time it took. */
static uint64_t p9_request_count(P9Request *req, bool error)
{
    unsigned type = req->name ? req->type : 0;
    P9MessageStats *stats = &req->s->export->messages[type];
    uint64_t ns = qemu_clock_get_ns(QEMU_CLOCK_REALTIME) - req->start_ns;

    stats->name = p9_request_name(req);
    stats->count++;
    stats->errors += error;
    stats->total_ns += ns;
    stats->max_ns = MAX(stats->max_ns, ns);
    return ns;
}

bool p9_request_is_flushed(const P9Request *req, int ret)
{
    return req->s->resetting ||
           (ret == -EINTR && req->cancel_sent && !req->must_answer);
}

void p9_request_end(P9Request *req, int ret)
{
    P9Server *s = req->s;
    size_t len = 0;
    uint64_t ns;

    if (!p9_request_is_flushed(req, ret)) {
        len = p9_reply_write(req, &ret);
        if (len == 0) {
            p9_request_broken(req, "no room for a 9p error reply");
            return;
        }
    }
    ns = p9_request_count(req, len && ret < 0);
    if (trace_event_get_state_backends(TRACE_P9_REPLY)) {
        trace_p9_reply(s->fs->id, req->tag, p9_request_name(req), req->type,
                       ret, ret < 0 ? g_strerror(p9_reply_errno(ret)) : "ok",
                       len, ns);
    }
    p9_request_leave(req);
    s->ops->done(req, len);
}

/*
 * Wakes what waits for the request's end. In a coroutine the woken ones run
 * when this one has ended: some wait again, and must not be woken twice.
 */
static void coroutine_fn p9_wake_co(void *opaque)
{
    P9Request *req = opaque;

    qemu_co_queue_restart_all(&req->flushers);
    qemu_co_queue_restart_all(&req->s->ended);
}

/*
 * Gives the request back to the transport with an error, although its coroutine
 * is still in the driver, which waits for the host's kernel. The outcome of the
 * operation is unknown, but the handler does not change the session any more,
 * nor the guest's memory. False if it writes there just now, which is soon
 * over, or if the VM is stopped. Not in a coroutine.
 */
static bool p9_request_detach(P9Request *req)
{
    P9Server *s = req->s;

    if (req->moving || (s->stopped && !s->resetting)) {
        return false;
    }
    req->detached = true;
    s->detached++;
    p9_request_end(req, -EIO);
    qemu_coroutine_enter(qemu_coroutine_create(p9_wake_co, req));
    return true;
}

bool p9_request_give_up(P9Request *req)
{
    if (!req->abandoned) {
        req->abandoned = true;
        if (fs_call_abandon(&req->call)) {
            return true;
        }
    }
    return (req->s->detached < P9_DETACHED_MAX || req->s->resetting) &&
           p9_request_detach(req);
}

void p9_server_late(P9Server *s)
{
    if (--s->detached == 0 && s->freed) {
        aio_bh_schedule_oneshot(qemu_get_aio_context(), s->destroy, s);
    }
}

unsigned p9_requests_give_up(P9Server *s)
{
    P9Request *req;
    unsigned n = 0;

    /* A request that ends may end others: look from the start each time. */
    do {
        QTAILQ_FOREACH(req, &s->requests, next) {
            if (p9_request_give_up(req)) {
                n++;
                break;
            }
        }
    } while (req);
    return n;
}
