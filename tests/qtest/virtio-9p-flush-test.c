/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Flushing on the synth driver: a write to its file FLUSH waits until Tflush
 * names it.
 */
#include "qemu/osdep.h"
#include "qemu/module.h"
#include "virtio-9p-synth.h"

static void test_flush_success(void *obj, void *data, QGuestAllocator *alloc)
{
    P9Client *c = synth_session_open(obj, "FLUSH", P9C_O_WRONLY);
    P9Call *write = synth_write_call(c, 1);
    P9Call *flush;

    p9c_submit(write);
    p9c_pause(c);
    g_assert_false(p9c_is_done(write));
    flush = p9c_flush_call(c, p9c_call_tag(write));
    p9c_submit(flush);
    g_assert_cmpint(p9c_wait(flush), ==, 0);
    p9c_wait_flushed(write);
    g_assert_cmpuint(p9c_done_order(write), <, p9c_done_order(flush));
    p9c_call_end(flush);
    p9c_call_end(write);

    /* Both the tag and the file are free again. */
    write = synth_write_call(c, 0);
    p9c_submit(write);
    g_assert_cmpint(p9c_wait(write), ==, 0);
    g_assert_cmpuint(p9c_get_u32(write), ==, 1);
    p9c_call_end(write);
    synth_alive(c);
    p9c_free(c);
}

static void test_flush_ignored(void *obj, void *data, QGuestAllocator *alloc)
{
    P9Client *c = synth_session_open(obj, "FLUSH", P9C_O_WRONLY);
    P9Call *write = synth_write_call(c, 0);
    P9Call *flush = p9c_flush_call(c, p9c_call_tag(write));

    p9c_submit(write);
    p9c_submit(flush);
    g_assert_cmpint(p9c_wait(flush), ==, 0);
    g_assert_cmpint(p9c_wait(write), ==, 0);
    g_assert_cmpuint(p9c_get_u32(write), ==, 1);
    g_assert_cmpuint(p9c_done_order(write), <, p9c_done_order(flush));
    p9c_call_end(write);
    p9c_call_end(flush);

    /* Unused tags, and the flush's own tag */
    g_assert_cmpint(p9c_flush(c, 12345), ==, 0);
    g_assert_cmpint(p9c_flush(c, P9C_NOTAG), ==, 0);
    flush = p9c_flush_call(c, 0);
    p9c_truncate(flush, P9C_HEADER);
    p9c_put_u16(flush, p9c_call_tag(flush));
    ok(p9c_finish(flush, NULL));
    synth_alive(c);
    p9c_free(c);
}

/* Several waiting requests, several flushes of one, and a flush of a flush */
static void test_flush_many(void *obj, void *data, QGuestAllocator *alloc)
{
    P9Client *c = synth_session_open(obj, "FLUSH", P9C_O_WRONLY);
    P9Call *write[8], *flush[8];
    P9Call *again, *third;
    unsigned i;

    for (i = 0; i < 8; i++) {
        write[i] = synth_write_call(c, 1);
        p9c_submit(write[i]);
    }
    p9c_pause(c);
    /* From the last to the first; the others still wait. */
    for (i = 8; i-- > 0; ) {
        g_assert_false(p9c_is_done(write[i]));
        flush[i] = p9c_flush_call(c, p9c_call_tag(write[i]));
        p9c_submit(flush[i]);
        g_assert_cmpint(p9c_wait(flush[i]), ==, 0);
        p9c_wait_flushed(write[i]);
        p9c_call_end(flush[i]);
        p9c_call_end(write[i]);
    }

    write[0] = synth_write_call(c, 1);
    flush[0] = p9c_flush_call(c, p9c_call_tag(write[0]));
    again = p9c_flush_call(c, p9c_call_tag(write[0]));
    third = p9c_flush_call(c, p9c_call_tag(again));
    p9c_submit(write[0]);
    p9c_submit(flush[0]);
    p9c_submit(again);
    p9c_submit(third);
    g_assert_cmpint(p9c_wait(third), ==, 0);
    g_assert_cmpint(p9c_wait(again), ==, 0);
    g_assert_cmpint(p9c_wait(flush[0]), ==, 0);
    p9c_wait_flushed(write[0]);
    g_assert_cmpuint(p9c_done_order(write[0]), <, p9c_done_order(flush[0]));
    g_assert_cmpuint(p9c_done_order(write[0]), <, p9c_done_order(again));
    g_assert_cmpuint(p9c_done_order(again), <, p9c_done_order(third));
    p9c_call_end(write[0]);
    p9c_call_end(flush[0]);
    p9c_call_end(again);
    p9c_call_end(third);
    synth_alive(c);
    p9c_free(c);
}

/* A waiting request blocks no others; the guest may clunk its fid. */
static void test_flush_clunk(void *obj, void *data, QGuestAllocator *alloc)
{
    P9Client *c = synth_session_open(obj, "FLUSH", P9C_O_WRONLY);
    P9Call *write = synth_write_call(c, 1);
    unsigned i;

    p9c_submit(write);
    for (i = 0; i < 20; i++) {
        synth_alive(c);
    }
    g_assert_false(p9c_is_done(write));
    g_assert_cmpint(p9c_clunk(c, FID), ==, 0);
    p9c_pause(c);
    g_assert_false(p9c_is_done(write));
    g_assert_cmpint(p9c_flush(c, p9c_call_tag(write)), ==, 0);
    p9c_wait_flushed(write);
    p9c_call_end(write);
    synth_alive(c);
    p9c_free(c);
}

/* A tag is in use until its reply. */
static void test_tags(void *obj, void *data, QGuestAllocator *alloc)
{
    P9Client *c = synth_session_open(obj, "FLUSH", P9C_O_WRONLY);
    P9Call *write = synth_write_call(c, 1);
    uint16_t tag = p9c_call_tag(write);
    P9Call *call;
    unsigned i;

    p9c_submit(write);
    call = p9c_getattr_call(c, P9C_ROOT);
    p9c_call_set_tag(call, tag);
    p9c_refused(call, EINVAL);
    g_assert_false(p9c_is_done(write));
    g_assert_cmpint(p9c_flush(c, tag), ==, 0);
    p9c_wait_flushed(write);
    p9c_call_end(write);

    for (i = 0; i < 3; i++) {
        call = p9c_getattr_call(c, 999);
        p9c_call_set_tag(call, tag);
        p9c_refused(call, ENOENT);
    }
    synth_alive(c);
    p9c_free(c);
}

static void register_tests(void)
{
    static const QVirtio9PTest tests[] = {
        { "flush-success", test_flush_success },
        { "flush-ignored", test_flush_ignored },
        { "flush-many", test_flush_many },
        { "flush-clunk", test_flush_clunk },
        { "tags", test_tags },
        { NULL }
    };

    qvirtio_9p_add_tests("synth", "virtio-9p", tests, NULL);
}
libqos_init(register_tests);
