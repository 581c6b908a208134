/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * How the proxy driver reaches its helper.
 *
 * Theory of operation. One of three options says how:
 *
 * - path=DIR: QEMU makes a socket pair and starts the helper with one end of
 *   it. The helper gets /dev/null as its standard input and output (QEMU's may
 *   be a monitor), QEMU's standard error for its messages, the socket as
 *   descriptor 3, default signal handling, and nothing else. The helper ends
 *   when the socket is closed, and so with QEMU, however QEMU ends. A pidfd
 *   signals the helper's end, so that QEMU can reap and report it.
 * - socket=FILE: a helper listens on that UNIX socket.
 * - sock_fd=N: QEMU inherited a connected socket. In place of the number the
 *   option may have the name of a socket that the monitor got with getfd, or
 *   /dev/fdset/SET for a socket from -add-fd or add-fd. Two exports cannot have
 *   one socket, whatever descriptor each has of it.
 *
 * What may wait runs in the thread pool if the caller is a coroutine, as that
 * of fsdev-add, so that the main loop goes on. The start of a helper stays in
 * the main thread, because a helper ends with the thread that started it.
 */
#include "qemu/osdep.h"
#include <poll.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include "block/thread-pool.h"
#include "monitor/monitor.h"
#include "qapi/error.h"
#include "qemu/coroutine.h"
#include "qemu/cutils.h"
#include "qemu/error-report.h"
#include "qemu/main-loop.h"
#include "qemu/sockets.h"
#include "qemu/timer.h"
#include "hw/9pfs/compat.h"
#include "launch.h"

#define HELPER_PROGRAM      "virtfs-proxy-helper"
/* Descriptors in the helper */
#define HELPER_SOCKET       3
#define HELPER_REPORT       4

/* To connect to a helper whose queue of connections is full */
#define CONNECT_TIMEOUT_S   15
/* For a helper to end after HELLO failed */
#define EXIT_TIMEOUT_MS     2000
/* For a helper to end after QEMU left it: it may be stopped, or hostile */
#define DONE_TIMEOUT_MS     5000

struct ProxyPeer {
    char *id;
    char *how;                  /* option and value, for messages */
    pid_t pid;                  /* of a helper that QEMU started, else 0 */
    int pidfd;
    bool has_socket;            /* it is in the list of taken sockets */
    dev_t dev;                  /* of the socket of sock_fd, */
    ino_t ino;                  /* which this tells apart from others */
    QLIST_ENTRY(ProxyPeer) next;
    bool done;                  /* left: only this file uses the struct */
    bool report;                /* report how it ends, also when done */
    QEMUTimer *timer;           /* kills it if it has not ended by then */
};

/* Peers whose socket came as sock_fd and is in use */
static QLIST_HEAD(, ProxyPeer) taken = QLIST_HEAD_INITIALIZER(taken);

int proxy_launch_run(int (*fn)(void *opaque), void *opaque)
{
    return qemu_in_coroutine() ? thread_pool_submit_co(fn, opaque)
                               : fn(opaque);
}

void proxy_launch_closed(ProxyPeer *peer)
{
    if (peer->has_socket) {
        QLIST_REMOVE(peer, next);
        peer->has_socket = false;
    }
}

static void peer_free(ProxyPeer *peer)
{
    proxy_launch_closed(peer);
    if (peer->pidfd >= 0) {
        close(peer->pidfd);
    }
    if (peer->timer) {
        timer_free(peer->timer);
    }
    g_free(peer->id);
    g_free(peer->how);
    g_free(peer);
}

/*
 * Starting a helper
 */

/* Puts @status of waitpid(2) into words. */
static char *status_text(int status)
{
    if (WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS) {
        return g_strdup_printf("it was killed by signal %d (%s), because it "
                               "made a forbidden system call",
                               SIGSYS, strsignal(SIGSYS));
    }
    if (WIFSIGNALED(status)) {
        return g_strdup_printf("it was killed by signal %d (%s)",
                               WTERMSIG(status),
                               strsignal(WTERMSIG(status)));
    }
    return g_strdup_printf("it ended with exit status %d",
                           WEXITSTATUS(status));
}

