/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The mapped security models on disk: QEMU stores the guest's view in the
 * formats that its local driver always had, and the guest sees a view that
 * another program wrote in these formats.
 */
#include "qemu/osdep.h"
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include "qemu/bswap.h"
#include "virtio-9p-behaviour.h"

#define FOLDER      ".virtfs_metadata"
#define ROOT_FILE   ".virtfs_metadata_root"

/* The view on disk must be this. */
static void view_is(Test *t, const char *name, uint32_t uid, uint32_t gid,
                    uint32_t mode, uint64_t rdev)
{
    uint32_t value;
    uint64_t wide;

    g_assert_true(host_view_u32(t, name, "uid", &value));
    g_assert_cmpuint(value, ==, uid);
    g_assert_true(host_view_u32(t, name, "gid", &value));
    g_assert_cmpuint(value, ==, gid);
    g_assert_true(host_view_u32(t, name, "mode", &value));
    g_assert_cmphex(value, ==, mode);
    if (rdev) {
        g_assert_true(host_view_u64(t, name, "rdev", &wide));
        g_assert_cmphex(wide, ==, rdev);
    }
}

static void put_part(Test *t, const char *name, const char *part,
                     const void *value, size_t size)
{
    g_autofree char *path = host_path(t, name);
    g_autofree char *attr = g_strconcat("user.virtfs.", part, NULL);

    g_assert_cmpint(setxattr(path, attr, value, size, 0), ==, 0);
}

static void put_text(Test *t, const char *name, const char *text)
{
    g_autofree char *metadata = metadata_of(name);
    g_autofree char *dir = g_path_get_dirname(metadata);

    if (strcmp(name, ".") && !host_has(t, dir)) {
        host_mkdir(t, dir);
    }
    host_write(t, metadata, text);
}

/* Writes a view as another server would. */
static void put_view(Test *t, const char *name, uint32_t uid, uint32_t gid,
                     uint32_t mode, uint64_t rdev)
{
    uint8_t raw[8];

    if (has(t, HAS_VIEW_FILE)) {
        g_autofree char *text = g_strdup_printf(
            "virtfs.uid=%u\nvirtfs.gid=%u\nvirtfs.mode=%u\nvirtfs.rdev=%"
            PRIu64 "\n", uid, gid, mode, rdev);

        put_text(t, name, text);
        return;
    }
    stl_le_p(raw, uid);
    put_part(t, name, "uid", raw, 4);
    stl_le_p(raw, gid);
    put_part(t, name, "gid", raw, 4);
    stl_le_p(raw, mode);
    put_part(t, name, "mode", raw, 4);
    stq_le_p(raw, rdev);
    put_part(t, name, "rdev", raw, 8);
}

static bool can_keep(Test *t)
{
    if (has(t, HAS_VIEW_XATTR) && setxattr(t->dir, "user.test", "", 0, 0) < 0) {
        g_test_skip("no user xattrs on this file system");
        return false;
    }
    removexattr(t->dir, "user.test");
    return true;
}

