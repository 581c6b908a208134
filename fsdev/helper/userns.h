/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The user namespace of a helper that an ordinary user started, or that was
 * given maps of ids.
 */
#ifndef FSDEV_HELPER_USERNS_H
#define FSDEV_HELPER_USERNS_H

#include "fsdev/shared/idmap.h"

/* Whether this process may set up its sandbox without a user namespace. */
bool userns_is_root(void);

/*
 * Enters a user namespace unless userns_is_root(), and stores its maps in
 * *@ids. They are those of @wanted (--uid-map, --gid-map). If one of these is
 * empty, id 0 is the user, and the ids from 1 are the subordinate ids of
 * subuid(5) and subgid(5), in the order of those files. Without subordinate
 * ids, or without newuidmap(1), the user is the only id: that is a warning,
 * or an error if @wanted has maps. Ends the process if user namespaces are not
 * allowed.
 */
void userns_enter(const IdMaps *wanted, IdMaps *ids);

/*
 * For a process that userns_is_root() and has one thread: enters a user
 * namespace with the maps @ids, unless they are empty. @pid is the process id
 * of this process as /proc has it.
 */
void userns_enter_as_root(const IdMaps *ids, uint32_t pid);

/* Whether this process has entered a user namespace, as its id 0. */
bool userns_entered(void);

/* The uid of all users that are not in the map (user_namespaces(7)) */
uint32_t userns_unmapped_uid(void);

/* Whether the namespace lacks ids, so that some users look like that one */
bool userns_is_partial(void);

/*
 * For a process that userns_is_root(): a descriptor of a new user namespace
 * with the maps @ids, which no process is in, or -1 if that is not possible.
 */
int userns_make(const IdMaps *ids);

/* Whether the user namespace forbids setgroups(2). */
bool userns_denies_setgroups(void);

/*
 * The reason why making a namespace failed with @error, for the user: the
 * setting that forbids it, if one is found.
 */
const char *userns_why(int error);

#endif /* FSDEV_HELPER_USERNS_H */
