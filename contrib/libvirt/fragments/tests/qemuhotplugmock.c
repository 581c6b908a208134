/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Fragment: pieces for a file of libvirt (edits.toml). */

/* graft: include */
#include "qemu/qemu_virtfs_proxy.h"

/* graft: start */
/* There is no helper: its socket is some descriptor. */
int
qemuVirtFSProxyStart(virQEMUDriver *driver G_GNUC_UNUSED,
                     virDomainObj *vm G_GNUC_UNUSED,
                     virDomainFSDef *fs)
{
    int fd = open("/dev/null", O_RDWR);

    QEMU_DOMAIN_FS_PRIVATE(fs)->proxyfd = qemuFDPassDirectNew("virtfs-proxy-test", &fd);
    return 0;
}
