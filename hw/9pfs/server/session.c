/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The session: agreeing on a version, attaching to the export's root, giving
 * up requests and fids.
 */
#include "qemu/osdep.h"
#include "qemu/cutils.h"
#include "qemu/error-report.h"
#include "qemu/timer.h"
#include "internal.h"
#include "hw/9pfs/trace.h"

/* Who a client is that tells neither a number nor a name that means one */
#define UID_NOBODY  65534

/* How long Tflush waits for what cannot be cancelled */
#define FLUSH_PATIENCE_S    10

/*
 * Plain 9P2000 is not among them: it has no errno, links or devices, and Linux'
 * client speaks one of these.
 */
static P9Dialect version_dialect(const char *version)
{
    return !strcmp(version, "9P2000.L") ? P9_DIALECT_L
           : !strcmp(version, "9P2000.u") ? P9_DIALECT_U : P9_DIALECT_NONE;
}

/*
 * Tversion msize[4] version[s] begins a session: whatever was before, requests
 * and fids, is over (version(5) of Plan 9). Until it is done, newer requests
 * are refused.
 */
int coroutine_fn p9_version(P9Request *req)
{
    P9Server *s = req->s;
    P9Request *old;
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
    /* Two of this kind do not wait for each other: only for older ones. */
    while (QTAILQ_FIRST(&s->requests) != req) {
        qemu_co_queue_wait(&s->ended, NULL);
    }
    p9_fids_clear(s);

    if (dialect == P9_DIALECT_NONE) {
        version = "unknown";
    } else if (msize < P9_MSIZE_MIN) {
        return -EMSGSIZE;
    } else {
        msize = MIN(msize, P9_MSIZE_MAX);
        /* A newer Tversion waits already: the session will be that one's. */
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

/*
 * Whose files a fid makes. Linux sends the user's number for each user, and
 * none where one attach serves all (access=any): then the name counts, if it
 * is root or a number.
 */
static uint32_t attach_uid(uint32_t n_uname, const char *uname)
{
    unsigned int uid;

    if (p9_id_valid(n_uname)) {
        return n_uname;
    }
    if (!strcmp(uname, "root")) {
        return 0;
    }
    if (qemu_strtoui(uname, NULL, 10, &uid) == 0 && p9_id_valid(uid)) {
        return uid;
    }
    return UID_NOBODY;
}

/*
 * Tattach fid[4] afid[4] uname[s] aname[s] n_uname[4]. There is one tree to
 * attach to, so aname, which would choose one, has no meaning here.
 */
int coroutine_fn p9_attach(P9Request *req)
{
    P9Server *s = req->s;
    FsNode *root = s->fs->root;
    g_autoptr(P9Fid) fid = NULL;
    uint32_t id, afid, n_uname;
    const char *uname, *aname;
    FsAttr attr;
    P9Qid qid;
    int ret;

    id = marshal_get_u32(&req->r);
    afid = marshal_get_u32(&req->r);
    uname = marshal_get_str(&req->r, NULL);
    aname = marshal_get_str(&req->r, NULL);
    n_uname = marshal_get_u32(&req->r);
    if (!marshal_done(&req->r)) {
        return -EINVAL;
    }
    trace_p9_attach(s, id, n_uname, uname, aname);
    if (afid != P9_NOFID) {
        return -EBADF;
    }

    /* In the table first: from here on the guest cannot be migrated. */
    fid = p9_fid_new(s, id, attach_uid(n_uname, uname), root, NULL);
    ret = p9_fid_insert(fid);
    if (ret < 0) {
        return ret;
    }
    ret = p9_driver(req)->getattr(&req->call, root, NULL, &attr);
    if (ret < 0) {
        p9_fid_remove(fid);
        return ret;
    }
    qid = p9_qid_make(&s->export->qids, &attr);
    p9_put_qid(&req->w, &qid);
    return 0;
}

static void flush_patience_over(void *opaque)
{
    P9Request *old = opaque;

    if (fs_call_abandon(&old->call)) {
        warn_report_once("fsdev '%s': a request that the guest flushed had "
                         "no answer for %d seconds; it is given up",
                         old->s->fs->id, FLUSH_PATIENCE_S);
    }
}

/*
 * Tflush oldtag[2]: Rflush once that request is over, whether it was stopped
 * in time or not. Tags that are not in use were answered before. Whoever is
 * silent for long does not keep the guest: the request then ends with an
 * error, as nobody knows what became of it.
 */
int coroutine_fn p9_flush(P9Request *req)
{
    P9Server *s = req->s;
    P9Request *old;
    QEMUTimer timer;
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
    /* A driver may have ended it from within. */
    if (p9_request_find(s, oldtag) == old) {
        /*
         * Only older requests are waited for, so no two can wait for each
         * other. @old may be another request when this returns: its end runs
         * us before anything else.
         */
        aio_timer_init(s->ctx, &timer, QEMU_CLOCK_REALTIME, SCALE_NS,
                       flush_patience_over, old);
        timer_mod(&timer, qemu_clock_get_ns(QEMU_CLOCK_REALTIME) +
                  FLUSH_PATIENCE_S * NANOSECONDS_PER_SECOND);
        qemu_co_queue_wait(&old->flushers, NULL);
        timer_del(&timer);
    }
    return 0;
}

/*
 * Tclunk fid[4]: the fid is gone whatever is answered (clunk(5) of Plan 9).
 * The attribute of a Txattrcreate is set now, and a file opened with ORCLOSE
 * removed; both may fail. A session that ends without Tclunk removes nothing.
 */
int coroutine_fn p9_clunk(P9Request *req)
{
    g_autoptr(P9Fid) fid = NULL;
    uint32_t id;

    id = marshal_get_u32(&req->r);
    if (!marshal_done(&req->r)) {
        return -EINVAL;
    }
    fid = p9_fid_get(req->s, id);
    if (!fid) {
        return -EBADF;
    }
    p9_fid_remove(fid);
    req->must_answer = true;
    if (fid->remove_on_clunk) {
        return p9_remove_fid(req, fid);
    }
    return fid->xattr ? p9_xattr_commit(req, fid) : 0;
}
