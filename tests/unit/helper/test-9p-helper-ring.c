/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Tests of virtfs-proxy-helper with requests in shared memory: how both sides
 * agree on it, which memory and bells the helper refuses, which way replies
 * take, and a client that does its worst with the memory and the bells. (Tests
 * of the requests themselves: test-9p-helper and others, with
 * PROXY_CLIENT_RING.)
 */
#include "qemu/osdep.h"
#include "proxy-fixture.h"
#include "proxy-proc.h"
#include "qemu/atomic.h"
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <sys/xattr.h>

#define SEALS           (F_SEAL_SHRINK | F_SEAL_GROW)
#define SIZE            sizeof(ProxyRingMemory)

static void close_all(const int *fds, unsigned n)
{
    while (n) {
        close(fds[--n]);
    }
}

/* Sends a request of @type for the root, and receives its reply. */
static int call_root(ProxyClient *c, unsigned type)
{
    marshal_put_u64(pc_begin(c), PROXY_ROOT_HANDLE);
    return pc_call(c, type);
}

static void expect_alive(ProxyClient *c)
{
    FsAttr attr;

    g_assert_cmpint(call_root(c, PROXY_GETATTR), ==, 0);
    proxy_get_attr(&c->in, &attr);
    g_assert_cmpint(attr.ino, ==, c->root_attr.ino);
}

/*
 * Agreeing
 */

/* Replies come through the ring, except those with descriptors. */
static void test_ways(ProxyFixture *f, gconstpointer opaque)
{
    ProxyClient *c = pc_open(f->dir, NULL);
    uint32_t sent;

    pc_start_ring(c);
    sent = qatomic_read(&c->rings->mem->socket);
    expect_alive(c);
    g_assert_cmpuint(c->rings->replies.at, >, PROXY_HEADER_SIZE);
    g_assert_cmpuint(qatomic_read(&c->rings->mem->socket), ==, sent);

    marshal_put_u64(pc_begin(c), PROXY_ROOT_HANDLE);
    marshal_put_u32(&c->out, O_RDONLY | O_DIRECTORY);
    g_assert_cmpint(pc_call(c, PROXY_OPEN), ==, 0);
    g_assert_cmpuint(c->nfds, ==, 1);
    close(c->fds[0]);
    expect_alive(c);
    g_assert_cmpuint(qatomic_read(&c->rings->mem->socket), !=, sent);
    g_assert_cmpint(pc_close(c), ==, 0);
}

typedef enum Bad {
    UNSEALED,
    MAY_GROW,
    MAY_SHRINK,
    SMALL,
    LARGE,
    READ_ONLY,
    NOT_TO_WRITE,
    MEMORY_PIPE,
    MEMORY_FILE,
    BELL_MEMORY,
    BELL_SOCKET,
    BELL_EVENT,
    BELL_DIRECTORY,
    BELL_TO_WRITE,
    THEIRS_TO_READ,
    THEIRS_FILE,
    BELL_FIFO,
    BELLS_OF_ONE_PIPE,
    BAD_END
} Bad;

static int memory(size_t size, int seals)
{
    int fd = memfd_create("test", MFD_CLOEXEC | MFD_ALLOW_SEALING);

    g_assert_cmpint(fd, >=, 0);
    g_assert_cmpint(ftruncate(fd, size), ==, 0);
    g_assert_cmpint(fcntl(fd, F_ADD_SEALS, seals), ==, 0);
    return fd;
}

static int open_file(const ProxyFixture *f, const char *name, int flags)
{
    g_autofree char *path = g_build_filename(f->dir, name, NULL);

    return open(path, flags | O_CLOEXEC);
}

static int read_only(int fd)
{
    g_autofree char *path = g_strdup_printf("/proc/self/fd/%d", fd);
    int again = open(path, O_RDONLY | O_CLOEXEC);

    close(fd);
    return again;
}

static int unix_socket(void)
{
    return socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
}

/* A named pipe: its file system may be one that the client serves. */
static int open_fifo(const ProxyFixture *f)
{
    g_autofree char *path = g_build_filename(f->dir, "fifo", NULL);
    int fd;

    unlink(path);
    g_assert_cmpint(mkfifo(path, 0600), ==, 0);
    fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    unlink(path);
    return fd;
}

