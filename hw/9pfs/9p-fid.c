/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The table of fids, and the table of directory entries below it.
 *
 * A fid stays alive, with its node and open file, until the last operation on
 * it is over, even if it is clunked meanwhile.
 *
 * Operations on nodes need no names. Tremove and Trename do: they act on the
 * name by which the fid was walked. That name may have changed since, through
 * another fid, so names live in entries: one for each (directory, name) that
 * a fid stands for, found by hash. A rename moves one entry, and every fid on
 * it has the new name; a removal marks it as gone. A renamed directory needs
 * nothing, as entries know their directory by node.
 */
#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qemu/error-report.h"
#include "migration/blocker.h"
#include "9p-internal.h"
#include "trace.h"

static guint entry_hash(gconstpointer p)
{
    const P9Entry *entry = p;

    return g_str_hash(entry->name) ^ (guint)((uintptr_t)entry->parent >> 4);
}

static gboolean entry_equal(gconstpointer pa, gconstpointer pb)
{
    const P9Entry *a = pa;
    const P9Entry *b = pb;

    return a->parent == b->parent && !strcmp(a->name, b->name);
}

void p9_fids_init(P9Server *s)
{
    s->fids = g_hash_table_new(NULL, NULL);
    s->entries = g_hash_table_new(entry_hash, entry_equal);
}

void p9_fids_destroy(P9Server *s)
{
    g_hash_table_destroy(s->fids);
    g_hash_table_destroy(s->entries);
}

static P9Entry *entry_lookup(P9Server *s, FsNode *parent, const char *name)
{
    P9Entry want = { .parent = parent, .name = (char *)name };

    return g_hash_table_lookup(s->entries, &want);
}

P9Entry *p9_entry_find(P9Server *s, FsNode *parent, const char *name)
{
    P9Entry *entry = entry_lookup(s, parent, name);

    return entry ? p9_entry_ref(entry) : NULL;
}

P9Entry *p9_entry_get(P9Server *s, FsNode *parent, const char *name,
                      const FsNode *node)
{
    P9Entry *entry = entry_lookup(s, parent, name);

    if (entry) {
        if (entry->node == node) {
            return p9_entry_ref(entry);
        }
        p9_entry_gone(s, entry);
    }

    entry = g_new0(P9Entry, 1);
    entry->parent = fs_node_ref(parent);
    entry->node = node;
    entry->name = g_strdup(name);
    entry->refs = 1;
    g_hash_table_add(s->entries, entry);
    return entry;
}

P9Entry *p9_entry_ref(P9Entry *entry)
{
    entry->refs++;
    return entry;
}

void p9_entry_put(P9Server *s, P9Entry *entry)
{
    if (--entry->refs) {
        return;
    }
    p9_entry_gone(s, entry);
    fs_node_unref(entry->parent);
    g_free(entry->name);
    g_free(entry);
}

void p9_entry_gone(P9Server *s, P9Entry *entry)
{
    if (!entry->gone) {
        g_hash_table_remove(s->entries, entry);
        entry->gone = true;
    }
}

void p9_entry_move(P9Server *s, P9Entry *entry,
                   FsNode *parent, const char *name)
{
    P9Entry *there = entry_lookup(s, parent, name);
    FsNode *old_parent = entry->parent;

    if (there == entry) {
        return;
    }
    if (there) {
        p9_entry_gone(s, there);
    }
    /* Its hash changes, so it has to leave the table for that. */
    p9_entry_gone(s, entry);
    entry->parent = fs_node_ref(parent);
    g_free(entry->name);
    entry->name = g_strdup(name);
    g_hash_table_add(s->entries, entry);
    entry->gone = false;
    fs_node_unref(old_parent);
}

bool p9_entry_is(const P9Entry *entry, const FsNode *parent, const char *name)
{
    return !entry->gone && entry->parent == parent &&
           !strcmp(entry->name, name);
}

P9Fid *p9_fid_new(P9Server *s, uint32_t id, uint32_t uid,
                  FsNode *node, P9Entry *entry)
{
    P9Fid *fid = g_new0(P9Fid, 1);

    fid->s = s;
    fid->id = id;
    fid->uid = uid;
    fid->refs = 1;
    fid->clunked = true;        /* until it is in the table */
    fid->node = fs_node_ref(node);
    fid->entry = entry ? p9_entry_ref(entry) : NULL;
    QLIST_INIT(&fid->locks);
    return fid;
}

