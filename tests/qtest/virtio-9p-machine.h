/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A machine of a test's own, with a PCI bus for devices that the test plugs.
 */
#ifndef TESTS_VIRTIO_9P_MACHINE_H
#define TESTS_VIRTIO_9P_MACHINE_H

#include "libqos/qgraph.h"
#include "libqos/virtio-9p.h"

typedef struct P9Machine {
    QTestState *qts;
    QTestState *old;            /* global_qtest before */
    QGuestAllocator alloc;
    QPCIBus *bus;
} P9Machine;

/* Starts the machine with these options; it is global_qtest until it ends. */
void p9_machine_start(P9Machine *m, const char *options);
void p9_machine_end(P9Machine *m);

/* The guest goes on in @to, and its old QEMU ends. */
void p9_machine_move(P9Machine *m, QTestState *to);

typedef struct P9MachineTest {
    const char *name;
    QOSTestFunc function;
} P9MachineTest;

/*
 * Adds the tests @group/@export/NAME for an export that @arg describes. They
 * start machines of their own, not that of their path.
 */
void p9_machine_tests(const char *group, const char *export, const void *arg,
                      const P9MachineTest *tests, size_t n);

#endif
