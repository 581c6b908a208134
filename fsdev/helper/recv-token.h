/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The turn to receive: which of the threads takes requests off the channel,
 * and keeps doing so while it works on them, so that no other needs to be
 * woken for a short request.
 *
 *     while (turn_wait(t, &mine)) {
 *         do {
 *             receive a request
 *             turn_work(t);
 *             work on it
 *         } while (turn_back(t, mine));
 *     }
 */
#ifndef FSDEV_HELPER_RECV_TOKEN_H
#define FSDEV_HELPER_RECV_TOKEN_H

#include <pthread.h>

typedef struct Turn {
    pthread_mutex_t lock;
    pthread_cond_t watch;       /* the stand-by sleeps here */
    pthread_cond_t idle;        /* and the others here */
    unsigned n_idle;
    bool watched;               /* there is a stand-by */
    bool ticking;               /* which looks every TICK */
    bool held;                  /* some thread has the turn */
    bool working;               /* but does not receive now */
    bool ended;
    uint64_t number;            /* of times it was taken */
    uint64_t works;             /* of calls of turn_work() */
} Turn;

void turn_init(Turn *t);
void turn_destroy(Turn *t);

/*
 * Waits for the turn, and looks after the one that has it meanwhile. *@mine is
 * for turn_back(). False when it has ended.
 */
bool turn_wait(Turn *t, uint64_t *mine);

/*
 * The thread that has the turn begins to work: if that takes longer than about
 * two milliseconds, the turn is given to another thread.
 */
void turn_work(Turn *t);

/* The work is done. Whether the turn is still ours. */
bool turn_back(Turn *t, uint64_t mine);

/* Gives the turn, which is ours, to another thread. */
void turn_pass(Turn *t);

/* Nobody gets it any more. */
void turn_end(Turn *t);

#endif /* FSDEV_HELPER_RECV_TOKEN_H */
