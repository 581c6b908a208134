/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Operations of the proxy driver in protocol version 1 that open files and make
 * new ones.
 *
 * Old helpers serve one request at a time, so no request may wait in a helper.
 * QEMU asks only for regular files and directories, and with O_NONBLOCK. Nor
 * may a flag have an effect before QEMU knows that the inode is the right one:
 * QEMU does the work of O_TRUNC afterwards. While another process has a lease
 * on the file, QEMU asks again, without a slot of the channel in the pauses.
 */
#include "qemu/osdep.h"
#include "fsdev/shared/hostfs.h"
#include "hw/9pfs/host/file.h"
#include "hw/9pfs/host/fd-budget.h"
#include "calls.h"
#include "node.h"

/* Rounds in which the host makes and removes the file that a guest makes */
#define CREATE_TRIES        4

/* The helper always opens with these */
#define SAFE_FLAGS          (O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC)
/* QEMU handles these itself */
#define OWN_FLAGS           (O_TRUNC | O_DIRECT | O_NONBLOCK)

/* Whether @fd is a file for I/O, of the node's inode; @attr: LSTAT's */
static bool descriptor_good(FsNode *node, int fd, const FsAttr *attr)
{
    int flags = fcntl(fd, F_GETFL);
    FsAttr is;

    if (flags < 0 || (flags & O_PATH) || hostfs_peek(fd, &is) < 0 ||
        is.dev != node->dev || is.ino != node->ino ||
        (is.mode & S_IFMT) != node->type) {
        return false;
    }
    if (is.uid != attr->uid || is.gid != attr->gid) {
        proxy_v1_fs(node)->other_ids = true;
    }
    return true;
}

/* Sets the flags that QEMU did not pass to the helper. */
static void set_own_flags(int fd, int flags)
{
    int now = fcntl(fd, F_GETFL) & ~O_NONBLOCK;

    now |= flags & O_NONBLOCK;
    /* Not all file systems have O_DIRECT: do without it there. */
    if (!(flags & O_DIRECT) || fcntl(fd, F_SETFL, now | O_DIRECT) < 0) {
        fcntl(fd, F_SETFL, now);
    }
}

static FsFile *coroutine_fn file_new(FsNode *node, int fd, int flags)
{
    ProxyV1Fs *ps = proxy_v1_fs(node);
    ProxyV1Node *n = proxy_v1_node(node);
    HostDevKind kind = host_dev_learn(&ps->devs, fd, node->dev);
    FsFile *file = host_file_new(node, fd, flags, ps->writeout, kind);

    n->files = g_slist_prepend(n->files, file);
    return file;
}

static int empty_work(void *opaque)
{
    return ftruncate(*(int *)opaque, 0) < 0 ? -errno : 0;
}

/*
 * Wraps @fd (ownership passes) in an open file of the node. The caller has
 * counted the file (host_files_add()).
 */
static int coroutine_fn file_accept(ProxyRequest *req, FsNode *node,
                                    const char *path, const FsAttr *attr,
                                    int fd, int flags, FsFile **file)
{
    int ret = 0;

    if (!descriptor_good(node, fd, attr)) {
        ret = -ESTALE;
    } else if (flags & O_TRUNC) {
        ret = fs_file_flags_write(flags)
              ? host_pool_run(node->dev, empty_work, &fd)
              : proxy_v1_truncate(req, path, 0);
    }
    if (ret < 0) {
        host_pool_close(fd);
        return ret;
    }
    set_own_flags(fd, flags);
    *file = file_new(node, fd, flags);
    return 0;
}

void proxy_v1_file_free(FsFile *file)
{
    ProxyV1Node *n = proxy_v1_node(file->node);

    n->files = g_slist_remove(n->files, file);
    host_file_free(file);
}

/* Whether a file of that type may be opened: 0 or -errno */
static int open_check(uint32_t mode, int flags)
{
    if (S_ISLNK(mode)) {
        return -ELOOP;
    }
    if (!S_ISDIR(mode) && (flags & O_DIRECTORY)) {
        return -ENOTDIR;
    }
    return S_ISREG(mode) || S_ISDIR(mode) ? 0 : -ENXIO;
}

/* Opens the inode with @attr at @path. The caller has counted the file. */
static int coroutine_fn open_found(ProxyRequest *req, FsNode *node,
                                   const char *path, const FsAttr *attr,
                                   int flags, FsFile **file)
{
    int helper_flags = (flags & HOSTFS_OPEN_FLAGS & ~OWN_FLAGS) | SAFE_FLAGS;
    int ret = open_check(attr->mode, flags);

    if (ret < 0) {
        return ret;
    }
    if (S_ISDIR(attr->mode)) {
        if ((flags & O_ACCMODE) != O_RDONLY || (flags & O_TRUNC)) {
            return -EISDIR;
        }
        helper_flags |= O_DIRECTORY;
    }
    ret = proxy_v1_open(req, path, helper_flags);
    return ret < 0 ? ret
                   : file_accept(req, node, path, attr, ret, flags, file);
}

/* Opens a file without a name by an open descriptor, as far as QEMU may. */
static int reopen_work(void *opaque)
{
    static const HostFs host = { .root = -1, .fd_prefix = "/proc/self/fd/" };
    ProxyV1FileWork *work = opaque;

    return hostfs_open(&host, host_file_fd(work->file), work->flags);
}

static int coroutine_fn reopen(FsNode *node, int flags, FsFile **file)
{
    FsFile *other = proxy_v1_any_file(node, NULL, false);
    ProxyV1FileWork work = { .flags = flags };
    int ret;

    if (!other) {
        return -ESTALE;
    }
    ret = proxy_v1_file_run(&work, other, reopen_work);
    if (ret < 0) {
        return ret;
    }
    *file = file_new(node, ret, flags);
    return 0;
}

