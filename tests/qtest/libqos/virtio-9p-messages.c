/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The messages of 9P2000.L for the client of virtio-9p-client.h: each is put
 * together, sent, and its reply taken apart.
 */
#include "qemu/osdep.h"
#include "virtio-9p-client.h"

/* Sends a call and waits for the reply. */
static int call_run(P9Call *call)
{
    p9c_submit(call);
    return p9c_wait(call);
}

/* For messages whose reply has no fields */
static int call_finish(P9Call *call)
{
    int err = call_run(call);

    p9c_call_end(call);
    return err;
}

static void get_qid_to(P9Call *call, P9CQid *qid)
{
    P9CQid got = p9c_get_qid(call);

    if (qid) {
        *qid = got;
    }
}

/* For messages whose reply is a qid */
static int call_finish_qid(P9Call *call, P9CQid *qid)
{
    int err = call_run(call);

    if (!err) {
        get_qid_to(call, qid);
    }
    p9c_call_end(call);
    return err;
}

static void get_u32_to(P9Call *call, uint32_t *v)
{
    uint32_t got = p9c_get_u32(call);

    if (v) {
        *v = got;
    }
}

void p9c_refused(P9Call *call, int error)
{
    g_assert_cmpint(call_finish(call), ==, error);
}

int p9c_attach(P9Client *c, uint32_t fid, uint32_t uid, P9CQid *qid)
{
    P9Call *call = p9c_call(c, P9C_TATTACH);

    p9c_put_u32(call, fid);
    p9c_put_u32(call, P9C_NOFID);
    p9c_put_str(call, "");
    p9c_put_str(call, "");
    p9c_put_u32(call, uid);
    return call_finish_qid(call, qid);
}

P9Call *p9c_flush_call(P9Client *c, uint16_t oldtag)
{
    P9Call *call = p9c_call(c, P9C_TFLUSH);

    p9c_put_u16(call, oldtag);
    return call;
}

int p9c_flush(P9Client *c, uint16_t oldtag)
{
    return call_finish(p9c_flush_call(c, oldtag));
}

P9Call *p9c_clunk_call(P9Client *c, uint32_t fid)
{
    P9Call *call = p9c_call(c, P9C_TCLUNK);

    p9c_put_u32(call, fid);
    return call;
}

int p9c_clunk(P9Client *c, uint32_t fid)
{
    return call_finish(p9c_clunk_call(c, fid));
}

int p9c_remove(P9Client *c, uint32_t fid)
{
    P9Call *call = p9c_call(c, P9C_TREMOVE);

    p9c_put_u32(call, fid);
    return call_finish(call);
}

int p9c_walk(P9Client *c, uint32_t fid, uint32_t newfid,
             const char *const *names, unsigned num,
             unsigned *walked, P9CQid *qids)
{
    P9Call *call = p9c_call(c, P9C_TWALK);
    unsigned i, n;
    int err;

    p9c_put_u32(call, fid);
    p9c_put_u32(call, newfid);
    p9c_put_u16(call, num);
    for (i = 0; i < num; i++) {
        p9c_put_str(call, names[i]);
    }
    err = call_run(call);
    if (!err) {
        n = p9c_get_u16(call);
        g_assert_cmpuint(n, <=, num);
        /* walk(5) of Plan 9: no name at all is an error. */
        g_assert_true(n > 0 || num == 0);
        for (i = 0; i < n; i++) {
            get_qid_to(call, qids ? &qids[i] : NULL);
        }
        if (walked) {
            *walked = n;
        }
    }
    p9c_call_end(call);
    return err;
}

int p9c_walk_to(P9Client *c, uint32_t fid, uint32_t newfid, const char *path)
{
    g_auto(GStrv) names = g_strsplit(path, "/", -1);
    unsigned num = g_strv_length(names);
    unsigned walked;
    int err;

    g_assert_cmpuint(num, <=, P9C_WALK_MAX);
    err = p9c_walk(c, fid, newfid, (const char *const *)names, num,
                   &walked, NULL);
    if (!err && walked < num) {
        err = ENOENT;
    }
    return err;
}

int p9c_finish_opened(P9Call *call, P9CQid *qid, uint32_t *iounit)
{
    int err = call_run(call);

    if (!err) {
        get_qid_to(call, qid);
        get_u32_to(call, iounit);
    }
    p9c_call_end(call);
    return err;
}

int p9c_lopen(P9Client *c, uint32_t fid, uint32_t flags,
              P9CQid *qid, uint32_t *iounit)
{
    P9Call *call = p9c_call(c, P9C_TLOPEN);

    p9c_put_u32(call, fid);
    p9c_put_u32(call, flags);
    return p9c_finish_opened(call, qid, iounit);
}

