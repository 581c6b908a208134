/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Fragment: pieces for a file of libvirt (edits.toml). */

/* graft: device */
            case VIR_DOMAIN_FS_DRIVER_TYPE_PROXY:

/* graft: props */
virJSONValue *
qemuBuildFSProxyProps(virDomainFSDef *fs)
{
    qemuDomainFSPrivate *fspriv = QEMU_DOMAIN_FS_PRIVATE(fs);
    g_autoptr(virJSONValue) props = NULL;
    g_autofree char *id = g_strdup_printf("%s%s", QEMU_FSDEV_HOST_PREFIX, fs->info.alias);
    const char *sock = fs->sock ? fs->sock : fspriv->proxysock;
    const char *fd = qemuFDPassDirectGetPath(fspriv->proxyfd);
    const char *multidevs = NULL;
    const char *writeout = NULL;
    const char *requests = NULL;
    const char *migration = NULL;
    const char *missing = NULL;
    unsigned int reconnect = 0;

    if (fs->multidevs != VIR_DOMAIN_FS_MULTIDEVS_DEFAULT)
        multidevs = virDomainFSMultidevsTypeToString(fs->multidevs);

    if (fs->wrpolicy != VIR_DOMAIN_FS_WRPOLICY_DEFAULT)
        writeout = virDomainFSWrpolicyTypeToString(fs->wrpolicy);

    if (fs->requests != VIR_DOMAIN_FS_REQUESTS_DEFAULT)
        requests = virDomainFSRequestsTypeToString(fs->requests);

    if (fs->migrationMode != VIR_DOMAIN_FS_MIGRATION_MODE_DEFAULT)
        migration = virDomainFSMigrationModeTypeToString(fs->migrationMode);

    if (fs->migrationMissing != VIR_DOMAIN_FS_MIGRATION_MISSING_DEFAULT)
        missing = virDomainFSMigrationMissingTypeToString(fs->migrationMissing);

    if (fs->reconnect == VIR_TRISTATE_BOOL_YES)
        reconnect = fs->reconnectTimeout;

    /* The next helper listens soon after libvirt has heard of the loss. */
    if (fspriv->proxysock && reconnect == 0)
        reconnect = 1;

    /* Without a helper, as in a conversion to a native command line, QEMU
     * starts one itself. */
    if (virJSONValueObjectAdd(&props,
                              "s:fsdriver", "proxy",
                              "s:id", id,
                              "S:socket", sock,
                              "p:reconnect", reconnect,
                              "S:on-disconnect", requests,
                              "S:sock_fd", fd,
                              "S:path", sock || fd ? NULL : fs->src->path,
                              "B:readonly", fs->readonly,
                              "S:multidevs", multidevs,
                              "S:writeout", writeout,
                              "S:migration", migration,
                              "S:on-missing", missing,
                              NULL) < 0)
        return NULL;

    return g_steal_pointer(&props);
}


static int
qemuBuildFSProxyCommandLine(virCommand *cmd,
                            virDomainFSDef *fs)
{
    qemuDomainFSPrivate *fspriv = QEMU_DOMAIN_FS_PRIVATE(fs);
    g_autoptr(virJSONValue) props = NULL;
    g_autofree char *text = NULL;

    qemuFDPassDirectTransferCommand(fspriv->proxyfd, cmd);

    if (!(props = qemuBuildFSProxyProps(fs)) ||
        !(text = virJSONValueToString(props, false)))
        return -1;

    virCommandAddArgList(cmd, "-fsdev", text, NULL);

    return 0;
}


int
qemuBuildFSDevArg(virJSONValue **props,

/* graft: device-rest */
        return -1;

    *props = g_steal_pointer(&devprops);
    return 0;
}


static int
qemuBuildFSDevCmd(virCommand *cmd,
                  const virDomainDef *def,
                  virDomainFSDef *fs,
                  virQEMUCaps *qemuCaps)
{
    g_autoptr(virJSONValue) devprops = NULL;

    if (qemuBuildFSDevArg(&devprops, def, fs, qemuCaps) < 0)

/* graft: fsdev */
    if (fs->fsdriver == VIR_DOMAIN_FS_DRIVER_TYPE_PROXY) {
        if (qemuBuildFSProxyCommandLine(cmd, fs) < 0)
            return -1;
    } else {
        virCommandAddArg(cmd, "-fsdev");
        if (!(fsdevstr = qemuBuildFSStr(fs)))
            return -1;
        virCommandAddArg(cmd, fsdevstr);
    }

/* graft: driver */
        case VIR_DOMAIN_FS_DRIVER_TYPE_PROXY:

/* graft: migration */
    if (fs->migrationMode != VIR_DOMAIN_FS_MIGRATION_MODE_DEFAULT) {
        virBufferAsprintf(&opt, ",migration=%s",
                          virDomainFSMigrationModeTypeToString(fs->migrationMode));
    }

    if (fs->migrationMissing != VIR_DOMAIN_FS_MIGRATION_MISSING_DEFAULT) {
        virBufferAsprintf(&opt, ",on-missing=%s",
                          virDomainFSMigrationMissingTypeToString(fs->migrationMissing));
    }
