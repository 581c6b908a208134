/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A client of virtfs-proxy-helper for tests: see proxy-client.h.
 */
#include "qemu/osdep.h"
#include "proxy-client.h"
#include <poll.h>
#include <sys/socket.h>

#define RING_TAG        0x676e6972

ProxyClient *pc_new(int fd, pid_t pid)
{
    struct timeval timeout = { .tv_sec = PC_TIMEOUT };
    ProxyClient *c = g_new0(ProxyClient, 1);

    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout));
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof(timeout));
    c->fd = fd;
    c->pid = pid;
    c->root_fd = -1;
    return c;
}

ProxyClient *pc_start(const char *dir, uid_t uid, const char *const *options)
{
    const char *args[32] = { "-n", "-p", dir, "-f", G_STRINGIFY(PC_SOCK_FD) };
    unsigned n = 5;
    int fds[2];
    pid_t pid;

    while (options && *options) {
        g_assert_cmpint(n, <, G_N_ELEMENTS(args) - 1);
        args[n++] = *options++;
    }
    g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds),
                    ==, 0);
    pid = pc_spawn(args, uid, fds[1], -1);
    close(fds[1]);
    return pc_new(fds[0], pid);
}

static void read_socket(ProxyClient *c, void *buf, size_t size)
{
    union {
        char buf[CMSG_SPACE(PROXY_MAX_FDS * sizeof(int))];
        struct cmsghdr align;
    } control;
    struct cmsghdr *cmsg;
    ssize_t len;

    while (size) {
        struct iovec iov = { buf, size };
        struct msghdr msg = {
            .msg_iov = &iov,
            .msg_iovlen = 1,
            .msg_control = control.buf,
            .msg_controllen = sizeof(control.buf),
        };

        len = recvmsg(c->fd, &msg, MSG_CMSG_CLOEXEC);
        if (len <= 0) {
            g_error("no reply: %s", len ? strerror(errno) : "closed");
        }
        cmsg = CMSG_FIRSTHDR(&msg);
        if (cmsg) {
            unsigned n = (cmsg->cmsg_len - CMSG_LEN(0)) / sizeof(int);

            g_assert_cmpint(msg.msg_flags & MSG_CTRUNC, ==, 0);
            g_assert_cmpint(c->n_early + n, <=, G_N_ELEMENTS(c->early));
            memcpy(c->early + c->n_early, CMSG_DATA(cmsg), n * sizeof(int));
            c->n_early += n;
        }
        buf = (char *)buf + len;
        size -= len;
    }
}

/* Waits for the helper's bell or a change of the socket. */
static void wait_bell(ProxyClient *c)
{
    struct pollfd pfds[] = {
        { .fd = c->rings->bell, .events = POLLIN },
        { .fd = c->fd, .events = POLLIN },
    };
    char rung[64];

    if (poll(pfds, 2, PC_TIMEOUT * 1000) <= 0) {
        g_error("no bell: %s", strerror(errno));
    }
    if (pfds[0].revents & POLLIN) {
        g_assert_cmpint(read(c->rings->bell, rung, sizeof(rung)), >, 0);
    }
}

/* Whether the next reply comes through the ring; waits for one. */
static bool reply_in_ring(ProxyClient *c)
{
    struct pollfd pfd = { .fd = c->fd, .events = POLLIN };

    while (c->rings) {
        if (proxy_ring_pending(&c->rings->replies)) {
            return true;
        } else if (poll(&pfd, 1, 0) > 0) {
            return false;
        }
        if (proxy_ring_sleep(&c->rings->replies)) {
            wait_bell(c);
        }
        proxy_ring_awake(&c->rings->replies);
    }
    return false;
}

static void read_all(ProxyClient *c, bool ring, void *buf, size_t size)
{
    /* The helper puts whole messages into the ring. */
    if (ring) {
        g_assert_cmpint(proxy_ring_read(&c->rings->replies, buf, size), ==,
                        size);
    } else {
        read_socket(c, buf, size);
    }
}

