/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Closing the files that the helper opened for QEMU.
 *
 * To close a file may ask its server, so it needs a thread of the budget
 * (shared/thread-budget.h). If the file system has its share, the file waits:
 * each request that ends later tries again. All sessions have one list, with a
 * place for each file from before it is opened until it is closed. So one
 * number bounds them, whichever client had them opened.
 *
 * All functions are thread-safe.
 */
#ifndef FSDEV_HELPER_TO_CLOSE_H
#define FSDEV_HELPER_TO_CLOSE_H

#include "fsdev/shared/thread-budget.h"

typedef struct ToClose ToClose;

/* With @places for files; @budget stays the caller's. */
ToClose *to_close_new(ThreadBudget *budget, unsigned places);
/* No file waits. */
void to_close_free(ToClose *t);

/* Takes a place for a file that is to be opened. False if there is none. */
bool to_close_reserve(ToClose *t);
/* Gives it back: nothing was opened. */
void to_close_unreserve(ToClose *t);

/* Closes the file @fd on @dev, or lets it wait for that. */
void to_close_file(ToClose *t, int fd, uint64_t dev);

/* Closes the files that waited and may be closed now. */
void to_close_waiting(ToClose *t);

/* How many wait */
unsigned to_close_count(ToClose *t);

#endif /* FSDEV_HELPER_TO_CLOSE_H */
