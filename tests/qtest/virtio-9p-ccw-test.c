/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * virtio-9p-ccw, the device of s390x: that it is there, comes and goes while
 * the machine runs, and refuses wrong properties. Its messages are tested with
 * guests, because a qtest cannot reach them (see libqos/s390-ccw-machine.c).
 * The export is synth's.
 */
#include "qemu/osdep.h"
#include "qapi/error.h"
#include "libqtest-single.h"
#include "libqos/virtio-9p.h"
#include "qemu/module.h"
#include "qobject/qdict.h"
#include "qobject/qjson.h"
#include "qobject/qlist.h"
#include "virtio-9p-host.h"

#define ROUNDS      5

/* The number of devices that use the export */
static unsigned devices(void)
{
    g_autoptr(QDict) info = p9_host_query();

    return qlist_size(qdict_get_qlist(info, "devices"));
}

static void unplug(const char *id)
{
    qtest_qmp_device_del(global_qtest, id);
}

/* The device of the command line, as QEMU describes it */
static void test_realized(void *obj, void *data, QGuestAllocator *alloc)
{
    g_autoptr(QDict) list = NULL;
    g_autoptr(QDict) status = NULL;
    const char *path = NULL;
    QListEntry *entry;
    QDict *found;

    g_assert_cmpuint(devices(), ==, 1);
    list = qtest_qmp(global_qtest, "{'execute': 'x-query-virtio'}");
    QLIST_FOREACH_ENTRY(qdict_get_qlist(list, "return"), entry) {
        QDict *device = qobject_to(QDict, qlist_entry_obj(entry));

        if (!strcmp(qdict_get_str(device, "name"), "virtio-9p")) {
            g_assert_null(path);
            path = qdict_get_str(device, "path");
        }
    }
    g_assert_nonnull(path);
    status = qtest_qmp(global_qtest, "{'execute': 'x-query-virtio-status', "
                       "'arguments': {'path': %s}}", path);
    found = qdict_get_qdict(status, "return");
    g_assert_cmpstr(qdict_get_str(found, "device-endian"), ==, "big");
    g_assert_cmpint(qdict_get_int(found, "num-vqs"), ==, 1);
    g_assert_false(qdict_get_bool(found, "broken"));
}

/* Plugged and unplugged, with and without an IOThread */
static void test_hotplug(void *obj, void *data, QGuestAllocator *alloc)
{
    unsigned round, descriptors = 0;

    for (round = 0; round < ROUNDS; round++) {
        qtest_qmp_device_add(global_qtest, "virtio-9p-ccw", "second",
                             "{'fsdev': %s, 'mount_tag': 'two',"
                             " 'devno': 'fe.0.0077'}", QVIRTIO_9P_FSDEV);
        g_assert_cmpuint(devices(), ==, 2);
        unplug("second");
        g_assert_cmpuint(devices(), ==, 1);
        if (round == 0) {
            descriptors = p9_host_descriptors();
        }
    }
    g_assert_cmpuint(p9_host_descriptors(), ==, descriptors);
}

/* The export moves to the IOThread of its only device, and back. */
static void test_iothread(void *obj, void *data, QGuestAllocator *alloc)
{
    unsigned round;

    qtest_qmp_assert_success(global_qtest, "{'execute': 'fsdev-add', "
                             "'arguments': {'fsdriver': 'synth', "
                             "'id': 'other'}}");
    qtest_qmp_assert_success(global_qtest, "{'execute': 'object-add', "
                             "'arguments': {'qom-type': 'iothread', "
                             "'id': 'one'}}");
    for (round = 0; round < ROUNDS; round++) {
        qtest_qmp_device_add(global_qtest, "virtio-9p-ccw", "second",
                             "{'fsdev': 'other', 'mount_tag': 'two',"
                             " 'iothread': 'one'}");
        unplug("second");
    }
    qtest_qmp_assert_success(global_qtest, "{'execute': 'object-del', "
                             "'arguments': {'id': 'one'}}");
    qtest_qmp_assert_success(global_qtest, "{'execute': 'fsdev-del', "
                             "'arguments': {'id': 'other'}}");
}

/* Wrong properties, and a part of the message about each */
static const struct {
    const char *properties;
    const char *error;
} wrong[] = {
    { "'mount_tag': 'a'", "'fsdev' is missing" },
    { "'mount_tag': 'a', 'fsdev': 'none'", "no fsdev with id 'none'" },
    { "'fsdev': 'share'", "'mount_tag' is missing" },
    { "'fsdev': 'share', 'mount_tag': ''", "'mount_tag' is empty" },
    { "'fsdev': 'share', 'mount_tag': 'a', 'iothread': 'none'", "none" },
    { "'fsdev': 'share', 'mount_tag': 'a', 'iothread': 'one',"
      " 'ioeventfd': false", "'iothread' needs ioeventfd" },
    { "'fsdev': 'share', 'mount_tag': 'a', 'iothread': 'one',"
      " 'direct-kick': 'on'", "cannot be combined with 'iothread'" },
    { "'fsdev': 'share', 'mount_tag': 'a', 'iothread': 'one'",
      "another device without iothread" },
};

static void test_errors(void *obj, void *data, QGuestAllocator *alloc)
{
    unsigned i;

    qtest_qmp_assert_success(global_qtest, "{'execute': 'object-add', "
                             "'arguments': {'qom-type': 'iothread', "
                             "'id': 'one'}}");
    for (i = 0; i < ARRAY_SIZE(wrong); i++) {
        g_autofree char *json = g_strdup_printf(
            "{'execute': 'device_add', 'arguments': "
            "{'driver': 'virtio-9p-ccw', %s}}", wrong[i].properties);
        g_autoptr(QDict) reply = NULL;
        const char *desc;

        reply = qtest_qmp(global_qtest, "%p",
                          qobject_from_json(json, &error_abort));
        if (!qdict_haskey(reply, "error")) {
            g_error("accepted: %s", wrong[i].properties);
        }
        desc = qdict_get_str(qdict_get_qdict(reply, "error"), "desc");
        if (!strstr(desc, wrong[i].error)) {
            g_error("%s: '%s' was expected in '%s'", wrong[i].properties,
                    wrong[i].error, desc);
        }
        g_assert_cmpuint(devices(), ==, 1);
    }
    qtest_qmp_assert_success(global_qtest, "{'execute': 'object-del', "
                             "'arguments': {'id': 'one'}}");
}

/* -virtfs makes a channel device. */
static void test_virtfs(void *obj, void *data, QGuestAllocator *alloc)
{
    QTestState *qts = qtest_init("-machine s390-ccw-virtio -nodefaults "
                                 "-virtfs synth,id=a,mount_tag=b");
    g_autoptr(QDict) type = NULL;

    type = qtest_qmp(qts, "{'execute': 'qom-get', 'arguments': {"
                     "'path': '/machine/peripheral-anon/device[0]', "
                     "'property': 'type'}}");
    g_assert_cmpstr(qdict_get_str(type, "return"), ==, "virtio-9p-ccw");
    qtest_quit(qts);
}

static void register_tests(void)
{
    qos_add_test("ccw/realized", "virtio-9p-ccw", test_realized, NULL);
    qos_add_test("ccw/hotplug", "virtio-9p-ccw", test_hotplug, NULL);
    qos_add_test("ccw/iothread", "virtio-9p-ccw", test_iothread, NULL);
    qos_add_test("ccw/errors", "virtio-9p-ccw", test_errors, NULL);
    qos_add_test("ccw/virtfs", "virtio-9p-ccw", test_virtfs, NULL);
}
libqos_init(register_tests);
