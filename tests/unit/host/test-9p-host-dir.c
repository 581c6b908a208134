/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Tests of reading open directories of the host (hw/9pfs/host/file.c): in
 * pieces of any size, by several readers, and many directories at once.
 */
#include "qemu/osdep.h"
#include <malloc.h>
#include "file-fixture.h"

static Job *readdir_job(FsFile *file, uint64_t offset, unsigned room)
{
    Job *job = g_new0(Job, 1);

    job->file = file;
    job->offset = offset;
    job->room = room;
    job->names = g_ptr_array_new_with_free_func(g_free);
    job->nexts = g_array_new(false, false, sizeof(uint64_t));
    return job;
}

static void readdir_free(Job *job)
{
    g_ptr_array_unref(job->names);
    g_array_unref(job->nexts);
    g_free(job);
}

static Job *do_readdir(FsFile *file, uint64_t offset, unsigned room)
{
    Job *job = readdir_job(file, offset, room);

    job_start(job, run_readdir);
    job_wait(job);
    g_assert_cmpint(job->ret, ==, 0);
    return job;
}

#define MANY    3000

static void make_many(void)
{
    g_autofree char *dir = g_build_filename(folder, "many", NULL);
    int i;

    if (mkdir(dir, 0700) < 0) {
        return;
    }
    for (i = 0; i < MANY; i++) {
        g_autofree char *name = g_strdup_printf("%s/some-file-%d", dir, i);
        int fd = open(name, O_CREAT | O_WRONLY, 0600);

        g_assert_cmpint(fd, >=, 0);
        close(fd);
    }
}

static void test_readdir(void)
{
    unsigned rooms[] = { 1, 7, 100, 100000 };
    uint64_t end = 0;
    FsFile *file;
    int i;

    make_many();
    file = open_file("many", O_RDONLY | O_DIRECTORY, false);
    for (i = 0; i < ARRAY_SIZE(rooms); i++) {
        g_autoptr(GHashTable) seen = g_hash_table_new_full(g_str_hash,
                                                           g_str_equal,
                                                           g_free, NULL);
        uint64_t offset = 0;
        bool more = true;

        while (more) {
            Job *job = do_readdir(file, offset, rooms[i]);
            guint j;

            for (j = 0; j < job->names->len; j++) {
                g_assert_true(g_hash_table_add(seen,
                    g_strdup(g_ptr_array_index(job->names, j))));
            }
            more = j > 0;
            if (more) {
                offset = g_array_index(job->nexts, uint64_t, j - 1);
            }
            readdir_free(job);
        }
        g_assert_cmpuint(g_hash_table_size(seen), ==, MANY + 2);
        end = offset;
    }

    /* The end is the end, until the beginning */
    for (i = 0; i < 4; i++) {
        Job *job = do_readdir(file, i < 3 ? end : 0, 5);

        g_assert_cmpuint(job->names->len, ==, (i < 3 ? 0 : 5));
        readdir_free(job);
    }
    fs_file_unref(file);
}

/* Two readers at different places of one open directory */
static void test_readdir_two(void)
{
    uint64_t offset[2] = { };
    unsigned count[2] = { }, room[2] = { 10, 33 };
    bool more = true;
    FsFile *file;
    int i;

    make_many();
    file = open_file("many", O_RDONLY | O_DIRECTORY, false);
    while (more) {
        Job *job[2];

        for (i = 0; i < 2; i++) {
            job[i] = readdir_job(file, offset[i], room[i]);
            job_start(job[i], run_readdir);
        }
        for (i = 0; i < 2; i++) {
            job_wait(job[i]);
            g_assert_cmpint(job[i]->ret, ==, 0);
            count[i] += job[i]->names->len;
            if (job[i]->names->len) {
                offset[i] = g_array_index(job[i]->nexts, uint64_t,
                                          job[i]->names->len - 1);
            }
            if (i == 0) {
                more = job[i]->names->len > 0;
            }
            readdir_free(job[i]);
        }
    }
    g_assert_cmpuint(count[0], ==, MANY + 2);
    g_assert_cmpuint(count[1], ==, MANY + 2);
    fs_file_unref(file);
}

/* An offset that no entry has: whatever the host says, and then on */
static void test_readdir_bad(void)
{
    FsFile *file = open_file(".", O_RDONLY | O_DIRECTORY, false);
    Job *job = readdir_job(file, 1ull << 63, 5);

    job_start(job, run_readdir);
    job_wait(job);
    g_assert_cmpint(job->ret, ==, -EINVAL);
    readdir_free(job);
    job = do_readdir(file, 0, 2);
    g_assert_cmpuint(job->names->len, ==, 2);
    readdir_free(job);
    fs_file_unref(file);
}

/* The bytes that this program has allocated, where that is known, else 0 */
static size_t allocated(void)
{
    struct mallinfo2 info = mallinfo2();

    return info.uordblks + info.hblkhd;
}

/*
 * Many directories are half read: most blocks of entries are given up, and
 * every directory goes on where it was.
 */
static void test_readdir_idle(void)
{
    enum { DIRS = 500 };
    const size_t most = HOST_DIR_BLOCKS * HOST_DIR_BLOCK + DIRS * 512;
    FsFile *files[DIRS];
    uint64_t next[DIRS];
    size_t before;
    unsigned i;

    make_many();
    /* Threads and coroutines are there from now on. */
    files[0] = open_file("many", O_RDONLY | O_DIRECTORY, false);
    readdir_free(do_readdir(files[0], 0, 10));
    fs_file_unref(files[0]);

    before = allocated();
    for (i = 0; i < DIRS; i++) {
        Job *job;

        files[i] = open_file("many", O_RDONLY | O_DIRECTORY, false);
        job = do_readdir(files[i], 0, 10);
        g_assert_cmpuint(job->names->len, ==, 10);
        next[i] = g_array_index(job->nexts, uint64_t, 9);
        readdir_free(job);
    }
    g_test_message("%zu bytes for %d directories", allocated() - before, DIRS);
    g_assert_cmpuint(allocated(), <=, before + most);

    for (i = 0; i < DIRS; i += 7) {
        Job *job = do_readdir(files[i], next[i], MANY * 2);

        g_assert_cmpuint(job->names->len, ==, MANY + 2 - 10);
        readdir_free(job);
        job = do_readdir(files[i], 0, MANY * 2);
        g_assert_cmpuint(job->names->len, ==, MANY + 2);
        readdir_free(job);
    }
    /* What was read to its end has no block. */
    for (i = 0; i < DIRS; i++) {
        readdir_free(do_readdir(files[i], 0, MANY * 2));
    }
    g_assert_cmpuint(allocated(), <=, before + DIRS * 512);
    for (i = 0; i < DIRS; i++) {
        fs_file_unref(files[i]);
    }
}

int main(int argc, char **argv)
{
    file_fixture_begin(argc, argv);
    g_test_add_func("/hostdir/readdir", test_readdir);
    g_test_add_func("/hostdir/readdir-two", test_readdir_two);
    g_test_add_func("/hostdir/readdir-bad", test_readdir_bad);
    g_test_add_func("/hostdir/readdir-idle", test_readdir_idle);
    return file_fixture_run();
}
