/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A session on its way in: its records. Those of fids and locks are in
 * state-fids.c.
 *
 * The entry by which a node is found comes before all entries in it. So no
 * directory can be below itself.
 */
#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qemu/bitmap.h"
#include "state-fids.h"
#include "state-format.h"
#include "state-records.h"

/* Missing nodes that have a path for messages */
#define PATHS_MAX       64

static const char *get_session(P9StateLoad *l, MarshalReader *r)
{
    uint32_t version = marshal_get_u32(r);
    uint8_t dialect;

    if (!marshal_ok(r)) {
        return P9_LOAD_MALFORMED;
    }
    if (version != P9_STATE_VERSION) {
        return "this format is not known";
    }
    dialect = marshal_get_u8(r);
    l->msize = marshal_get_u32(r);
    if (!marshal_done(r)) {
        return P9_LOAD_MALFORMED;
    }
    if (l->msize ? l->msize < P9_MSIZE_MIN || l->msize > P9_MSIZE_MAX ||
                   (dialect != P9_DIALECT_L && dialect != P9_DIALECT_U)
                 : dialect != P9_DIALECT_NONE) {
        return "no such message size or dialect";
    }
    l->dialect = dialect;
    l->begun = true;
    return NULL;
}

/* Whether a walk may have all names of the path */
static bool path_ok(const char *path)
{
    g_auto(GStrv) names = g_strsplit(path, "/", -1);
    unsigned i;

    for (i = 0; names[i]; i++) {
        if (fs_name_check(names[i]) < 0) {
            return false;
        }
    }
    return true;
}

static const char *get_device(P9StateLoad *l, MarshalReader *r)
{
    uint64_t dev = marshal_get_u64(r);
    size_t len;
    const char *path = marshal_get_str(r, &len);
    FsNode *root = l->s->fs->root;
    LoadDev new = { .dev = dev };

    if (!marshal_done(r) || len > P9_STATE_PATH_MAX) {
        return P9_LOAD_MALFORMED;
    }
    if (l->devs->len == P9_STATE_DEVICES_MAX) {
        return "too many devices";
    }
    /* Looking for a device must not find nodes that have no place yet. */
    if (l->nodes->len) {
        return "it comes after a file";
    }
    if (l->devs->len == 0) {
        l->root_dev = dev;
        l->same_devs = dev == root->dev;
        new.dev = root->dev;
        new.known = true;
    } else if (dev == l->root_dev) {
        return "the root's device is there twice";
    } else if (l->same_devs) {
        new.known = true;
    } else if (len && !path_ok(path)) {
        return "no path has such a name";
    } else if (len) {
        l->find_dev = g_strdup(path);
    }
    g_array_append_val(l->devs, new);
    return NULL;
}

static const LoadDev *device(const P9StateLoad *l, uint32_t i)
{
    return i < l->devs->len ? &g_array_index(l->devs, LoadDev, i) : NULL;
}

/* P9QidVisit */
static void note_qid(void *opaque, bool single, uint64_t dev, uint64_t ino,
                     uint32_t value)
{
    P9StateLoad *l = opaque;

    set_bit(value, l->qids_used[single]);
}

static const char *get_qid_next(P9StateLoad *l, MarshalReader *r)
{
    P9QidMap *map = &l->s->export->qids;
    uint32_t prefix = marshal_get_u32(r);
    uint32_t single = marshal_get_u32(r);

    if (!marshal_done(r)) {
        return P9_LOAD_MALFORMED;
    }
    if (l->qid_next) {
        return "it is there twice";
    }
    l->qid_next = true;
    l->qids_used[false] = bitmap_new(P9_QID_PREFIXES);
    l->qids_used[true] = bitmap_new(P9_QID_SINGLES);
    p9_qid_map_each(map, note_qid, l);
    return p9_qid_map_restore_next(map, prefix, single) ? NULL
                                                       : "no such number";
}

