/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The helper's end of a proxy channel, played by hand: the tests of QEMU's end
 * put messages into the socket, or into shared memory, and take messages out.
 * There is a single thread: a function that waits here lets QEMU's end run with
 * aio_poll().
 */
#ifndef TESTS_PROXY_PEER_H
#define TESTS_PROXY_PEER_H

#include "fsdev/shared/proto.h"
#include "fsdev/shared/ring.h"

/* put_hello() grants these. */
#define PEER_MAX_IN_FLIGHT  4
#define PEER_PID            4711
/* Its id map of uids: 0 is this one, and so on; gids are the host's own */
#define PEER_UID_OUTSIDE    100000
/* How long to wait for bytes that must come, also on a busy machine */
#define PEER_PATIENCE_MS    60000

/* The rings that the peer and QEMU's end have agreed on, or NULL */
extern ProxyRings *peer_rings;

/* How many descriptors this process has open */
int open_fds(void);
/* That must be so many, as soon as threads have closed some. */
void expect_open_fds(int n);

void peer_send(int peer, const void *buf, size_t size, const int *fds,
               unsigned nfds);

/* Bytes of requests that can be read */
size_t peer_waiting(int peer);

/* Whether bytes come within @ms; the channel runs during that time. */
bool peer_wait(int peer, int ms);

/* Some bytes of a request, which must come */
size_t peer_read(int peer, void *buf, size_t size);

/* The next request whole; its header, with the payload in @payload. */
ProxyHeader peer_recv(int peer, void *payload, size_t room);

/* Closes this end. */
void peer_close(int *peer);

/*
 * Takes a RING off the socket and replies with @error, or with none and keeps
 * the rings in peer_rings. It blocks, so call it from a thread of the peer's.
 */
void peer_agree_ring(int peer, uint32_t error);

/*
 * HELLO's reply. The caller sends its only descriptor along if @donated.
 * Returns its size.
 */
size_t put_hello(uint8_t *buf, size_t room, uint32_t version, uint64_t handle,
                 uint8_t donated, const FsAttr *root);

#endif /* TESTS_PROXY_PEER_H */
