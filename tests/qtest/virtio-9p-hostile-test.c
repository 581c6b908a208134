/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A helper that lies, against the real QEMU: whatever it says, the guest gets
 * an answer, and QEMU, the rest of the device and other exports go on.
 *
 * The lies are told by a relay, a thread of this test that sits between QEMU
 * and a real helper. Both speak through it, so all is well until the test has
 * it tell a lie: then it changes the next reply of some type, or what comes
 * with it, or says things that nobody asked for.
 *
 * A lie that breaks the protocol ends the channel: everything that needs the
 * helper fails with EIO from then on, and what QEMU has a descriptor of goes
 * on. A lie that only concerns one file fails that request, or none.
 */
#include "qemu/osdep.h"
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include "libqtest-single.h"
#include "fsdev/shared/proto.h"
#include "qemu/atomic.h"
#include "qemu/bswap.h"
#include "qemu/module.h"
#include "qemu/units.h"
#include "virtio-9p-host.h"

#define ROOT            P9C_ROOT
#define HEADER          PROXY_HEADER_SIZE
#define MSIZE           (64 * KiB)
/* The other export's device */
#define OTHER_SLOT      0x10

/* Fids that a test has from the start */
enum {
    FID_F = 1,                  /* the file f */
    FID_OPEN,                   /* the same, open */
    FID_LINK,                   /* the symbolic link l */
    FID_NEW,                    /* the first that is free */
};

/* Offsets in an attr of the channel: see fsdev/shared/proto.c */
enum {
    ATTR_MODE = 4,
    ATTR_UID = 8,
    ATTR_DEV = 16,
    ATTR_INO = 24,
    ATTR_NLINK = 32,
    ATTR_ATIME_NSEC = 80,
    ATTR_SIZE = 152,
};

/* Offset of the payload in a reply, after its error */
#define PAYLOAD         (HEADER + 4)
/* Offset of the first attr in WALK's reply, after walked[2] */
#define WALK_ATTR       (PAYLOAD + 2)

/* A reply on its way from the helper, for a lie to change */
typedef struct Reply {
    uint8_t buf[2 * PROXY_MAX_MESSAGE];
    size_t size;
    int fds[PROXY_MAX_FDS];
    unsigned nfds;
    bool hang_up;               /* after that */
} Reply;

typedef struct Lie {
    const char *name;
    ProxyType type;             /* of the reply that it is told in */
    void (*tell)(Reply *r, const struct Lie *lie);
    uint64_t arg;
    int error;                  /* of the 9P message; 0: it goes well */
    bool ends;                  /* the channel */
    bool later;                 /* QEMU learns of it with one more reply */
} Lie;

typedef struct Relay {
    GThread *thread;
    int qemu;                   /* to QEMU */
    int qemu_end;               /* QEMU's own end, until it has it */
    int helper;
    pid_t pid;
    const Lie *lie;             /* to be told next, or NULL; atomic */
    Reply reply;
} Relay;

typedef struct Test {
    const Lie *lies;            /* the one that ends the channel is the last */
    void (*run)(struct Test *t);
    bool donate_off;
    char *dir;
    Relay relay;
    QVirtio9P *v9p;
    P9Client *c;
    P9Client *other;            /* of the other device */
    QVirtio9P other_v9p;
} Test;

static const char *share;       /* of the test that runs */

#define ok(call)            g_assert_cmpint(call, ==, 0)
#define fails(call, error)  g_assert_cmpint(call, ==, error)

/*
 * The relay
 */

static void send_reply(int sock, const Reply *r)
{
    union {
        char buf[CMSG_SPACE(PROXY_MAX_FDS * sizeof(int))];
        struct cmsghdr align;
    } control = { };
    struct iovec iov = { .iov_base = (void *)r->buf, .iov_len = r->size };
    struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };
    struct cmsghdr *cmsg;
    ssize_t n;

    if (r->nfds) {
        msg.msg_control = control.buf;
        msg.msg_controllen = CMSG_SPACE(r->nfds * sizeof(int));
        cmsg = CMSG_FIRSTHDR(&msg);
        cmsg->cmsg_level = SOL_SOCKET;
        cmsg->cmsg_type = SCM_RIGHTS;
        cmsg->cmsg_len = CMSG_LEN(r->nfds * sizeof(int));
        memcpy(CMSG_DATA(cmsg), r->fds, r->nfds * sizeof(int));
    }
    /* QEMU may have hung up already: the test sees that. */
    while (iov.iov_len) {
        n = sendmsg(sock, &msg, MSG_NOSIGNAL);
        if (n <= 0) {
            break;
        }
        iov.iov_base = (char *)iov.iov_base + n;
        iov.iov_len -= n;
        msg.msg_control = NULL;
        msg.msg_controllen = 0;
    }
}

/* Reads @size bytes and the descriptors with them; false at the end. */
static bool recv_bytes(int sock, Reply *r, size_t size)
{
    union {
        char buf[CMSG_SPACE(PROXY_MAX_FDS * sizeof(int))];
        struct cmsghdr align;
    } control;
    struct cmsghdr *cmsg;

    while (r->size < size) {
        struct iovec iov = { .iov_base = r->buf + r->size,
                             .iov_len = size - r->size };
        struct msghdr msg = {
            .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control.buf,
            .msg_controllen = sizeof(control.buf),
        };
        ssize_t n = recvmsg(sock, &msg, MSG_CMSG_CLOEXEC);

        if (n <= 0) {
            return false;
        }
        r->size += n;
        for (cmsg = CMSG_FIRSTHDR(&msg); cmsg;
             cmsg = CMSG_NXTHDR(&msg, cmsg)) {
            unsigned got = (cmsg->cmsg_len - CMSG_LEN(0)) / sizeof(int);

            memcpy(r->fds + r->nfds, CMSG_DATA(cmsg), got * sizeof(int));
            r->nfds += got;
        }
    }
    return true;
}

