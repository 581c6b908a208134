/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Tests of what a client of virtfs-proxy-helper --persist can leave behind when
 * it goes: the helper serves the next client at once, whatever it is. Many bad
 * clients of a kind come one after the other, each followed by a good one.
 *
 * Most kinds send descriptors along that do not belong there, in one of several
 * places: the client's own end of the connection, which does not end as long as
 * the helper keeps it; a TCP socket whose close(2) waits (SO_LINGER); many at
 * once. Since Linux 6.16 the kernel refuses most of them. Clients that connect
 * before the helper runs escape that.
 */
#include "qemu/osdep.h"
#include "proxy-fixture.h"
#include "proxy-proc.h"
#include "../shared/hung-fuse.h"
#ifdef CONFIG_VIRTFS_PROXY_V1
#include "proxy-client-v1.h"
#endif
#include <netinet/in.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>

/* Bad clients of each kind in a row, and how long a good one may wait */
#define ROUNDS          64
#define PATIENCE_US     G_USEC_PER_SEC

/* More than the sessions that a helper may have at once */
#define HUNG_ROUNDS     200
/* What one file system may hold: a third of 52 threads */
#define HUNG_MAX        17

#define LINGER_S        20
#define HANDLES         2000
#define LEASES          8

static char *socket_path;
static struct sockaddr_in tcp;  /* where a process takes TCP connections */
static pid_t tcp_server;

static int must_connect(void)
{
    gint64 end = g_get_monotonic_time() + PC_TIMEOUT * G_USEC_PER_SEC;
    int fd;

    while ((fd = pc_connect(socket_path)) < 0) {
        g_assert_cmpint(g_get_monotonic_time(), <, end);
        g_usleep(1000);
    }
    return fd;
}

/* A client that did not start the helper */
static ProxyClient *connect_client(void)
{
    return pc_new(must_connect(), 0);
}

static ProxyClient *greet(void)
{
    ProxyClient *c = connect_client();

    pc_hello(c, 0);
    return c;
}

/*
 * What travels along
 */

/* Starts a process that accepts TCP connections and reads nothing. */
static void start_tcp_server(void)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    socklen_t len = sizeof(tcp);

    tcp.sin_family = AF_INET;
    tcp.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    g_assert_cmpint(bind(fd, (struct sockaddr *)&tcp, len), ==, 0);
    g_assert_cmpint(listen(fd, ROUNDS), ==, 0);
    getsockname(fd, (struct sockaddr *)&tcp, &len);
    tcp_server = fork();
    if (tcp_server == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        while (accept(fd, NULL, NULL) >= 0) {
            /* and keep it */
        }
        _exit(1);
    }
    close(fd);
}

static void stop_tcp_server(void)
{
    kill(tcp_server, SIGKILL);
    waitpid(tcp_server, NULL, 0);
}

/* A TCP socket with more unsent data than its peer takes: close(2) waits. */
static int linger_socket(void)
{
    struct linger linger = { .l_onoff = 1, .l_linger = LINGER_S };
    g_autofree char *data = g_malloc0(65536);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    g_assert_cmpint(connect(fd, (struct sockaddr *)&tcp, sizeof(tcp)), ==, 0);
    while (send(fd, data, 65536, MSG_DONTWAIT | MSG_NOSIGNAL) > 0) {
        /* more */
    }
    g_assert_cmpint(setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger,
                               sizeof(linger)), ==, 0);
    return fd;
}

typedef enum What { OWN_END, LINGER, MANY, OUTSIDE, WHAT_END } What;

static const char *const what_names[WHAT_END] = {
    "own-end", "linger", "many", "outside",
};

