/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The requests of the proxy channel: see requests.h, and shared/proto.h for
 * the payloads. Those for extended attributes are in requests-xattr.c.
 *
 * Each function reads its whole payload, checks that nothing is left over,
 * looks its handles up, calls the one host file operation, and writes the
 * reply. Names, flags and modes are checked where they are used, in hostfs.
 */
#include "qemu/osdep.h"
#include "requests-internal.h"
#include "guest-ids.h"
#include "fsdev/shared/special-file.h"

/* handle[8] count[4] */
#define FORGET_ENTRY_SIZE       12

/*
 * Takes back the reference that a failing reply would have given. The request
 * still uses the handle, so there is nothing to close yet.
 */
static void ungive(Request *rq, const NewHandle *new)
{
    handles_forget(rq->export->handles, new->handle, 1);
}

/* Makes a handle of @fd for put_node(). Ownership of @fd passes. */
static int give(Request *rq, int fd, const FsAttr *attr, NewHandle *new)
{
    int ret = handles_add(rq->export->handles, fd, attr->dev, attr->ino, new);

    if (ret == 0) {
        rq->used[rq->nused++] = new->handle;
    }
    return ret;
}

static void put_node(Request *rq, const NewHandle *new)
{
    bool donate = new->first && rq->export->donate;

    marshal_put_u64(&rq->out, new->handle);
    marshal_put_u8(&rq->out, donate);
    if (donate) {
        rq->fds[rq->nfds++] = new->fd;
    }
}

/* Sends an open file; the request owns @fd and closes it. */
static void put_open(Request *rq, int fd)
{
    rq->opened = fd;
    rq->fds[rq->nfds++] = fd;
}

int request_root(Request *rq)
{
    FsAttr attr;
    NewHandle root = {
        .handle = PROXY_ROOT_HANDLE,
        .fd = rq->export->fs.root,
        .first = true,
    };
    int ret = hostfs_getattr(rq->export->fs.root, &attr);

    if (ret == 0) {
        put_node(rq, &root);
        guest_ids_put_attr(rq->export->fs.ids, &rq->out, &attr);
    }
    return ret;
}

int request_forget(Request *rq, int *dropped, unsigned *n_dropped)
{
    unsigned n = marshal_get_u16(&rq->in);
    unsigned i;
    uint64_t handle;
    int fd;

    /* Checked first: half a FORGET would take half the references back. */
    if (!marshal_ok(&rq->in) || n > PROXY_FORGET_MAX ||
        marshal_left(&rq->in) != n * FORGET_ENTRY_SIZE) {
        return request_malformed(rq);
    }
    for (i = 0; i < n; i++) {
        handle = marshal_get_u64(&rq->in);
        fd = handles_forget(rq->export->handles, handle,
                            marshal_get_u32(&rq->in));
        if (fd >= 0) {
            dropped[(*n_dropped)++] = fd;
        }
    }
    return 0;
}

int request_adopt(Request *rq, int fd)
{
    Handles *handles = rq->export->handles;
    uint64_t handle = marshal_get_u64(&rq->in);
    uint64_t mount = rq->export->mount;
    HostPlace at;

    if (!mount || !marshal_done(&rq->in) || !(handle & PROXY_ADOPTED) ||
        hostfs_place(fd, &at) < 0) {
        close(fd);
        return request_malformed(rq);
    }
    return handles_adopt(handles, handle, fd, at.dev, at.ino) == -EEXIST
           ? request_malformed(rq) : 0;
}

/* HostKnown.is_above */
static bool is_above(void *opaque, const HostPlace *dir, const FsAttr *above)
{
    return handles_know_above(opaque, dir->dev, dir->ino, above->dev,
                              above->ino);
}

/*
 * The nodes of a walk that found everything. @down is false if the last name
 * was "..".
 */
static int put_walk_nodes(Request *rq, HostWalk *walk, bool down)
{
    NewHandle parent = { .first = false };
    NewHandle node;
    bool has_parent = walk->parent >= 0;
    int ret;

    if (has_parent) {
        ret = give(rq, walk->parent, &walk->attr[walk->walked - 2], &parent);
        if (ret < 0) {
            close(walk->node);
            return ret;
        }
    }
    ret = give(rq, walk->node, &walk->attr[walk->walked - 1], &node);
    if (ret < 0) {
        if (has_parent) {
            ungive(rq, &parent);
        }
        return ret;
    }
    if (down) {
        handles_set_parent(rq->export->handles, node.handle,
                           has_parent ? parent.handle : rq->used[0]);
    }
    put_node(rq, &node);
    put_node(rq, &parent);
    return 0;
}

