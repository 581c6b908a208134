/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Limits of an export's I/O.
 *
 * QEMU's throttling says whether a transfer may start now, and otherwise when
 * to ask again. Calls that must wait stand in a queue for each direction, so
 * that no later call overtakes them. A timer releases the first call, and as
 * many after it as the limits allow. The timer runs in the export's context,
 * where requests are served, and on the host's clock, because the limits are
 * about the host's storage. A cancelled call leaves its queue at once.
 */
#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qemu/main-loop.h"
#include "qemu/queue.h"
#include "qemu/throttle.h"
#include "qemu/timer.h"
#include "block/aio.h"
#include "throttle.h"

#define THROTTLE_CLOCK  QEMU_CLOCK_REALTIME

/* A call that must wait; lives in its coroutine */
typedef struct Waiter {
    FsThrottle *throttle;
    Coroutine *co;
    FsCall *call;
    uint64_t bytes;
    ThrottleDirection direction;
    bool cancelled;
    QSIMPLEQ_ENTRY(Waiter) next;
} Waiter;

struct FsThrottle {
    ThrottleState state;
    ThrottleTimers timers;
    QSIMPLEQ_HEAD(, Waiter) queue[THROTTLE_MAX];
};

/*
 * The limits: each has a rate, and may have a rate for bursts and a length of
 * bursts. Every value is an optional integer.
 */
typedef struct LimitValue {
    size_t has;
    size_t value;
} LimitValue;

#define LIMIT_VALUE(field) { offsetof(ThrottleLimits, has_ ## field), \
                             offsetof(ThrottleLimits, field) }
