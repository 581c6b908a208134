/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The VM is saved while the guest waits for requests, and then goes on here:
 * because it could not be saved, or as the user wants. The requests are
 * answered as if nothing had been.
 *
 * What keeps a VM from being saved is a request that the host's kernel holds,
 * on a file system whose server does not answer.
 */
#include "qemu/osdep.h"
#include "qemu/units.h"
#include "libqtest-single.h"
#include "libqos/qgraph.h"
#include "qemu/module.h"
#include "qobject/qdict.h"
#include "libqos/virtio-9p-client.h"
#include "virtio-9p-host.h"
#include "virtio-9p-machine.h"
#include "virtio-9p-move.h"
#include "../unit/shared/hung-fuse.h"

#define SLOT            5
#define MACHINE         "-m 128M -fsdev local,id=share,path=%s," \
                        "security_model=none"
#define FILE_FID        1
#define HUNG_FID        2
#define SAVE_TIMEOUT_US (60 * G_USEC_PER_SEC)

static const P9CLock wait_lock = {
    .type = P9C_LOCK_WRLCK, .flags = P9C_LOCK_BLOCK,
    .proc_id = 1, .client_id = "qtest",
};

typedef struct Park {
    P9Machine m;
    QVirtio9PPCI *dev;
    P9Client *c;
    HungFuse *hung;             /* below "fuse" of the share, if wanted */
    char *share;
    int host_fd;                /* of the file, which the host has locked */
} Park;

/* Returns false, and skips the test, if it wants FUSE and there is none. */
static bool park_start(Park *p, bool hung)
{
    g_autofree char *file = NULL, *fuse = NULL, *options = NULL;
    struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET };

    p->share = p9_host_make_folder();
    file = g_build_filename(p->share, "file", NULL);
    fuse = g_build_filename(p->share, "fuse", NULL);
    p->hung = NULL;
    if (hung) {
        g_assert_cmpint(mkdir(fuse, 0755), ==, 0);
        p->hung = hung_fuse_start_or_skip(fuse);
        if (!p->hung) {
            p9_host_remove(p->share);
            g_free(p->share);
            return false;
        }
    }
    p->host_fd = open(file, O_RDWR | O_CREAT, 0644);
    g_assert_cmpint(p->host_fd, >=, 0);
    g_assert_cmpint(fcntl(p->host_fd, F_OFD_SETLK, &lock), ==, 0);

    options = g_strdup_printf(MACHINE, p->share);
    p9_machine_start(&p->m, options);
    qtest_qmp_device_add(p->m.qts, "virtio-9p-pci", "share0",
                         "{'fsdev': 'share', 'mount_tag': 'tag',"
                         " 'addr': '5'}");
    p->dev = qvirtio_9p_pci_new(p->m.bus, &p->m.alloc, QPCI_DEVFN(SLOT, 0));
    p->c = p9c_new(&p->dev->v9p);
    p9c_session(p->c);
    ok(p9c_walk_to(p->c, P9C_ROOT, FILE_FID, "file"));
    ok(p9c_lopen(p->c, FILE_FID, P9C_O_RDWR, NULL, NULL));
    if (hung) {
        ok(p9c_walk_to(p->c, P9C_ROOT, HUNG_FID, "fuse/file"));
    }
    return true;
}

static void park_end(Park *p)
{
    p9c_free(p->c);
    qvirtio_9p_pci_free(p->dev);
    p9_machine_end(&p->m);
    if (p->hung) {
        hung_fuse_end(p->hung);
    }
    close(p->host_fd);
    p9_host_remove(p->share);
    g_free(p->share);
}

/* A Tlock that waits until the host unlocks the file */
static P9Call *begin_lock(Park *p)
{
    P9Call *call = p9c_lock_call(p->c, FILE_FID, &wait_lock);

    p9c_submit(call);
    ok(p9c_getattr(p->c, P9C_ROOT, P9C_GETATTR_BASIC, NULL));
    g_assert_false(p9c_is_done(call));
    return call;
}

