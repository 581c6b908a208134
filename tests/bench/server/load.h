/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Starts QEMUs without a guest (machine.h), each with a 9P session, sends
 * messages to all of them at the same time, many at a time, and takes the
 * replies. Each QEMU gets the same messages.
 *
 * One thread polls all their queues in turn and never sleeps, so it uses
 * exactly one processor.
 */
#ifndef BENCH_LOAD_H
#define BENCH_LOAD_H

#include "machine.h"
#include "message.h"
#include "ring.h"

/* The fid of the export's root; load_start() attaches it */
#define FID_ROOT        1

/*
 * A phase is a number of messages, which @make writes for i from 0 on. @n is
 * their number; with 0, the caller of load_run() chooses. No message depends on
 * another one of the same phase.
 */
typedef struct Phase {
    void (*make)(Message *m, unsigned i);
    unsigned n;
} Phase;

/* A QEMU, and its progress in a phase */
typedef struct Guest {
    Machine m;
    Ring ring;
    unsigned sent, done;
} Guest;

typedef struct Load {
    Guest *guests;
    unsigned n;
    unsigned slots;             /* most messages in flight in each */
    /*
     * Time between a reply and the next message, in ns. A guest needs some
     * time, too, and in some QEMUs this time decides whether the next message
     * has to wake a thread.
     */
    uint64_t pause;
    /* If set, an Rlerror is counted; otherwise it ends the process. */
    bool may_fail;
    unsigned errors;
    int error;                  /* number of the last Rlerror */
} Load;

/*
 * Starts @n QEMUs and their sessions. @argv, @accel and @memory: see
 * machine_start(). @msize: the largest message, in bytes; @slots: the most
 * messages in flight, which the queue may reduce (ring_start()). Ends this
 * process with a message when a QEMU does not start.
 */
void load_start(Load *l, unsigned n, char *const *argv, const char *accel,
                uint32_t memory, uint32_t msize, unsigned slots);
void load_stop(Load *l);

/*
 * Sends messages 0 to n - 1 of a phase to each QEMU, @depth at a time.
 * @what: the name of the phase, for error messages
 * @times: gets the time of each message, in ns, as uint64_t; or NULL
 */
void load_run(Load *l, const char *what, const Phase *phase, unsigned n,
              unsigned depth, GArray *times);

#endif /* BENCH_LOAD_H */
