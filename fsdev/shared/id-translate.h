/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Squashing and translation of user and group ids between a guest and the host.
 *
 * Guest to host: the squash comes first. It makes the id 0, or every id, the
 * anonymous one, which is an id of the host. Ids that it leaves alone are
 * translated by ranges. Where there are ranges to the host, an id in none of
 * them has no place, and the operation fails with EINVAL, as in a user
 * namespace that does not have the id (user_namespaces(7)).
 *
 * Host to guest: by ranges. Where there are ranges to the guest, an id in none
 * of them shows as ID_TRANSLATE_UNKNOWN. Without any, the guest sees the host's
 * ids, squash or not.
 *
 * The helper translates where requests come in and replies go out, and the
 * local driver in the security models passthrough and none. hostfs translates
 * only the ids in POSIX ACLs, whose names it knows (HostFs.ids).
 */
#ifndef FSDEV_SHARED_ID_TRANSLATE_H
#define FSDEV_SHARED_ID_TRANSLATE_H

#include "idmap.h"

/* The default of /proc/sys/kernel/overflowuid, and the default anonymous id */
#define ID_TRANSLATE_UNKNOWN    65534

typedef enum IdSquash {
    ID_SQUASH_NONE,
    ID_SQUASH_ROOT,
    ID_SQUASH_ALL,
} IdSquash;

/* For the guest's users, or its groups. Ranges: the guest is inside. */
typedef struct IdTranslateKind {
    ProxyIdRange to_host[PROXY_IDMAP_MAX];
    ProxyIdRange to_guest[PROXY_IDMAP_MAX];
    ProxyIdRange shown[PROXY_IDMAP_MAX];    /* of id_translate_enter() */
    unsigned n_to_host;
    unsigned n_to_guest;
    unsigned n_shown;
    uint32_t anon;
    int warnings;               /* atomic: about ids without a place */
    uint32_t warned_of;         /* atomic: the last of these */
} IdTranslateKind;

typedef struct IdTranslate {
    IdSquash squash;
    IdTranslateKind user;
    IdTranslateKind group;
    /* NULL, or: a guest's id has no place. Called for some such ids only. */
    void (*no_place)(void *opaque, const char *kind, uint32_t id);
    void *opaque;               /* for it */
} IdTranslate;

/* No squash and no ranges */
void id_translate_init(IdTranslate *t);

/*
 * Adds ranges to t->user or t->group. @text is GUEST:HOST:COUNT, or
 * to-host:GUEST:HOST:COUNT or to-guest:GUEST:HOST:COUNT for one way only, or
 * several of these with commas between them. Returns NULL, or a description of
 * the error that names the range (g_free).
 */
char *id_translate_add(IdTranslateKind *kind, const char *text);

/* Whether the squash or a range of @kind says anything about such ids */
bool id_translate_has(const IdTranslate *t, const IdTranslateKind *kind);

/*
 * This process is in a user namespace with the maps @ns: from now on, the
 * host's ids in @t are the numbers that it has there. An id that has none is
 * out of reach. Returns NULL, or what cannot be (g_free). Kinds of which @t
 * says nothing keep the namespace's ids.
 */
char *id_translate_enter(IdTranslate *t, const IdMaps *ns);

/*
 * The ranges to the guest, from ids as processes outside of a user namespace
 * see them. None: the guest sees the same.
 */
const ProxyIdRange *id_translate_shown(const IdTranslateKind *kind,
                                       unsigned *n);

/*
 * The functions below take a NULL @t for no translation. The id -1, which means
 * none (chown(2)), stays.
 */

/* The host's id for a guest's, in *@host. -EINVAL: it has no place. */
int id_translate_uid(IdTranslate *t, uint32_t guest, uint32_t *host);
int id_translate_gid(IdTranslate *t, uint32_t guest, uint32_t *host);

/* The same for the owners in these; only those that @set changes */
int id_translate_make(IdTranslate *t, FsMakeArgs *make);
int id_translate_set(IdTranslate *t, FsSetAttr *set);

/* The same for a POSIX ACL (acl.h), which need not be valid */
int id_translate_acl(IdTranslate *t, void *acl, size_t size);

/* The guest's ids for the host's */
void id_translate_attr_to_guest(const IdTranslate *t, FsAttr *attr);
void id_translate_acl_to_guest(const IdTranslate *t, void *acl, size_t size);

#endif /* FSDEV_SHARED_ID_TRANSLATE_H */
