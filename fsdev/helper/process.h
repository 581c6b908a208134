/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Making the helper's processes, which wait for each other at pipes' ends.
 */
#ifndef FSDEV_HELPER_PROCESS_H
#define FSDEV_HELPER_PROCESS_H

#include "qemu/osdep.h"

/* fork(2), without a thread of a sanitizer's. Ends the process on failure. */
pid_t process_fork(void);

/*
 * A pipe from one process to another; both close the end that is not theirs, so
 * that the death of the writer is the end of the file. Ends the process on
 * failure.
 */
void process_pipe(int fds[2]);

/* Writes a byte to a pipe; a reader that is gone is no error. */
void process_tell(int fd);

/* Waits for a byte, or for the writer's end: false. */
bool process_told(int fd);

#endif /* FSDEV_HELPER_PROCESS_H */
