/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Tests of virtfs-proxy-helper's system call filters on the real processes,
 * the server and the supervisor beside it. They never make a call that the
 * filter forbids, so the test makes them do it (force-call.h).
 */
#include "qemu/osdep.h"
#include <sys/socket.h>
#include "force-call.h"
#include "proxy-client.h"

static char *dir;

/*
 * Makes a helper with --seccomp=@mode do the call @nr: the server instead of
 * its next recvmsg(2), or the supervisor instead of its next poll(2). Returns
 * the helper's exit status: PC_KILLED(SIGSYS), or 0 if the call was allowed.
 * The server takes its result, 0, for the end of the connection, and the
 * supervisor waits for that.
 */
static int forced_call_with(const char *more, const char *mode,
                            bool supervisor, long nr)
{
    g_autofree char *option = g_strconcat("--seccomp=", mode, NULL);
    const char *const options[] = { option, "--threads=1", more, NULL };
    ProxyClient *c = pc_open(dir, options);
    pid_t pid = supervisor ? c->pid : c->server_pid;
    int status;

    force_call(pid, supervisor ? __NR_poll : __NR_recvmsg, nr);
    if (supervisor) {
        shutdown(c->fd, SHUT_RDWR);
    }
    status = pc_wait(c->pid);   /* it ends by itself */
    c->pid = 0;
    pc_close(c);
    return status;
}

static int forced_call(const char *mode, bool supervisor, long nr)
{
    return forced_call_with(NULL, mode, supervisor, nr);
}

static bool skip(void)
{
    const char *why = cannot_force_call();

    if (why) {
        g_test_skip(why);
    }
    return why != NULL;
}

static void test_kill(void)
{
    /* Calls that injected code would make */
    static const long calls[] = {
        __NR_getppid, __NR_execve, __NR_ptrace, __NR_mount, __NR_unshare,
        __NR_setns, __NR_bpf, __NR_io_uring_setup, __NR_keyctl, __NR_kill,
        __NR_setuid, __NR_capset, __NR_open_by_handle_at, __NR_fork,
    };
    unsigned i;

    if (skip()) {
        return;
    }
    for (i = 0; i < G_N_ELEMENTS(calls); i++) {
        g_test_message("system call %ld", calls[i]);
        g_assert_cmpint(forced_call("kill", false, calls[i]), ==,
                        PC_KILLED(SIGSYS));
    }
}

/*
 * With --file-handles, the call is allowed with one descriptor and one set of
 * flags; these are others.
 */
static void test_file_handles(void)
{
    if (geteuid() != 0) {
        g_test_skip("needs root");
    } else if (!skip()) {
        g_assert_cmpint(forced_call_with("--file-handles=on", "kill", false,
                                         __NR_open_by_handle_at), ==,
                        PC_KILLED(SIGSYS));
        g_assert_cmpint(forced_call_with("--file-handles=on", "log", false,
                                         __NR_open_by_handle_at), !=,
                        PC_KILLED(SIGSYS));
    }
}

static void test_supervisor(void)
{
    /* Some of these are allowed for the server, or with other ids. */
    static const long calls[] = {
        __NR_getppid, __NR_execve, __NR_ptrace, __NR_mount, __NR_unshare,
        __NR_setns, __NR_clone, __NR_kill, __NR_tgkill, __NR_openat,
        __NR_unlinkat, __NR_recvmsg, __NR_socket, __NR_setuid, __NR_mmap,
        __NR_prctl,
    };
    unsigned i;

    if (skip()) {
        return;
    }
    for (i = 0; i < G_N_ELEMENTS(calls); i++) {
        g_test_message("system call %ld", calls[i]);
        g_assert_cmpint(forced_call("kill", true, calls[i]), ==,
                        PC_KILLED(SIGSYS));
    }
    g_assert_cmpint(forced_call("trap", true, __NR_getppid), ==,
                    PC_KILLED(SIGSYS));
    g_assert_cmpint(forced_call("log", true, __NR_getppid), ==, 0);
    g_assert_cmpint(forced_call("none", true, __NR_getppid), ==, 0);
    g_assert_cmpint(forced_call("kill", true, __NR_getpid), ==, 0);
}

static void test_trap(void)
{
    if (!skip()) {
        g_assert_cmpint(forced_call("trap", false, __NR_getppid), ==,
                        PC_KILLED(SIGSYS));
    }
}

/* Without a filter, neither ends the helper: so above it is the filter. */
static void test_allowed(void)
{
    if (!skip()) {
        g_assert_cmpint(forced_call("log", false, __NR_getppid), ==, 0);
        g_assert_cmpint(forced_call("none", false, __NR_getppid), ==, 0);
        g_assert_cmpint(forced_call("kill", false, __NR_sched_yield), ==, 0);
    }
}

static void test_bad_mode(void)
{
    static const char *const args[] = {
        "-p", "/", "-f", "3", "--seccomp=yes", NULL
    };
    g_autofree char *text = NULL;

    g_assert_cmpint(pc_run(args, PC_NOBODY, -1, &text), ==, 1);
    g_assert_nonnull(strstr(text, "--seccomp yes: not one of kill, trap, "
                            "log, none"));
}

int main(int argc, char **argv)
{
    int ret;

    g_test_init(&argc, &argv, NULL);
    signal(SIGPIPE, SIG_IGN);
    alarm(300);                 /* nothing in here takes that long */
    dir = g_dir_make_tmp("test-9p-seccomp-XXXXXX", NULL);
    g_assert_nonnull(dir);

    g_test_add_func("/9p-helper-seccomp/kill", test_kill);
    g_test_add_func("/9p-helper-seccomp/file-handles", test_file_handles);
    g_test_add_func("/9p-helper-seccomp/supervisor", test_supervisor);
    g_test_add_func("/9p-helper-seccomp/trap", test_trap);
    g_test_add_func("/9p-helper-seccomp/allowed", test_allowed);
    g_test_add_func("/9p-helper-seccomp/bad-mode", test_bad_mode);
    ret = g_test_run();
    rmdir(dir);
    g_free(dir);
    return ret;
}
