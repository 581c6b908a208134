/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Fragment: pieces for a file of libvirt (edits.toml). */

/* graft: name */
              "proxy",

/* graft: parse */
    if (def->fsdriver == VIR_DOMAIN_FS_DRIVER_TYPE_VIRTIOFS ||
        def->fsdriver == VIR_DOMAIN_FS_DRIVER_TYPE_PROXY) {

/* graft: parse-threads */
        if (def->fsdriver == VIR_DOMAIN_FS_DRIVER_TYPE_PROXY &&
            thread_pool_size && def->thread_pool_size < 0) {
            virReportError(VIR_ERR_XML_ERROR,
                           _("'thread_pool' of filesystem driver 'proxy' has a size from 1 to 64, not '%1$s'"),
                           thread_pool_size);
            goto error;
        }

/* graft: parse-persist */
            goto error;

        if (virXMLPropTristateSwitch(binary_node, "persist",
                                     VIR_XML_PROP_NONE,
                                     &def->persist) < 0)

/* graft: format */
    if (def->fsdriver == VIR_DOMAIN_FS_DRIVER_TYPE_PROXY ||
        def->fsdriver == VIR_DOMAIN_FS_DRIVER_TYPE_VIRTIOFS) {

/* graft: format-persist */
        if (def->persist != VIR_TRISTATE_SWITCH_ABSENT) {
            virBufferAsprintf(&binaryAttrBuf, " persist='%s'",
                              virTristateSwitchTypeToString(def->persist));
        }

/* graft: enums */
VIR_ENUM_IMPL(virDomainFSRequests,
              VIR_DOMAIN_FS_REQUESTS_LAST,
              "default",
              "eio",
              "wait",
);

VIR_ENUM_IMPL(virDomainFSMigrationMode,
              VIR_DOMAIN_FS_MIGRATION_MODE_LAST,
              "default",
              "auto",
              "names",
              "handles",
              "off",
);

VIR_ENUM_IMPL(virDomainFSMigrationMissing,
              VIR_DOMAIN_FS_MIGRATION_MISSING_LAST,
              "default",
              "fail",
              "stale",
);

/* graft: parse-parts */
static int
virDomainFSReconnectParseXML(virDomainFSDef *def,
                             xmlNodePtr source,
                             xmlXPathContextPtr ctxt)
{
    VIR_XPATH_NODE_AUTORESTORE(ctxt)
    xmlNodePtr node;
    virXMLPropFlags timeout = VIR_XML_PROP_NONZERO;

    ctxt->node = source;

    if (!(node = virXPathNode("./reconnect", ctxt)))
        return 0;

    if (def->type != VIR_DOMAIN_FS_TYPE_MOUNT) {
        virReportError(VIR_ERR_XML_ERROR,
                       _("'reconnect' is for filesystems of type 'mount', not '%1$s'"),
                       virDomainFSTypeToString(def->type));
        return -1;
    }

    if (virXMLPropTristateBool(node, "enabled", VIR_XML_PROP_REQUIRED,
                               &def->reconnect) < 0)
        return -1;

    if (def->reconnect == VIR_TRISTATE_BOOL_YES)
        timeout |= VIR_XML_PROP_REQUIRED;

    if (virXMLPropUInt(node, "timeout", 10, timeout,
                       &def->reconnectTimeout) < 0)
        return -1;

    return virXMLPropEnum(node, "requests",
                          virDomainFSRequestsTypeFromString,
                          VIR_XML_PROP_NONZERO,
                          &def->requests);
}


static int
virDomainFSMigrationParseXML(virDomainFSDef *def,
                             xmlXPathContextPtr ctxt)
{
    xmlNodePtr migration = virXPathNode("./migration", ctxt);

    if (virXMLPropEnum(migration, "mode",
                       virDomainFSMigrationModeTypeFromString,
                       VIR_XML_PROP_NONZERO,
                       &def->migrationMode) < 0)
        return -1;

    return virXMLPropEnum(migration, "missing",
                          virDomainFSMigrationMissingTypeFromString,
                          VIR_XML_PROP_NONZERO,
                          &def->migrationMissing);
}

/* graft: parse-reconnect */
        if (virDomainFSReconnectParseXML(def, source_node, ctxt) < 0)
            goto error;

/* graft: parse-migration */
    if (virDomainFSMigrationParseXML(def, ctxt) < 0)
        goto error;

/* graft: format-parts */
static void
virDomainFSSourceFormat(virBuffer *buf,
                        virDomainFSDef *def)
{
    g_auto(virBuffer) attrBuf = VIR_BUFFER_INITIALIZER;
    g_auto(virBuffer) childBuf = VIR_BUFFER_INIT_CHILD(buf);
    g_auto(virBuffer) reconnectBuf = VIR_BUFFER_INITIALIZER;

    if (def->sock)
        virBufferEscapeString(&attrBuf, " socket='%s'", def->sock);
    else
        virBufferEscapeString(&attrBuf, " dir='%s'", def->src->path);

    if (def->reconnect != VIR_TRISTATE_BOOL_ABSENT) {
        virBufferAsprintf(&reconnectBuf, " enabled='%s'",
                          virTristateBoolTypeToString(def->reconnect));
    }

    if (def->reconnectTimeout > 0)
        virBufferAsprintf(&reconnectBuf, " timeout='%u'", def->reconnectTimeout);

    if (def->requests != VIR_DOMAIN_FS_REQUESTS_DEFAULT) {
        virBufferAsprintf(&reconnectBuf, " requests='%s'",
                          virDomainFSRequestsTypeToString(def->requests));
    }

    virXMLFormatElement(&childBuf, "reconnect", &reconnectBuf, NULL);
    virXMLFormatElement(buf, "source", &attrBuf, &childBuf);
}


static void
virDomainFSMigrationFormat(virBuffer *buf,
                           virDomainFSDef *def)
{
    g_auto(virBuffer) attrBuf = VIR_BUFFER_INITIALIZER;

    if (def->migrationMode != VIR_DOMAIN_FS_MIGRATION_MODE_DEFAULT) {
        virBufferAsprintf(&attrBuf, " mode='%s'",
                          virDomainFSMigrationModeTypeToString(def->migrationMode));
    }

    if (def->migrationMissing != VIR_DOMAIN_FS_MIGRATION_MISSING_DEFAULT) {
        virBufferAsprintf(&attrBuf, " missing='%s'",
                          virDomainFSMigrationMissingTypeToString(def->migrationMissing));
    }

    virXMLFormatElement(buf, "migration", &attrBuf, NULL);
}

/* graft: format-source */
        virDomainFSSourceFormat(buf, def);
        break;

/* graft: format-migration */
    virDomainFSMigrationFormat(buf, def);
