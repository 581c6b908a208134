/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The 9p server on the synth driver: the session, attributes, and open files.
 * virtio-9p-behaviour.h tests real files, on every driver.
 *
 * Each test has a client, and a device that was just reset.
 */
#include "qemu/osdep.h"
#include "qemu/module.h"
#include "virtio-9p-synth.h"

/*
 * The session
 */

static void assert_version(P9Client *c, const char *version, bool known)
{
    g_autofree char *got = NULL;
    uint32_t msize;

    g_assert_cmpint(p9c_version(c, P9C_MSIZE, version, &msize, &got), ==, 0);
    g_assert_cmpstr(got, ==, known ? version : "unknown");
    if (known) {
        g_assert_cmpuint(msize, ==, P9C_MSIZE);
    }
}

static void test_version(void *obj, void *data, QGuestAllocator *alloc)
{
    static const char *const unknown[] = {
        "", "9", "9P", "9P1999", "9P2000.X", "9p2000.L", "9P2000.L2", "unknown",
    };
    P9Client *c = p9c_new(obj);
    unsigned i;

    for (i = 0; i < ARRAY_SIZE(unknown); i++) {
        assert_version(c, unknown[i], false);
        /* After that there is no session. */
        p9c_refused(p9c_getattr_call(c, P9C_ROOT), EPROTO);
    }
    assert_version(c, P9C_VERSION, true);
    p9c_free(c);
}

static void test_msize(void *obj, void *data, QGuestAllocator *alloc)
{
    P9Client *c = p9c_new(obj);
    g_autofree char *big = g_malloc0(20000);
    g_autofree char *huge = NULL;
    uint32_t msize, iounit, n;
    P9Call *call;

    /* An msize that is too small */
    g_assert_cmpint(p9c_version(c, 4095, P9C_VERSION, NULL, NULL),
                    ==, EMSGSIZE);
    p9c_refused(p9c_getattr_call(c, P9C_ROOT), EPROTO);
    g_assert_cmpint(p9c_version(c, 0, P9C_VERSION, NULL, NULL), ==, EMSGSIZE);
    g_assert_cmpint(p9c_version(c, 4096, P9C_VERSION, &msize, NULL), ==, 0);
    g_assert_cmpuint(msize, ==, 4096);

    /* The reply has a limit, and never more than the request. */
    g_assert_cmpint(p9c_version(c, UINT32_MAX, P9C_VERSION, &msize, NULL),
                    ==, 0);
    g_assert_cmpuint(msize, >=, 128 * 1024);
    g_assert_cmpuint(msize, <=, 64 * 1024 * 1024);

    /* A message may not be longer than msize. */
    p9c_session(c);
    g_assert_cmpint(p9c_walk_to(c, P9C_ROOT, FID, "WRITE"), ==, 0);
    g_assert_cmpint(p9c_lopen(c, FID, P9C_O_WRONLY, NULL, &iounit), ==, 0);
    g_assert_cmpuint(iounit, <=, P9C_MSIZE - 23);
    n = P9C_MSIZE - 23;
    g_assert_cmpint(p9c_write(c, FID, 0, big, n, &n), ==, 0);
    g_assert_cmpuint(n, ==, P9C_MSIZE - 23);
    g_assert_cmpint(p9c_write(c, FID, 0, big, n + 1, NULL), ==, EMSGSIZE);
    g_assert_cmpint(p9c_write(c, FID, 0, big, 20000, NULL), ==, EMSGSIZE);

    huge = g_strnfill(P9C_MSIZE, 'x');
    g_assert_cmpint(p9c_walk_to(c, P9C_ROOT, 9, huge), ==, EMSGSIZE);

    /* A reply fits into its room, whatever the count. */
    g_assert_cmpint(p9c_walk_to(c, P9C_ROOT, FID + 1, "ReadDirDir"), ==, 0);
    g_assert_cmpint(p9c_lopen(c, FID + 1, P9C_O_RDONLY, NULL, NULL), ==, 0);
    call = p9c_request(c, P9C_TREADDIR, PUT(U32(FID + 1), U64(0), U32(20000)));
    p9c_submit_room(call, 2000);
    g_assert_cmpint(p9c_wait(call), ==, 0);
    g_assert_cmpuint(p9c_get_u32(call), ==, p9c_get_left(call));
    g_assert_cmpuint(p9c_get_left(call), <=, 2000 - P9C_HEADER - 4);
    /* An entry has at most 38 bytes here. */
    g_assert_cmpuint(p9c_get_left(call), >, 2000 - P9C_HEADER - 4 - 38);
    p9c_call_drop(call);
    p9c_free(c);
}

