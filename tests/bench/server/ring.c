/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The virtqueue: see ring.h.
 */
#include "qemu/osdep.h"
#include "ring.h"

/* PCI's configuration ports, and the device's slot and I/O ports */
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
#define FEATURE_INDIRECT    (1u << 28)

#define PAGE            4096u
#define RING_AT         (1u << 20)
#define TABLES_AT       (RING_AT + (256u << 10))
#define BUFFERS_AT      (2u << 20)

/*
 * Bytes before the data in Twrite and Rread. The data starts on a page
 * boundary, as with Linux, whose client hands over the pages that hold it: a
 * copy takes much longer when only one side is aligned.
 */
#define TWRITE_HEAD     23
#define RREAD_HEAD      11

typedef struct Desc {
    uint64_t addr;
    uint32_t len;
    uint16_t flags;
    uint16_t next;
} Desc;

enum { DESC_NEXT = 1, DESC_WRITE = 2, DESC_INDIRECT = 4,
       AVAIL_NO_INTERRUPT = 1, USED_NO_NOTIFY = 1 };

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

static Desc *desc_at(Ring *r, uint32_t addr)
{
    return (Desc *)(void *)(r->m->memory + addr);
}

/* The two descriptors of a slot: for its request and for its reply */
static Desc *slot_desc(Ring *r, unsigned slot)
{
    return desc_at(r, r->indirect ? r->tables : r->desc) + 2 * slot;
}

/* The number of the slot's descriptor that the device gets */
static uint16_t slot_head(Ring *r, unsigned slot)
{
    return r->indirect ? slot : 2 * slot;
}

/* Each slot has two buffers, each behind a page for the message's head. */
static uint32_t slot_at(Ring *r, unsigned slot)
{
    return r->buffers + slot * 2 * (PAGE + r->room);
}

static uint32_t request_at(Ring *r, unsigned slot)
{
    return slot_at(r, slot) + PAGE - TWRITE_HEAD;
}

static uint32_t reply_at(Ring *r, unsigned slot)
{
    return slot_at(r, slot) + PAGE + r->room + PAGE - RREAD_HEAD;
}

static void make_descs(Ring *r)
{
    unsigned i;

    for (i = 0; i < r->slots; i++) {
        Desc *d = slot_desc(r, i);
        unsigned next = r->indirect ? 1 : 2 * i + 1;

        d[0] = (Desc) { request_at(r, i), 0, DESC_NEXT, next };
        d[1] = (Desc) { reply_at(r, i), r->room, DESC_WRITE, 0 };
        if (r->indirect) {
            *(desc_at(r, r->desc) + i) = (Desc) {
                r->tables + 2 * i * sizeof(Desc), 2 * sizeof(Desc),
                DESC_INDIRECT, 0
            };
        }
    }
}

void ring_start(Ring *r, Machine *m, uint32_t room, unsigned slots)
{
    uint32_t features;

    *r = (Ring) {
        .m = m, .desc = RING_AT, .tables = TABLES_AT, .buffers = BUFFERS_AT,
        .room = (room + PAGE - 1) & ~(PAGE - 1),
    };
    if (slots > RING_SLOTS_MAX || slot_at(r, slots) > m->size) {
        die("the guest's memory is too small");
    }
    config_write(m, PCI_BAR0, PORTS);
    config_write(m, PCI_COMMAND, 5);        /* ports, bus master */
    machine_outb(m, STATUS, 0);
    machine_outb(m, STATUS, 1 | 2);
    features = machine_inl(m, HOST_FEATURES);
    machine_outw(m, QUEUE_SELECT, 0);
    r->size = machine_inw(m, QUEUE_SIZE);
    r->indirect = r->size < 2 * slots && (features & FEATURE_INDIRECT);
    r->slots = MIN(slots, r->indirect ? r->size : r->size / 2);
    if (r->slots == 0) {
        die("there is no virtio-9p device");
    }
    machine_outl(m, GUEST_FEATURES, r->indirect ? FEATURE_INDIRECT : 0);
    r->avail = r->desc + r->size * sizeof(Desc);
    r->used = (r->avail + 6 + 2 * r->size + PAGE - 1) & ~(PAGE - 1);
    *u16_at(r, r->avail) = AVAIL_NO_INTERRUPT;
    make_descs(r);
    machine_outl(m, QUEUE_ADDRESS, r->desc / PAGE);
    machine_outb(m, STATUS, STATUS_READY);
}

uint8_t *ring_request(Ring *r, unsigned slot)
{
    return r->m->memory + request_at(r, slot);
}

uint8_t *ring_reply(Ring *r, unsigned slot)
{
    return r->m->memory + reply_at(r, slot);
}

void ring_put(Ring *r, unsigned slot, uint32_t size)
{
    slot_desc(r, slot)->len = size;
    *u16_at(r, r->avail + 4 + 2 * (r->put % r->size)) = slot_head(r, slot);
    r->put++;
    r->sent[slot] = now_ns();
    __atomic_store_n(u16_at(r, r->avail + 2), r->put, __ATOMIC_SEQ_CST);
}

void ring_kick(Ring *r)
{
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    if (!(__atomic_load_n(u16_at(r, r->used), __ATOMIC_SEQ_CST) &
          USED_NO_NOTIFY)) {
        machine_post(r->m, QUEUE_NOTIFY, 0);
    }
}

bool ring_ready(Ring *r)
{
    return __atomic_load_n(u16_at(r, r->used + 2), __ATOMIC_ACQUIRE) !=
           r->seen;
}

unsigned ring_take(Ring *r, uint64_t *ns)
{
    unsigned slot = *(uint32_t *)(void *)(r->m->memory + r->used + 4 +
                                          8 * (r->seen % r->size));

    if (!r->indirect) {
        slot /= 2;
    }
    r->seen++;
    *ns = now_ns() - r->sent[slot];
    return slot;
}
