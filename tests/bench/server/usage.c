/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What a process costs: see usage.h.
 */
#include "qemu/osdep.h"
#include "usage.h"

/* A file of a thread's in /proc, or "" */
static char *read_proc(pid_t pid, const char *thread, const char *file)
{
    g_autofree char *path = g_strdup_printf("/proc/%d/task/%s/%s", pid,
                                            thread, file);
    char *text = NULL;

    return g_file_get_contents(path, &text, NULL, NULL) ? text : g_strdup("");
}

uint64_t usage_time(pid_t pid)
{
    g_autofree char *path = g_strdup_printf("/proc/%d/task", pid);
    g_autoptr(GDir) dir = g_dir_open(path, 0, NULL);
    const char *thread;
    uint64_t ns = 0;

    while (dir && (thread = g_dir_read_name(dir))) {
        /* Time on a processor comes first (Documentation/scheduler) */
        g_autofree char *text = read_proc(pid, thread, "schedstat");

        ns += strtoull(text, NULL, 10);
    }
    return ns;
}

typedef uint64_t Usage(pid_t pid);

static uint64_t sum_children(pid_t pid, Usage *usage)
{
    g_autofree char *path = g_strdup_printf("/proc/%d/task", pid);
    g_autoptr(GDir) dir = g_dir_open(path, 0, NULL);
    const char *thread;
    uint64_t sum = 0;

    while (dir && (thread = g_dir_read_name(dir))) {
        g_autofree char *text = read_proc(pid, thread, "children");
        g_auto(GStrv) pids = g_strsplit(text, " ", -1);
        unsigned i;

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

static uint64_t memory(pid_t pid)
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

unsigned long usage_memory(pid_t pid)
{
    return memory(pid);
}

unsigned long usage_memory_of_children(pid_t pid)
{
    return sum_children(pid, memory);
}
