/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Tests of the clients that virtfs-proxy-helper serves: one after another, only
 * the user that may connect, and clients of a service manager's socket.
 */
#include "qemu/osdep.h"
#include "fsdev/shared/share-lock.h"
#include "proxy-client.h"
#include <glib/gstdio.h>
#include <grp.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>

#define OWNER           7003
#define STRANGER        7005

static char *dir;               /* the export */
static char *path;              /* of the socket */

static int must_connect(void)
{
    gint64 end = g_get_monotonic_time() + PC_TIMEOUT * G_USEC_PER_SEC;
    int fd;

    while ((fd = pc_connect(path)) < 0) {
        g_assert_cmpint(g_get_monotonic_time(), <, end);
        g_usleep(1000);
    }
    return fd;
}

static unsigned open_files(pid_t pid)
{
    g_autofree char *name = g_strdup_printf("/proc/%d/fd", pid);
    GDir *d = g_dir_open(name, 0, NULL);
    unsigned n = 0;

    if (!d) {
        return 0;               /* not visible to us: it is not dumpable */
    }
    while (g_dir_read_name(d)) {
        n++;
    }
    g_dir_close(d);
    return n;
}

static void end(pid_t pid)
{
    kill(pid, SIGTERM);
    g_assert_cmpint(pc_wait(pid), ==, PC_KILLED(SIGTERM));
}

/* Ten clients, half of them rude, leave nothing behind. */
static void test_persist(void)
{
    const char *args[] = { "-n", "-p", dir, "-s", path, "--persist", NULL };
    pid_t pid = pc_spawn(args, PC_NOBODY, -1, -1);
    uint64_t last = 0;
    unsigned files = 0;
    unsigned i;

    for (i = 0; i < 10; i++) {
        ProxyClient *c = pc_new(must_connect(), 0);
        PcNode node;
        FsAttr attr;

        pc_hello(c, 0);
        if (i == 0) {
            files = open_files(c->server_pid);
        }
        /* The helper may still be finishing the HELLO; the test times out. */
        while (open_files(c->server_pid) > files) {
            g_usleep(1000);
        }
        g_assert_cmpint(pc_walk(c, "file", &node, &attr), ==, 0);
        close(node.fd);
        if (i > 0) {
            g_assert_cmpint(node.handle, ==, last);
        }
        last = node.handle;
        if (i % 2) {
            g_assert_true(pc_send_raw(c, "half a header", 5));
        }
        pc_close(c);
    }
    g_assert_true(g_file_test(path, G_FILE_TEST_EXISTS));
    end(pid);
    g_assert_false(g_file_test(path, G_FILE_TEST_EXISTS));
}

/* Connects as @uid, and says whether the helper served that. */
static bool served(uid_t uid)
{
    pid_t pid = fork();
    int status;

    if (pid == 0) {
        static const uint8_t hello[PROXY_HELLO_SIZE] = {
            0x39, 0x50, 0x58, 0x32, 8, 0, 0, 0, PROXY_VERSION,
        };
        uint8_t reply;
        int fd;

        if (setgroups(0, NULL) < 0 || setresgid(uid, uid, uid) < 0 ||
            setresuid(uid, uid, uid) < 0) {
            _exit(3);
        }
        fd = pc_connect(path);
        if (fd < 0) {
            _exit(2);
        }
        _exit(send(fd, hello, sizeof(hello), MSG_NOSIGNAL) > 0 &&
              recv(fd, &reply, 1, 0) == 1 ? 0 : 1);
    }
    g_assert_cmpint(waitpid(pid, &status, 0), ==, pid);
    g_assert_true(WIFEXITED(status));
    g_assert_cmpint(WEXITSTATUS(status), <, 2);
    return WEXITSTATUS(status) == 0;
}

/* The file's mode alone does not decide: the peer's uid does. */
static void test_peer(void)
{
    const char *args[] = {
        "-n", "-p", dir, "-s", path, "-u", "7003", "--persist", NULL
    };
    pid_t pid;

    if (geteuid() != 0) {
        g_test_skip("needs root, to connect as several users");
        return;
    }
    pid = pc_spawn(args, PC_NOBODY, -1, -1);
    close(must_connect());
    g_assert_cmpint(chmod(path, 0666), ==, 0);
    g_assert_false(served(STRANGER));
    g_assert_true(served(OWNER));
    g_assert_false(served(STRANGER));
    g_assert_true(served(0));
    end(pid);
}

