/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Arguments of the command line that are files of a share.
 */
#ifndef FSDEV_MAPPED_ARG_H
#define FSDEV_MAPPED_ARG_H

#include "options.h"

/*
 * Opens the share that the argument @arg lies in, and the file that it means.
 * Without --root, a directory is the share's root, and another file is in the
 * root. False with a message.
 *
 * A link that leads to a directory is that one if the argument shall be a
 * share; if it is one of its files, it is the guest's link, and leads nowhere.
 */
bool mapped_open_arg(const MappedOptions *o, const char *arg, ShareUse use,
                     MappedShare *s, MappedEntry *e);
bool mapped_open_file(const MappedOptions *o, const char *arg, ShareUse use,
                      MappedShare *s, MappedEntry *e);
/* For commands that work on a whole share, and nothing else */
bool mapped_open_root(const MappedOptions *o, const char *arg, ShareUse use,
                      MappedShare *s, MappedEntry *e);
/*
 * The name of the file @path, @start or one below it, where @arg means @start:
 * the user's own, so that other programs find it there. To be freed
 */
char *mapped_arg_name(const char *arg, const MappedEntry *start,
                      const char *path);
void mapped_close_arg(MappedShare *s, MappedEntry *e);

#endif /* FSDEV_MAPPED_ARG_H */
