/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The life of a request.
 *
 * A transport submits a request; it comes back through ops->done exactly once,
 * with a reply or, if it was flushed before it did anything, with none.
 *
 * The message is copied out of guest memory once, so that the guest cannot
 * change it after it was checked; only the data of a Twrite stays where it is
 * and goes to the driver as a scatter list. The data of Rread comes from the
 * driver straight into the room for the reply, Rreaddir in pieces; every other
 * reply is built in the request's own buffer and copied. Requests are used
 * again with their buffers, so in the steady state a message allocates
 * nothing.
 *
 * Each request is a coroutine, so a handler waits for its driver without
 * holding up the others. Tflush (flush(5) of Plan 9) cancels: the driver gives
 * up waiting if it can, and if it did nothing, the request ends without reply.
 * If it was too late, the reply goes out as usual; in both cases Rflush comes
 * after it.
 *
 * What a client does wrong is answered with an Rlerror, or in a session of
 * 9P2000.u with an Rerror. Only when there is no header, or no room for that
 * error, the transport is told that it is broken.
 */
#include "qemu/osdep.h"
#include "qemu/bswap.h"
#include "qemu/error-report.h"
#include "qemu/iov.h"
#include "qemu/timer.h"
#include "block/aio-wait.h"
#include "internal.h"
#include "trace.h"
#include "hw/9pfs/fs/context.h"
#include "hw/9pfs/trace.h"

/* Buffers of a request to begin with; most messages and replies fit */
#define BUFFER_INITIAL  256
/* Larger ones are not kept */
#define BUFFER_KEEP     8192

/*
 * How long a reset waits for what cannot be cancelled: the whole machine
 * stands still meanwhile.
 */
#define RESET_PATIENCE_S    10

/* The same when the VM is stopped */
#define STOP_PATIENCE_S     10

/*
 * One message type of some dialects. @reply is the least that its reply has
 * after the header: it is checked before anything is done. Read-only exports
 * refuse what @changes files; those which may (Tlopen, Topen, Twstat) and
 * Tremove, which clunks its fid in any case, check for themselves.
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
    /* Tauth is not among them: nobody needs to authenticate here. */
};

static const P9Op *p9_op(uint8_t type)
{
    if (type >= ARRAY_SIZE(p9_ops) || !p9_ops[type].handler) {
        return NULL;
    }
    return &p9_ops[type];
}

static const char *p9_op_name(uint8_t type)
{
    const P9Op *op = p9_op(type);

    return op ? op->name : "unknown";
}

static void coroutine_fn p9_request_finish(P9Request *req, int ret);

P9Server *p9_server_new(FsExport *fs, AioContext *ctx, const char *owner,
                        const P9TransportOps *ops, void *opaque, Error **errp)
{
    P9Server *s;
    unsigned i;

    if (!fs_export_join(fs, ctx, owner, errp)) {
        return NULL;
    }
    s = g_new0(P9Server, 1);
    s->fs = fs;
    s->export = p9_export_get(fs);
    s->ops = ops;
    s->opaque = opaque;
    s->ctx = ctx;
    QTAILQ_INIT(&s->requests);
    for (i = 0; i < P9_TAG_LISTS; i++) {
        QLIST_INIT(&s->tags[i]);
    }
    QSLIST_INIT(&s->spare);
    QSIMPLEQ_INIT(&s->held);
    qemu_co_queue_init(&s->ended);
    p9_fids_init(s);
    p9_locks_init(&s->locks);
    return s;
}

static void p9_request_destroy(P9Request *req)
{
    g_free(req->head);
    g_free(req->reply);
    g_free(req->iov);
    g_free(req);
}

void p9_server_free(P9Server *s)
{
    P9Request *req;

    p9_server_reset(s);
    while ((req = QSLIST_FIRST(&s->spare))) {
        QSLIST_REMOVE_HEAD(&s->spare, spare_next);
        p9_request_destroy(req);
    }
    p9_locks_destroy(&s->locks);
    p9_fids_destroy(s);
    fs_export_leave(s->fs);
    g_free(s);
}

