/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Tests of the state of virtfs-proxy-helper's processes, read from /proc, for
 * each way to start it, before a client connects and with one: ids, groups,
 * capabilities, filter, limits, namespaces, mounts, descriptors.
 *
 * Root sees all of it. An ordinary user sees what /proc/PID/status and limits
 * have, since the processes are not dumpable.
 */
#include "qemu/osdep.h"
#include "proxy-fixture.h"
#include "proxy-proc.h"
#include <glib/gstdio.h>
#include <grp.h>
#include <pwd.h>
#include <sys/socket.h>
#include <sys/un.h>

/* A uid without a name and without subordinate ids */
#define LONELY_UID      54321

typedef enum Starter {
    ROOT,
    LONELY,                     /* an ordinary user without subordinate ids */
    TESTER,                     /* one with them: VIRTFS_TEST_USER */
} Starter;

typedef enum How {
    BY_FD,
    BY_SOCKET,
    BY_ACTIVATION,
    AS_DAEMON,                  /* with a socket */
} How;

/* A way to start the helper, and the expected state */
typedef struct Way {
    const char *name;
    Starter starter;
    How how;
    const char *options[8];
    const char *caps;           /* NULL: the five */
    unsigned uid;               /* 0: of its own, or the starter's */
    unsigned gid;
    bool userns;                /* root's helper in one; a user's always is */
    bool no_namespaces;         /* except a PID namespace */
    bool host_root;             /* its root directory is the host's */
    bool readonly;
} Way;

static const Way ways[] = {
    { .name = "root/fd", .how = BY_FD },
    { .name = "root/readonly", .how = BY_FD, .options = { "--readonly" },
      .readonly = true },
    { .name = "root/user", .how = BY_FD, .uid = 7001, .gid = 7002,
      .options = { "--user=7001", "--group=7002" } },
    { .name = "root/modcaps", .how = BY_FD, .caps = "000000000800000e",
      .options = { "--modcaps=+mknod:-chown:-fsetid" } },
    { .name = "root/threads", .how = BY_FD, .options = { "--threads=16" } },
    { .name = "root/socket", .how = BY_SOCKET },
    { .name = "root/socket/uid", .how = BY_SOCKET, .uid = 7001, .gid = 7002,
      .options = { "--uid=7001", "--gid=7002", "--user=7001",
                   "--group=7002" } },
    { .name = "root/socket/own-user", .how = BY_SOCKET,
      .options = { "--uid=7001", "--gid=7002" } },
    { .name = "root/persist", .how = BY_SOCKET, .options = { "--persist" } },
    { .name = "root/activation", .how = BY_ACTIVATION },
    { .name = "root/activation/persist", .how = BY_ACTIVATION,
      .options = { "--persist" } },
    { .name = "root/daemon", .how = AS_DAEMON },
    { .name = "root/chroot", .how = BY_FD, .options = { "--sandbox=chroot" },
      .no_namespaces = true },
    { .name = "root/no-sandbox", .how = BY_FD,
      .options = { "--sandbox=none" }, .no_namespaces = true,
      .host_root = true },
    { .name = "root/maps", .how = BY_FD, .uid = 300000, .gid = 310000,
      .options = { "--uid-map=0:300000:1000", "--gid-map=0:310000:1000" },
      .userns = true },
    { .name = "root/maps/socket", .how = BY_SOCKET, .uid = 300000,
      .gid = 310000, .userns = true,
      .options = { "--uid-map=0:300000:1000", "--gid-map=0:310000:1000" } },
    { .name = "rootless/alone", .starter = LONELY, .how = BY_FD },
    { .name = "rootless/alone/socket", .starter = LONELY, .how = BY_SOCKET },
    { .name = "rootless/alone/chroot", .starter = LONELY, .how = BY_FD,
      .options = { "--sandbox=chroot" }, .no_namespaces = true },
    { .name = "rootless/alone/no-sandbox", .starter = LONELY, .how = BY_FD,
      .options = { "--sandbox=none" }, .no_namespaces = true,
      .host_root = true },
    { .name = "rootless/alone/activation", .starter = LONELY,
      .how = BY_ACTIVATION },
    { .name = "rootless/subids", .starter = TESTER, .how = BY_FD },
    { .name = "rootless/subids/persist", .starter = TESTER, .how = BY_SOCKET,
      .options = { "--persist" } },
    { .name = "rootless/subids/daemon", .starter = TESTER, .how = AS_DAEMON },
};

static char *tmp;               /* holds the folders of all tests */

