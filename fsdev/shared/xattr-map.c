/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Rules that map the names of extended attributes: see xattr-map.h.
 *
 * virtiofsd wants a rule about every name. Here the list of names that a guest
 * may always use (xattr-names.h) decides about what is left.
 */
#include "qemu/osdep.h"
#include "xattr-map.h"

#define RULES_MAX       64
#define FIELDS_MAX      4

/* Below it, the helper can set any name without another capability. */
#define HOST_SPACE      "user."

typedef enum RuleType {
    RULE_PREFIX,
    RULE_OK,
    RULE_BAD,
    RULE_UNSUPPORTED,
} RuleType;

typedef struct Rule {
    RuleType type;
    bool client;
    bool server;
    char *key;
    char *prepend;
} Rule;

struct FsXattrMap {
    Rule rules[RULES_MAX];
    unsigned n;
};

void fs_xattr_map_free(FsXattrMap *map)
{
    unsigned i;

    for (i = 0; map && i < map->n; i++) {
        g_free(map->rules[i].key);
        g_free(map->rules[i].prepend);
    }
    g_free(map);
}

/*
 * Reading
 */

static bool begins(const char *text, const char *with)
{
    return !g_ascii_strncasecmp(text, with, strlen(with));
}

/*
 * Whether two prefix rules send some two names to the same name. A name of @b
 * then begins, after @a's PREPEND, with the rest of @b's and @b's KEY, and that
 * is a name of @a. A host's server may ignore case.
 */
static bool meet_after(const Rule *a, const Rule *b)
{
    g_autofree char *name = NULL;

    if (strlen(a->prepend) >= strlen(b->prepend) ||
        !begins(b->prepend, a->prepend)) {
        return false;
    }
    name = g_strconcat(b->prepend + strlen(a->prepend), b->key, NULL);
    return begins(name, a->key) || begins(a->key, name);
}

/*
 * A guest's user could set through one rule what its kernel trusts through the
 * other.
 */
static bool last_meets_another(const FsXattrMap *map)
{
    const Rule *last = &map->rules[map->n - 1];
    const Rule *r;

    for (r = map->rules; r < last; r++) {
        if (r->type == RULE_PREFIX && last->type == RULE_PREFIX &&
            r->client && last->client &&
            (meet_after(r, last) || meet_after(last, r))) {
            return true;
        }
    }
    return false;
}

/* Adds a rule: NULL, or what is wrong with it. */
static const char *add_rule(FsXattrMap *map, RuleType type, const char *scope,
                            const char *key, const char *prepend)
{
    bool all = g_str_equal(scope, "all");
    Rule r = {
        .type = type,
        .client = all || g_str_equal(scope, "client"),
        .server = all || g_str_equal(scope, "server"),
    };

    if (!r.client && !r.server) {
        return "its scope is none of client, server, all";
    }
    if (map->n == RULES_MAX) {
        return "there are more than " G_STRINGIFY(RULES_MAX) " rules";
    }
    if (strlen(key) + strlen(prepend) > FS_XATTR_NAME_MAX) {
        return "no attribute can have so long a name";
    }
    if (type == RULE_PREFIX && (!g_str_has_prefix(prepend, HOST_SPACE) ||
                                !prepend[strlen(HOST_SPACE)])) {
        return "what it prepends must begin with '" HOST_SPACE "' and more";
    }
    r.key = g_strdup(key);
    r.prepend = g_strdup(prepend);
    map->rules[map->n++] = r;
    return last_meets_another(map) ?
           "with an earlier rule, it would keep two of the guest's names "
           "under one of the host's" : NULL;
}

/* The rules that "map" is short for */
static const char *add_map(FsXattrMap *map, const char *key,
                           const char *prepend)
{
    const char *why = add_rule(map, RULE_PREFIX, "all", key, prepend);

    if (!why && !*key) {
        return add_rule(map, RULE_BAD, "all", "", "");
    }
    return why ?: add_rule(map, RULE_BAD, "all", prepend, prepend);
}

