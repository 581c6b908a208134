/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * File handles: see file-handle.h.
 *
 * The proof that a foreign handle's inode is in the export: the kernel knows a
 * path of the open descriptor (proc(5), /proc/PID/fd). It must begin with that
 * of the export's root, and the rest of it, looked up from the root name by
 * name, must lead to the same inode. None of the names may be one that the
 * export hides. The result is the descriptor that this walk gave, not the
 * handle's: so it is on the mount on which a walk of the guest finds the inode,
 * which may be read-only where the root's mount is not.
 *
 * An inode without a name, which a program of the guest has open, has a path
 * only as long as a process of this host has it open: that of its last name,
 * with " (deleted)" after it. Then the directory must be there, on the same
 * mount. A file that never had a name (O_TMPFILE) is called "#" and a number in
 * such a path, and does not count: no guest could open it.
 *
 * The kernel has no path of an inode outside the mount: it says "/". A path is
 * from this process' root directory; but one of an inode outside of that is
 * from the host's, and may have the same names as one inside. So inodes without
 * a name count only if no directory of the mount but its root is that of the
 * process: paths_tell().
 */
#include "qemu/osdep.h"
#include "file-handle.h"

/* What the kernel appends to the path of a file without a name */
#define REMOVED         " (deleted)"

/* A handle that the kernel fills in */
typedef union HandleRoom {
    struct file_handle handle;
    char space[sizeof(struct file_handle) + MAX_HANDLE_SZ];
} HandleRoom;

struct file_handle *file_handle_new(int type, const void *bytes, size_t size)
{
    struct file_handle *handle;

    if (size == 0 || size > MAX_HANDLE_SZ) {
        return NULL;
    }
    handle = g_malloc(sizeof(*handle) + size);
    handle->handle_type = type;
    handle->handle_bytes = size;
    memcpy(handle->f_handle, bytes, size);
    return handle;
}

struct file_handle *file_handle_copy(const struct file_handle *handle)
{
    return file_handle_new(handle->handle_type, handle->f_handle,
                           handle->handle_bytes);
}

struct file_handle *file_handle_get(int fd, int mount_id)
{
    HandleRoom room;
    int its_mount;

    room.handle.handle_bytes = MAX_HANDLE_SZ;
    if (name_to_handle_at(fd, "", &room.handle, &its_mount,
                          AT_EMPTY_PATH) < 0 ||
        (mount_id != FILE_HANDLE_ANY_MOUNT && its_mount != mount_id)) {
        return NULL;
    }
    return file_handle_copy(&room.handle);
}

int file_handle_mount(int fd)
{
    struct file_handle none = { .handle_bytes = 0 };
    int mount_id;

    /* There is no room for the handle: the call returns only the mount. */
    if (name_to_handle_at(fd, "", &none, &mount_id, AT_EMPTY_PATH) == 0) {
        return -EOPNOTSUPP;
    }
    return errno == EOVERFLOW ? mount_id : -errno;
}

int file_handles_probe(FileHandles *fh, int root)
{
    g_autofree struct file_handle *handle = NULL;
    int fd, ret;

    *fh = (FileHandles) { .mount_fd = -1 };
    fh->mount_id = file_handle_mount(root);
    if (fh->mount_id < 0) {
        return fh->mount_id;
    }
    fh->mount_fd = openat(root, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fh->mount_fd < 0) {
        return -errno;
    }
    handle = file_handle_get(root, fh->mount_id);
    fd = handle ? open_by_handle_at(fh->mount_fd, handle, O_PATH | O_CLOEXEC)
                : -1;
    if (fd < 0) {
        ret = handle ? -errno : -EOPNOTSUPP;
        file_handles_close(fh);
        return ret;
    }
    close(fd);
    return 0;
}

void file_handles_close(FileHandles *fh)
{
    if (fh->mount_fd >= 0) {
        close(fh->mount_fd);
        fh->mount_fd = -1;
    }
}

/*
 * The proof
 */

/* The path that the kernel knows of @fd, or NULL if it is too long */
static char *path_of(const HostFs *fs, int fd)
{
    g_autofree char *link = g_strdup_printf("%s%d", fs->fd_prefix, fd);
    g_autofree char *path = g_malloc(PATH_MAX);
    ssize_t len = readlinkat(AT_FDCWD, link, path, PATH_MAX);

    if (len <= 0 || len == PATH_MAX) {
        return NULL;
    }
    path[len] = '\0';
    return g_steal_pointer(&path);
}

/*
 * Whether the paths of files on the root's mount tell which are below the root,
 * whose own is @root
 */
static bool paths_tell(const HostFs *fs, const char *root)
{
    HostPlace at, here;
    int slash;
    bool tell;

    if (fs->own_mount) {
        return true;            /* all on the mount are */
    }
    if (g_str_equal(root, "/")) {
        return false;           /* it may have left the mount */
    }
    slash = open("/", O_PATH | O_CLOEXEC);
    if (slash < 0) {
        return false;
    }
    tell = hostfs_own_mount(slash) ||
           (hostfs_place(slash, &at) == 0 && at.mount &&
            hostfs_place(fs->root, &here) == 0 && at.mount != here.mount);
    close(slash);
    return tell;
}

/*
 * The names from the root to @fd, whose last name was removed if @nameless.
 * NULL if the path leads elsewhere, or may do.
 */
