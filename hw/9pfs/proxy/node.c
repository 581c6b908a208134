/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Nodes of the proxy driver: see node.h.
 *
 * Theory of operation. Every `node` in a reply is one reference to its handle
 * in the helper. They are counted here and given back all at once when the node
 * is freed, so an inode that is found again and again costs nothing.
 *
 * Nodes' descriptors are in the process's budget (host/fd-budget.h): one that was
 * closed to keep to it is made again when it is needed (find.c), or else
 * the node falls back to messages. The budget leaves room for replies that are
 * on their way: a descriptor that cannot be received would be lost, and the
 * channel with it.
 *
 * With donated directories goes the mount that they are on, which is the
 * helper's own. A node that was found there by this process has a descriptor
 * and no handle. When a request first needs one, the helper adopts the
 * descriptor; that message leaves with the request.
 *
 * The helper is not trusted. A descriptor is used only if it is of the kind
 * and of the inode that it came for; the type of a node never changes; while a
 * node is held its inode cannot come under another of the helper's handles.
 *
 * Ids in messages are the guest's. Those that the kernel tells us of donated
 * descriptors are the host's; the id maps of the helper's HELLO translate them,
 * and what they do not have becomes the overflow id, as in the kernel
 * (user_namespaces(7)).
 */
#include "qemu/osdep.h"
#include "block/aio.h"
#include "qemu/error-report.h"
#include "fsdev/shared/idmap.h"
#include "node.h"

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

const HostFs proxy_here = { .root = -1, .fd_prefix = "/proc/self/fd/" };

