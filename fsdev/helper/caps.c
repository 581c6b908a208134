/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Capabilities for libcap-ng: see caps.h.
 */
#include "qemu/osdep.h"
#include "caps.h"
#include <cap-ng.h>

int caps_add(uint64_t caps)
{
    int ret = 0;
    unsigned cap;

    for (cap = 0; cap < 64 && ret == 0; cap++) {
        if (caps & 1ull << cap) {
            ret = capng_update(CAPNG_ADD, CAPNG_EFFECTIVE | CAPNG_PERMITTED,
                               cap);
        }
    }
    return ret;
}
