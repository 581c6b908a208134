/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Byte range locks of a session that goes on elsewhere: see lock-state.c.
 */
#ifndef HW_9PFS_SERVER_LOCK_STATE_H
#define HW_9PFS_SERVER_LOCK_STATE_H

#include "lock-owner.h"

/* Calls @fn for each owner. Export's thread. */
void p9_locks_each(P9Server *s, void (*fn)(const P9LockOwner *, void *opaque),
                   void *opaque);

/*
 * The session is being saved to go on elsewhere: turns the host's locks for
 * writing into locks for reading. Returns false with an error that names the
 * fsdev and the file. p9_locks_cont() takes them back in both cases. Main
 * thread, as the next.
 */
bool p9_locks_share(P9Server *s, Error **errp);
/* It is on its way, or goes on there already: releases locks held there. */
void p9_locks_leave(P9Server *s);
/* It goes on there now: releases the locks that are shared. */
void p9_locks_release(P9Server *s);

/*
 * The VM continues, or the session stays: takes locks that the host has not, or
 * only for reading, in the background. Export's thread, as the next.
 */
void p9_locks_cont(P9Server *s);
/* Stops that, and ends all owners. */
void p9_locks_reset(P9Server *s);

/*
 * An owner's use of its locks was not possible: @ret is -EAGAIN if another one
 * has a lock, or the error. Export's thread.
 */
typedef void P9LockLost(P9LockOwner *o, int ret, void *opaque);

/*
 * The owners come from a saved session: opens their files, which the fids that
 * use them have open, and takes the locks for reading. Calls @lost for owners
 * that do not get theirs by @deadline. Main thread.
 */
void p9_locks_load(P9Server *s, int64_t deadline, P9LockLost *lost,
                   void *opaque);

#endif /* HW_9PFS_SERVER_LOCK_STATE_H */
