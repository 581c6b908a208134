/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The parts of the proxy channel's messages that both sides write and read:
 * see proto.h. This file defines
 *
 *     attr     valid[4] mode[4] uid[4] gid[4] dev[8] ino[8] nlink[8] rdev[8]
 *              size[8] blksize[8] blocks[8] atime mtime ctime btime
 *              gen[8] data_version[8]
 *     setattr  valid[4] mode[4] uid[4] gid[4] size[8] atime mtime
 *     statfs   type[8] bsize[8] blocks[8] bfree[8] bavail[8] files[8]
 *              ffree[8] fsid[8] namelen[8]
 *
 * where a time is seconds[8] (two's complement) nanoseconds[8].
 *
 * This file checks only the shape. The operation checks whether a value makes
 * sense (a mode, a number of nanoseconds), and answers with an error: such
 * values come from a guest and must not end the connection.
 */
#include "qemu/osdep.h"
#include "proto.h"
#include <sys/socket.h>

/* A range: three numbers of 32 bits */
#define IDMAP_RANGE_SIZE        12

void proxy_header_get(ProxyHeader *h, const void *buf)
{
    uint8_t copy[PROXY_HEADER_SIZE];
    MarshalReader r;

    memcpy(copy, buf, sizeof(copy));
    marshal_reader_init(&r, copy, sizeof(copy));
    h->size = marshal_get_u32(&r);
    h->type = marshal_get_u16(&r);
    h->nfds = marshal_get_u16(&r);
    h->tag = marshal_get_u32(&r);
}

void proxy_header_put(const ProxyHeader *h, void *buf)
{
    MarshalWriter w;

    marshal_writer_init(&w, buf, PROXY_HEADER_SIZE);
    marshal_put_u32(&w, h->size);
    marshal_put_u16(&w, h->type);
    marshal_put_u16(&w, h->nfds);
    marshal_put_u32(&w, h->tag);
}

const ProxyTypeInfo *proxy_type_info(unsigned type)
{
    static const ProxyTypeInfo info[PROXY_TYPE_END] = {
        [PROXY_HELLO] = { "HELLO", PROXY_TYPE_ONCE },
        [PROXY_FORGET] = { "FORGET", PROXY_TYPE_NO_REPLY },
        [PROXY_WALK] = { "WALK" },
        [PROXY_GETATTR] = { "GETATTR" },
        [PROXY_SETATTR] = { "SETATTR" },
        [PROXY_READLINK] = { "READLINK" },
        [PROXY_STATFS] = { "STATFS" },
        [PROXY_OPEN] = { "OPEN" },
        [PROXY_CREATE] = { "CREATE" },
        [PROXY_MAKE] = { "MAKE" },
        [PROXY_LINK] = { "LINK" },
        [PROXY_RENAME] = { "RENAME" },
        [PROXY_UNLINK] = { "UNLINK" },
        [PROXY_GETXATTR] = { "GETXATTR" },
        [PROXY_SETXATTR] = { "SETXATTR" },
        [PROXY_REMOVEXATTR] = { "REMOVEXATTR" },
        [PROXY_ADOPT] = { "ADOPT", PROXY_TYPE_NO_REPLY, .nfds = 1 },
        [PROXY_RING] = { "RING", PROXY_TYPE_ONCE, .nfds = PROXY_RING_FDS },
        [PROXY_WRITE] = { "WRITE" },
        [PROXY_FIND] = { "FIND" },
        [PROXY_READDIR] = { "READDIR" },
    };

    return type < PROXY_TYPE_END && info[type].name ? &info[type] : NULL;
}

const char *proxy_type_name(unsigned type)
{
    const ProxyTypeInfo *info = proxy_type_info(type);

    return info ? info->name : "unknown";
}

static void put_time(MarshalWriter *w, const struct timespec *t)
{
    marshal_put_u64(w, t->tv_sec);
    marshal_put_u64(w, t->tv_nsec);
}

static void get_time(MarshalReader *r, struct timespec *t)
{
    t->tv_sec = marshal_get_u64(r);
    t->tv_nsec = marshal_get_u64(r);
}

void proxy_put_attr(MarshalWriter *w, const FsAttr *attr)
{
    marshal_put_u32(w, attr->valid);
    marshal_put_u32(w, attr->mode);
    marshal_put_u32(w, attr->uid);
    marshal_put_u32(w, attr->gid);
    marshal_put_u64(w, attr->dev);
    marshal_put_u64(w, attr->ino);
    marshal_put_u64(w, attr->nlink);
    marshal_put_u64(w, attr->rdev);
    marshal_put_u64(w, attr->size);
    marshal_put_u64(w, attr->blksize);
    marshal_put_u64(w, attr->blocks);
    put_time(w, &attr->atime);
    put_time(w, &attr->mtime);
    put_time(w, &attr->ctime);
    put_time(w, &attr->btime);
    marshal_put_u64(w, attr->gen);
    marshal_put_u64(w, attr->data_version);
}

void proxy_get_attr(MarshalReader *r, FsAttr *attr)
{
    attr->valid = marshal_get_u32(r);
    attr->mode = marshal_get_u32(r);
    attr->uid = marshal_get_u32(r);
    attr->gid = marshal_get_u32(r);
    attr->dev = marshal_get_u64(r);
    attr->ino = marshal_get_u64(r);
    attr->nlink = marshal_get_u64(r);
    attr->rdev = marshal_get_u64(r);
    attr->size = marshal_get_u64(r);
    attr->blksize = marshal_get_u64(r);
    attr->blocks = marshal_get_u64(r);
    get_time(r, &attr->atime);
    get_time(r, &attr->mtime);
    get_time(r, &attr->ctime);
    get_time(r, &attr->btime);
    attr->gen = marshal_get_u64(r);
    attr->data_version = marshal_get_u64(r);
}

void proxy_put_setattr(MarshalWriter *w, const FsSetAttr *set)
{
    marshal_put_u32(w, set->valid);
    marshal_put_u32(w, set->mode);
    marshal_put_u32(w, set->uid);
    marshal_put_u32(w, set->gid);
    marshal_put_u64(w, set->size);
    put_time(w, &set->atime);
    put_time(w, &set->mtime);
}

void proxy_get_setattr(MarshalReader *r, FsSetAttr *set)
{
    set->valid = marshal_get_u32(r);
    set->mode = marshal_get_u32(r);
    set->uid = marshal_get_u32(r);
    set->gid = marshal_get_u32(r);
    set->size = marshal_get_u64(r);
    get_time(r, &set->atime);
    get_time(r, &set->mtime);
}

void proxy_put_statfs(MarshalWriter *w, const FsStatfs *st)
{
    marshal_put_u64(w, st->type);
    marshal_put_u64(w, st->bsize);
    marshal_put_u64(w, st->blocks);
    marshal_put_u64(w, st->bfree);
    marshal_put_u64(w, st->bavail);
    marshal_put_u64(w, st->files);
    marshal_put_u64(w, st->ffree);
    marshal_put_u64(w, st->fsid);
    marshal_put_u64(w, st->namelen);
}

void proxy_get_statfs(MarshalReader *r, FsStatfs *st)
{
    st->type = marshal_get_u64(r);
    st->bsize = marshal_get_u64(r);
    st->blocks = marshal_get_u64(r);
    st->bfree = marshal_get_u64(r);
    st->bavail = marshal_get_u64(r);
    st->files = marshal_get_u64(r);
    st->ffree = marshal_get_u64(r);
    st->fsid = marshal_get_u64(r);
    st->namelen = marshal_get_u64(r);
}

void proxy_put_idmap(MarshalWriter *w, const ProxyIdRange *map, unsigned n)
{
    unsigned i;

    if (n > PROXY_IDMAP_MAX) {
        marshal_overflow(w);
        return;
    }
    marshal_put_u16(w, n);
    for (i = 0; i < n; i++) {
        marshal_put_u32(w, map[i].inside);
        marshal_put_u32(w, map[i].outside);
        marshal_put_u32(w, map[i].count);
    }
}

/* Whether @range has ids, all of which fit into 32 bits. */
static bool range_fits(const ProxyIdRange *range)
{
    return range->count > 0 &&
           range->count - 1 <= UINT32_MAX - range->inside &&
           range->count - 1 <= UINT32_MAX - range->outside;
}

ProxyIdRange *proxy_get_idmap(MarshalReader *r, unsigned *n)
{
    g_autofree ProxyIdRange *map = NULL;
    unsigned count = marshal_get_u16(r);
    unsigned i;

    *n = 0;
    if (count > PROXY_IDMAP_MAX ||
        count * IDMAP_RANGE_SIZE > marshal_left(r)) {
        marshal_fail(r);
        return NULL;
    }

    map = g_new(ProxyIdRange, count);
    for (i = 0; i < count; i++) {
        map[i].inside = marshal_get_u32(r);
        map[i].outside = marshal_get_u32(r);
        map[i].count = marshal_get_u32(r);
        if (!range_fits(&map[i])) {
            marshal_fail(r);
            return NULL;
        }
    }
    *n = count;
    return g_steal_pointer(&map);
}

/* Room for the descriptors of one system call */
typedef union FdsControl {
    char buf[CMSG_SPACE(PROXY_MAX_FDS * sizeof(int))];
    struct cmsghdr align;
} FdsControl;

void proxy_pass_fds(int sock, bool pass)
{
#ifdef SO_PASSRIGHTS
    int value = pass;

    /* Nothing depends on success. */
    (void)!setsockopt(sock, SOL_SOCKET, SO_PASSRIGHTS, &value, sizeof(value));
#endif
}

ssize_t proxy_send_fds(int sock, const void *buf, size_t size, const int *fds,
                       unsigned nfds, int flags)
{
    FdsControl control;
    struct iovec iov = { (void *)buf, size };
    struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };
    struct cmsghdr *cmsg;

    if (nfds) {
        msg.msg_control = control.buf;
        msg.msg_controllen = CMSG_SPACE(nfds * sizeof(int));
        cmsg = CMSG_FIRSTHDR(&msg);
        cmsg->cmsg_level = SOL_SOCKET;
        cmsg->cmsg_type = SCM_RIGHTS;
        cmsg->cmsg_len = CMSG_LEN(nfds * sizeof(int));
        memcpy(CMSG_DATA(cmsg), fds, nfds * sizeof(int));
    }
    return sendmsg(sock, &msg, MSG_NOSIGNAL | flags);
}

