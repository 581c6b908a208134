/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Tests of virtfs-proxy-helper's privilege once it serves: identity,
 * capabilities, sandbox and id maps. They run it as root, as an ordinary user,
 * and as a user with subordinate ids, which VIRTFS_TEST_USER names. Tests that
 * are not possible here skip by name.
 */
#include "qemu/osdep.h"
#include "start-fixture.h"
#include "proxy-proc.h"
#include "qemu/rcu.h"
#include <glib/gstdio.h>
#include <grp.h>
#include <pwd.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/sysmacros.h>

static void test_root_identity(void)
{
    static const struct {
        const char *options[8];
        unsigned uid;
        unsigned gid;
    } cases[] = {
        { { "--user", "7001", "--group", "7002", NULL }, 7001, 7002 },
        { { "--user", "7003", "--group", "7004", "-u", "7003", NULL },
          7003, 7004 },
        { { "-u", "7003", "--user", "7001", "--group", "7002", NULL },
          7001, 7002 },
    };
    unsigned i;
    char *dir;

    if (skip_unless_root()) {
        return;
    }
    dir = make_dir(PC_NOBODY);
    for (i = 0; i < G_N_ELEMENTS(cases); i++) {
        ProxyClient *c = pc_start(dir, PC_NOBODY, cases[i].options);

        pp_expect_privileges(pp_wait_ready(c->pid), PP_FIVE, cases[i].uid,
                          cases[i].gid);
        g_assert_cmpint(pc_close(c), ==, 0);
    }
    pf_remove_dir(dir);
}

/* Another process of QEMU's user may not signal or limit a helper. */
static void test_root_own_user(void)
{
    static const char *const options[] = { "-u", "7003", NULL };
    unsigned ids[2];
    unsigned i, j;

    if (skip_unless_root()) {
        return;
    }
    for (i = 0; i < G_N_ELEMENTS(ids); i++) {
        char *dir = make_dir(PC_NOBODY);
        ProxyClient *c = pc_start(dir, PC_NOBODY, options);
        pid_t pids[2] = { c->pid, pp_wait_ready(c->pid) };

        ids[i] = pp_id(pids[1], "Uid");
        g_assert_cmpuint(ids[i], >=, PP_OWN_IDS);
        for (j = 0; j < G_N_ELEMENTS(pids); j++) {
            struct rlimit limit = { 0, 0 };
            pid_t qemu = fork();

            pp_expect_id(pids[j], "Uid", ids[i]);
            pp_expect_id(pids[j], "Gid", ids[i]);
            if (qemu == 0) {
                _exit(setresuid(7003, 7003, 7003) == 0 &&
                      kill(pids[j], SIGKILL) < 0 && errno == EPERM &&
                      prlimit(pids[j], RLIMIT_NOFILE, &limit, NULL) < 0 &&
                      errno == EPERM ? 0 : 1);
            }
            g_assert_cmpint(pc_wait(qemu), ==, 0);
        }
        g_assert_cmpint(pc_close(c), ==, 0);
        pf_remove_dir(dir);
    }
    g_assert_cmpuint(ids[0], !=, ids[1]);
}

/*
 * Mounts within the export are a part of it, and restricted as it is; the
 * host's mounts stay as they were.
 */
