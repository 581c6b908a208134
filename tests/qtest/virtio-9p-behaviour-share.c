/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Behaviour of the share as a whole: readonly=on, and two QEMUs on one folder.
 */
#include "qemu/osdep.h"
#include <sys/xattr.h>
#include "libqtest-single.h"
#include "libqos/qgraph.h"
#include "virtio-9p-behaviour.h"

/* QEMU refuses every message that would change something. */
static void test_readonly(Test *t)
{
    struct stat before, after;
    uint64_t size;
    P9CSetAttr set = { .mode = 0, .size = 1 };
    int i;

    host_write(t, "f", "data");
    host_mkdir(t, "d");
    before = host_stat(t, "f");
    ok(walk(t, ROOT, 1, "f"));
    ok(walk(t, ROOT, 2, "f"));
    ok(walk(t, ROOT, 3, ""));
    ok(walk(t, ROOT, 4, "f"));
    fails(open_fid(t, 1, P9C_O_RDWR), EROFS);
    fails(open_fid(t, 1, P9C_O_WRONLY), EROFS);
    fails(open_fid(t, 1, P9C_O_RDONLY | P9C_O_TRUNC), EROFS);
    fails(create(t, 3, "x", P9C_O_RDWR, 0600), EROFS);
    fails(create(t, 3, "x", P9C_O_RDWR | P9C_O_EXCL, 0600), EROFS);
    fails(make_dir(t, ROOT, "x", 0700), EROFS);
    fails(make_node(t, ROOT, "x", S_IFIFO | 0600, 0, 0), EROFS);
    fails(make_node(t, ROOT, "x", S_IFREG | 0600, 0, 0), EROFS);
    fails(make_symlink(t, ROOT, "x", "y"), EROFS);
    fails(p9c_link(t->c, ROOT, 1, "x"), EROFS);
    fails(p9c_renameat(t->c, ROOT, "f", ROOT, "x"), EROFS);
    fails(p9c_rename(t->c, 1, ROOT, "x"), EROFS);
    fails(p9c_unlinkat(t->c, ROOT, "f", 0), EROFS);
    fails(p9c_unlinkat(t->c, ROOT, "d", P9C_AT_REMOVEDIR), EROFS);
    for (i = 0; i < 9; i++) {
        if ((1u << i) == P9C_SETATTR_ATIME_SET ||
            (1u << i) == P9C_SETATTR_MTIME_SET) {
            continue;           /* no effect without the time's bit */
        }
        set.valid = 1u << i;
        fails(p9c_setattr(t->c, 1, &set), EROFS);
    }
    fails(put_xattr(t, 1, "user.test", "x", 1, 0), EROFS);
    fails(put_xattr(t, 1, "user.test", NULL, 0, XATTR_REPLACE), EROFS);
    fails(p9c_remove(t->c, 2), EROFS);
    fails(getattr(t, 2, NULL), ENOENT);

    /* Messages that change nothing work. */
    ok(open_fid(t, 1, P9C_O_RDONLY));
    read_is(t, 1, 0, "data");
    fails(p9c_write(t->c, 1, 0, "x", 1, NULL), EROFS);
    ok(p9c_fsync(t->c, 1, false));
    ok(p9c_xattrwalk(t->c, 4, 5, "", &size));
    ok(clunk(t, 5));
    ok(open_fid(t, 3, P9C_O_DIRECTORY));
    {
        g_autoptr(GPtrArray) all = p9c_readdir_all(t->c, 3, 1000);

        g_assert_cmpuint(all->len, ==, 4);
    }
    after = host_stat(t, "f");
    g_assert_cmphex(before.st_mode, ==, after.st_mode);
    g_assert_cmpint(before.st_ctim.tv_sec, ==, after.st_ctim.tv_sec);
    g_assert_cmpint(before.st_ctim.tv_nsec, ==, after.st_ctim.tv_nsec);
    g_assert_true(host_has(t, "d"));
    g_assert_false(host_has(t, "x"));
    host_is(t, "f", "data");
}

