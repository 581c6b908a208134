/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Tests of what code in the helper's place can do, once the helper has shut
 * itself in: a process of this program does so by the helper's own functions,
 * then makes system calls with arguments of an attacker's choice. It needs no
 * privilege and no debugger. test-9p-helper-seccomp.c and
 * test-9p-helper-landlock.c force calls on the helper itself.
 */
#include "qemu/osdep.h"
#include <glib/gstdio.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include "fsdev/helper/landlock.h"
#include "fsdev/helper/seccomp.h"

#define KILLED          1L      /* in place of a result: no call returns it */
#define RULESET_VERSION 1u
#define THREAD_FLAGS    (CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | \
                         CLONE_THREAD)

static char *top;               /* export/ and outside/, each with a "file" */
static int export, outside;     /* O_PATH descriptors */

typedef struct Call {
    const char *name;
    long nr;
    long args[6];
    long want;
} Call;

static void shut_in(bool landlock, bool readonly)
{
    struct rlimit none = { 0, 0 };

    setrlimit(RLIMIT_CORE, &none);
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0) {
        _exit(2);
    }
    if (landlock) {
        landlock_server(export, readonly);
    }
    seccomp_enter(SECCOMP_KILL, -1, false, false);
}

/* The call's result, -errno, or KILLED */
static long attempt(const Call *c, bool landlock, bool readonly)
{
    int results[2], status;
    long ret = LONG_MIN;
    pid_t pid;

    g_assert_cmpint(pipe2(results, O_CLOEXEC), ==, 0);
    pid = fork();
    if (pid == 0) {
        shut_in(landlock, readonly);
        ret = syscall(c->nr, c->args[0], c->args[1], c->args[2], c->args[3],
                      c->args[4], c->args[5]);
        ret = ret < 0 ? -errno : 0;
        _exit(write(results[1], &ret, sizeof(ret)) != sizeof(ret));
    }
    close(results[1]);
    (void)!read(results[0], &ret, sizeof(ret));
    close(results[0]);
    g_assert_cmpint(waitpid(pid, &status, 0), ==, pid);
    if (WIFSIGNALED(status)) {
        g_assert_cmpint(WTERMSIG(status), ==, SIGSYS);
        return KILLED;
    }
    g_assert_cmpint(WEXITSTATUS(status), ==, 0);
    return ret;
}

static bool skip_filter(void)
{
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    g_test_skip("with sanitizers there is no filter");
    return true;
#else
    return false;
#endif
}

static void expect(const Call *calls, unsigned n, bool landlock, bool readonly)
{
    unsigned i;

    for (i = 0; i < n; i++) {
        long ret = attempt(&calls[i], landlock, readonly);

        if (ret != calls[i].want) {
            g_error("%s: %ld, not %ld", calls[i].name, ret, calls[i].want);
        }
    }
}

