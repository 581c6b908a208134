/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The paths of protocol version 1, which knows files by path: from a path to a
 * handle of hostfs.
 */
#ifndef FSDEV_HELPER_V1_PATH_H
#define FSDEV_HELPER_V1_PATH_H

#include "fsdev/shared/hostfs.h"

/* A handle of the object at @path, which the caller closes, or -errno. */
int path_v1_find(const HostFs *fs, const char *path);

/*
 * The same for the directory that holds @path's last name. *@name gets that
 * name (g_free). The root has no name: -EBUSY, as rename(2) says.
 */
int path_v1_find_parent(const HostFs *fs, const char *path, char **name);

#endif /* FSDEV_HELPER_V1_PATH_H */