/* The level decides which lines appear on stderr. */
static void test_log_level(void)
{
    static const struct {
        const char *level;
        bool debug, info, warning;
    } levels[] = {
        { "error", false, false, false },
        { "warning", false, false, true },
        { "info", false, true, true },
        { "debug", true, true, true },
    };
    unsigned i;

    for (i = 0; i < G_N_ELEMENTS(levels); i++) {
        const char *args[] = {
            "-n", "-p", dir, "-s", path, "--log-level", levels[i].level, NULL
        };
        char text[4096];
        size_t len = 0;
        ssize_t n;
        int out[2];
        ProxyClient *c;
        PcNode node;
        FsAttr attr;
        pid_t pid;

        g_assert_cmpint(pipe2(out, O_CLOEXEC), ==, 0);
        pid = pc_spawn(args, PC_NOBODY, -1, out[1]);
        close(out[1]);
        c = pc_new(must_connect(), pid);
        pc_hello(c, 0);
        g_assert_cmpint(pc_walk(c, "none", &node, &attr), ==, -ENOENT);
        g_assert_true(pc_send_raw(c, "half a header", 5));
        pc_close(c);
        while ((n = read(out[0], text + len, sizeof(text) - 1 - len)) > 0) {
            len += n;
        }
        close(out[0]);
        text[len] = '\0';
        g_assert_true(!!strstr(text, "WALK, tag 1: No such file") ==
                      levels[i].debug);
        g_assert_true(!!strstr(text, "a client connected") == levels[i].info);
        g_assert_true(!!strstr(text, "ended within") == levels[i].warning);
    }
}

/* The pid to signal, in a file that only one helper can have */
static void test_pidfile(void)
{
    g_autofree char *file = g_strconcat(path, ".pid", NULL);
    g_autofree char *other = g_strconcat(path, ".other", NULL);
    const char *args[] = {
        "-n", "-p", dir, "-s", path, "--pidfile", file, "--persist", NULL
    };
    const char *again[] = {
        "-n", "-p", dir, "-s", other, "--pidfile", file, NULL
    };
    g_autofree char *text = NULL;
    g_autofree char *error = NULL;
    ProxyClient *c;
    pid_t pid;

    g_assert_true(g_file_set_contents(file, "99999999 left over", -1, NULL));
    pid = pc_spawn(args, PC_NOBODY, -1, -1);
    c = pc_new(must_connect(), 0);
    pc_hello(c, 0);
    pc_close(c);
    g_assert_true(g_file_get_contents(file, &text, NULL, NULL));
    g_assert_cmpint(atoi(text), ==, pid);
    g_assert_cmpint(strlen(text), <, 12);
    g_assert_true(g_str_has_suffix(text, "\n"));
    g_assert_cmpint(pc_run(again, PC_NOBODY, -1, &error), ==, 1);
    g_assert_nonnull(strstr(error, "another process holds it"));
    unlink(other);
    end(pid);
    unlink(file);
}

/* A helper that fails before it is ready: its line has no end. */
static void test_pidfile_of_failed(void)
{
    g_autofree char *file = g_strconcat(path, ".pid", NULL);
    const char *args[] = {
        "-n", "-p", dir, "-s", path, "--pidfile", file, NULL
    };
    struct flock changed = {
        .l_type = F_RDLCK, .l_whence = SEEK_SET, .l_start = SHARE_CHANGED,
        .l_len = 1,
    };
    int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    g_autofree char *text = NULL;
    g_autofree char *error = NULL;

    g_assert_cmpint(fcntl(fd, F_OFD_SETLK, &changed), ==, 0);
    g_assert_cmpint(pc_run(args, PC_NOBODY, -1, &error), ==, 1);
    g_assert_nonnull(strstr(error, "is changing the directory"));
    close(fd);
    g_assert_true(g_file_get_contents(file, &text, NULL, NULL));
    g_assert_cmpint(atoi(text), >, 0);
    g_assert_false(g_str_has_suffix(text, "\n"));
    unlink(file);
}

