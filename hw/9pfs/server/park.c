/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Requests at rest. A VM is saved with the requests that its guest waits for.
 *
 * While the VM is stopped, a request that ends is at rest in s->held: it gets
 * its reply when the VM goes on. Others may run for long, as a Tlock that waits
 * for a lock, or wait for guest memory. p9_server_park() asks those to end. A
 * request that has done nothing yet is parked: it is at rest in s->requests,
 * and starts again from its bytes in guest memory when the VM goes on. One that
 * has done something ends, and is held. A Tflush ends as soon as the request
 * that it waits for is held, and stands behind it.
 *
 * Where the VM goes on, requests at rest are restored, and p9_server_cont()
 * does the same with them. If the VM goes on here, because it could not be
 * saved, nothing else is needed.
 *
 * Guest memory must not change before that: it may have been saved already.
 */
#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qemu/bswap.h"
#include "qemu/iov.h"
#include "end.h"
#include "park.h"
#include "hw/9pfs/fs/context.h"
#include "hw/9pfs/trace.h"

/*
 * How long saving waits for requests that cannot be asked to end. The guest
 * stands still for that time.
 */
#define PARK_PATIENCE_S     5

P9Request *p9_request_first_parked(P9Server *s)
{
    P9Request *req;

    QTAILQ_FOREACH(req, &s->requests, next) {
        if (req->parked) {
            break;
        }
    }
    return req;
}

/* Requests that wait for older ones look whether they were asked to end. */
static void coroutine_fn park_wake_co(void *opaque)
{
    P9Server *s = opaque;

    qemu_co_queue_restart_all(&s->ended);
}

static void park_begin(void *opaque)
{
    P9Server *s = opaque;
    P9Request *req;

    /* One that ends may end others: look from the start each time. */
    do {
        QTAILQ_FOREACH(req, &s->requests, next) {
            if (!req->at_rest && !req->park_sent && !req->must_answer) {
                req->park_sent = true;
                fs_call_cancel(&req->call);
                break;
            }
        }
    } while (req);
    qemu_coroutine_enter(qemu_coroutine_create(park_wake_co, s));
}

/* The request that keeps the server from being saved, if there is one */
typedef struct ParkCheck {
    P9Server *s;
    const char *name;
    uint16_t tag;
    unsigned detached;
} ParkCheck;

static void park_check(void *opaque)
{
    ParkCheck *check = opaque;
    P9Request *req;

    check->detached = check->s->detached;
    QTAILQ_FOREACH(req, &check->s->requests, next) {
        if (!req->at_rest) {
            check->name = p9_request_name(req);
            check->tag = req->tag;
            break;
        }
    }
}

bool p9_server_park(P9Server *s, Error **errp)
{
    ParkCheck check = { .s = s };

    fs_context_run(s->ctx, park_begin, s);
    p9_requests_wait(s, &s->running, PARK_PATIENCE_S);
    fs_context_run(s->ctx, park_check, &check);
    trace_p9_park(s->fs->id, check.name ? check.name : "", check.detached);
    if (check.name) {
        error_setg(errp, "virtio-9p: fsdev '%s': the guest's request '%s' with "
                   "tag %u has not ended within %d seconds", s->fs->id,
                   check.name, check.tag, PARK_PATIENCE_S);
        return false;
    }
    if (check.detached) {
        error_setg(errp, "virtio-9p: fsdev '%s': the host's kernel still works "
                   "on %u operations that had no answer", s->fs->id,
                   check.detached);
        return false;
    }
    return true;
}

void p9_server_save_requests(P9Server *s, P9SaveRequest *fn, void *opaque)
{
    P9Request *req;
    size_t total, head;

    QSIMPLEQ_FOREACH(req, &s->held, held_next) {
        if (p9_request_is_flushed(req, req->held_ret)) {
            fn(opaque, req->elem, req->reply, 0, 0);
            continue;
        }
        total = p9_reply_build(req, &req->held_ret, &head);
        /* One without room for an error finds that again. */
        fn(opaque, req->elem, total ? req->reply : NULL, head, total);
    }
    QTAILQ_FOREACH(req, &s->requests, next) {
        if (req->parked) {
            fn(opaque, req->elem, NULL, 0, 0);
        }
    }
}

void p9_request_restore(P9Request *req, void *elem,
                        struct iovec *out, unsigned out_num,
                        struct iovec *in, unsigned in_num,
                        bool parked, size_t total)
{
    P9Server *s = req->s;
    uint8_t header[P9_HEADER_SIZE] = { 0 };

    /* The VM has not run here yet, or was stopped before. */
    s->stopped = true;
    p9_request_enter(req, elem, out, out_num, in, in_num, false);
    iov_to_buf(out, out_num, 0, header, sizeof(header));
    req->type = header[4];
    req->tag = lduw_le_p(header + 5);
    req->restored = total;
    /* p9_request_hold() sees by these what the request was. */
    req->park_sent = parked;
    req->cancel_sent = !parked && !total;
    trace_p9_restore(s->fs->id, req->tag, req->type, total, parked);
    p9_request_hold(req, total ? 0 : -EINTR);
}
