/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The requests of the proxy channel: see requests.h, and shared/proto.h for
 * the payloads.
 *
 * Each function reads its whole payload, checks that nothing is left over,
 * looks its handles up, calls the one host file operation, and writes the
 * reply. Names, flags and modes are checked where they are used, in hostfs.
 */
#include "qemu/osdep.h"
#include "requests.h"
#include <sys/xattr.h>

/* handle[8] count[4] */
#define FORGET_ENTRY_SIZE       12

/* The result of a request that breaks the protocol */
static int malformed(Request *rq)
{
    rq->malformed = true;
    return -EPROTO;
}

/*
 * The descriptor of a handle in the request, held until it is finished. From
 * the first handle on, the work counts as its file system's.
 */
static int use(Request *rq, uint64_t handle)
{
    ThreadBudget *budget = rq->export->budget;
    uint64_t dev;
    int fd = handles_get(rq->export->handles, &handle, &dev);

    if (fd < 0) {
        return fd;
    }
    rq->used[rq->nused++] = handle;
    if (!rq->working) {
        if (!thread_budget_take(budget, dev)) {
            return -EAGAIN;
        }
        thread_budget_begin(budget, dev);
        rq->working = true;
    }
    return fd;
}

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
        proxy_put_attr(&rq->out, &attr);
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
        return malformed(rq);
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
        return malformed(rq);
    }
    return handles_adopt(handles, handle, fd, at.dev, at.ino) == -EEXIST
           ? malformed(rq) : 0;
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
        return malformed(rq);
    }
    for (i = 0; i < n; i++) {
        names[i] = marshal_get_str(&rq->in, NULL);
    }
    if (!marshal_done(&rq->in)) {
        return malformed(rq);
    }
    from = use(rq, handle);
    if (from < 0) {
        return from;
    }

    ret = hostfs_walk_known(&rq->export->fs, from, &known, names, n, &walk);
    if (ret < 0 && (walk.walked == 0 || ret == -EAGAIN)) {
        return ret;
    }
    marshal_put_u16(&rq->out, walk.walked);
    for (i = 0; i < walk.walked; i++) {
        proxy_put_attr(&rq->out, &walk.attr[i]);
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

    if (!marshal_done(&rq->in)) {
        return malformed(rq);
    }
    node = use(rq, handle);
    ret = node < 0 ? node : hostfs_getattr(node, &attr);
    if (ret == 0) {
        proxy_put_attr(&rq->out, &attr);
    }
    return ret;
}

static int do_setattr(Request *rq)
{
    uint64_t handle = marshal_get_u64(&rq->in);
    FsSetAttr set;
    int node;

    proxy_get_setattr(&rq->in, &set);
    if (!marshal_done(&rq->in)) {
        return malformed(rq);
    }
    node = use(rq, handle);
    return node < 0 ? node : hostfs_setattr(&rq->export->fs, node, -1, &set);
}

