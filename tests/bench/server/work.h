/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The kinds of work: for each, the 9P2000.L messages that are measured, and
 * those before and after them that make it possible and are not.
 */
#ifndef BENCH_WORK_H
#define BENCH_WORK_H

#include "load.h"

#define PHASES  5

typedef struct Work {
    const char *name;
    const char *says;           /* what is measured */
    unsigned n;                 /* messages in a run */
    unsigned bytes;             /* of file data that one moves */
    Phase before[PHASES];       /* ends with one without make */
    Phase measured;
    Phase after[PHASES];
} Work;

extern const Work works[];
extern const unsigned n_works;

/* Makes the files that work is done on, in the export's directory. */
void make_files(const char *dir);

#endif /* BENCH_WORK_H */