static void end_lock(Park *p, P9Call *call)
{
    struct flock unlock = { .l_type = F_UNLCK, .l_whence = SEEK_SET };

    g_assert_false(p9c_is_done(call));
    g_assert_cmpint(fcntl(p->host_fd, F_OFD_SETLK, &unlock), ==, 0);
    ok(p9c_wait(call));
    g_assert_cmpuint(p9c_get_u8(call), ==, P9C_LOCK_SUCCESS);
    p9c_call_end(call);
}

/* A Tgetattr that the host's kernel keeps */
static P9Call *begin_hung(Park *p)
{
    P9Call *call = p9c_getattr_call(p->c, HUNG_FID);

    hung_fuse_hang(p->hung, FUSE_GETATTR, HUNG_FILE);
    p9c_submit(call);
    g_assert_true(hung_fuse_wait(p->hung, 1));
    return call;
}

static char *query(Park *p, const char *command, const char *key)
{
    g_autoptr(QDict) r = qtest_qmp_assert_success_ref(
        p->m.qts, "{'execute': %s}", command);

    return g_strdup(qdict_get_try_str(r, key));
}

/* Waits until the status that @command tells is one of two; true: the first. */
static bool wait_status(Park *p, const char *command, const char *one,
                        const char *other)
{
    int64_t start = g_get_monotonic_time();

    for (;;) {
        g_autofree char *status = query(p, command, "status");

        if (!g_strcmp0(status, one) || !g_strcmp0(status, other)) {
            return !g_strcmp0(status, one);
        }
        g_assert_cmpint(g_get_monotonic_time() - start, <, SAVE_TIMEOUT_US);
        g_usleep(10 * 1000);
    }
}

/* Saves the VM to nowhere; why that failed, or NULL. */
static char *save(Park *p)
{
    qtest_qmp_assert_success(p->m.qts, "{'execute': 'migrate', 'arguments':"
                             " {'uri': 'exec:cat > /dev/null'}}");
    return wait_status(p, "query-migrate", "completed", "failed")
           ? NULL : query(p, "query-migrate", "error-desc");
}

static void save_fails(Park *p, const char *text)
{
    g_autofree char *why = save(p);

    g_assert_nonnull(why);
    if (!strstr(why, "fsdev 'share'") || !strstr(why, text)) {
        g_error("the error does not tell why: %s", why);
    }
    wait_status(p, "query-status", "running", "paused");
}

/* The VM is saved, and its user continues it here. */
static void test_saved(void *obj, void *data, QGuestAllocator *alloc)
{
    P9Call *call, *flushed;
    Park p;

    park_start(&p, false);
    call = begin_lock(&p);
    flushed = begin_lock(&p);
    g_assert_null(save(&p));
    qtest_qmp_assert_success(p.m.qts, "{'execute': 'cont'}");
    ok(p9c_flush(p.c, p9c_call_tag(flushed)));
    p9c_wait_flushed(flushed);
    p9c_call_end(flushed);
    end_lock(&p, call);
    park_end(&p);
}

/* The device is reset with requests at rest. */
static void test_saved_reset(void *obj, void *data, QGuestAllocator *alloc)
{
    P9Call *call;
    Park p;

    park_start(&p, false);
    call = begin_lock(&p);
    qtest_qmp_assert_success(p.m.qts, "{'execute': 'stop'}");
    g_assert_null(save(&p));
    p9c_reset(p.c);
    g_assert_false(p9c_is_done(call));
    qtest_qmp_assert_success(p.m.qts, "{'execute': 'cont'}");
    p9c_session(p.c);
    p9c_call_drop(call);
    park_end(&p);
}

/*
 * The memory has the data's place, without the data, in the stream already. The
 * base sees no change there before the request goes back to the guest, and so
 * the reply in the stream must bring the data.
 */
