/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Making the files of a share: see make.h.
 */
#include "qemu/osdep.h"
#include "make.h"

const char *const mapped_acl_names[2] = { FS_ACL_ACCESS, FS_ACL_DEFAULT };

void mapped_maker_init(MappedMaker *m, MappedShare *share)
{
    *m = (MappedMaker) { .share = share, .dir = -1 };
}

static void forget_dir(MappedMaker *m)
{
    if (m->dir >= 0) {
        close(m->dir);
        m->dir = -1;
    }
    g_free(m->dir_path);
    m->dir_path = NULL;
}

void mapped_maker_free(MappedMaker *m)
{
    forget_dir(m);
}

/* Opens @name in @dir, which must be a directory; makes it if need be. */
static int enter_dir(MappedMaker *m, int dir, const char *name)
{
    const LocalHost *lh = &m->share->lh;
    const FsMakeArgs make = { .name = name, .mode = S_IFDIR | 0755 };
    FsAttr attr;
    int fd, ret;

    if (mapped_reserved(m->share, name)) {
        return -EACCES;
    }
    fd = hostfs_step(&lh->host, dir, name, HOST_WAIT_POOL, &attr);
    if (fd == -ENOENT) {
        ret = lh->model->make(lh, dir, &make, &attr);
        if (ret < 0) {
            return ret;
        }
        fd = hostfs_step(&lh->host, dir, name, HOST_WAIT_POOL, &attr);
    }
    if (fd < 0) {
        return fd;
    }
    ret = !S_ISDIR(attr.mode) ? -ENOTDIR :
          mapped_dir_is_served(m->share, fd) ? -EBUSY : fd;
    if (ret < 0) {
        close(fd);
    }
    return ret;
}

/* The directory @path: a descriptor that stays the maker's */
static int open_dir(MappedMaker *m, const char *path)
{
    g_auto(GStrv) names = NULL;
    char **name;
    int at;

    if (m->dir >= 0 && g_str_equal(m->dir_path, path)) {
        return m->dir;
    }
    at = fcntl(m->share->lh.host.root, F_DUPFD_CLOEXEC, 0);
    if (at < 0) {
        return -errno;
    }
    names = g_strsplit(g_str_equal(path, ".") ? "" : path, "/", -1);
    for (name = names; at >= 0 && *name; name++) {
        int next = enter_dir(m, at, *name);

        close(at);
        at = next;
    }
    if (at >= 0) {
        forget_dir(m);
        m->dir = at;
        m->dir_path = g_strdup(path);
    }
    return at;
}

int mapped_make_place(MappedMaker *m, const char *path, MappedEntry *e)
{
    g_autofree char *above = g_path_get_dirname(path);
    int dir = open_dir(m, above);

    *e = (MappedEntry) {
        .share = m->share, .path = path,
        .inode = {
            .handle = -1, .dir = dir, .kept = -1,
            .name = g_path_get_basename(path),
        },
    };
    if (dir < 0) {
        return dir;
    }
    return mapped_reserved(m->share, e->inode.name) ? -EACCES : 0;
}

void mapped_made_close(MappedEntry *e)
{
    mapped_entry_close(e);
    g_free((char *)e->inode.name);
    e->inode.name = NULL;
}

/* Makes room for a new file: 0, or -EEXIST if there is a directory. */
static int make_room(MappedMaker *m, const MappedEntry *e, bool for_dir)
{
    const LocalHost *lh = &m->share->lh;
    int dir = e->inode.dir;
    FsAttr attr;
    int fd = hostfs_step(&lh->host, dir, e->inode.name, HOST_WAIT_POOL, &attr);
    int ret;

    if (fd < 0) {
        return fd == -ENOENT ? 0 : fd;
    }
    ret = !S_ISDIR(attr.mode) ? 0 : mapped_dir_is_served(m->share, fd)
          ? -EBUSY : for_dir ? -EEXIST : 0;
    close(fd);
    if (ret < 0) {
        return ret;
    }
    return lh->model->unlink(lh, dir, e->inode.name, S_ISDIR(attr.mode), -1);
}

/* Whether the place @e has a name of the inode @file: 1, 0 or -errno */
static int there_is(MappedMaker *m, const MappedEntry *e, const FsAttr *file)
{
    FsAttr attr;
    int fd = hostfs_step(&m->share->lh.host, e->inode.dir, e->inode.name,
                         HOST_WAIT_POOL, &attr);

    if (fd < 0) {
        return fd == -ENOENT ? 0 : fd;
    }
    close(fd);
    return attr.dev == file->dev && attr.ino == file->ino;
}

