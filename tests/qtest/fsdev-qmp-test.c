/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Shared file systems while the machine runs: fsdev-add, fsdev-del and
 * query-fsdevs over a QMP socket, the events of helpers, info fsdev, devices
 * that are plugged and unplugged, and trace events.
 *
 * Each test has a QEMU and a folder of its own. It goes with the tests of the
 * virtio-9p device, because there is one in every binary that has all this.
 */
#include "qemu/osdep.h"
#include <sys/socket.h>
#include "libqtest-single.h"
#include "libqos/malloc-pc.h"
#include "libqos/pci-pc.h"
#include "qapi/error.h"
#include "qemu/module.h"
#include "qobject/qdict.h"
#include "qobject/qjson.h"
#include "qobject/qlist.h"
#include "qobject/qstring.h"
#include "virtio-9p-host.h"

#define ROOT        P9C_ROOT
#define SLOT        5
#define ROUNDS      10

/* Results of messages: 0 or a Linux errno */
#define ok(call)            g_assert_cmpint(call, ==, 0)
#define fails(call, error)  g_assert_cmpint(call, ==, error)

typedef struct Test {
    QTestState *qts;
    QTestState *old;            /* what global_qtest was before */
    char *dir;                  /* absolute */
    QGuestAllocator alloc;
    QPCIBus *bus;
    QVirtio9PPCI *dev;          /* plugged, or NULL */
    P9Client *c;                /* its */
} Test;

/*
 * The machine
 */

static void start(Test *t, const char *options)
{
    g_autofree char *name = g_strdup("qtest-fsdev-qmp-XXXXXX");
    g_autofree char *cwd = g_get_current_dir();

    g_assert_nonnull(g_mkdtemp_full(name, 0755));
    t->dir = g_build_filename(cwd, name, NULL);
    t->qts = qtest_initf("-machine pc -nodefaults %s", options);
    t->old = global_qtest;
    global_qtest = t->qts;
    pc_alloc_init(&t->alloc, t->qts, 0);
    t->bus = qpci_new_pc(t->qts, &t->alloc);
}

static void end(Test *t)
{
    const char *argv[] = { "rm", "-rf", "--", t->dir, NULL };

    qpci_free_pc(t->bus);
    alloc_destroy(&t->alloc);
    qtest_quit(t->qts);
    global_qtest = t->old;
    g_spawn_sync(NULL, (char **)argv, NULL, G_SPAWN_SEARCH_PATH, NULL, NULL,
                 NULL, NULL, NULL, NULL);
    g_free(t->dir);
}

static void add_local(Test *t, const char *id)
{
    qtest_qmp_assert_success(t->qts, "{'execute': 'fsdev-add', 'arguments': {"
                             "'fsdriver': 'local', 'id': %s, 'path': %s, "
                             "'security_model': 'mapped-xattr'}}",
                             id, t->dir);
}

static void add_proxy(Test *t, const char *id, int reconnect)
{
    qtest_qmp_assert_success(t->qts, "{'execute': 'fsdev-add', 'arguments': {"
                             "'fsdriver': 'proxy', 'id': %s, 'path': %s, "
                             "'reconnect': %d}}", id, t->dir, reconnect);
}

static void del(Test *t, const char *id)
{
    qtest_qmp_assert_success(t->qts, "{'execute': 'fsdev-del', 'arguments': {"
                             "'id': %s}}", id);
}

/* A device for that fsdev, and a session with it */
static void plug(Test *t, const char *fsdev)
{
    qtest_qmp_device_add(t->qts, "virtio-9p-pci", "share0",
                         "{'fsdev': %s, 'mount_tag': 'tag', 'addr': %s}",
                         fsdev, stringify(SLOT));
    t->dev = qvirtio_9p_pci_new(t->bus, &t->alloc, QPCI_DEVFN(SLOT, 0));
    t->c = p9c_new(&t->dev->v9p);
    p9c_session(t->c);
}

/* The device goes, whatever its guest is in the middle of. */
static void unplug(Test *t)
{
    qpci_unplug_acpi_device_test(t->qts, "share0", SLOT);
    qvirtio_9p_pci_free(t->dev);
    t->dev = NULL;
}

/* The guest is done with the device before. */
static void unplug_in_order(Test *t)
{
    p9c_free(t->c);
    unplug(t);
}

/*
 * Answers
 */

