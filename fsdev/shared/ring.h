/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Streams of bytes through memory that QEMU and the helper share: the
 * transport of the proxy channel's messages if both agree on it (PROXY_RING in
 * proto.h). One stream takes requests, the other takes replies.
 *
 * Theory of operation. A ring has one producer and one consumer. Its control
 * block counts the bytes put in (head) and the bytes taken out (tail), both
 * modulo 2^32. The size of its data is a power of two, so a byte's place is its
 * count modulo that size. Each side writes only its own count, keeps a private
 * copy of it, and never reads it back. It reads the other's count once and then
 * checks it: a ring cannot hold more bytes than its size. It copies bytes out
 * before it looks at them. So whatever the other side does to the memory, it
 * has no more influence than through a socket.
 *
 * No function in here waits. A side that has nothing to do sets a flag, and
 * looks again before it sleeps at a doorbell, which belongs to the channel:
 *
 *     consumer                          producer
 *     asleep = 1                        head = ...
 *     full barrier                      full barrier
 *     any bytes? then asleep = 0        asleep? then asleep = 0 and ring
 *
 * At least one of the two sees what the other wrote, so no byte stays in a ring
 * whose consumer sleeps. The same holds for a producer that waits for room,
 * with "full" in place of "asleep" and tail in place of head. An exchange takes
 * a flag back, which gives one bell per sleep. A surplus bell does no harm.
 */
#ifndef FSDEV_SHARED_RING_H
#define FSDEV_SHARED_RING_H

/* Bytes of data per ring: many messages of the usual size */
#define PROXY_RING_SIZE         (64 * 1024)

/* Each word has its own cache line, because different sides write them. */
typedef struct ProxyRingControl {
    uint32_t head __attribute__((aligned(64)));     /* the producer's */
    uint32_t tail __attribute__((aligned(64)));     /* the consumer's */
    /* Set by the side in the comment, taken back by either side */
    uint32_t asleep __attribute__((aligned(64)));   /* the consumer */
    uint32_t full __attribute__((aligned(64)));     /* the producer waits */
} ProxyRingControl;

/* The layout of the shared memory; numbers are in host byte order */
typedef struct ProxyRingMemory {
    ProxyRingControl requests;
    ProxyRingControl replies;
    /* Changes whenever the helper has sent bytes through the socket */
    uint32_t socket __attribute__((aligned(64)));
    uint8_t requests_data[PROXY_RING_SIZE] __attribute__((aligned(4096)));
    uint8_t replies_data[PROXY_RING_SIZE] __attribute__((aligned(4096)));
} ProxyRingMemory;

/* One side's end of a ring */
typedef struct ProxyRing {
    ProxyRingControl *control;
    uint8_t *data;
    uint32_t size;
    uint32_t at;                /* our own count */
} ProxyRing;

/* @size: of @data, a power of two. The ring is empty. */
void proxy_ring_init(ProxyRing *r, ProxyRingControl *control, void *data,
                     uint32_t size);

/*
 * For the producer: copies as many of @size bytes into the ring as fit. Returns
 * their number, 0 if the ring is full, or -EPROTO if the other side's count is
 * impossible.
 */
ssize_t proxy_ring_write(ProxyRing *r, const void *buf, size_t size);

/* Bytes that proxy_ring_write() would take now, or -EPROTO */
ssize_t proxy_ring_room(const ProxyRing *r);

/* After writing: whether the producer must ring the consumer's bell. */
bool proxy_ring_wakes_consumer(ProxyRing *r);

/*
 * After finding no room: 0 if the producer must wait for its bell, 1 if there
 * is room now after all, or -EPROTO.
 */
int proxy_ring_wait_room(ProxyRing *r);

/*
 * For the consumer: copies up to @size bytes out. Returns their number, 0 if
 * the ring is empty, or -EPROTO if the other side's count is impossible.
 */
ssize_t proxy_ring_read(ProxyRing *r, void *buf, size_t size);

/* Whether there may be bytes to read, or an impossible count */
bool proxy_ring_pending(const ProxyRing *r);

/* After reading: whether the consumer must ring the producer's bell. */
bool proxy_ring_wakes_producer(ProxyRing *r);

/*
 * After finding nothing: whether the consumer must wait for its bell. False if
 * there are bytes now after all.
 */
bool proxy_ring_sleep(ProxyRing *r);

/* The consumer is awake, and needs no bell until it sleeps again. */
void proxy_ring_awake(ProxyRing *r);

/*
 * Memory and bells
 */

/* One side's ends of both rings */
typedef struct ProxyRings {
    ProxyRingMemory *mem;
    ProxyRing requests;
    ProxyRing replies;
    int bell;                   /* this side waits by reading it */
    int their_bell;             /* this side rings it by writing */
} ProxyRings;

/*
 * Makes memory for both rings, whose size cannot change. Returns a descriptor,
 * or -errno.
 */
int proxy_ring_make_memory(void);

/*
 * Maps such memory. First checks that it has the right size and can neither
 * shrink nor grow: otherwise an access could end the process. -EINVAL if the
 * check fails, or -errno. On success the ownership of the pipe ends @bell and
 * @their_bell passes to *@rings; the caller keeps @memory and may close it.
 */
int proxy_rings_new(ProxyRings **rings, int memory, int bell, int their_bell);
void proxy_rings_free(ProxyRings *rings);

/*
 * Rings the other side's bell. Returns 0, also if a non-blocking pipe is full
 * of bells; -EPIPE if the other side has closed it; or -errno.
 */
int proxy_rings_ring(ProxyRings *rings);

#endif /* FSDEV_SHARED_RING_H */
