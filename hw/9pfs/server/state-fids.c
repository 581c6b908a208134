/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A session on its way in: the records of fids and of locks.
 */
#include "qemu/osdep.h"
#include "messages.h"
#include "request.h"
#include "state-fids.h"
#include "state-format.h"
#include "xattr.h"

const char *p9_load_attach(P9StateLoad *l, MarshalReader *r)
{
    uint32_t uid = marshal_get_u32(r);
    const LoadNode *root = load_node_at(l, marshal_get_u32(r));
    LoadAttach new;

    if (!marshal_done(r) || !root || !p9_id_valid(uid) ||
        (root->node && !S_ISDIR(root->node->type))) {
        return P9_LOAD_MALFORMED;
    }
    if (l->attaches->len >= fs_export_max_fids(l->s->fs)) {
        return "there are more than max_fids";
    }
    new.lost = !root->node;
    new.attach = p9_attach_new(uid, root->node ?: l->s->fs->root);
    g_array_append_val(l->attaches, new);
    return NULL;
}

/* The position of a FID: false if it cannot have one. */
static bool get_position(P9StateLoad *l, MarshalReader *r, P9Fid *fid,
                         bool is_dir)
{
    P9DirPos pos;
    P9EmptyReads empty;

    if (is_dir) {
        pos.end = marshal_get_u64(r);
        pos.next = marshal_get_u64(r);
        pos.count = marshal_get_u32(r);
        fid->dir_pos = g_memdup2(&pos, sizeof(pos));
        return l->dialect == P9_DIALECT_U;
    }
    empty.offset = marshal_get_u64(r);
    empty.times = marshal_get_u32(r);
    fid->empty = g_memdup2(&empty, sizeof(empty));
    return true;
}

/* An open file of a FID */
static const char *get_open(P9StateLoad *l, MarshalReader *r, P9Fid *fid)
{
    LoadOpen new;
    uint32_t error;

    new.flags = p9_open_host_flags(marshal_get_u32(r)) & ~O_TRUNC;
    error = marshal_get_u32(r);
    if (!marshal_ok(r) || (error && p9_reply_errno(-(int)error) != error)) {
        return P9_LOAD_MALFORMED;
    }
    if (fid->lost) {
        return NULL;
    }
    if (!S_ISREG(fid->node->type) &&
        !(S_ISDIR(fid->node->type) && (new.flags & O_ACCMODE) == O_RDONLY)) {
        return "such a file cannot be open";
    }
    new.fsync_error = -(int)error;
    new.fid = p9_fid_ref(fid);
    g_array_append_val(l->opens, new);
    return NULL;
}

/* The rest of a FID, whose type of file is that of a node here, if known */
static const char *get_fid_rest(P9StateLoad *l, MarshalReader *r, P9Fid *fid,
                                uint8_t flags)
{
    const char *why = NULL;
    bool is_dir = S_ISDIR(fid->node->type);

    if (flags & P9_STATE_FID_OPEN) {
        why = get_open(l, r, fid);
    }
    if (!why && flags & P9_STATE_FID_READ) {
        if (fid->lost) {
            /* Its kind is not known, and nobody reads on. */
            marshal_get_bytes(r, marshal_left(r));
        } else if (!get_position(l, r, fid, is_dir)) {
            return P9_LOAD_MALFORMED;
        }
    }
    if (!why && !marshal_done(r)) {
        why = P9_LOAD_MALFORMED;
    }
    return why;
}

const char *p9_load_fid(P9StateLoad *l, MarshalReader *r)
{
    uint32_t id = marshal_get_u32(r);
    uint32_t attach_number = marshal_get_u32(r);
    LoadNode *n = load_node_at(l, marshal_get_u32(r));
    uint32_t entry_number = marshal_get_u32(r);
    uint8_t flags = marshal_get_u8(r);
    g_autoptr(P9Fid) fid = NULL;
    const LoadAttach *attach;
    FsEntry *entry = NULL;
    const char *why;

    if (!marshal_ok(r) || !n || attach_number >= l->attaches->len ||
        (entry_number != P9_STATE_NONE && entry_number >= l->entries->len) ||
        (flags & ~(P9_STATE_FID_OPEN | P9_STATE_FID_REMOVE |
                   P9_STATE_FID_LOST | P9_STATE_FID_READ))) {
        return P9_LOAD_MALFORMED;
    }
    if (!l->msize ||
        (flags & P9_STATE_FID_REMOVE &&
         !(flags & (P9_STATE_FID_OPEN | P9_STATE_FID_LOST)))) {
        return "the session cannot have such a fid";
    }
    attach = &g_array_index(l->attaches, LoadAttach, attach_number);
    if (entry_number != P9_STATE_NONE) {
        entry = g_ptr_array_index(l->entries, entry_number);
    }
    if (entry && entry->node != n->node) {
        return "its name is another file's";
    }
    fid = p9_fid_new(l->s, id, attach->attach, n->node ?: l->s->fs->root,
                     entry);
    fid->lost = !n->node || attach->lost || flags & P9_STATE_FID_LOST;
    fid->remove_on_clunk = flags & P9_STATE_FID_REMOVE;
    n->used |= flags & P9_STATE_FID_OPEN && !fid->lost;
    *(fid->lost ? &n->lost : &n->alive) = true;
    why = get_fid_rest(l, r, fid, flags);
    if (why) {
        return why;
    }
    if (p9_fid_restore(fid) < 0) {
        return "its number is in use, or there are more than max_fids";
    }
    /* The table has it. */
    l->fid = flags & P9_STATE_FID_OPEN ? NULL : fid;
    return NULL;
}

