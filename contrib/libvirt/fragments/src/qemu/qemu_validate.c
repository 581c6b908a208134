/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Fragment: pieces for a file of libvirt (edits.toml). */

/* graft: proxy */
/* Elements and attributes that other drivers know */
static int
qemuValidateDomainDeviceDefFSProxyOther(virDomainFSDef *fs)
{
    const char *what = NULL;

    if (fs->accessmode == VIR_DOMAIN_FS_ACCESSMODE_MAPPED ||
        fs->accessmode == VIR_DOMAIN_FS_ACCESSMODE_SQUASH)
        what = "accessmode";
    else if (fs->format != VIR_STORAGE_FILE_NONE)
        what = "driver/format";
    else if (fs->queue_size != 0)
        what = "driver/queue";
    else if (fs->xattr != VIR_TRISTATE_SWITCH_ABSENT)
        what = "binary/xattr";
    else if (fs->cache != VIR_DOMAIN_FS_CACHE_MODE_DEFAULT)
        what = "binary/cache";
    else if (fs->posix_lock != VIR_TRISTATE_SWITCH_ABSENT ||
             fs->flock != VIR_TRISTATE_SWITCH_ABSENT)
        what = "binary/lock";

    if (!what)
        return 0;

    if (STREQ(what, "accessmode")) {
        virReportError(VIR_ERR_CONFIG_UNSUPPORTED,
                       _("filesystem driver 'proxy' supports accessmode 'passthrough' only, not '%1$s'"),
                       virDomainFSAccessModeTypeToString(fs->accessmode));
        return -1;
    }

    virReportError(VIR_ERR_CONFIG_UNSUPPORTED,
                   _("filesystem driver 'proxy' does not support '%1$s'"), what);
    return -1;
}


/* Programs with other working directories use these paths. */
static int
qemuValidateDomainDeviceDefFSProxyPaths(virDomainFSDef *fs)
{
    const char *path = NULL;
    const char *what = NULL;

    if (fs->binary && !g_path_is_absolute(fs->binary)) {
        what = "binary";
        path = fs->binary;
    } else if (fs->sock && !g_path_is_absolute(fs->sock)) {
        what = "socket";
        path = fs->sock;
    } else if (!fs->sock && !g_path_is_absolute(fs->src->path)) {
        what = "dir";
        path = fs->src->path;
    }

    if (!what)
        return 0;

    virReportError(VIR_ERR_CONFIG_UNSUPPORTED,
                   _("'%1$s' of filesystem driver 'proxy' is not an absolute path: '%2$s'"),
                   what, path);
    return -1;
}


/* What happens when the helper is lost */
static int
qemuValidateDomainDeviceDefFSProxyReconnect(virDomainFSDef *fs)
{
    bool persists = fs->persist == VIR_TRISTATE_SWITCH_ON;

    if (fs->reconnect == VIR_TRISTATE_BOOL_YES && !fs->sock && !persists) {
        virReportError(VIR_ERR_CONFIG_UNSUPPORTED, "%s",
                       _("'reconnect' of filesystem driver 'proxy' needs a source 'socket', or a 'binary' with persist='on'"));
        return -1;
    }

    if (fs->reconnect == VIR_TRISTATE_BOOL_NO && persists) {
        virReportError(VIR_ERR_CONFIG_UNSUPPORTED, "%s",
                       _("persist='on' has no effect without 'reconnect'"));
        return -1;
    }

    if (fs->requests == VIR_DOMAIN_FS_REQUESTS_WAIT &&
        fs->reconnect != VIR_TRISTATE_BOOL_YES && !persists) {
        virReportError(VIR_ERR_CONFIG_UNSUPPORTED, "%s",
                       _("requests='wait' needs 'reconnect': the wait would never end"));
        return -1;
    }

    return 0;
}


