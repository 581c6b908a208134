/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Behaviour of names: walking, making files of each type, the names that a file
 * may have, and reading directories.
 */
#include "qemu/osdep.h"
#include <dirent.h>
#include <sys/sysmacros.h>
#include "virtio-9p-behaviour.h"

#define MANY        1000

/*
 * Walking
 */

static void test_walk_host(Test *t)
{
    host_mkdir(t, "d");
    host_mkdir(t, "d/e");
    host_write(t, "d/e/f", "x");
    ok(walk(t, ROOT, 1, "d/e/f"));
    same_inode(t, 1, "d/e/f");
    ok(walk(t, ROOT, 2, "d/../d/e/.."));
    same_inode(t, 2, "d");
    ok(walk(t, 2, 5, "e"));
    same_inode(t, 5, "d/e");
    /* ".." of the root is the root. */
    ok(walk(t, ROOT, 3, "../../.."));
    same_inode(t, 3, ".");
    /* The guest sees at once that the host makes or removes a file. */
    host_write(t, "d/new", "");
    ok(walk(t, 2, 6, "new"));
    host_unlink(t, "d/new");
    fails(walk(t, 2, 7, "new"), ENOENT);
    /* A new file of that name is a different file. */
    host_write(t, "d/new", "other");
    g_assert_cmpuint(attr_of(t, "d/new").size, ==, 5);
}

/* QEMU never follows a link, wherever it points. */
static void test_symlink_escape(Test *t)
{
    const char *const names[] = { "in", "x" };
    P9CQid qids[2];
    unsigned walked;

    host_symlink(t, "/etc", "out");
    host_symlink(t, "../../../../etc/passwd", "passwd");
    host_mkdir(t, "d");
    host_write(t, "d/x", "");
    host_symlink(t, "d", "in");
    ok(p9c_walk(t->c, ROOT, 1, names, 2, &walked, qids));
    g_assert_cmpuint(walked, ==, 1);
    g_assert_cmphex(qids[0].type, ==, P9C_QTSYMLINK);
    fails(walk(t, ROOT, 1, "out/passwd"), ENOENT);
    ok(walk(t, ROOT, 1, "in"));
    fails(walk(t, 1, 2, "x"), ENOTDIR);
    fails(walk(t, 1, 2, ".."), ENOTDIR);
    ok(clunk(t, 1));
    ok(walk(t, ROOT, 1, "passwd"));
    fails(open_fid(t, 1, P9C_O_RDONLY), ELOOP);
    readlink_is(t, 1, "../../../../etc/passwd");
    ok(walk(t, ROOT, 2, ""));
    fails(create(t, 2, "passwd", P9C_O_RDWR, 0644), ELOOP);
    fails(create(t, 2, "passwd", P9C_O_RDWR | P9C_O_EXCL, 0644), EEXIST);
    ok(walk(t, ROOT, 3, "out"));
    fails(make_dir(t, 3, "x", 0755), ENOTDIR);
}

/* The same for a link of the guest, which may be a regular file on the host */
static void test_symlink_guest(Test *t)
{
    ok(make_dir(t, ROOT, "d", 0755));
    ok(make_symlink(t, ROOT, "in", "d"));
    ok(make_symlink(t, ROOT, "loop", "loop"));
    ok(walk(t, ROOT, 1, "in"));
    fails(walk(t, 1, 2, "x"), ENOTDIR);
    fails(open_fid(t, 1, P9C_O_RDONLY), ELOOP);
    fails(open_fid(t, 1, P9C_O_WRONLY | P9C_O_TRUNC), ELOOP);
    readlink_is(t, 1, "d");
    ok(walk(t, ROOT, 2, ""));
    fails(create(t, 2, "loop", P9C_O_RDWR | P9C_O_TRUNC, 0644), ELOOP);
    ok(walk(t, ROOT, 3, "loop"));
    readlink_is(t, 3, "loop");
}

/*
 * Making
 */

