/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Nodes of the proxy driver in protocol version 1: see node.h.
 */
#include "qemu/osdep.h"
#include "hw/9pfs/fs/walk.h"
#include "calls.h"
#include "node.h"

/*
 * Nodes
 */

void proxy_v1_node_free(FsNode *node)
{
    ProxyV1Node *n = proxy_v1_node(node);
    int i;

    for (i = 0; i < PROXY_V1_SPARE_NAMES; i++) {
        if (n->spare[i]) {
            fs_entry_put(n->spare[i]);
        }
    }
    g_free(n);
}

FsNode *proxy_v1_node_new(FsExport *fs, const FsAttr *attr)
{
    ProxyV1Node *n = g_new0(ProxyV1Node, 1);

    n->uid = attr->uid;
    n->gid = attr->gid;
    fs_node_init(&n->node, fs, attr);
    return &n->node;
}

void proxy_v1_add_spare(FsNode *node, FsNode *dir, const char *name)
{
    FsEntry **spare = proxy_v1_node(node)->spare;
    FsEntry **room = NULL;
    FsEntry *entry;
    int i;

    if (S_ISDIR(node->type)) {
        return;
    }
    entry = fs_entry_get(dir->fs, dir, name, node);
    for (i = 0; i < PROXY_V1_SPARE_NAMES && spare[i] != entry; i++) {
        if (!spare[i] || spare[i]->gone) {
            room = &spare[i];
        }
    }
    if (i < PROXY_V1_SPARE_NAMES || !room || entry == fs_node_where(node)) {
        fs_entry_put(entry);
        return;
    }
    if (*room) {
        fs_entry_put(*room);
    }
    *room = entry;
}

FsNode *proxy_v1_node_accept(FsNode *dir, const char *name, const FsAttr *attr)
{
    FsExport *fs = dir->fs;
    FsNode *node = fs_node_find(fs, attr->dev, attr->ino);
    FsEntry *where;

    if (node && node != fs->root && node->type != (attr->mode & S_IFMT)) {
        /* The inode number belongs to another file now. */
        fs_node_detach(node);
        fs_node_unref(node);
        node = NULL;
    }
    if (!node) {
        node = proxy_v1_node_new(fs, attr);
        fs_node_init_where(node, fs_entry_get(fs, dir, name, node));
    } else if (node != fs->root) {
        where = fs_node_where(node);
        /* A directory has only one name, which is this one now. */
        if (!where || (S_ISDIR(node->type) &&
                       !fs_entry_is(where, dir, name))) {
            fs_node_set_where(node, fs_entry_get(fs, dir, name, node));
        } else {
            proxy_v1_add_spare(node, dir, name);
        }
    }
    proxy_v1_node(node)->uid = attr->uid;
    proxy_v1_node(node)->gid = attr->gid;
    return node;
}

/*
 * Paths
 */

/* Builds the node's path. -ESTALE if it has no name. */
static int make_path(FsNode *node, ProxyV1Path path)
{
    char *start = path + PATH_MAX - 1;
    FsNode *root = node->fs->root;
    size_t len;

    *start = '\0';
    while (node != root) {
        FsEntry *entry = fs_node_where(node);

        if (!entry || node->detached) {
            return -ESTALE;
        }
        len = strlen(entry->name);
        if ((size_t)(start - path) < len + 1) {
            return -ENAMETOOLONG;
        }
        start -= len;
        memcpy(start, entry->name, len);
        *--start = '/';
        node = entry->parent;
    }
    if (!*start) {
        *--start = '/';
    }
    memmove(path, start, path + PATH_MAX - start);
    return 0;
}

int proxy_v1_add_name(ProxyV1Path path, const char *name)
{
    size_t len = strlen(path);
    size_t more = strlen(name);

    if (len == 1) {
        len = 0;                /* the root's */
    }
    if (len + 1 + more >= PATH_MAX) {
        return -ENAMETOOLONG;
    }
    path[len] = '/';
    memcpy(path + len + 1, name, more + 1);
    return 0;
}

bool proxy_v1_same_inode(const FsNode *node, const FsAttr *attr)
{
    return attr->dev == node->dev && attr->ino == node->ino &&
           (attr->mode & S_IFMT) == node->type;
}

/* @node's name is wrong: drops it if the node has another. False: none. */
static bool other_name(FsNode *node)
{
    FsEntry *entry = fs_node_where(node);

    if (!entry || !fs_node_has_other_entry(node, entry)) {
        return false;
    }
    fs_entry_gone(entry);
    return true;
}

