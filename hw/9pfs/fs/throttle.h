/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Limits of an export's I/O (throttling.* of -fsdev), on QEMU's own throttling
 * (qemu/throttle.h): reads and writes of all devices on the export together.
 */
#ifndef HW_9PFS_FS_THROTTLE_H
#define HW_9PFS_FS_THROTTLE_H

#include "qapi/qapi-types-block-core.h"
#include "block/aio.h"
#include "call.h"

typedef struct FsThrottle FsThrottle;

/* Returns NULL if a limit is invalid, or two clash; the error names them. */
FsThrottle *fs_throttle_new(const ThrottleLimits *limits, Error **errp);
void fs_throttle_free(FsThrottle *throttle);

/*
 * The export goes to another context, with no call waiting. @throttle may be
 * NULL.
 */
void fs_throttle_detach(FsThrottle *throttle);
void fs_throttle_attach(FsThrottle *throttle, AioContext *ctx);

/*
 * Waits until @bytes may be read or written, and counts them. Returns -EINTR if
 * the call is cancelled during the wait. @throttle may be NULL: no limits.
 */
int coroutine_fn fs_throttle_wait(FsThrottle *throttle, FsCall *call,
                                  bool write, uint64_t bytes);

#endif /* HW_9PFS_FS_THROTTLE_H */
