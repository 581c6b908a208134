/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Behaviour of files whose names change: linking, renaming and removing them,
 * with fids on them.
 */
#include "qemu/osdep.h"
#include "virtio-9p-behaviour.h"

/*
 * Linking
 */

static void test_link(Test *t)
{
    P9CAttr a;

    make_file(t, ROOT, "a", "x");
    ok(make_dir(t, ROOT, "d", 0755));
    ok(make_symlink(t, ROOT, "l", "target"));
    ok(walk(t, ROOT, 1, "a"));
    ok(walk(t, ROOT, 2, "d"));
    ok(p9c_link(t->c, 2, 1, "b"));
    g_assert_cmpuint(host_stat(t, "d/b").st_nlink, ==, 2);
    g_assert_cmpuint(host_stat(t, "d/b").st_ino, ==, host_stat(t, "a").st_ino);
    same_inode(t, 1, "d/b");
    g_assert_true(same_file(t, "a", "d/b"));
    ok(getattr(t, 1, &a));
    g_assert_cmpuint(a.nlink, ==, 2);
    fails(p9c_link(t->c, 2, 1, "b"), EEXIST);
    fails(p9c_link(t->c, ROOT, 2, "e"), EPERM);     /* a directory: link(2) */
    fails(p9c_link(t->c, 1, 1, "e"), ENOTDIR);

    /* A change by one name shows under the other. */
    ok(walk(t, ROOT, 4, "d/b"));
    ok(set_mode(t, 4, 0604));
    g_assert_cmphex(attr_of(t, "a").mode, ==, S_IFREG | 0604);
    host_mode_is(t, "a", S_IFREG | 0604);
    host_mode_is(t, "d/b", S_IFREG | 0604);
    ok(set_mode(t, 1, 0640));
    g_assert_cmphex(attr_of(t, "d/b").mode, ==, S_IFREG | 0640);

    /* Two fids, two names, one file: Tremove of one name leaves the other. */
    ok(walk(t, 2, 3, "b"));
    ok(p9c_remove(t->c, 3));
    g_assert_false(host_has(t, "d/b"));
    g_assert_true(host_has(t, "a"));
    fails(getattr(t, 3, NULL), ENOENT);          /* clunked */
    ok(getattr(t, 1, &a));
    g_assert_cmpuint(a.nlink, ==, 1);
    g_assert_cmphex(a.mode, ==, S_IFREG | 0640);
    same_inode(t, 4, "a");

    /* A symbolic link can have several names, too. */
    ok(walk(t, ROOT, 5, "l"));
    ok(p9c_link(t->c, 2, 5, "m"));
    g_assert_cmphex(attr_of(t, "d/m").mode, ==, S_IFLNK | 0777);
    g_assert_true(same_file(t, "l", "d/m"));
}

/* The first name is removed, with a fid on it; the file keeps the other. */
static void test_link_first(Test *t)
{
    make_file(t, ROOT, "a", "data");
    ok(walk(t, ROOT, 1, "a"));
    ok(p9c_link(t->c, ROOT, 1, "b"));
    ok(set_mode(t, 1, 0604));
    ok(unlink_at(t, ROOT, "a", 0));
    ok(set_mode(t, 1, 0614));
    g_assert_cmphex(attr_of(t, "b").mode, ==, S_IFREG | 0614);
    same_inode(t, 1, "b");
    ok(open_fid(t, 1, P9C_O_RDWR));
    write_all(t, 1, 0, "DATA");
    host_is(t, "b", "DATA");
}

/*
 * Renaming
 */

