/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Nodes of the proxy driver. A node is an inode. The helper has a handle of it,
 * or QEMU has an O_PATH descriptor of it; mostly there are both.
 *
 * node.c has nodes, their handles and descriptors; find.c finds nodes by name,
 * for the first time and again; ops.h has the operations. Call everything from
 * the export's thread.
 */
#ifndef HW_9PFS_PROXY_NODE_H
#define HW_9PFS_PROXY_NODE_H

#include "fsdev/shared/file-handle.h"
#include "hw/9pfs/host/device-numbers.h"
#include "hw/9pfs/host/fd-budget.h"
#include "link.h"

typedef struct ProxyNode ProxyNode;

typedef struct ProxyFs {
    ProxyLink *link;
    bool writeout;
    HostDevs devs;
    /* The helper adopts descriptors on this mount; 0: it adopts none */
    uint64_t mount;
    uint64_t last_adopted;      /* number of the last handle that QEMU made */
    /* Migrations bring file handles, with which the helper finds inodes */
    bool file_handles;
    /* To the helper, some files stand for devices (special-file.h) */
    bool maps_devices;
    int mount_id;               /* with them: file_handle_mount() of the root */
    uint32_t handles;           /* nodes with a handle of this helper */
    uint32_t handles_max;       /* limit, once the helper was full; or 0 */
    /* Unused nodes with a handle, the least recently used first */
    QTAILQ_HEAD(, ProxyNode) idle;
} ProxyFs;

struct ProxyNode {
    FsNode node;
    uint64_t handle;
    uint32_t handle_refs:12;    /* references to give back */
    uint32_t pins:19;           /* operations that use the handle */
    uint32_t refused:1;         /* the helper did not adopt path_fd */
    bool new_fd;                /* path_fd's file system may be a new one */
    /* QEMU's own writes, and changes of the mode that set set-id bits */
    uint16_t writes;
    uint16_t set_ids;
    uint32_t helper_epoch;      /* of the helper that has the handle: link.h */
    uint64_t born;              /* time of the inode's birth, or 0 */
    HostFd path_fd;             /* O_PATH descriptor, or none */
    /* The host's, foreign, while there is no descriptor; or NULL */
    struct file_handle *file_handle;
    QTAILQ_ENTRY(ProxyNode) idle;
};

/* For QEMU's own calls of hostfs. They never follow "..": there is no root. */
extern const HostFs proxy_own_fs;

static inline ProxyFs *proxy_fs(const FsNode *node)
{
    return node->fs->priv;
}

static inline ProxyNode *proxy_node(FsNode *node)
{
    return container_of(node, ProxyNode, node);
}

static inline ProxyChannel *proxy_channel_of(const FsNode *node)
{
    return proxy_link_channel(proxy_fs(node)->link);
}

/* The present helper's handle, after proxy_node_begin() */
static inline uint64_t proxy_handle_of(FsNode *node)
{
    return proxy_node(node)->handle;
}

/* The present helper's, or the last one's */
const ProxyHello *proxy_hello_of(const ProxyFs *ps);

/*
 * Nodes
 */

/* A new node without a handle, with a reference for the caller */
ProxyNode *proxy_node_new(FsExport *fs, const FsAttr *attr);

/* The node has a descriptor, which leads to its file handle at any time. */
static inline void proxy_node_drop_file_handle(ProxyNode *n)
{
    g_clear_pointer(&n->file_handle, g_free);
}

/* FsDriver operations, as fs/driver.h describes them */
void proxy_node_free(FsNode *node);
void proxy_save_node(FsNode *node, FsNodeState *state);
FsNode *proxy_restore_node(FsExport *fs, const FsNodeState *state);

/* The node of the inode with @attr, with a reference; NULL if there is none */
FsNode *proxy_node_known(FsExport *fs, const FsAttr *attr);

/*
 * Whether @attr, of the inode of @node, has another type because the host has
 * made a file into one that stands for a device, or the reverse
 */
bool proxy_node_retyped(FsNode *node, const FsAttr *attr);

/* Whether the node has a handle of the present helper */
bool proxy_node_has_handle(FsNode *node);

/* A pinned node does not lose its handle to the limit. @node may be NULL. */
void proxy_node_pin(FsNode *node);
void proxy_node_unpin(FsNode *node);

/* Whether the node has a descriptor that the helper adopts */
bool proxy_node_adoptable(ProxyFs *ps, ProxyNode *n);

/* Gives the node a handle: the helper adopts its descriptor. False: cannot. */
bool proxy_node_adopt(ProxyFs *ps, ProxyNode *n);

