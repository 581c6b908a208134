/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Tests of Landlock in the real helper: calls that code in its place would
 * make, in each sandbox, by the server and by the supervisor (force-call.h).
 * That the helper still serves under it, the other tests show.
 */
#include "qemu/osdep.h"
#include <glib/gstdio.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include "force-call.h"
#include "start-fixture.h"

#define RULESET_VERSION 1u

static const char *const sandboxes[] = {
    "--sandbox=namespace", "--sandbox=chroot", "--sandbox=none",
};

static bool skip(void)
{
    const char *why = cannot_force_call();

    if (!why && syscall(SYS_landlock_create_ruleset, NULL, 0,
                        RULESET_VERSION) < 2) {
        why = "this kernel has no Landlock of version 2 or later";
    }
    if (why) {
        g_test_skip(why);
    }
    return why != NULL;
}

/* The result of a call in the server, or in the supervisor */
static long call_in(const char *dir, const char *const *options,
                    bool supervisor, long nr, const char *path, long arg)
{
    ProxyClient *c = pc_open(dir, options);
    long ret = force_path_call(supervisor ? c->pid : c->server_pid,
                               supervisor ? __NR_poll : __NR_recvmsg, nr,
                               AT_FDCWD, path, arg);

    pc_wait(c->pid);
    c->pid = 0;
    pc_close(c);
    return ret;
}

/* Ways out: by name, and up from the working directory, /proc/self/fd */
static void test_server(void)
{
    static const struct {
        long nr;
        const char *path;       /* below the host's root */
        long arg;
    } calls[] = {
        { __NR_openat, "etc/passwd", O_RDONLY },
        { __NR_openat, "etc/passwd", O_RDWR },
        { __NR_openat, "etc", O_RDONLY | O_DIRECTORY },
        { __NR_openat, "etc/virtfs-test", O_RDWR | O_CREAT },
        { __NR_openat, "dev/null", O_RDWR },
        { __NR_mkdirat, "etc/virtfs-test", 0700 },
        { __NR_mknodat, "etc/virtfs-test", S_IFREG | 0600 },
    };
    unsigned i, j;

    if (skip()) {
        return;
    }
    for (i = 0; i < G_N_ELEMENTS(sandboxes); i++) {
        const char *options[] = { sandboxes[i], "--threads=1", NULL };
        char *dir = make_dir(PC_NOBODY);

        for (j = 0; j < G_N_ELEMENTS(calls); j++) {
            g_autofree char *up = g_strconcat("../../../", calls[j].path,
                                              NULL);
            long ret = call_in(dir, options, false, calls[j].nr, up,
                               calls[j].arg);

            g_test_message("%s: call %ld of %s: %ld", sandboxes[i],
                           calls[j].nr, up, ret);
            /* In namespaces there is no such name. */
            g_assert_cmpint(ret, ==, i ? -EACCES : -ENOENT);
        }
        pf_remove_dir(dir);
    }
}

/* Beneath the export, and by a magic link in the working directory */
static void test_server_inside(void)
{
    static const struct {
        long nr;
        const char *path;
        long arg;
        bool change;
    } calls[] = {
        { __NR_openat, "file", O_RDONLY, false },
        { __NR_openat, "file", O_RDWR, true },
        { __NR_openat, "sub/new", O_RDWR | O_CREAT, true },
        { __NR_mkdirat, "sub/new", 0700, true },
        { __NR_openat, "sub", O_RDONLY | O_DIRECTORY, false },
        { __NR_openat, "mount/file", O_RDONLY, false },
        { __NR_openat, "mount/new", O_RDWR | O_CREAT, true },
        { __NR_unlinkat, "file", 0, true },
    };
    unsigned i, j;

    if (skip()) {
        return;
    }
    for (i = 0; i < 2 * G_N_ELEMENTS(sandboxes); i++) {
        const char *sandbox = sandboxes[i / 2];
        bool readonly = i % 2;
        const char *options[] = { sandbox, "--threads=1",
                                  readonly ? "--readonly" : NULL, NULL };

        for (j = 0; j < G_N_ELEMENTS(calls); j++) {
            char *dir = make_dir(PC_NOBODY);
            g_autofree char *file = g_build_filename(dir, "file", NULL);
            g_autofree char *sub = g_build_filename(dir, "sub", NULL);
            g_autofree char *mnt = g_build_filename(dir, "mount", NULL);
            g_autofree char *in = g_build_filename(mnt, "file", NULL);
            g_autofree char *path = NULL;
            ProxyClient *c;
            long ret;
            int root;

            g_assert_true(g_file_set_contents(file, "x", -1, NULL));
            g_assert_cmpint(g_mkdir(sub, 0755), ==, 0);
            g_assert_cmpint(g_mkdir(mnt, 0755), ==, 0);
            g_assert_cmpint(mount("t", mnt, "tmpfs", 0, "mode=755"), ==, 0);
            g_assert_true(g_file_set_contents(in, "x", -1, NULL));
            c = pc_open(dir, options);
            /* The first that is the export's root */
            for (root = 3; root < 100; root++) {
                g_autofree char *fd = g_strdup_printf("/proc/%d/fd/%d",
                                                      c->server_pid, root);
                struct stat a, b;

                if (g_stat(fd, &a) == 0 && g_stat(dir, &b) == 0 &&
                    a.st_ino == b.st_ino && a.st_dev == b.st_dev) {
                    break;
                }
            }
            path = g_strdup_printf("%d/%s", root, calls[j].path);
            ret = force_path_call(c->server_pid, __NR_recvmsg, calls[j].nr,
                                  AT_FDCWD, path, calls[j].arg);
            pc_wait(c->pid);
            c->pid = 0;
            pc_close(c);
            g_test_message("%s%s: call %ld of %s: %ld", sandbox,
                           readonly ? ", readonly" : "", calls[j].nr, path,
                           ret);
            if (readonly && calls[j].change) {
                g_assert_true(ret == -EROFS || ret == -EACCES);
            } else {
                g_assert_cmpint(ret, >=, 0);
            }
            g_assert_cmpint(umount2(mnt, MNT_DETACH), ==, 0);
            pf_remove_dir(dir);
        }
    }
}

static void test_supervisor(void)
{
    static const char *const options[] = { "--seccomp=none", NULL };
    char *dir;

    if (skip()) {
        return;
    }
    dir = make_dir(PC_NOBODY);
    g_assert_cmpint(call_in(dir, options, true, __NR_openat, "/etc/passwd",
                            O_RDONLY), ==, -EACCES);
    g_assert_cmpint(call_in(dir, options, true, __NR_openat, "/",
                            O_RDONLY | O_DIRECTORY), ==, -EACCES);
    g_assert_cmpint(call_in(dir, options, true, __NR_openat, "/tmp/v-test",
                            O_RDWR | O_CREAT), ==, -EACCES);
    pf_remove_dir(dir);
}

int main(int argc, char **argv)
{
    sf_init(&argc, &argv);

    g_test_add_func("/9p-helper-start/landlock/server", test_server);
    g_test_add_func("/9p-helper-start/landlock/server/inside",
                    test_server_inside);
    g_test_add_func("/9p-helper-start/landlock/supervisor", test_supervisor);
    return sf_run();
}
