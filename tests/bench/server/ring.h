/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The virtio-9p device's virtqueue as its driver sees it: requests in slots of
 * guest memory, handed over and taken back without a copy.
 *
 * The device is a legacy one (virtio 1.1, 4.1.4.8) at a fixed place on the PCI
 * bus (addr=4,disable-modern=on,disable-legacy=off), because its few registers
 * are ports.
 */
#ifndef BENCH_RING_H
#define BENCH_RING_H

#include "machine.h"

#define RING_SLOTS_MAX  1024

typedef struct Ring {
    Machine *m;
    unsigned size;                  /* descriptors in the queue */
    unsigned slots;                 /* that are used */
    bool indirect;                  /* a slot has a table of descriptors */
    uint32_t desc, avail, used;     /* guest addresses */
    uint32_t buffers;               /* of the first slot */
    uint32_t room;                  /* for a message, in bytes */
    uint32_t tables;                /* of indirect descriptors */
    uint16_t put, seen;             /* indices of avail and used */
    uint64_t sent[RING_SLOTS_MAX];  /* when, in ns */
} Ring;

/*
 * @room: bytes that a message may have. @slots: RING_SLOTS_MAX at most; there
 * will be that many, or as many as the queue can have. That is half as many as
 * it has descriptors, or all if the device takes indirect ones, which are used
 * if they are needed only.
 */
void ring_start(Ring *r, Machine *m, uint32_t room, unsigned slots);

/* Where a slot's request goes, and where its reply is found */
uint8_t *ring_request(Ring *r, unsigned slot);
uint8_t *ring_reply(Ring *r, unsigned slot);

/*
 * Makes a slot's request available; the device is told by ring_kick(), whose
 * answer is for machine_drain().
 */
void ring_put(Ring *r, unsigned slot, uint32_t size);
void ring_kick(Ring *r);

/* Whether a request is done that was not taken yet */
bool ring_ready(Ring *r);
/* Takes one that is: its slot, with the time it took in ns. */
unsigned ring_take(Ring *r, uint64_t *ns);

uint64_t now_ns(void);

#endif /* BENCH_RING_H */
