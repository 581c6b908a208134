/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The functions of the registry that system/vl.c calls: -fsdev and -virtfs.
 *
 * QEMU parses each option as it meets it (registry/options.c).
 * fsdev_create_all() makes the exports later, in order, because a driver may
 * need objects that other options make.
 */
#ifndef FSDEV_QEMU_FSDEV_H
#define FSDEV_QEMU_FSDEV_H

/*
 * Arguments of -fsdev and -virtfs: key=value,... or JSON. On an error, both
 * report the key and the value, and exit; "help" lists the drivers.
 */
void fsdev_option(const char *optarg);
void virtfs_option(const char *optarg);

/* Makes all queued exports; reports the first error and exits. */
void fsdev_create_all(void);

#endif /* FSDEV_QEMU_FSDEV_H */