static const char *add_fields(FsXattrMap *map, char *const *field, unsigned n)
{
    static const char *const names[] = {
        [RULE_PREFIX] = "prefix",
        [RULE_OK] = "ok",
        [RULE_BAD] = "bad",
        [RULE_UNSUPPORTED] = "unsupported",
    };
    unsigned i;

    if (g_str_equal(field[0], "map")) {
        return n == 3 ? add_map(map, field[1], field[2])
                      : "it is not :map:KEY:PREPEND:";
    }
    for (i = 0; i < G_N_ELEMENTS(names); i++) {
        if (g_str_equal(field[0], names[i])) {
            return n == FIELDS_MAX ?
                   add_rule(map, i, field[1], field[2], field[3]) :
                   "it is not :TYPE:SCOPE:KEY:PREPEND:";
        }
    }
    return "its type is none of prefix, ok, bad, unsupported, map";
}

/*
 * Reads the rule at *@text, moves that behind it, and adds the rule: NULL, or
 * what is wrong.
 */
static const char *read_rule(FsXattrMap *map, const char **text, bool *last)
{
    char *field[FIELDS_MAX] = { NULL };
    const char *at = *text + 1;
    const char *why = NULL;
    unsigned i, n = FIELDS_MAX;

    for (i = 0; i < n && !why; i++) {
        const char *end = strchr(at, **text);

        if (!end) {
            why = "it is too short, or its last separator is missing";
            break;
        }
        field[i] = g_strndup(at, end - at);
        at = end + 1;
        if (i == 0 && g_str_equal(field[0], "map")) {
            *last = true;
            n = FIELDS_MAX - 1;
        }
    }
    why = why ?: add_fields(map, field, n);
    for (i = 0; i < FIELDS_MAX; i++) {
        g_free(field[i]);
    }
    *text = why ? *text : at;
    return why;
}

static const char *skip_space(const char *text)
{
    while (g_ascii_isspace(*text)) {
        text++;
    }
    return text;
}

FsXattrMap *fs_xattr_map_parse(const char *text, char **why)
{
    FsXattrMap *map = g_new0(FsXattrMap, 1);
    const char *at = skip_space(text);
    const char *error = *at ? NULL : "there is no rule";
    bool last = false;

    while (*at && !error) {
        error = last ? "'map' must be the last rule"
                     : read_rule(map, &at, &last);
        if (!error) {
            at = skip_space(at);
        }
    }
    if (error) {
        *why = g_strdup_printf("'%s': %s", at, error);
        fs_xattr_map_free(map);
        return NULL;
    }
    return map;
}

/*
 * Use
 */

int fs_xattr_map_to_host(const FsXattrMap *map, const char *name,
                         FsXattrName host)
{
    unsigned i;

    for (i = 0; i < map->n; i++) {
        const Rule *r = &map->rules[i];

        if (!r->client || !g_str_has_prefix(name, r->key)) {
            continue;
        }
        switch (r->type) {
        case RULE_BAD:
            return -EPERM;
        case RULE_UNSUPPORTED:
            return -EOPNOTSUPP;
        case RULE_OK:
            if (fs_xattr_map_owns(map, name)) {
                return -EOPNOTSUPP;
            }
            return g_strlcpy(host, name, sizeof(FsXattrName)) <
                   sizeof(FsXattrName) ? 1 : -ERANGE;
        case RULE_PREFIX:
            return g_snprintf(host, sizeof(FsXattrName), "%s%s", r->prepend,
                              name) < (int)sizeof(FsXattrName) ? 1 : -ERANGE;
        }
    }
    return 0;
}

/* Whether @r is about the host's name @name */
static bool about(const Rule *r, const char *name)
{
    return r->server && g_str_has_prefix(name, r->prepend) &&
           (r->type != RULE_PREFIX ||
            g_str_has_prefix(name + strlen(r->prepend), r->key));
}

int fs_xattr_map_to_guest(const FsXattrMap *map, const char *name,
                          const char **guest)
{
    unsigned i;

    for (i = 0; i < map->n; i++) {
        const Rule *r = &map->rules[i];

        if (!about(r, name)) {
            continue;
        }
        if (r->type == RULE_PREFIX) {
            *guest = name + strlen(r->prepend);
            return **guest ? 1 : -1;
        }
        *guest = name;
        return r->type == RULE_OK && !fs_xattr_map_owns(map, name) ? 1 : -1;
    }
    return 0;
}

bool fs_xattr_map_owns(const FsXattrMap *map, const char *name)
{
    unsigned i;

    for (i = 0; i < map->n; i++) {
        const Rule *r = &map->rules[i];

        if (r->type == RULE_PREFIX && begins(name, r->prepend)) {
            return true;
        }
    }
    return false;
}
