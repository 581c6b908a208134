/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Nodes of the proxy driver by name: found for the first time, and again.
 *
 * Theory of operation. QEMU looks names up itself, in directories of which it
 * has descriptors, as long as it may and the lookup does not wait. The rest of
 * a walk goes to the helper, two names a message, so that every node learns its
 * name; or all in one message if no names are needed, because the guest does
 * not migrate and there is no reconnect=.
 *
 * A helper may go away and another one take its place (link.h). A handle
 * belongs to one helper. A node with an earlier helper's handle gets a new one
 * when an operation needs it: QEMU walks by name from the nearest directory
 * with a handle of the new helper, at the latest from the root. The walk must
 * lead to the node's inode. No helper adopts descriptors on an earlier helper's
 * mount. Nodes remember their names for this purpose. They also need them when
 * the helper has no descriptors left for handles: then unused nodes lose their
 * handles, and QEMU finds them again in the same way. Nodes that a migration
 * brought have no handle either.
 *
 * A node may have the host's file handle: one that a migration brought, or one
 * from before the budget closed its descriptor. The helper tries that before
 * names, because it also leads to files that the host renamed, and to files
 * without a name. It is not trusted, and the helper gives it back to no
 * inode outside the export: see FIND in fsdev/shared/proto.h. If it does not
 * lead to the node's inode, QEMU forgets it.
 *
 * If the budget closed a node's descriptor, QEMU makes it again, also by name,
 * from the nearest directory with a descriptor and without the helper.
 */
#include "qemu/osdep.h"
#include "hw/9pfs/fs/walk.h"
#include "node.h"

/*
 * How many nodes may remember names. Each name keeps the nodes above it, and a
 * helper could invent an endless tree.
 */
#define NAMED_MAX           (4 * 1024 * 1024)

/* Directories above a node through which QEMU finds its descriptor again */
#define FIND_FD_MAX         64

void proxy_node_named(FsNode *node, FsNode *dir, const char *name)
{
    FsEntry *where;

    if (!strcmp(name, "..") ||
        fs_nodes_count(&node->fs->nodes) > NAMED_MAX) {
        return;
    }
    where = fs_node_where(node);
    /* A directory has only one name, which is this one now. */
    if (!where || (S_ISDIR(node->type) && fs_entries_current(node->fs) &&
                   !fs_entry_is(where, dir, name))) {
        fs_node_set_where(node, fs_entry_get(node->fs, dir, name, node));
    }
}

static void coroutine_fn find_path_fd(FsNode *node);

int coroutine_fn proxy_node_get_fd(FsNode *node)
{
    if (proxy_node(node)->path_fd.fd < 0) {
        find_path_fd(node);
    }
    return proxy_node_use_fd(node);
}

int coroutine_fn proxy_node_lookup_fd(FsNode *node)
{
    /* Without a helper, lookups fail or wait, as the options say. */
    if (!proxy_fs(node)->mount ||
        proxy_channel_broken(proxy_channel_of(node))) {
        return -1;
    }
    return proxy_node_get_fd(node);
}

int coroutine_fn proxy_node_nowait_fd(FsNode *node)
{
    ProxyFs *ps = proxy_fs(node);
    int fd = proxy_node_lookup_fd(node);

    return host_dev_wait(&ps->devs, node->dev, HOST_WORK_READ) ==
           HOST_WAIT_NEVER ? fd : -1;
}

/*
 * Looks @name up without the helper: 0, -ENOENT or -ENOTDIR as the kernel says,
 * or -EAGAIN if QEMU must ask the helper.
 */
static int coroutine_fn step_in_qemu(FsNode *dir, const char *name,
                                     FsNode **node, FsAttr *attr)
{
    ProxyFs *ps = proxy_fs(dir);
    HostWait wait;
    ProxyNode *n;
    FsNode *known;
    int at, fd;

    at = proxy_node_lookup_fd(dir);
    if (at < 0) {
        return -EAGAIN;
    }
    wait = host_dev_wait(&ps->devs, dir->dev, HOST_WORK_LOOKUP);
    fd = hostfs_step(&proxy_own_fs, at, name, wait, attr);
    if (fd < 0) {
        if (fd == -EMFILE) {
            host_fds_relieve();
        }
        return fd == -ENOENT || fd == -ENOTDIR ? fd : -EAGAIN;
    }
    if (host_dev_learn(&ps->devs, fd, attr->dev) < HOST_DEV_STORAGE) {
        host_pool_close(fd);
        return -EAGAIN;
    }
    if (!proxy_attr_inside(ps, attr)) {
        host_pool_close(fd);
        return -EAGAIN;
    }
    known = proxy_node_known(dir->fs, attr);
    if (known && known->type != (attr->mode & S_IFMT)) {
        fs_node_unref(known);
        host_pool_close(fd);
        return -EAGAIN;         /* proxy_node_accept() reports that */
    }
    n = known ? proxy_node(known) : proxy_node_new(dir->fs, attr);
    if (n->path_fd.fd < 0) {
        n->new_fd = false;
        host_fd_set(&n->path_fd, fd);
        proxy_node_drop_file_handle(n);
    } else {
        host_fd_use(&n->path_fd);
        close(fd);
    }
    proxy_node_named(&n->node, dir, name);
    *node = &n->node;
    return 0;
}