/* Tversion ends the previous session, with all requests in flight. */
static void test_version_again(void *obj, void *data, QGuestAllocator *alloc)
{
    P9Client *c = synth_session_open(obj, "FLUSH", P9C_O_WRONLY);
    P9Call *waiting = synth_write_call(c, 1);
    P9Call *version;

    p9c_submit(waiting);
    p9c_pause(c);
    g_assert_false(p9c_is_done(waiting));
    version = p9c_request(c, P9C_TVERSION,
                          PUT(U32(P9C_MSIZE), STR(P9C_VERSION)));
    p9c_submit(version);
    g_assert_cmpint(p9c_wait(version), ==, 0);
    p9c_get_u32(version);
    g_free(p9c_get_str(version));
    p9c_wait_flushed(waiting);
    g_assert_cmpuint(p9c_done_order(waiting), <, p9c_done_order(version));
    p9c_call_end(version);
    p9c_call_end(waiting);

    p9c_refused(p9c_getattr_call(c, P9C_ROOT), ENOENT);
    p9c_refused(p9c_getattr_call(c, FID), ENOENT);
    g_assert_cmpint(p9c_attach(c, FID, 0, NULL), ==, 0);
    g_assert_cmpint(p9c_getattr(c, FID, P9C_GETATTR_BASIC, NULL), ==, 0);
    p9c_free(c);
}

/* Two Tversions at once get a reply each; the second begins the session. */
static void test_version_twice(void *obj, void *data, QGuestAllocator *alloc)
{
    P9Client *c = synth_session_open(obj, "FLUSH", P9C_O_WRONLY);
    P9Call *waiting = synth_write_call(c, 1);
    P9Call *version[2];
    unsigned i;

    p9c_submit(waiting);
    for (i = 0; i < 2; i++) {
        version[i] = p9c_request(c, P9C_TVERSION,
                                 PUT(U32(i ? P9C_MSIZE : 2 * P9C_MSIZE),
                                     STR(P9C_VERSION)));
        p9c_submit(version[i]);
    }
    for (i = 0; i < 2; i++) {
        g_assert_cmpint(p9c_wait(version[i]), ==, 0);
        p9c_get_bytes(version[i], p9c_get_left(version[i]));
    }
    p9c_wait_flushed(waiting);
    g_assert_cmpuint(p9c_done_order(waiting), <, p9c_done_order(version[0]));
    g_assert_cmpuint(p9c_done_order(version[0]), <,
                     p9c_done_order(version[1]));
    p9c_call_end(version[0]);
    p9c_call_end(version[1]);
    p9c_call_end(waiting);
    p9c_refused(p9c_getattr_call(c, P9C_ROOT), ENOENT);
    g_assert_cmpint(p9c_attach(c, P9C_ROOT, 0, NULL), ==, 0);
    synth_alive(c);
    p9c_free(c);
}

static void test_attach(void *obj, void *data, QGuestAllocator *alloc)
{
    P9Client *c = p9c_new(obj);
    P9CQid root, again;
    P9Call *call;

    assert_version(c, P9C_VERSION, true);
    g_assert_cmpint(p9c_attach(c, 5, 0, &root), ==, 0);
    g_assert_cmphex(root.type, ==, P9C_QTDIR);

    /* A second Tattach gives the same root. */
    g_assert_cmpint(p9c_attach(c, 6, 1000, &again), ==, 0);
    g_assert_cmpuint(again.path, ==, root.path);
    g_assert_cmphex(again.type, ==, root.type);

    /* A fid in use, NOFID, and an afid without a Tauth */
    g_assert_cmpint(p9c_attach(c, 5, 0, NULL), ==, EBADF);
    g_assert_cmpint(p9c_attach(c, P9C_NOFID, 0, NULL), ==, EBADF);
    call = p9c_request(c, P9C_TATTACH,
                       PUT(U32(7), U32(5), STR("root"), STR(""), U32(0)));
    p9c_refused(call, EBADF);
    p9c_refused(p9c_getattr_call(c, 7), ENOENT);

    /* The server has no authentication. */
    call = p9c_request(c, P9C_TAUTH,
                       PUT(U32(7), STR("root"), STR(""), U32(0)));
    p9c_refused(call, EOPNOTSUPP);

    g_assert_cmpint(p9c_clunk(c, 5), ==, 0);
    g_assert_cmpint(p9c_attach(c, 5, 0, NULL), ==, 0);
    p9c_free(c);
}

