/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Tests of the marshaller and of the parts of the proxy channel's messages.
 *
 * Whatever is written must be read back as it was, a message cut short at any
 * byte must be refused, and nothing may be touched beyond its end: buffers
 * are allocated at their exact size, so that a sanitizer sees it.
 */
#include "qemu/osdep.h"
#include "fsdev/shared/marshal.h"
#include "fsdev/shared/proto.h"

/* A copy of exactly @size bytes: a read past them is found by a sanitizer. */
static uint8_t *exact_copy(const void *data, size_t size)
{
    uint8_t *copy = g_malloc(MAX(size, 1));

    if (size) {
        memcpy(copy, data, size);
    }
    return copy;
}

static void test_integers(void)
{
    static const uint8_t expected[] = {
        0x12, 0x34, 0x12, 0x78, 0x56, 0x34, 0x12,
        0xef, 0xcd, 0xab, 0x89, 0x67, 0x45, 0x23, 0xf1,
    };
    uint8_t buf[sizeof(expected)];
    MarshalWriter w;
    MarshalReader r;

    marshal_writer_init(&w, buf, sizeof(buf));
    marshal_put_u8(&w, 0x12);
    marshal_put_u16(&w, 0x1234);
    marshal_put_u32(&w, 0x12345678);
    marshal_put_u64(&w, 0xf123456789abcdefull);
    g_assert_true(marshal_fits(&w));
    g_assert_cmpmem(buf, marshal_size(&w), expected, sizeof(expected));

    marshal_reader_init(&r, buf, sizeof(buf));
    g_assert_cmpuint(marshal_left(&r), ==, sizeof(expected));
    g_assert_cmphex(marshal_get_u8(&r), ==, 0x12);
    g_assert_cmphex(marshal_get_u16(&r), ==, 0x1234);
    g_assert_cmphex(marshal_get_u32(&r), ==, 0x12345678);
    g_assert_false(marshal_done(&r));
    g_assert_cmphex(marshal_get_u64(&r), ==, 0xf123456789abcdefull);
    g_assert_true(marshal_ok(&r));
    g_assert_true(marshal_done(&r));
    g_assert_cmpuint(marshal_left(&r), ==, 0);
}

static void test_bad_sticks(void)
{
    uint8_t buf[] = { 1, 2, 3, 4, 5 };
    MarshalReader r;
    size_t len = 99;

    marshal_reader_init(&r, buf, sizeof(buf));
    g_assert_cmphex(marshal_get_u64(&r), ==, 0);
    g_assert_false(marshal_ok(&r));
    g_assert_false(marshal_done(&r));
    g_assert_cmpuint(marshal_left(&r), ==, 0);

    /* There would be enough bytes for each of these. */
    g_assert_cmphex(marshal_get_u8(&r), ==, 0);
    g_assert_cmphex(marshal_get_u16(&r), ==, 0);
    g_assert_cmphex(marshal_get_u32(&r), ==, 0);
    g_assert_null(marshal_get_bytes(&r, 1));
    g_assert_null(marshal_get_bytes(&r, 0));
    g_assert_cmpstr(marshal_get_str(&r, &len), ==, "");
    g_assert_cmpuint(len, ==, 0);
}

