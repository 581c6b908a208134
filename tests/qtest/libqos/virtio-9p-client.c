/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A 9P2000.L client over a libqos virtqueue: calls, and the session.
 * virtio-9p-messages.c has the messages.
 *
 * libqos fills descriptors one after the other, and each of them leads to the
 * next in the table. So a request takes a run of free descriptors, and gives
 * it back when the device has used it; any number of requests can follow each
 * other, and be in flight together.
 *
 * Every call has guest memory of its own, one piece per descriptor, so neither
 * request nor reply is contiguous when there are several pieces.
 */
#include "qemu/osdep.h"
#include "qemu/bswap.h"
#include "qemu/queue.h"
#include "../libqtest-single.h"
#include "standard-headers/linux/virtio_config.h"
#include "virtio-9p-client.h"

#define PAUSE_MS        100
#define POLL_US         50

typedef enum CallState {
    CALL_NEW,
    CALL_SUBMITTED,
    CALL_DONE,
    CALL_LOST,                  /* a reset came before the reply */
} CallState;

/* A descriptor's memory */
typedef struct Piece {
    uint64_t addr;
    uint32_t len;
} Piece;

struct P9Call {
    P9Client *c;
    CallState state;
    uint8_t type;
    uint16_t tag;
    GByteArray *msg;            /* the request, header included */
    bool size_set;              /* the test chose the size in its header */
    bool dotu;                  /* an error must be an Rerror */

    uint32_t head;              /* first descriptor */
    Piece *out;
    unsigned num_out;
    Piece *in;
    unsigned num_in;

    unsigned order;
    GByteArray *reply;          /* empty if there was none */
    P9CBytes rest;              /* fields of it that are still to be read */
    char *error_text;           /* of an Rerror */
    QTAILQ_ENTRY(P9Call) next;
};

struct P9Client {
    QVirtio9P *v9p;
    QTestState *qts;
    uint32_t msize;             /* of the session, or 0 */
    bool dotu;                  /* errors are Rerror: see p9c_version() */
    uint16_t next_tag;
    unsigned done;              /* calls that have come back */
    bool *busy;                 /* of each descriptor */
    QTAILQ_HEAD(, P9Call) calls;    /* those that have not ended */
};

/*
 * The client
 */

P9Client *p9c_new(QVirtio9P *v9p)
{
    P9Client *c = g_new0(P9Client, 1);

    c->v9p = v9p;
    c->qts = global_qtest;
    c->busy = g_new0(bool, v9p->vq->size);
    QTAILQ_INIT(&c->calls);
    return c;
}

static void free_pieces(P9Client *c, Piece **pieces, unsigned *num)
{
    unsigned i;

    for (i = 0; i < *num; i++) {
        guest_free(c->v9p->alloc, (*pieces)[i].addr);
    }
    g_free(*pieces);
    *pieces = NULL;
    *num = 0;
}

static void call_leave_queue(P9Call *call)
{
    P9Client *c = call->c;
    unsigned i;

    for (i = 0; i < call->num_out + call->num_in; i++) {
        c->busy[call->head + i] = false;
    }
    free_pieces(c, &call->out, &call->num_out);
    free_pieces(c, &call->in, &call->num_in);
}

void p9c_reset(P9Client *c)
{
    P9Call *call;

    qvirtio_9p_restart(c->v9p);
    QTAILQ_FOREACH(call, &c->calls, next) {
        if (call->state == CALL_SUBMITTED) {
            call_leave_queue(call);
            call->state = CALL_LOST;
        }
    }
    c->msize = 0;
    c->dotu = false;
}

void p9c_free(P9Client *c)
{
    P9Call *call;

    p9c_reset(c);
    while ((call = QTAILQ_FIRST(&c->calls))) {
        p9c_call_drop(call);
    }
    g_free(c->busy);
    g_free(c);
}

void p9c_moved(P9Client *c)
{
    c->qts = global_qtest;
}

bool p9c_needs_reset(P9Client *c)
{
    QVirtioDevice *vdev = c->v9p->vdev;

    return vdev->bus->get_status(vdev) & VIRTIO_CONFIG_S_NEEDS_RESET;
}

/*
 * Calls: the request
 */

static bool tag_in_use(P9Client *c, uint16_t tag)
{
    P9Call *call;

    QTAILQ_FOREACH(call, &c->calls, next) {
        if (call->tag == tag) {
            return true;
        }
    }
    return false;
}

