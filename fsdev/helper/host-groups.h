/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The host's users and their groups, as passwd(5), group(5) and what else
 * nsswitch.conf(5) names have them.
 */
#ifndef FSDEV_HELPER_HOST_GROUPS_H
#define FSDEV_HELPER_HOST_GROUPS_H

#include "qemu/osdep.h"

/*
 * What a file server takes with AUTH_SYS of NFS. The primary group is one of
 * them, as with initgroups(3).
 */
#define HOST_GROUPS_MAX     16

typedef struct HostGroups {
    uint32_t uid;
    uint32_t primary;
    uint32_t n;
    gid_t groups[HOST_GROUPS_MAX];
} HostGroups;

/*
 * Reads them all, at once: a table from the uid to HostGroups. Ends the process
 * if that takes too long, or if there are too many. The process must have one
 * thread.
 */
GHashTable *host_groups_read(void);

#endif /* FSDEV_HELPER_HOST_GROUPS_H */
