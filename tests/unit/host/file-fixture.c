/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * For tests of open files of the host: see file-fixture.h.
 */
#include "qemu/osdep.h"
#include "block/aio.h"
#include "qapi/error.h"
#include "qemu/main-loop.h"
#include "file-fixture.h"

FsExport export;
static const FsdevOptions options;
char *folder;

static void host_node_free(FsNode *node)
{
    g_free(node);
}

static const FsDriver driver = {
    .node_free = host_node_free,
    .file_free = host_file_free,
};

/* As on a file system of that kind, whatever the current folder is on */
FsFile *open_file_on(HostDevKind kind, const char *name, int flags,
                     bool writeout)
{
    g_autofree char *path = g_build_filename(folder, name, NULL);
    FsNode *node;
    FsFile *file;
    FsAttr attr = { };
    struct stat st;
    int fd = open(path, flags, 0600);

    g_assert_cmpint(fd, >=, 0);
    g_assert_cmpint(fstat(fd, &st), ==, 0);
    attr.dev = st.st_dev;
    attr.ino = st.st_ino;
    attr.mode = st.st_mode;
    node = fs_node_find(&export, attr.dev, attr.ino);
    if (!node) {
        node = g_new0(FsNode, 1);
        fs_node_init(node, &export, &attr);
    }
    file = host_file_new(node, fd, flags, writeout, kind);
    fs_node_unref(node);
    return file;
}

FsFile *open_file(const char *name, int flags, bool writeout)
{
    return open_file_on(HOST_DEV_STORAGE, name, flags, writeout);
}

static void coroutine_fn job_entry(void *opaque)
{
    Job *job = opaque;

    job->run(job);
    job->done = true;
}

void job_start(Job *job, void coroutine_fn (*run)(Job *job))
{
    job->run = run;
    job->done = false;
    qemu_coroutine_enter(qemu_coroutine_create(job_entry, job));
}

void job_wait(Job *job)
{
    gint64 end = g_get_monotonic_time() + 60 * G_USEC_PER_SEC;

    while (!job->done && g_get_monotonic_time() < end) {
        if (!aio_poll(qemu_get_aio_context(), false)) {
            g_usleep(50);
        }
    }
    g_assert_true(job->done);
}

void coroutine_fn run_read(Job *job)
{
    job->ret = host_file_read(&job->call, job->file, job->iov, job->niov,
                              job->offset);
}

void coroutine_fn run_write(Job *job)
{
    job->ret = host_file_write(&job->call, job->file, job->iov, job->niov,
                               job->offset);
}

void coroutine_fn run_fsync(Job *job)
{
    job->ret = host_file_fsync(&job->call, job->file, job->offset);
}

void coroutine_fn run_lock(Job *job)
{
    job->ret = host_file_lock(&job->call, job->file, &job->lock, false);
}

static bool take(void *opaque, const FsDirent *entry)
{
    Job *job = opaque;

    if (job->room == 0) {
        return false;
    }
    job->room--;
    g_assert_cmpuint(strlen(entry->name), ==, entry->namelen);
    g_ptr_array_add(job->names, g_strdup(entry->name));
    g_array_append_val(job->nexts, entry->next);
    return true;
}

void coroutine_fn run_readdir(Job *job)
{
    job->ret = host_file_readdir(&job->call, job->file, job->offset, take,
                                 job);
}

ssize_t do_io(FsFile *file, void coroutine_fn (*run)(Job *job),
              struct iovec *iov, int niov, uint64_t offset)
{
    Job job = { .file = file, .iov = iov, .niov = niov, .offset = offset };

    job_start(&job, run);
    job_wait(&job);
    return job.ret;
}

ssize_t do_buf(FsFile *file, void coroutine_fn (*run)(Job *job),
               void *buf, size_t size, uint64_t offset)
{
    struct iovec iov = { .iov_base = buf, .iov_len = size };

    return do_io(file, run, &iov, 1, offset);
}

void file_fixture_begin(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    qemu_init_main_loop(&error_abort);
    export.driver = &driver;
    fs_export_init(&export, &options, &error_abort);
    folder = g_strdup("test-hostfile-XXXXXX");
    g_assert_nonnull(g_mkdtemp(folder));
}

int file_fixture_run(void)
{
    int ret = g_test_run();
    g_autofree char *rm = g_strdup_printf("rm -rf %s", folder);

    if (system(rm) != 0) {
        g_printerr("cannot remove %s\n", folder);
    }
    fs_export_release(&export);
    g_free(folder);
    return ret;
}
