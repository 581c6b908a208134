/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The server: its life, the table of messages, and their dispatch. This file is
 * the highest layer of the folder.
 *
 * A transport submits a request, and gets it back through ops->done exactly
 * once: with a reply or, if the request was flushed before it did anything,
 * with none. Each request is a coroutine, so a handler that waits for its
 * driver does not hold up the others.
 *
 * Tflush (flush(5) of Plan 9) cancels: the driver stops waiting if it can, and
 * if it did nothing, the request ends without a reply. Otherwise the reply goes
 * out as usual. Rflush follows in both cases.
 *
 * The host's kernel may keep a driver's thread for good, with a file server
 * that does not answer. Neither Tflush nor Tversion nor a reset waits for that:
 * after a while the request is detached (p9_request_detach()). Its coroutine
 * stays until the kernel returns, and the server, the export and the IOThread
 * stay with it.
 *
 * A client's mistakes are answered with Rlerror, or with Rerror in a session
 * of 9P2000.u. A request that has no header, or no room for that error, means
 * that the transport is broken: ops->broken takes it.
 */
#include "qemu/osdep.h"
#include "qemu/bswap.h"
#include "qemu/error-report.h"
#include "qemu/iov.h"
#include "qemu/main-loop.h"
#include "qemu/timer.h"
#include "migration/misc.h"
#include "lock-state.h"
#include "messages.h"
#include "park.h"
#include "trace.h"
#include "hw/9pfs/fs/context.h"
#include "hw/9pfs/trace.h"

/*
 * How long a reset waits for operations that cannot be cancelled. The whole
 * machine stands still for that time.
 */
#define RESET_PATIENCE_S    1

/* How long stopping the VM waits for data that is being moved */
#define STOP_PATIENCE_S     10

/*
 * One message type of some dialects. @reply is the minimum size of its reply
 * after the header; the room is checked before the handler runs. Read-only
 * exports refuse messages that set @changes. Tlopen, Topen and Twstat may
 * change files, and Tremove clunks its fid in any case: they check for
 * themselves.
 */
typedef struct P9Op {
    const char *name;
    P9Handler *handler;
    enum {
        IN_L = 1 << P9_DIALECT_L,
        IN_U = 1 << P9_DIALECT_U,
        IN_BOTH = IN_L | IN_U,
    } dialects;
    uint16_t reply;
    bool changes;
} P9Op;

static const P9Op p9_ops[] = {
    [P9_TSTATFS] = { "statfs", p9_statfs, IN_L, 60 },
    [P9_TLOPEN] = { "lopen", p9_lopen, IN_L, P9_QID_SIZE + 4 },
    [P9_TLCREATE] = { "lcreate", p9_lcreate, IN_L, P9_QID_SIZE + 4, true },
    [P9_TSYMLINK] = { "symlink", p9_symlink, IN_L, P9_QID_SIZE, true },
    [P9_TMKNOD] = { "mknod", p9_mknod, IN_L, P9_QID_SIZE, true },
    [P9_TRENAME] = { "rename", p9_rename, IN_L, 0, true },
    [P9_TREADLINK] = { "readlink", p9_readlink, IN_L, 2 },
    [P9_TGETATTR] = { "getattr", p9_getattr, IN_L, 153 },
    [P9_TSETATTR] = { "setattr", p9_setattr, IN_L, 0, true },
    [P9_TXATTRWALK] = { "xattrwalk", p9_xattrwalk, IN_L, 8 },
    [P9_TXATTRCREATE] = { "xattrcreate", p9_xattrcreate, IN_L, 0, true },
    [P9_TREADDIR] = { "readdir", p9_readdir, IN_L, 4 },
    [P9_TFSYNC] = { "fsync", p9_fsync, IN_L, 0 },
    [P9_TLOCK] = { "lock", p9_lock, IN_L, 1 },
    [P9_TGETLOCK] = { "getlock", p9_getlock, IN_L, 1 + 8 + 8 + 4 + 2 },
    [P9_TLINK] = { "link", p9_link, IN_L, 0, true },
    [P9_TMKDIR] = { "mkdir", p9_mkdir, IN_L, P9_QID_SIZE, true },
    [P9_TRENAMEAT] = { "renameat", p9_renameat, IN_L, 0, true },
    [P9_TUNLINKAT] = { "unlinkat", p9_unlinkat, IN_L, 0, true },
    [P9_TVERSION] = { "version", p9_version, IN_BOTH, 4 + 2 + 8 },
    [P9_TATTACH] = { "attach", p9_attach, IN_BOTH, P9_QID_SIZE },
    [P9_TFLUSH] = { "flush", p9_flush, IN_BOTH, 0 },
    [P9_TWALK] = { "walk", p9_walk, IN_BOTH, 2 },
    [P9_TOPEN] = { "open", p9_open, IN_U, P9_QID_SIZE + 4 },
    [P9_TCREATE] = { "create", p9_create, IN_U, P9_QID_SIZE + 4, true },
    [P9_TREAD] = { "read", p9_read, IN_BOTH, 4 },
    [P9_TWRITE] = { "write", p9_write, IN_BOTH, 4, true },
    [P9_TCLUNK] = { "clunk", p9_clunk, IN_BOTH, 0 },
    [P9_TREMOVE] = { "remove", p9_remove, IN_BOTH, 0 },
    [P9_TSTAT] = { "stat", p9_stat, IN_U, 2 + P9_STAT_SIZE },
    [P9_TWSTAT] = { "wstat", p9_wstat, IN_U, 0 },
    /* There is no Tauth: no user needs to authenticate. */
};

