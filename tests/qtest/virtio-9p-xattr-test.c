/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Extended attributes on the synth driver, which has none: fids for reading and
 * writing them, and the limit of their number per export. The driver's file
 * stat/xattr_count has their number.
 */
#include "qemu/osdep.h"
#include "qemu/module.h"
#include "virtio-9p-synth.h"

/* Flags of Txattrcreate, as of setxattr(2) */
#define XATTR_ANY           0

/* The limit of the export that has one */
#define FEW_XATTRS          3

/* The number in stat/xattr_count, which is open as FID */
static uint64_t xattr_count(P9Client *c)
{
    uint64_t count;
    uint32_t n;

    g_assert_cmpint(p9c_read(c, FID, 0, sizeof(count), &count, &n), ==, 0);
    g_assert_cmpuint(n, ==, sizeof(count));
    return count;
}

static void test_xattr(void *obj, void *data, QGuestAllocator *alloc)
{
    P9Client *c = synth_session_open(obj, "stat/xattr_count", P9C_O_RDONLY);
    g_autofree char *name = g_strnfill(256, 'x');
    uint64_t size;
    uint32_t n;

    g_assert_cmpuint(xattr_count(c), ==, 0);
    g_assert_cmpint(p9c_walk_to(c, P9C_ROOT, 2, "WRITE"), ==, 0);

    /* Reading */
    g_assert_cmpint(p9c_xattrwalk(c, 2, 3, "", &size), ==, 0);
    g_assert_cmpuint(size, ==, 0);
    g_assert_cmpuint(xattr_count(c), ==, 1);
    g_assert_cmpint(p9c_xattrwalk(c, 2, 3, "", NULL), ==, EBADF);
    g_assert_cmpint(p9c_getattr(c, 3, P9C_GETATTR_BASIC, NULL), ==, EBADF);
    g_assert_cmpint(p9c_walk_to(c, 3, 4, ""), ==, EBADF);
    g_assert_cmpint(p9c_write(c, 3, 0, "x", 1, NULL), ==, EBADF);
    g_assert_cmpint(p9c_clunk(c, 3), ==, 0);
    g_assert_cmpuint(xattr_count(c), ==, 0);
    g_assert_cmpint(p9c_xattrwalk(c, 2, 3, "user.x", NULL), ==, ENODATA);
    g_assert_cmpint(p9c_xattrwalk(c, 2, 3, name, NULL), ==, ERANGE);
    g_assert_cmpint(p9c_xattrwalk(c, 2, 3, "security.capability", NULL), ==,
                    EOPNOTSUPP);
    g_assert_cmpint(p9c_xattrwalk(c, 999, 3, "", NULL), ==, ENOENT);
    g_assert_cmpuint(xattr_count(c), ==, 0);

    /* Writing */
    g_assert_cmpint(p9c_xattrcreate(c, 2, "user.x", 10, XATTR_ANY), ==, 0);
    g_assert_cmpuint(xattr_count(c), ==, 1);
    g_assert_cmpint(p9c_write(c, 2, 0, "01234", 5, &n), ==, 0);
    g_assert_cmpuint(n, ==, 5);
    g_assert_cmpint(p9c_write(c, 2, 5, "56789", 5, &n), ==, 0);
    g_assert_cmpint(p9c_write(c, 2, 10, "x", 1, NULL), ==, ENOSPC);
    g_assert_cmpint(p9c_write(c, 2, UINT32_MAX, "x", 1, NULL), ==, ENOSPC);
    g_assert_cmpint(p9c_read(c, 2, 0, 1, &n, NULL), ==, EBADF);
    g_assert_cmpint(p9c_clunk(c, 2), ==, 0);
    g_assert_cmpuint(xattr_count(c), ==, 0);
    g_assert_cmpint(p9c_clunk(c, 2), ==, ENOENT);

    /* The clunk fails because the value is incomplete. */
    g_assert_cmpint(p9c_walk_to(c, P9C_ROOT, 2, "WRITE"), ==, 0);
    g_assert_cmpint(p9c_xattrcreate(c, 2, "user.x", 10, XATTR_ANY), ==, 0);
    g_assert_cmpint(p9c_write(c, 2, 0, "01234", 5, &n), ==, 0);
    g_assert_cmpint(p9c_clunk(c, 2), ==, EINVAL);
    g_assert_cmpint(p9c_clunk(c, 2), ==, ENOENT);
    g_assert_cmpuint(xattr_count(c), ==, 0);

    /* Values, names and flags that setxattr(2) would refuse */
    g_assert_cmpint(p9c_walk_to(c, P9C_ROOT, 2, "WRITE"), ==, 0);
    g_assert_cmpint(p9c_xattrcreate(c, 2, "user.x", 65537, XATTR_ANY),
                    ==, E2BIG);
    g_assert_cmpint(p9c_xattrcreate(c, 2, "user.x", UINT64_MAX, XATTR_ANY),
                    ==, E2BIG);
    g_assert_cmpint(p9c_xattrcreate(c, 2, name, 1, XATTR_ANY), ==, ERANGE);
    g_assert_cmpint(p9c_xattrcreate(c, 2, "", 1, XATTR_ANY), ==, ERANGE);
    g_assert_cmpint(p9c_xattrcreate(c, 2, "trusted.x", 1, XATTR_ANY), ==,
                    EOPNOTSUPP);
    g_assert_cmpint(p9c_xattrcreate(c, 2, "user.virtfs.x", 1, XATTR_ANY), ==,
                    EOPNOTSUPP);
    g_assert_cmpint(p9c_xattrcreate(c, 2, "user.x", 1, 4), ==, EINVAL);
    g_assert_cmpuint(xattr_count(c), ==, 0);

    /* They end with the session. */
    g_assert_cmpint(p9c_xattrwalk(c, 2, 3, "", NULL), ==, 0);
    g_assert_cmpint(p9c_xattrcreate(c, 2, "user.x", 1, XATTR_ANY), ==, 0);
    g_assert_cmpuint(xattr_count(c), ==, 2);
    p9c_session(c);
    g_assert_cmpint(p9c_walk_to(c, P9C_ROOT, FID, "stat/xattr_count"), ==, 0);
    g_assert_cmpint(p9c_lopen(c, FID, P9C_O_RDONLY, NULL, NULL), ==, 0);
    g_assert_cmpuint(xattr_count(c), ==, 0);
    p9c_free(c);
}