/* Puts something else in place of one of the descriptors. */
static void spoil(const ProxyFixture *f, int fds[PROXY_RING_FDS], Bad bad)
{
    unsigned i = bad < BELL_MEMORY ? 0 : bad < THEIRS_TO_READ ? 1 : 2;
    int fd = -1;
    int ends[2];

    switch (bad) {
    case UNSEALED:
        fd = memory(SIZE, 0);
        break;
    case MAY_GROW:
        fd = memory(SIZE, F_SEAL_SHRINK | F_SEAL_SEAL);
        break;
    case MAY_SHRINK:
        fd = memory(SIZE, F_SEAL_GROW);
        break;
    case SMALL:
        fd = memory(SIZE - 4096, SEALS);
        break;
    case LARGE:
        fd = memory(SIZE + 1, SEALS);
        break;
    case READ_ONLY:
        fd = read_only(memory(SIZE, SEALS));
        break;
    case NOT_TO_WRITE:
        fd = memory(SIZE, SEALS | F_SEAL_WRITE);
        break;
    case MEMORY_PIPE:
        fd = dup(fds[1]);
        break;
    case MEMORY_FILE:
        fd = open_file(f, "file", O_RDWR);
        g_assert_cmpint(ftruncate(fd, SIZE), ==, 0);
        break;
    case BELL_MEMORY:
        fd = memory(SIZE, SEALS);
        break;
    case BELL_SOCKET:
        fd = unix_socket();
        break;
    case BELL_EVENT:
        fd = eventfd(0, EFD_CLOEXEC);
        break;
    case BELL_DIRECTORY:
        fd = open_file(f, "dir", O_PATH);
        break;
    case BELL_TO_WRITE:
    case THEIRS_TO_READ:
        g_assert_cmpint(pipe2(ends, O_CLOEXEC), ==, 0);
        fd = ends[bad == BELL_TO_WRITE];
        close(ends[bad != BELL_TO_WRITE]);
        break;
    case THEIRS_FILE:
        fd = open_file(f, "file", O_WRONLY);
        break;
    case BELL_FIFO:
        i = 1;
        fd = open_fifo(f);
        break;
    case BELLS_OF_ONE_PIPE:
        i = 2;
        g_assert_cmpint(pipe2(ends, O_CLOEXEC), ==, 0);
        fd = ends[1];
        close(fds[1]);
        fds[1] = ends[0];
        break;
    case BAD_END:
        g_assert_not_reached();
    }
    g_assert_cmpint(fd, >=, 0);
    close(fds[i]);
    fds[i] = fd;
}

/* Only root may look. */
static unsigned open_files(const ProxyClient *c)
{
    return geteuid() == 0 ? pp_open_files(c->server_pid) : 0;
}

static void send_ring(ProxyClient *c, const int *fds)
{
    ProxyHeader h = {
        .size = PROXY_HEADER_SIZE, .type = PROXY_RING, .nfds = PROXY_RING_FDS,
    };
    uint8_t buf[PROXY_HEADER_SIZE];

    proxy_header_put(&h, buf);
    pc_send_fds(c, buf, sizeof(buf), fds, PROXY_RING_FDS);
}

/*
 * Memory that the helper may not map for writing: an error; the socket goes on
 * as before, and the helper keeps none of the descriptors. Wrong descriptors:
 * the end of the connection.
 */
static void test_refused(ProxyFixture *f, gconstpointer opaque)
{
    Bad bad;

    for (bad = 0; bad < BAD_END; bad++) {
        ProxyClient *c = pc_open(f->dir, NULL);
        int fds[PROXY_RING_FDS];
        ProxyRings *rings = pc_make_rings(fds);
        unsigned before = open_files(c);

        g_test_message("kind %d", bad);
        spoil(f, fds, bad);
        if (bad == READ_ONLY || bad == NOT_TO_WRITE) {
            g_assert_cmpint(pc_ask_ring(c, fds, PROXY_RING_FDS), ==,
                            bad == READ_ONLY ? -EACCES : -EPERM);
            expect_alive(c);
            g_assert_cmpuint(open_files(c), ==, before);
            /* There is no second try. */
            pc_begin(c);
            pc_send(c, PROXY_RING);
        } else {
            send_ring(c, fds);
        }
        pc_expect_broken(c);
        close_all(fds, PROXY_RING_FDS);
        proxy_rings_free(rings);
    }
}