static void quit(void *qts)
{
    qtest_quit(qts);
}

/* Another QEMU with the same options, and a session with it */
static P9Client *second_client(Test *t)
{
    QTestState *first = global_qtest;
    QTestState *second = qtest_init(t->cmd_line);
    QGuestAllocator *alloc;
    P9Client *c;

    g_test_queue_destroy(quit, second);
    /* A client belongs to the current QEMU. */
    global_qtest = second;
    c = p9c_new(qos_allocate_objects(second, &alloc));
    global_qtest = first;
    return c;
}

static void same_attr(const P9CAttr *a, const P9CAttr *b)
{
    g_assert_cmphex(a->mode, ==, b->mode);
    g_assert_cmpuint(a->uid, ==, b->uid);
    g_assert_cmpuint(a->gid, ==, b->gid);
    g_assert_cmpuint(a->nlink, ==, b->nlink);
    g_assert_cmpuint(a->rdev, ==, b->rdev);
    g_assert_cmpuint(a->size, ==, b->size);
    g_assert_cmpint(a->mtime_sec, ==, b->mtime_sec);
    g_assert_cmpint(a->mtime_nsec, ==, b->mtime_nsec);
    g_assert_cmpint(a->ctime_sec, ==, b->ctime_sec);
    g_assert_cmpint(a->ctime_nsec, ==, b->ctime_nsec);
}

/* Another QEMU sees the same files, and the first sees its changes. */
static void test_second(Test *t)
{
    static const char *const names[] = { "f", "d", "l", "p", "d/g" };
    P9Client *one = t->c, *two;
    P9CAttr a, b;
    int i;

    make_file(t, ROOT, "f", "data");
    ok(make_dir(t, ROOT, "d", 01751));
    ok(make_symlink(t, ROOT, "l", "where/to"));
    ok(make_node(t, ROOT, "p", S_IFIFO | 0611, 0, 0));
    ok(walk(t, ROOT, 1, "f"));
    ok(set_mode(t, 1, 04711));
    ok(walk(t, ROOT, 2, "d"));
    ok(p9c_link(t->c, 2, 1, "g"));
    if (has(t, HAS_OWNERS)) {
        ok(setattr(t, 2, (P9CSetAttr) {
            .valid = P9C_SETATTR_UID | P9C_SETATTR_GID, .uid = 7, .gid = 8,
        }));
    }

    two = second_client(t);
    t->c = two;
    session(t);
    for (i = 0; i < ARRAY_SIZE(names); i++) {
        t->c = one;
        a = attr_of(t, names[i]);
        t->c = two;
        b = attr_of(t, names[i]);
        same_attr(&a, &b);
    }
    content_is(t, "f", "data");
    g_assert_true(same_file(t, "f", "d/g"));
    ok(walk(t, ROOT, 1, "l"));
    readlink_is(t, 1, "where/to");

    /* The second changes files that the first has open. */
    ok(walk(t, ROOT, 2, "f"));
    ok(set_mode(t, 2, 0640));
    ok(open_fid(t, 2, P9C_O_RDWR));
    write_all(t, 2, 4, "more");
    ok(p9c_renameat(t->c, ROOT, "d", ROOT, "moved"));
    ok(p9c_unlinkat(t->c, ROOT, "p", 0));
    t->c = one;
    ok(getattr(t, 1, &a));
    g_assert_cmpuint(a.size, ==, 8);
    g_assert_cmphex(a.mode, ==, S_IFREG | 0640);
    content_is(t, "moved/g", "datamore");
    g_assert_false(guest_has(t, "d"));
    g_assert_false(guest_has(t, "p"));
    t->c = two;
    p9c_free(two);
    t->c = one;
}

const Case behaviour_share[] = {
    { "second-qemu", test_second, HAS_HOST, CASE_SHORT },
    { "readonly", test_readonly, HAS_HOST, CASE_SHORT, ",readonly=on" },
    { NULL }
};
