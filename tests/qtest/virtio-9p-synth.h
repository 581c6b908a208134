/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * For qtests of the 9p server on the synth driver: sessions, which several of
 * them begin alike.
 */
#ifndef TESTS_VIRTIO_9P_SYNTH_H
#define TESTS_VIRTIO_9P_SYNTH_H

#include "libqos/virtio-9p-client.h"

#define FID     1

/* A session on @obj, the test's device */
P9Client *synth_session(void *obj);

/* The same, with @path as FID, opened */
P9Client *synth_session_open(void *obj, const char *path, uint32_t flags);

/* The session goes on as if nothing had happened. */
void synth_alive(P9Client *c);

/* Twrite of one byte to FID; not 0 waits if FID is the file FLUSH. */
P9Call *synth_write_call(P9Client *c, uint8_t byte);

#endif