/* @n descriptors, of which the message says @nfds, and @extra bytes with it */
static void ring_breaks(ProxyFixture *f, unsigned n, unsigned nfds,
                        uint32_t size, unsigned extra)
{
    ProxyClient *c = pc_open(f->dir, NULL);
    int fds[PROXY_RING_FDS + 1];
    ProxyRings *rings = pc_make_rings(fds);
    ProxyHeader h = { .size = size, .type = PROXY_RING, .nfds = nfds };
    uint8_t buf[64] = { };

    fds[PROXY_RING_FDS] = dup(fds[0]);
    proxy_header_put(&h, buf);
    pc_send_fds(c, buf, PROXY_HEADER_SIZE + extra, fds, n);
    pc_expect_broken(c);
    close_all(fds, PROXY_RING_FDS + 1);
    proxy_rings_free(rings);
}

static void test_malformed(ProxyFixture *f, gconstpointer opaque)
{
    const uint32_t size = PROXY_HEADER_SIZE;

    ring_breaks(f, 0, 3, size, 0);
    ring_breaks(f, 2, 3, size, 0);
    ring_breaks(f, 3, 2, size, 0);
    ring_breaks(f, 3, 0, size, 0);
    ring_breaks(f, 4, 3, size, 0);
    ring_breaks(f, 4, 4, size, 0);
    ring_breaks(f, 3, 0xffff, size, 0);
    ring_breaks(f, 3, 3, size + 4, 4);
    ring_breaks(f, 3, 3, size - 1, 0);
    ring_breaks(f, 3, 3, 0, 0);
    ring_breaks(f, 3, 3, UINT32_MAX, 0);
    /* The client sends a request before the answer is there. */
    ring_breaks(f, 3, 3, size, 1);
    ring_breaks(f, 3, 3, size, 20);
}

/* RING not as the first request: in the socket, and in an existing ring */
static void test_late(ProxyFixture *f, gconstpointer opaque)
{
    ProxyClient *c = pc_open(f->dir, NULL);

    expect_alive(c);
    pc_begin(c);
    pc_send(c, PROXY_RING);
    pc_expect_broken(c);

    c = pc_open(f->dir, NULL);
    pc_start_ring(c);
    expect_alive(c);
    pc_begin(c);
    pc_send(c, PROXY_RING);
    pc_expect_broken(c);
}

/*
 * Attacks through the memory
 */

static ProxyClient *open_ring(ProxyFixture *f)
{
    ProxyClient *c = pc_open(f->dir, NULL);

    pc_start_ring(c);
    return c;
}

/* Impossible counts, before the first message and after some */
static void test_counts(ProxyFixture *f, gconstpointer opaque)
{
    static const uint32_t off[] = {
        PROXY_RING_SIZE + 1, 2 * PROXY_RING_SIZE, 0x7fffffff, 0x80000000,
        UINT32_MAX,
    };
    unsigned i, calls;

    for (i = 0; i < G_N_ELEMENTS(off); i++) {
        for (calls = 0; calls < 2; calls++) {
            ProxyClient *c = open_ring(f);

            if (calls) {
                expect_alive(c);
            }
            qatomic_set(&c->rings->mem->requests.head,
                        c->rings->requests.at + off[i]);
            g_assert_cmpint(proxy_rings_ring(c->rings), ==, 0);
            pc_expect_broken(c);

            /* More replies taken than there were, or impossibly few */
            c = open_ring(f);
            if (calls) {
                expect_alive(c);
            }
            qatomic_set(&c->rings->mem->replies.tail,
                        c->rings->replies.at - off[i]);
            marshal_put_u64(pc_begin(c), PROXY_ROOT_HANDLE);
            pc_send(c, PROXY_GETATTR);
            pc_expect_broken(c);
        }
    }
}