static void test_strings(void)
{
    char any[256];
    uint8_t buf[1024];
    const char *s[4];
    size_t len[4];
    MarshalWriter w;
    MarshalReader r;
    unsigned i;

    for (i = 0; i < 255; i++) {
        any[i] = i + 1;
    }
    any[255] = '\0';

    marshal_writer_init(&w, buf, sizeof(buf));
    marshal_put_str(&w, "one");
    marshal_put_str(&w, "");
    marshal_put_str(&w, any);
    marshal_put_strn(&w, "four and more", 4);
    g_assert_true(marshal_fits(&w));
    g_assert_cmpuint(marshal_size(&w), ==, 4 * 2 + 3 + 0 + 255 + 4);
    g_assert_cmpmem(buf, 5, "\3\0one", 5);

    /* All are there together, so making one must not harm another. */
    marshal_reader_init(&r, buf, marshal_size(&w));
    for (i = 0; i < 4; i++) {
        s[i] = marshal_get_str(&r, &len[i]);
    }
    g_assert_true(marshal_done(&r));
    g_assert_cmpstr(s[0], ==, "one");
    g_assert_cmpstr(s[1], ==, "");
    g_assert_cmpstr(s[2], ==, any);
    g_assert_cmpstr(s[3], ==, "four");
    g_assert_cmpuint(len[0], ==, 3);
    g_assert_cmpuint(len[1], ==, 0);
    g_assert_cmpuint(len[2], ==, 255);
    g_assert_cmpuint(len[3], ==, 4);
}

/* A second and a third time, among other things; also in a part of it */
static void test_strings_again(void)
{
    g_autofree char *longest = g_strnfill(UINT16_MAX, 'x');
    g_autofree uint8_t *whole = g_malloc(UINT16_MAX + 32);
    g_autofree uint8_t *buf = NULL;
    MarshalWriter w;
    MarshalReader r;
    size_t size, len;
    unsigned i;

    marshal_writer_init(&w, whole, UINT16_MAX + 32);
    marshal_put_u64(&w, 0);
    marshal_put_str(&w, "one");
    marshal_put_str(&w, "");
    marshal_put_str(&w, longest);
    marshal_put_u32(&w, 7);
    size = marshal_size(&w);
    buf = exact_copy(whole, size);
    marshal_reader_init(&r, buf, size);
    for (i = 0; i < 3; i++) {
        g_assert_cmpuint(marshal_get_u64(&r), ==, 0);
        g_assert_cmpstr(marshal_get_str(&r, &len), ==, "one");
        g_assert_cmpuint(len, ==, 3);
        g_assert_cmpstr(marshal_get_str(&r, &len), ==, "");
        g_assert_cmpuint(len, ==, 0);
        g_assert_cmpstr(marshal_get_str(&r, &len), ==, longest);
        g_assert_cmpuint(len, ==, UINT16_MAX);
        g_assert_cmpuint(marshal_get_u32(&r), ==, 7);
        g_assert_true(marshal_done(&r));
        marshal_read_again(&r);
    }

    /* A read that was not there before goes past no end. */
    buf[size - 1] = 1;
    g_assert_cmpuint(marshal_get_u64(&r), ==, 0);
    for (i = 0; i < 3; i++) {
        marshal_get_str(&r, NULL);
    }
    g_assert_cmpuint(marshal_get_u8(&r), ==, 7);
    g_assert_cmpuint(marshal_get_u16(&r), ==, 0);
    g_assert_cmpstr(marshal_get_str(&r, &len), ==, "");
    g_assert_cmpuint(len, ==, 0);
    g_assert_false(marshal_ok(&r));
    marshal_read_again(&r);
    g_assert_false(marshal_ok(&r));
}

static void test_string_nul(void)
{
    static const uint8_t text[] = { 3, 0, 'a', 'b', 'c' };
    unsigned i;

    for (i = 2; i < sizeof(text); i++) {
        g_autofree uint8_t *buf = exact_copy(text, sizeof(text));
        MarshalReader r;
        size_t len;

        buf[i] = '\0';
        marshal_reader_init(&r, buf, sizeof(text));
        g_assert_cmpstr(marshal_get_str(&r, &len), ==, "");
        g_assert_cmpuint(len, ==, 0);
        g_assert_false(marshal_ok(&r));
    }
}

