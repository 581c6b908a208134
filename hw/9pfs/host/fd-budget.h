/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The process's budget of descriptors: control FDs (O_PATH, of nodes), which
 * can be closed and opened again, and open FDs (of open files), which cannot.
 *
 * The descriptors of all exports that run in one thread are in one list, the
 * least recently used first. When there are too many (half of RLIMIT_NOFILE, as
 * far as it may be raised: fd-limit.h; fewer when open files need the room),
 * the first that is not in use is closed, after its owner was notified.
 *
 * The whole process has one budget, and its threads share it: the main thread
 * (or the thread that has the big lock) and the IOThreads that exports run in.
 * Each thread closes only its own descriptors, so a HostFd needs no lock; it
 * belongs to the thread that its export runs in. A thread that has no more than
 * its part, and finds no room, asks the others to close some.
 */
#ifndef HW_9PFS_HOST_FD_BUDGET_H
#define HW_9PFS_HOST_FD_BUDGET_H

#include "qapi/qapi-types-fsdev.h"
#include "block/aio.h"
#include "qemu/queue.h"
#include "hw/9pfs/fs/export.h"

typedef struct HostFd {
    int fd;                     /* or -1 */
    unsigned pins:30;           /* > 0: in use, not to be closed */
    bool kept:1;                /* host_fd_keep() */
    bool away:1;                /* between two threads */
    /*
     * NULL, or called before the descriptor is closed to keep to the budget. If
     * it calls host_fd_keep(), the descriptor is not closed.
     */
    void (*evict)(struct HostFd *h);
    QTAILQ_ENTRY(HostFd) lru;
} HostFd;

/*
 * An export has come, or is about to go: the budget changes with what it may
 * need. Its max_open_files must not change in between. Main thread.
 */
void host_fds_add_export(const FsExport *fs);
void host_fds_remove_export(const FsExport *fs);

/* Initialises @h without a descriptor. */
void host_fd_init(HostFd *h, void (*evict)(HostFd *h));

/*
 * Takes over @fd, which is an O_PATH descriptor, for @h, which has none, and
 * makes room for it if necessary. That does not close @h itself. The descriptor
 * may get another number.
 */
void host_fd_set(HostFd *h, int fd);

/* The descriptor, which counts as used now; -1 if there is none. */
int host_fd_use(HostFd *h);

/*
 * Keeps the descriptor open until as many unpins; @h may get it after the pin.
 * The last unpin does not close it.
 */
void host_fd_pin(HostFd *h);
void host_fd_unpin(HostFd *h);

/*
 * The inode cannot be found again: the descriptor stays open as long as @h
 * lives, and counts as an open file. Returns false, and the descriptor may be
 * closed as any other, when too many are kept (a quarter of RLIMIT_NOFILE).
 */
bool host_fd_keep(HostFd *h);
/* The inode can be found again after all. */
void host_fd_unkeep(HostFd *h);

/* Closes the descriptor, if there is one. */
void host_fd_drop(HostFd *h);

/*
 * The export goes from one thread to another: the descriptors of its nodes
 * leave in the old one and enter in the new one. In between none is closed.
 * @fd_of returns the HostFd of a node, or is NULL if nodes have none. A driver
 * that only opens files also calls both, so that its thread has a share of its
 * own and never closes descriptors of other threads.
 */
void host_fds_leave(FsExport *fs, HostFd *(*fd_of)(FsNode *node));
void host_fds_enter(FsExport *fs, HostFd *(*fd_of)(FsNode *node));

/*
 * The process ran out of descriptors nonetheless: raises the limit, or closes
 * some of the least recently used ones. Returns whether it could do either.
 */
bool host_fds_relieve(void);

/* Figures of the whole process; the caller's to free */
FsdevDescriptors *host_fds_info(void);

/* One more open file: 0, or -ENFILE when there are too many. */
int host_files_add(void);
void host_files_remove(void);

#endif /* HW_9PFS_HOST_FD_BUDGET_H */
