/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Messages that only 9P2000.u has.
 *
 * The functions for 9P2000.L do the work. This file parses the messages, and
 * answers them, in the terms of open(5) and stat(5) of Plan 9's manual and of
 * the "Unix extension" to these. Where these leave a choice, or do not suit a
 * Unix, the server follows Linux' client (fs/9p/vfs_inode.c and vfs_file.c of
 * Linux).
 */
#include "qemu/osdep.h"
#include <sys/sysmacros.h>
#include "qemu/cutils.h"
#include "dotu-stat.h"
#include "messages.h"

/* A decimal number of 32 bits, which may end with a newline */
static bool get_number(const char *text, const char **end, uint32_t *value)
{
    unsigned int v;

    /* strtoul(3) takes signs and blanks. */
    if (!g_ascii_isdigit(*text) || qemu_strtoui(text, end, 10, &v) < 0) {
        return false;
    }
    *value = v;
    return true;
}

static bool at_end(const char *text)
{
    return !strcmp(text, "") || !strcmp(text, "\n");
}

/*
 * open(2) flags of the host for a mode byte. OCEXEC concerns the client's own
 * descriptor, and the client has checked execute permission.
 */
static int open_flags(uint8_t mode, int *host)
{
    static const int access[] = {
        [P9_OREAD] = O_RDONLY,
        [P9_OWRITE] = O_WRONLY,
        [P9_ORDWR] = O_RDWR,
        [P9_OEXEC] = O_RDONLY,
    };

    if (mode & ~(P9_OACCESS | P9_OTRUNC | P9_OCEXEC | P9_ORCLOSE |
                 P9_OAPPEND)) {
        return -EINVAL;
    }
    *host = access[mode & P9_OACCESS] |
            (mode & P9_OTRUNC ? O_TRUNC : 0) |
            (mode & P9_OAPPEND ? O_APPEND : 0);
    return 0;
}

/* open(5): a directory cannot be written, truncated or removed on close. */
static bool open_is_for_dir(uint8_t mode)
{
    int access = mode & P9_OACCESS;

    return (access == P9_OREAD || access == P9_OEXEC) &&
           !(mode & (P9_OTRUNC | P9_ORCLOSE));
}

/* Topen fid[4] mode[1] */
int coroutine_fn p9_open(P9Request *req)
{
    g_autoptr(P9Fid) fid = NULL;
    uint32_t id;
    uint8_t mode;
    int host, ret;

    id = marshal_get_u32(&req->r);
    mode = marshal_get_u8(&req->r);
    ret = p9_request_fid(req, id, &fid);
    if (ret < 0) {
        return ret;
    }
    if (fid->file) {
        return -EBADF;
    }
    ret = open_flags(mode, &host);
    if (ret < 0) {
        return ret;
    }
    if (S_ISDIR(fid->node->type) && !open_is_for_dir(mode)) {
        return -EISDIR;
    }
    if ((mode & P9_ORCLOSE) && req->s->fs->readonly) {
        return -EROFS;
    }
    ret = p9_fid_open(req, fid, host);
    if (ret == 0 && (mode & P9_ORCLOSE)) {
        fid->remove_on_clunk = true;
    }
    return ret;
}

/* S_IFMT bits for type bits of Tcreate, except DMLINK; 0 for unknown ones */
static uint32_t create_type(uint32_t bits, const char *extension)
{
    switch (bits) {
    case 0:
        return S_IFREG;
    case P9_DMDIR:
        return S_IFDIR;
    case P9_DMSYMLINK:
        return S_IFLNK;
    case P9_DMNAMEDPIPE:
        return S_IFIFO;
    case P9_DMSOCKET:
        return S_IFSOCK;
    case P9_DMDEVICE:
        return extension[0] == 'c' ? S_IFCHR :
               extension[0] == 'b' ? S_IFBLK : 0;
    default:
        return 0;
    }
}

/* The numbers of "b MAJOR MINOR" */
static bool get_device(const char *extension, uint64_t *rdev)
{
    uint32_t rmajor, rminor;
    const char *p;

    if (extension[0] == '\0' || extension[1] != ' ' ||
        !get_number(extension + 2, &p, &rmajor) || *p != ' ' ||
        !get_number(p + 1, &p, &rminor) || !at_end(p)) {
        return false;
    }
    *rdev = makedev(rmajor, rminor);
    return true;
}

