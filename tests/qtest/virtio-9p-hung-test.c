/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A file server on the host that never answers, below the export. For each kind
 * of request to it: QMP and the export's other files go on, a reset of the
 * device ends, and so do Tflush, stop and unplugging.
 *
 * The share is in the current folder, which is on tmpfs, or in /var/tmp. Each
 * kind has a file system of its own (hung-fuse.h): in one where a call hangs,
 * others wait for it in the kernel.
 */
#include "qemu/osdep.h"
#include <sys/mount.h>
#include "libqtest-single.h"
#include "libqos/qgraph.h"
#include "qobject/qdict.h"
#include "qemu/module.h"
#include "libqos/virtio-9p-client.h"
#include "virtio-9p-host.h"
#include "virtio-9p-machine.h"
#include "virtio-9p-move.h"
#include "../unit/shared/hung-fuse.h"

#define SLOT        5
/* Calls of each kind */
#define HUNG_CALLS  3
/* More calls than a file system may have threads, in QEMU and in the helper */
#define MANY_CALLS  60
/* More than both have together on any file system */
#define LEASE_CALLS 100
/* Tries, of which the quickest counts: the machine may be busy. */
#define TRIES       10
#define MORE_TRIES  100

#define QMP_MAX_US      (100 * 1000)
/* What another file may take besides twice its usual time */
#define SLACK_US        (5 * 1000)
/* A reset waits a second for requests that go on. */
#define RESET_MAX_US    (10 * G_USEC_PER_SEC)
/* A Tflush waits ten. */
#define FLUSH_MAX_US    (20 * G_USEC_PER_SEC)
#define AT_ONCE_US      (1 * G_USEC_PER_SEC)

/* Fids */
enum { HUNG = 10, FILE_FID, OPEN_FILE, DIR_FID, OPEN_DIR, OTHER, NEW };

static P9Call *call_lookup(P9Client *c, unsigned i)
{
    return p9c_walk_call(c, HUNG, NEW + i, "dir");
}

static P9Call *call_getattr(P9Client *c, unsigned i)
{
    return p9c_getattr_call(c, FILE_FID);
}

static P9Call *call_setattr(P9Client *c, unsigned i)
{
    return p9c_request(c, P9C_TSETATTR,
                       PUT(U32(FILE_FID), U32(P9C_SETATTR_MODE), U32(0600),
                           U32(0), U32(0), U64(0), U64(0), U64(0), U64(0),
                           U64(0)));
}

static P9Call *call_open(P9Client *c, unsigned i)
{
    return p9c_request(c, P9C_TLOPEN, PUT(U32(FILE_FID), U32(P9C_O_RDONLY)));
}

static P9Call *call_read(P9Client *c, unsigned i)
{
    return p9c_read_call(c, OPEN_FILE, 0, 4);
}

static P9Call *call_write(P9Client *c, unsigned i)
{
    return p9c_write_call(c, OPEN_FILE, 0, "new", 3);
}

static P9Call *call_getxattr(P9Client *c, unsigned i)
{
    return p9c_request(c, P9C_TXATTRWALK,
                       PUT(U32(FILE_FID), U32(NEW + i), STR("user.x")));
}

static P9Call *call_readdir(P9Client *c, unsigned i)
{
    return p9c_request(c, P9C_TREADDIR,
                       PUT(U32(OPEN_DIR), U64(0), U32(1000)));
}

static P9Call *call_statfs(P9Client *c, unsigned i)
{
    return p9c_request(c, P9C_TSTATFS, PUT(U32(FILE_FID)));
}

static P9Call *call_fsync(P9Client *c, unsigned i)
{
    return p9c_request(c, P9C_TFSYNC, PUT(U32(OPEN_FILE), U32(0)));
}

static P9Call *call_mkdir(P9Client *c, unsigned i)
{
    return p9c_mkdir_call(c, DIR_FID, "new", 0755, 0);
}

