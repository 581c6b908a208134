/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Open and create in 9P2000.L, and the parts of them that 9P2000.u shares.
 */
#include "qemu/osdep.h"
#include "messages.h"

/* Page size of most guests, and block size of most file systems */
#define IOUNIT_ALIGN    4096

/*
 * Flags of Tlopen and Tlcreate. They have Linux' generic numbers
 * (asm-generic/fcntl.h), whatever numbers guest and host have. Flags that are
 * not here concern the guest's own descriptor (O_CLOEXEC, FASYNC, O_NONBLOCK,
 * O_LARGEFILE).
 *
 * O_NOATIME keeps reads from changing the host's atime, where the host lets the
 * server ask for it. Linux' client sends it up to 6.1.
 *
 * O_DIRECT keeps data out of the host's page cache, where the host's file
 * system can do that; the client need not align anything (host/file.c).
 *
 * O_APPEND goes to the host, whose pwrite(2) then appends whatever the offset.
 * In 9P the server appends (open(5) of Plan 9 on DMAPPEND), so that several
 * guests, and the host, do not overwrite each other's data.
 */
#define WIRE_ACCMODE    000000003u
#define WIRE_EXCL       000000200u

static const struct {
    uint32_t wire;
    int host;
} open_flags[] = {
    { 000001000, O_TRUNC },
    { 000002000, O_APPEND },
    { 000010000, O_DSYNC },
    { 000040000, O_DIRECT },
    { 000200000, O_DIRECTORY },
    { 000400000, O_NOFOLLOW },
    { 001000000, O_NOATIME },
    { 004010000, O_SYNC },
};

/*
 * Access mode 3 is Linux' own: the file must allow reading and writing, and the
 * open file does neither.
 */
int p9_open_host_flags(uint32_t wire)
{
    static const int access[] = { O_RDONLY, O_WRONLY, O_RDWR, O_ACCMODE };
    int host = access[wire & WIRE_ACCMODE];
    unsigned i;

    for (i = 0; i < ARRAY_SIZE(open_flags); i++) {
        if ((wire & open_flags[i].wire) == open_flags[i].wire) {
            host |= open_flags[i].host;
        }
    }
    return host;
}

uint32_t p9_open_wire_flags(int host)
{
    static const uint32_t access[] = {
        [O_RDONLY] = 0, [O_WRONLY] = 1, [O_RDWR] = 2, [O_ACCMODE] = 3,
    };
    uint32_t wire = access[host & O_ACCMODE];
    unsigned i;

    for (i = 0; i < ARRAY_SIZE(open_flags); i++) {
        if ((host & open_flags[i].host) == open_flags[i].host) {
            wire |= open_flags[i].wire;
        }
    }
    return wire;
}

/*
 * The most that one Tread or Twrite should carry. Linux reserves 24 bytes for
 * the header of each (P9_IOHDRSZ). Whole blocks are better, unless that would
 * leave much room unused. 0 leaves the choice to the client.
 */
uint32_t p9_iounit(const P9Server *s)
{
    uint32_t room, aligned;

    if (s->msize < P9_MSIZE_MIN) {
        return 0;
    }
    room = s->msize - 24;
    aligned = QEMU_ALIGN_DOWN(room, IOUNIT_ALIGN);
    return room - aligned <= room / 8 ? aligned : 0;
}

int coroutine_fn p9_fid_open(P9Request *req, P9Fid *fid, int flags)
{
    P9Server *s = req->s;
    bool writes = (flags & O_ACCMODE) != O_RDONLY || (flags & O_TRUNC);
    FsFile *file;
    FsAttr attr;
    P9Qid qid;
    int ret;

    if (fid->file) {
        return -EBADF;
    }
    switch (fid->node->type) {
    case S_IFREG:
        if (flags & O_DIRECTORY) {
            return -ENOTDIR;
        }
        break;
    case S_IFDIR:
        if (writes) {
            return -EISDIR;
        }
        break;
    case S_IFLNK:
        return -ELOOP;
    default:
        /*
         * Device nodes, fifos and sockets belong to the guest: their drivers
         * and peers are there. The host's must stay untouched.
         */
        return -ENXIO;
    }
    if (writes && s->fs->readonly) {
        return -EROFS;
    }

    ret = p9_open_file(&req->call, fid->node, flags, &file);
    if (ret < 0) {
        return ret;
    }
    ret = p9_driver(req)->getattr(&req->call, fid->node, file, &attr);
    if (ret == 0 && (fid->file || fid->clunked || req->detached)) {
        /* Another request opened or clunked it during the operations. */
        ret = -EBADF;
    }
    if (ret < 0) {
        fs_file_unref(file);
        return ret;
    }
    fid->file = file;

    qid = p9_qid_make(&s->export->qids, &attr);
    p9_put_qid(&req->w, &qid);
    marshal_put_u32(&req->w, p9_iounit(s));
    return 0;
}

/* Tlopen fid[4] flags[4]: see p9_fid_open() for its two driver operations. */
int coroutine_fn p9_lopen(P9Request *req)
{
    g_autoptr(P9Fid) fid = NULL;
    uint32_t id, flags;
    int ret;

    id = marshal_get_u32(&req->r);
    flags = marshal_get_u32(&req->r);
    ret = p9_request_fid(req, id, &fid);
    if (ret < 0) {
        return ret;
    }
    if (fid->file) {
        return -EBADF;
    }
    return p9_fid_open(req, fid, p9_open_host_flags(flags));
}

/*
 * With multidevs=forbid, create must not open, and perhaps truncate, a file of
 * another file system that is mounted at that name.
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

int coroutine_fn p9_create_file(P9Request *req, P9Fid *dir,
                                const FsMakeArgs *make, int flags,
                                bool remove_on_clunk)
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
    if (fs_export_full(s->fs)) {
        return -ENFILE;
    }
    ret = fs_export_open_begin(s->fs);
    if (ret < 0) {
        return ret;
    }
    ret = p9_driver(req)->create(&req->call, dir->node, make, flags | O_CREAT,
                                 &node, &file, &attr);
    fs_export_open_end(s->fs);
    if (ret < 0) {
        return ret;
    }
    if (req->detached) {
        return -EINTR;
    }
    if (!S_ISREG(node->type)) {
        return S_ISDIR(node->type) ? -EISDIR : -ENXIO;
    }

    entry = fs_entry_get(s->fs, dir->node, make->name, node);
    fid = p9_fid_new(s, dir->id, dir->attach, node, entry);
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
 * the new file, open. As open(2) with O_CREAT, and O_EXCL if the client sets
 * that.
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
    ret = p9_request_dir(req, id, &dir);
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
    host = p9_open_host_flags(flags) & ~O_DIRECTORY;
    if (flags & WIRE_EXCL) {
        host |= O_EXCL;
    }
    return p9_create_file(req, dir, &make, host, false);
}
