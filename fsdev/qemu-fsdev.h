/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The registry of fsdevs: what -fsdev and -virtfs made, by id.
 *
 * The command line is taken apart when it is met (registry/options.c) and the
 * exports are made later, in order, by fsdev_create_all(), because a driver
 * may need what other options set up.
 */
#ifndef FSDEV_QEMU_FSDEV_H
#define FSDEV_QEMU_FSDEV_H

#include "qapi/qapi-types-fsdev.h"

struct FsExport;

/*
 * Arguments of -fsdev and -virtfs: key=value,... or JSON. Both report what is
 * wrong, naming the key and the value, and exit; "help" lists the drivers.
 */
void fsdev_option(const char *optarg);
void virtfs_option(const char *optarg);

/* Makes all queued exports; reports the first error and exits. */
void fsdev_create_all(void);

/* Makes one export. NULL with an error when it cannot be made. */
struct FsExport *fsdev_add(const FsdevOptions *opts, Error **errp);

/*
 * Ends an export that no device uses: frees its nodes and closes its driver.
 * An error if there is none of that id, or a device uses it.
 */
bool fsdev_del(const char *id, Error **errp);

/* All exports: the one that was made after @fs, the first after NULL. */
struct FsExport *fsdev_next(struct FsExport *fs);

/*
 * What uses the export: names of the devices, which are ids, or QOM paths
 * where they have none.
 */
strList *fsdev_devices(const struct FsExport *fs);

/* Has the events of its helper sent (registry/qmp.c). */
void fsdev_watch_helper(struct FsExport *fs);

/* The export of that id, or NULL. */
struct FsExport *fsdev_find(const char *id);

/* Whether the driver is in this binary */
bool fsdev_driver_present(FsdevDriver type);

#endif /* FSDEV_QEMU_FSDEV_H */
