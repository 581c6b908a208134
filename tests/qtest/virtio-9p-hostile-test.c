/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A helper that lies to the real QEMU: after every lie the guest gets a reply,
 * and QEMU, the rest of the device and other exports go on (virtio-9p-hostile.h
 * describes the lies).
 *
 * A lie that breaks the protocol ends the channel: from then on everything that
 * needs the helper fails with EIO, and operations on descriptors that QEMU
 * holds go on. A lie about one file fails that request, or none.
 */
#include "qemu/osdep.h"
#include <sys/xattr.h>
#include "libqtest-single.h"
#include "qemu/atomic.h"
#include "qemu/module.h"
#include "qemu/units.h"
#include "virtio-9p-host.h"
#include "virtio-9p-hostile.h"

#define ROOT            P9C_ROOT
#define MSIZE           (64 * KiB)
/* Slot of the device that serves the other export */
#define OTHER_SLOT      0x10

/* Fids that a test has from the start */
enum {
    FID_F = 1,                  /* the file f */
    FID_OPEN,                   /* the same, open */
    FID_LINK,                   /* the symbolic link l */
    FID_NEW,                    /* the first free one */
};

typedef struct Test {
    const Lie *lies;            /* a lie that ends the channel is the last */
    void (*run)(struct Test *t);
    bool donate_off;
    char *dir;
    Relay relay;
    QVirtio9P *v9p;
    P9Client *c;
    P9Client *other;            /* of the other device */
    QVirtio9P other_v9p;
} Test;

/*
 * 9P messages
 */

static int walk(Test *t, uint32_t fid, uint32_t newfid, const char *path)
{
    return p9c_walk_to(t->c, fid, newfid, path);
}

/* Sets an attribute, or removes it with @size 0. */
static int set_xattr(Test *t, uint32_t fid, uint32_t size)
{
    ok(walk(t, FID_F, fid, ""));
    /* Linux' client removes one by an empty value with XATTR_REPLACE. */
    ok(p9c_xattrcreate(t->c, fid, "user.a", size,
                       size ? 0 : XATTR_REPLACE));
    if (size) {
        ok(p9c_write(t->c, fid, 0, "xxxxxxxx", size, NULL));
    }
    return p9c_clunk(t->c, fid);
}

static int open_clone(Test *t, uint32_t fid)
{
    ok(walk(t, FID_F, fid, ""));
    return p9c_lopen(t->c, fid, P9C_O_RDWR, NULL, NULL);
}

static int create(Test *t, uint32_t fid)
{
    g_autofree char *name = g_strdup_printf("new%u", fid);

    ok(walk(t, ROOT, fid, ""));
    return p9c_lcreate(t->c, fid, name, P9C_O_RDWR, 0600, 0, NULL, NULL);
}

/*
 * Sends a message that makes QEMU send a request of @type, and returns its
 * result. @fid and the next one are free.
 */
static int evoke(Test *t, ProxyType type, uint32_t fid)
{
    static const P9CSetAttr mode = { .valid = P9C_SETATTR_MODE, .mode = 0640 };
    g_autofree char *name = g_strdup_printf("n%u", fid);
    g_autofree char *target = NULL;
    P9CAttr attr;
    P9CStatfs st;

    switch (type) {
    case PROXY_WALK:
        return walk(t, ROOT, fid, "g");
    case PROXY_GETATTR:
        return p9c_getattr(t->c, FID_F, P9C_GETATTR_ALL, &attr);
    case PROXY_SETATTR:
        return p9c_setattr(t->c, FID_F, &mode);
    case PROXY_READLINK:
        return p9c_readlink(t->c, FID_LINK, &target);
    case PROXY_STATFS:
        return p9c_statfs(t->c, FID_F, &st);
    case PROXY_OPEN:
        return open_clone(t, fid);
    case PROXY_CREATE:
        return create(t, fid);
    case PROXY_MAKE:
        return p9c_mkdir(t->c, ROOT, name, 0700, 0, NULL);
    case PROXY_LINK:
        return p9c_link(t->c, ROOT, FID_F, name);
    case PROXY_RENAME:
        return p9c_renameat(t->c, ROOT, "r", ROOT, "s");
    case PROXY_UNLINK:
        return p9c_unlinkat(t->c, ROOT, "u", 0);
    case PROXY_GETXATTR:
        return p9c_xattrwalk(t->c, FID_F, fid, "user.x", NULL);
    case PROXY_SETXATTR:
        return set_xattr(t, fid, 4);
    case PROXY_REMOVEXATTR:
        return set_xattr(t, fid, 0);
    default:
        g_assert_not_reached();
    }
}

