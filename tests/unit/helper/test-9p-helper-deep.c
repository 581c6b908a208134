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

static char *dir;               /* the export of all tests */

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

static void test_up(gconstpointer options)
{
    ProxyClient *c = pc_open(dir, options);
    uint64_t shallow = go_down(c, 10);
    uint64_t bottom = go_down(c, DEEP_LEVELS);
    gint64 near[TURNS], deep[TURNS];
    unsigned i;

    for (i = 0; i < TURNS; i++) {
        near[i] = g_get_monotonic_time();
        walk_n(c, shallow, "..", FS_WALK_MAX);
        deep[i] = g_get_monotonic_time();
        near[i] = deep[i] - near[i];
        walk_n(c, bottom, "..", FS_WALK_MAX);
        deep[i] = g_get_monotonic_time() - deep[i];
    }
    deep_compare("helper", near, deep, TURNS);
    g_assert_cmpint(pc_close(c), ==, 0);
}

/* One client leaves walks behind; the next one is served within a second. */
static void test_next_client(gconstpointer options)
{
    const char *const *sandbox = options;
    g_autofree char *path = g_strconcat(dir, "/socket", NULL);
    const char *args[] = { "-n", "-p", dir, "-s", path, "--persist",
                           sandbox[0], NULL };
    pid_t pid = pc_spawn(args, PC_NOBODY, -1, -1);
    uint64_t bottom, unknown;
    ProxyClient *c;
    gint64 start;
    unsigned i;
    int fd;

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
}

/* The longest path of protocol 1 that goes down and up again */
static void test_v1(gconstpointer options)
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
    for (i = 0; i < V1_LEVELS; i++) {
        g_string_prepend(path, DEEP_NAME "/");
        g_string_append(path, "../");
    }
    g_string_append(path, down->str);
    p->c = pc_start(dir, PC_NOBODY, options);
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
}

int main(int argc, char **argv)
{
    static const char *const namespace[] = { "--sandbox=namespace", NULL };
    static const char *const none[] = { "--sandbox=none", NULL };
    ProxyFixture f = { };
    int fd, ret;

    pf_init(&argc, &argv, "/9p/helper/deep");
    pf_make(&f, NULL);
    dir = f.dir;
    fd = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
    deep_make(fd);
    g_test_add_data_func("/9p/helper/deep/up/namespace", namespace, test_up);
    g_test_add_data_func("/9p/helper/deep/up/none", none, test_up);
    g_test_add_data_func("/9p/helper/deep/next-client/namespace", namespace,
                         test_next_client);
    g_test_add_data_func("/9p/helper/deep/next-client/none", none,
                         test_next_client);
    g_test_add_data_func("/9p/helper/deep/v1/namespace", namespace, test_v1);
    g_test_add_data_func("/9p/helper/deep/v1/none", none, test_v1);
    ret = g_test_run();
    deep_remove(fd);
    close(fd);
    pf_teardown(&f, NULL);
    return ret;
}