/*
 * The directory's fid becomes the object that was just made in it, whose device
 * and inode number are @dev and @ino. Finds the object by name, as a walk does.
 */
static int coroutine_fn create_bind(P9Request *req, P9Fid *dir,
                                    const char *name, uint64_t dev,
                                    uint64_t ino)
{
    P9Server *s = req->s;
    g_autoptr(P9Fid) fid = NULL;
    g_autoptr(FsNode) node = NULL;
    g_autoptr(FsNode) parent = NULL;
    FsWalk walk = { .walked = 0 };
    FsEntry *entry;
    P9Qid qid;
    int ret;

    ret = p9_driver(req)->walk(&req->call, dir->node, &name, 1, &walk);
    node = walk.node;
    parent = walk.parent;
    if (ret < 0) {
        return ret;
    }
    if (!node || !parent) {
        return -EIO;
    }
    if (node->dev != dev || node->ino != ino) {
        /* Something else has taken its name. */
        return -ENOENT;
    }
    entry = fs_entry_get(s->fs, parent, name, node);
    fid = p9_fid_new(s, dir->id, dir->attach, node, entry);
    fs_entry_put(entry);
    if (S_ISDIR(node->type)) {
        ret = p9_open_file(&req->call, node, O_RDONLY, &fid->file);
        if (ret < 0) {
            return ret;
        }
    }
    ret = req->detached ? -EINTR : p9_fid_replace(dir, fid);
    if (ret < 0) {
        return ret;
    }
    qid = p9_qid_make(&s->export->qids, &walk.attr[0]);
    p9_put_qid(&req->w, &qid);
    marshal_put_u32(&req->w, p9_iounit(s));
    return 0;
}

/* DMLINK: the extension is the number of the fid whose file gets the name. */
static int coroutine_fn create_link(P9Request *req, P9Fid *dir,
                                    const char *name, const char *extension)
{
    g_autoptr(P9Fid) fid = NULL;
    const char *end;
    uint32_t id;
    int ret;

    if (!get_number(extension, &end, &id) || !at_end(end)) {
        return -EINVAL;
    }
    ret = p9_fid_get_attached(req->s, id, &fid);
    if (ret < 0) {
        return ret;
    }
    ret = p9_link_fid(req, fid, dir, name);
    if (ret < 0) {
        return ret;
    }
    p9_request_commit(req);
    return create_bind(req, dir, name, fid->node->dev, fid->node->ino);
}

/*
 * Tcreate fid[4] name[s] perm[4] mode[1] extension[s]: makes an object that is
 * not there yet. The directory's fid becomes that object: a file or a directory
 * is then open, anything else is as after a walk.
 *
 * The group is the directory's (open(5)). The permissions are those of the
 * message, because Unix clients apply the user's umask. open(5) would mask them
 * with the directory's permissions.
 */
int coroutine_fn p9_create(P9Request *req)
{
    g_autoptr(P9Fid) dir = NULL;
    const char *name, *extension;
    uint32_t id, perm, bits, type;
    FsMakeArgs make;
    FsAttr attr;
    uint8_t mode;
    int host, ret;

    id = marshal_get_u32(&req->r);
    name = marshal_get_str(&req->r, NULL);
    perm = marshal_get_u32(&req->r);
    mode = marshal_get_u8(&req->r);
    extension = marshal_get_str(&req->r, NULL);
    ret = p9_request_dir(req, id, &dir);
    if (ret < 0) {
        return ret;
    }
    if (dir->file) {
        return -EBADF;
    }
    ret = open_flags(mode, &host);
    if (ret < 0) {
        return ret;
    }

    bits = perm & ~P9_STAT_PERM_MASK;
    if (bits == P9_DMLINK) {
        return create_link(req, dir, name, extension);
    }
    type = create_type(bits, extension);
    if (type == 0) {
        return -EINVAL;
    }
    if (type == S_IFDIR && !open_is_for_dir(mode)) {
        return -EISDIR;
    }

    /* Check the name before asking the driver for the group. */
    if (type == S_IFLNK) {
        ret = p9_make_init_symlink(&make, dir, name, extension, 0);
    } else {
        ret = p9_make_init(&make, dir, name,
                           type | p9_stat_unix_perm(perm), 0);
    }
    if (ret < 0) {
        return ret;
    }
    if ((type == S_IFCHR || type == S_IFBLK) &&
        !get_device(extension, &make.rdev)) {
        return -EINVAL;
    }
    ret = p9_driver(req)->getattr(&req->call, dir->node, NULL, &attr);
    if (ret < 0) {
        return ret;
    }
    make.gid = attr.gid;

    if (type == S_IFREG) {
        return p9_create_file(req, dir, &make, host | O_EXCL,
                              mode & P9_ORCLOSE);
    }
    ret = p9_driver(req)->make(&req->call, dir->node, &make, &attr);
    if (ret < 0) {
        return ret;
    }
    p9_request_commit(req);
    return create_bind(req, dir, name, attr.dev, attr.ino);
}

