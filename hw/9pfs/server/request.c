/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Requests: the lowest layer of the server.
 *
 * The message is copied out of guest memory once, so that the guest cannot
 * change it after a check. Only the data of a Twrite stays where it is and goes
 * to the driver as a scatter list. The driver puts file data for Rread straight
 * into the room for the reply; directories and extended attributes are copied
 * there. Every other reply is built in the request's own buffer and copied.
 * Requests are reused with their buffers, so in the steady state a message
 * allocates nothing.
 *
 * While the VM is stopped, guest memory must not change. Requests that end
 * are held back, and an operation that would write to guest memory waits
 * before it begins.
 */
#include "qemu/osdep.h"
#include "qemu/bswap.h"
#include "qemu/coroutine.h"
#include "qemu/iov.h"
#include "qemu/timer.h"
#include "block/aio-wait.h"
#include "request.h"

/* Initial size of a request's buffers; most messages and replies fit */
#define BUFFER_INITIAL  256
/* Larger buffers are not kept. */
#define BUFFER_KEEP     8192

/* How often a coroutine looks at a count: first and later on */
#define WAIT_FIRST_NS   (50 * SCALE_US)
#define WAIT_MOST_NS    (5 * SCALE_MS)

/* The kernel's errno values are below this. */
#define ERRNO_END       4096

/*
 * Counts that the main thread waits for
 */

static void wait_timeout(void *opaque)
{
    *(bool *)opaque = true;
}

static bool coroutine_fn wait_co(const unsigned *count, unsigned seconds)
{
    int64_t end = qemu_clock_get_ns(QEMU_CLOCK_REALTIME) +
                  seconds * NANOSECONDS_PER_SECOND;
    int64_t delay = WAIT_FIRST_NS;

    while (qatomic_read(count)) {
        if (seconds && qemu_clock_get_ns(QEMU_CLOCK_REALTIME) >= end) {
            return false;
        }
        qemu_co_sleep_ns(QEMU_CLOCK_REALTIME, delay);
        delay = MIN(2 * delay, WAIT_MOST_NS);
    }
    return true;
}

bool coroutine_mixed_fn p9_requests_wait(P9Server *s, const unsigned *count,
                                         unsigned seconds)
{
    bool late = false;
    QEMUTimer timer;

    if (qemu_in_coroutine()) {
        return wait_co(count, seconds);
    }
    aio_timer_init(qemu_get_current_aio_context(), &timer,
                   QEMU_CLOCK_REALTIME, SCALE_NS, wait_timeout, &late);
    if (seconds) {
        timer_mod(&timer, qemu_clock_get_ns(QEMU_CLOCK_REALTIME) +
                  seconds * NANOSECONDS_PER_SECOND);
    }
    AIO_WAIT_WHILE(s->ctx, qatomic_read(count) && !late);
    timer_del(&timer);
    return !late;
}

/* Adjusts a counter, and wakes the main thread if it may wait for zero. */
static void p9_count_add(unsigned *count, int n)
{
    qatomic_set(count, *count + n);
    if (n < 0 && *count == 0) {
        aio_wait_kick();
    }
}

/*
 * From new to spare
 */

void p9_request_destroy(P9Request *req)
{
    g_free(req->head);
    g_free(req->reply);
    g_free(req->iov);
    g_free(req);
}

void p9_requests_init(P9Server *s)
{
    unsigned i;

    QTAILQ_INIT(&s->requests);
    for (i = 0; i < P9_TAG_LISTS; i++) {
        QLIST_INIT(&s->tags[i]);
    }
    QSLIST_INIT(&s->spare);
    QSIMPLEQ_INIT(&s->held);
    qemu_co_queue_init(&s->ended);
}

