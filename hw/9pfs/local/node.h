/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Nodes of the local driver. A node has a descriptor of its inode whenever an
 * operation needs one, although not all nodes can have one at the same time.
 *
 * Call from the export's thread unless noted otherwise.
 */
#ifndef HW_9PFS_LOCAL_NODE_H
#define HW_9PFS_LOCAL_NODE_H

#include "fsdev/shared/file-handle.h"
#include "hw/9pfs/fs/export.h"
#include "hw/9pfs/host/device-numbers.h"
#include "hw/9pfs/host/fd-budget.h"
#include "fsdev/shared/share-lock.h"
#include "model.h"

typedef struct LocalFs {
    FsExport *fs;
    LocalHost host;
    LocalHost now;              /* the same, for work in the export's thread */
    bool writeout;
    FileHandles handles;
    FsdevMigration migration;
    uint32_t changes;           /* counts changes of names */
    HostDevs devs;
    ShareLock lock;             /* tells others that the directory is served */
    struct IdTranslate *ids;    /* HostFs.ids, to be freed; or NULL */
} LocalFs;

typedef struct LocalNode {
    FsNode node;
    HostFd path_fd;             /* O_PATH */
    /*
     * name_to_handle_at(2), while the descriptor is closed; or NULL. Foreign
     * if node.restored (file-handle.h)
     */
    struct file_handle *saved_handle;
    uint64_t born;              /* ns, tells reused numbers apart; or 0 */
    int kept;                   /* LocalInode.kept, or -1 */
    /* LocalFs.changes when the last name in this directory changed */
    uint32_t changed;
} LocalNode;

static inline LocalNode *local_node(const FsNode *node)
{
    return container_of(node, LocalNode, node);
}

static inline LocalFs *local_fs(const FsNode *node)
{
    return node->fs->priv;
}

/*
 * Makes the export's root a node; takes over @fd. The caller first finds out
 * with file_handles_probe() whether the driver can use file handles.
 */
LocalNode *local_node_root(LocalFs *lf, int fd, const FsAttr *attr);

/* FsDriver operations, as fs/driver.h describes them */
void local_node_free(FsNode *node);
void local_save_node(FsNode *node, FsNodeState *state);
FsNode *local_restore_node(FsExport *fs, const FsNodeState *state);

/*
 * Returns the node for the inode of @fd, with a reference for the caller, and
 * takes over @fd. @attr has the attributes as the guest sees them. The caller
 * found the inode as @name in @dir (NULL: in another way), when LocalFs.changes
 * was @since.
 */
LocalNode *local_node_accept(LocalFs *lf, int fd, const FsAttr *attr,
                             LocalNode *dir, const char *name,
                             uint32_t since);

/*
 * The time of birth that the node's inode must have, or 0 if it is not known
 * (fs_attr_born())
 */
uint64_t local_node_born(const LocalNode *n);
/*
 * Whether @attr is of the node's inode, which was born at @born if that is not
 * 0. Any thread; the caller holds the node.
 */
bool local_node_is(const LocalNode *n, uint64_t born, const FsAttr *attr);

/* Takes over @fd for a node that has no descriptor. */
void local_node_set_fd(LocalNode *n, int fd);

/*
 * Opens the node's descriptor again if the budget has closed it: 0, -ESTALE if
 * the inode cannot be found again, or another -errno. It does not yield if the
 * descriptor is open.
 */
int coroutine_fn local_node_find(LocalNode *n);

/* The same, and pins the descriptor: returns it, or -errno. */
int coroutine_fn local_node_pin(LocalNode *n);
void local_node_unpin(LocalNode *n);

/* fs_entry_node() */
LocalNode *local_node_named(LocalNode *dir, const char *name);

/* Whether the export knows no other name of @n than @name in @dir */
bool local_node_last_name(LocalNode *n, LocalNode *dir, const char *name);

/*
 * The name is gone. If it was the last one, an open descriptor stays open, and
 * the node takes over @kept (or -1); otherwise the function closes @kept.
 */
void local_node_unnamed(LocalNode *n, LocalNode *dir, const char *name,
                        int kept);

/* The inode got another name. */
void local_node_linked(LocalNode *n, LocalNode *dir, const char *name);

/* A name in @dir changed just now. */
void local_dir_changed(LocalNode *dir);
/* Whether a name in @dir changed since LocalFs.changes was @since */
bool local_dir_changed_since(const LocalNode *dir, uint32_t since);

/* Whether @work on the node's inode may wait */
static inline HostWait local_wait(const LocalNode *n, HostWork work)
{
    return host_dev_wait(&local_fs(&n->node)->devs, n->node.dev, work);
}

/* That of two nodes (@b may be NULL) whose file system may take longer */
LocalNode *local_node_slower(LocalNode *a, LocalNode *b);

/*
 * Runs @func(@opaque), work on the file system @dev, in the thread pool; and
 * again if it fails with -EMFILE and some descriptors can be closed, or with
 * -EAGAIN: another process has a lease (hostfs_open()), or a file system its
 * share of threads. In both cases @func has done nothing.
 */
int coroutine_fn local_run(uint64_t dev, ThreadPoolFunc *func, void *opaque);

#endif /* HW_9PFS_LOCAL_NODE_H */
