/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Names: messages that make, rename and remove them.
 *
 * A name belongs to a directory, which is a node, and on which the client has a
 * fid. When a name changes, its entry (fs/node.h) has to follow. The driver
 * moves entries when it renames, and the server marks them as gone when it
 * removes. Other requests run while the driver works. So the server looks the
 * entry up before it calls the driver, and afterwards changes the entry only if
 * it still has that name.
 */
#include "qemu/osdep.h"
#include <sys/sysmacros.h>
#include "messages.h"

int p9_make_init(FsMakeArgs *make, const P9Fid *dir, const char *name,
                 uint32_t mode, uint32_t gid)
{
    int ret;

    ret = fs_name_check(name);
    if (ret < 0) {
        return ret == -EINVAL ? -EEXIST : ret;
    }
    if (!p9_id_valid(gid)) {
        return -EINVAL;
    }
    memset(make, 0, sizeof(*make));
    make->name = name;
    make->mode = mode;
    make->uid = dir->attach->uid;
    make->gid = gid;
    return 0;
}

/* Makes anything except a regular file, and replies with its qid. */
static int coroutine_fn make_reply(P9Request *req, P9Fid *dir,
                                   const FsMakeArgs *make)
{
    FsAttr attr;
    P9Qid qid;
    int ret;

    ret = p9_driver(req)->make(&req->call, dir->node, make, &attr);
    if (ret < 0) {
        return ret;
    }
    qid = p9_qid_make(&req->s->export->qids, &attr);
    p9_put_qid(&req->w, &qid);
    return 0;
}

/* Tmkdir dfid[4] name[s] mode[4] gid[4] */
int coroutine_fn p9_mkdir(P9Request *req)
{
    g_autoptr(P9Fid) dir = NULL;
    uint32_t id, mode, gid;
    const char *name;
    FsMakeArgs make;
    int ret;

    id = marshal_get_u32(&req->r);
    name = marshal_get_str(&req->r, NULL);
    mode = marshal_get_u32(&req->r);
    gid = marshal_get_u32(&req->r);
    ret = p9_request_dir(req, id, &dir);
    if (ret < 0) {
        return ret;
    }
    ret = p9_make_init(&make, dir, name, S_IFDIR | (mode & 07777), gid);
    if (ret < 0) {
        return ret;
    }
    return make_reply(req, dir, &make);
}

/*
 * Tmknod dfid[4] name[s] mode[4] major[4] minor[4] gid[4], as mknod(2), which
 * makes regular files as well, but no directories.
 */
int coroutine_fn p9_mknod(P9Request *req)
{
    g_autoptr(P9Fid) dir = NULL;
    g_autoptr(FsNode) node = NULL;
    g_autoptr(FsFile) file = NULL;
    uint32_t id, mode, rmajor, rminor, gid;
    const char *name;
    FsMakeArgs make;
    FsAttr attr;
    P9Qid qid;
    int ret;

    id = marshal_get_u32(&req->r);
    name = marshal_get_str(&req->r, NULL);
    mode = marshal_get_u32(&req->r);
    rmajor = marshal_get_u32(&req->r);
    rminor = marshal_get_u32(&req->r);
    gid = marshal_get_u32(&req->r);
    ret = p9_request_dir(req, id, &dir);
    if (ret < 0) {
        return ret;
    }
    ret = p9_make_init(&make, dir, name, mode & (S_IFMT | 07777), gid);
    if (ret < 0) {
        return ret;
    }

    switch (mode & S_IFMT) {
    case S_IFCHR:
    case S_IFBLK:
        make.rdev = makedev(rmajor, rminor);
        return make_reply(req, dir, &make);
    case S_IFIFO:
    case S_IFSOCK:
        return make_reply(req, dir, &make);
    case 0:
    case S_IFREG:
        make.mode |= S_IFREG;
        ret = fs_export_open_begin(req->s->fs);
        if (ret < 0) {
            return ret;
        }
        ret = p9_driver(req)->create(&req->call, dir->node, &make,
                                     O_CREAT | O_EXCL | O_RDONLY,
                                     &node, &file, &attr);
        fs_export_open_end(req->s->fs);
        if (ret < 0) {
            return ret;
        }
        qid = p9_qid_make(&req->s->export->qids, &attr);
        p9_put_qid(&req->w, &qid);
        return 0;
    case S_IFDIR:
        return -EPERM;
    default:
        return -EINVAL;
    }
}

