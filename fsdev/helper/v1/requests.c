/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The requests of protocol version 1: see requests.h, and
 * fsdev/shared/proto-v1.h for what they look like.
 *
 * Theory of operation. Version 1 knows files by path. Each path is walked
 * afresh from the export's root, name by name and never through a symbolic
 * link (hostfs_walk()), which gives a handle of the object, or of the directory
 * for a name that is to be made, renamed or removed. From there on it is the
 * same host file operations as for version 2. So a link in the way, or one that
 * is put there at the wrong moment, leads nowhere.
 *
 * A payload that cannot be taken apart is answered with EINVAL: the client may
 * go on, since the frame was good.
 */
#include "qemu/osdep.h"
#include "requests.h"
#include "fsdev/helper/log.h"
#include "fsdev/shared/proto-v1.h"
#include <sys/xattr.h>

/* One request and its reply */
typedef struct RequestV1 {
    const HostFs *fs;
    MarshalReader in;
    MarshalWriter out;          /* payload of the reply */
    int fd;                     /* to be sent, for fd replies */
} RequestV1;

/*
 * The next string. Some of what a client sends (the root's path) has its
 * final NUL counted; one anywhere else makes the payload bad. NUL-terminated
 * in place, over its own length.
 */
static const char *get_str(RequestV1 *rq)
{
    uint16_t len = marshal_get_u16(&rq->in);
    char *bytes = marshal_get_bytes(&rq->in, len);
    char *s;

    if (!bytes) {
        return "";
    }
    s = memmove(bytes - sizeof(len), bytes, len);
    s[len] = '\0';
    if (len && strlen(s) < len - 1u) {
        marshal_fail(&rq->in);
    }
    return s;
}

/* The names in @path, which is changed; "." and empty ones count nothing. */
static char *next_name(char **path)
{
    char *name;

    do {
        name = strsep(path, "/");
    } while (name && (*name == '\0' || g_str_equal(name, ".")));
    return name;
}

/* A handle of what the names lead to, from the export's root. */
static int walk_names(const HostFs *fs, char *const *names, size_t n)
{
    int fd = fcntl(fs->root, F_DUPFD_CLOEXEC, 0);
    size_t at, count;
    HostWalk walk;
    int ret;

    if (fd < 0) {
        return -errno;
    }
    for (at = 0; at < n; at += count) {
        count = MIN(n - at, FS_WALK_MAX);
        ret = hostfs_walk(fs, fd, (const char *const *)names + at, count,
                          &walk);
        close(fd);
        if (ret < 0) {
            return ret;
        }
        if (walk.parent >= 0) {
            close(walk.parent);
        }
        fd = walk.node;
    }
    return fd;
}

static GPtrArray *split(const char *path, char **copy)
{
    GPtrArray *names = g_ptr_array_new();
    char *rest = *copy = g_strdup(path);
    char *name;

    while ((name = next_name(&rest))) {
        g_ptr_array_add(names, name);
    }
    return names;
}

/* A handle of the object at @path, the caller's to close, or -errno. */
static int find(const HostFs *fs, const char *path)
{
    g_autofree char *copy = NULL;
    g_autoptr(GPtrArray) names = split(path, &copy);

    return walk_names(fs, (char **)names->pdata, names->len);
}

/*
 * A handle of the directory that @path's last name is in, which *@name gets
 * (g_free). The root has no name: -EBUSY, as rename(2) says of it.
 */
static int find_parent(const HostFs *fs, const char *path, char **name)
{
    g_autofree char *copy = NULL;
    g_autoptr(GPtrArray) names = split(path, &copy);

    *name = NULL;
    if (!names->len) {
        return -EBUSY;
    }
    *name = g_strdup(names->pdata[names->len - 1]);
    return walk_names(fs, (char **)names->pdata, names->len - 1);
}

/* A handle of @path, when all of the request's fields were read */
static int find_last(RequestV1 *rq, const char *path)
{
    return marshal_done(&rq->in) ? find(rq->fs, path) : -EINVAL;
}

/*
 * What opens
 */

static int do_open(RequestV1 *rq)
{
    const char *path = get_str(rq);
    uint32_t flags = marshal_get_u32(&rq->in);
    int node;

    node = find_last(rq, path);
    if (node < 0) {
        return node;
    }
    rq->fd = hostfs_open(rq->fs, node, flags);
    close(node);
    return MIN(rq->fd, 0);
}

