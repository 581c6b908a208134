/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * See fsdev-qmp.h.
 */
#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qobject/qjson.h"
#include "qobject/qlist.h"
#include "qobject/qstring.h"
#include "fsdev-qmp.h"

#define SLOT        5

void fsdev_start(Test *t, const char *options)
{
    t->dir = p9_host_make_folder();
    p9_machine_start(&t->m, options);
}

void fsdev_end(Test *t)
{
    p9_machine_end(&t->m);
    p9_host_remove(t->dir);
    g_free(t->dir);
}

void fsdev_add_local(Test *t, const char *id)
{
    qtest_qmp_assert_success(t->m.qts, "{'execute': 'fsdev-add', 'arguments': {"
                             "'fsdriver': 'local', 'id': %s, 'path': %s, "
                             "'security_model': 'mapped-xattr'}}",
                             id, t->dir);
}

void fsdev_add_proxy(Test *t, const char *id, int reconnect)
{
    qtest_qmp_assert_success(t->m.qts, "{'execute': 'fsdev-add', 'arguments': {"
                             "'fsdriver': 'proxy', 'id': %s, 'path': %s, "
                             "'reconnect': %d}}", id, t->dir, reconnect);
}

void fsdev_del(Test *t, const char *id)
{
    qtest_qmp_assert_success(t->m.qts, "{'execute': 'fsdev-del', 'arguments': {"
                             "'id': %s}}", id);
}

void fsdev_plug_only(Test *t, const char *fsdev)
{
    qtest_qmp_device_add(t->m.qts, "virtio-9p-pci", "share0",
                         "{'fsdev': %s, 'mount_tag': 'tag', 'addr': %s}",
                         fsdev, stringify(SLOT));
    t->dev = qvirtio_9p_pci_new(t->m.bus, &t->m.alloc, QPCI_DEVFN(SLOT, 0));
    t->c = p9c_new(&t->dev->v9p);
}

void fsdev_plug(Test *t, const char *fsdev)
{
    fsdev_plug_only(t, fsdev);
    p9c_session(t->c);
}

void fsdev_unplug(Test *t)
{
    qpci_unplug_acpi_device_test(t->m.qts, "share0", SLOT);
    qvirtio_9p_pci_free(t->dev);
    t->dev = NULL;
}

void fsdev_unplug_in_order(Test *t)
{
    p9c_free(t->c);
    fsdev_unplug(t);
}

QDict *fsdev_query(Test *t, const char *id)
{
    g_autoptr(QDict) reply = qtest_qmp(t->m.qts, "{'execute': 'query-fsdevs'}");
    QListEntry *entry;

    QLIST_FOREACH_ENTRY(qdict_get_qlist(reply, "return"), entry) {
        QDict *info = qobject_to(QDict, qlist_entry_obj(entry));

        if (!strcmp(qdict_get_str(info, "id"), id)) {
            return qobject_ref(info);
        }
    }
    return NULL;
}

uint64_t fsdev_figure(QDict *info, const char *message, const char *key)
{
    QListEntry *entry;

    QLIST_FOREACH_ENTRY(qdict_get_qlist(info, "messages"), entry) {
        QDict *stats = qobject_to(QDict, qlist_entry_obj(entry));

        if (!strcmp(qdict_get_str(stats, "message"), message)) {
            return qdict_get_int(stats, key);
        }
    }
    return 0;
}

bool fsdev_has_word(QDict *dict, const char *key, const char *word)
{
    QListEntry *entry;

    QLIST_FOREACH_ENTRY(qdict_get_qlist(dict, key), entry) {
        if (!strcmp(qstring_get_str(qobject_to(QString,
                                               qlist_entry_obj(entry))),
                    word)) {
            return true;
        }
    }
    return false;
}

void fsdev_refused(Test *t, const char *json, const char *error)
{
    g_autoptr(QDict) reply = qtest_qmp(t->m.qts, "%p",
                                       qobject_from_json(json, &error_abort));
    QDict *e = qdict_get_qdict(reply, "error");

    if (!e || strcmp(qdict_get_str(e, "desc"), error)) {
        g_error("%s: '%s' was expected, not '%s'", json, error,
                e ? qdict_get_str(e, "desc") : "success");
    }
}
