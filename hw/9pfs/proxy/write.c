/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Writes of the proxy driver, which keep a file's set-id bits.
 *
 * The kernel takes these bits away from a file that a process without
 * CAP_FSETID writes to, as QEMU does. On a disk of its own, the guest's kernel
 * decides that, by the guest's own users; with 9p it does so, too, and asks for
 * a change of the mode. So nothing more may go. QEMU looks at the mode just
 * before each write, and leaves writes to files with set-id bits to the helper.
 * No other write needs the helper.
 *
 * A guest may set the bits while it writes. A change of the mode that sets
 * them waits for QEMU's own writes to the file, and meanwhile all others go
 * through the helper. If the host sets them during a write, they may go.
 *
 * The helper opens the file for its write. If it may not, QEMU writes: the
 * guest has the file open for that, and its user may not keep the bits either.
 */
#include "qemu/osdep.h"
#include "qemu/iov.h"
#include "hw/9pfs/host/file.h"
#include "ops.h"

/* Between two looks at whether the writes have ended */
#define LOOK_NS         SCALE_MS

int coroutine_fn proxy_set_id_begin(FsCall *call, FsNode *node)
{
    ProxyNode *n = proxy_node(node);

    n->set_ids++;
    while (n->writes) {
        if (!fs_call_sleep(call, LOOK_NS)) {
            n->set_ids--;
            return -EINTR;
        }
    }
    return 0;
}

void proxy_set_id_end(FsNode *node)
{
    proxy_node(node)->set_ids--;
}

static ssize_t coroutine_fn write_once(FsCall *call, FsFile *file,
                                       const void *data, uint32_t size,
                                       uint64_t offset)
{
    ProxyRequest req;
    uint32_t written;
    int ret;

    ret = proxy_node_begin(call, &req, PROXY_WRITE, size, file->node, NULL,
                           NULL);
    if (ret < 0) {
        return ret;
    }
    marshal_put_u64(&req.w, proxy_handle_of(file->node));
    marshal_put_u32(&req.w, file->flags);
    marshal_put_u64(&req.w, offset);
    marshal_put_u32(&req.w, size);
    marshal_put_bytes(&req.w, data, size);
    ret = proxy_call(&req);
    if (ret < 0) {
        return ret;
    }
    written = marshal_get_u32(&req.r);
    if (written > size) {
        marshal_fail(&req.r);
    }
    ret = proxy_finish(&req);
    return ret < 0 ? ret : (ssize_t)written;
}

/* Up to PROXY_WRITE_MAX bytes: the server comes back for the rest. */
static ssize_t coroutine_fn write_in_helper(FsCall *call, FsFile *file,
                                            const struct iovec *iov, int niov,
                                            uint64_t offset)
{
    g_auto(ProxyNodeTry) t = PROXY_NODE_TRY(call, file->node);
    uint32_t size = MIN(iov_size(iov, niov), PROXY_WRITE_MAX);
    g_autofree uint8_t *data = g_malloc(size);
    ssize_t written = 0;
    int ret;

    iov_to_buf(iov, niov, 0, data, size);
    while (proxy_node_try(&t, &ret)) {
        if (t.t.doubt && (file->flags & O_APPEND)) {
            return -EIO;        /* it may be there already */
        }
        written = write_once(call, file, data, size, offset);
        ret = MIN(written, 0);
    }
    return ret < 0 ? ret : written;
}

static bool has_write(FsNode *node)
{
    return proxy_hello_of(proxy_fs(node))->features & PROXY_FEATURE_WRITE;
}

ssize_t coroutine_fn proxy_write(FsCall *call, FsFile *file,
                                 const struct iovec *iov, int niov,
                                 uint64_t offset)
{
    ProxyNode *n = proxy_node(file->node);
    bool set_id = n->set_ids > 0 || n->writes == UINT16_MAX;
    ssize_t ret = 0;

    if (!has_write(file->node)) {
        return host_file_write(call, file, iov, niov, offset);
    }
    if (!set_id) {
        n->writes++;
        ret = host_file_write_plain(call, file, iov, niov, offset, &set_id);
        n->writes--;
    }
    if (set_id) {
        ret = write_in_helper(call, file, iov, niov, offset);
        if (ret == -EACCES) {
            ret = host_file_write(call, file, iov, niov, offset);
        }
    }
    return ret;
}
