/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Tests of virtfs-proxy-helper under load, and at its limits: many requests at
 * once, many handles, names that change under a walk, a client that does not
 * read.
 */
#include "qemu/osdep.h"
#include "proxy-calls.h"
#include "proxy-proc.h"
#include <sys/resource.h>
#include <sys/socket.h>

static const char *const one_thread[] = { "--threads", "1", NULL };
static const char *const many_threads[] = { "--threads", "64", NULL };

/* A walk follows no link, neither to the outside nor to the inside. */
static void test_links_not_followed(ProxyFixture *f, gconstpointer opaque)
{
    PcNode node;
    FsAttr attr;

    g_assert_cmpint(pc_walk(f->c, "up", &node, &attr), ==, 0);
    g_assert_true(S_ISLNK(attr.mode));
    g_assert_cmpint(pc_walk1(f->c, node.handle, "x", &node, NULL), ==,
                    -ENOTDIR);
    g_assert_cmpint(pc_walk(f->c, "link/sub", &node, NULL), ==, -ENOENT);
    g_assert_cmpint(pc_walk(f->c, "root/file", &node, NULL), ==, -ENOENT);
}

typedef struct Swap {
    char *a;
    char *b;
    int stop;
} Swap;

static void *swap_thread(void *opaque)
{
    Swap *s = opaque;

    while (!g_atomic_int_get(&s->stop)) {
        g_assert_cmpint(renameat2(AT_FDCWD, s->a, AT_FDCWD, s->b,
                                  RENAME_EXCHANGE), ==, 0);
    }
    return NULL;
}

/* A name that alternates between a directory and a link to another one */
static void test_swap(ProxyFixture *f, gconstpointer opaque)
{
    Swap swap = {
        .a = g_build_filename(f->dir, "here", NULL),
        .b = g_build_filename(f->dir, "there", NULL),
    };
    unsigned found = 0, not_found = 0;
    struct stat mine;
    GThread *thread;
    PcNode node;
    FsAttr attr;
    unsigned i;

    pf_put_dir(f, "here");
    pf_put_file(f, "here/deep", "mine");
    pf_put_link(f, "dir/sub", "there");
    pf_stat(f, "here/deep", &mine);
    thread = g_thread_new("swap", swap_thread, &swap);
    for (i = 0; i < 100000 && (i < 3000 || !found || !not_found); i++) {
        if (pc_walk(f->c, "here/deep", &node, &attr) == 0) {
            g_assert_cmpint(attr.ino, ==, mine.st_ino);
            if (node.fd >= 0) {
                close(node.fd);
            }
            found++;
        } else {
            not_found++;
        }
    }
    g_atomic_int_set(&swap.stop, 1);
    g_thread_join(thread);
    g_free(swap.a);
    g_free(swap.b);
    g_assert_cmpint(found, >, 0);
    g_assert_cmpint(not_found, >, 0);
}

static void test_pipelined(ProxyFixture *f, gconstpointer opaque)
{
    enum { N = 1000 };
    g_autofree bool *seen = g_new0(bool, N);
    ProxyClient *c = f->c;
    ProxyHeader h;
    FsAttr attr;
    unsigned sent, got = 0;

    for (sent = 0; sent < N; sent++) {
        marshal_put_u64(pc_begin(c), PROXY_ROOT_HANDLE);
        g_assert_cmpint(pc_send(c, PROXY_GETATTR), ==, sent + 1);
        /* Some stay in flight until all are sent. */
        while (got + 200 < sent || (sent == N - 1 && got < N)) {
            g_assert_cmpint(pc_receive(c, &h), ==, 0);
            g_assert_cmpint(h.type, ==, PROXY_GETATTR | PROXY_REPLY);
            g_assert_cmpint(h.tag, >=, 1);
            g_assert_cmpint(h.tag, <=, N);
            g_assert_false(seen[h.tag - 1]);
            seen[h.tag - 1] = true;
            proxy_get_attr(&c->in, &attr);
            g_assert_cmpint(attr.ino, ==, c->root_attr.ino);
            got++;
        }
    }
    g_assert_cmpint(got, ==, N);
}