static P9Call *call_unlink(P9Client *c, unsigned i)
{
    return p9c_request(c, P9C_TUNLINKAT,
                       PUT(U32(DIR_FID), STR("inner"), U32(0)));
}

static P9Call *call_rename(P9Client *c, unsigned i)
{
    return p9c_request(c, P9C_TRENAMEAT,
                       PUT(U32(DIR_FID), STR("inner"), U32(HUNG),
                           STR("moved")));
}

static P9Call *call_clunk(P9Client *c, unsigned i)
{
    return p9c_clunk_call(c, OPEN_FILE);
}

static const struct {
    const char *name;
    unsigned opcode;
    P9Call *(*call)(P9Client *c, unsigned i);
    bool answered;              /* the guest does not wait for the server */
} kinds[] = {
    { "lookup", FUSE_LOOKUP, call_lookup },
    { "getattr", FUSE_GETATTR, call_getattr },
    { "setattr", FUSE_SETATTR, call_setattr },
    { "open", FUSE_OPEN, call_open },
    { "read", FUSE_READ, call_read },
    { "write", FUSE_WRITE, call_write },
    { "getxattr", FUSE_GETXATTR, call_getxattr },
    { "readdir", FUSE_READDIR, call_readdir },
    { "statfs", FUSE_STATFS, call_statfs },
    { "fsync", FUSE_FSYNC, call_fsync },
    { "mkdir", FUSE_MKDIR, call_mkdir },
    { "unlink", FUSE_UNLINK, call_unlink },
    { "rename", FUSE_RENAME, call_rename },
    { "flush", FUSE_FLUSH, call_clunk, true },
    { "release", FUSE_RELEASE, call_clunk, true },
};

typedef struct Hung {
    P9Machine m;
    char *share;
    HungFuse *fuse[ARRAY_SIZE(kinds)];
    QVirtio9PPCI *dev;
    P9Client *c;
} Hung;

typedef struct Where {
    const char *name;
    const char *fsdev;          /* "%s" is the folder */
    bool iothread;
    bool storage;               /* in /var/tmp */
    unsigned chmod;             /* its request, if not FUSE_SETATTR */
} Where;

static void make_share(Hung *h, const Where *w)
{
    g_autofree char *other = NULL;

    memset(h, 0, sizeof(*h));
    if (w->storage) {
        h->share = g_strdup("/var/tmp/qtest-9p-hung-XXXXXX");
        g_assert_nonnull(g_mkdtemp_full(h->share, 0755));
    } else {
        h->share = p9_host_make_folder();
    }
    other = g_build_filename(h->share, "other", NULL);
    g_assert_true(g_file_set_contents(other, "text", 4, NULL));
}

static void drop_share(Hung *h)
{
    p9_host_remove(h->share);
    g_free(h->share);
}

static void start_machine(Hung *h, const Where *w)
{
    g_autofree char *fsdev = NULL, *options = NULL;

    fsdev = g_strdup_printf(w->fsdev, h->share);
    options = g_strdup_printf("-fsdev %s,id=share -object iothread,id=one",
                              fsdev);
    p9_machine_start(&h->m, options);
    if (w->iothread) {
        qtest_qmp_device_add(h->m.qts, "virtio-9p-pci", "share0",
                             "{'fsdev': 'share', 'mount_tag': 'tag',"
                             " 'addr': '5', 'iothread': 'one'}");
    } else {
        qtest_qmp_device_add(h->m.qts, "virtio-9p-pci", "share0",
                             "{'fsdev': 'share', 'mount_tag': 'tag',"
                             " 'addr': '5'}");
    }
    h->dev = qvirtio_9p_pci_new(h->m.bus, &h->m.alloc, QPCI_DEVFN(SLOT, 0));
    h->c = p9c_new(&h->dev->v9p);
}