/* If replies leave together, their descriptors come with the first. */
static void take_fds(ProxyClient *c, unsigned n)
{
    g_assert_cmpint(n, <=, PROXY_MESSAGE_FDS);
    g_assert_cmpint(n, <=, c->n_early);
    memcpy(c->fds, c->early, n * sizeof(int));
    c->nfds = n;
    c->n_early -= n;
    memmove(c->early, c->early + n, c->n_early * sizeof(int));
}

int pc_receive(ProxyClient *c, ProxyHeader *h)
{
    bool ring = reply_in_ring(c);
    uint32_t error;

    read_all(c, ring, c->in_buf, PROXY_HEADER_SIZE);
    proxy_header_get(h, c->in_buf);
    g_assert_cmpint(h->size, >=, PROXY_HEADER_SIZE + 4);
    g_assert_cmpint(h->size, <=, PROXY_MAX_MESSAGE);
    g_assert_cmpint(h->type & PROXY_REPLY, !=, 0);
    read_all(c, ring, c->in_buf + PROXY_HEADER_SIZE,
             h->size - PROXY_HEADER_SIZE);
    take_fds(c, h->nfds);

    marshal_reader_init(&c->in, c->in_buf + PROXY_HEADER_SIZE,
                        h->size - PROXY_HEADER_SIZE);
    error = marshal_get_u32(&c->in);
    if (error) {
        g_assert_cmpint(error, <, 4096);
        g_assert_true(marshal_done(&c->in));
        g_assert_cmpint(c->nfds, ==, 0);
    }
    return -(int)error;
}

static bool socket_closed(ProxyClient *c)
{
    struct pollfd pfd = { .fd = c->fd, .events = POLLRDHUP };

    return poll(&pfd, 1, 0) > 0;
}

static bool send_in_ring(ProxyClient *c, const void *buf, size_t size)
{
    ProxyRing *ring = &c->rings->requests;
    ssize_t len;

    while (size && !socket_closed(c)) {
        len = proxy_ring_write(ring, buf, size);
        g_assert_cmpint(len, >=, 0);
        buf = (const char *)buf + len;
        size -= len;
        if (len && proxy_ring_wakes_consumer(ring) &&
            proxy_rings_ring(c->rings) < 0) {
            return false;
        }
        if (size && proxy_ring_wait_room(ring) == 0) {
            wait_bell(c);
        }
    }
    return size == 0;
}

bool pc_send_raw(ProxyClient *c, const void *buf, size_t size)
{
    ssize_t len;

    if (c->rings) {
        return send_in_ring(c, buf, size);
    }

    while (size) {
        len = send(c->fd, buf, size, MSG_NOSIGNAL);
        if (len < 0) {
            g_assert_true(errno == EPIPE || errno == ECONNRESET);
            return false;
        }
        buf = (const char *)buf + len;
        size -= len;
    }
    return true;
}

size_t pc_send_now(ProxyClient *c, const void *buf, size_t size)
{
    ssize_t len;

    if (c->rings) {
        len = proxy_ring_write(&c->rings->requests, buf, size);
        g_assert_cmpint(len, >=, 0);
        if (len && proxy_ring_wakes_consumer(&c->rings->requests)) {
            g_assert_cmpint(proxy_rings_ring(c->rings), ==, 0);
        }
        return len;
    }
    len = send(c->fd, buf, size, MSG_DONTWAIT | MSG_NOSIGNAL);
    g_assert_true(len >= 0 || errno == EAGAIN);
    return MAX(len, 0);
}

void pc_end_requests(ProxyClient *c)
{
    if (c->rings) {
        close(c->rings->their_bell);
        c->rings->their_bell = -1;
    } else {
        g_assert_cmpint(shutdown(c->fd, SHUT_WR), ==, 0);
    }
}

bool pc_has_reply(ProxyClient *c)
{
    struct pollfd pfd = { .fd = c->fd, .events = POLLIN };

    return (c->rings && proxy_ring_pending(&c->rings->replies)) ||
           poll(&pfd, 1, 0) > 0;
}

void pc_hello(ProxyClient *c, uint32_t flags)
{
    uint8_t hello[PROXY_HELLO_SIZE];
    uint32_t head[2] = { PROXY_HELLO_TYPE, PROXY_HELLO_SIZE - 8 };
    unsigned next = 0;
    MarshalWriter w;
    ProxyHeader h;
    PcNode root;

    memcpy(hello, head, sizeof(head));
    marshal_writer_init(&w, hello + 8, 8);
    marshal_put_u32(&w, PROXY_VERSION);
    marshal_put_u32(&w, flags);
    g_assert_true(pc_send_raw(c, hello, sizeof(hello)));

    g_assert_cmpint(pc_receive(c, &h), ==, 0);
    g_assert_cmpint(h.type, ==, PROXY_HELLO | PROXY_REPLY);
    g_assert_cmpint(h.tag, ==, 0);
    g_assert_cmpint(marshal_get_u32(&c->in), ==, PROXY_VERSION);
    c->features = marshal_get_u32(&c->in);
    g_assert_cmpint(marshal_get_u32(&c->in), ==, PROXY_MAX_MESSAGE);
    g_assert_cmpint(marshal_get_u32(&c->in), >, 0);
    c->server_pid = marshal_get_u32(&c->in);
    pc_get_node(c, &root, &next);
    g_assert_cmpint(root.handle, ==, PROXY_ROOT_HANDLE);
    c->root_fd = c->adopt_fd = root.fd;
    proxy_get_attr(&c->in, &c->root_attr);
    c->uid_map = proxy_get_idmap(&c->in, &c->n_uid);
    c->gid_map = proxy_get_idmap(&c->in, &c->n_gid);
    g_assert_true(marshal_done(&c->in));
    g_assert_cmpint(next, ==, c->nfds);
    g_assert_true(c->features & PROXY_FEATURE_RING);
    if (g_getenv("PROXY_CLIENT_RING")) {
        pc_start_ring(c);
    }
}

ProxyRings *pc_make_rings(int fds[PROXY_RING_FDS])
{
    int requests[2], replies[2];
    ProxyRings *rings;

    fds[0] = proxy_ring_make_memory();
    g_assert_cmpint(fds[0], >=, 0);
    g_assert_cmpint(pipe2(requests, O_CLOEXEC), ==, 0);
    g_assert_cmpint(pipe2(replies, O_CLOEXEC), ==, 0);
    g_assert_cmpint(fcntl(requests[1], F_SETFL, O_NONBLOCK), ==, 0);
    g_assert_cmpint(proxy_rings_new(&rings, fds[0], replies[0], requests[1]),
                    ==, 0);
    fds[1] = requests[0];
    fds[2] = replies[1];
    return rings;
}

void pc_send_fds(ProxyClient *c, const void *buf, size_t size, const int *fds,
                 unsigned nfds)
{
    size_t some = c->rings ? 1 : size;

    g_assert_cmpint(proxy_send_fds(c->fd, buf, some, fds, nfds, 0), ==, some);
    if (c->rings) {
        g_assert_true(pc_send_raw(c, buf, size));
    }
}

int pc_ask_ring(ProxyClient *c, const int *fds, unsigned nfds)
{
    ProxyHeader h = {
        .size = PROXY_HEADER_SIZE, .type = PROXY_RING, .nfds = nfds,
        .tag = RING_TAG,
    };
    uint8_t buf[PROXY_HEADER_SIZE];
    int ret;

    proxy_header_put(&h, buf);
    pc_send_fds(c, buf, sizeof(buf), fds, nfds);
    ret = pc_receive(c, &h);
    g_assert_cmpint(h.type, ==, PROXY_RING | PROXY_REPLY);
    g_assert_cmpint(h.tag, ==, RING_TAG);
    g_assert_cmpint(h.nfds, ==, 0);
    g_assert_true(marshal_done(&c->in));
    return ret;
}

void pc_start_ring(ProxyClient *c)
{
    int fds[PROXY_RING_FDS];
    ProxyRings *rings = pc_make_rings(fds);
    unsigned i;

    g_assert_cmpint(pc_ask_ring(c, fds, PROXY_RING_FDS), ==, 0);
    c->rings = rings;
    for (i = 0; i < PROXY_RING_FDS; i++) {
        close(fds[i]);
    }
}

ProxyClient *pc_open(const char *dir, const char *const *options)
{
    ProxyClient *c = pc_start(dir, PC_NOBODY, options);

    pc_hello(c, 0);
    return c;
}

