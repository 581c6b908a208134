/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Behaviour of a share that does not change: walking, names, and reading
 * directories, on the tree of the synth driver. Other targets have the same
 * tree in their folder.
 */
#include "qemu/osdep.h"
#include <dirent.h>
#include "virtio-9p-behaviour.h"

#define FID             1
#define READDIR_FILES   100

static void test_walk(Test *t)
{
    P9Client *c = t->c;
    const char *names[P9C_WALK_MAX];
    char buf[P9C_WALK_MAX][16];
    P9CQid qids[P9C_WALK_MAX];
    unsigned i, j, walked;
    P9CAttr attr;

    for (i = 0; i < P9C_WALK_MAX; i++) {
        snprintf(buf[i], sizeof(buf[i]), "WALK%u", i);
        names[i] = buf[i];
    }
    ok(p9c_walk(c, ROOT, FID, names, P9C_WALK_MAX, &walked, qids));
    g_assert_cmpuint(walked, ==, P9C_WALK_MAX);
    for (i = 0; i < walked; i++) {
        g_assert_cmphex(qids[i].type, ==, P9C_QTDIR);
        for (j = 0; j < i; j++) {
            g_assert_cmpuint(qids[i].path, !=, qids[j].path);
        }
    }
    ok(p9c_getattr(c, FID, P9C_GETATTR_BASIC, &attr));
    g_assert_cmphex(attr.mode, ==, S_IFDIR | 0700);
    g_assert_cmpuint(attr.qid.path, ==, qids[walked - 1].path);

    /* Single steps of one fid lead to the same directories. */
    ok(p9c_walk_to(c, ROOT, 2, ""));
    for (i = 0; i < P9C_WALK_MAX; i++) {
        P9CQid qid;

        ok(p9c_walk(c, 2, 2, &names[i], 1, &walked, &qid));
        g_assert_cmpuint(walked, ==, 1);
        g_assert_cmpuint(qid.path, ==, qids[i].path);
    }
}

static void test_walk_partial(Test *t)
{
    static const char *const missing[] = { "nothing" };
    static const char *const third[] = { "WALK0", "WALK1", "nothing", "x" };
    static const char *const file[] = { "LOPEN", "x" };
    P9Client *c = t->c;
    unsigned walked;

    /* The first name: an error, and no fid */
    fails(p9c_walk(c, ROOT, FID, missing, 1, NULL, NULL), ENOENT);
    fails(p9c_clunk(c, FID), ENOENT);

    /* A later name: the qids up to there, and no fid */
    ok(p9c_walk(c, ROOT, FID, third, 4, &walked, NULL));
    g_assert_cmpuint(walked, ==, 2);
    fails(p9c_clunk(c, FID), ENOENT);
    ok(p9c_walk(c, ROOT, FID, file, 2, &walked, NULL));
    g_assert_cmpuint(walked, ==, 1);
    fails(p9c_clunk(c, FID), ENOENT);

    /* After a failed walk the fid stays where it was. */
    ok(p9c_walk_to(c, ROOT, FID, "WALK0"));
    fails(p9c_walk(c, FID, FID, missing, 1, NULL, NULL), ENOENT);
    fails(p9c_walk_to(c, FID, FID, "WALK1/WALK2/no"), ENOENT);
    ok(p9c_walk_to(c, FID, FID, "WALK1"));

    /* A walk from a file fails. */
    ok(p9c_walk_to(c, ROOT, 2, "LOPEN"));
    fails(p9c_walk_to(c, 2, 3, "x"), ENOTDIR);
    fails(p9c_walk_to(c, 2, 3, ".."), ENOTDIR);
}