/* Mounts @n file systems, and starts a machine that serves the share. */
static bool start(Hung *h, const Where *w, unsigned n)
{
    unsigned i;

    make_share(h, w);
    for (i = 0; i < n; i++) {
        g_autofree char *at = g_build_filename(h->share, kinds[i].name, NULL);

        g_assert_cmpint(mkdir(at, 0755), ==, 0);
        h->fuse[i] = hung_fuse_start_or_skip(at);
        if (!h->fuse[i]) {
            drop_share(h);
            return false;
        }
    }
    start_machine(h, w);
    return true;
}

/* The server goes first: calls in the kernel end, and QEMU can. */
static void finish(Hung *h)
{
    unsigned i;

    for (i = 0; i < ARRAY_SIZE(kinds); i++) {
        if (h->fuse[i]) {
            hung_fuse_end(h->fuse[i]);
        }
    }
    if (h->c) {
        p9c_free(h->c);
    }
    qvirtio_9p_pci_free(h->dev);
    p9_machine_end(&h->m);
    drop_share(h);
}

static void session(Hung *h, const char *name)
{
    g_autofree char *file = g_strconcat(name, "/file", NULL);
    g_autofree char *dir = g_strconcat(name, "/dir", NULL);
    P9Client *c = h->c;

    p9c_session(c);
    ok(p9c_walk_to(c, P9C_ROOT, OTHER, "other"));
    if (*name) {
        ok(p9c_walk_to(c, P9C_ROOT, HUNG, name));
        ok(p9c_walk_to(c, P9C_ROOT, FILE_FID, file));
        ok(p9c_walk_to(c, P9C_ROOT, OPEN_FILE, file));
        ok(p9c_lopen(c, OPEN_FILE, P9C_O_RDWR, NULL, NULL));
        ok(p9c_walk_to(c, P9C_ROOT, DIR_FID, dir));
        ok(p9c_walk_to(c, P9C_ROOT, OPEN_DIR, dir));
        ok(p9c_lopen(c, OPEN_DIR, P9C_O_RDONLY, NULL, NULL));
    }
}

static gint64 qmp_us(QTestState *qts)
{
    gint64 start, best = G_MAXINT64;
    unsigned i;

    for (i = 0; i < TRIES; i++) {
        start = g_get_monotonic_time();
        qtest_qmp_assert_success(qts, "{'execute': 'query-status'}");
        best = MIN(best, g_get_monotonic_time() - start);
    }
    return best;
}

/*
 * Finds, opens, reads and closes the share's own file. The quickest time
 * counts, and if that is not below @enough, there are more tries: a busy
 * machine makes most of them slow, but a wait for the hung server makes all so.
 */
static gint64 other_us(Hung *h, gint64 enough)
{
    gint64 start, best = G_MAXINT64;
    P9Client *c = h->c;
    char buf[4];
    uint32_t got;
    unsigned i;

    for (i = 0; i < TRIES || (best >= enough && i < MORE_TRIES); i++) {
        start = g_get_monotonic_time();
        ok(p9c_walk_to(c, P9C_ROOT, 1, "other"));
        ok(p9c_lopen(c, 1, P9C_O_RDWR, NULL, NULL));
        ok(p9c_read(c, 1, 0, 4, buf, &got));
        ok(p9c_clunk(c, 1));
        ok(p9c_getattr(c, OTHER, P9C_GETATTR_BASIC, NULL));
        best = MIN(best, g_get_monotonic_time() - start);
    }
    return best;
}

static void reset(Hung *h)
{
    gint64 start = g_get_monotonic_time();

    p9c_reset(h->c);
    g_assert_cmpint(g_get_monotonic_time() - start, <, RESET_MAX_US);
}

