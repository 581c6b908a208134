/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Text for the user's terminal.
 */
#ifndef FSDEV_MAPPED_TEXT_H
#define FSDEV_MAPPED_TEXT_H

/*
 * From time to time, if stderr is a terminal, and stdout none: how far the work
 * is. Whoever writes another line calls mapped_progress_end() first.
 */
void mapped_progress(uint64_t files);
void mapped_progress_end(void);

#endif /* FSDEV_MAPPED_TEXT_H */
