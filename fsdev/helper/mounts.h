/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The host's mounts below the export while the helper serves it.
 *
 * The helper's mounts are copies that follow the host's (mount_namespaces(7),
 * slave mounts): what the host mounts or unmounts below the export, it mounts
 * or unmounts in the helper's namespace, too. The kernel copies the host's
 * options. So a process of the helper adds those of the export's other mounts.
 *
 * The host's unmounting does not reach all copies: not that of the export's own
 * mount, and none where the host's mounts are private. The supervisor, which
 * stays where the host's mounts are, keeps those open. The host then cannot
 * unmount them while the helper has a copy, and learns that they are in use.
 */
#ifndef FSDEV_HELPER_MOUNTS_H
#define FSDEV_HELPER_MOUNTS_H

#include "options.h"

/*
 * For the supervisor: opens the mounts below the directory @export that would
 * stay in the server's copy when the host unmounts them, and leaves them open.
 */
void mounts_hold(const Options *o, int export);

/*
 * Starts the process that restricts later mounts, if the host can make any that
 * reach this namespace. @mounts is a descriptor of /proc/PID/mountinfo, opened
 * with the export as the root directory, or -1; @root one of the export's
 * root. Returns when the process is ready, and has then written a byte to
 * @tell, which the process holds as long as it lives; it holds none of the @n
 * descriptors @others (or -1). It ends with this process, and this one ends if
 * it does not come that far. Ownership of @mounts and @tell passes.
 */
void mounts_watch(const Options *o, int mounts, int root, int tell,
                  const int *others, unsigned n);

#endif /* FSDEV_HELPER_MOUNTS_H */
