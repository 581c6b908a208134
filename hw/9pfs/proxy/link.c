/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The proxy driver's link to its helper.
 *
 * Theory of operation. When the channel breaks, it ends all requests under way
 * with EIO, and then notifies the link. From then on the link has no helper,
 * forever or until an attempt succeeds. A timer begins attempts; the interval
 * counts from the beginning of the last attempt. So QEMU replaces a helper that
 * served for long at once, and does not start one that ends over and over more
 * often than the options ask for.
 *
 * An attempt starts in the main thread, which starts a helper or connects
 * without waiting: a helper ends with the thread that started it. The helper's
 * HELLO may take seconds, so a thread of the pool waits for it. Then, in the
 * export's context, the driver checks which directory the helper serves, and
 * the new channel takes the place of the old one.
 *
 * Helpers, the timer, attempts and events thus belong to the main thread. The
 * channel, and the requests that wait for another one, belong to the export's
 * context. When a channel breaks, a bottom half passes the loss on to the main
 * thread. The main thread hands the next channel over to the export's context
 * and waits until it is in place, so that the main thread always knows whether
 * there is one.
 */
#include "qemu/osdep.h"
#include "block/aio-wait.h"
#include "block/thread-pool.h"
#include "qapi/clone-visitor.h"
#include "qapi/error.h"
#include "qapi/qapi-visit-fsdev.h"
#include "qemu/error-report.h"
#include "qemu/main-loop.h"
#include "hw/9pfs/fs/context.h"
#include "link.h"

typedef struct LinkWaiter {
    ProxyLink *link;
    Coroutine *co;
    FsCall *call;
    bool done;
    bool cancelled;
    QTAILQ_ENTRY(LinkWaiter) next;
} LinkWaiter;

struct ProxyLink {
    FsExport *fs;
    ProxyReconnected *reconnected;

    /* In the export's context */
    ProxyChannel *channel;
    uint32_t helper_epoch;
    QTAILQ_HEAD(, LinkWaiter) waiters;

    /* Set once */
    FsdevProxyOptions *opts;    /* NULL if the link does not reconnect */
    ProxyWanted wanted;
    bool wait;                  /* for a helper, instead of failing */

    /* In the main thread */
    ProxyPeer *peer;            /* of the channel; NULL while there is none */
    int64_t tried_ms;           /* when the last attempt began */
    bool warned;                /* a message said that attempts fail */
    QEMUTimer *timer;           /* for the next one */
    unsigned losses;            /* LinkLoss on their way here; atomic */

    /* An attempt. Main thread's, unless the attempt is under way elsewhere */
    bool closing;               /* proxy_link_free() waits for its end */
    bool greeting;              /* under way in the thread pool */
    bool taking;                /* under way in the export's context */
    ProxyChannel *next;
    ProxyPeer *next_peer;
    Error *error;
};

static int64_t now_ms(void)
{
    return qemu_clock_get_ms(QEMU_CLOCK_REALTIME);
}

static bool link_donate(const FsdevProxyOptions *opts)
{
    return !opts->has_donate || opts->donate;
}

static OnOffAuto link_ring(const FsdevProxyOptions *opts)
{
    return opts->has_ring ? opts->ring : ON_OFF_AUTO_AUTO;
}

static void link_notify(ProxyLink *l, bool reconnected, const char *why)
{
    FsHelperEvent event = { .fs = l->fs, .reconnected = reconnected,
                            .why = why };

    notifier_list_notify(&l->fs->on_helper, &event);
}

/*
 * Attempts
 */

static void link_next_try(ProxyLink *l)
{
    timer_mod(l->timer, MAX(now_ms(), l->tried_ms +
                            (int64_t)l->opts->reconnect * 1000));
}

typedef struct LinkLoss {
    ProxyLink *link;
    char *why;
} LinkLoss;

/* In the main thread */
static void link_lost_bh(void *opaque)
{
    LinkLoss *loss = opaque;
    ProxyLink *l = loss->link;

    if (l->taking) {
        /* The event that this helper came must be first */
        aio_bh_schedule_oneshot(qemu_get_aio_context(), link_lost_bh, loss);
        return;
    }
    if (l->peer) {
        proxy_launch_closed(l->peer);
    }
    link_notify(l, false, loss->why);
    if (l->opts && !l->closing) {
        /* The user may want to know how the helper ended. */
        proxy_launch_lost(l->peer);
        l->peer = NULL;
        link_next_try(l);
    }
    qatomic_dec(&l->losses);
    g_free(loss->why);
    g_free(loss);
}

