/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The guest's view of a file, and the host's files that stand for the guest's:
 * see mapped.h.
 *
 * Host files get the modes LocalHost.fmode and .dmode, and the process's user
 * and group. hostfs sets the mode after it has made the file, so the umask has
 * no effect.
 */
#include "qemu/osdep.h"
#include "mapped.h"

/* Rounds in which the host may make and remove the file that a guest opens */
#define CREATE_TRIES            16

#define NO_ID                   ((uint32_t)-1)

/* The bytes of most lists of xattrs; the kernel allocates what it is given. */
#define LIST_SMALL              1024

static FsClaims claims;

void local_keys_add(LocalKeys *k, uint64_t dev, uint64_t ino, bool shared)
{
    assert(k->n < G_N_ELEMENTS(k->key));
    k->key[k->n] = (FsClaim) {
        .dev = dev, .ino = ino, .shared = shared,
        .more = k->n ? &k->key[k->n - 1] : NULL,
    };
    k->n++;
}

int local_keys_add_handle(LocalKeys *k, int fd, bool shared)
{
    HostPlace place;
    int ret = hostfs_place(fd, &place);

    if (ret == 0) {
        local_keys_add(k, place.dev, place.ino, shared);
    }
    return ret;
}

void local_keys_claim(LocalKeys *k)
{
    fs_claims_take(&claims, &k->key[k->n - 1]);
}

void local_keys_drop(LocalKeys *k)
{
    fs_claims_drop(&claims, &k->key[k->n - 1]);
}

int local_mapped_set_size(const LocalHost *lh, const LocalInode *inode,
                          int file, const FsSetAttr *set, const FsAttr *attr)
{
    FsSetAttr part = { .valid = FS_SET_SIZE, .size = set->size };
    int ret;

    if (set->valid & ~FS_SET_ALL) {
        return -EINVAL;
    }
    if (lh->host.readonly && set->valid) {
        return -EROFS;
    }
    if ((set->valid & FS_SET_MODE) && S_ISLNK(attr->mode)) {
        return -EOPNOTSUPP;
    }
    if (set->valid & (FS_SET_UID | FS_SET_GID)) {
        /* chown(2), of which the host sees nothing else */
        ret = hostfs_drop_capability(&lh->host, inode->handle);
        if (ret < 0) {
            return ret;
        }
    }
    if (!(set->valid & FS_SET_SIZE)) {
        return 0;
    }
    if (!S_ISREG(attr->mode)) {
        return S_ISDIR(attr->mode) ? -EISDIR : -EINVAL;
    }
    return hostfs_setattr(&lh->host, inode->handle, file, &part);
}

/*
 * Leaves the ctime alone where QEMU lacks permission: on another user's file.
 */
int local_mapped_set_times(const LocalHost *lh, const LocalInode *inode,
                           const FsSetAttr *set, bool moved)
{
    FsSetAttr part = *set;
    int ret;

    part.valid &= FS_SET_ATIME | FS_SET_ATIME_SET |
                  FS_SET_MTIME | FS_SET_MTIME_SET;
    if (part.valid & (FS_SET_ATIME | FS_SET_MTIME)) {
        return hostfs_setattr(&lh->host, inode->handle, -1, &part);
    }
    if (set->valid && !(set->valid & FS_SET_SIZE) && !moved) {
        part.valid = FS_SET_CTIME;
        ret = hostfs_setattr(&lh->host, inode->handle, -1, &part);
        return ret == -EPERM || ret == -EACCES ? 0 : ret;
    }
    return 0;
}

static ssize_t read_all(int fd, char *buf, size_t size)
{
    size_t len = 0;
    ssize_t ret;

    while (len < size) {
        ret = RETRY_ON_EINTR(pread(fd, buf + len, size - len, len));
        if (ret < 0) {
            return -errno;
        }
        if (ret == 0) {
            break;
        }
        len += ret;
    }
    return len;
}

static int write_all(int fd, const char *buf, size_t size)
{
    size_t done = 0;
    ssize_t ret;

    while (done < size) {
        ret = RETRY_ON_EINTR(pwrite(fd, buf + done, size - done, done));
        if (ret < 0) {
            return -errno;
        }
        done += ret;
    }
    return 0;
}