static void test_mkdir(Test *t)
{
    P9CQid qid;

    ok(p9c_mkdir(t->c, ROOT, "d", 01775, t->gid, &qid));
    g_assert_cmphex(qid.type, ==, P9C_QTDIR);
    g_assert_cmpuint(qid.path, ==, attr_of(t, "d").qid.path);
    g_assert_cmphex(attr_of(t, "d").mode, ==, S_IFDIR | 01775);
    g_assert_cmpuint(attr_of(t, "d").nlink, ==, 2);
    g_assert_true(S_ISDIR(host_stat(t, "d").st_mode));
    host_mode_is(t, "d", S_IFDIR | 01775);
    fails(make_dir(t, ROOT, "d", 0755), EEXIST);
    make_file(t, ROOT, "f", "");
    fails(make_dir(t, ROOT, "f", 0755), EEXIST);
    ok(walk(t, ROOT, 1, "f"));
    fails(make_dir(t, 1, "x", 0755), ENOTDIR);
    ok(walk(t, ROOT, 2, "d"));
    ok(make_dir(t, 2, "e", 0700));
    ok(walk(t, ROOT, 3, "d/e"));
    same_inode(t, 3, "d/e");
    /* The guest's root can use a directory without permissions. */
    ok(make_dir(t, ROOT, "locked", 0));
    ok(walk(t, ROOT, 4, "locked"));
    g_assert_cmphex(attr_of(t, "locked").mode, ==, S_IFDIR);
    ok(make_dir(t, 4, "below", 0));
    g_assert_true(guest_has(t, "locked/below"));
    ok(unlink_at(t, 4, "below", P9C_AT_REMOVEDIR));
}

/*
 * A file made in a set-group-ID directory has the group and the mode that the
 * client sends: the client knows about the bit.
 */
static void test_set_gid(Test *t)
{
    ok(make_dir(t, ROOT, "d", 02775));
    ok(walk(t, ROOT, 1, "d"));
    host_mode_is(t, "d", S_IFDIR | 02775);
    make_file(t, 1, "f", "");
    ok(make_dir(t, 1, "with", 02750));
    ok(make_symlink(t, 1, "l", "f"));
    ok(make_node(t, 1, "p", S_IFIFO | 0600, 0, 0));
    host_mode_is(t, "d/f", S_IFREG | 0644);
    host_mode_is(t, "d/with", S_IFDIR | 02750);
    host_mode_is(t, "d/p", S_IFIFO | 0600);
    g_assert_cmphex(attr_of(t, "d/with").mode, ==, S_IFDIR | 02750);
    g_assert_cmphex(attr_of(t, "d/l").mode, ==, S_IFLNK | 0777);
    /* Without the bit in its mode, a new directory may have it or not. */
    ok(make_dir(t, 1, "without", 0750));
    g_assert_cmphex(attr_of(t, "d/without").mode & ~S_ISGID, ==,
                    S_IFDIR | 0750);
    if (has(t, HAS_OWNERS)) {
        ok(walk(t, ROOT, 2, "d"));
        ok(setattr(t, 2, (P9CSetAttr) {
            .valid = P9C_SETATTR_GID, .gid = 2000,
        }));
        g_assert_cmphex(attr_of(t, "d").mode, ==, S_IFDIR | 02775);
        ok(p9c_mkdir(t->c, 1, "told", 02700, 2000, NULL));
        g_assert_cmpuint(attr_of(t, "d/told").gid, ==, 2000);
        ok(p9c_mkdir(t->c, 1, "other", 0700, 3000, NULL));
        g_assert_cmpuint(attr_of(t, "d/other").gid, ==, 3000);
        g_assert_cmpuint(host_view(t, "d/other").gid, ==, 3000);
    }
}

/* An invalid group, in each message that makes a file */
static void test_no_group(Test *t)
{
    fails(p9c_mkdir(t->c, ROOT, "x", 0700, P9C_NOUID, NULL), EINVAL);
    fails(p9c_symlink(t->c, ROOT, "x", "y", P9C_NOUID, NULL), EINVAL);
    fails(p9c_mknod(t->c, ROOT, "x", S_IFIFO | 0600, 0, 0, P9C_NOUID, NULL),
          EINVAL);
    fails(p9c_mknod(t->c, ROOT, "x", S_IFREG | 0600, 0, 0, P9C_NOUID, NULL),
          EINVAL);
    g_assert_false(host_has(t, "x"));
}