int pc_close(ProxyClient *c)
{
    int status = 0;

    close(c->fd);
    if (c->rings) {
        proxy_rings_free(c->rings);
    }
    if (c->root_fd >= 0) {
        close(c->root_fd);
    }
    if (c->pid) {
        status = pc_wait(c->pid);
    }
    g_free(c->uid_map);
    g_free(c->gid_map);
    g_free(c);
    return status;
}

/* Begins a request without a reply: it names no user. */
static MarshalWriter *begin_mute(ProxyClient *c)
{
    marshal_writer_init(&c->out, c->out_buf + PROXY_HEADER_SIZE,
                        sizeof(c->out_buf) - PROXY_HEADER_SIZE);
    return &c->out;
}

MarshalWriter *pc_begin(ProxyClient *c)
{
    MarshalWriter *w = begin_mute(c);

    if (c->features & PROXY_FEATURE_USERS) {
        marshal_put_u32(w, c->user);
    }
    return w;
}

void pc_put_request(ProxyClient *c, unsigned type, const PcArgs *args)
{
    bool mute = type == PROXY_FORGET || type == PROXY_ADOPT;
    MarshalWriter *w = mute ? begin_mute(c) : pc_begin(c);

    if (type != PROXY_FORGET) {
        marshal_put_u64(w, args->handle);
    }
    switch (type) {
    case PROXY_FORGET:
        marshal_put_u16(w, 1);
        marshal_put_u64(w, args->handle);
        marshal_put_u32(w, 1);
        break;
    case PROXY_WALK:
        marshal_put_u16(w, args->other_name ? 2 : 1);
        marshal_put_str(w, args->name);
        if (args->other_name) {
            marshal_put_str(w, args->other_name);
        }
        break;
    case PROXY_SETATTR:
        proxy_put_setattr(w, args->set);
        break;
    case PROXY_OPEN:
        marshal_put_u32(w, args->flags);
        break;
    case PROXY_CREATE:
        marshal_put_str(w, args->name);
        marshal_put_u32(w, args->flags);
        marshal_put_u32(w, args->mode);
        marshal_put_u32(w, args->id);
        marshal_put_u32(w, args->id);
        break;
    case PROXY_MAKE:
        marshal_put_str(w, args->name);
        marshal_put_u32(w, args->mode);
        marshal_put_u32(w, args->id);
        marshal_put_u32(w, args->id);
        marshal_put_u64(w, 0);
        marshal_put_str(w, args->other_name);
        break;
    case PROXY_LINK:
        marshal_put_u64(w, args->other);
        marshal_put_str(w, args->name);
        break;
    case PROXY_RENAME:
        marshal_put_str(w, args->name);
        marshal_put_u64(w, args->other);
        marshal_put_str(w, args->other_name);
        break;
    case PROXY_UNLINK:
        marshal_put_str(w, args->name);
        marshal_put_u8(w, args->flags);
        marshal_put_u64(w, args->other);
        break;
    case PROXY_GETXATTR:
        marshal_put_u8(w, 0);
        marshal_put_str(w, args->name);
        break;
    case PROXY_SETXATTR:
        marshal_put_str(w, args->name);
        marshal_put_u32(w, args->flags);
        marshal_put_u32(w, 2);
        marshal_put_bytes(w, "ab", 2);
        break;
    case PROXY_REMOVEXATTR:
        marshal_put_str(w, args->name);
        break;
    case PROXY_WRITE:
        marshal_put_u32(w, args->flags);
        marshal_put_u64(w, 0);
        marshal_put_u32(w, 2);
        marshal_put_bytes(w, "ab", 2);
        break;
    case PROXY_READDIR:
        marshal_put_u64(w, args->offset);
        break;
    case PROXY_FIND:
        w = pc_begin(c);        /* it has no node */
        marshal_put_u32(w, 1);
        marshal_put_u32(w, 8);
        marshal_put_bytes(w, "handle 8", 8);
        break;
    }
}

