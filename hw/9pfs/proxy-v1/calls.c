/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The requests of protocol version 1: see calls.h.
 */
#include "qemu/osdep.h"
#include "calls.h"

/* Rounds for an extended attribute that grows whenever it is read */
#define XATTR_TRIES         16
/* Room in a response after the length of a string */
#define XATTR_MAX           (PROXY_V1_MAX_PAYLOAD - 2)

/* For a request whose status is only success or failure */
static int coroutine_fn call_status(ProxyRequest *req, ProxyV1Type type)
{
    return MIN(proxy_v1_status(req, type), 0);
}

int coroutine_fn proxy_v1_lstat(ProxyRequest *req, const char *path,
                                FsAttr *attr)
{
    int ret;

    marshal_put_str(proxy_v1_request(req), path);
    ret = proxy_v1_response(req, PROXY_V1_LSTAT);
    if (ret < 0) {
        return ret;
    }
    proxy_v1_get_attr(&req->r, attr);
    return proxy_v1_check(req);
}

int coroutine_fn proxy_v1_open(ProxyRequest *req, const char *path, int flags)
{
    MarshalWriter *w = proxy_v1_request(req);

    marshal_put_str(w, path);
    marshal_put_u32(w, flags);
    return proxy_v1_descriptor(req, PROXY_V1_OPEN);
}

int coroutine_fn proxy_v1_create(ProxyRequest *req, const char *path,
                                 int flags, const FsMakeArgs *make)
{
    MarshalWriter *w = proxy_v1_request(req);

    marshal_put_str(w, path);
    marshal_put_u32(w, flags);
    marshal_put_u32(w, make->mode & 07777);
    marshal_put_u32(w, make->uid);
    marshal_put_u32(w, make->gid);
    return proxy_v1_descriptor(req, PROXY_V1_CREATE);
}

int coroutine_fn proxy_v1_make(ProxyRequest *req, const char *path,
                               const FsMakeArgs *make)
{
    MarshalWriter *w = proxy_v1_request(req);
    ProxyV1Type type;

    marshal_put_u32(w, make->uid);
    marshal_put_u32(w, make->gid);
    switch (make->mode & S_IFMT) {
    case S_IFDIR:
        type = PROXY_V1_MKDIR;
        marshal_put_str(w, path);
        marshal_put_u32(w, make->mode & 07777);
        break;
    case S_IFLNK:
        type = PROXY_V1_SYMLINK;
        marshal_put_str(w, make->target);
        marshal_put_str(w, path);
        break;
    default:
        type = PROXY_V1_MKNOD;
        marshal_put_str(w, path);
        marshal_put_u32(w, make->mode);
        marshal_put_u64(w, make->rdev);
        break;
    }
    return call_status(req, type);
}

int coroutine_fn proxy_v1_two_paths(ProxyRequest *req, ProxyV1Type type,
                                    const char *old, const char *new)
{
    MarshalWriter *w = proxy_v1_request(req);

    marshal_put_str(w, old);
    marshal_put_str(w, new);
    return call_status(req, type);
}

int coroutine_fn proxy_v1_remove(ProxyRequest *req, const char *path)
{
    marshal_put_str(proxy_v1_request(req), path);
    return call_status(req, PROXY_V1_REMOVE);
}

int coroutine_fn proxy_v1_chmod(ProxyRequest *req, const char *path,
                                uint32_t mode)
{
    MarshalWriter *w = proxy_v1_request(req);

    marshal_put_str(w, path);
    marshal_put_u32(w, mode);
    return call_status(req, PROXY_V1_CHMOD);
}

int coroutine_fn proxy_v1_truncate(ProxyRequest *req, const char *path,
                                   uint64_t size)
{
    MarshalWriter *w = proxy_v1_request(req);

    marshal_put_str(w, path);
    marshal_put_u64(w, size);
    return call_status(req, PROXY_V1_TRUNCATE);
}

int coroutine_fn proxy_v1_chown(ProxyRequest *req, const char *path,
                                uint32_t uid, uint32_t gid)
{
    MarshalWriter *w = proxy_v1_request(req);

    marshal_put_str(w, path);
    marshal_put_u32(w, uid);
    marshal_put_u32(w, gid);
    return call_status(req, PROXY_V1_CHOWN);
}

int coroutine_fn proxy_v1_utime(ProxyRequest *req, const char *path,
                                const struct timespec times[2])
{
    MarshalWriter *w = proxy_v1_request(req);
    int i;

    marshal_put_str(w, path);
    for (i = 0; i < 2; i++) {
        marshal_put_u64(w, times[i].tv_sec);
        marshal_put_u64(w, times[i].tv_nsec);
    }
    return call_status(req, PROXY_V1_UTIME);
}

