/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Tests of how virtfs-proxy-helper starts, what it may do, and how it ends:
 * options, identity, capabilities, sandbox, its socket, its processes. As
 * root, as an ordinary user, and as one with subordinate ids: the user that
 * VIRTFS_TEST_USER names. What is not possible here is skipped by name.
 */
#include "qemu/osdep.h"
#include "proxy-fixture.h"
#include "proxy-proc.h"
#include "qapi/error.h"
#include "qemu/rcu.h"
#include "qobject/qdict.h"
#include "qobject/qjson.h"
#include "qobject/qlist.h"
#include "qobject/qstring.h"
#include <glib/gstdio.h>
#include <grp.h>
#include <pwd.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/sysmacros.h>
#include <sys/un.h>

/* A uid that nobody has: no name, no subordinate ids */
#define LONELY_UID      54321

static char *tmp;               /* everybody's */

static char *make_dir(uid_t uid)
{
    return pf_new_dir(tmp, uid);
}

static bool skip_unless_root(void)
{
    if (geteuid() != 0) {
        g_test_skip("needs root");
        return true;
    }
    return false;
}

/* Runs the helper, which is to fail with one line that holds @word. */
static void expect_error(const char *const *args, int sock, const char *word)
{
    g_autofree char *text = NULL;

    g_assert_cmpint(pc_run(args, PC_NOBODY, sock, &text), ==, 1);
    if (!strstr(text, word) ||
        !g_str_has_prefix(text, "virtfs-proxy-helper: ") ||
        strchr(text, '\n') != text + strlen(text) - 1) {
        g_error("not one line with '%s': '%s'", word, text);
    }
}

