/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Shares of the proxy driver over QMP: query-fsdevs and info fsdev, the events
 * of helpers that are lost and found, helpers whose socket QEMU gets as a
 * descriptor, and a device that is unplugged while its helper is silent.
 */
#include "qemu/osdep.h"
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include "qemu/module.h"
#include "qobject/qlist.h"
#include "fsdev-qmp.h"

/* Unplugs the device while the helper owes a reply that it never gives */
static void test_silent(void *obj, void *data, QGuestAllocator *alloc)
{
    g_autoptr(QDict) info = NULL;
    P9Call *call;
    Test t;

    if (!g_test_slow()) {
        g_test_skip("QEMU waits ten seconds for the helper: only with -m slow");
        return;
    }
    fsdev_start(&t, "");
    fsdev_add_proxy(&t, "a", 0);
    fsdev_plug(&t, "a");
    p9_host_signal_helpers(SIGSTOP);
    call = p9c_mkdir_call(t.c, ROOT, "dir", 0755, 0);
    p9c_submit(call);
    info = fsdev_query(&t, "a");
    g_assert_cmpint(qdict_get_int(info, "in-flight"), ==, 1);
    fsdev_refused(&t, DEL("a"), "fsdev 'a' is in use by 1 device: 'share0'");
    fsdev_unplug(&t);
    p9_host_signal_helpers(SIGCONT);
    fsdev_del(&t, "a");

    /* A new share with the same id works. */
    fsdev_add_proxy(&t, "a", 0);
    fsdev_plug(&t, "a");
    ok(p9c_walk_to(t.c, ROOT, 1, ""));
    fsdev_unplug_in_order(&t);
    fsdev_del(&t, "a");
    fsdev_end(&t);
}

/* A socket that accepts connections, in the test's folder */
static int silent_listen(Test *t, char **path)
{
    struct sockaddr_un addr = { .sun_family = AF_UNIX };
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    *path = g_build_filename(t->dir, "s", NULL);
    g_assert_cmpint(strlen(*path), <, sizeof(addr.sun_path));
    strcpy(addr.sun_path, *path);
    g_assert_cmpint(bind(fd, (struct sockaddr *)&addr, sizeof(addr)), ==, 0);
    g_assert_cmpint(listen(fd, 5), ==, 0);
    return fd;
}

static double seconds_since(gint64 start)
{
    return (g_get_monotonic_time() - start) / (double)G_USEC_PER_SEC;
}

/* While fsdev-add waits for a helper that says nothing, QEMU goes on. */
static void test_add_silent(void *obj, void *data, QGuestAllocator *alloc)
{
    g_autofree char *path = NULL;
    g_autoptr(QDict) reply = NULL;
    g_autoptr(QDict) info = NULL;
    gint64 start;
    int fd, peer;
    Test t;

    fsdev_start(&t, "");
    fsdev_add_local(&t, "a");
    fsdev_plug(&t, "a");
    fd = silent_listen(&t, &path);
    start = g_get_monotonic_time();
    qtest_qmp_send(t.m.qts, "{'execute': 'fsdev-add', 'arguments': {"
                   "'fsdriver': 'proxy', 'id': 'x', 'socket': %s}}", path);
    peer = accept(fd, NULL, NULL);
    g_assert_cmpint(peer, >=, 0);
    /* The main loop serves another export. */
    ok(p9c_walk_to(t.c, ROOT, 1, ""));
    g_assert_cmpfloat(seconds_since(start), <, 5);
    close(peer);
    reply = qtest_qmp_receive(t.m.qts);
    g_assert_true(qdict_haskey(reply, "error"));
    g_assert_cmpfloat(seconds_since(start), <, 5);
    info = fsdev_query(&t, "x");
    g_assert_null(info);
    close(fd);
    fsdev_unplug_in_order(&t);
    fsdev_end(&t);
}

