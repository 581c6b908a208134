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
#ifndef HW_9PFS_HOST_FD_BUDGET_H
#define HW_9PFS_HOST_FD_BUDGET_H

#include "qapi/qapi-types-fsdev.h"
#include "block/aio.h"
#include "qemu/queue.h"
#include "hw/9pfs/fs/export.h"

typedef struct HostFd {
    int fd;                     /* or -1 */
    unsigned pins:30;           /* > 0: in use by a thread: is not closed */
    bool kept:1;                /* host_fd_keep() */
    bool away:1;                /* between two threads */
    /*
     * NULL, or called before the descriptor is closed to keep to the budget;
     * it may host_fd_keep() it, and then it is not closed.
     */
    void (*evict)(struct HostFd *h);
    QTAILQ_ENTRY(HostFd) lru;
} HostFd;

/* Raises RLIMIT_NOFILE and sets the budget. More than once does no harm. */
void host_fds_init(void);

/* Without a descriptor */
void host_fd_init(HostFd *h, void (*evict)(HostFd *h));

/*
 * Takes over @fd for a handle that has none, and makes room for it if need be.
 * @h itself is not closed for that.
 */
void host_fd_set(HostFd *h, int fd);

/* The descriptor, which counts as used now; -1 if there is none. */
int host_fd_use(HostFd *h);

/*
 * Keeps the descriptor open until as many unpins, and does no harm to a handle
 * that gets its descriptor later. The last unpin does not close it.
 */
void host_fd_pin(HostFd *h);
void host_fd_unpin(HostFd *h);

/*
 * The inode cannot be got again: the descriptor stays open as long as the
 * handle, and counts as an open file. False, and it may be closed as any
 * other, when there are too many of the kind (a quarter of RLIMIT_NOFILE).
 */
bool host_fd_keep(HostFd *h);
/* It can be got again after all. */
void host_fd_unkeep(HostFd *h);

/* Closes the descriptor, if there is one. */
void host_fd_drop(HostFd *h);

/*
 * The export goes from one thread to another: the descriptors of its nodes
 * leave in the old one and enter in the new one. In between none is closed.
 * @fd_of returns a node's.
 */
void host_fds_leave(FsExport *fs, HostFd *(*fd_of)(FsNode *node));
void host_fds_enter(FsExport *fs, HostFd *(*fd_of)(FsNode *node));

/*
 * The process ran out of descriptors nonetheless: closes some of the least
 * recently used. Whether there were any.
 */
bool host_fds_relieve(void);

/* Figures of the whole process; the caller's to free */
FsdevDescriptors *host_fds_info(void);

/* One more open file: 0, or -ENFILE when they are too many. */
int host_files_add(void);
void host_files_remove(void);

#endif /* HW_9PFS_HOST_FD_BUDGET_H */