static void test_bad_options(void)
{
    static const struct {
        const char *args[9];
        const char *word;
    } bad[] = {
        { { NULL }, "--path" },
        { { "-p", "/", NULL }, "--fd" },
        { { "-p", "/", "-f", "3", "-s", "/x", NULL }, "--socket" },
        { { "-p", "/none", "-s", "/tmp/x", "-n", NULL }, "--path /none" },
        { { "-p", "/etc/passwd", "-s", "/tmp/x", "-n", NULL },
          "--path /etc/passwd" },
        { { "-p", "", "-s", "/tmp/x", "-n", NULL }, "--path" },
        { { "-p", "/", "-f", "x", NULL }, "--fd x" },
        { { "-p", "/", "-f", "-1", NULL }, "--fd -1" },
        { { "-p", "/", "-f", "", NULL }, "--fd" },
        { { "-p", "/", "-f", "99999999999999999999", NULL }, "--fd 9999" },
        { { "-p", "/", "-f", "77", "-n", NULL }, "--fd 77: no such" },
        { { "-p", "/", "-f", "5", "-n", NULL }, "--fd 5: no such" },
        { { "-p", "/", "-f", "1", "-n", NULL }, "--fd 1" },
        { { "-p", "/", "-f", "3", "--threads", "0", NULL }, "--threads 0" },
        { { "-p", "/", "-f", "3", "--threads", "65", NULL }, "--threads 65" },
        { { "-p", "/", "-f", "3", "--threads", "4x", NULL }, "--threads 4x" },
        { { "-p", "/", "-f", "3", "--user", "no such", NULL },
          "--user no such" },
        { { "-p", "/", "-f", "3", "--group", "no such", NULL },
          "--group no such" },
        { { "-p", "/", "-f", "3", "-u", "no such", NULL }, "--uid no such" },
        { { "-p", "/", "-f", "3", "-g", "no such", NULL }, "--gid no such" },
        { { "-p", "/", "-f", "3", "--bogus", NULL }, "--bogus" },
        { { "-p", "/", "-f", "3", "-z", NULL }, "-z" },
        { { "-p", "/", "-f", "3", "--readonly=yes", NULL }, "--readonly=yes" },
        { { "-p", "/", "-f", NULL }, "--fd" },
        { { "-p", "/", "-f", "3", "more", NULL }, "more" },
        { { "-p", "/", "-s", "", NULL }, "--socket" },
        { { "-p", "/", "-n", "-s", "/none/sock", NULL },
          "--socket /none/sock" },
        { { "-p", "/", "-f", "3", "--user", "0", NULL }, "--user" },
        { { "-p", "/", "-f", "3", "--group", "0", NULL }, "--group" },
        { { "-p", "/", "-f", "3", "--user", "root", NULL }, "--user" },
        { { "-p", "/", "-f", "3", "--modcaps=", NULL }, "--modcaps" },
        { { "-p", "/", "-f", "3", "--sandbox=jail", NULL }, "--sandbox jail" },
        { { "-p", "/", "-f", "3", "--modcaps=mknod", NULL }, "'mknod'" },
        { { "-p", "/", "-f", "3", "--uid-map=", NULL }, "--uid-map : '' is" },
        { { "-p", "/", "-f", "3", "--uid-map", "0:1", NULL },
          "--uid-map 0:1: '0:1' is not INSIDE:OUTSIDE:COUNT" },
        { { "-p", "/", "-f", "3", "--uid-map", "0:1:1,x:2:1", NULL },
          "'x:2:1' is not INSIDE:OUTSIDE:COUNT" },
        { { "-p", "/", "-f", "3", "--gid-map", "0:-1:1", NULL },
          "--gid-map 0:-1:1: '0:-1:1' is not" },
        { { "-p", "/", "-f", "3", "--gid-map", ":0:1:1", NULL },
          "':0:1:1' is not" },
        { { "-p", "/", "-f", "3", "--gid-map", "0:1:1,", NULL }, "'' is not" },
        { { "-p", "/", "-f", "3", "--uid-map", "0:1:0", NULL },
          "'0:1:0' has no ids" },
        { { "-p", "/", "-f", "3", "--uid-map", "0:4294967295:1", NULL },
          "goes beyond" },
        { { "-p", "/", "-f", "3", "--uid-map", "1:1:4294967295", NULL },
          "goes beyond" },
        { { "-p", "/", "-f", "3", "--uid-map", "0:1:4294967296", NULL },
          "is not INSIDE:OUTSIDE:COUNT" },
        { { "-p", "/", "-f", "3", "--uid-map", "0:10:5,4:20:1", NULL },
          "'4:20:1' has ids that a range before it has" },
        { { "-p", "/", "-f", "3", "--uid-map", "0:10:5",
            "--uid-map", ":5:14:9:", NULL },
          "':5:14:9:' has ids that a range before it has" },
        { { "-p", "/", "-f", "3", "--uid-map", "1:10:5", NULL },
          "--uid-map: no range has id 0" },
        { { "-p", "/", "-f", "3", "--gid-map", "1:10:5", NULL },
          "--gid-map: no range has id 0" },
        { { "-p", "/", "-f", "3", "--modcaps=+mknod:+sys_admin", NULL },
          "'+sys_admin'" },
    };
    unsigned i;

    for (i = 0; i < G_N_ELEMENTS(bad); i++) {
        expect_error(bad[i].args, -1, bad[i].word);
    }
}

static void test_bad_sockets(void)
{
    static const char *const args[] = { "-n", "-p", "/", "-f", "3", NULL };
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    int dgram[2];
    int fd;

    expect_error(args, null, "not a socket");
    fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd >= 0) {
        expect_error(args, fd, "not a UNIX socket");
        close(fd);
    }
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    expect_error(args, fd, "not a connected socket");
    g_assert_cmpint(socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, dgram),
                    ==, 0);
    expect_error(args, dgram[0], "not a stream socket");
    close(dgram[0]);
    close(dgram[1]);
    close(fd);
    close(null);
}

