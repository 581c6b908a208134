/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The operations of the local driver, and how they work on inodes. Call from
 * the export's thread unless noted otherwise.
 */
#ifndef HW_9PFS_LOCAL_LOCAL_H
#define HW_9PFS_LOCAL_LOCAL_H

#include "node.h"

/* An inode as models want it, held for work in the thread pool */
typedef struct LocalHold {
    LocalInode inode;
    LocalNode *node;            /* pinned, or NULL: a file's descriptor */
    LocalNode *dir;             /* pinned, with a reference; or NULL */
    char *name;
    bool lost_name;             /* the name was wrong on the host */
    bool nameless;              /* so do without one */
    unsigned tries;
} LocalHold;

/* Work on one inode. An operation's own work starts with one. */
typedef struct LocalWork {
    LocalHold hold;
    const LocalHost *host;
    LocalNode *dir;             /* pinned, or NULL; also of the work */
} LocalWork;

/*
 * Holds @n and runs @func(@w) in the thread pool. @file is an open descriptor
 * to use if the node has none, or -1. *@w is zero except for the operation's
 * own fields.
 */
int coroutine_fn local_run_held(LocalWork *w, LocalNode *n, int file,
                                ThreadPoolFunc *func);

/* Whether to hide @name from the guest */
static inline bool local_hidden(const LocalFs *lf, const char *name)
{
    return lf->host.model->reserved(name);
}

/* What LocalModel.getattr does besides: a mapped model reads a view. */
static inline HostWork local_view_work(const LocalFs *lf)
{
    return lf->host.model->hides_types ? HOST_WORK_READ : HOST_WORK_STAT;
}

/* The attributes of an inode as the guest sees them. Any thread; may block. */
int local_inode_getattr(const LocalHost *host, const LocalInode *inode,
                        FsAttr *attr);

/*
 * A descriptor of @n, valid until the coroutine yields, on which this thread
 * may do @work, with LocalFs.now; -EAGAIN: the work may wait
 */
int coroutine_fn local_now_fd(LocalNode *n, HostWork work);

/* FsDriver operations, as fs/driver.h describes them */
int coroutine_fn local_walk(FsCall *call, FsNode *dir,
                            const char *const *names, unsigned n,
                            FsWalk *walk);
int coroutine_fn local_getattr(FsCall *call, FsNode *node, FsFile *file,
                               FsAttr *attr);
int coroutine_fn local_generation(FsCall *call, FsNode *node, FsFile *file,
                                  uint64_t *gen);
int coroutine_fn local_setattr(FsCall *call, FsNode *node, FsFile *file,
                               const FsSetAttr *set);
int coroutine_fn local_readlink(FsCall *call, FsNode *node,
                                char *buf, size_t size);
int coroutine_fn local_statfs(FsCall *call, FsNode *node, FsStatfs *st);
int coroutine_fn local_create(FsCall *call, FsNode *dir, const FsMakeArgs *make,
                              int flags, FsNode **node, FsFile **file,
                              FsAttr *attr);
int coroutine_fn local_make(FsCall *call, FsNode *dir, const FsMakeArgs *make,
                            FsAttr *attr);
int coroutine_fn local_link(FsCall *call, FsNode *node,
                            FsNode *dir, const char *name);
int coroutine_fn local_rename(FsCall *call,
                              FsNode *olddir, const char *oldname,
                              FsNode *newdir, const char *newname);
int coroutine_fn local_unlink(FsCall *call, FsNode *dir, const char *name,
                              bool rmdir, FsNode *expect);

#endif /* HW_9PFS_LOCAL_LOCAL_H */