/* At most @data of them at once; 0 stands for no limit. */
static void test_max_xattr(void *obj, void *data, QGuestAllocator *alloc)
{
    unsigned max = GPOINTER_TO_UINT(data);
    unsigned num = max ?: 1100;
    P9Client *c = synth_session_open(obj, "stat/xattr_count", P9C_O_RDONLY);
    const uint32_t base = 100;
    unsigned i;

    for (i = 0; i < num; i++) {
        if (i & 1) {
            g_assert_cmpint(p9c_xattrwalk(c, P9C_ROOT, base + i, "", NULL),
                            ==, 0);
        } else {
            g_assert_cmpint(p9c_walk_to(c, P9C_ROOT, base + i, "WRITE"),
                            ==, 0);
            g_assert_cmpint(p9c_xattrcreate(c, base + i, "user.x", 1,
                                            XATTR_ANY), ==, 0);
        }
    }
    g_assert_cmpuint(xattr_count(c), ==, num);

    if (max) {
        g_assert_cmpint(p9c_walk_to(c, P9C_ROOT, 2, "WRITE"), ==, 0);
        for (i = 0; i < 2; i++) {
            g_assert_cmpint(p9c_xattrcreate(c, 2, "user.x", 1, XATTR_ANY),
                            ==, ENOSPC);
            g_assert_cmpint(p9c_xattrwalk(c, 2, 3, "", NULL), ==, ENOSPC);
            g_assert_cmpuint(xattr_count(c), ==, max);
            /* A clunk makes room for exactly one, of either kind. */
            g_assert_cmpint(p9c_clunk(c, base + i), ==, 0);
            g_assert_cmpuint(xattr_count(c), ==, max - 1);
            g_assert_cmpint(p9c_xattrwalk(c, 2, base + i, "", NULL), ==, 0);
        }
        /* A failed Txattrwalk takes no place. */
        g_assert_cmpint(p9c_clunk(c, base), ==, 0);
        for (i = 0; i < 5; i++) {
            g_assert_cmpint(p9c_xattrwalk(c, 2, 3, "user.x", NULL),
                            ==, ENODATA);
        }
        g_assert_cmpint(p9c_xattrwalk(c, 2, 3, "", NULL), ==, 0);
    }
    p9c_free(c);
}

static void *before_max_xattr(GString *cmd_line, void *arg)
{
    g_autofree char *opts = g_strdup_printf("synth,max_xattr=%u",
                                            GPOINTER_TO_UINT(arg));

    qvirtio_9p_set_fsdev(cmd_line, opts);
    return arg;
}

static void register_tests(void)
{
    QOSGraphTestOptions max_xattr = { .before = before_max_xattr };

    qvirtio_9p_add_test("synth/xattr", "virtio-9p", test_xattr, NULL);
    max_xattr.arg = GUINT_TO_POINTER(FEW_XATTRS);
    qvirtio_9p_add_test("synth/max-xattr", "virtio-9p", test_max_xattr,
                        &max_xattr);
    max_xattr.arg = GUINT_TO_POINTER(0);
    qvirtio_9p_add_test("synth/max-xattr-none", "virtio-9p", test_max_xattr,
                        &max_xattr);
    /* The default */
    max_xattr.before = NULL;
    max_xattr.arg = GUINT_TO_POINTER(1024);
    qvirtio_9p_add_test("synth/max-xattr-default", "virtio-9p", test_max_xattr,
                        &max_xattr);
}
libqos_init(register_tests);
