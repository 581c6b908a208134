/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Nodes of the proxy driver by name: found for the first time, and again.
 *
 * Theory of operation. Names are looked up here, in the directories that this
 * process has descriptors of, as long as it may and nothing is to be waited
 * for. What is left of a walk is one message to the helper.
 *
 * A helper may go away and another take its place (link.h). Handles are
 * of one helper only: those of nodes that were found with an earlier one are
 * got when they are needed, by name, from the nearest directory that the new
 * helper has told of; its root it has from the start. What is found must be
 * the inode that the node is; descriptors on an earlier helper's mount are not
 * adopted. Nodes remember their names for this, and because a helper may have
 * no descriptors left for handles: then nodes that nobody uses at the moment
 * lose theirs, and are found again in the same way.
 *
 * So do descriptors that were closed for the budget come back: by name, from
 * the nearest directory that has one, but by this process.
 */
#include "qemu/osdep.h"
#include "node.h"

/*
 * Nodes that may remember names, as each keeps those above it: a helper could
 * tell of a tree that never ends.
 */
#define NAMED_MAX           (4 * 1024 * 1024)

/* Directories above a node that are looked at to find it again here */
#define HERE_MAX            64

void proxy_node_named(FsNode *node, FsNode *dir, const char *name)
{
    FsEntry *where;

    if (!strcmp(name, "..") ||
        fs_nodes_count(&node->fs->nodes) > NAMED_MAX) {
        return;
    }
    where = fs_node_where(node);
    /* A directory has one name, and this is it now; others may have several. */
    if (!where || (S_ISDIR(node->type) && fs_entries_current(node->fs) &&
                   !fs_entry_is(where, dir, name))) {
        fs_node_set_where(node, fs_entry_get(node->fs, dir, name, node));
    }
}

/*
 * Looks @name up here: -ENOENT or -ENOTDIR if that is so, -EAGAIN if it is for
 * the helper to find out.
 */
static int coroutine_fn step_here(FsNode *dir, const char *name, FsNode **node,
                                  FsAttr *attr)
{
    ProxyFs *ps = proxy_fs(dir);
    HostWait wait;
    ProxyNode *n;
    FsNode *known;
    int at, fd;

    at = proxy_node_use_here(dir);
    if (at < 0) {
        return -EAGAIN;
    }
    wait = host_dev_wait(&ps->devs, dir->dev, HOST_WORK_LOOKUP);
    fd = hostfs_step(&proxy_here, at, name, wait, attr);
    if (fd < 0) {
        if (fd == -EMFILE) {
            host_fds_relieve();
        }
        return fd == -ENOENT || fd == -ENOTDIR ? fd : -EAGAIN;
    }
    if (host_dev_learn(&ps->devs, fd, attr->dev) < HOST_DEV_STORAGE) {
        close(fd);
        return -EAGAIN;
    }
    proxy_attr_inside(ps, attr);
    known = proxy_node_known(dir->fs, attr);
    if (known && known->type != (attr->mode & S_IFMT)) {
        fs_node_unref(known);
        close(fd);
        return -EAGAIN;         /* proxy_node_accept() has an answer to that */
    }
    n = known ? proxy_node(known) : proxy_node_new(dir->fs, attr);
    if (n->donated.fd < 0) {
        host_fd_set(&n->donated, fd);
    } else {
        host_fd_use(&n->donated);
        close(fd);
    }
    proxy_node_named(&n->node, dir, name);
    *node = &n->node;
    return 0;
}

/*
 * Looks @entry up in its directory, which has a descriptor: whether its node is
 * still there.
 */
static bool coroutine_fn entry_find_here(FsEntry *entry)
{
    g_autofree char *name = g_strdup(entry->name);
    g_autoptr(FsNode) dir = fs_node_ref(entry->parent);
    g_autoptr(FsNode) node = NULL;
    FsNode *was = entry->node;
    FsAttr attr;

    return step_here(dir, name, &node, &attr) == 0 && node == was;
}

void coroutine_fn proxy_node_find_here(FsNode *node)
{
    bool more = proxy_fs(node)->mount != 0;
    unsigned looked = 0;

    while (more && proxy_node(node)->donated.fd < 0) {
        FsEntry *first = NULL;
        FsNode *at = node;

        while (at && proxy_node(at)->donated.fd < 0) {
            first = at->detached || looked++ == HERE_MAX ? NULL
                                                         : fs_node_where(at);
            at = first ? first->parent : NULL;
        }
        more = at && entry_find_here(first);
    }
}

