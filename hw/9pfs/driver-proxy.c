/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The proxy driver: a host directory through virtfs-proxy-helper, a process
 * that holds the privilege to act on it.
 *
 * Theory of operation. A node is a handle of the helper's and, mostly, the
 * O_PATH descriptor that came with it. What needs no privilege once there is a
 * descriptor happens here, without a message: attributes, link targets and
 * statfs on donated O_PATH descriptors where the kernel has them at hand
 * (hostdev.h), and all I/O on open files (hostfile.c). Everything else is one
 * message and its reply, laid out in fsdev/proxy-proto.h. A node without a
 * descriptor uses messages for all.
 *
 * With donated directories goes the mount that they are on, which is the
 * helper's own. So this process looks names up there itself, and opens files,
 * as far as it may and without waiting; the rest is the helper's. A node that
 * was found here has a descriptor and no handle. When a request first needs
 * one, the helper adopts the descriptor; that message leaves with the request.
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
 * A helper may go away and another take its place (proxy-link.h). Handles are
 * of one helper only: those of nodes that were found with an earlier one are
 * got when they are needed, by name, from the nearest directory that the new
 * helper has told of; its root it has from the start. What is found must be
 * the inode that the node is; descriptors on an earlier helper's mount are not
 * adopted. Nodes remember their names for this, and because a helper may have
 * no descriptors left for handles: then nodes that nobody uses at the moment
 * lose theirs, and are found again in the same way.
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
#include "proxy-v1.h"
#include "proxy-link.h"

/* /proc/sys/kernel/overflowuid unless somebody changed it */
#define OVERFLOW_ID         65534

/* References to one handle, beyond which they are given back */
#define HANDLE_REFS_MAX     0xfffu

/*
 * A full helper is asked this many times more, in between with time for it to
 * close what it was told to forget
 */
#define RELIEF_TRIES        8
#define RELIEF_NS           (10 * SCALE_MS)
/* The part of the handles that is given up when the helper is full */
#define RELIEF_PART         16

/*
 * Nodes that may remember names, as each keeps those above it: a helper could
 * tell of a tree that never ends.
 */
#define NAMED_MAX           (4 * 1024 * 1024)

G_DEFINE_AUTOPTR_CLEANUP_FUNC(FsNode, fs_node_unref)

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
    HostHandle donated;         /* O_PATH descriptor, or none */
    QTAILQ_ENTRY(ProxyNode) idle;
};

/* `node` of a reply, not looked into yet */
typedef struct NodeReply {
    uint64_t handle;            /* 0: none */
    int fd;                     /* ours to close, or -1 */
} NodeReply;

/* For what is done here: ".." is not, so there is no root. */
static const HostFs here = { .root = -1, .fd_prefix = "/proc/self/fd/" };

static ProxyFs *proxy_fs(const FsNode *node)
{
    return node->fs->priv;
}

static ProxyNode *proxy_node(FsNode *node)
{
    return container_of(node, ProxyNode, node);
}

/* Of the helper that there is: see nodes_find() */
static uint64_t handle_of(FsNode *node)
{
    return proxy_node(node)->handle;
}

static ProxyChannel *channel_of(const FsNode *node)
{
    return proxy_link_channel(proxy_fs(node)->link);
}

/* Whether the node's handle is an earlier helper's */
static bool node_is_old(FsNode *node)
{
    return proxy_node(node)->number != proxy_link_number(proxy_fs(node)->link);
}

/*
 * The helper's handles
 *
 * The helper has a limit of open files, and what it is, QEMU learns when a
 * request comes to EMFILE. From then on nodes that are not in use, and can be
 * found again, lose their handles as if they were an earlier helper's, those
 * first that were not used for longest.
 */

/* Whether @n may be found again, now and whatever happens to others. */
static bool node_evictable(ProxyNode *n)
{
    return !n->node.detached && fs_node_where(&n->node);
}

static void node_leave_idle(ProxyFs *ps, ProxyNode *n)
{
    if (QTAILQ_IN_USE(n, idle)) {
        QTAILQ_REMOVE(&ps->idle, n, idle);
    }
}

/* It has a handle, or had one until now, and was used. */
static void node_idle(ProxyFs *ps, ProxyNode *n)
{
    node_leave_idle(ps, n);
    if (!n->pins && n->handle != PROXY_ROOT_HANDLE && !node_is_old(&n->node)) {
        QTAILQ_INSERT_TAIL(&ps->idle, n, idle);
    }
}

/* From now on the helper has no handle of it. */
static void node_evict(ProxyFs *ps, ProxyNode *n)
{
    proxy_forget(proxy_link_channel(ps->link), n->handle, n->handle_refs);
    n->handle_refs = 0;
    n->number = proxy_link_number(ps->link) - 1;
    ps->handles--;
}

/* Gives up handles until there are no more than @max, as far as it can be. */
static void handles_reduce(ProxyFs *ps, uint32_t max)
{
    ProxyNode *n;

    while (ps->handles > max && (n = QTAILQ_FIRST(&ps->idle))) {
        /* Those that cannot be found come back with their next use */
        QTAILQ_REMOVE(&ps->idle, n, idle);
        if (!node_is_old(&n->node) && node_evictable(n)) {
            node_evict(ps, n);
        }
    }
}

/* The helper is full. Whether that could be helped. */
static bool handles_relieve(ProxyFs *ps)
{
    uint32_t before = ps->handles;

    ps->handles_max = MAX(1, before - before / RELIEF_PART);
    handles_reduce(ps, ps->handles_max);
    return ps->handles < before;
}

static void node_pin(FsNode *node)
{
    if (node) {
        node_leave_idle(proxy_fs(node), proxy_node(node));
        proxy_node(node)->pins++;
    }
}

