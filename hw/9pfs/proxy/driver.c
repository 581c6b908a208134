/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The proxy driver: a host directory through virtfs-proxy-helper, a process
 * that holds the privilege to act on it.
 *
 * Theory of operation. A node is a handle of the helper's and, mostly, an
 * O_PATH descriptor (node.h). What needs no privilege once there is a
 * descriptor happens here, without a message: attributes, link targets and
 * statfs where the kernel has them at hand (host/device-numbers.h), opening files in
 * memory, as far as this process may, and all I/O on open files (host/file.c).
 * Everything else is one message and its reply, laid out in
 * fsdev/shared/proto.h. A node without a descriptor uses messages for all.
 */
#include "qemu/osdep.h"
#include "block/aio.h"
#include "block/thread-pool.h"
#include "qapi/error.h"
#include "qemu/error-report.h"
#include "qemu/main-loop.h"
#include "qemu/module.h"
#include "hw/9pfs/host/file.h"
#include "launch.h"
#include "node.h"
#include "hw/9pfs/proxy-v1/proxy-v1.h"

/*
 * What is known of an inode
 */

static int fd_getattr(ProxyFs *ps, int fd, FsAttr *attr)
{
    int ret = hostfs_getattr(fd, attr);

    if (ret == 0) {
        proxy_attr_inside(ps, attr);
    }
    return ret;
}

static int coroutine_fn getattr_once(FsCall *call, FsNode *node, FsFile *file,
                                     FsAttr *attr)
{
    ProxyFs *ps = proxy_fs(node);
    ProxyRequest req;
    int fd = proxy_node_use_fd(node);
    int ret;

    if (fd < 0 && file &&
        (proxy_node_is_old(node) ||
         host_dev_wait(&ps->devs, node->dev, HOST_WORK_STAT) ==
         HOST_WAIT_NEVER)) {
        fd = host_file_fd(file);
    }
    if (fd < 0) {
        fd = proxy_node_get_fd(node);
    }
    if (fd >= 0) {
        return fd_getattr(ps, fd, attr);
    }

    ret = proxy_node_begin(call, &req, PROXY_GETATTR, 0, node, NULL, NULL);
    if (ret < 0) {
        return ret;
    }
    marshal_put_u64(&req.w, proxy_handle_of(node));
    ret = proxy_call(&req);
    if (ret < 0) {
        return ret;
    }
    proxy_get_good_attr(&req, attr);
    ret = proxy_finish(&req);
    if (ret < 0) {
        return ret;
    }
    return (attr->mode & S_IFMT) == node->type ? 0 : -EIO;
}

static int coroutine_fn proxy_getattr(FsCall *call, FsNode *node, FsFile *file,
                                      FsAttr *attr)
{
    ProxyNodeTry t = PROXY_NODE_TRY(call, node);
    int ret;

    while (proxy_node_try(&t, &ret)) {
        ret = getattr_once(call, node, file, attr);
    }
    return ret;
}

/* An O_PATH descriptor does not do for this, and the helper is not asked. */
static int coroutine_fn proxy_generation(FsCall *call, FsNode *node,
                                         FsFile *file, uint64_t *gen)
{
    return file ? host_file_generation(file, gen) : -EAGAIN;
}

static int coroutine_fn readlink_once(FsCall *call, FsNode *node,
                                      char *buf, size_t size)
{
    ProxyRequest req;
    const char *target;
    size_t len;
    int fd = proxy_node_get_fd(node);
    int ret;

    if (fd >= 0) {
        return hostfs_readlink(fd, buf, size);
    }

    ret = proxy_node_begin(call, &req, PROXY_READLINK, 0, node, NULL, NULL);
    if (ret < 0) {
        return ret;
    }
    marshal_put_u64(&req.w, proxy_handle_of(node));
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
    ProxyNodeTry t = PROXY_NODE_TRY(call, node);
    int ret;

    while (proxy_node_try(&t, &ret)) {
        ret = readlink_once(call, node, buf, size);
    }
    return ret;
}

