/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The limit of the helper's memory: see memory.h.
 *
 * The C library is told to use one heap, and a mapping for each large block,
 * which goes back to the system when it is freed. Otherwise it reserves 64 MiB
 * for each thread, and what one session freed would not be there for the next.
 */
#include "qemu/osdep.h"
#include "memory.h"
#include "log.h"
#include <malloc.h>
#include <sys/resource.h>

#define MIB             (1024 * 1024)

/* The rest of starting, the heap's own needs, log lines */
#define MARGIN          (8 * MIB)
/* Blocks of this size and more are mappings. */
#define LARGE_BLOCK     (128 * 1024)
/* Of the budget, for handles at least: about 4000 */
#define BUDGET_MIN      MIB

static size_t budget = SIZE_MAX;
static GMutex lock;             /* guards it */

/* The address space that the process has now */
static uint64_t used_now(void)
{
    g_autofree char *text = NULL;
    g_autoptr(GError) err = NULL;

    if (!g_file_get_contents("/proc/self/statm", &text, NULL, &err)) {
        fatal("%s", err->message);
    }
    return g_ascii_strtoull(text, NULL, 10) * getpagesize();
}

static void set_heap(void)
{
#ifdef M_ARENA_MAX
    mallopt(M_ARENA_MAX, 1);
    mallopt(M_MMAP_THRESHOLD, LARGE_BLOCK);
#endif
}

/* What the starter and the system allow */
static uint64_t allowed(void)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_AS, &limit) < 0) {
        fatal("RLIMIT_AS: %s", strerror(errno));
    }
    return limit.rlim_max;
}

/* Sanitizers reserve terabytes of address space. */
static void set_backstop(uint64_t bytes)
{
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
    struct rlimit limit = { bytes, bytes };

    if (setrlimit(RLIMIT_AS, &limit) < 0) {
        fatal("RLIMIT_AS: %s", strerror(errno));
    }
#endif
}

void memory_limit(unsigned limit, MemoryNeeds *needs)
{
    uint64_t fixed = used_now() + MARGIN;
    uint64_t each = needs->session + needs->left;
    uint64_t least = QEMU_ALIGN_UP(fixed + each + BUDGET_MIN, MIB);
    uint64_t bytes = (uint64_t)limit * MIB;

    set_heap();
    if (!limit) {
        bytes = QEMU_ALIGN_UP(fixed + needs->sessions * each + BUDGET_MIN +
                              needs->handles, MIB);
        bytes = MIN(bytes, allowed());
    }
    if (bytes > allowed()) {
        fatal("--memory-limit %u: the system allows this process only %" PRIu64
              " MiB", limit, allowed() / MIB);
    }
    if (bytes < least) {
        fatal("--memory-limit %" PRIu64 ": the helper needs at least %" PRIu64
              " MiB with this number of threads", bytes / MIB, least / MIB);
    }
    needs->sessions = MIN(needs->sessions,
                          (bytes - fixed - BUDGET_MIN) / each);
    budget = bytes - fixed - needs->sessions * needs->session;
    set_backstop(bytes);
}

bool memory_take(size_t bytes)
{
    bool has;

    g_mutex_lock(&lock);
    has = bytes <= budget;
    if (has) {
        budget -= bytes;
    }
    g_mutex_unlock(&lock);
    return has;
}

bool memory_has(size_t bytes)
{
    bool has;

    g_mutex_lock(&lock);
    has = bytes <= budget;
    g_mutex_unlock(&lock);
    return has;
}

void memory_give_back(size_t bytes)
{
    g_mutex_lock(&lock);
    budget += bytes;
    g_mutex_unlock(&lock);
}
