/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The options of drivers about user and group ids: see ids.h.
 */
#include "qemu/osdep.h"
#include "qapi/error.h"
#include "ids.h"

static bool add_ranges(const char *key, const char *text,
                       IdTranslateKind *kind, Error **errp)
{
    g_autofree char *why = text ? id_translate_add(kind, text) : NULL;

    if (why) {
        error_setg(errp, "%s '%s': %s", key, text, why);
    }
    return !why;
}

static bool set_anon(const FsdevIdOptions *o, const char *key, bool has,
                     uint32_t id, uint32_t *anon, Error **errp)
{
    if (!has) {
        return true;
    }
    if (!o->has_squash) {
        error_setg(errp, "%s '%" PRIu32 "': only with squash", key, id);
        return false;
    }
    if (id == IDMAP_NONE) {
        error_setg(errp, "%s '%" PRIu32 "': the last id is 4294967294", key,
                   id);
        return false;
    }
    *anon = id;
    return true;
}

char *fs_ids_first(const FsdevIdOptions *o)
{
    if (o->has_squash) {
        return g_strdup_printf("squash '%s'", FsdevSquash_str(o->squash));
    }
    if (o->has_anon_uid) {
        return g_strdup_printf("anon-uid '%" PRIu32 "'", o->anon_uid);
    }
    if (o->has_anon_gid) {
        return g_strdup_printf("anon-gid '%" PRIu32 "'", o->anon_gid);
    }
    if (o->translate_uid) {
        return g_strdup_printf("translate-uid '%s'", o->translate_uid);
    }
    return o->translate_gid ?
           g_strdup_printf("translate-gid '%s'", o->translate_gid) : NULL;
}

bool fs_ids_parse(const FsdevIdOptions *o, IdTranslate **t, Error **errp)
{
    g_autofree char *first = fs_ids_first(o);
    g_autofree IdTranslate *ids = NULL;

    *t = NULL;
    if (!first) {
        return true;
    }
    ids = g_new(IdTranslate, 1);
    id_translate_init(ids);
    if (o->has_squash) {
        ids->squash = o->squash == FSDEV_SQUASH_ROOT ? ID_SQUASH_ROOT
                                                     : ID_SQUASH_ALL;
    }
    if (!set_anon(o, "anon-uid", o->has_anon_uid, o->anon_uid,
                  &ids->user.anon, errp) ||
        !set_anon(o, "anon-gid", o->has_anon_gid, o->anon_gid,
                  &ids->group.anon, errp) ||
        !add_ranges("translate-uid", o->translate_uid, &ids->user, errp) ||
        !add_ranges("translate-gid", o->translate_gid, &ids->group, errp)) {
        return false;
    }
    *t = g_steal_pointer(&ids);
    return true;
}
