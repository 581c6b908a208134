/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Options of the proxy driver that a helper gets which QEMU starts: each one's
 * effect on the real program, as /proc shows it, wrong values, and what the
 * helper itself says about values that only it can judge.
 */
#include "qemu/osdep.h"
#include <linux/capability.h>
#include <sys/xattr.h>
#include "qapi/error.h"
#include "qemu/module.h"
#include "qobject/qjson.h"
#include "fsdev-qmp.h"

#define CAPABILITY  "security.capability"

/* Adds the export "a" of the test's folder, with further options as JSON. */
static void add(Test *t, const char *more)
{
    g_autofree char *json = g_strdup_printf(
        ADD("'fsdriver': 'proxy', 'id': 'a', 'path': '%s'%s"), t->dir, more);

    qtest_qmp_assert_success(t->m.qts, "%p",
                             qobject_from_json(json, &error_abort));
}

/* The process that serves "a" */
static int helper_pid(Test *t)
{
    g_autoptr(QDict) info = fsdev_query(t, "a");

    return qdict_get_int(qdict_get_qdict(info, "helper"), "pid");
}

/* The rest of the line of /proc/PID/@file that begins with @start */
static char *proc_line(int pid, const char *file, const char *start)
{
    g_autofree char *path = g_strdup_printf("/proc/%d/%s", pid, file);
    g_autofree char *text = NULL;
    g_auto(GStrv) lines = NULL;
    GError *error = NULL;
    unsigned i;

    g_file_get_contents(path, &text, NULL, &error);
    g_assert_no_error(error);
    lines = g_strsplit(text, "\n", -1);
    for (i = 0; lines[i]; i++) {
        if (g_str_has_prefix(lines[i], start)) {
            return g_strdup(g_strstrip(lines[i] + strlen(start)));
        }
    }
    return g_strdup("");
}

typedef struct Effect {
    const char *more;           /* JSON */
    const char *file;           /* below /proc/PID */
    const char *start;          /* of a line */
    const char *rest;           /* how that goes on, in one's own spacing */
    bool root;                  /* only with a helper that root starts */
} Effect;

static const Effect effects[] = {
    { "", "status", "CapEff:", "000000000000001f" },
    { "", "status", "CapPrm:", "000000000000001f" },
    { "", "status", "Seccomp:", "2" },
    { ", 'modcaps': '+setfcap:-chown'", "status", "CapEff:",
      "000000008000001e" },
    { ", 'modcaps': '+mknod'", "status", "CapPrm:", "000000000800001f" },
    { ", 'modcaps': '-chown:-fsetid:+chown'", "status", "CapEff:",
      "000000000000000f" },
    { ", 'seccomp': 'none'", "status", "Seccomp:", "0" },
    { ", 'seccomp': 'log'", "status", "Seccomp:", "2" },
    { ", 'rlimit-nofile': 300", "limits", "Max open files", "300 300 files" },
    { ", 'memory-limit': 536870912", "limits", "Max address space",
      "536870912 536870912 bytes" },
    /* With 48 that work only while a file system holds others up */
    { ", 'threads': 1", "status", "Threads:", "49" },
    { ", 'threads': 9", "status", "Threads:", "57" },
    { ", 'user': '7001', 'group': '7002'", "status", "Uid:",
      "7001 7001 7001 7001", true },
    { ", 'user': '7001', 'group': '7002'", "status", "Gid:",
      "7002 7002 7002 7002", true },
    { ", 'uid-map': '0:1000000:10,10:2000000:5', 'gid-map': '0:3000000:7'",
      "uid_map", "", "0 1000000 10", true },
    { ", 'uid-map': '0:1000000:10,10:2000000:5', 'gid-map': '0:3000000:7'",
      "uid_map", "        10", "2000000 5", true },
    { ", 'uid-map': '0:1000000:10', 'gid-map': '0:3000000:7'",
      "gid_map", "", "0 3000000 7", true },
};

