/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The security model mapped-file where its own files have more names than one:
 * on file systems that ignore case, and by links and mounts of the host. The
 * guest reaches them by none of these names.
 */
#include "qemu/osdep.h"
#include "mapped-fixture.h"
#include "tests/unit/shared/fuse-fixture.h"
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/mount.h>

#ifndef FS_CASEFOLD_FL
#define FS_CASEFOLD_FL  0x40000000
#endif

/* Of META and META_ROOT */
static const char *const folders[] = {
    ".VIRTFS_METADATA", ".virtfs_Metadata", ".virtf\xc5\xbf_metadata",
    ".virtfs_meta\xc2\xad" "data",
};
static const char *const roots[] = {
    ".VIRTFS_METADATA_ROOT", ".virtfs_metadata_Root",
    ".virtf\xc5\xbf_metadata_root", ".virtfs_metadata\xc2\xad_root",
};

/* As the driver looks a name up: 0 or -errno */
static int look(const char *dir, const char *name)
{
    LocalInode above = find(dir);
    LocalInode inode = { .dir = above.handle, .name = name, .kept = -1 };
    FsAttr attr;
    int ret;

    ret = inode.handle = hostfs_step(&lh.host, above.handle, name,
                                     HOST_WAIT_POOL, &attr);
    if (ret >= 0) {
        ret = model->getattr(&lh, &inode, &attr);
        close(inode.handle);
    }
    drop(&above);
    return ret;
}

static void assert_absent(const char *path)
{
    g_assert_cmpint(faccessat(fix->export, path, F_OK, AT_SYMLINK_NOFOLLOW),
                    ==, -1);
    g_assert_cmpint(errno, ==, ENOENT);
}

/* The guest cannot do anything with a name of what exists. */
static void assert_unreachable(const char *name, bool is_dir)
{
    FsAttr attr;

    g_test_message("'%s'", name);
    assert_error(look("", name), ENOENT);
    assert_error(try_unlink("", name, false), ENOENT);
    assert_error(try_unlink("", name, true), ENOENT);
    assert_error(try_rename("", name, "", "mine"), ENOENT);
    assert_error(try_rename("", name, "d", "mine"), ENOENT);
    assert_error(try_rename("", is_dir ? "d" : "f", "", name), EACCES);
    assert_error(try_create(name, S_IFREG | 0600, O_RDWR, &attr), ENOENT);
    assert_error(try_create(name, S_IFREG | 0600, O_RDWR | O_TRUNC, &attr),
                 ENOENT);
    assert_error(try_make(name, S_IFDIR | 0700, NULL), EEXIST);
    assert_error(try_link("f", name), EEXIST);
}

/* What all this leaves as it was */
static void assert_whole(void)
{
    g_autofree char *text = g_strdup_printf("virtfs.uid=%u\nvirtfs.gid=%u\n"
                                            "virtfs.mode=33184\n", GUEST_UID,
                                            GUEST_GID);

    assert_file(fix->export, META "/f", text);
    assert_seen("f", S_IFREG | 0640, GUEST_UID, GUEST_GID);
    assert_seen("d", S_IFDIR | 0750, GUEST_UID, GUEST_GID);
    assert_file(fix->export, META_ROOT, "virtfs.mode=16877\n");
}

static void test_existing(void)
{
    unsigned i;

    make("f", S_IFREG | 0640);
    make("d", S_IFDIR | 0750);
    assert_ok(try_chmod("", 0755));
    assert_whole();
    for (i = 0; i < G_N_ELEMENTS(folders); i++) {
        assert_unreachable(folders[i], true);
        assert_whole();
    }
    for (i = 0; i < G_N_ELEMENTS(roots); i++) {
        assert_unreachable(roots[i], false);
        assert_whole();
    }

    /* Other names have many spellings, too, as the file system says. */
    assert_seen("F", S_IFREG | 0640, GUEST_UID, GUEST_GID);
    assert_ok(try_rename("", "f", "", "F"));
    assert_ok(try_chmod("f", 0600));
    assert_seen("F", S_IFREG | 0600, GUEST_UID, GUEST_GID);
    assert_ok(try_unlink("", "f", false));
    assert_ok(try_unlink("", "D", true));
    /* The name of the root's metadata is a name like others elsewhere. */
    make("d", S_IFDIR | 0750);
    make("d/.VIRTFS_METADATA_ROOT", S_IFREG | 0640);
    assert_ok(look("d", ".VIRTFS_METADATA_ROOT"));
}