static void test_written(Test *t)
{
    struct stat st;

    if (!can_keep(t)) {
        return;
    }
    ok(p9c_attach(t->c, 9, 1000, NULL));
    ok(p9c_attach(t->c, 8, 1000, NULL));
    ok(p9c_lcreate(t->c, 8, "file", P9C_O_RDWR | P9C_O_EXCL, 04640, 2000, NULL,
                   NULL));
    ok(p9c_mkdir(t->c, 9, "dir", 01770, 2000, NULL));
    ok(p9c_symlink(t->c, 9, "link", "target", 2000, NULL));
    ok(p9c_mknod(t->c, 9, "fifo", S_IFIFO | 0611, 0, 0, 2000, NULL));
    ok(p9c_mknod(t->c, 9, "socket", S_IFSOCK | 0622, 0, 0, 2000, NULL));
    ok(p9c_mknod(t->c, 9, "char", S_IFCHR | 0633, 5, 6, 2000, NULL));
    ok(p9c_mknod(t->c, 9, "block", S_IFBLK | 0644, 259, 70000, 2000, NULL));
    view_is(t, "file", 1000, 2000, S_IFREG | 04640, 0);
    view_is(t, "dir", 1000, 2000, S_IFDIR | 01770, 0);
    view_is(t, "link", 1000, 2000, S_IFLNK | 0777, 0);
    view_is(t, "fifo", 1000, 2000, S_IFIFO | 0611, 0);
    view_is(t, "socket", 1000, 2000, S_IFSOCK | 0622, 0);
    view_is(t, "char", 1000, 2000, S_IFCHR | 0633, makedev(5, 6));
    view_is(t, "block", 1000, 2000, S_IFBLK | 0644, makedev(259, 70000));
    host_is(t, "link", "target");
    g_assert_cmpint(host_stat(t, "fifo").st_size, ==, 0);

    /* On the host QEMU's user owns all files, without access for others. */
    st = host_stat(t, "file");
    g_assert_cmphex(st.st_mode, ==, S_IFREG | 0600);
    g_assert_cmpuint(st.st_uid, ==, t->host_uid);
    st = host_stat(t, "dir");
    g_assert_cmphex(st.st_mode, ==, S_IFDIR | 0700);
    g_assert_cmpuint(st.st_uid, ==, t->host_uid);
    g_assert_cmphex(host_stat(t, "link").st_mode, ==, S_IFREG | 0600);
    g_assert_cmphex(host_stat(t, "char").st_mode, ==, S_IFREG | 0600);
    if (has(t, HAS_VIEW_FILE)) {
        st = host_stat(t, FOLDER);
        g_assert_cmphex(st.st_mode, ==, S_IFDIR | 0700);
    }

    /* Changes */
    ok(setattr(t, 8, (P9CSetAttr) {
        .valid = P9C_SETATTR_UID | P9C_SETATTR_GID | P9C_SETATTR_MODE,
        .uid = 0xfffffffe, .gid = 0x80000000, .mode = 07777,
    }));
    view_is(t, "file", 0xfffffffe, 0x80000000, S_IFREG | 07777, 0);
    g_assert_cmpuint(attr_of(t, "file").uid, ==, 0xfffffffe);
    g_assert_cmphex(host_stat(t, "file").st_mode, ==, S_IFREG | 0600);
    /* The export's root */
    ok(setattr(t, ROOT, (P9CSetAttr) {
        .valid = P9C_SETATTR_UID | P9C_SETATTR_GID | P9C_SETATTR_MODE,
        .uid = 7, .gid = 8, .mode = 01711,
    }));
    view_is(t, ".", 7, 8, S_IFDIR | 01711, 0);
    g_assert_cmphex(attr_of(t, "").mode, ==, S_IFDIR | 01711);
    g_assert_cmphex(host_stat(t, ".").st_mode, ==, S_IFDIR | 0755);
}

static void guest_sees(Test *t, const char *name, uint32_t uid, uint32_t gid,
                       uint32_t mode, uint64_t rdev)
{
    P9CAttr a = attr_of(t, name);

    g_assert_cmpuint(a.uid, ==, uid);
    g_assert_cmpuint(a.gid, ==, gid);
    g_assert_cmphex(a.mode, ==, mode);
    g_assert_cmphex(a.rdev, ==, rdev);
}

