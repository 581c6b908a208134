/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The one list of the extended attributes that a guest may use: user.* without
 * user.virtfs.*, and the two POSIX ACLs. The host's kernel, its privileged
 * programs and the mapped security models trust the other attributes of a host
 * file (security.capability, security.selinux, trusted.overlay.*).
 *
 * An export may have one more, security.capability: if its helper serves with
 * SETFCAP, because a program's capabilities are the host's. And it may have
 * rules (xattr-map.h), under which the guest uses other names for the host's,
 * or not all of these.
 *
 * The server checks and maps what the guest asks for, whichever driver serves
 * the file. Where a helper has rules, the server leaves that to it. The helper
 * checks all that QEMU asks for.
 */
#ifndef FSDEV_SHARED_XATTR_NAMES_H
#define FSDEV_SHARED_XATTR_NAMES_H

#include "xattr-map.h"

/* In attributes that begin so, the mapped models keep the guest's view. */
#define FS_XATTR_VIEW           "user.virtfs."

/* The capabilities of a program (capabilities(7)) */
#define FS_XATTR_CAPS           "security.capability"

/* Which attributes the guests of an export use */
typedef struct FsXattrNames {
    bool file_caps;             /* security.capability is in the list */
    bool others;                /* another process has rules: all names */
    FsXattrMap *map;            /* rules, or NULL */
} FsXattrNames;

/* The list alone */
extern const FsXattrNames fs_xattr_usual_names;

/*
 * The host's form of the attribute @name, in @host, if a guest may get, set
 * and remove it. -EOPNOTSUPP or, if a rule says so, -EPERM if not; -ERANGE if
 * no attribute can have that name: it is empty or too long.
 */
int fs_xattr_to_host(const FsXattrNames *names, const char *name,
                     FsXattrName host);

/*
 * Turns a list as listxattr(2) returns it (each name with a NUL) into the
 * guest's: without all other names, and without one that has no NUL at the
 * end. Returns the list's new length, which is not greater.
 */
size_t fs_xattr_list_to_guest(const FsXattrNames *names, char *list,
                              size_t len);

#endif /* FSDEV_SHARED_XATTR_NAMES_H */
