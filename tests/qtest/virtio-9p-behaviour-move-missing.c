/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Behaviour of a session that cannot go on as it was: files that the other QEMU
 * does not find (on-missing=), another directory, exports that do not migrate.
 * Where QEMU refuses, the guest goes on where it was.
 */
#include "qemu/osdep.h"
#include "libqtest-single.h"
#include "libqos/qgraph.h"
#include "qobject/qdict.h"
#include "virtio-9p-behaviour-move.h"
#include "virtio-9p-host.h"

#define NAMES_FAIL      ",migration=names,on-missing=fail"
#define NAMES_STALE     ",migration=names,on-missing=stale"

/* A QEMU with these options refuses the guest, and says why. */
static void refused_there(const char *options, const char *why)
{
    QTestState *to = p9_move_new(options, "/dev/null");
    g_autofree char *error = p9_move(global_qtest, to);

    g_assert_nonnull(error);
    if (!strstr(error, QVIRTIO_9P_FSDEV) || !strstr(error, why)) {
        g_error("not with '%s': %s", why, error);
    }
    qtest_quit(to);
}

/*
 * Missing files
 */

enum {
    FID_REMOVED = 1,
    FID_REPLACED,
    FID_OPEN,                   /* open, and replaced */
    FID_BELOW,                  /* in a directory that is renamed */
    FID_KEPT,
    FID_KEPT_OPEN,
};

static void make_fids(Test *t)
{
    static const char *const names[] = { "removed", "replaced", "open", "f" };
    unsigned i;

    for (i = 0; i < ARRAY_SIZE(names); i++) {
        make_file(t, ROOT, names[i], names[i]);
    }
    ok(make_dir(t, ROOT, "dir", 0755));
    ok(walk(t, ROOT, 100, "dir"));
    make_file(t, 100, "below", "below");
    ok(clunk(t, 100));
    ok(walk(t, ROOT, FID_REMOVED, "removed"));
    ok(walk(t, ROOT, FID_REPLACED, "replaced"));
    ok(walk(t, ROOT, FID_OPEN, "open"));
    ok(open_fid(t, FID_OPEN, P9C_O_RDWR));
    ok(walk(t, ROOT, FID_BELOW, "dir/below"));
    ok(walk(t, ROOT, FID_KEPT, "f"));
    ok(walk(t, ROOT, FID_KEPT_OPEN, "f"));
    ok(open_fid(t, FID_KEPT_OPEN, P9C_O_RDWR));
}

static void host_rename(Test *t, const char *from, const char *to)
{
    g_autofree char *old = host_path(t, from);
    g_autofree char *new = host_path(t, to);

    g_assert_cmpint(rename(old, new), ==, 0);
}

static void host_replace(Test *t, const char *name)
{
    host_write(t, "new", "replacement");
    host_rename(t, "new", name);
}

static void lose_removed(Test *t)
{
    host_unlink(t, "removed");
}

static void lose_replaced(Test *t)
{
    host_replace(t, "replaced");
}

static void lose_open(Test *t)
{
    host_replace(t, "open");
}

static void lose_below(Test *t)
{
    host_rename(t, "dir", "other");
}

static const struct {
    uint32_t fid;
    const char *path;
    void (*lose)(Test *t);
} missing[] = {
    { FID_REMOVED, "removed", lose_removed },
    { FID_REPLACED, "replaced", lose_replaced },
    { FID_OPEN, "open", lose_open },
    { FID_BELOW, "dir", lose_below },
};

static void lose_files(Test *t)
{
    unsigned i;

    for (i = 0; i < ARRAY_SIZE(missing); i++) {
        missing[i].lose(t);
    }
}

