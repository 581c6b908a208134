/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Threads for work that may block: see pool.h.
 *
 * All exports share the threads. GLib makes and ends them; this file decides
 * which work gets one. Work that has to wait for its file system's share is in
 * a queue, without a thread, and leaves it in the order in which it came.
 *
 * A thread may hang in the kernel for good. Nothing waits for it but the
 * coroutine whose work it does.
 */
#include "qemu/osdep.h"
#include "block/aio.h"
#include "qemu/queue.h"
#include "qemu/thread.h"
#include "qemu/timer.h"
#include "fsdev/shared/thread-budget.h"
#include "hw/9pfs/fs/call.h"
#include "pool.h"
#include <sys/sysmacros.h>

/*
 * Twice as many as the pool of block devices has: the first file system that
 * hangs leaves 85 to the others.
 */
#define POOL_THREADS        128

/* Pauses between two tries of what another process holds */
#define AGAIN_FIRST_NS      (1 * SCALE_MS)
#define AGAIN_MOST_NS       (100 * SCALE_MS)
/* Added to the time after which the kernel breaks a lease */
#define AGAIN_MARGIN_S      5
/* That time if it cannot be read, which is the kernel's default */
#define LEASE_BREAK_S       45

typedef struct PoolJob {
    uint64_t dev;
    ThreadPoolFunc *func;
    void *opaque;
    Coroutine *co;              /* NULL: the job is on the heap */
    int ret;
    bool queued;                /* the lock guards it */
    bool handed_over;           /* to a thread, which owns it from then on */
    QTAILQ_ENTRY(PoolJob) next;
} PoolJob;

static struct {
    GThreadPool *threads;
    ThreadBudget *budget;
    QemuMutex lock;             /* guards the queue; held only to change it */
    QTAILQ_HEAD(, PoolJob) queue;
    int64_t again_ns;
} pool;

/* An error only means that GLib cannot make another thread for it now. */
static void pool_push(PoolJob *job)
{
    /* GLib orders this as well, but no tool sees how. */
    qatomic_store_release(&job->handed_over, true);
    g_thread_pool_push(pool.threads, job, NULL);
}

/* Starts all jobs that may have a thread now. */
static void pool_start_queued(void)
{
    PoolJob *job, *tmp, *last = NULL;

    QEMU_LOCK_GUARD(&pool.lock);
    QTAILQ_FOREACH_SAFE(job, &pool.queue, next, tmp) {
        /* Most that wait are for the same file system. */
        if (last && last->dev == job->dev) {
            continue;
        }
        if (!thread_budget_take(pool.budget, job->dev)) {
            last = job;
            continue;
        }
        QTAILQ_REMOVE(&pool.queue, job, next);
        job->queued = false;
        if (job->co) {
            aio_co_wake(job->co);
        } else {
            pool_push(job);
        }
    }
}

static void pool_thread(gpointer data, gpointer unused)
{
    PoolJob *job = data;
    Coroutine *co;

    assert(qatomic_load_acquire(&job->handed_over));
    co = job->co;
    thread_budget_begin(pool.budget, job->dev);
    job->ret = job->func(job->opaque);
    thread_budget_end();
    if (co) {
        /* @job is gone as soon as the coroutine runs. */
        aio_co_wake(co);
    } else {
        g_free(job);
    }
    pool_start_queued();
}

void host_pool_init(void)
{
    g_autofree char *text = NULL;
    guint64 seconds = LEASE_BREAK_S;
    sigset_t all, old;

    if (pool.threads) {
        return;
    }
    qemu_mutex_init(&pool.lock);
    QTAILQ_INIT(&pool.queue);
    pool.budget = thread_budget_new(POOL_THREADS);
    thread_budget_on_cross(pool.budget, pool_start_queued);
    if (g_file_get_contents("/proc/sys/fs/lease-break-time", &text, NULL,
                            NULL)) {
        seconds = g_ascii_strtoull(text, NULL, 10);
    }
    pool.again_ns = (MIN(seconds, 3600) + AGAIN_MARGIN_S) *
                    NANOSECONDS_PER_SECOND;
    /* GLib's threads have the mask of the thread that makes the pool. */
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    pool.threads = g_thread_pool_new(pool_thread, NULL, POOL_THREADS, FALSE,
                                     NULL);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
}

/* Whether the job may go on now; otherwise it is in the queue. */
static bool pool_enter(PoolJob *job)
{
    host_pool_init();
    QEMU_LOCK_GUARD(&pool.lock);
    job->queued = !thread_budget_take(pool.budget, job->dev);
    if (job->queued) {
        QTAILQ_INSERT_TAIL(&pool.queue, job, next);
    }
    return !job->queued;
}

/* Takes the job off the queue. False if it has left it already. */
static bool pool_unqueue(PoolJob *job)
{
    bool queued;

    QEMU_LOCK_GUARD(&pool.lock);
    queued = job->queued;
    if (queued) {
        job->queued = false;
        QTAILQ_REMOVE(&pool.queue, job, next);
    }
    return queued;
}

/* FsCall.on_cancel */
static void pool_cancel(FsCall *call, void *opaque)
{
    PoolJob *job = opaque;

    if (pool_unqueue(job)) {
        job->ret = -EINTR;
        aio_co_wake(job->co);
    }
}

