/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Names: walking along them, making, renaming and removing them.
 *
 * Directories are nodes here, so a name is always one of a directory that the
 * client has a fid on. What happens to a name is told to the table of entries
 * (fid.c) after it happened. A driver call takes time, and other requests
 * go on meanwhile: therefore the entry is looked up before the call, and what
 * is found to be still the same after it is changed.
 */
#include "qemu/osdep.h"
#include <sys/sysmacros.h>
#include "internal.h"

int p9_fid_get_dir(P9Server *s, uint32_t id, P9Fid **fid)
{
    *fid = p9_fid_get_attached(s, id);
    if (!*fid) {
        return -EBADF;
    }
    return S_ISDIR((*fid)->node->type) ? 0 : -ENOTDIR;
}

/* Whether Twalk may look @name up: 0 or the error of a name that is not. */
static int walk_name_check(const char *name)
{
    int ret;

    if (!strcmp(name, "..")) {
        return 0;
    }
    ret = fs_name_check(name);
    /* walk(5) of Plan 9: "." is not used in the protocol. */
    return ret == -EINVAL ? -ENOENT : ret;
}

/* Makes the walk's result a fid: a new one, or @from walked onto itself. */
static int coroutine_fn walk_bind(P9Server *s, P9Fid *from, uint32_t newid,
                                  FsNode *node, FsEntry *entry)
{
    g_autoptr(P9Fid) fid = p9_fid_new(s, newid, from->uid, node, entry);

    return from->id == newid ? p9_fid_replace(from, fid) : p9_fid_insert(fid);
}

/*
 * Twalk fid[4] newfid[4] nwname[2] nwname*(wname[s]). Without names it clones
 * the fid. If not all names are found, newfid is not made; that is an error
 * only if the first is not. A fid may be open: its node can be walked from as
 * any other, and Linux does so.
 */
int coroutine_fn p9_walk(P9Request *req)
{
    P9Server *s = req->s;
    g_autoptr(P9Fid) from = NULL;
    g_autoptr(FsNode) node = NULL;
    g_autoptr(FsNode) parent = NULL;
    const char *names[FS_WALK_MAX];
    uint32_t id, newid;
    unsigned num, good, i;
    FsEntry *entry = NULL;
    FsWalk walk;
    P9Qid qid;
    int bad = 0;
    int ret;

    id = marshal_get_u32(&req->r);
    newid = marshal_get_u32(&req->r);
    num = marshal_get_u16(&req->r);
    if (num > FS_WALK_MAX) {
        return -EINVAL;
    }
    for (i = 0; i < num; i++) {
        names[i] = marshal_get_str(&req->r, NULL);
    }
    if (!marshal_done(&req->r)) {
        return -EINVAL;
    }
    from = p9_fid_get_attached(s, id);
    if (!from) {
        return -EBADF;
    }
    if (newid != id) {
        ret = p9_fid_check_new(s, newid);
        if (ret < 0) {
            return ret;
        }
    }

    if (num == 0) {
        ret = newid == id ? 0
              : walk_bind(s, from, newid, from->node, from->entry);
        if (ret < 0) {
            return ret;
        }
        marshal_put_u16(&req->w, 0);
        return 0;
    }
    if (newid == id && from->file) {
        /* It would be closed behind the client's back. */
        return -EBADF;
    }
    if (!S_ISDIR(from->node->type)) {
        return -ENOTDIR;
    }
    if (p9_request_room(req) < P9_HEADER_SIZE + 2 + num * P9_QID_SIZE) {
        return -EMSGSIZE;
    }

    /* Names up to the first that cannot be one */
    for (good = 0; good < num; good++) {
        bad = walk_name_check(names[good]);
        if (bad < 0) {
            break;
        }
    }
    if (good == 0) {
        return bad;
    }

    walk.walked = 0;
    walk.node = NULL;
    walk.parent = NULL;
    ret = p9_driver(req)->walk(&req->call, from->node, names, good, &walk);
    node = walk.node;
    parent = walk.parent;
    if (ret < 0 && (walk.walked == 0 || ret == -EINTR)) {
        return ret;
    }
    if (ret < 0 ? walk.walked >= good : walk.walked != good || !node) {
        return -EIO;
    }

    /* A file system that is not to be shown ends the walk like a lost name. */
    for (i = 0; i < walk.walked; i++) {
        ret = fs_export_admit_dev(s->fs, walk.attr[i].dev);
        if (ret < 0) {
            if (i == 0) {
                return ret;
            }
            walk.walked = i;
        }
    }

    if (walk.walked == num) {
        if (parent) {
            entry = fs_entry_get(s->fs, parent, names[num - 1], node);
        }
        ret = walk_bind(s, from, newid, node, entry);
        if (entry) {
            fs_entry_put(entry);
        }
        if (ret < 0) {
            return ret;
        }
    }

    marshal_put_u16(&req->w, walk.walked);
    for (i = 0; i < walk.walked; i++) {
        qid = p9_qid_make(&s->export->qids, &walk.attr[i]);
        p9_put_qid(&req->w, &qid);
    }
    return 0;
}

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
    make->uid = dir->uid;
    make->gid = gid;
    return 0;
}

