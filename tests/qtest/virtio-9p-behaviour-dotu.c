/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Behaviour of 9P2000.u: what its own messages do with files. What needs none
 * is virtio-9p-dotu-test.c's.
 */
#include "qemu/osdep.h"
#include <sys/sysmacros.h>
#include "libqos/virtio-9p-dotu.h"
#include "virtio-9p-behaviour.h"

#define MANY 300

/*
 * Messages in the form that most tests need them
 */

static int open_u(Test *t, uint32_t fid, uint8_t mode)
{
    return p9c_open(t->c, fid, mode, NULL, NULL);
}

static int create_u(Test *t, uint32_t fid, const char *name, uint32_t perm,
                    uint8_t mode, const char *extension)
{
    return p9c_create(t->c, fid, name, perm, mode, extension, NULL);
}

/* In the root, which a new fid is cloned for; it is clunked after an error. */
static int make(Test *t, uint32_t newfid, const char *name, uint32_t perm,
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

/* The same, and clunks the fid in any case */
static int make_only(Test *t, const char *name, uint32_t perm,
                     const char *extension)
{
    int err = make(t, 0x4d4d, name, perm, extension);

    if (!err) {
        ok(clunk(t, 0x4d4d));
    }
    return err;
}

static int wstat(Test *t, uint32_t fid, P9CStat st)
{
    return p9c_wstat(t->c, fid, &st);
}

/* A stat to be sent, of which all but the fields given are "don't touch" */
#define stat_with(...) ({                   \
        P9CStat st_ = p9c_stat_blank;       \
        P9CStat *st = &st_;                 \
        __VA_ARGS__;                        \
        st_; })

static int read_err(Test *t, uint32_t fid)
{
    char byte;

    return p9c_read(t->c, fid, 0, 1, &byte, NULL);
}

static int write_err(Test *t, uint32_t fid)
{
    return p9c_write(t->c, fid, 0, "x", 1, NULL);
}

/*
 * Files
 */

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
    /* The directory's, as open(5) has it */
    g_assert_cmpuint(view.gid, ==, dir.gid);
    host_is(t, "f", "hello");
    /* The fid is the file now, and open. */
    p9c_stat_is(t->c, 1, P9C_QTFILE, 0640, 5, "f", "");
    fails(open_u(t, 1, P9C_OREAD), EBADF);
    ok(walk(t, ROOT, 2, "f"));
    p9c_stat_is(t->c, 2, P9C_QTFILE, 0640, 5, "f", "");

    /* Permissions are what was asked for. */
    ok(make_only(t, "all", 0666, ""));
    host_mode_is(t, "all", S_IFREG | 0666);
    ok(make_only(t, "set", 0755 | P9C_DMSETUID | P9C_DMSETGID |
                 P9C_DMSETVTX, ""));
    host_mode_is(t, "set", S_IFREG | 07755);
    ok(walk(t, ROOT, 3, "set"));
    p9c_stat_is(t->c, 3, P9C_QTFILE,
                0755 | P9C_DMSETUID | P9C_DMSETGID |
            P9C_DMSETVTX,
                0, "set", "");

    /* Names that are there, and that cannot be */
    fails(make_only(t, "f", 0644, ""), EEXIST);
    fails(make_only(t, "f", 0755 | P9C_DMDIR, ""), EEXIST);
    host_is(t, "f", "hello");
    fails(make_only(t, ".", 0644, ""), EEXIST);
    fails(make_only(t, "..", 0755 | P9C_DMDIR, ""), EEXIST);
    fails(make_only(t, "", 0644, ""), ENOENT);
    fails(make_only(t, "a/b", 0644, ""), ENOENT);
    fails(make_only(t, "/", 0644, ""), ENOENT);
    fails(make_only(t, longer, 0644, ""), ENAMETOOLONG);
    ok(make_only(t, longest, 0644, ""));

    /* Bits that nobody knows, or that do not go together */
    fails(make_only(t, "x", 0644 | P9C_DMAPPEND, ""), EINVAL);
    fails(make_only(t, "x", 0644 | P9C_DMEXCL, ""), EINVAL);
    fails(make_only(t, "x", 0644 | P9C_DMTMP, ""), EINVAL);
    fails(make_only(t, "x", 0644 | 01000, ""), EINVAL);
    fails(make_only(t, "x", P9C_DMDIR | P9C_DMSYMLINK, "t"), EINVAL);
    fails(make_only(t, "x", P9C_DMDIR | P9C_DMLINK, "2"), EINVAL);
    fails(make_only(t, "x", P9C_DMNAMEDPIPE | P9C_DMSOCKET, ""), EINVAL);
    ok(walk(t, ROOT, 4, ""));
    fails(create_u(t, 4, "x", 0644, 0x04, ""), EINVAL);
    fails(create_u(t, 4, "x", 0644, 0x08, ""), EINVAL);
    g_assert_false(host_has(t, "x"));

    /* An open directory is for reading. */
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
    /* One more in it */
    ok(walk(t, 1, 2, ""));
    ok(create_u(t, 2, "e", P9C_DMDIR | 0700, P9C_OREAD, ""));
    host_mode_is(t, "d/e", S_IFDIR | 0700);
}

