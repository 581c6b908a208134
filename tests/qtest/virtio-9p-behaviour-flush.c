/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Requests that the guest gives up: by Tflush while their helper is stopped or
 * a thread has them, by Tversion, and by a reset of the device or the machine
 * (flush(5) and version(5) of Plan 9). Replies come in order, only requests
 * with a reply took effect, and neither QEMU nor the helper keeps descriptors
 * of ended requests.
 */
#include "qemu/osdep.h"
#include "libqtest-single.h"
#include "virtio-9p-behaviour.h"
#include "virtio-9p-host.h"

#define ROUNDS      6
#define IO_ROUNDS   6           /* few: fsync may be slow */
#define FLUSHES     4

static int new_file(Test *t, uint32_t fid, const char *name)
{
    ok(walk(t, ROOT, fid, ""));
    return create(t, fid, name, P9C_O_RDWR, 0644);
}

/* Ends the call, with or without a reply. */
static void end_call(P9Call *call)
{
    if (p9c_is_done(call)) {
        p9c_get_bytes(call, p9c_get_left(call));
    }
    p9c_call_end(call);
}

/*
 * One request of each kind that goes to the driver. prepare() makes the files
 * that the requests need.
 */

enum {
    FID_FILE = 1,               /* named f */
    FID_OPEN,                   /* the same, open */
    FID_NEW,                    /* free */
    FID_ROOT,                   /* for Tlcreate */
    FID_GONE,                   /* named gone; Tremove */
    FID_XATTR,                  /* an attribute that its Tclunk sets */
    FID_DIR,                    /* open, with some entries */
    FID_END,
};

static void prepare(Test *t)
{
    ok(new_file(t, FID_OPEN, "f"));
    ok(p9c_write(t->c, FID_OPEN, 0, "0123456789", 10, NULL));
    ok(walk(t, ROOT, FID_FILE, "f"));
    ok(walk(t, ROOT, FID_ROOT, ""));
    ok(new_file(t, FID_GONE, "gone"));
    ok(make_dir(t, ROOT, "d", 0755));
    ok(make_symlink(t, ROOT, "old", "target"));
    ok(make_symlink(t, ROOT, "older", "target"));
    ok(walk(t, ROOT, FID_XATTR, "f"));
    ok(p9c_xattrcreate(t->c, FID_XATTR, "user.x", 1, 0));
    ok(p9c_write(t->c, FID_XATTR, 0, "x", 1, NULL));
    ok(walk(t, ROOT, FID_DIR, ""));
    ok(open_fid(t, FID_DIR, P9C_O_RDONLY));
}

static void clean_up(Test *t)
{
    static const char *const names[] = {
        "f", "gone", "old", "older", "new", "made", "link", "symlink", "node",
    };
    unsigned i;

    for (i = 0; i < FID_END; i++) {
        if (i != ROOT) {
            clunk(t, i);
        }
    }
    for (i = 0; i < ARRAY_SIZE(names); i++) {
        p9c_unlinkat(t->c, ROOT, names[i], 0);
    }
    p9c_unlinkat(t->c, ROOT, "d", P9C_AT_REMOVEDIR);
    p9c_unlinkat(t->c, ROOT, "dir", P9C_AT_REMOVEDIR);
}

static void put_walk(Test *t, P9Call *call)
{
    p9c_put(call, PUT(U32(ROOT), U32(FID_NEW), U16(1), STR("d")));
}

static bool walked(Test *t)
{
    return clunk(t, FID_NEW) == 0;
}

static void put_lopen(Test *t, P9Call *call)
{
    p9c_put(call, PUT(U32(FID_FILE), U32(P9C_O_RDWR)));
}

static bool opened(Test *t)
{
    return p9c_read(t->c, FID_FILE, 0, 0, NULL, NULL) == 0;
}

static void put_lcreate(Test *t, P9Call *call)
{
    p9c_put(call, PUT(U32(FID_ROOT), STR("new"), U32(P9C_O_RDWR), U32(0644),
                      U32(t->gid)));
}

static bool created(Test *t)
{
    return host_has(t, "new") &&
           p9c_write(t->c, FID_ROOT, 0, "x", 1, NULL) == 0;
}

static void put_mkdir(Test *t, P9Call *call)
{
    p9c_put(call, PUT(U32(ROOT), STR("dir"), U32(0755), U32(t->gid)));
}

