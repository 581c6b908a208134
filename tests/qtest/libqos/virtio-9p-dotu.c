/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The messages of 9P2000.u for the client of virtio-9p-client.h.
 *
 * A stat is read by itself, out of Rstat and out of what Tread gives of a
 * directory, so that both are checked alike: its size must be that of its
 * fields.
 */
#include "qemu/osdep.h"
#include "qemu/bswap.h"
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
    g_autofree char *version = NULL;
    uint32_t got;

    g_assert_cmpint(p9c_version(c, msize, P9C_VERSION_U, &got, &version),
                    ==, 0);
    g_assert_cmpstr(version, ==, P9C_VERSION_U);
    g_assert_cmpuint(got, <=, msize);
    g_assert_cmpint(p9c_attach(c, P9C_ROOT, uid, NULL), ==, 0);
}

int p9c_open(P9Client *c, uint32_t fid, uint8_t mode, P9CQid *qid,
             uint32_t *iounit)
{
    P9Call *call = p9c_call(c, P9C_TOPEN);

    p9c_put_u32(call, fid);
    p9c_put_u8(call, mode);
    return p9c_finish_opened(call, qid, iounit);
}

int p9c_create(P9Client *c, uint32_t fid, const char *name, uint32_t perm,
               uint8_t mode, const char *extension, P9CQid *qid)
{
    P9Call *call = p9c_call(c, P9C_TCREATE);

    p9c_put_u32(call, fid);
    p9c_put_str(call, name);
    p9c_put_u32(call, perm);
    p9c_put_u8(call, mode);
    p9c_put_str(call, extension);
    return p9c_finish_opened(call, qid, NULL);
}

/* Bytes that are looked at, one field after the other */
typedef struct Bytes {
    const uint8_t *at;
    size_t left;
} Bytes;

static const uint8_t *take(Bytes *b, size_t size)
{
    const uint8_t *at = b->at;

    g_assert_cmpuint(size, <=, b->left);
    b->at += size;
    b->left -= size;
    return at;
}

static char *take_str(Bytes *b)
{
    uint16_t len = lduw_le_p(take(b, 2));

    return g_strndup((const char *)take(b, len), len);
}

static void take_stat(Bytes *b, P9CStat *st)
{
    size_t size = lduw_le_p(take(b, 2));
    Bytes own = { take(b, size), size };

    st->type = lduw_le_p(take(&own, 2));
    st->dev = ldl_le_p(take(&own, 4));
    st->qid.type = *take(&own, 1);
    st->qid.version = ldl_le_p(take(&own, 4));
    st->qid.path = ldq_le_p(take(&own, 8));
    st->mode = ldl_le_p(take(&own, 4));
    st->atime = ldl_le_p(take(&own, 4));
    st->mtime = ldl_le_p(take(&own, 4));
    st->length = ldq_le_p(take(&own, 8));
    st->name = take_str(&own);
    st->uid = take_str(&own);
    st->gid = take_str(&own);
    st->muid = take_str(&own);
    st->extension = take_str(&own);
    st->n_uid = ldl_le_p(take(&own, 4));
    st->n_gid = ldl_le_p(take(&own, 4));
    st->n_muid = ldl_le_p(take(&own, 4));
    g_assert_cmpuint(own.left, ==, 0);
}

int p9c_stat(P9Client *c, uint32_t fid, P9CStat *st)
{
    P9Call *call = p9c_call(c, P9C_TSTAT);
    P9CStat got;
    Bytes b;
    int err;

    p9c_put_u32(call, fid);
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

void p9c_put_stat(P9Call *call, const P9CStat *st)
{
    p9c_put_u16(call, STAT_FIXED - 2 + strlen(st->name) + strlen(st->uid) +
                strlen(st->gid) + strlen(st->muid) + strlen(st->extension));
    p9c_put_u16(call, st->type);
    p9c_put_u32(call, st->dev);
    p9c_put_u8(call, st->qid.type);
    p9c_put_u32(call, st->qid.version);
    p9c_put_u64(call, st->qid.path);
    p9c_put_u32(call, st->mode);
    p9c_put_u32(call, st->atime);
    p9c_put_u32(call, st->mtime);
    p9c_put_u64(call, st->length);
    p9c_put_str(call, st->name);
    p9c_put_str(call, st->uid);
    p9c_put_str(call, st->gid);
    p9c_put_str(call, st->muid);
    p9c_put_str(call, st->extension);
    p9c_put_u32(call, st->n_uid);
    p9c_put_u32(call, st->n_gid);
    p9c_put_u32(call, st->n_muid);
}

int p9c_wstat(P9Client *c, uint32_t fid, const P9CStat *st)
{
    P9Call *call = p9c_call(c, P9C_TWSTAT);
    int err;

    p9c_put_u32(call, fid);
    p9c_put_u16(call, STAT_FIXED + strlen(st->name) + strlen(st->uid) +
                strlen(st->gid) + strlen(st->muid) + strlen(st->extension));
    p9c_put_stat(call, st);
    p9c_submit(call);
    err = p9c_wait(call);
    p9c_call_end(call);
    return err;
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
    P9CStat *st;
    uint32_t n;
    Bytes b;
    int err;

    err = p9c_read(c, fid, offset, count, buf, &n);
    if (err) {
        return err;
    }
    if (stats) {
        *stats = g_ptr_array_new_with_free_func(stat_free);
        b.at = buf;
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
    unsigned i;

    for (i = 0; i < stats->len; i++) {
        P9CStat *st = g_ptr_array_index(stats, i);

        if (!strcmp(st->name, name)) {
            return st;
        }
    }
    return NULL;
}
