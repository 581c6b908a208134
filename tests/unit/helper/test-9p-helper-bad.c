/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Tests of virtfs-proxy-helper with a client that breaks the protocol, in every
 * possible way: the helper closes the connection and ends with status 1, and
 * never crashes.
 */
#include "qemu/osdep.h"
#include "fsdev/shared/proto-v1.h"
#include "proxy-fixture.h"
#include <sys/socket.h>

/* So that there are as many types as can be */
static const char *const all_types[] = { "--file-handles=auto", NULL };

/* A payload of the right form for each type, in c->out */
static void put_good_payload(ProxyClient *c, unsigned type)
{
    static const FsSetAttr set = { .valid = FS_SET_MODE, .mode = 0755 };
    static const PcArgs args[PROXY_TYPE_END] = {
        [PROXY_FORGET] = { .handle = 12345 },
        [PROXY_WALK] = { .name = "dir", .other_name = "sub" },
        [PROXY_SETATTR] = { .set = &set },
        [PROXY_OPEN] = { .flags = O_RDONLY },
        [PROXY_CREATE] = { .name = "n", .flags = O_RDWR, .mode = 0600 },
        [PROXY_MAKE] = { .name = "m", .mode = S_IFLNK | 0777,
                         .other_name = "t" },
        [PROXY_LINK] = { .name = "l", .other = PROXY_ROOT_HANDLE },
        [PROXY_RENAME] = { .name = "x", .other = PROXY_ROOT_HANDLE,
                           .other_name = "y" },
        [PROXY_UNLINK] = { .name = "x" },
        [PROXY_GETXATTR] = { .name = "user.x" },
        [PROXY_SETXATTR] = { .name = "user.x" },
        [PROXY_REMOVEXATTR] = { .name = "user.x" },
        [PROXY_ADOPT] = { .handle = PROXY_ADOPTED | 1 },
        [PROXY_WRITE] = { .flags = O_APPEND },
    };
    PcArgs its = args[type];

    if (!its.handle) {
        its.handle = PROXY_ROOT_HANDLE;
    }
    pc_put_request(c, type, &its);
}

/* Every type's payload, cut at every length: the connection is closed. */
static void test_truncated(ProxyFixture *f, gconstpointer opaque)
{
    unsigned type;
    size_t size, cut;

    for (type = PROXY_FORGET; type < PROXY_TYPE_END; type++) {
        for (cut = 0, size = 1; cut < size; cut++) {
            ProxyClient *c = pc_open(f->dir, all_types);

            put_good_payload(c, type);
            size = marshal_size(&c->out);
            marshal_cut(&c->out, cut);
            pc_send(c, type);
            pc_expect_broken(c);
        }
    }
}

/* Every type's payload whole, and then with a byte too many */
static void test_trailing(ProxyFixture *f, gconstpointer opaque)
{
    unsigned type;

    for (type = PROXY_FORGET; type < PROXY_TYPE_END; type++) {
        ProxyClient *c = pc_open(f->dir, all_types);
        /* Even a good one ends it here */
        bool ends = type == PROXY_RING ||
                    (type == PROXY_FIND && !(c->features & PROXY_FEATURE_FIND));
        unsigned i;

        put_good_payload(c, type);
        if (type == PROXY_FORGET || type == PROXY_ADOPT) {
            pc_send(c, type);
        } else if (!ends) {
            pc_call(c, type);
            for (i = 0; i < c->nfds; i++) {
                close(c->fds[i]);
            }
        }
        put_good_payload(c, type);
        marshal_put_u8(&c->out, 0);
        pc_send(c, type);
        pc_expect_broken(c);
    }
}

static void send_header(ProxyClient *c, uint32_t size, unsigned type,
                        unsigned nfds)
{
    uint8_t buf[PROXY_HEADER_SIZE];
    ProxyHeader h = { .size = size, .type = type, .nfds = nfds, .tag = 1 };

    proxy_header_put(&h, buf);
    pc_send_raw(c, buf, sizeof(buf));
}

