/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * QEMU's end of the proxy channel: requests in flight, and the channel's life.
 *
 * Theory of operation. A request in flight has a slot. There are as many slots
 * as the helper allows; further callers queue, and get freed slots in order.
 * They also queue while the helper is too slow to read requests. A call can be
 * cancelled only in this queue: once a request is in the out buffer it is on
 * its way, and QEMU must learn how it changes files. Only a device that is
 * reset need not know; it abandons a call that the helper leaves without an
 * answer. The slot of an abandoned call stays taken until the answer comes
 * after all; the channel then gives back the descriptors and handles in it.
 *
 * The helper is not trusted. A malformed message breaks the channel: QEMU
 * prints one error message; every request under way ends with -EIO, from a
 * bottom half, because the channel may break inside any of their coroutines;
 * and every later request fails with -EIO at once. A helper that goes away has
 * the same effect.
 */
#include "qemu/osdep.h"
#include <sys/socket.h>
#include "qemu/atomic.h"
#include "qemu/defer-call.h"
#include "qemu/error-report.h"
#include "hw/9pfs/host/pool.h"
#include "channel-internal.h"
#include "hw/9pfs/trace.h"

#define OUT_SIZE            (64 * 1024)

/*
 * No request begins while more bytes than this wait in the out buffer. The
 * limit on slots is not enough: a helper can guess tags and answer without
 * reading.
 */
#define OUT_MAX             (1024 * 1024)

/* Threads that close what a helper sent, at most */
#define CLOSING_MAX         16

/*
 * Failure
 */

void proxy_close_fds(int *fds, unsigned n)
{
    unsigned i;

    for (i = 0; i < n; i++) {
        if (fds[i] >= 0) {
            close(fds[i]);
        }
    }
}

void proxy_close_files(const int *fds, unsigned n)
{
    while (n--) {
        host_pool_close(fds[n]);
    }
}

typedef struct StrangeFds {
    unsigned n;
    int fds[];
} StrangeFds;

static unsigned closing;        /* such threads; atomic */

static void *close_thread(void *opaque)
{
    StrangeFds *s = opaque;

    proxy_close_fds(s->fds, s->n);
    g_free(s);
    qatomic_dec(&closing);
    return NULL;
}

unsigned proxy_closing(void)
{
    return qatomic_read(&closing);
}

void proxy_close_strange_fds(const int *fds, unsigned n)
{
    StrangeFds *s = g_malloc(sizeof(*s) + n * sizeof(s->fds[0]));
    sigset_t all, old;
    pthread_attr_t attr;
    pthread_t thread;

    s->n = n;
    memcpy(s->fds, fds, n * sizeof(s->fds[0]));
    qatomic_inc(&closing);
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    pthread_attr_init(&attr);
    pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
    if (qatomic_read(&closing) > CLOSING_MAX ||
        pthread_create(&thread, &attr, close_thread, s) != 0) {
        /* They stay open: closing them here may wait. */
        g_free(s);
        qatomic_dec(&closing);
    }
    pthread_attr_destroy(&attr);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
}

/*
 * The socket may still have descriptors in it that nothing has received, and
 * that are closed with it.
 */
static void proxy_disconnect(ProxyChannel *ch)
{
    int strange[PROXY_MAX_FDS + 1];
    unsigned n = 0;

    if (ch->fd >= 0) {
        proxy_clear_handlers(ch);
        shutdown(ch->fd, SHUT_RDWR);
        memcpy(strange, ch->in.refused, ch->in.n_refused * sizeof(int));
        n = ch->in.n_refused;
        strange[n++] = ch->fd;
        proxy_close_strange_fds(strange, n);
        ch->in.n_refused = 0;
        ch->fd = -1;
        g_clear_pointer(&ch->rings, proxy_rings_free);
    }
    proxy_close_files(ch->in.fds, ch->in.nfds);
    ch->in.nfds = 0;
    proxy_close_fds(ch->out_fds, ch->n_out_fds);
    ch->n_out_fds = 0;
}

void proxy_break(ProxyChannel *ch, const char *fmt, ...)
{
    g_autofree char *why = NULL;
    va_list ap;

    if (ch->broken) {
        return;
    }
    va_start(ap, fmt);
    why = g_strdup_vprintf(fmt, ap);
    va_end(ap);
    error_report("fsdev '%s': %s", ch->id, why);
    trace_proxy_lost(ch->id, why);

    ch->broken = true;
    ch->why = g_steal_pointer(&why);
    proxy_disconnect(ch);
    qemu_bh_schedule(ch->broken_bh);
}