static bool made_dir(Test *t)
{
    return host_has(t, "dir");
}

static void put_mknod(Test *t, P9Call *call)
{
    p9c_put(call, PUT(U32(ROOT), STR("node"), U32(S_IFIFO | 0600), U32(0),
                      U32(0), U32(t->gid)));
}

static bool made_node(Test *t)
{
    return host_has(t, "node");
}

static void put_link(Test *t, P9Call *call)
{
    p9c_put(call, PUT(U32(ROOT), U32(FID_FILE), STR("link")));
}

static bool linked(Test *t)
{
    return host_has(t, "link");
}

static void put_renameat(Test *t, P9Call *call)
{
    p9c_put(call, PUT(U32(ROOT), STR("old"), U32(ROOT), STR("made")));
}

static bool renamed(Test *t)
{
    return host_has(t, "made") && !host_has(t, "old");
}

static void put_unlinkat(Test *t, P9Call *call)
{
    p9c_put(call, PUT(U32(ROOT), STR("older"), U32(0)));
}

static bool unlinked(Test *t)
{
    return !host_has(t, "older");
}

static void put_remove(Test *t, P9Call *call)
{
    p9c_put_u32(call, FID_GONE);
}

static bool removed(Test *t)
{
    return !host_has(t, "gone") && clunk(t, FID_GONE) == ENOENT;
}

static void put_setattr(Test *t, P9Call *call)
{
    unsigned i;

    p9c_put(call, PUT(U32(FID_OPEN), U32(P9C_SETATTR_SIZE)));
    for (i = 0; i < 3; i++) {
        p9c_put_u32(call, 0);
    }
    p9c_put_u64(call, 3);
    for (i = 0; i < 4; i++) {
        p9c_put_u64(call, 0);
    }
}

static bool attr_set(Test *t)
{
    P9CAttr attr;

    ok(getattr(t, FID_OPEN, &attr));
    return attr.size == 3;
}

static void put_clunk(Test *t, P9Call *call)
{
    p9c_put_u32(call, FID_XATTR);
}

static bool xattr_set(Test *t)
{
    uint64_t size = 0;
    bool is = p9c_xattrwalk(t->c, ROOT, FID_NEW, "", &size) == 0;

    g_assert_true(is);
    ok(clunk(t, FID_NEW));
    return clunk(t, FID_XATTR) == ENOENT;
}

static void put_xattrwalk(Test *t, P9Call *call)
{
    p9c_put(call, PUT(U32(FID_FILE), U32(FID_NEW), STR("")));
}

static void put_readdir(Test *t, P9Call *call)
{
    p9c_put(call, PUT(U32(FID_DIR), U64(0), U32(4096)));
}

static void put_read(Test *t, P9Call *call)
{
    p9c_put(call, PUT(U32(FID_OPEN), U64(0), U32(4096)));
}

static bool always(Test *t)
{
    return true;
}

static const struct {
    uint8_t type;
    void (*put)(Test *t, P9Call *call);
    bool (*is_done)(Test *t);
} requests[] = {
    { P9C_TWALK, put_walk, walked },
    { P9C_TLOPEN, put_lopen, opened },
    { P9C_TLCREATE, put_lcreate, created },
    { P9C_TMKDIR, put_mkdir, made_dir },
    { P9C_TMKNOD, put_mknod, made_node },
    { P9C_TLINK, put_link, linked },
    { P9C_TRENAMEAT, put_renameat, renamed },
    { P9C_TUNLINKAT, put_unlinkat, unlinked },
    { P9C_TREMOVE, put_remove, removed },
    { P9C_TSETATTR, put_setattr, attr_set },
    { P9C_TCLUNK, put_clunk, xattr_set },
    { P9C_TXATTRWALK, put_xattrwalk, walked },
    { P9C_TREADDIR, put_readdir, always },
    { P9C_TREAD, put_read, always },
};

static P9Call *request(Test *t, unsigned i)
{
    P9Call *call = p9c_call(t->c, requests[i].type);

    requests[i].put(t, call);
    return call;
}

/*
 * Tflush
 */

/*
 * Sends each request, some flushes of it and a flush of the first flush, with
 * @stop while the helper is stopped. A request that is on its way gets its
 * reply, which comes before its first Rflush.
 */
