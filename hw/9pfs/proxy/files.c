/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Operations of the proxy driver that open files and make new ones, and lists
 * of directories that QEMU may not read. QEMU itself opens files on file
 * systems in memory, as far as it may. Otherwise it sends a message; the reply
 * to OPEN or CREATE brings the descriptor.
 */
#include "qemu/osdep.h"
#include "qemu/error-report.h"
#include "fsdev/shared/special-file.h"
#include "hw/9pfs/host/file.h"
#include "ops.h"

/*
 * HostEntryType, for files that stand for devices: only the helper knows which
 * do. Asks for what the kernel has, of another file system, too.
 */
static unsigned char entry_type(void *opaque, int dir, const char *name,
                                unsigned char type)
{
    return special_file_entry_type(dir, name, type);
}

/*
 * One entry of a reply to READDIR; false if it cannot be one. The kernel gives
 * any program the names and offsets of a file server that keep to these bounds
 * (getdents64(2)), so they are not the helper's fault.
 */
static bool get_entry(MarshalReader *r, bool has_types, FsDirent *entry)
{
    entry->ino = marshal_get_u64(r);
    entry->next = marshal_get_u64(r);
    entry->type = marshal_get_u8(r);
    entry->name = marshal_get_str(r, &entry->namelen);
    if (!has_types && entry->type == DT_REG) {
        entry->type = DT_UNKNOWN;
    }
    return marshal_ok(r) && entry->namelen > 0 && entry->namelen < PATH_MAX &&
           !strchr(entry->name, '/');
}

/* Whether the helper's lists have the types that the guest sees */
static bool lists_types(const ProxyFs *ps)
{
    return !ps->maps_devices ||
           (proxy_hello_of(ps)->features & PROXY_FEATURE_TYPES);
}

static int coroutine_fn list_once(FsCall *call, FsNode *node, uint64_t offset,
                                  uint8_t *buf, size_t size)
{
    ProxyRequest req;
    FsDirent entry;
    size_t len = 0, n;
    int ret;

    QEMU_BUILD_BUG_ON(HOST_DIR_BLOCK < PROXY_READDIR_MAX);
    ret = proxy_node_begin(call, &req, PROXY_READDIR, 0, node, NULL, NULL);
    if (ret < 0) {
        return ret;
    }
    marshal_put_u64(&req.w, proxy_handle_of(node));
    marshal_put_u64(&req.w, offset);
    ret = proxy_call(&req);
    if (ret < 0) {
        return ret;
    }
    while (marshal_ok(&req.r) && marshal_left(&req.r)) {
        n = get_entry(&req.r, lists_types(proxy_fs(node)), &entry)
            ? hostfs_dirent_put(buf + len, size - len, &entry) : 0;
        if (!n) {
            marshal_fail(&req.r);
        }
        len += n;
    }
    ret = proxy_finish(&req);
    return ret < 0 ? ret : len;
}

/*
 * HostDirList: the helper lists it, as the user who asks, and knows the types
 * of files that stand for devices.
 */
static int coroutine_fn list_in_helper(FsCall *call, FsNode *node,
                                       uint64_t offset, uint8_t *buf,
                                       size_t size)
{
    g_auto(ProxyNodeTry) t = PROXY_NODE_TRY(call, node);
    int ret;

    while (proxy_node_try(&t, &ret)) {
        ret = proxy_hello_of(proxy_fs(node))->features & PROXY_FEATURE_READDIR
            ? list_once(call, node, offset, buf, size) : -EACCES;
    }
    return ret;
}

/* An open file of @node, as host_file_new() */
static FsFile *new_file(FsNode *node, int fd, int flags, HostDevKind kind)
{
    ProxyFs *ps = proxy_fs(node);
    FsFile *file = host_file_new(node, fd, flags, ps->writeout, kind);

    if (ps->maps_devices && S_ISDIR(node->type)) {
        host_file_set_entry_type(file, entry_type, NULL);
    }
    if (S_ISDIR(node->type)) {
        host_file_set_list(file, list_in_helper,
                           ps->maps_devices && lists_types(ps));
    }
    return file;
}

/*
 * Checks that @fd, from a reply, is @node's and wraps it in an open file.
 * Closes @fd on failure. The caller has counted the file (host_files_add()).
 */
static int coroutine_fn file_accept(FsNode *node, int fd, int flags,
                                    FsFile **file)
{
    ProxyFs *ps = proxy_fs(node);
    HostDevKind kind;
    int fl = fcntl(fd, F_GETFL);
    int held = proxy_node(node)->path_fd.fd;
    FsAttr is, own;

    if (fl < 0 || (fl & O_PATH) || hostfs_peek(fd, &is) < 0 ||
        !(S_ISREG(is.mode) || S_ISDIR(is.mode)) ||
        (is.mode & S_IFMT) != node->type) {
        goto bad;
    }
    /*
     * An overlay may give an inode a new number when a process first opens it
     * for writing. The node's own descriptor then shows the new number, too.
     */
    if ((is.dev != node->dev || is.ino != node->ino) &&
        (held < 0 || hostfs_peek(held, &own) < 0 ||
         is.dev != own.dev || is.ino != own.ino)) {
        goto bad;
    }
    kind = host_dev_learn(&ps->devs, fd, is.dev);
    *file = new_file(node, fd, flags, kind);
    return 0;

bad:
    error_report_once("fsdev '%s': the helper opened the wrong file",
                      node->fs->id);
    host_pool_close(fd);
    return -EIO;
}

void proxy_file_free(FsFile *file)
{
    host_file_free(file);
}

/*
 * Opens the node without the helper, if QEMU may: the descriptor, or -errno;
 * then ask the helper. O_TRUNC and O_NOATIME always need the helper: with
 * QEMU's privilege the first would clear the set-id bits, and the second would
 * be for QEMU's own files only.
 */
static int coroutine_fn open_in_qemu(FsNode *node, int flags)
{
    int fd = flags & (O_TRUNC | O_NOATIME) ? -1 : proxy_node_nowait_fd(node);

    return fd < 0 ? -EAGAIN
                  : hostfs_open(&proxy_own_fs, fd, flags | O_NONBLOCK);
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
    fd = open_in_qemu(node, flags);
    if (fd >= 0) {
        *file = new_file(node, fd, flags, HOST_DEV_MEMORY);
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

int coroutine_fn proxy_open_file(FsCall *call, FsNode *node, int flags,
                                 FsFile **file)
{
    g_auto(ProxyNodeTry) t = PROXY_NODE_TRY(call, node);
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
        host_pool_close(fd);
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

int coroutine_fn proxy_create(FsCall *call, FsNode *dir,
                              const FsMakeArgs *make, int flags, FsNode **node,
                              FsFile **file, FsAttr *attr)
{
    g_auto(ProxyNodeTry) t = PROXY_NODE_TRY(call, dir);
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

int coroutine_fn proxy_make(FsCall *call, FsNode *dir, const FsMakeArgs *make,
                            FsAttr *attr)
{
    g_auto(ProxyNodeTry) t = PROXY_NODE_TRY(call, dir);
    int ret;

    while (proxy_node_try(&t, &ret)) {
        ret = make_once(call, dir, make, attr);
    }
    return ret;
}
