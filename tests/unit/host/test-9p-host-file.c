/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Tests of I/O on open host descriptors (hw/9pfs/host/file.c), on real files in
 * the current folder, which decides the file system: with and without
 * RWF_NOWAIT, in any number of pieces, from several coroutines at once.
 */
#include "qemu/osdep.h"
#include <linux/magic.h>
#include <sys/vfs.h>
#include "block/aio.h"
#include "qapi/error.h"
#include "qemu/atomic.h"
#include "qemu/iov.h"
#include "qemu/main-loop.h"
#include "qemu/memalign.h"
#include "file-fixture.h"
#include "../shared/slow-close.h"

/* @size bytes at @buf cut into vectors, with empty ones in between */
static struct iovec *cut(char *buf, size_t size, int *niov)
{
    GArray *iov = g_array_new(false, false, sizeof(struct iovec));
    struct iovec v = { };

    while (size) {
        v.iov_base = buf;
        v.iov_len = g_test_rand_int_range(0, 1000);
        v.iov_len = MIN(v.iov_len, size);
        buf += v.iov_len;
        size -= v.iov_len;
        g_array_append_val(iov, v);
    }
    *niov = iov->len;
    return (struct iovec *)g_array_free(iov, false);
}

static void read_write(const char *name, bool writeout)
{
    size_t size = 2000000, i;
    g_autofree char *data = g_malloc(size), *back = g_malloc0(size + 1);
    g_autofree struct iovec *out = NULL, *in = NULL;
    FsFile *file = open_file(name, O_RDWR | O_CREAT | O_TRUNC, writeout);
    int nout, nin;

    for (i = 0; i < size; i++) {
        data[i] = g_test_rand_int();
    }
    out = cut(data, size, &nout);
    in = cut(back, size, &nin);
    g_assert_cmpint(nout, >, 2 * IOV_MAX);
    g_assert_cmpint(do_io(file, run_write, out, nout, 7), ==, size);
    g_assert_cmpint(do_io(file, run_read, in, nin, 7), ==, size);
    g_assert_cmpmem(data, size, back, size);

    /* Over the end, at it and beyond; nothing at all */
    g_assert_cmpint(do_buf(file, run_read, back, 100, size), ==, 7);
    g_assert_cmpint(do_buf(file, run_read, back, 100, size + 7), ==, 0);
    g_assert_cmpint(do_buf(file, run_read, back, 100, size + 700), ==, 0);
    g_assert_cmpint(do_buf(file, run_read, back, 0, 0), ==, 0);
    g_assert_cmpint(do_io(file, run_read, NULL, 0, 0), ==, 0);
    g_assert_cmpint(do_buf(file, run_write, data, 0, 0), ==, 0);

    g_assert_cmpint(do_buf(file, run_fsync, NULL, 0, 0), ==, 0);
    g_assert_cmpint(do_buf(file, run_fsync, NULL, 0, 1), ==, 0);
    fs_file_unref(file);
}

static void test_read_write(void)
{
    read_write("f", false);
}

/* Without the event loop, so without another thread */
static void at_once(Job *job, void coroutine_fn (*run)(Job *job))
{
    job_start(job, run);
    g_assert_true(job->done);
}

/* In another thread */
static void elsewhere(Job *job, void coroutine_fn (*run)(Job *job))
{
    job_start(job, run);
    g_assert_false(job->done);
    job_wait(job);
}

static void test_in_memory(void)
{
    FsFile *file = open_file_on(HOST_DEV_MEMORY, "m", O_RDWR | O_CREAT, true);
    g_autofree char *big = g_malloc0(4 * 1024 * 1024);
    char buf[8] = "abc";
    struct iovec iov = { .iov_base = buf, .iov_len = 3 };
    Job job = { .file = file, .iov = &iov, .niov = 1 };
    Job lock = { .file = file, .lock = { .l_type = F_WRLCK } };

    elsewhere(&job, run_write);
    g_assert_cmpint(job.ret, ==, 3);
    at_once(&job, run_read);
    g_assert_cmpint(job.ret, ==, 3);
    at_once(&job, run_fsync);
    g_assert_cmpint(job.ret, ==, 0);
    at_once(&lock, run_lock);
    g_assert_cmpint(lock.ret, ==, 0);
    /* Requests that would hold up others */
    g_assert_cmpint(do_buf(file, run_write, big, 4 * 1024 * 1024, 0), ==,
                    4 * 1024 * 1024);
    fs_file_unref(file);

    file = open_file_on(HOST_DEV_MEMORY, "", O_RDONLY | O_DIRECTORY, false);
    job = (Job) {
        .file = file, .room = 1,
        .names = g_ptr_array_new_with_free_func(g_free),
        .nexts = g_array_new(false, false, sizeof(uint64_t)),
    };
    elsewhere(&job, run_readdir);
    g_assert_cmpint(job.ret, ==, 0);
    g_assert_cmpuint(job.names->len, ==, 1);
    g_ptr_array_free(job.names, true);
    g_array_free(job.nexts, true);
    fs_file_unref(file);
}

