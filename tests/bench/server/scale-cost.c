/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Costs, and functions that the orders of p9scale share: see scale.h.
 */
#include "qemu/osdep.h"
#include "scale.h"

/* Time in which an idle process goes to sleep */
#define SETTLE_US       2000

uint64_t cost_sum(const Load *l, uint64_t (*usage)(pid_t pid))
{
    uint64_t sum = 0;
    unsigned i;

    for (i = 0; i < l->n; i++) {
        sum += usage(l->guests[i].m.pid);
    }
    return sum;
}

static Cost processor_time(const Load *l)
{
    /* The kernel accounts a thread's time when it sleeps, or at a tick. */
    g_usleep(SETTLE_US);
    return (Cost) {
        .qemu = cost_sum(l, usage_time),
        .helper = cost_sum(l, usage_time_of_children),
    };
}

Cost cost_start(const Load *l)
{
    Cost c = processor_time(l);

    c.ns = now_ns();
    return c;
}

void cost_add(Cost *sum, const Load *l, Cost start)
{
    uint64_t ns = now_ns();
    Cost c = processor_time(l);

    sum->ns += ns - start.ns;
    sum->qemu += c.qemu - start.qemu;
    sum->helper += c.helper - start.helper;
}

void cost_print(const char *name, const Load *l, const Cost *c, unsigned n)
{
    double all = (double)n * l->n;

    printf(", \"%s\": {\"ns\": %.1f, \"qemu\": %.1f, \"helper\": %.1f}", name,
           c->ns / all, c->qemu / all, c->helper / all);
}

void once(Load *l, const char *what, void (*make)(Message *m, unsigned i))
{
    load_run(l, what, &(Phase) { make }, 1, 1, NULL);
}

static const char *dir_name;

static void walk_dir(Message *m, unsigned i)
{
    walk(m, FID_ROOT, FID_DIR, dir_name);
}

static void clunk_dir(Message *m, unsigned i)
{
    begin(m, TCLUNK, FID_DIR);
}

void dir_walk(Load *l, const char *name)
{
    dir_name = name;
    once(l, name, walk_dir);
}

void dir_clunk(Load *l)
{
    once(l, "clunk", clunk_dir);
}
