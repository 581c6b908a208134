/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The host's users and their groups: see host-groups.h.
 *
 * A process of its own looks them up and sends them through a pipe. What the
 * lookup loads and connects to ends with that process, and a directory server
 * that does not answer holds up nothing else.
 */
#include "qemu/osdep.h"
#include "host-groups.h"
#include "log.h"
#include "process.h"
#include <grp.h>
#include <poll.h>
#include <pwd.h>
#include <sys/wait.h>

/*
 * Until all are there, in seconds. QEMU waits 15 for the helper that it starts,
 * and should hear the reason.
 */
#define PATIENCE_S      10
/* Until the process that was killed is gone, in milliseconds */
#define END_MS          1000

#define USERS_MAX       65536

/* The exit status of the process if there are more, or if it cannot tell */
#define TOO_MANY        2
#define NOT_ALL         3

/* The uid of the record after the last */
#define END             ((uint32_t)-1)

static void send_record(int fd, const HostGroups *g)
{
    const char *at = (const char *)g;
    size_t left = sizeof(*g);

    while (left > 0) {
        ssize_t len = write(fd, at, left);

        if (len < 0 && errno != EINTR) {
            _exit(EXIT_FAILURE);
        }
        at += MAX(len, 0);
        left -= MAX(len, 0);
    }
}

typedef struct User {
    char *name;
    uint32_t uid, gid;
} User;

/* The next user; NULL at the end, as which getpwent(3) also has its errors */
static struct passwd *next_user(void)
{
    static const int errors[] = { EAGAIN, EIO, EMFILE, ENFILE, ENOMEM };
    struct passwd *pw;
    unsigned i;

    errno = 0;
    pw = getpwent();
    for (i = 0; !pw && i < ARRAY_SIZE(errors); i++) {
        if (errno == errors[i]) {
            _exit(NOT_ALL);
        }
    }
    return pw;
}

/* All users, or one more than there may be */
static GArray *read_users(void)
{
    GArray *users = g_array_new(false, false, sizeof(User));
    struct passwd *pw;

    setpwent();
    while (users->len <= USERS_MAX && (pw = next_user())) {
        User u = { g_strdup(pw->pw_name), pw->pw_uid, pw->pw_gid };

        g_array_append_val(users, u);
    }
    return users;
}

/* Each user's groups are a lookup of their own, which takes a while. */
static G_NORETURN void send_all(int fd)
{
    GArray *users = read_users();
    HostGroups g = { };
    unsigned i;

    if (users->len > USERS_MAX) {
        _exit(TOO_MANY);
    }
    for (i = 0; i < users->len; i++) {
        const User *u = &g_array_index(users, User, i);
        int n = HOST_GROUPS_MAX;

        if (getgrouplist(u->name, u->gid, g.groups, &n) < 0) {
            log_line(LOG_LEVEL_WARNING, "user %s is in %d groups; the first "
                     "%d count", u->name, n, HOST_GROUPS_MAX);
            n = HOST_GROUPS_MAX;
        }
        g.uid = u->uid;
        g.primary = u->gid;
        g.n = n;
        if (g.uid != END) {
            send_record(fd, &g);
        }
    }
    g.uid = END;
    send_record(fd, &g);
    _exit(EXIT_SUCCESS);
}

/* Reads one; the time until @end, of g_get_monotonic_time(), is for all. */
static const char *receive_record(int fd, gint64 end, HostGroups *g)
{
    struct pollfd p = { .fd = fd, .events = POLLIN };
    char *at = (char *)g;
    size_t left = sizeof(*g);

    while (left > 0) {
        gint64 now = g_get_monotonic_time();
        ssize_t len;
        int ret = now < end ? poll(&p, 1, (end - now) / 1000 + 1) : 0;

        if (ret < 0 && errno == EINTR) {
            continue;
        }
        if (ret == 0) {
            return "they did not come in " G_STRINGIFY(PATIENCE_S)
                   " seconds";
        }
        len = read(fd, at, left);
        if (len == 0 || (len < 0 && errno != EINTR && errno != EAGAIN)) {
            return "the lookup failed";
        }
        at += MAX(len, 0);
        left -= MAX(len, 0);
    }
    return NULL;
}

/* NULL, or what went wrong */
static const char *receive_all(int fd, GHashTable *known)
{
    gint64 end = g_get_monotonic_time() + PATIENCE_S * G_USEC_PER_SEC;
    const char *why;
    HostGroups g;

    while (!(why = receive_record(fd, end, &g)) && g.uid != END) {
        gpointer uid = GUINT_TO_POINTER(g.uid);

        g.n = MIN(g.n, HOST_GROUPS_MAX);
        /* As getpwuid(3): of two with one number, the first */
        if (!g_hash_table_contains(known, uid)) {
            g_hash_table_insert(known, uid, g_memdup2(&g, sizeof(g)));
        }
    }
    return why;
}

/* Ends the process. Returns its exit status, or -1: it was killed, or hangs. */
static int end_lookup(pid_t pid)
{
    int status, ms;
    pid_t ended = 0;

    kill(pid, SIGKILL);
    for (ms = 0; ms < END_MS && ended == 0; ms++) {
        ended = waitpid(pid, &status, WNOHANG);
        if (ended == 0) {
            g_usleep(1000);
        }
    }
    return ended == pid && WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

GHashTable *host_groups_read(void)
{
    GHashTable *known = g_hash_table_new_full(NULL, NULL, NULL, g_free);
    const char *why;
    int fds[2], status;
    pid_t pid;

    process_pipe(fds);
    pid = process_fork();
    if (pid == 0) {
        send_all(fds[1]);
    }
    close(fds[1]);
    why = receive_all(fds[0], known);
    status = end_lookup(pid);
    close(fds[0]);
    if (status == TOO_MANY) {
        why = "there are more than " G_STRINGIFY(USERS_MAX);
    } else if (status == NOT_ALL) {
        why = "passwd(5) or another database ends with an error";
    }
    if (why) {
        fatal("--host-groups: cannot read the host's users: %s", why);
    }
    return known;
}