/* What query-fsdevs says of @id, for qobject_unref(); NULL if it is not there */
static QDict *query(Test *t, const char *id)
{
    g_autoptr(QDict) reply = qtest_qmp(t->qts, "{'execute': 'query-fsdevs'}");
    QListEntry *entry;

    QLIST_FOREACH_ENTRY(qdict_get_qlist(reply, "return"), entry) {
        QDict *info = qobject_to(QDict, qlist_entry_obj(entry));

        if (!strcmp(qdict_get_str(info, "id"), id)) {
            return qobject_ref(info);
        }
    }
    return NULL;
}

/* A figure of the messages of that kind; 0 if there were none */
static uint64_t figure(QDict *info, const char *message, const char *key)
{
    QListEntry *entry;

    QLIST_FOREACH_ENTRY(qdict_get_qlist(info, "messages"), entry) {
        QDict *stats = qobject_to(QDict, qlist_entry_obj(entry));

        if (!strcmp(qdict_get_str(stats, "message"), message)) {
            return qdict_get_int(stats, key);
        }
    }
    return 0;
}

static bool has_word(QDict *dict, const char *key, const char *word)
{
    QListEntry *entry;

    QLIST_FOREACH_ENTRY(qdict_get_qlist(dict, key), entry) {
        if (!strcmp(qstring_get_str(qobject_to(QString,
                                               qlist_entry_obj(entry))),
                    word)) {
            return true;
        }
    }
    return false;
}

/* The command @json must fail, with exactly @error. */
static void refused(Test *t, const char *json, const char *error)
{
    g_autoptr(QDict) reply = qtest_qmp(t->qts, "%p",
                                       qobject_from_json(json, &error_abort));
    QDict *e = qdict_get_qdict(reply, "error");

    if (!e || strcmp(qdict_get_str(e, "desc"), error)) {
        g_error("%s: '%s' was expected, not '%s'", json, error,
                e ? qdict_get_str(e, "desc") : "success");
    }
}

/*
 * Adding and removing
 */

#define ADD(arguments)  "{'execute': 'fsdev-add', 'arguments': {" arguments "}}"
#define PROXY(more)     ADD("'fsdriver': 'proxy', 'id': 'x'" more)
#define DEL(id)         "{'execute': 'fsdev-del', 'arguments': {'id': '" id "'}}"

static void test_errors(void *obj, void *data, QGuestAllocator *alloc)
{
    static const struct {
        const char *command;
        const char *error;
    } cases[] = {
        { ADD(""), "Parameter 'fsdriver' is missing" },
        { ADD("'fsdriver': 'synth'"), "Parameter 'id' is missing" },
        { ADD("'fsdriver': 'floppy', 'id': 'x'"),
          "Parameter 'fsdriver' does not accept value 'floppy'" },
        { ADD("'fsdriver': 'synth', 'id': '1x'"),
          "id '1x' is not an identifier: it must consist of letters, digits, "
          "'-', '.' and '_', and start with a letter" },
        { ADD("'fsdriver': 'synth', 'id': 'there'"),
          "id 'there' is another fsdev's already" },
        { ADD("'fsdriver': 'synth', 'id': 'x', 'path': '/'"),
          "Parameter 'path' is unexpected" },
        { ADD("'fsdriver': 'synth', 'id': 'x', 'mount_tag': 't'"),
          "Parameter 'mount_tag' is unexpected" },
        { ADD("'fsdriver': 'local', 'id': 'x', 'path': '/nonesuch', "
              "'security_model': 'none'"),
          "path '/nonesuch': No such file or directory" },
        { ADD("'fsdriver': 'local', 'id': 'x', 'path': '/dev/null', "
              "'security_model': 'none'"),
          "path '/dev/null' is not a directory" },
        { ADD("'fsdriver': 'synth', 'id': 'x', 'throttling': {"
              "'bps-total': 1, 'bps-read': 1}"),
          "throttling.bps-total and throttling.bps-read exclude each other" },
        { PROXY(""), "one of path, socket and sock_fd is needed" },
        { PROXY(", 'path': '/', 'socket': 's'"),
          "path '/' and socket 's' exclude each other" },
        { PROXY(", 'socket': 's', 'sock_fd': '9'"),
          "socket 's' and sock_fd '9' exclude each other" },
        { PROXY(", 'path': '/nonesuch'"),
          "path '/nonesuch': No such file or directory" },
        { PROXY(", 'socket': '/nonesuch'"),
          "socket '/nonesuch': No such file or directory" },
        { PROXY(", 'sock_fd': '-1'"), "sock_fd '-1': it must be at least 3" },
        { PROXY(", 'sock_fd': '2'"), "sock_fd '2': it must be at least 3, the "
                                     "others are standard input and output" },
        { PROXY(", 'sock_fd': '987'"),
          "sock_fd '987' is not an open descriptor" },
        { PROXY(", 'sock_fd': 'none'"),
          "sock_fd 'none': File descriptor named 'none' has not been found" },
        { PROXY(", 'sock_fd': ''"), "sock_fd '' is not a descriptor number" },
        { PROXY(", 'sock_fd': '/dev/fdset/77'"),
          "sock_fd '/dev/fdset/77': Failed to find fdset /dev/fdset/77" },
        { PROXY(", 'path': '/', 'helper': '/nonesuch'"),
          "helper '/nonesuch': No such file or directory" },
        { DEL("x"), "there is no fsdev with id 'x'" },
        { "{'execute': 'fsdev-del'}", "Parameter 'id' is missing" },
    };
    Test t;
    unsigned i;

    start(&t, "-fsdev synth,id=there");
    for (i = 0; i < ARRAY_SIZE(cases); i++) {
        g_autoptr(QDict) info = NULL;

        refused(&t, cases[i].command, cases[i].error);
        info = query(&t, "x");
        g_assert_null(info);
    }
    end(&t);
}