static void test_rename(Test *t)
{
    P9CAttr a, b;

    ok(make_dir(t, ROOT, "d", 0750));
    make_file(t, ROOT, "f", "one");
    ok(walk(t, ROOT, 1, "d"));
    ok(walk(t, ROOT, 2, "f"));
    ok(set_mode(t, 2, 0604));
    a = attr_of(t, "f");
    /* Within a directory, to another one, and to the same name */
    ok(rename_at(t, ROOT, "f", ROOT, "g"));
    g_assert_false(host_has(t, "f"));
    host_is(t, "g", "one");
    ok(rename_at(t, ROOT, "g", 1, "h"));
    same_inode(t, 2, "d/h");
    ok(rename_at(t, 1, "h", 1, "h"));
    same_inode(t, 2, "d/h");
    b = attr_of(t, "d/h");
    g_assert_cmpuint(a.qid.path, ==, b.qid.path);
    g_assert_cmphex(b.mode, ==, S_IFREG | 0604);
    host_mode_is(t, "d/h", S_IFREG | 0604);
    /* Trename */
    ok(p9c_rename(t->c, 2, ROOT, "again"));
    same_inode(t, 2, "again");
    ok(p9c_rename(t->c, 2, ROOT, "again"));
    same_inode(t, 2, "again");
    fails(p9c_rename(t->c, ROOT, 1, "root"), EBUSY);
    fails(p9c_rename(t->c, 2, 2, "x"), ENOTDIR);

    fails(rename_at(t, ROOT, "no", ROOT, "x"), ENOENT);
    fails(rename_at(t, ROOT, "d", 1, "in-itself"), EINVAL);
    fails(rename_at(t, ROOT, "..", ROOT, "x"), EINVAL);
    fails(rename_at(t, ROOT, "again", ROOT, "a/b"), ENOENT);
    same_inode(t, 1, "d");
    same_inode(t, 2, "again");
}

static void test_rename_over(Test *t)
{
    make_file(t, ROOT, "a", "one");
    make_file(t, ROOT, "b", "two");
    ok(make_dir(t, ROOT, "d", 0700));
    ok(make_dir(t, ROOT, "empty", 0711));
    ok(make_dir(t, ROOT, "full", 0755));
    ok(make_symlink(t, ROOT, "l", "b"));
    ok(walk(t, ROOT, 1, "full"));
    make_file(t, 1, "x", "");
    ok(walk(t, ROOT, 2, "a"));
    ok(set_mode(t, 2, 0604));
    ok(walk(t, ROOT, 3, "d"));

    fails(rename_at(t, ROOT, "a", ROOT, "empty"), EISDIR);
    fails(rename_at(t, ROOT, "d", ROOT, "a"), ENOTDIR);
    fails(rename_at(t, ROOT, "d", ROOT, "full"), ENOTEMPTY);
    fails(rename_at(t, ROOT, "d", ROOT, "l"), ENOTDIR);
    same_inode(t, 2, "a");
    same_inode(t, 3, "d");
    host_mode_is(t, "a", S_IFREG | 0604);
    host_mode_is(t, "empty", S_IFDIR | 0711);

    ok(rename_at(t, ROOT, "a", ROOT, "b"));
    same_inode(t, 2, "b");
    host_is(t, "b", "one");
    host_mode_is(t, "b", S_IFREG | 0604);
    g_assert_false(host_has(t, "a"));
    ok(rename_at(t, ROOT, "d", ROOT, "empty"));
    same_inode(t, 3, "empty");
    host_mode_is(t, "empty", S_IFDIR | 0700);
    g_assert_false(host_has(t, "d"));
    /* A rename over a link replaces the link, not its target. */
    ok(rename_at(t, ROOT, "b", ROOT, "l"));
    same_inode(t, 2, "l");
    g_assert_cmphex(attr_of(t, "l").mode, ==, S_IFREG | 0604);
    content_is(t, "l", "one");
    /* Over the directory that is empty now */
    ok(unlink_at(t, 1, "x", 0));
    ok(rename_at(t, ROOT, "empty", ROOT, "full"));
    same_inode(t, 3, "full");
    host_mode_is(t, "full", S_IFDIR | 0700);
}

