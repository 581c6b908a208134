/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Starting virtfs-proxy-helper for tests: see proxy-client.h.
 */
#include "qemu/osdep.h"
#include "proxy-client.h"
#include <grp.h>
#include <pwd.h>
#include <linux/capability.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>

unsigned pc_max_files;
bool pc_activated;

const char *pc_helper(void)
{
    static char *path;
    g_autofree char *self = NULL;
    g_autofree char *dir = NULL;

    if (!path) {
        path = g_strdup(g_getenv("VIRTFS_PROXY_HELPER"));
    }
    if (!path) {
        self = g_file_read_link("/proc/self/exe", NULL);
        dir = g_path_get_dirname(self);
        path = g_build_filename(dir, "..", "..", "fsdev",
                                "virtfs-proxy-helper", NULL);
    }
    if (!g_file_test(path, G_FILE_TEST_IS_EXECUTABLE)) {
        g_error("%s is not there: set VIRTFS_PROXY_HELPER", path);
    }
    return path;
}

/* Sets a hard limit, and takes away the capability to raise it. */
static void limit_files(void)
{
    struct rlimit limit = { pc_max_files, pc_max_files };

    if (pc_max_files) {
        prctl(PR_CAPBSET_DROP, CAP_SYS_RESOURCE, 0, 0, 0);
        setrlimit(RLIMIT_NOFILE, &limit);
    }
}

/* The group in passwd(5), which newuidmap(1) requires; otherwise the uid */
static gid_t group_of(uid_t uid)
{
    struct passwd *pw = getpwuid(uid);

    return pw ? pw->pw_gid : uid;
}

static G_NORETURN void run_child(const char *const *args, uid_t uid, int sock,
                                 int output)
{
    gid_t gid = group_of(uid);
    g_autoptr(GPtrArray) argv = g_ptr_array_new();

    if (output >= 0) {
        dup2(output, STDOUT_FILENO);
        dup2(output, STDERR_FILENO);
    }
    if (sock >= 0) {
        if (sock == PC_SOCK_FD) {
            fcntl(sock, F_SETFD, 0);
        } else {
            dup2(sock, PC_SOCK_FD);
        }
    }
    limit_files();
    if (uid != PC_NOBODY &&
        (setgroups(0, NULL) < 0 || setresgid(gid, gid, gid) < 0 ||
         setresuid(uid, uid, uid) < 0)) {
        _exit(126);
    }
    if (pc_activated) {
        g_autofree char *pid = g_strdup_printf("%d", getpid());

        setenv("LISTEN_PID", pid, 1);
        setenv("LISTEN_FDS", "1", 1);
    }
    g_ptr_array_add(argv, (char *)pc_helper());
    while (*args) {
        g_ptr_array_add(argv, (char *)*args++);
    }
    g_ptr_array_add(argv, NULL);
    execv(pc_helper(), (char **)argv->pdata);
    _exit(127);
}

/* Waits for the end of @process, or ends it at the end of file of @alive. */
static G_NORETURN void watch(int process, int alive)
{
    struct pollfd fds[] = {
        { .fd = process, .events = POLLIN },
        { .fd = alive, .events = POLLIN },
    };

    while (poll(fds, G_N_ELEMENTS(fds), -1) < 0) {
        /* again */
    }
    if (!fds[0].revents) {
        syscall(SYS_pidfd_send_signal, process, SIGKILL, NULL, 0);
    }
    _exit(0);
}

/*
 * A test that fails ends this program at once, and may leave the helper to
 * itself, with the pipe from which another program reads what the test says. A
 * signal at the parent's end would not do: the helper's change of user cancels
 * it. So another process waits for both, and is not this one's child.
 */
static void end_with_this_program(pid_t pid)
{
    static int alive[2];
    static pid_t owner;
    int process = syscall(SYS_pidfd_open, pid, 0);
    pid_t between;

    g_assert_cmpint(process, >=, 0);
    if (owner != getpid()) {
        owner = getpid();
        g_assert_cmpint(pipe2(alive, O_CLOEXEC), ==, 0);
    }
    between = fork();
    if (between == 0) {
        if (fork() == 0) {
            /* Not one of this program's files stays open here. */
            dup2(process, 0);
            dup2(alive[0], 1);
            close_range(2, UINT_MAX, 0);
            watch(0, 1);
        }
        _exit(0);
    }
    close(process);
    g_assert_cmpint(waitpid(between, NULL, 0), ==, between);
}

pid_t pc_spawn(const char *const *args, uid_t uid, int sock, int output)
{
    pid_t pid = fork();

    g_assert_cmpint(pid, >=, 0);
    if (pid == 0) {
        run_child(args, uid, sock, output);
    }
    end_with_this_program(pid);
    return pid;
}

int pc_connect(const char *path)
{
    struct sockaddr_un addr = { .sun_family = AF_UNIX };
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    g_strlcpy(addr.sun_path, path, sizeof(addr.sun_path));
    if (connect(fd, (struct sockaddr *)&addr, sizeof(addr)) < 0) {
        close(fd);
        return -1;
    }
    return fd;
}

int pc_wait(pid_t pid)
{
    gint64 end = g_get_monotonic_time() + PC_TIMEOUT * G_USEC_PER_SEC;
    pid_t ret;
    int status;

    while ((ret = waitpid(pid, &status, WNOHANG)) == 0) {
        if (g_get_monotonic_time() > end) {
            kill(pid, SIGKILL);
            g_error("the helper (pid %d) does not end", pid);
        }
        g_usleep(1000);
    }
    g_assert_cmpint(ret, ==, pid);
    return WIFEXITED(status) ? WEXITSTATUS(status) :
                               PC_KILLED(WTERMSIG(status));
}

int pc_run(const char *const *args, uid_t uid, int sock, char **text)
{
    char buf[8192];
    size_t len = 0;
    ssize_t n;
    int out[2];
    pid_t pid;

    g_assert_cmpint(pipe2(out, O_CLOEXEC), ==, 0);
    pid = pc_spawn(args, uid, sock, out[1]);
    close(out[1]);
    while ((n = read(out[0], buf + len, sizeof(buf) - 1 - len)) > 0) {
        len += n;
    }
    close(out[0]);
    buf[len] = '\0';
    if (text) {
        *text = g_strdup(buf);
    }
    return pc_wait(pid);
}
