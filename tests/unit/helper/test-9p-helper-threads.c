/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Tests of how the threads of virtfs-proxy-helper share the requests: a slow
 * request delays no other, idle threads sleep, and FORGETs keep their order.
 *
 * The slow request is the truncation of a file on which the test has a lease
 * (fcntl(2)): it waits until the test gives the lease up. More of them than a
 * file system may hold up need one that does not answer.
 */
#include "qemu/osdep.h"
#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include "fsdev/shared/file-handle.h"
#include "proxy-fixture.h"
#include "../shared/hung-fuse.h"

#define SLOW_FILES      3
/* What one file system may hold: a third of 52 threads */
#define HUNG_MAX        17

/* Requests that leave together */
typedef struct Together {
    uint8_t buf[4096];
    size_t size;
    MarshalWriter w;
} Together;

static MarshalWriter *begin(Together *t)
{
    marshal_writer_init(&t->w, t->buf + t->size, sizeof(t->buf) - t->size);
    marshal_reserve(&t->w, PROXY_HEADER_SIZE);
    return &t->w;
}

static void end(Together *t, unsigned type, uint32_t tag)
{
    ProxyHeader h = {
        .size = marshal_size(&t->w), .type = type, .tag = tag,
    };

    g_assert_true(marshal_fits(&t->w));
    proxy_header_put(&h, t->buf + t->size);
    t->size += h.size;
}

static void put_getattr(Together *t, uint32_t tag)
{
    marshal_put_u64(begin(t), PROXY_ROOT_HANDLE);
    end(t, PROXY_GETATTR, tag);
}

static void put_truncate(Together *t, uint64_t handle, uint32_t tag)
{
    FsSetAttr set = { .valid = FS_SET_SIZE, .size = 1 };
    MarshalWriter *w = begin(t);

    marshal_put_u64(w, handle);
    proxy_put_setattr(w, &set);
    end(t, PROXY_SETATTR, tag);
}

static void put_walk(Together *t, const char *name, uint32_t tag)
{
    MarshalWriter *w = begin(t);

    marshal_put_u64(w, PROXY_ROOT_HANDLE);
    marshal_put_u16(w, 1);
    marshal_put_str(w, name);
    end(t, PROXY_WALK, tag);
}

static void put_forget(Together *t, uint64_t handle)
{
    MarshalWriter *w = begin(t);

    marshal_put_u16(w, 1);
    marshal_put_u64(w, handle);
    marshal_put_u32(w, 1);
    end(t, PROXY_FORGET, 0);
}

static void send_together(ProxyFixture *f, Together *t)
{
    g_assert_true(pc_send_raw(f->c, t->buf, t->size));
    t->size = 0;
}

static void expect_reply(ProxyFixture *f, unsigned type, uint32_t tag)
{
    ProxyHeader h;

    g_assert_cmpint(pc_receive(f->c, &h), ==, 0);
    g_assert_cmpint(h.type, ==, type | PROXY_REPLY);
    g_assert_cmpint(h.tag, ==, tag);
}

/* No reply may arrive now. */
static void expect_silence(ProxyFixture *f)
{
    g_assert_false(pc_has_reply(f->c));
}

/* A lease on the file @name of the export: a descriptor, -1 if not possible */
static int take_lease(ProxyFixture *f, const char *name)
{
    g_autofree char *path = g_build_filename(f->dir, name, NULL);
    int fd = open(path, O_RDONLY | O_CLOEXEC);

    g_assert_cmpint(fd, >=, 0);
    if (fcntl(fd, F_SETLEASE, F_RDLCK) < 0) {
        g_test_skip("this file system has no leases");
        close(fd);
        return -1;
    }
    return fd;
}

static uint64_t node_of(ProxyFixture *f, const char *name)
{
    PcNode node;
    FsAttr attr;

    g_assert_cmpint(pc_walk(f->c, name, &node, &attr), ==, 0);
    if (node.fd >= 0) {
        close(node.fd);
    }
    return node.handle;
}