static void wait_half_sent(QTestState *qts)
{
    int64_t start = g_get_monotonic_time();
    int64_t left;

    do {
        g_autoptr(QDict) r = qtest_qmp_assert_success_ref(
            qts, "{'execute': 'query-migrate'}");

        g_assert_cmpint(g_get_monotonic_time() - start, <, SAVE_TIMEOUT_US);
        g_assert_cmpstr(qdict_get_try_str(r, "status"), !=, "completed");
        left = qdict_haskey(r, "ram")
               ? qdict_get_int(qdict_get_qdict(r, "ram"), "remaining")
               : INT64_MAX;
        g_usleep(10 * 1000);
    } while (left > 64 * MiB);
}

static void set_bandwidth(QTestState *qts, int64_t bytes)
{
    qtest_qmp_assert_success(qts, "{'execute': 'migrate-set-parameters',"
                             " 'arguments': {'max-bandwidth': %" PRId64 "}}",
                             bytes);
}

/* The VM stops, and is saved, while data is on its way to its memory. */
static void test_data(void *obj, void *data, QGuestAllocator *alloc)
{
    enum { READS = 40, SIZE = 1024 * 1024, COUNT = SIZE - 4096 };
    g_autofree char *file = NULL, *state = NULL, *uri = NULL;
    g_autofree char *options = NULL, *error = NULL;
    g_autofree uint8_t *bytes = g_malloc(COUNT);
    P9Call *calls[READS];
    QTestState *to;
    Park p;
    unsigned i;

    park_start(&p, false);
    file = g_build_filename(p.share, "file", NULL);
    state = g_build_filename(p.share, "state", NULL);
    uri = g_strdup_printf("file:%s", state);
    for (i = 0; i < COUNT; i++) {
        bytes[i] = i / 4096 + i + 1;
    }
    g_assert_true(g_file_set_contents(file, (char *)bytes, COUNT, NULL));
    p9c_session_msize(p.c, SIZE);
    ok(p9c_walk_to(p.c, P9C_ROOT, FILE_FID, "file"));
    ok(p9c_lopen(p.c, FILE_FID, P9C_O_RDWR, NULL, NULL));

    qtest_qmp_assert_success(p.m.qts, "{'execute': 'stop'}");
    for (i = 0; i < READS; i++) {
        calls[i] = p9c_read_call(p.c, FILE_FID, 0, COUNT);
        p9c_submit(calls[i]);
    }
    set_bandwidth(p.m.qts, 100 * KiB);
    qtest_qmp_assert_success(p.m.qts, "{'execute': 'migrate', 'arguments':"
                             " {'uri': %s}}", uri);
    wait_half_sent(p.m.qts);
    /* The device takes all reads at once, and cannot be done with them. */
    qtest_qmp_assert_success(p.m.qts, "{'execute': 'cont'}");
    qtest_qmp_assert_success(p.m.qts, "{'execute': 'stop'}");
    set_bandwidth(p.m.qts, 0);
    g_assert_true(wait_status(&p, "query-migrate", "completed", "failed"));

    options = g_strdup_printf(
        "-machine pc -nodefaults " MACHINE " -device virtio-9p-pci,id=share0,"
        "fsdev=share,mount_tag=tag,addr=5", p.share);
    to = p9_move_new(options, NULL);
    error = p9_move_load_stopped(to, state);
    g_assert_cmpstr(error, ==, NULL);
    qtest_qmp_assert_success(to, "{'execute': 'cont'}");
    p9_machine_move(&p.m, to);
    p9_move_client(p.c, &p.dev->v9p);
    for (i = 0; i < READS; i++) {
        ok(p9c_wait(calls[i]));
        g_assert_cmpuint(p9c_get_u32(calls[i]), ==, COUNT);
        g_assert_true(!memcmp(p9c_get_bytes(calls[i], COUNT), bytes, COUNT));
        p9c_call_end(calls[i]);
    }
    park_end(&p);
}