static const P9Op *p9_op(uint8_t type)
{
    QEMU_BUILD_BUG_ON(ARRAY_SIZE(p9_ops) > P9_MESSAGES);
    if (type >= ARRAY_SIZE(p9_ops) || !p9_ops[type].handler) {
        return NULL;
    }
    return &p9_ops[type];
}

static void coroutine_fn p9_request_finish(P9Request *req, int ret)
{
    /* The woken requests run when this coroutine has ended: after the reply. */
    qemu_co_queue_restart_all(&req->flushers);
    qemu_co_queue_restart_all(&req->s->ended);
    p9_request_end(req, ret);
}

static void coroutine_fn p9_request_restart(P9Request *req);

/* The coroutine of a detached request has ended. */
static void p9_request_late(P9Request *req)
{
    P9Server *s = req->s;

    trace_p9_late(s->fs->id, req->tag, p9_request_name(req));
    p9_request_destroy(req);
    p9_server_late(s);
}

static void coroutine_fn p9_request_co(void *opaque)
{
    P9Request *req = opaque;
    int ret;

    fs_call_begin(&req->call);
    ret = p9_ops[req->type].handler(req);
    fs_call_end(&req->call);
    if (req->detached) {
        p9_request_late(req);
    } else if (p9_request_hold(req, ret)) {
        /* Their replies come after this one, which is in line now. */
        qemu_co_queue_restart_all(&req->flushers);
    } else if (p9_request_must_restart(req, ret)) {
        /* The VM goes on, because another request did not end. */
        p9_request_restart(req);
    } else {
        p9_request_finish(req, ret);
    }
}

/*
 * Parses the header, makes the checks that all messages share, and copies the
 * message. Returns 0 or the error for the reply.
 */
static int p9_request_take(P9Request *req)
{
    P9Server *s = req->s;
    uint8_t header[P9_HEADER_SIZE];
    const P9Op *op;
    size_t head;

    iov_to_buf(req->out, req->out_num, 0, header, sizeof(header));
    req->size = ldl_le_p(header);
    req->type = header[4];
    req->tag = lduw_le_p(header + 5);

    op = p9_op(req->type);
    req->name = op ? op->name : NULL;
    if (req->size < P9_HEADER_SIZE || req->size > req->out_size) {
        return -EINVAL;
    }
    if (s->msize && req->size > s->msize) {
        return -EMSGSIZE;
    }
    /* Tags have no defined meaning until the session is set up. */
    if (req->type != P9_TVERSION) {
        if (p9_request_find(s, req->tag)) {
            return -EINVAL;
        }
        p9_request_set_tag(req);
        if (!s->msize) {
            return -EPROTO;
        }
    }
    if (s->detached >= P9_DETACHED_MAX) {
        return -EBUSY;
    }
    if (!op || (s->msize && !(op->dialects & 1 << s->dialect))) {
        return -EOPNOTSUPP;
    }
    if (p9_request_room(req) < P9_HEADER_SIZE + op->reply) {
        return -EMSGSIZE;
    }
    if (op->changes && s->fs->readonly) {
        return -EROFS;
    }

    head = req->size;
    if (req->type == P9_TWRITE) {
        head = MIN(head, P9_TWRITE_HEADER);
    } else if (head > P9_REQUEST_HEAD_MAX) {
        return -EMSGSIZE;
    }
    p9_request_copy(req, head - P9_HEADER_SIZE);
    return 0;
}

