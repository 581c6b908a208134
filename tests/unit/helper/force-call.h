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
 * Lets the process run until it is about to make the call @at, and makes it do
 * the call @nr instead. If it already sleeps in the former, this interrupts it,
 * and it begins again, for some calls by the number of restart_syscall(2).
 */
static inline void force_call(pid_t pid, long at, long nr)
{
    struct __ptrace_syscall_info info = { .op = PTRACE_SYSCALL_INFO_NONE };
    struct user_regs_struct regs;

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
    g_assert_cmpint(ptrace(PTRACE_GETREGS, pid, 0, &regs), ==, 0);
    regs.orig_rax = nr;
    g_assert_cmpint(ptrace(PTRACE_SETREGS, pid, 0, &regs), ==, 0);
    g_assert_cmpint(ptrace(PTRACE_DETACH, pid, 0, 0), ==, 0);
}

#endif
#endif /* TESTS_FORCE_CALL_H */