static int coroutine_fn statfs_once(FsCall *call, FsNode *node, FsStatfs *st)
{
    ProxyRequest req;
    int fd = proxy_node_get_fd(node);
    int ret;

    if (fd >= 0) {
        return hostfs_statfs(fd, st);
    }

    ret = proxy_node_begin(call, &req, PROXY_STATFS, 0, node, NULL, NULL);
    if (ret < 0) {
        return ret;
    }
    marshal_put_u64(&req.w, proxy_handle_of(node));
    ret = proxy_call(&req);
    if (ret < 0) {
        return ret;
    }
    proxy_get_statfs(&req.r, st);
    return proxy_finish(&req);
}

static int coroutine_fn proxy_statfs(FsCall *call, FsNode *node, FsStatfs *st)
{
    ProxyNodeTry t = PROXY_NODE_TRY(call, node);
    int ret;

    while (proxy_node_try(&t, &ret)) {
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

    ret = proxy_node_begin(call, &req, PROXY_SETATTR, 0, node, NULL, NULL);
    if (ret < 0) {
        return ret;
    }
    marshal_put_u64(&req.w, proxy_handle_of(node));
    proxy_put_setattr(&req.w, set);
    return call_empty(&req);
}

static int coroutine_fn proxy_setattr(FsCall *call, FsNode *node, FsFile *file,
                                      const FsSetAttr *set)
{
    ProxyNodeTry t = PROXY_NODE_TRY(call, node);
    int ret;

    while (proxy_node_try(&t, &ret)) {
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
    int fd = proxy_node_use_here(node);

    return host_dev_wait(&ps->devs, node->dev, HOST_WORK_ANY) ==
           HOST_WAIT_NEVER ? fd : -1;
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
                  : hostfs_open(&proxy_here, fd, flags | O_NONBLOCK);
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
    ret = proxy_node_begin(call, &req, PROXY_OPEN, 0, node, NULL, NULL);
    if (ret < 0) {
        goto fail;
    }
    marshal_put_u64(&req.w, proxy_handle_of(node));
    marshal_put_u32(&req.w, flags);
    ret = proxy_call(&req);
    if (ret < 0) {
        goto fail;
    }
    fd = proxy_take_fd(&req);
    ret = proxy_finish(&req);
    if (ret < 0) {
        proxy_close_fd(fd);
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
    ProxyNodeTry t = PROXY_NODE_TRY(call, node);
    int ret;

    while (proxy_node_try(&t, &ret)) {
        ret = open_file_once(call, node, flags, file);
    }
    return ret;
}

static int coroutine_fn create_once(FsCall *call, FsNode *dir,
                                    const FsMakeArgs *make, int flags,
                                    FsNode **node, FsFile **file,
                                    FsAttr *attr)
{
    ProxyNodeReply nr = { .fd = -1 };
    ProxyRequest req;
    int ret, fd;

    ret = host_files_add();
    if (ret < 0) {
        return ret;
    }
    ret = proxy_node_begin(call, &req, PROXY_CREATE, 0, dir, NULL, NULL);
    if (ret < 0) {
        goto fail;
    }
    marshal_put_u64(&req.w, proxy_handle_of(dir));
    marshal_put_str(&req.w, make->name);
    marshal_put_u32(&req.w, flags);
    marshal_put_u32(&req.w, make->mode);
    marshal_put_u32(&req.w, make->uid);
    marshal_put_u32(&req.w, make->gid);
    ret = proxy_call(&req);
    if (ret < 0) {
        goto fail;
    }
    proxy_get_good_attr(&req, attr);
    proxy_get_node(&req, &nr);
    fd = proxy_take_fd(&req);
    if (!nr.handle || !S_ISREG(attr->mode)) {
        marshal_fail(&req.r);
    }
    ret = proxy_finish(&req);
    if (ret < 0) {
        proxy_close_fd(nr.fd);
        proxy_close_fd(fd);
        goto fail;
    }
    ret = proxy_node_accept(dir->fs, &nr, attr, node);
    if (ret < 0) {
        close(fd);
        goto fail;
    }
    proxy_node_named(*node, dir, make->name);
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
                                     const FsMakeArgs *make, int flags,
                                     FsNode **node, FsFile **file,
                                     FsAttr *attr)
{
    ProxyNodeTry t = PROXY_NODE_TRY(call, dir);
    int ret;

    while (proxy_node_try(&t, &ret)) {
        ret = create_once(call, dir, make, flags, node, file, attr);
    }
    return ret;
}

static int coroutine_fn make_once(FsCall *call, FsNode *dir,
                                  const FsMakeArgs *make, FsAttr *attr)
{
    ProxyRequest req;
    int ret;

    ret = proxy_node_begin(call, &req, PROXY_MAKE, 0, dir, NULL, NULL);
    if (ret < 0) {
        return ret;
    }
    marshal_put_u64(&req.w, proxy_handle_of(dir));
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
    proxy_get_good_attr(&req, attr);
    if ((attr->mode & S_IFMT) != (make->mode & S_IFMT)) {
        marshal_fail(&req.r);
    }
    return proxy_finish(&req);
}

static int coroutine_fn proxy_make(FsCall *call, FsNode *dir,
                                   const FsMakeArgs *make, FsAttr *attr)
{
    ProxyNodeTry t = PROXY_NODE_TRY(call, dir);
    int ret;

    while (proxy_node_try(&t, &ret)) {
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

    ret = proxy_node_begin(call, &req, PROXY_LINK, 0, node, dir, NULL);
    if (ret < 0) {
        return ret;
    }
    marshal_put_u64(&req.w, proxy_handle_of(node));
    marshal_put_u64(&req.w, proxy_handle_of(dir));
    marshal_put_str(&req.w, name);
    return call_empty(&req);
}

static int coroutine_fn proxy_link(FsCall *call, FsNode *node,
                                   FsNode *dir, const char *name)
{
    ProxyNodeTry t = PROXY_NODE_TRY(call, dir, node);
    int ret;

    while (proxy_node_try(&t, &ret)) {
        ret = link_once(call, node, dir, name);
    }
    if (ret == -EEXIST && t.t.doubt && proxy_name_is(call, dir, name, node)) {
        ret = 0;                /* an earlier try did it */
    }
    return ret;
}

static int coroutine_fn rename_once(FsCall *call,
                                    FsNode *olddir, const char *oldname,
                                    FsNode *newdir, const char *newname,
                                    FsNode *victim, FsRename *r)
{
    ProxyRequest req;
    int ret;

    ret = proxy_victim_find(call, victim);
    if (ret == 0) {
        ret = proxy_node_begin(call, &req, PROXY_RENAME, 0, olddir, newdir,
                               NULL);
    }
    if (ret < 0) {
        return ret;
    }
    fs_rename_begin(r, olddir, oldname, newdir, newname);
    marshal_put_u64(&req.w, proxy_handle_of(olddir));
    marshal_put_str(&req.w, oldname);
    marshal_put_u64(&req.w, proxy_handle_of(newdir));
    marshal_put_str(&req.w, newname);
    return call_empty(&req);
}

static int coroutine_fn proxy_rename(FsCall *call,
                                     FsNode *olddir, const char *oldname,
                                     FsNode *newdir, const char *newname)
{
    g_autoptr(FsNode) node = fs_entry_node(olddir, oldname);
    g_autoptr(FsNode) victim = fs_entry_node(newdir, newname);
    ProxyNodeTry t = PROXY_NODE_TRY(call, olddir, newdir, victim);
    FsRename r = { };
    int ret;

    while (proxy_node_try(&t, &ret)) {
        ret = rename_once(call, olddir, oldname, newdir, newname, victim, &r);
    }
    if (node && ret == -ENOENT && t.t.doubt &&
        proxy_name_is(call, newdir, newname, node)) {
        ret = 0;                /* an earlier try did it */
    }
    fs_rename_end(&r, ret);
    return ret;
}

static int coroutine_fn unlink_once(FsCall *call, FsNode *dir,
                                    const char *name, bool rmdir,
                                    FsNode *expect, FsNode *victim)
{
    ProxyRequest req;
    int ret;

    ret = proxy_victim_find(call, victim);
    if (ret == 0) {
        ret = proxy_node_begin(call, &req, PROXY_UNLINK, 0, dir, expect, NULL);
    }
    if (ret < 0) {
        return ret;
    }
    marshal_put_u64(&req.w, proxy_handle_of(dir));
    marshal_put_str(&req.w, name);
    marshal_put_u8(&req.w, rmdir);
    marshal_put_u64(&req.w, expect ? proxy_handle_of(expect) : 0);
    return call_empty(&req);
}

static int coroutine_fn proxy_unlink(FsCall *call, FsNode *dir,
                                     const char *name, bool rmdir,
                                     FsNode *expect)
{
    g_autoptr(FsNode) victim = fs_entry_node(dir, name);
    ProxyNodeTry t = PROXY_NODE_TRY(call, dir, expect, victim);
    int ret;

    while (proxy_node_try(&t, &ret)) {
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
    const ProxyHello *hello = proxy_hello_of(ps);
    int fd = name && !g_str_has_prefix(name, "trusted.") && !hello->n_uids &&
             !hello->n_gids ? node_use_in_memory(node) : -1;
    uint8_t few[256];
    ssize_t len;

    if (fd < 0) {
        return -EAGAIN;
    }
    len = hostfs_getxattr(&proxy_here, fd, name, few, sizeof(few));
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
    ret = proxy_node_begin(call, &req, PROXY_GETXATTR, 0, node, NULL, NULL);
    if (ret < 0) {
        return ret;
    }
    marshal_put_u64(&req.w, proxy_handle_of(node));
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
        marshal_fail(&req.r);
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
    ProxyNodeTry t = PROXY_NODE_TRY(call, node);
    int ret;

    while (proxy_node_try(&t, &ret)) {
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
    ret = proxy_node_begin(call, &req, PROXY_SETXATTR, size, node, NULL, NULL);
    if (ret < 0) {
        return ret;
    }
    marshal_put_u64(&req.w, proxy_handle_of(node));
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
    ProxyNodeTry t = PROXY_NODE_TRY(call, node);
    int ret;

    while (proxy_node_try(&t, &ret)) {
        ret = setxattr_once(call, node, name, value, size, flags);
    }
    return ret;
}

static int coroutine_fn removexattr_once(FsCall *call, FsNode *node,
                                         const char *name)
{
    ProxyRequest req;
    int ret;

    ret = proxy_node_begin(call, &req, PROXY_REMOVEXATTR, 0, node, NULL, NULL);
    if (ret < 0) {
        return ret;
    }
    marshal_put_u64(&req.w, proxy_handle_of(node));
    marshal_put_str(&req.w, name);
    return call_empty(&req);
}

static int coroutine_fn proxy_removexattr(FsCall *call, FsNode *node,
                                          const char *name)
{
    ProxyNodeTry t = PROXY_NODE_TRY(call, node);
    int ret;

    while (proxy_node_try(&t, &ret)) {
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
        host_fd_drop(&root->donated);   /* an earlier one's */
    }
    proxy_node_take_fd(root, hello->root_fd, &hello->root);
    hello->root_fd = -1;
    root->handle = PROXY_ROOT_HANDLE;
    root->number = proxy_link_number(ps->link);
    ps->handles = 1;
}

static void proxy_open_root(FsExport *fs)
{
    ProxyFs *ps = fs->priv;
    ProxyHello *hello = proxy_channel_hello(proxy_link_channel(ps->link));
    ProxyNode *root = proxy_node_new(fs, &hello->root);

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

    host_fds_init();        /* for the helper, too */
    if (!fs_export_init(fs, opts, errp)) {
        return false;
    }
    peer = proxy_launch(fs->id, o, opts->has_readonly && opts->readonly,
                        &sock, errp);
    if (!peer) {
        fs_export_release(fs);
        return false;
    }
    version = proxy_v1_version(o, sock, errp);
    if (version == 1 && ring == ON_OFF_AUTO_ON) {
        error_setg(errp, "ring=on: there is no ring in protocol version 1");
        version = -1;
    }
    if (version == 1) {
        return proxy_v1_open_export(fs, o, peer, sock, errp);
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
    info->descriptors = host_fds_info();
}

static pid_t proxy_process(FsExport *fs)
{
    ProxyFs *ps = fs->priv;

    return proxy_link_process(ps->link);
}

static HostFd *proxy_node_handle(FsNode *node)
{
    return &proxy_node(node)->donated;
}

static void proxy_detach(FsExport *fs)
{
    ProxyFs *ps = fs->priv;

    proxy_link_detach(ps->link);
    host_fds_leave(fs, proxy_node_handle);
}

static void proxy_enter(FsExport *fs)
{
    host_fds_enter(fs, proxy_node_handle);
}

static void proxy_attach(FsExport *fs)
{
    ProxyFs *ps = fs->priv;

    proxy_link_attach(ps->link);
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
    .enter = proxy_enter,
    .attach = proxy_attach,
};

static void proxy_driver_init(void)
{
    fs_driver_register(&proxy_driver);
}
type_init(proxy_driver_init);