P9Call *p9c_call(P9Client *c, uint8_t type)
{
    P9Call *call = g_new0(P9Call, 1);

    if (type == P9C_TVERSION) {
        call->tag = P9C_NOTAG;
    } else {
        while (c->next_tag == P9C_NOTAG || tag_in_use(c, c->next_tag)) {
            c->next_tag++;
        }
        call->tag = c->next_tag++;
    }
    call->c = c;
    call->type = type;
    call->msg = g_byte_array_new();
    call->reply = g_byte_array_new();
    QTAILQ_INSERT_TAIL(&c->calls, call, next);

    /* The size is known later. */
    p9c_put(call, PUT(U32(0), U8(type), U16(call->tag)));
    return call;
}

uint16_t p9c_call_tag(const P9Call *call)
{
    return call->tag;
}

void p9c_call_set_tag(P9Call *call, uint16_t tag)
{
    call->tag = tag;
    stw_le_p(call->msg->data + 5, tag);
}

P9Call *p9c_request(P9Client *c, uint8_t type, const P9CPut *fields)
{
    P9Call *call = p9c_call(c, type);

    p9c_put(call, fields);
    return call;
}

void p9c_put(P9Call *call, const P9CPut *fields)
{
    p9c_fields_put(call->msg, fields);
}

void p9c_put_u8(P9Call *call, uint8_t v)
{
    p9c_put(call, PUT(U8(v)));
}

void p9c_put_u16(P9Call *call, uint16_t v)
{
    p9c_put(call, PUT(U16(v)));
}

void p9c_put_u32(P9Call *call, uint32_t v)
{
    p9c_put(call, PUT(U32(v)));
}

void p9c_put_u64(P9Call *call, uint64_t v)
{
    p9c_put(call, PUT(U64(v)));
}

void p9c_put_str(P9Call *call, const char *s)
{
    p9c_put(call, PUT(STR(s)));
}

void p9c_put_bytes(P9Call *call, const void *data, size_t size)
{
    p9c_put(call, PUT(DATA(data, size)));
}

void p9c_set_size(P9Call *call, uint32_t size)
{
    stl_le_p(call->msg->data, size);
    call->size_set = true;
}

void p9c_truncate(P9Call *call, size_t bytes)
{
    g_assert_cmpuint(bytes, <=, call->msg->len);
    g_byte_array_set_size(call->msg, bytes);
}

/*
 * Calls: the queue
 */

/* The first of @num free descriptors in a row */
static uint32_t find_descriptors(P9Client *c, unsigned num)
{
    uint32_t size = c->v9p->vq->size;
    uint32_t i, run = 0;

    for (i = 0; i < size; i++) {
        run = c->busy[i] ? 0 : run + 1;
        if (run == num) {
            return i + 1 - num;
        }
    }
    g_error("no %u free descriptors in a row, of %u", num, size);
}

static Piece *new_pieces(P9Client *c, const uint32_t *len, unsigned num)
{
    Piece *pieces = g_new0(Piece, num);
    unsigned i;

    for (i = 0; i < num; i++) {
        pieces[i].len = len[i];
        pieces[i].addr = guest_alloc(c->v9p->alloc, len[i]);
    }
    return pieces;
}

void p9c_submit_chain(P9Call *call, const uint32_t *out, unsigned num_out,
                      const uint32_t *in, unsigned num_in)
{
    P9Client *c = call->c;
    QVirtQueue *vq = c->v9p->vq;
    unsigned num = num_out + num_in;
    g_autofree uint32_t *lens = g_new(uint32_t, num_out);
    size_t sum = 0;
    unsigned i;

    g_assert_cmpint(call->state, ==, CALL_NEW);
    if (!call->size_set && call->msg->len >= 4) {
        stl_le_p(call->msg->data, call->msg->len);
    }
    for (i = 0; i < num_out; i++) {
        lens[i] = out[i];
        sum += out[i];
    }
    if (sum < call->msg->len) {
        lens[num_out - 1] += call->msg->len - sum;
    }

    call->out = new_pieces(c, lens, num_out);
    call->num_out = num_out;
    call->in = new_pieces(c, in, num_in);
    call->num_in = num_in;
    sum = 0;
    for (i = 0; i < num_out && sum < call->msg->len; i++) {
        size_t part = MIN(lens[i], call->msg->len - sum);

        qtest_bufwrite(c->qts, call->out[i].addr, call->msg->data + sum, part);
        sum += part;
    }

    call->head = find_descriptors(c, num);
    vq->free_head = call->head;
    vq->num_free = vq->size;
    for (i = 0; i < num; i++) {
        const Piece *p = i < num_out ? &call->out[i] : &call->in[i - num_out];

        c->busy[call->head + i] = true;
        qvirtqueue_add(c->qts, vq, p->addr, p->len, i >= num_out, i + 1 < num);
    }
    call->state = CALL_SUBMITTED;
    call->dotu = c->dotu;
    qvirtqueue_kick(c->qts, c->v9p->vdev, vq, call->head);
}

