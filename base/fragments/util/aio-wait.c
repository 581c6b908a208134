/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Fragment: how the main thread waits for an IOThread, for ThreadSanitizer,
 * which does not know memory fences. The callback comes before the end of the
 * wait.
 */

/* graft: tsan-header */
#include "qemu/tsan.h"

/* graft: tsan-before */
    QEMU_TSAN_ANNOTATE_HAPPENS_BEFORE(data);

/* graft: tsan-after */
    QEMU_TSAN_ANNOTATE_HAPPENS_AFTER(&data);