/*
 * Checks after each lie
 */

static void read_is(P9Client *c, uint32_t fid, const char *data)
{
    char buf[64];
    uint32_t n;

    ok(p9c_read(c, fid, 0, sizeof(buf), buf, &n));
    g_assert_cmpmem(buf, n, data, strlen(data));
}

/* QEMU, and everything that does not need the helper, must work. */
static void check_rest(Test *t)
{
    uint32_t n;

    qtest_qmp_assert_success(global_qtest, "{ 'execute': 'query-status' }");
    g_assert_false(p9c_needs_reset(t->c));
    ok(p9c_write(t->c, FID_OPEN, 0, "data", 4, &n));
    read_is(t->c, FID_OPEN, "data");

    ok(p9c_walk_to(t->other, ROOT, 1, "stat"));
    ok(p9c_clunk(t->other, 1));
}

static void check_serves(Test *t)
{
    P9CAttr attr;

    check_rest(t);
    ok(walk(t, ROOT, 900, "d/x"));
    ok(p9c_getattr(t->c, 900, P9C_GETATTR_BASIC, &attr));
    ok(p9c_lopen(t->c, 900, P9C_O_RDONLY, NULL, NULL));
    read_is(t->c, 900, "deep");
    ok(p9c_clunk(t->c, 900));
}

static void check_gone(Test *t)
{
    check_rest(t);
    fails(walk(t, ROOT, 900, "d/x"), EIO);
    fails(p9c_mkdir(t->c, ROOT, "never", 0700, 0, NULL), EIO);
    /* A new session, too; for its root QEMU may have a descriptor. */
    p9c_reset(t->c);
    ok(p9c_version(t->c, MSIZE, P9C_VERSION, NULL, NULL));
    if (t->donate_off) {
        fails(p9c_attach(t->c, ROOT, 0, NULL), EIO);
    } else {
        ok(p9c_attach(t->c, ROOT, 0, NULL));
        fails(walk(t, ROOT, 900, "d/x"), EIO);
    }
}

static void tell(Test *t, const Lie *lie)
{
    qatomic_set(&t->relay.lie, lie);
}

static void told(Test *t)
{
    g_assert_null(qatomic_read(&t->relay.lie));
}

static void test_lies(Test *t)
{
    const Lie *lie;
    uint32_t fid = FID_NEW;
    P9Call *call = NULL;

    for (lie = t->lies; lie->name; lie++, fid += 2) {
        g_test_message("%s", lie->name);
        tell(t, lie);
        if (lie->later) {
            /* QEMU waits for more of the reply until another one comes. */
            call = p9c_walk_call(t->c, ROOT, fid + 1, "g");
            g_assert_cmpint(lie->type, ==, PROXY_WALK);
            p9c_submit(call);
            while (qatomic_read(&t->relay.lie)) {
                g_usleep(1000);
            }
            p9c_pause(t->c);
            g_assert_false(p9c_is_done(call));
            fails(walk(t, ROOT, fid, "u"), EIO);
            fails(p9c_wait(call), EIO);
            p9c_call_end(call);
        } else {
            fails(evoke(t, lie->type, fid), lie->error);
            if (lie->type == PROXY_WALK && !lie->error) {
                /* So that the helper donates a descriptor again next time */
                ok(p9c_clunk(t->c, fid));
            }
        }
        told(t);
        if (lie->ends) {
            check_gone(t);
            break;
        }
        check_serves(t);
    }
}

/*
 * Silence
 */

static P9Call *silent_walk(Test *t, uint32_t newfid)
{
    P9Call *call = p9c_walk_call(t->c, ROOT, newfid, "g");

    tell(t, &lie_silence);
    p9c_submit(call);
    while (qatomic_read(&t->relay.lie)) {
        g_usleep(1000);
    }
    return call;
}

