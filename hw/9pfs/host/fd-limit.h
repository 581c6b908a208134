/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The process's limit of descriptors, RLIMIT_NOFILE: how far exports raise it,
 * and what the rest of the process sees of that.
 *
 * The soft limit is raised while there are exports, and only in steps, as the
 * numbers of their descriptors grow. The last export to go takes the raise
 * back. From the first export on, children get the limit that this program
 * started with.
 *
 * From then on, the limit of the size of files (RLIMIT_FSIZE) is an error for
 * the guest, and does not end the process.
 */
#ifndef HW_9PFS_HOST_FD_LIMIT_H
#define HW_9PFS_HOST_FD_LIMIT_H

/*
 * There is an export more, or less. @files: how many files its guest may have
 * open; 0: as many as possible. Main thread.
 */
void host_limit_add(uint32_t files);
void host_limit_remove(uint32_t files);

/* The most that the exports may raise the limit to */
unsigned host_limit_most(void);

/* Raises the limit by a step. Returns false if that is impossible. */
bool host_limit_raise(void);

/* A descriptor has the number @fd: raises the limit if it is near. */
void host_limit_seen(int fd);

/*
 * Puts the O_PATH descriptor @fd, which is to stay open, out of the way of code
 * that needs low numbers. Returns its new number, or @fd.
 */
int host_limit_place(int fd);

#endif /* HW_9PFS_HOST_FD_LIMIT_H */
