/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The steps of a conversion that copy, complete and drop the views of mapped
 * models (convert-step.h).
 */
#ifndef FSDEV_MAPPED_CONVERT_VIEWS_H
#define FSDEV_MAPPED_CONVERT_VIEWS_H

#include "convert-step.h"

/* Copies views, and ACLs, to the new model, which is a mapped one. */
extern const TreeOps convert_put_views_ops;
/*
 * Completes views, in a walk by the model that keeps them: Convert.other is
 * that one, too. Afterwards the guest sees no owner and mode of the host's.
 */
extern const TreeOps convert_fill_views_ops;
/* Removes views of the old model, in a walk by the new one. */
extern const TreeOps convert_drop_views_ops;

#endif /* FSDEV_MAPPED_CONVERT_VIEWS_H */
