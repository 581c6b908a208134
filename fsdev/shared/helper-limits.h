/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Bounds of the helper's options. The helper checks them, and QEMU does before
 * it starts a helper.
 */
#ifndef FSDEV_SHARED_HELPER_LIMITS_H
#define FSDEV_SHARED_HELPER_LIMITS_H

#define THREADS_DEFAULT         4
#define THREADS_MAX             64

/* Open files: fewer leave no room for a client, more have no use */
#define FILES_MIN               256
#define FILES_MAX               (1024 * 1024)

/* MiB */
#define MEMORY_MAX              (1024 * 1024)

#endif /* FSDEV_SHARED_HELPER_LIMITS_H */
