/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The receive token: see recv-token.h.
 *
 * Theory of operation. One of the threads that wait for the token is the
 * stand-by. While there is traffic, it looks at the holder every TICK_MS. If
 * the holder is still at the same work as the last time, the stand-by takes
 * the token away. So requests behind a slow one wait for two ticks at most,
 * and a short one wakes no thread. After QUIET_TICKS without a request the
 * stand-by stops looking, and the next request wakes it once. An idle helper
 * sleeps.
 *
 * A thread that loses the token at work finishes the work, then waits like the
 * others. When all threads are at work there is no stand-by; the first that
 * finishes becomes it.
 */
#include "qemu/osdep.h"
#include "recv-token.h"

#define TICK_MS         1
#define QUIET_TICKS     10

void recv_token_init(RecvToken *t)
{
    pthread_condattr_t attr;

    *t = (RecvToken) { .taken = 0 };
    pthread_mutex_init(&t->lock, NULL);
    pthread_cond_init(&t->idle, NULL);
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&t->watch, &attr);
    pthread_condattr_destroy(&attr);
}

void recv_token_destroy(RecvToken *t)
{
    pthread_cond_destroy(&t->watch);
    pthread_cond_destroy(&t->idle);
    pthread_mutex_destroy(&t->lock);
}

/* Sleeps for a tick, or until the token is free. */
static void sleep_tick(RecvToken *t)
{
    struct timespec until;

    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_nsec += TICK_MS * 1000000;
    if (until.tv_nsec >= 1000000000) {
        until.tv_nsec -= 1000000000;
        until.tv_sec++;
    }
    while (t->held && !t->ended &&
           pthread_cond_timedwait(&t->watch, &t->lock, &until) == 0) {
        /* woken, but another thread may have taken it */
    }
}

/* The stand-by: returns once the token is free, or takes it away. */
static void watch_holder(RecvToken *t)
{
    uint64_t seen = t->works;
    unsigned quiet = 0;

    t->watched = true;
    while (t->held && !t->ended) {
        if (!t->ticking) {
            pthread_cond_wait(&t->watch, &t->lock);
            seen = t->works;
            quiet = 0;
            continue;
        }
        sleep_tick(t);
        if (!t->held || t->ended) {
            break;
        } else if (t->works != seen) {
            quiet = 0;
        } else if (t->working) {
            t->held = false;
        } else if (++quiet == QUIET_TICKS) {
            t->ticking = false;
        }
        seen = t->works;
    }
    t->watched = false;
    if (t->n_idle) {
        pthread_cond_signal(&t->idle);
    }
}

bool recv_token_wait(RecvToken *t, uint64_t *mine)
{
    bool ok;

    pthread_mutex_lock(&t->lock);
    while (t->held && !t->ended) {
        if (!t->watched) {
            watch_holder(t);
        } else {
            t->n_idle++;
            pthread_cond_wait(&t->idle, &t->lock);
            t->n_idle--;
        }
    }
    ok = !t->ended;
    if (ok) {
        t->held = true;
        t->working = false;
        *mine = ++t->taken;
    }
    pthread_mutex_unlock(&t->lock);
    return ok;
}

void recv_token_work(RecvToken *t)
{
    pthread_mutex_lock(&t->lock);
    t->working = true;
    t->works++;
    if (!t->ticking) {
        t->ticking = true;
        pthread_cond_signal(&t->watch);
    }
    pthread_mutex_unlock(&t->lock);
}

bool recv_token_back(RecvToken *t, uint64_t mine)
{
    bool ours;

    pthread_mutex_lock(&t->lock);
    ours = t->held && t->taken == mine;
    if (ours) {
        t->working = false;
    }
    pthread_mutex_unlock(&t->lock);
    return ours;
}

void recv_token_pass(RecvToken *t)
{
    pthread_mutex_lock(&t->lock);
    t->held = false;
    /* Wakes the stand-by only if no other thread waits: it has to watch. */
    pthread_cond_signal(t->n_idle ? &t->idle : &t->watch);
    pthread_mutex_unlock(&t->lock);
}

void recv_token_end(RecvToken *t)
{
    pthread_mutex_lock(&t->lock);
    t->ended = true;
    pthread_cond_broadcast(&t->idle);
    pthread_cond_broadcast(&t->watch);
    pthread_mutex_unlock(&t->lock);
}
