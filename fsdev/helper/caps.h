/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Capabilities (fsdev/shared/caps.h) for libcap-ng.
 */
#ifndef FSDEV_HELPER_CAPS_H
#define FSDEV_HELPER_CAPS_H

#include "qemu/osdep.h"

/* Adds @caps to the sets that libcap-ng will apply. Returns its result. */
int caps_add(uint64_t caps);

#endif /* FSDEV_HELPER_CAPS_H */
