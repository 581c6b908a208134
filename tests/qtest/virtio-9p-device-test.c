/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The virtio-9p device: its configuration, its queue with descriptors of all
 * sizes, requests that break it, and its reset. The export is synth's.
 */
#include "qemu/osdep.h"
#include "libqtest-single.h"
#include "hw/9pfs/virtio-9p.h"
#include "qemu/module.h"
#include "standard-headers/linux/virtio_config.h"
#include "virtio-9p-host.h"
#include "virtio-9p-synth.h"

/* A free slot of the PCI bus */
#define HOTPLUG_SLOT        6

static void test_config(void *obj, void *data, QGuestAllocator *alloc)
{
    QVirtio9P *v9p = obj;
    char tag[sizeof(QVIRTIO_9P_TAG)] = "";
    uint16_t i, len = qvirtio_config_readw(v9p->vdev, 0);

    g_assert_cmpuint(len, ==, strlen(QVIRTIO_9P_TAG));
    for (i = 0; i < len; i++) {
        tag[i] = qvirtio_config_readb(v9p->vdev, 2 + i);
    }
    g_assert_cmpstr(tag, ==, QVIRTIO_9P_TAG);
    g_assert_true(v9p->vdev->features & 1);     /* VIRTIO_9P_MOUNT_TAG */
}

static void test_interrupt(void *obj, void *data, QGuestAllocator *alloc)
{
    QVirtio9P *v9p = obj;
    P9Client *c = synth_session(obj);
    P9Call *call = p9c_clunk_call(c, 999);

    /* A read clears the status. */
    v9p->vdev->bus->get_queue_isr_status(v9p->vdev, v9p->vq);
    g_assert_false(v9p->vdev->bus->get_queue_isr_status(v9p->vdev, v9p->vq));
    p9c_submit(call);
    qvirtio_wait_queue_isr(global_qtest, v9p->vdev, v9p->vq, P9C_TIMEOUT_US);
    g_assert_true(p9c_is_done(call));
    g_assert_cmpint(p9c_wait(call), ==, ENOENT);
    p9c_call_end(call);
    p9c_free(c);
}

/*
 * While the guest uses the device, QEMU has a descriptor for its kicks, or none
 * if the kicks are direct.
 */
static void assert_eventfds(QVirtio9P *v9p, unsigned expected)
{
    P9Client *c = synth_session(v9p);
    unsigned with = p9_host_descriptors();

    qvirtio_reset(v9p->vdev);
    g_assert_cmpuint(with - p9_host_descriptors(), ==, expected);
    p9c_free(c);
}

static void test_direct_kick(void *obj, void *data, QGuestAllocator *alloc)
{
    assert_eventfds(obj, 0);
}

static void test_eventfd_kick(void *obj, void *data, QGuestAllocator *alloc)
{
    assert_eventfds(obj, 1);
}

/* Two devices serve one export; one of them is plugged and unplugged. */
static void test_hotplug(void *obj, void *data, QGuestAllocator *alloc)
{
    QVirtioPCIDevice *dev = obj;
    QTestState *qts = dev->pdev->bus->qts;
    const char *arch = qtest_get_arch();

    if (dev->pdev->bus->not_hotpluggable) {
        g_test_skip("the PCI bus does not support hotplug");
        return;
    }
    qtest_qmp_device_add(qts, "virtio-9p-pci", "second",
                         "{'addr': %s, 'fsdev': %s, 'mount_tag': 'two'}",
                         stringify(HOTPLUG_SLOT), QVIRTIO_9P_FSDEV);
    if (!strcmp(arch, "i386") || !strcmp(arch, "x86_64")) {
        qpci_unplug_acpi_device_test(qts, "second", HOTPLUG_SLOT);
    }
}

/* Messages that fill the queue: each takes two descriptors. */
typedef struct Full {
    P9Call **calls;
    unsigned n;
} Full;