/* What root may not ask for with maps, and an ordinary user neither */
static void test_bad_maps(void)
{
    static const struct {
        const char *args[12];
        const char *word;
    } root[] = {
        { { "-p", "/", "-f", "3", "--uid-map", "0:1000:1", NULL },
          "--uid-map: as root, --gid-map is needed" },
        { { "-p", "/", "-f", "3", "--gid-map", "0:1000:1", NULL },
          "--gid-map: as root, --uid-map is needed" },
        { { "-p", "/", "-f", "3", "--gid-map", "0:1000:1", "--uid-map",
            "0:0:65536", NULL }, "--uid-map: id 0 inside is 0 on the host" },
        { { "-p", "/", "-f", "3", "--gid-map", "0:0:1", "--uid-map",
            "0:1000:1", NULL }, "--gid-map: id 0 inside is 0 on the host" },
        { { "-p", "/", "-f", "3", "--gid-map", "0:1000:1", "--uid-map",
            "0:1000:1", "--user", "7001", NULL }, "--user: with --uid-map" },
    }, user[] = {
        /* Not his, by /etc/subuid */
        { { "-n", "-p", "/", "-f", "3", "--uid-map", "0:4000000000:10", NULL },
          "--uid-map and --gid-map:" },
        { { "-n", "-p", "/", "-f", "3", "--gid-map", "0:0:1", NULL },
          "--uid-map and --gid-map:" },
    };
    unsigned i;

    for (i = 0; i < G_N_ELEMENTS(user); i++) {
        g_autofree char *text = NULL;
        int fds[2];

        g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0,
                                   fds), ==, 0);
        g_assert_cmpint(pc_run(user[i].args, geteuid() ? PC_NOBODY :
                               LONELY_UID, fds[1], &text), ==, 1);
        close(fds[0]);
        close(fds[1]);
        if (!strstr(text, user[i].word) &&
            !strstr(text, "cannot make a user namespace")) {
            g_error("no '%s': '%s'", user[i].word, text);
        }
    }
    if (skip_unless_root()) {
        return;
    }
    for (i = 0; i < G_N_ELEMENTS(root); i++) {
        expect_error(root[i].args, -1, root[i].word);
    }
}

/* JSON for management software, whatever else is asked for */
static void test_print_capabilities(void)
{
    static const char *const args[] = {
        "--bogus", "--print-capabilities", "-f", "x", NULL
    };
    g_autofree char *text = NULL;
    QDict *answer;
    QList *options;
    const QListEntry *entry;
    bool found = false;

    g_assert_cmpint(pc_run(args, PC_NOBODY, -1, &text), ==, 0);
    answer = qobject_to(QDict, qobject_from_json(text, &error_abort));
    g_assert_nonnull(answer);
    g_assert_cmpstr(qdict_get_str(answer, "type"), ==, "fsdev-proxy");
    g_assert_cmpint(qlist_size(qdict_get_qlist(answer, "protocol-versions")),
                    ==, 2);
    g_assert_false(qlist_empty(qdict_get_qlist(answer, "features")));
    options = qdict_get_qlist(answer, "options");
    QLIST_FOREACH_ENTRY(options, entry) {
        QString *name = qobject_to(QString, qlist_entry_obj(entry));

        found |= g_str_equal(qstring_get_str(name), "uid-map");
    }
    g_assert_true(found);
    qobject_unref(answer);
}

static void test_help(void)
{
    static const char *const help[] = { "--help", NULL };
    static const char *const version[] = { "--version", NULL };
    g_autofree char *text = NULL;
    g_autofree char *version_text = NULL;

    g_assert_cmpint(pc_run(help, PC_NOBODY, -1, &text), ==, 0);
    g_assert_nonnull(strstr(text, "--path"));
    g_assert_nonnull(strstr(text, "--user"));
    g_assert_cmpint(pc_run(version, PC_NOBODY, -1, &version_text), ==, 0);
    g_assert_true(g_str_has_prefix(version_text, "virtfs-proxy-helper "));
}

