/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Security model mapped-file: the text of a metadata file. May block; any
 * thread.
 */
#ifndef HW_9PFS_LOCAL_MAPPED_TEXT_H
#define HW_9PFS_LOCAL_MAPPED_TEXT_H

#include "mapped.h"

/*
 * These read and write the view in an open metadata file: 0 or -errno. If the
 * file is too long, read returns a view without valid fields.
 */
int local_metadata_read(int fd, FsView *view);
#define LOCAL_TEXT_LONG         (1u << 0)       /* nothing of it counts */
#define LOCAL_TEXT_EMPTY        (1u << 1)
#define LOCAL_TEXT_NUL          (1u << 2)       /* what follows is ignored */
#define LOCAL_TEXT_NUMBER       (1u << 3)       /* a line without a number */
#define LOCAL_TEXT_UNKNOWN      (1u << 4)       /* a line of another kind */
#define LOCAL_TEXT_TWICE        (1u << 5)       /* two lines for one number */

/* As read, and what is wrong with the text (LOCAL_TEXT_*) */
int local_metadata_read_check(int fd, FsView *view, unsigned *faults);
int local_metadata_write(int fd, const FsView *view);
/*
 * Closes the file after that returned @ret: the first error. A file server may
 * refuse what was written only now.
 */
int local_metadata_close(int fd, int ret);

#endif /* HW_9PFS_LOCAL_MAPPED_TEXT_H */
