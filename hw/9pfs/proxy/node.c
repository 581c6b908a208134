/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Nodes of the proxy driver: see node.h.
 *
 * Theory of operation. Every `node` in a reply is one reference to its handle
 * in the helper. A node counts them and gives them back all at once when it is
 * freed, so an inode that is found again and again costs nothing.
 *
 * Nodes' O_PATH descriptors are in the process's budget (host/fd-budget.h). If
 * the budget closed a node's descriptor, QEMU makes another one when it needs
 * it (find.c), or else falls back to messages. The budget leaves room for the
 * descriptors of replies on their way: if QEMU cannot receive one, it loses the
 * channel.
 *
 * The descriptor of the helper's root leads to the helper's own mount, in which
 * QEMU can look up names. A node that QEMU found in this way has a descriptor
 * and no handle. When a request first needs a handle, the helper adopts the
 * descriptor; the ADOPT message leaves together with the request.
 *
 * The helper is not trusted. QEMU uses a descriptor only if it is an O_PATH
 * descriptor of the inode that the reply is about; the type of a node never
 * changes; and while a node has a handle, its inode cannot come with another
 * handle of the helper's choice.
 *
 * Ids in messages are the guest's. Ids that the kernel reports for QEMU's
 * descriptors are the host's. The id maps in the helper's HELLO translate them,
 * whether they are those of its user namespace or its options' ranges to the
 * guest (id-translate.h); an id without a mapping becomes the overflow id, as
 * in the kernel (user_namespaces(7)).
 *
 * Where the helper finds inodes by the host's file handles, a node migrates
 * with its own. QEMU needs no privilege to ask the kernel for it, as long as it
 * has a descriptor; when the budget closes that, the node keeps the handle.
 */
#include "qemu/osdep.h"
#include "block/aio.h"
#include "qemu/error-report.h"
#include "fsdev/shared/idmap.h"
#include "fsdev/shared/special-file.h"
#include "hw/9pfs/host/state-handle.h"
#include "node.h"

/* The default of /proc/sys/kernel/overflowuid */
#define OVERFLOW_ID         65534

/* With more references to its handle, a node gives all but one back */
#define HANDLE_REFS_MAX     0xfffu

/*
 * QEMU asks a full helper again this many times. In between, the helper gets
 * time to close the handles that QEMU asked it to forget.
 */
#define RELIEF_TRIES        8
#define RELIEF_NS           (10 * SCALE_MS)
/* The part of its handles that QEMU gives up when the helper is full */
#define RELIEF_PART         16

const HostFs proxy_own_fs = { .root = -1, .fd_prefix = "/proc/self/fd/" };

bool proxy_node_has_handle(FsNode *node)
{
    return proxy_node(node)->helper_epoch ==
           proxy_link_epoch(proxy_fs(node)->link);
}

/*
 * The helper's handles
 *
 * The helper has a limit of open files. QEMU learns the limit when a request
 * fails with EMFILE. From then on it keeps to fewer handles: nodes that are not
 * in use, and can be found again, lose theirs as if a new helper had come, the
 * least recently used first.
 */

/* Whether @n can be found again by name */
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

/* @n was used: if it has a handle, it is now the last to lose it. */
static void node_idle(ProxyFs *ps, ProxyNode *n)
{
    node_leave_idle(ps, n);
    if (!n->pins && n->handle != PROXY_ROOT_HANDLE &&
        proxy_node_has_handle(&n->node)) {
        QTAILQ_INSERT_TAIL(&ps->idle, n, idle);
    }
}

/* Gives back the node's handle. */
static void node_evict(ProxyFs *ps, ProxyNode *n)
{
    proxy_forget(proxy_link_channel(ps->link), n->handle, n->handle_refs);
    n->handle_refs = 0;
    n->helper_epoch = proxy_link_epoch(ps->link) - 1;
    ps->handles--;
}

