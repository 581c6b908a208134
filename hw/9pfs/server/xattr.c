/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Extended attributes, which 9P2000.L treats like files. Txattrwalk makes a fid
 * from which Tread reads an attribute's value or the list of names.
 * Txattrcreate turns a fid into one to which Twrite writes a value, and Tclunk
 * sets the attribute.
 *
 * A value stays in memory as long as its fid exists, so the number of these
 * fids is limited (the fsdev's max_xattr).
 *
 * The guest may use the names of fsdev/shared/xattr-names.h, and sees no others
 * in a list. Drivers get the host's form of them.
 */
#include "qemu/osdep.h"
#include "qemu/iov.h"
#include <sys/xattr.h>
#include "fsdev/shared/xattr-names.h"
#include "messages.h"
#include "xattr.h"

struct P9Xattr {
    char *name;                 /* the guest's, to be set by Tclunk; NULL:
                                   Tread only */
    uint8_t *value;
    size_t size;
    size_t filled;              /* bytes written so far */
    int flags;                  /* of setxattr(2) */
};

/* Reserves one of the export's xattr slots, or returns -ENOSPC. */
static int xattr_reserve(P9Export *export)
{
    uint32_t max = export->fs->max_xattr;

    if (max && export->open_xattr >= max) {
        return -ENOSPC;
    }
    export->open_xattr++;
    return 0;
}

void p9_xattr_free(P9Fid *fid)
{
    P9Xattr *x = fid->xattr;

    fid->s->export->open_xattr--;
    fid->xattr = NULL;
    g_free(x->name);
    g_free(x->value);
    g_free(x);
}

/*
 * Txattrwalk fid[4] newfid[4] name[s]: the value of that attribute, or the
 * list of names, each with a NUL, if name is empty. Replies with its size[8].
 */
int coroutine_fn p9_xattrwalk(P9Request *req)
{
    P9Server *s = req->s;
    g_autoptr(P9Fid) file = NULL;
    g_autoptr(P9Fid) fid = NULL;
    uint32_t id, newid;
    const char *name;
    FsXattrName host;
    size_t name_len;
    P9Xattr *x;
    int ret;

    id = marshal_get_u32(&req->r);
    newid = marshal_get_u32(&req->r);
    name = marshal_get_str(&req->r, &name_len);
    ret = p9_request_fid(req, id, &file);
    if (ret < 0) {
        return ret;
    }
    ret = p9_fid_check_new(s, newid);
    if (ret < 0) {
        return ret;
    }
    ret = name_len ? fs_xattr_to_host(&s->export->fs->xattrs, name, host) : 0;
    if (ret < 0) {
        return ret;
    }
    if (!p9_driver(req)->getxattr) {
        return -EOPNOTSUPP;
    }
    ret = xattr_reserve(s->export);
    if (ret < 0) {
        return ret;
    }

    x = g_new0(P9Xattr, 1);
    fid = p9_fid_new(s, newid, file->attach, file->node, NULL);
    fid->xattr = x;             /* and with it the slot */
    ret = p9_driver(req)->getxattr(&req->call, file->node,
                                   name_len ? host : NULL,
                                   &x->value, &x->size);
    if (ret == 0 && req->detached) {
        ret = -EINTR;
    }
    if (ret < 0) {
        return ret;
    }
    if (!name_len) {
        x->size = fs_xattr_list_to_guest(&s->export->fs->xattrs,
                                         (char *)x->value, x->size);
    }
    ret = p9_fid_insert(fid);
    if (ret < 0) {
        return ret;
    }
    marshal_put_u64(&req->w, x->size);
    return 0;
}

/*
 * Txattrcreate fid[4] name[s] attr_size[8] flags[4]: the fid becomes the
 * attribute's. Reports errors of setxattr(2) that need no file.
 */
int coroutine_fn p9_xattrcreate(P9Request *req)
{
    P9Server *s = req->s;
    g_autoptr(P9Fid) file = NULL;
    g_autoptr(P9Fid) fid = NULL;
    const char *name;
    FsXattrName host;
    uint32_t id, flags;
    uint64_t size;
    P9Xattr *x;
    int ret;

    id = marshal_get_u32(&req->r);
    name = marshal_get_str(&req->r, NULL);
    size = marshal_get_u64(&req->r);
    flags = marshal_get_u32(&req->r);
    ret = p9_request_fid(req, id, &file);
    if (ret < 0) {
        return ret;
    }
    if (file->file) {
        return -EBADF;
    }
    if (flags & ~(uint32_t)(XATTR_CREATE | XATTR_REPLACE)) {
        return -EINVAL;
    }
    ret = fs_xattr_to_host(&s->export->fs->xattrs, name, host);
    if (ret < 0) {
        return ret;
    }
    if (size > FS_XATTR_MAX) {
        return -E2BIG;
    }
    if (!p9_driver(req)->setxattr || !p9_driver(req)->removexattr) {
        return -EOPNOTSUPP;
    }
    ret = xattr_reserve(s->export);
    if (ret < 0) {
        return ret;
    }

    x = g_new0(P9Xattr, 1);
    x->name = g_strdup(name);
    x->value = g_malloc0(size);
    x->size = size;
    x->flags = flags;
    fid = p9_fid_new(s, id, file->attach, file->node, file->entry);
    fid->xattr = x;             /* and with it the slot */
    return p9_fid_replace(file, fid);
}

ssize_t coroutine_fn p9_xattr_read(P9Request *req, P9Fid *fid,
                                   uint64_t offset, uint32_t count)
{
    P9Xattr *x = fid->xattr;
    int ret;

    if (x->name) {
        return -EBADF;
    }
    if (offset >= x->size) {
        return 0;
    }
    ret = p9_move_begin(req);
    if (ret < 0) {
        return ret;
    }
    count = MIN(count, x->size - offset);
    count = iov_from_buf(req->in, req->in_num, P9_RREAD_HEADER,
                         x->value + offset, count);
    p9_move_end(req);
    return count;
}

/*
 * -ENOSPC beyond the size that Txattrcreate gave, -EINVAL when the write would
 * leave a gap.
 */
ssize_t p9_xattr_write(P9Request *req, P9Fid *fid, uint64_t offset,
                       uint32_t count)
{
    P9Xattr *x = fid->xattr;

    if (!x->name) {
        return -EBADF;
    }
    if (offset > x->size || count > x->size - offset) {
        return -ENOSPC;
    }
    if (offset > x->filled) {
        return -EINVAL;
    }
    iov_to_buf(req->out, req->out_num, P9_TWRITE_HEADER,
               x->value + offset, count);
    x->filled = MAX(x->filled, offset + count);
    return count;
}

/*
 * If nothing of the value was written, the attribute is not set: the client
 * gave up (Linux clunks the fid when a write failed). An incomplete value is
 * an error. A value of size 0 with XATTR_REPLACE is how Linux' client asks for
 * removal; without XATTR_REPLACE, it is an empty value.
 */
int coroutine_fn p9_xattr_commit(P9Request *req, P9Fid *fid)
{
    const FsDriver *driver = p9_driver(req);
    P9Xattr *x = fid->xattr;
    FsXattrName host;
    int ret;

    if (!x->name) {
        return 0;
    }
    if (fid->lost) {
        return -ESTALE;
    }
    /* The rules may be another helper's by now. */
    ret = fs_xattr_to_host(&fid->s->fs->xattrs, x->name, host);
    if (ret < 0) {
        return ret;
    }
    if (x->size == 0 && x->flags == XATTR_REPLACE) {
        return driver->removexattr(&req->call, fid->node, host);
    }
    if (x->filled < x->size) {
        return x->filled ? -EINVAL : 0;
    }
    return driver->setxattr(&req->call, fid->node, host,
                            x->value, x->size, x->flags);
}

/*
 * named[1] name[s] flags[4] size[4] filled[4] value[size]. The name is that of
 * an attribute to be set.
 */
void p9_xattr_save(const P9Fid *fid, MarshalWriter *w)
{
    const P9Xattr *x = fid->xattr;

    marshal_put_u8(w, x->name != NULL);
    marshal_put_str(w, x->name ?: "");
    marshal_put_u32(w, x->flags);
    marshal_put_u32(w, x->size);
    marshal_put_u32(w, x->filled);
    marshal_put_bytes(w, x->value, x->size);
}

/* Whether a client may have made such a fid here, with Txattrcreate */
static bool xattr_may_set(const P9Fid *fid, const char *name, uint32_t flags)
{
    const FsExport *fs = fid->s->fs;
    FsXattrName host;

    return !fs->readonly && fs->driver->setxattr && fs->driver->removexattr &&
           !(flags & ~(uint32_t)(XATTR_CREATE | XATTR_REPLACE)) &&
           fs_xattr_to_host(&fs->xattrs, name, host) == 0;
}

bool p9_xattr_load(P9Fid *fid, MarshalReader *r)
{
    uint8_t named = marshal_get_u8(r);
    const char *name = marshal_get_str(r, NULL);
    uint32_t flags = marshal_get_u32(r);
    uint32_t size = marshal_get_u32(r);
    uint32_t filled = marshal_get_u32(r);
    const void *value = marshal_get_bytes(r, size);
    P9Xattr *x;

    if (!marshal_done(r) || named > 1 || size > FS_XATTR_MAX || filled > size ||
        (named && !xattr_may_set(fid, name, flags)) ||
        xattr_reserve(fid->s->export) < 0) {
        return false;
    }
    x = g_new0(P9Xattr, 1);
    x->name = named ? g_strdup(name) : NULL;
    x->value = g_memdup2(value, size);
    x->size = size;
    x->filled = filled;
    x->flags = flags;
    fid->xattr = x;             /* and with it the slot */
    return true;
}