void proxy_gone(ProxyChannel *ch, int err)
{
    /* EPIPE and ECONNRESET only mean that the helper is gone. */
    if (err && err != EPIPE && err != ECONNRESET) {
        proxy_break(ch, "lost the connection to the helper: %s", strerror(err));
    } else {
        proxy_break(ch, "lost the connection to the helper");
    }
}

/* Ends the wait of a request's coroutine. */
static void proxy_wake(ProxyRequest *req, int ret)
{
    req->call->on_abandon = NULL;
    req->ret = ret;
    req->done = true;
    aio_co_wake(req->co);
}

/* Takes the first request off the queue for a slot. */
static ProxyRequest *waiting_pop(ProxyChannel *ch)
{
    ProxyRequest *req = QTAILQ_FIRST(&ch->waiting);

    if (req) {
        QTAILQ_REMOVE(&ch->waiting, req, next);
        req->call->on_cancel = NULL;
    }
    return req;
}

static void proxy_broken_bh(void *opaque)
{
    ProxyChannel *ch = opaque;
    ProxyRequest *req;
    uint32_t i;

    ch->ended = true;
    for (i = 0; i < ch->n_slots; i++) {
        req = ch->slots[i];
        ch->slots[i] = NULL;
        if (req && req->co && !req->done) {
            proxy_wake(req, -EIO);
        } else if (req && !req->co) {
            g_free(req);
        }
    }
    while ((req = waiting_pop(ch))) {
        proxy_wake(req, -EIO);
    }
    if (ch->lost) {
        ch->lost(ch->lost_opaque, ch->why);
    }
}

void proxy_channel_on_lost(ProxyChannel *ch, ProxyLost *lost, void *opaque)
{
    ch->lost = lost;
    ch->lost_opaque = opaque;
}

bool proxy_channel_broken(const ProxyChannel *ch)
{
    return ch->broken;
}

/*
 * Slots
 */

/* Whether another request may begin */
static bool slot_free(const ProxyChannel *ch)
{
    return !ch->broken && ch->n_free > 0 &&
           ch->out_end - ch->out_start <= OUT_MAX;
}

static void slot_take(ProxyChannel *ch, ProxyRequest *req)
{
    req->slot = ch->free_slots[--ch->n_free];
    req->done = true;
    ch->slots[req->slot] = req;
}

void proxy_slots_hand_on(ProxyChannel *ch)
{
    ProxyRequest *req;

    while (slot_free(ch) && (req = waiting_pop(ch))) {
        slot_take(ch, req);
        proxy_wake(req, 0);
    }
}

void proxy_slot_put(ProxyChannel *ch, uint32_t slot)
{
    ch->slots[slot] = NULL;
    ch->free_slots[ch->n_free++] = slot;
    proxy_slots_hand_on(ch);
}

static void proxy_cancel_waiting(FsCall *call, void *opaque)
{
    ProxyRequest *req = opaque;

    QTAILQ_REMOVE(&req->ch->waiting, req, next);
    call->on_cancel = NULL;
    proxy_wake(req, -EINTR);
}

int coroutine_fn proxy_slot_get(ProxyChannel *ch, FsCall *call,
                                ProxyRequest *req)
{
    if (ch->broken) {
        return -EIO;
    }
    if (call->cancelled) {
        return -EINTR;
    }
    req->ch = ch;
    req->call = call;
    req->co = qemu_coroutine_self();
    req->nfds = req->fds_taken = 0;
    req->fds_lost = false;
    if (slot_free(ch) && QTAILQ_EMPTY(&ch->waiting)) {
        slot_take(ch, req);
        return 0;
    }
    req->done = false;
    QTAILQ_INSERT_TAIL(&ch->waiting, req, next);
    call->on_cancel = proxy_cancel_waiting;
    call->on_cancel_opaque = req;
    while (!req->done) {
        qemu_coroutine_yield();
    }
    if (req->ret == 0 && ch->broken) {
        /* The channel broke after it handed the slot on, before we ran. */
        ch->slots[req->slot] = NULL;
        return -EIO;
    }
    return req->ret;
}

/*
 * Requests and replies
 */

static void proxy_abandon(FsCall *call, void *opaque)
{
    ProxyRequest *req = opaque;
    ProxyRequest *abandoned = g_new0(ProxyRequest, 1);

    abandoned->type = req->type;
    abandoned->slot = req->slot;
    req->ch->slots[req->slot] = abandoned;
    proxy_wake(req, -EIO);
}

int coroutine_fn proxy_exchange(ProxyRequest *req)
{
    req->done = false;
    req->call->on_abandon = proxy_abandon;
    req->call->on_abandon_opaque = req;
    defer_call(proxy_flush, req->ch);
    while (!req->done) {
        qemu_coroutine_yield();
    }
    return req->ret;
}