int coroutine_fn proxy_v1_find(ProxyRequest *req, FsNode *node,
                               ProxyV1Path path, FsAttr *attr)
{
    int ret;

    do {
        ret = make_path(node, path);
        if (ret < 0) {
            return ret;
        }
        ret = proxy_v1_lstat(req, path, attr);
        if (ret == 0 && proxy_v1_same_inode(node, attr)) {
            proxy_v1_node(node)->uid = attr->uid;
            proxy_v1_node(node)->gid = attr->gid;
            return 0;
        }
        if (ret < 0 && ret != -ENOENT && ret != -ENOTDIR) {
            return ret;
        }
    } while (other_name(node));
    return -ESTALE;
}

int coroutine_fn proxy_v1_find_dir(ProxyRequest *req, FsNode *dir,
                                   ProxyV1Path path)
{
    FsAttr attr;

    if (dir->detached) {
        return -ENOENT;         /* as in any removed directory */
    }
    return dir == dir->fs->root ? make_path(dir, path)
                                : proxy_v1_find(req, dir, path, &attr);
}

int coroutine_fn proxy_v1_find_in(ProxyRequest *req, FsNode *dir,
                                  const char *name, ProxyV1Path path)
{
    int ret = proxy_v1_find_dir(req, dir, path);

    return ret < 0 ? ret : proxy_v1_add_name(path, name);
}

int coroutine_fn proxy_v1_begin_node(ProxyRequest *req, FsCall *call,
                                     FsNode *node, ProxyV1Path path,
                                     FsAttr *attr)
{
    int ret = proxy_v1_begin(proxy_v1_channel(node), call, req);

    if (ret < 0) {
        return ret;
    }
    ret = proxy_v1_find(req, node, path, attr);
    if (ret < 0) {
        proxy_v1_end(req);
    }
    return ret;
}

int coroutine_fn proxy_v1_begin_in(ProxyRequest *req, FsCall *call,
                                   FsNode *dir, const char *name,
                                   ProxyV1Path path)
{
    int ret = proxy_v1_begin(proxy_v1_channel(dir), call, req);

    if (ret < 0) {
        return ret;
    }
    ret = proxy_v1_find_in(req, dir, name, path);
    if (ret < 0) {
        proxy_v1_end(req);
    }
    return ret;
}

/*
 * Walking
 */

static int coroutine_fn step_up(ProxyRequest *req, FsWalker *w,
                                ProxyV1Path path, FsAttr *attr)
{
    FsNode *up = w->at;
    FsEntry *entry;
    int ret;

    if (up != up->fs->root) {
        entry = fs_node_where(up);
        if (!entry) {
            return -ESTALE;
        }
        up = entry->parent;
    }
    fs_node_ref(up);
    ret = proxy_v1_find(req, up, path, attr);
    if (ret < 0) {
        fs_node_unref(up);
        return ret;
    }
    fs_walker_up(w, up);
    return 0;
}

static int coroutine_fn step_down(ProxyRequest *req, FsWalker *w,
                                  ProxyV1Path path, const char *name,
                                  FsAttr *attr)
{
    int ret;

    /* Within a path the helper would follow a symbolic link. */
    if (!S_ISDIR(w->at->type)) {
        return -ENOTDIR;
    }
    ret = proxy_v1_add_name(path, name);
    if (ret == 0) {
        ret = proxy_v1_lstat(req, path, attr);
    }
    if (ret < 0) {
        return ret;
    }
    fs_walker_down(w, proxy_v1_node_accept(w->at, name, attr));
    return 0;
}

int coroutine_fn proxy_v1_walk(FsCall *call, FsNode *dir,
                               const char *const *names, unsigned n,
                               FsWalk *walk)
{
    ProxyRequest req;
    ProxyV1Path path;
    FsWalker w;
    int ret;

    walk->walked = 0;
    walk->node = walk->parent = NULL;
    ret = proxy_v1_begin(proxy_v1_channel(dir), call, &req);
    if (ret < 0) {
        return ret;
    }
    fs_walker_start(&w, dir);
    ret = proxy_v1_find_dir(&req, dir, path);
    while (ret == 0 && w.done < n) {
        const char *name = names[w.done];
        FsAttr *attr = &walk->attr[w.done];

        ret = strcmp(name, "..") ? step_down(&req, &w, path, name, attr)
                                 : step_up(&req, &w, path, attr);
    }
    proxy_v1_end(&req);
    return fs_walker_end(&w, ret, walk);
}

/*
 * Open files
 */

FsFile *proxy_v1_any_file(FsNode *node, FsFile *file, bool write)
{
    GSList *at;

    if (file && (!write || fs_file_flags_write(file->flags))) {
        return file;
    }
    for (at = proxy_v1_node(node)->files; at; at = at->next) {
        file = at->data;
        if (!write || fs_file_flags_write(file->flags)) {
            return file;
        }
    }
    return NULL;
}

int coroutine_fn proxy_v1_file_run(ProxyV1FileWork *work, FsFile *file,
                                   ThreadPoolFunc *func)
{
    int ret;

    work->file = fs_file_ref(file);
    ret = host_pool_run(file->node->dev, func, work);
    fs_file_unref(file);
    return ret;
}