/* One space between words */
static char *squeezed(const char *text)
{
    g_auto(GStrv) words = g_strsplit_set(text, " \t", -1);
    GString *s = g_string_new(NULL);
    unsigned i;

    for (i = 0; words[i]; i++) {
        g_string_append_printf(s, "%s%s", s->len && *words[i] ? " " : "",
                               words[i]);
    }
    return g_string_free(s, FALSE);
}

/* The helper sets some of it up after its first answer. */
static void wait_effect(Test *t, const Effect *e)
{
    gint64 end = g_get_monotonic_time() + 30 * G_USEC_PER_SEC;
    int pid = helper_pid(t);

    for (;;) {
        g_autofree char *line = proc_line(pid, e->file, e->start);
        g_autofree char *rest = squeezed(line);

        if (g_str_equal(rest, e->rest)) {
            return;
        }
        if (g_get_monotonic_time() > end) {
            g_error("%s: /proc/%d/%s: %s '%s', not '%s'", e->more, pid,
                    e->file, e->start, rest, e->rest);
        }
        g_usleep(10000);
    }
}

static void test_effects(void *obj, void *data, QGuestAllocator *alloc)
{
    unsigned i;
    Test t;

    fsdev_start(&t, "");
    for (i = 0; i < ARRAY_SIZE(effects); i++) {
        if (effects[i].root && geteuid() != 0) {
            continue;
        }
        add(&t, effects[i].more);
        wait_effect(&t, &effects[i]);
        fsdev_del(&t, "a");
    }
    fsdev_end(&t);
}

/* A helper's link in /proc: only root may read it */
static char *proc_link(int pid, const char *name)
{
    g_autofree char *path = g_strdup_printf("/proc/%d/%s", pid, name);

    return g_file_read_link(path, NULL);
}

static void test_sandbox(void *obj, void *data, QGuestAllocator *alloc)
{
    static const struct {
        const char *more;
        bool namespace;
        bool chroot;
    } cases[] = {
        { "", true, false },
        { ", 'sandbox': 'namespace'", true, false },
        { ", 'sandbox': 'chroot'", false, true },
        { ", 'sandbox': 'none'", false, false },
    };
    g_autofree char *own = proc_link(getpid(), "ns/mnt");
    unsigned i;
    Test t;

    if (geteuid() != 0) {
        g_test_skip("needs root, to see the helper's namespaces");
        return;
    }
    fsdev_start(&t, "");
    for (i = 0; i < ARRAY_SIZE(cases); i++) {
        g_autofree char *ns = NULL;
        g_autofree char *root = NULL;

        add(&t, cases[i].more);
        ns = proc_link(helper_pid(&t), "ns/mnt");
        root = proc_link(helper_pid(&t), "root");
        g_test_message("%s: %s, %s", cases[i].more, ns, root);
        g_assert_cmpint(strcmp(ns, own) != 0, ==, cases[i].namespace);
        g_assert_cmpstr(root, ==, cases[i].chroot ? t.dir : "/");
        fsdev_del(&t, "a");
    }
    fsdev_end(&t);
}

/* A helper that QEMU starts again gets the same options. */
static void test_again(void *obj, void *data, QGuestAllocator *alloc)
{
    static const Effect again[] = {
        { "", "status", "CapEff:", "000000008000001e" },
        { "", "limits", "Max open files", "300 300 files" },
        { "", "status", "Seccomp:", "0" },
    };
    unsigned i, round;
    Test t;

    fsdev_start(&t, "");
    add(&t, ", 'modcaps': '+setfcap:-chown', 'rlimit-nofile': 300, "
        "'seccomp': 'none', 'reconnect': 1");
    for (round = 0; round < 2; round++) {
        for (i = 0; i < ARRAY_SIZE(again); i++) {
            wait_effect(&t, &again[i]);
        }
        if (round == 0) {
            p9_host_signal_helpers(SIGKILL);
            qtest_qmp_eventwait(t.m.qts, "FSDEV_HELPER_FOUND");
        }
    }
    fsdev_del(&t, "a");
    fsdev_end(&t);
}

/*
 * Messages
 */

