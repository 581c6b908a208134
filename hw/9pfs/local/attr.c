/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The local driver's operations on an inode's attributes and on a link's
 * target. On most file systems the kernel has attributes at hand
 * (HOST_WORK_STAT), but not what a mapped model keeps beside them, nor every
 * target (host_link_wait()). Where the security model needs no name, the
 * export's thread reads what is at hand itself.
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

int coroutine_fn local_now_fd(LocalNode *n, HostWork work)
{
    int ret;

    if (local_wait(n, work) != HOST_WAIT_NEVER) {
        return -EAGAIN;
    }
    ret = local_node_find(n);
    if (ret < 0) {
        return ret;
    }
    /* On the way it may have shown that the file system is another one. */
    return local_wait(n, work) == HOST_WAIT_NEVER ?
           host_fd_use(&n->path_fd) : -EAGAIN;
}

int coroutine_fn local_getattr(FsCall *call, FsNode *node, FsFile *file,
                               FsAttr *attr)
{
    LocalNode *n = local_node(node);
    LocalFs *lf = local_fs(node);
    HostWork work = local_view_work(lf);
    int fd = file_fd(file);
    int ret = -EAGAIN;

    if (!lf->host.model->needs_name) {
        LocalInode inode = { .dir = -1, .kept = -1 };

        if (fd < 0 || n->path_fd.fd >= 0) {
            ret = inode.handle = local_now_fd(n, work);
        } else if (local_wait(n, work) == HOST_WAIT_NEVER) {
            ret = inode.handle = fd;
        }
        if (ret >= 0) {
            ret = local_inode_getattr(&lf->now, &inode, attr);
        }
    }
    if (ret == -EAGAIN) {
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

static int coroutine_fn setattr_once(FsNode *node, FsFile *file, bool writes,
                                     const FsSetAttr *set)
{
    SetattrWork s = { .file = writes ? file_fd(file) : -1, .set = set };

    return local_run_held(&s.w, local_node(node), file_fd(file), setattr_work);
}

int coroutine_fn local_setattr(FsCall *call, FsNode *node, FsFile *file,
                               const FsSetAttr *set)
{
    bool writes = file && fs_file_flags_write(file->flags);
    int ret = setattr_once(node, file, writes, set);

    /*
     * A file server that has forgotten the file may still know it by what is
     * open: ftruncate(2).
     */
    if (ret == -ESTALE && writes && (set->valid & FS_SET_SIZE)) {
        FsSetAttr rest = *set;

        ret = host_file_truncate(file, set->size);
        rest.valid = fs_set_after_truncate(set->valid);
        if (ret == 0 && rest.valid) {
            ret = setattr_once(node, file, writes, &rest);
        }
    }
    return ret;
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
    if (lf->host.model == &local_model_passthrough) {
        ret = local_now_fd(n, HOST_WORK_STAT);
        if (ret < 0 && ret != -EAGAIN) {
            return ret;
        }
        if (ret >= 0 &&
            host_link_wait(&lf->devs, node->dev, ret) == HOST_WAIT_NEVER) {
            return hostfs_readlink(ret, buf, size);
        }
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
    int fd = local_now_fd(n, HOST_WORK_STAT);

    if (fd != -EAGAIN) {
        return fd < 0 ? fd : hostfs_statfs(fd, st);
    }
    return local_run_held(&s.w, n, -1, statfs_work);
}