#define LIMIT(name, field, total) \
    { name, total, LIMIT_VALUE(field), LIMIT_VALUE(field ## _max), \
      LIMIT_VALUE(field ## _max_length) }

static const struct {
    const char *name;
    int total;              /* bucket for both directions; -1: this one */
    LimitValue rate, burst, length;
} limit_table[BUCKETS_COUNT] = {
    [THROTTLE_BPS_TOTAL] = LIMIT("bps-total", bps_total, -1),
    [THROTTLE_BPS_READ] = LIMIT("bps-read", bps_read, THROTTLE_BPS_TOTAL),
    [THROTTLE_BPS_WRITE] = LIMIT("bps-write", bps_write, THROTTLE_BPS_TOTAL),
    [THROTTLE_OPS_TOTAL] = LIMIT("iops-total", iops_total, -1),
    [THROTTLE_OPS_READ] = LIMIT("iops-read", iops_read, THROTTLE_OPS_TOTAL),
    [THROTTLE_OPS_WRITE] = LIMIT("iops-write", iops_write, THROTTLE_OPS_TOTAL),
};

/*
 * Puts a value into *@to if it is set. Returns false if the value is not from
 * @min to @max, with an error that calls it @name and @suffix.
 */
static bool limit_get(const ThrottleLimits *limits, LimitValue from,
                      const char *name, const char *suffix,
                      int64_t min, int64_t max, uint64_t *to, Error **errp)
{
    int64_t value;

    if (!*(const bool *)((const char *)limits + from.has)) {
        return true;
    }
    value = *(const int64_t *)((const char *)limits + from.value);
    if (value < min || value > max) {
        error_setg(errp, "throttling.%s%s=%" PRId64 ": it must be from "
                   "%" PRId64 " to %" PRId64, name, suffix, value, min, max);
        return false;
    }
    *to = value;
    return true;
}

/* Fills in @cfg, which is initialized. Returns false with an error. */
static bool limits_get(const ThrottleLimits *limits, ThrottleConfig *cfg,
                       Error **errp)
{
    unsigned i;

    for (i = 0; i < BUCKETS_COUNT; i++) {
        LeakyBucket *bkt = &cfg->buckets[i];
        const char *name = limit_table[i].name;
        int total = limit_table[i].total;

        if (!limit_get(limits, limit_table[i].rate, name, "",
                       0, THROTTLE_VALUE_MAX, &bkt->avg, errp) ||
            !limit_get(limits, limit_table[i].burst, name, "-max",
                       0, THROTTLE_VALUE_MAX, &bkt->max, errp) ||
            !limit_get(limits, limit_table[i].length, name, "-max-length",
                       1, UINT_MAX, &bkt->burst_length, errp)) {
            return false;
        }
        if (total >= 0 && bkt->avg && cfg->buckets[total].avg) {
            error_setg(errp, "throttling.%s and throttling.%s exclude each "
                       "other", limit_table[total].name, name);
            return false;
        }
        if (bkt->max && !bkt->avg) {
            error_setg(errp, "throttling.%s-max needs throttling.%s",
                       name, name);
            return false;
        }
        if (bkt->max && bkt->max < bkt->avg) {
            error_setg(errp, "throttling.%s-max=%" PRIu64 ": it must not be "
                       "lower than throttling.%s", name, bkt->max, name);
            return false;
        }
        if (bkt->burst_length > 1 && !bkt->max) {
            error_setg(errp, "throttling.%s-max-length needs "
                       "throttling.%s-max", name, name);
            return false;
        }
        if (bkt->max && bkt->burst_length > THROTTLE_VALUE_MAX / bkt->max) {
            error_setg(errp, "throttling.%s-max-length=%" PRIu64 ": it is too "
                       "high for the given throttling.%s-max", name,
                       bkt->burst_length, name);
            return false;
        }
    }

    if (!limit_get(limits, (LimitValue)LIMIT_VALUE(iops_size), "iops-size", "",
                   0, THROTTLE_VALUE_MAX, &cfg->op_size, errp)) {
        return false;
    }
    if (cfg->op_size && !cfg->buckets[THROTTLE_OPS_TOTAL].avg &&
        !cfg->buckets[THROTTLE_OPS_READ].avg &&
        !cfg->buckets[THROTTLE_OPS_WRITE].avg) {
        error_setg(errp, "throttling.iops-size needs one of throttling."
                   "iops-total, throttling.iops-read and throttling."
                   "iops-write");
        return false;
    }
    if (!throttle_is_valid(cfg, errp)) {
        error_prepend(errp, "throttling: ");
        return false;
    }
    return true;
}

/* Releases the calls that may go now, in the order in which they came. */
static void throttle_go(FsThrottle *throttle, ThrottleDirection direction)
{
    Waiter *waiter;

    while ((waiter = QSIMPLEQ_FIRST(&throttle->queue[direction])) &&
           !throttle_schedule_timer(&throttle->state, &throttle->timers,
                                    direction)) {
        QSIMPLEQ_REMOVE_HEAD(&throttle->queue[direction], next);
        throttle_account(&throttle->state, direction, waiter->bytes);
        waiter->call->on_cancel = NULL;
        aio_co_wake(waiter->co);
    }
}

static void throttle_go_read(void *opaque)
{
    throttle_go(opaque, THROTTLE_READ);
}

static void throttle_go_write(void *opaque)
{
    throttle_go(opaque, THROTTLE_WRITE);
}

/* FsCall.on_cancel. The timer releases the calls behind this one. */
static void throttle_cancel(FsCall *call, void *opaque)
{
    Waiter *waiter = opaque;

    QSIMPLEQ_REMOVE(&waiter->throttle->queue[waiter->direction], waiter,
                    Waiter, next);
    waiter->cancelled = true;
    aio_co_wake(waiter->co);
}

FsThrottle *fs_throttle_new(const ThrottleLimits *limits, Error **errp)
{
    FsThrottle *throttle;
    ThrottleConfig cfg;

    throttle_config_init(&cfg);
    if (!limits_get(limits, &cfg, errp)) {
        return NULL;
    }
    throttle = g_new0(FsThrottle, 1);
    throttle_init(&throttle->state);
    throttle_config(&throttle->state, THROTTLE_CLOCK, &cfg);
    throttle_timers_init(&throttle->timers, qemu_get_aio_context(),
                         THROTTLE_CLOCK, throttle_go_read, throttle_go_write,
                         throttle);
    QSIMPLEQ_INIT(&throttle->queue[THROTTLE_READ]);
    QSIMPLEQ_INIT(&throttle->queue[THROTTLE_WRITE]);
    return throttle;
}

void fs_throttle_free(FsThrottle *throttle)
{
    if (throttle) {
        assert(QSIMPLEQ_EMPTY(&throttle->queue[THROTTLE_READ]));
        assert(QSIMPLEQ_EMPTY(&throttle->queue[THROTTLE_WRITE]));
        throttle_timers_destroy(&throttle->timers);
        g_free(throttle);
    }
}

void fs_throttle_detach(FsThrottle *throttle)
{
    if (throttle) {
        throttle_timers_detach_aio_context(&throttle->timers);
    }
}

void fs_throttle_attach(FsThrottle *throttle, AioContext *ctx)
{
    if (throttle) {
        throttle_timers_attach_aio_context(&throttle->timers, ctx);
    }
}

int coroutine_fn fs_throttle_wait(FsThrottle *throttle, FsCall *call,
                                  bool write, uint64_t bytes)
{
    Waiter waiter = {
        .throttle = throttle,
        .co = qemu_coroutine_self(),
        .call = call,
        .bytes = bytes,
        .direction = write ? THROTTLE_WRITE : THROTTLE_READ,
    };

    if (!throttle) {
        return 0;
    }
    if (QSIMPLEQ_EMPTY(&throttle->queue[waiter.direction]) &&
        !throttle_schedule_timer(&throttle->state, &throttle->timers,
                                 waiter.direction)) {
        throttle_account(&throttle->state, waiter.direction, bytes);
        return 0;
    }
    if (call->cancelled) {
        return -EINTR;
    }
    QSIMPLEQ_INSERT_TAIL(&throttle->queue[waiter.direction], &waiter, next);
    call->on_cancel = throttle_cancel;
    call->on_cancel_opaque = &waiter;
    qemu_coroutine_yield();
    return waiter.cancelled ? -EINTR : 0;
}