static void coroutine_fn run_learn(Job *job)
{
    HostDevs devs = { };
    struct stat st;

    g_assert_cmpint(fstat(job->niov, &st), ==, 0);
    g_assert_false(host_dev_known(&devs, st.st_dev));
    g_assert_cmpint(host_dev_kind(&devs, st.st_dev), ==, HOST_DEV_REMOTE);
    job->ret = host_dev_learn(&devs, job->niov, st.st_dev);
    g_assert_cmpint(host_dev_kind(&devs, st.st_dev), ==, job->ret);
    g_assert_true(host_dev_known(&devs, st.st_dev));
    host_dev_note(&devs, st.st_dev, HOST_DEV_REMOTE);
    g_assert_cmpint(host_dev_learn(&devs, job->niov, st.st_dev), ==,
                    HOST_DEV_REMOTE);
    host_devs_destroy(&devs);
}

static void test_kinds(void)
{
    /* Both can only be of one kind. */
    static const struct {
        const char *path;
        HostDevKind kind;
    } known[] = {
        { "/dev/shm", HOST_DEV_MEMORY },
        { "/proc", HOST_DEV_STORAGE },
    };
    unsigned i;

    for (i = 0; i < G_N_ELEMENTS(known); i++) {
        Job job = { .niov = open(known[i].path, O_PATH) };
        struct statfs st;

        if (job.niov < 0 || fstatfs(job.niov, &st) < 0 ||
            (st.f_type != TMPFS_MAGIC && st.f_type != PROC_SUPER_MAGIC)) {
            g_test_skip("/dev/shm or /proc is not what it mostly is");
            continue;
        }
        job_start(&job, run_learn);
        job_wait(&job);
        g_assert_cmpint(job.ret, ==, known[i].kind);
        close(job.niov);
    }
}

static void test_writeout(void)
{
    FsFile *file;
    char buf[8];

    read_write("w", true);

    file = open_file("a", O_RDWR | O_CREAT | O_APPEND, true);
    g_assert_cmpint(do_buf(file, run_write, (char *)"abc", 3, 0), ==, 3);
    g_assert_cmpint(do_buf(file, run_write, (char *)"def", 3, 0), ==, 3);
    g_assert_cmpint(do_buf(file, run_read, buf, sizeof(buf), 0), ==, 6);
    g_assert_cmpmem(buf, 6, "abcdef", 6);
    fs_file_unref(file);
}

/* A file as FsDriver.open_file gives it for O_DIRECT */
static FsFile *open_direct(const char *name, int flags)
{
    FsFile *file = open_file(name, flags, false);
    HostFile *host = container_of(file, HostFile, file);
    bool has = fcntl(host->fd, F_SETFL, flags | O_DIRECT) == 0;
    FsFile *again = host_file_new(file->node, dup(host->fd), flags | O_DIRECT,
                                  false, HOST_DEV_STORAGE);

    fs_file_unref(file);
    g_assert_cmpint(container_of(again, HostFile, file)->direct, ==, has);
    if (!has) {
        g_test_skip("the current folder's file system has no O_DIRECT");
        fs_file_unref(again);
        return NULL;
    }
    return again;
}

static bool is_direct(FsFile *file)
{
    HostFile *host = container_of(file, HostFile, file);
    bool direct = fcntl(host->fd, F_GETFL) & O_DIRECT;

    g_assert_cmpint(direct, ==, host->direct);
    g_assert_cmphex(fcntl(host->fd, F_GETFL) & O_APPEND, ==,
                    file->flags & O_APPEND);
    return direct;
}

