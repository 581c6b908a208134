/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * POSIX ACLs as extended attributes carry them: see acl.h.
 */
#include "qemu/osdep.h"
#include "acl.h"

#define VERSION         2
#define HEADER_SIZE     4
#define ENTRY_SIZE      8

/* Tags, in the order in which their entries come */
#define USER_OBJ        0x01
#define USER            0x02
#define GROUP_OBJ       0x04
#define GROUP           0x08
#define MASK            0x10
#define OTHER           0x20

static uint32_t le16(const uint8_t *p)
{
    return p[0] | (uint32_t)p[1] << 8;
}

static uint32_t le32(const uint8_t *p)
{
    return le16(p) | le16(p + 2) << 16;
}

static void set_le32(uint8_t *p, uint32_t value)
{
    unsigned i;

    for (i = 0; i < 4; i++) {
        p[i] = value >> (8 * i);
    }
}

static uint32_t tag_of(const uint8_t *entry)
{
    return le16(entry);
}

static uint32_t perm_of(const uint8_t *entry)
{
    return le16(entry + 2);
}

static void set_perm(uint8_t *entry, uint32_t perm)
{
    entry[2] = perm & 7;
    entry[3] = 0;
}

uint32_t fs_acl_limit(const uint8_t *acl, size_t size, uint32_t mode)
{
    uint32_t user = 7, group = 7, other = 7;
    size_t at;

    if (size < HEADER_SIZE || le32(acl) != VERSION) {
        return mode;
    }
    for (at = HEADER_SIZE; at + ENTRY_SIZE <= size; at += ENTRY_SIZE) {
        uint32_t perm = perm_of(acl + at) & 7;

        switch (tag_of(acl + at)) {
        case USER_OBJ:
            user = perm;
            break;
        case GROUP_OBJ:
        case MASK:
            /* Tags are in order, so a mask comes after the group. */
            group = perm;
            break;
        case OTHER:
            other = perm;
            break;
        }
    }
    return mode & (07000 | user << 6 | group << 3 | other);
}

bool fs_acl_is_empty(size_t size)
{
    return size <= HEADER_SIZE;
}

int fs_acl_check(const uint8_t *acl, size_t size)
{
    uint32_t seen = 0;
    uint32_t last = 0;
    size_t at;

    if (size == 0) {
        return 0;
    }
    if (size < HEADER_SIZE) {
        return -EINVAL;
    }
    if (le32(acl) != VERSION) {
        return -EOPNOTSUPP;
    }
    if ((size - HEADER_SIZE) % ENTRY_SIZE) {
        return -EINVAL;
    }
    for (at = HEADER_SIZE; at < size; at += ENTRY_SIZE) {
        uint32_t tag = tag_of(acl + at);

        if (perm_of(acl + at) & ~7u) {
            return -EINVAL;
        }
        switch (tag) {
        case USER:
        case GROUP:
            if (le32(acl + at + 4) == UINT32_MAX) {
                return -EINVAL;
            }
            break;
        case USER_OBJ:
        case GROUP_OBJ:
        case MASK:
        case OTHER:
            if (seen & tag) {
                return -EINVAL;
            }
            break;
        default:
            return -EINVAL;
        }
        if (tag < last) {
            return -EINVAL;
        }
        last = tag;
        seen |= tag;
    }
    if (seen == 0) {
        return 0;
    }
    if ((~seen & (USER_OBJ | GROUP_OBJ | OTHER)) ||
        ((seen & (USER | GROUP)) && !(seen & MASK))) {
        return -EINVAL;
    }
    return 0;
}

/* The entry with @tag, or NULL; for tags that occur at most once */
static uint8_t *find(const uint8_t *acl, size_t size, uint32_t tag)
{
    size_t at;

    for (at = HEADER_SIZE; at + ENTRY_SIZE <= size; at += ENTRY_SIZE) {
        if (tag_of(acl + at) == tag) {
            return (uint8_t *)acl + at;
        }
    }
    return NULL;
}

/* The entry that the group bits of a mode stand for */
static uint8_t *find_group_class(const uint8_t *acl, size_t size)
{
    uint8_t *mask = find(acl, size, MASK);

    return mask ? mask : find(acl, size, GROUP_OBJ);
}

static bool is_minimal(size_t size)
{
    return size == HEADER_SIZE + 3 * ENTRY_SIZE;
}

bool fs_acl_to_mode(const uint8_t *acl, size_t size, uint32_t *mode)
{
    *mode = (*mode & ~0777u) |
            perm_of(find(acl, size, USER_OBJ)) << 6 |
            perm_of(find_group_class(acl, size)) << 3 |
            perm_of(find(acl, size, OTHER));
    return is_minimal(size);
}

void fs_acl_chmod(uint8_t *acl, size_t size, uint32_t mode)
{
    set_perm(find(acl, size, USER_OBJ), mode >> 6);
    set_perm(find_group_class(acl, size), mode >> 3);
    set_perm(find(acl, size, OTHER), mode);
}

bool fs_acl_inherit(uint8_t *acl, size_t size, uint32_t *mode)
{
    uint32_t allowed = 0;

    fs_acl_to_mode(acl, size, &allowed);
    *mode &= allowed | ~0777u;
    fs_acl_chmod(acl, size, *mode);
    return is_minimal(size);
}

bool fs_acl_change_ids(uint8_t *acl, size_t size, FsAclChange *change,
                       void *opaque)
{
    size_t at;

    if (size < HEADER_SIZE || le32(acl) != VERSION) {
        return true;
    }
    for (at = HEADER_SIZE; at + ENTRY_SIZE <= size; at += ENTRY_SIZE) {
        uint32_t tag = tag_of(acl + at);
        uint32_t id = le32(acl + at + 4);

        if (tag != USER && tag != GROUP) {
            continue;
        }
        if (!change(opaque, tag == GROUP, &id)) {
            return false;
        }
        set_le32(acl + at + 4, id);
    }
    return true;
}