static void test_root_submount(void)
{
    static const char *const readonly[] = { "--readonly", NULL };
    g_autofree char *sub = NULL;
    g_autofree char *path = NULL;
    g_autofree char *file = NULL;
    g_autofree char *text = NULL;
    g_auto(GStrv) lines = NULL;
    ProxyClient *c;
    PcNode node;
    FsAttr attr;
    char *dir;

    if (skip_unless_root()) {
        return;
    }
    dir = make_dir(PC_NOBODY);
    sub = g_build_filename(dir, "sub", NULL);
    g_assert_cmpint(g_mkdir(sub, 0755), ==, 0);
    if (mount("tmpfs", sub, "tmpfs", 0, "mode=755") < 0) {
        g_test_skip("cannot mount a tmpfs");
        pf_remove_dir(dir);
        return;
    }
    c = pc_open(dir, readonly);
    g_assert_cmpint(pc_walk(c, "sub", &node, &attr), ==, 0);
    g_assert_cmpint(attr.dev, !=, c->root_attr.dev);
    close(node.fd);

    path = g_strdup_printf("/proc/%u/mountinfo", c->server_pid);
    g_assert_true(g_file_get_contents(path, &text, NULL, NULL));
    lines = g_strsplit(text, "\n", -1);
    g_assert_cmpint(g_strv_length(lines), ==, 3);
    g_assert_nonnull(strstr(lines[0], " / ro,nosuid,nodev"));
    g_assert_nonnull(strstr(lines[1], " /sub ro,nosuid,nodev"));
    g_assert_cmpint(pc_close(c), ==, 0);

    /* The host's mount is writable as before, and no process holds it. */
    file = g_build_filename(sub, "x", NULL);
    g_assert_true(g_file_set_contents(file, "x", -1, NULL));
    g_assert_cmpint(umount(sub), ==, 0);
    pf_remove_dir(dir);
}

static void test_ordinary_user_error(void)
{
    static const char *const args[] = {
        "-n", "-p", "/", "-f", "3", "--user", "nobody", NULL
    };
    g_autofree char *text = NULL;

    if (skip_unless_root()) {
        return;
    }
    g_assert_cmpint(pc_run(args, LONELY_UID, -1, &text), ==, 1);
    g_assert_nonnull(strstr(text, "--user"));
}

static int make_device(ProxyClient *c, const char *name)
{
    MarshalWriter *w = pc_begin(c);

    marshal_put_u64(w, PROXY_ROOT_HANDLE);
    marshal_put_str(w, name);
    marshal_put_u32(w, S_IFCHR | 0600);
    marshal_put_u32(w, 0);
    marshal_put_u32(w, 0);
    marshal_put_u64(w, makedev(1, 3));
    marshal_put_str(w, "");
    return pc_call(c, PROXY_MAKE);
}

static void expect_root_dir(pid_t pid, const char *wanted)
{
    g_autofree char *path = g_strdup_printf("/proc/%d/root", pid);
    struct stat root, st;

    g_assert_cmpint(g_stat(path, &root), ==, 0);
    g_assert_cmpint(g_stat(wanted, &st), ==, 0);
    g_assert_cmpint(root.st_dev, ==, st.st_dev);
    g_assert_cmpint(root.st_ino, ==, st.st_ino);
}

/* A weaker sandbox: the same privileges, and lookups stay in the export. */
static void test_root_sandboxes(void)
{
    static const struct {
        const char *option;
        bool root;              /* the export is the root directory */
    } modes[] = {
        { "--sandbox=namespace", true },
        { "--sandbox=chroot", true },
        { "--sandbox=none", false },
    };
    unsigned i;

    if (skip_unless_root()) {
        return;
    }
    for (i = 0; i < G_N_ELEMENTS(modes); i++) {
        const char *options[] = { modes[i].option, NULL };
        char *dir = make_dir(PC_NOBODY);
        g_autofree char *link = g_build_filename(dir, "link", NULL);
        ProxyClient *c = pc_start(dir, PC_NOBODY, options);
        pid_t server = pp_wait_ready(c->pid);
        struct stat st;
        FsAttr attr;
        PcNode node;

        pp_expect_privileges(server, PP_FIVE, pp_id(server, "Uid"),
                             pp_id(server, "Uid"));
        expect_root_dir(server, modes[i].root ? dir : "/");
        pc_hello(c, 0);
        g_assert_cmpint(make_as(c, dir, "sub", 1234, 4321, &st), ==, 0);
        g_assert_cmpint(st.st_uid, ==, 1234);
        g_assert_cmpint(symlink("/etc", link), ==, 0);
        g_assert_cmpint(pc_walk(c, "link/passwd", &node, &attr), <, 0);
        /* ".." at the root stays there. */
        g_assert_cmpint(pc_walk1(c, PROXY_ROOT_HANDLE, "..", &node, &attr),
                        ==, 0);
        g_assert_cmpint(attr.ino, ==, c->root_attr.ino);
        if (node.fd >= 0) {
            close(node.fd);
        }
        g_assert_cmpint(pc_close(c), ==, 0);
        pf_remove_dir(dir);
    }
}

