/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Nodes of the local driver: handles of inodes that are there when they are
 * needed, though not all can be open at once.
 *
 * Main thread only, but what says otherwise.
 */
#ifndef HW_9PFS_LOCAL_NODE_H
#define HW_9PFS_LOCAL_NODE_H

#include "block/thread-pool.h"
#include "hw/9pfs/fs/export.h"
#include "hw/9pfs/host/device-numbers.h"
#include "hw/9pfs/host/fd-budget.h"
#include "model.h"

typedef struct LocalFs {
    FsExport *fs;
    LocalHost host;
    bool writeout;
    /* A descriptor in the root's mount for open_by_handle_at(2), or -1 */
    int mount_fd;
    int mount_id;
    uint32_t changes;           /* of names: LocalNode.changed */
    HostDevs devs;
} LocalFs;

typedef struct LocalNode {
    FsNode node;
    HostFd handle;
    struct file_handle *memo;   /* name_to_handle_at(2), while closed */
    uint64_t born;              /* ns, tells inodes of one number apart; or 0 */
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
 * Makes the export's root a node; takes over @fd. The caller then probes
 * with local_probe_handles() whether file handles may be used.
 */
LocalNode *local_node_root(LocalFs *lf, int fd, const FsAttr *attr);
void local_probe_handles(LocalFs *lf);

/* FsDriver.node_free */
void local_node_free(FsNode *node);

/*
 * The node for the inode of @fd, which is taken over, with a reference for the
 * caller. @attr: as the guest sees it. It was found as @name in @dir (NULL:
 * by another way), when LocalFs.changes was @since.
 */
LocalNode *local_node_accept(LocalFs *lf, int fd, const FsAttr *attr,
                             LocalNode *dir, const char *name,
                             uint32_t since);

/*
 * Sees to it that the node has a handle: 0, or -ESTALE when its inode is not
 * to be found again. It does not yield if the node has one.
 */
int coroutine_fn local_node_find(LocalNode *n);

/* The same, and pins it: the descriptor, or -errno. */
int coroutine_fn local_node_pin(LocalNode *n);
void local_node_unpin(LocalNode *n);

/* The node that @name is known to be, with a reference, or NULL */
LocalNode *local_node_named(LocalNode *dir, const char *name);

/* Whether @name in @dir is the only name of @n that is known. */
bool local_node_last_name(LocalNode *n, LocalNode *dir, const char *name);

/*
 * The name is gone. When it was the last one, a handle that is open stays so,
 * and the node takes over @kept (or -1).
 */
void local_node_unnamed(LocalNode *n, LocalNode *dir, const char *name,
                        int kept);

/* The inode got a name more. */
void local_node_linked(LocalNode *n, LocalNode *dir, const char *name);

/* A name in @dir changed just now. */
void local_dir_changed(LocalNode *dir);
/* Whether one did since LocalFs.changes was @since */
bool local_dir_changed_since(const LocalNode *dir, uint32_t since);

/* Whether @work on the node's inode may wait */
static inline HostWait local_wait(const LocalNode *n, HostWork work)
{
    return host_dev_wait(&local_fs(&n->node)->devs, n->node.dev, work);
}

/*
 * Runs @func(@opaque) as host_run() does, and again if it fails with -EMFILE
 * and some descriptors can be closed.
 */
int coroutine_fn local_run(HostWait wait, ThreadPoolFunc *func, void *opaque);
/*
 * local_run() of what opens a file, with *@flags. Even where nothing else
 * waits, an open may wait for a lease: then it runs in the thread pool.
 */
int coroutine_fn local_run_open(HostWait wait, ThreadPoolFunc *func,
                                void *opaque, int *flags);

/*
 * What a model is to be told of an inode, held for work in the thread pool.
 */
typedef struct LocalHold {
    LocalInode inode;
    LocalNode *node;            /* pinned, or NULL: a file's descriptor */
    LocalNode *dir;             /* pinned, with a reference; or NULL */
    char *name;
    bool nameless;              /* its name turned out to be none */
    unsigned tries;
} LocalHold;

/*
 * @file: a descriptor to be used while the node has none, or -1; it must stay
 * open as long as the hold. @hold is zero before the first time.
 */
int coroutine_fn local_hold(LocalHold *hold, LocalNode *n, int file);
/*
 * Ends it. Whether it is worth another try when the model came to @ret: it
 * was -ESTALE, because the name has changed, or will do without one.
 */
bool coroutine_fn local_release(LocalHold *hold, LocalNode *n, int ret);

#endif /* HW_9PFS_LOCAL_NODE_H */
