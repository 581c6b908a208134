/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The proxy driver with a helper of protocol version 1, such as Debian 12's.
 *
 * Theory of operation. Version 1 knows files by path. A node here is found by
 * its entry (fs/node.c), its directory's entry, and so on up to the root. Each
 * operation has the channel for itself until it is over, so nothing that a
 * guest does changes a path under it: the path is put together in its turn, and
 * the entries that it changes are up to date before the next one's.
 *
 * The host may change names at any time. So an operation first asks for the
 * attributes of what is at the path (LSTAT), and goes on only if that has the
 * node's device and inode number and type; else it tries the node's other
 * names, and then fails with ESTALE. A descriptor that comes must be of that
 * inode as well. Of what can only be done by path the helper's kernel sees to
 * it anew; CHMOD and TRUNCATE follow a symbolic link, and are not sent for one.
 * What remains is the moment between LSTAT and the next request, in which the
 * host could put another file there; in any case it is one of the export, as
 * the helper is in a chroot.
 *
 * Old helpers serve one request at a time, so none must wait in there: only
 * regular files and directories are opened, and never with what waits or has
 * an effect before the inode is known to be the right one (O_NONBLOCK goes
 * along, O_TRUNC is made up for later).
 *
 * Open files are descriptors, on which everything else happens here
 * (host/file.c): I/O, locks, reading directories, attributes, and setting the
 * size where they are writable. Those of a node are known to it, so that a file
 * without a name is still looked at, and changed and opened again as far as
 * QEMU itself may.
 *
 * What version 1 has no words for:
 * - handles: an inode that has no name and is not open is gone (ESTALE), as is
 *   one that the host renamed; inode numbers that are used anew behind our back
 *   are not noticed. Paths end at PATH_MAX: what lies deeper cannot be reached
 *   (ENAMETOOLONG).
 * - the time of birth, but of open files; the generation likewise (GETVERSION
 *   would tell it, but has the helper open the file).
 * - extended attributes of more than 65534 bytes (E2BIG).
 * - an id map: descriptors of a helper in a user namespace tell ids of the
 *   host. That is noticed, and such a helper is then asked by path.
 * - several requests at once, donated O_PATH descriptors (donate=on does
 *   nothing), reconnection.
 */
#include "qemu/osdep.h"
#include "block/aio-wait.h"
#include "block/thread-pool.h"
#include "fsdev/shared/hostfs.h"
#include "qapi/error.h"
#include "qemu/error-report.h"
#include "qemu/main-loop.h"
#include "hw/9pfs/host/file.h"
#include "hw/9pfs/host/fd-budget.h"
#include "proxy-v1.h"
#include "hw/9pfs/fs/context.h"
#include "calls.h"

/* Rounds in which the host makes and removes a file that is to be made */
#define CREATE_TRIES        4

/* Names that a node remembers beside the one that it is found by */
#define SPARE_NAMES         4

/* What the helper is to open with, in any case */
#define SAFE_FLAGS          (O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC)
/* What is done here instead */
#define OWN_FLAGS           (O_TRUNC | O_DIRECT | O_NONBLOCK)

typedef struct ProxyV1Fs {
    ProxyV1Channel *channel;
    ProxyPeer *peer;
    bool lost;                  /* the helper */
    unsigned news;              /* of that, on the way to the main thread */
    bool writeout;
    HostDevs devs;
    bool other_ids;             /* descriptors tell other ids than LSTAT */
} ProxyV1Fs;

typedef struct ProxyV1Node {
    FsNode node;
    GSList *files;              /* FsFile: open, without references */
    FsEntry *spare[SPARE_NAMES];    /* of hard links; references, or NULL */
    uint32_t uid;               /* as LSTAT told them last */
    uint32_t gid;
} ProxyV1Node;

typedef char Path[PATH_MAX];

static ProxyV1Fs *fs_of(const FsNode *node)
{
    return node->fs->priv;
}

static ProxyV1Node *node_of(FsNode *node)
{
    return container_of(node, ProxyV1Node, node);
}

static bool writable(const FsFile *file)
{
    return (file->flags & O_ACCMODE) != O_RDONLY;
}

/* @file or another open one of @node, writable if @write; NULL: there is none */
static FsFile *any_file(FsNode *node, FsFile *file, bool write)
{
    GSList *at;

    if (file && (!write || writable(file))) {
        return file;
    }
    for (at = node_of(node)->files; at; at = at->next) {
        file = at->data;
        if (!write || writable(file)) {
            return file;
        }
    }
    return NULL;
}

/*
 * Nodes and paths
 */

static void proxy_v1_node_free(FsNode *node)
{
    ProxyV1Node *n = node_of(node);
    int i;

    for (i = 0; i < SPARE_NAMES; i++) {
        if (n->spare[i]) {
            fs_entry_put(n->spare[i]);
        }
    }
    g_free(n);
}

static FsNode *node_new(FsExport *fs, const FsAttr *attr)
{
    ProxyV1Node *n = g_new0(ProxyV1Node, 1);

    fs_node_init(&n->node, fs, attr);
    return &n->node;
}

