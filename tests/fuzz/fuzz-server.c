/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Fuzzer of the 9p server: messages of 9P2000.L and 9P2000.u as a hostile
 * guest could send them, on the real drivers synth and local.
 *
 * Only the virtio device is missing: this file is the transport that hands
 * scatter lists to the server and takes the replies. Each buffer is allocated
 * with exactly its length, so that the sanitizer sees an access beyond its end.
 *
 * Input: setup[1], then records (fuzz.h), each a message. A record's kind is
 * the message's type, as an index into types[]; its id is the tag; its body is
 * everything after the header. Unless a flag says otherwise, the fuzzer brings
 * the first fid of a message into a small range, so that messages are about the
 * same fids. The fuzzer checks that the size, type and tag of each reply fit
 * the message. After a run, no node, entry or descriptor may be left.
 */
#include "qemu/osdep.h"
#include <linux/magic.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include "qapi/error.h"
#include "qemu/iov.h"
#include "qemu/main-loop.h"
#include "qemu/module.h"
#include "system/qtest.h"
#include "hw/9pfs/server/9p.h"
#include "hw/9pfs/server/wire.h"
#include "migration/blocker.h"
#include "mutate.h"
#include "server-host.h"

/* setup: the driver or model is in the low bits */
#define SETUP_MODELS    5
#define SETUP_MODEL     0x07
#define SETUP_NO_START  0x10    /* without the Tversion and Tattach */
#define SETUP_DOTU      0x20
#define SETUP_READONLY  0x40
#define SETUP_STORAGE   0x80    /* the driver may not take the folder for a file
                                   system in memory, which never waits */

/* flags of a record */
#define AS_IT_IS        0x01    /* the body is the message, header included */
#define ANY_FID         0x02    /* the fid stays as it is */
#define SMALL_ROOM      0x04    /* for the reply: 4 * id bytes */
#define TOGETHER        0x08    /* the next message follows at once */
#define SPLIT           0x10    /* many short buffers */

#define FIDS            8
#define MSIZE           8192
#define MESSAGES_MAX    64
/* How long one message may keep the others waiting */
#define PATIENCE_US     2000

#ifndef FUZZ_STATE
static const uint8_t types[] = {
    P9_TSTATFS, P9_TLOPEN, P9_TLCREATE, P9_TSYMLINK, P9_TMKNOD, P9_TRENAME,
    P9_TREADLINK, P9_TGETATTR, P9_TSETATTR, P9_TXATTRWALK, P9_TXATTRCREATE,
    P9_TREADDIR, P9_TFSYNC, P9_TLOCK, P9_TGETLOCK, P9_TLINK, P9_TMKDIR,
    P9_TRENAMEAT, P9_TUNLINKAT, P9_TVERSION, P9_TAUTH, P9_TATTACH, P9_TFLUSH,
    P9_TWALK, P9_TOPEN, P9_TCREATE, P9_TREAD, P9_TWRITE, P9_TCLUNK,
    P9_TREMOVE, P9_TSTAT, P9_TWSTAT,
};

/* The kinds of records: messages and, for fuzz-mapped, changes on the host */
#ifdef FUZZ_MAPPED
#define KINDS   (ARRAY_SIZE(types) + HOST_KINDS)
#else
#define KINDS   ARRAY_SIZE(types)
#endif

/* For the mutator: the fields of each type, in the same order */
static const char *const type_fields[ARRAY_SIZE(types)] = {
    "f", "fb", "fs444", "fss4", "fs4444", "fgs",
    "f", "f8", "f4444zoooo", "fnx", "fxzb",
    "fo4", "f4", "f14884s", "f1884s", "gfs", "fs44",
    "fsgs", "fs4", "4s", "4ss4", "fgss4", "2",
    "fnw", "f1", "fs41s", "fo4", "fod", "f",
    "f", "f", "fD",
};
#endif

typedef struct Message {
    struct iovec *out;
    unsigned out_num;
    struct iovec *in;
    unsigned in_num;
    bool whole;                 /* has a header */
    uint8_t type;
    uint16_t tag;
} Message;

static const char *folder;
static unsigned pending;

static bool on_storage;