static void node_unpin(FsNode *node)
{
    if (node) {
        proxy_node(node)->pins--;
        node_idle(proxy_fs(node), proxy_node(node));
    }
}

/* Whether the helper will take the descriptor, if there is one */
static bool node_adoptable(ProxyFs *ps, ProxyNode *n)
{
    HostPlace at;

    return ps->mount && !n->refused && n->donated.fd >= 0 &&
           hostfs_place(n->donated.fd, &at) == 0 && at.mount == ps->mount;
}

/* The helper gets to have a handle of it, if that can be. */
static bool node_adopt(ProxyFs *ps, ProxyNode *n)
{
    uint64_t handle = PROXY_ADOPTED | (ps->adopted + 1);

    if (!node_adoptable(ps, n) ||
        !proxy_adopt(proxy_link_channel(ps->link), handle, n->donated.fd)) {
        return false;
    }
    ps->adopted++;
    n->handle = handle;
    n->handle_refs = 1;
    n->number = proxy_link_number(ps->link);
    ps->handles++;
    return true;
}

/* The helper does not know the handle: if that was adopted, it was not. */
static bool node_refused(ProxyFs *ps, FsNode *node)
{
    ProxyNode *n = node ? proxy_node(node) : NULL;

    if (!n || node_is_old(node) || !(n->handle & PROXY_ADOPTED)) {
        return false;
    }
    node_evict(ps, n);
    n->refused = true;
    return true;
}

/*
 * An operation: a loop as with proxy_try(), which is made anew also when the
 * helper was full, or did not adopt a node. The nodes whose handles it uses
 * keep them meanwhile.
 */
typedef struct NodeTry {
    ProxyTry t;
    FsNode *nodes[3];           /* or NULL */
    unsigned relieved;
} NodeTry;

#define NODE_TRY(call_, ...) node_try_init(call_, (FsNode *[3]) { __VA_ARGS__ })

static NodeTry node_try_init(FsCall *call, FsNode *nodes[3])
{
    return (NodeTry) {
        .t = { .link = proxy_fs(nodes[0])->link, .call = call },
        .nodes = { nodes[0], nodes[1], nodes[2] },
    };
}

static bool nodes_refused(NodeTry *o)
{
    bool any = false;
    unsigned i;

    for (i = 0; i < ARRAY_SIZE(o->nodes); i++) {
        any |= node_refused(proxy_fs(o->nodes[0]), o->nodes[i]);
    }
    return any;
}

