/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * See hostfs-fixture.h.
 */
#include "qemu/osdep.h"
#include "hostfs-fixture.h"
#include <sched.h>
#include <sys/mount.h>
#include <dirent.h>
#include <ftw.h>
#include <grp.h>

#define SECRET  "not for guests"

static int opendir_at(int dir, const char *name)
{
    int fd = openat(dir, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    g_assert_cmpint(fd, >=, 0);
    return fd;
}

unsigned count_entries(int dir)
{
    int fd = opendir_at(dir, ".");
    DIR *d = fdopendir(fd);
    unsigned n = 0;

    g_assert_nonnull(d);
    while (readdir(d)) {
        n++;
    }
    closedir(d);
    return n - 2;
}

static unsigned count_fds(void)
{
    int fd = opendir_at(AT_FDCWD, "/proc/self/fd");
    unsigned n = count_entries(fd);

    close(fd);
    return n;
}

void put_file(int dir, const char *name, const char *text)
{
    int fd = openat(dir, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);

    g_assert_cmpint(fd, >=, 0);
    g_assert_cmpint(write(fd, text, strlen(text)), ==, strlen(text));
    close(fd);
}

void assert_file(int dir, const char *name, const char *text)
{
    char buf[256];
    int fd = openat(dir, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    ssize_t len;

    g_assert_cmpint(fd, >=, 0);
    len = read(fd, buf, sizeof(buf));
    g_assert_cmpint(len, >=, 0);
    g_assert_cmpmem(buf, len, text, strlen(text));
    close(fd);
}

void assert_missing(int dir, const char *name)
{
    struct stat st;

    g_assert_cmpint(fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW), ==, -1);
    g_assert_cmpint(errno, ==, ENOENT);
}

bool need_root(const char *why)
{
    if (geteuid() != 0) {
        g_autofree char *text = g_strdup_printf("needs root: %s", why);

        g_test_skip(text);
        return false;
    }
    return true;
}

static void split_walk(Fixture *f, const char *path, int *ret, HostWalk *walk)
{
    g_auto(GStrv) names = g_strsplit(path, "/", -1);

    *ret = hostfs_walk(&f->fs, f->fs.root, (const char *const *)names,
                       g_strv_length(names), walk);
    if (*ret < 0) {
        g_assert_cmpint(walk->node, ==, -1);
        g_assert_cmpint(walk->parent, ==, -1);
        g_assert_cmpuint(walk->walked, <, g_strv_length(names));
    } else {
        g_assert_cmpint(walk->node, >=, 0);
        g_assert_cmpuint(walk->walked, ==, g_strv_length(names));
        if (walk->parent >= 0) {
            close(walk->parent);
        }
    }
}

int node_of(Fixture *f, const char *path)
{
    HostWalk walk;
    int ret;

    split_walk(f, path, &ret, &walk);
    g_assert_cmpint(ret, ==, 0);
    return walk.node;
}

int try_walk(Fixture *f, const char *path)
{
    HostWalk walk;
    int ret;

    split_walk(f, path, &ret, &walk);
    if (ret == 0) {
        close(walk.node);
    }
    return ret;
}

FsAttr attr_of(Fixture *f, const char *path)
{
    int node = node_of(f, path);
    FsAttr attr;

    assert_ok(hostfs_getattr(node, &attr));
    close(node);
    return attr;
}

static void set_up(Fixture *f, gconstpointer test)
{
    g_autoptr(GError) error = NULL;

    f->fds = count_fds();
    f->dir = g_dir_make_tmp("hostfs-XXXXXX", &error);
    g_assert_no_error(error);
    f->top = opendir_at(AT_FDCWD, f->dir);
    g_assert_cmpint(mkdirat(f->top, "export", 0755), ==, 0);
    g_assert_cmpint(mkdirat(f->top, "outside", 0755), ==, 0);
    f->export = opendir_at(f->top, "export");
    f->outside = opendir_at(f->top, "outside");
    put_file(f->outside, "secret", SECRET);

    assert_ok(hostfs_init(&f->fs,
                          openat(f->top, "export",
                                 O_PATH | O_DIRECTORY | O_CLOEXEC),
                          "/proc/self/fd/"));
}

static void call_test(Fixture *f, gconstpointer test)
{
    (*(FixtureTest *const *)test)(f);
}

static int remove_one(const char *path, const struct stat *st, int type,
                      struct FTW *ftw)
{
    return remove(path);
}

/* Directories that a test left without permissions would stop the removal. */
static int permit_one(const char *path, const struct stat *st, int type,
                      struct FTW *ftw)
{
    if (type == FTW_D || type == FTW_DNR) {
        chmod(path, 0700);
    }
    return 0;
}

static void tear_down(Fixture *f, gconstpointer test)
{
    struct stat st;

    g_assert_cmpuint(count_entries(f->outside), ==, 1);
    assert_file(f->outside, "secret", SECRET);
    g_assert_cmpint(fstatat(f->outside, "secret", &st, 0), ==, 0);
    g_assert_cmphex(st.st_mode, ==, S_IFREG | 0644);
    g_assert_cmpuint(st.st_uid, ==, geteuid());

    hostfs_destroy(&f->fs);
    g_assert_cmpint(f->fs.root, ==, -1);
    close(f->export);
    close(f->outside);
    close(f->top);
    g_assert_cmpuint(count_fds(), ==, f->fds);

    nftw(f->dir, permit_one, 16, FTW_PHYS);
    g_assert_cmpint(nftw(f->dir, remove_one, 16, FTW_PHYS | FTW_DEPTH), ==, 0);
    g_free(f->dir);
}

void hostfs_test(const char *name, FixtureTest *test)
{
    g_autofree char *path = g_strconcat("/9p/hostfs/", name, NULL);
    FixtureTest **copy = g_new(FixtureTest *, 1);

    *copy = test;
    g_test_add_vtable(path, sizeof(Fixture), copy,
                      (GTestFixtureFunc)set_up, (GTestFixtureFunc)call_test,
                      (GTestFixtureFunc)tear_down);
}

static void run_child(Fixture *f, FixtureTest *test, bool drop)
{
    pid_t pid = fork();
    int status;

    g_assert_cmpint(pid, >=, 0);
    if (pid == 0) {
        /* A test that hangs must not outlive the others. */
        alarm(120);
        if (drop && geteuid() == 0) {
            g_assert_cmpint(setgroups(0, NULL), ==, 0);
            g_assert_cmpint(setresgid(OTHER_ID, OTHER_ID, OTHER_ID), ==, 0);
            g_assert_cmpint(setresuid(OTHER_ID, OTHER_ID, OTHER_ID), ==, 0);
        }
        test(f);
        _exit(0);
    }
    g_assert_cmpint(waitpid(pid, &status, 0), ==, pid);
    if (WIFEXITED(status) && WEXITSTATUS(status) == CHILD_SKIPS) {
        g_test_skip("not permitted here, even to root");
        return;
    }
    g_assert_cmphex(status, ==, 0);
}

void as_user(Fixture *f, FixtureTest *test)
{
    if (geteuid() == 0) {
        g_assert_cmpint(fchown(f->export, OTHER_ID, OTHER_ID), ==, 0);
    }
    run_child(f, test, true);
}

void in_child(Fixture *f, FixtureTest *test)
{
    run_child(f, test, false);
}

void make_tree(Fixture *f)
{
    g_assert_cmpint(mkdirat(f->export, "a", 0755), ==, 0);
    g_assert_cmpint(mkdirat(f->export, "a/b", 0755), ==, 0);
    g_assert_cmpint(mkdirat(f->export, "a/b/c", 0755), ==, 0);
    put_file(f->export, "a/file", "text");
}

uint64_t ino_of(int dir, const char *name)
{
    struct stat st;

    g_assert_cmpint(fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW), ==, 0);
    return st.st_ino;
}

bool try_mount(const char *source, int dir, const char *name,
                      const char *type, unsigned long flags)
{
    g_autofree char *target = g_strdup_printf("/proc/self/fd/%d/%s", dir,
                                              name);

    return mount(source, target, type, flags, NULL) == 0;
}

void unshare_mounts(Fixture *f)
{
    g_autofree char *export = g_strconcat(f->dir, "/export", NULL);

    /* What was opened before stays in the name space of before. */
    if (unshare(CLONE_NEWNS) < 0) {
        g_assert_cmpint(errno, ==, EPERM);
        _exit(CHILD_SKIPS);
    }
    hostfs_destroy(&f->fs);
    close(f->export);
    f->export = open(export, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    g_assert_cmpint(f->export, >=, 0);
    assert_ok(hostfs_init(&f->fs, open(export, O_PATH | O_CLOEXEC),
                          "/proc/self/fd/"));
    g_assert_cmpint(mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL), ==,
                    0);
}