static void test_symlink(Test *t)
{
    g_autofree char *longest = g_strnfill(4095, 'l');
    g_autofree char *longer = g_strnfill(4096, 'l');
    P9CAttr a;
    P9CQid qid;

    ok(p9c_symlink(t->c, ROOT, "link", "../some where/else", t->gid, &qid));
    g_assert_cmphex(qid.type, ==, P9C_QTSYMLINK);
    a = attr_of(t, "link");
    g_assert_cmphex(a.mode, ==, S_IFLNK | 0777);
    g_assert_cmphex(a.qid.type, ==, P9C_QTSYMLINK);
    g_assert_cmpuint(a.qid.path, ==, qid.path);
    g_assert_cmpuint(a.size, ==, strlen("../some where/else"));
    ok(walk(t, ROOT, 1, "link"));
    readlink_is(t, 1, "../some where/else");
    fails(p9c_readlink(t->c, ROOT, NULL), EINVAL);
    if (has(t, HAS_SAME)) {
        g_autofree char *path = host_path(t, "link");
        char target[64];
        ssize_t n = readlink(path, target, sizeof(target));

        g_assert_cmpmem(target, n, "../some where/else", 18);
    } else {
        g_assert_true(S_ISREG(host_stat(t, "link").st_mode));
        host_mode_is(t, "link", S_IFLNK | 0777);
        host_is(t, "link", "../some where/else");
    }
    fails(make_symlink(t, ROOT, "link", "x"), EEXIST);
    fails(make_symlink(t, ROOT, "empty", ""), ENOENT);
    fails(make_symlink(t, ROOT, "longer", longer), ENAMETOOLONG);
    ok(make_symlink(t, ROOT, "longest", longest));
    ok(walk(t, ROOT, 2, "longest"));
    readlink_is(t, 2, longest);
    g_assert_false(host_has(t, "empty"));
    g_assert_false(host_has(t, "longer"));
    make_file(t, ROOT, "f", "");
    ok(walk(t, ROOT, 3, "f"));
    fails(p9c_readlink(t->c, 3, NULL), EINVAL);
}

static void node_is(Test *t, const char *name, uint32_t mode, uint64_t rdev)
{
    struct stat st = host_stat(t, name);
    P9CAttr a = attr_of(t, name);
    HostView view = host_view(t, name);

    g_assert_cmphex(a.mode, ==, mode);
    g_assert_cmphex(a.rdev, ==, rdev);
    g_assert_cmpuint(a.size, ==, 0);
    g_assert_cmphex(a.qid.type, ==, P9C_QTFILE);
    g_assert_cmphex(view.mode, ==, mode);
    g_assert_cmphex(view.rdev, ==, rdev);
    if (has(t, HAS_VIEW)) {
        g_assert_true(S_ISREG(st.st_mode));
        g_assert_cmphex(st.st_mode & 077, ==, 0);
    }
}

static void test_mknod(Test *t)
{
    P9CQid qid;

    ok(p9c_mknod(t->c, ROOT, "fifo", S_IFIFO | 0622, 0, 0, t->gid, &qid));
    g_assert_cmpuint(qid.path, ==, attr_of(t, "fifo").qid.path);
    node_is(t, "fifo", S_IFIFO | 0622, 0);
    ok(make_node(t, ROOT, "socket", S_IFSOCK | 0777, 0, 0));
    node_is(t, "socket", S_IFSOCK | 0777, 0);
    ok(make_node(t, ROOT, "plain", S_IFREG | 0600, 0, 0));
    node_is(t, "plain", S_IFREG | 0600, 0);
    ok(make_node(t, ROOT, "no-type", 0640, 0, 0));
    node_is(t, "no-type", S_IFREG | 0640, 0);
    fails(make_node(t, ROOT, "fifo", S_IFIFO | 0600, 0, 0), EEXIST);
    fails(make_node(t, ROOT, "plain", S_IFREG | 0600, 0, 0), EEXIST);
    fails(make_node(t, ROOT, "d", S_IFDIR | 0600, 0, 0), EPERM);
    fails(make_node(t, ROOT, "l", S_IFLNK | 0600, 0, 0), EINVAL);
    g_assert_false(host_has(t, "d"));
    g_assert_false(host_has(t, "l"));

    /* Opening a fifo or a socket fails at once: the guest implements them. */
    ok(walk(t, ROOT, 1, "fifo"));
    fails(open_fid(t, 1, P9C_O_RDONLY), ENXIO);
    ok(walk(t, ROOT, 2, "socket"));
    fails(open_fid(t, 2, P9C_O_RDWR), ENXIO);
    ok(walk(t, ROOT, 3, ""));
    fails(create(t, 3, "fifo", P9C_O_RDWR, 0600), ENXIO);
    /* They cannot be truncated either. */
    fails(setattr(t, 1, (P9CSetAttr) { .valid = P9C_SETATTR_SIZE }), EINVAL);
    ok(set_mode(t, 1, 0600));
    node_is(t, "fifo", S_IFIFO | 0600, 0);
    ok(unlink_at(t, ROOT, "fifo", 0));
    g_assert_false(host_has(t, "fifo"));
}