bool proxy_node_is_old(FsNode *node)
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
    if (!n->pins && n->handle != PROXY_ROOT_HANDLE &&
        !proxy_node_is_old(&n->node)) {
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
        if (!proxy_node_is_old(&n->node) && node_evictable(n)) {
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

void proxy_node_pin(FsNode *node)
{
    if (node) {
        node_leave_idle(proxy_fs(node), proxy_node(node));
        proxy_node(node)->pins++;
    }
}

void proxy_node_unpin(FsNode *node)
{
    if (node) {
        proxy_node(node)->pins--;
        node_idle(proxy_fs(node), proxy_node(node));
    }
}

bool proxy_node_adoptable(ProxyFs *ps, ProxyNode *n)
{
    HostPlace at;

    return ps->mount && !n->refused && n->donated.fd >= 0 &&
           hostfs_place(n->donated.fd, &at) == 0 && at.mount == ps->mount;
}

bool proxy_node_adopt(ProxyFs *ps, ProxyNode *n)
{
    uint64_t handle = PROXY_ADOPTED | (ps->adopted + 1);

    if (!proxy_node_adoptable(ps, n) ||
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

    if (!n || proxy_node_is_old(node) || !(n->handle & PROXY_ADOPTED)) {
        return false;
    }
    node_evict(ps, n);
    n->refused = true;
    return true;
}

ProxyNodeTry proxy_node_try_init(FsCall *call, FsNode *nodes[3])
{
    return (ProxyNodeTry) {
        .t = { .link = proxy_fs(nodes[0])->link, .call = call },
        .nodes = { nodes[0], nodes[1], nodes[2] },
    };
}

static bool nodes_refused(ProxyNodeTry *o)
{
    bool any = false;
    unsigned i;

    for (i = 0; i < ARRAY_SIZE(o->nodes); i++) {
        any |= node_refused(proxy_fs(o->nodes[0]), o->nodes[i]);
    }
    return any;
}

bool coroutine_fn proxy_node_try(ProxyNodeTry *o, int *ret)
{
    unsigned i;

    if (!o->t.begun) {
        for (i = 0; i < ARRAY_SIZE(o->nodes); i++) {
            proxy_node_pin(o->nodes[i]);
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
        proxy_node_unpin(o->nodes[i]);
    }
    return false;
}

/*
 * Ids
 */

static uint32_t id_inside(const ProxyIdRange *map, unsigned n, uint32_t id)
{
    if (n == 0) {
        return id;
    }
    id = idmap_inside(map, n, id);
    return id == IDMAP_NONE ? OVERFLOW_ID : id;
}

const ProxyHello *proxy_hello_of(const ProxyFs *ps)
{
    return proxy_channel_hello(proxy_link_channel(ps->link));
}

void proxy_attr_inside(const ProxyFs *ps, FsAttr *attr)
{
    const ProxyHello *hello = proxy_hello_of(ps);

    attr->uid = id_inside(hello->uids, hello->n_uids, attr->uid);
    attr->gid = id_inside(hello->gids, hello->n_gids, attr->gid);
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
 * inode, nor the root's if others are found again from there.
 */
static void donated_evict(HostFd *h)
{
    ProxyNode *n = container_of(h, ProxyNode, donated);

    if ((proxy_fs(&n->node)->mount && n->handle == PROXY_ROOT_HANDLE) ||
        (proxy_node_is_old(&n->node) && !node_evictable(n))) {
        host_fd_keep(h);
    }
}

void proxy_node_take_fd(ProxyNode *n, int fd, const FsAttr *attr)
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
    host_fd_set(&n->donated, fd);
}

int coroutine_fn proxy_node_use_fd(FsNode *node)
{
    HostFd *donated = &proxy_node(node)->donated;
    HostDevs *devs = &proxy_fs(node)->devs;
    int fd = -1;

    if (donated->fd >= 0 && !host_dev_known(devs, node->dev)) {
        host_fd_pin(donated);
        host_dev_learn(devs, donated->fd, node->dev);
        host_fd_unpin(donated);
    }
    if (host_dev_wait(devs, node->dev, HOST_WORK_STAT) == HOST_WAIT_NEVER) {
        fd = host_fd_use(donated);
    }
    return fd;
}

int coroutine_fn proxy_node_get_fd(FsNode *node)
{
    if (proxy_node(node)->donated.fd < 0) {
        proxy_node_find_here(node);
    }
    return proxy_node_use_fd(node);
}

int coroutine_fn proxy_node_use_here(FsNode *node)
{
    /* Without a helper there is no telling what becomes of the export. */
    if (!proxy_fs(node)->mount ||
        proxy_channel_broken(proxy_channel_of(node))) {
        return -1;
    }
    return proxy_node_get_fd(node);
}

/*
 * Nodes in replies
 */

void proxy_get_node(ProxyRequest *req, ProxyNodeReply *nr)
{
    uint8_t donated;

    nr->handle = marshal_get_u64(&req->r);
    donated = marshal_get_u8(&req->r);
    nr->fd = donated ? proxy_take_fd(req) : -1;
    if (donated > 1 || (donated && !nr->handle)) {
        marshal_fail(&req->r);
    }
}

void proxy_close_fd(int fd)
{
    if (fd >= 0) {
        close(fd);
    }
}

void proxy_node_refuse(ProxyFs *ps, ProxyNodeReply *nr)
{
    proxy_close_fd(nr->fd);
    nr->fd = -1;
    if (nr->handle && nr->handle != PROXY_ROOT_HANDLE) {
        proxy_forget(proxy_link_channel(ps->link), nr->handle, 1);
    }
}

/*
 * Whether an inode that was found is what the node, for which no helper keeps
 * it, was: not another to which the number was given. A descriptor keeps it.
 */
static bool node_is(FsNode *node, const FsAttr *attr)
{
    ProxyNode *n = proxy_node(node);
    uint64_t born = fs_attr_born(attr);

    return node->type == (attr->mode & S_IFMT) &&
           (n->donated.fd >= 0 || !n->born || !born || n->born == born);
}

FsNode *proxy_node_known(FsExport *fs, const FsAttr *attr)
{
    FsNode *found = fs_node_find(fs, attr->dev, attr->ino);

    if (found && proxy_node_is_old(found) && !node_is(found, attr)) {
        fs_node_detach(found);
        fs_node_unref(found);
        return NULL;
    }
    return found;
}

ProxyNode *proxy_node_new(FsExport *fs, const FsAttr *attr)
{
    ProxyFs *ps = fs->priv;
    ProxyNode *n = g_new0(ProxyNode, 1);

    n->number = proxy_link_number(ps->link) - 1;
    n->born = fs_attr_born(attr);
    host_fd_init(&n->donated, donated_evict);
    fs_node_init(&n->node, fs, attr);
    return n;
}

/* A node of which this helper had told nothing yet takes its handle. */
static void node_renew(ProxyFs *ps, ProxyNode *n, const ProxyNodeReply *nr)
{
    if (nr->fd >= 0 && !proxy_node_adoptable(ps, n) && !n->donated.pins) {
        host_fd_drop(&n->donated);  /* of an earlier helper's mount */
    }
    n->handle = nr->handle;
    n->handle_refs = 0;
    n->refused = false;
    n->number = proxy_link_number(ps->link);
    ps->handles++;
}

int proxy_node_accept(FsExport *fs, ProxyNodeReply *nr, const FsAttr *attr,
                      FsNode **node)
{
    ProxyFs *ps = fs->priv;
    FsNode *found = proxy_node_known(fs, attr);
    ProxyNode *n = found ? proxy_node(found) : proxy_node_new(fs, attr);

    if (proxy_node_is_old(&n->node)) {
        node_renew(ps, n, nr);
    }
    if (found &&
        ((n->handle != nr->handle && !(n->handle & PROXY_ADOPTED)) ||
         found->type != (attr->mode & S_IFMT))) {
        error_report_once("fsdev '%s': the helper has two answers on what "
                          "inode %" PRIu64 " is", fs->id, attr->ino);
        fs_node_unref(found);
        proxy_node_refuse(ps, nr);
        return -EIO;
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
    proxy_node_take_fd(n, nr->fd, attr);
    *node = &n->node;
    if (ps->handles_max && ps->handles > ps->handles_max) {
        /* Not this one, for which others may have been found */
        proxy_node_pin(&n->node);
        handles_reduce(ps, ps->handles_max);
        proxy_node_unpin(&n->node);
    }
    return 0;
}

void proxy_node_free(FsNode *node)
{
    ProxyNode *n = proxy_node(node);

    host_fd_drop(&n->donated);
    node_leave_idle(proxy_fs(node), n);
    if (!proxy_node_is_old(node)) {
        proxy_fs(node)->handles--;
        if (n->handle_refs) {
            proxy_forget(proxy_channel_of(node), n->handle, n->handle_refs);
        }
    }
    g_free(n);
}

void proxy_get_good_attr(ProxyRequest *req, FsAttr *attr)
{
    proxy_get_attr(&req->r, attr);
    if (!fs_mode_is_valid(attr->mode)) {
        marshal_fail(&req->r);
    }
}
