/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Streams that are not what a QEMU saved: the part of virtio-9p in the state of
 * a guest with a mounted share is changed, cut and lengthened, and loaded by a
 * new QEMU each time. That one either refuses it with an error, or has a guest
 * that can go on. fuzz-state tries many more, without the rest of a stream.
 */
#include "qemu/osdep.h"
#include "qemu/bswap.h"
#include "libqtest-single.h"
#include "libqos/qgraph.h"
#include "qemu/module.h"
#include "virtio-9p-host.h"
#include "virtio-9p-machine.h"
#include "virtio-9p-move.h"

#define SLOT        5
#define PART        "virtio-9p/session"
/* Changed bytes, and streams of each other kind */
#define CHANGES     32
#define CUTS        12
/* A load may take this long. */
#define LOAD_US     (40 * G_USEC_PER_SEC)

typedef struct Test {
    char *share, *tmp;
    char *options;
    GByteArray *good;           /* the stream */
    size_t at, size;            /* the part of virtio-9p in it */
    uint32_t random;
    unsigned refused, taken;
} Test;

/*
 * A good stream
 */

static void host_write(Test *t, const char *name)
{
    g_autofree char *path = g_build_filename(t->share, name, NULL);

    g_assert_true(g_file_set_contents(path, "data", -1, NULL));
}

/* A session with something of everything */
static void fill(Test *t, P9Client *c)
{
    P9CLock lock = { .type = P9C_LOCK_WRLCK, .length = 10, .proc_id = 1,
                     .client_id = "guest" };
    P9Call *call;
    uint8_t status;

    ok(p9c_mkdir(c, P9C_ROOT, "dir", 0755, 0, NULL));
    ok(p9c_walk_to(c, P9C_ROOT, 1, "dir"));
    ok(p9c_walk_to(c, P9C_ROOT, 2, "f"));
    ok(p9c_lopen(c, 2, P9C_O_RDWR, NULL, NULL));
    ok(p9c_walk_to(c, P9C_ROOT, 3, "g"));
    ok(p9c_lopen(c, 3, P9C_O_RDWR, NULL, NULL));
    ok(p9c_walk_to(c, P9C_ROOT, 4, ""));
    ok(p9c_lopen(c, 4, P9C_O_DIRECTORY, NULL, NULL));
    ok(p9c_walk_to(c, 1, 5, ""));
    ok(p9c_xattrcreate(c, 5, "user.test", 100, 0));
    ok(p9c_write(c, 5, 0, "value", 5, NULL));
    ok(p9c_xattrwalk(c, 1, 6, "", NULL));
    ok(p9c_attach(c, 7, 1000, NULL));
    ok(p9c_lock(c, 2, &lock, &status));
    g_assert_cmpuint(status, ==, P9C_LOCK_SUCCESS);
    lock.type = P9C_LOCK_RDLCK;
    lock.start = 20;
    ok(p9c_lock(c, 3, &lock, &status));
    g_assert_cmpuint(status, ==, P9C_LOCK_SUCCESS);
    /* A request that is saved, too */
    lock = (P9CLock) { .type = P9C_LOCK_WRLCK, .flags = P9C_LOCK_BLOCK,
                       .proc_id = 2, .client_id = "guest" };
    ok(p9c_walk_to(c, P9C_ROOT, 8, "f"));
    ok(p9c_lopen(c, 8, P9C_O_RDWR, NULL, NULL));
    call = p9c_lock_call(c, 8, &lock);
    p9c_submit(call);
    p9c_pause(c);
    g_assert_false(p9c_is_done(call));
}

static uint32_t be32_at(Test *t, size_t at)
{
    g_assert_cmpuint(at + 4, <=, t->good->len);
    return ldl_be_p(t->good->data + at);
}

/* Behind blocks, which have a size before them, and end with a size of 0 */
static size_t skip_blocks(Test *t, size_t at)
{
    while (be32_at(t, at)) {
        at += 4 + be32_at(t, at);
    }
    return at + 4;
}

/*
 * The part begins with its name and its version. The blocks of the server and
 * those of the device follow.
 */
static void find_part(Test *t)
{
    void *name = memmem(t->good->data, t->good->len, PART, strlen(PART));

    g_assert_nonnull(name);
    t->at = (uint8_t *)name - t->good->data + strlen(PART) + 4;
    t->size = skip_blocks(t, skip_blocks(t, t->at)) - t->at;
}

