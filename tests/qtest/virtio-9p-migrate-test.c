/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A guest with a mounted share goes on in another QEMU: requests that wait, or
 * that a helper does not answer; a host that takes a lock in between; several
 * devices on one export. virtio-9p-behaviour-move*.c have what does not need
 * machines of its own, virtio-9p-park-test.c a source that goes on, and
 * virtio-9p-migrate-hostile-test.c what a stream should not have.
 */
#include "qemu/osdep.h"
#include "libqtest-single.h"
#include "libqos/qgraph.h"
#include "qemu/module.h"
#include "virtio-9p-host.h"
#include "virtio-9p-machine.h"
#include "virtio-9p-move.h"

#define SLOT        5
#define DEVICE      "-m 128M -device virtio-9p-pci,fsdev=share,mount_tag=tag," \
                    "addr=" stringify(SLOT)
/* Another one of the same export, in the next slot */
#define DEVICE_TWO  " -device virtio-9p-pci,fsdev=share,mount_tag=two,addr=6"
#define FID         1
/* A save waits for a request as long as this, in all; then it fails. */
#define PATIENCE_US (20 * G_USEC_PER_SEC)
#define POLL_US     10000

typedef struct Test {
    char *share;                /* the export; absolute */
    char *tmp;                  /* a folder beside it */
    char *log;                  /* messages of the destination */
    char *options;              /* of QEMU */
    P9Machine m;
    QVirtio9PPCI *dev;
    P9Client *c;
} Test;

static void prepare(Test *t)
{
    t->share = p9_host_make_folder();
    t->tmp = p9_host_make_folder();
    t->log = g_build_filename(t->tmp, "log", NULL);
}

/* @fsdev: a format for the share's path */
static void start(Test *t, const char *fsdev)
{
    g_auto(GStrv) parts = g_strsplit(fsdev, "%s", 2);
    g_autofree char *value = g_strjoinv(t->share, parts);

    t->options = g_strdup_printf("-fsdev %s,id=share " DEVICE DEVICE_TWO,
                                 value);
    p9_machine_start(&t->m, t->options);
    t->dev = qvirtio_9p_pci_new(t->m.bus, &t->m.alloc, QPCI_DEVFN(SLOT, 0));
    t->c = p9c_new(&t->dev->v9p);
    p9c_session(t->c);
}

static void end(Test *t)
{
    if (t->options) {
        p9c_free(t->c);
        qvirtio_9p_pci_free(t->dev);
        p9_machine_end(&t->m);
        g_free(t->options);
    }
    p9_host_remove(t->share);
    p9_host_remove(t->tmp);
    g_free(t->share);
    g_free(t->tmp);
    g_free(t->log);
}

static QTestState *new_qemu(Test *t)
{
    g_autofree char *options = g_strdup_printf(
        "-machine pc -nodefaults %s", t->options);

    return p9_move_new(options, t->log);
}

static void move(Test *t)
{
    QTestState *to = new_qemu(t);
    g_autofree char *error = p9_move(t->m.qts, to);

    g_assert_cmpstr(error, ==, NULL);
    p9_machine_move(&t->m, to);
    p9_move_client(t->c, &t->dev->v9p);
}

static void host_write(Test *t, const char *name, const char *data)
{
    g_autofree char *path = g_build_filename(t->share, name, NULL);

    g_assert_true(g_file_set_contents(path, data, -1, NULL));
}

/*
 * Requests that wait
 */

/* A request that has done nothing begins again at the destination. */
static void test_parked(void *obj, void *data, QGuestAllocator *alloc)
{
    Test t = { };
    P9Call *wait, *flush, *other;

    prepare(&t);
    start(&t, "synth");
    ok(p9c_walk_to(t.c, P9C_ROOT, FID, "FLUSH"));
    ok(p9c_lopen(t.c, FID, P9C_O_WRONLY, NULL, NULL));
    /* Such a write waits until it is flushed. */
    wait = p9c_write_call(t.c, FID, 0, "\1", 1);
    other = p9c_write_call(t.c, FID, 0, "\1", 1);
    p9c_submit(wait);
    p9c_submit(other);
    p9c_pause(t.c);
    move(&t);
    p9c_pause(t.c);
    g_assert_false(p9c_is_done(wait));
    g_assert_false(p9c_is_done(other));
    /* Its tag is in use, as before. */
    flush = p9c_flush_call(t.c, p9c_call_tag(wait));
    p9c_submit(flush);
    ok(p9c_wait(flush));
    p9c_wait_flushed(wait);
    g_assert_cmpuint(p9c_done_order(wait), <, p9c_done_order(flush));
    g_assert_false(p9c_is_done(other));
    p9c_call_end(flush);
    p9c_call_end(wait);
    ok(p9c_flush(t.c, p9c_call_tag(other)));
    p9c_wait_flushed(other);
    p9c_call_end(other);
    ok(p9c_getattr(t.c, P9C_ROOT, P9C_GETATTR_BASIC, NULL));
    end(&t);
}

