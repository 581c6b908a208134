/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The extended attributes that a guest may use: see xattr-names.h.
 */
#include "qemu/osdep.h"
#include "acl.h"
#include "xattr-names.h"

#define USER    "user."

int fs_xattr_name_check(const char *name, bool file_caps)
{
    size_t len = strlen(name);

    if (len == 0 || len > FS_XATTR_NAME_MAX) {
        return -ERANGE;
    }
    if (!strcmp(name, FS_ACL_ACCESS) || !strcmp(name, FS_ACL_DEFAULT)) {
        return 0;
    }
    if (file_caps && !strcmp(name, FS_XATTR_CAPS)) {
        return 0;
    }
    /* Something must follow the dot. A host's server may ignore case. */
    return g_str_has_prefix(name, USER) && name[strlen(USER)] &&
           g_ascii_strncasecmp(name, FS_XATTR_VIEW, strlen(FS_XATTR_VIEW))
           ? 0 : -EOPNOTSUPP;
}

size_t fs_xattr_list_filter(char *list, size_t len, bool file_caps)
{
    size_t done = 0;
    size_t at = 0;

    while (at < len) {
        const char *end = memchr(list + at, '\0', len - at);
        size_t n;

        if (!end) {
            break;
        }
        n = end + 1 - (list + at);
        if (fs_xattr_name_check(list + at, file_caps) == 0) {
            memmove(list + done, list + at, n);
            done += n;
        }
        at += n;
    }
    return done;
}
