/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Rules that map the names of extended attributes between guest and host
 * (xattr-map=), in the form that virtiofsd's users know:
 *
 *     :prefix:SCOPE:KEY:PREPEND:
 *         The guest's names that begin with KEY get PREPEND before them on the
 *         host; the host's names that begin with PREPEND and KEY lose it.
 *     :ok:SCOPE:KEY:PREPEND:             The name stays as it is.
 *     :bad:SCOPE:KEY:PREPEND:            EPERM; not listed.
 *     :unsupported:SCOPE:KEY:PREPEND:    EOPNOTSUPP; not listed.
 *     :map:KEY:PREPEND:
 *         Short for rules that map KEY and hide PREPEND; must be the last.
 *
 * A rule with SCOPE client is about names that the guest uses, and KEY is the
 * beginning of those. With server it is about names in the host's lists, and
 * PREPEND is the beginning of those. all is both. Any character may stand for
 * the colon, the rule's first one; white space may stand between rules. The
 * first rule that is about a name decides.
 *
 * A guest's user can set any user.* attribute of an own file. What the guest's
 * kernel trusts must not be within reach under another name. So a name that
 * begins with the PREPEND of a prefix rule is closed to the guest, unless that
 * rule or an earlier one decides about it.
 */
#ifndef FSDEV_SHARED_XATTR_MAP_H
#define FSDEV_SHARED_XATTR_MAP_H

#include "qemu/osdep.h"

/* Longest name that Linux has (XATTR_NAME_MAX of linux/limits.h) */
#define FS_XATTR_NAME_MAX       255

typedef char FsXattrName[FS_XATTR_NAME_MAX + 1];

typedef struct FsXattrMap FsXattrMap;

/*
 * New rules (fs_xattr_map_free()), or NULL with a new description of the error
 * in *@why, which begins with the bad rule.
 */
FsXattrMap *fs_xattr_map_parse(const char *text, char **why);
void fs_xattr_map_free(FsXattrMap *map);

/*
 * The host's form of a name that the guest uses. 1 with it in @host; 0 if no
 * rule is about the name; -errno if a rule forbids it, or -ERANGE if the
 * host's form is too long.
 */
int fs_xattr_map_to_host(const FsXattrMap *map, const char *name,
                         FsXattrName host);

/*
 * The guest's form of a name in a list of the host's, which is a part of @name:
 * 1 with it in *@guest, 0 if no rule is about the name, -1 if it is hidden.
 */
int fs_xattr_map_to_guest(const FsXattrMap *map, const char *name,
                          const char **guest);

/* Whether a prefix rule keeps names under @name. */
bool fs_xattr_map_owns(const FsXattrMap *map, const char *name);

#endif /* FSDEV_SHARED_XATTR_MAP_H */
