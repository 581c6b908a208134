/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Tests of the security model mapped-file of the local driver: the text of its
 * metadata, and changes of it by other processes that write to the directory.
 */
#include "qemu/osdep.h"
#include "mapped-fixture.h"

static void test_file_text(void)
{
    static const struct {
        const char *text;
        uint32_t mode, uid, gid;
        bool mode_set, uid_set, gid_set;
    } texts[] = {
        { "virtfs.uid=7\n", 0, 7, 0, false, true, false },
        { "virtfs.gid=8\nvirtfs.mode=41471\n", 0120777, 0, 8,
          true, false, true },
        { "virtfs.mode=33188", 0100644, 0, 0, true, false, false },
        { "virtfs.uid=4294967295\nvirtfs.gid=0", 0, UINT32_MAX, 0,
          false, true, true },
        { "# a comment\n\n\nvirtfs.gid=3\nother.uid=1\n", 0, 0, 3,
          false, false, true },
        { "virtfs.uid=1\nvirtfs.uid=2\n", 0, 1, 0, false, true, false },
        { "virtfs.uid=x\nvirtfs.uid=2\n", 0, 2, 0, false, true, false },
        /* As other QEMUs write large ones */
        { "virtfs.uid=-2\nvirtfs.gid=-1294967296\n", 0, UINT32_MAX - 1,
          3000000000, false, true, true },
        { "virtfs.uid=-2147483648\n", 0, 1U << 31, 0, false, true, false },
        /* Nothing in these */
        { "virtfs.uid=-2147483649\n" }, { "virtfs.uid=--1\n" },
        { "" }, { "\n\n" }, { "virtfs.uid=" }, { "virtfs.uid=-\n" },
        { "virtfs.uid=4294967296\n" }, { "virtfs.uid= 1\n" },
        { "virtfs.uid=1 \n" }, { "virtfs.uid=0x1\n" }, { " virtfs.uid=1\n" },
        { "virtfs.uid=99999999999999999999999\nvirtfs.mode=\n" },
        { "VIRTFS.UID=1\n" }, { "virtfs.uid=1\r\n" }, { "virtfs.uid" },
    };
    struct stat st;
    unsigned i;

    put_file(fix->export, "file", "text");
    st = host_stat("file");
    for (i = 0; i < G_N_ELEMENTS(texts); i++) {
        put_metadata("file", texts[i].text);
        assert_seen("file", texts[i].mode_set ? texts[i].mode : st.st_mode,
                    texts[i].uid_set ? texts[i].uid : st.st_uid,
                    texts[i].gid_set ? texts[i].gid : st.st_gid);
    }
    put_metadata("file", "virtfs.rdev=259\nvirtfs.mode=24992\n");
    assert_seen("file", S_IFBLK | 0640, geteuid(), getegid());
    g_assert_cmphex(see("file").rdev, ==, 259);
    put_metadata("file", "virtfs.rdev=-199163072\nvirtfs.mode=24992\n");
    g_assert_cmphex(see("file").rdev, ==, 4095804224);
    put_metadata("file", "virtfs.rdev=18446744073709551615\n"
                 "virtfs.mode=24992\n");
    g_assert_cmphex(see("file").rdev, ==, UINT64_MAX);
    put_metadata("file", "virtfs.rdev=18446744073709551616\n"
                 "virtfs.mode=24992\n");
    g_assert_cmphex(see("file").rdev, ==, 0);

    /* Unknown lines go when it is written, so the rest is shorter. */
    put_metadata("file", "# a very long comment that nobody has any use for\n"
                 "virtfs.gid=100\nvirtfs.uid=bad\n");
    assert_ok(try_chmod("file", 0644));
    assert_file(fix->export, META "/file",
                "virtfs.gid=100\nvirtfs.mode=33188\n");
    /* In place, so that other names of it go on to share it */
    st = host_stat(META "/file");
    assert_ok(try_chown("file", 0, 0));
    g_assert_cmpuint(host_stat(META "/file").st_ino, ==, st.st_ino);
    assert_file(fix->export, META "/file",
                "virtfs.uid=0\nvirtfs.gid=0\nvirtfs.mode=33188\n");
}

static void test_file_shared(void)
{
    FsAttr attr;

    /* Left behind by a link that the host removed: not the new file's */
    make("a", S_IFREG | 0600);
    assert_ok(try_link("a", "b"));
    g_assert_cmpuint(host_stat(META "/b").st_ino, ==,
                     host_stat(META "/a").st_ino);
    g_assert_cmpint(unlinkat(fix->export, "b", 0), ==, 0);
    assert_ok(try_create("b", S_IFREG | 0777, O_RDWR, &attr));
    assert_seen("a", S_IFREG | 0600, GUEST_UID, GUEST_GID);
    assert_seen("b", S_IFREG | 0777, GUEST_UID, GUEST_GID);

    /* The same for a new link */
    g_assert_cmpint(unlinkat(fix->export, "b", 0), ==, 0);
    make("c", S_IFREG | 0444);
    assert_ok(try_link("c", "b"));
    assert_seen("b", S_IFREG | 0444, GUEST_UID, GUEST_GID);
    assert_ok(try_chmod("b", 0111));
    assert_seen("c", S_IFREG | 0111, GUEST_UID, GUEST_GID);
}

