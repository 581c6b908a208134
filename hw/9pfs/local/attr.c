/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The local driver's operations on an inode's attributes and on a link's
 * target. On most file systems the kernel has them at hand (HOST_WORK_STAT).
 * Where the security model needs no name, the export's thread then reads them
 * itself.
 */
#include "qemu/osdep.h"
#include "hw/9pfs/host/file.h"
#include "local.h"

static int file_fd(FsFile *file)
{
    return file ? host_file_fd(file) : -1;
}

int local_inode_getattr(const LocalHost *host, const LocalInode *inode,
                        FsAttr *attr)
{
    int ret = hostfs_getattr(inode->handle, attr);

    return ret < 0 ? ret : host->model->getattr(host, inode, attr);
}

typedef struct GetattrWork {
    LocalWork w;
    FsAttr *attr;
} GetattrWork;

static int getattr_work(void *opaque)
{
    GetattrWork *g = opaque;

    return local_inode_getattr(g->w.host, &g->w.hold.inode, g->attr);
}

int coroutine_fn local_getattr(FsCall *call, FsNode *node, FsFile *file,
                               FsAttr *attr)
{
    LocalNode *n = local_node(node);
    LocalFs *lf = local_fs(node);
    int fd = file_fd(file);
    int ret;

    if (!lf->host.model->needs_name &&
        local_wait(n, HOST_WORK_STAT) == HOST_WAIT_NEVER) {
        LocalInode inode = { .dir = -1, .kept = -1 };

        if (fd < 0 || n->path_fd.fd >= 0) {
            ret = local_node_find(n);
            if (ret < 0) {
                return ret;
            }
            fd = host_fd_use(&n->path_fd);
        }
        inode.handle = fd;
        ret = local_inode_getattr(&lf->host, &inode, attr);
    } else {
        GetattrWork g = { .attr = attr };

        ret = local_run_held(&g.w, n, fd, getattr_work);
    }
    if (ret == 0 && (attr->mode & S_IFMT) != node->type &&
        node != lf->fs->root) {
        /* A mapped share was modified on the host. */
        fs_node_detach(node);
        ret = -ESTALE;
    }
    return ret;
}

typedef struct GenerationWork {
    LocalWork w;
    uint64_t *gen;
} GenerationWork;

static int generation_work(void *opaque)
{
    GenerationWork *g = opaque;

    return hostfs_generation(&g->w.host->host, g->w.hold.inode.handle, g->gen);
}

int coroutine_fn local_generation(FsCall *call, FsNode *node,
                                  FsFile *file, uint64_t *gen)
{
    GenerationWork g = { .gen = gen };

    if (node->type != S_IFREG && node->type != S_IFDIR) {
        return -EOPNOTSUPP;
    }
    return local_run_held(&g.w, local_node(node), file_fd(file),
                          generation_work);
}

typedef struct SetattrWork {
    LocalWork w;
    int file;
    const FsSetAttr *set;
} SetattrWork;

static int setattr_work(void *opaque)
{
    SetattrWork *s = opaque;

    return s->w.host->model->setattr(s->w.host, &s->w.hold.inode, s->file,
                                     s->set);
}

int coroutine_fn local_setattr(FsCall *call, FsNode *node, FsFile *file,
                               const FsSetAttr *set)
{
    SetattrWork s = { .file = -1, .set = set };

    if (file && (file->flags & O_ACCMODE) != O_RDONLY) {
        s.file = file_fd(file);
    }
    return local_run_held(&s.w, local_node(node), file_fd(file), setattr_work);
}

typedef struct ReadlinkWork {
    LocalWork w;
    char *buf;
    size_t size;
} ReadlinkWork;

static int readlink_work(void *opaque)
{
    ReadlinkWork *r = opaque;

    return r->w.host->model->readlink(r->w.host, &r->w.hold.inode, r->buf,
                                      r->size);
}

int coroutine_fn local_readlink(FsCall *call, FsNode *node,
                                char *buf, size_t size)
{
    ReadlinkWork r = { .buf = buf, .size = size };
    LocalNode *n = local_node(node);
    LocalFs *lf = local_fs(node);
    int ret;

    if (node->type != S_IFLNK) {
        return -EINVAL;
    }
    /* In a mapped share a link is a file that must be opened and read. */
    if (lf->host.model == &local_model_passthrough &&
        local_wait(n, HOST_WORK_STAT) == HOST_WAIT_NEVER) {
        ret = local_node_find(n);
        return ret < 0 ? ret : hostfs_readlink(host_fd_use(&n->path_fd),
                                               buf, size);
    }
    return local_run_held(&r.w, n, -1, readlink_work);
}

typedef struct StatfsWork {
    LocalWork w;
    FsStatfs *st;
} StatfsWork;

static int statfs_work(void *opaque)
{
    StatfsWork *s = opaque;

    return hostfs_statfs(s->w.hold.inode.handle, s->st);
}

int coroutine_fn local_statfs(FsCall *call, FsNode *node, FsStatfs *st)
{
    StatfsWork s = { .st = st };
    LocalNode *n = local_node(node);
    int ret;

    if (local_wait(n, HOST_WORK_STAT) == HOST_WAIT_NEVER) {
        ret = local_node_find(n);
        return ret < 0 ? ret : hostfs_statfs(host_fd_use(&n->path_fd), st);
    }
    return local_run_held(&s.w, n, -1, statfs_work);
}