const char *p9_load_xattr(P9StateLoad *l, MarshalReader *r)
{
    P9Fid *fid = g_steal_pointer(&l->fid);

    return fid && !fid->remove_on_clunk && p9_xattr_load(fid, r) ? NULL
           : "this cannot be an extended attribute that the guest uses";
}

const char *p9_load_lock_owner(P9StateLoad *l, MarshalReader *r)
{
    P9Server *s = l->s;
    LoadNode *n = load_node_at(l, marshal_get_u32(r));
    uint32_t proc_id = marshal_get_u32(r);
    size_t len;
    const char *client_id = marshal_get_str(r, &len);
    uint32_t access = marshal_get_u32(r);

    if (!marshal_done(r) || !n || len > P9_LOCK_CLIENT_ID_MAX || access > 2) {
        return P9_LOAD_MALFORMED;
    }
    n->used = true;
    l->in_owner = true;
    l->owner = NULL;
    if (!n->node) {
        return NULL;
    }
    if (!S_ISREG(n->node->type) || !s->fs->driver->lock) {
        return "the file cannot have locks";
    }
    if (g_hash_table_size(s->locks.owners) >= P9_LOCK_OWNERS_MAX) {
        return "too many processes of the guest have locks";
    }
    if (p9_lock_owner_find(s, n->node, proc_id, client_id)) {
        return "it is there twice";
    }
    l->owner = p9_lock_owner_new(s, n->node, proc_id, client_id);
    l->owner->access = p9_open_host_flags(access);
    return NULL;
}

const char *p9_load_lock_range(P9StateLoad *l, MarshalReader *r)
{
    P9LockTable *locks = &l->s->locks;
    uint8_t type = marshal_get_u8(r);
    uint64_t first = marshal_get_u64(r);
    uint64_t last = marshal_get_u64(r);
    P9LockRange range = { .first = first, .last = last };
    P9LockOwner *o = l->owner;
    GArray *ranges;

    if (!marshal_done(r) || !l->in_owner || first > last || last > INT64_MAX ||
        (type != P9_LOCK_TYPE_RDLCK && type != P9_LOCK_TYPE_WRLCK)) {
        return P9_LOAD_MALFORMED;
    }
    if (!o) {
        return NULL;
    }
    range.type = type == P9_LOCK_TYPE_WRLCK ? F_WRLCK : F_RDLCK;
    ranges = o->ranges;
    if (ranges && ranges->len &&
        g_array_index(ranges, P9LockRange, ranges->len - 1).last >=
        range.first) {
        return "it overlaps the one before";
    }
    if (locks->ranges >= P9_LOCK_RANGES_MAX) {
        return "too many ranges";
    }
    if (!ranges) {
        ranges = o->ranges = g_array_new(false, false, sizeof(P9LockRange));
    }
    g_array_append_val(ranges, range);
    locks->ranges++;
    return NULL;
}

const char *p9_load_lock_use(P9StateLoad *l, MarshalReader *r)
{
    uint32_t id = marshal_get_u32(r);
    g_autoptr(P9Fid) fid = NULL;

    if (!marshal_done(r) || !l->in_owner ||
        p9_fid_get(l->s, id, &fid) < 0 || fid->xattr) {
        return P9_LOAD_MALFORMED;
    }
    if (l->owner && !fid->lost) {
        if (fid->node != l->owner->node) {
            return "the fid is another file's";
        }
        p9_lock_owner_add_use(l->owner, fid);
    }
    return NULL;
}