/* The output of a QEMU that makes the export and ends: its standard error */
static char *qemu_stderr(Test *t, const char *more)
{
    g_autofree char *fsdev = g_strdup_printf("proxy,id=b,path=%s%s", t->dir,
                                             more);
    g_autofree char *input = g_build_filename(t->dir, "qmp", NULL);
    const char *argv[] = {
        "sh", "-c", "exec \"$@\" <$0", input,
        "timeout", "60", getenv("QTEST_QEMU_BINARY"), "-accel", "qtest",
        "-machine", "none", "-display", "none", "-nodefaults",
        "-qmp", "stdio", "-fsdev", fsdev, NULL,
    };
    GError *error = NULL;
    char *err = NULL;
    int status;

    g_file_set_contents(input, "{'execute': 'qmp_capabilities'}"
                        "{'execute': 'quit'}", -1, &error);
    g_assert_no_error(error);
    /* Until the helper's end, which also has this standard error */
    g_spawn_sync(NULL, (char **)argv, NULL,
                 G_SPAWN_SEARCH_PATH | G_SPAWN_STDOUT_TO_DEV_NULL, NULL, NULL,
                 NULL, &err, &status, &error);
    g_assert_no_error(error);
    g_assert_cmpint(status, ==, 0);
    return err;
}

static void test_log(void *obj, void *data, QGuestAllocator *alloc)
{
    static const struct {
        const char *more;
        bool connects;          /* a message says that a client connected */
    } cases[] = {
        { "", false },
        { ",log-level=error", false },
        { ",log-level=info", true },
        { ",log-level=debug", true },
        /* Not on QEMU's standard error */
        { ",log-level=info,syslog=on", false },
        { ",log-level=info,syslog=off", true },
    };
    unsigned i;
    Test t;

    fsdev_start(&t, "");
    for (i = 0; i < ARRAY_SIZE(cases); i++) {
        g_autofree char *said = qemu_stderr(&t, cases[i].more);

        g_test_message("'%s': %s", cases[i].more, said);
        g_assert_cmpint(strstr(said, "a client connected") != NULL, ==,
                        cases[i].connects);
    }
    fsdev_end(&t);
}

static void add_fails(Test *t, const char *more, const char *expected)
{
    g_autofree char *json = g_strdup_printf(PROXY(", 'path': '%s'%s"), t->dir,
                                            more);
    g_autoptr(QDict) reply = qtest_qmp(t->m.qts, "%p",
                                       qobject_from_json(json, &error_abort));
    QDict *e = qdict_get_qdict(reply, "error");

    if (!e || !strstr(qdict_get_str(e, "desc"), expected)) {
        g_error("%s: '%s' was expected, not '%s'", json, expected,
                e ? qdict_get_str(e, "desc") : "success");
    }
}

