/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The guest's side of the behaviour tests: messages in the form that most cases
 * need (see virtio-9p-behaviour.h).
 */
#include "qemu/osdep.h"
#include "libqos/virtio-9p-dotu.h"
#include "virtio-9p-behaviour.h"

#define SCRATCH_FID     0x5a5a5a5a

uint32_t session_msize(Test *t, uint32_t msize)
{
    uint32_t got;

    ok(p9c_version(t->c, msize, P9C_VERSION, &got, NULL));
    ok(p9c_attach(t->c, ROOT, t->uid, NULL));
    return got;
}

void session(Test *t)
{
    if (t->cs->flags & CASE_DOTU) {
        p9c_session_u(t->c, P9C_MSIZE, t->uid);
    } else {
        session_msize(t, t->cs->flags & CASE_SMALL ? P9C_MSIZE : MSIZE);
    }
}

void assert_alive(Test *t)
{
    g_assert_false(p9c_needs_reset(t->c));
    if (t->cs->flags & CASE_DOTU) {
        ok(p9c_stat(t->c, ROOT, NULL));
    } else {
        g_assert_cmphex(attr_of(t, "").mode & S_IFMT, ==, S_IFDIR);
    }
}

int walk(Test *t, uint32_t fid, uint32_t newfid, const char *path)
{
    return p9c_walk_to(t->c, fid, newfid, path);
}

int open_fid(Test *t, uint32_t fid, uint32_t flags)
{
    return p9c_lopen(t->c, fid, flags, NULL, NULL);
}

int create(Test *t, uint32_t fid, const char *name, uint32_t flags,
           uint32_t mode)
{
    return p9c_lcreate(t->c, fid, name, flags, mode, t->gid, NULL, NULL);
}

int make_dir(Test *t, uint32_t fid, const char *name, uint32_t mode)
{
    return p9c_mkdir(t->c, fid, name, mode, t->gid, NULL);
}

int make_node(Test *t, uint32_t fid, const char *name, uint32_t mode,
              uint32_t major, uint32_t minor)
{
    return p9c_mknod(t->c, fid, name, mode, major, minor, t->gid, NULL);
}

int make_symlink(Test *t, uint32_t fid, const char *name, const char *target)
{
    return p9c_symlink(t->c, fid, name, target, t->gid, NULL);
}

int getattr(Test *t, uint32_t fid, P9CAttr *attr)
{
    return p9c_getattr(t->c, fid, P9C_GETATTR_BASIC, attr);
}

int setattr(Test *t, uint32_t fid, P9CSetAttr set)
{
    return p9c_setattr(t->c, fid, &set);
}

int set_mode(Test *t, uint32_t fid, uint32_t mode)
{
    return p9c_chmod(t->c, fid, mode);
}

int clunk(Test *t, uint32_t fid)
{
    return p9c_clunk(t->c, fid);
}

int rename_at(Test *t, uint32_t olddir, const char *oldname,
              uint32_t newdir, const char *newname)
{
    return p9c_renameat(t->c, olddir, oldname, newdir, newname);
}

int unlink_at(Test *t, uint32_t fid, const char *name, uint32_t flags)
{
    return p9c_unlinkat(t->c, fid, name, flags);
}

P9CAttr attr_of(Test *t, const char *path)
{
    P9CAttr attr;

    ok(walk(t, ROOT, SCRATCH_FID, path));
    ok(getattr(t, SCRATCH_FID, &attr));
    ok(clunk(t, SCRATCH_FID));
    return attr;
}

bool guest_has(Test *t, const char *path)
{
    int err = walk(t, ROOT, SCRATCH_FID, path);

    if (err == 0) {
        ok(clunk(t, SCRATCH_FID));
    } else {
        g_assert_cmpint(err, ==, ENOENT);
    }
    return err == 0;
}

void make_file(Test *t, uint32_t fid, const char *name, const char *data)
{
    ok(walk(t, fid, SCRATCH_FID, ""));
    ok(create(t, SCRATCH_FID, name, P9C_O_WRONLY | P9C_O_EXCL, 0644));
    if (*data) {
        write_all(t, SCRATCH_FID, 0, data);
    }
    ok(clunk(t, SCRATCH_FID));
}

void write_all(Test *t, uint32_t fid, uint64_t offset, const char *data)
{
    uint32_t n;

    ok(p9c_write(t->c, fid, offset, data, strlen(data), &n));
    g_assert_cmpuint(n, ==, strlen(data));
}

void read_is(Test *t, uint32_t fid, uint64_t offset, const char *data)
{
    char buf[64];
    uint32_t n;

    ok(p9c_read(t->c, fid, offset, sizeof(buf), buf, &n));
    g_assert_cmpmem(buf, n, data, strlen(data));
}

void content_is(Test *t, const char *path, const char *data)
{
    ok(walk(t, ROOT, SCRATCH_FID, path));
    ok(open_fid(t, SCRATCH_FID, P9C_O_RDONLY));
    read_is(t, SCRATCH_FID, 0, data);
    ok(clunk(t, SCRATCH_FID));
}

void readlink_is(Test *t, uint32_t fid, const char *expected)
{
    g_autofree char *target = NULL;

    ok(p9c_readlink(t->c, fid, &target));
    g_assert_cmpstr(target, ==, expected);
}

int put_xattr(Test *t, uint32_t fid, const char *name, const void *value,
              uint32_t size, uint32_t flags)
{
    uint32_t n;
    int err;

    ok(walk(t, fid, SCRATCH_FID, ""));
    err = p9c_xattrcreate(t->c, SCRATCH_FID, name, size, flags);
    if (err) {
        ok(clunk(t, SCRATCH_FID));
        return err;
    }
    if (size) {
        ok(p9c_write(t->c, SCRATCH_FID, 0, value, size, &n));
        g_assert_cmpuint(n, ==, size);
    }
    return clunk(t, SCRATCH_FID);
}

int take_xattr(Test *t, uint32_t fid, const char *name, void *value,
               uint32_t *size)
{
    uint64_t length;
    int err;

    err = p9c_xattrwalk(t->c, fid, SCRATCH_FID, name, &length);
    if (err == 0) {
        ok(p9c_read(t->c, SCRATCH_FID, 0, *size, value, size));
        g_assert_cmpuint(*size, ==, length);
        ok(clunk(t, SCRATCH_FID));
    }
    return err;
}

bool lists_xattr(Test *t, uint32_t fid, const char *name)
{
    char list[4096];
    uint32_t size = sizeof(list);
    const char *at;

    ok(take_xattr(t, fid, "", list, &size));
    g_assert_true(size == 0 || list[size - 1] == '\0');
    for (at = list; at < list + size; at += strlen(at) + 1) {
        if (!strcmp(at, name)) {
            return true;
        }
    }
    return false;
}

P9Call *lock_call(Test *t, uint32_t fid)
{
    const P9CLock lock = {
        .type = P9C_LOCK_WRLCK, .flags = P9C_LOCK_BLOCK,
        .proc_id = 4711, .client_id = "qtest",
    };

    return p9c_lock_call(t->c, fid, &lock);
}