/* Hands one reply on, true or not. False when that was the last. */
static bool relay_reply(Relay *relay)
{
    Reply *r = &relay->reply;
    const Lie *lie = qatomic_read(&relay->lie);
    unsigned i;

    r->size = r->nfds = 0;
    r->hang_up = false;
    /* Descriptors come with the first byte of their message, and with it alone
     * as the helper sends each with its own sendmsg(2). */
    if (!recv_bytes(relay->helper, r, HEADER) ||
        !recv_bytes(relay->helper, r, ldl_le_p(r->buf))) {
        return false;
    }
    if (lduw_le_p(r->buf + 4) == (PROXY_HELLO | PROXY_REPLY)) {
        /* Without features QEMU asks for all that there are lies about. */
        stl_le_p(r->buf + HEADER + 8, 0);
    }
    if (lie && lduw_le_p(r->buf + 4) == (lie->type | PROXY_REPLY)) {
        lie->tell(r, lie);
        qatomic_set(&relay->lie, NULL);
    }
    send_reply(relay->qemu, r);
    for (i = 0; i < r->nfds; i++) {
        close(r->fds[i]);
    }
    return !r->hang_up;
}

static gpointer relay_run(gpointer opaque)
{
    Relay *relay = opaque;
    struct pollfd fds[] = {
        { .fd = relay->qemu, .events = POLLIN },
        { .fd = relay->helper, .events = POLLIN },
    };
    char buf[4096];
    ssize_t n;

    while (poll(fds, ARRAY_SIZE(fds), -1) > 0) {
        if (fds[0].revents) {
            n = recv(relay->qemu, buf, sizeof(buf), 0);
            if (n <= 0 || send(relay->helper, buf, n, MSG_NOSIGNAL) != n) {
                break;
            }
        }
        if (fds[1].revents && !relay_reply(relay)) {
            break;
        }
    }
    shutdown(relay->qemu, SHUT_RDWR);
    shutdown(relay->helper, SHUT_RDWR);
    return NULL;
}

/* In the helper-to-be */
static void take_socket(gpointer sock)
{
    dup2(GPOINTER_TO_INT(sock), 3);
}

static void relay_start(Relay *relay, const char *dir)
{
    g_autofree char *build = g_path_get_dirname(getenv("QTEST_QEMU_BINARY"));
    g_autofree char *program = g_strdup(getenv("VIRTFS_PROXY_HELPER"));
    const char *argv[] = { NULL, "-n", "-p", dir, "-f", "3", NULL };
    GError *err = NULL;
    int sv[2];

    if (!program) {
        program = g_build_filename(build, "fsdev", "virtfs-proxy-helper",
                                   NULL);
    }
    argv[0] = program;
    g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sv),
                    ==, 0);
    g_assert_cmpint(sv[1], >, 3);
    g_spawn_async(NULL, (char **)argv, NULL,
                  G_SPAWN_DO_NOT_REAP_CHILD | G_SPAWN_LEAVE_DESCRIPTORS_OPEN,
                  take_socket, GINT_TO_POINTER(sv[1]), &relay->pid, &err);
    g_assert_no_error(err);
    close(sv[1]);
    relay->helper = sv[0];

    g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sv),
                    ==, 0);
    relay->qemu = sv[0];
    relay->qemu_end = sv[1];
    g_assert_cmpint(fcntl(sv[1], F_SETFD, 0), ==, 0);
    relay->thread = g_thread_new("relay", relay_run, relay);
}

static void relay_stop(Relay *relay)
{
    int status;

    shutdown(relay->qemu, SHUT_RDWR);
    g_thread_join(relay->thread);
    close(relay->qemu);
    close(relay->helper);
    g_assert_cmpint(waitpid(relay->pid, &status, 0), ==, relay->pid);
    /* The real helper had nothing to complain about. */
    g_assert_true(WIFEXITED(status));
    g_assert_cmpint(WEXITSTATUS(status), ==, 0);
}

/*
 * Lies: the frame
 */

static void lie_size_add(Reply *r, const Lie *lie)
{
    stl_le_p(r->buf, r->size + lie->arg);
}

static void lie_size(Reply *r, const Lie *lie)
{
    stl_le_p(r->buf, lie->arg);
}

static void lie_type(Reply *r, const Lie *lie)
{
    stw_le_p(r->buf + 4, lie->arg);
}

static void lie_tag(Reply *r, const Lie *lie)
{
    stl_le_p(r->buf + 8, ldl_le_p(r->buf + 8) ^ lie->arg);
}

/* Says that there are so many descriptors */
static void lie_nfds(Reply *r, const Lie *lie)
{
    stw_le_p(r->buf + 6, lie->arg);
}

static void drop_fds(Reply *r)
{
    while (r->nfds) {
        close(r->fds[--r->nfds]);
    }
}

static void lie_fds_missing(Reply *r, const Lie *lie)
{
    drop_fds(r);
}

