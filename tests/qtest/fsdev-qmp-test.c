/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Shared file systems while the machine runs: fsdev-add, fsdev-del and
 * query-fsdevs over a QMP socket, devices that are plugged and unplugged, and
 * trace events.
 *
 * Each test has a QEMU and a folder of its own. The tests are registered with
 * the virtio-9p device, because every binary with these commands has it.
 */
#include "qemu/osdep.h"
#include "qemu/module.h"
#include "qobject/qjson.h"
#include "qobject/qlist.h"
#include "fsdev-qmp.h"
#include "../unit/shared/hung-fuse.h"

#define ROUNDS      10

/*
 * Adding and removing
 */

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
        { ADD("'fsdriver': 'synth', 'id': 'x', 'max-fids': 0"),
          "max-fids=0: it must be from 1 to 4194304" },
        { ADD("'fsdriver': 'synth', 'id': 'x', 'max-open-files': 0"),
          "max-open-files=0: it must be at least 1" },
        { ADD("'fsdriver': 'synth', 'id': 'there'"),
          "id 'there' is already in use" },
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

    fsdev_start(&t, "-fsdev synth,id=there");
    for (i = 0; i < ARRAY_SIZE(cases); i++) {
        g_autoptr(QDict) info = NULL;

        fsdev_refused(&t, cases[i].command, cases[i].error);
        info = fsdev_query(&t, "x");
        g_assert_null(info);
    }
    fsdev_end(&t);
}

static void test_add(void *obj, void *data, QGuestAllocator *alloc)
{
    QDict *info;
    Test t;

    fsdev_start(&t, "-fsdev synth,id=first,readonly");
    fsdev_add_local(&t, "second");
    fsdev_plug(&t, "second");
    ok(p9c_walk_to(t.c, ROOT, 1, ""));

    info = fsdev_query(&t, "first");
    g_assert_cmpstr(qdict_get_str(info, "fsdriver"), ==, "synth");
    g_assert_true(qdict_get_bool(info, "readonly"));
    g_assert_true(qlist_empty(qdict_get_qlist(info, "devices")));
    g_assert_false(qdict_haskey(info, "path"));
    g_assert_false(qdict_haskey(info, "helper"));
    qobject_unref(info);
    info = fsdev_query(&t, "second");
    g_assert_cmpstr(qdict_get_str(info, "fsdriver"), ==, "local");
    g_assert_cmpstr(qdict_get_str(info, "path"), ==, t.dir);
    g_assert_false(qdict_get_bool(info, "readonly"));
    g_assert_true(fsdev_has_word(info, "devices", "share0"));
    g_assert_false(qdict_haskey(info, "helper"));
    qobject_unref(info);

    fsdev_refused(&t, DEL("second"), "fsdev 'second' is in use by 1 device: "
                  "'share0'");
    /* It still serves the guest. */
    ok(p9c_walk_to(t.c, ROOT, 2, ""));
    fsdev_unplug_in_order(&t);
    fsdev_del(&t, "second");
    fsdev_del(&t, "first");
    g_assert_null(fsdev_query(&t, "second"));
    g_assert_null(fsdev_query(&t, "first"));
    fsdev_end(&t);
}

/* A message names a device without an id by its path. */
static void test_nameless(void *obj, void *data, QGuestAllocator *alloc)
{
    g_autoptr(QDict) reply = NULL;
    const char *desc;
    Test t;

    fsdev_start(&t, "-fsdev synth,id=a "
                "-device virtio-9p-pci,fsdev=a,mount_tag=x "
                "-device virtio-9p-pci,fsdev=a,mount_tag=y,id=named");
    reply = qtest_qmp_assert_failure_ref(t.m.qts, DEL("a"));
    desc = qdict_get_str(reply, "desc");
    g_assert_nonnull(strstr(desc, "in use by 2 devices: "));
    g_assert_nonnull(strstr(desc, "'/machine/peripheral-anon/device[0]'"));
    g_assert_nonnull(strstr(desc, "'named'"));
    fsdev_end(&t);
}

/* Management software looks for these names in the schema. */
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

    fsdev_start(&t, "");
    schema = qtest_qmp(t.m.qts, "{'execute': 'query-qmp-schema'}");
    json = qobject_to_json(QOBJECT(qdict_get_qlist(schema, "return")));
    for (i = 0; i < ARRAY_SIZE(names); i++) {
        if (!strstr(json->str, names[i])) {
            g_error("query-qmp-schema does not have %s", names[i]);
        }
    }
    props = qtest_qmp(t.m.qts, "{'execute': 'qom-list-properties', "
                      "'arguments': {'typename': 'virtio-9p-pci'}}");
    props_json = qobject_to_json(QOBJECT(qdict_get_qlist(props, "return")));
    g_assert_nonnull(strstr(props_json->str, "\"fsdev\""));
    g_assert_nonnull(strstr(props_json->str, "\"mount_tag\""));
    fsdev_end(&t);
}