/* Names that the guest makes where the model has none yet */
static void test_new(void)
{
    unsigned i;

    for (i = 0; i < G_N_ELEMENTS(folders); i++) {
        const char *name = folders[i];
        g_autofree char *path = g_strconcat("host/", name, NULL);

        g_test_message("'%s'", name);
        g_assert_cmpint(mkdirat(fix->export, "host", 0700), ==, 0);
        g_assert_cmpint(mkdirat(fix->export, "plain", 0700), ==, 0);
        make("f", S_IFREG | 0640);
        make("d", S_IFDIR | 0750);
        assert_error(try_make(path, S_IFDIR | 0700, NULL), EACCES);
        assert_absent("host/" META);
        g_assert_cmpint(try_make(path, S_IFREG | 0600, NULL), <, 0);
        assert_absent("host/" META);
        g_assert_cmpint(try_make(path, S_IFLNK | 0777, NULL), <, 0);
        assert_absent("host/" META);
        g_assert_cmpint(try_link("f", path), <, 0);
        assert_absent("host/" META);
        assert_error(try_rename("", "plain", "host", name), EACCES);
        assert_absent("host/" META);
        assert_error(try_rename("", "d", "host", name), EACCES);
        assert_seen("d", S_IFDIR | 0750, GUEST_UID, GUEST_GID);
        g_assert_cmpint(try_rename("", "f", "host", name), <, 0);
        assert_seen("f", S_IFREG | 0640, GUEST_UID, GUEST_GID);
        assert_ok(try_unlink("", "f", false));
        assert_ok(try_unlink("", "d", true));
        assert_ok(try_unlink("", "plain", true));
        assert_ok(try_unlink("", "host", true));
    }
    for (i = 0; i < G_N_ELEMENTS(roots); i++) {
        const char *name = roots[i];
        FsAttr attr;

        g_test_message("'%s'", name);
        make("f", S_IFREG | 0640);
        put_file(fix->export, "plain", "");
        assert_error(try_create(name, S_IFREG | 0600, O_RDWR, &attr), EACCES);
        assert_error(try_make(name, S_IFLNK | 0777, NULL), EACCES);
        assert_error(try_link("f", name), EACCES);
        assert_error(try_rename("", "f", "", name), EACCES);
        assert_error(try_rename("", "plain", "", name), EACCES);
        assert_absent(META_ROOT);
        assert_seen("f", S_IFREG | 0640, GUEST_UID, GUEST_GID);
        assert_ok(try_unlink("", "f", false));
        assert_ok(try_unlink("", "plain", false));
    }
}

/* A folder of metadata that the host has made in another spelling */
static void test_of_host(void)
{
    g_assert_cmpint(mkdirat(fix->export, "host", 0700), ==, 0);
    g_assert_cmpint(mkdirat(fix->export, "host/.Virtfs_Metadata", 0700), ==, 0);
    put_file(fix->export, "host/.Virtfs_Metadata/f", "virtfs.uid=7\n");
    put_file(fix->export, "host/f", "");
    g_assert_cmpuint(see("host/f").uid, ==, 7);
    assert_error(look("host", ".Virtfs_Metadata"), ENOENT);
    assert_error(try_unlink("", "host", true), ENOTEMPTY);
    assert_file(fix->export, "host/.Virtfs_Metadata/f", "virtfs.uid=7\n");
    assert_ok(try_unlink("host", "f", false));
    assert_ok(try_unlink("", "host", true));
    assert_absent("host");
}

/* Runs all in the file system that is mounted on the export now. */
static void run_mounted(Fixture *f)
{
    run(f, &local_model_mapped_file, test_new);
    run(f, &local_model_mapped_file, test_of_host);
    run(f, &local_model_mapped_file, test_existing);
}

static void fuse_child(Fixture *f)
{
    export_test_fuse(f, TEST_FUSE_FOLD);
    run_mounted(f);
}

static void test_fuse(Fixture *f)
{
    if (access("/dev/fuse", R_OK | W_OK) < 0) {
        g_test_skip("no /dev/fuse");
    } else if (need_root("it mounts a file system")) {
        in_child(f, fuse_child);
    }
}

static bool kernel_folds(void)
{
    return access("/sys/fs/unicode", F_OK) == 0 ||
           access("/sys/fs/ext4/features/casefold", F_OK) == 0;
}

static void tmpfs_child(Fixture *f)
{
    g_autofree char *export = g_strconcat(f->dir, "/export", NULL);
    int flags = FS_CASEFOLD_FL;
    int fd;

    unshare_mounts(f);
    if (mount("none", export, "tmpfs", 0, "casefold") < 0) {
        _exit(CHILD_SKIPS);
    }
    fd = open(export, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (ioctl(fd, FS_IOC_SETFLAGS, &flags) < 0) {
        _exit(CHILD_SKIPS);
    }
    close(fd);
    export_mounted(f);
    run_mounted(f);
}

static void test_tmpfs(Fixture *f)
{
    if (!kernel_folds()) {
        g_test_skip("the kernel has no case-insensitive tmpfs "
                    "(Linux 6.13 with CONFIG_UNICODE)");
    } else if (need_root("it mounts a file system")) {
        in_child(f, tmpfs_child);
    }
}

/* Other names that the host makes on any file system */
static void hard_link(void)
{
    make("f", S_IFREG | 0640);
    make("d", S_IFDIR | 0750);
    assert_ok(try_chmod("", 0755));
    g_assert_cmpint(linkat(fix->export, META_ROOT, fix->export, "alias", 0),
                    ==, 0);
    assert_unreachable("alias", false);
    assert_whole();
}

static void test_hard_link(Fixture *f)
{
    run(f, &local_model_mapped_file, hard_link);
}

static void bind_mount(void)
{
    g_autofree char *from = host_path(META);
    g_autofree char *to = host_path("alias");

    make("f", S_IFREG | 0640);
    make("d", S_IFDIR | 0750);
    assert_ok(try_chmod("", 0755));
    g_assert_cmpint(mkdirat(fix->export, "alias", 0700), ==, 0);
    g_assert_cmpint(mount(from, to, NULL, MS_BIND, NULL), ==, 0);
    assert_unreachable("alias", true);
    assert_whole();
}

static void bind_child(Fixture *f)
{
    unshare_mounts(f);
    run(f, &local_model_mapped_file, bind_mount);
}

static void test_bind_mount(Fixture *f)
{
    if (need_root("it mounts a directory")) {
        in_child(f, bind_child);
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    hostfs_test("mapped-spelling/fuse", test_fuse);
    hostfs_test("mapped-spelling/tmpfs", test_tmpfs);
    hostfs_test("mapped-spelling/hard-link", test_hard_link);
    hostfs_test("mapped-spelling/bind-mount", test_bind_mount);
    return g_test_run();
}
