/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The registry of fsdevs: the exports that -fsdev, -virtfs and fsdev-add made,
 * by id. All of it belongs to the main thread.
 */
#ifndef FSDEV_REGISTRY_REGISTRY_H
#define FSDEV_REGISTRY_REGISTRY_H

#include "qemu/notify.h"
#include "qemu/queue.h"
#include "qapi/qapi-types-fsdev.h"
#include "hw/9pfs/fs/export.h"

/*
 * The registry's record of an export. Drivers and the server see only the
 * export in it.
 */
typedef struct FsdevRecord {
    FsExport fs;
    FsdevOptions *opts;         /* the options that made it */
    bool opening;               /* its driver is not ready yet */
    Notifier helper_notifier;
    uint64_t helpers_lost;      /* how often its helper was lost */
    QTAILQ_ENTRY(FsdevRecord) next;
} FsdevRecord;

/*
 * Makes one export. Returns false with an error on failure. A coroutine yields
 * while the driver waits for a peer. Until it returns, the export has its id,
 * but nothing can use it.
 */
bool fsdev_add(const FsdevOptions *opts, Error **errp);

/*
 * Ends an export that no device uses: frees its nodes and closes its driver.
 * An error if no export has that id, or a device uses it.
 */
bool fsdev_del(const char *id, Error **errp);

/* The export with that id, or NULL if there is none or it is not ready */
FsExport *fsdev_find(const char *id);

/* The next record after @record of an export that is ready; NULL: the first */
FsdevRecord *fsdev_next(FsdevRecord *record);

/*
 * The devices that use the export: their ids, or their QOM paths if they have
 * no id.
 */
strList *fsdev_devices(const FsExport *fs);

#endif /* FSDEV_REGISTRY_REGISTRY_H */