/*
 * Remembers another name of a node, for when the one it has is gone. Not of a
 * directory, whatever the helper says: in itself, or below, it would never be
 * freed.
 */
static void add_spare(FsNode *node, FsNode *dir, const char *name)
{
    FsEntry **spare = node_of(node)->spare;
    FsEntry **room = NULL;
    FsEntry *entry;
    int i;

    if (S_ISDIR(node->type)) {
        return;
    }
    entry = fs_entry_get(dir->fs, dir, name, node);
    for (i = 0; i < SPARE_NAMES && spare[i] != entry; i++) {
        if (!spare[i] || spare[i]->gone) {
            room = &spare[i];
        }
    }
    if (i < SPARE_NAMES || !room || entry == fs_node_where(node)) {
        fs_entry_put(entry);
        return;
    }
    if (*room) {
        fs_entry_put(*room);
    }
    *room = entry;
}

/* The node for what was found as @name in @dir, with a reference */
static FsNode *node_accept(FsNode *dir, const char *name, const FsAttr *attr)
{
    FsExport *fs = dir->fs;
    FsNode *node = fs_node_find(fs, attr->dev, attr->ino);
    FsEntry *where;

    if (node && node != fs->root && node->type != (attr->mode & S_IFMT)) {
        /* The inode number is another file's now. */
        fs_node_detach(node);
        fs_node_unref(node);
        node = NULL;
    }
    if (!node) {
        node = node_new(fs, attr);
        fs_node_init_where(node, fs_entry_get(fs, dir, name, node));
    } else if (node != fs->root) {
        where = fs_node_where(node);
        /* A directory has one name, and this is it now. */
        if (!where || (S_ISDIR(node->type) &&
                       !fs_entry_is(where, dir, name))) {
            fs_node_set_where(node, fs_entry_get(fs, dir, name, node));
        } else {
            add_spare(node, dir, name);
        }
    }
    node_of(node)->uid = attr->uid;
    node_of(node)->gid = attr->gid;
    return node;
}

/* Puts the node's path together. -ESTALE if it has no name. */
static int make_path(FsNode *node, Path path)
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

/* Adds a name to the path of a directory. */
static int add_name(Path path, const char *name)
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

static bool same_inode(const FsNode *node, const FsAttr *attr)
{
    return attr->dev == node->dev && attr->ino == node->ino &&
           (attr->mode & S_IFMT) == node->type;
}

/* The name by which @node was looked for is wrong: whether there is another. */
static bool other_name(FsNode *node)
{
    FsEntry *entry = fs_node_where(node);

    if (!entry || !fs_node_has_other_entry(node, entry)) {
        return false;
    }
    fs_entry_gone(entry);
    return true;
}

/*
 * Finds the node: a path at which it is now, and its attributes. -ESTALE when
 * it is nowhere.
 */
static int coroutine_fn find(ProxyV1Turn *turn, FsNode *node, Path path,
                             FsAttr *attr)
{
    int ret;

    do {
        ret = make_path(node, path);
        if (ret < 0) {
            return ret;
        }
        ret = proxy_v1_lstat(turn, path, attr);
        if (ret == 0 && same_inode(node, attr)) {
            node_of(node)->uid = attr->uid;
            node_of(node)->gid = attr->gid;
            return 0;
        }
        if (ret < 0 && ret != -ENOENT && ret != -ENOTDIR) {
            return ret;
        }
    } while (other_name(node));
    return -ESTALE;
}

/* The same of a directory in which something is meant: the root is known. */
static int coroutine_fn find_dir(ProxyV1Turn *turn, FsNode *dir, Path path)
{
    FsAttr attr;

    if (dir->detached) {
        return -ENOENT;         /* as in any directory that was removed */
    }
    return dir == dir->fs->root ? make_path(dir, path)
                                : find(turn, dir, path, &attr);
}

/* The path of @name in @dir */
static int coroutine_fn find_in(ProxyV1Turn *turn, FsNode *dir,
                                const char *name, Path path)
{
    int ret = find_dir(turn, dir, path);

    return ret < 0 ? ret : add_name(path, name);
}

/* A turn, and the node found in it. Without the latter there is no turn. */
static int coroutine_fn begin(ProxyV1Turn *turn, FsCall *call, FsNode *node,
                              Path path, FsAttr *attr)
{
    int ret = proxy_v1_begin(fs_of(node)->channel, call, turn);

    if (ret < 0) {
        return ret;
    }
    ret = find(turn, node, path, attr);
    if (ret < 0) {
        proxy_v1_end(turn);
    }
    return ret;
}

static int coroutine_fn begin_in(ProxyV1Turn *turn, FsCall *call, FsNode *dir,
                                 const char *name, Path path)
{
    int ret = proxy_v1_begin(fs_of(dir)->channel, call, turn);

    if (ret < 0) {
        return ret;
    }
    ret = find_in(turn, dir, name, path);
    if (ret < 0) {
        proxy_v1_end(turn);
    }
    return ret;
}

