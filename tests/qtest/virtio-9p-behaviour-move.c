/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Behaviour of a session whose guest goes on in another QEMU: fids, open files,
 * attributes, qids, and a guest that is saved to a file or goes back to a
 * snapshot. The guest must not notice.
 */
#include "qemu/osdep.h"
#include "libqtest-single.h"
#include "libqos/qgraph.h"
#include "libqos/virtio-9p-dotu.h"
#include "virtio-9p-behaviour-move.h"
#include "virtio-9p-host.h"

#define FILES       60          /* in a directory that is read in parts */
#define DIR_ROOM    600

/*
 * Moving, for all subjects
 */

void move_arrived(Test *t, QTestState *to)
{
    global_qtest = to;
    p9_move_client(t->c, t->v9p);
}

void move_to(Test *t, const char *options)
{
    QTestState *from = global_qtest;
    QTestState *to = p9_move_new(options, NULL);
    g_autofree char *error = p9_move(from, to);

    g_assert_cmpstr(error, ==, NULL);
    move_arrived(t, to);
    qtest_quit(from);
}

void move(Test *t)
{
    move_to(t, t->cmd_line);
}

void move_by_file(Test *t, void (*between)(Test *t))
{
    g_autofree char *folder = p9_host_make_folder();
    g_autofree char *path = g_build_filename(folder, "state", NULL);
    g_autofree char *error = p9_move_save(global_qtest, path);
    QTestState *to;

    g_assert_cmpstr(error, ==, NULL);
    qtest_quit(global_qtest);
    if (between) {
        between(t);
    }
    to = p9_move_new(t->cmd_line, NULL);
    error = p9_move_load(to, path);
    g_assert_cmpstr(error, ==, NULL);
    move_arrived(t, to);
    p9_host_remove(folder);
}

char *move_other_folder(Test *t, const char *folder)
{
    g_auto(GStrv) parts = g_strsplit(t->cmd_line, "path=", 2);
    g_autofree char *name = g_path_get_basename(folder);

    g_assert_nonnull(parts[1]);
    return g_strconcat(parts[0], "path=", name,
                       parts[1] + strcspn(parts[1], ", "), NULL);
}

/*
 * Fids
 */

typedef struct Known {
    uint32_t fid;
    const char *path;           /* by which the file is found now */
    P9CAttr attr;
} Known;

static void same_attr(Test *t, const P9CAttr *a, const P9CAttr *b)
{
    g_assert_cmphex(a->qid.type, ==, b->qid.type);
    g_assert_cmphex(a->qid.path, ==, b->qid.path);
    g_assert_cmphex(a->mode, ==, b->mode);
    g_assert_cmpuint(a->uid, ==, b->uid);
    g_assert_cmpuint(a->gid, ==, b->gid);
    g_assert_cmpuint(a->nlink, ==, b->nlink);
    g_assert_cmpuint(a->rdev, ==, b->rdev);
    g_assert_cmpuint(a->size, ==, b->size);
    /* A file of the synth driver is as old as its QEMU. */
    if (!has(t, HAS_HOST)) {
        return;
    }
    g_assert_cmphex(a->qid.version, ==, b->qid.version);
    g_assert_cmpuint(a->mtime_sec, ==, b->mtime_sec);
    g_assert_cmpuint(a->mtime_nsec, ==, b->mtime_nsec);
}

/* Remembers what the guest knows of these files; the last has no path. */
static void learn(Test *t, Known *known)
{
    for (; known->path; known++) {
        ok(getattr(t, known->fid, &known->attr));
    }
}

/* All of that must hold, for the fid and for a walk to the path. */
static void still_knows(Test *t, const Known *known)
{
    for (; known->path; known++) {
        P9CAttr attr;

        ok(getattr(t, known->fid, &attr));
        same_attr(t, &attr, &known->attr);
        attr = attr_of(t, known->path);
        same_attr(t, &attr, &known->attr);
    }
}

static void make_known(Test *t)
{
    make_file(t, ROOT, "f", "data");
    ok(make_dir(t, ROOT, "d", 0755));
    ok(walk(t, ROOT, 1, "d"));
    ok(make_dir(t, 1, "e", 0755));
    ok(walk(t, ROOT, 2, "d/e"));
    make_file(t, 2, "deep", "deep");
    ok(walk(t, 2, 3, "deep"));
    ok(walk(t, ROOT, 4, "f"));
    ok(p9c_link(t->c, 1, 4, "linked"));
    ok(walk(t, ROOT, 5, "d/linked"));
    ok(make_symlink(t, ROOT, "link", "where/to"));
    ok(walk(t, ROOT, 6, "link"));
    ok(make_node(t, ROOT, "fifo", S_IFIFO | 0640, 0, 0));
    ok(walk(t, ROOT, 7, "fifo"));
    make_file(t, ROOT, "old", "renamed");
    ok(walk(t, ROOT, 8, "old"));
    ok(rename_at(t, ROOT, "old", 2, "new"));
    make_file(t, ROOT, "first", "second");
    ok(walk(t, ROOT, 9, "first"));
    ok(p9c_link(t->c, ROOT, 9, "second"));
    ok(walk(t, ROOT, 10, "second"));
    ok(unlink_at(t, ROOT, "first", 0));
}