static void test_bad_headers(ProxyFixture *f, gconstpointer opaque)
{
    static const struct {
        uint32_t size;
        unsigned type;
        unsigned nfds;
    } bad[] = {
        { PROXY_HEADER_SIZE, 0, 0 },
        { PROXY_HEADER_SIZE, PROXY_HELLO, 0 },
        { PROXY_HEADER_SIZE, PROXY_TYPE_END, 0 },
        { PROXY_HEADER_SIZE, 0xffff, 0 },
        { PROXY_HEADER_SIZE, PROXY_GETATTR | PROXY_REPLY, 0 },
        { 0, PROXY_GETATTR, 0 },
        { PROXY_HEADER_SIZE - 1, PROXY_GETATTR, 0 },
        { PROXY_MAX_MESSAGE + 1, PROXY_GETATTR, 0 },
        { UINT32_MAX, PROXY_GETATTR, 0 },
        { PROXY_HEADER_SIZE + 8, PROXY_GETATTR, 1 },
        { PROXY_HEADER_SIZE + 8, PROXY_GETATTR, 0xffff },
    };
    unsigned i;

    for (i = 0; i < G_N_ELEMENTS(bad); i++) {
        ProxyClient *c = pc_open(f->dir, NULL);

        send_header(c, bad[i].size, bad[i].type, bad[i].nfds);
        pc_expect_broken(c);
    }
}

static void test_bad_strings(ProxyFixture *f, gconstpointer opaque)
{
    ProxyClient *c = pc_open(f->dir, NULL);
    MarshalWriter *w = pc_begin(c);

    /* A NUL within a name */
    marshal_put_u64(w, PROXY_ROOT_HANDLE);
    marshal_put_u16(w, 1);
    marshal_put_strn(w, "fi\0e", 4);
    pc_send(c, PROXY_WALK);
    pc_expect_broken(c);

    /* No names, and more than 9P has */
    c = pc_open(f->dir, NULL);
    w = pc_begin(c);
    marshal_put_u64(w, PROXY_ROOT_HANDLE);
    marshal_put_u16(w, 0);
    pc_send(c, PROXY_WALK);
    pc_expect_broken(c);
    c = pc_open(f->dir, NULL);
    w = pc_begin(c);
    marshal_put_u64(w, PROXY_ROOT_HANDLE);
    marshal_put_u16(w, FS_WALK_MAX + 1);
    pc_send(c, PROXY_WALK);
    pc_expect_broken(c);

    /* More references than the message has entries for */
    c = pc_open(f->dir, NULL);
    w = pc_begin(c);
    marshal_put_u16(w, PROXY_FORGET_MAX + 1);
    pc_send(c, PROXY_FORGET);
    pc_expect_broken(c);
}

/*
 * Sends @n descriptors with a message of @type, whose header says @nfds, to a
 * helper that may donate, or not.
 */
static void send_descriptors(ProxyFixture *f, bool donate, unsigned type,
                             unsigned nfds, unsigned n)
{
    static const char *const options[] = { NULL };
    ProxyClient *c = pc_start(f->dir, PC_NOBODY, options);
    uint8_t buf[PROXY_HEADER_SIZE + 8] = { 0 };
    ProxyHeader h = { .size = sizeof(buf), .type = type, .nfds = nfds };
    int fds[PROXY_MAX_FDS];
    unsigned i;

    pc_hello(c, donate ? 0 : PROXY_HELLO_NO_DONATE);
    for (i = 0; i < n; i++) {
        fds[i] = STDERR_FILENO;
    }
    proxy_header_put(&h, buf);
    pc_send_fds(c, buf, sizeof(buf), fds, n);
    pc_expect_broken(c);
}

static void test_sent_descriptors(ProxyFixture *f, gconstpointer opaque)
{
    if (g_getenv("PROXY_CLIENT_RING")) {
        g_test_skip("requests are not in the socket");
        return;
    }
    /* No descriptor may come where the helper cannot adopt, */
    send_descriptors(f, false, PROXY_GETATTR, 0, 2);
    send_descriptors(f, false, PROXY_ADOPT, 1, 1);
    /* and only with ADOPT where it can. */
    send_descriptors(f, true, PROXY_GETATTR, 2, 2);
    send_descriptors(f, true, PROXY_ADOPT, 0, 0);
    send_descriptors(f, true, PROXY_ADOPT, 1, 0);
    send_descriptors(f, true, PROXY_ADOPT, 2, 2);
    /* More than belong to messages under way */
    send_descriptors(f, true, PROXY_GETATTR, 0, 2 * PROXY_ADOPT_MAX + 1);
    /* A number that the client may not choose */
    send_descriptors(f, true, PROXY_ADOPT, 1, 1);
}

