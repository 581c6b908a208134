/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * p9load: sends 9P messages straight into the virtqueue of a virtio-9p device
 * and measures their cost.
 *
 * usage: p9load ACCEL QEMU ARG...     with a -fsdev of the id "bench"
 *        p9load --files DIR           makes the files in the export
 *        p9load --list                lists the kinds of work
 *
 * p9load starts QEMU without a guest (load.h). It then reads orders from its
 * standard input, one per line, so that a caller can measure several peers in
 * turns:
 *
 *     NAME DEPTH SECONDS [PID]
 *
 * p9load does the work NAME with DEPTH requests in flight, in as many runs as
 * fit into SECONDS, and answers with a line of JSON:
 *
 *     messages, seconds       number of messages, and the time for all
 *     median, p99             of the times from a message to its reply, in ns
 *     qemu_cpu, helper_cpu    processor time per message, in ns; the helper is
 *                             QEMU's children, or the process PID and its
 *                             children
 *     qemu_pss, helper_pss    memory at the end, in KiB
 *
 * If a reply is an error, p9load prints a message and ends.
 */
#include "qemu/osdep.h"
#include "load.h"
#include "usage.h"
#include "work.h"

#define MSIZE           (512u * 1024 + 4096)
#define MEMORY          (256u * 1024 * 1024)
#define SLOTS           64
#define DEPTH           16      /* of the phases that are not measured */

/*
 * Pause between messages that are sent one at a time. Without the pause there
 * is a race: if QEMU checks the queue once more just as the next message
 * arrives, that message needs no kick, and the kick takes longer than
 * everything else.
 */
#define PAUSE_NS        5000

/* Sums over the measured phases of one order */
typedef struct Sums {
    GArray *times;              /* uint64_t */
    uint64_t busy;              /* ns */
    uint64_t qemu_cpu, helper_cpu;
} Sums;

static void run_phases(Load *l, const char *what, const Phase *phases,
                       unsigned n)
{
    unsigned i;

    for (i = 0; i < PHASES && phases[i].make; i++) {
        load_run(l, what, &phases[i], n, DEPTH, NULL);
    }
}

static int compare(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a;
    uint64_t y = *(const uint64_t *)b;

    return x < y ? -1 : x > y;
}

static uint64_t helper_time(pid_t qemu, pid_t helper)
{
    return helper ? usage_time(helper) + usage_time_of_children(helper)
                  : usage_time_of_children(qemu);
}

static uint64_t helper_memory(pid_t qemu, pid_t helper)
{
    return helper ? usage_memory(helper) + usage_memory_of_children(helper)
                  : usage_memory_of_children(qemu);
}

static void report(const Sums *sums, const Work *w, unsigned depth, pid_t qemu,
                   pid_t helper)
{
    uint64_t *t = (uint64_t *)(void *)sums->times->data;
    unsigned n = sums->times->len;

    qsort(t, n, sizeof(*t), compare);
    printf("{\"work\": \"%s\", \"depth\": %u, \"messages\": %u, "
           "\"seconds\": %.6f, \"median\": %" G_GUINT64_FORMAT ", "
           "\"p99\": %" G_GUINT64_FORMAT ", \"qemu_cpu\": %.0f, "
           "\"helper_cpu\": %.0f, \"qemu_pss\": %" G_GUINT64_FORMAT ", "
           "\"helper_pss\": %" G_GUINT64_FORMAT ", \"bytes\": %u}\n",
           w->name, depth, n, sums->busy / 1e9, t[n / 2], t[n - 1 - n / 100],
           (double)sums->qemu_cpu / n, (double)sums->helper_cpu / n,
           usage_memory(qemu), helper_memory(qemu, helper), w->bytes);
    fflush(stdout);
}

static void run_work(Load *l, Sums *sums, const Work *w, unsigned depth,
                     double seconds, pid_t helper)
{
    pid_t qemu = l->guests[0].m.pid;
    uint64_t end = now_ns() + seconds * 1e9;
    uint64_t start, cpu, helper_cpu;

    g_array_set_size(sums->times, 0);
    sums->busy = sums->qemu_cpu = sums->helper_cpu = 0;
    do {
        run_phases(l, w->name, w->before, w->n);
        cpu = usage_time(qemu);
        helper_cpu = helper_time(qemu, helper);
        start = now_ns();
        l->pause = depth == 1 ? PAUSE_NS : 0;
        load_run(l, w->name, &w->measured, w->n, depth, sums->times);
        l->pause = 0;
        sums->busy += now_ns() - start;
        sums->qemu_cpu += usage_time(qemu) - cpu;
        sums->helper_cpu += helper_time(qemu, helper) - helper_cpu;
        run_phases(l, w->name, w->after, w->n);
    } while (now_ns() < end);
    report(sums, w, depth, qemu, helper);
}

static const Work *find_work(const char *name)
{
    unsigned i;

    for (i = 0; i < n_works; i++) {
        if (!strcmp(works[i].name, name)) {
            return &works[i];
        }
    }
    die("%s: no such work; --list prints the names", name);
}

static void obey(Load *l, Sums *sums, char *line)
{
    char name[32];
    unsigned depth;
    double seconds;
    int helper = 0;

    if (sscanf(line, "%31s %u %lf %d", name, &depth, &seconds, &helper) < 3 ||
        depth == 0 || depth > l->slots) {
        die("'%s' is not an order: NAME DEPTH SECONDS [PID]",
            g_strstrip(line));
    }
    run_work(l, sums, find_work(name), depth, seconds, helper);
}

int main(int argc, char **argv)
{
    Sums sums = { .times = g_array_new(false, false, sizeof(uint64_t)) };
    Load l;
    g_autofree char *line = NULL;
    size_t size = 0;
    unsigned i;

    if (argc == 2 && !strcmp(argv[1], "--list")) {
        for (i = 0; i < n_works; i++) {
            printf("%s\t%s\n", works[i].name, works[i].says);
        }
        return 0;
    }
    if (argc == 3 && !strcmp(argv[1], "--files")) {
        make_files(argv[2]);
        return 0;
    }
    if (argc < 4 || argv[1][0] == '-') {
        die("usage: p9load ACCEL QEMU ARG... | --files DIR | --list");
    }
    load_start(&l, 1, argv + 2, argv[1], MEMORY, MSIZE, SLOTS);
    puts("ready");
    fflush(stdout);
    while (getline(&line, &size, stdin) > 0) {
        obey(&l, &sums, line);
    }
    load_stop(&l);
    g_array_free(sums.times, true);
    return 0;
}