/* Traces the request; with its fields if p9_request_take() accepted it. */
static void p9_request_trace(P9Request *req, int ret)
{
    g_autofree char *fields = NULL;

    if (ret == 0) {
        fields = p9_trace_fields(req->type, req->head, marshal_left(&req->r));
    }
    trace_p9_request(req->s->fs->id, req->tag, p9_request_name(req),
                     req->type, req->size, fields ? fields : "");
}

void p9_request_submit(P9Request *req, void *elem,
                       struct iovec *out, unsigned out_num,
                       struct iovec *in, unsigned in_num, bool more)
{
    int ret;

    p9_request_enter(req, elem, out, out_num, in, in_num, more);
    if (req->out_size < P9_HEADER_SIZE) {
        p9_request_broken(req, "a 9p request without a whole header");
        return;
    }
    ret = req->s->resetting ? -EINTR : p9_request_take(req);
    if (trace_event_get_state_backends(TRACE_P9_REQUEST)) {
        p9_request_trace(req, ret);
    }
    if (ret < 0) {
        if (!p9_request_hold(req, ret)) {
            p9_request_end(req, ret);
        }
        return;
    }
    qemu_coroutine_enter(qemu_coroutine_create(p9_request_co, req));
}

/* Handles a request again that did nothing. It is the newest then. */
static void coroutine_fn p9_request_restart(P9Request *req)
{
    P9Server *s = req->s;

    p9_request_leave(req);
    p9_request_submit(req, req->elem, req->out, req->out_num,
                      req->in, req->in_num, false);
    qemu_co_queue_restart_all(&s->ended);
}

/*
 * Stopping the VM
 */

static void p9_stop_begin(void *opaque)
{
    P9Server *s = opaque;

    s->stopped = true;
}

void p9_server_stop(P9Server *s)
{
    fs_context_run(s->ctx, p9_stop_begin, s);
    if (!p9_requests_wait(s, &s->moving, STOP_PATIENCE_S)) {
        warn_report("fsdev '%s': stopping the VM although file data is still "
                    "in flight after %d seconds", s->fs->id, STOP_PATIENCE_S);
    }
}

static void coroutine_fn p9_release_co(void *opaque)
{
    P9Server *s = opaque;
    P9Request *req;
    const P9Op *op;

    while ((req = QSIMPLEQ_FIRST(&s->held))) {
        QSIMPLEQ_REMOVE_HEAD(&s->held, held_next);
        if (req->restored) {
            op = p9_op(req->type);
            req->name = op ? op->name : NULL;
        }
        p9_request_finish(req, req->held_ret);
    }
    while ((req = p9_request_first_parked(s))) {
        if (s->resetting) {
            p9_request_finish(req, -EINTR);
        } else {
            p9_request_restart(req);
        }
    }
}

/* Sends the replies that were held back, and starts parked requests again. */
static void p9_server_release(P9Server *s)
{
    qemu_coroutine_enter(qemu_coroutine_create(p9_release_co, s));
}

static void p9_stop_end(void *opaque)
{
    P9Server *s = opaque;

    s->stopped = false;
    p9_locks_cont(s);
    p9_server_release(s);
    p9_moves_wake(s);
}

void p9_server_cont(P9Server *s)
{
    fs_context_run(s->ctx, p9_stop_end, s);
}

/*
 * Reset
 */

/* Abandons requests whose driver waits for an unresponsive peer or kernel. */
static void p9_server_abandon(void *opaque)
{
    P9Server *s = opaque;
    unsigned n = p9_requests_give_up(s);

    if (n) {
        error_report("fsdev '%s': %u requests had no answer %d second after "
                     "the device was reset; giving up on them",
                     s->fs->id, n, RESET_PATIENCE_S);
    }
}

