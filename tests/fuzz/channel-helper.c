/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * fuzz-channel: the hostile helper. It answers requests with honest replies,
 * with changed ones, or with the bytes of the input.
 */
#include "qemu/osdep.h"
#include <sys/socket.h>
#include "qemu/bswap.h"
#include "fsdev/shared/hostfs.h"
#include "fsdev/shared/proto.h"
#include "fsdev/shared/proto-v1.h"
#include "channel.h"

/* How many descriptors MORE_FDS adds at most */
#define MORE_FDS_MAX    4
#define MESSAGE_MAX     65536

static const char *folder;

void helper_set_folder(const char *path)
{
    folder = path;
}

typedef struct Answer {
    MarshalWriter w;
    uint8_t buf[MESSAGE_MAX];
    int fds[PROXY_MESSAGE_FDS + MORE_FDS_MAX];
    unsigned nfds;
} Answer;

static int open_name(const char *name, int flags)
{
    g_autofree char *path = g_build_filename(folder, name, NULL);

    return open(path, flags | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
}

static void add_fd(Answer *a, int fd)
{
    if (fd >= 0) {
        a->fds[a->nfds++] = fd;
    }
}

static void put_attr(Answer *a, const char *name)
{
    int fd = open_name(name, O_PATH);
    FsAttr attr = { };

    if (fd >= 0) {
        hostfs_getattr(fd, &attr);
        close(fd);
    }
    proxy_put_attr(&a->w, &attr);
}

static void put_node(Answer *a, uint64_t handle, const char *name)
{
    marshal_put_u64(&a->w, handle);
    marshal_put_u8(&a->w, 1);
    add_fd(a, open_name(name, O_PATH));
}

/*
 * Puts the payload of an honest reply of version 2 to a request of @type.
 * @walked is how many names a WALK has.
 */
static void put_reply(Answer *a, unsigned type, unsigned id, unsigned walked)
{
    const char *name = record_name(id);
    uint64_t handle = 2 + id % NODES;
    FsStatfs statfs = { .bsize = 4096, .namelen = 255 };

    marshal_put_u32(&a->w, 0);
    switch (type) {
    case PROXY_WALK:
        marshal_put_u16(&a->w, walked);
        if (walked > 1) {
            put_attr(a, "d");
        }
        put_attr(a, name);
        put_node(a, handle, name);
        if (walked > 1) {
            put_node(a, 20, "d");
        } else {
            marshal_put_u64(&a->w, 0);
            marshal_put_u8(&a->w, 0);
        }
        break;
    case PROXY_GETATTR:
    case PROXY_MAKE:
        put_attr(a, name);
        break;
    case PROXY_READLINK:
        marshal_put_str(&a->w, "target");
        break;
    case PROXY_STATFS:
        proxy_put_statfs(&a->w, &statfs);
        break;
    case PROXY_OPEN:
        add_fd(a, open_name(name, O_RDWR));
        if (!a->nfds) {
            add_fd(a, open_name(name, O_RDONLY));
        }
        break;
    case PROXY_FIND:
        put_attr(a, name);
        put_node(a, handle, name);
        break;
    case PROXY_CREATE:
        put_attr(a, name);
        put_node(a, handle, name);
        add_fd(a, open_name(name, O_RDWR));
        break;
    case PROXY_READDIR:
        marshal_put_u64(&a->w, 2);
        marshal_put_u64(&a->w, id);
        marshal_put_u8(&a->w, DT_REG);
        marshal_put_str(&a->w, name);
        break;
    case PROXY_GETXATTR:
        marshal_put_u32(&a->w, 4);
        marshal_put_bytes(&a->w, "abc", 4);
        break;
    }
}

/* Integers of version 1 are in host byte order. */
static void put64(Answer *a, uint64_t v)
{
    marshal_put_bytes(&a->w, &v, sizeof(v));
}

static void put32(Answer *a, uint32_t v)
{
    marshal_put_bytes(&a->w, &v, sizeof(v));
}

/* Puts the payload of an honest reply of version 1 to a request of @type. */
static void put_reply_v1(Answer *a, unsigned type, const char *name)
{
    g_autofree char *path = g_build_filename(folder, name, NULL);
    struct stat st = { };

    switch (type) {
    case PROXY_V1_LSTAT:
        lstat(path, &st);
        put64(a, st.st_dev);
        put64(a, st.st_ino);
        put64(a, st.st_nlink);
        put32(a, st.st_mode);
        put32(a, st.st_uid);
        put32(a, st.st_gid);
        put64(a, st.st_rdev);
        put64(a, st.st_size);
        put64(a, st.st_blksize);
        put64(a, st.st_blocks);
        for (unsigned i = 0; i < 6; i++) {
            put64(a, i);
        }
        break;
    case PROXY_V1_STATFS:
        for (unsigned i = 0; i < 11; i++) {
            put64(a, 255);
        }
        break;
    case PROXY_V1_READLINK:
        marshal_put_str(&a->w, "target");
        break;
    case PROXY_V1_LGETXATTR:
    case PROXY_V1_LLISTXATTR:
        marshal_put_strn(&a->w, "abc", 4);
        break;
    case PROXY_V1_GETVERSION:
        put64(a, 7);
        break;
    default:
        put32(a, 0);
    }
}

/* Changes the message as @body says: at[2] value[1] for each byte. */
static void change(Answer *a, const uint8_t *body, size_t size)
{
    size_t at;

    for (; size >= 3; body += 3, size -= 3) {
        at = lduw_le_p(body);
        if (at < marshal_size(&a->w)) {
            a->buf[at] = body[2];
        }
    }
}

static void send_answer(ChannelRun *run, const Answer *a)
{
    /* A full socket takes a part or nothing: that is an answer, too. */
    proxy_send_fds(run->peer, a->buf, marshal_size(&a->w), a->fds, a->nfds,
                   MSG_DONTWAIT);
}

static void close_fds(Answer *a)
{
    while (a->nfds) {
        close(a->fds[--a->nfds]);
    }
}

/* Adds descriptors to the honest ones, or removes one. */
static void change_fds(Answer *a, const FuzzRecord *rec)
{
    unsigned more = rec->flags & MORE_FDS ? 1 + (rec->id >> 2) % MORE_FDS_MAX
                                          : 0;

    while (more--) {
        add_fd(a, rec->id & 1 ? open_name("f", O_RDWR)
                              : socket(AF_UNIX, SOCK_STREAM, 0));
    }
    if (rec->flags & LESS_FDS && a->nfds) {
        close(a->fds[--a->nfds]);
    }
}

static void finish_answer(ChannelRun *run, Answer *a, const FuzzRecord *rec)
{
    send_answer(run, a);
    if (rec->flags & TWICE) {
        send_answer(run, a);
    }
    close_fds(a);
}

void helper_take_requests(ChannelRun *run)
{
    uint8_t buf[4096];
    ssize_t len;

    while ((len = recv(run->peer, buf, sizeof(buf), MSG_DONTWAIT)) > 0) {
        g_byte_array_append(run->asked, buf, len);
    }
}

static void send_record(ChannelRun *run, const FuzzRecord *rec, unsigned type,
                        uint32_t tag, unsigned walked)
{
    g_autofree Answer *a = g_new0(Answer, 1);
    ProxyHeader h = { .type = type | PROXY_REPLY, .tag = tag };
    uint32_t head1[2] = { PROXY_V1_SUCCESS };
    size_t start = run->v1 ? sizeof(head1) : PROXY_HEADER_SIZE;
    bool descriptor = run->v1 && (type == PROXY_V1_OPEN ||
                                  type == PROXY_V1_CREATE);

    marshal_writer_init(&a->w, a->buf, sizeof(a->buf));
    if (rec->flags & AS_IT_IS) {
        marshal_put_bytes(&a->w, rec->body, rec->size);
        change_fds(a, rec);
        finish_answer(run, a, rec);
        return;
    }
    if (descriptor) {
        start = 0;
        put32(a, PROXY_V1_FD_COMES);
        add_fd(a, open_name(record_name(rec->id), O_RDWR));
    } else {
        marshal_reserve(&a->w, start);
        if (!(rec->flags & CHANGES)) {
            marshal_put_bytes(&a->w, rec->body, rec->size);
        } else if (run->v1) {
            put_reply_v1(a, type, record_name(rec->id));
        } else {
            put_reply(a, type, rec->id, walked);
        }
    }
    change_fds(a, rec);
    if (run->v1 && !descriptor) {
        head1[1] = marshal_size(&a->w) - start;
        memcpy(a->buf, head1, sizeof(head1));
    } else if (!run->v1) {
        h.size = marshal_size(&a->w);
        h.nfds = a->nfds;
        proxy_header_put(&h, a->buf);
    }
    if (rec->flags & CHANGES) {
        change(a, rec->body, rec->size);
    }
    finish_answer(run, a, rec);
}

void helper_answer(ChannelRun *run, const FuzzRecord *rec)
{
    uint32_t head1[2];
    ProxyHeader h;
    unsigned walked = 1;
    const uint8_t *at;

    if (rec->flags & AS_IT_IS) {
        send_record(run, rec, 0, 0, 0);
        return;
    }
    for (;;) {
        at = run->asked->data;
        if (run->asked->len < PROXY_HEADER_SIZE) {
            return;
        }
        if (run->v1) {
            memcpy(head1, at, sizeof(head1));
            h.type = head1[0];
            h.size = sizeof(head1) + head1[1];
            h.tag = 0;
        } else {
            proxy_header_get(&h, at);
        }
        g_assert_cmpuint(h.size, <=, run->asked->len);
        if (!run->v1 && h.type == PROXY_WALK) {
            walked = lduw_le_p(at + PROXY_HEADER_SIZE + 8);
        }
        g_byte_array_remove_range(run->asked, 0, h.size);
        if (run->v1 || h.type != PROXY_FORGET) {
            send_record(run, rec, h.type, h.tag, walked);
            return;
        }
    }
}

void helper_send_start(ChannelRun *run, const FuzzRecord *rec)
{
    g_autofree Answer *a = g_new0(Answer, 1);
    uint32_t head1[2] = { PROXY_V1_SUCCESS };
    ProxyHeader h = { .type = PROXY_HELLO | PROXY_REPLY, .nfds = 1 };

    marshal_writer_init(&a->w, a->buf, sizeof(a->buf));
    if (rec && !(rec->flags & CHANGES)) {
        marshal_put_bytes(&a->w, rec->body, rec->size);
    } else if (run->v1) {
        marshal_reserve(&a->w, sizeof(head1));
        put_reply_v1(a, PROXY_V1_LSTAT, "");
        head1[1] = marshal_size(&a->w) - sizeof(head1);
        memcpy(a->buf, head1, sizeof(head1));
    } else {
        marshal_reserve(&a->w, PROXY_HEADER_SIZE);
        marshal_put_u32(&a->w, 0);
        marshal_put_u32(&a->w, PROXY_VERSION);
        marshal_put_u32(&a->w, PROXY_FEATURE_FIND);
        marshal_put_u32(&a->w, PROXY_MAX_MESSAGE);
        marshal_put_u32(&a->w, 4);
        marshal_put_u32(&a->w, 1);
        put_node(a, PROXY_ROOT_HANDLE, "");
        put_attr(a, "");
        proxy_put_idmap(&a->w, &(ProxyIdRange) { 0, 100000, 65536 }, 1);
        proxy_put_idmap(&a->w, NULL, 0);
        h.size = marshal_size(&a->w);
        proxy_header_put(&h, a->buf);
    }
    if (rec) {
        change_fds(a, rec);
        if (rec->flags & CHANGES) {
            change(a, rec->body, rec->size);
        }
    }
    send_answer(run, a);
    close_fds(a);
    if (rec) {
        shutdown(run->peer, SHUT_WR);
    }
}
