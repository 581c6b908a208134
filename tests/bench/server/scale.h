/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What p9scale measures. Each function does one order (p9scale.c), and writes
 * a line of JSON. Costs are means for a message, or an entry, in ns: of the
 * clock, and of the processors for all QEMUs and for their children, which are
 * the helpers. With several QEMUs all do the same at the same time.
 */
#ifndef BENCH_SCALE_H
#define BENCH_SCALE_H

#include "load.h"

/* The file of a number in a directory */
#define SCALE_FILE      "entry%07u"
/* The fid of the directory, and the first of those that there are many of */
#define FID_DIR         (FID_ROOT + 1)
#define FID_FIRST       16

typedef struct Cost {
    uint64_t ns, qemu, helper;
} Cost;

/* Before something that is to be measured, and after it: adds what it cost. */
Cost cost_start(const Load *l);
void cost_add(Cost *sum, const Load *l, Cost start);
/* A member of a JSON object, for @n messages to each QEMU */
void cost_print(const char *name, const Load *l, const Cost *c, unsigned n);

/* Memory (PSS) of all QEMUs, and of all helpers, in KiB */
unsigned long cost_qemus(const Load *l);
unsigned long cost_helpers(const Load *l);

/* Makes FID_DIR, the directory of that name in the root; clunks it. */
void dir_walk(Load *l, const char *name);
void dir_clunk(Load *l);
/* One message */
void once(Load *l, const char *what, void (*make)(Message *m, unsigned i));

/*
 * Walks to @n fids: on the file of each number, or if @one all on the first of
 * them; @depth at a time. A list: at 1,000, 10,000 and so on (only at @n
 * without @steps), what messages cost then, and the memory that there is more
 * than with a few fids before. They are clunked at the end.
 */
void scale_fids(Load *l, const char *dir, bool one, unsigned n, unsigned depth,
                bool steps);

/*
 * Walks to fids until there is an error. Then messages must work as before,
 * one more must get the same error again, and another fid for one that is
 * clunked none.
 */
void scale_limit(Load *l, const char *dir);

/*
 * Reads the directory with Treaddirs of @count bytes, from its begin to its
 * end, as often as it takes for that many entries.
 */
void scale_readdir(Load *l, const char *dir, uint32_t count, unsigned entries);

#endif /* BENCH_SCALE_H */
