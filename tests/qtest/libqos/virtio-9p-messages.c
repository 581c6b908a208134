/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The messages of 9P2000.L for the client of virtio-9p-client.h: the fields of
 * each request, and where those of its reply go.
 */
#include "qemu/osdep.h"
#include "virtio-9p-client.h"

int p9c_attach_name(P9Client *c, uint32_t fid, uint32_t uid,
                    const char *aname, P9CQid *qid)
{
    return p9c_rpc(c, P9C_TATTACH,
                   PUT(U32(fid), U32(P9C_NOFID), STR(""), STR(aname),
                       U32(uid)),
                   GET(TO_QID(qid)));
}

int p9c_attach(P9Client *c, uint32_t fid, uint32_t uid, P9CQid *qid)
{
    return p9c_attach_name(c, fid, uid, "", qid);
}

P9Call *p9c_flush_call(P9Client *c, uint16_t oldtag)
{
    return p9c_request(c, P9C_TFLUSH, PUT(U16(oldtag)));
}

int p9c_flush(P9Client *c, uint16_t oldtag)
{
    return p9c_finish(p9c_flush_call(c, oldtag), NULL);
}

P9Call *p9c_clunk_call(P9Client *c, uint32_t fid)
{
    return p9c_request(c, P9C_TCLUNK, PUT(U32(fid)));
}

int p9c_clunk(P9Client *c, uint32_t fid)
{
    return p9c_finish(p9c_clunk_call(c, fid), NULL);
}

int p9c_remove(P9Client *c, uint32_t fid)
{
    return p9c_rpc(c, P9C_TREMOVE, PUT(U32(fid)), NULL);
}

P9Call *p9c_walk_call(P9Client *c, uint32_t fid, uint32_t newfid,
                      const char *name)
{
    return p9c_request(c, P9C_TWALK,
                       PUT(U32(fid), U32(newfid), U16(1), STR(name)));
}

