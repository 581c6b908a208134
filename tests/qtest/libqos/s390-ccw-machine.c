/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The machine "s390-ccw-virtio" in libqos' graph, with its channel subsystem
 * as "ccw-bus".
 *
 * A guest reaches a channel device by instructions of the processor, which
 * executes none in a qtest. So a device here can be created, queried and
 * plugged, but not driven; for that there are guests (tests/guest).
 */
#include "qemu/osdep.h"
#include "../libqtest.h"
#include "qemu/module.h"
#include "libqos-malloc.h"
#include "qgraph.h"

typedef struct QCcwMachine {
    QOSGraphObject obj;
    QOSGraphObject bus;
} QCcwMachine;

static void *ccw_bus_get_driver(void *object, const char *interface)
{
    if (!strcmp(interface, "ccw-bus")) {
        return object;
    }
    g_error("ccw-bus-s390x does not produce %s", interface);
}

/* The machine has no allocator, because no test uses the guest's memory. */
static void *machine_get_driver(void *object, const char *interface)
{
    if (!strcmp(interface, "memory")) {
        return NULL;
    }
    g_error("s390-ccw-virtio does not produce %s", interface);
}

static QOSGraphObject *machine_get_device(void *object, const char *device)
{
    QCcwMachine *machine = object;

    if (!strcmp(device, "ccw-bus-s390x")) {
        return &machine->bus;
    }
    g_error("s390-ccw-virtio does not contain %s", device);
}

static void *machine_create(QTestState *qts)
{
    QCcwMachine *machine = g_new0(QCcwMachine, 1);

    machine->obj.get_device = machine_get_device;
    machine->obj.get_driver = machine_get_driver;
    machine->bus.get_driver = ccw_bus_get_driver;
    return &machine->obj;
}

static void s390_ccw_register(void)
{
    qos_node_create_machine("s390x/s390-ccw-virtio", machine_create);
    qos_node_create_driver("ccw-bus-s390x", NULL);
    qos_node_produces("ccw-bus-s390x", "ccw-bus");
    qos_node_contains("s390x/s390-ccw-virtio", "ccw-bus-s390x", NULL);
}
libqos_init(s390_ccw_register);
