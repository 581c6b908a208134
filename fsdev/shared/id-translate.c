/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Squashing and translation of ids: see id-translate.h.
 */
#include "qemu/osdep.h"
#include "qemu/atomic.h"
#include "acl.h"
#include "id-translate.h"

#define FORM "is not GUEST:HOST:COUNT, three numbers, with to-host: or " \
             "to-guest: before them for one way"

/* A guest must not fill a log. */
#define WARNINGS_MAX    16

void id_translate_init(IdTranslate *t)
{
    memset(t, 0, sizeof(*t));
    t->user.anon = ID_TRANSLATE_UNKNOWN;
    t->group.anon = ID_TRANSLATE_UNKNOWN;
}

/*
 * Options
 */

/* If @text begins with @word, returns what follows; otherwise NULL. */
static const char *after(const char *text, const char *word)
{
    return g_str_has_prefix(text, word) ? text + strlen(word) : NULL;
}

/* What is wrong with @text as one more range, or NULL */
static const char *add_one(IdTranslateKind *kind, const char *text)
{
    const char *to_host = after(text, "to-host:");
    const char *to_guest = after(text, "to-guest:");
    const char *why = NULL;
    ProxyIdRange range;

    if (!idmap_parse_range(to_host ?: to_guest ?: text, &range)) {
        return FORM;
    }
    if (!to_guest) {
        why = idmap_add_range(kind->to_host, &kind->n_to_host, &range,
                              IDMAP_INSIDE);
    }
    if (!why && !to_host) {
        why = idmap_add_range(kind->to_guest, &kind->n_to_guest, &range,
                              IDMAP_OUTSIDE);
    }
    return why;
}

char *id_translate_add(IdTranslateKind *kind, const char *text)
{
    g_auto(GStrv) ranges = g_strsplit(text, ",", -1);
    const char *why = *text ? NULL : FORM;
    unsigned i;

    for (i = 0; ranges[i] && !why; i++) {
        why = add_one(kind, ranges[i]);
    }
    return why ? g_strdup_printf("'%s' %s", i ? ranges[i - 1] : "", why)
               : NULL;
}

bool id_translate_has(const IdTranslate *t, const IdTranslateKind *kind)
{
    return t->squash != ID_SQUASH_NONE || kind->n_to_host || kind->n_to_guest;
}

/*
 * In a user namespace
 */

/* The range that two have in common, as ids of @a's outside and @b's */
static bool common(const ProxyIdRange *a, const ProxyIdRange *b,
                   uint32_t *first, uint32_t *count)
{
    uint64_t start = MAX(a->outside, b->outside);
    uint64_t end = MIN((uint64_t)a->outside + a->count,
                       (uint64_t)b->outside + b->count);

    *first = start;
    *count = end - start;
    return start < end;
}

/*
 * Puts the parts of @map whose ids the namespace @ns has into @inside, with the
 * namespace's numbers, and if @shown is not NULL, into that with the host's.
 * An empty @map has all ids. False if these are too many parts.
 */
static bool compose(const ProxyIdRange *map, unsigned n,
                    const ProxyIdRange *ns, unsigned n_ns,
                    ProxyIdRange *inside, ProxyIdRange *shown, unsigned *n_new)
{
    static const ProxyIdRange all = { .count = IDMAP_NONE };
    unsigned i, j, at = 0;
    uint32_t first, count;

    if (n == 0) {
        map = &all;
        n = 1;
    }
    for (i = 0; i < n; i++) {
        for (j = 0; j < n_ns; j++) {
            ProxyIdRange part;

            if (!common(&map[i], &ns[j], &first, &count)) {
                continue;
            }
            if (at == PROXY_IDMAP_MAX) {
                return false;
            }
            part.inside = map[i].inside + (first - map[i].outside);
            part.outside = first;
            part.count = count;
            if (shown) {
                shown[at] = part;
            }
            part.outside = ns[j].inside + (first - ns[j].outside);
            inside[at++] = part;
        }
    }
    *n_new = at;
    return true;
}

/*
 * A copy of @ns without its id ID_TRANSLATE_UNKNOWN, with which the kernel
 * shows ids that the namespace does not have. Returns the number of ranges, one
 * more than @n at most.
 */
static unsigned without_unknown(const ProxyIdRange *ns, unsigned n,
                                ProxyIdRange *copy)
{
    unsigned i, at = 0;

    for (i = 0; i < n; i++) {
        ProxyIdRange r = ns[i];
        uint32_t before = ID_TRANSLATE_UNKNOWN - r.inside;

        if (r.inside > ID_TRANSLATE_UNKNOWN || before >= r.count) {
            copy[at++] = r;
            continue;
        }
        if (before) {
            copy[at++] = (ProxyIdRange) { r.inside, r.outside, before };
        }
        if (r.count - before > 1) {
            copy[at++] = (ProxyIdRange) {
                r.inside + before + 1, r.outside + before + 1,
                r.count - before - 1,
            };
        }
    }
    return at;
}