static void test_read(Test *t)
{
    static const struct {
        const char *name;
        uint32_t mode;
        uint64_t rdev;
    } files[] = {
        { "file", S_IFREG | 06751, 0 },
        { "fifo", S_IFIFO | 0611, 0 },
        { "socket", S_IFSOCK | 0622, 0 },
        { "char", S_IFCHR | 0600, 0x501 },
        { "block", S_IFBLK | 0660, 0x11700000004 },
    };
    int i;

    if (!can_keep(t)) {
        return;
    }
    for (i = 0; i < ARRAY_SIZE(files); i++) {
        host_write(t, files[i].name, "");
        put_view(t, files[i].name, 10 + i, 20 + i, files[i].mode,
                 files[i].rdev);
    }
    host_write(t, "link", "where/to");
    put_view(t, "link", 5, 6, S_IFLNK | 0777, 0);
    host_mkdir(t, "dir");
    put_view(t, "dir", 1000, 2000, S_IFDIR | 03711, 0);
    host_write(t, "dir/below", "");
    put_view(t, "dir/below", 7, 8, S_IFREG | 0004, 0);
    put_view(t, ".", 3, 4, S_IFDIR | 0751, 0);

    for (i = 0; i < ARRAY_SIZE(files); i++) {
        guest_sees(t, files[i].name, 10 + i, 20 + i, files[i].mode,
                   files[i].rdev);
    }
    guest_sees(t, "link", 5, 6, S_IFLNK | 0777, 0);
    ok(walk(t, ROOT, 1, "link"));
    readlink_is(t, 1, "where/to");
    guest_sees(t, "dir", 1000, 2000, S_IFDIR | 03711, 0);
    guest_sees(t, "dir/below", 7, 8, S_IFREG | 0004, 0);
    guest_sees(t, "", 3, 4, S_IFDIR | 0751, 0);
    /* The guest sees a change of the view on disk. */
    put_view(t, "file", 99, 98, S_IFREG | 0644, 0);
    guest_sees(t, "file", 99, 98, S_IFREG | 0644, 0);
}

/* The guest sees a file without a view as it is on the host. */
static void test_foreign(Test *t)
{
    g_autofree char *path = NULL;
    struct stat st;
    P9CAttr a;

    if (!can_keep(t)) {
        return;
    }
    host_write(t, "file", "data");
    host_mkdir(t, "dir");
    host_write(t, "dir/below", "");
    host_symlink(t, "file", "link");
    path = host_path(t, "fifo");
    g_assert_cmpint(mkfifo(path, 0600), ==, 0);
    st = host_stat(t, "file");
    guest_sees(t, "file", st.st_uid, st.st_gid, st.st_mode, 0);
    st = host_stat(t, "dir");
    guest_sees(t, "dir", st.st_uid, st.st_gid, st.st_mode, 0);
    st = host_stat(t, "fifo");
    guest_sees(t, "fifo", st.st_uid, st.st_gid, S_IFIFO | 0600, 0);
    a = attr_of(t, "link");
    g_assert_cmphex(a.mode, ==, S_IFLNK | 0777);
    ok(walk(t, ROOT, 1, "link"));
    readlink_is(t, 1, "file");
    ok(walk(t, ROOT, 2, "fifo"));
    fails(open_fid(t, 2, P9C_O_RDWR), ENXIO);
    content_is(t, "file", "data");

    /* A change adds a view; the other attributes stay those of the host. */
    ok(walk(t, ROOT, 3, "file"));
    ok(set_mode(t, 3, 0604));
    host_mode_is(t, "file", S_IFREG | 0604);
    a = attr_of(t, "file");
    g_assert_cmphex(a.mode, ==, S_IFREG | 0604);
    g_assert_cmpuint(a.uid, ==, t->host_uid);
    ok(walk(t, ROOT, 4, "dir/below"));
    ok(setattr(t, 4, (P9CSetAttr) { .valid = P9C_SETATTR_UID, .uid = 5 }));
    g_assert_cmpuint(attr_of(t, "dir/below").uid, ==, 5);
    g_assert_cmphex(attr_of(t, "dir/below").mode, ==, S_IFREG | 0644);
    /* Files can be renamed and removed with and without a view. */
    ok(p9c_renameat(t->c, ROOT, "fifo", ROOT, "pipe"));
    ok(p9c_unlinkat(t->c, ROOT, "pipe", 0));
    ok(p9c_unlinkat(t->c, ROOT, "link", 0));
    ok(p9c_unlinkat(t->c, ROOT, "file", 0));
    g_assert_false(host_has(t, "file"));
}

