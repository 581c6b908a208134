/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The sandbox: a world that holds the export and nothing else.
 */
#ifndef FSDEV_HELPER_SANDBOX_H
#define FSDEV_HELPER_SANDBOX_H

#include "qemu/osdep.h"

typedef enum Sandbox {
    SANDBOX_NAMESPACE,          /* its own namespaces, see below */
    SANDBOX_CHROOT,             /* the export as root directory, only */
    SANDBOX_NONE,               /* nothing but the checks of each lookup */
} Sandbox;

/* Whether @name is one of --sandbox; sets *@sandbox. */
bool sandbox_parse(const char *name, Sandbox *sandbox);

/*
 * SANDBOX_NAMESPACE puts this process into its own mount, network, IPC, UTS
 * and cgroup namespaces. Of the file systems only a copy of the mounts at
 * @export (an O_PATH descriptor, which is this function's) is left, as the
 * root directory: without devices and set-id programs, and read-only if
 * @readonly. Mounts made on the host later do not show up in it.
 *
 * SANDBOX_CHROOT is for where namespaces cannot be had (a container, a chroot
 * that is no mount point). The mounts are the host's: only the helper itself
 * sees to @readonly, and its working directory leads to the rest of /proc.
 *
 * The working directory becomes /proc/self/fd of this process, so
 * HostFs.fd_prefix is "" in every case.
 *
 * Returns an O_PATH descriptor of the export's root. Ends the process on
 * error.
 */
int sandbox_enter(Sandbox sandbox, int export, bool readonly);

/*
 * Closes every descriptor but the standard ones and @keep, and opens
 * /dev/null in the place of stdin, stdout and a missing stderr.
 */
void sandbox_close_files(int keep);

#endif /* FSDEV_HELPER_SANDBOX_H */
