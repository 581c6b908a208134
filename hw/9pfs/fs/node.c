/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The tables of nodes and entries, and the counting of nodes and files: see
 * node.h.
 *
 * The table of nodes holds no references. A node is in it as long as there is a
 * reference to the node, and leaves it with the last one, before the driver
 * frees it. Freeing a node may drop the last reference to the directory above
 * it, and so on to the root. A loop frees them all, because a guest may have
 * made the tree deeper than any stack.
 *
 * Most operations need no names, as they work on nodes. Tremove and Trename
 * do, and so does a driver that has to find an inode again. Names change, so
 * they live in entries, found by hash. A rename moves one entry, and all its
 * users see the new name; a removal marks it as gone. Entries below a renamed
 * directory need no update, because an entry refers to its directory's node.
 */
#include "qemu/osdep.h"
#include "block/aio.h"
#include "call.h"
#include "export.h"
#include "node.h"

void fs_nodes_init(FsNodes *nodes)
{
    QSIMPLEQ_INIT(&nodes->dying);
    QTAILQ_INIT(&nodes->waiting);
}

void fs_nodes_destroy(FsNodes *nodes)
{
    g_clear_pointer(&nodes->nodes, g_hash_table_unref);
    g_clear_pointer(&nodes->entries, g_hash_table_unref);
}

size_t fs_nodes_count(const FsNodes *nodes)
{
    return nodes->nodes ? g_hash_table_size(nodes->nodes) : 0;
}

size_t fs_nodes_count_entries(const FsNodes *nodes)
{
    return nodes->entries ? g_hash_table_size(nodes->entries) : 0;
}

void fs_nodes_each(const FsNodes *nodes, void (*fn)(FsNode *, void *opaque),
                   void *opaque)
{
    GHashTableIter iter;
    void *node;

    if (nodes->nodes) {
        g_hash_table_iter_init(&iter, nodes->nodes);
        while (g_hash_table_iter_next(&iter, &node, NULL)) {
            fn(node, opaque);
        }
    }
}

/*
 * Nodes
 */

guint fs_inode_hash(uint64_t dev, uint64_t ino)
{
    static gsize factor;

    if (g_once_init_enter(&factor)) {
        g_once_init_leave(&factor, (gsize)g_random_int() << 32 |
                                   g_random_int() | 1);
    }
    return ((ino ^ (dev << 32 | dev >> 32)) * (uint64_t)factor) >> 32;
}

static guint node_hash(gconstpointer key)
{
    const FsNode *node = key;

    return fs_inode_hash(node->dev, node->ino);
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
    GHashTable *table = fs->nodes.nodes;
    FsNode *node = table ? g_hash_table_lookup(table, &key) : NULL;

    return node ? fs_node_ref(node) : NULL;
}

void fs_node_init(FsNode *node, FsExport *fs, const FsAttr *attr)
{
    bool added;

    if (!fs->nodes.nodes) {
        fs->nodes.nodes = g_hash_table_new(node_hash, node_equal);
    }
    node->fs = fs;
    node->dev = attr->dev;
    node->ino = attr->ino;
    node->type = attr->mode & S_IFMT;
    node->refs = 1;
    node->gen_state = FS_GEN_UNKNOWN;
    node->detached = false;
    node->restored = false;
    QLIST_INIT(&node->names);
    node->where = NULL;
    added = g_hash_table_add(fs->nodes.nodes, node);
    assert(added);
    fs->nodes.alive++;
}

void fs_node_init_restored(FsNode *node, FsExport *fs,
                           const FsNodeState *state)
{
    const FsAttr attr = {
        .dev = state->dev, .ino = state->ino, .mode = state->type,
    };

    fs_node_init(node, fs, &attr);
    node->gen_state = state->gen_state;
    node->gen = state->gen;
    node->restored = true;
}