/* Makes the descriptors; returns their number. */
static unsigned make_fds(What what, const ProxyClient *c,
                         int fds[PROXY_MAX_FDS])
{
    unsigned i;

    switch (what) {
    case OWN_END:
        fds[0] = dup(c->fd);
        return 1;
    case LINGER:
        fds[0] = linger_socket();
        return 1;
    case MANY:
        for (i = 0; i < PROXY_MAX_FDS; i++) {
            fds[i] = open("/dev/null", O_RDONLY | O_CLOEXEC);
        }
        return PROXY_MAX_FDS;
    case OUTSIDE:
        fds[0] = open("/", O_PATH | O_CLOEXEC);
        return 1;
    case WHAT_END:
        break;
    }
    g_assert_not_reached();
}

/*
 * Sends bytes with descriptors, which the kernel may refuse. They stay open
 * until the process ends, because close(2) might wait here, too.
 */
static void send_along(ProxyClient *c, const void *buf, size_t size,
                       const int *fds, unsigned nfds)
{
    if (proxy_send_fds(c->fd, buf, size, fds, nfds, 0) < 0) {
        g_assert_true(errno == EPERM || errno == EPIPE ||
                      errno == ECONNRESET || errno == ETOOMANYREFS);
    }
}

/*
 * The places where descriptors come
 */

typedef struct Place {
    const char *name;
    void (*send)(What what);
    unsigned version;
    bool early;                 /* also possible before the helper answers */
} Place;

static void put_header(uint8_t *buf, uint32_t size, unsigned type,
                       unsigned nfds)
{
    ProxyHeader h = { .size = size, .type = type, .nfds = nfds, .tag = 7 };

    proxy_header_put(&h, buf);
}

static void in_hello(What what)
{
    static const uint8_t half[] = { 0x39, 0x50 };
    ProxyClient *c = connect_client();
    int fds[PROXY_MAX_FDS];
    unsigned n = make_fds(what, c, fds);

    send_along(c, half, sizeof(half), fds, n);
    pc_close(c);
}

/* After the first byte of a message that never comes whole */
static void in_message(What what, unsigned type, unsigned nfds)
{
    ProxyClient *c = greet();
    uint8_t buf[PROXY_HEADER_SIZE];
    int fds[PROXY_MAX_FDS];
    unsigned n = make_fds(what, c, fds);

    put_header(buf, PROXY_HEADER_SIZE + 8, type, nfds);
    send_along(c, buf, 1, fds, n);
    pc_close(c);
}

static void in_adopt(What what)
{
    in_message(what, PROXY_ADOPT, 1);
}

static void in_getattr(What what)
{
    in_message(what, PROXY_GETATTR, 0);
}

static void in_late_adopt(What what)
{
    ProxyClient *c = greet();
    uint8_t buf[PROXY_HEADER_SIZE];
    int fds[PROXY_MAX_FDS];
    PcNode node;
    unsigned n;

    g_assert_cmpint(pc_walk(c, "file", &node, NULL), ==, 0);
    close(node.fd);
    n = make_fds(what, c, fds);
    put_header(buf, PROXY_HEADER_SIZE + 8, PROXY_ADOPT, 1);
    send_along(c, buf, PROXY_HEADER_SIZE, fds, n);
    pc_close(c);
}

/* In place of one of RING's descriptors */
static void in_ring(What what)
{
    unsigned place;

    for (place = 0; place < PROXY_RING_FDS; place++) {
        ProxyClient *c = greet();
        uint8_t buf[PROXY_HEADER_SIZE];
        int fds[PROXY_MAX_FDS + PROXY_RING_FDS];
        int more[PROXY_MAX_FDS];
        ProxyRings *rings = pc_make_rings(fds);
        unsigned n = make_fds(what, c, more);

        close(fds[place]);
        fds[place] = more[0];
        memcpy(fds + PROXY_RING_FDS, more + 1, (n - 1) * sizeof(int));
        n = MIN(n + PROXY_RING_FDS - 1, PROXY_MAX_FDS);
        put_header(buf, PROXY_HEADER_SIZE, PROXY_RING, PROXY_RING_FDS);
        send_along(c, buf, sizeof(buf), fds, n);
        proxy_rings_free(rings);
        pc_close(c);
    }
}

