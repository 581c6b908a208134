/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The proxy driver: a host directory through virtfs-proxy-helper, a process
 * that holds the privilege to act on it.
 *
 * Theory of operation. A node is a handle of the helper's and, mostly, the
 * O_PATH descriptor that came with it. What needs no privilege once there is a
 * descriptor happens here, without a message: attributes, link targets and
 * statfs on donated O_PATH descriptors, and all I/O on open files
 * (hostfile.c). Everything else is one message and its reply, laid out in
 * fsdev/proxy-proto.h. A node without a descriptor uses messages for all.
 *
 * Every `node` in a reply is one reference to its handle in the helper. They
 * are counted here and given back all at once when the node is freed, so an
 * inode that is found again and again costs nothing.
 *
 * Donated descriptors are in the process's budget (hosthandle.h): one that was
 * closed to keep to it has its node fall back to messages. The budget leaves
 * room for replies that are on their way: a descriptor that cannot be received
 * would be lost, and the channel with it.
 *
 * The helper is not trusted. A descriptor is used only if it is of the kind
 * and of the inode that it came for; the type of a node never changes; while a
 * node is held its inode cannot come under another handle.
 *
 * Ids in messages are the guest's. Those that the kernel tells us of donated
 * descriptors are the host's; the id maps of the helper's HELLO translate them,
 * and what they do not have becomes the overflow id, as in the kernel
 * (user_namespaces(7)).
 */
#include "qemu/osdep.h"
#include <linux/fs.h>
#include <sys/ioctl.h>
#include "block/aio.h"
#include "block/thread-pool.h"
#include "fsdev/hostfs.h"
#include "fsdev/proxy-proto.h"
#include "qapi/error.h"
#include "qemu/error-report.h"
#include "qemu/main-loop.h"
#include "qemu/module.h"
#include "fsdriver.h"
#include "hostfile.h"
#include "hosthandle.h"
#include "proxy-channel.h"
#include "proxy-launch.h"

/* /proc/sys/kernel/overflowuid unless somebody changed it */
#define OVERFLOW_ID         65534

/* A handle's count is u32 in FORGET; half of it is given back here */
#define HANDLE_REFS_MAX     0x80000000u

typedef struct ProxyFs {
    ProxyChannel *channel;
    ProxyPeer *peer;
    bool writeout;
} ProxyFs;

typedef struct ProxyNode {
    FsNode node;
    uint64_t handle;
    uint32_t handle_refs;       /* to give back */
    HostHandle donated;         /* O_PATH descriptor, or none */
} ProxyNode;

/* `node` of a reply, not looked into yet */
typedef struct NodeReply {
    uint64_t handle;            /* 0: none */
    int fd;                     /* ours to close, or -1 */
} NodeReply;

static ProxyFs *proxy_fs(const FsNode *node)
{
    return node->fs->priv;
}

static ProxyNode *proxy_node(FsNode *node)
{
    return container_of(node, ProxyNode, node);
}

static uint64_t handle_of(FsNode *node)
{
    return proxy_node(node)->handle;
}

/*
 * Ids
 */

static uint32_t id_inside(const ProxyIdRange *map, unsigned n, uint32_t id)
{
    unsigned i;

    if (n == 0) {
        return id;
    }
    for (i = 0; i < n; i++) {
        if (id - map[i].outside < map[i].count && id >= map[i].outside) {
            return map[i].inside + (id - map[i].outside);
        }
    }
    return OVERFLOW_ID;
}

/* Attributes of an open descriptor, with the guest's ids. */
static int fd_getattr(ProxyFs *ps, int fd, FsAttr *attr)
{
    const ProxyHello *hello = proxy_channel_hello(ps->channel);
    int ret = hostfs_getattr(fd, attr);

    if (ret < 0) {
        return ret;
    }
    attr->uid = id_inside(hello->uids, hello->n_uids, attr->uid);
    attr->gid = id_inside(hello->gids, hello->n_gids, attr->gid);
    return 0;
}