/* More come than is said */
static void lie_fds_more(Reply *r, const Lie *lie)
{
    while (r->nfds < lie->arg) {
        r->fds[r->nfds++] = open("/dev/null", O_RDONLY);
    }
}

static void lie_twice(Reply *r, const Lie *lie)
{
    drop_fds(r);
    stw_le_p(r->buf + 6, 0);
    memcpy(r->buf + r->size, r->buf, r->size);
    r->size *= 2;
}

/* Thousands of replies that nobody asked for, before the right one */
static void lie_flood(Reply *r, const Lie *lie)
{
    size_t each = HEADER + 4;
    size_t n;

    memmove(r->buf + PROXY_MAX_MESSAGE, r->buf, r->size);
    for (n = 0; (n + 1) * each <= PROXY_MAX_MESSAGE; n++) {
        uint8_t *p = r->buf + n * each;

        memset(p, 0, each);
        stl_le_p(p, each);
        stw_le_p(p + 4, PROXY_SETATTR | PROXY_REPLY);
        stl_le_p(p + 8, n * 1024);
    }
    r->size = n * each;
}

static void lie_half(Reply *r, const Lie *lie)
{
    r->size = r->size / 2;
}

static void lie_half_end(Reply *r, const Lie *lie)
{
    r->size = r->size / 2;
    r->hang_up = true;
}

static void lie_silent(Reply *r, const Lie *lie)
{
    drop_fds(r);
    r->size = 0;
}

static void lie_end(Reply *r, const Lie *lie)
{
    lie_silent(r, lie);
    r->hang_up = true;
}

/* An error, with nothing after it */
static void lie_error(Reply *r, const Lie *lie)
{
    drop_fds(r);
    r->size = PAYLOAD;
    stl_le_p(r->buf, r->size);
    stw_le_p(r->buf + 6, 0);
    stl_le_p(r->buf + HEADER, lie->arg);
}

/* An error, and all that comes without one */
static void lie_error_more(Reply *r, const Lie *lie)
{
    stl_le_p(r->buf + HEADER, lie->arg);
}

/*
 * Lies: the payload
 */

/* Cuts the last bytes off, or has some more; the frame is right. */
static void lie_cut(Reply *r, const Lie *lie)
{
    r->size -= MIN(lie->arg, r->size - HEADER);
    stl_le_p(r->buf, r->size);
}

static void lie_more(Reply *r, const Lie *lie)
{
    memset(r->buf + r->size, 0, lie->arg);
    r->size += lie->arg;
    stl_le_p(r->buf, r->size);
}

/* u16 of the payload's start: WALK's count, READLINK's length */
static void lie_u16(Reply *r, const Lie *lie)
{
    stw_le_p(r->buf + PAYLOAD, lie->arg);
}

static void lie_u32(Reply *r, const Lie *lie)
{
    stl_le_p(r->buf + PAYLOAD, lie->arg);
}

static void lie_nul(Reply *r, const Lie *lie)
{
    r->buf[PAYLOAD + 2] = 0;
}

/* The node in WALK's reply to one name */
static uint8_t *walk_node(Reply *r)
{
    return r->buf + r->size - 2 * 9;
}

static void lie_handle(Reply *r, const Lie *lie)
{
    stq_le_p(walk_node(r), lie->arg);
}

static void lie_donated(Reply *r, const Lie *lie)
{
    walk_node(r)[8] = lie->arg;
}

static void lie_parent(Reply *r, const Lie *lie)
{
    stq_le_p(walk_node(r) + 9, lie->arg);
}

/* Attributes that no file has; the guest may have them. */
static void lie_attr_huge(Reply *r, const Lie *lie)
{
    memset(r->buf + lie->arg + ATTR_NLINK, 0xff, ATTR_SIZE - ATTR_NLINK);
}

static void lie_attr_mode(Reply *r, const Lie *lie)
{
    size_t at = lie->type == PROXY_WALK ? WALK_ATTR : PAYLOAD;

    stl_le_p(r->buf + at + ATTR_MODE, lie->arg);
}

static void lie_attr_ino(Reply *r, const Lie *lie)
{
    stq_le_p(r->buf + WALK_ATTR + ATTR_INO, lie->arg);
}

/* The file is f, which QEMU knows under another handle. */
static void lie_attr_known(Reply *r, const Lie *lie)
{
    g_autofree char *name = g_build_filename(share, "f", NULL);
    struct stat st;

    g_assert_cmpint(stat(name, &st), ==, 0);
    stq_le_p(r->buf + WALK_ATTR + ATTR_DEV, st.st_dev);
    stq_le_p(r->buf + WALK_ATTR + ATTR_INO, st.st_ino);
}

/*
 * Lies: descriptors
 */

enum {
    FD_OTHER,                   /* another file, of the right kind */
    FD_DIRECTORY,
    FD_SOCKET,
    FD_PIPE,
    FD_EVENT,
    FD_DEVICE,
    FD_PATH,                    /* O_PATH, of the right inode */
    FD_FILE,                    /* not O_PATH, of the right inode */
};

