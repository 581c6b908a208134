/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The ids that this process can give to files: see host-ids.h.
 */
#include "qemu/osdep.h"
#include "host-ids.h"

/* A range of ids: @first inside is @outside, and so on up to @end inside */
typedef struct IdRange {
    uint64_t first;
    uint64_t end;
    uint64_t outside;
} IdRange;

static GArray *read_ranges(const char *path)
{
    g_autofree char *text = NULL;
    g_auto(GStrv) lines = NULL;
    GArray *ranges = g_array_new(false, false, sizeof(IdRange));
    char **line;

    g_file_get_contents(path, &text, NULL, NULL);
    lines = g_strsplit(text ? text : "", "\n", -1);
    for (line = lines; *line; line++) {
        uint64_t n;
        IdRange r;

        if (sscanf(*line, "%" SCNu64 "%" SCNu64 "%" SCNu64, &r.first,
                   &r.outside, &n) == 3) {
            r.end = r.first + n;
            g_array_append_val(ranges, r);
        }
    }
    return ranges;
}

static bool is_in(const GArray *ranges, uint32_t id)
{
    unsigned i;

    for (i = 0; i < ranges->len; i++) {
        const IdRange *r = &g_array_index(ranges, IdRange, i);

        if (id >= r->first && id < r->end) {
            return true;
        }
    }
    return false;
}

static void *read_namespace(void *unused)
{
    static GArray *ranges[2];

    ranges[0] = read_ranges("/proc/self/uid_map");
    ranges[1] = read_ranges("/proc/self/gid_map");
    return ranges;
}

static GArray **namespace_ids(void)
{
    static GOnce once = G_ONCE_INIT;

    return g_once(&once, read_namespace, NULL);
}

bool mapped_ids_exist(uint32_t uid, uint32_t gid)
{
    GArray **ranges = namespace_ids();

    return is_in(ranges[0], uid) && is_in(ranges[1], gid);
}

bool mapped_ids_are_hosts(void)
{
    GArray **ranges = namespace_ids();

    return is_in(ranges[0], UINT32_MAX - 1) && is_in(ranges[1], UINT32_MAX - 1);
}

static bool in_own_groups(uint32_t gid)
{
    g_autofree gid_t *groups = NULL;
    int i, n = getgroups(0, NULL);

    groups = g_new(gid_t, MAX(n, 1));
    n = n > 0 ? getgroups(n, groups) : 0;
    for (i = 0; i < n && groups[i] != gid; i++) {
    }
    return gid == getegid() || i < n;
}

bool mapped_may_give(uint32_t uid, uint32_t gid)
{
    return geteuid() == 0 || (uid == geteuid() && in_own_groups(gid));
}

static int compare(gconstpointer a, gconstpointer b)
{
    const IdRange *r = a, *s = b;

    return r->first < s->first ? -1 : r->first > s->first;
}

/* Where the ids of a map lead outside: in order, joined where they can be */
static GArray *compose(const ProxyIdRange *map, unsigned n, const GArray *ns)
{
    const ProxyIdRange all = { .count = UINT32_MAX };
    GArray *out = g_array_new(false, false, sizeof(IdRange));
    unsigned i, j, last = 0;

    for (i = 0; i < MAX(n, 1); i++) {
        const ProxyIdRange *m = n ? &map[i] : &all;

        for (j = 0; j < ns->len; j++) {
            const IdRange *r = &g_array_index(ns, IdRange, j);
            uint64_t at = MAX(m->outside, r->first);
            uint64_t end = MIN((uint64_t)m->outside + m->count, r->end);
            IdRange both = {
                .first = m->inside + at - m->outside,
                .outside = r->outside + at - r->first,
            };

            both.end = both.first + end - at;
            if (at < end) {
                g_array_append_val(out, both);
            }
        }
    }
    g_array_sort(out, compare);
    for (i = 1; i < out->len; i++) {
        IdRange *before = &g_array_index(out, IdRange, last);
        IdRange *r = &g_array_index(out, IdRange, i);

        if (before->end == r->first &&
            before->outside + before->end - before->first == r->outside) {
            before->end = r->end;
        } else {
            g_array_index(out, IdRange, ++last) = *r;
        }
    }
    g_array_set_size(out, out->len ? last + 1 : 0);
    return out;
}

static bool is_identity(const GArray *ranges)
{
    const IdRange *r = &g_array_index(ranges, IdRange, 0);

    return ranges->len == 1 && r->first == 0 && r->outside == 0 &&
           r->end >= UINT32_MAX;
}

static void append(GString *text, const char *what, const GArray *ranges)
{
    unsigned i;

    g_string_append(text, what);
    for (i = 0; i < ranges->len; i++) {
        const IdRange *r = &g_array_index(ranges, IdRange, i);

        g_string_append_printf(text, "%s%" PRIu64 ":%" PRIu64 ":%" PRIu64,
                               i ? "," : "", r->first, r->outside,
                               r->end - r->first);
    }
}

char *mapped_ids_text(const IdMaps *maps)
{
    GArray **ns = namespace_ids();
    g_autoptr(GArray) uids = compose(maps->uid, maps->n_uid, ns[0]);
    g_autoptr(GArray) gids = compose(maps->gid, maps->n_gid, ns[1]);
    GString *text;

    if (is_identity(uids) && is_identity(gids)) {
        return g_strdup("host");
    }
    text = g_string_new(NULL);
    append(text, "uid=", uids);
    append(text, " gid=", gids);
    return g_string_free(text, false);
}

bool mapped_ids_parse(const char *text, IdMaps *maps)
{
    g_auto(GStrv) words = g_strsplit(text, " ", -1);
    char *error = NULL;

    *maps = (IdMaps) { };
    if (g_str_equal(text, "host")) {
        return true;
    }
    if (g_strv_length(words) != 2 || !g_str_has_prefix(words[0], "uid=") ||
        !g_str_has_prefix(words[1], "gid=")) {
        return false;
    }
    error = idmap_add(maps->uid, &maps->n_uid, words[0] + 4);
    if (!error) {
        error = idmap_add(maps->gid, &maps->n_gid, words[1] + 4);
    }
    g_free(error);
    return !error;
}