/* One test's helper */
typedef struct Run {
    const Way *way;
    uid_t starter;              /* PC_NOBODY: the test's user */
    unsigned uid;               /* of both processes */
    unsigned gid;
    char *dir;                  /* the export */
    char *run;                  /* the folder of the socket */
    char *path;                 /* the socket */
    ProxyClient *c;             /* by BY_FD from the start */
    int listener;               /* by BY_ACTIVATION */
    pid_t supervisor;
    pid_t server;
} Run;

/* Chooses the starter. NULL, or the reason why there is none. */
static const char *choose_starter(Run *r)
{
    const char *name = g_getenv("VIRTFS_TEST_USER");
    struct passwd *pw;

    r->starter = PC_NOBODY;
    if (r->way->starter == ROOT) {
        r->uid = r->way->uid;
        r->gid = r->way->gid;
        return geteuid() ? "needs root" : NULL;
    }
    r->uid = geteuid();
    r->gid = getegid();
    if (r->way->starter == LONELY && geteuid() != 0) {
        return "needs root, to become a user without subordinate ids";
    }
    if (r->way->starter == TESTER && geteuid() == 0) {
        pw = name ? getpwnam(name) : NULL;
        if (!pw) {
            return "VIRTFS_TEST_USER names no user";
        }
        r->starter = r->uid = pw->pw_uid;
        r->gid = pw->pw_gid;
    } else if (r->way->starter == LONELY) {
        r->starter = r->uid = r->gid = LONELY_UID;
    }
    return NULL;
}

/* Whether a user can make user namespaces; *@why gets the helper's message */
static bool can_userns(Run *r, char **why)
{
    const char *args[] = { "-n", "-p", r->dir, "-f", "3", NULL };
    int fds[2];
    int ret;

    g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds),
                    ==, 0);
    shutdown(fds[0], SHUT_RDWR);
    ret = pc_run(args, r->starter, fds[1], why);
    close(fds[0]);
    close(fds[1]);
    return ret == 0;
}

static int bound_socket(const char *path)
{
    struct sockaddr_un addr = { .sun_family = AF_UNIX };
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    g_strlcpy(addr.sun_path, path, sizeof(addr.sun_path));
    g_assert_cmpint(bind(fd, (struct sockaddr *)&addr, sizeof(addr)), ==, 0);
    g_assert_cmpint(listen(fd, 1), ==, 0);
    return fd;
}

/* As the starter: root has no rights in another user's namespace. */
static int must_connect(const char *path, uid_t uid)
{
    gint64 end = g_get_monotonic_time() + PC_TIMEOUT * G_USEC_PER_SEC;
    int fd;

    if (uid != PC_NOBODY) {
        g_assert_cmpint(seteuid(uid), ==, 0);
    }
    while ((fd = pc_connect(path)) < 0) {
        g_assert_cmpint(g_get_monotonic_time(), <, end);
        g_usleep(1000);
    }
    if (uid != PC_NOBODY) {
        g_assert_cmpint(seteuid(0), ==, 0);
    }
    return fd;
}

static pid_t pid_in(const char *file)
{
    g_autofree char *text = NULL;

    g_assert_true(g_file_get_contents(file, &text, NULL, NULL));
    return atoi(text);
}

static void start(Run *r)
{
    g_autofree char *pidfile = g_build_filename(r->run, "pid", NULL);
    const char *args[24] = { "-p", r->dir };
    unsigned n = 2;
    unsigned i;

    if (r->way->how == BY_FD) {
        r->c = pc_start(r->dir, r->starter, r->way->options);
        r->supervisor = r->c->pid;
        return;
    }
    if (r->way->how == BY_ACTIVATION) {
        r->listener = bound_socket(r->path);
    } else {
        args[n++] = "-s";
        args[n++] = r->path;
    }
    if (r->way->how == AS_DAEMON) {
        args[n++] = "--pidfile";
        args[n++] = pidfile;
    } else {
        args[n++] = "-n";
    }
    for (i = 0; r->way->options[i]; i++) {
        args[n++] = r->way->options[i];
    }
    pc_activated = r->way->how == BY_ACTIVATION;
    if (r->way->how == AS_DAEMON) {
        g_assert_cmpint(pc_run(args, r->starter, -1, NULL), ==, 0);
        r->supervisor = pid_in(pidfile);
    } else {
        r->supervisor = pc_spawn(args, r->starter, r->listener, -1);
    }
    pc_activated = false;
}

/*
 * Whether a process may hold the descriptor. If its mount is not ours, its
 * magic link reads as a path in that mount: the export's root is "/" then, and
 * only its inode distinguishes it from the host's root.
 */