static int do_walk(Request *rq)
{
    uint64_t handle = marshal_get_u64(&rq->in);
    unsigned n = marshal_get_u16(&rq->in);
    const HostKnown known = { .is_above = is_above,
                              .opaque = rq->export->handles };
    const char *names[FS_WALK_MAX];
    HostWalk walk;
    unsigned i;
    int from, ret;

    if (n == 0 || n > FS_WALK_MAX) {
        return request_malformed(rq);
    }
    for (i = 0; i < n; i++) {
        names[i] = marshal_get_str(&rq->in, NULL);
    }
    from = request_use(rq, handle);
    if (from < 0) {
        return from;
    }

    ret = hostfs_walk_known(&rq->export->fs, from, &known, names, n, &walk);
    if (ret < 0 && (walk.walked == 0 || ret == -EAGAIN)) {
        return ret;
    }
    marshal_put_u16(&rq->out, walk.walked);
    for (i = 0; i < walk.walked; i++) {
        guest_ids_put_attr(rq->export->fs.ids, &rq->out, &walk.attr[i]);
    }
    return ret < 0 ? 0
                   : put_walk_nodes(rq, &walk,
                                    !g_str_equal(names[n - 1], ".."));
}

static int do_getattr(Request *rq)
{
    uint64_t handle = marshal_get_u64(&rq->in);
    FsAttr attr;
    int node, ret;

    node = request_use(rq, handle);
    ret = node < 0 ? node : hostfs_view(&rq->export->fs, node, &attr);
    if (ret == 0) {
        guest_ids_put_attr(rq->export->fs.ids, &rq->out, &attr);
    }
    return ret;
}

static int do_setattr(Request *rq)
{
    uint64_t handle = marshal_get_u64(&rq->in);
    FsSetAttr set;
    int node, ret;

    proxy_get_setattr(&rq->in, &set);
    node = request_use(rq, handle);
    if (node < 0) {
        return node;
    }
    ret = id_translate_set(rq->export->fs.ids, &set);
    return ret < 0 ? ret : hostfs_setattr(&rq->export->fs, node, -1, &set);
}

static int do_readlink(Request *rq)
{
    uint64_t handle = marshal_get_u64(&rq->in);
    char target[PATH_MAX];
    int node, ret;

    node = request_use(rq, handle);
    ret = node < 0 ? node : hostfs_readlink(node, target, sizeof(target));
    if (ret == 0) {
        marshal_put_str(&rq->out, target);
    }
    return ret;
}

static int do_statfs(Request *rq)
{
    uint64_t handle = marshal_get_u64(&rq->in);
    FsStatfs st;
    int node, ret;

    node = request_use(rq, handle);
    ret = node < 0 ? node : hostfs_statfs(node, &st);
    if (ret == 0) {
        proxy_put_statfs(&rq->out, &st);
    }
    return ret;
}

/*
 * For @ret of opening a file, which had a place: passes it on, with the place
 * if there is no file.
 */
static int opened(Request *rq, int ret)
{
    if (ret < 0) {
        to_close_unreserve(rq->export->to_close);
    }
    return ret;
}

static int do_open(Request *rq)
{
    uint64_t handle = marshal_get_u64(&rq->in);
    uint32_t flags = marshal_get_u32(&rq->in);
    int node, fd;

    node = request_use(rq, handle);
    if (node < 0) {
        return node;
    }
    if (!to_close_reserve(rq->export->to_close)) {
        return -EAGAIN;
    }
    fd = opened(rq, hostfs_open(&rq->export->fs, node, flags));
    if (fd < 0) {
        return fd;
    }
    put_open(rq, fd);
    return 0;
}

static int get_owner(Request *rq, FsMakeArgs *make)
{
    return guest_ids_owner(rq->export->fs.ids, rq->export->acts_as_guest ?
                           &rq->user : NULL, make);
}