/* In place of libc's, for the driver's question of what may wait */
int fstatfs(int fd, struct statfs *st)
{
    int ret = syscall(SYS_fstatfs, fd, st);

    if (ret == 0 && on_storage) {
        st->f_type = EXT4_SUPER_MAGIC;
    }
    return ret;
}

/* In place of migration/migration.c: the base's stubs would free nothing. */
int migrate_add_blocker(Error **reasonp, Error **errp)
{
    return 0;
}

void migrate_del_blocker(Error **reasonp)
{
    error_free(*reasonp);
    *reasonp = NULL;
}

/*
 * The transport
 */

static struct iovec *new_iov(const uint8_t *from, size_t size, size_t piece,
                             unsigned *num)
{
    unsigned n = *num = DIV_ROUND_UP(size, piece);
    struct iovec *iov = g_new(struct iovec, n);
    size_t len;

    for (unsigned i = 0; i < n; i++, size -= len) {
        len = MIN(size, piece);
        iov[i].iov_base = g_malloc(len);
        iov[i].iov_len = len;
        if (from) {
            memcpy(iov[i].iov_base, from + i * piece, len);
        }
    }
    return iov;
}

static void free_iov(struct iovec *iov, unsigned num)
{
    for (unsigned i = 0; i < num; i++) {
        g_free(iov[i].iov_base);
    }
    g_free(iov);
}

static void free_message(P9Request *req)
{
    Message *m = p9_request_elem(req);

    free_iov(m->out, m->out_num);
    free_iov(m->in, m->in_num);
    g_free(m);
    p9_request_free(req);
    pending--;
}

static void on_done(P9Request *req, size_t len)
{
    Message *m = p9_request_elem(req);
    uint8_t header[P9_HEADER_SIZE];

    if (len) {
        g_assert_cmpuint(len, >=, sizeof(header));
        g_assert_cmpuint(len, <=, iov_size(m->in, m->in_num));
        iov_to_buf(m->in, m->in_num, 0, header, sizeof(header));
        g_assert_cmpuint(ldl_le_p(header), ==, len);
        g_assert_cmpuint(lduw_le_p(header + 5), ==, m->tag);
        g_assert_true(header[4] == P9_RLERROR || header[4] == P9_RERROR ||
                      header[4] == m->type + 1);
    }
    free_message(req);
}

static void on_broken(P9Request *req, const char *why)
{
    Message *m = p9_request_elem(req);

    g_assert_true(!m->whole || iov_size(m->in, m->in_num) < MSIZE);
    free_message(req);
}

static const P9TransportOps transport = {
    .done = on_done,
    .broken = on_broken,
};

static void run_until_idle(void)
{
    gint64 end = g_get_monotonic_time() + PATIENCE_US;

    do {
        while (aio_poll(qemu_get_aio_context(), false)) {
            /* again */
        }
        if (!pending) {
            break;
        }
        g_usleep(10);
    } while (g_get_monotonic_time() < end);
}

static void send_bytes(P9Server *s, const uint8_t *bytes, size_t size,
                       size_t room, size_t piece)
{
    Message *m = g_new0(Message, 1);

    m->out = new_iov(bytes, size, piece, &m->out_num);
    m->in = new_iov(NULL, room, piece, &m->in_num);
    m->whole = size >= P9_HEADER_SIZE;
    if (m->whole) {
        m->type = bytes[4];
        m->tag = lduw_le_p(bytes + 5);
    }
    pending++;
    p9_request_submit(p9_request_new(s), m, m->out, m->out_num,
                      m->in, m->in_num, false);
}

static void send_message(P9Server *s, uint8_t type, uint16_t tag,
                         const void *body, size_t size)
{
    g_autofree uint8_t *bytes = g_malloc(P9_HEADER_SIZE + size);

    stl_le_p(bytes, P9_HEADER_SIZE + size);
    bytes[4] = type;
    stw_le_p(bytes + 5, tag);
    memcpy(bytes + P9_HEADER_SIZE, body, size);
    send_bytes(s, bytes, P9_HEADER_SIZE + size, MSIZE, MSIZE);
}

