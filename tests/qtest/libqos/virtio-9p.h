/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The virtio-9p device as libqos has it: its nodes in the graph, and how it is
 * started and reset. Messages are virtio-9p-client.h's.
 */
#ifndef TESTS_LIBQOS_VIRTIO_9P_H
#define TESTS_LIBQOS_VIRTIO_9P_H

#include "qgraph.h"
#include "virtio.h"
#include "virtio-pci.h"

/* The export that the device serves, and the tag that it is given */
#define QVIRTIO_9P_FSDEV    "share"
#define QVIRTIO_9P_TAG      "qtest-share"
#define QVIRTIO_9P_IOTHREAD "qtest-iothread"

typedef struct QVirtio9P {
    QVirtioDevice *vdev;
    QVirtQueue *vq;             /* NULL before it is started */
    QGuestAllocator *alloc;
} QVirtio9P;

typedef struct QVirtio9PPCI {
    QVirtioPCIDevice pci_vdev;
    QVirtio9P v9p;
} QVirtio9PPCI;

typedef struct QVirtio9PDevice {
    QOSGraphObject obj;
    QVirtio9P v9p;
} QVirtio9PDevice;

/*
 * The device serves a synth export. For a test's `before' function: has
 * another one instead. @opts are the -fsdev option's without its id, for
 * instance "proxy,path=/tmp/x"; none of it may have blanks.
 */
void qvirtio_9p_set_fsdev(GString *cmd_line, const char *opts);

/* The same: has the device run in an IOThread, with that id. */
void qvirtio_9p_set_iothread(GString *cmd_line);

/* Gives the device a property, as NAME=VALUE. */
void qvirtio_9p_set_property(GString *cmd_line, const char *property);

/* Kicks go through an eventfd, as they do with KVM if nothing else is said. */
#define QVIRTIO_9P_EVENTFD  "direct-kick=off"

/*
 * Registers a test as qos_add_test() does, and another one that is called
 * iothread/@name: the same with the device in an IOThread.
 */
void qvirtio_9p_add_test(const char *name, const char *interface,
                         QOSTestFunc function, QOSGraphTestOptions *opts);

/* The same for each of a table, as @folder/name; the last has no name. */
typedef struct QVirtio9PTest {
    const char *name;
    QOSTestFunc function;
} QVirtio9PTest;

void qvirtio_9p_add_tests(const char *folder, const char *interface,
                          const QVirtio9PTest *tests,
                          QOSGraphTestOptions *opts);

/*
 * The device at @devfn of @bus, one that was plugged while the machine runs,
 * started. The second ends it for the test, before or after it is unplugged.
 */
QVirtio9PPCI *qvirtio_9p_pci_new(QPCIBus *bus, QGuestAllocator *alloc,
                                 int devfn);
void qvirtio_9p_pci_free(QVirtio9PPCI *dev);

/* Resets the device, with all it has under way, and starts it again. */
void qvirtio_9p_restart(QVirtio9P *v9p);

#endif