/* rename(2): a rename between two names of one inode keeps both. */
static void test_rename_links(Test *t)
{
    make_file(t, ROOT, "a", "x");
    ok(walk(t, ROOT, 1, "a"));
    ok(set_mode(t, 1, 0604));
    ok(p9c_link(t->c, ROOT, 1, "b"));
    ok(rename_at(t, ROOT, "a", ROOT, "b"));
    g_assert_true(same_file(t, "a", "b"));
    same_inode(t, 1, "a");
    same_inode(t, 1, "b");
    ok(walk(t, ROOT, 2, "b"));
    ok(p9c_remove(t->c, 2));
    g_assert_true(host_has(t, "a"));
    g_assert_false(host_has(t, "b"));
    host_mode_is(t, "a", S_IFREG | 0604);
}

/* Fids, open and idle, on the file that is renamed and on the replaced one */
static void test_rename_open(Test *t)
{
    P9CAttr a;

    make_file(t, ROOT, "a", "one");
    make_file(t, ROOT, "b", "two");
    ok(walk(t, ROOT, 1, "a"));
    ok(walk(t, ROOT, 2, "a"));
    ok(open_fid(t, 2, P9C_O_RDWR));
    ok(walk(t, ROOT, 3, "b"));
    ok(walk(t, ROOT, 4, "b"));
    ok(open_fid(t, 4, P9C_O_RDWR));
    ok(rename_at(t, ROOT, "a", ROOT, "b"));
    host_is(t, "b", "one");
    same_inode(t, 1, "b");
    same_inode(t, 2, "b");
    write_all(t, 2, 3, "+");
    host_is(t, "b", "one+");
    read_is(t, 4, 0, "two");
    write_all(t, 4, 0, "TWO");
    ok(getattr(t, 3, &a));
    g_assert_cmpuint(a.nlink, ==, 0);
    g_assert_cmpuint(a.size, ==, 3);
    ok(set_mode(t, 3, 0604));
    ok(getattr(t, 4, &a));
    g_assert_cmphex(a.mode, ==, S_IFREG | 0604);
    g_assert_cmphex(attr_of(t, "b").mode, ==, S_IFREG | 0644);
    ok(open_fid(t, 3, P9C_O_RDONLY));
    read_is(t, 3, 0, "TWO");
    ok(open_fid(t, 1, P9C_O_RDONLY));
    read_is(t, 1, 0, "one+");
}

/* A rename of a directory above fids: the fids keep their meaning. */
static void test_rename_above(Test *t)
{
    ok(make_dir(t, ROOT, "d", 0755));
    ok(make_dir(t, ROOT, "z", 0755));
    ok(walk(t, ROOT, 1, "d"));
    ok(make_dir(t, 1, "e", 0755));
    ok(walk(t, ROOT, 2, "d/e"));
    make_file(t, 2, "f", "data");
    ok(walk(t, ROOT, 3, "d/e/f"));
    ok(walk(t, ROOT, 4, "z"));
    ok(walk(t, ROOT, 5, "d/e/f"));
    ok(open_fid(t, 5, P9C_O_RDWR));
    ok(walk(t, ROOT, 6, "d/e"));
    ok(open_fid(t, 6, P9C_O_DIRECTORY));

    ok(rename_at(t, ROOT, "d", 4, "dd"));
    g_assert_true(host_has(t, "z/dd/e/f"));
    same_inode(t, 1, "z/dd");
    same_inode(t, 2, "z/dd/e");
    same_inode(t, 3, "z/dd/e/f");
    same_inode(t, 5, "z/dd/e/f");
    ok(set_mode(t, 3, 0604));
    host_mode_is(t, "z/dd/e/f", S_IFREG | 0604);
    ok(walk(t, 2, 10, "f"));
    ok(make_dir(t, 2, "below", 0700));
    g_assert_true(host_has(t, "z/dd/e/below"));
    ok(walk(t, 2, 11, ".."));
    same_inode(t, 11, "z/dd");
    read_is(t, 5, 0, "data");
    {
        g_autoptr(GPtrArray) all = p9c_readdir_all(t->c, 6, 1000);

        g_assert_nonnull(p9c_dirent_find(all, "f"));
        g_assert_nonnull(p9c_dirent_find(all, "below"));
    }
    ok(open_fid(t, 3, P9C_O_RDONLY));
    read_is(t, 3, 0, "data");
    ok(p9c_rename(t->c, 10, ROOT, "top"));
    host_is(t, "top", "data");
    g_assert_false(host_has(t, "d"));
    /* A new directory by the old name is a different one. */
    ok(make_dir(t, ROOT, "d", 0755));
    fails(walk(t, ROOT, 12, "d/e"), ENOENT);
    g_assert_false(same_file(t, "d", "z/dd"));
}