int p9c_lcreate(P9Client *c, uint32_t fid, const char *name, uint32_t flags,
                uint32_t mode, uint32_t gid, P9CQid *qid, uint32_t *iounit)
{
    P9Call *call = p9c_call(c, P9C_TLCREATE);

    p9c_put_u32(call, fid);
    p9c_put_str(call, name);
    p9c_put_u32(call, flags);
    p9c_put_u32(call, mode);
    p9c_put_u32(call, gid);
    return p9c_finish_opened(call, qid, iounit);
}

int p9c_read(P9Client *c, uint32_t fid, uint64_t offset, uint32_t count,
             void *buf, uint32_t *got)
{
    P9Call *call = p9c_call(c, P9C_TREAD);
    uint32_t n;
    int err;

    p9c_put_u32(call, fid);
    p9c_put_u64(call, offset);
    p9c_put_u32(call, count);
    err = call_run(call);
    if (!err) {
        n = p9c_get_u32(call);
        g_assert_cmpuint(n, <=, count);
        if (n) {
            /* Who wants nothing may give no buffer */
            memcpy(buf, p9c_get_bytes(call, n), n);
        }
        if (got) {
            *got = n;
        }
    }
    p9c_call_end(call);
    return err;
}

int p9c_write(P9Client *c, uint32_t fid, uint64_t offset,
              const void *data, uint32_t count, uint32_t *written)
{
    P9Call *call = p9c_call(c, P9C_TWRITE);
    uint32_t n;
    int err;

    p9c_put_u32(call, fid);
    p9c_put_u64(call, offset);
    p9c_put_u32(call, count);
    p9c_put_bytes(call, data, count);
    err = call_run(call);
    if (!err) {
        n = p9c_get_u32(call);
        g_assert_cmpuint(n, <=, count);
        if (written) {
            *written = n;
        }
    }
    p9c_call_end(call);
    return err;
}

static void dirent_free(void *opaque)
{
    P9CDirent *e = opaque;

    g_free(e->name);
    g_free(e);
}

int p9c_readdir(P9Client *c, uint32_t fid, uint64_t offset, uint32_t count,
                GPtrArray **entries, uint32_t *bytes)
{
    P9Call *call = p9c_call(c, P9C_TREADDIR);
    g_autoptr(GPtrArray) list = g_ptr_array_new_with_free_func(dirent_free);
    uint32_t n;
    int err;

    p9c_put_u32(call, fid);
    p9c_put_u64(call, offset);
    p9c_put_u32(call, count);
    err = call_run(call);
    if (!err) {
        n = p9c_get_u32(call);
        g_assert_cmpuint(n, <=, count);
        g_assert_cmpuint(n, ==, p9c_get_left(call));
        while (p9c_get_left(call)) {
            P9CDirent *e = g_new0(P9CDirent, 1);

            e->qid = p9c_get_qid(call);
            e->offset = p9c_get_u64(call);
            e->type = p9c_get_u8(call);
            e->name = p9c_get_str(call);
            g_ptr_array_add(list, e);
        }
        if (bytes) {
            *bytes = n;
        }
        if (entries) {
            *entries = g_steal_pointer(&list);
        }
    }
    p9c_call_end(call);
    return err;
}

GPtrArray *p9c_readdir_all(P9Client *c, uint32_t fid, uint32_t count)
{
    GPtrArray *all = g_ptr_array_new_with_free_func(dirent_free);
    uint64_t offset = 0;

    for (;;) {
        g_autoptr(GPtrArray) part = NULL;
        unsigned i;

        g_assert_cmpint(p9c_readdir(c, fid, offset, count, &part, NULL),
                        ==, 0);
        if (part->len == 0) {
            return all;
        }
        g_ptr_array_set_free_func(part, NULL);
        for (i = 0; i < part->len; i++) {
            P9CDirent *e = g_ptr_array_index(part, i);

            offset = e->offset;
            g_ptr_array_add(all, e);
        }
    }
}

P9CDirent *p9c_dirent_find(GPtrArray *entries, const char *name)
{
    unsigned i;

    for (i = 0; i < entries->len; i++) {
        P9CDirent *e = g_ptr_array_index(entries, i);

        if (!strcmp(e->name, name)) {
            return e;
        }
    }
    return NULL;
}

int p9c_fsync(P9Client *c, uint32_t fid, bool datasync)
{
    P9Call *call = p9c_call(c, P9C_TFSYNC);

    p9c_put_u32(call, fid);
    p9c_put_u32(call, datasync);
    return call_finish(call);
}

