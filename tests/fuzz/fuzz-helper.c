/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Fuzzer of virtfs-proxy-helper: everything that a hostile QEMU could send, in
 * both protocol versions.
 *
 * serve(), which is all that the helper does once it has a client, runs in this
 * process on one end of a socket pair. A thread sends the messages into the
 * other end and takes the replies. The export is a private folder, and the
 * process sees all other files read-only (fuzz.h). The process has no filter of
 * system calls and has all capabilities, because the filter and missing
 * capabilities would hide the helper's own mistakes.
 *
 * Input: setup[1], then records (fuzz.h), each a request. A record's kind is
 * its type, its id the tag, its body the payload. Unless a flag says otherwise,
 * the fuzzer brings the first handle of a payload into a small range, so that
 * requests are about the same inodes. The export's root travels with ADOPT.
 * With a ring the messages go through the ring, and a record can change the
 * ring's memory instead.
 *
 * Descriptors that come with replies must refer to the export's file system. In
 * version 2 each reply must be well framed and of a known type. No descriptor
 * may be left after a run.
 */
#include "qemu/osdep.h"
#include <poll.h>
#include <sys/socket.h>
#include "qemu/atomic.h"
#include "qemu/bswap.h"
#include "fsdev/helper/log.h"
#include "fsdev/helper/serve.h"
#include "fsdev/helper/unread.h"
#include "fsdev/shared/file-handle.h"
#include "fsdev/shared/proto.h"
#include "fsdev/shared/proto-v1.h"
#include "fsdev/shared/ring.h"
#include "mutate.h"

/* setup */
#define SETUP_V1        0x01
#define SETUP_NO_DONATE 0x02
#define SETUP_READONLY  0x04
#define SETUP_NO_START  0x08    /* no HELLO */
#define SETUP_THREADS   0x10    /* several threads in the helper */
#define SETUP_RING      0x20    /* version 2, with HELLO */

/* flags of a record */
#define AS_IT_IS        0x01    /* the body is the message, header included */
#define ANY_HANDLE      0x02    /* the handle stays as it is */
#define DESCRIPTOR      0x04    /* a descriptor travels along */
#define SPLIT           0x08    /* in two pieces */
#define POKE            0x10    /* place[2] value[4]: sets a word of the ring's
                                   memory, or adds to the word if the highest
                                   bit of the place is set */

#define HANDLES         12
#define MESSAGES_MAX    64
#define MAX_FILES       512
/* How long the helper may neither read nor reply before it counts as hung */
#define PATIENCE_MS     15000

typedef struct Peer {
    int fd;
    FuzzInput in;
    uint8_t setup;
    dev_t dev;                  /* the export's */
    GByteArray *got;
    GByteArray *got_ring;
    ProxyRings *rings;
    bool poked;                 /* a record changed their memory, so the bytes
                                   that come through them may be nonsense */
    bool ended;                 /* the helper closed the connection */
} Peer;

static const char *folder;
static int root = -1;

/*
 * The other end
 */