/* QEMU's own rights on a file that it got, or looked up itself */
static void expect_unwritable(int root, int node)
{
    g_autofree char *link = g_strdup_printf("/proc/self/fd/%d", node);

    g_assert_cmpint(open(link, O_WRONLY | O_CLOEXEC), ==, -1);
    g_assert_cmpint(errno, ==, EROFS);
    g_assert_cmpint(truncate(link, 0), ==, -1);
    g_assert_cmpint(errno, ==, EROFS);
    g_assert_cmpint(chmod(link, 0777), ==, -1);
    g_assert_cmpint(errno, ==, EROFS);
    g_assert_cmpint(openat(root, "file", O_RDWR | O_CLOEXEC), ==, -1);
    g_assert_cmpint(errno, ==, EROFS);
    g_assert_cmpint(openat(root, "new", O_CREAT | O_RDWR | O_CLOEXEC, 0600),
                    ==, -1);
    g_assert_cmpint(errno, ==, EROFS);
    g_assert_cmpint(unlinkat(root, "file", 0), ==, -1);
    g_assert_cmpint(errno, ==, EROFS);
}

/* With --readonly, descriptors are read-only in every sandbox. */
static void test_root_readonly(void)
{
    static const char *const modes[] = {
        "--sandbox=namespace", "--sandbox=chroot", "--sandbox=none",
    };
    unsigned i;

    if (skip_unless_root()) {
        return;
    }
    for (i = 0; i < G_N_ELEMENTS(modes); i++) {
        const char *options[] = { modes[i], "--readonly", NULL };
        char *dir = make_dir(PC_NOBODY);
        g_autofree char *path = g_build_filename(dir, "file", NULL);
        ProxyClient *c;
        struct stat st;
        FsAttr attr;
        PcNode node;

        g_assert_true(g_file_set_contents(path, "text", -1, NULL));
        g_test_message("%s", modes[i]);
        c = pc_open(dir, options);
        g_assert_cmpint(pc_walk(c, "file", &node, &attr), ==, 0);
        expect_unwritable(c->root_fd, node.fd);
        close(node.fd);
        g_assert_cmpint(make_as(c, dir, "x", 0, 0, &st), ==, -EROFS);
        g_assert_cmpint(pc_close(c), ==, 0);
        /* The host's own mount is as before. */
        g_assert_true(g_file_set_contents(path, "more", -1, NULL));
        pf_remove_dir(dir);
    }
}

/* Where the helper cannot make such a mount, it does not start. */
static void test_rootless_readonly(void)
{
    static const char *const modes[] = { "--sandbox=chroot", "--sandbox=none" };
    unsigned i;

    for (i = 0; i < G_N_ELEMENTS(modes); i++) {
        const char *args[] = { "-n", "-p", "/", "-f", "3", "--readonly",
                               modes[i], NULL };
        g_autofree char *text = NULL;
        int fds[2];

        g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0,
                                   fds), ==, 0);
        g_assert_cmpint(pc_run(args, geteuid() ? PC_NOBODY : LONELY_UID,
                               fds[1], &text), ==, 1);
        close(fds[0]);
        close(fds[1]);
        if (!strstr(text, "--readonly: the helper can make no read-only") &&
            !strstr(text, "cannot make a user namespace")) {
            g_error("%s: '%s'", modes[i], text);
        }
    }
}

