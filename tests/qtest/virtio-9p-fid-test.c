/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Fids that a message cannot use, on the synth driver: a table of every message
 * with a fid, in each place where it has one, for both dialects. ENOENT means
 * that no fid has the number; EBADF that the fid is of another kind.
 */
#include "qemu/osdep.h"
#include "qemu/module.h"
#include "libqos/qgraph.h"
#include "libqos/virtio-9p-dotu.h"
#include "virtio-9p-synth.h"

#define ROOT        P9C_ROOT
#define NEW_FID     77          /* never in use */
#define DIALECTS    2

enum {
    IN_L = 1 << 0,
    IN_U = 1 << 1,
    IN_BOTH = IN_L | IN_U,
    /* What the message does with a fid of an extended attribute */
    TAKES_XATTR = 1 << 2,
    /* NOFID is not an unknown fid there. */
    TAKES_NOFID = 1 << 3,
};

typedef struct Message {
    uint8_t type;
    unsigned flags;
    const P9CPut *fields;
} Message;

/* A stat without a change */
#define STAT    U16(63), U16(61), U16(-1), U32(-1), U8(-1), U32(-1), U64(-1), \
                U32(-1), U32(-1), U32(-1), U64(-1), STR(""), STR(""),         \
                STR(""), STR(""), STR(""), U32(-1), U32(-1), U32(-1)

typedef void MessageTest(P9Client *c, const Message *m, uint32_t fid);

/* Calls @test for each message, with @fid in one of its places. */
static void each_message(P9Client *c, unsigned dialect, uint32_t fid,
                         MessageTest *test)
{
    g_autofree char *number = g_strdup_printf("%u", fid);
    const Message messages[] = {
        { P9C_TSTATFS, IN_L, PUT(U32(fid)) },
        { P9C_TLOPEN, IN_L, PUT(U32(fid), U32(0)) },
        { P9C_TLCREATE, IN_L,
          PUT(U32(fid), STR("x"), U32(0), U32(0644), U32(0)) },
        { P9C_TSYMLINK, IN_L, PUT(U32(fid), STR("x"), STR("y"), U32(0)) },
        { P9C_TMKNOD, IN_L,
          PUT(U32(fid), STR("x"), U32(S_IFIFO), U32(0), U32(0), U32(0)) },
        { P9C_TRENAME, IN_L, PUT(U32(fid), U32(ROOT), STR("x")) },
        { P9C_TRENAME, IN_L, PUT(U32(FID), U32(fid), STR("x")) },
        { P9C_TREADLINK, IN_L, PUT(U32(fid)) },
        { P9C_TGETATTR, IN_L, PUT(U32(fid), U64(P9C_GETATTR_BASIC)) },
        { P9C_TSETATTR, IN_L,
          PUT(U32(fid), U32(P9C_SETATTR_MODE), U32(0), U32(0), U32(0), U64(0),
              U64(0), U64(0), U64(0), U64(0)) },
        { P9C_TXATTRWALK, IN_L, PUT(U32(fid), U32(NEW_FID), STR("")) },
        { P9C_TXATTRCREATE, IN_L,
          PUT(U32(fid), STR("user.x"), U64(1), U32(0)) },
        { P9C_TREADDIR, IN_L, PUT(U32(fid), U64(0), U32(100)) },
        { P9C_TFSYNC, IN_L, PUT(U32(fid), U32(0)) },
        { P9C_TLOCK, IN_L,
          PUT(U32(fid), U8(0), U32(0), U64(0), U64(0), U32(1), STR("q")) },
        { P9C_TGETLOCK, IN_L,
          PUT(U32(fid), U8(0), U64(0), U64(0), U32(1), STR("q")) },
        { P9C_TLINK, IN_L, PUT(U32(fid), U32(FID), STR("x")) },
        { P9C_TLINK, IN_L, PUT(U32(ROOT), U32(fid), STR("x")) },
        { P9C_TMKDIR, IN_L, PUT(U32(fid), STR("x"), U32(0755), U32(0)) },
        { P9C_TRENAMEAT, IN_L,
          PUT(U32(fid), STR("x"), U32(ROOT), STR("y")) },
        { P9C_TRENAMEAT, IN_L,
          PUT(U32(ROOT), STR("x"), U32(fid), STR("y")) },
        { P9C_TUNLINKAT, IN_L, PUT(U32(fid), STR("x"), U32(0)) },
        { P9C_TATTACH, IN_BOTH | TAKES_NOFID,
          PUT(U32(NEW_FID), U32(fid), STR(""), STR(""), U32(0)) },
        { P9C_TWALK, IN_BOTH, PUT(U32(fid), U32(NEW_FID), U16(0)) },
        { P9C_TWALK, IN_BOTH,
          PUT(U32(fid), U32(NEW_FID), U16(1), STR("WALK0")) },
        { P9C_TWALK, IN_BOTH, PUT(U32(fid), U32(fid), U16(0)) },
        { P9C_TREAD, IN_BOTH | TAKES_XATTR,
          PUT(U32(fid), U64(0), U32(1)) },
        { P9C_TWRITE, IN_BOTH, PUT(U32(fid), U64(0), U32(1), U8('x')) },
        { P9C_TCLUNK, IN_BOTH | TAKES_XATTR, PUT(U32(fid)) },
        { P9C_TREMOVE, IN_BOTH | TAKES_XATTR, PUT(U32(fid)) },
        { P9C_TOPEN, IN_U, PUT(U32(fid), U8(P9C_OREAD)) },
        { P9C_TCREATE, IN_U,
          PUT(U32(fid), STR("x"), U32(0644), U8(P9C_OREAD), STR("")) },
        { P9C_TCREATE, IN_U,
          PUT(U32(ROOT), STR("x"), U32(P9C_DMLINK), U8(P9C_OREAD),
              STR(number)) },
        { P9C_TSTAT, IN_U, PUT(U32(fid)) },
        { P9C_TWSTAT, IN_U, PUT(U32(fid), STAT) },
    };
    bool seen[256] = { [P9C_TVERSION] = true, [P9C_TFLUSH] = true };
    unsigned i;

    for (i = 0; i < ARRAY_SIZE(messages); i++) {
        if (messages[i].flags & dialect) {
            seen[messages[i].type] = true;
            test(c, &messages[i], fid);
        }
    }
    /* The server must have no message that is not in the table. */
    for (i = 0; i < ARRAY_SIZE(seen); i++) {
        if (!seen[i]) {
            p9c_refused(p9c_request(c, i, PUT(U32(fid))), EOPNOTSUPP);
        }
    }
}

