/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The virtio-9p device in libqos: its nodes in the graph, and how a test starts
 * and resets it. virtio-9p-client.h has the messages.
 */
#ifndef TESTS_LIBQOS_VIRTIO_9P_H
#define TESTS_LIBQOS_VIRTIO_9P_H

#include "qgraph.h"
#include "virtio.h"
#include "virtio-pci.h"

/* The export that the device serves, and its mount tag */
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
 * For a test's `before' function: the device serves another export in place
 * of the synth one. @opts are the -fsdev option's without its id, for instance
 * "proxy,path=/tmp/x", without blanks.
 */
void qvirtio_9p_set_fsdev(GString *cmd_line, const char *opts);

/* For the same: the device runs in an IOThread. */
void qvirtio_9p_set_iothread(GString *cmd_line);

/* Gives the device a property, as NAME=VALUE. */
void qvirtio_9p_set_property(GString *cmd_line, const char *property);

/* Kicks go through an eventfd, which is the default with KVM. */
#define QVIRTIO_9P_EVENTFD  "direct-kick=off"

/*
 * Registers a test as qos_add_test() does, and the same test with the device
 * in an IOThread, as iothread/@name.
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
 * Starts the device at @devfn of @bus, which was plugged while the machine
 * runs. The second frees it, before or after the device is unplugged.
 */
QVirtio9PPCI *qvirtio_9p_pci_new(QPCIBus *bus, QGuestAllocator *alloc,
                                 int devfn);
void qvirtio_9p_pci_free(QVirtio9PPCI *dev);

/* Resets the device, with all requests in flight, and starts it again. */
void qvirtio_9p_restart(QVirtio9P *v9p);

#endif