/* Where a link leads, on the host, where it may be a file */
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
    /* It is not open, and cannot be. */
    fails(read_err(t, 1), EBADF);
    fails(open_u(t, 1, P9C_OREAD), ELOOP);
    ok(make_only(t, "long", P9C_DMSYMLINK, longest));
    ok(walk(t, ROOT, 2, "long"));
    p9c_stat_is(t->c, 2, P9C_QTSYMLINK, P9C_DMSYMLINK | 0777, PATH_MAX - 1,
                "long", longest);

    fails(make_only(t, "x", P9C_DMSYMLINK, ""), ENOENT);
    fails(make_only(t, "x", P9C_DMSYMLINK, longer), ENAMETOOLONG);
    fails(make_only(t, "s", P9C_DMSYMLINK, "t"), EEXIST);
    fails(make_only(t, "a/b", P9C_DMSYMLINK, "t"), ENOENT);
    g_assert_false(host_has(t, "x"));

    /* Where it leads cannot be changed. */
    fails(wstat(t, 1, stat_with(st->extension = (char *)"new")), EPERM);
    ok(wstat(t, 1, stat_with(st->extension = (char *)"../to/there")));
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
    ok(make(t, 1, "g", P9C_DMLINK, "5"));
    g_assert_cmpuint(host_stat(t, "g").st_ino, ==, host_stat(t, "f").st_ino);
    p9c_stat_is(t->c, 1, P9C_QTFILE, 0644, 4, "g", "HARDLINKCOUNT 2");
    p9c_stat_is(t->c, 5, P9C_QTFILE, 0644, 4, "f", "HARDLINKCOUNT 2");
    /* Linux' client ends the number with a newline. */
    ok(make_only(t, "h", P9C_DMLINK, "5\n"));
    g_assert_cmpuint(host_stat(t, "f").st_nlink, ==, 3);
    /* The new fid is not open, but can be. */
    fails(read_err(t, 1), EBADF);
    ok(open_u(t, 1, P9C_OREAD));
    read_is(t, 1, 0, "data");

    for (i = 0; i < ARRAY_SIZE(bad); i++) {
        fails(make_only(t, "x", P9C_DMLINK, bad[i]), EINVAL);
    }
    fails(make_only(t, "x", P9C_DMLINK, "99"), EBADF);
    fails(make_only(t, "g", P9C_DMLINK, "5"), EEXIST);
    fails(make_only(t, "a/b", P9C_DMLINK, "5"), ENOENT);
    ok(walk(t, ROOT, 6, "d"));
    fails(make_only(t, "x", P9C_DMLINK, "6"), EPERM);
    g_assert_false(host_has(t, "x"));

    /* Only the name of this fid is removed. */
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

    ok(make(t, 1, "p", P9C_DMNAMEDPIPE | 0640, ""));
    host_mode_is(t, "p", S_IFIFO | 0640);
    p9c_stat_is(t->c, 1, P9C_QTFILE, P9C_DMNAMEDPIPE | 0640, 0, "p", "");
    ok(make(t, 2, "s", P9C_DMSOCKET | 0755, ""));
    host_mode_is(t, "s", S_IFSOCK | 0755);
    p9c_stat_is(t->c, 2, P9C_QTFILE, P9C_DMSOCKET | 0755, 0, "s", "");
    /* They are the guest's to open. */
    fails(open_u(t, 1, P9C_OREAD), ENXIO);
    fails(open_u(t, 2, P9C_OREAD), ENXIO);

    for (i = 0; i < ARRAY_SIZE(bad); i++) {
        fails(make_only(t, "x", P9C_DMDEVICE | 0600, bad[i]), EINVAL);
    }
    g_assert_false(host_has(t, "x"));

    /* Who may not make devices cannot, and says so. */
    err = make(t, 3, "c", P9C_DMDEVICE | 0600, "c 1 3");
    if (err) {
        fails(err, EPERM);
        g_assert_false(host_has(t, "c"));
        return;
    }
    host_mode_is(t, "c", S_IFCHR | 0600);
    g_assert_cmpuint(host_view(t, "c").rdev, ==, makedev(1, 3));
    p9c_stat_is(t->c, 3, P9C_QTFILE, P9C_DMDEVICE | 0600, 0, "c", "c 1 3");
    ok(make(t, 4, "b", P9C_DMDEVICE | 0600, "b 259 65536\n"));
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