/*
 * chown(2) takes -1 for "as it is": that is nobody's, see requests.c. A client
 * that was told no group, as with 9P2000.u, says so by -1: then it is the one
 * that root would give.
 */
static int set_owner(FsMakeArgs *make, int dir)
{
    FsAttr attr;
    int ret;

    if (make->uid == (uint32_t)-1) {
        return -EINVAL;
    }
    if (make->gid == (uint32_t)-1) {
        ret = hostfs_getattr(dir, &attr);
        if (ret < 0) {
            return ret;
        }
        make->gid = attr.mode & S_ISGID ? attr.gid : 0;
    }
    return 0;
}

static int do_create(RequestV1 *rq)
{
    const char *path = get_str(rq);
    uint32_t flags = marshal_get_u32(&rq->in);
    g_autofree char *name = NULL;
    FsMakeArgs make = { 0 };
    FsAttr attr;
    int dir, node, ret;

    make.mode = S_IFREG | (marshal_get_u32(&rq->in) & 07777);
    make.uid = marshal_get_u32(&rq->in);
    make.gid = marshal_get_u32(&rq->in);
    if (!marshal_done(&rq->in)) {
        return -EINVAL;
    }
    dir = find_parent(rq->fs, path, &name);
    if (dir < 0) {
        return dir;
    }
    make.name = name;
    ret = set_owner(&make, dir);
    rq->fd = ret < 0 ? ret : hostfs_create(rq->fs, dir, &make, flags, &node,
                                           &attr);
    close(dir);
    if (rq->fd < 0) {
        return rq->fd;
    }
    close(node);
    return 0;
}

/*
 * What makes names, moves and removes them
 */

/* Makes what @make says at @path. */
static int make_at(RequestV1 *rq, const char *path, FsMakeArgs *make)
{
    g_autofree char *name = NULL;
    FsAttr attr;
    int dir, ret;

    if (!marshal_done(&rq->in)) {
        return -EINVAL;
    }
    dir = find_parent(rq->fs, path, &name);
    if (dir < 0) {
        return dir == -EBUSY ? -EEXIST : dir;
    }
    make->name = name;
    ret = set_owner(make, dir);
    if (ret == 0) {
        ret = hostfs_make(rq->fs, dir, make, &attr);
    }
    close(dir);
    return ret;
}

static void get_owner(RequestV1 *rq, FsMakeArgs *make)
{
    make->uid = marshal_get_u32(&rq->in);
    make->gid = marshal_get_u32(&rq->in);
}

static int do_mknod(RequestV1 *rq)
{
    FsMakeArgs make = { 0 };
    const char *path;

    get_owner(rq, &make);
    path = get_str(rq);
    make.mode = marshal_get_u32(&rq->in) & (S_IFMT | 07777);
    make.rdev = marshal_get_u64(&rq->in);
    if (S_ISDIR(make.mode) || S_ISLNK(make.mode)) {
        return -EINVAL;
    }
    return make_at(rq, path, &make);
}

static int do_mkdir(RequestV1 *rq)
{
    FsMakeArgs make = { 0 };
    const char *path;

    get_owner(rq, &make);
    path = get_str(rq);
    make.mode = S_IFDIR | (marshal_get_u32(&rq->in) & 07777);
    return make_at(rq, path, &make);
}

static int do_symlink(RequestV1 *rq)
{
    FsMakeArgs make = { .mode = S_IFLNK | 0777 };
    const char *path;

    get_owner(rq, &make);
    make.target = get_str(rq);
    path = get_str(rq);
    return make_at(rq, path, &make);
}

static int do_link(RequestV1 *rq)
{
    const char *old = get_str(rq);
    const char *new = get_str(rq);
    g_autofree char *name = NULL;
    int node, dir, ret;

    node = find_last(rq, old);
    if (node < 0) {
        return node;
    }
    dir = find_parent(rq->fs, new, &name);
    if (dir < 0) {
        ret = dir == -EBUSY ? -EEXIST : dir;
    } else {
        ret = hostfs_link(rq->fs, node, dir, name);
        close(dir);
    }
    close(node);
    return ret;
}

static int do_rename(RequestV1 *rq)
{
    const char *old = get_str(rq);
    const char *new = get_str(rq);
    g_autofree char *old_name = NULL;
    g_autofree char *new_name = NULL;
    int old_dir, new_dir, ret;

    if (!marshal_done(&rq->in)) {
        return -EINVAL;
    }
    old_dir = find_parent(rq->fs, old, &old_name);
    if (old_dir < 0) {
        return old_dir;
    }
    new_dir = find_parent(rq->fs, new, &new_name);
    if (new_dir < 0) {
        ret = new_dir;
    } else {
        ret = hostfs_rename(rq->fs, old_dir, old_name, new_dir, new_name);
        close(new_dir);
    }
    close(old_dir);
    return ret;
}