/*
 * With multidevs=forbid, a file of another file system that is mounted there
 * must not be opened instead, and perhaps truncated.
 */
static int coroutine_fn create_admit(P9Request *req, FsNode *dir,
                                     const char *name)
{
    FsExport *fs = req->s->fs;
    FsWalk walk = { .walked = 0 };
    int ret;

    if (fs->multidevs != FSDEV_MULTIDEVS_FORBID) {
        return 0;
    }
    ret = p9_driver(req)->walk(&req->call, dir, &name, 1, &walk);
    if (ret == 0) {
        ret = fs_export_admit_dev(fs, walk.attr[0].dev);
        fs_node_unref(walk.node);
        if (walk.parent) {
            fs_node_unref(walk.parent);
        }
    }
    return ret == -ENOENT ? 0 : ret;
}

int coroutine_fn p9_create_file(P9Request *req, P9Fid *dir, const FsMakeArgs *make,
                                int flags, bool remove_on_clunk)
{
    P9Server *s = req->s;
    g_autoptr(P9Fid) fid = NULL;
    g_autoptr(FsNode) node = NULL;
    g_autoptr(FsFile) file = NULL;
    FsEntry *entry;
    FsAttr attr;
    P9Qid qid;
    int ret;

    if (!(flags & O_EXCL)) {
        ret = create_admit(req, dir->node, make->name);
        if (ret < 0) {
            return ret;
        }
    }
    ret = p9_driver(req)->create(&req->call, dir->node, make, flags | O_CREAT,
                                 &node, &file, &attr);
    if (ret < 0) {
        return ret;
    }
    if (!S_ISREG(node->type)) {
        return S_ISDIR(node->type) ? -EISDIR : -ENXIO;
    }

    entry = fs_entry_get(s->fs, dir->node, make->name, node);
    fid = p9_fid_new(s, dir->id, dir->uid, node, entry);
    fs_entry_put(entry);
    fid->file = g_steal_pointer(&file);
    fid->remove_on_clunk = remove_on_clunk;
    ret = p9_fid_replace(dir, fid);
    if (ret < 0) {
        return ret;
    }

    qid = p9_qid_make(&s->export->qids, &attr);
    p9_put_qid(&req->w, &qid);
    marshal_put_u32(&req->w, p9_iounit(s));
    return 0;
}

/*
 * Tlcreate fid[4] name[s] flags[4] mode[4] gid[4]: the directory's fid becomes
 * the new file, open. As open(2) with O_CREAT; O_EXCL if the client says so.
 */