/* What is aligned goes past the cache; what is not works all the same. */
static void test_direct(void)
{
    const size_t block = 4096, size = 64 * block;
    char *data = qemu_memalign(block, size + block);
    char *back = qemu_memalign(block, size + block);
    FsFile *file = open_direct("direct", O_RDWR | O_CREAT);
    size_t i;

    if (!file) {
        goto out;
    }
    for (i = 0; i < size + block; i++) {
        data[i] = g_test_rand_int();
    }
    g_assert_cmpint(do_buf(file, run_write, data, size, 0), ==, size);
    g_assert_cmpint(do_buf(file, run_read, back, size, 0), ==, size);
    g_assert_cmpmem(data, size, back, size);
    g_assert_true(is_direct(file));
    /* At the end, and past it */
    g_assert_cmpint(do_buf(file, run_read, back, size, size), ==, 0);
    g_assert_cmpint(do_buf(file, run_read, back, size, size - block), ==,
                    block);
    g_assert_true(is_direct(file));

    /* File systems may do the unaligned with a copy, as tmpfs does */
    memset(back, 0, size);
    g_assert_cmpint(do_buf(file, run_write, data + 3, size - 10, 5), ==,
                    size - 10);
    g_test_message("O_DIRECT is %s after unaligned I/O",
                   is_direct(file) ? "on" : "off");
    g_assert_cmpint(do_buf(file, run_read, back + 1, 999, 5), ==, 999);
    g_assert_cmpmem(data + 3, 999, back + 1, 999);
    is_direct(file);
    g_assert_cmpint(do_buf(file, run_read, back, size, 5), ==, size - 5);
    g_assert_cmpmem(data + 3, size - 10, back, size - 10);

    /* An error that is one stays: the offset cannot be. */
    g_assert_cmpint(do_buf(file, run_read, back, 1, 1ull << 63), ==, -EINVAL);
    fs_file_unref(file);
out:
    qemu_vfree(data);
    qemu_vfree(back);
}

/* Several at once that find out, one of them with vectors of any size */
static void test_direct_many(void)
{
    const size_t size = 8192;
    g_autofree char *data = g_malloc(4 * size);
    g_autofree char *back = g_malloc(4 * size + 1);
    g_autofree struct iovec *iov = NULL;
    FsFile *file = open_direct("direct-many", O_RDWR | O_CREAT);
    struct iovec v[4];
    Job job[4];
    int niov, i;

    if (!file) {
        return;
    }
    for (i = 0; i < 4 * size; i++) {
        data[i] = g_test_rand_int();
    }
    for (i = 0; i < 4; i++) {
        v[i].iov_base = data + i * size;
        v[i].iov_len = size;
        job[i] = (Job) { .file = file, .iov = &v[i], .niov = 1,
                         .offset = i * size + 1 };
        job_start(&job[i], run_write);
    }
    for (i = 0; i < 4; i++) {
        job_wait(&job[i]);
        g_assert_cmpint(job[i].ret, ==, size);
    }
    is_direct(file);
    iov = cut(back, 4 * size, &niov);
    g_assert_cmpint(do_io(file, run_read, iov, niov, 1), ==, 4 * size);
    g_assert_cmpmem(data, 4 * size, back, 4 * size);
    fs_file_unref(file);

    /* The rest of the flags stays. */
    file = open_direct("direct-append", O_RDWR | O_CREAT | O_APPEND);
    g_assert_cmpint(do_buf(file, run_write, data, 11, 0), ==, 11);
    is_direct(file);
    g_assert_cmpint(do_buf(file, run_write, data + 11, 11, 0), ==, 11);
    g_assert_cmpint(do_buf(file, run_read, back, 100, 0), ==, 22);
    g_assert_cmpmem(data, 22, back, 22);
    fs_file_unref(file);
}

/* What is not in the page cache comes all the same */
static void test_cold(void)
{
    size_t size = 1000000, i;
    g_autofree char *data = g_malloc(size), *back = g_malloc0(size);
    FsFile *file = open_file("cold", O_RDWR | O_CREAT, false);
    HostFile *host = container_of(file, HostFile, file);

    for (i = 0; i < size; i++) {
        data[i] = i * 31;
    }
    g_assert_cmpint(do_buf(file, run_write, data, size, 0), ==, size);
    g_assert_cmpint(do_buf(file, run_fsync, NULL, 0, 0), ==, 0);
    /* The second half leaves the cache, if the file system lets it */
    posix_fadvise(host->fd, size / 2, 0, POSIX_FADV_DONTNEED);
    g_assert_cmpint(do_buf(file, run_read, back, size, 0), ==, size);
    g_assert_cmpmem(data, size, back, size);

    /* As on a file system that has no RWF_NOWAIT */
    host->read_wait = HOST_WAIT_POOL;
    memset(back, 0, size);
    g_assert_cmpint(do_buf(file, run_write, data, size, 1), ==, size);
    g_assert_cmpint(do_buf(file, run_read, back, size, 1), ==, size);
    g_assert_cmpmem(data, size, back, size);
    g_assert_cmpint(do_buf(file, run_read, back, 100, size), ==, 1);
    fs_file_unref(file);
}

