/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Processor time and memory of a process: see usage.h.
 */
#include "qemu/osdep.h"
#include "usage.h"

uint64_t usage_time(pid_t pid)
{
    struct timespec t;
    clockid_t clock;

    /* This clock keeps the time of threads that have ended. */
    if (clock_getcpuclockid(pid, &clock) || clock_gettime(clock, &t) < 0) {
        return 0;
    }
    return t.tv_sec * 1000000000ull + t.tv_nsec;
}

typedef uint64_t Usage(pid_t pid);

static uint64_t sum_children(pid_t pid, Usage *usage)
{
    g_autofree char *path = g_strdup_printf("/proc/%d/task", pid);
    g_autoptr(GDir) dir = g_dir_open(path, 0, NULL);
    const char *thread;
    uint64_t sum = 0;

    while (dir && (thread = g_dir_read_name(dir))) {
        g_autofree char *file = g_strdup_printf("%s/%s/children", path,
                                                thread);
        g_autofree char *text = NULL;
        g_auto(GStrv) pids = NULL;
        unsigned i;

        g_file_get_contents(file, &text, NULL, NULL);
        pids = g_strsplit(text ?: "", " ", -1);
        for (i = 0; pids[i]; i++) {
            pid_t child = atoi(pids[i]);

            if (child) {
                sum += usage(child) + sum_children(child, usage);
            }
        }
    }
    return sum;
}

uint64_t usage_time_of_children(pid_t pid)
{
    return sum_children(pid, usage_time);
}

uint64_t usage_memory(pid_t pid)
{
    g_autofree char *path = g_strdup_printf("/proc/%d/smaps_rollup", pid);
    FILE *f = fopen(path, "r");
    unsigned long kib = 0;
    char line[256];

    while (f && fgets(line, sizeof(line), f) &&
           sscanf(line, "Pss: %lu", &kib) != 1) {
        continue;
    }
    if (f) {
        fclose(f);
    }
    return kib;
}

uint64_t usage_memory_of_children(pid_t pid)
{
    return sum_children(pid, usage_memory);
}