/* Calls that would give more than files, and harmless ones beside them */
static void test_filter(void)
{
    static const char name[] = "/bin/true";
    long self = getpid();
    const Call calls[] = {
        { "execve", SYS_execve, { (long)name, 0, 0 }, KILLED },
        { "execveat", SYS_execveat, { AT_FDCWD, (long)name, 0, 0, 0 }, KILLED },
        { "a process", SYS_clone, { SIGCHLD }, KILLED },
        { "a namespace", SYS_clone, { CLONE_NEWUSER | SIGCHLD }, KILLED },
        { "a thread in one", SYS_clone, { THREAD_FLAGS | CLONE_NEWUSER },
          KILLED },
        { "clone3", SYS_clone3, { 0, 0 }, -ENOSYS },
        { "unshare", SYS_unshare, { CLONE_NEWUSER }, KILLED },
        { "setns", SYS_setns, { 0, 0 }, KILLED },
        { "chroot", SYS_chroot, { (long)"/" }, KILLED },
        { "pivot_root", SYS_pivot_root, { (long)"/", (long)"/" }, KILLED },
        { "mount", SYS_mount, { 0, (long)"/", 0, 0, 0 }, KILLED },
        { "open_tree", SYS_open_tree, { AT_FDCWD, (long)"/", 0 }, KILLED },
        { "move_mount", SYS_move_mount, { 0, (long)"", 0, (long)"", 0 },
          KILLED },
        { "chdir", SYS_chdir, { (long)"/" }, KILLED },
        { "fchdir", SYS_fchdir, { 0 }, KILLED },
        { "open_by_handle_at", SYS_open_by_handle_at, { 0, 0, 0 }, KILLED },
        { "ptrace", SYS_ptrace, { PTRACE_ATTACH, self, 0, 0 }, KILLED },
        { "process_vm_readv", SYS_process_vm_readv, { self, 0, 0, 0, 0, 0 },
          KILLED },
        { "process_vm_writev", SYS_process_vm_writev, { self, 0, 0, 0, 0, 0 },
          KILLED },
        { "pidfd_open", SYS_pidfd_open, { self, 0 }, KILLED },
        { "pidfd_getfd", SYS_pidfd_getfd, { 0, 0, 0 }, KILLED },
        { "kill", SYS_kill, { self, 0 }, KILLED },
        { "setresuid", SYS_setresuid, { -1, -1, -1 }, KILLED },
        { "setgroups", SYS_setgroups, { 0, 0 }, KILLED },
        { "capset", SYS_capset, { 0, 0 }, KILLED },
        { "socket", SYS_socket, { 1, 1, 0 }, -EACCES },
        { "connect", SYS_connect, { 0, 0, 0 }, KILLED },
        { "bind", SYS_bind, { 0, 0, 0 }, KILLED },
        { "bpf", SYS_bpf, { 0, 0, 0 }, KILLED },
        { "io_uring_setup", SYS_io_uring_setup, { 1, 0 }, KILLED },
        { "perf_event_open", SYS_perf_event_open, { 0, 0, -1, -1, 0 }, KILLED },
        { "userfaultfd", SYS_userfaultfd, { 0 }, KILLED },
        { "keyctl", SYS_keyctl, { 0 }, KILLED },
        { "add_key", SYS_add_key, { 0, 0, 0, 0, 0 }, KILLED },
        { "seccomp", SYS_seccomp, { 0, 0, 0 }, KILLED },
        { "prlimit64", SYS_prlimit64, { 0, RLIMIT_NOFILE, 0, 0 }, -EPERM },
        { "memory to execute", SYS_mmap,
          { 0, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1 },
          KILLED },
        { "memory to write", SYS_mmap,
          { 0, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1 },
          0 },
        { "mprotect to execute", SYS_mprotect, { 0, 4096, PROT_EXEC }, KILLED },
        { "input for a terminal", SYS_ioctl, { 0, TIOCSTI, 0 }, KILLED },
        { "other bits above", SYS_ioctl, { 0, TIOCSTI | 1L << 32, 0 }, KILLED },
        { "core dumps", SYS_prctl, { PR_SET_DUMPABLE, 1 }, KILLED },
        { "prctl of a tracer", SYS_prctl, { PR_SET_PTRACER, -1 }, KILLED },
        { "a signal's owner", SYS_fcntl, { 0, F_SETOWN, self }, KILLED },
        { "a lease", SYS_fcntl, { 0, F_SETLEASE, F_RDLCK }, KILLED },
        { "sched_yield", SYS_sched_yield, { 0 }, 0 },
#ifdef __x86_64__
        { "a call of x32", SYS_sched_yield | 0x40000000, { 0 }, KILLED },
#endif
    };

    if (!skip_filter()) {
        expect(calls, G_N_ELEMENTS(calls), false, false);
    }
}