static void peer_ended(void *opaque)
{
    ProxyPeer *peer = opaque;
    int status = 0;

    if (waitpid(peer->pid, &status, WNOHANG) == 0) {
        return;
    }
    qemu_set_fd_handler(peer->pidfd, NULL, NULL, NULL);
    close(peer->pidfd);
    peer->pidfd = -1;
    if (status && (peer->report || !peer->done)) {
        g_autofree char *text = status_text(status);

        error_report("fsdev '%s': helper (process %d): %s",
                     peer->id, (int)peer->pid, text);
    }
    if (peer->done) {
        peer_free(peer);
    }
}

/*
 * Runs in the child of a process with threads: only functions that are safe in
 * signal handlers, except where the C library lacks close_range(2).
 */
static G_NORETURN void helper_exec(const char *program, char *const *argv,
                                   int sock, int report)
{
    static const int keep[] = { 0, 1, 2, HELPER_SOCKET, HELPER_REPORT };
    sigset_t none;
    int null, sig, err;

    for (sig = 1; sig < NSIG; sig++) {
        signal(sig, SIG_DFL);
    }
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);

    /* Out of the way of the numbers that they will get */
    sock = fcntl(sock, F_DUPFD, HELPER_REPORT + 1);
    report = fcntl(report, F_DUPFD, HELPER_REPORT + 1);
    null = open("/dev/null", O_RDWR);
    if (sock < 0 || report < 0 || null < 0 ||
        dup2(null, 0) < 0 || dup2(null, 1) < 0 ||
        dup2(sock, HELPER_SOCKET) < 0 || dup2(report, HELPER_REPORT) < 0 ||
        fcntl(HELPER_REPORT, F_SETFD, FD_CLOEXEC) < 0) {
        err = errno;
    } else {
        report = HELPER_REPORT;
        qemu_close_all_open_fd(keep, ARRAY_SIZE(keep));
        execv(program, argv);
        err = errno;
    }
    if (write(report, &err, sizeof(err)) < 0) {
        _exit(126);
    }
    _exit(127);
}

static void set_start_error(Error **errp, const char *program, int err)
{
    error_setg(errp, "cannot start helper '%s': %s%s", program, strerror(err),
               err == EPERM ? " (with -sandbox spawn=deny QEMU starts no "
                              "program; use socket or sock_fd)" : "");
}

/* Returns the process id, or -1 with an error. */
static pid_t helper_fork(const char *program, char *const *argv, int sock,
                         Error **errp)
{
    sigset_t all, old;
    int report[2], err;
    pid_t pid;
    ssize_t n;

    if (!g_unix_open_pipe(report, FD_CLOEXEC, NULL)) {
        set_start_error(errp, program, errno);
        return -1;
    }
    /* No signal handler of QEMU's may run in the child */
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    pid = fork();
    err = errno;
    if (pid == 0) {
        helper_exec(program, argv, sock, report[1]);
    }
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    close(report[1]);
    if (pid < 0) {
        close(report[0]);
        set_start_error(errp, program, err);
        return -1;
    }

    /* A successful exec closes the other end */
    n = RETRY_ON_EINTR(read(report[0], &err, sizeof(err)));
    close(report[0]);
    if (n == sizeof(err)) {
        RETRY_ON_EINTR(waitpid(pid, NULL, 0));
        set_start_error(errp, program, err);
        return -1;
    }
    return pid;
}

static char *helper_program(const FsdevProxyOptions *opts, Error **errp)
{
    ERRP_GUARD();
    g_autofree char *program = opts->helper
        ? g_strdup(opts->helper)
        : get_relocated_path(CONFIG_QEMU_HELPERDIR "/" HELPER_PROGRAM);

    if (access(program, X_OK) < 0) {
        error_setg_errno(errp, errno, "%s '%s'",
                         opts->helper ? "helper" : "helper program", program);
        if (!opts->helper) {
            error_append_hint(errp, "It is installed together with QEMU; "
                              "helper=FILE names one elsewhere.\n");
        }
        return NULL;
    }
    return g_steal_pointer(&program);
}

