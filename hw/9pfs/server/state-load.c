/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A session on its way in: see state.h.
 *
 * The state comes from a stream, which anybody may have written. Each field is
 * checked before it is used. A record refers only to records before it, and the
 * limits of the export apply: max_fids, max_xattr and those of locks. What a
 * guest could not have reached by messages is refused, so a damaged stream can
 * give the guest nothing more than a hostile guest could have.
 *
 * Records make fids, nodes and entries at once, but nothing is looked up on the
 * host, except devices that have another number here. state-find.c does that at
 * the end.
 */
#include "qemu/osdep.h"
#include "qapi/error.h"
#include "migration/misc.h"
#include "end.h"
#include "lock-state.h"
#include "state-find.h"
#include "state-records.h"
#include "hw/9pfs/fs/context.h"

/* Sets l->err, if it is not set, to one that names the record. */
static void load_fail(P9StateLoad *l, const char *why)
{
    if (!l->err) {
        error_setg(&l->err, "virtio-9p: fsdev '%s': the saved session is "
                   "damaged: record %" PRIu64 ": %s", l->s->fs->id, l->records,
                   why);
    }
}

typedef struct LoadBlock {
    P9StateLoad *l;
    MarshalReader r;
} LoadBlock;

/*
 * Reads records until the block ends, one is wrong, or a device is to be found.
 * Export's thread.
 */
static void load_records(void *opaque)
{
    LoadBlock *b = opaque;
    P9StateLoad *l = b->l;
    MarshalReader record;
    const char *why;
    uint8_t type;
    uint32_t size;
    void *bytes;

    while (marshal_left(&b->r) && !l->err && !l->find_dev) {
        type = marshal_get_u8(&b->r);
        size = marshal_get_u32(&b->r);
        bytes = marshal_get_bytes(&b->r, size);
        l->records++;
        if (!marshal_ok(&b->r)) {
            load_fail(l, "it is longer than its block");
            return;
        }
        marshal_reader_init(&record, bytes, size);
        why = p9_load_record(l, type, &record);
        if (why) {
            load_fail(l, why);
        }
    }
}

/*
 * Begin and end
 */

static void load_clear_node(void *opaque)
{
    LoadNode *n = opaque;

    if (n->node) {
        fs_node_unref(n->node);
    }
    g_free(n->path);
}

static void load_clear_attach(void *opaque)
{
    p9_attach_put(((LoadAttach *)opaque)->attach);
}

static void load_clear_open(void *opaque)
{
    p9_fid_put(((LoadOpen *)opaque)->fid);
}

static void load_clear_entry(void *entry)
{
    if (entry) {
        fs_entry_put(entry);
    }
}

static void load_begin(void *opaque)
{
    P9StateLoad *l = opaque;
    P9Export *export = l->s->export;

    l->occupied = l->s->msize || g_hash_table_size(l->s->fids) ||
                  l->s->under_way || g_hash_table_size(l->s->locks.owners);
    if (export->fids == 0) {
        p9_qid_map_destroy(&export->qids);
    }
    l->resets = l->s->resets;
    l->s->detached++;
    l->devs = g_array_new(false, false, sizeof(LoadDev));
    l->nodes = g_array_new(false, false, sizeof(LoadNode));
    g_array_set_clear_func(l->nodes, load_clear_node);
    l->known = g_hash_table_new(NULL, NULL);
    l->entries = g_ptr_array_new_with_free_func(load_clear_entry);
    l->attaches = g_array_new(false, false, sizeof(LoadAttach));
    g_array_set_clear_func(l->attaches, load_clear_attach);
    l->opens = g_array_new(false, false, sizeof(LoadOpen));
    g_array_set_clear_func(l->opens, load_clear_open);
    l->reported = g_hash_table_new(NULL, NULL);
}

P9StateLoad *p9_server_load_begin(P9Server *s)
{
    P9StateLoad *l = g_new0(P9StateLoad, 1);

    l->s = s;
    fs_context_run(s->ctx, load_begin, l);
    return l;
}

/*
 * While the stream does not go on, or files are found, the device may be reset
 * or unplugged, and then fids and owners that were loaded are gone. Sets l->err
 * in that case.
 */
static bool load_lives(P9StateLoad *l)
{
    if (l->resets != l->s->resets && !l->err) {
        error_setg(&l->err, "virtio-9p: fsdev '%s': the device was reset while "
                   "a session came in", l->s->fs->id);
    }
    return !l->err;
}

bool p9_server_load_block(P9StateLoad *l, void *block, size_t size,
                          Error **errp)
{
    FsExport *fs = l->s->fs;
    LoadBlock b = { .l = l };

    if (!fs_export_migrates(fs) || l->occupied) {
        if (l->occupied) {
            error_setg(errp, "virtio-9p: fsdev '%s': the guest has a session "
                       "already", fs->id);
        } else {
            error_setg(errp, "virtio-9p: a session cannot be loaded: fsdev "
                       "'%s' %s", fs->id, fs_export_why_not_saved(fs));
        }
        return false;
    }
    marshal_reader_init(&b.r, block, size);
    while (load_lives(l)) {
        fs_context_run(l->s->ctx, load_records, &b);
        if (!l->find_dev) {
            break;
        }
        p9_load_find_dev(l);
    }
    if (l->err) {
        error_propagate(errp, g_steal_pointer(&l->err));
        return false;
    }
    return true;
}

static void load_free(void *opaque)
{
    P9StateLoad *l = opaque;

    g_free(l->find_dev);
    g_hash_table_unref(l->reported);
    g_array_unref(l->opens);
    g_array_unref(l->attaches);
    g_ptr_array_unref(l->entries);
    g_hash_table_unref(l->known);
    g_array_unref(l->nodes);
    g_array_unref(l->devs);
    g_free(l->qids_used[false]);
    g_free(l->qids_used[true]);
    error_free(l->err);
    p9_server_late(l->s);
    g_free(l);
}

static void load_abort(void *opaque)
{
    P9StateLoad *l = opaque;
    P9Export *export = l->s->export;

    if (!l->occupied) {
        p9_locks_reset(l->s);
        p9_fids_clear(l->s);
        if (export->fids == 0) {
            p9_qid_map_destroy(&export->qids);
        }
    }
    load_free(l);
}

void p9_server_load_abort(P9StateLoad *l)
{
    fs_context_run(l->s->ctx, load_abort, l);
}

static void load_done(void *opaque)
{
    P9StateLoad *l = opaque;

    l->s->msize = l->msize;
    l->s->dialect = l->dialect;
    load_free(l);
}

bool p9_server_load_end(P9StateLoad *l, bool snapshot, Error **errp)
{
    P9Server *s = l->s;

    l->postcopy = migration_in_incoming_postcopy();
    l->strict = s->fs->has_on_missing
                ? s->fs->on_missing == FSDEV_ON_MISSING_FAIL
                : !snapshot && !l->postcopy;
    if (load_lives(l) && !l->ended) {
        load_fail(l, "the end is missing");
    } else if (!l->err) {
        p9_load_find(l);
    }
    if (!load_lives(l)) {
        error_propagate(errp, g_steal_pointer(&l->err));
        p9_server_load_abort(l);
        return false;
    }
    fs_context_run(s->ctx, load_done, l);
    return true;
}