static int make_fd(unsigned kind, bool path)
{
    g_autofree char *name = g_build_filename(
        share, kind == FD_OTHER ? "g" : "f", NULL);
    int fds[2] = { -1, -1 };

    switch (kind) {
    case FD_DIRECTORY:
        return open(share, O_DIRECTORY | (path ? O_PATH : O_RDONLY));
    case FD_SOCKET:
        g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), ==, 0);
        close(fds[1]);
        return fds[0];
    case FD_PIPE:
        g_assert_cmpint(pipe(fds), ==, 0);
        close(fds[1]);
        return fds[0];
    case FD_EVENT:
        return eventfd(0, 0);
    case FD_DEVICE:
        return open("/dev/zero", path ? O_PATH : O_RDWR);
    case FD_PATH:
        return open(name, O_PATH);
    case FD_FILE:
        return open(name, O_RDWR);
    default:
        return open(name, path ? O_PATH : O_RDWR);
    }
}

/* Puts another in the place of the last one. */
static void lie_fd(Reply *r, const Lie *lie)
{
    bool path = lie->type == PROXY_WALK;
    int fd = make_fd(lie->arg, path);

    g_assert_cmpint(fd, >=, 0);
    g_assert_cmpint(r->nfds, >=, 1);
    close(r->fds[r->nfds - 1]);
    r->fds[r->nfds - 1] = fd;
}

/* The two of CREATE in the wrong order */
static void lie_fds_swapped(Reply *r, const Lie *lie)
{
    int fd = r->fds[0];

    g_assert_cmpint(r->nfds, ==, 2);
    r->fds[0] = r->fds[1];
    r->fds[1] = fd;
}

/*
 * 9P messages
 */

static int walk(Test *t, uint32_t fid, uint32_t newfid, const char *path)
{
    return p9c_walk_to(t->c, fid, newfid, path);
}

/* Sets an attribute, or removes it with @size 0. */
static int set_xattr(Test *t, uint32_t fid, uint32_t size)
{
    ok(walk(t, FID_F, fid, ""));
    /* Nothing in place of something is how Linux' client removes one. */
    ok(p9c_xattrcreate(t->c, fid, "user.a", size,
                       size ? 0 : XATTR_REPLACE));
    if (size) {
        ok(p9c_write(t->c, fid, 0, "xxxxxxxx", size, NULL));
    }
    return p9c_clunk(t->c, fid);
}

static int open_clone(Test *t, uint32_t fid)
{
    ok(walk(t, FID_F, fid, ""));
    return p9c_lopen(t->c, fid, P9C_O_RDWR, NULL, NULL);
}

static int create(Test *t, uint32_t fid)
{
    g_autofree char *name = g_strdup_printf("new%u", fid);

    ok(walk(t, ROOT, fid, ""));
    return p9c_lcreate(t->c, fid, name, P9C_O_RDWR, 0600, 0, NULL, NULL);
}

/*
 * Sends a message that makes QEMU send a request of @type, and returns what
 * comes of it. @fid and the next one are free.
 */
static int evoke(Test *t, ProxyType type, uint32_t fid)
{
    static const P9CSetAttr mode = { .valid = P9C_SETATTR_MODE, .mode = 0640 };
    g_autofree char *name = g_strdup_printf("n%u", fid);
    g_autofree char *target = NULL;
    P9CAttr attr;
    P9CStatfs st;

    switch (type) {
    case PROXY_WALK:
        return walk(t, ROOT, fid, "g");
    case PROXY_GETATTR:
        return p9c_getattr(t->c, FID_F, P9C_GETATTR_ALL, &attr);
    case PROXY_SETATTR:
        return p9c_setattr(t->c, FID_F, &mode);
    case PROXY_READLINK:
        return p9c_readlink(t->c, FID_LINK, &target);
    case PROXY_STATFS:
        return p9c_statfs(t->c, FID_F, &st);
    case PROXY_OPEN:
        return open_clone(t, fid);
    case PROXY_CREATE:
        return create(t, fid);
    case PROXY_MAKE:
        return p9c_mkdir(t->c, ROOT, name, 0700, 0, NULL);
    case PROXY_LINK:
        return p9c_link(t->c, ROOT, FID_F, name);
    case PROXY_RENAME:
        return p9c_renameat(t->c, ROOT, "r", ROOT, "s");
    case PROXY_UNLINK:
        return p9c_unlinkat(t->c, ROOT, "u", 0);
    case PROXY_GETXATTR:
        return p9c_xattrwalk(t->c, FID_F, fid, "user.x", NULL);
    case PROXY_SETXATTR:
        return set_xattr(t, fid, 4);
    case PROXY_REMOVEXATTR:
        return set_xattr(t, fid, 0);
    default:
        g_assert_not_reached();
    }
}

/*
 * What must hold after each lie
 */

static void read_is(P9Client *c, uint32_t fid, const char *data)
{
    char buf[64];
    uint32_t n;

    ok(p9c_read(c, fid, 0, sizeof(buf), buf, &n));
    g_assert_cmpmem(buf, n, data, strlen(data));
}

/* QEMU, and all that has nothing to do with the helper */
static void check_rest(Test *t)
{
    uint32_t n;

    qtest_qmp_assert_success(global_qtest, "{ 'execute': 'query-status' }");
    g_assert_false(p9c_needs_reset(t->c));
    ok(p9c_write(t->c, FID_OPEN, 0, "data", 4, &n));
    read_is(t->c, FID_OPEN, "data");

    ok(p9c_walk_to(t->other, ROOT, 1, "stat"));
    ok(p9c_clunk(t->other, 1));
}