static int do_readlink(Request *rq)
{
    uint64_t handle = marshal_get_u64(&rq->in);
    char target[PATH_MAX];
    int node, ret;

    if (!marshal_done(&rq->in)) {
        return malformed(rq);
    }
    node = use(rq, handle);
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

    if (!marshal_done(&rq->in)) {
        return malformed(rq);
    }
    node = use(rq, handle);
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

    if (!marshal_done(&rq->in)) {
        return malformed(rq);
    }
    node = use(rq, handle);
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

/*
 * chown(2) reads -1 as "leave as it is": the new file would stay the helper's,
 * so a guest may not name -1 as an owner.
 */
static bool bad_owner(const FsMakeArgs *make)
{
    return make->uid == (uint32_t)-1 || make->gid == (uint32_t)-1;
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
    if (!marshal_done(&rq->in)) {
        return malformed(rq);
    }
    dir = use(rq, handle);
    if (dir < 0) {
        return dir;
    }
    if (bad_owner(&make) || ((make.mode & S_IFMT) &&
                             !S_ISREG(make.mode))) {
        return -EINVAL;
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
    proxy_put_attr(&rq->out, &attr);
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
    if (!marshal_done(&rq->in)) {
        return malformed(rq);
    }
    dir = use(rq, handle);
    if (dir < 0) {
        return dir;
    }
    if (bad_owner(&make)) {
        return -EINVAL;
    }
    ret = hostfs_make(&rq->export->fs, dir, &make, &attr);
    if (ret == 0) {
        proxy_put_attr(&rq->out, &attr);
    }
    return ret;
}

static int do_link(Request *rq)
{
    uint64_t handle = marshal_get_u64(&rq->in);
    uint64_t dir_handle = marshal_get_u64(&rq->in);
    const char *name = marshal_get_str(&rq->in, NULL);
    int node, dir;

    if (!marshal_done(&rq->in)) {
        return malformed(rq);
    }
    node = use(rq, handle);
    dir = use(rq, dir_handle);
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

    if (!marshal_done(&rq->in)) {
        return malformed(rq);
    }
    old_dir = use(rq, old_handle);
    new_dir = use(rq, new_handle);
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

    if (!marshal_done(&rq->in)) {
        return malformed(rq);
    }
    dir = use(rq, handle);
    if (dir < 0) {
        return dir;
    }
    if (expect_handle) {
        expect = use(rq, expect_handle);
        if (expect < 0) {
            return expect;
        }
    }
    return hostfs_unlink(&rq->export->fs, dir, name, rmdir, expect);
}

static int do_getxattr(Request *rq)
{
    uint64_t handle = marshal_get_u64(&rq->in);
    bool list = marshal_get_u8(&rq->in);
    const char *name = marshal_get_str(&rq->in, NULL);
    uint8_t *size, *value;
    MarshalWriter size_out;
    ssize_t len;
    int node;

    if (!marshal_done(&rq->in)) {
        return malformed(rq);
    }
    node = use(rq, handle);
    if (node < 0) {
        return node;
    }
    if (list && *name) {
        return -EINVAL;
    }

    /* Straight into the reply, at the maximum size, then cut to the length. */
    size = marshal_reserve(&rq->out, 4);
    value = marshal_reserve(&rq->out, FS_XATTR_MAX);
    if (!size || !value) {
        return -EMSGSIZE;
    }
    len = hostfs_getxattr(&rq->export->fs, node, list ? NULL : name, value,
                          FS_XATTR_MAX);
    if (len < 0) {
        return len;
    }
    marshal_writer_init(&size_out, size, 4);
    marshal_put_u32(&size_out, len);
    marshal_cut(&rq->out, marshal_size(&rq->out) - FS_XATTR_MAX + len);
    return 0;
}

static int do_setxattr(Request *rq)
{
    uint64_t handle = marshal_get_u64(&rq->in);
    const char *name = marshal_get_str(&rq->in, NULL);
    uint32_t flags = marshal_get_u32(&rq->in);
    uint32_t size = marshal_get_u32(&rq->in);
    const void *value = marshal_get_bytes(&rq->in, size);
    int node;

    if (!marshal_done(&rq->in)) {
        return malformed(rq);
    }
    node = use(rq, handle);
    if (node < 0) {
        return node;
    }
    if (flags & ~(XATTR_CREATE | XATTR_REPLACE)) {
        return -EINVAL;
    }
    return hostfs_setxattr(&rq->export->fs, node, name, value, size, flags);
}

static int do_removexattr(Request *rq)
{
    uint64_t handle = marshal_get_u64(&rq->in);
    const char *name = marshal_get_str(&rq->in, NULL);
    int node;

    if (!marshal_done(&rq->in)) {
        return malformed(rq);
    }
    node = use(rq, handle);
    return node < 0 ? node :
           hostfs_removexattr(&rq->export->fs, node, name);
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

    if (!marshal_done(&rq->in)) {
        return malformed(rq);
    }
    node = use(rq, handle);
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
        [PROXY_GETXATTR] = do_getxattr,
        [PROXY_SETXATTR] = do_setxattr,
        [PROXY_REMOVEXATTR] = do_removexattr,
        [PROXY_WRITE] = do_write,
    };

    int ret;

    if (type >= PROXY_TYPE_END || !functions[type]) {
        return malformed(rq);
    }
    ret = functions[type](rq);
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