/*
 * The helper never answers a request. The guest can flush it, which takes a
 * while, or reset the device; QEMU still serves other requests.
 */
static void test_silence(Test *t)
{
    P9Call *call, *flush;
    gint64 start;

    call = silent_walk(t, 10);
    check_serves(t);
    g_assert_false(p9c_is_done(call));
    start = g_get_monotonic_time();
    flush = p9c_flush_call(t->c, p9c_call_tag(call));
    p9c_submit(flush);
    check_serves(t);
    while (!p9c_is_done(flush)) {
        p9c_pause(t->c);
        g_assert_cmpint(g_get_monotonic_time() - start, <,
                        P9C_TIMEOUT_US);
    }
    /* Its result is unknown: an error, which comes before the Rflush */
    g_assert_true(p9c_is_done(call));
    fails(p9c_wait(call), EIO);
    g_assert_cmpuint(p9c_done_order(call), <, p9c_done_order(flush));
    ok(p9c_wait(flush));
    p9c_call_end(flush);
    p9c_call_end(call);
    check_serves(t);

    call = silent_walk(t, 10);
    start = g_get_monotonic_time();
    p9c_reset(t->c);
    g_assert_cmpint(g_get_monotonic_time() - start, <, P9C_TIMEOUT_US);
    p9c_session_msize(t->c, MSIZE);
    ok(walk(t, ROOT, 900, "d/x"));
    ok(p9c_clunk(t->c, 900));
    p9c_call_end(call);
}

static long qemu_rss_kib(void)
{
    g_autofree char *path = g_strdup_printf("/proc/%d/status",
                                            qtest_pid(global_qtest));
    g_autofree char *text = NULL;
    const char *at;

    g_assert_true(g_file_get_contents(path, &text, NULL, NULL));
    at = strstr(text, "\nVmRSS:");
    g_assert_nonnull(at);
    return atol(at + strlen("\nVmRSS:"));
}

#ifdef __SANITIZE_ADDRESS__
#define GROWTH_MAX_KIB  (512 * KiB)     /* it keeps freed memory for a while */
#else
#define GROWTH_MAX_KIB  (4 * KiB)
#endif

static void test_inodes(Test *t)
{
    long before = qemu_rss_kib();
    unsigned i;

    for (i = 0; i < 3000; i++) {
        tell(t, &lie_inode);
        ok(walk(t, ROOT, 10, "g"));
        told(t);
        ok(p9c_clunk(t->c, 10));
    }
    check_serves(t);
    /* Each leaves a prefix of qids, about 100 bytes, and no node. */
    g_assert_cmpint(qemu_rss_kib() - before, <, GROWTH_MAX_KIB);
}

/*
 * Running
 */

static void make(const char *name, const char *text)
{
    g_autofree char *path = g_build_filename(lie_share, name, NULL);

    g_assert_true(g_file_set_contents(path, text, -1, NULL));
}

static bool make_files(void)
{
    g_autofree char *dir = g_build_filename(lie_share, "d", NULL);
    g_autofree char *link = g_build_filename(lie_share, "l", NULL);
    g_autofree char *file = g_build_filename(lie_share, "f", NULL);

    make("f", "data");
    make("g", "other");
    make("r", "");
    make("u", "");
    g_assert_cmpint(mkdir(dir, 0755), ==, 0);
    make("d/x", "deep");
    g_assert_cmpint(symlink("f", link), ==, 0);
    return setxattr(file, "user.x", "value", 5, 0) == 0 &&
           setxattr(file, "user.a", "value", 5, 0) == 0;
}

typedef struct Case {
    const Lie *lies;
    bool donate_off;
    void (*run)(Test *t);
} Case;

static void *before(GString *cmd_line, void *arg)
{
    static unsigned runs;
    const Case *a_case = arg;
    Test *t = g_new0(Test, 1);
    g_autofree char *opts = NULL;

    t->dir = p9_host_make_folder();
    t->lies = a_case->lies;
    t->run = a_case->run;
    t->donate_off = a_case->donate_off;
    lie_share = t->dir;
    make_files();
    relay_start(&t->relay, t->dir);
    opts = g_strdup_printf("proxy,sock_fd=%d,protocol=2%s", t->relay.qemu_end,
                           a_case->donate_off ? ",donate=off" : "");
    qvirtio_9p_set_fsdev(cmd_line, opts);
    /* A new command line each time, so that qos-test starts a new QEMU */
    g_string_append_printf(cmd_line, " -fsdev synth,id=other -device "
                           "virtio-9p-pci,fsdev=other,mount_tag=other%u,"
                           "addr=%x", runs++, OTHER_SLOT);
    return t;
}