static void check_serves(Test *t)
{
    P9CAttr attr;

    check_rest(t);
    ok(walk(t, ROOT, 900, "d/x"));
    ok(p9c_getattr(t->c, 900, P9C_GETATTR_BASIC, &attr));
    ok(p9c_lopen(t->c, 900, P9C_O_RDONLY, NULL, NULL));
    read_is(t->c, 900, "deep");
    ok(p9c_clunk(t->c, 900));
}

static void check_gone(Test *t)
{
    check_rest(t);
    fails(walk(t, ROOT, 900, "d/x"), EIO);
    fails(p9c_mkdir(t->c, ROOT, "never", 0700, 0, NULL), EIO);
    /* Also for those who come anew; QEMU may have the root's descriptor. */
    p9c_reset(t->c);
    ok(p9c_version(t->c, MSIZE, P9C_VERSION, NULL, NULL));
    if (t->donate_off) {
        fails(p9c_attach(t->c, ROOT, 0, NULL), EIO);
    } else {
        ok(p9c_attach(t->c, ROOT, 0, NULL));
        fails(walk(t, ROOT, 900, "d/x"), EIO);
    }
}

static void tell(Test *t, const Lie *lie)
{
    qatomic_set(&t->relay.lie, lie);
}

static void told(Test *t)
{
    g_assert_null(qatomic_read(&t->relay.lie));
}

static void test_lies(Test *t)
{
    const Lie *lie;
    uint32_t fid = FID_NEW;
    P9Call *call = NULL;

    for (lie = t->lies; lie->name; lie++, fid += 2) {
        g_test_message("%s", lie->name);
        tell(t, lie);
        if (lie->later) {
            /* The reply is not whole for QEMU before another one comes. */
            call = p9c_call(t->c, P9C_TWALK);
            p9c_put_u32(call, ROOT);
            p9c_put_u32(call, fid + 1);
            p9c_put_u16(call, 1);
            p9c_put_str(call, "g");
            g_assert_cmpint(lie->type, ==, PROXY_WALK);
            p9c_submit(call);
            while (qatomic_read(&t->relay.lie)) {
                g_usleep(1000);
            }
            p9c_pause(t->c);
            g_assert_false(p9c_is_done(call));
            fails(walk(t, ROOT, fid, "u"), EIO);
            fails(p9c_wait(call), EIO);
            p9c_call_end(call);
        } else {
            fails(evoke(t, lie->type, fid), lie->error);
            if (lie->type == PROXY_WALK && !lie->error) {
                /* For the helper to donate a descriptor anew, next time */
                ok(p9c_clunk(t->c, fid));
            }
        }
        told(t);
        if (lie->ends) {
            check_gone(t);
            break;
        }
        check_serves(t);
    }
}

/*
 * Silence
 */

static P9Call *silent_walk(Test *t, const Lie *lie, uint32_t newfid)
{
    P9Call *call = p9c_call(t->c, P9C_TWALK);

    tell(t, lie);
    p9c_put_u32(call, ROOT);
    p9c_put_u32(call, newfid);
    p9c_put_u16(call, 1);
    p9c_put_str(call, "g");
    p9c_submit(call);
    while (qatomic_read(&t->relay.lie)) {
        g_usleep(1000);
    }
    return call;
}

/*
 * A request that the helper never answers can be flushed, a while later, and
 * its device be reset; others are served meanwhile.
 */
static void test_silence(Test *t)
{
    static const Lie silent = { "silent", PROXY_WALK, lie_silent };
    P9Call *call, *flush;
    gint64 start;

    call = silent_walk(t, &silent, 10);
    check_serves(t);
    g_assert_false(p9c_is_done(call));
    start = g_get_monotonic_time();
    flush = p9c_call(t->c, P9C_TFLUSH);
    p9c_put_u16(flush, p9c_call_tag(call));
    p9c_submit(flush);
    check_serves(t);
    while (!p9c_is_done(flush)) {
        p9c_pause(t->c);
        g_assert_cmpint(g_get_monotonic_time() - start, <,
                        P9C_TIMEOUT_US);
    }
    /* Nobody knows what became of it: an error, and before the Rflush */
    g_assert_true(p9c_is_done(call));
    fails(p9c_wait(call), EIO);
    g_assert_cmpuint(p9c_done_order(call), <, p9c_done_order(flush));
    ok(p9c_wait(flush));
    p9c_call_end(flush);
    p9c_call_end(call);
    check_serves(t);

    call = silent_walk(t, &silent, 10);
    start = g_get_monotonic_time();
    p9c_reset(t->c);
    g_assert_cmpint(g_get_monotonic_time() - start, <, P9C_TIMEOUT_US);
    p9c_session_msize(t->c, MSIZE);
    ok(walk(t, ROOT, 900, "d/x"));
    ok(p9c_clunk(t->c, 900));
    p9c_call_end(call);
}

/*
 * Files without end: each walk finds another inode, on another device, whose
 * number uses all 64 bits.
 */
static void lie_new_inode(Reply *r, const Lie *lie)
{
    static uint64_t n;

    n++;
    stq_le_p(r->buf + WALK_ATTR + ATTR_DEV, n * 0x9e3779b97f4a7c15ull);
    stq_le_p(r->buf + WALK_ATTR + ATTR_INO, n * 0xbf58476d1ce4e5b9ull);
}

static long qemu_rss_kib(void)
{
    g_autofree char *path = g_strdup_printf("/proc/%d/status",
                                            qtest_pid(global_qtest));
    g_autofree char *text = NULL;
    const char *at;

    g_assert_true(g_file_get_contents(path, &text, NULL, NULL));
    at = strstr(text, "\nVmRSS:");
    g_assert_nonnull(at);
    return atol(at + strlen("\nVmRSS:"));
}