/*
 * Donated descriptors
 */

/* Whether @fd is an O_PATH descriptor of the inode that @attr tells of. */
static bool donation_good(int fd, const FsAttr *attr)
{
    int flags = fcntl(fd, F_GETFL);
    struct stat st;

    return flags >= 0 && (flags & O_PATH) && fstat(fd, &st) == 0 &&
           st.st_dev == attr->dev && st.st_ino == attr->ino &&
           (st.st_mode & S_IFMT) == (attr->mode & S_IFMT);
}

/* Takes over @fd (or -1) for a node that has none. */
static void node_take_fd(ProxyNode *n, int fd, const FsAttr *attr)
{
    if (fd < 0) {
        return;
    }
    if (n->donated.fd >= 0) {
        close(fd);
        return;
    }
    if (!donation_good(fd, attr)) {
        error_report_once("fsdev '%s': the helper donated a descriptor that "
                          "is not of the file it came with; it is not used",
                          n->node.fs->id);
        close(fd);
        return;
    }
    host_handle_set(&n->donated, fd);
}

/* The node's descriptor for use until the coroutine yields, or -1. */
static int node_use_fd(FsNode *node)
{
    return host_handle_use(&proxy_node(node)->donated);
}

/*
 * Nodes in replies
 */

static void get_node(ProxyRequest *req, NodeReply *nr)
{
    uint8_t donated;

    nr->handle = marshal_get_u64(&req->r);
    donated = marshal_get_u8(&req->r);
    nr->fd = donated ? proxy_take_fd(req) : -1;
    if (donated > 1 || (donated && !nr->handle)) {
        req->r.bad = true;
    }
}

static void close_fd(int fd)
{
    if (fd >= 0) {
        close(fd);
    }
}

/* Gives back a reference to a handle that came and is not to be held. */
static void node_refuse(ProxyFs *ps, NodeReply *nr)
{
    close_fd(nr->fd);
    nr->fd = -1;
    if (nr->handle && nr->handle != PROXY_ROOT_HANDLE) {
        proxy_forget(ps->channel, nr->handle, 1);
    }
}

/*
 * The node for @nr, new or known, with a reference for the caller. -EIO when
 * the helper contradicts what it said of the inode before.
 */
static int node_accept(FsExport *fs, NodeReply *nr, const FsAttr *attr,
                       FsNode **node)
{
    ProxyFs *ps = fs->priv;
    FsNode *found = fs_node_find(fs, attr->dev, attr->ino);
    ProxyNode *n;

    if (found) {
        n = proxy_node(found);
        if (n->handle != nr->handle ||
            found->type != (attr->mode & S_IFMT)) {
            error_report_once("fsdev '%s': the helper has two answers on what "
                              "inode %" PRIu64 " is", fs->id, attr->ino);
            fs_node_unref(found);
            node_refuse(ps, nr);
            return -EIO;
        }
    } else {
        n = g_new0(ProxyNode, 1);
        n->handle = nr->handle;
        host_handle_init(&n->donated, NULL);
        fs_node_init(&n->node, fs, attr);
    }
    if (n->handle != PROXY_ROOT_HANDLE && ++n->handle_refs > HANDLE_REFS_MAX) {
        proxy_forget(ps->channel, n->handle, n->handle_refs - 1);
        n->handle_refs = 1;
    }
    node_take_fd(n, nr->fd, attr);
    *node = &n->node;
    return 0;
}

static void proxy_node_free(FsNode *node)
{
    ProxyNode *n = proxy_node(node);
    ProxyFs *ps = proxy_fs(node);

    host_handle_drop(&n->donated);
    if (n->handle_refs) {
        proxy_forget(ps->channel, n->handle, n->handle_refs);
    }
    g_free(n);
}

static void get_attr(ProxyRequest *req, FsAttr *attr)
{
    proxy_get_attr(&req->r, attr);
    switch (attr->mode & S_IFMT) {
    case S_IFREG:
    case S_IFDIR:
    case S_IFLNK:
    case S_IFIFO:
    case S_IFSOCK:
    case S_IFCHR:
    case S_IFBLK:
        break;
    default:
        req->r.bad = true;
        break;
    }
}