static void test_mknod_device(Test *t)
{
    static const struct {
        const char *name;
        uint32_t mode;
        uint32_t major, minor;
    } devices[] = {
        { "null", S_IFCHR | 0666, 1, 3 },
        { "disk", S_IFBLK | 0660, 8, 300 },
        { "high", S_IFCHR | 0600, 4095, 0xfffff },
    };
    int i;

    if (has(t, HAS_SAME)) {
        g_autofree char *path = host_path(t, "probe");

        if (mknod(path, S_IFCHR | 0600, makedev(1, 3)) < 0) {
            g_test_skip("the host does not allow device nodes here");
            return;
        }
        host_unlink(t, "probe");
    }
    for (i = 0; i < ARRAY_SIZE(devices); i++) {
        const char *name = devices[i].name;
        uint64_t rdev = makedev(devices[i].major, devices[i].minor);

        ok(make_node(t, ROOT, name, devices[i].mode, devices[i].major,
                     devices[i].minor));
        node_is(t, name, devices[i].mode, rdev);
        ok(walk(t, ROOT, 100 + i, name));
        /* Never the host's device */
        fails(open_fid(t, 100 + i, P9C_O_RDWR), ENXIO);
        ok(set_mode(t, 100 + i, 0640));
        node_is(t, name, (devices[i].mode & S_IFMT) | 0640, rdev);
        ok(rename_at(t, ROOT, name, ROOT, "renamed"));
        node_is(t, "renamed", (devices[i].mode & S_IFMT) | 0640, rdev);
        ok(unlink_at(t, ROOT, "renamed", 0));
    }
}

/*
 * Valid names
 */

static void name_works(Test *t, const char *name)
{
    g_autofree char *below = g_build_filename("d", name, NULL);
    P9CAttr a;

    ok(walk(t, ROOT, 1, ""));
    ok(create(t, 1, name, P9C_O_RDWR | P9C_O_EXCL, 0640));
    write_all(t, 1, 0, "data");
    ok(clunk(t, 1));
    host_is(t, name, "data");
    host_mode_is(t, name, S_IFREG | 0640);
    ok(walk(t, ROOT, 1, ""));
    ok(open_fid(t, 1, P9C_O_DIRECTORY));
    {
        g_autoptr(GPtrArray) all = p9c_readdir_all(t->c, 1, 1000);

        g_assert_nonnull(p9c_dirent_find(all, name));
    }
    ok(clunk(t, 1));
    ok(make_dir(t, ROOT, "d", 0755));
    ok(walk(t, ROOT, 1, "d"));
    ok(rename_at(t, ROOT, name, 1, name));
    host_mode_is(t, below, S_IFREG | 0640);
    a = attr_of(t, below);
    g_assert_cmphex(a.mode, ==, S_IFREG | 0640);
    ok(unlink_at(t, 1, name, 0));
    ok(make_symlink(t, 1, name, name));
    ok(walk(t, 1, 2, name));
    readlink_is(t, 2, name);
    ok(p9c_remove(t->c, 2));
    ok(make_dir(t, 1, name, 0700));
    ok(unlink_at(t, 1, name, P9C_AT_REMOVEDIR));
    ok(clunk(t, 1));
    ok(unlink_at(t, ROOT, "d", P9C_AT_REMOVEDIR));
}