/* The name for Rstat. It is valid until another coroutine runs. */
static const char *stat_name(const P9Fid *fid)
{
    const FsEntry *entry = fid->entry ?: fs_node_any_entry(fid->node);

    if (p9_fid_is_root(fid)) {
        return "/";
    }
    return entry ? entry->name : "";
}

/* Tstat fid[4]. The reply is stat[n], whose n[2] comes before its size[2]. */
int coroutine_fn p9_stat(P9Request *req)
{
    g_autoptr(P9Fid) fid = NULL;
    P9StatText text;
    uint32_t id;
    FsAttr attr;
    P9Stat st;
    size_t size;
    int ret;

    id = marshal_get_u32(&req->r);
    ret = p9_request_fid(req, id, &fid);
    if (ret < 0) {
        return ret;
    }
    ret = p9_driver(req)->getattr(&req->call, fid->node, fid->file, &attr);
    if (ret == 0) {
        ret = p9_stat_fill(req, fid->node, &attr, &st, &text);
    }
    if (ret < 0) {
        return ret;
    }
    st.name = stat_name(fid);
    size = p9_stat_size(&st);
    p9_reply_reserve(req, 2 + size);
    marshal_put_u16(&req->w, size);
    p9_stat_put(&req->w, &st);
    return 0;
}

/* A user or group of Twstat: false if it has a name that is not a number. */
static bool wstat_id(uint32_t number, const char *name, uint32_t *id,
                     bool *set)
{
    const char *end;

    *id = number;
    if (!p9_id_valid(number) && *name &&
        (!get_number(name, &end, id) || *end)) {
        return false;
    }
    *set = p9_id_valid(*id);
    return true;
}

/*
 * Fields that can never change must be "don't touch", or the current value
 * (stat(5)). The type bits of special files may also be missing: Linux leaves
 * them out for a mount with nodevmap, where special files look like files.
 */
static int wstat_check_fixed(P9Request *req, const P9Fid *fid,
                             const P9Stat *st)
{
    const FsNode *node = fid->node;
    uint32_t type = p9_stat_type(node->type);
    uint32_t bits = st->mode & ~P9_STAT_PERM_MASK;
    uint8_t qid_type = S_ISDIR(node->type) ? P9_QTDIR :
                       S_ISLNK(node->type) ? P9_QTSYMLINK : P9_QTFILE;

    if (st->mode != UINT32_MAX && bits != type &&
        (bits != 0 || type == P9_DMDIR)) {
        return -EINVAL;
    }
    if ((st->type != UINT16_MAX && st->type != 0) ||
        (st->dev != UINT32_MAX && st->dev != 0) ||
        (st->qid.type != UINT8_MAX && st->qid.type != qid_type) ||
        (st->qid.path != UINT64_MAX &&
         st->qid.path != p9_qid_path(&req->s->export->qids, node->dev,
                                     node->ino))) {
        return -EPERM;
    }
    return 0;
}

/* The same for the extension: it must be empty, or as Rstat would have it. */
static int coroutine_fn wstat_check_extension(P9Request *req, P9Fid *fid,
                                              const P9Stat *st)
{
    P9StatText text;
    FsAttr attr;
    P9Stat now;
    int ret;

    if (!*st->extension) {
        return 0;
    }
    ret = p9_driver(req)->getattr(&req->call, fid->node, fid->file, &attr);
    if (ret == 0) {
        ret = p9_stat_fill(req, fid->node, &attr, &now, &text);
    }
    if (ret < 0) {
        return ret;
    }
    return strcmp(st->extension, now.extension) ? -EPERM : 0;
}

