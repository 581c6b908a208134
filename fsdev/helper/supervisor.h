/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The helper's processes.
 *
 * The file server runs as the first process of a PID namespace of its own,
 * so it sees and can signal nobody else. Whoever starts the helper cannot
 * be made a member of that namespace, so there is a second process, the
 * *keeper*: the one that the starter knows. It never touches the connection
 * or the export, and has no privilege. It
 *
 *   - passes the server's end on, with the same exit status or signal;
 *   - ends the server when it is told to end itself (the server gets SIGKILL
 *     from the kernel if the keeper is killed);
 *   - removes the socket's file as soon as a client is there, or at the end:
 *     the server cannot, in its own mount namespace. Until then, and only
 *     with --socket, it keeps what it takes to remove a file.
 *
 * As a daemon there is a third: the process that was started waits until the
 * server is ready, and exits with 0, or with 1 if it never gets there.
 */
#ifndef FSDEV_HELPER_SUPERVISOR_H
#define FSDEV_HELPER_SUPERVISOR_H

#include "listen.h"
#include "userns.h"

/* The server's connection to the other processes. */
typedef struct Keeper {
    int tell;                   /* to the keeper */
    int alive;                  /* ends with the keeper */
    int ready;                  /* to the process that was started, or -1 */
} Keeper;

/*
 * Forks as described. Returns in the server's process only, in the PID (and,
 * for an ordinary user, the user) namespace it is to have. @ids gets the id
 * maps of the user namespace. The keeper closes @fd and @export.
 */
void keeper_start(Keeper *k, const Options *o, SocketFile *file,
                  IdMaps *ids, int fd, int export);

/*
 * The server is killed when the keeper ends, from here on. To be called after
 * the last change of its credentials, which would undo it (prctl(2)).
 */
void keeper_follow(Keeper *k);

/* The server is ready: a daemon's starter exits, and stderr is given up. */
void keeper_tell_ready(Keeper *k);

/* There is a connection: the socket's file is not needed any more. */
void keeper_tell_connected(Keeper *k);

#endif /* FSDEV_HELPER_SUPERVISOR_H */
