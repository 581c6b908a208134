/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Shared file systems in QMP: fsdev-add, fsdev-del, query-fsdevs, and the
 * events of helpers that are lost and found.
 *
 * What is counted lies in the export (FsExport); what only a driver knows, it
 * adds itself (FsDriver.query). Both are looked at in the context that the
 * export runs in.
 */
#include "qemu/osdep.h"
#include "block/aio-wait.h"
#include "qapi/error.h"
#include "qapi/qapi-commands-fsdev.h"
#include "qapi/qapi-events-fsdev.h"
#include "hw/9pfs/fs/driver.h"
#include "fsdev/qemu-fsdev.h"

void qmp_fsdev_add(FsdevOptions *opts, Error **errp)
{
    fsdev_add(opts, errp);
}

void qmp_fsdev_del(const char *id, Error **errp)
{
    fsdev_del(id, errp);
}

static FsdevMessageStatsList *query_messages(const FsExport *fs)
{
    FsdevMessageStatsList *list = NULL;
    FsdevMessageStatsList **tail = &list;
    unsigned i;

    for (i = 0; i < FS_MESSAGES; i++) {
        const FsMessageStats *from = &fs->messages[i];
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

typedef struct FsdevQuery {
    FsExport *fs;
    FsdevInfo *info;
} FsdevQuery;

/* In the export's context */
static void query_figures(void *opaque)
{
    FsdevQuery *query = opaque;
    FsExport *fs = query->fs;
    FsdevInfo *info = query->info;

    info->readonly = fs->readonly;
    info->in_flight = fs->in_flight;
    info->messages = query_messages(fs);
    info->nodes = fs->nodes ? g_hash_table_size(fs->nodes) : 0;
    info->names = fs->entries ? g_hash_table_size(fs->entries) : 0;
    info->open_files = fs->open_files;
    info->open_xattrs = fs->open_xattr;
    if (fs->driver->query) {
        fs->driver->query(fs, info);
    }
}

static FsdevInfo *query_fsdev(FsExport *fs)
{
    FsdevInfo *info = g_new0(FsdevInfo, 1);
    FsdevQuery query = { .fs = fs, .info = info };
    const FsdevOptions *opts = fs->opts;

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
    info->devices = fsdev_devices(fs);
    info->iothread = g_strdup(fs->ctx_owner);
    if (in_aio_context_home_thread(fs->ctx)) {
        query_figures(&query);
    } else {
        aio_wait_bh_oneshot(fs->ctx, query_figures, &query);
    }
    if (info->helper) {
        if (fs->driver->helper_process) {
            info->helper->process = fs->driver->helper_process(fs);
            info->helper->has_process = info->helper->process != 0;
        }
        info->helper->lost = fs->helpers_lost;
    }
    return info;
}

FsdevInfoList *qmp_query_fsdevs(Error **errp)
{
    FsdevInfoList *list = NULL;
    FsdevInfoList **tail = &list;
    FsExport *fs;

    for (fs = fsdev_next(NULL); fs; fs = fsdev_next(fs)) {
        QAPI_LIST_APPEND(tail, query_fsdev(fs));
    }
    return list;
}

static void helper_changed(Notifier *notifier, void *data)
{
    const FsHelperEvent *event = data;

    if (event->found) {
        qapi_event_send_fsdev_helper_found(event->fs->id);
    } else {
        event->fs->helpers_lost++;
        qapi_event_send_fsdev_helper_lost(event->fs->id, event->why);
    }
}

void fsdev_watch_helper(struct FsExport *fs)
{
    fs->helper_notifier.notify = helper_changed;
    notifier_list_add(&fs->on_helper, &fs->helper_notifier);
}