static void test_clunk(void *obj, void *data, QGuestAllocator *alloc)
{
    P9Client *c = synth_session_open(obj, "LOPEN", P9C_O_RDONLY);

    g_assert_cmpint(p9c_clunk(c, FID), ==, 0);
    g_assert_cmpint(p9c_clunk(c, FID), ==, ENOENT);
    g_assert_cmpint(p9c_getattr(c, FID, P9C_GETATTR_BASIC, NULL), ==, ENOENT);
    g_assert_cmpint(p9c_walk_to(c, P9C_ROOT, FID, "LOPEN"), ==, 0);

    /* remove(5) of Plan 9: a failed Tremove clunks the fid, too. */
    g_assert_cmpint(p9c_remove(c, FID), ==, EPERM);
    g_assert_cmpint(p9c_clunk(c, FID), ==, ENOENT);
    g_assert_cmpint(p9c_walk_to(c, P9C_ROOT, FID, "LOPEN"), ==, 0);

    /* The root's fid is a fid like any other. */
    g_assert_cmpint(p9c_clunk(c, P9C_ROOT), ==, 0);
    g_assert_cmpint(p9c_getattr(c, FID, P9C_GETATTR_BASIC, NULL), ==, 0);
    p9c_free(c);
}

/*
 * Attributes
 */

static void test_getattr(void *obj, void *data, QGuestAllocator *alloc)
{
    static const struct {
        const char *path;
        uint32_t mode;
        uint8_t qid;
        uint64_t nlink;
        uint64_t size;
    } files[] = {
        /* ".", its name in the parent, and ".." in stat, WALK0, ReadDirDir */
        { "", S_IFDIR | 0755, P9C_QTDIR, 5, 0 },
        { "stat", S_IFDIR | 0755, P9C_QTDIR, 2, 0 },
        { "stat/xattr_count", S_IFREG | 0444, P9C_QTFILE, 1, 8 },
        { "WALK0", S_IFDIR | 0700, P9C_QTDIR, 3, 0 },
        { "LOPEN", S_IFREG | 0600, P9C_QTFILE, 1, 0 },
        { "ReadDirDir", S_IFDIR | 0700, P9C_QTDIR, 2, 0 },
    };
    P9Client *c = synth_session(obj);
    P9CAttr attr, open;
    P9CStatfs st;
    unsigned i;

    for (i = 0; i < ARRAY_SIZE(files); i++) {
        g_assert_cmpint(p9c_walk_to(c, P9C_ROOT, FID, files[i].path), ==, 0);
        g_assert_cmpint(p9c_getattr(c, FID, P9C_GETATTR_ALL, &attr), ==, 0);
        g_assert_cmphex(attr.valid & P9C_GETATTR_BASIC,
                        ==, P9C_GETATTR_BASIC);
        g_assert_cmphex(attr.mode, ==, files[i].mode);
        g_assert_cmphex(attr.qid.type, ==, files[i].qid);
        g_assert_cmpuint(attr.nlink, ==, files[i].nlink);
        g_assert_cmpuint(attr.size, ==, files[i].size);
        g_assert_cmpuint(attr.mtime_sec, >, 0);

        /* An open changes nothing of this. */
        g_assert_cmpint(p9c_lopen(c, FID, P9C_O_RDONLY, &open.qid, NULL),
                        ==, 0);
        g_assert_cmpuint(open.qid.path, ==, attr.qid.path);
        g_assert_cmpint(p9c_getattr(c, FID, P9C_GETATTR_ALL, &open), ==, 0);
        g_assert_cmpmem(&open, sizeof(open), &attr, sizeof(attr));
        g_assert_cmpint(p9c_clunk(c, FID), ==, 0);
    }

    g_assert_cmpint(p9c_statfs(c, P9C_ROOT, &st), ==, 0);
    g_assert_cmpuint(st.namelen, ==, 255);
    g_assert_cmpint(p9c_readlink(c, P9C_ROOT, NULL), ==, EINVAL);
    p9c_free(c);
}

