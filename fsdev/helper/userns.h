/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The user namespace of a helper that an ordinary user started, or that was
 * given maps of ids.
 */
#ifndef FSDEV_HELPER_USERNS_H
#define FSDEV_HELPER_USERNS_H

#include "fsdev/shared/idmap.h"

/* Whether this process may set up its sandbox as it is. */
bool userns_is_root(void);

/*
 * Enters a user namespace unless userns_is_root(), and tells its maps in
 * *@ids. They are those of @wanted (--uid-map, --gid-map); where one is empty,
 * id 0 is the user, and ids from 1 are the subordinate ids of subuid(5) and
 * subgid(5), in the order of those files. Where there are none, or no
 * newuidmap(1), the user is the only one, which is told on stderr; but with
 * maps that are wanted it is an error. Ends the process if user namespaces
 * are not allowed.
 */
void userns_enter(const IdMaps *wanted, IdMaps *ids);

/*
 * For a process that userns_is_root(), and has one thread: enters a user
 * namespace with these maps, unless they are empty. @pid is this process' as
 * /proc has it.
 */
void userns_enter_as_root(const IdMaps *ids, uint32_t pid);

/* Whether this process has entered one: it is id 0 there. */
bool userns_entered(void);

/* The uid that everybody has who is not in the map (user_namespaces(7)) */
uint32_t userns_unmapped_uid(void);

/* Whether it is one in which setgroups(2) is not allowed. */
bool userns_denies_setgroups(void);

/*
 * What to tell a user whom @error kept from making namespaces: the setting
 * that stands in the way, where one can be found.
 */
const char *userns_why(int error);

#endif /* FSDEV_HELPER_USERNS_H */