/* Two capabilities more and two fewer, and their effect */
static void test_root_modcaps(void)
{
    static const char *const options[] = {
        "--modcaps=+mknod:-chown:+SETFCAP:-fsetid", NULL
    };
    static const char caps[] = "000000008800000e";
    ProxyClient *c;
    struct stat st;
    pid_t server;
    char *dir;

    if (skip_unless_root()) {
        return;
    }
    dir = make_dir(PC_NOBODY);
    c = pc_start(dir, PC_NOBODY, options);
    server = pp_wait_ready_caps(c->pid, caps);
    pp_expect_status(server, "CapPrm", caps);
    pp_expect_status(server, "CapBnd", PP_NONE);
    pp_expect_status(server, "CapInh", PP_NONE);
    pp_expect_status(server, "CapAmb", PP_NONE);
    pc_hello(c, 0);
    /* Without CHOWN the file cannot belong to root, so it is not made. */
    g_assert_cmpint(make_device(c, "null"), ==, -EPERM);
    g_assert_cmpint(make_as(c, dir, "other's", 1234, 4321, &st), ==, -EPERM);
    g_assert_cmpint(pc_close(c), ==, 0);

    c = pc_open(dir, (const char *const[]) { "--modcaps=+mknod", NULL });
    if (make_device(c, "null") == -EPERM) {
        g_test_skip("root may not make device nodes here");
    } else {
        g_autofree char *path = g_build_filename(dir, "null", NULL);

        g_assert_cmpint(lstat(path, &st), ==, 0);
        g_assert_true(S_ISCHR(st.st_mode));
        g_assert_cmpint(st.st_rdev, ==, makedev(1, 3));
        g_assert_cmpint(st.st_uid, ==, 0);
    }
    g_assert_cmpint(pc_close(c), ==, 0);

    c = pc_open(dir, NULL);
    g_assert_cmpint(make_device(c, "zero"), ==, -EPERM);
    g_assert_cmpint(pc_close(c), ==, 0);
    pf_remove_dir(dir);
}

/* Skips the test unless this user may make user namespaces; whether it did. */
static bool skip_unless_userns(const char *dir)
{
    const char *args[] = { "-n", "-p", dir, "-f", "3", NULL };
    g_autofree char *text = NULL;
    int fds[2];
    int ret;

    g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds),
                    ==, 0);
    shutdown(fds[0], SHUT_RDWR);
    ret = pc_run(args, LONELY_UID, fds[1], &text);
    close(fds[0]);
    close(fds[1]);
    if (ret && strstr(text, "user namespace")) {
        g_test_skip(text);
        return true;
    }
    g_assert_cmpint(ret, ==, 0);
    g_assert_nonnull(strstr(text, "no subordinate ids"));
    return false;
}

/* The host's id for the guest's @id */
static uint32_t outside_of(const ProxyIdRange *map, unsigned n, uint32_t id)
{
    unsigned i;

    for (i = 0; i < n; i++) {
        if (id >= map[i].inside && id - map[i].inside < map[i].count) {
            return map[i].outside + (id - map[i].inside);
        }
    }
    g_error("the guest's id %u is not mapped", id);
}

/*
 * Root with maps: the server is in a user namespace, as a user that is not root
 * on the host, and the guest's ids are those of the maps.
 */
