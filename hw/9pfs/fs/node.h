/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Nodes, entries and files: an export's knowledge of its inodes.
 *
 * A node (FsNode) is one inode, shared by every fid and operation that works
 * on it. The export's table keeps one node for each device and inode number.
 * A node has no name. Names are entries (FsEntry): one for each name in a
 * directory that a fid or a driver holds. A file (FsFile) is one open of a
 * node.
 *
 * Nodes, entries and files are counted. The last unref of a node or a file
 * releases it through the driver.
 *
 * All of it belongs to the export's thread.
 */
#ifndef HW_9PFS_FS_NODE_H
#define HW_9PFS_FS_NODE_H

#include "qemu/coroutine.h"
#include "qemu/queue.h"
#include "driver.h"

/*
 * A name in a directory, and the node that it meant at the last lookup. All
 * fids and drivers that use the name share the entry, so a rename or removal
 * through the server updates it for all of them at once.
 */
struct FsEntry {
    FsNode *parent;             /* holds a reference */
    FsNode *node;               /* no reference; NULL once the node is freed */
    QLIST_ENTRY(FsEntry) of_node;
    char *name;                 /* in room, or elsewhere after a rename */
    uint32_t refs:31;
    bool gone:1;                /* not in the table: the name is no more */
    char room[];
};

/*
 * An export's nodes, entries and files. Of node.c alone, except that export.c
 * reads open_files and alive.
 */
typedef struct FsNodes {
    GHashTable *nodes;          /* by (dev, ino); NULL before the first */
    GHashTable *entries;        /* by (parent, name); likewise */
    QSIMPLEQ_HEAD(, FsNode) dying;  /* while nodes are being freed */
    bool freeing;
    unsigned renaming;          /* renames under way */
    QTAILQ_HEAD(, FsRenameWait) waiting;    /* until a rename is over */
    uint64_t open_files;
    uint64_t alive;             /* nodes, in the table or not */
} FsNodes;

void fs_nodes_init(FsNodes *nodes);
/* Frees the tables; no node and no entry is in them. */
void fs_nodes_destroy(FsNodes *nodes);

/*
 * A hash of an inode's numbers, for tables. It differs from process to process,
 * so nobody can choose numbers that are alike in it.
 */
guint fs_inode_hash(uint64_t dev, uint64_t ino);

size_t fs_nodes_count(const FsNodes *nodes);
size_t fs_nodes_count_entries(const FsNodes *nodes);

/* Calls @fn for each node that is in the table. */
void fs_nodes_each(const FsNodes *nodes, void (*fn)(FsNode *, void *opaque),
                   void *opaque);

/* The export's node for an inode, with a new reference, or NULL. */
FsNode *fs_node_find(FsExport *fs, uint64_t dev, uint64_t ino);

/*
 * Initialises a driver's new node with one reference and puts it into the
 * table, which has none for the inode.
 */
void fs_node_init(FsNode *node, FsExport *fs, const FsAttr *attr);

/*
 * The same for a node of a migration: FsDriver.restore_node. The driver clears
 * node->restored if it looks at that when it has found the inode.
 */
void fs_node_init_restored(FsNode *node, FsExport *fs,
                           const FsNodeState *state);

/*
 * Takes the node out of the table: its inode no longer exists, and another
 * inode has its number. Existing references stay valid.
 */
void fs_node_detach(FsNode *node);

FsNode *fs_node_ref(FsNode *node);
void fs_node_unref(FsNode *node);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(FsNode, fs_node_unref)

/* Whether a file that is open with these flags can be written and resized */
static inline bool fs_file_flags_write(int flags)
{
    return (flags & O_ACCMODE) == O_WRONLY || (flags & O_ACCMODE) == O_RDWR;
}

/* Initialises a driver's new file with one reference; takes one on @node. */
void fs_file_init(FsFile *file, FsNode *node, int flags);
FsFile *fs_file_ref(FsFile *file);
void fs_file_unref(FsFile *file);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(FsFile, fs_file_unref)