static void flush_each(Test *t, bool stop)
{
    P9Call *call, *flush[FLUSHES], *again;
    unsigned i, j;
    uint16_t tag;

    for (i = 0; i < ARRAY_SIZE(requests); i++) {
        prepare(t);
        if (stop) {
            p9_host_signal_helpers(SIGSTOP);
        }
        call = request(t, i);
        tag = p9c_call_tag(call);
        p9c_submit(call);
        for (j = 0; j < FLUSHES; j++) {
            flush[j] = p9c_flush_call(t->c, tag);
            p9c_submit(flush[j]);
        }
        again = p9c_flush_call(t->c, p9c_call_tag(flush[0]));
        p9c_submit(again);
        if (stop) {
            g_usleep(20000);
            if (p9c_is_done(flush[0])) {
                g_assert_true(p9c_is_done(call));
            }
            p9_host_signal_helpers(SIGCONT);
        }

        /* The last Rflush comes after all the others. */
        ok(p9c_wait(flush[FLUSHES - 1]));
        g_assert_true(p9c_is_done(call));
        ok(p9c_wait(call));
        end_call(call);

        /* From now on the tag may mean another request. */
        call = p9c_call(t->c, P9C_TSTATFS);
        p9c_call_set_tag(call, tag);
        p9c_put_u32(call, ROOT);
        p9c_submit(call);
        ok(p9c_wait(call));
        end_call(call);

        ok(p9c_wait(again));
        g_assert_cmpuint(p9c_done_order(flush[0]), <, p9c_done_order(again));
        end_call(again);
        for (j = 0; j < FLUSHES; j++) {
            ok(p9c_wait(flush[j]));
            if (j > 0) {
                g_assert_cmpuint(p9c_done_order(flush[j - 1]), <,
                                 p9c_done_order(flush[j]));
            }
        }
        for (j = 0; j < FLUSHES; j++) {
            end_call(flush[j]);
        }
        g_assert_true(requests[i].is_done(t));
        clean_up(t);
    }
    assert_alive(t);
}

static void test_flush(Test *t)
{
    flush_each(t, false);
}

static void test_flush_stopped(Test *t)
{
    flush_each(t, true);
}

/* The guest reuses the tag as soon as Rflush arrives, many times over. */
static void test_tag_again(Test *t)
{
    const uint16_t tag = 4711;
    P9Call *call, *flush;
    unsigned i;

    prepare(t);
    for (i = 0; i < 300; i++) {
        call = p9c_call(t->c, P9C_TREADDIR);
        p9c_call_set_tag(call, tag);
        put_readdir(t, call);
        flush = p9c_flush_call(t->c, tag);
        p9c_submit(call);
        p9c_submit(flush);
        ok(p9c_wait(flush));
        g_assert_true(p9c_is_done(call));
        g_assert_cmpuint(p9c_done_order(call), <, p9c_done_order(flush));
        end_call(call);
        end_call(flush);
    }
    clean_up(t);
    assert_alive(t);
}

/* Large reads and writes, in threads or not, all of them flushed */
static void test_flush_io(Test *t)
{
    static const uint8_t data[64 * KiB];
    P9Call *call[12], *flush[12];
    unsigned round, i;
    uint32_t n;

    session_msize(t, 128 * KiB);
    ok(walk(t, ROOT, 1, ""));
    ok(create(t, 1, "big", P9C_O_RDWR, 0644));
    for (i = 0; i < 64; i++) {
        ok(p9c_write(t->c, 1, i * sizeof(data), data, sizeof(data), &n));
    }
    for (round = 0; round < IO_ROUNDS; round++) {
        for (i = 0; i < ARRAY_SIZE(call); i++) {
            switch (i % 3) {
            case 0:
                call[i] = p9c_write_call(t->c, 1,
                                         (round * 64 + i) * sizeof(data), data,
                                         sizeof(data));
                break;
            case 1:
                call[i] = p9c_read_call(t->c, 1, i * sizeof(data),
                                        sizeof(data));
                break;
            default:
                call[i] = p9c_request(t->c, P9C_TFSYNC, PUT(U32(1), U32(0)));
                break;
            }
            flush[i] = p9c_flush_call(t->c, p9c_call_tag(call[i]));
            p9c_submit(call[i]);
        }
        for (i = 0; i < ARRAY_SIZE(call); i++) {
            p9c_submit(flush[i]);
        }
        for (i = 0; i < ARRAY_SIZE(call); i++) {
            ok(p9c_wait(flush[i]));
            g_assert_true(p9c_is_done(call[i]));
            g_assert_cmpuint(p9c_done_order(call[i]), <,
                             p9c_done_order(flush[i]));
            end_call(call[i]);
            end_call(flush[i]);
        }
    }
    assert_alive(t);
}

