/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The requests of the proxy channel for extended attributes: see requests.c.
 */
#include "qemu/osdep.h"
#include "requests-internal.h"
#include <sys/xattr.h>

int request_getxattr(Request *rq)
{
    uint64_t handle = marshal_get_u64(&rq->in);
    bool list = marshal_get_u8(&rq->in);
    const char *name = marshal_get_str(&rq->in, NULL);
    uint8_t *size, *value;
    MarshalWriter size_out;
    ssize_t len;
    int node;

    node = request_use(rq, handle);
    if (node < 0) {
        return node;
    }
    if (list && *name) {
        return -EINVAL;
    }

    /* Straight into the reply, at the maximum size, then cut to the length. */
    size = marshal_reserve(&rq->out, 4);
    value = marshal_reserve(&rq->out, FS_XATTR_MAX);
    if (!size || !value) {
        return -EMSGSIZE;
    }
    len = hostfs_getxattr(&rq->export->fs, node, list ? NULL : name, value,
                          FS_XATTR_MAX);
    if (len < 0) {
        return len;
    }
    marshal_writer_init(&size_out, size, 4);
    marshal_put_u32(&size_out, len);
    marshal_cut(&rq->out, marshal_size(&rq->out) - FS_XATTR_MAX + len);
    return 0;
}

int request_setxattr(Request *rq)
{
    uint64_t handle = marshal_get_u64(&rq->in);
    const char *name = marshal_get_str(&rq->in, NULL);
    uint32_t flags = marshal_get_u32(&rq->in);
    uint32_t size = marshal_get_u32(&rq->in);
    const void *value = marshal_get_bytes(&rq->in, size);
    int node;

    node = request_use(rq, handle);
    if (node < 0) {
        return node;
    }
    if (flags & ~(XATTR_CREATE | XATTR_REPLACE)) {
        return -EINVAL;
    }
    return hostfs_setxattr(&rq->export->fs, node, name, value, size, flags);
}

int request_removexattr(Request *rq)
{
    uint64_t handle = marshal_get_u64(&rq->in);
    const char *name = marshal_get_str(&rq->in, NULL);
    int node;

    node = request_use(rq, handle);
    return node < 0 ? node :
           hostfs_removexattr(&rq->export->fs, node, name);
}