/*
 * Finding descriptors again
 */

typedef struct PathFdFinder {
    unsigned looked;            /* at nodes on the way */
} PathFdFinder;

/* FsFinder.ready */
static bool has_path_fd(FsNode *node, void *opaque)
{
    PathFdFinder *f = opaque;
    bool has = proxy_node(node)->path_fd.fd >= 0;

    f->looked += !has;
    return has;
}

/* FsFinder.step: looks @entry up in its directory, which has a descriptor. */
static int coroutine_fn entry_find_path_fd(FsEntry *entry, void *opaque)
{
    g_autofree char *name = g_strdup(entry->name);
    g_autoptr(FsNode) dir = fs_node_ref(entry->parent);
    g_autoptr(FsNode) node = NULL;
    FsNode *expected = entry->node;
    PathFdFinder *f = opaque;
    FsAttr attr;

    return f->looked <= FIND_FD_MAX &&
           step_in_qemu(dir, name, &node, &attr) == 0 &&
           node == expected ? 0 : -ESTALE;
}

/*
 * Makes a node's descriptor again, by name and without the helper, and before
 * it those of the directories on the way. If this fails, the node has none.
 */
static void coroutine_fn find_path_fd(FsNode *node)
{
    static const FsFinder finder = {
        .ready = has_path_fd, .step = entry_find_path_fd, .max = FIND_FD_MAX,
    };
    PathFdFinder f = { };

    if (proxy_fs(node)->mount) {
        fs_find_again(&finder, node, &f);
    }
}

/*
 * Walking with the helper
 */

/* The nodes in a walk's reply, before the driver has checked them */
typedef struct WalkReply {
    ProxyNodeReply node;
    ProxyNodeReply parent;      /* none after "..", and for a single name */
} WalkReply;

/* Whether the reply to a walk has a node for the directory of the last name */
static bool has_parent(const char *const *names, unsigned n)
{
    return n > 1 && strcmp(names[n - 1], "..") != 0;
}

/* Reads the reply, and ends the request. */
static int get_walk(ProxyRequest *req, const char *const *names, unsigned n,
                    FsWalk *walk, WalkReply *wr)
{
    bool want_parent = has_parent(names, n);
    unsigned i, walked = marshal_get_u16(&req->r);
    int ret;

    if (walked == 0 || walked > n) {
        marshal_fail(&req->r);
        walked = 0;
    }
    for (i = 0; i < walked; i++) {
        proxy_get_good_attr(req, &walk->attr[i]);
    }
    if (walked == n) {
        proxy_get_node(req, &wr->node);
        proxy_get_node(req, &wr->parent);
        if (!wr->node.handle || !wr->parent.handle != !want_parent ||
            (want_parent && !S_ISDIR(walk->attr[n - 2].mode))) {
            marshal_fail(&req->r);
        }
    }
    ret = proxy_finish(req);
    if (ret < 0) {
        proxy_close_fd(wr->node.fd);
        proxy_close_fd(wr->parent.fd);
        return ret;
    }
    walk->walked = walked;
    if (walked == n) {
        return 0;
    }
    /* The reply has no error for the name that was not found. */
    return S_ISDIR(walk->attr[walked - 1].mode) ? -ENOENT : -ENOTDIR;
}

/* Makes nodes from the walk's reply. */
static int accept_walk(FsNode *dir, const char *const *names, unsigned n,
                       FsWalk *walk, WalkReply *wr)
{
    FsExport *fs = dir->fs;
    int ret = proxy_node_accept(fs, &wr->node, &walk->attr[n - 1],
                                &walk->node);

    if (ret < 0) {
        proxy_node_refuse(fs->priv, &wr->parent);
    } else if (has_parent(names, n)) {
        ret = proxy_node_accept(fs, &wr->parent, &walk->attr[n - 2],
                                &walk->parent);
    } else if (strcmp(names[n - 1], "..") != 0) {
        walk->parent = fs_node_ref(dir);
    }
    if (ret < 0) {
        g_clear_pointer(&walk->node, fs_node_unref);
        walk->walked = 0;
        return ret;
    }
    if (walk->parent && n == 2) {
        proxy_node_named(walk->parent, dir, names[0]);
    }
    if (walk->parent) {
        proxy_node_named(walk->node, walk->parent, names[n - 1]);
    }
    return 0;
}

