/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The ids that this process can give to files: those of its user namespace
 * (user_namespaces(7)), and if it is no root, its own. Any thread.
 */
#ifndef FSDEV_MAPPED_HOST_IDS_H
#define FSDEV_MAPPED_HOST_IDS_H

#include "fsdev/shared/idmap.h"

/* Whether the user namespace has these ids */
bool mapped_ids_exist(uint32_t uid, uint32_t gid);
/* Whether it has all ids of the host's: others have no devices. */
bool mapped_ids_are_hosts(void);

/* Whether this process may make them the owner of its own files */
bool mapped_may_give(uint32_t uid, uint32_t gid);
/* What to tell a user who may not */
#define MAPPED_ONLY_ROOT "only root may give files away: run this as root, " \
                         "or in a user namespace (unshare --map-root-user " \
                         "--map-auto virtfs-mapped ...)"

/*
 * The ids outside of the user namespace that @maps lead to: a text of the form
 *
 *     uid=INSIDE:OUTSIDE:COUNT,... gid=INSIDE:OUTSIDE:COUNT,...
 *
 * or "host" if all are the same. Two maps that mean the same have one text. To
 * be freed
 */
char *mapped_ids_text(const IdMaps *maps);
/* Reads such a text; false if it is none, or has too many ranges. */
bool mapped_ids_parse(const char *text, IdMaps *maps);

#endif /* FSDEV_MAPPED_HOST_IDS_H */