/* ORCLOSE: the file goes with its fid, under whatever name it has then. */
static void test_remove_on_clunk(Test *t)
{
    host_write(t, "f", "data");
    ok(walk(t, ROOT, 1, "f"));
    ok(open_u(t, 1, P9C_OREAD | P9C_ORCLOSE));
    read_is(t, 1, 0, "data");
    ok(wstat(t, 1, stat_with(st->name = (char *)"g")));
    g_assert_true(host_has(t, "g"));
    ok(clunk(t, 1));
    g_assert_false(host_has(t, "g"));

    ok(walk(t, ROOT, 1, ""));
    ok(create_u(t, 1, "tmp", 0600, P9C_ORDWR | P9C_ORCLOSE, ""));
    write_all(t, 1, 0, "data");
    g_assert_true(host_has(t, "tmp"));
    /* Another fid on it does not remove it. */
    ok(walk(t, ROOT, 2, "tmp"));
    ok(clunk(t, 2));
    g_assert_true(host_has(t, "tmp"));
    ok(clunk(t, 1));
    g_assert_false(host_has(t, "tmp"));

    /* Removed before: another file of that name stays. */
    host_write(t, "f", "old");
    ok(walk(t, ROOT, 1, "f"));
    ok(walk(t, ROOT, 2, "f"));
    ok(open_u(t, 1, P9C_OREAD | P9C_ORCLOSE));
    ok(p9c_remove(t->c, 2));
    host_write(t, "f", "new");
    fails(clunk(t, 1), ENOENT);
    host_is(t, "f", "new");
    fails(p9c_stat(t->c, 1, NULL), EBADF);
}