/* What cannot be cancelled stays where it is, and the guest with it. */
static void test_stuck(void *obj, void *data, QGuestAllocator *alloc)
{
    g_autofree char *error = NULL;
    g_autofree char *path = NULL;
    Test t = { };
    gint64 begin;
    P9Call *call;

    prepare(&t);
    path = g_build_filename(t.tmp, "state", NULL);
    start(&t, "proxy,path=%s");
    p9_host_signal_helpers(SIGSTOP);
    call = p9c_mkdir_call(t.c, P9C_ROOT, "dir", 0755, 0);
    p9c_submit(call);
    p9c_pause(t.c);
    begin = g_get_monotonic_time();
    error = p9_move_save(t.m.qts, path);
    g_assert_nonnull(error);
    g_assert_cmpint(g_get_monotonic_time() - begin, <, PATIENCE_US);
    g_assert_false(p9c_is_done(call));
    p9_host_signal_helpers(SIGCONT);
    ok(p9c_wait(call));
    p9c_call_drop(call);
    fails(p9c_mkdir(t.c, P9C_ROOT, "dir", 0755, 0, NULL), EEXIST);
    move(&t);
    fails(p9c_mkdir(t.c, P9C_ROOT, "dir", 0755, 0, NULL), EEXIST);
    end(&t);
}

/*
 * A message is done once: whatever is under way when the guest moves, each
 * directory is made by one of the two QEMUs, and the guest gets one reply.
 */
static void test_once(void *obj, void *data, QGuestAllocator *alloc)
{
    enum { CALLS = 24, MOVES = 3 };
    P9Call *calls[CALLS];
    Test t = { };
    unsigned i, round;

    prepare(&t);
    start(&t, data);
    for (round = 0; round < MOVES; round++) {
        QTestState *to = new_qemu(&t);
        g_autofree char *error = NULL;

        for (i = 0; i < CALLS; i++) {
            g_autofree char *name = g_strdup_printf("d%u-%u", round, i);

            calls[i] = p9c_mkdir_call(t.c, P9C_ROOT, name, 0755, 0);
            p9c_submit(calls[i]);
        }
        error = p9_move(t.m.qts, to);
        g_assert_cmpstr(error, ==, NULL);
        p9_machine_move(&t.m, to);
        p9_move_client(t.c, &t.dev->v9p);
        for (i = 0; i < CALLS; i++) {
            ok(p9c_wait(calls[i]));
            p9c_call_drop(calls[i]);
        }
    }
    end(&t);
}

/*
 * Locks
 */

static int host_lock(int fd, short type)
{
    struct flock fl = { .l_type = type, .l_whence = SEEK_SET };

    return fcntl(fd, F_OFD_SETLK, &fl) < 0 ? errno : 0;
}

static void wait_log(Test *t, const char *text)
{
    gint64 end = g_get_monotonic_time() + PATIENCE_US;
    bool found = false;

    while (!found) {
        g_autofree char *log = NULL;

        g_assert_true(g_file_get_contents(t->log, &log, NULL, NULL));
        found = strstr(log, text);
        g_assert_cmpint(g_get_monotonic_time(), <, end);
        g_usleep(POLL_US);
    }
}

/*
 * A host that takes the guest's lock for reading while the guest is saved, and
 * keeps it, keeps the guest from its lock for writing. QEMU says so.
 */