/* Through the socket beside a ring, with the bell that would tell the end */
static void beside_ring(What what)
{
    ProxyClient *c = greet();
    int fds[PROXY_MAX_FDS + 1];
    unsigned n;

    pc_start_ring(c);
    n = make_fds(what, c, fds);
    if (n < PROXY_MAX_FDS) {
        fds[n++] = dup(c->rings->their_bell);
    }
    send_along(c, "", 1, fds, n);
    pc_close(c);
}

#ifdef CONFIG_VIRTFS_PROXY_V1

static void in_v1(What what)
{
    static const uint32_t head[] = { PROXY_V1_LSTAT, 3 };
    ProxyClient *c = connect_client();
    int fds[PROXY_MAX_FDS];
    unsigned n = make_fds(what, c, fds);

    send_along(c, head, sizeof(head), fds, n);
    pc_close(c);
}

static void in_later_v1(What what)
{
    static const uint32_t head[] = { PROXY_V1_LSTAT, 3 };
    g_autofree ProxyClientV1 *p = g_new0(ProxyClientV1, 1);
    P1Args args = { .path = "/" };
    int fds[PROXY_MAX_FDS];
    unsigned n;

    p->c = connect_client();
    p1_put_request(p, PROXY_V1_LSTAT, &args);
    g_assert_cmpint(p1_call(p, PROXY_V1_LSTAT), >=, 0);
    n = make_fds(what, p->c, fds);
    send_along(p->c, head, sizeof(head), fds, n);
    pc_close(p->c);
}

#endif

static const Place places[] = {
    { "hello", in_hello, 2, true },
    { "adopt", in_adopt, 2 },
    { "getattr", in_getattr, 2 },
    { "late-adopt", in_late_adopt, 2 },
    { "ring", in_ring, 2 },
    { "beside-ring", beside_ring, 2 },
#ifdef CONFIG_VIRTFS_PROXY_V1
    { "v1", in_v1, 1, true },
    { "later-v1", in_later_v1, 1 },
#endif
};

/*
 * Other kinds of bad clients
 */

static void one_pipe(ProxyFixture *f)
{
    ProxyClient *c = greet();
    uint8_t buf[PROXY_HEADER_SIZE];
    int fds[PROXY_RING_FDS];

    fds[0] = proxy_ring_make_memory();
    g_assert_cmpint(pipe2(fds + 1, O_CLOEXEC), ==, 0);
    put_header(buf, PROXY_HEADER_SIZE, PROXY_RING, PROXY_RING_FDS);
    send_along(c, buf, sizeof(buf), fds, PROXY_RING_FDS);
    /* The client goes when the helper has got and answered it, or refused. */
    (void)!recv(c->fd, buf, sizeof(buf), 0);
    pc_close(c);
}

static void silent(ProxyFixture *f)
{
    pc_close(connect_client());
}

static void send_and_go(const void *buf, size_t size)
{
    ProxyClient *c = connect_client();

    pc_send_raw(c, buf, size);
    pc_close(c);
}

static void half_hello(ProxyFixture *f)
{
    static const uint8_t half[] = { 0x39, 0x50, 0x58, 0x32, 8, 0, 0, 0, 2 };

    send_and_go(half, sizeof(half));
}

static void wrong_version(ProxyFixture *f)
{
    static const uint32_t words[] = { PROXY_HELLO_TYPE, 8, 1, 0 };

    send_and_go(words, sizeof(words));
}

static void noise(ProxyFixture *f)
{
    uint32_t words[64];
    unsigned i;

    for (i = 0; i < G_N_ELEMENTS(words); i++) {
        words[i] = g_test_rand_int();
    }
    send_and_go(words, sizeof(words));
}

static void half_message(ProxyFixture *f)
{
    ProxyClient *c = greet();
    uint8_t buf[PROXY_HEADER_SIZE];

    put_header(buf, 100, PROXY_GETATTR, 0);
    pc_send_raw(c, buf, sizeof(buf));
    pc_close(c);
}

