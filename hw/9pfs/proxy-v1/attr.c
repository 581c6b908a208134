/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Operations of the proxy driver in protocol version 1 on an inode's
 * attributes, link target, file system and extended attributes. QEMU uses an
 * open file where there is one and it will do, and otherwise asks the helper by
 * path.
 */
#include "qemu/osdep.h"
#include "fsdev/shared/hostfs.h"
#include "hw/9pfs/host/file.h"
#include "calls.h"
#include "node.h"

/* Attributes of an open file, with the ids that the helper reports */
static int coroutine_fn file_getattr(FsFile *file, FsAttr *attr)
{
    ProxyV1Node *n = proxy_v1_node(file->node);
    ProxyV1Fs *ps = proxy_v1_fs(file->node);
    HostWait wait = host_dev_wait(&ps->devs, file->node->dev, HOST_WORK_STAT);
    int ret = host_file_getattr(file, wait, attr);

    if (ret == 0 && ps->other_ids) {
        attr->uid = n->uid;
        attr->gid = n->gid;
    }
    return ret;
}

int coroutine_fn proxy_v1_getattr(FsCall *call, FsNode *node, FsFile *file,
                                  FsAttr *attr)
{
    ProxyRequest req;
    ProxyV1Path path;
    int ret;

    file = proxy_v1_any_file(node, file, false);
    if (file && !proxy_v1_fs(node)->other_ids) {
        return file_getattr(file, attr);
    }
    ret = proxy_v1_begin_node(&req, call, node, path, attr);
    if (ret == 0) {
        proxy_v1_end(&req);
    } else if (ret == -ESTALE) {
        file = proxy_v1_any_file(node, NULL, false);
        ret = file ? file_getattr(file, attr) : ret;
    }
    return ret;
}

int coroutine_fn proxy_v1_generation(FsCall *call, FsNode *node, FsFile *file,
                                     uint64_t *gen)
{
    file = proxy_v1_any_file(node, file, false);
    return file ? host_file_generation(file, gen) : -EAGAIN;
}

int coroutine_fn proxy_v1_get_target(FsCall *call, FsNode *node, char *buf,
                                     size_t size)
{
    ProxyRequest req;
    FsAttr attr;
    ProxyV1Path path;
    int ret;

    if (node->type != S_IFLNK) {
        return -EINVAL;
    }
    ret = proxy_v1_begin_node(&req, call, node, path, &attr);
    if (ret < 0) {
        return ret;
    }
    ret = proxy_v1_readlink(&req, path, buf, size);
    proxy_v1_end(&req);
    return ret;
}

static int statfs_work(void *opaque)
{
    ProxyV1FileWork *work = opaque;

    return hostfs_statfs(host_file_fd(work->file), work->st);
}

int coroutine_fn proxy_v1_get_statfs(FsCall *call, FsNode *node, FsStatfs *st)
{
    FsFile *file = proxy_v1_any_file(node, NULL, false);
    ProxyV1FileWork work = { .st = st };
    ProxyRequest req;
    FsAttr attr;
    ProxyV1Path path;
    int ret;

    if (file) {
        return proxy_v1_file_run(&work, file, statfs_work);
    }
    ret = proxy_v1_begin_node(&req, call, node, path, &attr);
    if (ret < 0) {
        return ret;
    }
    ret = proxy_v1_statfs(&req, path, st);
    proxy_v1_end(&req);
    return ret;
}

/*
 * Changes
 */

static int resize_work(void *opaque)
{
    ProxyV1FileWork *work = opaque;

    return ftruncate(host_file_fd(work->file), work->size) < 0 ? -errno : 0;
}

static struct timespec new_time(uint32_t valid, uint32_t change,
                                uint32_t given, const struct timespec *time)
{
    if (!(valid & change)) {
        return (struct timespec) { .tv_nsec = UTIME_OMIT };
    }
    return valid & given ? *time : (struct timespec) { .tv_nsec = UTIME_NOW };
}

/* Whether @set sets times, and which; @attr: the inode's */
static bool new_times(const FsSetAttr *set, const FsAttr *attr,
                      struct timespec times[2])
{
    uint32_t valid = set->valid;

    if (valid == FS_SET_CTIME) {
        /* To move only the ctime, set the atime to its present value. */
        times[0] = attr->atime;
        times[1] = (struct timespec) { .tv_nsec = UTIME_OMIT };
        return true;
    }
    times[0] = new_time(valid, FS_SET_ATIME, FS_SET_ATIME_SET, &set->atime);
    times[1] = new_time(valid, FS_SET_MTIME, FS_SET_MTIME_SET, &set->mtime);
    return valid & (FS_SET_ATIME | FS_SET_MTIME);
}

static uint32_t new_id(const FsSetAttr *set, uint32_t change, uint32_t id)
{
    return set->valid & change ? id : (uint32_t)-1;
}

