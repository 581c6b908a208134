/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Behaviour of open files: their data, how they are opened and made, and
 * requests that are in flight together.
 */
#include "qemu/osdep.h"
#include "virtio-9p-behaviour.h"

#define PARALLEL    32
#define APPENDED    3000
#define FAR         (5 * GiB)

static void test_read_write(Test *t)
{
    char buf[64];
    uint32_t n;

    ok(walk(t, ROOT, 1, ""));
    ok(create(t, 1, "new", P9C_O_RDWR, 0640));
    write_all(t, 1, 0, "hello world");
    write_all(t, 1, 6, "earth");
    read_is(t, 1, 0, "hello earth");
    ok(p9c_read(t->c, 1, 4, 3, buf, &n));
    g_assert_cmpmem(buf, n, "o e", 3);
    read_is(t, 1, 11, "");
    read_is(t, 1, 1 << 30, "");
    host_is(t, "new", "hello earth");
    /* The guest reads the host's changes at once. */
    host_write(t, "new", "the host's");
    read_is(t, 1, 0, "the host's");

    /* Operations that the fid is not open for */
    ok(walk(t, ROOT, 2, "new"));
    fails(p9c_read(t->c, 2, 0, 1, buf, &n), EBADF);
    fails(p9c_fsync(t->c, 2, false), EBADF);
    ok(open_fid(t, 2, P9C_O_RDONLY));
    fails(p9c_write(t->c, 2, 0, "x", 1, &n), EBADF);
    fails(open_fid(t, 2, P9C_O_RDONLY), EBADF);        /* it is open */
    fails(create(t, 2, "x", P9C_O_RDWR, 0644), ENOTDIR);
}

static void test_create(Test *t)
{
    P9CQid qid;
    P9CAttr a;

    ok(walk(t, ROOT, 1, ""));
    ok(p9c_lcreate(t->c, 1, "f", P9C_O_RDWR | P9C_O_EXCL, 04751, t->gid, &qid,
                   NULL));
    /* The fid means the file now. */
    ok(getattr(t, 1, &a));
    g_assert_cmpuint(a.qid.path, ==, qid.path);
    g_assert_cmphex(a.mode, ==, S_IFREG | 04751);
    g_assert_cmpuint(a.uid, ==, t->uid);
    g_assert_cmpuint(a.gid, ==, t->gid);
    same_inode(t, 1, "f");
    write_all(t, 1, 0, "data");
    ok(clunk(t, 1));

    ok(walk(t, ROOT, 1, ""));
    fails(create(t, 1, "f", P9C_O_RDWR | P9C_O_EXCL, 0600), EEXIST);
    /* Without O_EXCL the file is opened and keeps its content and mode. */
    ok(create(t, 1, "f", P9C_O_RDWR, 0600));
    read_is(t, 1, 0, "data");
    g_assert_cmphex(attr_of(t, "f").mode & 0777, ==, 0751);
    ok(clunk(t, 1));
    ok(walk(t, ROOT, 1, ""));
    ok(create(t, 1, "f", P9C_O_RDWR | P9C_O_TRUNC, 0600));
    read_is(t, 1, 0, "");
    ok(clunk(t, 1));

    ok(make_dir(t, ROOT, "d", 0755));
    ok(walk(t, ROOT, 1, ""));
    fails(create(t, 1, "d", P9C_O_RDONLY, 0644), EISDIR);
    fails(create(t, 1, "d", P9C_O_RDWR | P9C_O_EXCL, 0644), EEXIST);
    /* An invalid group, an open directory */
    fails(p9c_lcreate(t->c, 1, "x", P9C_O_RDWR, 0644, P9C_NOUID, NULL, NULL),
          EINVAL);
    ok(walk(t, ROOT, 3, ""));
    ok(open_fid(t, 3, P9C_O_DIRECTORY));
    fails(create(t, 3, "x", P9C_O_RDWR, 0644), EBADF);
    fails(create(t, 99, "x", P9C_O_RDWR, 0644), ENOENT);
    g_assert_false(host_has(t, "x"));
    /* A file without permissions, written by the fid that made it */
    ok(create(t, 1, "locked", P9C_O_RDWR | P9C_O_EXCL, 0));
    write_all(t, 1, 0, "x");
    host_mode_is(t, "locked", S_IFREG);
    /* The guest's root can open it again. */
    ok(walk(t, ROOT, 2, "locked"));
    ok(open_fid(t, 2, P9C_O_RDWR));
    read_is(t, 2, 0, "x");
}