/* Files that a host process could put in the place of metadata */
static void test_file_hostile(void)
{
    g_autofree char *secret = g_strconcat(fix->dir, "/outside/secret", NULL);
    g_autofree char *huge = g_strnfill(4096, '\n');
    g_autofree char *text = g_strconcat(huge, "virtfs.uid=1\n", NULL);
    static const char *const names[] = {
        "symlink", "fifo", "directory", "huge",
    };
    FsAttr attr;
    unsigned i;

    g_assert_cmpint(mkdirat(fix->export, META, 0700), ==, 0);
    g_assert_cmpint(symlinkat(secret, fix->export, META "/symlink"), ==, 0);
    g_assert_cmpint(mkfifoat(fix->export, META "/fifo", 0600), ==, 0);
    g_assert_cmpint(mkdirat(fix->export, META "/directory", 0700), ==, 0);
    put_metadata("huge", text);
    for (i = 0; i < G_N_ELEMENTS(names); i++) {
        const char *name = names[i];
        g_autofree char *meta = g_strconcat(META "/", name, NULL);
        g_autofree char *moved = g_strconcat(name, "-moved", NULL);

        put_file(fix->export, name, "");
        assert_seen(name, host_stat(name).st_mode, geteuid(), getegid());
        assert_ok(try_chown(name, 1, 2));
        assert_seen(name, host_stat(name).st_mode, 1, 2);
        assert_file(fix->export, meta, "virtfs.uid=1\nvirtfs.gid=2\n");
        assert_ok(try_rename("", name, "", moved));
        assert_seen(moved, host_stat(moved).st_mode, 1, 2);
    }

    /* Under a new name, in the way of a rename, and of a link */
    g_assert_cmpint(symlinkat(secret, fix->export, META "/new"), ==, 0);
    assert_ok(try_create("new", S_IFREG | 0600, O_RDWR, &attr));
    assert_stored("", "new", S_IFREG | 0600, GUEST_UID, GUEST_GID, NULL);
    g_assert_cmpint(mkdirat(fix->export, META "/new2", 0700), ==, 0);
    assert_ok(try_rename("", "new", "", "new2"));
    assert_stored("", "new2", S_IFREG | 0600, GUEST_UID, GUEST_GID, NULL);
    g_assert_cmpint(mkdirat(fix->export, META "/new3", 0700), ==, 0);
    assert_ok(try_link("new2", "new3"));
    assert_seen("new3", S_IFREG | 0600, GUEST_UID, GUEST_GID);

    /* One that cannot be taken away: nothing is made or moved. */
    g_assert_cmpint(mkdirat(fix->export, META "/full", 0700), ==, 0);
    put_file(fix->export, META "/full/x", "");
    g_assert_cmpint(try_make("full", S_IFREG | 0600, NULL), <, 0);
    assert_missing(fix->export, "full");
    g_assert_cmpint(try_rename("", "new2", "", "full"), <, 0);
    assert_missing(fix->export, "full");
    assert_seen("new2", S_IFREG | 0600, GUEST_UID, GUEST_GID);
    g_assert_cmpint(try_link("new2", "full"), <, 0);
    assert_missing(fix->export, "full");
    put_file(fix->export, "full", "");
    g_assert_cmpint(try_chmod("full", 0777), <, 0);
    assert_ok(try_unlink("", "full", false));
}

static void test_file_hostile_folder(void)
{
    g_autofree char *outside = g_strconcat(fix->dir, "/outside", NULL);
    unsigned i;

    for (i = 0; i < 2; i++) {
        g_autofree char *dir = g_strdup_printf("dir%u", i);
        g_autofree char *folder = g_strconcat(dir, "/" META, NULL);
        g_autofree char *file = g_strconcat(dir, "/secret", NULL);

        g_assert_cmpint(mkdirat(fix->export, dir, 0700), ==, 0);
        put_file(fix->export, file, "");
        if (i == 0) {
            g_assert_cmpint(symlinkat(outside, fix->export, folder), ==, 0);
        } else {
            put_file(fix->export, folder, "");
        }
        assert_seen(file, host_stat(file).st_mode, geteuid(), getegid());
        assert_error(try_chmod(file, 0777), ENOTDIR);
        {
            g_autofree char *x = g_strconcat(dir, "/x", NULL);

            assert_error(try_make(x, S_IFREG | 0600, NULL), ENOTDIR);
            assert_missing(fix->export, x);
        }
        assert_ok(try_unlink(dir, "secret", false));
        assert_ok(try_unlink("", dir, true));
        assert_missing(fix->export, dir);
    }
    /* And the root's */
    g_assert_cmpint(symlinkat(outside, fix->export, META_ROOT), ==, 0);
    assert_ok(try_chmod("", 0711));
    assert_file(fix->export, META_ROOT, "virtfs.mode=16841\n");
}

