/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Numbers in the command line and in marks. The functions return false if the
 * text is none, or is too large.
 */
#ifndef FSDEV_MAPPED_NUMBERS_H
#define FSDEV_MAPPED_NUMBERS_H

bool mapped_parse_number(const char *text, int base, uint64_t max,
                         uint64_t *n);
/* Octal, without a type */
bool mapped_parse_mode(const char *text, uint32_t *mode);
bool mapped_parse_id(const char *text, uint32_t *id);
/* UID:GID */
bool mapped_parse_owner(const char *text, uint32_t *uid, uint32_t *gid);

#endif /* FSDEV_MAPPED_NUMBERS_H */
