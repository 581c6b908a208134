/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Writes 9P messages: each function adds a field. load_run() fills in the tag
 * and the size.
 */
#ifndef BENCH_MESSAGE_H
#define BENCH_MESSAGE_H

#include <stdint.h>
#include <string.h>

enum {
    TSTATFS = 8, TLOPEN = 12, TLCREATE = 14, TREADLINK = 22, TGETATTR = 24,
    TSETATTR = 26, TXATTRWALK = 30, TXATTRCREATE = 32, TREADDIR = 40,
    TMKDIR = 72, TRENAMEAT = 74, TUNLINKAT = 76, TVERSION = 100,
    TATTACH = 104, TWALK = 110, TREAD = 116, TWRITE = 118, TCLUNK = 120,
};

/* Rlerror */
#define RLERROR         7

typedef struct Message {
    uint8_t *start;
    uint8_t *pos;
} Message;

static inline void u8(Message *m, uint8_t v)
{
    *m->pos++ = v;
}

static inline void u16(Message *m, uint16_t v)
{
    u8(m, v);
    u8(m, v >> 8);
}

static inline void u32(Message *m, uint32_t v)
{
    u16(m, v);
    u16(m, v >> 16);
}

static inline void u64(Message *m, uint64_t v)
{
    u32(m, v);
    u32(m, v >> 32);
}

static inline void str(Message *m, const char *s)
{
    size_t len = strlen(s);

    u16(m, len);
    memcpy(m->pos, s, len);
    m->pos += len;
}

/* Each message begins with a fid; Tversion has its msize there, also a u32. */
static inline void begin(Message *m, uint8_t type, uint32_t fid)
{
    m->pos = m->start + 4;
    u8(m, type);
    u16(m, 0);
    u32(m, fid);
}

/* A Twalk of one name, or of none if @name is NULL */
static inline void walk(Message *m, uint32_t fid, uint32_t newfid,
                        const char *name)
{
    begin(m, TWALK, fid);
    u32(m, newfid);
    u16(m, name != NULL);
    if (name) {
        str(m, name);
    }
}

/* Reads a field of a reply. */
static inline uint32_t get_u32(const uint8_t *p)
{
    return p[0] | p[1] << 8 | p[2] << 16 | (uint32_t)p[3] << 24;
}

static inline uint64_t get_u64(const uint8_t *p)
{
    return get_u32(p) | (uint64_t)get_u32(p + 4) << 32;
}

#endif /* BENCH_MESSAGE_H */
