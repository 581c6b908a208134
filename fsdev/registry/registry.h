/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The registry of fsdevs: what -fsdev, -virtfs and fsdev-add made, by id. All
 * of it belongs to the main thread.
 */
#ifndef FSDEV_REGISTRY_REGISTRY_H
#define FSDEV_REGISTRY_REGISTRY_H

#include "qemu/notify.h"
#include "qemu/queue.h"
#include "qapi/qapi-types-fsdev.h"
#include "hw/9pfs/fs/export.h"

/*
 * What the registry keeps of an export. The export itself is what drivers and
 * the server see.
 */
typedef struct FsdevRecord {
    FsExport fs;
    FsdevOptions *opts;         /* what it was made of */
    Notifier helper_notifier;
    uint64_t helpers_lost;      /* how often its helper was lost */
    QTAILQ_ENTRY(FsdevRecord) next;
} FsdevRecord;

/* Makes one export. Returns false with an error when it cannot be made. */
bool fsdev_add(const FsdevOptions *opts, Error **errp);

/*
 * Ends an export that no device uses: frees its nodes and closes its driver.
 * An error if there is none of that id, or a device uses it.
 */
bool fsdev_del(const char *id, Error **errp);

/* The export of that id, or NULL */
FsExport *fsdev_find(const char *id);

/* All records: the one that was made after @record, the first after NULL */
FsdevRecord *fsdev_next(FsdevRecord *record);

/*
 * The devices that use the export: their ids, or QOM paths where they have
 * none.
 */
strList *fsdev_devices(const FsExport *fs);

#endif /* FSDEV_REGISTRY_REGISTRY_H */