/*
 * Removing
 */

static void test_unlink(Test *t)
{
    make_file(t, ROOT, "f", "data");
    ok(make_dir(t, ROOT, "d", 0755));
    ok(make_symlink(t, ROOT, "l", "d"));
    ok(walk(t, ROOT, 1, "d"));
    make_file(t, 1, "x", "");

    fails(unlink_at(t, ROOT, "f", P9C_AT_REMOVEDIR), ENOTDIR);
    fails(unlink_at(t, ROOT, "l", P9C_AT_REMOVEDIR), ENOTDIR);
    fails(unlink_at(t, ROOT, "d", 0), EISDIR);
    fails(unlink_at(t, ROOT, "d", P9C_AT_REMOVEDIR), ENOTEMPTY);
    fails(unlink_at(t, ROOT, ".", P9C_AT_REMOVEDIR), EINVAL);
    fails(unlink_at(t, ROOT, "no", 0), ENOENT);
    fails(unlink_at(t, ROOT, "no", P9C_AT_REMOVEDIR), ENOENT);
    host_mode_is(t, "f", S_IFREG | 0644);
    host_mode_is(t, "d", S_IFDIR | 0755);
    host_mode_is(t, "d/x", S_IFREG | 0644);

    ok(unlink_at(t, ROOT, "f", 0));
    g_assert_false(host_has(t, "f"));
    fails(unlink_at(t, ROOT, "f", 0), ENOENT);
    ok(unlink_at(t, ROOT, "l", 0));
    g_assert_false(host_has(t, "l"));
    g_assert_true(host_has(t, "d"));
    ok(unlink_at(t, 1, "x", 0));
    ok(unlink_at(t, ROOT, "d", P9C_AT_REMOVEDIR));
    g_assert_false(host_has(t, "d"));
    /* Nothing can be made in the removed directory. */
    fails(make_dir(t, 1, "x", 0755), ENOENT);
    fails(create(t, 1, "x", P9C_O_RDWR, 0644), ENOENT);
    /* A new file of the same name shows nothing of the old one. */
    ok(make_symlink(t, ROOT, "f", "x"));
    g_assert_cmphex(attr_of(t, "f").mode, ==, S_IFLNK | 0777);
    ok(unlink_at(t, ROOT, "f", 0));
    make_file(t, ROOT, "f", "new");
    g_assert_cmphex(attr_of(t, "f").mode, ==, S_IFREG | 0644);
    content_is(t, "f", "new");
}

