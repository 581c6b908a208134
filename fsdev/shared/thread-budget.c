/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A budget of threads that may block: see thread-budget.h.
 *
 * Each file system that has threads has an entry in a short table. There are
 * never more entries than threads.
 */
#include "qemu/osdep.h"
#include "thread-budget.h"
#include <pthread.h>

typedef struct Share {
    uint64_t dev;
    unsigned held;
} Share;

struct ThreadBudget {
    pthread_mutex_t lock;       /* held only to count */
    void (*left)(void);         /* or NULL */
    unsigned free;
    unsigned n;
    Share shares[];             /* as many as threads */
};

/* The work of this thread */
static __thread struct {
    ThreadBudget *budget;       /* NULL: none that a budget knows of */
    uint64_t dev;
} current;

ThreadBudget *thread_budget_new(unsigned threads)
{
    ThreadBudget *b = g_malloc0(sizeof(*b) + threads * sizeof(b->shares[0]));

    pthread_mutex_init(&b->lock, NULL);
    b->free = threads;
    return b;
}

void thread_budget_on_cross(ThreadBudget *b, void (*left)(void))
{
    b->left = left;
}

void thread_budget_free(ThreadBudget *b)
{
    pthread_mutex_destroy(&b->lock);
    g_free(b);
}

static Share *find(ThreadBudget *b, uint64_t dev)
{
    unsigned i;

    for (i = 0; i < b->n; i++) {
        if (b->shares[i].dev == dev) {
            return &b->shares[i];
        }
    }
    return NULL;
}

/* Whether another thread is within the share of @dev */
static bool may_take(ThreadBudget *b, uint64_t dev)
{
    const Share *share = find(b, dev);

    return b->free && (!share || 2 * (share->held + 1) <= b->free);
}

static void take_locked(ThreadBudget *b, uint64_t dev)
{
    Share *share = find(b, dev);

    if (!share) {
        share = &b->shares[b->n++];
        *share = (Share) { .dev = dev };
    }
    share->held++;
    b->free--;
}

static void put_locked(ThreadBudget *b, uint64_t dev)
{
    Share *share = find(b, dev);

    b->free++;
    if (--share->held == 0) {
        *share = b->shares[--b->n];
    }
}

bool thread_budget_take(ThreadBudget *b, uint64_t dev)
{
    bool ok;

    pthread_mutex_lock(&b->lock);
    ok = may_take(b, dev);
    if (ok) {
        take_locked(b, dev);
    }
    pthread_mutex_unlock(&b->lock);
    return ok;
}

void thread_budget_put(ThreadBudget *b, uint64_t dev)
{
    pthread_mutex_lock(&b->lock);
    put_locked(b, dev);
    pthread_mutex_unlock(&b->lock);
}

void thread_budget_begin(ThreadBudget *b, uint64_t dev)
{
    current.budget = b;
    current.dev = dev;
}

bool thread_budget_cross(uint64_t dev)
{
    ThreadBudget *b = current.budget;
    bool ok = true;

    if (b && dev != current.dev) {
        pthread_mutex_lock(&b->lock);
        put_locked(b, current.dev);
        ok = may_take(b, dev);
        if (ok) {
            current.dev = dev;
        }
        take_locked(b, current.dev);
        pthread_mutex_unlock(&b->lock);
        if (ok && b->left) {
            b->left();
        }
    }
    return ok;
}

uint64_t thread_budget_end(void)
{
    thread_budget_put(current.budget, current.dev);
    current.budget = NULL;
    return current.dev;
}
