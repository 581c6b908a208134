/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Code that the tests of starting the helper share: see start-fixture.h.
 */
#include "qemu/osdep.h"
#include "start-fixture.h"
#include <glib/gstdio.h>

static char *tmp;               /* holds the folders of all tests */

char *sf_top;
char *sf_export;

void sf_init(int *argc, char ***argv)
{
    pf_init(argc, argv, "/9p-helper-start");
    tmp = g_dir_make_tmp("test-9p-start-XXXXXX", NULL);
    g_assert_nonnull(tmp);
    g_assert_cmpint(chmod(tmp, 0755), ==, 0);
}

int sf_run(void)
{
    int ret = g_test_run();

    pf_remove_dir(tmp);
    return ret;
}

char *make_dir(uid_t uid)
{
    return pf_new_dir(tmp, uid);
}

void sf_begin(void)
{
    sf_top = make_dir(PC_NOBODY);
    sf_export = make_dir(PC_NOBODY);
}

void sf_end(void)
{
    pf_remove_dir(sf_top);
    pf_remove_dir(sf_export);
}

char *sf_in_top(const char *name)
{
    return g_build_filename(sf_top, name, NULL);
}

void sf_put_dir(const char *name, uid_t uid, gid_t gid, mode_t mode)
{
    g_autofree char *path = sf_in_top(name);

    g_assert_cmpint(g_mkdir(path, 0700), ==, 0);
    g_assert_cmpint(chown(path, uid, gid), ==, 0);
    g_assert_cmpint(chmod(path, mode), ==, 0);
}

bool skip_unless_root(void)
{
    if (geteuid() != 0) {
        g_test_skip("needs root");
        return true;
    }
    return false;
}

void expect_error(const char *const *args, int sock, const char *word)
{
    g_autofree char *text = NULL;

    g_assert_cmpint(pc_run(args, PC_NOBODY, sock, &text), ==, 1);
    if (!strstr(text, word) ||
        !g_str_has_prefix(text, "virtfs-proxy-helper: ") ||
        strchr(text, '\n') != text + strlen(text) - 1) {
        g_error("not one line with '%s': '%s'", word, text);
    }
}

int make_as(ProxyClient *c, const char *dir, const char *name,
                   uint32_t uid, uint32_t gid, struct stat *st)
{
    g_autofree char *path = g_build_filename(dir, name, NULL);
    MarshalWriter *w = pc_begin(c);
    int ret;

    marshal_put_u64(w, PROXY_ROOT_HANDLE);
    marshal_put_str(w, name);
    marshal_put_u32(w, S_IFDIR | 0700);
    marshal_put_u32(w, uid);
    marshal_put_u32(w, gid);
    marshal_put_u64(w, 0);
    marshal_put_str(w, "");
    ret = pc_call(c, PROXY_MAKE);
    if (ret == 0) {
        g_assert_cmpint(lstat(path, st), ==, 0);
    }
    return ret;
}