/*
 * Finding
 */

static int coroutine_fn proxy_walk(FsCall *call, FsNode *dir,
                                   const char *const *names, unsigned n,
                                   FsWalk *walk)
{
    NodeReply node = { .fd = -1 }, parent = { .fd = -1 };
    bool up = strcmp(names[n - 1], "..") == 0;
    bool want_parent = n > 1 && !up;
    ProxyFs *ps = proxy_fs(dir);
    ProxyRequest req;
    unsigned i, walked;
    int ret;

    walk->walked = 0;
    walk->node = walk->parent = NULL;
    ret = proxy_begin(ps->channel, call, &req, PROXY_WALK, 0);
    if (ret < 0) {
        return ret;
    }
    marshal_put_u64(&req.w, handle_of(dir));
    marshal_put_u16(&req.w, n);
    for (i = 0; i < n; i++) {
        marshal_put_str(&req.w, names[i]);
    }
    ret = proxy_call(&req);
    if (ret < 0) {
        return ret;
    }

    walked = marshal_get_u16(&req.r);
    if (walked == 0 || walked > n) {
        req.r.bad = true;
        walked = 0;
    }
    for (i = 0; i < walked; i++) {
        get_attr(&req, &walk->attr[i]);
    }
    if (walked == n) {
        get_node(&req, &node);
        get_node(&req, &parent);
        if (!node.handle || !parent.handle != !want_parent ||
            (want_parent && !S_ISDIR(walk->attr[n - 2].mode))) {
            req.r.bad = true;
        }
    }
    ret = proxy_finish(&req);
    if (ret < 0) {
        close_fd(node.fd);
        close_fd(parent.fd);
        return ret;
    }
    walk->walked = walked;
    if (walked < n) {
        /* The reply does not say why; the server asks only how many */
        return -ENOENT;
    }

    ret = node_accept(dir->fs, &node, &walk->attr[n - 1], &walk->node);
    if (ret < 0) {
        node_refuse(ps, &parent);
    } else if (want_parent) {
        ret = node_accept(dir->fs, &parent, &walk->attr[n - 2], &walk->parent);
    } else if (!up) {
        walk->parent = fs_node_ref(dir);
    }
    if (ret < 0) {
        if (walk->node) {
            fs_node_unref(walk->node);
        }
        walk->node = NULL;
        walk->walked = 0;
    }
    return ret;
}

/*
 * What is known of an inode
 */

static int coroutine_fn proxy_getattr(FsCall *call, FsNode *node, FsFile *file,
                                      FsAttr *attr)
{
    ProxyFs *ps = proxy_fs(node);
    ProxyRequest req;
    int fd = node_use_fd(node);
    int ret;

    if (fd < 0 && file) {
        fd = container_of(file, HostFile, file)->fd;
    }
    if (fd >= 0) {
        return fd_getattr(ps, fd, attr);
    }

    ret = proxy_begin(ps->channel, call, &req, PROXY_GETATTR, 0);
    if (ret < 0) {
        return ret;
    }
    marshal_put_u64(&req.w, handle_of(node));
    ret = proxy_call(&req);
    if (ret < 0) {
        return ret;
    }
    get_attr(&req, attr);
    ret = proxy_finish(&req);
    if (ret < 0) {
        return ret;
    }
    return (attr->mode & S_IFMT) == node->type ? 0 : -EIO;
}

typedef struct GenerationWork {
    int fd;
    uint64_t *gen;
} GenerationWork;

static int generation_work(void *opaque)
{
    GenerationWork *work = opaque;
    unsigned int version;

    /* The kernel writes an int, whatever the number's definition says. */
    if (ioctl(work->fd, FS_IOC_GETVERSION, &version) < 0) {
        return -EOPNOTSUPP;
    }
    *work->gen = version;
    return 0;
}