static void test_kinds(void *obj, void *data, QGuestAllocator *alloc)
{
    const Where *w = data;
    gint64 usual, limit = 0;
    unsigned i, j, n;
    Hung h;

    if (!start(&h, w, ARRAY_SIZE(kinds))) {
        return;
    }
    session(&h, "");
    usual = other_us(&h, G_MAXINT64);
    p9c_reset(h.c);
    for (i = 0; i < ARRAY_SIZE(kinds); i++) {
        P9Call *calls[HUNG_CALLS];

        g_test_message("%s", kinds[i].name);
        session(&h, kinds[i].name);
        hung_fuse_hang(h.fuse[i], kinds[i].opcode == FUSE_SETATTR && w->chmod
                                  ? w->chmod : kinds[i].opcode, HUNG_ALL);
        n = kinds[i].answered ? 1 : HUNG_CALLS;
        for (j = 0; j < n; j++) {
            calls[j] = kinds[i].call(h.c, j);
            p9c_submit(calls[j]);
        }
        if (kinds[i].answered) {
            ok(p9c_wait(calls[0]));
            p9c_call_end(calls[0]);
        }
        g_assert_true(hung_fuse_wait(h.fuse[i], 1));
        g_assert_cmpint(qmp_us(h.m.qts), <, QMP_MAX_US);
        limit = 2 * usual + SLACK_US;
        g_assert_cmpint(other_us(&h, limit), <, limit);
        for (j = 0; j < n && !kinds[i].answered; j++) {
            g_assert_false(p9c_is_done(calls[j]));
        }
        reset(&h);
    }
    session(&h, "");
    g_assert_cmpint(other_us(&h, limit), <, limit);
    finish(&h);
}

/* Tflush of what waits for a thread, and of what has one */
static void test_flush(void *obj, void *data, QGuestAllocator *alloc)
{
    P9Call *calls[MANY_CALLS];
    P9Call *last, *first, *flush;
    gint64 start_us;
    unsigned i;
    Hung h;

    if (!start(&h, data, 2)) {
        return;
    }
    session(&h, "getattr");
    hung_fuse_hang(h.fuse[1], FUSE_GETATTR, HUNG_ALL);
    for (i = 0; i < MANY_CALLS; i++) {
        calls[i] = call_getattr(h.c, i);
        p9c_submit(calls[i]);
    }
    first = calls[0];
    last = calls[MANY_CALLS - 1];
    g_assert_true(hung_fuse_wait(h.fuse[1], 1));
    other_us(&h, G_MAXINT64);

    start_us = g_get_monotonic_time();
    ok(p9c_flush(h.c, p9c_call_tag(last)));
    g_assert_cmpint(g_get_monotonic_time() - start_us, <, AT_ONCE_US);
    p9c_wait_flushed(last);
    p9c_call_end(last);

    start_us = g_get_monotonic_time();
    flush = p9c_flush_call(h.c, p9c_call_tag(first));
    p9c_submit(flush);
    ok(p9c_wait(flush));
    g_assert_cmpint(g_get_monotonic_time() - start_us, <, FLUSH_MAX_US);
    fails(p9c_wait(first), EIO);
    g_assert_cmpuint(p9c_done_order(first), <, p9c_done_order(flush));
    p9c_call_end(flush);
    p9c_call_end(first);
    other_us(&h, G_MAXINT64);

    /* The server answers at last: the late results change nothing. */
    hung_fuse_end(h.fuse[1]);
    h.fuse[1] = NULL;
    for (i = 1; i < MANY_CALLS - 1; i++) {
        g_assert_cmpint(p9c_wait(calls[i]), !=, 0);
        p9c_call_end(calls[i]);
    }
    other_us(&h, G_MAXINT64);
    finish(&h);
}