static void test_add(void *obj, void *data, QGuestAllocator *alloc)
{
    QDict *info;
    Test t;

    start(&t, "-fsdev synth,id=first,readonly");
    add_local(&t, "second");
    plug(&t, "second");
    ok(p9c_walk_to(t.c, ROOT, 1, ""));

    info = query(&t, "first");
    g_assert_cmpstr(qdict_get_str(info, "fsdriver"), ==, "synth");
    g_assert_true(qdict_get_bool(info, "readonly"));
    g_assert_true(qlist_empty(qdict_get_qlist(info, "devices")));
    g_assert_false(qdict_haskey(info, "path"));
    g_assert_false(qdict_haskey(info, "helper"));
    qobject_unref(info);
    info = query(&t, "second");
    g_assert_cmpstr(qdict_get_str(info, "fsdriver"), ==, "local");
    g_assert_cmpstr(qdict_get_str(info, "path"), ==, t.dir);
    g_assert_false(qdict_get_bool(info, "readonly"));
    g_assert_true(has_word(info, "devices", "share0"));
    g_assert_false(qdict_haskey(info, "helper"));
    qobject_unref(info);

    refused(&t, DEL("second"), "fsdev 'second' is in use by 1 device: "
                               "'share0'");
    /* It still serves. */
    ok(p9c_walk_to(t.c, ROOT, 2, ""));
    unplug_in_order(&t);
    del(&t, "second");
    del(&t, "first");
    g_assert_null(query(&t, "second"));
    g_assert_null(query(&t, "first"));
    end(&t);
}

/* A device without id is told of by where it is. */
static void test_nameless(void *obj, void *data, QGuestAllocator *alloc)
{
    g_autoptr(QDict) reply = NULL;
    const char *desc;
    Test t;

    start(&t, "-fsdev synth,id=a -device virtio-9p-pci,fsdev=a,mount_tag=x "
              "-device virtio-9p-pci,fsdev=a,mount_tag=y,id=named");
    reply = qtest_qmp_assert_failure_ref(t.qts, DEL("a"));
    desc = qdict_get_str(reply, "desc");
    g_assert_nonnull(strstr(desc, "in use by 2 devices: "));
    g_assert_nonnull(strstr(desc, "'/machine/peripheral-anon/device[0]'"));
    g_assert_nonnull(strstr(desc, "'named'"));
    end(&t);
}