/* The client changes the helper's own counts and flags: no effect. */
static void test_own_counts(ProxyFixture *f, gconstpointer opaque)
{
    ProxyClient *c = open_ring(f);
    unsigned i;

    for (i = 0; i < 1000; i++) {
        ProxyRingMemory *mem = c->rings->mem;

        qatomic_set(&mem->replies.full, i & 1);
        qatomic_set(&mem->requests.full, i & 2);
        expect_alive(c);
        qatomic_set(&mem->replies.asleep, UINT32_MAX);
        qatomic_set(&mem->socket, i * 12345);
    }
    /* A tail that the client wrote loses no request, either. */
    qatomic_set(&c->rings->mem->requests.tail, c->rings->requests.at);
    expect_alive(c);
    g_assert_cmpint(pc_close(c), ==, 0);
}

/* Random bytes and counts in the memory: the helper ends, without a crash. */
static void test_noise(ProxyFixture *f, gconstpointer opaque)
{
    unsigned round, i;

    for (round = 0; round < 60; round++) {
        ProxyClient *c = open_ring(f);
        uint32_t *words = (uint32_t *)c->rings->mem;
        int status;

        for (i = 1024; i < SIZE / 4; i++) {
            words[i] = g_test_rand_int();
        }
        if (round % 3 == 0) {
            ProxyHeader h = {
                .size = g_test_rand_int_range(PROXY_HEADER_SIZE, 4096),
                .type = g_test_rand_int_range(PROXY_FORGET, PROXY_TYPE_END),
            };

            proxy_header_put(&h, c->rings->mem->requests_data);
        }
        if (round % 3 == 1) {
            for (i = 0; i < 160; i++) {
                qatomic_set(&words[i], g_test_rand_int());
            }
        } else {
            qatomic_set(&c->rings->mem->requests.head,
                        g_test_rand_int_range(1, PROXY_RING_SIZE));
        }
        for (i = 0; i < 10; i++) {
            proxy_rings_ring(c->rings);
        }
        status = pc_close(c);
        g_assert_cmpint(status, >=, 0);
        g_assert_cmpint(status, <=, 1);
    }
}

/* Messages change while the helper takes them out. */
static void test_scribble(ProxyFixture *f, gconstpointer opaque)
{
    uint8_t msg[PROXY_HEADER_SIZE + 8];
    ProxyHeader h = { .size = sizeof(msg), .type = PROXY_GETATTR };
    unsigned round, i;

    for (round = 0; round < 10; round++) {
        ProxyClient *c = open_ring(f);
        ProxyRingMemory *mem = c->rings->mem;
        int status;

        proxy_header_put(&h, msg);
        for (i = 0; i + sizeof(msg) <= PROXY_RING_SIZE; i += sizeof(msg)) {
            memcpy(mem->requests_data + i, msg, sizeof(msg));
        }
        for (i = 0; i < 200000; i++) {
            if (i % 500 == 0) {
                qatomic_set(&mem->requests.head, i / 500 * sizeof(msg));
                proxy_rings_ring(c->rings);
            }
            qatomic_set(&mem->requests_data[i * 7 % PROXY_RING_SIZE],
                        round ? i : 0);
        }
        status = pc_close(c);
        g_assert_cmpint(status, >=, 0);
        g_assert_cmpint(status, <=, 1);
    }
}

/*
 * Attacks through the bells
 */

/* A bell without a reason: the helper looks, and waits again. */
static void test_flood(ProxyFixture *f, gconstpointer opaque)
{
    ProxyClient *c = open_ring(f);
    unsigned i;

    for (i = 0; i < 200000; i++) {
        g_assert_cmpint(proxy_rings_ring(c->rings), ==, 0);
    }
    expect_alive(c);
    g_assert_cmpint(pc_close(c), ==, 0);
}

