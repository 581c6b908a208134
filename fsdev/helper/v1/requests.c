/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The requests of protocol version 1: see requests.h, and
 * fsdev/shared/proto-v1.h for the payloads.
 *
 * Theory of operation. Each function finds a handle of the object by its path
 * (path.h), or of the directory if the request makes, renames or removes a
 * name. From there on it calls the same host file operations as version 2.
 *
 * A malformed payload gets EINVAL: its frame was good, so the client may go on.
 */
#include "qemu/osdep.h"
#include "requests.h"
#include "path.h"
#include "fsdev/shared/id-translate.h"
#include "fsdev/shared/proto-v1.h"
#include <sys/xattr.h>

/* One request and its reply */
typedef struct RequestV1 {
    const HostFs *fs;
    MarshalReader in;
    MarshalWriter out;          /* payload of the reply */
    int fd;                     /* the reply of OPEN and CREATE */
} RequestV1;

/*
 * The next string, NUL-terminated in place, over its own length. A client may
 * count a final NUL (it does for the root's path); a NUL anywhere else makes
 * the payload bad.
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

/* A handle of @path, which must be the last field of the request */
static int find_last(RequestV1 *rq, const char *path)
{
    return marshal_done(&rq->in) ? path_v1_find(rq->fs, path) : -EINVAL;
}

/*
 * Opening files
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
 * A new object cannot have the owner -1, which chown(2) reads as "leave as it
 * is". A client that knows no group (9P2000.u names none) sends -1 as the
 * group: the object gets the group that it would get from root. The guest's ids
 * become the host's.
 */
static int set_owner(RequestV1 *rq, FsMakeArgs *make, int dir)
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
        if (attr.mode & S_ISGID) {
            make->gid = attr.gid;
            return id_translate_uid(rq->fs->ids, make->uid, &make->uid);
        }
        make->gid = 0;
    }
    return id_translate_make(rq->fs->ids, make);
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
    dir = path_v1_find_parent(rq->fs, path, &name);
    if (dir < 0) {
        return dir;
    }
    make.name = name;
    ret = set_owner(rq, &make, dir);
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
 * Making, moving and removing names
 */

/* Makes @make at @path. */
static int make_at(RequestV1 *rq, const char *path, FsMakeArgs *make)
{
    g_autofree char *name = NULL;
    FsAttr attr;
    int dir, ret;

    if (!marshal_done(&rq->in)) {
        return -EINVAL;
    }
    dir = path_v1_find_parent(rq->fs, path, &name);
    if (dir < 0) {
        return dir == -EBUSY ? -EEXIST : dir;
    }
    make->name = name;
    ret = set_owner(rq, make, dir);
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
    dir = path_v1_find_parent(rq->fs, new, &name);
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
    old_dir = path_v1_find_parent(rq->fs, old, &old_name);
    if (old_dir < 0) {
        return old_dir;
    }
    new_dir = path_v1_find_parent(rq->fs, new, &new_name);
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
    dir = path_v1_find_parent(rq->fs, path, &name);
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
 * Reading and changing attributes
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
    ret = hostfs_view(rq->fs, node, &attr);
    close(node);
    if (ret < 0) {
        return ret;
    }
    id_translate_attr_to_guest(rq->fs->ids, &attr);
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
        /* readlink(2) truncates, too. */
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
    int ret;

    set.gid = marshal_get_u32(&rq->in);
    set.valid = (set.uid != (uint32_t)-1 ? FS_SET_UID : 0) |
                (set.gid != (uint32_t)-1 ? FS_SET_GID : 0);
    ret = id_translate_set(rq->fs->ids, &set);
    return ret < 0 ? ret : set_at(rq, path, &set);
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

/* One time of utimensat(2), whose nanoseconds may be a command */
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

/* The value, or only its length if @size is 0 */
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
    /* Framed as a string, but it may hold NULs */
    const void *value = marshal_get_bytes(&rq->in, len);
    uint32_t size = marshal_get_u32(&rq->in);
    uint32_t flags = marshal_get_u32(&rq->in);
    int node, ret;

    if (!marshal_done(&rq->in) || size > len ||
        (flags & ~(XATTR_CREATE | XATTR_REPLACE))) {
        return -EINVAL;
    }
    node = path_v1_find(rq->fs, path);
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
