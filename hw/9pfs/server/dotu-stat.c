/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The stat structure of 9P2000.u: from a driver's attributes, and into and out
 * of messages.
 *
 * Users and groups have a name and a number in it. The host's names mean
 * nothing in the guest, so the names here are the numbers in decimal; Linux'
 * client only looks at the numbers. The host does not record which user changed
 * a file last, so muid is empty and n_muid is no user.
 *
 * A plain 9P stat has no place for the target of a symbolic link and for a
 * device's kind and numbers. The field extension has them, a device's as
 * "b MAJOR MINOR". For files and directories with more than one hard link, it
 * has "HARDLINKCOUNT N": Linux' client takes the number of links from it
 * (v9fs_stat2inode() in its fs/9p/vfs_inode.c).
 */
#include "qemu/osdep.h"
#include <sys/sysmacros.h>
#include "dotu-stat.h"

size_t p9_stat_size(const P9Stat *st)
{
    return P9_STAT_SIZE + strlen(st->name) + strlen(st->uid) +
           strlen(st->gid) + strlen(st->muid) + strlen(st->extension);
}

void p9_stat_put(MarshalWriter *w, const P9Stat *st)
{
    marshal_put_u16(w, p9_stat_size(st) - 2);
    marshal_put_u16(w, st->type);
    marshal_put_u32(w, st->dev);
    p9_put_qid(w, &st->qid);
    marshal_put_u32(w, st->mode);
    marshal_put_u32(w, st->atime);
    marshal_put_u32(w, st->mtime);
    marshal_put_u64(w, st->length);
    marshal_put_str(w, st->name);
    marshal_put_str(w, st->uid);
    marshal_put_str(w, st->gid);
    marshal_put_str(w, st->muid);
    marshal_put_str(w, st->extension);
    marshal_put_u32(w, st->n_uid);
    marshal_put_u32(w, st->n_gid);
    marshal_put_u32(w, st->n_muid);
}

bool p9_stat_get(MarshalReader *r, P9Stat *st)
{
    uint16_t size = marshal_get_u16(r);
    size_t before = marshal_left(r);

    st->type = marshal_get_u16(r);
    st->dev = marshal_get_u32(r);
    st->qid.type = marshal_get_u8(r);
    st->qid.version = marshal_get_u32(r);
    st->qid.path = marshal_get_u64(r);
    st->mode = marshal_get_u32(r);
    st->atime = marshal_get_u32(r);
    st->mtime = marshal_get_u32(r);
    st->length = marshal_get_u64(r);
    st->name = marshal_get_str(r, NULL);
    st->uid = marshal_get_str(r, NULL);
    st->gid = marshal_get_str(r, NULL);
    st->muid = marshal_get_str(r, NULL);
    st->extension = marshal_get_str(r, NULL);
    st->n_uid = marshal_get_u32(r);
    st->n_gid = marshal_get_u32(r);
    st->n_muid = marshal_get_u32(r);
    return marshal_ok(r) && before - marshal_left(r) == size;
}

uint32_t p9_stat_type(uint32_t mode)
{
    switch (mode & S_IFMT) {
    case S_IFDIR:
        return P9_DMDIR;
    case S_IFLNK:
        return P9_DMSYMLINK;
    case S_IFCHR:
    case S_IFBLK:
        return P9_DMDEVICE;
    case S_IFIFO:
        return P9_DMNAMEDPIPE;
    case S_IFSOCK:
        return P9_DMSOCKET;
    default:
        return 0;
    }
}

uint32_t p9_stat_perm(uint32_t mode)
{
    return (mode & 0777) |
           (mode & S_ISUID ? P9_DMSETUID : 0) |
           (mode & S_ISGID ? P9_DMSETGID : 0) |
           (mode & S_ISVTX ? P9_DMSETVTX : 0);
}

uint32_t p9_stat_unix_perm(uint32_t mode)
{
    return (mode & 0777) |
           (mode & P9_DMSETUID ? S_ISUID : 0) |
           (mode & P9_DMSETGID ? S_ISGID : 0) |
           (mode & P9_DMSETVTX ? S_ISVTX : 0);
}

/* Seconds, within 32 bits. All ones would be "don't touch". */
static uint32_t stat_time(const struct timespec *ts)
{
    return ts->tv_sec < 0 ? 0 : MIN(ts->tv_sec, UINT32_MAX - 1);
}

static int coroutine_fn stat_extension(P9Request *req, FsNode *node,
                                       const FsAttr *attr, char *buf,
                                       size_t size)
{
    *buf = '\0';
    switch (attr->mode & S_IFMT) {
    case S_IFLNK:
        return p9_driver(req)->readlink(&req->call, node, buf, size);
    case S_IFCHR:
    case S_IFBLK:
        snprintf(buf, size, "%c %u %u", S_ISCHR(attr->mode) ? 'c' : 'b',
                 major(attr->rdev), minor(attr->rdev));
        break;
    case S_IFREG:
    case S_IFDIR:
        if (attr->nlink > 1) {
            snprintf(buf, size, "HARDLINKCOUNT %" PRIu32,
                     (uint32_t)MIN(attr->nlink, UINT32_MAX));
        }
        break;
    }
    return 0;
}

int coroutine_fn p9_stat_fill(P9Request *req, FsNode *node, const FsAttr *attr,
                              P9Stat *st, P9StatText *text)
{
    snprintf(text->uid, sizeof(text->uid), "%" PRIu32, attr->uid);
    snprintf(text->gid, sizeof(text->gid), "%" PRIu32, attr->gid);

    st->type = 0;
    st->dev = 0;
    st->qid = p9_qid_make(&req->s->export->qids, attr);
    st->mode = p9_stat_type(attr->mode) | p9_stat_perm(attr->mode);
    st->atime = stat_time(&attr->atime);
    st->mtime = stat_time(&attr->mtime);
    st->length = S_ISREG(attr->mode) || S_ISLNK(attr->mode) ? attr->size : 0;
    st->name = "";
    st->uid = text->uid;
    st->gid = text->gid;
    st->muid = "";
    st->extension = text->extension;
    st->n_uid = attr->uid;
    st->n_gid = attr->gid;
    st->n_muid = P9_NOUID;
    return stat_extension(req, node, attr, text->extension,
                          sizeof(text->extension));
}