#ifndef FUZZ_STATE
static void send_record(P9Server *s, const FuzzRecord *rec)
{
    size_t room = rec->flags & SMALL_ROOM ? rec->id * 4 : MSIZE;
    size_t piece = rec->flags & SPLIT ? 1 + rec->id % 16 : MAX(rec->size + 7,
                                                               MSIZE);
    uint8_t type = types[rec->kind % KINDS];
    size_t size = P9_HEADER_SIZE + rec->size;
    g_autofree uint8_t *bytes = NULL;

    if (rec->flags & AS_IT_IS) {
        send_bytes(s, rec->body, rec->size, room, piece);
        return;
    }
    bytes = g_malloc(size);
    stl_le_p(bytes, size);
    bytes[4] = type;
    stw_le_p(bytes + 5, rec->id);
    memcpy(bytes + P9_HEADER_SIZE, rec->body, rec->size);
    if (rec->size >= 4 && !(rec->flags & ANY_FID) && type != P9_TVERSION &&
        type != P9_TFLUSH) {
        stl_le_p(bytes + P9_HEADER_SIZE,
                 ldl_le_p(bytes + P9_HEADER_SIZE) % FIDS);
    }
    send_bytes(s, bytes, size, room, piece);
}
#endif

/* Starts a session as a client does: the version, and fid 0 for the root. */
static void start(P9Server *s, bool dotu)
{
    const char *version = dotu ? "9P2000.u" : "9P2000.L";
    uint8_t body[32] = { };
    size_t len = strlen(version);

    stl_le_p(body, MSIZE);
    stw_le_p(body + 4, len);
    memcpy(body + 6, version, len);
    send_message(s, P9_TVERSION, P9_NOTAG, body, 6 + len);
    /* fid[4] afid[4] uname[s] aname[s] n_uname[4], both empty */
    memset(body, 0, sizeof(body));
    stl_le_p(body + 4, P9_NOFID);
    send_message(s, P9_TATTACH, 0, body, 4 + 4 + 2 + 2 + 4);
    run_until_idle();
}

/*
 * The export
 */

static void make_export(FsExport *fs, uint8_t setup)
{
    static const FsdevSecurityModel models[SETUP_MODELS - 1] = {
        FSDEV_SECURITY_MODEL_MAPPED_XATTR, FSDEV_SECURITY_MODEL_MAPPED_FILE,
        FSDEV_SECURITY_MODEL_PASSTHROUGH, FSDEV_SECURITY_MODEL_NONE,
    };
    unsigned model = (setup & SETUP_MODEL) % SETUP_MODELS;
    FsdevOptions opts = {
        .fsdriver = model ? FSDEV_DRIVER_LOCAL : FSDEV_DRIVER_SYNTH,
        .id = (char *)"fuzz",
    };

    if (model) {
        fuzz_populate();
        on_storage = setup & SETUP_STORAGE;
        opts.u.local.path = (char *)folder;
        opts.u.local.security_model = models[model - 1];
    }
    *fs = (FsExport) {
        .id = opts.id,
        .driver = fs_driver_find(opts.fsdriver),
        .readonly = setup & SETUP_READONLY,
        .max_xattr = 16,
        .multidevs = FSDEV_MULTIDEVS_REMAP,
    };
    fs->driver->open(fs, &opts, &error_abort);
}

static void end_export(FsExport *fs)
{
    g_autoptr(FsdevInfo) info = g_new0(FsdevInfo, 1);

    fs_export_query(fs, info);
    if (fs->driver->type == FSDEV_DRIVER_LOCAL) {
        g_assert_cmpuint(info->nodes, ==, 1);
    }
    g_assert_cmpuint(info->names, ==, 0);
    g_assert_cmpuint(info->in_flight, ==, 0);
    g_assert_cmpuint(info->open_xattrs, ==, 0);
    fs->driver->close(fs);
}

#ifndef FUZZ_STATE
/*
 * What the mutator knows
 */

/* Indexes into types[] */
enum {
    LOPEN = 1, LCREATE = 2, GETATTR = 7, SETATTR = 8, XATTRWALK = 9,
    XATTRCREATE = 10, READDIR = 11, FLUSH = 22, WALK = 23, OPEN = 24,
    READ = 26, WRITE = 27, CLUNK = 28,
    ON_HOST = ARRAY_SIZE(types),
};

static const char *record_fields(uint8_t setup, const FuzzRecord *rec)
{
    if (rec->kind % KINDS >= ARRAY_SIZE(types)) {
        return host_fields(rec->kind % KINDS - ARRAY_SIZE(types));
    }
    return rec->flags & AS_IT_IS ? "412D"
                                 : type_fields[rec->kind % KINDS];
}

