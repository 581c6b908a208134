/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Fragment: pieces for a file of libvirt (edits.toml). */

/* graft: type */
    VIR_DOMAIN_FS_DRIVER_TYPE_PROXY,

/* graft: persist */
    virTristateSwitch persist; /* of the helper of driver 'proxy' */
    virTristateBool reconnect; /* to a helper, after one was lost */
    unsigned int reconnectTimeout; /* in seconds */
    virDomainFSRequests requests;
    virDomainFSMigrationMode migrationMode;
    virDomainFSMigrationMissing migrationMissing;

/* graft: enums */
/* What the guest's requests meet while QEMU has no helper */
typedef enum {
    VIR_DOMAIN_FS_REQUESTS_DEFAULT = 0,
    VIR_DOMAIN_FS_REQUESTS_EIO,
    VIR_DOMAIN_FS_REQUESTS_WAIT,

    VIR_DOMAIN_FS_REQUESTS_LAST
} virDomainFSRequests;

/* How the guest's files are found again after a migration */
typedef enum {
    VIR_DOMAIN_FS_MIGRATION_MODE_DEFAULT = 0,
    VIR_DOMAIN_FS_MIGRATION_MODE_AUTO,
    VIR_DOMAIN_FS_MIGRATION_MODE_NAMES,
    VIR_DOMAIN_FS_MIGRATION_MODE_HANDLES,
    VIR_DOMAIN_FS_MIGRATION_MODE_OFF,

    VIR_DOMAIN_FS_MIGRATION_MODE_LAST
} virDomainFSMigrationMode;

/* What becomes of the migration if a file is not found */
typedef enum {
    VIR_DOMAIN_FS_MIGRATION_MISSING_DEFAULT = 0,
    VIR_DOMAIN_FS_MIGRATION_MISSING_FAIL,
    VIR_DOMAIN_FS_MIGRATION_MISSING_STALE,

    VIR_DOMAIN_FS_MIGRATION_MISSING_LAST
} virDomainFSMigrationMissing;

/* graft: declarations */
VIR_ENUM_DECL(virDomainFSRequests);
VIR_ENUM_DECL(virDomainFSMigrationMode);
VIR_ENUM_DECL(virDomainFSMigrationMissing);