int coroutine_fn proxy_v1_open_file(FsCall *call, FsNode *node, int flags,
                                    FsFile **file)
{
    HostAgain again = { 0 };
    ProxyRequest req;
    FsAttr attr;
    ProxyV1Path path;
    int ret;

    ret = open_check(node->type, flags);
    if (ret < 0) {
        return ret;
    }
    ret = host_files_add();
    if (ret < 0) {
        return ret;
    }
    do {
        ret = proxy_v1_begin_node(&req, call, node, path, &attr);
        if (ret == 0) {
            ret = open_found(&req, node, path, &attr, flags, file);
            proxy_v1_end(&req);
        } else if (ret == -ESTALE) {
            ret = reopen(node, flags, file);
        }
    } while (ret == -EAGAIN && host_again(&again, &ret));
    if (ret < 0) {
        host_files_remove();
    }
    return ret;
}

/*
 * Debian 12's helper loses its capabilities when it makes a file for user 0 and
 * another group than 0, and aborts the next time. So the helper first makes the
 * file for group 0, as *@first says, without permissions for the group; then
 * give_away() changes the group. Returns whether that is necessary.
 */
static bool plan_make(const FsMakeArgs *make, FsMakeArgs *first)
{
    *first = *make;
    if (make->uid != 0 || make->gid == 0) {
        return false;
    }
    first->gid = 0;
    first->mode &= ~(S_ISGID | S_IRWXG);
    return true;
}

static int coroutine_fn give_away(ProxyRequest *req, const char *path,
                                  const FsMakeArgs *make)
{
    int ret = proxy_v1_chown(req, path, -1, make->gid);

    return ret < 0 || S_ISLNK(make->mode)
        ? ret : proxy_v1_chmod(req, path, make->mode & 07777);
}

/* One try: -EEXIST if the file appeared after LSTAT did not find it. */
static int coroutine_fn create_once(ProxyRequest *req, FsNode *dir,
                                    const FsMakeArgs *make, int flags,
                                    const char *path, FsNode **node,
                                    FsFile **file, FsAttr *attr)
{
    int helper_flags = (flags & HOSTFS_OPEN_FLAGS & ~OWN_FLAGS) | SAFE_FLAGS |
                       O_CREAT | O_EXCL;
    FsMakeArgs first;
    int ret, fd;
    bool give;

    if (!(flags & O_EXCL)) {
        ret = proxy_v1_lstat(req, path, attr);
        if (ret == 0) {
            if (S_ISDIR(attr->mode)) {
                return -EISDIR;
            }
            *node = proxy_v1_node_accept(dir, make->name, attr);
            return open_found(req, *node, path, attr, flags, file);
        } else if (ret != -ENOENT) {
            return ret;
        }
    }
    give = plan_make(make, &first);
    fd = proxy_v1_create(req, path, helper_flags, &first);
    if (fd < 0) {
        return fd;
    }
    ret = give ? give_away(req, path, make) : 0;
    if (ret == 0) {
        ret = proxy_v1_lstat(req, path, attr);
    }
    if (ret < 0) {
        host_pool_close(fd);
        return ret;
    }
    *node = proxy_v1_node_accept(dir, make->name, attr);
    return file_accept(req, *node, path, attr, fd, flags & ~O_TRUNC, file);
}

/* One request for create_file; the caller has counted the file. */
static int coroutine_fn create_try(FsCall *call, FsNode *dir,
                                   const FsMakeArgs *make, int flags,
                                   FsNode **node, FsFile **file, FsAttr *attr)
{
    unsigned tries = CREATE_TRIES;
    ProxyRequest req;
    ProxyV1Path path;
    int ret;

    *node = NULL;
    ret = proxy_v1_begin_in(&req, call, dir, make->name, path);
    if (ret == 0) {
        do {
            ret = create_once(&req, dir, make, flags, path, node, file, attr);
        } while (ret == -EEXIST && !(flags & O_EXCL) && --tries);
        proxy_v1_end(&req);
    }
    if (ret < 0 && *node) {
        fs_node_unref(*node);
        *node = NULL;
    }
    return ret;
}

int coroutine_fn proxy_v1_create_file(FsCall *call, FsNode *dir,
                                      const FsMakeArgs *make, int flags,
                                      FsNode **node, FsFile **file,
                                      FsAttr *attr)
{
    HostAgain again = { 0 };
    int ret;

    *node = NULL;
    ret = host_files_add();
    if (ret < 0) {
        return ret;
    }
    do {
        ret = create_try(call, dir, make, flags, node, file, attr);
    } while (ret == -EAGAIN && host_again(&again, &ret));
    if (ret < 0) {
        host_files_remove();
    }
    return ret;
}

int coroutine_fn proxy_v1_make_node(FsCall *call, FsNode *dir,
                                    const FsMakeArgs *make, FsAttr *attr)
{
    ProxyRequest req;
    FsMakeArgs first;
    ProxyV1Path path;
    bool give;
    int ret;

    ret = proxy_v1_begin_in(&req, call, dir, make->name, path);
    if (ret < 0) {
        return ret;
    }
    give = plan_make(make, &first);
    ret = proxy_v1_make(&req, path, &first);
    if (ret == 0 && give) {
        ret = give_away(&req, path, make);
    }
    if (ret == 0) {
        ret = proxy_v1_lstat(&req, path, attr);
    }
    proxy_v1_end(&req);
    if (ret == 0 && (attr->mode & S_IFMT) != (make->mode & S_IFMT)) {
        ret = -ESTALE;
    }
    return ret;
}
