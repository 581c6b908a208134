/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Maps of ids, as user namespaces have them: looking an id up in a map, and
 * reading a map from text.
 *
 * A map is an array of ranges that do not overlap. The caller decides what an
 * empty map means.
 */
#ifndef FSDEV_SHARED_IDMAP_H
#define FSDEV_SHARED_IDMAP_H

#include "proto.h"

/* Empty maps: ids are the same on both sides. */
typedef struct IdMaps {
    ProxyIdRange uid[PROXY_IDMAP_MAX];
    ProxyIdRange gid[PROXY_IDMAP_MAX];
    unsigned n_uid;
    unsigned n_gid;
} IdMaps;

/* No such id; chown(2) and setresuid(2) keep this one free. */
#define IDMAP_NONE              UINT32_MAX

/* Reads a decimal number of up to 32 bits, without sign or spaces. */
bool idmap_parse_id(const char *text, uint64_t *id);

/* Reads the three numbers of a range, with or without colons around it. */
bool idmap_parse_range(const char *text, ProxyIdRange *range);

/* The sides of a map on which no id may be in two ranges */
typedef enum IdMapSides {
    IDMAP_INSIDE = 1,
    IDMAP_OUTSIDE = 2,
} IdMapSides;

/*
 * Adds @r to @map, an array of PROXY_IDMAP_MAX ranges, of which *@n are in use.
 * Returns NULL, or what is wrong with @r.
 */
const char *idmap_add_range(ProxyIdRange *map, unsigned *n,
                            const ProxyIdRange *r, IdMapSides sides);

/*
 * Adds ranges to @map, an array of PROXY_IDMAP_MAX ranges, of which *@n are in
 * use. @text is "INSIDE:OUTSIDE:COUNT", or several of these with commas between
 * them; each may have a colon before and after it, as in virtiofsd. Returns
 * NULL, or a description of the error (g_free).
 */
char *idmap_add(ProxyIdRange *map, unsigned *n, const char *text);

/* The host's id for @id of the namespace, or IDMAP_NONE. */
uint32_t idmap_outside(const ProxyIdRange *map, unsigned n, uint32_t id);

/* The namespace's id for @id of the host, or IDMAP_NONE. */
uint32_t idmap_inside(const ProxyIdRange *map, unsigned n, uint32_t id);

/* Whether @map maps id 0 alone, to @id on the host. */
bool idmap_is_only(const ProxyIdRange *map, unsigned n, uint32_t id);

#endif /* FSDEV_SHARED_IDMAP_H */