static void test_open(Test *t)
{
    char buf[8];
    uint32_t n;

    host_write(t, "f", "abc");
    ok(make_dir(t, ROOT, "d", 0755));
    ok(walk(t, ROOT, 1, "f"));
    ok(open_fid(t, 1, P9C_O_WRONLY | P9C_O_APPEND));
    write_all(t, 1, 0, "def");
    host_is(t, "f", "abcdef");
    fails(p9c_read(t->c, 1, 0, 1, buf, &n), EBADF);
    ok(walk(t, ROOT, 2, "f"));
    fails(open_fid(t, 2, P9C_O_RDONLY | P9C_O_DIRECTORY), ENOTDIR);
    ok(open_fid(t, 2, P9C_O_RDWR | P9C_O_TRUNC));
    host_is(t, "f", "");
    g_assert_cmpuint(attr_of(t, "f").size, ==, 0);
    write_all(t, 1, 0, "ghi");
    read_is(t, 2, 0, "ghi");

    ok(walk(t, ROOT, 3, "d"));
    fails(open_fid(t, 3, P9C_O_RDWR), EISDIR);
    fails(open_fid(t, 3, P9C_O_WRONLY), EISDIR);
    ok(open_fid(t, 3, P9C_O_RDONLY));
    fails(p9c_write(t->c, 3, 0, "x", 1, NULL), EISDIR);
    fails(p9c_read(t->c, 3, 0, 1, buf, &n), EISDIR);
    fails(open_fid(t, 99, P9C_O_RDONLY), ENOENT);
}

static void does_nothing(Test *t, uint32_t fid)
{
    char byte;

    fails(p9c_read(t->c, fid, 0, 1, &byte, NULL), EBADF);
    fails(p9c_write(t->c, fid, 0, "x", 1, NULL), EBADF);
}

/*
 * Linux' access mode 3 asks for the permission to read and to write, and the
 * open file does neither. Everything else works.
 */
static void test_open_nothing(Test *t)
{
    P9CAttr a;

    host_write(t, "f", "data");
    host_mkdir(t, "d");
    ok(walk(t, ROOT, 1, "f"));
    ok(open_fid(t, 1, P9C_O_ACCMODE));
    does_nothing(t, 1);
    ok(getattr(t, 1, &a));
    g_assert_cmpuint(a.size, ==, 4);
    ok(p9c_fsync(t->c, 1, false));
    ok(set_mode(t, 1, 0640));
    ok(setattr(t, 1, (P9CSetAttr) { .valid = P9C_SETATTR_SIZE, .size = 3 }));
    host_is(t, "f", "dat");
    /* It serves other fids as little, also once it has no name. */
    ok(walk(t, ROOT, 2, "f"));
    ok(open_fid(t, 2, P9C_O_RDONLY));
    read_is(t, 2, 0, "dat");
    ok(unlink_at(t, ROOT, "f", 0));
    does_nothing(t, 1);
    read_is(t, 2, 0, "dat");
    ok(clunk(t, 1));

    host_write(t, "f", "data");
    ok(walk(t, ROOT, 1, "f"));
    ok(open_fid(t, 1, P9C_O_ACCMODE | P9C_O_TRUNC));
    host_is(t, "f", "");
    does_nothing(t, 1);
    ok(walk(t, ROOT, 3, "d"));
    fails(open_fid(t, 3, P9C_O_ACCMODE), EISDIR);
    /* A new file, and one that is there */
    ok(create(t, 3, "new", P9C_O_ACCMODE | P9C_O_EXCL, 0600));
    does_nothing(t, 3);
    host_mode_is(t, "d/new", S_IFREG | 0600);
    ok(walk(t, ROOT, 4, "d"));
    ok(create(t, 4, "new", P9C_O_ACCMODE, 0600));
    does_nothing(t, 4);
}