int p9c_walk(P9Client *c, uint32_t fid, uint32_t newfid,
             const char *const *names, unsigned num,
             unsigned *walked, P9CQid *qids)
{
    P9Call *call = p9c_request(c, P9C_TWALK,
                               PUT(U32(fid), U32(newfid), U16(num)));
    P9CQid qid;
    unsigned i, n;
    int err;

    for (i = 0; i < num; i++) {
        p9c_put_str(call, names[i]);
    }
    p9c_submit(call);
    err = p9c_wait(call);
    if (!err) {
        n = p9c_get_u16(call);
        g_assert_cmpuint(n, <=, num);
        /* walk(5) of Plan 9: a walk that finds no name is an error. */
        g_assert_true(n > 0 || num == 0);
        for (i = 0; i < n; i++) {
            qid = p9c_get_qid(call);
            if (qids) {
                qids[i] = qid;
            }
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

int p9c_lopen(P9Client *c, uint32_t fid, uint32_t flags,
              P9CQid *qid, uint32_t *iounit)
{
    return p9c_rpc(c, P9C_TLOPEN, PUT(U32(fid), U32(flags)),
                   GET(TO_QID(qid), TO_U32(iounit)));
}

P9Call *p9c_lcreate_call(P9Client *c, uint32_t fid, const char *name,
                         uint32_t flags, uint32_t mode, uint32_t gid)
{
    return p9c_request(c, P9C_TLCREATE,
                       PUT(U32(fid), STR(name), U32(flags), U32(mode),
                           U32(gid)));
}

int p9c_lcreate(P9Client *c, uint32_t fid, const char *name, uint32_t flags,
                uint32_t mode, uint32_t gid, P9CQid *qid, uint32_t *iounit)
{
    return p9c_finish(p9c_lcreate_call(c, fid, name, flags, mode, gid),
                      GET(TO_QID(qid), TO_U32(iounit)));
}

P9Call *p9c_read_call(P9Client *c, uint32_t fid, uint64_t offset,
                      uint32_t count)
{
    return p9c_request(c, P9C_TREAD, PUT(U32(fid), U64(offset), U32(count)));
}

int p9c_read(P9Client *c, uint32_t fid, uint64_t offset, uint32_t count,
             void *buf, uint32_t *got)
{
    g_autoptr(GByteArray) data = g_byte_array_new();
    int err = p9c_finish(p9c_read_call(c, fid, offset, count),
                         GET(TO_DATA(data)));

    if (!err) {
        g_assert_cmpuint(data->len, <=, count);
        if (data->len) {
            /* A caller that wants no data may give no buffer. */
            memcpy(buf, data->data, data->len);
        }
        if (got) {
            *got = data->len;
        }
    }
    return err;
}

P9Call *p9c_write_call(P9Client *c, uint32_t fid, uint64_t offset,
                       const void *data, uint32_t count)
{
    return p9c_request(c, P9C_TWRITE,
                       PUT(U32(fid), U64(offset), U32(count),
                           DATA(data, count)));
}

int p9c_write(P9Client *c, uint32_t fid, uint64_t offset,
              const void *data, uint32_t count, uint32_t *written)
{
    uint32_t n;
    int err = p9c_finish(p9c_write_call(c, fid, offset, data, count),
                         GET(TO_U32(&n)));

    if (!err) {
        g_assert_cmpuint(n, <=, count);
        if (written) {
            *written = n;
        }
    }
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
    g_autoptr(GByteArray) data = g_byte_array_new();
    g_autoptr(GPtrArray) list = g_ptr_array_new_with_free_func(dirent_free);
    P9CBytes rest;
    int err = p9c_rpc(c, P9C_TREADDIR,
                      PUT(U32(fid), U64(offset), U32(count)),
                      GET(TO_DATA(data)));

    if (err) {
        return err;
    }
    g_assert_cmpuint(data->len, <=, count);
    rest = (P9CBytes) { data->data, data->len };
    while (rest.left) {
        P9CDirent *e = g_new0(P9CDirent, 1);

        p9c_fields_get(&rest, GET(TO_QID(&e->qid), TO_U64(&e->offset),
                                  TO_U8(&e->type), TO_STR(&e->name)));
        g_ptr_array_add(list, e);
    }
    if (bytes) {
        *bytes = data->len;
    }
    if (entries) {
        *entries = g_steal_pointer(&list);
    }
    return 0;
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

void *p9c_find_named(GPtrArray *entries, size_t name_at, const char *name)
{
    unsigned i;

    for (i = 0; i < entries->len; i++) {
        char **own = entries->pdata[i] + name_at;

        if (!strcmp(*own, name)) {
            return entries->pdata[i];
        }
    }
    return NULL;
}

P9CDirent *p9c_dirent_find(GPtrArray *entries, const char *name)
{
    return p9c_find_named(entries, offsetof(P9CDirent, name), name);
}

int p9c_fsync(P9Client *c, uint32_t fid, bool datasync)
{
    return p9c_rpc(c, P9C_TFSYNC, PUT(U32(fid), U32(datasync)), NULL);
}

static P9Call *getattr_call(P9Client *c, uint32_t fid, uint64_t mask)
{
    return p9c_request(c, P9C_TGETATTR, PUT(U32(fid), U64(mask)));
}

P9Call *p9c_getattr_call(P9Client *c, uint32_t fid)
{
    return getattr_call(c, fid, P9C_GETATTR_BASIC);
}

int p9c_getattr(P9Client *c, uint32_t fid, uint64_t mask, P9CAttr *attr)
{
    P9CAttr a;
    int err;

    memset(&a, 0, sizeof(a));
    err = p9c_finish(
        getattr_call(c, fid, mask),
        GET(TO_U64(&a.valid), TO_QID(&a.qid),
            TO_U32(&a.mode), TO_U32(&a.uid), TO_U32(&a.gid),
            TO_U64(&a.nlink), TO_U64(&a.rdev),
            TO_U64(&a.size), TO_U64(&a.blksize), TO_U64(&a.blocks),
            TO_U64(&a.atime_sec), TO_U64(&a.atime_nsec),
            TO_U64(&a.mtime_sec), TO_U64(&a.mtime_nsec),
            TO_U64(&a.ctime_sec), TO_U64(&a.ctime_nsec),
            TO_U64(&a.btime_sec), TO_U64(&a.btime_nsec),
            TO_U64(&a.gen), TO_U64(&a.data_version)));
    if (!err && attr) {
        memcpy(attr, &a, sizeof(a));
    }
    return err;
}

int p9c_setattr(P9Client *c, uint32_t fid, const P9CSetAttr *set)
{
    return p9c_rpc(c, P9C_TSETATTR,
                   PUT(U32(fid), U32(set->valid), U32(set->mode),
                       U32(set->uid), U32(set->gid), U64(set->size),
                       U64(set->atime_sec), U64(set->atime_nsec),
                       U64(set->mtime_sec), U64(set->mtime_nsec)),
                   NULL);
}

int p9c_chmod(P9Client *c, uint32_t fid, uint32_t mode)
{
    P9CSetAttr set = { .valid = P9C_SETATTR_MODE, .mode = mode };

    return p9c_setattr(c, fid, &set);
}

int p9c_statfs(P9Client *c, uint32_t fid, P9CStatfs *st)
{
    P9CStatfs unused;
    P9CStatfs *s = st ?: &unused;

    return p9c_rpc(c, P9C_TSTATFS, PUT(U32(fid)),
                   GET(TO_U32(&s->type), TO_U32(&s->bsize),
                       TO_U64(&s->blocks), TO_U64(&s->bfree),
                       TO_U64(&s->bavail), TO_U64(&s->files),
                       TO_U64(&s->ffree), TO_U64(&s->fsid),
                       TO_U32(&s->namelen)));
}

int p9c_readlink(P9Client *c, uint32_t fid, char **target)
{
    return p9c_rpc(c, P9C_TREADLINK, PUT(U32(fid)), GET(TO_STR(target)));
}

P9Call *p9c_mkdir_call(P9Client *c, uint32_t dfid, const char *name,
                       uint32_t mode, uint32_t gid)
{
    return p9c_request(c, P9C_TMKDIR,
                       PUT(U32(dfid), STR(name), U32(mode), U32(gid)));
}

int p9c_mkdir(P9Client *c, uint32_t dfid, const char *name, uint32_t mode,
              uint32_t gid, P9CQid *qid)
{
    return p9c_finish(p9c_mkdir_call(c, dfid, name, mode, gid),
                      GET(TO_QID(qid)));
}

int p9c_mknod(P9Client *c, uint32_t dfid, const char *name, uint32_t mode,
              uint32_t major, uint32_t minor, uint32_t gid, P9CQid *qid)
{
    return p9c_rpc(c, P9C_TMKNOD,
                   PUT(U32(dfid), STR(name), U32(mode), U32(major),
                       U32(minor), U32(gid)),
                   GET(TO_QID(qid)));
}

int p9c_symlink(P9Client *c, uint32_t dfid, const char *name,
                const char *target, uint32_t gid, P9CQid *qid)
{
    return p9c_rpc(c, P9C_TSYMLINK,
                   PUT(U32(dfid), STR(name), STR(target), U32(gid)),
                   GET(TO_QID(qid)));
}

int p9c_link(P9Client *c, uint32_t dfid, uint32_t fid, const char *name)
{
    return p9c_rpc(c, P9C_TLINK, PUT(U32(dfid), U32(fid), STR(name)), NULL);
}

int p9c_rename(P9Client *c, uint32_t fid, uint32_t dfid, const char *name)
{
    return p9c_rpc(c, P9C_TRENAME, PUT(U32(fid), U32(dfid), STR(name)), NULL);
}

int p9c_renameat(P9Client *c, uint32_t olddfid, const char *oldname,
                 uint32_t newdfid, const char *newname)
{
    return p9c_rpc(c, P9C_TRENAMEAT,
                   PUT(U32(olddfid), STR(oldname), U32(newdfid),
                       STR(newname)),
                   NULL);
}

int p9c_unlinkat(P9Client *c, uint32_t dfid, const char *name,
                 uint32_t flags)
{
    return p9c_rpc(c, P9C_TUNLINKAT, PUT(U32(dfid), STR(name), U32(flags)),
                   NULL);
}

int p9c_xattrwalk(P9Client *c, uint32_t fid, uint32_t newfid,
                  const char *name, uint64_t *size)
{
    return p9c_rpc(c, P9C_TXATTRWALK, PUT(U32(fid), U32(newfid), STR(name)),
                   GET(TO_U64(size)));
}

int p9c_xattrcreate(P9Client *c, uint32_t fid, const char *name,
                    uint64_t size, uint32_t flags)
{
    return p9c_rpc(c, P9C_TXATTRCREATE,
                   PUT(U32(fid), STR(name), U64(size), U32(flags)), NULL);
}

P9Call *p9c_lock_call(P9Client *c, uint32_t fid, const P9CLock *lock)
{
    return p9c_request(c, P9C_TLOCK,
                       PUT(U32(fid), U8(lock->type), U32(lock->flags),
                           U64(lock->start), U64(lock->length),
                           U32(lock->proc_id), STR(lock->client_id)));
}

int p9c_lock(P9Client *c, uint32_t fid, const P9CLock *lock, uint8_t *status)
{
    return p9c_finish(p9c_lock_call(c, fid, lock), GET(TO_U8(status)));
}

int p9c_getlock(P9Client *c, uint32_t fid, P9CLock *lock)
{
    return p9c_rpc(c, P9C_TGETLOCK,
                   PUT(U32(fid), U8(lock->type), U64(lock->start),
                       U64(lock->length), U32(lock->proc_id),
                       STR(lock->client_id)),
                   GET(TO_U8(&lock->type), TO_U64(&lock->start),
                       TO_U64(&lock->length), TO_U32(&lock->proc_id),
                       TO_STR((char **)&lock->client_id)));
}