/* What management software looks for before it uses any of this */
static void test_schema(void *obj, void *data, QGuestAllocator *alloc)
{
    static const char *const names[] = {
        "\"fsdev-add\"", "\"fsdev-del\"", "\"query-fsdevs\"",
        "\"FSDEV_HELPER_LOST\"", "\"FSDEV_HELPER_FOUND\"",
        "\"security_model\"", "\"sock_fd\"", "\"mapped-xattr\"",
        "\"max_xattr\"", "\"on-disconnect\"",
    };
    g_autoptr(QDict) schema = NULL;
    g_autoptr(QDict) props = NULL;
    g_autoptr(GString) json = NULL;
    g_autoptr(GString) props_json = NULL;
    unsigned i;
    Test t;

    start(&t, "");
    schema = qtest_qmp(t.qts, "{'execute': 'query-qmp-schema'}");
    json = qobject_to_json(QOBJECT(qdict_get_qlist(schema, "return")));
    for (i = 0; i < ARRAY_SIZE(names); i++) {
        if (!strstr(json->str, names[i])) {
            g_error("query-qmp-schema does not have %s", names[i]);
        }
    }
    props = qtest_qmp(t.qts, "{'execute': 'qom-list-properties', 'arguments': "
                      "{'typename': 'virtio-9p-pci'}}");
    props_json = qobject_to_json(QOBJECT(qdict_get_qlist(props, "return")));
    g_assert_nonnull(strstr(props_json->str, "\"fsdev\""));
    g_assert_nonnull(strstr(props_json->str, "\"mount_tag\""));
    end(&t);
}

/*
 * Plugging and unplugging
 */

/*
 * Adds @fsdev's share, uses it, and takes it away again. What may be left is
 * what the first round had to make once and for all.
 */
static void come_and_go(void (*add)(Test *t), const char *id)
{
    unsigned round, descriptors = 0;
    Test t;

    start(&t, "");
    for (round = 0; round < ROUNDS; round++) {
        g_autofree char *name = g_strdup_printf("made%u", round);
        g_autoptr(QDict) info = NULL;
        uint32_t n;

        add(&t);
        plug(&t, id);
        ok(p9c_walk_to(t.c, ROOT, 1, ""));
        ok(p9c_lcreate(t.c, 1, name, P9C_O_RDWR, 0644, 0, NULL, NULL));
        ok(p9c_write(t.c, 1, 0, "data", 4, &n));
        ok(p9c_walk_to(t.c, ROOT, 2, name));
        ok(p9c_mkdir(t.c, ROOT, "dir", 0755, 0, NULL));
        ok(p9c_walk_to(t.c, ROOT, 3, "dir"));
        ok(p9c_unlinkat(t.c, ROOT, "dir", P9C_AT_REMOVEDIR));
        info = query(&t, id);
        g_assert_cmpint(qdict_get_int(info, "open-files"), ==, 1);
        g_assert_cmpint(qdict_get_int(info, "nodes"), >=, 2);

        /* Every other time the guest is still in the middle of it. */
        if (round % 2) {
            P9Client *c = t.c;

            unplug(&t);
            /* Its session is over; there is no device to reset any more. */
            t.c = NULL;
            g_test_queue_free(c);
        } else {
            unplug_in_order(&t);
        }
        qobject_unref(info);
        info = query(&t, id);
        g_assert_true(qlist_empty(qdict_get_qlist(info, "devices")));
        g_assert_cmpint(qdict_get_int(info, "open-files"), ==, 0);
        g_assert_cmpint(qdict_get_int(info, "open-xattrs"), ==, 0);
        g_assert_cmpint(qdict_get_int(info, "in-flight"), ==, 0);
        g_assert_cmpint(qdict_get_int(info, "names"), ==, 0);
        g_assert_cmpint(qdict_get_int(info, "nodes"), ==, 1);  /* the root */
        del(&t, id);
        if (round == 0) {
            /* Helpers end soon after they are left. */
            g_usleep(G_USEC_PER_SEC);
            descriptors = p9_host_descriptors();
        } else {
            p9_host_wait_descriptors(descriptors);
        }
    }
    end(&t);
}

static void add_local_a(Test *t)
{
    add_local(t, "a");
}

static void test_hotplug_local(void *obj, void *data, QGuestAllocator *alloc)
{
    come_and_go(add_local_a, "a");
}

/*
 * The rest needs a helper
 */

#ifdef CONFIG_VIRTFS_PROXY_HELPER

static void add_proxy_a(Test *t)
{
    add_proxy(t, "a", 0);
}

static void test_hotplug_proxy(void *obj, void *data, QGuestAllocator *alloc)
{
    come_and_go(add_proxy_a, "a");
}

