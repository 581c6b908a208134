/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The virtqueue: see ring.h.
 */
#include "qemu/osdep.h"
#include "ring.h"
#include <sched.h>

/* PCI's configuration ports, and where the device goes */
#define PCI_ADDRESS     0xcf8
#define PCI_DATA        0xcfc
#define PCI_SLOT        4
#define PCI_COMMAND     0x04
#define PCI_BAR0        0x10
#define PORTS           0xc000

/* Registers of a legacy virtio device */
#define HOST_FEATURES   (PORTS + 0)
#define GUEST_FEATURES  (PORTS + 4)
#define QUEUE_ADDRESS   (PORTS + 8)
#define QUEUE_SIZE      (PORTS + 12)
#define QUEUE_SELECT    (PORTS + 14)
#define QUEUE_NOTIFY    (PORTS + 16)
#define STATUS          (PORTS + 18)
#define STATUS_READY    (1 | 2 | 4)

#define PAGE            4096u
#define RING_AT         (1u << 20)
#define BUFFERS_AT      (2u << 20)

#define WAIT_NS         (120 * 1000000000ull)

typedef struct Desc {
    uint64_t addr;
    uint32_t len;
    uint16_t flags;
    uint16_t next;
} Desc;

enum { DESC_NEXT = 1, DESC_WRITE = 2, AVAIL_NO_INTERRUPT = 1,
       USED_NO_NOTIFY = 1 };

uint64_t now_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000000000ull + t.tv_nsec;
}

static void config_write(Machine *m, uint8_t at, uint32_t value)
{
    machine_outl(m, PCI_ADDRESS, 0x80000000u | PCI_SLOT << 11 | at);
    machine_outl(m, PCI_DATA, value);
}

static uint16_t *u16_at(Ring *r, uint32_t addr)
{
    return (uint16_t *)(void *)(r->m->memory + addr);
}

static Desc *desc(Ring *r, unsigned i)
{
    return (Desc *)(void *)(r->m->memory + r->desc) + i;
}

static uint32_t request_at(Ring *r, unsigned slot)
{
    return r->buffers + slot * 2 * r->room;
}

void ring_start(Ring *r, Machine *m, uint32_t room)
{
    unsigned i;

    *r = (Ring) {
        .m = m, .desc = RING_AT, .buffers = BUFFERS_AT,
        .room = (room + PAGE - 1) & ~(PAGE - 1),
    };
    if (request_at(r, RING_SLOTS) > m->size) {
        die("the guest's memory is too small");
    }
    config_write(m, PCI_BAR0, PORTS);
    config_write(m, PCI_COMMAND, 5);        /* ports, bus master */
    machine_outb(m, STATUS, 0);
    machine_outb(m, STATUS, 1 | 2);
    (void)machine_inl(m, HOST_FEATURES);
    machine_outl(m, GUEST_FEATURES, 0);
    machine_outw(m, QUEUE_SELECT, 0);
    r->size = machine_inw(m, QUEUE_SIZE);
    if (r->size < 2 * RING_SLOTS) {
        die("no virtio-9p device, or its queue has only %u entries", r->size);
    }
    r->avail = r->desc + r->size * sizeof(Desc);
    r->used = (r->avail + 6 + 2 * r->size + PAGE - 1) & ~(PAGE - 1);
    *u16_at(r, r->avail) = AVAIL_NO_INTERRUPT;
    for (i = 0; i < RING_SLOTS; i++) {
        *desc(r, 2 * i) = (Desc) { request_at(r, i), 0, DESC_NEXT, 2 * i + 1 };
        *desc(r, 2 * i + 1) = (Desc) { request_at(r, i) + r->room, r->room,
                                       DESC_WRITE, 0 };
    }
    machine_outl(m, QUEUE_ADDRESS, r->desc / PAGE);
    machine_outb(m, STATUS, STATUS_READY);
}

uint8_t *ring_request(Ring *r, unsigned slot)
{
    return r->m->memory + request_at(r, slot);
}

uint8_t *ring_reply(Ring *r, unsigned slot)
{
    return r->m->memory + request_at(r, slot) + r->room;
}

void ring_put(Ring *r, unsigned slot, uint32_t size)
{
    desc(r, 2 * slot)->len = size;
    *u16_at(r, r->avail + 4 + 2 * (r->put % r->size)) = 2 * slot;
    r->put++;
    r->sent[slot] = now_ns();
    __atomic_store_n(u16_at(r, r->avail + 2), r->put, __ATOMIC_SEQ_CST);
}

void ring_kick(Ring *r)
{
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    if (!(__atomic_load_n(u16_at(r, r->used), __ATOMIC_SEQ_CST) &
          USED_NO_NOTIFY)) {
        machine_drain(r->m);
        machine_post(r->m, QUEUE_NOTIFY, 0);
    }
}

bool ring_ready(Ring *r)
{
    return __atomic_load_n(u16_at(r, r->used + 2), __ATOMIC_ACQUIRE) !=
           r->seen;
}

unsigned ring_get(Ring *r, uint64_t *ns)
{
    uint64_t start = now_ns();
    unsigned slot;

    while (!ring_ready(r)) {
        if (now_ns() - start > WAIT_NS) {
            die("a request is not answered");
        }
    }
    slot = *(uint32_t *)(void *)(r->m->memory + r->used + 4 +
                                 8 * (r->seen % r->size)) / 2;
    r->seen++;
    *ns = now_ns() - r->sent[slot];
    return slot;
}
