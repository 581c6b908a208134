/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Security models by name: those of the local driver, and proxy.
 */
#ifndef FSDEV_MAPPED_MODELS_H
#define FSDEV_MAPPED_MODELS_H

#include "hw/9pfs/local/model.h"

/* The model of that name, or NULL */
const LocalModel *mapped_model(const char *name);
const char *mapped_model_name(const LocalModel *model);

/* Whether the host's files are the guest's: passthrough and proxy */
bool mapped_model_is_host(const LocalModel *model);

#endif /* FSDEV_MAPPED_MODELS_H */