#ifdef __SANITIZE_ADDRESS__
#define GROWTH_MAX_KIB  (512 * KiB)     /* freed memory is kept for a while */
#else
#define GROWTH_MAX_KIB  (4 * KiB)
#endif

static void test_inodes(Test *t)
{
    static const Lie lie = { "inode", PROXY_WALK, lie_new_inode };
    long before = qemu_rss_kib();
    unsigned i;

    for (i = 0; i < 3000; i++) {
        tell(t, &lie);
        ok(walk(t, ROOT, 10, "g"));
        told(t);
        ok(p9c_clunk(t->c, 10));
    }
    check_serves(t);
    /* Each leaves a prefix of qids, some 100 bytes, and no node. */
    g_assert_cmpint(qemu_rss_kib() - before, <, GROWTH_MAX_KIB);
}

/*
 * The cases
 */

/* One QEMU tells them all: none of them ends the channel. */
static const Lie lies_harmless[] = {
    { "error-highest", PROXY_SETATTR, lie_error, 4095, EIO },
    { "error-of-kernel", PROXY_SETATTR, lie_error, 512, EIO },
    { "donated-other", PROXY_WALK, lie_fd, FD_OTHER },
    { "donated-directory", PROXY_WALK, lie_fd, FD_DIRECTORY },
    { "donated-socket", PROXY_WALK, lie_fd, FD_SOCKET },
    { "donated-pipe", PROXY_WALK, lie_fd, FD_PIPE },
    { "donated-open", PROXY_WALK, lie_fd, FD_FILE },
    { "created-swapped", PROXY_CREATE, lie_fds_swapped, 0, EIO },
    { "opened-other", PROXY_OPEN, lie_fd, FD_OTHER, EIO },
    { "opened-directory", PROXY_OPEN, lie_fd, FD_DIRECTORY, EIO },
    { "opened-socket", PROXY_OPEN, lie_fd, FD_SOCKET, EIO },
    { "opened-pipe", PROXY_OPEN, lie_fd, FD_PIPE, EIO },
    { "opened-event", PROXY_OPEN, lie_fd, FD_EVENT, EIO },
    { "opened-device", PROXY_OPEN, lie_fd, FD_DEVICE, EIO },
    { "opened-path", PROXY_OPEN, lie_fd, FD_PATH, EIO },
    { "opened", PROXY_OPEN, lie_fd, FD_FILE },
    { "created-other", PROXY_CREATE, lie_fd, FD_OTHER, EIO },
    { "created-pipe", PROXY_CREATE, lie_fd, FD_PIPE, EIO },
    { "type-other", PROXY_WALK, lie_attr_mode, S_IFDIR | 0755 },
    { "inode-known", PROXY_WALK, lie_attr_known, 0, EIO },
    { "inode-other", PROXY_WALK, lie_attr_ino, UINT64_MAX },
    /* The last with WALK: for the helper QEMU has the file from here on. */
    { "error", PROXY_WALK, lie_error, EACCES, EACCES },
    { }
};

/* With donate=off, where QEMU asks for attributes */
static const Lie lies_harmless_asked[] = {
    { "type-changed", PROXY_GETATTR, lie_attr_mode, S_IFLNK | 0777, EIO },
    { "attr-huge", PROXY_GETATTR, lie_attr_huge, PAYLOAD },
    { "walk-attr-huge", PROXY_WALK, lie_attr_huge, WALK_ATTR },
    { "statfs-huge", PROXY_STATFS, lie_u32, UINT32_MAX },
    { "error", PROXY_READLINK, lie_error, EINVAL, EINVAL },
    { "error-intr", PROXY_READLINK, lie_error, EINTR, EINTR },
    { }
};

#define ENDS            EIO, true
#define ENDS_LATER      EIO, true, true

