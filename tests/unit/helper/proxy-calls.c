/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Single requests to virtfs-proxy-helper: see proxy-calls.h.
 */
#include "qemu/osdep.h"
#include "proxy-calls.h"

uint64_t node_of(ProxyFixture *f, const char *path)
{
    PcNode node;

    g_assert_cmpint(pc_walk(f->c, path, &node, NULL), ==, 0);
    if (node.fd >= 0) {
        close(node.fd);
    }
    return node.handle;
}

int call_handle(ProxyClient *c, unsigned type, uint64_t handle)
{
    marshal_put_u64(pc_begin(c), handle);
    return pc_call(c, type);
}

int call_open(ProxyClient *c, uint64_t handle, int flags, int *fd)
{
    MarshalWriter *w = pc_begin(c);
    int ret;

    marshal_put_u64(w, handle);
    marshal_put_u32(w, flags);
    ret = pc_call(c, PROXY_OPEN);
    if (ret == 0) {
        g_assert_cmpint(c->nfds, ==, 1);
        g_assert_true(marshal_done(&c->in));
        *fd = c->fds[0];
    }
    return ret;
}

int call_readdir(ProxyClient *c, uint64_t handle, GPtrArray *names)
{
    uint64_t offset = 0;
    bool more;
    int ret;

    do {
        marshal_put_u64(pc_begin(c), handle);
        marshal_put_u64(&c->out, offset);
        ret = pc_call(c, PROXY_READDIR);
        if (ret < 0) {
            return ret;
        }
        more = marshal_left(&c->in);
        while (marshal_left(&c->in)) {
            uint64_t ino = marshal_get_u64(&c->in);
            const char *name;

            offset = marshal_get_u64(&c->in);
            marshal_get_u8(&c->in);
            name = marshal_get_str(&c->in, NULL);
            g_assert_true(marshal_ok(&c->in) && ino);
            if (names) {
                g_ptr_array_add(names, g_strdup(name));
            }
        }
    } while (more);
    return 0;
}

int call_create(ProxyClient *c, uint64_t dir, const char *name,
                       int flags, uint32_t mode, FsAttr *attr, PcNode *node,
                       int *fd)
{
    MarshalWriter *w = pc_begin(c);
    unsigned next = 0;
    int ret;

    marshal_put_u64(w, dir);
    marshal_put_str(w, name);
    marshal_put_u32(w, flags);
    marshal_put_u32(w, mode);
    marshal_put_u32(w, GUEST_UID);
    marshal_put_u32(w, GUEST_GID);
    ret = pc_call(c, PROXY_CREATE);
    if (ret == 0) {
        proxy_get_attr(&c->in, attr);
        pc_get_node(c, node, &next);
        g_assert_true(marshal_done(&c->in));
        g_assert_cmpint(c->nfds, ==, next + 1);
        *fd = c->fds[next];
    }
    return ret;
}

int call_make(ProxyClient *c, uint64_t dir, const char *name,
                     uint32_t mode, uint64_t rdev, const char *target,
                     FsAttr *attr)
{
    MarshalWriter *w = pc_begin(c);
    int ret;

    marshal_put_u64(w, dir);
    marshal_put_str(w, name);
    marshal_put_u32(w, mode);
    marshal_put_u32(w, GUEST_UID);
    marshal_put_u32(w, GUEST_GID);
    marshal_put_u64(w, rdev);
    marshal_put_str(w, target);
    ret = pc_call(c, PROXY_MAKE);
    if (ret == 0) {
        proxy_get_attr(&c->in, attr);
        g_assert_true(marshal_done(&c->in));
    }
    return ret;
}

int call_link(ProxyClient *c, uint64_t node, uint64_t dir,
                     const char *name)
{
    MarshalWriter *w = pc_begin(c);

    marshal_put_u64(w, node);
    marshal_put_u64(w, dir);
    marshal_put_str(w, name);
    return pc_call(c, PROXY_LINK);
}

int call_rename(ProxyClient *c, uint64_t old_dir, const char *old_name,
                       uint64_t new_dir, const char *new_name)
{
    MarshalWriter *w = pc_begin(c);

    marshal_put_u64(w, old_dir);
    marshal_put_str(w, old_name);
    marshal_put_u64(w, new_dir);
    marshal_put_str(w, new_name);
    return pc_call(c, PROXY_RENAME);
}

int call_unlink(ProxyClient *c, uint64_t dir, const char *name,
                       bool rmdir, uint64_t expect)
{
    MarshalWriter *w = pc_begin(c);

    marshal_put_u64(w, dir);
    marshal_put_str(w, name);
    marshal_put_u8(w, rmdir);
    marshal_put_u64(w, expect);
    return pc_call(c, PROXY_UNLINK);
}

int call_setattr(ProxyClient *c, uint64_t node, const FsSetAttr *set)
{
    MarshalWriter *w = pc_begin(c);

    marshal_put_u64(w, node);
    proxy_put_setattr(w, set);
    return pc_call(c, PROXY_SETATTR);
}

int call_getxattr(ProxyClient *c, uint64_t node, bool list,
                         const char *name)
{
    MarshalWriter *w = pc_begin(c);

    marshal_put_u64(w, node);
    marshal_put_u8(w, list);
    marshal_put_str(w, name);
    return pc_call(c, PROXY_GETXATTR);
}

int call_setxattr(ProxyClient *c, uint64_t node, const char *name,
                         uint32_t flags, const void *value, size_t size)
{
    MarshalWriter *w = pc_begin(c);

    marshal_put_u64(w, node);
    marshal_put_str(w, name);
    marshal_put_u32(w, flags);
    marshal_put_u32(w, size);
    marshal_put_bytes(w, value, size);
    return pc_call(c, PROXY_SETXATTR);
}

int call_removexattr(ProxyClient *c, uint64_t node, const char *name)
{
    MarshalWriter *w = pc_begin(c);

    marshal_put_u64(w, node);
    marshal_put_str(w, name);
    return pc_call(c, PROXY_REMOVEXATTR);
}
