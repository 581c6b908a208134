/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * In which AioContext an export runs, and how a function gets to run there.
 */
#ifndef HW_9PFS_FS_CONTEXT_H
#define HW_9PFS_FS_CONTEXT_H

#include "block/aio.h"

typedef struct FsExport FsExport;

/*
 * Adds a device to the export, to be served in @ctx: the main loop's context
 * if @owner is NULL, else that of the IOThread with that id. The first device
 * brings the export there. Returns false with an error that names the export
 * and the property if other devices have it elsewhere. Main thread.
 */
bool fs_export_join(FsExport *fs, AioContext *ctx, const char *owner,
                    Error **errp);
/*
 * Removes a device. The last one gives the export back to the main loop. Main
 * thread.
 */
void fs_export_leave(FsExport *fs);

/*
 * Runs @fn in @ctx and waits until it has returned. Call it from within @ctx,
 * or from the main thread, which serves bottom halves while it waits. A
 * coroutine of the main thread yields instead.
 */
void coroutine_mixed_fn fs_context_run(AioContext *ctx,
                                       void (*fn)(void *opaque), void *opaque);

/*
 * Runs @fn in the main thread: at once if the caller is the main thread (or
 * has the big lock), else soon, and before anything that the main thread is
 * asked for later.
 */
void fs_main_run(void (*fn)(void *opaque), void *opaque);

#endif /* HW_9PFS_FS_CONTEXT_H */