/* The tree cannot change: EPERM. */
static void test_no_changes(void *obj, void *data, QGuestAllocator *alloc)
{
    const P9CSetAttr chmod = { .valid = P9C_SETATTR_MODE, .mode = 0777 };
    P9Client *c = synth_session(obj);
    P9CAttr attr;

    g_assert_cmpint(p9c_walk_to(c, P9C_ROOT, FID, "LOPEN"), ==, 0);
    g_assert_cmpint(p9c_setattr(c, FID, &chmod), ==, EPERM);
    g_assert_cmpint(p9c_getattr(c, FID, P9C_GETATTR_BASIC, &attr), ==, 0);
    g_assert_cmphex(attr.mode, ==, S_IFREG | 0600);

    g_assert_cmpint(p9c_mkdir(c, P9C_ROOT, "new", 0700, 0, NULL), ==, EPERM);
    g_assert_cmpint(p9c_mkdir(c, P9C_ROOT, "WALK0", 0700, 0, NULL),
                    ==, EEXIST);
    g_assert_cmpint(p9c_mkdir(c, FID, "new", 0700, 0, NULL), ==, ENOTDIR);
    g_assert_cmpint(p9c_mknod(c, P9C_ROOT, "new", S_IFIFO | 0600, 0, 0, 0,
                              NULL), ==, EPERM);
    g_assert_cmpint(p9c_symlink(c, P9C_ROOT, "new", "x", 0, NULL), ==, EPERM);
    g_assert_cmpint(p9c_link(c, P9C_ROOT, FID, "new"), ==, EPERM);
    g_assert_cmpint(p9c_rename(c, FID, P9C_ROOT, "new"), ==, EPERM);
    g_assert_cmpint(p9c_renameat(c, P9C_ROOT, "none", P9C_ROOT, "new"),
                    ==, ENOENT);
    g_assert_cmpint(p9c_unlinkat(c, P9C_ROOT, "LOPEN", 0), ==, EPERM);
    g_assert_cmpint(p9c_unlinkat(c, P9C_ROOT, "none", 0), ==, ENOENT);
    g_assert_cmpint(p9c_walk_to(c, P9C_ROOT, 2, "LOPEN"), ==, 0);
    p9c_free(c);
}

/* A read-only export refuses changes before any other check. */
static void test_readonly(void *obj, void *data, QGuestAllocator *alloc)
{
    const P9CSetAttr chmod = { .valid = P9C_SETATTR_MODE, .mode = 0777 };
    P9Client *c = synth_session(obj);

    g_assert_cmpint(p9c_walk_to(c, P9C_ROOT, FID, "WRITE"), ==, 0);
    g_assert_cmpint(p9c_lopen(c, FID, P9C_O_WRONLY, NULL, NULL), ==, EROFS);
    g_assert_cmpint(p9c_lopen(c, FID, P9C_O_RDWR, NULL, NULL), ==, EROFS);
    g_assert_cmpint(p9c_lopen(c, FID, P9C_O_TRUNC, NULL, NULL), ==, EROFS);
    g_assert_cmpint(p9c_setattr(c, FID, &chmod), ==, EROFS);
    g_assert_cmpint(p9c_xattrcreate(c, FID, "user.x", 1, 0),
                    ==, EROFS);
    g_assert_cmpint(p9c_lcreate(c, P9C_ROOT, "WRITE", P9C_O_RDONLY, 0600, 0,
                                NULL, NULL), ==, EROFS);
    g_assert_cmpint(p9c_mkdir(c, P9C_ROOT, "new", 0700, 0, NULL), ==, EROFS);
    g_assert_cmpint(p9c_mknod(c, P9C_ROOT, "new", S_IFIFO | 0600, 0, 0, 0,
                              NULL), ==, EROFS);
    g_assert_cmpint(p9c_symlink(c, P9C_ROOT, "new", "x", 0, NULL), ==, EROFS);
    g_assert_cmpint(p9c_link(c, P9C_ROOT, FID, "new"), ==, EROFS);
    g_assert_cmpint(p9c_rename(c, FID, P9C_ROOT, "new"), ==, EROFS);
    g_assert_cmpint(p9c_renameat(c, P9C_ROOT, "WRITE", P9C_ROOT, "new"),
                    ==, EROFS);
    g_assert_cmpint(p9c_unlinkat(c, P9C_ROOT, "WRITE", 0), ==, EROFS);
    g_assert_cmpint(p9c_lopen(c, FID, P9C_O_RDONLY, NULL, NULL), ==, 0);
    g_assert_cmpint(p9c_remove(c, FID), ==, EROFS);
    synth_alive(c);
    p9c_free(c);
}

