/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The session: version, flush and clunk.
 */
#include "qemu/osdep.h"
#include "qemu/error-report.h"
#include "qemu/timer.h"
#include "messages.h"
#include "hw/9pfs/trace.h"

/* How long Tflush waits for an operation that cannot be cancelled */
#define FLUSH_PATIENCE_S    10

/* The same of Tversion, for all requests of the session before */
#define VERSION_PATIENCE_S  10

/* A wait for one request, or for all that are older */
typedef struct Patience {
    QEMUTimer timer;
    P9Request *req;
} Patience;

static void patience_set(Patience *p, unsigned seconds)
{
    timer_mod(&p->timer, qemu_clock_get_ns(QEMU_CLOCK_REALTIME) +
              seconds * NANOSECONDS_PER_SECOND);
}

static void patience_start(Patience *p, P9Request *req, unsigned seconds,
                           QEMUTimerCB *over)
{
    p->req = req;
    aio_timer_init(req->s->ctx, &p->timer, QEMU_CLOCK_REALTIME, SCALE_NS, over,
                   p);
    patience_set(p, seconds);
}

static void version_patience_over(void *opaque)
{
    Patience *p = opaque;
    P9Request *old;

    /* One at a time: with the last of them, @p ends. */
    QTAILQ_FOREACH(old, &p->req->s->requests, next) {
        if (old == p->req) {
            break;
        }
        patience_set(p, 0);
        if (p9_request_give_up(old)) {
            return;
        }
    }
    patience_set(p, 1);
}

/*
 * Plain 9P2000 is not supported: it has no errno, links or devices, and Linux'
 * client speaks one of these two.
 */
static P9Dialect version_dialect(const char *version)
{
    return !strcmp(version, "9P2000.L") ? P9_DIALECT_L
           : !strcmp(version, "9P2000.u") ? P9_DIALECT_U : P9_DIALECT_NONE;
}

/*
 * Tversion msize[4] version[s] begins a session, and ends all requests and fids
 * of the one before (version(5) of Plan 9). Until it is done, newer requests
 * are refused.
 */
int coroutine_fn p9_version(P9Request *req)
{
    P9Server *s = req->s;
    P9Request *old;
    Patience patience;
    P9Dialect dialect;
    uint32_t msize;
    const char *version;

    msize = marshal_get_u32(&req->r);
    version = marshal_get_str(&req->r, NULL);
    if (!marshal_done(&req->r)) {
        return -EINVAL;
    }

    /* A client that asks for a dialect can read its errors. */
    dialect = version_dialect(version);
    req->dialect = dialect;
    s->msize = 0;
    s->dialect = P9_DIALECT_NONE;
    QTAILQ_FOREACH(old, &s->requests, next) {
        if (old == req) {
            break;
        }
        p9_request_cancel(old);
    }
    /* It waits for older requests, so no two Tversion wait for each other. */
    patience_start(&patience, req, VERSION_PATIENCE_S, version_patience_over);
    while (QTAILQ_FIRST(&s->requests) != req && !req->detached &&
           !req->park_sent) {
        qemu_co_queue_wait(&s->ended, NULL);
    }
    timer_del(&patience.timer);
    if (req->detached) {
        return -EINTR;          /* it is not in the list any more */
    }
    if (QTAILQ_FIRST(&s->requests) != req) {
        return -EINTR;          /* the older ones stay until it starts again */
    }
    p9_fids_clear(s);

    if (dialect == P9_DIALECT_NONE) {
        version = "unknown";
    } else if (msize < P9_MSIZE_MIN) {
        return -EMSGSIZE;
    } else {
        msize = MIN(msize, P9_MSIZE_MAX);
        /* If a newer Tversion waits already, the session will be that one's. */
        if (!req->cancel_sent) {
            s->msize = msize;
            s->dialect = dialect;
        }
    }
    trace_p9_version(s, version, s->msize);

    marshal_put_u32(&req->w, msize);
    marshal_put_str(&req->w, version);
    return 0;
}

static void flush_patience_over(void *opaque)
{
    Patience *p = opaque;
    P9Request *old = p->req;

    /* Again, if it cannot be given up just now. @p ends with it. */
    patience_set(p, 1);
    if (p9_request_give_up(old)) {
        warn_report_once("fsdev '%s': a request that the guest flushed had "
                         "no answer for %d seconds; giving up on it",
                         old->s->fs->id, FLUSH_PATIENCE_S);
    }
}

/*
 * Tflush oldtag[2]: Rflush goes out when the request with that tag has ended,
 * whether or not it was stopped in time. If no request has the tag, it was
 * answered before. If a driver's peer or the host's kernel does not answer for
 * long, the old request ends with an error, because its outcome is unknown.
 */
int coroutine_fn p9_flush(P9Request *req)
{
    P9Server *s = req->s;
    P9Request *old;
    Patience patience;
    uint16_t oldtag;

    oldtag = marshal_get_u16(&req->r);
    if (!marshal_done(&req->r)) {
        return -EINVAL;
    }
    old = p9_request_find(s, oldtag);
    trace_p9_flush(s, req->tag, oldtag, old != NULL);
    if (!old || old == req) {
        return 0;
    }
    p9_request_cancel(old);
    /* The driver may have ended it inside p9_request_cancel(). */
    if (p9_request_find(s, oldtag) == old) {
        /*
         * A Tflush waits for an older request, so no two wait for each
         * other. The end of @old runs this coroutine before anything else, so
         * the timer never sees @old in use again. After the wait, @old may be
         * another request.
         */
        patience_start(&patience, old, FLUSH_PATIENCE_S, flush_patience_over);
        qemu_co_queue_wait(&old->flushers, NULL);
        timer_del(&patience.timer);
    }
    return 0;
}

/*
 * Tclunk fid[4]: the fid is gone whatever the reply says (clunk(5) of Plan 9).
 * Tclunk sets the attribute of a Txattrcreate, and removes a file that was
 * opened with ORCLOSE; both may fail. A session that ends without Tclunk
 * removes nothing.
 */
int coroutine_fn p9_clunk(P9Request *req)
{
    g_autoptr(P9Fid) fid = NULL;
    uint32_t id;
    int ret;

    id = marshal_get_u32(&req->r);
    ret = p9_request_any(req, id, &fid);
    if (ret < 0) {
        return ret;
    }
    p9_fid_remove(fid);
    p9_request_commit(req);
    if (fid->remove_on_clunk) {
        return p9_remove_fid(req, fid);
    }
    return fid->xattr ? p9_xattr_commit(req, fid) : 0;
}
