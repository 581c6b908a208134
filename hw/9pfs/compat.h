/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Functions of the base that the series of QEMU spell differently.
 *
 * This tree is built with several series of QEMU (base/base.toml). Where they
 * differ for C code, this file is the only one that asks for the version. It
 * gives an older series what the newest has.
 */
#ifndef HW_9PFS_COMPAT_H
#define HW_9PFS_COMPAT_H

#include "qemu/sockets.h"
#include "system/runstate.h"

#define P9_BASE_IS(major, minor) \
    (QEMU_VERSION_MAJOR > (major) || \
     (QEMU_VERSION_MAJOR == (major) && QEMU_VERSION_MINOR >= (minor)))

#if !P9_BASE_IS(10, 2)
static inline bool qemu_set_blocking(int fd, bool block, Error **errp)
{
    if (block) {
        qemu_socket_set_block(fd);
    } else {
        qemu_socket_set_nonblock(fd);
    }
    return true;
}
#endif

/* What class_init of a TypeInfo gets */
#if P9_BASE_IS(10, 1)
typedef const void P9ClassData;
#else
typedef void P9ClassData;
#endif

/* Notifies the guest from an IOThread, by descriptor */
#if P9_BASE_IS(10, 2)
#define p9_virtio_notify_irqfd virtio_notify
#else
#define p9_virtio_notify_irqfd virtio_notify_irqfd
#endif

/* The device's handler of a stopped and of a continued machine */
static inline VMChangeStateEntry *
p9_add_vm_change_state_handler(DeviceState *dev, VMChangeStateHandler *cb,
                               void *opaque)
{
#if P9_BASE_IS(10, 2)
    return qdev_add_vm_change_state_handler(dev, cb, NULL, opaque);
#else
    return qdev_add_vm_change_state_handler(dev, cb, opaque);
#endif
}

#endif