/* remove(3): a file or an empty directory */
static int do_remove(RequestV1 *rq)
{
    const char *path = get_str(rq);
    g_autofree char *name = NULL;
    int dir, ret;

    if (!marshal_done(&rq->in)) {
        return -EINVAL;
    }
    dir = find_parent(rq->fs, path, &name);
    if (dir < 0) {
        return dir;
    }
    ret = hostfs_unlink(rq->fs, dir, name, false, -1);
    if (ret == -EISDIR) {
        ret = hostfs_unlink(rq->fs, dir, name, true, -1);
    }
    close(dir);
    return ret;
}

/*
 * What is known of an object, and what changes that
 */

static void put_time(RequestV1 *rq, const struct timespec *time)
{
    marshal_put_u64(&rq->out, time->tv_sec);
    marshal_put_u64(&rq->out, time->tv_nsec);
}

static int do_lstat(RequestV1 *rq)
{
    const char *path = get_str(rq);
    MarshalWriter *w = &rq->out;
    FsAttr attr;
    int node, ret;

    node = find_last(rq, path);
    if (node < 0) {
        return node;
    }
    ret = hostfs_getattr(node, &attr);
    close(node);
    if (ret < 0) {
        return ret;
    }
    marshal_put_u64(w, attr.dev);
    marshal_put_u64(w, attr.ino);
    marshal_put_u64(w, attr.nlink);
    marshal_put_u32(w, attr.mode);
    marshal_put_u32(w, attr.uid);
    marshal_put_u32(w, attr.gid);
    marshal_put_u64(w, attr.rdev);
    marshal_put_u64(w, attr.size);
    marshal_put_u64(w, attr.blksize);
    marshal_put_u64(w, attr.blocks);
    put_time(rq, &attr.atime);
    put_time(rq, &attr.mtime);
    put_time(rq, &attr.ctime);
    return 0;
}

static int do_readlink(RequestV1 *rq)
{
    const char *path = get_str(rq);
    uint32_t size = marshal_get_u32(&rq->in);
    char target[PATH_MAX];
    int node, ret;

    node = find_last(rq, path);
    if (node < 0) {
        return node;
    }
    ret = hostfs_readlink(node, target, sizeof(target));
    close(node);
    if (ret == 0) {
        /* readlink(2) cuts off what does not fit */
        marshal_put_strn(&rq->out, target, MIN(strlen(target), size));
    }
    return ret;
}

static int do_statfs(RequestV1 *rq)
{
    const char *path = get_str(rq);
    MarshalWriter *w = &rq->out;
    FsStatfs st;
    int node, ret;

    node = find_last(rq, path);
    if (node < 0) {
        return node;
    }
    ret = hostfs_statfs(node, &st);
    close(node);
    if (ret < 0) {
        return ret;
    }
    marshal_put_u64(w, st.type);
    marshal_put_u64(w, st.bsize);
    marshal_put_u64(w, st.blocks);
    marshal_put_u64(w, st.bfree);
    marshal_put_u64(w, st.bavail);
    marshal_put_u64(w, st.files);
    marshal_put_u64(w, st.ffree);
    marshal_put_u64(w, (uint32_t)st.fsid);
    marshal_put_u64(w, st.fsid >> 32);
    marshal_put_u64(w, st.namelen);
    marshal_put_u64(w, st.bsize);
    return 0;
}

static int set_at(RequestV1 *rq, const char *path, const FsSetAttr *set)
{
    int node, ret;

    node = find_last(rq, path);
    if (node < 0) {
        return node;
    }
    ret = hostfs_setattr(rq->fs, node, -1, set);
    close(node);
    return ret;
}

static int do_chmod(RequestV1 *rq)
{
    const char *path = get_str(rq);
    FsSetAttr set = {
        .valid = FS_SET_MODE,
        .mode = marshal_get_u32(&rq->in) & 07777,
    };

    return set_at(rq, path, &set);
}

