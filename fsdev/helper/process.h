/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Making the helper's processes.
 */
#ifndef FSDEV_HELPER_PROCESS_H
#define FSDEV_HELPER_PROCESS_H

#include "qemu/osdep.h"

/* fork(2), without a thread of a sanitizer's. Ends the process on failure. */
pid_t process_fork(void);

#endif /* FSDEV_HELPER_PROCESS_H */
