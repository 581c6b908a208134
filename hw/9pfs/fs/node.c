/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The export's table of directory entries.
 *
 * Most operations need no names, as they work on nodes. Tremove and Trename
 * do, and so does a driver that has to find an inode again. Names change, so
 * they live in entries: one for each (directory, name) that somebody holds,
 * found by hash. A rename moves one entry, and everybody who holds it has the
 * new name; a removal marks it as gone. A renamed directory needs nothing, as
 * entries know their directory by node.
 */
#include "qemu/osdep.h"
#include "driver.h"

static guint entry_hash(gconstpointer p)
{
    const FsEntry *entry = p;

    return g_str_hash(entry->name) ^ (guint)((uintptr_t)entry->parent >> 4);
}

static gboolean entry_equal(gconstpointer pa, gconstpointer pb)
{
    const FsEntry *a = pa;
    const FsEntry *b = pb;

    return a->parent == b->parent && !strcmp(a->name, b->name);
}

static FsEntry *entry_lookup(FsExport *fs, FsNode *parent, const char *name)
{
    FsEntry want = { .parent = parent, .name = (char *)name };

    return fs->entries ? g_hash_table_lookup(fs->entries, &want) : NULL;
}

/* @entry says something that holds. */
static void entry_insert(FsEntry *entry)
{
    FsExport *fs = entry->parent->fs;

    if (!fs->entries) {
        fs->entries = g_hash_table_new(entry_hash, entry_equal);
    }
    g_hash_table_add(fs->entries, entry);
    QLIST_INSERT_HEAD(&entry->node->names, entry, of_node);
    entry->gone = false;
}

FsEntry *fs_entry_find(FsExport *fs, FsNode *parent, const char *name)
{
    FsEntry *entry = entry_lookup(fs, parent, name);

    return entry ? fs_entry_ref(entry) : NULL;
}

FsEntry *fs_entry_get(FsExport *fs, FsNode *parent, const char *name,
                      FsNode *node)
{
    FsEntry *entry = entry_lookup(fs, parent, name);

    if (entry) {
        if (entry->node == node) {
            return fs_entry_ref(entry);
        }
        fs_entry_gone(entry);
    }

    entry = g_malloc0(offsetof(FsEntry, room) + strlen(name) + 1);
    entry->parent = fs_node_ref(parent);
    entry->node = node;
    entry->name = strcpy(entry->room, name);
    entry->refs = 1;
    entry_insert(entry);
    return entry;
}

/* Frees a name that has an allocation of its own. */
static void free_name(FsEntry *entry)
{
    if (entry->name != entry->room) {
        g_free(entry->name);
    }
}

FsEntry *fs_entry_ref(FsEntry *entry)
{
    entry->refs++;
    return entry;
}

void fs_entry_put(FsEntry *entry)
{
    if (--entry->refs) {
        return;
    }
    fs_entry_gone(entry);
    fs_node_unref(entry->parent);
    free_name(entry);
    g_free(entry);
}

void fs_entry_gone(FsEntry *entry)
{
    if (!entry->gone) {
        g_hash_table_remove(entry->parent->fs->entries, entry);
        QLIST_REMOVE(entry, of_node);
        entry->gone = true;
    }
}

void fs_entry_move(FsEntry *entry, FsNode *parent, const char *name)
{
    FsEntry *there = entry_lookup(parent->fs, parent, name);
    FsNode *old_parent = entry->parent;

    if (there == entry) {
        return;
    }
    if (there) {
        fs_entry_gone(there);
    }
    /* Its hash changes, so it has to leave the table for that. */
    fs_entry_gone(entry);
    entry->parent = fs_node_ref(parent);
    free_name(entry);
    entry->name = g_strdup(name);
    entry_insert(entry);
    fs_node_unref(old_parent);
}

bool fs_entry_is(const FsEntry *entry, const FsNode *parent, const char *name)
{
    return !entry->gone && entry->parent == parent &&
           !strcmp(entry->name, name);
}

static void set_where(FsNode *node, FsEntry *entry)
{
    FsEntry *old = node->where;

    node->where = entry;
    if (old) {
        fs_entry_put(old);
    }
}

/*
 * @node is about to get an entry in @dir: takes @node out of the way from there
 * to the root. False if that cannot be, as they are the same.
 */
static bool cut_circle(FsNode *node, FsNode *dir)
{
    FsNode *at = dir;

    if (node == dir) {
        return false;
    }
    while (at->where) {
        FsNode *above = at->where->parent;

        if (above == node || at->where->gone) {
            fs_entry_gone(at->where);
            set_where(at, NULL);
            break;
        }
        at = above;
    }
    return true;
}

void fs_node_set_where(FsNode *node, FsEntry *entry)
{
    if (node == node->fs->root ||
        (S_ISDIR(node->type) && !cut_circle(node, entry->parent))) {
        fs_entry_put(entry);
        return;
    }
    set_where(node, entry);
}

FsEntry *fs_node_where(FsNode *node)
{
    FsEntry *entry;

    if (node->where && !node->where->gone) {
        return node->where;
    }
    QLIST_FOREACH(entry, &node->names, of_node) {
        if (entry != node->where) {
            fs_node_set_where(node, fs_entry_ref(entry));
            break;
        }
    }
    return node->where && !node->where->gone ? node->where : NULL;
}

void fs_node_moved(FsNode *node, FsNode *dir)
{
    if (S_ISDIR(node->type)) {
        cut_circle(node, dir);
    }
}

void fs_rename_begin(FsExport *fs)
{
    fs->renaming++;
}

void coroutine_fn fs_rename_end(FsExport *fs)
{
    fs->renaming--;
    qemu_co_queue_restart_all(&fs->renamed);
}

bool coroutine_fn fs_rename_wait(FsExport *fs)
{
    if (!fs->renaming) {
        return false;
    }
    qemu_co_queue_wait(&fs->renamed, NULL);
    return true;
}