static void test_root_identity(void)
{
    static const struct {
        const char *options[8];
        unsigned uid;
        unsigned gid;
    } cases[] = {
        { { "--user", "7001", "--group", "7002", NULL }, 7001, 7002 },
        { { "-u", "7003", "-g", "7004", NULL }, 7003, 7004 },
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

    /* Ours is writable as before, and held by nobody. */
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

/* Makes a file as the guest's user @uid and returns its owner on the host. */
static int make_as(ProxyClient *c, const char *dir, const char *name,
                   uint32_t uid, uint32_t gid, struct stat *st)
{
    g_autofree char *path = g_build_filename(dir, name, NULL);
    MarshalWriter *w = pc_begin(c);
    int ret;

    marshal_put_u64(w, PROXY_ROOT_HANDLE);
    marshal_put_str(w, name);
    marshal_put_u32(w, S_IFDIR | 0700);
    marshal_put_u32(w, uid);
    marshal_put_u32(w, gid);
    marshal_put_u64(w, 0);
    marshal_put_str(w, "");
    ret = pc_call(c, PROXY_MAKE);
    if (ret == 0) {
        g_assert_cmpint(lstat(path, st), ==, 0);
    }
    return ret;
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

/* Less of a sandbox: the same privileges, and lookups stay in the export. */
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

        pp_expect_privileges(server, PP_FIVE, 65534, 65534);
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

/* Two more and two fewer, and what they are for */
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
    /* Without CHOWN it cannot be given to root, so it is not made at all. */
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

/* Whether this user may make user namespaces here, else a skip */
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

/* What the guest's @id is on the host */
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
 * Root with maps: the server is in a user namespace, as somebody who is not
 * root on the host, and the guest's ids are where the maps say.
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
    /* Nobody else's: not the host's root, not the next one */
    g_assert_cmpint(make_as(c, dir, "x", 1000, 0, &st), ==, -EINVAL);
    g_assert_cmpint(make_as(c, dir, "x", 0, 5010, &st), ==, -EINVAL);
    g_assert_cmpint(pc_close(c), ==, 0);
    pf_remove_dir(dir);
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
 * Maps that a user asks for are what he gets, or an error: part of his
 * subordinate ids, at another place
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
    /* What they are by default */
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

    /* Only one of the two: the other is as usual. */
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
 * A child enters a user namespace as an ordinary user, who is the same one in
 * it, and in which no other may be made. Its exit status: 0 if the helper says
 * what stands in the way, 77 if there cannot be such a namespace.
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

static bool is_there(const char *path)
{
    return g_file_test(path, G_FILE_TEST_EXISTS);
}

static void wait_for_file(const char *path, bool there)
{
    gint64 end = g_get_monotonic_time() + PC_TIMEOUT * G_USEC_PER_SEC;

    while (is_there(path) != there) {
        g_assert_cmpint(g_get_monotonic_time(), <, end);
        g_usleep(1000);
    }
}

static void wait_for_caps(pid_t pid, const char *caps)
{
    gint64 end = g_get_monotonic_time() + PC_TIMEOUT * G_USEC_PER_SEC;

    for (;;) {
        g_autofree char *got = pp_status(pid, "CapEff");

        if (g_str_equal(got, caps)) {
            return;
        }
        g_assert_cmpint(g_get_monotonic_time(), <, end);
        g_usleep(1000);
    }
}

/* No files left over beside the export: the private directory is gone. */
static void expect_only(const char *dir, unsigned n)
{
    GDir *d = g_dir_open(dir, 0, NULL);
    unsigned found = 0;

    while (g_dir_read_name(d)) {
        found++;
    }
    g_dir_close(d);
    g_assert_cmpint(found, ==, n);
}

static void test_socket(void)
{
    g_autofree char *run = make_dir(PC_NOBODY);
    g_autofree char *path = g_build_filename(run, "sock", NULL);
    char *dir = make_dir(PC_NOBODY);
    const char *args[] = { "-n", "-p", dir, "-s", path, NULL, NULL, NULL,
                           NULL, NULL };
    struct stat st;
    ProxyClient *c;
    pid_t pid;

    if (geteuid() == 0) {
        args[5] = "-u";
        args[6] = "7003";
        args[7] = "-g";
        args[8] = "7004";
    }
    pid = pc_spawn(args, PC_NOBODY, -1, -1);
    wait_for_file(path, true);
    /* From the first moment on */
    g_assert_cmpint(lstat(path, &st), ==, 0);
    g_assert_cmpint(st.st_mode, ==, S_IFSOCK | 0600);
    g_assert_cmpint(st.st_uid, ==, geteuid() == 0 ? 7003 : geteuid());
    g_assert_cmpint(st.st_gid, ==, geteuid() == 0 ? 7004 : getegid());

    /* Sandboxed while it waits for a connection, and alone there */
    if (geteuid() == 0) {
        pid_t server = pp_wait_ready(pid);

        pp_expect_privileges(server, PP_FIVE, 7003, 7004);
        pp_expect_one_mount(server, "rw,nosuid,nodev");
        pp_expect_id(pid, "Uid", 7003);
    }
    expect_error(args, -1, "another process listens");
    g_assert_true(is_there(path));

    c = pc_new(pc_connect(path), pid);
    pc_hello(c, 0);
    wait_for_file(path, false);
    expect_only(run, 0);
    if (geteuid() == 0) {
        wait_for_caps(pid, PP_NONE);
        pp_expect_privileges(pid, PP_NONE, 7003, 7004);
    }
    g_assert_cmpint(pc_close(c), ==, 0);
    pf_remove_dir(dir);
    rmdir(run);
}

static void test_socket_stale(void)
{
    g_autofree char *run = make_dir(PC_NOBODY);
    g_autofree char *path = g_build_filename(run, "sock", NULL);
    char *dir = make_dir(PC_NOBODY);
    const char *args[] = { "-n", "-p", dir, "-s", path, NULL };
    gint64 end = g_get_monotonic_time() + PC_TIMEOUT * G_USEC_PER_SEC;
    struct sockaddr_un addr = { .sun_family = AF_UNIX };
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    ProxyClient *c;
    pid_t pid;

    /* Somebody bound it and went away. */
    g_strlcpy(addr.sun_path, path, sizeof(addr.sun_path));
    g_assert_cmpint(bind(fd, (struct sockaddr *)&addr, sizeof(addr)), ==, 0);
    close(fd);
    pid = pc_spawn(args, PC_NOBODY, -1, -1);
    while ((fd = pc_connect(path)) < 0) {
        g_assert_cmpint(g_get_monotonic_time(), <, end);
        g_usleep(1000);
    }
    c = pc_new(fd, pid);
    pc_hello(c, 0);
    g_assert_cmpint(pc_close(c), ==, 0);
    expect_only(run, 0);

    /* What is no socket stays. */
    g_assert_true(g_file_set_contents(path, "mine", -1, NULL));
    expect_error(args, -1, "not a socket");
    expect_only(run, 1);
    unlink(path);
    g_assert_cmpint(symlink("/etc/passwd", path), ==, 0);
    expect_error(args, -1, "not a socket");
    unlink(path);
    pf_remove_dir(dir);
    rmdir(run);
}

/* It removes its socket when it is told to end; never somebody else's. */
static void test_socket_end(void)
{
    g_autofree char *run = make_dir(PC_NOBODY);
    g_autofree char *path = g_build_filename(run, "sock", NULL);
    char *dir = make_dir(PC_NOBODY);
    const char *args[] = { "-n", "-p", dir, "-s", path, NULL };
    pid_t pid = pc_spawn(args, PC_NOBODY, -1, -1);

    pp_wait_ready(pid);
    g_assert_true(is_there(path));
    kill(pid, SIGTERM);
    g_assert_cmpint(pc_wait(pid), ==, PC_KILLED(SIGTERM));
    expect_only(run, 0);

    pid = pc_spawn(args, PC_NOBODY, -1, -1);
    pp_wait_ready(pid);
    unlink(path);
    g_assert_true(g_file_set_contents(path, "other", -1, NULL));
    kill(pid, SIGTERM);
    g_assert_cmpint(pc_wait(pid), ==, PC_KILLED(SIGTERM));
    expect_only(run, 1);
    unlink(path);
    pf_remove_dir(dir);
    rmdir(run);
}

/* As a daemon: ready when the process that was started has ended. */
static void test_daemon(void)
{
    g_autofree char *run = make_dir(PC_NOBODY);
    g_autofree char *path = g_build_filename(run, "sock", NULL);
    char *dir = make_dir(PC_NOBODY);
    const char *args[] = { "-p", dir, "-s", path, NULL };
    g_autofree char *text = NULL;
    ProxyClient *c;
    pid_t server;

    /* The pipe that is read here ends when nobody holds it open. */
    g_assert_cmpint(pc_run(args, PC_NOBODY, -1, &text), ==, 0);
    c = pc_new(pc_connect(path), 0);
    pc_hello(c, 0);
    server = c->server_pid;
    pp_expect_status(server, "CapEff", PP_FIVE);
    pc_close(c);
    while (kill(server, 0) == 0) {
        g_usleep(1000);
    }
    expect_only(run, 0);

    /* It fails before: so does the process that was started. */
    g_free(g_steal_pointer(&text));
    args[1] = "/none";
    g_assert_cmpint(pc_run(args, PC_NOBODY, -1, &text), ==, 1);
    g_assert_nonnull(strstr(text, "/none"));
    pf_remove_dir(dir);
    rmdir(run);
}

/* The same with a connection that it is given */
static void test_daemon_fd(void)
{
    char *dir = make_dir(PC_NOBODY);
    const char *args[] = { "-p", dir, "-f", "3", NULL };
    g_autofree char *text = NULL;
    ProxyClient *c;
    int fds[2];

    g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds),
                    ==, 0);
    g_assert_cmpint(pc_run(args, PC_NOBODY, fds[1], &text), ==, 0);
    close(fds[1]);
    c = pc_new(fds[0], 0);
    pc_hello(c, 0);
    pp_expect_status(c->server_pid, "CapEff", PP_FIVE);
    pc_close(c);
    pf_remove_dir(dir);
}

static void wait_gone(pid_t pid)
{
    gint64 end = g_get_monotonic_time() + PC_TIMEOUT * G_USEC_PER_SEC;

    for (;;) {
        g_autofree char *state = pp_status(pid, "State");

        if (!*state || *state == 'Z') {
            return;
        }
        g_assert_cmpint(g_get_monotonic_time(), <, end);
        g_usleep(1000);
    }
}

/* However the supervisor or the server ends, the other does too. */
static void test_ends_together(void)
{
    static const int signals[] = { SIGTERM, SIGINT, SIGHUP, SIGKILL };
    /* The two are in different user namespaces then. */
    static const char *const maps[] = {
        "--uid-map=0:300000:9", "--gid-map=0:300000:9", NULL
    };
    char *dir = make_dir(PC_NOBODY);
    ProxyClient *c;
    pid_t server;
    unsigned i;

    for (i = 0; i < 2 * G_N_ELEMENTS(signals); i++) {
        int sig = signals[i / 2];

        if (i % 2 && geteuid() != 0) {
            continue;
        }
        c = pc_open(dir, i % 2 ? maps : NULL);
        server = c->server_pid;
        kill(c->pid, sig);
        g_assert_cmpint(pc_wait(c->pid), ==, PC_KILLED(sig));
        wait_gone(server);
        c->pid = 0;
        pc_close(c);
    }

    c = pc_open(dir, NULL);
    kill(c->server_pid, SIGKILL);
    g_assert_cmpint(pc_wait(c->pid), ==, PC_KILLED(SIGKILL));
    c->pid = 0;
    pc_close(c);

    /* The first process of a PID namespace ignores what it does not handle. */
    c = pc_open(dir, NULL);
    kill(c->server_pid, SIGTERM);
    g_assert_cmpint(pc_wait(c->pid), ==, 128 + SIGTERM);
    c->pid = 0;
    pc_close(c);
    pf_remove_dir(dir);
}

/* Whoever started it with --fd --nodaemon ends, even with the socket open */
static void test_starter_killed(void)
{
    char *dir = make_dir(PC_NOBODY);
    const char *args[] = { "-n", "-p", dir, "-f", "3", NULL };
    pid_t starter, supervisor, server;
    int fds[2], report[2];

    g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds),
                    ==, 0);
    g_assert_cmpint(pipe2(report, O_CLOEXEC), ==, 0);
    starter = fork();
    if (starter == 0) {
        supervisor = pc_spawn(args, PC_NOBODY, fds[1], -1);
        if (write(report[1], &supervisor, sizeof(supervisor)) < 0) {
            _exit(1);
        }
        for (;;) {
            pause();
        }
    }
    g_assert_cmpint(read(report[0], &supervisor, sizeof(supervisor)), ==,
                    sizeof(supervisor));
    server = pp_wait_ready(supervisor);
    kill(starter, SIGKILL);
    g_assert_cmpint(pc_wait(starter), ==, PC_KILLED(SIGKILL));
    wait_gone(supervisor);
    wait_gone(server);
    close(fds[0]);
    close(fds[1]);
    close(report[0]);
    close(report[1]);
    pf_remove_dir(dir);
}

