/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * For qtests of the virtio-9p device: a folder of the host that it serves, and
 * the processes that serve it.
 */
#ifndef TESTS_VIRTIO_9P_HOST_H
#define TESTS_VIRTIO_9P_HOST_H

#include "libqos/virtio-9p-client.h"

/*
 * Makes an empty folder in the current one, which so decides on the file
 * system, and has the device serve it: @fsdev is the -fsdev option's value with
 * "%s" in place of the folder. Returns the folder's absolute path, which lives
 * until the test is over; then the folder is removed.
 */
char *p9_host_folder(GString *cmd_line, const char *fsdev);

/* QEMU refuses this -fsdev at once, and says @error among other things. */
void p9_host_start_fails(const char *fsdev, const char *error);

/* Sends @sig to the helpers: all processes that descend from QEMU's. */
void p9_host_signal_helpers(int sig);

/*
 * open(2) flags of QEMU's descriptor of the file @path, an absolute one, that
 * is no handle (O_PATH); -1 if there is none.
 */
int p9_host_open_flags(const char *path);

/*
 * The next QEMU, which is to be started with this command line, and its helper
 * may have @n descriptors each; and all that are started later as many as there
 * are again.
 */
void p9_host_limit_descriptors(GString *cmd_line, unsigned n);
void p9_host_unlimit_descriptors(void);

/* Open descriptors of QEMU and of its helpers, all together */
unsigned p9_host_descriptors(void);

/*
 * Waits until they are not more than @before any more: some are closed a
 * little after the last use of what they belong to.
 */
void p9_host_wait_descriptors(unsigned before);

#endif