static void p9_reset_begin(void *opaque)
{
    P9Server *s = opaque;
    P9Request *req;

    trace_p9_reset(s);
    s->resetting = true;
    s->msize = 0;
    s->dialect = P9_DIALECT_NONE;
    p9_server_release(s);
    /*
     * Cancelling may end this request at once, and others that wait for it:
     * look from the start each time.
     */
    do {
        QTAILQ_FOREACH(req, &s->requests, next) {
            if (!req->cancel_sent) {
                p9_request_cancel(req);
                break;
            }
        }
    } while (req);
}

static void p9_reset_end(void *opaque)
{
    P9Server *s = opaque;

    p9_locks_reset(s);
    p9_fids_clear(s);
    s->resetting = false;
    s->resets++;
}

void p9_server_reset(P9Server *s)
{
    fs_context_run(s->ctx, p9_reset_begin, s);
    if (!p9_requests_wait(s, &s->under_way, RESET_PATIENCE_S)) {
        fs_context_run(s->ctx, p9_server_abandon, s);
        /* The others copy data to the guest's memory. */
        p9_requests_wait(s, &s->under_way, 0);
    }
    /* The last request may still run in the context: this comes after it. */
    fs_context_run(s->ctx, p9_reset_end, s);
}

/*
 * From new to free
 */

static void p9_locks_stay(void *opaque)
{
    P9Server *s = opaque;

    if (s->locks.leaving) {
        p9_locks_cont(s);
    }
}

/*
 * A migration from here has ended. If it failed, the VM may stand still for
 * long, but it keeps its locks. Main thread, as the next.
 */
static int p9_server_migrated(NotifierWithReturn *notifier, MigrationEvent *e,
                              Error **errp)
{
    P9Server *s = container_of(notifier, P9Migrated, notifier)->server;

    if (e->type == MIG_EVENT_PRECOPY_DONE && migration_is_running()) {
        /* In postcopy, the destination has yet to read the session. */
        p9_locks_leave(s);
    } else if (e->type == MIG_EVENT_PRECOPY_DONE) {
        p9_locks_release(s);
    } else if (e->type == MIG_EVENT_PRECOPY_FAILED) {
        fs_context_run(s->ctx, p9_locks_stay, s);
    }
    return 0;
}

static void p9_server_watch_migration(P9Server *s)
{
    MigMode mode;

    for (mode = 0; mode < MIG_MODE__MAX; mode++) {
        s->migrated[mode].server = s;
        migration_add_notifier_mode(&s->migrated[mode].notifier,
                                    p9_server_migrated, mode);
    }
}

static void p9_server_destroy(void *opaque)
{
    P9Server *s = opaque;
    Object *keep = s->keep;

    p9_requests_destroy(s);
    p9_locks_destroy(&s->locks);
    p9_fids_destroy(s);
    fs_export_leave(s->fs);
    g_free(s);
    if (keep) {
        object_unref(keep);
    }
}

P9Server *p9_server_new(FsExport *fs, AioContext *ctx, const char *owner,
                        const P9TransportOps *ops, void *opaque, Error **errp)
{
    P9Server *s;

    if (!fs_export_join(fs, ctx, owner, errp)) {
        return NULL;
    }
    s = g_new0(P9Server, 1);
    s->fs = fs;
    s->export = p9_export_get(fs);
    s->ops = ops;
    s->opaque = opaque;
    s->ctx = ctx;
    s->destroy = p9_server_destroy;
    p9_requests_init(s);
    p9_fids_init(s);
    p9_locks_init(&s->locks);
    p9_server_watch_migration(s);
    return s;
}

static void p9_free_begin(void *opaque)
{
    P9Server *s = opaque;

    s->freed = s->detached > 0;
}

void p9_server_free(P9Server *s, Object *keep)
{
    MigMode mode;

    /* Not later: another server's notifier may wait while this one is freed. */
    for (mode = 0; mode < MIG_MODE__MAX; mode++) {
        migration_remove_notifier(&s->migrated[mode].notifier);
    }
    p9_server_reset(s);
    if (keep) {
        s->keep = object_ref(keep);
    }
    fs_context_run(s->ctx, p9_free_begin, s);
    if (!s->freed) {
        p9_server_destroy(s);
    }
}

void *p9_server_opaque(P9Server *s)
{
    return s->opaque;
}
