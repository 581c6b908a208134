/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Maps of ids: see idmap.h.
 *
 * The kernel refuses a map whose ranges overlap, on either side, with a bare
 * EINVAL (user_namespaces(7)). idmap_add() checks that first, so the error can
 * name the range.
 */
#include "qemu/osdep.h"
#include "idmap.h"

bool idmap_parse_id(const char *text, uint64_t *id)
{
    return g_ascii_isdigit(*text) &&
           g_ascii_string_to_unsigned(text, 10, 0, UINT32_MAX, id, NULL);
}

bool idmap_parse_range(const char *text, ProxyIdRange *range)
{
    g_auto(GStrv) field = g_strsplit(text, ":", -1);
    unsigned len = g_strv_length(field);
    bool enclosed = len == 5 && !*field[0] && !*field[4];
    char **first = field + enclosed;
    uint64_t inside, outside, count;

    if ((len != 3 && !enclosed) || !idmap_parse_id(first[0], &inside) ||
        !idmap_parse_id(first[1], &outside) ||
        !idmap_parse_id(first[2], &count)) {
        return false;
    }
    *range = (ProxyIdRange) { inside, outside, count };
    return true;
}

static bool overlap(uint32_t a, uint32_t a_count, uint32_t b, uint32_t b_count)
{
    return a < (uint64_t)b + b_count && b < (uint64_t)a + a_count;
}

const char *idmap_add_range(ProxyIdRange *map, unsigned *n,
                            const ProxyIdRange *r, IdMapSides sides)
{
    unsigned i;

    if (r->count == 0) {
        return "has no ids";
    }
    if ((uint64_t)r->inside + r->count > IDMAP_NONE ||
        (uint64_t)r->outside + r->count > IDMAP_NONE) {
        return "goes beyond id 4294967294, the last one";
    }
    for (i = 0; i < *n; i++) {
        if (((sides & IDMAP_INSIDE) &&
             overlap(map[i].inside, map[i].count, r->inside, r->count)) ||
            ((sides & IDMAP_OUTSIDE) &&
             overlap(map[i].outside, map[i].count, r->outside, r->count))) {
            return "overlaps with an earlier range";
        }
    }
    if (*n == PROXY_IDMAP_MAX) {
        return "is one more than the " G_STRINGIFY(PROXY_IDMAP_MAX)
               " ranges that a map may have";
    }
    map[(*n)++] = *r;
    return NULL;
}

char *idmap_add(ProxyIdRange *map, unsigned *n, const char *text)
{
    g_auto(GStrv) ranges = g_strsplit(text, ",", -1);
    const char *why = *text ? NULL : "is not INSIDE:OUTSIDE:COUNT";
    ProxyIdRange range;
    unsigned i;

    for (i = 0; ranges[i] && !why; i++) {
        why = idmap_parse_range(ranges[i], &range) ?
              idmap_add_range(map, n, &range, IDMAP_INSIDE | IDMAP_OUTSIDE) :
              "is not INSIDE:OUTSIDE:COUNT, three numbers";
    }
    return why ? g_strdup_printf("'%s' %s", i ? ranges[i - 1] : "", why)
               : NULL;
}

uint32_t idmap_outside(const ProxyIdRange *map, unsigned n, uint32_t id)
{
    unsigned i;

    for (i = 0; i < n; i++) {
        if (id >= map[i].inside && id - map[i].inside < map[i].count) {
            return map[i].outside + (id - map[i].inside);
        }
    }
    return IDMAP_NONE;
}

uint32_t idmap_inside(const ProxyIdRange *map, unsigned n, uint32_t id)
{
    unsigned i;

    for (i = 0; i < n; i++) {
        if (id >= map[i].outside && id - map[i].outside < map[i].count) {
            return map[i].inside + (id - map[i].outside);
        }
    }
    return IDMAP_NONE;
}

bool idmap_is_only(const ProxyIdRange *map, unsigned n, uint32_t id)
{
    return n == 1 && map[0].inside == 0 && map[0].outside == id &&
           map[0].count == 1;
}