static bool is_allowed(Run *r, bool supervisor, int fd, const char *target,
                       const struct stat *st)
{
    g_autofree char *own = g_strdup_printf("/proc/%d/fd", r->server);
    struct stat export, fds, run;

    if (fd == STDERR_FILENO || g_str_equal(target, "/dev/null") ||
        g_str_has_prefix(target, "socket:[") ||
        g_str_has_prefix(target, "pipe:[")) {
        return true;
    }
    if (supervisor) {
        /* Its signals; what it removes the socket's file from; the pidfile */
        g_assert_cmpint(g_stat(r->run, &run), ==, 0);
        g_assert_cmpint(g_stat(r->dir, &export), ==, 0);
        /* The export, which the host must not unmount */
        return (st->st_dev == export.st_dev && st->st_ino == export.st_ino) ||
               g_str_equal(target, "anon_inode:[signalfd]") ||
               (r->way->how != BY_FD && st->st_dev == run.st_dev &&
                st->st_ino == run.st_ino) ||
               (r->way->how == AS_DAEMON && g_str_has_suffix(target, "/pid"));
    }
    /* The export's root, and the directory of the descriptors themselves */
    g_assert_cmpint(g_stat(r->dir, &export), ==, 0);
    g_assert_cmpint(g_stat(own, &fds), ==, 0);
    return (st->st_dev == export.st_dev && st->st_ino == export.st_ino) ||
           (st->st_dev == fds.st_dev && st->st_ino == fds.st_ino);
}

static void check_descriptors(Run *r, bool supervisor, unsigned max)
{
    pid_t pid = supervisor ? r->supervisor : r->server;
    g_autofree char *path = g_strdup_printf("/proc/%d/fd", pid);
    GDir *fds = g_dir_open(path, 0, NULL);
    const char *name;
    unsigned n = 0;

    g_assert_nonnull(fds);
    while ((name = g_dir_read_name(fds))) {
        g_autofree char *link = g_build_filename(path, name, NULL);
        g_autofree char *target = g_file_read_link(link, NULL);
        struct stat st = { 0 };

        if (!target || g_stat(link, &st) < 0) {
            continue;           /* closed since */
        }
        if (!is_allowed(r, supervisor, atoi(name), target, &st)) {
            g_error("%s %d: descriptor %s is %s",
                    supervisor ? "supervisor" : "server",
                    pid, name, target);
        }
        n++;
    }
    g_dir_close(fds);
    g_assert_cmpint(n, <=, max);
}

/* A process that is not dumpable has root's files in /proc. */
static void check_not_dumpable(pid_t pid)
{
    g_autofree char *path = g_strdup_printf("/proc/%d/fd", pid);
    struct stat st;

    g_assert_cmpint(g_stat(path, &st), ==, 0);
    g_assert_cmpint(st.st_uid, ==, 0);
}

static void check_both(Run *r, pid_t pid, const char *caps)
{
    pp_expect_privileges(pid, caps, r->uid, r->gid);
    /* Without setgroups(2), a process in a user namespace has no groups. */
    pp_expect_status(pid, "Groups", "");
    pp_expect_status(pid, "Umask", "0000");
    pp_expect_limit(pid, "Max core file size", "0");
    pp_expect_limit(pid, "Max locked memory", "0");
    pp_expect_limit(pid, "Max msgqueue size", "0");
    check_not_dumpable(pid);
}

static void check_server(Run *r)
{
    static const char *const namespaces[] = {
        "mnt", "net", "ipc", "uts", "cgroup",
    };
    const Way *w = r->way;
    bool userns = w->userns || w->starter != ROOT;
    unsigned i;

    check_both(r, r->server, w->caps ? w->caps : PP_FIVE);
    if (geteuid() != 0) {
        return;
    }
    for (i = 0; i < G_N_ELEMENTS(namespaces); i++) {
        g_assert_cmpint(pp_other_namespace(r->server, namespaces[i]), ==,
                        !w->no_namespaces);
    }
    g_assert_cmpint(pp_other_namespace(r->server, "pid"), ==,
                    !w->no_namespaces);
    g_assert_cmpint(pp_other_namespace(r->server, "user"), ==, userns);
    if (!w->no_namespaces) {
        pp_expect_one_mount(r->server, w->readonly ? "ro,nosuid,nodev"
                                                   : "rw,nosuid,nodev");
    }
    check_descriptors(r, false, 12);
}

/* That the server's root directory is the export, or is not */
static void check_root(Run *r)
{
    g_autofree char *path = g_strdup_printf("/proc/%d/root", r->server);
    struct stat root, st;

    g_assert_cmpint(g_stat(path, &root), ==, 0);
    g_assert_cmpint(g_stat(r->way->host_root ? "/" : r->dir, &st), ==, 0);
    g_assert_cmpint(root.st_dev, ==, st.st_dev);
    g_assert_cmpint(root.st_ino, ==, st.st_ino);
}