/* Unplugged while the helper owes an answer, which it never gives */
static void test_silent(void *obj, void *data, QGuestAllocator *alloc)
{
    g_autoptr(QDict) info = NULL;
    P9Call *call;
    Test t;

    if (!g_test_slow()) {
        g_test_skip("QEMU waits ten seconds for the helper: only with -m slow");
        return;
    }
    start(&t, "");
    add_proxy(&t, "a", 0);
    plug(&t, "a");
    p9_host_signal_helpers(SIGSTOP);
    call = p9c_call(t.c, P9C_TMKDIR);
    p9c_put_u32(call, ROOT);
    p9c_put_str(call, "dir");
    p9c_put_u32(call, 0755);
    p9c_put_u32(call, 0);
    p9c_submit(call);
    info = query(&t, "a");
    g_assert_cmpint(qdict_get_int(info, "in-flight"), ==, 1);
    refused(&t, DEL("a"), "fsdev 'a' is in use by 1 device: 'share0'");
    unplug(&t);
    p9_host_signal_helpers(SIGCONT);
    del(&t, "a");

    /* Nothing of it is in the way of another one. */
    add_proxy(&t, "a", 0);
    plug(&t, "a");
    ok(p9c_walk_to(t.c, ROOT, 1, ""));
    unplug_in_order(&t);
    del(&t, "a");
    end(&t);
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

    start(&t, "");
    add_proxy(&t, "a", 0);
    info = query(&t, "a");
    g_assert_true(qlist_empty(qdict_get_qlist(info, "messages")));
    qobject_unref(info);
    plug(&t, "a");
    path = g_build_filename(t.dir, "f", NULL);
    g_assert_true(g_file_set_contents(path, "data", 4, NULL));
    info = query(&t, "a");
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

    info = query(&t, "a");
    g_assert_cmpint(figure(info, "version", "count"), ==, 1);
    g_assert_cmpint(figure(info, "attach", "count"), ==, 1);
    g_assert_cmpint(figure(info, "walk", "count"), ==, 7);
    g_assert_cmpint(figure(info, "walk", "errors"), ==, 5);
    g_assert_cmpint(figure(info, "lopen", "count"), ==, 1);
    g_assert_cmpint(figure(info, "read", "count"), ==, 7);
    g_assert_cmpint(figure(info, "read", "errors"), ==, 0);
    g_assert_cmpint(figure(info, "write", "count"), ==, 0);
    total = figure(info, "read", "total-time-ns");
    max = figure(info, "read", "max-time-ns");
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
    g_assert_true(has_word(helper, "features", "donate"));
    g_assert_true(has_word(helper, "features", "ring"));
    g_assert_false(has_word(helper, "features", "readonly"));
    g_assert_cmpint(kill(qdict_get_int(helper, "process"), 0), ==, 0);
    qobject_unref(info);

    ok(p9c_clunk(t.c, 2));
    ok(p9c_clunk(t.c, 1));
    info = query(&t, "a");
    g_assert_cmpint(qdict_get_int(info, "open-files"), ==, 0);
    g_assert_cmpint(qdict_get_int(info, "nodes"), ==, nodes);
    g_assert_cmpint(figure(info, "clunk", "count"), ==, 2);
    qobject_unref(info);
    unplug_in_order(&t);
    del(&t, "a");
    end(&t);
}

static void test_hmp(void *obj, void *data, QGuestAllocator *alloc)
{
    g_autofree char *text = NULL;
    g_autofree char *path = NULL;
    Test t;

    start(&t, "-fsdev synth,id=none,readonly");
    add_proxy(&t, "a", 0);
    plug(&t, "a");
    fails(p9c_walk_to(t.c, ROOT, 1, "nonesuch"), ENOENT);
    text = qtest_hmp(t.qts, "info fsdev");
    path = g_strdup_printf("a: proxy, path %s\r\n  devices: share0\r\n"
                           "  helper: connected, protocol 2, process ", t.dir);
    g_assert_nonnull(strstr(text, "none: synth, read-only\r\n"
                                  "  devices: none\r\n"));
    g_assert_nonnull(strstr(text, path));
    g_assert_nonnull(strstr(text, "\n  walk                    1          1 "));
    unplug_in_order(&t);
    end(&t);
}

/*
 * Helpers that go and come
 */

