/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A session on its way out: see state.h.
 *
 * First everything that the session needs is gathered: its fids, their nodes,
 * and all directories and names on the way to the root, numbered in the order
 * in which the stream has them. Then blocks are filled with one record after
 * the other. The tables do not change meanwhile, because all requests are at
 * rest, and what was gathered is referenced. So only one block is in memory at
 * a time, however large the session is.
 */
#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qemu/error-report.h"
#include "lock-owner.h"
#include "lock-state.h"
#include "messages.h"
#include "state.h"
#include "state-format.h"
#include "state-settle.h"
#include "xattr.h"
#include "hw/9pfs/fs/context.h"
#include "hw/9pfs/trace.h"

typedef struct SaveDev {
    uint64_t dev;
    FsNode *node;               /* a node on it that has a path, or NULL */
} SaveDev;

typedef struct SaveQid {
    uint64_t dev;
    uint64_t ino;
    uint32_t value;
    bool single;
} SaveQid;

/* An owner, one of its ranges, or one of its uses */
typedef struct SaveLock {
    uint8_t type;               /* P9_STATE_LOCK_* */
    const P9LockOwner *owner;
    P9LockRange range;
    uint32_t fid;
} SaveLock;

/* Objects that are numbered in the order in which they come */
typedef struct SaveTable {
    GPtrArray *objects;
    GHashTable *index;          /* object -> number */
} SaveTable;

typedef struct P9Save {
    P9Server *s;
    SaveTable nodes;            /* references, as the next */
    SaveTable entries;
    SaveTable attaches;
    GPtrArray *fids;            /* references */
    GArray *devs;               /* of SaveDev */
    GHashTable *dev_index;      /* dev -> number */
    GArray *qids;               /* of SaveQid */
    GArray *locks;              /* of SaveLock */
    bool warns;                 /* an open file has no name and no handle */

    unsigned phase;
    unsigned at;                /* the next record of the phase */
    uint8_t *block;
    size_t size;
    MarshalWriter w;
} P9Save;

/*
 * Gathering
 */

static void table_init(SaveTable *t, GDestroyNotify unref)
{
    t->objects = g_ptr_array_new_with_free_func(unref);
    t->index = g_hash_table_new(NULL, NULL);
}

static void table_destroy(SaveTable *t)
{
    g_ptr_array_unref(t->objects);
    g_hash_table_unref(t->index);
}

static bool table_has(const SaveTable *t, const void *object)
{
    return g_hash_table_contains(t->index, object);
}

static uint32_t table_number(const SaveTable *t, const void *object)
{
    return GPOINTER_TO_UINT(g_hash_table_lookup(t->index, object));
}

static void table_add(SaveTable *t, void *object)
{
    g_hash_table_insert(t->index, object, GUINT_TO_POINTER(t->objects->len));
    g_ptr_array_add(t->objects, object);
}

static uint32_t dev_number(const P9Save *v, uint64_t dev)
{
    return GPOINTER_TO_UINT(g_hash_table_lookup(v->dev_index, &dev));
}

static bool has_path(FsNode *node)
{
    g_autofree char *path = fs_node_path(node, P9_STATE_PATH_MAX);

    return path != NULL;
}

/* @node: one on the device, or NULL */
static void add_dev(P9Save *v, uint64_t dev, FsNode *node)
{
    SaveDev new = { .dev = dev };
    SaveDev *d;

    if (!g_hash_table_contains(v->dev_index, &dev)) {
        g_hash_table_insert(v->dev_index, g_memdup2(&dev, sizeof(dev)),
                            GUINT_TO_POINTER(v->devs->len));
        g_array_append_val(v->devs, new);
    }
    d = &g_array_index(v->devs, SaveDev, dev_number(v, dev));
    if (!node || d->node) {
        return;
    }
    /* The shortest path: many are too long for the stream. */
    while (node != node->fs->root) {
        FsEntry *where = fs_node_where(node);

        if (!where || where->parent->dev != dev) {
            break;
        }
        node = where->parent;
    }
    if (has_path(node)) {
        d->node = node;
    }
}

