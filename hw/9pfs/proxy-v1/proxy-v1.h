/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The proxy driver with a helper that speaks protocol version 1.
 */
#ifndef HW_9PFS_PROXY_V1_PROXY_V1_H
#define HW_9PFS_PROXY_V1_PROXY_V1_H

#include "hw/9pfs/fs/export.h"
#include "hw/9pfs/proxy/launch.h"

/*
 * The protocol version to speak over @sock: what @opts ask for, and else what
 * the helper knows; it blocks while that is asked. -1 with an error.
 */
int proxy_v1_version(const FsdevProxyOptions *opts, int sock, Error **errp);

/*
 * The end of FsDriver.open, for version 1: takes over @peer and @sock, and puts
 * its own driver into @fs. On failure everything is undone, fs_export_init()
 * too.
 */
bool proxy_v1_open_export(FsExport *fs, const FsdevProxyOptions *opts,
                        ProxyPeer *peer, int sock, Error **errp);

#endif /* HW_9PFS_PROXY_V1_PROXY_V1_H */