static void test_names(Test *t)
{
    static const char *const odd[] = {
        "...", ".hidden", ".virtfs_metadata_rootx", ".virtfs_metadat",
        "\xff\xfe\x80",
    };
    g_autofree char *longest = g_strnfill(255, 'x');
    char all[256] = "";
    int i, n;

    for (i = 0; i < ARRAY_SIZE(odd); i++) {
        name_works(t, odd[i]);
    }
    /* All bytes that a name can contain, within its 255 bytes */
    for (i = 1, n = 0; i < 256; i++) {
        if (i != '/') {
            all[n++] = i;
        }
    }
    all[n] = '\0';
    name_works(t, all);
    name_works(t, longest);
}

/*
 * Directories
 */

static void test_readdir_many(Test *t)
{
    g_autoptr(GHashTable) seen = g_hash_table_new_full(g_str_hash, g_str_equal,
                                                       g_free, NULL);
    g_autoptr(GPtrArray) all = NULL, middle = NULL, again = NULL;
    P9CDirent *third, *fourth;
    int i;

    host_mkdir(t, "d");
    for (i = 0; i < MANY; i++) {
        g_autofree char *name = g_strdup_printf("d/a-file-with-number-%d", i);

        host_write(t, name, "");
    }
    ok(walk(t, ROOT, 1, "d"));
    ok(open_fid(t, 1, P9C_O_RDONLY | P9C_O_DIRECTORY));
    all = p9c_readdir_all(t->c, 1, 3000);
    g_assert_cmpint(all->len, ==, MANY + 2);
    for (i = 0; i < all->len; i++) {
        P9CDirent *e = g_ptr_array_index(all, i);

        /* Each entry appears once. */
        g_assert_true(g_hash_table_add(seen, g_strdup(e->name)));
    }
    g_assert_nonnull(p9c_dirent_find(all, "."));
    g_assert_nonnull(p9c_dirent_find(all, ".."));
    g_assert_nonnull(p9c_dirent_find(all, "a-file-with-number-999"));

    /* From the middle, and again from the start, where a new entry shows */
    third = g_ptr_array_index(all, 2);
    ok(p9c_readdir(t->c, 1, third->offset, 3000, &middle, NULL));
    g_assert_cmpint(middle->len, >, 0);
    fourth = g_ptr_array_index(middle, 0);
    third = g_ptr_array_index(all, 3);
    g_assert_cmpstr(third->name, ==, fourth->name);
    host_write(t, "d/another", "");
    again = p9c_readdir_all(t->c, 1, IO_MAX);
    g_assert_cmpint(again->len, ==, MANY + 3);
}

