/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Nodes of the proxy driver in protocol version 1, and its operations
 * (FsDriver): node.c has the walk, attr.c, files.c and names.c the rest.
 * driver.c says how nodes are found.
 *
 * Call everything from the export's thread.
 */
#ifndef HW_9PFS_PROXY_V1_NODE_H
#define HW_9PFS_PROXY_V1_NODE_H

#include "hw/9pfs/host/device-numbers.h"
#include "hw/9pfs/proxy/link.h"

/* Names that a node remembers beside the one that leads to it */
#define PROXY_V1_SPARE_NAMES    4

typedef struct ProxyV1Fs {
    ProxyLink *link;
    bool writeout;
    HostDevs devs;
    bool other_ids;             /* fstat(2) shows other ids than LSTAT */
} ProxyV1Fs;

typedef struct ProxyV1Node {
    FsNode node;
    GSList *files;              /* open FsFiles, without references */
    FsEntry *spare[PROXY_V1_SPARE_NAMES];   /* hard links: references or NULL */
    uint32_t uid;               /* of the last LSTAT */
    uint32_t gid;
} ProxyV1Node;

typedef char ProxyV1Path[PATH_MAX];

static inline ProxyV1Fs *proxy_v1_fs(const FsNode *node)
{
    return node->fs->priv;
}

static inline ProxyV1Node *proxy_v1_node(FsNode *node)
{
    return container_of(node, ProxyV1Node, node);
}

static inline ProxyChannel *proxy_v1_channel(const FsNode *node)
{
    return proxy_link_channel(proxy_v1_fs(node)->link);
}

/*
 * Nodes
 */

/* A new node, with a reference */
FsNode *proxy_v1_node_new(FsExport *fs, const FsAttr *attr);

/* FsDriver.node_free */
void proxy_v1_node_free(FsNode *node);

/* The node for the inode found as @name in @dir, with a reference */
FsNode *proxy_v1_node_accept(FsNode *dir, const char *name, const FsAttr *attr);

/*
 * Remembers another name of a node, for when its first name is gone. Does
 * nothing for a directory, whatever the helper says: a directory with a name in
 * itself, or below, would never be freed.
 */
void proxy_v1_add_spare(FsNode *node, FsNode *dir, const char *name);

bool proxy_v1_same_inode(const FsNode *node, const FsAttr *attr);

/*
 * Paths. @req has the slot.
 */

/* Adds a name to the path of a directory. */
int proxy_v1_add_name(ProxyV1Path path, const char *name);

/*
 * Finds the node: a path that leads to it now, and its attributes. -ESTALE if
 * there is none.
 */
int coroutine_fn proxy_v1_find(ProxyRequest *req, FsNode *node,
                               ProxyV1Path path, FsAttr *attr);
/* The path of a directory in which the caller wants a name */
int coroutine_fn proxy_v1_find_dir(ProxyRequest *req, FsNode *dir,
                                   ProxyV1Path path);
/* The path of @name in @dir */
int coroutine_fn proxy_v1_find_in(ProxyRequest *req, FsNode *dir,
                                  const char *name, ProxyV1Path path);

/* These get the slot first. On failure the request does not have it. */
int coroutine_fn proxy_v1_begin_node(ProxyRequest *req, FsCall *call,
                                     FsNode *node, ProxyV1Path path,
                                     FsAttr *attr);
int coroutine_fn proxy_v1_begin_in(ProxyRequest *req, FsCall *call,
                                   FsNode *dir, const char *name,
                                   ProxyV1Path path);

/*
 * Open files
 */

/* @file or another open file of @node, writable if @write; or NULL */
FsFile *proxy_v1_any_file(FsNode *node, FsFile *file, bool write);

typedef struct ProxyV1FileWork {
    FsFile *file;               /* a reference */
    FsStatfs *st;
    const FsSetAttr *set;
    uint64_t size;
    int flags;
} ProxyV1FileWork;

/* Runs @func on an open file in the thread pool. */
int coroutine_fn proxy_v1_file_run(ProxyV1FileWork *work, FsFile *file,
                                   ThreadPoolFunc *func);

/*
 * Operations
 */

int coroutine_fn proxy_v1_walk(FsCall *call, FsNode *dir,
                               const char *const *names, unsigned n,
                               FsWalk *walk);
int coroutine_fn proxy_v1_getattr(FsCall *call, FsNode *node, FsFile *file,
                                  FsAttr *attr);
int coroutine_fn proxy_v1_generation(FsCall *call, FsNode *node, FsFile *file,
                                     uint64_t *gen);
int coroutine_fn proxy_v1_get_target(FsCall *call, FsNode *node, char *buf,
                                     size_t size);
int coroutine_fn proxy_v1_get_statfs(FsCall *call, FsNode *node, FsStatfs *st);
int coroutine_fn proxy_v1_setattr(FsCall *call, FsNode *node, FsFile *file,
                                  const FsSetAttr *set);
int coroutine_fn proxy_v1_get_xattr(FsCall *call, FsNode *node,
                                    const char *name, uint8_t **value,
                                    size_t *size);
int coroutine_fn proxy_v1_set_xattr(FsCall *call, FsNode *node,
                                    const char *name, const void *value,
                                    size_t size, int flags);
int coroutine_fn proxy_v1_remove_xattr(FsCall *call, FsNode *node,
                                       const char *name);
int coroutine_fn proxy_v1_open_file(FsCall *call, FsNode *node, int flags,
                                    FsFile **file);
int coroutine_fn proxy_v1_create_file(FsCall *call, FsNode *dir,
                                      const FsMakeArgs *make, int flags,
                                      FsNode **node, FsFile **file,
                                      FsAttr *attr);
int coroutine_fn proxy_v1_make_node(FsCall *call, FsNode *dir,
                                    const FsMakeArgs *make, FsAttr *attr);
void proxy_v1_file_free(FsFile *file);
int coroutine_fn proxy_v1_link(FsCall *call, FsNode *node, FsNode *dir,
                               const char *name);
int coroutine_fn proxy_v1_rename(FsCall *call, FsNode *olddir,
                                 const char *oldname, FsNode *newdir,
                                 const char *newname);
int coroutine_fn proxy_v1_unlink(FsCall *call, FsNode *dir, const char *name,
                                 bool rmdir, FsNode *expect);

#endif /* HW_9PFS_PROXY_V1_NODE_H */
