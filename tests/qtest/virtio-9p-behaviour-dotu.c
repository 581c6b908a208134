/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Behaviour of 9P2000.u: its own messages on files. virtio-9p-dotu-test.c has
 * the tests that need no files.
 */
#include "qemu/osdep.h"
#include <sys/sysmacros.h>
#include "virtio-9p-behaviour-dotu.h"

int open_u(Test *t, uint32_t fid, uint8_t mode)
{
    return p9c_open(t->c, fid, mode, NULL, NULL);
}

int create_u(Test *t, uint32_t fid, const char *name, uint32_t perm,
             uint8_t mode, const char *extension)
{
    return p9c_create(t->c, fid, name, perm, mode, extension, NULL);
}

int make_u(Test *t, uint32_t newfid, const char *name, uint32_t perm,
           const char *extension)
{
    int err;

    ok(walk(t, ROOT, newfid, ""));
    err = create_u(t, newfid, name, perm, P9C_OREAD, extension);
    if (err) {
        ok(clunk(t, newfid));
    }
    return err;
}

int make_only_u(Test *t, const char *name, uint32_t perm,
                const char *extension)
{
    int err = make_u(t, 0x4d4d, name, perm, extension);

    if (!err) {
        ok(clunk(t, 0x4d4d));
    }
    return err;
}

int wstat_u(Test *t, uint32_t fid, P9CStat st)
{
    return p9c_wstat(t->c, fid, &st);
}

static int read_err(Test *t, uint32_t fid)
{
    char byte;

    return p9c_read(t->c, fid, 0, 1, &byte, NULL);
}

static int write_err(Test *t, uint32_t fid)
{
    return p9c_write(t->c, fid, 0, "x", 1, NULL);
}

static void test_create(Test *t)
{
    g_autofree char *longest = g_strnfill(NAME_MAX, 'n');
    g_autofree char *longer = g_strnfill(NAME_MAX + 1, 'n');
    HostView dir = host_view(t, ".");
    HostView view;
    P9CQid qid;

    ok(walk(t, ROOT, 1, ""));
    ok(p9c_create(t->c, 1, "f", 0640, P9C_ORDWR, "", &qid));
    g_assert_cmphex(qid.type, ==, P9C_QTFILE);
    write_all(t, 1, 0, "hello");
    read_is(t, 1, 1, "ello");
    view = host_view(t, "f");
    g_assert_cmphex(view.mode, ==, S_IFREG | 0640);
    g_assert_cmpuint(view.uid, ==, has(t, HAS_VIEW) ? t->uid : t->host_uid);
    /* That of the directory: open(5) of Plan 9 */
    g_assert_cmpuint(view.gid, ==, dir.gid);
    host_is(t, "f", "hello");
    /* The fid means the file now, and is open. */
    p9c_stat_is(t->c, 1, P9C_QTFILE, 0640, 5, "f", "");
    fails(open_u(t, 1, P9C_OREAD), EBADF);
    ok(walk(t, ROOT, 2, "f"));
    p9c_stat_is(t->c, 2, P9C_QTFILE, 0640, 5, "f", "");

    /* The file has exactly the requested permissions. */
    ok(make_only_u(t, "all", 0666, ""));
    host_mode_is(t, "all", S_IFREG | 0666);
    ok(make_only_u(t, "set", 0755 | P9C_DMSETUID | P9C_DMSETGID |
                   P9C_DMSETVTX, ""));
    host_mode_is(t, "set", S_IFREG | 07755);
    ok(walk(t, ROOT, 3, "set"));
    p9c_stat_is(t->c, 3, P9C_QTFILE,
                0755 | P9C_DMSETUID | P9C_DMSETGID | P9C_DMSETVTX, 0, "set",
                "");

    /* Names that exist, and invalid ones */
    fails(make_only_u(t, "f", 0644, ""), EEXIST);
    fails(make_only_u(t, "f", 0755 | P9C_DMDIR, ""), EEXIST);
    host_is(t, "f", "hello");
    fails(make_only_u(t, ".", 0644, ""), EEXIST);
    fails(make_only_u(t, "..", 0755 | P9C_DMDIR, ""), EEXIST);
    fails(make_only_u(t, "", 0644, ""), ENOENT);
    fails(make_only_u(t, "a/b", 0644, ""), ENOENT);
    fails(make_only_u(t, "/", 0644, ""), ENOENT);
    fails(make_only_u(t, longer, 0644, ""), ENAMETOOLONG);
    ok(make_only_u(t, longest, 0644, ""));

    /* Unknown bits, and bits that exclude each other */
    fails(make_only_u(t, "x", 0644 | P9C_DMAPPEND, ""), EINVAL);
    fails(make_only_u(t, "x", 0644 | P9C_DMEXCL, ""), EINVAL);
    fails(make_only_u(t, "x", 0644 | P9C_DMTMP, ""), EINVAL);
    fails(make_only_u(t, "x", 0644 | 01000, ""), EINVAL);
    fails(make_only_u(t, "x", P9C_DMDIR | P9C_DMSYMLINK, "t"), EINVAL);
    fails(make_only_u(t, "x", P9C_DMDIR | P9C_DMLINK, "2"), EINVAL);
    fails(make_only_u(t, "x", P9C_DMNAMEDPIPE | P9C_DMSOCKET, ""), EINVAL);
    ok(walk(t, ROOT, 4, ""));
    fails(create_u(t, 4, "x", 0644, 0x04, ""), EINVAL);
    fails(create_u(t, 4, "x", 0644, 0x08, ""), EINVAL);
    g_assert_false(host_has(t, "x"));

    /* An open directory can only be read. */
    ok(open_u(t, 4, P9C_OREAD));
    fails(create_u(t, 4, "x", 0644, P9C_OREAD, ""), EBADF);
    g_assert_false(host_has(t, "x"));
}