/* Each entry has its type. */
static void test_readdir_types(Test *t)
{
    static const struct {
        const char *name;
        int type;
        uint8_t qid;
    } made[] = {
        { "file", DT_REG, P9C_QTFILE },
        { "dir", DT_DIR, P9C_QTDIR },
        { "link", DT_LNK, P9C_QTSYMLINK },
        { "fifo", DT_FIFO, P9C_QTFILE },
        { "socket", DT_SOCK, P9C_QTFILE },
        { "host", DT_REG, P9C_QTFILE },
        { "host-dir", DT_DIR, P9C_QTDIR },
        { "host-link", DT_LNK, P9C_QTSYMLINK },
        { "again", DT_FIFO, P9C_QTFILE },
        { ".", DT_DIR, P9C_QTDIR },
        { "..", DT_DIR, P9C_QTDIR },
        { "chr", DT_CHR, P9C_QTFILE },
        { "blk", DT_BLK, P9C_QTFILE },
    };
    unsigned n = ARRAY_SIZE(made) - (has(t, HAS_DEVICES) ? 0 : 2);
    g_autoptr(GPtrArray) all = NULL;
    unsigned i;

    make_file(t, ROOT, "file", "");
    ok(make_dir(t, ROOT, "dir", 0755));
    ok(make_symlink(t, ROOT, "link", "x"));
    ok(make_node(t, ROOT, "fifo", S_IFIFO | 0600, 0, 0));
    ok(make_node(t, ROOT, "socket", S_IFSOCK | 0600, 0, 0));
    host_write(t, "host", "");
    host_mkdir(t, "host-dir");
    host_symlink(t, "x", "host-link");
    ok(walk(t, ROOT, 2, "fifo"));
    ok(p9c_link(t->c, ROOT, 2, "again"));
    if (has(t, HAS_DEVICES)) {
        /* A character device of number 0 is an overlay's whiteout. */
        ok(make_node(t, ROOT, "chr", S_IFCHR | 0600, 0, 0));
        ok(make_node(t, ROOT, "blk", S_IFBLK | 0600, 7, 200));
    }
    ok(walk(t, ROOT, 1, ""));
    ok(open_fid(t, 1, P9C_O_DIRECTORY));
    all = p9c_readdir_all(t->c, 1, 1000);
    g_assert_cmpuint(all->len, ==, n);
    for (i = 0; i < n; i++) {
        const char *name = made[i].name;
        P9CDirent *e = p9c_dirent_find(all, name);

        g_assert_nonnull(e);
        g_test_message("%s has type %u, wanted %d", name, e->type,
                       made[i].type);
        g_assert_cmpint(e->type, ==, made[i].type);
        g_assert_cmphex(e->qid.type, ==, made[i].qid);
        /* Above the root there is only the root. */
        g_assert_cmpuint(e->qid.path, ==,
                         attr_of(t, *name == '.' ? "" : name).qid.path);
    }
}

static void links_are(Test *t, const char *name, uint64_t links)
{
    P9CAttr attr = attr_of(t, name);

    g_test_message("'%s' has %" PRIu64 " links, wanted %" PRIu64, name,
                   attr.nlink, links);
    g_assert_cmpuint(attr.nlink, ==, links);
}

/* A directory's links are its names, its "." and its sub-directories' "..". */
static void test_dir_links(Test *t)
{
    struct stat one, two, root;
    bool counts;

    host_mkdir(t, "one");
    host_mkdir(t, "one/sub");
    host_mkdir(t, "two");
    one = host_stat(t, "one");
    two = host_stat(t, "two");
    counts = one.st_nlink == two.st_nlink + 1;
    g_test_message("the host %s sub-directories", counts ? "counts"
                                                         : "does not count");
    ok(make_dir(t, ROOT, "d", 0755));
    links_are(t, "d", two.st_nlink);
    ok(walk(t, ROOT, 1, "d"));
    make_file(t, 1, "file", "");
    links_are(t, "d", two.st_nlink);
    ok(make_dir(t, 1, "e", 0755));
    links_are(t, "d", one.st_nlink);
    ok(make_dir(t, 1, "f", 0755));
    links_are(t, "d", one.st_nlink + counts);
    ok(unlink_at(t, 1, "f", P9C_AT_REMOVEDIR));
    links_are(t, "d", one.st_nlink);
    links_are(t, "one", one.st_nlink);
    ok(walk(t, ROOT, 2, ""));
    ok(set_mode(t, 2, 0755));
    root = host_stat(t, ".");
    links_are(t, "", counts ? 2 + 3 : root.st_nlink);
}

const Case behaviour_names[] = {
    { "walk-host", test_walk_host, HAS_HOST },
    { "symlink-escape", test_symlink_escape, HAS_HOST },
    { "symlink-guest", test_symlink_guest, HAS_HOST },
    { "mkdir", test_mkdir, HAS_HOST },
    { "set-gid", test_set_gid, HAS_HOST },
    { "no-group", test_no_group, HAS_HOST },
    { "symlink", test_symlink, HAS_HOST },
    { "mknod", test_mknod, HAS_HOST },
    { "mknod-device", test_mknod_device, HAS_HOST | HAS_DEVICES },
    { "names", test_names, HAS_HOST },
    { "readdir-many", test_readdir_many, HAS_HOST, CASE_ANYBODY },
    { "readdir-types", test_readdir_types, HAS_HOST },
    { "dir-links", test_dir_links, HAS_HOST },
    { NULL }
};