static void test_stat(Test *t)
{
    struct stat host;
    P9CStat st, again;
    g_autofree char *uid = NULL, *gid = NULL;
    uint32_t n_uid, n_gid;

    host_write(t, "f", "12345");
    host_mkdir(t, "d");
    host_mkdir(t, "d/e");
    host = host_stat(t, "f");
    /* The helper of an ordinary user makes root of him. */
    n_uid = has(t, HAS_HELPER) ? t->uid : host.st_uid;
    n_gid = has(t, HAS_HELPER) ? t->gid : host.st_gid;
    uid = g_strdup_printf("%u", n_uid);
    gid = g_strdup_printf("%u", n_gid);
    ok(walk(t, ROOT, 1, "f"));
    ok(p9c_stat(t->c, 1, &st));
    g_assert_cmpuint(st.type, ==, 0);
    g_assert_cmpuint(st.dev, ==, 0);
    g_assert_cmphex(st.mode, ==, 0644);
    g_assert_cmpuint(st.atime, ==, host.st_atim.tv_sec);
    g_assert_cmpuint(st.mtime, ==, host.st_mtim.tv_sec);
    g_assert_cmpuint(st.length, ==, 5);
    g_assert_cmpstr(st.name, ==, "f");
    g_assert_cmpstr(st.uid, ==, uid);
    g_assert_cmpstr(st.gid, ==, gid);
    g_assert_cmpuint(st.n_uid, ==, n_uid);
    g_assert_cmpuint(st.n_gid, ==, n_gid);
    g_assert_cmpstr(st.muid, ==, "");
    g_assert_cmpuint(st.n_muid, ==, P9C_NOUID);
    g_assert_cmpstr(st.extension, ==, "");

    /* Contents that change change the qid's version, and not its path. */
    host_write(t, "f", "123456");
    ok(p9c_stat(t->c, 1, &again));
    g_assert_cmpuint(again.length, ==, 6);
    g_assert_cmpuint(again.qid.path, ==, st.qid.path);
    g_assert_cmpuint(again.qid.version, !=, st.qid.version);
    p9c_stat_clear(&again);
    p9c_stat_clear(&st);

    p9c_stat_is(t->c, ROOT, P9C_QTDIR, P9C_DMDIR | 0755, 0, "/", NULL);
    ok(walk(t, ROOT, 2, "d"));
    p9c_stat_is(t->c, 2, P9C_QTDIR, P9C_DMDIR | 0755, 0, "d", NULL);
    /* A name that was not in the walk is that which others found it by. */
    ok(walk(t, 2, 3, "e"));
    ok(walk(t, 3, 4, ".."));
    p9c_stat_is(t->c, 4, P9C_QTDIR, P9C_DMDIR | 0755, 0, "d", NULL);
    /* Renamed and removed, an open file is still there. */
    ok(open_u(t, 1, P9C_OREAD));
    ok(walk(t, ROOT, 5, "f"));
    ok(p9c_remove(t->c, 5));
    p9c_stat_is(t->c, 1, P9C_QTFILE, 0644, 6, "f", "");
}