void p9c_submit_room(P9Call *call, uint32_t room)
{
    uint32_t out = MAX(call->msg->len, 1);

    p9c_submit_chain(call, &out, 1, &room, room ? 1 : 0);
}

void p9c_submit(P9Call *call)
{
    p9c_submit_room(call, call->c->msize ?: P9C_MSIZE);
}

static void read_in(P9Call *call, size_t size)
{
    P9Client *c = call->c;
    size_t at = 0;
    unsigned i;

    g_byte_array_set_size(call->reply, size);
    for (i = 0; i < call->num_in && at < size; i++) {
        size_t part = MIN(call->in[i].len, size - at);

        qtest_bufread(c->qts, call->in[i].addr, call->reply->data + at, part);
        at += part;
    }
    g_assert_cmpuint(at, ==, size);
}

/* @len: the low 16 bits of the used length, which is all that libqos gives */
static void call_done(P9Call *call, uint16_t len)
{
    uint32_t size;
    uint8_t type;

    if (len) {
        read_in(call, P9C_HEADER);
        size = ldl_le_p(call->reply->data);
        g_assert_cmpuint(size, >=, P9C_HEADER);
        g_assert_cmphex(size & 0xffff, ==, len);
        if (call->c->msize && call->type != P9C_TVERSION) {
            g_assert_cmpuint(size, <=, call->c->msize);
        }
        read_in(call, size);

        type = call->reply->data[4];
        g_assert_cmphex(lduw_le_p(call->reply->data + 5), ==, call->tag);
        if (type == P9C_RLERROR && !call->dotu) {
            g_assert_cmpuint(size, ==, P9C_HEADER + 4);
        } else if (type == P9C_RERROR && call->dotu) {
            g_assert_cmpuint(size, >=, P9C_HEADER + 2 + 4);
        } else {
            g_assert_cmpuint(type, ==, call->type + 1);
        }
        call->rest = (P9CBytes) { call->reply->data + P9C_HEADER,
                                  size - P9C_HEADER };
    }
    call_leave_queue(call);
    call->state = CALL_DONE;
    call->order = ++call->c->done;
}

static void collect(P9Client *c)
{
    uint32_t head, len;
    P9Call *call;

    while (qvirtqueue_get_buf(c->qts, c->v9p->vq, &head, &len)) {
        QTAILQ_FOREACH(call, &c->calls, next) {
            if (call->state == CALL_SUBMITTED && call->head == head) {
                break;
            }
        }
        if (!call) {
            g_error("the device has used descriptor %u, which is in no "
                    "request", head);
        }
        call_done(call, len);
    }
}

bool p9c_is_done(P9Call *call)
{
    collect(call->c);
    return call->state == CALL_DONE;
}

static void wait_done(P9Call *call)
{
    gint64 start = g_get_monotonic_time();

    while (!p9c_is_done(call)) {
        g_assert_cmpint(call->state, ==, CALL_SUBMITTED);
        if (g_get_monotonic_time() - start > P9C_TIMEOUT_US) {
            g_error("no reply to message of type %u, tag %u%s",
                    call->type, call->tag,
                    p9c_needs_reset(call->c) ? "; the device is broken" : "");
        }
        g_usleep(POLL_US);
    }
}

int p9c_wait(P9Call *call)
{
    wait_done(call);
    if (call->reply->len == 0) {
        g_error("message of type %u, tag %u, came back without reply",
                call->type, call->tag);
    }
    switch (call->reply->data[4]) {
    case P9C_RERROR:
        call->error_text = p9c_get_str(call);
        /* fall through */
    case P9C_RLERROR:
        return p9c_get_u32(call);
    default:
        return 0;
    }
}

const char *p9c_error_text(P9Call *call)
{
    return call->error_text;
}

void p9c_wait_flushed(P9Call *call)
{
    wait_done(call);
    g_assert_cmpuint(call->reply->len, ==, 0);
}

unsigned p9c_done_order(P9Call *call)
{
    g_assert_cmpint(call->state, ==, CALL_DONE);
    return call->order;
}

