/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The user namespace of a helper that an ordinary user started.
 */
#ifndef HELPER_USERNS_H
#define HELPER_USERNS_H

#include "fsdev/proxy-proto.h"

/*
 * Which ids of this process' user namespace are which of the starter's. Empty
 * maps: they are the same.
 */
typedef struct IdMaps {
    ProxyIdRange uid[PROXY_IDMAP_MAX];
    ProxyIdRange gid[PROXY_IDMAP_MAX];
    unsigned n_uid;
    unsigned n_gid;
} IdMaps;

/* Whether this process may set up its sandbox as it is. */
bool userns_is_root(void);

/*
 * Enters a user namespace unless userns_is_root(). Id 0 in it is the user;
 * ids from 1 are the subordinate ids of subuid(5) and subgid(5), in the order
 * of those files. Where there are none, or no newuidmap(1), the user is the
 * only one, which is told on stderr. Ends the process if user namespaces are
 * not allowed.
 */
void userns_enter(IdMaps *ids);

/* Whether it is one in which setgroups(2) is not allowed. */
bool userns_denies_setgroups(void);

/*
 * What to tell a user whom @error kept from making namespaces: the setting
 * that stands in the way, where one can be found.
 */
const char *userns_why(int error);

#endif /* HELPER_USERNS_H */
