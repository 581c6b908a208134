/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The virtio-9p device's state for migration and snapshots.
 *
 * A device without a session has no state besides its queue, and its stream is
 * that of QEMU's own device. A session is a subsection: the blocks of the
 * server (server/state.h), and then the requests that the device has taken off
 * the queue and not put back. docs/interop/virtfs-migration.rst describes both.
 *
 * The subsection stands inside the part that all virtio devices share
 * (virtio_save()): whatever comes later and has a name that begins with
 * "virtio" would be taken for one of that part's own. At that point the queue
 * is not whole, so it takes the requests at the end of that part
 * (VirtioDeviceClass.post_load).
 *
 * A migration comes in in a coroutine, which yields while it waits for the
 * stream or for files: QMP goes on. A snapshot is loaded outside of coroutines,
 * and the main thread waits.
 */
#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qemu/coroutine.h"
#include "qemu/error-report.h"
#include "migration/migration.h"
#include "system/runstate.h"
#include "migrate-internal.h"

/*
 * For people and for query-migrate. While the migration has an error, no
 * snapshot can be loaded, and loading one does not clear it.
 */
static void migrate_report(Error *err)
{
    bool leaves = runstate_check(RUN_STATE_FINISH_MIGRATE);
    bool comes = runstate_check(RUN_STATE_INMIGRATE);

    if (leaves || comes) {
        migrate_set_error(migrate_get_current(), err);
    }
    if (leaves ||
        (comes && migration_incoming_get_current()->exit_on_error)) {
        /* The migration prints its error when it ends. */
        error_free(err);
    } else {
        error_report_err(err);
    }
}

int virtio_9p_pre_save(void *opaque)
{
    Error *err = NULL;

    if (!virtio_9p_save_begin(&err)) {
        migrate_report(err);
        return -EBUSY;
    }
    return 0;
}

static int session_put(QEMUFile *f, void *pv, size_t size,
                       const VMStateField *field, JSONWriter *vmdesc)
{
    V9fsVirtioState *v = pv;
    Error *err = NULL;

    if (!virtio_9p_save_session(v, f, &err)) {
        migrate_report(err);
        return -EIO;
    }
    return 0;
}

/*
 * Reads the next block into @block, of P9_STATE_BLOCK_MAX bytes: its size, 0
 * after the last one, or -1 with an error.
 */
static int coroutine_mixed_fn load_read(QEMUFile *f, void *block, Error **errp)
{
    uint32_t size = qemu_get_be32(f);

    if (size > P9_STATE_BLOCK_MAX) {
        error_setg(errp, "a block has %u bytes", size);
        return -1;
    }
    if ((size && qemu_get_buffer(f, block, size) != size) ||
        qemu_file_get_error(f)) {
        error_setg(errp, "the stream ends");
        return -1;
    }
    return size;
}

/* The server's blocks */
static bool coroutine_mixed_fn load_server(V9fsVirtioState *v, QEMUFile *f,
                                           void *block, Error **errp)
{
    P9StateLoad *l = p9_server_load_begin(v->server);
    int size;

    while ((size = load_read(f, block, errp)) > 0) {
        if (!p9_server_load_block(l, block, size, errp)) {
            p9_server_load_abort(l);
            return false;
        }
    }
    if (size < 0) {
        p9_server_load_abort(l);
        error_prepend(errp, VIRTIO_9P_CANNOT_LOAD, v->tag);
        return false;
    }
    return p9_server_load_end(l, !runstate_check(RUN_STATE_INMIGRATE), errp);
}

/* The device's blocks */
static bool coroutine_mixed_fn load_requests(V9fsVirtioState *v, QEMUFile *f,
                                             void *block, Error **errp)
{
    int size;

    virtio_9p_load_begin(v);
    while ((size = load_read(f, block, errp)) >= 0 && v->load) {
        if (size == 0) {
            return virtio_9p_load_end(v, errp);
        }
        if (!virtio_9p_load_record(v, block, size, errp)) {
            return false;
        }
    }
    if (size >= 0) {
        error_setg(errp, "the device was reset meanwhile");
    }
    return false;
}

static bool coroutine_mixed_fn load_session(V9fsVirtioState *v, QEMUFile *f,
                                            Error **errp)
{
    ERRP_GUARD();
    g_autofree void *block = g_malloc(P9_STATE_BLOCK_MAX);

    if (!load_server(v, f, block, errp)) {
        return false;
    }
    if (!load_requests(v, f, block, errp)) {
        virtio_9p_load_drop(v);
        if (v->server) {
            p9_server_reset(v->server);
        }
        error_prepend(errp, VIRTIO_9P_CANNOT_LOAD, v->tag);
        return false;
    }
    return true;
}

static int coroutine_mixed_fn session_get(QEMUFile *f, void *pv, size_t size,
                                          const VMStateField *field)
{
    V9fsVirtioState *v = pv;
    Error *err = NULL;

    /* It may be unplugged meanwhile. */
    object_ref(OBJECT(v));
    if (!load_session(v, f, &err)) {
        migrate_report(err);
    }
    object_unref(OBJECT(v));
    return err ? -EINVAL : 0;
}

/* The base calls it in a coroutine and holds the RCU lock: it may not wait. */
int virtio_9p_post_load(VirtIODevice *vdev)
{
    V9fsVirtioState *v = VIRTIO_9P(vdev);
    Error *err = NULL;

    if (!v->load && p9_server_has_session(v->server)) {
        /* Its requests would go to a queue that does not know them. */
        error_setg(&err, VIRTIO_9P_CANNOT_LOAD "the guest has one already, and "
                   "the stream has none", v->tag);
        migrate_report(err);
        return -EINVAL;
    }
    if (v->load && !virtio_9p_load_queue(v, &err)) {
        /* It has no requests, so this does not wait for any. */
        p9_server_reset(v->server);
        error_prepend(&err, VIRTIO_9P_CANNOT_LOAD, v->tag);
        migrate_report(err);
        return -EINVAL;
    }
    return 0;
}

static bool session_needed(void *opaque)
{
    V9fsVirtioState *v = opaque;

    return p9_server_has_session(v->server);
}

static const VMStateInfo session_info = {
    .name = "virtio-9p session",
    .get = session_get,
    .put = session_put,
};

static const VMStateDescription session_vmstate = {
    .name = "virtio-9p/session",
    .version_id = 1,
    .minimum_version_id = 1,
    .needed = session_needed,
    .fields = (const VMStateField[]) {
        {
            .name = "session",
            .info = &session_info,
            .flags = VMS_SINGLE,
        },
        VMSTATE_END_OF_LIST()
    },
};

const VMStateDescription virtio_9p_session_vmstate = {
    .name = "virtio-9p",
    .version_id = 1,
    .minimum_version_id = 1,
    .fields = (const VMStateField[]) { VMSTATE_END_OF_LIST() },
    .subsections = (const VMStateDescription * const []) {
        &session_vmstate,
        NULL
    },
};
