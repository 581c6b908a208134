/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Jobs: driver operations that no request asks for, many at once, within a
 * bound of time. Saving and loading a session needs them.
 */
#ifndef HW_9PFS_SERVER_JOBS_H
#define HW_9PFS_SERVER_JOBS_H

#include "internal.h"

typedef struct P9Jobs P9Jobs;

/*
 * One job. The user of a row of jobs embeds it in its own structure, and gives
 * references to all that run needs. All of these run in the export's thread.
 */
typedef struct P9Job {
    /* Calls the driver: 0 or -errno */
    int coroutine_fn (*run)(struct P9Job *job);
    /* Frees the job; it has ended. */
    void (*free)(struct P9Job *job);
    FsCall call;
    /* Of jobs.c alone */
    P9Server *s;
    P9Jobs *jobs;               /* NULL: given up on */
    QLIST_ENTRY(P9Job) next;
} P9Job;

/* A row of jobs: its user sets the first members and leaves the others 0. */
struct P9Jobs {
    P9Server *s;
    /* Makes the next job, or returns NULL after the last. */
    P9Job *(*next)(P9Jobs *jobs);
    /*
     * The job has ended with @ret, and is freed after this. -ETIMEDOUT: it did
     * not end in time, or not begin. It may still run, and is freed when it
     * ends then; done must take nothing from it that run may give it.
     */
    void (*done)(P9Jobs *jobs, P9Job *job, int ret);
    /* Of jobs.c alone */
    int64_t deadline;
    unsigned workers;
    QLIST_HEAD(, P9Job) running;
};

/* A deadline @seconds from now */
int64_t p9_jobs_deadline(unsigned seconds);

/* p9_requests_wait() until @deadline, but for a second at least */
bool coroutine_mixed_fn p9_jobs_wait(P9Server *s, const unsigned *count,
                                     int64_t deadline);

/*
 * Runs all jobs, some at a time, and returns when done was called for each. It
 * may return a second after @deadline. Main thread.
 */
void coroutine_mixed_fn p9_jobs_run(P9Jobs *jobs, int64_t deadline);

#endif /* HW_9PFS_SERVER_JOBS_H */
