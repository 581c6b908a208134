/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * p9load: sends 9P messages straight into the virtqueue of a virtio-9p device
 * and measures what they cost.
 *
 * usage: p9load ACCEL QEMU ARG...     with a -fsdev of the id "bench"
 *        p9load --files DIR           makes the files in the export
 *        p9load --list                names the kinds of work
 *
 * It starts the QEMU it is given, without a guest (machine.h), and then takes
 * orders from its standard input, one a line, so that several of it can be
 * measured in turns:
 *
 *     NAME DEPTH SECONDS [PID]
 *
 * does the work of that name with that many requests under way, in as many
 * runs as the time allows, and answers with a line of JSON:
 *
 *     messages, seconds       how many in which time, and what follows from it
 *     median, p99             of the time from a message to its reply, in ns
 *     qemu_cpu, helper_cpu    processor time that a message took, in ns; the
 *                             helper is QEMU's children, or the process PID
 *                             and its children
 *     qemu_pss, helper_pss    memory at the end, in KiB
 *
 * A reply that is an error ends the program with a message.
 */
#include "qemu/osdep.h"
#include "machine.h"
#include "ring.h"
#include "usage.h"
#include "work.h"

#define MSIZE           (512u * 1024 + 4096)
#define MEMORY          (256u * 1024 * 1024)
#define RLERROR         7

typedef struct Load {
    Machine m;
    Ring ring;
    GArray *times;              /* uint64_t */
    uint64_t busy;              /* ns in measured phases */
    uint64_t qemu_cpu, helper_cpu;
} Load;

static uint32_t get_u32(const uint8_t *p)
{
    return p[0] | p[1] << 8 | p[2] << 16 | (uint32_t)p[3] << 24;
}

static void put(Load *l, unsigned slot, const Phase *phase, unsigned i)
{
    Message msg = { .start = ring_request(&l->ring, slot) };
    uint32_t size;

    phase->make(&msg, i);
    size = msg.pos - msg.start;
    msg.start[0] = size;
    msg.start[1] = size >> 8;
    msg.start[2] = size >> 16;
    msg.start[3] = size >> 24;
    msg.start[5] = slot;
    msg.start[6] = 0;
    ring_put(&l->ring, slot, size);
}

static void check_reply(Load *l, unsigned slot, const char *what, unsigned i)
{
    const uint8_t *reply = ring_reply(&l->ring, slot);
    const uint8_t *request = ring_request(&l->ring, slot);

    if (reply[4] == RLERROR) {
        die("%s: message %u is answered with: %s", what, i,
            strerror(get_u32(reply + 7)));
    }
    if (reply[4] != request[4] + 1) {
        die("%s: message %u, of type %u, is answered with type %u", what, i,
            request[4], reply[4]);
    }
}

/* Messages 0 to n - 1 of a phase, @depth at a time */
static void run_phase(Load *l, const char *what, const Phase *phase,
                      unsigned n, unsigned depth, GArray *times)
{
    unsigned sent = 0;
    unsigned done = 0;
    uint64_t ns;

    n = phase->n ?: n;
    while (sent < n && sent < depth) {
        put(l, sent, phase, sent);
        sent++;
    }
    ring_kick(&l->ring);
    while (done < n) {
        bool more = false;

        do {
            unsigned slot = ring_get(&l->ring, &ns);

            check_reply(l, slot, what, done);
            done++;
            if (times) {
                g_array_append_val(times, ns);
            }
            if (sent < n) {
                put(l, slot, phase, sent++);
                more = true;
            }
        } while (done < n && ring_ready(&l->ring));
        if (more) {
            ring_kick(&l->ring);
        }
    }
    machine_drain(&l->m);
}

static void run_phases(Load *l, const char *what, const Phase *phases,
                       unsigned n)
{
    unsigned i;

    for (i = 0; i < PHASES && phases[i].make; i++) {
        run_phase(l, what, &phases[i], n, 16, NULL);
    }
}

static int compare(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a;
    uint64_t y = *(const uint64_t *)b;

    return x < y ? -1 : x > y;
}