/* The fids work, each for what it is for; path of 8 changes to @name. */
static void use_known(Test *t, const char *name)
{
    ok(walk(t, 3, 100, ""));
    ok(open_fid(t, 100, P9C_O_RDWR));
    read_is(t, 100, 0, "deep");
    ok(clunk(t, 100));
    readlink_is(t, 6, "where/to");
    content_is(t, "second", "second");
    ok(set_mode(t, 7, 0600));
    ok(p9c_rename(t->c, 8, 1, name));
    ok(walk(t, 1, 100, name));
    ok(open_fid(t, 100, P9C_O_RDONLY));
    read_is(t, 100, 0, "renamed");
    ok(clunk(t, 100));
    make_file(t, 2, name, "made");
    ok(walk(t, 2, 100, name));
    ok(p9c_remove(t->c, 100));
    fails(clunk(t, 100), ENOENT);
    fails(getattr(t, 50, NULL), ENOENT);
}

static void test_fids(Test *t)
{
    Known known[] = {
        { ROOT, "" }, { 1, "d" }, { 2, "d/e" }, { 3, "d/e/deep" }, { 4, "f" },
        { 5, "f" }, { 6, "link" }, { 7, "fifo" }, { 8, "d/e/new" },
        { 9, "second" }, { }
    };

    make_known(t);
    learn(t, known);
    move(t);
    still_knows(t, known);
    use_known(t, "name");
    known[8].path = "d/name";
    learn(t, known);
    move(t);
    still_knows(t, known);
    use_known(t, "other");
    g_assert_true(same_file(t, "f", "d/linked"));
    /* The session ends as any does. */
    session(t);
    fails(clunk(t, 1), ENOENT);
}

/* The tree of the synth driver, which all drivers have here */
static void test_tree(Test *t)
{
    Known known[] = {
        { ROOT, "" }, { 1, "WALK0" }, { 2, "WALK0/WALK1/WALK2/WALK3" },
        { 3, "ReadDirDir" }, { 4, "LOPEN" }, { }
    };
    unsigned i;

    for (i = 1; known[i].path; i++) {
        ok(walk(t, ROOT, known[i].fid, known[i].path));
    }
    ok(open_fid(t, 4, P9C_O_RDONLY));
    learn(t, known);
    move(t);
    still_knows(t, known);
    ok(walk(t, 2, 100, "WALK4/WALK5"));
    fails(walk(t, 2, 101, "WALK5"), ENOENT);
    ok(walk(t, 3, 101, "ReadDirFile99"));
    fails(open_fid(t, 4, P9C_O_RDONLY), EBADF);
    fails(walk(t, 3, 101, ""), EBADF);
    move(t);
    still_knows(t, known);
    ok(clunk(t, 100));
}

/*
 * Open files
 */

static void test_open(Test *t)
{
    uint32_t n;

    make_file(t, ROOT, "f", "0123456789");
    make_file(t, ROOT, "g", "old");
    ok(walk(t, ROOT, 1, "f"));
    ok(open_fid(t, 1, P9C_O_RDONLY));
    ok(walk(t, ROOT, 2, "f"));
    ok(open_fid(t, 2, P9C_O_RDWR));
    ok(walk(t, ROOT, 3, "f"));
    ok(open_fid(t, 3, P9C_O_WRONLY | P9C_O_APPEND));
    ok(walk(t, ROOT, 4, "g"));
    ok(open_fid(t, 4, P9C_O_RDWR | P9C_O_TRUNC));
    write_all(t, 4, 0, "new");
    ok(walk(t, ROOT, 5, ""));
    ok(create(t, 5, "made", P9C_O_RDWR | P9C_O_EXCL, 0644));
    write_all(t, 5, 0, "made");
    ok(rename_at(t, ROOT, "made", ROOT, "renamed"));

    move(t);
    read_is(t, 1, 0, "0123456789");
    fails(p9c_write(t->c, 1, 0, "x", 1, &n), EBADF);
    write_all(t, 2, 0, "AB");
    read_is(t, 2, 0, "AB23456789");
    fails(p9c_read(t->c, 3, 0, 1, NULL, &n), EBADF);
    write_all(t, 3, 10, "end");
    read_is(t, 1, 8, "89end");
    /* A file is truncated when the guest opens it, and never again. */
    read_is(t, 4, 0, "new");
    read_is(t, 5, 0, "made");
    write_all(t, 5, 4, " twice");
    ok(p9c_fsync(t->c, 5, false));
    fails(open_fid(t, 5, P9C_O_RDWR), EBADF);

    move_by_file(t, NULL);
    read_is(t, 2, 0, "AB23456789end");
    read_is(t, 5, 0, "made twice");
    host_is(t, "renamed", "made twice");
    ok(clunk(t, 5));
    ok(clunk(t, 4));
    content_is(t, "g", "new");
}

