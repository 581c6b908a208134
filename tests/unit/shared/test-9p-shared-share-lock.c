/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Locks on exports (fsdev/shared/share-lock.h): who keeps whom away, in one
 * directory and in those above it. Each lock is on a descriptor of its own, so
 * one process can play all parts.
 */
#include "qemu/osdep.h"
#include <glib/gstdio.h>
#include "fsdev/shared/share-lock.h"

static char *top, *share, *inner;
static int top_fd, share_fd, inner_fd;

static int open_path(const char *path)
{
    int fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);

    g_assert_cmpint(fd, >=, 0);
    return fd;
}

static unsigned count_fds(void)
{
    GDir *dir = g_dir_open("/proc/self/fd", 0, NULL);
    unsigned n = 0;

    while (g_dir_read_name(dir)) {
        n++;
    }
    g_dir_close(dir);
    return n;
}

static int use(ShareLock *lock, int fd)
{
    return share_lock_use(lock, fd);
}

static int change(ShareLock *lock, int fd)
{
    unsigned where;

    return share_lock_change(lock, fd, &where);
}

static void test_use(void)
{
    unsigned before = count_fds();
    ShareLock a, b, c;

    g_assert_cmpint(use(&a, share_fd), ==, 0);
    g_assert_cmpint(use(&b, share_fd), ==, 0);
    g_assert_cmpint(change(&c, share_fd), ==, -EBUSY);
    share_unlock(&a);
    g_assert_cmpint(change(&c, share_fd), ==, -EBUSY);
    share_unlock(&b);
    g_assert_cmpint(change(&c, share_fd), ==, 0);
    g_assert_cmpint(use(&a, share_fd), ==, -EBUSY);
    g_assert_cmpint(change(&b, share_fd), ==, -EBUSY);
    share_unlock(&c);
    g_assert_cmpint(use(&a, share_fd), ==, 0);
    share_unlock(&a);
    g_assert_cmpuint(count_fds(), ==, before);
}

static void test_above(void)
{
    unsigned where = 99;
    unsigned before;
    ShareLock a, b;

    /* An export above: reading is fine, changing is not. */
    g_assert_cmpint(use(&a, top_fd), ==, 0);
    before = count_fds();
    g_assert_cmpint(use(&b, inner_fd), ==, 0);
    /* None of the directories above */
    g_assert_cmpuint(count_fds(), ==, before + 1);
    share_unlock(&b);
    g_assert_cmpint(share_lock_change(&b, inner_fd, &where), ==, -EBUSY);
    g_assert_cmpuint(where, ==, 2);
    share_unlock(&a);

    /* Changes above */
    g_assert_cmpint(change(&a, top_fd), ==, 0);
    g_assert_cmpint(use(&b, inner_fd), ==, -EBUSY);
    g_assert_cmpint(change(&b, inner_fd), ==, -EBUSY);
    share_unlock(&a);

    /* Changes below keep a server away that starts above. */
    g_assert_cmpint(change(&a, inner_fd), ==, 0);
    g_assert_cmpint(use(&b, share_fd), ==, -EBUSY);
    g_assert_cmpint(use(&b, top_fd), ==, -EBUSY);
    g_assert_cmpint(change(&b, top_fd), ==, -EBUSY);
    share_unlock(&a);
}

static void test_beside(void)
{
    g_autofree char *other = g_build_filename(top, "other", NULL);
    ShareLock a, b, c;
    int fd;

    g_assert_cmpint(g_mkdir(other, 0700), ==, 0);
    fd = open_path(other);
    g_assert_cmpint(change(&a, share_fd), ==, 0);
    g_assert_cmpint(change(&b, fd), ==, 0);
    share_unlock(&b);
    g_assert_cmpint(use(&c, fd), ==, 0);
    share_unlock(&c);
    share_unlock(&a);
    close(fd);
    g_rmdir(other);
}

static void test_unreadable(void)
{
    ShareLock a;

    if (geteuid() == 0) {
        g_test_skip("root may read any directory");
        return;
    }
    g_chmod(share, 0100);
    g_assert_cmpint(use(&a, share_fd), ==, -EACCES);
    g_assert_cmpint(change(&a, share_fd), ==, -EACCES);
    /* One above is no obstacle. */
    g_assert_cmpint(change(&a, inner_fd), ==, 0);
    share_unlock(&a);
    g_chmod(share, 0700);
}

int main(int argc, char **argv)
{
    int ret;

    g_test_init(&argc, &argv, NULL);
    top = g_dir_make_tmp("virtfs-lock-XXXXXX", NULL);
    share = g_build_filename(top, "share", NULL);
    inner = g_build_filename(share, "inner", NULL);
    g_assert_cmpint(g_mkdir_with_parents(inner, 0700), ==, 0);
    top_fd = open_path(top);
    share_fd = open_path(share);
    inner_fd = open_path(inner);
    g_test_add_func("/9p/share-lock/use", test_use);
    g_test_add_func("/9p/share-lock/above", test_above);
    g_test_add_func("/9p/share-lock/beside", test_beside);
    g_test_add_func("/9p/share-lock/unreadable", test_unreadable);
    ret = g_test_run();
    g_rmdir(inner);
    g_rmdir(share);
    g_rmdir(top);
    return ret;
}