/* Handles come and go under requests that use them. */
static void test_forget_in_use(ProxyFixture *f, gconstpointer opaque)
{
    enum { ROUNDS = 500 };
    ProxyClient *c = f->c;
    struct stat deep;
    ProxyHeader h;
    FsAttr attr;
    PcNode node;
    unsigned i, k;
    int ret;

    pf_stat(f, "dir/sub/deep", &deep);
    for (i = 0; i < ROUNDS; i++) {
        g_assert_cmpint(pc_walk(c, "dir/sub/deep", &node, NULL), ==, 0);
        if (node.fd >= 0) {
            close(node.fd);
        }
        for (k = 0; k < 4; k++) {
            marshal_put_u64(pc_begin(c), node.handle);
            pc_send(c, PROXY_GETATTR);
            if (k == 1) {
                pc_forget(c, node.handle, 1);
            }
        }
        for (k = 0; k < 4; k++) {
            ret = pc_receive(c, &h);
            if (ret == 0) {
                proxy_get_attr(&c->in, &attr);
                g_assert_cmpint(attr.ino, ==, deep.st_ino);
            } else {
                g_assert_cmpint(ret, ==, -EBADF);
            }
        }
    }
}

/*
 * At the limit of handles the helper gives no more. The existing ones still
 * work, and giving some of them back makes room again.
 */
static void test_many_handles(ProxyFixture *f, gconstpointer opaque)
{
    enum { LIMIT = 512 };
    uint64_t handles[LIMIT];
    unsigned i, n = 0;
    PcNode node;
    int ret = 0;
    FsAttr attr;
    int fd;

    for (i = 0; i < LIMIT; i++) {
        g_autofree char *name = g_strdup_printf("f%u", i);

        pf_put_file(f, name, "");
    }
    pc_max_files = LIMIT;
    f->c = pc_open(f->dir, NULL);
    pc_max_files = 0;

    for (i = 0; i < LIMIT; i++) {
        g_autofree char *name = g_strdup_printf("f%u", i);

        ret = pc_walk(f->c, name, &node, NULL);
        if (ret < 0) {
            break;
        }
        handles[n++] = node.handle;
        close(node.fd);
    }
    g_assert_cmpint(ret, ==, -EMFILE);
    g_assert_cmpint(n, >, LIMIT / 2);
    g_assert_cmpint(call_handle(f->c, PROXY_GETATTR, handles[0]), ==, 0);
    g_assert_cmpint(call_open(f->c, handles[0], O_RDONLY, &fd), ==, 0);
    close(fd);
    g_assert_cmpint(call_create(f->c, PROXY_ROOT_HANDLE, "new", O_RDWR, 0600,
                                &attr, &node, &fd), ==, -EMFILE);

    for (i = 0; i < n; i++) {
        pc_forget(f->c, handles[i], 1);
    }
    while (pc_walk(f->c, "f511", &node, NULL) == -EMFILE) {
        g_usleep(1000);         /* FORGET has no reply; the test times out */
    }
    close(node.fd);
    g_assert_cmpint(call_open(f->c, node.handle, O_RDONLY, &fd), ==, 0);
    close(fd);
}

/*
 * With --rlimit-nofile, one client can make the helper hold so many
 * descriptors, and so much memory for its handles. Beyond it a request fails,
 * and the helper serves on.
 */
