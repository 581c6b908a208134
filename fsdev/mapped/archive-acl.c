/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Errors of archives; and POSIX ACLs between extended attributes
 * (fsdev/shared/acl.h) and archives.
 * libarchive keeps the entries of an access ACL that the mode has in the mode,
 * and lists them with the others.
 */
#include "qemu/osdep.h"
#include "qemu/bswap.h"
#include "archive.h"

#define ACL_VERSION     2
#define ACL_NO_ID       0xffffffffu

static const struct {
    uint16_t tag;               /* of acl.h; entries go by it */
    int archive;
    bool has_id;
} tags[] = {
    { 0x01, ARCHIVE_ENTRY_ACL_USER_OBJ, false },
    { 0x02, ARCHIVE_ENTRY_ACL_USER, true },
    { 0x04, ARCHIVE_ENTRY_ACL_GROUP_OBJ, false },
    { 0x08, ARCHIVE_ENTRY_ACL_GROUP, true },
    { 0x10, ARCHIVE_ENTRY_ACL_MASK, false },
    { 0x20, ARCHIVE_ENTRY_ACL_OTHER, false },
};

typedef struct AclItem {
    uint16_t tag;
    uint16_t perm;
    uint32_t id;
} AclItem;

/* libarchive's text may lack the system's reason, or be missing. */
char *mapped_archive_error(struct archive *a)
{
    const char *text = archive_error_string(a);
    int number = archive_errno(a);
    /* libarchive uses some of the system's numbers for a bad archive. */
    const char *reason = number <= 0 || number == EINVAL || number == EILSEQ
                         ? NULL : strerror(number);

    if (!text) {
        return g_strdup(reason ? reason : "it is damaged, or needs too much "
                        "memory");
    }
    return !reason || strstr(text, reason) ? g_strdup(text)
           : g_strdup_printf("%s: %s", text, reason);
}

static int archive_type(const char *name)
{
    return g_str_equal(name, FS_ACL_ACCESS) ? ARCHIVE_ENTRY_ACL_TYPE_ACCESS
                                            : ARCHIVE_ENTRY_ACL_TYPE_DEFAULT;
}

void mapped_acl_pack(struct archive_entry *entry, const char *name,
                     const uint8_t *acl, size_t size)
{
    const uint8_t *at;
    unsigned i;

    if (fs_acl_check(acl, size) < 0) {
        return;
    }
    for (at = acl + 4; at + 8 <= acl + size; at += 8) {
        for (i = 0; i < G_N_ELEMENTS(tags); i++) {
            if (tags[i].tag == lduw_le_p(at)) {
                archive_entry_acl_add_entry(
                    entry, archive_type(name), lduw_le_p(at + 2) & 7,
                    tags[i].archive,
                    tags[i].has_id ? (int)ldl_le_p(at + 4) : -1, NULL);
            }
        }
    }
}

static gint compare(gconstpointer a, gconstpointer b)
{
    const AclItem *x = a, *y = b;

    if (x->tag != y->tag) {
        return x->tag < y->tag ? -1 : 1;
    }
    return x->id < y->id ? -1 : x->id > y->id;
}

static void put_item(GByteArray *acl, const AclItem *item)
{
    uint8_t buf[8];

    stw_le_p(buf, item->tag);
    stw_le_p(buf + 2, item->perm);
    stl_le_p(buf + 4, item->id);
    g_byte_array_append(acl, buf, sizeof(buf));
}

GByteArray *mapped_acl_unpack(struct archive_entry *entry, const char *name,
                              bool *unknown)
{
    g_autoptr(GArray) items = g_array_new(false, false, sizeof(AclItem));
    int want = archive_type(name);
    int type, perm, tag, id;
    const char *who;
    uint8_t version[4];
    GByteArray *acl;
    unsigned i;

    *unknown = false;
    if (archive_entry_acl_reset(entry, want) == 0) {
        return NULL;
    }
    while (archive_entry_acl_next(entry, want, &type, &perm, &tag, &id,
                                  &who) == ARCHIVE_OK) {
        for (i = 0; i < G_N_ELEMENTS(tags); i++) {
            AclItem item = {
                .tag = tags[i].tag, .perm = perm & 7,
                .id = tags[i].has_id ? id : ACL_NO_ID,
            };

            if (tags[i].archive == tag) {
                *unknown |= tags[i].has_id && id == -1;
                g_array_append_val(items, item);
            }
        }
    }
    if (*unknown || items->len == 0) {
        return NULL;
    }
    g_array_sort(items, compare);
    acl = g_byte_array_new();
    stl_le_p(version, ACL_VERSION);
    g_byte_array_append(acl, version, sizeof(version));
    for (i = 0; i < items->len; i++) {
        put_item(acl, &g_array_index(items, AclItem, i));
    }
    return acl;
}