/* Takes the bytes and descriptors that have come. */
static void take(Peer *p)
{
    uint8_t buf[65536];
    int fds[PROXY_MAX_FDS];
    struct stat st;
    unsigned nfds;
    bool lost;
    ssize_t len = proxy_recv_fds(p->fd, buf, sizeof(buf), MSG_DONTWAIT, fds,
                                 &nfds, &lost);

    for (unsigned i = 0; i < nfds; i++) {
        g_assert_cmpint(fstat(fds[i], &st), ==, 0);
        g_assert_true(st.st_dev == p->dev);
        close(fds[i]);
    }
    if (len > 0) {
        g_byte_array_append(p->got, buf, len);
    } else if (len != -EAGAIN) {
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

    /* Counts that make no sense come from poke(): the read fails on them. */
    while ((len = proxy_ring_read(&p->rings->replies, buf, sizeof(buf))) > 0) {
        g_byte_array_append(p->got_ring, buf, len);
    }
}

/* Sends as much as the ring has room for, and drops the rest. */
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

/* Sends @bytes, with @fd unless it is -1. */
static void send_bytes(Peer *p, const uint8_t *bytes, size_t size, int fd)
{
    ssize_t len;

    if (p->rings && fd < 0) {
        send_in_ring(p, bytes, size);
        return;
    }
    while (size && !p->ended) {
        len = proxy_send_fds(p->fd, bytes, size, &fd, fd >= 0, MSG_DONTWAIT);
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

/* A FIND of a file of the folder, with room for the header; or NULL */
static uint8_t *find_request(uint32_t id, uint32_t *size)
{
    static const char *const names[] = { "f", "d", "l", "." };
    g_autofree char *path = g_build_filename(
        folder, names[id % G_N_ELEMENTS(names)], NULL);
    int fd = open(path, O_PATH | O_NOFOLLOW | O_CLOEXEC);
    g_autofree struct file_handle *fh = NULL;
    uint8_t *bytes;

    if (fd >= 0) {
        fh = file_handle_get(fd, FILE_HANDLE_ANY_MOUNT);
        close(fd);
    }
    if (!fh) {
        return NULL;
    }
    *size = PROXY_HEADER_SIZE + 8 + fh->handle_bytes;
    bytes = g_malloc(*size);
    stl_le_p(bytes + PROXY_HEADER_SIZE, fh->handle_type);
    stl_le_p(bytes + PROXY_HEADER_SIZE + 4, fh->handle_bytes);
    memcpy(bytes + PROXY_HEADER_SIZE + 8, fh->f_handle, fh->handle_bytes);
    return bytes;
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
    g_autofree uint8_t *found = NULL;
    size_t head = 0, first;

    h.nfds = adopt;

    if (!(p->setup & SETUP_V1) && h.type == PROXY_FIND &&
        !(rec->flags & (AS_IT_IS | ANY_HANDLE))) {
        found = find_request(rec->id, &h.size);
        if (found) {
            proxy_header_put(&h, found);
            send_bytes(p, found, h.size, -1);
            return;
        }
    }
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
        h.type != PROXY_FORGET && h.type != PROXY_FIND &&
        !(rec->flags & ANY_HANDLE)) {
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
    uint8_t bytes[PROXY_HEADER_SIZE];
    int there[2], back[2], fds[PROXY_RING_FDS];
    ProxyRings *rings;
    guint replies;

    while (!p->ended && p->got->len == 0) {
        wait_for(p, POLLIN);    /* for HELLO's reply, which comes whole */
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
    if (proxy_send_fds(p->fd, bytes, sizeof(bytes), fds, PROXY_RING_FDS, 0) !=
        sizeof(bytes)) {
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

/*
 * Checks the framing of version 2's replies. The last reply may be cut, where
 * the connection was closed.
 */
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
 * What the mutator knows
 */

/* The fields of requests, from PROXY_FORGET and PROXY_V1_OPEN on */
static const char *const fields2[] = {
    "2h4", "hw", "h", "h4444884848", "h", "h", "h4", "hs4444", "hs4448s",
    "hhs", "hshs", "hs1h", "h1x", "hx4d", "hx", "h", "", "h48d",
    "4d", "h8",
};
static const char *const fields1[] = {
    "s4", "s4444", "44s48", "44s4", "44ss", "ss", "s", "s4", "s", "s4",
    "s44", "s8", "s8888", "ss", "s", "4ss", "4s", "sss44", "ss", "s",
};

G_STATIC_ASSERT(G_N_ELEMENTS(fields2) == PROXY_TYPE_END - PROXY_FORGET);
G_STATIC_ASSERT(G_N_ELEMENTS(fields1) == PROXY_V1_TYPE_END - PROXY_V1_OPEN);

static const char *record_fields(uint8_t setup, const FuzzRecord *rec)
{
    if (rec->flags & POKE) {
        return "24";
    }
    if (setup & SETUP_V1) {
        return rec->flags & AS_IT_IS
               ? "44D" : fields1[rec->kind % G_N_ELEMENTS(fields1)];
    }
    return rec->flags & AS_IT_IS
           ? "4224D" : fields2[rec->kind % G_N_ELEMENTS(fields2)];
}

const FuzzGrammar *fuzz_grammar(uint8_t setup)
{
    static const char *const words[] = {
        "f", "f", "d", "l", "p", "g", "e", "o", "n", "..", ".", "", "a/b", "/",
        "/f", "/d/g", "/d/n", "/o/passwd", "user.a", "virtfs-protocol-2",
        "system.posix_acl_access", "security.capability",
    };
    static const uint8_t blocks[][FUZZ_BLOCK_MAX] = {
        { PROXY_WALK - PROXY_FORGET, FUZZ_BLOCK_ANY, FUZZ_BLOCK_END },
        { PROXY_WALK - PROXY_FORGET, FUZZ_BLOCK_ANY, 0, FUZZ_BLOCK_ANY,
          FUZZ_BLOCK_END },
    };
    static const FuzzGrammar grammar = {
        .kinds = 256,
        .maker = PROXY_WALK - PROXY_FORGET,
        .fields = record_fields,
        .words = words,
        .n_words = G_N_ELEMENTS(words),
        .n_names = 5,
        .blocks = blocks,
        .n_blocks = G_N_ELEMENTS(blocks),
        .as_it_is = AS_IT_IS,
    };

    return &grammar;
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
        .own_mount = true,      /* the folder is a mount of this process */
        .max_files = MAX_FILES,
        .pid = 1,
        .ids = &ids,
    };
    FileHandles file_handles;
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
    if (file_handles_probe(&file_handles, root) == 0) {
        config.file_handles = &file_handles;
    }
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
    if (config.file_handles) {
        file_handles_close(&file_handles);
    }
    close(root);
    /* What the client left unread has gone with its end. */
    g_assert_cmpuint(unread_left(), ==, 0);
    fuzz_check_fds();
    return 0;
}
