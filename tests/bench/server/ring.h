/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The driver's side of the virtio-9p device's virtqueue. Requests and replies
 * lie in slots of guest memory; nothing is copied.
 *
 * The device is a legacy one (virtio 1.1, 4.1.4.8) at a fixed place on the PCI
 * bus (addr=4,disable-modern=on,disable-legacy=off), because a legacy device
 * has only a few registers, which are I/O ports.
 */
#ifndef BENCH_RING_H
#define BENCH_RING_H

#include "machine.h"

#define RING_SLOTS_MAX  1024

typedef struct Ring {
    Machine *m;
    unsigned size;                  /* descriptors in the queue */
    unsigned slots;                 /* that this process uses */
    bool indirect;                  /* each slot has its own table */
    uint32_t desc, avail, used;     /* guest addresses */
    uint32_t buffers;               /* of the first slot */
    uint32_t room;                  /* bytes for a message */
    uint32_t tables;                /* of indirect descriptors */
    uint16_t put, seen;             /* indices of avail and used */
    uint64_t sent[RING_SLOTS_MAX];  /* time of the request, in ns */
} Ring;

/*
 * @room: the largest message, in bytes. @slots: RING_SLOTS_MAX at most. The
 * ring has that many slots, or as many as fit into the queue. A slot takes two
 * descriptors, or one if the device takes indirect descriptors; the ring uses
 * indirect ones only where the slots would not fit otherwise.
 */
void ring_start(Ring *r, Machine *m, uint32_t room, unsigned slots);

/* The places of a slot's request and of its reply */
uint8_t *ring_request(Ring *r, unsigned slot);
uint8_t *ring_reply(Ring *r, unsigned slot);

/*
 * ring_put() makes a slot's request available, and ring_kick() notifies the
 * device. machine_drain() reads the answer to the kick.
 */
void ring_put(Ring *r, unsigned slot, uint32_t size);
void ring_kick(Ring *r);

/* Whether there is a reply that ring_take() has not taken yet */
bool ring_ready(Ring *r);
/* Takes a reply: returns its slot, and in @ns how long it took. */
unsigned ring_take(Ring *r, uint64_t *ns);

uint64_t now_ns(void);

#endif /* BENCH_RING_H */
