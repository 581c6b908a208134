/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Records of fids and of locks: see state-fids.c. Export's thread.
 */
#ifndef HW_9PFS_SERVER_STATE_FIDS_H
#define HW_9PFS_SERVER_STATE_FIDS_H

#include "fsdev/shared/marshal.h"
#include "state-in.h"

/* What is wrong with a record of the wrong length or with impossible fields */
#define P9_LOAD_MALFORMED "its fields are not those of its type"

/*
 * Each reads the fields of one record and returns NULL, or what is wrong with
 * it.
 */
const char *p9_load_attach(P9StateLoad *l, MarshalReader *r);
const char *p9_load_fid(P9StateLoad *l, MarshalReader *r);
const char *p9_load_xattr(P9StateLoad *l, MarshalReader *r);
const char *p9_load_lock_owner(P9StateLoad *l, MarshalReader *r);
const char *p9_load_lock_range(P9StateLoad *l, MarshalReader *r);
const char *p9_load_lock_use(P9StateLoad *l, MarshalReader *r);

#endif /* HW_9PFS_SERVER_STATE_FIDS_H */