int coroutine_fn p9_lcreate(P9Request *req)
{
    g_autoptr(P9Fid) dir = NULL;
    uint32_t id, flags, mode, gid;
    const char *name;
    FsMakeArgs make;
    int host, ret;

    id = marshal_get_u32(&req->r);
    name = marshal_get_str(&req->r, NULL);
    flags = marshal_get_u32(&req->r);
    mode = marshal_get_u32(&req->r);
    gid = marshal_get_u32(&req->r);
    if (!marshal_done(&req->r)) {
        return -EINVAL;
    }
    ret = p9_fid_get_dir(req->s, id, &dir);
    if (ret < 0) {
        return ret;
    }
    if (dir->file) {
        return -EBADF;
    }
    ret = p9_make_init(&make, dir, name, S_IFREG | (mode & 07777), gid);
    if (ret < 0) {
        return ret;
    }
    ret = p9_open_flags(flags, &host);
    if (ret < 0) {
        return ret;
    }
    host &= ~O_DIRECTORY;
    if (p9_open_exclusive(flags)) {
        host |= O_EXCL;
    }
    return p9_create_file(req, dir, &make, host, false);
}

/* Makes anything but a file that is to be open, and replies with its qid. */
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
    if (!marshal_done(&req->r)) {
        return -EINVAL;
    }
    ret = p9_fid_get_dir(req->s, id, &dir);
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
 * Tmknod dfid[4] name[s] mode[4] major[4] minor[4] gid[4], as mknod(2): that
 * makes regular files too, but no directories.
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
    if (!marshal_done(&req->r)) {
        return -EINVAL;
    }
    ret = p9_fid_get_dir(req->s, id, &dir);
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
        ret = p9_driver(req)->create(&req->call, dir->node, &make,
                                     O_CREAT | O_EXCL | O_RDONLY,
                                     &node, &file, &attr);
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
    if (!marshal_done(&req->r)) {
        return -EINVAL;
    }
    ret = p9_fid_get_dir(req->s, id, &dir);
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
    if (!marshal_done(&req->r)) {
        return -EINVAL;
    }
    ret = p9_fid_get_dir(req->s, dirid, &dir);
    if (ret < 0) {
        return ret;
    }
    fid = p9_fid_get_attached(req->s, id);
    return fid ? p9_link_fid(req, fid, dir, name) : -EBADF;
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
    if (!marshal_done(&req->r)) {
        return -EINVAL;
    }
    ret = p9_fid_get_dir(req->s, oldid, &olddir);
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

int p9_fid_name(const P9Fid *fid, FsNode **dir, char **name)
{
    if (fid->node == fid->s->fs->root) {
        return -EBUSY;
    }
    if (!fid->entry || fid->entry->gone) {
        return -ENOENT;
    }
    *dir = fs_node_ref(fid->entry->parent);
    *name = g_strdup(fid->entry->name);
    return 0;
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
    if (!marshal_done(&req->r)) {
        return -EINVAL;
    }
    fid = p9_fid_get_attached(req->s, id);
    if (!fid) {
        return -EBADF;
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

/* Removes a name, and tells the entries. */
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
    if (!marshal_done(&req->r)) {
        return -EINVAL;
    }
    ret = p9_fid_get_dir(req->s, id, &dir);
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
 * Tremove fid[4]: removes the file and clunks the fid, the latter even if the
 * former fails (remove(5) of Plan 9).
 */
int coroutine_fn p9_remove(P9Request *req)
{
    g_autoptr(P9Fid) fid = NULL;
    uint32_t id;

    id = marshal_get_u32(&req->r);
    if (!marshal_done(&req->r)) {
        return -EINVAL;
    }
    fid = p9_fid_get(req->s, id);
    if (!fid) {
        return -EBADF;
    }
    p9_fid_remove(fid);
    req->must_answer = true;
    return fid->xattr ? -EBADF : p9_remove_fid(req, fid);
}
