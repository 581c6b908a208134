/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The receive token: the thread that holds it takes requests off the channel.
 * It keeps the token while it works on a request, so a short request wakes no
 * other thread.
 *
 *     while (recv_token_wait(t, &mine)) {
 *         do {
 *             receive a request
 *             recv_token_work(t);
 *             work on it
 *         } while (recv_token_back(t, mine));
 *     }
 */
#ifndef FSDEV_HELPER_RECV_TOKEN_H
#define FSDEV_HELPER_RECV_TOKEN_H

#include <pthread.h>

typedef struct RecvToken {
    pthread_mutex_t lock;
    pthread_cond_t watch;       /* the stand-by sleeps here */
    pthread_cond_t idle;        /* the other waiting threads sleep here */
    unsigned n_idle;
    bool watched;               /* there is a stand-by */
    bool ticking;               /* it looks every TICK_MS */
    bool held;                  /* a thread has the token */
    bool working;               /* that thread works on a request */
    bool ended;
    uint64_t taken;             /* how often a thread took the token */
    uint64_t works;             /* calls of recv_token_work() */
} RecvToken;

void recv_token_init(RecvToken *t);
void recv_token_destroy(RecvToken *t);

/*
 * Waits for the token and takes it. A waiting thread may watch the one that
 * has it. *@mine is for recv_token_back(). False: the token has ended.
 */
bool recv_token_wait(RecvToken *t, uint64_t *mine);

/*
 * The holder begins to work. If the work takes longer than about two
 * milliseconds, another thread gets the token.
 */
void recv_token_work(RecvToken *t);

/* The work is done. Whether the caller still has the token. */
bool recv_token_back(RecvToken *t, uint64_t mine);

/* The holder gives the token to another thread. */
void recv_token_pass(RecvToken *t);

/* Ends the token: every recv_token_wait() returns false from now on. */
void recv_token_end(RecvToken *t);

#endif /* FSDEV_HELPER_RECV_TOKEN_H */
