/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Fragment: pieces for a file of libvirt (edits.toml). */

/* graft: include */
#include "qemu_virtfs_helper.h"
#include "qemu_virtfs_proxy.h"

/* graft: prepare */
        if (fs->fsdriver == VIR_DOMAIN_FS_DRIVER_TYPE_PROXY &&
            qemuVirtFSHelperPrepareDomain(fs, vm->def->emulator,
                                          driver->privileged) < 0)
            return -1;

/* graft: start */
        if (fs->fsdriver == VIR_DOMAIN_FS_DRIVER_TYPE_PROXY && !fs->sock &&
            qemuVirtFSProxyStart(driver, vm, fs) < 0)
            return -1;

/* graft: stop */
    qemuVirtFSProxyStopAll(driver, vm);

/* graft: has */
        if (fs->fsdriver == VIR_DOMAIN_FS_DRIVER_TYPE_PROXY)
            return true;

/* graft: cgroup */
        if (fs->fsdriver == VIR_DOMAIN_FS_DRIVER_TYPE_PROXY && !fs->sock &&
            qemuVirtFSProxySetupCgroup(vm, fs) < 0)
            return -1;
