/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The numbers of a saved session's format, which docs/interop/
 * virtfs-migration.rst describes.
 */
#ifndef HW_9PFS_SERVER_STATE_FORMAT_H
#define HW_9PFS_SERVER_STATE_FORMAT_H

#define P9_STATE_VERSION    1

/* type[1] size[4] of a record */
#define P9_STATE_HEADER     5

enum {
    P9_STATE_SESSION = 1,
    P9_STATE_DEVICE,
    P9_STATE_QID_NEXT,
    P9_STATE_QID_PREFIX,
    P9_STATE_QID_SINGLE,
    P9_STATE_NODE,
    P9_STATE_ENTRY,
    P9_STATE_ATTACH,
    P9_STATE_FID,
    P9_STATE_XATTR,
    P9_STATE_LOCK_OWNER,
    P9_STATE_LOCK_RANGE,
    P9_STATE_LOCK_USE,
    P9_STATE_END,
};

/* Instead of an entry's index: the name is not known */
#define P9_STATE_NONE       UINT32_MAX

/* Flags of a NODE */
#define P9_STATE_NODE_DETACHED  0x01    /* another inode has its number */

/* Flags of an ENTRY */
#define P9_STATE_ENTRY_WHERE    0x01    /* the driver finds the node by it */
#define P9_STATE_ENTRY_GONE     0x02

/* Flags of a FID */
#define P9_STATE_FID_OPEN       0x01
#define P9_STATE_FID_REMOVE     0x02    /* when it is clunked */
#define P9_STATE_FID_LOST       0x04
#define P9_STATE_FID_READ       0x08    /* it has a position */

/* Devices of an export, at most; each has a number for qids. */
#define P9_STATE_DEVICES_MAX    65536
/* Bytes of a DEVICE's path, at most */
#define P9_STATE_PATH_MAX       4096

#endif /* HW_9PFS_SERVER_STATE_FORMAT_H */