/* The helper sleeps soon. A slow machine may need a while for what was rung. */
static void expect_rest(ProxyClient *c)
{
    bool rests = false;
    unsigned i;

    for (i = 0; i < 30 && !rests; i++) {
        g_autofree char *before = NULL;
        g_autofree char *after = NULL;

        before = pp_status(c->server_pid, "voluntary_ctxt_switches");
        g_usleep(300000);
        after = pp_status(c->server_pid, "voluntary_ctxt_switches");
        rests = g_str_equal(before, after);
    }
    g_assert_true(rests);
}

/*
 * A non-blocking bell, which the client can make it, or one that the client
 * takes back itself: no endless loop, and the helper hears the next one.
 */
static void test_bell_not_waiting(ProxyFixture *f, gconstpointer opaque)
{
    ProxyClient *c = pc_open(f->dir, NULL);
    int fds[PROXY_RING_FDS];
    ProxyRings *rings = pc_make_rings(fds);
    char rung[64];
    unsigned i;

    g_assert_cmpint(pc_ask_ring(c, fds, PROXY_RING_FDS), ==, 0);
    c->rings = rings;
    expect_alive(c);
    g_assert_cmpint(fcntl(fds[1], F_SETFL, O_NONBLOCK), ==, 0);
    for (i = 0; i < 2000; i++) {
        proxy_rings_ring(c->rings);
        (void)!read(fds[1], rung, sizeof(rung));
    }
    expect_alive(c);
    expect_rest(c);
    close_all(fds, PROXY_RING_FDS);
    g_assert_cmpint(pc_close(c), ==, 0);
}

/* The client never takes the helper's bell back: the helper goes on. */
static void test_bell_not_taken(ProxyFixture *f, gconstpointer opaque)
{
    ProxyClient *c = open_ring(f);
    unsigned i;

    for (i = 0; i < 20000; i++) {
        ProxyRing *replies = &c->rings->replies;
        gint64 end = g_get_monotonic_time() + PC_TIMEOUT * G_USEC_PER_SEC;
        uint8_t reply[512];

        qatomic_set(&c->rings->mem->replies.asleep, 1);
        marshal_put_u64(pc_begin(c), PROXY_ROOT_HANDLE);
        pc_send(c, PROXY_GETATTR);
        while (proxy_ring_read(replies, reply, sizeof(reply)) == 0) {
            g_assert_cmpint(g_get_monotonic_time(), <, end);
            sched_yield();
        }
    }
    g_assert_cmpint(pc_close(c), ==, 0);
}

/* The client's end of the bell is gone, and nothing else. */
static void test_bell_closed(ProxyFixture *f, gconstpointer opaque)
{
    ProxyClient *c = open_ring(f);
    char byte;

    expect_alive(c);
    close(c->rings->their_bell);
    g_assert_cmpint(recv(c->fd, &byte, 1, 0), ==, 0);
    c->rings->their_bell = -1;
    g_assert_cmpint(pc_close(c), ==, 0);

    /* With half a message on its way */
    c = open_ring(f);
    expect_alive(c);
    g_assert_cmpint(proxy_ring_write(&c->rings->requests, "abc", 3), ==, 3);
    g_assert_cmpint(pc_close(c), ==, 1);
}

/*
 * Large amounts
 */

/* Replies that the client reads late fill the ring, then the socket. */
static void test_not_read(ProxyFixture *f, gconstpointer opaque)
{
    enum { REQUESTS = 1500 };
    ProxyClient *c = open_ring(f);
    g_autofree bool *seen = g_new0(bool, REQUESTS);
    uint32_t first = c->tag + 1;
    gint64 end = g_get_monotonic_time() + PC_TIMEOUT * G_USEC_PER_SEC;
    uint32_t sent = qatomic_read(&c->rings->mem->socket);
    ProxyHeader h;
    unsigned i;

    for (i = 0; i < REQUESTS; i++) {
        marshal_put_u64(pc_begin(c), PROXY_ROOT_HANDLE);
        pc_send(c, PROXY_GETATTR);
    }
    while (qatomic_read(&c->rings->mem->socket) == sent) {
        g_assert_cmpint(g_get_monotonic_time(), <, end);
        g_usleep(1000);
    }
    for (i = 0; i < REQUESTS; i++) {
        g_assert_cmpint(pc_receive(c, &h), ==, 0);
        g_assert_cmpuint(h.tag - first, <, REQUESTS);
        g_assert_false(seen[h.tag - first]);
        seen[h.tag - first] = true;
    }
    expect_alive(c);
    g_assert_cmpint(pc_close(c), ==, 0);
}

