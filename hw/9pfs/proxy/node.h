/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Nodes of the proxy driver. A node is an inode of which the helper has a
 * handle, QEMU has an O_PATH descriptor, or mostly both.
 *
 * node.c has nodes, their handles and descriptors; find.c finds nodes by name,
 * for the first time and again; ops.h has the operations. Call everything from
 * the export's thread.
 */
#ifndef HW_9PFS_PROXY_NODE_H
#define HW_9PFS_PROXY_NODE_H

#include "fsdev/shared/hostfs.h"
#include "hw/9pfs/host/device-numbers.h"
#include "hw/9pfs/host/fd-budget.h"
#include "link.h"

typedef struct ProxyNode ProxyNode;

typedef struct ProxyFs {
    ProxyLink *link;
    bool writeout;
    HostDevs devs;
    uint64_t mount;             /* the helper adopts what is on it; 0: none */
    uint64_t adopted;           /* number of the last handle that QEMU made */
    uint32_t handles;           /* of this helper that nodes have */
    uint32_t handles_max;       /* its limit, once it was full; or 0 */
    QTAILQ_HEAD(, ProxyNode) idle;  /* unused nodes with a handle, last used
                                       last */
} ProxyFs;

struct ProxyNode {
    FsNode node;
    uint64_t handle;
    uint32_t handle_refs:12;    /* to give back */
    uint32_t pins:19;           /* operations that use it */
    uint32_t refused:1;         /* the helper did not adopt it */
    uint32_t helper_epoch;      /* when the handle is valid: link.h */
    uint64_t born;              /* time of the inode's birth, or 0 */
    HostFd path_fd;             /* O_PATH descriptor, or none */
    QTAILQ_ENTRY(ProxyNode) idle;
};

/* For what QEMU does itself. It never follows "..", so there is no root. */
extern const HostFs proxy_here;

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

/* The present helper's, after proxy_node_begin() */
static inline uint64_t proxy_handle_of(FsNode *node)
{
    return proxy_node(node)->handle;
}

/* What the helper said of itself */
const ProxyHello *proxy_hello_of(const ProxyFs *ps);

/*
 * Nodes
 */

/* A new node, without a handle of this helper's, with a reference */
ProxyNode *proxy_node_new(FsExport *fs, const FsAttr *attr);

/* FsDriver.node_free */
void proxy_node_free(FsNode *node);

/* The node of an inode that was found, with a reference, or NULL */
FsNode *proxy_node_known(FsExport *fs, const FsAttr *attr);

/* Whether it has a handle of the present helper */
bool proxy_node_has_handle(FsNode *node);

/* While an operation uses its handle, it stays. @node may be NULL. */
void proxy_node_pin(FsNode *node);
void proxy_node_unpin(FsNode *node);

/* Whether it has a descriptor that the helper adopts */
bool proxy_node_adoptable(ProxyFs *ps, ProxyNode *n);

/* Makes it a handle by having the helper adopt its descriptor, if it can. */
bool proxy_node_adopt(ProxyFs *ps, ProxyNode *n);

/*
 * Descriptors
 */

/* Takes over @fd (or -1) for a node that has none. */
void proxy_node_take_fd(ProxyNode *n, int fd, const FsAttr *attr);

/*
 * The node's descriptor to look at its inode with, valid until the coroutine
 * yields. -1 if there is none, or if looking may wait, which the helper does
 * then.
 */
int coroutine_fn proxy_node_use_fd(FsNode *node);

/* The same, after making the descriptor again if the budget closed it */
int coroutine_fn proxy_node_get_fd(FsNode *node);

/* The same to look up a name in it, or to open it; needs a helper. */
int coroutine_fn proxy_node_use_here(FsNode *node);

/* The same for work that waits for nothing in memory, and elsewhere may: -1 */
int coroutine_fn proxy_node_use_in_memory(FsNode *node);

/* Translates the ids in attributes from the kernel to the guest's. */
void proxy_attr_inside(const ProxyFs *ps, FsAttr *attr);

/*
 * Replies
 */

/* `node` of a reply, before the driver looks into it */
typedef struct ProxyNodeReply {
    uint64_t handle;            /* 0: none */
    int fd;                     /* for us to close, or -1 */
} ProxyNodeReply;

/* What is in a reply; impossible values make it bad. */
void proxy_get_node(ProxyRequest *req, ProxyNodeReply *nr);
void proxy_get_good_attr(ProxyRequest *req, FsAttr *attr);

/*
 * The node for @nr, new or known, with a reference for the caller. -EIO when
 * the helper contradicts what it said about the inode before.
 */
int proxy_node_accept(FsExport *fs, ProxyNodeReply *nr, const FsAttr *attr,
                      FsNode **node);

/* Gives back a reference to a handle that came and is not wanted. */
void proxy_node_refuse(ProxyFs *ps, ProxyNodeReply *nr);

/* Closes a descriptor that came, or does nothing with -1. */
void proxy_close_fd(int fd);

/*
 * Operations
 */

/*
 * An operation: a loop as with proxy_try(), which also repeats when the helper
 * was full, or did not adopt a node. The operation's nodes are pinned until the
 * scope ends:
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
    unsigned relieved;
} ProxyNodeTry;

#define PROXY_NODE_TRY(call, ...) \
    proxy_node_try_init(call, (FsNode *[3]) { __VA_ARGS__ })

ProxyNodeTry proxy_node_try_init(FsCall *call, FsNode *nodes[3]);
bool coroutine_fn proxy_node_try(ProxyNodeTry *o, int *ret);
void proxy_node_try_end(ProxyNodeTry *o);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(ProxyNodeTry, proxy_node_try_end)

/*
 * Begins a request about @a, and maybe about two more nodes. Put their handles
 * into it at once.
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

/* Notes that @node was found, or made, as @name in @dir. */
void proxy_node_named(FsNode *node, FsNode *dir, const char *name);

/* Whether @node is @name in @dir now */
bool coroutine_fn proxy_name_is(FsCall *call, FsNode *dir, const char *name,
                                FsNode *node);

/*
 * @node, or NULL, is about to lose a name, maybe the last by which it could be
 * found: finds it before, unless its descriptor will do. The caller goes on
 * also if it cannot be found.
 */
int coroutine_fn proxy_victim_find(FsCall *call, FsNode *node);

#endif /* HW_9PFS_PROXY_NODE_H */