/* Requests before, with and after a slow one get replies before it does. */
static void test_slow(ProxyFixture *f, gconstpointer opaque)
{
    uint64_t file = node_of(f, "file");
    int lease = take_lease(f, "file");
    Together t = { .size = 0 };
    unsigned i, seen = 0;
    ProxyHeader h;

    if (lease < 0) {
        return;
    }
    put_getattr(&t, 1);
    put_getattr(&t, 2);
    put_truncate(&t, file, 3);
    put_getattr(&t, 4);
    put_getattr(&t, 5);
    send_together(f, &t);
    /* In any order: on a busy machine any of them may take a while. */
    for (i = 0; i < 4; i++) {
        g_assert_cmpint(pc_receive(f->c, &h), ==, 0);
        g_assert_cmpint(h.type, ==, PROXY_GETATTR | PROXY_REPLY);
        g_assert_cmpint(h.tag, <=, 5);
        g_assert_false(seen & 1 << h.tag);
        seen |= 1 << h.tag;
    }
    g_assert_cmphex(seen, ==, 1 << 1 | 1 << 2 | 1 << 4 | 1 << 5);
    /* The kernel takes a lease away after 45 seconds (proc(5)). */
    for (i = 10; i < 200; i++) {
        put_getattr(&t, i);
        send_together(f, &t);
        expect_reply(f, PROXY_GETATTR, i);
    }
    expect_silence(f);

    close(lease);
    expect_reply(f, PROXY_SETATTR, 3);
}

/*
 * Slow requests one after the other, and with pauses in which all threads
 * sleep. One thread more than slow requests is enough.
 */
static void test_slow_many(ProxyFixture *f, gconstpointer opaque)
{
    Together t = { .size = 0 };
    uint64_t nodes[SLOW_FILES];
    int leases[SLOW_FILES];
    unsigned i;

    for (i = 0; i < SLOW_FILES; i++) {
        g_autofree char *name = g_strdup_printf("slow%u", i);

        pf_put_file(f, name, "text");
        nodes[i] = node_of(f, name);
        leases[i] = take_lease(f, name);
        if (leases[i] < 0) {
            return;
        }
    }
    for (i = 0; i < SLOW_FILES; i++) {
        put_truncate(&t, nodes[i], i);
        send_together(f, &t);
        if (i == 1) {
            g_usleep(50 * 1000);
        }
        put_getattr(&t, 100 + i);
        send_together(f, &t);
        expect_reply(f, PROXY_GETATTR, 100 + i);
    }
    for (i = 0; i < SLOW_FILES; i++) {
        expect_silence(f);
        close(leases[i]);
        expect_reply(f, PROXY_SETATTR, i);
    }
}

/* How often all threads of a process have given up the processor */
static uint64_t waits_of(pid_t pid)
{
    g_autofree char *tasks = g_strdup_printf("/proc/%d/task", pid);
    GDir *dir = g_dir_open(tasks, 0, NULL);
    const char *name;
    uint64_t sum = 0;

    g_assert_nonnull(dir);
    while ((name = g_dir_read_name(dir))) {
        g_autofree char *path = g_build_filename(tasks, name, "status", NULL);
        g_autofree char *text = NULL;
        const char *line;

        g_assert_true(g_file_get_contents(path, &text, NULL, NULL));
        line = strstr(text, "\nvoluntary_ctxt_switches:");
        g_assert_nonnull(line);
        sum += g_ascii_strtoull(strchr(line, ':') + 1, NULL, 10);
    }
    g_dir_close(dir);
    return sum;
}

/* Without requests the threads go to sleep, and stay asleep. */
static void test_idle(ProxyFixture *f, gconstpointer opaque)
{
    pid_t pid = f->c->server_pid;
    Together t = { .size = 0 };
    uint64_t before, now;
    unsigned i;

#ifdef __SANITIZE_THREAD__
    g_test_skip("ThreadSanitizer has a thread of its own that never rests");
    return;
#endif
    for (i = 0; i < 100; i++) {
        put_getattr(&t, i);
        send_together(f, &t);
        expect_reply(f, PROXY_GETATTR, i);
    }
    now = waits_of(pid);
    for (i = 0; i < 20; i++) {
        before = now;
        g_usleep(200 * 1000);
        now = waits_of(pid);
        if (now == before) {
            return;
        }
    }
    g_error("it does not come to rest");
}

