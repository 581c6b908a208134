/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Tests of how exports raise RLIMIT_NOFILE (hw/9pfs/host/fd-limit.c), with real
 * descriptors and children.
 */
#include "qemu/osdep.h"
#include <sys/resource.h>
#include <sys/select.h>
#include <sys/wait.h>
#include "qapi/error.h"
#include "qemu/main-loop.h"
#include "hw/9pfs/host/fd-budget.h"
#include "hw/9pfs/host/fd-limit.h"

/* Soft and hard limit that this program begins with */
#define SOFT        700
#define HARD        8192
/* The first step of fd-limit.c */
#define FIRST       4096

static unsigned soft_limit(void)
{
    struct rlimit now;

    g_assert_cmpint(getrlimit(RLIMIT_NOFILE, &now), ==, 0);
    return now.rlim_cur;
}

static void set_soft(unsigned soft)
{
    struct rlimit now;

    g_assert_cmpint(getrlimit(RLIMIT_NOFILE, &now), ==, 0);
    now.rlim_cur = soft;
    g_assert_cmpint(setrlimit(RLIMIT_NOFILE, &now), ==, 0);
}

/* The limit that a child has which is made in this way */
static unsigned forked_limit(void)
{
    int status;
    pid_t pid = fork();

    if (pid == 0) {
        struct rlimit now;

        getrlimit(RLIMIT_NOFILE, &now);
        _exit(now.rlim_cur == SOFT ? 0 : 1);
    }
    g_assert_cmpint(waitpid(pid, &status, 0), ==, pid);
    return status == 0 ? SOFT : 0;
}

static unsigned spawned_limit(void)
{
    g_autofree char *out = NULL;
    const char *argv[] = { "sh", "-c", "ulimit -Sn", NULL };
    GError *error = NULL;

    g_spawn_sync(NULL, (char **)argv, NULL, G_SPAWN_SEARCH_PATH, NULL, NULL,
                 &out, NULL, NULL, &error);
    g_assert_no_error(error);
    return atoi(out);
}

static void test_step(void)
{
    int fds[FIRST];
    unsigned n = 0;

    host_limit_add(0);
    g_assert_cmpuint(host_limit_most(), ==, HARD);
    g_assert_cmpuint(soft_limit(), ==, FIRST);
    while (soft_limit() == FIRST) {
        fds[n] = dup(0);
        g_assert_cmpint(fds[n], >=, 0);
        host_limit_seen(fds[n++]);
    }
    /* A quarter before the end */
    g_assert_cmpint(fds[n - 1], ==, FIRST - FIRST / 4);
    g_assert_cmpuint(soft_limit(), ==, HARD);
    g_assert_false(host_limit_raise());
    while (n) {
        close(fds[--n]);
    }
    host_limit_remove(0);
    g_assert_cmpuint(soft_limit(), ==, SOFT);
}

/* Exports with a limit of files need less. */
static void test_need(void)
{
    host_limit_add(30);
    g_assert_cmpuint(host_limit_most(), ==, FIRST + 80);
    g_assert_cmpuint(soft_limit(), ==, FIRST);
    host_limit_add(60);
    g_assert_cmpuint(host_limit_most(), ==, FIRST + 240);
    g_assert_true(host_limit_raise());
    g_assert_cmpuint(soft_limit(), ==, FIRST + 240);
    g_assert_false(host_limit_raise());
    host_limit_remove(60);
    g_assert_cmpuint(host_limit_most(), ==, FIRST + 80);
    g_assert_cmpuint(soft_limit(), ==, FIRST + 80);
    host_limit_add(0);
    g_assert_cmpuint(host_limit_most(), ==, HARD);
    host_limit_remove(30);
    g_assert_cmpuint(host_limit_most(), ==, HARD);
    host_limit_remove(0);
    g_assert_cmpuint(soft_limit(), ==, SOFT);
}

/* What other code has set stays. */
static void test_foreign(void)
{
    host_limit_add(0);
    set_soft(900);
    g_assert_cmpuint(spawned_limit(), ==, 900);
    host_limit_remove(0);
    g_assert_cmpuint(soft_limit(), ==, 900);
    set_soft(SOFT);

    set_soft(6000);
    host_limit_add(1);
    g_assert_cmpuint(soft_limit(), ==, 6000);
    g_assert_false(host_limit_raise());
    host_limit_remove(1);
    g_assert_cmpuint(soft_limit(), ==, 6000);
    set_soft(SOFT);
}