/* Gives up handles until at most @max are left, as far as possible. */
static void handles_reduce(ProxyFs *ps, uint32_t max)
{
    ProxyNode *n;

    while (ps->handles > max && (n = QTAILQ_FIRST(&ps->idle))) {
        /* A node that cannot be found rejoins the list with its next use. */
        QTAILQ_REMOVE(&ps->idle, n, idle);
        if (proxy_node_has_handle(&n->node) && node_evictable(n)) {
            node_evict(ps, n);
        }
    }
}

/* The helper is full: gives up some handles, and returns whether it could. */
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

    return ps->mount && !n->refused && n->path_fd.fd >= 0 &&
           hostfs_place(n->path_fd.fd, &at) == 0 && at.mount == ps->mount;
}

bool proxy_node_adopt(ProxyFs *ps, ProxyNode *n)
{
    uint64_t handle = PROXY_ADOPTED | (ps->last_adopted + 1);

    if (!proxy_node_adoptable(ps, n) ||
        !proxy_adopt(proxy_link_channel(ps->link), handle, n->path_fd.fd)) {
        return false;
    }
    ps->last_adopted++;
    n->handle = handle;
    n->handle_refs = 1;
    n->helper_epoch = proxy_link_epoch(ps->link);
    ps->handles++;
    return true;
}

/* A request failed with EBADF. If QEMU made this handle, adoption failed. */
static bool node_refused(ProxyFs *ps, FsNode *node)
{
    ProxyNode *n = node ? proxy_node(node) : NULL;

    if (!n || !proxy_node_has_handle(node) || !(n->handle & PROXY_ADOPTED)) {
        return false;
    }
    node_evict(ps, n);
    n->refused = true;
    return true;
}

ProxyNodeTry proxy_node_try_init(FsCall *call, FsNode *nodes[3])
{
    ProxyNodeTry o = {
        .t = { .link = proxy_fs(nodes[0])->link, .call = call },
        .nodes = { nodes[0], nodes[1], nodes[2] },
    };
    unsigned i;

    for (i = 0; i < ARRAY_SIZE(o.nodes); i++) {
        proxy_node_pin(o.nodes[i]);
    }
    return o;
}