int local_mapped_readlink(const LocalHost *lh, const LocalInode *inode,
                          char *buf, size_t size)
{
    ssize_t len;
    FsAttr attr;
    int fd, ret;

    ret = hostfs_getattr(inode->handle, &attr);
    if (ret < 0) {
        return ret;
    }
    if (S_ISLNK(attr.mode)) {
        return hostfs_readlink(inode->handle, buf, size);
    }
    ret = lh->model->getattr(lh, inode, &attr);
    if (ret < 0) {
        return ret;
    }
    if (!S_ISLNK(attr.mode)) {
        return -EINVAL;
    }

    fd = hostfs_open(&lh->host, inode->handle, O_RDONLY);
    if (fd < 0) {
        return fd;
    }
    size = MIN(size, PATH_MAX);
    len = read_all(fd, buf, size);
    close(fd);
    if (len < 0) {
        return len;
    }
    if ((size_t)len == size) {
        return -ENAMETOOLONG;
    }
    buf[len] = '\0';
    return 0;
}

static int check_make(const LocalHost *lh, const FsMakeArgs *make)
{
    uint32_t type = make->mode & S_IFMT;
    int ret = fs_name_check(make->name);

    if (ret < 0) {
        return ret;
    }
    if (lh->host.readonly) {
        return -EROFS;
    }
    switch (type) {
    case 0:
    case S_IFREG:
    case S_IFDIR:
    case S_IFCHR:
    case S_IFBLK:
    case S_IFIFO:
    case S_IFSOCK:
        return 0;
    case S_IFLNK:
        if (!make->target) {
            return -EINVAL;
        }
        if (make->target[0] == '\0') {
            return -ENOENT;     /* symlink(2) */
        }
        return strlen(make->target) >= PATH_MAX ? -ENAMETOOLONG : 0;
    default:
        return -EINVAL;
    }
}

/* Makes a directory: an O_PATH descriptor of that one and no other. */
static int make_directory(const LocalHost *lh, int dir, const FsMakeArgs *host)
{
    FsAttr made, attr;
    int node, ret;

    ret = hostfs_make(&lh->host, dir, host, &made);
    if (ret < 0) {
        return ret;
    }
    node = hostfs_step(&lh->host, dir, host->name, HOST_WAIT_POOL, &attr);
    if (node >= 0 && (attr.dev != made.dev || attr.ino != made.ino)) {
        close(node);
        return -ESTALE;
    }
    if (node < 0) {
        /* The caller may try again. */
        hostfs_unmake(&lh->host, dir, host->name, &made);
    }
    return node;
}

/* Whether the host's type of a new object differs from the guest's */
static bool is_disguised(const FsMakeArgs *make)
{
    uint32_t type = make->mode & S_IFMT;

    return type != 0 && type != S_IFREG && type != S_IFDIR;
}

int local_mapped_make_host(const LocalHost *lh, int dir, const FsMakeArgs *make,
                           int flags, int *fd, bool *unnamed)
{
    FsMakeArgs host = { .name = make->name, .uid = NO_ID, .gid = NO_ID };
    int file = -EOPNOTSUPP;
    FsAttr attr;
    int node, ret;

    if (fd) {
        *fd = -1;
    }
    ret = check_make(lh, make);
    if (ret < 0) {
        return ret;
    }
    if (S_ISDIR(make->mode)) {
        if (unnamed) {
            *unnamed = false;
        }
        host.mode = S_IFDIR | (lh->dmode & 07777);
        return make_directory(lh, dir, &host);
    }

    host.mode = S_IFREG | (lh->fmode & 07777);
    if (unnamed) {
        if (is_disguised(make)) {
            file = hostfs_create_unnamed(&lh->host, dir, host.mode, &node);
        }
        *unnamed = file != -EOPNOTSUPP;
    }
    if (file == -EOPNOTSUPP) {
        file = hostfs_create(&lh->host, dir, &host, flags | O_EXCL, &node,
                             &attr);
    }
    if (file < 0) {
        return file;
    }
    if (S_ISLNK(make->mode)) {
        ret = write_all(file, make->target, strlen(make->target));
    }
    if (ret < 0) {
        close(file);
    } else if (fd) {
        *fd = file;
    } else {
        ret = hostfs_close_written(file);
    }
    if (ret < 0) {
        if (!unnamed || !*unnamed) {
            local_mapped_unmake_host(lh, dir, make, node);
        }
        close(node);
        return ret;
    }
    return node;
}