static Full submit_full(P9Client *c, QVirtio9P *v9p)
{
    Full full = { .n = v9p->vq->size / 2 };
    unsigned i;

    full.calls = g_new(P9Call *, full.n);
    for (i = 0; i < full.n; i++) {
        full.calls[i] = p9c_getattr_call(c, P9C_ROOT);
        p9c_submit(full.calls[i]);
    }
    return full;
}

static void end_full(Full *full)
{
    unsigned i;

    for (i = 0; i < full->n; i++) {
        g_assert_cmpint(p9c_wait(full->calls[i]), ==, 0);
        p9c_call_drop(full->calls[i]);
    }
    g_free(full->calls);
}

/* Queues full of messages, one after the other */
static void test_queue(void *obj, void *data, QGuestAllocator *alloc)
{
    P9Client *c = synth_session(obj);
    unsigned round;
    Full full;

    for (round = 0; round < 3; round++) {
        full = submit_full(c, obj);
        end_full(&full);
    }
    p9c_free(c);
}

/*
 * Requests that arrive while the VM is stopped: more than the device takes in
 * one go, without a kick for the rest, where the queue has room for so many
 * (QEMU 10.0, but not 10.2).
 */
static void test_backlog(void *obj, void *data, QGuestAllocator *alloc)
{
    P9Client *c = synth_session(obj);
    Full full;

    qtest_qmp_assert_success(global_qtest, "{'execute': 'stop'}");
    full = submit_full(c, obj);
    g_test_message("%u requests, and the device takes %u in one go", full.n,
                   VIRTIO_9P_TAKE_MAX);
    p9c_pause(c);
    g_assert_false(p9c_is_done(full.calls[0]));
    qtest_qmp_assert_success(global_qtest, "{'execute': 'cont'}");
    end_full(&full);
    p9c_free(c);
}

/* Requests and replies in descriptors of all sizes */
static void test_scattered(void *obj, void *data, QGuestAllocator *alloc)
{
    QVirtio9P *v9p = obj;
    P9Client *c = synth_session(obj);
    g_autofree uint32_t *ones = g_new(uint32_t, v9p->vq->size);
    P9CAttr attr;
    P9Call *call;
    unsigned i;

    for (i = 0; i < v9p->vq->size; i++) {
        ones[i] = 1;
    }
    g_assert_cmpint(p9c_getattr(c, P9C_ROOT, P9C_GETATTR_BASIC, &attr), ==, 0);

    /* Tclunk and its reply, a descriptor per byte */
    for (i = 0; i < 2; i++) {
        g_assert_cmpint(p9c_walk_to(c, P9C_ROOT, FID, "WALK0"), ==, 0);
        call = p9c_clunk_call(c, FID);
        p9c_submit_chain(call, ones, P9C_HEADER + 4, ones, P9C_HEADER + 4);
        g_assert_cmpint(p9c_wait(call), ==, 0);
        p9c_call_end(call);
    }

    /* Rgetattr, which is longer, in pieces of growing size */
    call = p9c_getattr_call(c, P9C_ROOT);
    for (i = 0; i < 20; i++) {
        ones[i] = i + 1;
    }
    p9c_submit_chain(call, ones, 5, ones, 20);
    g_assert_cmpint(p9c_wait(call), ==, 0);
    p9c_get_u64(call);
    p9c_get_qid(call);
    g_assert_cmphex(p9c_get_u32(call), ==, attr.mode);
    p9c_call_drop(call);

    /* Twrite with its header apart, and a descriptor per byte of data */
    g_assert_cmpint(p9c_walk_to(c, P9C_ROOT, FID, "WRITE"), ==, 0);
    g_assert_cmpint(p9c_lopen(c, FID, P9C_O_WRONLY, NULL, NULL), ==, 0);
    call = p9c_write_call(c, FID, 0, ones, 50);
    ones[0] = 23;
    for (i = 1; i <= 50; i++) {
        ones[i] = 1;
    }
    p9c_submit_chain(call, ones, 51, ones, 1);
    g_assert_cmpint(p9c_wait(call), ==, 0);
    g_assert_cmpuint(p9c_get_u32(call), ==, 50);
    p9c_call_end(call);

    synth_alive(c);
    p9c_free(c);
}

