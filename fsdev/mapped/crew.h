/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Threads that do jobs, whose results come in the order in which the jobs were
 * given: so nobody can tell from the output how many threads there are.
 *
 * The thread that makes a crew gives it jobs, helps with them when there are
 * many, and gets the results. What it prints meanwhile has its place between
 * the jobs, too.
 */
#ifndef FSDEV_MAPPED_CREW_H
#define FSDEV_MAPPED_CREW_H

#include "print.h"

typedef struct Crew Crew;
typedef struct CrewJob CrewJob;

struct CrewJob {
    /* The work, in any thread; what it prints is kept in @out. Or NULL */
    void (*run)(CrewJob *job);
    /*
     * In the thread that gave the job, when all earlier jobs have ended. Prints
     * @out, and frees the job.
     */
    void (*end)(CrewJob *job);
    size_t size;                /* about the memory that it needs */

    MappedOutput *out;          /* these are the crew's */
    bool done;
    CrewJob *next;
};

/* @threads: with the one that calls */
Crew *mapped_crew_new(unsigned threads);
void mapped_crew_add(Crew *crew, CrewJob *job);
/* So that what the caller prints does not gather without a job */
void mapped_crew_poll(Crew *crew);
/* Waits for all jobs. */
void mapped_crew_free(Crew *crew);

/* Frees what the crew has in a job. */
void mapped_crew_job_clear(CrewJob *job);

#endif /* FSDEV_MAPPED_CREW_H */
