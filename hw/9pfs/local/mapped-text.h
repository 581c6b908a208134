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
int local_metadata_read(int fd, LocalView *view);
int local_metadata_write(int fd, const LocalView *view);

#endif /* HW_9PFS_LOCAL_MAPPED_TEXT_H */
