/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The sandbox: the server sees a file system that holds only the export.
 */
#ifndef FSDEV_HELPER_SANDBOX_H
#define FSDEV_HELPER_SANDBOX_H

#include "qemu/osdep.h"

/* --sandbox */
typedef enum Sandbox {
    SANDBOX_NAMESPACE,          /* its own namespaces, see below */
    SANDBOX_CHROOT,             /* only the export as root directory */
    SANDBOX_NONE,               /* only the checks of each lookup */
} Sandbox;

/*
 * SANDBOX_NAMESPACE moves this process into its own mount, network, IPC, UTS
 * and cgroup namespaces. The only file systems in it are a copy of the mounts
 * at @export, as the root directory: without devices and set-id programs, and
 * read-only if @readonly. What the host mounts and unmounts below the export
 * later comes and goes, too, if the host's mounts are shared: mounts.h. @export
 * is an O_PATH descriptor, whose ownership passes.
 *
 * SANDBOX_CHROOT is for places without namespaces (a container, a chroot that
 * is no mount point). The mounts are the host's, and the working directory
 * leads to the rest of /proc. With @readonly the export is a read-only copy of
 * the mounts, attached nowhere; where the helper may not make one, it ends.
 *
 * The working directory becomes /proc/self/fd of this process, so
 * HostFs.fd_prefix is "" in every case.
 *
 * Returns an O_PATH descriptor of the export's root, and in *@mounts one of
 * /proc/self/mountinfo, or -1 where the mounts are the host's. Ends the process
 * on error.
 */
int sandbox_enter(Sandbox sandbox, int export, bool readonly, int *mounts);

/* What each mount of the export has: MOUNT_ATTR_* of mount_setattr(2) */
uint64_t sandbox_mount_attr(bool readonly);

/*
 * A mount of the directory @dir alone, attached nowhere, with the ids of the
 * user namespace @userns: an O_PATH descriptor, or -1 if that is not possible.
 */
int sandbox_clone_mapped(int dir, int userns);

/*
 * Closes every descriptor except the standard ones and @keep, and opens
 * /dev/null in place of stdin, stdout and a missing stderr.
 */
void sandbox_close_files(int keep);

#endif /* FSDEV_HELPER_SANDBOX_H */