/* Fids on a file without a name still mean it; every operation works. */
static void test_unlink_open(Test *t)
{
    P9CAttr a;
    uint32_t size;
    char buf[16];

    make_file(t, ROOT, "f", "data");
    ok(walk(t, ROOT, 1, "f"));
    ok(walk(t, ROOT, 2, "f"));
    ok(open_fid(t, 2, P9C_O_RDWR));
    ok(unlink_at(t, ROOT, "f", 0));
    g_assert_false(host_has(t, "f"));

    ok(getattr(t, 1, &a));
    g_assert_cmpuint(a.nlink, ==, 0);
    g_assert_cmpuint(a.size, ==, 4);
    g_assert_cmphex(a.mode, ==, S_IFREG | 0644);
    g_assert_cmpuint(a.uid, ==, t->uid);
    ok(getattr(t, 2, &a));
    g_assert_cmpuint(a.nlink, ==, 0);
    g_assert_cmpuint(a.size, ==, 4);
    read_is(t, 2, 0, "data");
    write_all(t, 2, 4, "more");

    /* A new file of that name is a different one. */
    make_file(t, ROOT, "f", "other");
    ok(set_mode(t, 1, 0604));
    ok(getattr(t, 2, &a));
    g_assert_cmphex(a.mode, ==, S_IFREG | 0604);
    g_assert_cmpuint(a.size, ==, 8);
    ok(set_mode(t, 2, 0624));
    ok(getattr(t, 1, &a));
    g_assert_cmphex(a.mode, ==, S_IFREG | 0624);
    ok(setattr(t, 1, (P9CSetAttr) {
        .valid = P9C_SETATTR_SIZE | P9C_SETATTR_MTIME | P9C_SETATTR_MTIME_SET,
        .size = 6, .mtime_sec = 42,
    }));
    ok(getattr(t, 2, &a));
    g_assert_cmpuint(a.size, ==, 6);
    g_assert_cmpuint(a.mtime_sec, ==, 42);
    if (has(t, HAS_OWNERS)) {
        ok(setattr(t, 1, (P9CSetAttr) {
            .valid = P9C_SETATTR_UID | P9C_SETATTR_GID, .uid = 77, .gid = 88,
        }));
        ok(getattr(t, 2, &a));
        g_assert_cmpuint(a.uid, ==, 77);
        g_assert_cmpuint(a.gid, ==, 88);
    }
    ok(put_xattr(t, 1, "user.test", "value", 5, 0));
    size = sizeof(buf);
    ok(take_xattr(t, 2, "user.test", buf, &size));
    g_assert_cmpmem(buf, size, "value", 5);
    g_assert_true(lists_xattr(t, 1, "user.test"));
    ok(walk(t, 1, 3, ""));
    ok(p9c_fsync(t->c, 2, false));
    /* It can be opened again, from any fid. */
    ok(open_fid(t, 1, P9C_O_RDONLY));
    read_is(t, 1, 0, "datamo");
    ok(open_fid(t, 3, P9C_O_RDWR | P9C_O_TRUNC));
    read_is(t, 2, 0, "");
    ok(clunk(t, 1));
    ok(clunk(t, 2));
    ok(getattr(t, 3, &a));
    g_assert_cmphex(a.mode & 0777, ==, 0624);
    ok(clunk(t, 3));
    content_is(t, "f", "other");
    host_mode_is(t, "f", S_IFREG | 0644);
    g_assert_cmphex(attr_of(t, "f").mode, ==, S_IFREG | 0644);
}