static int do_chown(RequestV1 *rq)
{
    const char *path = get_str(rq);
    FsSetAttr set = { .uid = marshal_get_u32(&rq->in) };

    set.gid = marshal_get_u32(&rq->in);
    set.valid = (set.uid != (uint32_t)-1 ? FS_SET_UID : 0) |
                (set.gid != (uint32_t)-1 ? FS_SET_GID : 0);
    return set_at(rq, path, &set);
}

static int do_truncate(RequestV1 *rq)
{
    const char *path = get_str(rq);
    FsSetAttr set = {
        .valid = FS_SET_SIZE,
        .size = marshal_get_u64(&rq->in),
    };

    return set_at(rq, path, &set);
}

/* One time of utimensat(2), where the nanoseconds may be a command */
static uint32_t get_new_time(RequestV1 *rq, struct timespec *time,
                             uint32_t change, uint32_t given)
{
    uint64_t nsec;

    time->tv_sec = marshal_get_u64(&rq->in);
    nsec = marshal_get_u64(&rq->in);
    switch (nsec) {
    case UTIME_OMIT:
        return 0;
    case UTIME_NOW:
        return change;
    default:
        time->tv_nsec = nsec < 1000000000 ? nsec : -1;
        return change | given;
    }
}

static int do_utime(RequestV1 *rq)
{
    const char *path = get_str(rq);
    FsSetAttr set = { 0 };

    set.valid |= get_new_time(rq, &set.atime, FS_SET_ATIME,
                              FS_SET_ATIME_SET);
    set.valid |= get_new_time(rq, &set.mtime, FS_SET_MTIME,
                              FS_SET_MTIME_SET);
    return set_at(rq, path, &set);
}

static int do_getversion(RequestV1 *rq)
{
    const char *path = get_str(rq);
    uint64_t gen = 0;
    int node, ret;

    node = find_last(rq, path);
    if (node < 0) {
        return node;
    }
    ret = hostfs_generation(rq->fs, node, &gen);
    close(node);
    if (ret < 0 && ret != -EOPNOTSUPP) {
        return ret;
    }
    marshal_put_u64(&rq->out, ret < 0 ? 0 : gen);
    return 0;
}

/*
 * Extended attributes
 */

/* The value, or its length alone where @size is 0 */
static int get_xattr(RequestV1 *rq, const char *path, const char *name,
                     uint32_t size)
{
    uint8_t *start, *value;
    MarshalWriter w;
    ssize_t len;
    int node;

    node = find_last(rq, path);
    if (node < 0) {
        return node;
    }
    if (size == 0) {
        len = hostfs_getxattr(rq->fs, node, name, NULL, 0);
        close(node);
        return len;
    }

    /* Straight into the reply; a string there has at most 65535 bytes. */
    size = MIN(size, UINT16_MAX);
    start = marshal_reserve(&rq->out, 2);
    value = marshal_reserve(&rq->out, size);
    len = value ? hostfs_getxattr(rq->fs, node, name, value, size) : -EMSGSIZE;
    close(node);
    if (len < 0) {
        return len;
    }
    marshal_writer_init(&w, start, 2);
    marshal_put_u16(&w, len);
    marshal_cut(&rq->out, marshal_size(&rq->out) - size + len);
    return 0;
}

static int do_lgetxattr(RequestV1 *rq)
{
    uint32_t size = marshal_get_u32(&rq->in);
    const char *path = get_str(rq);
    const char *name = get_str(rq);

    return get_xattr(rq, path, name, size);
}

static int do_llistxattr(RequestV1 *rq)
{
    uint32_t size = marshal_get_u32(&rq->in);
    const char *path = get_str(rq);

    return get_xattr(rq, path, NULL, size);
}

static int do_lsetxattr(RequestV1 *rq)
{
    const char *path = get_str(rq);
    const char *name = get_str(rq);
    uint16_t len = marshal_get_u16(&rq->in);
    /* A value is a string that may have NULs */
    const void *value = marshal_get_bytes(&rq->in, len);
    uint32_t size = marshal_get_u32(&rq->in);
    uint32_t flags = marshal_get_u32(&rq->in);
    int node, ret;

    if (!marshal_done(&rq->in) || size > len ||
        (flags & ~(XATTR_CREATE | XATTR_REPLACE))) {
        return -EINVAL;
    }
    node = find(rq->fs, path);
    if (node < 0) {
        return node;
    }
    ret = hostfs_setxattr(rq->fs, node, name, value, size, flags);
    close(node);
    return ret;
}

