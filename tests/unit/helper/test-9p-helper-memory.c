/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Tests of virtfs-proxy-helper's limit of memory: a client that wants more gets
 * errors, and the helper serves on, within the limit.
 */
#include "qemu/osdep.h"
#include "proxy-calls.h"
#include "proxy-proc.h"
#include <sys/resource.h>

/* Two handles of each are more than the least limit has room for. */
#define FILES_MANY      17000

static const char *const any_start[] = { NULL };
static const char *const one_thread[] = { "--threads=1", NULL };

/* The least limit that the helper takes, as its error says: MiB */
static unsigned least_limit(const char *dir, const char *option)
{
    const char *args[] = { "-n", "-p", dir, "-f", "3", "--memory-limit=1",
                           option, NULL };
    g_autofree char *text = NULL;
    const char *at;
    int sock[2];

    g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sock),
                    ==, 0);
    g_assert_cmpint(pc_run(args, PC_NOBODY, sock[1], &text), ==, 1);
    close(sock[0]);
    close(sock[1]);
    g_assert_nonnull(strstr(text, "--memory-limit 1: "));
    at = strstr(text, "at least ");
    g_assert_nonnull(at);
    return strtoul(at + strlen("at least "), NULL, 10);
}

static unsigned status_kib(pid_t pid, const char *name)
{
    g_autofree char *value = pp_status(pid, name);

    return strtoul(value, NULL, 10);
}

/* The most that it has ever had */
static void expect_within(ProxyClient *c, unsigned mib)
{
    g_test_message("limit %u KiB, address space %u KiB, resident %u KiB",
                   mib * 1024, status_kib(c->server_pid, "VmPeak"),
                   status_kib(c->server_pid, "VmHWM"));
    g_assert_cmpuint(status_kib(c->server_pid, "VmPeak"), <=, mib * 1024);
    g_assert_cmpuint(status_kib(c->server_pid, "VmHWM"), <=, mib * 1024);
}

/* Large requests still get their answers. */
static void expect_service(ProxyFixture *f)
{
    size_t size = PROXY_MAX_MESSAGE - PROXY_HEADER_SIZE - 8 - 8 - 4 - 4;
    g_autofree char *value = g_malloc0(size);
    ProxyHeader h;
    unsigned i;

    g_assert_cmpint(call_handle(f->c, PROXY_GETATTR, PROXY_ROOT_HANDLE), ==,
                    0);
    g_assert_cmpint(call_setxattr(f->c, PROXY_ROOT_HANDLE, "user.x", 0, value,
                                  size), ==, -E2BIG);
    for (i = 0; i < 100; i++) {
        marshal_put_u64(pc_begin(f->c), PROXY_ROOT_HANDLE);
        marshal_put_u8(&f->c->out, 1);
        marshal_put_str(&f->c->out, "");
        pc_send(f->c, PROXY_GETXATTR);
    }
    for (i = 0; i < 100; i++) {
        g_assert_cmpint(pc_receive(f->c, &h), ==, 0);
    }
}

/* A helper with the least limit, which *@mib gets */
static void start(ProxyFixture *f, const char *const *options, unsigned *mib)
{
    g_autofree char *limit = NULL;
    const char *args[] = { NULL, options[0], NULL };

    *mib = least_limit(f->dir, options[0]);
    args[0] = limit = g_strdup_printf("--memory-limit=%uM", *mib);
    f->c = pc_open(f->dir, args);
}

/* Whether the system lets the helper have more files than memory */
static bool has_files(void)
{
    struct rlimit limit;

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    g_test_skip("sanitizers have memory of their own");
    return false;
#endif
    g_assert_cmpint(getrlimit(RLIMIT_NOFILE, &limit), ==, 0);
    if (limit.rlim_max < FILES_MANY + 2000) {
        g_test_skip("needs a higher limit of open files");
        return false;
    }
    return true;
}

static void make_files(const ProxyFixture *f)
{
    unsigned i;

    for (i = 0; i < FILES_MANY; i++) {
        g_autofree char *name = g_strdup_printf("f%u", i);

        pf_put_file(f, name, "");
    }
}

/*
 * Gets two handles of one file after the other, until that fails: @handles, and
 * those that the client chooses. Returns how many files worked.
 */