/* Asks the helper to walk from @dir, which has a handle. */
static int coroutine_fn walk_from(FsCall *call, FsNode *dir,
                                  const char *const *names, unsigned n,
                                  FsWalk *walk)
{
    WalkReply wr = { .node.fd = -1, .parent.fd = -1 };
    ProxyRequest req;
    unsigned i;
    int ret;

    walk->walked = 0;
    walk->node = walk->parent = NULL;
    ret = proxy_begin(proxy_channel_of(dir), call, &req, PROXY_WALK, 0);
    if (ret < 0) {
        return ret;
    }
    marshal_put_u64(&req.w, proxy_handle_of(dir));
    marshal_put_u16(&req.w, n);
    for (i = 0; i < n; i++) {
        marshal_put_str(&req.w, names[i]);
    }
    ret = proxy_call(&req);
    if (ret == 0) {
        ret = get_walk(&req, names, n, walk, &wr);
    }
    if (ret == 0) {
        ret = accept_walk(dir, names, n, walk, &wr);
    }
    return ret;
}

/*
 * Finding handles again
 */

/* Whether @attr, from the helper, is of @node's inode */
static bool is_found(FsNode *node, const FsAttr *attr)
{
    uint64_t expected = proxy_node(node)->born;
    uint64_t born = fs_attr_born(attr);

    return attr->dev == node->dev && attr->ino == node->ino &&
           (attr->mode & S_IFMT) == node->type &&
           (!born || !expected || born == expected);
}

/* Reads the reply to a FIND, and takes the handle for @node. */
static int get_found(ProxyRequest *req, FsNode *node)
{
    ProxyNodeReply nr = { .fd = -1 };
    FsNode *found;
    FsAttr attr;
    int ret;

    proxy_get_good_attr(req, &attr);
    proxy_get_node(req, &nr);
    if (!nr.handle) {
        marshal_fail(&req->r);
    }
    ret = proxy_finish(req);
    if (ret < 0) {
        proxy_close_fd(nr.fd);
        return ret;
    }
    if (node->detached || !is_found(node, &attr)) {
        proxy_node_refuse(node->fs->priv, &nr);
        return -ESTALE;
    }
    ret = proxy_node_accept(node->fs, &nr, &attr, &found);
    if (ret == 0) {
        ret = found == node ? 0 : -ESTALE;
        fs_node_unref(found);
    }
    return ret;
}

/*
 * Asks the helper for the node's inode by its file handle. 0, or -ESTALE if
 * there is no file handle, or none any more because it was of no use; else
 * another -errno.
 */
static int coroutine_fn find_by_file_handle(FsCall *call, FsNode *node)
{
    g_autofree struct file_handle *fh = NULL;
    ProxyNode *n = proxy_node(node);
    int ret = -ESTALE;
    ProxyRequest req;

    fs_node_ref(node);
    if (n->file_handle && proxy_fs(node)->file_handles) {
        fh = file_handle_copy(n->file_handle);
        ret = proxy_begin(proxy_channel_of(node), call, &req, PROXY_FIND, 0);
    }
    if (ret == 0) {
        marshal_put_u32(&req.w, fh->handle_type);
        marshal_put_u32(&req.w, fh->handle_bytes);
        marshal_put_bytes(&req.w, fh->f_handle, fh->handle_bytes);
        ret = proxy_call(&req);
    }
    if (ret == 0) {
        ret = get_found(&req, node);
    }
    if (ret == -ESTALE) {
        proxy_node_drop_file_handle(n);
    }
    fs_node_unref(node);
    return ret;
}

/* FsFinder.ready; asks the helper to adopt a descriptor, if there is one. */
static bool has_handle(FsNode *node, void *opaque)
{
    return proxy_node_has_handle(node) ||
           proxy_node_adopt(proxy_fs(node), proxy_node(node));
}

/* FsFinder.step: asks the helper for @entry in a directory with a handle. */
static int coroutine_fn entry_find(FsEntry *entry, void *opaque)
{
    g_autofree char *name = g_strdup(entry->name);
    const char *names[] = { name };
    FsNode *dir = fs_node_ref(entry->parent);
    FsExport *fs = dir->fs;
    FsNode *node = NULL;
    FsCall *call = opaque;
    FsWalk walk;
    int ret;

    if (proxy_node(entry->node)->file_handle) {
        ret = find_by_file_handle(call, entry->node);
        fs_node_unref(dir);
        return ret == -ESTALE ? 0 : ret;    /* look again, by name */
    }
    fs_entry_ref(entry);
    proxy_node_pin(dir);
    ret = walk_from(call, dir, names, 1, &walk);
    proxy_node_unpin(dir);
    if (ret == 0) {
        node = walk.node;
        fs_node_unref(walk.parent);
    }
    if ((ret == 0 && node == entry->node) || !fs_entry_is(entry, dir, name)) {
        ret = 0;                /* found, or renamed since: look again */
    } else if (ret == 0 || ret == -ENOENT || ret == -ENOTDIR) {
        ret = fs_rename_wait(fs);
        if (ret == 0) {
            fs_entry_gone(entry);
        }
        ret = MIN(ret, 0);
    }
    if (node) {
        fs_node_unref(node);
    }
    fs_entry_put(entry);
    fs_node_unref(dir);
    return ret;
}

