/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * In which AioContext an export runs (FsExport.ctx).
 *
 * The first device brings the export to its own context, and the last one to
 * leave gives it back to the main loop. In between, with no device, nothing
 * runs but what the export does by itself: it notices that its helper goes
 * away, and gets another one. So an export changes its context in two steps:
 * in the old one it takes back all that could call it from there, and then the
 * main thread, which nobody disturbs any more, sets that up in the new one.
 * Handles of inodes are in a list of their thread's (host/fd-budget.c), so they
 * leave one and enter the other in these threads.
 *
 * While the main thread waits for another it runs its own bottom halves, so a
 * greeting to a new helper may end in the midst of this. FsExport.moving is
 * there for that one.
 */
#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qemu/main-loop.h"
#include "throttle.h"
#include "driver.h"
#include "hw/9pfs/host/fd-budget.h"

static void each_handle(FsExport *fs, void (*fn)(HostFd *h))
{
    GHashTableIter iter;
    void *node;

    if (!fs->driver->node_fd || !fs->nodes) {
        return;
    }
    g_hash_table_iter_init(&iter, fs->nodes);
    while (g_hash_table_iter_next(&iter, &node, NULL)) {
        fn(fs->driver->node_fd(node));
    }
}

/* In the old context */
static void export_detach(void *opaque)
{
    FsExport *fs = opaque;

    fs_throttle_detach(fs->throttle);
    if (fs->driver->detach) {
        fs->driver->detach(fs);
    }
    each_handle(fs, host_fd_leave);
    if (fs->ctx_owner) {
        host_fds_thread_put();
    }
}

/* In the new context */
static void export_enter(void *opaque)
{
    FsExport *fs = opaque;

    if (fs->ctx_owner) {
        host_fds_thread_get(fs->ctx);
    }
    each_handle(fs, host_fd_enter);
}

static void export_move(FsExport *fs, AioContext *ctx, const char *owner)
{
    if (fs->ctx == ctx) {
        return;
    }
    fs->moving = true;
    fs_context_run(fs->ctx, export_detach, fs);
    g_free(fs->ctx_owner);
    fs->ctx_owner = g_strdup(owner);
    fs->ctx = ctx;
    fs_context_run(ctx, export_enter, fs);
    fs_throttle_attach(fs->throttle, ctx);
    if (fs->driver->attach) {
        fs->driver->attach(fs);
    }
    fs->moving = false;
}

bool fs_export_join(FsExport *fs, AioContext *ctx, const char *owner,
                    Error **errp)
{
    if (fs->users && fs->ctx != ctx) {
        g_autofree char *mine = owner
            ? g_strdup_printf("is '%s'", owner) : g_strdup("is missing");

        if (fs->ctx_owner) {
            error_setg(errp, "virtio-9p: property 'iothread' %s: fsdev '%s' "
                       "has another device with iothread '%s', and all "
                       "devices of an fsdev must have the same", mine, fs->id,
                       fs->ctx_owner);
        } else {
            error_setg(errp, "virtio-9p: property 'iothread' %s: fsdev '%s' "
                       "has another device without iothread, and all devices "
                       "of an fsdev must have the same", mine, fs->id);
        }
        return false;
    }
    export_move(fs, ctx, owner);
    fs->users++;
    return true;
}

void fs_export_leave(FsExport *fs)
{
    assert(fs->users > 0);
    if (--fs->users == 0) {
        export_move(fs, qemu_get_aio_context(), NULL);
    }
}
