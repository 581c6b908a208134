/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Behaviour of Tattach with an aname, in both dialects: which paths lead to a
 * directory of the export, and that it is a root for the client.
 */
#include "qemu/osdep.h"
#include "virtio-9p-behaviour-dotu.h"

#define SUB     50              /* the fid of an attach */
#define DEEP    20              /* more names than a Twalk can have */

static int attach(Test *t, const char *aname, P9CQid *qid)
{
    return p9c_attach_name(t->c, SUB, t->uid, aname, qid);
}

/* An attach that must fail leaves no fid. */
static void attach_fails(Test *t, const char *aname, int error)
{
    fails(attach(t, aname, NULL), error);
    fails(clunk(t, SUB), ENOENT);
}

/* The qid of a path below ROOT */
static uint64_t path_of(Test *t, const char *path)
{
    g_auto(GStrv) names = g_strsplit(path, "/", -1);
    unsigned n = *path ? g_strv_length(names) : 0;
    P9CQid qids[P9C_WALK_MAX];
    static const char *const up[] = { ".." };
    unsigned walked;

    /* ".." at the export's root is the export's root. */
    ok(p9c_walk(t->c, ROOT, 60, n ? (const char *const *)names : up, n ?: 1,
                &walked, qids));
    g_assert_cmpuint(walked, ==, n ?: 1);
    ok(clunk(t, 60));
    return qids[walked - 1].path;
}

static void attach_is(Test *t, const char *aname, const char *path)
{
    P9CQid qid;

    ok(attach(t, aname, &qid));
    g_assert_cmphex(qid.type, ==, P9C_QTDIR);
    g_assert_cmpuint(qid.path, ==, path_of(t, path));
    ok(clunk(t, SUB));
}

static void test_names(Test *t)
{
    static const struct {
        const char *aname, *path;
    } good[] = {
        { "", "" }, { "/", "" }, { "//", "" },
        { "/WALK0", "WALK0" }, { "WALK0", "WALK0" }, { "/WALK0/", "WALK0" },
        { "//WALK0//WALK1//", "WALK0/WALK1" }, { "ReadDirDir", "ReadDirDir" },
    };
    static const struct {
        const char *aname;
        int error;
    } bad[] = {
        { "/nothing", ENOENT }, { "nothing/WALK0", ENOENT },
        { "WALK0/nothing", ENOENT }, { "WALK0/nothing/x", ENOENT },
        { "LOPEN", ENOTDIR }, { "/LOPEN/", ENOTDIR }, { "LOPEN/x", ENOTDIR },
        { "..", EINVAL }, { "../../etc", EINVAL }, { "WALK0/..", EINVAL },
        { "/WALK0/../WALK0", EINVAL }, { ".", EINVAL }, { "/./", EINVAL },
        { "WALK0/./WALK1", EINVAL },
    };
    g_autofree char *longer = g_strnfill(NAME_MAX + 1, 'n');
    g_autofree char *huge = g_strnfill(PATH_MAX, '/');
    unsigned i;

    for (i = 0; i < ARRAY_SIZE(good); i++) {
        attach_is(t, good[i].aname, good[i].path);
    }
    for (i = 0; i < ARRAY_SIZE(bad); i++) {
        attach_fails(t, bad[i].aname, bad[i].error);
    }
    attach_fails(t, longer, ENAMETOOLONG);
    attach_fails(t, huge, ENAMETOOLONG);
    /* A fid in use stays what it was. */
    fails(p9c_attach_name(t->c, ROOT, t->uid, "WALK0", NULL), EBADF);
    g_assert_cmpuint(path_of(t, ""), !=, path_of(t, "WALK0"));
    assert_alive(t);
}