static char *enter(const IdTranslate *t, IdTranslateKind *kind,
                   const char *name, const ProxyIdRange *ns, unsigned n)
{
    g_autofree ProxyIdRange *known = g_new(ProxyIdRange, n + 1);
    g_autofree IdTranslateKind *old = g_memdup2(kind, sizeof(*kind));

    if (!id_translate_has(t, kind)) {
        return NULL;
    }
    if (!compose(old->to_host, old->n_to_host, ns, n, kind->to_host, NULL,
                 &kind->n_to_host) ||
        !compose(old->to_guest, old->n_to_guest, known,
                 without_unknown(ns, n, known), kind->to_guest, kind->shown,
                 &kind->n_to_guest)) {
        return g_strdup_printf("the ranges of %s ids and those of the user "
                               "namespace together are more than %d", name,
                               PROXY_IDMAP_MAX);
    }
    kind->n_shown = kind->n_to_guest;
    if (t->squash != ID_SQUASH_NONE) {
        kind->anon = idmap_inside(ns, n, old->anon);
    }
    if (kind->anon == IDMAP_NONE) {
        return g_strdup_printf("the host's %s id %u is not in the helper's "
                               "user namespace; name another with --anon-%s",
                               name, old->anon,
                               kind == &t->user ? "uid" : "gid");
    }
    /* None would mean all. */
    if ((!kind->n_to_host && t->squash != ID_SQUASH_ALL) ||
        !kind->n_to_guest) {
        return g_strdup_printf("no range of %s ids has one of the host's that "
                               "is in the helper's user namespace", name);
    }
    return NULL;
}

char *id_translate_enter(IdTranslate *t, const IdMaps *ns)
{
    char *why = enter(t, &t->user, "user", ns->uid, ns->n_uid);

    return why ?: enter(t, &t->group, "group", ns->gid, ns->n_gid);
}

const ProxyIdRange *id_translate_shown(const IdTranslateKind *kind,
                                       unsigned *n)
{
    *n = kind->n_shown ?: kind->n_to_guest;
    return kind->n_shown ? kind->shown : kind->to_guest;
}

/*
 * Ids
 */

static void warn(IdTranslate *t, IdTranslateKind *kind, uint32_t id)
{
    int n = qatomic_read(&kind->warnings);

    /* Threads that meet may say it twice. */
    if (t->no_place && n < WARNINGS_MAX &&
        (n == 0 || qatomic_read(&kind->warned_of) != id)) {
        qatomic_set(&kind->warned_of, id);
        qatomic_inc(&kind->warnings);
        t->no_place(t->opaque, kind == &t->user ? "user" : "group", id);
    }
}

static int to_host(IdTranslate *t, IdTranslateKind *kind, uint32_t guest,
                   uint32_t *host)
{
    uint32_t id = guest;

    if (id == IDMAP_NONE) {
        /* none */
    } else if (t->squash == ID_SQUASH_ALL ||
               (t->squash == ID_SQUASH_ROOT && id == 0)) {
        id = kind->anon;
    } else if (kind->n_to_host) {
        id = idmap_outside(kind->to_host, kind->n_to_host, id);
        if (id == IDMAP_NONE) {
            warn(t, kind, guest);
            return -EINVAL;
        }
    }
    *host = id;
    return 0;
}

static uint32_t to_guest(const IdTranslateKind *kind, uint32_t id)
{
    if (kind->n_to_guest) {
        id = idmap_inside(kind->to_guest, kind->n_to_guest, id);
    }
    return id == IDMAP_NONE ? ID_TRANSLATE_UNKNOWN : id;
}

int id_translate_uid(IdTranslate *t, uint32_t guest, uint32_t *host)
{
    if (t) {
        return to_host(t, &t->user, guest, host);
    }
    *host = guest;
    return 0;
}

int id_translate_gid(IdTranslate *t, uint32_t guest, uint32_t *host)
{
    if (t) {
        return to_host(t, &t->group, guest, host);
    }
    *host = guest;
    return 0;
}

int id_translate_make(IdTranslate *t, FsMakeArgs *make)
{
    int ret = id_translate_uid(t, make->uid, &make->uid);

    return ret < 0 ? ret : id_translate_gid(t, make->gid, &make->gid);
}

int id_translate_set(IdTranslate *t, FsSetAttr *set)
{
    int ret = 0;

    if (set->valid & FS_SET_UID) {
        ret = id_translate_uid(t, set->uid, &set->uid);
    }
    if (ret == 0 && (set->valid & FS_SET_GID)) {
        ret = id_translate_gid(t, set->gid, &set->gid);
    }
    return ret;
}

static bool acl_to_host(void *opaque, bool group, uint32_t *id)
{
    IdTranslate *t = opaque;

    return to_host(t, group ? &t->group : &t->user, *id, id) == 0;
}

int id_translate_acl(IdTranslate *t, void *acl, size_t size)
{
    return !t || fs_acl_change_ids(acl, size, acl_to_host, t) ? 0 : -EINVAL;
}

void id_translate_attr_to_guest(const IdTranslate *t, FsAttr *attr)
{
    if (t) {
        attr->uid = to_guest(&t->user, attr->uid);
        attr->gid = to_guest(&t->group, attr->gid);
    }
}

static bool acl_to_guest(void *opaque, bool group, uint32_t *id)
{
    const IdTranslate *t = opaque;

    *id = to_guest(group ? &t->group : &t->user, *id);
    return true;
}

void id_translate_acl_to_guest(const IdTranslate *t, void *acl, size_t size)
{
    if (t) {
        fs_acl_change_ids(acl, size, acl_to_guest, (void *)t);
    }
}