static void add_entry(P9Save *v, FsEntry *entry)
{
    if (!table_has(&v->entries, entry)) {
        table_add(&v->entries, fs_entry_ref(entry));
    }
}

/*
 * Adds @node, and all that it is found by. The highest directory comes first:
 * the entry by which a directory is found precedes all entries in it.
 */
static void add_node(P9Save *v, FsNode *node)
{
    g_autoptr(GPtrArray) way = g_ptr_array_new();
    FsEntry *where;

    while (!table_has(&v->nodes, node)) {
        g_ptr_array_add(way, node);
        where = fs_node_where(node);
        if (!where) {
            break;
        }
        node = where->parent;
    }
    while (way->len) {
        node = g_ptr_array_steal_index(way, way->len - 1);
        table_add(&v->nodes, fs_node_ref(node));
        add_dev(v, node->dev, node->detached ? NULL : node);
        where = fs_node_where(node);
        if (where && table_has(&v->nodes, where->parent)) {
            add_entry(v, where);
        }
    }
}

static bool entry_known(const FsEntry *entry)
{
    return entry && !entry->gone && entry->node;
}

static void add_fid(P9Save *v, P9Fid *fid)
{
    g_ptr_array_add(v->fids, p9_fid_ref(fid));
    if (!table_has(&v->attaches, fid->attach)) {
        add_node(v, fid->attach->root);
        table_add(&v->attaches, fid->attach);
    }
    add_node(v, fid->node);
    if (entry_known(fid->entry)) {
        add_node(v, fid->entry->parent);
        add_node(v, fid->entry->node);
        add_entry(v, fid->entry);
    }
}

static void add_qid(void *opaque, bool single, uint64_t dev, uint64_t ino,
                    uint32_t value)
{
    P9Save *v = opaque;
    SaveQid qid = {
        .dev = dev, .ino = ino, .value = value, .single = single,
    };

    add_dev(v, dev, NULL);
    g_array_append_val(v->qids, qid);
}

static void add_owner(const P9LockOwner *o, void *opaque)
{
    P9Save *v = opaque;
    SaveLock lock = { .type = P9_STATE_LOCK_OWNER, .owner = o };
    const P9LockUse *use;
    unsigned i;

    g_array_append_val(v->locks, lock);
    lock.type = P9_STATE_LOCK_RANGE;
    for (i = 0; o->ranges && i < o->ranges->len; i++) {
        lock.range = g_array_index(o->ranges, P9LockRange, i);
        g_array_append_val(v->locks, lock);
    }
    lock.type = P9_STATE_LOCK_USE;
    QLIST_FOREACH(use, &o->uses, by_owner) {
        lock.fid = use->fid->id;
        g_array_append_val(v->locks, lock);
    }
}

/* Export's thread, as all below unless noted otherwise */
static void save_gather(void *opaque)
{
    P9Save *v = opaque;
    GHashTableIter iter;
    P9Fid *fid;

    add_node(v, v->s->fs->root);
    p9_qid_map_each(&v->s->export->qids, add_qid, v);
    if (!v->s->msize) {
        return;                 /* fids that are left end with a Tversion */
    }
    g_hash_table_iter_init(&iter, v->s->fids);
    while (g_hash_table_iter_next(&iter, (gpointer *)&fid, NULL)) {
        add_fid(v, fid);
    }
    p9_locks_each(v->s, add_owner, v);
}

/*
 * Records. Each function puts record number v->at of its phase, with those that
 * must stay with it, and returns false if there are no more.
 */

/* Begins a record; put_end() gets what this returns. */
static uint8_t *put_begin(P9Save *v, uint8_t type)
{
    marshal_put_u8(&v->w, type);
    return marshal_reserve(&v->w, 4);
}

static void put_end(P9Save *v, uint8_t *size)
{
    if (marshal_fits(&v->w)) {
        stl_le_p(size, v->w.pos - size - 4);
    }
}