/* The other device, on the bus of the first */
static void start_other(Test *t, QVirtioPCIDevice *first,
                        QGuestAllocator *alloc)
{
    QPCIAddress addr = { .devfn = QPCI_DEVFN(OTHER_SLOT, 0) };
    QVirtioPCIDevice *dev = virtio_pci_new(first->pdev->bus, &addr);
    uint64_t features;

    g_assert_nonnull(dev);
    qvirtio_pci_start_hw(&dev->obj);
    features = qvirtio_get_features(&dev->vdev);
    qvirtio_set_features(&dev->vdev, features &
                         ~(QVIRTIO_F_BAD_FEATURE |
                           (1ull << VIRTIO_RING_F_EVENT_IDX)));
    t->other_v9p.vdev = &dev->vdev;
    t->other_v9p.alloc = alloc;
    t->other_v9p.vq = qvirtqueue_setup(&dev->vdev, alloc, 0);
    qvirtio_set_driver_ok(&dev->vdev);
    t->other = p9c_new(&t->other_v9p);
    p9c_session(t->other);
}

static void stop_other(Test *t)
{
    QVirtioPCIDevice *dev = container_of(t->other_v9p.vdev, QVirtioPCIDevice,
                                         vdev);

    p9c_free(t->other);
    qvirtqueue_cleanup(dev->vdev.bus, t->other_v9p.vq, t->other_v9p.alloc);
    qvirtio_pci_destructor(&dev->obj);
    g_free(dev);
}

static void run(void *obj, void *data, QGuestAllocator *alloc)
{
    Test *t = data;

    close(t->relay.qemu_end);
    lie_share = t->dir;
    t->v9p = &container_of(obj, QVirtio9PPCI, pci_vdev.obj)->v9p;
    start_other(t, obj, alloc);
    t->c = p9c_new(t->v9p);
    p9c_session_msize(t->c, MSIZE);
    ok(walk(t, ROOT, FID_F, "f"));
    ok(walk(t, ROOT, FID_OPEN, "f"));
    ok(p9c_lopen(t->c, FID_OPEN, P9C_O_RDWR, NULL, NULL));
    ok(walk(t, ROOT, FID_LINK, "l"));

    t->run(t);

    p9c_free(t->c);
    stop_other(t);
    relay_stop(&t->relay);
    p9_host_remove(t->dir);
    g_free(t->dir);
    g_free(t);
}

static void add_case(const char *name, const Lie *lies, bool donate_off,
                     void (*fn)(Test *t))
{
    Case *a_case = g_new0(Case, 1);
    QOSGraphTestOptions opts = { .before = before, .arg = a_case };
    g_autofree char *path = g_strdup_printf("hostile-helper/%s", name);

    a_case->lies = lies;
    a_case->donate_off = donate_off;
    a_case->run = fn;
    qvirtio_9p_add_test(path, "virtio-9p-pci", run, &opts);
}

/* Each lie is the only one of its test. */
static void add_each(const char *folder, const Lie *lies, bool donate_off)
{
    for (; lies->name; lies++) {
        g_autofree char *name = g_strdup_printf("%s/%s", folder, lies->name);
        Lie *single = g_new0(Lie, 2);       /* lives as long as the test */

        single[0] = *lies;
        add_case(name, single, donate_off, test_lies);
    }
}

static void virtio_9p_hostile_register(void)
{
    add_case("harmless", lies_harmless, false, test_lies);
    add_case("harmless-asked", lies_harmless_asked, true, test_lies);
    add_case("silence", NULL, false, test_silence);
    add_case("inodes", NULL, true, test_inodes);
    add_each("ends", lies_end, false);
    add_each("ends-asked", lies_end_asked, true);
}

libqos_init(virtio_9p_hostile_register);