/* What QEMU finds wrong before it starts a helper */
static void test_wrong(void *obj, void *data, QGuestAllocator *alloc)
{
    static const struct {
        const char *more;
        const char *says;
    } cases[] = {
        { ", 'modcaps': ''", "modcaps '': its value is empty" },
        { ", 'modcaps': 'mknod'", "modcaps 'mknod': 'mknod' is not + or -" },
        { ", 'modcaps': '+mknod:+sys_admin'", "modcaps '+mknod:+sys_admin': "
          "'+sys_admin' is not + or - with one of chown" },
        { ", 'modcaps': '+mknod:'", "modcaps '+mknod:': '' is not" },
        { ", 'modcaps': 5", "'modcaps'" },
        { ", 'uid-map': '0:1'", "uid-map '0:1': '0:1' is not "
          "INSIDE:OUTSIDE:COUNT" },
        { ", 'gid-map': '0:10:5,4:20:1'", "gid-map '0:10:5,4:20:1': '4:20:1' "
          "overlaps with an earlier range" },
        { ", 'gid-map': ''", "gid-map '': '' is not" },
        { ", 'uid-map': '1:10:5'", "uid-map '1:10:5': no range has id 0 "
          "inside" },
        { ", 'squash': 'some'", "'squash' does not accept value 'some'" },
        { ", 'anon-uid': 5", "anon-uid '5': only with squash" },
        { ", 'squash': 'all', 'anon-gid': 4294967295", "anon-gid "
          "'4294967295': the last id is 4294967294" },
        { ", 'translate-uid': '0:1'", "translate-uid '0:1': '0:1' is not "
          "GUEST:HOST:COUNT" },
        { ", 'translate-gid': '0:10:5,9:14:1'", "translate-gid "
          "'0:10:5,9:14:1': '9:14:1' overlaps with an earlier range" },
        { ", 'translate-gid': '0:1:1', 'uid-map': '0:1:1'", "translate-gid "
          "'0:1:1' and uid-map '0:1:1' exclude each other" },
        { ", 'gid-map': '0:1:1', 'squash': 'root'", "squash 'root' and "
          "gid-map '0:1:1' exclude each other" },
        { ", 'sandbox': 'jail'", "'sandbox' does not accept value 'jail'" },
        { ", 'seccomp': 'off'", "'seccomp' does not accept value 'off'" },
        { ", 'log-level': 'all'", "'log-level' does not accept value 'all'" },
        { ", 'syslog': 'on'", "'syslog'" },
        { ", 'threads': 0", "threads '0': must be from 1 to 64" },
        { ", 'threads': 65", "threads '65': must be from 1 to 64" },
        { ", 'threads': -1", "'threads'" },
        { ", 'rlimit-nofile': 255", "rlimit-nofile '255': must be from 256 to "
          "1048576" },
        { ", 'rlimit-nofile': 1048577", "rlimit-nofile '1048577': must be" },
        { ", 'memory-limit': 512", "memory-limit '512': must be a whole "
          "number of MiB" },
        { ", 'memory-limit': 0", "memory-limit '0': must be from 1048576 to "
          "1099511627776" },
        { ", 'memory-limit': 1099512676352", "memory-limit '1099512676352': "
          "must be from" },
        { ", 'user': ''", "user '': a name or a number is needed" },
        { ", 'group': ''", "group '': a name or a number is needed" },
    };
    unsigned i;
    Test t;

    fsdev_start(&t, "");
    for (i = 0; i < ARRAY_SIZE(cases); i++) {
        add_fails(&t, cases[i].more, cases[i].says);
    }
    if (geteuid() != 0) {
        add_fails(&t, ", 'user': '7001'", "user '7001': only a helper that "
                  "root starts can change its identity");
        add_fails(&t, ", 'group': 'x'", "group 'x': only a helper that root");
    }
    fsdev_end(&t);
}

/* A helper that QEMU does not start has its options already. */
static void test_running(void *obj, void *data, QGuestAllocator *alloc)
{
    static const struct {
        const char *more;
        const char *key;        /* as the message has it */
    } keys[] = {
        { "'user': 'x'", "user 'x'" }, { "'group': 'x'", "group 'x'" },
        { "'modcaps': '+mknod'", "modcaps '+mknod'" },
        { "'uid-map': '0:1:1'", "uid-map '0:1:1'" },
        { "'gid-map': '0:1:1'", "gid-map '0:1:1'" },
        { "'squash': 'all'", "squash 'all'" },
        { "'squash': 'all', 'anon-uid': 5", "squash 'all'" },
        { "'translate-gid': '0:1:1'", "translate-gid '0:1:1'" },
        { "'special-files': 'host'", "special-files 'host'" },
        { "'xattr-map': ':map::user.x.:'", "xattr-map ':map::user.x.:'" },
        { "'act-as': 'guest'", "act-as 'guest'" },
        { "'host-groups': true", "host-groups 'on'" },
        { "'sandbox': 'none'", "sandbox 'none'" },
        { "'seccomp': 'log'", "seccomp 'log'" },
        { "'threads': 4", "threads '4'" },
        { "'rlimit-nofile': 300", "rlimit-nofile '300'" },
        { "'memory-limit': 536870912", "memory-limit '512'" },
        { "'log-level': 'info'", "log-level 'info'" },
        { "'syslog': true", "syslog 'on'" },
    };
    unsigned i;
    Test t;

    fsdev_start(&t, "");
    for (i = geteuid() ? 2 : 0; i < ARRAY_SIZE(keys); i++) {
        g_autofree char *socket = g_strdup_printf(
            PROXY(", 'socket': 's', %s"), keys[i].more);
        g_autofree char *sock_fd = g_strdup_printf(
            PROXY(", 'sock_fd': 'x', %s"), keys[i].more);
        g_autofree char *says = g_strdup_printf(
            "%s and socket 's' exclude each other: that helper is already "
            "running", keys[i].key);
        g_autofree char *fd_says = g_strdup_printf(
            "%s and sock_fd 'x' exclude each other: that helper is already "
            "running", keys[i].key);

        fsdev_refused(&t, socket, says);
        fsdev_refused(&t, sock_fd, fd_says);
    }
    fsdev_end(&t);
}