static int do_create(Request *rq)
{
    uint64_t handle = marshal_get_u64(&rq->in);
    FsMakeArgs make = { .name = marshal_get_str(&rq->in, NULL) };
    uint32_t flags = marshal_get_u32(&rq->in);
    NewHandle new;
    FsAttr attr;
    int dir, fd, node, ret;

    make.mode = marshal_get_u32(&rq->in);
    make.uid = marshal_get_u32(&rq->in);
    make.gid = marshal_get_u32(&rq->in);
    dir = request_use(rq, handle);
    if (dir < 0) {
        return dir;
    }
    if ((make.mode & S_IFMT) && !S_ISREG(make.mode)) {
        return -EINVAL;
    }
    ret = get_owner(rq, &make);
    if (ret < 0) {
        return ret;
    }
    make.mode = S_IFREG | (make.mode & 07777);
    if (handles_full(rq->export->handles)) {
        return -EMFILE;         /* nothing was made, so QEMU may retry */
    }
    if (!to_close_reserve(rq->export->to_close)) {
        return -EAGAIN;
    }

    fd = opened(rq, hostfs_create(&rq->export->fs, dir, &make, flags, &node,
                                  &attr));
    if (fd < 0) {
        return fd;
    }
    ret = opened(rq, give(rq, node, &attr, &new));
    if (ret < 0) {
        close(fd);
        return ret;
    }
    guest_ids_put_attr(rq->export->fs.ids, &rq->out, &attr);
    put_node(rq, &new);
    put_open(rq, fd);
    return 0;
}

static int do_make(Request *rq)
{
    uint64_t handle = marshal_get_u64(&rq->in);
    FsMakeArgs make = { .name = marshal_get_str(&rq->in, NULL) };
    FsAttr attr;
    int dir, ret;

    make.mode = marshal_get_u32(&rq->in);
    make.uid = marshal_get_u32(&rq->in);
    make.gid = marshal_get_u32(&rq->in);
    make.rdev = marshal_get_u64(&rq->in);
    make.target = marshal_get_str(&rq->in, NULL);
    dir = request_use(rq, handle);
    if (dir < 0) {
        return dir;
    }
    ret = get_owner(rq, &make);
    if (ret == 0) {
        ret = hostfs_make(&rq->export->fs, dir, &make, &attr);
    }
    if (ret == 0) {
        guest_ids_put_attr(rq->export->fs.ids, &rq->out, &attr);
    }
    return ret;
}

static int do_link(Request *rq)
{
    uint64_t handle = marshal_get_u64(&rq->in);
    uint64_t dir_handle = marshal_get_u64(&rq->in);
    const char *name = marshal_get_str(&rq->in, NULL);
    int node, dir;

    node = request_use(rq, handle);
    dir = request_use(rq, dir_handle);
    if (node < 0 || dir < 0) {
        return node < 0 ? node : dir;
    }
    return hostfs_link(&rq->export->fs, node, dir, name);
}

static int do_rename(Request *rq)
{
    uint64_t old_handle = marshal_get_u64(&rq->in);
    const char *old_name = marshal_get_str(&rq->in, NULL);
    uint64_t new_handle = marshal_get_u64(&rq->in);
    const char *new_name = marshal_get_str(&rq->in, NULL);
    int old_dir, new_dir;

    old_dir = request_use(rq, old_handle);
    new_dir = request_use(rq, new_handle);
    if (old_dir < 0 || new_dir < 0) {
        return old_dir < 0 ? old_dir : new_dir;
    }
    return hostfs_rename(&rq->export->fs, old_dir, old_name, new_dir,
                         new_name);
}

static int do_unlink(Request *rq)
{
    uint64_t handle = marshal_get_u64(&rq->in);
    const char *name = marshal_get_str(&rq->in, NULL);
    bool rmdir = marshal_get_u8(&rq->in);
    uint64_t expect_handle = marshal_get_u64(&rq->in);
    int dir;
    int expect = -1;

    dir = request_use(rq, handle);
    if (dir < 0) {
        return dir;
    }
    if (expect_handle) {
        expect = request_use(rq, expect_handle);
        if (expect < 0) {
            return expect;
        }
    }
    return hostfs_unlink(&rq->export->fs, dir, name, rmdir, expect);
}

static int do_write(Request *rq)
{
    uint64_t handle = marshal_get_u64(&rq->in);
    uint32_t flags = marshal_get_u32(&rq->in);
    uint64_t offset = marshal_get_u64(&rq->in);
    uint32_t size = marshal_get_u32(&rq->in);
    const void *data = marshal_get_bytes(&rq->in, size);
    ssize_t len;
    int node;

    node = request_use(rq, handle);
    if (node < 0) {
        return node;
    }
    if (size > PROXY_WRITE_MAX) {
        return -EINVAL;
    }
    len = hostfs_write(&rq->export->fs, node, flags, data, size, offset);
    if (len < 0) {
        return len;
    }
    marshal_put_u32(&rq->out, len);
    return 0;
}