/* The others work, and each of the missing ones only until its clunk. */
static void test_stale(Test *t)
{
    P9CAttr attr;
    uint32_t n;
    char c;

    make_fids(t);
    move_by_file(t, lose_files);
    fails(getattr(t, FID_REMOVED, &attr), ESTALE);
    fails(set_mode(t, FID_REPLACED, 0600), ESTALE);
    fails(getattr(t, FID_BELOW, &attr), ESTALE);
    fails(walk(t, FID_BELOW, 100, "x"), ENOTDIR);
    fails(open_fid(t, FID_BELOW, P9C_O_RDONLY), ESTALE);
    fails(p9c_read(t->c, FID_OPEN, 0, 1, &c, &n), ESTALE);
    fails(p9c_write(t->c, FID_OPEN, 0, "x", 1, &n), ESTALE);
    fails(p9c_fsync(t->c, FID_OPEN, false), ESTALE);
    fails(getattr(t, FID_OPEN, &attr), ESTALE);
    host_is(t, "open", "replacement");
    host_is(t, "replaced", "replacement");
    read_is(t, FID_KEPT_OPEN, 0, "f");
    ok(set_mode(t, FID_KEPT, 0600));
    ok(walk(t, ROOT, 100, "other/below"));
    ok(clunk(t, 100));
    content_is(t, "replaced", "replacement");
    ok(clunk(t, FID_REMOVED));
    ok(clunk(t, FID_OPEN));
    fails(clunk(t, FID_OPEN), ENOENT);
    /* The name is that of another file, and stays; but the fid is gone. */
    fails(p9c_remove(t->c, FID_REPLACED), ENOENT);
    fails(clunk(t, FID_REPLACED), ENOENT);
    host_is(t, "replaced", "replacement");
    assert_alive(t);
}

/* The next QEMU need not find an open file that is missing here already. */
static void test_lost(Test *t)
{
    g_auto(GStrv) parts = g_strsplit(t->cmd_line, "on-missing=stale", 2);
    g_autofree char *strict = g_strjoinv("on-missing=fail", parts);
    uint32_t n;
    char c;

    g_assert_nonnull(parts[1]);
    make_file(t, ROOT, "open", "open");
    ok(walk(t, ROOT, FID_OPEN, "open"));
    ok(open_fid(t, FID_OPEN, P9C_O_RDWR));
    move_by_file(t, lose_open);
    fails(p9c_read(t->c, FID_OPEN, 0, 1, &c, &n), ESTALE);
    move_to(t, strict);
    fails(p9c_read(t->c, FID_OPEN, 0, 1, &c, &n), ESTALE);
    ok(clunk(t, FID_OPEN));
    assert_alive(t);
}

/* Each missing file ends the load, with an error that names it. */
static void test_fail(Test *t)
{
    unsigned i;

    make_fids(t);
    for (i = 0; i < ARRAY_SIZE(missing); i++) {
        missing[i].lose(t);
        refused_there(t->cmd_line, missing[i].path);
        read_is(t, FID_KEPT_OPEN, 0, "f");
        ok(clunk(t, missing[i].fid));
    }
    /* Without these fids it works. */
    move(t);
    read_is(t, FID_KEPT_OPEN, 0, "f");
}

/*
 * Files without a name
 */

/* FIDs of such a file and of another one: the first one's inode number */
static uint64_t make_unlinked(Test *t)
{
    uint64_t ino;

    ok(walk(t, ROOT, 1, ""));
    ok(create(t, 1, "unlinked", P9C_O_RDWR, 0644));
    write_all(t, 1, 0, "still");
    ino = host_stat(t, "unlinked").st_ino;
    ok(unlink_at(t, ROOT, "unlinked", 0));
    make_file(t, ROOT, "f", "data");
    ok(walk(t, ROOT, 2, "f"));
    ok(open_fid(t, 2, P9C_O_RDONLY));
    return ino;
}

/* Without on-missing: the destination refuses what it cannot find. */
static void test_unlinked(Test *t)
{
    g_autofree char *name = g_strdup_printf("inode %" PRIu64,
                                            make_unlinked(t));

    refused_there(t->cmd_line, name);
    read_is(t, 1, 0, "still");
    read_is(t, 2, 0, "data");
    ok(clunk(t, 1));
    move(t);
    read_is(t, 2, 0, "data");
}

/*
 * A guest that is saved has no source to go back to, so QEMU warns: once, and
 * only of a file that a program has open.
 */