/* The same with a program that QEMU starts and that is no helper */
static void test_add_mute(void *obj, void *data, QGuestAllocator *alloc)
{
    g_autofree char *helper = NULL;
    g_autoptr(QDict) reply = NULL;
    gint64 start, walk;
    Test t;

    if (!g_test_slow()) {
        g_test_skip("QEMU waits 15 seconds for the helper: only with -m slow");
        return;
    }
    fsdev_start(&t, "");
    fsdev_add_local(&t, "a");
    fsdev_plug(&t, "a");
    helper = g_build_filename(t.dir, "mute", NULL);
    g_assert_true(g_file_set_contents(helper, "#!/bin/sh\nexec sleep 300\n",
                                      -1, NULL));
    g_assert_cmpint(chmod(helper, 0755), ==, 0);
    start = g_get_monotonic_time();
    qtest_qmp_send(t.m.qts, "{'execute': 'fsdev-add', 'arguments': {"
                   "'fsdriver': 'proxy', 'id': 'x', 'path': %s, 'helper': %s}}",
                   t.dir, helper);
    /* Neither the wait for its answer nor that for its end is in the way. */
    while (seconds_since(start) < 18) {
        walk = g_get_monotonic_time();
        ok(p9c_walk_to(t.c, ROOT, 1, ""));
        ok(p9c_clunk(t.c, 1));
        g_assert_cmpfloat(seconds_since(walk), <, 1.5);
        g_usleep(10000);
    }
    reply = qtest_qmp_receive(t.m.qts);
    g_assert_nonnull(strstr(qdict_get_str(qdict_get_qdict(reply, "error"),
                                          "desc"), "did not answer within 15"));
    while (p9_host_children() > 0) {
        g_usleep(10000);
    }
    fsdev_unplug_in_order(&t);
    fsdev_end(&t);
}

/* The same when it is to end meanwhile */
static void test_add_quit(void *obj, void *data, QGuestAllocator *alloc)
{
    g_autofree char *path = NULL;
    gint64 start;
    int fd, peer;
    Test t;

    fsdev_start(&t, "");
    fd = silent_listen(&t, &path);
    qtest_qmp_send(t.m.qts, "{'execute': 'fsdev-add', 'arguments': {"
                   "'fsdriver': 'proxy', 'id': 'x', 'socket': %s}}", path);
    peer = accept(fd, NULL, NULL);
    start = g_get_monotonic_time();
    fsdev_end(&t);              /* SIGTERM */
    g_assert_cmpfloat(seconds_since(start), <, 5);
    close(peer);
    close(fd);
}

/*
 * Figures
 */