/* @attr told of a name that is no more: the inode may be gone with it. */
static void name_gone(FsExport *fs, const FsAttr *attr)
{
    FsNode *node;

    if (!S_ISDIR(attr->mode) && attr->nlink > 1) {
        return;
    }
    node = fs_node_find(fs, attr->dev, attr->ino);
    if (node) {
        /* Its number may come again. */
        fs_node_detach(node);
        fs_node_unref(node);
    }
}

/*
 * Finding
 */

/* A walk on its way */
typedef struct Way {
    FsNode *at;                 /* references; above may be NULL */
    FsNode *above;
    Path path;
} Way;

static void way_step(Way *way, FsNode *next, bool up)
{
    if (way->above) {
        fs_node_unref(way->above);
    }
    if (up) {
        fs_node_unref(way->at);
        way->above = NULL;
    } else {
        way->above = way->at;
    }
    way->at = next;
}

static int coroutine_fn step_up(ProxyV1Turn *turn, Way *way, FsAttr *attr)
{
    FsNode *up = way->at;
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
    ret = find(turn, up, way->path, attr);
    if (ret < 0) {
        fs_node_unref(up);
        return ret;
    }
    way_step(way, up, true);
    return 0;
}

static int coroutine_fn step_down(ProxyV1Turn *turn, Way *way, const char *name,
                                  FsAttr *attr)
{
    int ret;

    /* A symbolic link within the path would be followed. */
    if (!S_ISDIR(way->at->type)) {
        return -ENOTDIR;
    }
    ret = add_name(way->path, name);
    if (ret == 0) {
        ret = proxy_v1_lstat(turn, way->path, attr);
    }
    if (ret < 0) {
        return ret;
    }
    way_step(way, node_accept(way->at, name, attr), false);
    return 0;
}

static int coroutine_fn proxy_v1_walk(FsCall *call, FsNode *dir,
                                    const char *const *names, unsigned n,
                                    FsWalk *walk)
{
    ProxyV1Turn turn;
    Way way;
    int ret;

    walk->walked = 0;
    walk->node = walk->parent = NULL;
    ret = proxy_v1_begin(fs_of(dir)->channel, call, &turn);
    if (ret < 0) {
        return ret;
    }
    way.at = fs_node_ref(dir);
    way.above = NULL;
    ret = find_dir(&turn, dir, way.path);
    while (ret == 0 && walk->walked < n) {
        const char *name = names[walk->walked];
        FsAttr *into = &walk->attr[walk->walked];

        ret = strcmp(name, "..") ? step_down(&turn, &way, name, into)
                                 : step_up(&turn, &way, into);
        if (ret == 0) {
            walk->walked++;
        }
    }
    proxy_v1_end(&turn);

    if (ret == 0) {
        walk->node = way.at;
        walk->parent = way.above;
    } else {
        fs_node_unref(way.at);
        if (way.above) {
            fs_node_unref(way.above);
        }
    }
    return ret;
}

/*
 * What is known of an inode
 */

/* Attributes of an open file, with the ids as the helper has them */
static int file_getattr(FsFile *file, FsAttr *attr)
{
    ProxyV1Node *n = node_of(file->node);
    int ret = hostfs_getattr(host_file_fd(file), attr);

    if (ret == 0 && fs_of(file->node)->other_ids) {
        attr->uid = n->uid;
        attr->gid = n->gid;
    }
    return ret;
}

static int coroutine_fn proxy_v1_getattr(FsCall *call, FsNode *node,
                                       FsFile *file, FsAttr *attr)
{
    ProxyV1Turn turn;
    Path path;
    int ret;

    file = any_file(node, file, false);
    if (file && !fs_of(node)->other_ids) {
        return file_getattr(file, attr);
    }
    ret = begin(&turn, call, node, path, attr);
    if (ret == 0) {
        proxy_v1_end(&turn);
    } else if (ret == -ESTALE) {
        file = any_file(node, NULL, false);
        ret = file ? file_getattr(file, attr) : ret;
    }
    return ret;
}

typedef struct FileWork {
    FsFile *file;               /* a reference */
    FsStatfs *st;
    const FsSetAttr *set;
    uint64_t size;
    int flags;
} FileWork;

/* Runs @func on an open file in the thread pool. */
static int coroutine_fn file_run(FileWork *work, FsFile *file,
                                 ThreadPoolFunc *func)
{
    int ret;

    work->file = fs_file_ref(file);
    ret = thread_pool_submit_co(func, work);
    fs_file_unref(file);
    return ret;
}

static int coroutine_fn proxy_v1_generation(FsCall *call, FsNode *node,
                                          FsFile *file, uint64_t *gen)
{
    file = any_file(node, file, false);
    return file ? host_file_generation(file, gen) : -EAGAIN;
}