ssize_t proxy_recv_fds(int sock, void *buf, size_t size, int flags, int *fds,
                       unsigned *nfds, bool *lost)
{
    FdsControl control;
    struct iovec iov = { buf, size };
    struct cmsghdr *cmsg;
    struct msghdr msg;
    ssize_t len;
    size_t bytes;

    *nfds = 0;
    *lost = false;
    do {
        msg = (struct msghdr) {
            .msg_iov = &iov,
            .msg_iovlen = 1,
            .msg_control = control.buf,
            .msg_controllen = sizeof(control.buf),
        };
        len = recvmsg(sock, &msg, MSG_CMSG_CLOEXEC | flags);
    } while (len < 0 && errno == EINTR);
    if (len < 0) {
        return -errno;
    }
    for (cmsg = CMSG_FIRSTHDR(&msg); cmsg; cmsg = CMSG_NXTHDR(&msg, cmsg)) {
        if (cmsg->cmsg_level == SOL_SOCKET && cmsg->cmsg_type == SCM_RIGHTS) {
            bytes = cmsg->cmsg_len - CMSG_LEN(0);
            memcpy(fds + *nfds, CMSG_DATA(cmsg), bytes);
            *nfds += bytes / sizeof(int);
        }
    }
    *lost = msg.msg_flags & MSG_CTRUNC;
    return len;
}
