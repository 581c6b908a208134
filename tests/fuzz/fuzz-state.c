/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Fuzzer of a session's saved state: records as a stream could bring them, on
 * the real drivers synth and local. docs/interop/virtfs-migration.rst describes
 * them.
 *
 * Input: setup[1], then records (fuzz.h), each a record of the state: the kind
 * is its type. A record's flag puts the next one into the same block. Inode
 * numbers of a run are not known before, so small numbers stand for the files
 * of fuzz_populate(), and a small device number for that of the export's root.
 *
 * A state that the server takes is a session: messages about its fids must be
 * answered. Saved again it must be valid, and a server that loads that must
 * take it, too. After a run, no node, entry or descriptor may be left.
 */
#define FUZZ_STATE
#include "fuzz-server.c"
#include "hw/9pfs/server/state.h"
#include "hw/9pfs/server/state-format.h"

/* setup, beside the driver or model, SETUP_READONLY and SETUP_STORAGE */
#define SETUP_OCCUPIED  0x08    /* there is a session before */
#define SETUP_SNAPSHOT  0x10    /* on-missing's default is stale */
#define SETUP_STALE     0x20    /* on-missing=stale */

/* Types of records, in order */
#define FIRST           P9_STATE_SESSION
#define STATE_KINDS     (P9_STATE_END - FIRST + 1)

/* Records may be many: these are of a smaller input than messages. */
#define RECORDS_MAX     256

/* For the mutator: the fields of each */
static const char *const state_fields[STATE_KINDS] = {
    [P9_STATE_SESSION - FIRST] = "414",
    [P9_STATE_DEVICE - FIRST] = "8s",
    [P9_STATE_QID_NEXT - FIRST] = "44",
    [P9_STATE_QID_PREFIX - FIRST] = "484",
    [P9_STATE_QID_SINGLE - FIRST] = "484",
    [P9_STATE_NODE - FIRST] = "48411884s",
    [P9_STATE_ENTRY - FIRST] = "441s",
    [P9_STATE_ATTACH - FIRST] = "44",
    [P9_STATE_FID - FIRST] = "n4441444D",
    [P9_STATE_XATTR - FIRST] = "1x444D",
    [P9_STATE_LOCK_OWNER - FIRST] = "44s4",
    [P9_STATE_LOCK_RANGE - FIRST] = "188",
    [P9_STATE_LOCK_USE - FIRST] = "f",
    [P9_STATE_END - FIRST] = "",
};

/* What a small inode number stands for */
static const char *const files[] = {
    ".", "f", "d", "d/g", "d/e", "l", "o", "p",
};

/* A number below that of files[] that stands for one's inode number */
static void put_inode(uint8_t *field)
{
    uint64_t number = ldq_le_p(field);
    struct stat st;

    if (number < ARRAY_SIZE(files)) {
        g_autofree char *path = g_build_filename(folder, files[number], NULL);

        if (lstat(path, &st) == 0) {
            stq_le_p(field, st.st_ino);
        }
    }
}

static void put_device(uint8_t *field)
{
    struct stat st;

    if (ldq_le_p(field) == 0 && stat(folder, &st) == 0) {
        stq_le_p(field, st.st_dev);
    }
}

static void append_state(GByteArray *block, const FuzzRecord *rec, bool host)
{
    uint8_t type = FIRST + rec->kind % STATE_KINDS;
    size_t at = block->len + P9_STATE_HEADER;
    uint8_t header[P9_STATE_HEADER] = { type };

    if (rec->flags & AS_IT_IS) {
        g_byte_array_append(block, rec->body, rec->size);
        return;
    }
    stl_le_p(header + 1, rec->size);
    g_byte_array_append(block, header, sizeof(header));
    g_byte_array_append(block, rec->body, rec->size);
    if (host && type == P9_STATE_NODE && rec->size >= 4 + 8) {
        put_inode(block->data + at + 4);
    } else if (host && type == P9_STATE_DEVICE && rec->size >= 8) {
        put_device(block->data + at);
    }
}

/*
 * Loading
 */

/* Gives the block to the server, which may change it, as an array of its own */
static bool load_block(P9StateLoad *l, const GByteArray *block)
{
    g_autofree uint8_t *copy = g_memdup2(block->data, block->len);
    Error *err = NULL;
    bool ok = p9_server_load_block(l, copy, block->len, &err);

    g_assert_true(ok == !err);
    error_free(err);
    return ok;
}

static bool load_end(P9StateLoad *l, bool ok, bool snapshot)
{
    Error *err = NULL;

    if (!ok) {
        p9_server_load_abort(l);
        return false;
    }
    ok = p9_server_load_end(l, snapshot, &err);
    g_assert_true(ok == !err);
    error_free(err);
    return ok;
}

static bool load_input(P9Server *s, FuzzInput *in, uint8_t setup)
{
    P9StateLoad *l = p9_server_load_begin(s);
    g_autoptr(GByteArray) block = g_byte_array_new();
    FuzzRecord rec;
    unsigned n = 0;
    bool ok = true;

    while (ok && n++ < RECORDS_MAX && fuzz_record(in, &rec)) {
        append_state(block, &rec, (setup & SETUP_MODEL) % SETUP_MODELS);
        if (block->len && !(rec.flags & TOGETHER)) {
            ok = load_block(l, block);
            g_byte_array_set_size(block, 0);
        }
    }
    if (ok && block->len) {
        ok = load_block(l, block);
    }
    return load_end(l, ok, setup & SETUP_SNAPSHOT);
}

/*
 * The session of a state that was taken
 */

