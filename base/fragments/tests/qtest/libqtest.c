/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Fragment: look more often for the end of a QEMU, which takes some
 * milliseconds. Thousands of tests each waited a tenth of a second for it.
 */

/* graft: wait */
            g_usleep(2 * 1000);