/* QEMU ignores an invalid view. */
static void test_broken(Test *t)
{
    struct stat st;

    if (!can_keep(t)) {
        return;
    }
    host_write(t, "a", "data");
    host_write(t, "b", "data");
    host_mkdir(t, "d");
    st = host_stat(t, "a");
    if (has(t, HAS_VIEW_FILE)) {
        g_autofree char *path = NULL;

        put_text(t, "a", "virtfs.uid=\nvirtfs.gid=x1\nvirtfs.mode=-1\n"
                 "virtfs.rdev\n\n=\nnonsense=1\nvirtfs.uid=99999999999\n");
        put_text(t, "b", "virtfs.uid=5");
        path = host_path(t, "d/" FOLDER);
        g_assert_cmpint(symlink("/etc", path), ==, 0);
    } else {
        put_part(t, "a", "uid", "abc", 3);
        put_part(t, "a", "gid", "abcdef", 6);
        put_part(t, "a", "mode", "", 0);
        put_part(t, "a", "rdev", "x", 1);
        put_part(t, "b", "uid", "\5\0\0\0", 4);
    }
    guest_sees(t, "a", st.st_uid, st.st_gid, st.st_mode, 0);
    guest_sees(t, "b", 5, st.st_gid, st.st_mode, 0);
    /* A view cannot turn a file into a directory, or the reverse. */
    put_view(t, "b", 1, 2, S_IFDIR | 0755, 0);
    g_assert_true(S_ISREG(attr_of(t, "b").mode));
    content_is(t, "b", "data");
    put_view(t, "a", 1, 2, 0644, 0);
    guest_sees(t, "a", 1, 2, S_IFREG | 0644, 0);
    if (has(t, HAS_VIEW_FILE)) {
        /* The link was not followed. */
        ok(walk(t, ROOT, 1, "d"));
        ok(walk(t, 1, 2, ""));
        g_assert_cmpint(create(t, 2, "passwd", P9C_O_RDWR, 0644), !=, EEXIST);
        g_assert_cmpint(access("/etc/virtfs.uid", F_OK), !=, 0);
    } else {
        put_view(t, "d", 1, 2, S_IFREG | 0711, 0);
        guest_sees(t, "d", 1, 2, S_IFDIR | 0711, 0);
    }
    ok(walk(t, ROOT, 3, "a"));
    ok(set_mode(t, 3, 0600));
    guest_sees(t, "a", 1, 2, S_IFREG | 0600, 0);
}

/* Metadata follows the names. */
static void test_metadata(Test *t)
{
    P9CAttr a;

    make_file(t, ROOT, "f", "");
    ok(make_dir(t, ROOT, "d", 0755));
    ok(make_dir(t, ROOT, "e", 0755));
    g_assert_true(host_has(t, FOLDER "/f"));
    g_assert_true(host_has(t, FOLDER "/d"));
    ok(walk(t, ROOT, 1, "d"));
    ok(walk(t, ROOT, 2, "f"));
    ok(p9c_renameat(t->c, ROOT, "f", 1, "g"));
    g_assert_false(host_has(t, FOLDER "/f"));
    g_assert_true(host_has(t, "d/" FOLDER "/g"));
    ok(p9c_link(t->c, ROOT, 2, "h"));
    g_assert_cmpuint(host_stat(t, FOLDER "/h").st_ino, ==,
                     host_stat(t, "d/" FOLDER "/g").st_ino);
    ok(p9c_unlinkat(t->c, ROOT, "h", 0));
    g_assert_false(host_has(t, FOLDER "/h"));
    g_assert_true(host_has(t, "d/" FOLDER "/g"));
    ok(p9c_renameat(t->c, ROOT, "d", ROOT, "e"));
    g_assert_false(host_has(t, FOLDER "/d"));
    g_assert_true(host_has(t, "e/" FOLDER "/g"));
    ok(getattr(t, 2, &a));
    g_assert_cmphex(a.mode, ==, S_IFREG | 0644);
    fails(p9c_unlinkat(t->c, ROOT, "e", P9C_AT_REMOVEDIR), ENOTEMPTY);
    g_assert_true(host_has(t, "e/" FOLDER "/g"));
    ok(p9c_unlinkat(t->c, 1, "g", 0));
    g_assert_false(host_has(t, "e/" FOLDER "/g"));
    /* A directory with nothing but metadata is empty. */
    ok(p9c_unlinkat(t->c, ROOT, "e", P9C_AT_REMOVEDIR));
    g_assert_false(host_has(t, "e"));
    g_assert_false(host_has(t, FOLDER "/e"));
    /* A new file does not inherit the metadata of one that the host removed. */
    make_file(t, ROOT, "old", "");
    ok(walk(t, ROOT, 3, "old"));
    ok(set_mode(t, 3, 07777));
    host_unlink(t, "old");
    make_file(t, ROOT, "old", "");
    g_assert_cmphex(attr_of(t, "old").mode, ==, S_IFREG | 0644);
}

