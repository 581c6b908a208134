/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Tests of the helper's receive token (fsdev/helper/recv-token.h) on its own:
 * one holder at a time, and when the token moves on.
 *
 * No test depends on the machine being quick: a wait for an event has a bound
 * far above the milliseconds that the event takes, and the absence of an event
 * is checked for a short time only.
 */
#include "qemu/osdep.h"
#include "qemu/atomic.h"
#include "fsdev/helper/recv-token.h"

/* Longer than any event takes, microseconds */
#define PATIENCE_US     (60 * G_USEC_PER_SEC)
/* Many ticks of the stand-by */
#define A_WHILE_US      50000

/* A thread that waits for the token */
typedef struct Waiter {
    RecvToken *token;
    GThread *thread;
    uint64_t mine;
    bool got;                   /* as recv_token_wait() returned */
    int done;                   /* it returned; atomic */
} Waiter;

static gpointer wait_thread(gpointer opaque)
{
    Waiter *w = opaque;

    w->got = recv_token_wait(w->token, &w->mine);
    qatomic_set(&w->done, 1);
    return NULL;
}

static void start_waiter(Waiter *w, RecvToken *t)
{
    *w = (Waiter) { .token = t };
    w->thread = g_thread_new("waiter", wait_thread, w);
}

static void expect_done(Waiter *w, bool got)
{
    gint64 end = g_get_monotonic_time() + PATIENCE_US;

    while (!qatomic_read(&w->done)) {
        g_assert_cmpint(g_get_monotonic_time(), <, end);
        g_usleep(1000);
    }
    g_thread_join(w->thread);
    g_assert_cmpint(w->got, ==, got);
}

/* Waits until a stand-by watches the holder. */
static void wait_watched(RecvToken *t)
{
    gint64 end = g_get_monotonic_time() + PATIENCE_US;
    bool watched;

    do {
        pthread_mutex_lock(&t->lock);
        watched = t->watched;
        pthread_mutex_unlock(&t->lock);
        g_assert_cmpint(g_get_monotonic_time(), <, end);
        g_usleep(1000);
    } while (!watched);
}

static bool is_ticking(RecvToken *t)
{
    bool ticking;

    pthread_mutex_lock(&t->lock);
    ticking = t->ticking;
    pthread_mutex_unlock(&t->lock);
    return ticking;
}

/* With no other thread, the token stays. */
static void test_alone(void)
{
    RecvToken t;
    uint64_t mine;
    unsigned i;

    recv_token_init(&t);
    g_assert_true(recv_token_wait(&t, &mine));
    for (i = 0; i < 3; i++) {
        recv_token_work(&t);
        g_usleep(5000);
        g_assert_true(recv_token_back(&t, mine));
    }
    recv_token_destroy(&t);
}

/* A holder that works for long loses the token, and takes it again later. */
static void test_taken_away(void)
{
    RecvToken t;
    uint64_t mine, again;
    Waiter w, back;

    recv_token_init(&t);
    g_assert_true(recv_token_wait(&t, &mine));
    start_waiter(&w, &t);
    recv_token_work(&t);
    expect_done(&w, true);
    g_assert_false(recv_token_back(&t, mine));
    g_assert_true(recv_token_back(&t, w.mine));

    start_waiter(&back, &t);
    recv_token_pass(&t);
    expect_done(&back, true);
    again = back.mine;
    g_assert_cmpuint(again, !=, mine);
    g_assert_false(recv_token_back(&t, w.mine));
    g_assert_true(recv_token_back(&t, again));
    recv_token_destroy(&t);
}

/* A holder that receives keeps the token, however long that takes. */
static void test_receiving(void)
{
    RecvToken t;
    uint64_t mine;
    Waiter w;

    recv_token_init(&t);
    g_assert_true(recv_token_wait(&t, &mine));
    start_waiter(&w, &t);
    wait_watched(&t);
    g_usleep(A_WHILE_US);
    g_assert_false(qatomic_read(&w.done));

    recv_token_end(&t);
    expect_done(&w, false);
    recv_token_destroy(&t);
}

