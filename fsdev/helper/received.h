/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Which kind of descriptor a client has sent. A descriptor can be anything that
 * the client can open: a socket whose close(2) waits, a file of a file system
 * that the client serves itself, the client's own end of the connection. No
 * function in here waits, whatever the descriptor is.
 */
#ifndef FSDEV_HELPER_RECEIVED_H
#define FSDEV_HELPER_RECEIVED_H

#include "qemu/osdep.h"

/* An O_PATH descriptor of an inode on @mount (HostPlace) */
bool received_is_inode(int fd, uint64_t mount);

/*
 * An end of a pipe(2), opened for @access (O_RDONLY, O_WRONLY) alone. *@pipe
 * tells pipes apart. A named pipe is none: its file system may be the client's.
 */
bool received_is_pipe(int fd, int access, uint64_t *pipe);

/* Memory of the kernel's tmpfs, which may be a ring's (ring.h checks that) */
bool received_is_memory(int fd);

#endif /* FSDEV_HELPER_RECEIVED_H */
