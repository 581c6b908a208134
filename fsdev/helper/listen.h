/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The helper's socket: one that it was given, or one that it listens on.
 */
#ifndef FSDEV_HELPER_LISTEN_H
#define FSDEV_HELPER_LISTEN_H

#include "options.h"

/* The socket file that the helper made, and may remove */
typedef struct SocketFile {
    int dir;                    /* O_PATH descriptor, or -1: no file */
    char *name;
    uint64_t dev;
    uint64_t ino;
} SocketFile;

/*
 * Checks that o->fd is a UNIX stream socket, which must be connected unless a
 * service manager passed it. Returns whether it is a listening one. Ends the
 * process if the socket is unusable.
 */
bool listen_check_fd(const Options *o);

/*
 * Listens on o->socket. The file appears with its final owner (--uid, --gid)
 * and mode 0600. It replaces an existing socket on which no process listens.
 * Returns the listening socket; ends the process on error.
 */
int listen_start(const Options *o, SocketFile *file);

/*
 * Waits for a connection by the user @allowed, a uid in this process' user
 * namespace, or by root; NO_ID allows any user. Other users are logged and
 * refused. Ends the process on error.
 */
int listen_accept(int fd, uint32_t allowed);

/* Removes the file, if it is still the one that the helper made. */
void listen_remove_file(SocketFile *file);

#endif /* FSDEV_HELPER_LISTEN_H */
