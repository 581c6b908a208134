/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Tests of virtfs-proxy-helper with a directory that is deeper than any path:
 * what ".." costs there, and whether the next client is served.
 */
#include "qemu/osdep.h"
#include "../shared/deep-dir.h"
#include "proxy-client-v1.h"
#include "proxy-fixture.h"

#define TURNS           5
#define KNOWN           (FS_WALK_MAX + 1)
/* Walks that a client leaves behind when it goes */
#define LEFT_BEHIND     16
/* Levels that a path of protocol 1 may have, up and down */
#define V1_LEVELS       800

static uint32_t send_walk(ProxyClient *c, uint64_t from, const char *name,
                          unsigned n)
{
    MarshalWriter *w = pc_begin(c);
    unsigned i;

    marshal_put_u64(w, from);
    marshal_put_u16(w, n);
    for (i = 0; i < n; i++) {
        marshal_put_str(w, name);
    }
    return pc_send(c, PROXY_WALK);
}

/* The handle that a walk of @n times @name finds, and of the one above */
static uint64_t walk_n(ProxyClient *c, uint64_t from, const char *name,
                       unsigned n)
{
    unsigned i, next = 0;
    PcNode node, parent;
    ProxyHeader h;
    FsAttr attr;

    send_walk(c, from, name, n);
    g_assert_cmpint(pc_receive(c, &h), ==, 0);
    g_assert_cmpuint(marshal_get_u16(&c->in), ==, n);
    for (i = 0; i < n; i++) {
        proxy_get_attr(&c->in, &attr);
    }
    pc_get_node(c, &node, &next);
    pc_get_node(c, &parent, &next);
    if (node.fd >= 0) {
        close(node.fd);
    }
    if (parent.fd >= 0) {
        close(parent.fd);
    }
    return node.handle;
}

/* The last KNOWN names one by one, so that the helper knows the directories */
static uint64_t go_down(ProxyClient *c, unsigned n)
{
    uint64_t at = PROXY_ROOT_HANDLE;

    while (n) {
        unsigned count = n > KNOWN ? MIN(n - KNOWN, FS_WALK_MAX) : 1;

        at = walk_n(c, at, DEEP_NAME, count);
        n -= count;
    }
    return at;
}

static void make_deep(ProxyFixture *f, bool make)
{
    int fd = open(f->dir, O_PATH | O_DIRECTORY | O_CLOEXEC);

    g_assert_cmpint(fd, >=, 0);
    (make ? deep_make : deep_remove)(fd);
    close(fd);
}

static void test_up(ProxyFixture *f, gconstpointer options)
{
    gint64 near[TURNS], deep[TURNS];
    uint64_t shallow, bottom;
    unsigned i;

    make_deep(f, true);
    shallow = go_down(f->c, 10);
    bottom = go_down(f->c, DEEP_LEVELS);
    for (i = 0; i < TURNS; i++) {
        near[i] = g_get_monotonic_time();
        walk_n(f->c, shallow, "..", FS_WALK_MAX);
        deep[i] = g_get_monotonic_time();
        near[i] = deep[i] - near[i];
        walk_n(f->c, bottom, "..", FS_WALK_MAX);
        deep[i] = g_get_monotonic_time() - deep[i];
    }
    deep_compare("helper", near, deep, TURNS);
    make_deep(f, false);
}

/* One client leaves walks behind; the next one is served within a second. */
static void test_next_client(ProxyFixture *f, gconstpointer options)
{
    const char *const *sandbox = options;
    g_autofree char *path = g_strconcat(f->tmp, "/socket", NULL);
    const char *args[] = { "-n", "-p", f->dir, "-s", path, "--persist",
                           sandbox[0], NULL };
    pid_t pid = pc_spawn(args, PC_NOBODY, -1, -1);
    uint64_t bottom, unknown;
    ProxyClient *c;
    gint64 start;
    unsigned i;
    int fd;

    make_deep(f, true);
    while ((fd = pc_connect(path)) < 0) {
        g_usleep(1000);
    }
    c = pc_new(fd, 0);
    pc_hello(c, 0);
    bottom = go_down(c, DEEP_LEVELS);
    unknown = walk_n(c, go_down(c, DEEP_LEVELS - FS_WALK_MAX - KNOWN),
                     DEEP_NAME, FS_WALK_MAX);
    for (i = 0; i < LEFT_BEHIND; i++) {
        send_walk(c, i & 1 ? bottom : unknown, "..", FS_WALK_MAX);
    }
    pc_close(c);

    start = g_get_monotonic_time();
    c = pc_new(pc_connect(path), 0);
    pc_hello(c, 0);
    start = g_get_monotonic_time() - start;
    g_test_message("the next client waited for %" PRId64 " us", start);
    g_assert_cmpint(start, <, G_USEC_PER_SEC);
    pc_close(c);
    kill(pid, SIGTERM);
    g_assert_cmpint(pc_wait(pid), ==, PC_KILLED(SIGTERM));
    make_deep(f, false);
}

/* The longest path of protocol 1 that goes down and up again */
static void test_v1(ProxyFixture *f, gconstpointer options)
{
    g_autoptr(GString) down = g_string_new("file");
    g_autoptr(GString) path = g_string_new(NULL);
    gint64 near[TURNS], deep[TURNS];
    ProxyClientV1 *p = g_new0(ProxyClientV1, 1);
    unsigned i, turn;

    if (!HELPER_HAS_V1) {
        g_test_skip("this helper has no protocol 1");
        return;
    }
    make_deep(f, true);
    for (i = 0; i < V1_LEVELS; i++) {
        g_string_prepend(path, DEEP_NAME "/");
        g_string_append(path, "../");
    }
    g_string_append(path, down->str);
    p->c = pc_start(f->dir, PC_NOBODY, options);
    for (turn = 0; turn < TURNS; turn++) {
        const char *const paths[] = { DEEP_NAME "/../file", path->str };
        gint64 *const times[] = { near, deep };

        for (i = 0; i < 2; i++) {
            const P1Args args = { .path = paths[i] };
            gint64 start = g_get_monotonic_time();

            p1_put_request(p, PROXY_V1_LSTAT, &args);
            g_assert_cmpint(p1_call(p, PROXY_V1_LSTAT), ==, 0);
            times[i][turn] = g_get_monotonic_time() - start;
        }
    }
    /* A path of many names needs as many steps. */
    for (turn = 0; turn < TURNS; turn++) {
        near[turn] *= V1_LEVELS / DEEP_RATIO;
    }
    deep_compare("protocol 1", near, deep, TURNS);
    g_assert_cmpint(pc_close(p->c), ==, 0);
    g_free(p);
    make_deep(f, false);
}

int main(int argc, char **argv)
{
    static const char *const namespace[] = { "--sandbox=namespace", NULL };
    static const char *const none[] = { "--sandbox=none", NULL };

    pf_init(&argc, &argv, "/9p/helper/deep");
    pf_add("up/namespace", namespace, test_up);
    pf_add("up/none", none, test_up);
    pf_add_made("next-client/namespace", namespace, test_next_client);
    pf_add_made("next-client/none", none, test_next_client);
    pf_add_made("v1/namespace", namespace, test_v1);
    pf_add_made("v1/none", none, test_v1);
    return g_test_run();
}
