/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Fragment: pieces for a file of libvirt (edits.toml). */

/* graft: include */
#include "qemu/qemu_qapi.h"

/* graft: schema */
/* Makes a QEMU one with fsdev driver 'proxy'. The schema is the one
 * of a QEMU without the driver. */
static int
testQemuHotplugAddFsdevProxy(virQEMUCaps *caps,
                             GHashTable *schema)
{
    g_autofree char *text = NULL;
    g_autoptr(GHashTable) more = NULL;
    virJSONValue *json = NULL;
    GHashTableIter iter;
    gpointer name;
    gpointer value;

    virQEMUCapsSet(caps, QEMU_CAPS_FSDEV_PROXY);

    if (virTestLoadFile(abs_srcdir "/qemuvirtfsproxydata/schema.json", &text) < 0 ||
        !(json = virJSONValueFromString(text)) ||
        !(more = virQEMUQAPISchemaConvert(json)))
        return -1;

    g_hash_table_iter_init(&iter, more);
    while (g_hash_table_iter_next(&iter, &name, &value)) {
        g_hash_table_replace(schema, g_strdup(name), value);
        g_hash_table_iter_steal(&iter);
        g_free(name);
    }

    return 0;
}

/* graft: use */
        return -1;

    if (strstr(domxml, "<driver type='proxy'/>") &&
        testQemuHotplugAddFsdevProxy(priv->qemuCaps, *schema) < 0)

/* graft: flags */
    /* as qemuDomainDetachDeviceLiveAndConfig() */
    if (test->action == DETACH)
        device_parse_flags = VIR_DOMAIN_DEF_PARSE_SKIP_VALIDATE;

/* graft: answers */
        !(fail && test->mon[0]) &&

/* graft: error */
#define QMP_FSDEV_ERROR "{\"error\": {\"class\": \"GenericError\", \"desc\": \"no\"}}"

/* graft: cases */
    DO_TEST_ATTACH("x86_64", "fs-proxy-live", "fs-proxy", false, true,
                   "getfd", QMP_OK,
                   "fsdev-add", QMP_OK,
                   "device_add", QMP_OK);
    DO_TEST_DETACH("x86_64", "fs-proxy-live", "fs-proxy", true, true,
                   "device_del", QMP_OK);
    DO_TEST_DETACH("x86_64", "fs-proxy-live", "fs-proxy", false, false,
                   "device_del", QMP_DEVICE_DELETED("fs1") QMP_OK,
                   "fsdev-del", QMP_OK);

    DO_TEST_ATTACH("x86_64", "fs-proxy-live", "fs-proxy-socket", false, true,
                   "fsdev-add", QMP_OK,
                   "device_add", QMP_OK);
    DO_TEST_DETACH("x86_64", "fs-proxy-live", "fs-proxy-socket", false, false,
                   "device_del", QMP_DEVICE_DELETED("fs1") QMP_OK,
                   "fsdev-del", QMP_OK);

    /* What was done before a command that fails is undone. */
    DO_TEST_ATTACH("x86_64", "fs-proxy-live", "fs-proxy", true, false,
                   "getfd", QMP_OK,
                   "fsdev-add", QMP_FSDEV_ERROR,
                   "closefd", QMP_OK);
    DO_TEST_ATTACH("x86_64", "fs-proxy-live", "fs-proxy", true, false,
                   "getfd", QMP_OK,
                   "fsdev-add", QMP_OK,
                   "device_add", QMP_FSDEV_ERROR,
                   "fsdev-del", QMP_OK);