/*
 * Open files
 */

static void test_lopen(void *obj, void *data, QGuestAllocator *alloc)
{
    P9Client *c = synth_session(obj);
    uint8_t byte = 0;
    uint32_t n;
    P9CQid qid;

    g_assert_cmpint(p9c_walk_to(c, P9C_ROOT, FID, "LOPEN"), ==, 0);
    g_assert_cmpint(p9c_read(c, FID, 0, 1, &byte, NULL), ==, EBADF);
    g_assert_cmpint(p9c_write(c, FID, 0, &byte, 1, NULL), ==, EBADF);
    g_assert_cmpint(p9c_fsync(c, FID, false), ==, EBADF);
    /* Linux' access mode 3 opens for nothing. */
    g_assert_cmpint(p9c_walk_to(c, P9C_ROOT, 3, "WRITE"), ==, 0);
    g_assert_cmpint(p9c_lopen(c, 3, P9C_O_ACCMODE, NULL, NULL), ==, 0);
    g_assert_cmpint(p9c_read(c, 3, 0, 1, &byte, NULL), ==, EBADF);
    g_assert_cmpint(p9c_write(c, 3, 0, &byte, 1, NULL), ==, EBADF);
    g_assert_cmpint(p9c_clunk(c, 3), ==, 0);
    g_assert_cmpint(p9c_lopen(c, FID, P9C_O_DIRECTORY, NULL, NULL),
                    ==, ENOTDIR);
    g_assert_cmpint(p9c_lopen(c, FID, P9C_O_RDONLY, &qid, NULL), ==, 0);
    g_assert_cmphex(qid.type, ==, P9C_QTFILE);
    g_assert_cmpint(p9c_read(c, FID, 0, 1, &byte, &n), ==, 0);
    g_assert_cmpuint(n, ==, 0);
    g_assert_cmpint(p9c_write(c, FID, 0, &byte, 1, NULL), ==, EBADF);
    g_assert_cmpint(p9c_fsync(c, FID, false), ==, 0);
    g_assert_cmpint(p9c_fsync(c, FID, true), ==, 0);

    /* An open fid can neither be opened again nor walk onto itself. */
    g_assert_cmpint(p9c_lopen(c, FID, P9C_O_RDONLY, NULL, NULL), ==, EBADF);
    g_assert_cmpint(p9c_walk_to(c, FID, FID, ".."), ==, EBADF);

    /* A clone is not open. */
    g_assert_cmpint(p9c_walk_to(c, FID, 2, ""), ==, 0);
    g_assert_cmpint(p9c_read(c, 2, 0, 1, &byte, NULL), ==, EBADF);
    g_assert_cmpint(p9c_lopen(c, 2, P9C_O_WRONLY, NULL, NULL), ==, 0);
    g_assert_cmpint(p9c_read(c, 2, 0, 1, &byte, NULL), ==, EBADF);

    /* Directories can only be read, and not with Tread. */
    g_assert_cmpint(p9c_walk_to(c, P9C_ROOT, 3, "WALK0"), ==, 0);
    g_assert_cmpint(p9c_lopen(c, 3, P9C_O_WRONLY, NULL, NULL), ==, EISDIR);
    g_assert_cmpint(p9c_lopen(c, 3, P9C_O_TRUNC, NULL, NULL), ==, EISDIR);
    g_assert_cmpint(p9c_lopen(c, 3, P9C_O_DIRECTORY, NULL, NULL), ==, 0);
    g_assert_cmpint(p9c_read(c, 3, 0, 1, &byte, NULL), ==, EISDIR);
    p9c_free(c);
}

