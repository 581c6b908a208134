/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The virtio-9p device's virtqueue as its driver sees it: requests in slots of
 * guest memory, handed over and taken back without a copy.
 *
 * The device is a legacy one (virtio 1.1, 4.1.4.8) at a fixed place on the PCI
 * bus, because its few registers are ports.
 */
#ifndef BENCH_RING_H
#define BENCH_RING_H

#include "machine.h"

#define RING_SLOTS      64

typedef struct Ring {
    Machine *m;
    unsigned size;
    uint32_t desc, avail, used;     /* guest addresses */
    uint32_t buffers;               /* of the first slot */
    uint32_t room;                  /* for a message, in bytes */
    uint16_t put, seen;             /* indices of avail and used */
    uint64_t sent[RING_SLOTS];      /* when, in ns */
} Ring;

/* Options for QEMU that make the device; @fsdev and the tag are "bench". */
#define RING_DEVICE "virtio-9p-pci,fsdev=bench,mount_tag=bench,addr=4," \
                    "disable-modern=on,disable-legacy=off"

/* @room: bytes that a message may have */
void ring_start(Ring *r, Machine *m, uint32_t room);

/* Where a slot's request goes, and where its reply is found */
uint8_t *ring_request(Ring *r, unsigned slot);
uint8_t *ring_reply(Ring *r, unsigned slot);

/* Makes a slot's request available; the device is told by ring_kick(). */
void ring_put(Ring *r, unsigned slot, uint32_t size);
void ring_kick(Ring *r);

/*
 * Waits until a request is done: its slot, with the time it took in ns.
 * Ends the process when that takes minutes.
 */
unsigned ring_get(Ring *r, uint64_t *ns);
/* Whether another one is done already */
bool ring_ready(Ring *r);

uint64_t now_ns(void);

#endif /* BENCH_RING_H */
