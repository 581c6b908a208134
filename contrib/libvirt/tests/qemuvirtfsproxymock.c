/*
 * qemuvirtfsproxymock.c: whose the files of qemuvirtfsproxytest are
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include <config.h>

#include <sys/stat.h>

#include "internal.h"
#include "qemu/qemu_virtfs_helper.h"

/* Everything is root's, who alone may write there, but for two names: "theirs"
 * belongs to user 1000, and a group may write to "shared". */
int
qemuVirtFSHelperLook(const char *path,
                     struct stat *status)
{
    if (lstat(path, status) < 0)
        return -1;

    status->st_uid = 0;
    status->st_mode &= ~(S_IWGRP | S_IWOTH);

    if (g_str_has_suffix(path, "/theirs"))
        status->st_uid = 1000;

    if (g_str_has_suffix(path, "/shared"))
        status->st_mode |= S_IWGRP;

    return 0;
}