static int is_directory(void *opaque)
{
    struct stat st;

    if (stat(opaque, &st) < 0) {
        return -errno;
    }
    return S_ISDIR(st.st_mode) ? 0 : -ENOTDIR;
}

static bool check_directory(char *path, Error **errp)
{
    int ret = proxy_launch_run(is_directory, path);

    if (ret == -ENOTDIR) {
        error_setg(errp, "path '%s' is not a directory", path);
    } else if (ret < 0) {
        error_setg_errno(errp, -ret, "path '%s'", path);
    }
    return ret == 0;
}

static bool peer_start(ProxyPeer *peer, const FsdevProxyOptions *opts,
                       const ProxyWanted *wanted, bool wait, int *sock,
                       Error **errp)
{
    g_autofree char *program = NULL;
    g_auto(GStrv) argv = NULL;
    int sv[2];

    /* Later the helper itself notices it, and this thread need not wait. */
    if (wait && !check_directory(opts->path, errp)) {
        return false;
    }
    program = helper_program(opts, errp);
    if (!program) {
        return false;
    }
    argv = proxy_options_argv(opts, program, HELPER_SOCKET, wanted);
    if (qemu_socketpair(AF_UNIX, SOCK_STREAM, 0, sv) < 0) {
        error_setg_errno(errp, errno, "cannot make a socket for the helper");
        return false;
    }
    peer->pid = helper_fork(program, argv, sv[1], errp);
    close(sv[1]);
    if (peer->pid < 0) {
        close(sv[0]);
        return false;
    }
    peer->pidfd = syscall(SYS_pidfd_open, peer->pid, 0);
    if (peer->pidfd < 0) {
        error_setg_errno(errp, errno, "cannot watch helper '%s'", program);
        close(sv[0]);
        kill(peer->pid, SIGKILL);
        RETRY_ON_EINTR(waitpid(peer->pid, NULL, 0));
        return false;
    }
    qemu_set_cloexec(peer->pidfd);
    qemu_set_fd_handler(peer->pidfd, peer_ended, NULL, peer);
    g_free(peer->how);
    peer->how = g_strdup_printf("helper '%s'", program);
    *sock = sv[0];
    return true;
}

/*
 * Connecting to a running helper
 */

typedef struct Connect {
    int fd;
    struct sockaddr_un addr;
} Connect;

static int connect_work(void *opaque)
{
    Connect *c = opaque;

    return RETRY_ON_EINTR(connect(c->fd, (struct sockaddr *)&c->addr,
                                  sizeof(c->addr))) < 0 ? -errno : 0;
}

static bool peer_connect(const char *path, bool wait, int *sock, Error **errp)
{
    ERRP_GUARD();
    struct timeval timeout = { .tv_sec = CONNECT_TIMEOUT_S };
    Connect work = { .addr.sun_family = AF_UNIX };
    int fd, ret;

    if (strlen(path) >= sizeof(work.addr.sun_path)) {
        error_setg(errp, "socket '%s': the name is longer than %zu bytes",
                   path, sizeof(work.addr.sun_path) - 1);
        return false;
    }
    if (!path[0]) {
        error_setg(errp, "socket '': a file name is needed");
        return false;
    }
    strcpy(work.addr.sun_path, path);

    fd = qemu_socket(AF_UNIX, SOCK_STREAM, 0);
    if (fd < 0) {
        error_setg_errno(errp, errno, "cannot make a socket");
        return false;
    }
    if (wait) {
        setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof(timeout));
    } else if (!qemu_set_blocking(fd, false, errp)) {
        close(fd);
        return false;
    }
    work.fd = fd;
    ret = proxy_launch_run(connect_work, &work);
    if (ret == -EAGAIN) {
        error_setg(errp, "socket '%s': the connection was not accepted", path);
    } else if (ret < 0) {
        error_setg_errno(errp, -ret, "socket '%s'", path);
        if (ret == -ECONNREFUSED) {
            error_append_hint(errp, "No helper listens on it.\n");
        }
    }
    if (ret < 0) {
        close(fd);
        return false;
    }
    *sock = fd;
    return true;
}

