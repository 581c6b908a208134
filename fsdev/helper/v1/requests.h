/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The requests of protocol version 1, of a QEMU before 9.2.
 */
#ifndef FSDEV_HELPER_V1_REQUESTS_H
#define FSDEV_HELPER_V1_REQUESTS_H

#include "fsdev/helper/channel.h"
#include "fsdev/shared/hostfs.h"

/*
 * Carries out one request of @type with the payload @in, which is changed.
 * Returns -errno; or what a status says, with the payload of a response, if
 * it is one, in @out; or for OPEN and CREATE 0 and a descriptor in *@fd, the
 * caller's to close.
 */
int request_v1_execute(const HostFs *fs, uint32_t type, uint8_t *in,
                       uint32_t size, MarshalWriter *out, int *fd);

/*
 * Serves the connection until it ends, one request after the other: all that
 * a client of version 1 asks for.
 */
void requests_v1_serve(Channel *c, const HostFs *fs);

#endif /* FSDEV_HELPER_V1_REQUESTS_H */