static void test_string_longest(void)
{
    size_t size = 2 + UINT16_MAX;
    g_autofree char *text = g_strnfill(UINT16_MAX + 1, 'x');
    g_autofree uint8_t *buf = g_malloc(size + 1);
    MarshalWriter w;
    MarshalReader r;
    size_t len;

    marshal_writer_init(&w, buf, size + 1);
    marshal_put_str(&w, text);
    g_assert_false(marshal_fits(&w));
    g_assert_cmpuint(marshal_size(&w), ==, 0);

    marshal_writer_init(&w, buf, size);
    marshal_put_strn(&w, text, UINT16_MAX);
    g_assert_true(marshal_fits(&w));
    g_assert_cmpuint(marshal_size(&w), ==, size);

    marshal_reader_init(&r, buf, size);
    text[UINT16_MAX] = '\0';
    g_assert_cmpstr(marshal_get_str(&r, &len), ==, text);
    g_assert_cmpuint(len, ==, UINT16_MAX);
    g_assert_true(marshal_done(&r));

    /* A length that only lies */
    buf[0] = 0xff;
    buf[1] = 0xff;
    marshal_reader_init(&r, buf, size - 1);
    g_assert_cmpstr(marshal_get_str(&r, NULL), ==, "");
    g_assert_false(marshal_ok(&r));
}

static void test_bytes(void)
{
    uint8_t buf[16];
    MarshalWriter w;
    MarshalReader r;
    uint8_t *hole;

    marshal_writer_init(&w, buf, 12);
    hole = marshal_reserve(&w, 4);
    g_assert_true(hole == buf);
    marshal_put_bytes(&w, "abcdefgh", 8);
    marshal_put_bytes(&w, NULL, 0);
    g_assert_nonnull(marshal_reserve(&w, 0));
    g_assert_true(marshal_fits(&w));
    memcpy(hole, "HOLE", 4);

    marshal_reader_init(&r, buf, marshal_size(&w));
    g_assert_cmpmem(marshal_get_bytes(&r, 12), 12, "HOLEabcdefgh", 12);
    g_assert_nonnull(marshal_get_bytes(&r, 0));
    g_assert_true(marshal_done(&r));
    g_assert_null(marshal_get_bytes(&r, SIZE_MAX));
    g_assert_false(marshal_ok(&r));
}

static void test_nothing(void)
{
    MarshalWriter w;
    MarshalReader r;

    marshal_reader_init(&r, NULL, 0);
    g_assert_true(marshal_done(&r));
    g_assert_cmpuint(marshal_get_u8(&r), ==, 0);
    g_assert_false(marshal_ok(&r));

    marshal_writer_init(&w, NULL, 0);
    g_assert_cmpuint(marshal_size(&w), ==, 0);
    g_assert_true(marshal_fits(&w));
    marshal_put_u8(&w, 1);
    g_assert_false(marshal_fits(&w));
}

static void put_some(MarshalWriter *w)
{
    marshal_put_u8(w, 1);
    marshal_put_u16(w, 2);
    marshal_put_u32(w, 3);
    marshal_put_str(w, "name");
    marshal_put_u64(w, 4);
    marshal_put_bytes(w, "bytes", 5);
}

/* Into a buffer of every size: nothing beyond it, and nothing after a gap. */
static void test_full(void)
{
    uint8_t whole[64];
    MarshalWriter w;
    size_t size, room;

    marshal_writer_init(&w, whole, sizeof(whole));
    put_some(&w);
    size = marshal_size(&w);

    for (room = 0; room < size; room++) {
        g_autofree uint8_t *buf = g_malloc(MAX(room, 1));

        marshal_writer_init(&w, buf, room);
        put_some(&w);
        g_assert_false(marshal_fits(&w));
        g_assert_cmpuint(marshal_size(&w), <=, room);
        g_assert_cmpint(memcmp(buf, whole, marshal_size(&w)), ==, 0);
        g_assert_null(marshal_reserve(&w, 0));
    }
}