static void huge_message(ProxyFixture *f)
{
    ProxyClient *c = greet();
    uint8_t buf[PROXY_HEADER_SIZE];

    put_header(buf, UINT32_MAX, PROXY_GETATTR, 0);
    pc_send_raw(c, buf, sizeof(buf));
    pc_close(c);
}

/* As many requests as fit, whose replies the client never reads */
static void unread(unsigned type)
{
    ProxyClient *c = greet();
    PcArgs args = { .handle = PROXY_ROOT_HANDLE, .flags = O_DIRECTORY };
    uint8_t buf[64];
    unsigned i, full = 0;
    size_t size, sent = 0;

    pc_put_request(c, type, &args);
    size = PROXY_HEADER_SIZE + marshal_size(&c->out);
    put_header(buf, size, type, 0);
    memcpy(buf + PROXY_HEADER_SIZE, c->out_buf + PROXY_HEADER_SIZE,
           size - PROXY_HEADER_SIZE);
    for (i = 0; i < 20000 && full < 20; i++) {
        size_t n = pc_send_now(c, buf + sent, size - sent);

        sent = (sent + n) % size;
        if (n == 0) {
            full++;
            g_usleep(500);
        }
    }
    pc_close(c);
}

static void unread_replies(ProxyFixture *f)
{
    unread(PROXY_GETATTR);
}

static void unread_files(ProxyFixture *f)
{
    unread(PROXY_OPEN);
}

/* Gets a handle of each file, and does not give it back. */
static void find_all(ProxyClient *c)
{
    ProxyHeader h;
    unsigned i, k;

    for (i = 0; i < HANDLES; i += 50) {
        for (k = i; k < i + 50; k++) {
            char name[16];
            PcArgs args = { .handle = PROXY_ROOT_HANDLE, .name = name };

            snprintf(name, sizeof(name), "f%u", k);
            pc_put_request(c, PROXY_WALK, &args);
            pc_send(c, PROXY_WALK);
        }
        for (k = i; k < i + 50; k++) {
            g_assert_cmpint(pc_receive(c, &h), ==, 0);
            while (c->nfds) {
                close(c->fds[--c->nfds]);
            }
        }
    }
}

static void many_handles(ProxyFixture *f)
{
    ProxyClient *c = greet();

    find_all(c);
    pc_close(c);
}

/* Open files with locks, which the client's own descriptors do not outlive */
static void open_files(ProxyFixture *f)
{
    ProxyClient *c = greet();
    struct flock lock = { .l_type = F_WRLCK };
    unsigned i;
    PcNode node;

    g_assert_cmpint(pc_walk(c, "file", &node, NULL), ==, 0);
    close(node.fd);
    for (i = 0; i < 100; i++) {
        PcArgs args = { .handle = node.handle, .flags = O_RDWR };

        pc_put_request(c, PROXY_OPEN, &args);
        g_assert_cmpint(pc_call(c, PROXY_OPEN), ==, 0);
        fcntl(c->fds[0], F_OFD_SETLK, &lock);
        close(c->fds[0]);
    }
    pc_close(c);
}

/* Requests that wait until the test gives its leases up, and many handles */
static void under_way(ProxyFixture *f)
{
    FsSetAttr set = { .valid = FS_SET_SIZE, .size = 1 };
    ProxyClient *c = greet();
    unsigned i;

    find_all(c);

    for (i = 0; i < LEASES; i++) {
        g_autofree char *name = g_strdup_printf("lease%u", i);
        PcArgs args = { .set = &set };
        PcNode node;

        g_assert_cmpint(pc_walk(c, name, &node, NULL), ==, 0);
        close(node.fd);
        args.handle = node.handle;
        pc_put_request(c, PROXY_SETATTR, &args);
        pc_send(c, PROXY_SETATTR);
        if (i == 2) {
            break;              /* one thread is left to find the next node */
        }
    }
    pc_close(c);
}

#ifdef CONFIG_VIRTFS_PROXY_V1