static void test_query(void *obj, void *data, QGuestAllocator *alloc)
{
    g_autofree char *path = NULL;
    QDict *info, *helper, *fds;
    uint64_t total, max, nodes;
    char buf[4];
    uint32_t n;
    unsigned i;
    Test t;

    fsdev_start(&t, "");
    fsdev_add_proxy(&t, "a", 0);
    info = fsdev_query(&t, "a");
    g_assert_true(qlist_empty(qdict_get_qlist(info, "messages")));
    qobject_unref(info);
    fsdev_plug(&t, "a");
    path = g_build_filename(t.dir, "f", NULL);
    g_assert_true(g_file_set_contents(path, "data", 4, NULL));
    info = fsdev_query(&t, "a");
    nodes = qdict_get_int(info, "nodes");
    qobject_unref(info);

    for (i = 0; i < 5; i++) {
        fails(p9c_walk_to(t.c, ROOT, 1, "nonesuch"), ENOENT);
    }
    ok(p9c_walk_to(t.c, ROOT, 1, "f"));
    ok(p9c_walk_to(t.c, ROOT, 2, "f"));
    ok(p9c_lopen(t.c, 2, P9C_O_RDONLY, NULL, NULL));
    for (i = 0; i < 7; i++) {
        ok(p9c_read(t.c, 2, 0, sizeof(buf), buf, &n));
    }

    info = fsdev_query(&t, "a");
    g_assert_cmpint(fsdev_figure(info, "version", "count"), ==, 1);
    g_assert_cmpint(fsdev_figure(info, "attach", "count"), ==, 1);
    g_assert_cmpint(fsdev_figure(info, "walk", "count"), ==, 7);
    g_assert_cmpint(fsdev_figure(info, "walk", "errors"), ==, 5);
    g_assert_cmpint(fsdev_figure(info, "lopen", "count"), ==, 1);
    g_assert_cmpint(fsdev_figure(info, "read", "count"), ==, 7);
    g_assert_cmpint(fsdev_figure(info, "read", "errors"), ==, 0);
    g_assert_cmpint(fsdev_figure(info, "write", "count"), ==, 0);
    total = fsdev_figure(info, "read", "total-time-ns");
    max = fsdev_figure(info, "read", "max-time-ns");
    g_assert_cmpint(max, >, 0);
    g_assert_cmpint(total, >=, max);
    g_assert_cmpint(total, <=, max * 7);
    g_assert_cmpint(qdict_get_int(info, "open-files"), ==, 1);
    g_assert_cmpint(qdict_get_int(info, "nodes"), ==, nodes + 1);
    g_assert_cmpint(qdict_get_int(info, "in-flight"), ==, 0);
    fds = qdict_get_qdict(info, "descriptors");
    g_assert_cmpint(qdict_get_int(fds, "files"), ==, 1);
    g_assert_cmpint(qdict_get_int(fds, "handles"), ==, 2);
    g_assert_cmpint(qdict_get_int(fds, "handles-max"), >, 2);
    g_assert_cmpint(qdict_get_int(fds, "closed"), ==, 0);
    helper = qdict_get_qdict(info, "helper");
    g_assert_cmpstr(qdict_get_str(helper, "connection"), ==, "connected");
    g_assert_cmpint(qdict_get_int(helper, "protocol"), ==, 2);
    g_assert_cmpint(qdict_get_int(helper, "lost"), ==, 0);
    g_assert_true(fsdev_has_word(helper, "features", "donate"));
    g_assert_true(fsdev_has_word(helper, "features", "ring"));
    g_assert_false(fsdev_has_word(helper, "features", "readonly"));
    g_assert_cmpint(kill(qdict_get_int(helper, "process"), 0), ==, 0);
    qobject_unref(info);

    ok(p9c_clunk(t.c, 2));
    ok(p9c_clunk(t.c, 1));
    info = fsdev_query(&t, "a");
    g_assert_cmpint(qdict_get_int(info, "open-files"), ==, 0);
    g_assert_cmpint(qdict_get_int(info, "nodes"), ==, nodes);
    g_assert_cmpint(fsdev_figure(info, "clunk", "count"), ==, 2);
    qobject_unref(info);
    fsdev_unplug_in_order(&t);
    fsdev_del(&t, "a");
    fsdev_end(&t);
}

static void test_hmp(void *obj, void *data, QGuestAllocator *alloc)
{
    g_autofree char *text = NULL;
    g_autofree char *path = NULL;
    Test t;

    fsdev_start(&t, "-fsdev synth,id=none,readonly");
    fsdev_add_proxy(&t, "a", 0);
    fsdev_plug(&t, "a");
    fails(p9c_walk_to(t.c, ROOT, 1, "nonesuch"), ENOENT);
    text = qtest_hmp(t.m.qts, "info fsdev");
    path = g_strdup_printf("a: proxy, path %s\r\n  devices: share0\r\n"
                           "  helper: connected, protocol 2, process ", t.dir);
    g_assert_nonnull(strstr(text, "none: synth, read-only\r\n"
                                  "  devices: none\r\n"));
    g_assert_nonnull(strstr(text, path));
    g_assert_nonnull(strstr(text, "\n  walk                    1          1 "));
    fsdev_unplug_in_order(&t);
    fsdev_end(&t);
}

/*
 * Helpers that are lost and found
 */

static void wait_event(Test *t, const char *event, const char *reason)
{
    g_autoptr(QDict) e = qtest_qmp_eventwait_ref(t->m.qts, event);
    QDict *data = qdict_get_qdict(e, "data");

    g_assert_cmpstr(qdict_get_str(data, "id"), ==, "a");
    if (reason) {
        g_assert_cmpstr(qdict_get_str(data, "reason"), ==, reason);
    }
}