static void hello_is_refused(ProxyFixture *f, const uint32_t *words, unsigned n)
{
    ProxyClient *c = pc_start(f->dir, PC_NOBODY, NULL);

    pc_send_raw(c, words, n * sizeof(*words));
    pc_expect_broken(c);
}

static void test_bad_hello(ProxyFixture *f, gconstpointer opaque)
{
    /* One more than version 1 has, and its SUCCESS */
    static const uint32_t after_v1[] = { 22, 4, 0x2f2f0002 };
    static const uint32_t success[] = { 0, 4, 0 };
    uint32_t small[] = { PROXY_HELLO_TYPE, 4, GUINT32_TO_LE(2) };
    uint32_t large[] = { PROXY_HELLO_TYPE, 0x7fffffff, GUINT32_TO_LE(2), 0 };
    uint32_t old[] = { PROXY_HELLO_TYPE, 8, GUINT32_TO_LE(1), 0 };
    uint32_t swapped[] = { GUINT32_SWAP_LE_BE(PROXY_HELLO_TYPE), 8, 2, 0 };
    static const uint8_t half[] = { 0x39, 0x50 };
    ProxyClient *c;

    hello_is_refused(f, after_v1, 3);
    hello_is_refused(f, success, 3);
    hello_is_refused(f, small, 3);
    hello_is_refused(f, large, 4);
    hello_is_refused(f, old, 4);
    hello_is_refused(f, swapped, 4);

    /* An empty stream is no breach: QEMU went away. Half a HELLO is one. */
    c = pc_start(f->dir, PC_NOBODY, NULL);
    g_assert_cmpint(pc_close(c), ==, 0);
    c = pc_start(f->dir, PC_NOBODY, NULL);
    pc_send_raw(c, half, sizeof(half));
    g_assert_cmpint(pc_close(c), ==, 1);
}

/* A good request of version 1, to a helper that has only version 2 */
static void test_v1_refused(ProxyFixture *f, gconstpointer opaque)
{
    static const uint32_t lstat_root[] = { PROXY_V1_LSTAT, 3, 0x2f0001 };
    ProxyClient *c = pc_start(f->dir, PC_NOBODY, NULL);

    pc_send_raw(c, lstat_root, PROXY_V1_HEADER_SIZE + 3);
    pc_expect_broken(c);
}

static void test_half_message(ProxyFixture *f, gconstpointer opaque)
{
    ProxyClient *c = pc_open(f->dir, NULL);

    send_header(c, 100, PROXY_GETATTR, 0);
    g_assert_cmpint(pc_close(c), ==, 1);
    c = pc_open(f->dir, NULL);
    pc_send_raw(c, "abc", 3);
    g_assert_cmpint(pc_close(c), ==, 1);
}

/* Random bytes: the helper ends, but does not crash (by a signal). */
static void test_noise(ProxyFixture *f, gconstpointer opaque)
{
    uint8_t buf[512];
    unsigned round, i;
    ProxyHeader h;

    for (round = 0; round < 50; round++) {
        ProxyClient *c = pc_open(f->dir, NULL);
        int status;

        for (i = 0; i < sizeof(buf); i++) {
            buf[i] = g_test_rand_int();
        }
        /* Well framed, so that the payload is looked at */
        h = (ProxyHeader) {
            .size = g_test_rand_int_range(PROXY_HEADER_SIZE, sizeof(buf)),
            .type = g_test_rand_int_range(PROXY_FORGET, PROXY_TYPE_END),
        };
        proxy_header_put(&h, buf);
        pc_send_raw(c, buf, h.size);
        status = pc_close(c);
        g_assert_cmpint(status, >=, 0);
        g_assert_cmpint(status, <=, 1);
    }
}

int main(int argc, char **argv)
{
    pf_init(&argc, &argv, "/9p-helper-bad");

    pf_add_made("truncated", NULL, test_truncated);
    pf_add_made("trailing", NULL, test_trailing);
    pf_add_made("headers", NULL, test_bad_headers);
    pf_add_made("strings", NULL, test_bad_strings);
    pf_add_made("sent-descriptors", NULL, test_sent_descriptors);
    pf_add_made("hello", NULL, test_bad_hello);
    if (!HELPER_HAS_V1) {
        pf_add_made("v1-refused", NULL, test_v1_refused);
    }
    pf_add_made("half-message", NULL, test_half_message);
    pf_add_made("noise", NULL, test_noise);
    return g_test_run();
}