void proxy_dispatch(ProxyChannel *ch, ProxyStream *in)
{
    const ProxyCodec *codec = ch->codec;
    ProxyRequest *req;

    while (!ch->broken && (req = codec->take(ch, in)) != NULL) {
        uint32_t slot = req->slot;

        if (!req->co) {
            codec->discard(ch, req);
            g_free(req);
            proxy_slot_put(ch, slot);
        } else if (codec->keeps_slot) {
            proxy_wake(req, req->ret);
        } else {
            ch->slots[slot] = NULL;
            proxy_wake(req, req->ret);
            proxy_slot_put(ch, slot);
        }
    }
}

/*
 * Life
 */

static void proxy_setup_slots(ProxyChannel *ch)
{
    uint32_t i;

    ch->n_slots = MIN(ch->hello.max_in_flight, PROXY_SLOTS_MAX);
    ch->slots = g_new0(ProxyRequest *, ch->n_slots);
    ch->tags = g_new0(uint32_t, ch->n_slots);
    ch->free_slots = g_new(uint32_t, ch->n_slots);
    for (i = 0; i < ch->n_slots; i++) {
        ch->free_slots[i] = ch->n_slots - 1 - i;
    }
    ch->n_free = ch->n_slots;
}

ProxyChannel *proxy_channel_prepare(AioContext *ctx, const char *id, int fd)
{
    ProxyChannel *ch = g_new0(ProxyChannel, 1);

    ch->id = g_strdup(id);
    ch->fd = fd;
    ch->hello.root_fd = -1;
    ch->out_size = OUT_SIZE;
    ch->out = g_malloc(ch->out_size);
    ch->in.buf = g_malloc(PROXY_IN_SIZE);
    ch->forgets = g_array_new(false, false, sizeof(ProxyForget));
    QTAILQ_INIT(&ch->waiting);
    proxy_channel_attach(ch, ctx);
    return ch;
}

void proxy_channel_attach(ProxyChannel *ch, AioContext *ctx)
{
    ch->ctx = ctx;
    ch->flush_timer = aio_timer_new(ctx, QEMU_CLOCK_REALTIME, SCALE_MS,
                                    proxy_flush, ch);
    ch->broken_bh = aio_bh_new(ctx, proxy_broken_bh, ch);
    ch->ring_bh = aio_bh_new(ctx, proxy_ring_ready, ch);
    if (ch->broken && !ch->ended) {
        qemu_bh_schedule(ch->broken_bh);
    }
    if (ch->forgets->len) {
        proxy_flush_later(ch);
    }
    if (ch->slots && !ch->broken) {
        proxy_set_handlers(ch);
    }
}

void proxy_channel_detach(ProxyChannel *ch)
{
    if (ch->slots && !ch->broken) {
        proxy_clear_handlers(ch);
    }
    qemu_bh_delete(ch->broken_bh);
    qemu_bh_delete(ch->ring_bh);
    ch->broken_bh = ch->ring_bh = NULL;
    timer_free(ch->flush_timer);
    ch->flush_timer = NULL;
    ch->ctx = NULL;
}

void proxy_channel_hurry(ProxyChannel *ch)
{
    shutdown(ch->fd, SHUT_RDWR);
}

void proxy_channel_serve(ProxyChannel *ch)
{
    const ProxyHello *hello = &ch->hello;

    trace_proxy_hello(ch->id, hello->pid, hello->features, hello->max_message,
                      hello->max_in_flight);
    proxy_setup_slots(ch);
    proxy_set_handlers(ch);
}

void proxy_channel_free(ProxyChannel *ch)
{
    uint32_t i;

    proxy_disconnect(ch);
    for (i = 0; i < ch->n_slots; i++) {
        g_free(ch->slots[i]);   /* was abandoned */
    }
    if (ch->hello.root_fd >= 0) {
        host_pool_close(ch->hello.root_fd);
    }
    qemu_bh_delete(ch->broken_bh);
    qemu_bh_delete(ch->ring_bh);
    timer_free(ch->flush_timer);
    g_array_free(ch->forgets, true);
    g_free(ch->hello.uids);
    g_free(ch->hello.gids);
    g_free(ch->slots);
    g_free(ch->tags);
    g_free(ch->free_slots);
    g_free(ch->out);
    g_free(ch->in.buf);
    g_free(ch->ring_in.buf);
    g_free(ch->why);
    g_free(ch->id);
    g_free(ch);
}

ProxyHello *proxy_channel_hello(ProxyChannel *ch)
{
    return &ch->hello;
}