static void send_poke(P9Server *s, uint8_t type, const void *body, size_t size)
{
    static uint16_t tag;

    send_message(s, type, tag++ & 0xff, body, size);
    run_until_idle();
}

/* Messages about each fid, also those that are not there */
static void poke(P9Server *s)
{
    uint8_t body[64];
    uint32_t fid;

    for (fid = 0; fid < FIDS; fid++) {
        memset(body, 0, sizeof(body));
        stl_le_p(body, fid);
        stq_le_p(body + 4, 0x3fff);
        send_poke(s, P9_TGETATTR, body, 4 + 8);
        /* offset 0 */
        stq_le_p(body + 4, 0);
        stl_le_p(body + 12, 100);
        send_poke(s, P9_TREAD, body, 4 + 8 + 4);
        send_poke(s, P9_TREADDIR, body, 4 + 8 + 4);
        /* A walk to a new fid of the same file, and its end */
        stl_le_p(body + 4, FIDS);
        stw_le_p(body + 8, 0);
        send_poke(s, P9_TWALK, body, 4 + 4 + 2);
        stl_le_p(body, FIDS);
        send_poke(s, P9_TCLUNK, body, 4);
    }
}

static void save_block(void *opaque, const void *block, size_t size)
{
    GPtrArray *blocks = opaque;
    GByteArray *copy = g_byte_array_new();

    g_assert_cmpuint(size, >, 0);
    g_assert_cmpuint(size, <=, P9_STATE_BLOCK_MAX);
    g_ptr_array_add(blocks, g_byte_array_append(copy, block, size));
}

static P9Server *new_server(FsExport *fs)
{
    P9Server *s = p9_server_new(fs, fs->ctx, NULL, &transport, NULL,
                                &error_abort);

    p9_server_stop(s);
    return s;
}

/* What the server saves, another one takes. */
static P9Server *save_and_load(P9Server *s, FsExport *fs)
{
    g_autoptr(GPtrArray) blocks =
        g_ptr_array_new_with_free_func((GDestroyNotify)g_byte_array_unref);
    P9StateLoad *l;
    unsigned i;

    p9_server_stop(s);
    g_assert_true(p9_server_park(s, &error_abort));
    g_assert_true(p9_server_save(s, false, save_block, blocks, &error_abort));
    p9_server_free(s, NULL);
    s = new_server(fs);
    l = p9_server_load_begin(s);
    for (i = 0; i < blocks->len; i++) {
        g_assert_true(load_block(l, g_ptr_array_index(blocks, i)));
    }
    g_assert_true(p9_server_load_end(l, true, &error_abort));
    p9_server_cont(s);
    poke(s);
    return s;
}

/*
 * What the mutator knows
 */

static const char *record_fields(uint8_t setup, const FuzzRecord *rec)
{
    return rec->flags & AS_IT_IS ? "14D"
                                 : state_fields[rec->kind % STATE_KINDS];
}

const FuzzGrammar *fuzz_grammar(uint8_t setup)
{
    static const char *const words[] = {
        "f", "d", "l", "p", "g", "e", "o", "n", "..", ".", "", "a/b", "d/g",
        "WALK0", "user.a", "client",
    };
    /* The root first: nothing comes before it. */
    static const uint8_t blocks[][FUZZ_BLOCK_MAX] = {
        { P9_STATE_NODE - FIRST, P9_STATE_ENTRY - FIRST,
          P9_STATE_ATTACH - FIRST, P9_STATE_FID - FIRST, FUZZ_BLOCK_END },
        { P9_STATE_FID - FIRST, P9_STATE_XATTR - FIRST, FUZZ_BLOCK_END },
        { P9_STATE_FID - FIRST, P9_STATE_LOCK_OWNER - FIRST,
          P9_STATE_LOCK_RANGE - FIRST, P9_STATE_LOCK_USE - FIRST,
          FUZZ_BLOCK_END },
        { P9_STATE_DEVICE - FIRST, P9_STATE_QID_NEXT - FIRST,
          P9_STATE_QID_PREFIX - FIRST, P9_STATE_QID_SINGLE - FIRST,
          FUZZ_BLOCK_END },
        { P9_STATE_NODE - FIRST, P9_STATE_NODE - FIRST,
          P9_STATE_ENTRY - FIRST, P9_STATE_ENTRY - FIRST, FUZZ_BLOCK_END },
    };
    static const FuzzGrammar grammar = {
        .kinds = STATE_KINDS,
        .maker = P9_STATE_FID - FIRST,
        .fields = record_fields,
        .words = words,
        .n_words = ARRAY_SIZE(words),
        .n_names = 8,
        .blocks = blocks,
        .n_blocks = ARRAY_SIZE(blocks),
        .together = TOGETHER,
        .as_it_is = AS_IT_IS,
    };

    return &grammar;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    FuzzInput in = { data, size };
    uint8_t setup = fuzz_u8(&in);
    P9Server *s;
    FsExport fs;

    make_export(&fs, setup & ~SETUP_OCCUPIED);
    fs.migration = FSDEV_MIGRATION_AUTO;
    fs.has_on_missing = setup & SETUP_STALE;
    fs.on_missing = FSDEV_ON_MISSING_STALE;
    s = new_server(&fs);
    if (setup & SETUP_OCCUPIED) {
        p9_server_cont(s);
        start(s, false);
        p9_server_stop(s);
    }
    if (load_input(s, &in, setup)) {
        p9_server_cont(s);
        poke(s);
        s = save_and_load(s, &fs);
    }
    p9_server_free(s, NULL);
    g_assert_cmpuint(pending, ==, 0);
    end_export(&fs);
    fuzz_check_fds();
    return 0;
}