/*
 * Plugging and unplugging
 */

/*
 * Adds the share, uses it, and removes it again. The first round may leave
 * descriptors that QEMU opens once and for all; the others leave none.
 */
static void come_and_go(void (*add)(Test *t), const char *id)
{
    unsigned round, descriptors = 0;
    Test t;

    fsdev_start(&t, "");
    for (round = 0; round < ROUNDS; round++) {
        g_autofree char *name = g_strdup_printf("made%u", round);
        g_autoptr(QDict) info = NULL;
        uint32_t n;

        add(&t);
        fsdev_plug(&t, id);
        ok(p9c_walk_to(t.c, ROOT, 1, ""));
        ok(p9c_lcreate(t.c, 1, name, P9C_O_RDWR, 0644, 0, NULL, NULL));
        ok(p9c_write(t.c, 1, 0, "data", 4, &n));
        ok(p9c_walk_to(t.c, ROOT, 2, name));
        ok(p9c_mkdir(t.c, ROOT, "dir", 0755, 0, NULL));
        ok(p9c_walk_to(t.c, ROOT, 3, "dir"));
        ok(p9c_unlinkat(t.c, ROOT, "dir", P9C_AT_REMOVEDIR));
        info = fsdev_query(&t, id);
        g_assert_cmpint(qdict_get_int(info, "open-files"), ==, 1);
        g_assert_cmpint(qdict_get_int(info, "nodes"), >=, 2);

        /* Every other round the guest still uses the device. */
        if (round % 2) {
            P9Client *c = t.c;

            fsdev_unplug(&t);
            /* The device is gone: p9c_free() cannot reset it. */
            t.c = NULL;
            g_test_queue_free(c);
        } else {
            fsdev_unplug_in_order(&t);
        }
        qobject_unref(info);
        info = fsdev_query(&t, id);
        g_assert_true(qlist_empty(qdict_get_qlist(info, "devices")));
        g_assert_cmpint(qdict_get_int(info, "open-files"), ==, 0);
        g_assert_cmpint(qdict_get_int(info, "open-xattrs"), ==, 0);
        g_assert_cmpint(qdict_get_int(info, "in-flight"), ==, 0);
        g_assert_cmpint(qdict_get_int(info, "names"), ==, 0);
        g_assert_cmpint(qdict_get_int(info, "nodes"), ==, 1);  /* the root */
        fsdev_del(&t, id);
        if (round == 0) {
            /* A helper ends soon after QEMU closes its socket. */
            g_usleep(G_USEC_PER_SEC);
            descriptors = p9_host_descriptors();
        } else {
            p9_host_wait_descriptors(descriptors);
        }
    }
    fsdev_end(&t);
}

static void add_local_a(Test *t)
{
    fsdev_add_local(t, "a");
}

static void test_hotplug_local(void *obj, void *data, QGuestAllocator *alloc)
{
    come_and_go(add_local_a, "a");
}

#ifdef CONFIG_VIRTFS_PROXY_HELPER

static void add_proxy_a(Test *t)
{
    fsdev_add_proxy(t, "a", 0);
}

static void test_hotplug_proxy(void *obj, void *data, QGuestAllocator *alloc)
{
    come_and_go(add_proxy_a, "a");
}
#endif

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
    fsdev_start(&t, options);
    fsdev_add_local(&t, "a");
    fsdev_plug(&t, "a");
    fails(p9c_walk_to(t.c, ROOT, 7, "some/where"), ENOENT);
    ok(p9c_mkdir(t.c, ROOT, "d\nx", 0750, 3, NULL));
    fsdev_unplug_in_order(&t);
    fsdev_end(&t);

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

/* While fsdev-add waits for a file system without an answer, QEMU goes on. */
static void test_add_hung(void *obj, void *data, QGuestAllocator *alloc)
{
    static const char add[] = "{'execute': 'fsdev-add', 'arguments': {"
        "'fsdriver': 'local', 'id': 'x', 'path': %s, "
        "'security_model': 'none'}}";
    g_autofree char *at = NULL;
    gint64 start;
    HungFuse *fuse;
    QDict *reply;
    unsigned i;
    Test t;

    fsdev_start(&t, "");
    fsdev_add_local(&t, "a");
    fsdev_plug(&t, "a");
    at = g_build_filename(t.dir, "hung", NULL);
    g_assert_cmpint(mkdir(at, 0755), ==, 0);
    fuse = hung_fuse_start_or_skip(at);
    /* The second time the server does not answer before the command ends. */
    for (i = 0; fuse && i < (g_test_slow() ? 2 : 1); i++) {
        hung_fuse_hang(fuse, FUSE_GETATTR, HUNG_ROOT);
        start = g_get_monotonic_time();
        qtest_qmp_send(t.m.qts, add, at);
        g_assert_true(hung_fuse_wait(fuse, 1));
        ok(p9c_walk_to(t.c, ROOT, 1, ""));
        ok(p9c_clunk(t.c, 1));
        g_assert_cmpint(g_get_monotonic_time() - start, <,
                        5 * G_USEC_PER_SEC);
        if (i == 0) {
            hung_fuse_answer(fuse);
        }
        reply = qtest_qmp_receive(t.m.qts);
        if (i == 0) {
            g_assert_true(qdict_haskey(reply, "return"));
            fsdev_del(&t, "x");
        } else {
            const char *error = qdict_get_str(qdict_get_qdict(reply, "error"),
                                              "desc");

            g_assert_true(g_str_has_suffix(error, "its file system did not "
                                           "answer within 15 seconds"));
            hung_fuse_answer(fuse);
        }
        qobject_unref(reply);
    }
    if (fuse) {
        hung_fuse_end(fuse);
    }
    fsdev_unplug_in_order(&t);
    fsdev_end(&t);
}

