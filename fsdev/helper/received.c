/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Which kind of descriptor a client has sent: see received.h.
 *
 * The kernel answers fcntl(2) without its file systems. statx(2) asks the file
 * system, but with AT_STATX_DONT_SYNC that does not ask its server.
 */
#include "qemu/osdep.h"
#include "received.h"
#include "fsdev/shared/hostfs.h"

static int flags_of(int fd)
{
    int flags = fcntl(fd, F_GETFL);

    return flags < 0 ? 0 : flags;
}

bool received_is_inode(int fd, uint64_t mount)
{
    HostPlace at;

    return (flags_of(fd) & O_PATH) && hostfs_place(fd, &at) == 0 &&
           at.mount == mount;
}

/* The device number of pipes: all that pipe(2) makes are in one file system */
static bool pipes_dev(uint64_t *dev)
{
    HostPlace at;
    int ends[2];
    bool ok;

    if (pipe2(ends, O_CLOEXEC) < 0) {
        return false;
    }
    ok = hostfs_place(ends[0], &at) == 0;
    *dev = at.dev;
    close(ends[0]);
    close(ends[1]);
    return ok;
}

bool received_is_pipe(int fd, int access, uint64_t *pipe)
{
    HostPlace at;
    uint64_t dev;

    if ((flags_of(fd) & (O_ACCMODE | O_PATH)) != access ||
        !pipes_dev(&dev) || hostfs_place(fd, &at) < 0 || at.dev != dev) {
        return false;
    }
    *pipe = at.ino;
    return true;
}

bool received_is_memory(int fd)
{
    return fcntl(fd, F_GET_SEALS) >= 0;
}
