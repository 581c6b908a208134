/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Which ids in the helper's user namespace are which of the host's: reading
 * what --uid-map and --gid-map say, and looking ids up.
 */
#ifndef FSDEV_HELPER_IDMAP_H
#define FSDEV_HELPER_IDMAP_H

#include "qemu/osdep.h"
#include "fsdev/shared/proto.h"

/* Empty maps: ids are the same on both sides. */
typedef struct IdMaps {
    ProxyIdRange uid[PROXY_IDMAP_MAX];
    ProxyIdRange gid[PROXY_IDMAP_MAX];
    unsigned n_uid;
    unsigned n_gid;
} IdMaps;

/* No such id; chown(2) and setresuid(2) keep this one free. */
#define IDMAP_NONE              UINT32_MAX

/*
 * Adds ranges to @map, which has PROXY_IDMAP_MAX places, *@n of them taken.
 * @text is "INSIDE:OUTSIDE:COUNT", or several separated by commas; each may
 * have a colon before and after it, as virtiofsd writes them. Returns NULL,
 * or what is wrong with it (g_free).
 */
char *idmap_add(ProxyIdRange *map, unsigned *n, const char *text);

/* What @id is on the host, or IDMAP_NONE. */
uint32_t idmap_outside(const ProxyIdRange *map, unsigned n, uint32_t id);

/* What the host's @id is in the namespace, or IDMAP_NONE. */
uint32_t idmap_inside(const ProxyIdRange *map, unsigned n, uint32_t id);

/* Whether @map is no more than id 0, who is @id on the host. */
bool idmap_is_only(const ProxyIdRange *map, unsigned n, uint32_t id);

#endif /* FSDEV_HELPER_IDMAP_H */