static void test_walk_clone(Test *t)
{
    P9Client *c = t->c;
    P9CAttr root, clone;
    unsigned walked;

    ok(p9c_walk(c, ROOT, FID, NULL, 0, &walked, NULL));
    g_assert_cmpuint(walked, ==, 0);
    ok(p9c_getattr(c, ROOT, P9C_GETATTR_BASIC, &root));
    ok(p9c_getattr(c, FID, P9C_GETATTR_BASIC, &clone));
    g_assert_cmpuint(clone.qid.path, ==, root.qid.path);

    /* A clone onto itself changes nothing; onto a used fid it is refused. */
    ok(p9c_walk_to(c, FID, FID, ""));
    fails(p9c_walk_to(c, ROOT, FID, ""), EBADF);
    fails(p9c_walk_to(c, ROOT, FID, "WALK0"), EBADF);
    fails(p9c_walk_to(c, ROOT, P9C_NOFID, ""), EBADF);
    fails(p9c_walk_to(c, 999, 1000, ""), ENOENT);
    fails(p9c_walk_to(c, P9C_NOFID, 1000, ""), ENOENT);

    /* The two fids are independent. */
    ok(p9c_clunk(c, ROOT));
    ok(p9c_walk_to(c, FID, 2, "WALK0"));
}

static void test_walk_dotdot(Test *t)
{
    static const char *const up[] = { "..", "..", ".." };
    static const char *const mixed[] = {
        "WALK0", "..", "WALK0", "WALK1", "..",
    };
    P9Client *c = t->c;
    P9CQid qids[5];
    unsigned walked;
    P9CAttr root;

    ok(p9c_getattr(c, ROOT, P9C_GETATTR_BASIC, &root));
    ok(p9c_walk(c, ROOT, 1, up, 3, &walked, qids));
    g_assert_cmpuint(walked, ==, 3);
    g_assert_cmpuint(qids[0].path, ==, root.qid.path);
    g_assert_cmpuint(qids[2].path, ==, root.qid.path);

    ok(p9c_walk(c, 1, 2, mixed, 5, &walked, qids));
    g_assert_cmpuint(walked, ==, 5);
    g_assert_cmpuint(qids[1].path, ==, root.qid.path);
    g_assert_cmpuint(qids[2].path, ==, qids[0].path);
    g_assert_cmpuint(qids[4].path, ==, qids[0].path);
    g_assert_cmpuint(qids[3].path, !=, qids[0].path);
}

static void test_walk_names(Test *t)
{
    static const char *const bad[] = {
        "/", "WALK0/", "/WALK0", "WALK0/WALK1", "WALK0/..", "../etc", "", ".",
        "walk0",
    };
    P9Client *c = t->c;
    g_autofree char *longest = g_strnfill(255, 'x');
    g_autofree char *longer = g_strnfill(256, 'x');
    g_autofree char *huge = g_strnfill(8000, 'x');
    const char *pair[2] = { "WALK0" };
    unsigned walked;
    P9Call *call;
    unsigned i;

    for (i = 0; i < ARRAY_SIZE(bad); i++) {
        fails(p9c_walk(c, ROOT, FID, &bad[i], 1, NULL, NULL), ENOENT);
        /* and after a good one */
        pair[1] = bad[i];
        ok(p9c_walk(c, ROOT, FID, pair, 2, &walked, NULL));
        g_assert_cmpuint(walked, ==, 1);
        fails(p9c_clunk(c, FID), ENOENT);
    }
    fails(p9c_walk_to(c, ROOT, FID, longest), ENOENT);
    fails(p9c_walk_to(c, ROOT, FID, longer), ENAMETOOLONG);
    fails(p9c_walk_to(c, ROOT, FID, huge), ENAMETOOLONG);

    /* A NUL in a name */
    call = p9c_request(c, P9C_TWALK,
                       PUT(U32(ROOT), U32(FID), U16(1), U16(7),
                           DATA("WALK0\0x", 7)));
    p9c_refused(call, EINVAL);
}