static void test_lock_late(void *obj, void *data, QGuestAllocator *alloc)
{
    P9CLock lock = { .type = P9C_LOCK_WRLCK, .client_id = "guest" };
    g_autofree char *state = NULL;
    g_autofree char *path = NULL;
    g_autofree char *error = NULL;
    QTestState *to;
    uint8_t status;
    Test t = { };
    gint64 begin;
    int fd;

    prepare(&t);
    host_write(&t, "late", "");
    start(&t, "local,path=%s,security_model=none");
    ok(p9c_walk_to(t.c, P9C_ROOT, FID, "late"));
    ok(p9c_lopen(t.c, FID, P9C_O_RDWR, NULL, NULL));
    ok(p9c_lock(t.c, FID, &lock, &status));
    g_assert_cmpuint(status, ==, P9C_LOCK_SUCCESS);
    state = g_build_filename(t.tmp, "state", NULL);
    error = p9_move_save(t.m.qts, state);
    g_assert_cmpstr(error, ==, NULL);
    begin = g_get_monotonic_time();
    path = g_build_filename(t.share, "late", NULL);
    fd = open(path, O_RDWR);
    g_assert_cmpint(fd, >=, 0);
    while (host_lock(fd, F_RDLCK)) {
        g_assert_cmpint(g_get_monotonic_time() - begin, <, PATIENCE_US);
        g_usleep(POLL_US);
    }
    to = new_qemu(&t);
    error = p9_move_load(to, state);
    g_assert_cmpstr(error, ==, NULL);
    p9_machine_move(&t.m, to);
    p9_move_client(t.c, &t.dev->v9p);
    /* The guest works meanwhile. */
    ok(p9c_getattr(t.c, FID, P9C_GETATTR_BASIC, NULL));
    wait_log(&t, "late");
    ok(p9c_getattr(t.c, FID, P9C_GETATTR_BASIC, NULL));
    close(fd);
    end(&t);
}

/*
 * Several devices
 */

/* Two mounts of one export share its nodes and the numbers of its inodes. */
static void test_two_devices(void *obj, void *data, QGuestAllocator *alloc)
{
    Test t = { };
    QVirtio9PPCI *dev;
    P9CAttr a, b;
    P9Client *c;

    prepare(&t);
    host_write(&t, "f", "data");
    start(&t, data);
    dev = qvirtio_9p_pci_new(t.m.bus, &t.m.alloc, QPCI_DEVFN(SLOT + 1, 0));
    c = p9c_new(&dev->v9p);
    p9c_session(c);
    ok(p9c_walk_to(t.c, P9C_ROOT, FID, "f"));
    ok(p9c_walk_to(c, P9C_ROOT, FID, "f"));
    ok(p9c_renameat(t.c, P9C_ROOT, "f", P9C_ROOT, "g"));
    ok(p9c_getattr(t.c, FID, P9C_GETATTR_BASIC, &a));
    move(&t);
    p9_move_client(c, &dev->v9p);
    ok(p9c_getattr(c, FID, P9C_GETATTR_BASIC, &b));
    g_assert_cmphex(a.qid.path, ==, b.qid.path);
    ok(p9c_getattr(t.c, FID, P9C_GETATTR_BASIC, &b));
    g_assert_cmphex(a.qid.path, ==, b.qid.path);
    /* One's rename is known to the other, as before. */
    ok(p9c_renameat(t.c, P9C_ROOT, "g", P9C_ROOT, "h"));
    ok(p9c_remove(c, FID));
    fails(p9c_walk_to(t.c, P9C_ROOT, 2, "h"), ENOENT);
    p9c_free(c);
    qvirtio_9p_pci_free(dev);
    end(&t);
}

static void register_tests(void)
{
    static const struct {
        const char *name;
        void (*fn)(void *obj, void *data, QGuestAllocator *alloc);
        const char *fsdev;
    } tests[] = {
        { "parked", test_parked },
        { "once/local", test_once, "local,path=%s,security_model=none" },
        { "lock-late", test_lock_late },
        { "two-devices/local", test_two_devices,
          "local,path=%s,security_model=none" },
#ifdef CONFIG_VIRTFS_PROXY_HELPER
        { "once/proxy", test_once, "proxy,path=%s" },
        { "stuck", test_stuck },
        { "two-devices/proxy", test_two_devices, "proxy,path=%s" },
#endif
    };
    const char *arch = qtest_get_arch();
    unsigned i;

    if (strcmp(arch, "x86_64") && strcmp(arch, "i386")) {
        return;
    }
    for (i = 0; i < ARRAY_SIZE(tests); i++) {
        QOSGraphTestOptions opts = { .arg = (void *)tests[i].fsdev };
        g_autofree char *name = g_strconcat("migrate/", tests[i].name, NULL);

        qos_add_test(name, "virtio-9p-pci", tests[i].fn, &opts);
    }
}
libqos_init(register_tests);
