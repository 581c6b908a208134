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
#include "qemu/queue.h"

/* No guest's user; it is what a call begins with (fs_call_begin()). */
#define FS_USER_NONE    ((uint32_t)-1)

typedef struct FsCall {
    bool cancelled;
    uint32_t user;              /* whose request it is: Tattach's n_uname; or
                                   FS_USER_NONE, who has no rights */
    Coroutine *co;              /* between fs_call_begin() and fs_call_end() */
    QLIST_ENTRY(FsCall) next;
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
    /*
     * The server's while an operation may write to the guest's memory, and
     * NULL otherwise: see fs_call_memory_put().
     */
    void (*memory_put)(struct FsCall *call);
    int coroutine_fn (*memory_get)(struct FsCall *call);
} FsCall;

/*
 * Sleeps until @ns nanoseconds have passed (< 0: no limit) or the call is
 * cancelled. Returns false when it was cancelled.
 */
bool coroutine_fn fs_call_sleep(FsCall *call, int64_t ns);

/*
 * From begin to end, fs_call_self() returns the call in its coroutine, for
 * layers that wait far below the driver's operation. It returns NULL in a
 * coroutine without a call. Begin forgets the user.
 */
void coroutine_fn fs_call_begin(FsCall *call);
void coroutine_fn fs_call_end(FsCall *call);
FsCall *coroutine_fn fs_call_self(void);

/*
 * An operation that may write to the guest's memory, and waits for the host for
 * long, does not write between put and get. While the VM is stopped, get waits.
 * If it returns -EINTR, the request is over, and its memory is not the guest's
 * any more.
 */
void fs_call_memory_put(FsCall *call);
int coroutine_fn fs_call_memory_get(FsCall *call);

/* From outside the coroutine: asks the operation to stop waiting. */
void fs_call_cancel(FsCall *call);

/*
 * Gives up on a call that was cancelled and still runs, because a Tflush or a
 * reset has waited for it long enough. Returns whether the driver was waiting
 * for a peer; the call may be over then.
 */
bool fs_call_abandon(FsCall *call);

#endif /* HW_9PFS_FS_CALL_H */