static void check_helper(Test *t, const char *connection, int lost)
{
    g_autoptr(QDict) info = fsdev_query(t, "a");
    QDict *helper = qdict_get_qdict(info, "helper");

    g_assert_cmpstr(qdict_get_str(helper, "connection"), ==, connection);
    g_assert_cmpint(qdict_get_int(helper, "lost"), ==, lost);
}

static void test_lost(void *obj, void *data, QGuestAllocator *alloc)
{
    Test t;

    fsdev_start(&t, "");
    fsdev_add_proxy(&t, "a", 0);
    fsdev_plug(&t, "a");
    check_helper(&t, "connected", 0);
    p9_host_signal_helpers(SIGKILL);
    wait_event(&t, "FSDEV_HELPER_LOST", "lost the connection to the helper");
    check_helper(&t, "lost", 1);
    fails(p9c_walk_to(t.c, ROOT, 1, "nonesuch"), EIO);
    fsdev_unplug_in_order(&t);
    fsdev_del(&t, "a");
    fsdev_end(&t);
}

static void test_found(void *obj, void *data, QGuestAllocator *alloc)
{
    unsigned i;
    Test t;

    fsdev_start(&t, "");
    fsdev_add_proxy(&t, "a", 1);
    fsdev_plug(&t, "a");
    for (i = 1; i <= 2; i++) {
        p9_host_signal_helpers(SIGKILL);
        wait_event(&t, "FSDEV_HELPER_LOST",
                   "lost the connection to the helper");
        wait_event(&t, "FSDEV_HELPER_FOUND", NULL);
        check_helper(&t, "connected", i);
        fails(p9c_walk_to(t.c, ROOT, 1, "nonesuch"), ENOENT);
    }
    fsdev_unplug_in_order(&t);
    fsdev_del(&t, "a");
    fsdev_end(&t);
}

/*
 * Descriptors by name
 */

static void use_descriptor(Test *t, const char *name, GPid pid)
{
    QDict *info;

    qtest_qmp_assert_success(t->m.qts, "{'execute': 'fsdev-add', 'arguments': {"
                             "'fsdriver': 'proxy', 'id': 'a', 'sock_fd': %s}}",
                             name);
    fsdev_plug(t, "a");
    ok(p9c_walk_to(t->c, ROOT, 1, ""));
    info = fsdev_query(t, "a");
    g_assert_false(qdict_haskey(info, "path"));
    g_assert_false(qdict_haskey(qdict_get_qdict(info, "helper"), "process"));
    qobject_unref(info);
    fsdev_unplug_in_order(t);
    fsdev_del(t, "a");
    /* The socket is closed everywhere, so the helper ends. */
    g_assert_cmpint(waitpid(pid, NULL, 0), ==, pid);
}

static void test_getfd(void *obj, void *data, QGuestAllocator *alloc)
{
    int sock, null;
    GPid pid;
    Test t;

    fsdev_start(&t, "");
    sock = p9_host_helper_by_fd(t.dir, &pid);
    qtest_qmp_fds_assert_success(t.m.qts, &sock, 1, "{'execute': 'getfd', "
                                 "'arguments': {'fdname': 'helper'}}");
    close(sock);
    use_descriptor(&t, "helper", pid);

    /* QEMU closes a descriptor that is no socket. */
    null = open("/dev/null", O_RDWR);
    qtest_qmp_fds_assert_success(t.m.qts, &null, 1, "{'execute': 'getfd', "
                                 "'arguments': {'fdname': 'null'}}");
    close(null);
    fsdev_refused(&t, PROXY(", 'sock_fd': 'null'"),
                  "sock_fd 'null' is not a UNIX stream socket");
    fsdev_refused(&t, PROXY(", 'sock_fd': 'null'"),
                  "sock_fd 'null': File descriptor named 'null' has not been "
                  "found");
    fsdev_end(&t);
}