static int
qemuValidateDomainDeviceDefFSProxy(virDomainFSDef *fs,
                                   const virDomainDef *def,
                                   virQEMUCaps *qemuCaps)
{
    if (!virQEMUCapsGet(qemuCaps, QEMU_CAPS_FSDEV_PROXY)) {
        virReportError(VIR_ERR_CONFIG_UNSUPPORTED,
                       _("filesystem driver 'proxy' is not supported by emulator '%1$s'"),
                       def->emulator);
        return -1;
    }

    if (qemuValidateDomainDeviceDefFSProxyOther(fs) < 0 ||
        qemuValidateDomainDeviceDefFSProxyPaths(fs) < 0)
        return -1;

    if (fs->sock &&
        (fs->binary || fs->idmap.nuidmap || fs->idmap.ngidmap ||
         fs->sandbox != VIR_DOMAIN_FS_SANDBOX_MODE_DEFAULT ||
         fs->persist != VIR_TRISTATE_SWITCH_ABSENT ||
         fs->thread_pool_size >= 0 || fs->openfiles > 0)) {
        virReportError(VIR_ERR_CONFIG_UNSUPPORTED, "%s",
                       _("'binary' and 'idmap' have no effect on the helper behind a filesystem's 'socket'"));
        return -1;
    }

    if (fs->thread_pool_size == 0 || fs->thread_pool_size > 64) {
        virReportError(VIR_ERR_CONFIG_UNSUPPORTED,
                       _("'thread_pool' of filesystem driver 'proxy' has a size from 1 to 64, not '%1$d'"),
                       fs->thread_pool_size);
        return -1;
    }

    if (!fs->idmap.nuidmap != !fs->idmap.ngidmap) {
        virReportError(VIR_ERR_CONFIG_UNSUPPORTED, "%s",
                       _("'idmap' of filesystem driver 'proxy' needs both 'uid' and 'gid'"));
        return -1;
    }

    if (fs->idmap.nuidmap &&
        fs->migrationMode == VIR_DOMAIN_FS_MIGRATION_MODE_HANDLES) {
        virReportError(VIR_ERR_CONFIG_UNSUPPORTED, "%s",
                       _("migration mode='handles' and 'idmap' exclude each other"));
        return -1;
    }

    return qemuValidateDomainDeviceDefFSProxyReconnect(fs);
}


static int
qemuValidateDomainDeviceDefFSMigration(virDomainFSDef *fs,
                                       virQEMUCaps *qemuCaps)
{
    if (fs->migrationMode == VIR_DOMAIN_FS_MIGRATION_MODE_DEFAULT &&
        fs->migrationMissing == VIR_DOMAIN_FS_MIGRATION_MISSING_DEFAULT)
        return 0;

    if (fs->fsdriver != VIR_DOMAIN_FS_DRIVER_TYPE_DEFAULT &&
        fs->fsdriver != VIR_DOMAIN_FS_DRIVER_TYPE_PATH &&
        fs->fsdriver != VIR_DOMAIN_FS_DRIVER_TYPE_PROXY) {
        virReportError(VIR_ERR_CONFIG_UNSUPPORTED,
                       _("filesystem driver '%1$s' does not support 'migration'"),
                       virDomainFSDriverTypeToString(fs->fsdriver));
        return -1;
    }

    if (!virQEMUCapsGet(qemuCaps, QEMU_CAPS_FSDEV_MIGRATION)) {
        virReportError(VIR_ERR_CONFIG_UNSUPPORTED, "%s",
                       _("'migration' of a filesystem is not supported with this QEMU binary"));
        return -1;
    }

    if (fs->migrationMode == VIR_DOMAIN_FS_MIGRATION_MODE_OFF &&
        fs->migrationMissing != VIR_DOMAIN_FS_MIGRATION_MISSING_DEFAULT) {
        virReportError(VIR_ERR_CONFIG_UNSUPPORTED, "%s",
                       _("migration mode='off' and 'missing' exclude each other"));
        return -1;
    }

    return 0;
}

/* graft: sandbox */
        fs->fsdriver != VIR_DOMAIN_FS_DRIVER_TYPE_PROXY &&

/* graft: others */
                       _("sandbox can only be used with driver=virtiofs or driver=proxy"));
        return -1;
    }

    if (fs->persist != VIR_TRISTATE_SWITCH_ABSENT &&
        fs->fsdriver != VIR_DOMAIN_FS_DRIVER_TYPE_PROXY) {
        virReportError(VIR_ERR_CONFIG_UNSUPPORTED, "%s",
                       _("persist can only be used with driver=proxy"));
        return -1;
    }

    if ((fs->reconnect != VIR_TRISTATE_BOOL_ABSENT ||
         fs->requests != VIR_DOMAIN_FS_REQUESTS_DEFAULT) &&
        fs->fsdriver != VIR_DOMAIN_FS_DRIVER_TYPE_PROXY) {
        virReportError(VIR_ERR_CONFIG_UNSUPPORTED, "%s",
                       _("reconnect can only be used with driver=proxy"));
        return -1;
    }

    if (qemuValidateDomainDeviceDefFSMigration(fs, qemuCaps) < 0)
        return -1;

/* graft: driver */
    case VIR_DOMAIN_FS_DRIVER_TYPE_PROXY:
        return qemuValidateDomainDeviceDefFSProxy(fs, def, qemuCaps);