P9Call *p9c_getattr_call(P9Client *c, uint32_t fid)
{
    P9Call *call = p9c_call(c, P9C_TGETATTR);

    p9c_put_u32(call, fid);
    p9c_put_u64(call, P9C_GETATTR_BASIC);
    return call;
}

int p9c_getattr(P9Client *c, uint32_t fid, uint64_t mask, P9CAttr *attr)
{
    P9Call *call = p9c_call(c, P9C_TGETATTR);
    P9CAttr a;
    int err;

    p9c_put_u32(call, fid);
    p9c_put_u64(call, mask);
    err = call_run(call);
    if (!err) {
        a.valid = p9c_get_u64(call);
        a.qid = p9c_get_qid(call);
        a.mode = p9c_get_u32(call);
        a.uid = p9c_get_u32(call);
        a.gid = p9c_get_u32(call);
        a.nlink = p9c_get_u64(call);
        a.rdev = p9c_get_u64(call);
        a.size = p9c_get_u64(call);
        a.blksize = p9c_get_u64(call);
        a.blocks = p9c_get_u64(call);
        a.atime_sec = p9c_get_u64(call);
        a.atime_nsec = p9c_get_u64(call);
        a.mtime_sec = p9c_get_u64(call);
        a.mtime_nsec = p9c_get_u64(call);
        a.ctime_sec = p9c_get_u64(call);
        a.ctime_nsec = p9c_get_u64(call);
        a.btime_sec = p9c_get_u64(call);
        a.btime_nsec = p9c_get_u64(call);
        a.gen = p9c_get_u64(call);
        a.data_version = p9c_get_u64(call);
        if (attr) {
            *attr = a;
        }
    }
    p9c_call_end(call);
    return err;
}

int p9c_setattr(P9Client *c, uint32_t fid, const P9CSetAttr *set)
{
    P9Call *call = p9c_call(c, P9C_TSETATTR);

    p9c_put_u32(call, fid);
    p9c_put_u32(call, set->valid);
    p9c_put_u32(call, set->mode);
    p9c_put_u32(call, set->uid);
    p9c_put_u32(call, set->gid);
    p9c_put_u64(call, set->size);
    p9c_put_u64(call, set->atime_sec);
    p9c_put_u64(call, set->atime_nsec);
    p9c_put_u64(call, set->mtime_sec);
    p9c_put_u64(call, set->mtime_nsec);
    return call_finish(call);
}

int p9c_chmod(P9Client *c, uint32_t fid, uint32_t mode)
{
    P9CSetAttr set = { .valid = P9C_SETATTR_MODE, .mode = mode };

    return p9c_setattr(c, fid, &set);
}

int p9c_statfs(P9Client *c, uint32_t fid, P9CStatfs *st)
{
    P9Call *call = p9c_call(c, P9C_TSTATFS);
    P9CStatfs s;
    int err;

    p9c_put_u32(call, fid);
    err = call_run(call);
    if (!err) {
        s.type = p9c_get_u32(call);
        s.bsize = p9c_get_u32(call);
        s.blocks = p9c_get_u64(call);
        s.bfree = p9c_get_u64(call);
        s.bavail = p9c_get_u64(call);
        s.files = p9c_get_u64(call);
        s.ffree = p9c_get_u64(call);
        s.fsid = p9c_get_u64(call);
        s.namelen = p9c_get_u32(call);
        if (st) {
            *st = s;
        }
    }
    p9c_call_end(call);
    return err;
}

int p9c_readlink(P9Client *c, uint32_t fid, char **target)
{
    P9Call *call = p9c_call(c, P9C_TREADLINK);
    g_autofree char *s = NULL;
    int err;

    p9c_put_u32(call, fid);
    err = call_run(call);
    if (!err) {
        s = p9c_get_str(call);
        if (target) {
            *target = g_steal_pointer(&s);
        }
    }
    p9c_call_end(call);
    return err;
}

int p9c_mkdir(P9Client *c, uint32_t dfid, const char *name, uint32_t mode,
              uint32_t gid, P9CQid *qid)
{
    P9Call *call = p9c_call(c, P9C_TMKDIR);

    p9c_put_u32(call, dfid);
    p9c_put_str(call, name);
    p9c_put_u32(call, mode);
    p9c_put_u32(call, gid);
    return call_finish_qid(call, qid);
}

