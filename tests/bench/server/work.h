/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The kinds of work: for each, the 9P2000.L messages that p9load measures, and
 * those before and after them, which prepare the work and clean up.
 */
#ifndef BENCH_WORK_H
#define BENCH_WORK_H

#include "load.h"

#define PHASES  5

typedef struct Work {
    const char *name;
    const char *says;           /* a description, for the tables */
    unsigned n;                 /* messages in a run */
    unsigned bytes;             /* file data per message */
    Phase before[PHASES];       /* up to the first without make */
    Phase measured;
    Phase after[PHASES];
} Work;

extern const Work works[];
extern const unsigned n_works;

/* Makes the files for the work in the export's directory. */
void make_files(const char *dir);

#endif /* BENCH_WORK_H */