static bool put_session(P9Save *v)
{
    uint8_t *size;

    if (v->at > 0) {
        return false;
    }
    size = put_begin(v, P9_STATE_SESSION);
    marshal_put_u32(&v->w, P9_STATE_VERSION);
    marshal_put_u8(&v->w, v->s->dialect);
    marshal_put_u32(&v->w, v->s->msize);
    put_end(v, size);
    return true;
}

static bool put_device(P9Save *v)
{
    g_autofree char *path = NULL;
    const SaveDev *dev;
    uint8_t *size;

    if (v->at >= v->devs->len) {
        return false;
    }
    dev = &g_array_index(v->devs, SaveDev, v->at);
    if (v->at > 0 && dev->node) {
        path = fs_node_path(dev->node, P9_STATE_PATH_MAX);
    }
    size = put_begin(v, P9_STATE_DEVICE);
    marshal_put_u64(&v->w, dev->dev);
    marshal_put_str(&v->w, path ?: "");
    put_end(v, size);
    return true;
}

static bool put_qid_next(P9Save *v)
{
    const P9QidMap *map = &v->s->export->qids;
    uint8_t *size;

    if (v->at > 0) {
        return false;
    }
    size = put_begin(v, P9_STATE_QID_NEXT);
    marshal_put_u32(&v->w, map->next_prefix);
    marshal_put_u32(&v->w, map->next_single);
    put_end(v, size);
    return true;
}

static bool put_qid(P9Save *v)
{
    const SaveQid *qid;
    uint8_t *size;

    if (v->at >= v->qids->len) {
        return false;
    }
    qid = &g_array_index(v->qids, SaveQid, v->at);
    size = put_begin(v, qid->single ? P9_STATE_QID_SINGLE
                                    : P9_STATE_QID_PREFIX);
    marshal_put_u32(&v->w, dev_number(v, qid->dev));
    marshal_put_u64(&v->w, qid->ino);
    marshal_put_u32(&v->w, qid->value);
    put_end(v, size);
    return true;
}

/* What the stream says of @node, and a handle if there is one */
static FsNodeState node_state(P9Save *v, FsNode *node)
{
    FsNodeState state = {
        .dev = node->dev,
        .ino = node->ino,
        .type = node->type,
        .gen_state = node->gen_state,
        .gen = node->gen,
    };

    if (!node->detached) {
        v->s->fs->driver->save_node(node, &state);
    }
    return state;
}

static bool can_be_found(P9Save *v, FsNode *node)
{
    return fs_node_has_way(node) || node_state(v, node).handle_size > 0;
}

static bool put_node(P9Save *v)
{
    FsNodeState state;
    FsNode *node;
    uint8_t *size;

    if (v->at >= v->nodes.objects->len) {
        return false;
    }
    node = g_ptr_array_index(v->nodes.objects, v->at);
    state = node_state(v, node);
    size = put_begin(v, P9_STATE_NODE);
    marshal_put_u32(&v->w, dev_number(v, state.dev));
    marshal_put_u64(&v->w, state.ino);
    marshal_put_u32(&v->w, state.type);
    marshal_put_u8(&v->w, node->detached ? P9_STATE_NODE_DETACHED : 0);
    marshal_put_u8(&v->w, state.gen_state);
    marshal_put_u64(&v->w, state.gen);
    marshal_put_u64(&v->w, state.born);
    marshal_put_u32(&v->w, state.handle_type);
    marshal_put_strn(&v->w, (char *)state.handle, state.handle_size);
    put_end(v, size);
    return true;
}

static bool put_entry(P9Save *v)
{
    const FsEntry *entry;
    FsNode *node;
    uint8_t *size;
    uint8_t flags = 0;

    if (v->at >= v->entries.objects->len) {
        return false;
    }
    entry = g_ptr_array_index(v->entries.objects, v->at);
    node = entry->node;
    if (entry->gone || !node) {
        /* Gathering another one has shown that the name is out of date. */
        flags |= P9_STATE_ENTRY_GONE;
        node = v->s->fs->root;
    } else if (fs_node_where(node) == entry) {
        flags |= P9_STATE_ENTRY_WHERE;
    }
    size = put_begin(v, P9_STATE_ENTRY);
    marshal_put_u32(&v->w, table_number(&v->nodes, entry->parent));
    marshal_put_u32(&v->w, table_number(&v->nodes, node));
    marshal_put_u8(&v->w, flags);
    marshal_put_str(&v->w, entry->name);
    put_end(v, size);
    return true;
}

