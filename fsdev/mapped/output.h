/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * How virtfs-mapped shows a file, for a person and for a program, on stdout.
 *
 * JSON is one object a line. A name may have any bytes, but JSON is UTF-8: a
 * byte that is not part of UTF-8 is the lone surrogate U+DC00 plus the byte, as
 * Python's "surrogateescape" has it.
 */
#ifndef FSDEV_MAPPED_OUTPUT_H
#define FSDEV_MAPPED_OUTPUT_H

#include "share.h"

/* As ls -l, with @name for the file */
void mapped_put_long(const MappedEntry *e, const char *name);
/* Several lines, with extended attributes, and @name for the file */
void mapped_put_stat(const MappedEntry *e, const char *name);
void mapped_put_json(const MappedEntry *e, const char *name);

/* "name": for the type of a mode: file, directory, link, fifo, ... */
const char *mapped_type_name(uint32_t mode);
/* The letter of find -type, or of the first column of ls -l if @ls */
char mapped_type_letter(uint32_t mode, bool ls);

/* The target of a link, to be freed; NULL with a problem reported */
char *mapped_target(const MappedEntry *e);

/*
 * The names of the extended attributes that the guest sees, each with its NUL,
 * to be freed; their length in *@len. NULL and no length if the guest sees none
 * because of the file's type, or with a problem reported.
 */
char *mapped_xattr_names(const MappedEntry *e, size_t *len);

#endif /* FSDEV_MAPPED_OUTPUT_H */
