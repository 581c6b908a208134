/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Attributes of files and of the file system, and targets of symbolic links.
 */
#include "qemu/osdep.h"
#include "messages.h"

static void put_time(MarshalWriter *w, const struct timespec *ts)
{
    marshal_put_u64(w, ts->tv_sec);
    marshal_put_u64(w, ts->tv_nsec);
}

/*
 * The generation, if getattr did not return it. It stays the same as long as
 * the inode exists, so the server asks the driver until it has an answer.
 */
static void coroutine_fn get_generation(P9Request *req, P9Fid *fid,
                                        FsAttr *attr)
{
    FsNode *node = fid->node;
    uint64_t gen;
    int ret;

    if (!p9_driver(req)->generation) {
        return;
    }
    if (node->gen_state == FS_GEN_UNKNOWN) {
        ret = p9_driver(req)->generation(&req->call, node, fid->file, &gen);
        if (ret == 0) {
            node->gen = gen;
            node->gen_state = FS_GEN_KNOWN;
        } else if (ret == -EOPNOTSUPP) {
            node->gen_state = FS_GEN_NONE;
        }
    }
    if (node->gen_state == FS_GEN_KNOWN) {
        attr->gen = node->gen;
        attr->valid |= FS_ATTR_GEN;
    }
}

/*
 * Tgetattr fid[4] request_mask[8]. The reply has every member that the driver
 * knows; its valid[8] names the known ones among those asked for. The data
 * version is not known for files of the host: Linux has a number that changes
 * with the data (STATX_CHANGE_COOKIE), but does not give it to programs.
 */
int coroutine_fn p9_getattr(P9Request *req)
{
    static const struct timespec zero;
    MarshalWriter *w = &req->w;
    g_autoptr(P9Fid) fid = NULL;
    uint64_t mask, have;
    uint32_t id;
    FsAttr attr;
    P9Qid qid;
    int ret;

    id = marshal_get_u32(&req->r);
    mask = marshal_get_u64(&req->r);
    ret = p9_request_fid(req, id, &fid);
    if (ret < 0) {
        return ret;
    }
    ret = p9_driver(req)->getattr(&req->call, fid->node, fid->file, &attr);
    if (ret < 0) {
        return ret;
    }

    if ((mask & P9_GETATTR_GEN) && !(attr.valid & FS_ATTR_GEN)) {
        get_generation(req, fid, &attr);
    }

    have = P9_GETATTR_BASIC;
    if (attr.valid & FS_ATTR_BTIME) {
        have |= P9_GETATTR_BTIME;
    }
    if (attr.valid & FS_ATTR_GEN) {
        have |= P9_GETATTR_GEN;
    }
    if (attr.valid & FS_ATTR_DATA_VERSION) {
        have |= P9_GETATTR_DATA_VERSION;
    }
    qid = p9_qid_make(&req->s->export->qids, &attr);

    marshal_put_u64(w, mask & have);
    p9_put_qid(w, &qid);
    marshal_put_u32(w, attr.mode);
    marshal_put_u32(w, attr.uid);
    marshal_put_u32(w, attr.gid);
    marshal_put_u64(w, attr.nlink);
    marshal_put_u64(w, attr.rdev);
    marshal_put_u64(w, attr.size);
    marshal_put_u64(w, attr.blksize);
    marshal_put_u64(w, attr.blocks);
    put_time(w, &attr.atime);
    put_time(w, &attr.mtime);
    put_time(w, &attr.ctime);
    put_time(w, have & P9_GETATTR_BTIME ? &attr.btime : &zero);
    marshal_put_u64(w, have & P9_GETATTR_GEN ? attr.gen : 0);
    marshal_put_u64(w, have & P9_GETATTR_DATA_VERSION ? attr.data_version : 0);
    return 0;
}

static void get_time(MarshalReader *r, struct timespec *ts)
{
    uint64_t nsec;

    ts->tv_sec = marshal_get_u64(r);
    nsec = marshal_get_u64(r);
    /* -1 is out of range, too, and fits a tv_nsec of 32 bits. */
    ts->tv_nsec = nsec < 1000000000 ? nsec : -1;
}