static bool put_attach(P9Save *v)
{
    const P9Attach *attach;
    uint8_t *size;

    if (v->at >= v->attaches.objects->len) {
        return false;
    }
    attach = g_ptr_array_index(v->attaches.objects, v->at);
    size = put_begin(v, P9_STATE_ATTACH);
    marshal_put_u32(&v->w, attach->uid);
    marshal_put_u32(&v->w, table_number(&v->nodes, attach->root));
    put_end(v, size);
    return true;
}

static void put_position(P9Save *v, const P9Fid *fid)
{
    if (S_ISDIR(fid->node->type)) {
        marshal_put_u64(&v->w, fid->dir_pos->end);
        marshal_put_u64(&v->w, fid->dir_pos->next);
        marshal_put_u32(&v->w, fid->dir_pos->count);
    } else {
        marshal_put_u64(&v->w, fid->empty->offset);
        marshal_put_u32(&v->w, fid->empty->times);
    }
}

static bool put_fid(P9Save *v)
{
    const P9Fid *fid;
    uint8_t flags;
    uint8_t *size;

    if (v->at >= v->fids->len) {
        return false;
    }
    fid = g_ptr_array_index(v->fids, v->at);
    flags = (fid->file ? P9_STATE_FID_OPEN : 0) |
            (fid->remove_on_clunk ? P9_STATE_FID_REMOVE : 0) |
            (fid->lost ? P9_STATE_FID_LOST : 0) |
            (fid->dir_pos ? P9_STATE_FID_READ : 0);
    size = put_begin(v, P9_STATE_FID);
    marshal_put_u32(&v->w, fid->id);
    marshal_put_u32(&v->w, table_number(&v->attaches, fid->attach));
    marshal_put_u32(&v->w, table_number(&v->nodes, fid->node));
    marshal_put_u32(&v->w, entry_known(fid->entry)
                           ? table_number(&v->entries, fid->entry)
                           : P9_STATE_NONE);
    marshal_put_u8(&v->w, flags);
    if (fid->file) {
        v->warns = v->warns || !can_be_found(v, fid->node);
        marshal_put_u32(&v->w, p9_open_wire_flags(fid->file->flags & ~O_TRUNC));
        marshal_put_u32(&v->w, -fid->file->fsync_error);
    }
    if (fid->dir_pos) {
        put_position(v, fid);
    }
    put_end(v, size);
    if (fid->xattr) {
        size = put_begin(v, P9_STATE_XATTR);
        p9_xattr_save(fid, &v->w);
        put_end(v, size);
    }
    return true;
}

static bool put_lock(P9Save *v)
{
    const SaveLock *lock;
    const P9LockOwner *o;
    uint8_t *size;

    if (v->at >= v->locks->len) {
        return false;
    }
    lock = &g_array_index(v->locks, SaveLock, v->at);
    o = lock->owner;
    size = put_begin(v, lock->type);
    switch (lock->type) {
    case P9_STATE_LOCK_OWNER:
        marshal_put_u32(&v->w, table_number(&v->nodes, o->node));
        marshal_put_u32(&v->w, o->proc_id);
        marshal_put_str(&v->w, o->client_id);
        marshal_put_u32(&v->w, p9_open_wire_flags(o->file->flags & O_ACCMODE));
        break;
    case P9_STATE_LOCK_RANGE:
        marshal_put_u8(&v->w, lock->range.type == F_WRLCK
                              ? P9_LOCK_TYPE_WRLCK : P9_LOCK_TYPE_RDLCK);
        marshal_put_u64(&v->w, lock->range.first);
        marshal_put_u64(&v->w, lock->range.last);
        break;
    default:
        marshal_put_u32(&v->w, lock->fid);
        break;
    }
    put_end(v, size);
    return true;
}

