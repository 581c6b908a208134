/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Fragment: pieces for a file of libvirt (edits.toml). */

/* graft: name */
              "fsdev-proxy", /* QEMU_CAPS_FSDEV_PROXY */
              "fsdev.migration", /* QEMU_CAPS_FSDEV_MIGRATION */

/* graft: schema */
    { "fsdev-add/arg-type/+proxy", QEMU_CAPS_FSDEV_PROXY },
    { "fsdev-add/arg-type/on-missing", QEMU_CAPS_FSDEV_MIGRATION },

/* graft: domain */
    if (virQEMUCapsGet(qemuCaps, QEMU_CAPS_FSDEV_PROXY))
        VIR_DOMAIN_CAPS_ENUM_SET(filesystem->driverType,
                                 VIR_DOMAIN_FS_DRIVER_TYPE_PROXY);