static int coroutine_fn proxy_v1_get_target(FsCall *call, FsNode *node,
                                          char *buf, size_t size)
{
    ProxyV1Turn turn;
    FsAttr attr;
    Path path;
    int ret;

    if (node->type != S_IFLNK) {
        return -EINVAL;
    }
    ret = begin(&turn, call, node, path, &attr);
    if (ret < 0) {
        return ret;
    }
    ret = proxy_v1_readlink(&turn, path, buf, size);
    proxy_v1_end(&turn);
    return ret;
}

static int statfs_work(void *opaque)
{
    FileWork *work = opaque;

    return hostfs_statfs(host_file_fd(work->file), work->st);
}

static int coroutine_fn proxy_v1_get_statfs(FsCall *call, FsNode *node,
                                          FsStatfs *st)
{
    FsFile *file = any_file(node, NULL, false);
    FileWork work = { .st = st };
    ProxyV1Turn turn;
    FsAttr attr;
    Path path;
    int ret;

    if (file) {
        return file_run(&work, file, statfs_work);
    }
    ret = begin(&turn, call, node, path, &attr);
    if (ret < 0) {
        return ret;
    }
    ret = proxy_v1_statfs(&turn, path, st);
    proxy_v1_end(&turn);
    return ret;
}

/*
 * Changes
 */

static int resize_work(void *opaque)
{
    FileWork *work = opaque;

    return ftruncate(host_file_fd(work->file), work->size) < 0 ? -errno : 0;
}

static struct timespec new_time(uint32_t valid, uint32_t change,
                                uint32_t given, const struct timespec *time)
{
    if (!(valid & change)) {
        return (struct timespec) { .tv_nsec = UTIME_OMIT };
    }
    return valid & given ? *time : (struct timespec) { .tv_nsec = UTIME_NOW };
}

/* Whether there are times to be set, and which; @attr: the inode's */
static bool new_times(const FsSetAttr *set, const FsAttr *attr,
                      struct timespec times[2])
{
    uint32_t valid = set->valid;

    if (valid == FS_SET_CTIME) {
        /* Nothing else would move it: set the atime that it has anyway. */
        times[0] = attr->atime;
        times[1] = (struct timespec) { .tv_nsec = UTIME_OMIT };
        return true;
    }
    times[0] = new_time(valid, FS_SET_ATIME, FS_SET_ATIME_SET, &set->atime);
    times[1] = new_time(valid, FS_SET_MTIME, FS_SET_MTIME_SET, &set->mtime);
    return valid & (FS_SET_ATIME | FS_SET_MTIME);
}

static uint32_t new_id(const FsSetAttr *set, uint32_t change, uint32_t id)
{
    return set->valid & change ? id : (uint32_t)-1;
}

/* As much as QEMU itself may do to an inode that only has open files */
static int nameless_work(void *opaque)
{
    FileWork *work = opaque;
    const FsSetAttr *set = work->set;
    int fd = host_file_fd(work->file);
    struct timespec times[2];
    FsAttr attr;

    if (((set->valid & FS_SET_SIZE) && ftruncate(fd, set->size) < 0) ||
        ((set->valid & (FS_SET_UID | FS_SET_GID)) &&
         fchown(fd, new_id(set, FS_SET_UID, set->uid),
                new_id(set, FS_SET_GID, set->gid)) < 0) ||
        ((set->valid & FS_SET_MODE) && fchmod(fd, set->mode) < 0)) {
        return -errno;
    }
    if (set->valid == (FS_SET_SIZE | FS_SET_MTIME | FS_SET_CTIME)) {
        return 0;               /* ftruncate(2) moved both */
    }
    if (hostfs_getattr(fd, &attr) == 0 && new_times(set, &attr, times) &&
        futimens(fd, times) < 0) {
        return -errno;
    }
    return 0;
}

static int coroutine_fn set_by_path(ProxyV1Turn *turn, FsNode *node,
                                    FsFile *file, const char *path,
                                    const FsAttr *attr, const FsSetAttr *set)
{
    FileWork work = { .size = set->size };
    struct timespec times[2];
    int ret = 0;

    if (S_ISLNK(attr->mode) && (set->valid & (FS_SET_SIZE | FS_SET_MODE))) {
        return -EOPNOTSUPP;
    }
    if (set->valid & FS_SET_SIZE) {
        file = any_file(node, file, true);
        ret = file ? file_run(&work, file, resize_work)
                   : proxy_v1_truncate(turn, path, set->size);
    }
    if (ret == 0 && (set->valid & (FS_SET_UID | FS_SET_GID))) {
        ret = proxy_v1_chown(turn, path, new_id(set, FS_SET_UID, set->uid),
                           new_id(set, FS_SET_GID, set->gid));
    }
    if (ret == 0 && (set->valid & FS_SET_MODE)) {
        ret = proxy_v1_chmod(turn, path, set->mode);
    }
    if (ret == 0 && new_times(set, attr, times)) {
        ret = proxy_v1_utime(turn, path, times);
    }
    return ret;
}