static unsigned take_all(ProxyClient *c, uint64_t *handles)
{
    PcNode node;
    unsigned i;
    int ret;

    for (i = 0; i < FILES_MANY; i++) {
        g_autofree char *name = g_strdup_printf("f%u", i);

        ret = pc_walk(c, name, &node, NULL);
        if (ret < 0) {
            g_assert_cmpint(ret, ==, -EMFILE);
            break;
        }
        handles[i] = node.handle;
        pc_adopt(c, PROXY_ADOPTED | (i + 1), node.fd);
        ret = call_handle(c, PROXY_GETATTR, PROXY_ADOPTED | (i + 1));
        close(node.fd);
        if (ret < 0) {
            g_assert_cmpint(ret, ==, -EBADF);
            pc_forget(c, node.handle, 1);
            break;
        }
    }
    g_test_message("two handles of %u files", i);
    g_assert_cmpuint(i, >, 1000);
    g_assert_cmpuint(i, <, FILES_MANY);
    return i;
}

static void test_handles(ProxyFixture *f, gconstpointer options)
{
    g_autofree uint64_t *handles = g_new(uint64_t, FILES_MANY);
    uint64_t adopted = PROXY_ADOPTED | FILES_MANY;
    unsigned mib, i, n, more;
    FsAttr attr;
    PcNode node;
    int fd, ret = 0;

    if (!has_files()) {
        return;
    }
    make_files(f);
    start(f, options, &mib);
    n = take_all(f->c, handles);
    expect_within(f->c, mib);
    /* The rest, until nothing is left at all */
    for (more = n; more < FILES_MANY && ret == 0; more++) {
        g_autofree char *name = g_strdup_printf("f%u", more);

        ret = pc_walk(f->c, name, &node, NULL);
        if (ret == 0) {
            close(node.fd);
        }
    }
    g_assert_cmpint(ret, ==, -EMFILE);
    g_assert_cmpint(call_create(f->c, PROXY_ROOT_HANDLE, "new", O_RDWR, 0600,
                                &attr, &node, &fd), ==, -EMFILE);
    g_assert_false(pf_exists(f, "new"));
    expect_service(f);
    expect_within(f->c, mib);

    for (i = 0; i < n; i++) {
        g_assert_cmpint(call_handle(f->c, PROXY_GETATTR, handles[i]), ==, 0);
    }
    /* Giving some back makes room again. */
    for (i = 0; i < 10; i++) {
        pc_forget(f->c, handles[i], 1);
        pc_forget(f->c, PROXY_ADOPTED | (i + 1), 1);
    }
    g_assert_cmpint(call_create(f->c, PROXY_ROOT_HANDLE, "new", O_RDWR, 0600,
                                &attr, &node, &fd), ==, 0);
    pc_adopt(f->c, adopted, node.fd);
    g_assert_cmpint(call_handle(f->c, PROXY_GETATTR, adopted), ==, 0);
    close(node.fd);
    close(fd);
}

/* Each of many clients gets the same; none keeps memory from the next. */
static void test_next(ProxyFixture *f, gconstpointer options)
{
    g_autofree uint64_t *handles = g_new(uint64_t, FILES_MANY);
    g_autofree char *path = g_strdup_printf("%s.sock", f->dir);
    g_autofree char *limit = NULL;
    const char *args[] = { "-n", "-p", f->dir, "-s", path, "--persist", NULL,
                           NULL };
    unsigned mib, i, n, first = 0;
    ProxyClient *c;
    pid_t pid;
    int fd;

    if (!has_files()) {
        return;
    }
    make_files(f);
    mib = least_limit(f->dir, NULL);
    args[6] = limit = g_strdup_printf("--memory-limit=%u", mib);
    pid = pc_spawn(args, PC_NOBODY, -1, -1);
    for (i = 0; i < 4; i++) {
        while ((fd = pc_connect(path)) < 0) {
            g_usleep(1000);     /* the test times out */
        }
        c = pc_new(fd, 0);
        pc_hello(c, 0);
        n = take_all(c, handles);
        first = i ? first : n;
        g_assert_cmpuint(n, ==, first);
        expect_within(c, mib);
        pc_close(c);
    }
    kill(pid, SIGTERM);
    pc_wait(pid);
    unlink(path);
}

int main(int argc, char **argv)
{
    pf_init(&argc, &argv, "/9p-helper-memory");

    pf_add_made("handles", any_start, test_handles);
    pf_add_made("handles/one-thread", one_thread, test_handles);
    pf_add_made("next", any_start, test_next);
    return g_test_run();
}