static void coroutine_fn run_settle(Job *job)
{
    job->ret = host_file_settle(&job->call, job->file);
}

/* What was written goes to a file server, and stays where there is none. */
static void test_settle(void)
{
    static const HostDevKind kinds[] = {
        HOST_DEV_REMOTE, HOST_DEV_STORAGE, HOST_DEV_MEMORY,
    };
    unsigned i;
    int p[2];

    g_assert_cmpint(pipe(p), ==, 0);
    for (i = 0; i < ARRAY_SIZE(kinds); i++) {
        FsFile *file = open_file_on(kinds[i], "s", O_RDWR | O_CREAT, false);
        Job job = { .file = file };

        job_start(&job, run_settle);
        job_wait(&job);
        g_assert_cmpint(job.ret, ==, 0);
        /* fsync(2) fails, if anything calls it. */
        g_assert_cmpint(dup2(p[1], container_of(file, HostFile, file)->fd),
                        >=, 0);
        job_start(&job, run_settle);
        job_wait(&job);
        g_assert_cmpint(job.ret, ==,
                        kinds[i] == HOST_DEV_REMOTE ? -EINVAL : 0);
        fs_file_unref(file);
    }
    close(p[0]);
    close(p[1]);
}

static void wait_closed(void)
{
    gint64 end = g_get_monotonic_time() + 10 * G_USEC_PER_SEC;

    while (qatomic_read(export.closing)) {
        g_assert_cmpint(g_get_monotonic_time(), <, end);
        g_usleep(1000);
    }
}

/* The count of closes under way, for which a migration waits */
static void test_closing(void)
{
    FsFile *file = open_file_on(HOST_DEV_REMOTE, "c", O_RDWR | O_CREAT, false);
    int peer = slow_close_make(host_file_fd(file), 1);

    /* Those of earlier tests */
    wait_closed();
    fs_file_unref(file);
    g_assert_cmpuint(qatomic_read(export.closing), ==, 1);
    wait_closed();
    close(peer);
}

static void test_errors(void)
{
    FsFile *file = open_file("e", O_RDONLY | O_CREAT, false);
    char c = 'x';

    g_assert_cmpint(do_buf(file, run_write, &c, 1, 0), ==, -EBADF);
    g_assert_cmpint(do_buf(file, run_read, &c, 1, 1ull << 63), ==, -EINVAL);
    fs_file_unref(file);
    file = open_file(".", O_RDONLY | O_DIRECTORY, false);
    g_assert_cmpint(do_buf(file, run_read, &c, 1, 0), ==, -EISDIR);
    fs_file_unref(file);
}

static int do_lock(FsFile *file, int type)
{
    Job job = {
        .file = file,
        .lock = { .l_type = type, .l_whence = SEEK_SET, .l_pid = 4711 },
    };

    job_start(&job, run_lock);
    job_wait(&job);
    return job.ret;
}

static void test_lock(void)
{
    FsFile *a = open_file("l", O_RDWR | O_CREAT, false);
    FsFile *b = open_file("l", O_RDWR, false);

    g_assert_true(a->node == b->node);
    g_assert_cmpint(do_lock(a, F_WRLCK), ==, 0);
    g_assert_cmpint(do_lock(b, F_RDLCK), ==, -EAGAIN);
    /* Given up at once, though the descriptor is closed some time later */
    fs_file_unref(a);
    g_assert_cmpint(do_lock(b, F_RDLCK), ==, 0);
    fs_file_unref(b);
}

int main(int argc, char **argv)
{
    file_fixture_begin(argc, argv);
    g_test_add_func("/hostfile/read-write", test_read_write);
    g_test_add_func("/hostfile/in-memory", test_in_memory);
    g_test_add_func("/hostfile/kinds", test_kinds);
    g_test_add_func("/hostfile/writeout", test_writeout);
    g_test_add_func("/hostfile/cold", test_cold);
    g_test_add_func("/hostfile/direct", test_direct);
    g_test_add_func("/hostfile/direct-many", test_direct_many);
    g_test_add_func("/hostfile/settle", test_settle);
    g_test_add_func("/hostfile/closing", test_closing);
    g_test_add_func("/hostfile/errors", test_errors);
    g_test_add_func("/hostfile/lock", test_lock);
    return file_fixture_run();
}
