/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * POSIX ACLs as extended attributes carry them, for a server that keeps them
 * for its guest and does to them what the kernel does to its own (acl(5)).
 *
 * All little endian: version[4], then for each entry tag[2] permissions[2]
 * id[4] (linux/posix_acl_xattr.h). Modes are permission bits; those that an
 * ACL does not speak of (07000, types) stay as they are.
 */
#ifndef HW_9PFS_LOCAL_ACL_H
#define HW_9PFS_LOCAL_ACL_H

/*
 * 0 if @acl is one that setxattr(2) takes: entries in order, none missing,
 * none twice. Else -EINVAL, or -EOPNOTSUPP for an unknown version. An ACL
 * without any entry is one, too: it asks for removal.
 */
int local_acl_check(const uint8_t *acl, size_t size);
bool local_acl_is_empty(size_t size);

/*
 * Sets the permissions in *@mode to what the ACL (which was checked) gives
 * owner, group class and others. Whether that says all there is in the ACL.
 */
bool local_acl_to_mode(const uint8_t *acl, size_t size, uint32_t *mode);

/* chmod(2): gives owner, group class and others what @mode says. */
void local_acl_chmod(uint8_t *acl, size_t size, uint32_t mode);

/*
 * A new object in a directory with the default ACL @acl, which becomes the
 * object's access ACL: takes out of it and out of *@mode what the other does
 * not allow. Whether *@mode says all there is in the ACL now.
 */
bool local_acl_inherit(uint8_t *acl, size_t size, uint32_t *mode);

#endif /* HW_9PFS_LOCAL_ACL_H */