/* Messages that make or remove a file refuse invalid names. */
static void test_bad_names(Test *t)
{
    static const struct {
        const char *name;
        int make;
        int unlink;
    } bad[] = {
        { "", ENOENT, ENOENT },
        { "a/b", ENOENT, ENOENT },
        { "../x", ENOENT, ENOENT },
        { ".", EEXIST, EINVAL },
        { "..", EEXIST, EINVAL },
    };
    g_autofree char *longer = g_strnfill(256, 'x');
    P9Client *c = t->c;
    unsigned i;

    ok(p9c_walk_to(c, ROOT, FID, "LOPEN"));
    for (i = 0; i < ARRAY_SIZE(bad); i++) {
        const char *name = bad[i].name;

        fails(create(t, ROOT, name, P9C_O_RDWR, 0600), bad[i].make);
        fails(make_dir(t, ROOT, name, 0700), bad[i].make);
        fails(make_node(t, ROOT, name, S_IFIFO | 0600, 0, 0), bad[i].make);
        fails(make_symlink(t, ROOT, name, "x"), bad[i].make);
        fails(p9c_link(c, ROOT, FID, name), bad[i].make);
        fails(p9c_rename(c, FID, ROOT, name), bad[i].unlink);
        fails(p9c_renameat(c, ROOT, name, ROOT, "x"), bad[i].unlink);
        fails(p9c_renameat(c, ROOT, "LOPEN", ROOT, name), bad[i].unlink);
        fails(p9c_unlinkat(c, ROOT, name, 0), bad[i].unlink);
        fails(p9c_unlinkat(c, ROOT, name, P9C_AT_REMOVEDIR), bad[i].unlink);
    }
    fails(make_dir(t, ROOT, longer, 0700), ENAMETOOLONG);
    fails(p9c_unlinkat(c, ROOT, longer, 0), ENAMETOOLONG);
    fails(p9c_unlinkat(c, ROOT, "LOPEN", 0x400), EINVAL);
}

static void assert_readdir(Test *t, GPtrArray *entries)
{
    unsigned i;

    g_assert_cmpuint(entries->len, ==, READDIR_FILES + 2);
    g_assert_nonnull(p9c_dirent_find(entries, "."));
    g_assert_nonnull(p9c_dirent_find(entries, ".."));
    for (i = 0; i < READDIR_FILES; i++) {
        g_autofree char *name = g_strdup_printf("ReadDirFile%u", i);
        P9CDirent *e = p9c_dirent_find(entries, name);

        g_assert_nonnull(e);
        g_assert_cmphex(e->qid.type, ==, P9C_QTFILE);
        g_assert_cmpint(e->type, ==, DT_REG);
    }
}

static P9Client *open_dir(Test *t)
{
    ok(walk(t, ROOT, FID, "ReadDirDir"));
    ok(open_fid(t, FID, P9C_O_DIRECTORY));
    return t->c;
}

static void test_readdir(Test *t)
{
    P9Client *c = open_dir(t);
    g_autoptr(GPtrArray) entries = NULL;
    P9CDirent *e;
    P9CAttr attr;

    ok(p9c_readdir(c, FID, 0, P9C_MSIZE - 11, &entries, NULL));
    assert_readdir(t, entries);

    /* The qids equal those of a walk. */
    e = p9c_dirent_find(entries, "ReadDirFile42");
    ok(p9c_walk_to(c, FID, 2, "ReadDirFile42"));
    ok(p9c_getattr(c, 2, P9C_GETATTR_BASIC, &attr));
    g_assert_cmpuint(e->qid.path, ==, attr.qid.path);
    e = p9c_dirent_find(entries, ".");
    ok(p9c_getattr(c, FID, P9C_GETATTR_BASIC, &attr));
    g_assert_cmpuint(e->qid.path, ==, attr.qid.path);
    g_assert_cmphex(e->qid.type, ==, P9C_QTDIR);
    g_assert_cmpint(e->type, ==, DT_DIR);
    e = p9c_dirent_find(entries, "..");
    ok(p9c_getattr(c, ROOT, P9C_GETATTR_BASIC, &attr));
    g_assert_cmpuint(e->qid.path, ==, attr.qid.path);
}

