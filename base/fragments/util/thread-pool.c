/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * This is a fragment: base/graft.py puts it into the base's util/thread-pool.c.
 * ThreadSanitizer does not know memory fences. These lines tell it that what a
 * worker did comes before the completion, and nothing else.
 */

/* graft: tsan-header */
#include "qemu/tsan.h"

/* graft: tsan-before */
        QEMU_TSAN_ANNOTATE_HAPPENS_BEFORE(req);

/* graft: tsan-after */
            QEMU_TSAN_ANNOTATE_HAPPENS_AFTER(elem);