static char **names_of(const FileHandles *fh, int fd, bool nameless)
{
    g_autofree char *root = path_of(fh->fs, fh->mount_fd);
    g_autofree char *path = path_of(fh->fs, fd);
    size_t len;

    if (!root || !path) {
        return NULL;
    }
    if (nameless && !paths_tell(fh->fs, root)) {
        return NULL;
    }
    len = g_str_equal(root, "/") ? 0 : strlen(root);
    return strncmp(path, root, len) == 0 && path[len] == '/'
           ? g_strsplit(path + len + 1, "/", -1) : NULL;
}

/* Whether no walk of the guest finds @name */
static bool is_hidden(const FileHandles *fh, const char *name)
{
    return fs_name_check(name) < 0 || (fh->hidden && fh->hidden(name));
}

/* Closes what walk_names() gave. */
static void close_walked(const FileHandles *fh, int fd)
{
    if (fd != fh->fs->root) {
        close(fd);
    }
}

/*
 * Walks the first @n of @names. Returns the descriptor of the last, or -errno;
 * @dir gets that of the directory above. Both are new, or the root's own.
 */
static int walk_names(const FileHandles *fh, char **names, unsigned n,
                      int *dir, FsAttr *attr)
{
    int at = fh->fs->root;
    unsigned i;

    *dir = at;
    for (i = 0; i < n && at >= 0; i++) {
        int next = is_hidden(fh, names[i]) ? -ESTALE
                                           : hostfs_step(fh->fs, at, names[i],
                                                         HOST_WAIT_POOL, attr);

        close_walked(fh, *dir);
        *dir = at;
        at = next;
    }
    if (at < 0) {
        close_walked(fh, *dir);
    }
    return at;
}

/* Makes of *@attr what the guest sees, as FileHandles.view does. */
static int view(const FileHandles *fh, int fd, int dir, const char *name,
                FsAttr *attr)
{
    return fh->view ? fh->view(fh->opaque, fd, dir, name, attr) : 0;
}

/* The descriptor of a walk to the inode of @attr, or -errno */
static int walk_to(const FileHandles *fh, char **names, FsAttr *attr)
{
    unsigned n = g_strv_length(names);
    FsAttr found;
    int dir, at, ret;

    at = walk_names(fh, names, n, &dir, &found);
    if (at < 0) {
        return at;
    }
    ret = found.dev == attr->dev && found.ino == attr->ino ? 0 : -ESTALE;
    if (ret == 0) {
        *attr = found;
        ret = view(fh, at, dir, names[n - 1], attr);
    }
    close_walked(fh, dir);
    if (ret < 0) {
        close_walked(fh, at);
        return ret;
    }
    return at;
}

/* Whether the kernel calls a file so that lost its name; cuts @name */
static bool was_removed(const FileHandles *fh, char *name)
{
    char *end;

    if (!g_str_has_suffix(name, REMOVED)) {
        return false;
    }
    end = name + strlen(name) - strlen(REMOVED);
    *end = '\0';
    return !is_hidden(fh, name) &&
           (name[0] != '#' || name + 1 + strspn(name + 1, "0123456789") < end);
}

/* Whether what lies at @a and @b is on one mount */
static bool on_one_mount(int a, int b)
{
    HostPlace x, y;

    return hostfs_place(a, &x) == 0 && hostfs_place(b, &y) == 0 &&
           x.mount && x.mount == y.mount;
}

/* 0 if @fd lost its last name in a directory of the export, else -errno */
static int check_nameless(const FileHandles *fh, int fd, char **names,
                          FsAttr *attr)
{
    unsigned n = g_strv_length(names);
    int dir, at, ret = -ESTALE;
    FsAttr found;

    if (!was_removed(fh, names[n - 1])) {
        return -ESTALE;
    }
    at = walk_names(fh, names, n - 1, &dir, &found);
    if (at < 0) {
        return at;
    }
    if (on_one_mount(at, fd)) {
        ret = view(fh, fd, -1, NULL, attr);
    }
    close_walked(fh, dir);
    close_walked(fh, at);
    return ret;
}

/*
 * A descriptor of @fd's inode, which has the attributes *@attr, if it is in the
 * export, else -errno. *@attr becomes what the guest sees. Ownership of @fd
 * passes.
 */
static int prove(const FileHandles *fh, int fd, FsAttr *attr)
{
    bool nameless = attr->nlink == 0;
    g_auto(GStrv) names = names_of(fh, fd, nameless);
    int ret = -ESTALE;

    if (names && *names && !nameless) {
        ret = walk_to(fh, names, attr);
    } else if (names && *names) {
        ret = check_nameless(fh, fd, names, attr);
        if (ret == 0) {
            return fd;
        }
    }
    close(fd);
    return ret;
}

int file_handle_open(const FileHandles *fh, struct file_handle *handle,
                     bool foreign, FsAttr *attr)
{
    int fd = open_by_handle_at(fh->mount_fd, handle, O_PATH | O_CLOEXEC);
    int ret;

    if (fd < 0) {
        return -errno;
    }
    ret = hostfs_getattr(fd, attr);
    if (ret < 0) {
        close(fd);
        return ret;
    }
    return foreign ? prove(fh, fd, attr) : fd;
}
