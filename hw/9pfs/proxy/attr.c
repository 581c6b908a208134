/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Operations of the proxy driver on an inode's attributes, link target, file
 * system and extended attributes. QEMU reads them with the node's O_PATH
 * descriptor where the kernel has them at hand (host/device-numbers.h), and
 * otherwise asks the helper. The helper makes all changes.
 */
#include "qemu/osdep.h"
#include "hw/9pfs/host/file.h"
#include "ops.h"

/* -EAGAIN: ask the helper */
static int fd_getattr(ProxyFs *ps, int fd, FsAttr *attr)
{
    int ret = hostfs_getattr(fd, attr);

    return ret < 0 ? ret : proxy_attr_inside(ps, attr) ? 0 : -EAGAIN;
}

static int coroutine_fn getattr_once(FsCall *call, FsNode *node, FsFile *file,
                                     FsAttr *attr)
{
    ProxyFs *ps = proxy_fs(node);
    ProxyRequest req;
    int fd = proxy_node_use_fd(node);
    int ret;

    if (fd < 0 && file) {
        HostWait wait = host_dev_wait(&ps->devs, node->dev, HOST_WORK_STAT);

        if (wait == HOST_WAIT_NEVER || !proxy_node_has_handle(node)) {
            ret = host_file_getattr(file, wait, attr);
            if (ret == 0) {
                /* What is open stands for no device. */
                proxy_ids_inside(ps, attr);
            }
            return ret;
        }
    }
    if (fd < 0) {
        fd = proxy_node_get_fd(node);
    }
    ret = fd < 0 ? -EAGAIN : fd_getattr(ps, fd, attr);
    if (ret != -EAGAIN) {
        return ret;
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
    return (attr->mode & S_IFMT) == node->type ||
           proxy_node_retyped(node, attr) ? 0 : -EIO;
}

int coroutine_fn proxy_getattr(FsCall *call, FsNode *node, FsFile *file,
                               FsAttr *attr)
{
    g_auto(ProxyNodeTry) t = PROXY_NODE_TRY(call, node);
    int ret;

    while (proxy_node_try(&t, &ret)) {
        ret = getattr_once(call, node, file, attr);
    }
    if (ret == 0 && proxy_node_retyped(node, attr)) {
        fs_node_detach(node);
        ret = -ESTALE;
    }
    return ret;
}

/* This takes an open file: an O_PATH descriptor or a message will not do. */
int coroutine_fn proxy_generation(FsCall *call, FsNode *node, FsFile *file,
                                  uint64_t *gen)
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

    if (fd >= 0 && host_link_wait(&proxy_fs(node)->devs, node->dev, fd) ==
                   HOST_WAIT_NEVER) {
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

int coroutine_fn proxy_readlink(FsCall *call, FsNode *node, char *buf,
                                size_t size)
{
    g_auto(ProxyNodeTry) t = PROXY_NODE_TRY(call, node);
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

int coroutine_fn proxy_statfs(FsCall *call, FsNode *node, FsStatfs *st)
{
    g_auto(ProxyNodeTry) t = PROXY_NODE_TRY(call, node);
    int ret;

    while (proxy_node_try(&t, &ret)) {
        ret = statfs_once(call, node, st);
    }
    return ret;
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
    return proxy_call_empty(&req);
}

/* setattr_once(), as often as helpers are lost */
static int coroutine_fn setattr_try(FsCall *call, FsNode *node,
                                    const FsSetAttr *set)
{
    g_auto(ProxyNodeTry) t = PROXY_NODE_TRY(call, node);
    int ret;

    while (proxy_node_try(&t, &ret)) {
        ret = setattr_once(call, node, set);
    }
    return ret;
}

/*
 * The helper may not open the file for a change of its size, which comes first,
 * or cannot if it has lost its last name (ESTALE of file servers). Who has it
 * open for writing may change that: ftruncate(2).
 */
static int coroutine_fn truncate_open(FsCall *call, FsFile *file,
                                      const FsSetAttr *set)
{
    FsSetAttr rest = *set;
    int ret = host_file_truncate(file, set->size);

    rest.valid = fs_set_after_truncate(rest.valid);
    return ret == 0 && rest.valid ? setattr_try(call, file->node, &rest) : ret;
}

int coroutine_fn proxy_setattr(FsCall *call, FsNode *node, FsFile *file,
                               const FsSetAttr *set)
{
    bool set_id = (set->valid & FS_SET_MODE) && S_ISREG(node->type) &&
                  (set->mode & (S_ISUID | S_ISGID));
    int ret = set_id ? proxy_set_id_begin(call, node) : 0;

    if (ret < 0) {
        return ret;
    }
    ret = setattr_try(call, node, set);
    if ((ret == -EACCES || ret == -ESTALE) && (set->valid & FS_SET_SIZE) &&
        file && fs_file_flags_write(file->flags)) {
        ret = truncate_open(call, file, set);
    }
    if (set_id) {
        proxy_set_id_end(node);
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
 * Reads a value without the helper: 0, or -ENODATA; -EAGAIN: ask the helper.
 * The helper checks lists; ids in some values depend on the user namespace
 * (xattr(7)).
 */
static int coroutine_fn getxattr_in_qemu(FsNode *node, const char *name,
                                         uint8_t **value, size_t *size)
{
    ProxyFs *ps = proxy_fs(node);
    const ProxyHello *hello = proxy_hello_of(ps);
    bool asks = S_ISCHR(node->type) || S_ISBLK(node->type) ||
                node->fs->xattrs.others;
    int fd = name && !hello->n_uids && !hello->n_gids && !asks ?
             proxy_node_nowait_fd(node) : -1;
    uint8_t buf[256];
    ssize_t len;

    if (fd < 0) {
        return -EAGAIN;
    }
    len = hostfs_getxattr(&proxy_own_fs, fd, name, buf, sizeof(buf));
    if (len < 0) {
        return len == -ENODATA ? len : -EAGAIN;
    }
    *value = value_copy(buf, len);
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

    ret = getxattr_in_qemu(node, name, value, size);
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
    }
    /* In a list, each name ends. */
    if (!copy || (!name && len && copy[len - 1])) {
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

int coroutine_fn proxy_getxattr(FsCall *call, FsNode *node, const char *name,
                                uint8_t **value, size_t *size)
{
    g_auto(ProxyNodeTry) t = PROXY_NODE_TRY(call, node);
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
    return proxy_call_empty(&req);
}

int coroutine_fn proxy_setxattr(FsCall *call, FsNode *node, const char *name,
                                const void *value, size_t size, int flags)
{
    g_auto(ProxyNodeTry) t = PROXY_NODE_TRY(call, node);
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
    return proxy_call_empty(&req);
}

int coroutine_fn proxy_removexattr(FsCall *call, FsNode *node,
                                   const char *name)
{
    g_auto(ProxyNodeTry) t = PROXY_NODE_TRY(call, node);
    int ret;

    while (proxy_node_try(&t, &ret)) {
        ret = removexattr_once(call, node, name);
    }
    return ret;
}
