/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Tests of virtfs-proxy-helper with a client of protocol version 1 that asks
 * for things that it must not get: see test-9p-helper-hostile.c.
 */
#include "qemu/osdep.h"
#include "hostile.h"
#include "proxy-client-v1.h"
#include "proxy-fixture.h"
#include "proxy-proc.h"
#include "proxy-witness.h"
#include <sys/mount.h>
#include <sys/socket.h>

static ProxyClientV1 *open_v1(ProxyFixture *f, gconstpointer options)
{
    ProxyClientV1 *p = g_new0(ProxyClientV1, 1);

    p->c = pc_start(f->dir, PC_NOBODY, options);
    return p;
}

static void close_v1(ProxyClientV1 *p)
{
    g_assert_cmpint(pc_close(p->c), ==, 0);
    g_free(p);
}

static int call_v1(ProxyClientV1 *p, Witness *w, uint32_t type,
                   const P1Args *args)
{
    int ret;

    p1_put_request(p, type, args);
    ret = p1_call(p, type);
    if (ret >= 0 && (type == PROXY_V1_OPEN || type == PROXY_V1_CREATE)) {
        pw_take_fd(w, ret);
    } else if (ret >= 0 && type == PROXY_V1_LSTAT) {
        uint64_t dev = marshal_get_u64(&p->r);

        g_assert_false(pw_is_outside(w, dev, marshal_get_u64(&p->r)));
    }
    return ret;
}

static void expect_alive_v1(ProxyClientV1 *p, Witness *w)
{
    g_assert_cmpint(call_v1(p, w, PROXY_V1_LSTAT, &(P1Args) { .path = "/" }),
                    ==, 0);
}

/* Every request with paths that lead out, or would if links were followed */
static void test_paths_v1(ProxyFixture *f, gconstpointer options)
{
    static const char *const paths[] = {
        "..", "/..", "//..", "../..", "/../secret", "//../secret",
        "/dir/../../secret", "/dir/sub/../../../outside/file",
        "/../../../../../../etc/passwd", "//up/", "/up/x", "/up/../secret",
        "/root/etc/passwd", "//root/../etc", "/link/sub/deep", "/link/..",
        "/magic/root/etc/passwd", "//file/../../secret", "/none/../../secret",
    };
    Witness *w = pw_new(f);
    ProxyClientV1 *p;
    uint32_t type;
    unsigned i, turn;

    pf_put_link(f, "/proc/self", "magic");
    p = open_v1(f, options);
    for (i = 0; i < G_N_ELEMENTS(paths); i++) {
        for (type = PROXY_V1_OPEN; type < PROXY_V1_TYPE_END; type++) {
            for (turn = 0; turn < 2; turn++) {
                bool two = type == PROXY_V1_LINK || type == PROXY_V1_RENAME;
                bool xattr = type >= PROXY_V1_LGETXATTR &&
                             type <= PROXY_V1_LREMOVEXATTR;
                P1Args args = {
                    .path = two && turn ? "/file" : paths[i],
                    .other = xattr ? "user.x" : two && turn ? paths[i] :
                             "/new",
                    .flags = type == PROXY_V1_CREATE ? O_RDWR | O_TRUNC :
                             type == PROXY_V1_OPEN && turn ? O_RDWR | O_TRUNC :
                             0,
                    .mode = type == PROXY_V1_MKNOD ? S_IFREG | 0666 : 0777,
                    .size = type == PROXY_V1_READLINK ? PATH_MAX : turn,
                };

                call_v1(p, w, type, &args);
                /*
                 * Above the root is the root: "/../secret" is "secret" in it,
                 * which may be made. And a link may be renamed itself.
                 */
                call_v1(p, w, PROXY_V1_RENAME, &(P1Args) {
                    .path = "/new", .other = paths[i] });
                call_v1(p, w, PROXY_V1_REMOVE, &(P1Args) { .path = "/new" });
                call_v1(p, w, PROXY_V1_REMOVE, &(P1Args) { .path = "/secret" });
                if (!pf_exists(f, "file")) {
                    pf_put_file(f, "file", "hello");
                }
            }
        }
    }
    pw_check(w);
    expect_alive_v1(p, w);
    close_v1(p);
    pw_free(w);
}