static void test_rlimit_nofile(ProxyFixture *f, gconstpointer opaque)
{
    enum { LIMIT = 16384, BYTES_PER_HANDLE = 320 };
    static const char *const options[] = { "--rlimit-nofile=16384", NULL };
    g_autofree uint64_t *handles = g_new(uint64_t, LIMIT);
    unsigned before, after, i, n = 0;
    PcNode node;
    int ret = 0;

    for (i = 0; i < LIMIT; i++) {
        g_autofree char *name = g_strdup_printf("f%u", i);

        pf_put_file(f, name, "");
    }
    f->c = pc_open(f->dir, options);
    pp_expect_limit(f->c->server_pid, "Max open files", "16384");
    before = geteuid() ? 0 : pp_private_kib(f->c->server_pid);
    for (i = 0; i < LIMIT && ret == 0; i++) {
        g_autofree char *name = g_strdup_printf("f%u", i);

        ret = pc_walk(f->c, name, &node, NULL);
        if (ret == 0) {
            handles[n++] = node.handle;
            close(node.fd);
        }
    }
    g_assert_cmpint(ret, ==, -EMFILE);
    g_assert_cmpuint(n, >, LIMIT / 2);
    if (geteuid() == 0) {
        after = pp_private_kib(f->c->server_pid);
        g_test_message("%u handles, %u KiB", n, after - before);
        if (PP_OWN_MEMORY) {
            g_assert_cmpuint(after - before, <,
                             n * BYTES_PER_HANDLE / 1024 + 512);
        }
        g_assert_cmpuint(pp_open_files(f->c->server_pid), <, LIMIT);
    }
    for (i = 0; i < n; i++) {
        g_assert_cmpint(call_handle(f->c, PROXY_GETATTR, handles[i]), ==, 0);
    }
}

/* Walking, making and opening leaves no descriptor behind. */
static void test_no_leak(ProxyFixture *f, gconstpointer opaque)
{
    unsigned before, i;
    FsAttr attr;
    PcNode node;
    int fd;

    if (geteuid() != 0) {
        g_test_skip("needs root to look at the helper's descriptors");
        return;
    }
    before = pp_open_files(f->c->server_pid);
    for (i = 0; i < 100; i++) {
        g_autofree char *name = g_strdup_printf("n%u", i);

        g_assert_cmpint(pc_walk(f->c, "dir/sub/deep", &node, NULL), ==, 0);
        if (node.fd >= 0) {
            close(node.fd);
        }
        g_assert_cmpint(call_open(f->c, node.handle, O_RDONLY, &fd), ==, 0);
        close(fd);
        pc_forget(f->c, node.handle, 1);
        pc_walk(f->c, "dir/sub/none/x", &node, NULL);
        g_assert_cmpint(call_create(f->c, PROXY_ROOT_HANDLE, name, O_RDWR,
                                    0600, &attr, &node, &fd), ==, 0);
        close(node.fd);
        close(fd);
        pc_forget(f->c, node.handle, 1);
        g_assert_cmpint(call_create(f->c, PROXY_ROOT_HANDLE, name,
                                    O_RDWR | O_EXCL, 0600, &attr, &node,
                                    &fd), ==, -EEXIST);
        g_assert_cmpint(call_unlink(f->c, PROXY_ROOT_HANDLE, name, false, 0),
                        ==, 0);
    }
    while (pp_open_files(f->c->server_pid) > before) {
        g_usleep(1000);
    }
}

/* Resident memory of a process, KiB */
static unsigned memory_of(uint32_t pid)
{
    g_autofree char *path = g_strdup_printf("/proc/%u/status", pid);
    g_autofree char *text = NULL;
    const char *at;

    g_assert_true(g_file_get_contents(path, &text, NULL, NULL));
    at = strstr(text, "VmRSS:");
    g_assert_nonnull(at);
    return strtoul(at + 6, NULL, 10);
}

/* A client that sends and never reads: the helper only stops receiving. */
static void test_never_read(ProxyFixture *f, gconstpointer opaque)
{
    uint8_t msg[PROXY_HEADER_SIZE + 8] = { 0 };
    ProxyHeader h = { .size = sizeof(msg), .type = PROXY_GETATTR };
    MarshalWriter w;
    uint64_t sent = 0;
    unsigned idle = 0;
    size_t len;

    proxy_header_put(&h, msg);
    marshal_writer_init(&w, msg + PROXY_HEADER_SIZE, 8);
    marshal_put_u64(&w, PROXY_ROOT_HANDLE);
    while (sent < 64 * 1024 * 1024 && idle < 30) {
        len = pc_send_now(f->c, msg + sent % sizeof(msg),
                          sizeof(msg) - sent % sizeof(msg));
        sent += len;
        idle = len ? 0 : idle + 1;
        g_usleep(len ? 0 : 10000);
    }
    g_assert_cmpint(sent, <, 64 * 1024 * 1024);
    if (PP_OWN_MEMORY) {
        g_assert_cmpint(memory_of(f->c->server_pid), <, 64 * 1024);
    }

    /* It ends with the client all the same. */
    pc_close(g_steal_pointer(&f->c));
}