P9Fid *p9_fid_ref(P9Fid *fid)
{
    fid->refs++;
    return fid;
}

void p9_fid_put(P9Fid *fid)
{
    if (--fid->refs) {
        return;
    }
    if (fid->xattr) {
        p9_xattr_free(fid);
    }
    if (fid->file) {
        fs_file_unref(fid->file);
    }
    if (fid->entry) {
        p9_entry_put(fid->s, fid->entry);
    }
    fs_node_unref(fid->node);
    g_free(fid);
}

static P9Fid *fid_lookup(P9Server *s, uint32_t id)
{
    return g_hash_table_lookup(s->fids, GUINT_TO_POINTER(id));
}

P9Fid *p9_fid_get(P9Server *s, uint32_t id)
{
    P9Fid *fid = fid_lookup(s, id);

    return fid ? p9_fid_ref(fid) : NULL;
}

P9Fid *p9_fid_get_node(P9Server *s, uint32_t id)
{
    P9Fid *fid = fid_lookup(s, id);

    return fid && !fid->xattr ? p9_fid_ref(fid) : NULL;
}

int p9_fid_check_new(P9Server *s, uint32_t id)
{
    return id == P9_NOFID || fid_lookup(s, id) ? -EBADF : 0;
}

/*
 * Fids do not migrate: open files, locks and unlinked files could not be
 * found again over there. Without any, the device is like new.
 */
static int fids_block_migration(P9Server *s)
{
    Error *err = NULL;

    error_setg(&s->migration_blocker,
               "virtio-9p: the guest has mounted fsdev '%s'; unmount it in "
               "the guest first", s->fs->id);
    if (migrate_add_blocker(&s->migration_blocker, &err) < 0) {
        warn_report_once("virtio-9p: fsdev '%s' cannot be mounted now: %s",
                         s->fs->id, error_get_pretty(err));
        error_free(err);
        return -EBUSY;
    }
    return 0;
}

int p9_fid_insert(P9Fid *fid)
{
    P9Server *s = fid->s;
    int ret;

    ret = p9_fid_check_new(s, fid->id);
    if (ret < 0) {
        return ret;
    }
    if (g_hash_table_size(s->fids) >= P9_FIDS_MAX) {
        return -ENFILE;
    }
    if (!s->migration_blocker) {
        ret = fids_block_migration(s);
        if (ret < 0) {
            return ret;
        }
    }
    trace_p9_fid_insert(s, fid->id, fid->node->dev, fid->node->ino);
    fid->clunked = false;
    g_hash_table_insert(s->fids, GUINT_TO_POINTER(fid->id), p9_fid_ref(fid));
    return 0;
}

int p9_fid_replace(P9Fid *old, P9Fid *fid)
{
    if (old->clunked) {
        return -EBADF;
    }
    old->clunked = true;
    fid->clunked = false;
    trace_p9_fid_insert(fid->s, fid->id, fid->node->dev, fid->node->ino);
    g_hash_table_insert(fid->s->fids, GUINT_TO_POINTER(fid->id),
                        p9_fid_ref(fid));
    p9_locks_drop_fid(old);
    p9_fid_put(old);
    return 0;
}

bool p9_fid_remove(P9Fid *fid)
{
    P9Server *s = fid->s;

    if (fid->clunked) {
        return false;
    }
    trace_p9_fid_remove(s, fid->id);
    fid->clunked = true;
    g_hash_table_remove(s->fids, GUINT_TO_POINTER(fid->id));
    p9_locks_drop_fid(fid);
    p9_fid_put(fid);
    if (g_hash_table_size(s->fids) == 0) {
        migrate_del_blocker(&s->migration_blocker);
    }
    return true;
}

void p9_fids_clear(P9Server *s)
{
    g_autoptr(GList) fids = g_hash_table_get_values(s->fids);
    GList *l;

    for (l = fids; l; l = l->next) {
        p9_fid_remove(l->data);
    }
}