static void test_create_dir(Test *t)
{
    g_autoptr(GPtrArray) none = NULL;
    P9CQid qid;

    ok(walk(t, ROOT, 1, ""));
    fails(create_u(t, 1, "d", P9C_DMDIR | 0751, P9C_OWRITE, ""), EISDIR);
    fails(create_u(t, 1, "d", P9C_DMDIR | 0751, P9C_ORDWR, ""), EISDIR);
    fails(create_u(t, 1, "d", P9C_DMDIR | 0751, P9C_OTRUNC, ""), EISDIR);
    fails(create_u(t, 1, "d", P9C_DMDIR | 0751, P9C_ORCLOSE, ""), EISDIR);
    g_assert_false(host_has(t, "d"));
    ok(p9c_create(t->c, 1, "d", P9C_DMDIR | 0751 | P9C_DMSETVTX, P9C_OREAD,
                  "", &qid));
    g_assert_cmphex(qid.type, ==, P9C_QTDIR);
    host_mode_is(t, "d", S_IFDIR | 01751);
    p9c_stat_is(t->c, 1, P9C_QTDIR, P9C_DMDIR | P9C_DMSETVTX | 0751, 0, "d",
                NULL);
    none = p9c_read_dir_all(t->c, 1, 1000);
    g_assert_cmpuint(none->len, ==, 0);
    /* Another one in it */
    ok(walk(t, 1, 2, ""));
    ok(create_u(t, 2, "e", P9C_DMDIR | 0700, P9C_OREAD, ""));
    host_mode_is(t, "d/e", S_IFDIR | 0700);
}

/* The target of a link on the host, where the link may be a regular file */
static void link_is(Test *t, const char *name, const char *target)
{
    if (has(t, HAS_SAME)) {
        g_autofree char *path = host_path(t, name);
        char buf[PATH_MAX];
        ssize_t n = readlink(path, buf, sizeof(buf));

        g_assert_cmpint(n, >=, 0);
        g_assert_cmpmem(buf, n, target, strlen(target));
    } else {
        host_is(t, name, target);
    }
}