static void begin(P9Client *c, unsigned dialect)
{
    p9c_session_version(c, dialect == IN_U ? P9C_VERSION_U : P9C_VERSION,
                        P9C_MSIZE, 0);
    ok(p9c_walk_to(c, ROOT, FID, "WRITE"));
}

static void is_unknown(P9Client *c, const Message *m, uint32_t fid)
{
    if (!(m->flags & TAKES_NOFID && fid == P9C_NOFID)) {
        p9c_refused(p9c_request(c, m->type, m->fields), ENOENT);
    }
}

static void test_unknown(void *obj, void *data, QGuestAllocator *alloc)
{
    /* Never made, clunked, invalid, and not made by a walk that stopped */
    static const uint32_t unknown[] = { 999, 2, P9C_NOFID, 3 };
    static const char *const names[] = { "WALK0", "nothing" };
    P9Client *c = p9c_new(obj);
    unsigned i, j, walked;

    for (i = 0; i < DIALECTS; i++) {
        begin(c, 1 << i);
        ok(p9c_walk_to(c, ROOT, 2, ""));
        ok(p9c_clunk(c, 2));
        ok(p9c_walk(c, ROOT, 3, names, 2, &walked, NULL));
        g_assert_cmpuint(walked, ==, 1);
        for (j = 0; j < ARRAY_SIZE(unknown); j++) {
            each_message(c, 1 << i, unknown[j], is_unknown);
        }
        /* The fids that the messages would have made */
        fails(p9c_clunk(c, NEW_FID), ENOENT);
        ok(p9c_clunk(c, FID));
    }
    synth_alive(synth_session(obj));
}

static void is_no_file(P9Client *c, const Message *m, uint32_t fid)
{
    if (!(m->flags & TAKES_XATTR)) {
        p9c_refused(p9c_request(c, m->type, m->fields), EBADF);
    }
}

/* Fids of extended attributes are known, but they are no files. */
static void test_no_file(void *obj, void *data, QGuestAllocator *alloc)
{
    P9Client *c = p9c_new(obj);
    char byte;

    begin(c, IN_L);
    ok(p9c_xattrwalk(c, FID, 2, "", NULL));
    each_message(c, IN_L, 2, is_no_file);
    ok(p9c_read(c, 2, 0, 1, &byte, NULL));
    fails(p9c_remove(c, 2), EBADF);
    fails(p9c_clunk(c, 2), ENOENT);
    p9c_free(c);
}

static void virtio_9p_fid_register(void)
{
    qvirtio_9p_add_test("fid/unknown", "virtio-9p", test_unknown, NULL);
    qvirtio_9p_add_test("fid/no-file", "virtio-9p", test_no_file, NULL);
}

libqos_init(virtio_9p_fid_register);