static void test_wstat(Test *t)
{
    struct stat host;
    P9CStat now;

    host_write(t, "f", "0123456789");
    host_mkdir(t, "d");
    ok(walk(t, ROOT, 1, "f"));
    ok(walk(t, ROOT, 2, "d"));

    ok(wstat(t, 1, stat_with(st->mode = 0600)));
    host_mode_is(t, "f", S_IFREG | 0600);
    ok(wstat(t, 1, stat_with(st->mode = 0711 | P9C_DMSETUID)));
    host_mode_is(t, "f", S_IFREG | 04711);
    ok(wstat(t, 2, stat_with(st->mode = P9C_DMDIR | P9C_DMSETVTX | 0777)));
    host_mode_is(t, "d", S_IFDIR | 01777);

    ok(wstat(t, 1, stat_with(st->length = 4)));
    host_is(t, "f", "0123");
    ok(wstat(t, 1, stat_with(st->length = 0)));
    host_is(t, "f", "");
    ok(wstat(t, 1, stat_with(st->length = 100000)));
    g_assert_cmpint(host_stat(t, "f").st_size, ==, 100000);

    ok(wstat(t, 1, stat_with(st->mtime = 1000000000, st->atime = 0x90000000)));
    host = host_stat(t, "f");
    g_assert_cmpint(host.st_mtim.tv_sec, ==, 1000000000);
    g_assert_cmpint(host.st_mtim.tv_nsec, ==, 0);
    g_assert_cmpint(host.st_atim.tv_sec, ==, 0x90000000);
    ok(wstat(t, 1, stat_with(st->mtime = 0)));
    host = host_stat(t, "f");
    g_assert_cmpint(host.st_mtim.tv_sec, ==, 0);
    g_assert_cmpint(host.st_atim.tv_sec, ==, 0x90000000);

    /* Owners: by number, or a number as name where there is none */
    ok(wstat(t, 1, stat_with(st->n_uid = t->uid, st->n_gid = t->gid)));
    if (has(t, HAS_OWNERS)) {
        HostView view;

        ok(wstat(t, 1, stat_with(st->n_uid = 1234, st->n_gid = 2345)));
        view = host_view(t, "f");
        g_assert_cmpuint(view.uid, ==, 1234);
        g_assert_cmpuint(view.gid, ==, 2345);
        ok(wstat(t, 1, stat_with(st->gid = (char *)"77")));
        ok(wstat(t, 1, stat_with(st->uid = (char *)"78")));
        view = host_view(t, "f");
        g_assert_cmpuint(view.uid, ==, 78);
        g_assert_cmpuint(view.gid, ==, 77);
        /* The number counts. */
        ok(wstat(t, 1, stat_with(st->uid = (char *)"bob", st->n_uid = 79)));
        g_assert_cmpuint(host_view(t, "f").uid, ==, 79);
    }

    /* All at once, and by a fid that is open */
    ok(open_u(t, 1, P9C_ORDWR));
    ok(wstat(t, 1, stat_with(st->mode = 0640, st->length = 3,
                             st->mtime = 12345, st->name = (char *)"g",
                             st->muid = (char *)"me")));
    host = host_stat(t, "g");
    host_mode_is(t, "g", S_IFREG | 0640);
    g_assert_cmpint(host.st_size, ==, 3);
    g_assert_cmpint(host.st_mtim.tv_sec, ==, 12345);
    g_assert_false(host_has(t, "f"));

    /* What Tstat tells can be sent back, changed or not. */
    ok(p9c_stat(t->c, 1, &now));
    ok(p9c_wstat(t->c, 1, &now));
    now.mode = 0644;
    ok(p9c_wstat(t->c, 1, &now));
    host_mode_is(t, "g", S_IFREG | 0644);
    p9c_stat_clear(&now);
    ok(p9c_stat(t->c, 2, &now));
    ok(p9c_wstat(t->c, 2, &now));
    p9c_stat_clear(&now);
    ok(p9c_stat(t->c, ROOT, &now));
    ok(p9c_wstat(t->c, ROOT, &now));
    p9c_stat_clear(&now);

    /* Nothing: makes sure that what was written is there. */
    ok(p9c_wstat(t->c, 1, &p9c_stat_blank));
    ok(p9c_wstat(t->c, 2, &p9c_stat_blank));
    ok(p9c_wstat(t->c, ROOT, &p9c_stat_blank));
}