/* What the starter left open does not stay open in the helper. */
static void test_inherited_files(void)
{
    char *dir = make_dir(PC_NOBODY);
    int leak[2];
    ProxyClient *c;
    char byte;

    g_assert_cmpint(pipe(leak), ==, 0);
    c = pc_start(dir, PC_NOBODY, NULL);
    pc_hello(c, 0);
    close(leak[1]);
    /* End of file, at once: nobody else holds the other end. */
    g_assert_cmpint(fcntl(leak[0], F_SETFL, O_NONBLOCK), ==, 0);
    g_assert_cmpint(read(leak[0], &byte, 1), ==, 0);
    close(leak[0]);
    g_assert_cmpint(pc_close(c), ==, 0);
    pf_remove_dir(dir);
}

/* The export itself, renamed after the start, is still what is served. */
static void test_export_renamed(void)
{
    char *dir = make_dir(PC_NOBODY);
    g_autofree char *moved = g_strconcat(dir, "-moved", NULL);
    ProxyClient *c = pc_open(dir, NULL);
    struct stat st;

    g_assert_cmpint(rename(dir, moved), ==, 0);
    g_assert_cmpint(make_as(c, moved, "x", geteuid() ? 0 : 1234,
                            geteuid() ? 0 : 1234, &st), ==, 0);
    g_assert_cmpint(pc_close(c), ==, 0);
    pf_remove_dir(g_steal_pointer(&moved));
    g_free(dir);
}