/* @call may be NULL: then the wait cannot be cancelled. */
static int coroutine_fn pool_enter_co(FsCall *call, uint64_t dev)
{
    PoolJob job = { .dev = dev, .co = qemu_coroutine_self() };

    if (pool_enter(&job)) {
        return 0;
    }
    if (call && call->cancelled && pool_unqueue(&job)) {
        return -EINTR;
    }
    if (call) {
        call->on_cancel = pool_cancel;
        call->on_cancel_opaque = &job;
    }
    /* One wake-up follows, by pool_start_queued() or pool_cancel(). */
    qemu_coroutine_yield();
    if (call) {
        call->on_cancel = NULL;
    }
    return job.ret;
}

int coroutine_fn host_pool_enter(uint64_t dev)
{
    return pool_enter_co(fs_call_self(), dev);
}

int coroutine_fn host_pool_work(uint64_t dev, ThreadPoolFunc *func,
                                void *opaque)
{
    PoolJob job = {
        .dev = dev, .func = func, .opaque = opaque,
        .co = qemu_coroutine_self(),
    };

    pool_push(&job);
    qemu_coroutine_yield();
    return job.ret;
}

void coroutine_fn host_pool_leave(uint64_t dev)
{
    thread_budget_put(pool.budget, dev);
    pool_start_queued();
}

int coroutine_fn host_pool_run(uint64_t dev, ThreadPoolFunc *func,
                               void *opaque)
{
    int ret = host_pool_enter(dev);

    return ret < 0 ? ret : host_pool_work(dev, func, opaque);
}

int coroutine_fn host_pool_run_always(uint64_t dev, ThreadPoolFunc *func,
                                      void *opaque)
{
    pool_enter_co(NULL, dev);
    return host_pool_work(dev, func, opaque);
}

void host_pool_post(uint64_t dev, ThreadPoolFunc *func, void *opaque)
{
    PoolJob *job = g_new0(PoolJob, 1);

    job->dev = dev;
    job->func = func;
    job->opaque = opaque;
    if (pool_enter(job)) {
        pool_push(job);
    }
}

static int close_work(void *opaque)
{
    close(GPOINTER_TO_INT(opaque));
    return 0;
}

/* Also tells the file system's number, in *@dev. */
static bool look_at_names(int fd, uint64_t *dev)
{
    struct statx stx;
    int flags = AT_EMPTY_PATH | AT_STATX_DONT_SYNC;

    if (statx(fd, "", flags, STATX_NLINK, &stx) < 0) {
        return false;
    }
    *dev = makedev(stx.stx_dev_major, stx.stx_dev_minor);
    return stx.stx_nlink == 0;
}

bool host_is_unnamed(int fd)
{
    uint64_t dev;

    return look_at_names(fd, &dev);
}

/*
 * File systems of which descriptors are held: Holds, by their first field. The
 * lock is kept only to look and to change it.
 */
typedef struct Hold {
    gint64 dev;
    unsigned n;
} Hold;

static struct {
    GMutex lock;
    GHashTable *holds;
} held;

void host_pool_hold_dev(uint64_t dev)
{
    Hold *hold;

    g_mutex_lock(&held.lock);
    if (!held.holds) {
        held.holds = g_hash_table_new_full(g_int64_hash, g_int64_equal, g_free,
                                           NULL);
    }
    hold = g_hash_table_lookup(held.holds, &dev);
    if (!hold) {
        hold = g_new0(Hold, 1);
        hold->dev = dev;
        g_hash_table_add(held.holds, hold);
    }
    hold->n++;
    g_mutex_unlock(&held.lock);
}

/* Adds @change, 0 or -1. Whether the file system is held then. */
static bool change_hold(uint64_t dev, int change)
{
    Hold *hold;
    bool is = false;

    g_mutex_lock(&held.lock);
    hold = held.holds ? g_hash_table_lookup(held.holds, &dev) : NULL;
    if (hold) {
        hold->n += change;
        is = hold->n > 0;
        if (!is) {
            g_hash_table_remove(held.holds, &dev);
        }
    }
    g_mutex_unlock(&held.lock);
    return is;
}

void host_pool_release_dev(uint64_t dev)
{
    change_hold(dev, -1);
}

void host_pool_hold(int fd)
{
    uint64_t dev = 0;

    look_at_names(fd, &dev);
    host_pool_hold_dev(dev);
}

/* @change: see change_hold() */
static void pool_close(int fd, int change)
{
    int flags = fcntl(fd, F_GETFL);
    uint64_t dev = 0;
    bool unnamed = look_at_names(fd, &dev);
    bool is_held = change_hold(dev, change);

    if (unnamed || !is_held || !(flags & O_PATH)) {
        host_pool_post(dev, close_work, GINT_TO_POINTER(fd));
    } else {
        close(fd);
    }
}

void host_pool_close(int fd)
{
    pool_close(fd, 0);
}

void host_pool_close_held(int fd)
{
    pool_close(fd, -1);
}

bool coroutine_fn host_again(HostAgain *again, int *ret)
{
    int64_t now = qemu_clock_get_ns(QEMU_CLOCK_REALTIME);
    FsCall *call = fs_call_self();

    host_pool_init();
    if (!again->end) {
        again->end = now + pool.again_ns;
        again->pause = AGAIN_FIRST_NS;
    }
    if (now >= again->end) {
        return false;
    }
    if (!call) {
        qemu_co_sleep_ns(QEMU_CLOCK_REALTIME, again->pause);
    } else if (!fs_call_sleep(call, again->pause)) {
        *ret = -EINTR;
        return false;
    }
    again->pause = MIN(again->pause * 2, AGAIN_MOST_NS);
    return true;
}
