/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Nodes of the proxy driver: what the helper has a handle of, what QEMU has a
 * descriptor of, and mostly both.
 *
 * node.c has nodes, handles and donated descriptors; find.c finds
 * them by name, for the first time and again; driver.c has the
 * operations. All of it is for the export's thread.
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
    uint64_t mount;             /* what is on it is adopted; 0: nothing */
    uint64_t adopted;           /* the last number of a handle */
    uint32_t handles;           /* of this helper that nodes have */
    uint32_t handles_max;       /* that it can have, once it was full; or 0 */
    QTAILQ_HEAD(, ProxyNode) idle;  /* nodes with one, last used last */
} ProxyFs;

struct ProxyNode {
    FsNode node;
    uint64_t handle;
    uint32_t handle_refs:12;    /* to give back */
    uint32_t pins:19;           /* operations that use it */
    uint32_t refused:1;         /* the helper did not adopt it */
    uint32_t number;            /* of the helper that the handle is of */
    uint64_t born;              /* time of the inode's birth, or 0 */
    HostFd donated;         /* O_PATH descriptor, or none */
    QTAILQ_ENTRY(ProxyNode) idle;
};

/* For what is done here: ".." is not, so there is no root. */
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

/* Of the helper that there is, after proxy_node_begin() */
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

/* Whether this helper has no handle of it: an earlier one had, or none. */
bool proxy_node_is_old(FsNode *node);

/* While an operation uses its handle, it keeps that. @node may be NULL. */
void proxy_node_pin(FsNode *node);
void proxy_node_unpin(FsNode *node);

/* Whether the helper will take the descriptor, if there is one */
bool proxy_node_adoptable(ProxyFs *ps, ProxyNode *n);

/* The helper gets to have a handle of it, if that can be. */
bool proxy_node_adopt(ProxyFs *ps, ProxyNode *n);

/*
 * Descriptors
 */

/* Takes over @fd (or -1) for a node that has none. */
void proxy_node_take_fd(ProxyNode *n, int fd, const FsAttr *attr);

/*
 * The node's descriptor to look at its inode with, until the coroutine yields:
 * -1 if there is none, or if what it is asked for may not be at hand; then it
 * is for the helper to wait.
 */
int coroutine_fn proxy_node_use_fd(FsNode *node);

/* The same; if it was closed for the budget, it is made again. */
int coroutine_fn proxy_node_get_fd(FsNode *node);

/* The same to look a name up in, or to open it with: not without a helper. */
int coroutine_fn proxy_node_use_here(FsNode *node);

/* Attributes that the kernel told this process get the guest's ids. */
void proxy_attr_inside(const ProxyFs *ps, FsAttr *attr);

/*
 * Replies
 */

/* `node` of a reply, not looked into yet */
typedef struct ProxyNodeReply {
    uint64_t handle;            /* 0: none */
    int fd;                     /* ours to close, or -1 */
} ProxyNodeReply;

/* What is in a reply; what cannot be makes it bad. */
void proxy_get_node(ProxyRequest *req, ProxyNodeReply *nr);
void proxy_get_good_attr(ProxyRequest *req, FsAttr *attr);

/*
 * The node for @nr, new or known, with a reference for the caller. -EIO when
 * the helper contradicts what it said of the inode before.
 */
int proxy_node_accept(FsExport *fs, ProxyNodeReply *nr, const FsAttr *attr,
                      FsNode **node);

/* Gives back a reference to a handle that came and is not to be held. */
void proxy_node_refuse(ProxyFs *ps, ProxyNodeReply *nr);

/* A descriptor that came, or -1 */
void proxy_close_fd(int fd);

/*
 * Operations
 */

/*
 * An operation: a loop as with proxy_try(), which is made anew also when the
 * helper was full, or did not adopt a node. The nodes whose handles it uses
 * keep them meanwhile.
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

/*
 * A request about @a, and maybe about two more: its handles are to be put into
 * it at once.
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

/*
 * Has a node get a descriptor again, by its name, directories on the way to it
 * first; the helper is not asked. Where that does not go, it has none.
 */
void coroutine_fn proxy_node_find_here(FsNode *node);

/* @node was found, or made, as @name in @dir. */
void proxy_node_named(FsNode *node, FsNode *dir, const char *name);

/* Whether @node is @name in @dir now */
bool coroutine_fn proxy_name_is(FsCall *call, FsNode *dir, const char *name,
                                FsNode *node);

/*
 * @node, or NULL, is about to lose a name, maybe its last, by which it could
 * be found: it is found before, unless a descriptor will do. If it cannot be,
 * that is no reason not to go on.
 */
int coroutine_fn proxy_victim_find(FsCall *call, FsNode *node);

#endif /* HW_9PFS_PROXY_NODE_H */