static int coroutine_fn proxy_v1_setattr(FsCall *call, FsNode *node,
                                       FsFile *file, const FsSetAttr *set)
{
    FileWork work = { .set = set };
    ProxyV1Turn turn;
    FsAttr attr;
    Path path;
    int ret;

    ret = begin(&turn, call, node, path, &attr);
    if (ret == 0) {
        ret = set_by_path(&turn, node, file, path, &attr, set);
        proxy_v1_end(&turn);
    } else if (ret == -ESTALE) {
        file = any_file(node, file, set->valid & FS_SET_SIZE);
        ret = file ? file_run(&work, file, nameless_work) : ret;
    }
    return ret;
}

/*
 * Opening and making
 */

/* Whether @fd is a file for I/O, of the node's inode; @attr: what LSTAT said */
static bool descriptor_good(FsNode *node, int fd, const FsAttr *attr)
{
    int flags = fcntl(fd, F_GETFL);
    struct stat st;

    if (flags < 0 || (flags & O_PATH) || fstat(fd, &st) < 0 ||
        st.st_dev != node->dev || st.st_ino != node->ino ||
        (st.st_mode & S_IFMT) != node->type) {
        return false;
    }
    if (st.st_uid != attr->uid || st.st_gid != attr->gid) {
        fs_of(node)->other_ids = true;
    }
    return true;
}

/* The flags that the helper did not get */
static void set_own_flags(int fd, int flags)
{
    int now = fcntl(fd, F_GETFL) & ~O_NONBLOCK;

    now |= flags & O_NONBLOCK;
    /* Not all file systems have O_DIRECT: then without */
    if (!(flags & O_DIRECT) || fcntl(fd, F_SETFL, now | O_DIRECT) < 0) {
        fcntl(fd, F_SETFL, now);
    }
}

static FsFile *coroutine_fn file_new(FsNode *node, int fd, int flags)
{
    ProxyV1Fs *ps = fs_of(node);
    HostDevKind kind = host_dev_learn(&ps->devs, fd, node->dev);
    FsFile *file = host_file_new(node, fd, flags, ps->writeout, kind);

    node_of(node)->files = g_slist_prepend(node_of(node)->files, file);
    return file;
}

static int empty_work(void *opaque)
{
    return ftruncate(*(int *)opaque, 0) < 0 ? -errno : 0;
}

/*
 * Makes the descriptor, which is taken over, an open file of the node. It was
 * counted (host_files_add()).
 */
static int coroutine_fn file_accept(ProxyV1Turn *turn, FsNode *node,
                                    const char *path, const FsAttr *attr,
                                    int fd, int flags, FsFile **file)
{
    int ret = 0;

    if (!descriptor_good(node, fd, attr)) {
        ret = -ESTALE;
    } else if (flags & O_TRUNC) {
        ret = (flags & O_ACCMODE) != O_RDONLY
              ? thread_pool_submit_co(empty_work, &fd)
              : proxy_v1_truncate(turn, path, 0);
    }
    if (ret < 0) {
        close(fd);
        return ret;
    }
    set_own_flags(fd, flags);
    *file = file_new(node, fd, flags);
    return 0;
}

static void proxy_v1_file_free(FsFile *file)
{
    ProxyV1Node *n = node_of(file->node);

    n->files = g_slist_remove(n->files, file);
    host_files_remove();
    host_file_free(file);
}

/* Whether a file of that type may be opened: 0 or -errno */
static int open_check(uint32_t mode, int flags)
{
    if (S_ISLNK(mode)) {
        return -ELOOP;
    }
    if (!S_ISDIR(mode) && (flags & O_DIRECTORY)) {
        return -ENOTDIR;
    }
    return S_ISREG(mode) || S_ISDIR(mode) ? 0 : -ENXIO;
}

/* Opens what @attr told of, at @path. The file was counted. */
static int coroutine_fn open_found(ProxyV1Turn *turn, FsNode *node,
                                   const char *path, const FsAttr *attr,
                                   int flags, FsFile **file)
{
    int ask = (flags & HOSTFS_OPEN_FLAGS & ~OWN_FLAGS) | SAFE_FLAGS;
    int ret = open_check(attr->mode, flags);

    if (ret < 0) {
        return ret;
    }
    if (S_ISDIR(attr->mode)) {
        if ((flags & O_ACCMODE) != O_RDONLY || (flags & O_TRUNC)) {
            return -EISDIR;
        }
        ask |= O_DIRECTORY;
    }
    ret = proxy_v1_open(turn, path, ask);
    return ret < 0 ? ret
                   : file_accept(turn, node, path, attr, ret, flags, file);
}

/* A file without a name, as far as QEMU itself may open it: a descriptor */
static int reopen_work(void *opaque)
{
    static const HostFs host = { .root = -1, .fd_prefix = "/proc/self/fd/" };
    FileWork *work = opaque;

    return hostfs_open(&host, host_file_fd(work->file), work->flags);
}

static int coroutine_fn reopen(FsNode *node, int flags, FsFile **file)
{
    FsFile *other = any_file(node, NULL, false);
    FileWork work = { .flags = flags };
    int ret;

    if (!other) {
        return -ESTALE;
    }
    ret = file_run(&work, other, reopen_work);
    if (ret < 0) {
        return ret;
    }
    *file = file_new(node, ret, flags);
    return 0;
}