/*
 * Migration
 */

#define MIGRATE "{'execute': 'migrate', 'arguments': {" \
                "'uri': 'exec:cat > /dev/null'}}"

/* An export that does not migrate blocks migration while it is mounted. */
static void test_blocker(void *obj, void *data, QGuestAllocator *alloc)
{
    g_autofree char *text = NULL;
    QDict *info;
    Test t;

    fsdev_start(&t, "-fsdev synth,id=not,migration=off -fsdev synth,id=may");
    info = fsdev_query(&t, "may");
    g_assert_true(qdict_get_bool(info, "migratable"));
    g_assert_false(qdict_haskey(info, "migration-blocker"));
    qobject_unref(info);
    info = fsdev_query(&t, "not");
    g_assert_false(qdict_get_bool(info, "migratable"));
    g_assert_cmpstr(qdict_get_str(info, "migration-blocker"), ==,
                    "fsdev 'not' has migration=off");
    qobject_unref(info);
    text = qtest_hmp(t.m.qts, "info fsdev");
    g_assert_nonnull(strstr(text, "not: synth\r\n  devices: none\r\n"
                            "  cannot be migrated while mounted: "
                            "fsdev 'not' has migration=off\r\n"));
    g_assert_nonnull(strstr(text, "may: synth\r\n  devices: none\r\n"
                            "  fids "));

    fsdev_plug(&t, "not");
    fsdev_refused(&t, MIGRATE, "virtio-9p: the guest has mounted fsdev 'not', "
                  "which has migration=off; unmount it in the guest first");
    ok(p9c_clunk(t.c, ROOT));
    qtest_qmp_assert_success(t.m.qts, MIGRATE);
    qtest_qmp_eventwait(t.m.qts, "STOP");
    p9c_free(t.c);
    qvirtio_9p_pci_free(t.dev);
    fsdev_end(&t);
}

/* With -only-migratable, only the others can be mounted. */
static void test_only_migratable(void *obj, void *data, QGuestAllocator *alloc)
{
    g_autofree char *version = NULL;
    uint32_t msize;
    Test t;

    fsdev_start(&t, "-only-migratable -fsdev synth,id=not,migration=off "
                "-fsdev synth,id=may");
    fsdev_plug(&t, "may");
    fsdev_unplug_in_order(&t);

    fsdev_plug_only(&t, "not");
    ok(p9c_version(t.c, P9C_MSIZE, P9C_VERSION, &msize, &version));
    fails(p9c_attach(t.c, ROOT, 0, NULL), EBUSY);
    fsdev_unplug_in_order(&t);
    fsdev_end(&t);
}

static void register_tests(void)
{
    qos_add_test("qmp/add-hung", "virtio-9p-pci", test_add_hung, NULL);
    qos_add_test("qmp/errors", "virtio-9p-pci", test_errors, NULL);
    qos_add_test("qmp/add", "virtio-9p-pci", test_add, NULL);
    qos_add_test("qmp/nameless", "virtio-9p-pci", test_nameless, NULL);
    qos_add_test("qmp/schema", "virtio-9p-pci", test_schema, NULL);
    qos_add_test("qmp/hotplug-local", "virtio-9p-pci", test_hotplug_local,
                 NULL);
    qos_add_test("qmp/blocker", "virtio-9p-pci", test_blocker, NULL);
    qos_add_test("qmp/only-migratable", "virtio-9p-pci", test_only_migratable,
                 NULL);
    qos_add_test("qmp/trace", "virtio-9p-pci", test_trace, NULL);
#ifdef CONFIG_VIRTFS_PROXY_HELPER
    qos_add_test("qmp/hotplug-proxy", "virtio-9p-pci", test_hotplug_proxy,
                 NULL);
#endif
}
libqos_init(register_tests);
