/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * P9Export: the server's state of an export. It lasts as long as the export,
 * across devices and sessions. All of it belongs to the export's thread.
 */
#ifndef HW_9PFS_SERVER_EXPORT_H
#define HW_9PFS_SERVER_EXPORT_H

#include "hw/9pfs/fs/export.h"
#include "qid.h"

/* Counters for one message type */
typedef struct P9MessageStats {
    const char *name;           /* NULL: there were no such messages */
    uint64_t count;             /* ended, with or without a reply */
    uint64_t errors;
    uint64_t total_ns;
    uint64_t max_ns;
} P9MessageStats;

/* Message types: the numbers of T-messages, and 0 for all unknown ones */
#define P9_MESSAGES     128

typedef struct P9Export {
    FsServerState state;
    FsExport *fs;
    P9QidMap qids;
    P9MessageStats messages[P9_MESSAGES];
    unsigned in_flight;         /* requests under way */
    uint32_t open_xattr;        /* xattr fids that are open */
    uint32_t fids;              /* of all devices */
} P9Export;

/*
 * The server's state of the export. The first call makes it, and it ends with
 * the export. Main thread.
 */
P9Export *p9_export_get(FsExport *fs);

#endif /* HW_9PFS_SERVER_EXPORT_H */