int p9_make_init_symlink(FsMakeArgs *make, const P9Fid *dir, const char *name,
                         const char *target, uint32_t gid)
{
    size_t len = strlen(target);
    int ret;

    if (len == 0) {
        return -ENOENT;
    }
    if (len >= PATH_MAX) {
        return -ENAMETOOLONG;
    }
    ret = p9_make_init(make, dir, name, S_IFLNK | 0777, gid);
    if (ret == 0) {
        make->target = target;
    }
    return ret;
}

/* Tsymlink fid[4] name[s] symtgt[s] gid[4], as symlink(2) */
int coroutine_fn p9_symlink(P9Request *req)
{
    g_autoptr(P9Fid) dir = NULL;
    const char *name, *target;
    uint32_t id, gid;
    FsMakeArgs make;
    int ret;

    id = marshal_get_u32(&req->r);
    name = marshal_get_str(&req->r, NULL);
    target = marshal_get_str(&req->r, NULL);
    gid = marshal_get_u32(&req->r);
    ret = p9_request_dir(req, id, &dir);
    if (ret < 0) {
        return ret;
    }
    ret = p9_make_init_symlink(&make, dir, name, target, gid);
    if (ret < 0) {
        return ret;
    }
    return make_reply(req, dir, &make);
}

int coroutine_fn p9_link_fid(P9Request *req, P9Fid *fid, P9Fid *dir,
                             const char *name)
{
    int ret = fs_name_check(name);

    if (ret < 0) {
        return ret == -EINVAL ? -EEXIST : ret;
    }
    if (S_ISDIR(fid->node->type)) {
        return -EPERM;
    }
    return p9_driver(req)->link(&req->call, fid->node, dir->node, name);
}

/* Tlink dfid[4] fid[4] name[s], as link(2) */
int coroutine_fn p9_link(P9Request *req)
{
    g_autoptr(P9Fid) dir = NULL;
    g_autoptr(P9Fid) fid = NULL;
    uint32_t dirid, id;
    const char *name;
    int ret;

    dirid = marshal_get_u32(&req->r);
    id = marshal_get_u32(&req->r);
    name = marshal_get_str(&req->r, NULL);
    ret = p9_request_dir(req, dirid, &dir);
    if (ret < 0) {
        return ret;
    }
    ret = p9_fid_get_attached(req->s, id, &fid);
    return ret < 0 ? ret : p9_link_fid(req, fid, dir, name);
}

int coroutine_fn p9_rename_name(P9Request *req,
                                FsNode *olddir, const char *oldname,
                                FsNode *newdir, const char *newname)
{
    return p9_driver(req)->rename(&req->call, olddir, oldname,
                                  newdir, newname);
}

/* Trenameat olddirfid[4] oldname[s] newdirfid[4] newname[s] */
int coroutine_fn p9_renameat(P9Request *req)
{
    g_autoptr(P9Fid) olddir = NULL;
    g_autoptr(P9Fid) newdir = NULL;
    const char *oldname, *newname;
    uint32_t oldid, newid;
    int ret;

    oldid = marshal_get_u32(&req->r);
    oldname = marshal_get_str(&req->r, NULL);
    newid = marshal_get_u32(&req->r);
    newname = marshal_get_str(&req->r, NULL);
    ret = p9_request_dir(req, oldid, &olddir);
    if (ret < 0) {
        return ret;
    }
    ret = p9_fid_get_dir(req->s, newid, &newdir);
    if (ret < 0) {
        return ret;
    }
    ret = fs_name_check(oldname);
    if (ret < 0) {
        return ret;
    }
    ret = fs_name_check(newname);
    if (ret < 0) {
        return ret;
    }
    return p9_rename_name(req, olddir->node, oldname, newdir->node, newname);
}

