/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Waiting that can be cancelled: see call.h.
 */
#include "qemu/osdep.h"
#include "qemu/timer.h"
#include "call.h"

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
