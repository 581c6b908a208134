/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The helper's processes.
 *
 * The file server runs as the first process of its own PID namespace, so it
 * sees and can signal no other process. The process that the starter knows
 * cannot move into that namespace, so it stays outside as the *supervisor*.
 * The supervisor never touches the connection or the export (which it keeps
 * open, so that the host cannot unmount it), and has no privilege. It
 *
 *   - ends when the server ends, with the same exit status or signal;
 *   - ends the server when a signal asks the supervisor to end (if the
 *     supervisor is killed, the kernel kills the server);
 *   - removes the socket's file as soon as a client has connected, or at the
 *     end. The server cannot do that from its own mount namespace. The
 *     supervisor needs no privilege for it, see place_removable(); where that
 *     is not possible, the file stays.
 *
 * If the host may mount more below the export, the server has a child that
 * restricts such mounts (mounts.h). When that process ends, the supervisor ends
 * the server.
 *
 * A daemon has another process: the one that the starter ran waits until the
 * server is ready and exits with 0, or with 1 if the server fails before.
 */
#ifndef FSDEV_HELPER_SUPERVISOR_H
#define FSDEV_HELPER_SUPERVISOR_H

#include "listen.h"
#include "userns.h"

/* The server's connection to the other processes. */
typedef struct Supervisor {
    int tell;                   /* pipe to the supervisor */
    int alive;                  /* pipe that ends with the supervisor; before,
                                   a byte: it holds the mounts (mounts.h) */
    int watcher;                /* pipe to the supervisor: mounts_watch() */
    int ready;                  /* pipe to the process that the starter ran,
                                   or -1 */
    int pidfile;                /* to complete when the server is ready, or
                                   -1 */
} Supervisor;

/*
 * Forks as described. Returns in the server process only, in its PID namespace
 * and, if an ordinary user started the helper, its user namespace. *@ids gets
 * the id maps of the user namespace. The supervisor closes @fd.
 */
void supervisor_start(Supervisor *s, const Options *o, SocketFile *file,
                      IdMaps *ids, int fd, int export);

/*
 * From here on the kernel kills the server when the supervisor ends. Call this
 * after the last change of credentials, which would undo it (prctl(2)).
 */
void supervisor_follow(Supervisor *s);

/*
 * The server is ready: the line in the pid file gets its end, a daemon's
 * starter exits, and stderr is given up.
 */
void supervisor_tell_ready(Supervisor *s);

/* A client has connected: the supervisor can remove the socket's file. */
void supervisor_tell_connected(Supervisor *s);

#endif /* FSDEV_HELPER_SUPERVISOR_H */
