/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Files with several names, as a walk meets one name after the other.
 */
#ifndef FSDEV_MAPPED_LINKS_H
#define FSDEV_MAPPED_LINKS_H

#include "fsdev/shared/types.h"

typedef struct MappedLinks MappedLinks;

MappedLinks *mapped_links_new(void);
void mapped_links_free(MappedLinks *links);

/*
 * The path of the first name of @attr that was met, valid until the next call.
 * NULL if this is the first, whose @path it remembers until it has met all of
 * them; or if there is only one, or it is a directory.
 */
const char *mapped_links_meet(MappedLinks *links, const FsAttr *attr,
                              const char *path);

#endif /* FSDEV_MAPPED_LINKS_H */