static int coroutine_fn proxy_v1_open_file(FsCall *call, FsNode *node, int flags,
                                         FsFile **file)
{
    ProxyV1Turn turn;
    FsAttr attr;
    Path path;
    int ret;

    ret = open_check(node->type, flags);
    if (ret < 0) {
        return ret;
    }
    ret = host_files_add();
    if (ret < 0) {
        return ret;
    }
    ret = begin(&turn, call, node, path, &attr);
    if (ret == 0) {
        ret = open_found(&turn, node, path, &attr, flags, file);
        proxy_v1_end(&turn);
    } else if (ret == -ESTALE) {
        ret = reopen(node, flags, file);
    }
    if (ret < 0) {
        host_files_remove();
    }
    return ret;
}

/*
 * Debian 12's helper loses its capabilities when it makes something for user 0
 * and another group than 0, and aborts when it is to do so again. So group 0
 * gets it first, with no permissions, and then the one whose it is: *@ask is
 * what the helper is to make. Whether it is to be given away then.
 */
static bool ask_for(const FsMakeArgs *make, FsMakeArgs *ask)
{
    *ask = *make;
    if (make->uid != 0 || make->gid == 0) {
        return false;
    }
    ask->gid = 0;
    ask->mode &= ~(S_ISGID | S_IRWXG);
    return true;
}

static int coroutine_fn give_away(ProxyV1Turn *turn, const char *path,
                                  const FsMakeArgs *make)
{
    int ret = proxy_v1_chown(turn, path, -1, make->gid);

    return ret < 0 || S_ISLNK(make->mode)
        ? ret : proxy_v1_chmod(turn, path, make->mode & 07777);
}

/* One try: -EEXIST when it is there now but was not before. */
static int coroutine_fn create_once(ProxyV1Turn *turn, FsNode *dir,
                                    const FsMakeArgs *make, int flags,
                                    const char *path, FsNode **node,
                                    FsFile **file, FsAttr *attr)
{
    int how = (flags & HOSTFS_OPEN_FLAGS & ~OWN_FLAGS) | SAFE_FLAGS |
              O_CREAT | O_EXCL;
    FsMakeArgs ask;
    int ret, fd;
    bool give;

    if (!(flags & O_EXCL)) {
        ret = proxy_v1_lstat(turn, path, attr);
        if (ret == 0) {
            if (S_ISDIR(attr->mode)) {
                return -EISDIR;
            }
            *node = node_accept(dir, make->name, attr);
            return open_found(turn, *node, path, attr, flags, file);
        } else if (ret != -ENOENT) {
            return ret;
        }
    }
    give = ask_for(make, &ask);
    fd = proxy_v1_create(turn, path, how, &ask);
    if (fd < 0) {
        return fd;
    }
    ret = give ? give_away(turn, path, make) : 0;
    if (ret == 0) {
        ret = proxy_v1_lstat(turn, path, attr);
    }
    if (ret < 0) {
        close(fd);
        return ret;
    }
    *node = node_accept(dir, make->name, attr);
    return file_accept(turn, *node, path, attr, fd, flags & ~O_TRUNC, file);
}

static int coroutine_fn proxy_v1_create_file(FsCall *call, FsNode *dir,
                                           const FsMakeArgs *make, int flags,
                                           FsNode **node, FsFile **file,
                                           FsAttr *attr)
{
    unsigned tries = CREATE_TRIES;
    ProxyV1Turn turn;
    Path path;
    int ret;

    *node = NULL;
    ret = host_files_add();
    if (ret < 0) {
        return ret;
    }
    ret = begin_in(&turn, call, dir, make->name, path);
    if (ret == 0) {
        do {
            ret = create_once(&turn, dir, make, flags, path, node, file, attr);
        } while (ret == -EEXIST && !(flags & O_EXCL) && --tries);
        proxy_v1_end(&turn);
    }
    if (ret < 0) {
        host_files_remove();
        if (*node) {
            fs_node_unref(*node);
            *node = NULL;
        }
    }
    return ret;
}

static int coroutine_fn proxy_v1_make_node(FsCall *call, FsNode *dir,
                                         const FsMakeArgs *make, FsAttr *attr)
{
    ProxyV1Turn turn;
    FsMakeArgs ask;
    Path path;
    bool give;
    int ret;

    ret = begin_in(&turn, call, dir, make->name, path);
    if (ret < 0) {
        return ret;
    }
    give = ask_for(make, &ask);
    ret = proxy_v1_make(&turn, path, &ask);
    if (ret == 0 && give) {
        ret = give_away(&turn, path, make);
    }
    if (ret == 0) {
        ret = proxy_v1_lstat(&turn, path, attr);
    }
    proxy_v1_end(&turn);
    if (ret == 0 && (attr->mode & S_IFMT) != (make->mode & S_IFMT)) {
        ret = -ESTALE;
    }
    return ret;
}

/*
 * Names
 */

