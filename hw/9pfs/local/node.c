/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Nodes of the local driver.
 *
 * Theory of operation. A node has an O_PATH descriptor of its inode, which the
 * budget (host/fd-budget.h) may close; find.c finds the inode again when an
 * operation needs it. Names are entries of the export (fs/node.c). Each
 * operation that changes names brings the entries up to date.
 *
 * When an inode loses its last name, its descriptor must stay open: the node
 * keeps it (host_fd_keep()). An inode may also be impossible to find again for
 * other reasons. The node notices this when the budget is about to close the
 * descriptor, and keeps it then.
 */
#include "qemu/osdep.h"
#include "hw/9pfs/host/state-handle.h"
#include "node.h"

/* Rounds in which other threads may take the descriptors that were freed */
#define RUN_TRIES           4

/*
 * Names
 */

LocalNode *local_node_named(LocalNode *dir, const char *name)
{
    FsNode *node = fs_entry_node(&dir->node, name);

    return node ? local_node(node) : NULL;
}

bool local_node_last_name(LocalNode *n, LocalNode *dir, const char *name)
{
    return fs_node_has_no_name_but(&n->node, &dir->node, name);
}

void local_node_unnamed(LocalNode *n, LocalNode *dir, const char *name,
                        int kept)
{
    FsEntry *entry = fs_entry_find(dir->node.fs, &dir->node, name);

    if (entry) {
        if (entry->node == &n->node) {
            fs_entry_gone(entry);
        }
        fs_entry_put(entry);
    }
    if (fs_node_where(&n->node)) {
        if (kept >= 0) {
            host_pool_close(kept);
        }
        return;
    }
    host_fd_keep(&n->path_fd);
    if (kept >= 0 && (n->kept >= 0 || host_files_add() < 0)) {
        host_pool_close(kept);
    } else if (kept >= 0) {
        n->kept = kept;
    }
}

void local_node_linked(LocalNode *n, LocalNode *dir, const char *name)
{
    if (!fs_node_where(&n->node)) {
        fs_node_set_where(&n->node, fs_entry_get(n->node.fs, &dir->node, name,
                                             &n->node));
        host_fd_unkeep(&n->path_fd);
    }
}

void local_dir_changed(LocalNode *dir)
{
    LocalFs *lf = local_fs(&dir->node);

    dir->changed = ++lf->changes;
}

bool local_dir_changed_since(const LocalNode *dir, uint32_t since)
{
    return dir->changed && (int32_t)(dir->changed - since) > 0;
}

/*
 * Identity
 */

/* A file server may let users set the time of birth: do not rely on it. */
uint64_t local_node_born(const LocalNode *n)
{
    return local_wait(n, HOST_WORK_STAT) == HOST_WAIT_NEVER ? n->born : 0;
}

bool local_node_is(const LocalNode *n, uint64_t born, const FsAttr *attr)
{
    return attr->dev == n->node.dev && attr->ino == n->node.ino &&
           (!born || !fs_attr_born(attr) || fs_attr_born(attr) == born);
}

/* The file handle of @fd, or NULL if the driver can use none */
static struct file_handle *get_handle(const LocalFs *lf, int fd)
{
    return lf->handles.mount_fd < 0
           ? NULL : file_handle_get(fd, lf->handles.mount_id);
}

/*
 * The budget is about to close the descriptor: saves the inode's file handle,
 * or keeps the descriptor if neither a handle nor a name leads to the inode.
 */
static void node_evict(HostFd *h)
{
    LocalNode *n = container_of(h, LocalNode, path_fd);
    struct statx stx;

    if (statx(h->fd, "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC, STATX_NLINK,
              &stx) == 0 && stx.stx_nlink == 0 && host_fd_keep(h)) {
        return;
    }
    n->saved_handle = get_handle(local_fs(&n->node), h->fd);
    if (!n->saved_handle && !fs_node_any_entry(&n->node)) {
        host_fd_keep(h);
    }
}

void local_node_set_fd(LocalNode *n, int fd)
{
    host_fd_set(&n->path_fd, fd);
    g_clear_pointer(&n->saved_handle, g_free);
    n->node.restored = false;
}

/*
 * Nodes
 */

static LocalNode *node_new(LocalFs *lf, int fd, const FsAttr *attr)
{
    LocalNode *n = g_new0(LocalNode, 1);

    host_fd_init(&n->path_fd, node_evict);
    n->kept = -1;
    n->born = fs_attr_born(attr);
    fs_node_init(&n->node, lf->fs, attr);
    local_node_set_fd(n, fd);
    return n;
}