/* Files outside, by what an attacker may still have: names and descriptors */
static void test_outside(void)
{
    g_autofree char *path = g_build_filename(top, "outside", "file", NULL);
    long at = (long)path, file = (long)"file", new = (long)"new";
    long up = (long)"../outside/file";
    const Call calls[] = {
        { "by path", SYS_openat, { AT_FDCWD, at, O_RDONLY }, -EACCES },
        { "by path, to write", SYS_openat, { AT_FDCWD, at, O_RDWR }, -EACCES },
        { "up from the export", SYS_openat, { export, up, O_RDONLY }, -EACCES },
        { "by descriptor", SYS_openat, { outside, file, O_RDONLY }, -EACCES },
        { "the directory", SYS_openat,
          { outside, (long)".", O_RDONLY | O_DIRECTORY }, -EACCES },
        { "create", SYS_openat, { outside, new, O_RDWR | O_CREAT, 0600 },
          -EACCES },
        { "mkdirat", SYS_mkdirat, { outside, new, 0700 }, -EACCES },
        { "mknodat", SYS_mknodat, { outside, new, S_IFIFO | 0600, 0 },
          -EACCES },
        { "symlinkat", SYS_symlinkat, { file, outside, new }, -EACCES },
        { "unlinkat", SYS_unlinkat, { outside, file, 0 }, -EACCES },
        { "move in", SYS_renameat2, { outside, file, export, new, 0 },
          -EACCES },
        { "move out", SYS_renameat2, { export, file, outside, new, 0 },
          -EACCES },
        { "link in", SYS_linkat, { outside, file, export, new, 0 }, -EXDEV },
        { "link out", SYS_linkat, { export, file, outside, new, 0 }, -EACCES },
        { "inside", SYS_openat, { export, file, O_RDWR }, 0 },
    };
    const Call readonly[] = {
        { "read", SYS_openat, { export, file, O_RDONLY }, 0 },
        { "write", SYS_openat, { export, file, O_RDWR }, -EACCES },
        { "cut", SYS_openat, { export, file, O_WRONLY | O_TRUNC }, -EACCES },
        { "create", SYS_openat, { export, new, O_RDWR | O_CREAT, 0600 },
          -EACCES },
        { "unlinkat", SYS_unlinkat, { export, file, 0 }, -EACCES },
    };

    if (syscall(SYS_landlock_create_ruleset, NULL, 0, RULESET_VERSION) < 2) {
        g_test_skip("this kernel has no Landlock of version 2 or later");
        return;
    }
    expect(calls, G_N_ELEMENTS(calls), true, false);
    expect(readonly, G_N_ELEMENTS(readonly), true, true);
}

static int make_dir(const char *name)
{
    g_autofree char *path = g_build_filename(top, name, NULL);
    g_autofree char *file = g_build_filename(path, "file", NULL);
    int fd;

    g_assert_cmpint(g_mkdir(path, 0755), ==, 0);
    g_assert_true(g_file_set_contents(file, "x", -1, NULL));
    fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
    g_assert_cmpint(fd, >=, 0);
    return fd;
}

static void remove_dir(const char *name, int fd)
{
    unlinkat(fd, "file", 0);
    unlinkat(fd, "new", 0);
    close(fd);
    g_assert_cmpint(g_rmdir(name), ==, 0);
}

int main(int argc, char **argv)
{
    int ret;

    g_test_init(&argc, &argv, NULL);
    top = g_dir_make_tmp("test-9p-inside-XXXXXX", NULL);
    g_assert_nonnull(top);
    export = make_dir("export");
    outside = make_dir("outside");
    g_test_add_func("/9p-helper-inside/filter", test_filter);
    g_test_add_func("/9p-helper-inside/outside", test_outside);
    ret = g_test_run();
    g_assert_cmpint(chdir(top), ==, 0);
    remove_dir("export", export);
    remove_dir("outside", outside);
    g_assert_cmpint(g_rmdir(top), ==, 0);
    return ret;
}
