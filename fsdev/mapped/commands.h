/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The commands of virtfs-mapped, each in the file of its name; stat and set are
 * in ls.c. They return an exit status.
 */
#ifndef FSDEV_MAPPED_COMMANDS_H
#define FSDEV_MAPPED_COMMANDS_H

#include "options.h"

int mapped_ls(const MappedOptions *o);
int mapped_stat(const MappedOptions *o);
int mapped_find(const MappedOptions *o);
int mapped_set(const MappedOptions *o);
int mapped_check(const MappedOptions *o);
int mapped_pack(const MappedOptions *o);
int mapped_convert(const MappedOptions *o);
int mapped_unpack(const MappedOptions *o);

#endif /* FSDEV_MAPPED_COMMANDS_H */