void fs_node_detach(FsNode *node)
{
    if (!node->detached) {
        node->detached = true;
        g_hash_table_remove(node->fs->nodes.nodes, node);
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
    QSIMPLEQ_INSERT_TAIL(&fs->nodes.dying, node, dying);
    if (fs->nodes.freeing) {
        return;
    }
    fs->nodes.freeing = true;
    while ((node = QSIMPLEQ_FIRST(&fs->nodes.dying))) {
        QSIMPLEQ_REMOVE_HEAD(&fs->nodes.dying, dying);
        while ((entry = QLIST_FIRST(&node->names))) {
            fs_entry_gone(entry);
            entry->node = NULL;
        }
        where = node->where;
        fs->driver->node_free(node);
        fs->nodes.alive--;
        if (where) {
            fs_entry_put(where);
        }
    }
    fs->nodes.freeing = false;
}

/*
 * Files
 */

void fs_file_init(FsFile *file, FsNode *node, int flags)
{
    file->node = fs_node_ref(node);
    file->flags = flags;
    file->refs = 1;
    file->fsync_error = 0;
    node->fs->nodes.open_files++;
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
        node->fs->nodes.open_files--;
        node->fs->driver->file_free(file);
        fs_node_unref(node);
    }
}

/*
 * Entries
 */

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
    const FsEntry want = { .parent = parent, .name = (char *)name };
    GHashTable *table = fs->nodes.entries;

    return table ? g_hash_table_lookup(table, &want) : NULL;
}

/* Puts @entry, whose name, directory and node are set, into the table. */
static void entry_insert(FsEntry *entry)
{
    FsExport *fs = entry->parent->fs;

    if (!fs->nodes.entries) {
        fs->nodes.entries = g_hash_table_new(entry_hash, entry_equal);
    }
    g_hash_table_add(fs->nodes.entries, entry);
    QLIST_INSERT_HEAD(&entry->node->names, entry, of_node);
    entry->gone = false;
}

FsEntry *fs_entry_find(FsExport *fs, FsNode *parent, const char *name)
{
    FsEntry *entry = entry_lookup(fs, parent, name);

    return entry ? fs_entry_ref(entry) : NULL;
}