static void test_fail(void)
{
    uint8_t buf[4] = { 0 };
    MarshalReader r;

    marshal_reader_init(&r, buf, sizeof(buf));
    marshal_get_u8(&r);
    g_assert_true(marshal_ok(&r));
    marshal_fail(&r);
    g_assert_false(marshal_ok(&r));
    g_assert_cmpuint(marshal_left(&r), ==, 0);
    g_assert_null(marshal_get_bytes(&r, 1));
}

static void test_cut(void)
{
    uint8_t buf[4];
    MarshalWriter w;

    marshal_writer_init(&w, buf, sizeof(buf));
    marshal_put_u32(&w, 0x04030201);
    marshal_cut(&w, 4);
    g_assert_cmpuint(marshal_size(&w), ==, 4);
    marshal_cut(&w, 1);
    g_assert_cmpuint(marshal_size(&w), ==, 1);
    marshal_put_u16(&w, 0x0605);
    g_assert_true(marshal_fits(&w));
    g_assert_cmpmem(buf, marshal_size(&w), "\x01\x05\x06", 3);

    /* A writer that was full stays so. */
    marshal_put_u32(&w, 0);
    g_assert_false(marshal_fits(&w));
    marshal_cut(&w, 0);
    g_assert_cmpuint(marshal_size(&w), ==, 0);
    g_assert_false(marshal_fits(&w));

    marshal_writer_init(&w, NULL, 0);
    marshal_cut(&w, 0);
    g_assert_cmpuint(marshal_size(&w), ==, 0);
}

static void test_truncated(void)
{
    uint8_t whole[64];
    MarshalWriter w;
    size_t size;

    marshal_writer_init(&w, whole, sizeof(whole));
    put_some(&w);

    for (size = 0; size <= marshal_size(&w); size++) {
        g_autofree uint8_t *buf = exact_copy(whole, size);
        MarshalReader r;

        marshal_reader_init(&r, buf, size);
        marshal_get_u8(&r);
        marshal_get_u16(&r);
        marshal_get_u32(&r);
        marshal_get_str(&r, NULL);
        marshal_get_u64(&r);
        marshal_get_bytes(&r, 5);
        g_assert_true(marshal_done(&r) == (size == marshal_size(&w)));
    }
}

static void test_header(void)
{
    static const uint8_t expected[PROXY_HEADER_SIZE] = {
        0x78, 0x56, 0x34, 0x12, 0x0f, 0x80, 0x03, 0x00,
        0xef, 0xbe, 0xad, 0xde,
    };
    ProxyHeader h = {
        .size = 0x12345678,
        .type = PROXY_SETXATTR | PROXY_REPLY,
        .nfds = 3,
        .tag = 0xdeadbeef,
    };
    ProxyHeader got;
    uint8_t buf[PROXY_HEADER_SIZE];

    proxy_header_put(&h, buf);
    g_assert_cmpmem(buf, sizeof(buf), expected, sizeof(expected));
    proxy_header_get(&got, expected);
    g_assert_cmphex(got.size, ==, h.size);
    g_assert_cmphex(got.type, ==, h.type);
    g_assert_cmpuint(got.nfds, ==, h.nfds);
    g_assert_cmphex(got.tag, ==, h.tag);
}

static void test_type_names(void)
{
    unsigned i, j;

    for (i = PROXY_HELLO; i < PROXY_TYPE_END; i++) {
        g_assert_cmpstr(proxy_type_name(i), !=, "unknown");
        for (j = PROXY_HELLO; j < i; j++) {
            g_assert_cmpstr(proxy_type_name(i), !=, proxy_type_name(j));
        }
    }
    g_assert_cmpstr(proxy_type_name(PROXY_WALK), ==, "WALK");
    g_assert_cmpstr(proxy_type_name(0), ==, "unknown");
    g_assert_cmpstr(proxy_type_name(PROXY_TYPE_END), ==, "unknown");
    g_assert_cmpstr(proxy_type_name(UINT_MAX), ==, "unknown");
}