static void under_way_v1(ProxyFixture *f)
{
    g_autofree ProxyClientV1 *p = g_new0(ProxyClientV1, 1);
    P1Args args = { .path = "/lease0", .size = 1 };

    p->c = connect_client();
    p1_put_request(p, PROXY_V1_TRUNCATE, &args);
    p1_send(p, PROXY_V1_TRUNCATE);
    pc_close(p->c);
}

static void half_v1(ProxyFixture *f)
{
    static const uint32_t head[] = { PROXY_V1_LSTAT, 100 };

    send_and_go(head, sizeof(head));
}

static void huge_v1(ProxyFixture *f)
{
    static const uint32_t head[] = { PROXY_V1_LSTAT, UINT32_MAX };

    send_and_go(head, sizeof(head));
}

static void unread_v1(ProxyFixture *f)
{
    static const uint32_t lstat_root[] = { PROXY_V1_LSTAT, 3, 0x2f0001 };
    ProxyClient *c = connect_client();
    unsigned i;

    for (i = 0; i < 2000; i++) {
        pc_send_now(c, lstat_root, PROXY_V1_HEADER_SIZE + 3);
    }
    pc_close(c);
}

#endif

typedef struct Kind {
    const char *name;
    void (*come)(ProxyFixture *f);
    bool handles;               /* it needs many files */
    bool leases;                /* the test holds leases on files */
} Kind;

static const Kind kinds[] = {
    { "one-pipe", one_pipe },
    { "silent", silent },
    { "half-hello", half_hello },
    { "wrong-version", wrong_version },
    { "noise", noise },
    { "half-message", half_message },
    { "huge-message", huge_message },
    { "unread-replies", unread_replies },
    { "unread-files", unread_files },
    { "many-handles", many_handles, .handles = true },
    { "open-files", open_files },
    { "under-way", under_way, .handles = true, .leases = true },
#ifdef CONFIG_VIRTFS_PROXY_V1
    { "under-way-v1", under_way_v1, .leases = true },
    { "half-v1", half_v1 },
    { "huge-v1", huge_v1 },
    { "unread-v1", unread_v1 },
#endif
};

/*
 * The helper and the good client
 */

static int listening_socket(void)
{
    struct sockaddr_un addr = { .sun_family = AF_UNIX };
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    g_strlcpy(addr.sun_path, socket_path, sizeof(addr.sun_path));
    g_assert_cmpint(bind(fd, (struct sockaddr *)&addr, sizeof(addr)), ==, 0);
    g_assert_cmpint(listen(fd, ROUNDS), ==, 0);
    return fd;
}

/* Runs a bad client in a process of its own, which ends with it. */
static void run_bad(ProxyFixture *f, void (*come)(ProxyFixture *),
                    void (*send)(What), What what)
{
    pid_t pid = fork();

    if (pid == 0) {
        if (come) {
            come(f);
        } else {
            send(what);
        }
        _exit(0);
    }
    g_assert_cmpint(pc_wait(pid), ==, 0);
}

static pid_t start_helper(ProxyFixture *f, int listener)
{
    const char *by_path[] = {
        "-n", "-p", f->dir, "-s", socket_path, "--persist",
        "--log-level=error", NULL
    };
    const char *activated[] = {
        "-n", "-p", f->dir, "--persist", "--log-level=error", NULL
    };
    pid_t pid;

    pc_activated = listener >= 0;
    pid = pc_spawn(pc_activated ? activated : by_path, PC_NOBODY, listener,
                   -1);
    pc_activated = false;
    return pid;
}

static void stop_helper(pid_t pid)
{
    kill(pid, SIGTERM);
    g_assert_cmpint(pc_wait(pid), ==, PC_KILLED(SIGTERM));
    unlink(socket_path);
}

/* The time until a good client has what it wants, in us */
static gint64 serve_good(void)
{
    gint64 start = g_get_monotonic_time();
    ProxyClient *c = greet();
    PcNode node;
    FsAttr attr;

    g_assert_cmpint(pc_walk(c, "file", &node, &attr), ==, 0);
    close(node.fd);
    start = g_get_monotonic_time() - start;
    pc_close(c);
    return start;
}