static const char *get_qid(P9StateLoad *l, MarshalReader *r, bool is_single)
{
    const LoadDev *dev = device(l, marshal_get_u32(r));
    uint64_t ino = marshal_get_u64(r);
    uint32_t value = marshal_get_u32(r);

    if (!marshal_done(r) || !dev) {
        return P9_LOAD_MALFORMED;
    }
    if (!l->qid_next) {
        return "the next numbers are missing";
    }
    /* The numbers of a device that is missing stay unused. */
    return !dev->known ||
           p9_qid_map_restore(&l->s->export->qids, is_single, dev->dev, ino,
                              value, l->qids_used[is_single])
           ? NULL : "the number is in use for other files";
}

static const char *get_qid_prefix(P9StateLoad *l, MarshalReader *r)
{
    return get_qid(l, r, false);
}

static const char *get_qid_single(P9StateLoad *l, MarshalReader *r)
{
    return get_qid(l, r, true);
}

/* The first node: the export's root */
static const char *get_root(P9StateLoad *l, const FsNodeState *state)
{
    FsNode *root = l->s->fs->root;
    LoadNode new = { .old = true, .placed = true };

    if (state->ino != root->ino || state->type != root->type) {
        error_setg(&l->err, "virtio-9p: fsdev '%s': the saved session is that "
                   "of another directory: its inode number is %" PRIu64
                   ", and this one's %" PRIu64, l->s->fs->id, state->ino,
                   root->ino);
        return "";
    }
    new.node = fs_node_ref(root);
    g_hash_table_insert(l->known, root, GUINT_TO_POINTER(0));
    g_array_append_val(l->nodes, new);
    return NULL;
}

/* Any other node, on a device that is known */
static const char *get_other(P9StateLoad *l, const FsNodeState *state)
{
    FsExport *fs = l->s->fs;
    LoadNode new = { .node = fs_node_find(fs, state->dev, state->ino) };

    if (new.node) {
        new.old = true;
        if (new.node->type != state->type ||
            g_hash_table_contains(l->known, new.node)) {
            fs_node_unref(new.node);
            return "another file has its inode number";
        }
    } else if (fs_export_admit_dev(fs, state->dev) == 0) {
        new.node = fs->driver->restore_node(fs, state);
    }
    if (new.node) {
        g_hash_table_insert(l->known, new.node,
                            GUINT_TO_POINTER(l->nodes->len));
    }
    g_array_append_val(l->nodes, new);
    return NULL;
}

static const char *get_node(P9StateLoad *l, MarshalReader *r)
{
    const LoadDev *dev = device(l, marshal_get_u32(r));
    LoadNode gone = { };
    FsNodeState state = { };
    const char *handle;
    uint32_t type;
    uint8_t flags;
    size_t size;

    state.ino = marshal_get_u64(r);
    type = marshal_get_u32(r);
    flags = marshal_get_u8(r);
    state.gen_state = marshal_get_u8(r);
    state.gen = marshal_get_u64(r);
    state.born = marshal_get_u64(r);
    state.handle_type = marshal_get_u32(r);
    size = marshal_get_u16(r);
    handle = marshal_get_bytes(r, size);
    if (!marshal_done(r) || !dev || size > FS_HANDLE_MAX ||
        !fs_mode_is_valid(type) || (type & ~S_IFMT) ||
        (flags & ~P9_STATE_NODE_DETACHED) || state.gen_state > FS_GEN_NONE) {
        return P9_LOAD_MALFORMED;
    }
    if (l->nodes->len >= 2 * (uint64_t)fs_export_max_fids(l->s->fs) + 1024 ||
        fs_export_full(l->s->fs)) {
        return "there are more files than max_fids lets a guest reach";
    }
    state.dev = dev->dev;
    state.type = type;
    state.handle_size = size;
    memcpy(state.handle, handle, size);
    if (l->nodes->len == 0) {
        return get_root(l, &state);
    }
    if (flags & P9_STATE_NODE_DETACHED || !dev->known) {
        gone.stale = flags & P9_STATE_NODE_DETACHED;
        g_array_append_val(l->nodes, gone);
        return NULL;
    }
    return get_other(l, &state);
}

/*
 * Takes the path for messages that a node would have by this name. There are
 * not many messages.
 */
static void name_missing(P9StateLoad *l, LoadNode *n, FsNode *parent,
                         const char *name)
{
    g_autofree char *above = NULL;

    if (n->path || l->paths == PATHS_MAX) {
        return;
    }
    l->paths++;
    above = fs_node_path(parent, P9_STATE_PATH_MAX);
    n->path = g_strconcat(above ?: "...", above && !*above ? "" : "/", name,
                          NULL);
}