/* What only the helper can judge, in its own words */
static void test_told(void *obj, void *data, QGuestAllocator *alloc)
{
    static const struct {
        const char *more;
        const char *says;
        bool root;
    } cases[] = {
        { ", 'memory-limit': 1048576", "failed to start: --memory-limit 1: "
          "the helper needs at least " },
        { ", 'user': 'no such'", "failed to start: --user no such: no such "
          "user", true },
        { ", 'user': '0'", "failed to start: --user: the helper does not "
          "serve as root", true },
        { ", 'uid-map': '0:1000000:1'", "failed to start: --uid-map: as root, "
          "--gid-map is needed, too", true },
        { ", 'user': '7', 'uid-map': '0:1000000:1', 'gid-map': '0:1000000:1'",
          "failed to start: --user: with --uid-map", true },
    };
    const char *program = getenv("QTEST_QEMU_BINARY");
    g_autofree char *build = g_path_get_dirname(program);
    g_autofree char *helper = g_build_filename(build,
                                               "fsdev/virtfs-proxy-helper",
                                               NULL);
    unsigned i;
    Test t;

    fsdev_start(&t, "");
    for (i = 0; i < ARRAY_SIZE(cases); i++) {
        g_autofree char *named = g_strdup_printf(", 'helper': '%s'%s", helper,
                                                 cases[i].more);

        if (cases[i].root && geteuid() != 0) {
            continue;
        }
        add_fails(&t, cases[i].more, cases[i].says);
        /* QEMU asks this one for its version of the protocol first. */
        add_fails(&t, named, cases[i].says);
    }
    fsdev_end(&t);
}

/*
 * File capabilities
 */

/* A program with this may open raw sockets. */
static const struct vfs_cap_data capability = {
    .magic_etc = GUINT32_TO_LE(VFS_CAP_REVISION_2 | VFS_CAP_FLAGS_EFFECTIVE),
    .data[0].permitted = GUINT32_TO_LE(1u << CAP_NET_RAW),
};

static int give_capability(Test *t, uint32_t fid)
{
    int ret = p9c_walk_to(t->c, ROOT, fid, "f");

    if (ret == 0) {
        ret = p9c_xattrcreate(t->c, fid, CAPABILITY, XATTR_CAPS_SZ_2, 0);
    }
    if (ret == 0) {
        uint32_t n;

        ret = p9c_write(t->c, fid, 0, &capability, XATTR_CAPS_SZ_2, &n);
    }
    return ret ?: p9c_clunk(t->c, fid);
}

