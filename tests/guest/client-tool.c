/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Asks a guest's kernel what its 9p client can. The program is linked
 * statically; its first argument is the question. The answer is one line: a
 * word, or the name of an errno.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static void answer(const char *text)
{
    puts(text);
    exit(0);
}

/* The name of errno, if a call returned less than 0 */
static void answer_call(long ret)
{
    answer(ret < 0 ? strerrorname_np(errno) : "yes");
}

static int must_open(const char *name, int flags)
{
    int fd = open(name, flags, 0644);

    if (fd < 0) {
        printf("open %s: %s\n", name, strerrorname_np(errno));
        exit(1);
    }
    return fd;
}

/* times FILE: sets times with nanoseconds, and looks at them again */
static void times(char **arg)
{
    struct timespec set[2] = { { 1000000001, 123456789 },
                               { 1000000002, 987654321 } };
    struct stat st;

    if (utimensat(AT_FDCWD, arg[0], set, 0) < 0 || stat(arg[0], &st) < 0) {
        answer_call(-1);
    }
    answer(st.st_mtim.tv_nsec == 987654321 && st.st_atim.tv_nsec == 123456789
           ? "nanoseconds" : st.st_mtim.tv_nsec ? "rounded" : "whole seconds");
}

/* mtime FILE: whether its time has nanoseconds */
static void mtime(char **arg)
{
    struct stat st;

    if (stat(arg[0], &st) < 0) {
        answer_call(-1);
    }
    answer(st.st_mtim.tv_nsec ? "nanoseconds" : "whole seconds");
}

/* rename2 FLAGS OLD NEW */
static void rename2(char **arg)
{
    answer_call(renameat2(AT_FDCWD, arg[1], AT_FDCWD, arg[2], atoi(arg[0])));
}

static void tmpfile_in(char **arg)
{
    answer_call(open(arg[0], O_TMPFILE | O_RDWR, 0600));
}

/* holes FILE: it has data at 1 MiB only; which hole and data lseek(2) finds */
static void holes(char **arg)
{
    int fd = must_open(arg[0], O_RDWR | O_CREAT);
    off_t data, hole;

    if (pwrite(fd, "x", 1, 1 << 20) != 1 || fsync(fd) < 0) {
        answer_call(-1);
    }
    data = lseek(fd, 0, SEEK_DATA);
    hole = lseek(fd, 0, SEEK_HOLE);
    answer(data > 0 && hole == 0 ? "found" : data < 0 || hole < 0 ?
           strerrorname_np(errno) : "none found");
}

static void allocate(char **arg)
{
    answer_call(fallocate(must_open(arg[0], O_RDWR | O_CREAT), 0, 0, 1 << 16));
}

static void direct(char **arg)
{
    answer_call(open(arg[0], O_RDWR | O_DIRECT));
}

/* map FILE: shared memory of it, to write */
static void map(char **arg)
{
    int fd = must_open(arg[0], O_RDWR | O_CREAT);
    char *p;

    if (ftruncate(fd, 4096) < 0) {
        answer_call(-1);
    }
    p = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (p == MAP_FAILED) {
        answer_call(-1);
    }
    strcpy(p, "mapped");
    answer_call(msync(p, 4096, MS_SYNC));
}

/* fill FILE SECONDS: which call fails first while the file grows, and how */
static void fill(char **arg)
{
    int fd = must_open(arg[0], O_RDWR | O_CREAT | O_APPEND);
    int left;
    char buf[4096] = "";

    for (left = atoi(arg[1]) * 5; left; left--) {
        if (write(fd, buf, sizeof(buf)) < 0) {
            printf("%s from write\n", strerrorname_np(errno));
            exit(0);
        }
        if (fsync(fd) < 0) {
            printf("%s from fsync\n", strerrorname_np(errno));
            exit(0);
        }
        usleep(200000);
    }
    answer("no error");
}

/*
 * again FILE: opens it, has the host truncate it (file "ask"), and reads from
 * the start. The reader is a child, which may stay in the kernel.
 */
static void again(char **arg)
{
    int fd = must_open(arg[0], O_RDONLY);
    int status, left;
    char buf[100];
    pid_t pid;

    close(must_open("ask-truncate", O_WRONLY | O_CREAT));
    while (access("done-truncate", F_OK) < 0) {
        usleep(100000);
    }
    pid = fork();
    if (pid == 0) {
        ssize_t n = read(fd, buf, sizeof(buf));

        answer(n < 0 ? strerrorname_np(errno) : n && buf[0] ?
               "ends, with the old data" : n ? "ends, with NUL bytes" :
               "ends");
    }
    for (left = 200; left; left--) {
        if (waitpid(pid, &status, WNOHANG) == pid) {
            exit(0);
        }
        usleep(100000);
    }
    answer("asks for ever");
}

/* stale FILE: with it open, the host puts another one in its place */
static void stale(char **arg)
{
    int fd = must_open(arg[0], O_RDONLY);
    struct stat by_fd, by_name;

    close(must_open("ask-replace", O_WRONLY | O_CREAT));
    while (access("done-replace", F_OK) < 0) {
        usleep(100000);
    }
    if (fstat(fd, &by_fd) < 0 || stat(arg[0], &by_name) < 0) {
        answer_call(-1);
    }
    answer(by_name.st_size == 3 ? "the new file" : by_name.st_size == 4 ?
           "the old file" : "something else");
}

static const struct {
    const char *name;
    int args;
    void (*run)(char **arg);
} commands[] = {
    { "times", 1, times },
    { "mtime", 1, mtime },
    { "rename2", 3, rename2 },
    { "tmpfile", 1, tmpfile_in },
    { "holes", 1, holes },
    { "allocate", 1, allocate },
    { "direct", 1, direct },
    { "map", 1, map },
    { "fill", 2, fill },
    { "again", 1, again },
    { "stale", 1, stale },
};

int main(int argc, char **argv)
{
    size_t i;

    setvbuf(stdout, NULL, _IOLBF, 0);
    for (i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
        if (argc >= 2 && !strcmp(argv[1], commands[i].name) &&
            argc == 2 + commands[i].args) {
            commands[i].run(argv + 2);
        }
    }
    fprintf(stderr, "client-tool: unknown question or number of arguments\n");
    return 2;
}