static void test_root_maps(void)
{
    static const char *const options[] = {
        "--uid-map", "0:300000:1000,5000:400000:10",
        "--gid-map", ":0:310000:1000:", "--gid-map", ":5000:410000:10:", NULL
    };
    ProxyClient *c;
    struct stat st;
    FsAttr attr;
    PcNode node;
    char *dir;

    if (skip_unless_root()) {
        return;
    }
    dir = make_dir(300000);
    c = pc_open(dir, options);
    g_assert_cmpint(c->n_uid, ==, 2);
    g_assert_cmpint(c->n_gid, ==, 2);
    g_assert_cmpint(c->uid_map[1].inside, ==, 5000);
    g_assert_cmpint(c->uid_map[1].outside, ==, 400000);
    g_assert_cmpint(c->uid_map[1].count, ==, 10);
    g_assert_cmpint(c->gid_map[0].outside, ==, 310000);

    g_assert_cmpint(make_as(c, dir, "root's", 0, 0, &st), ==, 0);
    g_assert_cmpint(st.st_uid, ==, 300000);
    g_assert_cmpint(st.st_gid, ==, 310000);
    g_assert_cmpint(make_as(c, dir, "user's", 999, 5009, &st), ==, 0);
    g_assert_cmpint(st.st_uid, ==, 300999);
    g_assert_cmpint(st.st_gid, ==, 410009);
    g_assert_cmpint(pc_walk(c, "user's", &node, &attr), ==, 0);
    g_assert_cmpint(attr.uid, ==, 999);
    g_assert_cmpint(attr.gid, ==, 5009);
    close(node.fd);
    /* No other ids: not the host's root, not the next one */
    g_assert_cmpint(make_as(c, dir, "x", 1000, 0, &st), ==, -EINVAL);
    g_assert_cmpint(make_as(c, dir, "x", 0, 5010, &st), ==, -EINVAL);
    g_assert_cmpint(pc_close(c), ==, 0);
    pf_remove_dir(dir);
}

/*
 * Starts the helper of an ordinary user with a script in place of newuidmap(1)
 * and newgidmap(1), which are in @dir.
 */
static pid_t start_with_mapper(const char *dir, const char *script, int output)
{
    static const char *const programs[] = { "newuidmap", "newgidmap" };
    const char *args[] = {
        "-n", "-p", dir, "-f", "3", "--uid-map=0:300000:9",
        "--gid-map=0:300000:9", NULL
    };
    g_autofree char *path = g_strdup(g_getenv("PATH"));
    g_autofree char *first = g_strdup_printf("%s:%s", dir, path);
    unsigned i;
    int fds[2];
    pid_t pid;

    for (i = 0; i < G_N_ELEMENTS(programs); i++) {
        g_autofree char *file = g_build_filename(dir, programs[i], NULL);

        g_assert_true(g_file_set_contents(file, script, -1, NULL));
        g_assert_cmpint(chmod(file, 0755), ==, 0);
    }
    g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds),
                    ==, 0);
    g_setenv("PATH", first, true);
    pid = pc_spawn(args, geteuid() ? PC_NOBODY : LONELY_UID, fds[1], output);
    g_setenv("PATH", path, true);
    close(fds[0]);
    close(fds[1]);
    return pid;
}

/* How such a helper ends, and what its processes print; *@text: g_free */
static int run_with_mapper(const char *script, char **text)
{
    char *dir = make_dir(geteuid() ? PC_NOBODY : LONELY_UID);
    char buf[1024];
    size_t len = 0;
    ssize_t n;
    int ret, out[2];
    pid_t pid;

    if (geteuid() == 0 && skip_unless_userns(dir)) {
        pf_remove_dir(dir);
        return -1;
    }
    g_assert_cmpint(pipe2(out, O_CLOEXEC), ==, 0);
    pid = start_with_mapper(dir, script, out[1]);
    close(out[1]);
    ret = pc_wait(pid);
    while ((n = read(out[0], buf + len, sizeof(buf) - len)) > 0) {
        len += n;
    }
    close(out[0]);
    *text = g_strndup(buf, len);
    pf_remove_dir(dir);
    return ret;
}

/* What the programs print comes before the helper's own line. */
static void test_rootless_mapper_fails(void)
{
    g_autofree char *text = NULL;
    int ret = run_with_mapper("#!/bin/sh\necho no luck >&2\nexit 1\n", &text);

    if (text) {
        g_assert_cmpint(ret, ==, 1);
        g_assert_true(g_str_has_prefix(text,
                                       "no luck\nvirtfs-proxy-helper: "));
        g_assert_nonnull(strstr(text, "newuidmap or newgidmap failed"));
    }
}

