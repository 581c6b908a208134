/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * One client after another, of which none can keep the helper from the next.
 *
 * A client can leave behind what waits: requests that hang in a file system,
 * descriptors whose close(2) takes as long as the client wished, and such as it
 * was sent and has not received. A session
 * serves each client in threads of its own. The helper turns to the next client
 * when a session ends, or when its client has gone and the session does not end
 * soon. Such a session finishes its requests, then frees all that it has.
 */
#ifndef FSDEV_HELPER_SESSION_H
#define FSDEV_HELPER_SESSION_H

#include "serve.h"

/*
 * Sessions that may be left behind, if --memory-limit leaves room for as many;
 * at this limit the next client waits
 */
#define SESSIONS_MAX    128

/* A client that has connected must send its HELLO within this time. */
#define SESSION_HELLO_MS 15000

/*
 * Before the first session: there is memory for @most at a time, and there are
 * descriptors for @left that are left behind.
 */
void session_limit(unsigned most, unsigned left);

/*
 * Serves the connected socket @fd, which passes. Returns once the helper can
 * turn to the next client. @config must stay.
 */
void session_serve(int fd, const ServeConfig *config);

/* Closes the connection @fd of a client that the helper does not serve. */
void session_refuse(int fd);

#endif /* FSDEV_HELPER_SESSION_H */
