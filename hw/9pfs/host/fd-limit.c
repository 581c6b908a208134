/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The process's limits of descriptors and of the size of files: see fd-limit.h.
 *
 * The kernel hands out the lowest free number. So a number near the limit says
 * that the process has nearly as many descriptors, whatever they are for, and
 * then the limit doubles. The first step leaves room for the descriptors of all
 * replies that a helper may send at once.
 *
 * select(2) cannot handle numbers from FD_SETSIZE on, and libraries in this
 * process may use it. So exports leave half of the low numbers to others:
 * descriptors of nodes, which can be many, move above FD_SETSIZE. Those of open
 * files cannot, because to close one of two descriptors may wait for a file
 * server (FUSE is asked to flush).
 *
 * QEMU's start may have raised the limit to the hard one already
 * (os_setup_limits()). Then there is nothing to raise, and exports only keep to
 * what they may use.
 *
 * Children get the limit that the program started with, in a handler that
 * fork(2) runs. GLib forks, too, unless a caller asks it to leave descriptors
 * open. vfork(2) and posix_spawn(3) do not run the handler.
 */
#include "qemu/osdep.h"
#include <pthread.h>
#include <sys/resource.h>
#include <sys/select.h>
#include "qemu/atomic.h"
#include "fd-limit.h"

/* Without limits of open files, at least this many are possible */
#define FIRST_STEP      4096

static GMutex lock;

static struct {
    /* Main thread's */
    unsigned exports;
    unsigned unlimited;         /* those of them that have no limit of files */
    uint64_t files;             /* the sum of the others' limits */
    bool has_handlers;

    /* Under the lock, or atomic */
    rlim_t old;                 /* the soft limit before the raise */
    rlim_t raised;              /* what it was set to; 0: it was not */
    unsigned most;
    int step_at;                /* the number that leads to another step */
} limit;

/* As this program got it */
static struct rlimit at_start;

static void __attribute__((constructor)) remember_start(void)
{
    if (getrlimit(RLIMIT_NOFILE, &at_start) < 0) {
        at_start.rlim_cur = 0;
    }
}

/*
 * In a child: takes back what this program has done, here or at its start, and
 * leaves what other programs have set.
 */
static void child_forked(void)
{
    struct rlimit now;

    if (at_start.rlim_cur && getrlimit(RLIMIT_NOFILE, &now) == 0 &&
        now.rlim_cur > at_start.rlim_cur &&
        (now.rlim_cur == limit.raised || now.rlim_cur == now.rlim_max)) {
        now.rlim_cur = at_start.rlim_cur;
        setrlimit(RLIMIT_NOFILE, &now);
    }
}

static void file_too_large(int sig)
{
}

/*
 * A write beyond RLIMIT_FSIZE shall fail with EFBIG, and not end QEMU. As this
 * is a handler, children have the default again after they exec.
 */
static void catch_file_size(void)
{
    struct sigaction now, act = { .sa_handler = file_too_large,
                                  .sa_flags = SA_RESTART };

    if (sigaction(SIGXFSZ, NULL, &now) == 0 && !(now.sa_flags & SA_SIGINFO) &&
        now.sa_handler == SIG_DFL) {
        sigaction(SIGXFSZ, &act, NULL);
    }
}

static bool get_limit(struct rlimit *now)
{
    return getrlimit(RLIMIT_NOFILE, now) == 0;
}

/* Remembers when to go on. With the lock */
static void next_step(rlim_t now)
{
    int at = now < limit.most ? (int)(now - now / 4) : INT_MAX;

    qatomic_set(&limit.step_at, at);
}

/* With the lock */
static bool set_soft(struct rlimit *now, rlim_t soft)
{
    rlim_t before = now->rlim_cur;

    now->rlim_cur = soft;
    if (setrlimit(RLIMIT_NOFILE, now) < 0) {
        now->rlim_cur = before;
        return false;
    }
    if (!limit.raised) {
        limit.old = before;
    }
    limit.raised = soft;
    return true;
}

bool host_limit_raise(void)
{
    struct rlimit now;
    rlim_t soft;
    bool ok = false;

    g_mutex_lock(&lock);
    if (get_limit(&now) && now.rlim_cur < limit.most) {
        soft = MIN(limit.most, MAX(now.rlim_cur * 2, FIRST_STEP));
        ok = set_soft(&now, soft);
        if (ok) {
            next_step(soft);
        } else {
            qatomic_set(&limit.step_at, INT_MAX);
        }
    }
    g_mutex_unlock(&lock);
    return ok;
}

void host_limit_seen(int fd)
{
    if (fd >= qatomic_read(&limit.step_at)) {
        host_limit_raise();
    }
}

/*
 * The most that exports may need: the first step, and for each file that may be
 * open two descriptors, one of the file and one of its node, of which three
 * quarters of the limit are (fd-budget.c).
 */
static void set_most(void)
{
    struct rlimit now;
    uint64_t want;

    g_mutex_lock(&lock);
    if (!get_limit(&now)) {
        now.rlim_cur = now.rlim_max = 512;
    }
    want = limit.unlimited ? UINT64_MAX : FIRST_STEP + limit.files * 8 / 3;
    qatomic_set(&limit.most, MIN(MIN(want, now.rlim_max), INT_MAX));
    /* Unless other code has changed it: there may be fewer exports now. */
    if (limit.raised && now.rlim_cur == limit.raised &&
        (!limit.exports || now.rlim_cur > MAX(limit.most, limit.old))) {
        set_soft(&now, limit.exports ? MAX(limit.most, limit.old)
                                     : limit.old);
    }
    if (!limit.exports) {
        limit.raised = 0;
    }
    next_step(now.rlim_cur);
    g_mutex_unlock(&lock);
}

void host_limit_add(uint32_t files)
{
    struct rlimit now;

    if (!limit.has_handlers) {
        limit.has_handlers = true;
        pthread_atfork(NULL, NULL, child_forked);
        catch_file_size();
    }
    limit.exports++;
    limit.unlimited += files == 0;
    limit.files += files;
    set_most();
    if (get_limit(&now) && now.rlim_cur < FIRST_STEP) {
        host_limit_raise();
    }
}

void host_limit_remove(uint32_t files)
{
    limit.exports--;
    limit.unlimited -= files == 0;
    limit.files -= files;
    set_most();
}

unsigned host_limit_most(void)
{
    return qatomic_read(&limit.most);
}

int host_limit_place(int fd)
{
    int high;

    if (fd < FD_SETSIZE / 2 || fd >= FD_SETSIZE) {
        return fd;
    }
    high = fcntl(fd, F_DUPFD_CLOEXEC, FD_SETSIZE);
    if (high < 0) {
        return fd;
    }
    close(fd);
    return high;
}
