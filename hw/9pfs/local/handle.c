/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * File handles: see handle.h.
 *
 * The proof that a foreign handle's inode is in the export: the kernel knows a
 * path of the open descriptor (proc(5), /proc/PID/fd). It must begin with that
 * of the export's root, and the rest of it, looked up from the root name by
 * name, must lead to the same inode. None of the names may be one that the
 * security model hides.
 *
 * An inode without a name, which a program of the guest has open, has a path
 * only as long as a process of this host has it open: that of its last name,
 * with " (deleted)" after it. Then the directory must be there. For an inode
 * outside the mount, or outside this process' root directory, the kernel makes
 * up a path that begins elsewhere, and a guest can make directories of all its
 * names if the export is "/". So there, no such inode counts.
 */
#include "qemu/osdep.h"
#include "handle.h"

/* A handle that the kernel fills in */
typedef union HandleRoom {
    struct file_handle handle;
    char space[sizeof(struct file_handle) + MAX_HANDLE_SZ];
} HandleRoom;

QEMU_BUILD_BUG_ON(FS_HANDLE_MAX != MAX_HANDLE_SZ);

struct file_handle *local_handle_copy(const struct file_handle *handle)
{
    return g_memdup2(handle, sizeof(*handle) + handle->handle_bytes);
}

struct file_handle *local_handle_get(const LocalHandles *lh, int fd)
{
    HandleRoom room;
    int mount_id;

    room.handle.handle_bytes = MAX_HANDLE_SZ;
    if (lh->mount_fd < 0 ||
        name_to_handle_at(fd, "", &room.handle, &mount_id, AT_EMPTY_PATH) < 0 ||
        mount_id != lh->mount_id) {
        return NULL;
    }
    return local_handle_copy(&room.handle);
}

int local_handles_probe(LocalHandles *lh, const LocalHost *host)
{
    g_autofree struct file_handle *handle = NULL;
    struct file_handle none = { .handle_bytes = 0 };
    int fd, ret;

    lh->host = host;
    lh->mount_fd = -1;
    /* There is no room for the handle: the call returns only the mount. */
    if (name_to_handle_at(lh->host->host.root, "", &none, &lh->mount_id,
                          AT_EMPTY_PATH) == 0) {
        return -EOPNOTSUPP;
    }
    if (errno != EOVERFLOW) {
        return -errno;
    }
    lh->mount_fd = openat(lh->host->host.root, ".",
                          O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (lh->mount_fd < 0) {
        return -errno;
    }
    handle = local_handle_get(lh, lh->host->host.root);
    fd = handle ? open_by_handle_at(lh->mount_fd, handle, O_PATH | O_CLOEXEC)
                : -1;
    if (fd < 0) {
        ret = handle ? -errno : -EOPNOTSUPP;
        close(lh->mount_fd);
        lh->mount_fd = -1;
        return ret;
    }
    close(fd);
    return 0;
}

void local_handles_close(LocalHandles *lh)
{
    if (lh->mount_fd >= 0) {
        close(lh->mount_fd);
    }
}

void local_handle_save(const struct file_handle *handle, FsNodeState *state)
{
    state->handle_type = handle->handle_type;
    state->handle_size = handle->handle_bytes;
    memcpy(state->handle, handle->f_handle, handle->handle_bytes);
}

struct file_handle *local_handle_restore(const LocalHandles *lh,
                                         const FsNodeState *state)
{
    HandleRoom room;

    if (!state->handle_size || state->handle_size > FS_HANDLE_MAX ||
        lh->mount_fd < 0) {
        return NULL;
    }
    room.handle.handle_type = state->handle_type;
    room.handle.handle_bytes = state->handle_size;
    memcpy(room.handle.f_handle, state->handle, state->handle_size);
    return local_handle_copy(&room.handle);
}

/*
 * The proof
 */

/* The path that the kernel knows of @fd, or NULL if it is too long */
static char *path_of(int fd)
{
    g_autofree char *link = g_strdup_printf("/proc/self/fd/%d", fd);
    g_autofree char *path = g_malloc(PATH_MAX);
    ssize_t len = readlink(link, path, PATH_MAX);

    if (len <= 0 || len == PATH_MAX) {
        return NULL;
    }
    path[len] = '\0';
    return g_steal_pointer(&path);
}

/*
 * The names from the root to @fd, whose last name was removed if @nameless.
 * NULL if the path leads elsewhere, or may do.
 */
static char **names_of(const LocalHandles *lh, int fd, bool nameless)
{
    g_autofree char *root = path_of(lh->mount_fd);
    g_autofree char *path = path_of(fd);
    size_t len;

    if (!root || !path) {
        return NULL;
    }
    len = strcmp(root, "/") == 0 ? 0 : strlen(root);
    if (nameless && len == 0) {
        return NULL;
    }
    return strncmp(path, root, len) == 0 && path[len] == '/'
           ? g_strsplit(path + len + 1, "/", -1) : NULL;
}

/* A descriptor of @name in @dir as walks of the guest find it, or -errno */
static int step(const LocalHandles *lh, int dir, const char *name, FsAttr *attr)
{
    if (fs_name_check(name) < 0 || lh->host->model->reserved(name)) {
        return -ESTALE;
    }
    return hostfs_step(&lh->host->host, dir, name, HOST_WAIT_POOL, attr);
}

/*
 * Walks the first @n of @names. Returns the descriptor of the last, or -errno;
 * @dir gets that of the directory above. Both are new, or the root's own.
 */
static int walk_names(const LocalHandles *lh, char **names, unsigned n,
                      int *dir, FsAttr *attr)
{
    int root = lh->host->host.root;
    int at = root;
    unsigned i;

    *dir = root;
    for (i = 0; i < n && at >= 0; i++) {
        int next = step(lh, at, names[i], attr);

        if (*dir != root) {
            close(*dir);
        }
        *dir = at;
        at = next;
    }
    if (at < 0 && *dir != root) {
        close(*dir);
    }
    return at;
}

/*
 * 0 if @fd, which has the attributes *@attr, is in the export, else -errno.
 * *@attr becomes what the guest sees.
 */
static int prove(const LocalHandles *lh, int fd, FsAttr *attr)
{
    LocalInode inode = { .handle = fd, .dir = -1, .kept = -1 };
    bool nameless = attr->nlink == 0;
    g_auto(GStrv) names = names_of(lh, fd, nameless);
    unsigned n = names ? g_strv_length(names) : 0;
    int dir, at, ret = 0;
    FsAttr found;

    if (n == 0) {
        return -ESTALE;
    }
    at = walk_names(lh, names, n - nameless, &dir, &found);
    if (at < 0) {
        return at;
    }
    if (!nameless) {
        inode.dir = dir;
        inode.name = names[n - 1];
        if (found.dev != attr->dev || found.ino != attr->ino) {
            ret = -ESTALE;
        }
    }
    if (ret == 0) {
        ret = lh->host->model->getattr(lh->host, &inode, attr);
    }
    if (at != lh->host->host.root) {
        close(at);
    }
    if (dir != lh->host->host.root) {
        close(dir);
    }
    return ret;
}

int local_handle_open(const LocalHandles *lh, struct file_handle *handle,
                      bool foreign, FsAttr *attr)
{
    int fd = open_by_handle_at(lh->mount_fd, handle, O_PATH | O_CLOEXEC);
    int ret;

    if (fd < 0) {
        return -errno;
    }
    ret = hostfs_getattr(fd, attr);
    if (ret == 0 && foreign) {
        ret = prove(lh, fd, attr);
    }
    if (ret < 0) {
        close(fd);
        return ret;
    }
    return fd;
}
