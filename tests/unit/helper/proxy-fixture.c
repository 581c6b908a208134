/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * An export for tests of virtfs-proxy-helper: see proxy-fixture.h.
 */
#include "qemu/osdep.h"
#include "proxy-fixture.h"
#include <glib/gstdio.h>

void pf_put_file(const ProxyFixture *f, const char *name, const char *text)
{
    g_autofree char *path = g_build_filename(f->dir, name, NULL);

    g_assert_true(g_file_set_contents(path, text, -1, NULL));
}

void pf_put_dir(const ProxyFixture *f, const char *name)
{
    g_autofree char *path = g_build_filename(f->dir, name, NULL);

    g_assert_cmpint(g_mkdir(path, 0755), ==, 0);
}

void pf_put_link(const ProxyFixture *f, const char *target, const char *name)
{
    g_autofree char *path = g_build_filename(f->dir, name, NULL);

    g_assert_cmpint(symlink(target, path), ==, 0);
}

void pf_stat(const ProxyFixture *f, const char *name, struct stat *st)
{
    g_autofree char *path = g_build_filename(f->dir, name, NULL);

    g_assert_cmpint(lstat(path, st), ==, 0);
}

bool pf_exists(const ProxyFixture *f, const char *name)
{
    g_autofree char *path = g_build_filename(f->dir, name, NULL);
    struct stat st;

    return lstat(path, &st) == 0;
}

void pf_make(ProxyFixture *f, gconstpointer unused)
{
    f->tmp = g_dir_make_tmp("test-9p-helper-XXXXXX", NULL);
    g_assert_nonnull(f->tmp);
    f->dir = g_build_filename(f->tmp, "export", NULL);
    g_assert_cmpint(g_mkdir(f->dir, 0755), ==, 0);
    pf_put_file(f, "../secret", "outside");
    pf_put_file(f, "file", "hello");
    pf_put_dir(f, "dir");
    pf_put_dir(f, "dir/sub");
    pf_put_file(f, "dir/sub/deep", "deep");
    pf_put_link(f, "../secret", "up");
    pf_put_link(f, "/", "root");
    pf_put_link(f, "dir", "link");
}

void pf_setup(ProxyFixture *f, gconstpointer options)
{
    pf_make(f, NULL);
    f->c = pc_open(f->dir, options);
}

void pf_refuses(const ProxyFixture *f, const char *const *options,
                const char *error)
{
    g_autoptr(GPtrArray) args = g_ptr_array_new();
    g_autofree char *text = NULL;
    int socks[2];

    g_ptr_array_add(args, (char *)"-n");
    g_ptr_array_add(args, (char *)"-f");
    g_ptr_array_add(args, (char *)G_STRINGIFY(PC_SOCK_FD));
    g_ptr_array_add(args, (char *)"-p");
    g_ptr_array_add(args, f->dir);
    do {
        g_ptr_array_add(args, (char *)*options);
    } while (*options++);

    g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, socks),
                    ==, 0);
    g_assert_cmpint(pc_run((const char *const *)args->pdata, PC_NOBODY,
                           socks[1], &text), ==, EXIT_FAILURE);
    g_test_message("%s", text);
    g_assert_nonnull(strstr(text, error));
    close(socks[0]);
    close(socks[1]);
}

char *pf_new_dir(const char *parent, uid_t uid)
{
    char *dir = g_build_filename(parent, "export-XXXXXX", NULL);

    g_assert_nonnull(g_mkdtemp(dir));
    g_assert_cmpint(chmod(dir, 0755), ==, 0);
    if (uid != PC_NOBODY) {
        g_assert_cmpint(chown(dir, uid, uid), ==, 0);
    }
    return dir;
}

void pf_remove_dir(char *dir)
{
    const char *argv[] = { "rm", "-rf", dir, NULL };

    g_assert_true(g_spawn_sync(NULL, (char **)argv, NULL,
                               G_SPAWN_SEARCH_PATH, NULL, NULL, NULL, NULL,
                               NULL, NULL));
    g_free(dir);
}

void pf_teardown(ProxyFixture *f, gconstpointer unused)
{
    if (f->c) {
        g_assert_cmpint(pc_close(f->c), ==, 0);
    }
    g_free(f->dir);
    pf_remove_dir(f->tmp);
}

static const char *suite;

void pf_init(int *argc, char ***argv, const char *the_suite)
{
    g_test_init(argc, argv, NULL);
    suite = the_suite;
    umask(022);
    signal(SIGPIPE, SIG_IGN);
    alarm(300);                 /* no test program takes that long */
}

static void add(const char *name, const char *const *options,
                void (*setup)(ProxyFixture *, gconstpointer), ProxyTest *test)
{
    g_autofree char *path = g_strdup_printf("%s/%s", suite, name);

    g_test_add(path, ProxyFixture, options, setup, test, pf_teardown);
}

void pf_add(const char *name, const char *const *options, ProxyTest *test)
{
    add(name, options, pf_setup, test);
}

void pf_add_made(const char *name, const char *const *options,
                 ProxyTest *test)
{
    add(name, options, pf_make, test);
}