static void wait_event(Test *t, const char *event, const char *reason)
{
    g_autoptr(QDict) e = qtest_qmp_eventwait_ref(t->qts, event);
    QDict *data = qdict_get_qdict(e, "data");

    g_assert_cmpstr(qdict_get_str(data, "id"), ==, "a");
    if (reason) {
        g_assert_cmpstr(qdict_get_str(data, "reason"), ==, reason);
    }
}

static void check_helper(Test *t, const char *connection, int lost)
{
    g_autoptr(QDict) info = query(t, "a");
    QDict *helper = qdict_get_qdict(info, "helper");

    g_assert_cmpstr(qdict_get_str(helper, "connection"), ==, connection);
    g_assert_cmpint(qdict_get_int(helper, "lost"), ==, lost);
}

static void test_lost(void *obj, void *data, QGuestAllocator *alloc)
{
    Test t;

    start(&t, "");
    add_proxy(&t, "a", 0);
    plug(&t, "a");
    check_helper(&t, "connected", 0);
    p9_host_signal_helpers(SIGKILL);
    wait_event(&t, "FSDEV_HELPER_LOST", "the helper went away");
    check_helper(&t, "lost", 1);
    fails(p9c_walk_to(t.c, ROOT, 1, "nonesuch"), EIO);
    unplug_in_order(&t);
    del(&t, "a");
    end(&t);
}

static void test_found(void *obj, void *data, QGuestAllocator *alloc)
{
    unsigned i;
    Test t;

    start(&t, "");
    add_proxy(&t, "a", 1);
    plug(&t, "a");
    for (i = 1; i <= 2; i++) {
        p9_host_signal_helpers(SIGKILL);
        wait_event(&t, "FSDEV_HELPER_LOST", "the helper went away");
        wait_event(&t, "FSDEV_HELPER_FOUND", NULL);
        check_helper(&t, "connected", i);
        fails(p9c_walk_to(t.c, ROOT, 1, "nonesuch"), ENOENT);
    }
    unplug_in_order(&t);
    del(&t, "a");
    end(&t);
}

/*
 * Descriptors by name
 */

static void take_socket(gpointer sock)
{
    dup2(GPOINTER_TO_INT(sock), 3);
}

/* A helper for the test's folder; returns our end of the socket to it. */
static int start_helper(Test *t, GPid *pid)
{
    g_autofree char *build = g_path_get_dirname(getenv("QTEST_QEMU_BINARY"));
    g_autofree char *program = g_strdup(getenv("VIRTFS_PROXY_HELPER"));
    const char *argv[] = { NULL, "-n", "-p", t->dir, "-f", "3", NULL };
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
                  take_socket, GINT_TO_POINTER(sv[1]), pid, &err);
    g_assert_no_error(err);
    close(sv[1]);
    return sv[0];
}

static void use_descriptor(Test *t, const char *name, GPid pid)
{
    QDict *info;

    qtest_qmp_assert_success(t->qts, "{'execute': 'fsdev-add', 'arguments': {"
                             "'fsdriver': 'proxy', 'id': 'a', 'sock_fd': %s}}",
                             name);
    plug(t, "a");
    ok(p9c_walk_to(t->c, ROOT, 1, ""));
    info = query(t, "a");
    g_assert_false(qdict_haskey(info, "path"));
    g_assert_false(qdict_haskey(qdict_get_qdict(info, "helper"), "process"));
    qobject_unref(info);
    unplug_in_order(t);
    del(t, "a");
    /* Nobody has the socket any more, so the helper ends. */
    g_assert_cmpint(waitpid(pid, NULL, 0), ==, pid);
}

static void test_getfd(void *obj, void *data, QGuestAllocator *alloc)
{
    int sock, null;
    GPid pid;
    Test t;

    start(&t, "");
    sock = start_helper(&t, &pid);
    qtest_qmp_fds_assert_success(t.qts, &sock, 1, "{'execute': 'getfd', "
                                 "'arguments': {'fdname': 'helper'}}");
    close(sock);
    use_descriptor(&t, "helper", pid);

    /* What is no socket is closed, and gone. */
    null = open("/dev/null", O_RDWR);
    qtest_qmp_fds_assert_success(t.qts, &null, 1, "{'execute': 'getfd', "
                                 "'arguments': {'fdname': 'null'}}");
    close(null);
    refused(&t, PROXY(", 'sock_fd': 'null'"),
            "sock_fd 'null' is not a UNIX stream socket");
    refused(&t, PROXY(", 'sock_fd': 'null'"),
            "sock_fd 'null': File descriptor named 'null' has not been found");
    end(&t);
}