/* A program changes all below a directory that is above the export. */
static void test_changed_above(void)
{
    g_autofree char *below = g_build_filename(dir, "below", NULL);
    const char *args[] = { "-n", "-p", below, "-s", path, NULL };
    struct flock changed = {
        .l_type = F_RDLCK, .l_whence = SEEK_SET, .l_start = SHARE_CHANGED,
        .l_len = 1,
    };
    int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    g_autofree char *error = NULL;

    g_assert_cmpint(g_mkdir(below, 0755), ==, 0);
    g_assert_cmpint(fcntl(fd, F_OFD_SETLK, &changed), ==, 0);
    g_assert_cmpint(pc_run(args, PC_NOBODY, -1, &error), ==, 1);
    g_assert_nonnull(strstr(error, "is changing the directory or one above"));
    close(fd);
    g_rmdir(below);
}

static int bound_socket(void)
{
    struct sockaddr_un addr = { .sun_family = AF_UNIX };
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    g_strlcpy(addr.sun_path, path, sizeof(addr.sun_path));
    g_assert_cmpint(bind(fd, (struct sockaddr *)&addr, sizeof(addr)), ==, 0);
    g_assert_cmpint(listen(fd, 1), ==, 0);
    return fd;
}

/* Started by a service manager, which passes the socket */
static void test_activated(void)
{
    const char *args[] = { "-n", "-p", dir, NULL, NULL };
    int fd = bound_socket();
    ProxyClient *c;
    int pair[2];
    pid_t pid;

    pc_activated = true;
    pid = pc_spawn(args, PC_NOBODY, fd, -1);
    c = pc_new(must_connect(), pid);
    pc_hello(c, 0);
    g_assert_cmpint(pc_close(c), ==, 0);
    /* The file is the service manager's. */
    g_assert_true(g_file_test(path, G_FILE_TEST_EXISTS));

    args[3] = "--persist";
    pid = pc_spawn(args, PC_NOBODY, fd, -1);
    close(fd);
    c = pc_new(must_connect(), 0);
    pc_hello(c, 0);
    pc_close(c);
    c = pc_new(must_connect(), 0);
    pc_hello(c, 0);
    pc_close(c);
    end(pid);
    unlink(path);

    /* A connection that it accepted */
    args[3] = NULL;
    g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair),
                    ==, 0);
    pid = pc_spawn(args, PC_NOBODY, pair[1], -1);
    close(pair[1]);
    c = pc_new(pair[0], pid);
    pc_hello(c, 0);
    g_assert_cmpint(pc_close(c), ==, 0);
    pc_activated = false;
}

/* The helper ignores variables that are for another process. */
static void test_not_activated(void)
{
    const char *args[] = { "-n", "-p", dir, NULL };
    g_autofree char *text = NULL;

    setenv("LISTEN_PID", "1", 1);
    setenv("LISTEN_FDS", "1", 1);
    g_assert_cmpint(pc_run(args, PC_NOBODY, -1, &text), ==, 1);
    g_assert_nonnull(strstr(text, "--socket FILE is needed"));
    unsetenv("LISTEN_PID");
    unsetenv("LISTEN_FDS");
}

int main(int argc, char **argv)
{
    g_autofree char *tmp = NULL;
    g_autofree char *file = NULL;
    int ret;

    g_test_init(&argc, &argv, NULL);
    umask(022);
    signal(SIGPIPE, SIG_IGN);
    alarm(300);                 /* nothing in here takes that long */
    tmp = g_dir_make_tmp("test-9p-clients-XXXXXX", NULL);
    g_assert_nonnull(tmp);
    g_assert_cmpint(chmod(tmp, 0755), ==, 0);
    dir = g_build_filename(tmp, "export", NULL);
    path = g_build_filename(tmp, "socket", NULL);
    file = g_build_filename(dir, "file", NULL);
    g_assert_cmpint(g_mkdir(dir, 0755), ==, 0);
    g_assert_true(g_file_set_contents(file, "text", -1, NULL));

    g_test_add_func("/9p-helper-clients/persist", test_persist);
    g_test_add_func("/9p-helper-clients/peer", test_peer);
    g_test_add_func("/9p-helper-clients/log-level", test_log_level);
    g_test_add_func("/9p-helper-clients/pidfile", test_pidfile);
    g_test_add_func("/9p-helper-clients/pidfile/failed",
                    test_pidfile_of_failed);
    g_test_add_func("/9p-helper-clients/changed-above",
                    test_changed_above);
    g_test_add_func("/9p-helper-clients/activated", test_activated);
    g_test_add_func("/9p-helper-clients/not-activated", test_not_activated);
    ret = g_test_run();
    unlink(file);
    rmdir(dir);
    unlink(path);
    rmdir(tmp);
    g_free(dir);
    g_free(path);
    return ret;
}