/* An O_PATH descriptor does not do for it, and the helper is not asked. */
static int coroutine_fn proxy_generation(FsCall *call, FsNode *node,
                                         FsFile *file, uint64_t *gen)
{
    GenerationWork work = { .gen = gen };

    if (!file) {
        return -EAGAIN;
    }
    work.fd = container_of(file, HostFile, file)->fd;
    return thread_pool_submit_co(generation_work, &work);
}

static int coroutine_fn proxy_readlink(FsCall *call, FsNode *node,
                                       char *buf, size_t size)
{
    ProxyFs *ps = proxy_fs(node);
    ProxyRequest req;
    const char *target;
    size_t len;
    int fd = node_use_fd(node);
    int ret;

    if (fd >= 0) {
        return hostfs_readlink(fd, buf, size);
    }

    ret = proxy_begin(ps->channel, call, &req, PROXY_READLINK, 0);
    if (ret < 0) {
        return ret;
    }
    marshal_put_u64(&req.w, handle_of(node));
    ret = proxy_call(&req);
    if (ret < 0) {
        return ret;
    }
    target = marshal_get_str(&req.r, &len);
    if (marshal_ok(&req.r) && len < size) {
        memcpy(buf, target, len + 1);
    }
    ret = proxy_finish(&req);
    if (ret < 0) {
        return ret;
    }
    return len < size ? 0 : -ENAMETOOLONG;
}

typedef struct StatfsWork {
    int fd;
    FsStatfs *st;
} StatfsWork;

static int statfs_work(void *opaque)
{
    StatfsWork *work = opaque;

    return hostfs_statfs(work->fd, work->st);
}

static int coroutine_fn proxy_statfs(FsCall *call, FsNode *node, FsStatfs *st)
{
    ProxyFs *ps = proxy_fs(node);
    ProxyRequest req;
    int fd = node_use_fd(node);
    int ret;

    if (fd >= 0) {
        /* Our own: the node's may be closed while the pool waits */
        StatfsWork work = { .fd = fcntl(fd, F_DUPFD_CLOEXEC, 0), .st = st };

        if (work.fd >= 0) {
            ret = thread_pool_submit_co(statfs_work, &work);
            close(work.fd);
            return ret;
        }
    }

    ret = proxy_begin(ps->channel, call, &req, PROXY_STATFS, 0);
    if (ret < 0) {
        return ret;
    }
    marshal_put_u64(&req.w, handle_of(node));
    ret = proxy_call(&req);
    if (ret < 0) {
        return ret;
    }
    proxy_get_statfs(&req.r, st);
    return proxy_finish(&req);
}

/* Sends a request whose reply is empty. */
static int coroutine_fn call_empty(ProxyRequest *req)
{
    int ret = proxy_call(req);

    return ret < 0 ? ret : proxy_finish(req);
}

static int coroutine_fn proxy_setattr(FsCall *call, FsNode *node, FsFile *file,
                                      const FsSetAttr *set)
{
    ProxyRequest req;
    int ret;

    ret = proxy_begin(proxy_fs(node)->channel, call, &req, PROXY_SETATTR, 0);
    if (ret < 0) {
        return ret;
    }
    marshal_put_u64(&req.w, handle_of(node));
    proxy_put_setattr(&req.w, set);
    return call_empty(&req);
}

/*
 * Opening and making
 */

/*
 * A file for the descriptor that came as @node's, which is closed if it is
 * not one. The file was counted (host_files_add()).
 */