static void test_symlink(Test *t)
{
    g_autofree char *longest = g_strnfill(PATH_MAX - 1, 't');
    g_autofree char *longer = g_strnfill(PATH_MAX, 't');
    P9CQid qid;

    ok(walk(t, ROOT, 1, ""));
    ok(p9c_create(t->c, 1, "s", P9C_DMSYMLINK, P9C_OREAD, "../to/there",
                  &qid));
    g_assert_cmphex(qid.type, ==, P9C_QTSYMLINK);
    link_is(t, "s", "../to/there");
    p9c_stat_is(t->c, 1, P9C_QTSYMLINK, P9C_DMSYMLINK | 0777, 11, "s",
                "../to/there");
    /* The fid is not open, and cannot be opened. */
    fails(read_err(t, 1), EBADF);
    fails(open_u(t, 1, P9C_OREAD), ELOOP);
    ok(make_only_u(t, "long", P9C_DMSYMLINK, longest));
    ok(walk(t, ROOT, 2, "long"));
    p9c_stat_is(t->c, 2, P9C_QTSYMLINK, P9C_DMSYMLINK | 0777, PATH_MAX - 1,
                "long", longest);

    fails(make_only_u(t, "x", P9C_DMSYMLINK, ""), ENOENT);
    fails(make_only_u(t, "x", P9C_DMSYMLINK, longer), ENAMETOOLONG);
    fails(make_only_u(t, "s", P9C_DMSYMLINK, "t"), EEXIST);
    fails(make_only_u(t, "a/b", P9C_DMSYMLINK, "t"), ENOENT);
    g_assert_false(host_has(t, "x"));

    /* The target cannot be changed. */
    fails(wstat_u(t, 1, stat_with(st->extension = (char *)"new")), EPERM);
    ok(wstat_u(t, 1, stat_with(st->extension = (char *)"../to/there")));
    link_is(t, "s", "../to/there");
}

static void test_link(Test *t)
{
    static const char *const bad[] = {
        "", "x", "-5", "+5", " 5", "5x", "5 ", "5\n\n", "0x5",
        "99999999999999999999",
    };
    unsigned i;

    host_write(t, "f", "data");
    host_mkdir(t, "d");
    ok(walk(t, ROOT, 5, "f"));
    ok(make_u(t, 1, "g", P9C_DMLINK, "5"));
    g_assert_cmpuint(host_stat(t, "g").st_ino, ==, host_stat(t, "f").st_ino);
    p9c_stat_is(t->c, 1, P9C_QTFILE, 0644, 4, "g", "HARDLINKCOUNT 2");
    p9c_stat_is(t->c, 5, P9C_QTFILE, 0644, 4, "f", "HARDLINKCOUNT 2");
    /* Linux' client ends the number with a newline. */
    ok(make_only_u(t, "h", P9C_DMLINK, "5\n"));
    g_assert_cmpuint(host_stat(t, "f").st_nlink, ==, 3);
    /* The new fid is not open, but can be opened. */
    fails(read_err(t, 1), EBADF);
    ok(open_u(t, 1, P9C_OREAD));
    read_is(t, 1, 0, "data");

    for (i = 0; i < ARRAY_SIZE(bad); i++) {
        fails(make_only_u(t, "x", P9C_DMLINK, bad[i]), EINVAL);
    }
    fails(make_only_u(t, "x", P9C_DMLINK, "99"), ENOENT);
    fails(make_only_u(t, "g", P9C_DMLINK, "5"), EEXIST);
    fails(make_only_u(t, "a/b", P9C_DMLINK, "5"), ENOENT);
    ok(walk(t, ROOT, 6, "d"));
    fails(make_only_u(t, "x", P9C_DMLINK, "6"), EPERM);
    g_assert_false(host_has(t, "x"));

    /* Tremove removes only the name of this fid. */
    ok(p9c_remove(t->c, 1));
    g_assert_false(host_has(t, "g"));
    g_assert_true(host_has(t, "f"));
}

static void test_special(Test *t)
{
    static const char *const bad[] = {
        "", "c", "c ", "c 1", "c 1 ", "c 1 x", "c x 3", "x 1 3", "c -1 3",
        "c 1 3 4", "c  1 3", "C 1 3", "b1 3", "c 1 99999999999",
    };
    unsigned i;
    int err;

    ok(make_u(t, 1, "p", P9C_DMNAMEDPIPE | 0640, ""));
    host_mode_is(t, "p", S_IFIFO | 0640);
    p9c_stat_is(t->c, 1, P9C_QTFILE, P9C_DMNAMEDPIPE | 0640, 0, "p", "");
    ok(make_u(t, 2, "s", P9C_DMSOCKET | 0755, ""));
    host_mode_is(t, "s", S_IFSOCK | 0755);
    p9c_stat_is(t->c, 2, P9C_QTFILE, P9C_DMSOCKET | 0755, 0, "s", "");
    /* QEMU does not open them: the guest implements them. */
    fails(open_u(t, 1, P9C_OREAD), ENXIO);
    fails(open_u(t, 2, P9C_OREAD), ENXIO);

    for (i = 0; i < ARRAY_SIZE(bad); i++) {
        fails(make_only_u(t, "x", P9C_DMDEVICE | 0600, bad[i]), EINVAL);
    }
    g_assert_false(host_has(t, "x"));

    /* EPERM if QEMU may not make devices */
    err = make_u(t, 3, "c", P9C_DMDEVICE | 0600, "c 1 3");
    if (err) {
        fails(err, EPERM);
        g_assert_false(host_has(t, "c"));
        return;
    }
    host_mode_is(t, "c", S_IFCHR | 0600);
    g_assert_cmpuint(host_view(t, "c").rdev, ==, makedev(1, 3));
    p9c_stat_is(t->c, 3, P9C_QTFILE, P9C_DMDEVICE | 0600, 0, "c", "c 1 3");
    ok(make_u(t, 4, "b", P9C_DMDEVICE | 0600, "b 259 65536\n"));
    host_mode_is(t, "b", S_IFBLK | 0600);
    p9c_stat_is(t->c, 4, P9C_QTFILE, P9C_DMDEVICE | 0600, 0, "b",
                "b 259 65536");
    fails(open_u(t, 3, P9C_OREAD), ENXIO);
}

