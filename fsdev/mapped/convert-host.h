/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The steps of a conversion that change the host's own files (convert-step.h).
 */
#ifndef FSDEV_MAPPED_CONVERT_HOST_H
#define FSDEV_MAPPED_CONVERT_HOST_H

#include "convert-step.h"

/* They become the guest's, in a walk by the old model, a mapped one. */
extern const TreeOps convert_put_host_ops;
/* They come to stand for the guest's, in a walk by the new, a mapped one. */
extern const TreeOps convert_take_host_ops;

/* Removes the staging folder: 0 or -errno. */
int convert_clear_staging(Convert *c);

#endif /* FSDEV_MAPPED_CONVERT_HOST_H */