/*
 * Sends @call with that room for the reply, which breaks the device; a reset
 * repairs it.
 */
static void assert_breaks(P9Client *c, P9Call *call, uint32_t room)
{
    gint64 start = g_get_monotonic_time();

    p9c_submit_room(call, room);
    while (!p9c_needs_reset(c)) {
        g_assert_cmpint(g_get_monotonic_time() - start, <, P9C_TIMEOUT_US);
        g_usleep(1000);
    }
    g_assert_false(p9c_is_done(call));
    p9c_reset(c);
    p9c_call_end(call);
    g_assert_false(p9c_needs_reset(c));
    p9c_session(c);
    synth_alive(c);
}

static void test_broken(void *obj, void *data, QGuestAllocator *alloc)
{
    QVirtio9P *v9p = obj;
    P9Client *c = synth_session(obj);
    P9Call *call;
    unsigned i;

    if (!(v9p->vdev->features & (1ull << VIRTIO_F_VERSION_1))) {
        g_test_skip("a legacy device cannot report that it is broken");
        p9c_free(c);
        return;
    }
    /* An incomplete header */
    for (i = 0; i < P9C_HEADER; i++) {
        call = p9c_clunk_call(c, P9C_ROOT);
        p9c_truncate(call, i);
        assert_breaks(c, call, P9C_MSIZE);
    }
    /* No room for an Rlerror */
    for (i = 0; i < P9C_HEADER + 4; i += 5) {
        assert_breaks(c, p9c_clunk_call(c, 999), i);
    }
    /* No request, only room for a reply */
    call = p9c_clunk_call(c, P9C_ROOT);
    p9c_truncate(call, 0);
    i = P9C_MSIZE;
    p9c_submit_chain(call, NULL, 0, &i, 1);
    p9c_pause(c);
    g_assert_false(p9c_is_done(call));
    p9c_reset(c);
    p9c_call_end(call);
    p9c_session(c);
    synth_alive(c);
    p9c_free(c);
}

/* Too little room for the reply, but enough for an Rlerror */
static void test_small_room(void *obj, void *data, QGuestAllocator *alloc)
{
    static const char *const name[] = { "WALK0" };
    P9Client *c = synth_session(obj);
    unsigned walked;
    P9Call *call;

    call = p9c_getattr_call(c, P9C_ROOT);
    p9c_submit_room(call, P9C_HEADER + 153 - 1);
    g_assert_cmpint(p9c_wait(call), ==, EMSGSIZE);
    p9c_call_end(call);

    call = p9c_getattr_call(c, P9C_ROOT);
    p9c_submit_room(call, P9C_HEADER + 153);
    g_assert_cmpint(p9c_wait(call), ==, 0);
    p9c_get_bytes(call, 153);
    p9c_call_end(call);

    /*
     * A request whose reply does not fit must have no effect: one fid is not
     * open, and others are still free.
     */
    g_assert_cmpint(p9c_walk_to(c, P9C_ROOT, 2, "LOPEN"), ==, 0);
    call = p9c_request(c, P9C_TLOPEN, PUT(U32(2), U32(P9C_O_RDONLY)));
    p9c_submit_room(call, P9C_HEADER + 13 + 4 - 1);
    g_assert_cmpint(p9c_wait(call), ==, EMSGSIZE);
    p9c_call_end(call);
    g_assert_cmpint(p9c_lopen(c, 2, P9C_O_RDONLY, NULL, NULL), ==, 0);

    call = p9c_request(c, P9C_TATTACH,
                       PUT(U32(3), U32(P9C_NOFID), STR(""), STR(""), U32(0)));
    p9c_submit_room(call, P9C_HEADER + 13 - 1);
    g_assert_cmpint(p9c_wait(call), ==, EMSGSIZE);
    p9c_call_end(call);
    g_assert_cmpint(p9c_attach(c, 3, 0, NULL), ==, 0);

    call = p9c_walk_call(c, P9C_ROOT, FID, "WALK0");
    p9c_submit_room(call, P9C_HEADER + 2 + 12);
    g_assert_cmpint(p9c_wait(call), ==, EMSGSIZE);
    p9c_call_end(call);
    g_assert_cmpint(p9c_walk(c, P9C_ROOT, FID, name, 1, &walked, NULL), ==, 0);
    g_assert_cmpuint(walked, ==, 1);

    synth_alive(c);
    p9c_free(c);
}

