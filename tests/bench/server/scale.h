/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The measurements of p9scale. Each scale_ function executes one order
 * (p9scale.c) and writes a line of JSON. Costs are means per message or per
 * entry, in ns: elapsed time, and processor time of the QEMUs and of their
 * children, the helpers. Several QEMUs do the same at the same time.
 */
#ifndef BENCH_SCALE_H
#define BENCH_SCALE_H

#include "load.h"
#include "usage.h"

/* The name of file number %u in a directory */
#define SCALE_FILE      "entry%07u"
/* The fid of the directory, and the first of the many fids */
#define FID_DIR         (FID_ROOT + 1)
#define FID_FIRST       16

typedef struct Cost {
    uint64_t ns, qemu, helper;
} Cost;

/* Call cost_start() before the messages; cost_add() adds their cost to @sum. */
Cost cost_start(const Load *l);
void cost_add(Cost *sum, const Load *l, Cost start);
/* Prints a member of a JSON object, for @n messages to each QEMU. */
void cost_print(const char *name, const Load *l, const Cost *c, unsigned n);

/* The sum over all QEMUs of a function of usage.h */
uint64_t cost_sum(const Load *l, uint64_t (*usage)(pid_t pid));

/* dir_walk() makes FID_DIR, the directory @name in the root. */
void dir_walk(Load *l, const char *name);
void dir_clunk(Load *l);
/* Sends one message. */
void once(Load *l, const char *what, void (*make)(Message *m, unsigned i));

/*
 * Walks to @n fids, @depth at a time: each on a file of its own, or with @one
 * all on the first file. Writes a list with the costs of messages at 1,000,
 * 10,000 and so on up to @n fids (without @steps at @n only), and the memory
 * beyond that before the first fid. Clunks the fids at the end.
 */
void scale_fids(Load *l, const char *dir, bool one, unsigned n, unsigned depth,
                bool steps);

/*
 * Walks to fids until an error. After that, other messages must work as before,
 * one more walk must get the same error again, and a walk after a clunk must
 * succeed.
 */
void scale_limit(Load *l, const char *dir);

/* Walks to @n fids, each on a file of its own, which stay. */
void scale_hold(Load *l, const char *dir, unsigned n, unsigned depth);

/*
 * Reads the whole directory with Treaddirs of @count bytes, as often as needed
 * for @entries entries in all.
 */
void scale_readdir(Load *l, const char *dir, uint32_t count, unsigned entries);

#endif /* BENCH_SCALE_H */
