/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The VM is stopped while a directory is read whose entries the host's file
 * server has not all answered yet. Then it answers: guest memory must stay as
 * it is until the VM goes on.
 *
 * Stopping waits only for data that is on its way to the guest's memory: not
 * for reads that are over, nor for those that wait for a thread.
 */
#include "qemu/osdep.h"
#include <sys/xattr.h>
#include "libqtest-single.h"
#include "libqos/qgraph.h"
#include "qemu/module.h"
#include "libqos/virtio-9p-dotu.h"
#include "virtio-9p-host.h"
#include "virtio-9p-machine.h"
#include "../unit/shared/hung-fuse.h"

#define SLOT        5
#define DIR_FID     1
#define RAM_SIZE    (128 * 1024 * 1024)
/* Time for QEMU to go on after the server's answer */
#define ANSWER_US   (500 * 1000)
/* To stop may take this long; it would wait for moving data for ten seconds */
#define STOP_US     (5 * G_USEC_PER_SEC)
/* More reads than a file system may have threads */
#define MANY_READS  60

/* A file with all of the guest's memory */
static char *save_memory(QTestState *qts, const char *folder, const char *name)
{
    char *path = g_build_filename(folder, name, NULL);

    qtest_qmp_assert_success(qts, "{'execute': 'pmemsave', 'arguments':"
                             " {'val': 0, 'size': %d, 'filename': %s}}",
                             RAM_SIZE, path);
    return path;
}

static bool same_memory(const char *a, const char *b)
{
    g_autoptr(GMappedFile) x = g_mapped_file_new(a, false, NULL);
    g_autoptr(GMappedFile) y = g_mapped_file_new(b, false, NULL);

    g_assert_cmpuint(g_mapped_file_get_length(x), ==, RAM_SIZE);
    g_assert_cmpuint(g_mapped_file_get_length(y), ==, RAM_SIZE);
    return !memcmp(g_mapped_file_get_contents(x),
                   g_mapped_file_get_contents(y), RAM_SIZE);
}

/* Begins to read; the server does not answer for the second file. */
static P9Call *begin(P9Client *c, HungFuse *h, bool dotu)
{
    P9Call *call;

    if (dotu) {
        p9c_session_u(c, P9C_MSIZE, 0);
        ok(p9c_walk_to(c, P9C_ROOT, DIR_FID, "fuse"));
        ok(p9c_open(c, DIR_FID, 0, NULL, NULL));
        hung_fuse_hang(h, FUSE_GETATTR, HUNG_OTHER);
        call = p9c_read_call(c, DIR_FID, 0, 4096);
    } else {
        p9c_session(c);
        ok(p9c_walk_to(c, P9C_ROOT, DIR_FID, "fuse"));
        ok(p9c_lopen(c, DIR_FID, P9C_O_RDONLY, NULL, NULL));
        hung_fuse_hang(h, FUSE_READDIR, HUNG_ROOT);
        call = p9c_request(c, P9C_TREADDIR,
                           PUT(U32(DIR_FID), U64(0), U32(4096)));
    }
    p9c_submit(call);
    g_assert_true(hung_fuse_wait(h, 1));
    return call;
}

static QVirtio9PPCI *start(P9Machine *m, const char *share)
{
    g_autofree char *options =
        g_strdup_printf("-m 128M -fsdev local,id=share,path=%s,"
                        "security_model=passthrough", share);

    p9_machine_start(m, options);
    qtest_qmp_device_add(m->qts, "virtio-9p-pci", "share0",
                         "{'fsdev': 'share', 'mount_tag': 'tag',"
                         " 'addr': '5'}");
    return qvirtio_9p_pci_new(m->bus, &m->alloc, QPCI_DEVFN(SLOT, 0));
}

static void test_read_dir(void *obj, void *data, QGuestAllocator *alloc)
{
    g_autofree char *share = p9_host_make_folder();
    g_autofree char *tmp = p9_host_make_folder();
    g_autofree char *fuse = g_build_filename(share, "fuse", NULL);
    g_autofree char *before = NULL, *after = NULL, *end = NULL;
    QVirtio9PPCI *dev;
    HungFuse *h;
    P9Machine m;
    P9Client *c;
    P9Call *call;
    uint32_t got;

    g_assert_cmpint(mkdir(fuse, 0755), ==, 0);
    h = hung_fuse_start_or_skip(fuse);
    if (h) {
        dev = start(&m, share);
        c = p9c_new(&dev->v9p);
        call = begin(c, h, data);

        qtest_qmp_assert_success(m.qts, "{'execute': 'stop'}");
        before = save_memory(m.qts, tmp, "before");
        hung_fuse_answer(h);
        g_usleep(ANSWER_US);
        after = save_memory(m.qts, tmp, "after");
        g_assert_true(same_memory(before, after));
        g_assert_false(p9c_is_done(call));

        qtest_qmp_assert_success(m.qts, "{'execute': 'cont'}");
        ok(p9c_wait(call));
        got = p9c_get_u32(call);
        g_assert_cmpuint(got, >, 0);
        g_assert_cmpuint(got, ==, p9c_get_left(call));
        p9c_get_bytes(call, got);
        p9c_call_end(call);
        end = save_memory(m.qts, tmp, "end");
        g_assert_false(same_memory(before, end));

        p9c_free(c);
        qvirtio_9p_pci_free(dev);
        p9_machine_end(&m);
        hung_fuse_end(h);
    }
    p9_host_remove(share);
    p9_host_remove(tmp);
}

