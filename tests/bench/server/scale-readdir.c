/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Large directories: see scale.h.
 */
#include "qemu/osdep.h"
#include "scale.h"

/* The offset and count of the next Treaddir */
static uint64_t offset;
static uint32_t room;

static void open_dir(Message *m, unsigned i)
{
    begin(m, TLOPEN, FID_DIR);
    u32(m, O_RDONLY | O_DIRECTORY);
}

static void read_dir(Message *m, unsigned i)
{
    begin(m, TREADDIR, FID_DIR);
    u64(m, offset);
    u32(m, room);
}

/*
 * Counts the entries of an Rreaddir, each a qid, offset, type and name. The
 * offset of the last one becomes that of the next Treaddir.
 */
static unsigned count_entries(const uint8_t *reply)
{
    const uint8_t *p = reply + 11;
    const uint8_t *end = p + get_u32(reply + 7);
    unsigned n = 0;

    while (p < end) {
        offset = get_u64(p + 13);
        p += 24 + (p[22] | p[23] << 8);
        n++;
    }
    return n;
}

void scale_readdir(Load *l, const char *dir, uint32_t count, unsigned entries)
{
    unsigned messages = 0, passes = 0, seen = 0, n;
    Cost sum = { 0 };
    Cost start;

    dir_walk(l, dir);
    once(l, "lopen", open_dir);
    room = count;
    start = cost_start(l);
    do {
        offset = 0;
        do {
            once(l, "readdir", read_dir);
            n = count_entries(ring_reply(&l->guests[0].ring, 0));
            seen += n;
            messages++;
        } while (n);
        passes++;
    } while (seen && seen < entries);
    cost_add(&sum, l, start);
    printf("{\"count\": %u, \"messages\": %u, \"entries\": %u", count,
           messages / passes, seen / passes);
    cost_print("entry", l, &sum, seen);
    puts("}");
    dir_clunk(l);
}