static bool put_the_end(P9Save *v)
{
    if (v->at > 0) {
        return false;
    }
    put_end(v, put_begin(v, P9_STATE_END));
    return true;
}

static bool (*const phases[])(P9Save *v) = {
    put_session, put_device, put_qid_next, put_qid, put_node, put_entry,
    put_attach, put_fid, put_lock, put_the_end,
};

/* Fills the block with as many records as fit. */
static void save_fill(void *opaque)
{
    P9Save *v = opaque;

    marshal_writer_init(&v->w, v->block, P9_STATE_BLOCK_MAX);
    v->size = 0;
    while (v->phase < ARRAY_SIZE(phases)) {
        if (!phases[v->phase](v)) {
            v->phase++;
            v->at = 0;
        } else if (!marshal_fits(&v->w)) {
            break;
        } else {
            v->size = marshal_size(&v->w);
            v->at++;
        }
    }
}

/*
 * Begin and end
 */

static void save_begin(void *opaque)
{
    P9Save *v = opaque;

    table_init(&v->nodes, (GDestroyNotify)fs_node_unref);
    table_init(&v->entries, (GDestroyNotify)fs_entry_put);
    table_init(&v->attaches, NULL);
    v->fids = g_ptr_array_new_with_free_func((GDestroyNotify)p9_fid_put);
    v->devs = g_array_new(false, false, sizeof(SaveDev));
    v->dev_index = g_hash_table_new_full(g_int64_hash, g_int64_equal, g_free,
                                         NULL);
    v->qids = g_array_new(false, false, sizeof(SaveQid));
    v->locks = g_array_new(false, false, sizeof(SaveLock));
    v->block = g_malloc(P9_STATE_BLOCK_MAX);
    save_gather(v);
    trace_p9_save(v->s->fs->id, v->fids->len, v->nodes.objects->len);
}

static void save_end(void *opaque)
{
    P9Save *v = opaque;

    g_free(v->block);
    g_array_unref(v->locks);
    g_array_unref(v->qids);
    g_hash_table_unref(v->dev_index);
    g_array_unref(v->devs);
    table_destroy(&v->attaches);
    g_ptr_array_unref(v->fids);
    table_destroy(&v->entries);
    table_destroy(&v->nodes);
}

typedef struct HasSession {
    P9Server *s;
    bool result;
} HasSession;

static void has_session(void *opaque)
{
    HasSession *h = opaque;
    P9Server *s = h->s;

    h->result = fs_export_migrates(s->fs) &&
                (s->msize || s->under_way || g_hash_table_size(s->fids));
}

bool p9_server_has_session(P9Server *s)
{
    HasSession h = { .s = s };

    fs_context_run(s->ctx, has_session, &h);
    return h.result;
}

bool p9_server_save(P9Server *s, bool leaving, P9StateSink *sink, void *opaque,
                    Error **errp)
{
    P9Save v = { .s = s };

    if (!fs_export_migrates(s->fs)) {
        error_setg(errp, "virtio-9p: the session cannot be saved: fsdev '%s' "
                   "%s", s->fs->id, fs_export_why_not_saved(s->fs));
        return false;
    }
    if (leaving) {
        p9_state_settle(s);
        if (!p9_locks_share(s, errp)) {
            return false;
        }
    }
    fs_context_run(s->ctx, save_begin, &v);
    for (;;) {
        fs_context_run(s->ctx, save_fill, &v);
        if (v.size == 0) {
            break;
        }
        sink(opaque, v.block, v.size);
    }
    fs_context_run(s->ctx, save_end, &v);
    if (leaving && v.warns) {
        warn_report("fsdev '%s': the guest has a file open that has no name; "
                    "only an export with on-missing=stale takes the guest, and "
                    "there the file is stale", s->fs->id);
    }
    return true;
}
