/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Landlock: the kernel refuses this process all files but those beneath one
 * directory, wherever its other descriptors and its working directory lead.
 */
#ifndef FSDEV_HELPER_LANDLOCK_H
#define FSDEV_HELPER_LANDLOCK_H

#include "qemu/osdep.h"

/*
 * From here on, this process and its threads open, make, rename and remove
 * files only beneath the directory @root, or with @readonly only read them. It
 * opens no device, runs no program, and signals no other process. Call this
 * once no_new_privs is set. A kernel without Landlock is no error.
 */
void landlock_server(int root, bool readonly);

/* The same for a process that only removes files beneath @dir (-1: none). */
void landlock_supervisor(int dir);

/* The same for a process that opens nothing. */
void landlock_nothing(void);

#endif /* FSDEV_HELPER_LANDLOCK_H */
