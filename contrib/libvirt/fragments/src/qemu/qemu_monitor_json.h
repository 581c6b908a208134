/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Fragment: pieces for a file of libvirt (edits.toml). */

/* graft: fsdev */
int
qemuMonitorJSONAddFsdev(qemuMonitor *mon,
                        virJSONValue **props);

int
qemuMonitorJSONRemoveFsdev(qemuMonitor *mon,
                           const char *id);