/*
 * Gets the node a handle of the present helper: the helper adopts the node's
 * descriptor, or finds the node again, by its file handle or by name after the
 * directories on the way. -ESTALE if neither leads to it.
 */
static int coroutine_fn node_find(FsCall *call, FsNode *node)
{
    static const FsFinder finder = {
        .ready = has_handle, .step = entry_find,
    };

    if (proxy_node(node)->file_handle && !node->detached) {
        int ret = find_by_file_handle(call, node);

        if (ret != -ESTALE) {
            return ret;
        }
    }
    return fs_find_again(&finder, node, call);
}

/* The same for all nodes of an operation; @b and @c may be NULL. */
static int coroutine_fn nodes_find(FsCall *call, FsNode *a, FsNode *b,
                                   FsNode *c)
{
    FsNode *nodes[] = { a, b, c };
    unsigned i = 0;

    while (i < ARRAY_SIZE(nodes)) {
        int ret;

        if (!nodes[i] || proxy_node_has_handle(nodes[i])) {
            i++;
            continue;
        }
        ret = node_find(call, nodes[i]);
        if (ret < 0) {
            return ret;
        }
        i = 0;                  /* by now the helper may be another one */
    }
    return 0;
}

int coroutine_fn proxy_victim_find(FsCall *call, FsNode *node)
{
    int ret;

    if (!node || proxy_node_has_handle(node) ||
        proxy_node_adoptable(proxy_fs(node), proxy_node(node))) {
        return 0;
    }
    ret = node_find(call, node);
    return ret == -ESTALE ? 0 : ret;
}

int coroutine_fn proxy_node_begin(FsCall *call, ProxyRequest *req,
                                  ProxyType type, size_t extra, FsNode *a,
                                  FsNode *b, FsNode *c)
{
    int ret = nodes_find(call, a, b, c);

    return ret < 0 ? ret
                   : proxy_begin(proxy_channel_of(a), call, req, type, extra);
}

/* Walks @n names with one message to the helper. */
static int coroutine_fn walk_piece(FsCall *call, FsNode *dir,
                                   const char *const *names, unsigned n,
                                   FsWalk *walk)
{
    g_auto(ProxyNodeTry) t = PROXY_NODE_TRY(call, dir);
    int ret;

    walk->walked = 0;
    walk->node = walk->parent = NULL;
    while (proxy_node_try(&t, &ret)) {
        ret = nodes_find(call, dir, NULL, NULL);
        if (ret == 0) {
            ret = walk_from(call, dir, names, n, walk);
        }
    }
    return ret;
}

int coroutine_fn proxy_walk(FsCall *call, FsNode *dir,
                            const char *const *names, unsigned n, FsWalk *walk)
{
    /* A reply has two nodes. All need names if the helper may change. */
    bool names_needed = proxy_link_reconnects(proxy_fs(dir)->link) ||
                        fs_export_migrates(dir->fs);
    unsigned piece_max = names_needed ? 2 : n;
    FsWalker w;
    int ret = 0;

    fs_walker_start(&w, dir);
    while (ret == 0 && w.done < n) {
        FsAttr *attr = &walk->attr[w.done];
        FsNode *next;
        FsWalk piece;

        ret = step_in_qemu(w.at, names[w.done], &next, attr);
        if (ret == 0) {
            fs_walker_down(&w, next);
        } else if (ret == -EAGAIN) {
            ret = walk_piece(call, w.at, names + w.done,
                             MIN(piece_max, n - w.done), &piece);
            memcpy(attr, piece.attr, piece.walked * sizeof(piece.attr[0]));
            if (ret == 0) {
                fs_walker_jump(&w, piece.walked, piece.parent, piece.node);
            } else {
                w.done += piece.walked;
            }
        }
    }
    return fs_walker_end(&w, ret, walk);
}

bool coroutine_fn proxy_name_is(FsCall *call, FsNode *dir, const char *name,
                                FsNode *node)
{
    FsWalk walk;
    bool same;

    if (walk_piece(call, dir, &name, 1, &walk) < 0) {
        return false;
    }
    same = walk.node == node;
    fs_node_unref(walk.node);
    if (walk.parent) {
        fs_node_unref(walk.parent);
    }
    return same;
}