FsNode *fs_entry_node(FsNode *dir, const char *name)
{
    FsEntry *entry = entry_lookup(dir->fs, dir, name);

    return entry && entry->node ? fs_node_ref(entry->node) : NULL;
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
        g_hash_table_remove(entry->parent->fs->nodes.entries, entry);
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
    /* The hash changes, so the entry must leave the table first. */
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
 * @node is about to get an entry in @dir: takes @node off the path from @dir to
 * the root. Returns false if they are the same, so that this is impossible.
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

void fs_node_init_where(FsNode *node, FsEntry *entry)
{
    if (node->where) {
        /* A lookup was quicker, and may have found files below. */
        fs_node_set_where(node, entry);
    } else {
        node->where = entry;
    }
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

FsEntry *fs_node_any_entry(const FsNode *node)
{
    return QLIST_FIRST(&node->names);
}

bool fs_node_has_no_name_but(const FsNode *node, const FsNode *dir,
                             const char *name)
{
    FsEntry *entry;

    QLIST_FOREACH(entry, &node->names, of_node) {
        if (!fs_entry_is(entry, dir, name)) {
            return false;
        }
    }
    return true;
}

bool fs_node_has_other_entry(const FsNode *node, const FsEntry *entry)
{
    const FsEntry *first = QLIST_FIRST(&node->names);

    return first && (first != entry || QLIST_NEXT(first, of_node));
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

bool fs_node_has_way(FsNode *node)
{
    FsEntry *entry;

    while (node != node->fs->root) {
        entry = fs_node_where(node);
        if (!entry) {
            return false;
        }
        node = entry->parent;
    }
    return true;
}

char *fs_node_path(FsNode *node, size_t max)
{
    g_autofree char *buf = g_malloc(max + 1);
    size_t at = max;
    FsEntry *entry;
    size_t len;

    buf[at] = '\0';
    while (node != node->fs->root) {
        entry = fs_node_where(node);
        len = entry ? strlen(entry->name) : 0;
        if (!entry || len + (at < max) > at) {
            return NULL;
        }
        if (at < max) {
            buf[--at] = '/';
        }
        at -= len;
        memcpy(buf + at, entry->name, len);
        node = entry->parent;
    }
    return g_strdup(buf + at);
}

/*
 * Renames
 */

/* A coroutine that waits until a change of names is over */
typedef struct FsRenameWait {
    FsExport *fs;
    Coroutine *co;
    int ret;                    /* 0: it is in the list */
    QTAILQ_ENTRY(FsRenameWait) next;
} FsRenameWait;

static void rename_wake(FsRenameWait *w, int ret)
{
    QTAILQ_REMOVE(&w->fs->nodes.waiting, w, next);
    w->ret = ret;
    aio_co_wake(w->co);
}

/* FsCall.on_cancel */
static void rename_cancel(FsCall *call, void *opaque)
{
    FsRenameWait *w = opaque;

    if (!w->ret) {
        rename_wake(w, -EINTR);
    }
}

bool fs_entries_current(const FsExport *fs)
{
    return !fs->nodes.renaming;
}

void fs_names_begin(FsExport *fs)
{
    fs->nodes.renaming++;
}

void coroutine_fn fs_names_end(FsExport *fs)
{
    fs->nodes.renaming--;
    while (!QTAILQ_EMPTY(&fs->nodes.waiting)) {
        rename_wake(QTAILQ_FIRST(&fs->nodes.waiting), 1);
    }
}

void fs_rename_begin(FsRename *r, FsNode *olddir, const char *oldname,
                     FsNode *newdir, const char *newname)
{
    FsExport *fs = olddir->fs;

    if (r->olddir) {
        return;
    }
    *r = (FsRename) {
        .olddir = olddir,
        .oldname = oldname,
        .newdir = newdir,
        .newname = newname,
        .from = fs_entry_find(fs, olddir, oldname),
        .over = fs_entry_find(fs, newdir, newname),
    };
    fs_names_begin(fs);
}

/*
 * rename(2): "If oldpath and newpath are existing hard links referring to the
 * same file, then rename() does nothing": both names stay. A directory has no
 * hard links: if it has the new name already, an earlier try moved it.
 */
static bool keeps_both(const FsRename *r)
{
    const FsNode *node = r->from ? r->from->node : NULL;

    return r->from && r->over && r->over->node == node &&
           (r->from == r->over || !node || !S_ISDIR(node->type));
}

/* Moves the entries as the rename moved the names. */
static void rename_entries(FsRename *r)
{
    if (r->from && r->from->node && S_ISDIR(r->from->node->type)) {
        cut_circle(r->from->node, r->newdir);
    }
    if (keeps_both(r)) {
        return;
    }
    /* Other requests ran on: change only entries that are as they were. */
    if (r->over && fs_entry_is(r->over, r->newdir, r->newname)) {
        fs_entry_gone(r->over);
    }
    if (r->from && fs_entry_is(r->from, r->olddir, r->oldname)) {
        fs_entry_move(r->from, r->newdir, r->newname);
    }
}

void coroutine_fn fs_rename_end(FsRename *r, int ret)
{
    if (!r->olddir) {
        return;
    }
    if (ret == 0) {
        rename_entries(r);
    }
    fs_names_end(r->olddir->fs);
    g_clear_pointer(&r->from, fs_entry_put);
    g_clear_pointer(&r->over, fs_entry_put);
    r->olddir = NULL;
}

int coroutine_fn fs_rename_wait(FsExport *fs)
{
    FsRenameWait w = { .fs = fs, .co = qemu_coroutine_self() };
    FsCall *call;

    if (!fs->nodes.renaming) {
        return 0;
    }
    call = fs_call_self();
    if (call && call->cancelled) {
        return -EINTR;
    }
    QTAILQ_INSERT_TAIL(&fs->nodes.waiting, &w, next);
    if (call) {
        call->on_cancel = rename_cancel;
        call->on_cancel_opaque = &w;
    }
    qemu_coroutine_yield();
    if (call) {
        call->on_cancel = NULL;
    }
    return w.ret;
}
