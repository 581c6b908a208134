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
 * ADOPT has the export's root with it. With a ring the messages go through it,
 * and records can change its memory instead.
 *
 * Descriptors that come with replies must lie in the export's file system. In
 * version 2 each reply must be framed well, and answer a request. No
 * descriptor may be left after a run.
 */
#include "qemu/osdep.h"
#include <poll.h>
#include <sys/socket.h>
#include "qemu/atomic.h"
#include "qemu/bswap.h"
#include "fsdev/helper/log.h"
#include "fsdev/helper/serve.h"
#include "fsdev/shared/proto-v1.h"
#include "fsdev/shared/ring.h"
#include "fuzz.h"

/* setup */
#define SETUP_V1        0x01
#define SETUP_NO_DONATE 0x02
#define SETUP_READONLY  0x04
#define SETUP_NO_START  0x08    /* no HELLO, or first request of version 1 */
#define SETUP_THREADS   0x10    /* several */
#define SETUP_RING      0x20    /* version 2, with HELLO */

/* flags of a record */
#define AS_IT_IS        0x01    /* the body is the message, header included */
#define ANY_HANDLE      0x02
#define DESCRIPTOR      0x04    /* comes along */
#define SPLIT           0x08    /* in two pieces */
#define POKE            0x10    /* place[2] value[4]: a word of the ring's, set,
                                   or with the place's highest bit added to */

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
    GByteArray *got_ring;
    ProxyRings *rings;
    bool poked;                 /* what comes through them may be nonsense */
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

static void take_ring(Peer *p)
{
    uint8_t buf[4096];
    ssize_t len;

    /* Impossible counts are of our own making */
    while ((len = proxy_ring_read(&p->rings->replies, buf, sizeof(buf))) > 0) {
        g_byte_array_append(p->got_ring, buf, len);
    }
}

/* As much as there is room for: the rest of it gets lost. */
static void send_in_ring(Peer *p, const uint8_t *bytes, size_t size)
{
    proxy_ring_write(&p->rings->requests, bytes, size);
    proxy_ring_wakes_consumer(&p->rings->requests);
    proxy_rings_ring(p->rings);
    take_ring(p);
}

static void poke(Peer *p, const FuzzRecord *rec)
{
    uint32_t *words = (uint32_t *)p->rings->mem;
    size_t place, value;

    if (rec->size >= 6) {
        p->poked = true;
        place = lduw_le_p(rec->body);
        value = ldl_le_p(rec->body + 2);
        if (place & 0x8000) {
            value += qatomic_read(&words[place % 160]);
        }
        qatomic_set(&words[place % 160], value);
        proxy_rings_ring(p->rings);
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

    if (p->rings && fd < 0) {
        send_in_ring(p, bytes, size);
        return;
    }
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
    uint32_t head1[2] = { PROXY_V1_OPEN + rec->kind %
                          (PROXY_V1_TYPE_END - PROXY_V1_OPEN), rec->size };
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
    if (p->rings && (adopt || (rec->flags & DESCRIPTOR))) {
        send_bytes(p, bytes, 1, root);
        send_in_ring(p, bytes, head + rec->size);
        return;
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

/* Sends RING, and waits for its reply. */
static void start_ring(Peer *p)
{
    ProxyHeader h = {
        .size = PROXY_HEADER_SIZE, .type = PROXY_RING, .nfds = PROXY_RING_FDS,
    };
    union {
        char buf[CMSG_SPACE(PROXY_RING_FDS * sizeof(int))];
        struct cmsghdr align;
    } control = { };
    uint8_t bytes[PROXY_HEADER_SIZE];
    struct iovec iov = { bytes, sizeof(bytes) };
    struct msghdr msg = {
        .msg_iov = &iov,
        .msg_iovlen = 1,
        .msg_control = control.buf,
        .msg_controllen = sizeof(control.buf),
    };
    struct cmsghdr *cmsg = CMSG_FIRSTHDR(&msg);
    int there[2], back[2], fds[PROXY_RING_FDS];
    ProxyRings *rings;
    guint replies;

    while (!p->ended && p->got->len == 0) {
        wait_for(p, POLLIN);    /* HELLO's, which comes whole */
    }
    replies = p->got->len;
    g_assert_cmpint(pipe2(there, O_CLOEXEC), ==, 0);
    g_assert_cmpint(pipe2(back, O_CLOEXEC), ==, 0);
    fds[0] = proxy_ring_make_memory();
    fds[1] = there[0];
    fds[2] = back[1];
    g_assert_cmpint(fcntl(there[1], F_SETFL, O_NONBLOCK), ==, 0);
    g_assert_cmpint(proxy_rings_new(&rings, fds[0], back[0], there[1]), ==, 0);
    proxy_header_put(&h, bytes);
    cmsg->cmsg_level = SOL_SOCKET;
    cmsg->cmsg_type = SCM_RIGHTS;
    cmsg->cmsg_len = CMSG_LEN(sizeof(fds));
    memcpy(CMSG_DATA(cmsg), fds, sizeof(fds));
    if (sendmsg(p->fd, &msg, MSG_NOSIGNAL) != sizeof(bytes)) {
        p->ended = true;
    }
    for (unsigned i = 0; i < PROXY_RING_FDS; i++) {
        close(fds[i]);
    }
    while (!p->ended && p->got->len == replies) {
        wait_for(p, POLLIN);
    }
    p->rings = rings;
}

static gpointer peer_thread(gpointer opaque)
{
    Peer *p = opaque;
    unsigned n = 0;
    FuzzRecord rec;

    if (!(p->setup & (SETUP_NO_START | SETUP_V1))) {
        send_hello(p);
        if (p->setup & SETUP_RING) {
            start_ring(p);
        }
    }
    while (n++ < MESSAGES_MAX && fuzz_record(&p->in, &rec)) {
        if (p->rings && (rec.flags & POKE)) {
            poke(p, &rec);
        } else {
            send_record(p, &rec);
        }
        take(p);
    }
    shutdown(p->fd, SHUT_WR);
    if (p->rings) {
        close(p->rings->their_bell);
        p->rings->their_bell = -1;
    }
    while (!p->ended) {
        wait_for(p, POLLIN);
    }
    if (p->rings) {
        take_ring(p);
        proxy_rings_free(p->rings);
    }
    return NULL;
}

/* Of version 2; the last reply may be cut where the connection was closed. */
static void check_replies(const GByteArray *got)
{
    const uint8_t *at = got->data;
    size_t left = got->len;
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
    signal(SIGPIPE, SIG_IGN);
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
    p.got_ring = g_byte_array_new();
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
        check_replies(p.got);
        if (!p.poked) {
            check_replies(p.got_ring);
        }
    }
    g_byte_array_unref(p.got);
    g_byte_array_unref(p.got_ring);
    close(p.fd);
    close(root);
    fuzz_check_fds();
    return 0;
}
