/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The virtio-9p device in libqos' graph: virtio-9p-device on a virtio bus
 * (virtio-mmio) and virtio-9p-pci on a PCI bus both produce "virtio-9p". A test
 * gets it started, with its one queue. virtio-9p-ccw produces nothing, because
 * libqos cannot drive it (see s390-ccw-machine.c).
 *
 * A device needs an export to exist, so the command line always has one: of the
 * synth driver, unless a test puts another in its place.
 */
#include "qemu/osdep.h"
#include "../libqtest.h"
#include "qemu/module.h"
#include "standard-headers/linux/virtio_ids.h"
#include "virtio-9p.h"

#define FSDEV_SYNTH     "-fsdev synth,id=" QVIRTIO_9P_FSDEV
#define DEVICE_OPTS     "fsdev=" QVIRTIO_9P_FSDEV ",mount_tag=" QVIRTIO_9P_TAG

void qvirtio_9p_set_fsdev(GString *cmd_line, const char *opts)
{
    char *at = strstr(cmd_line->str, FSDEV_SYNTH);
    g_autofree char *fsdev = g_strdup_printf("-fsdev %s,id=%s", opts,
                                             QVIRTIO_9P_FSDEV);
    size_t pos;

    g_assert_nonnull(at);
    pos = at - cmd_line->str;
    g_string_erase(cmd_line, pos, strlen(FSDEV_SYNTH));
    g_string_insert(cmd_line, pos, fsdev);
}

void qvirtio_9p_set_property(GString *cmd_line, const char *property)
{
    static const char tag[] = "mount_tag=" QVIRTIO_9P_TAG;
    char *at = strstr(cmd_line->str, tag);
    g_autofree char *text = g_strconcat(",", property, NULL);

    g_assert_nonnull(at);
    g_string_insert(cmd_line, at - cmd_line->str + strlen(tag), text);
}

void qvirtio_9p_set_iothread(GString *cmd_line)
{
    qvirtio_9p_set_property(cmd_line, "iothread=" QVIRTIO_9P_IOTHREAD);
    g_string_append(cmd_line, " -object iothread,id=" QVIRTIO_9P_IOTHREAD " ");
}

static void *before_in_iothread(GString *cmd_line, void *arg)
{
    QOSGraphTestOptions *opts = arg;

    qvirtio_9p_set_iothread(cmd_line);
    return opts->before ? opts->before(cmd_line, opts->arg) : opts->arg;
}

void qvirtio_9p_add_test(const char *name, const char *interface,
                         QOSTestFunc function, QOSGraphTestOptions *opts)
{
    g_autofree char *in_iothread = g_strconcat("iothread/", name, NULL);
    QOSGraphTestOptions there = {
        .before = before_in_iothread,
        /* Tests are never unregistered. */
        .arg = opts ? g_memdup2(opts, sizeof(*opts))
                    : g_new0(QOSGraphTestOptions, 1),
    };

    qos_add_test(name, interface, function, opts);
    qos_add_test(in_iothread, interface, function, &there);
}

void qvirtio_9p_add_tests(const char *folder, const char *interface,
                          const QVirtio9PTest *tests,
                          QOSGraphTestOptions *opts)
{
    for (; tests->name; tests++) {
        g_autofree char *name = g_strdup_printf("%s/%s", folder, tests->name);

        qvirtio_9p_add_test(name, interface, tests->function, opts);
    }
}

static void virtio_9p_start(QVirtio9P *v9p)
{
    uint64_t features = qvirtio_get_features(v9p->vdev);

    features &= ~(QVIRTIO_F_BAD_FEATURE |
                  (1ull << VIRTIO_RING_F_EVENT_IDX));
    qvirtio_set_features(v9p->vdev, features);
    v9p->vq = qvirtqueue_setup(v9p->vdev, v9p->alloc, 0);
    qvirtio_set_driver_ok(v9p->vdev);
}

static void virtio_9p_drop_queue(QVirtio9P *v9p)
{
    qvirtqueue_cleanup(v9p->vdev->bus, v9p->vq, v9p->alloc);
    v9p->vq = NULL;
}

void qvirtio_9p_restart(QVirtio9P *v9p)
{
    qvirtio_start_device(v9p->vdev);
    virtio_9p_drop_queue(v9p);
    virtio_9p_start(v9p);
}

static void *virtio_9p_get_driver(QVirtio9P *v9p, const char *interface)
{
    if (!strcmp(interface, "virtio-9p")) {
        return v9p;
    }
    if (!strcmp(interface, "virtio")) {
        return v9p->vdev;
    }
    g_error("virtio-9p does not produce %s", interface);
}