LocalNode *local_node_root(LocalFs *lf, int fd, const FsAttr *attr)
{
    LocalNode *n = node_new(lf, fd, attr);

    host_fd_pin(&n->path_fd);
    return n;
}

/* Whether migrations bring file handles */
static bool uses_handles(const LocalFs *lf)
{
    return lf->migration == FSDEV_MIGRATION_HANDLES ||
           lf->migration == FSDEV_MIGRATION_AUTO;
}

FsNode *local_restore_node(FsExport *fs, const FsNodeState *state)
{
    LocalFs *lf = fs->priv;
    LocalNode *n = g_new0(LocalNode, 1);

    host_fd_init(&n->path_fd, node_evict);
    n->kept = -1;
    n->born = state->born;
    if (uses_handles(lf) && lf->handles.mount_fd >= 0) {
        n->saved_handle = host_handle_of_state(state);
    }
    fs_node_init_restored(&n->node, fs, state);
    return &n->node;
}

void local_save_node(FsNode *node, FsNodeState *state)
{
    LocalNode *n = local_node(node);
    LocalFs *lf = local_fs(node);
    g_autofree struct file_handle *handle = NULL;

    state->born = n->born;
    /* Where the model keeps the view open, the inode alone is not enough. */
    if (!uses_handles(lf) || n->kept >= 0) {
        return;
    }
    if (n->path_fd.fd >= 0) {
        handle = get_handle(lf, n->path_fd.fd);
    } else if (n->saved_handle) {
        handle = file_handle_copy(n->saved_handle);
    }
    if (handle) {
        host_handle_to_state(handle, state);
    }
}

void local_node_free(FsNode *node)
{
    LocalNode *n = local_node(node);

    host_fd_drop(&n->path_fd);
    if (n->kept >= 0) {
        host_pool_close(n->kept);
        host_files_remove();
    }
    g_free(n->saved_handle);
    g_free(n);
}

/* Whether another inode, with attributes @attr, now has the node's number */
static bool is_stale(const LocalNode *n, const FsAttr *attr)
{
    /* Another type may also mean that the host modified a mapped share. */
    if (n->node.type != (attr->mode & S_IFMT)) {
        return true;
    }
    /* As long as the descriptor is open, the inode is the same. */
    return n->path_fd.fd < 0 && !local_node_is(n, local_node_born(n), attr);
}

LocalNode *local_node_accept(LocalFs *lf, int fd, const FsAttr *attr,
                             LocalNode *dir, const char *name,
                             uint32_t since)
{
    FsNode *found = fs_node_find(lf->fs, attr->dev, attr->ino);
    LocalNode *n = NULL;
    FsEntry *where;
    bool is_new;

    if (found) {
        n = local_node(found);
        if (found != lf->fs->root && is_stale(n, attr)) {
            fs_node_detach(found);
            fs_node_unref(found);
            n = NULL;
        } else if (n->path_fd.fd < 0) {
            local_node_set_fd(n, fd);
        } else {
            host_fd_use(&n->path_fd);
            close(fd);
        }
    }
    is_new = !n;
    if (is_new) {
        n = node_new(lf, fd, attr);
    }
    if (!dir || found == lf->fs->root) {
        return n;
    }

    where = is_new ? NULL : fs_node_where(&n->node);
    if (is_new) {
        fs_node_init_where(&n->node,
                           fs_entry_get(lf->fs, &dir->node, name, &n->node));
    } else if (!where) {
        fs_node_set_where(&n->node,
                      fs_entry_get(lf->fs, &dir->node, name, &n->node));
        host_fd_unkeep(&n->path_fd);
    } else if (S_ISDIR(n->node.type) &&
               !fs_entry_is(where, &dir->node, name) &&
               fs_entries_current(lf->fs) &&
               !local_dir_changed_since(dir, since)) {
        /* A directory has only one name, which is this one now. */
        fs_node_set_where(&n->node,
                      fs_entry_get(lf->fs, &dir->node, name, &n->node));
    }
    return n;
}

/*
 * Running
 */

LocalNode *local_node_slower(LocalNode *a, LocalNode *b)
{
    const HostDevs *devs = &local_fs(&a->node)->devs;

    return b && host_dev_kind(devs, b->node.dev) <
                host_dev_kind(devs, a->node.dev) ? b : a;
}

int coroutine_fn local_run(uint64_t dev, ThreadPoolFunc *func, void *opaque)
{
    unsigned tries = RUN_TRIES;
    HostAgain again = { };
    int ret;

    do {
        ret = host_pool_run(dev, func, opaque);
    } while ((ret == -EMFILE && --tries && host_fds_relieve()) ||
             (ret == -EAGAIN && host_again(&again, &ret)));
    return ret;
}