/* Links as the last name: requests change, read and remove the link itself. */
static void test_links_v1(ProxyFixture *f, gconstpointer options)
{
    static const char *const links[] = { "//up", "//root", "//link" };
    Witness *w = pw_new(f);
    ProxyClientV1 *p = open_v1(f, options);
    uint32_t type;
    unsigned i;

    for (i = 0; i < G_N_ELEMENTS(links); i++) {
        for (type = PROXY_V1_OPEN; type < PROXY_V1_TYPE_END; type++) {
            P1Args args = {
                .path = links[i],
                .other = type == PROXY_V1_LINK ? "/hard" :
                         type == PROXY_V1_RENAME ? "/moved" : "user.x",
                .flags = type == PROXY_V1_CREATE || type == PROXY_V1_OPEN ?
                         O_RDWR | O_TRUNC : 0,
                .mode = type == PROXY_V1_MKNOD ? S_IFREG | 0666 : 0777,
                .size = type == PROXY_V1_READLINK ? PATH_MAX : 0,
            };
            int ret = call_v1(p, w, type, &args);

            switch (type) {
            case PROXY_V1_OPEN:
            case PROXY_V1_CREATE:
            case PROXY_V1_TRUNCATE:
                g_assert_cmpint(ret, <, 0);
                break;
            case PROXY_V1_MKNOD:
            case PROXY_V1_MKDIR:
            case PROXY_V1_SYMLINK:
                g_assert_cmpint(ret, ==, -EEXIST);
                break;
            case PROXY_V1_RENAME:
                g_assert_cmpint(ret, ==, 0);
                args = (P1Args) { .path = "/moved", .other = links[i] };
                g_assert_cmpint(call_v1(p, w, PROXY_V1_RENAME, &args), ==, 0);
                break;
            case PROXY_V1_REMOVE:
                g_assert_cmpint(ret, ==, 0);
                args = (P1Args) { .path = "/hard", .other = links[i] };
                g_assert_cmpint(call_v1(p, w, PROXY_V1_RENAME, &args), ==, 0);
                break;
            }
        }
    }
    pw_check(w);
    expect_alive_v1(p, w);
    close_v1(p);
    pw_free(w);
}

static void test_integers_v1(ProxyFixture *f, gconstpointer options)
{
    static const uint64_t wide[] = {
        0, INT32_MAX, 1ull << 31, UINT32_MAX, 1ull << 32, INT64_MAX,
        1ull << 63, UINT64_MAX,
    };
    Witness *w = pw_new(f);
    ProxyClientV1 *p = open_v1(f, options);
    uint32_t type;
    unsigned i;

    for (i = 0; i < G_N_ELEMENTS(wide); i++) {
        for (type = PROXY_V1_OPEN; type < PROXY_V1_REMOVE; type++) {
            P1Args args = {
                .path = type == PROXY_V1_MKDIR || type == PROXY_V1_MKNOD ?
                        "/dir/x" : "/file",
                .other = "/dir/y", .flags = wide[i], .mode = wide[i],
                .id = wide[i], .size = wide[i],
            };

            if (type != PROXY_V1_RENAME) {
                call_v1(p, w, type, &args);
            }
        }
        for (; type < PROXY_V1_TYPE_END; type++) {
            P1Args args = {
                .path = type == PROXY_V1_REMOVE ? "/dir/x" : "/file",
                .other = "user.x", .flags = wide[i], .size = wide[i],
            };

            call_v1(p, w, type, &args);
        }
        expect_alive_v1(p, w);
    }
    pw_check(w);
    close_v1(p);
    pw_free(w);
}

