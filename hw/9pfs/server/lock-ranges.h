/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The byte ranges that one owner has locked, as the host's kernel keeps them:
 * ranges of one type that touch are one range. The kernel needs memory for each
 * range, so the server counts them.
 */
#ifndef HW_9PFS_SERVER_LOCK_RANGES_H
#define HW_9PFS_SERVER_LOCK_RANGES_H

/* From @first to @last, which may be the same; in order, without overlaps */
typedef struct P9LockRange {
    int64_t first;
    int64_t last;
    short type;                 /* F_RDLCK or F_WRLCK */
} P9LockRange;

/*
 * The ranges after a lock of @type (or F_UNLCK) from @first to @last. @ranges
 * may be NULL: none. The result is a new array.
 */
GArray *p9_lock_ranges_after(const GArray *ranges, short type,
                             int64_t first, int64_t last);

#endif /* HW_9PFS_SERVER_LOCK_RANGES_H */
