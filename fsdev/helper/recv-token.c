/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The turn to receive: see recv-token.h.
 *
 * Theory of operation. Of the threads that wait for the turn one is the
 * stand-by. While there is traffic it looks at the thread that has the turn
 * every TICK_MS, and when that is at the same work as the last time, takes the
 * turn away: so what comes after a slow request waits for it two ticks at
 * most, and a short one wakes nobody. After QUIET_TICKS without a request it
 * stops looking; the next request wakes it once. An idle helper sleeps.
 *
 * A thread that loses its turn at work finishes the work, and then waits like
 * the others. When all threads are at work there is no stand-by: the first
 * that is done becomes it.
 */
#include "qemu/osdep.h"
#include "recv-token.h"

#define TICK_MS         1
#define QUIET_TICKS     10

void turn_init(Turn *t)
{
    pthread_condattr_t attr;

    *t = (Turn) { .number = 0 };
    pthread_mutex_init(&t->lock, NULL);
    pthread_cond_init(&t->idle, NULL);
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&t->watch, &attr);
    pthread_condattr_destroy(&attr);
}

void turn_destroy(Turn *t)
{
    pthread_cond_destroy(&t->watch);
    pthread_cond_destroy(&t->idle);
    pthread_mutex_destroy(&t->lock);
}

/* Sleeps for a tick, or until it is woken for a free turn. */
static void sleep_tick(Turn *t)
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
        /* woken: is it free? */
    }
}

/* The stand-by: until the turn is free, or made free. */
static void watch_turn(Turn *t)
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

bool turn_wait(Turn *t, uint64_t *mine)
{
    bool ok;

    pthread_mutex_lock(&t->lock);
    while (t->held && !t->ended) {
        if (!t->watched) {
            watch_turn(t);
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
        *mine = ++t->number;
    }
    pthread_mutex_unlock(&t->lock);
    return ok;
}

void turn_work(Turn *t)
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

bool turn_back(Turn *t, uint64_t mine)
{
    bool ours;

    pthread_mutex_lock(&t->lock);
    ours = t->held && t->number == mine;
    if (ours) {
        t->working = false;
    }
    pthread_mutex_unlock(&t->lock);
    return ours;
}

void turn_pass(Turn *t)
{
    pthread_mutex_lock(&t->lock);
    t->held = false;
    /* The stand-by has its own task, and is woken when there is no other. */
    pthread_cond_signal(t->n_idle ? &t->idle : &t->watch);
    pthread_mutex_unlock(&t->lock);
}

void turn_end(Turn *t)
{
    pthread_mutex_lock(&t->lock);
    t->ended = true;
    pthread_cond_broadcast(&t->idle);
    pthread_cond_broadcast(&t->watch);
    pthread_mutex_unlock(&t->lock);
}
