/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * One client after another: see session.h.
 *
 * The thread that accepts connections waits for the client's end of the
 * connection to go, which the kernel reports whatever the session's threads do.
 * A session that ends by itself shuts the connection down, which looks the
 * same. The last that a session does is to close(2) what may wait.
 */
#include "qemu/osdep.h"
#include "session.h"
#include "log.h"
#include "unread.h"
#include <poll.h>
#include <sys/socket.h>

/* How long a session may go on after its client until it is left behind */
#define GRACE_MS        100
/* How long the next one waits for room until a line in the log says so */
#define WARN_MS         1000
/* How often it looks at descriptors that earlier clients have not received */
#define LOOK_MS         50

typedef struct Session {
    ServeConfig config;
    int fd;
    bool serves;                /* otherwise it only closes the connection */
    bool done;                  /* all but close(2) */
    bool released;              /* the accepting thread needs fd no more */
} Session;

static GMutex lock;             /* guards the flags, and: */
static GCond changed;
static unsigned n_sessions;
static unsigned sessions_max = SESSIONS_MAX;
static unsigned left_max = SESSIONS_MAX;

/* ServeConfig.before_close */
static void session_done(void *opaque)
{
    Session *s = opaque;

    g_mutex_lock(&lock);
    s->done = true;
    g_cond_broadcast(&changed);
    while (!s->released) {
        g_cond_wait(&changed, &lock);
    }
    g_mutex_unlock(&lock);
}

static void *session_thread(void *opaque)
{
    Session *s = opaque;

    if (s->serves) {
        serve(s->fd, &s->config);
    } else {
        shutdown(s->fd, SHUT_RDWR);
        close(s->fd);
    }
    g_free(s);
    g_mutex_lock(&lock);
    n_sessions--;
    g_cond_broadcast(&changed);
    g_mutex_unlock(&lock);
    return NULL;
}

void session_limit(unsigned most, unsigned left)
{
    sessions_max = most;
    left_max = left;
}

/* How many earlier clients keep the next one waiting; 0: none does. */
static unsigned in_the_way(void)
{
    unsigned left = n_sessions + unread_left();

    return n_sessions >= sessions_max || left >= left_max ? left : 0;
}

static void wait_for_room(void)
{
    int64_t now = g_get_monotonic_time();
    int64_t warn = now + WARN_MS * 1000;
    bool warned = false;
    unsigned n;

    g_mutex_lock(&lock);
    /* A session that has ended still frees its memory. */
    while ((n = in_the_way()) > 0) {
        if (now >= warn && !warned) {
            log_line(LOG_LEVEL_WARNING, "waiting: %u earlier clients left "
                     "requests or descriptors that do not end", n);
            warned = true;
        }
        g_cond_wait_until(&changed, &lock, now + LOOK_MS * 1000);
        now = g_get_monotonic_time();
    }
    n_sessions++;
    g_mutex_unlock(&lock);
}

/*
 * Starts the session's thread. Without one, runs the session to its end and
 * returns false.
 */
static bool start(Session *s)
{
    pthread_attr_t attr;
    pthread_t thread;
    int ret;

    wait_for_room();
    pthread_attr_init(&attr);
    pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
    pthread_attr_setstacksize(&attr, SERVE_STACK_SIZE);
    ret = pthread_create(&thread, &attr, session_thread, s);
    pthread_attr_destroy(&attr);
    if (ret) {
        log_line(LOG_LEVEL_WARNING, "serving without a thread for it: %s",
                 strerror(ret));
        s->released = true;
        session_thread(s);
    }
    return ret == 0;
}

/* Waits until the client has gone, or the session has ended the connection. */
static void wait_for_end(int fd)
{
    struct pollfd pfd = { .fd = fd };

    while (poll(&pfd, 1, -1) < 0 && errno == EINTR) {
        /* again */
    }
}

void session_serve(int fd, const ServeConfig *config)
{
    Session *s = g_new0(Session, 1);
    int64_t until;

    s->config = *config;
    s->config.hello_ms = SESSION_HELLO_MS;
    s->config.process_ends = false;
    s->config.before_close = session_done;
    s->config.opaque = s;
    s->fd = fd;
    s->serves = true;
    if (!start(s)) {
        return;
    }

    wait_for_end(fd);
    until = g_get_monotonic_time() + GRACE_MS * 1000;
    g_mutex_lock(&lock);
    while (!s->done && g_cond_wait_until(&changed, &lock, until)) {
        /* something else changed */
    }
    if (!s->done) {
        log_line(LOG_LEVEL_INFO, "the client has gone; its last requests "
                 "take longer");
    }
    s->released = true;
    g_cond_broadcast(&changed);
    g_mutex_unlock(&lock);
}

void session_refuse(int fd)
{
    Session *s = g_new0(Session, 1);

    s->fd = fd;
    start(s);
}
