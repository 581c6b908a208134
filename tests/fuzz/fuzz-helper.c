/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Fuzzer of virtfs-proxy-helper: what a hostile QEMU could send it, in both
 * protocol versions.
 *
 * serve(), which is all that the helper does once it has a client, runs in
 * this process on one end of a socket pair; a thread sends the messages into
 * the other end and takes the replies. The export is a private folder, the
 * process sees all else read-only (fuzz.h), and it has no filter of system
 * calls and has all capabilities: what is looked for is the helper's own
 * mistakes, which those would hide.
 *
 * Input: setup[1], then records (fuzz.h), each a request. A record's kind is
 * its type, its id the tag, its body the payload. Most of the time the first
 * handle of a payload is brought into a small range, so that requests meet.
 * ADOPT has the export's root with it.
 *
 * Descriptors that come with replies must lie in the export's file system. In
 * version 2 each reply must be framed well, and answer a request. No
 * descriptor may be left after a run.
 */
#include "qemu/osdep.h"
#include <poll.h>
#include <sys/socket.h>
#include "qemu/bswap.h"
#include "fsdev/helper/log.h"
#include "fsdev/helper/serve.h"
#include "fsdev/proxy-proto1.h"
#include "fuzz.h"

/* setup */
#define SETUP_V1        0x01
#define SETUP_NO_DONATE 0x02
#define SETUP_READONLY  0x04
#define SETUP_NO_START  0x08    /* no HELLO, or first request of version 1 */
#define SETUP_THREADS   0x10    /* several */

/* flags of a record */
#define AS_IT_IS        0x01    /* the body is the message, header included */
#define ANY_HANDLE      0x02
#define DESCRIPTOR      0x04    /* comes along */
#define SPLIT           0x08    /* in two pieces */

#define HANDLES         12
#define MESSAGES_MAX    64
#define MAX_FILES       512
/* What a helper that answers nothing gets before it counts as hung */
#define PATIENCE_MS     15000

typedef struct Peer {
    int fd;
    FuzzInput in;
    uint8_t setup;
    dev_t dev;                  /* the export's */
    GByteArray *got;
    bool ended;                 /* by the helper */
} Peer;

static const char *folder;
static int root = -1;

/*
 * The other end
 */

static void check_fds(const Peer *p, struct msghdr *msg)
{
    struct cmsghdr *cmsg;
    struct stat st;
    unsigned n;
    int fd;

    for (cmsg = CMSG_FIRSTHDR(msg); cmsg; cmsg = CMSG_NXTHDR(msg, cmsg)) {
        n = (cmsg->cmsg_len - CMSG_LEN(0)) / sizeof(fd);
        for (unsigned i = 0; i < n; i++) {
            memcpy(&fd, CMSG_DATA(cmsg) + i * sizeof(fd), sizeof(fd));
            g_assert_cmpint(fstat(fd, &st), ==, 0);
            g_assert_true(st.st_dev == p->dev);
            close(fd);
        }
    }
}

/* Takes what there is. */
static void take(Peer *p)
{
    union {
        char buf[CMSG_SPACE(PROXY_MAX_FDS * sizeof(int))];
        struct cmsghdr align;
    } control;
    uint8_t buf[65536];
    struct iovec iov = { buf, sizeof(buf) };
    struct msghdr msg = {
        .msg_iov = &iov,
        .msg_iovlen = 1,
        .msg_control = control.buf,
        .msg_controllen = sizeof(control.buf),
    };
    ssize_t len = recvmsg(p->fd, &msg, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);

    if (len > 0) {
        check_fds(p, &msg);
        g_byte_array_append(p->got, buf, len);
    } else if (len == 0 || errno != EAGAIN) {
        p->ended = true;
    }
}

static void wait_for(Peer *p, short events)
{
    struct pollfd pfd = { .fd = p->fd, .events = events };

    if (poll(&pfd, 1, PATIENCE_MS) == 0) {
        fprintf(stderr, "fuzz: the helper neither reads nor ends\n");
        abort();
    }
    if (pfd.revents & (POLLIN | POLLHUP | POLLERR)) {
        take(p);
    }
}

