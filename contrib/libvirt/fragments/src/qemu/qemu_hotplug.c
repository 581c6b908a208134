/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Fragment: pieces for a file of libvirt (edits.toml). */

/* graft: include */
#include "qemu_virtfs_helper.h"
#include "qemu_virtfs_proxy.h"

/* graft: attach */
static int
qemuDomainAttachFSProxyMonitor(virDomainObj *vm,
                               virDomainFSDef *fs,
                               virJSONValue **fsprops,
                               virJSONValue **devprops)
{
    qemuDomainObjPrivate *priv = vm->privateData;
    qemuDomainFSPrivate *fspriv = QEMU_DOMAIN_FS_PRIVATE(fs);
    g_autofree char *id = g_strdup_printf("%s%s", QEMU_FSDEV_HOST_PREFIX, fs->info.alias);
    virErrorPtr origErr = NULL;

    if (qemuFDPassDirectTransferMonitor(fspriv->proxyfd, priv->mon) < 0)
        return -1;

    if (qemuMonitorAddFsdev(priv->mon, fsprops) < 0) {
        virErrorPreserveLast(&origErr);
        qemuFDPassDirectTransferMonitorRollback(fspriv->proxyfd, priv->mon);
        virErrorRestore(&origErr);
        return -1;
    }

    if (qemuDomainAttachExtensionDevice(priv->mon, &fs->info) < 0)
        goto remove;

    if (qemuMonitorAddDeviceProps(priv->mon, devprops) < 0) {
        virErrorPreserveLast(&origErr);
        ignore_value(qemuDomainDetachExtensionDevice(priv->mon, &fs->info));
        virErrorRestore(&origErr);
        goto remove;
    }

    return 0;

 remove:
    virErrorPreserveLast(&origErr);
    ignore_value(qemuMonitorRemoveFsdev(priv->mon, id));
    virErrorRestore(&origErr);
    return -1;
}


static int
qemuDomainAttachFSProxy(virQEMUDriver *driver,
                        virDomainObj *vm,
                        virDomainFSDef *fs)
{
    qemuDomainObjPrivate *priv = vm->privateData;
    virDomainDeviceDef dev = { VIR_DOMAIN_DEVICE_FS, { .fs = fs } };
    g_autoptr(virJSONValue) fsprops = NULL;
    g_autoptr(virJSONValue) devprops = NULL;
    virErrorPtr origErr = NULL;
    bool releaseaddr = false;
    bool started = false;
    int ret = -1;

    if (qemuDomainEnsureVirtioAddress(&releaseaddr, vm, &dev) < 0)
        return -1;

    qemuAssignDeviceFSAlias(vm->def, fs);

    if (virDomainDeviceDefValidate(&dev, vm->def, 0, driver->xmlopt, priv->qemuCaps) < 0)
        goto cleanup;

    if (!fs->sock) {
        if (qemuVirtFSHelperPrepareDomain(fs, vm->def->emulator,
                                          driver->privileged) < 0 ||
            qemuVirtFSProxyStart(driver, vm, fs) < 0)
            goto cleanup;
        started = true;

        if (qemuVirtFSProxySetupCgroup(vm, fs) < 0)
            goto cleanup;
    }

    if (!(fsprops = qemuBuildFSProxyProps(fs)) ||
        qemuBuildFSDevArg(&devprops, vm->def, fs, priv->qemuCaps) < 0)
        goto cleanup;

    qemuDomainObjEnterMonitor(vm);
    ret = qemuDomainAttachFSProxyMonitor(vm, fs, &fsprops, &devprops);
    qemuDomainObjExitMonitor(vm);

    virDomainAuditFS(vm, NULL, fs, "attach", ret == 0);

    if (ret == 0)
        VIR_APPEND_ELEMENT_COPY(vm->def->fss, vm->def->nfss, fs);

 cleanup:
    if (ret < 0) {
        virErrorPreserveLast(&origErr);
        if (releaseaddr)
            qemuDomainReleaseDeviceAddress(vm, &fs->info);
        if (started)
            qemuVirtFSProxyStop(vm, fs);
        virErrorRestore(&origErr);
    }

    return ret;
}

/* graft: attach-driver */
    if (fs->fsdriver == VIR_DOMAIN_FS_DRIVER_TYPE_PROXY)
        return qemuDomainAttachFSProxy(driver, vm, fs);

/* graft: attach-message */
                       _("only virtiofs and proxy filesystems can be hotplugged"));

/* graft: detach */
    if (fs->fsdriver == VIR_DOMAIN_FS_DRIVER_TYPE_PROXY) {
        g_autofree char *id = g_strdup_printf("%s%s", QEMU_FSDEV_HOST_PREFIX, fs->info.alias);

        qemuDomainObjEnterMonitor(vm);
        rc = qemuMonitorRemoveFsdev(priv->mon, id);
        qemuDomainObjExitMonitor(vm);
    }

/* graft: stop */
    if (!fs->sock && fs->fsdriver == VIR_DOMAIN_FS_DRIVER_TYPE_PROXY)
        qemuVirtFSProxyStop(vm, fs);

/* graft: detach-driver */
    if (vm->def->fss[idx]->fsdriver != VIR_DOMAIN_FS_DRIVER_TYPE_VIRTIOFS &&
        vm->def->fss[idx]->fsdriver != VIR_DOMAIN_FS_DRIVER_TYPE_PROXY) {
        virReportError(VIR_ERR_OPERATION_UNSUPPORTED, "%s",
                       _("only virtiofs and proxy filesystems can be hot-unplugged"));
        return -1;
    }