/* The helper is killed while they run: they find it gone, and say nothing. */
static void test_rootless_mapper_late(void)
{
    g_autofree char *text = NULL;
    int ret = run_with_mapper("#!/bin/sh\n"
                              "kill -KILL $1\n"
                              "while kill -0 $1 2>/dev/null; do\n"
                              "    sleep 0.01\n"
                              "done\n"
                              "echo $1 is gone >&2\n"
                              "exit 1\n", &text);

    if (text) {
        g_assert_cmpint(ret, ==, PC_KILLED(SIGKILL));
        g_assert_cmpstr(text, ==, "");
    }
}

static void test_rootless_alone(void)
{
    ProxyClient *c;
    struct stat st;
    pid_t server;
    char *dir;

    if (skip_unless_root()) {
        return;
    }
    dir = make_dir(LONELY_UID);
    if (skip_unless_userns(dir)) {
        pf_remove_dir(dir);
        return;
    }
    c = pc_start(dir, LONELY_UID, NULL);
    server = pp_wait_ready(c->pid);
    pp_expect_privileges(server, PP_FIVE, LONELY_UID, LONELY_UID);
    pp_expect_privileges(c->pid, PP_NONE, LONELY_UID, LONELY_UID);
    pp_expect_one_mount(server, "rw,nosuid,nodev");
    g_assert_true(pp_other_namespace(server, "user"));
    g_assert_true(pp_other_namespace(server, "pid"));

    pc_hello(c, 0);
    g_assert_cmpint(c->server_pid, ==, server);
    g_assert_cmpint(c->n_uid, ==, 1);
    g_assert_cmpint(c->uid_map[0].inside, ==, 0);
    g_assert_cmpint(c->uid_map[0].outside, ==, LONELY_UID);
    g_assert_cmpint(c->uid_map[0].count, ==, 1);
    g_assert_cmpint(c->n_gid, ==, 1);
    g_assert_cmpint(c->gid_map[0].outside, ==, LONELY_UID);
    g_assert_cmpint(c->root_attr.uid, ==, 0);

    g_assert_cmpint(make_as(c, dir, "root's", 0, 0, &st), ==, 0);
    g_assert_cmpint(st.st_uid, ==, LONELY_UID);
    g_assert_cmpint(make_as(c, dir, "other's", 1234, 4321, &st), ==, -EINVAL);
    g_assert_cmpint(pc_close(c), ==, 0);
    pf_remove_dir(dir);
}

/*
 * A user gets the requested maps, or an error: here a part of the user's
 * subordinate ids, at another place.
 */