static void test_children(void)
{
    g_assert_cmpuint(forked_limit(), ==, SOFT);
    host_limit_add(0);
    g_assert_cmpuint(soft_limit(), ==, FIRST);
    g_assert_cmpuint(forked_limit(), ==, SOFT);
    g_assert_cmpuint(spawned_limit(), ==, SOFT);
    g_assert_true(host_limit_raise());
    g_assert_cmpuint(forked_limit(), ==, SOFT);
    g_assert_cmpuint(spawned_limit(), ==, SOFT);
    g_assert_cmpuint(soft_limit(), ==, HARD);
    host_limit_remove(0);
    g_assert_cmpuint(spawned_limit(), ==, SOFT);

    /* As QEMU's start may have done */
    set_soft(HARD);
    host_limit_add(0);
    g_assert_cmpuint(soft_limit(), ==, HARD);
    g_assert_cmpuint(forked_limit(), ==, SOFT);
    g_assert_cmpuint(spawned_limit(), ==, SOFT);
    host_limit_remove(0);
    g_assert_cmpuint(soft_limit(), ==, HARD);
    set_soft(SOFT);
}

/* With thousands of nodes, select(2) works on what other code opens. */
static void test_select(void)
{
    enum { NODES = 3000, OTHERS = 100 };
    static const FsExport export;
    static HostFd nodes[NODES];
    struct timeval none = { 0 };
    int others[OTHERS];
    unsigned i;
    fd_set set;

    host_fds_add_export(&export);
    for (i = 0; i < NODES; i++) {
        host_fd_init(&nodes[i], NULL);
        host_fd_set(&nodes[i], open("/dev/null", O_PATH | O_CLOEXEC));
        g_assert_cmpint(fcntl(nodes[i].fd, F_GETFD), ==, FD_CLOEXEC);
    }
    FD_ZERO(&set);
    for (i = 0; i < OTHERS; i++) {
        others[i] = open("/dev/null", O_RDONLY);
        g_assert_cmpint(others[i], >=, 0);
        g_assert_cmpint(others[i], <, FD_SETSIZE);
        FD_SET(others[i], &set);
    }
    g_assert_cmpint(select(FD_SETSIZE, &set, NULL, NULL, &none), ==, OTHERS);
    for (i = 0; i < OTHERS; i++) {
        close(others[i]);
    }
    for (i = 0; i < NODES; i++) {
        host_fd_drop(&nodes[i]);
    }
    host_fds_remove_export(&export);
}

/* A thread that runs no export must not use the budget. */
static void *stray_thread(void *opaque)
{
    HostFd h;

    host_fd_init(&h, NULL);
    host_fd_set(&h, dup(0));
    return NULL;
}

static void test_stray(void)
{
    if (g_test_subprocess()) {
        g_thread_join(g_thread_new("stray", stray_thread, NULL));
        return;
    }
    g_test_trap_subprocess(NULL, 0, 0);
    g_test_trap_assert_failed();
    g_test_trap_assert_stderr("*qemu_get_aio_context*");
}

int main(int argc, char **argv)
{
    struct rlimit limit;

    g_assert_cmpint(getrlimit(RLIMIT_NOFILE, &limit), ==, 0);
    if (limit.rlim_max < HARD) {
        printf("1..0 # SKIP RLIMIT_NOFILE is below %d\n", HARD);
        return 0;
    }
    if (limit.rlim_cur != SOFT || limit.rlim_max != HARD) {
        /* The limit counts that a program starts with. */
        limit.rlim_cur = SOFT;
        limit.rlim_max = HARD;
        g_assert_cmpint(setrlimit(RLIMIT_NOFILE, &limit), ==, 0);
        execv("/proc/self/exe", argv);
        g_error("/proc/self/exe: %s", g_strerror(errno));
    }
    g_test_init(&argc, &argv, NULL);
    qemu_init_main_loop(&error_abort);

    g_test_add_func("/fd-limit/step", test_step);
    g_test_add_func("/fd-limit/need", test_need);
    g_test_add_func("/fd-limit/foreign", test_foreign);
    g_test_add_func("/fd-limit/children", test_children);
    g_test_add_func("/fd-limit/select", test_select);
    g_test_add_func("/fd-limit/stray", test_stray);
    return g_test_run();
}