/* ProxyLost, in the export's context */
static void link_lost(void *opaque, const char *why)
{
    ProxyLink *l = opaque;
    LinkLoss *loss = g_new(LinkLoss, 1);

    loss->link = l;
    loss->why = g_strdup(why);
    qatomic_inc(&l->losses);
    fs_main_run(link_lost_bh, loss);
}

/* Takes over @err. */
static void link_try_failed(ProxyLink *l, Error *err)
{
    if (l->warned) {
        error_free(err);
    } else {
        error_reportf_err(err, "fsdev '%s': no helper is available; retrying "
                          "every %" PRIu32 " seconds: ",
                          l->fs->id, l->opts->reconnect);
        l->warned = true;
    }
    link_next_try(l);
}

static void link_wake(LinkWaiter *w, bool cancelled)
{
    QTAILQ_REMOVE(&w->link->waiters, w, next);
    w->call->on_cancel = NULL;
    w->cancelled = cancelled;
    w->done = true;
    aio_co_wake(w->co);
}

/* In the thread pool */
static int greet_work(void *opaque)
{
    ProxyLink *l = opaque;

    proxy_channel_greet(l->next, link_donate(l->opts), link_ring(l->opts),
                        &l->error);
    return 0;
}

/* The new channel takes the old one's place, in the export's context. */
static void link_take_channel(void *opaque)
{
    ProxyLink *l = opaque;
    LinkWaiter *w;

    l->helper_epoch++;
    if (!l->reconnected(l->fs, proxy_channel_hello(l->next), &l->error)) {
        l->helper_epoch--;
        return;
    }
    proxy_channel_free(l->channel);
    l->channel = g_steal_pointer(&l->next);
    proxy_channel_on_lost(l->channel, link_lost, l);
    proxy_channel_detach(l->channel);
    proxy_channel_attach(l->channel, l->fs->ctx);
    proxy_channel_serve(l->channel);
    while ((w = QTAILQ_FIRST(&l->waiters))) {
        link_wake(w, false);
    }
}

/* In the main thread, after greet_work() */
static void greeted(void *opaque)
{
    ProxyLink *l = opaque;

    if (l->fs->moving) {
        /* The export is between two contexts, for a short time. */
        aio_bh_schedule_oneshot(qemu_get_aio_context(), greeted, l);
        return;
    }
    l->greeting = false;
    aio_wait_kick();
    if (l->closing) {
        proxy_channel_free(l->next);
        proxy_launch_done(l->next_peer);
        error_free(l->error);
        return;
    }
    if (!l->error) {
        l->taking = true;
        fs_context_run(l->fs->ctx, link_take_channel, l);
        l->taking = false;
    }
    if (l->error) {
        g_clear_pointer(&l->next, proxy_channel_free);
        (l->warned ? proxy_launch_done : proxy_launch_lost)(l->next_peer);
        l->next_peer = NULL;
        link_try_failed(l, g_steal_pointer(&l->error));
        return;
    }
    l->peer = g_steal_pointer(&l->next_peer);
    l->warned = false;
    info_report("fsdev '%s': reconnected to a helper", l->fs->id);
    link_notify(l, true, NULL);
}

static void greet_done(void *opaque, int ret)
{
    greeted(opaque);
}

/* The timer's, in the main thread */
static void link_attempt(void *opaque)
{
    ProxyLink *l = opaque;
    Error *err = NULL;
    int sock;

    l->tried_ms = now_ms();
    l->next_peer = proxy_launch_again(l->fs->id, l->opts, &l->wanted, &sock,
                                      &err);
    if (!l->next_peer) {
        link_try_failed(l, err);
        return;
    }
    l->next = proxy_channel_prepare(qemu_get_aio_context(), l->fs->id, sock);
    l->greeting = true;
    thread_pool_submit_aio(greet_work, l, greet_done, l);
}

/*
 * Operations
 */