int main(int argc, char **argv)
{
    int ret;

    g_test_init(&argc, &argv, NULL);
    umask(022);
    signal(SIGPIPE, SIG_IGN);
    alarm(300);                 /* nothing in here takes that long */

    tmp = g_dir_make_tmp("test-9p-start-XXXXXX", NULL);
    g_assert_nonnull(tmp);
    g_assert_cmpint(chmod(tmp, 0755), ==, 0);

    g_test_add_func("/9p-helper-start/bad-options", test_bad_options);
    g_test_add_func("/9p-helper-start/bad-sockets", test_bad_sockets);
    g_test_add_func("/9p-helper-start/bad-maps", test_bad_maps);
    g_test_add_func("/9p-helper-start/help", test_help);
    g_test_add_func("/9p-helper-start/print-capabilities",
                    test_print_capabilities);
    g_test_add_func("/9p-helper-start/root/identity", test_root_identity);
    g_test_add_func("/9p-helper-start/root/sandboxes", test_root_sandboxes);
    g_test_add_func("/9p-helper-start/root/modcaps", test_root_modcaps);
    g_test_add_func("/9p-helper-start/root/submount", test_root_submount);
    g_test_add_func("/9p-helper-start/root/maps", test_root_maps);
    g_test_add_func("/9p-helper-start/rootless/user-option",
                    test_ordinary_user_error);
    g_test_add_func("/9p-helper-start/rootless/alone", test_rootless_alone);
    g_test_add_func("/9p-helper-start/rootless/subids", test_rootless_subids);
    g_test_add_func("/9p-helper-start/rootless/maps", test_rootless_maps);
    g_test_add_func("/9p-helper-start/rootless/forbidden",
                    test_rootless_forbidden);
    g_test_add_func("/9p-helper-start/socket", test_socket);
    g_test_add_func("/9p-helper-start/socket/stale", test_socket_stale);
    g_test_add_func("/9p-helper-start/socket/end", test_socket_end);
    g_test_add_func("/9p-helper-start/daemon", test_daemon);
    g_test_add_func("/9p-helper-start/daemon/fd", test_daemon_fd);
    g_test_add_func("/9p-helper-start/ends-together", test_ends_together);
    g_test_add_func("/9p-helper-start/starter-killed", test_starter_killed);
    g_test_add_func("/9p-helper-start/inherited-files", test_inherited_files);
    g_test_add_func("/9p-helper-start/export-renamed", test_export_renamed);
    ret = g_test_run();
    pf_remove_dir(tmp);
    return ret;
}