static void test_open_nothing_readonly(Test *t)
{
    host_write(t, "f", "data");
    ok(walk(t, ROOT, 1, "f"));
    fails(open_fid(t, 1, P9C_O_ACCMODE), EROFS);
    ok(open_fid(t, 1, P9C_O_RDONLY));
}

static gint64 read_end(Test *t, uint32_t fid, uint64_t offset, unsigned times)
{
    gint64 start = g_get_monotonic_time();
    unsigned i;

    for (i = 0; i < times; i++) {
        read_is(t, fid, offset, "");
    }
    return g_get_monotonic_time() - start;
}

/*
 * Reads on until the replies come late. A busy machine makes pauses between
 * reads, each of which is worth two of them to the server.
 */
static void assert_gets_late(Test *t, uint32_t fid, uint64_t offset)
{
    unsigned i;

    for (i = 0; i < 40; i++) {
        if (read_end(t, fid, offset, 20) >= 20 * 10 * 1000) {
            return;
        }
    }
    g_assert_not_reached();
}

/*
 * A client that reads at the end of a file for ever gets its replies late; it
 * still gets data that come.
 */
static void test_read_end(Test *t)
{
    host_write(t, "f", "data");
    ok(walk(t, ROOT, 1, "f"));
    ok(open_fid(t, 1, P9C_O_RDWR));
    read_end(t, 1, 4, 1000);
    assert_gets_late(t, 1, 4);
    ok(walk(t, ROOT, 2, "f"));
    ok(open_fid(t, 2, P9C_O_RDONLY));
    read_is(t, 2, 0, "data");
    read_is(t, 1, 1, "ata");
    read_end(t, 1, 4, 1001);
    write_all(t, 1, 4, "more");
    read_is(t, 1, 4, "more");
    ok(clunk(t, 1));
    assert_alive(t);
}

/* Holes, and offsets beyond 32 bits */
static void test_sparse(Test *t)
{
    char buf[64];
    uint32_t n;
    P9CAttr a;

    ok(walk(t, ROOT, 1, ""));
    ok(create(t, 1, "f", P9C_O_RDWR, 0600));
    write_all(t, 1, 0, "start");
    write_all(t, 1, 100000, "x");
    ok(p9c_read(t->c, 1, 50000, 4, buf, &n));
    g_assert_cmpmem(buf, n, "\0\0\0\0", 4);
    write_all(t, 1, FAR, "far");
    read_is(t, 1, FAR, "far");
    read_is(t, 1, FAR + 1, "ar");
    ok(p9c_read(t->c, 1, FAR - 4, 6, buf, &n));
    g_assert_cmpmem(buf, n, "\0\0\0\0fa", 6);
    ok(p9c_read(t->c, 1, 0, 5, buf, &n));
    g_assert_cmpmem(buf, n, "start", 5);
    ok(getattr(t, 1, &a));
    g_assert_cmpuint(a.size, ==, FAR + 3);
    g_assert_cmpuint(a.blocks * 512, <, 4 * MiB);
    g_assert_cmpuint(host_stat(t, "f").st_size, ==, FAR + 3);
    ok(setattr(t, 1, (P9CSetAttr) { .valid = P9C_SETATTR_SIZE,
                                    .size = FAR + 1 }));
    read_is(t, 1, FAR, "f");
    /* Offsets that no file has */
    g_assert_cmpint(p9c_write(t->c, 1, INT64_MAX, "x", 1, NULL), !=, 0);
    g_assert_cmpint(p9c_write(t->c, 1, UINT64_MAX, "x", 1, NULL), !=, 0);
    g_assert_cmpuint(attr_of(t, "f").size, ==, FAR + 1);
}