static void test_fdset(void *obj, void *data, QGuestAllocator *alloc)
{
    int sock;
    GPid pid;
    Test t;

    start(&t, "");
    sock = start_helper(&t, &pid);
    qtest_qmp_fds_assert_success(t.qts, &sock, 1, "{'execute': 'add-fd', "
                                 "'arguments': {'fdset-id': 4}}");
    close(sock);
    qtest_qmp_assert_success(t.qts, "{'execute': 'fsdev-add', 'arguments': {"
                             "'fsdriver': 'proxy', 'id': 'x', "
                             "'sock_fd': '/dev/fdset/4'}}");
    del(&t, "x");
    /* The set has it still, so the helper goes on; but QEMU shut nothing. */
    qtest_qmp_assert_success(t.qts, "{'execute': 'remove-fd', 'arguments': {"
                             "'fdset-id': 4}}");
    g_assert_cmpint(waitpid(pid, NULL, 0), ==, pid);
    end(&t);
}

#endif /* CONFIG_VIRTFS_PROXY_HELPER */

/*
 * Tracing
 */

static void test_trace(void *obj, void *data, QGuestAllocator *alloc)
{
    g_autofree char *log = g_strdup("qtest-fsdev-trace-XXXXXX");
    g_autofree char *options = NULL;
    g_autofree char *text = NULL;
    int fd = g_mkstemp(log);
    Test t;

    g_assert_cmpint(fd, >=, 0);
    close(fd);
    options = g_strdup_printf("-trace p9_request -trace p9_reply -D %s", log);
    start(&t, options);
    add_local(&t, "a");
    plug(&t, "a");
    fails(p9c_walk_to(t.c, ROOT, 7, "some/where"), ENOENT);
    ok(p9c_mkdir(t.c, ROOT, "d\nx", 0750, 3, NULL));
    unplug_in_order(&t);
    end(&t);

    g_assert_true(g_file_get_contents(log, &text, NULL, NULL));
    if (!strstr(text, "p9_")) {
        g_test_skip("this QEMU was built without trace events");
    } else {
        g_assert_nonnull(strstr(text, "p9_request fsdev a tag "));
        g_assert_nonnull(strstr(text, " Twalk (110) size 30 fid=0 newfid=7 "
                                      "names=some/where\n"));
        g_assert_nonnull(strstr(text, " Twalk (110) result -2 (No such file or "
                                      "directory) size 11 after "));
        g_assert_nonnull(strstr(text, " Tmkdir (72) size 24 dfid=0 "
                                      "name=d\\nx mode=0750 gid=3\n"));
        g_assert_nonnull(strstr(text, " Tmkdir (72) result 0 (ok) size 20 "));
    }
    g_assert_cmpint(unlink(log), ==, 0);
}

static void register_tests(void)
{
    qos_add_test("qmp/errors", "virtio-9p-pci", test_errors, NULL);
    qos_add_test("qmp/add", "virtio-9p-pci", test_add, NULL);
    qos_add_test("qmp/nameless", "virtio-9p-pci", test_nameless, NULL);
    qos_add_test("qmp/schema", "virtio-9p-pci", test_schema, NULL);
    qos_add_test("qmp/hotplug-local", "virtio-9p-pci", test_hotplug_local,
                 NULL);
    qos_add_test("qmp/trace", "virtio-9p-pci", test_trace, NULL);
#ifdef CONFIG_VIRTFS_PROXY_HELPER
    qos_add_test("qmp/hotplug-proxy", "virtio-9p-pci", test_hotplug_proxy,
                 NULL);
    qos_add_test("qmp/query", "virtio-9p-pci", test_query, NULL);
    qos_add_test("qmp/hmp", "virtio-9p-pci", test_hmp, NULL);
    qos_add_test("qmp/lost", "virtio-9p-pci", test_lost, NULL);
    qos_add_test("qmp/found", "virtio-9p-pci", test_found, NULL);
    qos_add_test("qmp/getfd", "virtio-9p-pci", test_getfd, NULL);
    qos_add_test("qmp/fdset", "virtio-9p-pci", test_fdset, NULL);
    qos_add_test("qmp/silent", "virtio-9p-pci", test_silent, NULL);
#endif
}
libqos_init(register_tests);
