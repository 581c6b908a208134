/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Fragment: how the thread pool orders its work, for ThreadSanitizer, which
 * does not know memory fences. What a worker did comes before the completion.
 */

/* graft: tsan-header */
#include "qemu/tsan.h"

/* graft: tsan-before */
        QEMU_TSAN_ANNOTATE_HAPPENS_BEFORE(req);

/* graft: tsan-after */
            QEMU_TSAN_ANNOTATE_HAPPENS_AFTER(elem);