const FuzzGrammar *fuzz_grammar(uint8_t setup)
{
    static const char *const words[] = {
        "f", "f", "d", "l", "p", "FLUSH", "WRITE", "LOPEN",
        "g", "e", "o", "n", "..", ".", "", "a/b", "WALK0", "9P2000.L",
        "9P2000.u", "user.a", "system.posix_acl_access",
        "system.posix_acl_default", "security.capability", "user.virtfs.uid",
        ".virtfs_metadata",
    };
    static const uint8_t blocks[][FUZZ_BLOCK_MAX] = {
#ifdef FUZZ_MAPPED
        { ON_HOST + HOST_TEXT, WALK, GETATTR, READDIR, FUZZ_BLOCK_END },
        { ON_HOST + HOST_TEXT_ROOT, WALK, GETATTR, FUZZ_BLOCK_END },
        { ON_HOST + HOST_TEXT, WALK, SETATTR, GETATTR, FUZZ_BLOCK_END },
        { ON_HOST + HOST_NUMBER, WALK, GETATTR, SETATTR, FUZZ_BLOCK_END },
        { ON_HOST + HOST_ACL, WALK, SETATTR, GETATTR, FUZZ_BLOCK_END },
        { ON_HOST + HOST_ACL, WALK, LCREATE, GETATTR, FUZZ_BLOCK_END },
        { ON_HOST + HOST_ACL, WALK, XATTRWALK, READ, FUZZ_BLOCK_END },
        { ON_HOST + HOST_ATTRIBUTE, WALK, XATTRWALK, READ, FUZZ_BLOCK_END },
        { WALK, XATTRCREATE, WRITE, CLUNK, FUZZ_BLOCK_END },
        { ON_HOST + HOST_PLACE, WALK, FUZZ_BLOCK_ANY, FUZZ_BLOCK_ANY,
          FUZZ_BLOCK_END },
#else
        { WALK, FUZZ_BLOCK_ANY, FUZZ_BLOCK_ANY, FUZZ_BLOCK_END },
        { WALK, LOPEN, READ, WRITE, CLUNK, FUZZ_BLOCK_END },
        { WALK, LOPEN, CLUNK, FUZZ_BLOCK_END },
        { WALK, LOPEN, WRITE, FLUSH, CLUNK, FUZZ_BLOCK_END },
        { WALK, LOPEN, READDIR, READDIR, FUZZ_BLOCK_END },
        { WALK, LCREATE, WRITE, READ, FUZZ_BLOCK_END },
        { WALK, OPEN, READ, READ, FUZZ_BLOCK_END },
        { WALK, XATTRWALK, READ, CLUNK, FUZZ_BLOCK_END },
        { WALK, XATTRCREATE, WRITE, WRITE, CLUNK, FUZZ_BLOCK_END },
#endif
    };
    static const FuzzGrammar grammar = {
        .kinds = KINDS,
        .maker = WALK,
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

#endif

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    folder = fuzz_folder();
    qtest_allowed = true;       /* synth shows some files only in a test */
    qemu_init_main_loop(&error_abort);
    module_call_init(MODULE_INIT_QOM);
    return 0;
}

#ifndef FUZZ_STATE
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    FuzzInput in = { data, size };
    uint8_t setup = fuzz_u8(&in);
    unsigned n = 0;
    FuzzRecord rec;
    P9Server *s;
    FsExport fs;

    make_export(&fs, setup);
    s = p9_server_new(&fs, fs.ctx, NULL, &transport, NULL, &error_abort);
    if (!(setup & SETUP_NO_START)) {
        start(s, setup & SETUP_DOTU);
    }
    while (n++ < MESSAGES_MAX && fuzz_record(&in, &rec)) {
        if (rec.kind % KINDS >= ARRAY_SIZE(types)) {
            host_change(folder, rec.kind % KINDS - ARRAY_SIZE(types), &rec);
            continue;
        }
        send_record(s, &rec);
        if (!(rec.flags & TOGETHER)) {
            run_until_idle();
        }
    }
    p9_server_free(s, NULL);
    g_assert_cmpuint(pending, ==, 0);
    end_export(&fs);
    fuzz_check_fds();
    return 0;
}
#endif
