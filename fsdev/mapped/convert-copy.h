/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * virtfs-mapped convert to a new directory.
 */
#ifndef FSDEV_MAPPED_CONVERT_COPY_H
#define FSDEV_MAPPED_CONVERT_COPY_H

#include "options.h"

/* The new directory is the second argument. Returns an exit status. */
int convert_copy(const MappedOptions *o);

#endif /* FSDEV_MAPPED_CONVERT_COPY_H */
