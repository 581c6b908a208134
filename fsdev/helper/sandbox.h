/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The sandbox: a world that holds the export and nothing else.
 */
#ifndef HELPER_SANDBOX_H
#define HELPER_SANDBOX_H

#include "qemu/osdep.h"

/*
 * Puts this process into its own mount, network, IPC and UTS namespaces.
 * Of the file systems only a copy of the mounts at @export (an O_PATH
 * descriptor, closed here) is left, as the root directory: without devices
 * and set-id programs, and read-only if @readonly. Mounts made on the host
 * later do not show up in it.
 *
 * The working directory becomes /proc/self/fd of this process, which is not
 * in the name space: HostFs.fd_prefix is "".
 *
 * Returns an O_PATH descriptor of the root. Ends the process on error.
 */
int sandbox_enter(int export, bool readonly);

/*
 * Closes every descriptor but the standard ones and @keep, and opens
 * /dev/null in the place of stdin, stdout and a missing stderr.
 */
void sandbox_close_files(int keep);

#endif /* HELPER_SANDBOX_H */