/* No two members alike, so that none can be taken for another */
static const FsAttr some_attr = {
    .valid = FS_ATTR_BTIME,
    .mode = S_IFREG | 04751,
    .uid = 0xfffffff1,
    .gid = 0xfffffff2,
    .dev = 0x1000000000000003ull,
    .ino = 0x1000000000000004ull,
    .nlink = 0x1000000000000005ull,
    .rdev = 0x1000000000000006ull,
    .size = 0x1000000000000007ull,
    .blksize = 0x1000000000000008ull,
    .blocks = 0x1000000000000009ull,
    .atime = { -10, 999999999 },
    .mtime = { 11, 12 },
    .ctime = { 0x100000000, 13 },
    .btime = { 14, 15 },
    .gen = 0x1000000000000010ull,
    .data_version = 0x1000000000000011ull,
};

static const FsSetAttr some_set = {
    .valid = FS_SET_ALL,
    .mode = 07654,
    .uid = 0xfffffff1,
    .gid = 0xfffffff2,
    .size = 0xf000000000000003ull,
    .atime = { -4, 5 },
    /* Not a number of nanoseconds: for the operation to refuse */
    .mtime = { 6, 0x7fffffffffffffffl },
};

static const FsStatfs some_statfs = {
    .type = 0xf000000000000001ull,
    .bsize = 2,
    .blocks = 3,
    .bfree = 4,
    .bavail = 5,
    .files = 6,
    .ffree = 7,
    .fsid = 0xf000000000000008ull,
    .namelen = 9,
};

static void assert_time(const struct timespec *a, const struct timespec *b)
{
    g_assert_cmpint(a->tv_sec, ==, b->tv_sec);
    g_assert_cmpint(a->tv_nsec, ==, b->tv_nsec);
}

static void test_attr(void)
{
    uint8_t buf[256];
    MarshalWriter w;
    MarshalReader r;
    FsAttr a;
    const FsAttr *b = &some_attr;

    marshal_writer_init(&w, buf, sizeof(buf));
    proxy_put_attr(&w, &some_attr);
    g_assert_true(marshal_fits(&w));
    marshal_reader_init(&r, buf, marshal_size(&w));
    memset(&a, 0xaa, sizeof(a));
    proxy_get_attr(&r, &a);
    g_assert_true(marshal_done(&r));

    g_assert_cmphex(a.valid, ==, b->valid);
    g_assert_cmphex(a.mode, ==, b->mode);
    g_assert_cmphex(a.uid, ==, b->uid);
    g_assert_cmphex(a.gid, ==, b->gid);
    g_assert_cmphex(a.dev, ==, b->dev);
    g_assert_cmphex(a.ino, ==, b->ino);
    g_assert_cmphex(a.nlink, ==, b->nlink);
    g_assert_cmphex(a.rdev, ==, b->rdev);
    g_assert_cmphex(a.size, ==, b->size);
    g_assert_cmphex(a.blksize, ==, b->blksize);
    g_assert_cmphex(a.blocks, ==, b->blocks);
    assert_time(&a.atime, &b->atime);
    assert_time(&a.mtime, &b->mtime);
    assert_time(&a.ctime, &b->ctime);
    assert_time(&a.btime, &b->btime);
    g_assert_cmphex(a.gen, ==, b->gen);
    g_assert_cmphex(a.data_version, ==, b->data_version);
}

static void test_setattr(void)
{
    uint8_t buf[256];
    MarshalWriter w;
    MarshalReader r;
    FsSetAttr a;
    const FsSetAttr *b = &some_set;

    marshal_writer_init(&w, buf, sizeof(buf));
    proxy_put_setattr(&w, &some_set);
    g_assert_true(marshal_fits(&w));
    marshal_reader_init(&r, buf, marshal_size(&w));
    memset(&a, 0xaa, sizeof(a));
    proxy_get_setattr(&r, &a);
    g_assert_true(marshal_done(&r));

    g_assert_cmphex(a.valid, ==, b->valid);
    g_assert_cmphex(a.mode, ==, b->mode);
    g_assert_cmphex(a.uid, ==, b->uid);
    g_assert_cmphex(a.gid, ==, b->gid);
    g_assert_cmphex(a.size, ==, b->size);
    assert_time(&a.atime, &b->atime);
    assert_time(&a.mtime, &b->mtime);
}