/* A new session ends the requests of the one before; a read of a directory */
static void test_version(void *obj, void *data, QGuestAllocator *alloc)
{
    P9Call *calls[MANY_CALLS];
    gint64 start_us;
    unsigned i;
    Hung h;

    if (!start(&h, data, 8)) {
        return;
    }
    session(&h, "readdir");
    hung_fuse_hang(h.fuse[7], FUSE_READDIR, HUNG_ALL);
    for (i = 0; i < MANY_CALLS; i++) {
        calls[i] = call_readdir(h.c, i);
        p9c_submit(calls[i]);
    }
    g_assert_true(hung_fuse_wait(h.fuse[7], 1));
    start_us = g_get_monotonic_time();
    session(&h, "");
    g_assert_cmpint(g_get_monotonic_time() - start_us, <, FLUSH_MAX_US);
    for (i = 0; i < MANY_CALLS; i++) {
        g_assert_true(p9c_is_done(calls[i]));
        p9c_call_drop(calls[i]);
    }
    other_us(&h, G_MAXINT64);
    /* Late results end in the middle of the new session. */
    hung_fuse_end(h.fuse[7]);
    h.fuse[7] = NULL;
    other_us(&h, G_MAXINT64);
    session(&h, "read");
    other_us(&h, G_MAXINT64);
    finish(&h);
}

/* stop, cont, system_reset and unplugging with a read that hangs */
static void test_machine(void *obj, void *data, QGuestAllocator *alloc)
{
    gint64 start_us;
    P9Call *read;
    Hung h;

    if (!start(&h, data, 5)) {
        return;
    }
    session(&h, "read");
    hung_fuse_hang(h.fuse[4], FUSE_READ, HUNG_ALL);
    read = call_read(h.c, 0);
    p9c_submit(read);
    g_assert_true(hung_fuse_wait(h.fuse[4], 1));

    start_us = g_get_monotonic_time();
    qtest_qmp_assert_success(h.m.qts, "{'execute': 'stop'}");
    qtest_qmp_assert_success(h.m.qts, "{'execute': 'cont'}");
    g_assert_cmpint(g_get_monotonic_time() - start_us, <, AT_ONCE_US);
    g_assert_false(p9c_is_done(read));
    other_us(&h, G_MAXINT64);

    start_us = g_get_monotonic_time();
    qpci_unplug_acpi_device_test(h.m.qts, "share0", SLOT);
    g_assert_cmpint(g_get_monotonic_time() - start_us, <, RESET_MAX_US);
    g_assert_cmpint(qmp_us(h.m.qts), <, QMP_MAX_US);
    g_test_queue_free(h.c);
    h.c = NULL;
    finish(&h);
}

/* A QEMU like that of start(), for a guest that comes */
static QTestState *destination(const Hung *h, const Where *w)
{
    g_autofree char *fsdev = g_strdup_printf(w->fsdev, h->share);
    g_autofree char *options = g_strdup_printf(
        "-machine pc -nodefaults -fsdev %s,id=share -object iothread,id=one "
        "-device virtio-9p-pci,id=share0,fsdev=share,mount_tag=tag,addr=5%s",
        fsdev, w->iothread ? ",iothread=one" : "");

    return p9_move_new(options, NULL);
}

/*
 * The guest moves; the destination waits for the server when it finds files.
 * Returns the destination, or NULL if the test skips.
 */
static QTestState *load(Hung *h, const Where *w)
{
    g_autofree char *error = NULL;
    QTestState *to;

    if (!start(h, w, 1)) {
        return NULL;
    }
    session(h, kinds[0].name);
    to = destination(h, w);
    hung_fuse_hang(h->fuse[0], FUSE_LOOKUP, HUNG_ALL);
    hung_fuse_hang(h->fuse[0], FUSE_GETATTR, HUNG_ALL);
    hung_fuse_hang(h->fuse[0], FUSE_OPEN, HUNG_ALL);
    error = p9_move_begin(h->m.qts, to);
    g_assert_cmpstr(error, ==, NULL);
    g_assert_true(hung_fuse_wait(h->fuse[0], 1));
    g_assert_cmpint(qmp_us(h->m.qts), <, QMP_MAX_US);
    g_assert_cmpint(qmp_us(to), <, QMP_MAX_US);
    return to;
}

