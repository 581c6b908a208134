/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Jobs: see jobs.h.
 *
 * A few coroutines, the workers, take one job after the other. The main thread
 * waits until the last worker has ended. After the deadline it cancels the jobs
 * that still run, and a second later gives up on them, as a reset does with
 * requests: their coroutines stay until the kernel returns, and the server
 * stays with them (P9Server.detached).
 */
#include "qemu/osdep.h"
#include "qemu/main-loop.h"
#include "qemu/timer.h"
#include "block/aio-wait.h"
#include "end.h"
#include "jobs.h"
#include "request.h"
#include "hw/9pfs/fs/context.h"

#define WORKERS_MAX         64

/* How long jobs may take to end after they were cancelled */
#define CANCEL_PATIENCE_S   1

int64_t p9_jobs_deadline(unsigned seconds)
{
    return qemu_clock_get_ns(QEMU_CLOCK_REALTIME) +
           seconds * NANOSECONDS_PER_SECOND;
}

static bool jobs_late(const P9Jobs *jobs)
{
    return qemu_clock_get_ns(QEMU_CLOCK_REALTIME) >= jobs->deadline;
}

static void worker_end(P9Jobs *jobs)
{
    qatomic_set(&jobs->workers, jobs->workers - 1);
    aio_wait_kick();
}

/* Runs @job. Returns false if it was given up on meanwhile. */
static bool coroutine_fn worker_step(P9Jobs *jobs, P9Job *job)
{
    int ret = -ETIMEDOUT;

    job->s = jobs->s;
    job->jobs = jobs;
    QLIST_INSERT_HEAD(&jobs->running, job, next);
    if (!jobs_late(jobs)) {
        fs_call_begin(&job->call);
        ret = job->run(job);
        fs_call_end(&job->call);
    }
    if (!job->jobs) {
        P9Server *s = job->s;

        job->free(job);
        p9_server_late(s);
        return false;
    }
    QLIST_REMOVE(job, next);
    jobs->done(jobs, job, ret == -EINTR ? -ETIMEDOUT : ret);
    job->free(job);
    return true;
}

static void coroutine_fn worker_co(void *opaque)
{
    P9Jobs *jobs = opaque;
    P9Job *job;

    while ((job = jobs->next(jobs))) {
        if (!worker_step(jobs, job)) {
            return;
        }
    }
    worker_end(jobs);
}

static void jobs_begin(void *opaque)
{
    P9Jobs *jobs = opaque;
    unsigned i;

    /* One more holds the row until all have begun. */
    jobs->workers = WORKERS_MAX + 1;
    for (i = 0; i < WORKERS_MAX; i++) {
        qemu_coroutine_enter(qemu_coroutine_create(worker_co, jobs));
    }
    worker_end(jobs);
}

static void jobs_cancel(void *opaque)
{
    P9Jobs *jobs = opaque;
    P9Job *job;

    /* A job that ends changes the list: look from the start each time. */
    do {
        QLIST_FOREACH(job, &jobs->running, next) {
            if (!job->call.cancelled) {
                fs_call_cancel(&job->call);
                break;
            }
        }
    } while (job);
}

static void jobs_give_up(void *opaque)
{
    P9Jobs *jobs = opaque;
    P9Job *job;

    while ((job = QLIST_FIRST(&jobs->running))) {
        if (fs_call_abandon(&job->call) && QLIST_FIRST(&jobs->running) != job) {
            continue;
        }
        QLIST_REMOVE(job, next);
        job->jobs = NULL;
        jobs->s->detached++;
        jobs->done(jobs, job, -ETIMEDOUT);
        worker_end(jobs);
    }
}

/* All workers have ended; there are jobs left if they all were given up on. */
static void jobs_end(void *opaque)
{
    P9Jobs *jobs = opaque;
    P9Job *job;

    while ((job = jobs->next(jobs))) {
        jobs->done(jobs, job, -ETIMEDOUT);
        job->free(job);
    }
}

bool coroutine_mixed_fn p9_jobs_wait(P9Server *s, const unsigned *count,
                                     int64_t deadline)
{
    int64_t left = deadline - qemu_clock_get_ns(QEMU_CLOCK_REALTIME);

    return p9_requests_wait(s, count, MAX(DIV_ROUND_UP(left,
                                                       NANOSECONDS_PER_SECOND),
                                          1));
}

void coroutine_mixed_fn p9_jobs_run(P9Jobs *jobs, int64_t deadline)
{
    P9Server *s = jobs->s;

    jobs->deadline = deadline;
    QLIST_INIT(&jobs->running);
    fs_context_run(s->ctx, jobs_begin, jobs);
    if (!p9_jobs_wait(s, &jobs->workers, deadline)) {
        fs_context_run(s->ctx, jobs_cancel, jobs);
    }
    if (!p9_requests_wait(s, &jobs->workers, CANCEL_PATIENCE_S)) {
        fs_context_run(s->ctx, jobs_give_up, jobs);
    }
    p9_requests_wait(s, &jobs->workers, 0);
    /* The last worker may still run in the context: this comes after it. */
    fs_context_run(s->ctx, jobs_end, jobs);
}
