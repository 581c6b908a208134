/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Streams of bytes through memory that QEMU and the helper share: the
 * transport of the proxy channel's messages when both have agreed on it
 * (PROXY_RING in proto.h). One stream takes requests, the other one
 * replies.
 *
 * Theory of operation. A ring has one producer and one consumer. Its control
 * block counts the bytes that were put in (head) and those that were taken out
 * (tail), both modulo 2^32; the size of its data is a power of two, so a byte's
 * place is its count modulo that. Each side writes its own count only, keeps a
 * private copy of it, and never reads it back. The other's count is read once
 * and then checked: more bytes on their way than the ring holds cannot be.
 * Bytes are copied out before anybody looks at them. So whatever the other side
 * does to the memory, it can say no more than it could say on a socket.
 *
 * Nobody waits in here. A side that has nothing to do says so with a flag, and
 * looks again before it goes to sleep at a doorbell, which is the channel's:
 *
 *     consumer                          producer
 *     asleep = 1                        head = ...
 *     full barrier                      full barrier
 *     is there anything? then awake     asleep? then take it back and ring
 *
 * Of the two at least one sees what the other wrote, so no byte stays lying in
 * a ring whose consumer sleeps; the same for a producer that waits for room,
 * with "full" in place of "asleep" and tail in place of head. A flag is taken
 * back by exchange: one bell for one sleep. A bell too many does no harm.
 */
#ifndef FSDEV_SHARED_RING_H
#define FSDEV_SHARED_RING_H

/* Bytes of data of each ring: many messages of the usual size */
#define PROXY_RING_SIZE         (64 * 1024)

/* Each word in a cache line of its own: they are written by different sides. */
typedef struct ProxyRingControl {
    uint32_t head __attribute__((aligned(64)));     /* the producer's */
    uint32_t tail __attribute__((aligned(64)));     /* the consumer's */
    /* Set by the side that it tells of, taken back by either */
    uint32_t asleep __attribute__((aligned(64)));   /* the consumer */
    uint32_t full __attribute__((aligned(64)));     /* the producer waits */
} ProxyRingControl;

/* What the shared memory holds; numbers in the host's byte order */
typedef struct ProxyRingMemory {
    ProxyRingControl requests;
    ProxyRingControl replies;
    /* Changes whenever the helper has sent something through the socket */
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

/* @size: of @data, a power of two. Nothing has been put in yet. */
void proxy_ring_init(ProxyRing *r, ProxyRingControl *control, void *data,
                     uint32_t size);

/*
 * The producer's: copies as much of @size bytes into the ring as there is room
 * for. How much that was, 0 if there is none, or -EPROTO if the other side's
 * count is impossible.
 */
ssize_t proxy_ring_write(ProxyRing *r, const void *buf, size_t size);

/* Bytes that proxy_ring_write() would take now, or -EPROTO */
ssize_t proxy_ring_room(const ProxyRing *r);

/* Whether the consumer's bell is to be rung, after writing */
bool proxy_ring_wakes_consumer(ProxyRing *r);

/*
 * There was no room: 0, if the bell is to be waited for; 1, if there is room
 * now after all; or -EPROTO.
 */
int proxy_ring_wait_room(ProxyRing *r);

/*
 * The consumer's: copies up to @size bytes out. How many, 0 if there are none,
 * or -EPROTO if the other side's count is impossible.
 */
ssize_t proxy_ring_read(ProxyRing *r, void *buf, size_t size);

/* Whether there may be something to read (or to find impossible) */
bool proxy_ring_pending(const ProxyRing *r);

/* Whether the producer's bell is to be rung, after reading */
bool proxy_ring_wakes_producer(ProxyRing *r);

/*
 * There was nothing: whether the bell is to be waited for. False if there is
 * something now after all.
 */
bool proxy_ring_sleep(ProxyRing *r);

/* The consumer looks by itself, bell or not, until it sleeps again. */
void proxy_ring_awake(ProxyRing *r);

/*
 * Memory and bells
 */

/* One side's ends of both rings */
typedef struct ProxyRings {
    ProxyRingMemory *mem;
    ProxyRing requests;
    ProxyRing replies;
    int bell;                   /* to read from: where this side waits */
    int their_bell;             /* to write to */
} ProxyRings;

/*
 * New memory for both rings, of a size that cannot change any more: a
 * descriptor, or -errno.
 */
int proxy_ring_make_memory(void);

/*
 * Maps such memory, after a check that it is of that size and can neither
 * shrink nor grow: an access could end the process otherwise. -EINVAL if it is
 * not, -errno. @memory is not needed afterwards; the ends of pipes @bell and
 * @their_bell are *@rings's then.
 */
int proxy_rings_new(ProxyRings **rings, int memory, int bell, int their_bell);
void proxy_rings_free(ProxyRings *rings);

/*
 * Rings the other side's bell. 0, also if that has more to take back than a
 * pipe holds and does not block; -EPIPE when nobody waits there any more;
 * -errno.
 */
int proxy_rings_ring(ProxyRings *rings);

#endif /* FSDEV_SHARED_RING_H */
