/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The one list of the extended attributes that a guest may use: user.* without
 * user.virtfs.*, and the two POSIX ACLs. The host's kernel, its privileged
 * programs and the mapped security models trust the other attributes of a host
 * file (security.capability, security.selinux, trusted.overlay.*).
 *
 * An export may have one more, security.capability (@file_caps below): if its
 * helper serves with SETFCAP, because a program's capabilities are the host's.
 *
 * The server checks what the guest asks for, whichever driver serves the file.
 * The helper checks again what QEMU asks for (HostFs.guest_xattrs).
 */
#ifndef FSDEV_SHARED_XATTR_NAMES_H
#define FSDEV_SHARED_XATTR_NAMES_H

#include "qemu/osdep.h"

/* In attributes that begin so, the mapped models keep the guest's view. */
#define FS_XATTR_VIEW           "user.virtfs."

/* The capabilities of a program (capabilities(7)) */
#define FS_XATTR_CAPS           "security.capability"

/* Longest name that Linux has (XATTR_NAME_MAX of linux/limits.h) */
#define FS_XATTR_NAME_MAX       255

/*
 * 0 if a guest may get, set and remove the attribute @name; -EOPNOTSUPP if not,
 * -ERANGE if no attribute can have that name: it is empty or too long.
 */
int fs_xattr_name_check(const char *name, bool file_caps);

/*
 * Removes all other names from a list as listxattr(2) returns it (each with a
 * NUL), and a name without a NUL at the end. Returns the list's new length.
 */
size_t fs_xattr_list_filter(char *list, size_t len, bool file_caps);

#endif /* FSDEV_SHARED_XATTR_NAMES_H */
