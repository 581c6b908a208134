/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Security models by name: see models.h.
 */
#include "qemu/osdep.h"
#include "models.h"
#include "proxy-model.h"

static const struct {
    const char *name;
    const LocalModel *model;
} models[] = {
    { "mapped-xattr", &local_model_mapped_xattr },
    { "mapped-file", &local_model_mapped_file },
    { "passthrough", &local_model_passthrough },
    { "proxy", &mapped_model_proxy },
    { "mapped", &local_model_mapped_xattr },
};

const LocalModel *mapped_model(const char *name)
{
    unsigned i;

    for (i = 0; i < G_N_ELEMENTS(models); i++) {
        if (g_str_equal(models[i].name, name)) {
            return models[i].model;
        }
    }
    return NULL;
}

const char *mapped_model_name(const LocalModel *model)
{
    unsigned i = 0;

    while (models[i].model != model) {
        i++;
    }
    return models[i].name;
}

bool mapped_model_is_host(const LocalModel *model)
{
    return !model->put_view;
}