void p9c_pause(P9Client *c)
{
    unsigned i;

    /* QEMU's main loop runs for each request of the qtest protocol. */
    for (i = 0; i < 10; i++) {
        g_usleep(PAUSE_MS * 1000 / 10);
        c->v9p->vdev->bus->get_status(c->v9p->vdev);
    }
}

/*
 * Calls: the reply
 */

static P9CBytes *reply_of(P9Call *call)
{
    g_assert_cmpint(call->state, ==, CALL_DONE);
    return &call->rest;
}

size_t p9c_get_left(P9Call *call)
{
    return call->rest.left;
}

void p9c_get(P9Call *call, const P9CGet *fields)
{
    p9c_fields_get(reply_of(call), fields);
}

const uint8_t *p9c_get_bytes(P9Call *call, size_t size)
{
    return p9c_bytes_take(reply_of(call), size);
}

uint8_t p9c_get_u8(P9Call *call)
{
    return p9c_bytes_number(reply_of(call), 1);
}

uint16_t p9c_get_u16(P9Call *call)
{
    return p9c_bytes_number(reply_of(call), 2);
}

uint32_t p9c_get_u32(P9Call *call)
{
    return p9c_bytes_number(reply_of(call), 4);
}

uint64_t p9c_get_u64(P9Call *call)
{
    return p9c_bytes_number(reply_of(call), 8);
}

char *p9c_get_str(P9Call *call)
{
    return p9c_bytes_str(reply_of(call));
}

P9CQid p9c_get_qid(P9Call *call)
{
    return p9c_bytes_qid(reply_of(call));
}

void p9c_call_end(P9Call *call)
{
    g_assert_cmpint(call->state, !=, CALL_SUBMITTED);
    if (call->state == CALL_DONE) {
        g_assert_cmpuint(p9c_get_left(call), ==, 0);
    }
    QTAILQ_REMOVE(&call->c->calls, call, next);
    g_byte_array_unref(call->msg);
    g_byte_array_unref(call->reply);
    g_free(call->error_text);
    g_free(call);
}

void p9c_call_drop(P9Call *call)
{
    call->rest.left = 0;
    p9c_call_end(call);
}

int p9c_finish(P9Call *call, const P9CGet *fields)
{
    int err;

    p9c_submit(call);
    err = p9c_wait(call);
    if (!err && fields) {
        p9c_get(call, fields);
    }
    p9c_call_end(call);
    return err;
}

int p9c_rpc(P9Client *c, uint8_t type, const P9CPut *request,
            const P9CGet *reply)
{
    return p9c_finish(p9c_request(c, type, request), reply);
}

void p9c_refused(P9Call *call, int error)
{
    g_assert_cmpint(p9c_finish(call, NULL), ==, error);
}

/*
 * The session
 */

int p9c_version(P9Client *c, uint32_t msize, const char *version,
                uint32_t *got_msize, char **got_version)
{
    P9Call *call = p9c_request(c, P9C_TVERSION,
                               PUT(U32(msize), STR(version)));
    g_autofree char *v = NULL;
    uint32_t m;
    int err;

    c->msize = 0;
    /* A client that asks for 9P2000.u can read its errors. */
    c->dotu = !strcmp(version, P9C_VERSION_U);
    err = p9c_finish(call, GET(TO_U32(&m), TO_STR(&v)));
    c->dotu = false;
    if (err) {
        return err;
    }
    if (!strcmp(v, version)) {
        c->msize = m;
        c->dotu = !strcmp(version, P9C_VERSION_U);
    }
    if (got_msize) {
        *got_msize = m;
    }
    if (got_version) {
        *got_version = g_steal_pointer(&v);
    }
    return 0;
}

void p9c_session_version(P9Client *c, const char *version, uint32_t msize,
                         uint32_t uid)
{
    g_autofree char *got_version = NULL;
    uint32_t got;

    g_assert_cmpint(p9c_version(c, msize, version, &got, &got_version), ==, 0);
    g_assert_cmpstr(got_version, ==, version);
    g_assert_cmpuint(got, <=, msize);
    g_assert_cmpint(p9c_attach(c, P9C_ROOT, uid, NULL), ==, 0);
}

void p9c_session_msize(P9Client *c, uint32_t msize)
{
    p9c_session_version(c, P9C_VERSION, msize, 0);
}

void p9c_session(P9Client *c)
{
    p9c_session_msize(c, P9C_MSIZE);
}
