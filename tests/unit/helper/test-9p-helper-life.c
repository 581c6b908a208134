/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Tests of virtfs-proxy-helper's life: its socket, how it becomes a daemon,
 * the files that it inherits, and how its processes end together.
 */
#include "qemu/osdep.h"
#include "start-fixture.h"
#include "proxy-proc.h"
#include <glib/gstdio.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>

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

/* No files are left beside the export: the private directory is gone. */
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
    unsigned own = 0;
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

        own = pp_id(pid, "Uid");
        g_assert_cmpuint(own, >=, PP_OWN_IDS);
        pp_expect_privileges(server, PP_FIVE, own, own);
        pp_expect_one_mount(server, "rw,nosuid,nodev");
    }
    expect_error(args, -1, "another process listens");
    g_assert_true(is_there(path));

    c = pc_new(pc_connect(path), pid);
    pc_hello(c, 0);
    wait_for_file(path, false);
    expect_only(run, 0);
    if (geteuid() == 0) {
        pp_expect_privileges(pid, PP_NONE, own, own);
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

    /* A process bound the socket and ended. */
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

    /* The helper does not replace a file that is no socket. */
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

/* On a signal to end it removes its own socket, never another's. */
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

/* A daemon is ready once the process that was started has ended. */
static void test_daemon(void)
{
    g_autofree char *run = make_dir(PC_NOBODY);
    g_autofree char *path = g_build_filename(run, "sock", NULL);
    char *dir = make_dir(PC_NOBODY);
    const char *args[] = { "-p", dir, "-s", path, NULL };
    g_autofree char *text = NULL;
    ProxyClient *c;
    pid_t server;

    /* The pipe ends when no process holds it open. */
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

    /* If the daemon fails before, so does the process that was started. */
    g_free(g_steal_pointer(&text));
    args[1] = "/none";
    g_assert_cmpint(pc_run(args, PC_NOBODY, -1, &text), ==, 1);
    g_assert_nonnull(strstr(text, "/none"));
    pf_remove_dir(dir);
    rmdir(run);
}

/* The same with a connection from the starter */
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

    /* The first process of a PID namespace ignores unhandled signals. */
    c = pc_open(dir, NULL);
    kill(c->server_pid, SIGTERM);
    g_assert_cmpint(pc_wait(c->pid), ==, 128 + SIGTERM);
    c->pid = 0;
    pc_close(c);
    pf_remove_dir(dir);
}

/* The starter of a helper with --fd --nodaemon ends, with the socket open. */
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

/* Descriptors that the starter left open do not stay open in the helper. */
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
    /* End of file at once: no other process holds the other end. */
    g_assert_cmpint(fcntl(leak[0], F_SETFL, O_NONBLOCK), ==, 0);
    g_assert_cmpint(read(leak[0], &byte, 1), ==, 0);
    close(leak[0]);
    g_assert_cmpint(pc_close(c), ==, 0);
    pf_remove_dir(dir);
}

/* The helper still serves the export if that is renamed after the start. */
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

/*
 * A test program that fails does not end its helpers. They end with it, and
 * nothing holds its output open, for which the caller would wait.
 */
static void test_tester_killed(void)
{
    char *run = make_dir(PC_NOBODY);
    char *dir = make_dir(PC_NOBODY);
    g_autofree char *path = g_build_filename(run, "sock", NULL);
    const char *args[] = { "-n", "-p", dir, "-s", path, "--persist", NULL };
    struct pollfd pfd = { .events = POLLIN };
    int output[2];
    pid_t pid;
    char byte;

    g_assert_cmpint(pipe2(output, O_CLOEXEC), ==, 0);
    pid = fork();
    if (pid == 0) {
        pc_spawn(args, PC_NOBODY, -1, output[1]);
        wait_for_file(path, true);
        raise(SIGKILL);
    }
    close(output[1]);
    g_assert_cmpint(pc_wait(pid), ==, PC_KILLED(SIGKILL));
    pfd.fd = output[0];
    g_assert_cmpint(poll(&pfd, 1, 10 * 1000), ==, 1);
    g_assert_cmpint(read(output[0], &byte, 1), ==, 0);
    close(output[0]);
    pf_remove_dir(run);
    pf_remove_dir(dir);
}

int main(int argc, char **argv)
{
    sf_init(&argc, &argv);

    g_test_add_func("/9p-helper-start/socket", test_socket);
    g_test_add_func("/9p-helper-start/socket/stale", test_socket_stale);
    g_test_add_func("/9p-helper-start/socket/end", test_socket_end);
    g_test_add_func("/9p-helper-start/daemon", test_daemon);
    g_test_add_func("/9p-helper-start/daemon/fd", test_daemon_fd);
    g_test_add_func("/9p-helper-start/ends-together", test_ends_together);
    g_test_add_func("/9p-helper-start/starter-killed", test_starter_killed);
    g_test_add_func("/9p-helper-start/tester-killed", test_tester_killed);
    g_test_add_func("/9p-helper-start/inherited-files", test_inherited_files);
    g_test_add_func("/9p-helper-start/export-renamed", test_export_renamed);
    return sf_run();
}
