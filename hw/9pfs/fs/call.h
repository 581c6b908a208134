/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * FsCall: the path of one request through a driver.
 *
 * The server makes one for each request and passes it to every operation of
 * the driver. A driver that waits without a bound waits with fs_call_sleep(),
 * or sets on_cancel, so that a Tflush or a reset can end the wait.
 *
 * All of it belongs to the export's thread.
 */
#ifndef HW_9PFS_FS_CALL_H
#define HW_9PFS_FS_CALL_H

#include "qemu/coroutine.h"

typedef struct FsCall {
    bool cancelled;
    bool others;                /* other requests were under way at the start */
    QemuCoSleep sleep;
    /*
     * Set by a driver while it waits for an answer that it can give up on.
     * fs_call_cancel() calls it at most once.
     */
    void (*on_cancel)(struct FsCall *call, void *opaque);
    void *on_cancel_opaque;
    /*
     * Set by a driver while it waits for a peer that may never answer. It ends
     * the operation at once with an error, although the peer may still carry
     * it out. fs_call_abandon() calls it at most once.
     */
    void (*on_abandon)(struct FsCall *call, void *opaque);
    void *on_abandon_opaque;
} FsCall;

/*
 * Sleeps until @ns nanoseconds have passed (< 0: no limit) or the call is
 * cancelled. Returns false when it was cancelled.
 */
bool coroutine_fn fs_call_sleep(FsCall *call, int64_t ns);

/* From outside the coroutine: asks the operation to stop waiting. */
void fs_call_cancel(FsCall *call);

/*
 * Gives up on a call that was cancelled and still runs, because a Tflush or a
 * reset has waited for it long enough. Returns whether the driver was waiting
 * for a peer; the call may be over then.
 */
bool fs_call_abandon(FsCall *call);

#endif /* HW_9PFS_FS_CALL_H */