/* Messages that are larger than the ring */
static void test_large(ProxyFixture *f, gconstpointer opaque)
{
    g_autofree uint8_t *value = g_malloc(FS_XATTR_MAX);
    g_autofree char *path = g_build_filename(f->dir, "file", NULL);
    ProxyClient *c;
    MarshalWriter *w;
    PcNode node;
    size_t size = FS_XATTR_MAX, i;

    for (i = 0; i < size; i++) {
        value[i] = i * 31 >> 2;
    }
    /* What the file system takes: ext4 has less room than tmpfs. */
    while (setxattr(path, "user.probe", value, size, 0) < 0) {
        if (errno == EOPNOTSUPP || size < 1024) {
            g_test_skip("no user xattrs on this file system");
            return;
        }
        size /= 2;
    }
    removexattr(path, "user.probe");

    c = open_ring(f);
    g_assert_cmpint(pc_walk(c, "file", &node, NULL), ==, 0);
    for (i = 0; i < 20; i++) {
        w = pc_begin(c);
        marshal_put_u64(w, node.handle);
        marshal_put_str(w, "user.large");
        marshal_put_u32(w, 0);
        marshal_put_u32(w, size);
        marshal_put_bytes(w, value, size);
        g_assert_cmpint(pc_call(c, PROXY_SETXATTR), ==, 0);
        w = pc_begin(c);
        marshal_put_u64(w, node.handle);
        marshal_put_u8(w, 0);
        marshal_put_str(w, "user.large");
        g_assert_cmpint(pc_call(c, PROXY_GETXATTR), ==, 0);
        g_assert_cmpuint(marshal_get_u32(&c->in), ==, size);
        g_assert_cmpint(memcmp(marshal_get_bytes(&c->in, size), value, size),
                        ==, 0);
    }
    /* A request of the greatest size, with a bad content */
    w = pc_begin(c);
    marshal_put_u64(w, node.handle);
    marshal_put_str(w, "user.large");
    marshal_put_u32(w, 0);
    marshal_put_u32(w, w->end - w->pos - 4);
    marshal_reserve(w, w->end - w->pos);
    g_assert_cmpint(pc_call(c, PROXY_SETXATTR), <, 0);
    expect_alive(c);
    close(node.fd);
    g_assert_cmpint(pc_close(c), ==, 0);
}

/* Idle: no processor time, and little memory */
static void test_idle(ProxyFixture *f, gconstpointer opaque)
{
    ProxyClient *c = open_ring(f);

    expect_alive(c);
    expect_rest(c);
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
    if (geteuid() == 0) {
        g_assert_cmpuint(pp_private_kib(c->server_pid), <, 4096);
    }
#endif
    g_assert_cmpint(pc_close(c), ==, 0);
}

int main(int argc, char **argv)
{
    pf_init(&argc, &argv, "/9p-helper-ring");

    pf_add_made("ways", NULL, test_ways);
    pf_add_made("refused", NULL, test_refused);
    pf_add_made("malformed", NULL, test_malformed);
    pf_add_made("late", NULL, test_late);
    pf_add_made("counts", NULL, test_counts);
    pf_add_made("own-counts", NULL, test_own_counts);
    pf_add_made("noise", NULL, test_noise);
    pf_add_made("scribble", NULL, test_scribble);
    pf_add_made("flood", NULL, test_flood);
    pf_add_made("bell-not-waiting", NULL, test_bell_not_waiting);
    pf_add_made("bell-not-taken", NULL, test_bell_not_taken);
    pf_add_made("bell-closed", NULL, test_bell_closed);
    pf_add_made("not-read", NULL, test_not_read);
    pf_add_made("large", NULL, test_large);
    pf_add_made("idle", NULL, test_idle);
    return g_test_run();
}