static void expect_good(const char *what, unsigned round)
{
    gint64 us = serve_good();

    if (us > PATIENCE_US) {
        g_error("after %s, number %u, the next client waited %d ms", what,
                round, (int)(us / 1000));
    }
}

/* False, and the test is skipped, if the file system has no leases. */
static bool take_leases(ProxyFixture *f, int leases[LEASES])
{
    unsigned i;

    for (i = 0; i < LEASES; i++) {
        g_autofree char *name = g_strdup_printf("lease%u", i);
        g_autofree char *path = g_build_filename(f->dir, name, NULL);

        pf_put_file(f, name, "text");
        leases[i] = open(path, O_RDONLY | O_CLOEXEC);
        if (fcntl(leases[i], F_SETLEASE, F_RDLCK) < 0) {
            g_test_skip("this file system has no leases");
            do {
                close(leases[i]);
            } while (i-- > 0);
            return false;
        }
    }
    return true;
}

static void test_kind(ProxyFixture *f, gconstpointer opaque)
{
    const Kind *kind = opaque;
    int leases[LEASES];
    unsigned i;
    pid_t pid;

    socket_path = g_build_filename(f->tmp, "socket", NULL);
    if (kind->handles) {
        for (i = 0; i < HANDLES; i++) {
            g_autofree char *name = g_strdup_printf("f%u", i);

            pf_put_file(f, name, "");
        }
    }
    pid = start_helper(f, -1);
    serve_good();
    if (kind->leases && !take_leases(f, leases)) {
        stop_helper(pid);
        g_clear_pointer(&socket_path, g_free);
        return;
    }
    for (i = 0; i < ROUNDS; i++) {
        run_bad(f, kind->come, NULL, 0);
        expect_good(kind->name, i);
    }
    /* Only root may look. What requests still use is left, and threads' own. */
    if (geteuid() == 0) {
        g_assert_cmpuint(pp_open_files(pp_child(pid)), <, ROUNDS * 10);
    }
    for (i = 0; kind->leases && i < LEASES; i++) {
        close(leases[i]);
    }
    stop_helper(pid);
    g_clear_pointer(&socket_path, g_free);
}

static void test_place(ProxyFixture *f, gconstpointer opaque)
{
    const Place *place = opaque;
    unsigned i;
    What what;
    pid_t pid;

    socket_path = g_build_filename(f->tmp, "socket", NULL);
    for (what = 0; what < WHAT_END; what++) {
        pid = start_helper(f, -1);
        serve_good();
        for (i = 0; i < ROUNDS; i++) {
            run_bad(f, NULL, place->send, what);
            expect_good(what_names[what], i);
        }
        stop_helper(pid);
    }
    g_clear_pointer(&socket_path, g_free);
}

/* Clients that come before the helper, when the kernel refuses nothing yet */
static void test_early(ProxyFixture *f, gconstpointer opaque)
{
    const Place *place = opaque;
    unsigned i;
    What what;
    pid_t pid;
    int fd;

    socket_path = g_build_filename(f->tmp, "socket", NULL);
    for (what = 0; what < WHAT_END; what++) {
        for (i = 0; i < 8; i++) {
            fd = listening_socket();
            run_bad(f, NULL, place->send, what);
            run_bad(f, NULL, place->send, what);
            pid = start_helper(f, fd);
            close(fd);
            /* The first waits for the helper's start, too. */
            g_assert_cmpint(serve_good(), <, LINGER_S / 2 * G_USEC_PER_SEC);
            expect_good(what_names[what], i);
            stop_helper(pid);
        }
    }
    g_clear_pointer(&socket_path, g_free);
}

