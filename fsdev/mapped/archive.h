/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What packing and unpacking archives have in common.
 */
#ifndef FSDEV_MAPPED_ARCHIVE_H
#define FSDEV_MAPPED_ARCHIVE_H

#include <archive.h>
#include <archive_entry.h>
#include "share.h"

/* Why something failed with an archive; to be freed */
char *mapped_archive_error(struct archive *a);

/* Adds an ACL, as the attribute @name has it, to an archive's entry. */
void mapped_acl_pack(struct archive_entry *entry, const char *name,
                     const uint8_t *acl, size_t size);

/*
 * The other way: the access ACL, or the default ACL. NULL if the entry has
 * none, or with *@unknown if it names users without their numbers.
 */
GByteArray *mapped_acl_unpack(struct archive_entry *entry, const char *name,
                              bool *unknown);

#endif /* FSDEV_MAPPED_ARCHIVE_H */