static void test_rootless_maps(void)
{
    const char *name = g_getenv("VIRTFS_TEST_USER");
    struct passwd *pw = name ? getpwnam(name) : NULL;
    g_autofree char *uid_map = NULL;
    g_autofree char *gid_map = NULL;
    const char *options[] = { "--uid-map", NULL, "--gid-map", NULL, NULL };
    unsigned first_uid, first_gid;
    ProxyClient *c;
    struct stat st;
    char *dir;

    if (!pw || skip_unless_root()) {
        if (!pw) {
            g_test_skip("VIRTFS_TEST_USER names no user with subordinate ids");
        }
        return;
    }
    dir = make_dir(pw->pw_uid);
    if (skip_unless_userns(dir)) {
        pf_remove_dir(dir);
        return;
    }
    /* The default maps */
    c = pc_start(dir, pw->pw_uid, NULL);
    pc_hello(c, 0);
    g_assert_cmpint(c->n_uid, >=, 2);
    g_assert_cmpint(c->n_gid, >=, 2);
    first_uid = c->uid_map[1].outside;
    first_gid = c->gid_map[1].outside;
    g_assert_cmpint(pc_close(c), ==, 0);

    uid_map = g_strdup_printf("0:%u:1,1000:%u:5", pw->pw_uid, first_uid + 7);
    gid_map = g_strdup_printf(":0:%u:1:,:2000:%u:5:", pw->pw_gid,
                              first_gid + 9);
    options[1] = uid_map;
    options[3] = gid_map;
    c = pc_start(dir, pw->pw_uid, options);
    pc_hello(c, 0);
    g_assert_cmpint(c->n_uid, ==, 2);
    g_assert_cmpint(c->n_gid, ==, 2);
    g_assert_cmpint(make_as(c, dir, "user's", 1004, 2001, &st), ==, 0);
    g_assert_cmpint(st.st_uid, ==, first_uid + 11);
    g_assert_cmpint(st.st_gid, ==, first_gid + 10);
    g_assert_cmpint(make_as(c, dir, "x", 1, 0, &st), ==, -EINVAL);
    g_assert_cmpint(make_as(c, dir, "x", 1005, 0, &st), ==, -EINVAL);
    g_assert_cmpint(pc_close(c), ==, 0);

    /* Only one of the two: the other is the default. */
    options[2] = NULL;
    c = pc_start(dir, pw->pw_uid, options);
    pc_hello(c, 0);
    g_assert_cmpint(make_as(c, dir, "other's", 1000, 1, &st), ==, 0);
    g_assert_cmpint(st.st_uid, ==, first_uid + 7);
    g_assert_cmpint(st.st_gid, ==, first_gid);
    g_assert_cmpint(pc_close(c), ==, 0);
    pf_remove_dir(dir);
}

static bool put_setting(const char *file, const char *value)
{
    int fd = open(file, O_WRONLY | O_CLOEXEC);
    bool ok = fd >= 0 && write(fd, value, strlen(value)) ==
              (ssize_t)strlen(value);

    if (fd >= 0) {
        close(fd);
    }
    return ok;
}

/*
 * A child enters a user namespace as an ordinary user, with the same id in it,
 * that forbids further ones. Its exit status: 0 if the helper names the setting
 * that forbids them, 77 if such a namespace is not possible.
 */
static G_NORETURN void start_where_forbidden(void)
{
    static const char *const args[] = { "-n", "-p", "/", "-f", "3", NULL };
    uid_t uid = geteuid() ? geteuid() : LONELY_UID;
    gid_t gid = geteuid() ? getegid() : LONELY_UID;
    g_autofree char *uid_map = g_strdup_printf("%u %u 1", uid, uid);
    g_autofree char *gid_map = g_strdup_printf("%u %u 1", gid, gid);
    g_autofree char *text = NULL;
    int fds[2];

    if (geteuid() == 0 &&
        (setgroups(0, NULL) < 0 || setresgid(gid, gid, gid) < 0 ||
         setresuid(uid, uid, uid) < 0 || prctl(PR_SET_DUMPABLE, 1) < 0)) {
        _exit(1);
    }
    if (unshare(CLONE_NEWUSER) < 0 ||
        !put_setting("/proc/self/uid_map", uid_map) ||
        !put_setting("/proc/self/setgroups", "deny") ||
        !put_setting("/proc/self/gid_map", gid_map) ||
        !put_setting("/proc/sys/user/max_user_namespaces", "0")) {
        _exit(77);
    }
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) < 0 ||
        pc_run(args, PC_NOBODY, fds[1], &text) != 1) {
        _exit(2);
    }
    if (!strstr(text, "cannot make a user namespace") ||
        !strstr(text, "sysctl user.max_user_namespaces")) {
        fprintf(stderr, "it said: %s", text);
        _exit(3);
    }
    _exit(0);
}

static void test_rootless_forbidden(void)
{
    pid_t pid;
    int status;

    /* A process with a second thread cannot enter a user namespace. */
    rcu_disable_atfork();
    pid = fork();
    if (pid == 0) {
        start_where_forbidden();
    }
    rcu_enable_atfork();
    status = pc_wait(pid);
    if (status == 77) {
        g_test_skip("no user namespace to forbid others in");
        return;
    }
    g_assert_cmpint(status, ==, 0);
}