int mapped_make_link(MappedMaker *m, const char *path, MappedEntry *e)
{
    const LocalHost *lh = &m->share->lh;
    MappedEntry target;
    int ret = mapped_entry_find(m->share, path, &target);
    int is;

    if (ret < 0) {
        return ret;
    }
    is = there_is(m, e, &target.host);
    ret = S_ISDIR(target.host.mode) ? -EPERM : MIN(is, 0);
    /* Some archives have a file that is a link to itself. */
    if (ret == 0 && is == 0) {
        ret = make_room(m, e, false);
        if (ret == 0) {
            ret = lh->model->link(lh, &target.inode, e->inode.dir,
                                  e->inode.name);
        }
    }
    mapped_entry_free(&target);
    return ret;
}

/*
 * A mapped directory to which its owner has no access: an earlier try of this
 * program made it, and died before it could set the mode.
 */
static int finish_half_made(const LocalHost *lh, const MappedEntry *e)
{
    const FsSetAttr set = { .valid = FS_SET_MODE, .mode = lh->dmode };

    return !lh->model->put_view || (e->attr.mode & S_IRWXU) ? 0
           : hostfs_setattr(&lh->host, e->inode.handle, -1, &set);
}

int mapped_make(MappedMaker *m, const FsMakeArgs *make, MappedEntry *e,
                int *fd)
{
    const LocalHost *lh = &m->share->lh;
    int ret = make_room(m, e, S_ISDIR(make->mode));
    bool was_there = ret == -EEXIST;

    *fd = -1;
    if (ret < 0 && !was_there) {
        return ret;
    }
    if (S_ISREG(make->mode)) {
        *fd = lh->model->create(lh, e->inode.dir, make, O_RDWR | O_EXCL,
                                &e->inode.handle, &e->attr);
        return MIN(*fd, 0);
    }
    ret = was_there ? 0 : lh->model->make(lh, e->inode.dir, make, &e->attr);
    if (ret == 0) {
        ret = e->inode.handle = hostfs_step(&lh->host, e->inode.dir,
                                            make->name, HOST_WAIT_POOL,
                                            &e->attr);
    }
    if (ret >= 0 && was_there) {
        ret = finish_half_made(lh, e);
        if (ret == 0) {
            ret = mapped_set_owner(e, make->uid, make->gid, make->mode);
        }
    }
    if (ret >= 0) {
        e->attr.mode = make->mode;
    }
    return MIN(ret, 0);
}

int mapped_set_owner(const MappedEntry *e, uint32_t uid, uint32_t gid,
                     uint32_t mode)
{
    const LocalHost *lh = &e->share->lh;
    const FsSetAttr set = {
        .valid = FS_SET_UID | FS_SET_GID | FS_SET_MODE,
        .uid = uid, .gid = gid, .mode = mode & 07777,
    };

    return lh->model->setattr(lh, &e->inode, -1, &set);
}

void mapped_set_xattr(const MappedEntry *e, const char *name,
                      const void *value, size_t size)
{
    const LocalHost *lh = &e->share->lh;
    int ret = lh->model->setxattr(lh, &e->inode, name, value, size, 0);

    if (ret < 0) {
        mapped_problem(e->share, e->path, ret, "lost: its attribute %s", name);
    }
}

void mapped_set_mtime(const MappedEntry *e, const struct timespec *mtime)
{
    const FsSetAttr set = {
        .valid = FS_SET_MTIME | FS_SET_MTIME_SET, .mtime = *mtime,
    };
    int ret = hostfs_setattr(&e->share->lh.host, e->inode.handle, -1, &set);

    if (ret < 0) {
        mapped_problem(e->share, e->path, ret, "cannot set its time");
    }
}

bool mapped_is_end(int err)
{
    return err == -ENOSPC || err == -EDQUOT || err == -EROFS;
}

void mapped_restore_time(const MappedEntry *dir)
{
    const LocalHost *lh = &dir->share->lh;
    FsSetAttr set = {
        .valid = FS_SET_MTIME | FS_SET_MTIME_SET, .mtime = dir->host.mtime,
    };

    hostfs_setattr(&lh->host, dir->inode.handle, -1, &set);
}

/*
 * A process in a user namespace loses these bits of the host's mode when it
 * writes (HostFs.loses_set_id).
 */
void mapped_set_id_bits(const MappedEntry *e, uint32_t mode)
{
    const LocalHost *lh = &e->share->lh;
    const FsSetAttr set = { .valid = FS_SET_MODE, .mode = mode & 07777 };
    int ret = 0;

    if (S_ISREG(mode) && (mode & (S_ISUID | S_ISGID)) && !lh->model->put_view) {
        ret = hostfs_setattr(&lh->host, e->inode.handle, -1, &set);
    }
    if (ret < 0) {
        mapped_problem(e->share, e->path, ret, "cannot set its mode");
    }
}
