/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The machine "microvm" in libqos' graph. Its virtio devices are on virtio-mmio
 * buses, which are modern here: libqos' own driver of virtio-mmio sets up a
 * queue of a legacy device only, so this file has the rest.
 *
 * A device that names no bus gets a free one. The constructor looks for the bus
 * that has a device.
 */
#include "qemu/osdep.h"
#include "../libqtest.h"
#include "qemu/module.h"
#include "malloc-pc.h"
#include "qgraph.h"
#include "virtio-mmio.h"

/* As in the code of that machine */
#define MMIO_BASE           0xfeb00000
#define MMIO_SIZE           512
#define MMIO_BUSES          24

#define PAGE_SIZE_GUEST     4096

/* Registers of a modern device (virtio 1.2, 4.2.2) */
#define MMIO_QUEUE_READY    0x044
#define MMIO_QUEUE_DESC     0x080
#define MMIO_QUEUE_AVAIL    0x090
#define MMIO_QUEUE_USED     0x0a0

typedef struct QMicrovmMachine {
    QOSGraphObject obj;
    QGuestAllocator alloc;
    QVirtioMMIODevice mmio;
} QMicrovmMachine;

/*
 * The bus
 */

static QVirtioMMIODevice *mmio_of(QVirtioDevice *vdev)
{
    return container_of(vdev, QVirtioMMIODevice, vdev);
}

static void mmio_queue_select(QVirtioDevice *vdev, uint16_t index)
{
    QVirtioMMIODevice *dev = mmio_of(vdev);

    qtest_writel(dev->qts, dev->addr + QVIRTIO_MMIO_QUEUE_SEL, index);
    g_assert_cmphex(qtest_readl(dev->qts, dev->addr + MMIO_QUEUE_READY),
                    ==, 0);
}

static void mmio_set_address(QVirtioMMIODevice *dev, uint64_t reg,
                             uint64_t addr)
{
    qtest_writel(dev->qts, dev->addr + reg, addr);
    qtest_writel(dev->qts, dev->addr + reg + 4, addr >> 32);
}

static void mmio_set_queue_address(QVirtioDevice *vdev, QVirtQueue *vq)
{
    QVirtioMMIODevice *dev = mmio_of(vdev);

    mmio_set_address(dev, MMIO_QUEUE_DESC, vq->desc);
    mmio_set_address(dev, MMIO_QUEUE_AVAIL, vq->avail);
    mmio_set_address(dev, MMIO_QUEUE_USED, vq->used);
    qtest_writel(dev->qts, dev->addr + MMIO_QUEUE_READY, 1);
}

static QVirtQueue *mmio_queue_setup(QVirtioDevice *vdev,
                                    QGuestAllocator *alloc, uint16_t index)
{
    QVirtioMMIODevice *dev = mmio_of(vdev);
    QVirtQueue *vq = g_new0(QVirtQueue, 1);

    vq->vdev = vdev;
    mmio_queue_select(vdev, index);
    vq->index = index;
    vq->size = vdev->bus->get_queue_size(vdev);
    g_assert_cmpuint(vq->size, >, 0);
    g_assert_cmpuint(vq->size & (vq->size - 1), ==, 0);   /* power of 2 */
    vq->num_free = vq->size;
    vq->align = dev->page_size;
    vq->indirect = vdev->features & (1ull << VIRTIO_RING_F_INDIRECT_DESC);
    vq->event = vdev->features & (1ull << VIRTIO_RING_F_EVENT_IDX);

    qtest_writel(dev->qts, dev->addr + QVIRTIO_MMIO_QUEUE_NUM, vq->size);
    qvring_init(dev->qts, alloc, vq,
                guest_alloc(alloc, qvring_size(vq->size, dev->page_size)));
    mmio_set_queue_address(vdev, vq);
    return vq;
}

/* libqos' bus of a legacy device, but for the queue */
static const QVirtioBus *modern_bus(void)
{
    static QVirtioBus bus;

    bus = qvirtio_mmio;
    bus.queue_select = mmio_queue_select;
    bus.set_queue_address = mmio_set_queue_address;
    bus.virtqueue_setup = mmio_queue_setup;
    return &bus;
}

/*
 * The machine
 */

static void microvm_destructor(QOSGraphObject *obj)
{
    alloc_destroy(&container_of(obj, QMicrovmMachine, obj)->alloc);
}

static void *microvm_get_driver(void *object, const char *interface)
{
    QMicrovmMachine *machine = object;

    if (!strcmp(interface, "memory")) {
        return &machine->alloc;
    }
    g_error("microvm does not produce %s", interface);
}

static QOSGraphObject *microvm_get_device(void *object, const char *device)
{
    QMicrovmMachine *machine = object;

    if (!strcmp(device, "virtio-mmio")) {
        return &machine->mmio.obj;
    }
    g_error("microvm does not contain %s", device);
}

static uint64_t find_device(QTestState *qts)
{
    unsigned i;

    for (i = 0; i < MMIO_BUSES; i++) {
        uint64_t addr = MMIO_BASE + i * MMIO_SIZE;

        if (qtest_readl(qts, addr + QVIRTIO_MMIO_DEVICE_ID) != 0) {
            return addr;
        }
    }
    g_error("microvm has no virtio device");
}

static void *microvm_create(QTestState *qts)
{
    QMicrovmMachine *machine = g_new0(QMicrovmMachine, 1);

    machine->obj.get_device = microvm_get_device;
    machine->obj.get_driver = microvm_get_driver;
    machine->obj.destructor = microvm_destructor;
    pc_alloc_init(&machine->alloc, qts, ALLOC_NO_FLAGS);
    qvirtio_mmio_init_device(&machine->mmio, qts, find_device(qts),
                             PAGE_SIZE_GUEST);
    g_assert_cmpuint(machine->mmio.version, ==, 2);
    machine->mmio.vdev.bus = modern_bus();
    return &machine->obj;
}

static void microvm_register(void)
{
    static const char *const names[] = { "i386/microvm", "x86_64/microvm" };
    unsigned i;

    for (i = 0; i < ARRAY_SIZE(names); i++) {
        qos_node_create_machine_args(names[i], microvm_create,
                                     " -global virtio-mmio.force-legacy=off");
        qos_node_contains(names[i], "virtio-mmio", NULL);
    }
}
libqos_init(microvm_register);