static const char *make_entry(P9StateLoad *l, LoadNode *parent, LoadNode *n,
                              const char *name, bool where)
{
    FsExport *fs = l->s->fs;
    FsEntry *entry = fs_entry_find(fs, parent->node, name);
    bool other = entry && entry->node != n->node;

    if (entry) {
        fs_entry_put(entry);
    }
    if (other) {
        return "another file has its name";
    }
    if (where && !n->old && (n->placed || n->is_parent)) {
        return "the directory has a place already";
    }
    entry = fs_entry_get(fs, parent->node, name, n->node);
    if (where && !n->old) {
        fs_node_init_where(n->node, fs_entry_ref(entry));
        n->placed = true;
    }
    parent->is_parent = true;
    n->entry = n->entry ?: entry;
    g_ptr_array_add(l->entries, entry);
    return NULL;
}

static const char *get_entry(P9StateLoad *l, MarshalReader *r)
{
    LoadNode *parent = load_node_at(l, marshal_get_u32(r));
    uint32_t number = marshal_get_u32(r);
    LoadNode *n = load_node_at(l, number);
    uint8_t flags = marshal_get_u8(r);
    const char *name = marshal_get_str(r, NULL);

    if (!marshal_done(r) || !parent || !n || parent == n ||
        (flags & ~(P9_STATE_ENTRY_WHERE | P9_STATE_ENTRY_GONE)) ||
        fs_name_check(name) < 0) {
        return P9_LOAD_MALFORMED;
    }
    if (l->entries->len >= 3 * (uint64_t)fs_export_max_fids(l->s->fs) + 1024) {
        return "there are more names than max_fids lets a guest reach";
    }
    if (flags & P9_STATE_ENTRY_GONE) {
        g_ptr_array_add(l->entries, NULL);
        return NULL;
    }
    if (number == 0 || (parent->node && !S_ISDIR(parent->node->type))) {
        return "no file can have this name";
    }
    if (!parent->node || !n->node) {
        if (parent->node && !n->node) {
            name_missing(l, n, parent->node, name);
        }
        g_ptr_array_add(l->entries, NULL);
        return NULL;
    }
    return make_entry(l, parent, n, name, flags & P9_STATE_ENTRY_WHERE);
}

static const char *get_the_end(P9StateLoad *l, MarshalReader *r)
{
    if (!marshal_done(r) || l->nodes->len == 0) {
        return P9_LOAD_MALFORMED;
    }
    l->ended = true;
    return NULL;
}

static const char *(*const records[])(P9StateLoad *l, MarshalReader *r) = {
    [P9_STATE_SESSION] = get_session,
    [P9_STATE_DEVICE] = get_device,
    [P9_STATE_QID_NEXT] = get_qid_next,
    [P9_STATE_QID_PREFIX] = get_qid_prefix,
    [P9_STATE_QID_SINGLE] = get_qid_single,
    [P9_STATE_NODE] = get_node,
    [P9_STATE_ENTRY] = get_entry,
    [P9_STATE_ATTACH] = p9_load_attach,
    [P9_STATE_FID] = p9_load_fid,
    [P9_STATE_XATTR] = p9_load_xattr,
    [P9_STATE_LOCK_OWNER] = p9_load_lock_owner,
    [P9_STATE_LOCK_RANGE] = p9_load_lock_range,
    [P9_STATE_LOCK_USE] = p9_load_lock_use,
    [P9_STATE_END] = get_the_end,
};

const char *p9_load_record(P9StateLoad *l, uint8_t type, MarshalReader *r)
{
    if (type >= ARRAY_SIZE(records) || !records[type]) {
        return "its type is not known";
    }
    if (l->ended) {
        return "it comes after the end";
    }
    if (l->begun == (type == P9_STATE_SESSION)) {
        return "the session is missing, or there twice";
    }
    if (type != P9_STATE_XATTR) {
        l->fid = NULL;
    }
    if (type != P9_STATE_LOCK_RANGE && type != P9_STATE_LOCK_USE) {
        l->in_owner = false;
    }
    return records[type](l, r);
}