static int coroutine_fn proxy_v1_link(FsCall *call, FsNode *node,
                                    FsNode *dir, const char *name)
{
    ProxyV1Turn turn;
    Path old, new;
    FsAttr attr;
    int ret;

    ret = begin_in(&turn, call, dir, name, new);
    if (ret < 0) {
        return ret;
    }
    ret = find(&turn, node, old, &attr);
    if (ret == 0) {
        ret = proxy_v1_two_paths(&turn, PROXY_V1_LINK, old, new);
    }
    if (ret == 0) {
        add_spare(node, dir, name);
    }
    proxy_v1_end(&turn);
    return ret;
}

static int coroutine_fn rename_found(ProxyV1Turn *turn, FsExport *fs,
                                     const char *old, const char *new)
{
    FsAttr moved, over;
    bool replaces;
    int ret;

    ret = proxy_v1_lstat(turn, old, &moved);
    if (ret < 0) {
        return ret;
    }
    ret = proxy_v1_lstat(turn, new, &over);
    if (ret < 0 && ret != -ENOENT) {
        return ret;
    }
    /* rename(2) does nothing to two names of the same inode */
    replaces = ret == 0 && (moved.dev != over.dev || moved.ino != over.ino);
    ret = proxy_v1_two_paths(turn, PROXY_V1_RENAME, old, new);
    if (ret == 0 && replaces) {
        name_gone(fs, &over);
    }
    return ret;
}

static int coroutine_fn proxy_v1_rename(FsCall *call,
                                      FsNode *olddir, const char *oldname,
                                      FsNode *newdir, const char *newname)
{
    FsExport *fs = olddir->fs;
    ProxyV1Turn turn;
    FsRename r = { };
    Path old, new;
    int ret;

    ret = begin_in(&turn, call, olddir, oldname, old);
    if (ret < 0) {
        return ret;
    }
    ret = find_in(&turn, newdir, newname, new);
    if (ret == 0) {
        fs_rename_begin(&r, olddir, oldname, newdir, newname);
        ret = rename_found(&turn, fs, old, new);
    }
    fs_rename_end(&r, ret);
    proxy_v1_end(&turn);
    return ret;
}

static int coroutine_fn proxy_v1_unlink(FsCall *call, FsNode *dir,
                                      const char *name, bool rmdir,
                                      FsNode *expect)
{
    ProxyV1Turn turn;
    FsAttr attr;
    Path path;
    int ret;

    ret = begin_in(&turn, call, dir, name, path);
    if (ret < 0) {
        return ret;
    }
    /* REMOVE takes either kind. */
    ret = proxy_v1_lstat(&turn, path, &attr);
    if (ret == 0) {
        if (expect && !same_inode(expect, &attr)) {
            ret = -ESTALE;
        } else if (S_ISDIR(attr.mode) != rmdir) {
            ret = rmdir ? -ENOTDIR : -EISDIR;
        } else {
            ret = proxy_v1_remove(&turn, path);
        }
    }
    if (ret == 0) {
        name_gone(dir->fs, &attr);
    }
    proxy_v1_end(&turn);
    return ret;
}

/*
 * Extended attributes
 */

static int coroutine_fn proxy_v1_get_xattr(FsCall *call, FsNode *node,
                                         const char *name,
                                         uint8_t **value, size_t *size)
{
    ProxyV1Turn turn;
    FsAttr attr;
    Path path;
    int ret;

    ret = begin(&turn, call, node, path, &attr);
    if (ret < 0) {
        return ret;
    }
    ret = proxy_v1_getxattr(&turn, path, name, value, size);
    proxy_v1_end(&turn);
    return ret;
}

static int coroutine_fn proxy_v1_set_xattr(FsCall *call, FsNode *node,
                                         const char *name, const void *value,
                                         size_t size, int flags)
{
    ProxyV1Turn turn;
    FsAttr attr;
    Path path;
    int ret;

    ret = begin(&turn, call, node, path, &attr);
    if (ret < 0) {
        return ret;
    }
    ret = proxy_v1_setxattr(&turn, path, name, value, size, flags);
    proxy_v1_end(&turn);
    return ret;
}

static int coroutine_fn proxy_v1_remove_xattr(FsCall *call, FsNode *node,
                                            const char *name)
{
    ProxyV1Turn turn;
    FsAttr attr;
    Path path;
    int ret;

    ret = begin(&turn, call, node, path, &attr);
    if (ret < 0) {
        return ret;
    }
    ret = proxy_v1_removexattr(&turn, path, name);
    proxy_v1_end(&turn);
    return ret;
}

/*
 * The export
 */

typedef struct ProxyV1News {
    FsExport *fs;
    char *why;
} ProxyV1News;

static void proxy_v1_lost_bh(void *opaque)
{
    ProxyV1News *news = opaque;
    ProxyV1Fs *ps = news->fs->priv;
    FsHelperEvent event = { .fs = news->fs, .why = news->why };

    notifier_list_notify(&news->fs->on_helper, &event);
    qatomic_dec(&ps->news);
    g_free(news->why);
    g_free(news);
}

