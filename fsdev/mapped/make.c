/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Making the files of a share: see make.h.
 */
#include "qemu/osdep.h"
#include "make.h"
#include "proxy-model.h"

const char *const mapped_acl_names[2] = { FS_ACL_ACCESS, FS_ACL_DEFAULT };

/* Names of files that are to replace others, with a number */
#define TEMP            ".virtfs_new-%u"
#define TEMP_TRIES      10000

void mapped_maker_init(MappedMaker *m, MappedShare *share, bool keeps_old)
{
    *m = (MappedMaker) { .share = share, .dir = -1, .keeps_old = keeps_old };
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
    FsMakeArgs make = { .name = name, .mode = S_IFDIR | 0755 };
    FsAttr attr;
    int fd, ret;

    if (mapped_reserved(m->share, name)) {
        return -EACCES;
    }
    fd = hostfs_step(&lh->host, dir, name, HOST_WAIT_POOL, &attr);
    if (fd == -ENOENT) {
        if (mapped_model_is_host(lh->model) &&
            !mapped_ids_can_give(lh->model, 0, 0)) {
            mapped_ids_own(lh->model, &make.uid, &make.gid);
        }
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

/*
 * What is at the place: its type and permissions in *@mode, 0 if there is
 * nothing. -EBUSY for a directory that is served
 */
static int look_at_place(MappedMaker *m, const MappedEntry *e, uint32_t *mode)
{
    FsAttr attr;
    int fd = hostfs_step(&m->share->lh.host, e->inode.dir, e->inode.name,
                         HOST_WAIT_POOL, &attr);
    bool served;

    *mode = 0;
    if (fd < 0) {
        return fd == -ENOENT ? 0 : fd;
    }
    *mode = attr.mode;
    served = S_ISDIR(attr.mode) && mapped_dir_is_served(m->share, fd);
    close(fd);
    return served ? -EBUSY : 0;
}

/* Gives the place a name that no file has, for the time being. */
static int take_temp_name(MappedMaker *m, MappedEntry *e)
{
    char *name = (char *)e->inode.name;
    uint32_t mode = S_IFREG;
    unsigned i;
    int ret = 0;

    for (i = 0; ret == 0 && mode && i < TEMP_TRIES; i++) {
        g_autofree char *temp = g_strdup_printf(TEMP, i);

        e->inode.name = temp;
        ret = look_at_place(m, e, &mode);
        if (ret == 0 && !mode) {
            m->name = name;
            e->inode.name = g_steal_pointer(&temp);
            return 0;
        }
    }
    e->inode.name = name;
    return ret < 0 ? ret : -EEXIST;
}

int mapped_make_end(MappedMaker *m, MappedEntry *e, bool whole)
{
    const LocalHost *lh = &m->share->lh;
    int dir = e->inode.dir;
    g_autofree char *temp = NULL;
    uint32_t mode = 0;
    int ret = 0;

    if (!m->name) {
        return 0;
    }
    temp = (char *)e->inode.name;
    e->inode.name = g_steal_pointer(&m->name);
    if (whole) {
        ret = look_at_place(m, e, &mode);
        /* Only a directory takes the place of one in rename(2). */
        if (ret == 0 && mode && (S_ISDIR(mode) || m->new_is_dir)) {
            ret = lh->model->unlink(lh, dir, e->inode.name, S_ISDIR(mode), -1);
        }
        if (ret == 0) {
            ret = lh->model->rename(lh, dir, temp, dir, e->inode.name);
        }
    }
    if (!whole || ret < 0) {
        lh->model->unlink(lh, dir, temp, m->new_is_dir, -1);
    }
    return ret;
}

void mapped_made_close(MappedEntry *e)
{
    mapped_entry_close(e);
    g_free((char *)e->inode.name);
    e->inode.name = NULL;
}

/*
 * Makes room for a new file, or takes another name until mapped_make_end(): 0,
 * or -EEXIST if there is a directory and shall be one.
 */
static int make_room(MappedMaker *m, MappedEntry *e, bool for_dir)
{
    const LocalHost *lh = &m->share->lh;
    uint32_t mode;
    int ret = look_at_place(m, e, &mode);

    m->new_is_dir = for_dir;
    if (ret < 0 || !mode) {
        return ret;
    }
    if (S_ISDIR(mode) && for_dir) {
        return -EEXIST;
    }
    return m->keeps_old ? take_temp_name(m, e)
           : lh->model->unlink(lh, e->inode.dir, e->inode.name, S_ISDIR(mode),
                               -1);
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
            is = mapped_make_end(m, e, ret == 0);
            ret = ret < 0 ? ret : is;
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

/* Makes it by the name that it has for now; or a directory was there. */
static int make_now(MappedMaker *m, const FsMakeArgs *make, MappedEntry *e,
                    int *fd, bool was_there)
{
    const LocalHost *lh = &m->share->lh;
    FsMakeArgs now = *make;
    int ret = 0;

    now.name = e->inode.name;
    if (S_ISREG(make->mode)) {
        *fd = lh->model->create(lh, e->inode.dir, &now, O_RDWR | O_EXCL,
                                &e->inode.handle, &e->attr);
        return MIN(*fd, 0);
    }
    if (!was_there) {
        ret = lh->model->make(lh, e->inode.dir, &now, &e->attr);
    }
    if (ret == 0) {
        ret = e->inode.handle = hostfs_step(&lh->host, e->inode.dir,
                                            now.name, HOST_WAIT_POOL,
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

int mapped_make(MappedMaker *m, const FsMakeArgs *make, MappedEntry *e,
                int *fd)
{
    int ret = make_room(m, e, S_ISDIR(make->mode));
    bool was_there = ret == -EEXIST;

    *fd = -1;
    if (ret == 0 || was_there) {
        ret = make_now(m, make, e, fd, was_there);
    }
    if (ret < 0) {
        mapped_make_end(m, e, false);
    }
    return ret;
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

/* That a file system has no place for an attribute of this kind or size */
static bool has_no_place(int err)
{
    return err == -ENOSPC || err == -E2BIG || err == -ERANGE ||
           err == -EOPNOTSUPP;
}

bool mapped_set_xattr(const MappedEntry *e, const char *name,
                      const void *value, size_t size, bool lossy)
{
    const LocalHost *lh = &e->share->lh;
    int ret = lh->model->setxattr(lh, &e->inode, name, value, size, 0);

    if (ret < 0 && lossy && has_no_place(ret)) {
        mapped_say(e->share, e->path, ret, "lost: its attribute %s", name);
        return true;
    }
    if (ret < 0) {
        mapped_problem(e->share, e->path, ret, "lost: its attribute %s", name);
    }
    return ret >= 0;
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
bool mapped_set_id_bits(const MappedEntry *e, uint32_t mode)
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
    return ret == 0;
}