static int socket_option(int fd, int option)
{
    socklen_t len = sizeof(int);
    int value;

    return getsockopt(fd, SOL_SOCKET, option, &value, &len) < 0 ? -1 : value;
}

/* A copy of the set's descriptor, or -1 with an error. */
static int fdset_copy(const char *path, Error **errp)
{
    int of_set = qemu_open(path, O_RDWR, errp);
    int fd;

    if (of_set < 0) {
        return -1;
    }
    fd = fcntl(of_set, F_DUPFD_CLOEXEC, 3);
    if (fd < 0) {
        error_setg_errno(errp, errno, "cannot duplicate the descriptor");
    }
    qemu_close(of_set);
    return fd;
}

/*
 * The descriptor that @value means, or -1 with an error. It may not be a
 * socket. *@ours: the descriptor is this file's, which closes it on failure.
 */
static int find_descriptor(const char *value, bool *ours, Error **errp)
{
    ERRP_GUARD();
    Monitor *mon = monitor_cur();
    int fd;

    *ours = qemu_strtoi(value, NULL, 10, &fd) < 0;
    if (!*ours) {
        if (fd < 3) {
            error_setg(errp, "sock_fd '%s': it must be at least 3%s", value,
                       fd < 0 ? ""
                              : ", the others are standard input and output");
            return -1;
        }
        if (fcntl(fd, F_GETFD) < 0) {
            error_setg(errp, "sock_fd '%s' is not an open descriptor", value);
            return -1;
        }
        return fd;
    }
    if (g_str_has_prefix(value, "/dev/fdset/")) {
        fd = fdset_copy(value, errp);
    } else if (mon && g_ascii_isalpha(value[0])) {
        fd = monitor_get_fd(mon, value, errp);
    } else {
        error_setg(errp, "sock_fd '%s' is not a descriptor number%s", value,
                   mon || !g_ascii_isalpha(value[0])
                   ? "" : ", and names are known in the monitor only");
        return -1;
    }
    if (fd < 0) {
        error_prepend(errp, "sock_fd '%s': ", value);
    }
    return fd;
}

static bool check_socket(const char *value, int fd, Error **errp)
{
    struct sockaddr_un addr;
    socklen_t len = sizeof(addr);

    if (socket_option(fd, SO_TYPE) != SOCK_STREAM ||
        socket_option(fd, SO_DOMAIN) != AF_UNIX) {
        error_setg(errp, "sock_fd '%s' is not a UNIX stream socket", value);
        return false;
    }
    if (getpeername(fd, (struct sockaddr *)&addr, &len) < 0) {
        error_setg(errp, "sock_fd '%s' is not connected", value);
        return false;
    }
    return true;
}

/* Notes that the peer has the socket @fd, unless another one has it. */
static bool peer_reserve(ProxyPeer *peer, const char *value, int fd,
                         Error **errp)
{
    ProxyPeer *other;
    struct stat st;

    if (fstat(fd, &st) < 0) {
        error_setg_errno(errp, errno, "sock_fd '%s'", value);
        return false;
    }
    QLIST_FOREACH(other, &taken, next) {
        if (other->dev == st.st_dev && other->ino == st.st_ino) {
            error_setg(errp, "sock_fd '%s' is the socket that fsdev '%s' uses",
                       value, other->id);
            return false;
        }
    }
    peer->dev = st.st_dev;
    peer->ino = st.st_ino;
    peer->has_socket = true;
    QLIST_INSERT_HEAD(&taken, peer, next);
    return true;
}

static bool peer_take(ProxyPeer *peer, const char *value, int *sock,
                      Error **errp)
{
    bool ours;
    int fd = find_descriptor(value, &ours, errp);

    if (fd < 0) {
        return false;
    }
    if (!check_socket(value, fd, errp) ||
        !peer_reserve(peer, value, fd, errp)) {
        if (ours) {
            close(fd);
        }
        return false;
    }
    qemu_set_cloexec(fd);
    *sock = fd;
    return true;
}