static void test_lcreate(void *obj, void *data, QGuestAllocator *alloc)
{
    P9Client *c = synth_session(obj);
    uint8_t byte = 1;
    uint32_t n;
    P9CQid qid;

    g_assert_cmpint(p9c_walk_to(c, P9C_ROOT, FID, ""), ==, 0);
    g_assert_cmpint(p9c_lcreate(c, FID, "new", P9C_O_RDWR, 0600, 0,
                                NULL, NULL), ==, EPERM);
    g_assert_cmpint(p9c_lcreate(c, FID, "WRITE", P9C_O_RDWR | P9C_O_EXCL,
                                0600, 0, NULL, NULL), ==, EEXIST);
    g_assert_cmpint(p9c_lcreate(c, FID, "WALK0", P9C_O_RDWR, 0600, 0,
                                NULL, NULL), ==, EISDIR);
    g_assert_cmpint(p9c_lcreate(c, FID, "WRITE", P9C_O_RDWR, 0600,
                                P9C_NOUID, NULL, NULL), ==, EINVAL);

    /* The fid still means the directory; now it becomes the file. */
    g_assert_cmpint(p9c_lcreate(c, FID, "WRITE", P9C_O_RDWR, 0600, 0,
                                &qid, NULL), ==, 0);
    g_assert_cmphex(qid.type, ==, P9C_QTFILE);
    g_assert_cmpint(p9c_write(c, FID, 0, &byte, 1, &n), ==, 0);
    g_assert_cmpuint(n, ==, 1);
    g_assert_cmpint(p9c_lcreate(c, FID, "WRITE", P9C_O_RDWR, 0600, 0,
                                NULL, NULL), ==, ENOTDIR);
    p9c_free(c);
}

static void test_write(void *obj, void *data, QGuestAllocator *alloc)
{
    static const uint64_t offsets[] = {
        0, 1, 4096, UINT32_MAX, 1ull << 40, INT64_MAX - 5000,
    };
    P9Client *c = synth_session_open(obj, "WRITE", P9C_O_RDWR);
    g_autofree uint8_t *buf = g_malloc0(5001);
    P9Call *call;
    unsigned i;
    uint32_t n;

    for (i = 0; i < ARRAY_SIZE(offsets); i++) {
        g_assert_cmpint(p9c_write(c, FID, offsets[i], buf, 5000, &n), ==, 0);
        g_assert_cmpuint(n, ==, 5000);
    }
    g_assert_cmpint(p9c_write(c, FID, 0, buf, 0, &n), ==, 0);
    g_assert_cmpuint(n, ==, 0);

    /* pwrite(2): offsets that no file has */
    g_assert_cmpint(p9c_write(c, FID, INT64_MAX - 4999, buf, 5001, NULL),
                    ==, EFBIG);
    g_assert_cmpint(p9c_write(c, FID, 1ull << 63, buf, 1, NULL), ==, EINVAL);
    g_assert_cmpint(p9c_write(c, FID, UINT64_MAX, buf, 1, NULL), ==, EINVAL);
    g_assert_cmpint(p9c_read(c, FID, 1ull << 63, 1, buf, NULL), ==, EINVAL);
    g_assert_cmpint(p9c_read(c, FID, INT64_MAX, 100, buf, &n), ==, 0);
    g_assert_cmpuint(n, ==, 0);

    /* A count that differs from the length of the data */
    for (i = 0; i < 2; i++) {
        call = p9c_request(c, P9C_TWRITE,
                           PUT(U32(FID), U64(0), U32(i ? 9 : 11),
                               DATA(buf, 10)));
        p9c_refused(call, EINVAL);
    }
    call = p9c_request(c, P9C_TWRITE,
                       PUT(U32(FID), U64(0), U32(UINT32_MAX), DATA(buf, 10)));
    p9c_refused(call, EINVAL);
    synth_alive(c);
    p9c_free(c);
}

