/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What all file system drivers need: waiting that can be cancelled, and the
 * counting of nodes and files.
 *
 * An export's table of nodes does not count: a node is in it as long as
 * somebody holds a reference, and leaves it with the last one, before the
 * driver frees it. Freeing a node may drop the last reference to the directory
 * above it, and so on to the root: that is done in a loop, because a guest
 * may have made the tree deeper than any stack.
 */
#include "qemu/osdep.h"
#include "block/aio-wait.h"
#include "qapi/error.h"
#include "qemu/error-report.h"
#include "qemu/main-loop.h"
#include "qemu/timer.h"
#include "driver.h"
#include "throttle.h"

/*
 * Calls
 */

bool coroutine_fn fs_call_sleep(FsCall *call, int64_t ns)
{
    /* A wake-up before the sleep may be lost or kept: it must not matter. */
    if (call->cancelled) {
        return false;
    }
    if (ns < 0) {
        qemu_co_sleep(&call->sleep);
    } else {
        /* The wait is for others on the host: it goes on with the VM stopped */
        qemu_co_sleep_ns_wakeable(&call->sleep, QEMU_CLOCK_REALTIME, ns);
    }
    return !call->cancelled;
}

void fs_call_cancel(FsCall *call)
{
    void (*on_cancel)(FsCall *call, void *opaque) = call->on_cancel;

    if (call->cancelled) {
        return;
    }
    call->cancelled = true;
    /*
     * The operation sleeps, or it waits for something else, or neither. Once
     * it is woken the call may be over, so nothing comes after that.
     */
    if (on_cancel) {
        call->on_cancel = NULL;
        on_cancel(call, call->on_cancel_opaque);
    } else {
        qemu_co_sleep_wake(&call->sleep);
    }
}

bool fs_call_abandon(FsCall *call)
{
    void (*on_abandon)(FsCall *call, void *opaque) = call->on_abandon;

    if (!on_abandon) {
        return false;
    }
    call->on_abandon = NULL;
    on_abandon(call, call->on_abandon_opaque);
    return true;
}

/*
 * Contexts
 */

void fs_context_run(AioContext *ctx, void (*fn)(void *opaque), void *opaque)
{
    if (in_aio_context_home_thread(ctx)) {
        fn(opaque);
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

/*
 * Exports
 */

bool fs_export_init(FsExport *fs, const FsdevOptions *opts, Error **errp)
{
    if (opts->throttling) {
        fs->throttle = fs_throttle_new(opts->throttling, errp);
        if (!fs->throttle) {
            return false;
        }
    }
    fs->ctx = qemu_get_aio_context();
    QSIMPLEQ_INIT(&fs->dying);
    qemu_co_queue_init(&fs->renamed);
    return true;
}

void fs_export_release(FsExport *fs)
{
    g_clear_pointer(&fs->nodes, g_hash_table_unref);
    g_clear_pointer(&fs->entries, g_hash_table_unref);
    p9_qid_map_destroy(&fs->qids);
    g_clear_pointer(&fs->throttle, fs_throttle_free);
}

int fs_export_admit_dev(FsExport *fs, uint64_t dev)
{
    if (fs->multidevs == FSDEV_MULTIDEVS_REMAP || dev == fs->root->dev) {
        return 0;
    }
    if (!fs->multidevs_told) {
        fs->multidevs_told = true;
        warn_report("fsdev '%s': the export covers several file systems%s",
                    fs->id, fs->multidevs == FSDEV_MULTIDEVS_FORBID
                    ? ", and multidevs=forbid hides all but the one of its "
                      "root" : "");
    }
    return fs->multidevs == FSDEV_MULTIDEVS_FORBID ? -EXDEV : 0;
}

/*
 * Nodes
 */

static guint node_hash(gconstpointer key)
{
    const FsNode *node = key;
    uint64_t h = node->ino ^ (node->dev << 32 | node->dev >> 32);

    return h ^ h >> 32;
}

static gboolean node_equal(gconstpointer a, gconstpointer b)
{
    const FsNode *x = a;
    const FsNode *y = b;

    return x->ino == y->ino && x->dev == y->dev;
}

FsNode *fs_node_find(FsExport *fs, uint64_t dev, uint64_t ino)
{
    const FsNode key = { .dev = dev, .ino = ino };
    FsNode *node = fs->nodes ? g_hash_table_lookup(fs->nodes, &key) : NULL;

    return node ? fs_node_ref(node) : NULL;
}

void fs_node_init(FsNode *node, FsExport *fs, const FsAttr *attr)
{
    bool added;

    if (!fs->nodes) {
        fs->nodes = g_hash_table_new(node_hash, node_equal);
    }
    node->fs = fs;
    node->dev = attr->dev;
    node->ino = attr->ino;
    node->type = attr->mode & S_IFMT;
    node->refs = 1;
    node->gen_state = FS_GEN_UNKNOWN;
    node->detached = false;
    QLIST_INIT(&node->names);
    node->where = NULL;
    added = g_hash_table_add(fs->nodes, node);
    assert(added);
}

void fs_node_detach(FsNode *node)
{
    if (!node->detached) {
        node->detached = true;
        g_hash_table_remove(node->fs->nodes, node);
    }
}

FsNode *fs_node_ref(FsNode *node)
{
    node->refs++;
    return node;
}

void fs_node_unref(FsNode *node)
{
    FsExport *fs = node->fs;
    FsEntry *entry, *where;

    assert(node->refs > 0);
    if (--node->refs) {
        return;
    }
    fs_node_detach(node);
    QSIMPLEQ_INSERT_TAIL(&fs->dying, node, dying);
    if (fs->freeing) {
        return;
    }
    fs->freeing = true;
    while ((node = QSIMPLEQ_FIRST(&fs->dying))) {
        QSIMPLEQ_REMOVE_HEAD(&fs->dying, dying);
        while ((entry = QLIST_FIRST(&node->names))) {
            fs_entry_gone(entry);
            entry->node = NULL;
        }
        where = node->where;
        fs->driver->node_free(node);
        if (where) {
            fs_entry_put(where);
        }
    }
    fs->freeing = false;
}

/*
 * Files
 */

void fs_file_init(FsFile *file, FsNode *node, int flags)
{
    file->node = fs_node_ref(node);
    file->flags = flags;
    file->refs = 1;
    node->fs->open_files++;
}

FsFile *fs_file_ref(FsFile *file)
{
    file->refs++;
    return file;
}

void fs_file_unref(FsFile *file)
{
    FsNode *node = file->node;

    assert(file->refs > 0);
    if (--file->refs == 0) {
        node->fs->open_files--;
        node->fs->driver->file_free(file);
        fs_node_unref(node);
    }
}
