/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Threads that do jobs: see crew.h.
 *
 * One list has all jobs that have not ended, in order. Threads take the first
 * one that nobody has taken. The list is short, and nobody takes a job while
 * too much output waits for a slow one before it.
 */
#include "qemu/osdep.h"
#include "crew.h"

/* Jobs, and their size, for which no more are taken */
#define JOBS_PER_THREAD 16
#define SIZE_MAX_WAITING (1024 * 1024)

struct Crew {
    GMutex lock;
    GCond more;                 /* there is a job to take, or the end */
    GCond fewer;                /* one is done */
    CrewJob *first;
    CrewJob **last;
    CrewJob *ready;             /* the first that nobody has taken, or NULL */
    unsigned n;
    unsigned max;
    size_t size;
    bool ending;
    MappedOutput *here;         /* of the thread that gives jobs */
    GThread **thread;
    unsigned n_threads;
};

/* Takes a job and does it; false if there is none to take. With the lock. */
static bool do_one(Crew *crew, MappedOutput *mine)
{
    CrewJob *job = crew->ready;

    if (!job || (crew->size > SIZE_MAX_WAITING && job != crew->first)) {
        return false;
    }
    crew->ready = job->next;
    g_mutex_unlock(&crew->lock);
    if (job->run) {
        mapped_output_to(job->out);
        job->run(job);
        mapped_output_to(mine);
    }
    g_mutex_lock(&crew->lock);
    crew->size -= job->size;
    job->size = MAX(job->size, mapped_output_size(job->out));
    crew->size += job->size;
    job->done = true;
    if (job == crew->first) {
        g_cond_signal(&crew->fewer);
    }
    return true;
}

static void *work(void *opaque)
{
    Crew *crew = opaque;

    g_mutex_lock(&crew->lock);
    while (!crew->ending) {
        if (!do_one(crew, NULL)) {
            g_cond_wait(&crew->more, &crew->lock);
        }
    }
    g_mutex_unlock(&crew->lock);
    return NULL;
}

/* Ends jobs that are done, as long as there is none before. With the lock. */
static void end_some(Crew *crew)
{
    while (crew->first && crew->first->done) {
        CrewJob *job = crew->first;

        crew->first = job->next;
        if (!crew->first) {
            crew->last = &crew->first;
        }
        crew->n--;
        crew->size -= job->size;
        /* There may be room now, and its next one is the first. */
        g_cond_broadcast(&crew->more);
        g_mutex_unlock(&crew->lock);
        mapped_output_to(NULL);
        job->end(job);
        mapped_output_to(crew->here);
        g_mutex_lock(&crew->lock);
    }
}

static void append(Crew *crew, CrewJob *job)
{
    job->next = NULL;
    *crew->last = job;
    crew->last = &job->next;
    crew->n++;
    crew->size += job->size;
    if (!crew->ready) {
        crew->ready = job;
    }
    g_cond_signal(&crew->more);
}

/* Waits, and helps, until only @n jobs are left. With the lock. */
static void wait_for(Crew *crew, unsigned n)
{
    end_some(crew);
    while (crew->n > n || (crew->n && crew->size > SIZE_MAX_WAITING)) {
        if (!do_one(crew, crew->here) && !crew->first->done) {
            g_cond_wait(&crew->fewer, &crew->lock);
        }
        end_some(crew);
    }
}

static void end_print(CrewJob *job)
{
    mapped_output_put(job->out, NULL, NULL);
    mapped_crew_job_clear(job);
    g_free(job);
}

/* What was printed here comes after the jobs before. With the lock. */
static void append_printed(Crew *crew)
{
    size_t size = mapped_output_size(crew->here);
    CrewJob *job;

    if (!size) {
        return;
    }
    job = g_new0(CrewJob, 1);
    job->end = end_print;
    job->size = size;
    job->out = crew->here;
    crew->here = mapped_output_new();
    mapped_output_to(crew->here);
    append(crew, job);
}

Crew *mapped_crew_new(unsigned threads)
{
    Crew *crew = g_new0(Crew, 1);
    unsigned i;

    g_mutex_init(&crew->lock);
    g_cond_init(&crew->more);
    g_cond_init(&crew->fewer);
    crew->last = &crew->first;
    crew->max = threads * JOBS_PER_THREAD;
    crew->here = mapped_output_new();
    mapped_output_to(crew->here);
    crew->thread = g_new(GThread *, threads);
    /* With fewer threads than that it works, too. */
    for (i = 1; i < threads; i++) {
        GThread *t = g_thread_try_new(NULL, work, crew, NULL);

        if (t) {
            crew->thread[crew->n_threads++] = t;
        }
    }
    return crew;
}

static void add(Crew *crew, CrewJob *job)
{
    g_mutex_lock(&crew->lock);
    append_printed(crew);
    if (job) {
        append(crew, job);
    }
    if (crew->n >= crew->max || crew->size > SIZE_MAX_WAITING) {
        wait_for(crew, crew->max / 2);
    }
    g_mutex_unlock(&crew->lock);
}

void mapped_crew_add(Crew *crew, CrewJob *job)
{
    job->out = mapped_output_new();
    job->done = false;
    add(crew, job);
}

void mapped_crew_poll(Crew *crew)
{
    if (mapped_output_size(crew->here)) {
        add(crew, NULL);
    }
}

void mapped_crew_free(Crew *crew)
{
    unsigned i;

    g_mutex_lock(&crew->lock);
    append_printed(crew);
    wait_for(crew, 0);
    crew->ending = true;
    g_cond_broadcast(&crew->more);
    g_mutex_unlock(&crew->lock);
    for (i = 0; i < crew->n_threads; i++) {
        g_thread_join(crew->thread[i]);
    }
    mapped_output_to(NULL);
    mapped_output_free(crew->here);
    g_mutex_clear(&crew->lock);
    g_cond_clear(&crew->more);
    g_cond_clear(&crew->fewer);
    g_free(crew->thread);
    g_free(crew);
}

void mapped_crew_job_clear(CrewJob *job)
{
    mapped_output_free(job->out);
    job->out = NULL;
}
