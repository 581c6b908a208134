/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * For tests of open files of the host (hw/9pfs/host/file.c): an export and a
 * new folder for it in the current one, files of that folder, and the
 * operations, each in a coroutine.
 */
#ifndef TESTS_UNIT_HOST_FILE_FIXTURE_H
#define TESTS_UNIT_HOST_FILE_FIXTURE_H

#include "hw/9pfs/host/file.h"

/* An operation, its arguments, and its result */
typedef struct Job Job;
struct Job {
    void coroutine_fn (*run)(Job *job);
    FsCall call;
    FsFile *file;
    struct iovec *iov;
    int niov;
    uint64_t offset;
    struct flock lock;
    unsigned room;              /* entries that are taken */
    GPtrArray *names;
    GArray *nexts;
    ssize_t ret;
    bool done;
};

extern FsExport export;
extern char *folder;

/* Before the program adds its tests, and in place of g_test_run() */
void file_fixture_begin(int argc, char **argv);
int file_fixture_run(void);

/* As on a file system of that kind, whatever the current folder is on */
FsFile *open_file_on(HostDevKind kind, const char *name, int flags,
                     bool writeout);
/* The same on storage */
FsFile *open_file(const char *name, int flags, bool writeout);

/* Starts @run in a coroutine; waits until it is done. */
void job_start(Job *job, void coroutine_fn (*run)(Job *job));
void job_wait(Job *job);

void coroutine_fn run_read(Job *job);
void coroutine_fn run_write(Job *job);
void coroutine_fn run_fsync(Job *job);
void coroutine_fn run_lock(Job *job);
void coroutine_fn run_readdir(Job *job);

/* Reads or writes from start to end. */
ssize_t do_io(FsFile *file, void coroutine_fn (*run)(Job *job),
              struct iovec *iov, int niov, uint64_t offset);
ssize_t do_buf(FsFile *file, void coroutine_fn (*run)(Job *job),
               void *buf, size_t size, uint64_t offset);

#endif
