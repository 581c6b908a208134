/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The proxy driver's operations (FsDriver): attr.c, files.c, names.c, write.c;
 * find.c has the walk. Most are a loop over their half x_once(), which asks the
 * helper at most once; see ProxyNodeTry in node.h.
 */
#ifndef HW_9PFS_PROXY_OPS_H
#define HW_9PFS_PROXY_OPS_H

#include "node.h"

/*
 * attr.c
 */

int coroutine_fn proxy_getattr(FsCall *call, FsNode *node, FsFile *file,
                               FsAttr *attr);
int coroutine_fn proxy_setattr(FsCall *call, FsNode *node, FsFile *file,
                               const FsSetAttr *set);
int coroutine_fn proxy_readlink(FsCall *call, FsNode *node, char *buf,
                                size_t size);
int coroutine_fn proxy_statfs(FsCall *call, FsNode *node, FsStatfs *st);
int coroutine_fn proxy_generation(FsCall *call, FsNode *node, FsFile *file,
                                  uint64_t *gen);
int coroutine_fn proxy_getxattr(FsCall *call, FsNode *node, const char *name,
                                uint8_t **value, size_t *size);
int coroutine_fn proxy_setxattr(FsCall *call, FsNode *node, const char *name,
                                const void *value, size_t size, int flags);
int coroutine_fn proxy_removexattr(FsCall *call, FsNode *node,
                                   const char *name);

/*
 * files.c
 */

int coroutine_fn proxy_open_file(FsCall *call, FsNode *node, int flags,
                                 FsFile **file);
int coroutine_fn proxy_create(FsCall *call, FsNode *dir,
                              const FsMakeArgs *make, int flags, FsNode **node,
                              FsFile **file, FsAttr *attr);
int coroutine_fn proxy_make(FsCall *call, FsNode *dir, const FsMakeArgs *make,
                            FsAttr *attr);
void proxy_file_free(FsFile *file);

/*
 * write.c
 */

ssize_t coroutine_fn proxy_write(FsCall *call, FsFile *file,
                                 const struct iovec *iov, int niov,
                                 uint64_t offset);

/*
 * Around a change that gives the node set-id bits: lets no write of QEMU's own
 * run meanwhile, which could take them away. -EINTR if the call was cancelled;
 * then there is nothing to end.
 */
int coroutine_fn proxy_set_id_begin(FsCall *call, FsNode *node);
void proxy_set_id_end(FsNode *node);

/*
 * names.c
 */

int coroutine_fn proxy_link(FsCall *call, FsNode *node, FsNode *dir,
                            const char *name);
int coroutine_fn proxy_rename(FsCall *call, FsNode *olddir,
                              const char *oldname, FsNode *newdir,
                              const char *newname);
int coroutine_fn proxy_unlink(FsCall *call, FsNode *dir, const char *name,
                              bool rmdir, FsNode *expect);

#endif /* HW_9PFS_PROXY_OPS_H */
