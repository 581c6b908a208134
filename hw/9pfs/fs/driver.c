/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The drivers that this binary has. Each makes itself known at start-up, from
 * a function that type_init() names.
 */
#include "qemu/osdep.h"
#include "driver.h"

static const FsDriver *drivers[FSDEV_DRIVER__MAX];

void fs_driver_register(const FsDriver *driver)
{
    assert(!drivers[driver->type]);
    drivers[driver->type] = driver;
}

const FsDriver *fs_driver_find(FsdevDriver type)
{
    return drivers[type];
}