static void test_reserved(Test *t)
{
    static const char *const names[] = { FOLDER, ROOT_FILE };
    g_autoptr(GPtrArray) all = NULL;
    int i;

    make_file(t, ROOT, "f", "");
    ok(make_dir(t, ROOT, "d", 0755));
    ok(set_mode(t, ROOT, 0755));
    g_assert_true(host_has(t, FOLDER));
    g_assert_true(host_has(t, ROOT_FILE));
    ok(walk(t, ROOT, 1, ""));
    ok(open_fid(t, 1, P9C_O_DIRECTORY));
    all = p9c_readdir_all(t->c, 1, 1000);
    g_assert_cmpuint(all->len, ==, 4);
    g_assert_nonnull(p9c_dirent_find(all, "f"));
    g_assert_nonnull(p9c_dirent_find(all, "d"));
    ok(walk(t, ROOT, 2, "f"));
    ok(walk(t, ROOT, 3, "d"));
    for (i = 0; i < ARRAY_SIZE(names); i++) {
        const char *name = names[i];
        g_autofree char *below = g_build_filename("d", name, NULL);

        fails(walk(t, ROOT, 9, name), ENOENT);
        fails(walk(t, ROOT, 9, below), ENOENT);
        fails(p9c_unlinkat(t->c, ROOT, name, 0), ENOENT);
        fails(p9c_unlinkat(t->c, ROOT, name, P9C_AT_REMOVEDIR), ENOENT);
        fails(p9c_renameat(t->c, ROOT, name, ROOT, "x"), ENOENT);
        fails(p9c_renameat(t->c, ROOT, "f", 3, name), EACCES);
        fails(p9c_rename(t->c, 2, ROOT, name), EACCES);
        fails(p9c_link(t->c, 3, 2, name), EACCES);
        fails(make_dir(t, 3, name, 0755), EACCES);
        fails(make_symlink(t, 3, name, "x"), EACCES);
        fails(make_node(t, 3, name, S_IFIFO | 0600, 0, 0), EACCES);
        fails(make_node(t, 3, name, S_IFREG | 0600, 0, 0), EACCES);
        fails(create(t, 3, name, P9C_O_RDWR, 0644), EACCES);
        fails(create(t, 3, name, P9C_O_RDWR | P9C_O_EXCL, 0644), EACCES);
        g_assert_false(host_has(t, below));
    }
    g_assert_true(host_has(t, FOLDER));
    g_assert_true(host_has(t, ROOT_FILE));
}

/*
 * The root's metadata under another name, as a file system that ignores case
 * has it by itself: here a hard link of the host. The guest does not reach it.
 */