/* A request that does not end */
static void test_hung(void *obj, void *data, QGuestAllocator *alloc)
{
    P9Call *hung, *call;
    Park p;

    if (!park_start(&p, true)) {
        return;
    }
    call = begin_lock(&p);
    hung = begin_hung(&p);
    save_fails(&p, "'getattr'");
    g_assert_false(p9c_is_done(hung));
    end_lock(&p, call);
    hung_fuse_answer(p.hung);
    ok(p9c_wait(hung));
    p9c_call_drop(hung);
    g_assert_null(save(&p));
    park_end(&p);
}

/* The same while the VM is paused; then it is saved, and goes on. */
static void test_paused(void *obj, void *data, QGuestAllocator *alloc)
{
    P9Call *hung, *call;
    Park p;

    if (!park_start(&p, true)) {
        return;
    }
    call = begin_lock(&p);
    hung = begin_hung(&p);
    qtest_qmp_assert_success(p.m.qts, "{'execute': 'stop'}");
    save_fails(&p, "'getattr'");
    hung_fuse_answer(p.hung);
    g_assert_null(save(&p));
    g_assert_false(p9c_is_done(hung));
    qtest_qmp_assert_success(p.m.qts, "{'execute': 'cont'}");
    ok(p9c_wait(hung));
    p9c_call_drop(hung);
    end_lock(&p, call);
    park_end(&p);
}

/* The same, which the guest has flushed, and the Tflush */
static void test_flush(void *obj, void *data, QGuestAllocator *alloc)
{
    P9Call *hung, *flush;
    Park p;

    if (!park_start(&p, true)) {
        return;
    }
    hung = begin_hung(&p);
    flush = p9c_flush_call(p.c, p9c_call_tag(hung));
    p9c_submit(flush);
    save_fails(&p, "'getattr'");
    g_assert_false(p9c_is_done(hung));
    g_assert_false(p9c_is_done(flush));
    hung_fuse_answer(p.hung);
    ok(p9c_wait(flush));
    p9c_call_end(flush);
    g_assert_true(p9c_is_done(hung));
    p9c_call_drop(hung);
    park_end(&p);
}

/* A Tversion that waits for an older request starts again. */
static void test_version(void *obj, void *data, QGuestAllocator *alloc)
{
    P9Call *hung, *version;
    Park p;

    if (!park_start(&p, true)) {
        return;
    }
    hung = begin_hung(&p);
    version = p9c_request(p.c, P9C_TVERSION,
                          PUT(U32(P9C_MSIZE), STR(P9C_VERSION)));
    p9c_call_set_tag(version, P9C_NOTAG);
    p9c_submit(version);
    save_fails(&p, "'getattr'");
    g_assert_false(p9c_is_done(version));
    hung_fuse_answer(p.hung);
    ok(p9c_wait(version));
    p9c_call_drop(version);
    g_assert_true(p9c_is_done(hung));
    p9c_call_drop(hung);
    ok(p9c_attach(p.c, P9C_ROOT, 0, NULL));
    ok(p9c_walk_to(p.c, P9C_ROOT, FILE_FID, "file"));
    park_end(&p);
}

static void register_tests(void)
{
    const char *arch = qtest_get_arch();

    if (strcmp(arch, "x86_64") && strcmp(arch, "i386")) {
        return;
    }
    qos_add_test("park/saved", "virtio-9p-pci", test_saved, NULL);
    qos_add_test("park/saved-reset", "virtio-9p-pci", test_saved_reset, NULL);
    qos_add_test("park/data", "virtio-9p-pci", test_data, NULL);
    qos_add_test("park/hung", "virtio-9p-pci", test_hung, NULL);
    qos_add_test("park/paused", "virtio-9p-pci", test_paused, NULL);
    qos_add_test("park/flush", "virtio-9p-pci", test_flush, NULL);
    qos_add_test("park/version", "virtio-9p-pci", test_version, NULL);
}
libqos_init(register_tests);