static int by_name(gconstpointer a, gconstpointer b)
{
    return strcmp(*(char **)a, *(char **)b);
}

/* Appends the names, and returns the last entry's offset. */
static uint64_t take_names(GPtrArray *names, GPtrArray *entries,
                           uint64_t offset)
{
    unsigned i;

    for (i = 0; i < entries->len; i++) {
        P9CDirent *entry = entries->pdata[i];

        g_ptr_array_add(names, g_strdup(entry->name));
        offset = entry->offset;
    }
    return offset;
}

static void make_many(Test *t)
{
    unsigned i;

    host_mkdir(t, "many");
    for (i = 0; i < FILES; i++) {
        g_autofree char *name = g_strdup_printf("many/file-number-%u", i);

        host_write(t, name, "");
    }
}

/* Each name comes once, though the guest moves while it reads. */
static void test_readdir(Test *t)
{
    g_autoptr(GPtrArray) names = g_ptr_array_new_with_free_func(g_free);
    uint64_t offset = 0, before;
    unsigned i, moves = 0;

    make_many(t);
    ok(walk(t, ROOT, 1, "many"));
    ok(open_fid(t, 1, P9C_O_RDONLY | P9C_O_DIRECTORY));
    do {
        g_autoptr(GPtrArray) entries = NULL;

        before = offset;
        ok(p9c_readdir(t->c, 1, offset, DIR_ROOM, &entries, NULL));
        offset = take_names(names, entries, offset);
        if (moves < 2) {
            moves++;
            move(t);
        }
    } while (offset != before);
    g_assert_cmpuint(moves, ==, 2);
    g_assert_cmpuint(names->len, ==, FILES + 2);
    g_ptr_array_sort(names, by_name);
    for (i = 1; i < names->len; i++) {
        g_assert_cmpstr(names->pdata[i - 1], !=, names->pdata[i]);
    }
}

/*
 * Extended attributes
 */

static void test_xattr(Test *t)
{
    char value[16], big[3000], got[sizeof(big)];
    uint64_t length;
    uint32_t n;

    if (!host_has_xattrs(t)) {
        return;
    }
    memset(big, 'b', sizeof(big));
    make_file(t, ROOT, "f", "");
    ok(walk(t, ROOT, 1, "f"));
    ok(put_xattr(t, 1, "user.test", "value", 5, 0));
    ok(p9c_xattrwalk(t->c, 1, 2, "user.test", &length));
    g_assert_cmpuint(length, ==, 5);
    ok(p9c_xattrwalk(t->c, 1, 3, "", &length));
    ok(walk(t, 1, 4, ""));
    ok(p9c_xattrcreate(t->c, 4, "user.half", sizeof(big), 0));
    ok(p9c_write(t->c, 4, 0, big, 1000, &n));
    ok(walk(t, 1, 5, ""));
    ok(p9c_xattrcreate(t->c, 5, "user.short", 4, 0));
    ok(p9c_write(t->c, 5, 0, "abc", 3, &n));

    move(t);
    /* What was read at first, not what the file has now */
    ok(put_xattr(t, 1, "user.test", "other", 5, 0));
    ok(p9c_read(t->c, 2, 0, sizeof(value), value, &n));
    g_assert_cmpmem(value, n, "value", 5);
    ok(p9c_read(t->c, 2, 3, sizeof(value), value, &n));
    g_assert_cmpmem(value, n, "ue", 2);
    ok(p9c_read(t->c, 3, 0, sizeof(value), value, &n));
    g_assert_cmpuint(n, >=, strlen("user.test") + 1);
    ok(p9c_write(t->c, 4, 1000, big, 2000, &n));
    g_assert_cmpuint(n, ==, 2000);
    move(t);
    ok(clunk(t, 4));
    n = sizeof(got);
    ok(take_xattr(t, 1, "user.half", got, &n));
    g_assert_cmpmem(got, n, big, sizeof(big));
    /* The value was not complete. */
    fails(clunk(t, 5), EINVAL);
    g_assert_false(lists_xattr(t, 1, "user.short"));
    ok(clunk(t, 2));
    ok(clunk(t, 3));
}

