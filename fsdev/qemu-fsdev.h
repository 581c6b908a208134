/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What system/vl.c needs of the registry of fsdevs: -fsdev and -virtfs.
 *
 * The command line is parsed where it is met (registry/options.c). The exports
 * are made later, in order, by fsdev_create_all(), because a driver may need
 * what other options set up.
 */
#ifndef FSDEV_QEMU_FSDEV_H
#define FSDEV_QEMU_FSDEV_H

/*
 * Arguments of -fsdev and -virtfs: key=value,... or JSON. Both report what is
 * wrong, naming the key and the value, and exit; "help" lists the drivers.
 */
void fsdev_option(const char *optarg);
void virtfs_option(const char *optarg);

/* Makes all queued exports; reports the first error and exits. */
void fsdev_create_all(void);

#endif /* FSDEV_QEMU_FSDEV_H */
