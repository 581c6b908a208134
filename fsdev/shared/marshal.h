/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The marshaller: integers and strings in and out of flat buffers, in the
 * encoding that 9P uses (intro(5) of Plan 9): little endian integers, strings
 * as a u16 length and that many bytes. The proxy channel uses it as well.
 *
 * A reader works on a private, writable copy of a message, which no other
 * process can change after a check. Errors stick: once a read goes past the end
 * or meets a bad string, every later read gives 0 or "", and marshal_ok()
 * returns false. So a caller reads a whole message first and checks once.
 *
 * The reader makes strings NUL-terminated in place: a string moves down one
 * byte over its own length, which frees the last byte. So it allocates nothing,
 * and strings live as long as the buffer. The length is lost by that, so only
 * marshal_read_again() reads a message a second time.
 */
#ifndef FSDEV_SHARED_MARSHAL_H
#define FSDEV_SHARED_MARSHAL_H

#include "qemu/osdep.h"

typedef struct MarshalReader {
    uint8_t *start;
    uint8_t *pos;
    uint8_t *end;
    bool bad;
    bool again;                 /* strings are NUL-terminated already */
} MarshalReader;

typedef struct MarshalWriter {
    uint8_t *start;
    uint8_t *pos;
    uint8_t *end;
    bool full;
} MarshalWriter;

void marshal_reader_init(MarshalReader *r, void *buf, size_t size);

/*
 * Goes back to the start of a message that was read whole. The same reads then
 * give the same.
 */
void marshal_read_again(MarshalReader *r);

uint8_t marshal_get_u8(MarshalReader *r);
uint16_t marshal_get_u16(MarshalReader *r);
uint32_t marshal_get_u32(MarshalReader *r);
uint64_t marshal_get_u64(MarshalReader *r);

/*
 * The next string. A NUL byte inside makes the reader bad: no system call takes
 * such a string. If @len is not NULL, it gets the length in bytes.
 */
const char *marshal_get_str(MarshalReader *r, size_t *len);

/* The next @size bytes, in place; NULL if there are fewer. */
void *marshal_get_bytes(MarshalReader *r, size_t size);

/* Makes the reader bad: the caller read a value that is not allowed. */
void marshal_fail(MarshalReader *r);

/* Bytes not read yet. */
size_t marshal_left(const MarshalReader *r);

/* Whether no read has failed so far. */
bool marshal_ok(const MarshalReader *r);

/* Whether no read has failed and no bytes are left. */
bool marshal_done(const MarshalReader *r);

void marshal_writer_init(MarshalWriter *w, void *buf, size_t size);
void marshal_put_u8(MarshalWriter *w, uint8_t v);
void marshal_put_u16(MarshalWriter *w, uint16_t v);
void marshal_put_u32(MarshalWriter *w, uint32_t v);
void marshal_put_u64(MarshalWriter *w, uint64_t v);

/* @s with its length; more than 65535 bytes make the writer full. */
void marshal_put_str(MarshalWriter *w, const char *s);
void marshal_put_strn(MarshalWriter *w, const char *s, size_t len);
void marshal_put_bytes(MarshalWriter *w, const void *data, size_t size);

/*
 * Reserves @size bytes for the caller to fill in, and returns them; NULL if
 * they do not fit.
 */
void *marshal_reserve(MarshalWriter *w, size_t size);

/* Keeps only the first @size bytes of those written. */
void marshal_cut(MarshalWriter *w, size_t size);

/* Makes the writer full: the caller has a value that does not fit a field. */
void marshal_overflow(MarshalWriter *w);

/* Bytes written so far. */
size_t marshal_size(const MarshalWriter *w);

/* Whether everything fitted. */
bool marshal_fits(const MarshalWriter *w);

#endif /* FSDEV_SHARED_MARSHAL_H */