void local_mapped_unmake_host(const LocalHost *lh, int dir,
                              const FsMakeArgs *make, int node)
{
    hostfs_unlink(&lh->host, dir, make->name, S_ISDIR(make->mode), node);
}

/* Opens an existing file, if the guest sees a regular one. */
static int open_existing(const LocalHost *lh, int dir, const char *name,
                         int flags, int *node, FsAttr *attr)
{
    LocalInode inode = { .dir = dir, .name = name, .kept = -1 };
    int fd = -1;
    int ret;

    ret = inode.handle = hostfs_step(&lh->host, dir, name, HOST_WAIT_POOL,
                                     attr);
    if (ret < 0) {
        return ret;
    }
    ret = lh->model->getattr(lh, &inode, attr);
    if (ret == 0) {
        if (S_ISREG(attr->mode)) {
            ret = fd = hostfs_open(&lh->host, inode.handle, flags);
        } else {
            ret = S_ISDIR(attr->mode) ? -EISDIR :
                  S_ISLNK(attr->mode) ? -ELOOP : -ENXIO;
        }
    }
    if (fd >= 0 && (flags & O_TRUNC)) {
        ret = hostfs_getattr(inode.handle, attr);
        if (ret == 0) {
            ret = lh->model->getattr(lh, &inode, attr);
        }
    }
    if (ret < 0) {
        if (fd >= 0) {
            close(fd);
        }
        close(inode.handle);
        return ret;
    }
    *node = inode.handle;
    return fd;
}

int local_mapped_create(const LocalHost *lh, int dir, const FsMakeArgs *make,
                        int flags, int *node, FsAttr *attr)
{
    uint32_t type = make->mode & S_IFMT;
    int tries = CREATE_TRIES;
    int fd, ret;

    *node = -1;
    if (type != 0 && type != S_IFREG) {
        return -EINVAL;
    }
    do {
        ret = lh->model->make_new(lh, dir, make, flags, &fd, attr);
        if (ret >= 0) {
            *node = ret;
            return fd;
        }
        if (ret != -EEXIST || (flags & O_EXCL)) {
            return ret;
        }
        ret = open_existing(lh, dir, make->name, flags, node, attr);
        /* The host removed or replaced it just now. */
    } while ((ret == -ENOENT || ret == -ESTALE) && --tries);
    return ret;
}

int local_mapped_make(const LocalHost *lh, int dir, const FsMakeArgs *make,
                      FsAttr *attr)
{
    int node = lh->model->make_new(lh, dir, make, O_WRONLY, NULL, attr);

    if (node < 0) {
        return node;
    }
    close(node);
    return 0;
}

/* The guest's form of a name in the host's list, or NULL if it is hidden */
static const char *guest_name(const char *name, bool acls)
{
    if (fs_acl_is_name(name)) {
        return NULL;
    }
    if (!g_str_has_prefix(name, FS_XATTR_VIEW)) {
        return name;
    }
    name += strlen(FS_XATTR_VIEW);
    return acls && fs_acl_is_name(name) ? name : NULL;
}

ssize_t local_mapped_list(const LocalHost *lh, int node, bool acls,
                          void *buf, size_t size)
{
    g_autofree char *large = NULL;
    char small[LIST_SMALL + 1];
    char *all = small;
    size_t done = 0;
    ssize_t len;
    char *name;

    len = hostfs_getxattr(&lh->host, node, NULL, small, LIST_SMALL);
    if (len == -ERANGE) {
        all = large = g_try_malloc(FS_XATTR_MAX + 1);
        if (!large) {
            return -ENOMEM;
        }
        len = hostfs_getxattr(&lh->host, node, NULL, large, FS_XATTR_MAX);
    }
    if (len < 0) {
        return len;
    }
    all[len] = '\0';
    for (name = all; name < all + len; name += strlen(name) + 1) {
        const char *shown = guest_name(name, acls);
        size_t n = shown ? strlen(shown) + 1 : 0;

        if (n && size) {
            if (done + n > size) {
                return -ERANGE;
            }
            memcpy((char *)buf + done, shown, n);
        }
        done += n;
    }
    return done;
}