static void test_statfs(void)
{
    uint8_t buf[256];
    MarshalWriter w;
    MarshalReader r;
    FsStatfs a;
    const FsStatfs *b = &some_statfs;

    marshal_writer_init(&w, buf, sizeof(buf));
    proxy_put_statfs(&w, &some_statfs);
    g_assert_true(marshal_fits(&w));
    marshal_reader_init(&r, buf, marshal_size(&w));
    memset(&a, 0xaa, sizeof(a));
    proxy_get_statfs(&r, &a);
    g_assert_true(marshal_done(&r));

    g_assert_cmphex(a.type, ==, b->type);
    g_assert_cmphex(a.bsize, ==, b->bsize);
    g_assert_cmphex(a.blocks, ==, b->blocks);
    g_assert_cmphex(a.bfree, ==, b->bfree);
    g_assert_cmphex(a.bavail, ==, b->bavail);
    g_assert_cmphex(a.files, ==, b->files);
    g_assert_cmphex(a.ffree, ==, b->ffree);
    g_assert_cmphex(a.fsid, ==, b->fsid);
    g_assert_cmphex(a.namelen, ==, b->namelen);
}

/* Everything that a message may hold, cut short at every byte */
static void test_parts_truncated(void)
{
    static const ProxyIdRange map[] = { { 0, 1000, 1 }, { 1, 100000, 999 } };
    uint8_t whole[1024];
    MarshalWriter w;
    size_t size;

    marshal_writer_init(&w, whole, sizeof(whole));
    proxy_put_attr(&w, &some_attr);
    proxy_put_setattr(&w, &some_set);
    proxy_put_statfs(&w, &some_statfs);
    proxy_put_idmap(&w, map, G_N_ELEMENTS(map));
    g_assert_true(marshal_fits(&w));

    for (size = 0; size <= marshal_size(&w); size++) {
        g_autofree uint8_t *buf = exact_copy(whole, size);
        g_autofree ProxyIdRange *got = NULL;
        FsAttr attr;
        FsSetAttr set;
        FsStatfs st;
        MarshalReader r;
        unsigned n = 99;

        marshal_reader_init(&r, buf, size);
        proxy_get_attr(&r, &attr);
        proxy_get_setattr(&r, &set);
        proxy_get_statfs(&r, &st);
        got = proxy_get_idmap(&r, &n);
        if (size == marshal_size(&w)) {
            g_assert_true(marshal_done(&r));
            g_assert_cmpmem(got, n * sizeof(*got), map, sizeof(map));
        } else {
            g_assert_false(marshal_ok(&r));
            g_assert_null(got);
            g_assert_cmpuint(n, ==, 0);
        }
    }
}

/* Puts @n ranges, each @range, and returns how many came out; -1 if refused */
static int idmap_trip(ProxyIdRange range, unsigned n)
{
    size_t size = 2 + 12 * n;
    g_autofree uint8_t *buf = g_malloc(size);
    g_autofree ProxyIdRange *map = g_new(ProxyIdRange, n);
    g_autofree ProxyIdRange *got = NULL;
    MarshalWriter w;
    MarshalReader r;
    unsigned i, count;

    for (i = 0; i < n; i++) {
        map[i] = range;
    }
    marshal_writer_init(&w, buf, size);
    if (n <= PROXY_IDMAP_MAX) {
        proxy_put_idmap(&w, map, n);
    } else {
        /* The writer would refuse it: say it as a liar would. */
        marshal_put_u16(&w, n);
        marshal_put_bytes(&w, map, n * sizeof(*map));
    }
    g_assert_true(marshal_fits(&w));

    marshal_reader_init(&r, buf, size);
    got = proxy_get_idmap(&r, &count);
    if (!marshal_ok(&r)) {
        g_assert_null(got);
        return -1;
    }
    g_assert_true(marshal_done(&r));
    g_assert_cmpmem(got, count * sizeof(*got), map, n * sizeof(*map));
    return count;
}

