/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The marshaller: see marshal.h for the encoding and the rules.
 *
 * Reader and writer keep a position, an end, and a flag that sticks. Every
 * access goes through take() or marshal_reserve(), the only places that compare
 * a size with the space left.
 */
#include "qemu/osdep.h"
#include "marshal.h"

void marshal_reader_init(MarshalReader *r, void *buf, size_t size)
{
    r->start = r->pos = buf;
    r->end = size ? r->pos + size : r->pos;
    r->bad = false;
    r->again = false;
}

void marshal_read_again(MarshalReader *r)
{
    r->pos = r->start;
    r->again = true;
}

/* The next @size bytes, or NULL and a bad reader. */
static uint8_t *take(MarshalReader *r, size_t size)
{
    uint8_t *at = r->pos;

    if (r->bad || size > (size_t)(r->end - r->pos)) {
        r->bad = true;
        return NULL;
    }
    if (size) {
        r->pos += size;
    }
    return at;
}

static uint64_t get_le(MarshalReader *r, unsigned size)
{
    const uint8_t *p = take(r, size);
    uint64_t v = 0;

    if (p) {
        while (size--) {
            v = v << 8 | p[size];
        }
    }
    return v;
}

uint8_t marshal_get_u8(MarshalReader *r)
{
    return get_le(r, 1);
}

uint16_t marshal_get_u16(MarshalReader *r)
{
    return get_le(r, 2);
}

uint32_t marshal_get_u32(MarshalReader *r)
{
    return get_le(r, 4);
}

uint64_t marshal_get_u64(MarshalReader *r)
{
    return get_le(r, 8);
}

/* A string that was read before: a byte of its length, the text, and a NUL */
static const char *get_str_again(MarshalReader *r, size_t *len)
{
    const uint8_t *length = take(r, 1);
    const uint8_t *nul = length ? memchr(r->pos, '\0', r->end - r->pos) : NULL;
    size_t size = nul ? nul - r->pos : 0;

    if (len) {
        *len = size;
    }
    if (!nul) {
        r->bad = true;
        return "";
    }
    return (const char *)take(r, size + 1);
}

const char *marshal_get_str(MarshalReader *r, size_t *len)
{
    uint8_t *bytes;
    size_t size;

    if (r->again) {
        return get_str_again(r, len);
    }
    size = marshal_get_u16(r);
    bytes = take(r, size);
    if (bytes && size && memchr(bytes, '\0', size)) {
        r->bad = true;
        bytes = NULL;
    }
    if (len) {
        *len = bytes ? size : 0;
    }
    if (!bytes) {
        return "";
    }

    /* The length's two bytes are read, so there is room for the NUL. */
    memmove(bytes - 1, bytes, size);
    bytes[-1 + (ptrdiff_t)size] = '\0';
    return (const char *)bytes - 1;
}

void *marshal_get_bytes(MarshalReader *r, size_t size)
{
    return take(r, size);
}

void marshal_fail(MarshalReader *r)
{
    r->bad = true;
}

size_t marshal_left(const MarshalReader *r)
{
    return r->bad ? 0 : r->end - r->pos;
}

bool marshal_ok(const MarshalReader *r)
{
    return !r->bad;
}

bool marshal_done(const MarshalReader *r)
{
    return !r->bad && r->pos == r->end;
}

void marshal_writer_init(MarshalWriter *w, void *buf, size_t size)
{
    w->start = buf;
    w->pos = buf;
    w->end = size ? w->pos + size : w->pos;
    w->full = false;
}

void *marshal_reserve(MarshalWriter *w, size_t size)
{
    uint8_t *at = w->pos;

    if (w->full || size > (size_t)(w->end - w->pos)) {
        w->full = true;
        return NULL;
    }
    if (size) {
        w->pos += size;
    }
    return at;
}

void marshal_cut(MarshalWriter *w, size_t size)
{
    g_assert(size <= marshal_size(w));
    w->pos = size ? w->start + size : w->start;
}

void marshal_overflow(MarshalWriter *w)
{
    w->full = true;
}

static void put_le(MarshalWriter *w, uint64_t v, unsigned size)
{
    uint8_t *p = marshal_reserve(w, size);
    unsigned i;

    if (p) {
        for (i = 0; i < size; i++) {
            p[i] = v >> (8 * i);
        }
    }
}

void marshal_put_u8(MarshalWriter *w, uint8_t v)
{
    put_le(w, v, 1);
}

void marshal_put_u16(MarshalWriter *w, uint16_t v)
{
    put_le(w, v, 2);
}

void marshal_put_u32(MarshalWriter *w, uint32_t v)
{
    put_le(w, v, 4);
}

void marshal_put_u64(MarshalWriter *w, uint64_t v)
{
    put_le(w, v, 8);
}

void marshal_put_str(MarshalWriter *w, const char *s)
{
    marshal_put_strn(w, s, strlen(s));
}

void marshal_put_strn(MarshalWriter *w, const char *s, size_t len)
{
    uint8_t *p;

    /* All or nothing: a length without its bytes is useless. */
    p = len <= UINT16_MAX ? marshal_reserve(w, 2 + len) : NULL;
    if (!p) {
        w->full = true;
        return;
    }
    p[0] = len;
    p[1] = len >> 8;
    if (len) {
        memcpy(p + 2, s, len);
    }
}

void marshal_put_bytes(MarshalWriter *w, const void *data, size_t size)
{
    void *p = marshal_reserve(w, size);

    if (p && size) {
        memcpy(p, data, size);
    }
}

size_t marshal_size(const MarshalWriter *w)
{
    return w->pos - w->start;
}

bool marshal_fits(const MarshalWriter *w)
{
    return !w->full;
}