/* ".." stays at the directory, whichever way a client goes. */
static void test_root(Test *t)
{
    static const char *const up[] = { "..", "..", ".." };
    static const char *const mixed[] = {
        "..", "WALK1", "..", "..", "WALK1", "WALK2", "..",
    };
    static const char *const outside[] = { "..", "WALK0" };
    static const char *const gone[] = { "WALK1", "..", "nothing" };
    uint64_t root = path_of(t, "WALK0");
    uint64_t below = path_of(t, "WALK0/WALK1");
    P9CQid qids[ARRAY_SIZE(mixed)];
    unsigned walked;

    ok(attach(t, "/WALK0", NULL));
    ok(p9c_walk(t->c, SUB, 1, up, 3, &walked, qids));
    g_assert_cmpuint(walked, ==, 3);
    g_assert_cmpuint(qids[0].path, ==, root);
    g_assert_cmpuint(qids[2].path, ==, root);
    /* A clone's root, and that of a fid below, are the same. */
    ok(walk(t, SUB, 2, ""));
    ok(p9c_walk(t->c, 2, 3, mixed, ARRAY_SIZE(mixed), &walked, qids));
    g_assert_cmpuint(walked, ==, ARRAY_SIZE(mixed));
    g_assert_cmpuint(qids[0].path, ==, root);
    g_assert_cmpuint(qids[1].path, ==, below);
    g_assert_cmpuint(qids[2].path, ==, root);
    g_assert_cmpuint(qids[3].path, ==, root);
    g_assert_cmpuint(qids[4].path, ==, below);
    g_assert_cmpuint(qids[6].path, ==, below);
    ok(p9c_walk(t->c, 3, 4, up, 3, &walked, qids));
    g_assert_cmpuint(qids[0].path, ==, root);
    g_assert_cmpuint(qids[2].path, ==, root);
    ok(walk(t, 4, 5, "WALK1"));

    ok(p9c_walk(t->c, SUB, 6, outside, 2, &walked, NULL));
    g_assert_cmpuint(walked, ==, 1);
    fails(clunk(t, 6), ENOENT);
    ok(p9c_walk(t->c, SUB, 6, gone, 3, &walked, qids));
    g_assert_cmpuint(walked, ==, 2);
    g_assert_cmpuint(qids[1].path, ==, root);
    fails(clunk(t, 6), ENOENT);

    /* The export's root is still that of fids of another attach. */
    ok(walk(t, ROOT, 7, "WALK0/WALK1"));
    ok(p9c_walk(t->c, 7, 8, up, 2, &walked, qids));
    g_assert_cmpuint(qids[0].path, ==, root);
    g_assert_cmpuint(qids[1].path, ==, path_of(t, ""));

    /* The client cannot remove its own root. */
    ok(walk(t, SUB, 9, ""));
    fails(p9c_remove(t->c, 9), EBUSY);
    assert_alive(t);
}

/* In a directory, the entry ".." of a root is the root. */
static void root_lists_itself(Test *t, const char *aname)
{
    g_autoptr(GPtrArray) all = NULL;
    P9CQid qid;

    ok(attach(t, aname, &qid));
    ok(open_fid(t, SUB, P9C_O_DIRECTORY));
    all = p9c_readdir_all(t->c, SUB, 4000);
    g_assert_cmpuint(p9c_dirent_find(all, ".")->qid.path, ==, qid.path);
    g_assert_cmpuint(p9c_dirent_find(all, "..")->qid.path, ==, qid.path);
    ok(clunk(t, SUB));
}

static void test_readdir(Test *t)
{
    g_autoptr(GPtrArray) all = NULL;

    root_lists_itself(t, "");
    root_lists_itself(t, "WALK0");
    ok(attach(t, "WALK0", NULL));
    ok(walk(t, SUB, 1, "WALK1"));
    ok(open_fid(t, 1, P9C_O_DIRECTORY));
    all = p9c_readdir_all(t->c, 1, 4000);
    g_assert_cmpuint(p9c_dirent_find(all, "..")->qid.path, ==,
                     path_of(t, "WALK0"));
    g_assert_cmpuint(p9c_dirent_find(all, ".")->qid.path, ==,
                     path_of(t, "WALK0/WALK1"));
}

static void test_stat(Test *t)
{
    ok(attach(t, "/WALK0/WALK1", NULL));
    p9c_stat_is(t->c, SUB, P9C_QTDIR, P9C_DMDIR | 0700, 0, "/", NULL);
    fails(wstat_u(t, SUB, stat_with(st->name = (char *)"new")), EBUSY);
    assert_alive(t);
}

