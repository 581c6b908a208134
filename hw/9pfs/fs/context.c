/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * In which AioContext an export runs (FsExport.ctx).
 *
 * The first device brings the export to the device's context, and the last one
 * to leave gives it back to the main loop. An export without a device still
 * notices that its helper is lost, and gets another one. So an export changes
 * its context in two steps. In the old context it takes back its handlers,
 * timers and bottom halves. Then no code of the export can run, and it sets
 * them up again in the new context.
 *
 * While the main thread waits for another thread it runs its own bottom
 * halves, so the greeting of a new helper may end during the change.
 * FsExport.moving makes this known to the greeting.
 */
#include "qemu/osdep.h"
#include "block/aio-wait.h"
#include "qapi/error.h"
#include "qemu/coroutine.h"
#include "qemu/main-loop.h"
#include "context.h"
#include "export.h"
#include "throttle.h"

/* A function that a coroutine waits for */
typedef struct Elsewhere {
    void (*fn)(void *opaque);
    void *opaque;
    Coroutine *co;
} Elsewhere;

static void elsewhere_bh(void *opaque)
{
    Elsewhere *e = opaque;

    e->fn(e->opaque);
    aio_co_wake(e->co);
}

void coroutine_mixed_fn fs_context_run(AioContext *ctx,
                                       void (*fn)(void *opaque), void *opaque)
{
    if (in_aio_context_home_thread(ctx)) {
        fn(opaque);
    } else if (qemu_in_coroutine()) {
        Elsewhere e = {
            .fn = fn, .opaque = opaque, .co = qemu_coroutine_self(),
        };

        aio_bh_schedule_oneshot(ctx, elsewhere_bh, &e);
        qemu_coroutine_yield();
    } else {
        aio_wait_bh_oneshot(ctx, fn, opaque);
    }
}

void fs_main_run(void (*fn)(void *opaque), void *opaque)
{
    if (in_aio_context_home_thread(qemu_get_aio_context())) {
        fn(opaque);
    } else {
        aio_bh_schedule_oneshot(qemu_get_aio_context(), fn, opaque);
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
}

/* In the new context */
static void export_enter(void *opaque)
{
    FsExport *fs = opaque;

    if (fs->driver->enter) {
        fs->driver->enter(fs);
    }
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
