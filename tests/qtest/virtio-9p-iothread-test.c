/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * virtio-9p with an IOThread: the errors of the property, and that the export
 * moves to the IOThread with the first device and back with the last. QMP can
 * query the export and unplug the device while the guest uses them. The other
 * tests check the share itself: they run on such devices as well.
 */
#include "qemu/osdep.h"
#include "libqtest-single.h"
#include "libqos/qgraph.h"
#include "qobject/qdict.h"
#include "qobject/qstring.h"
#include "qemu/module.h"
#include "virtio-9p-host.h"
#include "virtio-9p-machine.h"
#include "virtio-9p-synth.h"

#define SLOT        5
#define CALLS       20
#define ROUNDS      50

static void start(P9Machine *m)
{
    p9_machine_start(m, "-fsdev synth,id=share -object iothread,id=one "
                     "-object iothread,id=two");
}

static void assert_iothread(P9Machine *m, const char *id)
{
    g_autoptr(QDict) info = p9_host_query();

    g_assert_cmpstr(qdict_get_try_str(info, "iothread"), ==, id);
}

/* Plugging a device must fail with @error somewhere in the message. */
static void refuses(P9Machine *m, const char *iothread, bool ioeventfd,
                    bool direct, const char *error)
{
    g_autoptr(QDict) args = qdict_new();
    g_autoptr(QDict) reply = NULL;
    const char *desc;

    qdict_put_str(args, "driver", "virtio-9p-pci");
    qdict_put_str(args, "fsdev", "share");
    qdict_put_str(args, "mount_tag", "refused");
    qdict_put_str(args, "addr", "7");
    if (iothread) {
        qdict_put_str(args, "iothread", iothread);
    }
    qdict_put_bool(args, "ioeventfd", ioeventfd);
    qdict_put_str(args, "direct-kick", direct ? "on" : "off");
    reply = qtest_qmp(m->qts, "{'execute': 'device_add', 'arguments': %p}",
                      qobject_ref(args));
    g_assert_true(qdict_haskey(reply, "error"));
    desc = qdict_get_str(qdict_get_qdict(reply, "error"), "desc");
    if (!strstr(desc, error)) {
        g_error("not the expected error: %s", desc);
    }
}

static void plug(P9Machine *m, const char *id, const char *slot,
                 const char *iothread)
{
    qtest_qmp_device_add(m->qts, "virtio-9p-pci", id,
                         "{'fsdev': 'share', 'mount_tag': 'tag', 'addr': %s,"
                         " 'iothread': %s}", slot, iothread);
}

static void test_errors(void *obj, void *data, QGuestAllocator *alloc)
{
    P9Machine m;

    start(&m);
    refuses(&m, "nobody", true, false, "nobody");
    refuses(&m, "one", false, false, "'iothread' needs ioeventfd");
    refuses(&m, "one", true, true, "'direct-kick' cannot be combined "
            "with 'iothread': the IOThread takes the requests");
    assert_iothread(&m, NULL);

    plug(&m, "share0", "5", "one");
    assert_iothread(&m, "one");
    refuses(&m, "two", true, false, "property 'iothread' is 'two': fsdev "
            "'share' has another device with iothread 'one'");
    refuses(&m, NULL, true, false, "property 'iothread' is missing: fsdev "
            "'share' has another device with iothread 'one'");
    plug(&m, "share1", "6", "one");
    qpci_unplug_acpi_device_test(m.qts, "share0", 5);
    assert_iothread(&m, "one");
    qpci_unplug_acpi_device_test(m.qts, "share1", 6);
    assert_iothread(&m, NULL);

    /* A device without an IOThread comes first. */
    qtest_qmp_device_add(m.qts, "virtio-9p-pci", "share0",
                         "{'fsdev': 'share', 'mount_tag': 'tag', 'addr': '5'}");
    refuses(&m, "two", true, false, "property 'iothread' is 'two': fsdev "
            "'share' has another device without iothread");
    qpci_unplug_acpi_device_test(m.qts, "share0", 5);
    p9_machine_end(&m);
}

/*
 * Plugs and unplugs a device with requests in flight, each time in the other
 * IOThread. At the end one IOThread is removed, too.
 */
static void test_unplug(void *obj, void *data, QGuestAllocator *alloc)
{
    static const char *const names[] = { "one", "two", "one", "two" };
    P9Call *calls[CALLS];
    P9Machine m;
    unsigned i, j;

    start(&m);
    for (i = 0; i < ARRAY_SIZE(names); i++) {
        QVirtio9PPCI *dev;
        P9Client *c;

        plug(&m, "share0", stringify(SLOT), names[i]);
        dev = qvirtio_9p_pci_new(m.bus, &m.alloc, QPCI_DEVFN(SLOT, 0));
        c = synth_session_open(&dev->v9p, "FLUSH", P9C_O_WRONLY);
        synth_alive(c);
        for (j = 0; j < CALLS; j++) {
            calls[j] = j % 2 ? p9c_getattr_call(c, P9C_ROOT)
                             : synth_write_call(c, 1);
            p9c_submit(calls[j]);
        }
        qpci_unplug_acpi_device_test(m.qts, "share0", SLOT);
        qvirtio_9p_pci_free(dev);
        g_test_queue_free(c);
        assert_iothread(&m, NULL);
    }
    qtest_qmp_assert_success(m.qts, "{'execute': 'object-del',"
                             "'arguments': {'id': 'two'}}");
    qtest_qmp_assert_success(m.qts, "{'execute': 'fsdev-del',"
                             "'arguments': {'id': 'share'}}");
    p9_machine_end(&m);
}

/* query-fsdevs while the counters change */
static void test_query(void *obj, void *data, QGuestAllocator *alloc)
{
    P9Call *calls[CALLS];
    QVirtio9PPCI *dev;
    P9Client *c;
    P9Machine m;
    unsigned i, j;

    start(&m);
    plug(&m, "share0", stringify(SLOT), "one");
    dev = qvirtio_9p_pci_new(m.bus, &m.alloc, QPCI_DEVFN(SLOT, 0));
    c = synth_session(&dev->v9p);
    for (i = 0; i < ROUNDS; i++) {
        for (j = 0; j < CALLS; j++) {
            calls[j] = p9c_getattr_call(c, P9C_ROOT);
            p9c_submit(calls[j]);
        }
        assert_iothread(&m, "one");
        for (j = 0; j < CALLS; j++) {
            g_assert_cmpint(p9c_wait(calls[j]), ==, 0);
            p9c_call_drop(calls[j]);
        }
    }
    p9c_free(c);
    qpci_unplug_acpi_device_test(m.qts, "share0", SLOT);
    qvirtio_9p_pci_free(dev);
    p9_machine_end(&m);
}

/* These tests start machines of their own, not that of their path. */
static void register_tests(void)
{
    const char *arch = qtest_get_arch();

    if (strcmp(arch, "x86_64") && strcmp(arch, "i386")) {
        return;
    }
    qos_add_test("iothread/errors", "virtio-9p-pci", test_errors, NULL);
    qos_add_test("iothread/unplug", "virtio-9p-pci", test_unplug, NULL);
    qos_add_test("iothread/query", "virtio-9p-pci", test_query, NULL);
}
libqos_init(register_tests);
