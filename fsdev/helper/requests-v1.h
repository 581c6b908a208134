/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The requests of protocol version 1, of a QEMU before 9.2.
 */
#ifndef HELPER_REQUESTS_V1_H
#define HELPER_REQUESTS_V1_H

#include "fsdev/helper/channel.h"
#include "fsdev/hostfs.h"

/*
 * Serves the connection until it ends, one request after the other: all that
 * a client of version 1 asks for.
 */
void requests_v1_serve(Channel *c, const HostFs *fs);

#endif /* HELPER_REQUESTS_V1_H */
