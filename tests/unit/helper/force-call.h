/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Makes another process do a system call that it would not do by itself. The
 * test, as its debugger, stops it at the entry of a call and changes the
 * number. The kernel applies system call filters after that.
 */
#ifndef TESTS_FORCE_CALL_H
#define TESTS_FORCE_CALL_H

#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/user.h>
#include <sys/wait.h>

#if !defined(__x86_64__) || defined(__SANITIZE_ADDRESS__) || \
    defined(__SANITIZE_THREAD__)

static inline const char *cannot_force_call(void)
{
    return "the test knows the registers of x86-64 only, and a helper with "
           "sanitizers has no filter";
}

static inline void force_call(pid_t pid, long at, long nr)
{
}

static inline long force_path_call(pid_t pid, long at, long nr, int dir,
                                   const char *path, long arg)
{
    return -ENOSYS;
}

#else

/* The reason why this is not possible here, or NULL */
static inline const char *cannot_force_call(void)
{
    return geteuid() ? "needs root, to trace the helper" : NULL;
}

static inline void force_call_wait_stop(pid_t pid)
{
    int status;

    g_assert_cmpint(waitpid(pid, &status, __WALL), ==, pid);
    g_assert_true(WIFSTOPPED(status));
}

/*
 * Lets the process run until it is about to make the call @at. If it already
 * sleeps in the call, this interrupts it, and it begins again, for some calls
 * by the number of restart_syscall(2).
 */
static inline void force_call_stop(pid_t pid, long at)
{
    struct __ptrace_syscall_info info = { .op = PTRACE_SYSCALL_INFO_NONE };

    g_assert_cmpint(ptrace(PTRACE_SEIZE, pid, 0, PTRACE_O_TRACESYSGOOD),
                    ==, 0);
    g_assert_cmpint(ptrace(PTRACE_INTERRUPT, pid, 0, 0), ==, 0);
    force_call_wait_stop(pid);
    while (info.op != PTRACE_SYSCALL_INFO_ENTRY ||
           (info.entry.nr != at && info.entry.nr != __NR_restart_syscall)) {
        g_assert_cmpint(ptrace(PTRACE_SYSCALL, pid, 0, 0), ==, 0);
        force_call_wait_stop(pid);
        g_assert_cmpint(ptrace(PTRACE_GET_SYSCALL_INFO, pid, sizeof(info),
                               &info), >, 0);
    }
}

/* Makes the process do the call @nr instead of the call @at. */
static inline void force_call(pid_t pid, long at, long nr)
{
    struct user_regs_struct regs;

    force_call_stop(pid, at);
    g_assert_cmpint(ptrace(PTRACE_GETREGS, pid, 0, &regs), ==, 0);
    regs.orig_rax = nr;
    g_assert_cmpint(ptrace(PTRACE_SETREGS, pid, 0, &regs), ==, 0);
    g_assert_cmpint(ptrace(PTRACE_DETACH, pid, 0, 0), ==, 0);
}

/*
 * The same for a call with arguments (@dir, @path, @arg). Returns its result,
 * and leaves the process in a state in which it can only be killed.
 */
static inline long force_path_call(pid_t pid, long at, long nr, int dir,
                                   const char *path, long arg)
{
    struct user_regs_struct regs;
    char text[256] = "";
    unsigned long to;
    unsigned i;

    force_call_stop(pid, at);
    g_assert_cmpint(ptrace(PTRACE_GETREGS, pid, 0, &regs), ==, 0);
    to = (regs.rsp - 1024) & ~7ul;      /* below the red zone */
    g_strlcpy(text, path, sizeof(text));
    for (i = 0; i < sizeof(text); i += sizeof(long)) {
        long word;

        memcpy(&word, text + i, sizeof(word));
        g_assert_cmpint(ptrace(PTRACE_POKEDATA, pid, to + i, word), ==, 0);
    }
    regs.orig_rax = nr;
    regs.rdi = dir;
    regs.rsi = to;
    regs.rdx = arg;
    regs.r10 = 0;
    g_assert_cmpint(ptrace(PTRACE_SETREGS, pid, 0, &regs), ==, 0);
    g_assert_cmpint(ptrace(PTRACE_SYSCALL, pid, 0, 0), ==, 0);
    force_call_wait_stop(pid);
    g_assert_cmpint(ptrace(PTRACE_GETREGS, pid, 0, &regs), ==, 0);
    g_assert_cmpint(ptrace(PTRACE_DETACH, pid, 0, SIGKILL), ==, 0);
    return regs.rax;
}

#endif
#endif /* TESTS_FORCE_CALL_H */
