/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Sends 9P messages to QEMUs and takes the replies: see load.h. A message's
 * tag is the number of its slot.
 */
#include "qemu/osdep.h"
#include "load.h"

/* The process ends when no QEMU replies for this long. */
#define WAIT_NS         (120 * 1000000000ull)
#define NO_UID          0xffffffffu

/*
 * Answers to kicks that may stay unread in the qtest socket. The socket holds
 * some hundred; QEMU would then wait for this process to read them, while this
 * process waits for QEMU's replies.
 */
#define UNREAD_MAX      100

/* The messages to send, and the array for their times */
typedef struct Run {
    const char *what;
    const Phase *phase;
    unsigned n;
    GArray *times;
} Run;

static void put(Guest *g, unsigned slot, const Run *run)
{
    Message msg = { .start = ring_request(&g->ring, slot) };
    uint32_t size;

    run->phase->make(&msg, g->sent++);
    size = msg.pos - msg.start;
    msg.start[0] = size;
    msg.start[1] = size >> 8;
    msg.start[2] = size >> 16;
    msg.start[3] = size >> 24;
    msg.start[5] = slot;
    msg.start[6] = slot >> 8;
    ring_put(&g->ring, slot, size);
}

static void check_reply(Load *l, Guest *g, unsigned slot, const Run *run)
{
    const uint8_t *reply = ring_reply(&g->ring, slot);
    const uint8_t *request = ring_request(&g->ring, slot);

    if (reply[4] == RLERROR && l->may_fail) {
        l->error = get_u32(reply + 7);
        l->errors++;
    } else if (reply[4] == RLERROR) {
        die("%s: QEMU answers message %u with: %s", run->what, g->done,
            strerror(get_u32(reply + 7)));
    } else if (reply[4] != request[4] + 1) {
        die("%s: QEMU answers message %u, of type %u, with type %u",
            run->what, g->done, request[4], reply[4]);
    }
}

static void wait_ns(uint64_t ns)
{
    uint64_t end;

    if (ns == 0) {
        return;
    }
    end = now_ns() + ns;
    while (now_ns() < end) {
        /* Sleeping would take longer. */
    }
}

/* Takes the replies that are ready, and sends as many new messages. */
static void take_replies(Load *l, Guest *g, const Run *run)
{
    bool more = false;
    uint64_t ns;

    do {
        unsigned slot = ring_take(&g->ring, &ns);

        check_reply(l, g, slot, run);
        g->done++;
        if (run->times) {
            g_array_append_val(run->times, ns);
        }
        if (g->sent < run->n) {
            wait_ns(l->pause);
            put(g, slot, run);
            more = true;
        }
    } while (g->done < run->n && ring_ready(&g->ring));
    if (more) {
        ring_kick(&g->ring);
    }
}

static void begin_run(Guest *g, const Run *run, unsigned depth)
{
    g->sent = g->done = 0;
    while (g->sent < run->n && g->sent < depth) {
        put(g, g->sent, run);
    }
    ring_kick(&g->ring);
}

void load_run(Load *l, const char *what, const Phase *phase, unsigned n,
              unsigned depth, GArray *times)
{
    Run run = { what, phase, phase->n ?: n, times };
    unsigned left = run.n ? l->n : 0;
    uint64_t last;
    unsigned i;

    for (i = 0; i < l->n && left; i++) {
        begin_run(&l->guests[i], &run, depth);
    }
    last = now_ns();
    while (left) {
        bool some = false;

        for (i = 0; i < l->n; i++) {
            Guest *g = &l->guests[i];

            if (g->m.unread > UNREAD_MAX) {
                machine_drain(&g->m);
            }
            if (g->done < run.n && ring_ready(&g->ring)) {
                take_replies(l, g, &run);
                left -= g->done == run.n;
                some = true;
            }
        }
        if (some) {
            last = now_ns();
        } else if (now_ns() - last > WAIT_NS) {
            die("%s: QEMU does not answer a request", what);
        }
    }
}

static uint32_t wanted_msize;

static void version(Message *m, unsigned i)
{
    begin(m, TVERSION, wanted_msize);
    str(m, "9P2000.L");
}

static void attach(Message *m, unsigned i)
{
    begin(m, TATTACH, FID_ROOT);
    u32(m, NO_UID);
    str(m, "root");
    str(m, "");
    u32(m, 0);
}

void load_start(Load *l, unsigned n, char *const *argv, const char *accel,
                uint32_t memory, uint32_t msize, unsigned slots)
{
    unsigned i;

    *l = (Load) { .guests = g_new0(Guest, n), .n = n, .slots = slots };
    for (i = 0; i < n; i++) {
        Guest *g = &l->guests[i];

        machine_start(&g->m, argv, accel, memory);
        ring_start(&g->ring, &g->m, msize, slots);
        l->slots = MIN(l->slots, g->ring.slots);
    }
    wanted_msize = msize;
    load_run(l, "version", &(Phase) { version }, 1, 1, NULL);
    for (i = 0; i < n; i++) {
        if (get_u32(ring_reply(&l->guests[i].ring, 0) + 7) != msize) {
            die("this QEMU does not accept messages of %u bytes", msize);
        }
    }
    load_run(l, "attach", &(Phase) { attach }, 1, 1, NULL);
}

void load_stop(Load *l)
{
    unsigned i;

    for (i = 0; i < l->n; i++) {
        machine_stop(&l->guests[i].m);
    }
    g_free(l->guests);
}