/* A Tlock that waits for another process is flushed. */
static void test_flush_lock(Test *t)
{
    P9CLock lock = { .type = P9C_LOCK_WRLCK, .client_id = "guest" };
    P9Call *waiting, *flush, *again;
    uint8_t status;

    prepare(t);
    ok(walk(t, ROOT, 100, "f"));
    ok(open_fid(t, 100, P9C_O_RDWR));
    ok(p9c_lock(t->c, FID_OPEN, &lock, &status));
    g_assert_cmpuint(status, ==, P9C_LOCK_SUCCESS);
    waiting = lock_call(t, 100);
    p9c_submit(waiting);
    p9c_pause(t->c);
    g_assert_false(p9c_is_done(waiting));
    flush = p9c_flush_call(t->c, p9c_call_tag(waiting));
    again = p9c_flush_call(t->c, p9c_call_tag(waiting));
    p9c_submit(flush);
    p9c_submit(again);
    ok(p9c_wait(again));
    ok(p9c_wait(flush));
    p9c_wait_flushed(waiting);
    g_assert_cmpuint(p9c_done_order(waiting), <, p9c_done_order(flush));
    g_assert_cmpuint(p9c_done_order(flush), <, p9c_done_order(again));
    end_call(waiting);
    end_call(flush);
    end_call(again);

    /* Only the first process has the lock; then none has. */
    lock.type = P9C_LOCK_UNLCK;
    ok(p9c_lock(t->c, FID_OPEN, &lock, &status));
    lock.type = P9C_LOCK_WRLCK;
    lock.proc_id = 1;
    ok(p9c_getlock(t->c, FID_OPEN, &lock));
    g_assert_cmpuint(lock.type, ==, P9C_LOCK_UNLCK);
    g_free((char *)lock.client_id);
    ok(clunk(t, 100));
    clean_up(t);
    assert_alive(t);
}

/*
 * The end of a session
 */

/* All kinds of fids, and requests on them in flight */
static unsigned under_way(Test *t, P9Call **calls)
{
    unsigned i, n = 0;
    uint8_t status;
    P9CLock lock = { .type = P9C_LOCK_WRLCK, .client_id = "guest" };

    prepare(t);
    for (i = 0; i < 10; i++) {
        ok(walk(t, ROOT, 100 + i, "f"));
        ok(open_fid(t, 100 + i, P9C_O_RDWR));
    }
    ok(p9c_lock(t->c, 100, &lock, &status));
    g_assert_cmpuint(status, ==, P9C_LOCK_SUCCESS);
    ok(p9c_xattrwalk(t->c, FID_FILE, 200, "", NULL));
    /* An inode without a name */
    ok(new_file(t, 201, "unlinked"));
    ok(p9c_unlinkat(t->c, ROOT, "unlinked", 0));

    calls[n] = lock_call(t, 101);
    p9c_submit(calls[n++]);
    if (has(t, HAS_HELPER)) {
        p9_host_signal_helpers(SIGSTOP);
    }
    for (i = 0; i < ARRAY_SIZE(requests); i++) {
        calls[n] = request(t, i);
        p9c_submit(calls[n++]);
    }
    /* Flushes of some of them */
    for (i = 0; i < 4; i++) {
        calls[n] = p9c_flush_call(t->c, p9c_call_tag(calls[i]));
        p9c_submit(calls[n++]);
    }
    return n;
}

#define UNDER_WAY_MAX   (ARRAY_SIZE(requests) + 5)

/* Removes all files from the host's side, for the next round. */
static void host_clean(Test *t)
{
    g_autofree char *cmd = g_strdup_printf("find '%s' -mindepth 1 -delete",
                                           t->dir);

    g_assert_cmpint(system(cmd), ==, 0);
}