/* Much data in large pieces, at odd offsets */
static void test_big(Test *t)
{
    size_t size = 3 * MiB + 12345, pos;
    g_autofree char *data = g_malloc(size), *back = g_malloc(size);
    g_autofree char *path = host_path(t, "big");
    g_autofree char *host = NULL;
    uint32_t n, piece = 400 * KiB + 7;
    size_t len;

    for (pos = 0; pos < size; pos++) {
        data[pos] = pos * 2654435761u >> 13;
    }
    ok(walk(t, ROOT, 1, ""));
    ok(create(t, 1, "big", P9C_O_RDWR, 0600));
    for (pos = 0; pos < size; pos += n) {
        ok(p9c_write(t->c, 1, pos, data + pos, MIN(piece, size - pos), &n));
        g_assert_cmpuint(n, ==, MIN(piece, size - pos));
    }
    for (pos = 0; pos < size; pos += n) {
        ok(p9c_read(t->c, 1, pos, piece, back + pos, &n));
        g_assert_cmpuint(n, ==, MIN(piece, size - pos));
    }
    g_assert_cmpmem(back, size, data, size);
    g_assert_true(g_file_get_contents(path, &host, &len, NULL));
    g_assert_cmpmem(host, len, data, size);
}

static void test_fsync(Test *t)
{
    ok(make_dir(t, ROOT, "d", 0755));
    ok(walk(t, ROOT, 1, ""));
    ok(create(t, 1, "f", P9C_O_RDWR, 0644));
    write_all(t, 1, 0, "data");
    ok(p9c_fsync(t->c, 1, false));
    ok(p9c_fsync(t->c, 1, true));
    host_is(t, "f", "data");
    ok(walk(t, ROOT, 2, "d"));
    ok(open_fid(t, 2, P9C_O_DIRECTORY));
    ok(p9c_fsync(t->c, 2, false));
    ok(p9c_fsync(t->c, 2, true));
    fails(p9c_fsync(t->c, 99, false), ENOENT);
    /* Older clients do not send datasync. */
    ok(p9c_rpc(t->c, P9C_TFSYNC, PUT(U32(1)), NULL));
}

/* writeout=immediate: the data is in the file all the same. */
static void test_writeout(Test *t)
{
    ok(walk(t, ROOT, 1, ""));
    ok(create(t, 1, "f", P9C_O_RDWR, 0600));
    write_all(t, 1, 0, "data");
    host_is(t, "f", "data");
    read_is(t, 1, 0, "data");
}

/*
 * Many requests at once
 */

/*
 * Requests append by two fids, with offsets that would overwrite each other,
 * and so does the host: no data is lost.
 */
static void test_append(Test *t)
{
    P9Call *calls[PARALLEL];
    g_autofree char *path = host_path(t, "f");
    g_autofree char *got = NULL;
    unsigned count[PARALLEL + 1] = { 0 };
    size_t len, pos;
    int i, fd;

    host_write(t, "f", "");
    fd = open(path, O_WRONLY | O_APPEND);
    g_assert_cmpint(fd, >=, 0);
    for (i = 0; i < 2; i++) {
        ok(walk(t, ROOT, 1 + i, "f"));
        ok(open_fid(t, 1 + i, P9C_O_WRONLY | P9C_O_APPEND));
    }
    for (i = 0; i < PARALLEL; i++) {
        uint8_t record[APPENDED];

        memset(record, i, sizeof(record));
        calls[i] = p9c_write_call(t->c, 1 + i % 2, 0, record, sizeof(record));
        p9c_submit(calls[i]);
        memset(record, PARALLEL, sizeof(record));
        g_assert_cmpint(write(fd, record, sizeof(record)), ==,
                        sizeof(record));
    }
    for (i = 0; i < PARALLEL; i++) {
        ok(p9c_wait(calls[i]));
        g_assert_cmpuint(p9c_get_u32(calls[i]), ==, APPENDED);
        p9c_call_end(calls[i]);
    }
    close(fd);
    g_assert_true(g_file_get_contents(path, &got, &len, NULL));
    g_assert_cmpuint(len, ==, 2 * PARALLEL * APPENDED);
    for (pos = 0; pos < len; pos += APPENDED) {
        g_assert_cmpint(got[pos], <=, PARALLEL);
        g_assert_cmpint(got[pos], ==, got[pos + APPENDED - 1]);
        count[(uint8_t)got[pos]]++;
    }
    for (i = 0; i < PARALLEL; i++) {
        g_assert_cmpuint(count[i], ==, 1);
    }
}

