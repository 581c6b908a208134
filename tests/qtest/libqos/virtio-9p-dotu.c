/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The messages of 9P2000.u for the client of virtio-9p-client.h.
 *
 * One function reads a stat, from Rstat as from the data of a directory, so
 * both get the same check: the stat's size must be that of its fields.
 */
#include "qemu/osdep.h"
#include "virtio-9p-dotu.h"

/* Bytes of a stat with empty strings, its size[2] included */
#define STAT_FIXED  63

const P9CStat p9c_stat_blank = {
    .type = UINT16_MAX,
    .dev = UINT32_MAX,
    .qid = { UINT8_MAX, UINT32_MAX, UINT64_MAX },
    .mode = UINT32_MAX,
    .atime = UINT32_MAX,
    .mtime = UINT32_MAX,
    .length = UINT64_MAX,
    .name = (char *)"",
    .uid = (char *)"",
    .gid = (char *)"",
    .muid = (char *)"",
    .extension = (char *)"",
    .n_uid = UINT32_MAX,
    .n_gid = UINT32_MAX,
    .n_muid = UINT32_MAX,
};

void p9c_stat_clear(P9CStat *st)
{
    g_clear_pointer(&st->name, g_free);
    g_clear_pointer(&st->uid, g_free);
    g_clear_pointer(&st->gid, g_free);
    g_clear_pointer(&st->muid, g_free);
    g_clear_pointer(&st->extension, g_free);
}

void p9c_session_u(P9Client *c, uint32_t msize, uint32_t uid)
{
    p9c_session_version(c, P9C_VERSION_U, msize, uid);
}

P9Call *p9c_open_call(P9Client *c, uint32_t fid, uint8_t mode)
{
    return p9c_request(c, P9C_TOPEN, PUT(U32(fid), U8(mode)));
}

int p9c_open(P9Client *c, uint32_t fid, uint8_t mode, P9CQid *qid,
             uint32_t *iounit)
{
    return p9c_finish(p9c_open_call(c, fid, mode),
                      GET(TO_QID(qid), TO_U32(iounit)));
}

P9Call *p9c_create_call(P9Client *c, uint32_t fid, const char *name,
                        uint32_t perm, uint8_t mode, const char *extension)
{
    return p9c_request(c, P9C_TCREATE,
                       PUT(U32(fid), STR(name), U32(perm), U8(mode),
                           STR(extension)));
}

int p9c_create(P9Client *c, uint32_t fid, const char *name, uint32_t perm,
               uint8_t mode, const char *extension, P9CQid *qid)
{
    return p9c_finish(p9c_create_call(c, fid, name, perm, mode, extension),
                      GET(TO_QID(qid), TO_U32(NULL)));
}

static void take_stat(P9CBytes *b, P9CStat *st)
{
    size_t size = p9c_bytes_number(b, 2);
    P9CBytes own = { p9c_bytes_take(b, size), size };

    p9c_fields_get(&own, GET(
        TO_U16(&st->type), TO_U32(&st->dev), TO_QID(&st->qid),
        TO_U32(&st->mode), TO_U32(&st->atime), TO_U32(&st->mtime),
        TO_U64(&st->length), TO_STR(&st->name), TO_STR(&st->uid),
        TO_STR(&st->gid), TO_STR(&st->muid), TO_STR(&st->extension),
        TO_U32(&st->n_uid), TO_U32(&st->n_gid), TO_U32(&st->n_muid)));
    g_assert_cmpuint(own.left, ==, 0);
}

P9Call *p9c_stat_call(P9Client *c, uint32_t fid)
{
    return p9c_request(c, P9C_TSTAT, PUT(U32(fid)));
}

int p9c_stat(P9Client *c, uint32_t fid, P9CStat *st)
{
    P9Call *call = p9c_stat_call(c, fid);
    P9CStat got;
    P9CBytes b;
    int err;

    p9c_submit(call);
    err = p9c_wait(call);
    if (!err) {
        b.left = p9c_get_u16(call);
        b.at = p9c_get_bytes(call, b.left);
        take_stat(&b, &got);
        g_assert_cmpuint(b.left, ==, 0);
        if (st) {
            *st = got;
        } else {
            p9c_stat_clear(&got);
        }
    }
    p9c_call_end(call);
    return err;
}

void p9c_stat_is(P9Client *c, uint32_t fid, uint8_t qid_type, uint32_t mode,
                 uint64_t length, const char *name, const char *extension)
{
    P9CStat st;

    g_assert_cmpint(p9c_stat(c, fid, &st), ==, 0);
    g_assert_cmphex(st.qid.type, ==, qid_type);
    g_assert_cmphex(st.mode, ==, mode);
    g_assert_cmpuint(st.length, ==, length);
    if (name) {
        g_assert_cmpstr(st.name, ==, name);
    }
    if (extension) {
        g_assert_cmpstr(st.extension, ==, extension);
    }
    p9c_stat_clear(&st);
}

/* Bytes of a stat on the wire, with its size[2] */
static size_t stat_size(const P9CStat *st)
{
    return STAT_FIXED + strlen(st->name) + strlen(st->uid) +
           strlen(st->gid) + strlen(st->muid) + strlen(st->extension);
}

int p9c_wstat(P9Client *c, uint32_t fid, const P9CStat *st)
{
    return p9c_rpc(c, P9C_TWSTAT, PUT(
        U32(fid), U16(stat_size(st)), U16(stat_size(st) - 2),
        U16(st->type), U32(st->dev), U8(st->qid.type),
        U32(st->qid.version), U64(st->qid.path),
        U32(st->mode), U32(st->atime), U32(st->mtime),
        U64(st->length), STR(st->name), STR(st->uid),
        STR(st->gid), STR(st->muid), STR(st->extension),
        U32(st->n_uid), U32(st->n_gid), U32(st->n_muid)), NULL);
}

static void stat_free(gpointer p)
{
    p9c_stat_clear(p);
    g_free(p);
}

int p9c_read_dir(P9Client *c, uint32_t fid, uint64_t offset, uint32_t count,
                 GPtrArray **stats, uint32_t *bytes)
{
    g_autofree uint8_t *buf = g_malloc(count);
    P9CBytes b = { .at = buf };
    P9CStat *st;
    uint32_t n;
    int err;

    err = p9c_read(c, fid, offset, count, buf, &n);
    if (err) {
        return err;
    }
    if (stats) {
        *stats = g_ptr_array_new_with_free_func(stat_free);
        b.left = n;
        while (b.left) {
            st = g_new(P9CStat, 1);
            take_stat(&b, st);
            g_ptr_array_add(*stats, st);
        }
    }
    if (bytes) {
        *bytes = n;
    }
    return 0;
}

GPtrArray *p9c_read_dir_all(P9Client *c, uint32_t fid, uint32_t count)
{
    GPtrArray *all = g_ptr_array_new_with_free_func(stat_free);
    uint64_t offset = 0;
    uint32_t n;

    do {
        g_autoptr(GPtrArray) some = NULL;

        g_assert_cmpint(p9c_read_dir(c, fid, offset, count, &some, &n), ==, 0);
        offset += n;
        while (some->len) {
            g_ptr_array_add(all, g_ptr_array_steal_index(some, 0));
        }
    } while (n);
    return all;
}

P9CStat *p9c_stat_find(GPtrArray *stats, const char *name)
{
    return p9c_find_named(stats, offsetof(P9CStat, name), name);
}
