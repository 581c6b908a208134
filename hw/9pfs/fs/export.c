/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The parts of an export that are the same for each driver: see export.h.
 */
#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qemu/error-report.h"
#include "qemu/main-loop.h"
#include "driver.h"
#include "export.h"
#include "throttle.h"

bool fs_export_init(FsExport *fs, const FsdevOptions *opts, Error **errp)
{
    if (opts->throttling) {
        fs->throttle = fs_throttle_new(opts->throttling, errp);
        if (!fs->throttle) {
            return false;
        }
    }
    fs->ctx = qemu_get_aio_context();
    fs->closing = g_atomic_rc_box_new0(unsigned);
    fs_nodes_init(&fs->nodes);
    return true;
}

void fs_export_release(FsExport *fs)
{
    fs_nodes_destroy(&fs->nodes);
    g_clear_pointer(&fs->dirs, g_free);     /* no directory is open */
    g_clear_pointer(&fs->closing, g_atomic_rc_box_release);
    if (fs->server) {
        fs->server->free(fs->server);
        fs->server = NULL;
    }
    g_clear_pointer(&fs->throttle, fs_throttle_free);
    g_clear_pointer(&fs->xattrs.map, fs_xattr_map_free);
}

bool fs_export_parse_xattr_map(const char *rules, FsXattrMap **map,
                               Error **errp)
{
    g_autofree char *why = NULL;

    *map = rules ? fs_xattr_map_parse(rules, &why) : NULL;
    if (why) {
        error_setg(errp, "xattr-map: %s", why);
    }
    return !why;
}

bool fs_export_full(const FsExport *fs)
{
    return fs->nodes.alive >= 2 * (uint64_t)fs_export_max_fids(fs) + 1024;
}

int fs_export_open_begin(FsExport *fs)
{
    if (fs->max_open_files &&
        fs->nodes.open_files + fs->opening >= fs->max_open_files) {
        return -ENFILE;
    }
    fs->opening++;
    return 0;
}

void fs_export_open_end(FsExport *fs)
{
    fs->opening--;
}

int fs_export_admit_dev(FsExport *fs, uint64_t dev)
{
    if (fs->multidevs == FSDEV_MULTIDEVS_REMAP || dev == fs->root->dev) {
        return 0;
    }
    if (!fs->multidevs_warned) {
        fs->multidevs_warned = true;
        warn_report("fsdev '%s': the export covers several file systems%s",
                    fs->id, fs->multidevs == FSDEV_MULTIDEVS_FORBID
                    ? ", and multidevs=forbid hides all but the one of its "
                      "root" : "");
    }
    return fs->multidevs == FSDEV_MULTIDEVS_FORBID ? -EXDEV : 0;
}

const char *fs_export_why_not_saved(const FsExport *fs)
{
    if (fs->migration == FSDEV_MIGRATION_OFF) {
        return "has migration=off";
    }
    if (fs->driver->save_node) {
        return NULL;
    }
    return fs->driver->why_not_saved ?: "has a driver that cannot do it";
}

void fs_export_query(FsExport *fs, FsdevInfo *info)
{
    info->readonly = fs->readonly;
    info->nodes = fs_nodes_count(&fs->nodes);
    info->names = fs_nodes_count_entries(&fs->nodes);
    info->open_files = fs->nodes.open_files;
    info->has_max_open_files = fs->max_open_files != 0;
    info->max_open_files = fs->max_open_files;
    info->max_fids = fs_export_max_fids(fs);
    if (fs->server) {
        fs->server->query(fs->server, info);
    }
    if (fs->driver->query) {
        fs->driver->query(fs, info);
    }
}
