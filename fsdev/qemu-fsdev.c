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
#include "qapi/error.h"
#include "qemu/id.h"
#include "qemu/queue.h"
#include "hw/9pfs/fsdriver.h"
#include "qemu-fsdev.h"

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

static void fsdev_free(FsExport *fs)
{
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
    fs->driver = drivers[opts->fsdriver];
    fs->readonly = opts->has_readonly && opts->readonly;
    fs->max_xattr = opts->has_max_xattr ? opts->max_xattr : MAX_XATTR_DEFAULT;
    fs->multidevs = opts->has_multidevs ? opts->multidevs
                                        : FSDEV_MULTIDEVS_REMAP;
    if (!fs->driver->open(fs, opts, errp)) {
        fsdev_free(fs);
        return NULL;
    }
    QTAILQ_INSERT_TAIL(&exports, fs, next);
    return fs;
}

bool fsdev_del(const char *id, Error **errp)
{
    FsExport *fs = fsdev_find(id);

    if (!fs) {
        error_setg(errp, "there is no fsdev with id '%s'", id);
        return false;
    }
    if (fs->users) {
        error_setg(errp, "fsdev '%s' is in use by %u device%s", id, fs->users,
                   fs->users == 1 ? "" : "s");
        return false;
    }
    QTAILQ_REMOVE(&exports, fs, next);
    fs->driver->close(fs);
    fsdev_free(fs);
    return true;
}
