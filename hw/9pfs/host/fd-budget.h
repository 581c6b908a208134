/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The process's budget of descriptors: handles of inodes (O_PATH), which can
 * be closed and got again, and open files, which cannot.
 *
 * The handles of all exports that run in one thread are in one list, the least
 * recently used first. When there are too many (half of RLIMIT_NOFILE, which is
 * raised to its hard limit; fewer when open files need the room), the first
 * that nobody uses at the moment is closed, after its owner was told.
 *
 * The budget is the whole process's, and shared by the threads: the main thread
 * (or whoever has the big lock) and those IOThreads that exports run in. Each
 * closes its own handles only, so a handle needs no lock; it belongs to the
 * thread that its export runs in. A thread that has less than its part, and
 * finds no room, asks the others to close some.
 */
#ifndef HW_9PFS_HOSTHANDLE_H
#define HW_9PFS_HOSTHANDLE_H

#include "qapi/qapi-types-fsdev.h"
#include "block/aio.h"
#include "qemu/queue.h"

typedef struct HostHandle {
    int fd;                     /* or -1 */
    unsigned pins:30;           /* > 0: in use by a thread: is not closed */
    bool kept:1;                /* host_handle_keep() */
    bool away:1;                /* between two threads */
    /*
     * NULL, or called before the descriptor is closed to keep to the budget;
     * it may host_handle_keep() it, and then it is not closed.
     */
    void (*evict)(struct HostHandle *h);
    QTAILQ_ENTRY(HostHandle) lru;
} HostHandle;

/* Raises RLIMIT_NOFILE and sets the budget. More than once does no harm. */
void host_handles_init(void);

/* Without a descriptor */
void host_handle_init(HostHandle *h, void (*evict)(HostHandle *h));

/*
 * Takes over @fd for a handle that has none, and makes room for it if need be.
 * @h itself is not closed for that.
 */
void host_handle_set(HostHandle *h, int fd);

/* The descriptor, which counts as used now; -1 if there is none. */
int host_handle_use(HostHandle *h);

/*
 * Keeps the descriptor open until as many unpins, and does no harm to a handle
 * that gets its descriptor later. The last unpin does not close it.
 */
void host_handle_pin(HostHandle *h);
void host_handle_unpin(HostHandle *h);

/*
 * The inode cannot be got again: the descriptor stays open as long as the
 * handle, and counts as an open file. False, and it may be closed as any
 * other, when there are too many of the kind (a quarter of RLIMIT_NOFILE).
 */
bool host_handle_keep(HostHandle *h);
/* It can be got again after all. */
void host_handle_unkeep(HostHandle *h);

/* Closes the descriptor, if there is one. */
void host_handle_drop(HostHandle *h);

/*
 * The handle's export goes from one thread to another: it leaves in the old one
 * and enters in the new one. In between it is not closed.
 */
void host_handle_leave(HostHandle *h);
void host_handle_enter(HostHandle *h);

/*
 * In an IOThread: an export has come that runs in its context @ctx, or has
 * gone, with all its handles.
 */
void host_handles_thread_get(AioContext *ctx);
void host_handles_thread_put(void);

/*
 * The process ran out of descriptors nonetheless: closes some of the least
 * recently used. Whether there were any.
 */
bool host_handles_relieve(void);

/* Figures of the whole process; the caller's to free */
FsdevDescriptors *host_handles_info(void);

/* One more open file: 0, or -ENFILE when they are too many. */
int host_files_add(void);
void host_files_remove(void);

#endif /* HW_9PFS_HOSTHANDLE_H */