static void test_open(Test *t)
{
    P9CQid qid;
    uint32_t iounit;

    host_write(t, "f", "0123456789");
    host_mkdir(t, "d");

    ok(walk(t, ROOT, 1, "f"));
    fails(read_err(t, 1), EBADF);
    ok(p9c_open(t->c, 1, P9C_OREAD, &qid, &iounit));
    g_assert_cmphex(qid.type, ==, P9C_QTFILE);
    g_assert_cmpuint(iounit, <=, P9C_MSIZE - 24);
    read_is(t, 1, 0, "0123456789");
    fails(write_err(t, 1), EBADF);
    fails(open_u(t, 1, P9C_OREAD), EBADF);
    ok(clunk(t, 1));

    ok(walk(t, ROOT, 1, "f"));
    ok(open_u(t, 1, P9C_OWRITE));
    fails(read_err(t, 1), EBADF);
    write_all(t, 1, 0, "a");
    ok(clunk(t, 1));

    ok(walk(t, ROOT, 1, "f"));
    ok(open_u(t, 1, P9C_OEXEC | P9C_OCEXEC));
    read_is(t, 1, 0, "a123456789");
    fails(write_err(t, 1), EBADF);
    ok(clunk(t, 1));

    ok(walk(t, ROOT, 1, "f"));
    ok(open_u(t, 1, P9C_ORDWR | P9C_OAPPEND));
    write_all(t, 1, 0, "z");
    read_is(t, 1, 0, "a123456789z");
    ok(clunk(t, 1));

    ok(walk(t, ROOT, 1, "f"));
    fails(open_u(t, 1, 0x04), EINVAL);
    fails(open_u(t, 1, 0x08), EINVAL);
    host_is(t, "f", "a123456789z");
    ok(open_u(t, 1, P9C_ORDWR | P9C_OTRUNC));
    host_is(t, "f", "");
    ok(clunk(t, 1));

    ok(walk(t, ROOT, 1, "d"));
    fails(open_u(t, 1, P9C_OWRITE), EISDIR);
    fails(open_u(t, 1, P9C_ORDWR), EISDIR);
    fails(open_u(t, 1, P9C_OREAD | P9C_OTRUNC), EISDIR);
    fails(open_u(t, 1, P9C_OREAD | P9C_ORCLOSE), EISDIR);
    ok(p9c_open(t->c, 1, P9C_OEXEC, &qid, NULL));
    g_assert_cmphex(qid.type, ==, P9C_QTDIR);
}

