/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The requests of protocol version 1: one function per type.
 */
#ifndef FSDEV_HELPER_V1_REQUESTS_H
#define FSDEV_HELPER_V1_REQUESTS_H

#include "fsdev/shared/hostfs.h"
#include "fsdev/shared/marshal.h"

/*
 * Carries out one request of @type with the payload @in, which is changed.
 * Returns -errno on failure. Otherwise, OPEN and CREATE return 0 with a
 * descriptor in *@fd, which the caller closes; requests with a response return
 * 0 with its payload in @out; all others return the value of the status.
 */
int request_v1_execute(const HostFs *fs, uint32_t type, uint8_t *in,
                       uint32_t size, MarshalWriter *out, int *fd);

#endif /* FSDEV_HELPER_V1_REQUESTS_H */