static void link_cancel(FsCall *call, void *opaque)
{
    link_wake(opaque, true);
}

/* False if the call was cancelled. */
static bool coroutine_fn link_wait(ProxyLink *l, FsCall *call)
{
    g_autofree LinkWaiter *w = NULL;

    if (call->cancelled) {
        return false;
    }
    w = g_new0(LinkWaiter, 1);
    w->link = l;
    w->call = call;
    w->co = qemu_coroutine_self();
    QTAILQ_INSERT_TAIL(&l->waiters, w, next);
    call->on_cancel = link_cancel;
    call->on_cancel_opaque = w;
    while (!w->done) {
        qemu_coroutine_yield();
    }
    return !w->cancelled;
}

bool coroutine_fn proxy_try(ProxyTry *t, int *ret)
{
    ProxyLink *l = t->link;

    if (t->begun) {
        if (*ret != -EIO || !l->wait ||
            (t->helper_epoch == l->helper_epoch &&
             !proxy_channel_broken(l->channel))) {
            return false;
        }
        t->doubt |= !t->idle;
        while (proxy_channel_broken(l->channel)) {
            if (!link_wait(l, t->call)) {
                *ret = t->doubt ? -EIO : -EINTR;
                return false;
            }
        }
    }
    /* The first try does not wait: it may not need the helper. */
    t->begun = true;
    t->idle = proxy_channel_broken(l->channel);
    t->helper_epoch = l->helper_epoch;
    return true;
}

/*
 * The link
 */

/* A daemon leaves its working directory after the first helper has started. */
static void make_absolute(char **name)
{
    if (*name && **name != '/') {
        g_autofree char *cwd = g_get_current_dir();
        g_autofree char *old = *name;

        *name = g_build_filename(cwd, old, NULL);
    }
}

ProxyLink *proxy_link_new(FsExport *fs, const FsdevProxyOptions *opts,
                          const ProxyWanted *wanted, ProxyPeer *peer,
                          ProxyChannel *channel,
                          ProxyReconnected *reconnected)
{
    ProxyLink *l = g_new0(ProxyLink, 1);

    l->fs = fs;
    l->peer = peer;
    l->channel = channel;
    l->reconnected = reconnected;
    QTAILQ_INIT(&l->waiters);
    if (opts->reconnect) {
        l->opts = QAPI_CLONE(FsdevProxyOptions, opts);
        make_absolute(&l->opts->path);
        make_absolute(&l->opts->helper);
        make_absolute(&l->opts->socket);
        l->wanted = *wanted;
        l->wait = opts->on_disconnect == FSDEV_ON_DISCONNECT_WAIT;
        l->tried_ms = now_ms();
        l->timer = aio_timer_new(qemu_get_aio_context(), QEMU_CLOCK_REALTIME,
                                 SCALE_MS, link_attempt, l);
    }
    proxy_channel_on_lost(channel, link_lost, l);
    return l;
}

void proxy_link_free(ProxyLink *l)
{
    if (l->timer) {
        l->closing = true;
        if (l->greeting) {
            proxy_channel_hurry(l->next);
            AIO_WAIT_WHILE(qemu_get_aio_context(), l->greeting);
        }
        timer_free(l->timer);
    }
    /* An IOThread may have reported a loss before the export left it. */
    AIO_WAIT_WHILE(qemu_get_aio_context(), qatomic_read(&l->losses));
    proxy_channel_free(l->channel);
    if (l->peer) {
        proxy_launch_done(l->peer);
    }
    qapi_free_FsdevProxyOptions(l->opts);
    g_free(l);
}

void proxy_link_detach(ProxyLink *l)
{
    proxy_channel_detach(l->channel);
}

void proxy_link_attach(ProxyLink *l)
{
    proxy_channel_attach(l->channel, l->fs->ctx);
}

ProxyChannel *proxy_link_channel(const ProxyLink *l)
{
    return l->channel;
}

pid_t proxy_link_process(const ProxyLink *l)
{
    return l->peer ? proxy_launch_process(l->peer) : 0;
}

uint32_t proxy_link_epoch(const ProxyLink *l)
{
    return l->helper_epoch;
}

bool proxy_link_reconnects(const ProxyLink *l)
{
    return l->opts != NULL;
}