static void test_unlinked_warns(Test *t)
{
    g_autofree char *folder = p9_host_make_folder();
    g_autofree char *path = g_build_filename(folder, "state", NULL);
    g_autofree char *log = g_build_filename(folder, "log", NULL);
    g_autofree char *error = NULL;
    g_autofree char *text = NULL;
    const char *warning = "has no name";
    QTestState *to = p9_move_new(t->cmd_line, log);
    char *found;

    make_unlinked(t);
    make_file(t, ROOT, "shut", "");
    ok(walk(t, ROOT, 3, "shut"));
    ok(unlink_at(t, ROOT, "shut", 0));
    ok(walk(t, 1, 4, ""));
    ok(clunk(t, 1));
    error = p9_move(global_qtest, to);
    g_assert_cmpstr(error, ==, NULL);
    qtest_quit(global_qtest);
    move_arrived(t, to);

    ok(walk(t, ROOT, 5, ""));
    ok(create(t, 5, "open", P9C_O_RDWR, 0644));
    ok(unlink_at(t, ROOT, "open", 0));
    error = p9_move_save(to, path);
    g_assert_cmpstr(error, ==, NULL);
    g_assert_true(g_file_get_contents(log, &text, NULL, NULL));
    found = strstr(text, warning);
    g_assert_nonnull(found);
    g_assert_nonnull(strstr(text, "on-missing=stale"));
    g_assert_null(strstr(found + 1, warning));
    p9_host_remove(folder);
}

static void test_unlinked_stale(Test *t)
{
    char c;

    make_unlinked(t);
    move(t);
    fails(p9c_read(t->c, 1, 0, 1, &c, NULL), ESTALE);
    fails(set_mode(t, 1, 0600), ESTALE);
    read_is(t, 2, 0, "data");
    ok(clunk(t, 1));
    assert_alive(t);
}

/* With file handles, QEMU finds such files and those with another name. */
static void test_unlinked_handles(Test *t)
{
    make_unlinked(t);
    make_file(t, ROOT, "g", "moved");
    ok(walk(t, ROOT, 3, "g"));
    host_rename(t, "g", "elsewhere");
    move(t);
    read_is(t, 1, 0, "still");
    write_all(t, 1, 0, "STILL");
    read_is(t, 1, 0, "STILL");
    ok(walk(t, 3, 4, ""));
    ok(open_fid(t, 4, P9C_O_RDONLY));
    read_is(t, 4, 0, "moved");
    move(t);
    read_is(t, 1, 0, "STILL");
    ok(set_mode(t, 3, 0600));
}

/*
 * Names
 */

/* The options of this QEMU, with @new in place of @old; g_free() */
static char *with_option(Test *t, const char *old, const char *new)
{
    g_auto(GStrv) parts = g_strsplit(t->cmd_line, old, 2);

    g_assert_nonnull(parts[1]);
    return g_strjoinv(new, parts);
}

/* What a QEMU with these options says while the guest comes; g_free() */
static char *said_there(Test *t, const char *options)
{
    g_autofree char *folder = p9_host_make_folder();
    g_autofree char *log = g_build_filename(folder, "log", NULL);
    QTestState *to = p9_move_new(options, log);
    g_autofree char *error = p9_move(global_qtest, to);
    char *text;

    g_assert_cmpstr(error, ==, NULL);
    qtest_quit(global_qtest);
    move_arrived(t, to);
    g_assert_true(g_file_get_contents(log, &text, NULL, NULL));
    p9_host_remove(folder);
    return text;
}

/* The guest gives a file a name that would be a line of the log. */
static void test_forged(Test *t)
{
    static const char name[] = "f\nforged: line\x1b[31m\xff";
    g_autofree char *text = NULL;

    make_file(t, ROOT, name, "data");
    ok(walk(t, ROOT, 1, name));
    ok(open_fid(t, 1, P9C_O_RDWR));
    host_rename(t, name, "other");
    text = said_there(t, t->cmd_line);
    g_assert_nonnull(strstr(text, "'f\\nforged: line\\033[31m\xff'"));
    g_assert_null(strstr(text, "\nforged"));
    g_assert_null(strchr(text, '\x1b'));
    assert_alive(t);
}

