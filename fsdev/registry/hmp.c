/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * "info fsdev" of the human monitor: the answer of query-fsdevs as text.
 */
#include "qemu/osdep.h"
#include "qapi/qapi-commands-fsdev.h"
#include "qemu/module.h"
#include "monitor/hmp.h"
#include "monitor/monitor.h"

static void print_helper(Monitor *mon, const FsdevHelperInfo *helper)
{
    const FsdevHelperFeatureList *feature;

    monitor_printf(mon, "  helper: %s, protocol %" PRIu32,
                   FsdevConnection_str(helper->connection), helper->protocol);
    if (helper->has_process) {
        monitor_printf(mon, ", process %" PRId64, helper->process);
    } else if (helper->has_pid) {
        monitor_printf(mon, ", its process id %" PRIu32, helper->pid);
    }
    for (feature = helper->features; feature; feature = feature->next) {
        monitor_printf(mon, ", %s", FsdevHelperFeature_str(feature->value));
    }
    if (helper->lost) {
        monitor_printf(mon, "; lost %" PRIu64 " times", helper->lost);
    }
    monitor_printf(mon, "\n");
}

static void print_messages(Monitor *mon, const FsdevMessageStatsList *list)
{
    if (list) {
        monitor_printf(mon, "  %-12s %12s %10s %12s %12s\n", "message",
                       "count", "errors", "mean us", "max us");
    }
    for (; list; list = list->next) {
        const FsdevMessageStats *stats = list->value;
        uint64_t mean = stats->count ? stats->total_time_ns / stats->count : 0;

        monitor_printf(mon, "  %-12s %12" PRIu64 " %10" PRIu64
                       " %12.1f %12.1f\n", stats->message, stats->count,
                       stats->errors, mean / 1e3, stats->max_time_ns / 1e3);
    }
}

static void print_fsdev(Monitor *mon, const FsdevInfo *info)
{
    const strList *name;

    monitor_printf(mon, "%s: %s", info->id, FsdevDriver_str(info->fsdriver));
    if (info->path) {
        monitor_printf(mon, ", path %s", info->path);
    }
    if (info->socket) {
        monitor_printf(mon, ", socket %s", info->socket);
    }
    monitor_printf(mon, "%s\n", info->readonly ? ", read-only" : "");
    monitor_printf(mon, "  devices:");
    for (name = info->devices; name; name = name->next) {
        monitor_printf(mon, " %s", name->value);
    }
    monitor_printf(mon, "%s", info->devices ? "" : " none");
    if (info->iothread) {
        monitor_printf(mon, ", iothread %s", info->iothread);
    }
    monitor_printf(mon, "\n");
    if (!info->migratable) {
        monitor_printf(mon, "  cannot be migrated while mounted: %s\n",
                       info->migration_blocker);
    }
    if (info->helper) {
        print_helper(mon, info->helper);
    }
    monitor_printf(mon, "  fids %" PRIu32 " of %" PRIu32 "\n", info->fids,
                   info->max_fids);
    monitor_printf(mon, "  nodes %" PRIu64 ", names %" PRIu64 ", open files %"
                   PRIu64 ", open xattrs %" PRIu32 ", in flight %" PRIu32 "\n",
                   info->nodes, info->names, info->open_files,
                   info->open_xattrs, info->in_flight);
    if (info->descriptors) {
        const FsdevDescriptors *d = info->descriptors;

        monitor_printf(mon, "  descriptors of all fsdevs: handles %" PRIu32
                       " of %" PRIu32 ", files %" PRIu32 ", both of %" PRIu32
                       ", closed for room %" PRIu64 "\n", d->handles,
                       d->handles_max, d->files, d->max, d->closed);
    }
    print_messages(mon, info->messages);
}

static void hmp_info_fsdev(Monitor *mon, const QDict *qdict)
{
    g_autoptr(FsdevInfoList) list = qmp_query_fsdevs(NULL);
    const FsdevInfoList *at;

    for (at = list; at; at = at->next) {
        print_fsdev(mon, at->value);
    }
}

static void fsdev_hmp_init(void)
{
    monitor_register_hmp("fsdev", true, hmp_info_fsdev);
}
type_init(fsdev_hmp_init);