/* The attributes to set: 0, or the error of one that cannot be set. */
static int wstat_attributes(const P9Fid *fid, const P9Stat *st, FsSetAttr *set)
{
    bool set_uid, set_gid;

    memset(set, 0, sizeof(*set));
    if (!wstat_id(st->n_uid, st->uid, &set->uid, &set_uid) ||
        !wstat_id(st->n_gid, st->gid, &set->gid, &set_gid)) {
        return -EINVAL;
    }
    if (set_uid) {
        set->valid |= FS_SET_UID;
    }
    if (set_gid) {
        set->valid |= FS_SET_GID;
    }
    if (st->mode != UINT32_MAX) {
        set->valid |= FS_SET_MODE;
        set->mode = p9_stat_unix_perm(st->mode);
    }
    /* Rstat gives 0 as a directory's length. */
    if (st->length != UINT64_MAX &&
        !(st->length == 0 && S_ISDIR(fid->node->type))) {
        set->valid |= FS_SET_SIZE;
        set->size = st->length;
    }
    if (st->atime != UINT32_MAX) {
        set->valid |= FS_SET_ATIME | FS_SET_ATIME_SET;
        set->atime.tv_sec = st->atime;
    }
    if (st->mtime != UINT32_MAX) {
        set->valid |= FS_SET_MTIME | FS_SET_MTIME_SET;
        set->mtime.tv_sec = st->mtime;
    }
    return p9_setattr_check(fid, set);
}

/* Twstat without a change asks that written data be on storage (stat(5)). */
static int coroutine_fn wstat_sync(P9Request *req, P9Fid *fid)
{
    g_autoptr(FsFile) file = NULL;
    int ret;

    if (fid->file) {
        return p9_driver(req)->fsync(&req->call, fid->file, false);
    }
    if (!S_ISREG(fid->node->type) && !S_ISDIR(fid->node->type)) {
        return 0;
    }
    ret = p9_open_file(&req->call, fid->node, O_RDONLY, &file);
    if (ret < 0) {
        return ret;
    }
    return p9_driver(req)->fsync(&req->call, file, false);
}

/*
 * Twstat fid[4] stat[n]: changes all fields that are not "don't touch", which
 * is all ones or an empty string. All checks come before the first change, and
 * the new name comes last.
 *
 * The name changes as by rename(2), which replaces a file of that name. stat(5)
 * would refuse that, but Unix programs rely on it, and Linux' client expects
 * it. muid cannot be set, and is ignored: Linux' client fills it in.
 */
int coroutine_fn p9_wstat(P9Request *req)
{
    g_autoptr(P9Fid) fid = NULL;
    g_autoptr(FsNode) dir = NULL;
    g_autofree char *oldname = NULL;
    FsSetAttr set;
    P9Stat st;
    uint32_t id;
    uint16_t size;
    bool rename, whole;
    int ret;

    id = marshal_get_u32(&req->r);
    size = marshal_get_u16(&req->r);
    whole = size == marshal_left(&req->r) && p9_stat_get(&req->r, &st);
    if (!whole) {
        return -EINVAL;
    }
    ret = p9_request_fid(req, id, &fid);
    if (ret < 0) {
        return ret;
    }

    ret = wstat_check_fixed(req, fid, &st);
    if (ret < 0) {
        return ret;
    }
    ret = wstat_attributes(fid, &st, &set);
    if (ret < 0) {
        return ret;
    }
    rename = *st.name && strcmp(st.name, stat_name(fid));
    if (rename) {
        ret = fs_name_check(st.name);
        if (ret < 0) {
            return ret;
        }
        ret = p9_fid_name(fid, &dir, &oldname);
        if (ret < 0) {
            return ret;
        }
    }
    ret = wstat_check_extension(req, fid, &st);
    if (ret < 0) {
        return ret;
    }
    if (!set.valid && !rename) {
        return *st.name || *st.extension ? 0 : wstat_sync(req, fid);
    }
    if (req->s->fs->readonly) {
        return -EROFS;
    }

    if (set.valid) {
        ret = p9_driver(req)->setattr(&req->call, fid->node, fid->file, &set);
        if (ret < 0) {
            return ret;
        }
    }
    if (rename) {
        if (set.valid) {
            p9_request_commit(req);
        }
        ret = p9_rename_name(req, dir, oldname, dir, st.name);
    }
    return ret;
}