uint32_t pc_send(ProxyClient *c, unsigned type)
{
    ProxyHeader h = {
        .size = PROXY_HEADER_SIZE + marshal_size(&c->out),
        .type = type,
        .tag = ++c->tag,
    };

    g_assert_true(marshal_fits(&c->out));
    if (type == PROXY_ADOPT) {
        h.nfds = 1;
        proxy_header_put(&h, c->out_buf);
        pc_send_fds(c, c->out_buf, h.size, &c->adopt_fd, 1);
    } else {
        proxy_header_put(&h, c->out_buf);
        g_assert_true(pc_send_raw(c, c->out_buf, h.size));
    }
    return h.tag;
}

int pc_call(ProxyClient *c, unsigned type)
{
    uint32_t tag = pc_send(c, type);
    ProxyHeader h;
    int ret = pc_receive(c, &h);

    g_assert_cmpint(h.tag, ==, tag);
    g_assert_cmpint(h.type, ==, type | PROXY_REPLY);
    return ret;
}

void pc_expect_broken(ProxyClient *c)
{
    char byte;
    ssize_t len = recv(c->fd, &byte, 1, 0);

    if (len < 0) {
        g_assert_cmpint(errno, ==, ECONNRESET);
    } else {
        g_assert_cmpint(len, ==, 0);
    }
    g_assert_cmpint(pc_close(c), ==, 1);
}

void pc_get_node(ProxyClient *c, PcNode *node, unsigned *next)
{
    node->handle = marshal_get_u64(&c->in);
    node->fd = -1;
    if (marshal_get_u8(&c->in)) {
        g_assert_cmpint(*next, <, c->nfds);
        node->fd = c->fds[(*next)++];
    }
}

static int finish_walk(ProxyClient *c, unsigned n, PcNode *node, FsAttr *attr)
{
    unsigned walked, i;
    unsigned next = 0;
    PcNode parent;
    int ret;

    ret = pc_call(c, PROXY_WALK);
    if (ret < 0) {
        return ret;
    }
    walked = marshal_get_u16(&c->in);
    g_assert_cmpint(walked, >, 0);
    g_assert_cmpint(walked, <=, n);
    for (i = 0; i < walked; i++) {
        proxy_get_attr(&c->in, attr);
    }
    if (walked == n) {
        pc_get_node(c, node, &next);
        pc_get_node(c, &parent, &next);
        if (parent.handle) {
            pc_forget(c, parent.handle, 1);
        }
        if (parent.fd >= 0) {
            close(parent.fd);
        }
    }
    g_assert_true(marshal_done(&c->in));
    g_assert_cmpint(next, ==, c->nfds);
    return walked == n ? 0 : -ENOENT;
}

int pc_walk(ProxyClient *c, const char *path, PcNode *node, FsAttr *attr)
{
    g_auto(GStrv) names = g_strsplit(path, "/", -1);
    unsigned n = g_strv_length(names);
    MarshalWriter *w = pc_begin(c);
    FsAttr ignored;
    unsigned i;

    marshal_put_u64(w, PROXY_ROOT_HANDLE);
    marshal_put_u16(w, n);
    for (i = 0; i < n; i++) {
        marshal_put_str(w, names[i]);
    }
    return finish_walk(c, n, node, attr ? attr : &ignored);
}

int pc_walk1(ProxyClient *c, uint64_t dir, const char *name, PcNode *node,
             FsAttr *attr)
{
    MarshalWriter *w = pc_begin(c);
    FsAttr ignored;

    marshal_put_u64(w, dir);
    marshal_put_u16(w, 1);
    marshal_put_str(w, name);
    return finish_walk(c, 1, node, attr ? attr : &ignored);
}

void pc_adopt(ProxyClient *c, uint64_t handle, int fd)
{
    PcArgs args = { .handle = handle };

    pc_put_request(c, PROXY_ADOPT, &args);
    c->adopt_fd = fd;
    pc_send(c, PROXY_ADOPT);
}

void pc_forget(ProxyClient *c, uint64_t handle, uint32_t count)
{
    MarshalWriter *w = begin_mute(c);

    marshal_put_u16(w, 1);
    marshal_put_u64(w, handle);
    marshal_put_u32(w, count);
    pc_send(c, PROXY_FORGET);
}