static void test_load(void *obj, void *data, QGuestAllocator *alloc)
{
    g_autofree char *error = NULL;
    Hung h;
    QTestState *to = load(&h, data);

    if (!to) {
        return;
    }
    hung_fuse_answer(h.fuse[0]);
    error = p9_move_end(h.m.qts, to);
    g_assert_cmpstr(error, ==, NULL);
    p9_machine_move(&h.m, to);
    p9_move_client(h.c, &h.dev->v9p);
    other_us(&h, G_MAXINT64);
    ok(p9c_getattr(h.c, FILE_FID, P9C_GETATTR_BASIC, NULL));
    ok(p9c_clunk(h.c, OPEN_FILE));
    finish(&h);
}

/* The destination's device is reset meanwhile; the guest stays. */
static void test_load_reset(void *obj, void *data, QGuestAllocator *alloc)
{
    g_autofree char *error = NULL;
    Hung h;
    QTestState *to = load(&h, data);

    if (!to) {
        return;
    }
    qtest_system_reset(to);
    hung_fuse_answer(h.fuse[0]);
    error = p9_move_end(h.m.qts, to);
    g_assert_nonnull(error);
    g_assert_nonnull(strstr(error, "was reset"));
    qtest_quit(to);
    other_us(&h, G_MAXINT64);
    ok(p9c_getattr(h.c, FILE_FID, P9C_GETATTR_BASIC, NULL));
    finish(&h);
}

/*
 * A process on the host has leases and does not answer. More opens than there
 * are threads, and changes of size, wait for it; all else goes on.
 */
static void test_leases(void *obj, void *data, QGuestAllocator *alloc)
{
    void (*old)(int) = signal(SIGIO, SIG_IGN);
    g_autofree char *path = NULL;
    P9Call *calls[LEASE_CALLS];
    gint64 start_us;
    unsigned i, n;
    Hung h;
    int fd;

    if (!start(&h, data, 0)) {
        return;
    }
    session(&h, "");
    path = g_build_filename(h.share, "leased", NULL);
    g_assert_true(g_file_set_contents(path, "text", 4, NULL));
    fd = open(path, O_RDWR | O_CLOEXEC);
    g_assert_cmpint(fd, >=, 0);
    g_assert_cmpint(fcntl(fd, F_SETLEASE, F_WRLCK), ==, 0);

    n = LEASE_CALLS - 1;
    for (i = 0; i < LEASE_CALLS; i++) {
        ok(p9c_walk_to(h.c, P9C_ROOT, NEW + i, "leased"));
    }
    for (i = 0; i < n; i++) {
        calls[i] = p9c_request(h.c, P9C_TLOPEN,
                               PUT(U32(NEW + i), U32(P9C_O_RDONLY)));
        p9c_submit(calls[i]);
    }
    calls[n] = p9c_request(h.c, P9C_TSETATTR,
                           PUT(U32(NEW + n), U32(P9C_SETATTR_SIZE), U32(0),
                               U32(0), U32(0), U64(2), U64(0), U64(0), U64(0),
                               U64(0)));
    p9c_submit(calls[n]);

    start_us = g_get_monotonic_time();
    g_assert_cmpint(qmp_us(h.m.qts), <, QMP_MAX_US);
    other_us(&h, G_MAXINT64);
    for (i = 0; i < LEASE_CALLS; i++) {
        g_assert_false(p9c_is_done(calls[i]));
    }
    ok(p9c_flush(h.c, p9c_call_tag(calls[0])));
    p9c_wait_flushed(calls[0]);
    g_assert_cmpint(g_get_monotonic_time() - start_us, <,
                    TRIES * AT_ONCE_US);

    /* The holder answers at last. */
    g_assert_cmpint(fcntl(fd, F_SETLEASE, F_UNLCK), ==, 0);
    for (i = 1; i < LEASE_CALLS; i++) {
        ok(p9c_wait(calls[i]));
        p9c_call_drop(calls[i]);
    }
    p9c_call_end(calls[0]);
    g_assert_cmpint(g_get_monotonic_time() - start_us, <,
                    2 * TRIES * AT_ONCE_US);
    close(fd);
    signal(SIGIO, old);
    finish(&h);
}

