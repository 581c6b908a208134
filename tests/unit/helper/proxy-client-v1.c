/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A client of virtfs-proxy-helper for tests, version 1: see proxy-client-v1.h.
 */
#include "qemu/osdep.h"
#include "proxy-client-v1.h"
#include <sys/socket.h>

MarshalWriter *p1_begin(ProxyClientV1 *p)
{
    marshal_writer_init(&p->w, p->out + PROXY_V1_HEADER_SIZE,
                        PROXY_V1_MAX_PAYLOAD);
    return &p->w;
}

void p1_put_request(ProxyClientV1 *p, uint32_t type, const P1Args *args)
{
    MarshalWriter *w = p1_begin(p);

    switch (type) {
    case PROXY_V1_MKNOD:
    case PROXY_V1_MKDIR:
    case PROXY_V1_SYMLINK:
        marshal_put_u32(w, args->id);
        marshal_put_u32(w, args->id);
        break;
    case PROXY_V1_LGETXATTR:
    case PROXY_V1_LLISTXATTR:
        marshal_put_u32(w, args->size);
        break;
    }
    if (type == PROXY_V1_SYMLINK) {
        marshal_put_str(w, args->other);
    }
    marshal_put_str(w, args->path);
    switch (type) {
    case PROXY_V1_OPEN:
        marshal_put_u32(w, args->flags);
        break;
    case PROXY_V1_CREATE:
        marshal_put_u32(w, args->flags);
        marshal_put_u32(w, args->mode);
        marshal_put_u32(w, args->id);
        marshal_put_u32(w, args->id);
        break;
    case PROXY_V1_MKNOD:
        marshal_put_u32(w, args->mode);
        marshal_put_u64(w, 0);
        break;
    case PROXY_V1_MKDIR:
    case PROXY_V1_CHMOD:
        marshal_put_u32(w, args->mode);
        break;
    case PROXY_V1_CHOWN:
        marshal_put_u32(w, args->id);
        marshal_put_u32(w, args->id);
        break;
    case PROXY_V1_READLINK:
        marshal_put_u32(w, args->size);
        break;
    case PROXY_V1_TRUNCATE:
        marshal_put_u64(w, args->size);
        break;
    case PROXY_V1_UTIME:
        /* Both to the second 1 */
        marshal_put_u64(w, 1);
        marshal_put_u64(w, 0);
        marshal_put_u64(w, 1);
        marshal_put_u64(w, 0);
        break;
    case PROXY_V1_LINK:
    case PROXY_V1_RENAME:
    case PROXY_V1_LGETXATTR:
    case PROXY_V1_LREMOVEXATTR:
        marshal_put_str(w, args->other);
        break;
    case PROXY_V1_LSETXATTR:
        marshal_put_str(w, args->other);
        marshal_put_strn(w, "ab", 2);
        marshal_put_u32(w, 2);
        marshal_put_u32(w, args->flags);
        break;
    }
}

void p1_send(ProxyClientV1 *p, uint32_t type)
{
    uint32_t head[2] = { type, marshal_size(&p->w) };

    g_assert_true(marshal_fits(&p->w));
    memcpy(p->out, head, sizeof(head));
    g_assert_true(pc_send_raw(p->c, p->out, sizeof(head) + head[1]));
}

static void receive(ProxyClientV1 *p, void *buf, size_t size)
{
    g_assert_cmpint(recv(p->c->fd, buf, size, MSG_WAITALL), ==, size);
}

int p1_answer(ProxyClientV1 *p)
{
    uint32_t head[2];
    int32_t value = 0;

    receive(p, head, sizeof(head));
    g_assert_cmpuint(head[0], <=, PROXY_V1_ERROR);
    g_assert_cmpuint(head[1], <=, sizeof(p->in));
    receive(p, p->in, head[1]);
    marshal_reader_init(&p->r, p->in, head[1]);
    if (head[1] == sizeof(value)) {
        memcpy(&value, p->in, sizeof(value));
    }
    if (head[0] == PROXY_V1_ERROR) {
        g_assert_cmpint(value, <, 0);
    }
    return value;
}

int p1_answer_fd(ProxyClientV1 *p)
{
    union {
        char buf[CMSG_SPACE(sizeof(int))];
        struct cmsghdr align;
    } control;
    int32_t value;
    struct iovec iov = { &value, sizeof(value) };
    struct msghdr msg = {
        .msg_iov = &iov, .msg_iovlen = 1,
        .msg_control = control.buf, .msg_controllen = sizeof(control.buf),
    };
    struct cmsghdr *cmsg;
    int fd;

    g_assert_cmpint(recvmsg(p->c->fd, &msg, MSG_CMSG_CLOEXEC), ==,
                    sizeof(value));
    cmsg = CMSG_FIRSTHDR(&msg);
    if (value < 0) {
        g_assert_null(cmsg);
        return value;
    }
    g_assert_cmpint(value, ==, PROXY_V1_FD_COMES);
    g_assert_nonnull(cmsg);
    memcpy(&fd, CMSG_DATA(cmsg), sizeof(fd));
    return fd;
}

int p1_call(ProxyClientV1 *p, uint32_t type)
{
    p1_send(p, type);
    return type == PROXY_V1_OPEN || type == PROXY_V1_CREATE ? p1_answer_fd(p)
                                                        : p1_answer(p);
}
