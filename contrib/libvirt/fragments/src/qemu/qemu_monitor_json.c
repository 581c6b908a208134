/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Fragment: pieces for a file of libvirt (edits.toml). */

/* graft: prototypes */
static void qemuMonitorJSONHandleFsdevHelperFound(qemuMonitor *mon, virJSONValue *data);
static void qemuMonitorJSONHandleFsdevHelperLost(qemuMonitor *mon, virJSONValue *data);

/* graft: events */
    { "FSDEV_HELPER_FOUND", qemuMonitorJSONHandleFsdevHelperFound, },
    { "FSDEV_HELPER_LOST", qemuMonitorJSONHandleFsdevHelperLost, },

/* graft: handlers */
static void
qemuMonitorJSONHandleFsdevHelperFound(qemuMonitor *mon, virJSONValue *data)
{
    const char *id = virJSONValueObjectGetString(data, "id");

    if (!id) {
        VIR_WARN("missing id in FSDEV_HELPER_FOUND event");
        return;
    }

    qemuMonitorEmitFsdevHelper(mon, id, NULL);
}


static void
qemuMonitorJSONHandleFsdevHelperLost(qemuMonitor *mon, virJSONValue *data)
{
    const char *id = virJSONValueObjectGetString(data, "id");
    const char *reason = virJSONValueObjectGetString(data, "reason");

    if (!id || virStringIsEmpty(reason)) {
        VIR_WARN("missing id or reason in FSDEV_HELPER_LOST event");
        return;
    }

    qemuMonitorEmitFsdevHelper(mon, id, reason);
}

/* graft: fsdev */
/* Runs a command whose answer has no content. */
static int
qemuMonitorJSONFsdevCommand(qemuMonitor *mon,
                            virJSONValue *cmd)
{
    g_autoptr(virJSONValue) reply = NULL;

    if (!cmd)
        return -1;

    if (qemuMonitorJSONCommand(mon, cmd, &reply) < 0)
        return -1;

    return qemuMonitorJSONCheckError(cmd, reply);
}


int
qemuMonitorJSONAddFsdev(qemuMonitor *mon,
                        virJSONValue **props)
{
    g_autoptr(virJSONValue) cmd = NULL;

    cmd = qemuMonitorJSONMakeCommandInternal("fsdev-add", props);

    return qemuMonitorJSONFsdevCommand(mon, cmd);
}


int
qemuMonitorJSONRemoveFsdev(qemuMonitor *mon,
                           const char *id)
{
    g_autoptr(virJSONValue) cmd = NULL;

    cmd = qemuMonitorJSONMakeCommand("fsdev-del",
                                     "s:id", id,
                                     NULL);

    return qemuMonitorJSONFsdevCommand(mon, cmd);
}