/*
 * virtio-9p-device
 */

static void device_start_hw(QOSGraphObject *obj)
{
    virtio_9p_start(&container_of(obj, QVirtio9PDevice, obj)->v9p);
}

static void device_destructor(QOSGraphObject *obj)
{
    virtio_9p_drop_queue(&container_of(obj, QVirtio9PDevice, obj)->v9p);
}

static void *device_get_driver(void *object, const char *interface)
{
    QVirtio9PDevice *dev = object;

    return virtio_9p_get_driver(&dev->v9p, interface);
}

static void *device_create(void *virtio_dev, QGuestAllocator *alloc, void *arg)
{
    QVirtio9PDevice *dev = g_new0(QVirtio9PDevice, 1);

    dev->v9p.vdev = virtio_dev;
    dev->v9p.alloc = alloc;
    dev->obj.start_hw = device_start_hw;
    dev->obj.destructor = device_destructor;
    dev->obj.get_driver = device_get_driver;
    return &dev->obj;
}

/*
 * virtio-9p-pci
 */

static QVirtio9PPCI *pci_dev(QOSGraphObject *obj)
{
    return container_of(obj, QVirtio9PPCI, pci_vdev.obj);
}

static void pci_start_hw(QOSGraphObject *obj)
{
    qvirtio_pci_start_hw(obj);
    virtio_9p_start(&pci_dev(obj)->v9p);
}

static void pci_destructor(QOSGraphObject *obj)
{
    virtio_9p_drop_queue(&pci_dev(obj)->v9p);
    qvirtio_pci_destructor(obj);
}

static void *pci_get_driver(void *object, const char *interface)
{
    QVirtio9PPCI *dev = object;

    if (!strcmp(interface, "pci-device")) {
        return dev->pci_vdev.pdev;
    }
    return virtio_9p_get_driver(&dev->v9p, interface);
}

static void *pci_create(void *pci_bus, QGuestAllocator *alloc, void *addr)
{
    QVirtio9PPCI *dev = g_new0(QVirtio9PPCI, 1);
    QOSGraphObject *obj = &dev->pci_vdev.obj;

    virtio_pci_init(&dev->pci_vdev, pci_bus, addr);
    g_assert_cmphex(dev->pci_vdev.vdev.device_type, ==, VIRTIO_ID_9P);
    dev->v9p.vdev = &dev->pci_vdev.vdev;
    dev->v9p.alloc = alloc;
    obj->start_hw = pci_start_hw;
    obj->destructor = pci_destructor;
    obj->get_driver = pci_get_driver;
    return obj;
}

QVirtio9PPCI *qvirtio_9p_pci_new(QPCIBus *bus, QGuestAllocator *alloc,
                                 int devfn)
{
    QPCIAddress addr = { .devfn = devfn };
    QOSGraphObject *obj = pci_create(bus, alloc, &addr);

    obj->start_hw(obj);
    return pci_dev(obj);
}

void qvirtio_9p_pci_free(QVirtio9PPCI *dev)
{
    pci_destructor(&dev->pci_vdev.obj);
    g_free(dev);
}

/*
 * virtio-9p-ccw
 */

static void *ccw_create(void *bus, QGuestAllocator *alloc, void *arg)
{
    return g_new0(QOSGraphObject, 1);
}

static void virtio_9p_register(void)
{
    QPCIAddress addr = { .devfn = QPCI_DEVFN(4, 0) };
    QOSGraphEdgeOptions opts = { .before_cmd_line = FSDEV_SYNTH };

    opts.extra_device_opts = DEVICE_OPTS;
    qos_node_create_driver("virtio-9p-device", device_create);
    qos_node_consumes("virtio-9p-device", "virtio-bus", &opts);
    qos_node_produces("virtio-9p-device", "virtio");
    qos_node_produces("virtio-9p-device", "virtio-9p");
    /* The machine's object has this bus, but only "arm/virt" shows it. */
    qos_node_contains("aarch64/virt", "virtio-mmio", NULL);

    qos_node_create_driver("virtio-9p-ccw", ccw_create);
    qos_node_consumes("virtio-9p-ccw", "ccw-bus", &opts);

    opts.extra_device_opts = DEVICE_OPTS ",addr=04.0";
    add_qpci_address(&opts, &addr);
    qos_node_create_driver("virtio-9p-pci", pci_create);
    qos_node_consumes("virtio-9p-pci", "pci-bus", &opts);
    qos_node_produces("virtio-9p-pci", "pci-device");
    qos_node_produces("virtio-9p-pci", "virtio");
    qos_node_produces("virtio-9p-pci", "virtio-9p");
}
libqos_init(virtio_9p_register);