/* The VM stops soon, and goes on. */
static void stop_soon(QTestState *qts)
{
    int64_t start = g_get_monotonic_time();

    qtest_qmp_assert_success(qts, "{'execute': 'stop'}");
    g_assert_cmpint(g_get_monotonic_time() - start, <, STOP_US);
    qtest_qmp_assert_success(qts, "{'execute': 'cont'}");
}

static void test_after_xattr(void *obj, void *data, QGuestAllocator *alloc)
{
    g_autofree char *share = p9_host_make_folder();
    QVirtio9PPCI *dev;
    char value[5];
    uint64_t size;
    P9Machine m;
    P9Client *c;

    if (setxattr(share, "user.x", "value", sizeof(value), 0) < 0) {
        g_test_skip("no user.* attributes here");
    } else {
        dev = start(&m, share);
        c = p9c_new(&dev->v9p);
        p9c_session(c);
        ok(p9c_xattrwalk(c, P9C_ROOT, DIR_FID, "user.x", &size));
        g_assert_cmpuint(size, ==, sizeof(value));
        ok(p9c_read(c, DIR_FID, 0, sizeof(value), value, NULL));
        g_assert_cmpmem(value, sizeof(value), "value", 5);
        stop_soon(m.qts);
        p9c_free(c);
        qvirtio_9p_pci_free(dev);
        p9_machine_end(&m);
    }
    p9_host_remove(share);
}

static void test_many_reads(void *obj, void *data, QGuestAllocator *alloc)
{
    g_autofree char *share = p9_host_make_folder();
    g_autofree char *fuse = g_build_filename(share, "fuse", NULL);
    P9Call *calls[MANY_READS];
    QVirtio9PPCI *dev;
    HungFuse *h;
    P9Machine m;
    P9Client *c;
    unsigned i;

    g_assert_cmpint(mkdir(fuse, 0755), ==, 0);
    h = hung_fuse_start_or_skip(fuse);
    if (h) {
        dev = start(&m, share);
        c = p9c_new(&dev->v9p);
        p9c_session(c);
        ok(p9c_walk_to(c, P9C_ROOT, DIR_FID, "fuse/file"));
        ok(p9c_lopen(c, DIR_FID, P9C_O_RDONLY, NULL, NULL));
        hung_fuse_hang(h, FUSE_READ, HUNG_FILE);
        for (i = 0; i < MANY_READS; i++) {
            calls[i] = p9c_read_call(c, DIR_FID, 0, 4);
            p9c_submit(calls[i]);
        }
        g_assert_true(hung_fuse_wait(h, 1));
        /* The device takes requests in their order: it has the reads. */
        ok(p9c_getattr(c, P9C_ROOT, P9C_GETATTR_BASIC, NULL));
        stop_soon(m.qts);
        hung_fuse_answer(h);
        for (i = 0; i < MANY_READS; i++) {
            ok(p9c_wait(calls[i]));
            p9c_get_bytes(calls[i], p9c_get_u32(calls[i]));
            p9c_call_end(calls[i]);
        }
        p9c_free(c);
        qvirtio_9p_pci_free(dev);
        p9_machine_end(&m);
        hung_fuse_end(h);
    }
    p9_host_remove(share);
}

static void register_tests(void)
{
    QOSGraphTestOptions opts = { };
    const char *arch = qtest_get_arch();

    if (strcmp(arch, "x86_64") && strcmp(arch, "i386")) {
        return;
    }
    opts.arg = GINT_TO_POINTER(false);
    qos_add_test("stop/readdir", "virtio-9p-pci", test_read_dir, &opts);
    opts.arg = GINT_TO_POINTER(true);
    qos_add_test("stop/read-dir-dotu", "virtio-9p-pci", test_read_dir, &opts);
    qos_add_test("stop/after-xattr", "virtio-9p-pci", test_after_xattr, NULL);
    qos_add_test("stop/many-reads", "virtio-9p-pci", test_many_reads, NULL);
}
libqos_init(register_tests);