/*
 * Descriptors
 */

/* Takes over @fd (or -1), for a node that may have a descriptor already. */
void proxy_node_take_fd(ProxyNode *n, int fd, const FsAttr *attr);

/*
 * The node's descriptor for HOST_WORK_STAT, valid until the coroutine yields.
 * -1 if there is none, or if the work may wait: then ask the helper.
 */
int coroutine_fn proxy_node_use_fd(FsNode *node);

/* The same, but makes the descriptor again if the budget has closed it. */
int coroutine_fn proxy_node_get_fd(FsNode *node);

/* The same for a lookup: -1 also while there is no helper that adopts. */
int coroutine_fn proxy_node_lookup_fd(FsNode *node);

/* The same for HOST_WORK_READ: -1 except on file systems in memory. */
int coroutine_fn proxy_node_nowait_fd(FsNode *node);

/* Translates the ids in the kernel's attributes into the guest's. */
void proxy_ids_inside(const ProxyFs *ps, FsAttr *attr);

/*
 * Turns the kernel's attributes into the guest's. False, and nothing is done,
 * if only the helper knows what the guest sees.
 */
bool proxy_attr_inside(const ProxyFs *ps, FsAttr *attr);

/*
 * Replies
 */

/* `node` of a reply, before the driver has checked it */
typedef struct ProxyNodeReply {
    uint64_t handle;            /* 0: none */
    int fd;                     /* ours to close, or -1 */
} ProxyNodeReply;

/* Read a node or attributes from a reply; impossible values make it bad. */
void proxy_get_node(ProxyRequest *req, ProxyNodeReply *nr);
void proxy_get_good_attr(ProxyRequest *req, FsAttr *attr);

/*
 * Puts the node for @nr, new or known, into *@node, with a reference for the
 * caller. -EIO if the reply contradicts an earlier one about the inode: another
 * type, or another handle.
 */
int proxy_node_accept(FsExport *fs, ProxyNodeReply *nr, const FsAttr *attr,
                      FsNode **node);

/* Gives back the handle and the descriptor of a reply that are not wanted. */
void proxy_node_refuse(ProxyFs *ps, ProxyNodeReply *nr);

/* Closes @fd, or does nothing if it is -1. */
void proxy_close_fd(int fd);

/*
 * Operations
 */

/*
 * An operation: a loop as with proxy_try(), which also repeats when the helper
 * was full, or did not adopt a descriptor. The operation's nodes stay pinned
 * until the scope ends:
 *
 *     g_auto(ProxyNodeTry) t = PROXY_NODE_TRY(call, node);
 *
 *     while (proxy_node_try(&t, &ret)) {
 *         ret = ...;
 *     }
 *     return ret;
 */
typedef struct ProxyNodeTry {
    ProxyTry t;
    FsNode *nodes[3];           /* or NULL */
    unsigned relieved;          /* tries after the helper was full */
    HostAgain again;            /* pauses after -EAGAIN */
} ProxyNodeTry;

#define PROXY_NODE_TRY(call, ...) \
    proxy_node_try_init(call, (FsNode *[3]) { __VA_ARGS__ })

ProxyNodeTry proxy_node_try_init(FsCall *call, FsNode *nodes[3]);
bool coroutine_fn proxy_node_try(ProxyNodeTry *o, int *ret);
void proxy_node_try_end(ProxyNodeTry *o);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(ProxyNodeTry, proxy_node_try_end)

/*
 * Begins a request about @a, and about @b and @c unless they are NULL. Put
 * their handles into it before the coroutine yields.
 */
int coroutine_fn proxy_node_begin(FsCall *call, ProxyRequest *req,
                                  ProxyType type, size_t extra, FsNode *a,
                                  FsNode *b, FsNode *c);

/*
 * Names
 */

/* FsDriver.walk */
int coroutine_fn proxy_walk(FsCall *call, FsNode *dir,
                            const char *const *names, unsigned n,
                            FsWalk *walk);

/* @node was found, or made, as @name in @dir. */
void proxy_node_named(FsNode *node, FsNode *dir, const char *name);

/* Whether @node is @name in @dir now */
bool coroutine_fn proxy_name_is(FsCall *call, FsNode *dir, const char *name,
                                FsNode *node);

/*
 * @node, or NULL, is about to lose a name, perhaps the last one that leads to
 * it: gets it a handle first, unless the helper adopts its descriptor. Returns
 * 0 also if the node cannot be found.
 */
int coroutine_fn proxy_victim_find(FsCall *call, FsNode *node);

#endif /* HW_9PFS_PROXY_NODE_H */
