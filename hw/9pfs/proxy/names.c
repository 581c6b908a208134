/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Operations of the proxy driver that change names. If the helper was lost
 * during a try, the operation does not know whether that try succeeded. It then
 * decides by the result of the next try, and by a lookup of the name.
 */
#include "qemu/osdep.h"
#include "ops.h"

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
    return proxy_call_empty(&req);
}

int coroutine_fn proxy_link(FsCall *call, FsNode *node, FsNode *dir,
                            const char *name)
{
    g_auto(ProxyNodeTry) t = PROXY_NODE_TRY(call, dir, node);
    int ret;

    while (proxy_node_try(&t, &ret)) {
        ret = link_once(call, node, dir, name);
    }
    if (ret == -EEXIST && t.t.doubt && proxy_name_is(call, dir, name, node)) {
        ret = 0;                /* an earlier try did it */
    }
    if (ret == 0) {
        proxy_node_named(node, dir, name);
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

    /* A lookup of the next try must not wait for this very rename. */
    fs_rename_end(r, -EAGAIN);
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
    return proxy_call_empty(&req);
}

int coroutine_fn proxy_rename(FsCall *call, FsNode *olddir,
                              const char *oldname, FsNode *newdir,
                              const char *newname)
{
    g_autoptr(FsNode) node = fs_entry_node(olddir, oldname);
    g_autoptr(FsNode) victim = fs_entry_node(newdir, newname);
    g_auto(ProxyNodeTry) t = PROXY_NODE_TRY(call, olddir, newdir, victim);
    FsRename r = { };
    int ret;

    while (proxy_node_try(&t, &ret)) {
        ret = rename_once(call, olddir, oldname, newdir, newname, victim, &r);
    }
    if (node && ret == -ENOENT && t.t.doubt) {
        /* Nor must this lookup wait for it. */
        fs_rename_end(&r, -EAGAIN);
        if (proxy_name_is(call, newdir, newname, node)) {
            ret = 0;            /* an earlier try did it */
            fs_rename_begin(&r, olddir, oldname, newdir, newname);
        }
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
    return proxy_call_empty(&req);
}

int coroutine_fn proxy_unlink(FsCall *call, FsNode *dir, const char *name,
                              bool rmdir, FsNode *expect)
{
    g_autoptr(FsNode) victim = fs_entry_node(dir, name);
    g_auto(ProxyNodeTry) t = PROXY_NODE_TRY(call, dir, expect, victim);
    int ret;

    while (proxy_node_try(&t, &ret)) {
        ret = unlink_once(call, dir, name, rmdir, expect, victim);
    }
    if (ret == -ENOENT && t.t.doubt) {
        ret = 0;                /* an earlier try did it */
    }
    return ret;
}
