/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The content of regular files.
 */
#ifndef FSDEV_MAPPED_DATA_H
#define FSDEV_MAPPED_DATA_H

/* How much from @at on is a hole in a file of @size bytes; 0 if it is data */
uint64_t mapped_hole_at(int fd, uint64_t at, uint64_t size);

/* False, with errno set, if not all was written. */
bool mapped_write_all(int fd, const char *buf, size_t len, off_t at);

/*
 * Copies the content of @from, with its holes, into the new file @to. Returns 0
 * or -errno; *@reading tells which file the error is of.
 */
int mapped_copy_data(int from, int to, uint64_t size, bool *reading);

#endif /* FSDEV_MAPPED_DATA_H */