/* The metadata in an otherwise empty directory is removed with it. */
static void test_file_rmdir(void)
{
    g_autofree char *secret = g_strconcat(fix->dir, "/outside/secret", NULL);
    unsigned i;

    make("dir", S_IFDIR | 0700);
    make("dir/file", S_IFREG | 0600);
    g_assert_cmpint(unlinkat(fix->export, "dir/file", 0), ==, 0);
    g_assert_cmpint(symlinkat(secret, fix->export, "dir/" META "/link"),
                    ==, 0);
    g_assert_cmpint(mkfifoat(fix->export, "dir/" META "/fifo", 0600), ==, 0);
    g_assert_cmpint(mkdirat(fix->export, "dir/" META "/sub", 0700), ==, 0);
    for (i = 0; i < 500; i++) {
        g_autofree char *name = g_strdup_printf("dir/" META "/stale%u", i);

        put_file(fix->export, name, "virtfs.uid=0\n");
    }
    put_file(fix->export, "dir/" META_ROOT, "virtfs.uid=0\n");

    put_file(fix->export, "dir/real", "");
    assert_error(try_unlink("", "dir", true), ENOTEMPTY);
    assert_file(fix->export, "dir/" META "/stale77", "virtfs.uid=0\n");
    assert_file(fix->export, "dir/" META_ROOT, "virtfs.uid=0\n");
    assert_ok(try_unlink("dir", "real", false));
    assert_ok(try_unlink("", "dir", true));
    assert_missing(fix->export, "dir");
    assert_missing(fix->export, META "/dir");

    /* The driver does not remove files that cannot be metadata. */
    make("dir", S_IFDIR | 0700);
    g_assert_cmpint(mkdirat(fix->export, "dir/" META, 0700), ==, 0);
    g_assert_cmpint(mkdirat(fix->export, "dir/" META "/sub", 0700), ==, 0);
    put_file(fix->export, "dir/" META "/sub/file", "precious");
    assert_error(try_unlink("", "dir", true), ENOTEMPTY);
    assert_file(fix->export, "dir/" META "/sub/file", "precious");
    assert_seen("dir", S_IFDIR | 0700, GUEST_UID, GUEST_GID);
}

static void test_file_names(void)
{
    g_assert_true(model->needs_name);
    g_assert_true(model->reserved(META));
    g_assert_true(model->reserved(META_ROOT));
    g_assert_false(model->reserved(META "_"));
    g_assert_false(model->reserved(".virtfs"));
    g_assert_false(model->reserved("file"));
    g_assert_false(local_model_mapped_xattr.reserved(META));
}

static void test_file_acl(void)
{
    static const AclEntry minimal[ACL_MAX] = {
        { 1, 6, NO_ID }, { 4, 4, NO_ID }, { 32, 1, NO_ID },
    };
    static const char *const names[] = { FS_ACL_ACCESS, FS_ACL_DEFAULT };
    uint8_t acl[256];
    size_t size = acl_bytes(minimal, acl);
    unsigned i;

    make("dir", S_IFDIR | 0700);
    for (i = 0; i < 2; i++) {
        assert_error(try_setxattr("dir", names[i], acl, size), EOPNOTSUPP);
        assert_error(try_removexattr("dir", names[i]), EOPNOTSUPP);
        assert_error(try_getxattr("dir", names[i], acl, sizeof(acl)),
                     EOPNOTSUPP);
    }
}

FILE_TEST(test_file_text)
FILE_TEST(test_file_shared)
FILE_TEST(test_file_hostile)
FILE_TEST(test_file_hostile_folder)
FILE_TEST(test_file_rmdir)
FILE_TEST(test_file_names)
FILE_TEST(test_file_acl)

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);

    ADD_FILE("text", test_file_text);
    ADD_FILE("shared", test_file_shared);
    ADD_FILE("hostile", test_file_hostile);
    ADD_FILE("hostile-folder", test_file_hostile_folder);
    ADD_FILE("rmdir", test_file_rmdir);
    ADD_FILE("names", test_file_names);
    ADD_FILE("acl", test_file_acl);
    return g_test_run();
}