/* Nothing at all is changed when something cannot be. */
static void test_wstat_refused(Test *t)
{
    g_autofree char *longer = g_strnfill(NAME_MAX + 1, 'n');

    host_write(t, "f", "0123456789");
    host_mkdir(t, "d");
    ok(walk(t, ROOT, 1, "f"));
    ok(walk(t, ROOT, 2, "d"));
    ok(make(t, 3, "p", P9C_DMNAMEDPIPE | 0644, ""));

#define REFUSED(fid, error, ...) \
    fails(wstat(t, fid, stat_with(st->mode = fid == 2 ? P9C_DMDIR : 0, \
                                  __VA_ARGS__)), error)
    /* Types */
    REFUSED(1, EINVAL, st->mode = P9C_DMDIR | 0600);
    REFUSED(1, EINVAL, st->mode = P9C_DMSYMLINK | 0600);
    REFUSED(1, EINVAL, st->mode = P9C_DMAPPEND | 0600);
    REFUSED(1, EINVAL, st->mode = 01000 | 0600);
    REFUSED(2, EINVAL, st->mode = 0700);
    REFUSED(3, EINVAL, st->mode = P9C_DMSOCKET | 0600);
    /* What is the server's */
    REFUSED(1, EPERM, st->type = 1);
    REFUSED(1, EPERM, st->dev = 1);
    REFUSED(1, EPERM, st->qid.type = P9C_QTDIR);
    REFUSED(1, EPERM, st->qid.path = 1ull << 40 | 77);
    REFUSED(1, EPERM, st->extension = (char *)"c 1 3");
    /* Owners */
    REFUSED(1, EINVAL, st->uid = (char *)"bob");
    REFUSED(1, EINVAL, st->gid = (char *)"-1");
    REFUSED(1, EINVAL, st->gid = (char *)"1x");
    REFUSED(1, EINVAL, st->gid = (char *)"99999999999");
    /* Lengths */
    REFUSED(1, EFBIG, st->length = 1ull << 63);
    REFUSED(2, EISDIR, st->length = 1);
    REFUSED(3, EINVAL, st->length = 1);
    /* Names */
    REFUSED(1, ENOENT, st->name = (char *)"a/b");
    REFUSED(1, ENOENT, st->name = (char *)"/");
    REFUSED(1, EINVAL, st->name = (char *)".");
    REFUSED(1, EINVAL, st->name = (char *)"..");
    REFUSED(1, ENAMETOOLONG, st->name = longer);
#undef REFUSED
    fails(wstat(t, ROOT, stat_with(st->name = (char *)"root")), EBUSY);

    host_mode_is(t, "f", S_IFREG | 0644);
    host_mode_is(t, "d", S_IFDIR | 0755);
    host_mode_is(t, "p", S_IFIFO | 0644);
    host_is(t, "f", "0123456789");

    /* Special files may look like files to the client. */
    ok(wstat(t, 3, stat_with(st->mode = 0600)));
    ok(wstat(t, 3, stat_with(st->mode = P9C_DMNAMEDPIPE | 0604)));
    host_mode_is(t, "p", S_IFIFO | 0604);
}

static void test_rename(Test *t)
{
    host_write(t, "f", "f");
    host_write(t, "old", "old");
    host_mkdir(t, "d");
    host_mkdir(t, "full");
    host_write(t, "full/x", "x");

    ok(walk(t, ROOT, 1, "f"));
    ok(wstat(t, 1, stat_with(st->name = (char *)"g")));
    g_assert_false(host_has(t, "f"));
    host_is(t, "g", "f");
    p9c_stat_is(t->c, 1, P9C_QTFILE, 0644, 1, "g", "");
    /* To itself */
    ok(wstat(t, 1, stat_with(st->name = (char *)"g")));
    host_is(t, "g", "f");

    /* As rename(2): a file replaces a file, and its fid has no name then. */
    ok(walk(t, ROOT, 2, "old"));
    ok(wstat(t, 1, stat_with(st->name = (char *)"old")));
    g_assert_false(host_has(t, "g"));
    host_is(t, "old", "f");
    fails(wstat(t, 2, stat_with(st->name = (char *)"again")), ENOENT);
    fails(p9c_remove(t->c, 2), ENOENT);
    host_is(t, "old", "f");

    /* But no directory, and no directory replaces what is not empty. */
    fails(wstat(t, 1, stat_with(st->name = (char *)"d")), EISDIR);
    ok(walk(t, ROOT, 3, "d"));
    fails(wstat(t, 3, stat_with(st->name = (char *)"old")), ENOTDIR);
    fails(wstat(t, 3, stat_with(st->name = (char *)"full")), ENOTEMPTY);
    host_is(t, "full/x", "x");

    /* What is below moves along. */
    ok(walk(t, ROOT, 4, "full"));
    ok(walk(t, 4, 5, "x"));
    ok(wstat(t, 4, stat_with(st->name = (char *)"moved")));
    ok(open_u(t, 5, P9C_OREAD));
    read_is(t, 5, 0, "x");
    ok(walk(t, ROOT, 6, "moved/x"));
    ok(p9c_remove(t->c, 5));
    g_assert_false(host_has(t, "moved/x"));
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
    fails(p9c_stat(t->c, 1, NULL), EBADF);
    /* The fid is gone even when the directory is not. */
    ok(walk(t, ROOT, 1, "d"));
    fails(p9c_remove(t->c, 1), ENOTEMPTY);
    fails(p9c_stat(t->c, 1, NULL), EBADF);
    ok(walk(t, ROOT, 1, "d/x"));
    ok(p9c_remove(t->c, 1));
    ok(walk(t, ROOT, 1, "d"));
    ok(p9c_remove(t->c, 1));
    g_assert_false(host_has(t, "d"));
    ok(walk(t, ROOT, 1, ""));
    fails(p9c_remove(t->c, 1), EBUSY);
}