/* An endless stream of requests from a client that reads no reply */
static void test_unread_v1(ProxyFixture *f, gconstpointer options)
{
    ProxyClientV1 *p = open_v1(f, options);
    Witness *w = pw_new(f);
    unsigned idle = 0;
    size_t sent = 0, size;
    pid_t server;

    expect_alive_v1(p, w);
    server = pp_child(p->c->pid);
    p1_put_request(p, PROXY_V1_OPEN, &(P1Args) { .path = "/file" });
    size = PROXY_V1_HEADER_SIZE + marshal_size(&p->w);
    memcpy(p->out, (uint32_t[]) { PROXY_V1_OPEN, marshal_size(&p->w) }, 8);
    while (idle < 30) {
        size_t now = pc_send_now(p->c, p->out, size);

        if (now && now < size) {
            break;
        }
        sent += now;
        idle = now ? 0 : idle + 1;
        g_usleep(now ? 0 : 10000);
    }
    g_test_message("%zu bytes until it took no more", sent);
    g_assert_cmpint(hostile_memory_of(server), <, HOSTILE_MEMORY_MAX);
    if (geteuid() == 0) {
        g_assert_cmpint(pp_open_files(server), <, 64);
    }
    g_assert_cmpint(pc_close(p->c), ==, 0);
    g_free(p);
    pw_free(w);
}

/* Requests with a descriptor, and messages that stop halfway */
static void test_breaches_v1(ProxyFixture *f, gconstpointer options)
{
    union {
        char buf[CMSG_SPACE(sizeof(int))];
        struct cmsghdr align;
    } control = { 0 };
    Witness *w = pw_new(f);
    unsigned cut, size;
    ProxyClientV1 *p;
    int fd = STDIN_FILENO;

    for (cut = 1, size = 2; cut < size; cut++) {
        p = open_v1(f, options);
        p1_put_request(p, PROXY_V1_CREATE, &(P1Args) {
            .path = "/half", .flags = O_RDWR, .mode = 0666 });
        size = PROXY_V1_HEADER_SIZE + marshal_size(&p->w);
        memcpy(p->out, (uint32_t[]) { PROXY_V1_CREATE,
                                      marshal_size(&p->w) }, 8);
        g_assert_true(pc_send_raw(p->c, p->out, cut));
        g_assert_cmpint(pc_close(p->c), ==, 1);
        g_free(p);
    }
    g_assert_false(pf_exists(f, "half"));

    p = open_v1(f, options);
    p1_put_request(p, PROXY_V1_LSTAT, &(P1Args) { .path = "/" });
    {
        uint32_t head[2] = { PROXY_V1_LSTAT, marshal_size(&p->w) };
        struct iovec iov = { p->out, sizeof(head) + head[1] };
        struct msghdr msg = {
            .msg_iov = &iov, .msg_iovlen = 1,
            .msg_control = control.buf, .msg_controllen = sizeof(control.buf),
        };
        struct cmsghdr *cmsg = CMSG_FIRSTHDR(&msg);

        memcpy(p->out, head, sizeof(head));
        cmsg->cmsg_level = SOL_SOCKET;
        cmsg->cmsg_type = SCM_RIGHTS;
        cmsg->cmsg_len = CMSG_LEN(sizeof(fd));
        memcpy(CMSG_DATA(cmsg), &fd, sizeof(fd));
        g_assert_cmpint(sendmsg(p->c->fd, &msg, 0), ==, iov.iov_len);
    }
    pc_expect_broken(p->c);
    g_free(p);
    pw_check(w);
    pw_free(w);
}

int main(int argc, char **argv)
{
    pf_init(&argc, &argv, "/9p-helper-hostile");

    pf_add_made("v1/paths", hostile_namespaces, test_paths_v1);
    pf_add_made("v1/paths/no-sandbox", hostile_no_sandbox, test_paths_v1);
    pf_add_made("v1/links", hostile_namespaces, test_links_v1);
    pf_add_made("v1/links/no-sandbox", hostile_no_sandbox, test_links_v1);
    pf_add_made("v1/integers", NULL, test_integers_v1);
    pf_add_made("v1/unread", NULL, test_unread_v1);
    pf_add_made("v1/breaches", NULL, test_breaches_v1);
    return g_test_run();
}