static void send_bytes(Peer *p, const uint8_t *bytes, size_t size, int fd)
{
    union {
        char buf[CMSG_SPACE(sizeof(fd))];
        struct cmsghdr align;
    } control = { };
    struct iovec iov;
    struct msghdr msg;
    struct cmsghdr *cmsg;
    ssize_t len;

    while (size && !p->ended) {
        iov = (struct iovec) { (void *)bytes, size };
        msg = (struct msghdr) { .msg_iov = &iov, .msg_iovlen = 1 };
        if (fd >= 0) {
            msg.msg_control = control.buf;
            msg.msg_controllen = sizeof(control.buf);
            cmsg = CMSG_FIRSTHDR(&msg);
            cmsg->cmsg_level = SOL_SOCKET;
            cmsg->cmsg_type = SCM_RIGHTS;
            cmsg->cmsg_len = CMSG_LEN(sizeof(fd));
            memcpy(CMSG_DATA(cmsg), &fd, sizeof(fd));
        }
        len = sendmsg(p->fd, &msg, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (len >= 0) {
            bytes += len;
            size -= len;
            fd = -1;
        } else if (errno == EAGAIN) {
            wait_for(p, POLLIN | POLLOUT);
        } else {
            p->ended = true;
        }
    }
}

static void send_record(Peer *p, const FuzzRecord *rec)
{
    uint32_t head1[2] = { PROXY1_OPEN + rec->kind %
                          (PROXY1_TYPE_END - PROXY1_OPEN), rec->size };
    ProxyHeader h = {
        .size = PROXY_HEADER_SIZE + rec->size,
        .type = PROXY_FORGET + rec->kind % (PROXY_TYPE_END - PROXY_FORGET),
        .tag = rec->id,
    };
    bool adopt = !(p->setup & SETUP_V1) && h.type == PROXY_ADOPT;
    g_autofree uint8_t *bytes = g_malloc(PROXY_HEADER_SIZE + rec->size);
    size_t head = 0, first;

    h.nfds = adopt;

    if (!(rec->flags & AS_IT_IS)) {
        if (p->setup & SETUP_V1) {
            head = sizeof(head1);
            memcpy(bytes, head1, head);
        } else {
            head = PROXY_HEADER_SIZE;
            proxy_header_put(&h, bytes);
        }
    }
    memcpy(bytes + head, rec->body, rec->size);
    if (!(p->setup & SETUP_V1) && head && rec->size >= 8 &&
        h.type != PROXY_FORGET && !(rec->flags & ANY_HANDLE)) {
        uint64_t handle = ldq_le_p(bytes + head);

        stq_le_p(bytes + head, handle % HANDLES |
                 (adopt ? PROXY_ADOPTED : handle & PROXY_ADOPTED));
    }
    first = rec->flags & SPLIT ? (head + rec->size) / 2 : 0;
    send_bytes(p, bytes, first, -1);
    send_bytes(p, bytes + first, head + rec->size - first,
               adopt || (rec->flags & DESCRIPTOR) ? root : -1);
}

static void send_hello(Peer *p)
{
    uint32_t head[2] = { PROXY_HELLO_TYPE, PROXY_HELLO_SIZE - sizeof(head) };
    uint8_t hello[PROXY_HELLO_SIZE];

    memcpy(hello, head, sizeof(head));
    stl_le_p(hello + 8, PROXY_VERSION);
    stl_le_p(hello + 12, p->setup & SETUP_NO_DONATE ? PROXY_HELLO_NO_DONATE
                                                    : 0);
    send_bytes(p, hello, sizeof(hello), -1);
}

static gpointer peer_thread(gpointer opaque)
{
    Peer *p = opaque;
    unsigned n = 0;
    FuzzRecord rec;

    if (!(p->setup & (SETUP_NO_START | SETUP_V1))) {
        send_hello(p);
    }
    while (n++ < MESSAGES_MAX && fuzz_record(&p->in, &rec)) {
        send_record(p, &rec);
        take(p);
    }
    shutdown(p->fd, SHUT_WR);
    while (!p->ended) {
        wait_for(p, POLLIN);
    }
    return NULL;
}

/* Of version 2; the last reply may be cut where the connection was closed. */
static void check_replies(const Peer *p)
{
    const uint8_t *at = p->got->data;
    size_t left = p->got->len;
    ProxyHeader h;

    while (left >= PROXY_HEADER_SIZE) {
        proxy_header_get(&h, at);
        g_assert_cmpuint(h.size, >=, PROXY_HEADER_SIZE + 4);
        g_assert_cmpuint(h.size, <=, PROXY_MAX_MESSAGE);
        g_assert_true(h.type & PROXY_REPLY);
        g_assert_cmpuint(h.type & ~PROXY_REPLY, <, PROXY_TYPE_END);
        g_assert_cmpuint(h.nfds, <=, PROXY_MESSAGE_FDS);
        if (h.size > left) {
            break;
        }
        at += h.size;
        left -= h.size;
    }
}

/*
 * The helper
 */

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    folder = fuzz_folder();
    log_set_level("error");
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const IdMaps ids;
    Peer p = { .in = { data, size } };
    ServeConfig config = {
        .fd_prefix = "/proc/self/fd/",
        .own_mount = true,      /* as far as this process goes */
        .max_files = MAX_FILES,
        .pid = 1,
        .ids = &ids,
    };
    GThread *thread;
    struct stat st;
    int fds[2];

    p.setup = fuzz_u8(&p.in);
    fuzz_populate();
    root = open(folder, O_PATH | O_DIRECTORY | O_CLOEXEC);
    g_assert_cmpint(fstat(root, &st), ==, 0);
    p.dev = st.st_dev;
    p.got = g_byte_array_new();
    config.root = root;
    config.readonly = p.setup & SETUP_READONLY;
    config.threads = p.setup & SETUP_THREADS ? 4 : 1;

    g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds),
                    ==, 0);
    p.fd = fds[0];
    thread = g_thread_new("peer", peer_thread, &p);
    serve(fds[1], &config);
    g_thread_join(thread);
    if (!(p.setup & (SETUP_V1 | SETUP_NO_START))) {
        check_replies(&p);
    }
    g_byte_array_unref(p.got);
    close(p.fd);
    close(root);
    fuzz_check_fds();
    return 0;
}