int p9c_mknod(P9Client *c, uint32_t dfid, const char *name, uint32_t mode,
              uint32_t major, uint32_t minor, uint32_t gid, P9CQid *qid)
{
    P9Call *call = p9c_call(c, P9C_TMKNOD);

    p9c_put_u32(call, dfid);
    p9c_put_str(call, name);
    p9c_put_u32(call, mode);
    p9c_put_u32(call, major);
    p9c_put_u32(call, minor);
    p9c_put_u32(call, gid);
    return call_finish_qid(call, qid);
}

int p9c_symlink(P9Client *c, uint32_t dfid, const char *name,
                const char *target, uint32_t gid, P9CQid *qid)
{
    P9Call *call = p9c_call(c, P9C_TSYMLINK);

    p9c_put_u32(call, dfid);
    p9c_put_str(call, name);
    p9c_put_str(call, target);
    p9c_put_u32(call, gid);
    return call_finish_qid(call, qid);
}

int p9c_link(P9Client *c, uint32_t dfid, uint32_t fid, const char *name)
{
    P9Call *call = p9c_call(c, P9C_TLINK);

    p9c_put_u32(call, dfid);
    p9c_put_u32(call, fid);
    p9c_put_str(call, name);
    return call_finish(call);
}

int p9c_rename(P9Client *c, uint32_t fid, uint32_t dfid, const char *name)
{
    P9Call *call = p9c_call(c, P9C_TRENAME);

    p9c_put_u32(call, fid);
    p9c_put_u32(call, dfid);
    p9c_put_str(call, name);
    return call_finish(call);
}

int p9c_renameat(P9Client *c, uint32_t olddfid, const char *oldname,
                 uint32_t newdfid, const char *newname)
{
    P9Call *call = p9c_call(c, P9C_TRENAMEAT);

    p9c_put_u32(call, olddfid);
    p9c_put_str(call, oldname);
    p9c_put_u32(call, newdfid);
    p9c_put_str(call, newname);
    return call_finish(call);
}

int p9c_unlinkat(P9Client *c, uint32_t dfid, const char *name,
                 uint32_t flags)
{
    P9Call *call = p9c_call(c, P9C_TUNLINKAT);

    p9c_put_u32(call, dfid);
    p9c_put_str(call, name);
    p9c_put_u32(call, flags);
    return call_finish(call);
}

int p9c_xattrwalk(P9Client *c, uint32_t fid, uint32_t newfid,
                  const char *name, uint64_t *size)
{
    P9Call *call = p9c_call(c, P9C_TXATTRWALK);
    uint64_t n;
    int err;

    p9c_put_u32(call, fid);
    p9c_put_u32(call, newfid);
    p9c_put_str(call, name);
    err = call_run(call);
    if (!err) {
        n = p9c_get_u64(call);
        if (size) {
            *size = n;
        }
    }
    p9c_call_end(call);
    return err;
}

int p9c_xattrcreate(P9Client *c, uint32_t fid, const char *name,
                    uint64_t size, uint32_t flags)
{
    P9Call *call = p9c_call(c, P9C_TXATTRCREATE);

    p9c_put_u32(call, fid);
    p9c_put_str(call, name);
    p9c_put_u64(call, size);
    p9c_put_u32(call, flags);
    return call_finish(call);
}

int p9c_lock(P9Client *c, uint32_t fid, const P9CLock *lock, uint8_t *status)
{
    P9Call *call = p9c_call(c, P9C_TLOCK);
    uint8_t s;
    int err;

    p9c_put_u32(call, fid);
    p9c_put_u8(call, lock->type);
    p9c_put_u32(call, lock->flags);
    p9c_put_u64(call, lock->start);
    p9c_put_u64(call, lock->length);
    p9c_put_u32(call, lock->proc_id);
    p9c_put_str(call, lock->client_id);
    err = call_run(call);
    if (!err) {
        s = p9c_get_u8(call);
        if (status) {
            *status = s;
        }
    }
    p9c_call_end(call);
    return err;
}

int p9c_getlock(P9Client *c, uint32_t fid, P9CLock *lock)
{
    P9Call *call = p9c_call(c, P9C_TGETLOCK);
    int err;

    p9c_put_u32(call, fid);
    p9c_put_u8(call, lock->type);
    p9c_put_u64(call, lock->start);
    p9c_put_u64(call, lock->length);
    p9c_put_u32(call, lock->proc_id);
    p9c_put_str(call, lock->client_id);
    err = call_run(call);
    if (!err) {
        lock->type = p9c_get_u8(call);
        lock->start = p9c_get_u64(call);
        lock->length = p9c_get_u64(call);
        lock->proc_id = p9c_get_u32(call);
        lock->client_id = p9c_get_str(call);
    }
    p9c_call_end(call);
    return err;
}
