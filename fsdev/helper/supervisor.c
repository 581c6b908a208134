/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The helper's processes: see supervisor.h.
 *
 * No wait in this file outlives the process that it waits for: every pipe has
 * one writer, so the death of that writer is the pipe's end of file
 * (process.h).
 */
#include "qemu/osdep.h"
#include "supervisor.h"
#include "identity.h"
#include "landlock.h"
#include "log.h"
#include "mounts.h"
#include "place.h"
#include "process.h"
#include "seccomp.h"
#include <poll.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>

/* Signals that ask the supervisor to end */
static const int end_signals[] = { SIGTERM, SIGINT, SIGHUP, SIGQUIT };

static pid_t wait_for(pid_t pid, int *status)
{
    pid_t ret;

    do {
        ret = waitpid(pid, status, 0);
    } while (ret < 0 && errno == EINTR);
    return ret;
}

/* Leaves the terminal and the starter behind; returns in the daemon only. */
static int become_daemon(void)
{
    int ready[2];
    int status;
    pid_t pid;

    process_pipe(ready);
    pid = process_fork();
    if (pid == 0) {
        close(ready[0]);
        setsid();
        return ready[1];
    }
    close(ready[1]);
    if (process_told(ready[0])) {
        _exit(EXIT_SUCCESS);
    }
    wait_for(pid, &status);     /* the child logged the reason */
    _exit(EXIT_FAILURE);
}

/*
 * Whether the pid file @fd (O_PATH) has a living owner, who holds a lock for
 * writing. Locks for reading say nothing: a process that may read can have one.
 */
static const char *keep_pidfile(int fd, const struct stat *st)
{
    g_autofree char *link = g_strdup_printf("/proc/self/fd/%d", fd);
    struct flock lock = { .l_type = F_RDLCK, .l_whence = SEEK_SET };
    const char *why = NULL;
    int file;

    if (!S_ISREG(st->st_mode)) {
        return "exists and is not a regular file";
    }
    file = open(link, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    if (file < 0) {
        return strerror(errno);
    }
    if (fcntl(file, F_OFD_GETLK, &lock) < 0) {
        why = strerror(errno);
    } else if (lock.l_type != F_UNLCK) {
        why = "another process holds it";
    }
    close(file);
    return why;
}

static const char *make_pidfile(Place *p, int private, void *opaque)
{
    g_autofree char *text = g_strdup_printf("%d", getpid());
    struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
    ssize_t len = strlen(text);
    int *fd = opaque;

    *fd = openat(private, PLACE_PRIVATE, O_RDWR | O_CREAT | O_EXCL |
                 O_NOFOLLOW | O_CLOEXEC, 0600);
    if (*fd < 0 || fcntl(*fd, F_OFD_SETLK, &lock) < 0 ||
        write(*fd, text, len) != len) {
        return strerror(errno);
    }
    return NULL;
}

/*
 * Writes the supervisor's pid, without the end of the line, and returns the
 * file. It stays open: the supervisor holds its lock as long as it lives, which
 * tells a live file from a leftover. It does not remove the file: it gives up
 * the privilege for that. For the same reason it makes the file this early,
 * long before the server is ready.
 */
static int write_pidfile(const Options *o)
{
    static const PlaceFile pidfile = { make_pidfile, keep_pidfile };
    Place place;
    int fd = -1;

    place_open(&place, "pidfile", o->pidfile, o);
    place_put(&place, &pidfile, &fd);
    place_close(&place);
    return fd;
}

/*
 * The server is ready, and the line in the pid file gets its end. The server
 * does not keep the file: its lock must end with the supervisor.
 */
static void complete_pidfile(int fd)
{
    if (write(fd, "\n", 1) != 1) {
        fatal("cannot write the pid file: %s", strerror(errno));
    }
    close(fd);
}

/* Ends as the server did. */
static G_NORETURN void end_like(int status)
{
    sigset_t all;

    if (WIFSIGNALED(status)) {
        signal(WTERMSIG(status), SIG_DFL);
        sigemptyset(&all);
        sigprocmask(SIG_SETMASK, &all, NULL);
        raise(WTERMSIG(status));
    }
    _exit(WIFEXITED(status) ? WEXITSTATUS(status) : EXIT_FAILURE);
}

/* What the supervisor waits for */
typedef struct News {
    int signals;
    int server;                 /* a byte: a client connected; end: it ended */
    int watcher;                /* a byte: there is one; end: it ended, or -1 */
    bool watched;
} News;

/* Whether the process that watches mounts (mounts.h) is there no more */
static bool watcher_lost(News *news)
{
    if (process_told(news->watcher)) {
        news->watched = true;
        return false;
    }
    close(news->watcher);
    news->watcher = -1;
    return news->watched;
}

/*
 * Waits for a signal, for the server or for the watcher. Returns the signal, or
 * 0 for news of the server. Kills a server that has lost its watcher.
 */
static int wait_for_news(News *news, pid_t server)
{
    struct signalfd_siginfo info;
    struct pollfd fds[] = {
        { .fd = news->signals, .events = POLLIN },
        { .fd = news->server, .events = POLLIN },
        { .fd = news->watcher, .events = POLLIN },
    };

    do {
        fds[2].fd = news->watcher;
        while (poll(fds, G_N_ELEMENTS(fds), -1) < 0) {
            if (errno != EINTR) {
                fatal("poll: %s", strerror(errno));
            }
        }
        if (fds[2].revents && watcher_lost(news)) {
            kill(server, SIGKILL);
        }
    } while (!fds[0].revents && !fds[1].revents);
    if ((fds[0].revents & POLLIN) &&
        read(news->signals, &info, sizeof(info)) == sizeof(info)) {
        return info.ssi_signo;
    }
    return 0;
}

/* The supervisor's life */
static G_NORETURN void supervise(const Options *o, pid_t server, News *news,
                                 const sigset_t *wanted, SocketFile *file)
{
    bool asked = false;
    int status = 0;
    int sig = 0;

    news->signals = signalfd(-1, wanted, SFD_CLOEXEC | SFD_NONBLOCK);
    if (news->signals < 0) {
        fatal("cannot make a signalfd: %s", strerror(errno));
    }
    landlock_supervisor(file->dir);
    seccomp_enter_supervisor(o->seccomp, server, file->dir, file->name);
    while (!asked) {
        sig = wait_for_news(news, server);
        if (sig) {
            asked = true;
        } else if (process_told(news->server)) {
            listen_remove_file(file);
        } else {
            break;
        }
    }

    listen_remove_file(file);
    if (asked) {
        /*
         * SIGKILL, because the first process of a PID namespace ignores
         * signals that it does not handle, and because a server that is asked
         * to end must not go on with requests. If the supervisor may not send
         * it, the kernel does when the supervisor ends.
         */
        kill(server, SIGKILL);
        signal(sig, SIG_DFL);
        sigprocmask(SIG_UNBLOCK, wanted, NULL);
        raise(sig);
    }
    if (wait_for(server, &status) < 0) {
        _exit(EXIT_FAILURE);
    }
    end_like(status);
}

/*
 * Drops the supervisor's privilege. A change of credentials undoes
 * PR_SET_PDEATHSIG, so that comes last. If the starter has ended before, the
 * parent's pid has changed.
 */
static void drop_privilege(const Options *o, pid_t starter)
{
    identity_drop(o, IDENTITY_NOTHING);
    if (o->foreground && o->fd >= 0 && !o->activated) {
        if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0) {
            fatal("PR_SET_PDEATHSIG: %s", strerror(errno));
        }
        if (getppid() != starter) {
            _exit(EXIT_FAILURE);
        }
    }
}