void proxy_node_try_end(ProxyNodeTry *o)
{
    unsigned i;

    for (i = 0; i < ARRAY_SIZE(o->nodes); i++) {
        proxy_node_unpin(o->nodes[i]);
    }
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
    if (!o->t.begun) {
        return proxy_try(&o->t, ret);
    }
    if (*ret == -EMFILE && o->relieved++ < RELIEF_TRIES &&
        handles_relieve(proxy_fs(o->nodes[0]))) {
        if (fs_call_sleep(o->t.call, RELIEF_NS)) {
            return true;
        }
        *ret = -EINTR;
    } else if (*ret == -EBADF && nodes_refused(o)) {
        return true;
    } else if (*ret == -EAGAIN && host_again(&o->again, ret)) {
        return true;
    }
    return proxy_try(&o->t, ret);
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

void proxy_ids_inside(const ProxyFs *ps, FsAttr *attr)
{
    const ProxyHello *hello = proxy_hello_of(ps);

    attr->uid = id_inside(hello->uids, hello->n_uids, attr->uid);
    attr->gid = id_inside(hello->gids, hello->n_gids, attr->gid);
}

bool proxy_attr_inside(const ProxyFs *ps, FsAttr *attr)
{
    if (ps->maps_devices && special_file_maybe(attr->mode, attr->size)) {
        return false;
    }
    proxy_ids_inside(ps, attr);
    return true;
}

/*
 * Descriptors
 */

/* Whether the host's inode of @own may have the type that @attr has */
static bool type_good(const ProxyFs *ps, const FsAttr *own, const FsAttr *attr)
{
    return (own->mode & S_IFMT) == (attr->mode & S_IFMT) ||
           (ps->maps_devices && special_file_maybe(own->mode, own->size) &&
            (S_ISCHR(attr->mode) || S_ISBLK(attr->mode)));
}

/* Whether @fd is an O_PATH descriptor of the inode with @attr */
static bool donation_good(const ProxyFs *ps, int fd, const FsAttr *attr)
{
    int flags = fcntl(fd, F_GETFL);
    FsAttr own;

    return flags >= 0 && (flags & O_PATH) && hostfs_peek(fd, &own) == 0 &&
           own.dev == attr->dev && own.ino == attr->ino &&
           type_good(ps, &own, attr);
}

/*
 * The file handle of the node's descriptor, or NULL if no helper could find the
 * inode by it. An earlier helper's mount is another one of the same file
 * system.
 */
static struct file_handle *get_file_handle(ProxyNode *n)
{
    const ProxyFs *ps = proxy_fs(&n->node);
    FsNode *root = n->node.fs->root;

    if (!ps->file_handles || n->path_fd.fd < 0) {
        return NULL;
    }
    return file_handle_get(n->path_fd.fd, root && n->node.dev == root->dev
                                          ? FILE_HANDLE_ANY_MOUNT
                                          : ps->mount_id);
}

/*
 * The budget is about to close @h. Keeps it if nothing else leads to the node's
 * inode, or if it is the root's, from which QEMU finds other nodes again; if
 * the budget has no room for that, a file handle may lead there.
 */
static void path_fd_evict(HostFd *h)
{
    ProxyNode *n = container_of(h, ProxyNode, path_fd);

    if (((proxy_fs(&n->node)->mount && n->handle == PROXY_ROOT_HANDLE) ||
         (!proxy_node_has_handle(&n->node) && !node_evictable(n))) &&
        host_fd_keep(h)) {
        return;
    }
    n->file_handle = get_file_handle(n);
}

void proxy_node_take_fd(ProxyNode *n, int fd, const FsAttr *attr)
{
    if (fd < 0) {
        return;
    }
    if (n->path_fd.fd >= 0) {
        host_pool_close(fd);
        return;
    }
    if (!donation_good(proxy_fs(&n->node), fd, attr)) {
        error_report_once("fsdev '%s': the helper passed a descriptor for "
                          "the wrong file; ignoring it", n->node.fs->id);
        host_pool_close(fd);
        return;
    }
    n->new_fd = true;
    host_fd_set(&n->path_fd, fd);
    proxy_node_drop_file_handle(n);
}

int coroutine_fn proxy_node_use_fd(FsNode *node)
{
    ProxyNode *n = proxy_node(node);
    HostFd *path_fd = &n->path_fd;
    HostDevs *devs = &proxy_fs(node)->devs;
    int fd = -1;

    if (path_fd->fd >= 0 && n->new_fd) {
        n->new_fd = false;
        host_fd_pin(path_fd);
        host_dev_learn(devs, path_fd->fd, node->dev);
        host_fd_unpin(path_fd);
    }
    if (host_dev_wait(devs, node->dev, HOST_WORK_STAT) == HOST_WAIT_NEVER) {
        fd = host_fd_use(path_fd);
    }
    return fd;
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
        host_pool_close(fd);
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
 * Whether the inode with @attr is that of @node, which has no handle, and not a
 * new one with the same number. (An open descriptor or a handle rules out that
 * the number is reused.)
 */
static bool node_is(FsNode *node, const FsAttr *attr)
{
    ProxyNode *n = proxy_node(node);
    uint64_t born = fs_attr_born(attr);

    return node->type == (attr->mode & S_IFMT) &&
           (n->path_fd.fd >= 0 || !n->born || !born || n->born == born);
}

static bool may_retype(uint32_t mode)
{
    return S_ISREG(mode) || S_ISCHR(mode) || S_ISBLK(mode);
}

bool proxy_node_retyped(FsNode *node, const FsAttr *attr)
{
    return proxy_fs(node)->maps_devices &&
           node->type != (attr->mode & S_IFMT) && may_retype(node->type) &&
           may_retype(attr->mode);
}

FsNode *proxy_node_known(FsExport *fs, const FsAttr *attr)
{
    FsNode *found = fs_node_find(fs, attr->dev, attr->ino);

    if (found && (proxy_node_retyped(found, attr) ||
                  (!proxy_node_has_handle(found) && !node_is(found, attr)))) {
        fs_node_detach(found);
        fs_node_unref(found);
        return NULL;
    }
    return found;
}

static ProxyNode *node_alloc(FsExport *fs, uint64_t born)
{
    ProxyFs *ps = fs->priv;
    ProxyNode *n = g_new0(ProxyNode, 1);

    n->helper_epoch = proxy_link_epoch(ps->link) - 1;
    n->born = born;
    host_fd_init(&n->path_fd, path_fd_evict);
    return n;
}

ProxyNode *proxy_node_new(FsExport *fs, const FsAttr *attr)
{
    ProxyNode *n = node_alloc(fs, fs_attr_born(attr));

    fs_node_init(&n->node, fs, attr);
    return n;
}

void proxy_save_node(FsNode *node, FsNodeState *state)
{
    ProxyNode *n = proxy_node(node);
    g_autofree struct file_handle *handle = get_file_handle(n);

    state->born = n->born;
    if (!handle && n->file_handle) {
        handle = file_handle_copy(n->file_handle);
    }
    if (handle) {
        host_handle_to_state(handle, state);
    }
}

FsNode *proxy_restore_node(FsExport *fs, const FsNodeState *state)
{
    ProxyNode *n = node_alloc(fs, state->born);
    ProxyFs *ps = fs->priv;

    if (ps->file_handles) {
        n->file_handle = host_handle_of_state(state);
    }
    fs_node_init_restored(&n->node, fs, state);
    return &n->node;
}

/* A node without a handle takes the reply's. */
static void node_renew(ProxyFs *ps, ProxyNode *n, const ProxyNodeReply *nr)
{
    if (nr->fd >= 0 && !proxy_node_adoptable(ps, n) && !n->path_fd.pins) {
        host_fd_drop(&n->path_fd);  /* on an earlier helper's mount */
    }
    n->handle = nr->handle;
    n->handle_refs = 0;
    n->refused = false;
    n->helper_epoch = proxy_link_epoch(ps->link);
    ps->handles++;
}

int proxy_node_accept(FsExport *fs, ProxyNodeReply *nr, const FsAttr *attr,
                      FsNode **node)
{
    ProxyFs *ps = fs->priv;
    FsNode *found = proxy_node_known(fs, attr);
    ProxyNode *n = found ? proxy_node(found) : proxy_node_new(fs, attr);

    if (!proxy_node_has_handle(&n->node)) {
        node_renew(ps, n, nr);
    }
    if (found &&
        ((n->handle != nr->handle && !(n->handle & PROXY_ADOPTED)) ||
         found->type != (attr->mode & S_IFMT))) {
        error_report_once("fsdev '%s': the helper reported conflicting types "
                          "for inode %" PRIu64, fs->id, attr->ino);
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
        /* Spare this node: the caller is about to use it. */
        proxy_node_pin(&n->node);
        handles_reduce(ps, ps->handles_max);
        proxy_node_unpin(&n->node);
    }
    return 0;
}

void proxy_node_free(FsNode *node)
{
    ProxyNode *n = proxy_node(node);

    host_fd_drop(&n->path_fd);
    node_leave_idle(proxy_fs(node), n);
    if (proxy_node_has_handle(node)) {
        proxy_fs(node)->handles--;
        if (n->handle_refs) {
            proxy_forget(proxy_channel_of(node), n->handle, n->handle_refs);
        }
    }
    g_free(n->file_handle);
    g_free(n);
}

void proxy_get_good_attr(ProxyRequest *req, FsAttr *attr)
{
    proxy_get_attr(&req->r, attr);
    if (!fs_mode_is_valid(attr->mode)) {
        marshal_fail(&req->r);
    }
}