static void check_supervisor(Run *r)
{
    check_both(r, r->supervisor, PP_NONE);
    pp_expect_limit(r->supervisor, "Max open files", "16");
    pp_expect_limit(r->supervisor, "Max processes", "0");
    if (geteuid() == 0) {
        check_descriptors(r, true, 10);
    }
}

static bool persists(const Way *w)
{
    return w->options[0] && g_str_equal(w->options[0], "--persist");
}

static void check_way(Run *r)
{
    const Way *w = r->way;
    unsigned before = 0;

    r->server = pp_wait_ready_caps(r->supervisor, w->caps ? w->caps : PP_FIVE);
    if (w->starter == ROOT && !w->uid) {
        /* One that no other process has; the supervisor has the same. */
        r->uid = pp_id(r->server, "Uid");
        r->gid = pp_id(r->server, "Gid");
        g_assert_cmpuint(r->uid, >=, PP_OWN_IDS);
        g_assert_cmpuint(r->gid, ==, r->uid);
    }
    check_server(r);
    check_supervisor(r);
    if (geteuid() == 0) {
        check_root(r);
        before = pp_open_files(r->server);
    }

    if (!r->c) {
        /* A service manager's socket is not the starter's. */
        r->c = pc_new(must_connect(r->path, r->way->how == BY_ACTIVATION ?
                                   PC_NOBODY : r->starter), 0);
    }
    pc_hello(r->c, 0);
    g_assert_cmpint(r->c->server_pid, ==, r->server);
    check_server(r);
    check_supervisor(r);
    if (geteuid() == 0) {
        /* The connection, its root's handles, and not much else */
        g_assert_cmpint(pp_open_files(r->server), <=, before + 4);
    }
}

static void finish(Run *r)
{
    gint64 end = g_get_monotonic_time() + PC_TIMEOUT * G_USEC_PER_SEC;
    bool ours = r->way->how == BY_SOCKET || r->way->how == BY_ACTIVATION;

    if (r->c) {
        g_assert_cmpint(pc_close(r->c), ==, 0);
    }
    if (ours && persists(r->way)) {
        kill(r->supervisor, SIGTERM);
        g_assert_cmpint(pc_wait(r->supervisor), ==, PC_KILLED(SIGTERM));
    } else if (ours) {
        g_assert_cmpint(pc_wait(r->supervisor), ==, 0);
    }
    while (kill(r->supervisor, 0) == 0) {
        g_assert_cmpint(g_get_monotonic_time(), <, end);
        g_usleep(1000);
    }
    if (r->listener >= 0) {
        close(r->listener);
    } else {
        /* It cleaned up behind itself. */
        g_assert_false(g_file_test(r->path, G_FILE_TEST_EXISTS));
    }
}

static void test_way(gconstpointer opaque)
{
    static const gid_t groups[] = { 0, 7005 };
    Run r = { .way = opaque, .listener = -1 };
    const char *why = choose_starter(&r);
    g_autofree char *text = NULL;

    if (why) {
        g_test_skip(why);
        return;
    }
    r.dir = pf_new_dir(tmp, geteuid() ? PC_NOBODY : r.way->userns ? r.uid :
                            r.starter);
    r.run = pf_new_dir(tmp, r.starter);
    r.path = g_build_filename(r.run, "sock", NULL);
    if (r.way->starter != ROOT && !can_userns(&r, &text)) {
        g_test_skip(text);
    } else {
        if (geteuid() == 0) {
            /* To see them go */
            g_assert_cmpint(setgroups(G_N_ELEMENTS(groups), groups), ==, 0);
        }
        start(&r);
        if (geteuid() == 0) {
            g_assert_cmpint(setgroups(0, NULL), ==, 0);
        }
        check_way(&r);
        finish(&r);
    }
    g_free(r.path);
    pf_remove_dir(r.run);
    pf_remove_dir(r.dir);
}

int main(int argc, char **argv)
{
    unsigned i;
    int ret;

    g_test_init(&argc, &argv, NULL);
    umask(022);
    signal(SIGPIPE, SIG_IGN);
    alarm(300);                 /* nothing in here takes that long */

    tmp = g_dir_make_tmp("test-9p-proc-XXXXXX", NULL);
    g_assert_nonnull(tmp);
    g_assert_cmpint(chmod(tmp, 0755), ==, 0);
    for (i = 0; i < G_N_ELEMENTS(ways); i++) {
        g_autofree char *name = g_strconcat("/9p-helper-proc/", ways[i].name,
                                            NULL);

        g_test_add_data_func(name, &ways[i], test_way);
    }
    ret = g_test_run();
    pf_remove_dir(tmp);
    return ret;
}