static void make_good(Test *t)
{
    g_autofree char *path = g_build_filename(t->tmp, "good", NULL);
    g_autofree char *error = NULL;
    QVirtio9PPCI *dev;
    gsize size;
    P9Machine m;
    P9Client *c;
    char *text;

    host_write(t, "f");
    host_write(t, "g");
    p9_machine_start(&m, t->options);
    dev = qvirtio_9p_pci_new(m.bus, &m.alloc, QPCI_DEVFN(SLOT, 0));
    c = p9c_new(&dev->v9p);
    p9c_session(c);
    fill(t, c);
    error = p9_move_save(m.qts, path);
    g_assert_cmpstr(error, ==, NULL);
    p9c_free(c);
    qvirtio_9p_pci_free(dev);
    p9_machine_end(&m);
    g_assert_true(g_file_get_contents(path, &text, &size, NULL));
    t->good = g_byte_array_new_take((guint8 *)text, size);
    find_part(t);
}

/*
 * Other streams
 */

static uint32_t any(Test *t, uint32_t below)
{
    t->random = t->random * 1103515245 + 12345;
    return (t->random >> 8) % below;
}

/* A new QEMU loads it: whether it takes it. It must be alive in any case. */
static bool load(Test *t, const GByteArray *stream)
{
    g_autofree char *path = g_build_filename(t->tmp, "bad", NULL);
    g_autofree char *options = g_strdup_printf(
        "-machine pc -nodefaults %s", t->options);
    QTestState *qts = p9_move_new(options, "/dev/null");
    g_autofree char *error = NULL;
    gint64 begin = g_get_monotonic_time();

    g_assert_true(g_file_set_contents(path, (char *)stream->data, stream->len,
                                      NULL));
    error = p9_move_load(qts, path);
    g_assert_cmpint(g_get_monotonic_time() - begin, <, LOAD_US);
    if (!error) {
        /* The guest's next session ends this one, whatever is in it. */
        qtest_system_reset(qts);
    }
    qtest_qmp_assert_success(qts, "{'execute': 'query-fsdevs'}");
    /* Fails the test if it does not end well. */
    qtest_quit(qts);
    *(error ? &t->refused : &t->taken) += 1;
    return !error;
}

static GByteArray *copy(Test *t)
{
    GByteArray *stream = g_byte_array_new();

    return g_byte_array_append(stream, t->good->data, t->good->len);
}

static void load_good(Test *t)
{
    g_assert_true(load(t, t->good));
}

/* One byte is another, anywhere in the part. */
static void load_changed(Test *t)
{
    unsigned i;

    for (i = 0; i < CHANGES; i++) {
        g_autoptr(GByteArray) stream = copy(t);
        size_t at = t->at + (uint64_t)i * t->size / CHANGES;

        at += any(t, MAX(t->size / CHANGES, 1));
        stream->data[at] ^= 1 << any(t, 8);
        load(t, stream);
    }
}

/* Four bytes are the largest number, or 0, or nearly right. */
static void load_numbers(Test *t)
{
    static const uint32_t numbers[] = {
        0, 1, 0xffffffff, 0x7fffffff, 0x10000, 0xffff,
    };
    unsigned i;

    for (i = 0; i < CHANGES; i++) {
        g_autoptr(GByteArray) stream = copy(t);
        size_t at = t->at + any(t, t->size - 4);

        stl_le_p(stream->data + at, numbers[any(t, ARRAY_SIZE(numbers))]);
        load(t, stream);
    }
}

/* The sizes of blocks: the state refuses each of these. */
static void load_sizes(Test *t)
{
    static const uint32_t sizes[] = {
        0, 1, 4, 5, 128 * 1024 + 1, 0x7fffffff, 0x80000000, 0xffffffff,
    };
    unsigned i;

    for (i = 0; i < ARRAY_SIZE(sizes); i++) {
        g_autoptr(GByteArray) stream = copy(t);

        stl_be_p(stream->data + t->at, sizes[i]);
        g_assert_false(load(t, stream));
    }
}

