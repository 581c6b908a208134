/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * POSIX ACLs as extended attributes carry them (acl(5)). A server that keeps
 * ACLs for its guest does to them here what the kernel does to its own.
 *
 * All little endian: version[4], then for each entry tag[2] permissions[2]
 * id[4] (linux/posix_acl_xattr.h). Modes are permission bits; those that an
 * ACL does not cover (07000, types) stay as they are.
 */
#ifndef FSDEV_SHARED_ACL_H
#define FSDEV_SHARED_ACL_H

/* The attributes that hold a file's ACLs */
#define FS_ACL_ACCESS           "system.posix_acl_access"
#define FS_ACL_DEFAULT          "system.posix_acl_default"

/*
 * The mode of a new object in a directory with the default ACL @acl, which need
 * not be a good one, when @mode is asked for.
 */
uint32_t fs_acl_limit(const uint8_t *acl, size_t size, uint32_t mode);

/*
 * 0 if setxattr(2) takes @acl: entries in order, none missing, none twice.
 * Else -EINVAL, or -EOPNOTSUPP for an unknown version. An ACL without any entry
 * is good, too: it asks for removal. The functions below take ACLs that were
 * checked and are not empty.
 */
int fs_acl_check(const uint8_t *acl, size_t size);
bool fs_acl_is_empty(size_t size);

/*
 * Sets the permissions in *@mode to those that the ACL gives the owner, the
 * group class and others. Returns whether the ACL has nothing else.
 */
bool fs_acl_to_mode(const uint8_t *acl, size_t size, uint32_t *mode);

/* chmod(2): gives the owner, the group class and others @mode's permissions. */
void fs_acl_chmod(uint8_t *acl, size_t size, uint32_t mode);

/*
 * A new object in a directory with the default ACL @acl, which becomes the
 * object's access ACL: removes from each of it and *@mode the permissions that
 * the other does not allow. Returns whether the ACL has nothing else now.
 */
bool fs_acl_inherit(uint8_t *acl, size_t size, uint32_t *mode);

#endif /* FSDEV_SHARED_ACL_H */
