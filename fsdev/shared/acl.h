/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * POSIX ACLs as extended attributes carry them (acl(5)). If a driver keeps ACLs
 * for its guest, these functions do to them what the kernel does to its own.
 *
 * All integers are little endian: version[4], then for each entry tag[2]
 * permissions[2] id[4] (linux/posix_acl_xattr.h). Modes are permission bits;
 * the bits that an ACL does not cover (07000, types) stay as they are.
 */
#ifndef FSDEV_SHARED_ACL_H
#define FSDEV_SHARED_ACL_H

/* The attributes that hold a file's ACLs */
#define FS_ACL_ACCESS           "system.posix_acl_access"
#define FS_ACL_DEFAULT          "system.posix_acl_default"

/* Whether the attribute @name is one of them */
static inline bool fs_acl_is_name(const char *name)
{
    return g_str_equal(name, FS_ACL_ACCESS) ||
           g_str_equal(name, FS_ACL_DEFAULT);
}

/*
 * The mode of a new object that is made with @mode in a directory with the
 * default ACL @acl. The ACL need not be valid.
 */
uint32_t fs_acl_limit(const uint8_t *acl, size_t size, uint32_t mode);

/*
 * 0 if setxattr(2) accepts @acl: entries in order, none missing, none twice.
 * Otherwise -EINVAL, or -EOPNOTSUPP for an unknown version. An ACL without any
 * entry is valid, too: it asks for removal. The functions below take ACLs that
 * passed this check and are not empty.
 */
int fs_acl_check(const uint8_t *acl, size_t size);
bool fs_acl_is_empty(size_t size);

/*
 * Sets the permissions in *@mode to those that the ACL gives the owner, the
 * group class and others. Returns whether the ACL has no other entries.
 */
bool fs_acl_to_mode(const uint8_t *acl, size_t size, uint32_t *mode);

/* chmod(2): gives the owner, the group class and others @mode's permissions. */
void fs_acl_chmod(uint8_t *acl, size_t size, uint32_t mode);

/*
 * Makes the default ACL of a directory, @acl, the access ACL of a new object in
 * it: removes from the ACL and from *@mode the permissions that the other does
 * not allow. Returns whether the ACL has no entries beyond the mode's.
 */
bool fs_acl_inherit(uint8_t *acl, size_t size, uint32_t *mode);

/*
 * Calls @change for the id of each entry of a named user or group, and stores
 * what it leaves in *@id. The ACL need not be valid; of an unknown version it
 * stays as it is. Stops when @change returns false, and returns false then.
 */
typedef bool FsAclChange(void *opaque, bool group, uint32_t *id);
bool fs_acl_change_ids(uint8_t *acl, size_t size, FsAclChange *change,
                       void *opaque);

#endif /* FSDEV_SHARED_ACL_H */