/* A path longer than PATH_MAX is a path, too: nothing is missing. */
static void test_deep(Test *t)
{
    g_autofree char *name = g_strnfill(250, 'd');
    g_autofree char *folder = p9_host_make_folder();
    g_autofree char *path = g_build_filename(folder, "state", NULL);
    g_autofree char *log = g_build_filename(folder, "log", NULL);
    g_autofree char *error = NULL, *text = NULL;
    QTestState *to = p9_move_new(t->cmd_line, log);
    unsigned i;

    ok(walk(t, ROOT, 1, ""));
    for (i = 0; i < 20; i++) {
        ok(make_dir(t, 1, name, 0755));
        ok(walk(t, 1, 2, name));
        ok(clunk(t, 1));
        ok(walk(t, 2, 1, ""));
        ok(clunk(t, 2));
    }
    ok(create(t, 1, "f", P9C_O_RDWR, 0644));
    error = p9_move(global_qtest, to);
    g_assert_cmpstr(error, ==, NULL);
    qtest_quit(global_qtest);
    move_arrived(t, to);
    write_all(t, 1, 0, "data");
    error = p9_move_save(to, path);
    g_assert_cmpstr(error, ==, NULL);
    g_assert_true(g_file_get_contents(log, &text, NULL, NULL));
    g_assert_null(strstr(text, "has no name"));
    p9_host_remove(folder);
}

/*
 * A file that is there, and that a QEMU with fewer descriptors cannot open, is
 * not missing: the guest goes on where it was.
 */
static void test_shortage(Test *t)
{
    g_autofree char *options = with_option(t, "on-missing=stale",
                                           "on-missing=stale,"
                                           "max-open-files=2");
    uint32_t fid;

    make_file(t, ROOT, "f", "data");
    for (fid = 1; fid <= 3; fid++) {
        ok(walk(t, ROOT, fid, "f"));
        ok(open_fid(t, fid, P9C_O_RDONLY));
    }
    refused_there(options, "Too many open files");
    for (fid = 1; fid <= 3; fid++) {
        read_is(t, fid, 0, "data");
    }
    ok(clunk(t, 3));
    move_to(t, options);
    read_is(t, 1, 0, "data");
    read_is(t, 2, 0, "data");
}

/* In postcopy no other QEMU has the guest: a missing file is stale. */
static void test_postcopy_missing(Test *t)
{
    QTestState *to = p9_move_new(t->cmd_line, "/dev/null");
    char c;

    make_file(t, ROOT, "open", "open");
    make_file(t, ROOT, "f", "data");
    ok(walk(t, ROOT, 1, "open"));
    ok(open_fid(t, 1, P9C_O_RDWR));
    ok(walk(t, ROOT, 2, "f"));
    ok(open_fid(t, 2, P9C_O_RDONLY));
    lose_open(t);
    if (!p9_move_postcopy(global_qtest, to)) {
        g_test_skip("the host does not allow userfaultfd(2)");
        qtest_quit(to);
        return;
    }
    qtest_quit(global_qtest);
    move_arrived(t, to);
    fails(p9c_read(t->c, 1, 0, 1, &c, NULL), ESTALE);
    read_is(t, 2, 0, "data");
}

/*
 * Refusals
 */

/* The other QEMU's export does not migrate. */
static void test_off_there(Test *t)
{
    g_autofree char *options = with_option(t, "migration=names",
                                           "migration=off");

    refused_there(options, "migration=off");
    assert_alive(t);
}

/* Another folder there, which has a file of the same name */
static void test_other_folder(Test *t)
{
    g_autofree char *folder = p9_host_make_folder();
    g_autofree char *options = move_other_folder(t, folder);
    g_autofree char *f = g_build_filename(folder, "f", NULL);

    host_give(t, folder);
    g_assert_true(g_file_set_contents(f, "other", -1, NULL));
    make_file(t, ROOT, "f", "data");
    ok(walk(t, ROOT, 1, "f"));
    ok(open_fid(t, 1, P9C_O_RDWR));
    refused_there(options, "another directory");
    read_is(t, 1, 0, "data");
    write_all(t, 1, 4, "more");
    content_is(t, "f", "datamore");
    move(t);
    read_is(t, 1, 0, "datamore");
    p9_host_remove(folder);
}