/*
 * Waiting in the main thread
 */

static void p9_patience_over(void *opaque)
{
    *(bool *)opaque = true;
}

/* Until *@count is 0: false when it was not after @seconds (0: for ever) */
static bool p9_server_wait(P9Server *s, const unsigned *count,
                           unsigned seconds)
{
    bool late = false;
    QEMUTimer timer;

    aio_timer_init(qemu_get_current_aio_context(), &timer,
                   QEMU_CLOCK_REALTIME, SCALE_NS, p9_patience_over, &late);
    if (seconds) {
        timer_mod(&timer, qemu_clock_get_ns(QEMU_CLOCK_REALTIME) +
                  seconds * NANOSECONDS_PER_SECOND);
    }
    AIO_WAIT_WHILE(s->ctx, qatomic_read(count) && !late);
    timer_del(&timer);
    return !late;
}

/* Tells the one who may wait for a count. */
static void p9_count_add(unsigned *count, int n)
{
    qatomic_set(count, *count + n);
    if (n < 0 && *count == 0) {
        aio_wait_kick();
    }
}

/*
 * Stopping the VM
 */

int coroutine_fn p9_move_begin(P9Request *req)
{
    P9Server *s = req->s;

    while (s->stopped) {
        req->waits_cont = true;
        if (!fs_call_sleep(&req->call, -1)) {
            req->waits_cont = false;
            return -EINTR;
        }
    }
    p9_count_add(&s->moving, 1);
    return 0;
}

void p9_move_end(P9Request *req)
{
    p9_count_add(&req->s->moving, -1);
}

static void p9_stop_begin(void *opaque)
{
    P9Server *s = opaque;

    s->stopped = true;
}

void p9_server_stop(P9Server *s)
{
    fs_context_run(s->ctx, p9_stop_begin, s);
    if (!p9_server_wait(s, &s->moving, STOP_PATIENCE_S)) {
        warn_report("fsdev '%s': the VM stops while file data is still being "
                    "moved for it after %d seconds", s->fs->id,
                    STOP_PATIENCE_S);
    }
}

/* Whether the request, which ended with @ret, is not to go back now */
static bool p9_request_hold(P9Request *req, int ret)
{
    P9Server *s = req->s;

    if (!s->stopped || s->resetting) {
        return false;
    }
    req->held_ret = ret;
    QSIMPLEQ_INSERT_TAIL(&s->held, req, held_next);
    return true;
}

static void coroutine_fn p9_release_co(void *opaque)
{
    P9Server *s = opaque;
    P9Request *req;

    while ((req = QSIMPLEQ_FIRST(&s->held))) {
        QSIMPLEQ_REMOVE_HEAD(&s->held, held_next);
        p9_request_finish(req, req->held_ret);
    }
}

/* Those that were held go back now. */
static void p9_server_release(P9Server *s)
{
    qemu_coroutine_enter(qemu_coroutine_create(p9_release_co, s));
}

static void p9_stop_end(void *opaque)
{
    P9Server *s = opaque;
    P9Request *req;

    s->stopped = false;
    p9_server_release(s);
    /* Others may end with each: look from the start each time. */
    do {
        QTAILQ_FOREACH(req, &s->requests, next) {
            if (req->waits_cont) {
                req->waits_cont = false;
                qemu_co_sleep_wake(&req->call.sleep);
                break;
            }
        }
    } while (req);
}

void p9_server_cont(P9Server *s)
{
    fs_context_run(s->ctx, p9_stop_end, s);
}

/*
 * Reset
 */