static void test_pass(void)
{
    RecvToken t;
    uint64_t mine;
    Waiter a, b;

    recv_token_init(&t);
    g_assert_true(recv_token_wait(&t, &mine));
    start_waiter(&a, &t);
    wait_watched(&t);
    recv_token_pass(&t);
    g_assert_false(recv_token_back(&t, mine));
    expect_done(&a, true);

    /* With two waiting, one gets it. */
    start_waiter(&a, &t);
    start_waiter(&b, &t);
    wait_watched(&t);
    recv_token_pass(&t);
    while (!qatomic_read(&a.done) && !qatomic_read(&b.done)) {
        g_usleep(1000);
    }
    g_usleep(A_WHILE_US);
    g_assert_false(qatomic_read(&a.done) && qatomic_read(&b.done));
    recv_token_pass(&t);
    expect_done(&a, true);
    expect_done(&b, true);
    recv_token_destroy(&t);
}

static void test_end(void)
{
    Waiter w[3];
    RecvToken t;
    uint64_t mine;
    unsigned i;

    recv_token_init(&t);
    g_assert_true(recv_token_wait(&t, &mine));
    for (i = 0; i < G_N_ELEMENTS(w); i++) {
        start_waiter(&w[i], &t);
    }
    wait_watched(&t);
    recv_token_end(&t);
    for (i = 0; i < G_N_ELEMENTS(w); i++) {
        expect_done(&w[i], false);
    }
    g_assert_false(recv_token_wait(&t, &mine));
    recv_token_destroy(&t);
}

/* Without requests the stand-by stops ticking; the next one wakes it. */
static void test_quiet(void)
{
    gint64 end = g_get_monotonic_time() + PATIENCE_US;
    RecvToken t;
    uint64_t mine;
    Waiter w;

    recv_token_init(&t);
    g_assert_true(recv_token_wait(&t, &mine));
    start_waiter(&w, &t);
    wait_watched(&t);
    g_assert_false(is_ticking(&t));
    recv_token_work(&t);
    if (recv_token_back(&t, mine)) {
        while (is_ticking(&t)) {
            g_assert_cmpint(g_get_monotonic_time(), <, end);
            g_usleep(1000);
        }
        g_assert_false(qatomic_read(&w.done));
        recv_token_work(&t);
    }
    expect_done(&w, true);
    g_assert_false(recv_token_back(&t, mine));
    recv_token_destroy(&t);
}

/* Threads that serve as the helper's do, with work of different lengths */
typedef struct Service {
    RecvToken token;
    int receiving;              /* threads between wait or back, and work */
    int left;                   /* requests to come; atomic */
} Service;

static gpointer serve_thread(gpointer opaque)
{
    Service *s = opaque;
    uint64_t mine;
    int left;

    while (recv_token_wait(&s->token, &mine)) {
        do {
            g_assert_cmpint(qatomic_fetch_inc(&s->receiving), ==, 0);
            left = --s->left;
            g_assert_cmpint(qatomic_fetch_dec(&s->receiving), ==, 1);
            if (left <= 0) {
                recv_token_end(&s->token);
                return NULL;
            }
            if (left % 7 == 0) {
                recv_token_pass(&s->token);
                break;
            }
            recv_token_work(&s->token);
            if (left % 50 == 0) {
                g_usleep(4000);
            }
        } while (recv_token_back(&s->token, mine));
    }
    return NULL;
}

static void test_one_holder(void)
{
    Service s = { .left = 5000 };
    GThread *threads[4];
    unsigned i;

    recv_token_init(&s.token);
    for (i = 0; i < G_N_ELEMENTS(threads); i++) {
        threads[i] = g_thread_new("serve", serve_thread, &s);
    }
    for (i = 0; i < G_N_ELEMENTS(threads); i++) {
        g_thread_join(threads[i]);
    }
    g_assert_cmpint(s.left, ==, 0);
    recv_token_destroy(&s.token);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    alarm(300);                 /* the program takes seconds */
    g_test_add_func("/9p/helper/recv-token/alone", test_alone);
    g_test_add_func("/9p/helper/recv-token/taken-away", test_taken_away);
    g_test_add_func("/9p/helper/recv-token/receiving", test_receiving);
    g_test_add_func("/9p/helper/recv-token/pass", test_pass);
    g_test_add_func("/9p/helper/recv-token/end", test_end);
    g_test_add_func("/9p/helper/recv-token/quiet", test_quiet);
    g_test_add_func("/9p/helper/recv-token/one-holder", test_one_holder);
    return g_test_run();
}
