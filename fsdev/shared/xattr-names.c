/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The extended attributes that a guest may use: see xattr-names.h.
 */
#include "qemu/osdep.h"
#include "acl.h"
#include "xattr-names.h"

#define USER    "user."

const FsXattrNames fs_xattr_usual_names;

/* Whether mapped models keep their own there. A server may ignore case. */
static bool is_view(const char *name)
{
    return !g_ascii_strncasecmp(name, FS_XATTR_VIEW, strlen(FS_XATTR_VIEW));
}

/* Whether the list has @name. */
static bool in_list(const FsXattrNames *names, const char *name)
{
    if (!strcmp(name, FS_ACL_ACCESS) || !strcmp(name, FS_ACL_DEFAULT) ||
        (names->file_caps && !strcmp(name, FS_XATTR_CAPS))) {
        return true;
    }
    /* Something must follow the dot. */
    return g_str_has_prefix(name, USER) && name[strlen(USER)] &&
           !is_view(name) &&
           !(names->map && fs_xattr_map_owns(names->map, name));
}

int fs_xattr_to_host(const FsXattrNames *names, const char *name,
                     FsXattrName host)
{
    size_t len = strlen(name);
    int ret = 0;

    if (len == 0 || len > FS_XATTR_NAME_MAX) {
        return -ERANGE;
    }
    if (names->map) {
        ret = fs_xattr_map_to_host(names->map, name, host);
    }
    if (ret != 0) {
        return ret < 0 ? ret : is_view(host) ? -EOPNOTSUPP : 0;
    }
    memcpy(host, name, len + 1);
    return names->others || in_list(names, name) ? 0 : -EOPNOTSUPP;
}

/* The guest's form of the host's name @name, or NULL: it sees none. */
static const char *to_guest(const FsXattrNames *names, const char *name)
{
    const char *guest = name;
    int ret = 0;

    if (names->others) {
        return *name ? name : NULL;
    }
    if (is_view(name)) {
        return NULL;
    }
    if (names->map) {
        ret = fs_xattr_map_to_guest(names->map, name, &guest);
    }
    if (ret == 0) {
        ret = in_list(names, name) ? 1 : -1;
    }
    return ret > 0 ? guest : NULL;
}

size_t fs_xattr_list_to_guest(const FsXattrNames *names, char *list,
                              size_t len)
{
    size_t done = 0;
    size_t at = 0;

    while (at < len) {
        const char *end = memchr(list + at, '\0', len - at);
        const char *guest;

        if (!end) {
            break;
        }
        guest = to_guest(names, list + at);
        if (guest) {
            memmove(list + done, guest, end + 1 - guest);
            done += end + 1 - guest;
        }
        at = end + 1 - list;
    }
    return done;
}