static bool coroutine_fn node_try(NodeTry *o, int *ret)
{
    unsigned i;

    if (!o->t.begun) {
        for (i = 0; i < ARRAY_SIZE(o->nodes); i++) {
            node_pin(o->nodes[i]);
        }
    } else if (*ret == -EMFILE && o->relieved++ < RELIEF_TRIES &&
               handles_relieve(proxy_fs(o->nodes[0]))) {
        if (fs_call_sleep(o->t.call, RELIEF_NS)) {
            return true;
        }
        *ret = -EINTR;
    } else if (*ret == -EBADF && nodes_refused(o)) {
        return true;
    }
    if (proxy_try(&o->t, ret)) {
        return true;
    }
    for (i = 0; i < ARRAY_SIZE(o->nodes); i++) {
        node_unpin(o->nodes[i]);
    }
    return false;
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

static const ProxyHello *hello_of(const ProxyFs *ps)
{
    return proxy_channel_hello(proxy_link_channel(ps->link));
}

/* Attributes that the kernel told this process get the guest's ids. */
static void attr_inside(const ProxyFs *ps, FsAttr *attr)
{
    const ProxyHello *hello = hello_of(ps);

    attr->uid = id_inside(hello->uids, hello->n_uids, attr->uid);
    attr->gid = id_inside(hello->gids, hello->n_gids, attr->gid);
}

static int fd_getattr(ProxyFs *ps, int fd, FsAttr *attr)
{
    int ret = hostfs_getattr(fd, attr);

    if (ret == 0) {
        attr_inside(ps, attr);
    }
    return ret;
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

/*
 * It is about to be closed for the budget: but not if it is all there is of the
 * inode.
 */
static void donated_evict(HostHandle *h)
{
    ProxyNode *n = container_of(h, ProxyNode, donated);

    if (node_is_old(&n->node) && !node_evictable(n)) {
        host_handle_keep(h);
    }
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

/*
 * The node's descriptor to look at its inode with, until the coroutine yields:
 * -1 if there is none, or if what it is asked for may not be at hand; then it
 * is for the helper to wait.
 */
static int coroutine_fn node_use_fd(FsNode *node)
{
    HostHandle *donated = &proxy_node(node)->donated;
    HostDevs *devs = &proxy_fs(node)->devs;
    int fd = -1;

    if (donated->fd >= 0 && !host_dev_known(devs, node->dev)) {
        host_handle_pin(donated);
        host_dev_learn(devs, donated->fd, node->dev);
        host_handle_unpin(donated);
    }
    if (host_dev_kind(devs, node->dev) >= HOST_DEV_STORAGE) {
        fd = host_handle_use(donated);
    }
    return fd;
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
        proxy_forget(proxy_link_channel(ps->link), nr->handle, 1);
    }
}

static uint64_t attr_born(const FsAttr *attr)
{
    return attr->valid & FS_ATTR_BTIME
           ? attr->btime.tv_sec * UINT64_C(1000000000) + attr->btime.tv_nsec
           : 0;
}

/*
 * Whether an inode that was found is what the node, for which no helper keeps
 * it, was: not another to which the number was given. A descriptor keeps it.
 */
static bool node_is(FsNode *node, const FsAttr *attr)
{
    ProxyNode *n = proxy_node(node);
    uint64_t born = attr_born(attr);

    return node->type == (attr->mode & S_IFMT) &&
           (n->donated.fd >= 0 || !n->born || !born || n->born == born);
}

/* The node of an inode that was found, with a reference, or NULL */
static FsNode *node_known(FsExport *fs, const FsAttr *attr)
{
    FsNode *found = fs_node_find(fs, attr->dev, attr->ino);

    if (found && node_is_old(found) && !node_is(found, attr)) {
        fs_node_detach(found);
        fs_node_unref(found);
        return NULL;
    }
    return found;
}

/* A new node, without a handle of this helper's, with a reference */
static ProxyNode *node_new(FsExport *fs, const FsAttr *attr)
{
    ProxyFs *ps = fs->priv;
    ProxyNode *n = g_new0(ProxyNode, 1);

    n->number = proxy_link_number(ps->link) - 1;
    n->born = attr_born(attr);
    host_handle_init(&n->donated, donated_evict);
    fs_node_init(&n->node, fs, attr);
    return n;
}

/* A node of which this helper had told nothing yet takes its handle. */
static void node_renew(ProxyFs *ps, ProxyNode *n, const NodeReply *nr)
{
    if (nr->fd >= 0 && !node_adoptable(ps, n) && !n->donated.pins) {
        host_handle_drop(&n->donated);  /* of an earlier helper's mount */
    }
    n->handle = nr->handle;
    n->handle_refs = 0;
    n->refused = false;
    n->number = proxy_link_number(ps->link);
    ps->handles++;
}

/*
 * The node for @nr, new or known, with a reference for the caller. -EIO when
 * the helper contradicts what it said of the inode before.
 */
static int node_accept(FsExport *fs, NodeReply *nr, const FsAttr *attr,
                       FsNode **node)
{
    ProxyFs *ps = fs->priv;
    FsNode *found = node_known(fs, attr);
    ProxyNode *n = found ? proxy_node(found) : node_new(fs, attr);

    if (node_is_old(&n->node)) {
        node_renew(ps, n, nr);
    }
    if (found) {
        if ((n->handle != nr->handle && !(n->handle & PROXY_ADOPTED)) ||
            found->type != (attr->mode & S_IFMT)) {
            error_report_once("fsdev '%s': the helper has two answers on what "
                              "inode %" PRIu64 " is", fs->id, attr->ino);
            fs_node_unref(found);
            node_refuse(ps, nr);
            return -EIO;
        }
    }
    node_idle(ps, n);
    if (n->handle != nr->handle) {
        proxy_forget(proxy_link_channel(ps->link), nr->handle, 1);
    } else if (n->handle != PROXY_ROOT_HANDLE &&
               ++n->handle_refs > HANDLE_REFS_MAX) {
        proxy_forget(proxy_link_channel(ps->link), n->handle,
                     n->handle_refs - 1);
        n->handle_refs = 1;
    }
    node_take_fd(n, nr->fd, attr);
    *node = &n->node;
    if (ps->handles_max && ps->handles > ps->handles_max) {
        /* Not this one, for which others may have been found */
        node_pin(&n->node);
        handles_reduce(ps, ps->handles_max);
        node_unpin(&n->node);
    }
    return 0;
}

static void proxy_node_free(FsNode *node)
{
    ProxyNode *n = proxy_node(node);

    host_handle_drop(&n->donated);
    node_leave_idle(proxy_fs(node), n);
    if (!node_is_old(node)) {
        proxy_fs(node)->handles--;
        if (n->handle_refs) {
            proxy_forget(channel_of(node), n->handle, n->handle_refs);
        }
    }
    g_free(n);
}

static void get_attr(ProxyRequest *req, FsAttr *attr)
{
    proxy_get_attr(&req->r, attr);
    if (!fs_mode_is_valid(attr->mode)) {
        req->r.bad = true;
    }
}

/*
 * Finding
 */

/* @node was found, or made, as @name in @dir. */
static void node_named(FsNode *node, FsNode *dir, const char *name)
{
    FsEntry *where;

    if (!strcmp(name, "..") ||
        g_hash_table_size(node->fs->nodes) > NAMED_MAX) {
        return;
    }
    where = fs_node_where(node);
    /* A directory has one name, and this is it now; others may have several. */
    if (!where || (S_ISDIR(node->type) && !node->fs->renaming &&
                   !fs_entry_is(where, dir, name))) {
        fs_node_adopt(node, fs_entry_get(node->fs, dir, name, node));
    }
}

/*
 * The node's descriptor to look a name up in, or to open it with; -1, and it is
 * for the helper. Without one there is no telling what becomes of the export.
 */
static int coroutine_fn node_use_here(FsNode *node)
{
    return proxy_fs(node)->mount && !proxy_channel_broken(channel_of(node))
           ? node_use_fd(node) : -1;
}

/*
 * Looks @name up here: -ENOENT or -ENOTDIR if that is so, -EAGAIN if it is for
 * the helper to find out.
 */
static int coroutine_fn step_here(FsNode *dir, const char *name, FsNode **node,
                                  FsAttr *attr)
{
    ProxyFs *ps = proxy_fs(dir);
    HostWait wait;
    ProxyNode *n;
    FsNode *known;
    int at, fd;

    at = node_use_here(dir);
    if (at < 0) {
        return -EAGAIN;
    }
    wait = host_dev_kind(&ps->devs, dir->dev) == HOST_DEV_MEMORY
           ? HOST_NO_WAIT_ELSEWHERE : HOST_NO_WAIT;
    fd = hostfs_step(&here, at, name, wait, attr);
    if (fd < 0) {
        if (fd == -EMFILE) {
            host_handles_relieve();
        }
        return fd == -ENOENT || fd == -ENOTDIR ? fd : -EAGAIN;
    }
    if (host_dev_learn(&ps->devs, fd, attr->dev) < HOST_DEV_STORAGE) {
        close(fd);
        return -EAGAIN;
    }
    attr_inside(ps, attr);
    known = node_known(dir->fs, attr);
    if (known && known->type != (attr->mode & S_IFMT)) {
        fs_node_unref(known);
        close(fd);
        return -EAGAIN;         /* node_accept() has an answer to that */
    }
    n = known ? proxy_node(known) : node_new(dir->fs, attr);
    if (n->donated.fd < 0) {
        host_handle_set(&n->donated, fd);
    } else {
        host_handle_use(&n->donated);
        close(fd);
    }
    node_named(&n->node, dir, name);
    *node = &n->node;
    return 0;
}

/* Walks from a @dir that is not old. */
static int coroutine_fn walk_from(FsCall *call, FsNode *dir,
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
    ret = proxy_begin(channel_of(dir), call, &req, PROXY_WALK, 0);
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
        return ret;
    }
    if (walk->parent && n == 2) {
        node_named(walk->parent, dir, names[0]);
    }
    if (walk->parent) {
        node_named(walk->node, walk->parent, names[n - 1]);
    }
    return 0;
}

/*
 * Finding again
 */

/* Asks for what @entry names in a directory that is not old. */
static int coroutine_fn entry_find(FsCall *call, FsEntry *entry)
{
    g_autofree char *name = g_strdup(entry->name);
    const char *names[] = { name };
    FsNode *dir = fs_node_ref(entry->parent);
    FsExport *fs = dir->fs;
    FsNode *node = NULL;
    FsWalk walk;
    int ret;

    fs_entry_ref(entry);
    node_pin(dir);
    ret = walk_from(call, dir, names, 1, &walk);
    node_unpin(dir);
    if (ret == 0) {
        node = walk.node;
        fs_node_unref(walk.parent);
    }
    if ((ret == 0 && node == entry->node) || !fs_entry_is(entry, dir, name)) {
        ret = 0;                /* found, or renamed meanwhile: look again */
    } else if (ret == 0 || ret == -ENOENT || ret == -ENOTDIR) {
        if (!fs_rename_wait(fs)) {
            fs_entry_gone(entry);
        }
        ret = 0;
    }
    if (node) {
        fs_node_unref(node);
    }
    fs_entry_put(entry);
    fs_node_unref(dir);
    return ret;
}

/*
 * Sees to it that the node's handle is one of the helper that there is: has it
 * adopted, or finds it again by name, directories on the way to it first.
 * -ESTALE if it has no name any more.
 */
static int coroutine_fn node_find(FsCall *call, FsNode *node)
{
    ProxyFs *ps = proxy_fs(node);

    while (node_is_old(node)) {
        FsEntry *first = NULL;
        FsNode *at = node;
        int ret;

        while (node_is_old(at) && !node_adopt(ps, proxy_node(at))) {
            first = at->detached ? NULL : fs_node_where(at);
            if (!first) {
                return -ESTALE;
            }
            at = first->parent;
        }
        ret = first ? entry_find(call, first) : 0;
        if (ret < 0) {
            return ret;
        }
    }
    return 0;
}

/* The same for all that an operation needs; @b and @c may be NULL. */
static int coroutine_fn nodes_find(FsCall *call, FsNode *a, FsNode *b,
                                   FsNode *c)
{
    FsNode *nodes[] = { a, b, c };
    unsigned i = 0;

    while (i < ARRAY_SIZE(nodes)) {
        int ret;

        if (!nodes[i] || !node_is_old(nodes[i])) {
            i++;
            continue;
        }
        ret = node_find(call, nodes[i]);
        if (ret < 0) {
            return ret;
        }
        i = 0;                  /* there may be yet another helper */
    }
    return 0;
}

/*
 * @node, or NULL, is about to lose a name, maybe its last, by which it could
 * be found: it is found before, unless a descriptor will do. If it cannot be,
 * that is no reason not to go on.
 */
static int coroutine_fn victim_find(FsCall *call, FsNode *node)
{
    int ret;

    if (!node || !node_is_old(node) ||
        node_adoptable(proxy_fs(node), proxy_node(node))) {
        return 0;
    }
    ret = node_find(call, node);
    return ret == -ESTALE ? 0 : ret;
}

/* What @name in @dir is known to be, with a reference, or NULL */
static FsNode *node_of_name(FsNode *dir, const char *name)
{
    FsEntry *entry = fs_entry_find(dir->fs, dir, name);
    FsNode *node = entry && entry->node ? fs_node_ref(entry->node) : NULL;

    if (entry) {
        fs_entry_put(entry);
    }
    return node;
}

/*
 * A request about @a, and maybe about two more: its handles are to be put into
 * it at once.
 */
static int coroutine_fn begin(FsCall *call, ProxyRequest *req, ProxyType type,
                              size_t extra, FsNode *a, FsNode *b, FsNode *c)
{
    int ret = nodes_find(call, a, b, c);

    return ret < 0 ? ret : proxy_begin(channel_of(a), call, req, type, extra);
}

/* A walk of one piece */
static int coroutine_fn walk_piece(FsCall *call, FsNode *dir,
                                   const char *const *names, unsigned n,
                                   FsWalk *walk)
{
    NodeTry t = NODE_TRY(call, dir);
    int ret;

    walk->walked = 0;
    walk->node = walk->parent = NULL;
    while (node_try(&t, &ret)) {
        ret = nodes_find(call, dir, NULL, NULL);
        if (ret == 0) {
            ret = walk_from(call, dir, names, n, walk);
        }
    }
    return ret;
}

/*
 * Names are looked up here as long as that goes, and what is left is for the
 * helper. It tells of the last two inodes of a walk only: if nodes have to be
 * found again, it is asked in pieces of two, so that all directories on the
 * way are known.
 */
static int coroutine_fn proxy_walk(FsCall *call, FsNode *dir,
                                   const char *const *names, unsigned n,
                                   FsWalk *walk)
{
    unsigned step = proxy_link_reconnects(proxy_fs(dir)->link) ? 2 : n;
    FsNode *at = fs_node_ref(dir);
    FsNode *above = NULL;       /* the one before, or NULL after ".." */
    unsigned done = 0;
    int ret = 0;

    while (done < n && ret == 0) {
        FsNode *next, *dir_of_next;

        ret = step_here(at, names[done], &next, &walk->attr[done]);
        if (ret == 0) {
            dir_of_next = fs_node_ref(at);
            done++;
        } else if (ret == -EAGAIN) {
            FsWalk piece;

            ret = walk_piece(call, at, names + done, MIN(step, n - done),
                             &piece);
            memcpy(walk->attr + done, piece.attr,
                   piece.walked * sizeof(piece.attr[0]));
            done += piece.walked;
            next = piece.node;
            dir_of_next = piece.parent;
        }
        if (ret == 0) {
            if (above) {
                fs_node_unref(above);
            }
            fs_node_unref(at);
            above = dir_of_next;
            at = next;
        }
    }
    walk->walked = done;
    walk->node = at;
    walk->parent = above;
    if (ret < 0) {
        fs_node_unref(at);
        if (above) {
            fs_node_unref(above);
        }
        walk->node = walk->parent = NULL;
    }
    return ret;
}

/* Whether @node is @name in @dir now */
static bool coroutine_fn name_is(FsCall *call, FsNode *dir, const char *name,
                                 FsNode *node)
{
    FsWalk walk;
    bool same;

    if (walk_piece(call, dir, &name, 1, &walk) < 0) {
        return false;
    }
    same = walk.node == node;
    fs_node_unref(walk.node);
    if (walk.parent) {
        fs_node_unref(walk.parent);
    }
    return same;
}

/*
 * What is known of an inode
 */

static int coroutine_fn getattr_once(FsCall *call, FsNode *node, FsFile *file,
                                     FsAttr *attr)
{
    ProxyFs *ps = proxy_fs(node);
    ProxyRequest req;
    int fd = node_use_fd(node);
    int ret;

    if (fd < 0 && file &&
        (node_is_old(node) ||
         host_dev_kind(&ps->devs, node->dev) >= HOST_DEV_STORAGE)) {
        fd = container_of(file, HostFile, file)->fd;
    }
    if (fd >= 0) {
        return fd_getattr(ps, fd, attr);
    }

    ret = begin(call, &req, PROXY_GETATTR, 0, node, NULL, NULL);
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

static int coroutine_fn proxy_getattr(FsCall *call, FsNode *node, FsFile *file,
                                      FsAttr *attr)
{
    NodeTry t = NODE_TRY(call, node);
    int ret;

    while (node_try(&t, &ret)) {
        ret = getattr_once(call, node, file, attr);
    }
    return ret;
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

static int coroutine_fn readlink_once(FsCall *call, FsNode *node,
                                      char *buf, size_t size)
{
    ProxyRequest req;
    const char *target;
    size_t len;
    int fd = node_use_fd(node);
    int ret;

    if (fd >= 0) {
        return hostfs_readlink(fd, buf, size);
    }

    ret = begin(call, &req, PROXY_READLINK, 0, node, NULL, NULL);
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

static int coroutine_fn proxy_readlink(FsCall *call, FsNode *node,
                                       char *buf, size_t size)
{
    NodeTry t = NODE_TRY(call, node);
    int ret;

    while (node_try(&t, &ret)) {
        ret = readlink_once(call, node, buf, size);
    }
    return ret;
}

static int coroutine_fn statfs_once(FsCall *call, FsNode *node, FsStatfs *st)
{
    ProxyRequest req;
    int fd = node_use_fd(node);
    int ret;

    if (fd >= 0) {
        return hostfs_statfs(fd, st);
    }

    ret = begin(call, &req, PROXY_STATFS, 0, node, NULL, NULL);
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

static int coroutine_fn proxy_statfs(FsCall *call, FsNode *node, FsStatfs *st)
{
    NodeTry t = NODE_TRY(call, node);
    int ret;

    while (node_try(&t, &ret)) {
        ret = statfs_once(call, node, st);
    }
    return ret;
}

/* Sends a request whose reply is empty. */
static int coroutine_fn call_empty(ProxyRequest *req)
{
    int ret = proxy_call(req);

    return ret < 0 ? ret : proxy_finish(req);
}

static int coroutine_fn setattr_once(FsCall *call, FsNode *node,
                                     const FsSetAttr *set)
{
    ProxyRequest req;
    int ret;

    ret = begin(call, &req, PROXY_SETATTR, 0, node, NULL, NULL);
    if (ret < 0) {
        return ret;
    }
    marshal_put_u64(&req.w, handle_of(node));
    proxy_put_setattr(&req.w, set);
    return call_empty(&req);
}

static int coroutine_fn proxy_setattr(FsCall *call, FsNode *node, FsFile *file,
                                      const FsSetAttr *set)
{
    NodeTry t = NODE_TRY(call, node);
    int ret;

    while (node_try(&t, &ret)) {
        ret = setattr_once(call, node, set);
    }
    return ret;
}

/*
 * Opening and making
 */

/*
 * A file for the descriptor that came as @node's, which is closed if it is
 * not one. The file was counted (host_files_add()).
 */
static int coroutine_fn file_accept(FsNode *node, int fd, int flags,
                                    FsFile **file)
{
    ProxyFs *ps = proxy_fs(node);
    HostDevKind kind;
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
    kind = host_dev_learn(&ps->devs, fd, st.st_dev);
    *file = host_file_new(node, fd, flags, ps->writeout, kind);
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

/*
 * The node's descriptor for what waits for nothing in memory, and else may:
 * -1, and it is for the helper.
 */
static int coroutine_fn node_use_in_memory(FsNode *node)
{
    ProxyFs *ps = proxy_fs(node);
    int fd = node_use_here(node);

    return host_dev_kind(&ps->devs, node->dev) == HOST_DEV_MEMORY ? fd : -1;
}

/*
 * Opens it here, if this process may: the descriptor, or -errno and the helper
 * is to be asked. That a file has to be cut needs its privilege, lest set-id
 * bits go.
 */
static int coroutine_fn open_here(FsNode *node, int flags)
{
    int fd = flags & O_TRUNC ? -1 : node_use_in_memory(node);

    return fd < 0 ? -EAGAIN
                  : hostfs_open(&here, fd, flags | O_NONBLOCK);
}

static int coroutine_fn open_file_once(FsCall *call, FsNode *node, int flags,
                                       FsFile **file)
{
    ProxyRequest req;
    int ret, fd;

    ret = host_files_add();
    if (ret < 0) {
        return ret;
    }
    fd = open_here(node, flags);
    if (fd >= 0) {
        *file = host_file_new(node, fd, flags, proxy_fs(node)->writeout,
                              HOST_DEV_MEMORY);
        return 0;
    }
    ret = begin(call, &req, PROXY_OPEN, 0, node, NULL, NULL);
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

static int coroutine_fn proxy_open_file(FsCall *call, FsNode *node, int flags,
                                        FsFile **file)
{
    NodeTry t = NODE_TRY(call, node);
    int ret;

    while (node_try(&t, &ret)) {
        ret = open_file_once(call, node, flags, file);
    }
    return ret;
}

static int coroutine_fn create_once(FsCall *call, FsNode *dir,
                                    const FsMake *make, int flags,
                                    FsNode **node, FsFile **file,
                                    FsAttr *attr)
{
    NodeReply nr = { .fd = -1 };
    ProxyRequest req;
    int ret, fd;

    ret = host_files_add();
    if (ret < 0) {
        return ret;
    }
    ret = begin(call, &req, PROXY_CREATE, 0, dir, NULL, NULL);
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
    node_named(*node, dir, make->name);
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

static int coroutine_fn proxy_create(FsCall *call, FsNode *dir,
                                     const FsMake *make, int flags,
                                     FsNode **node, FsFile **file,
                                     FsAttr *attr)
{
    NodeTry t = NODE_TRY(call, dir);
    int ret;

    while (node_try(&t, &ret)) {
        ret = create_once(call, dir, make, flags, node, file, attr);
    }
    return ret;
}

static int coroutine_fn make_once(FsCall *call, FsNode *dir,
                                  const FsMake *make, FsAttr *attr)
{
    ProxyRequest req;
    int ret;

    ret = begin(call, &req, PROXY_MAKE, 0, dir, NULL, NULL);
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

static int coroutine_fn proxy_make(FsCall *call, FsNode *dir,
                                   const FsMake *make, FsAttr *attr)
{
    NodeTry t = NODE_TRY(call, dir);
    int ret;

    while (node_try(&t, &ret)) {
        ret = make_once(call, dir, make, attr);
    }
    return ret;
}

/*
 * Names
 */

static int coroutine_fn link_once(FsCall *call, FsNode *node,
                                  FsNode *dir, const char *name)
{
    ProxyRequest req;
    int ret;

    ret = begin(call, &req, PROXY_LINK, 0, node, dir, NULL);
    if (ret < 0) {
        return ret;
    }
    marshal_put_u64(&req.w, handle_of(node));
    marshal_put_u64(&req.w, handle_of(dir));
    marshal_put_str(&req.w, name);
    return call_empty(&req);
}

static int coroutine_fn proxy_link(FsCall *call, FsNode *node,
                                   FsNode *dir, const char *name)
{
    NodeTry t = NODE_TRY(call, dir, node);
    int ret;

    while (node_try(&t, &ret)) {
        ret = link_once(call, node, dir, name);
    }
    if (ret == -EEXIST && t.t.doubt && name_is(call, dir, name, node)) {
        ret = 0;                /* an earlier try did it */
    }
    return ret;
}

static int coroutine_fn rename_once(FsCall *call,
                                    FsNode *olddir, const char *oldname,
                                    FsNode *newdir, const char *newname,
                                    FsNode *victim)
{
    ProxyRequest req;
    int ret;

    ret = victim_find(call, victim);
    if (ret == 0) {
        ret = begin(call, &req, PROXY_RENAME, 0, olddir, newdir, NULL);
    }
    if (ret < 0) {
        return ret;
    }
    marshal_put_u64(&req.w, handle_of(olddir));
    marshal_put_str(&req.w, oldname);
    marshal_put_u64(&req.w, handle_of(newdir));
    marshal_put_str(&req.w, newname);
    return call_empty(&req);
}

static int coroutine_fn proxy_rename(FsCall *call,
                                     FsNode *olddir, const char *oldname,
                                     FsNode *newdir, const char *newname)
{
    g_autoptr(FsNode) node = node_of_name(olddir, oldname);
    g_autoptr(FsNode) victim = node_of_name(newdir, newname);
    NodeTry t = NODE_TRY(call, olddir, newdir, victim);
    int ret;

    while (node_try(&t, &ret)) {
        ret = rename_once(call, olddir, oldname, newdir, newname, victim);
    }
    if (node && ret == -ENOENT && t.t.doubt &&
        name_is(call, newdir, newname, node)) {
        ret = 0;                /* an earlier try did it */
    }
    if (node && ret == 0) {
        fs_node_moved(node, newdir);
    }
    return ret;
}

static int coroutine_fn unlink_once(FsCall *call, FsNode *dir,
                                    const char *name, bool rmdir,
                                    FsNode *expect, FsNode *victim)
{
    ProxyRequest req;
    int ret;

    ret = victim_find(call, victim);
    if (ret == 0) {
        ret = begin(call, &req, PROXY_UNLINK, 0, dir, expect, NULL);
    }
    if (ret < 0) {
        return ret;
    }
    marshal_put_u64(&req.w, handle_of(dir));
    marshal_put_str(&req.w, name);
    marshal_put_u8(&req.w, rmdir);
    marshal_put_u64(&req.w, expect ? handle_of(expect) : 0);
    return call_empty(&req);
}

static int coroutine_fn proxy_unlink(FsCall *call, FsNode *dir,
                                     const char *name, bool rmdir,
                                     FsNode *expect)
{
    g_autoptr(FsNode) victim = node_of_name(dir, name);
    NodeTry t = NODE_TRY(call, dir, expect, victim);
    int ret;

    while (node_try(&t, &ret)) {
        ret = unlink_once(call, dir, name, rmdir, expect, victim);
    }
    if (ret == -ENOENT && t.t.doubt) {
        ret = 0;                /* an earlier try did it */
    }
    return ret;
}

/*
 * Extended attributes
 */

/* Never NULL, not even for an empty value */
static uint8_t *value_copy(const void *bytes, size_t len)
{
    uint8_t *copy = g_malloc(len + 1);

    memcpy(copy, bytes, len);
    copy[len] = '\0';
    return copy;
}

/*
 * The value, or -ENODATA; -EAGAIN and the helper is to be asked. Lists, and
 * trusted.*, depend on privilege, and ids that are in some values on the user
 * namespace (xattr(7)).
 */
static int coroutine_fn getxattr_here(FsNode *node, const char *name,
                                      uint8_t **value, size_t *size)
{
    ProxyFs *ps = proxy_fs(node);
    const ProxyHello *hello = hello_of(ps);
    int fd = name && !g_str_has_prefix(name, "trusted.") && !hello->n_uids &&
             !hello->n_gids ? node_use_in_memory(node) : -1;
    uint8_t few[256];
    ssize_t len;

    if (fd < 0) {
        return -EAGAIN;
    }
    len = hostfs_getxattr(&here, fd, name, few, sizeof(few));
    if (len < 0) {
        return len == -ENODATA ? len : -EAGAIN;
    }
    *value = value_copy(few, len);
    *size = len;
    return 0;
}

static int coroutine_fn getxattr_once(FsCall *call, FsNode *node,
                                      const char *name,
                                      uint8_t **value, size_t *size)
{
    g_autofree uint8_t *copy = NULL;
    ProxyRequest req;
    uint32_t len;
    void *bytes;
    int ret;

    ret = getxattr_here(node, name, value, size);
    if (ret != -EAGAIN) {
        return ret;
    }
    ret = begin(call, &req, PROXY_GETXATTR, 0, node, NULL, NULL);
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
        copy = value_copy(bytes, len);
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

static int coroutine_fn proxy_getxattr(FsCall *call, FsNode *node,
                                       const char *name,
                                       uint8_t **value, size_t *size)
{
    NodeTry t = NODE_TRY(call, node);
    int ret;

    while (node_try(&t, &ret)) {
        ret = getxattr_once(call, node, name, value, size);
    }
    return ret;
}

static int coroutine_fn setxattr_once(FsCall *call, FsNode *node,
                                      const char *name, const void *value,
                                      size_t size, int flags)
{
    ProxyRequest req;
    int ret;

    if (size > FS_XATTR_MAX) {
        return -E2BIG;          /* setxattr(2) */
    }
    ret = begin(call, &req, PROXY_SETXATTR, size, node, NULL, NULL);
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

static int coroutine_fn proxy_setxattr(FsCall *call, FsNode *node,
                                       const char *name, const void *value,
                                       size_t size, int flags)
{
    NodeTry t = NODE_TRY(call, node);
    int ret;

    while (node_try(&t, &ret)) {
        ret = setxattr_once(call, node, name, value, size, flags);
    }
    return ret;
}

static int coroutine_fn removexattr_once(FsCall *call, FsNode *node,
                                         const char *name)
{
    ProxyRequest req;
    int ret;

    ret = begin(call, &req, PROXY_REMOVEXATTR, 0, node, NULL, NULL);
    if (ret < 0) {
        return ret;
    }
    marshal_put_u64(&req.w, handle_of(node));
    marshal_put_str(&req.w, name);
    return call_empty(&req);
}

static int coroutine_fn proxy_removexattr(FsCall *call, FsNode *node,
                                          const char *name)
{
    NodeTry t = NODE_TRY(call, node);
    int ret;

    while (node_try(&t, &ret)) {
        ret = removexattr_once(call, node, name);
    }
    return ret;
}

/*
 * The export
 */

/* What a helper gave of the root */
static void root_take(ProxyFs *ps, ProxyNode *root, ProxyHello *hello)
{
    HostPlace at;

    ps->mount = 0;
    if (hello->root_fd >= 0 && hostfs_place(hello->root_fd, &at) == 0 &&
        (hello->features & PROXY_FEATURE_ADOPT)) {
        ps->mount = at.mount;
    }
    if (hello->root_fd >= 0 && !root->donated.pins) {
        host_handle_drop(&root->donated);   /* an earlier one's */
    }
    node_take_fd(root, hello->root_fd, &hello->root);
    hello->root_fd = -1;
    root->handle = PROXY_ROOT_HANDLE;
    root->number = proxy_link_number(ps->link);
    ps->handles = 1;
}

static void proxy_open_root(FsExport *fs)
{
    ProxyFs *ps = fs->priv;
    ProxyHello *hello = proxy_channel_hello(proxy_link_channel(ps->link));
    ProxyNode *root = node_new(fs, &hello->root);

    root_take(ps, root, hello);
    if (root->donated.fd >= 0) {
        host_dev_set(&ps->devs, root->donated.fd, root->node.dev);
    }
    fs->root = &root->node;
}

/* ProxyFound: another helper must serve the same directory. */
static bool proxy_found(FsExport *fs, ProxyHello *hello, Error **errp)
{
    ProxyFs *ps = fs->priv;
    ProxyNode *root = proxy_node(fs->root);

    if (hello->root.dev != fs->root->dev || hello->root.ino != fs->root->ino) {
        error_setg(errp, "it serves another directory now (device %" PRIu64
                   ", inode %" PRIu64 ", and not %" PRIu64 ", %" PRIu64 ")",
                   hello->root.dev, hello->root.ino,
                   fs->root->dev, fs->root->ino);
        return false;
    }
    if (hello->features & PROXY_FEATURE_READONLY) {
        fs->readonly = true;
    }
    root_take(ps, root, hello);
    ps->handles_max = 0;
    return true;
}

static bool proxy_open(FsExport *fs, const FsdevOptions *opts, Error **errp)
{
    ERRP_GUARD();
    const FsdevProxyOptions *o = &opts->u.proxy;
    bool donate = !o->has_donate || o->donate;
    OnOffAuto ring = o->has_ring ? o->ring : ON_OFF_AUTO_AUTO;
    ProxyFs *ps;
    ProxyPeer *peer;
    ProxyChannel *channel;
    int sock, version;

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
    version = proxy1_version(o, sock, errp);
    if (version == 1 && ring == ON_OFF_AUTO_ON) {
        error_setg(errp, "ring=on: there is no ring in protocol version 1");
        version = -1;
    }
    if (version == 1) {
        return proxy1_open_export(fs, o, peer, sock, errp);
    }
    if (version < 0) {
        close(sock);
        channel = NULL;
    } else {
        channel = proxy_channel_new(qemu_get_aio_context(), fs->id, sock,
                                    donate, ring, errp);
    }
    if (!channel) {
        proxy_launch_failed(peer, errp);
        fs_export_release(fs);
        return false;
    }

    ps = g_new0(ProxyFs, 1);
    QTAILQ_INIT(&ps->idle);
    ps->link = proxy_link_new(fs, o, opts->has_readonly && opts->readonly,
                              peer, channel, proxy_found);
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
    proxy_link_free(ps->link);
    host_devs_destroy(&ps->devs);
    g_free(ps);
    fs->priv = NULL;
    fs_export_release(fs);
}

static void add_feature(FsdevHelperInfo *helper, FsdevHelperFeature feature)
{
    QAPI_LIST_PREPEND(helper->features, feature);
}

static void proxy_query(FsExport *fs, FsdevInfo *info)
{
    ProxyFs *ps = fs->priv;
    ProxyChannel *channel = proxy_link_channel(ps->link);
    const ProxyHello *hello = proxy_channel_hello(channel);
    FsdevHelperInfo *helper = g_new0(FsdevHelperInfo, 1);

    helper->connection = proxy_channel_broken(channel)
        ? FSDEV_CONNECTION_LOST : FSDEV_CONNECTION_CONNECTED;
    helper->has_pid = true;
    helper->pid = hello->pid;
    helper->protocol = PROXY_VERSION;
    if (hello->n_uids || hello->n_gids) {
        add_feature(helper, FSDEV_HELPER_FEATURE_ID_MAP);
    }
    if (hello->ring) {
        add_feature(helper, FSDEV_HELPER_FEATURE_RING);
    }
    if (hello->donates) {
        add_feature(helper, FSDEV_HELPER_FEATURE_DONATE);
    }
    if (ps->mount) {
        add_feature(helper, FSDEV_HELPER_FEATURE_ADOPT);
    }
    if (hello->features & PROXY_FEATURE_READONLY) {
        add_feature(helper, FSDEV_HELPER_FEATURE_READONLY);
    }
    info->helper = helper;
    info->descriptors = host_handles_info();
}

static pid_t proxy_process(FsExport *fs)
{
    ProxyFs *ps = fs->priv;

    return proxy_link_process(ps->link);
}

static void proxy_detach(FsExport *fs)
{
    ProxyFs *ps = fs->priv;

    proxy_link_detach(ps->link);
}

static void proxy_attach(FsExport *fs)
{
    ProxyFs *ps = fs->priv;

    proxy_link_attach(ps->link);
}

static HostHandle *proxy_node_handle(FsNode *node)
{
    return &proxy_node(node)->donated;
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
    .query = proxy_query,
    .helper_process = proxy_process,
    .detach = proxy_detach,
    .attach = proxy_attach,
    .node_handle = proxy_node_handle,
};

static void proxy_driver_init(void)
{
    fs_driver_register(&proxy_driver);
}
type_init(proxy_driver_init);
