/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The helper's socket: one that it was given, or one that it listens on.
 */
#ifndef FSDEV_HELPER_LISTEN_H
#define FSDEV_HELPER_LISTEN_H

#include "options.h"

/* The socket file that was made, so that it can be removed: no other is. */
typedef struct SocketFile {
    int dir;                    /* O_PATH descriptor, or -1: there is no file */
    char *name;
    uint64_t dev;
    uint64_t ino;
} SocketFile;

/*
 * The socket that a service manager passes (sd_listen_fds(3)), or -1 if there
 * is none. Ends the process if there are several.
 */
int listen_activated(void);

/*
 * Checks that o->fd is a UNIX stream socket, connected unless a service
 * manager gave it. Returns whether it is a listening one; ends the process if
 * it is of no use.
 */
bool listen_check_fd(const Options *o);

/*
 * Listens on o->socket. The file appears at once with its owner (--uid,
 * --gid) and mode 0600. One that exists is replaced if it is a socket that
 * nobody listens on. Returns the listening socket; ends the process on error.
 */
int listen_start(const Options *o, SocketFile *file);

/*
 * Waits for a connection by the user @allowed, as this process' user namespace
 * has him, or by root; NO_ID is anybody. Others are told off in the log and
 * not served. Ends the process on error.
 */
int listen_accept(int fd, uint32_t allowed);

/* Removes the file if it still is the one that was made. */
void listen_remove_file(SocketFile *file);

#endif /* FSDEV_HELPER_LISTEN_H */
