/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The requests of protocol version 1, one function each. It puts the arguments
 * into the request and reads the reply; see fsdev/shared/proto-v1.h.
 *
 * @path is absolute in the helper's root. Call these functions between
 * proxy_v1_begin() and proxy_v1_end(). On failure they return the helper's
 * -errno, or an error of codec.h's own.
 */
#ifndef HW_9PFS_PROXY_V1_CALLS_H
#define HW_9PFS_PROXY_V1_CALLS_H

#include "codec.h"

int coroutine_fn proxy_v1_lstat(ProxyRequest *req, const char *path,
                                FsAttr *attr);

/* @flags go to open(2) unchanged. These return a descriptor. */
int coroutine_fn proxy_v1_open(ProxyRequest *req, const char *path, int flags);
int coroutine_fn proxy_v1_create(ProxyRequest *req, const char *path,
                                 int flags, const FsMakeArgs *make);

/* Directory, symbolic link or special file; make->name is not used. */
int coroutine_fn proxy_v1_make(ProxyRequest *req, const char *path,
                               const FsMakeArgs *make);

/* LINK or RENAME */
int coroutine_fn proxy_v1_two_paths(ProxyRequest *req, ProxyV1Type type,
                                    const char *old, const char *new);
/* Removes a file or an empty directory. */
int coroutine_fn proxy_v1_remove(ProxyRequest *req, const char *path);

/* These follow a symbolic link: check that @path is none. */
int coroutine_fn proxy_v1_chmod(ProxyRequest *req, const char *path,
                                uint32_t mode);
int coroutine_fn proxy_v1_truncate(ProxyRequest *req, const char *path,
                                   uint64_t size);

/* An id of -1 stays as it is. */
int coroutine_fn proxy_v1_chown(ProxyRequest *req, const char *path,
                                uint32_t uid, uint32_t gid);
/* Access and modification time, with UTIME_NOW and UTIME_OMIT */
int coroutine_fn proxy_v1_utime(ProxyRequest *req, const char *path,
                                const struct timespec times[2]);

/* Target, NUL-terminated; -ENAMETOOLONG if it does not fit. */
int coroutine_fn proxy_v1_readlink(ProxyRequest *req, const char *path,
                                   char *buf, size_t size);
int coroutine_fn proxy_v1_statfs(ProxyRequest *req, const char *path,
                                 FsStatfs *st);

/*
 * As FsDriver.getxattr. -E2BIG for a value that does not fit into a message of
 * version 1: the limit is a little below Linux's own.
 */
int coroutine_fn proxy_v1_getxattr(ProxyRequest *req, const char *path,
                                   const char *name, uint8_t **value,
                                   size_t *size);
int coroutine_fn proxy_v1_setxattr(ProxyRequest *req, const char *path,
                                   const char *name, const void *value,
                                   size_t size, int flags);
int coroutine_fn proxy_v1_removexattr(ProxyRequest *req, const char *path,
                                      const char *name);

#endif /* HW_9PFS_PROXY_V1_CALLS_H */
