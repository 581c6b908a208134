/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The registry: all exports, by id, and the QMP events of their helpers.
 *
 * Every binary with VirtFS has it, and hw/9pfs/fs/. Only binaries with a 9p
 * device have the server and the drivers. The registry finds a driver by the
 * type that it registered (fs_driver_find()).
 */
#include "qemu/osdep.h"
#include "qapi/clone-visitor.h"
#include "qapi/error.h"
#include "qapi/qapi-builtin-visit.h"
#include "qapi/qapi-events-fsdev.h"
#include "qapi/qapi-visit-fsdev.h"
#include "qemu/id.h"
#include "qemu/main-loop.h"
#include "hw/9pfs/fs/export.h"
#include "hw/qdev-core.h"
#include "system/runstate.h"
#include "system/runstate-action.h"
#include "registry.h"

/* xattr fids that a guest may have open at once, if max_xattr is not given */
#define MAX_XATTR_DEFAULT   1024

static QTAILQ_HEAD(, FsdevRecord) records = QTAILQ_HEAD_INITIALIZER(records);

static FsdevRecord *record_find(const char *id)
{
    FsdevRecord *record;

    QTAILQ_FOREACH(record, &records, next) {
        if (!strcmp(record->fs.id, id)) {
            break;
        }
    }
    return record;
}

FsExport *fsdev_find(const char *id)
{
    FsdevRecord *record = record_find(id);

    return record && !record->opening ? &record->fs : NULL;
}

FsdevRecord *fsdev_next(FsdevRecord *record)
{
    do {
        record = record ? QTAILQ_NEXT(record, next) : QTAILQ_FIRST(&records);
    } while (record && record->opening);
    return record;
}

typedef struct DeviceSearch {
    const FsExport *fs;
    strList **tail;
} DeviceSearch;

/* Adds the name of @obj, if it is a device that uses the export. */
static int find_device(Object *obj, void *opaque)
{
    DeviceSearch *search = opaque;
    g_autofree char *id = NULL;
    DeviceState *dev;
    BusState *bus;

    if (!object_dynamic_cast(obj, "virtio-9p-device") ||
        !qdev_is_realized(DEVICE(obj))) {
        return 0;
    }
    id = object_property_get_str(obj, "fsdev", NULL);
    if (g_strcmp0(id, search->fs->id) == 0) {
        /* Users know the device by the name of the parent of its bus. */
        bus = qdev_get_parent_bus(DEVICE(obj));
        dev = bus && bus->parent ? bus->parent : DEVICE(obj);
        QAPI_LIST_APPEND(search->tail, qdev_get_human_name(dev));
    }
    return 0;
}

strList *fsdev_devices(const FsExport *fs)
{
    strList *devices = NULL;
    DeviceSearch search = { .fs = fs, .tail = &devices };

    object_child_foreach_recursive(object_get_root(), find_device, &search);
    return devices;
}

static void helper_changed(Notifier *notifier, void *data)
{
    FsdevRecord *record = container_of(notifier, FsdevRecord, helper_notifier);
    const FsHelperEvent *event = data;

    if (event->reconnected) {
        qapi_event_send_fsdev_helper_found(event->fs->id);
    } else {
        record->helpers_lost++;
        qapi_event_send_fsdev_helper_lost(event->fs->id, event->why);
    }
}

/* QEMU is about to end: no command may hold it up. */
static void on_shutdown(Notifier *notifier, void *data)
{
    FsdevRecord *record;

    if (shutdown_action == SHUTDOWN_ACTION_PAUSE) {
        return;
    }
    QTAILQ_FOREACH(record, &records, next) {
        record->fs.hurried = true;
        if (record->fs.hurry) {
            record->fs.hurry(record->fs.hurry_opaque);
        }
    }
}

static Notifier shutdown_notifier = { .notify = on_shutdown };

static void record_free(FsdevRecord *record)
{
    qapi_free_FsdevOptions(record->opts);
    g_free(record->fs.id);
    g_free(record);
}