/* A client that stays and says nothing keeps the next waiting, but not long. */
static void test_stays(ProxyFixture *f, gconstpointer opaque)
{
    ProxyClient *c;
    pid_t pid;

    socket_path = g_build_filename(f->tmp, "socket", NULL);
    pid = start_helper(f, -1);
    serve_good();
    c = connect_client();
    g_assert_cmpint(serve_good(), <, 17 * G_USEC_PER_SEC);
    pc_close(c);

    /* One that has said HELLO may stay for as long as it likes. */
    c = greet();
    g_usleep(G_USEC_PER_SEC);
    marshal_put_u64(pc_begin(c), PROXY_ROOT_HANDLE);
    g_assert_cmpint(pc_call(c, PROXY_GETATTR), ==, 0);
    pc_close(c);
    stop_helper(pid);
    g_clear_pointer(&socket_path, g_free);
}

/* The helper's descriptors without those that come and go */
static unsigned count_descriptors(pid_t pid)
{
    unsigned least = UINT_MAX;
    unsigned i;

    for (i = 0; i < 100; i++) {
        least = MIN(least, pp_open_files(pp_child(pid)));
        g_usleep(1000);
    }
    return least;
}

/*
 * Clients that leave threads behind in the kernel, where a file server does not
 * answer. Together they leave no more than one file system may hold. Each
 * leaves its connection and the inode that it asks for, and no other
 * descriptor: they cannot use up a small --rlimit-nofile.
 */
static void test_hung(ProxyFixture *f, gconstpointer opaque)
{
    g_autofree char *at = g_build_filename(f->dir, "hung", NULL);
    unsigned i, before = 0, left;
    HungFuse *fuse;
    pid_t pid;

    g_assert_cmpint(mkdir(at, 0755), ==, 0);
    fuse = hung_fuse_start_or_skip(at);
    if (!fuse) {
        return;
    }
    socket_path = g_build_filename(f->tmp, "socket", NULL);
    pid = start_helper(f, -1);
    hung_fuse_hang(fuse, FUSE_GETATTR, HUNG_ALL);
    serve_good();
    if (geteuid() == 0) {
        before = count_descriptors(pid);
    }
    for (i = 0; i < HUNG_ROUNDS; i++) {
        ProxyClient *c = greet();
        MarshalWriter *w = pc_begin(c);

        marshal_put_u64(w, PROXY_ROOT_HANDLE);
        marshal_put_u16(w, 1);
        marshal_put_str(w, "hung");
        pc_send(c, PROXY_WALK);
        g_assert_true(hung_fuse_wait(fuse, 1));
        pc_close(c);
        expect_good("a request that hangs", i);
    }
    left = hung_fuse_waiting(fuse);
    g_assert_cmpuint(left, <=, HUNG_MAX);
    if (geteuid() == 0) {       /* which alone may look */
        unsigned now = count_descriptors(pid);

        g_test_message("%u descriptors before, %u now; %u hang", before, now,
                       left);
        g_assert_cmpuint(now, <=, before + 2 * left + 2);
    }
    hung_fuse_end(fuse);
    stop_helper(pid);
    g_clear_pointer(&socket_path, g_free);
}

static void add(const char *group, const char *name, ProxyTest *test,
                gconstpointer opaque)
{
    g_autofree char *path = g_strdup_printf("%s/%s", group, name);

    pf_add_made(path, opaque, test);
}

int main(int argc, char **argv)
{
    unsigned i;
    int ret;

    pf_init(&argc, &argv, "/9p-helper-next-client");
    signal(SIGIO, SIG_IGN);     /* the kernel asks for a lease */
    for (i = 0; i < G_N_ELEMENTS(kinds); i++) {
        add("kind", kinds[i].name, test_kind, &kinds[i]);
    }
    for (i = 0; i < G_N_ELEMENTS(places); i++) {
        add("descriptors", places[i].name, test_place, &places[i]);
        if (places[i].early) {
            add("early", places[i].name, test_early, &places[i]);
        }
    }
    pf_add_made("stays", NULL, test_stays);
    pf_add_made("hung", NULL, test_hung);
    start_tcp_server();
    ret = g_test_run();
    stop_tcp_server();
    return ret;
}