static int file_accept(FsNode *node, int fd, int flags, FsFile **file)
{
    ProxyFs *ps = proxy_fs(node);
    int fl = fcntl(fd, F_GETFL);
    int held = proxy_node(node)->donated.fd;
    struct stat st, own;

    if (fl < 0 || (fl & O_PATH) || fstat(fd, &st) < 0 ||
        !(S_ISREG(st.st_mode) || S_ISDIR(st.st_mode)) ||
        (st.st_mode & S_IFMT) != node->type) {
        goto bad;
    }
    /*
     * An overlay may number an inode anew when it is first opened for
     * writing: a descriptor that we hold knows that too.
     */
    if ((st.st_dev != node->dev || st.st_ino != node->ino) &&
        (held < 0 || fstat(held, &own) < 0 ||
         st.st_dev != own.st_dev || st.st_ino != own.st_ino)) {
        goto bad;
    }
    *file = host_file_new(node, fd, flags, ps->writeout);
    return 0;

bad:
    error_report_once("fsdev '%s': the helper opened another file than it was "
                      "asked for", node->fs->id);
    close(fd);
    return -EIO;
}

static void proxy_file_free(FsFile *file)
{
    host_files_remove();
    host_file_free(file);
}

static int coroutine_fn proxy_open_file(FsCall *call, FsNode *node, int flags,
                                        FsFile **file)
{
    ProxyRequest req;
    int ret, fd;

    ret = host_files_add();
    if (ret < 0) {
        return ret;
    }
    ret = proxy_begin(proxy_fs(node)->channel, call, &req, PROXY_OPEN, 0);
    if (ret < 0) {
        goto fail;
    }
    marshal_put_u64(&req.w, handle_of(node));
    marshal_put_u32(&req.w, flags);
    ret = proxy_call(&req);
    if (ret < 0) {
        goto fail;
    }
    fd = proxy_take_fd(&req);
    ret = proxy_finish(&req);
    if (ret < 0) {
        close_fd(fd);
        goto fail;
    }
    ret = file_accept(node, fd, flags, file);
    if (ret == 0) {
        return 0;
    }

fail:
    host_files_remove();
    return ret;
}

static int coroutine_fn proxy_create(FsCall *call, FsNode *dir,
                                     const FsMake *make, int flags,
                                     FsNode **node, FsFile **file,
                                     FsAttr *attr)
{
    ProxyFs *ps = proxy_fs(dir);
    NodeReply nr = { .fd = -1 };
    ProxyRequest req;
    int ret, fd;

    ret = host_files_add();
    if (ret < 0) {
        return ret;
    }
    ret = proxy_begin(ps->channel, call, &req, PROXY_CREATE, 0);
    if (ret < 0) {
        goto fail;
    }
    marshal_put_u64(&req.w, handle_of(dir));
    marshal_put_str(&req.w, make->name);
    marshal_put_u32(&req.w, flags);
    marshal_put_u32(&req.w, make->mode);
    marshal_put_u32(&req.w, make->uid);
    marshal_put_u32(&req.w, make->gid);
    ret = proxy_call(&req);
    if (ret < 0) {
        goto fail;
    }
    get_attr(&req, attr);
    get_node(&req, &nr);
    fd = proxy_take_fd(&req);
    if (!nr.handle || !S_ISREG(attr->mode)) {
        req.r.bad = true;
    }
    ret = proxy_finish(&req);
    if (ret < 0) {
        close_fd(nr.fd);
        close_fd(fd);
        goto fail;
    }
    ret = node_accept(dir->fs, &nr, attr, node);
    if (ret < 0) {
        close(fd);
        goto fail;
    }
    ret = file_accept(*node, fd, flags, file);
    if (ret == 0) {
        return 0;
    }
    fs_node_unref(*node);
    *node = NULL;

fail:
    host_files_remove();
    return ret;
}

static int coroutine_fn proxy_make(FsCall *call, FsNode *dir,
                                   const FsMake *make, FsAttr *attr)
{
    ProxyRequest req;
    int ret;

    ret = proxy_begin(proxy_fs(dir)->channel, call, &req, PROXY_MAKE, 0);
    if (ret < 0) {
        return ret;
    }
    marshal_put_u64(&req.w, handle_of(dir));
    marshal_put_str(&req.w, make->name);
    marshal_put_u32(&req.w, make->mode);
    marshal_put_u32(&req.w, make->uid);
    marshal_put_u32(&req.w, make->gid);
    marshal_put_u64(&req.w, make->rdev);
    marshal_put_str(&req.w, make->target ? make->target : "");
    ret = proxy_call(&req);
    if (ret < 0) {
        return ret;
    }
    get_attr(&req, attr);
    if ((attr->mode & S_IFMT) != (make->mode & S_IFMT)) {
        req.r.bad = true;
    }
    return proxy_finish(&req);
}

