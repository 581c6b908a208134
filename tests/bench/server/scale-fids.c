/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Many fids: see scale.h.
 */
#include "qemu/osdep.h"
#include "scale.h"

#define HOT             1000u
/* Messages to all QEMUs together; at least HOT to each */
#define REPEAT          20000u
#define BATCH           1024
#define DEPTH           16
/* More than any server should take */
#define FIDS_MAX        (16u * 1024 * 1024)
/* A prime: steps of this size reach every fid, two neighbours never in a row */
#define STEP            2654435761u

/* The fids of the current phase */
static struct {
    bool one;                   /* all fids are on one file */
    unsigned from;              /* first fid of the phase */
    unsigned fids;              /* existing fids */
} now;

static void walk_file(Message *m, unsigned i)
{
    char name[32];

    i += now.from;
    g_snprintf(name, sizeof(name), SCALE_FILE, now.one ? 0 : i);
    walk(m, FID_DIR, FID_FIRST + i, name);
}

static void clunk_file(Message *m, unsigned i)
{
    begin(m, TCLUNK, FID_FIRST + now.from + i);
}

static void getattr(Message *m, unsigned fid)
{
    begin(m, TGETATTR, FID_FIRST + fid);
    u64(m, 0x7ff);
}

static void getattr_new(Message *m, unsigned i)
{
    getattr(m, now.fids - 1 - i % MIN(HOT, now.fids));
}

static void getattr_any(Message *m, unsigned i)
{
    getattr(m, (uint64_t)i * STEP % now.fids);
}

/* Runs a phase and adds its cost to @sum. */
static void add_phase(Load *l, Cost *sum, const char *name,
                      void (*make)(Message *m, unsigned i), unsigned n,
                      unsigned depth)
{
    Cost start = cost_start(l);

    load_run(l, name, &(Phase) { make }, n, depth, NULL);
    cost_add(sum, l, start);
}

static void measure(Load *l, const char *name,
                    void (*make)(Message *m, unsigned i), unsigned n,
                    unsigned depth)
{
    Cost sum = { 0 };

    add_phase(l, &sum, name, make, n, depth);
    cost_print(name, l, &sum, n);
}

/* Measures messages with now.fids fids; that number stays. */
static void measure_all(Load *l, unsigned depth)
{
    unsigned repeat = MAX(HOT, REPEAT / l->n);
    unsigned n = MIN(HOT, now.fids);
    Cost clunks = { 0 };
    Cost walks = { 0 };
    unsigned i;

    measure(l, "getattr_new", getattr_new, repeat, depth);
    measure(l, "getattr_any", getattr_any, repeat, depth);
    now.from = now.fids - n;
    for (i = 0; i < repeat / HOT; i++) {
        add_phase(l, &clunks, "clunk", clunk_file, n, depth);
        add_phase(l, &walks, "walk", walk_file, n, depth);
    }
    cost_print("clunk", l, &clunks, i * n);
    cost_print("walk", l, &walks, i * n);
}

/* Prints the memory, and its growth since @before in bytes per fid. */
static void print_memory(const Load *l, const char *name, long before,
                         long after)
{
    printf(", \"%s_kib\": %.0f, \"%s_bytes\": %.1f", name,
           (double)after / l->n, name,
           (after - before) * 1024.0 / l->n / now.fids);
}

void scale_fids(Load *l, const char *dir, bool one, unsigned n, unsigned depth,
                bool steps)
{
    unsigned level = steps ? MIN(HOT, n) : n;
    long qemu, helper;

    now.one = one;
    now.from = now.fids = 0;
    dir_walk(l, dir);
    /* Leave out the memory that only the first messages take. */
    load_run(l, "walk", &(Phase) { walk_file }, MIN(HOT, n), depth, NULL);
    load_run(l, "clunk", &(Phase) { clunk_file }, MIN(HOT, n), depth, NULL);
    qemu = cost_sum(l, usage_memory);
    helper = cost_sum(l, usage_memory_of_children);
    while (now.fids < n) {
        printf("%c{\"fids\": %u", now.fids ? ',' : '[', level);
        now.from = now.fids;
        measure(l, "filling", walk_file, level - now.fids, depth);
        now.fids = level;
        measure_all(l, depth);
        print_memory(l, "qemu", qemu, cost_sum(l, usage_memory));
        print_memory(l, "helper", helper,
                     cost_sum(l, usage_memory_of_children));
        putchar('}');
        level = MIN(10 * level, n);
    }
    puts("]");
    now.from = 0;
    load_run(l, "clunk", &(Phase) { clunk_file }, n, depth, NULL);
    dir_clunk(l);
}

/* Walks to fids from now.fids on until an error. */
static void fill(Load *l, unsigned batch, unsigned depth)
{
    for (l->errors = 0; !l->errors && now.fids < FIDS_MAX; ) {
        now.from = now.fids;
        load_run(l, "walk", &(Phase) { walk_file }, batch, depth, NULL);
        if (!l->errors) {
            now.fids += batch;
        }
    }
}

/* Sends one message about fid number @fid, which must get @error (or 0). */
static void expect(Load *l, void (*make)(Message *m, unsigned i),
                   unsigned fid, int error)
{
    now.from = fid;
    l->errors = l->error = 0;
    once(l, "limit", make);
    if (l->error != error) {
        die("at the limit of %u fids a message gets \"%s\", not \"%s\"",
            now.fids, strerror(l->error), strerror(error));
    }
}

void scale_limit(Load *l, const char *dir)
{
    uint64_t start = now_ns();
    int error;

    now.one = true;
    now.fids = 0;
    dir_walk(l, dir);
    l->may_fail = true;
    fill(l, BATCH, DEPTH);
    /* Any part of the last batch may exist: clunk it, and walk one by one. */
    load_run(l, "clunk", &(Phase) { clunk_file }, BATCH, DEPTH, NULL);
    fill(l, 1, 1);
    error = l->error;
    if (!l->errors) {
        die("there is no limit below %u fids", FIDS_MAX);
    }
    expect(l, clunk_file, now.fids - 1, 0);
    expect(l, walk_file, now.fids - 1, 0);
    expect(l, walk_file, now.fids, error);
    l->may_fail = false;
    /* The root and the directory have fids, too. */
    printf("{\"fids\": %u, \"error\": \"%s\", \"qemu_kib\": %" G_GUINT64_FORMAT,
           now.fids + 2, strerror(error), cost_sum(l, usage_memory));
    measure_all(l, DEPTH);
    now.from = 0;
    load_run(l, "clunk", &(Phase) { clunk_file }, now.fids, DEPTH, NULL);
    once(l, "walk", walk_file);
    once(l, "clunk", clunk_file);
    dir_clunk(l);
    printf(", \"seconds\": %.1f}\n", (now_ns() - start) / 1e9);
}

void scale_hold(Load *l, const char *dir, unsigned n, unsigned depth)
{
    now.one = false;
    now.from = 0;
    dir_walk(l, dir);
    load_run(l, "walk", &(Phase) { walk_file }, n, depth, NULL);
    now.fids = n;
    printf("{\"fids\": %u}\n", n);
}
