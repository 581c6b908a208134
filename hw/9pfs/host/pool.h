/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Threads of QEMU for work of 9p that may block. Block devices have others.
 */
#ifndef HW_9PFS_HOST_POOL_H
#define HW_9PFS_HOST_POOL_H

#include "block/thread-pool.h"
#include "qemu/coroutine.h"

/* Sets the pool up. Main thread, as often as you like. */
void host_pool_init(void);

/*
 * Runs @func(@opaque) in a thread of the pool, for work on the file system
 * @dev, and returns its result. While the file system has its share of the
 * threads (fsdev/shared/thread-budget.h), the work waits for one; if the
 * request is cancelled in that time, the result is -EINTR, and @func does not
 * run.
 */
int coroutine_fn host_pool_run(uint64_t dev, ThreadPoolFunc *func,
                               void *opaque);

/*
 * The same in two steps: waits for a thread, and returns 0 or -EINTR; then
 * runs the work, which must follow, or leaves.
 */
int coroutine_fn host_pool_enter(uint64_t dev);
int coroutine_fn host_pool_work(uint64_t dev, ThreadPoolFunc *func,
                                void *opaque);
/* In place of the work */
void coroutine_fn host_pool_leave(uint64_t dev);

/* The same, but the request cannot be cancelled. */
int coroutine_fn host_pool_run_always(uint64_t dev, ThreadPoolFunc *func,
                                      void *opaque);

/* Runs @func(@opaque) some time, and does not wait for it. */
void host_pool_post(uint64_t dev, ThreadPoolFunc *func, void *opaque);

/*
 * Whether the inode of @fd has no name any more. Then the last close(2) frees
 * what the file holds, which takes longer the larger it is. Asks no server.
 */
bool host_is_unnamed(int fd);

/*
 * Closes a descriptor: here, or in a thread if close(2) may take long. An open
 * file's may ask a server. An O_PATH descriptor's may free a file
 * (host_is_unnamed()), or end a file system that has been unmounted lazily,
 * unless the file system is held. Any thread, as the next.
 */
void host_pool_close(int fd);

/* The caller has a descriptor of the file system @dev, until it releases it. */
void host_pool_hold_dev(uint64_t dev);
void host_pool_release_dev(uint64_t dev);

/* The same for the file system of @fd, which the second one closes. */
void host_pool_hold(int fd);
void host_pool_close_held(int fd);

/*
 * Another process holds what an operation needs (-EAGAIN), a lease or the
 * file system's share of threads. Sleeps, longer each time. False if that took
 * longer than the kernel lets a lease hold up an open, or the request was
 * cancelled; then *@ret is the result.
 */
typedef struct HostAgain {
    int64_t end;                /* 0 at first */
    int64_t pause;
} HostAgain;

bool coroutine_fn host_again(HostAgain *again, int *ret);

#endif /* HW_9PFS_HOST_POOL_H */