/*
 * Names
 */

static int coroutine_fn proxy_link(FsCall *call, FsNode *node,
                                   FsNode *dir, const char *name)
{
    ProxyRequest req;
    int ret;

    ret = proxy_begin(proxy_fs(node)->channel, call, &req, PROXY_LINK, 0);
    if (ret < 0) {
        return ret;
    }
    marshal_put_u64(&req.w, handle_of(node));
    marshal_put_u64(&req.w, handle_of(dir));
    marshal_put_str(&req.w, name);
    return call_empty(&req);
}

static int coroutine_fn proxy_rename(FsCall *call,
                                     FsNode *olddir, const char *oldname,
                                     FsNode *newdir, const char *newname)
{
    ProxyRequest req;
    int ret;

    ret = proxy_begin(proxy_fs(olddir)->channel, call, &req, PROXY_RENAME, 0);
    if (ret < 0) {
        return ret;
    }
    marshal_put_u64(&req.w, handle_of(olddir));
    marshal_put_str(&req.w, oldname);
    marshal_put_u64(&req.w, handle_of(newdir));
    marshal_put_str(&req.w, newname);
    return call_empty(&req);
}

static int coroutine_fn proxy_unlink(FsCall *call, FsNode *dir,
                                     const char *name, bool rmdir,
                                     FsNode *expect)
{
    ProxyRequest req;
    int ret;

    ret = proxy_begin(proxy_fs(dir)->channel, call, &req, PROXY_UNLINK, 0);
    if (ret < 0) {
        return ret;
    }
    marshal_put_u64(&req.w, handle_of(dir));
    marshal_put_str(&req.w, name);
    marshal_put_u8(&req.w, rmdir);
    marshal_put_u64(&req.w, expect ? handle_of(expect) : 0);
    return call_empty(&req);
}

/*
 * Extended attributes
 */

static int coroutine_fn proxy_getxattr(FsCall *call, FsNode *node,
                                       const char *name,
                                       uint8_t **value, size_t *size)
{
    g_autofree uint8_t *copy = NULL;
    ProxyRequest req;
    uint32_t len;
    void *bytes;
    int ret;

    ret = proxy_begin(proxy_fs(node)->channel, call, &req, PROXY_GETXATTR, 0);
    if (ret < 0) {
        return ret;
    }
    marshal_put_u64(&req.w, handle_of(node));
    marshal_put_u8(&req.w, !name);
    marshal_put_str(&req.w, name ? name : "");
    ret = proxy_call(&req);
    if (ret < 0) {
        return ret;
    }
    len = marshal_get_u32(&req.r);
    bytes = marshal_get_bytes(&req.r, len);
    if (bytes && len <= FS_XATTR_MAX) {
        /* Never NULL, not even for an empty value */
        copy = g_malloc(len + 1);
        memcpy(copy, bytes, len);
        copy[len] = '\0';
    } else {
        req.r.bad = true;
    }
    ret = proxy_finish(&req);
    if (ret < 0) {
        return ret;
    }
    *value = g_steal_pointer(&copy);
    *size = len;
    return 0;
}

static int coroutine_fn proxy_setxattr(FsCall *call, FsNode *node,
                                       const char *name, const void *value,
                                       size_t size, int flags)
{
    ProxyRequest req;
    int ret;

    if (size > FS_XATTR_MAX) {
        return -E2BIG;          /* setxattr(2) */
    }
    ret = proxy_begin(proxy_fs(node)->channel, call, &req, PROXY_SETXATTR,
                      size);
    if (ret < 0) {
        return ret;
    }
    marshal_put_u64(&req.w, handle_of(node));
    marshal_put_str(&req.w, name);
    marshal_put_u32(&req.w, flags);
    marshal_put_u32(&req.w, size);
    marshal_put_bytes(&req.w, value, size);
    return call_empty(&req);
}