static const Lie lies_end[] = {
    { "size-less", PROXY_WALK, lie_size_add, -1, ENDS },
    { "size-more", PROXY_WALK, lie_size_add, 1, ENDS_LATER },
    { "size-0", PROXY_WALK, lie_size, 0, ENDS },
    { "size-header", PROXY_SETATTR, lie_size, HEADER, ENDS },
    { "size-max", PROXY_WALK, lie_size, PROXY_MAX_MESSAGE + 1, ENDS },
    { "size-4g", PROXY_WALK, lie_size, UINT32_MAX, ENDS },
    { "type-request", PROXY_WALK, lie_type, PROXY_WALK, ENDS },
    { "type-other", PROXY_WALK, lie_type, PROXY_OPEN | PROXY_REPLY, ENDS },
    { "type-hello", PROXY_SETATTR, lie_type, PROXY_HELLO | PROXY_REPLY, ENDS },
    { "type-none", PROXY_SETATTR, lie_type, 0xffff, ENDS },
    { "tag-slot", PROXY_WALK, lie_tag, 1, ENDS },
    { "tag-serial", PROXY_WALK, lie_tag, 1024, ENDS },
    { "tag-wild", PROXY_WALK, lie_tag, 0xdeadbeef, ENDS },
    { "nfds-0", PROXY_OPEN, lie_nfds, 0, ENDS },
    { "nfds-2", PROXY_OPEN, lie_nfds, 2, ENDS },
    { "nfds-65535", PROXY_WALK, lie_nfds, 65535, ENDS },
    { "fds-missing", PROXY_OPEN, lie_fds_missing, 0, ENDS },
    { "fds-missing-walk", PROXY_WALK, lie_fds_missing, 0, ENDS },
    { "fds-more", PROXY_OPEN, lie_fds_more, 2, 0, true },
    { "fds-253", PROXY_WALK, lie_fds_more, PROXY_MAX_FDS, 0, true },
    { "fds-unasked", PROXY_SETATTR, lie_fds_more, 1, 0, true },
    { "twice", PROXY_SETATTR, lie_twice, 0, 0, true },
    { "flood", PROXY_WALK, lie_flood, 0, ENDS },
    { "half-end", PROXY_WALK, lie_half_end, 0, ENDS },
    { "end", PROXY_WALK, lie_end, 0, ENDS },
    { "half-later", PROXY_WALK, lie_half, 0, ENDS_LATER },
    { "error-4096", PROXY_SETATTR, lie_error, 4096, ENDS },
    { "error-minus", PROXY_SETATTR, lie_error, (uint32_t)-EIO, ENDS },
    { "error-more", PROXY_WALK, lie_error_more, EIO, ENDS },
    { "cut-walk", PROXY_WALK, lie_cut, 9, ENDS },
    { "more-walk", PROXY_WALK, lie_more, 9, ENDS },
    { "cut-setattr", PROXY_SETATTR, lie_cut, 1, ENDS },
    { "more-setattr", PROXY_SETATTR, lie_more, 64 * KiB, ENDS },
    { "more-open", PROXY_OPEN, lie_more, 4, ENDS },
    { "cut-create", PROXY_CREATE, lie_cut, 1, ENDS },
    { "cut-make", PROXY_MAKE, lie_cut, 100, ENDS },
    { "more-link", PROXY_LINK, lie_more, 1, ENDS },
    { "more-rename", PROXY_RENAME, lie_more, 1, ENDS },
    { "more-unlink", PROXY_UNLINK, lie_more, 1, ENDS },
    { "cut-xattr", PROXY_GETXATTR, lie_cut, 1, ENDS },
    { "more-setxattr", PROXY_SETXATTR, lie_more, 1, ENDS },
    { "more-removexattr", PROXY_REMOVEXATTR, lie_more, 1, ENDS },
    { "walked-0", PROXY_WALK, lie_u16, 0, ENDS },
    { "walked-2", PROXY_WALK, lie_u16, 2, ENDS },
    { "walked-65535", PROXY_WALK, lie_u16, 65535, ENDS },
    { "handle-0", PROXY_WALK, lie_handle, 0, ENDS },
    { "donated-0", PROXY_WALK, lie_donated, 0, ENDS },
    { "donated-2", PROXY_WALK, lie_donated, 2, ENDS },
    { "parent-unasked", PROXY_WALK, lie_parent, 7, ENDS },
    { "no-type", PROXY_WALK, lie_attr_mode, 0644, ENDS },
    { "made-other", PROXY_MAKE, lie_attr_mode, S_IFREG | 0700, ENDS },
    { "created-other", PROXY_CREATE, lie_attr_mode, S_IFIFO | 0600, ENDS },
    { "xattr-size", PROXY_GETXATTR, lie_u32, 64 * KiB + 1, ENDS },
    { "xattr-size-4g", PROXY_GETXATTR, lie_u32, UINT32_MAX, ENDS },
    { "xattr-size-less", PROXY_GETXATTR, lie_u32, 1, ENDS },
};

/* With donate=off */
static const Lie lies_end_asked[] = {
    { "cut-getattr", PROXY_GETATTR, lie_cut, 1, ENDS },
    { "more-getattr", PROXY_GETATTR, lie_more, 8, ENDS },
    { "cut-statfs", PROXY_STATFS, lie_cut, 8, ENDS },
    { "more-statfs", PROXY_STATFS, lie_more, 1, ENDS },
    { "more-link", PROXY_READLINK, lie_more, 1, ENDS },
    { "link-nul", PROXY_READLINK, lie_nul, 0, ENDS },
    { "link-length", PROXY_READLINK, lie_u16, 65535, ENDS },
    { "link-length-0", PROXY_READLINK, lie_u16, 0, ENDS },
    { "no-type", PROXY_GETATTR, lie_attr_mode, 0, ENDS },
    { "fd-unwanted", PROXY_WALK, lie_donated, 1, ENDS },
};

/*
 * Running
 */

static void make(const char *name, const char *text)
{
    g_autofree char *path = g_build_filename(share, name, NULL);

    g_assert_true(g_file_set_contents(path, text, -1, NULL));
}

static bool make_files(void)
{
    g_autofree char *dir = g_build_filename(share, "d", NULL);
    g_autofree char *link = g_build_filename(share, "l", NULL);
    g_autofree char *file = g_build_filename(share, "f", NULL);

    make("f", "data");
    make("g", "other");
    make("r", "");
    make("u", "");
    g_assert_cmpint(mkdir(dir, 0755), ==, 0);
    make("d/x", "deep");
    g_assert_cmpint(symlink("f", link), ==, 0);
    return setxattr(file, "user.x", "value", 5, 0) == 0 &&
           setxattr(file, "user.a", "value", 5, 0) == 0;
}

typedef struct Case {
    const Lie *lies;
    bool donate_off;
    void (*run)(Test *t);
} Case;

