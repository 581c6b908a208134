/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A budget of threads whose work may block in the kernel, for as long as a file
 * server on the host likes. File systems have shares in it, so that one that
 * does not answer never takes the last thread. QEMU's pool (host/pool.c) and
 * the helper's threads (helper/serve.c) each have a budget.
 *
 * A file system is known by its device number (st_dev). All of its mounts have
 * the same, and to read it the kernel asks no server.
 *
 * A file system may take a thread if it has none and one is free, or if it then
 * has at most half as many as were free. So the first one that hangs gets a
 * third of all threads, the next a third of the others, and so on: with 128
 * threads, 43, 28, 19, 13, 8, 6, 4, 2, 2, 1, 1, 1. The work of a file system
 * that answers is over soon, so it finds a thread as long as there is any.
 *
 * All functions are thread-safe, and none of them waits.
 */
#ifndef FSDEV_SHARED_THREAD_BUDGET_H
#define FSDEV_SHARED_THREAD_BUDGET_H

#include "types.h"

typedef struct ThreadBudget ThreadBudget;

ThreadBudget *thread_budget_new(unsigned threads);
/* No thread is taken. */
void thread_budget_free(ThreadBudget *b);

/*
 * @left is called whenever work has come from one file system to another, in
 * its thread: other work on the first one may have a thread now.
 */
void thread_budget_on_cross(ThreadBudget *b, void (*left)(void));

/* Takes a thread for work on @dev. False if @dev has its share. */
bool thread_budget_take(ThreadBudget *b, uint64_t dev);
void thread_budget_put(ThreadBudget *b, uint64_t dev);

/*
 * Around work that a thread was taken for. The work may come from one file
 * system to another: thread_budget_cross() says so before anything asks the
 * server of @dev, and then the thread counts as that one's. False if @dev has
 * its share: the work must end with -EAGAIN. True in all other threads.
 * thread_budget_end() gives the thread back, and returns the file system that
 * the work came to.
 */
void thread_budget_begin(ThreadBudget *b, uint64_t dev);
bool thread_budget_cross(uint64_t dev);
uint64_t thread_budget_end(void);

#endif /* FSDEV_SHARED_THREAD_BUDGET_H */
