/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * See virtio-9p-fields.h. All integers of 9P are little endian.
 */
#include "qemu/osdep.h"
#include "virtio-9p-fields.h"

static void put_number(GByteArray *msg, uint64_t number, unsigned width)
{
    uint8_t byte;

    for (; width > 0; width--) {
        byte = number;
        g_byte_array_append(msg, &byte, 1);
        number >>= 8;
    }
}

void p9c_fields_put(GByteArray *msg, const P9CPut *fields)
{
    size_t len;

    for (; fields->kind != P9C_END; fields++) {
        switch (fields->kind) {
        case P9C_STR:
            len = strlen(fields->data);
            g_assert_cmpuint(len, <=, UINT16_MAX);
            put_number(msg, len, 2);
            g_byte_array_append(msg, fields->data, len);
            break;
        case P9C_DATA:
            g_byte_array_append(msg, fields->data, fields->number);
            break;
        default:
            put_number(msg, fields->number, fields->kind);
            break;
        }
    }
}

const uint8_t *p9c_bytes_take(P9CBytes *bytes, size_t size)
{
    const uint8_t *at = bytes->at;

    g_assert_cmpuint(size, <=, bytes->left);
    bytes->at += size;
    bytes->left -= size;
    return at;
}

uint64_t p9c_bytes_number(P9CBytes *bytes, unsigned width)
{
    const uint8_t *at = p9c_bytes_take(bytes, width);
    uint64_t number = 0;

    while (width > 0) {
        number = number << 8 | at[--width];
    }
    return number;
}

char *p9c_bytes_str(P9CBytes *bytes)
{
    size_t len = p9c_bytes_number(bytes, 2);

    return g_strndup((const char *)p9c_bytes_take(bytes, len), len);
}

P9CQid p9c_bytes_qid(P9CBytes *bytes)
{
    P9CQid qid;

    qid.type = p9c_bytes_number(bytes, 1);
    qid.version = p9c_bytes_number(bytes, 4);
    qid.path = p9c_bytes_number(bytes, 8);
    return qid;
}

static void get_number(P9CBytes *bytes, const P9CGet *field)
{
    uint64_t number = p9c_bytes_number(bytes, field->kind);

    if (!field->any) {
        return;
    }
    switch (field->kind) {
    case P9C_U8:
        *field->u8 = number;
        break;
    case P9C_U16:
        *field->u16 = number;
        break;
    case P9C_U32:
        *field->u32 = number;
        break;
    default:
        *field->u64 = number;
        break;
    }
}

void p9c_fields_get(P9CBytes *bytes, const P9CGet *fields)
{
    g_autofree char *str = NULL;
    P9CQid qid;
    size_t len;

    for (; fields->kind != P9C_END; fields++) {
        switch (fields->kind) {
        case P9C_STR:
            g_free(str);
            str = p9c_bytes_str(bytes);
            if (fields->str) {
                *fields->str = g_steal_pointer(&str);
            }
            break;
        case P9C_QID:
            qid = p9c_bytes_qid(bytes);
            if (fields->qid) {
                /* Padding stays as it is: tests compare whole structures. */
                fields->qid->type = qid.type;
                fields->qid->version = qid.version;
                fields->qid->path = qid.path;
            }
            break;
        case P9C_DATA:
            len = p9c_bytes_number(bytes, 4);
            g_byte_array_append(fields->data, p9c_bytes_take(bytes, len), len);
            break;
        default:
            get_number(bytes, fields);
            break;
        }
    }
}
