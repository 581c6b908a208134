/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Operations of the proxy driver in protocol version 1 that change names.
 */
#include "qemu/osdep.h"
#include "calls.h"
#include "node.h"

/* The inode with @attr lost a name: if it was the last, drops the node. */
static void name_gone(FsExport *fs, const FsAttr *attr)
{
    FsNode *node;

    if (!S_ISDIR(attr->mode) && attr->nlink > 1) {
        return;
    }
    node = fs_node_find(fs, attr->dev, attr->ino);
    if (node) {
        /* The host may reuse the inode number. */
        fs_node_detach(node);
        fs_node_unref(node);
    }
}

int coroutine_fn proxy_v1_link(FsCall *call, FsNode *node, FsNode *dir,
                               const char *name)
{
    ProxyRequest req;
    ProxyV1Path old, new;
    FsAttr attr;
    int ret;

    ret = proxy_v1_begin_in(&req, call, dir, name, new);
    if (ret < 0) {
        return ret;
    }
    ret = proxy_v1_find(&req, node, old, &attr);
    if (ret == 0) {
        ret = proxy_v1_two_paths(&req, PROXY_V1_LINK, old, new);
    }
    if (ret == 0) {
        proxy_v1_add_spare(node, dir, name);
    }
    proxy_v1_end(&req);
    return ret;
}

static int coroutine_fn rename_found(ProxyRequest *req, FsExport *fs,
                                     const char *old, const char *new)
{
    FsAttr moved, over;
    bool replaces;
    int ret;

    ret = proxy_v1_lstat(req, old, &moved);
    if (ret < 0) {
        return ret;
    }
    ret = proxy_v1_lstat(req, new, &over);
    if (ret < 0 && ret != -ENOENT) {
        return ret;
    }
    /* rename(2) does nothing to two names of the same inode */
    replaces = ret == 0 && (moved.dev != over.dev || moved.ino != over.ino);
    ret = proxy_v1_two_paths(req, PROXY_V1_RENAME, old, new);
    if (ret == 0 && replaces) {
        name_gone(fs, &over);
    }
    return ret;
}

int coroutine_fn proxy_v1_rename(FsCall *call, FsNode *olddir,
                                 const char *oldname, FsNode *newdir,
                                 const char *newname)
{
    FsExport *fs = olddir->fs;
    ProxyRequest req;
    FsRename r = { };
    ProxyV1Path old, new;
    int ret;

    ret = proxy_v1_begin_in(&req, call, olddir, oldname, old);
    if (ret < 0) {
        return ret;
    }
    ret = proxy_v1_find_in(&req, newdir, newname, new);
    if (ret == 0) {
        fs_rename_begin(&r, olddir, oldname, newdir, newname);
        ret = rename_found(&req, fs, old, new);
    }
    fs_rename_end(&r, ret);
    proxy_v1_end(&req);
    return ret;
}

int coroutine_fn proxy_v1_unlink(FsCall *call, FsNode *dir, const char *name,
                                 bool rmdir, FsNode *expect)
{
    ProxyRequest req;
    FsAttr attr;
    ProxyV1Path path;
    int ret;

    ret = proxy_v1_begin_in(&req, call, dir, name, path);
    if (ret < 0) {
        return ret;
    }
    /* REMOVE removes files and directories alike: check the type first. */
    ret = proxy_v1_lstat(&req, path, &attr);
    if (ret == 0) {
        if (expect && !proxy_v1_same_inode(expect, &attr)) {
            ret = -ESTALE;
        } else if (S_ISDIR(attr.mode) != rmdir) {
            ret = rmdir ? -ENOTDIR : -EISDIR;
        } else {
            ret = proxy_v1_remove(&req, path);
        }
    }
    if (ret == 0) {
        name_gone(dir->fs, &attr);
    }
    proxy_v1_end(&req);
    return ret;
}