static void test_file_caps(void *obj, void *data, QGuestAllocator *alloc)
{
    struct vfs_cap_data got;
    g_autofree char *path = NULL;
    unsigned with;
    uint64_t size;
    uint32_t n;
    Test t;

    fsdev_start(&t, "");
    path = g_build_filename(t.dir, "f", NULL);
    g_assert_true(g_file_set_contents(path, "program", -1, NULL));
    for (with = 0; with < 2; with++) {
        g_autoptr(QDict) info = NULL;

        add(&t, with ? ", 'modcaps': '+setfcap'" : "");
        fsdev_plug(&t, "a");
        info = fsdev_query(&t, "a");
        g_assert_cmpint(fsdev_has_word(qdict_get_qdict(info, "helper"),
                                       "features", "file-caps"), ==, with);
        fails(give_capability(&t, 3), with ? 0 : EOPNOTSUPP);
        ok(p9c_walk_to(t.c, ROOT, 1, "f"));
        fails(p9c_xattrwalk(t.c, 1, 2, CAPABILITY, &size),
              with ? 0 : EOPNOTSUPP);
        if (with) {
            g_assert_cmpint(size, ==, XATTR_CAPS_SZ_2);
            ok(p9c_read(t.c, 2, 0, sizeof(got), &got, &n));
            g_assert_cmpmem(&got, n, &capability, XATTR_CAPS_SZ_2);
            ok(p9c_clunk(t.c, 2));
            g_assert_cmpint(getxattr(path, CAPABILITY, NULL, 0), >, 0);
            /* Other attributes of the host stay closed. */
            fails(p9c_xattrwalk(t.c, 1, 2, "security.selinux", NULL),
                  EOPNOTSUPP);
            fails(p9c_xattrwalk(t.c, 1, 2, "trusted.x", NULL), EOPNOTSUPP);
            /* A write takes them away. */
            ok(p9c_lopen(t.c, 1, P9C_O_WRONLY, NULL, NULL));
            ok(p9c_write(t.c, 1, 0, "x", 1, &n));
            g_assert_cmpint(getxattr(path, CAPABILITY, NULL, 0), ==, -1);
        }
        ok(p9c_clunk(t.c, 1));
        fsdev_unplug_in_order(&t);
        fsdev_del(&t, "a");
    }
    fsdev_end(&t);
}

/*
 * File handles: QEMU asks for them with migration=handles alone
 */
static void test_file_handles(void *obj, void *data, QGuestAllocator *alloc)
{
    static const struct {
        const char *more;
        bool has;
    } cases[] = {
        { "", false },
        { ", 'migration': 'auto'", false },
        { ", 'migration': 'handles'", true },
        { ", 'migration': 'handles', 'sandbox': 'chroot'", true },
        { ", 'migration': 'names'", false },
        { ", 'migration': 'off'", false },
    };
    static const char refused[] =
        "failed to start: --file-handles=on: the helper may not open file";
    unsigned i;
    Test t;

    fsdev_start(&t, "");
    for (i = 0; i < ARRAY_SIZE(cases) && geteuid() == 0; i++) {
        g_autoptr(QDict) info = NULL;

        add(&t, cases[i].more);
        info = fsdev_query(&t, "a");
        g_assert_cmpint(fsdev_has_word(qdict_get_qdict(info, "helper"),
                                       "features", "file-handles"), ==,
                        cases[i].has);
        fsdev_del(&t, "a");
    }
    add_fails(&t, geteuid() == 0 ? ", 'migration': 'handles', "
                                   "'modcaps': '-dac_read_search'"
                                 : ", 'migration': 'handles'", refused);
    fsdev_end(&t);
}

static void register_tests(void)
{
    qos_add_test("helper-options/effects", "virtio-9p-pci", test_effects, NULL);
    qos_add_test("helper-options/sandbox", "virtio-9p-pci", test_sandbox, NULL);
    qos_add_test("helper-options/again", "virtio-9p-pci", test_again, NULL);
    qos_add_test("helper-options/log", "virtio-9p-pci", test_log, NULL);
    qos_add_test("helper-options/wrong", "virtio-9p-pci", test_wrong, NULL);
    qos_add_test("helper-options/running", "virtio-9p-pci", test_running, NULL);
    qos_add_test("helper-options/told", "virtio-9p-pci", test_told, NULL);
    qos_add_test("helper-options/file-caps", "virtio-9p-pci", test_file_caps,
                 NULL);
    qos_add_test("helper-options/file-handles", "virtio-9p-pci",
                 test_file_handles, NULL);
}
libqos_init(register_tests);