static void *before(GString *cmd_line, void *arg)
{
    static unsigned runs;
    const Case *a_case = arg;
    Test *t = g_new0(Test, 1);
    g_autofree char *name = g_strdup("qtest-9p-hostile-XXXXXX");
    g_autofree char *cwd = g_get_current_dir();
    g_autofree char *opts = NULL;

    g_assert_nonnull(g_mkdtemp_full(name, 0755));
    t->dir = g_build_filename(cwd, name, NULL);
    t->lies = a_case->lies;
    t->run = a_case->run;
    t->donate_off = a_case->donate_off;
    share = t->dir;
    make_files();
    relay_start(&t->relay, t->dir);
    opts = g_strdup_printf("proxy,sock_fd=%d,protocol=2%s", t->relay.qemu_end,
                           a_case->donate_off ? ",donate=off" : "");
    qvirtio_9p_set_fsdev(cmd_line, opts);
    /* With arguments that were there before, QEMU would not be started anew */
    g_string_append_printf(cmd_line, " -fsdev synth,id=other -device "
                           "virtio-9p-pci,fsdev=other,mount_tag=other%u,"
                           "addr=%x", runs++, OTHER_SLOT);
    return t;
}

/* The other device, on the bus of the first */
static void start_other(Test *t, QVirtioPCIDevice *first,
                        QGuestAllocator *alloc)
{
    QPCIAddress addr = { .devfn = QPCI_DEVFN(OTHER_SLOT, 0) };
    QVirtioPCIDevice *dev = virtio_pci_new(first->pdev->bus, &addr);
    uint64_t features;

    g_assert_nonnull(dev);
    qvirtio_pci_start_hw(&dev->obj);
    features = qvirtio_get_features(&dev->vdev);
    qvirtio_set_features(&dev->vdev, features &
                         ~(QVIRTIO_F_BAD_FEATURE |
                           (1ull << VIRTIO_RING_F_EVENT_IDX)));
    t->other_v9p.vdev = &dev->vdev;
    t->other_v9p.alloc = alloc;
    t->other_v9p.vq = qvirtqueue_setup(&dev->vdev, alloc, 0);
    qvirtio_set_driver_ok(&dev->vdev);
    t->other = p9c_new(&t->other_v9p);
    p9c_session(t->other);
}

static void stop_other(Test *t)
{
    QVirtioPCIDevice *dev = container_of(t->other_v9p.vdev, QVirtioPCIDevice,
                                         vdev);

    p9c_free(t->other);
    qvirtqueue_cleanup(dev->vdev.bus, t->other_v9p.vq, t->other_v9p.alloc);
    qvirtio_pci_destructor(&dev->obj);
    g_free(dev);
}

static void run(void *obj, void *data, QGuestAllocator *alloc)
{
    const char *rm[] = { "rm", "-rf", "--", NULL, NULL };
    Test *t = data;

    close(t->relay.qemu_end);
    share = t->dir;
    t->v9p = &container_of(obj, QVirtio9PPCI, pci_vdev.obj)->v9p;
    start_other(t, obj, alloc);
    t->c = p9c_new(t->v9p);
    p9c_session_msize(t->c, MSIZE);
    ok(walk(t, ROOT, FID_F, "f"));
    ok(walk(t, ROOT, FID_OPEN, "f"));
    ok(p9c_lopen(t->c, FID_OPEN, P9C_O_RDWR, NULL, NULL));
    ok(walk(t, ROOT, FID_LINK, "l"));

    t->run(t);

    p9c_free(t->c);
    stop_other(t);
    relay_stop(&t->relay);
    rm[3] = t->dir;
    g_spawn_sync(NULL, (char **)rm, NULL, G_SPAWN_SEARCH_PATH, NULL, NULL,
                 NULL, NULL, NULL, NULL);
    g_free(t->dir);
    g_free(t);
}

static void add_case(const char *name, const Lie *lies, bool donate_off,
                     void (*fn)(Test *t))
{
    Case *a_case = g_new0(Case, 1);
    QOSGraphTestOptions opts = { .before = before, .arg = a_case };
    g_autofree char *path = g_strdup_printf("hostile-helper/%s", name);

    a_case->lies = lies;
    a_case->donate_off = donate_off;
    a_case->run = fn;
    qvirtio_9p_add_test(path, "virtio-9p-pci", run, &opts);
}

static void virtio_9p_hostile_register(void)
{
    /* A list of its own for each of these: it is the only one and the last */
    static Lie single[ARRAY_SIZE(lies_end)][2];
    static Lie single_asked[ARRAY_SIZE(lies_end_asked)][2];
    unsigned i;

    add_case("harmless", lies_harmless, false, test_lies);
    add_case("harmless-asked", lies_harmless_asked, true, test_lies);
    add_case("silence", NULL, false, test_silence);
    add_case("inodes", NULL, true, test_inodes);
    for (i = 0; i < ARRAY_SIZE(lies_end); i++) {
        g_autofree char *name = g_strconcat("ends/", lies_end[i].name, NULL);

        single[i][0] = lies_end[i];
        add_case(name, single[i], false, test_lies);
    }
    for (i = 0; i < ARRAY_SIZE(lies_end_asked); i++) {
        g_autofree char *name = g_strconcat("ends-asked/",
                                            lies_end_asked[i].name, NULL);

        single_asked[i][0] = lies_end_asked[i];
        add_case(name, single_asked[i], true, test_lies);
    }
}

libqos_init(virtio_9p_hostile_register);