static void test_parallel(Test *t)
{
    P9Call *calls[PARALLEL];
    int i;

    for (i = 0; i < PARALLEL; i++) {
        g_autofree char *name = g_strdup_printf("f%d", i);

        host_write(t, name, name);
    }
    for (i = 0; i < PARALLEL; i++) {
        g_autofree char *name = g_strdup_printf("f%d", i);

        calls[i] = p9c_walk_call(t->c, ROOT, 100 + i, name);
        p9c_submit(calls[i]);
    }
    for (i = 0; i < PARALLEL; i++) {
        ok(p9c_wait(calls[i]));
        g_assert_cmpuint(p9c_get_u16(calls[i]), ==, 1);
        p9c_get_qid(calls[i]);
        p9c_call_end(calls[i]);
    }
    for (i = 0; i < PARALLEL; i++) {
        g_autofree char *name = g_strdup_printf("f%d", i);

        ok(open_fid(t, 100 + i, P9C_O_RDONLY));
        read_is(t, 100 + i, 0, name);
    }
}

/* Many requests make one name: one of them makes the file. */
static void test_parallel_create(Test *t)
{
    P9Call *calls[PARALLEL];
    int i, err, made = 0;

    for (i = 0; i < PARALLEL; i++) {
        ok(walk(t, ROOT, 100 + i, ""));
    }
    for (i = 0; i < PARALLEL; i++) {
        calls[i] = p9c_lcreate_call(t->c, 100 + i, "f",
                                    P9C_O_RDWR | (i % 2 ? P9C_O_EXCL : 0),
                                    0600, t->gid);
        p9c_submit(calls[i]);
    }
    for (i = 0; i < PARALLEL; i++) {
        err = p9c_wait(calls[i]);
        if (err == 0) {
            p9c_get_bytes(calls[i], p9c_get_left(calls[i]));
            made += i % 2;
        } else {
            g_assert_cmpint(err, ==, EEXIST);
            g_assert_cmpint(i % 2, ==, 1);
        }
        p9c_call_end(calls[i]);
    }
    g_assert_cmpint(made, <=, 1);
    /* All fids mean the same file. */
    write_all(t, 100, 0, "data");
    read_is(t, 102, 0, "data");
    same_inode(t, 130, "f");
}

/* A reset during changes: each change is complete, or not made. */
static void test_reset(Test *t)
{
    int i;

    for (i = 0; i < PARALLEL; i++) {
        g_autofree char *name = g_strdup_printf("d%d", i);
        P9Call *call = p9c_mkdir_call(t->c, ROOT, name, 0711, t->gid);

        p9c_submit(call);
    }
    p9c_reset(t->c);
    session(t);
    for (i = 0; i < PARALLEL; i++) {
        g_autofree char *name = g_strdup_printf("d%d", i);

        if (guest_has(t, name)) {
            g_assert_cmphex(attr_of(t, name).mode, ==, S_IFDIR | 0711);
        }
    }
    make_file(t, ROOT, "f", "data");
    content_is(t, "f", "data");
}

const Case behaviour_data[] = {
    { "read-write", test_read_write, HAS_HOST },
    { "create", test_create, HAS_HOST },
    { "open", test_open, HAS_HOST },
    { "read-end", test_read_end, HAS_HOST, CASE_ANYBODY },
    { "open-nothing", test_open_nothing, HAS_HOST },
    { "open-nothing-readonly", test_open_nothing_readonly, HAS_HOST,
      CASE_ANYBODY, ",readonly=on" },
    { "sparse", test_sparse, HAS_HOST, CASE_ANYBODY },
    { "big", test_big, HAS_HOST, CASE_ANYBODY },
    { "fsync", test_fsync, HAS_HOST },
    { "append", test_append, HAS_HOST, CASE_ANYBODY },
    { "parallel", test_parallel, HAS_HOST, CASE_ANYBODY },
    { "parallel-create", test_parallel_create, HAS_HOST, CASE_ANYBODY },
    { "reset", test_reset, HAS_HOST, CASE_ANYBODY },
    { "writeout", test_writeout, HAS_HOST, 0, ",writeout=immediate" },
    { NULL }
};