/* The stream lacks some bytes, or ends in the part. */
static void load_cut(Test *t)
{
    unsigned i;

    for (i = 0; i < CUTS; i++) {
        g_autoptr(GByteArray) stream = copy(t);
        size_t at = t->at + any(t, t->size);

        if (i & 1) {
            g_byte_array_set_size(stream, at);
        } else {
            g_byte_array_remove_range(stream, at, 1 + any(t, 16));
        }
        g_assert_false(load(t, stream));
    }
}

/* It has more bytes there. */
static void load_long(Test *t)
{
    unsigned i;

    for (i = 0; i < CUTS; i++) {
        g_autoptr(GByteArray) stream = g_byte_array_new();
        size_t at = t->at + any(t, t->size);
        uint8_t more[16];
        unsigned n = 1 + any(t, sizeof(more));

        memcpy(more, t->good->data + at - sizeof(more), sizeof(more));
        g_byte_array_append(stream, t->good->data, at);
        g_byte_array_append(stream, more, n);
        g_byte_array_append(stream, t->good->data + at, t->good->len - at);
        g_assert_false(load(t, stream));
    }
}

/* Behind the first record of @type; all are in the server's first block. */
static size_t behind_record(Test *t, unsigned type)
{
    size_t at = t->at + 4;
    size_t end = at + be32_at(t, t->at);
    bool found = false;

    while (!found) {
        g_assert_cmpuint(at + 5, <=, end);
        found = t->good->data[at] == type;
        at += 5 + ldl_le_p(t->good->data + at + 1);
    }
    return at;
}

/* Records that cannot be true, behind good ones: the state refuses each. */
static void load_lies(Test *t)
{
    enum { DEVICE = 2, QID_PREFIX = 4, NODE = 6 };
    static const struct {
        unsigned behind;
        uint8_t record[32];
        unsigned size;
    } lies[] = {
        /* A file system that comes after files: dev[8] path[s] */
        { NODE, { DEVICE, 11, 0, 0, 0, 1, 2, 3, 4, 0, 0, 0, 0, 1, 0, 'd' },
          16 },
        /* Other inodes with a number that is in use: device upper[8] value */
        { QID_PREFIX, { QID_PREFIX, 16, 0, 0, 0, 0, 0, 0, 0, 9, 9 }, 21 },
    };
    unsigned i;

    for (i = 0; i < ARRAY_SIZE(lies); i++) {
        g_autoptr(GByteArray) stream = g_byte_array_new();
        size_t at = behind_record(t, lies[i].behind);

        g_byte_array_append(stream, t->good->data, at);
        g_byte_array_append(stream, lies[i].record, lies[i].size);
        g_byte_array_append(stream, t->good->data + at, t->good->len - at);
        stl_be_p(stream->data + t->at, be32_at(t, t->at) + lies[i].size);
        g_assert_false(load(t, stream));
    }
}

static void run(void *obj, void *data, QGuestAllocator *alloc)
{
    void (*loads)(Test *t) = data;
    Test t = { .random = 1 };

    t.share = p9_host_make_folder();
    t.tmp = p9_host_make_folder();
    t.options = g_strdup_printf(
        "-m 16M -fsdev local,id=share,path=%s,security_model=none,"
        "on-missing=stale "
        "-device virtio-9p-pci,fsdev=share,mount_tag=tag,addr=%d", t.share,
        SLOT);
    make_good(&t);
    loads(&t);
    g_test_message("%u refused, %u taken", t.refused, t.taken);
    g_byte_array_unref(t.good);
    p9_host_remove(t.share);
    p9_host_remove(t.tmp);
    g_free(t.share);
    g_free(t.tmp);
    g_free(t.options);
}

static void register_tests(void)
{
    static const struct {
        const char *name;
        void (*loads)(Test *t);
    } tests[] = {
        { "good", load_good },
        { "changed", load_changed },
        { "numbers", load_numbers },
        { "sizes", load_sizes },
        { "cut", load_cut },
        { "long", load_long },
        { "lies", load_lies },
    };
    const char *arch = qtest_get_arch();
    unsigned i;

    if (strcmp(arch, "x86_64") && strcmp(arch, "i386")) {
        return;
    }
    for (i = 0; i < ARRAY_SIZE(tests); i++) {
        QOSGraphTestOptions opts = { .arg = tests[i].loads };
        g_autofree char *name = g_strconcat("migrate/hostile/", tests[i].name,
                                            NULL);

        qos_add_test(name, "virtio-9p-pci", run, &opts);
    }
}
libqos_init(register_tests);