int coroutine_fn proxy_v1_readlink(ProxyRequest *req, const char *path,
                                   char *buf, size_t size)
{
    MarshalWriter *w = proxy_v1_request(req);
    const char *target;
    size_t len;
    int ret;

    marshal_put_str(w, path);
    marshal_put_u32(w, size);
    ret = proxy_v1_response(req, PROXY_V1_READLINK);
    if (ret < 0) {
        return ret;
    }
    target = marshal_get_str(&req->r, &len);
    ret = proxy_v1_check(req);
    if (ret < 0) {
        return ret;
    }
    if (len >= size) {
        return -ENAMETOOLONG;
    }
    memcpy(buf, target, len + 1);
    return 0;
}

int coroutine_fn proxy_v1_statfs(ProxyRequest *req, const char *path,
                                 FsStatfs *st)
{
    MarshalReader *r = &req->r;
    int ret;

    marshal_put_str(proxy_v1_request(req), path);
    ret = proxy_v1_response(req, PROXY_V1_STATFS);
    if (ret < 0) {
        return ret;
    }
    st->type = marshal_get_u64(r);
    st->bsize = marshal_get_u64(r);
    st->blocks = marshal_get_u64(r);
    st->bfree = marshal_get_u64(r);
    st->bavail = marshal_get_u64(r);
    st->files = marshal_get_u64(r);
    st->ffree = marshal_get_u64(r);
    /* Two ints of the host; the helper may have extended the sign. */
    st->fsid = (uint32_t)marshal_get_u64(r);
    st->fsid |= marshal_get_u64(r) << 32;
    st->namelen = marshal_get_u64(r);
    marshal_get_u64(r);         /* frsize */
    return proxy_v1_check(req);
}

/*
 * Extended attributes
 */

/* Begins a request for the value, or, with a @size of 0, for its length. */
static ProxyV1Type put_xattr_request(ProxyRequest *req, const char *path,
                                    const char *name, uint32_t size)
{
    MarshalWriter *w = proxy_v1_request(req);

    marshal_put_u32(w, size);
    marshal_put_str(w, path);
    if (!name) {
        return PROXY_V1_LLISTXATTR;
    }
    marshal_put_str(w, name);
    return PROXY_V1_LGETXATTR;
}

/* Gets a value of at most @max bytes, and returns its length. */
static int coroutine_fn get_value(ProxyRequest *req, const char *path,
                                  const char *name, size_t max,
                                  uint8_t **value)
{
    ProxyV1Type type = put_xattr_request(req, path, name, max);
    const char *bytes;
    size_t len;
    int ret;

    ret = proxy_v1_response(req, type);
    if (ret < 0) {
        return ret;
    }
    len = marshal_get_u16(&req->r);
    bytes = marshal_get_bytes(&req->r, len);
    /* In a list, each name ends. */
    if (len > max || (!name && bytes && len && bytes[len - 1])) {
        marshal_fail(&req->r);
    }
    ret = proxy_v1_check(req);
    if (ret < 0) {
        return ret;
    }
    *value = g_malloc(len + 1);
    memcpy(*value, bytes, len);
    (*value)[len] = '\0';
    return len;
}

int coroutine_fn proxy_v1_getxattr(ProxyRequest *req, const char *path,
                                   const char *name, uint8_t **value,
                                   size_t *size)
{
    unsigned tries = XATTR_TRIES;
    int ret;

    do {
        ret = proxy_v1_status(req, put_xattr_request(req, path, name, 0));
        if (ret > XATTR_MAX) {
            return -E2BIG;
        }
        if (ret > 0) {
            ret = get_value(req, path, name, ret, value);
        } else if (ret == 0) {
            *value = g_malloc0(1);      /* never NULL */
        }
    } while (ret == -ERANGE && --tries);
    if (ret < 0) {
        return ret;
    }
    *size = ret;
    return 0;
}

int coroutine_fn proxy_v1_setxattr(ProxyRequest *req, const char *path,
                                   const char *name, const void *value,
                                   size_t size, int flags)
{
    MarshalWriter *w = proxy_v1_request(req);

    marshal_put_str(w, path);
    marshal_put_str(w, name);
    marshal_put_strn(w, value, size);
    marshal_put_u32(w, size);
    marshal_put_u32(w, flags);
    return marshal_fits(w) ? call_status(req, PROXY_V1_LSETXATTR) : -E2BIG;
}

int coroutine_fn proxy_v1_removexattr(ProxyRequest *req, const char *path,
                                      const char *name)
{
    MarshalWriter *w = proxy_v1_request(req);

    marshal_put_str(w, path);
    marshal_put_str(w, name);
    return call_status(req, PROXY_V1_LREMOVEXATTR);
}