/* Files of each type with an idle fid only: no open file keeps them. */
static void test_unlink_idle(Test *t)
{
    P9CAttr a;

    make_file(t, ROOT, "f", "data");
    ok(make_dir(t, ROOT, "d", 0711));
    ok(make_symlink(t, ROOT, "l", "target"));
    ok(make_node(t, ROOT, "p", S_IFIFO | 0644, 0, 0));
    ok(walk(t, ROOT, 1, "f"));
    ok(walk(t, ROOT, 2, "d"));
    ok(walk(t, ROOT, 3, "l"));
    ok(walk(t, ROOT, 4, "p"));
    ok(unlink_at(t, ROOT, "f", 0));
    ok(unlink_at(t, ROOT, "d", P9C_AT_REMOVEDIR));
    ok(unlink_at(t, ROOT, "l", 0));
    ok(unlink_at(t, ROOT, "p", 0));
    ok(getattr(t, 1, &a));
    g_assert_cmphex(a.mode, ==, S_IFREG | 0644);
    g_assert_cmpuint(a.nlink, ==, 0);
    ok(setattr(t, 1, (P9CSetAttr) { .valid = P9C_SETATTR_SIZE, .size = 2 }));
    ok(getattr(t, 2, &a));
    g_assert_cmphex(a.mode, ==, S_IFDIR | 0711);
    g_assert_cmpuint(a.nlink, ==, 0);
    ok(set_mode(t, 2, 0700));
    fails(walk(t, 2, 9, "x"), ENOENT);
    ok(getattr(t, 3, &a));
    g_assert_cmphex(a.mode, ==, S_IFLNK | 0777);
    readlink_is(t, 3, "target");
    ok(getattr(t, 4, &a));
    g_assert_cmphex(a.mode, ==, S_IFIFO | 0644);
    ok(open_fid(t, 1, P9C_O_RDONLY));
    read_is(t, 1, 0, "da");
    /* They have no names, even if another file has the old one. */
    make_file(t, ROOT, "f", "another");
    fails(p9c_rename(t->c, 1, ROOT, "again"), ENOENT);
    fails(p9c_rename(t->c, 2, ROOT, "again"), ENOENT);
    fails(p9c_link(t->c, 2, 1, "again"), ENOENT);
    fails(p9c_remove(t->c, 4), ENOENT);
    g_assert_false(host_has(t, "again"));
    content_is(t, "f", "another");
}

/* Tremove means the file of the fid, not a new file of its old name. */
static void test_remove(Test *t)
{
    make_file(t, ROOT, "a", "a");
    ok(make_dir(t, ROOT, "d", 0755));
    ok(walk(t, ROOT, 1, "a"));
    ok(walk(t, ROOT, 2, "a"));
    ok(rename_at(t, ROOT, "a", ROOT, "b"));
    make_file(t, ROOT, "a", "other");
    ok(p9c_remove(t->c, 1));
    g_assert_false(host_has(t, "b"));
    g_assert_true(host_has(t, "a"));
    /* The file is gone; Tremove clunks the fid all the same. */
    fails(p9c_remove(t->c, 2), ENOENT);
    fails(getattr(t, 2, NULL), ENOENT);
    g_assert_true(host_has(t, "a"));
    /* Nor does it mean a file that the host puts in its place. */
    ok(walk(t, ROOT, 4, "a"));
    host_unlink(t, "a");
    host_write(t, "a", "the host's");
    fails(p9c_remove(t->c, 4), ENOENT);
    host_is(t, "a", "the host's");

    ok(walk(t, ROOT, 3, "d"));
    make_file(t, 3, "x", "");
    ok(walk(t, 3, 5, "x"));
    fails(p9c_remove(t->c, 3), ENOTEMPTY);
    fails(getattr(t, 3, NULL), ENOENT);
    ok(p9c_remove(t->c, 5));
    ok(walk(t, ROOT, 3, "d"));
    ok(p9c_remove(t->c, 3));
    g_assert_false(host_has(t, "d"));
    ok(walk(t, ROOT, 6, ""));
    fails(p9c_remove(t->c, 6), EBUSY);
    ok(getattr(t, ROOT, NULL));
}

const Case behaviour_rename[] = {
    { "link", test_link, HAS_HOST },
    { "link-first", test_link_first, HAS_HOST },
    { "rename", test_rename, HAS_HOST },
    { "rename-over", test_rename_over, HAS_HOST },
    { "rename-links", test_rename_links, HAS_HOST },
    { "rename-open", test_rename_open, HAS_HOST },
    { "rename-above", test_rename_above, HAS_HOST },
    { "unlink", test_unlink, HAS_HOST },
    { "unlink-open", test_unlink_open, HAS_HOST | HAS_HANDLES },
    { "unlink-idle", test_unlink_idle, HAS_HOST | HAS_HANDLES },
    { "remove", test_remove, HAS_HOST },
    { NULL }
};