static void test_read_dir(Test *t)
{
    static const uint32_t counts[] = { 100, 333, 1000, P9C_MSIZE - 24 };
    g_autofree bool *seen = g_new(bool, MANY);
    g_autofree char *gone = NULL;
    g_autoptr(GPtrArray) first = NULL;
    g_autoptr(GPtrArray) rest = NULL;
    uint64_t offset;
    uint32_t n;
    unsigned i, j;
    P9CStat *st;

    host_mkdir(t, "d");
    for (i = 0; i < MANY; i++) {
        g_autofree char *name = g_strdup_printf("d/%u", i);

        host_write(t, name, "abc");
    }
    ok(walk(t, ROOT, 1, "d"));
    ok(open_u(t, 1, P9C_OREAD));
    for (i = 0; i < ARRAY_SIZE(counts); i++) {
        g_autoptr(GPtrArray) all = p9c_read_dir_all(t->c, 1, counts[i]);

        g_assert_cmpuint(all->len, ==, MANY);
        memset(seen, 0, MANY * sizeof(*seen));
        for (j = 0; j < all->len; j++) {
            st = g_ptr_array_index(all, j);
            g_assert_cmpuint(atoi(st->name), <, MANY);
            g_assert_false(seen[atoi(st->name)]);
            seen[atoi(st->name)] = true;
            g_assert_cmphex(st->mode, ==, 0644);
            g_assert_cmpuint(st->length, ==, 3);
        }
    }

    /* What goes away between two reads is not there in the second. */
    ok(p9c_read_dir(t->c, 1, 0, 1000, &first, &n));
    offset = n;
    g_assert_cmpuint(first->len, >, 5);
    g_assert_cmpuint(first->len, <, 20);
    for (i = 0; i < MANY; i++) {
        g_autofree char *name = g_strdup_printf("%u", i);

        if (!p9c_stat_find(first, name)) {
            gone = g_strdup_printf("d/%u", i);
            break;
        }
    }
    host_unlink(t, gone);
    rest = g_ptr_array_new();
    j = 0;
    do {
        g_autoptr(GPtrArray) some = NULL;

        ok(p9c_read_dir(t->c, 1, offset, 1000, &some, &n));
        offset += n;
        j += some->len;
    } while (n);
    g_assert_cmpuint(first->len + j, >=, MANY - 1);
    g_assert_cmpuint(first->len + j, <=, MANY);
}

