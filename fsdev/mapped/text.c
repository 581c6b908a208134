/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Text for the user's terminal: see text.h.
 */
#include "qemu/osdep.h"
#include "text.h"

#define PROGRESS_US     200000

static int64_t progress_last;
static bool progress_shown;

void mapped_progress(uint64_t files)
{
    int64_t now;

    if (files % 64 || !isatty(STDERR_FILENO) || isatty(STDOUT_FILENO)) {
        return;
    }
    now = g_get_monotonic_time();
    if (now - progress_last >= PROGRESS_US) {
        progress_last = now;
        progress_shown = true;
        fprintf(stderr, "\r%" PRIu64 " files", files);
        fflush(stderr);
    }
}

void mapped_progress_end(void)
{
    if (progress_shown) {
        fprintf(stderr, "\r\033[K");
        progress_shown = false;
    }
}
