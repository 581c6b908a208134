/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * 9P2000.L messages that are malformed, come before there is a session, or have
 * unknown fids: each gets its error, and the session goes on. The export is
 * synth's; virtio-9p-dotu-test.c has those of 9P2000.u.
 */
#include "qemu/osdep.h"
#include "qemu/module.h"
#include "virtio-9p-synth.h"

/* Each type, cut off after some bytes, and with wrong sizes */
static void test_short(void *obj, void *data, QGuestAllocator *alloc)
{
    P9Client *c = synth_session(obj);
    P9Call *call;
    unsigned type, len;

    for (type = 0; type < 256; type++) {
        if (type == P9C_TVERSION) {
            continue;           /* would end the session */
        }
        for (len = 0; len < 8; len++) {
            static const uint8_t ff[8] = { 255, 255, 255, 255,
                                           255, 255, 255, 255 };
            int err;

            call = p9c_request(c, type, PUT(DATA(ff, len)));
            p9c_submit(call);
            err = p9c_wait(call);
            if (type == P9C_TFLUSH && len == 2) {
                g_assert_cmpint(err, ==, 0);
            } else {
                g_assert_cmpint(err, !=, 0);
            }
            p9c_call_end(call);
        }
        /* A size beyond the message's, or less than a header */
        call = p9c_call(c, type);
        p9c_set_size(call, 100);
        p9c_refused(call, EINVAL);
        call = p9c_call(c, type);
        p9c_set_size(call, 6);
        p9c_refused(call, EINVAL);
        call = p9c_call(c, type);
        p9c_set_size(call, UINT32_MAX);
        p9c_refused(call, EINVAL);
    }
    synth_alive(c);

    /* Tversion, after which the session may be over */
    for (len = 0; len < 8; len++) {
        call = p9c_request(c, P9C_TVERSION,
                           PUT(U32(P9C_MSIZE), U16(8),
                               DATA(P9C_VERSION, len)));
        p9c_refused(call, EINVAL);
    }
    p9c_session(c);
    synth_alive(c);
    p9c_free(c);
}

/* Extra bytes within the message; extra bytes after it are valid. */
static void test_long(void *obj, void *data, QGuestAllocator *alloc)
{
    P9Client *c = synth_session(obj);
    P9Call *call;

    g_assert_cmpint(p9c_walk_to(c, P9C_ROOT, FID, "WALK0"), ==, 0);
    call = p9c_clunk_call(c, FID);
    p9c_put_u8(call, 0);
    p9c_refused(call, EINVAL);

    call = p9c_request(c, P9C_TWALK,
                       PUT(U32(P9C_ROOT), U32(2), U16(0), STR("WALK0")));
    p9c_refused(call, EINVAL);

    call = p9c_clunk_call(c, FID);
    p9c_put_u64(call, 0);
    p9c_set_size(call, P9C_HEADER + 4);
    ok(p9c_finish(call, NULL));
    p9c_free(c);
}

static void test_unknown_type(void *obj, void *data, QGuestAllocator *alloc)
{
    static const uint8_t types[] = {
        0, 1, P9C_TLERROR, P9C_RLERROR, P9C_TLOPEN + 1, 60, P9C_TAUTH,
        106, 107, 112, 114, 124, 126, 128, 255,
    };
    P9Client *c = synth_session(obj);
    unsigned i;

    for (i = 0; i < ARRAY_SIZE(types); i++) {
        p9c_refused(p9c_call(c, types[i]), EOPNOTSUPP);
    }
    synth_alive(c);
    p9c_free(c);
}

/* Too many names, and a wrong number of names */
static void test_walk_malformed(void *obj, void *data, QGuestAllocator *alloc)
{
    static const struct {
        uint16_t says;
        uint16_t has;
    } cases[] = { { 17, 17 }, { 17, 1 }, { 65535, 1 }, { 2, 1 }, { 1, 2 } };
    P9Client *c = synth_session(obj);
    P9Call *call;
    unsigned i, j;

    for (i = 0; i < ARRAY_SIZE(cases); i++) {
        call = p9c_request(c, P9C_TWALK,
                           PUT(U32(P9C_ROOT), U32(FID), U16(cases[i].says)));
        for (j = 0; j < cases[i].has; j++) {
            p9c_put_str(call, "..");
        }
        p9c_refused(call, EINVAL);
        g_assert_cmpint(p9c_clunk(c, FID), ==, ENOENT);
    }

    /* A name that reaches beyond the message */
    call = p9c_request(c, P9C_TWALK,
                       PUT(U32(P9C_ROOT), U32(FID), U16(1), U16(65535),
                           DATA("WALK0", 5)));
    p9c_refused(call, EINVAL);
    synth_alive(c);
    p9c_free(c);
}

/* Before Tversion every other message fails. */
static void test_no_session(void *obj, void *data, QGuestAllocator *alloc)
{
    P9Client *c = p9c_new(obj);

    g_assert_cmpint(p9c_attach(c, P9C_ROOT, 0, NULL), ==, EPROTO);
    g_assert_cmpint(p9c_clunk(c, P9C_ROOT), ==, EPROTO);
    g_assert_cmpint(p9c_walk_to(c, P9C_ROOT, FID, ""), ==, EPROTO);
    g_assert_cmpint(p9c_flush(c, 5), ==, EPROTO);
    p9c_session(c);
    synth_alive(c);
    p9c_free(c);
}

static void register_tests(void)
{
    static const QVirtio9PTest tests[] = {
        { "walk-malformed", test_walk_malformed },
        { "no-session", test_no_session },
        { "short", test_short },
        { "long", test_long },
        { "unknown-type", test_unknown_type },
        { NULL }
    };

    qvirtio_9p_add_tests("synth", "virtio-9p", tests, NULL);
}
libqos_init(register_tests);
