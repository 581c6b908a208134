/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Closing the files that the helper opened for QEMU: see to-close.h.
 */
#include "qemu/osdep.h"
#include "qemu/atomic.h"
#include "to-close.h"
#include <pthread.h>

typedef struct Waiting {
    int fd;
    uint64_t dev;
} Waiting;

struct ToClose {
    ThreadBudget *budget;
    pthread_mutex_t lock;       /* guards the rest; held only to look */
    unsigned free;              /* places */
    unsigned n;                 /* may be read without the lock: atomic */
    Waiting files[];
};

ToClose *to_close_new(ThreadBudget *budget, unsigned places)
{
    ToClose *t = g_malloc0(sizeof(*t) + places * sizeof(t->files[0]));

    t->budget = budget;
    t->free = places;
    pthread_mutex_init(&t->lock, NULL);
    return t;
}

void to_close_free(ToClose *t)
{
    pthread_mutex_destroy(&t->lock);
    g_free(t);
}

bool to_close_reserve(ToClose *t)
{
    bool ok;

    pthread_mutex_lock(&t->lock);
    ok = t->free > 0;
    t->free -= ok;
    pthread_mutex_unlock(&t->lock);
    return ok;
}

void to_close_unreserve(ToClose *t)
{
    pthread_mutex_lock(&t->lock);
    t->free++;
    pthread_mutex_unlock(&t->lock);
}

/* With a thread of the budget */
static void close_now(ToClose *t, int fd, uint64_t dev)
{
    close(fd);
    thread_budget_put(t->budget, dev);
    to_close_unreserve(t);
}

void to_close_file(ToClose *t, int fd, uint64_t dev)
{
    if (thread_budget_take(t->budget, dev)) {
        close_now(t, fd, dev);
        return;
    }
    pthread_mutex_lock(&t->lock);
    t->files[t->n] = (Waiting) { fd, dev };
    qatomic_set(&t->n, t->n + 1);
    pthread_mutex_unlock(&t->lock);
}

/* Takes a file that waits, and a thread of the budget for it. -1: none now */
static int take_one(ToClose *t, uint64_t *dev)
{
    unsigned i;
    int fd = -1;

    pthread_mutex_lock(&t->lock);
    for (i = 0; i < t->n && fd < 0; i++) {
        if (thread_budget_take(t->budget, t->files[i].dev)) {
            fd = t->files[i].fd;
            *dev = t->files[i].dev;
            qatomic_set(&t->n, t->n - 1);
            t->files[i] = t->files[t->n];
        }
    }
    pthread_mutex_unlock(&t->lock);
    return fd;
}

void to_close_waiting(ToClose *t)
{
    uint64_t dev = 0;
    int fd;

    while (qatomic_read(&t->n) && (fd = take_one(t, &dev)) >= 0) {
        close_now(t, fd, dev);
    }
}

unsigned to_close_count(ToClose *t)
{
    return qatomic_read(&t->n);
}