static void test_read(void *obj, void *data, QGuestAllocator *alloc)
{
    P9Client *c = synth_session_open(obj, "stat/xattr_count", P9C_O_RDONLY);
    uint8_t buf[16];
    uint64_t count;
    uint32_t n;

    g_assert_cmpint(p9c_read(c, FID, 0, 16, buf, &n), ==, 0);
    g_assert_cmpuint(n, ==, sizeof(count));
    memcpy(&count, buf, sizeof(count));
    g_assert_cmpuint(count, ==, 0);
    g_assert_cmpint(p9c_read(c, FID, 0, 3, buf, &n), ==, 0);
    g_assert_cmpuint(n, ==, 3);
    g_assert_cmpint(p9c_read(c, FID, 5, 16, buf, &n), ==, 0);
    g_assert_cmpuint(n, ==, 3);
    g_assert_cmpint(p9c_read(c, FID, 8, 16, buf, &n), ==, 0);
    g_assert_cmpuint(n, ==, 0);
    g_assert_cmpint(p9c_read(c, FID, 0, 0, buf, &n), ==, 0);
    g_assert_cmpuint(n, ==, 0);
    /* A count beyond the size of a reply is reduced. */
    g_assert_cmpint(p9c_read(c, FID, 0, UINT32_MAX, buf, &n), ==, 0);
    g_assert_cmpuint(n, ==, 8);
    p9c_free(c);
}

/* The synth driver has no locks, so the server must grant none. */
static void test_no_locks(void *obj, void *data, QGuestAllocator *alloc)
{
    P9Client *c = synth_session_open(obj, "WRITE", P9C_O_RDWR);
    P9CLock lock = { .type = P9C_LOCK_WRLCK, .client_id = "test" };

    g_assert_cmpint(p9c_lock(c, FID, &lock, NULL), ==, ENOLCK);
    g_assert_cmpint(p9c_getlock(c, FID, &lock), ==, ENOLCK);
    synth_alive(c);
    p9c_free(c);
}

static void *before_readonly(GString *cmd_line, void *arg)
{
    g_autofree char *opts = g_strdup_printf("synth,%s", (char *)arg);

    qvirtio_9p_set_fsdev(cmd_line, opts);
    return arg;
}

#define POLLS           1100
#define POLL_PAUSE_US   6000
#define POLL_LATE_US    10000

/*
 * A program that polls for new data, with pauses, gets its replies at once, for
 * ever. A client that reads without pauses gets them late: "read-end".
 */
static void test_poll_end(void *obj, void *data, QGuestAllocator *alloc)
{
    P9Client *c;
    unsigned i, late = 0;
    uint32_t n;
    char byte;

    if (!g_test_slow()) {
        g_test_skip("only in slow mode");
        return;
    }
    c = synth_session_open(obj, "stat/xattr_count", P9C_O_RDONLY);
    for (i = 0; i < POLLS; i++) {
        gint64 start = g_get_monotonic_time();

        g_assert_cmpint(p9c_read(c, FID, 1 << 30, 1, &byte, &n), ==, 0);
        g_assert_cmpuint(n, ==, 0);
        late += g_get_monotonic_time() - start >= POLL_LATE_US;
        g_usleep(POLL_PAUSE_US);
    }
    /* A busy machine is late now and then. */
    g_assert_cmpuint(late, <, POLLS / 20);
    p9c_free(c);
}

static void register_tests(void)
{
    static const QVirtio9PTest tests[] = {
        { "version", test_version },
        { "msize", test_msize },
        { "version-again", test_version_again },
        { "version-twice", test_version_twice },
        { "attach", test_attach },
        { "clunk", test_clunk },
        { "getattr", test_getattr },
        { "no-changes", test_no_changes },
        { "lopen", test_lopen },
        { "lcreate", test_lcreate },
        { "write", test_write },
        { "read", test_read },
        { "poll-end", test_poll_end },
        { "no-locks", test_no_locks },
        { NULL }
    };
    QOSGraphTestOptions readonly = {
        .before = before_readonly,
        .arg = (void *)"readonly=on",
    };

    qvirtio_9p_add_tests("synth", "virtio-9p", tests, NULL);
    qvirtio_9p_add_test("synth/readonly", "virtio-9p", test_readonly,
                        &readonly);
    readonly.arg = (void *)"readonly";
    qvirtio_9p_add_test("synth/readonly-short", "virtio-9p", test_readonly,
                        &readonly);
}
libqos_init(register_tests);