static ProxyPeer *launch(const char *id, const FsdevProxyOptions *opts,
                         const ProxyWanted *wanted, bool wait, int *sock,
                         Error **errp)
{
    ProxyPeer *peer;
    bool ok;

    if (!proxy_options_check(opts, errp)) {
        return NULL;
    }
    peer = g_new0(ProxyPeer, 1);
    peer->id = g_strdup(id);
    peer->pidfd = -1;
    if (opts->path) {
        ok = peer_start(peer, opts, wanted, wait, sock, errp);
    } else if (opts->socket) {
        peer->how = g_strdup_printf("socket '%s'", opts->socket);
        ok = peer_connect(opts->socket, wait, sock, errp);
    } else {
        peer->how = g_strdup_printf("sock_fd '%s'", opts->sock_fd);
        ok = peer_take(peer, opts->sock_fd, sock, errp);
    }
    if (!ok) {
        peer_free(peer);
        return NULL;
    }
    return peer;
}

ProxyPeer *proxy_launch(const char *id, const FsdevProxyOptions *opts,
                        const ProxyWanted *wanted, int *sock, Error **errp)
{
    return launch(id, opts, wanted, true, sock, errp);
}

ProxyPeer *proxy_launch_again(const char *id, const FsdevProxyOptions *opts,
                              const ProxyWanted *wanted, int *sock,
                              Error **errp)
{
    return launch(id, opts, wanted, false, sock, errp);
}

/* Waits for the helper's end for a limited time. */
static int wait_end(void *opaque)
{
    struct pollfd pfd = { .fd = *(int *)opaque, .events = POLLIN };

    return RETRY_ON_EINTR(poll(&pfd, 1, EXIT_TIMEOUT_MS)) > 0 ? 0 : -ETIMEDOUT;
}

void proxy_launch_failed(ProxyPeer *peer, bool told, Error **errp)
{
    ERRP_GUARD();
    if (peer->pidfd >= 0) {
        int status = 0;
        bool ended;

        qemu_set_fd_handler(peer->pidfd, NULL, NULL, NULL);
        ended = proxy_launch_run(wait_end, &peer->pidfd) == 0;
        if (!ended) {
            /* It may take long to die, where the kernel waits for a server. */
            kill(peer->pid, SIGKILL);
            error_prepend(errp, "%s: ", peer->how);
            qemu_set_fd_handler(peer->pidfd, peer_ended, NULL, peer);
            peer->done = true;
            return;
        }
        RETRY_ON_EINTR(waitpid(peer->pid, &status, 0));
        if (status && !told) {
            g_autofree char *text = status_text(status);

            error_free(*errp);
            *errp = NULL;
            error_setg(errp, "%s failed to start: %s", peer->how, text);
            error_append_hint(errp, "See the helper's own messages for the "
                              "reason.\n");
            peer_free(peer);
            return;
        }
    }
    error_prepend(errp, told ? "%s failed to start: " : "%s: ",
                  peer->how);
    peer_free(peer);
}

pid_t proxy_launch_process(const ProxyPeer *peer)
{
    return peer->pidfd >= 0 ? peer->pid : 0;
}

static void peer_too_late(void *opaque)
{
    ProxyPeer *peer = opaque;

    if (peer->pidfd >= 0) {
        kill(peer->pid, SIGKILL);
    }
}

void proxy_launch_done(ProxyPeer *peer)
{
    if (peer->pidfd < 0) {
        peer_free(peer);
        return;
    }
    /* peer_ended() frees it. Without a socket the helper should end soon. */
    peer->done = true;
    peer->timer = aio_timer_new(qemu_get_aio_context(), QEMU_CLOCK_REALTIME,
                                SCALE_MS, peer_too_late, peer);
    timer_mod(peer->timer, qemu_clock_get_ms(QEMU_CLOCK_REALTIME) +
              DONE_TIMEOUT_MS);
}

void proxy_launch_lost(ProxyPeer *peer)
{
    peer->report = true;
    proxy_launch_done(peer);
}