/* The helper donates a node again that is found again after a FORGET. */
static void test_forget_order(ProxyFixture *f, gconstpointer opaque)
{
    uint64_t handle = node_of(f, "file");
    Together t = { .size = 0 };
    unsigned next, i, j;
    PcNode node;
    FsAttr attr;

    for (i = 0; i < 2000; i++) {
        for (j = 0; j < i % 4; j++) {
            put_getattr(&t, j);
        }
        put_forget(&t, handle);
        put_walk(&t, "file", 10);
        for (j = 0; j < i % 3; j++) {
            put_getattr(&t, j);
        }
        send_together(f, &t);

        for (j = 0; j < i % 4 + i % 3 + 1; j++) {
            ProxyHeader h;

            g_assert_cmpint(pc_receive(f->c, &h), ==, 0);
            if (h.tag != 10) {
                continue;
            }
            g_assert_cmpint(marshal_get_u16(&f->c->in), ==, 1);
            proxy_get_attr(&f->c->in, &attr);
            next = 0;
            pc_get_node(f->c, &node, &next);
            g_assert_cmpint(node.fd, >=, 0);
            close(node.fd);
            handle = node.handle;
        }
    }
}

/*
 * Requests with names that a file system which holds its share of the threads
 * keeps from beginning. The helper does them again until it can.
 */
static void test_again(ProxyFixture *f, gconstpointer opaque)
{
    static const unsigned types[] = {
        PROXY_WALK, PROXY_CREATE, PROXY_MAKE, PROXY_LINK, PROXY_RENAME,
        PROXY_UNLINK, PROXY_GETXATTR, PROXY_SETXATTR, PROXY_REMOVEXATTR,
    };
    g_autofree char *at = g_build_filename(f->dir, "hung", NULL);
    PcArgs args = { .name = "dir", .other_name = "inner", .mode = 0644 };
    unsigned seen[PROXY_TYPE_END] = { };
    HungFuse *fuse;
    ProxyHeader h;
    unsigned i;

    g_assert_cmpint(mkdir(at, 0755), ==, 0);
    fuse = hung_fuse_start_or_skip(at);
    if (!fuse) {
        return;
    }
    f->c = pc_open(f->dir, opaque);
    args.handle = args.other = node_of(f, "hung");
    hung_fuse_hang(fuse, FUSE_GETATTR, HUNG_ALL);
    for (i = 0; i < HUNG_MAX; i++) {
        pc_put_request(f->c, PROXY_GETATTR, &args);
        pc_send(f->c, PROXY_GETATTR);
    }
    g_assert_true(hung_fuse_wait(fuse, HUNG_MAX));
    for (i = 0; i < G_N_ELEMENTS(types); i++) {
        pc_put_request(f->c, types[i], &args);
        pc_send(f->c, types[i]);
    }
    g_usleep(50 * 1000);
    expect_silence(f);

    hung_fuse_answer(fuse);
    for (i = 0; i < HUNG_MAX + G_N_ELEMENTS(types); i++) {
        int ret = pc_receive(f->c, &h);

        h.type &= ~PROXY_REPLY;
        g_assert_cmpint(h.type, <, PROXY_TYPE_END);
        seen[h.type]++;
        if (h.type == PROXY_GETATTR || h.type == PROXY_WALK) {
            g_assert_cmpint(ret, ==, 0);
        }
        if (h.type == PROXY_WALK) {
            g_assert_cmpuint(marshal_get_u16(&f->c->in), ==, 2);
        }
        while (f->c->nfds) {
            close(f->c->fds[--f->c->nfds]);
        }
    }
    g_assert_cmpuint(seen[PROXY_GETATTR], ==, HUNG_MAX);
    for (i = 0; i < G_N_ELEMENTS(types); i++) {
        g_assert_cmpuint(seen[types[i]], ==, 1);
    }
    hung_fuse_end(fuse);
}