/* ORCLOSE: the clunk removes the file, even under a new name. */
static void test_remove_on_clunk(Test *t)
{
    host_write(t, "f", "data");
    ok(walk(t, ROOT, 1, "f"));
    ok(open_u(t, 1, P9C_OREAD | P9C_ORCLOSE));
    read_is(t, 1, 0, "data");
    ok(wstat_u(t, 1, stat_with(st->name = (char *)"g")));
    g_assert_true(host_has(t, "g"));
    ok(clunk(t, 1));
    g_assert_false(host_has(t, "g"));

    ok(walk(t, ROOT, 1, ""));
    ok(create_u(t, 1, "tmp", 0600, P9C_ORDWR | P9C_ORCLOSE, ""));
    write_all(t, 1, 0, "data");
    g_assert_true(host_has(t, "tmp"));
    /* The clunk of another fid does not remove it. */
    ok(walk(t, ROOT, 2, "tmp"));
    ok(clunk(t, 2));
    g_assert_true(host_has(t, "tmp"));
    ok(clunk(t, 1));
    g_assert_false(host_has(t, "tmp"));

    /* If it is already removed, a new file of that name stays. */
    host_write(t, "f", "old");
    ok(walk(t, ROOT, 1, "f"));
    ok(walk(t, ROOT, 2, "f"));
    ok(open_u(t, 1, P9C_OREAD | P9C_ORCLOSE));
    ok(p9c_remove(t->c, 2));
    host_write(t, "f", "new");
    fails(clunk(t, 1), ENOENT);
    host_is(t, "f", "new");
    fails(p9c_stat(t->c, 1, NULL), ENOENT);
}

static void test_remove(Test *t)
{
    host_write(t, "f", "f");
    host_mkdir(t, "d");
    host_write(t, "d/x", "x");

    ok(walk(t, ROOT, 1, "f"));
    ok(open_u(t, 1, P9C_OREAD));
    ok(p9c_remove(t->c, 1));
    g_assert_false(host_has(t, "f"));
    fails(p9c_stat(t->c, 1, NULL), ENOENT);
    /* The fid is gone even if the directory is not. */
    ok(walk(t, ROOT, 1, "d"));
    fails(p9c_remove(t->c, 1), ENOTEMPTY);
    fails(p9c_stat(t->c, 1, NULL), ENOENT);
    ok(walk(t, ROOT, 1, "d/x"));
    ok(p9c_remove(t->c, 1));
    ok(walk(t, ROOT, 1, "d"));
    ok(p9c_remove(t->c, 1));
    g_assert_false(host_has(t, "d"));
    ok(walk(t, ROOT, 1, ""));
    fails(p9c_remove(t->c, 1), EBUSY);
}

static void test_readonly(Test *t)
{
    host_write(t, "f", "data");
    ok(walk(t, ROOT, 1, "f"));
    fails(make_only_u(t, "x", 0644, ""), EROFS);
    fails(make_only_u(t, "x", P9C_DMDIR | 0755, ""), EROFS);
    fails(make_only_u(t, "x", P9C_DMSYMLINK, "f"), EROFS);
    fails(make_only_u(t, "x", P9C_DMLINK, "1"), EROFS);
    fails(open_u(t, 1, P9C_OWRITE), EROFS);
    fails(open_u(t, 1, P9C_ORDWR), EROFS);
    fails(open_u(t, 1, P9C_OREAD | P9C_OTRUNC), EROFS);
    fails(open_u(t, 1, P9C_OREAD | P9C_ORCLOSE), EROFS);
    fails(wstat_u(t, 1, stat_with(st->mode = 0600)), EROFS);
    fails(wstat_u(t, 1, stat_with(st->length = 0)), EROFS);
    fails(wstat_u(t, 1, stat_with(st->name = (char *)"g")), EROFS);
    ok(open_u(t, 1, P9C_OREAD));
    read_is(t, 1, 0, "data");
    fails(write_err(t, 1), EROFS);
    /* An empty Twstat is a sync, which needs no write access. */
    ok(p9c_wstat(t->c, 1, &p9c_stat_blank));
    fails(p9c_remove(t->c, 1), EROFS);
    host_is(t, "f", "data");
    host_mode_is(t, "f", S_IFREG | 0644);
}

const Case behaviour_dotu[] = {
    { "dotu-create", test_create, HAS_HOST, CASE_DOTU },
    { "dotu-create-dir", test_create_dir, HAS_HOST, CASE_DOTU },
    { "dotu-symlink", test_symlink, HAS_HOST, CASE_DOTU },
    { "dotu-link", test_link, HAS_HOST, CASE_DOTU },
    { "dotu-special", test_special, HAS_HOST, CASE_DOTU },
    { "dotu-open", test_open, HAS_HOST, CASE_DOTU },
    { "dotu-remove-on-clunk", test_remove_on_clunk, HAS_HOST, CASE_DOTU },
    { "dotu-remove", test_remove, HAS_HOST, CASE_DOTU },
    { "dotu-readonly", test_readonly, HAS_HOST, CASE_DOTU, ",readonly=on" },
    { NULL }
};