/* A reset ends the requests in flight. */
static void test_reset(void *obj, void *data, QGuestAllocator *alloc)
{
    P9Client *c = synth_session_open(obj, "FLUSH", P9C_O_WRONLY);
    P9Call *waiting[5];
    P9Call *flush;
    unsigned i;

    for (i = 0; i < ARRAY_SIZE(waiting); i++) {
        waiting[i] = synth_write_call(c, 1);
        p9c_submit(waiting[i]);
    }
    p9c_pause(c);
    g_assert_false(p9c_is_done(waiting[0]));
    p9c_reset(c);
    for (i = 0; i < ARRAY_SIZE(waiting); i++) {
        p9c_call_end(waiting[i]);
    }

    /* Both the fids and the session are gone. */
    p9c_refused(p9c_getattr_call(c, P9C_ROOT), EPROTO);
    p9c_session(c);
    p9c_refused(p9c_getattr_call(c, FID), ENOENT);
    synth_alive(c);

    /* The same with a flush */
    g_assert_cmpint(p9c_walk_to(c, P9C_ROOT, FID, "FLUSH"), ==, 0);
    g_assert_cmpint(p9c_lopen(c, FID, P9C_O_WRONLY, NULL, NULL), ==, 0);
    waiting[0] = synth_write_call(c, 1);
    p9c_submit(waiting[0]);
    flush = p9c_flush_call(c, p9c_call_tag(waiting[0]));
    p9c_submit(flush);
    p9c_reset(c);
    p9c_call_end(waiting[0]);
    p9c_call_end(flush);
    p9c_session(c);
    synth_alive(c);
    p9c_free(c);
}

static void *with_eventfd(GString *cmd_line, void *arg)
{
    qvirtio_9p_set_property(cmd_line, QVIRTIO_9P_EVENTFD);
    return arg;
}

/* The config space and the rings have the guest's byte order. */
static void *with_legacy(GString *cmd_line, void *arg)
{
    qvirtio_9p_set_property(cmd_line, "disable-modern=on,disable-legacy=off");
    return arg;
}

static void run_legacy(void *obj, void *data, QGuestAllocator *alloc)
{
    const QVirtio9PTest *test = data;
    QVirtio9PPCI *pci = obj;

    g_assert_false(pci->v9p.vdev->features & (1ull << VIRTIO_F_VERSION_1));
    test->function(&pci->v9p, NULL, alloc);
}

static void register_tests(void)
{
    static const QVirtio9PTest tests[] = {
        { "config", test_config },
        { "interrupt", test_interrupt },
        { "queue", test_queue },
        { "backlog", test_backlog },
        { "scattered", test_scattered },
        { "broken", test_broken },
        { "small-room", test_small_room },
        { "reset", test_reset },
        { NULL }
    };
    QOSGraphTestOptions eventfd = { .before = with_eventfd };
    QOSGraphTestOptions legacy = { .before = with_legacy };
    const QVirtio9PTest *test;

    qvirtio_9p_add_tests("synth", "virtio-9p", tests, NULL);
    for (test = tests; test->name; test++) {
        g_autofree char *name = g_strdup_printf("eventfd/device/%s",
                                                test->name);
        g_autofree char *old = g_strdup_printf("legacy/%s", test->name);

        qos_add_test(name, "virtio-9p", test->function, &eventfd);
        legacy.arg = (void *)test;
        qos_add_test(old, "virtio-9p-pci", run_legacy, &legacy);
    }
    qos_add_test("synth/kick", "virtio-9p", test_direct_kick, NULL);
    qos_add_test("eventfd/device/kick", "virtio-9p", test_eventfd_kick,
                 &eventfd);
    qos_add_test("hotplug", "virtio-9p-pci", test_hotplug, NULL);
}
libqos_init(register_tests);