static int coroutine_fn proxy_removexattr(FsCall *call, FsNode *node,
                                          const char *name)
{
    ProxyRequest req;
    int ret;

    ret = proxy_begin(proxy_fs(node)->channel, call, &req, PROXY_REMOVEXATTR,
                      0);
    if (ret < 0) {
        return ret;
    }
    marshal_put_u64(&req.w, handle_of(node));
    marshal_put_str(&req.w, name);
    return call_empty(&req);
}

/*
 * The export
 */

static void proxy_open_root(FsExport *fs)
{
    ProxyFs *ps = fs->priv;
    ProxyHello *hello = proxy_channel_hello(ps->channel);
    ProxyNode *root = g_new0(ProxyNode, 1);

    root->handle = PROXY_ROOT_HANDLE;
    host_handle_init(&root->donated, NULL);
    fs_node_init(&root->node, fs, &hello->root);
    node_take_fd(root, hello->root_fd, &hello->root);
    hello->root_fd = -1;
    fs->root = &root->node;
}

static bool proxy_open(FsExport *fs, const FsdevOptions *opts, Error **errp)
{
    ERRP_GUARD();
    const FsdevProxyOptions *o = &opts->u.proxy;
    bool donate = !o->has_donate || o->donate;
    ProxyFs *ps;
    ProxyPeer *peer;
    ProxyChannel *channel;
    int sock;

    host_handles_init();        /* for the helper, too */
    if (!fs_export_init(fs, opts, errp)) {
        return false;
    }
    peer = proxy_launch(fs->id, o, opts->has_readonly && opts->readonly,
                        &sock, errp);
    if (!peer) {
        fs_export_release(fs);
        return false;
    }
    channel = proxy_channel_new(qemu_get_aio_context(), fs->id, sock, donate,
                                errp);
    if (!channel) {
        proxy_launch_failed(peer, errp);
        fs_export_release(fs);
        return false;
    }

    ps = g_new0(ProxyFs, 1);
    ps->channel = channel;
    ps->peer = peer;
    ps->writeout = o->has_writeout && o->writeout == FSDEV_WRITEOUT_IMMEDIATE;
    fs->priv = ps;
    if (proxy_channel_hello(channel)->features & PROXY_FEATURE_READONLY) {
        fs->readonly = true;
    }
    proxy_open_root(fs);
    return true;
}

static void proxy_close(FsExport *fs)
{
    ProxyFs *ps = fs->priv;

    if (fs->root) {
        fs_node_unref(fs->root);
        fs->root = NULL;
    }
    proxy_channel_free(ps->channel);
    proxy_launch_done(ps->peer);
    g_free(ps);
    fs->priv = NULL;
    fs_export_release(fs);
}

static const FsDriver proxy_driver = {
    .type = FSDEV_DRIVER_PROXY,
    .open = proxy_open,
    .close = proxy_close,
    .node_free = proxy_node_free,
    .file_free = proxy_file_free,
    .walk = proxy_walk,
    .getattr = proxy_getattr,
    .generation = proxy_generation,
    .setattr = proxy_setattr,
    .readlink = proxy_readlink,
    .statfs = proxy_statfs,
    .open_file = proxy_open_file,
    .create = proxy_create,
    .make = proxy_make,
    .link = proxy_link,
    .rename = proxy_rename,
    .unlink = proxy_unlink,
    .read = host_file_read,
    .write = host_file_write,
    .readdir = host_file_readdir,
    .fsync = host_file_fsync,
    .lock = host_file_lock,
    .getxattr = proxy_getxattr,
    .setxattr = proxy_setxattr,
    .removexattr = proxy_removexattr,
};

static void proxy_driver_init(void)
{
    fs_driver_register(&proxy_driver);
}
type_init(proxy_driver_init);