/*
 * What is not in the export looks like what does not exist. What else fails
 * may work another time.
 */
static int not_found(int error)
{
    switch (error) {
    case -EAGAIN:
    case -EIO:
    case -EMFILE:
    case -ENFILE:
    case -ENOMEM:
        return error;
    default:
        return -ESTALE;
    }
}

static int do_find(Request *rq)
{
    uint32_t type = marshal_get_u32(&rq->in);
    uint32_t size = marshal_get_u32(&rq->in);
    const void *bytes = marshal_get_bytes(&rq->in, size);
    g_autofree struct file_handle *fh = NULL;
    NewHandle new;
    FsAttr attr;
    int fd, ret;

    if (!marshal_done(&rq->in) || rq->export->file_handles.mount_fd < 0) {
        return request_malformed(rq);
    }
    fh = file_handle_new(type, bytes, size);
    if (!fh) {
        return -ESTALE;
    }
    /* The work is the root's file system's, where all handles lead to. */
    ret = request_use(rq, PROXY_ROOT_HANDLE);
    if (ret < 0) {
        return ret;
    }
    fd = file_handle_open(&rq->export->file_handles, fh, true, &attr);
    if (fd < 0) {
        return not_found(fd);
    }
    ret = special_file_see(&rq->export->fs, fd, &attr);
    if (ret < 0) {
        close(fd);
        return ret;
    }
    ret = give(rq, fd, &attr, &new);
    if (ret == 0) {
        guest_ids_put_attr(rq->export->fs.ids, &rq->out, &attr);
        put_node(rq, &new);
    }
    return ret;
}

static int do_readdir(Request *rq)
{
    uint64_t handle = marshal_get_u64(&rq->in);
    uint64_t offset = marshal_get_u64(&rq->in);
    g_autofree uint8_t *buf = NULL;
    FsDirent entry;
    ssize_t len, at;
    int node;

    node = request_use(rq, handle);
    if (node < 0) {
        return node;
    }
    buf = g_malloc(PROXY_READDIR_MAX);
    len = hostfs_readdir(&rq->export->fs, node, offset, buf,
                         PROXY_READDIR_MAX);
    for (at = 0; at < len;) {
        at += hostfs_dirent_get(buf + at, &entry);
        marshal_put_u64(&rq->out, entry.ino);
        marshal_put_u64(&rq->out, entry.next);
        marshal_put_u8(&rq->out, hostfs_entry_type(&rq->export->fs, node,
                                                   entry.name, entry.type));
        marshal_put_str(&rq->out, entry.name);
    }
    return MIN(len, 0);
}

int request_execute(Request *rq, unsigned type)
{
    static int (*const functions[PROXY_TYPE_END])(Request *rq) = {
        [PROXY_WALK] = do_walk,
        [PROXY_GETATTR] = do_getattr,
        [PROXY_SETATTR] = do_setattr,
        [PROXY_READLINK] = do_readlink,
        [PROXY_STATFS] = do_statfs,
        [PROXY_OPEN] = do_open,
        [PROXY_CREATE] = do_create,
        [PROXY_MAKE] = do_make,
        [PROXY_LINK] = do_link,
        [PROXY_RENAME] = do_rename,
        [PROXY_UNLINK] = do_unlink,
        [PROXY_GETXATTR] = request_getxattr,
        [PROXY_SETXATTR] = request_setxattr,
        [PROXY_REMOVEXATTR] = request_removexattr,
        [PROXY_WRITE] = do_write,
        [PROXY_FIND] = do_find,
        [PROXY_READDIR] = do_readdir,
    };

    int ret = 0;

    if (type >= PROXY_TYPE_END || !functions[type]) {
        return request_malformed(rq);
    }
    if (rq->export->acts_as_guest) {
        ret = guest_ids_act_as(rq->export->fs.ids, marshal_get_u32(&rq->in),
                               &rq->user);
    }
    if (ret == 0) {
        ret = functions[type](rq);
    }
    if (rq->working) {
        rq->dev = thread_budget_end();
        rq->working = false;
    }
    return ret;
}

void request_finish(Request *rq)
{
    unsigned i;

    if (rq->opened >= 0) {
        to_close_file(rq->export->to_close, rq->opened, rq->dev);
        rq->opened = -1;
    }
    for (i = 0; i < rq->nused; i++) {
        handles_put(rq->export->handles, rq->used[i]);
    }
    rq->nused = 0;
    to_close_waiting(rq->export->to_close);
}