static void test_fdset(void *obj, void *data, QGuestAllocator *alloc)
{
    int sock;
    GPid pid;
    Test t;

    fsdev_start(&t, "");
    sock = p9_host_helper_by_fd(t.dir, &pid);
    qtest_qmp_fds_assert_success(t.m.qts, &sock, 1, "{'execute': 'add-fd', "
                                 "'arguments': {'fdset-id': 4}}");
    close(sock);
    qtest_qmp_assert_success(t.m.qts, "{'execute': 'fsdev-add', 'arguments': {"
                             "'fsdriver': 'proxy', 'id': 'x', "
                             "'sock_fd': '/dev/fdset/4'}}");
    fsdev_del(&t, "x");
    /* The helper goes on until the set gives up its descriptor. */
    qtest_qmp_assert_success(t.m.qts, "{'execute': 'remove-fd', 'arguments': {"
                             "'fdset-id': 4}}");
    g_assert_cmpint(waitpid(pid, NULL, 0), ==, pid);
    fsdev_end(&t);
}

static void give_fd(Test *t, int fd, const char *name)
{
    qtest_qmp_fds_assert_success(t->m.qts, &fd, 1, "{'execute': 'getfd', "
                                 "'arguments': {'fdname': %s}}", name);
}

/* One connection serves one export, by whatever descriptor QEMU has it. */
static void test_same_socket(void *obj, void *data, QGuestAllocator *alloc)
{
    int sock, other;
    GPid pid;
    Test t;

    fsdev_start(&t, "");
    sock = p9_host_helper_by_fd(t.dir, &pid);
    give_fd(&t, sock, "one");
    give_fd(&t, sock, "two");
    qtest_qmp_fds_assert_success(t.m.qts, &sock, 1, "{'execute': 'add-fd', "
                                 "'arguments': {'fdset-id': 4}}");
    qtest_qmp_assert_success(t.m.qts, ADD("'fsdriver': 'proxy', 'id': 'a', "
                                          "'sock_fd': 'one'"));
    fsdev_refused(&t, PROXY(", 'sock_fd': 'two'"),
                  "sock_fd 'two' is the socket that fsdev 'a' uses");
    fsdev_refused(&t, PROXY(", 'sock_fd': '/dev/fdset/4'"),
                  "sock_fd '/dev/fdset/4' is the socket that fsdev 'a' uses");
    /* It still works, and another socket does. */
    fsdev_plug(&t, "a");
    ok(p9c_walk_to(t.c, ROOT, 1, ""));
    fsdev_unplug_in_order(&t);
    qtest_qmp_assert_success(t.m.qts, "{'execute': 'remove-fd', 'arguments': {"
                             "'fdset-id': 4}}");
    fsdev_del(&t, "a");
    close(sock);
    g_assert_cmpint(waitpid(pid, NULL, 0), ==, pid);
    other = p9_host_helper_by_fd(t.dir, &pid);
    give_fd(&t, other, "three");
    close(other);
    use_descriptor(&t, "three", pid);
    fsdev_end(&t);
}

static void register_tests(void)
{
    qos_add_test("qmp/add-silent", "virtio-9p-pci", test_add_silent, NULL);
    qos_add_test("qmp/add-mute", "virtio-9p-pci", test_add_mute, NULL);
    qos_add_test("qmp/add-quit", "virtio-9p-pci", test_add_quit, NULL);
    qos_add_test("qmp/same-socket", "virtio-9p-pci", test_same_socket, NULL);
    qos_add_test("qmp/query", "virtio-9p-pci", test_query, NULL);
    qos_add_test("qmp/hmp", "virtio-9p-pci", test_hmp, NULL);
    qos_add_test("qmp/lost", "virtio-9p-pci", test_lost, NULL);
    qos_add_test("qmp/found", "virtio-9p-pci", test_found, NULL);
    qos_add_test("qmp/getfd", "virtio-9p-pci", test_getfd, NULL);
    qos_add_test("qmp/fdset", "virtio-9p-pci", test_fdset, NULL);
    qos_add_test("qmp/silent", "virtio-9p-pci", test_silent, NULL);
}
libqos_init(register_tests);
