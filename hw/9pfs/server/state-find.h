/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Finding the files of a session that is loaded: see state-find.c. Main thread.
 */
#ifndef HW_9PFS_SERVER_STATE_FIND_H
#define HW_9PFS_SERVER_STATE_FIND_H

#include "state-in.h"

/* Looks up l->find_dev, and completes the last device. */
void p9_load_find_dev(P9StateLoad *l);

/* Finds all files, or sets l->err. */
void p9_load_find(P9StateLoad *l);

#endif /* HW_9PFS_SERVER_STATE_FIND_H */
