/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The records of a session that is loaded: see state-records.c. Export's
 * thread.
 */
#ifndef HW_9PFS_SERVER_STATE_RECORDS_H
#define HW_9PFS_SERVER_STATE_RECORDS_H

#include "fsdev/shared/marshal.h"
#include "state-in.h"

/*
 * Reads the fields of one record: NULL, or what is wrong with it, unless l->err
 * says so.
 */
const char *p9_load_record(P9StateLoad *l, uint8_t type, MarshalReader *r);

#endif /* HW_9PFS_SERVER_STATE_RECORDS_H */
