/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Shared file systems in QMP: fsdev-add, fsdev-del and query-fsdevs. The
 * export, its server and its driver each add their counters to the answer
 * (fs_export_query()), in the export's thread.
 */
#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qapi/qapi-commands-fsdev.h"
#include "hw/9pfs/fs/context.h"
#include "hw/9pfs/fs/export.h"
#include "registry.h"

void coroutine_fn qmp_fsdev_add(FsdevOptions *opts, Error **errp)
{
    fsdev_add(opts, errp);
}

void qmp_fsdev_del(const char *id, Error **errp)
{
    fsdev_del(id, errp);
}

typedef struct FsdevQuery {
    FsExport *fs;
    FsdevInfo *info;
} FsdevQuery;

/* In the export's thread */
static void query_counters(void *opaque)
{
    FsdevQuery *query = opaque;

    fs_export_query(query->fs, query->info);
}

static FsdevInfo *query_fsdev(FsdevRecord *record)
{
    FsExport *fs = &record->fs;
    FsdevInfo *info = g_new0(FsdevInfo, 1);
    FsdevQuery query = { .fs = fs, .info = info };
    const FsdevOptions *opts = record->opts;
    const char *why_not;

    info->id = g_strdup(fs->id);
    info->fsdriver = opts->fsdriver;
    switch (opts->fsdriver) {
    case FSDEV_DRIVER_LOCAL:
        info->path = g_strdup(opts->u.local.path);
        break;
    case FSDEV_DRIVER_PROXY:
        info->path = g_strdup(opts->u.proxy.path);
        info->socket = g_strdup(opts->u.proxy.socket);
        break;
    default:
        break;
    }
    why_not = fs_export_why_not_saved(fs);
    info->migratable = !why_not;
    if (why_not) {
        info->migration_blocker = g_strdup_printf("fsdev '%s' %s", fs->id,
                                                  why_not);
    }
    info->devices = fsdev_devices(fs);
    info->iothread = g_strdup(fs->ctx_owner);
    fs_context_run(fs->ctx, query_counters, &query);
    if (info->helper) {
        if (fs->driver->helper_process) {
            info->helper->process = fs->driver->helper_process(fs);
            info->helper->has_process = info->helper->process != 0;
        }
        info->helper->lost = record->helpers_lost;
    }
    return info;
}

FsdevInfoList *qmp_query_fsdevs(Error **errp)
{
    FsdevInfoList *list = NULL;
    FsdevInfoList **tail = &list;
    FsdevRecord *record;

    for (record = fsdev_next(NULL); record; record = fsdev_next(record)) {
        QAPI_LIST_APPEND(tail, query_fsdev(record));
    }
    return list;
}