/* A client that has stopped sending, but reads, gets all replies. */
static void test_half_closed(ProxyFixture *f, gconstpointer opaque)
{
    ProxyHeader h;
    unsigned i;

    for (i = 0; i < 50; i++) {
        marshal_put_u64(pc_begin(f->c), PROXY_ROOT_HANDLE);
        pc_send(f->c, PROXY_GETATTR);
    }
    pc_end_requests(f->c);
    for (i = 0; i < 50; i++) {
        g_assert_cmpint(pc_receive(f->c, &h), ==, 0);
    }
}

/* The helper receives the largest possible message, and answers an error. */
static void test_largest(ProxyFixture *f, gconstpointer opaque)
{
    size_t size = PROXY_MAX_MESSAGE - PROXY_HEADER_SIZE - 8 - 8 - 4 - 4;
    g_autofree char *value = g_malloc0(size);

    g_assert_cmpint(call_setxattr(f->c, PROXY_ROOT_HANDLE, "user.x", 0, value,
                                  size), ==, -E2BIG);
}

/* A message may arrive byte by byte. */
static void test_slow_message(ProxyFixture *f, gconstpointer opaque)
{
    ProxyHeader h;
    unsigned i;

    marshal_put_u64(pc_begin(f->c), PROXY_ROOT_HANDLE);
    h = (ProxyHeader) { PROXY_HEADER_SIZE + 8, PROXY_GETATTR, 0, 77 };
    proxy_header_put(&h, f->c->out_buf);
    for (i = 0; i < PROXY_HEADER_SIZE + 8; i++) {
        pc_send_raw(f->c, f->c->out_buf + i, 1);
        g_usleep(1000);
    }
    g_assert_cmpint(pc_receive(f->c, &h), ==, 0);
    g_assert_cmpint(h.tag, ==, 77);
}

/* An inherited limit of file sizes is an error, not the helper's end. */
static void test_file_size_limit(ProxyFixture *f, gconstpointer opaque)
{
    FsSetAttr set = { .valid = FS_SET_SIZE, .size = 2 * 1024 * 1024 };
    struct rlimit old, limit;
    uint64_t file;

    g_assert_cmpint(getrlimit(RLIMIT_FSIZE, &old), ==, 0);
    limit = (struct rlimit) { 1024 * 1024, old.rlim_max };
    g_assert_cmpint(setrlimit(RLIMIT_FSIZE, &limit), ==, 0);
    f->c = pc_open(f->dir, NULL);
    g_assert_cmpint(setrlimit(RLIMIT_FSIZE, &old), ==, 0);

    file = node_of(f, "file");
    g_assert_cmpint(call_setattr(f->c, file, &set), ==, -EFBIG);
    set.size = 1024;
    g_assert_cmpint(call_setattr(f->c, file, &set), ==, 0);
}

int main(int argc, char **argv)
{
    pf_init(&argc, &argv, "/9p-helper");

    pf_add_made("file-size-limit", NULL, test_file_size_limit);
    pf_add("links-not-followed", NULL, test_links_not_followed);
    pf_add("swap", NULL, test_swap);
    pf_add("pipelined", NULL, test_pipelined);
    pf_add("pipelined/one-thread", one_thread, test_pipelined);
    pf_add("pipelined/many-threads", many_threads, test_pipelined);
    pf_add("forget-in-use", many_threads, test_forget_in_use);
    pf_add_made("many-handles", NULL, test_many_handles);
    pf_add_made("rlimit-nofile", NULL, test_rlimit_nofile);
    pf_add("no-leak", NULL, test_no_leak);
    pf_add("never-read", NULL, test_never_read);
    pf_add("half-closed", NULL, test_half_closed);
    pf_add("largest", NULL, test_largest);
    pf_add("slow-message", NULL, test_slow_message);
    return g_test_run();
}