/* Gives up those requests whose drivers wait for somebody who is silent. */
static void p9_server_abandon(void *opaque)
{
    P9Server *s = opaque;
    P9Request *req;
    unsigned n = 0;

    /* As with cancelling, others may end with each. */
    do {
        QTAILQ_FOREACH(req, &s->requests, next) {
            if (fs_call_abandon(&req->call)) {
                n++;
                break;
            }
        }
    } while (req);
    if (n) {
        error_report("fsdev '%s': %u requests had no answer %d seconds after "
                     "the device was reset; they are given up",
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

    p9_fids_clear(s);
    s->resetting = false;
}

void p9_server_reset(P9Server *s)
{
    fs_context_run(s->ctx, p9_reset_begin, s);
    if (!p9_server_wait(s, &s->under_way, RESET_PATIENCE_S)) {
        fs_context_run(s->ctx, p9_server_abandon, s);
        /* The rest is in the host's kernel, which has the guest's memory. */
        p9_server_wait(s, &s->under_way, 0);
    }
    /* Which comes after all that the last of them does in there. */
    fs_context_run(s->ctx, p9_reset_end, s);
}

void *p9_server_opaque(P9Server *s)
{
    return s->opaque;
}

P9Request *p9_request_new(P9Server *s)
{
    P9Request *req = QSLIST_FIRST(&s->spare);

    if (req) {
        QSLIST_REMOVE_HEAD(&s->spare, spare_next);
        return req;
    }
    req = g_new0(P9Request, 1);
    req->s = s;
    req->head_cap = BUFFER_INITIAL;
    req->head = g_malloc(req->head_cap);
    req->reply_cap = BUFFER_INITIAL;
    req->reply = g_malloc(req->reply_cap);
    return req;
}

static void p9_buffer_trim(uint8_t **buf, size_t *cap)
{
    if (*cap > BUFFER_KEEP) {
        *cap = BUFFER_INITIAL;
        *buf = g_realloc(*buf, *cap);
    }
}

void p9_request_free(P9Request *req)
{
    p9_buffer_trim(&req->head, &req->head_cap);
    p9_buffer_trim(&req->reply, &req->reply_cap);
    req->elem = NULL;
    QSLIST_INSERT_HEAD(&req->s->spare, req, spare_next);
}

void *p9_request_elem(P9Request *req)
{
    return req->elem;
}

P9Server *p9_request_server(P9Request *req)
{
    return req->s;
}

size_t p9_request_room(const P9Request *req)
{
    return req->s->msize ? MIN(req->in_size, req->s->msize) : req->in_size;
}

void p9_reply_reserve(P9Request *req, size_t size)
{
    size += P9_HEADER_SIZE;
    if (size > req->reply_cap) {
        g_free(req->reply);
        req->reply = g_malloc(size);
        req->reply_cap = size;
    }
    marshal_writer_init(&req->w, req->reply + P9_HEADER_SIZE,
                        req->reply_cap - P9_HEADER_SIZE);
}

static struct iovec *p9_request_iov(P9Request *req, const struct iovec *from,
                                    unsigned from_num, size_t offset,
                                    size_t bytes, unsigned *num)
{
    if (from_num > req->iov_cap) {
        g_free(req->iov);
        req->iov = g_new(struct iovec, from_num);
        req->iov_cap = from_num;
    }
    *num = iov_copy(req->iov, req->iov_cap, from, from_num, offset, bytes);
    return req->iov;
}

struct iovec *p9_request_out_iov(P9Request *req, size_t offset, size_t bytes,
                                 unsigned *num)
{
    return p9_request_iov(req, req->out, req->out_num, offset, bytes, num);
}

struct iovec *p9_request_in_iov(P9Request *req, size_t offset, size_t bytes,
                                unsigned *num)
{
    return p9_request_iov(req, req->in, req->in_num, offset, bytes, num);
}

P9Request *p9_request_find(P9Server *s, uint16_t tag)
{
    P9Request *req;

    QLIST_FOREACH(req, &s->tags[tag % P9_TAG_LISTS], tag_next) {
        if (req->tag == tag) {
            break;
        }
    }
    return req;
}

void p9_request_cancel(P9Request *req)
{
    if (!req->cancel_sent) {
        req->cancel_sent = true;
        fs_call_cancel(&req->call);
    }
}

/* Takes the request out of all lists; the transport has it again. */
static void p9_request_leave(P9Request *req)
{
    if (req->tagged) {
        QLIST_REMOVE(req, tag_next);
        req->tagged = false;
    }
    req->s->export->in_flight--;
    QTAILQ_REMOVE(&req->s->requests, req, next);
    p9_count_add(&req->s->under_way, -1);
}

static void p9_request_broken(P9Request *req, const char *why)
{
    P9Server *s = req->s;

    p9_request_leave(req);
    trace_p9_request_broken(s, why);
    s->ops->broken(req, why);
}

/* An errno that a client can be given, whatever a driver or helper said */
static uint32_t p9_errno(int ret)
{
    return ret < 0 && ret > -4096 ? -ret : EIO;
}

/*
 * Puts an error into req->w and returns the whole reply's size, or 0 without
 * room for it. Rerror has a text for people first, which is cut to the room.
 */
static size_t p9_request_error(P9Request *req, int ret, uint8_t *type)
{
    const char *text;
    size_t len;

    if (req->dialect != P9_DIALECT_U) {
        if (req->in_size < P9_RLERROR_SIZE) {
            return 0;
        }
        *type = P9_RLERROR;
        p9_reply_reserve(req, P9_RLERROR_SIZE - P9_HEADER_SIZE);
    } else {
        if (req->in_size < P9_RERROR_SIZE) {
            return 0;
        }
        *type = P9_RERROR;
        text = g_strerror(p9_errno(ret));
        len = MIN(strlen(text), p9_request_room(req) - P9_RERROR_SIZE);
        p9_reply_reserve(req, P9_RERROR_SIZE - P9_HEADER_SIZE + len);
        marshal_put_strn(&req->w, text, len);
    }
    marshal_put_u32(&req->w, p9_errno(ret));
    return P9_HEADER_SIZE + marshal_size(&req->w);
}

/* Writes the reply and returns its length; 0 when not even an error fits. */
static size_t p9_request_reply(P9Request *req, int *ret)
{
    size_t size = P9_HEADER_SIZE + marshal_size(&req->w);
    size_t total = size + req->data;
    uint8_t type = req->type + 1;

    if (*ret >= 0 &&
        (!marshal_fits(&req->w) || total > p9_request_room(req))) {
        *ret = -EMSGSIZE;
    }
    if (*ret < 0) {
        size = total = p9_request_error(req, *ret, &type);
        if (size == 0) {
            return 0;
        }
    }
    stl_le_p(req->reply, total);
    req->reply[4] = type;
    stw_le_p(req->reply + 5, req->tag);
    iov_from_buf(req->in, req->in_num, 0, req->reply, size);
    return total;
}

/* The export's figures, for query-fsdevs; returns the request's time. */
static uint64_t p9_request_count(P9Request *req, bool error)
{
    const P9Op *op = p9_op(req->type);
    P9MessageStats *stats = &req->s->export->messages[op ? req->type : 0];
    uint64_t ns = qemu_clock_get_ns(QEMU_CLOCK_REALTIME) - req->start_ns;

    QEMU_BUILD_BUG_ON(ARRAY_SIZE(p9_ops) > P9_MESSAGES);
    stats->name = op ? op->name : "unknown";
    stats->count++;
    stats->errors += error;
    stats->total_ns += ns;
    stats->max_ns = MAX(stats->max_ns, ns);
    return ns;
}

static void p9_request_end(P9Request *req, int ret)
{
    P9Server *s = req->s;
    size_t len = 0;
    uint64_t ns;

    if (!s->resetting &&
        !(ret == -EINTR && req->cancel_sent && !req->must_answer)) {
        len = p9_request_reply(req, &ret);
        if (len == 0) {
            p9_request_broken(req, "no room for a 9p error reply");
            return;
        }
    }
    ns = p9_request_count(req, len && ret < 0);
    if (trace_event_get_state_backends(TRACE_P9_REPLY)) {
        trace_p9_reply(s->fs->id, req->tag, p9_op_name(req->type), req->type,
                       ret, ret < 0 ? g_strerror(p9_errno(ret)) : "ok", len,
                       ns);
    }
    p9_request_leave(req);
    s->ops->done(req, len);
}

static void coroutine_fn p9_request_finish(P9Request *req, int ret)
{
    /* They run when this coroutine has ended, thus after the reply. */
    qemu_co_queue_restart_all(&req->flushers);
    qemu_co_queue_restart_all(&req->s->ended);
    p9_request_end(req, ret);
}

static void coroutine_fn p9_request_co(void *opaque)
{
    P9Request *req = opaque;
    int ret;

    ret = p9_ops[req->type].handler(req);
    if (!p9_request_hold(req, ret)) {
        p9_request_finish(req, ret);
    }
}

/*
 * Takes the header apart, checks what can be checked of any message, and
 * copies the message. What it returns goes into Rlerror.
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
    if (req->size < P9_HEADER_SIZE || req->size > req->out_size) {
        return -EINVAL;
    }
    if (s->msize && req->size > s->msize) {
        return -EMSGSIZE;
    }
    /* What a tag means while the session is being set up is nobody's guess. */
    if (req->type != P9_TVERSION) {
        if (p9_request_find(s, req->tag)) {
            return -EINVAL;
        }
        QLIST_INSERT_HEAD(&s->tags[req->tag % P9_TAG_LISTS], req, tag_next);
        req->tagged = true;
        if (!s->msize) {
            return -EPROTO;
        }
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
    head -= P9_HEADER_SIZE;
    if (head > req->head_cap) {
        g_free(req->head);
        req->head = g_malloc(head);
        req->head_cap = head;
    }
    iov_to_buf(req->out, req->out_num, P9_HEADER_SIZE, req->head, head);
    marshal_reader_init(&req->r, req->head, head);
    return 0;
}

/* Tells of the request; with its fields if it was taken. */
static void p9_request_trace(P9Request *req, int ret)
{
    g_autofree char *fields = NULL;

    if (ret == 0) {
        fields = p9_trace_fields(req->type, req->head, marshal_left(&req->r));
    }
    trace_p9_request(req->s->fs->id, req->tag, p9_op_name(req->type),
                     req->type, req->size, fields ? fields : "");
}

void p9_request_submit(P9Request *req, void *elem,
                       struct iovec *out, unsigned out_num,
                       struct iovec *in, unsigned in_num, bool more)
{
    P9Server *s = req->s;
    int ret;

    req->elem = elem;
    req->out = out;
    req->out_num = out_num;
    req->out_size = iov_size(out, out_num);
    req->in = in;
    req->in_num = in_num;
    req->in_size = iov_size(in, in_num);
    req->size = 0;
    req->type = 0;
    req->tag = P9_NOTAG;
    req->dialect = s->dialect;
    req->tagged = false;
    req->cancel_sent = false;
    req->must_answer = false;
    req->waits_cont = false;
    req->data = 0;
    memset(&req->call, 0, sizeof(req->call));
    req->call.others = more || s->export->in_flight;
    qemu_co_queue_init(&req->flushers);
    p9_reply_reserve(req, 0);
    req->start_ns = qemu_clock_get_ns(QEMU_CLOCK_REALTIME);
    s->export->in_flight++;
    QTAILQ_INSERT_TAIL(&s->requests, req, next);
    p9_count_add(&s->under_way, 1);

    if (req->out_size < P9_HEADER_SIZE) {
        p9_request_broken(req, "a 9p request without a whole header");
        return;
    }
    ret = s->resetting ? -EINTR : p9_request_take(req);
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