static bool check_migration(const FsdevOptions *opts, Error **errp)
{
    if (opts->has_on_missing && opts->has_migration &&
        opts->migration == FSDEV_MIGRATION_OFF) {
        error_setg(errp, "on-missing=%s: not with migration=off",
                   FsdevOnMissing_str(opts->on_missing));
        return false;
    }
    if (opts->has_migration && opts->migration == FSDEV_MIGRATION_HANDLES &&
        opts->fsdriver == FSDEV_DRIVER_SYNTH) {
        error_setg(errp, "migration=handles: only with the drivers local and "
                   "proxy");
        return false;
    }
    return true;
}

bool fsdev_add(const FsdevOptions *opts, Error **errp)
{
    const FsDriver *driver = fs_driver_find(opts->fsdriver);
    FsdevRecord *record;
    FsExport *fs;

    if (!id_wellformed(opts->id)) {
        error_setg(errp, "id '%s' is not an identifier: it must consist of "
                   "letters, digits, '-', '.' and '_', and start with a "
                   "letter", opts->id);
        return false;
    }
    if (record_find(opts->id)) {
        error_setg(errp, "id '%s' is already in use", opts->id);
        return false;
    }
    if (opts->has_max_open_files && opts->max_open_files == 0) {
        error_setg(errp, "max-open-files=0: it must be at least 1");
        return false;
    }
    if (opts->has_max_fids &&
        (opts->max_fids == 0 || opts->max_fids > FS_FIDS_MAX)) {
        error_setg(errp, "max-fids=%" PRIu32 ": it must be from 1 to %d",
                   opts->max_fids, FS_FIDS_MAX);
        return false;
    }
    if (!check_migration(opts, errp)) {
        return false;
    }
    if (!driver) {
        error_setg(errp, "driver '%s' is not in this QEMU binary",
                   FsdevDriver_str(opts->fsdriver));
        return false;
    }

    record = g_new0(FsdevRecord, 1);
    record->opts = QAPI_CLONE(FsdevOptions, opts);
    fs = &record->fs;
    fs->id = g_strdup(opts->id);
    fs->driver = driver;
    fs->ctx = qemu_get_aio_context();
    fs->readonly = opts->has_readonly && opts->readonly;
    fs->max_xattr = opts->has_max_xattr ? opts->max_xattr : MAX_XATTR_DEFAULT;
    fs->max_open_files = opts->has_max_open_files ? opts->max_open_files : 0;
    fs->max_fids = opts->has_max_fids ? opts->max_fids : FS_FIDS_MAX;
    fs->multidevs = opts->has_multidevs ? opts->multidevs
                                        : FSDEV_MULTIDEVS_REMAP;
    fs->migration = opts->has_migration ? opts->migration
                                        : FSDEV_MIGRATION_AUTO;
    fs->has_on_missing = opts->has_on_missing;
    fs->on_missing = opts->on_missing;
    if (!shutdown_notifier.node.le_prev) {
        qemu_register_shutdown_notifier(&shutdown_notifier);
    }
    /* From here on, a coroutine may yield: the id is taken. */
    record->opening = true;
    QTAILQ_INSERT_TAIL(&records, record, next);
    if (!driver->open(fs, record->opts, errp)) {
        QTAILQ_REMOVE(&records, record, next);
        record_free(record);
        return false;
    }
    record->opening = false;
    record->helper_notifier.notify = helper_changed;
    notifier_list_add(&fs->on_helper, &record->helper_notifier);
    return true;
}

bool fsdev_del(const char *id, Error **errp)
{
    FsdevRecord *record = record_find(id);
    g_autoptr(strList) devices = NULL;
    g_autoptr(GString) names = NULL;
    strList *name;
    unsigned users;

    if (!record) {
        error_setg(errp, "there is no fsdev with id '%s'", id);
        return false;
    }
    if (record->opening) {
        error_setg(errp, "fsdev '%s' is still being added", id);
        return false;
    }
    users = record->fs.users;
    if (users) {
        devices = fsdev_devices(&record->fs);
        names = g_string_new(NULL);
        for (name = devices; name; name = name->next) {
            g_string_append_printf(names, "%s'%s'",
                                   name == devices ? ": " : ", ", name->value);
        }
        error_setg(errp, "fsdev '%s' is in use by %u device%s%s", id, users,
                   users == 1 ? "" : "s", names->str);
        return false;
    }
    QTAILQ_REMOVE(&records, record, next);
    record->fs.driver->close(&record->fs);
    notifier_remove(&record->helper_notifier);
    record_free(record);
    return true;
}
