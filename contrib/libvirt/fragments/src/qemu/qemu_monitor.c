/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Fragment: pieces for a file of libvirt (edits.toml). */

/* graft: event */
void
qemuMonitorEmitFsdevHelper(qemuMonitor *mon,
                           const char *id,
                           const char *reason)
{
    VIR_DEBUG("mon=%p", mon);

    QEMU_MONITOR_CALLBACK(mon, domainFsdevHelper, mon->vm, id, reason);
}

/* graft: fsdev */
int
qemuMonitorAddFsdev(qemuMonitor *mon,
                    virJSONValue **props)
{
    QEMU_CHECK_MONITOR(mon);

    return qemuMonitorJSONAddFsdev(mon, props);
}


int
qemuMonitorRemoveFsdev(qemuMonitor *mon,
                       const char *id)
{
    VIR_DEBUG("id=%s", id);

    QEMU_CHECK_MONITOR(mon);

    return qemuMonitorJSONRemoveFsdev(mon, id);
}