static void test_rootless_subids(void)
{
    const char *name = g_getenv("VIRTFS_TEST_USER");
    struct passwd *pw = name ? getpwnam(name) : NULL;
    ProxyClient *c;
    struct stat st;
    pid_t server;
    uid_t uid;
    char *dir;

    if (!pw) {
        g_test_skip("VIRTFS_TEST_USER names no user with subordinate ids");
        return;
    }
    if (skip_unless_root()) {
        return;
    }
    uid = pw->pw_uid;
    dir = make_dir(uid);
    if (skip_unless_userns(dir)) {
        pf_remove_dir(dir);
        return;
    }
    c = pc_start(dir, uid, NULL);
    server = pp_wait_ready(c->pid);
    pp_expect_privileges(server, PP_FIVE, uid, pw->pw_gid);
    pp_expect_privileges(c->pid, PP_NONE, uid, pw->pw_gid);
    pp_expect_status(server, "Groups", "");
    pp_expect_one_mount(server, "rw,nosuid,nodev");

    pc_hello(c, 0);
    g_assert_cmpint(c->n_uid, >=, 2);
    g_assert_cmpint(c->n_gid, >=, 2);
    g_assert_cmpint(c->uid_map[0].inside, ==, 0);
    g_assert_cmpint(c->uid_map[0].outside, ==, uid);
    g_assert_cmpint(c->uid_map[0].count, ==, 1);
    g_assert_cmpint(c->uid_map[1].inside, ==, 1);
    g_assert_cmpint(c->gid_map[1].inside, ==, 1);

    g_assert_cmpint(make_as(c, dir, "root's", 0, 0, &st), ==, 0);
    g_assert_cmpint(st.st_uid, ==, uid);
    g_assert_cmpint(make_as(c, dir, "other's", 1234, 4321, &st), ==, 0);
    g_assert_cmpint(st.st_uid, ==, outside_of(c->uid_map, c->n_uid, 1234));
    g_assert_cmpint(st.st_gid, ==, outside_of(c->gid_map, c->n_gid, 4321));
    g_assert_cmpint(make_as(c, dir, "nobody's", 0x7fffffff, 0, &st), ==,
                    -EINVAL);
    g_assert_cmpint(pc_close(c), ==, 0);
    pf_remove_dir(dir);
}

int main(int argc, char **argv)
{
    sf_init(&argc, &argv);

    g_test_add_func("/9p-helper-start/root/identity", test_root_identity);
    g_test_add_func("/9p-helper-start/root/own-user", test_root_own_user);
    g_test_add_func("/9p-helper-start/root/sandboxes", test_root_sandboxes);
    g_test_add_func("/9p-helper-start/root/readonly", test_root_readonly);
    g_test_add_func("/9p-helper-start/root/modcaps", test_root_modcaps);
    g_test_add_func("/9p-helper-start/root/submount", test_root_submount);
    g_test_add_func("/9p-helper-start/root/maps", test_root_maps);
    g_test_add_func("/9p-helper-start/rootless/user-option",
                    test_ordinary_user_error);
    g_test_add_func("/9p-helper-start/rootless/readonly",
                    test_rootless_readonly);
    g_test_add_func("/9p-helper-start/rootless/alone", test_rootless_alone);
    g_test_add_func("/9p-helper-start/rootless/subids", test_rootless_subids);
    g_test_add_func("/9p-helper-start/rootless/mapper-fails",
                    test_rootless_mapper_fails);
    g_test_add_func("/9p-helper-start/rootless/mapper-late",
                    test_rootless_mapper_late);
    g_test_add_func("/9p-helper-start/rootless/maps", test_rootless_maps);
    g_test_add_func("/9p-helper-start/rootless/forbidden",
                    test_rootless_forbidden);
    return sf_run();
}
