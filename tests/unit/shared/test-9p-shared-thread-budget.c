/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Tests of the shares that file systems have in threads that may block.
 */
#include "qemu/osdep.h"
#include "fsdev/shared/thread-budget.h"

#define THREADS     128

/* Takes all that @dev may have. */
static unsigned hang(ThreadBudget *b, uint64_t dev)
{
    unsigned n = 0;

    while (thread_budget_take(b, dev)) {
        n++;
    }
    return n;
}

/* One file system after the other hangs. */
static void test_shares(void)
{
    static const unsigned expected[] = {
        43, 28, 19, 13, 8, 6, 4, 2, 2, 1, 1, 1, 0
    };
    ThreadBudget *b = thread_budget_new(THREADS);
    unsigned dev, i;

    for (dev = 0; dev < G_N_ELEMENTS(expected); dev++) {
        g_assert_cmpuint(hang(b, dev), ==, expected[dev]);
    }
    /* All of them go on. */
    for (dev = 0; dev < G_N_ELEMENTS(expected); dev++) {
        for (i = 0; i < expected[dev]; i++) {
            thread_budget_put(b, dev);
        }
    }
    g_assert_cmpuint(hang(b, 1000), ==, expected[0]);
    for (i = 0; i < expected[0]; i++) {
        thread_budget_put(b, 1000);
    }
    thread_budget_free(b);
}

/* However few threads there are, the first to come gets one. */
static void test_few(void)
{
    unsigned threads;

    for (threads = 1; threads < 8; threads++) {
        ThreadBudget *b = thread_budget_new(threads);
        unsigned first = hang(b, 1);
        unsigned second = hang(b, 2);

        g_assert_cmpuint(first, >, 0);
        g_assert_true(threads == 1 || second > 0);
        while (first--) {
            thread_budget_put(b, 1);
        }
        while (second--) {
            thread_budget_put(b, 2);
        }
        thread_budget_free(b);
    }
}

/* Work that comes to another file system counts there from then on. */
static void test_cross(void)
{
    ThreadBudget *b = thread_budget_new(THREADS);
    unsigned n = 0, before, i;

    g_assert_true(thread_budget_cross(1));      /* no work: no budget */
    for (i = 0; i < THREADS; i++) {
        g_assert_true(thread_budget_take(b, 1));
        thread_budget_begin(b, 1);
        g_assert_true(thread_budget_cross(1));
        if (!thread_budget_cross(2)) {
            break;
        }
        n++;                                    /* hangs there */
    }
    g_assert_cmpuint(n, ==, 43);
    /* The one that was refused is still the first file system's. */
    before = hang(b, 1);
    thread_budget_end();
    g_assert_cmpuint(hang(b, 1), ==, 1);
    for (i = 0; i < before + 1; i++) {
        thread_budget_put(b, 1);
    }
    for (i = 0; i < n; i++) {
        thread_budget_put(b, 2);
    }
    thread_budget_free(b);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/9p/thread-budget/shares", test_shares);
    g_test_add_func("/9p/thread-budget/few", test_few);
    g_test_add_func("/9p/thread-budget/cross", test_cross);
    return g_test_run();
}