/*
 * The entry for @name in @parent, which means @node, with a reference for the
 * caller. An entry of that name for another node is out of date: it is marked
 * as gone.
 */
FsEntry *fs_entry_get(FsExport *fs, FsNode *parent, const char *name,
                      FsNode *node);
/* The entry in the table, with a reference, or NULL */
FsEntry *fs_entry_find(FsExport *fs, FsNode *parent, const char *name);
/* The node that @name in @dir is known to mean, with a reference, or NULL */
FsNode *fs_entry_node(FsNode *dir, const char *name);
FsEntry *fs_entry_ref(FsEntry *entry);
void fs_entry_put(FsEntry *entry);

/* The name was removed, or means another node. */
void fs_entry_gone(FsEntry *entry);

/* @entry was renamed. An entry that had the new name is gone. */
void fs_entry_move(FsEntry *entry, FsNode *parent, const char *name);

/* Whether @entry is still @name in @parent */
bool fs_entry_is(const FsEntry *entry, const FsNode *parent,
                 const char *name);

/* Some entry that means @node, without a reference, or NULL */
FsEntry *fs_node_any_entry(const FsNode *node);
/* Whether @node has no known name, or only @name in @dir */
bool fs_node_has_no_name_but(const FsNode *node, const FsNode *dir,
                             const char *name);
/* Whether an entry other than @entry means @node */
bool fs_node_has_other_entry(const FsNode *node, const FsEntry *entry);

/*
 * The entry by which drivers find @node, without a reference: the entry that
 * was set, or another known one. NULL if there is none, and for the root.
 */
FsEntry *fs_node_where(FsNode *node);
/* Drivers find @node by @entry, whose reference the node takes over. */
void fs_node_set_where(FsNode *node, FsEntry *entry);
/* The same for a new node, which is the parent of no other. */
void fs_node_init_where(FsNode *node, FsEntry *entry);

/* Whether the names of all entries from the root to the node are known */
bool fs_node_has_way(FsNode *node);

/*
 * The node's path from the root, as entries say it: "dir/file"; "" is the
 * root's. New memory (g_free), or NULL if a name is not known or it has more
 * than @max bytes.
 */
char *fs_node_path(FsNode *node, size_t max);

/*
 * Whether entries say where files are now. During a rename they do not, until
 * it ends.
 */
bool fs_entries_current(const FsExport *fs);

/* A rename that changes names on the host. All zero before it begins. */
typedef struct FsRename {
    FsNode *olddir;             /* NULL: it has not begun */
    const char *oldname;
    FsNode *newdir;
    const char *newname;
    FsEntry *from;              /* references, or NULL */
    FsEntry *over;
} FsRename;

/*
 * A driver calls begin once it has found all nodes that its rename works on.
 * From then on a lookup by entry that fails waits for the rename. begin does
 * nothing if the rename has begun already, and end does nothing if it has not.
 * @ret is the result of the rename: if it is 0, the entries move.
 */
void fs_rename_begin(FsRename *r, FsNode *olddir, const char *oldname,
                     FsNode *newdir, const char *newname);
void coroutine_fn fs_rename_end(FsRename *r, int ret);

/* The same around any other change during which a file has no name */
void fs_names_begin(FsExport *fs);
void coroutine_fn fs_names_end(FsExport *fs);

/*
 * A lookup by entry failed. Waits until a change of names is over and returns
 * 1, so that another try is worthwhile; returns 0 at once when none is under
 * way. -EINTR: the coroutine's call was cancelled. The change may depend on a
 * file server or a helper that does not answer.
 */
int coroutine_fn fs_rename_wait(FsExport *fs);

/*
 * When the inode was made, in nanoseconds since 1970, or 0 if @attr does not
 * say. It differs between two inodes that had the same number.
 */
static inline uint64_t fs_attr_born(const FsAttr *attr)
{
    return attr->valid & FS_ATTR_BTIME
           ? attr->btime.tv_sec * UINT64_C(1000000000) + attr->btime.tv_nsec
           : 0;
}

#endif /* HW_9PFS_FS_NODE_H */
