/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * For qtests of the 9p server on the synth driver: the beginning of a session,
 * which several of them share.
 */
#ifndef TESTS_VIRTIO_9P_SYNTH_H
#define TESTS_VIRTIO_9P_SYNTH_H

#include "libqos/virtio-9p-client.h"

#define FID     1

/* A session on @obj, the test's device */
P9Client *synth_session(void *obj);

/* The same, with @path open as FID */
P9Client *synth_session_open(void *obj, const char *path, uint32_t flags);

/* The session must still work. */
void synth_alive(P9Client *c);

/* Twrite of one byte to FID; in the file FLUSH a byte other than 0 waits. */
P9Call *synth_write_call(P9Client *c, uint8_t byte);

#endif