static void test_reserved_alias(Test *t)
{
    g_autofree char *from = host_path(t, ROOT_FILE);
    g_autofree char *to = host_path(t, "alias");
    P9CAttr attr;

    make_file(t, ROOT, "f", "");
    ok(walk(t, ROOT, 1, "f"));
    ok(make_dir(t, ROOT, "d", 0755));
    ok(walk(t, ROOT, 2, "d"));
    ok(set_mode(t, ROOT, 0750));
    g_assert_cmpint(link(from, to), ==, 0);
    fails(walk(t, ROOT, 9, "alias"), ENOENT);
    fails(walk(t, ROOT, 9, "d/../alias"), ENOENT);
    fails(p9c_unlinkat(t->c, ROOT, "alias", 0), ENOENT);
    fails(p9c_renameat(t->c, ROOT, "alias", 2, "x"), ENOENT);
    fails(p9c_renameat(t->c, ROOT, "f", ROOT, "alias"), EACCES);
    fails(p9c_rename(t->c, 1, ROOT, "alias"), EACCES);
    fails(p9c_link(t->c, ROOT, 1, "alias"), EEXIST);
    ok(walk(t, ROOT, 3, ""));
    fails(create(t, 3, "alias", P9C_O_RDWR | P9C_O_TRUNC, 0644), ENOENT);
    fails(create(t, 3, "alias", P9C_O_RDWR | P9C_O_EXCL, 0644), EEXIST);
    g_assert_true(host_has(t, "alias"));
    ok(getattr(t, ROOT, &attr));
    g_assert_cmphex(attr.mode, ==, S_IFDIR | 0750);
}

/* Other models and drivers treat them as ordinary names. */
static void test_not_reserved(Test *t)
{
    make_file(t, ROOT, ROOT_FILE, "data");
    ok(make_dir(t, ROOT, FOLDER, 0755));
    g_assert_true(guest_has(t, FOLDER));
    content_is(t, ROOT_FILE, "data");
}

/* fmode and dmode are for files of the host; the guest does not see them. */
static void test_modes(Test *t)
{
    make_file(t, ROOT, "f", "");
    ok(make_dir(t, ROOT, "d", 0711));
    ok(make_symlink(t, ROOT, "l", "x"));
    ok(make_node(t, ROOT, "p", S_IFIFO | 0601, 0, 0));
    g_assert_cmphex(host_stat(t, "f").st_mode, ==, S_IFREG | 0664);
    g_assert_cmphex(host_stat(t, "d").st_mode, ==, S_IFDIR | 0775);
    g_assert_cmphex(host_stat(t, "l").st_mode, ==, S_IFREG | 0664);
    g_assert_cmphex(host_stat(t, "p").st_mode, ==, S_IFREG | 0664);
    host_mode_is(t, "f", S_IFREG | 0644);
    host_mode_is(t, "d", S_IFDIR | 0711);
    g_assert_cmphex(attr_of(t, "f").mode, ==, S_IFREG | 0644);
    g_assert_cmphex(attr_of(t, "d").mode, ==, S_IFDIR | 0711);
    ok(walk(t, ROOT, 1, "f"));
    ok(set_mode(t, 1, 0));
    g_assert_cmphex(host_stat(t, "f").st_mode, ==, S_IFREG | 0664);
    g_assert_cmphex(attr_of(t, "f").mode, ==, S_IFREG);
}

const Case behaviour_view[] = {
    { "view-written", test_written, HAS_VIEW, CASE_SHORT },
    { "view-read", test_read, HAS_VIEW, CASE_SHORT },
    { "view-foreign", test_foreign, HAS_VIEW, CASE_SHORT },
    { "view-broken", test_broken, HAS_VIEW, CASE_SHORT },
    { "metadata", test_metadata, HAS_VIEW_FILE },
    { "reserved", test_reserved, HAS_VIEW_FILE },
    { "reserved-alias", test_reserved_alias, HAS_VIEW_FILE },
    { "not-reserved", test_not_reserved, HAS_SAME },
    { "not-reserved", test_not_reserved, HAS_VIEW_XATTR, CASE_SHORT },
    { "fmode", test_modes, HAS_VIEW, CASE_SHORT, ",fmode=0664,dmode=0775" },
    { NULL }
};
