/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Fragment: pieces for a file of libvirt (edits.toml). */

/* graft: flag */
    QEMU_CAPS_FSDEV_PROXY, /* fsdev driver 'proxy', and command fsdev-add */
    QEMU_CAPS_FSDEV_MIGRATION, /* options 'migration' and 'on-missing' of an fsdev */
