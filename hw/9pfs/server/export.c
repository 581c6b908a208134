/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The server's state of an export: see export.h.
 */
#include "qemu/osdep.h"
#include "export.h"

static FsdevMessageStatsList *query_messages(const P9Export *export)
{
    FsdevMessageStatsList *list = NULL;
    FsdevMessageStatsList **tail = &list;
    unsigned i;

    for (i = 0; i < P9_MESSAGES; i++) {
        const P9MessageStats *from = &export->messages[i];
        FsdevMessageStats *stats;

        if (!from->name) {
            continue;
        }
        stats = g_new0(FsdevMessageStats, 1);
        stats->message = g_strdup(from->name);
        stats->count = from->count;
        stats->errors = from->errors;
        stats->total_time_ns = from->total_ns;
        stats->max_time_ns = from->max_ns;
        QAPI_LIST_APPEND(tail, stats);
    }
    return list;
}

static void p9_export_query(FsServerState *state, FsdevInfo *info)
{
    P9Export *export = container_of(state, P9Export, state);

    info->in_flight = export->in_flight;
    info->open_xattrs = export->open_xattr;
    info->fids = export->fids;
    info->messages = query_messages(export);
}

static void p9_export_free(FsServerState *state)
{
    P9Export *export = container_of(state, P9Export, state);

    p9_qid_map_destroy(&export->qids);
    g_free(export);
}

P9Export *p9_export_get(FsExport *fs)
{
    P9Export *export;

    if (fs->server) {
        return container_of(fs->server, P9Export, state);
    }
    export = g_new0(P9Export, 1);
    export->state.query = p9_export_query;
    export->state.free = p9_export_free;
    export->fs = fs;
    fs->server = &export->state;
    return export;
}
