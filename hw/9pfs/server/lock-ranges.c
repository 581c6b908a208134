/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The byte ranges that one owner has locked: see lock-ranges.h.
 */
#include "qemu/osdep.h"
#include "lock-ranges.h"

/* Appends a range, or makes the last one longer. */
static void append(GArray *ranges, short type, int64_t first, int64_t last)
{
    P9LockRange range = { .first = first, .last = last, .type = type };
    P9LockRange *end;

    if (ranges->len) {
        end = &g_array_index(ranges, P9LockRange, ranges->len - 1);
        if (end->type == type && end->last + 1 == first) {
            end->last = last;
            return;
        }
    }
    g_array_append_val(ranges, range);
}

GArray *p9_lock_ranges_after(const GArray *ranges, short type,
                             int64_t first, int64_t last)
{
    GArray *after = g_array_new(false, false, sizeof(P9LockRange));
    bool done = type == F_UNLCK;
    guint i;

    for (i = 0; ranges && i < ranges->len; i++) {
        const P9LockRange *r = &g_array_index(ranges, P9LockRange, i);

        if (r->first < first) {
            append(after, r->type, r->first, MIN(r->last, first - 1));
        }
        if (!done && r->last >= first) {
            append(after, type, first, last);
            done = true;
        }
        if (r->last > last) {
            append(after, r->type, MAX(r->first, last + 1), r->last);
        }
    }
    if (!done) {
        append(after, type, first, last);
    }
    return after;
}