static uint64_t helper_time(Load *l, pid_t helper)
{
    return helper ? usage_time(helper) + usage_time_of_children(helper)
                  : usage_time_of_children(l->m.pid);
}

static unsigned long helper_memory(Load *l, pid_t helper)
{
    return helper ? usage_memory(helper) + usage_memory_of_children(helper)
                  : usage_memory_of_children(l->m.pid);
}

static void report(Load *l, const Work *w, unsigned depth, pid_t helper)
{
    uint64_t *t = (uint64_t *)(void *)l->times->data;
    unsigned n = l->times->len;

    qsort(t, n, sizeof(*t), compare);
    printf("{\"work\": \"%s\", \"depth\": %u, \"messages\": %u, "
           "\"seconds\": %.6f, \"median\": %" G_GUINT64_FORMAT ", "
           "\"p99\": %" G_GUINT64_FORMAT ", \"qemu_cpu\": %.0f, "
           "\"helper_cpu\": %.0f, \"qemu_pss\": %lu, \"helper_pss\": %lu, "
           "\"bytes\": %u}\n",
           w->name, depth, n, l->busy / 1e9, t[n / 2], t[n - 1 - n / 100],
           (double)l->qemu_cpu / n, (double)l->helper_cpu / n,
           usage_memory(l->m.pid), helper_memory(l, helper), w->bytes);
    fflush(stdout);
}

static void run_work(Load *l, const Work *w, unsigned depth, double seconds,
                     pid_t helper)
{
    uint64_t end = now_ns() + seconds * 1e9;
    uint64_t start, cpu, helper_cpu;

    g_array_set_size(l->times, 0);
    l->busy = l->qemu_cpu = l->helper_cpu = 0;
    do {
        run_phases(l, w->name, w->before, w->n);
        cpu = usage_time(l->m.pid);
        helper_cpu = helper_time(l, helper);
        start = now_ns();
        run_phase(l, w->name, &w->measured, w->n, depth, l->times);
        l->busy += now_ns() - start;
        l->qemu_cpu += usage_time(l->m.pid) - cpu;
        l->helper_cpu += helper_time(l, helper) - helper_cpu;
        run_phases(l, w->name, w->after, w->n);
    } while (now_ns() < end);
    report(l, w, depth, helper);
}

static const Work *find_work(const char *name)
{
    unsigned i;

    for (i = 0; i < n_works; i++) {
        if (!strcmp(works[i].name, name)) {
            return &works[i];
        }
    }
    die("%s: no such work; --list names them", name);
}

static void obey(Load *l, char *line)
{
    char name[32];
    unsigned depth;
    double seconds;
    int helper = 0;

    if (sscanf(line, "%31s %u %lf %d", name, &depth, &seconds, &helper) < 3 ||
        depth == 0 || depth > RING_SLOTS) {
        die("'%s' is no order: NAME DEPTH SECONDS [PID]", g_strstrip(line));
    }
    run_work(l, find_work(name), depth, seconds, helper);
}

static void version(Message *m, unsigned i)
{
    make_version(m, MSIZE);
}

static void start_session(Load *l)
{
    static const Phase first[] = { { version, 1 }, { make_attach, 1 } };

    run_phase(l, "version", &first[0], 1, 1, NULL);
    if (get_u32(ring_reply(&l->ring, 0) + 7) != MSIZE) {
        die("messages of %u bytes are too large for this QEMU", MSIZE);
    }
    run_phase(l, "attach", &first[1], 1, 1, NULL);
}

int main(int argc, char **argv)
{
    Load l = { .times = g_array_new(false, false, sizeof(uint64_t)) };
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
    machine_start(&l.m, argv + 2, argv[1], MEMORY);
    ring_start(&l.ring, &l.m, MSIZE);
    start_session(&l);
    puts("ready");
    fflush(stdout);
    while (getline(&line, &size, stdin) > 0) {
        obey(&l, line);
    }
    machine_stop(&l.m);
    g_array_free(l.times, true);
    return 0;
}