void p9_requests_destroy(P9Server *s)
{
    P9Request *req;

    while ((req = QSLIST_FIRST(&s->spare))) {
        QSLIST_REMOVE_HEAD(&s->spare, spare_next);
        p9_request_destroy(req);
    }
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
    req->elem = NULL;
    req->out = req->in = NULL;
    req->out_num = req->in_num = 0;
    if (req->detached) {
        return;                 /* the handler still uses its buffers */
    }
    p9_buffer_trim(&req->head, &req->head_cap);
    p9_buffer_trim(&req->reply, &req->reply_cap);
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

void p9_request_enter(P9Request *req, void *elem,
                      struct iovec *out, unsigned out_num,
                      struct iovec *in, unsigned in_num, bool more)
{
    P9Server *s = req->s;

    req->elem = elem;
    req->out = out;
    req->out_num = out_num;
    req->out_size = iov_size(out, out_num);
    req->in = in;
    req->in_num = in_num;
    req->in_size = iov_size(in, in_num);
    req->size = 0;
    req->type = 0;
    req->name = NULL;
    req->tag = P9_NOTAG;
    req->dialect = s->dialect;
    req->tagged = false;
    req->cancel_sent = false;
    req->abandoned = false;
    req->detached = false;
    req->moving = false;
    req->must_answer = false;
    req->park_sent = false;
    req->at_rest = false;
    req->parked = false;
    req->restored = 0;
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
    p9_count_add(&s->running, 1);
}

/* @req does not run any more. */
static void p9_request_rest(P9Request *req)
{
    if (!req->at_rest) {
        req->at_rest = true;
        p9_count_add(&req->s->running, -1);
    }
}

void p9_request_leave(P9Request *req)
{
    if (req->tagged) {
        QLIST_REMOVE(req, tag_next);
        req->tagged = false;
    }
    req->s->export->in_flight--;
    QTAILQ_REMOVE(&req->s->requests, req, next);
    p9_request_rest(req);
    p9_count_add(&req->s->under_way, -1);
}

/*
 * Tags
 */

void p9_request_set_tag(P9Request *req)
{
    QLIST_INSERT_HEAD(&req->s->tags[req->tag % P9_TAG_LISTS], req, tag_next);
    req->tagged = true;
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

void p9_request_commit(P9Request *req)
{
    req->must_answer = true;
    if (!req->cancel_sent) {
        req->call.cancelled = false;
    }
}

bool p9_request_must_restart(const P9Request *req, int ret)
{
    return ret == -EINTR && req->park_sent && !req->cancel_sent &&
           !req->must_answer;
}

/*
 * The message and the room for the reply
 */

void p9_request_copy(P9Request *req, size_t size)
{
    if (size > req->head_cap) {
        g_free(req->head);
        req->head = g_malloc(size);
        req->head_cap = size;
    }
    iov_to_buf(req->out, req->out_num, P9_HEADER_SIZE, req->head, size);
    marshal_reader_init(&req->r, req->head, size);
}

size_t p9_request_room(const P9Request *req)
{
    return req->s->msize ? MIN(req->in_size, req->s->msize) : req->in_size;
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

/*
 * The reply
 */

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

uint32_t p9_reply_errno(int ret)
{
    return ret < 0 && ret > -ERRNO_END ? -ret : EIO;
}

/*
 * Puts an error into req->w and returns the size of the whole reply, or 0
 * without room for it. Rerror begins with a text for people, which is cut to
 * the room.
 */
static size_t p9_reply_error(P9Request *req, int ret, uint8_t *type)
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
        text = g_strerror(p9_reply_errno(ret));
        len = MIN(strlen(text), p9_request_room(req) - P9_RERROR_SIZE);
        p9_reply_reserve(req, P9_RERROR_SIZE - P9_HEADER_SIZE + len);
        marshal_put_strn(&req->w, text, len);
    }
    marshal_put_u32(&req->w, p9_reply_errno(ret));
    return P9_HEADER_SIZE + marshal_size(&req->w);
}

size_t p9_reply_build(P9Request *req, int *ret, size_t *head)
{
    size_t size = P9_HEADER_SIZE + marshal_size(&req->w);
    size_t total = size + req->data;
    uint8_t type = req->type + 1;

    if (req->restored) {
        *head = 0;
        return req->restored;
    }
    if (*ret >= 0 &&
        (!marshal_fits(&req->w) || total > p9_request_room(req))) {
        *ret = -EMSGSIZE;
    }
    if (*ret < 0) {
        size = total = p9_reply_error(req, *ret, &type);
        if (size == 0) {
            return 0;
        }
    }
    stl_le_p(req->reply, total);
    req->reply[4] = type;
    stw_le_p(req->reply + 5, req->tag);
    *head = size;
    return total;
}

size_t p9_reply_write(P9Request *req, int *ret)
{
    size_t head;
    size_t total = p9_reply_build(req, ret, &head);

    if (total) {
        iov_from_buf(req->in, req->in_num, 0, req->reply, head);
    }
    return total;
}

/*
 * While the VM is stopped
 */

static int coroutine_fn p9_move_again(FsCall *call)
{
    return p9_move_begin(container_of(call, P9Request, call));
}

static void p9_move_pause(FsCall *call)
{
    P9Request *req = container_of(call, P9Request, call);

    if (req->moving) {
        req->moving = false;
        p9_count_add(&req->s->moving, -1);
    }
}

int coroutine_fn p9_move_begin(P9Request *req)
{
    P9Server *s = req->s;

    if (req->detached) {
        return -EINTR;
    }
    while (s->stopped) {
        req->waits_cont = true;
        if (!fs_call_sleep(&req->call, -1) || req->detached) {
            req->waits_cont = false;
            return -EINTR;
        }
    }
    req->moving = true;
    req->call.memory_put = p9_move_pause;
    req->call.memory_get = p9_move_again;
    p9_count_add(&s->moving, 1);
    return 0;
}

void p9_move_end(P9Request *req)
{
    p9_move_pause(&req->call);
    req->call.memory_put = NULL;
    req->call.memory_get = NULL;
}

void p9_moves_wake(P9Server *s)
{
    P9Request *req;

    /* A woken request may end others: look from the start each time. */
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

bool p9_request_hold(P9Request *req, int ret)
{
    P9Server *s = req->s;

    if (!s->stopped || s->resetting) {
        return false;
    }
    if (p9_request_must_restart(req, ret)) {
        req->parked = true;
    } else {
        req->held_ret = ret;
        QSIMPLEQ_INSERT_TAIL(&s->held, req, held_next);
    }
    p9_request_rest(req);
    return true;
}
