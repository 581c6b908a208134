/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The fields of 9P messages: lists of them, which are put into a request or
 * taken out of a reply in one call. A list of values or of their destinations
 * stands where a message is sent, and the compiler checks each type:
 *
 *     p9c_rpc(c, P9C_TLOPEN, PUT(U32(fid), U32(flags)),
 *             GET(TO_QID(qid), TO_U32(iounit)));
 *
 * A destination may be NULL: that field is read, checked and forgotten. A
 * field that reaches beyond its message fails the test.
 */
#ifndef TESTS_LIBQOS_VIRTIO_9P_FIELDS_H
#define TESTS_LIBQOS_VIRTIO_9P_FIELDS_H

typedef struct P9CQid {
    uint8_t type;
    uint32_t version;
    uint64_t path;
} P9CQid;

/* The kind of a number is its width in bytes. */
typedef enum P9CKind {
    P9C_END = 0,
    P9C_U8 = 1,
    P9C_U16 = 2,
    P9C_U32 = 4,
    P9C_U64 = 8,
    P9C_STR,                    /* len[2], then the text */
    P9C_QID,
    P9C_DATA,
} P9CKind;

/* A field of a request */
typedef struct P9CPut {
    P9CKind kind;
    uint64_t number;            /* the value; of P9C_DATA: how many bytes */
    const void *data;           /* of P9C_STR and P9C_DATA */
} P9CPut;

#define PUT(...)    ((const P9CPut[]) { __VA_ARGS__, { .kind = P9C_END } })
#define U8(v)       { .kind = P9C_U8, .number = (uint8_t)(v) }
#define U16(v)      { .kind = P9C_U16, .number = (uint16_t)(v) }
#define U32(v)      { .kind = P9C_U32, .number = (uint32_t)(v) }
#define U64(v)      { .kind = P9C_U64, .number = (v) }
#define STR(s)      { .kind = P9C_STR, .data = (const char *){ (s) } }
/* Bytes as they are, without a count */
#define DATA(p, n)  { .kind = P9C_DATA, .data = (p), .number = (n) }

/* Where a field of a reply goes */
typedef struct P9CGet {
    P9CKind kind;
    union {
        void *any;
        uint8_t *u8;
        uint16_t *u16;
        uint32_t *u32;
        uint64_t *u64;
        char **str;             /* for g_free() */
        P9CQid *qid;
        GByteArray *data;
    };
} P9CGet;

#define GET(...)    ((const P9CGet[]) { __VA_ARGS__, { .kind = P9C_END } })
#define TO_U8(p)    { .kind = P9C_U8, .u8 = (p) }
#define TO_U16(p)   { .kind = P9C_U16, .u16 = (p) }
#define TO_U32(p)   { .kind = P9C_U32, .u32 = (p) }
#define TO_U64(p)   { .kind = P9C_U64, .u64 = (p) }
#define TO_STR(p)   { .kind = P9C_STR, .str = (p) }
#define TO_QID(p)   { .kind = P9C_QID, .qid = (p) }
/* count[4], then as many bytes, which are appended to a GByteArray */
#define TO_DATA(p)  { .kind = P9C_DATA, .data = (p) }

/* Bytes from which fields are taken, first to last */
typedef struct P9CBytes {
    const uint8_t *at;
    size_t left;
} P9CBytes;

void p9c_fields_put(GByteArray *msg, const P9CPut *fields);
void p9c_fields_get(P9CBytes *bytes, const P9CGet *fields);

/* The next @size bytes, and the number in the next @width */
const uint8_t *p9c_bytes_take(P9CBytes *bytes, size_t size);
uint64_t p9c_bytes_number(P9CBytes *bytes, unsigned width);
char *p9c_bytes_str(P9CBytes *bytes);           /* for g_free() */
P9CQid p9c_bytes_qid(P9CBytes *bytes);

#endif