/*
 * The host has unmounted a file system lazily, and the guest's last fid keeps
 * it: QEMU's close(2), or the helper's, ends it, which takes long. The share is
 * a shared mount, as on most hosts: so the helper's mount goes, too.
 */
static void test_detached(void *obj, void *data, QGuestAllocator *alloc)
{
    g_autofree char *at = NULL;
    gint64 usual, limit;
    HungFuse *fuse = NULL;
    Hung h;

    make_share(&h, data);
    at = g_build_filename(h.share, "disk", NULL);
    g_assert_cmpint(mkdir(at, 0755), ==, 0);
    if (mount(h.share, h.share, NULL, MS_BIND, NULL) < 0) {
        g_test_skip("needs the right to mount");
        drop_share(&h);
        return;
    }
    g_assert_cmpint(mount(NULL, h.share, NULL, MS_SHARED, NULL), ==, 0);
    fuse = hung_fuse_start_disk_or_skip(at);
    if (!fuse) {
        umount2(h.share, MNT_DETACH);
        drop_share(&h);
        return;
    }
    start_machine(&h, data);
    session(&h, "");
    usual = other_us(&h, G_MAXINT64);
    limit = 2 * usual + SLACK_US;
    ok(p9c_walk_to(h.c, P9C_ROOT, HUNG, "disk"));
    ok(p9c_walk_to(h.c, P9C_ROOT, FILE_FID, "disk/file"));
    hung_fuse_hang(fuse, FUSE_DESTROY, HUNG_ALL);
    g_assert_cmpint(umount2(at, MNT_DETACH), ==, 0);
    g_assert_cmpuint(hung_fuse_waiting(fuse), ==, 0);
    ok(p9c_clunk(h.c, FILE_FID));
    ok(p9c_clunk(h.c, HUNG));
    g_assert_true(hung_fuse_wait(fuse, 1));
    g_assert_cmpint(qmp_us(h.m.qts), <, QMP_MAX_US);
    g_assert_cmpint(other_us(&h, limit), <, limit);
    hung_fuse_answer(fuse);
    hung_fuse_end(fuse);
    umount2(h.share, MNT_DETACH);
    finish(&h);
}

static const Where places[] = {
    { "local", "local,path=%s,security_model=passthrough" },
    { "local-storage", "local,path=%s,security_model=passthrough",
      .storage = true },
    { "local-iothread", "local,path=%s,security_model=none",
      .iothread = true },
    { "local-mapped", "local,path=%s,security_model=mapped-xattr",
      .chmod = FUSE_SETXATTR },
    { "local-mapped-storage", "local,path=%s,security_model=mapped-xattr",
      .chmod = FUSE_SETXATTR, .storage = true },
    { "local-mapped-file", "local,path=%s,security_model=mapped-file",
      .chmod = FUSE_MKDIR },
    { "local-mapped-file-storage", "local,path=%s,security_model=mapped-file",
      .chmod = FUSE_MKDIR, .storage = true },
#ifdef CONFIG_VIRTFS_PROXY_HELPER
    { "proxy", "proxy,path=%s" },
    { "proxy-storage", "proxy,path=%s", .storage = true },
    { "proxy-iothread", "proxy,path=%s", .iothread = true },
#endif
};

static void register_tests(void)
{
    static const P9MachineTest tests[] = {
        { "kinds", test_kinds },
        { "flush", test_flush },
        { "version", test_version },
        { "machine", test_machine },
        { "load", test_load },
        { "load-reset", test_load_reset },
        { "leases", test_leases },
        { "detached", test_detached },
    };
    const char *arch = qtest_get_arch();
    unsigned i;

    if (strcmp(arch, "x86_64") && strcmp(arch, "i386")) {
        return;
    }
    for (i = 0; i < ARRAY_SIZE(places); i++) {
        p9_machine_tests("hung", places[i].name, &places[i], tests,
                         ARRAY_SIZE(tests));
    }
}
libqos_init(register_tests);