/* Walks from a @dir that is not old. */
static int coroutine_fn walk_from(FsCall *call, FsNode *dir,
                                  const char *const *names, unsigned n,
                                  FsWalk *walk)
{
    ProxyNodeReply node = { .fd = -1 }, parent = { .fd = -1 };
    bool up = strcmp(names[n - 1], "..") == 0;
    bool want_parent = n > 1 && !up;
    ProxyFs *ps = proxy_fs(dir);
    ProxyRequest req;
    unsigned i, walked;
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
    if (ret < 0) {
        return ret;
    }

    walked = marshal_get_u16(&req.r);
    if (walked == 0 || walked > n) {
        marshal_fail(&req.r);
        walked = 0;
    }
    for (i = 0; i < walked; i++) {
        proxy_get_good_attr(&req, &walk->attr[i]);
    }
    if (walked == n) {
        proxy_get_node(&req, &node);
        proxy_get_node(&req, &parent);
        if (!node.handle || !parent.handle != !want_parent ||
            (want_parent && !S_ISDIR(walk->attr[n - 2].mode))) {
            marshal_fail(&req.r);
        }
    }
    ret = proxy_finish(&req);
    if (ret < 0) {
        proxy_close_fd(node.fd);
        proxy_close_fd(parent.fd);
        return ret;
    }
    walk->walked = walked;
    if (walked < n) {
        /* The reply does not say why; the server asks only how many */
        return -ENOENT;
    }

    ret = proxy_node_accept(dir->fs, &node, &walk->attr[n - 1], &walk->node);
    if (ret < 0) {
        proxy_node_refuse(ps, &parent);
    } else if (want_parent) {
        ret = proxy_node_accept(dir->fs, &parent, &walk->attr[n - 2],
                                &walk->parent);
    } else if (!up) {
        walk->parent = fs_node_ref(dir);
    }
    if (ret < 0) {
        if (walk->node) {
            fs_node_unref(walk->node);
        }
        walk->node = NULL;
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

/*
 * Finding again
 */

/* Asks for what @entry names in a directory that is not old. */
static int coroutine_fn entry_find(FsCall *call, FsEntry *entry)
{
    g_autofree char *name = g_strdup(entry->name);
    const char *names[] = { name };
    FsNode *dir = fs_node_ref(entry->parent);
    FsExport *fs = dir->fs;
    FsNode *node = NULL;
    FsWalk walk;
    int ret;

    fs_entry_ref(entry);
    proxy_node_pin(dir);
    ret = walk_from(call, dir, names, 1, &walk);
    proxy_node_unpin(dir);
    if (ret == 0) {
        node = walk.node;
        fs_node_unref(walk.parent);
    }
    if ((ret == 0 && node == entry->node) || !fs_entry_is(entry, dir, name)) {
        ret = 0;                /* found, or renamed meanwhile: look again */
    } else if (ret == 0 || ret == -ENOENT || ret == -ENOTDIR) {
        if (!fs_rename_wait(fs)) {
            fs_entry_gone(entry);
        }
        ret = 0;
    }
    if (node) {
        fs_node_unref(node);
    }
    fs_entry_put(entry);
    fs_node_unref(dir);
    return ret;
}

/*
 * Sees to it that the node's handle is one of the helper that there is: has it
 * adopted, or finds it again by name, directories on the way to it first.
 * -ESTALE if it has no name any more.
 */
static int coroutine_fn node_find(FsCall *call, FsNode *node)
{
    ProxyFs *ps = proxy_fs(node);

    while (proxy_node_is_old(node)) {
        FsEntry *first = NULL;
        FsNode *at = node;
        int ret;

        while (proxy_node_is_old(at) && !proxy_node_adopt(ps, proxy_node(at))) {
            first = at->detached ? NULL : fs_node_where(at);
            if (!first) {
                return -ESTALE;
            }
            at = first->parent;
        }
        ret = first ? entry_find(call, first) : 0;
        if (ret < 0) {
            return ret;
        }
    }
    return 0;
}

/* The same for all that an operation needs; @b and @c may be NULL. */
static int coroutine_fn nodes_find(FsCall *call, FsNode *a, FsNode *b,
                                   FsNode *c)
{
    FsNode *nodes[] = { a, b, c };
    unsigned i = 0;

    while (i < ARRAY_SIZE(nodes)) {
        int ret;

        if (!nodes[i] || !proxy_node_is_old(nodes[i])) {
            i++;
            continue;
        }
        ret = node_find(call, nodes[i]);
        if (ret < 0) {
            return ret;
        }
        i = 0;                  /* there may be yet another helper */
    }
    return 0;
}

int coroutine_fn proxy_victim_find(FsCall *call, FsNode *node)
{
    int ret;

    if (!node || !proxy_node_is_old(node) ||
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

/* A walk of one piece */
static int coroutine_fn walk_piece(FsCall *call, FsNode *dir,
                                   const char *const *names, unsigned n,
                                   FsWalk *walk)
{
    ProxyNodeTry t = PROXY_NODE_TRY(call, dir);
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
    unsigned step = proxy_link_reconnects(proxy_fs(dir)->link) ? 2 : n;
    FsNode *at = fs_node_ref(dir);
    FsNode *above = NULL;       /* the one before, or NULL after ".." */
    unsigned done = 0;
    int ret = 0;

    while (done < n && ret == 0) {
        FsNode *next, *dir_of_next;

        ret = step_here(at, names[done], &next, &walk->attr[done]);
        if (ret == 0) {
            dir_of_next = fs_node_ref(at);
            done++;
        } else if (ret == -EAGAIN) {
            FsWalk piece;

            ret = walk_piece(call, at, names + done, MIN(step, n - done),
                             &piece);
            memcpy(walk->attr + done, piece.attr,
                   piece.walked * sizeof(piece.attr[0]));
            done += piece.walked;
            next = piece.node;
            dir_of_next = piece.parent;
        }
        if (ret == 0) {
            if (above) {
                fs_node_unref(above);
            }
            fs_node_unref(at);
            above = dir_of_next;
            at = next;
        }
    }
    walk->walked = done;
    walk->node = at;
    walk->parent = above;
    if (ret < 0) {
        fs_node_unref(at);
        if (above) {
            fs_node_unref(above);
        }
        walk->node = walk->parent = NULL;
    }
    return ret;
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