static int do_lremovexattr(RequestV1 *rq)
{
    const char *path = get_str(rq);
    const char *name = get_str(rq);
    int node, ret;

    node = find_last(rq, path);
    if (node < 0) {
        return node;
    }
    ret = hostfs_removexattr(rq->fs, node, name);
    close(node);
    return ret;
}

int request_v1_execute(const HostFs *fs, uint32_t type, uint8_t *in,
                       uint32_t size, MarshalWriter *out, int *fd)
{
    static int (*const functions[PROXY_V1_TYPE_END])(RequestV1 *rq) = {
        [PROXY_V1_OPEN] = do_open,
        [PROXY_V1_CREATE] = do_create,
        [PROXY_V1_MKNOD] = do_mknod,
        [PROXY_V1_MKDIR] = do_mkdir,
        [PROXY_V1_SYMLINK] = do_symlink,
        [PROXY_V1_LINK] = do_link,
        [PROXY_V1_LSTAT] = do_lstat,
        [PROXY_V1_READLINK] = do_readlink,
        [PROXY_V1_STATFS] = do_statfs,
        [PROXY_V1_CHMOD] = do_chmod,
        [PROXY_V1_CHOWN] = do_chown,
        [PROXY_V1_TRUNCATE] = do_truncate,
        [PROXY_V1_UTIME] = do_utime,
        [PROXY_V1_RENAME] = do_rename,
        [PROXY_V1_REMOVE] = do_remove,
        [PROXY_V1_LGETXATTR] = do_lgetxattr,
        [PROXY_V1_LLISTXATTR] = do_llistxattr,
        [PROXY_V1_LSETXATTR] = do_lsetxattr,
        [PROXY_V1_LREMOVEXATTR] = do_lremovexattr,
        [PROXY_V1_GETVERSION] = do_getversion,
    };
    RequestV1 rq = { .fs = fs, .out = *out, .fd = -1 };
    int ret;

    if (type >= PROXY_V1_TYPE_END || !functions[type]) {
        return -EINVAL;
    }
    marshal_reader_init(&rq.in, in, size);
    ret = functions[type](&rq);
    *out = rq.out;
    *fd = rq.fd;
    return ret;
}

/*
 * Replies
 */

static bool send_fd(Channel *c, int fd, int ret)
{
    int32_t value = ret < 0 ? ret : PROXY_V1_FD_COMES;
    bool ok = channel_send(c, &value, sizeof(value), &fd, ret == 0);

    if (ret == 0) {
        close(fd);
    }
    return ok;
}

/* @ret: what a function returned; its payload, if any, is in @w. */
static bool send_answer(Channel *c, const MarshalWriter *w, uint8_t *buf,
                        int ret)
{
    size_t size = marshal_size(w);
    uint32_t head[2] = { PROXY_V1_SUCCESS, size };
    int32_t status = ret;

    if (ret < 0 || size == 0) {
        head[0] = ret < 0 ? PROXY_V1_ERROR : PROXY_V1_SUCCESS;
        head[1] = size = sizeof(status);
        memcpy(buf + PROXY_V1_HEADER_SIZE, &status, sizeof(status));
    }
    memcpy(buf, head, sizeof(head));
    return channel_send(c, buf, PROXY_V1_HEADER_SIZE + size, NULL, 0);
}

static bool serve_one(Channel *c, const HostFs *fs, uint8_t *in, uint8_t *out)
{
    MarshalWriter w;
    uint32_t type, size;
    int fd = -1;
    int ret;

    if (!channel_receive_v1(c, &type, in, &size)) {
        return false;
    }
    marshal_writer_init(&w, out + PROXY_V1_HEADER_SIZE, PROXY_V1_MAX_PAYLOAD);
    ret = request_v1_execute(fs, type, in, size, &w, &fd);
    if (log_wants(LOG_LEVEL_DEBUG)) {
        log_line(LOG_LEVEL_DEBUG, "version 1, request %u: %s", type,
                 strerror(ret < 0 ? -ret : 0));
    }
    return type == PROXY_V1_OPEN || type == PROXY_V1_CREATE
        ? send_fd(c, fd, ret) : send_answer(c, &w, out, ret);
}

void requests_v1_serve(Channel *c, const HostFs *fs)
{
    g_autofree uint8_t *in = g_malloc(PROXY_V1_MAX_PAYLOAD);
    g_autofree uint8_t *out = g_malloc(PROXY_V1_HEADER_SIZE +
                                       PROXY_V1_MAX_PAYLOAD);

    while (serve_one(c, fs, in, out)) {
        /* the next */
    }
}