int p9_setattr_check(const P9Fid *fid, const FsSetAttr *set)
{
    if (((set->valid & FS_SET_UID) && !p9_id_valid(set->uid)) ||
        ((set->valid & FS_SET_GID) && !p9_id_valid(set->gid)) ||
        ((set->valid & FS_SET_ATIME_SET) && set->atime.tv_nsec < 0) ||
        ((set->valid & FS_SET_MTIME_SET) && set->mtime.tv_nsec < 0)) {
        return -EINVAL;
    }
    if (set->valid & FS_SET_SIZE) {
        if (S_ISDIR(fid->node->type)) {
            return -EISDIR;
        }
        if (!S_ISREG(fid->node->type)) {
            return -EINVAL;
        }
        if (set->size > INT64_MAX) {
            return -EFBIG;
        }
    }
    return 0;
}

/*
 * Tsetattr fid[4] valid[4] mode[4] uid[4] gid[4] size[8] atime_sec[8]
 * atime_nsec[8] mtime_sec[8] mtime_nsec[8]
 */
int coroutine_fn p9_setattr(P9Request *req)
{
    g_autoptr(P9Fid) fid = NULL;
    FsSetAttr set;
    uint32_t id;
    int ret;

    id = marshal_get_u32(&req->r);
    set.valid = marshal_get_u32(&req->r);
    set.mode = marshal_get_u32(&req->r) & 07777;
    set.uid = marshal_get_u32(&req->r);
    set.gid = marshal_get_u32(&req->r);
    set.size = marshal_get_u64(&req->r);
    get_time(&req->r, &set.atime);
    get_time(&req->r, &set.mtime);
    ret = p9_request_fid(req, id, &fid);
    if (ret < 0) {
        return ret;
    }

    if (set.valid & ~FS_SET_ALL) {
        return -EINVAL;
    }
    /* The message has a time even where it does not set one. */
    if (!(set.valid & FS_SET_ATIME)) {
        set.valid &= ~FS_SET_ATIME_SET;
    }
    if (!(set.valid & FS_SET_MTIME)) {
        set.valid &= ~FS_SET_MTIME_SET;
    }
    ret = p9_setattr_check(fid, &set);
    if (ret < 0 || set.valid == 0) {
        return ret;
    }
    return p9_driver(req)->setattr(&req->call, fid->node, fid->file, &set);
}

/* Tstatfs fid[4] */
int coroutine_fn p9_statfs(P9Request *req)
{
    MarshalWriter *w = &req->w;
    g_autoptr(P9Fid) fid = NULL;
    FsStatfs st;
    uint32_t id;
    int ret;

    id = marshal_get_u32(&req->r);
    ret = p9_request_fid(req, id, &fid);
    if (ret < 0) {
        return ret;
    }
    ret = p9_driver(req)->statfs(&req->call, fid->node, &st);
    if (ret < 0) {
        return ret;
    }

    marshal_put_u32(w, st.type);
    marshal_put_u32(w, MIN(st.bsize, UINT32_MAX));
    marshal_put_u64(w, st.blocks);
    marshal_put_u64(w, st.bfree);
    marshal_put_u64(w, st.bavail);
    marshal_put_u64(w, st.files);
    marshal_put_u64(w, st.ffree);
    marshal_put_u64(w, st.fsid);
    marshal_put_u32(w, MIN(st.namelen, UINT32_MAX));
    return 0;
}

/* Treadlink fid[4] */
int coroutine_fn p9_readlink(P9Request *req)
{
    g_autoptr(P9Fid) fid = NULL;
    char target[PATH_MAX];
    uint32_t id;
    int ret;

    id = marshal_get_u32(&req->r);
    ret = p9_request_fid(req, id, &fid);
    if (ret < 0) {
        return ret;
    }
    if (!S_ISLNK(fid->node->type)) {
        return -EINVAL;
    }
    ret = p9_driver(req)->readlink(&req->call, fid->node,
                                   target, sizeof(target));
    if (ret < 0) {
        return ret;
    }
    p9_reply_reserve(req, 2 + strlen(target));
    marshal_put_str(&req->w, target);
    return 0;
}
