/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Fragment: pieces for a file of libvirt (edits.toml). */

/* graft: address */
        case VIR_DOMAIN_FS_DRIVER_TYPE_PROXY:
