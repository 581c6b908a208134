/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Messages of 9P2000.u in the form that most cases need
 * (virtio-9p-behaviour-dotu.c).
 */
#ifndef TESTS_VIRTIO_9P_BEHAVIOUR_DOTU_H
#define TESTS_VIRTIO_9P_BEHAVIOUR_DOTU_H

#include "libqos/virtio-9p-dotu.h"
#include "virtio-9p-behaviour.h"

int open_u(Test *t, uint32_t fid, uint8_t mode);
int create_u(Test *t, uint32_t fid, const char *name, uint32_t perm,
             uint8_t mode, const char *extension);

/* Makes a file in the root as @newfid, which is free again after an error. */
int make_u(Test *t, uint32_t newfid, const char *name, uint32_t perm,
           const char *extension);
/* The same, without a fid */
int make_only_u(Test *t, const char *name, uint32_t perm,
                const char *extension);

int wstat_u(Test *t, uint32_t fid, P9CStat st);

/* A stat for Twstat: all fields but those that are set are "don't touch". */
#define stat_with(...) ({                   \
        P9CStat st_ = p9c_stat_blank;       \
        P9CStat *st = &st_;                 \
        __VA_ARGS__;                        \
        st_; })

#endif