static void proxy_v1_lost(void *opaque, const char *why)
{
    FsExport *fs = opaque;
    ProxyV1Fs *ps = fs->priv;
    ProxyV1News *news = g_new(ProxyV1News, 1);

    ps->lost = true;
    news->fs = fs;
    news->why = g_strdup(why);
    qatomic_inc(&ps->news);
    fs_main_run(proxy_v1_lost_bh, news);
}

static void proxy_v1_detach(FsExport *fs)
{
    ProxyV1Fs *ps = fs->priv;

    proxy_v1_channel_detach(ps->channel);
}

static void proxy_v1_attach(FsExport *fs)
{
    ProxyV1Fs *ps = fs->priv;

    proxy_v1_channel_attach(ps->channel, fs->ctx);
}

static void proxy_v1_close(FsExport *fs)
{
    ProxyV1Fs *ps = fs->priv;

    if (fs->root) {
        fs_node_unref(fs->root);
        fs->root = NULL;
    }
    /* What an IOThread told last, before the export came back from it */
    AIO_WAIT_WHILE(qemu_get_aio_context(), qatomic_read(&ps->news));
    proxy_v1_channel_free(ps->channel);
    proxy_launch_done(ps->peer);
    host_devs_destroy(&ps->devs);
    g_free(ps);
    fs->priv = NULL;
    fs_export_release(fs);
}

static void proxy_v1_query(FsExport *fs, FsdevInfo *info)
{
    ProxyV1Fs *ps = fs->priv;
    FsdevHelperInfo *helper = g_new0(FsdevHelperInfo, 1);

    helper->connection = ps->lost ? FSDEV_CONNECTION_LOST
                                  : FSDEV_CONNECTION_CONNECTED;
    helper->protocol = 1;
    info->helper = helper;
    info->descriptors = host_fds_info();
}

static pid_t proxy_v1_process(FsExport *fs)
{
    ProxyV1Fs *ps = fs->priv;

    return proxy_launch_process(ps->peer);
}

/* Is not registered: proxy_v1_open_export() puts it in the place of `proxy`. */
static const FsDriver proxy_v1_driver = {
    .type = FSDEV_DRIVER_PROXY,
    .close = proxy_v1_close,
    .node_free = proxy_v1_node_free,
    .file_free = proxy_v1_file_free,
    .walk = proxy_v1_walk,
    .getattr = proxy_v1_getattr,
    .generation = proxy_v1_generation,
    .setattr = proxy_v1_setattr,
    .readlink = proxy_v1_get_target,
    .statfs = proxy_v1_get_statfs,
    .open_file = proxy_v1_open_file,
    .create = proxy_v1_create_file,
    .make = proxy_v1_make_node,
    .link = proxy_v1_link,
    .rename = proxy_v1_rename,
    .unlink = proxy_v1_unlink,
    .read = host_file_read,
    .write = host_file_write,
    .readdir = host_file_readdir,
    .fsync = host_file_fsync,
    .lock = host_file_lock,
    .getxattr = proxy_v1_get_xattr,
    .setxattr = proxy_v1_set_xattr,
    .removexattr = proxy_v1_remove_xattr,
    .query = proxy_v1_query,
    .helper_process = proxy_v1_process,
    .detach = proxy_v1_detach,
    .attach = proxy_v1_attach,
};

int proxy_v1_version(const FsdevProxyOptions *opts, int sock, Error **errp)
{
    if (opts->has_protocol) {
        return opts->protocol;  /* proxy_launch() has checked it */
    }
    /* A helper that comes with this QEMU need not be asked. */
    if (HOST_BIG_ENDIAN || (opts->path && !opts->helper)) {
        return 2;
    }
    return proxy_v1_probe(sock, errp);
}

bool proxy_v1_open_export(FsExport *fs, const FsdevProxyOptions *opts,
                        ProxyPeer *peer, int sock, Error **errp)
{
    ProxyV1Channel *channel;
    ProxyV1Fs *ps;
    FsAttr root;

    if (opts->reconnect) {
        error_setg(errp, "reconnect '%" PRIu32 "': not with protocol version "
                   "1, which is the helper's", opts->reconnect);
        close(sock);
        proxy_launch_failed(peer, errp);
        fs_export_release(fs);
        return false;
    }
    channel = proxy_v1_channel_new(qemu_get_aio_context(), fs->id, sock, &root,
                                 proxy_v1_lost, fs, errp);
    if (!channel) {
        proxy_launch_failed(peer, errp);
        fs_export_release(fs);
        return false;
    }
    ps = g_new0(ProxyV1Fs, 1);
    ps->channel = channel;
    ps->peer = peer;
    ps->writeout = opts->has_writeout &&
                   opts->writeout == FSDEV_WRITEOUT_IMMEDIATE;
    fs->priv = ps;
    fs->driver = &proxy_v1_driver;
    fs->root = node_new(fs, &root);
    node_of(fs->root)->uid = root.uid;
    node_of(fs->root)->gid = root.gid;
    return true;
}