/* Trename fid[4] dfid[4] name[s] */
int coroutine_fn p9_rename(P9Request *req)
{
    g_autoptr(P9Fid) fid = NULL;
    g_autoptr(P9Fid) newdir = NULL;
    g_autoptr(FsNode) olddir = NULL;
    g_autofree char *oldname = NULL;
    const char *newname;
    uint32_t id, dirid;
    int ret;

    id = marshal_get_u32(&req->r);
    dirid = marshal_get_u32(&req->r);
    newname = marshal_get_str(&req->r, NULL);
    ret = p9_request_fid(req, id, &fid);
    if (ret < 0) {
        return ret;
    }
    ret = p9_fid_get_dir(req->s, dirid, &newdir);
    if (ret < 0) {
        return ret;
    }
    ret = fs_name_check(newname);
    if (ret < 0) {
        return ret;
    }
    ret = p9_fid_name(fid, &olddir, &oldname);
    if (ret < 0) {
        return ret;
    }
    return p9_rename_name(req, olddir, oldname, newdir->node, newname);
}

/* Removes a name and its entry. */
static int coroutine_fn remove_name(P9Request *req, FsNode *dir,
                                    const char *name, bool rmdir,
                                    FsNode *expect)
{
    P9Server *s = req->s;
    FsEntry *entry = fs_entry_find(s->fs, dir, name);
    int ret;

    ret = p9_driver(req)->unlink(&req->call, dir, name, rmdir, expect);
    if (entry) {
        if (ret == 0 && fs_entry_is(entry, dir, name)) {
            fs_entry_gone(entry);
        }
        fs_entry_put(entry);
    }
    return ret;
}

/* Tunlinkat dirfd[4] name[s] flags[4], as unlinkat(2) */
int coroutine_fn p9_unlinkat(P9Request *req)
{
    g_autoptr(P9Fid) dir = NULL;
    uint32_t id, flags;
    const char *name;
    int ret;

    id = marshal_get_u32(&req->r);
    name = marshal_get_str(&req->r, NULL);
    flags = marshal_get_u32(&req->r);
    ret = p9_request_dir(req, id, &dir);
    if (ret < 0) {
        return ret;
    }
    if (flags & ~P9_AT_REMOVEDIR) {
        return -EINVAL;
    }
    ret = fs_name_check(name);
    if (ret < 0) {
        return ret;
    }
    return remove_name(req, dir->node, name, flags & P9_AT_REMOVEDIR, NULL);
}

int coroutine_fn p9_remove_fid(P9Request *req, const P9Fid *fid)
{
    g_autoptr(FsNode) dir = NULL;
    g_autofree char *name = NULL;
    int ret;

    if (fid->lost) {
        return -ESTALE;
    }
    if (req->s->fs->readonly) {
        return -EROFS;
    }
    ret = p9_fid_name(fid, &dir, &name);
    if (ret < 0) {
        return ret;
    }
    ret = remove_name(req, dir, name, S_ISDIR(fid->node->type), fid->node);
    return ret == -ESTALE ? -ENOENT : ret;
}

/*
 * Tremove fid[4]: removes the file and clunks the fid. The fid is gone even if
 * the file could not be removed (remove(5) of Plan 9).
 */
int coroutine_fn p9_remove(P9Request *req)
{
    g_autoptr(P9Fid) fid = NULL;
    uint32_t id;
    int ret;

    id = marshal_get_u32(&req->r);
    ret = p9_request_any(req, id, &fid);
    if (ret < 0) {
        return ret;
    }
    p9_fid_remove(fid);
    p9_request_commit(req);
    return fid->xattr ? -EBADF : p9_remove_fid(req, fid);
}