static void assert_migratable(bool migratable)
{
    g_autoptr(QDict) info = p9_host_query();
    const char *why = qdict_get_try_str(info, "migration-blocker");

    g_assert_cmpint(qdict_get_bool(info, "migratable"), ==, migratable);
    g_assert_cmpint(!why, ==, migratable);
    if (why) {
        g_assert_nonnull(strstr(why, QVIRTIO_9P_FSDEV));
    }
}

/*
 * migration=off, or version 1 of the channel: a guest with a mount stays, and
 * one without does not.
 */
static void test_off(Test *t)
{
    g_autofree char *error = NULL;

    assert_migratable(false);
    error = p9_move_save(global_qtest, "/dev/null");
    g_assert_nonnull(error);
    g_assert_nonnull(strstr(error, QVIRTIO_9P_FSDEV));
    assert_alive(t);
    ok(clunk(t, ROOT));
    move(t);
    session(t);
    assert_alive(t);
    assert_migratable(false);
}

static void test_on(Test *t)
{
    assert_migratable(true);
}

/* Whether the state has a part of a session, once the guest is saved */
static bool saves_session(void)
{
    static const char part[] = "virtio-9p/session";
    g_autofree char *folder = p9_host_make_folder();
    g_autofree char *path = g_build_filename(folder, "state", NULL);
    g_autofree char *error = p9_move_save(global_qtest, path);
    g_autofree char *text = NULL;
    gsize size;

    g_assert_cmpstr(error, ==, NULL);
    g_assert_true(g_file_get_contents(path, &text, &size, NULL));
    p9_host_remove(folder);
    /* The source of a saved guest may go on. */
    qtest_qmp_assert_success(global_qtest, "{'execute': 'cont'}");
    return memmem(text, size, part, strlen(part));
}

/* A guest without a session has nothing of it in its state. */
static void test_no_session(Test *t)
{
    g_assert_true(saves_session());
    assert_alive(t);
    p9c_reset(t->c);
    g_assert_false(saves_session());
    session(t);
    assert_alive(t);
    g_assert_true(saves_session());
}

const Case behaviour_move_missing[] = {
    { "move-stale", test_stale, HAS_HOST | HAS_MOVES, CASE_PCI, NAMES_STALE },
    { "move-lost", test_lost, HAS_HOST | HAS_MOVES, CASE_PCI, NAMES_STALE },
    { "move-fail", test_fail, HAS_HOST | HAS_MOVES, CASE_PCI | CASE_ANYBODY,
      NAMES_FAIL },
    { "move-unlinked", test_unlinked, HAS_HOST | HAS_MOVES,
      CASE_PCI | CASE_ANYBODY, ",migration=names" },
    { "move-unlinked-warns", test_unlinked_warns, HAS_HOST | HAS_MOVES,
      CASE_PCI, ",migration=names" },
    { "move-unlinked-stale", test_unlinked_stale, HAS_HOST | HAS_MOVES,
      CASE_PCI, NAMES_STALE },
    { "move-unlinked-handles", test_unlinked_handles,
      HAS_BY_HANDLE | HAS_MOVES, CASE_PCI | CASE_ANYBODY,
      ",migration=handles" },
    { "move-forged", test_forged, HAS_HOST | HAS_MOVES, CASE_PCI, NAMES_STALE },
    { "move-deep", test_deep, HAS_HOST | HAS_MOVES, CASE_PCI,
      ",migration=names" },
    { "move-shortage", test_shortage, HAS_HOST | HAS_MOVES, CASE_PCI,
      NAMES_STALE },
    { "move-postcopy-missing", test_postcopy_missing, HAS_HOST | HAS_MOVES,
      CASE_PCI, ",migration=names" },
    { "move-off-there", test_off_there, HAS_HOST | HAS_MOVES, CASE_PCI,
      ",migration=names" },
    { "move-other-folder", test_other_folder, HAS_HOST | HAS_MOVES,
      CASE_PCI | CASE_ANYBODY },
    { "move-off", test_off, HAS_HOST, CASE_PCI | CASE_ANYBODY,
      ",migration=off" },
    { "move-on", test_on, HAS_MOVES, CASE_PCI | CASE_TREE },
    { "move-no-session", test_no_session, HAS_MOVES, CASE_PCI | CASE_TREE },
    { NULL }
};