/* Each kind of file is told as Tstat tells it. */
static void test_read_dir_kinds(Test *t)
{
    g_autofree char *longest = g_strnfill(PATH_MAX - 1, 't');
    g_autoptr(GPtrArray) all = NULL;
    g_autoptr(GPtrArray) small = NULL;
    P9CStat *got, st;
    unsigned i;

    host_write(t, "f", "12345");
    host_mkdir(t, "d");
    ok(make_only(t, "l", P9C_DMSYMLINK, "f"));
    ok(make_only(t, "long", P9C_DMSYMLINK, longest));
    ok(make_only(t, "p", P9C_DMNAMEDPIPE | 0600, ""));
    ok(walk(t, ROOT, 1, "f"));
    ok(make_only(t, "h", P9C_DMLINK, "1"));

    ok(walk(t, ROOT, 2, ""));
    ok(open_u(t, 2, P9C_OREAD));
    all = p9c_read_dir_all(t->c, 2, P9C_MSIZE - 24);
    g_assert_cmpuint(all->len, ==, 6);
    for (i = 0; i < all->len; i++) {
        got = g_ptr_array_index(all, i);
        ok(walk(t, ROOT, 3, got->name));
        ok(p9c_stat(t->c, 3, &st));
        g_assert_cmpstr(got->name, ==, st.name);
        g_assert_cmpstr(got->extension, ==, st.extension);
        g_assert_cmphex(got->mode, ==, st.mode);
        g_assert_cmpuint(got->length, ==, st.length);
        g_assert_cmphex(got->qid.type, ==, st.qid.type);
        g_assert_cmpuint(got->qid.path, ==, st.qid.path);
        g_assert_cmpuint(got->n_uid, ==, st.n_uid);
        g_assert_cmpuint(got->mtime, ==, st.mtime);
        p9c_stat_clear(&st);
        ok(clunk(t, 3));
    }

    /* Where a link leads may not fit: it is listed even so. */
    small = p9c_read_dir_all(t->c, 2, 1000);
    g_assert_cmpuint(small->len, ==, 6);
    got = p9c_stat_find(small, "long");
    g_assert_nonnull(got);
    g_assert_cmpstr(got->extension, ==, "");
    g_assert_cmphex(got->mode, ==, P9C_DMSYMLINK | 0777);
    g_assert_cmpstr(p9c_stat_find(small, "l")->extension, ==, "f");
}

static void test_readonly(Test *t)
{
    host_write(t, "f", "data");
    ok(walk(t, ROOT, 1, "f"));
    fails(make_only(t, "x", 0644, ""), EROFS);
    fails(make_only(t, "x", P9C_DMDIR | 0755, ""), EROFS);
    fails(make_only(t, "x", P9C_DMSYMLINK, "f"), EROFS);
    fails(make_only(t, "x", P9C_DMLINK, "1"), EROFS);
    fails(open_u(t, 1, P9C_OWRITE), EROFS);
    fails(open_u(t, 1, P9C_ORDWR), EROFS);
    fails(open_u(t, 1, P9C_OREAD | P9C_OTRUNC), EROFS);
    fails(open_u(t, 1, P9C_OREAD | P9C_ORCLOSE), EROFS);
    fails(wstat(t, 1, stat_with(st->mode = 0600)), EROFS);
    fails(wstat(t, 1, stat_with(st->length = 0)), EROFS);
    fails(wstat(t, 1, stat_with(st->name = (char *)"g")), EROFS);
    ok(open_u(t, 1, P9C_OREAD));
    read_is(t, 1, 0, "data");
    fails(write_err(t, 1), EROFS);
    /* There is nothing to be made sure of. */
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
    { "dotu-stat", test_stat, HAS_HOST, CASE_DOTU },
    { "dotu-wstat", test_wstat, HAS_HOST, CASE_DOTU },
    { "dotu-wstat-refused", test_wstat_refused, HAS_HOST, CASE_DOTU },
    { "dotu-rename", test_rename, HAS_HOST, CASE_DOTU },
    { "dotu-remove", test_remove, HAS_HOST, CASE_DOTU },
    { "dotu-read-dir", test_read_dir, HAS_HOST, CASE_DOTU },
    { "dotu-read-dir-kinds", test_read_dir_kinds, HAS_HOST, CASE_DOTU },
    { "dotu-readonly", test_readonly, HAS_HOST, CASE_DOTU, ",readonly=on" },
    { NULL }
};