static void test_idmap(void)
{
    ProxyIdRange good = { 5, 100000, 65536 };
    uint8_t buf[8192];
    ProxyIdRange many[PROXY_IDMAP_MAX + 1] = { 0 };
    MarshalWriter w;

    g_assert_cmpint(idmap_trip(good, 0), ==, 0);
    g_assert_cmpint(idmap_trip(good, 1), ==, 1);
    g_assert_cmpint(idmap_trip(good, PROXY_IDMAP_MAX), ==, PROXY_IDMAP_MAX);
    g_assert_cmpint(idmap_trip(good, PROXY_IDMAP_MAX + 1), ==, -1);
    g_assert_cmpint(idmap_trip(good, UINT16_MAX), ==, -1);

    /* All ids there are, up to the last one */
    g_assert_cmpint(idmap_trip((ProxyIdRange){ 0, 0, UINT32_MAX }, 1), ==, 1);
    g_assert_cmpint(idmap_trip((ProxyIdRange){ 1, 0, UINT32_MAX }, 1), ==, 1);
    g_assert_cmpint(idmap_trip((ProxyIdRange){ UINT32_MAX, 0, 1 }, 1), ==, 1);
    /* Beyond it */
    g_assert_cmpint(idmap_trip((ProxyIdRange){ 2, 0, UINT32_MAX }, 1), ==, -1);
    g_assert_cmpint(idmap_trip((ProxyIdRange){ 0, 2, UINT32_MAX }, 1), ==, -1);
    g_assert_cmpint(idmap_trip((ProxyIdRange){ UINT32_MAX, 0, 2 }, 1), ==, -1);
    g_assert_cmpint(idmap_trip((ProxyIdRange){ 0, UINT32_MAX, 2 }, 1), ==, -1);
    /* Nothing at all */
    g_assert_cmpint(idmap_trip((ProxyIdRange){ 0, 0, 0 }, 1), ==, -1);

    marshal_writer_init(&w, buf, sizeof(buf));
    proxy_put_idmap(&w, many, PROXY_IDMAP_MAX + 1);
    g_assert_false(marshal_fits(&w));
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);

    g_test_add_func("/9p/marshal/integers", test_integers);
    g_test_add_func("/9p/marshal/bad-sticks", test_bad_sticks);
    g_test_add_func("/9p/marshal/strings", test_strings);
    g_test_add_func("/9p/marshal/strings-again", test_strings_again);
    g_test_add_func("/9p/marshal/string-nul", test_string_nul);
    g_test_add_func("/9p/marshal/string-longest", test_string_longest);
    g_test_add_func("/9p/marshal/bytes", test_bytes);
    g_test_add_func("/9p/marshal/nothing", test_nothing);
    g_test_add_func("/9p/marshal/full", test_full);
    g_test_add_func("/9p/marshal/fail", test_fail);
    g_test_add_func("/9p/marshal/cut", test_cut);
    g_test_add_func("/9p/marshal/truncated", test_truncated);
    g_test_add_func("/9p/proxy-proto/header", test_header);
    g_test_add_func("/9p/proxy-proto/type-names", test_type_names);
    g_test_add_func("/9p/proxy-proto/attr", test_attr);
    g_test_add_func("/9p/proxy-proto/setattr", test_setattr);
    g_test_add_func("/9p/proxy-proto/statfs", test_statfs);
    g_test_add_func("/9p/proxy-proto/truncated", test_parts_truncated);
    g_test_add_func("/9p/proxy-proto/idmap", test_idmap);

    return g_test_run();
}