/*
 * 9P2000.u
 */

static void test_dotu(Test *t)
{
    g_autoptr(GPtrArray) stats = NULL;
    uint32_t bytes, rest;
    P9CStat st;

    make_many(t);
    ok(walk(t, ROOT, 1, "many"));
    ok(p9c_open(t->c, 1, 0, NULL, NULL));
    ok(p9c_read_dir(t->c, 1, 0, DIR_ROOM, &stats, &bytes));
    g_assert_cmpuint(stats->len, >, 0);
    rest = FILES - stats->len;
    ok(walk(t, ROOT, 2, ""));
    ok(p9c_create(t->c, 2, "gone", 0644, 2 | P9C_ORCLOSE, "", NULL));
    write_all(t, 2, 0, "temporary");
    ok(walk(t, ROOT, 3, "many/file-number-7"));
    ok(p9c_stat(t->c, 3, &st));
    g_assert_cmpstr(st.name, ==, "file-number-7");
    p9c_stat_clear(&st);

    move(t);
    /* The rest of the directory: only from where the last read ended */
    while (rest) {
        g_autoptr(GPtrArray) more = NULL;
        uint32_t n;

        ok(p9c_read_dir(t->c, 1, bytes, DIR_ROOM, &more, &n));
        g_assert_cmpuint(more->len, >, 0);
        g_assert_cmpuint(more->len, <=, rest);
        rest -= more->len;
        bytes += n;
    }
    ok(p9c_stat(t->c, 3, &st));
    g_assert_cmpstr(st.name, ==, "file-number-7");
    p9c_stat_clear(&st);
    read_is(t, 2, 0, "temporary");
    g_assert_true(host_has(t, "gone"));
    ok(clunk(t, 2));
    g_assert_false(host_has(t, "gone"));
    /* An error has this dialect's form. */
    fails(walk(t, ROOT, 4, "nonesuch"), ENOENT);
}

/*
 * The same process
 */

/* The guest goes back, and with it the driver's place in the queue. */
static void back(Test *t, const QVirtQueue *then)
{
    g_autofree char *error = p9_move_back(global_qtest, "one");

    g_assert_cmpstr(error, ==, NULL);
    *t->v9p->vq = *then;
}

/* A guest goes back to a snapshot; the share does not. */
static void test_snapshot(Test *t)
{
    g_autofree char *error = NULL;
    P9CAttr before, after;
    QVirtQueue then;

    make_file(t, ROOT, "f", "data");
    make_file(t, ROOT, "removed", "");
    ok(walk(t, ROOT, 1, "f"));
    ok(open_fid(t, 1, P9C_O_RDWR));
    ok(walk(t, ROOT, 2, "removed"));
    ok(walk(t, ROOT, 4, "f"));
    ok(getattr(t, 1, &before));
    p9_move_make_image(global_qtest);
    error = p9_move_snapshot(global_qtest, "one");
    g_assert_cmpstr(error, ==, NULL);
    then = *t->v9p->vq;
    assert_alive(t);

    ok(walk(t, ROOT, 3, "f"));
    ok(clunk(t, 1));
    host_write(t, "f", "after");
    ok(unlink_at(t, ROOT, "removed", 0));
    back(t, &then);
    fails(clunk(t, 3), ENOENT);
    ok(getattr(t, 1, &after));
    g_assert_cmphex(after.qid.path, ==, before.qid.path);
    read_is(t, 1, 0, "after");
    ok(set_mode(t, 4, 0600));
    /* This file is missing, which is no error. */
    fails(set_mode(t, 2, 0600), ESTALE);
    ok(clunk(t, 2));
    back(t, &then);
    read_is(t, 1, 0, "after");
    assert_alive(t);
    qos_invalidate_command_line();
}

const Case behaviour_move[] = {
    { "move-fids", test_fids, HAS_HOST | HAS_MOVES, CASE_PCI },
    { "move-tree", test_tree, HAS_MOVES, CASE_PCI | CASE_TREE },
    { "move-open", test_open, HAS_HOST | HAS_MOVES, CASE_PCI },
    { "move-readdir", test_readdir, HAS_HOST | HAS_MOVES,
      CASE_PCI | CASE_ANYBODY },
    { "move-xattr", test_xattr, HAS_XATTRS | HAS_MOVES,
      CASE_PCI | CASE_ANYBODY },
    { "move-dotu", test_dotu, HAS_HOST | HAS_MOVES,
      CASE_PCI | CASE_DOTU | CASE_ANYBODY },
    { "move-snapshot", test_snapshot, HAS_HOST | HAS_MOVES, CASE_PCI },
    { NULL }
};
