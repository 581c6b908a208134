/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The host's file systems that an export has met, by device number: whether
 * operations on them may wait, and thus need another thread.
 *
 * Call from the export's thread unless noted otherwise.
 */
#ifndef HW_9PFS_HOST_DEVICE_NUMBERS_H
#define HW_9PFS_HOST_DEVICE_NUMBERS_H

#include "pool.h"
#include "fsdev/shared/hostfs.h"
#include "qemu/coroutine.h"

typedef enum HostDevKind {
    /* All work may ask another machine or a process; or it is not known yet. */
    HOST_DEV_REMOTE,
    /*
     * The kernel has at hand all that it knows of an inode that is open
     * (statx(2)) and of the file system (statfs(2)); the rest waits for
     * storage.
     */
    HOST_DEV_STORAGE,
    /*
     * Files are only in memory: work waits for nothing but memory, like the
     * guest's own, and locks of inodes. A process that may read a directory or
     * write to a file can hold such a lock as long as it likes: the kernel
     * moves data from or to the process's memory under it, which may be that of
     * a file whose server does not answer.
     */
    HOST_DEV_MEMORY,
} HostDevKind;

/* The file systems of one export; zero at first */
typedef struct HostDevs {
    GArray *known;
} HostDevs;

/* Before the caller closes the descriptors that host_dev_note() speaks of. */
void host_devs_destroy(HostDevs *devs);

bool host_dev_known(const HostDevs *devs, uint64_t dev);
HostDevKind host_dev_kind(const HostDevs *devs, uint64_t dev);

/*
 * Whether the kind of @dev is known for the mount of @fd, a descriptor there.
 * The number alone may have gone to another file system. Does not wait.
 */
bool host_dev_known_at(const HostDevs *devs, int fd, uint64_t dev);

/*
 * @dev counts as of that kind from now on, on any mount. The caller keeps a
 * descriptor there until host_devs_destroy().
 */
void host_dev_note(HostDevs *devs, uint64_t dev, HostDevKind kind);

/* Kinds of work on an inode that is held */
typedef enum HostWork {
    HOST_WORK_STAT,             /* statx(2), statfs(2) */
    HOST_WORK_READ,             /* open(2) that changes nothing, getxattr(2) */
    HOST_WORK_LOOKUP,           /* a name in a directory */
    HOST_WORK_ANY,              /* also takes the inode's lock */
} HostWork;

/* Whether @work on @dev may wait */
HostWait host_dev_wait(const HostDevs *devs, uint64_t dev, HostWork work);

/*
 * Whether readlink(2) of @fd, a symbolic link on @dev, may wait. On storage the
 * kernel has only short targets at hand, and not on every file system.
 */
HostWait host_link_wait(const HostDevs *devs, uint64_t dev, int fd);

/*
 * Runs @func(@opaque), work on @dev: here with HOST_WAIT_NEVER, else in the
 * thread pool (pool.h). With HOST_WAIT_TRY_FIRST the caller has tried already.
 * -EINTR if the request was cancelled before the work began.
 */
int coroutine_fn host_run(uint64_t dev, HostWait wait, ThreadPoolFunc *func,
                          void *opaque);

/*
 * Finds out the kind of @dev with @fd, a descriptor there, which stays open as
 * long as the export: so no other file system gets the number. May block.
 */
void host_dev_set(HostDevs *devs, int fd, uint64_t dev);

/* The kind of the file system of @fd. May block. */
HostDevKind host_dev_ask(int fd);

/*
 * Finds it out in the thread pool, unless the kind is known for the mount of
 * @fd; keep @fd open. To be called for each new descriptor of an inode, before
 * other work relies on the kind.
 */
HostDevKind coroutine_fn host_dev_learn(HostDevs *devs, int fd, uint64_t dev);

#endif /* HW_9PFS_HOST_DEVICE_NUMBERS_H */
