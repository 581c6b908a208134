/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Fragment: pieces for a file of libvirt (edits.toml). */

/* graft: callback */
typedef void (*qemuMonitorDomainFsdevHelperCallback)(qemuMonitor *mon,
                                                     virDomainObj *vm,
                                                     const char *id,
                                                     const char *reason);

/* graft: member */
    qemuMonitorDomainFsdevHelperCallback domainFsdevHelper;

/* graft: event */
/* @reason: why QEMU has lost the helper; NULL: it has found one again */
void qemuMonitorEmitFsdevHelper(qemuMonitor *mon,
                                const char *id,
                                const char *reason);

/* graft: fsdev */
int qemuMonitorAddFsdev(qemuMonitor *mon,
                        virJSONValue **props);

int qemuMonitorRemoveFsdev(qemuMonitor *mon,
                           const char *id);