/* QEMU itself changes an inode that has open files and no name. */
static int nameless_work(void *opaque)
{
    ProxyV1FileWork *work = opaque;
    const FsSetAttr *set = work->set;
    int fd = host_file_fd(work->file);
    struct timespec times[2];
    FsAttr attr;

    if (((set->valid & FS_SET_SIZE) && ftruncate(fd, set->size) < 0) ||
        ((set->valid & (FS_SET_UID | FS_SET_GID)) &&
         fchown(fd, new_id(set, FS_SET_UID, set->uid),
                new_id(set, FS_SET_GID, set->gid)) < 0) ||
        ((set->valid & FS_SET_MODE) && fchmod(fd, set->mode) < 0)) {
        return -errno;
    }
    if ((set->valid & FS_SET_SIZE) && !fs_set_after_truncate(set->valid)) {
        return 0;
    }
    if (hostfs_getattr(fd, &attr) == 0 && new_times(set, &attr, times) &&
        futimens(fd, times) < 0) {
        return -errno;
    }
    return 0;
}

static int coroutine_fn set_by_path(ProxyRequest *req, FsNode *node,
                                    FsFile *file, const char *path,
                                    const FsAttr *attr, const FsSetAttr *set)
{
    ProxyV1FileWork work = { .size = set->size };
    struct timespec times[2];
    int ret = 0;

    if (S_ISLNK(attr->mode) && (set->valid & (FS_SET_SIZE | FS_SET_MODE))) {
        return -EOPNOTSUPP;
    }
    if (set->valid & FS_SET_SIZE) {
        file = proxy_v1_any_file(node, file, true);
        ret = file ? proxy_v1_file_run(&work, file, resize_work)
                   : proxy_v1_truncate(req, path, set->size);
    }
    if (ret == 0 && (set->valid & (FS_SET_UID | FS_SET_GID))) {
        ret = proxy_v1_chown(req, path, new_id(set, FS_SET_UID, set->uid),
                           new_id(set, FS_SET_GID, set->gid));
    }
    if (ret == 0 && (set->valid & FS_SET_MODE)) {
        ret = proxy_v1_chmod(req, path, set->mode);
    }
    if (ret == 0 && new_times(set, attr, times)) {
        ret = proxy_v1_utime(req, path, times);
    }
    return ret;
}

int coroutine_fn proxy_v1_setattr(FsCall *call, FsNode *node, FsFile *file,
                                  const FsSetAttr *set)
{
    ProxyV1FileWork work = { .set = set };
    HostAgain again = { 0 };
    ProxyRequest req;
    FsAttr attr;
    ProxyV1Path path;
    int ret;

    do {
        ret = proxy_v1_begin_node(&req, call, node, path, &attr);
        if (ret == 0) {
            ret = set_by_path(&req, node, file, path, &attr, set);
            proxy_v1_end(&req);
        } else if (ret == -ESTALE) {
            file = proxy_v1_any_file(node, file, set->valid & FS_SET_SIZE);
            ret = file ? proxy_v1_file_run(&work, file, nameless_work) : ret;
        }
        /* The size comes first: after EAGAIN nothing has changed. */
    } while (ret == -EAGAIN && host_again(&again, &ret));
    return ret;
}

/*
 * Extended attributes
 */

int coroutine_fn proxy_v1_get_xattr(FsCall *call, FsNode *node,
                                    const char *name, uint8_t **value,
                                    size_t *size)
{
    ProxyRequest req;
    FsAttr attr;
    ProxyV1Path path;
    int ret;

    ret = proxy_v1_begin_node(&req, call, node, path, &attr);
    if (ret < 0) {
        return ret;
    }
    ret = proxy_v1_getxattr(&req, path, name, value, size);
    proxy_v1_end(&req);
    return ret;
}

int coroutine_fn proxy_v1_set_xattr(FsCall *call, FsNode *node,
                                    const char *name, const void *value,
                                    size_t size, int flags)
{
    ProxyRequest req;
    FsAttr attr;
    ProxyV1Path path;
    int ret;

    ret = proxy_v1_begin_node(&req, call, node, path, &attr);
    if (ret < 0) {
        return ret;
    }
    ret = proxy_v1_setxattr(&req, path, name, value, size, flags);
    proxy_v1_end(&req);
    return ret;
}

int coroutine_fn proxy_v1_remove_xattr(FsCall *call, FsNode *node,
                                       const char *name)
{
    ProxyRequest req;
    FsAttr attr;
    ProxyV1Path path;
    int ret;

    ret = proxy_v1_begin_node(&req, call, node, path, &attr);
    if (ret < 0) {
        return ret;
    }
    ret = proxy_v1_removexattr(&req, path, name);
    proxy_v1_end(&req);
    return ret;
}