/* Symbolic links, wherever they lead, and paths that are deep */
static void test_links(Test *t)
{
    g_autoptr(GString) path = g_string_new("");
    unsigned i;

    ok(make_dir(t, ROOT, "d", 0755));
    ok(make_symlink(t, ROOT, "in", "d"));
    ok(make_symlink(t, ROOT, "up", ".."));
    ok(make_symlink(t, ROOT, "out", "/etc"));
    ok(walk(t, ROOT, 1, "d"));
    ok(make_symlink(t, 1, "self", "."));
    attach_fails(t, "in", ENOTDIR);
    attach_fails(t, "in/", ENOTDIR);
    attach_fails(t, "in/self", ENOTDIR);
    attach_fails(t, "up", ENOTDIR);
    attach_fails(t, "out", ENOTDIR);
    attach_fails(t, "out/ssl", ENOTDIR);
    attach_fails(t, "d/self", ENOTDIR);
    attach_fails(t, "d/self/self", ENOTDIR);

    ok(walk(t, ROOT, 2, ""));
    for (i = 0; i < DEEP; i++) {
        g_autofree char *name = g_strdup_printf("d%u", i);

        ok(make_dir(t, 2, name, 0755));
        ok(walk(t, 2, 2, name));
        g_string_append_printf(path, "/%s", name);
        ok(attach(t, path->str, NULL));
        make_file(t, SUB, "here", name);
        ok(clunk(t, SUB));
        ok(walk(t, 2, 3, "here"));
        ok(open_fid(t, 3, P9C_O_RDONLY));
        read_is(t, 3, 0, name);
        ok(clunk(t, 3));
    }
    g_string_append(path, "/nothing");
    attach_fails(t, path->str, ENOENT);
}

/* The attach means the directory, not its name. */
static void test_moved(Test *t)
{
    static const char *const up[] = { ".." };
    P9CQid qid, above;

    ok(make_dir(t, ROOT, "a", 0755));
    ok(make_dir(t, ROOT, "b", 0755));
    ok(walk(t, ROOT, 1, "a"));
    ok(walk(t, ROOT, 2, "b"));
    ok(make_dir(t, 1, "sub", 0755));
    ok(attach(t, "a/sub", &qid));
    ok(make_dir(t, SUB, "x", 0755));
    ok(walk(t, SUB, 3, "x"));
    ok(rename_at(t, 1, "sub", 2, "moved"));
    make_file(t, SUB, "f", "data");
    content_is(t, "b/moved/f", "data");
    ok(p9c_walk(t->c, 3, 4, up, 1, NULL, &above));
    g_assert_cmpuint(above.path, ==, qid.path);
    ok(p9c_walk(t->c, SUB, 5, up, 1, NULL, &above));
    g_assert_cmpuint(above.path, ==, qid.path);
    fails(p9c_attach_name(t->c, 6, t->uid, "moved", NULL), ENOENT);
    fails(p9c_attach_name(t->c, 6, t->uid, "a/sub", NULL), ENOENT);
    /* Without the directory, its fid is as any other of what is removed. */
    ok(unlink_at(t, SUB, "f", 0));
    ok(unlink_at(t, SUB, "x", P9C_AT_REMOVEDIR));
    ok(unlink_at(t, 2, "moved", P9C_AT_REMOVEDIR));
    fails(make_dir(t, SUB, "y", 0755), ENOENT);
    assert_alive(t);
}

const Case behaviour_attach[] = {
    { "aname-names", test_names, 0, CASE_TREE },
    { "aname-names-u", test_names, 0, CASE_TREE | CASE_DOTU },
    { "aname-root", test_root, 0, CASE_TREE },
    { "aname-root-u", test_root, 0, CASE_TREE | CASE_DOTU },
    { "aname-readdir", test_readdir, 0, CASE_TREE },
    { "aname-stat", test_stat, 0, CASE_TREE | CASE_DOTU },
    { "aname-links", test_links, HAS_HOST },
    { "aname-moved", test_moved, HAS_HOST, CASE_ANYBODY },
    { NULL }
};