/* The fids of the previous session are gone, and a new session works. */
static void assert_new(Test *t, unsigned descriptors)
{
    unsigned i;

    session(t);
    for (i = 1; i < FID_END; i++) {
        fails(clunk(t, i), ENOENT);
    }
    fails(clunk(t, 100), ENOENT);
    fails(clunk(t, 200), ENOENT);
    fails(clunk(t, 201), ENOENT);
    assert_alive(t);
    if (descriptors) {
        p9_host_wait_descriptors(descriptors);
    }
    host_clean(t);
}

static void continue_helpers(Test *t)
{
    if (has(t, HAS_HELPER)) {
        p9_host_signal_helpers(SIGCONT);
    }
}

static void test_version(Test *t)
{
    P9Call *calls[UNDER_WAY_MAX], *version;
    unsigned round, i, n, descriptors = 0;

    for (round = 0; round < ROUNDS; round++) {
        n = under_way(t, calls);
        version = p9c_request(t->c, P9C_TVERSION,
                              PUT(U32(P9C_MSIZE), STR(P9C_VERSION)));
        p9c_submit(version);
        continue_helpers(t);
        ok(p9c_wait(version));
        for (i = 0; i < n; i++) {
            g_assert_true(p9c_is_done(calls[i]));
            g_assert_cmpuint(p9c_done_order(calls[i]), <,
                             p9c_done_order(version));
            end_call(calls[i]);
        }
        g_assert_cmpuint(p9c_get_u32(version), ==, P9C_MSIZE);
        end_call(version);
        assert_new(t, descriptors);
        if (round == 1) {
            descriptors = p9_host_descriptors();
        }
    }
}

static gpointer continue_later(gpointer opaque)
{
    g_usleep(300000);
    p9_host_signal_helpers(SIGCONT);
    return NULL;
}

/* Resets the device while the helper is stopped. */
static void reset_stopped(Test *t)
{
    GThread *thread = NULL;

    if (has(t, HAS_HELPER)) {
        thread = g_thread_new("continue", continue_later, t);
    }
    p9c_reset(t->c);
    if (thread) {
        g_thread_join(thread);
    }
}

static void test_reset(Test *t)
{
    P9Call *calls[UNDER_WAY_MAX];
    unsigned round, i, n, descriptors = 0;

    for (round = 0; round < ROUNDS; round++) {
        n = under_way(t, calls);
        if (round % 5) {
            continue_helpers(t);
            p9c_reset(t->c);
        } else {
            reset_stopped(t);
        }
        for (i = 0; i < n; i++) {
            end_call(calls[i]);
        }
        assert_new(t, descriptors);
        if (round == 1) {
            descriptors = p9_host_descriptors();
        }
    }
}

/* A reset of the guest's machine, without a clunk */
static void test_system_reset(Test *t)
{
    QVirtioPCIDevice *pci = container_of(t->v9p->vdev, QVirtioPCIDevice,
                                         vdev);
    P9Call *calls[UNDER_WAY_MAX];
    unsigned round, i, n, descriptors = 0;

    for (round = 0; round < ROUNDS; round++) {
        n = under_way(t, calls);
        continue_helpers(t);
        qtest_qmp_assert_success(global_qtest,
                                 "{ 'execute': 'system_reset' }");
        qtest_qmp_eventwait(global_qtest, "RESET");
        /* The firmware's part */
        qvirtio_pci_device_enable(pci);
        p9c_reset(t->c);
        for (i = 0; i < n; i++) {
            end_call(calls[i]);
        }
        assert_new(t, descriptors);
        if (round == 1) {
            descriptors = p9_host_descriptors();
        }
    }
}

const Case behaviour_flush[] = {
    { "flush-each", test_flush, HAS_HOST, CASE_SMALL | CASE_ANYBODY },
    { "flush-stopped", test_flush_stopped, HAS_HELPER, CASE_SMALL },
    { "flush-tag-again", test_tag_again, HAS_HOST, CASE_SMALL | CASE_ANYBODY },
    { "flush-io", test_flush_io, HAS_HOST, CASE_SMALL | CASE_ANYBODY },
    { "flush-lock", test_flush_lock, HAS_HOST, CASE_SMALL | CASE_ANYBODY },
    { "end-version", test_version, HAS_HOST, CASE_SMALL | CASE_ANYBODY },
    { "end-reset", test_reset, HAS_HOST, CASE_SMALL | CASE_ANYBODY },
    { "end-system-reset", test_system_reset, HAS_HOST,
      CASE_SMALL | CASE_PCI | CASE_ANYBODY },
    { NULL }
};