static void put_find(ProxyClient *c, const struct file_handle *fh)
{
    MarshalWriter *w = pc_begin(c);

    marshal_put_u32(w, fh->handle_type);
    marshal_put_u32(w, fh->handle_bytes);
    marshal_put_bytes(w, fh->f_handle, fh->handle_bytes);
    pc_send(c, PROXY_FIND);
}

/*
 * File handles of a file system that does not answer: they hold its share of
 * the threads, and delay nothing else.
 */
static void test_find_hung(ProxyFixture *f, gconstpointer opaque)
{
    const unsigned n = HUNG_MAX + 3;
    g_autofree char *file = g_build_filename(f->dir, "file", NULL);
    g_autofree char *dir = g_build_filename(f->dir, "dir", NULL);
    g_autofree struct file_handle *fh = NULL;
    PcArgs args = { };
    HungFuse *fuse;
    ProxyHeader h;
    unsigned i;
    int fd;

    if (geteuid() != 0) {
        g_test_skip("needs root");
        return;
    }
    /* The mounts are the test's alone. */
    g_assert_cmpint(unshare(CLONE_NEWNS), ==, 0);
    g_assert_cmpint(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL), ==, 0);
    fuse = hung_fuse_start_or_skip(f->dir);
    if (!fuse) {
        return;
    }
    g_assert_cmpint(mount("other", dir, "tmpfs", 0, NULL), ==, 0);
    fd = open(file, O_PATH | O_CLOEXEC);
    g_assert_cmpint(fd, >=, 0);
    fh = file_handle_get(fd, FILE_HANDLE_ANY_MOUNT);
    g_assert_nonnull(fh);
    f->c = pc_open(f->dir, opaque);
    args.handle = node_of(f, "dir");

    hung_fuse_hang(fuse, FUSE_GETATTR, HUNG_FILE);
    for (i = 0; i < n; i++) {
        put_find(f->c, fh);
    }
    g_assert_true(hung_fuse_wait(fuse, HUNG_MAX));
    g_usleep(50 * 1000);
    g_assert_cmpuint(hung_fuse_waiting(fuse), ==, HUNG_MAX);
    expect_silence(f);
    pc_put_request(f->c, PROXY_GETATTR, &args);
    pc_send(f->c, PROXY_GETATTR);
    expect_reply(f, PROXY_GETATTR, f->c->tag);

    hung_fuse_answer(fuse);
    for (i = 0; i < n; i++) {
        g_assert_cmpint(pc_receive(f->c, &h), ==, 0);
        g_assert_cmpint(h.type, ==, PROXY_FIND | PROXY_REPLY);
        while (f->c->nfds) {
            close(f->c->fds[--f->c->nfds]);
        }
    }
    close(fd);
    g_assert_cmpint(pc_close(f->c), ==, 0);
    f->c = NULL;
    g_assert_cmpint(umount2(dir, MNT_DETACH), ==, 0);
    hung_fuse_end(fuse);
}

int main(int argc, char **argv)
{
    static const char *const finds[] = {
        "--threads=4", "--file-handles=on", NULL,
    };
    static const char *const two[] = { "--threads=2", NULL };
    static const char *const four[] = { "--threads=4", NULL };
    static const char *const many[] = { "--threads=16", NULL };

    pf_init(&argc, &argv, "/9p-helper/threads");
    signal(SIGIO, SIG_IGN);     /* the kernel asks for a lease */

    pf_add("slow", many, test_slow);
    pf_add("slow/two-threads", two, test_slow);
    pf_add("slow/many", four, test_slow_many);
    pf_add("idle", many, test_idle);
    pf_add_made("again", four, test_again);
    pf_add_made("find-hung", finds, test_find_hung);
    pf_add("forget-order", many, test_forget_order);
    pf_add("forget-order/two-threads", two, test_forget_order);
    return g_test_run();
}
