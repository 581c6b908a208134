/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Waiting that can be cancelled: see call.h.
 */
#include "qemu/osdep.h"
#include "qemu/thread.h"
#include "qemu/timer.h"
#include "call.h"

/* Lists of calls that run, by their coroutine (power of 2) */
#define CALL_LISTS      64

/* Of all exports, so of several threads; the lock is held only to look. */
static struct {
    QemuSpin lock;
    QLIST_HEAD(, FsCall) list;
} calls[CALL_LISTS];

static unsigned call_list(const Coroutine *co)
{
    /* Coroutines are some hundred bytes apart. */
    return ((uintptr_t)co >> 7) % CALL_LISTS;
}

void coroutine_fn fs_call_begin(FsCall *call)
{
    unsigned i;

    call->co = qemu_coroutine_self();
    call->user = FS_USER_NONE;
    i = call_list(call->co);
    qemu_spin_lock(&calls[i].lock);
    QLIST_INSERT_HEAD(&calls[i].list, call, next);
    qemu_spin_unlock(&calls[i].lock);
}

void coroutine_fn fs_call_end(FsCall *call)
{
    unsigned i = call_list(call->co);

    qemu_spin_lock(&calls[i].lock);
    QLIST_REMOVE(call, next);
    qemu_spin_unlock(&calls[i].lock);
}

FsCall *coroutine_fn fs_call_self(void)
{
    Coroutine *co = qemu_coroutine_self();
    unsigned i = call_list(co);
    FsCall *call;

    qemu_spin_lock(&calls[i].lock);
    QLIST_FOREACH(call, &calls[i].list, next) {
        if (call->co == co) {
            break;
        }
    }
    qemu_spin_unlock(&calls[i].lock);
    return call;
}

bool coroutine_fn fs_call_sleep(FsCall *call, int64_t ns)
{
    /* A wake-up before the sleep may be lost or kept: neither may matter. */
    if (call->cancelled) {
        return false;
    }
    if (ns < 0) {
        qemu_co_sleep(&call->sleep);
    } else {
        /* The call waits for the host, also while the VM is stopped. */
        qemu_co_sleep_ns_wakeable(&call->sleep, QEMU_CLOCK_REALTIME, ns);
    }
    return !call->cancelled;
}

void fs_call_memory_put(FsCall *call)
{
    if (call->memory_put) {
        call->memory_put(call);
    }
}

int coroutine_fn fs_call_memory_get(FsCall *call)
{
    return call->memory_get ? call->memory_get(call) : 0;
}

void fs_call_cancel(FsCall *call)
{
    void (*on_cancel)(FsCall *call, void *opaque) = call->on_cancel;

    if (call->cancelled) {
        return;
    }
    call->cancelled = true;
    /*
     * The operation sleeps, or it waits for something else, or neither. The
     * call may end as soon as it wakes up, so nothing may follow.
     */
    if (on_cancel) {
        call->on_cancel = NULL;
        on_cancel(call, call->on_cancel_opaque);
    } else {
        qemu_co_sleep_wake(&call->sleep);
    }
}

bool fs_call_abandon(FsCall *call)
{
    void (*on_abandon)(FsCall *call, void *opaque) = call->on_abandon;

    if (!on_abandon) {
        return false;
    }
    call->on_abandon = NULL;
    on_abandon(call, call->on_abandon_opaque);
    return true;
}
