/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What a conversion would lose (convert-step.h).
 */
#ifndef FSDEV_MAPPED_CONVERT_LOOK_H
#define FSDEV_MAPPED_CONVERT_LOOK_H

#include "convert-step.h"

/* In a walk by the old model, with the new one in Convert.other */
extern const TreeOps convert_look_ops;
/* After that walk: says what it found that is no single file's. */
void convert_look_end(Convert *c);
/* Whether a file has metadata of that model: Convert.has_old */
extern const TreeOps convert_seek_ops;

#endif /* FSDEV_MAPPED_CONVERT_LOOK_H */
