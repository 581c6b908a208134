/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The state of a session, saved and loaded: a guest goes on with its share
 * mounted after a migration, or from a snapshot.
 *
 * The state is a row of blocks, which the device puts into its stream.
 * docs/interop/virtfs-migration.rst describes their contents. The VM stands
 * still during both.
 */
#ifndef HW_9PFS_SERVER_STATE_H
#define HW_9PFS_SERVER_STATE_H

#include "qemu/units.h"
#include "9p.h"

/* The largest block, in bytes */
#define P9_STATE_BLOCK_MAX  (128 * KiB)

/*
 * Whether there is a session to save: a message size, a fid, or a request under
 * way. Main thread.
 */
bool p9_server_has_session(P9Server *s);

/* Takes one block, of 1 to P9_STATE_BLOCK_MAX bytes. */
typedef void P9StateSink(void *opaque, const void *block, size_t size);

/*
 * Calls @sink for each block of the state, in the calling thread. All requests
 * are at rest (p9_server_park()). @leaving: the session goes on elsewhere, so
 * files that the guest has written are settled there (FsDriver.settle), and
 * locks are shared (lock-state.c); a snapshot changes nothing. Returns false
 * with an error that names the fsdev and what cannot be saved. Main thread.
 */
bool p9_server_save(P9Server *s, bool leaving, P9StateSink *sink, void *opaque,
                    Error **errp);

/* A state on its way in */
typedef struct P9StateLoad P9StateLoad;

/*
 * Begins to load: the session of before ends, and the state takes its place
 * with p9_server_load_end(). Main thread, as all of these.
 */
P9StateLoad *coroutine_mixed_fn p9_server_load_begin(P9Server *s);

/*
 * Takes the next block, of at most P9_STATE_BLOCK_MAX bytes, and may change it.
 * Returns false with an error that names the fsdev; then only
 * p9_server_load_abort() may follow.
 */
bool coroutine_mixed_fn p9_server_load_block(P9StateLoad *l, void *block,
                                             size_t size, Error **errp);

/*
 * After the last block: finds files again as on-missing= says, opens the open
 * ones, and takes locks. Waits for at most half a minute; a file that was not
 * found then is missing. @snapshot: not a migration, so on-missing's default is
 * stale. Returns false with an error that names the fsdev and what is missing,
 * and then the session is empty. Frees @l in both cases.
 */
bool coroutine_mixed_fn p9_server_load_end(P9StateLoad *l, bool snapshot,
                                           Error **errp);

/* After an error of the stream: the session is empty. Frees @l. */
void coroutine_mixed_fn p9_server_load_abort(P9StateLoad *l);

#endif /* HW_9PFS_SERVER_STATE_H */
