/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The registry: which drivers this binary has, and the exports that were made
 * with them.
 *
 * It is in every binary with VirtFS, the drivers only in those with a 9p
 * device. Therefore it knows a driver by what that said of itself
 * (fs_driver_register), and an export by its struct: nothing here calls into
 * hw/9pfs but through FsDriver.
 */
#include "qemu/osdep.h"
#include "qapi/clone-visitor.h"
#include "qapi/error.h"
#include "qapi/qapi-builtin-visit.h"
#include "qapi/qapi-visit-fsdev.h"
#include "qemu/id.h"
#include "qemu/main-loop.h"
#include "qemu/queue.h"
#include "hw/9pfs/fs/driver.h"
#include "hw/qdev-core.h"
#include "fsdev/qemu-fsdev.h"

/* xattr fids that a guest may have open at once, unless max_xattr says more */
#define MAX_XATTR_DEFAULT   1024

static const FsDriver *drivers[FSDEV_DRIVER__MAX];

static QTAILQ_HEAD(, FsExport) exports = QTAILQ_HEAD_INITIALIZER(exports);

void fs_driver_register(const FsDriver *driver)
{
    assert(!drivers[driver->type]);
    drivers[driver->type] = driver;
}

bool fsdev_driver_present(FsdevDriver type)
{
    return drivers[type] != NULL;
}

struct FsExport *fsdev_find(const char *id)
{
    FsExport *fs;

    QTAILQ_FOREACH(fs, &exports, next) {
        if (!strcmp(fs->id, id)) {
            break;
        }
    }
    return fs;
}

struct FsExport *fsdev_next(struct FsExport *fs)
{
    return fs ? QTAILQ_NEXT(fs, next) : QTAILQ_FIRST(&exports);
}

typedef struct DeviceSearch {
    const FsExport *fs;
    strList **tail;
} DeviceSearch;

/* @obj's name, if it is a device on the export */
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
        /* Users know the device by that of the bus that it is on. */
        bus = qdev_get_parent_bus(DEVICE(obj));
        dev = bus && bus->parent ? bus->parent : DEVICE(obj);
        QAPI_LIST_APPEND(search->tail, qdev_get_human_name(dev));
    }
    return 0;
}

strList *fsdev_devices(const struct FsExport *fs)
{
    strList *devices = NULL;
    DeviceSearch search = { .fs = fs, .tail = &devices };

    object_child_foreach_recursive(object_get_root(), find_device, &search);
    return devices;
}

static void fsdev_free(FsExport *fs)
{
    qapi_free_FsdevOptions(fs->opts);
    g_free(fs->id);
    g_free(fs);
}

struct FsExport *fsdev_add(const FsdevOptions *opts, Error **errp)
{
    FsExport *fs;

    if (!id_wellformed(opts->id)) {
        error_setg(errp, "id '%s' is not an identifier: it must consist of "
                   "letters, digits, '-', '.' and '_', and start with a "
                   "letter", opts->id);
        return NULL;
    }
    if (fsdev_find(opts->id)) {
        error_setg(errp, "id '%s' is another fsdev's already", opts->id);
        return NULL;
    }
    if (!fsdev_driver_present(opts->fsdriver)) {
        error_setg(errp, "driver '%s' is not in this QEMU binary",
                   FsdevDriver_str(opts->fsdriver));
        return NULL;
    }

    fs = g_new0(FsExport, 1);
    fs->id = g_strdup(opts->id);
    fs->opts = QAPI_CLONE(FsdevOptions, opts);
    fs->driver = drivers[opts->fsdriver];
    fs->ctx = qemu_get_aio_context();
    fs->readonly = opts->has_readonly && opts->readonly;
    fs->max_xattr = opts->has_max_xattr ? opts->max_xattr : MAX_XATTR_DEFAULT;
    fs->multidevs = opts->has_multidevs ? opts->multidevs
                                        : FSDEV_MULTIDEVS_REMAP;
    if (!fs->driver->open(fs, opts, errp)) {
        fsdev_free(fs);
        return NULL;
    }
    QTAILQ_INSERT_TAIL(&exports, fs, next);
    fsdev_watch_helper(fs);
    return fs;
}

bool fsdev_del(const char *id, Error **errp)
{
    FsExport *fs = fsdev_find(id);
    g_autoptr(strList) devices = NULL;
    g_autoptr(GString) names = NULL;
    strList *name;

    if (!fs) {
        error_setg(errp, "there is no fsdev with id '%s'", id);
        return false;
    }
    if (fs->users) {
        devices = fsdev_devices(fs);
        names = g_string_new(NULL);
        for (name = devices; name; name = name->next) {
            g_string_append_printf(names, "%s'%s'",
                                   name == devices ? ": " : ", ", name->value);
        }
        error_setg(errp, "fsdev '%s' is in use by %u device%s%s", id,
                   fs->users, fs->users == 1 ? "" : "s", names->str);
        return false;
    }
    QTAILQ_REMOVE(&exports, fs, next);
    fs->driver->close(fs);
    notifier_remove(&fs->helper_notifier);
    fsdev_free(fs);
    return true;
}