/* How the server ends on a signal sent to it, not to the supervisor */
static void end_now(int sig)
{
    _exit(128 + sig);
}

static void set_server_signals(const sigset_t *old)
{
    struct sigaction action = { .sa_handler = end_now };
    unsigned i;

    for (i = 0; i < G_N_ELEMENTS(end_signals); i++) {
        sigaction(end_signals[i], &action, NULL);
    }
    action.sa_handler = SIG_IGN;
    /* A size above RLIMIT_FSIZE is an error for the guest, not our end. */
    sigaction(SIGXFSZ, &action, NULL);
    sigprocmask(SIG_SETMASK, old, NULL);
}

void supervisor_start(Supervisor *s, const Options *o, SocketFile *file,
                      IdMaps *ids, int fd, int export)
{
    pid_t starter = getppid();
    sigset_t wanted, old;
    int news[2], alive[2], watcher[2];
    unsigned i;
    pid_t pid;

    s->ready = o->foreground ? -1 : become_daemon();
    s->pidfile = o->pidfile ? write_pidfile(o) : -1;
    userns_enter(&o->maps, ids);

    sigemptyset(&wanted);
    for (i = 0; i < G_N_ELEMENTS(end_signals); i++) {
        sigaddset(&wanted, end_signals[i]);
    }
    sigprocmask(SIG_BLOCK, &wanted, &old);
    process_pipe(news);
    process_pipe(alive);
    process_pipe(watcher);

    /* For children only: the supervisor stays in its namespace. */
    if (o->sandbox == SANDBOX_NAMESPACE && unshare(CLONE_NEWPID) < 0) {
        log_line(LOG_LEVEL_WARNING, "continuing without a PID namespace: %s",
                 strerror(errno));
    }
    pid = process_fork();
    if (pid) {
        News all = { .server = news[0], .watcher = watcher[0] };

        close(news[1]);
        close(alive[0]);
        close(watcher[1]);
        close(fd);
        /*
         * @export stays open: this process is still where the host's mounts
         * are, so the host cannot unmount the export itself while the helper
         * serves a copy of that mount. The server waits with its copies.
         */
        mounts_hold(o, export);
        process_tell(alive[1]);
        if (s->ready >= 0) {
            close(s->ready);
            dup2(STDIN_FILENO, STDERR_FILENO);
        }
        drop_privilege(o, starter);
        supervise(o, pid, &all, &wanted, file);
    }

    close(news[0]);
    close(alive[1]);
    close(watcher[0]);
    if (!process_told(alive[0])) {
        _exit(EXIT_FAILURE);    /* the supervisor logged the reason */
    }
    s->tell = news[1];
    s->alive = alive[0];
    s->watcher = watcher[1];
    if (file->dir >= 0) {
        close(file->dir);
        file->dir = -1;
    }
    set_server_signals(&old);
}

void supervisor_follow(Supervisor *s)
{
    struct pollfd pfd = { .fd = s->alive };

    if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0) {
        fatal("PR_SET_PDEATHSIG: %s", strerror(errno));
    }
    /* The supervisor may have ended before. */
    if (poll(&pfd, 1, 0) > 0 && (pfd.revents & POLLHUP)) {
        _exit(EXIT_FAILURE);
    }
    close(s->alive);
}

void supervisor_tell_ready(Supervisor *s)
{
    if (s->pidfile >= 0) {
        complete_pidfile(s->pidfile);
    }
    if (s->ready >= 0) {
        log_use_syslog();
        dup2(STDIN_FILENO, STDERR_FILENO);
        process_tell(s->ready);
        close(s->ready);
    }
}

void supervisor_tell_connected(Supervisor *s)
{
    process_tell(s->tell);
}
