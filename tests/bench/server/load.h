/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * QEMUs without a guest (machine.h), each with a 9P session, and messages that
 * are sent to all of them at the same time and taken back, many at a time. What
 * one QEMU is sent, all are.
 *
 * One thread looks at all their queues in turn, and never sleeps: it takes a
 * processor, and no more than one.
 */
#ifndef BENCH_LOAD_H
#define BENCH_LOAD_H

#include "machine.h"
#include "message.h"
#include "ring.h"

/* The fid of the export's root, which load_start() makes */
#define FID_ROOT        1

/*
 * A phase: messages made by @make for i from 0 on, as many as are asked for, or
 * @n if that is not 0. None depends on another of the same phase.
 */
typedef struct Phase {
    void (*make)(Message *m, unsigned i);
    unsigned n;
} Phase;

/* A QEMU, and how far it is with a phase */
typedef struct Guest {
    Machine m;
    Ring ring;
    unsigned sent, done;
} Guest;

typedef struct Load {
    Guest *guests;
    unsigned n;
    unsigned slots;             /* the most messages under way in each */
    /*
     * Between a reply and the next message, in ns. A guest needs that, too, and
     * for some QEMUs it makes the difference whether they must be woken up.
     */
    uint64_t pause;
    /* An Rlerror is counted if this is set, and else ends the process. */
    bool may_fail;
    unsigned errors;
    int error;                  /* the last one's number */
} Load;

/*
 * Starts @n QEMUs and their sessions. @argv, @accel and @memory: see
 * machine_start(). @msize: bytes that a message may have; @slots: messages that
 * are to be under way at a time, of which there may be fewer (ring_start()).
 * Ends this process with a message when one cannot be started.
 */
void load_start(Load *l, unsigned n, char *const *argv, const char *accel,
                uint32_t memory, uint32_t msize, unsigned slots);
void load_stop(Load *l);

/*
 * Messages 0 to n - 1 of a phase to each QEMU, @depth at a time.
 * @what: what it is, for messages about errors
 * @times: uint64_t, gets how long each took, in ns; or NULL
 */
void load_run(Load *l, const char *what, const Phase *phase, unsigned n,
              unsigned depth, GArray *times);

#endif /* BENCH_LOAD_H */