static void test_readdir_split(Test *t)
{
    static const uint32_t counts[] = { 40, 50, 64, 100, 128, 256, 1000, 4000 };
    P9Client *c = open_dir(t);
    g_autoptr(GPtrArray) whole = NULL;
    g_autoptr(GPtrArray) first = NULL;
    g_autoptr(GPtrArray) rest = NULL;
    P9CDirent *e;
    uint32_t n, size;
    unsigned i;

    for (i = 0; i < ARRAY_SIZE(counts); i++) {
        g_autoptr(GPtrArray) entries = p9c_readdir_all(c, FID, counts[i]);

        assert_readdir(t, entries);
    }

    /* An entry has 24 bytes beside its name; at least one entry must fit. */
    ok(p9c_readdir(c, FID, 0, 24 + 255, &whole, NULL));
    e = g_ptr_array_index(whole, 0);
    size = 24 + strlen(e->name);
    fails(p9c_readdir(c, FID, 0, size - 1, NULL, NULL), EINVAL);
    fails(p9c_readdir(c, FID, 0, 0, NULL, NULL), EINVAL);
    ok(p9c_readdir(c, FID, 0, size, &first, &n));
    g_assert_cmpuint(n, ==, size);
    g_assert_cmpuint(first->len, ==, 1);

    /* From any offset, any number of times */
    e = g_ptr_array_index(first, 0);
    for (i = 0; i < 2; i++) {
        g_clear_pointer(&rest, g_ptr_array_unref);
        ok(p9c_readdir(c, FID, e->offset, P9C_MSIZE - 11, &rest, NULL));
        g_assert_cmpuint(rest->len, ==, READDIR_FILES + 1);
        g_assert_null(p9c_dirent_find(rest, e->name));
    }

    /* After the end there is nothing. */
    e = g_ptr_array_index(rest, rest->len - 1);
    ok(p9c_readdir(c, FID, e->offset, 1000, NULL, &n));
    g_assert_cmpuint(n, ==, 0);
    fails(p9c_readdir(c, FID, UINT64_MAX, 1000, NULL, NULL), EINVAL);
}

static void test_readdir_refused(Test *t)
{
    P9Client *c = t->c;

    fails(p9c_readdir(c, ROOT, 0, 1000, NULL, NULL), EBADF);
    fails(p9c_readdir(c, 999, 0, 1000, NULL, NULL), ENOENT);
    ok(p9c_walk_to(c, ROOT, FID, "LOPEN"));
    ok(p9c_lopen(c, FID, P9C_O_RDONLY, NULL, NULL));
    fails(p9c_readdir(c, FID, 0, 1000, NULL, NULL), ENOTDIR);
}

/* Tversion ends a session; a new one has no fids. */
static void test_version(Test *t)
{
    g_autofree char *version = NULL;

    ok(walk(t, ROOT, FID, ""));
    ok(p9c_version(t->c, MSIZE, P9C_VERSION, NULL, NULL));
    fails(getattr(t, FID, NULL), ENOENT);
    fails(getattr(t, ROOT, NULL), ENOENT);
    ok(p9c_attach(t->c, ROOT, t->uid, NULL));
    ok(getattr(t, ROOT, NULL));

    ok(p9c_version(t->c, MSIZE, "9P2000.X", NULL, &version));
    g_assert_cmpstr(version, ==, "unknown");
    session(t);
    ok(getattr(t, ROOT, NULL));
}

/* A reset ends the requests in flight, and the device works again. */
static void test_reset(Test *t)
{
    int i;

    for (i = 0; i < 32; i++) {
        P9Call *call = p9c_walk_call(t->c, ROOT, 100 + i, "LOPEN");

        p9c_submit(call);
    }
    p9c_reset(t->c);
    session(t);
    fails(getattr(t, 100, NULL), ENOENT);
    ok(walk(t, ROOT, FID, "LOPEN"));
    ok(open_fid(t, FID, P9C_O_RDONLY));
}

const Case behaviour_tree[] = {
    { "new-session", test_version, 0, CASE_TREE | CASE_ANYBODY },
    { "reset-walk", test_reset, 0, CASE_TREE | CASE_ANYBODY },
    { "walk", test_walk, 0, CASE_TREE | CASE_ANYBODY },
    { "walk-partial", test_walk_partial, 0, CASE_TREE | CASE_ANYBODY },
    { "walk-clone", test_walk_clone, 0, CASE_TREE | CASE_ANYBODY },
    { "walk-dotdot", test_walk_dotdot, 0, CASE_TREE | CASE_ANYBODY },
    { "walk-names", test_walk_names, 0, CASE_TREE | CASE_ANYBODY },
    { "bad-names", test_bad_names, 0, CASE_TREE | CASE_ANYBODY },
    { "readdir", test_readdir, 0, CASE_TREE | CASE_ANYBODY },
    { "readdir-split", test_readdir_split, 0, CASE_TREE | CASE_ANYBODY },
    { "readdir-refused", test_readdir_refused, 0, CASE_TREE | CASE_ANYBODY },
    { NULL }
};
